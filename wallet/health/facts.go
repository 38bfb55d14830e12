package health

import (
	"bytes"
	"slices"
	"strings"
	"sync"

	"github.com/carekey/carekey/wallet/payload"
)

// Kinds of what tables do not understand. Others name a system, a type or an address.
const (
	kindFreeText   = "free text"
	kindNoCode     = "no code"
	kindAttachment = "attachment"
	kindRules      = "implicit rules" // they may change what all else means
	kindFileRules  = "Bundle's implicit rules"
	kindYours      = "yours"
)

// maxReasons is how many reasons are kept for one word of a label.
const maxReasons = 5

// maxFinds and maxFileFinds are how many strings with words in them, of one part and of one
// file, are looked through for which words these are: of more only what they say is noted.
const (
	maxFinds     = 500
	maxFileFinds = 20000
)

// maxKinds bounds the kinds of one part: more are said to be one.
const maxKinds = 20

// facts is what one part says, before others are looked at.
type facts struct {
	typ      string
	says     string
	date     string
	category payload.Category
	own      uint16              // sensitivities
	kinds    map[string]bool     // what is not understood
	why      map[string][]Reason // by what they support; sorted, at most maxReasons
	finds    int                 // of words
	points   []int32             // strings that may be the address of another part, each once
	hopes    []hope
	how      pointed
	drop     uint16 // by a correction: never had
}

// hope is what is not understood unless a reference leads somewhere.
type hope struct {
	ref      int32 // -1: nowhere
	kind     string
	path     string
	medicine bool // it takes over what is not understood of its target
}

// met is what is known of a string that came before.
type met struct {
	words uint16
	ref   int32 // its number among the references; -1 if it is none
}

// codeOf is a code of a system, and whether a name stands beside it.
type codeOf struct {
	*system
	code  string
	named bool
}

// maxPlain bounds how many codes with nothing to say are remembered: most stand in many parts.
const maxPlain = 4096

// reader finds the facts of the parts of one file, one after the other.
type reader struct {
	*Tables
	strings map[string]met
	refs    refs    // the strings that may be addresses, by their numbers
	last    []int32 // the part in which each was last met
	systems map[string]*system
	plain   map[codeOf]bool // codes of which there is nothing to say, whatever stands around them

	allFinds int // strings with words in them

	part int32
	*facts
	nodes          // of the part
	resource int32 // where its resource is
	path     []string
	ids      map[string]bool // of what the resource contains
}

// around is what stands around a value.
type around struct {
	of    *memberOf // the member that it is, or is an element of, the value of
	named bool      // in the coding of a concept that has a text
	names bool      // in an extension whose strings are names
	known bool      // in an extension that is understood
	texts bool      // in a resource in which a concept without a code is a name
}

func (r *reader) begin(part int, f *facts) { r.part, r.facts, r.path = int32(part), f, r.path[:0] }

// because notes why the label has a word. Which reasons are kept does not depend on the
// order in which they come.
func (f *facts) because(of, fact, table string) {
	if f.why == nil {
		f.why = map[string][]Reason{}
	}
	reason, all := Reason{of, fact, table}, f.why[of]
	i, found := slices.BinarySearchFunc(all, reason, compareReasons)
	if found || i == maxReasons {
		return
	}
	all = slices.Insert(all, i, reason)
	f.why[of] = all[:min(len(all), maxReasons)]
}

func compareReasons(a, b Reason) int {
	if c := strings.Compare(a.Because, b.Because); c != 0 {
		return c
	}
	return strings.Compare(a.Table, b.Table)
}

// unclassified notes that something is not understood.
func (f *facts) unclassified(kind, fact, table string) {
	if len(kind) > 200 {
		kind = strings.ToValidUTF8(kind[:200], "") + "…"
	}
	if f.kinds == nil {
		f.kinds = map[string]bool{}
	}
	f.kinds[kind] = true
	f.because(kind, fact, table)
}

// where names the place in the resource, for a reason.
func (r *reader) where() string {
	path := strings.Join(r.path, ".")
	if len(path) > 200 {
		path = strings.ToValidUTF8(path[:200], "") + "…"
	}
	return path
}

// lookAt returns which words are in a string, and its number if it is an address. What it
// found of an address is remembered: most stand in many parts.
func (r *reader) lookAt(s string) met {
	if !isAddress(s) {
		return met{r.machine.find(s), -1}
	}
	if m, ok := r.strings[s]; ok {
		return m
	}
	m := met{r.machine.find(s), r.refs.add(s)}
	r.strings[strings.Clone(s)] = m
	r.last = append(r.last, -1)
	return m
}

