package crypto

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
)

// cutRecord is a record in parts, as it lies in a store: and what its owner knows of it.
type cutRecord struct {
	ledger LedgerID
	author PubKey
	parts  *Parts
	bodies [][]byte
	salts  []Salt
	leaves []Hash // of the bodies
	sealed [][]byte
	frame  Frame
	region []byte // sealed frame ‖ ciphertexts by leaf
	at     []int  // of each body's ciphertext in the region
}

func cutRecordOf(seed Seed, l LedgerID, salts *PartSalts, bodies ...[]byte) *cutRecord {
	a := seed.Key().Public()
	r := &cutRecord{ledger: l, author: a, parts: seed.Parts(l, a, salts), bodies: bodies, at: make([]int, len(bodies))}
	for i, body := range bodies {
		salt, leaf, _ := r.parts.Leaf(i, body)
		r.salts, r.leaves = append(r.salts, salt), append(r.leaves, leaf)
		r.sealed = append(r.sealed, r.parts.Seal(nil, salt, leaf, body))
	}
	r.frame = r.parts.Frame(r.leaves)
	r.region = r.parts.SealFrame(r.frame)
	for _, leaf := range r.frame.Leaves {
		if i := slices.Index(r.leaves, leaf); i >= 0 {
			r.at[i] = len(r.region)
			r.region = append(r.region, r.sealed[i]...)
		}
	}
	return r
}

func newSeed() Seed { return NewEntropy().Root().Seed(LedgerID{1}, NewNonce()) }

// numberedBodies are n bodies, of several classes.
func numberedBodies(n int) (bodies [][]byte) {
	for i := range n {
		bodies = append(bodies, fmt.Appendf(nil, `{"resourceType":"Basic","id":"%d","x":"%s"}`, i, bytes.Repeat([]byte("x"), 97*i)))
	}
	return bodies
}

func TestPartsComeBack(t *testing.T) {
	for _, n := range []int{0, 1, 16, 17, 40} {
		r := cutRecordOf(newSeed(), LedgerID{1}, nil, numberedBodies(n)...)
		f, err := r.parts.FrameKey().Open(r.ledger, r.author, r.frame.Root, Slots(n), r.region[:FrameSize(Slots(n))])
		if err != nil || !slices.Equal(f.Leaves, r.frame.Leaves) || f.Root != r.frame.Root || len(f.Leaves) != Slots(n) {
			t.Fatalf("%d parts: %v", n, err)
		}
		slots := map[int]bool{}
		for i, body := range r.bodies {
			if slot := f.Slot(r.leaves[i]); slot < 0 || slots[slot] || f.Leaves[slot] != r.leaves[i] {
				t.Errorf("part %d of %d in slot %d", i, n, slot)
			} else {
				slots[slot] = true
			}
			size := PartClass(len(body)) + PartOverhead
			got, err := r.parts.Key(r.leaves[i]).Open(r.ledger, r.author, r.leaves[i], r.region[r.at[i]:r.at[i]+size])
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("part %d of %d: %q, %v", i, n, got, err)
			}
		}
		if f.Slot(Hash{}) != -1 {
			t.Error("a leaf that is not there has a slot")
		}
	}
	// The largest, and sealing behind what is there already.
	largest := make([]byte, MaxPart)
	largest[MaxPart-1] = 1
	p := newSeed().Parts(LedgerID{}, PubKey{}, nil)
	salt, leaf, _ := p.Leaf(0, largest)
	sealed := p.Seal([]byte("before"), salt, leaf, largest)
	if body, err := p.Key(leaf).Open(LedgerID{}, PubKey{}, leaf, sealed[6:]); err != nil || !bytes.Equal(body, largest) || string(sealed[:6]) != "before" {
		t.Error(err)
	}
}

