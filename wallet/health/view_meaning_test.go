package health

import (
	"fmt"
	"strings"
	"testing"
)

// viewSays is all of a view in words, with each line's kind and sources, and what is drawn.
func viewSays(v *View) string {
	var b strings.Builder
	for _, l := range v.Lines(ViewWords{Conflicts: true, Sources: true}) {
		fmt.Fprintf(&b, "%s %s: %s %v\n", l.Kind, l.Name, l.Text, l.Sources)
		if len(l.Trend) > 0 {
			b.WriteString("drawn\n")
		}
	}
	return b.String()
}

// meant is what a view of files must say; what begins with a hyphen it must not.
type meant struct {
	files []viewFile
	want  []string
}

func means(t *testing.T, all map[string]meant) {
	t.Helper()
	for name, x := range all {
		got := viewSays(viewOf(x.files...))
		for _, want := range x.want {
			if never, is := strings.CutPrefix(want, "-"); is == strings.Contains(got, never) {
				t.Errorf("%s: %q\n%s", name, want, got)
				break
			}
		}
	}
}

// one is a file of these; two are a file of the first two, and one of the first and all others.
func one(resources ...string) []viewFile { return []viewFile{sourceOf("a.json", resources...)} }

func two(of, first string, others ...string) []viewFile {
	return []viewFile{sourceOf("a.json", of, first), sourceOf("b.json", append([]string{of}, others...)...)}
}

const (
	ada      = `{"resourceType":"Patient","id":"ada","identifier":[{"system":"a","value":"1"}],"name":[{"text":"Ada"}]}`
	ucum     = `"system":"http://unitsofmeasure.org"`
	quantity = `"valueQuantity":{"value":6,"unit":"mmol/L",` + ucum + `,"code":"mmol/L"}`
	modifier = `"modifierExtension":[{"url":"https://example.org/not-so","valueBoolean":true}]`
	cataract = `{"text":"Cataract","coding":[{"system":"http://snomed.info/sct","code":"193570009"}]}`
	same     = `"code":` + cataract
)

func observation(more string) string {
	return `{"resourceType":"Observation","status":"final","code":{"text":"Potassium","coding":[{"system":"http://loinc.org","code":"2823-3"}]},` + more + `}`
}

func methotrexate(more string) string {
	return `{"resourceType":"MedicationRequest","status":"active","intent":"order","medicationCodeableConcept":{"text":"Methotrexate","coding":[{"system":"s","code":"m"}]},` + more + `}`
}

func noAllergies(more string) string {
	return `{"resourceType":"AllergyIntolerance",` + noKnownAllergies + more + `}`
}