// What is no address is kept beside the addresses of a file under a byte that no string of JSON
// has in front, so that each is compared with its like only.
const (
	idAlone   = "\xff"
	asANumber = "\xfe" // an identifier: system|value
)

// number gives what only a reference can be a number: an id, or an identifier.
func (r *reader) number(s string) int32 {
	m, ok := r.strings[s]
	if !ok {
		m = met{0, r.refs.add(s)}
		r.strings[s] = m
		r.last = append(r.last, -1)
	}
	return m.ref
}

func (r *reader) point(ref int32) {
	if ref >= 0 && r.last[ref] != r.part {
		r.last[ref] = r.part
		r.points = append(r.points, ref)
	}
}

// text looks for words and addresses in a string.
func (r *reader) text(s string) {
	m := r.lookAt(s)
	r.point(m.ref)
	if m.words != 0 {
		r.found(m.words, s)
	}
}

// found notes which words of the tables are in s.
func (r *reader) found(says uint16, s string) {
	r.own |= says &^ bit(Unclassified)
	r.finds++
	if r.allFinds++; (r.finds > maxFinds || r.allFinds > maxFileFinds) && says&bit(Unclassified) == 0 {
		for i, one := range sensitivities {
			if says&(1<<i) != 0 {
				r.because(string(one), "a word in "+r.where(), wordSystem+".csv")
			}
		}
		return
	}
	normal := normalText(s)
	for i := range r.words {
		if w := &r.words[i]; w.says&says != 0 && strings.Contains(normal, w.text) {
			r.row(w.row, `the word "`+strings.Trim(w.row.Code, "*")+`"`)
		}
	}
}

// row notes what a row of a table says.
func (r *reader) row(row *tableRow, fact string) {
	if row.Says == plain {
		return
	}
	if place := r.where(); place != "" {
		fact += " in " + place
	}
	if row.Says == Unclassified {
		r.unclassified(row.What, fact, row.file+": "+row.Code)
		return
	}
	r.own |= bit(row.Says)
	r.because(string(row.Says), fact, row.file+": "+row.Code+", "+row.What)
}

// entry finds the facts of one entry: what stands around its resource, and that.
func (r *reader) entry(p *Part, resource int32) {
	r.resource = resource
	clear(r.ids)
	r.objects(r.get(resource, "contained"), func(m int32) {
		if id := r.str(m, "id"); id != "" && r.str(m, "resourceType") != "" {
			r.ids["#"+id] = true
		}
	})
	r.category = r.categoryOf(resource)
	r.date = p.date()
	r.says = strings.Clone(saysOf(&r.nodes, resource))
	if resource > 0 {
		r.object(0, around{of: ofEntry})
	}
	r.object(resource, around{of: noMember})
}

// ofEntry is around what stands beside the resource of an entry.
var ofEntry = &memberOf{name: "entry"}

// narrative finds the words in a narrative.
func (r *reader) narrative(p *Part) {
	r.category, r.says, r.how = Documents, "in plain words", pointedNone
	text := slices.Concat([]byte("{"), bytes.Trim(p.Append(nil), ", \t\r\n"), []byte("}"))
	if err := r.read(text); err != nil {
		r.unread()
		r.category = Documents
		return
	}
	r.path = append(r.path, "text")
	r.narrated(r.get(0, "text"))
}

func (r *reader) narrated(at int32) {
	if r.is(at, textNode) {
		if says := r.machine.find(r.all[at].text); says != 0 {
			r.found(says, r.all[at].text)
		}
		return
	}
	if at >= 0 {
		for i, end := r.inside(at); i < end; i = r.all[i].end {
			r.narrated(i)
		}
	}
}

// unread is a part that cannot be read.
func (f *facts) unread() {
	f.category = payload.Other
	f.unclassified("not to be read", "its bytes", "")
}

// correct applies what the owner said to what a part says of itself.
func (f *facts) correct(c Correction) {
	f.drop = bitsOf(c.Drop)
	if c.Category != "" {
		f.category = c.Category
		f.because(string(c.Category), "category", kindYours)
	}
	if f.drop&bit(Unclassified) != 0 {
		f.kinds, f.hopes = nil, nil
	}
	for _, s := range c.Add {
		if s == Unclassified {
			f.unclassified(kindYours, string(s), kindYours)
		} else if !s.Valid() {
			f.newer(string(s))
		} else if f.drop&bit(s) == 0 {
			f.because(string(s), string(s), kindYours)
		}
	}
	if c.Category != "" && !c.Category.Valid() {
		f.newer(string(c.Category))
	}
	f.own = (f.own | bitsOf(c.Add)&^bit(Unclassified)) &^ f.drop
}

