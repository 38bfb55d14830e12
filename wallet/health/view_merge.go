package health

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// What several sources say is one thing if it is of one type, they share a code (names are
// never compared), and
//
//   - they share an identifier, or both have a clinical date and these agree as far as the
//     coarser goes, or, of something that lasts, neither has one;
//   - of a result: the value is the same too;
//   - of something that happens once: no two dates differ;
//   - where on the body it is, and whatever may change the meaning, is the same.
//
// Within one source nothing is merged but what shares an identifier and all of that: a
// source may well say two things twice. Everything in a merged item fits everything else in
// it, so that no third source makes one of two.

// lasting are types of things that last: the same code without a date, or with another, may
// be the same thing or not, and a person is asked.
var lasting = map[string]bool{"Condition": true, "AllergyIntolerance": true, "MedicationStatement": true}

// viewMerged is an item with all its copies.
type viewMerged struct {
	of []*viewItem
}

// from reports whether the source that is being added has a copy already.
func (m *viewMerged) from(r *viewRead) bool { return m.of[len(m.of)-1].from == r }

// gone reports whether every source withdrew it.
func (m *viewMerged) gone() bool {
	return !slices.ContainsFunc(m.of, func(x *viewItem) bool { return !x.gone })
}

// mergeItems merges items that are sorted by source and entry.
func mergeItems(items []*viewItem) (out []*viewMerged) {
	index := mergeIndex{}
	for _, it := range items {
		into := index.fitting(it)
		if into == nil {
			into = &viewMerged{}
			out = append(out, into)
		}
		into.of = append(into.of, it)
		index.add(it, into)
	}
	return out
}

func (m *viewMerged) fits(it *viewItem) bool {
	return !slices.ContainsFunc(m.of, func(x *viewItem) bool { return !sameThing(x, it) })
}

// sameThing is the rule above.
func sameThing(a, b *viewItem) bool {
	if a.Type != b.Type || !shares(a.codes, b.codes) || !slices.Equal(a.may, b.may) || a.place != b.place || a.Type == "Observation" && a.value != b.value {
		return false
	}
	id := shares(a.ids, b.ids)
	dated := a.When != "" && b.When != ""
	switch {
	case a.from == b.from && !id:
		return false
	case dated && (!lasting[a.Type] || !id):
		return sameDate(a, b)
	}
	return id || a.When == "" && b.When == "" && lasting[a.Type]
}

// daily are types of what may happen twice on one day.
var daily = map[string]bool{"Observation": true, "MedicationAdministration": true, "Procedure": true}

// sameDate compares two dates as far as the coarser goes; two points of time of what may
// happen twice on one day exactly.
func sameDate(a, b *viewItem) bool {
	if daily[a.Type] {
		s, ok := pointOf(a.When)
		t, both := pointOf(b.When)
		if ok && both {
			return s.Equal(t)
		}
	}
	n := min(len(a.When), len(b.When), len("2006-01-02"))
	return a.When[:n] == b.When[:n]
}

