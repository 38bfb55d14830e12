package wallet

import (
	"bytes"
	"fmt"
	"github.com/carekey/carekey/crypto/text"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

func someAddresses(n int) (out []crypto.Address) {
	for range n {
		out = append(out, crypto.NewEntropy().Root().Identity().Address())
	}
	return out
}

func newBooks(n int) (out []book) {
	for range n {
		out = append(out, newBook())
	}
	return out
}

func (b *book) add(c Contact, now time.Time) {
	b.set(now, contactFact{Name: c.Name, Address: c.Address})
}

func (b *book) verify(c Contact, now time.Time) {
	b.set(now, contactFact{Name: c.Name, Address: c.Address, Verified: true})
}

func (b *book) remove(c Contact, now time.Time) {
	b.set(now, contactFact{Name: c.Name, Address: c.Address, Removed: true})
}

func (b *book) rename(c Contact, name string, now time.Time) { b.set(now, b.call(c, name)...) }

// hear merges what another machine knows.
func (b *book) hear(of *book) {
	b.Facts.merge(&of.Facts)
	b.show()
}

// Merging is a join: whatever machines do and in whatever order they hear of each
// other, in the end they hold the same book, and no contact that was not removed
// is lost.
func TestBooksAreJoined(t *testing.T) {
	addresses := someAddresses(4)
	names := []string{"Dr Smith", "Dr Ruiz", "Zoë"}
	seeds := lane.Pick(uint64(50), uint64(50), 10)
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 0))
		const machines = 3
		books := newBooks(machines)
		clock := time.UnixMilli(1_800_000_000_000)
		for step := 0; step < 25; step++ {
			clock = clock.Add(time.Duration(r.IntN(2)) * time.Millisecond)
			b := &books[r.IntN(machines)]
			switch r.IntN(8) {
			case 5:
				name := names[r.IntN(len(names))] + " renamed"
				if _, taken := b.byName[name]; len(b.contacts) > 0 && !taken {
					b.rename(b.contacts[r.IntN(len(b.contacts))], name, clock)
				}
			case 6:
				if n := len(b.contacts); n > 0 {
					c := b.contacts[r.IntN(n)]
					c.Ref = []string{"", "MRN-1", "MRN-2"}[r.IntN(3)]
					b.set(clock, factOf(c))
				}
			case 7:
				b.Facts.setRecord(recordFact{Record: contract.ID{byte(r.IntN(2))}, Version: 1 + r.IntN(2), Title: names[r.IntN(len(names))], Category: "labs"}, clock)
			case 0, 1:
				c := Contact{Name: names[r.IntN(len(names))], Address: addresses[r.IntN(len(addresses))]}
				taken := false
				for _, have := range b.contacts {
					taken = taken || have.Name == c.Name
				}
				if !taken {
					b.add(c, clock)
				}
			case 2:
				if n := len(b.contacts); n > 0 {
					b.remove(b.contacts[r.IntN(n)], clock)
				}
			case 3:
				if n := len(b.contacts); n > 0 {
					b.verify(b.contacts[r.IntN(n)], clock)
				}
			case 4:
				b.Facts.Name = fact{[]string{"Maria", "Maria L"}[r.IntN(2)], clock.UnixMilli()}
			}
			if r.IntN(3) == 0 {
				b.hear(&books[r.IntN(machines)])
			}
		}
		for range machines { // everybody hears of everybody
			for i := range books {
				for j := range books {
					books[i].hear(&books[j])
				}
			}
		}
		for i := range books[1:] {
			if !bytes.Equal(payload.Marshal(books[0].Facts), payload.Marshal(books[i+1].Facts)) || !reflect.DeepEqual(books[0].contacts, books[i+1].contacts) {
				t.Fatalf("seed %d: machine 0 and %d differ:\n%+v\n%+v", seed, i+1, books[0].contacts, books[i+1].contacts)
			}
		}
		seen := map[string]bool{}
		for _, c := range books[0].contacts {
			if seen[c.Name] {
				t.Fatalf("seed %d: two contacts are called %s", seed, c.Name)
			}
			seen[c.Name] = true
			if n, err := CheckName("name", c.Name); err != nil || n != c.Name {
				t.Fatalf("seed %d: name %q", seed, c.Name)
			}
		}
		before := payload.Marshal(books[0].Facts)
		books[0].show()
		if !bytes.Equal(before, payload.Marshal(books[0].Facts)) {
			t.Fatalf("seed %d: showing what did not change changes it", seed)
		}
		page := bookPage{V: payload.Version, bookFacts: books[0].Facts}
		if _, err := parsePage(payload.Marshal(&page), nil); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// The case that must not go wrong: one name for two addresses.
