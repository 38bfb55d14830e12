package crypto

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// A record that was cut into parts is stored twice in one blob: whole, and as parts with
// a key each. Who gets the keys of some parts can open these, and nothing tells him what
// the others are: not their leaves, which are salted, and of their lengths only the class.
const (
	// MaxParts is the most parts of a record.
	MaxParts = 65_000
	// MaxPart is the size of the largest part's body, in bytes.
	MaxPart = 16<<20 + NarrativeHeadSize
	// NarrativeHeadSize is the size of [NarrativeHead], in bytes.
	NarrativeHeadSize = 1 + len(Hash{})
	// PartOverhead is how many bytes a part's ciphertext has more than its plaintext.
	PartOverhead = chacha20poly1305.Overhead

	maxSlots     = 65_536
	partHeadSize = 4 + len(Salt{}) // before the body
	frameNonce   = chacha20poly1305.NonceSizeX
)

var (
	errFrame = ErrDamaged.With("what", "frame of a record's parts")
	errPart  = ErrDamaged.With("what", "part of a record")
)

// PartClass returns the size of the plaintext of a part with a body of size bytes, 0 ≤
// size ≤ [MaxPart]: the least of 1024, 1536, 2048, 3072, 4096, … (half octaves) that
// holds the body, its length and its salt. Exact lengths would name what is in a part.
func PartClass(size int) int {
	class := 1024
	for ; class < size+partHeadSize; class *= 2 {
		if half := class / 2 * 3; half >= size+partHeadSize {
			return half
		}
	}
	return class
}

// IsPartSize reports whether n bytes can be the ciphertext of a part.
func IsPartSize(n int) bool {
	class := n - PartOverhead
	return class >= partHeadSize && class <= PartClass(MaxPart) && PartClass(class-partHeadSize) == class
}

// PartsStart returns where the region of a record's parts begins in its content, behind a
// salt and an age file of ageSize bytes that encrypts size bytes; spare is by how much the
// classes of all parts together are larger than what these have of the file. It is [PadLength]
// of the next multiple of 16 KiB behind the age file that there would be if each part were as
// long as its class. Who has all parts but one knows all of the file but one length, and the class
// of that one: the place then tells no more. The multiple is for what else of a file can
// vary; [PadLength] alone has steps of 256 bytes for 5 kB and of 2 KiB for 100 kB.
func PartsStart(size, ageSize, spare int64) int64 {
	const step, chunk, tag = 16 << 10, 64 << 10, 16 // of the parts' place; of age's stream
	chunks := func(n int64) int64 { return (n + chunk - 1) / chunk }
	n := int64(len(Salt{})) + ageSize + spare + tag*(chunks(size+spare)-chunks(size))
	return PadLength((n + step - 1) &^ (step - 1))
}

// Slots returns how many leaves stand for count parts, 0 ≤ count ≤ [MaxParts]: the least
// 16·4ᵐ that holds them. For larger numbers it is the most that there can be: so n is a
// number of slots if, and only if, it is its own.
func Slots(count int) int {
	n := 16
	for n < count && n < maxSlots {
		n *= 4
	}
	return n
}

// FrameSize returns the size of a sealed frame, in bytes.
func FrameSize(slots int) int {
	return frameNonce + slots*len(Hash{}) + chacha20poly1305.Overhead
}

// PartSalts is the secret that the salts of a record's parts derive from. An issuer's,
// given, makes the root of the parts the one that the issuer signed. It is for the owner
// and the issuer only: with it every guess of a part can be tested.
type PartSalts struct{ secret32 }

// PartSaltsFrom returns the secret with these bytes.
func PartSaltsFrom(b *[32]byte) PartSalts { return PartSalts{newSecret32(b[:])} }

// NewPartSalts draws one for a statement of an issuer's: each has its own.
func NewPartSalts() PartSalts {
	var b [32]byte
	rand.Read(b[:])
	return PartSalts{newSecret32(b[:])}
}

