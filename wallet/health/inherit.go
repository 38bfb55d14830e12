package health

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// web is what the parts of a file take over from each other. Between a part and those that
// it points to stands the address by which it does, so that a file in which everything has
// one address and points to it makes no more work than another.
type web struct {
	all    []facts
	names  []name  // of all parts; in the end sorted, each once
	places []place // the names to which something points
	leads  []int32 // the places that references can mean, in the order of the references
	ends   []int32 // of those of each reference, in leads

	held []uint16 // the sensitivities of each part in the end
}

// name is an address of a part, by which others can point to it.
type name struct {
	of   addressHash
	part int32
}

func compareNames(a, b name) int {
	return cmp.Or(cmp.Compare(a.of, b.of), cmp.Compare(a.part, b.part))
}

// place is an address that something points to.
type place struct {
	begin, end int32        // what is called so, in names
	from       []int32      // who points to it
	gives      uint16       // what they take over from it
	first      *[8][2]int32 // of each sensitivity, the first two parts that give it; one more than their number, 0 for none; nil if nothing gives any
	kinds      []string     // what is not understood of a medicine that is called so; nil if that was not asked
}

// called are the names of what has an address.
func (w *web) called(p *place) []name { return w.names[p.begin:p.end] }

// means are the places that a reference can mean.
func (w *web) means(ref int32) []int32 {
	if ref == 0 {
		return w.leads[:w.ends[0]]
	}
	return w.leads[w.ends[ref-1]:w.ends[ref]]
}

// lead finds what the references mean, and what of them leads nowhere.
func (w *web) lead(refs *refs) {
	slices.SortFunc(w.names, compareNames)
	w.names = slices.Compact(w.names)
	places := make([]int32, len(w.names)) // of the first of each name: one more than their number
	w.places = make([]place, 0, len(refs.ends))
	w.ends = make([]int32, len(refs.ends))
	for ref := range w.ends {
		begin := len(w.leads)
		for _, a := range refs.addresses(ref) {
			at, ok := slices.BinarySearchFunc(w.names, name{of: a}, compareNames)
			if !ok && (at == len(w.names) || w.names[at].of != a) {
				continue
			}
			if places[at] == 0 {
				end := at + 1
				for end < len(w.names) && w.names[end].of == a {
					end++
				}
				w.places = append(w.places, place{begin: int32(at), end: int32(end)})
				places[at] = int32(len(w.places))
			}
			if n := places[at] - 1; !slices.Contains(w.leads[begin:], n) {
				w.leads = append(w.leads, n)
			}
		}
		w.ends[ref] = int32(len(w.leads))
	}
	for i := range w.all {
		f := &w.all[i]
		for _, ref := range f.points {
			for _, n := range w.means(ref) {
				w.places[n].from = append(w.places[n].from, int32(i))
			}
		}
		for _, h := range f.hopes {
			if h.ref < 0 || len(w.means(h.ref)) == 0 {
				f.unclassified(h.kind, h.path, "")
			}
		}
	}
}

// gives returns what of a part is taken over by those that point to it.
func (w *web) gives(part int32) uint16 {
	switch f := &w.all[part]; f.how {
	case pointedAll:
		return w.held[part]
	case pointedOwn:
		return f.own
	}
	return 0
}

