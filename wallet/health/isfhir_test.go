package health

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/fault"
)

func TestIsFHIR(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write([]byte(`{"resourceType":"Basic"}`))
	z.Close()
	wide := func(s string) string { return "\x00" + spread(s[:len(s)-1]) + s[len(s)-1:] } // the high byte first
	const basic = `{"resourceType":"Basic"}`
	for _, c := range []struct {
		name, file string
		want       bool
	}{
		{"a.json", basic, true},
		{"a.pdf", basic, true},
		{"", basic, true},
		{"", "\xef\xbb\xbf \x00\n" + basic, true},
		{"", "\x1e" + basic, true},
		{"", "\xff\xfe" + spread(basic), true},
		{"", "\xfe\xff" + wide(basic), true},
		{"", "\xff\xfe\x00\x00" + spread(spread(basic)), true},
		{"", `[{"a":[{"RESOURCEtype":1}`, true},
		{"", `{"\u0072esourceType":"Basic"}`, true},
		{"", `{"\u0052ESOURC\u0045Type":"Basic"}`, true},
		{"", `{"re` + "\u017f" + `ourceType":"Basic"}`, true},
		{"", `{"re\u017fourceType":"Basic"}`, true},
		{"", `{"a":"\\\u0072esourceType"}`, true},
		{"", `{resourceresourceType}`, true},
		{"", `{resouresourceType}`, true},
		{"", `{reresourceType}`, true},
		{"", `{resourresourceType}`, true},
		{"", `{"not JSON at all, resourceType`, true},
		{"", `{"resource":"Type","resourceTyp":"e"}`, false},
		{"", `{"resource\nType":"a","resource\u00ffType":1,"resource\u00zzType":1}`, false},
		{"a.json", `{"glucose":[1,2,3]}`, false},
		{"a.json", `"resourceType"`, false},
		{"a.json", `x{"resourceType":"Basic"}`, true},
		{"a.ndjson", "oops\n" + basic + "\n" + basic, true},
		{"", "// of the clinic\n" + basic, true},
		{"", "// of the clinic\n" + strings.Repeat(" ", 5<<20) + basic, false}, // films are not searched
		{"", strings.Repeat(" ", 5<<20) + basic, true},
		{"", "{" + strings.Repeat(" ", 5<<20) + basic, true},
		{"", `<Patient xmlns="http://hl7.org/fhir"/>`, true},
		{"", `<f:Patient xmlns:f='http://hl7.org/fhir'/>`, true},
		{"", "\xff\xfe" + spread(`<Patient xmlns="http://hl7.org/fhir"/>`), true},
		{"", `<html>resourceType</html>`, false},
		{"", `see http://hl7.org/fhir <b>`, false},
		{"a.txt", "resourceType {}", false},
		{"a.json", `<ClinicalDocument xmlns="urn:hl7-org:v3">{"resourceType":"Basic"}</ClinicalDocument>`, true},
		{"a.json", "", false},
		{"a.json", "{", false},
		{"a.json", zipped.String(), true},
		{"A.NDJSON", zipped.String(), true},
		{"a.ndjson.gz", zipped.String(), true},
		{"a.json", "\x1f", false},
		{"a.tar.gz", zipped.String(), true},
		{"", zipped.String(), true},
		{"", zipped.String()[:zipped.Len()-8], true}, // torn
		{"a.tar.gz", zipped.String()[:12], false},
	} {
		if got := IsFHIR(c.name, []byte(c.file)); got != c.want {
			t.Errorf("%s with %.60q is FHIR: %t", c.name, c.file, got)
		}
		d := NewDetector(c.name)
		for i := range len(c.file) {
			d.Write([]byte(c.file[i : i+1]))
		}
		if got := d.FHIR(); got != c.want {
			t.Errorf("%s with %.60q, byte by byte, is FHIR: %t", c.name, c.file, got)
		}
	}
}

// What people have besides FHIR, and files that look like it: a word for each.
func TestNotFHIR(t *testing.T) {
	for file, why := range map[string]string{
		"":                                 "it is empty",
		"\x1f\x8b\x08\x00":                 "it is compressed",
		"<?xml version=\"1.0\"?>":          "it is XML or HTML",
		"\xef\xbb\xbf\r\n<Bundle/>":        "it is XML or HTML",
		"%PDF-1.7":                         "it is no JSON",
		`{"glucose":[1,2,3]}`:              "no resourceType is in it",
		"PK\x03\x04":                       "it is no JSON",
		strings.Repeat(`{"a":`, 1_000_000): "no resourceType is in it",
	} {
		cut, err := Split([]byte(file))
		if e, ok := fault.As(err, ErrNotFHIR); cut != nil || !ok || !errors.Is(err, ErrNotSplit) || !strings.Contains(fault.Get[string](e, "why"), why) {
			t.Errorf("%.20q: %v, want %s", file, err, why)
		}
	}
}

// The record with something of everything that the stories are told with.
func TestSplitStory(t *testing.T) {
	for _, name := range []string{"parts.json", "leo.json", "maria-example.json"} {
		file, err := os.ReadFile("../../testdata/fhir/" + name)
		if err != nil {
			t.Fatal(err)
		}
		cut, err := Split(file)
		if err != nil {
			t.Fatal(err)
		}
		wholeAgain(t, file, cut)
		again(t, cut)
	}
}