// ExposeSecret returns the bytes. They are for what the issuer gives the owner, and for her
// metadata.
func (s PartSalts) ExposeSecret() [32]byte { return [32]byte(s.bytes()) }

// Parts returns a maker of leaves and frames alone, for who checks or signs a root. It has
// no keys: what seals, or hands out a key, panics.
func (s PartSalts) Parts() *Parts { return &Parts{p: hide(&parts{salts: extract(s.bytes())})} }

// Parts makes the leaves, keys and ciphertexts of the parts of one version of a record.
// It is for the record's owner, and safe for concurrent use.
type Parts struct {
	redacted
	p hidden[parts]
}

type parts struct {
	ledger      LedgerID
	author      PubKey
	keys, salts prk
}

// Parts returns the maker of the parts of the version whose entry the seed is of, in the
// record whose thread key is a. Without given salts it derives its own.
func (s Seed) Parts(l LedgerID, a PubKey, salts *PartSalts) *Parts {
	seed := derive(s.bytes(), TagPartsSeed)
	defer clear(seed)
	p := &parts{ledger: l, author: a, keys: extract(seed)}
	if salts != nil {
		p.salts = extract(salts.bytes())
	} else {
		own := p.keys.expand(TagPartsSalts)
		defer clear(own)
		p.salts = extract(own)
	}
	return &Parts{p: hide(p)}
}

// sealing is what the keys derive from.
func (p *parts) sealing() prk {
	if p.keys == nil {
		panic("crypto: parts without keys")
	}
	return p.keys
}

// Leaf returns the salt of the part of that number, from 0 to 2³²-1, its leaf, and the
// SHA-256 of the body. The salt depends on the body as well: under one secret, a part that was corrected has
// another, and who has the salt of the old one can't test what stands there now.
func (p *Parts) Leaf(i int, body []byte) (salt Salt, leaf, sum Hash) {
	sum = sha256.Sum256(body)
	b := p.p().salts.expand(TagPartSalt, number4(i), sum[:])
	defer clear(b)
	salt = Salt(b)
	return salt, PartLeaf(salt, body), sum
}

// PartLeaf is the leaf of a part.
func PartLeaf(salt Salt, body []byte) Hash { return TaggedHash(TagPart, salt[:], body) }

// NarrativeHead is what the body of a narrative's part begins with, [NarrativeHeadSize] bytes:
// a zero, as no resource does, and what names the part of its resource to whoever has that one's
// salt and leaf. To others it is a random number.
func NarrativeHead(salt Salt, leaf Hash) []byte {
	of := TaggedHash(TagPartOf, salt[:], leaf[:])
	return append([]byte{0}, of[:]...)
}

// number4 is a number as 4 bytes.
func number4(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }

// Frame is what binds the parts of a record together, and says no more of those that are
// not granted than that there may be some: the leaves of all parts and of none.
type Frame struct {
	Leaves []Hash // strictly ascending; 16·4ᵐ of them
	Root   Hash   // head of the RFC 6962 tree over them
}

// Frame returns the frame of up to [MaxParts] parts with these leaves, in any order. It
// panics if a leaf is there twice.
func (p *Parts) Frame(leaves []Hash) Frame {
	if len(leaves) > MaxParts {
		panic("crypto: too many parts")
	}
	slots := Slots(len(leaves))
	all := append(make([]Hash, 0, slots), leaves...)
	for j := range slots - len(leaves) {
		all = append(all, Hash(p.p().salts.expand(TagPartNone, number4(j))))
	}
	slices.SortFunc(all, compareHashes)
	if !ascending(all) {
		panic("crypto: two parts of one leaf")
	}
	return Frame{all, partsRoot(all)}
}

// Slot returns the place of a leaf in the frame, or -1 if it is not there.
func (f Frame) Slot(leaf Hash) int {
	if i, ok := slices.BinarySearchFunc(f.Leaves, leaf, compareHashes); ok {
		return i
	}
	return -1
}

func compareHashes(a, b Hash) int { return bytes.Compare(a[:], b[:]) }

