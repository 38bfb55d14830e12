package health

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/carekey/carekey/wallet/payload"
)

// ViewConflict is where sources say different things of the same, or what may be one thing
// and stands twice. Nothing is decided.
type ViewConflict struct {
	Kind    string `json:"kind"`
	Section string `json:"section"`
	Says    string `json:"says"`
	Sources []int  `json:"sources"`
}

// Kinds of a ViewConflict, the worst first.
const (
	ConflictAbsence      = "absence"      // one says that there is none, another has one
	ConflictWithdrawn    = "withdrawn"    // one withdrew it, another did not
	ConflictCriticality  = "criticality"  // high here, low there
	ConflictStatus       = "status"       // active here, over there
	ConflictVerification = "verification" // confirmed here, not there
	ConflictDose         = "dose"
	ConflictEnd          = "end"
	ConflictValue        = "value"     // two values of one thing at one time
	ConflictDuplicate    = "duplicate" // one code, and dates that do not agree: one thing or several
	ConflictSimilar      = "similar"   // one day, and codes that do not agree: one thing or several
)

var conflictKinds = []string{ConflictAbsence, ConflictWithdrawn, ConflictCriticality, ConflictStatus, ConflictVerification,
	ConflictDose, ConflictEnd, ConflictValue, ConflictDuplicate, ConflictSimilar}

func conflictsOf(p *ViewPerson, merged []*viewMerged) []ViewConflict {
	out := []ViewConflict{}
	add := func(kind, section, says string, sources []int) {
		out = append(out, ViewConflict{kind, section, says, uniq(sources)})
	}
	absencesIn(p, merged, add)
	for _, m := range merged {
		m.conflicts(add)
	}
	duplicates(merged, add)
	slices.SortFunc(out, func(a, b ViewConflict) int {
		return cmp.Or(cmp.Compare(slices.Index(conflictKinds, a.Kind), slices.Index(conflictKinds, b.Kind)),
			cmp.Compare(a.Section, b.Section), cmp.Compare(a.Says, b.Says), slices.Compare(a.Sources, b.Sources))
	})
	return out
}

type addConflict func(kind, section, says string, sources []int)

// label names an item in a sentence.
func (it *viewItem) label() string { return cmp.Or(it.Name, "something without a name") }

// absencesIn finds who says that there is none where another source lists one that holds. What
// the words cover counts: no known food allergy says nothing of penicillin.
func absencesIn(p *ViewPerson, merged []*viewMerged, add addConflict) {
	for _, at := range []struct {
		name string
		of   *ViewSection
	}{{inAllergies, &p.Allergies}, {inMedicines, &p.Medicines}, {inProblems, &p.Problems}, {inImmunizations, &p.Immunizations}, {inProcedures, &p.Procedures}, {inResults, &p.Results}} {
		names, sources := map[string][]string{}, map[string][]int{} // by scope
		for _, st := range at.of.None {
			if _, ok := names[st.Scope]; ok {
				continue
			}
			names[st.Scope] = []string{}
			for _, m := range merged {
				if m.of[0].section != at.name || m.gone() || !m.within(st.Scope) {
					continue
				}
				names[st.Scope] = append(names[st.Scope], m.of[0].label())
				for _, x := range m.of {
					sources[st.Scope] = append(sources[st.Scope], x.from.number)
				}
			}
			names[st.Scope], sources[st.Scope] = listed(names[st.Scope]), uniq(sources[st.Scope])
		}
		for _, st := range at.of.None {
			if len(names[st.Scope]) == 0 {
				continue
			}
			says := st.Says
			if st.Scope != "" && !strings.Contains(strings.ToLower(says), st.Scope) {
				says += " (" + st.Scope + ")"
			}
			add(ConflictAbsence, at.name, "a source says \""+says+"\", and there is: "+few(names[st.Scope], ", "), append([]int{st.Source}, sources[st.Scope]...))
		}
	}
}

// within reports whether something that holds lies within the scope of a statement. What
// nobody says a kind of is within none but the whole, and its own name.
func (m *viewMerged) within(scope string) bool {
	return slices.ContainsFunc(m.of, func(x *viewItem) bool {
		over := len(x.Status) > 0 && slices.Contains([]string{"inactive", "resolved", "completed", "stopped", "remission"}, x.Status[0])
		if x.section == inImmunizations || x.section == inProcedures || x.section == inResults {
			over = false
		}
		return !x.gone && !over && (scope == "" || slices.ContainsFunc(strings.Split(scope, ", "), func(kind string) bool {
			return slices.Contains(x.Category, kind) || strings.Contains(strings.ToLower(x.Name), kind)
		}))
	})
}

