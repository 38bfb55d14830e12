package health

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/quick"
	"time"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto/fault"
)

// cuts are files and their parts, by hand: crypto/FORMAT.md, "The cut".
var cuts = []struct {
	name, file, form string
	parts            []string
}{
	{"text first", `{"text": {"div":"a"} , "resourceType":"Basic"}`, FormResource, []string{`{"resourceType":"Basic"}`, `"text": {"div":"a"} , `}},
	{"in the middle", "{\n  \"resourceType\": \"Basic\",\n  \"text\": {},\n  \"id\": \"1\"\n}\n", FormResource,
		[]string{"{\n  \"resourceType\": \"Basic\",\n  \"id\": \"1\"\n}", "\"text\": {},\n  "}},
	{"last", `{ "resourceType":"Basic" , "text" : [{"a":"}"}] }`, FormResource, []string{`{ "resourceType":"Basic"  }`, `, "text" : [{"a":"}"}]`}},
	{"with an escape", `{"resourceType":"Basic","\u0074e\u0078t":1,"id":"1"}`, FormResource, []string{`{"resourceType":"Basic","id":"1"}`, `"\u0074e\u0078t":1,`}},
	{"a type with an escape", `{"\u0072esourceType":"\u0042asic","id":"1"}`, FormResource, []string{`{"\u0072esourceType":"\u0042asic","id":"1"}`}},
	{"none", ` {"resourceType":"Basic"} `, FormResource, []string{`{"resourceType":"Basic"}`}},
	{"only there", `{"resourceType":"Basic","code":{"text":"a"},"contained":[{"resourceType":"Basic","text":{}}]}`, FormResource,
		[]string{`{"resourceType":"Basic","code":{"text":"a"},"contained":[{"resourceType":"Basic","text":{}}]}`}},
	{"bundle", "{\"resourceType\":\"Bundle\",\"entry\":[\n {\"fullUrl\":\"urn:a\",\"resource\":{\"resourceType\":\"Patient\",\"text\":{},\"id\":\"1\"},\"request\":{\"method\":\"PUT\"}} ,{\"resource\":{\"resourceType\":\"Basic\"}}],\"total\":2}", FormBundle,
		[]string{`{"fullUrl":"urn:a","resource":{"resourceType":"Patient","id":"1"},"request":{"method":"PUT"}}`, `"text":{},`, `{"resource":{"resourceType":"Basic"}}`}},
	{"the type behind the entries", `{"entry":[{"resource":{"text":{},"resourceType":"Basic"}}],"id":"1","resourceType":"Bundle"}`, FormBundle, []string{`{"resource":{"resourceType":"Basic"}}`, `"text":{},`}},
	{"text of an entry and of a Bundle", `{"resourceType":"Bundle","text":{},"entry":[{"text":"a","resource":{"resourceType":"Basic"}}]}`, FormBundle, []string{`{"text":"a","resource":{"resourceType":"Basic"}}`}},
	{"a Bundle in a Bundle", `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Basic","text":{}}},{}]}}]}`, FormBundle,
		[]string{`{"resource":{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Basic","text":{}}},{}]}}`}},
	{"no Bundle has these", `{"resourceType":"List","entry":[{"item":{}}],"timestamp":1}`, FormResource, []string{`{"resourceType":"List","entry":[{"item":{}}],"timestamp":1}`}},
	{"lines", "\n{\"resourceType\":\"Basic\",\"id\":\"1\"}\r\n \t\r\n  {\"text\":{},\"resourceType\":\"Patient\"} \n{\"resourceType\":\"Bundle\",\"entry\":[{}]}", FormLines,
		[]string{`{"resourceType":"Basic","id":"1"}`, `{"resourceType":"Patient"}`, `"text":{},`, `{"resourceType":"Bundle","entry":[{}]}`}},
	{"characters", `{"resourceType":"Basic","id":"\ud83d\ude00 \"\\\/\b\f\n\r\t é 😀","n":[-0,1.5e+3,10E-1,true,false,null,[],{}]}`, FormResource,
		[]string{`{"resourceType":"Basic","id":"\ud83d\ude00 \"\\\/\b\f\n\r\t é 😀","n":[-0,1.5e+3,10E-1,true,false,null,[],{}]}`}},
}