func ascending(leaves []Hash) bool {
	for i := 1; i < len(leaves); i++ {
		if compareHashes(leaves[i-1], leaves[i]) >= 0 {
			return false
		}
	}
	return true
}

// FrameOf returns the frame that some leaves are, or [ErrDamaged].
func FrameOf(leaves []Hash) (Frame, error) {
	if Slots(len(leaves)) != len(leaves) || !ascending(leaves) {
		return Frame{}, errFrame
	}
	return Frame{leaves, partsRoot(leaves)}, nil
}

// partsRoot is MTH of RFC 6962 section 2.1 over a power of two of leaves.
func partsRoot(leaves []Hash) Hash {
	level := make([]Hash, len(leaves))
	var node [1 + 2*len(Hash{})]byte
	for i := range leaves {
		copy(node[1:], leaves[i][:])
		level[i] = sha256.Sum256(node[:1+len(Hash{})])
	}
	node[0] = 1
	for len(level) > 1 {
		for i := range len(level) / 2 {
			copy(node[1:], level[2*i][:])
			copy(node[1+len(Hash{}):], level[2*i+1][:])
			level[i] = sha256.Sum256(node[:])
		}
		level = level[:len(level)/2]
	}
	return level[0]
}

// SealFrame seals a frame: nonce24 ‖ ciphertext, [FrameSize] bytes, others each time.
func (p *Parts) SealFrame(f Frame) []byte {
	q := p.p()
	key := q.sealing().expand(TagPartsFrame)
	defer clear(key)
	b := make([]byte, frameNonce, FrameSize(len(f.Leaves)))
	rand.Read(b)
	plaintext := make([]byte, 0, len(f.Leaves)*len(Hash{}))
	for i := range f.Leaves {
		plaintext = append(plaintext, f.Leaves[i][:]...)
	}
	return frameAEAD(key).Seal(b, b, plaintext, partData(q.ledger, q.author, f.Root))
}

// FrameKey returns the key that opens the frame: it is the same for all grants of the
// record's version.
func (p *Parts) FrameKey() PartsFrameKey {
	key := p.p().sealing().expand(TagPartsFrame)
	defer clear(key)
	return PartsFrameKey{newSecret32(key)}
}

// PartsFrameKey opens the frame of one version of a record.
type PartsFrameKey struct{ secret32 }

// PartsFrameKeyFrom returns the key with these bytes.
func PartsFrameKeyFrom(b *[32]byte) PartsFrameKey { return PartsFrameKey{newSecret32(b[:])} }

// ExposeSecret returns the bytes. They are for the envelope of a grant, which is sealed.
func (k PartsFrameKey) ExposeSecret() [32]byte { return [32]byte(k.bytes()) }

// Open opens the frame of a record with thread key a that has the root and so many slots;
// else it returns [ErrDamaged]. It believes no sealer: the leaves are in order, and the
// root is theirs.
func (k PartsFrameKey) Open(l LedgerID, a PubKey, root Hash, slots int, sealed []byte) (Frame, error) {
	if Slots(slots) != slots || len(sealed) != FrameSize(slots) {
		return Frame{}, errFrame
	}
	b, err := frameAEAD(k.bytes()).Open(nil, sealed[:frameNonce], sealed[frameNonce:], partData(l, a, root))
	if err != nil {
		return Frame{}, errFrame
	}
	f := Frame{make([]Hash, slots), root}
	for i := range f.Leaves {
		f.Leaves[i] = Hash(b[i*len(Hash{}):])
	}
	if !ascending(f.Leaves) || partsRoot(f.Leaves) != root {
		return Frame{}, errFrame
	}
	return f, nil
}

func frameAEAD(key []byte) cipher.AEAD {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic("crypto: " + err.Error()) // can't happen: 32 bytes
	}
	return aead
}

// PartKey opens one part, and no other of any record: 16 bytes.
type PartKey struct {
	redacted
	p hidden[[16]byte]
}

