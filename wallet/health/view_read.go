package health

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// Systems of codes.
const (
	sysSNOMED = "http://snomed.info/sct"
	sysLOINC  = "http://loinc.org"
	sysRxNorm = "http://www.nlm.nih.gov/research/umls/rxnorm"
	sysUCUM   = "http://unitsofmeasure.org"
	// sysAbsent says that something is not there, or that nobody knows: International
	// Patient Summary, http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips.
	sysAbsent = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
	// extAbsent stands where a value should: http://hl7.org/fhir/R4/extension-data-absent-reason.html
	extAbsent = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
)

// viewItem is one resource that is shown.
type viewItem struct {
	ViewItem
	from    *viewRead
	who     *viewWho
	section string
	ids     []string // identifiers, as system|value
	codes   []string // codes, as system|code, sorted
	value   string   // what an Observation says, in a form that is compared
	gone    bool     // withdrawn
	holds   bool     // of a medicine: says in so many words that it is in use
	may     []string // why it may mean something else, sorted
	place   string   // of the body, in a form that is compared; "" if not said
	at      string   // the same in words

	contains []codeable // of a medicine: what its source says is in it
}

// viewSaid is what a source says of a section as a whole.
type viewSaid struct {
	ViewStatement
	from    *viewRead
	who     *viewWho
	section string
	what    string // StateNone, StateNoInfo, or textOnly
}

const textOnly = "text-only"

// Sections of a ViewPerson.
const (
	inAllergies     = "allergies"
	inMedicines     = "medicines"
	inProblems      = "problems"
	inImmunizations = "immunizations"
	inResults       = "results"
	inProcedures    = "procedures"
	inDevices       = "devices"
	inReports       = "reports"
	inDocuments     = "documents"
)

// entered is one resource of a file.
type entered struct {
	tree
	entry int    // counted from 1
	url   string // fullUrl; "" if none
	typ   string
	base  string // what relative references are relative to; "" if it is not known
	may   []string
	older bool     // another entry of the file is a later version of it
	in    *entered // that it is contained in; nil if it is an entry itself

	inside map[string]tree // contained, by id; nil before it was asked for
}

// within finds what references in a file name.
type within struct {
	all    []*entered
	byURL  map[string]*entered
	byName map[string][]*entered // Type/id
}

// resources reads the parts of a file.
func (r *viewRead) resources(cut *Cut) {
	in := &within{byURL: map[string]*entered{}, byName: map[string][]*entered{}}
	var ns nodes
	for i := range cut.Parts {
		p := &cut.Parts[i]
		if p.Text {
			continue
		}
		entry, m, err := p.decodeWith(&ns)
		if err != nil { // Split took it
			r.why, r.people, r.items = "it could not be read", nil, nil
			return
		}
		res := &entered{tree: m, entry: p.Entry + 1, typ: p.Type, may: r.otherwise(entry, m)}
		json.Unmarshal(p.url, &res.url)
		name := p.Type + "/" + res.str("id")
		if base, ok := strings.CutSuffix(res.url, "/"+name); ok {
			res.base = base + "/"
		}
		in.all = append(in.all, res)
		if _, again := in.byURL[res.url]; again {
			in.byURL[res.url] = nil // it names neither
		} else if res.url != "" {
			in.byURL[res.url] = res
		}
		if res.str("id") != "" {
			in.byName[name] = append(in.byName[name], res)
		}
	}
	in.versions()
	r.count = len(in.all)
	whos := newWhos(r, in)
	for _, res := range in.all {
		r.resource(res, in, whos)
		for _, c := range res.objs("contained") {
			if within := res.contained(c); within.reader() != nil {
				r.resource(within, in, whos)
			}
		}
	}
	r.people = whos.all
}