// What may change the meaning of an entry, and is not understood, is said; nothing is made of it that only its plain meaning would bear.
func TestViewMayMeanSomethingElse(t *testing.T) {
	means(t, map[string]meant{
		"a modifier":             {one(observation(quantity + "," + modifier)), []string{"https://example.org/not-so"}},
		"a modifier within":      {one(methotrexate(`"dosageInstruction":[{"text":"one a day",` + modifier + `}]`)), []string{"https://example.org/not-so"}},
		"a modifier of an entry": {[]viewFile{{Source{Name: "a.json"}, []byte(`{"resourceType":"Bundle","type":"collection","entry":[{` + modifier + `,"resource":` + observation(quantity) + `}]}`)}}, []string{"https://example.org/not-so"}},
		"other rules":            {one(observation(quantity + `,"implicitRules":"https://example.org/rules"`)), []string{"https://example.org/rules"}},
		"other rules of all":     {[]viewFile{{Source{Name: "a.json"}, []byte(`{"resourceType":"Bundle","implicitRules":"https://example.org/rules","type":"collection","entry":[{"resource":` + observation(quantity) + `}]}`)}}, []string{"https://example.org/rules"}},
		"no allergies, modified": {one(noAllergies("," + modifier)), []string{"-states none", "https://example.org/not-so"}},
		"a summary, modified":    {one(`{"resourceType":"Composition","status":"final","title":"Summary",` + modifier + `,"section":[{"code":{"coding":[{"system":"http://loinc.org","code":"48765-2"}]},"emptyReason":{"coding":[{"system":"s","code":"nilknown"}]}}]}`), []string{"-states none", "https://example.org/not-so"}},
		"a section, modified":    {one(`{"resourceType":"Composition","status":"final","title":"Summary","section":[{` + modifier + `,"code":{"coding":[{"system":"http://loinc.org","code":"48765-2"}]},"emptyReason":{"coding":[{"system":"s","code":"nilknown"}]}}]}`), []string{"-states none", "https://example.org/not-so"}},
		"a person, modified":     {one(`{"resourceType":"Patient","name":[{"text":"Ada"}],` + modifier + `}`), []string{"https://example.org/not-so"}},
		"one of two modified":    {two(ada, `{"resourceType":"Condition",`+same+`}`, `{"resourceType":"Condition",`+same+`,`+modifier+`}`), []string{"Problems: 2 entries"}},
		"older, modified": {one(observation(quantity+`,"effectiveDateTime":"2026-02-01T08:00:00Z"`), observation(`"valueQuantity":{"value":9,"unit":"mmol/L",`+ucum+`,"code":"mmol/L"},"effectiveDateTime":"2026-01-01T08:00:00Z",`+modifier)),
			[]string{"-before: 9", "https://example.org/not-so"}},

		"part by its tag":                     {[]viewFile{{Source{Name: "a.json"}, []byte(`{"resourceType":"Bundle","type":"collection","meta":{"tag":[{"code":7},{"code":"SUBSETTED"}]},"entry":[{"resource":` + ada + `}]}`)}}, []string{"PART of a record"}},
		"an entry cut short":                  {one(`{"resourceType":"AllergyIntolerance","meta":{"tag":[{"code":"SUBSETTED"}]},"code":{"text":"Nuts"}}`), []string{"cut short"}},
		"an older version of it":              {[]viewFile{{Source{Name: "a.json"}, []byte(`{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"https://a.example/MedicationStatement/m","resource":{"resourceType":"MedicationStatement","id":"m","meta":{"lastUpdated":"2026-01-01T00:00:00Z"},"status":"active","medicationCodeableConcept":{"text":"Warfarin"}}},{"fullUrl":"https://a.example/MedicationStatement/m","resource":{"resourceType":"MedicationStatement","id":"m","meta":{"lastUpdated":"2026-02-01T00:00:00Z"},"status":"stopped","medicationCodeableConcept":{"text":"Warfarin"}}}]}`)}}, []string{"Warfarin: active, no date given, an older version of another entry", "-Warfarin: stopped, no date given, an older"}},
		"two of one id, of where is not said": {one(`{"resourceType":"MedicationStatement","id":"m","meta":{"lastUpdated":"2026-01-01T00:00:00Z"},"status":"active","medicationCodeableConcept":{"text":"Warfarin"}}`, `{"resourceType":"MedicationStatement","id":"m","meta":{"lastUpdated":"2026-02-01T00:00:00Z"},"status":"stopped","medicationCodeableConcept":{"text":"Warfarin"}}`), []string{"-an older version"}},
		"an amount a day":                     {one(methotrexate(`"dosageInstruction":[{"maxDosePerPeriod":{"numerator":{"value":4,"unit":"g"},"denominator":{"unit":"d"}}}]`)), []string{"4 g / d"}},
	})
}

// That there is none is said as widely, and as surely, as a source says it.
func TestViewSaysNoneAsItIsSaid(t *testing.T) {
	means(t, map[string]meant{
		"no allergies beside one in a code": {one(`{"resourceType":"AllergyIntolerance","code":{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"7980","display":"Penicillin G"},{"system":"http://snomed.info/sct","code":"716186003","display":"No known allergy"}]}}`),
			[]string{"-states none", "Allergies: 1 entry listed", "item Penicillin G", "No known allergy"}},
		"no allergies beside one in a list": {one(`{"resourceType":"AllergyIntolerance","code":[{"coding":[{"system":"http://snomed.info/sct","code":"716186003"}],"text":"No known allergies"},{"text":"Penicillin"}]}`),
			[]string{"-states none", "Allergies: 1 entry listed", "Penicillin"}},
		"no allergies of a kind":                     {one(noAllergies(`,"category":["food"]`)), []string{"states none: \"No known allergies\", scope food"}},
		"no allergies of two kinds":                  {one(noAllergies(`,"category":["food","medication"]`)), []string{"scope food, medication"}},
		"no allergies of a kind, and one of another": {one(noAllergies(`,"category":["food"]`), `{"resourceType":"AllergyIntolerance","category":["medication"],"code":{"text":"Penicillin"}}`), []string{"-contradiction"}},
		"no allergies of two kinds, and one of them": {one(noAllergies(`,"category":["food","medication"]`), `{"resourceType":"AllergyIntolerance","category":["medication"],"code":{"text":"Penicillin"}}`), []string{"1 contradiction"}},
		"perhaps no allergies":                       {one(noAllergies(`,"verificationStatus":{"coding":[{"system":"s","code":"unconfirmed"}]}`)), []string{"states none: \"No known allergies\", unconfirmed"}},
		"no medicines, not so":                       {one(`{"resourceType":"MedicationStatement","status":"not-taken","medicationCodeableConcept":{"text":"No known medications","coding":[{"system":"http://snomed.info/sct","code":"787481004"}]}}`), []string{"-states none", "Withdrawn: 1 entry"}},
		"no medicines, once":                         {one(`{"resourceType":"MedicationStatement","status":"completed","effectivePeriod":{"start":"2010","end":"2012"},"medicationCodeableConcept":{"text":"No known medications","coding":[{"system":"http://snomed.info/sct","code":"787481004"}]}}`), []string{"-states none", "2010", "2012"}},
	})
}

