package crypto

import (
	"crypto/cipher"

	"golang.org/x/crypto/chacha20poly1305"
)

// LockKey is the key K of one grant: it locks the envelope, which is sealed
// already, and is split among the keepers. 32 bytes.
type LockKey struct{ secret32 }

// Hash returns the commitment to K in the grant with author key a: ChaCha20-
// Poly1305 alone would let different keys open one envelope to different contents.
func (k LockKey) Hash(l LedgerID, a PubKey) Hash {
	return TaggedHash(TagLockHash, l[:], a[:], k.bytes())
}

// Lock locks the envelope of the grant with author key a. The nonce is zero: one
// LockKey locks one plaintext only, ever.
func (k LockKey) Lock(l LedgerID, a PubKey, plaintext []byte) []byte {
	var nonce [chacha20poly1305.NonceSize]byte
	return k.aead().Seal(nil, nonce[:], plaintext, lockData(l, a))
}

// Unlock opens what Lock locked; else a [ErrDamaged]. Check [LockKey.Hash]
// first.
func (k LockKey) Unlock(l LedgerID, a PubKey, sealed []byte) ([]byte, error) {
	var nonce [chacha20poly1305.NonceSize]byte
	b, err := k.aead().Open(nil, nonce[:], sealed, lockData(l, a))
	if err != nil {
		return nil, ErrDamaged.With("what", "locked envelope")
	}
	return b, nil
}

func (k LockKey) aead() cipher.AEAD {
	key := derive(k.bytes(), TagLock)
	defer clear(key)
	return newAEAD(key)
}

// newAEAD is ChaCha20-Poly1305 under a key of 32 bytes.
func newAEAD(key []byte) cipher.AEAD {
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		panic("crypto: " + err.Error()) // can't happen: 32 bytes
	}
	return aead
}

// lockData is the associated data: ledger ‖ A.
func lockData(l LedgerID, a PubKey) []byte { return append(l[:], a[:]...) }
