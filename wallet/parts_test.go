package wallet_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// fixture is a FHIR file of the project's own.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	return must(os.ReadFile(filepath.Join("..", "testdata", "fhir", name)))(t)
}

func fileOf(name string, b []byte) wallet.Source {
	return wallet.Source{Reader: bytes.NewReader(b), Name: name, Size: int64(len(b))}
}

func addFHIR(t testing.TB, w *wallet.Wallet, name string, b []byte) wallet.Record {
	t.Helper()
	r, existing, err := w.Records().Add(context.Background(), fileOf(name, b), wallet.Describe{}, nil)
	if err != nil || existing {
		t.Fatal(existing, err)
	}
	return r
}

// partsFiles are what a person's wallet keeps of parts.
func (tn *town) partsFiles(name string) []string {
	tn.t.Helper()
	all := must(filepath.Glob(filepath.Join(tn.dir, "home of "+name, "ledgers", "*", "parts", "*")))(tn.t)
	return slices.DeleteFunc(all, func(path string) bool { return strings.HasSuffix(path, "-persons") })
}

// checkParts opens every part of a record's newest version by its own key, from the bytes
// that the store has, and returns the root: the parts are those of the file, and the whole
// file is beside them as it was, also for age.
func checkParts(t testing.TB, w *wallet.Wallet, r wallet.Record, file []byte) crypto.Hash {
	t.Helper()
	ctx := context.Background()
	for _, asAge := range []bool{false, true} {
		var out bytes.Buffer
		if _, err := w.Records().Open(ctx, r.ID.String(), &out, asAge, nil); err != nil {
			t.Fatal(err)
		}
		got := out.Bytes()
		if asAge {
			got = must(io.ReadAll(must(age.Decrypt(&out, w.AgeIdentity()))(t)))(t)
		}
		if !bytes.Equal(got, file) {
			t.Errorf("as age %t: other bytes than were added", asAge)
		}
	}
	m, frameKey, parts, err := w.Records().OwnedParts(ctx, r.ID)
	if err != nil || m.Parts == nil || r.Parts != m.Parts.Count || len(parts) != r.Parts || r.Whole != "" {
		t.Fatalf("%d of %d parts, %q, %v", len(parts), r.Parts, r.Whole, err)
	}
	blob := must(w.Records().ContentBlob(ctx, m))(t)
	region := blob[m.Parts.Start:m.Parts.End]
	sealedFrame := region[:crypto.FrameSize(m.Parts.Slots)]
	frame, err := frameKey.Open(m.Ledger, m.Author, m.Parts.Root, m.Parts.Slots, sealedFrame)
	if err != nil {
		t.Fatal(err)
	}
	cut := must(health.Split(file))(t)
	used := int64(len(sealedFrame))
	var head []byte // of a narrative of the part before
	for i, p := range parts {
		salt, body, err := p.Key.OpenSalted(m.Ledger, m.Author, frame.Leaves[p.Slot], region[p.At:p.At+p.Length])
		want := cut.Parts[i].Append(nil)
		if p.Text {
			if !bytes.HasPrefix(body, head) {
				t.Errorf("part %d does not name the resource that it is of", i+1)
			}
			body = body[len(head):]
		}
		head = crypto.NarrativeHead(salt, p.Leaf)
		if err != nil || !bytes.Equal(body, want) || p.Sum != sha256.Sum256(want) || p.Size != len(want) {
			t.Errorf("part %d: %v", i+1, err)
		}
		of := p.Slot
		if p.Text {
			of = parts[i-1].Slot
		}
		if p.Leaf != frame.Leaves[p.Slot] || p.Of != of || p.Entry != cut.Parts[i].Entry || p.Text != cut.Parts[i].Text {
			t.Errorf("part %d: %+v", i+1, p.Slot)
		}
		other := parts[(i+1)%len(parts)]
		if _, err := p.Key.Open(m.Ledger, m.Author, other.Leaf, region[other.At:other.At+other.Length]); err == nil && len(parts) > 1 {
			t.Errorf("part %d opens the next one", i+1)
		}
		used += p.Length
	}
	// In the order of their leaves, one behind the other.
	slices.SortFunc(parts, func(a, b wallet.OwnedPart) int { return a.Slot - b.Slot })
	at := int64(len(sealedFrame))
	for _, p := range parts {
		if p.At != at {
			t.Errorf("slot %d is at %d, want %d", p.Slot, p.At, at)
		}
		at += p.Length
	}
	if crypto.PadLength(m.Parts.Start+used) != m.Parts.End || m.Parts.End != m.ContentSize {
		t.Errorf("the region is %d to %d with %d in it", m.Parts.Start, m.Parts.End, used)
	}
	return m.Parts.Root
}

