package wallet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// bookFacts is the book as it is merged and as it stands on the ledger.
type bookFacts struct {
	Name     fact          `json:"name"`
	Checked  int64         `json:"checked"` // when the words were last checked, seconds since 1970; 0 = never
	Contacts []contactFact `json:"contacts"`
	Ledgers  []ledgerFact  `json:"ledgers"`
	Labels   []labelFact   `json:"labels,omitempty"`
	Roles    []roleFact    `json:"roles,omitempty"`
	Records  []recordFact  `json:"records,omitempty"`

	Witnesses []witnessFact `json:"witnesses,omitempty"`
	Requests  []requestFact `json:"requests,omitempty"`
}

// fact is a text and when it was last changed, in milliseconds since 1970.
type fact struct {
	Value string `json:"value"`
	At    int64  `json:"at"`
}

// contactFact is a contact, or that it was removed.
type contactFact struct {
	Name     string         `json:"name"`
	Address  crypto.Address `json:"address"`
	Verified bool           `json:"verified"`
	Removed  bool           `json:"removed"`
	At       int64          `json:"at"`
	Was      string         `json:"was,omitempty"` // the first name that it had, if it has another now: see unite
	Ref      string         `json:"ref,omitempty"` // what the owner calls it elsewhere, such as a number of a patient; never sent
}

// UnmarshalJSON reads a fact; whose address it is was checked when it became one, and is
// checked again where it comes from a ledger, see parsePage.
func (c *contactFact) UnmarshalJSON(b []byte) error {
	type plain contactFact
	var read struct {
		plain
		Address string `json:"address"`
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	err := dec.Decode(&read)
	if err == nil {
		*c = contactFact(read.plain)
		c.Address, err = crypto.ReadAddress(read.Address)
	}
	return err
}

// ledgerFact is where a ledger of the wallet is, or that the wallet left it.
type ledgerFact struct {
	ID      crypto.LedgerID `json:"id"`
	At      string          `json:"at"`
	Removed bool            `json:"removed"`
	Changed int64           `json:"changed"`
}

// labelFact is what the owner says of a part of a record: it stands over what the tables
// say, in every version that has the same bytes there.
type labelFact struct {
	Part     crypto.Hash          `json:"part"`     // SHA-256 of the part's bytes
	Category payload.Category     `json:"category"` // "" is what the tables say
	Add      []health.Sensitivity `json:"add"`
	Drop     []health.Sensitivity `json:"drop"`
	At       int64                `json:"at"`
}

// roleFact is a role of the owner's own, or that it was removed.
type roleFact struct {
	Name  string `json:"name"`
	Value string `json:"value"` // as health.ParseRole reads it; "" if it was removed
	At    int64  `json:"at"`
}

// recordFact is how the owner describes a version of a record since, or, without a title,
// that it is described as when it was added.
type recordFact struct {
	Record   contract.ID      `json:"record"`
	Version  int              `json:"version"`
	Title    string           `json:"title"`
	Category payload.Category `json:"category"`
	Date     string           `json:"date"`
	At       int64            `json:"at"`
}

// requestFact is that the owner declined what was asked of her.
type requestFact struct {
	Request  contract.ID `json:"request"`
	Declined bool        `json:"declined"`
	At       int64       `json:"at"`
}

func compareRequests(a, b requestFact) int { return bytes.Compare(a.Request[:], b.Request[:]) }

func (f *bookFacts) declined(id contract.ID) bool {
	_, ok := slices.BinarySearchFunc(f.Requests, requestFact{Request: id}, compareRequests)
	return ok
}

// bookPage is what one version of the hidden record holds.
type bookPage struct {
	V      int             `json:"v"`
	Ledger crypto.LedgerID `json:"ledger"`
	Seen   uint64          `json:"seen"` // entries of the log that its writer had read and merged
	bookFacts
}

// parsePage reads a version of the book. Addresses that are known, to the last byte, were
// checked before.
func parsePage(b []byte, known map[crypto.Address]bool) (*bookPage, error) {
	p, err := payload.Parse[bookPage](b)
	if err != nil {
		return nil, err
	}
	if !slices.IsSortedFunc(p.Contacts, compareContacts) || !slices.IsSortedFunc(p.Ledgers, compareLedgers) ||
		!ascending(p.Labels, compareLabels) || !ascending(p.Roles, compareRoles) || !ascending(p.Records, compareRecords) || !ascending(p.Witnesses, compareWitnesses) || !ascending(p.Requests, compareRequests) {
		return nil, fmt.Errorf("book is not in its order")
	}
	for i := range p.Labels {
		if !p.Labels[i].valid() {
			return nil, fmt.Errorf("what the book says of a part is none of its words")
		}
	}
	for i := range p.Records {
		if !p.Records[i].valid() {
			return nil, fmt.Errorf("what the book says of a record describes none")
		}
	}
	for i := range p.Witnesses {
		if _, ok := p.Witnesses[i].verifiers(); !ok {
			return nil, fmt.Errorf("witnesses in the book are none")
		}
	}
	for _, r := range p.Requests {
		if !r.Declined {
			return nil, fmt.Errorf("what the book says of a request is nothing")
		}
	}
	for _, r := range p.Roles {
		if checked, err := CheckName("role", r.Name); err != nil || checked != r.Name {
			return nil, fmt.Errorf("role in the book has no name")
		}
	}
	for _, c := range p.Contacts {
		for _, name := range []string{c.Name, c.Was} {
			if checked, err := CheckName("name", name); (name != "" || name == c.Name) && (err != nil || checked != name) {
				return nil, fmt.Errorf("name in the book is none")
			}
		}
		if checked, err := CheckRef(c.Ref); err != nil || checked != c.Ref {
			return nil, fmt.Errorf("reference in the book is none")
		}
	}
	wrong := make([]error, len(p.Contacts)) // a signature each
	ledgerclient.Parallel(len(wrong), func(i int) {
		if a := p.Contacts[i].Address; !known[a] {
			_, wrong[i] = crypto.ParseAddress(a.String())
		}
	})
	if err := cmp.Or(wrong...); err != nil {
		return nil, err
	}
	return p, nil
}

// ascending reports whether a list is sorted and has nothing twice.
func ascending[T any](list []T, compare func(a, b T) int) bool {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			return false
		}
	}
	return true
}

