package health

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet/payload"
)

// cutOf splits a bundle of these entries.
func cutOf(t testing.TB, entries ...string) *Cut {
	t.Helper()
	c, err := Split([]byte(bundleOf(entries...)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// labelled labels a bundle of these resources by the program's own tables.
func labelled(t testing.TB, resources ...string) []Label {
	t.Helper()
	entries := make([]string, len(resources))
	for i, r := range resources {
		entries[i] = `{"resource":` + r + `}`
	}
	return BuiltIn().Label(cutOf(t, entries...), nil)
}

func said(l *Label) string {
	words := []string{}
	for _, s := range l.Sensitive {
		words = append(words, string(s))
	}
	return strings.Join(append(words, l.Unclassified...), ", ")
}

func coded(system, code, display string) string {
	return fmt.Sprintf(`{"coding":[{"system":%q,"code":%q,"display":%q}]}`, system, code, display)
}

const (
	icd    = "http://hl7.org/fhir/sid/icd-10-cm"
	snomed = "http://snomed.info/sct"
	rxnorm = "http://www.nlm.nih.gov/research/umls/rxnorm"
)

// What a part costs to read is bounded by its length no longer where each value is small: it
// is not read then, and held back, and nothing that reads it takes it for harmless.
func TestPartOfManyValues(t *testing.T) {
	patient := `{"resourceType":"Patient","id":"p"}`
	of := func(n int) string {
		return `{"resourceType":"Observation","status":"final","subject":{"reference":"Patient/p"},"x":[` + strings.Repeat("{},", n) + `{}]}`
	}
	const others = 7 // values: the entry, its resource, five strings, objects and arrays, the last {}
	for n, want := range map[int]bool{maxValues - others - 1: true, maxValues - others: false} {
		c := cutOf(t, `{"resource":`+patient+`}`, `{"resource":`+of(n)+`}`)
		l := BuiltIn().Label(c, nil)
		if read := !slices.Contains(l[1].Unclassified, "not to be read"); read != want || len(l[1].Unclassified) == 0 {
			t.Errorf("%d small values: %+v", n, l[1])
		}
		if got := c.Naming([]int{1}); got != 1 {
			t.Errorf("%d small values: %d parts say whose they are", n, got)
		}
		if _, _, err := c.Parts[1].decode(); (err == nil) != want || err != nil && !errors.Is(err, ErrNotSplit) {
			t.Errorf("%d small values: %v", n, err)
		}
	}
	c := cutOf(t, `{"resource":{"resourceType":"Observation","text":[`+strings.Repeat("1,", maxValues)+`"HIV"],"status":"final"}}`)
	if l := BuiltIn().Label(c, nil); l[1].Category != Documents || !slices.Contains(l[1].Unclassified, "not to be read") {
		t.Errorf("a narrative: %+v", l[1])
	}
}

// What one resource says of itself. It must not matter where in it a fact stands.
func TestLabelFacts(t *testing.T) {
	plainCode := `"code":` + coded("http://loinc.org", "718-7", "Hemoglobin")
	observation := func(more string) string { return `{"resourceType":"Observation",` + plainCode + more + `}` }
	for name, c := range map[string]struct{ resource, want string }{
		"nothing":                     {observation(``), ""},
		"a code":                      {`{"resourceType":"Condition","code":` + coded(icd, "F20.0", "x") + `}`, "mental-health"},
		"a code without dots":         {`{"resourceType":"Condition","code":` + coded(icd, "f200", "x") + `}`, "mental-health"},
		"a code of two kinds":         {`{"resourceType":"Condition","code":` + coded(icd, "O98.711", "x") + `}`, "reproductive, hiv"},
		"an address in other clothes": {`{"resourceType":"Condition","code":` + coded("https://snomed.info/sct/|2024", "86406008", "x") + `}`, "hiv"},
		"an edition of SNOMED CT":     {`{"resourceType":"Condition","code":` + coded("http://snomed.info/sct/731000124108", "86406008", "x") + `}`, "hiv"},
		"a number for an address":     {`{"resourceType":"Condition","code":` + coded("urn:oid:2.16.840.1.113883.6.96", "86406008", "x") + `}`, "hiv"},
		"an expression":               {`{"resourceType":"Condition","code":` + coded(snomed, "243796009:246090004=86406008", "x") + `}`, "hiv, not a code of snomed"},
		"the second coding":           {`{"resourceType":"Condition","code":{"coding":[{"system":"` + icd + `","code":"J45","display":"Asthma"},{"system":"` + icd + `","code":"F11.2"}]}}`, "substance-use"},
		"a medicine by its name":      {`{"resourceType":"MedicationRequest","medicationCodeableConcept":` + coded(rxnorm, "310384", "FLUoxetine 10 MG Oral Capsule") + `}`, "mental-health"},
		"a medicine by its code":      {`{"resourceType":"MedicationRequest","medicationCodeableConcept":` + coded(rxnorm, "6813", "x") + `}`, "substance-use"},
		"a medicine without a name":   {`{"resourceType":"MedicationRequest","medicationCodeableConcept":{"coding":[{"system":"` + rxnorm + `","code":"310384"}]}}`, "rxnorm code without a name"},
		"a word in the text":          {`{"resourceType":"Condition","code":{"coding":[{"system":"` + icd + `","code":"Z00"}],"text":"HIV-1"}}`, "hiv"},
		"a word in a unit":            {observation(`,"valueQuantity":{"value":3,"unit":"alcoholic drinks per day"}`), "substance-use"},
		"a word in an id":             {observation(`,"id":"hivClinic-7"`), "hiv"},
		"a word in a reference":       {observation(`,"performer":[{"reference":"Organization/methadone-clinic"}]`), "substance-use"},
		"a word in an extension":      {observation(`,"extension":[{"url":"http://hl7.org/fhir/x/psychiatric-flag","valueBoolean":true}]`), "mental-health"},
		"a word in a tag":             {observation(`,"meta":{"tag":[{"system":"https://smarthealthit.org/tags","code":"sickle-cell-study"}]}`), "sickle-cell"},
		"a word in the profile":       {observation(`,"meta":{"profile":["http://example.org/genetic-finding"]}`), "genetic"},
		"a word in an escape":         {observation(`,"id":"\u0068iv"`), "hiv"},
		"no word":                     {observation(`,"id":"archives-beehive"`), ""},
		"a label of HL7":              {observation(`,"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"SDV"}]}`), "violence"},
		"restricted":                  {observation(`,"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]}`), "marked as restricted"},
		"a code in contained":         {observation(`,"contained":[{"resourceType":"Practitioner","id":"a","qualification":[{"code":` + coded(snomed, "394587001", "x") + `}]}]`), "mental-health"},
		"another kind in contained":   {observation(`,"contained":[{"resourceType":"Condition","id":"a","code":` + coded(icd, "J45", "Asthma") + `}]`), "contained Condition"},
		"a code in an extension":      {observation(`,"extension":[{"url":"http://hl7.org/fhir/x","valueCodeableConcept":` + coded(icd, "Z21", "x") + `}]`), "hiv"},
		"a code under an odd key":     {observation(`,"Kode":{"coding":[{"system":"` + icd + `","code":"F20.0"}]}`), "mental-health"},
		"a key in another case":       {`{"resourceType":"Condition","Code":{"coding":[{"system":"` + icd + `","code":"F20.0"}]}}`, "mental-health, no code"},
		"a Coding of its own":         {`{"resourceType":"Encounter","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"PSYCH"}}`, "mental-health"},
		"unknown system":              {observation(`,"method":` + coded("http://x.example/m", "1", "by hand")), "code system http://x.example/m"},
		"no system":                   {observation(`,"method":{"coding":[{"code":"F20.0"}]}`), "code without a system"},
		"a unit without a system":     {observation(`,"valueQuantity":{"value":3,"code":"mg"}`), ""},
		"none of its codes":           {observation(`,"method":` + coded("http://loinc.org", "local-7", "by hand")), "not a code of loinc"},
		"a list without a table":      {`{"resourceType":"MedicationRequest","medicationCodeableConcept":` + coded("http://hl7.org/fhir/sid/ndc", "0093-7198", "a pill") + `}`, "code system http://hl7.org/fhir/sid/ndc"},
		"a concept without a code":    {observation(`,"method":{"text":"by hand"}`), "no code"},
		"a coding without a code":     {observation(`,"method":{"coding":[{"display":"by hand"}]}`), "no code"},
		"no member that says it":      {`{"resourceType":"Condition","severity":` + coded(snomed, "6736007", "Moderate") + `}`, "no code"},
		"an empty one":                {`{"resourceType":"Condition","code":{}}`, "no code"},
		"a name of a clinic":          {`{"resourceType":"Location","type":[{"text":"Ward 7"}],"name":"Ward 7"}`, ""},
		"a note":                      {observation(`,"note":[{"text":"feels well"}]`), "free text"},
		"a string":                    {observation(`,"valueString":"positive"`), "free text"},
		"an unknown member":           {observation(`,"remark":"fine"`), "free text"},
		"a date with prose in it":     {observation(`,"effectiveDateTime":"after the party"`), "free text"},
		"an extension":                {observation(`,"extension":[{"url":"http://x.example/e","valueInteger":7}]`), "extension http://x.example/e"},
		"one within a known one":      {`{"resourceType":"Patient","extension":[{"url":"http://hl7.org/fhir/us/core/StructureDefinition/us-core-race","extension":[{"url":"text","valueString":"Other"}]}]}`, ""},
		"one that changes the rest":   {observation(`,"modifierExtension":[{"url":"http://hl7.org/fhir/x","valueBoolean":true}]`), "modifier extension"},
		"other rules":                 {observation(`,"implicitRules":"http://x.example/rules"`), "implicit rules"},
		"an attachment":               {`{"resourceType":"DiagnosticReport","code":` + coded("http://loinc.org", "58410-2", "CBC") + `,"presentedForm":[{"contentType":"application/pdf","data":"aGl2"}]}`, "attachment"},
		"an attachment elsewhere":     {`{"resourceType":"Media","content":{"contentType":"image/png","url":"http://x.example/1"}}`, "attachment"},
		"a photo":                     {`{"resourceType":"Patient","photo":[{"url":"http://x.example/1"}]}`, "attachment"},
		"a name of nothing here":      {observation(`,"basedOn":[{"display":"order of last week"}]`), "free text"},
		"a name of somebody":          {observation(`,"performer":[{"display":"Dr Smith"}]`), ""},
		"a medicine not here":         {`{"resourceType":"MedicationRequest","medicationReference":{"reference":"Medication/1","display":"a pill"}}`, "no code"},
		"a resource within":           {`{"resourceType":"Parameters","parameter":[{"name":"x","resource":{"resourceType":"Condition","code":` + coded(icd, "F20", "x") + `}}]}`, "mental-health, contained Condition"},
		"a document":                  {`{"resourceType":"DocumentReference","content":[{"attachment":{"contentType":"text/plain","data":"aGl2"}}],"description":"a letter"}`, ""},
		"a document with a word":      {`{"resourceType":"DocumentReference","description":"psychiatric report"}`, "mental-health"},
	} {
		if got := said(&labelled(t, c.resource)[0]); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A key that stands twice, if only in another case, is no way to hide a code from the one
// reader and show it to another.
func TestLabelKeyTwice(t *testing.T) {
	hidden := `{"resourceType":"Condition","code":` + coded(icd, "F20.0", "") + `,"CODE":` + coded(icd, "Z00.0", "") + `}`
	if _, err := Split([]byte(bundleOf(`{"resource":` + hidden + `}`))); err == nil {
		t.Error("a key in two cases was split")
	}
}

// Every reference to what is sensitive says something of it.
func TestLabelInherits(t *testing.T) {
	const target = `{"fullUrl":"urn:uuid:5d1a","resource":{"resourceType":"Condition","id":"c1","identifier":[{"system":"http://x.example/ids","value":"77"}],"code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"F20.0"}]}}}`
	code := `"code":` + coded("http://loinc.org", "718-7", "Hemoglobin")
	ways := map[string]string{
		"relative":     `"reference":"Condition/c1"`,
		"version":      `"reference":"Condition/c1/_history/3"`,
		"absolute":     `"reference":"https://x.example/fhir/Condition/c1"`,
		"fullUrl":      `"reference":"urn:uuid:5d1a"`,
		"in capitals":  `"reference":"URN:UUID:5D1A"`,
		"by the id":    `"reference":"urn:uuid:c1"`,
		"an id alone":  `"reference":"c1"`,
		"with a piece": `"reference":"Condition/c1#x"`,
		"a search":     `"reference":"Condition?identifier=http://x.example/ids%7C77"`,
		"identifier":   `"identifier":{"system":"http://x.example/ids","value":"77"}`,
	}
	check := func(name, pointer string, want bool) {
		t.Helper()
		labels := BuiltIn().Label(cutOf(t, `{"resource":`+pointer+`}`, target), nil)
		if got := slices.Contains(labels[0].Sensitive, MentalHealth); got != want {
			t.Errorf("%s: %v, want %v (%s)", name, got, want, said(&labels[0]))
		} else if got && labels[0].Why[0].Table != "points to part 2" {
			t.Errorf("%s: why: %+v", name, labels[0].Why)
		}
	}
	for name, way := range ways {
		check(name, `{"resourceType":"Observation",`+code+`,"focus":[{`+way+`}]}`, true)
	}
	for _, member := range []string{"encounter", "basedOn", "partOf", "context", "addresses", "supportingInfo", "derivedFrom", "reasonReference", "focus", "hasMember", "result", "subject", "patient", "performer", "serviceProvider", "target", "entry"} {
		check(member, `{"resourceType":"Observation",`+code+`,"`+member+`":{"reference":"Condition/c1"}}`, true)
	}
	for name, rest := range map[string]string{
		"diagnosis":     `"diagnosis":[{"diagnosisReference":{"reference":"Condition/c1"}}]`,
		"evidence":      `"evidence":[{"detail":[{"reference":"Condition/c1"}]}]`,
		"an extension":  `"extension":[{"url":"http://hl7.org/fhir/x","valueReference":{"reference":"Condition/c1"}}]`,
		"an address":    `"extension":[{"url":"http://hl7.org/fhir/x","valueUri":"urn:uuid:5d1a"}]`,
		"an attachment": `"content":{"contentType":"x/y","url":"Condition/c1"}`,
		"contained":     `"contained":[{"resourceType":"Provenance","target":[{"reference":"Condition/c1"}]}]`,
	} {
		check(name, `{"resourceType":"Observation",`+code+`,`+rest+`}`, true)
	}
	check("another one", `{"resourceType":"Observation",`+code+`,"focus":[{"reference":"Condition/c2"}]}`, false)
	check("another type", `{"resourceType":"Observation",`+code+`,"focus":[{"reference":"Procedure/c1"}]}`, false)
}

// Whose it is says nothing. Where and by whom it was says what these are, and not all that
// happened there: else one sensitive thing would take along everything of its day.
func TestLabelInheritsOwn(t *testing.T) {
	code := `"code":` + coded("http://loinc.org", "718-7", "Hemoglobin")
	f20 := `{"resourceType":"Condition","id":"c1","code":` + coded(icd, "F20.0", "") + `}`
	for name, c := range map[string]struct {
		target, member string
		want           bool
	}{
		"of a patient":              {`{"resourceType":"Patient","id":"t","contact":[{"name":{"text":"psychiatrist"}}]}`, `"subject":{"reference":"Patient/t"}`, false},
		"of a group":                {`{"resourceType":"Group","id":"t","name":"HIV study"}`, `"subject":{"reference":"Group/t"}`, true},
		"in a visit":                {`{"resourceType":"Encounter","id":"t","diagnosis":[{"condition":{"reference":"Condition/c1"}}]}`, `"encounter":{"reference":"Encounter/t"}`, false},
		"in a psychiatric visit":    {`{"resourceType":"Encounter","id":"t","reasonCode":[` + coded(icd, "F20.0", "") + `]}`, `"encounter":{"reference":"Encounter/t"}`, true},
		"at a clinic":               {`{"resourceType":"Organization","id":"t","name":"City hospital","partOf":{"reference":"Organization/u"}}`, `"performer":[{"reference":"Organization/t"}]`, false},
		"at a methadone clinic":     {`{"resourceType":"Organization","id":"t","name":"Methadone clinic"}`, `"performer":[{"reference":"Organization/t"}]`, true},
		"by a psychiatrist":         {`{"resourceType":"PractitionerRole","id":"t","specialty":[` + coded(snomed, "394587001", "") + `]}`, `"performer":[{"reference":"PractitionerRole/t"}]`, true},
		"under a name that is none": {`{"resourceType":"Encounter","id":"t"}`, `"basedOn":[{"reference":"Encounter/t"}]`, false},
	} {
		labels := labelled(t, `{"resourceType":"Observation",`+code+`,`+c.member+`}`, c.target, f20)
		if got := len(labels[0].Sensitive) > 0; got != c.want {
			t.Errorf("%s: %v, want %v: %s", name, got, c.want, said(&labels[0]))
		}
	}
	labels := labelled(t, f20, `{"resourceType":"Encounter","id":"t","diagnosis":[{"condition":{"reference":"Condition/c1"}}]}`)
	if said(&labels[1]) != "mental-health" {
		t.Errorf("the visit itself: %s", said(&labels[1]))
	}
}

func observe(id string, to ...string) string {
	refs := []string{}
	for _, r := range to {
		refs = append(refs, `{"reference":"`+r+`"}`)
	}
	return `{"resourceType":"Observation","id":"` + id + `","code":` + coded("http://loinc.org", "718-7", "Hemoglobin") + `,"hasMember":[` + strings.Join(refs, ",") + `]}`
}

func TestLabelChains(t *testing.T) {
	f20 := `{"resourceType":"Condition","id":"c1","code":` + coded(icd, "F20.0", "") + `}`
	labels := labelled(t, observe("1", "Observation/2"), observe("2", "Observation/3"), observe("3", "Observation/1", "Observation/3", "Observation/4"), observe("4", "Condition/c1"), f20, observe("5", "Observation/6"), observe("6", "Observation/5"))
	for i, want := range []string{"mental-health", "mental-health", "mental-health", "mental-health", "mental-health", "", ""} {
		if got := said(&labels[i]); got != want {
			t.Errorf("part %d: %q, want %q", i+1, got, want)
		}
	}
}

// A narrative says what its resource says, and what is written in it.
func TestLabelNarrative(t *testing.T) {
	labels := labelled(t,
		`{"resourceType":"Condition","text":{"status":"generated","div":"<div>seen twice</div>"},"recordedDate":"2024-05","code":`+coded(icd, "F20.0", "")+`}`,
		`{"resourceType":"Condition","code":`+coded("http://x.example", "J45", "Asthma")+`,"text":{"status":"generated","div":"<div>Asthma, HIV</div>"}}`,
		observe("1", "Condition/x"))
	for i, want := range []string{"mental-health", "mental-health", "code system http://x.example", "hiv, code system http://x.example", ""} {
		if got := said(&labels[i]); got != want {
			t.Errorf("part %d: %q, want %q", i+1, got, want)
		}
	}
	if l := labels[1]; l.Category != Documents || l.Date != "2024-05" || l.Type != "Condition" {
		t.Errorf("%+v", l)
	}
}

// What the owner said to a newer carekey, and this one has no word for, is held back.
func TestLabelCorrectionsOfNewer(t *testing.T) {
	c := cutOf(t, `{"resource":{"resourceType":"Observation","status":"final","code":`+coded("http://loinc.org", "8867-4", "Heart rate")+`,"valueInteger":70}}`)
	if l := BuiltIn().Label(c, nil); len(l[0].Unclassified)+len(l[0].Sensitive) > 0 {
		t.Fatalf("%+v", l)
	}
	for _, fix := range []Correction{{Add: []Sensitivity{"gambling"}}, {Category: "dreams"}, {Add: []Sensitivity{"gambling"}, Drop: []Sensitivity{Unclassified, HIV}}} {
		l := BuiltIn().Label(c, func(crypto.Hash) (Correction, bool) { return fix, true })
		if goes, why := (&Selection{}).Judge(&l[0]); goes || why != WhyUnclassified {
			t.Errorf("%+v: %t, %q", fix, goes, why)
		}
	}
}

// Threat: a Bundle says that all in it is meant otherwise than it reads. A part does not take that
// along, and so is given to nobody, whatever is named; what a resource says of itself it takes along.
func TestLabelRulesOfAll(t *testing.T) {
	heart := `{"resourceType":"Observation","status":"final","code":` + coded("http://loinc.org", "8867-4", "Heart rate") + `,"valueInteger":70%s}`
	rules := `,"implicitRules":"http://x.example/in-months"`
	for file, want := range map[string]string{
		`{"resourceType":"Bundle","entry":[{"resource":` + fmt.Sprintf(heart, "") + `}]` + rules + `}`: WhyRules,
		`{"resourceType":"Bundle","entry":[{"resource":` + fmt.Sprintf(heart, rules) + `}]}`:           "",
	} {
		c, err := Split([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		l := BuiltIn().Label(c, nil)
		all := Selection{With: []string{string(Unclassified), string(Documents)}}
		if goes, why := all.Judge(&l[0]); goes != (want == "") || why != want || len(l[0].Unclassified) != 1 {
			t.Errorf("%s: %t, %q, %+v", file, goes, why, l[0])
		}
		if goes, _ := (&Selection{Whole: true}).Judge(&l[0]); !goes {
			t.Errorf("%s: not even whole", file)
		}
	}
}

// What the owner says comes before what is taken over, and holds for that too.
func TestLabelCorrections(t *testing.T) {
	c := cutOf(t, `{"resource":`+observe("1", "Observation/2")+`}`, `{"resource":`+observe("2", "Condition/c1")+`}`,
		`{"resource":{"resourceType":"Condition","id":"c1","code":`+coded(icd, "F20.0", "")+`}}`,
		`{"resource":{"resourceType":"Condition","id":"c2","text":{"div":"<div>x</div>"},"code":`+coded("http://x.example", "1", "x")+`}}`)
	for name, f := range map[string]struct {
		part int
		fix  Correction
		want string
	}{
		"nothing":          {0, Correction{}, "mental-health | mental-health | mental-health | code system http://x.example | code system http://x.example"},
		"drop below":       {2, Correction{Drop: []Sensitivity{MentalHealth}}, " |  |  | code system http://x.example | code system http://x.example"},
		"drop between":     {1, Correction{Drop: []Sensitivity{MentalHealth}}, " |  | mental-health | code system http://x.example | code system http://x.example"},
		"drop on top":      {0, Correction{Drop: []Sensitivity{MentalHealth}}, " | mental-health | mental-health | code system http://x.example | code system http://x.example"},
		"drop another":     {2, Correction{Drop: []Sensitivity{HIV}}, "mental-health | mental-health | mental-health | code system http://x.example | code system http://x.example"},
		"add":              {2, Correction{Add: []Sensitivity{HIV}}, "mental-health, hiv | mental-health, hiv | mental-health, hiv | code system http://x.example | code system http://x.example"},
		"understood":       {3, Correction{Drop: []Sensitivity{Unclassified}}, "mental-health | mental-health | mental-health |  | "},
		"not understood":   {0, Correction{Add: []Sensitivity{Unclassified}}, "mental-health, yours | mental-health | mental-health | code system http://x.example | code system http://x.example"},
		"to a narrative":   {3, Correction{Add: []Sensitivity{Violence}}, "mental-health | mental-health | mental-health | violence, code system http://x.example | violence, code system http://x.example"},
		"of a narrative":   {4, Correction{Drop: []Sensitivity{Unclassified}}, "mental-health | mental-health | mental-health | code system http://x.example | "},
		"drop wins an add": {0, Correction{Add: []Sensitivity{HIV}, Drop: []Sensitivity{HIV}}, "mental-health | mental-health | mental-health | code system http://x.example | code system http://x.example"},
	} {
		sum := c.Parts[f.part].Sum()
		labels := BuiltIn().Label(c, func(s crypto.Hash) (Correction, bool) { return f.fix, s == sum })
		got := []string{}
		for i := range labels {
			got = append(got, said(&labels[i]))
		}
		if g := strings.Join(got, " | "); g != f.want {
			t.Errorf("%s: %q, want %q", name, g, f.want)
		}
	}
	sum := c.Parts[0].Sum()
	labels := BuiltIn().Label(c, func(s crypto.Hash) (Correction, bool) { return Correction{Category: "labs"}, s == sum })
	if l := labels[0]; l.Category != "labs" || l.Why[0] != (Reason{"labs", "category", "yours"}) {
		t.Errorf("%+v", l)
	}
}

func TestLabelCategory(t *testing.T) {
	category := func(codes ...string) string {
		all := []string{}
		for _, c := range codes {
			all = append(all, coded("http://terminology.hl7.org/CodeSystem/observation-category", c, c))
		}
		return `{"resourceType":"Observation","category":[` + strings.Join(all, ",") + `]}`
	}
	for resource, want := range map[string]payload.Category{
		category("laboratory"):                "labs",
		category("vital-signs"):               "vitals",
		category("survey", "vital-signs"):     "vitals",
		category("laboratory", "vital-signs"): "other",
		category("social-history"):            "other",
		category():                            "other",
		`{"resourceType":"Observation","category":[` + coded("http://x.example", "laboratory", "") + `]}`: "other",
		`{"resourceType":"DiagnosticReport"}`:    "labs",
		`{"resourceType":"AllergyIntolerance"}`:  "allergies",
		`{"resourceType":"MedicationStatement"}`: "medications",
		`{"resourceType":"Condition"}`:           "problems",
		`{"resourceType":"Immunization"}`:        "immunizations",
		`{"resourceType":"List"}`:                "documents",
		`{"resourceType":"Provenance"}`:          "documents",
		`{"resourceType":"Media"}`:               "images",
		`{"resourceType":"Claim"}`:               "claims",
		`{"resourceType":"Device"}`:              "devices",
		`{"resourceType":"DeviceUseStatement"}`:  "devices",
		`{"resourceType":"Patient"}`:             "demographics",
		`{"resourceType":"RelatedPerson"}`:       "demographics",
		`{"resourceType":"Nonsense"}`:            "other",
	} {
		if got := labelled(t, strings.TrimSuffix(resource, "}")+`,"id":"1"}`)[0].Category; got != want {
			t.Errorf("%s: %s, want %s", resource, got, want)
		}
	}
}

func TestLabelDate(t *testing.T) {
	for members, want := range map[string]string{
		`"effectiveDateTime":"2024-03-01T23:30:00-05:00"`:               "2024-03-01",
		`"effectiveDateTime":"2024"`:                                    "2024",
		`"issued":"2024-03-02T10:00:00Z","effectiveDateTime":"2024-02"`: "2024-02",
		`"effectivePeriod":{"start":"2023-01-05","end":"2024-01-05"}`:   "2023-01-05",
		`"effectivePeriod":{"end":"2024-01-05"},"issued":"2024-01-05"`:  "",
		`"effectiveDateTime":"2024-13-01"`:                              "",
		`"effectiveDateTime":"soon"`:                                    "",
		`"id":"1"`:                                                      "",
	} {
		if got := labelled(t, `{"resourceType":"Observation",`+members+`}`)[0].Date; got != want {
			t.Errorf("%s: %q, want %q", members, got, want)
		}
	}
}

// mixed is a bundle in which much points to much.
func mixed(r *rand.Rand, n int) []string {
	var entries []string
	for i := range n {
		body := ""
		switch r.IntN(6) {
		case 0:
			body = `{"resourceType":"Condition","id":"%d","code":` + coded(icd, []string{"F20.0", "Z21", "J45", "O80", "T74"}[r.IntN(5)], "") + `%s}`
		case 1:
			body = `{"resourceType":"Encounter","id":"%d","status":"finished"%s}`
		case 2:
			body = `{"resourceType":"Organization","id":"%d","name":"` + []string{"City", "Methadone clinic"}[r.IntN(2)] + `"%s}`
		default:
			body = `{"resourceType":"Observation","id":"%d","code":` + coded("http://loinc.org", "718-7", "Hemoglobin") + `%s}`
		}
		refs := []string{}
		for range r.IntN(4) {
			to := r.IntN(n)
			refs = append(refs, fmt.Sprintf(`{"reference":"%s/%d"}`, []string{"Condition", "Encounter", "Observation", "Organization"}[r.IntN(4)], to))
		}
		entries = append(entries, fmt.Sprintf(`{"fullUrl":"urn:uuid:%d","resource":`+body+`}`, i, i, `,"focus":[`+strings.Join(refs, ",")+`]`))
	}
	return entries
}

// Labels do not depend on the order of the entries.
func TestLabelOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		entries := mixed(r, 2+r.IntN(40))
		want := map[string]Label{}
		for round := range 4 {
			c := cutOf(t, entries...)
			for i, l := range BuiltIn().Label(c, nil) {
				for w := range l.Why {
					if strings.HasPrefix(l.Why[w].Table, "points to part ") {
						l.Why[w] = Reason{Of: l.Why[w].Of}
					}
				}
				body := string(c.Parts[i].Append(nil))
				if round == 0 {
					want[body] = l
				} else if !reflect.DeepEqual(l, want[body]) {
					t.Fatalf("%s:\n%+v\nin another order:\n%+v", body, want[body], l)
				}
			}
			r.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		}
	}
}

// A label is what a slow and simple program makes of the same facts.
func TestLabelLeast(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		c := cutOf(t, mixed(r, 2+r.IntN(30))...)
		labels := BuiltIn().Label(c, nil)
		own := make([]uint16, len(labels)) // by each entry alone
		points := make([]map[int]bool, len(labels))
		for i := range c.Parts {
			own[i] = bitsOf(BuiltIn().Label(&Cut{Form: FormBundle, Parts: c.Parts[i : i+1]}, nil)[0].Sensitive)
			points[i] = map[int]bool{}
			for j := range c.Parts {
				_, res, _ := c.Parts[j].decode()
				points[i][j] = i != j && bytes.Contains(c.Parts[i].Append(nil), []byte(`"`+c.Parts[j].Type+"/"+str(res, "id")+`"`))
			}
		}
		held := slices.Clone(own)
		for again := true; again; {
			again = false
			for i := range held {
				now := held[i]
				for j := range held {
					switch {
					case !points[i][j]:
					case c.Parts[j].Type == "Encounter" || c.Parts[j].Type == "Organization":
						now |= own[j]
					default:
						now |= held[j]
					}
				}
				again = again || now != held[i]
				held[i] = now
			}
		}
		for i := range labels {
			if got := bitsOf(labels[i].Sensitive); got != held[i] {
				t.Fatalf("part %d: %b, want %b", i+1, got, held[i])
			}
		}
	}
}

// A file in which all have one address and point to it is no more work than another.
func TestLabelOneAddress(t *testing.T) {
	entries := make([]string, 20000)
	for i := range entries {
		entries[i] = `{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Observation","focus":[{"reference":"urn:uuid:1"}]}}`
	}
	entries[777] = `{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Condition","code":` + coded(icd, "F20", "") + `}}`
	labels := BuiltIn().Label(cutOf(t, entries...), nil)
	for _, i := range []int{0, 776, 19999} {
		if len(labels[i].Sensitive) != 1 {
			t.Fatalf("part %d: %s", i+1, said(&labels[i]))
		}
	}
}

// Records that others published: how much of each is held back. Nothing of them is kept here but
// these numbers.
func TestLabelPublished(t *testing.T) {
	data := os.Getenv("CAREKEY_TESTDATA")
	if data == "" {
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatal("CAREKEY_TESTDATA is not set")
		}
		t.Skip("CAREKEY_TESTDATA is not set: the folder with data/fhir is not here")
	}
	for name, want := range map[string][3]int{ // resources, sensitive, unclassified
		"synthea/Elsa_Vargas*":                 {230, 38, 0},
		"synthea/Asa_Hermiston*":               {175, 0, 0},
		"synthea/Hassan_Jacobi*":               {138, 0, 0},
		"ips/AT_ELGA_GmbH_01.json":             {180, 0, 37},
		"ips/IPS-IG_Bundle-bundle*":            {42, 3, 11},
		"ips/IPS_IG-bundle-01.json":            {20, 0, 9},
		"ips/US_MEDITECH_ips_1.json":           {60, 0, 48},
		"maria/maria-gravitate_CA-VeroSource*": {25, 0, 14},
		"maria/maria-gravitate_DK.json":        {13, 0, 6},
		"maria/maria-gravitate_US-WA.json":     {28, 0, 17},
	} {
		found, _ := filepath.Glob(filepath.Join(data, "data", "fhir", name))
		if len(found) != 1 {
			t.Errorf("%s: %d files", name, len(found))
			continue
		}
		file, err := os.ReadFile(found[0])
		if err != nil {
			t.Fatal(err)
		}
		c, err := Split(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got [3]int
		for i, l := range BuiltIn().Label(c, nil) {
			if c.Parts[i].Text {
				continue
			}
			got[0]++
			if len(l.Sensitive) > 0 {
				got[1]++
			}
			if len(l.Unclassified) > 0 {
				got[2]++
			}
		}
		if got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// Whatever is split can be labelled, and always alike, though maps are walked in another order each
// time.
func FuzzLabel(f *testing.F) {
	for _, resource := range []string{
		observe("1", "Observation/1"),
		`{"resourceType":"Condition","contained":[{"resourceType":"Medication","id":"a"}],"code":` + coded(snomed, "1:86406008", "") + `,"note":[{"text":"HIV"}]}`,
		`{"resourceType":"MedicationRequest","medicationReference":{"reference":"#a"},"extension":[{"url":"x","valueString":"y"}],"text":{"div":"HIV"}}`,
	} {
		f.Add([]byte(bundleOf(`{"fullUrl":"urn:uuid:1","resource":` + resource + `}`)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Split(data)
		if err != nil {
			return
		}
		labels := BuiltIn().Label(c, nil)
		if len(labels) != len(c.Parts) || !reflect.DeepEqual(labels, BuiltIn().Label(c, nil)) {
			t.Fatal("labelled in two ways")
		}
		for i := range labels {
			if !labels[i].Category.Valid() {
				t.Errorf("part %d: category %q", i+1, labels[i].Category)
			}
			for _, s := range labels[i].Sensitive {
				if !slices.ContainsFunc(labels[i].Why, func(r Reason) bool { return r.Of == string(s) }) {
					t.Errorf("part %d: nothing says why it is %s", i+1, s)
				}
			}
			for _, kind := range labels[i].Unclassified {
				if kind != "and others" && !slices.ContainsFunc(labels[i].Why, func(r Reason) bool { return r.Of == kind }) {
					t.Errorf("part %d: nothing says why it is unclassified: %q", i+1, kind)
				}
			}
		}
	})
}

// What an address is compared with: white space in front does not hide where it leads, an id
// alone is no address, and what is an array somewhere may be an object.
func TestLabelAddressesAndTheirLike(t *testing.T) {
	const q = `{"fullUrl":"http://x.example/fhir/Condition/q","resource":{"resourceType":"Condition","id":"p","identifier":[[{"value":"alone"}]],"code":{"coding":[{"system":"` + icd + `","code":"B20"}]}}}`
	for member, want := range map[string]bool{
		`"x":"http://y.example/Condition/p"`:  true,
		`"x":" http://y.example/Condition/p"`: true,
		`"x":" Condition/p"`:                  false,
		`"x":" p/"`:                           false,
		`"x":"p"`:                             false,
		`"x":{"reference":"p"}`:               true,
		`"x":{"reference":"P"}`:               true,
		`"x":{"reference":"q"}`:               false,
		`"x":{"reference":"http://x.example/fhir/Condition/q"}`:       true,
		`"x":{"identifier":{"value":"alone"}}`:                        true,
		`"x":{"resourceType":1,"identifier":{"value":"alone"}}`:       true,
		`"x":{"resourceType":"Basic","identifier":{"value":"alone"}}`: false,
		`"x":"|alone/"`:                        false,
		`"x":"Condition?IDENTIFIER=%7Calone/"`: false,
		`"x":"/Condition?IDENTIFIER=%7CAlone"`: true,
		`"contained":{"resourceType":"Basic","id":"p"},"x":{"reference":"#p"}`: false,
	} {
		l := BuiltIn().Label(cutOf(t, q, `{"resource":{"resourceType":"Basic",`+member+`}}`), nil)
		if got := slices.Contains(l[1].Sensitive, "hiv"); got != want {
			t.Errorf("%s: %v", member, got)
		}
	}
	for contained, want := range map[string]string{`{"resourceType":"Basic","id":"p"}`: "", `[[{"resourceType":"Basic","id":"p"}]]`: "", `[{"id":"p"}]`: "free text", `[{"resourceType":"Basic","id":"P"}]`: "free text"} {
		l := labelled(t, `{"resourceType":"Basic","contained":`+contained+`,"focus":{"reference":"#p","display":"Dr. Who"}}`)
		if got := said(&l[0]); got != want {
			t.Errorf("%s: %q", contained, got)
		}
	}
}
