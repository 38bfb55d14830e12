package payload

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
)

// samplePart is what an envelope has of a record of 230 parts, four of which are granted:
// one, a narrative and its resource, and a large one.
func samplePart() EnvelopePart {
	const slots, age = 256, 300_000
	start := crypto.PartsStart(age-300, age, 0)
	frame := crypto.FrameSize(slots)
	return EnvelopePart{Record: crypto.Hash{7}, Author: crypto.PubKey{2}, Version: 2, Content: Locator{12}, ContentSize: 1 << 23, Head: crypto.Hash{13}, Start: start, End: 1 << 23, Slots: slots,
		Root: crypto.Hash{15}, FrameKey: FrameKey{16}, Items: Items{
			{0, 0, uint32(frame), 1040, PartKey{1}},
			{3, 100, uint32(frame + 3*1040), 1552, PartKey{2}},
			{100, 100, uint32(frame + 100*1040), 2064, PartKey{3}},
			{255, 255, 5 << 20, 1<<21 + 16, PartKey{4}},
		}}
}

func samplePartial(t testing.TB) (Metadata, Terms, Envelope) {
	m, tr, env, _ := samplePayloads(t)
	p := samplePart()
	p.Author = env.Author
	m.AgeSize, m.ContentSize = 300_000, p.ContentSize
	m.Parts = &MetadataParts{Split: 1, Count: 230, Slots: 256, Root: p.Root, Start: p.Start, End: p.End, Salts: &Salts{9}}
	tr.Scope = &Scope{Role: "nurse", Beyond: true, Categories: []Category{"medications", "vitals"}, Sensitive: []string{"mental-health", "unclassified"}, Since: "2024-03-01", Until: "2024-03-01"}
	tr.Records = append(slices.Clone(tr.Records), TermsRecord{Record: p.Record, Version: 2, Category: Part, Root: p.Root})
	env.Parts = []EnvelopePart{p}
	return m, tr, env
}

