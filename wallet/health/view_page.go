package health

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carekey/carekey/wallet/payload"
)

// ViewLine is one line of a view in words. Screens and pages only lay them out.
type ViewLine struct {
	Kind    string    // one of the Line constants
	Name    string    // what it is about
	Text    string    // what is said of it
	Sources []int     // where it is said; empty where that means nothing
	Trend   []float64 // the last values of a result, the oldest first; at most 5
}

// Kinds of a ViewLine.
const (
	LinePerson  = "person"
	LineSection = "section"
	LineItem    = "item"
	LineMore    = "more" // belongs to the item before it
	LineWarning = "warning"
	LineNote    = "note"
)

// ViewWords is how much of a View is put in words.
type ViewWords struct {
	Conflicts bool // where sources differ; else only how many
	Only      bool // nothing else of a person
	Sources   bool // what the sources are
}

// NoAdvice is what every view says of itself, once.
const NoAdvice = "This is what the sources say, put side by side. It gives no advice, and what nobody wrote down in them is not here."

// Lines puts a View in words.
func (v *View) Lines(w ViewWords) []ViewLine {
	p := &pageMaker{view: v, words: w}
	p.note(NoAdvice)
	p.note(v.about())
	for _, x := range v.Perhaps {
		if len(x.Persons) == 0 {
			p.note(x.Why + ".")
			continue
		}
		p.note("Perhaps one person, and not put together: " + personsText(x.Persons) + ". " + x.Why + ".")
	}
	for i := range v.Persons {
		p.person(&v.Persons[i])
	}
	if len(v.Persons) == 0 {
		p.note("Nobody is spoken of in what was read.")
	}
	p.files()
	return p.out
}

// about says of what a view is made.
func (v *View) about() string {
	read, parts := 0, 0
	for _, s := range v.Sources {
		read += boolInt(s.Read)
		parts += boolInt(s.Read && s.Part)
	}
	says := v.when(read)
	if parts > 0 {
		says += "; " + payload.Counted(parts, "of them is", "of them are")
		if read == 1 {
			says = strings.TrimSuffix(says, "; 1 of them is") + ", which is"
		}
		says += " PART of a record: other entries may exist"
	}
	if n := len(v.Sources) - read; n > 0 {
		says += "; " + payload.Counted(n, "file", "files") + " not read"
	}
	closed := 0
	for i := range v.Sources {
		closed += v.Sources[i].closed()
	}
	if closed > 0 {
		says += "; " + payload.Counted(closed, "Bundle", "Bundles") + " within them not looked into"
	}
	if n := len(v.Persons); n > 1 {
		says += ". " + strconv.Itoa(n) + " persons: each has a heading of their own"
	}
	return says + "."
}

// when says as of when it is, and from how many sources. What was put together once does not
// follow what came later: that is as old as it is, whenever it is looked at.
func (v *View) when(read int) string {
	var made []string
	for _, s := range v.Sources {
		if s.Read && s.Made != "" {
			made = append(made, s.Made)
		}
	}
	today, from := shownTime(v.AsOf), "from "+payload.Counted(read, "source", "sources")
	if len(made) == 0 {
		return "As of " + today + ", " + from
	}
	slices.Sort(made)
	oldest, newest := shownTime(made[0]), shownTime(made[len(made)-1])
	if read == 1 {
		return "As it was on " + oldest + ", looked at on " + today + ", " + from
	}
	if oldest != newest {
		oldest += " to " + newest
	}
	if len(made) == read {
		return "As they were on " + oldest + ", looked at on " + today + ", " + from
	}
	return "As of " + today + ", " + from + ", " + payload.Counted(len(made), "of them as it was", "of them as they were") + " on " + oldest
}

// closed counts the entries of a source that hold other entries: these are not in the view.
func (s *ViewSource) closed() (n int) {
	for _, o := range s.Others {
		if o.Type == "Bundle" || o.Type == "Parameters" {
			n += o.Count
		}
	}
	return n
}

func personsText(numbers []int) string {
	var out []string
	for _, n := range numbers {
		out = append(out, strconv.Itoa(n))
	}
	return "persons " + few(out, " and ")
}

type pageMaker struct {
	view  *View
	words ViewWords
	told  bool // what is looked for
	out   []ViewLine
}

func (p *pageMaker) add(l ViewLine)   { p.out = append(p.out, l) }
func (p *pageMaker) note(text string) { p.add(ViewLine{Kind: LineNote, Text: text}) }