// Of a version that does not come onto the ledger nothing is kept.
func TestPartsOfWhatFailed(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	tn.person("Maria")
	o := tn.options("Maria")
	full := errors.New("disk full")
	o.Services.Ledger = failing{o.Services.Ledger, o.Services.Ledger.(ledgerclient.Prover), full}
	w := must(wallet.Open(ctx, o))(t)
	file := fixture(t, "parts.json")
	_, _, err := w.Records().Add(ctx, fileOf("parts.json", file), wallet.Describe{}, nil)
	if !errors.Is(err, full) {
		t.Error(err)
	}
	kept := func(what string, want int) {
		t.Helper()
		if all := must(filepath.Glob(filepath.Join(tn.dir, "home of Maria", "ledgers", "*", "parts", "*")))(t); len(all) != want {
			t.Errorf("%s: %d files of parts, not %d", what, len(all), want)
		}
	}
	kept("a record", 0)
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil }
	two := []wallet.File{{Name: "a.json", Size: int64(len(file)), Open: open}, {Name: "b.json", Size: int64(len(file)), Open: open}}
	if _, err := w.Records().AddAll(ctx, two, wallet.Describe{}, nil); !errors.Is(err, full) {
		t.Error(err)
	}
	kept("several", 0)
	if out, err := tn.again("Maria").Records().AddAll(ctx, two, wallet.Describe{}, nil); err != nil || len(out) != 2 || !out[1].Existing {
		t.Errorf("%+v, %v", out, err)
	}
	kept("the same twice", 2)
}