// A dose is shown with all that its source says of how much, how often and when.
func TestViewDoses(t *testing.T) {
	means(t, map[string]meant{
		"a dose beside a text":     {one(methotrexate(`"dosageInstruction":[{"text":"as told","doseAndRate":[{"doseQuantity":{"value":15,"unit":"mg"}}]}]`)), []string{"as told, 15 mg"}},
		"a dose against a text":    {one(methotrexate(`"dosageInstruction":[{"text":"take 15 mg","doseAndRate":[{"doseQuantity":{"value":5,"unit":"mg"}}]}]`)), []string{"take 15 mg, 5 mg"}},
		"a dose that the text has": {one(methotrexate(`"dosageInstruction":[{"text":"Take 5 MG, daily","doseAndRate":[{"doseQuantity":{"value":5,"unit":"mg"}}]}]`)), []string{"Take 5 MG, daily", "-daily, 5 mg"}},
		"two doses, one text":      {two(ada, (methotrexate(`"authoredOn":"2026-01-02","dosageInstruction":[{"text":"daily","doseAndRate":[{"doseQuantity":{"value":5,"unit":"mg"}}]}]`)), (methotrexate(`"authoredOn":"2026-01-02","dosageInstruction":[{"text":"daily","doseAndRate":[{"doseQuantity":{"value":50,"unit":"mg"}}]}]`))), []string{"1 contradiction", "5 mg", "50 mg"}},
		"a range of doses":         {one(methotrexate(`"dosageInstruction":[{"doseAndRate":[{"doseRange":{"low":{"value":1,"unit":"tablet"},"high":{"value":2,"unit":"tablet"}}}]}]`)), []string{"1 tablet to 2 tablet"}},
		"once a week":              {one(methotrexate(`"dosageInstruction":[{"timing":{"repeat":{"dayOfWeek":["mon"]}},"doseAndRate":[{"doseQuantity":{"value":15,"unit":"mg"}}]}]`)), []string{"15 mg", "mon"}},
		"times of the day":         {one(methotrexate(`"dosageInstruction":[{"timing":{"repeat":{"frequency":1,"frequencyMax":3,"period":4,"periodMax":6,"periodUnit":"h","timeOfDay":["08:00:00"],"when":["ACM"],"count":10}}}]`)), []string{"1 to 3 in 4 to 6 h", "08:00", "ACM", "10"}},
		"no more than":             {one(methotrexate(`"dosageInstruction":[{"text":"when in pain","maxDosePerPeriod":{"numerator":{"value":4,"unit":"g"},"denominator":{"value":24,"unit":"h"}}}]`)), []string{"4 g / 24 h"}},
		"a rate":                   {one(`{"resourceType":"MedicationAdministration","status":"in-progress","medicationCodeableConcept":{"text":"Heparin"},"dosage":{"dose":{"value":12345.6,"unit":"IU"},"rateRatio":{"numerator":{"value":5,"unit":"mL"},"denominator":{"value":1,"unit":"h"}}}}`), []string{"12345.6 IU", "5 mL / 1 h"}},
		"only on some days":        {one(methotrexate(`"dosageInstruction":[{"text":"one","additionalInstruction":[{"text":"not on Sundays"}],"patientInstruction":"with water"}]`)), []string{"not on Sundays", "with water"}},
	})
}