// The constant nonce of a part is safe since its key seals these bytes only: sealing again
// gives the same, and other bytes are refused. A frame is sealed anew each time.
func TestPartIsSealedOnce(t *testing.T) {
	seed := newSeed()
	r, again := cutRecordOf(seed, LedgerID{1}, nil, numberedBodies(3)...), cutRecordOf(seed, LedgerID{1}, nil, numberedBodies(3)...)
	for i := range r.sealed {
		if !bytes.Equal(r.sealed[i], again.sealed[i]) {
			t.Errorf("part %d was sealed to other bytes", i)
		}
	}
	if size := FrameSize(16); bytes.Equal(r.region[:size], again.region[:size]) {
		t.Error("two frames under one nonce")
	}
	for what, seal := range map[string]func(){
		"another body":    func() { r.parts.Seal(nil, r.salts[0], r.leaves[0], r.bodies[1]) },
		"another salt":    func() { r.parts.Seal(nil, r.salts[1], r.leaves[0], r.bodies[0]) },
		"a large body":    func() { b := make([]byte, MaxPart+1); r.parts.Seal(nil, r.salts[0], PartLeaf(r.salts[0], b), b) },
		"a leaf twice":    func() { r.parts.Frame([]Hash{r.leaves[0], r.leaves[1], r.leaves[0]}) },
		"too many leaves": func() { r.parts.Frame(make([]Hash, MaxParts+1)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: sealed", what)
				}
			}()
			seal()
		}()
	}
}

// Who has the keys of all parts but one, of two records that share a part's bytes, and both
// blobs, opens no other: neither by the owner's program nor with a cipher of his own.
func TestPartKeyOpensItsPartOnly(t *testing.T) {
	seed := newSeed()
	one, two := cutRecordOf(seed, LedgerID{1}, nil, numberedBodies(24)...), cutRecordOf(newSeed(), LedgerID{1}, nil, numberedBodies(24)...)
	type part struct {
		r *cutRecord
		i int
	}
	var all []part
	for _, r := range []*cutRecord{one, two} {
		for i := range r.bodies {
			all = append(all, part{r, i})
		}
	}
	opened := 0
	for _, mine := range all {
		key := mine.r.parts.Key(mine.r.leaves[mine.i])
		raw := key.ExposeSecret()
		for _, other := range all {
			sealed, body := other.r.sealed[other.i], other.r.bodies[other.i]
			for _, leaf := range []Hash{mine.r.leaves[mine.i], other.r.leaves[other.i]} {
				for _, author := range []PubKey{mine.r.author, other.r.author} {
					got, err := key.Open(LedgerID{1}, author, leaf, sealed)
					data := partData(LedgerID{1}, author, leaf)
					rawGot, rawErr := partAEAD(raw[:], data).Open(nil, noPartNonce, sealed, data)
					if mine == other {
						if author == mine.r.author && err == nil && rawErr == nil {
							opened++
						} else if author == mine.r.author {
							t.Fatalf("one's own part: %v, %v", err, rawErr)
						}
						continue
					}
					if err == nil || rawErr == nil || bytes.Contains(got, body) || bytes.Contains(rawGot, body) {
						t.Fatalf("the key of part %d opened part %d", mine.i, other.i)
					}
				}
			}
		}
	}
	if opened < len(all) {
		t.Errorf("%d of %d of one's own opened", opened, len(all))
	}
	// Nor in another ledger or thread: the cipher's key is of these too, not only the data that
	// goes with it, so that nothing that is searched for one part helps with another.
	key := one.parts.Key(one.leaves[0]).ExposeSecret()
	stream := func(l LedgerID, a PubKey, leaf Hash) string {
		return string(partAEAD(key[:], partData(l, a, leaf)).Seal(nil, noPartNonce, make([]byte, 64), nil)[:64])
	}
	seen := map[string]bool{stream(one.ledger, one.author, one.leaves[0]): true}
	for _, other := range []string{stream(LedgerID{2}, one.author, one.leaves[0]), stream(one.ledger, two.author, one.leaves[0]), stream(one.ledger, one.author, one.leaves[1])} {
		if seen[other] {
			t.Error("one key gives one stream in two places")
		}
		seen[other] = true
	}
}