func TestBookKeepsBothOfOneName(t *testing.T) {
	a := someAddresses(2)
	now := time.UnixMilli(1_800_000_000_000)
	long := strings.Repeat("é", text.MaxName)
	for _, name := range []string{"Dr Smith", long} {
		books := newBooks(2)
		first, second := &books[0], &books[1]
		first.add(Contact{Name: name, Address: a[0]}, now)
		second.add(Contact{Name: name, Address: a[1]}, now)
		second.verify(second.contacts[0], now.Add(time.Second))
		first.hear(second)
		if len(first.contacts) != 2 {
			t.Fatalf("%+v", first.contacts)
		}
		for _, c := range first.contacts {
			if (c.Name == name) != (c.Address == a[1]) || c.Verified != (c.Address == a[1]) {
				t.Errorf("%s is %v", c.Name, c.Verified)
			}
		}
	}
}

// What was removed on one machine and verified later on another is there; what was
// removed later is not.
func TestBookTombstones(t *testing.T) {
	a := someAddresses(1)[0]
	now := time.UnixMilli(1_800_000_000_000)
	books := newBooks(2)
	one, two := &books[0], &books[1]
	one.add(Contact{Name: "Dr Smith", Address: a}, now)
	two.hear(one)
	one.remove(one.contacts[0], now.Add(time.Minute))
	two.verify(two.contacts[0], now.Add(time.Hour))
	one.hear(two)
	if len(one.contacts) != 1 || !one.contacts[0].Verified {
		t.Errorf("verified after it was removed elsewhere: %+v", one.contacts)
	}
	one.remove(one.contacts[0], now) // with a clock that stands
	two.hear(one)
	if len(two.contacts) != 0 {
		t.Errorf("removed and still there: %+v", two.contacts)
	}
}

// Removing, verifying and adding are done to a contact, and not to one of its names:
// machines that called several people the same, and each other's contacts differently
// until they heard of each other, agree on what was done to each of them last.
func TestBookLastWordCounts(t *testing.T) {
	addresses := someAddresses(3)
	seeds := lane.Pick(uint64(100), uint64(100), 20)
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 1))
		const machines = 3
		books := newBooks(machines)
		there := map[crypto.Address]bool{}
		clock := time.UnixMilli(1_800_000_000_000)
		for range 20 {
			clock = clock.Add(time.Minute)
			b, a := &books[r.IntN(machines)], addresses[r.IntN(len(addresses))]
			at, free := -1, true
			for i, c := range b.contacts {
				if c.Address == a {
					at = i
				}
				free = free && c.Name != "Dr Smith"
			}
			switch {
			case at < 0 && free:
				b.add(Contact{Name: "Dr Smith", Address: a}, clock)
				there[a] = true
			case at >= 0 && r.IntN(2) == 0:
				b.remove(b.contacts[at], clock)
				there[a] = false
			case at >= 0 && r.IntN(3) == 0:
				b.rename(b.contacts[at], fmt.Sprintf("Dr %d", r.IntN(1000)), clock)
				there[a] = true
			case at >= 0 && !b.contacts[at].Verified:
				b.verify(b.contacts[at], clock)
				there[a] = true
			}
			if r.IntN(3) == 0 {
				books[r.IntN(machines)].hear(&books[r.IntN(machines)])
			}
		}
		for range machines {
			for i := range books {
				for j := range books {
					books[i].hear(&books[j])
				}
			}
		}
		for i, b := range books {
			shown := map[crypto.Address]int{}
			for _, c := range b.contacts {
				shown[c.Address]++
			}
			for n, a := range addresses {
				if want := there[a]; shown[a] > 1 || (shown[a] == 1) != want {
					t.Fatalf("seed %d, machine %d: address %d is shown %d times, and it is %t that it is a contact: %+v", seed, i, n, shown[a], want, b.Facts.Contacts)
				}
			}
		}
	}
}