// PartKeyFrom returns the key with these bytes.
func PartKeyFrom(b *[16]byte) PartKey {
	v := *b
	return PartKey{p: hide(&v)}
}

// ExposeSecret returns the bytes. They are for the envelope of a grant, which is sealed.
func (k PartKey) ExposeSecret() [16]byte {
	if k.p == nil {
		panic("crypto: use of a zero secret")
	}
	return *k.p()
}

// Key returns the key of the part with that leaf.
func (p *Parts) Key(leaf Hash) PartKey {
	key := p.p().sealing().expand(TagPartKey, leaf[:])
	defer clear(key)
	return PartKeyFrom((*[16]byte)(key))
}

// Seal appends the ciphertext of a part to dst, [PartClass] and [PartOverhead] bytes. The
// salt and the leaf are those of [Parts.Leaf], else it panics: the key and with it the
// constant nonce are the leaf's, and lock one plaintext, ever. It panics too if the body
// is larger than [MaxPart].
func (p *Parts) Seal(dst []byte, salt Salt, leaf Hash, body []byte) []byte {
	if len(body) > MaxPart || PartLeaf(salt, body) != leaf {
		panic("crypto: no part of that leaf")
	}
	q := p.p()
	key := q.sealing().expand(TagPartKey, leaf[:])
	defer clear(key)
	data := partData(q.ledger, q.author, leaf)
	class, at := PartClass(len(body)), len(dst)
	dst = slices.Grow(dst, class+PartOverhead)
	b := dst[at : at+class]
	binary.BigEndian.PutUint32(b, uint32(len(body)))
	copy(b[4:], salt[:])
	clear(b[partHeadSize+copy(b[partHeadSize:], body):])
	return dst[:at+len(partAEAD(key[:16], data).Seal(b[:0], noPartNonce, b, data))]
}

// Open opens the part with that leaf in a record with thread key a; else it returns
// [ErrDamaged]. It believes no sealer: the class is that of the body, nothing is behind
// the body, and body and salt are those of the leaf.
func (k PartKey) Open(l LedgerID, a PubKey, leaf Hash, sealed []byte) ([]byte, error) {
	_, body, err := k.OpenSalted(l, a, leaf, sealed)
	return body, err
}

// OpenSalted is Open, with the salt that shows others which part it is of, see [PartLeaf].
func (k PartKey) OpenSalted(l LedgerID, a PubKey, leaf Hash, sealed []byte) (salt Salt, body []byte, err error) {
	if !IsPartSize(len(sealed)) {
		return salt, nil, errPart
	}
	key := k.ExposeSecret()
	defer clear(key[:])
	data := partData(l, a, leaf)
	b, err := partAEAD(key[:], data).Open(nil, noPartNonce, sealed, data)
	if err != nil {
		return salt, nil, errPart
	}
	size := binary.BigEndian.Uint32(b)
	if int64(size) > int64(MaxPart) || PartClass(int(size)) != len(b) {
		return salt, nil, errPart
	}
	end := partHeadSize + int(size)
	rest := byte(0)
	for _, c := range b[end:] {
		rest |= c
	}
	body = b[partHeadSize:end:end]
	if rest != 0 || PartLeaf(Salt(b[4:]), body) != leaf {
		return salt, nil, errPart
	}
	return Salt(b[4:]), body, nil
}

// partData is the context of a part's cipher, and the associated data: ledger ‖ A ‖ leaf;
// of a frame's ledger ‖ A ‖ root.
func partData(l LedgerID, a PubKey, h Hash) []byte {
	return append(append(append(make([]byte, 0, 97), l[:]...), a[:]...), h[:]...)
}

var noPartNonce = make([]byte, chacha20poly1305.NonceSize)

// partAEAD is the cipher of one part. 16 bytes of key are enough since the part is in the
// derivation: with it out, one table of guesses would serve against all parts of everyone.
func partAEAD(key, data []byte) cipher.AEAD {
	cipherKey := derive(key, TagPartCipher, data)
	defer clear(cipherKey)
	return newAEAD(cipherKey)
}