func (p *pageMaker) item(name, text string, sources []int) {
	p.add(ViewLine{Kind: LineItem, Name: name, Text: text, Sources: sources})
}

func (p *pageMaker) more(text string, sources []int) {
	p.add(ViewLine{Kind: LineMore, Text: text, Sources: sources})
}

func (p *pageMaker) person(x *ViewPerson) {
	name, says := "Somebody whom no source names", []string{}
	switch {
	case len(x.Names) == 0:
	case x.Known:
		name = x.Names[0]
	default:
		says = append(says, "referred to as "+x.Names[0])
	}
	if len(x.Born) > 0 {
		says = append(says, "born "+strings.Join(shownTimes(x.Born), " or "))
	}
	says = append(says, x.Gender...)
	if len(p.view.Persons) > 1 {
		says = append(says, "person "+strconv.Itoa(x.Number))
	}
	p.add(ViewLine{Kind: LinePerson, Name: name, Text: strings.Join(says, ", "), Sources: x.Sources})
	if len(x.Names) > 1 {
		p.note("Also written " + strings.Join(x.Names[1:], ", ") + ".")
	}
	for _, d := range x.Details {
		p.note("What a source says of who this is " + d + ".")
	}
	if x.Part && len(p.view.Persons) > 1 {
		p.note("PART of a record: other entries may exist.")
	}
	if p.words.Only {
		p.conflicts(x)
		return
	}
	if x.empty() {
		p.add(ViewLine{Kind: LineSection, Name: "Allergies, medicines and everything else", Text: stateText(&ViewSection{State: StateNothing})})
		p.contacts(x)
		p.others(x)
		return
	}
	p.section("Allergies", &x.Allergies, p.plain)
	p.section("Medicines", &x.Medicines, p.medicines)
	p.interactions(x)
	p.section("Problems", &x.Problems, p.plain)
	p.section("Immunizations", &x.Immunizations, p.plain)
	p.section("Results", &x.Results, p.results)
	p.section("Procedures", &x.Procedures, p.plain)
	p.section("Devices", &x.Devices, p.plain)
	p.section("Reports", &x.Reports, p.plain)
	p.section("Documents", &x.Documents, p.plain)
	p.contacts(x)
	if len(x.Withdrawn) > 0 {
		p.add(ViewLine{Kind: LineSection, Name: "Withdrawn", Text: payload.Counted(len(x.Withdrawn), "entry", "entries") + " that their sources withdrew, refuted, or say was not done"})
		p.plain(x.Withdrawn)
	}
	p.conflicts(x)
	p.others(x)
}

func (p *pageMaker) contacts(x *ViewPerson) {
	if len(x.Contacts) == 0 {
		return
	}
	p.add(ViewLine{Kind: LineSection, Name: "Contacts", Text: "whom sources name to be asked or told"})
	for _, c := range x.Contacts {
		p.item(cmp.Or(c.Name, "(without a name)"), c.Says, c.Sources)
	}
}

func (p *pageMaker) others(x *ViewPerson) {
	if len(x.Others) > 0 {
		p.add(ViewLine{Kind: LineSection, Name: "Not shown", Text: othersText(x.Others)})
	}
}

// empty reports whether no source says anything of a person that is shown.
func (x *ViewPerson) empty() bool {
	for _, s := range []*ViewSection{&x.Allergies, &x.Medicines, &x.Problems, &x.Immunizations, &x.Results, &x.Procedures, &x.Devices, &x.Reports, &x.Documents} {
		if len(s.Items)+len(s.None)+len(s.NoInfo)+len(s.TextOnly) > 0 {
			return false
		}
	}
	return len(x.Withdrawn) == 0
}

func othersText(list []ViewCount) string {
	var out []string
	for _, o := range list {
		out = append(out, strconv.Itoa(o.Count)+" "+o.Type)
	}
	return strings.Join(out, ", ")
}

// stateText is a state in words. "None" is none of them.
func stateText(s *ViewSection) string {
	switch s.State {
	case StateListed:
		return payload.Counted(len(s.Items), "entry", "entries") + " listed"
	case StateNone:
		return payload.Counted(len(s.None), "source states none", "sources state none")
	case StateNoInfo:
		return payload.Counted(len(s.NoInfo), "source", "sources") + " had no information"
	}
	return "no information in what you have"
}

