package wallet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"sort"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/payload"
)

// A batch plan is the difference between what a file wants and what is in force.
//
// A row of a state names a recipient, record versions, a purpose and a window. The
// consents in force to that recipient for that purpose whose records all are among
// the row's are named by it. Those with the row's window, to the exact end, stay, and what they do not
// cover, in its newest version, is granted. Those with another window are replaced:
// revoked once the row's own grant is on the ledger. Every other consent stays as
// it is, unless the plan prunes.
//
// A row that grants is the same, but replaces nothing. A row that revokes ends a
// consent, or all that are in force to a contact.

// BatchPlan is a batch that was checked and can be shown before anything is signed.
type BatchPlan struct {
	Ledger     crypto.LedgerID
	From       crypto.Address
	Made       contract.Hour
	File       string // name of the file it was made from
	SHA256     crypto.Hash
	Rows       int
	Changes    bool // the file is a list of changes
	Prune      bool
	Recipients []Contact         // everybody whom a row or an item names
	Sets       [][]ConsentRecord // record versions that items name, by BatchItem.Set
	Items      []BatchItem       // grants, then revocations
	Stay       int               // consents in force that stay
	Already    int               // rows that ask for nothing new
	People     []BatchPerson     // what changes for whom, in the order of the items
	Warnings   []BatchWarning
	Gate       ledgerclient.Gate
	Scope      crypto.Hash // of the consents that the plan was made on

	sum crypto.Hash // of the file that it was read from; zero if it was made of rows
}

// BatchItem is one consent to give or to end.
type BatchItem struct {
	Line    int  // of the file; 0 when no row asked for it
	Do      Do   // WishGrant or WishRevoke
	To      int  // in BatchPlan.Recipients; -1 if whom the consent is for is not known
	Set     int  // in BatchPlan.Sets; -1 if not known
	Overlap bool // of a grant: the recipient can open some of it already

	Purpose   payload.Purpose
	NotBefore contract.Hour
	Until     contract.Hour // the exact end

	Consent contract.ID // to revoke
	Why     string      // of a revocation: "asked", "replaced", "pruned"
	Loses   bool        // the recipient can then open some of it no more
	Sooner  bool        // or only until an earlier end
}

// BatchWarning is something that looks wrong, with the first row and how many.
type BatchWarning struct {
	Kind  string // "unverified", "self", "long", "new-purpose", "lookalike", "overlap", "empty"
	Who   string // the contact, where one is concerned
	Other string // of "lookalike": the other contact; of "new-purpose": the purpose; of "empty": the category without a record, or "all"
	Line  int
	Count int
	Until contract.Hour // of "long": the last end
}

// BatchOptions say how a plan is to be made.
type BatchOptions struct {
	File  string // its name, for people
	Prune bool   // revoke what the file does not name
}

// BatchFile is what reading a file tells.
type BatchFile struct {
	Rows    int
	Changes bool
	SHA256  crypto.Hash
}

// PlanBatch resolves rows and compares them with what is in force. read calls add
// with every row. All that is wrong is one *LinesError, that of read included.
func (w *Wallet) PlanBatch(ctx context.Context, opt BatchOptions, read func(add func(Wish) error) (BatchFile, error)) (*BatchPlan, error) {
	var plan *BatchPlan
	err := w.with(ctx, func() (err error) {
		if err := w.describeAll(ctx); err != nil {
			return err
		}
		if _, err := w.grants(ctx); err != nil {
			return err
		}
		p := w.newBatchPlanner(opt)
		file, err := read(p.add)
		var bad *LinesError
		if err != nil && !errors.As(err, &bad) {
			return err
		}
		if err := joinProblems(bad, &p.bad); err != nil {
			return err
		}
		plan, err = p.finish(file)
		return err
	})
	return plan, err
}

