package health

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
)

// sourceOf is a Bundle of resources.
func sourceOf(name string, resources ...string) viewFile {
	var entries []string
	for _, r := range resources {
		entries = append(entries, `{"resource":`+r+`}`)
	}
	return viewFile{Source{Name: name}, []byte(`{"resourceType":"Bundle","type":"collection","entry":[` + strings.Join(entries, ",") + `]}`)}
}

func many(n int, one func(i int) string) (out []string) {
	for i := range n {
		out = append(out, one(i))
	}
	return out
}

func manyJSON(n int, one func(i int) string) string { return strings.Join(many(n, one), ",") }

const noKnownAllergies = `"code":{"coding":[{"system":"http://snomed.info/sct","code":"716186003"}],"text":"No known allergies"}`

// What a source withdrew states nothing, whether it was a thing or that there is none.
func TestViewWithdrawnStatements(t *testing.T) {
	for name, x := range map[string]struct {
		resource string
		of       func(p *ViewPerson) *ViewSection
	}{
		"no allergies in error":     {`{"resourceType":"AllergyIntolerance",` + noKnownAllergies + `,"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-verification","code":"entered-in-error"}]}}`, func(p *ViewPerson) *ViewSection { return &p.Allergies }},
		"no allergies refuted":      {`{"resourceType":"AllergyIntolerance",` + noKnownAllergies + `,"verificationStatus":{"coding":[{"code":"refuted","display":"Refuted"}]}}`, func(p *ViewPerson) *ViewSection { return &p.Allergies }},
		"no allergies no longer":    {`{"resourceType":"AllergyIntolerance",` + noKnownAllergies + `,"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"inactive"}]}}`, func(p *ViewPerson) *ViewSection { return &p.Allergies }},
		"an allergy before R4":      {`{"resourceType":"AllergyIntolerance","code":{"text":"Nuts"},"verificationStatus":"entered-in-error"}`, func(p *ViewPerson) *ViewSection { return &p.Allergies }},
		"a problem in words":        {`{"resourceType":"Condition","code":{"text":"Asthma"},"verificationStatus":{"text":"Entered in Error"}}`, func(p *ViewPerson) *ViewSection { return &p.Problems }},
		"no medicines in error":     {`{"resourceType":"MedicationStatement","status":"entered-in-error","medicationCodeableConcept":{"coding":[{"system":"http://snomed.info/sct","code":"787481004"}],"text":"No known medications"}}`, func(p *ViewPerson) *ViewSection { return &p.Medicines }},
		"a medicine not taken":      {`{"resourceType":"MedicationStatement","status":"active","taken":"n","medicationCodeableConcept":{"text":"Warfarin"}}`, func(p *ViewPerson) *ViewSection { return &p.Medicines }},
		"a vaccine not given":       {`{"resourceType":"Immunization","status":"completed","notGiven":true,"vaccineCode":{"text":"MMR"}}`, func(p *ViewPerson) *ViewSection { return &p.Immunizations }},
		"a procedure not done":      {`{"resourceType":"Procedure","status":"completed","notDone":true,"code":{"text":"Appendectomy"}}`, func(p *ViewPerson) *ViewSection { return &p.Procedures }},
		"a document in error":       {`{"resourceType":"DocumentReference","status":"current","docStatus":"entered-in-error","description":"Letter"}`, func(p *ViewPerson) *ViewSection { return &p.Documents }},
		"empty sections in error":   {`{"resourceType":"Composition","status":"entered-in-error","title":"Summary","section":[{"code":{"coding":[{"system":"http://loinc.org","code":"48765-2"}]},"emptyReason":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/list-empty-reason","code":"nilknown"}]}}]}`, func(p *ViewPerson) *ViewSection { return &p.Allergies }},
		"no problems, one of codes": {`{"resourceType":"Condition","code":{"text":"Asthma"},"verificationStatus":{"coding":[{"system":"http://example.org","code":"x"},{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"refuted"}]}}`, func(p *ViewPerson) *ViewSection { return &p.Problems }},
	} {
		v := viewOf(sourceOf("a.json", x.resource))
		p := &v.Persons[0]
		if s := x.of(p); s.State != StateNothing || len(s.None) > 0 || len(p.Withdrawn) != 1 {
			t.Errorf("%s: %s, %d states none, %d withdrawn", name, s.State, len(s.None), len(p.Withdrawn))
		}
	}
}

