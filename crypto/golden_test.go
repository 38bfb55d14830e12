package crypto

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
)

// vectors are those of testdata/vectors/crypto.json, which another implementation
// made from FORMAT.md.
type vectors struct {
	tb   testing.TB
	hex  map[string][]byte
	txt  map[string]string
	used map[string]bool
}

func golden(tb testing.TB) *vectors {
	tb.Helper()
	b, err := os.ReadFile("../testdata/vectors/crypto.json")
	if err != nil {
		tb.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Name, Text string
			Hex        hexBytes
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		tb.Fatal(err)
	}
	g := &vectors{tb, map[string][]byte{}, map[string]string{}, map[string]bool{}}
	for _, v := range file.Vectors {
		if _, ok := g.txt[v.Name]; ok || (v.Text == "") == (v.Hex == nil) {
			tb.Fatalf("vector %q", v.Name)
		}
		g.hex[v.Name], g.txt[v.Name] = v.Hex, v.Text
	}
	return g
}

func (g *vectors) bytes(name string) []byte {
	g.tb.Helper()
	if g.hex[name] == nil {
		g.tb.Fatalf("no vector %q", name)
	}
	g.used[name] = true
	return g.hex[name]
}

func (g *vectors) text(name string) string {
	g.tb.Helper()
	if g.txt[name] == "" {
		g.tb.Fatalf("no vector %q", name)
	}
	g.used[name] = true
	return g.txt[name]
}

func (g *vectors) key(name string) *PrivateKey {
	g.tb.Helper()
	k, err := ParsePrivateKey(g.bytes(name))
	if err != nil {
		g.tb.Fatal(name, err)
	}
	return k
}

func (g *vectors) check(name string, got []byte) {
	g.tb.Helper()
	if want := g.bytes(name); !bytes.Equal(got, want) {
		g.tb.Errorf("%s is %x, want %x", name, got, want)
	}
}

func (g *vectors) checkText(name, got string) {
	g.tb.Helper()
	if want := g.text(name); got != want {
		g.tb.Errorf("%s is %s, want %s", name, got, want)
	}
}

func (g *vectors) checkKey(name string, got *PrivateKey) {
	g.tb.Helper()
	b := got.ExposeSecret()
	g.check(name, b[:])
}

func (g *vectors) sealContext() SealContext {
	return SealContext{LedgerID(g.bytes("ledger")), 3, PubKey(g.bytes("A"))}
}

func (g *vectors) shareContext() ShareContext {
	return ShareContext{LedgerID(g.bytes("ledger")), Hash(g.bytes("entry id")), PubKey(g.bytes("keeper")), Hash(g.bytes("access id"))}
}

func goldenRoot() Root { return fixedEntropy(0).Root() }