// What metadata, terms and envelopes say of parts comes back, and nothing else is read: each
// line is a change that no writer makes.
func TestPartsInRange(t *testing.T) {
	m, tr, env := samplePartial(t)
	check := func(what string, good bool, err error) {
		t.Helper()
		if (err == nil) != good {
			t.Errorf("%s: %v", what, err)
		}
	}
	metadata := func(change func(m *Metadata, p *MetadataParts)) error {
		m, p := m, *m.Parts
		m.Parts = &p
		change(&m, &p)
		_, err := ParseMetadata(Marshal(&m))
		return err
	}
	for what, change := range map[string]func(m *Metadata, p *MetadataParts){
		"as it is":              func(m *Metadata, p *MetadataParts) {},
		"own salts":             func(m *Metadata, p *MetadataParts) { p.Salts = nil },
		"one part":              func(m *Metadata, p *MetadataParts) { p.Count, p.Slots = 1, 16 },
		"as many as can be":     func(m *Metadata, p *MetadataParts) { p.Count, p.Slots = 65_000, 65_536 },
		"a later cut":           func(m *Metadata, p *MetadataParts) { p.Split = 2 },
		"whole, not split":      func(m *Metadata, p *MetadataParts) { m.Parts, m.Whole = nil, WholeFHIR },
		"whole, no FHIR":        func(m *Metadata, p *MetadataParts) { m.Parts, m.Whole = nil, WholeFile },
		"looked at by nobody":   func(m *Metadata, p *MetadataParts) { m.Parts = nil },
		"of a smaller age file": func(m *Metadata, p *MetadataParts) { m.AgeSize, p.Start = 1, 16<<10 },
		"made earlier":          func(m *Metadata, p *MetadataParts) { m.AgeSize, p.Start = 1, 4096 },
	} {
		check(what, true, metadata(change))
	}
	for what, change := range map[string]func(m *Metadata, p *MetadataParts){
		"no cut":                  func(m *Metadata, p *MetadataParts) { p.Split = 0 },
		"no part":                 func(m *Metadata, p *MetadataParts) { p.Count, p.Slots = 0, 16 },
		"fewer parts than none":   func(m *Metadata, p *MetadataParts) { p.Count, p.Slots = -1, 16 },
		"more parts than can be":  func(m *Metadata, p *MetadataParts) { p.Count, p.Slots = 65_001, 65_536 },
		"more than a number":      func(m *Metadata, p *MetadataParts) { p.Count, p.Slots = 1<<63-1, 16 },
		"another class of slots":  func(m *Metadata, p *MetadataParts) { p.Slots = 1024 },
		"fewer slots than parts":  func(m *Metadata, p *MetadataParts) { p.Slots = 64 },
		"no class of slots":       func(m *Metadata, p *MetadataParts) { p.Slots = 230 },
		"a start inside the file": func(m *Metadata, p *MetadataParts) { p.Start = 4096 },
		"a start behind more than the classes of its parts": func(m *Metadata, p *MetadataParts) { p.Start = 6 << 20 },
		"a negative start":         func(m *Metadata, p *MetadataParts) { p.Start = -4096 },
		"an end before the blob's": func(m *Metadata, p *MetadataParts) { p.End = 1 << 22 },
		"an end behind the blob's": func(m *Metadata, p *MetadataParts) { p.End = 1 << 24 },
		"an end without padding":   func(m *Metadata, p *MetadataParts) { p.End++; m.ContentSize++ },
		"no room for a frame": func(m *Metadata, p *MetadataParts) {
			p.End = crypto.PadLength(p.Start + 1)
			m.ContentSize, p.Count, p.Slots = p.End, 1000, 1024
		},
		"a region too large": func(m *Metadata, p *MetadataParts) { p.End, m.ContentSize = 1<<28, 1<<28 },
		"a file too large":   func(m *Metadata, p *MetadataParts) { m.Size = 1<<63 - 1 },
		"an age file too large": func(m *Metadata, p *MetadataParts) {
			m.AgeSize, p.Start, p.End, m.ContentSize = 1<<62, 1<<62, 1<<62, 1<<62
		},
		"whole, and parts":             func(m *Metadata, p *MetadataParts) { m.Whole = WholeFile },
		"whole for another reason":     func(m *Metadata, p *MetadataParts) { m.Parts, m.Whole = nil, "no" },
		"a page of the book in parts":  func(m *Metadata, p *MetadataParts) { m.Hidden, m.Category = Book, Other },
		"a page of the book as a file": func(m *Metadata, p *MetadataParts) { m.Parts, m.Hidden, m.Whole = nil, Book, WholeFile },
		"the category of another's":    func(m *Metadata, p *MetadataParts) { m.Category = Part },
	} {
		check(what, false, metadata(change))
	}

	terms := func(change func(tr *Terms, s *Scope, r *TermsRecord)) error {
		tr, s := tr, *tr.Scope
		tr.Scope, tr.Records = &s, slices.Clone(tr.Records)
		change(&tr, &s, &tr.Records[1])
		_, err := ParseTerms(Marshal(&tr))
		return err
	}
	words := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("word-%02d", i))
		}
		return all
	}
	for what, change := range map[string]func(tr *Terms, s *Scope, r *TermsRecord){
		"as it is":            func(tr *Terms, s *Scope, r *TermsRecord) {},
		"no role":             func(tr *Terms, s *Scope, r *TermsRecord) { s.Role, s.Beyond = "", false },
		"a role of two words": func(tr *Terms, s *Scope, r *TermsRecord) { s.Role = "general practitioner" },
		"all without limit":   func(tr *Terms, s *Scope, r *TermsRecord) { *s = Scope{} },
		"a word of a newer wallet": func(tr *Terms, s *Scope, r *TermsRecord) {
			s.Categories, s.Sensitive = []Category{"new"}, []string{"2new"}
		},
		"as many words as can be": func(tr *Terms, s *Scope, r *TermsRecord) { s.Sensitive = words(MaxScope) },
		"from a day on":           func(tr *Terms, s *Scope, r *TermsRecord) { s.Until = "" },
		"up to a day":             func(tr *Terms, s *Scope, r *TermsRecord) { s.Since = "" },
		"parts only":              func(tr *Terms, s *Scope, r *TermsRecord) { tr.Records = tr.Records[1:] },
		"no part":                 func(tr *Terms, s *Scope, r *TermsRecord) { tr.Records, tr.Scope = tr.Records[:1], nil },
	} {
		check(what, true, terms(change))
	}
	for what, change := range map[string]func(tr *Terms, s *Scope, r *TermsRecord){
		"parts without a scope":    func(tr *Terms, s *Scope, r *TermsRecord) { tr.Scope = nil },
		"a scope without parts":    func(tr *Terms, s *Scope, r *TermsRecord) { tr.Records = tr.Records[:1] },
		"a title of the whole":     func(tr *Terms, s *Scope, r *TermsRecord) { r.Title = "HIV clinic" },
		"a date of the whole":      func(tr *Terms, s *Scope, r *TermsRecord) { r.Date = "2024-03-01" },
		"a category of the whole":  func(tr *Terms, s *Scope, r *TermsRecord) { r.Category = "labs" },
		"a part without a root":    func(tr *Terms, s *Scope, r *TermsRecord) { r.Root = crypto.Hash{} },
		"a whole one called part":  func(tr *Terms, s *Scope, r *TermsRecord) { tr.Records[0].Category = Part },
		"beyond no role":           func(tr *Terms, s *Scope, r *TermsRecord) { s.Role = "" },
		"a role's name too long":   func(tr *Terms, s *Scope, r *TermsRecord) { s.Role = strings.Repeat("r", MaxWord+1) },
		"a role's name in escapes": func(tr *Terms, s *Scope, r *TermsRecord) { s.Role = strings.Repeat("\x01", 11) },
		"words downwards":          func(tr *Terms, s *Scope, r *TermsRecord) { s.Categories = []Category{"vitals", "labs"} },
		"a word twice":             func(tr *Terms, s *Scope, r *TermsRecord) { s.Sensitive = []string{"hiv", "hiv"} },
		"an empty word":            func(tr *Terms, s *Scope, r *TermsRecord) { s.Sensitive = []string{""} },
		"a word of two lines":      func(tr *Terms, s *Scope, r *TermsRecord) { s.Sensitive = []string{"hiv\nall"} },
		"more words than can be":   func(tr *Terms, s *Scope, r *TermsRecord) { s.Sensitive = words(MaxScope + 1) },
		"a month":                  func(tr *Terms, s *Scope, r *TermsRecord) { s.Since = "2024-03" },
		"a day that is none":       func(tr *Terms, s *Scope, r *TermsRecord) { s.Since = "2024-02-30" },
		"a time":                   func(tr *Terms, s *Scope, r *TermsRecord) { s.Until = "2024-03-01T00:00:00Z" },
		"an end before the start":  func(tr *Terms, s *Scope, r *TermsRecord) { s.Until = "2024-02-29" },
	} {
		check(what, false, terms(change))
	}

	envelope := func(change func(p *EnvelopePart)) error {
		env := env
		p := env.Parts[0]
		p.Items = slices.Clone(p.Items)
		change(&p)
		env.Parts = []EnvelopePart{p}
		_, err := ParseEnvelope(Marshal(&env))
		return err
	}
	for what, change := range map[string]func(p *EnvelopePart){
		"as it is":             func(p *EnvelopePart) {},
		"one item":             func(p *EnvelopePart) { p.Items = p.Items[:1] },
		"a narrative alone":    func(p *EnvelopePart) { p.Items[1].Of = p.Items[1].Slot },
		"a resource before it": func(p *EnvelopePart) { p.Items[1].Of = 0 },
		"side by side":         func(p *EnvelopePart) { p.Items[1].At = p.Items[0].At + 1040 },
		"up to the end":        func(p *EnvelopePart) { p.Items[3].At = uint32(p.End - p.Start - 1<<21 - 16) },
		"the largest part":     func(p *EnvelopePart) { p.ContentSize, p.End, p.Items[3].Length = 1<<25, 1<<25, 24<<20+16 },
	} {
		check(what, true, envelope(change))
	}
	for what, change := range map[string]func(p *EnvelopePart){
		"no version":            func(p *EnvelopePart) { p.Version = 0 },
		"no item":               func(p *EnvelopePart) { p.Items = Items{} },
		"no slots":              func(p *EnvelopePart) { p.Slots = 0 },
		"fewer slots than none": func(p *EnvelopePart) { p.Slots = -256 },
		"no class of slots":     func(p *EnvelopePart) { p.Slots, p.Items = 200, p.Items[:3] },
		"a start beyond all numbers": func(p *EnvelopePart) {
			p.Start, p.End, p.ContentSize = 1<<62+1<<61, 1<<62+1<<61+1<<23, 1<<62+1<<61+1<<23
		},
		"more slots than can be":        func(p *EnvelopePart) { p.Slots = 1 << 18 },
		"more slots than a number":      func(p *EnvelopePart) { p.Slots = 1<<63 - 1 },
		"more items than slots":         func(p *EnvelopePart) { p.Slots = 16; p.Items = slices.Repeat(p.Items[:1], 17) },
		"a slot twice":                  func(p *EnvelopePart) { p.Items[1] = p.Items[0] },
		"slots downwards":               func(p *EnvelopePart) { p.Items[0].Slot, p.Items[0].Of = 4, 4 },
		"a slot that is not there":      func(p *EnvelopePart) { p.Items[3].Slot, p.Items[3].Of = 256, 256 },
		"the largest slot":              func(p *EnvelopePart) { p.Items[3].Slot, p.Items[3].Of = 1<<32-1, 1<<32-1 },
		"of a part that is not granted": func(p *EnvelopePart) { p.Items[1].Of = 101 },
		"of a slot that is not there":   func(p *EnvelopePart) { p.Items[1].Of = 256 },
		"of a narrative":                func(p *EnvelopePart) { p.Items[0].Of = 3 },
		"two narratives of one":         func(p *EnvelopePart) { p.Items[0].Of = 100 },
		"of each other":                 func(p *EnvelopePart) { p.Items[0].Of, p.Items[1].Of = 3, 0 },
		"inside the frame":              func(p *EnvelopePart) { p.Items[0].At-- },
		"inside another":                func(p *EnvelopePart) { p.Items[1].At = p.Items[0].At + 1039 },
		"before another":                func(p *EnvelopePart) { p.Items[1].At, p.Items[2].At = p.Items[2].At, p.Items[1].At },
		"beyond the end":                func(p *EnvelopePart) { p.Items[3].At = uint32(p.End - p.Start - 1<<21 - 15) },
		"beyond a number":               func(p *EnvelopePart) { p.Items[3].At = 1<<32 - 1 },
		"a length that is no class":     func(p *EnvelopePart) { p.Items[0].Length-- },
		"a length of nothing":           func(p *EnvelopePart) { p.Items[0].Length = 0 },
		"a length of a tag":             func(p *EnvelopePart) { p.Items[0].Length = 16 },
		"a class without a tag":         func(p *EnvelopePart) { p.Items[0].Length = 1024 },
		"a length beyond all classes":   func(p *EnvelopePart) { p.Items[3].Length = 1<<25 + 16 },
		"the largest length":            func(p *EnvelopePart) { p.Items[3].Length = 1<<32 - 1 },
		"a start without padding":       func(p *EnvelopePart) { p.Start++ },
		"a start at nothing":            func(p *EnvelopePart) { p.Start = 0 },
		"a negative start":              func(p *EnvelopePart) { p.Start = -1 << 62 },
		"a start beyond":                func(p *EnvelopePart) { p.Start, p.End, p.ContentSize = 1<<62, 1<<62, 1<<62 },
		"an end without padding":        func(p *EnvelopePart) { p.End++; p.ContentSize++ },
		"an end before the blob's":      func(p *EnvelopePart) { p.ContentSize = 1 << 24 },
		"an end before the start":       func(p *EnvelopePart) { p.End, p.ContentSize = 4096, 4096 },
		"a region too large":            func(p *EnvelopePart) { p.End, p.ContentSize = 1<<28, 1<<28 },
	} {
		check(what, false, envelope(change))
	}
}

