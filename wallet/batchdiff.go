package wallet

import (
	"cmp"
	"slices"
	"sort"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/payload"
)

// finish compares the rows with what is in force. Its time and memory grow with the
// rows and the consents, not with their product, also where all are of one person.
func (p *batchPlanner) finish(file BatchFile) (*BatchPlan, error) {
	plan := p.plan
	plan.Rows, plan.Changes, plan.SHA256 = file.Rows, file.Changes, file.SHA256
	if plan.Prune && plan.Changes {
		return nil, &InputError{Field: "prune", Why: "a list of changes names no state that everything else could be measured by"}
	}
	if plan.Prune && plan.Rows == 0 {
		return nil, &InputError{Field: "prune", Why: "no row is for this wallet: everything that it gave would end"}
	}
	for i := range p.rows {
		if t := p.rows[i].end; t != nil && t.terms != nil {
			if _, ok := p.byAddress[t.terms.peer]; !ok {
				p.addPeer(t)
			}
		}
	}
	used := map[payload.Purpose]bool{}
	total := 0
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
			to = p.addPeer(t)
		}
		p.force[to] = append(p.force[to], t)
	}
	d := &difference{batchPlanner: p, marks: make([]mark, len(p.w.view.threads.list)), planned: map[stretch]*joined{}}
	d.revocations()
	d.index()
	d.grants()
	d.prune()
	d.people()
	d.warnings(used)
	plan.Warnings = append(plan.Warnings, p.empty...)
	plan.Items = append(plan.Items, d.asked...)
	plan.Stay = total - len(d.asked)
	plan.Scope = p.w.batchScope(plan)
	return plan, nil
}

// addPeer adds the recipient of a consent, who need not be a contact.
func (p *batchPlanner) addPeer(t *thread) int32 {
	c, known := p.w.known(t.terms.peer)
	if !known {
		c = Contact{Address: t.terms.peer}
	}
	return p.addRecipient(c)
}

// difference is the comparison at work.
type difference struct {
	*batchPlanner
	marks   []mark            // of threads, by number
	where   map[spot][]*alike // consents in force that no row ends
	groups  []*alike          // the same, each once
	planned map[stretch]*joined
	asked   []BatchItem
}

// mark is what is known of a consent in force.
type mark uint8

const (
	markNamed  mark = 1 << iota // a row names it
	markEnding                  // the plan ends it
)

// spot is where a consent or a row is looked for.
type spot struct {
	to      int32
	purpose payload.Purpose
	record  contract.ID
}

// alike are consents to one person, for one purpose, of the same records, by their
// windows.
type alike struct {
	to      int32
	of      *recordSet
	list    []*thread // sorted by window
	seen    int32     // the row that was compared last
	replace int32     // line of the first row that another window of them is replaced by; 0: none
}

// validity is a window in which every beginning that is over is the same.
type validity struct{ from, until contract.Hour }

func (d *difference) window(from, until contract.Hour) validity {
	if from <= d.now {
		from = 0
	}
	return validity{from, until}
}

func (d *difference) windowOf(t *thread) validity {
	return d.window(t.state.NotBefore, t.until())
}

func (a validity) compare(b validity) int {
	return cmp.Or(cmp.Compare(a.until, b.until), cmp.Compare(a.from, b.from))
}

// stretch is what makes two grants to one recipient join.
type stretch struct {
	to          int32
	purpose     payload.Purpose
	from, until contract.Hour
}

// joined is what is to be granted in a stretch.
type joined struct {
	first int32                // set
	all   map[contract.ID]bool // records of all sets, once there are several
}

// add makes a set one of those that are to be granted.
func (j *joined) add(sets [][]ConsentRecord, set int32) {
	if j.all == nil {
		j.all = map[contract.ID]bool{}
		for _, r := range sets[j.first] {
			j.all[r.ID] = true
		}
	}
	for _, r := range sets[set] {
		j.all[r.ID] = true
	}
}

