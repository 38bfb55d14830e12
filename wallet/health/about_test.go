package health

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func aboutOf(t *testing.T, file string) Summary {
	t.Helper()
	cut, err := Split([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return About(cut)
}

func TestAboutTitleAndDate(t *testing.T) {
	res := func(kind, more string) string {
		return `{"resource":{"resourceType":"` + kind + `"` + more + `}}`
	}
	maria := res("Patient", `,"name":[{"family":"Example","given":["Maria"]}],"description":"no title","birthDate":"1979-02-11"`)
	composed := res("Composition", `,"title":" Discharge\u0007 letter ","date":"2024-05-06T07:08:09+02:00"`)
	lab := res("Observation", `,"description":"Sodium","recordedDate":"2024-03-01"`)
	report := res("DiagnosticReport", `,"description":"Electrolytes","recordedDate":"2024-03-02T12:00:00Z"`)
	for _, c := range []struct{ name, file, title, date string }{
		{"a document", bundleOf(composed, maria, lab, res("Composition", `,"title":"Another","date":"2025"`), res("Condition", `,"recordedDate":"2026-01-01"`)), "Discharge letter", "2024-05-06"},
		{"one resource with its patient", bundleOf(maria, lab, res("Practitioner", ""), res("Organization", "")), "Sodium", "2024-03-01"},
		{"one report", bundleOf(maria, report, lab, lab), "Electrolytes", "2024-03-02"},
		{"two reports", bundleOf(maria, report, report), "Record of Maria Example", "2024-03-02"},
		{"no person", bundleOf(lab, lab), "", "2024-03-01"},
		{"two persons", bundleOf(maria, lab, lab, res("Patient", `,"name":[{"text":"Leo"}]`)), "", "2024-03-01"},
		{"alone", `{"resourceType":"Immunization","description":"Tetanus","recordedDate":"2019-07"}`, "Tetanus", ""},
		{"only coarse dates", bundleOf(res("Condition", `,"recordedDate":"2020"`), res("Condition", `,"recordedDate":"2021-02"`)), "", ""},
		{"what is planned", bundleOf(lab, res("Appointment", `,"recordedDate":"2031-01-01"`), res("Coverage", `,"recordedDate":"2030-01-01"`)), "", "2024-03-01"},
		{"no date but the Bundle's", strings.Replace(bundleOf(maria), `"entry"`, `"timestamp":"2025-06-07T00:00:00Z","entry"`, 1), "Record of Maria Example", "2025-06-07"},
		{"a date that is none", strings.Replace(bundleOf(res("Condition", `,"recordedDate":"2024-02-30"`)), `"entry"`, `"timestamp":"yesterday ago","entry"`, 1), "", ""},
		{"a Composition without a date", bundleOf(res("Composition", `,"title":"A"`), lab), "A", "2024-03-01"},
		{"lines", "{\"resourceType\":\"Patient\",\"name\":[{\"text\":\"Leo\"}]}\n{\"resourceType\":\"Condition\",\"recordedDate\":\"2001-01-01\"}\n{\"resourceType\":\"Condition\",\"recordedDate\":\"2000-01-01\"}\n", "Record of Leo", "2001-01-01"},
		{"a long title", bundleOf(res("Composition", `,"title":"`+strings.Repeat("ä", 200)+`"`)), strings.Repeat("ä", 119) + "…", ""},
	} {
		if got := aboutOf(t, c.file); got.Title != c.title || got.Date != c.date {
			t.Errorf("%s: %q of %q, want %q of %q", c.name, got.Title, got.Date, c.title, c.date)
		}
	}
}

func TestAboutPersons(t *testing.T) {
	const file = `{"resourceType":"Patient","identifier":[{"system":"urn:a","value":"1"},{"value":"no system"},{"system":"urn:b"}],"name":[{"use":"old","text":"Maria Before"},{"given":["Maria","Anna"],"family":"Example"},{"use":"official","text":"Maria A. Example"}],"birthDate":"1979-02-11"}
{"resourceType":"Observation","contained":[{"resourceType":"Patient","id":"p","name":[{"text":"Leo Example"}],"birthDate":"2015-03"},{"resourceType":"Practitioner"}]}
{"resourceType":"Patient","identifier":[{"system":"urn:a","value":"1"},{"system":"urn:c","value":"7"}]}
{"resourceType":"Patient","\u006eame":[{"text":"Example, Maria A."}],"birthDate":"1979-02-11","identifier":[{"system":"urn:d","value":"8"}]}
{"resourceType":"Patient","birthDate":"in May","name":"nobody","identifier":{}}
{"resourceType":"RelatedPerson","name":[{"text":"Her Mother"}]}`
	want := []Person{
		{[]Identifier{{"urn:a", "1"}, {"urn:c", "7"}, {"urn:d", "8"}}, "Maria A. Example", "1979-02-11", false},
		{nil, "Leo Example", "2015-03", false},
		{},
	}
	if got := aboutOf(t, file).Persons; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, "{\"resourceType\":\"Patient\",\"name\":[{\"text\":\"P%d\"}],\"birthDate\":\"2000-01-01\"}\n", i)
	}
	if n := len(aboutOf(t, many.String()).Persons); n != MaxPersons {
		t.Errorf("%d persons", n)
	}
}

func TestPersonIs(t *testing.T) {
	ids := func(values ...string) (list []Identifier) {
		for _, v := range values {
			list = append(list, Identifier{v[:1], v[1:]})
		}
		return list
	}
	for _, c := range []struct {
		p, q        Person
		same, known bool
	}{
		{Person{ids("a1"), "Maria", "1979", false}, Person{ids("b2", "a1"), "Mary", "1979-02", false}, true, true},
		{Person{ids("a1"), "Maria", "1979", false}, Person{ids("b2", "a1"), "Maria", "1980", false}, false, true}, // a family's number
		{Person{nil, "José Núñez", "1979-02-11", false}, Person{nil, "Nunez, Jose", "1979-02-11", false}, true, true},
		{Person{ids("a1"), "Maria Example", "1979-02-11", false}, Person{ids("a2"), "EXAMPLE, maria", "1979-02-11", false}, true, true},
		{Person{ids("a1"), "Maria", "1979-02-11", false}, Person{ids("b1"), "Leo", "1979-02-11", false}, false, true},
		{Person{nil, "Maria", "1979-02-11", false}, Person{nil, "Maria", "1979-02-12", false}, false, true},
		{Person{nil, "Maria", "1979-02-11", false}, Person{nil, "Maria", "1979-02", false}, false, false},
		{Person{nil, "Maria", "1979-02-11", false}, Person{nil, "Maria", "", false}, false, false},
		{Person{nil, "Maria", "", false}, Person{nil, "Leo", "1979", false}, false, true},
		{Person{nil, "", "1979", false}, Person{nil, "", "1979", false}, false, false},
		{Person{ids("a1"), "", "", false}, Person{ids("a2"), "", "", false}, false, false},
		{Person{}, Person{}, false, false},
	} {
		for _, pair := range [][2]Person{{c.p, c.q}, {c.q, c.p}} {
			if same, known := pair[0].Is(&pair[1]); same != c.same || known != c.known {
				t.Errorf("%+v: the same: %t, known: %t", pair, same, known)
			}
		}
	}
}
