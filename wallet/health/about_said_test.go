package health

import (
	"slices"
	"testing"
)

// Whom a resource says in words that it is about is somebody of the file, as is a Patient.
func TestAboutSaid(t *testing.T) {
	const maria = `{"resourceType":"Patient","id":"1","name":[{"text":"Maria Anna Example"}],"identifier":[{"system":"s","value":"1"}]}`
	condition := func(subject string) string { return `{"resourceType":"Condition","subject": ` + subject + `}` }
	for name, c := range map[string]struct {
		lines []string
		want  []string
	}{
		"no name":             {[]string{maria, condition(`{"reference":"Patient/1"}`)}, []string{"Maria Anna Example"}},
		"another name":        {[]string{maria, condition(`{"reference":"Patient/1","display":"Otto Other"}`)}, []string{"Maria Anna Example", "Otto Other"}},
		"before the Patient":  {[]string{condition(`{"display":"Otto Other"}`), maria}, []string{"Maria Anna Example", "Otto Other"}},
		"of the family":       {[]string{maria, condition(`{"display":"Leo Example"}`)}, []string{"Maria Anna Example", "Leo Example"}},
		"the same, otherwise": {[]string{maria, condition(`{"display":"EXAMPLE, M. (1 Jan 2020)"}`), condition(`{"display":"Mrs Maria Example"}`)}, []string{"Maria Anna Example"}},
		"by identifier":       {[]string{maria, condition(`{"identifier":{"system":"s","value":"1"},"display":"Maria Married"}`)}, []string{"Maria Anna Example"}},
		"no person":           {[]string{maria, condition(`{"reference":"Group/g","display":"Night Shift"}`), condition(`{"type":"Device","display":"Pump Two"}`), condition(`{"display":"Patient 1"}`)}, []string{"Maria Anna Example"}},
		"without a Patient":   {[]string{condition(`{"display":"Otto Other"}`), condition(`{"display":"Other, Otto"}`)}, []string{"Otto Other"}},
	} {
		file := ""
		for _, l := range c.lines {
			file += l + "\n"
		}
		var got []string
		for _, p := range aboutOf(t, file).Persons {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
