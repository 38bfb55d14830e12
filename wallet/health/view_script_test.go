package health

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto/lane"
)

// script is what a node's page for links makes views with.
const script = "../../ledgerclient/node/server/page/view.js"

type scriptLine struct {
	Kind, Name, Text string
	Trend            []float64
}

// scriptViews is what the script makes of files.
func scriptViews(t *testing.T, files [][]byte) (out [][]scriptLine) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	code, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	var in []map[string]string
	for _, f := range files {
		sum := sha256.Sum256(f)
		in = append(in, map[string]string{"text": string(f), "sum": hex.EncodeToString(sum[:])})
	}
	asked, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "-e", `"use strict";`+string(code)+`
process.stdout.write(JSON.stringify(JSON.parse(require("fs").readFileSync(0, "utf8")).map((f) => health.view(f.text, "`+viewDay.Format(time.DateOnly)+`", f.sum))));`)
	cmd.Stdin = bytes.NewReader(asked)
	var says bytes.Buffer
	cmd.Stderr = &says
	answer, err := cmd.Output()
	if err != nil {
		t.Fatal(err, says.String())
	}
	if err := json.Unmarshal(answer, &out); err != nil || len(out) != len(files) {
		t.Fatal(err, len(out))
	}
	return out
}

// shownLines are lines in a form that is compared: what a page says of what was shared, a
// wallet says of what one has, and of interactions the page says that it did not look.
func shownLines[L any](lines []L, of func(L) (kind, name, text string, trend []float64)) string {
	var b strings.Builder
	skip := false
	for _, l := range lines {
		kind, name, text, trend := of(l)
		if kind == "about" {
			kind = LineSection
		}
		if kind == LineSection || kind == LinePerson {
			skip = kind == LineSection && name == "Interactions"
		}
		if skip {
			continue
		}
		text = strings.ReplaceAll(text, "in what you have", "in what was shared")
		if before, _, ok := strings.Cut(text, "not read: "); ok {
			text = before + "not read" // each names the fault in its own words
		}
		fmt.Fprintf(&b, "%s|%s|%s", kind, name, text)
		for _, y := range trend {
			fmt.Fprintf(&b, "|%g", y)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// sameAsScript holds the script to what the wallet says of each file by itself.
func sameAsScript(t *testing.T, files [][]byte) {
	t.Helper()
	// The page does not know ingredients, and no interactions.
	old := medicineTable
	t.Cleanup(func() { medicineTable = old })
	none := &interactionTable{}
	medicineTable = func() *interactionTable { return none }

	files = slices.DeleteFunc(files, isLines) // links have one Bundle or resource
	got := scriptViews(t, files)
	for i, f := range files {
		view := viewOf(viewFile{Source{Name: "what was shared"}, f})
		want := shownLines(view.Lines(ViewWords{Conflicts: true, Sources: true}), func(l ViewLine) (string, string, string, []float64) { return l.Kind, l.Name, l.Text, l.Trend })
		if got := shownLines(got[i], func(l scriptLine) (string, string, string, []float64) { return l.Kind, l.Name, l.Text, l.Trend }); got != want {
			t.Fatalf("file %d: %s\nof %.3000s", i, firstDifference(got, want), f)
		}
	}
}

// allFixtures are all files of the fixtures that a view could be made of.
func allFixtures(t *testing.T, dirs ...string) (out [][]byte) {
	t.Helper()
	for _, dir := range dirs {
		if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
				return err
			}
			b, err := os.ReadFile(path)
			if bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) && IsFHIR(path, b) {
				out = append(out, b)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestScriptSaysTheSame: who opens a link in a browser reads what the wallet shows.
func TestScriptSaysTheSame(t *testing.T) {
	none := `{"coding":[{"system":"http://snomed.info/sct","code":"716186003","display":"No known allergy"}]}`
	nuts := `{"coding":[{"system":"urn:city","code":"1","display":"Nuts"}]}`
	anns := `{"fullUrl":"http://%s.example/Patient/a","resource":{"resourceType":"Patient","id":"a","name":[{"text":"Ann"}]}},`
	sameAsScript(t, append(allFixtures(t, "../../testdata/fhir"),
		[]byte(`{"resourceType":"Bundle","type":"collection","entry":[`+fmt.Sprintf(anns, "one")+fmt.Sprintf(anns, "other")+
			`{"resource":{"resourceType":"Condition","subject":{"reference":"Patient/a"},"code":{"text":"x"}}},{"resource":{"resourceType":"Condition","subject":{"reference":"Patient/a/_history/2"},"code":{"text":"y"}}}]}`),
		[]byte(`{"resourceType":"AllergyIntolerance","code":[`+none+`,`+nuts+`]}`),
		[]byte(`{"resourceType":"AllergyIntolerance","code":[`+none+`]}`),
		[]byte(`{"resourceType":"AllergyIntolerance","code":{"text":"No known drug allergies"}}`),
		[]byte(`{"resourceType":"Condition","code":{"text":"Asthma"},"verificationStatus":{"coding":[{"system":"http://snomed.info/sct","code":"410516002","display":"Known absent"}]}}`),
		[]byte(`{"resourceType":"Condition","code":{"text":"Asthma"},"abatementBoolean":true}`),
		[]byte(`{"resourceType":"Condition","code":{"text":"Asthma"},"clinicalStatus":{"coding":[{"system":"http://snomed.info/sct","code":"55561003","display":"Active"}]}}`),
		[]byte(`{"resourceType":"MedicationStatement","status":"active","contained":[{"resourceType":"Medication","id":"m","status":"entered-in-error","code":{"text":"Warfarin"}}],"medicationReference":{"reference":"#m"}}`),
		[]byte(`{"resourceType":"AllergyIntolerance","code":{"text":"No known allergies but penicillin"}}`),
		[]byte(`{"resourceType":"AllergyIntolerance","code":{"text":"No known allergy","coding":[{"system":"http://snomed.info/sct","code":"91936005"}]}}`),
		[]byte(`{"resourceType":"AllergyIntolerance","code":{"coding":[{"system":"http://snomed.info/sct","code":"1003774007","display":"Hevea"}]}}`),
		[]byte(`{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"AllergyIntolerance","code":{"text":"No known allergy to penicillin"}}},{"resource":{"resourceType":"AllergyIntolerance","code":{"text":"Penicillin"}}}]}`)))
}

func TestScriptSaysTheSameOfPublished(t *testing.T) {
	published(t, "maria/*.json") // or there are none
	sameAsScript(t, allFixtures(t, filepath.Join(os.Getenv("CAREKEY_TESTDATA"), "data", "fhir")))
}

// TestScriptSaysTheSameOfOdd: also of files that are not as they should be.
func TestScriptSaysTheSameOfOdd(t *testing.T) {
	rng := rand.New(rand.NewPCG(14, 1))
	var out [][]byte
	for _, f := range allFixtures(t, "../../testdata/fhir") {
		if len(f) > 64<<10 {
			continue
		}
		for range lane.Pick(40, 8, 2) {
			d := json.NewDecoder(bytes.NewReader(f))
			d.UseNumber()
			var v any
			if d.Decode(&v) != nil {
				break
			}
			for range 1 + rng.IntN(6) {
				disturb(rng, v)
			}
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, b)
		}
	}
	if len(out) == 0 {
		t.Fatal("nothing was disturbed")
	}
	sameAsScript(t, out)
}

// TestScriptSaysTheSameOfRaw: also of what is hardly JSON, and of names that mean something
// in a script.
func TestScriptSaysTheSameOfRaw(t *testing.T) {
	one := `{"resourceType":"AllergyIntolerance","id":"a","code":{"text":"Nuts"}}`
	in := func(entry string) string {
		return `{"resourceType":"Bundle","type":"collection","entry":[` + entry + `]}`
	}
	whole := in(`{"fullUrl":"urn:uuid:1","resource":` + one + `}`)
	deep := func(n int) string {
		return `{"resourceType":"Basic","extension":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
	}
	raw := []string{
		"\ufeff" + one, "\ufeff\ufeff" + one, one + "\n", one + "x", one + one, one + "\u00a0", " \t\r\n" + one, "\v" + one,
		`{"resourceType":"Bundle"}`, in(""), in("null"), in("1"), in("{}"), in(`{"resource":null}`), in(`{"resource":[]}`), in(`{"resource":{"resourceType":1}}`), in(`{"resource":{"resourceType":"` + strings.Repeat("A", 65) + `"}}`),
		`{"resourceType":"Bundle","entry":{"resource":` + one + `}}`, in(whole), in(`{"resource":` + whole + `}`),
		strings.Replace(one, `"id"`, `"resourceType"`, 1), strings.Replace(one, `"id"`, `"RESOURCETYPE"`, 1), strings.Replace(one, `"id"`, `"\u0069d"`, 1), strings.Replace(one, `"id"`, `"\u017Fd"`, 1), strings.Replace(one, `"id"`, `"\u00efd"`, 1), strings.Replace(one, `"id"`, `""`, 1),
		strings.Replace(one, "Nuts", `N\u0000uts`, 1), strings.Replace(one, "Nuts", "N\x01uts", 1), strings.Replace(one, "Nuts", `\ud800`, 1), strings.Replace(one, "Nuts", `\ud83e\udd5c`, 1), strings.Replace(one, "Nuts", `\udd5c\ud83e`, 1), strings.Replace(one, "Nuts", `N\uts`, 1), strings.Replace(one, "Nuts", `\x`, 1),
		strings.Replace(one, "Nuts", "\u202eNuts\u2028\u0085", 1), strings.Replace(one, "Nuts", "<img src=x onerror=alert(1)>&amp;", 1), strings.Replace(one, "Nuts", strings.Repeat("n", 100_000), 1),
		deep(62), deep(63), deep(64), deep(65),
		strings.Replace(one, `"a"`, "01", 1), strings.Replace(one, `"a"`, "1.", 1), strings.Replace(one, `"a"`, "-", 1), strings.Replace(one, `"a"`, "1e5", 1), strings.Replace(one, `"a"`, "+1", 1), strings.Replace(one, `"a"`, "tru", 1), strings.Replace(one, `"a"`, "nullx", 1), strings.Replace(one, `"a"`, "[1,]", 1), strings.Replace(one, `"a"`, "[,1]", 1), strings.Replace(one, `,"code"`, `,,"code"`, 1), strings.Replace(one, `}}`, `},}`, 1),
		`{"resourceType":"AllergyIntolerance","code":{"text":"x","coding":[{"system":"__proto__","code":"constructor"}]},"__proto__":{"status":"entered-in-error"},"constructor":"toString"}`,
		in(`{"fullUrl":"__proto__","resource":{"resourceType":"Patient","id":"__proto__","name":[{"text":"constructor"}]}},{"resource":{"resourceType":"Condition","subject":{"reference":"__proto__"},"code":{"text":"hasOwnProperty"}}}`),
		in(`{"resource":{"resourceType":"constructor"}},{"resource":{"resourceType":"toString","subject":{"reference":"Patient/x"}}}`),
		"{", `"x"`, "{}", `{"resourceType":"Patient"`,
	}
	var members []string
	for i := range 257 {
		members = append(members, fmt.Sprintf(`"m%d":0`, i))
	}
	raw = append(raw, `{"resourceType":"Basic",`+strings.Join(members[:255], ",")+"}", `{"resourceType":"Basic",`+strings.Join(members, ",")+"}")
	var files [][]byte
	for _, s := range raw {
		files = append(files, []byte(s))
	}
	// And of any file with some of its bytes changed.
	rng := rand.New(rand.NewPCG(14, 3))
	marks := []byte(`{}[]",:\ 0e.-nt`)
	for _, f := range allFixtures(t, "../../testdata/fhir") {
		if len(f) > 16<<10 {
			continue
		}
		for range lane.Pick(60, 12, 3) {
			b := bytes.Clone(f)
			for range 1 + rng.IntN(3) {
				at := rng.IntN(len(b))
				switch mark := marks[rng.IntN(len(marks))]; rng.IntN(3) {
				case 0:
					b[at] = mark
				case 1:
					b = slices.Insert(b, at, mark)
				case 2:
					b = slices.Delete(b, at, min(at+1+rng.IntN(4), len(b)))
				}
			}
			if utf8.Valid(b) {
				files = append(files, b)
			}
		}
	}
	sameAsScript(t, files)
}

// TestScriptSaysTheSameOfLarge: both read no file, no entry and no number of parts that is too
// large, by bytes.
func TestScriptSaysTheSameOfLarge(t *testing.T) {
	lane.OneGoroutine(t)
	entry := func(note string) string {
		return `{"resource":{"resourceType":"Condition","code":{"text":"x"},"note":[{"text":"` + note + `"}]}}`
	}
	in := func(entries ...string) []byte {
		return []byte(`{"resourceType":"Bundle","type":"collection","entry":[` + strings.Join(entries, ",") + `]}`)
	}
	wide := func(bytes int) string { return strings.Repeat("€", bytes/3) }
	files := [][]byte{
		in(entry(wide(MaxEntry))), in(entry(wide(MaxSplit/2)), entry(wide(MaxSplit/2))),
		in(slices.Repeat([]string{`{"resource":{"resourceType":"Basic"}}`}, MaxParts+1)...),
		in(slices.Repeat([]string{`{"resource":{"resourceType":"Basic","text":1}}`}, MaxParts/2+1)...),
	}
	if lane.Pick(true, false, false) { // and what is just not too large
		files = append(files, in(entry(wide(MaxEntry-1000))), in(slices.Repeat([]string{`{"resource":{"resourceType":"Basic","text":1}}`}, MaxParts/2)...))
	}
	sameAsScript(t, files)
}

// disturb changes something in a tree: it leaves out, doubles, or puts something else there.
func disturb(rng *rand.Rand, v any) {
	for {
		switch at := v.(type) {
		case map[string]any:
			if len(at) == 0 {
				return
			}
			keys := slices.Sorted(maps.Keys(at))
			key := keys[rng.IntN(len(keys))]
			if rng.IntN(4) > 0 && key != "resourceType" {
				if inner := at[key]; isContainer(inner) {
					v = inner
					continue
				}
			}
			other := keys[rng.IntN(len(keys))]
			switch rng.IntN(7) {
			case 0:
				delete(at, key)
			case 1:
				at[key] = []any{json.Number("7.10"), "", "2024-02-30", true, nil, map[string]any{}, []any{}, "active", "entered-in-error"}[rng.IntN(9)]
			case 2:
				at[key], at[other] = at[other], at[key]
			case 3:
				at["modifierExtension"] = []any{map[string]any{"url": "urn:x"}}
			case 4:
				at["status"] = []any{"active", "completed", "stopped", "not-done", "cancelled", "draft"}[rng.IntN(6)]
			case 5:
				at[key] = []any{at[key], at[other]} // a list where one should be
			case 6:
				if list, ok := at[key].([]any); ok && len(list) > 0 {
					at[key] = list[0] // one where a list should be
				}
			}
			return
		case []any:
			if len(at) == 0 {
				return
			}
			i := rng.IntN(len(at))
			if rng.IntN(8) == 0 {
				at[i] = at[rng.IntN(len(at))] // one of them stands twice
				return
			}
			v = at[i]
		default:
			return
		}
	}
}

func isContainer(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

// TestScriptNumbers: numbers are rounded alike.
func TestScriptNumbers(t *testing.T) {
	rng := rand.New(rand.NewPCG(14, 2))
	all := []string{"0", "-0", "0.0000", "100.25", "100.75", "1000.5", "1001.5", "999.99", "9999.5", "0.00001234567", "0.00012345678", "-98.63157894", "7.10", "1e3", "1.5e-7", "123456e10", "12.00030", "5.00001", "245678.5", "0.99999", "99999999999999999.5"}
	for range lane.Pick(20_000, 2_000, 200) {
		n := rng.Float64() * []float64{1e-6, 1e-3, 1, 10, 1000, 1e6, 1e16}[rng.IntN(7)]
		all = append(all, fmt.Sprintf("%.*f", rng.IntN(10), n))
	}
	var entries []string
	for _, s := range all {
		entries = append(entries, `{"resource":{"resourceType":"Observation","status":"final","code":{"text":"n"},"valueQuantity":{"value":`+s+`,"unit":"x"}}}`)
	}
	sameAsScript(t, [][]byte{[]byte(`{"resourceType":"Bundle","type":"collection","entry":[` + strings.Join(entries, ",\n") + `]}`)})
}