// valid reports whether a label has the form of one. A word that is not known is a newer
// carekey's: what has it is held back, since nobody can name it. The lists are there also
// where they are empty.
func (l *labelFact) valid() bool {
	for _, words := range [][]health.Sensitivity{l.Add, l.Drop} {
		if words == nil || !ascending(words, cmp.Compare[health.Sensitivity]) || slices.ContainsFunc(words, func(s health.Sensitivity) bool { return !isWord(string(s)) }) {
			return false
		}
	}
	return l.Category == "" || isWord(string(l.Category))
}

// valid reports whether it is a description, or none.
func (r *recordFact) valid() bool {
	if r.Title == "" {
		return r.Version > 0 && r.Category == "" && r.Date == ""
	}
	_, err := time.Parse(time.DateOnly, r.Date)
	return r.Version > 0 && payload.TitleFits(r.Title) && strings.TrimSpace(r.Title) == r.Title && isWord(string(r.Category)) && (r.Date == "" || err == nil)
}

// isWord reports whether a text can be a category or a sensitivity.
func isWord(s string) bool {
	return s != "" && len(s) <= payload.MaxWord && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-") == ""
}

func compareContacts(a, b contactFact) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	return strings.Compare(a.Address.String(), b.Address.String())
}

func compareLedgers(a, b ledgerFact) int { return bytes.Compare(a.ID[:], b.ID[:]) }

func compareLabels(a, b labelFact) int { return bytes.Compare(a.Part[:], b.Part[:]) }

func compareRoles(a, b roleFact) int { return strings.Compare(a.Name, b.Name) }

func compareRecords(a, b recordFact) int {
	return cmp.Or(bytes.Compare(a.Record[:], b.Record[:]), cmp.Compare(a.Version, b.Version))
}

// set makes facts of contacts, as of now, or as newer than what is said of each under
// whichever of its names.
func (b *book) set(now time.Time, facts ...contactFact) {
	newest := map[contactKey]int64{}
	for i := range b.Facts.Contacts {
		c := &b.Facts.Contacts[i]
		newest[c.first()] = max(newest[c.first()], c.At)
	}
	for i := range facts {
		c := &facts[i]
		c.At = now.UnixMilli()
		if at, known := slices.BinarySearchFunc(b.Facts.Contacts, *c, compareContacts); known {
			have := &b.Facts.Contacts[at]
			c.At, c.Was = max(c.At, have.At+1), cmp.Or(c.Was, have.Was)
		}
		if at, known := newest[c.first()]; known {
			c.At = max(c.At, at+1)
		}
	}
	slices.SortFunc(facts, compareContacts)
	b.Facts.Contacts = mergeSorted(b.Facts.Contacts, facts, compareContacts, func(c contactFact) int64 { return c.At })
	b.show()
}