// Who knows every byte of a withheld part but has not its salt finds it nowhere: not in the
// frame, with all that he got and with all that he can compute from it.
func TestGuessIsNotConfirmed(t *testing.T) {
	r := cutRecordOf(newSeed(), LedgerID{1}, nil, numberedBodies(30)...)
	leaves := map[Hash]bool{}
	for _, leaf := range r.frame.Leaves {
		leaves[leaf] = true
	}
	const withheld = 13
	guess := r.bodies[withheld]
	if !leaves[PartLeaf(r.salts[withheld], guess)] {
		t.Fatal("the owner does not find it either")
	}
	frameKey := r.parts.FrameKey().ExposeSecret()
	secrets := [][]byte{make([]byte, 32), frameKey[:], r.frame.Root[:], r.ledger[:], r.author[:], nil}
	for i := range r.bodies {
		if i == withheld {
			continue
		}
		key := r.parts.Key(r.leaves[i]).ExposeSecret()
		secrets = append(secrets, r.salts[i][:], key[:], r.leaves[i][:], derive(key[:], TagPartCipher, partData(r.ledger, r.author, r.leaves[i])))
	}
	sum := sha256.Sum256(guess)
	tried := 0
	for _, secret := range secrets {
		for _, leaf := range []Hash{
			TaggedHash(TagPart, secret, guess), sha256.Sum256(append(slices.Clip(secret), guess...)), PartLeaf(Salt(derive(secret, TagPartSalt, number4(withheld), sum[:])), guess),
			PartLeaf(Salt(derive(secret, TagPartsSalts)), guess), Hash(derive(secret, TagPartKey, guess)), Hash(derive(secret, TagPartNone, number4(0))),
		} {
			tried++
			if leaves[leaf] {
				t.Errorf("confirmed by guess %d", tried)
			}
		}
	}
	if tried < 700 {
		t.Errorf("%d guesses", tried)
	}
}

// A file that was corrected under the same given salts: who held the salt of the old part
// can't find out what stands there now. Under salts of one's own nothing of two versions can
// be compared.
func TestCorrectedPartIsNotGuessed(t *testing.T) {
	issuer := PartSaltsFrom((*[32]byte)(bytes.Repeat([]byte{7}, 32)))
	before := numberedBodies(20)
	after := slices.Clone(before)
	const corrected = 7
	after[corrected] = []byte(`{"resourceType":"Observation","valueString":"positive"}`)
	for name, salts := range map[string]*PartSalts{"issuer's": &issuer, "own": nil} {
		old, now := cutRecordOf(newSeed(), LedgerID{1}, salts, before...), cutRecordOf(newSeed(), LedgerID{1}, salts, after...)
		leaves := map[Hash]bool{}
		for _, leaf := range now.frame.Leaves {
			leaves[leaf] = true
		}
		// The simpler salt, of the number alone, would be that of the old part.
		for i, salt := range old.salts {
			if leaves[PartLeaf(salt, after[corrected])] {
				t.Errorf("%s salts: confirmed with the salt of part %d", name, i)
			}
		}
		if !leaves[PartLeaf(now.salts[corrected], after[corrected])] {
			t.Errorf("%s salts: not there", name)
		}
		same := 0
		for _, leaf := range old.frame.Leaves {
			if leaves[leaf] {
				same++
			}
		}
		if salts == nil && same != 0 {
			t.Errorf("%d leaves of two versions are the same", same)
		}
	}
}