// A value is shown, compared and joined with its own unit, range and flag only.
func TestViewValues(t *testing.T) {
	means(t, map[string]meant{
		"a bound with a comparator":     {one(observation(quantity + `,"referenceRange":[{"low":{"value":7,"unit":"mmol/L","comparator":"<"},"high":{"value":9,"unit":"mmol/L"}}]`)), []string{"range <7 to 9 mmol/L", "-low"}},
		"bounds of two units":           {one(observation(quantity + `,"referenceRange":[{"low":{"value":70,"unit":"mg/dL"},"high":{"value":9,"unit":"mmol/L"}}]`)), []string{"range 70 mg/dL to 9 mmol/L"}},
		"bounds without a unit":         {one(observation(`"valueQuantity":{"value":100,` + ucum + `,"code":"mg/dL"},"referenceRange":[{"low":{"value":3},"high":{"value":9}}]`)), []string{"-high", "range 3 to 9"}},
		"a unit that is another":        {one(observation(`"effectiveDateTime":"2026-02-01T08:00:00Z","valueQuantity":{"value":6,"unit":"mmol/L",`+ucum+`,"code":"mg/dL"}`), observation(`"effectiveDateTime":"2026-01-01T08:00:00Z","valueQuantity":{"value":90,"unit":"mg/dL",`+ucum+`,"code":"mg/dL"}`)), []string{"mmol/L", "-drawn"}},
		"a unit that is another, twice": {two(ada, observation(`"effectiveDateTime":"2026-02-01T08:00:00Z","valueQuantity":{"value":6,"unit":"mmol/L",`+ucum+`,"code":"mg/dL"}`), observation(`"effectiveDateTime":"2026-02-01T08:00:00Z","valueQuantity":{"value":6,"unit":"mg/dL",`+ucum+`,"code":"mg/dL"}`)), []string{"Results: 2 entries", "6 mmol/L", "6 mg/dL", "1 contradiction"}},
		"one unit differs":              {two(ada, observation(`"effectiveDateTime":"2026-02-01T08:00:00Z","valueQuantity":{"value":6,"unit":"mmol/L"}`), observation(`"effectiveDateTime":"2026-02-01T08:00:00Z","valueQuantity":{"value":6,"unit":"mg/dL"}`)), []string{"Results: 2 entries", "1 contradiction"}},
		"a number in quotes":            {one(observation(`"valueQuantity":{"value":"6","unit":"mmol/L"}`)), []string{"6 mmol/L", "-value not here"}},
		"an attachment":                 {one(observation(`"valueAttachment":{"title":"ECG"}`)), []string{"-value not here", "not shown"}},
		"a flag of one of two":          {two(ada, observation(quantity+`,"effectiveDateTime":"2026-02-01T08:00:00Z","interpretation":[{"coding":[{"code":"N"}]}]`), observation(quantity+`,"effectiveDateTime":"2026-02-01T08:00:00Z","interpretation":[{"coding":[{"code":"HH"}]}]`)), []string{"Results: 1 entry", "critically high", "normal", "1 contradiction"}},
		"a range of one of two":         {two(ada, observation(quantity+`,"effectiveDateTime":"2026-02-01T08:00:00Z","referenceRange":[{"text":"3 to 5"}]`), observation(quantity+`,"effectiveDateTime":"2026-02-01T08:00:00Z","referenceRange":[{"text":"4 to 9"}]`)), []string{"3 to 5 or 4 to 9"}},
		"a range of a component":        {one(`{"resourceType":"Observation","code":{"text":"Panel"},"component":[{"code":{"text":"Na"},` + quantity + `,"referenceRange":[{"high":{"value":5,"unit":"mmol/L","code":"mmol/L"}}]},{"code":{"text":"K"},"dataAbsentReason":{"text":"haemolysed"}}]}`), []string{"Na 6 mmol/L (high, range up to 5 mmol/L)", "K no value: haemolysed"}},

		"an end only":        {one(observation(quantity + `,"effectivePeriod":{"end":"2026-03-04"}`)), []string{"4 Mar 2026"}},
		"when it was issued": {one(observation(quantity + `,"issued":"2026-03-04T08:00:00Z"`)), []string{"issued 4 Mar 2026"}},
	})
}

// A device is somebody's who is said to have it: not what measured something, and not one of
// which it is said that there is none.
func TestViewDevices(t *testing.T) {
	const none = `"type":{"coding":[{"system":"http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips","code":"no-known-devices"}]}`
	use := func(device string) string {
		return `{"resourceType":"DeviceUseStatement","status":"active","subject":{"reference":"urn:uuid:ada"},"device":` + device + `}`
	}
	means(t, map[string]meant{
		"an implant":            {one(`{"resourceType":"Device","status":"inactive","patient":{"reference":"urn:uuid:ada"},"type":{"text":"Stent"},"deviceName":[{"name":"Flex 3"}],"manufacturer":"Example"}`), []string{"Devices: 1 entry", "Stent", "inactive", "Flex 3", "made by Example"}},
		"by its name only":      {one(`{"resourceType":"Device","patient":{"reference":"urn:uuid:ada"},"deviceName":[{"name":"Flex 3"}]}`), []string{"Devices: 1 entry", "Flex 3"}},
		"nobody's":              {one(`{"resourceType":"Device","type":{"text":"Analyser"}}`), []string{"-Devices: 1", "not shown: 1 Device"}},
		"one that is used":      {one(use(`{"reference":"#d"},"contained":[{"resourceType":"Device","id":"d","type":{"text":"Hip prosthesis"}}]`)), []string{"Devices: 1 entry", "Hip prosthesis", "active"}},
		"one that is not here":  {one(use(`{"reference":"Device/7"}`)), []string{"Devices: 1 entry", "a device that is not here"}},
		"none, says its source": {one(use(`{"reference":"#d"},"contained":[{"resourceType":"Device","id":"d",` + none + `}]`)), []string{"Devices: 1 source states none", "no known devices"}},
		"none, said once":       {one(use(`{"reference":"#d"},"contained":[{"resourceType":"Device","id":"d","patient":{"reference":"urn:uuid:ada"},` + none + `}]`)), []string{"Devices: 1 source states none"}},
		"entered in error":      {one(`{"resourceType":"Device","status":"entered-in-error","patient":{"reference":"urn:uuid:ada"},"type":{"text":"Stent"}}`), []string{"Devices: no information", "Withdrawn: 1 entry"}},
	})
}