// A contact that was renamed is the same one: it keeps what is known of it, and what another
// machine does to it under its old name later is done to it. Its old name is free for others.
func TestBookRenames(t *testing.T) {
	a := someAddresses(2)
	now := time.UnixMilli(1_800_000_000_000)
	books := newBooks(2)
	one, two := &books[0], &books[1]
	one.set(now, contactFact{Name: "Dr Smith", Address: a[0], Verified: true, Ref: "MRN-1"})
	two.hear(one)
	one.rename(one.contacts[0], "Dr Jones", now.Add(time.Minute))
	want := []Contact{{Name: "Dr Jones", Address: a[0], Verified: true, Ref: "MRN-1"}}
	if !reflect.DeepEqual(one.contacts, want) {
		t.Fatalf("%+v", one.contacts)
	}
	if two.hear(one); !reflect.DeepEqual(two.contacts, want) {
		t.Errorf("on another machine: %+v", two.contacts)
	}
	one.add(Contact{Name: "Dr Smith", Address: a[1]}, now.Add(time.Hour))
	if two.hear(one); len(two.contacts) != 2 || two.contacts[1].Address != a[1] {
		t.Errorf("the old name of another person: %+v", two.contacts)
	}
	old := newBooks(1)[0] // has heard of the first name only
	old.set(now, contactFact{Name: "Dr Smith", Address: a[0]})
	old.remove(old.contacts[0], now.Add(2*time.Hour))
	if one.hear(&old); len(one.contacts) != 1 || one.contacts[0].Address != a[1] {
		t.Errorf("removed under its old name, later: %+v", one.contacts)
	}
	one.rename(one.contacts[0], "Dr Brown", now.Add(3*time.Hour))
	one.rename(one.contacts[0], "Dr Smith", now.Add(3*time.Hour)) // and back, with a clock that stands
	if len(one.contacts) != 1 || one.contacts[0].Name != "Dr Smith" {
		t.Errorf("renamed and back: %+v", one.contacts)
	}
	one.rename(one.contacts[0], "Dr Brown", now)
	one.remove(one.contacts[0], now)
	one.add(Contact{Name: "Dr Smith", Address: a[1]}, now)
	if len(one.contacts) != 1 || one.contacts[0].Name != "Dr Smith" {
		t.Errorf("removed, and there again under its old name: %+v", one.contacts)
	}
}