// A code that says "other" or "an allergy" is no reason to take two things for one, nor to
// draw them as one series.
func TestViewUnspecificCodes(t *testing.T) {
	other := `{"system":"http://terminology.hl7.org/CodeSystem/v3-NullFlavor","code":"OTH"}`
	allergy := func(name, coding string) string {
		return `{"resourceType":"AllergyIntolerance","code":{"coding":[` + coding + `],"text":"` + name + `"}}`
	}
	for _, coding := range []string{other, `{"system":"http://snomed.info/sct","code":"419199007"}`} {
		patient := `{"resourceType":"Patient","identifier":[{"system":"a","value":"1"}]}`
		v := viewOf(sourceOf("a.json", patient, allergy("Peanut", coding)), sourceOf("b.json", patient, allergy("Penicillin", coding)))
		if n := len(v.Persons[0].Allergies.Items); n != 2 {
			t.Errorf("%s: two allergies are %d", coding, n)
		}
	}
	value := func(name, more string, n int) string {
		return fmt.Sprintf(`{"resourceType":"Observation","status":"final","effectiveDateTime":"2026-01-0%d","code":{"coding":[%s],"text":"%s"},"valueQuantity":{"value":%d,"unit":"mmol/L","system":"http://unitsofmeasure.org","code":"mmol/L"}%s}`, n, other, name, n, more)
	}
	trends := func(files ...viewFile) (n int) {
		for _, l := range viewOf(files...).Lines(ViewWords{}) {
			n += boolInt(len(l.Trend) > 0)
		}
		return n
	}
	if trends(sourceOf("a.json", value("Potassium", "", 1), value("Lactate", "", 2))) != 0 {
		t.Error("potassium and lactate are one series")
	}
	if trends(sourceOf("a.json", value("Pulse", "", 1), value("Pulse", `,"focus":[{"reference":"Patient/unborn"}]`, 2))) != 0 {
		t.Error("a mother and her child are one series")
	}
	if trends(sourceOf("a.json", value("Pulse", "", 1), value("Pulse", "", 2))) != 1 {
		t.Error("one thing is no series")
	}
}

// What was handed out is still looked at among the medicines.
func TestViewHandedOut(t *testing.T) {
	v := viewOf(sourceOf("a.json",
		`{"resourceType":"MedicationDispense","status":"completed","whenHandedOver":"2026-11-01","medicationCodeableConcept":{"text":"Simvastatin 20 MG"}}`,
		`{"resourceType":"MedicationStatement","status":"active","medicationCodeableConcept":{"text":"Clarithromycin"}}`))
	if in := v.Persons[0].Interactions; len(in.Found) != 1 || in.Ended != 0 {
		t.Errorf("%d found, %d ended", len(in.Found), in.Ended)
	}
}

// All that a source says of a value stands there, and what speaks against its range.
func TestViewInterpretations(t *testing.T) {
	for words, want := range map[string]string{
		`{"coding":[{"system":"s","code":"LL"}]},{"text":"falling"}`: "critically low, falling",
		`{"coding":[{"system":"s","code":"L"}]}`:                     "low, says the source, and high by its range",
		`{"coding":[{"system":"s","code":"N"}]}`:                     "normal, says the source, and high by its range",
		`{"coding":[{"system":"s","code":"HH"}]}`:                    "critically high",
	} {
		high := `,"referenceRange":[{"high":{"value":5,"unit":"mmol/L"}}]`
		if strings.Contains(words, "falling") {
			high = ""
		}
		v := viewOf(sourceOf("a.json", `{"resourceType":"Observation","code":{"text":"Potassium"},"valueQuantity":{"value":6,"unit":"mmol/L"},"interpretation":[`+words+`]`+high+`}`))
		if got := v.Persons[0].Results.Items[0].Flag; got != want {
			t.Errorf("%s: %q, want %q", words, got, want)
		}
	}
	v := viewOf(sourceOf("a.json", `{"resourceType":"Observation","code":{"text":"INR"},"valueQuantity":{"value":6},"referenceRange":[{"low":{"value":2},"high":{"value":3},"type":{"text":"Therapeutic"}}]}`))
	if it := v.Persons[0].Results.Items[0]; it.Range != "2 to 3 (Therapeutic)" || it.Flag != "" {
		t.Errorf("a range to aim at: %q, flag %q", it.Range, it.Flag)
	}
}

