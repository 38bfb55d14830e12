package wallet

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

// The book is what a wallet knows that no ledger does: the owner's name, contacts,
// where its ledgers are, when the words were checked, what she says of her records and
// of parts of them, and roles of her own. It is kept in a sealed file of
// the profile's folder, and, so that 24 words and a ledger bring it back, in a
// hidden record on the ledger: an own record whose metadata says so, which is
// neither listed nor granted.
//
// # Two machines with one seed
//
// Each fact carries the time of its last change, and what was removed leaves a
// tombstone with such a time. Two books are merged fact by fact: the newer wins, and
// of two of one time the one whose bytes are larger. That is a join: order and
// repetition do not matter, so that machines which have read the same versions hold
// the same book. A contact is a name together with an address, so that two machines
// that gave one name to two addresses lose neither; the one that is not verified, or
// was named later, is shown with a number behind its name. So renamed it is still one
// contact: what was done to it last counts, under whichever of its names.
//
// Each version on the ledger says how much of the log its writer had read and merged:
// not what it could not read. A reader takes the newest version and those that no
// writer of what it read has merged.
//
// # What it tells others
//
// A version of the book looks like a version of any record, and all versions are one
// thread: anyone sees how often it was rewritten, and in which hours. It is written
// in a batch of its own, not with a grant, and dates alone do not cause a version:
// they go with the next one.

// Book is the wallet's book, as its owner's other machines see it.
type Book struct{ w *Wallet }

// Book returns the wallet's book.
func (w *Wallet) Book() Book { return Book{w} }

// book is the sealed file.
type book struct {
	V       int       `json:"v"`
	Profile string    `json:"profile,omitempty"` // the profile's name on this machine; not on the ledger
	Facts   bookFacts `json:"facts"`

	contacts []Contact              // those that were not removed, by name: see show
	byName   map[string]int         // their places, by the form in which names are compared
	byPerson map[crypto.Address]int // the same by address; of several names a verified one
}

const bookVersion = 2

func newBook() book {
	return book{V: bookVersion, Facts: bookFacts{Contacts: []contactFact{}, Ledgers: []ledgerFact{}}}
}

// keptBook is the book with its file.
type keptBook struct {
	book
	read  []byte // the sealed file that it was read from
	dirty bool   // it must be written before the lock is given up
}