// Two eyes, and two doses of one day, are two.
func TestViewTwoThings(t *testing.T) {
	means(t, map[string]meant{
		"an eye each":             {two(ada, `{"resourceType":"Condition",`+same+`,"bodySite":[{"text":"left eye"}]}`, `{"resourceType":"Condition",`+same+`,"bodySite":[{"text":"right eye"}]}`), []string{"Problems: 2 entries", "no date, at left eye (source 1)", "at right eye"}},
		"an eye each, of one day": {two(ada, `{"resourceType":"Procedure","status":"completed","performedDateTime":"2026-01-02",`+same+`,"bodySite":[{"text":"left eye"}]}`, `{"resourceType":"Procedure","status":"completed","performedDateTime":"2026-01-02",`+same+`,"bodySite":[{"text":"right eye"}]}`), []string{"Procedures: 2 entries"}},
		"two doses of one day":    {two(ada, `{"resourceType":"MedicationAdministration","status":"completed","effectiveDateTime":"2026-01-02T08:00:00Z","medicationCodeableConcept":`+cataract+`}`, `{"resourceType":"MedicationAdministration","status":"completed","effectiveDateTime":"2026-01-02T20:00:00Z","medicationCodeableConcept":`+cataract+`}`), []string{"Medicines: 2 entries"}},
	})
}

// What other versions of FHIR call otherwise is read as well.
func TestViewOtherVersions(t *testing.T) {
	means(t, map[string]meant{
		"R5 medicine":           {one(`{"resourceType":"MedicationStatement","status":"recorded","medication":{"concept":{"text":"Warfarin 5 mg"}},"dosage":[{"text":"daily","asNeeded":true}]}`), []string{"item Warfarin 5 mg", "as needed"}},
		"R5 medicine elsewhere": {one(`{"resourceType":"Medication","id":"m","code":{"text":"Warfarin"}}`, `{"resourceType":"MedicationRequest","status":"active","intent":"order","medication":{"reference":{"reference":"Medication/m"}}}`), []string{"item Warfarin"}},
		"R5 not taken":          {one(`{"resourceType":"MedicationStatement","status":"recorded","adherence":{"code":{"coding":[{"system":"http://hl7.org/fhir/CodeSystem/medication-statement-adherence","code":"not-taking"}]}},"medication":{"concept":{"text":"Warfarin"}}}`), []string{"Withdrawn: 1 entry", "not-taking"}},
		"R5 stopped":            {one(`{"resourceType":"MedicationStatement","status":"recorded","adherence":{"code":{"coding":[{"code":"stopped-as-directed"}]}},"medication":{"concept":{"text":"Warfarin"}}}`), []string{"stopped-as-directed", "Interactions: not looked for"}},
		"R5 procedure":          {one(`{"resourceType":"Procedure","status":"completed","code":{"text":"Biopsy"},"occurrenceDateTime":"2026-03-04"}`), []string{"4 Mar 2026"}},
		"R5 reaction":           {one(`{"resourceType":"AllergyIntolerance","code":{"text":"Nuts"},"type":{"coding":[{"code":"intolerance"}]},"reaction":[{"manifestation":[{"concept":{"text":"Anaphylaxis"}}],"severity":"severe"}]}`), []string{"Anaphylaxis (severe)", "an intolerance"}},
		"DSTU2 name":            {one(`{"resourceType":"Patient","name":[{"family":["Example"],"given":["Ada"]}]}`), []string{"person Ada Example"}},
		"STU3 flag":             {one(observation(quantity + `,"interpretation":{"coding":[{"code":"HH"}]},"comment":"seen twice"`)), []string{"critically high", "note: seen twice"}},
		"DSTU2 order":           {one(`{"resourceType":"MedicationOrder","status":"active","dateWritten":"2015-03-04","medicationCodeableConcept":{"text":"Warfarin"},"note":"mind the INR","dosageInstruction":[{"doseQuantity":{"value":5,"unit":"mg"}}]}`), []string{"Warfarin: active, since 4 Mar 2015", "5 mg", "note: mind the INR"}},
		"DSTU2 statement":       {one(`{"resourceType":"MedicationStatement","status":"active","medicationCodeableConcept":{"text":"Warfarin"},"dosage":[{"quantityQuantity":{"value":5,"unit":"mg"}}]}`), []string{"5 mg"}},
		"STU3 vaccine":          {one(`{"resourceType":"Immunization","status":"completed","date":"2015-03-04","vaccineCode":{"text":"MMR"}}`), []string{"MMR: 4 Mar 2015"}},
		"STU3 report":           {one(`{"resourceType":"DiagnosticReport","status":"final","code":{"text":"Biopsy"},"codedDiagnosis":[{"text":"Malignant melanoma"}]}`), []string{"conclusion: Malignant melanoma"}},
		"R5 dose":               {one(`{"resourceType":"MedicationAdministration","status":"completed","occurenceDateTime":"2026-03-04","medication":{"concept":{"text":"Heparin"}}}`), []string{"4 Mar 2026"}},
		"a reason in a list":    {one(`{"resourceType":"MedicationStatement","status":"not-taken","statusReason":[{"text":"bleeding"}],"medicationCodeableConcept":{"text":"Warfarin"}}`), []string{"bleeding"}},
		"a code in words":       {one(`{"resourceType":"AllergyIntolerance","code":"Penicillin","category":"medication"}`), []string{"item Penicillin", "medication"}},
		"a code in a list":      {one(`{"resourceType":"AllergyIntolerance","code":[{"text":"Penicillin"},{"text":"Sulfa"}]}`), []string{"item Penicillin / Sulfa"}},
		"DSTU2 allergy":         {one(`{"resourceType":"AllergyIntolerance","status":"refuted","substance":{"text":"Penicillin"},"criticality":"CRITH"}`), []string{"Withdrawn: 1 entry", "item Penicillin"}},
		"DSTU2 allergy, high":   {one(`{"resourceType":"AllergyIntolerance","status":"confirmed","substance":{"text":"Penicillin"},"criticality":"CRITH"}`), []string{"Allergies: 1 entry", "item Penicillin", "high criticality"}},
	})
}

