package batch

import (
	"slices"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

var changes = []Change{Loses, Sooner, Gains, Newer, Longer, Keeps}

// shownTitles is how many titles an Access has at most.
const shownTitles = 3

// opened is what can be opened: a record, or what was chosen of it.
type opened struct {
	record contract.ID
	scope  string // "" if it is the whole
}

func openedAt(r *wallet.ConsentRecord, scope string) opened {
	if !r.Part {
		scope = ""
	}
	return opened{r.ID, scope}
}

// scopeOf is what an item gives of records of which it gives parts.
func (p *planner) scopeOf(x *Item) *payload.Scope {
	if x.Choice == 0 {
		return nil
	}
	return p.Choices[x.Choice-1].Scope
}

// scopeName is a scope in a word or two, and with all that goes only by its name.
func scopeName(s *payload.Scope) string {
	name := choiceName(s)
	if len(s.Sensitive) > 0 {
		name += ", with " + payload.Listed(s.Sensitive)
	}
	return name
}

func choiceName(s *payload.Scope) string {
	categories := slices.DeleteFunc(slices.Clone(s.Categories), func(c wallet.Category) bool { return c == health.Demographics })
	switch {
	case s.Role != "":
		return s.Role
	case len(categories) == 0:
		return string(health.Demographics)
	case len(categories) == 1:
		return string(categories[0])
	}
	return payload.Counted(len(categories), "category", "categories")
}

// opens is how long a person can open a record, or what was chosen of it, and in which
// version at most.
type opens struct {
	title, precise string
	part           bool
	before, after  wallet.Hour // 0: not at all
	older, version int
}

func (x *opens) change() Change {
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

// access tells what changes for whom, and which revocations take something away.
func (p *planner) access() {
	items := map[*person][]*Item{}
	var order []*person
	for i := range p.Items {
		x := &p.Items[i]
		if items[x.whose] == nil {
			order = append(order, x.whose)
		}
		items[x.whose], x.whose = append(items[x.whose], x), nil
	}
	for _, q := range order {
		p.People = append(p.People, p.accessOf(q, items[q]))
	}
}

// accessOf is what changes for one person, by these items of hers.
func (p *planner) accessOf(q *person, items []*Item) Person {
	person := Person{Who: nameOf(&q.Contact), Link: q.link, Access: []Access{}}
	records, ids := map[opened]*opens{}, []opened{}
	of := func(r *wallet.ConsentRecord, scope *payload.Scope, key string) *opens {
		at := openedAt(r, key)
		x := records[at]
		if x == nil {
			x = &opens{part: r.Part}
			records[at], ids = x, append(ids, at)
		}
		if x.title = r.Title; r.Part {
			x.title = "PART of " + r.Title + " (" + scopeName(scope) + ")"
			x.precise = "PART of " + r.Title + " (" + scope.Words() + ")"
			if key != scopeText(scope) {
				x.title += ", as it was labelled before"
				x.precise += ", as it was labelled before"
			}
		}
		return x
	}
	for _, h := range q.consents {
		if !h.ends {
			person.Stay++
		}
		if person.State = h.state; h.state.over() {
			continue
		}
		for i := range h.Records {
			r := &h.Records[i]
			x := of(r, h.Scope, h.key())
			x.before, x.older = max(x.before, h.Until), max(x.older, r.Version)
			if !h.ends {
				x.after, x.version = max(x.after, h.Until), max(x.version, r.Version)
			}
		}
	}
	for _, item := range items {
		if item.Do == Revoke {
			person.End++
			continue
		}
		person.Give++
		for i := range item.Records {
			r := &item.Records[i]
			x := of(r, p.scopeOf(item), scopeText(p.scopeOf(item)))
			x.after, x.version = max(x.after, item.Until), max(x.version, r.Version)
		}
	}
	named := map[string]int{}
	for _, x := range records {
		named[x.title]++
	}
	for _, x := range records { // two parts are never called alike
		if x.part && named[x.title] > 1 {
			x.title = x.precise
		}
	}
	for at, x := range records { // who can open a record can open its parts
		if whole := records[opened{record: at.record}]; x.part && whole != nil {
			x.before, x.older = max(x.before, whole.before), max(x.older, whole.older)
			x.after, x.version = max(x.after, whole.after), max(x.version, whole.version)
		}
	}
	for _, item := range items {
		if item.Do == Revoke {
			if !item.State.over() {
				item.take(records)
			}
		}
	}
	for _, kind := range changes {
		a := Access{Change: kind, Titles: []string{}}
		for _, id := range ids {
			if x := records[id]; x.change() == kind {
				a.add(x)
			}
		}
		if a.Records > 0 {
			person.Access = append(person.Access, a)
		}
	}
	return person
}

func (a *Access) add(x *opens) {
	if a.Records++; len(a.Titles) < shownTitles {
		a.Titles = append(a.Titles, x.title)
	}
	if a.Records == 1 || x.after < a.First {
		a.First = x.after
	}
	a.Last = max(a.Last, x.after)
}

// take tells of a revocation whether it takes something away, by what can be opened
// afterwards.
func (x *Item) take(records map[opened]*opens) {
	x.Loses = len(x.Records) == 0 // nobody knows
	for i := range x.Records {
		switch after := records[openedAt(&x.Records[i], x.scope)].after; {
		case after == 0:
			x.Loses = true
		case after < x.Until:
			x.Sooner = true
		}
	}
}
