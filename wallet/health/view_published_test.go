package health

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// publishedViews are what is seen of records that others made: how many persons, items and
// copies, the states of the sections in their order, and a hash of the whole view in JSON.
var publishedViews = map[string]string{
	"maria/*.json":               "32 of 53, LLLLL---L, 0 withdrawn, 1 conflicts | 2 of 2, -L--L----, 0 withdrawn, 0 conflicts, 29eec4a9",
	"ips/AT_ELGA*.json":          "94 of 94, LLLLL---L, 0 withdrawn, 2 conflicts, 5e83f32b",
	"ips/IPS_IG-bundle-01.json":  "13 of 13, LLL-L---L, 0 withdrawn, 0 conflicts, af0c043b",
	"ips/IPS-IG_*.json":          "32 of 32, LLLLLLL-L, 0 withdrawn, 0 conflicts, f89a8f90",
	"ips/US_MEDITECH_ips_1.json": "41 of 41, LLLL-L-LL, 12 withdrawn, 0 conflicts, 9ccdd834",
	"synthea/*.json":             "95 of 95, LLLLLL-L-, 0 withdrawn, 0 conflicts | 113 of 113, LLLLLL-L-, 0 withdrawn, 0 conflicts | 95 of 95, LLLLLL-L-, 0 withdrawn, 0 conflicts, ad190962",
	"hl7-r4-examples/*.json":     "5 of 5, LL--L---L, 0 withdrawn, 0 conflicts | 0 of 0, ---------, 0 withdrawn, 0 conflicts | 0 of 0, ---------, 0 withdrawn, 0 conflicts | 1 of 1, -L-------, 0 withdrawn, 0 conflicts | 0 of 0, ---------, 0 withdrawn, 0 conflicts | 0 of 0, ---------, 0 withdrawn, 0 conflicts | 0 of 0, ---------, 0 withdrawn, 0 conflicts | 0 of 0, ---------, 0 withdrawn, 0 conflicts | 0 of 0, ---------, 0 withdrawn, 0 conflicts | 0 of 0, ---------, 0 withdrawn, 0 conflicts | 0 of 0, ---------, 0 withdrawn, 0 conflicts | 0 of 0, ---------, 0 withdrawn, 0 conflicts | 0 of 0, ---------, 0 withdrawn, 0 conflicts | 0 of 0, ---------, 0 withdrawn, 0 conflicts | 1 of 1, L--------, 0 withdrawn, 0 conflicts | 0 of 0, ---------, 0 withdrawn, 0 conflicts | 0 of 0, ---------, 0 withdrawn, 0 conflicts | 1 of 1, --------L, 0 withdrawn, 0 conflicts, 38b7c693",
	"shl-shc-vectors/*.json":     "3 of 3, ---L-----, 0 withdrawn, 0 conflicts | 13 of 13, LLL-L---L, 0 withdrawn, 0 conflicts, ed6a334e",
}

// published are the files that a pattern names in the folder of CAREKEY_TESTDATA.
func published(t *testing.T, pattern string) (out []viewFile) {
	t.Helper()
	data := os.Getenv("CAREKEY_TESTDATA")
	if data == "" {
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatal("CAREKEY_TESTDATA is not set")
		}
		t.Skip("CAREKEY_TESTDATA is not set: the folder with data/fhir is not here")
	}
	paths, err := filepath.Glob(filepath.Join(data, "data", "fhir", pattern))
	if err != nil || len(paths) == 0 {
		t.Fatal(pattern, err)
	}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, viewFile{Source{Name: filepath.Base(p)}, b})
	}
	return out
}

func summed(t *testing.T, v *View) string {
	var says []string
	for i := range v.Persons {
		p := &v.Persons[i]
		items, copies := 0, 0
		states := ""
		for _, name := range []string{inAllergies, inMedicines, inProblems, inImmunizations, inResults, inProcedures, inDevices, inReports, inDocuments} {
			s := p.sections()[name]
			states += map[string]string{StateListed: "L", StateNone: "0", StateNoInfo: "?", StateNothing: "-"}[s.State]
			items += len(s.Items)
			for _, it := range s.Items {
				copies += len(it.Copies)
			}
		}
		says = append(says, fmt.Sprintf("%d of %d, %s, %d withdrawn, %d conflicts", items, copies, states, len(p.Withdrawn), len(p.Conflicts)))
	}
	sum := sha256.Sum256([]byte(viewJSON(t, v)))
	return strings.Join(says, " | ") + ", " + hex.EncodeToString(sum[:4])
}

func TestPublishedViews(t *testing.T) {
	for pattern, want := range publishedViews {
		if got := summed(t, viewOf(published(t, pattern)...)); got != want {
			t.Errorf("%s\n%s\nnot\n%s", pattern, got, want)
		}
	}
}

// One person as three systems recorded her, in all six orders: 54 entries that say something
// (the documents' tables of contents aside). 53 of them stand at her name and become 30: 29
// things, and that nobody knows of allergies, which two say. Two more refer to somebody who
// is not in their file, and stay apart.
func TestMariaOfThreeSystems(t *testing.T) {
	files := published(t, "maria/*.json")
	if len(files) != 3 {
		t.Fatalf("%d files", len(files))
	}
	want := ""
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		v := viewOf(files[order[0]], files[order[1]], files[order[2]])
		got := viewJSON(t, v)
		if want == "" {
			want = got
			in, out := 0, 0
			for _, s := range v.Persons[0].sections() {
				for _, it := range s.Items {
					if it.Type != "Composition" {
						out++
						in += len(it.Copies)
					}
				}
			}
			if in != 50 || out != 29 || len(v.Persons[0].Allergies.NoInfo) != 2 || len(v.Persons) != 2 {
				t.Errorf("%d entries are %d things, %d do not know, %d persons", in, out, len(v.Persons[0].Allergies.NoInfo), len(v.Persons))
			}
		}
		if got != want {
			t.Fatalf("order %v: %s", order, firstDifference(got, want))
		}
	}
}
