package health

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/carekey/carekey/crypto/fault"
)

// View is one picture of what several records say: of each person what is listed, what is
// said not to be there, and what nobody said. It decides nothing: what sources say apart is
// shown apart, what they say alike is shown once with all of them, and nothing of them is
// left out. Lists have a fixed order, and the same sources make the same View in whatever
// order and however often they are given.
type View struct {
	AsOf    string        `json:"asOf"`    // YYYY-MM-DD, UTC: what counts as past
	Sources []ViewSource  `json:"sources"` // by name; numbered from 1
	Persons []ViewPerson  `json:"persons"` // never two in one
	Perhaps []ViewPerhaps `json:"perhaps"` // persons who may be one and are not merged
}

// ViewSource is one file that a View is made of.
type ViewSource struct {
	Number    int         `json:"source"`
	Names     []string    `json:"names"`
	From      []string    `json:"from"`             // who gave it; empty if it is one's own, or nobody knows
	Part      bool        `json:"part"`             // of a record: other entries may exist
	Made      string      `json:"made,omitempty"`   // when it was put together, as it says of itself; "" if it does not
	SHA256    string      `json:"sha256,omitempty"` // of the file; "" if it was not looked into
	Read      bool        `json:"read"`
	Why       string      `json:"why,omitempty"` // why it was not read
	FHIR      bool        `json:"fhir"`
	Resources int         `json:"resources"`
	Others    []ViewCount `json:"others"` // of them, what is about no person
}

// ViewPerhaps are persons of a View who may be one.
type ViewPerhaps struct {
	Persons []int  `json:"persons"`
	Why     string `json:"why"`
}

// ViewPerson is what is said of one person.
type ViewPerson struct {
	Number      int          `json:"person"`
	Names       []string     `json:"names"` // as sources write them
	Known       bool         `json:"known"` // a source says who it is; if not, Names is how sources refer to somebody
	Born        []string     `json:"born"`
	Gender      []string     `json:"gender"`
	Identifiers []Identifier `json:"identifiers"`
	Sources     []int        `json:"sources"`
	Part        bool         `json:"part"`    // at least one of them is part of a record
	Details     []string     `json:"details"` // why what is said of who it is may mean something else

	Allergies     ViewSection      `json:"allergies"`
	Medicines     ViewSection      `json:"medicines"`
	Interactions  ViewInteractions `json:"interactions"`
	Problems      ViewSection      `json:"problems"`
	Immunizations ViewSection      `json:"immunizations"`
	Results       ViewSection      `json:"results"`
	Procedures    ViewSection      `json:"procedures"`
	Devices       ViewSection      `json:"devices"`
	Reports       ViewSection      `json:"reports"`
	Documents     ViewSection      `json:"documents"`

	Contacts  []ViewContact  `json:"contacts"`  // whom sources name to be asked or told; by name
	Withdrawn []ViewItem     `json:"withdrawn"` // entered in error, refuted, not taken, not done, cancelled
	Others    []ViewCount    `json:"others"`    // what is in the sources and not shown
	Conflicts []ViewConflict `json:"conflicts"` // worst first
}

// States of a ViewSection. There is no "none".
const (
	StateListed  = "listed"         // something is
	StateNone    = "none-stated"    // a source says that there is nothing
	StateNoInfo  = "no-information" // a source says that it does not know
	StateNothing = "nothing-here"   // no source says anything
)

// ViewSection is what is known of one subject.
type ViewSection struct {
	State    string          `json:"state"`
	Items    []ViewItem      `json:"items"`
	None     []ViewStatement `json:"none"`          // who says that there is nothing, also where something is listed
	NoInfo   []ViewStatement `json:"noInformation"` // who says that he does not know
	TextOnly []ViewStatement `json:"textOnly"`      // who has a text on it that is not shown
}

// ViewStatement is what one source says of a whole subject.
type ViewStatement struct {
	Says   string `json:"says"`
	Scope  string `json:"scope"` // "" is all of it
	Who    string `json:"who"`   // "" if the source does not say
	When   string `json:"when"`  // as written; "" if it does not say
	Source int    `json:"source"`
	Entry  int    `json:"entry"` // in it, counted from 1

	Verification string `json:"verification"` // how sure it is; "" if confirmed, or not said
}

