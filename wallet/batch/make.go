package batch

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"slices"
	"sort"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// A plan is the difference between what a file wants and what is in force.
//
// A row of a state names a recipient, record versions, a purpose and a window. The
// consents in force to that recipient for that purpose whose records all are among
// the row's are named by it. Those with the row's window, to the exact end, stay, and what they do not
// cover, in its newest version, is granted. Those with another window are replaced:
// revoked once the row's own grant is on the ledger. Every other consent stays as
// it is, unless the plan prunes.
//
// Those that give other parts than the row chooses by the same words, since labels were
// corrected, are replaced too.
//
// A row that grants is the same, but replaces nothing. A row that revokes ends a
// consent, or all that are in force to a contact.
//
// Time and memory grow with the rows and the consents, not with their product, also
// where all are of one person.

const (
	// ErrPruneChanges: a list of changes names no state that all else is measured by.
	ErrPruneChanges fault.Code = "bad-prune/changes"
	// ErrPruneAll: no row is for this wallet, so that all that it gave would end.
	ErrPruneAll fault.Code = "bad-prune/all"
)

// Make reads a file and compares its rows with what is in force. All that is wrong with
// the file is one *LinesError.
func Make(ctx context.Context, w *wallet.Wallet, r io.Reader, opt Options) (plan *Plan, err error) {
	err = w.Together(ctx, func() error {
		p, err := newPlanner(ctx, w)
		if err != nil {
			return err
		}
		p.File, p.Prune = opt.File, opt.Prune
		if p.Report, err = Read(r, opt, p.row); err != nil {
			return err
		}
		if p.failed != nil {
			return p.failed
		}
		if p.Prune && p.Changes {
			return ErrPruneChanges
		}
		if p.Prune && p.Rows == 0 {
			return ErrPruneAll
		}
		plan, err = p.compare()
		return err
	})
	return plan, err
}

// planner makes a plan.
type planner struct {
	*Plan
	ctx  context.Context
	w    *wallet.Wallet
	now  wallet.Hour
	rows []want

	contacts   []wallet.Contact
	people     map[crypto.Address]*person
	byName     map[string]*recipient // by what a row says
	records    []wallet.Record       // by id
	selections map[string]*selection // by what a row says
	consents   []wallet.Consent
	active     []*consent // in force, in the ledger's order
	byID       []*consent // the same by id, with those that are not in force
	failed     error      // what ends the plan, and is no row's fault
	ends       []Item     // revocations, until the grants are all there
	ending     []*consent // of each of them
	nobody     person     // of consents of which nobody knows whom they are for

	met map[crypto.Address]bool // who was seen on the ledger
}

// want is a row whose names were found.
type want struct {
	line        int
	do          Do
	to          *recipient
	what        *selection
	purpose     wallet.Purpose
	from, until wallet.Hour
	end         *consent // of a revocation that names a consent
}

// recipient is a contact whom a row names.
type recipient struct {
	wallet.Contact
	person *person
}

// person is who has an address, whatever contacts it has.
type person struct {
	wallet.Contact            // one of them
	link           bool       // she is whoever has a link
	consents       []*consent // in force to her
}

// consent is a consent of one's own.
type consent struct {
	*wallet.Consent
	inForce bool
	ends    bool // the plan ends it
	state   LinkState
	group   *group // of what no row ends; nil if nobody knows whom and what it is for
	window  window
	parts   []wallet.GivenParts // that it gives; nil if it gives none, or what it gives cannot be read
}

// key is its scope for [openedAt]: what was chosen by the same before labels were corrected
// is something else.
func (h *consent) key() string {
	scope := scopeText(h.Scope)
	if h.group != nil && h.group.stale {
		scope += h.group.given
	}
	return scope
}

// named reports whether a row names it.
func (h *consent) named() bool { return h.group != nil && h.group.named[h.window] }

// group is what is in force to one person, for one purpose, of the same records, but for
// what a row ends.
type group struct {
	records  []wallet.ConsentRecord
	scope    string // what of those of which parts are given; "" if there are none
	parts    []wallet.GivenParts
	given    string          // the same as text
	stale    bool            // a row chooses other parts by the same scope
	named    map[window]bool // its windows, and whether a row names what has them
	row      int             // that was compared last
	replaced int             // the first row that another window of them is replaced by; 0: none
}

// window is from when until when, where every beginning that is over is 0.
type window struct{ from, until wallet.Hour }

func (p *planner) window(from, until wallet.Hour) window {
	if from <= p.now {
		from = 0
	}
	return window{from, until}
}

