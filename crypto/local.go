package crypto

import (
	"crypto/cipher"
	"crypto/rand"

	"golang.org/x/crypto/chacha20poly1305"
)

// LocalKey seals what a wallet keeps on its machine. It is safe for concurrent
// use.
type LocalKey struct {
	redacted
	p hidden[localKey]
}

type localKey struct{ aead cipher.AEAD }

// LocalKey derives the key of the local state.
func (r Root) LocalKey() *LocalKey {
	key := derive(r.bytes(), TagLocalKey)
	defer clear(key)
	return localKeyOf(key)
}

func localKeyOf(key []byte) *LocalKey {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic("crypto: " + err.Error()) // can't happen: 32 bytes
	}
	return &LocalKey{p: hide(&localKey{aead})}
}

// Wipe overwrites the key. It can't be used afterwards, or at the same time.
func (k *LocalKey) Wipe() { overwrite(&k.p().aead) }

// Seal returns nonce24 ‖ ciphertext, 40 bytes more than the plaintext. What was
// sealed under one name does not open under another.
func (k *LocalKey) Seal(name string, plaintext []byte) []byte {
	b := make([]byte, SealRoom, SealRoom+len(plaintext)+chacha20poly1305.Overhead)
	return k.SealInPlace(name, append(b, plaintext...))
}

// SealRoom is how many bytes stand before the plaintext for [LocalKey.SealInPlace].
const SealRoom = chacha20poly1305.NonceSizeX

// SealInPlace is Seal of what is in b behind SealRoom bytes; its memory is used again. It
// spares a batch of changes a second copy of some megabytes.
func (k *LocalKey) SealInPlace(name string, b []byte) []byte {
	nonce := b[:SealRoom]
	rand.Read(nonce)
	return k.p().aead.Seal(nonce, nonce, b[SealRoom:], []byte(name))
}

// Open opens what Seal sealed under the same name; else a [ErrDamaged]. It
// can't tell an old state from the newest.
func (k *LocalKey) Open(name string, sealed []byte) ([]byte, error) {
	if len(sealed) < chacha20poly1305.NonceSizeX {
		return nil, ErrDamaged.With("what", "local state")
	}
	nonce, ciphertext := sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:]
	b, err := k.p().aead.Open(nil, nonce, ciphertext, []byte(name))
	if err != nil {
		return nil, ErrDamaged.With("what", "local state")
	}
	return b, nil
}
