package health

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// viewWho is somebody whom a file is about, as that file says it.
type viewWho struct {
	from     *viewRead
	ids      []Identifier
	names    []string
	born     []string
	gender   []string
	urls     []string // under which entries of the file refer to it
	local    string   // Patient/id, as on the file's server; "" if it is not called so
	known    bool     // there is a Patient
	only     *viewWho // of somebody whom the file does not say: its only Patient
	other    bool     // a Group, a device, an animal's herd: nobody
	nobody   bool     // the file does not say whose it is
	entries  int      // that are theirs
	seq      int      // among those of the file
	may      []string // why this may be somebody else
	called   []spelling
	contacts []ViewContact // without Sources
}

// whos are the persons of one file.
type whos struct {
	read *viewRead
	in   *within
	all  []*viewWho
	of1  map[string]*viewWho // by what refers to them
	pats []*viewWho
}

func newWhos(r *viewRead, in *within) *whos {
	w := &whos{read: r, in: in, of1: map[string]*viewWho{}}
	for _, res := range in.all {
		if res.typ == "Patient" {
			w.pats = append(w.pats, w.patient(entryKey(res), res))
		}
	}
	return w
}

func entryKey(res *entered) string { return "entry " + strconv.Itoa(res.entry) }

// patient makes a person of a Patient.
func (w *whos) patient(key string, res *entered) *viewWho {
	if who := w.of1[key]; who != nil {
		return who
	}
	who := w.add(key)
	who.known, who.may = true, res.may
	who.ids = identifiersOf(firstOf(res.objs("identifier")))
	for _, n := range firstOf(res.objs("name")) {
		if s := humanName([]tree{n}); s != "" {
			who.names = append(who.names, s)
		}
		if len(who.called) < maxSpellings {
			who.called = append(who.called, spellingOf(n))
		}
	}
	if best := humanName(res.objs("name")); best != "" { // first
		who.names = append([]string{best}, slices.DeleteFunc(who.names, func(s string) bool { return s == best })...)
	}
	if b := res.str("birthDate"); b != "" { // one that is no date is as good to tell two apart
		who.born = []string{b}
	}
	if g := res.str("gender"); g != "" {
		who.gender = []string{g}
	}
	if res.url != "" {
		who.urls = []string{res.url}
	}
	if res.in == nil && res.str("id") != "" {
		who.local = "Patient/" + res.str("id")
	}
	for _, c := range firstOf(res.objs("contact")) {
		who.contact(w.in, res, c)
	}
	return who
}

// maxNamed is how many names and identifiers of one person, or identifiers of one thing,
// are looked at.
const maxNamed = 100

func firstOf(list []tree) []tree { return list[:min(len(list), maxNamed)] }

func identifiersOf(list []tree) (out []Identifier) {
	for _, id := range list {
		if s, v := id.str("system"), id.str("value"); s != "" && v != "" {
			out = append(out, Identifier{s, v})
		}
	}
	return out
}

func (w *whos) add(key string) *viewWho {
	who := &viewWho{from: w.read, seq: len(w.all)}
	w.of1[key] = who
	w.all = append(w.all, who)
	return who
}

// of is whom a resource is about: whom it refers to, else the only Patient of the file.
// Nobody is guessed where there are several, or where it refers to somebody who is not
// here: that is somebody of its own.
func (w *whos) of(res *entered, subject tree) *viewWho {
	who := w.find(res, subject)
	who.entries++
	return who
}

func (w *whos) find(res *entered, subject tree) *viewWho {
	if subject == nil {
		if len(w.pats) == 1 {
			return w.pats[0]
		}
		return w.named("", "", nil)
	}
	reference, display := subject.str("reference"), subject.str("display")
	ids := identifiersOf([]tree{subject.obj("identifier")})
	if reference != "" {
		found := w.in.find(res, reference)
		switch {
		case found != nil && found.typ == "Patient" && strings.HasPrefix(reference, "#"):
			return w.patient(entryKey(res)+reference, found)
		case found != nil && found.typ == "Patient":
			return w.of1[entryKey(found)]
		case found != nil:
			return w.nobody(found.typ)
		}
		if typ, _, ok := strings.Cut(reference, "/"); ok && typ != "Patient" && fhirType(typ) || subject.str("type") != "" && subject.str("type") != "Patient" {
			return w.nobody(typ)
		}
		return w.named(reference, display, ids)
	}
	if len(ids) > 0 {
		return w.named(ids[0].System+"|"+ids[0].Value, display, ids)
	}
	return w.named("", display, nil)
}