func (p *pageMaker) section(name string, s *ViewSection, items func([]ViewItem)) {
	p.add(ViewLine{Kind: LineSection, Name: name, Text: stateText(s)})
	items(s.Items)
	for _, st := range s.None {
		p.more("states none: "+statementText(st), []int{st.Source})
	}
	for _, st := range s.NoInfo {
		p.more("had no information: "+statementText(st), []int{st.Source})
	}
	for _, st := range s.TextOnly {
		p.more("has only a text on it, not shown: "+statementText(st), []int{st.Source})
	}
}

func statementText(st ViewStatement) string {
	says := "\"" + st.Says + "\""
	for _, x := range []struct{ name, value string }{{"", st.Verification}, {"scope ", st.Scope}, {"by ", st.Who}, {"", shownTime(st.When)}} {
		if x.value != "" {
			says += ", " + x.name + x.value
		}
	}
	return says
}

// copied are the sources of an item, each once.
func copied(it ViewItem) []int { return sourcesOf(it) }

func itemName(it ViewItem) string { return cmp.Or(it.Name, "(without a name)") }

// plain shows items one a line.
func (p *pageMaker) plain(items []ViewItem) {
	for _, it := range items {
		p.item(itemName(it), itemText(it), copied(it))
	}
}

// both shows words of which sources give several.
func both(list []string) string { return strings.Join(list, " / ") }

// itemText says of an item all but its name.
func itemText(it ViewItem) string {
	var says []string
	add := func(s string) {
		if s != "" {
			says = append(says, s)
		}
	}
	happens := false
	switch it.Type {
	case "AllergyIntolerance", "Condition":
		add(cmp.Or(both(it.Status), "active or not: not said"))
	case "MedicationStatement", "MedicationRequest", "MedicationOrder", "MedicationDispense", "MedicationAdministration":
		add(cmp.Or(both(it.Status), "status not said"))
	default:
		happens = true
		for _, s := range it.Status {
			if s != "completed" && s != "final" && s != "current" {
				add(s)
			}
		}
	}
	if both(it.Verification) != "confirmed" {
		add(both(it.Verification))
	}
	if len(it.Criticality) > 0 {
		add(both(it.Criticality) + " criticality")
	}
	if it.Type == "AllergyIntolerance" {
		add(both(it.Category))
	}
	add(it.Value)
	add(it.Flag)
	switch {
	case happens && it.When == "" && it.End != "":
		add("until " + shownTime(it.End))
	case happens && it.End != "" && shownTime(it.End) != shownTime(it.When):
		add(shownTime(it.When) + " to " + shownTime(it.End))
	case happens:
		add(cmp.Or(shownTime(it.When), noDate(it)))
	case it.When != "" && it.End != "" && it.past:
		add(shownTime(it.When) + " to " + shownTime(it.End) + ", which is past")
	case it.When != "" && it.End != "":
		add(shownTime(it.When) + " to " + shownTime(it.End))
	case it.When != "" && isMedicine(it) && it.Current:
		add("since " + shownTime(it.When))
		add(noEnd(it))
	case it.When != "" && isMedicine(it):
		add("from " + shownTime(it.When))
		add(noEnd(it))
	case it.When != "":
		add("since " + shownTime(it.When))
	case it.End != "":
		add("until " + shownTime(it.End))
	case it.Recorded != "":
		add(noDate(it))
		add("recorded " + shownTime(it.Recorded))
	default:
		add(noDate(it))
	}
	add(strings.Join(it.Dose, " / "))
	for _, d := range it.Details {
		add(d)
	}
	if len(it.Also) > 0 {
		add("also called " + strings.Join(it.Also, ", "))
	}
	for _, n := range it.Notes {
		add("note: " + n)
	}
	return strings.Join(says, ", ")
}

// noDate says that no date is given; "" where one is, and is not understood.
func noDate(it ViewItem) string {
	if it.odd {
		return ""
	}
	return "no date given"
}

// noEnd says that no end is given, as far as that can be said.
func noEnd(it ViewItem) string {
	if it.odd {
		return ""
	}
	return "no end given"
}

func isMedicine(it ViewItem) bool { return strings.HasPrefix(it.Type, "Medication") }

// groups are runs of items with the same group.
func groups(items []ViewItem) (out [][]ViewItem) {
	for i, it := range items {
		if i > 0 && items[i-1].Group == it.Group {
			out[len(out)-1] = append(out[len(out)-1], it)
		} else {
			out = append(out, []ViewItem{it})
		}
	}
	return out
}