// Merging two books is commutative, associative and idempotent, whatever is in them.
func TestBookMergeIsAJoin(t *testing.T) {
	addresses := someAddresses(2)
	ids := []crypto.LedgerID{{1}, {2}}
	names := []string{"A", "B", "A 2"}
	r := rand.New(rand.NewPCG(7, 7))
	some := func() *bookFacts {
		at := func() int64 { return int64(r.IntN(3)) }
		f := &bookFacts{Name: fact{names[r.IntN(2)], at()}, Checked: at(), Contacts: []contactFact{}, Ledgers: []ledgerFact{}}
		for _, name := range names {
			for _, a := range addresses {
				if r.IntN(2) == 0 {
					f.Contacts = append(f.Contacts, contactFact{Name: name, Address: a, Verified: r.IntN(2) == 0, Removed: r.IntN(2) == 0, At: at(), Was: []string{"", "A"}[r.IntN(2)], Ref: []string{"", "MRN-1"}[r.IntN(2)]})
				}
			}
		}
		slices.SortFunc(f.Contacts, compareContacts)
		for _, id := range ids {
			if r.IntN(2) == 0 {
				f.Ledgers = append(f.Ledgers, ledgerFact{ID: id, At: names[r.IntN(2)], Removed: r.IntN(2) == 0, Changed: at()})
			}
			if r.IntN(2) == 0 {
				f.Labels = append(f.Labels, labelFact{Part: crypto.Hash(id), Category: payload.Categories()[r.IntN(2)], Add: health.Sensitivities()[:r.IntN(2)], Drop: []health.Sensitivity{}, At: at()})
			}
		}
		for _, name := range names {
			if r.IntN(2) == 0 {
				f.Roles = append(f.Roles, roleFact{Name: name, Value: []string{"", "{}"}[r.IntN(2)], At: at()})
			}
		}
		slices.SortFunc(f.Roles, compareRoles)
		return f
	}
	join := func(fs ...*bookFacts) string {
		out := bookFacts{Contacts: []contactFact{}, Ledgers: []ledgerFact{}}
		for _, f := range fs {
			out.merge(f)
		}
		return string(payload.Marshal(&out))
	}
	for range 300 {
		a, b, c := some(), some(), some()
		bc := *b
		bc.merge(c)
		switch abc := join(a, b, c); {
		case join(a, b) != join(b, a):
			t.Fatalf("not commutative: %+v %+v", a, b)
		case abc != join(a, &bc) || abc != join(c, a, b):
			t.Fatalf("not associative: %+v %+v %+v", a, b, c)
		case join(a, a) != join(a) || join(a, b, a, b) != join(a, b):
			t.Fatalf("not idempotent: %+v %+v", a, b)
		}
		// What every machine does to the same facts is done once.
		d := *a
		d.merge(b)
		d.settle()
		once := string(payload.Marshal(&d))
		if d.settle(); string(payload.Marshal(&d)) != once {
			t.Fatalf("not settled: %+v %+v", a, b)
		}
	}
}

