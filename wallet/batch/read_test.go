package batch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/wallet"
)

var now = time.Date(2026, 3, 4, 15, 0, 0, 0, time.UTC)

func read(t testing.TB, r io.Reader) ([]Row, Report, *LinesError) {
	t.Helper()
	var rows []Row
	rep, err := Read(r, Options{Now: now, Profile: "me", Known: func(p string) bool { return p == "mum" }},
		func(w Row) []Problem { rows = append(rows, w); return nil })
	var bad *LinesError
	if err != nil && !errors.As(err, &bad) {
		t.Fatal(err)
	}
	return rows, rep, bad
}

// The same rows in both formats, whatever the line ends, mean the same.
func TestFormatsAgree(t *testing.T) {
	csv := "to,records,categories,purpose,from,until,profile,role,with,without,dated,whole\n" +
		"Dr Smith,,labs allergies,,,2026-12-31,,nurse,hiv documents,vitals,2024-03..2025,no\n" +
		"\"Smith, \"\"Bob\"\"\",abcdef 123456ab,,research,2026-04-01,2026-06-30,me,,,,,yes\n" +
		",,,,,,\n\n" +
		"Dr Smith,,all,TREAT,,2026-12-31,mum,,,,,\n"
	jsonl := `{"to":"Dr Smith","categories":["labs","allergies"],"until":"2026-12-31","role":"nurse","with":["hiv","documents"],"without":["vitals"],"dated":"2024-03..2025","whole":false}
{"to":"Smith, \"Bob\"","records":["abcdef","123456ab"],"purpose":"research","from":"2026-04-01","until":"2026-06-30","profile":"me","whole":true}

   
{"profile":"mum","to":"Dr Smith","categories":["all"],"until":"2026-12-31"}
`
	var want []Row
	for i, text := range []string{csv, "\ufeff" + csv, strings.ReplaceAll(csv, "\n", "\r\n"), strings.TrimSuffix(csv, "\n"), jsonl, "\ufeff" + strings.ReplaceAll(jsonl, "\n", "\r\n")} {
		rows, rep, bad := read(t, strings.NewReader(text))
		if bad != nil {
			t.Fatalf("%d: %+v", i, bad)
		}
		if rep.Rows != 2 || rep.Changes || rep.Elsewhere["mum"] != 1 || len(rows) != 2 {
			t.Fatalf("%d: %+v", i, rep)
		}
		for j := range rows {
			rows[j].Line, rows[j].Place = 0, Place{}
		}
		if want == nil {
			want = rows
		} else if fmt.Sprint(rows) != fmt.Sprint(want) {
			t.Errorf("%d: %+v, want %+v", i, rows, want)
		}
	}
	if w := want[0]; w.Role != "nurse" || len(w.With) != 2 || w.Without[0] != "vitals" || w.Dated != "2024-03..2025" || w.Whole || w.Purpose != "" || !want[1].Whole {
		t.Errorf("%+v", w)
	}
	if w := want[1]; w.To != `Smith, "Bob"` || len(w.Records) != 2 || w.Purpose != "HRESCH" || w.NotBefore == 0 || w.Do != State {
		t.Errorf("%+v", w)
	}
}