// The envelope of parts names nothing of the whole.
func TestEnvelopeOfPartsHidesTheWhole(t *testing.T) {
	_, _, env := samplePartial(t)
	env.Records = nil
	var keys map[string]any
	b := Marshal(&env)
	if err := json.Unmarshal(b, &keys); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(`"records":[],"parts":[{`)) {
		t.Errorf("%s", b)
	}
	for key := range keys["parts"].([]any)[0].(map[string]any) {
		if slices.Contains([]string{"file", "size", "sha256", "title", "ageSize", "count", "fileKey", "date"}, key) {
			t.Errorf("it has %s", key)
		}
	}
}

// Items have one text, and take 32 bytes each in it.
func TestItemsText(t *testing.T) {
	for n := range 40 {
		var items Items
		for i := range n {
			items = append(items, Item{uint32(i), uint32(i * 3), uint32(i) << 20, uint32(i) << 10, PartKey{byte(i), 0xff}})
		}
		text, err := items.MarshalText()
		if err != nil || len(text) != base64.RawStdEncoding.EncodedLen(32*n) {
			t.Fatal(len(text), err)
		}
		var again Items
		if err := again.UnmarshalText(text); err != nil || !slices.Equal(again, items) {
			t.Errorf("%d items: %v", n, err)
		}
		for what, bad := range map[string]string{
			"a line's end":    string(text) + "\n",
			"a line's end in": string(text[:len(text)/2]) + "\n" + string(text[len(text)/2:]),
			"padding":         string(text) + "=",
			"a byte more":     base64.RawStdEncoding.EncodeToString(append(make([]byte, 32*n), 0)),
			"another letter":  string(text) + "-",
			"half a row":      base64.RawStdEncoding.EncodeToString(make([]byte, 32*n+16)),
		} {
			if err := again.UnmarshalText([]byte(bad)); err == nil {
				t.Errorf("%d items, %s: taken", n, what)
			}
		}
		if n%3 != 0 { // the last letter has bits that stand for nothing
			b := bytes.Clone(text)
			b[len(b)-1]++
			if err := again.UnmarshalText(b); err == nil {
				t.Errorf("%d items: a second form", n)
			}
		}
	}
}