// joinProblems is all problems in the order of the file; nil if there are none.
func joinProblems(read, found *LinesError) error {
	if read == nil {
		read = &LinesError{}
	}
	if read.Total+found.Total == 0 {
		return nil
	}
	all := append(slices.Clone(read.Problems), found.Problems...)
	slices.SortStableFunc(all, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return &LinesError{Problems: all[:min(len(all), MaxProblems)], Total: read.Total + found.Total}
}

// wanted is a resolved row.
type wanted struct {
	line        int32
	do          Do
	to, set     int32
	purpose     payload.Purpose
	from, until contract.Hour
	end         *thread // of a revocation that names a consent
}

type batchPlanner struct {
	w    *Wallet
	plan *BatchPlan
	now  contract.Hour
	bad  LinesError
	rows []wanted

	recipients map[string]int32         // by name
	byAddress  map[crypto.Address]int32 // the same
	sets       map[string]int32         // by what a row says
	setKeys    map[string]int32         // by content
	known      map[*recordSet]int32     // those of consents
	records    prefixes
	consents   prefixes
	force      map[int32][]*thread // consents in force, by recipient
	similar    map[string][]string // contacts' names by skeleton
	empties    map[string][]string // categories without a record, by what a row says
	empty      []BatchWarning      // of rows that name such, one for each category
}

func (w *Wallet) newBatchPlanner(opt BatchOptions) *batchPlanner {
	p := &batchPlanner{w: w, now: w.view.ledgerHour(),
		plan:       &BatchPlan{Ledger: w.client.ID(), From: w.Address(), File: opt.File, Prune: opt.Prune, Gate: w.client.Ledger.Properties().Gate},
		recipients: map[string]int32{}, byAddress: map[crypto.Address]int32{}, sets: map[string]int32{}, setKeys: map[string]int32{}, known: map[*recordSet]int32{},
		force: map[int32][]*thread{}, similar: map[string][]string{}, empties: map[string][]string{},
	}
	p.plan.Made = p.now
	for _, c := range w.book.Contacts {
		k := skeleton(c.Name)
		p.similar[k] = append(p.similar[k], c.Name)
	}
	for _, t := range w.view.threads.list {
		switch t.role {
		case ownRecord:
			p.records = append(p.records, t)
		case ownGrant:
			p.consents = append(p.consents, t)
		}
	}
	p.records.sort()
	p.consents.sort()
	return p
}

// prefixes finds threads by the beginnings of their ids.
type prefixes []*thread

func (p prefixes) sort() {
	slices.SortFunc(p, func(a, b *thread) int { return bytes.Compare(a.id[:], b.id[:]) })
}

// find returns the one thread whose id begins with hex digits, and how many there
// are.
func (p prefixes) find(query string) (*thread, int) {
	i := sort.Search(len(p), func(i int) bool { return hex.EncodeToString(p[i].id[:]) >= query })
	n := i
	for n < len(p) && strings.HasPrefix(hex.EncodeToString(p[n].id[:]), query) {
		n++
	}
	if n == i {
		return nil, 0
	}
	return p[i], n - i
}

// add resolves one row.
func (p *batchPlanner) add(x Wish) error {
	before := p.bad.Total
	bad := func(column int, field, value, why string) {
		p.bad.Add(Problem{Line: x.Line, Column: column, Field: field, Value: value, Why: why})
	}
	if x.Bad {
		p.lookUp(x, bad)
		return nil
	}
	r := wanted{line: int32(x.Line), do: x.Do, to: -1, set: -1, purpose: x.Purpose, from: x.NotBefore, until: x.Until}
	if x.Consent != "" {
		t, n := p.consents.find(x.Consent)
		switch {
		case n == 0:
			bad(x.Place.Consent, "consent", x.Consent, "no consent of yours has this id")
		case n > 1:
			bad(x.Place.Consent, "consent", x.Consent, "several consents begin like this")
		}
		r.end = t
	} else {
		var why string
		if r.to, why = p.recipient(x.To); why != "" {
			bad(x.Place.To, "to", x.To, why)
		}
	}
	if x.Do != WishRevoke {
		var field, value, why string
		if r.set, field, value, why = p.set(x); why != "" {
			bad(x.Place.Records, field, value, why)
		}
	}
	switch {
	case p.bad.Total > before:
	case x.Do != WishRevoke && r.set == noRecord:
		p.plan.Already++ // there is nothing to give
	default:
		p.rows = append(p.rows, r)
	}
	return nil
}

// noRecord is the set of a row whose categories have no record.
const noRecord = -1

// warnEmpty notes categories of a row that have no record.
func (p *batchPlanner) warnEmpty(line int, categories []string) {
	for _, c := range categories {
		i := slices.IndexFunc(p.empty, func(w BatchWarning) bool { return w.Other == c })
		if i < 0 {
			i = len(p.empty)
			p.empty = append(p.empty, BatchWarning{Kind: "empty", Other: c, Line: line})
		}
		p.empty[i].Count++
	}
}

// lookUp reports what a bad row names and is not there.
func (p *batchPlanner) lookUp(x Wish, bad func(column int, field, value, why string)) {
	if x.To != "" {
		if _, why := p.recipient(x.To); why != "" {
			bad(x.Place.To, "to", x.To, why)
		}
	}
	if t, _ := p.consents.find(x.Consent); x.Consent != "" && t == nil {
		bad(x.Place.Consent, "consent", x.Consent, "no consent of yours has this id")
	}
	for _, q := range x.Records {
		if t, _ := p.records.find(q); t == nil {
			bad(x.Place.Records, "records", q, "no record of yours has this id")
		}
	}
}

func (p *batchPlanner) recipient(name string) (int32, string) {
	if i, ok := p.recipients[name]; ok {
		return i, ""
	}
	c, ok := p.w.contact(name)
	if !ok {
		if s := p.similar[skeleton(name)]; len(s) > 0 {
			return -1, "no contact of that name; one looks like it: " + s[0]
		}
		return -1, "no contact of that name"
	}
	i := p.addRecipient(c)
	p.recipients[name] = i
	return i, ""
}

func (p *batchPlanner) addRecipient(c Contact) int32 {
	i := int32(len(p.plan.Recipients))
	p.plan.Recipients = append(p.plan.Recipients, c)
	if _, there := p.byAddress[c.Address]; !there {
		p.byAddress[c.Address] = i
	}
	return i
}

// set resolves the records of a row to their newest versions, in the ledger's
// order.
func (p *batchPlanner) set(x Wish) (set int32, field, value, why string) {
	key := strings.Join(x.Records, " ") + "|"
	for _, c := range x.Categories {
		key += string(c) + " "
	}
	if x.All {
		key += "all"
	}
	if i, ok := p.sets[key]; ok {
		p.warnEmpty(x.Line, p.empties[key])
		return i, "", "", ""
	}
	chosen := map[*thread]bool{}
	for _, q := range x.Records {
		t, n := p.records.find(q)
		switch {
		case n == 0:
			return -1, "records", q, "no record of yours has this id"
		case n > 1:
			return -1, "records", q, "several records begin like this"
		case t.state.Status != contract.StatusOpen:
			return -1, "records", q, "this record was removed"
		}
		chosen[t] = true
	}
	found := map[payload.Category]bool{} // categories with a record
	if x.All || len(x.Categories) > 0 {
		for _, t := range p.records {
			c := t.record().Category
			if t.state.Status == contract.StatusOpen && (x.All || slices.Contains(x.Categories, c)) {
				chosen[t], found[c] = true, true
			}
		}
	}
	var empty []string
	for _, c := range x.Categories {
		if !found[c] && !slices.Contains(empty, string(c)) {
			empty = append(empty, string(c))
		}
	}
	if x.All && len(found) == 0 {
		empty = append(empty, "all")
	}
	p.warnEmpty(x.Line, empty)
	var records []ConsentRecord
	for t := range chosen {
		if _, err := t.newest(); err != nil {
			return -1, "records", t.id.String()[:12], "the store no longer holds the description of this record"
		}
		r := t.record()
		records = append(records, ConsentRecord{ID: r.ID, Version: r.Version, Title: r.Title, Category: r.Category, Date: r.Date})
	}
	if set = noRecord; len(records) > 0 {
		set = p.addSet(records)
	}
	p.sets[key], p.empties[key] = set, empty
	return set, "", "", ""
}

// addSet keeps equal sets once.
func (p *batchPlanner) addSet(records []ConsentRecord) int32 {
	slices.SortFunc(records, func(a, b ConsentRecord) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	var key []byte
	for _, r := range records {
		key = binary.AppendUvarint(append(key, r.ID[:]...), uint64(r.Version))
	}
	if i, ok := p.setKeys[string(key)]; ok {
		return i
	}
	i := int32(len(p.plan.Sets))
	p.plan.Sets = append(p.plan.Sets, records)
	p.setKeys[string(key)] = i
	return i
}

// setOf is the set of a consent in force.
func (p *batchPlanner) setOf(of *recordSet) int32 {
	i, ok := p.known[of]
	if !ok {
		i = p.addSet(slices.Clone(of.shown))
		p.known[of] = i
	}
	return i
}

// inForce tells whether a consent can be opened now or later.
func (w *Wallet) inForce(t *thread, now contract.Hour) bool {
	return t.role == ownGrant && t.state.Status == contract.StatusOpen && now < t.state.NotAfter
}

// batchScope is a hash over all that a plan depends on: the consents to its
// recipients, or all of them if it prunes, and the records that it grants.
func (w *Wallet) batchScope(p *BatchPlan) crypto.Hash {
	in := map[crypto.Address]bool{}
	for _, c := range p.Recipients {
		in[c.Address] = true
	}
	ends := map[contract.ID]bool{}
	grants := map[contract.ID]bool{}
	seen := make([]bool, len(p.Sets))
	for i := range p.Items {
		if x := &p.Items[i]; x.Do == WishRevoke {
			ends[x.Consent] = true
		} else if !seen[x.Set] {
			seen[x.Set] = true
			for _, r := range p.Sets[x.Set] {
				grants[r.ID] = true
			}
		}
	}
	facts := sha256.New()
	fact := func(parts ...[]byte) {
		size := 0
		for _, p := range parts {
			size += len(p)
		}
		facts.Write(binary.BigEndian.AppendUint32(nil, uint32(size)))
		for _, p := range parts {
			facts.Write(p)
		}
	}
	for _, t := range w.view.threads.list { // in the ledger's order
		switch {
		case t.role == ownGrant && (p.Prune || ends[t.id] || t.terms != nil && in[t.terms.peer]):
			// What only ended with time since the plan was made has not changed.
			if t.state.Status == contract.StatusOpen && p.Made < t.state.NotAfter {
				fact([]byte("c"), t.id[:])
			}
		case t.role == ownRecord && grants[t.id]:
			fact([]byte("r"), t.id[:], binary.AppendUvarint(nil, uint64(t.state.Status)<<32|uint64(len(t.versions))))
		}
	}
	for _, c := range p.Recipients {
		if now, ok := w.contact(c.Name); ok && now.Address == c.Address {
			fact([]byte("a"+c.Name+"\x00"), []byte(c.Address.String()))
		}
	}
	ledger := w.client.ID()
	return crypto.TaggedHash(crypto.TagPlanScope, ledger[:], []byte(w.Address().String()), facts.Sum(nil))
}