// The salts of an issuer make one root for the issuer and the patient, dummies included;
// keys and ciphertexts stay each one's own.
func TestIssuersRootIsThePatients(t *testing.T) {
	issuer := PartSaltsFrom((*[32]byte)(bytes.Repeat([]byte{7}, 32)))
	bodies := numberedBodies(20)
	one, two := cutRecordOf(newSeed(), LedgerID{1}, &issuer, bodies...), cutRecordOf(newSeed(), LedgerID{2}, &issuer, bodies...)
	if one.frame.Root != two.frame.Root || !slices.Equal(one.frame.Leaves, two.frame.Leaves) {
		t.Error("two roots")
	}
	for i := range bodies {
		if bytes.Equal(one.sealed[i], two.sealed[i]) {
			t.Errorf("part %d has one ciphertext", i)
		}
		if _, err := one.parts.Key(one.leaves[i]).Open(two.ledger, two.author, two.leaves[i], two.sealed[i]); !errors.Is(err, ErrDamaged) {
			t.Errorf("part %d: %v", i, err)
		}
	}
	if own := cutRecordOf(newSeed(), LedgerID{1}, nil, bodies...); own.frame.Root == one.frame.Root {
		t.Error("one's own salts give the issuer's root")
	}
	// The order of the parts counts: the number is in the salt.
	slices.Reverse(bodies)
	if turned := cutRecordOf(newSeed(), LedgerID{1}, &issuer, bodies...); turned.frame.Root == one.frame.Root {
		t.Error("one root for another order")
	}
}

// Every changed bit of a frame and of parts is found, and every shorter and longer one.
func TestPartsDamaged(t *testing.T) {
	r := cutRecordOf(newSeed(), LedgerID{1}, nil, numberedBodies(3)...)
	step := lane.Pick(1, 1, 29)
	sweep := func(what string, sealed []byte, open func([]byte) error) {
		t.Helper()
		if err := open(sealed); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for i := 0; i < len(sealed); i += step {
			b := bytes.Clone(sealed)
			b[i] ^= 1 << (i % 8)
			if err := open(b); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s, byte %d: %v", what, i, err)
			}
			if err := open(sealed[:i]); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s, cut at %d: %v", what, i, err)
			}
		}
		for _, more := range []int{1, 512, 1024, len(sealed)} {
			if err := open(append(bytes.Clone(sealed), make([]byte, more)...)); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s, %d bytes more: %v", what, more, err)
			}
		}
	}
	sweep("frame", r.region[:FrameSize(16)], func(b []byte) error {
		_, err := r.parts.FrameKey().Open(r.ledger, r.author, r.frame.Root, 16, b)
		return err
	})
	sweep("part", r.sealed[0], func(b []byte) error {
		_, err := r.parts.Key(r.leaves[0]).Open(r.ledger, r.author, r.leaves[0], b)
		return err
	})
}