// No fmt verb prints a key of a part, and it has no text of its own.
func TestPartKeysAreNotPrinted(t *testing.T) {
	m, _, env := samplePartial(t)
	p := &env.Parts[0]
	p.Items[0].Key, p.FrameKey, m.Parts.Salts = PartKey(bytes.Repeat([]byte{0xab}, 16)), FrameKey(bytes.Repeat([]byte{0xcd}, 32)), (*Salts)(bytes.Repeat([]byte{0xef}, 32))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%q"} {
		s := strings.ToLower(fmt.Sprintf(verb+" "+verb+" "+verb+" "+verb, env, p.Items, *m.Parts, *m.Parts.Salts))
		for _, leak := range []string{"abab", "cdcd", "efef", "171 171", "205 205", "239 239", "0xab", "0xcd", "0xef"} {
			if strings.Contains(s, leak) {
				t.Errorf("%s prints %s", verb, leak)
			}
		}
	}
	if b, err := json.Marshal(p.Items[0]); err == nil {
		t.Errorf("an item alone was written: %s", b)
	}
}

// A grant of some seventy parts is in the smallest class, and so looks like any other.
func TestEnvelopeOfPartsIsSmall(t *testing.T) {
	_, _, env := samplePartial(t)
	env.Records = nil
	p := &env.Parts[0]
	p.Items = nil
	for i := range 70 {
		p.Items = append(p.Items, Item{uint32(i), uint32(i), uint32(10_000 + 2000*i), 1040, PartKey{byte(i)}})
	}
	b := Marshal(&env)
	if _, err := ParseEnvelope(b); err != nil {
		t.Fatal(err)
	}
	if len(b)+4 > 4096 {
		t.Errorf("%d bytes", len(b))
	}
}

func FuzzItems(f *testing.F) {
	text, err := samplePart().Items.MarshalText()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte{})
	f.Add(append(text, '\n'))
	_, _, env := samplePartial(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		var items Items
		if items.UnmarshalText(b) != nil {
			return
		}
		if again, err := items.MarshalText(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%q came back as %q, %v", b, again, err)
		}
		// What an envelope is read with lies in its region, part behind part.
		p := env.Parts[0]
		p.Items = items
		if !p.inRange() {
			return
		}
		at, granted := int64(crypto.FrameSize(p.Slots)), map[uint32]bool{}
		for _, it := range items {
			if int64(it.At) < at || int64(it.At)+int64(it.Length) > p.End-p.Start || granted[it.Slot] || int(it.Slot) >= p.Slots {
				t.Errorf("%+v", items)
			}
			at, granted[it.Slot] = int64(it.At)+int64(it.Length), true
		}
		for _, it := range items {
			if !granted[it.Of] {
				t.Errorf("of %d, which is not granted", it.Of)
			}
		}
	})
}