// Nobody is guessed by a name that two servers use, or by an address that two entries have.
func TestViewPersonsByAddress(t *testing.T) {
	bundle := func(entries string) *View {
		return viewOf(viewFile{Source{Name: "a.json"}, []byte(`{"resourceType":"Bundle","type":"collection","entry":[` + entries + `]}`)})
	}
	ann := `"resource":{"resourceType":"Patient","id":"1","name":[{"text":"Ann"}]}`
	asthma := `"resource":{"resourceType":"Condition","id":"5","code":{"text":"Asthma"},"subject":{"reference":"Patient/1"}}`
	for name, v := range map[string]*View{
		"two servers":  bundle(`{"fullUrl":"https://a.example/Patient/1",` + ann + `},{"fullUrl":"https://b.example/Condition/5",` + asthma + `}`),
		"one address":  bundle(`{"fullUrl":"urn:x","resource":{"resourceType":"Patient","name":[{"text":"Ann"}]}},{"fullUrl":"urn:x","resource":{"resourceType":"Patient","name":[{"text":"Bob"}]}},{"resource":{"resourceType":"Condition","code":{"text":"Asthma"},"subject":{"reference":"urn:x"}}}`),
		"both of them": bundle(`{"fullUrl":"https://a.example/Patient/1",` + ann + `},{"fullUrl":"https://b.example/Patient/1","resource":{"resourceType":"Patient","id":"1","name":[{"text":"Bob"}]}},{"fullUrl":"https://c.example/Condition/5",` + asthma + `}`),
	} {
		for _, p := range v.Persons {
			if p.Known && len(p.Problems.Items) > 0 {
				t.Errorf("%s: %s has what is said of somebody else", name, p.Names)
			}
		}
	}
	v := bundle(`{"fullUrl":"https://a.example/Patient/1",` + ann + `},{"fullUrl":"https://a.example/Condition/5",` + asthma + `}`)
	if len(v.Persons) != 1 || len(v.Persons[0].Problems.Items) != 1 {
		t.Error("one server: its own patient is not found")
	}
}

func TestAllergicByDisplay(t *testing.T) {
	v := viewOf(sourceOf("a.json",
		`{"resourceType":"AllergyIntolerance","code":{"text":"PCN","coding":[{"system":"http://example.org","code":"7","display":"Penicillin allergy"}]}}`,
		`{"resourceType":"MedicationStatement","status":"active","medicationCodeableConcept":{"text":"Amoxicillin 500 MG"}}`))
	if n := len(v.Persons[0].Interactions.Allergies); n != 1 {
		t.Errorf("%d allergies to amoxicillin", n)
	}
}

