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
