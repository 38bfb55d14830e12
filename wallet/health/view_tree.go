package health

import (
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// tree is an object of JSON. Members are found by their exact names; one that is of another
// kind than it should be is not there. Other versions of FHIR have one where R4 has a list: one
// is a list of one.
type tree map[string]any

func (t tree) str(key string) string {
	s, _ := t[key].(string)
	return strings.TrimSpace(s)
}

func (t tree) obj(key string) tree {
	m, _ := t[key].(map[string]any)
	return m
}

func (t tree) list(key string) []any {
	switch v := t[key].(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

func (t tree) objs(key string) (out []tree) {
	for _, x := range t.list(key) {
		if m, ok := x.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func (t tree) strs(key string) (out []string) {
	for _, x := range t.list(key) {
		if s, ok := x.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func (t tree) num(key string) string {
	n, _ := t[key].(json.Number)
	return n.String()
}

// maxCodings is how many codings of one thing are looked at.
const maxCodings = 100

// unspecific reports whether a code says that something is, and not what: two things that
// have it in common may be anything. The codes of SNOMED CT are, in our own words: allergy;
// to a substance; a propensity to reactions, to a substance, to a medicine, to food; allergy
// to a medicine, to food, by the environment; intolerance; to food; to a medicine.
func (c ViewCode) unspecific() bool {
	switch c.System {
	case "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "http://hl7.org/fhir/v3/NullFlavor", "urn:oid:2.16.840.1.113883.5.1008",
		"http://terminology.hl7.org/CodeSystem/data-absent-reason", "http://hl7.org/fhir/data-absent-reason":
		return true
	case sysSNOMED:
		return slices.Contains([]string{"106190000", "419199007", "420134006", "418038007", "419511003", "418471000",
			"416098002", "414285001", "426232007", "782197009", "235719002", "59037007"}, c.Code)
	}
	return false
}

// thing reports whether a code, if it does not say that there is none, is of a system whose other
// codes are things. A clinic's own code beside "no known allergies" may mean just that.
func (c ViewCode) thing() bool {
	switch c.System {
	case sysSNOMED, sysRxNorm, "http://fdasis.nlm.nih.gov", "http://hl7.org/fhir/ndfrt", "http://hl7.org/fhir/sid/ndc", "http://www.whocc.no/atc",
		"http://hl7.org/fhir/sid/icd-10", "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-9-cm", "http://hl7.org/fhir/sid/cvx":
		return !c.unspecific()
	}
	return false
}

// codeable is a CodeableConcept.
type codeable struct {
	codes []ViewCode // with a system and a code
	name  string     // text, else a display, else a code; "" if it has none

	several bool // they stand in a list
}

// concept is a member that should be one CodeableConcept: of several all that they say.
func (t tree) concept(key string) (c codeable) {
	all := t.concepts(key)
	all = all[:min(len(all), maxCodings)]
	for _, x := range all {
		c.codes = append(c.codes, x.codes...)
	}
	c.name, c.several = strings.Join(listed(namesOf(all)), " / "), len(all) > 1
	return c
}

// concepts are those in a member; a text alone is what one is called.
func (t tree) concepts(key string) (out []codeable) {
	for _, x := range t.list(key) {
		switch x := x.(type) {
		case map[string]any:
			out = append(out, conceptOf(x))
		case string:
			out = append(out, codeable{name: strings.TrimSpace(x)})
		}
	}
	return out
}

// conceptOf reads a CodeableConcept, or the one of a CodeableReference of R5.
func conceptOf(t tree) (c codeable) {
	if within := t.obj("concept"); within != nil {
		t = within
	}
	c.name = t.str("text")
	var display, code string
	for i, x := range t.objs("coding") {
		if i == maxCodings {
			break
		}
		got := ViewCode{x.str("system"), x.str("code"), x.str("display")}
		if chosen, _ := x["userSelected"].(bool); display == "" || chosen && got.Display != "" {
			display = got.Display
		}
		code = cmp.Or(code, got.Code)
		if got.System != "" && got.Code != "" {
			c.codes = append(c.codes, got)
		}
	}
	c.name = cmp.Or(c.name, display, code)
	return c
}

func (c codeable) code() string {
	if len(c.codes) == 0 {
		return ""
	}
	return c.codes[0].Code
}

func namesOf(cs []codeable) (out []string) {
	for _, c := range cs {
		if c.name != "" {
			out = append(out, c.name)
		}
	}
	return out
}

// fhirDate is a date, dateTime or instant: http://hl7.org/fhir/R4/datatypes.html#dateTime.
var fhirDate = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?)?)?$`)
})

// date is a member that should hold one; "" if it does not, or if the calendar has no such day.
func (t tree) date(key string) string {
	s := t.str(key)
	if !fhirDate().MatchString(s) {
		return ""
	}
	if _, err := time.Parse("2006-01-02"[:min(len(s), 10)], s[:min(len(s), 10)]); err != nil {
		return ""
	}
	return s
}

// notDates are the texts in members of an object that should be dates and are none.
func (t tree) notDates() (out []string) {
	for _, key := range slices.Sorted(maps.Keys(t)) {
		_, known := datesAt()[key]
		switch {
		case key == "start" || key == "end":
		case strings.HasSuffix(key, "Period"):
			out = append(out, t.obj(key).notDates()...)
			continue
		case !known && !strings.HasSuffix(key, "DateTime"):
			continue
		}
		if s := cmp.Or(t.str(key), t.num(key)); s != "" && t.date(key) == "" {
			out = append(out, s)
		}
	}
	return out
}

// span is the beginning and the end of what FHIR names key[x]: a dateTime, an instant, a
// date or a Period. said is what stands there in other words, such as an age.
func (t tree) span(key string) (begin, end, said string) {
	p := t.obj(key + "Period")
	begin = cmp.Or(t.date(key+"DateTime"), t.date(key+"Instant"), t.date(key+"Date"), p.date("start"))
	if age := t.obj(key + "Age"); age != nil {
		said = strings.TrimSpace("at age " + age.num("value") + " " + cmp.Or(age.str("unit"), age.str("code")))
	} else if s := amountText(t.obj(key + "Range")); s != "" {
		said = "at age " + s
	}
	return begin, p.date("end"), cmp.Or(t.str(key+"String"), said)
}

// humanName is the name to show of several HumanNames.
func humanName(names []tree) string {
	best, rank := "", 99
	for _, n := range names {
		s := cmp.Or(n.str("text"), strings.Join(slices.DeleteFunc(append(n.strs("given"), n.strs("family")...), func(s string) bool { return s == "" }), " "))
		at := slices.Index([]string{"official", "usual", "", "temp", "nickname", "anonymous", "old", "maiden"}, n.str("use"))
		if at < 0 {
			at = 98
		}
		if s != "" && at < rank {
			best, rank = s, at
		}
	}
	return best
}

// span sets when it was.
func (v reading) span(key string) {
	var said string
	v.item.When, v.item.End, said = v.entered.span(key)
	if said != "" {
		v.detail(said)
	}
}

// word is a code of FHIR's own, in a CodeableConcept of R4 or by itself as before that. Which
// of several codings is the one is not known: wanted is preferred.
func (t tree) word(key string, wanted ...string) string {
	c := t.concept(key)
	for _, x := range t.obj(key).objs("coding") {
		if slices.Contains(wanted, x.str("code")) {
			return x.str("code")
		}
	}
	name := cmp.Or(t.str(key), c.name)
	if plain := strings.ReplaceAll(strings.ToLower(name), " ", "-"); slices.Contains(wanted, plain) {
		return plain
	}
	if code := c.code(); code != "" && strings.Trim(code, "0123456789") == "" && name != "" {
		return strings.ToLower(name) // a number says nothing to who reads it
	}
	return cmp.Or(c.code(), name)
}

// pointOf is a date with a time as one point; ok is false for anything coarser.
func pointOf(s string) (t time.Time, ok bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil
}