// conflicts are those within one thing.
func (m *viewMerged) conflicts(add addConflict) {
	if len(m.of) < 2 {
		return
	}
	apart := func(kind string, of func(x *viewItem) string) {
		at := map[string][]int{}
		var words []string
		var all []int
		for _, x := range m.of {
			if w := of(x); w != "" {
				words = append(words, w)
				at[w] = append(at[w], x.from.number)
				all = append(all, x.from.number)
			}
		}
		words = worstFirst(words)
		if len(words) < 2 {
			return
		}
		for i, w := range words {
			words[i] = w + " (" + sourcesText(uniq(at[w])) + ")"
		}
		add(kind, m.of[0].section, m.of[0].label()+": "+strings.Join(words, ", "), all)
	}
	if !m.gone() && slices.ContainsFunc(m.of, func(x *viewItem) bool { return x.gone }) {
		apart(ConflictWithdrawn, func(x *viewItem) string {
			if x.gone {
				return "withdrawn"
			}
			return "listed"
		})
	}
	one := func(list []string) string {
		if len(list) == 0 {
			return ""
		}
		return list[0]
	}
	apart(ConflictCriticality, func(x *viewItem) string { return one(x.Criticality) })
	if m.of[0].section != inResults && m.of[0].section != inReports && m.of[0].section != inDocuments {
		apart(ConflictStatus, func(x *viewItem) string { return one(x.Status) })
	}
	apart(ConflictVerification, func(x *viewItem) string { return one(x.Verification) })
	apart(ConflictDose, func(x *viewItem) string {
		return strings.ToLower(strings.Join(strings.Fields(strings.Join(x.Dose, ", then ")), " "))
	})
	apart(ConflictValue, func(x *viewItem) string { return x.Flag })
	apart(ConflictEnd, func(x *viewItem) string {
		if x.End == "" {
			return ""
		}
		return "to " + shownTime(x.End)
	})
}

// sourcesText names sources by their numbers.
func sourcesText(numbers []int) string {
	var out []string
	for _, n := range numbers {
		out = append(out, strconv.Itoa(n))
	}
	if len(out) == 1 {
		return "source " + out[0]
	}
	return "sources " + strings.Join(out, ", ")
}

// similar tells which of the vaccines of a day may be one under two codes.
func (t *teller) similar(day string, of []*viewMerged) {
	if len(of) > 100 {
		return // no person has so many vaccines on one day
	}
	for i, a := range of {
		for _, b := range of[:i] {
			if shares(a.codes(), b.codes()) || slices.ContainsFunc(a.numbers(), func(n int) bool { return slices.Contains(b.numbers(), n) }) {
				continue
			}
			t.tell(ConflictSimilar, []*viewMerged{b, a}, func(m *viewMerged) string { return m.of[0].label() }, ", both on "+shownTime(day)+" under codes that are not compared")
		}
	}
}

// teller adds each conflict once.
type teller struct {
	add  addConflict
	seen map[string]bool
}

// tell adds a conflict of two things or more; says is what of each, before its sources.
func (t *teller) tell(kind string, of []*viewMerged, says func(m *viewMerged) string, end string) {
	if len(of) < 2 {
		return
	}
	var words []string
	var sources []int
	for _, m := range of {
		words = append(words, says(m)+" ("+sourcesText(m.numbers())+")")
		for _, x := range m.of {
			sources = append(sources, x.from.number)
		}
	}
	slices.Sort(words)
	text := of[0].of[0].label() + " stands " + times(len(of)) + ": " + few(words, "; ") + end
	if kind == ConflictSimilar {
		text = strings.Join(words, "; ") + end
	}
	if key := kind + text; !t.seen[key] {
		t.seen[key] = true
		t.add(kind, of[0].of[0].section, text, sources)
	}
}

func valuesOf(of []*viewMerged) (out []string) {
	for _, m := range of {
		out = append(out, m.of[0].value)
	}
	return out
}

func times(n int) string {
	if n == 2 {
		return "twice"
	}
	return payload.Counted(n, "time", "times")
}

func (m *viewMerged) codes() []string {
	var out []string
	for _, x := range m.of {
		out = append(out, x.codes...)
	}
	return uniq(out)
}

func (m *viewMerged) numbers() []int {
	var out []int
	for _, x := range m.of {
		out = append(out, x.from.number)
	}
	return uniq(out)
}
