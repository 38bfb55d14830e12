package health

import (
	"fmt"
	"strings"
	"testing"
)

// What says whose it is counts, wherever it stands, and a word that only holds a name does
// not.
func TestNaming(t *testing.T) {
	const maria = `{"fullUrl": "urn:uuid:0b2f6c1e", "resource": {"resourceType": "Patient", "id": "p1", "birthDate": "1979-02-11",
		"identifier": [{"system": "urn:clinic", "value": "MRN-7719"}], "name": [{"family": "Example", "given": ["Ma", "Grétel Ann"]}]}}`
	cut := func(entries ...string) *Cut {
		c, err := Split([]byte(`{"resourceType": "Bundle", "entry": [` + strings.Join(append([]string{maria}, entries...), ",") + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, tt := range map[string]struct {
		entry string
		want  int
	}{
		"nothing":                      {`{"resourceType": "Observation", "status": "final"}`, 0},
		"by reference":                 {`{"resourceType": "Observation", "subject": {"reference": "Patient/p1"}}`, 1},
		"by the reference of another":  {`{"resourceType": "Observation", "subject": {"reference": "Patient/p10"}}`, 0},
		"by an absolute one":           {`{"resourceType": "Observation", "subject": {"reference": "https://ehr.example/fhir/Patient/p1/_history/2"}}`, 1},
		"by URL":                       {`{"resourceType": "Observation", "subject": {"reference": "urn:uuid:0b2f6c1e"}}`, 1},
		"by identifier":                {`{"resourceType": "Observation", "subject": {"identifier": {"value": "mrn-7719"}}}`, 1},
		"by the display of a practice": {`{"resourceType": "Observation", "performer": [{"display": "Practice of E. Xample"}]}`, 0},
		"by name":                      {`{"resourceType": "Observation", "note": [{"text": "seen with Mrs EXAMPLE today"}]}`, 1},
		"by an escaped name":           {`{"resourceType": "Observation", "note": [{"text": "Gr\u00e9tel!"}]}`, 1},
		"by one of three letters":      {`{"resourceType": "Observation", "note": [{"text": "Ann"}]}`, 1},
		"in a longer word":             {`{"resourceType": "Observation", "note": [{"text": "annual examples, bananna, Ma"}]}`, 0},
		"by the day of birth":          {`{"resourceType": "Observation", "note": [{"text": "born 1979-02-11"}]}`, 1},
		"by another day":               {`{"resourceType": "Observation", "effectiveDateTime": "1979-02-12"}`, 0},
		"in its narrative":             {`{"resourceType": "Observation", "text": {"div": "<div>Example, Ma</div>"}, "status": "final"}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := cut(`{"resource": ` + tt.entry + `}`)
			var parts []int
			for i := 1; i < len(c.Parts); i++ {
				parts = append(parts, i)
			}
			if got := c.Naming(parts); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
	c := cut(`{"resource": {"resourceType": "Observation", "subject": {"reference": "Patient/p1"}}}`, `{"resource": {"resourceType": "Observation"}}`)
	for i, parts := range [][]int{{}, {0}, {1}, {2}, {0, 1, 2}} {
		if got, want := c.Naming(parts), []int{0, 1, 1, 0, 2}[i]; got != want {
			t.Errorf("%v: %d, want %d", parts, got, want)
		}
	}
	var many strings.Builder
	for i := range 100 {
		fmt.Fprintf(&many, `,{"resource": {"resourceType": "Patient", "id": "x%d"}}`, i)
	}
	if got := cut(many.String()[1:]).Naming([]int{100}); got != 0 {
		t.Errorf("a Patient that names nobody: %d", got)
	}
}

// However many names the persons of a file have, its texts are gone through once.
func TestNamingMany(t *testing.T) {
	names := manyJSON(50_000, func(i int) string { return fmt.Sprintf(`{"text":"Nam%dx"}`, i) })
	resources := append([]string{`{"resourceType":"Patient","name":[` + names + `]}`}, many(20_000, func(i int) string {
		return fmt.Sprintf(`{"resourceType":"Condition","id":"%d","code":{"text":"some words of some length that are no name"}}`, i)
	})...)
	resources = append(resources, `{"resourceType":"Condition","code":{"text":"seen by (Nam49999x), her mother"}}`)
	c, err := Split(sourceOf("", resources...).bytes)
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for i := range c.Parts {
		all = append(all, i)
	}
	if n := c.Naming(all); n != 2 {
		t.Errorf("%d of %d parts say whose they are", n, len(all))
	}
}