// newer is a word of the owner's that a newer carekey knows: this one holds back what has it,
// whatever else she said of it.
func (f *facts) newer(word string) {
	f.drop &^= bit(Unclassified)
	f.unclassified(kindYours, word, kindYours)
}

// whiteSpace is JSON's.
const whiteSpace = " \t\r\n"

// categoryOf returns a resource's category: by its type, of an Observation by its
// category.
func (r *reader) categoryOf(resource int32) payload.Category {
	typ := r.str(resource, "resourceType")
	if typ != "Observation" {
		if t, ok := r.types[typ]; ok {
			return t.category
		}
		return payload.Other
	}
	labs, vitals := false, false
	for concept, end := r.list(r.get(resource, "category")); concept < end; concept = r.all[concept].end {
		for coding, end := r.list(r.get(concept, "coding")); coding < end; coding = r.all[coding].end {
			switch normalSystem(r.str(coding, "system")) {
			case "terminology.hl7.org/codesystem/observation-category", "hl7.org/fhir/observation-category":
				labs = labs || r.str(coding, "code") == "laboratory"
				vitals = vitals || r.str(coding, "code") == "vital-signs"
			}
		}
	}
	switch {
	case labs && vitals:
		return payload.Other
	case labs:
		return "labs"
	case vitals:
		return "vitals"
	}
	return payload.Other
}

// dates are the members that say when a resource's fact was so, the first one counts. Of a
// period it is the start.
var dates = []string{"effectiveDateTime", "effectivePeriod", "effectiveInstant", "performedDateTime", "performedPeriod", "occurrenceDateTime", "occurrencePeriod",
	"onsetDateTime", "onsetPeriod", "whenHandedOver", "whenPrepared", "started", "servicedDate", "servicedPeriod", "billablePeriod", "period", "authoredOn", "recordedDate", "assertedDate",
	"dateAsserted", "issued", "createdDateTime", "date", "created", "recorded", "authored", "sent"}

// datesAt are the places of these names.
var datesAt = sync.OnceValue(func() map[string]int {
	at := map[string]int{}
	for i, name := range dates {
		at[name] = i
	}
	return at
})

// date returns the clinical date of a part that is no narrative, YYYY[-MM[-DD]] as it is
// written; "" if it has none, as a Patient has.
func (p *Part) date() string {
	if p.Type == "Patient" || len(p.dated) == 0 {
		return ""
	}
	written := ""
	switch p.dated[0] {
	case '"':
		written = unescape(p.dated[1:len(p.dated)-1], true)
	case '{':
		period, _ := decode(p.dated)
		written = str(period, "start")
	}
	day, _, _ := strings.Cut(written, "T")
	if !isDate(day) {
		return ""
	}
	return day
}

// saysOf returns what a resource is about in its own words.
func saysOf(ns *nodes, resource int32) string {
	for _, name := range []string{"code", "vaccineCode", "medicationCodeableConcept", "medicationReference", "reasonCode", "type", "class", "name", "title", "description", "specialty", "category"} {
		if s := wordsOf(ns, ns.get(resource, name)); s != "" {
			return cutTo(clean(s), 200)
		}
	}
	return ""
}

func wordsOf(ns *nodes, at int32) string {
	if ns.is(at, textNode) {
		return ns.all[at].text
	}
	if first, end := ns.list(at); first < end {
		return wordsOf(ns, first)
	}
	if s := ns.str(at, "text"); s != "" {
		return s
	}
	for c, end := ns.list(ns.get(at, "coding")); c < end; c = ns.all[c].end {
		if s := ns.str(c, "display"); s != "" {
			return s
		}
	}
	for _, name := range []string{"display", "code"} {
		if s := ns.str(at, name); s != "" {
			return s
		}
	}
	if s := ns.str(at, "family"); s != "" {
		if first, end := ns.list(ns.get(at, "given")); first < end {
			name := ""
			if ns.is(first, textNode) {
				name = ns.all[first].text
			}
			return name + " " + s
		}
		return s
	}
	for c, end := ns.list(ns.get(at, "coding")); c < end; c = ns.all[c].end {
		if s := ns.str(c, "code"); s != "" {
			return s
		}
	}
	return ""
}