// call returns the facts with which a contact gets another name, and is the same one.
func (b *book) call(c Contact, name string) []contactFact {
	old, now := factOf(c), factOf(c)
	if at, known := slices.BinarySearchFunc(b.Facts.Contacts, old, compareContacts); known {
		now.Was = b.Facts.Contacts[at].Was
	}
	now.Name, now.Was = name, cmp.Or(now.Was, c.Name)
	old.remove(0)
	return []contactFact{old, now}
}

// setLedger makes a fact of where a ledger is, or that the wallet left it, as of now. One
// that this machine is not on may be one of another machine's.
func (f *bookFacts) setLedger(l ledgerFact, now time.Time) {
	l.Changed = now.UnixMilli()
	i, known := slices.BinarySearchFunc(f.Ledgers, l, compareLedgers)
	if !known {
		f.Ledgers = slices.Insert(f.Ledgers, i, l)
		return
	}
	if have := &f.Ledgers[i]; have.At != l.At || have.Removed != l.Removed {
		l.Changed = max(l.Changed, have.Changed+1)
		*have = l
	}
}

// setLabel makes a fact of what the owner says of a part, as of now.
func (f *bookFacts) setLabel(l labelFact, now time.Time) {
	f.Labels = setFact(f.Labels, l, compareLabels, func(l *labelFact) *int64 { return &l.At }, now)
}

// setRole makes a fact of a role, as of now.
func (f *bookFacts) setRole(r roleFact, now time.Time) {
	f.Roles = setFact(f.Roles, r, compareRoles, func(r *roleFact) *int64 { return &r.At }, now)
}

// setFact puts x into a sorted list, as of now and in any case later than what was there.
func setFact[T any](list []T, x T, compare func(a, b T) int, at func(*T) *int64, now time.Time) []T {
	*at(&x) = now.UnixMilli()
	i, known := slices.BinarySearchFunc(list, x, compare)
	if !known {
		return slices.Insert(list, i, x)
	}
	*at(&x) = max(*at(&x), *at(&list[i])+1)
	list[i] = x
	return list
}

// setRecord makes a fact of how a version is described, as of now.
func (f *bookFacts) setRecord(r recordFact, now time.Time) {
	f.Records = setFact(f.Records, r, compareRecords, func(r *recordFact) *int64 { return &r.At }, now)
}

// forgetRecord takes back what was said of a record's versions.
func (f *bookFacts) forgetRecord(id contract.ID, now time.Time) (changed bool) {
	for _, r := range slices.Clone(f.Records) {
		if r.Record == id && r.Title != "" {
			f.setRecord(recordFact{Record: id, Version: r.Version}, now)
			changed = true
		}
	}
	return changed
}

// described is how the owner describes a version, or else the last one before it of which
// she says anything, since it was added.
func (f *bookFacts) described(id contract.ID, version int) (recordFact, bool) {
	i, ok := slices.BinarySearchFunc(f.Records, recordFact{Record: id, Version: version}, compareRecords)
	if !ok {
		i--
	}
	if i < 0 || f.Records[i].Record != id || f.Records[i].Title == "" {
		return recordFact{}, false
	}
	return f.Records[i], true
}

type contactKey struct {
	name    string
	address crypto.Address
}

// first is what all facts of one contact have in common, whatever it was called.
func (c *contactFact) first() contactKey { return contactKey{cmp.Or(c.Was, c.Name), c.Address} }

// newer tells which of two facts of one thing stands: the later one, or of two of
// one time the one whose encoding is larger.
func newer[T any](a, b T, at func(T) int64) T {
	switch x, y := at(a), at(b); {
	case x != y && x > y:
		return a
	case x != y:
		return b
	}
	if bytes.Compare(payload.Marshal(a), payload.Marshal(b)) >= 0 {
		return a
	}
	return b
}

// merge joins two books.
func (f *bookFacts) merge(o *bookFacts) {
	f.Name = newer(f.Name, o.Name, func(x fact) int64 { return x.At })
	f.Checked = max(f.Checked, o.Checked)
	f.Contacts = mergeSorted(f.Contacts, o.Contacts, compareContacts, func(c contactFact) int64 { return c.At })
	f.Ledgers = mergeSorted(f.Ledgers, o.Ledgers, compareLedgers, func(l ledgerFact) int64 { return l.Changed })
	f.Labels = mergeSorted(f.Labels, o.Labels, compareLabels, func(l labelFact) int64 { return l.At })
	f.Roles = mergeSorted(f.Roles, o.Roles, compareRoles, func(r roleFact) int64 { return r.At })
	f.Records = mergeSorted(f.Records, o.Records, compareRecords, func(r recordFact) int64 { return r.At })
	f.Requests = mergeSorted(f.Requests, o.Requests, compareRequests, func(r requestFact) int64 { return r.At })
	f.Witnesses = mergeSorted(f.Witnesses, o.Witnesses, compareWitnesses, func(w witnessFact) int64 { return w.At })
}

