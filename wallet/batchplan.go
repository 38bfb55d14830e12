package wallet

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"sort"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// A batch plan is the difference between what a file wants and what is in force.
//
// A row of a state names a recipient, record versions, a purpose and a window. The
// consents in force to that recipient for that purpose whose records all are among
// the row's are named by it. Those with the row's window stay, and what they do not
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
	Warnings   []BatchWarning
	Gate       ledgerclient.Gate
	Scope      crypto.Hash // of the consents that the plan was made on
}

// BatchItem is one consent to give or to end.
type BatchItem struct {
	Line    int  // of the file; 0 when no row asked for it
	Do      Do   // WishGrant or WishRevoke
	To      int  // in BatchPlan.Recipients; -1 if whom the consent is for is not known
	Set     int  // in BatchPlan.Sets; -1 if not known
	Overlap bool // of a grant: the recipient can open some of it already

	Purpose   Purpose
	NotBefore contract.Hour
	NotAfter  contract.Hour

	Consent contract.ID // to revoke
	Why     string      // of a revocation: "asked", "replaced", "pruned"
	Loses   bool        // the recipient can then open some of it no more
	Sooner  bool        // or only until an earlier end
}

// BatchWarning is something that looks wrong, with the first row and how many.
type BatchWarning struct {
	Kind  string // "unverified", "self", "long", "new-purpose", "lookalike", "overlap", "nothing-new"
	Who   string // the contact, where one is concerned
	Other string // of "lookalike": the other contact; of "new-purpose": the purpose
	Line  int
	Count int
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
	purpose     Purpose
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
}