// fhirType reports whether a text looks like a resource's type.
func fhirType(s string) bool {
	return s != "" && unicode.IsUpper(rune(s[0])) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsLetter(r) }) < 0
}

func (w *whos) nobody(typ string) *viewWho {
	key := "not a person " + typ
	if who := w.of1[key]; who != nil {
		return who
	}
	who := w.add(key)
	who.other = true
	return who
}

// named is somebody of whom the file has no Patient.
func (w *whos) named(reference, display string, ids []Identifier) *viewWho {
	key := "named " + reference + "\x00" + display
	if reference != "" {
		key = "named " + reference
	}
	if who := w.of1[key]; who != nil {
		return who
	}
	who := w.add(key)
	who.ids = ids
	if len(w.pats) == 1 {
		who.only = w.pats[0]
	}
	switch {
	case display != "":
		who.names = []string{display}
		who.called = []spelling{{all: personWords(display)}}
	case reference != "":
		who.names = []string{reference}
	default:
		who.nobody = true
	}
	if reference != "" {
		who.urls = []string{reference}
	}
	if strings.HasPrefix(reference, "Patient/") && len(reference) <= 200 {
		who.local, _, _ = strings.Cut(reference, "/_history/")
	}
	return who
}

// contradiction is why two who share an identifier are not taken for one; "" if nothing
// speaks against it. A family may share the number of its insurance, and twins all but a name:
// two headings for one person can be seen, one for two cannot.
func (w *viewWho) contradiction(o *viewWho) string {
	for _, a := range w.born {
		for _, b := range o.born {
			if n := min(len(a), len(b), 10); a[:n] != b[:n] {
				return "different birth dates"
			}
		}
	}
	for _, a := range w.gender {
		for _, b := range o.gender {
			if a != b && (a == "male" || a == "female") && (b == "male" || b == "female") {
				return "different genders"
			}
		}
	}
	if otherNames(w.called, o.called) { // twins
		return "different names"
	}
	return ""
}

// viewGroup is one person of a view.
type viewGroup struct {
	whos  []*viewWho
	items []*viewItem
	said  []*viewSaid
	other []viewOther
}

// maxAlike is how many of the files' persons may share an identifier and be one, and among
// how many it is looked who may be one.
const maxAlike = 300

// contradictions is why these are not all one person; "" if nothing speaks against it.
// Which of several reasons it is does not depend on their order.
func contradictions(ws []*viewWho) (against string) {
	if len(ws) > maxAlike {
		return "of too many persons to be one's own"
	}
	for i, a := range ws {
		for _, b := range ws[:i] {
			if why := a.contradiction(b); why != "" && (against == "" || why < against) {
				against = why
			}
		}
	}
	return against
}

// joinPersons says which of the files' persons are one: those who share an identifier, or the
// place in one record, with nothing that speaks against it between any two of them. An identifier of two who are not
// one, such as a family's, is nobody's. Name and birth date propose, and no more.
func joinPersons(reads []*viewRead) ([]*viewGroup, []ViewPerhaps) {
	groups, apart := groupsOf(reads)
	of := map[*viewWho]*viewGroup{}
	for _, g := range groups {
		for _, w := range g.whos {
			of[w] = g
		}
	}
	for _, r := range reads {
		r.handOut(of)
	}
	order := map[*viewGroup][]string{}
	for _, g := range groups {
		order[g] = g.order()
	}
	slices.SortFunc(groups, func(a, b *viewGroup) int { return slices.Compare(order[a], order[b]) })
	number := map[*viewGroup]int{}
	for i, g := range groups {
		number[g] = i + 1
	}
	var out []ViewPerhaps
	for _, x := range apart {
		var persons []int
		for _, w := range x.whos {
			persons = append(persons, number[of[w]])
		}
		if persons = uniq(persons); len(persons) > 1 {
			out = append(out, ViewPerhaps{persons, "An identifier in common, but " + x.against})
		}
	}
	return groups, alike(groups, out)
}

