package health

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/wallet/payload"
)

const header = "system,code,says,what,source,date\n"

func tableOf(t testing.TB, rows ...string) *Table {
	t.Helper()
	table, err := ParseTable("mine", strings.NewReader(header+strings.Join(rows, "\n")+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// The program's own tables say everything once, and each line where it is from.
func TestOwnTables(t *testing.T) {
	seen := map[[3]string]string{}
	for _, table := range Own() {
		for _, row := range table.Rows {
			key := [3]string{row.System, normalCode(row.Code), string(row.Says)}
			if row.System == wordSystem {
				key[1] = normalWord(row.Code)
			}
			if other := seen[key]; other != "" {
				t.Errorf("%s and %s: %v twice", other, table.Name, key)
			}
			seen[key] = table.Name
			if row.What == "" || row.Source == "" {
				t.Errorf("%s: %v: no meaning or no source", table.Name, row)
			}
		}
	}
	for s, n := range map[Sensitivity]int{MentalHealth: 300, SubstanceUse: 100, Reproductive: 200, HIV: 100, SexualHealth: 60, Violence: 50, Genetic: 60, SickleCell: 10} {
		rows := 0
		for key := range seen {
			if key[2] == string(s) {
				rows++
			}
		}
		if rows < n {
			t.Errorf("%s: %d rows, and there were more than %d", s, rows, n)
		}
	}
	tables := BuiltIn()
	for _, name := range []string{"snomed", "loinc", "rxnorm", "icd-10", "icd-9", "cvx", "ucum", "hl7"} {
		if !slices.Contains(tables.Systems(), name) {
			t.Errorf("%s is not understood", name)
		}
	}
	for _, name := range dates {
		if tables.members[name] != memberPlain && !strings.HasSuffix(name, "eriod") {
			t.Errorf("the date %s is prose to members.csv", name)
		}
	}
}

func TestNormalText(t *testing.T) {
	for text, want := range map[string]string{
		"": " ", "HIV-1": " hiv 1 ", "isHIVPositive": " is hivpositive ", "hivStatus7b": " hiv status 7 b ", "  a__b\u00a0c\u00e9d ": " a b c d ",
		"urn:x/y.z": " urn x y z ", "F20.0": " f 20 0 ",
	} {
		if got := normalText(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for w, want := range map[string]string{"hiv": " hiv ", "psychiatr*": " psychiatr", "*norgestrel*": "norgestrel", "PHQ-9": " phq 9 "} {
		if got := normalWord(w); got != want {
			t.Errorf("%q: %q, want %q", w, got, want)
		}
	}
}

// The machine finds what looking for one word after the other finds.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"", "HIV-1", "antidepressants for HIV", "archives", "levonorgestrel", "a hiv", "mental health, sexualAssault9"} {
		f.Add(s)
	}
	words := BuiltIn().words
	f.Fuzz(func(t *testing.T, s string) {
		var want uint16
		normal := normalText(s)
		for _, w := range words {
			if strings.Contains(normal, w.text) {
				want |= w.says
			}
		}
		if got := BuiltIn().machine.find(s); got != want {
			t.Errorf("%q: %b, want %b", s, got, want)
		}
	})
}

func TestParseTableRefuses(t *testing.T) {
	row := "http://x.example/s,1,hiv,what,me,2026-01-31\n"
	for name, c := range map[string]struct {
		file string
		line int
	}{
		"empty":             {"", 0},
		"only comments":     {"# x\n", 0},
		"no rows":           {header, 0},
		"no header":         {row, 1},
		"another header":    {"a,b,c,d,e,f\n" + row, 1},
		"too few cells":     {header + "a,b\n", 2},
		"too many":          {header + row + "a,b,c,d,e,f,g\n", 3},
		"a quote":           {header + `a,"b` + "\n", 2},
		"no sensitivity":    {header + row + "http://x.example/s,1,secret,what,me,2026-01-31\n", 3},
		"no system":         {header + ",1,hiv,what,me,2026-01-31\n", 2},
		"nothing of one":    {header + "HTTPS:///|1,*,plain,what,me,2026-01-31\n", 2}, // else codes without a system were understood
		"no source":         {header + "http://x.example/s,1,hiv,what,,2026-01-31\n", 2},
		"no date":           {header + "http://x.example/s,1,hiv,what,me,\n", 2},
		"no day":            {header + "http://x.example/s,1,hiv,what,me,2026-02-30\n", 2},
		"no code":           {header + "http://x.example/s,.,hiv,what,me,2026-01-31\n", 2},
		"a star in between": {header + "http://x.example/s,1*2,hiv,what,me,2026-01-31\n", 2},
		"all of a system":   {header + "http://x.example/s,*,hiv,what,me,2026-01-31\n", 2},
		"a plain word":      {header + "words,clinic,plain,what,me,2026-01-31\n", 2},
		"a short word":      {header + "words,*a*,hiv,what,me,2026-01-31\n", 2},
		"a long word":       {header + "words," + strings.Repeat("a", 41) + ",hiv,what,me,2026-01-31\n", 2},
		"a long cell":       {header + "http://x.example/s,1,hiv," + strings.Repeat("a", 501) + ",me,2026-01-31\n", 2},
		"a control":         {header + "http://x.example/s,1,hiv,a\x1b[0m,me,2026-01-31\n", 2},
		"not UTF-8":         {header + "http://x.example/s,1,hiv,\xff,me,2026-01-31\n", 0},
		"UTF-16":            {"\xff\xfes\x00", 0},
		"JSON":              {`{"system":"x"}`, 1},
		"larger":            {header + strings.Repeat(row, MaxTable/len(row)+1), 0},
		"more rows":         {header + strings.Repeat("s,1,hiv,w,m,2026-01-31\n", MaxTableRows+1), MaxTableRows + 2},
		"more words":        {header + strings.Repeat("words,abc,hiv,w,m,2026-01-31\n", 1001), 1002},
	} {
		_, err := ParseTable("mine", strings.NewReader(c.file))
		e, ok := fault.As(err, ErrTable)
		if !ok || fault.Get[int](e, "line") != c.line || fault.Get[string](e, "why") == "" {
			t.Errorf("%s: %v, want line %d", name, err, c.line)
		}
	}
	broken := errors.New("broken")
	if _, err := ParseTable("mine", iotestErr{broken}); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
}

type iotestErr struct{ err error }

func (r iotestErr) Read([]byte) (int, error) { return 0, r.err }

// An imported table adds what it says, and takes nothing away.
func TestTablesWith(t *testing.T) {
	resource := `{"resourceType":"Condition","code":` + coded("http://x.example/s", "a.1", "of the clinic") + `,"bodySite":[` + coded("http://y.example", "9", "Arm") + `]}`
	c := cutOf(t, `{"resource":`+resource+`}`, `{"resource":{"resourceType":"Condition","code":`+coded(icd, "F20.0", "x")+`}}`)
	own := BuiltIn()
	mine := own.With(tableOf(t, "https://X.example/s/,A1,genetic,what,me,2026-01-31", "http://y.example,*,plain,what,me,2026-01-31", "words,of the Clinic,violence,what,me,2026-01-31", "icd-10,F20*,plain,what,me,2026-01-31"))
	for i, want := range []string{"violence, genetic", "mental-health"} {
		if got := said(&mine.Label(c, nil)[i]); got != want {
			t.Errorf("part %d: %q, want %q", i+1, got, want)
		}
	}
	if got := said(&own.Label(c, nil)[0]); got != "code system http://x.example/s, code system http://y.example" {
		t.Errorf("without it: %q", got)
	}
	if own.Version() == mine.Version() || own.Version() != BuiltIn().Version() || mine.Version() == mine.With(tableOf(t, "words,another,hiv,what,me,2026-01-31")).Version() {
		t.Error("tables have the version of others")
	}
}

// What parses is written again as it was understood.
func FuzzParseTable(f *testing.F) {
	f.Add([]byte(header + "http://x.example/s,1,hiv,what,me,2026-01-31\n"))
	f.Add([]byte("# c\n" + header + "words, *a b c* ,hiv,\"a,b\",me,2026-01-31\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := ParseTable("mine", bytes.NewReader(data))
		if err != nil {
			return
		}
		var again bytes.Buffer
		w := csv.NewWriter(&again)
		w.Write(tableHeader)
		for _, r := range table.Rows {
			w.Write([]string{r.System, r.Code, string(r.Says), r.What, r.Source, r.Date})
		}
		w.Flush()
		same, err := ParseTable("mine", &again)
		if err != nil || !reflect.DeepEqual(table, same) {
			t.Fatalf("%v: %+v, and then %+v", err, table, same)
		}
		BuiltIn().With(table)
	})
}

func TestJudge(t *testing.T) {
	lab := Label{Category: "labs", Date: "2024-03-15"}
	with := func(l Label, change func(*Label)) Label { change(&l); return l }
	secret := with(lab, func(l *Label) { l.Sensitive = []Sensitivity{HIV, Reproductive} })
	odd := with(lab, func(l *Label) { l.Unclassified = []string{"free text"} })
	letter := Label{Category: Documents, Date: "2024-03-15"}
	patient := Label{Category: Demographics}
	dated := func(date string) Label { return Label{Category: "labs", Date: date} }
	for _, c := range []struct {
		name string
		s    Selection
		l    Label
		why  string
	}{
		{"all", Selection{}, lab, ""},
		{"all, sensitive", Selection{}, secret, WhySensitive},
		{"one of two named", Selection{With: []string{"hiv"}}, secret, WhySensitive},
		{"both named", Selection{With: []string{"reproductive", "hiv"}}, secret, ""},
		{"named and denied", Selection{With: []string{"reproductive", "hiv"}, Without: []string{"hiv"}}, secret, WhyWithout},
		{"the category named and denied", Selection{Categories: []payload.Category{"labs"}, Without: []string{"labs"}}, lab, WhyWithout},
		{"sensitive by its category", Selection{Categories: []payload.Category{"labs"}}, secret, WhySensitive},
		{"another category", Selection{Categories: []payload.Category{"vitals"}}, lab, WhyCategory},
		{"not understood", Selection{}, odd, WhyUnclassified},
		{"not understood, named", Selection{With: []string{"unclassified"}}, odd, ""},
		{"not understood, denied", Selection{With: []string{"unclassified"}, Without: []string{"unclassified"}}, odd, WhyWithout},
		{"a letter", Selection{}, letter, WhyDocuments},
		{"a letter beside a category", Selection{Categories: []payload.Category{"labs"}}, letter, WhyCategory},
		{"letters named", Selection{With: []string{"documents"}}, letter, ""},
		{"letters named beside a category", Selection{Categories: []payload.Category{"labs"}, With: []string{"documents"}}, letter, ""},
		{"letters as the category", Selection{Categories: []payload.Category{"documents"}}, letter, ""},
		{"a sensitive letter", Selection{With: []string{"documents"}}, with(letter, func(l *Label) { l.Sensitive = []Sensitivity{HIV} }), WhySensitive},
		{"whose it is", Selection{Categories: []payload.Category{"labs"}, Since: "2024"}, patient, ""},
		{"not whose it is", Selection{Categories: []payload.Category{"labs"}, Without: []string{"demographics"}}, patient, WhyWithout},
		{"whose it is, sensitive", Selection{}, with(patient, func(l *Label) { l.Sensitive = []Sensitivity{HIV} }), WhySensitive},
		{"on the first day", Selection{Since: "2024-03-15"}, lab, ""},
		{"the day before", Selection{Since: "2024-03-16"}, lab, WhyDate},
		{"in the month", Selection{Since: "2024-03", Until: "2024-03"}, lab, ""},
		{"on the last day of a year", Selection{Until: "2024"}, dated("2024-12-31"), ""},
		{"the day after", Selection{Until: "2024"}, dated("2025-01-01"), WhyDate},
		{"coarser than the bound", Selection{Since: "2024-03"}, dated("2024"), WhyDate},
		{"coarser, and surely within", Selection{Since: "2024-03"}, dated("2025"), WhyDate},
		{"coarser than the end", Selection{Until: "2024-03"}, dated("2023"), WhyDate},
		{"as fine as the bound", Selection{Since: "2024"}, dated("2024"), ""},
		{"no date", Selection{Since: "2024"}, dated(""), WhyDate},
		{"no date, no bound", Selection{}, dated(""), ""},
		{"whole", Selection{Whole: true, Categories: []payload.Category{"vitals"}, Without: []string{"labs"}}, secret, ""},
	} {
		goes, why := c.s.Judge(&c.l)
		if goes != (c.why == "") || why != c.why {
			t.Errorf("%s: %v, %q; want %q", c.name, goes, why, c.why)
		}
	}
}

func TestRoles(t *testing.T) {
	names := []string{}
	for _, r := range BuiltInRoles() {
		names = append(names, r.Name)
		if err := r.check(); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
		file, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := ParseRole(file); err != nil || !reflect.DeepEqual(same, r) {
			t.Errorf("%s: %v: %+v", r.Name, err, same)
		}
	}
	if want := []string{"nurse", "psychiatrist", "pharmacist", "general practitioner", "physiotherapist", "insurer"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
	BuiltInRoles()[0].Categories[0] = "claims"
	nurse := BuiltInRoles()[0]
	if nurse.Categories[0] == "claims" || nurse.Holds(MentalHealth) {
		t.Errorf("%+v", nurse)
	}
	psychiatrist := BuiltInRoles()[1]
	s := Selection{Categories: []payload.Category{"medications", "claims"}, With: []string{"hiv"}, Without: []string{"violence"}}.By(psychiatrist)
	if s.Role != "psychiatrist" || !slices.Equal(s.Categories, []payload.Category{"medications"}) || !slices.Equal(s.With, []string{"hiv", "mental-health", "substance-use", "violence"}) || !slices.Equal(s.Without, []string{"violence"}) {
		t.Errorf("%+v", s)
	}
	if s := (Selection{Categories: []payload.Category{"claims"}}).By(nurse); !slices.Equal(s.Categories, []payload.Category{Demographics}) {
		t.Errorf("a category that the role does not have: %+v", s)
	}
}

func TestParseRoleRefuses(t *testing.T) {
	const good = `{"v":1,"name":"midwife","categories":["labs"],"sensitive":["reproductive"],"purposes":["TREAT"],"maxDays":90}`
	if _, err := ParseRole([]byte(good)); err != nil {
		t.Fatal(err)
	}
	change := func(from, to string) string { return strings.Replace(good, from, to, 1) }
	for name, c := range map[string]struct{ file, member string }{
		"empty":                {"", ""},
		"an array":             {"[" + good + "]", ""},
		"two":                  {good + good, ""},
		"larger":               {change("midwife", strings.Repeat("m", 10<<20)), ""},
		"not UTF-8":            {change("midwife", "\xff"), ""},
		"a key twice":          {change(`"v":1`, `"v":1,"V":1`), ""},
		"an unknown member":    {change(`"v":1`, `"v":1,"days":3`), ""},
		"without a version":    {change(`"v":1,`, ``), "v"},
		"of a newer form":      {change(`"v":1`, `"v":2`), "v"},
		"a version as text":    {change(`"v":1`, `"v":"1"`), "v"},
		"without a member":     {change(`"sensitive":["reproductive"],`, ``), "sensitive"},
		"null":                 {change(`["labs"]`, `null`), "categories"},
		"another type":         {change(`90`, `"90"`), "maxDays"},
		"no name":              {change("midwife", ""), "name"},
		"a name with a blank":  {change("midwife", " midwife"), "name"},
		"a control":            {change("midwife", `mid\u001bwife`), "name"},
		"a long name":          {change("midwife", strings.Repeat("m", 65)), "name"},
		"no category":          {change(`["labs"]`, `[]`), "categories"},
		"an unknown category":  {change(`"labs"`, `"lab"`), "categories"},
		"a category twice":     {change(`["labs"]`, `["labs","labs"]`), "categories"},
		"unknown sensitivity":  {change(`"reproductive"`, `"secrets"`), "sensitive"},
		"a sensitivity twice":  {change(`["reproductive"]`, `["hiv","hiv"]`), "sensitive"},
		"what nobody knows":    {change(`"reproductive"`, `"unclassified"`), "sensitive"},
		"no purpose":           {change(`["TREAT"]`, `[]`), "purposes"},
		"a purpose as a word":  {change(`"TREAT"`, `"treatment"`), "purposes"},
		"in small letters":     {change(`"TREAT"`, `"treat"`), "purposes"},
		"an emergency":         {change(`"TREAT"`, `"BTG"`), "purposes"},
		"no days":              {change(`90`, `0`), "maxDays"},
		"days below":           {change(`90`, `-1`), "maxDays"},
		"days above":           {change(`90`, `3661`), "maxDays"},
		"days that are no day": {change(`90`, `1.5`), "maxDays"},
	} {
		_, err := ParseRole([]byte(c.file))
		e, ok := fault.As(err, ErrRole)
		if !ok || fault.Get[string](e, "member") != c.member || fault.Get[string](e, "why") == "" {
			t.Errorf("%s: %v, want one of %q", name, err, c.member)
		}
		if ok && len(err.Error()) > 300 {
			t.Errorf("%s: %d bytes of error", name, len(err.Error()))
		}
	}
}

// What parses is written again as it was understood.
func FuzzParseRole(f *testing.F) {
	for _, r := range BuiltInRoles() {
		file, _ := json.Marshal(r)
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRole(data)
		if err != nil {
			if !errors.Is(err, ErrRole) {
				t.Fatal(err)
			}
			return
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := ParseRole(again); err != nil || !reflect.DeepEqual(same, r) {
			t.Fatalf("%v: %+v, and then %+v", err, r, same)
		}
	})
}

// The last digit of every LOINC code and every SNOMED CT id is that which the digits before it
// make (LOINC Users' Guide, Luhn's; SNOMED CT, Verhoeff's): a slip of the pen names nothing, or
// another thing.
func TestOwnCodesCheck(t *testing.T) {
	times := [10][10]int{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 2, 3, 4, 0, 6, 7, 8, 9, 5}, {2, 3, 4, 0, 1, 7, 8, 9, 5, 6}, {3, 4, 0, 1, 2, 8, 9, 5, 6, 7}, {4, 0, 1, 2, 3, 9, 5, 6, 7, 8},
		{5, 9, 8, 7, 6, 0, 4, 3, 2, 1}, {6, 5, 9, 8, 7, 1, 0, 4, 3, 2}, {7, 6, 5, 9, 8, 2, 1, 0, 4, 3}, {8, 7, 6, 5, 9, 3, 2, 1, 0, 4}, {9, 8, 7, 6, 5, 4, 3, 2, 1, 0}}
	verhoeff := func(code string) bool {
		sum := 0
		for i := range code {
			digit := int(code[len(code)-1-i] - '0')
			for range i % 8 {
				digit = [10]int{1, 5, 7, 6, 2, 8, 3, 0, 9, 4}[digit]
			}
			sum = times[sum][digit]
		}
		return sum == 0
	}
	luhn := func(code string) bool {
		code = strings.ReplaceAll(code, "-", "")
		sum := 0
		for i := range code {
			digit := int(code[len(code)-1-i]-'0') * (1 + i%2)
			sum += digit/10 + digit%10
		}
		return sum%10 == 0
	}
	for file, check := range map[string]func(string) bool{"snomed.csv": verhoeff, "loinc.csv": luhn} {
		data, err := os.ReadFile(filepath.Join("tables", file))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(data)) {
			if f := strings.Split(line, ","); len(f) > 1 && f[0]+".csv" == file {
				if n++; !check(f[1]) {
					t.Errorf("%s: %s has a digit that is wrong", file, f[1])
				}
			}
		}
		if n < 50 {
			t.Errorf("%s: only %d codes", file, n)
		}
	}
}

// What ICD says of poisoning by oneself or by others it says within the code, behind what the
// poison was: such a code goes to nobody unless it is named, also without words beside it.
func TestLabelIntent(t *testing.T) {
	for _, code := range []string{"T39.1X2A", "T71.113A", "T65.92XA", "X84"} {
		c, err := Split([]byte(`{"resourceType":"Condition","code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"` + code + `"}]}}`))
		if err != nil {
			t.Fatal(err)
		}
		l := BuiltIn().Label(c, nil)[0]
		if goes, _ := (&Selection{}).Judge(&l); goes {
			t.Errorf("%s goes without being named", code)
		}
	}
}