// ViewCode is a code of a code system.
type ViewCode struct {
	System  string `json:"system"`
	Code    string `json:"code"`
	Display string `json:"display,omitempty"` // the first that a source gives
}

// ViewItem is one thing that at least one source says. Where several say it, every list
// has what any of them says, the worst first where there is a worse.
type ViewItem struct {
	Type         string     `json:"type"`  // resourceType
	Name         string     `json:"name"`  // "" if no source names it
	Also         []string   `json:"also"`  // other names for the same code
	Group        string     `json:"group"` // items with the same stand together
	Codes        []ViewCode `json:"codes"`
	Status       []string   `json:"status"`
	Verification []string   `json:"verification"`
	Criticality  []string   `json:"criticality"`
	Category     []string   `json:"category"`
	When         string     `json:"when"` // clinical date or beginning, as written; "" if not said
	End          string     `json:"end"`
	Recorded     string     `json:"recorded"`
	Value        string     `json:"value"`    // as it is shown
	Original     string     `json:"original"` // the number as written
	Unit         string     `json:"unit"`
	Range        string     `json:"range"` // "" if no source gives one
	Flag         string     `json:"flag"`  // high, low, abnormal …; "" if nobody says and no range tells
	Dose         []string   `json:"dose"`
	Details      []string   `json:"details"`
	Notes        []string   `json:"notes"`
	Current      bool       `json:"current"`     // of a medicine: no source says that it ended
	Ingredients  []string   `json:"ingredients"` // of a medicine, as far as they are known
	Copies       []ViewCopy `json:"copies"`      // everywhere it is said

	number float64 // of a result; only if key is not ""
	key    string  // of a result: one code and one unit of UCUM
	whole  bool    // of a medicine: every ingredient is known
	past   bool    // of a medicine: its end is past
	odd    bool    // a date stands there and is not understood

	to []codeable // of an allergy: what brought on its reactions
}

// ViewCopy is one resource of a source.
type ViewCopy struct {
	Source int    `json:"source"`
	Entry  int    `json:"entry"` // in the source, counted from 1
	Type   string `json:"type"`
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"`
	When   string `json:"when"`
	By     string `json:"by"` // "" if it does not say
}

// ViewCount counts what is not shown.
type ViewCount struct {
	Type  string `json:"type"`
	Count int    `json:"count"`
}

// Source says what is known of a file that is looked at, beside its bytes.
type Source struct {
	Name string // what people call it
	From string // who gave it; "" if it is one's own
	Part bool   // of a record, says what came with it

	// Record is a name that all files from one version of a record have, and no others; ""
	// if that is not known. Its files may hold different parts of it.
	Record string
}

// Viewing takes files, one after the other, and makes a View of them. It keeps nothing of
// their bytes.
type Viewing struct{ read map[string]*viewRead }

// NewViewing returns one that has seen nothing.
func NewViewing() *Viewing { return &Viewing{map[string]*viewRead{}} }

// viewRead is a file that was looked at.
type viewRead struct {
	sum    string // SHA-256 of the file; "" if it was not looked into
	names  map[string]bool
	froms  map[string]bool
	of     map[string]bool // Source.Record
	part   bool
	made   string // when it was put together, as it says; "" if it does not
	fhir   bool
	why    string // why it was not read; "" if it was
	number int    // in the View
	count  int    // resources
	rules  string // that all of it follows; "" if it names none

	people []*viewWho
	items  []*viewItem
	said   []*viewSaid
	others []viewOther
}

// viewOther is a resource that is only counted.
type viewOther struct {
	who *viewWho
	typ string
}

// bom is what some systems write before UTF-8. It is no part of JSON, and a file with it is
// never cut into parts; looking at what stands behind it guesses nothing.
const bom = "\ufeff"

// Add looks at a file. One that is not FHIR in JSON, or that cannot be cut into parts by
// [Split], is named and not read: where a key stands twice two programs see two records.
// The same bytes again, under whatever name, are the same source.
func (v *Viewing) Add(s Source, file []byte) {
	sum := sha256.Sum256(file)
	name := hex.EncodeToString(sum[:])
	r, again := v.source(name, s)
	if !again {
		r.sum = name
		r.look(s.Name, file)
	}
	r.part = r.part || s.Part
}