func TestSplit(t *testing.T) {
	for _, c := range cuts {
		cut, err := Split([]byte(c.file))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for i := range cut.Parts {
			got = append(got, string(cut.Parts[i].Append(nil)))
		}
		if cut.Form != c.form || !slices.Equal(got, c.parts) {
			t.Errorf("%s: %s with the parts\n%s\nwant %s with\n%s", c.name, cut.Form, strings.Join(got, "\n"), c.form, strings.Join(c.parts, "\n"))
		}
		wholeAgain(t, []byte(c.file), cut)
		again(t, cut)
	}
}

// Where and of what a part is, and what is read of it.
func TestPart(t *testing.T) {
	cut, err := Split([]byte(cuts[7].file))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Part{{Entry: 0, Type: "Patient"}, {Entry: 0, Type: "Patient", Text: true}, {Entry: 1, Type: "Basic"}} {
		p := &cut.Parts[i]
		if p.Entry != want.Entry || p.Type != want.Type || p.Text != want.Text || p.Len() != len(cuts[7].parts[i]) {
			t.Errorf("part %d: %+v", i, p)
		}
	}
	before, after := cut.Parts[0].Resource()
	if string(before) != `{"resourceType":"Patient",` || string(after) != `"id":"1"}` {
		t.Errorf("%s and %s", before, after)
	}
	if before, after := cut.Parts[1].Resource(); before != nil || after != nil {
		t.Errorf("a narrative has a resource")
	}
	if before, after := cut.Parts[2].Resource(); string(before) != `{"resourceType":"Basic"}` || after != nil {
		t.Errorf("%s and %s", before, after)
	}
	entry, resource, err := cut.Parts[0].decode()
	if err != nil || !reflect.DeepEqual(entry, map[string]any{"fullUrl": "urn:a", "request": map[string]any{"method": "PUT"}}) ||
		!reflect.DeepEqual(resource, map[string]any{"resourceType": "Patient", "id": "1"}) {
		t.Errorf("%v %v %v", entry, resource, err)
	}
	for i := range cut.Parts {
		if p := &cut.Parts[i]; p.Sum() != sha256.Sum256([]byte(cuts[7].parts[i])) {
			t.Errorf("the sum of part %d is of something else", i)
		}
	}
}

// nested is a value in so many arrays.
func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// bundleOf is a Bundle of these entries.
func bundleOf(entries ...string) string {
	return `{"resourceType":"Bundle","entry":[` + strings.Join(entries, ",") + `]}`
}

