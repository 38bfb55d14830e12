package health

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// duplicates finds what may be one thing and is not merged.
func duplicates(merged []*viewMerged, add addConflict) {
	twice := map[string][]*viewMerged{}
	points := map[string][]*viewMerged{}
	measured := map[string][]*viewMerged{} // by code and day
	medicines := map[string][]*viewMerged{}
	days := map[string][]*viewMerged{}
	for _, m := range merged {
		x := m.of[0]
		if lasting[x.Type] {
			for _, code := range m.codes() {
				twice[x.section+"\x00"+code] = append(twice[x.section+"\x00"+code], m)
			}
		}
		if x.section == inMedicines && x.Group != "" {
			medicines[x.Group] = append(medicines[x.Group], m)
		}
		switch {
		case m.gone():
		case x.Type == "Observation" && x.value != "":
			t, ok := pointOf(x.When)
			for _, code := range m.codes() {
				if key := code + "\x00" + t.UTC().String(); ok {
					points[key] = append(points[key], m)
				}
				if len(x.When) >= 10 {
					measured[code+"\x00"+x.When[:10]] = append(measured[code+"\x00"+x.When[:10]], m)
				}
			}
		case x.Type == "Immunization" && len(x.When) >= 10:
			days[x.When[:10]] = append(days[x.When[:10]], m)
		}
	}
	t := teller{add, map[string]bool{}}
	for _, of := range twice {
		t.again(of)
	}
	for _, of := range medicines {
		t.medicine(of)
	}
	for _, of := range points {
		if len(numbersOf(of)) < 2 || len(listed(valuesOf(of))) < 2 {
			continue // one source may well measure twice
		}
		t.tell(ConflictValue, of, func(m *viewMerged) string { return m.of[0].Value }, ", all at "+shownTime(of[0].of[0].When))
	}
	for _, of := range measured {
		t.measured(of)
	}
	for day, of := range days {
		t.similar(day, of)
	}
}

// again tells what lasts and stands more than once under one code: its dates, and what is
// said of it where that is not the same everywhere. What every source withdrew is told
// where another source has it.
func (t *teller) again(of []*viewMerged) {
	if len(of) < 2 {
		return
	}
	var holds, gone []*viewMerged
	for _, m := range of {
		if m.gone() {
			gone = append(gone, m)
		} else {
			holds = append(holds, m)
		}
	}
	elsewhere := slices.DeleteFunc(slices.Clone(gone[:min(len(gone), maxCandidates)]), func(g *viewMerged) bool {
		return !slices.ContainsFunc(holds[:min(len(holds), maxCandidates)], func(h *viewMerged) bool { return !shares(h.numberTexts(), g.numberTexts()) })
	})
	if len(elsewhere) > 0 {
		t.tell(ConflictWithdrawn, slices.Concat(holds, elsewhere), func(m *viewMerged) string { return cmp.Or(m.state(), "listed") + prefixed(", ", m.dated()) }, "")
	}
	kind, states := ConflictDuplicate, map[string]bool{}
	for _, m := range holds {
		states[m.state()] = true
	}
	differ := len(states) > 1 && len(numbersOf(holds)) > 1 // one source may well have two
	if differ {
		kind = ConflictStatus
	}
	t.tell(kind, holds, func(m *viewMerged) string {
		says := cmp.Or(m.dated(), "no date") + prefixed(", at ", m.of[0].at)
		if differ {
			says += ", " + cmp.Or(m.state(), "no status")
		}
		return says
	}, ". One or several is not said")
}

// medicine tells what is said to be taken and, by another source, not to be taken, and
// orders and reports of one medicine that hold at once in more than one dose.
func (t *teller) medicine(of []*viewMerged) {
	if len(of) < 2 {
		return
	}
	var not, holds []*viewMerged
	strengths, doses := []string{}, []string{}
	for _, m := range of {
		it := m.item()
		switch {
		case m.gone() && m.of[0].Type == "MedicationStatement":
			not = append(not, m)
		case !m.gone() && it.Current:
			holds = append(holds, m)
			strengths = append(strengths, strengthsIn(it.Name))
			doses = append(doses, strings.ToLower(strings.Join(it.Dose, ", then ")))
		}
	}
	if all := slices.Concat(not, holds); len(not) > 0 && len(holds) > 0 && len(numbersOf(all)) > 1 {
		t.tell(ConflictWithdrawn, all, func(m *viewMerged) string { return cmp.Or(m.state(), "listed") + prefixed(", ", m.dated()) }, "")
	}
	if len(numbersOf(holds)) > 1 && (len(listed(doses)) > 1 || len(listed(strengths)) > 1) {
		t.tell(ConflictDose, holds, func(m *viewMerged) string {
			it := m.item()
			return cmp.Or(it.Name, "a medicine without a name") + prefixed(", ", strings.Join(it.Dose, ", then ")) + prefixed(", ", m.dated())
		}, ", all at once")
	}
}

// strengthsIn are the numbers in a name, each with the word behind it.
func strengthsIn(name string) string {
	var out []string
	words := nameWords(strings.ReplaceAll(name, ".", "·"))
	for i, w := range words {
		if w[0] < '0' || w[0] > '9' {
			continue
		}
		if unit := strings.TrimLeft(w, "0123456789"); unit == "" && i+1 < len(words) {
			w += words[i+1]
		}
		out = append(out, w)
	}
	return strings.Join(out, " ")
}

// measured tells that two sources have no value of a code and a day in common, where one
// has but the day.
func (t *teller) measured(of []*viewMerged) {
	if len(of) < 2 {
		return
	}
	values := map[int][]string{}
	coarse := false
	for _, m := range of {
		_, point := pointOf(m.of[0].When)
		coarse = coarse || !point
		for _, n := range m.numbers() {
			values[n] = append(values[n], m.of[0].value)
		}
	}
	apart := false
	for a, x := range values {
		for b, y := range values {
			apart = apart || a < b && !shares(uniq(x), uniq(y))
		}
	}
	if coarse && apart {
		t.tell(ConflictValue, of, func(m *viewMerged) string { return m.of[0].Value }, ", all on "+shownTime(of[0].of[0].When[:10]))
	}
}

// state is what its sources say of it, as far as that may contradict another.
func (m *viewMerged) state() string {
	it := m.item()
	says := slices.Concat(it.Status, it.Verification, it.Criticality)
	if m.gone() {
		for _, x := range m.of {
			says = append(says, x.Status...)
			says = append(says, x.Verification...)
		}
	}
	says = slices.DeleteFunc(says, func(s string) bool { return s == "confirmed" || s == "" })
	return strings.Join(listed(says), ", ")
}

// dated is its date; "" if it has none.
func (m *viewMerged) dated() string {
	if w := m.item().When; w != "" {
		return shownTime(w)
	}
	return ""
}

func numbersOf(of []*viewMerged) (out []int) {
	for _, m := range of {
		out = append(out, m.numbers()...)
	}
	return uniq(out)
}

// numberTexts are the numbers of its sources, to be compared with [shares].
func (m *viewMerged) numberTexts() (out []string) {
	for _, n := range m.numbers() {
		out = append(out, strconv.Itoa(n))
	}
	slices.Sort(out)
	return out
}