// viewApart are some with an identifier in common who are not one, and why.
type viewApart struct {
	whos    []*viewWho
	against string
}

// sharedID is what makes one of several: an identifier, or where one version of a record has
// them, whatever parts of it each file holds.
type sharedID struct {
	record string // as in Source; "" of an identifier
	Identifier
}

// place is where a file has somebody; "" if it does not say.
func (w *viewWho) place() string {
	if len(w.urls) > 0 {
		return w.urls[0]
	}
	return w.local
}

// twiceInOne reports whether two of these are of one file, which tells them apart.
func twiceInOne(ws []*viewWho) bool {
	in := map[*viewRead]bool{}
	for _, w := range ws {
		if in[w.from] {
			return true
		}
		in[w.from] = true
	}
	return false
}

// groupsOf puts together those who are one.
func groupsOf(reads []*viewRead) (groups []*viewGroup, apart []viewApart) {
	var all []*viewWho
	byID := map[sharedID][]int{}
	for _, r := range reads {
		for _, w := range r.people {
			if w.other || !w.known && w.entries == 0 {
				continue
			}
			for _, id := range w.ids {
				byID[sharedID{Identifier: id}] = append(byID[sharedID{Identifier: id}], len(all))
			}
			if at := w.place(); at != "" {
				for record := range r.of {
					id := sharedID{record, Identifier{Value: at}}
					byID[id] = append(byID[id], len(all))
				}
			}
			all = append(all, w)
		}
	}
	up := make([]int, len(all)) // a tree for each group
	for i := range up {
		up[i] = i
	}
	root := func(i int) int {
		for up[i] != i {
			up[i] = up[up[i]]
			i = up[i]
		}
		return i
	}
	for id, same := range byID {
		var ws []*viewWho
		for _, i := range same {
			ws = append(ws, all[i])
		}
		against := contradictions(ws)
		if id.record != "" && (against != "" || twiceInOne(ws)) {
			continue
		}
		if against != "" { // it names no person
			apart = append(apart, viewApart{ws, against})
			continue
		}
		for _, i := range same[1:] {
			up[root(i)] = root(same[0])
		}
	}
	parts := map[int][]*viewWho{}
	for i, w := range all {
		parts[root(i)] = append(parts[root(i)], w)
	}
	for _, ws := range parts {
		against := contradictions(ws)
		if against == "" {
			groups = append(groups, &viewGroup{whos: ws})
			continue
		}
		for _, w := range ws {
			groups = append(groups, &viewGroup{whos: []*viewWho{w}})
		}
		apart = append(apart, viewApart{ws, against})
	}
	return groups, apart
}

// handOut gives each group what a file says of its persons.
func (r *viewRead) handOut(of map[*viewWho]*viewGroup) {
	for _, it := range r.items {
		of[it.who].items = append(of[it.who].items, it)
	}
	for _, s := range r.said {
		if g := of[s.who]; g != nil {
			g.said = append(g.said, s)
		}
	}
	for _, o := range r.others {
		if g := of[o.who]; g != nil {
			g.other = append(g.other, o)
		}
	}
}

// alike adds which groups may be one person.
func alike(groups []*viewGroup, out []ViewPerhaps) []ViewPerhaps {
	if len(groups) > maxAlike {
		return append(out, ViewPerhaps{Persons: []int{}, Why: "With so many persons it was not looked which of them may be one"})
	}
	for i, a := range groups {
		for j, b := range groups[:i] {
			if why := a.perhaps(b); why != "" {
				out = append(out, ViewPerhaps{[]int{j + 1, i + 1}, why})
			}
		}
	}
	out = append(out, calledAlike(groups)...)
	slices.SortFunc(out, func(a, b ViewPerhaps) int {
		return cmp.Or(slices.Compare(a.Persons, b.Persons), cmp.Compare(a.Why, b.Why))
	})
	return slices.CompactFunc(out, func(a, b ViewPerhaps) bool { return slices.Equal(a.Persons, b.Persons) && a.Why == b.Why })
}