// Files that are made to take very long, or that lead back to themselves, take about as
// long as others of their size: each of these took minutes, or ended the program.
func TestViewHostile(t *testing.T) {
	lane.OneGoroutine(t)
	less := lane.Pick(1, 4, 4) // of each, but where a page is bounded whatever the file is
	text := strings.Repeat("x", 1<<20/less)
	allergies := many(10_000, func(i int) string {
		return fmt.Sprintf(`{"resourceType":"AllergyIntolerance","code":{"text":"penicillin %d"}}`, i)
	})
	files := map[string]viewFile{
		"a role that is its own practitioner": sourceOf("", `{"resourceType":"PractitionerRole","id":"r","practitioner":{"reference":"PractitionerRole/r"}}`,
			`{"resourceType":"Condition","code":{"text":"x"},"recorder":{"reference":"PractitionerRole/r"}}`),
		"very many codings": sourceOf("", many(2, func(int) string {
			return `{"resourceType":"Condition","code":{"coding":[` + manyJSON(100_000/less, func(i int) string { return fmt.Sprintf(`{"system":"s","code":"c%d"}`, i) }) + `]}}`
		})...),
		"codings times text": sourceOf("", `{"resourceType":"Observation","valueString":"`+text+`","code":{"coding":[`+manyJSON(20_000/less, func(i int) string { return fmt.Sprintf(`{"system":"s","code":"c%d"}`, i) })+`]}}`),
		"one identifier": sourceOf("", many(20_000/less, func(i int) string {
			return fmt.Sprintf(`{"resourceType":"Procedure","identifier":[{"system":"a","value":"b"}],"code":{"coding":[{"system":"s","code":"c"}]},"performedDateTime":"%04d-01-01"}`, i%10_000)
		})...),
		"vaccines of one day": sourceOf("", many(5_000/less, func(i int) string {
			return fmt.Sprintf(`{"resourceType":"Immunization","vaccineCode":{"coding":[{"system":"s%d","code":"c"}]},"occurrenceDateTime":"2020-01-01"}`, i)
		})...),
		"very many say none": sourceOf("", slices.Concat(allergies[:10_000/less], many(10_000/less, func(i int) string {
			return fmt.Sprintf(`{"resourceType":"AllergyIntolerance","code":{"text":"t%d","coding":[{"system":"http://snomed.info/sct","code":"716186003"}]}}`, i)
		}))...),
		"names without end": sourceOf("", many(200, func(i int) string {
			return `{"resourceType":"Patient","birthDate":"2000-01-01","identifier":[{"system":"a","value":"b"}],"name":[` + manyJSON(4_000/less, func(j int) string { return fmt.Sprintf(`{"text":"N%d"}`, 4_000*i+j) }) + `]}`
		})...),
		"allergies times medicines": sourceOf("", slices.Concat(allergies, many(10_000, func(i int) string {
			return fmt.Sprintf(`{"resourceType":"MedicationStatement","status":"active","medicationCodeableConcept":{"text":"amoxicillin %d"}}`, i)
		}))...),
		"contained": sourceOf("", `{"resourceType":"DiagnosticReport","contained":[`+manyJSON(50_000/less, func(i int) string { return fmt.Sprintf(`{"resourceType":"Medication","id":"m%d"}`, i) })+
			`],"result":[`+manyJSON(50_000/less, func(int) string { return `{"reference":"#x"}` })+`]}`),
		"notes": sourceOf("", `{"resourceType":"Condition","code":{"text":"x"},"note":[`+manyJSON(100_000/less, func(i int) string { return fmt.Sprintf(`{"text":"m%d"}`, i) })+`]}`),
	}
	for name, f := range files {
		again := viewFile{f.Source, slices.Concat([]byte(" "), f.bytes)}
		v := viewOf(f, again)
		if !v.Sources[0].Read || !v.Sources[1].Read {
			t.Errorf("%s: not read: %s", name, v.Sources[0].Why)
		}
		if page := v.HTML(); len(page) > 20*len(f.bytes)+1<<20 {
			t.Errorf("%s: %d bytes make a page of %d", name, len(f.bytes), len(page))
		}
		if name == "allergies times medicines" && !v.Persons[0].Interactions.Partly {
			t.Error("that allergies were not compared is not said")
		}
	}
}

// A part of a record is one with a byte order mark in front as well.
func TestViewOfPartWithMark(t *testing.T) {
	const part = `{"resourceType":"Bundle","meta":{"security":[{"code":"SUBSETTED"}]},"entry":[{"resource":{"resourceType":"Patient","id":"a"}}]}`
	for _, file := range []string{part, bom + part} {
		v := NewViewing()
		v.Add(Source{Name: "part.json"}, []byte(file))
		if s := v.View(viewDay).Sources[0]; !s.Read || !s.Part {
			t.Errorf("%+v", s)
		}
	}
}