func newPlanner(ctx context.Context, w *wallet.Wallet) (*planner, error) {
	id, properties := w.Ledger()
	p := &planner{ctx: ctx, w: w, now: wallet.Hour(w.Log().Hour()), contacts: w.Contacts().List(),
		Plan:   &Plan{Ledger: id, From: w.Address(), Gate: properties.Gate, People: []Person{}, Warnings: []Warning{}, Recipients: []wallet.Contact{}, Items: []Item{}},
		people: map[crypto.Address]*person{}, byName: map[string]*recipient{}, selections: map[string]*selection{}}
	p.Made = p.now
	var err error
	if p.consents, p.records, err = holdings(ctx, w); err != nil {
		return nil, err
	}
	if p.met, err = w.Grants().Met(ctx); err != nil {
		return nil, err
	}
	for i := range p.consents {
		c := &p.consents[i]
		if c.Status == wallet.StatusPending {
			continue
		}
		h := &consent{Consent: c, inForce: inForce(c, p.now)}
		p.byID = append(p.byID, h)
		if h.inForce {
			p.active = append(p.active, h)
		}
	}
	slices.SortFunc(p.byID, func(a, b *consent) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return p, nil
}

// find returns which of n ids is the one that begins with hex digits, or why there is
// none such.
func find(noun string, n int, id func(i int) contract.ID, query string) (at int, why string) {
	at = sort.Search(n, func(i int) bool { return id(i).String() >= query })
	begins := func(i int) bool { return i < n && strings.HasPrefix(id(i).String(), query) }
	switch {
	case !begins(at):
		why = "no " + noun + " of yours has this id"
	case begins(at + 1):
		why = "several " + noun + "s begin like this"
	}
	return at, why
}

func (p *planner) findConsent(query string) (*consent, string) {
	at, why := find("consent", len(p.byID), func(i int) contract.ID { return p.byID[i].ID }, query)
	if why != "" {
		return nil, why
	}
	return p.byID[at], ""
}

func (p *planner) findRecord(query string) (*wallet.Record, string) {
	at, why := find("record", len(p.records), func(i int) contract.ID { return p.records[i].ID }, query)
	if why == "" {
		return &p.records[at], ""
	}
	if _, removed, err := p.w.Records().History(p.ctx, query); err == nil && removed {
		why = "this record was removed"
	}
	return nil, why
}

// row finds what a row names, and returns what is not there.
func (p *planner) row(x Row) (problems []Problem) {
	bad := func(column int, field, value, why string) {
		problems = append(problems, Problem{Line: x.Line, Column: column, Field: field, Value: value, Why: why})
	}
	r := want{line: x.Line, do: x.Do, purpose: x.Purpose, from: wallet.Hour(x.NotBefore), until: wallet.Hour(x.Until)}
	var why string
	if x.Consent != "" {
		if r.end, why = p.findConsent(x.Consent); why != "" {
			bad(x.Place.Consent, "consent", x.Consent, why)
		}
	}
	if x.To != "" {
		if r.to, why = p.recipient(x.To); why != "" {
			bad(x.Place.To, "to", x.To, why)
		}
	}
	if x.Do != Revoke {
		var wrong *Problem
		if r.what, wrong = p.choose(&x); wrong != nil {
			problems = append(problems, *wrong)
		} else if p.failed == nil {
			if role := r.what.role; role != nil && r.purpose == "" {
				r.purpose = role.Purposes[0]
			}
			if why := r.what.bound(r.purpose, int(r.until-max(p.now, r.from))); why != "" {
				bad(x.Place.Role, "role", x.Role, why)
			}
		}
	}
	if !x.Bad && problems == nil {
		p.rows = append(p.rows, r)
	}
	return problems
}

func (p *planner) recipient(name string) (*recipient, string) {
	if r := p.byName[name]; r != nil {
		return r, ""
	}
	c, err := p.w.Contacts().Named(name)
	if none, _ := fault.As(err, wallet.ErrNotFound); fault.Get[string](none, "like") != "" {
		return nil, "no contact of that name; one looks like it: " + fault.Get[string](none, "like")
	}
	if err != nil {
		return nil, "no contact of that name"
	}
	r := &recipient{c, p.add(c)}
	p.byName[name] = r
	return r, ""
}

// add makes somebody one of the plan's recipients.
func (p *planner) add(c wallet.Contact) *person {
	p.Recipients = append(p.Recipients, c)
	q := p.people[c.Address]
	if q == nil {
		q = &person{Contact: c}
		p.people[c.Address] = q
	}
	return q
}

// personOf is whom a consent is for, who need not be a contact.
func (p *planner) personOf(c *wallet.Consent) *person {
	if q := p.people[c.Address]; q != nil {
		return q
	}
	who := wallet.Contact{Address: c.Address}
	if i := slices.IndexFunc(p.contacts, func(k wallet.Contact) bool { return c.To != "" && k.Name == c.To }); i >= 0 {
		who = p.contacts[i]
	}
	q := p.add(who)
	q.link = c.Link
	return q
}

// compare compares the rows with what is in force.
func (p *planner) compare() (*Plan, error) {
	p.gather()
	for i := range p.rows {
		r := &p.rows[i]
		if r.do != Revoke {
			continue
		}
		before := len(p.ends)
		ts := []*consent{r.end}
		if r.to != nil {
			ts = r.to.person.consents
		}
		for _, h := range ts {
			if h.inForce && !h.ends {
				p.end(h, r.line, "asked")
			}
		}
		if len(p.ends) == before {
			p.Already++
		}
	}
	where, err := p.index()
	if err != nil {
		return nil, err
	}
	given := map[planned]bool{}
	for i := range p.rows {
		if r := &p.rows[i]; r.do != Revoke {
			p.grant(r, where, given)
		}
	}
	var replaced []*consent
	for _, h := range p.active {
		if h.group != nil && h.group.replaced != 0 && !h.named() {
			replaced = append(replaced, h)
		}
	}
	slices.SortStableFunc(replaced, func(a, b *consent) int { return cmp.Compare(a.group.replaced, b.group.replaced) })
	for _, h := range replaced {
		p.end(h, h.group.replaced, "replaced")
	}
	for _, h := range p.active {
		if p.Prune && !h.ends && !h.named() {
			p.end(h, 0, "pruned")
		}
	}
	if err := p.askLinks(); err != nil {
		return nil, err
	}
	p.warn()
	p.Give, p.End, p.Stay = len(p.Items), len(p.ends), len(p.active)-len(p.ends)
	p.Items = append(p.Items, p.ends...)
	p.access()
	p.Scope = p.scope(p.w, p.consents, p.records)
	return p.Plan, nil
}

// gather finds whose what is in force is, of those whom rows name, or of everybody.
func (p *planner) gather() {
	for i := range p.rows {
		if h := p.rows[i].end; h != nil && !h.Missing {
			p.personOf(h.Consent)
		}
	}
	for _, h := range p.active {
		if !h.Missing && (p.Prune || p.people[h.Address] != nil) {
			q := p.personOf(h.Consent)
			q.consents = append(q.consents, h)
		}
	}
}

// place is where a row and a group meet.
type place struct {
	to      *person
	purpose wallet.Purpose
	record  contract.ID
}

// index groups what no row ends.
func (p *planner) index() (map[place][]*group, error) {
	type key struct {
		to      *person
		purpose wallet.Purpose
		records string
	}
	groups, where := map[key]*group{}, map[place][]*group{}
	for _, h := range p.active {
		q := p.people[h.Address]
		if h.Missing || h.ends || q == nil {
			continue
		}
		var records []byte
		for _, r := range h.Records {
			n := uint64(r.Version) << 1
			if r.Part {
				n++
			}
			records = binary.AppendUvarint(append(records, r.ID[:]...), n)
		}
		scope, given := scopeText(h.Scope), ""
		if h.Scope != nil {
			if err := p.partsOf(h); err != nil {
				return nil, err
			}
			given = givenText(h.parts)
		}
		k := key{q, h.Purpose, string(records) + scope + given}
		g := groups[k]
		if g == nil {
			g = &group{records: h.Records, scope: scope, parts: h.parts, given: given, named: map[window]bool{}}
			groups[k] = g
			for _, r := range h.Records {
				at := place{q, h.Purpose, r.ID}
				where[at] = append(where[at], g)
			}
		}
		h.group, h.window = g, p.window(h.NotBefore, h.Until)
		g.named[h.window] = false
	}
	return where, nil
}

// end makes an item of a consent that is to end.
func (p *planner) end(h *consent, line int, why string) {
	h.ends = true
	x := Item{Line: line, Do: Revoke, Records: []wallet.ConsentRecord{}, From: h.NotBefore, Until: h.Until, Consent: h.ID, Why: why, whose: &p.nobody}
	if !h.Missing {
		q := p.personOf(h.Consent)
		x.Link = h.Link
		x.To, x.Verified, x.Records, x.Purpose, x.whose, x.scope = nameOf(&q.Contact), q.Verified, h.Records, h.Purpose.Word(), q, h.key()
	}
	p.ends, p.ending = append(p.ends, x), append(p.ending, h)
}

// nameOf is how a plan names somebody.
func nameOf(c *wallet.Contact) string {
	if c.Name != "" || c.Address.IsZero() {
		return c.Name
	}
	return c.Address.String()
}

// planned is a record that a grant of the plan gives.
type planned struct {
	place
	from, until wallet.Hour
	scope       string // "" if it is given whole
}

// grant finds what a row wants that is not in force, and what it replaces.
func (p *planner) grant(r *want, where map[place][]*group, given map[planned]bool) {
	covered, overlap := map[contract.ID]bool{}, false
	for _, x := range r.what.records {
		for _, g := range where[place{r.to.person, r.purpose, x.ID}] {
			if g.row == r.line {
				continue
			}
			g.row = r.line
			if slices.ContainsFunc(g.records, func(have wallet.ConsentRecord) bool { return !r.what.covers(&have, g.scope) }) {
				overlap = true
				continue
			}
			if r.what.other(g) {
				g.stale = true
				if r.do == Grant {
					overlap = true
				} else if g.replaced == 0 {
					g.replaced = r.line
				}
				continue
			}
			others, win := len(g.named), p.window(r.from, r.until)
			if _, ok := g.named[win]; ok {
				g.named[win] = true
				others--
				for _, have := range g.records {
					want := r.what.has[have.ID]
					covered[have.ID] = covered[have.ID] || have.Version == want.Version && have.Part == want.Part
				}
			}
			switch {
			case others == 0:
			case r.do == Grant:
				overlap = true
			case g.replaced == 0:
				g.replaced = r.line
			}
		}
	}
	at := func(x wallet.ConsentRecord) planned {
		out := planned{place{r.to.person, r.purpose, x.ID}, r.from, r.until, ""}
		if x.Part {
			out.scope = r.what.scope
		}
		return out
	}
	there := func(x wallet.ConsentRecord) bool { return covered[x.ID] || given[at(x)] }
	rest := r.what.records
	if slices.ContainsFunc(rest, there) {
		rest = slices.DeleteFunc(slices.Clone(rest), there)
	}
	if len(rest) == 0 {
		p.Already++
		return
	}
	choice := 0
	for _, x := range rest {
		given[at(x)] = true
		if x.Part {
			choice = r.what.choice
		}
	}
	p.Items = append(p.Items, Item{Line: r.line, Do: Grant, To: r.to.Name, Verified: r.to.Verified, Records: rest, Choice: choice,
		Purpose: r.purpose.Word(), From: r.from, Until: r.until, Overlap: overlap, whose: r.to.person})
}

// longGrant is a window of which a person should be asked whether it is meant.
const longGrant = 366 * 24 // hours

// warn says what looks wrong with what is given.
func (p *planner) warn() {
	used := map[string]bool{} // purposes
	for i := range p.consents {
		if c := &p.consents[i]; c.Status != wallet.StatusPending && !c.Missing {
			used[c.Purpose.Word()] = true
		}
	}
	similar := map[string][]string{} // contacts' names
	for _, c := range p.contacts {
		k := wallet.Skeleton(c.Name)
		similar[k] = append(similar[k], c.Name)
	}
	at := map[Warning]int{}
	warn := func(line int, w Warning) *Warning {
		i, ok := at[w]
		if !ok {
			i = len(p.Warnings)
			at[w] = i
			w.Line = line
			p.Warnings = append(p.Warnings, w)
		}
		p.Warnings[i].Count++
		return &p.Warnings[i]
	}
	for i := range p.Items { // grants
		x := &p.Items[i]
		if !x.Verified {
			warn(x.Line, Warning{Kind: "unverified", Who: x.To})
		}
		if x.whose.Address == p.From {
			warn(x.Line, Warning{Kind: "self", Who: x.To})
		}
		if x.Until-max(p.now, x.From) > longGrant {
			long := warn(x.Line, Warning{Kind: "long"})
			long.Until = max(long.Until, x.Until)
		}
		if !used[x.Purpose] {
			warn(x.Line, Warning{Kind: "new-purpose", Other: x.Purpose})
		}
		names := similar[wallet.Skeleton(x.To)]
		if i := slices.IndexFunc(names, func(name string) bool { return name != x.To }); i >= 0 {
			warn(x.Line, Warning{Kind: "lookalike", Who: x.To, Other: names[i]})
		}
		if x.Overlap {
			warn(x.Line, Warning{Kind: "overlap"})
		}
	}
	told := map[*consent]bool{}
	for i := range p.rows {
		r := &p.rows[i]
		if r.do == Revoke {
			continue
		}
		for _, w := range r.what.says {
			warn(r.line, w)
		}
		for _, h := range r.to.person.consents {
			if since := wallet.SensitiveSince(h.parts); len(since) > 0 && !h.ends && !told[h] {
				told[h] = true
				warn(r.line, Warning{Kind: "open", Who: r.to.Name, Other: numbers(since)})
			}
		}
	}
	for i := range p.Items {
		if x := &p.Items[i]; !p.met[x.whose.Address] {
			warn(x.Line, Warning{Kind: "unseen"})
		}
	}
}
