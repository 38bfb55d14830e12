package crypto

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"
)

// A link is a grant to a wallet that exists only in the link. Its two halves derive from
// the grant's seed: the id, which a node is told by whoever opens the link, and the key,
// which no node ever gets.

// ErrLink says that a text is not half a link.
var ErrLink = errors.New("not 32 bytes of base64url")

// LinkID is the last part of a link's URL: the secret of the link's wallet.
type LinkID struct{ secret32 }

// LinkKey is what a link's content is encrypted with.
type LinkKey struct{ secret32 }

// LinkID returns the id of the link that is the grant of that seed.
func (s Seed) LinkID() LinkID { return LinkID{newSecret32(derive(s.bytes(), TagLinkID))} }

// LinkKey returns the key of the link that is the grant of that seed.
func (s Seed) LinkKey() LinkKey { return LinkKey{newSecret32(derive(s.bytes(), TagLinkKey))} }

// LinkAddress returns the address that the link's grant is for.
func (s Seed) LinkAddress() Address {
	id := s.LinkID()
	defer id.Wipe()
	keys := id.Identity()
	defer keys.Wipe()
	return keys.Address()
}

// LinkIV returns the nonce with which the link's key encrypts the one content with that
// SHA-256: another content has another one.
func (s Seed) LinkIV(content Hash) [12]byte {
	return [12]byte(derive(s.bytes(), TagLinkIV, content[:]))
}

// Encode returns the 43 characters that stand in the URL. It is secret.
func (id LinkID) Encode() string { return base64.RawURLEncoding.EncodeToString(id.bytes()) }

// Encode returns the 43 characters that stand in the link. It is secret.
func (k LinkKey) Encode() string { return base64.RawURLEncoding.EncodeToString(k.bytes()) }

// ParseLinkID reads what [LinkID.Encode] wrote, and returns [ErrLink] for anything else.
func ParseLinkID(text string) (LinkID, error) {
	s, err := parseLink(text)
	return LinkID{s}, err
}

// ParseLinkKey reads what [LinkKey.Encode] wrote, and returns [ErrLink] for anything else.
func ParseLinkKey(text string) (LinkKey, error) {
	s, err := parseLink(text)
	return LinkKey{s}, err
}

func parseLink(text string) (secret32, error) {
	if len(text) != 43 { // the decoder passes over line breaks
		return secret32{}, ErrLink
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	defer clear(b)
	if err != nil || len(b) != 32 {
		return secret32{}, ErrLink
	}
	return newSecret32(b), nil
}

// Root returns the secret that all keys of the link's wallet derive from.
func (id LinkID) Root() Root { return Root{newSecret32(derive(id.bytes(), TagLinkRoot))} }

// Identity returns the keys behind the address of the link's wallet, those of its root. They
// are of one thread and, as that thread's own key, not blinded: for as long as somebody opens
// the link, at most once an hour, they sign an address and an access.
func (id LinkID) Identity() *Identity {
	root := id.Root()
	defer root.Wipe()
	return root.identity(false)
}

// SelfKey returns the public key of the stanza of the link's wallet, that of its root.
func (id LinkID) SelfKey() PubKey {
	root := id.Root()
	defer root.Wipe()
	key := root.selfKey(false)
	defer key.Wipe()
	return key.Public()
}

// Name is what a node files the link under.
func (id LinkID) Name(l LedgerID) Hash { return TaggedHash(TagLinkName, l[:], id.bytes()) }

// SealKey returns the key that terms and envelope of the grant are sealed to, in place of
// P_seal, which the node of the link can compute.
func (k LinkKey) SealKey() *PrivateKey {
	return newPrivateKey(deriveScalar(k.bytes(), TagLinkSeal), true)
}

// Cipher returns the AEAD that the link's content is encrypted with: AES-256-GCM.
func (k LinkKey) Cipher() cipher.AEAD {
	block, err := aes.NewCipher(k.bytes())
	if err != nil {
		panic("crypto: " + err.Error()) // can't happen: 32 bytes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("crypto: " + err.Error()) // can't happen: AES
	}
	return aead
}

// SealLinkFile locks what a node keeps of the link that is the grant with that id, with the
// key K of the grant: nonce24 ‖ ciphertext, 40 bytes more than the file. Unlike
// [LockKey.Lock] it may be used again: the nonce is random.
func (k LockKey) SealLinkFile(l LedgerID, grant Hash, file []byte) []byte {
	nonce := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(file)+chacha20poly1305.Overhead)
	rand.Read(nonce)
	return k.linkAEAD().Seal(nonce, nonce, file, append(l[:], grant[:]...))
}

// OpenLinkFile opens what SealLinkFile locked; else a [ErrDamaged].
func (k LockKey) OpenLinkFile(l LedgerID, grant Hash, sealed []byte) ([]byte, error) {
	if len(sealed) < chacha20poly1305.NonceSizeX {
		return nil, ErrDamaged.With("what", "file of a link")
	}
	nonce, ciphertext := sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:]
	b, err := k.linkAEAD().Open(nil, nonce, ciphertext, append(l[:], grant[:]...))
	if err != nil {
		return nil, ErrDamaged.With("what", "file of a link")
	}
	return b, nil
}

func (k LockKey) linkAEAD() cipher.AEAD {
	key := derive(k.bytes(), TagLinkFile)
	defer clear(key)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic("crypto: " + err.Error()) // can't happen: 32 bytes
	}
	return aead
}