func mergeSorted[T any](a, b []T, compare func(T, T) int, at func(T) int64) []T {
	all := append(slices.Clone(a), b...)
	slices.SortStableFunc(all, compare)
	out := []T{}
	for _, x := range all {
		if n := len(out); n > 0 && compare(out[n-1], x) == 0 {
			out[n-1] = newer(out[n-1], x, at)
			continue
		}
		out = append(out, x)
	}
	return out
}

// show makes the contacts what the facts say.
func (b *book) show() {
	b.Facts.settle()
	b.contacts, b.byName, b.byPerson = nil, map[string]int{}, map[crypto.Address]int{}
	for _, c := range b.Facts.Contacts {
		if c.Removed {
			continue
		}
		n := len(b.contacts)
		b.contacts = append(b.contacts, Contact{Name: c.Name, Address: c.Address, Verified: c.Verified, Ref: c.Ref})
		if _, ok := b.byName[text.Name(c.Name)]; !ok {
			b.byName[text.Name(c.Name)] = n
		}
		if at, ok := b.byPerson[c.Address]; !ok || b.contacts[n].before(&b.contacts[at]) {
			b.byPerson[c.Address] = n
		}
	}
}

// settle gives contacts that two machines called the same different names. Every
// machine does the same to the same facts.
func (f *bookFacts) settle() {
	for f.unite(); f.rename(); f.unite() {
	}
}

// remove makes a tombstone of a fact.
func (c *contactFact) remove(at int64) { c.Removed, c.Verified, c.Ref, c.At = true, false, "", at }

// unite makes one contact of the names that one name of an address was made into.
// Machines that had not heard of each other may have changed it under several: its
// newest fact tells whether it is there, and under which name.
func (f *bookFacts) unite() {
	newest := map[contactKey]*contactFact{}
	for i := range f.Contacts {
		c := &f.Contacts[i]
		if best := newest[c.first()]; best == nil || c.At > best.At || c.At == best.At && best.Removed && !c.Removed {
			newest[c.first()] = c
		}
	}
	for i := range f.Contacts {
		c := &f.Contacts[i]
		if best := newest[c.first()]; c != best && !c.Removed {
			c.remove(best.At)
		}
	}
}

// rename puts a number behind the names of contacts but the first that are called the
// same, and tells whether there were any.
func (f *bookFacts) rename() bool {
	byName := map[string][]int{}
	known := make(map[contactKey]int64, len(f.Contacts))
	for i, c := range f.Contacts {
		known[contactKey{c.Name, c.Address}] = c.At
		if !c.Removed {
			byName[c.Name] = append(byName[c.Name], i)
		}
	}
	var names []string
	for name, at := range byName {
		if len(at) > 1 {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	var renamed []contactFact
	for _, name := range names {
		at := byName[name]
		sort.SliceStable(at, func(i, j int) bool {
			x, y := f.Contacts[at[i]], f.Contacts[at[j]]
			if x.Verified != y.Verified {
				return x.Verified
			}
			return x.At < y.At
		})
		n := 2
		for _, i := range at[1:] {
			old := &f.Contacts[i]
			c := *old
			c.At, c.Was = c.At+1, cmp.Or(c.Was, name)
			for ; ; n++ {
				c.Name = numbered(name, n)
				// Neither another contact's name, nor one that was taken from this one later.
				if since, ok := known[contactKey{c.Name, c.Address}]; byName[c.Name] == nil && (!ok || since < c.At) {
					break
				}
			}
			byName[c.Name] = []int{i}
			old.remove(c.At)
			renamed = append(renamed, c)
		}
	}
	slices.SortFunc(renamed, compareContacts)
	f.Contacts = mergeSorted(f.Contacts, renamed, compareContacts, func(c contactFact) int64 { return c.At })
	return len(names) > 0
}

// numbered is a name with a number behind it, within the length that names have.
func numbered(name string, n int) string {
	suffix := fmt.Sprintf(" %d", n)
	r := []rune(name)
	return string(r[:min(len(r), text.MaxName-len(suffix))]) + suffix
}
