package health

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/carekey/carekey/crypto"
)

// The sizes of parts in three records that others generated: how many types and codes could
// stand in a part that is kept back, for somebody who knows these three records and all but
// this part. Only numbers are kept here.
func TestLengthsOfPublished(t *testing.T) {
	data := os.Getenv("CAREKEY_TESTDATA")
	if data == "" {
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatal("CAREKEY_TESTDATA is not set")
		}
		t.Skip("CAREKEY_TESTDATA is not set: the folder with data/fhir is not here")
	}
	files, err := filepath.Glob(filepath.Join(data, "data", "fhir", "synthea", "*.json"))
	if err != nil || len(files) != 3 {
		t.Fatal(len(files), err)
	}
	type part struct {
		kind, what string
		size       int
	}
	var all []part
	padded, exact := map[int]map[string]bool{}, map[int]map[string]bool{}
	note := func(in map[int]map[string]bool, size int, what string) {
		if in[size] == nil {
			in[size] = map[string]bool{}
		}
		in[size][what] = true
	}
	for _, name := range files {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		cut, err := Split(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range cut.Parts {
			p := &cut.Parts[i]
			if p.Text {
				continue
			}
			_, r, err := p.decode()
			if err != nil {
				t.Fatal(err)
			}
			x := part{p.Type, p.Type + firstCode(r), p.Len()}
			all = append(all, x)
			note(padded, crypto.PartClass(x.size), x.what)
			note(exact, x.size, x.what)
		}
	}
	total, enough, alone := 0, 0, 0
	for _, x := range all {
		n := len(padded[crypto.PartClass(x.size)])
		switch x.kind {
		case "Condition", "MedicationRequest":
			if n < 20 {
				t.Errorf("a %s has %d candidates", x.kind, n)
			}
		case "Observation", "Procedure":
		default:
			continue
		}
		total++
		if n >= 20 {
			enough++
		}
		if len(exact[x.size]) == 1 {
			alone++
		}
	}
	t.Logf("%d parts: %d with 20 candidates or more, %d of a size that only one has", total, enough, alone)
	// Panels of blood pressure are alone in their class with few, and procedures without a reason.
	if total != 251 || enough < 226 || alone < total/2 {
		t.Errorf("%d parts, %d with 20 candidates, %d alone by their exact size", total, enough, alone)
	}
}

func firstCode(r map[string]any) string {
	for _, key := range []string{"code", "medicationCodeableConcept"} {
		c, _ := r[key].(map[string]any)
		if codings, _ := c["coding"].([]any); len(codings) > 0 {
			if coding, ok := codings[0].(map[string]any); ok {
				return fmt.Sprint(" ", coding["system"], " ", coding["code"])
			}
		}
	}
	return ""
}