// otherwise is why an entry may mean something else than it says: a modifier extension anywhere
// in it, and rules that it follows, must be understood by whoever reads it
// (http://hl7.org/fhir/R4/extensibility.html#modifierExtension). None is understood here.
func (r *viewRead) otherwise(entry, resource tree) []string {
	why := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, x := range tree(v).objs("modifierExtension") {
				why["it has "+cmp.Or(x.str("url"), "a modifier without a name")+", which is not understood here"] = true
			}
			for _, e := range v {
				walk(e)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(map[string]any(entry))
	walk(map[string]any(resource))
	for _, rules := range []string{r.rules, resource.str("implicitRules")} {
		if rules != "" {
			why["it follows the rules "+rules+", which are not known here"] = true
		}
	}
	return sorted(why)
}

// versions finds entries of a file of which it has a later version.
func (in *within) versions() {
	for _, same := range in.byName {
		for _, a := range same {
			at, ok := pointOf(a.obj("meta").str("lastUpdated"))
			a.older = ok && a.url != "" && slices.ContainsFunc(same[:min(len(same), maxNamed)], func(b *entered) bool {
				then, ok := pointOf(b.obj("meta").str("lastUpdated"))
				return ok && a.url == b.url && at.Before(then)
			})
		}
	}
}

// containing are the resources that one has in it, by id; of one that is contained, those
// beside it.
func (e *entered) containing() map[string]tree {
	if e.inside == nil {
		e.inside = map[string]tree{}
		for _, c := range e.objs("contained") {
			if id := c.str("id"); e.inside[id] == nil {
				e.inside[id] = c
			}
		}
	}
	return e.inside
}

// contained is a resource that another has in it.
func (e *entered) contained(c tree) *entered {
	return &entered{tree: c, entry: e.entry, typ: c.str("resourceType"), base: e.base, may: e.may, in: e, inside: e.containing()}
}

// subject is whom a resource says that it is about; nil if it does not say, and empty if what
// stands there cannot be read. What is contained is about whom the other is about, unless it says.
func (e *entered) subject() tree {
	for _, key := range []string{"subject", "patient", "individual", "beneficiary"} {
		switch said := e.tree[key].(type) {
		case nil:
			if _, there := e.tree[key]; !there {
				continue
			}
		case map[string]any:
			return said
		case string: // no FHIR, but clear
			return tree{"reference": said}
		case []any:
			if one := e.objs(key); len(said) == 1 && len(one) == 1 {
				return one[0]
			}
		}
		return tree{}
	}
	switch {
	case e.in == nil:
		return nil
	case e.in.typ == "FamilyMemberHistory": // about somebody of the family
		return tree{}
	}
	return e.in.subject()
}

// find is the resource of the file that a reference names; nil if it is not here, or if
// there are several.
func (in *within) find(from *entered, reference string) *entered {
	reference, _, _ = strings.Cut(reference, "/_history/")
	if id, ok := strings.CutPrefix(reference, "#"); ok {
		c := from.containing()[id]
		if c == nil || id == "" {
			return nil
		}
		return from.contained(c)
	}
	if found := in.byURL[reference]; found != nil {
		return found
	}
	if found := in.byURL[from.base+reference]; found != nil && from.base != "" {
		return found
	}
	if named := in.byName[reference]; len(named) == 1 && (from.base == "" || named[0].base == "" || from.base == named[0].base) {
		return named[0] // on another server the same name is another's
	}
	return nil
}

// otherMeaning says why something may mean something else.
func otherMeaning(why []string) string { return "may mean something else: " + few(why, ", ") }

// refName is what a Reference says of whom it names, in words; "" if nothing.
func (in *within) refName(from *entered, ref tree) string { return in.nameOf(from, ref, true) }

func (in *within) nameOf(from *entered, ref tree, further bool) string {
	if s := ref.str("display"); s != "" {
		return s
	}
	found := in.find(from, ref.str("reference"))
	if found == nil {
		return ref.obj("identifier").str("value")
	}
	switch found.typ {
	case "Organization", "Location":
		return found.str("name")
	case "Device":
		return cmp.Or(found.deviceName(), found.concept("type").name)
	case "PractitionerRole":
		if !further { // it may lead to itself
			return ""
		}
		return cmp.Or(in.nameOf(found, found.obj("practitioner"), false), in.nameOf(found, found.obj("organization"), false))
	}
	return humanName(found.objs("name"))
}

// resource makes of one resource what it is in a view.
func (r *viewRead) resource(res *entered, in *within, whos *whos) {
	if res.typ == "Patient" {
		return // it is one of whos
	}
	it := &viewItem{from: r, may: res.may}
	it.Type = res.typ
	it.Copies = []ViewCopy{{Entry: res.entry, Type: res.typ, ID: res.str("id")}}
	subject := res.subject()
	read := res.reader()
	if read == nil && subject == nil { // such as an Organization: it is about nobody
		r.others = append(r.others, viewOther{nil, res.typ})
		return
	}
	it.who = whos.of(res, subject)
	if res.typ == "RelatedPerson" && !it.who.other {
		it.who.contact(in, res, res.tree)
		return
	}
	if read == nil || it.who.other {
		r.others = append(r.others, viewOther{it.who, res.typ})
		return
	}
	for _, id := range firstOf(res.objs("identifier")) {
		if s, v := id.str("system"), id.str("value"); s != "" && v != "" {
			it.ids = append(it.ids, s+"|"+v)
		}
	}
	for _, key := range []string{"note", "notes", "comment", "comments"} { // R4, and before
		it.Notes = append(it.Notes, res.strs(key)...)
		for _, n := range res.objs(key) {
			it.Notes = append(it.Notes, n.str("text"))
		}
	}
	it.Notes = slices.DeleteFunc(it.Notes, func(s string) bool { return s == "" })
	v := reading{res, in, it, r}
	for _, c := range v.places() {
		it.place += "\x00" + groupOf(c.name, c.codes)
	}
	it.at = strings.Join(namesOf(v.places()), ", ")
	read(v)
	if it.section == "" { // it spoke for a whole section
		return
	}
	v.detail(prefixed("at ", it.at))
	if res.in != nil {
		v.detail("within another entry")
	}
	for _, s := range slices.Concat(res.notDates(), res.obj("dispenseRequest").notDates()) {
		it.odd = true
		v.detail("dated \"" + s + "\", which is not understood")
	}
	if len(it.may) > 0 {
		it.Details = append([]string{otherMeaning(it.may)}, it.Details...)
	}
	if res.older {
		v.detail("an older version of another entry")
	}
	if cutShort(res.obj("meta")) {
		v.detail("cut short, says its source: not all of it is here")
	}
	for _, c := range it.Codes {
		if !c.unspecific() {
			it.codes = append(it.codes, c.System+"|"+c.Code)
		}
	}
	slices.Sort(it.codes)
	it.codes = slices.Compact(it.codes)
	slices.Sort(it.ids)
	it.ids = slices.Compact(it.ids)
	c := &it.Copies[0]
	c.Name, c.When = it.Name, it.When
	c.Status = strings.Join(slices.Concat(it.Status, it.Verification), ", ")
	r.items = append(r.items, it)
}