// A date that is not understood is shown as it is written, and not called missing.
func TestViewDates(t *testing.T) {
	means(t, map[string]meant{
		"a date of others":     {one(`{"resourceType":"Condition","code":{"text":"Asthma"},"onsetDateTime":"05/11/2026"}`), []string{"05/11/2026", "-no date given"}},
		"a number":             {one(`{"resourceType":"Condition","code":{"text":"Asthma"},"onsetDateTime":2026}`), []string{"dated \"2026\", which is not understood", "-no date given"}},
		"a day that is none":   {one(`{"resourceType":"Condition","code":{"text":"Asthma"},"onsetDateTime":"2026-02-30"}`), []string{"2026-02-30", "-Feb 2026"}},
		"an end of others":     {one(methotrexate(`"dispenseRequest":{"validityPeriod":{"end":"31.12.2025"}}`)), []string{"31.12.2025"}},
		"an end only":          {one(`{"resourceType":"Procedure","status":"completed","code":{"text":"Biopsy"},"performedPeriod":{"end":"2026-03-04"}}`), []string{"Biopsy: until 4 Mar 2026"}},
		"an end that is odd":   {one(methotrexate(`"authoredOn":"2025-01-01","dispenseRequest":{"validityPeriod":{"end":"31.12.2025"}}`)), []string{"31.12.2025", "-no end given"}},
		"a birth that is none": {one(`{"resourceType":"Patient","name":[{"text":"Ada"}],"birthDate":"1950-02-30"}`), []string{"born 1950-02-30"}},
		"an age between":       {one(`{"resourceType":"Condition","code":{"text":"Asthma"},"onsetRange":{"low":{"value":40,"unit":"a"},"high":{"value":50,"unit":"a"}}}`), []string{"40 a to 50 a"}},
	})
}