// bookFacts is the book as it is merged and as it stands on the ledger.
type bookFacts struct {
	Name     fact          `json:"name"`
	Checked  int64         `json:"checked"` // when the words were last checked, seconds since 1970; 0 = never
	Contacts []contactFact `json:"contacts"`
	Ledgers  []ledgerFact  `json:"ledgers"`
	Labels   []labelFact   `json:"labels,omitempty"`
	Roles    []roleFact    `json:"roles,omitempty"`
	Records  []recordFact  `json:"records,omitempty"`
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

// bookPage is what one version of the hidden record holds.
type bookPage struct {
	V      int             `json:"v"`
	Ledger crypto.LedgerID `json:"ledger"`
	Seen   uint64          `json:"seen"` // entries of the log that its writer had read and merged
	bookFacts
}

// parsePage reads a version of the book.
func parsePage(b []byte) (*bookPage, error) {
	p, err := payload.Parse[bookPage](b)
	if err != nil {
		return nil, err
	}
	if !slices.IsSortedFunc(p.Contacts, compareContacts) || !slices.IsSortedFunc(p.Ledgers, compareLedgers) ||
		!ascending(p.Labels, compareLabels) || !ascending(p.Roles, compareRoles) || !ascending(p.Records, compareRecords) {
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
		if _, err := crypto.ParseAddress(c.Address.String()); err != nil {
			return nil, err
		}
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
	r.At = now.UnixMilli()
	i, known := slices.BinarySearchFunc(f.Records, r, compareRecords)
	if !known {
		f.Records = slices.Insert(f.Records, i, r)
		return
	}
	r.At = max(r.At, f.Records[i].At+1)
	f.Records[i] = r
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

// described is how the owner describes a version since it was added, if she does.
func (f *bookFacts) described(id contract.ID, version int) (recordFact, bool) {
	i, ok := slices.BinarySearchFunc(f.Records, recordFact{Record: id, Version: version}, compareRecords)
	if !ok || f.Records[i].Title == "" {
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
		if at, ok := b.byPerson[c.Address]; !ok || c.Verified && !b.contacts[at].Verified {
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

// setLedgers makes facts of where the ledgers of the settings are.
func (bk Book) setLedgers() {
	for _, p := range bk.w.settings.Ledgers {
		bk.w.book.Facts.setLedger(ledgerFact{ID: p.ID, At: p.At}, bk.w.opt.Now())
	}
}

// setName makes a fact of what the owner calls herself; "" is not known.
func (bk Book) setName(name string) {
	if name != "" {
		bk.w.book.Facts.Name = fact{name, bk.w.opt.Now().UnixMilli()}
	}
}

// sum identifies what the book says, whoever wrote it.
func (f *bookFacts) sum() crypto.Hash { return crypto.TaggedHash(crypto.TagBook, payload.Marshal(f)) }

// worth identifies what is worth a new version on the ledger: dates alone, and where
// ledgers are, go with the next change.
func (b *book) worth() crypto.Hash {
	f := bookFacts{Name: b.Facts.Name, Contacts: b.Facts.Contacts, Labels: b.Facts.Labels, Roles: b.Facts.Roles, Records: b.Facts.Records}
	return f.sum()
}

// Keep enters the book on the ledger if it was changed, as a batch of its own.
// While the ledger or the store is out of reach it does nothing: the next time will
// do.
// Call it after a command that changed contacts, and not with one that grants.
func (bk Book) Keep(ctx context.Context) (kept bool, err error) {
	err = bk.w.with(ctx, func() error {
		if bk.w.notes.Book == bk.w.book.worth() || bk.w.view.Away() != nil {
			return nil
		}
		if err := bk.w.Records().describeAll(ctx); err != nil { // another machine's book
			return err
		}
		if bk.w.view.Away() != nil {
			return nil
		}
		unread, err := bk.readPages(ctx)
		if err != nil {
			return err
		}
		waits := slices.ContainsFunc(bk.w.Changes().pending(), func(p Pending) bool { return p.Action == KeepingBook })
		worth := bk.w.book.worth()
		if waits || bk.w.notes.Book == worth { // what waits may never get there: the next time tells
			return nil
		}
		bk.setLedgers()
		bk.w.book.dirty = true
		page := bookPage{V: payload.Version, Ledger: bk.w.client.ID(), Seen: min(unread, bk.w.view.Pin().Size), bookFacts: bk.w.book.Facts}
		body := payload.Marshal(&page)
		var t *view.Thread
		m := payload.Metadata{Version: 1, Category: payload.Other, Hidden: payload.Book}
		for own := range bk.w.view.Of(view.OwnBook) {
			if own.Status == contract.StatusOpen {
				t, m.Version = own, len(own.Versions)+1
				break
			}
		}
		_, _, err = bk.w.Records().put(ctx, t, &incoming{Reader: bytes.NewReader(body)}, m, nil, nil)
		if err == nil {
			bk.w.notes.Book = worth
		}
		kept = err == nil || errors.Is(err, ErrPending) // what is signed goes out
		return err
	})
	return kept, err
}

// readPages merges the versions of the book that came onto the ledger since it was
// last done, all of those that can be read or, if a service does not answer, none: a
// book that is merged in part must not be taken for what its owner left of it.
//
// A version that the store does not hold or has changed, and that no later one has
// seen, may come to light again. unread is its position, up to which this wallet can
// say that it has merged everything; without one it is beyond all positions.
func (bk Book) readPages(ctx context.Context) (unread uint64, err error) {
	type version struct {
		index uint64
		t     *view.Thread
		at    int
	}
	var news []version
	for _, t := range bk.w.view.Threads() {
		if t.Role != view.OwnBook && !t.IsUnknown() {
			continue
		}
		for i, index := range t.VersionIndexes() {
			if index >= bk.w.notes.BookRead {
				news = append(news, version{index, t, i})
			}
		}
	}
	unread = math.MaxUint64
	if len(news) == 0 {
		return unread, nil
	}
	slices.SortFunc(news, func(a, b version) int { return cmp.Compare(b.index, a.index) })
	var pages []*bookPage
	covered := uint64(0) // the writer of a page had merged what is before it
	for _, v := range news {
		if v.index < covered {
			continue
		}
		var page *bookPage
		err := error(ErrMissing)
		if m := v.t.Versions[v.at]; m != nil {
			page, err = bk.readPage(ctx, v.t, m)
		}
		if isMissing(err) || isTampered(err) {
			unread = v.index // the newest come first
			continue
		}
		if err != nil {
			return 0, err
		}
		pages, covered = append(pages, page), max(covered, page.Seen)
	}
	if len(pages) > 0 {
		for _, p := range pages {
			bk.w.book.Facts.merge(&p.bookFacts)
		}
		bk.w.book.show()
		bk.w.book.dirty = true
		// What the newest version says is on the ledger; if the merge says more, that is
		// worth a version.
		b := book{Facts: pages[0].bookFacts}
		bk.w.notes.Book = b.worth()
	}
	bk.w.notes.BookRead = max(bk.w.notes.BookRead, min(unread, news[0].index+1))
	return unread, nil
}

// readPage decrypts one version of the book.
func (bk Book) readPage(ctx context.Context, t *view.Thread, m *payload.Metadata) (*bookPage, error) {
	c, err := bk.w.content(ctx, m, t.ID)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if m.Size > maxSmall {
		return nil, c.tampered("too long for a book")
	}
	var body bytes.Buffer
	if err := c.decrypt(ctx, &body, crypto.RecordIdentity(bk.w.keys.self), m.SHA256, nil); err != nil {
		return nil, err
	}
	page, err := parsePage(body.Bytes())
	if errors.Is(err, payload.ErrVersion) {
		return nil, err
	}
	if err == nil && page.Ledger != bk.w.client.ID() {
		err = errCommitment
	}
	if err != nil {
		return nil, tampered("content of record", t.ID, err)
	}
	return page, nil
}

// Contact is a local name for an address.
type Contact struct {
	Name     string         `json:"name"`
	Address  crypto.Address `json:"address"`
	Verified bool           `json:"verified"`      // the check words were compared with their owner
	Ref      string         `json:"ref,omitempty"` // the wallet owner's own reference, at most MaxRef bytes; never sent
}

// MaxRef is the most bytes of a reference of one's own to a contact.
const MaxRef = 64

// CheckRef returns a reference as it is kept: like a name, but at most MaxRef bytes, and
// it may be empty.
func CheckRef(ref string) (string, error) {
	if text.Name(ref) == "" {
		return "", nil
	}
	r, err := CheckName("ref", ref)
	if err == nil && len(r) > MaxRef {
		err = badInput("ref", ref, fmt.Sprintf("longer than %d bytes: ASCII takes one for a letter, other scripts two to four", MaxRef))
	}
	return r, err
}

// CheckName is [text.CheckName]. field names what it is in an [ErrInput].
func CheckName(field, name string) (string, error) {
	kept, why := text.CheckName(name)
	if why != "" {
		return "", badInput(field, name, why)
	}
	return kept, nil
}

// lookAtNews takes up what another machine with the same key wrote into the book.
func (bk Book) lookAtNews(ctx context.Context) error {
	if bk.w.view.Away() != nil {
		return nil
	}
	err := bk.w.Records().describeAll(ctx)
	if err == nil && bk.w.view.Away() == nil {
		_, err = bk.readPages(ctx)
	}
	if bk.w.view.DoWithout(err) || bk.w.view.Away() != nil {
		return nil // next time
	}
	if err == nil && bk.w.view.News() {
		bk.w.view.SetNews(false)
	}
	return err
}

func (bk Book) read() error {
	// Reading an address checks its signature: with a thousand contacts that is
	// worth a comparison.
	sealed, err := bk.w.home.Read(home.BookFile)
	if err == nil && !bk.w.book.dirty && bk.w.book.read != nil && bytes.Equal(sealed, bk.w.book.read) {
		return nil
	}
	bk.w.book.read = nil
	var b book
	err = bk.w.home.ReadSealed(home.BookFile, &b)
	if err == nil && b.V != bookVersion {
		err = WrongVersion(home.BookFile, b.V, bookVersion)
	}
	if err != nil {
		b, sealed = newBook(), nil
	}
	b.show()
	bk.w.book = keptBook{book: b, read: sealed}
	return err
}