// inherit finds the sensitivities of all parts: their own, and those of what they point to,
// over as many steps as it takes. It is the least set that fits, so neither the order of
// the parts nor circles among them matter.
func (w *web) inherit() {
	w.held = make([]uint16, len(w.all))
	at := make([][]int32, len(w.all)) // the addresses of each part
	for n := range w.places {
		for _, x := range w.called(&w.places[n]) {
			at[x.part] = append(at[x.part], int32(n))
		}
	}
	var queue []int32
	for i := range w.all {
		f := &w.all[i]
		if w.held[i] = f.own; f.own != 0 {
			queue = append(queue, int32(i))
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		part := queue[0]
		gives := w.gives(part)
		for _, n := range at[part] {
			p := &w.places[n]
			if p.gives|gives == p.gives {
				continue
			}
			p.gives |= gives
			for _, to := range p.from {
				if now := w.held[to] | p.gives&^w.all[to].drop; now != w.held[to] {
					w.held[to] = now
					queue = append(queue, to)
				}
			}
		}
	}
	for n := range w.places {
		p := &w.places[n]
		for _, x := range w.called(p) {
			part := x.part
			gives := w.gives(part)
			if gives != 0 && p.first == nil {
				p.first = new([8][2]int32)
			}
			for s := range sensitivities {
				if gives&(1<<s) != 0 {
					first := &p.first[s]
					if first[0] == 0 {
						first[0] = part + 1
					} else if first[1] == 0 {
						first[1] = part + 1
					}
				}
			}
		}
	}
}

// source returns the number, counted from 1, of the first part from which this one takes a
// sensitivity over; 0 if it does not.
func (w *web) source(part, s int) (first int32) {
	for _, ref := range w.all[part].points {
		for _, n := range w.means(ref) {
			if w.places[n].first == nil {
				continue
			}
			for _, from := range w.places[n].first[s] {
				if from > 0 && int(from) != part+1 && (first == 0 || from < first) {
					first = from
				}
			}
		}
	}
	return first
}

// kinds returns what is not understood of a part: of itself and of the medicine that it
// is about.
func (w *web) kinds(part int) map[string]bool {
	f := &w.all[part]
	if f.drop&bit(Unclassified) != 0 {
		return nil
	}
	kinds := maps.Clone(f.kinds)
	if kinds == nil {
		kinds = map[string]bool{}
	}
	for _, h := range f.hopes {
		if h.ref < 0 || !h.medicine {
			continue
		}
		for _, n := range w.means(h.ref) {
			for _, kind := range w.medicine(n) {
				if kinds[kind] = true; f.kinds[kind] {
					continue
				}
				f.because(kind, "the medicine that it is about", "")
			}
		}
	}
	return kinds
}

// medicine returns what is not understood of all that has an address, at most maxKinds.
func (w *web) medicine(n int32) []string {
	p := &w.places[n]
	if p.kinds == nil {
		all := map[string]bool{}
		for _, x := range w.called(p) {
			if f := &w.all[x.part]; f.drop&bit(Unclassified) == 0 {
				maps.Copy(all, f.kinds)
			}
		}
		p.kinds = slices.AppendSeq([]string{}, maps.Keys(all))
		slices.Sort(p.kinds)
		p.kinds = p.kinds[:min(len(p.kinds), maxKinds)]
	}
	return p.kinds
}

// label puts together what is known of a part. A narrative has all labels of its resource,
// which is the part before it.
func (w *web) label(i int, text bool) Label {
	f := &w.all[i]
	l := Label{Type: f.typ, Says: f.says, Category: f.category, Date: f.date}
	held, kinds := w.held[i], w.kinds(i)
	if text = text && i > 0; text {
		held |= w.held[i-1] &^ f.drop
		l.Date = w.all[i-1].date
		if f.drop&bit(Unclassified) == 0 {
			for kind := range w.kinds(i - 1) {
				kinds[kind] = true
				f.because(kind, "its resource", fmt.Sprintf("points to part %d", i))
			}
		}
	}
	for s, word := range sensitivities {
		if held&(1<<s) == 0 {
			continue
		}
		l.Sensitive = append(l.Sensitive, word)
		switch from := w.source(i, s); {
		case f.own&(1<<s) != 0:
		case from > 0:
			f.because(string(word), w.all[from-1].typ, fmt.Sprintf("points to part %d", from))
		case text:
			f.because(string(word), "its resource", fmt.Sprintf("points to part %d", i))
		}
	}
	if l.Category == Documents { // who names documents names what is written in them
		delete(kinds, kindFreeText)
		delete(kinds, kindAttachment)
	}
	l.Unclassified = slices.Sorted(maps.Keys(kinds))
	if len(l.Unclassified) > maxKinds {
		l.Unclassified = append(l.Unclassified[:maxKinds], "and others")
	}
	words := []string{string(l.Category)}
	for _, s := range l.Sensitive {
		words = append(words, string(s))
	}
	for _, word := range append(words, l.Unclassified...) {
		l.Why = append(l.Why, f.why[word]...)
	}
	return l
}