func TestGolden(t *testing.T) {
	g := golden(t)
	person := func(e Entropy, who string) (Root, *Identity) {
		root := e.Root()
		id := root.Identity()
		a := id.Address()
		g.check(who+"root", root.bytes())
		g.checkKey(who+"s", id.p().sign)
		g.checkKey(who+"v", id.p().view)
		g.check(who+"S", a.Sign[:])
		g.check(who+"V", a.View[:])
		g.checkKey(who+"self key", root.SelfKey())
		g.check(who+"address signature", a.Signature[:])
		g.checkText(who+"address", a.String())
		words := a.Words()
		g.checkText(who+"address words", strings.Join(words[:], " "))
		text, _ := strings.CutPrefix(a.String(), addressPrefix)
		b, err := codeText.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		g.check(who+"address bytes", b)
		if b, err := ParseAddress(g.text(who + "address")); err != nil || b != a {
			t.Error(err)
		}
		return root, id
	}
	e, err := EntropyFromWords(strings.Fields(g.text("words")))
	if err != nil {
		t.Fatal(err)
	}
	g.check("entropy", e.bytes())
	g.checkText("entropy text", e.Encode())
	root, _ := person(e, "")
	other, err := DecodeEntropy("QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8")
	if err != nil {
		t.Fatal(err)
	}
	g.check("clinician entropy", other.bytes())
	_, clinician := person(other, "clinician ")

	l, n, id := LedgerID(g.bytes("ledger")), Nonce(g.bytes("nonce")), Hash(g.bytes("entry id"))
	g.check("self-tag key", derive(root.bytes(), TagSelfTag, l[:]))
	tag := root.Tagger(l).Tag(n)
	g.check("self-tag", tag[:])
	seed := root.Seed(l, n)
	g.check("seed", seed.bytes())
	a := seed.Key()
	g.checkKey("a", a)
	author := a.Public()
	g.check("A", author[:])
	own, content := seed.Locator(id, 3), seed.ContentLocator()
	g.check("own locator of part 3", own[:])
	g.check("content locator", content[:])
	digest := TaggedHash(TagEntry, l[:], author[:])
	sig := a.Sign(digest)
	g.check("signature by a", sig[:])

	v, _ := decompress(clinician.Address().View)
	z, err := ecdh(&a.secret().d, &v, false)
	if err != nil {
		t.Fatal(err)
	}
	g.check("z", z[:])
	st, err := newStealth(a, &v, l, author, clinician.Address())
	if err != nil {
		t.Fatal(err)
	}
	g.checkKey("h_sig", newPrivateKey(st.prk.scalar(TagStealthSign, st.context), true))
	g.checkKey("h_seal", newPrivateKey(st.prk.scalar(TagStealthSeal, st.context), true))
	o, err := NewOffsets(l, a, clinician.Address())
	if err != nil {
		t.Fatal(err)
	}
	g.check("h_loc", o.loc.bytes())
	g.check("P_sig", o.Sig[:])
	g.check("P_seal", o.Seal[:])
	k, ok, err := clinician.Recognize(l, author, o.Sig)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	g.checkKey("p_sig", k.sign)
	g.checkKey("p_seal", k.seal)
	their := k.Locator(id, 3)
	g.check("their locator of part 3", their[:])
	sig = k.Sign(digest)
	g.check("signature by p_sig", sig[:])

	lock := seed.LockKey()
	g.check("K", lock.bytes())
	h := lock.Hash(l, author)
	g.check("H(K)", h[:])
	g.check("locked envelope", lock.Lock(l, author, g.bytes("envelope")))
	shares, err := seed.Shares(2, 3)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range shares {
		b, h := s.Bytes(), s.Hash(l, author)
		g.check("share "+string(rune('1'+i))+" of 3", b[:])
		g.check("hash of share "+string(rune('1'+i)), h[:])
	}
	many, err := seed.Shares(5, 9)
	if err != nil {
		t.Fatal(err)
	}
	last := many[8].Bytes()
	g.check("share 9 of 9", last[:])
	s, err := OpenShare(g.shareContext(), g.key("response key"), g.bytes("sealed share"))
	if err != nil || !s.Equal(shares[1]) {
		t.Error("sealed share", err)
	}

	open := func(name string, open func() ([]byte, error)) {
		t.Helper()
		if b, err := open(); err != nil || string(b) != g.text("payload") {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	two, one := g.bytes("payload sealed to P_seal and A"), g.bytes("payload sealed to the self key")
	open("P_seal", func() ([]byte, error) { return k.Open(g.sealContext(), two) })
	open("A", func() ([]byte, error) { return OpenPayload(g.sealContext(), a, two) })
	open("self", func() ([]byte, error) { return OpenPayload(g.sealContext(), root.SelfKey(), one) })
	blobHash := BlobHash(g.bytes("blob"))
	g.check("blob hash", blobHash[:])

	record := g.bytes("record content")
	fileKey, err := RecordFileKey(bytes.NewReader(record), recordIdentity(root.SelfKey()))
	if err != nil {
		t.Fatal(err)
	}
	exposed := fileKey.ExposeSecret()
	g.check("record file key", exposed[:])
	r, err := age.Decrypt(bytes.NewReader(record), recordIdentity(root.SelfKey()))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != g.text("record plaintext") {
		t.Errorf("%q, %v", b, err)
	}

	for name, place := range map[string]string{"": "", " with place": string(g.bytes("place"))} {
		code, err := ParseFetchCode(g.text("fetch code" + name))
		if err != nil || code.Ledger != l || code.Consent != id || code.Size != 12345 || code.Place != place {
			t.Errorf("%+v, %v", code, err)
		}
		g.checkText("fetch code"+name, code.String())
		text, _ := strings.CutPrefix(code.String(), fetchCodePrefix)
		b, err := codeText.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		g.check("fetch code bytes"+name, b)
	}
	for name, want := range map[string]struct{ name, place string }{
		"": {"Müller, 診療所", ""}, " with place": {"Dr Smith", string(g.bytes("place"))}, " with token": {"Dr Smith", string(g.bytes("place with token"))},
	} {
		card, err := ParseCard(g.text("card" + name))
		if err != nil || card.Name != want.name || card.Address != root.Identity().Address() || card.Place != want.place {
			t.Errorf("%+v, %v", card, err)
		}
		made, err := NewCard(root.Keys(LedgerID{}), want.name, want.place)
		if err != nil {
			t.Error(err)
		}
		g.checkText("card"+name, made.String())
		text, _ := strings.CutPrefix(made.String(), cardPrefix)
		b, err := codeText.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		g.check("card bytes"+name, b)
	}
	if b, err := root.LocalKey().Open("journal", g.bytes("local state")); err != nil || string(b) != "some state" {
		t.Errorf("%q, %v", b, err)
	}

	checkParts(g, seed, l, author)

	link, linkKey := seed.LinkID(), seed.LinkKey()
	g.check("link id", link.bytes())
	g.check("link key", linkKey.bytes())
	g.checkText("link id text", link.Encode())
	if got, err := ParseLinkID(g.text("link id text")); err != nil || !got.equal(link.secret32) {
		t.Error(err)
	}
	if got, err := ParseLinkKey(linkKey.Encode()); err != nil || !got.equal(linkKey.secret32) {
		t.Error(err)
	}
	g.check("link root", link.Root().bytes())
	to := link.Root().Identity().Address()
	if link.Identity().Address() != to || seed.LinkAddress() != to || link.SelfKey() != link.Root().SelfKey().Public() {
		t.Error("a link's wallet is not that of its root")
	}
	g.check("link S", to.Sign[:])
	g.check("link V", to.View[:])
	g.checkKey("link t", linkKey.SealKey())
	iv := seed.LinkIV(sha256.Sum256(g.bytes("link content")))
	g.check("link iv", iv[:])
	if got, err := linkKey.Cipher().Open(nil, iv[:], g.bytes("link ciphertext"), nil); err != nil || !bytes.Equal(got, g.bytes("link content")) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := lock.OpenLinkFile(l, id, g.bytes("link file")); err != nil || string(got) != "a JWE" {
		t.Errorf("%q, %v", got, err)
	}
	name := link.Name(l)
	g.check("link name", name[:])

	for name := range g.txt {
		if !g.used[name] {
			t.Errorf("vector %q is not checked", name)
		}
	}
	if len(g.txt) < 60 {
		t.Errorf("%d vectors", len(g.txt))
	}
}

// checkParts makes the parts of crypto.py: leaves, frames and ciphertexts.
func checkParts(g *vectors, seed Seed, l LedgerID, author PubKey) {
	same := slices.Repeat([][]byte{[]byte(`{"resourceType":"Basic","id":"one"}`)}, 16)
	var many [][]byte
	for i := range 300 {
		many = append(many, fmt.Appendf(nil, "%d-%s", i, strings.Repeat("x", 37*i)))
	}
	issuers := PartSaltsFrom((*[32]byte)(g.bytes("an issuer's salts")))
	g.check("parts seed", derive(seed.bytes(), TagPartsSeed))
	g.check("seed of the parts' salts", derive(g.bytes("parts seed"), TagPartsSalts))
	for _, set := range []struct {
		name   string
		salts  *PartSalts
		bodies [][]byte
	}{
		{"three parts", nil, [][]byte{same[0], nil, bytes.Repeat([]byte("x"), 989)}},
		{"parts under an issuer's salts", &issuers, same},
		{"300 parts", nil, many},
	} {
		p := seed.Parts(l, author, set.salts)
		var leaves []Hash
		parts := map[Hash][]byte{}
		for i, body := range set.bodies {
			salt, leaf, _ := p.Leaf(i, body)
			if i == 0 {
				g.check(set.name+": what a narrative of the first begins with", NarrativeHead(salt, leaf))
			}
			leaves = append(leaves, leaf)
			parts[leaf] = p.Seal(nil, salt, leaf, body)
		}
		first := leaves[0]
		g.check(set.name+": first leaf", first[:])
		f := p.Frame(leaves)
		if len(leaves) < len(f.Leaves) {
			if none := Hash(g.bytes(set.name + ": first leaf of none")); f.Slot(none) < 0 || slices.Contains(leaves, none) {
				g.tb.Errorf("%s: the first leaf of none is not there", set.name)
			}
		}
		var all, region []byte
		for _, leaf := range f.Leaves {
			all, region = append(all, leaf[:]...), append(region, parts[leaf]...)
		}
		sum := sha256.Sum256(all)
		g.check(set.name+": hash of the leaves", sum[:])
		g.check(set.name+": root", f.Root[:])
		key := p.FrameKey().ExposeSecret()
		g.check(set.name+": frame key", key[:])
		sum = sha256.Sum256(region)
		g.check(set.name+": sizes and hash of the parts", append(binary.BigEndian.AppendUint64(nil, uint64(len(region))), sum[:]...))
		g.check(set.name+": first part's slot", binary.BigEndian.AppendUint32(nil, uint32(f.Slot(first))))
		partKey := p.Key(first).ExposeSecret()
		g.check(set.name+": first part's key", partKey[:])
		g.check(set.name+": first part", parts[first])
		if body, err := PartKeyFrom((*[16]byte)(g.bytes(set.name+": first part's key"))).Open(l, author, first, g.bytes(set.name+": first part")); err != nil || !bytes.Equal(body, set.bodies[0]) {
			g.tb.Errorf("%s: %q, %v", set.name, body, err)
		}
		if len(f.Leaves) > 16 {
			continue
		}
		if got, err := PartsFrameKeyFrom(&key).Open(l, author, f.Root, len(f.Leaves), g.bytes(set.name+": frame")); err != nil || !slices.Equal(got.Leaves, f.Leaves) {
			g.tb.Errorf("%s: frame: %v", set.name, err)
		}
	}
}
