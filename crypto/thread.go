package crypto

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"io"
	"sync"
)

// Root is the secret that all keys of a person derive from.
type Root struct{ secret32 }

// Root derives the root.
func (e Entropy) Root() Root {
	b := derive(e.bytes(), TagRoot)
	defer clear(b)
	return Root{newSecret32(b)}
}

// HandTo writes the 32 bytes to another process of the same person, for [HoldKeys]. They do
// not lead back to the entropy, and so not to the words.
func (r Root) HandTo(w io.Writer) error {
	_, err := w.Write(r.bytes())
	return err
}

// Identity returns the keys behind the person's address.
func (r Root) Identity() *Identity { return r.identity(true) }

func (r Root) identity(blind bool) *Identity {
	k := extract(r.bytes())
	defer clear(k)
	return newIdentity(newPrivateKey(k.scalar(TagSignKey), blind), newPrivateKey(k.scalar(TagViewKey), blind))
}

// SelfKey returns the key that opens one's own stanza in every sealed payload and
// record.
func (r Root) SelfKey() *PrivateKey { return r.selfKey(true) }

func (r Root) selfKey(blind bool) *PrivateKey {
	return newPrivateKey(deriveScalar(r.bytes(), TagSelfKey), blind)
}

// Nonce tells one entry of a person from the others. It is random, public to
// nobody, and not secret in itself: without the root it gives nothing.
type Nonce [12]byte

// NewNonce returns a random nonce.
func NewNonce() (n Nonce) {
	rand.Read(n[:])
	return n
}

// SelfTag is an encrypted nonce. It looks random to all but its author, who finds
// her own entries by it in one pass over a ledger.
type SelfTag [16]byte

// Tagger makes and opens the self-tags of a person on one ledger. It is safe for
// concurrent use.
type Tagger struct {
	redacted
	p hidden[tagger]
}

type tagger struct {
	block cipher.Block
	bufs  sync.Pool // of *[16]byte: a buffer given to an interface can't be on the stack
}

// Tagger returns the maker of self-tags for a ledger.
func (r Root) Tagger(l LedgerID) *Tagger {
	key := r.tagKey(l)
	defer clear(key)
	return taggerOf(key)
}

func (r Root) tagKey(l LedgerID) []byte { return derive(r.bytes(), TagSelfTag, l[:]) }

func taggerOf(key []byte) *Tagger {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("crypto: " + err.Error()) // can't happen: 32 bytes
	}
	return &Tagger{p: hide(&tagger{block: block, bufs: sync.Pool{New: func() any { return new([16]byte) }}})}
}

// wipe overwrites the key. It can't be used afterwards, or at the same time.
func (t *Tagger) wipe() { overwrite(&t.p().block) }

// Tag returns the self-tag of a nonce: one AES-256 block of nonce ‖ 0⁴.
func (t *Tagger) Tag(n Nonce) (tag SelfTag) {
	var b [16]byte
	copy(b[:], n[:])
	t.p().block.Encrypt(b[:], b[:])
	return b
}

// Open returns the nonce in one's own self-tag, and false for a tag of somebody
// else. One in 2³² of those opens too: confirm by deriving the entry's author key.
// It does not allocate.
func (t *Tagger) Open(tag SelfTag) (Nonce, bool) {
	p := t.p()
	b := p.bufs.Get().(*[16]byte)
	*b = tag
	p.block.Decrypt(b[:], b[:])
	n, zero := Nonce(b[:12]), b[12]|b[13]|b[14]|b[15] == 0
	p.bufs.Put(b)
	if !zero {
		return Nonce{}, false
	}
	return n, true
}

// Seed is the secret that everything of one entry derives from. The seed of a
// thread's opening entry is the seed of the thread.
type Seed struct{ secret32 }

// Seed derives the seed of the entry with that nonce.
func (r Root) Seed(l LedgerID, n Nonce) Seed {
	return Seed{newSecret32(derive(r.bytes(), TagSeed, l[:], n[:]))}
}

// Key returns the thread's key a, which signs its opening entry and all later ones
// of the same side.
func (s Seed) Key() *PrivateKey {
	return newPrivateKey(deriveScalar(s.bytes(), TagThreadKey), false)
}

// LockKey returns the key K that locks the envelope of a grant.
func (s Seed) LockKey() LockKey { return LockKey{newSecret32(derive(s.bytes(), TagLockKey))} }

// Locator returns the author's own locator of a payload of the entry id.
func (s Seed) Locator(id Hash, part byte) Locator {
	return Locator(derive(s.bytes(), TagOwnLocator, id[:], []byte{part}))
}

// ContentLocator returns the locator of the content of a record's version. It
// stands in the metadata that the entry commits to, so it can't depend on the
// entry's id.
func (s Seed) ContentLocator() Locator { return Locator(derive(s.bytes(), TagContentLocator)) }

// Locator is the secret address of a blob in a store: who names it may read the
// blob. Package fmt prints nothing of it unless it stands in an unexported field
// of another package's struct; it can't be marshalled.
type Locator [32]byte

// Format writes "(secret)" for every verb.
func (Locator) Format(f fmt.State, _ rune) { io.WriteString(f, "(secret)") }

// MarshalText returns [ErrSecret].
func (Locator) MarshalText() ([]byte, error) { return nil, ErrSecret }

// MarshalBinary returns [ErrSecret].
func (Locator) MarshalBinary() ([]byte, error) { return nil, ErrSecret }