// A frame is not believed because its key is right: its owner may be the one who lies.
func TestFramesOfLiars(t *testing.T) {
	r := cutRecordOf(newSeed(), LedgerID{1}, nil, numberedBodies(10)...)
	key := r.parts.FrameKey()
	rawKey := key.ExposeSecret()
	seal := func(leaves []Hash, root Hash) []byte {
		var plaintext []byte
		for _, leaf := range leaves {
			plaintext = append(plaintext, leaf[:]...)
		}
		nonce := make([]byte, 24)
		return frameAEAD(rawKey[:]).Seal(nonce, nonce, plaintext, partData(r.ledger, r.author, root))
	}
	good := r.frame.Leaves
	swapped, doubled := slices.Clone(good), slices.Clone(good)
	swapped[3], swapped[4] = swapped[4], swapped[3]
	doubled[7] = doubled[6]
	reversed := slices.Clone(good)
	slices.Reverse(reversed)
	more := append(slices.Clone(good), r.parts.Frame(r.leaves[:1]).Leaves...)
	slices.SortFunc(more, compareHashes)
	larger := append(slices.Clone(good), make([]Hash, 48)...)
	for i := range 48 {
		larger[16+i] = Hash{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, byte(i)}
	}
	open := func(root Hash, slots int, sealed []byte) error {
		f, err := key.Open(r.ledger, r.author, root, slots, sealed)
		if (err == nil) != (f.Leaves != nil) {
			t.Error("a frame beside an error")
		}
		return err
	}
	if err := open(r.frame.Root, 16, seal(good, r.frame.Root)); err != nil {
		t.Fatal(err)
	}
	if err := open(partsRoot(larger), 64, seal(larger, partsRoot(larger))); err != nil {
		t.Fatal(err)
	}
	for what, bad := range map[string]struct {
		root   Hash
		slots  int
		sealed []byte
	}{
		"two exchanged":              {partsRoot(swapped), 16, seal(swapped, partsRoot(swapped))},
		"one twice":                  {partsRoot(doubled), 16, seal(doubled, partsRoot(doubled))},
		"downwards":                  {partsRoot(reversed), 16, seal(reversed, partsRoot(reversed))},
		"the root of others":         {partsRoot(larger), 16, seal(good, partsRoot(larger))},
		"no root":                    {Hash{}, 16, seal(good, Hash{})},
		"sealed for another root":    {r.frame.Root, 16, seal(good, partsRoot(larger))},
		"more slots":                 {r.frame.Root, 64, seal(good, r.frame.Root)},
		"fewer slots":                {partsRoot(larger), 16, seal(larger, partsRoot(larger))},
		"no class of slots":          {partsRoot(more[:32]), 32, seal(more[:32], partsRoot(more[:32]))},
		"one leaf":                   {partsRoot(good[:1]), 1, seal(good[:1], partsRoot(good[:1]))},
		"no leaf":                    {r.frame.Root, 0, seal(nil, r.frame.Root)},
		"fewer than none":            {r.frame.Root, -16, seal(good, r.frame.Root)},
		"more than there can be":     {r.frame.Root, 4 * maxSlots, make([]byte, FrameSize(4*maxSlots))},
		"a number that overflows":    {r.frame.Root, 1 << 62, seal(good, r.frame.Root)},
		"nothing":                    {r.frame.Root, 16, nil},
		"nothing behind the nonce":   {r.frame.Root, 16, make([]byte, 24)},
		"a leaf's node in its place": {partsRoot(good[:4]), 16, seal(good, partsRoot(good[:4]))},
	} {
		if err := open(bad.root, bad.slots, bad.sealed); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, open := range map[string]func() (Frame, error){
		"ledger": func() (Frame, error) {
			return key.Open(LedgerID{2}, r.author, r.frame.Root, 16, r.region[:FrameSize(16)])
		},
		"thread": func() (Frame, error) {
			return key.Open(r.ledger, newSeed().Key().Public(), r.frame.Root, 16, r.region[:FrameSize(16)])
		},
		"key": func() (Frame, error) {
			return newSeed().Parts(r.ledger, r.author, nil).FrameKey().Open(r.ledger, r.author, r.frame.Root, 16, r.region[:FrameSize(16)])
		},
	} {
		if _, err := open(); !errors.Is(err, ErrDamaged) {
			t.Errorf("another %s: %v", what, err)
		}
	}
}

// sealPlaintext seals any bytes as the part with that leaf, as only its owner can.
func sealPlaintext(r *cutRecord, leaf Hash, plaintext []byte) []byte {
	key := r.parts.Key(leaf).ExposeSecret()
	data := partData(r.ledger, r.author, leaf)
	return partAEAD(key[:], data).Seal(nil, noPartNonce, plaintext, data)
}

func partPlaintext(length uint32, salt Salt, body []byte, class int) []byte {
	b := append(append(binary.BigEndian.AppendUint32(nil, length), salt[:]...), body...)
	return append(b, make([]byte, max(0, class-len(b)))...)
}

// Nor is a part believed because its key is right.
func TestPartsOfLiars(t *testing.T) {
	r := cutRecordOf(newSeed(), LedgerID{1}, nil, numberedBodies(3)...)
	body, salt, leaf := r.bodies[1], r.salts[1], r.leaves[1]
	size := uint32(len(body))
	open := func(plaintext []byte) error {
		got, err := r.parts.Key(leaf).Open(r.ledger, r.author, leaf, sealPlaintext(r, leaf, plaintext))
		if err != nil && got != nil {
			t.Error("a body beside an error")
		}
		return err
	}
	good := partPlaintext(size, salt, body, 1024)
	if err := open(good); err != nil || !bytes.Equal(sealPlaintext(r, leaf, good), r.sealed[1]) {
		t.Fatal(err)
	}
	at := func(i int, value byte) []byte { b := bytes.Clone(good); b[i] ^= value; return b }
	for what, plaintext := range map[string][]byte{
		"the next class":              partPlaintext(size, salt, body, 1536),
		"a class of powers of two":    partPlaintext(size, salt, body, 2048),
		"a class of the other kind":   partPlaintext(size, salt, body, 1280),
		"exact":                       partPlaintext(size, salt, body, 0),
		"smaller than every class":    partPlaintext(size, salt, body, 512),
		"one byte less":               good[:1023],
		"one byte more":               append(bytes.Clone(good), 0),
		"a byte behind the body":      at(36+len(body), 1),
		"a byte at the end":           at(1023, 0x80),
		"a length one less":           partPlaintext(size-1, salt, body, 1024),
		"a length one more":           partPlaintext(size+1, salt, body, 1024),
		"a length to the end":         partPlaintext(1024-36, salt, body, 1024),
		"a length beyond the end":     partPlaintext(1024-35, salt, body, 1024),
		"a length of another class":   partPlaintext(1400, salt, body, 1024),
		"the largest length":          partPlaintext(1<<32-1, salt, body, 1024),
		"a length of the sign":        partPlaintext(1<<31, salt, body, 1024),
		"a length of none":            partPlaintext(0, salt, body, 1024),
		"another body":                partPlaintext(uint32(len(r.bodies[0])), salt, r.bodies[0], 1024),
		"another salt":                partPlaintext(size, r.salts[0], body, 1024),
		"another part":                partPlaintext(uint32(len(r.bodies[0])), r.salts[0], r.bodies[0], 1024),
		"salt and body shifted":       partPlaintext(size-1, Salt(append(slices.Clone(salt[1:]), body[0])), body[1:], 1024),
		"nothing":                     nil,
		"less than length and salt":   good[:35],
		"length and salt only":        good[:36],
		"larger than parts can be":    make([]byte, 32<<20),
		"the least class, all zeros":  make([]byte, 1024),
		"a larger class, all zeros":   make([]byte, 24<<20),
		"the right one, and a second": slices.Concat(good, good),
	} {
		if err := open(plaintext); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A class is the least half octave that holds a part, and an octave and its half are the
// only sizes that a reader takes.
func TestPartClass(t *testing.T) {
	for _, c := range [][2]int{{0, 1024}, {988, 1024}, {989, 1536}, {1500, 1536}, {1501, 2048}, {2012, 2048}, {2013, 3072}, {3036, 3072}, {3037, 4096}, {4060, 4096}, {4061, 6144}, {MaxPart, 24 << 20}} {
		if got := PartClass(c[0]); got != c[1] {
			t.Errorf("%d: %d, want %d", c[0], got, c[1])
		}
	}
	var classes []int
	for c := 1024; c <= 16<<20; c *= 2 {
		classes = append(classes, c, c/2*3)
	}
	for n := -3; n < 20_000; n++ {
		if i := slices.Index(classes, n-PartOverhead); IsPartSize(n) != (i >= 0) {
			t.Errorf("%d bytes: %v", n, IsPartSize(n))
		}
		if n < 0 {
			continue
		}
		i := slices.Index(classes, PartClass(n))
		if i < 0 || classes[i] < n+36 || i > 0 && classes[i-1] >= n+36 {
			t.Errorf("%d: %d", n, PartClass(n))
		}
	}
	for _, n := range []int{-1 << 63, -1, 0, 16, 52, 32<<20 + 16, 1<<62 + 16, 1<<63 - 1} {
		if IsPartSize(n) {
			t.Errorf("%d bytes can be a part", n)
		}
	}
	if !IsPartSize(24<<20+16) || IsPartSize(16<<20+17) || PartClass(MaxPart) != 24<<20 {
		t.Error("the largest class")
	}
}

func TestSlots(t *testing.T) {
	for _, c := range [][2]int{{0, 16}, {16, 16}, {17, 64}, {64, 64}, {65, 256}, {230, 256}, {10_000, 16_384}, {16_385, 65_536}, {MaxParts, 65_536}} {
		if got := Slots(c[0]); got != c[1] {
			t.Errorf("%d parts: %d slots, want %d", c[0], got, c[1])
		}
	}
	for _, n := range []int{-1 << 63, -16, 0, 1, 32, 65_535, 65_537, 1 << 18, 1 << 62, 1<<63 - 1} {
		if Slots(n) == n {
			t.Errorf("%d is a number of slots", n)
		}
	}
	if Slots(MaxParts) != maxSlots || Slots(maxSlots) != maxSlots {
		t.Error("the most slots are not those of the most parts")
	}
	// As many parts as there can be.
	leaves := make([]Hash, MaxParts)
	for i := range leaves {
		leaves[i] = TaggedHash(TagPart, number4(i))
	}
	p := newSeed().Parts(LedgerID{1}, PubKey{2}, nil)
	f := p.Frame(leaves)
	if got, err := p.FrameKey().Open(LedgerID{1}, PubKey{2}, f.Root, maxSlots, p.SealFrame(f)); err != nil || !slices.Equal(got.Leaves, f.Leaves) {
		t.Error(err)
	}
}

// Lengths and offsets: who knows all of a record but one part, the whole blob included,
// and every body that could stand there, has as many candidates as there are of one
// class. With exact lengths he would have hardly more than one.
func TestLengthsLeaveCandidates(t *testing.T) {
	// Resources of eighteen kinds with forty codes each: a frame of a size of its own, and a
	// code's name that stands in it twice, of 4 to 69 letters.
	type candidate struct {
		body   []byte
		sealed int // bytes, as any owner would seal it
	}
	sizes := newSeed().Parts(LedgerID{}, PubKey{}, nil)
	for seed := range lane.Pick[uint64](40, 8, 2) {
		random := rand.New(rand.NewPCG(seed, 10))
		var dictionary []candidate
		for kind := range 18 {
			frame := bytes.Repeat([]byte("f"), 520+random.IntN(180)+180*kind)
			for code := range 40 {
				name := bytes.Repeat([]byte{'a' + byte(code%26)}, 4+random.IntN(66))
				body := slices.Concat(frame, name, name)
				salt, leaf, _ := sizes.Leaf(0, body)
				dictionary = append(dictionary, candidate{body, len(sizes.Seal(nil, salt, leaf, body))})
			}
		}
		var bodies [][]byte
		for range 60 {
			bodies = append(bodies, dictionary[random.IntN(len(dictionary))].body)
		}
		r := cutRecordOf(newSeed(), LedgerID{1}, nil, bodies...)
		padded, exact := map[int]int{}, map[int]int{}
		for withheld := range bodies {
			// All others are granted: in the region, what no item covers is the part and its class.
			unseen := len(r.region) - FrameSize(len(r.frame.Leaves))
			for i := range bodies {
				if i != withheld {
					unseen -= PartClass(len(bodies[i])) + PartOverhead
				}
			}
			if unseen != len(r.sealed[withheld]) {
				t.Fatalf("%d bytes are uncovered, the part has %d", unseen, len(r.sealed[withheld]))
			}
			for _, c := range dictionary {
				if c.sealed == unseen {
					padded[withheld]++
				}
				if len(c.body) == len(bodies[withheld]) {
					exact[withheld]++
				}
			}
		}
		counts, exactly := slices.Sorted(maps.Values(padded)), slices.Sorted(maps.Values(exact))
		if len(counts) != len(bodies) || counts[0] < 20 {
			t.Errorf("seed %d: %v candidates", seed, counts)
		}
		if exactly[len(exactly)/2] > 2 {
			t.Errorf("seed %d: lengths alone say too little for this test: %v", seed, exactly)
		}
	}
}

func FuzzOpenPart(f *testing.F) {
	r := cutRecordOf(fixedEntropy(0).Root().Seed(LedgerID{}, Nonce{}), LedgerID{1}, nil, numberedBodies(12)...)
	for i := range r.sealed {
		f.Add(r.sealed[i])
	}
	key := r.parts.Key(r.leaves[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		body, err := key.Open(r.ledger, r.author, r.leaves[0], b)
		if err == nil && (!bytes.Equal(b, r.sealed[0]) || !bytes.Equal(body, r.bodies[0])) {
			t.Errorf("%q opened", body)
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
	})
}

// Whatever an owner seals, right key and leaf, is opened only in the one form that this
// program gives the same body.
func FuzzPartPlaintext(f *testing.F) {
	r := cutRecordOf(fixedEntropy(0).Root().Seed(LedgerID{}, Nonce{}), LedgerID{1}, nil)
	for _, body := range numberedBodies(12) {
		f.Add(partPlaintext(uint32(len(body)), Salt{1}, body, PartClass(len(body))), uint32(len(body)))
		f.Add(partPlaintext(uint32(len(body)), Salt{1}, body, 0), uint32(len(body)))
	}
	f.Fuzz(func(t *testing.T, plaintext []byte, size uint32) {
		if len(plaintext) < partHeadSize || int64(size) > int64(len(plaintext)-partHeadSize) {
			return
		}
		// The leaf of what stands there, so that only the form decides.
		salt, body := Salt(plaintext[4:]), plaintext[partHeadSize:][:size]
		leaf := PartLeaf(salt, body)
		sealed := sealPlaintext(r, leaf, plaintext)
		got, err := r.parts.Key(leaf).Open(r.ledger, r.author, leaf, sealed)
		if err != nil {
			return
		}
		if !bytes.Equal(got, body) || !bytes.Equal(r.parts.Seal(nil, salt, leaf, got), sealed) {
			t.Errorf("%q came back as %q", plaintext, got)
		}
	})
}

func FuzzOpenFrame(f *testing.F) {
	r := cutRecordOf(fixedEntropy(0).Root().Seed(LedgerID{}, Nonce{}), LedgerID{1}, nil, numberedBodies(12)...)
	key := r.parts.FrameKey()
	rawKey := key.ExposeSecret()
	var good []byte
	for _, leaf := range r.frame.Leaves {
		good = append(good, leaf[:]...)
	}
	f.Add(good, 16)
	f.Add(append(bytes.Clone(good), good...), 32)
	f.Add(good[:32], 1)
	f.Add(make([]byte, 64*32), 64)
	f.Fuzz(func(t *testing.T, leaves []byte, slots int) {
		list := make([]Hash, 0, len(leaves)/32)
		for b := range slices.Chunk(leaves, 32) {
			if len(b) == 32 {
				list = append(list, Hash(b))
			}
		}
		root := Hash{}
		if n := len(list); n > 0 && n&(n-1) == 0 {
			root = partsRoot(list)
		}
		nonce := make([]byte, 24)
		sealed := frameAEAD(rawKey[:]).Seal(nonce, nonce, leaves, partData(r.ledger, r.author, root))
		got, err := key.Open(r.ledger, r.author, root, slots, sealed)
		if err != nil {
			return
		}
		var again []byte
		for _, leaf := range got.Leaves {
			again = append(again, leaf[:]...)
		}
		if !bytes.Equal(again, leaves) || slots != len(list) || !slices.IsSortedFunc(list, compareHashes) || slots < 16 {
			t.Errorf("%d slots: %x came back as %x", slots, leaves, again)
		}
	})
}