// What spreadsheets do to a file, and means one thing only, is read.
func TestSpreadsheets(t *testing.T) {
	var want string
	for _, text := range []string{
		"to,categories,purpose,until\nBob,labs images,treatment,2026-12-31\n",
		"sep=,\r\nto,categories,purpose,until\r\nBob,\"labs, images\",treatment,2026-12-31\r\n",
		"\ufeffSEP=,\nto,categories,purpose,until\nBob,labs;images,treatment,2026-12-31\n",
		"\"sep=,\"\n,,,\nto,categories,purpose,until,,\nBob,labs;images,treatment,2026-12-31,,\n,,,,,\n",
		"to,until,,categories,purpose\nBob,2026-12-31,,\"labs , images\"\n",
		"until,to,categories,purpose,profile,consent\n2026-12-31,Bob,\"labs;\u00a0images\"\n",
		"to,categories,purpose,until\nBob,labs images,treatment,2026-12-31,,,\n",
	} {
		rows, _, bad := read(t, strings.NewReader(text))
		if bad != nil || len(rows) != 1 {
			t.Errorf("%q: %+v", text, bad)
			continue
		}
		rows[0].Line, rows[0].Place = 0, Place{}
		if got := fmt.Sprintf("%+v", rows[0]); want == "" {
			want = got
		} else if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestChanges(t *testing.T) {
	rows, rep, bad := read(t, strings.NewReader("action,to,categories,until,consent\ngrant,Bob,labs,2026-12-31,\nrevoke,,,,abcdef01\nrevoke,Ann,,,\n"))
	if bad != nil || !rep.Changes || len(rows) != 3 {
		t.Fatalf("%+v %+v", rep, bad)
	}
	if rows[0].Do != Grant || rows[1].Do != Revoke || rows[1].Consent != "abcdef01" || rows[2].To != "Ann" {
		t.Errorf("%+v", rows)
	}
}

// Hostile and mistaken files: each is refused with its place.
func TestRefused(t *testing.T) {
	const head = "to,categories,until\n"
	const good = "Bob,labs,2026-12-31\n"
	for name, c := range map[string]struct {
		text         string
		line, column int
		why          string
	}{
		"empty":                        {"", 1, 1, "there is no row"},
		"only a mark":                  {"\ufeff", 1, 1, "there is no row"},
		"only a heading":               {head, 1, 1, "there is no row"},
		"half of UTF-16":               {"\xff\xfet\x00o", 1, 1, "UTF-16"},
		"UTF-32":                       {"\xff\xfe\x00\x00t\x00\x00\x00", 1, 1, "UTF-32"},
		"a spreadsheet":                {"PK\x03\x04\x14\x00\n", 1, 1, "save it as CSV"},
		"an old spreadsheet":           {"\xd0\xcf\x11\xe0\xa1\n", 1, 1, "save it as CSV"},
		"UTF-16 without a mark":        {"t\x00o\x00,\x00", 1, 1, "UTF-16"},
		"a JSON list":                  {" [{\"to\":\"Bob\"}]", 1, 2, "JSON Lines"},
		"an object over lines":         {"{\n \"to\": \"Bob\"\n}\n", 1, 1, "JSON Lines"},
		"a mark in the middle":         {head + "\ufeff" + good, 2, 1, "cannot be seen"},
		"NUL":                          {head + good + "Bo\x00b,labs,2026-12-31\n", 3, 3, "NUL"},
		"not UTF-8":                    {head + "Bo\xffb,labs,2026-12-31\n", 2, 3, "UTF-8"},
		"overlong NUL":                 {head + "Bo\xc0\x80b,labs,2026-12-31\n", 2, 3, "UTF-8"},
		"old Mac lines":                {"to,categories,until\rBob,labs,2026-12-31\r", 1, 20, "line feed"},
		"control character":            {head + "B\x1bob,labs,2026-12-31\n", 2, 2, "control"},
		"turned writing":               {head + "B\u202eob,labs,2026-12-31\n", 2, 1, "cannot be seen"},
		"formula":                      {head + "=cmd|' /C calc'!A0,labs,2026-12-31\n", 2, 1, "formula"},
		"formula with plus":            {head + "Bob,+labs,2026-12-31\n", 2, 5, "formula"},
		"formula with at":              {head + "Bob,labs,@SUM(1)\n", 2, 10, "formula"},
		"formula in quotes":            {head + "\"=1+1\",labs,2026-12-31\n", 2, 1, "formula"},
		"formula in JSON":              {`{"to":"=1+1","categories":["labs"],"until":"2026-12-31"}`, 1, 7, "formula"},
		"formula in a JSON list":       {`{"to":"Bob","categories":["-labs"],"until":"2026-12-31"}`, 1, 27, "formula"},
		"column twice":                 {"to,categories,until,to\nBob,labs,2026-12-31,Eve\n", 1, 21, "twice"},
		"unknown column":               {"to,categories,until,Name\n", 1, 21, "no such column"},
		"column in capitals":           {"to,Categories,until\n", 1, 4, "it is written categories"},
		"semicolons":                   {"to;categories;until\nBob;labs;2026-12-31\n", 1, 1, "semicolons"},
		"tabs":                         {"to\tcategories\tuntil\n", 1, 1, "tabs"},
		"too few cells":                {head + "Bob,labs\n", 2, 1, "every consent ends on a day"},
		"cut off in a row":             {"to,categories,until,purpose\nBob,labs,2026-12-31", 2, 20, "may have been cut off"},
		"too many cells":               {head + "Bob,labs,2026-12-31,x\n", 2, 21, "4 cells under 3 columns: a cell with a comma in it is put into quotation marks"},
		"a list without quotes":        {head + "Bob,labs, images,2026-12-31\n", 2, 18, "quotation marks"},
		"a column without a heading":   {"to,categories,until,,\nBob,labs,2026-12-31,,x\n", 2, 22, "without a heading"},
		"semicolons by name":           {"sep=;\nto;categories;until\n", 1, 1, "semicolons"},
		"tabs by name":                 {"sep=\t\nto\tcategories\tuntil\n", 1, 1, "tabs"},
		"others by name":               {"sep=^\n", 1, 1, "separated by \"^\""},
		"sep twice":                    {"sep=,\nsep=,\n" + head, 2, 1, "no such column"},
		"sep as a heading of JSON":     {"sep=,\n{\"to\":1}\n", 2, 7, "must be text"},
		"bars in a list":               {head + "Bob,labs|images,2026-12-31\n", 2, 5, "spaces, commas or semicolons"},
		"a day of Excel":               {head + "Bob,labs,31/12/2030\n", 2, 10, "a day of a spreadsheet: format the column as YYYY-MM-DD"},
		"a day of one digit":           {head + "Bob,labs,2030-1-5\n", 2, 10, "a day of a spreadsheet"},
		"a number of a day":            {head + "Bob,labs,47848\n", 2, 10, "a day of a spreadsheet"},
		"a day with a time":            {head + "Bob,labs,2030-12-31 00:00:00\n", 2, 10, "a day of a spreadsheet"},
		"a day that nobody knows":      {head + "Bob,labs,01/02/2030\n", 2, 10, "a day of a spreadsheet"},
		"begun in the past":            {"to,categories,from,until\nBob,labs,2026-03-03,2026-12-31\n", 2, 10, "has passed"},
		"open quote":                   {head + "\"Bob,labs,2026-12-31\n" + good, 2, 1, "without its end"},
		"quote inside":                 {head + "B\"ob,labs,2026-12-31\n", 2, 2, "inside a cell"},
		"after a quote":                {head + "\"Bob\"x,labs,2026-12-31\n", 2, 6, "after the end"},
		"key twice":                    {`{"to":"Bob","to":"Eve","categories":["labs"],"until":"2026-12-31"}`, 1, 13, "twice"},
		"key twice by escape":          {`{"to":"Bob","t\u006f":"Eve","categories":["labs"],"until":"2026-12-31"}`, 1, 13, "twice"},
		"unknown key":                  {`{"To":"Bob"}`, 1, 2, "no such field"},
		"number":                       {`{"to":1}`, 1, 7, "must be text"},
		"null":                         {`{"to":null}`, 1, 7, "must be text"},
		"text for a list":              {`{"to":"Bob","categories":"labs"}`, 1, 26, "must be a list"},
		"list for a text":              {`{"to":["Bob"]}`, 1, 7, "must be text"},
		"nested":                       {`{"to":"Bob","categories":[["labs"]]}`, 1, 27, "list of texts"},
		"array":                        {"{\"to\":\"Bob\",\"categories\":[\"labs\"],\"until\":\"2026-12-31\"}\n[]\n", 2, 1, "not a JSON object"},
		"two objects":                  {`{"to":"Bob","categories":["labs"],"until":"2026-12-31"} {}`, 1, 57, "after the object"},
		"cut off":                      {`{"to":"Bob","categ`, 1, 19, "ends before"},
		"half a surrogate":             {`{"to":"B\ud800","categories":["labs"],"until":"2026-12-31"}`, 1, 7, "character that is none"},
		"no name":                      {head + ",labs,2026-12-31\n", 2, 1, "empty"},
		"long name":                    {head + strings.Repeat("ä", 65) + ",labs,2026-12-31\n", 2, 1, "longer than 64"},
		"no such category":             {head + "Bob,lab,2026-12-31\n", 2, 5, "not one of"},
		"no such purpose":              {"to,categories,until,purpose\nBob,labs,2026-12-31,marketing\n", 2, 21, "not one of"},
		"emergency":                    {"to,categories,until,purpose\nBob,labs,2026-12-31,BTG\n", 2, 21, "emergency"},
		"short id":                     {"to,records,until\nBob,abcde,2026-12-31\n", 2, 5, "not an id"},
		"id in capitals":               {"to,records,until\nBob,ABCDEF,2026-12-31\n", 2, 5, "not an id"},
		"nothing chosen":               {head + "Bob,,2026-12-31\n", 2, 1, "neither records nor categories"},
		"no end":                       {head + "Bob,labs,\n", 2, 1, "every consent ends"},
		"end in the past":              {head + "Bob,labs,2025-12-31\n", 2, 10, "past"},
		"not a day":                    {head + "Bob,labs,2026-02-30\n", 2, 10, "not a date"},
		"a length":                     {head + "Bob,labs,30d\n", 2, 10, "not a date"},
		"American day":                 {head + "Bob,labs,12/31/2026\n", 2, 10, "not a date"},
		"begins after its end":         {"to,categories,from,until\nBob,labs,2026-12-31,2026-06-30\n", 2, 10, "not before the end"},
		"another's profile":            {"to,categories,until,profile\nBob,labs,2026-12-31,patient7\n", 2, 21, "own profiles"},
		"the same again":               {head + good + "Bob,labs,2026-12-31\n", 3, 1, "the same as line 2"},
		"the same in another order":    {"to,categories,until\nBob,labs images,2026-12-31\nBob,images labs,2026-12-31\n", 3, 1, "the same as line 2"},
		"action in one row":            {"{\"action\":\"grant\",\"to\":\"B\",\"categories\":[\"labs\"],\"until\":\"2026-12-31\"}\n{\"to\":\"B\",\"categories\":[\"labs\"],\"until\":\"2026-12-31\"}", 2, 1, "every row"},
		"no such action":               {"action,to\ndelete,Bob\n", 2, 1, "neither grant nor revoke"},
		"empty action":                 {"action,to\n,Bob\n", 2, 1, "grant or revoke"},
		"revoke both":                  {"action,to,consent\nrevoke,Bob,abcdef\n", 2, 12, "either a consent or a contact"},
		"revoke with an end":           {"action,to,until\nrevoke,Bob,2026-12-31\n", 2, 12, "names only"},
		"consent of a state":           {"to,categories,until,consent\nBob,labs,2026-12-31,abcdef\n", 2, 21, "only a row that revokes"},
		"a line too long":              {head + strings.Repeat("x", MaxLine+1) + "\n" + good, 2, MaxLine + 1, "longer than"},
		"a heading too long":           {strings.Repeat("to,", MaxLine), 1, MaxLine + 1, "longer than"},
		"a line too long and no end":   {head + strings.Repeat("x", 3*MaxLine), 2, MaxLine + 1, "longer than"},
		"deep":                         {`{"to":` + strings.Repeat("[", 30000), 1, 7, "must be text"},
		"more than one thing in a row": {head + "=,lab,x\n", 2, 1, "formula"},
	} {
		rows, _, bad := read(t, strings.NewReader(c.text))
		if bad == nil {
			t.Errorf("%s: accepted as %+v", name, rows)
			continue
		}
		p := bad.Problems[0]
		if p.Line != c.line || p.Column != c.column || !strings.Contains(p.Why, c.why) {
			t.Errorf("%s: %d:%d %s; want %d:%d %s", name, p.Line, p.Column, p.Why, c.line, c.column, c.why)
		}
		if len([]rune(p.Value)) > 61 {
			t.Errorf("%s: a value of %d characters", name, len(p.Value))
		}
	}
}

// generated is a file that is made as it is read.
type generated struct {
	n    int
	line func(i int) string // "" ends the file
	rest string
}

func (g *generated) Read(p []byte) (int, error) {
	for len(g.rest) < len(p) && g.line != nil {
		l := g.line(g.n)
		if l == "" {
			g.line = nil
			break
		}
		g.rest += l
		g.n++
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// size returns how many rows a large file of the tests has.
func size() int { return lane.Pick(MaxRows-1, 20_000, 20_000) }

func row(i int) string { return fmt.Sprintf("Bob,%012x,2026-12-31\n", i) }

func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A line that never ends costs no memory.
func TestEndlessLine(t *testing.T) {
	blocks := lane.Pick(1024, 64, 64) // MiB
	block := strings.Repeat("x", 1<<20)
	before := memory()
	_, _, bad := read(t, &generated{line: func(i int) string {
		switch {
		case i == 0:
			return "to,records,until\n"
		case i <= blocks:
			return block
		case i == blocks+1:
			return "\n" + row(1)
		}
		return ""
	}})
	if bad == nil || bad.Total != 1 || bad.Problems[0].Line != 2 {
		t.Fatalf("%+v", bad)
	}
	if grown := int64(memory()) - int64(before); grown > 16<<20 {
		t.Errorf("%d MiB", grown>>20)
	}
}

// A file of which every line is wrong yields the first hundred problems and their
// number; one bad row at the end of a long good file is found where it is.
func TestLongFiles(t *testing.T) {
	lane.OneGoroutine(t)
	n := size()
	_, _, bad := read(t, &generated{line: func(i int) string {
		switch {
		case i == 0:
			return "to,records,until\n"
		case i <= n:
			return "Bob,nothing,2026-13-01\n"
		}
		return ""
	}})
	if bad == nil || bad.Total != 2*n || len(bad.Problems) != MaxProblems {
		t.Errorf("%d problems, %d shown", bad.Total, len(bad.Problems))
	}
	good := 0
	_, err := Read(&generated{line: func(i int) string {
		switch {
		case i == 0:
			return "to,records,until\n"
		case i < n:
			return row(i)
		case i == n:
			return "Bob,abcdef,2025-01-01\n"
		}
		return ""
	}}, Options{Now: now}, func(w Row) []Problem {
		if !w.Bad {
			good++
		}
		return nil
	})
	if !errors.As(err, &bad) || bad.Total != 1 || bad.Problems[0].Line != n+1 || bad.Problems[0].Column != 12 || good != n-1 {
		t.Errorf("%+v, %d good rows", err, good)
	}
}

func TestTooManyRows(t *testing.T) {
	before := lane.Pick(0, MaxRows-100, MaxRows-100)
	good := 0
	p := newParser(&generated{line: func(i int) string {
		if i == 0 {
			return "to,records,until\n"
		}
		return row(i)
	}}, Options{Now: now}, func(Row) []Problem { good++; return nil })
	p.rows = before
	if err := p.read(); err != nil || p.bad.Total != 1 || p.bad.Problems[0].Line != MaxRows-before+2 || good != MaxRows-before {
		t.Errorf("%v, %+v, %d rows", err, p.bad, good)
	}
}

// The schema lists the fields, categories and purposes that there are.
func TestSchema(t *testing.T) {
	var s struct {
		Properties map[string]struct {
			Enum  []string
			Items struct{ Enum []string }
		}
	}
	if err := json.Unmarshal(Schema(), &s); err != nil {
		t.Fatal(err)
	}
	if have := slices.Sorted(maps.Keys(s.Properties)); !slices.Equal(have, slices.Sorted(slices.Values(fieldNames))) {
		t.Errorf("fields %v", have)
	}
	want := []string{"all"}
	for _, c := range wallet.Categories() {
		want = append(want, string(c))
	}
	if !slices.Equal(s.Properties["categories"].Items.Enum, want) {
		t.Errorf("categories %v, want %v", s.Properties["categories"].Items.Enum, want)
	}
	var codes []string
	for _, p := range wallet.Purposes() {
		code, err := wallet.ParsePurpose(p)
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, p, string(code))
	}
	if have := slices.Sorted(slices.Values(s.Properties["purpose"].Enum)); !slices.Equal(have, slices.Sorted(slices.Values(codes))) {
		t.Errorf("purposes %v, want %v", have, codes)
	}
}

// FuzzRead: whatever a file holds, reading it ends, every problem has a place, and
// a row that is accepted in CSV is accepted, and means the same, as JSON.
func FuzzRead(f *testing.F) {
	f.Add([]byte("to,categories,until\nBob,labs,2026-12-31\n"))
	f.Add([]byte("action,to,consent\nrevoke,,abcdef\n"))
	f.Add([]byte("to,role,with,without,dated,whole,until\nBob,nurse,hiv documents,labs,2024..,no,2026-12-31\n"))
	f.Add([]byte(`{"to":"Bob","records":["abcdef"],"until":"2026-12-31","purpose":"research"}`))
	f.Add([]byte("\ufeffto,categories,until\r\n\"B\"\"ob\",all,2026-12-31\r\n"))
	f.Add([]byte("{\"to\":\"\\ud83d\\ude00\",\"to\":1}\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, rep, bad := read(t, bytes.NewReader(data))
		if bad != nil {
			if bad.Total < len(bad.Problems) || len(bad.Problems) == 0 {
				t.Fatalf("%+v", bad)
			}
			lines := bytes.Count(data, []byte("\n")) + 1
			for _, p := range bad.Problems {
				if p.Line < 1 || p.Line > lines || p.Column < 1 || p.Column > MaxLine+1 || p.Why == "" {
					t.Fatalf("%+v", p)
				}
			}
			return
		}
		if rep.Rows != len(rows) {
			t.Fatalf("%d rows, %d said", len(rows), rep.Rows)
		}
		var again bytes.Buffer
		for _, w := range rows {
			o := map[string]any{}
			if w.Do != State {
				o["action"] = w.Do
			}
			if w.To != "" {
				o["to"] = w.To
			}
			if w.Consent != "" {
				o["consent"] = w.Consent
			}
			if w.Records != nil {
				o["records"] = w.Records
			}
			if cs := w.Categories; cs != nil || w.All {
				if w.All {
					cs = append(slices.Clone(cs), "all")
				}
				o["categories"] = cs
			}
			if w.Do != Revoke {
				for name, text := range map[string]string{"role": w.Role, "dated": w.Dated, "purpose": string(w.Purpose)} {
					if text != "" {
						o[name] = text
					}
				}
				for name, words := range map[string][]string{"with": w.With, "without": w.Without} {
					if len(words) > 0 {
						o[name] = words
					}
				}
				o["whole"] = w.Whole
				o["until"] = wallet.HourTime(w.Until - 1).Format("2006-01-02")
				if w.NotBefore > 0 {
					o["from"] = wallet.HourTime(w.NotBefore).Format("2006-01-02")
				}
			}
			b, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			again.Write(append(b, '\n'))
		}
		if len(rows) == 0 {
			return
		}
		same, _, bad := read(t, &again)
		if bad != nil || len(same) != len(rows) {
			t.Fatalf("%+v", bad)
		}
		for i := range rows {
			if keyOf(&rows[i]) != keyOf(&same[i]) {
				t.Fatalf("%+v became %+v", rows[i], same[i])
			}
		}
	})
}