// shares reports whether two sorted lists have something in common.
func shares(a, b []string) bool {
	for len(a) > 0 && len(b) > 0 {
		switch c := strings.Compare(a[0], b[0]); {
		case c == 0:
			return true
		case c < 0:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return false
}

// mergeIndex finds what an item may be merged with, without comparing it with all others.
type mergeIndex map[string]*mergeBucket

// mergeBucket are merged items that have something in common. Those before from have a copy
// of the source that is being added.
type mergeBucket struct {
	of   []*viewMerged
	src  *viewRead
	from int
}

// keys are under what an item is kept and looked for: its identifiers, and for each code
// its date, to the precision that it has. under says whether looking or keeping.
func (it *viewItem) keys(looking bool) (out []string) {
	for _, id := range it.ids {
		out = append(out, it.Type+"\x00id\x00"+id)
	}
	value := ""
	if it.Type == "Observation" {
		if value = it.value; len(value) > 64 {
			sum := sha256.Sum256([]byte(value))
			value = string(sum[:])
		}
	}
	for _, code := range it.codes {
		code = it.Type + "\x00" + code + "\x00" + value + "\x00"
		if it.When == "" {
			out = append(out, code)
			continue
		}
		day := it.When[:min(len(it.When), len("2006-01-02"))]
		out = append(out, code+day)
		for _, n := range []int{4, 7} {
			if len(day) <= n {
				break
			}
			if looking {
				out = append(out, code+day[:n])
			} else {
				out = append(out, code+"within "+day[:n])
			}
		}
		if looking {
			out = append(out, code+"within "+day)
		}
	}
	return out
}

func (x mergeIndex) add(it *viewItem, m *viewMerged) {
	for _, key := range it.keys(false) {
		b := x[key]
		if b == nil {
			b = &mergeBucket{}
			x[key] = b
		}
		if len(b.of) == 0 || b.of[len(b.of)-1] != m {
			b.of = append(b.of, m)
		}
	}
}

// fitting is what an item is merged into; nil if there is nothing that it fits.
func (x mergeIndex) fitting(it *viewItem) *viewMerged {
	for i, key := range it.keys(true) {
		b := x[key]
		if b == nil {
			continue
		}
		of := b.of
		if i >= len(it.ids) { // what has a copy of its own source shares no identifier with it
			if b.src != it.from {
				b.src, b.from = it.from, 0
			}
			for b.from < len(of) && of[b.from].from(it.from) {
				b.from++
			}
			of = of[b.from:]
		}
		for _, m := range of[:min(len(of), maxCandidates)] {
			if m.fits(it) {
				return m
			}
		}
	}
	return nil
}

// maxCandidates is how many things are compared with one before it stands for itself: more
// share an identifier, or a code and a date, only in files that were made to.
const maxCandidates = 100

// worst says which words of a list come first.
var worst = sync.OnceValue(func() map[string]int {
	rank := map[string]int{}
	for _, list := range [][]string{
		{"active", "recurrence", "relapse", "in-progress", "on-hold", "intended", "draft", "unknown", "preliminary", "registered", "remission", "inactive", "resolved", "completed", "stopped", "final"},
		{"confirmed", "presumed", "provisional", "differential", "unconfirmed", "refuted", "entered-in-error"},
		{"high", "unable-to-assess", "low"},
		{"critically high", "critically low", "critically abnormal", "abnormal"},
	} {
		for i, word := range list {
			rank[word] = i - len(list)
		}
	}
	return rank
})

func worstFirst(list []string) []string {
	list = uniq(list)
	slices.SortStableFunc(list, func(a, b string) int { return cmp.Compare(worst()[a], worst()[b]) })
	return list
}

// item makes one of the copies.
func (m *viewMerged) item() ViewItem {
	first := m.of[0]
	out := first.ViewItem
	var names, dose, details, notes, category, status, verification, criticality, ranges, flags []string
	var codes []ViewCode
	out.Copies, out.Current, out.Ingredients, out.to = nil, false, []string{}, nil
	gone := m.gone()
	for _, x := range m.of {
		names = append(names, x.Name)
		codes = append(codes, x.Codes...)
		dose, details, notes = append(dose, x.Dose...), append(details, x.Details...), append(notes, x.Notes...)
		category, criticality = append(category, x.Category...), append(criticality, x.Criticality...)
		if x.gone && !gone {
			details = append(details, "withdrawn by source "+strconv.Itoa(x.from.number)+": "+cmp.Or(x.Copies[0].Status, "no reason given"))
		} else {
			status, verification = append(status, x.Status...), append(verification, x.Verification...)
		}
		out.Name = cmp.Or(out.Name, x.Name)
		if len(x.When) > len(out.When) || len(x.When) == len(out.When) && x.When < out.When {
			out.When = x.When
		}
		out.End = max(out.End, x.End)
		if out.Recorded == "" || x.Recorded != "" && x.Recorded < out.Recorded {
			out.Recorded = x.Recorded
		}
		out.Ingredients, out.to = append(out.Ingredients, x.Ingredients...), append(out.to, x.to...)
		ranges, flags = append(ranges, x.Range), append(flags, x.Flag)
		out.Current = out.Current || x.Current && !x.gone
		out.whole, out.past, out.odd = out.whole && x.whole, out.past && x.past, out.odd || x.odd
		c := x.Copies[0]
		c.Source = x.from.number
		out.Copies = append(out.Copies, c)
	}
	out.Also = slices.DeleteFunc(uniq(names), func(s string) bool { return s == "" || strings.EqualFold(s, out.Name) })
	slices.SortFunc(codes, func(a, b ViewCode) int {
		return cmp.Or(cmp.Compare(a.System, b.System), cmp.Compare(a.Code, b.Code), -cmp.Compare(a.Display, b.Display))
	})
	out.Codes = slices.CompactFunc(codes, func(a, b ViewCode) bool { return a.System == b.System && a.Code == b.Code })
	out.Dose, out.Details, out.Notes = listed(dose), listed(details), listed(notes)
	out.Range, out.Flag = strings.Join(listed(ranges), " or "), both(worstFirst(listed(flags)))
	out.Category, out.Status = uniq(listed(category)), worstFirst(listed(status))
	out.Verification, out.Criticality = worstFirst(listed(verification)), worstFirst(listed(criticality))
	if out.Codes == nil {
		out.Codes = []ViewCode{}
	}
	out.Ingredients = uniq(out.Ingredients)
	if out.Also == nil {
		out.Also = []string{}
	}
	return out
}

// listed leaves each text out but once, in their order; never nil.
func listed(list []string) []string {
	out, seen := []string{}, make(map[string]bool, len(list))
	for _, s := range list {
		if s != "" && !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

// few joins texts, of which only so many are shown.
func few(list []string, sep string) string {
	const most = 20
	if n := len(list) - most; n > 0 {
		return strings.Join(list[:most], sep) + sep + "and " + strconv.Itoa(n) + " more"
	}
	return strings.Join(list, sep)
}

// fill makes the sections of a person.
func (g *viewGroup) fill(p *ViewPerson, today string) {
	slices.SortStableFunc(g.items, func(a, b *viewItem) int {
		return cmp.Or(cmp.Compare(a.from.number, b.from.number), cmp.Compare(a.Copies[0].Entry, b.Copies[0].Entry))
	})
	for _, it := range g.items {
		if it.section == inMedicines {
			it.medicine(today)
		}
	}
	merged := mergeItems(g.items)
	to := map[string]*ViewSection{
		inAllergies: &p.Allergies, inMedicines: &p.Medicines, inProblems: &p.Problems, inImmunizations: &p.Immunizations,
		inResults: &p.Results, inProcedures: &p.Procedures, inDevices: &p.Devices, inReports: &p.Reports, inDocuments: &p.Documents,
	}
	for _, s := range to {
		*s = ViewSection{State: StateNothing, Items: []ViewItem{}, None: []ViewStatement{}, NoInfo: []ViewStatement{}, TextOnly: []ViewStatement{}}
	}
	p.Withdrawn = []ViewItem{}
	for _, m := range merged {
		if m.gone() {
			p.Withdrawn = append(p.Withdrawn, m.item())
			continue
		}
		s := to[m.of[0].section]
		s.Items = append(s.Items, m.item())
	}
	for _, said := range g.said {
		s, st := to[said.section], said.ViewStatement
		st.Source = said.from.number
		switch said.what {
		case StateNone:
			s.None = append(s.None, st)
		case StateNoInfo:
			s.NoInfo = append(s.NoInfo, st)
		default:
			s.TextOnly = append(s.TextOnly, st)
		}
	}
	for _, s := range to {
		for _, list := range []*[]ViewStatement{&s.None, &s.NoInfo, &s.TextOnly} {
			slices.SortFunc(*list, func(a, b ViewStatement) int {
				return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Entry, b.Entry), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Says, b.Says))
			})
			*list = slices.Compact(*list)
		}
		switch {
		case len(s.Items) > 0:
			s.State = StateListed
		case len(s.None) > 0:
			s.State = StateNone
		case len(s.NoInfo) > 0:
			s.State = StateNoInfo
		}
	}
	sortItems(p)
	p.Others = countsOf(g.other)
	p.Conflicts = conflictsOf(p, merged)
	p.Interactions = medicineTable().check(p)
}

// medicine says of a medicine what the table knows of it, and whether it holds. One that its
// source calls active holds, whatever end it has: a prescription ends before the last box.
func (it *viewItem) medicine(today string) {
	it.Ingredients = medicineTable().ingredients(it.Name, it.Codes)
	for _, c := range it.contains {
		it.Ingredients = append(it.Ingredients, medicineTable().ingredients(c.name, c.codes)...)
	}
	it.Ingredients = uniq(it.Ingredients)
	it.whole = medicineTable().whole(it.Name, it.Codes, it.contains)
	it.Group = groupOf(it.Name, it.Codes)
	if len(it.Ingredients) == 1 {
		if slices.ContainsFunc(it.Codes, func(c ViewCode) bool { return c.Code == it.Name }) {
			it.Name = it.Ingredients[0] + ", by its code " + it.Name
		}
		it.Group = "ingredient|" + it.Ingredients[0]
	}
	if it.End != "" && dayBefore(it.End, today) {
		it.Current = it.Current && it.holds
		it.past = true
	}
}

// dayBefore reports whether a date ends before a day.
func dayBefore(s, day string) bool {
	n := min(len(s), len(day))
	return s[:n] < day[:n]
}

// sortTime is a date in a form that sorts: points of time in one zone.
func sortTime(s string) string {
	if t, ok := pointOf(s); ok {
		return t.UTC().Format("2006-01-02T15:04:05.000000000Z")
	}
	return s
}

// sortItems puts first what matters most: what holds now, what is worse, what is newer.
func sortItems(p *ViewPerson) {
	last := func(a, b ViewItem) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.Value, b.Value),
			cmp.Compare(a.Copies[0].Source, b.Copies[0].Source), cmp.Compare(a.Copies[0].Entry, b.Copies[0].Entry))
	}
	newest := func(a, b ViewItem) int { return cmp.Compare(sortTime(b.When), sortTime(a.When)) }
	holds := func(a, b ViewItem) int {
		return cmp.Compare(worst()[first(a.Status)], worst()[first(b.Status)])
	}
	slices.SortFunc(p.Allergies.Items, func(a, b ViewItem) int {
		return cmp.Or(holds(a, b), cmp.Compare(worst()[first(a.Criticality)], worst()[first(b.Criticality)]), last(a, b))
	})
	slices.SortFunc(p.Problems.Items, func(a, b ViewItem) int { return cmp.Or(holds(a, b), newest(a, b), last(a, b)) })
	for _, s := range []*ViewSection{&p.Immunizations, &p.Procedures, &p.Devices, &p.Reports, &p.Documents} {
		slices.SortFunc(s.Items, func(a, b ViewItem) int { return cmp.Or(newest(a, b), last(a, b)) })
	}
	slices.SortFunc(p.Withdrawn, func(a, b ViewItem) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), newest(a, b), last(a, b))
	})

	// A medicine's orders stand together, and before others if one of them holds.
	rank, name := map[string]int{}, map[string]string{}
	for _, it := range p.Medicines.Items {
		r := 1
		if it.Current {
			r = 0
		}
		if old, ok := rank[it.Group]; !ok || r < old {
			rank[it.Group] = r
		}
		if n := strings.ToLower(it.Name); name[it.Group] == "" || n < name[it.Group] {
			name[it.Group] = n
		}
	}
	slices.SortFunc(p.Medicines.Items, func(a, b ViewItem) int {
		return cmp.Or(cmp.Compare(rank[a.Group], rank[b.Group]), cmp.Compare(name[a.Group], name[b.Group]), cmp.Compare(a.Group, b.Group),
			cmp.Compare(boolInt(!a.Current), boolInt(!b.Current)), newest(a, b), last(a, b))
	})
	kind, named := map[string]int{}, map[string]string{}
	for _, it := range p.Results.Items {
		kind[it.Group] = max(kind[it.Group], resultRank(it))
		if n := strings.ToLower(it.Name); named[it.Group] == "" || n < named[it.Group] {
			named[it.Group] = n
		}
	}
	slices.SortFunc(p.Results.Items, func(a, b ViewItem) int {
		return cmp.Or(cmp.Compare(kind[b.Group], kind[a.Group]), cmp.Compare(named[a.Group], named[b.Group]), cmp.Compare(a.Group, b.Group), newest(a, b), last(a, b))
	})
}

// resultRank ranks results: of a laboratory, vital signs, others.
func resultRank(it ViewItem) int {
	switch {
	case slices.Contains(it.Category, "laboratory"):
		return 2
	case slices.Contains(it.Category, "vital-signs"):
		return 1
	}
	return 0
}

func first(list []string) string {
	if len(list) == 0 {
		return "unknown" // nobody said that it is over
	}
	return list[0]
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
