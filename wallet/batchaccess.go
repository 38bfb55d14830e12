package wallet

import "github.com/carekey/carekey/ledgerclient/contract"

// BatchPerson is what a plan changes for one person: what she can open afterwards, by
// all consents together, beside what she can open now.
type BatchPerson struct {
	To     int // in BatchPlan.Recipients; -1 for consents of which nobody knows whom they are for
	Give   int // consents
	End    int
	Stay   int           // consents in force to her
	Access []BatchAccess // in the order of the constants below, without those of no record
}

// BatchAccess is records that change in the same way for one person.
type BatchAccess struct {
	Kind    AccessChange
	Records int
	Titles  []string      // of the first three
	First   contract.Hour // the earliest end of what can be opened afterwards; zero for Loses
	Last    contract.Hour // the latest
}

// AccessChange says how what a person can open changes.
type AccessChange string

const (
	Loses  AccessChange = "loses"  // can be opened no more
	Sooner AccessChange = "sooner" // only until an earlier end
	Gains  AccessChange = "gains"  // can be opened for the first time
	Newer  AccessChange = "newer"  // also in a newer version
	Longer AccessChange = "longer" // until a later end
	Keeps  AccessChange = "keeps"  // as before
)

var accessChanges = []AccessChange{Loses, Sooner, Gains, Newer, Longer, Keeps}

// shownTitles is how many titles a BatchAccess has at most.
const shownTitles = 3

// accessOf is how long a person can open a record, in which version at most.
type accessOf struct {
	title          string
	before, after  contract.Hour // 0: not at all
	older, version int
}

func (x *accessOf) change() AccessChange {
	switch {
	case x.after == 0:
		return Loses
	case x.before == 0:
		return Gains
	case x.after < x.before:
		return Sooner
	case x.version > x.older:
		return Newer
	case x.after > x.before:
		return Longer
	}
	return Keeps
}

// people tells what changes for whom, and which revocations take something away.
func (d *difference) people() {
	plan := d.plan
	var order []int32 // whose consents change
	at := map[int32]*BatchPerson{}
	person := func(x *BatchItem) *BatchPerson {
		to := int32(-1)
		if x.To >= 0 {
			to = d.byAddress[plan.Recipients[x.To].Address]
		}
		q := at[to]
		if q == nil {
			q = &BatchPerson{To: x.To}
			at[to] = q
			order = append(order, to)
		}
		return q
	}
	give, end := map[int32][]*BatchItem{}, map[int32][]*BatchItem{}
	for i := range plan.Items {
		x := &plan.Items[i]
		person(x).Give++
		to := d.byAddress[plan.Recipients[x.To].Address]
		give[to] = append(give[to], x)
	}
	for i := range d.asked {
		x := &d.asked[i]
		person(x).End++
		if x.To < 0 || x.Set < 0 {
			x.Loses = true
			continue
		}
		to := d.byAddress[plan.Recipients[x.To].Address]
		end[to] = append(end[to], x)
	}
	for _, to := range order {
		q := at[to]
		if to >= 0 {
			access, records := d.access(to, give[to], q)
			q.Access = summarize(access)
			loses(plan, end[to], access, records)
		}
		plan.People = append(plan.People, *q)
	}
}

// access is what a person can open before and after, by all her consents, each record
// once. records leads into it.
func (d *difference) access(to int32, give []*BatchItem, q *BatchPerson) (access []accessOf, records map[contract.ID]int) {
	records = map[contract.ID]int{}
	of := func(r *ConsentRecord) *accessOf {
		i, ok := records[r.ID]
		if !ok {
			i = len(access)
			records[r.ID] = i
			access = append(access, accessOf{title: r.Title})
		}
		return &access[i]
	}
	// Consents of the same records are taken together first: there are few sets.
	type ends struct{ before, after contract.Hour }
	sets := map[*recordSet]*ends{}
	var order []*recordSet
	for _, t := range d.force[to] {
		e := sets[t.terms.of]
		if e == nil {
			e = &ends{}
			sets[t.terms.of] = e
			order = append(order, t.terms.of)
		}
		e.before = max(e.before, t.until())
		if d.marks[t.number]&markEnding == 0 {
			q.Stay++
			e.after = max(e.after, t.until())
		}
	}
	for _, s := range order {
		e := sets[s]
		for i := range s.shown {
			r := &s.shown[i]
			x := of(r)
			x.before, x.older = max(x.before, e.before), max(x.older, r.Version)
			if e.after > 0 {
				x.after, x.version = max(x.after, e.after), max(x.version, r.Version)
			}
		}
	}
	planned := map[int]contract.Hour{}
	var given []int
	for _, x := range give {
		if planned[x.Set] == 0 {
			given = append(given, x.Set)
		}
		planned[x.Set] = max(planned[x.Set], x.Until)
	}
	for _, set := range given {
		for i := range d.plan.Sets[set] {
			r := &d.plan.Sets[set][i]
			x := of(r)
			x.title, x.after, x.version = r.Title, max(x.after, planned[set]), max(x.version, r.Version)
		}
	}
	return access, records
}

// summarize puts records together that change in the same way.
func summarize(access []accessOf) []BatchAccess {
	by := map[AccessChange]*BatchAccess{}
	for i := range access {
		x := &access[i]
		kind := x.change()
		b := by[kind]
		if b == nil {
			b = &BatchAccess{Kind: kind, First: x.after}
			by[kind] = b
		}
		if b.Records++; len(b.Titles) < shownTitles {
			b.Titles = append(b.Titles, x.title)
		}
		b.First, b.Last = min(b.First, x.after), max(b.Last, x.after)
	}
	var out []BatchAccess
	for _, kind := range accessChanges {
		if b := by[kind]; b != nil {
			out = append(out, *b)
		}
	}
	return out
}

// loses tells of revocations whether they take something away.
func loses(plan *BatchPlan, end []*BatchItem, access []accessOf, records map[contract.ID]int) {
	type rest struct {
		nothing bool          // is left of a record
		first   contract.Hour // end of what is left of the others
	}
	left := map[int]rest{}
	for _, x := range end {
		l, ok := left[x.Set]
		if !ok {
			l.first = ^contract.Hour(0)
			for _, r := range plan.Sets[x.Set] {
				if after := access[records[r.ID]].after; after == 0 {
					l.nothing = true
				} else {
					l.first = min(l.first, after)
				}
			}
			left[x.Set] = l
		}
		x.Loses = l.nothing
		x.Sooner = l.first < x.Until
	}
}