// Whom a thing is about is never guessed, and what stands within something else is not lost.
func TestViewWhoAndWhere(t *testing.T) {
	means(t, map[string]meant{
		"a subject in a list":             {one(ada, `{"resourceType":"Condition","code":{"text":"Asthma"},"subject":[{"reference":"Patient/bob"}]}`), []string{"2 persons"}},
		"a subject in words, who is here": {one(ada, `{"resourceType":"Condition","code":{"text":"Asthma"},"subject":"Patient/ada"}`), []string{"-2 persons", "item Asthma"}},
		"two subjects":                    {one(ada, `{"resourceType":"Condition","code":{"text":"Asthma"},"subject":[{"reference":"Patient/ada"},{"reference":"Patient/bob"}]}`), []string{"2 persons"}},
		"a subject in words":              {one(ada, `{"resourceType":"Condition","code":{"text":"Asthma"},"subject":"Patient/bob"}`), []string{"2 persons"}},
		"results within a report": {one(`{"resourceType":"DiagnosticReport","status":"final","code":{"text":"Panel"},"contained":[` + strings.Replace(observation(quantity+`,"interpretation":[{"coding":[{"code":"HH"}]}]`), `{`, `{"id":"o",`, 1) + `],"result":[{"reference":"#o"}]}`),
			[]string{"Results: 1 entry", "critically high", "1 value here"}},
		"an allergy within an encounter": {one(ada, `{"resourceType":"Encounter","subject":{"reference":"Patient/ada"},"contained":[{"resourceType":"AllergyIntolerance","id":"x","code":{"text":"Penicillin"}}]}`), []string{"Allergies: 1 entry", "-2 persons"}},
		"within, of somebody else":       {one(ada, `{"resourceType":"Encounter","subject":{"reference":"Patient/ada"},"contained":[{"resourceType":"Patient","id":"b","name":[{"text":"Bob"}]},{"resourceType":"AllergyIntolerance","id":"x","code":{"text":"Penicillin"},"patient":{"reference":"#b"}}]}`), []string{"2 persons", "person Bob"}},
		"within, of the family":          {one(ada, `{"resourceType":"FamilyMemberHistory","patient":{"reference":"Patient/ada"},"contained":[{"resourceType":"Condition","id":"c","code":{"text":"Huntington"}}]}`), []string{"2 persons"}},
		"a Bundle in a Bundle":           {one(`{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"AllergyIntolerance","code":{"text":"Penicillin"}}}]}`), []string{"-Nobody is spoken of in what you have", "1 Bundle within them not looked into"}},
	})
}

// Who has an identifier in common and another name is somebody else, such as a twin with the
// number of the family's insurance. How a name is spelled makes nobody another.
func TestViewTwins(t *testing.T) {
	patient := func(name string) string {
		return `{"resourceType":"Patient","identifier":[{"system":"insurer","value":"7"}],"birthDate":"2020-01-01","gender":"female","name":[` + name + `]}`
	}
	for _, x := range []struct {
		a, b string
		one  bool
	}{
		{`{"family":"Smith","given":["Anna"]}`, `{"family":"Smith","given":["Beth"]}`, false},
		{`{"text":"Anna Smith"}`, `{"text":"Beth Smith"}`, false},
		{`{"text":"Anna Smith"}`, `{"family":"Smith","given":["Beth"]}`, false},
		{`{"family":"Smith","given":["Anna","Maria"]}`, `{"family":"Smith","given":["Eva","Maria"]}`, false},
		{`{"family":"Smith","given":["Maria"]}`, `{"family":"Smith","given":["Marianne"]}`, false},
		{`{"family":"Smith","given":["Anna"]},{"family":"Smith","given":["Ann"]}`, `{"family":"Smith","given":["Beth"]},{"text":"Анна Смит"}`, false},
		{`{"family":"Смит","given":["Анна"]}`, `{"family":"Смит","given":["Ольга"]}`, false},
		{`{"family":"王","given":["明"]}`, `{"family":"王","given":["明华"]}`, false},
		{`{"family":"Smith","given":["Anna"]}`, `{"family":"Jones","given":["Anna","Maria"]}`, true},
		{`{"family":"Smith","given":["Anna","Maria"]}`, `{"family":"Jones","given":["A."]}`, true},
		{`{"family":"Smith","given":["Anna"]}`, `{"text":"Dr. Anna SMITH"}`, true},
		{`{"family":"Núñez","given":["José"]}`, `{"family":"Nunez","given":["Jose"]}`, true},
		{`{"family":"Núñez","given":["Jose\u0301"]}`, `{"family":"Nunez","given":["José"]}`, true},
		{`{"family":"Weiß","given":["Jörg"]}`, `{"family":"Weiss","given":["Joerg"]}`, true},
		{`{"family":"Weiß","given":["Jörg"]}`, `{"family":"Weiss","given":["Jorg"]}`, true},
		{`{"family":"Смит","given":["Анна"]}`, `{"family":"Smith","given":["Anna"]}`, true},
		{`{"family":"Smith","given":["Anna"]}`, ``, true},
	} {
		for _, y := range [][2]string{{x.a, x.b}, {x.b, x.a}} {
			v := viewOf(sourceOf("a.json", patient(y[0])), sourceOf("b.json", patient(y[1])))
			if (len(v.Persons) == 1) != x.one || !x.one && (len(v.Perhaps) != 1 || v.Perhaps[0].Why != "An identifier in common, but different names") {
				t.Errorf("%s and %s are %d persons, %v", y[0], y[1], len(v.Persons), v.Perhaps)
			}
		}
	}
	means(t, map[string]meant{
		"a twin who is only referred to": {[]viewFile{sourceOf("a.json", patient(`{"text":"Anna Smith"}`)),
			sourceOf("b.json", `{"resourceType":"Condition","code":{"text":"Asthma"},"subject":{"identifier":{"system":"insurer","value":"7"},"display":"Smith, Beth"}}`)}, []string{"2 persons", "different names"}},
		"she herself": {[]viewFile{sourceOf("a.json", patient(`{"text":"Anna Smith"}`)),
			sourceOf("b.json", `{"resourceType":"Condition","code":{"text":"Asthma"},"subject":{"identifier":{"system":"insurer","value":"7"},"display":"SMITH, ANNA (1 Jan 2020)"}}`)}, []string{"-2 persons"}},
		"an accent, and no number": {[]viewFile{sourceOf("a.json", `{"resourceType":"Patient","birthDate":"2020-01-01","name":[{"text":"José Núñez"}]}`),
			sourceOf("b.json", `{"resourceType":"Patient","birthDate":"2020-01-01","name":[{"text":"Jose Nunez"}]}`)}, []string{"2 persons", "The same name and birth date"}},
	})
}

