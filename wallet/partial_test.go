package wallet_test

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
	"golang.org/x/crypto/chacha20poly1305"
)

// canary is a word that stands in one part of the fixture and nowhere else.
func canary(part int) string { return fmt.Sprintf("Canary%02dSings", part) }

// partKind is what the owner says of a part of the fixture, so that these tests do not
// hang on what tables say.
type partKind struct {
	category  payload.Category
	sensitive []health.Sensitivity
}

// kinds are those of the parts that canaryFile makes.
var kinds = []partKind{
	0: {"demographics", nil},
	1: {"labs", nil},
	2: {"problems", []health.Sensitivity{health.MentalHealth}},
	3: {"medications", []health.Sensitivity{health.MentalHealth}},
	4: {"vitals", nil},
	5: {"problems", nil},
	6: {"documents", nil}, // the narrative of 5
	7: {"documents", nil},
	8: {"labs", []health.Sensitivity{health.Unclassified}},
	9: {"medications", nil},
}

// canaryFile is a bundle of FHIR with a canary in every part: where codes stand, in what is
// contained, in extensions, in ids, in base64. more are further results.
func canaryFile(more int) []byte {
	entry := func(i int, resource string) string {
		return fmt.Sprintf(`  {"fullUrl": "urn:uuid:00000000-0000-4000-8000-%012d", "resource": {%s}, "request": {"method": "POST", "url": "%s"}}`, i, resource, canary(i))
	}
	code := func(i int) string {
		return fmt.Sprintf(`"id": "r%d", "code": {"coding": [{"system": "http://loinc.org", "code": "1-%d"}], "text": %q}, "extension": [{"url": "urn:x", "valueString": %q}]`, i, i, canary(i), strings.ToLower(canary(i))+" again")
	}
	contained := func(i int) string {
		return fmt.Sprintf(`, "contained": [{"resourceType": "Observation", "id": "c", "valueString": "inside %s"}]`, canary(i))
	}
	entries := []string{
		entry(0, `"resourceType": "Patient", "id": "r0", "name": [{"family": "`+canary(0)+`", "given": ["Hildegard"]}], "birthDate": "1979-02-11"`),
		entry(1, `"resourceType": "Observation", "status": "final", `+code(1)+`, "effectiveDateTime": "2024-05-02", "subject": {"reference": "Patient/r0"}`),
		entry(2, `"resourceType": "Condition", `+code(2)+contained(2)),
		entry(3, `"resourceType": "MedicationRequest", `+code(3)+`, "reasonReference": [{"reference": "urn:uuid:00000000-0000-4000-8000-000000000002"}]`),
		entry(4, `"resourceType": "Observation", "status": "final", `+code(4)+`, "effectiveDateTime": "2023"`),
		entry(5, `"resourceType": "Condition", `+code(5)+`, "recordedDate": "2024-06-01", "text": {"status": "generated", "div": "<div>`+canary(6)+`</div>"}`),
		entry(7, `"resourceType": "DocumentReference", "id": "r7", "content": [{"attachment": {"data": "`+base64.StdEncoding.EncodeToString([]byte("letter: "+canary(7)))+`"}}]`),
		entry(8, `"resourceType": "Observation", "status": "final", `+code(8)+`, "note": [{"text": "a note"}]`),
		entry(9, `"resourceType": "MedicationRequest", `+code(9)),
	}
	for i := range more {
		entries = append(entries, entry(10+i, `"resourceType": "Observation", "status": "final", `+code(10+i)))
	}
	return []byte("{\"resourceType\": \"Bundle\", \"id\": \"" + canary(99) + "\", \"type\": \"batch\", \"total\": 9, \"entry\": [\n" + strings.Join(entries, ",\n") + "\n]}\n")
}

// clinic is a recipient without a wallet: the test holds the keys, and reads what lies in
// the store by itself.
type clinic struct {
	*crypto.Identity
	tn     *town
	ledger crypto.LedgerID
}

// partTown is a patient with the fixture as a record.
type partTown struct {
	*town
	patient *wallet.Wallet
	record  wallet.Record
	file    []byte
}

func newPartTown(t testing.TB, file []byte) *partTown {
	t.Helper()
	p := &partTown{town: newTown(t), file: file}
	p.patient = p.person("Maria")
	p.record = p.add(t, canary(98)+".json", file)
	return p
}

