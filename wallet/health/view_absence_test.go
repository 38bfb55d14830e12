package health

import "testing"

// An allergy that is not known is none, in words as by a code, and warns of nothing.
func TestViewNoKnownAllergy(t *testing.T) {
	allergy := func(text, code string) string {
		if code != "" {
			code = `,"coding":[{"system":"http://snomed.info/sct","code":"` + code + `","display":"` + text + `"}]`
		}
		return `{"resourceType":"AllergyIntolerance","code":{"text":"` + text + `"` + code + `}}`
	}
	const amoxicillin = `{"resourceType":"MedicationStatement","status":"active","medicationCodeableConcept":{"text":"Amoxicillin","coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"723"}]}}`
	means(t, map[string]meant{
		"in words":                      {one(ada, allergy("No known drug allergies", ""), amoxicillin), []string{"No known drug allergies", "-active or not: not said", "-is a penicillin too"}},
		"of one thing":                  {one(ada, allergy("No known allergy to penicillin", ""), amoxicillin), []string{"No known allergy to penicillin", "-1 entry listed, ", "-is a penicillin too"}},
		"insects, by a code":            {one(ada, allergy("No known insect allergy", "428197003")), []string{"-active or not: not said"}},
		"latex, by a code":              {one(ada, allergy("Hevea", "1003774007")), []string{"-active or not: not said"}},
		"by a code not listed":          {one(ada, allergy("No known nut allergy (situation)", "1")), []string{"-active or not: not said"}},
		"beside a code of a thing":      {one(ada, `{"resourceType":"AllergyIntolerance","code":{"text":"No known allergy","coding":[{"system":"http://snomed.info/sct","code":"91936005"}]}}`), []string{"No known allergy: active or not: not said"}},
		"with an exception":             {one(ada, allergy("No known allergies but penicillin", ""), amoxicillin), []string{"No known allergies but penicillin: active or not: not said"}},
		"no words of a kind":            {one(ada, allergy("No reaction known", "")), []string{"active or not: not said"}},
		"of one thing that another has": {two(ada, allergy("No known allergy to penicillin", ""), `{"resourceType":"AllergyIntolerance","code":{"text":"Penicillin"}}`), []string{"1 contradiction", "Penicillin: active or not: not said"}},
		"where another has one":         {two(ada, allergy("No known drug allergies", ""), `{"resourceType":"AllergyIntolerance","category":["medication"],"code":{"text":"Penicillin"}}`), []string{"1 contradiction", "Penicillin: active or not: not said"}},
	})
}