func (p *pageMaker) medicines(items []ViewItem) {
	for _, g := range groups(items) {
		if len(g) == 1 {
			p.item(itemName(g[0]), itemText(g[0]), copied(g[0]))
			continue
		}
		name := itemName(g[0])
		if in := g[0].Ingredients; len(in) == 1 {
			name = in[0]
		}
		p.item(name, payload.Counted(len(g), "entry", "entries"), sourcesOf(g...))
		for _, it := range g {
			p.more(itemName(it)+": "+itemText(it), copied(it))
		}
	}
}

// shownValues is how many values of a result are shown.
const shownValues = 5

func (p *pageMaker) results(items []ViewItem) {
	for _, g := range groups(items) {
		newest := g[0]
		says := []string{newest.Value}
		if newest.Flag != "" {
			says = append(says, newest.Flag)
		}
		if newest.Original != "" {
			says = append(says, cmp.Or(prefixed("range ", newest.Range), "no range given"))
		} else if newest.Range != "" {
			says = append(says, "range "+newest.Range)
		}
		for _, s := range newest.Status {
			if s != "final" {
				says = append(says, s)
			}
		}
		if when := cmp.Or(shownTime(newest.When), noDate(newest)); when != "" {
			says = append(says, when)
		}
		says = append(says, newest.Details...)
		for _, n := range newest.Notes {
			says = append(says, "note: "+n)
		}
		line := ViewLine{Kind: LineItem, Name: itemName(newest), Text: strings.Join(says, ", "), Sources: copied(newest)}
		if newest.key != "" {
			for _, it := range g {
				if it.key == newest.key && it.When != "" && len(line.Trend) < shownValues {
					line.Trend = append(line.Trend, it.number)
				}
			}
			slices.Reverse(line.Trend)
			if len(line.Trend) < 2 || newest.When == "" || twiceAtOnce(g[:min(len(g), shownValues)]) {
				line.Trend = nil
			}
		}
		p.add(line)
		var before []string
		var of []ViewItem
		heading := "before: "
		for i, it := range g[1:min(len(g), shownValues)] {
			if i == 0 && atOnce(newest, it) {
				heading = "at the same time, and before: "
			}
			value := it.Value
			if it.Unit == newest.Unit && it.Unit != "" {
				value = strings.TrimSuffix(value, " "+it.Unit)
			}
			if it.Flag != "" {
				value += " " + it.Flag
			}
			before, of = append(before, value+" ("+cmp.Or(shownTime(it.When), noDate(it), "a date that is not understood")+")"), append(of, it)
		}
		if len(before) == 0 {
			continue
		}
		text := heading + strings.Join(before, ", ")
		if n := len(g) - shownValues; n > 0 {
			text += ", and " + strconv.Itoa(n) + " older"
		}
		p.more(text, sourcesOf(of...))
	}
}

// atOnce reports whether two results are of one time: neither is before the other.
func atOnce(a, b ViewItem) bool {
	s, ok := pointOf(a.When)
	t, both := pointOf(b.When)
	return a.When == b.When || ok && both && s.Equal(t)
}