// add adds a file that is split, and says what its parts are.
func (p *partTown) add(t testing.TB, name string, file []byte) wallet.Record {
	t.Helper()
	ctx := context.Background()
	r, _, err := p.patient.Records().Add(ctx, wallet.Source{Reader: bytes.NewReader(file), Name: name, Size: int64(len(file))}, wallet.Describe{Title: canary(97), OtherPerson: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, parts, err := p.patient.Records().Parts(ctx, r.ID.String())
	if err != nil || len(parts) < len(kinds) {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	plain := slices.Concat(health.Sensitivities(), []health.Sensitivity{health.Unclassified})
	say := func(numbers []int, k partKind) {
		drop := slices.DeleteFunc(slices.Clone(plain), func(s health.Sensitivity) bool { return slices.Contains(k.sensitive, s) })
		if _, err := p.patient.Records().Correct(ctx, r.ID.String(), numbers, health.Correction{Category: k.category, Add: k.sensitive, Drop: drop}); err != nil {
			t.Fatal(err)
		}
	}
	for i, k := range kinds {
		say([]int{i + 1}, k)
	}
	var rest []int
	for i := len(kinds); i < len(parts); i++ {
		rest = append(rest, i+1)
	}
	if len(rest) > 0 {
		say(rest, partKind{category: "labs"})
	}
	return r
}

// to makes a contact of somebody whose keys the test holds.
func (p *partTown) to(t testing.TB, name string) *clinic {
	t.Helper()
	c := &clinic{Identity: crypto.NewEntropy().Root().Identity(), tn: p.town}
	c.ledger, _ = p.patient.Ledger()
	if _, _, err := p.patient.Contacts().Add(context.Background(), name, c.Address().String()); err != nil {
		t.Fatal(err)
	}
	return c
}

// withWallet makes a contact of somebody who has a wallet.
func (p *partTown) withWallet(t testing.TB, name string) *wallet.Wallet {
	t.Helper()
	w := p.person(name)
	if _, _, err := p.patient.Contacts().Add(context.Background(), name, w.Address().String()); err != nil {
		t.Fatal(err)
	}
	return w
}

// plan plans a grant for a day.
func (p *partTown) plan(to string, sel health.Selection, records ...string) (*wallet.GrantPlan, error) {
	return p.patient.Grants().Plan(context.Background(), wallet.GrantRequest{To: to, Records: records, All: len(records) == 0, Select: sel, NotAfter: endOf(1)})
}

func (p *partTown) give(t testing.TB, to string, sel health.Selection, records ...string) wallet.Consent {
	t.Helper()
	g, err := p.plan(to, sel, records...)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := p.patient.Grants().Give(context.Background(), g)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// got is all that a recipient can get of a consent: what its keys decrypt, by raw bytes.
type got struct {
	tr           *payload.Terms
	env          *payload.Envelope
	terms, plain []byte            // terms and envelope as they were sealed
	region       map[string][]byte // of each record of which parts were given: the region
	frame        map[string]crypto.Frame
	bodies       [][]byte // of the parts
	output       []byte   // what the wallet's own program makes of it
}

// blob reads a payload of the store whole.
func (c *clinic) blob(t testing.TB, loc crypto.Locator) []byte {
	t.Helper()
	b, err := c.tn.services().Store.Blob(context.Background(), loc)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	out := make([]byte, b.Size())
	if _, err := b.ReadAt(out, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return out
}

// get opens all that a consent gives.
func (c *clinic) get(t testing.TB, id contract.ID) *got {
	t.Helper()
	f, err := folder.Open(c.tn.ledgerDir(), folder.Options{Clock: c.tn.clock})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e := entryOf(t, f, id)
	keys, ok, err := c.Recognize(c.ledger, e.Author, e.Counterparty)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	sc := func(part ledgerclient.Part) crypto.SealContext {
		return crypto.SealContext{Ledger: c.ledger, Part: byte(part), Author: e.Author}
	}
	g := &got{region: map[string][]byte{}, frame: map[string]crypto.Frame{}}
	sealed := must(crypto.OpenBlob(c.blob(t, keys.Locator(id, byte(ledgerclient.PartTerms)))))(t)
	g.terms = must(keys.Open(sc(ledgerclient.PartTerms), sealed))(t)
	g.tr = must(payload.ParseTerms(g.terms[64:]))(t)
	d := must(ledgerclient.Parse[ledgerclient.Deposit](must(must(foldertest.Share(c.tn.ledgerDir(), id.String()))(t).Read())(t)))(t)
	lock := must(crypto.CombineShares([]crypto.Share{d.Share}, 1))(t)
	locked := must(crypto.OpenBlob(c.blob(t, keys.Locator(id, byte(ledgerclient.PartEnvelope)))))(t)
	g.plain = must(keys.Open(sc(ledgerclient.PartEnvelope), must(lock.Unlock(c.ledger, e.Author, locked))(t)))(t)
	g.env = must(payload.ParseEnvelope(g.plain))(t)
	for i := range g.env.Parts {
		p := &g.env.Parts[i]
		region := c.blob(t, crypto.Locator(p.Content))[p.Start:p.End]
		frame, err := crypto.PartsFrameKeyFrom((*[32]byte)(&p.FrameKey)).Open(c.ledger, p.Author, p.Root, p.Slots, region[:crypto.FrameSize(p.Slots)])
		if err != nil {
			t.Fatal(err)
		}
		g.region[p.Record.String()], g.frame[p.Record.String()] = region, frame
		for _, it := range p.Items {
			body, err := crypto.PartKeyFrom((*[16]byte)(&it.Key)).Open(c.ledger, p.Author, frame.Leaves[it.Slot], region[it.At:it.At+it.Length])
			if err != nil {
				t.Fatalf("a granted part does not open: %v", err)
			}
			g.bodies = append(g.bodies, body)
		}
	}
	return g
}

// everything is all bytes that a recipient has, with every text in base64 decoded.
func (g *got) everything() []byte {
	all := slices.Concat(g.terms, g.plain, g.output)
	for _, b := range g.bodies {
		all = append(append(all, 0), b...)
	}
	for _, r := range g.region {
		all = append(append(all, 0), r...)
	}
	for _, f := range g.frame {
		for _, l := range f.Leaves {
			all = append(all, l[:]...)
		}
	}
	for _, word := range bytes.FieldsFunc(all, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '+' || r == '/' || r == '=')
	}) {
		if b, err := base64.StdEncoding.DecodeString(string(word)); err == nil && len(b) > 3 {
			all = append(append(all, 0), b...)
		} else if b, err := base64.RawStdEncoding.DecodeString(string(word)); err == nil && len(b) > 3 {
			all = append(append(all, 0), b...)
		}
	}
	return all
}

// search looks for secrets in all forms.
func (g *got) search(t testing.TB, secrets map[string][]byte) (found []string) {
	t.Helper()
	all := g.everything()
	for name, secret := range secrets {
		for form, b := range disguises(secret) {
			if bytes.Contains(all, b) {
				found = append(found, name+" as "+form)
			}
		}
	}
	slices.Sort(found)
	return found
}

// received is what a recipient's own wallet makes of a consent, file and JSON.
func received(t testing.TB, w *wallet.Wallet, id contract.ID) []byte {
	t.Helper()
	ctx := context.Background()
	o, err := w.Inbox().OpenByID(ctx, id.String(), "")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	to := must(wallet.PrepareFetch(t.TempDir(), o.Consent, false))(t)
	var paths []string
	for i := range o.Records {
		path := must(to.Save(ctx, o, i, false, nil))(t)
		paths = append(paths, path)
		out.Write(must(os.ReadFile(path))(t))
		out.WriteString(filepath.Base(path))
		enc.Encode(o.File(i, path))
		enc.Encode(o.Records[i].Metadata)
	}
	must(to.Note(ctx, o, paths))(t)
	out.Write(must(os.ReadFile(filepath.Join(filepath.Dir(to.Dir), "manifest.json")))(t))
	enc.Encode(o.Consent)
	enc.Encode(must(w.Inbox().List(ctx))(t))
	return out.Bytes()
}

// Promise: who was given parts of a record, and has the whole blob, opens no other part
// with any key that he got, confirms no guess of one, and learns neither title, name, size
// nor hash of the whole. Nothing that was withheld stands in anything he can decrypt.
func TestPartsOpenNothingElse(t *testing.T) {
	p := newPartTown(t, canaryFile(0))
	c := p.to(t, "Dr Smith")
	consent := p.give(t, "Dr Smith", health.Selection{}, p.record.ID.String())
	g := c.get(t, consent.ID)
	given := []int{0, 1, 4, 5, 9}
	if len(g.bodies) != len(given) || len(g.env.Parts) != 1 || len(g.env.Records) != 0 {
		t.Fatalf("%d parts, %d records with some, %d whole", len(g.bodies), len(g.env.Parts), len(g.env.Records))
	}
	jones := p.withWallet(t, "Dr Jones")
	g.output = received(t, jones, p.give(t, "Dr Jones", health.Selection{}, p.record.ID.String()).ID)

	sum := sha256.Sum256(p.file)
	secrets := map[string][]byte{
		"title": []byte(canary(97)), "file name": []byte(canary(98)), "id of the bundle": []byte(canary(99)),
		"hash of the whole": sum[:],
	}
	for i := range kinds {
		secrets[fmt.Sprint("part ", i)] = []byte(canary(i))
	}
	var want []string
	for _, i := range given {
		delete(secrets, fmt.Sprint("part ", i))
		want = append(want, canary(i))
	}
	if found := g.search(t, secrets); len(found) > 0 {
		t.Errorf("found: %s", strings.Join(found, "\n"))
	}
	all := g.everything()
	for _, word := range want {
		if !bytes.Contains(all, []byte(word)) {
			t.Errorf("what was given is not there: %s", word)
		}
	}
	for _, number := range []int64{p.record.Size, int64(p.record.Parts)} {
		for _, b := range [][]byte{g.terms, g.plain} {
			if bytes.Contains(b, fmt.Appendf(nil, ":%d,", number)) || bytes.Contains(b, fmt.Appendf(nil, ":%d}", number)) {
				t.Errorf("the number %d of the whole stands in what he gets", number)
			}
		}
	}

	// Every key on everything that can be a ciphertext in the region, under every leaf.
	part := &g.env.Parts[0]
	region, frame := g.region[p.record.ID.String()], g.frame[p.record.ID.String()]
	opened := map[int]bool{}
	places := map[[2]int]bool{}
	var reach func(at int)
	seen := map[int]bool{}
	reach = func(at int) {
		if seen[at] {
			return
		}
		seen[at] = true
		for _, size := range []int{0, 1000, 1400, 2000} {
			n := crypto.PartClass(size) + crypto.PartOverhead
			if at+n <= len(region) {
				places[[2]int{at, n}] = true
				reach(at + n)
			}
		}
	}
	reach(crypto.FrameSize(part.Slots))
	for _, it := range part.Items {
		if !places[[2]int{int(it.At), int(it.Length)}] {
			t.Fatalf("the search does not try %d", it.At)
		}
		for place := range places {
			for slot, leaf := range frame.Leaves {
				_, err := crypto.PartKeyFrom((*[16]byte)(&it.Key)).Open(c.ledger, part.Author, leaf, region[place[0]:place[0]+place[1]])
				own := place[0] == int(it.At) && place[1] == int(it.Length) && slot == int(it.Slot)
				if (err == nil) != own {
					t.Errorf("the key of slot %d on %v under leaf %d: %v", it.Slot, place, slot, err)
				}
				if err == nil {
					opened[slot] = true
				}
			}
		}
	}
	if len(opened) != len(given) {
		t.Errorf("opened: %v", opened)
	}

	// He knows a withheld part to the byte, and what of it could stand anywhere.
	cut := must(health.Split(p.file))(t)
	secrets = map[string][]byte{}
	for i := range cut.Parts {
		if slices.Contains(given, i) {
			continue
		}
		body := cut.Parts[i].Append(nil)
		sum := sha256.Sum256(body)
		secrets[fmt.Sprint("SHA-256 of ", i)] = sum[:]
		bodies, untold := [][]byte{body}, []crypto.Salt{{}}
		for k, it := range part.Items { // salts that he has: they stand before the bodies
			region := region[it.At : it.At+it.Length]
			salt := saltOf(t, c.ledger, part, frame, &it, region, g.bodies[k])
			untold = append(untold, salt)
			bodies = append(bodies, append(crypto.NarrativeHead(salt, frame.Leaves[it.Slot]), body...)) // if it is a narrative
		}
		for _, salt := range untold {
			for _, body := range bodies {
				if leaf := crypto.TaggedHash(crypto.TagPart, salt[:], body); frame.Slot(leaf) >= 0 {
					t.Errorf("part %d is confirmed by its leaf", i)
				}
			}
		}
	}
	if found := g.search(t, secrets); len(found) > 0 {
		t.Errorf("confirmed: %s", strings.Join(found, "\n"))
	}
	// The test of guesses can confirm one: with the right salt a granted part is found.
	salt := saltOf(t, c.ledger, part, frame, &part.Items[0], region[part.Items[0].At:][:part.Items[0].Length], g.bodies[0])
	if leaf := crypto.TaggedHash(crypto.TagPart, salt[:], g.bodies[0]); frame.Slot(leaf) != int(part.Items[0].Slot) {
		t.Error("a granted part is not confirmed by its own salt")
	}
}

// saltOf is the salt of a granted part, which its recipient has: it is before the body.
func saltOf(t testing.TB, ledger crypto.LedgerID, p *payload.EnvelopePart, f crypto.Frame, it *payload.Item, sealed, body []byte) crypto.Salt {
	t.Helper()
	key := crypto.PartKeyFrom((*[16]byte)(&it.Key))
	plain := must(rawPart(ledger, p.Author, f.Leaves[it.Slot], key, sealed))(t)
	if int(binary.BigEndian.Uint32(plain)) != len(body) {
		t.Fatalf("%d bytes of body", binary.BigEndian.Uint32(plain))
	}
	return crypto.Salt(plain[4:])
}

// rawPart opens a part with nothing of package crypto: what is before its body shows.
func rawPart(ledger crypto.LedgerID, author crypto.PubKey, leaf crypto.Hash, key crypto.PartKey, sealed []byte) ([]byte, error) {
	k := key.ExposeSecret()
	context := slices.Concat(ledger[:], author[:], leaf[:])
	derived, err := hkdf.Key(sha256.New, k[:], nil, "carekey/v1/part-cipher\x00"+string(context), 32)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.New(derived)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, make([]byte, 12), sealed, context)
}

// Promise: two recipients who put together what they have open the union of what they were
// given, and nothing more.
func TestTwoRecipientsHaveTheUnion(t *testing.T) {
	p := newPartTown(t, canaryFile(0))
	a, b := p.to(t, "A"), p.to(t, "B")
	x := a.get(t, p.give(t, "A", health.Selection{Categories: []payload.Category{"labs"}, Without: []string{"demographics"}}).ID)
	y := b.get(t, p.give(t, "B", health.Selection{Categories: []payload.Category{"vitals", "medications"}}).ID)
	both := &got{terms: slices.Concat(x.terms, y.terms), plain: slices.Concat(x.plain, y.plain), bodies: slices.Concat(x.bodies, y.bodies), region: x.region, frame: x.frame}
	text := both.everything()
	want := map[int]bool{0: true, 1: true, 4: true, 9: true}
	for i := range kinds {
		if bytes.Contains(text, []byte(canary(i))) != want[i] {
			t.Errorf("part %d: %t", i, !want[i])
		}
	}
	if len(x.bodies) != 1 || len(y.bodies) != 3 {
		t.Errorf("%d and %d parts", len(x.bodies), len(y.bodies))
	}
	// Each key is of one part, whoever was given it: every key on every item of the other.
	px, py := &x.env.Parts[0], &y.env.Parts[0]
	region, frame := x.region[p.record.ID.String()], x.frame[p.record.ID.String()]
	for _, i := range px.Items {
		for _, k := range py.Items {
			if _, err := crypto.PartKeyFrom((*[16]byte)(&i.Key)).Open(a.ledger, px.Author, frame.Leaves[k.Slot], region[k.At:k.At+k.Length]); err == nil {
				t.Errorf("the key of slot %d opens %d", i.Slot, k.Slot)
			}
		}
	}
}

// Promise: by the tables alone, without a word of the owner's, nothing of a condition of
// mental health, of the medicine that only its reason ties to it, and of what no table
// knows is in anything that a recipient gets; nor anything that refers to them.
func TestTablesHoldBack(t *testing.T) {
	ctx := context.Background()
	file := must(os.ReadFile("../testdata/fhir/parts.json"))(t)
	p := &partTown{town: newTown(t), file: file}
	p.patient = p.person("Maria")
	var err error
	p.record, _, err = p.patient.Records().Add(ctx, wallet.Source{Reader: bytes.NewReader(file), Name: "maria.json", Size: int64(len(file))}, wallet.Describe{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := p.to(t, "Dr Smith")
	jones := p.withWallet(t, "Dr Jones")
	held := map[string][]byte{"condition": []byte("anxiety"), "its code": []byte("F41.1"), "its URL": []byte("3f0a7d5b0004"), "medicine": []byte("propranolol"), "its URL ": []byte("3f0a7d5b0006"),
		"title": []byte("Record of Maria"), "file": []byte("maria.json")}
	for _, sel := range []health.Selection{{}, {Categories: []payload.Category{"problems", "medications"}}, {Role: "nurse"}, {With: []string{"documents", "unclassified"}}} {
		g := c.get(t, p.give(t, "Dr Smith", sel, p.record.ID.String()).ID)
		g.output = received(t, jones, p.give(t, "Dr Jones", sel, p.record.ID.String()).ID)
		if found := g.search(t, held); len(found) > 0 {
			t.Errorf("%+v: found %s", sel, strings.Join(found, ", "))
		}
		if !bytes.Contains(g.everything(), []byte("levothyroxine")) {
			t.Errorf("%+v: nothing is there", sel)
		}
	}
	// Named, they go.
	g := c.get(t, p.give(t, "Dr Smith", health.Selection{With: []string{"mental-health"}}, p.record.ID.String()).ID)
	if all := g.everything(); !bytes.Contains(all, []byte("F41.1")) || !bytes.Contains(all, []byte("propranolol")) {
		t.Error("what was named does not go")
	}
}

// Threat: who gives the consent has a program of his own, and every field of the envelope
// lies. Nothing is written of it, whatever it is.
func TestHostileParts(t *testing.T) {
	lane.OneGoroutine(t)
	ctx := context.Background()
	p := newPartTown(t, canaryFile(30))
	other := p.add(t, "other.json", bytes.ReplaceAll(canaryFile(30), []byte("Hildegard"), []byte("Annegret")))
	plain := add(t, p.patient, "plain.txt", "no FHIR")
	smith := p.withWallet(t, "Dr Smith")
	labs := health.Selection{Categories: []payload.Category{"labs"}}
	plan, err := p.plan("Dr Smith", labs, p.record.ID.String(), other.ID.String())
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Records) != 2 || len(plan.Records[0].Given) < 30 {
		t.Fatalf("%+v", plan.Records)
	}
	last := func(e *payload.EnvelopePart) *payload.Item { return &e.Items[len(e.Items)-1] }
	for name, change := range map[string]func(env *payload.Envelope, tr *payload.Terms){
		"items of one record in the envelope of the other": func(env *payload.Envelope, _ *payload.Terms) {
			env.Parts[0].Items, env.Parts[1].Items = env.Parts[1].Items, env.Parts[0].Items
		},
		"one item of the other": func(env *payload.Envelope, _ *payload.Terms) {
			x := env.Parts[1].Items[0]
			x.Slot, x.Of = last(&env.Parts[0]).Slot, last(&env.Parts[0]).Of
			*last(&env.Parts[0]) = x
		},
		"the other record": func(env *payload.Envelope, _ *payload.Terms) {
			env.Parts[0], env.Parts[1] = env.Parts[1], env.Parts[0]
		},
		"the other's content": func(env *payload.Envelope, _ *payload.Terms) {
			a, b := &env.Parts[0], &env.Parts[1]
			a.Content, a.ContentSize, a.Head, a.Start, a.End = b.Content, b.ContentSize, b.Head, b.Start, b.End
		},
		"the other's frame":                 func(env *payload.Envelope, _ *payload.Terms) { env.Parts[0].FrameKey = env.Parts[1].FrameKey },
		"the other's thread":                func(env *payload.Envelope, _ *payload.Terms) { env.Parts[0].Author = env.Parts[1].Author },
		"the other's root, in the envelope": func(env *payload.Envelope, _ *payload.Terms) { env.Parts[0].Root = env.Parts[1].Root },
		"the other's root, in the terms":    func(_ *payload.Envelope, tr *payload.Terms) { tr.Records[0].Root = tr.Records[1].Root },
		"the other's root, in both": func(env *payload.Envelope, tr *payload.Terms) {
			env.Parts[0].Root, tr.Records[0].Root = env.Parts[1].Root, tr.Records[1].Root
		},
		"no root, in both": func(env *payload.Envelope, tr *payload.Terms) {
			env.Parts[0].Root, tr.Records[0].Root = crypto.Hash{}, crypto.Hash{}
		},
		"a leaf twice": func(env *payload.Envelope, _ *payload.Terms) { last(&env.Parts[0]).Slot = env.Parts[0].Items[0].Slot },
		"an item twice": func(env *payload.Envelope, _ *payload.Terms) {
			env.Parts[0].Items = append(env.Parts[0].Items, *last(&env.Parts[0]))
		},
		"slots out of order": func(env *payload.Envelope, _ *payload.Terms) {
			x := env.Parts[0].Items
			x[0], x[1] = x[1], x[0]
		},
		"two slots exchanged": func(env *payload.Envelope, _ *payload.Terms) {
			x := env.Parts[0].Items
			x[0].Slot, x[1].Slot, x[0].Of, x[1].Of = x[1].Slot, x[0].Slot, x[1].Of, x[0].Of
		},
		"a slot that is none": func(env *payload.Envelope, _ *payload.Terms) { last(&env.Parts[0]).Slot = uint32(env.Parts[0].Slots) },
		"a slot of no part": func(env *payload.Envelope, _ *payload.Terms) {
			x := last(&env.Parts[0])
			x.Slot++
			x.Of = x.Slot
		},
		"of nothing":               func(env *payload.Envelope, _ *payload.Terms) { last(&env.Parts[0]).Of = uint32(env.Parts[0].Slots) + 7 },
		"a narrative without body": func(env *payload.Envelope, _ *payload.Terms) { last(&env.Parts[0]).Of = freeSlot(&env.Parts[0]) },
		"a body as a narrative":    func(env *payload.Envelope, _ *payload.Terms) { last(&env.Parts[0]).Of = env.Parts[0].Items[0].Slot },
		"in the frame":             func(env *payload.Envelope, _ *payload.Terms) { env.Parts[0].Items[0].At = 24 },
		"overlapping": func(env *payload.Envelope, _ *payload.Terms) {
			env.Parts[0].Items[1].At = env.Parts[0].Items[0].At + 16
		},
		"behind the region": func(env *payload.Envelope, _ *payload.Terms) {
			last(&env.Parts[0]).At = uint32(env.Parts[0].End - env.Parts[0].Start)
		},
		"longer than the region": func(env *payload.Envelope, _ *payload.Terms) { last(&env.Parts[0]).Length = 1<<30 + 16 },
		"of another class":       func(env *payload.Envelope, _ *payload.Terms) { last(&env.Parts[0]).Length += 512 },
		"of no class":            func(env *payload.Envelope, _ *payload.Terms) { last(&env.Parts[0]).Length++ },
		"another place":          func(env *payload.Envelope, _ *payload.Terms) { last(&env.Parts[0]).At -= 8 },
		"another key":            func(env *payload.Envelope, _ *payload.Terms) { last(&env.Parts[0]).Key[3] ^= 1 },
		"another frame key":      func(env *payload.Envelope, _ *payload.Terms) { env.Parts[0].FrameKey[0] ^= 1 },
		"fewer slots":            func(env *payload.Envelope, _ *payload.Terms) { env.Parts[0].Slots = 16 },
		"more slots":             func(env *payload.Envelope, _ *payload.Terms) { env.Parts[0].Slots = 256 },
		"far too many slots":     func(env *payload.Envelope, _ *payload.Terms) { env.Parts[0].Slots = 1 << 40 },
		"no slots":               func(env *payload.Envelope, _ *payload.Terms) { env.Parts[0].Slots = 0 },
		"length beyond the blob": func(env *payload.Envelope, _ *payload.Terms) {
			x := &env.Parts[0]
			x.ContentSize = crypto.PadLength(2 * x.ContentSize)
			x.End = x.ContentSize
		},
		"begin before the blob": func(env *payload.Envelope, _ *payload.Terms) { env.Parts[0].Start = -4096 },
		"begin behind the blob": func(env *payload.Envelope, _ *payload.Terms) { env.Parts[0].Start = env.Parts[0].End + 4096 },
		"no items":              func(env *payload.Envelope, _ *payload.Terms) { env.Parts[0].Items = nil },
		"another version":       func(env *payload.Envelope, _ *payload.Terms) { env.Parts[0].Version++ },
		"another head":          func(env *payload.Envelope, _ *payload.Terms) { env.Parts[0].Head[0] ^= 1 },
		"a record more":         func(env *payload.Envelope, _ *payload.Terms) { env.Parts = append(env.Parts, env.Parts[1]) },
		"a record less":         func(env *payload.Envelope, _ *payload.Terms) { env.Parts = env.Parts[:1] },
		"one as whole": func(env *payload.Envelope, _ *payload.Terms) {
			x := env.Parts[0]
			env.Parts = env.Parts[1:]
			env.Records = []payload.EnvelopeRecord{{Record: x.Record, Version: x.Version, Content: x.Content, ContentSize: x.ContentSize, Head: x.Head, AgeSize: 4096, File: "whole.json"}}
		},
		"a title in the terms":          func(_ *payload.Envelope, tr *payload.Terms) { tr.Records[0].Title = "Psychosis" },
		"a date in the terms":           func(_ *payload.Envelope, tr *payload.Terms) { tr.Records[0].Date = "2024-05-01" },
		"another category in the terms": func(_ *payload.Envelope, tr *payload.Terms) { tr.Records[0].Category = "labs" },
		"no scope in the terms":         func(_ *payload.Envelope, tr *payload.Terms) { tr.Scope = nil },
		"words out of order in a scope": func(_ *payload.Envelope, tr *payload.Terms) {
			slices.Reverse(tr.Scope.Categories)
		},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := p.patient.Grants().GiveTwisted(ctx, plan, wallet.Twist{Change: change})
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			o, err := smith.Inbox().OpenByID(ctx, id.String(), "")
			if err == nil {
				to := must(wallet.PrepareFetch(dir, o.Consent, false))(t)
				for i := range o.Records {
					var out bytes.Buffer
					rerr := o.Read(ctx, i, &out, nil)
					path, serr := to.Save(ctx, o, i, true, nil)
					if (rerr == nil) != (serr == nil) {
						t.Errorf("Read says %v, Save %v", rerr, serr)
					}
					if rerr != nil && (out.Len() > 0 || path != "" && exists(path)) {
						t.Errorf("%d bytes of it, and the file %s", out.Len(), path)
					}
					err = errors.Join(err, serr)
				}
			}
			var tampered *ledgerclient.TamperedError
			if !errors.As(err, &tampered) {
				t.Errorf("taken: %v", err)
			}
			if box := must(smith.Inbox().List(ctx))(t); len(box) == 0 {
				t.Error("it hides the inbox")
			}
		})
	}
	// With no change it opens, a plain file beside it.
	all, err := p.plan("Dr Smith", labs, p.record.ID.String(), other.ID.String())
	if err != nil {
		t.Fatal(err)
	}
	all.Records = append(all.Records, wallet.Wholes(plain)...)
	id, err := p.patient.Grants().GiveTwisted(ctx, all, wallet.Twist{Change: func(*payload.Envelope, *payload.Terms) {}})
	if err != nil {
		t.Fatal(err)
	}
	if text := received(t, smith, id); !bytes.Contains(text, []byte(canary(1))) || !bytes.Contains(text, []byte("no FHIR")) {
		t.Errorf("%s", text)
	}
}

// freeSlot is one of which nothing is granted.
func freeSlot(e *payload.EnvelopePart) uint32 {
	for n := uint32(0); ; n++ {
		if !slices.ContainsFunc(e.Items, func(it payload.Item) bool { return it.Slot == n }) {
			return n
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// Threat: the store, or who holds its disk, changes any byte of the region, or answers with
// another record's.
func TestRegionIsChecked(t *testing.T) {
	ctx := context.Background()
	p := newPartTown(t, canaryFile(0))
	smith := p.withWallet(t, "Dr Smith")
	consent := p.give(t, "Dr Smith", health.Selection{Categories: []payload.Category{"labs"}})
	path := foldertest.Content(p.ledgerDir(), p.record.ID.String())
	whole := must(os.ReadFile(path))(t)
	read := func() (string, error) {
		o, err := smith.Inbox().OpenByID(ctx, consent.ID.String(), "")
		if err != nil {
			return "", err
		}
		var out strings.Builder
		err = o.Read(ctx, 0, &out, nil)
		return out.String(), err
	}
	good, err := read()
	if err != nil || !strings.Contains(good, canary(1)) {
		t.Fatal(good, err)
	}
	for _, at := range []int{0, 40, len(whole) / 2, len(whole) - 1000, len(whole) - 1} {
		changed := slices.Clone(whole)
		changed[at] ^= 1
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := read(); err == nil || out != "" {
			t.Errorf("byte %d of %d was changed: %d bytes, %v", at, len(whole), len(out), err)
		}
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := read(); err != nil || out != good {
		t.Errorf("put back: %v", err)
	}
}

// watchedStore notes what is read of contents, which are larger than all other payloads.
type watchedStore struct {
	ledgerclient.Store
	reads *[][2]int64 // from, up to
}

type watchedBlob struct {
	ledgerclient.Blob
	reads *[][2]int64
}

func (s watchedStore) Blob(ctx context.Context, loc crypto.Locator) (ledgerclient.Blob, error) {
	b, err := s.Store.Blob(ctx, loc)
	if err == nil && b.Size() > contract.PieceSize {
		b = watchedBlob{b, s.reads}
	}
	return b, err
}

func (b watchedBlob) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.Blob.ReadAt(p, off)
	*b.reads = append(*b.reads, [2]int64{off, off + int64(n)})
	return n, err
}

// Promise: the store sees that parts were granted, and not which: all of the region is read,
// in the same pieces, whoever was given whatever of it.
func TestStoreSeesNoneOfTheChoice(t *testing.T) {
	lane.OneGoroutine(t)
	ctx := context.Background()
	p := newPartTown(t, canaryFile(2500))
	p.withWallet(t, "Dr Smith")
	var reads [][2]int64
	o := p.options("Dr Smith")
	o.Services.Store = watchedStore{o.Services.Store, &reads}
	smith := must(wallet.Open(ctx, o))(t)
	read := func(sel health.Selection) (wallet.Consent, [][2]int64) {
		c := p.give(t, "Dr Smith", sel, p.record.ID.String())
		opened := must(smith.Inbox().OpenByID(ctx, c.ID.String(), ""))(t)
		reads = nil
		if err := opened.Read(ctx, 0, io.Discard, nil); err != nil {
			t.Fatal(err)
		}
		return c, reads
	}
	one, few := read(health.Selection{Categories: []payload.Category{"vitals"}})
	all, many := read(health.Selection{})
	n := map[bool]int{}
	region := [2]int64{}
	clinic := p.to(t, "Dr Jones")
	for i, sel := range []health.Selection{{Categories: []payload.Category{"vitals"}}, {}} {
		e := clinic.get(t, p.give(t, "Dr Jones", sel, p.record.ID.String()).ID).env.Parts[0]
		n[i == 1], region = len(e.Items), [2]int64{e.Start, e.End}
	}
	if one.ID == all.ID || n[false] > 3 || n[true] < 2500 || region[1]-region[0] < 2*contract.PieceSize {
		t.Fatalf("%d and %d parts of a region of %d bytes: this shows nothing", n[false], n[true], region[1]-region[0])
	}
	if !slices.Equal(few, many) {
		t.Errorf("for %d parts %v was read, for %d %v", n[false], few, n[true], many)
	}
	at := region[0] / contract.PieceSize * contract.PieceSize
	for _, r := range many {
		if r[0] < at-contract.PieceSize || r[0] > at && r[0] < region[1] {
			t.Errorf("%v was read, next is %d", r, at)
		}
		if r[0] <= at && r[1] > at {
			at = r[1]
		}
	}
	if at < region[1] {
		t.Errorf("the region ends at %d, and only up to %d was read", region[1], at)
	}
	// That parts were given it does see: who has the whole reads what is before them.
	if _, whole := read(health.Selection{Whole: true}); slices.Equal(whole, many) {
		t.Error("the store sees the same for a whole record: the guide says that it does not")
	}
}

// What is fetched of parts is a Bundle of exactly the granted bytes that says that it is
// not all; everything that tells of it says part, and nothing of the whole.
func TestFetchedPartsSayWhatTheyAre(t *testing.T) {
	ctx := context.Background()
	p := newPartTown(t, canaryFile(0))
	smith := p.withWallet(t, "Dr Smith")
	consent := p.give(t, "Dr Smith", health.Selection{With: []string{"documents"}}, p.record.ID.String())
	o, err := smith.Inbox().OpenByID(ctx, consent.ID.String(), "to look")
	if err != nil {
		t.Fatal(err)
	}
	r := &o.Records[0]
	name := "part-" + hex.EncodeToString(p.record.ID[:4]) + ".json"
	if !r.Part() || r.Title != "" || r.Date != "" || r.Category != payload.Part || r.File != name {
		t.Errorf("%+v", r.Metadata)
	}
	to := must(wallet.PrepareFetch(t.TempDir(), o.Consent, false))(t)
	path := must(to.Save(ctx, o, 0, false, nil))(t)
	b := must(os.ReadFile(path))(t)
	if r.SHA256 != sha256.Sum256(b) || r.Size != int64(len(b)) || filepath.Base(path) != name {
		t.Errorf("%s: %+v", path, r.Metadata)
	}
	if f := o.File(0, path); !f.Part || f.Title != "" || f.SHA256 != r.SHA256 {
		t.Errorf("%+v", f)
	}
	again := must(wallet.PrepareFetch(filepath.Dir(filepath.Dir(to.Dir)), o.Consent, false))(t)
	if same := must(again.Save(ctx, o, 0, false, nil))(t); same != path {
		t.Errorf("fetched twice it lies at %s and %s", path, same)
	}
	var bundle struct {
		ResourceType, Type string
		Meta               struct{ Security []struct{ Code string } }
		Entry              []map[string]json.RawMessage
	}
	if err := json.Unmarshal(b, &bundle); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	if bundle.ResourceType != "Bundle" || bundle.Type != "collection" || len(bundle.Meta.Security) != 1 || bundle.Meta.Security[0].Code != "SUBSETTED" {
		t.Errorf("%.300s", b)
	}
	// The resources of the original, byte for byte; in this file narratives stand last.
	var original struct{ Entry []map[string]json.RawMessage }
	if err := json.Unmarshal(p.file, &original); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for i, part := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9} {
		if slices.Contains([]int{0, 1, 4, 5, 7, 9}, part) {
			want[string(original.Entry[i]["fullUrl"])] = string(original.Entry[i]["resource"])
		}
	}
	for _, e := range bundle.Entry {
		url := string(e["fullUrl"])
		if len(e) != 2 || want[url] != string(e["resource"]) {
			t.Errorf("%s: %s, want %s", url, e["resource"], want[url])
		}
		delete(want, url)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}

	box := must(smith.Inbox().List(ctx))(t)
	if len(box) != 1 || !box[0].Records[0].Part || box[0].Records[0].Title != "" || box[0].Scope == nil {
		t.Errorf("inbox: %+v", box)
	}
	given := must(p.patient.Consents().List(ctx))(t)
	if len(given) != 1 || !given[0].Records[0].Part || given[0].Records[0].Title != canary(97) || given[0].Scope.Words() != box[0].Scope.Words() {
		t.Errorf("given: %+v", given)
	}
	if x := must(p.patient.Consents().ExplainAccess(ctx, "Dr Smith", p.record.ID.String()))(t); !x.Allowed || !x.Part {
		t.Errorf("explained: %+v", x)
	}
	events := must(p.patient.Audit().Events(ctx))(t)
	if last := events[len(events)-1]; last.What != wallet.Opened || !last.Records[0].Part {
		t.Errorf("audit: %+v", last)
	}
	// A process that has no cache reads the same from the store.
	if err := os.Remove(p.cacheOf("Maria")); err != nil {
		t.Fatal(err)
	}
	afresh := must(p.again("Maria").Consents().List(ctx))(t)
	if len(afresh) != 1 || afresh[0].Scope.Words() != given[0].Scope.Words() || !slices.Equal(afresh[0].Records, given[0].Records) {
		t.Errorf("afresh: %+v", afresh)
	}
}

// goesText is what of a plan's records goes, by the numbers of the fixture's parts.
func goesText(p *wallet.GrantPlan) string {
	if p == nil {
		return "no plan"
	}
	var out []string
	for _, r := range p.Records {
		what := "whole"
		if !r.Whole {
			what = strings.Trim(fmt.Sprint(r.Given), "[]")
		}
		out = append(out, strings.TrimSuffix(r.File, filepath.Ext(r.File))+": "+what)
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// What both sides read of a choice has nothing in it that was left out.
func TestScopeHasNothingLeftOut(t *testing.T) {
	p := newPartTown(t, canaryFile(0))
	p.to(t, "Dr Smith")
	g, err := p.patient.Grants().Plan(context.Background(), wallet.GrantRequest{To: "Dr Smith", Records: []string{p.record.ID.String()}, NotAfter: endOf(1),
		Select: health.Selection{With: []string{"mental-health", "hiv"}, Without: []string{"mental-health", "vitals"}}})
	if err != nil {
		t.Fatal(err)
	}
	if s := g.Scope; !slices.Equal(s.Sensitive, []string{"hiv"}) || !slices.Contains(s.Categories, "labs") || slices.Contains(s.Categories, "vitals") {
		t.Errorf("%+v", s)
	}
}

// What goes, however it was chosen: nothing sensitive, unclassified or of documents unless
// it is named, a record and a category together that category in that record, and what
// looks like FHIR and was not split only by its own name.
func TestWhatGoes(t *testing.T) {
	ctx := context.Background()
	p := newPartTown(t, canaryFile(0))
	p.to(t, "Dr Smith")
	addAs := func(name, text string, d wallet.Describe) string {
		d.OtherPerson = true
		r, _, err := p.patient.Records().Add(ctx, wallet.Source{Reader: strings.NewReader(text), Name: name, Size: int64(len(text))}, d, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r.ID.String()
	}
	bundle := p.record.ID.String()
	scan := addAs("scan.txt", "an x-ray", wallet.Describe{Category: "labs", Date: "2024-02-03"})
	letter := addAs("letter.txt", "Dear colleague", wallet.Describe{Category: "documents"})
	passport := addAs("passport.txt", "P<D", wallet.Describe{Category: "demographics"})
	twice := addAs("twice.json", `{"resourceType": "Observation", "status": "final", "status": "amended"}`, wallet.Describe{Category: "labs"})
	labs := []payload.Category{"labs"}
	const (
		c    = "Canary98Sings: "
		rest = "; letter: whole; passport: whole; scan: whole"
	)
	for _, tt := range []struct {
		name    string
		records []string
		all     bool
		sel     health.Selection
		kinds   []string
		goes    string
		left    string
	}{
		{"all", nil, true, health.Selection{}, nil, c + "0 1 4 5 9" + rest, "twice.json not-split"},
		{"the record", []string{bundle}, false, health.Selection{}, nil, c + "0 1 4 5 9", ""},
		{"a category", nil, false, health.Selection{Categories: labs}, nil, c + "0 1; scan: whole", "twice.json not-split"},
		{"a category in the record", []string{bundle}, false, health.Selection{Categories: labs}, nil, c + "0 1", ""},
		{"two records and a category", []string{bundle, passport}, false, health.Selection{Categories: labs}, nil, c + "0 1", "passport.txt category"},
		{"a category that the record has not", []string{scan}, false, health.Selection{Categories: []payload.Category{"vitals"}}, nil, "", "scan.txt category"},
		{"whom it is about does not go alone", []string{bundle}, false, health.Selection{Categories: []payload.Category{"images"}}, nil, "", "Canary98Sings.json "},
		{"demographics", []string{bundle}, false, health.Selection{Categories: []payload.Category{"demographics"}}, nil, c + "0", ""},
		{"with mental health", []string{bundle}, false, health.Selection{With: []string{"mental-health"}}, nil, c + "0 1 2 3 4 5 9", ""},
		{"with another sensitivity", []string{bundle}, false, health.Selection{With: []string{"hiv"}}, nil, c + "0 1 4 5 9", ""},
		{"with what is unclassified", []string{bundle}, false, health.Selection{With: []string{"unclassified"}}, nil, c + "0 1 4 5 8 9", ""},
		{"a kind of it", []string{bundle}, false, health.Selection{}, []string{"held back by you"}, c + "0 1 4 5 9", ""},
		{"with documents", []string{bundle}, false, health.Selection{With: []string{"documents"}}, nil, c + "0 1 4 5 6 7 9", ""},
		{"documents alone", []string{bundle}, false, health.Selection{Categories: []payload.Category{"documents"}}, nil, c + "0 7", ""},
		{"a narrative goes with its resource only", []string{bundle}, false, health.Selection{Categories: []payload.Category{"documents", "labs"}}, nil, c + "0 1 7", ""},
		{"without demographics", []string{bundle}, false, health.Selection{Without: []string{"demographics"}}, nil, c + "1 4 5 9", ""},
		{"without wins", []string{bundle}, false, health.Selection{With: []string{"mental-health"}, Without: []string{"mental-health", "vitals"}}, nil, c + "0 1 5 9", ""},
		{"without what its owner calls it", []string{scan, letter}, false, health.Selection{Without: []string{"labs"}}, nil, "letter: whole", "scan.txt without"},
		{"with a category, and without it", []string{scan, letter}, false, health.Selection{Categories: []payload.Category{"labs", "documents"}, Without: []string{"labs"}}, nil, "letter: whole", "scan.txt without"},
		{"dated", []string{bundle, scan}, false, health.Selection{Since: "2024-02", Until: "2024"}, nil, c + "0 1 5; scan: whole", ""},
		{"dated to the day", []string{bundle, scan}, false, health.Selection{Since: "2024-05-03"}, nil, c + "0 5", "scan.txt date"},
		{"coarser than the bound", []string{bundle}, false, health.Selection{Categories: []payload.Category{"vitals"}, Since: "2023-01"}, nil, "", "Canary98Sings.json "},
		{"as coarse as the bound", []string{bundle}, false, health.Selection{Categories: []payload.Category{"vitals"}, Since: "2023", Until: "2023"}, nil, c + "0 4", ""},
		{"the whole", []string{bundle}, false, health.Selection{Whole: true}, nil, c + "whole", ""},
		{"all of them whole", nil, true, health.Selection{Whole: true}, nil, c + "whole" + rest + "; twice: whole", ""},
		{"whole by the owner's category", nil, false, health.Selection{Whole: true, Categories: labs}, nil, "scan: whole; twice: whole", ""},
		{"what was not split, by its name", []string{twice}, false, health.Selection{}, nil, "twice: whole", ""},
		{"by its name and a category", []string{twice}, false, health.Selection{Categories: labs}, nil, "", "twice.json not-split"},
		{"by its name and a date", []string{twice}, false, health.Selection{Since: "2024"}, nil, "", "twice.json not-split"},
		{"by its name and without something", []string{twice, scan}, false, health.Selection{Without: []string{"demographics"}}, nil, "scan: whole", "twice.json not-split"},
		{"by a role", nil, false, health.Selection{Role: "general practitioner"}, nil, c + "0 1 2 3 4 5 6 7 9; letter: whole; scan: whole", "twice.json not-split"},
		{"by a role that holds less", []string{bundle}, false, health.Selection{Role: "nurse"}, nil, c + "0 4 5 9", ""},
		{"by a role and a category", []string{bundle}, false, health.Selection{Role: "nurse", Categories: []payload.Category{"labs", "vitals"}}, nil, c + "0 4", ""},
		{"whom it is about, though a role has it not", []string{bundle}, false, health.Selection{Role: "nurse", Categories: []payload.Category{"demographics"}}, nil, c + "0", ""},
		{"letters by their category", []string{letter, bundle}, false, health.Selection{Categories: []payload.Category{"labs"}, With: []string{"documents"}}, nil, c + "0 1 7; letter: whole", ""},
	} {
		g, err := p.patient.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", Records: tt.records, All: tt.all, Select: tt.sel, Kinds: tt.kinds, NotAfter: endOf(1)})
		if err != nil && !(tt.goes == "" && errors.Is(err, wallet.ErrEmpty)) {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var left []string
		for _, r := range g.Left {
			left = append(left, r.File+" "+r.Why)
		}
		if got, stays := goesText(g), strings.Join(left, "; "); got != tt.goes || stays != tt.left || (err == nil) != (tt.goes != "") {
			t.Errorf("%s: %q goes, %q stays (%v), want %q and %q", tt.name, got, stays, err, tt.goes, tt.left)
		}
	}
	// Nothing was chosen, or what cannot be.
	for name, r := range map[string]wallet.GrantRequest{
		"nothing":             {},
		"a word only":         {Select: health.Selection{With: []string{"hiv"}}},
		"no category":         {All: true, Select: health.Selection{Categories: []payload.Category{"part"}}},
		"no sensitivity":      {All: true, Select: health.Selection{With: []string{"labs"}}},
		"nothing to leave":    {All: true, Select: health.Selection{Without: []string{"everything"}}},
		"no date":             {All: true, Select: health.Selection{Since: "2024-0"}},
		"no such day":         {All: true, Select: health.Selection{Until: "2024-02-30"}},
		"backwards":           {All: true, Select: health.Selection{Since: "2024-03", Until: "2024-02"}},
		"whole and not":       {All: true, Select: health.Selection{Whole: true, Without: []string{"hiv"}}},
		"no such role":        {All: true, Select: health.Selection{Role: "astrologer"}},
		"not in the role":     {Select: health.Selection{Role: "nurse", Categories: labs}},
		"whole and by a role": {All: true, Select: health.Selection{Whole: true, Role: "nurse"}},
	} {
		r.To, r.NotAfter = "Dr Smith", endOf(1)
		if g, err := p.patient.Grants().Plan(ctx, r); err == nil {
			t.Errorf("%s: %s", name, goesText(g))
		}
	}
}

// What a person is told before she signs: what goes and what stays, and why, what nobody
// could classify, what the recipient will miss, and who can be read from the rest.
func TestPlanTells(t *testing.T) {
	p := newPartTown(t, canaryFile(0))
	p.to(t, "Dr Smith")
	g := must(p.plan("Dr Smith", health.Selection{}, p.record.ID.String()))(t)
	r := &g.Records[0]
	text := func(cs []wallet.Count) string {
		var out []string
		for _, c := range cs {
			out = append(out, fmt.Sprintf("%d %s", c.Number, c.Of))
		}
		return strings.Join(out, ", ")
	}
	for what, got := range map[string][2]string{
		"goes":      {text(r.Gives()), "1 demographics, 1 labs, 1 medications, 1 problems, 1 vitals"},
		"stays":     {text(r.Keeps()), "2 sensitive, 1 documents, 1 unclassified"},
		"sensitive": {text(r.Sensitive()), ""},
		"scope":     {g.Scope.Words(), "allergies, claims, demographics, devices, images, immunizations, labs, medications, other, problems, vitals; nothing sensitive, if there is any"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %q, want %q", what, got[0], got[1])
		}
	}
	// A narrative stays for its own sake only where what it belongs to goes.
	stays := func(sel health.Selection) string {
		g := must(p.plan("Dr Smith", sel, p.record.ID.String()))(t)
		return g.Records[0].Judged[6].Stays
	}
	for want, sel := range map[string]health.Selection{
		health.WhyDocuments: {Categories: []payload.Category{"problems"}},
		health.WhyCategory:  {Categories: []payload.Category{"labs"}},
		health.WhyWithout:   {Without: []string{"problems"}},
		"":                  {With: []string{"documents"}},
	} {
		if got := stays(sel); got != want {
			t.Errorf("the narrative stays for %q, and should for %q", got, want)
		}
	}
	var kinds []string
	for _, k := range g.Unknown {
		kinds = append(kinds, k.Of)
	}
	if !slices.Contains(kinds, "free text") || g.Unknown[0].Number != 1 {
		t.Errorf("unknown: %+v", g.Unknown)
	}
	if len(g.Missed) != 2 || g.Missed[0].Category != "medications" || g.Missed[1].Category != "problems" || g.Missed[0].Why != health.WhySensitive {
		t.Errorf("missed: %+v", g.Missed)
	}
	if g.Naming != nil {
		t.Errorf("naming: %+v", g.Naming)
	}
	// What is of one kind goes once that kind does, and of several once all of them do.
	some := must(p.patient.Grants().Plan(context.Background(), wallet.GrantRequest{To: "Dr Smith", All: true, Kinds: kinds[1:], NotAfter: endOf(1)}))(t)
	if goesText(some) != "Canary98Sings: 0 1 4 5 9" || len(some.Unknown) != 1 || some.Unknown[0].Of != kinds[0] {
		t.Errorf("%s, unknown %+v", goesText(some), some.Unknown)
	}
	again := must(p.patient.Grants().Plan(context.Background(), wallet.GrantRequest{To: "Dr Smith", All: true, Kinds: kinds, NotAfter: endOf(1)}))(t)
	if goesText(again) != "Canary98Sings: 0 1 4 5 8 9" || len(again.Unknown) != 0 || !slices.Contains(again.Scope.Sensitive, "unclassified") {
		t.Errorf("%s, unknown %+v, %s", goesText(again), again.Unknown, again.Scope.Words())
	}
	// The whole tells what is in it.
	whole := must(p.plan("Dr Smith", health.Selection{Whole: true}, p.record.ID.String()))(t)
	if got := text(whole.Records[0].Sensitive()); got != "2 mental-health" || whole.Scope != nil || len(whole.Missed) != 0 {
		t.Errorf("the whole: %q, %+v, %+v", got, whole.Scope, whole.Missed)
	}
	// Of four that go without the Patient one names her, by the id that it points to.
	hidden := must(p.plan("Dr Smith", health.Selection{Without: []string{"demographics"}}, p.record.ID.String()))(t)
	if hidden.Naming == nil || *hidden.Naming != (wallet.Naming{Resources: 1, Of: 4}) {
		t.Errorf("naming: %+v", hidden.Naming)
	}
	research := must(p.patient.Grants().Plan(context.Background(), wallet.GrantRequest{To: "Dr Smith", All: true, Purpose: "HRESCH", NotAfter: endOf(1)}))(t)
	if research.Naming == nil || research.Naming.Of != 4 || len(research.Missed) != 0 {
		t.Errorf("naming: %+v, missed %+v", research.Naming, research.Missed)
	}
	// A role's days and purposes bind, and it says what it is for.
	days := func(n int) contract.Hour { return must(wallet.EndAfter(fmt.Sprint(n, "d"), p.now))(t) }
	role := wallet.GrantRequest{To: "Dr Smith", All: true, Select: health.Selection{Role: "nurse"}, Until: days(30)}
	if g, err := p.patient.Grants().Plan(context.Background(), role); err != nil || g.Scope.Role != "nurse" || g.Scope.Beyond {
		t.Errorf("within the role: %+v, %v", g, err)
	}
	insurer := role
	insurer.Select.Role, insurer.Records, insurer.All = "insurer", nil, true
	if g, err := p.patient.Grants().Plan(context.Background(), insurer); !errors.Is(err, wallet.ErrEmpty) || g.Purpose != "HPAYMT" {
		t.Errorf("the insurer: %+v, %v", g, err)
	}
	for name, change := range map[string]func(r *wallet.GrantRequest){
		"longer":         func(r *wallet.GrantRequest) { r.Until = days(31) },
		"something else": func(r *wallet.GrantRequest) { r.Purpose = "HRESCH" },
	} {
		r := role
		change(&r)
		if _, err := p.patient.Grants().Plan(context.Background(), r); !errors.Is(err, wallet.ErrBeyondRole) {
			t.Errorf("%s: %v", name, err)
		}
		r.BeyondRole = true
		if g, err := p.patient.Grants().Plan(context.Background(), r); err != nil || !g.Scope.Beyond {
			t.Errorf("%s, and it was said: %+v %v", name, g, err)
		}
	}
}

// What nobody looked into when it was added is judged by its name, as FHIR is told.
func TestMayBeFHIR(t *testing.T) {
	for _, tt := range []struct {
		whole, file string
		want        bool
	}{
		{"", "bundle.json", true}, {"", "Bundle.JSON", true}, {"", "lines.ndjson", true}, {"", "bundle.json.gz", true}, {"", "lines.NDJSON.GZ", true},
		{"", "scan.pdf", false}, {"", "json", false}, {"", "scan.gz", false},
		{payload.WholeFHIR, "scan.pdf", true}, {payload.WholeFile, "values.json", false}, {payload.WholeFile, "values.json.gz", false},
	} {
		if got := (&wallet.Record{Whole: tt.whole, File: tt.file}).MayBeFHIR(); got != tt.want {
			t.Errorf("%q, %s: %t", tt.whole, tt.file, got)
		}
	}
}

// A consent of parts does not make one of the whole needless, nor the other way round.
func TestPartsOverlap(t *testing.T) {
	p := newPartTown(t, canaryFile(0))
	p.to(t, "Dr Smith")
	overlaps := func(sel health.Selection) bool {
		g := must(p.plan("Dr Smith", sel, p.record.ID.String()))(t)
		return slices.ContainsFunc(g.Warnings, func(w wallet.Warning) bool { return w.Kind == "overlap" })
	}
	p.give(t, "Dr Smith", health.Selection{}, p.record.ID.String())
	if overlaps(health.Selection{Whole: true}) || overlaps(health.Selection{}) {
		t.Error("parts are taken for the whole")
	}
	p.give(t, "Dr Smith", health.Selection{Whole: true}, p.record.ID.String())
	if !overlaps(health.Selection{Whole: true}) || !overlaps(health.Selection{}) {
		t.Error("the whole holds its parts, and it is not said")
	}
}

// A consent that moves to another ledger gives there what it gave here, whatever became of
// labels since.
func TestMovePartsStayParts(t *testing.T) {
	ctx := context.Background()
	p := newPartTown(t, canaryFile(0))
	c := p.to(t, "Dr Smith")
	consent := p.give(t, "Dr Smith", health.Selection{Categories: []payload.Category{"labs", "vitals"}, Until: "2025"})
	before := c.get(t, consent.ID)
	if _, err := p.patient.Records().Correct(ctx, p.record.ID.String(), []int{2}, health.Correction{Add: []health.Sensitivity{health.HIV}}); err != nil {
		t.Fatal(err)
	}
	to := newTown(t)
	o := p.options("Maria")
	o.Services = to.services()
	if _, _, err := wallet.Join(ctx, o, "there"); err != nil {
		t.Fatal(err)
	}
	from := p.again("Maria")
	w, err := from.On(ctx, to.services(), must(wallet.ReadSettings(o.Dir))(t).Ledgers[1].ID)
	if err != nil {
		t.Fatal(err)
	}
	moved, err := from.Moves().Run(ctx, w, nil)
	if err != nil || len(moved.Consents) != 1 {
		t.Fatalf("%+v %v", moved, err)
	}
	there := *c
	there.tn = to
	there.ledger, _ = w.Ledger()
	g := there.get(t, moved.Consents[0].Consent.ID)
	sorted := func(g *got) []string {
		var out []string
		for _, b := range g.bodies {
			out = append(out, string(b))
		}
		slices.Sort(out)
		return out
	}
	if !slices.Equal(sorted(g), sorted(before)) || len(g.bodies) != 3 || g.tr.Scope.Words() != before.tr.Scope.Words() || g.tr.Records[0].Root == before.tr.Records[0].Root {
		t.Errorf("%q became %q, %s", sorted(before), sorted(g), g.tr.Scope.Words())
	}
}
