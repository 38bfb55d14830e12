package batch

import (
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

var changes = []Change{Loses, Sooner, Gains, Newer, Longer, Keeps}

// shownTitles is how many titles an Access has at most.
const shownTitles = 3

// opens is how long a person can open a record, and in which version at most.
type opens struct {
	title          string
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
		person := Person{Who: nameOf(&q.Contact), Access: []Access{}}
		records, ids := map[contract.ID]*opens{}, []contract.ID{}
		of := func(r *wallet.ConsentRecord) *opens {
			x := records[r.ID]
			if x == nil {
				x = &opens{title: r.Title}
				records[r.ID], ids = x, append(ids, r.ID)
			}
			return x
		}
		for _, h := range q.consents {
			if !h.ends {
				person.Stay++
			}
			for i := range h.Records {
				r := &h.Records[i]
				x := of(r)
				x.before, x.older = max(x.before, h.Until), max(x.older, r.Version)
				if !h.ends {
					x.after, x.version = max(x.after, h.Until), max(x.version, r.Version)
				}
			}
		}
		for _, item := range items[q] {
			if item.Do == Revoke {
				person.End++
				continue
			}
			person.Give++
			for i := range item.Records {
				r := &item.Records[i]
				x := of(r)
				x.title, x.after, x.version = r.Title, max(x.after, item.Until), max(x.version, r.Version)
			}
		}
		for _, item := range items[q] {
			if item.Do == Revoke {
				item.take(records)
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
		p.People = append(p.People, person)
	}
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
func (x *Item) take(records map[contract.ID]*opens) {
	x.Loses = len(x.Records) == 0 // nobody knows
	for _, r := range x.Records {
		switch after := records[r.ID].after; {
		case after == 0:
			x.Loses = true
		case after < x.Until:
			x.Sooner = true
		}
	}
}
