package health

import (
	"slices"
	"strings"
	"testing"
)

// Sources that contradict each other plainly, though what they list is not merged: nothing
// of it may be silent.
func TestViewContradictions(t *testing.T) {
	allergy := func(verified, more string) string {
		return `{"resourceType":"AllergyIntolerance","verificationStatus":{"coding":[{"code":"` + verified + `"}]},"code":{"text":"Penicillin","coding":[{"system":"http://snomed.info/sct","code":"91936005"}]}` + more + `}`
	}
	simvastatin := func(kind, more string) string {
		return `{"resourceType":"` + kind + `","medicationCodeableConcept":{"text":"Simvastatin","coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"36567"}]},` + more + `}`
	}
	dose := func(day, text string) string {
		return simvastatin("MedicationRequest", `"status":"active","intent":"order","authoredOn":"`+day+`","dosageInstruction":[{"text":"`+text+`"}]`)
	}
	haemoglobin := func(when, value string) string {
		return `{"resourceType":"Observation","status":"final","code":{"text":"Haemoglobin","coding":[{"system":"http://loinc.org","code":"718-7"}]},"effectiveDateTime":"` + when + `","valueQuantity":{"value":` + value + `,"unit":"g/dL",` + ucum + `,"code":"g/dL"}}`
	}
	asthma := func(status, onset string) string {
		return `{"resourceType":"Condition","clinicalStatus":{"coding":[{"code":"` + status + `"}]},"code":{"text":"Asthma","coding":[{"system":"http://snomed.info/sct","code":"195967001"}]},"onsetDateTime":"` + onset + `"}`
	}
	means(t, map[string]meant{
		"an allergy that is refuted":                {two(ada, allergy("confirmed", ""), allergy("refuted", "")), []string{"2 contradictions", "Penicillin: "}},
		"an allergy that is refuted, and one dated": {two(ada, allergy("confirmed", `,"onsetDateTime":"2001-02-03"`), allergy("refuted", "")), []string{"1 contradiction", "Penicillin stands twice: listed, 3 Feb 2001 (source 1); refuted (source 2)"}},
		"a correction within one source":            {one(ada, allergy("confirmed", ""), allergy("refuted", "")), []string{"-contradiction"}},
		"ordered and not taken": {two(ada, simvastatin("MedicationRequest", `"status":"active","intent":"order","authoredOn":"2026-01-02"`), simvastatin("MedicationStatement", `"status":"not-taken"`)),
			[]string{"1 contradiction", "Simvastatin stands twice: active, 2 Jan 2026 (source 1); not-taken (source 2)"}},
		"two doses": {two(ada, dose("2026-01-02", "20 mg daily"), dose("2026-01-03", "80 mg daily")),
			[]string{"1 contradiction", "Simvastatin, 20 mg daily, 2 Jan 2026 (source 1); Simvastatin, 80 mg daily, 3 Jan 2026 (source 2), all at once"}},
		"one dose, ordered again":  {two(ada, dose("2026-01-02", "20 mg daily"), dose("2026-01-03", "20 mg daily")), []string{"-contradiction"}},
		"two values on a day":      {two(ada, haemoglobin("2026-01-02", "13"), haemoglobin("2026-01-02", "8")), []string{"1 contradiction", "13 g/dL (source 1); 8 g/dL (source 2), all on 2 Jan 2026"}},
		"a day, and a point of it": {two(ada, haemoglobin("2026-01-02", "13"), haemoglobin("2026-01-02T10:00:00Z", "8")), []string{"1 contradiction"}},
		"two points of a day":      {two(ada, haemoglobin("2026-01-02T08:00:00Z", "13"), haemoglobin("2026-01-02T10:00:00Z", "8")), []string{"-contradiction"}},
		"the value among others":   {two(ada, haemoglobin("2026-01-02", "13"), haemoglobin("2026-01-02T08:00:00Z", "13"), haemoglobin("2026-01-02T10:00:00Z", "8")), []string{"-contradiction"}},
		"active and resolved":      {two(ada, asthma("active", "2026-01-02"), asthma("resolved", "2026-01-03")), []string{"1 contradiction", "Asthma stands twice: 2 Jan 2026, active (source 1); 3 Jan 2026, resolved (source 2)"}},
		"active twice":             {two(ada, asthma("active", "2026-01-02"), asthma("active", "2026-01-03")), []string{"1 thing that may stand twice"}},
	})
	of := viewOf(two(ada, haemoglobin("2026-01-02", "13"))...)
	if lines := of.Lines(ViewWords{Only: true, Conflicts: true}); !slices.ContainsFunc(lines, func(l ViewLine) bool {
		return strings.HasPrefix(l.Text, "nowhere among what was compared: problems, allergies and medicines by code; ")
	}) {
		t.Error(lines)
	}
}