// twiceAtOnce reports whether results that are sorted by time have two of one time.
func twiceAtOnce(items []ViewItem) bool {
	for i := range items[1:] {
		if atOnce(items[i], items[i+1]) {
			return true
		}
	}
	return false
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

const partOnly = "PART of a record: medicines that are not here were not looked at"

func (p *pageMaker) interactions(x *ViewPerson) {
	in := &x.Interactions
	if in.Checked == 0 && len(in.NotChecked) == 0 {
		p.add(ViewLine{Kind: LineSection, Name: "Interactions", Text: "not looked for: no medicine in use is listed here"})
		if x.Part {
			p.more(partOnly, nil)
		}
		return
	}
	found := map[int]bool{}
	for _, f := range in.Found {
		found[f.Pair] = true
	}
	says := "none of the " + strconv.Itoa(in.Pairs) + " pairs found"
	if n := len(found); n > 0 {
		says = strconv.Itoa(n) + " of the " + strconv.Itoa(in.Pairs) + " pairs found"
	}
	if n := len(in.NotChecked); n > 0 {
		says += "; " + payload.Counted(n, "medicine", "medicines") + " could not be checked"
	}
	p.add(ViewLine{Kind: LineSection, Name: "Interactions", Text: says + "; other interactions were not looked for"})
	for _, f := range in.Found {
		p.add(ViewLine{Kind: LineWarning, Name: strings.Join(f.Medicines, " and "), Sources: f.Sources,
			Text: "pair " + strconv.Itoa(f.Pair) + ", " + strings.Join(f.Classes, " with ") + " (" + strings.Join(f.Source, "; ") + ")"})
	}
	for _, a := range in.Allergies {
		p.add(ViewLine{Kind: LineWarning, Name: a.Medicine, Text: "an allergy is listed, " + a.Allergy + ": " + a.Why, Sources: a.Sources})
	}
	if in.Partly {
		p.more("so many allergies and medicines that only "+strconv.Itoa(maxCompared)+" of each were compared", nil)
	}
	if len(in.NotChecked) > 0 {
		p.more("not checked: "+strings.Join(in.NotChecked, ", "), nil)
	}
	if in.Ended > 0 {
		p.more(payload.Counted(in.Ended, "entry", "entries")+" that ended: not looked at", nil)
	}
	if x.Part {
		p.more(partOnly, nil)
	}
	if p.told {
		return
	}
	p.told = true
	p.more("looked for, by table "+in.Table+": "+strings.Join(in.Classes, "; "), nil)
	p.more("an allergy is compared by code, by ingredient, and among penicillins only", nil)
}

// compared is what a conflict is looked for in.
const compared = "problems, allergies and medicines by code; doses of medicines that hold; values of one code at one time or on one day; vaccines of one day; what a source says there is none of"

func (p *pageMaker) conflicts(x *ViewPerson) {
	if len(x.Conflicts) == 0 {
		if p.words.Only {
			p.add(ViewLine{Kind: LineSection, Name: "Where sources differ", Text: "nowhere among what was compared: " + compared})
		}
		return
	}
	perhaps := 0
	for _, c := range x.Conflicts {
		perhaps += boolInt(c.Kind == ConflictDuplicate || c.Kind == ConflictSimilar)
	}
	var says []string
	if n := len(x.Conflicts) - perhaps; n > 0 {
		says = append(says, payload.Counted(n, "contradiction", "contradictions"))
	}
	if perhaps > 0 {
		says = append(says, payload.Counted(perhaps, "thing", "things")+" that may stand twice")
	}
	p.add(ViewLine{Kind: LineSection, Name: "Where sources differ", Text: strings.Join(says, ", ")})
	if !p.words.Conflicts {
		return
	}
	for _, c := range x.Conflicts {
		p.item(c.Section, c.Says, c.Sources)
	}
}

// files lists what was looked at.
func (p *pageMaker) files() {
	unread := slices.ContainsFunc(p.view.Sources, func(s ViewSource) bool { return !s.Read || s.closed() > 0 })
	if p.words.Sources {
		p.add(ViewLine{Kind: LineSection, Name: "Sources", Text: payload.Counted(len(p.view.Sources), "file", "files")})
	} else if unread {
		p.add(ViewLine{Kind: LineSection, Name: "Not read", Text: "what is in these is not in this view"})
	}
	for _, s := range p.view.Sources {
		if s.Read && s.closed() == 0 && !p.words.Sources {
			continue
		}
		var says []string
		if len(s.From) > 0 {
			says = append(says, "from "+strings.Join(s.From, ", "))
		}
		if s.Made != "" && s.Read {
			says = append(says, "as it was on "+shownTime(s.Made))
		}
		if s.Part {
			says = append(says, "PART of a record")
		}
		if s.Read {
			says = append(says, payload.Counted(s.Resources, "entry", "entries"))
			if len(s.Others) > 0 {
				says = append(says, "not shown: "+othersText(s.Others))
			}
			if n := s.closed(); n > 0 {
				says = append(says, payload.Counted(n, "Bundle", "Bundles")+" within it not looked into")
			}
		} else {
			says = append(says, "not read: "+s.Why)
		}
		if p.words.Sources && s.SHA256 != "" {
			says = append(says, "SHA-256 "+s.SHA256[:16])
		}
		p.item(strings.Join(s.Names, ", "), strings.Join(says, ", "), []int{s.Number})
	}
}

func shownTimes(list []string) (out []string) {
	for _, s := range list {
		out = append(out, shownTime(s))
	}
	return out
}

// shownTime is a FHIR date for people: 2 May 2026, May 2026, 2026. The day is that of the
// source's own time zone.
func shownTime(s string) string {
	for _, f := range [][2]string{{"2006-01-02", "2 Jan 2006"}, {"2006-01", "Jan 2006"}} {
		if len(s) < len(f[0]) {
			continue
		}
		if t, err := time.Parse(f[0], s[:len(f[0])]); err == nil {
			return t.Format(f[1])
		}
		return s
	}
	return s
}