// AddUnread names a file that was not looked into; why is a few words.
func (v *Viewing) AddUnread(s Source, why string) {
	r, _ := v.source("name "+s.Name, s)
	r.why, r.part = why, r.part || s.Part
}

// source finds a source again, or makes one.
func (v *Viewing) source(key string, s Source) (r *viewRead, again bool) {
	r, again = v.read[key]
	if !again {
		r = &viewRead{names: map[string]bool{}, froms: map[string]bool{}, of: map[string]bool{}}
		v.read[key] = r
	}
	r.names[s.Name] = true
	if s.From != "" {
		r.froms[s.From] = true
	}
	if s.Record != "" {
		r.of[s.Record] = true
	}
	return r, again
}

// look reads a file.
func (r *viewRead) look(name string, file []byte) {
	r.fhir = IsFHIR(name, file)
	if !r.fhir {
		r.why = "not FHIR in JSON"
		return
	}
	file = bytes.TrimPrefix(file, []byte(bom))
	cut, err := Split(file)
	if err != nil {
		r.why = "it could not be cut into parts"
		if f, ok := errors.AsType[*fault.Error](err); ok {
			r.why += ": " + fault.Get[string](f, "why")
		}
		return
	}
	r.head(file)
	r.resources(cut)
}

// head reads what a file that is one Bundle or resource says of all that is in it: whether it is
// part of another, what rules it follows, and when it was put together.
func (r *viewRead) head(file []byte) {
	var all struct {
		Meta  json.RawMessage `json:"meta"`
		Rules any             `json:"implicitRules"`
		Type  any             `json:"resourceType"`
		Made  any             `json:"timestamp"`
	}
	if json.Unmarshal(file, &all) != nil {
		return
	}
	meta, _ := decode(all.Meta)
	r.part = cutShort(meta)
	r.rules, _ = all.Rules.(string)
	if all.Type == "Bundle" {
		r.made = tree{"timestamp": all.Made}.date("timestamp")
	}
}

// cutShort reports whether the meta of a resource says that it is part of another, in its labels or,
// as servers do that leave out what was not asked for, in its tags.
func cutShort(meta tree) bool {
	return slices.ContainsFunc(slices.Concat(meta.objs("security"), meta.objs("tag")), func(c tree) bool { return c.str("code") == "SUBSETTED" })
}

// View makes the picture of all that was added. now says what is past.
func (v *Viewing) View(now time.Time) *View {
	out := &View{AsOf: now.UTC().Format(time.DateOnly), Sources: []ViewSource{}, Persons: []ViewPerson{}, Perhaps: []ViewPerhaps{}}
	reads := slices.SortedFunc(maps.Values(v.read), func(a, b *viewRead) int {
		return cmp.Or(slices.Compare(sorted(a.names), sorted(b.names)), cmp.Compare(a.sum, b.sum))
	})
	for i, r := range reads {
		r.number = i + 1
		out.Sources = append(out.Sources, ViewSource{r.number, sorted(r.names), sorted(r.froms), r.part, r.made, r.sum, r.why == "", r.why, r.fhir, r.count, r.aboutNobody()})
	}
	groups, perhaps := joinPersons(reads)
	for i, g := range groups {
		out.Persons = append(out.Persons, g.person(i+1, out.AsOf))
	}
	out.Perhaps = append(out.Perhaps, perhaps...)
	return out
}

// sorted returns the words of a set; never nil.
func sorted(set map[string]bool) []string {
	return append([]string{}, slices.Sorted(maps.Keys(set))...)
}

// aboutNobody counts what no person has.
func (r *viewRead) aboutNobody() []ViewCount {
	var of []viewOther
	for _, o := range r.others {
		if o.who == nil || o.who.other {
			of = append(of, o)
		}
	}
	return countsOf(of)
}

func countsOf(others []viewOther) []ViewCount {
	n := map[string]int{}
	for _, o := range others {
		n[o.typ]++
	}
	out := []ViewCount{}
	for _, typ := range slices.Sorted(maps.Keys(n)) {
		out = append(out, ViewCount{typ, n[typ]})
	}
	return out
}