func (w *Wallet) newBatchPlanner(opt BatchOptions) *batchPlanner {
	p := &batchPlanner{w: w, now: w.ledgerHour(),
		plan:       &BatchPlan{Ledger: w.client.ID(), From: w.Address(), File: opt.File, Prune: opt.Prune, Gate: w.client.Ledger.Properties().Gate},
		recipients: map[string]int32{}, byAddress: map[crypto.Address]int32{}, sets: map[string]int32{}, setKeys: map[string]int32{}, known: map[*recordSet]int32{},
		force: map[int32][]*thread{}, similar: map[string][]string{},
	}
	p.plan.Made = p.now
	for _, c := range w.book.Contacts {
		k := skeleton(c.Name)
		p.similar[k] = append(p.similar[k], c.Name)
	}
	for _, t := range w.threads.list {
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
	r := wanted{line: int32(x.Line), do: x.Do, to: -1, set: -1, purpose: x.Purpose, from: x.NotBefore, until: x.NotAfter}
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
	if p.bad.Total == before {
		p.rows = append(p.rows, r)
	}
	return nil
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
	in := map[Category]bool{}
	for _, c := range x.Categories {
		in[c] = true
	}
	if x.All || len(in) > 0 {
		found := false
		for _, t := range p.records {
			if t.state.Status == contract.StatusOpen && (x.All || in[t.record().Category]) {
				chosen[t], found = true, true
			}
		}
		if !found {
			return -1, "categories", "", "no record is in these categories"
		}
	}
	var records []ConsentRecord
	for t := range chosen {
		if _, err := t.newest(); err != nil {
			return -1, "records", t.id.String()[:12], "the store no longer holds the description of this record"
		}
		r := t.record()
		records = append(records, ConsentRecord{ID: r.ID, Version: r.Version, Title: r.Title, Category: r.Category, Date: r.Date})
	}
	set = p.addSet(records)
	p.sets[key] = set
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

// spot is where a consent or a row is looked for.
type spot struct {
	to      int32
	purpose Purpose
	record  contract.ID
}

// finish compares the rows with what is in force.
func (p *batchPlanner) finish(file BatchFile) (*BatchPlan, error) {
	plan := p.plan
	plan.Rows, plan.Changes, plan.SHA256 = file.Rows, file.Changes, file.SHA256
	if plan.Prune && plan.Changes {
		return nil, &InputError{Field: "prune", Why: "a list of changes names no state that everything else could be measured by"}
	}
	used := map[Purpose]bool{}
	total := 0
	where := map[spot][]*thread{}
	for _, t := range p.consents {
		if t.terms != nil {
			used[t.terms.Purpose] = true
		}
		if !p.w.inForce(t, p.now) {
			continue
		}
		total++
		if t.terms == nil {
			continue
		}
		to, ok := p.byAddress[t.terms.peer]
		if !ok {
			if !plan.Prune {
				continue
			}
			c, known := p.w.known(t.terms.peer)
			if !known {
				c = Contact{Address: t.terms.peer}
			}
			to = p.addRecipient(c)
		}
		p.force[to] = append(p.force[to], t)
		for _, r := range t.terms.of.records {
			at := spot{to, t.terms.Purpose, r.Record}
			where[at] = append(where[at], t)
		}
	}
	d := &difference{batchPlanner: p, where: where, ending: map[*thread]bool{}, named: map[*thread]bool{}, planned: map[stretch][]int32{}}
	d.revocations()
	d.grants()
	d.prune()
	d.judge(used)
	plan.Stay = total - len(d.ending)
	plan.Scope = p.w.batchScope(plan)
	return plan, nil
}

// stretch is what makes two grants to one recipient join.
type stretch struct {
	to          int32
	purpose     Purpose
	from, until contract.Hour
}

// difference is the comparison at work.
type difference struct {
	*batchPlanner
	where   map[spot][]*thread
	ending  map[*thread]bool
	named   map[*thread]bool
	planned map[stretch][]int32 // sets that are to be granted
	asked   []BatchItem
}

// revocations finds what rows end.
func (d *difference) revocations() {
	for i := range d.rows {
		r := &d.rows[i]
		if r.do != WishRevoke {
			continue
		}
		ts := []*thread{r.end}
		if r.end == nil {
			ts = d.forceTo(r.to)
		}
		n := 0
		for _, t := range ts {
			if !d.w.inForce(t, d.now) || d.ending[t] {
				continue
			}
			n++
			d.end(t, int(r.line), "asked")
		}
		if n == 0 {
			d.plan.Already++
		}
	}
}

// forceTo returns the consents in force to a recipient, whatever it is called.
func (d *difference) forceTo(to int32) []*thread {
	return d.force[d.byAddress[d.plan.Recipients[to].Address]]
}

func (d *difference) end(t *thread, line int, why string) {
	d.ending[t] = true
	item := BatchItem{Line: line, Do: WishRevoke, To: -1, Set: -1, Consent: t.id, Why: why, NotBefore: t.state.NotBefore, NotAfter: t.state.NotAfter}
	if t.terms != nil {
		to, ok := d.byAddress[t.terms.peer]
		if !ok {
			c, known := d.w.known(t.terms.peer)
			if !known {
				c = Contact{Address: t.terms.peer}
			}
			to = d.addRecipient(c)
		}
		item.To, item.Purpose = int(to), t.terms.Purpose
		item.Set = int(d.setOf(t.terms.of))
	}
	d.asked = append(d.asked, item)
}

// grants finds what rows want that is not in force.
func (d *difference) grants() {
	type replacement struct {
		t    *thread
		line int
	}
	var replaced []replacement
	for i := range d.rows {
		r := &d.rows[i]
		if r.do == WishRevoke {
			continue
		}
		to := d.byAddress[d.plan.Recipients[r.to].Address]
		want := d.plan.Sets[r.set]
		version := make(map[contract.ID]int, len(want))
		for _, x := range want {
			version[x.ID] = x.Version
		}
		covered := map[contract.ID]bool{}
		overlap := false
		seen := map[*thread]bool{}
		for _, x := range want {
			for _, t := range d.where[spot{to, r.purpose, x.ID}] {
				if seen[t] || d.ending[t] {
					continue
				}
				seen[t] = true
				within := true
				for _, have := range t.terms.of.records {
					within = within && version[have.Record] > 0
				}
				same := t.state.NotAfter == r.until && (t.state.NotBefore == r.from || max(t.state.NotBefore, r.from) <= d.now)
				switch {
				case within && same:
					d.named[t] = true
					for _, have := range t.terms.of.records {
						covered[have.Record] = covered[have.Record] || have.Version == version[have.Record]
					}
				case within && r.do == WishState:
					replaced = append(replaced, replacement{t, int(r.line)})
				default:
					overlap = true
				}
			}
		}
		win := stretch{to, r.purpose, r.from, r.until}
		for _, set := range d.planned[win] {
			for _, have := range d.plan.Sets[set] {
				covered[have.ID] = covered[have.ID] || have.Version == version[have.ID]
			}
		}
		var rest []ConsentRecord
		for _, x := range want {
			if !covered[x.ID] {
				rest = append(rest, x)
			}
		}
		if len(rest) == 0 {
			d.plan.Already++
			continue
		}
		set := r.set
		if len(rest) < len(want) {
			set = d.addSet(rest)
		}
		d.planned[win] = append(d.planned[win], set)
		d.plan.Items = append(d.plan.Items, BatchItem{Line: int(r.line), Do: WishGrant, To: int(r.to), Set: int(set), Overlap: overlap,
			Purpose: r.purpose, NotBefore: r.from, NotAfter: r.until})
	}
	for _, x := range replaced {
		if !d.named[x.t] && !d.ending[x.t] {
			d.end(x.t, x.line, "replaced")
		}
	}
}

func (d *difference) prune() {
	if !d.plan.Prune {
		return
	}
	for _, t := range d.w.threads.list {
		if d.w.inForce(t, d.now) && !d.named[t] && !d.ending[t] {
			d.end(t, 0, "pruned")
		}
	}
}

// judge adds the revocations to the plan, tells which of them take something away,
// and says what looks wrong.
func (d *difference) judge(used map[Purpose]bool) {
	plan := d.plan
	// What recipients can open afterwards.
	after := map[int32]map[contract.ID]contract.Hour{}
	opens := func(to int32, id contract.ID, end contract.Hour) {
		if after[to] == nil {
			after[to] = map[contract.ID]contract.Hour{}
		}
		after[to][id] = max(after[to][id], end)
	}
	if len(d.asked) > 0 {
		for to, ts := range d.force {
			for _, t := range ts {
				if !d.ending[t] {
					for _, r := range t.terms.of.records {
						opens(to, r.Record, t.state.NotAfter)
					}
				}
			}
		}
		for i := range plan.Items {
			x := &plan.Items[i]
			for _, r := range plan.Sets[x.Set] {
				opens(d.byAddress[plan.Recipients[x.To].Address], r.ID, x.NotAfter)
			}
		}
		for i := range d.asked {
			x := &d.asked[i]
			if x.Set < 0 || x.To < 0 {
				x.Loses = true
				continue
			}
			for _, r := range plan.Sets[x.Set] {
				end := after[d.byAddress[plan.Recipients[x.To].Address]][r.ID]
				x.Loses = x.Loses || end == 0
				x.Sooner = x.Sooner || end != 0 && end < x.NotAfter
			}
		}
	}
	at := map[BatchWarning]int{}
	warn := func(line int, x BatchWarning) {
		i, ok := at[x]
		if !ok {
			i = len(plan.Warnings)
			at[x] = i
			first := x
			first.Line = line
			plan.Warnings = append(plan.Warnings, first)
		}
		plan.Warnings[i].Count++
	}
	for i := range plan.Items {
		x := &plan.Items[i]
		c := &plan.Recipients[x.To]
		if !c.Verified {
			warn(x.Line, BatchWarning{Kind: "unverified", Who: c.Name})
		}
		if c.Address == plan.From {
			warn(x.Line, BatchWarning{Kind: "self", Who: c.Name})
		}
		if x.NotAfter-max(d.now, x.NotBefore) > longGrant {
			warn(x.Line, BatchWarning{Kind: "long"})
		}
		if !used[x.Purpose] {
			warn(x.Line, BatchWarning{Kind: "new-purpose", Other: x.Purpose.Word()})
		}
		for _, other := range d.similar[skeleton(c.Name)] {
			if other != c.Name {
				warn(x.Line, BatchWarning{Kind: "lookalike", Who: c.Name, Other: other})
				break
			}
		}
		if x.Overlap {
			warn(x.Line, BatchWarning{Kind: "overlap"})
		}
	}
	plan.Items = append(plan.Items, d.asked...)
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
	for i := range p.Items {
		if x := &p.Items[i]; x.Do == WishRevoke {
			ends[x.Consent] = true
		} else {
			for _, r := range p.Sets[x.Set] {
				grants[r.ID] = true
			}
		}
	}
	var facts [][]byte
	for _, t := range w.threads.list {
		switch {
		case t.role == ownGrant && (p.Prune || ends[t.id] || t.terms != nil && in[t.terms.peer]):
			// What only ended with time since the plan was made has not changed.
			if t.state.Status == contract.StatusOpen && p.Made < t.state.NotAfter {
				facts = append(facts, append([]byte("c"), t.id[:]...))
			}
		case t.role == ownRecord && grants[t.id]:
			facts = append(facts, binary.AppendUvarint(append([]byte("r"), t.id[:]...), uint64(t.state.Status)<<32|uint64(len(t.versions))))
		}
	}
	for _, c := range p.Recipients {
		if now, ok := w.contact(c.Name); ok && now.Address == c.Address {
			facts = append(facts, append([]byte("a"+c.Name+"\x00"), c.Address.String()...))
		}
	}
	slices.SortFunc(facts, bytes.Compare)
	ledger := w.client.ID()
	from := w.Address().String()
	all := [][]byte{ledger[:], []byte(from)}
	for _, f := range facts {
		all = append(all, binary.BigEndian.AppendUint32(nil, uint32(len(f))), f)
	}
	return crypto.TaggedHash(crypto.TagPlanScope, all...)
}
