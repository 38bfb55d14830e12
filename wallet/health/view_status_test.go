package health

import "testing"

// A medicine that was entered in error is none that somebody takes, whatever refers to it says.
func TestViewMedicineInError(t *testing.T) {
	const refers = `{"resourceType":"MedicationRequest","status":"active","intent":"order","authoredOn":"2026-01-02","medicationReference":{"reference":"`
	medicine := func(id, status, text string) string {
		return `{"resourceType":"Medication","id":"` + id + `","status":"` + status + `","code":{"text":"` + text + `"}}`
	}
	contained := func(status, text string) string {
		return refers + `#m"},"contained":[` + medicine("m", status, text) + `]}`
	}
	means(t, map[string]meant{
		"contained":          {one(ada, contained("entered-in-error", "Warfarin")), []string{"Withdrawn", "Warfarin", "the medicine itself was entered in error", "-1 entry listed"}},
		"referred to":        {one(ada, refers+`Medication/m"}}`, medicine("m", "entered-in-error", "Warfarin")), []string{"Withdrawn", "the medicine itself was entered in error", "-1 entry listed"}},
		"in use":             {one(ada, contained("active", "Warfarin")), []string{"1 entry listed", "-Withdrawn", "-in error"}},
		"that there is none": {one(ada, refers+`#m"},"contained":[{"resourceType":"Medication","id":"m","status":"entered-in-error","code":{"coding":[{"system":"http://snomed.info/sct","code":"787481004","display":"No known medications"}]}}]}`), []string{"Withdrawn", "-1 source states none"}},
	})
}

// What a source says of a problem in other codes than those of FHIR, or before R4.
func TestViewStatusInOtherWords(t *testing.T) {
	asthma := func(more string) string {
		return `{"resourceType":"Condition","code":{"text":"Asthma"},` + more + `}`
	}
	status := func(name, code, display string) string {
		return `"` + name + `":{"coding":[{"system":"http://snomed.info/sct","code":"` + code + `"` + display + `}]}`
	}
	means(t, map[string]meant{
		"known to be absent":                   {one(ada, asthma(status("verificationStatus", "410516002", `,"display":"Known absent"`))), []string{"Withdrawn", "refuted", "-1 entry listed"}},
		"known to be absent, by the code":      {one(ada, asthma(status("verificationStatus", "410516002", ""))), []string{"Withdrawn", "refuted", "-410516002"}},
		"ended, and not when":                  {one(ada, asthma(`"abatementBoolean":true`)), []string{"Asthma: resolved", "ended, says the source, and not when"}},
		"not ended":                            {one(ada, asthma(`"abatementBoolean":false`)), []string{"Asthma: active or not: not said", "-ended"}},
		"a number with words beside it":        {one(ada, asthma(status("clinicalStatus", "55561003", `,"display":"Active"`))), []string{"Asthma: active", "-55561003"}},
		"a number without a word beside it":    {one(ada, asthma(status("clinicalStatus", "55561003", ""))), []string{"Asthma: 55561003"}},
		"a word of FHIR with others beside it": {one(ada, asthma(`"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"resolved","display":"Gone"}]}`)), []string{"Asthma: resolved", "-gone"}},
	})
}