// A version of the book has one encoding, like every payload.
func TestBookHasOneEncoding(t *testing.T) {
	entropy, err := crypto.DecodeEntropy("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")
	if err != nil {
		t.Fatal(err)
	}
	addr := entropy.Root().Identity().Address()
	mixed := addr // the checksum is right, and S did not sign that V
	mixed.View = someAddresses(1)[0].View
	b := payload.Marshal(&bookPage{V: payload.Version, Ledger: crypto.LedgerID{1, 2, 3}, Seen: 17, bookFacts: bookFacts{Name: fact{"Maria", 1}, Checked: 2,
		Contacts: []contactFact{{Name: "Dr Smith", Address: addr, Verified: true, At: 3, Was: "Dr S", Ref: "MRN-1"}, {Name: "Zoë", Address: addr, Removed: true, At: 4}},
		Ledgers:  []ledgerFact{{ID: crypto.LedgerID{1, 2, 3}, At: "ledger", Changed: 5}}}})
	if p, err := parsePage(b, nil); err != nil || !bytes.Equal(payload.Marshal(p), b) || bytes.Contains(b, []byte("labels")) || bytes.Contains(b, []byte("roles")) || bytes.Contains(b, []byte("records")) {
		t.Fatalf("does not survive: %v", err)
	}
	page := func(labels, roles string) []byte {
		return []byte(strings.TrimSuffix(string(b), "}") + labels + roles + "}")
	}
	label := func(part byte) string {
		return fmt.Sprintf(`{"part":"%064x","category":"labs","add":["hiv"],"drop":[],"at":6}`, part)
	}
	if p, err := parsePage(page(`,"labels":[`+label(1)+`,`+label(2)+`]`, `,"roles":[{"name":"dietician","value":"{}","at":7},{"name":"x","value":"","at":8}]`), nil); err != nil || len(p.Labels) != 2 || len(p.Roles) != 2 {
		t.Errorf("labels and roles: %v", err)
	}
	record := func(id byte, version int, rest string) string {
		return fmt.Sprintf(`{"record":"%064x","version":%d,%s,"at":9}`, id, version, rest)
	}
	const blood, none = `"title":"Blood","category":"labs","date":"2026-05-04"`, `"title":"","category":"","date":""`
	if p, err := parsePage(page("", `,"records":[`+record(1, 1, none)+`,`+record(1, 2, blood)+`,`+record(2, 1, blood)+`]`), nil); err != nil || len(p.Records) != 3 {
		t.Errorf("records: %v", err)
	}
	for name, bad := range map[string]string{
		"records in disorder": record(2, 1, blood) + `,` + record(1, 1, blood),
		"a version twice":     record(1, 1, blood) + `,` + record(1, 1, none),
		"no version":          record(1, 0, blood),
		"no title":            record(1, 1, strings.Replace(blood, "Blood", "", 1)),
		"a long title":        record(1, 1, strings.Replace(blood, "Blood", strings.Repeat("b", 161), 1)),
		"a title with spaces": record(1, 1, strings.Replace(blood, "Blood", " Blood", 1)),
		"no category":         record(1, 1, strings.Replace(blood, "labs", "", 1)),
		"no date":             record(1, 1, strings.Replace(blood, "-05-04", "-13-04", 1)),
	} {
		if _, err := parsePage(page("", `,"records":[`+bad+`]`), nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, bad := range map[string][]byte{
		"labels that say nothing": page(`,"labels":[]`, ""),
		"labels in disorder":      page(`,"labels":[`+label(2)+`,`+label(1)+`]`, ""),
		"a part twice":            page(`,"labels":[`+label(1)+`,`+label(1)+`]`, ""),
		"no category":             page(`,"labels":[`+strings.Replace(label(1), "labs", "la bs", 1)+`]`, ""),
		"no sensitivity":          page(`,"labels":[`+strings.Replace(label(1), "hiv", "HIV", 1)+`]`, ""),
		"no list":                 page(`,"labels":[`+strings.Replace(label(1), "[]", "null", 1)+`]`, ""),
		"roles in disorder":       page("", `,"roles":[{"name":"x","value":"","at":8},{"name":"dietician","value":"{}","at":7}]`),
		"a role without a name":   page("", `,"roles":[{"name":"","value":"","at":8}]`),
	} {
		if _, err := parsePage(bad, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, bad := range map[string][]byte{
		"empty":           nil,
		"a space":         append([]byte{' '}, b...),
		"cut":             b[:len(b)-1],
		"unknown field":   []byte(strings.Replace(string(b), `"ledger"`, `"x":0,"ledger"`, 1)),
		"repeated field":  []byte(strings.Replace(string(b), `{"v":`, `{"v":7,"v":`, 1)),
		"newer version":   []byte(strings.Replace(string(b), `"v":2`, `"v":9`, 1)),
		"other order":     []byte(strings.NewReplacer("Dr Smith", "Zoë", "Zoë", "Dr Smith").Replace(string(b))),
		"name apart":      []byte(strings.Replace(string(b), "Zoë", "Zoe\u0308", 1)),
		"no reference":    []byte(strings.Replace(string(b), "MRN-1", "MRN-1 ", 1)),
		"long reference":  []byte(strings.Replace(string(b), "MRN-1", strings.Repeat("é", 33), 1)),
		"other's address": []byte(strings.Replace(string(b), addr.String(), mixed.String(), 1)),
		"no name":         []byte(strings.Replace(string(b), "Dr Smith", " Dr Smith", 1)),
	} {
		if _, err := parsePage(bad, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// What was checked before is not checked again, and what was not is.
	others := []byte(strings.ReplaceAll(string(b), addr.String(), mixed.String()))
	if _, err := parsePage(others, map[crypto.Address]bool{mixed: true}); err != nil {
		t.Error(err)
	}
	if _, err := parsePage(others, map[crypto.Address]bool{addr: true}); err == nil {
		t.Error("an address that nobody checked was accepted")
	}
}