// has tells whether a record is to be granted: always in its newest version.
func (j *joined) has(sets [][]ConsentRecord, id contract.ID) bool {
	if j.all != nil {
		return j.all[id]
	}
	_, found := slices.BinarySearchFunc(sets[j.first], id, func(r ConsentRecord, id contract.ID) int { return slices.Compare(r.ID[:], id[:]) })
	return found
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
			ts = d.force[d.byAddress[d.plan.Recipients[r.to].Address]]
		}
		n := 0
		for _, t := range ts {
			if !d.w.inForce(t, d.now) || d.marks[t.number]&markEnding != 0 {
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

func (d *difference) end(t *thread, line int, why string) {
	d.marks[t.number] |= markEnding
	item := BatchItem{Line: line, Do: WishRevoke, To: -1, Set: -1, Consent: t.id, Why: why, NotBefore: t.state.NotBefore, Until: t.until()}
	if t.terms != nil {
		item.To, item.Purpose = int(d.byAddress[t.terms.peer]), t.terms.Purpose
		item.Set = int(d.setOf(t.terms.of))
	}
	d.asked = append(d.asked, item)
}

// index groups what is in force and does not end.
func (d *difference) index() {
	type key struct {
		to      int32
		purpose payload.Purpose
		of      *recordSet
	}
	groups := map[key]*alike{}
	d.where = map[spot][]*alike{}
	for to := range int32(len(d.plan.Recipients)) {
		for _, t := range d.force[to] {
			if d.marks[t.number]&markEnding != 0 {
				continue
			}
			k := key{to, t.terms.Purpose, t.terms.of}
			g := groups[k]
			if g == nil {
				g = &alike{to: to, of: t.terms.of, seen: -1}
				groups[k] = g
				d.groups = append(d.groups, g)
				for _, r := range g.of.records {
					at := spot{to, t.terms.Purpose, r.Record}
					d.where[at] = append(d.where[at], g)
				}
			}
			g.list = append(g.list, t)
		}
	}
	for _, g := range d.groups {
		slices.SortStableFunc(g.list, func(a, b *thread) int { return d.windowOf(a).compare(d.windowOf(b)) })
	}
}

// within returns the consents of a group that have a window.
func (d *difference) within(g *alike, win validity) []*thread {
	from := sort.Search(len(g.list), func(i int) bool { return d.windowOf(g.list[i]).compare(win) >= 0 })
	to := from
	for to < len(g.list) && d.windowOf(g.list[to]) == win {
		to++
	}
	return g.list[from:to]
}

// grants finds what rows want that is not in force.
func (d *difference) grants() {
	versions := map[int32]map[contract.ID]int{} // of sets
	d.plan.Items = make([]BatchItem, 0, len(d.rows))
	for i := range d.rows {
		r := &d.rows[i]
		if r.do == WishRevoke {
			continue
		}
		to := d.byAddress[d.plan.Recipients[r.to].Address]
		want := d.plan.Sets[r.set]
		version := versions[r.set]
		if version == nil {
			version = make(map[contract.ID]int, len(want))
			for _, x := range want {
				version[x.ID] = x.Version
			}
			versions[r.set] = version
		}
		var covered map[contract.ID]bool
		overlap := false
		for _, x := range want {
			for _, g := range d.where[spot{to, r.purpose, x.ID}] {
				if g.seen == int32(i) {
					continue
				}
				g.seen = int32(i)
				if slices.ContainsFunc(g.of.records, func(have payload.TermsRecord) bool { return version[have.Record] == 0 }) {
					overlap = true
					continue
				}
				same := d.within(g, d.window(r.from, r.until))
				for _, t := range same {
					d.marks[t.number] |= markNamed
				}
				if len(same) > 0 {
					if covered == nil {
						covered = map[contract.ID]bool{}
					}
					for _, have := range g.of.records {
						covered[have.Record] = covered[have.Record] || have.Version == version[have.Record]
					}
				}
				switch {
				case len(same) == len(g.list):
				case r.do == WishGrant:
					overlap = true
				case g.replace == 0:
					g.replace = r.line
				}
			}
		}
		win := stretch{to, r.purpose, r.from, r.until}
		granted := d.planned[win]
		var rest []ConsentRecord
		for _, x := range want {
			if !covered[x.ID] && (granted == nil || !granted.has(d.plan.Sets, x.ID)) {
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
		if granted == nil {
			d.planned[win] = &joined{first: set}
		} else {
			granted.add(d.plan.Sets, set)
		}
		d.plan.Items = append(d.plan.Items, BatchItem{Line: int(r.line), Do: WishGrant, To: int(r.to), Set: int(set), Overlap: overlap,
			Purpose: r.purpose, NotBefore: r.from, Until: r.until})
	}
	slices.SortStableFunc(d.groups, func(a, b *alike) int { return cmp.Compare(a.replace, b.replace) })
	for _, g := range d.groups {
		if g.replace == 0 {
			continue
		}
		for _, t := range g.list {
			if d.marks[t.number] == 0 {
				d.end(t, int(g.replace), "replaced")
			}
		}
	}
}

func (d *difference) prune() {
	if !d.plan.Prune {
		return
	}
	for _, t := range d.w.view.threads.list {
		if d.w.inForce(t, d.now) && d.marks[t.number] == 0 {
			d.end(t, 0, "pruned")
		}
	}
}

// warnings says what looks wrong.
func (d *difference) warnings(used map[payload.Purpose]bool) {
	plan := d.plan
	at := map[BatchWarning]int{}
	warn := func(line int, x BatchWarning) *BatchWarning {
		i, ok := at[x]
		if !ok {
			i = len(plan.Warnings)
			at[x] = i
			first := x
			first.Line = line
			plan.Warnings = append(plan.Warnings, first)
		}
		plan.Warnings[i].Count++
		return &plan.Warnings[i]
	}
	lookalike := make([]string, len(plan.Recipients))
	for i := range plan.Recipients {
		name := plan.Recipients[i].Name
		for _, other := range d.similar[skeleton(name)] {
			if other != name {
				lookalike[i] = other
				break
			}
		}
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
		if x.Until-max(d.now, x.NotBefore) > longGrant {
			long := warn(x.Line, BatchWarning{Kind: "long"})
			long.Until = max(long.Until, x.Until)
		}
		if !used[x.Purpose] {
			warn(x.Line, BatchWarning{Kind: "new-purpose", Other: x.Purpose.Word()})
		}
		if other := lookalike[x.To]; other != "" {
			warn(x.Line, BatchWarning{Kind: "lookalike", Who: c.Name, Other: other})
		}
		if x.Overlap {
			warn(x.Line, BatchWarning{Kind: "overlap"})
		}
	}
}