// Each reason for which a file is not split, and that it is said with its place. All of
// these are FHIR to whoever asks what kind of file it is.
func TestNotSplit(t *testing.T) {
	patient := `{"resource":{"resourceType":"Patient"}}`
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"m%d":1`, i)
		}
		return b.String()
	}
	for _, c := range []struct{ name, file, why string }{
		{"key twice", `{"resourceType":"Basic","id":"1","id":"2"}`, `line 1: the name "id" stands twice`},
		{"key twice, deep", "{\"resourceType\":\"Basic\",\n\"a\":[{\"b\":{\"c\":1,\"d\":2,\"c\":3}}]}", `line 2: the name "c" stands twice`},
		{"key twice, escaped", `{"resourceType":"Basic","code":1,"\u0063ode":2}`, `the name "code" stands twice`},
		{"key twice, in another case", `{"resourceType":"Condition","code":{"a":"F20.0"},"CODE":{"a":"Z00.0"}}`, `the name "CODE" stands twice`},
		{"type twice, escaped", `{"resourceType":"Basic","\u0072esourceType":"Patient"}`, `the name "resourceType" stands twice`},
		{"text twice", `{"resourceType":"Basic","text":{},"tex\u0074":{}}`, `the name "text" stands twice`},
		{"entry twice", `{"resourceType":"Bundle","entry":[` + patient + `],"Entry":[]}`, `the name "Entry" stands twice`},
		{"key that only folds", `{"resourceType":"Basic","` + "\u212a" + `ind":1}`, "a name has a character"},
		{"key with a control character", `{"resourceType":"Basic","a\u0000":1}`, "a name has a character"},
		{"not UTF-8", "{\"resourceType\":\"Basic\",\"id\":\"\xff\"}", "it is not UTF-8"},
		{"UTF-16", "\xff\xfe{\x00" + spread(`"resourceType":"Basic"}`), "it is not UTF-8"},
		{"surrogate alone", `{"resourceType":"Basic","id":"\ud800"}`, "what follows a backslash"},
		{"second half alone", `{"resourceType":"Basic","id":"\udc00"}`, "what follows a backslash"},
		{"halves that are both first", `{"resourceType":"Basic","id":"\ud800\ud800"}`, "what follows a backslash"},
		{"half and a letter", `{"resourceType":"Basic","id":"\ud800\u0041"}`, "what follows a backslash"},
		{"byte order mark", "\xef\xbb\xbf{\"resourceType\":\"Basic\"}", "a byte order mark"},
		{"NUL in front", "\x00{\"resourceType\":\"Basic\"}", "line 1: a resource is no object"},
		{"array", `[{"resourceType":"Basic"}]`, "a resource is no object"},
		{"bytes behind", `{"resourceType":"Basic"} x`, "more follows"},
		{"another behind", `{"resourceType":"Basic"}{"resourceType":"Basic"}`, "more follows"},
		{"comma behind the last", `{"resourceType":"Basic",}`, "a name is missing"},
		{"comma behind the last element", `{"resourceType":"Basic","a":[1,]}`, "a value is missing"},
		{"no comma", `{"resourceType":"Basic" "a":1}`, "a comma"},
		{"no colon", `{"resourceType" "Basic"}`, "a colon"},
		{"not ended", `{"resourceType":"Basic","a":"b`, "a string does not end"},
		{"not ended either", `{"resourceType":"Basic","a":"b\`, "a string does not end"},
		{"truncated", `{"resourceType":"Basic","a":[1,{"b":2`, "a comma"},
		{"line in a string", "{\"resourceType\":\"Basic\",\"a\":\"b\nc\"}", "a control character"},
		{"numbers", `{"resourceType":"Basic","a":01}`, "a comma"},
		{"a number's point", `{"resourceType":"Basic","a":1.}`, "a digit"},
		{"a number's exponent", `{"resourceType":"Basic","a":1e}`, "a digit"},
		{"a sign alone", `{"resourceType":"Basic","a":-}`, "a digit"},
		{"NaN", `{"resourceType":"Basic","a":NaN}`, "a value is missing"},
		{"comment", `{"resourceType":"Basic",/* a */"b":1}`, "a name is missing"},
		{"no type", `{"resourceTYPE":"Basic"}`, "a resource has no resourceType"},
		{"text alone", bundleOf(patient, `{"resource":{"text":{}}}`), "entry 2: a resource has no resourceType"},
		{"a type that is no name", `{"resourceType":"Basic "}`, "resourceType is no name"},
		{"a type that is no string", `{"resourceType":["Basic"]}`, "resourceType is no name"},
		{"an empty type", `{"resourceType":""}`, "resourceType is no name"},
		{"a Bundle without entries", `{"resourceType":"Bundle","type":"searchset","total":0}`, "a Bundle without an entry"},
		{"nor elements", bundleOf(), "a Bundle without an entry"},
		{"entry is no array", `{"resourceType":"Bundle","entry":{}}`, "entry is no array"},
		{"an entry without a resource", "{\"resourceType\":\"Bundle\",\"entry\":[" + patient + ",\n{\"response\":{\"status\":\"404\"}}]}", "line 2: entry 2: it has no resource"},
		{"an entry that is no object", bundleOf(`"Patient"`), "entry 1: it is no object"},
		{"an entry's resource that is none", bundleOf(`{"resource":[]}`), "entry 1: a resource is no object"},
		{"an entry that is a resource", bundleOf(`{"resourceType":"Basic","resource":{"resourceType":"Basic"}}`), "entry 1: it is a resource itself"},
		{"late type and a bad entry", `{"entry":[{}],"resourceType":"Bundle"}`, "entry 1: it has no resource"},
		{"too deep", bundleOf(`{"resource":{"resourceType":"Basic","a":` + nested(61) + `}}`), "too many arrays"},
		{"too deep, with a late type", `{"entry":[{"resource":{"resourceType":"Basic","a":` + nested(61) + `}}],"resourceType":"Bundle"}`, "too many arrays"},
		{"too deep for a Bundle", `{"resourceType":"Basic","a":` + nested(61) + `}`, "too many arrays"},
		{"too deep in a line", "{\"resourceType\":\"Basic\"}\n{\"resourceType\":\"Basic\",\"a\":" + nested(61) + "}", "line 2: too many arrays"},
		{"too many members", `{"resourceType":"Basic"` + many(256) + `}`, "more than 256 members"},
		{"a bad line", "{\"resourceType\":\"Basic\"}\n{\"resourceType\":\"Basic\"}\n\n{\"resourceType\":\"Basic\"\n{\"resourceType\":\"Basic\"}\n", "line 4: a comma"},
		{"two on a line", "{\"resourceType\":\"Basic\"}\n{\"resourceType\":\"Basic\"} {\"resourceType\":\"Basic\"}\n", "line 2: more follows"},
		{"a line without a type", "{\"resourceType\":\"Basic\"}\n{}\n", "line 2: a resource has no resourceType"},
		{"a line of something else", "{\"resourceType\":\"Basic\"}\n{\"resourceType\":\"Basic\"}\nnull\n", "line 3: a resource is no object"},
	} {
		file := []byte(c.file)
		cut, err := Split(file)
		if string(file) != c.file {
			t.Errorf("%s was changed", c.name)
		}
		if e, _ := fault.As(err, ErrNotSplit); cut != nil || errors.Is(err, ErrNotFHIR) || !strings.Contains(fault.Get[string](e, "why"), c.why) {
			t.Errorf("%s: %v, want %s", c.name, err, c.why)
		}
		if !IsFHIR("", file) {
			t.Errorf("%s is taken for a file that is not FHIR", c.name)
		}
	}
	if _, err := Split([]byte(`{"resourceType":"Basic"` + many(255) + `}`)); err != nil {
		t.Error(err)
	}
	if _, err := Split([]byte(bundleOf(`{"resource":{"resourceType":"Basic","a":` + nested(60) + `}}`))); err != nil {
		t.Error(err)
	}
	if _, err := Split([]byte(`{"resourceType":"Basic","a":` + nested(60) + `}`)); err != nil {
		t.Error(err)
	}
}

// spread writes ASCII in two bytes a character, the low one first.
func spread(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteByte(s[i])
		b.WriteByte(0)
	}
	return b.String()
}

// The bounds, to the byte and to the part.
func TestSplitBounds(t *testing.T) {
	entry := `{"resource":{"resourceType":"Basic"}}`
	most := bundleOf(slices.Repeat([]string{entry}, MaxParts)...)
	if cut, err := Split([]byte(most)); err != nil || len(cut.Parts) != MaxParts {
		t.Error(err)
	}
	notSplit := func(file, why string) {
		t.Helper()
		if _, err := Split([]byte(file)); !errors.Is(err, ErrNotSplit) || !strings.Contains(err.Error(), why) {
			t.Error(err)
		}
	}
	notSplit(bundleOf(slices.Repeat([]string{entry}, 70_000)...), "entry 65001: it has more than 65000 parts")
	notSplit(strings.Repeat(`{"resourceType":"Basic"}`+"\n", 70_000), "line 65001: it has more than 65000 parts")
	notSplit(most[:len(most)-len(entry)-3]+`,{"resource":{"resourceType":"Basic","text":{}}}]}`, "entry 65000: it has more than 65000 parts")

	fill := func(entry string, size int) string {
		return strings.Replace(entry, "*", strings.Repeat("a", size-len(entry)+1), 1)
	}
	for _, e := range []string{`{"resource":{"resourceType":"Binary","data":"*"}}`, `{"resource":{"resourceType":"Basic","text":{"div":"*"}}}`} {
		if _, err := Split([]byte(bundleOf(fill(e, MaxEntry)))); err != nil {
			t.Error(err)
		}
		notSplit(bundleOf(entry, fill(e, MaxEntry+1)), "entry 2: it is larger than 16 MiB")
	}
	half := fill(`{"resource":{"resourceType":"Binary","data":"*"}}`, 8<<20)
	file := bundleOf(half, half, half, entry)
	file += strings.Repeat(" ", MaxSplit-len(file))
	if _, err := Split([]byte(file)); err != nil {
		t.Error(err)
	}
	notSplit(file+" ", "it is larger than 32 MiB")
}

// Nothing of a file is copied: an entry costs a Part and no allocation of its own.
func TestSplitInPlace(t *testing.T) {
	allocs := func(entries int) float64 {
		file := manyEntries(entries)
		return testing.AllocsPerRun(10, func() { Split(file) })
	}
	if few, many := allocs(100), allocs(1000); many > few+20 { // the slice of parts grows
		t.Errorf("%v allocations for 1000 entries, %v for 100", many, few)
	}
}

// wholeAgain checks that the parts and what lies outside of them make the file, that what
// is outside holds nothing of an entry, and that each part is what it should be.
func wholeAgain(t *testing.T, file []byte, cut *Cut) {
	t.Helper()
	at := func(b []byte) int { return cap(cut.Parts[0].head) - cap(b) } // counted from the first part
	first := bytes.Index(file, cut.Parts[0].head)
	var made, outside []byte
	made = append(made, file[:first]...)
	outside = append(outside, made...)
	entries := 0
	for i := 0; i < len(cut.Parts); i++ {
		p := &cut.Parts[i]
		if p.Text || p.Entry != entries {
			t.Fatalf("part %d of entry %d: %+v", i, entries, p)
		}
		gap := file[len(made) : first+at(p.head)]
		made, outside = append(made, gap...), append(append(outside, gap...), "null"...)
		made = append(made, p.head...)
		if p.tail != nil {
			i++
			text := &cut.Parts[i]
			if !text.Text || text.Entry != entries || text.tail != nil || first+at(text.head) != len(made) {
				t.Fatalf("part %d: %+v", i, text)
			}
			made = append(made, text.head...)
			if first+at(p.tail) != len(made) {
				t.Fatalf("part %d: bytes between body and narrative", i)
			}
			made = append(made, p.tail...)
			narrative := map[string]any{}
			if err := json.Unmarshal(fmt.Appendf(nil, "{%s}", bytes.Trim(text.head, ", \t\r\n")), &narrative); err != nil || len(narrative) != 1 {
				t.Fatalf("part %d: %s", i, text.head)
			} else if _, ok := narrative["text"]; !ok {
				t.Fatalf("part %d: %s", i, text.head)
			}
		}
		before, after := p.Resource()
		var resource map[string]any
		if err := json.Unmarshal(slices.Concat(before, after), &resource); err != nil || resource["resourceType"] != p.Type || resource["text"] != nil {
			t.Fatalf("entry %d: %v", entries, err)
		}
		if body := p.Append(nil); !json.Valid(body) || len(body) != p.Len() {
			t.Fatalf("entry %d is no JSON: %s", entries, body)
		}
		entries++
	}
	rest := file[len(made):]
	made, outside = append(made, rest...), append(outside, rest...)
	if !bytes.Equal(made, file) {
		t.Fatalf("parts and the bytes outside make\n%s\nof\n%s", made, file)
	}
	// In the place of each entry a null: that is all there is in lines and in a resource.
	if cut.Form != FormBundle && strings.Join(strings.Fields(string(outside)), "") != strings.Repeat("null", entries) || cut.Form == FormBundle && !json.Valid(outside) {
		t.Fatalf("outside of the parts is\n%s", outside)
	}
}

// granted is what a recipient of all parts gets.
func granted(cut *Cut, texts bool) (all []Granted) {
	for i := range cut.Parts {
		if p := &cut.Parts[i]; !p.Text {
			all = append(all, Granted{Body: p.Append(nil)})
		} else if texts {
			all[len(all)-1].Text = p.Append(nil)
		}
	}
	return all
}

// A narrative whose resource was not given comes in one that says so.
func TestNarrativeAlone(t *testing.T) {
	for _, text := range []string{`"text": {"div":"a"} , `, ` , "text":{"div":"a"}`[1:], "\"t\\u0065xt\":{\"div\":\"a\"},\n"} {
		b, err := Subset([]Granted{{Body: []byte(text)}})
		if err != nil {
			t.Fatal(err)
		}
		cut, err := Split(b)
		if err != nil || len(cut.Parts) != 2 || cut.Parts[0].Type != "Basic" || string(cut.Parts[1].Append(nil)) != text {
			t.Errorf("%v\n%s", err, b)
		}
	}
}

// again checks that a Bundle made of all parts holds each resource's bytes, and that it is
// cut into the same resources and narratives.
func again(t *testing.T, cut *Cut) {
	t.Helper()
	for _, texts := range []bool{true, false} {
		b, err := Subset(granted(cut, texts))
		if err != nil {
			t.Fatal(err)
		}
		var bundle struct {
			ResourceType, Type string
			Meta               Meta
			Entry              []map[string]json.RawMessage
		}
		if err := json.Unmarshal(b, &bundle); err != nil {
			t.Fatalf("%v in\n%s", err, b)
		}
		if bundle.ResourceType != "Bundle" || bundle.Type != "collection" || len(bundle.Meta.Security) != 1 || bundle.Meta.Security[0].Code != "SUBSETTED" {
			t.Fatalf("%s", b)
		}
		for _, e := range bundle.Entry {
			for k := range e {
				if k != "fullUrl" && k != "resource" {
					t.Fatalf("an entry has %s", k)
				}
			}
		}
		back, err := Split(b)
		if err != nil {
			t.Fatal(err)
		}
		same := slices.EqualFunc(slices.DeleteFunc(slices.Clone(cut.Parts), func(p Part) bool { return p.Text && !texts }), back.Parts, func(p, q Part) bool {
			pb, pa := p.Resource()
			qb, qa := q.Resource()
			return p.Text == q.Text && p.Entry == q.Entry && p.Type == q.Type && bytes.Equal(p.url, q.url) && bytes.Equal(slices.Concat(pb, pa), slices.Concat(qb, qa)) &&
				(!p.Text || bytes.Equal(p.head, q.head))
		})
		if !same || back.Form != FormBundle {
			t.Fatalf("a Bundle of all parts is cut otherwise:\n%s", b)
		}
	}
}

// Records that others made, whole or with some of it gone: only numbers are kept here.
func TestSplitPublished(t *testing.T) {
	data := os.Getenv("CAREKEY_TESTDATA")
	if data == "" {
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatal("CAREKEY_TESTDATA is not set")
		}
		t.Skip("CAREKEY_TESTDATA is not set: the folder with data/fhir is not here")
	}
	forms, parts, texts := map[string]int{}, 0, 0
	err := filepath.WalkDir(filepath.Join(data, "data", "fhir"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		file, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		cut, err := Split(file)
		switch {
		case errors.Is(err, ErrNotFHIR):
			forms["none"]++
			return nil
		case err != nil:
			t.Logf("%s: %v", filepath.Base(path), err)
			forms["not split"]++
			return nil
		}
		forms[cut.Form]++
		for i := range cut.Parts {
			p := &cut.Parts[i]
			parts++
			if p.Text {
				texts++
			}
			_, got, err := p.decode()
			if p.Text {
				continue
			}
			before, after := p.Resource()
			if want := viaStandard(t, slices.Concat(before, after)); err != nil || !reflect.DeepEqual(any(got), want) {
				t.Errorf("%s: part %d is decoded otherwise than by encoding/json: %v", filepath.Base(path), i, err)
			}
		}
		wholeAgain(t, file, cut)
		again(t, cut)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if forms[FormBundle] < 16 || forms[FormResource] < 60 || forms["not split"] > 2 || parts < 1100 || texts < 150 {
		t.Errorf("%v, with %d parts, %d of them narratives", forms, parts, texts)
	}
}

func viaStandard(t *testing.T, b []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// What is decoded is what encoding/json reads, of values that are made at random.
func TestDecode(t *testing.T) {
	same := func(text string, numbers []float64, b bool) bool {
		want := map[string]any{"a\"b": strings.ToValidUTF8(text, ""), "list": numbers, "b": []any{b, nil, map[string]any{"": "\u2028<"}}}
		file, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(file)
		return err == nil && reflect.DeepEqual(any(got), viaStandard(t, file))
	}
	if err := quick.Check(same, nil); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", " ", "1", `"a"`, "[]", "{", "{} {}", "{}x", "{\"a\":\"\xff\"}"} {
		if _, err := decode([]byte(bad)); !errors.Is(err, ErrNotSplit) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Strings end where they end, wherever that falls among the eight bytes that are read at
// once, and whatever stands before it.
func TestStrings(t *testing.T) {
	for n := range 40 {
		for _, c := range []string{"", "é", "😀", `\"`, `\\`, "\x7f", "\u00a2", "!", "#", "[", "]"} {
			for at := range n {
				in := strings.Repeat("x", at) + c + strings.Repeat("y", n-at)
				file := []byte(`{"resourceType":"Basic","id":"` + in + `"}`)
				cut, err := Split(file)
				if err != nil || cut.Parts[0].Len() != len(file) {
					t.Fatalf("%s: %v", file, err)
				}
				for _, bad := range []string{"\x00", "\n", "\x1f"} {
					if _, err := Split([]byte(`{"resourceType":"Basic","id":"` + in[:at] + bad + in[at:] + `"}`)); err == nil {
						t.Fatalf("%q was read", in)
					}
				}
			}
		}
	}
}