// calledAlike are those whom files call the same, Patient/id, of whom at least one file has no
// Patient: ids are of one server, and which that is a file of one resource does not say.
func calledAlike(groups []*viewGroup) (out []ViewPerhaps) {
	called, unknown := map[string][]int{}, map[string]bool{}
	for i, g := range groups {
		for _, w := range g.whos {
			if w.local != "" {
				called[w.local] = append(called[w.local], i+1)
				unknown[w.local] = unknown[w.local] || !w.known
			}
		}
	}
	for local, persons := range called {
		if persons = uniq(persons); unknown[local] && len(persons) > 1 {
			out = append(out, ViewPerhaps{persons, "Their sources say " + local + ", which is one person if they come from one server"})
		}
	}
	return out
}

// order is what persons are sorted by: those who are known first, then by name.
func (g *viewGroup) order() []string {
	known, who := "1", viewWho{}
	var where []string
	for _, w := range g.whos {
		if w.known {
			known = "0"
		}
		who.names, who.born = append(who.names, w.names...), append(who.born, w.born...)
		for _, id := range w.ids {
			where = append(where, id.System+"|"+id.Value)
		}
		where = append(where, fmt.Sprintf("%s %06d", w.from.sum, w.seq))
	}
	if g.whos[0].nobody {
		known = "2"
	}
	slices.Sort(who.names)
	slices.Sort(where)
	return append([]string{known, strings.Join(who.names, "\x00"), strings.Join(who.born, "\x00")}, where...)
}

// perhaps is why two groups may be one person; "" if nothing says so.
func (g *viewGroup) perhaps(o *viewGroup) string {
	for _, a := range g.whos {
		for _, b := range o.whos {
			if a.known && b.known && a.contradiction(b) == "" {
				born := slices.ContainsFunc(a.born, func(s string) bool { return len(s) == 10 && slices.Contains(b.born, s) })
				if born && slices.ContainsFunc(a.names, func(s string) bool {
					return slices.ContainsFunc(b.names, func(t string) bool { return sortedWords(s) == sortedWords(t) })
				}) {
					return "The same name and birth date, but no identifier in common"
				}
			}
			if a.only == b && b != nil || b.only == a && a != nil {
				return "A source that has only one of them refers to the other as well"
			}
			if a.known != b.known && slices.ContainsFunc(a.urls, func(s string) bool { return strings.Contains(s, ":") && slices.Contains(b.urls, s) }) {
				return "One source refers to somebody by the address under which another has this person"
			}
		}
	}
	return ""
}

// person makes the picture of one person.
func (g *viewGroup) person(number int, today string) ViewPerson {
	p := ViewPerson{Number: number, Born: []string{}, Gender: []string{}, Names: []string{}, Identifiers: []Identifier{}, Sources: []int{}, Details: []string{}}
	for _, w := range g.whos {
		p.Known = p.Known || w.known
	}
	for _, w := range g.whos {
		if w.known || !p.Known {
			p.Names = append(p.Names, w.names...)
		}
		p.Born, p.Gender, p.Identifiers = append(p.Born, w.born...), append(p.Gender, w.gender...), append(p.Identifiers, w.ids...)
		p.Sources = append(p.Sources, w.from.number)
		p.Part = p.Part || w.from.part
		if len(w.may) > 0 {
			p.Details = append(p.Details, otherMeaning(w.may))
		}
	}
	p.Details = uniq(p.Details)
	first := ""
	if len(p.Names) > 0 {
		first = p.Names[0]
	}
	p.Names, p.Born, p.Gender, p.Sources = uniq(p.Names), uniq(p.Born), uniq(p.Gender), uniq(p.Sources)
	if i := slices.Index(p.Names, first); i > 0 {
		p.Names = append([]string{first}, slices.Delete(p.Names, i, i+1)...)
	}
	slices.SortFunc(p.Identifiers, func(a, b Identifier) int {
		return cmp.Or(cmp.Compare(a.System, b.System), cmp.Compare(a.Value, b.Value))
	})
	p.Identifiers = slices.Compact(p.Identifiers)
	p.Contacts = g.contacts()
	g.fill(&p, today)
	return p
}

// uniq sorts, and leaves each out but once.
func uniq[T cmp.Ordered](list []T) []T {
	slices.Sort(list)
	return slices.Compact(list)
}