// What else is silently left out would make the rest wrong.
func TestViewLeavesNothingOut(t *testing.T) {
	means(t, map[string]meant{
		"an allergy by its reaction": {one(`{"resourceType":"AllergyIntolerance","code":{"text":"Drug allergy"},"reaction":[{"substance":{"text":"Amoxicillin"},"manifestation":[{"text":"Rash"}]}]}`, `{"resourceType":"MedicationStatement","status":"active","medicationCodeableConcept":{"text":"Amoxicillin 500 MG"}}`),
			[]string{"Rash to Amoxicillin", "an allergy is listed, Drug allergy: the same ingredient, amoxicillin"}},
		"an order by another name":      {one(`{"resourceType":"MedicationRequest","status":"active","intent":"original-order","medicationCodeableConcept":{"text":"Warfarin"}}`), []string{"-not an order"}},
		"no order":                      {one(`{"resourceType":"MedicationRequest","status":"active","intent":"option","medicationCodeableConcept":{"text":"Warfarin"}}`), []string{"option: not an order"}},
		"an order of R5 that ended":     {one(`{"resourceType":"MedicationRequest","status":"ended","intent":"order","medication":{"concept":{"text":"Warfarin"}}}`), []string{"Interactions: not looked for"}},
		"perhaps not taken":             {one(`{"resourceType":"MedicationStatement","status":"active","taken":"unk","medicationCodeableConcept":{"text":"Warfarin"}}`), []string{"whether it is taken is not known"}},
		"a reaction to a vaccine":       {one(`{"resourceType":"Immunization","status":"completed","vaccineCode":{"text":"MMR"},"reaction":[{"detail":{"reference":"Observation/x"}}]}`), []string{"1 reaction to it reported"}},
		"what came of a procedure":      {one(`{"resourceType":"Procedure","status":"completed","code":{"text":"Biopsy"},"outcome":{"text":"failed"},"complication":[{"text":"bleeding"},{"text":"pneumothorax"}]}`), []string{"outcome: failed", "complication: bleeding / pneumothorax"}},
		"a period of no dates":          {one(observation(`"valuePeriod":{"start":"spring","end":"fall"}`)), []string{"spring to fall"}},
		"a vaccine that does not count": {one(`{"resourceType":"Immunization","status":"completed","isSubpotent":true,"vaccineCode":{"text":"MMR"}}`), []string{"not at full strength"}},
		"what a report concludes":       {one(`{"resourceType":"DiagnosticReport","status":"final","code":{"text":"Biopsy"},"conclusionCode":[{"text":"Malignant melanoma"}]}`), []string{"conclusion: Malignant melanoma"}},
		"what is in it, by the second": {two(ada, `{"resourceType":"MedicationStatement","status":"active","medicationCodeableConcept":{"coding":[{"system":"s","code":"x","display":"Brandname"}]}}`,
			`{"resourceType":"MedicationStatement","status":"active","contained":[{"resourceType":"Medication","id":"m","code":{"coding":[{"system":"s","code":"x","display":"Brandname"}]},"ingredient":[{"itemCodeableConcept":{"text":"Simvastatin"}}]}],"medicationReference":{"reference":"#m"}}`,
			`{"resourceType":"MedicationStatement","status":"active","medicationCodeableConcept":{"text":"Clarithromycin"}}`), []string{"1 of the 15 pairs found"}},
	})
}