// A FHIR file is kept as it is and as parts with a key each, and says what is in it. What
// its owner knows of the parts follows from the file: it is the same when what was kept of
// it is gone, damaged, or another record's.
func TestParts(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	w := tn.person("Maria")
	file := fixture(t, "parts.json")
	r := addFHIR(t, w, "parts.json", file)
	cut := must(health.Split(file))(t)
	if r.Holds == nil || r.Holds.Entries == 0 || r.Holds.Form != health.FormBundle || r.Holds.NotSplit != "" || r.Parts != len(cut.Parts) {
		t.Fatalf("%+v %+v", r, r.Holds)
	}
	root := checkParts(t, w, r, file)
	second := addFHIR(t, w, "again.json", append(bytes.Clone(file), '\n'))
	if checkParts(t, w, second, append(bytes.Clone(file), '\n')) == root {
		t.Error("two records have one root")
	}
	_, parts, err := tn.again("Maria").Records().Parts(ctx, r.ID.String())
	if err != nil || len(parts) != r.Parts {
		t.Fatal(len(parts), err)
	}
	for i, p := range parts {
		if p.Number != i+1 || p.Of != 0 && !cut.Parts[i].Text || p.Of != i && cut.Parts[i].Text || p.Category == "" {
			t.Errorf("%+v", p)
		}
	}
	kept := tn.partsFiles("Maria")
	if len(kept) != 2 {
		t.Fatalf("%d files of parts", len(kept))
	}
	for name, damage := range map[string]func(path string) error{
		"removed":   os.Remove,
		"truncated": func(p string) error { return os.Truncate(p, 100) },
		"empty":     func(p string) error { return os.Truncate(p, 0) },
		"changed": func(p string) error {
			b, err := os.ReadFile(p)
			if err == nil {
				b[len(b)/2] ^= 1
				err = os.WriteFile(p, b, 0o600)
			}
			return err
		},
		"a folder": func(p string) error { return errors.Join(os.Remove(p), os.MkdirAll(p, 0o700)) },
	} {
		for _, path := range kept {
			os.RemoveAll(path)
		}
		checkParts(t, tn.again("Maria"), r, file) // writes one
		checkParts(t, tn.again("Maria"), second, append(bytes.Clone(file), '\n'))
		for _, path := range kept {
			if err := damage(path); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		w := tn.again("Maria")
		if _, again, err := w.Records().Parts(ctx, r.ID.String()); err != nil || !reflect.DeepEqual(again, parts) {
			t.Errorf("%s: %v, other parts", name, err)
		}
		checkParts(t, w, r, file)
	}
	for _, path := range kept {
		os.RemoveAll(path)
	}
	checkParts(t, w, r, file)
	checkParts(t, w, second, append(bytes.Clone(file), '\n'))
	// One file in the other's place is none.
	a, b := must(os.ReadFile(kept[0]))(t), must(os.ReadFile(kept[1]))(t)
	if err := errors.Join(os.WriteFile(kept[0], b, 0o600), os.WriteFile(kept[1], a, 0o600)); err != nil {
		t.Fatal(err)
	}
	checkParts(t, tn.again("Maria"), r, file)

	// The store is not asked for what is kept, and a removed record leaves nothing behind.
	if _, _, err := w.Records().Remove(ctx, second.ID.String()); err != nil {
		t.Fatal(err)
	}
	if left := tn.partsFiles("Maria"); len(left) != 1 {
		t.Errorf("%d files of parts are left of two records, one of them removed", len(left))
	}
	if all := must(filepath.Glob(filepath.Dir(kept[0]) + "/*"))(t); len(all) != 2 {
		t.Errorf("left of one record: %q", all)
	}
}

// What no parts were made of says why, and is kept as it is all the same.
func TestNotSplit(t *testing.T) {
	lane.OneGoroutine(t)
	ctx := context.Background()
	tn := newTown(t)
	w := tn.person("Maria")
	patient := `{"resourceType":"Patient","id":"p"}`
	many := `{"resourceType":"Bundle","type":"collection","entry":[` + strings.Repeat(`{"resource":`+patient+`},`, 70_000-1) + `{"resource":` + patient + `}]}`
	large := patient[:len(patient)-1] + `,"x":"` + strings.Repeat("x", health.MaxSplit-len(patient)) + `"}`
	blank := strings.Repeat(" ", 100<<10)
	for _, c := range []struct {
		name, file, whole string
		said              bool
	}{
		{"scan.bin", "\x00\x01\x02", payload.WholeFile, false},
		{"empty.txt", "", payload.WholeFile, false},
		{"note.txt", "resourceType of a note", payload.WholeFile, false},
		{"values.json", `{"a":1}`, payload.WholeFile, false},
		{"70,000.json", many, payload.WholeFHIR, true},
		{"large.json", large, payload.WholeFHIR, true},
		{"large.txt", large + "\n", payload.WholeFHIR, true},
		{"broken.json", patient[:len(patient)-1], payload.WholeFHIR, true},
		{"broken.txt", blank + patient[:len(patient)-1], payload.WholeFHIR, true},
	} {
		for _, piped := range []bool{false, true} {
			if piped && len(c.file) > 1<<20 && c.name != "large.txt" {
				continue
			}
			src := fileOf(c.name, []byte(c.file))
			if piped {
				src.Reader, src.Size = struct{ io.Reader }{src.Reader}, -1
			}
			r, existing, err := w.Records().Add(ctx, src, wallet.Describe{}, nil)
			if piped {
				if err != nil || !existing {
					t.Errorf("%s again: %t, %v", c.name, existing, err)
				}
				continue
			}
			if err != nil || r.Whole != c.whole || r.Parts != 0 || (r.Holds.NotSplit != "") != c.said {
				t.Errorf("%s: %q, %d parts, %+v, %v", c.name, r.Whole, r.Parts, r.Holds, err)
				continue
			}
			h := sha256.New()
			if _, err := tn.again("Maria").Records().Open(ctx, r.ID.String(), h, false, nil); err != nil || !bytes.Equal(h.Sum(nil), r.SHA256[:]) {
				t.Errorf("%s: %v", c.name, err)
			}
			if _, parts, err := w.Records().Parts(ctx, r.ID.String()); err != nil || len(parts) > 0 {
				t.Errorf("%s: %d parts, %v", c.name, len(parts), err)
			}
		}
	}
	if files := tn.partsFiles("Maria"); len(files) > 0 {
		t.Errorf("%d files of parts", len(files))
	}
}

// What the owner says of a part holds in every version with the same bytes, on every
// machine of hers, and after a restore; the later word stands.
func TestCorrect(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	words := crypto.NewEntropy()
	laptop, phone := tn.device("laptop", words), tn.device("phone", words)
	file := fixture(t, "parts.json")
	r := addFHIR(t, laptop, "parts.json", file)
	id := r.ID.String()
	part := func(w *wallet.Wallet, n int) wallet.PartInfo {
		t.Helper()
		_, parts, err := w.Records().Parts(ctx, id)
		if err != nil || len(parts) != r.Parts {
			t.Fatal(len(parts), err)
		}
		return parts[n-1]
	}
	const n = 2
	before := part(laptop, n)
	got := must(laptop.Records().Correct(ctx, id, []int{n}, health.Correction{Category: "vitals", Add: []health.Sensitivity{health.HIV}}))(t)
	if len(got) != 1 || got[0].Number != n || got[0].Category != "vitals" || !slices.Contains(got[0].Sensitive, health.HIV) || !got[0].Corrected {
		t.Fatalf("%+v", got)
	}
	if x := part(laptop, n); !reflect.DeepEqual(x, got[0]) {
		t.Errorf("shown: %+v", x)
	}
	keep(t, laptop)
	if x := part(phone, n); !reflect.DeepEqual(x, got[0]) {
		t.Errorf("on the other machine: %+v", x)
	}
	// Both say something of it: the later one stands, on both.
	must(laptop.Records().Correct(ctx, id, []int{n}, health.Correction{Category: "labs"}))(t)
	tn.now = tn.now.Add(time.Minute)
	later := must(phone.Records().Correct(ctx, id, []int{n}, health.Correction{Add: []health.Sensitivity{health.Violence}, Drop: []health.Sensitivity{health.HIV}}))(t)
	if slices.Contains(later[0].Sensitive, health.HIV) || !slices.Contains(later[0].Sensitive, health.Violence) || later[0].Category != "vitals" {
		t.Errorf("%+v", later)
	}
	keep(t, laptop)
	keep(t, phone)
	for _, w := range []*wallet.Wallet{laptop, phone} {
		if x := part(w, n); !reflect.DeepEqual(x, later[0]) {
			t.Errorf("in the end: %+v", x)
		}
	}
	// In the next version it is another part's number, with the same bytes.
	next := bytes.Replace(file, []byte(`"entry": [`), []byte(`"entry": [{"resource":{"resourceType":"Basic","id":"new"}},`), 1)
	r2, existing, err := laptop.Records().Update(ctx, id, fileOf("parts.json", next), wallet.Describe{}, nil)
	if err != nil || existing || r2.Parts != r.Parts+1 {
		t.Fatalf("%+v, %v", r2, err)
	}
	r = r2
	if x := part(laptop, n+1); !slices.Contains(x.Sensitive, health.Violence) || x.Category != "vitals" || !x.Corrected {
		t.Errorf("in the next version: %+v", x)
	}
	if x := part(laptop, n); x.Corrected {
		t.Errorf("another part was corrected: %+v", x)
	}
	restored, _, err := wallet.Restore(ctx, tn.options("restored"), wallet.RestoreRequest{Entropy: words, At: "x", Name: "Maria"})
	if err != nil {
		t.Fatal(err)
	}
	if x := part(restored, n+1); !slices.Contains(x.Sensitive, health.Violence) || x.Category != "vitals" {
		t.Errorf("after a restore: %+v", x)
	}
	// An empty one takes back what was said.
	if x := must(restored.Records().Correct(ctx, id, []int{n + 1}, health.Correction{}))(t); x[0].Corrected || x[0].Category != before.Category || !slices.Equal(x[0].Sensitive, before.Sensitive) {
		t.Errorf("taken back: %+v", x)
	}
	for _, bad := range []int{0, -1, r.Parts + 1} {
		if _, err := laptop.Records().Correct(ctx, id, []int{1, bad}, health.Correction{Category: "labs"}); !errors.Is(err, wallet.ErrInput) {
			t.Errorf("part %d: %v", bad, err)
		}
	}
	for _, bad := range []health.Correction{{Category: "no"}, {Add: []health.Sensitivity{"no"}}, {Drop: []health.Sensitivity{""}}} {
		if _, err := laptop.Records().Correct(ctx, id, []int{1}, bad); !errors.Is(err, wallet.ErrInput) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if x := part(laptop, 1); x.Corrected {
		t.Errorf("a refused correction was made: %+v", x)
	}
	text := add(t, laptop, "note.txt", "a note")
	if _, err := laptop.Records().Correct(ctx, text.ID.String(), []int{1}, health.Correction{Category: "labs"}); !errors.Is(err, wallet.ErrInput) {
		t.Errorf("a part of what has none: %v", err)
	}
}

// A file about somebody else is not added without a word, and can be read again then.
func TestOtherPerson(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	w := tn.person("Maria")
	leo, maria := fixture(t, "leo.json"), fixture(t, "parts.json")
	add(t, w, "note.txt", "a note")
	first := addFHIR(t, w, "maria.json", maria)
	src := fileOf("leo.json", leo)
	_, _, err := w.Records().Add(ctx, src, wallet.Describe{}, nil)
	var e *fault.Error
	if !errors.As(err, &e) || !errors.Is(err, wallet.ErrOtherPerson) || !strings.Contains(e.Value("person").(string), "Leo") || !strings.Contains(e.Value("known").(string), "Maria") || e.Value("born") != "2014-09-30" {
		t.Fatalf("%v", err)
	}
	if rest := must(io.ReadAll(src.Reader))(t); !bytes.Equal(rest, leo) {
		t.Errorf("%d bytes are left to be read, want %d", len(rest), len(leo))
	}
	for _, piped := range []wallet.Source{{Reader: struct{ io.Reader }{bytes.NewReader(leo)}, Name: "leo.json", Size: -1}} {
		if _, _, err := w.Records().Add(ctx, piped, wallet.Describe{}, nil); !errors.Is(err, wallet.ErrOtherPerson) {
			t.Errorf("of a pipe: %v", err)
		}
	}
	if rs := must(w.Records().List(ctx))(t); len(rs) != 2 {
		t.Fatalf("%d records", len(rs))
	}
	// The same person's next file is one, whoever was added in between.
	other, _, err := w.Records().Add(ctx, fileOf("leo.json", leo), wallet.Describe{OtherPerson: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	again := append(bytes.Clone(maria), '\n')
	third := addFHIR(t, w, "again.json", again)
	// An update is about whom the record is about.
	if _, _, err := w.Records().Update(ctx, other.ID.String(), fileOf("x.json", append(bytes.Clone(again), '\n')), wallet.Describe{}, nil); !errors.Is(err, wallet.ErrOtherPerson) {
		t.Errorf("an update about another person: %v", err)
	}
	if _, _, err := w.Records().Update(ctx, other.ID.String(), fileOf("x.json", append(bytes.Clone(leo), '\n')), wallet.Describe{}, nil); err != nil {
		t.Errorf("an update about the same person: %v", err)
	}
	// What is kept of the records may be gone, and the store not have one of them.
	for _, path := range tn.partsFiles("Maria") {
		os.Remove(path)
		os.Remove(path + "-persons")
	}
	w = tn.again("Maria")
	if _, _, err := w.Records().Remove(ctx, third.ID.String()); err != nil {
		t.Fatal(err)
	}
	addFHIR(t, w, "more.json", append(bytes.Clone(maria), '\n', '\n'))
	both := bytes.Replace(maria, []byte(`"entry": [`), []byte(`"entry": [{"resource":{"resourceType":"Patient","id":"leo","name":[{"family":"Example","given":["Leo"]}],"birthDate":"2014-09-30"}},`), 1)
	if _, _, err := tn.person("Ann").Records().Add(ctx, fileOf("two.json", both), wallet.Describe{}, nil); !errors.Is(err, wallet.ErrOtherPerson) {
		t.Errorf("a file about two: %v", err)
	}
	_ = first
}

// A record that does not say whose it is vouches for nobody: those before it are asked.
func TestOtherPersonBehindNobody(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	w := tn.person("Maria")
	maria, leo := fixture(t, "parts.json"), fixture(t, "leo.json")
	addFHIR(t, w, "maria.json", maria)
	nobody := addFHIR(t, w, "nobody.json", []byte(`{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","gender":"male"}}]}`))
	if _, _, err := w.Records().Add(ctx, fileOf("leo.json", leo), wallet.Describe{}, nil); !errors.Is(err, wallet.ErrOtherPerson) {
		t.Errorf("added behind a record of nobody's: %v", err)
	}
	if _, _, err := w.Records().Update(ctx, nobody.ID.String(), fileOf("leo.json", leo), wallet.Describe{}, nil); !errors.Is(err, wallet.ErrOtherPerson) {
		t.Errorf("in the place of a record of nobody's: %v", err)
	}
	addFHIR(t, w, "again.json", append(bytes.Clone(maria), '\n'))
	if _, _, err := w.Records().Update(ctx, nobody.ID.String(), fileOf("nobody.json", append(bytes.Clone(maria), '\n', '\n')), wallet.Describe{}, nil); err != nil {
		t.Errorf("the owner's: %v", err)
	}
}

// Title and date are what the file says, unless the owner gives others, and an update
// keeps what there was.
func TestTitleOfParts(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	w := tn.person("Maria")
	file := fixture(t, "parts.json")
	cut := must(health.Split(file))(t)
	about := health.About(cut)
	said := addFHIR(t, w, "file.json", file)
	if about.Title == "" || about.Date == "" || said.Title != about.Title || said.Date != about.Date || said.File != "file.json" {
		t.Errorf("%+v, want %+v", said, about)
	}
	own, _, err := w.Records().Add(ctx, fileOf("file.json", append(bytes.Clone(file), '\n')), wallet.Describe{Title: "mine", Date: "2001-02-03"}, nil)
	if err != nil || own.Title != "mine" || own.Date != "2001-02-03" {
		t.Errorf("%+v, %v", own, err)
	}
	next, _, err := w.Records().Update(ctx, own.ID.String(), fileOf("other.json", append(bytes.Clone(file), '\n', '\n')), wallet.Describe{}, nil)
	if err != nil || next.Title != "mine" || next.Date != "2001-02-03" || next.Parts != own.Parts {
		t.Errorf("%+v, %v", next, err)
	}
}

// Of a file that an issuer delivers again under the same salts, with one part corrected, who
// held that part before confirms no guess of what stands there now.
func TestGuessUnderOneSalt(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	w := tn.person("Maria")
	const corrected = 1
	file := func(says string) []byte {
		return []byte(`{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Condition","id":"a"}},
{"resource":{"resourceType":"Observation","id":"b","valueString":"` + says + `"}},{"resource":{"resourceType":"Condition","id":"c"}}]}`)
	}
	secret := [32]byte{7}
	salts := crypto.PartSaltsFrom(&secret)
	leaves := func(says string) (out []crypto.Hash) {
		r := must(w.Records().AddSalted(ctx, fileOf("salted.json", file(says)), payload.Salts(secret)))(t)
		_, _, parts, err := w.Records().OwnedParts(ctx, r.ID)
		if err != nil || len(parts) != 3 {
			t.Fatal(parts, err)
		}
		for _, p := range parts {
			out = append(out, p.Leaf)
		}
		return out
	}
	before, after := leaves("negative"), leaves("positive")
	if before[0] != after[0] || before[corrected] == after[corrected] {
		t.Fatal("not one salt")
	}
	body := func(says string) []byte { return must(health.Split(file(says)))(t).Parts[corrected].Append(nil) }
	seed := crypto.NewEntropy().Root().Seed(crypto.LedgerID{1}, crypto.NewNonce())
	keys := seed.Parts(crypto.LedgerID{1}, seed.Key().Public(), &salts) // salts and leaves are the issuer's
	salt, leaf, _ := keys.Leaf(corrected, body("negative"))
	if leaf != before[corrected] {
		t.Fatal("not the salt that is granted with the part")
	}
	if slices.Contains(after, crypto.TaggedHash(crypto.TagPart, salt[:], body("positive"))) {
		t.Error("confirmed")
	}
	if _, now, _ := keys.Leaf(corrected, body("positive")); now != after[corrected] {
		t.Error("the issuer does not find it either")
	}
}

// A move cuts a record anew and gives its parts other keys; what an issuer salted keeps
// its root. Corrections hold on the other ledger as well.
func TestMoveOfParts(t *testing.T) {
	ctx := context.Background()
	from, to := newTown(t), newTown(t)
	w := from.person("Maria")
	file := fixture(t, "parts.json")
	first := addFHIR(t, w, "parts.json", file)
	second, existing, err := w.Records().Update(ctx, first.ID.String(), fileOf("parts.json", append(bytes.Clone(file), '\n')), wallet.Describe{}, nil)
	if err != nil || existing {
		t.Fatal(err)
	}
	salted, err := w.Records().AddSalted(ctx, fileOf("salted.json", append(bytes.Clone(file), '\n', '\n')), payload.Salts{7})
	if err != nil {
		t.Fatal(err)
	}
	must(w.Records().Correct(ctx, first.ID.String(), []int{2}, health.Correction{Add: []health.Sensitivity{health.Genetic}}))(t)
	old := checkParts(t, w, second, append(bytes.Clone(file), '\n'))
	issued := checkParts(t, w, salted, append(bytes.Clone(file), '\n', '\n'))
	o := from.options("Maria")
	o.Services = to.services()
	if _, _, err := wallet.Join(ctx, o, "there"); err != nil {
		t.Fatal(err)
	}
	w = from.again("Maria")
	there := must(w.On(ctx, to.services(), must(wallet.ReadSettings(o.Dir))(t).Ledgers[1].ID))(t)
	if moved := must(w.Moves().Run(ctx, there, nil))(t); moved.Versions != 3 {
		t.Fatalf("%+v", moved)
	}
	for _, r := range must(there.Records().List(ctx))(t) {
		if r.Title == "salted" {
			if checkParts(t, there, r, append(bytes.Clone(file), '\n', '\n')) != issued {
				t.Error("the root is not the issuer's any more")
			}
			continue
		}
		if r.Version != 2 || checkParts(t, there, r, append(bytes.Clone(file), '\n')) == old {
			t.Errorf("%+v", r)
		}
		if _, parts, err := there.Records().Parts(ctx, r.ID.String()); err != nil || !slices.Contains(parts[1].Sensitive, health.Genetic) || !parts[1].Corrected {
			t.Errorf("%+v, %v", parts[1], err)
		}
	}
}

// What was added before files were split can be split by an update with the same bytes,
// and a file that is no FHIR gains nothing by it.
func TestSplitLater(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	w := tn.person("Maria")
	file := fixture(t, "parts.json")
	for name, split := range map[string]bool{"parts.json": true, "note.txt": false} {
		b := file
		if !split {
			b = []byte("a note")
		}
		old, err := w.Records().AddUnseen(ctx, fileOf(name, b))
		if err != nil || old.Parts != 0 || old.Whole != "" {
			t.Fatalf("%+v, %v", old, err)
		}
		if r, existing, err := w.Records().Add(ctx, fileOf(name, b), wallet.Describe{}, nil); err != nil || !existing || r.ID != old.ID {
			t.Errorf("%+v, %t, %v", r, existing, err)
		}
		r, existing, err := w.Records().Update(ctx, old.ID.String(), fileOf(name, b), wallet.Describe{}, nil)
		if err != nil || existing == split || r.Parts > 0 != split {
			t.Errorf("%s: %+v, %t, %v", name, r, existing, err)
		}
	}
}