func FuzzSplit(f *testing.F) {
	for _, c := range cuts {
		f.Add([]byte(c.file))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		file = slices.Clip(file)
		as := string(file)
		cut, err := Split(file)
		if string(file) != as {
			t.Fatal("the file was changed")
		}
		if errors.Is(err, ErrNotFHIR) != !IsFHIR("", file) {
			t.Fatalf("%v, and FHIR: %t", err, IsFHIR("", file))
		}
		if err != nil {
			if !errors.Is(err, ErrNotSplit) {
				t.Fatal(err)
			}
			return
		}
		wholeAgain(t, file, cut)
		again(t, cut)
	})
}

// What decode takes, encoding/json takes too and reads the same; what that does not take,
// decode does not.
func FuzzDecode(f *testing.F) {
	for _, c := range cuts {
		f.Add([]byte(c.file))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := decode(file)
		if err != nil {
			if !errors.Is(err, ErrNotSplit) {
				t.Fatal(err)
			}
			return
		}
		if want := viaStandard(t, file); !json.Valid(file) || !reflect.DeepEqual(any(got), want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

// A recipient gets a Bundle that can be read or an error, whatever was sealed for him.
func FuzzSubset(f *testing.F) {
	for _, c := range cuts {
		cut, err := Split([]byte(c.file))
		if err != nil {
			f.Fatal(err)
		}
		for _, g := range granted(cut, true) {
			f.Add(g.Body, g.Text)
		}
	}
	f.Fuzz(func(t *testing.T, body, text []byte) {
		for _, g := range []Granted{{body, text}, {body, nil}} {
			b, err := Subset([]Granted{g, {Body: []byte(`{"resourceType":"Basic"}`)}})
			if err != nil {
				if !errors.Is(err, ErrNotSplit) {
					t.Fatal(err)
				}
				continue
			}
			var bundle struct{ Entry []any }
			if err := json.Unmarshal(b, &bundle); err != nil || len(bundle.Entry) != 2 || !utf8.Valid(b) {
				t.Fatalf("%v\n%s", err, b)
			}
		}
	})
}

// Sealed by a stranger, and no part of anything.
func TestSubsetRefuses(t *testing.T) {
	body := `{"resource":{"resourceType":"Basic","id":"1"}}`
	for _, c := range []struct{ name, body, text, why string }{
		{"no JSON", "x", "", "a name is missing"},
		{"no JSON, and a narrative", "x", `"text":{},`, "a resource is no object"},
		{"a narrative of a narrative", `"text":{},`, `"text":{},`, "a resource is no object"},
		{"an empty body", "", "", "a resource is no object"},
		{"more behind", body + "," + body, "", "more follows"},
		{"white space in front", " " + body, "", "a name is missing"},
		{"not UTF-8", "{\"resourceType\":\"Basic\",\"id\":\"\xff\"}", "", "it is not UTF-8"},
		{"key twice", `{"resourceType":"Basic","id":"1","ID":"2"}`, "", "stands twice"},
		{"no resource", `{"fullUrl":"a"}`, "", "it has no resource"},
		{"its narrative in it", `{"resourceType":"Basic","text":{}}`, "", "was not cut out"},
		{"narrative that closes the resource", body, `"text":1},"more":{"a":1,`, "a comma is missing"},
		{"narrative that is another member", body, `"subject":{},`, "it is no narrative"},
		{"narrative and another member", body, `"text":{},"code":1,`, "more follows"},
		{"narrative and another member last", body, `,"text":{},"code":1`, "more follows"},
		{"narrative between", body, `"text":{}`, "a comma is missing"},
		{"narrative with two commas", body, `,"text":{},`, "more follows"},
		{"empty narrative", body, `,`, "a name is missing"},
		{"narrative that is not UTF-8", body, ",\"text\":\"\xff\"", "it is not UTF-8"},
		{"narrative of bad JSON", body, `,"text":{"a":01}`, "a comma"},
	} {
		g := Granted{Body: []byte(c.body)}
		if c.text != "" {
			g.Text = []byte(c.text)
		}
		if b, err := Subset([]Granted{{Body: []byte(body)}, g}); !errors.Is(err, ErrNotSplit) || !strings.Contains(err.Error(), c.why) || !strings.Contains(err.Error(), "part 2") {
			t.Errorf("%s: %v\n%s", c.name, err, b)
		}
	}
	if b, err := Subset(nil); err != nil || !json.Valid(b) {
		t.Errorf("%s %v", b, err)
	}
}

// Subset is WriteSubset to bytes.
func Subset(parts []Granted) ([]byte, error) {
	var out bytes.Buffer
	if err := WriteSubset(&out, time.Time{}, parts); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
