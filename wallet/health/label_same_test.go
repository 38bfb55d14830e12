package health

import "testing"

// One fact is as sensitive in one code system as in another, and in words.
func TestLabelSameFactInAll(t *testing.T) {
	const loinc = "http://loinc.org"
	for name, c := range map[string]struct{ resource, want string }{
		"papillomavirus, ICD":                {`{"resourceType":"Condition","code":` + coded(icd, "B97.7", "x") + `}`, "sexual-health"},
		"papillomavirus, SNOMED CT":          {`{"resourceType":"Condition","code":` + coded(snomed, "240532009", "x") + `}`, "sexual-health"},
		"papillomavirus, LOINC":              {`{"resourceType":"Observation","code":` + coded(loinc, "21440-3", "x") + `}`, "sexual-health"},
		"papillomavirus, in words":           {`{"resourceType":"Condition","code":` + coded(icd, "Z00", "Human papilloma virus") + `}`, "sexual-health"},
		"a partner's violence, sum":          {`{"resourceType":"Observation","code":` + coded(loinc, "76504-0", "x") + `}`, "violence"},
		"ethyl glucuronide":                  {`{"resourceType":"Observation","code":` + coded(loinc, "45374-6", "x") + `}`, "substance-use"},
		"benzodiazepines in urine":           {`{"resourceType":"Observation","code":` + coded(loinc, "3390-2", "x") + `}`, "substance-use"},
		"a dementia test":                    {`{"resourceType":"Observation","code":` + coded(loinc, "72106-8", "x") + `}`, "mental-health"},
		"another dementia test":              {`{"resourceType":"Observation","code":` + coded(loinc, "72172-0", "x") + `}`, "mental-health"},
		"disorder of development, ICD":       {`{"resourceType":"Condition","code":` + coded(icd, "F84.9", "x") + `}`, "mental-health"},
		"disorder of development, SNOMED CT": {`{"resourceType":"Condition","code":` + coded(snomed, "35919005", "x") + `}`, "mental-health"},
	} {
		if got := said(&labelled(t, c.resource)[0]); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
