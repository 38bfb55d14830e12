package health

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// Threat: a file that was put together months ago is looked at, and the view dates it to today.
// Promise: it says as of when it is, also in a page.
func TestViewSaysAsOfWhenItIs(t *testing.T) {
	const nuts = `{"resourceType":"AllergyIntolerance","code":{"text":"Nuts"},"patient":{"display":"Ann"}}`
	entries := `"entry":[{"resource":` + nuts + `}]}`
	dated := func(when string) []byte {
		return []byte(`{"resourceType":"Bundle","type":"collection","timestamp":` + when + `,` + entries)
	}
	old, plain := dated(`"2026-01-05T10:00:00Z"`), []byte(`{"resourceType":"Bundle","type":"collection",`+entries)
	later := dated(`"2026-03-05T10:00:00Z"`)
	for want, files := range map[string][][]byte{
		"As it was on 5 Jan 2026, looked at on 1 May 2026, from 1 source":                      {old},
		"As they were on 5 Jan 2026 to 5 Mar 2026, looked at on 1 May 2026, from 2 sources":    {later, old},
		"As of 1 May 2026, from 2 sources, 1 of them as it was on 5 Jan 2026":                  {plain, old},
		"As of 1 May 2026, from 3 sources, 2 of them as they were on 5 Jan 2026 to 5 Mar 2026": {later, plain, old},
		"As of 1 May 2026, from 1 source":                                                      {plain},
		"As of 1 May 2026, from 4 sources":                                                     {dated(`"soon"`), dated(`7`), dated(`"2026-13-05"`), []byte(`{"timestamp":"2026-01-05T10:00:00Z",` + nuts[1:])},
	} {
		v := NewViewing()
		for _, f := range files {
			v.Add(Source{Name: "a file"}, f)
		}
		lines := v.View(time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)).Lines(ViewWords{})
		if got := lines[1].Text; !strings.HasPrefix(got, want) || strings.Contains(got, "as it was") != strings.Contains(want, "as it was") {
			t.Errorf("%q, not %q", got, want)
		}
	}
	sameAsScript(t, [][]byte{old, plain, dated(`"soon"`), dated(`7`), dated(`"2026-13-05"`), dated(`"2026-01-05T10:00:00Z\u202e<b>"`)})
}

// Promise: what does not say when it was put together is made to, and what does stays as it is.
func TestDated(t *testing.T) {
	made := time.Date(2026, 12, 1, 4, 0, 30, 0, time.FixedZone("", 3600))
	const says, nuts = `"timestamp":"2026-12-01T03:00:30Z"`, ` {"resourceType":"AllergyIntolerance","code":{"text":"Nuts"}}`
	for file, want := range map[string]string{
		nuts: `{"resourceType":"Bundle","type":"collection",` + says + `,"entry":[{"resource":` + nuts + "}]}\n",
		"\n{ \"resourceType\":\"Bundle\",\"entry\":[{\"resource\":" + nuts + "}]}": "\n{" + says + ", \"resourceType\":\"Bundle\",\"entry\":[{\"resource\":" + nuts + "}]}",
		`{"resourceType":"Bundle","timestamp":"2020-01-01T00:00:00Z","entry":[]}`:  `{"resourceType":"Bundle","timestamp":"2020-01-01T00:00:00Z","entry":[]}`,
	} {
		got := Dated([]byte(file), made)
		if string(got) != want || !json.Valid(got) {
			t.Errorf("%s", got)
		}
	}
	var b strings.Builder
	if err := WriteSubset(&b, made, []Granted{{Body: []byte(nuts[1:])}}); err != nil || !strings.Contains(b.String(), says) || !json.Valid([]byte(b.String())) {
		t.Errorf("%v: %s", err, b.String())
	}
}
