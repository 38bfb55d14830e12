package health

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/lane"
)

var viewDay = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// viewFile is a file to look at.
type viewFile struct {
	Source
	bytes []byte
}

func viewOf(files ...viewFile) *View {
	v := NewViewing()
	for _, f := range files {
		v.Add(f.Source, f.bytes)
	}
	return v.View(viewDay)
}

func viewJSON(t *testing.T, v *View) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// fixtures are the files of one folder of testdata/fhir/view.
func fixtures(t *testing.T, pattern string) (out []viewFile) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "..", "testdata", "fhir", "view", pattern))
	if err != nil || len(paths) == 0 {
		t.Fatal(pattern, err)
	}
	for _, p := range paths {
		if filepath.Ext(p) == ".txt" {
			continue
		}
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, viewFile{Source{Name: filepath.Base(p)}, b})
	}
	return out
}

func (p *ViewPerson) sections() map[string]*ViewSection {
	return map[string]*ViewSection{
		inAllergies: &p.Allergies, inMedicines: &p.Medicines, inProblems: &p.Problems, inImmunizations: &p.Immunizations,
		inResults: &p.Results, inProcedures: &p.Procedures, inDevices: &p.Devices, inReports: &p.Reports, inDocuments: &p.Documents,
	}
}

// accounted counts every resource of the sources that a view shows, counts, or takes for a
// person or for a statement about a whole section.
func accounted(v *View) map[int]int {
	at := map[int]map[int]bool{}
	counts := map[int]int{}
	copyOf := func(source, entry int) {
		if at[source] == nil {
			at[source] = map[int]bool{}
		}
		at[source][entry] = true
	}
	for i := range v.Persons {
		p := &v.Persons[i]
		for _, s := range p.sections() {
			for _, it := range s.Items {
				for _, c := range it.Copies {
					copyOf(c.Source, c.Entry)
				}
			}
			for _, st := range slices.Concat(s.None, s.NoInfo, s.TextOnly) {
				copyOf(st.Source, st.Entry)
			}
		}
		for _, it := range p.Withdrawn {
			for _, c := range it.Copies {
				copyOf(c.Source, c.Entry)
			}
		}
	}
	for source, entries := range at {
		counts[source] = len(entries)
	}
	return counts
}

// Nothing of a source is lost: what is not an item, a statement or a person is counted.
func TestViewLosesNothing(t *testing.T) {
	for _, f := range append(fixtures(t, "*/*"), generated(rand.New(rand.NewPCG(1, 1)), 40)...) {
		v := viewOf(f)
		s := v.Sources[0]
		if !s.Read {
			continue
		}
		cut, err := Split([]byte(strings.TrimPrefix(string(f.bytes), bom)))
		if err != nil {
			t.Fatal(f.Name, err)
		}
		all, patients := 0, 0
		for _, p := range cut.Parts {
			all += boolInt(!p.Text)
			patients += boolInt(!p.Text && p.Type == "Patient")
		}
		others := 0
		for _, o := range s.Others {
			others += o.Count
		}
		for _, p := range v.Persons {
			for _, o := range p.Others {
				others += o.Count
			}
		}
		if got := accounted(v)[1] + patients + others; got != all || s.Resources != all {
			t.Errorf("%s: %d resources, %d accounted for, %d said", f.Name, all, got, s.Resources)
		}
	}
}

// The same files make the same view in every order and however often they are given, and
// under their own names only the names differ.
func TestViewHasNoOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	sets := [][]viewFile{fixtures(t, "merge/*"), fixtures(t, "persons/*"), fixtures(t, "*/*")}
	for range lane.Pick(200, 20, 5) {
		sets = append(sets, generated(rng, 1+rng.IntN(6)))
	}
	for i, files := range sets {
		want := viewJSON(t, viewOf(files...))
		for range lane.Pick(30, 6, 2) {
			mixed := slices.Clone(files)
			for range rng.IntN(4) {
				mixed = append(mixed, files[rng.IntN(len(files))])
			}
			rng.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
			if got := viewJSON(t, viewOf(mixed...)); got != want {
				t.Fatalf("set %d: the view depends on the order or on repeats\n%s", i, firstDifference(got, want))
			}
		}
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("line %d: %s\nnot     %s", i, x[i], y[i])
		}
	}
	return "one ends before the other"
}

// generated are files about a few people. Every name of a thing ends with whom it is
// about, and no identifier is of two people but the one of a family, of whom each has
// another birth date.
func generated(rng *rand.Rand, n int) (out []viewFile) {
	for i := range n {
		var entries []string
		add := func(format string, args ...any) {
			entries = append(entries, `{"fullUrl":"https://a.example/`+fmt.Sprint(i)+"/"+fmt.Sprint(len(entries))+`","resource":`+fmt.Sprintf(format, args...)+"}")
		}
		people := rng.Perm(5)[:1+rng.IntN(3)]
		for _, p := range people {
			add(`{"resourceType":"Patient","id":"p%d","identifier":[{"system":"s","value":"%d"},{"system":"family","value":"f"}],"name":[{"text":"Name"}],"birthDate":"19%d0-01-01"}`, p, p, 1+p)
		}
		for range rng.IntN(12) {
			p := people[rng.IntN(len(people))]
			thing, date := rng.IntN(3), []string{"", "2001", "2001-02", "2001-02-03", "2001-02-04", "2002"}[rng.IntN(6)]
			field := func(name string) string {
				if date == "" {
					return ""
				}
				return `,"` + name + `":"` + date + `"`
			}
			id := ""
			if rng.IntN(4) == 0 {
				id = fmt.Sprintf(`,"identifier":[{"system":"i","value":"%d"}]`, rng.IntN(3))
			}
			code := fmt.Sprintf(`{"coding":[{"system":"c","code":"%d","display":"thing %d of p%d"}]}`, thing, thing, p)
			who := fmt.Sprintf(`{"reference":"Patient/p%d"}`, p)
			status := []string{"active", "resolved"}[rng.IntN(2)]
			switch rng.IntN(7) {
			case 0:
				add(`{"resourceType":"Condition","clinicalStatus":{"text":"%s"},"code":%s,"subject":%s%s%s}`, status, code, who, field("onsetDateTime"), id)
			case 1:
				add(`{"resourceType":"AllergyIntolerance","clinicalStatus":{"text":"%s"},"code":%s,"patient":%s%s%s}`, status, code, who, field("onsetDateTime"), id)
			case 2:
				add(`{"resourceType":"Immunization","status":"completed","vaccineCode":%s,"patient":%s%s%s}`, code, who, field("occurrenceDateTime"), id)
			case 3:
				add(`{"resourceType":"Observation","status":"final","code":%s,"subject":%s%s,"valueQuantity":{"value":%d,"unit":"u"}}`, code, who, field("effectiveDateTime"), rng.IntN(2))
			case 4:
				add(`{"resourceType":"MedicationStatement","status":"active","medicationCodeableConcept":%s,"subject":%s%s%s}`, code, who, field("effectiveDateTime"), id)
			case 5:
				add(`{"resourceType":"AllergyIntolerance","code":{"coding":[{"system":"%s","code":"%s"}]},"patient":%s}`, sysAbsent, []string{"no-known-allergies", "no-allergy-info", "no-known-food-allergies"}[rng.IntN(3)], who)
			case 6:
				add(`{"resourceType":"Encounter","subject":%s}`, who)
			}
		}
		out = append(out, viewFile{Source{Name: fmt.Sprintf("file %d.json", i)}, []byte(`{"resourceType":"Bundle","type":"collection","entry":[` + strings.Join(entries, ",\n") + "]}")})
	}
	return out
}

// Two persons are never one, whatever they share; and what one source says is not there
// takes nothing away that another has.
func TestViewKeepsPersonsApart(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for range lane.Pick(2000, 200, 30) {
		v := viewOf(generated(rng, 1+rng.IntN(6))...)
		for i := range v.Persons {
			p := &v.Persons[i]
			whose := map[string]bool{}
			for _, s := range p.sections() {
				for _, it := range s.Items {
					for _, c := range it.Copies {
						whose[c.Name[strings.LastIndexByte(c.Name, ' ')+1:]] = true
					}
				}
				if len(s.Items) > 0 && s.State != StateListed {
					t.Fatalf("%d items, state %s", len(s.Items), s.State)
				}
				if len(s.Items) == 0 && s.State == StateListed {
					t.Fatal("nothing is listed")
				}
			}
			if len(whose) > 1 || len(p.Born) > 1 {
				t.Fatalf("person %d is several: %v, born %v", p.Number, slices.Sorted(maps.Keys(whose)), p.Born)
			}
		}
	}
}

// Within one source nothing is merged but what shares an identifier, not even by way of
// another source.
func TestViewMergesNothingWithinASource(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	merged, rounds := 0, lane.Pick(2000, 200, 30)
	for range rounds {
		files := generated(rng, 1+rng.IntN(6))
		v := viewOf(files...)
		for i := range v.Persons {
			for _, s := range v.Persons[i].sections() {
				for _, it := range s.Items {
					merged += boolInt(len(it.Copies) > 1)
					for a, c := range it.Copies {
						for _, d := range it.Copies[:a] {
							if c.Type != d.Type {
								t.Fatal("two types are one")
							}
							if c.Source == d.Source && (!hasIdentifier(v, files, c) || !hasIdentifier(v, files, d)) {
								t.Fatalf("entries %d and %d of source %d are one", c.Entry, d.Entry, c.Source)
							}
						}
					}
				}
			}
		}
	}
	if merged < rounds/5 {
		t.Errorf("only %d were merged: this shows nothing", merged)
	}
}

func hasIdentifier(v *View, files []viewFile, c ViewCopy) bool {
	for _, f := range files {
		if f.Name == v.Sources[c.Source-1].Names[0] {
			var b struct {
				Entry []struct {
					Resource struct{ Identifier []Identifier }
				}
			}
			json.Unmarshal(f.bytes, &b)
			return len(b.Entry[c.Entry-1].Resource.Identifier) > 0
		}
	}
	return false
}

// One file with everything in it that a name may do.
func TestViewPageStandsAlone(t *testing.T) {
	for _, files := range [][]viewFile{fixtures(t, "*/*"), fixtures(t, "hostile/*"), generated(rand.New(rand.NewPCG(5, 5)), 5)} {
		page := string(viewOf(files...).HTML())
		standsAlone(t, page)
	}
	page := string(viewOf(fixtures(t, "hostile/*")...).HTML())
	for _, want := range []string{"default-src 'none'", "&lt;script src=https://evil.example/x.js&gt;", NoAdvice[:40]} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	for _, never := range []string{"\x1b", "\u202e", "\x07", "\u200b", "<script", "<img"} {
		if strings.Contains(page, never) {
			t.Errorf("%q in the page", never)
		}
	}
}

// standsAlone parses a page: only these elements, with only these attributes, and a policy
// before anything else.
func standsAlone(t *testing.T, page string) {
	t.Helper()
	elements := map[string]string{
		"html": "lang", "head": "", "meta": "charset http-equiv content name", "title": "", "style": "", "body": "", "h1": "", "h2": "", "small": "",
		"ul": "", "li": "class", "p": "class", "b": "", "bdi": "", "sup": "", "svg": "viewBox aria-hidden", "polyline": "fill stroke points",
	}
	d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(page, "<!DOCTYPE html>")))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	style, n := false, 0
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch x := tok.(type) {
		case xml.StartElement:
			n++
			allowed, ok := elements[x.Name.Local]
			if !ok {
				t.Fatalf("element %s in the page", x.Name.Local)
			}
			for _, a := range x.Attr {
				if !slices.Contains(strings.Fields(allowed), a.Name.Local) {
					t.Fatalf("attribute %s of %s in the page", a.Name.Local, x.Name.Local)
				}
				if strings.Contains(a.Value, "//") || strings.Contains(a.Value, "script:") {
					t.Fatalf("%s of %s is %q", a.Name.Local, x.Name.Local, a.Value)
				}
			}
			style = x.Name.Local == "style"
		case xml.EndElement:
			style = style && x.Name.Local != "style"
		case xml.CharData:
			if s := string(x); style && (strings.Contains(s, "url(") || strings.Contains(s, "@import") || strings.Contains(s, "//")) {
				t.Fatal("the style names something outside")
			}
		case xml.Comment, xml.ProcInst:
			t.Fatalf("%v in the page", tok)
		}
	}
	if n < 20 {
		t.Errorf("only %d elements", n)
	}
	if csp, content := strings.Index(page, "Content-Security-Policy"), strings.Index(page, "<style>"); csp < 0 || csp > content {
		t.Error("no policy before the style")
	}
}

// Every pair of the paper is found, by name and by code; nothing else is.
func TestInteractions(t *testing.T) {
	table := medicineTable()
	if len(table.pairs) != InteractionPairs {
		t.Fatalf("%d pairs", len(table.pairs))
	}
	codes := map[string]string{}
	for c, in := range table.code {
		codes[in] = c
	}
	medicine := func(name, code string) ViewItem {
		it := &viewItem{}
		it.Name, it.Current = name, true
		if code != "" {
			it.Codes = []ViewCode{{sysRxNorm, code, ""}}
		}
		it.medicine("2026-11-29")
		it.Copies = []ViewCopy{{Source: 1}}
		return it.ViewItem
	}
	found := func(items ...ViewItem) []ViewInteraction {
		p := &ViewPerson{Medicines: ViewSection{Items: items}}
		return table.check(p).Found
	}
	for _, pair := range table.pairs {
		n := 0
		for a := range table.class[pair.a] {
			for b := range table.class[pair.b] {
				if a == b {
					continue
				}
				n++
				byName := found(medicine(strings.ToUpper(a)+" 10 MG Oral Tablet", ""), medicine("Product containing "+b, ""))
				byCode := found(medicine(codes[b], codes[b]), medicine(codes[a], codes[a]))
				for _, got := range [][]ViewInteraction{byName, byCode} {
					if !slices.ContainsFunc(got, func(f ViewInteraction) bool { return f.Pair == pair.number && len(f.Source) > 0 }) {
						t.Errorf("pair %d: %s with %s is not found", pair.number, a, b)
					}
				}
			}
		}
		if n == 0 {
			t.Errorf("pair %d has no members", pair.number)
		}
	}
	for _, items := range [][]ViewItem{
		{medicine("sotalol 80 mg", ""), medicine("Sotalol", "")}, // one medicine twice
		{medicine("metformin", ""), medicine("lisinopril", "")},
		{medicine("remifentanil", ""), medicine("phenelzine", "")}, // no word of the table
		{medicine("simvastatin", "")},
	} {
		if got := found(items...); len(got) > 0 {
			t.Errorf("%s: %+v", items[0].Name, got)
		}
	}
}

// A medicine counts as checked only if all that may be in it is known.
func TestMedicineIsWhollyKnown(t *testing.T) {
	rx := func(code, display string) ViewCode { return ViewCode{sysRxNorm, code, display} }
	is := func(names ...string) (out []codeable) {
		for _, n := range names {
			out = append(out, codeable{name: n})
		}
		return out
	}
	for _, c := range []struct {
		name     string
		codes    []ViewCode
		contains []codeable
		want     bool
	}{
		{"metformin 500 mg", nil, nil, true},
		{"Simvastatin 20mg", nil, nil, true},
		{"Simvastatin, 20 mg, tablet", nil, nil, true},
		{"SIMVASTATIN (substance)", nil, nil, true},
		{"Product containing only simvastatin (medicinal product)", nil, nil, true},
		{"lisinopril 10 MG / hydrochlorothiazide 12.5 MG Oral Tablet", nil, nil, true},
		{"lisinopril-hydrochlorothiazide", nil, nil, true},
		{"lisinopril, hydrochlorothiazide", nil, nil, true},
		{"24HR Metformin hydrochloride 500 MG Extended Release Oral Tablet", nil, nil, true},
		{"120 ACTUAT fluticasone propionate 0.044 MG/ACTUAT Metered Dose Inhaler", nil, nil, true},
		{"NDA020800 0.3 ML Epinephrine 1 MG/ML Auto-Injector", nil, nil, true},
		{"simvastatin 20 MG Oral Tablet [Zocor]", []ViewCode{rx("104490", "simvastatin 20 MG Oral Tablet [Zocor]")}, nil, true},
		{"simvastatin", []ViewCode{rx("1", "Zocor 20 MG Oral Tablet")}, nil, true},
		{"36567", []ViewCode{rx("36567", "")}, nil, true},
		{"Zocor", []ViewCode{rx("36567", "simvastatin")}, nil, true},
		{"Zocor", nil, is("Simvastatin"), true},

		{"200", nil, nil, false},
		{"", nil, nil, false},
		{"Glucophage", nil, nil, false},
		{"simvastatin [Zocor]", nil, nil, false},
		{"amoxicillin and clavulanic acid", nil, nil, false},
		{"Amoxicillin-Clavulanate 875 MG", nil, nil, false},
		{"amoxicillin, clavulanic acid", nil, nil, false},
		{"amoxicillin/clavulanic acid", nil, nil, false},
		{"amoxicillin + clavulanic acid", nil, nil, false},
		{"amoxicillin (clavulanic acid)", nil, nil, false},
		{"amoxicillin clavulanic acid", nil, nil, false},
		{"amoxicillin · clavulanic acid", nil, nil, false},
		{"lisinopril, potassium chloride", nil, nil, false},
		{"lisinopril and potassium chloride", nil, nil, false},
		{"simvastatin, lercanidipine", []ViewCode{rx("36567", "")}, nil, false},
		{"simvastatin", []ViewCode{rx("1", "simvastatin 10 MG / lercanidipine 10 MG Oral Tablet")}, nil, false},
		{"Zocor", []ViewCode{rx("36567", ""), rx("593411", "")}, nil, false},
		{"Inegy", nil, is("Simvastatin", "Lercanidipine"), false},
		{"Inegy", nil, is("Simvastatin, lercanidipine"), false},
	} {
		if got := medicineTable().whole(c.name, c.codes, c.contains); got != c.want {
			t.Errorf("%q %v %v: whole is %t", c.name, c.codes, c.contains, got)
		}
	}
	checked := medicineTable().check(&ViewPerson{Medicines: ViewSection{Items: []ViewItem{{Name: "amoxicillin", Current: true, whole: true}, {Name: "amoxicillin, clavulanic acid", Current: true}}}})
	if want := []string{"amoxicillin, clavulanic acid"}; !slices.Equal(checked.NotChecked, want) || checked.Checked != 1 {
		t.Errorf("checked %d, not checked %q", checked.Checked, checked.NotChecked)
	}
}

// An allergy names a medicine by code, by ingredient, and among penicillins; no further.
func TestAllergic(t *testing.T) {
	item := func(name string, codes ...ViewCode) ViewItem {
		it := &viewItem{}
		it.Name, it.Codes = name, codes
		it.medicine("2026-11-29")
		return it.ViewItem
	}
	for _, c := range []struct {
		allergy, medicine ViewItem
		want              string
	}{
		{item("Penicillin"), item("Amoxicillin 500 mg"), "amoxicillin is a penicillin too"},
		{item("x", ViewCode{System: sysSNOMED, Code: "91936005"}), item("Piperacillin"), "piperacillin is a penicillin too"},
		{item("Ampicillin"), item("Amoxicillin"), "amoxicillin is a penicillin too"},
		{item("Amoxicillin"), item("Amoxicillin 500 mg"), "the same ingredient, amoxicillin"},
		{item("x", ViewCode{System: "s", Code: "1"}), item("y", ViewCode{System: "s", Code: "1"}), "the same code"},
		{item("Penicillin"), item("Cephalexin"), ""},
		{item("Cephalexin"), item("Cefazolin"), ""},
		{item("Simvastatin"), item("Lovastatin"), ""},
		{item("Grass"), item("Amoxicillin"), ""},
	} {
		if got := medicineTable().allergic(c.allergy, c.medicine); got != c.want {
			t.Errorf("%s and %s: %q", c.allergy.Name, c.medicine.Name, got)
		}
	}
}

// A table with a line that says not where it is from is no table.
func TestInteractionTableIsWhole(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(interactionsTable, "\n"), "\n")
	for _, c := range []struct{ add, why string }{
		{"class\tstatins\tatorvastatin\tnobody\t2026-01-01", "no source nobody"},
		{"class\tstatins\tnobody's\tonc\t2026-01-01", "no line for the ingredient"},
		{"ingredient\t36567\tsomething\trxnorm\t2026-01-01", "a code of two"},
		{"ingredient\t999999\tsimvastatin\trxnorm\t2026-01-01", "a word of two"},
		{"pair\t16\tstatins\tnone\tx\ty\tonc\t2026-01-01", "no such class"},
		{"pair\t9\tstatins\tstatins\tx\ty\tonc\t2026-01-01", "not in order"},
		{"simvastatin", "not a line"},
	} {
		if _, err := parseInteractions(strings.Join(append(slices.Clone(lines), c.add), "\n")); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%q: %v", c.add, err)
		}
	}
}

func TestNumberText(t *testing.T) {
	for in, want := range map[string]string{
		"98.63157894": "98.63", "7.10": "7.10", "245678.7": "245679", "245678": "245678", "0.00012345": "0.0001234", "-3.14159": "-3.142",
		"1e3": "1000", "1e999999999": "1e999999999", "5": "5", "120.50": "120.5", "171.68499": "171.7", strings.Repeat("9", 70): strings.Repeat("9", 64) + "…",
	} {
		if got := numberText(in); got != want {
			t.Errorf("%s is %s, not %s", in, got, want)
		}
	}
}

// What looks at any bytes stops, and says the same of them twice.
func FuzzView(f *testing.F) {
	paths, _ := filepath.Glob(filepath.Join("..", "..", "testdata", "fhir", "view", "*", "*"))
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file := viewFile{Source{Name: "a.json"}, b}
		v := viewOf(file)
		once := viewJSON(t, v)
		if again := viewJSON(t, viewOf(file, file)); once != again {
			t.Fatal(firstDifference(once, again))
		}
		if len(b) < 1<<14 {
			standsAlone(t, string(v.HTML())+strings.Repeat("<p></p>", 20))
		}
	})
}

// Files of one resource each say Patient/p, and no server. Whether that is one person nobody can
// tell: nothing is put together, and that they may be one is said once.
func TestOneIDInSeveralFiles(t *testing.T) {
	patient := viewFile{Source{Name: "patient.json"}, []byte(`{"resourceType":"Patient","id":"p","name":[{"text":"Ada Example"}]}`)}
	allergy := viewFile{Source{Name: "allergy.json"}, []byte(`{"resourceType":"AllergyIntolerance","patient":{"reference":"Patient/p/_history/2"},"code":{"text":"Nuts"}}`)}
	result := viewFile{Source{Name: "result.json"}, []byte(`{"resourceType":"Observation","status":"final","subject":{"reference":"Patient/p"},"code":{"text":"Sodium"}}`)}
	other := viewFile{Source{Name: "other.json"}, []byte(`{"resourceType":"Patient","id":"p","name":[{"text":"Ben Other"}]}`)}
	third := viewFile{Source{Name: "third.json"}, []byte(`{"resourceType":"Observation","status":"final","subject":{"reference":"Patient/q"},"code":{"text":"Potassium"}}`)}
	for _, c := range []struct {
		files   []viewFile
		persons int
		perhaps string
	}{
		{[]viewFile{patient, allergy, result, third}, 4, "[1 2 3]"},
		{[]viewFile{allergy, result}, 2, "[1 2]"},
		{[]viewFile{patient, other}, 2, ""}, // each has the name of who it is
		{[]viewFile{patient, third}, 2, ""},
	} {
		v := viewOf(c.files...)
		got := ""
		for _, x := range v.Perhaps {
			got += fmt.Sprint(x.Persons)
			if !strings.Contains(x.Why, "Patient/p") {
				t.Error(x.Why)
			}
		}
		if len(v.Persons) != c.persons || got != c.perhaps {
			t.Errorf("%d files: %d persons, perhaps one: %s; want %d, %s", len(c.files), len(v.Persons), got, c.persons, c.perhaps)
		}
	}
}

// Two consents give different parts of one record, whose Patient has no identifier: she is one
// person, and nobody else is her.
func TestPartsOfOneRecordAreOfOnePerson(t *testing.T) {
	part := func(record, patient, subject, finding string) viewFile {
		entries := `{"fullUrl":"urn:uuid:o","resource":{"resourceType":"Observation","status":"final","subject":{"reference":"` + subject + `"},"code":{"text":"` + finding + `"}}}`
		if patient != "" {
			entries += `,{"fullUrl":"urn:uuid:p","resource":{"resourceType":"Patient","id":"p",` + patient + `}}`
		}
		return viewFile{Source{Name: record + finding + ".json", Part: true, Record: record}, []byte(`{"resourceType":"Bundle","type":"collection","entry":[` + entries + `]}`)}
	}
	const ada, born, ben = `"name":[{"text":"Ada Example"}]`, `"birthDate":"1950-04-01"`, `"name":[{"text":"Ben Other"}]`
	sodium := part("a", ada, "urn:uuid:p", "Sodium")
	for name, c := range map[string]struct {
		others  []viewFile
		persons int
	}{
		"other parts":             {[]viewFile{part("a", ada+","+born, "urn:uuid:p", "Potassium")}, 1},
		"demographics withheld":   {[]viewFile{part("a", "", "urn:uuid:p", "Potassium")}, 1},
		"about somebody else":     {[]viewFile{part("a", "", "urn:uuid:q", "Potassium")}, 2},
		"another record":          {[]viewFile{part("b", ada, "urn:uuid:p", "Potassium")}, 2},
		"nobody knows of which":   {[]viewFile{part("", ada, "urn:uuid:p", "Potassium")}, 2},
		"another name":            {[]viewFile{part("a", ben, "urn:uuid:p", "Potassium")}, 2},
		"a third tells two apart": {[]viewFile{part("a", ben, "urn:uuid:p", "Potassium"), part("a", "", "urn:uuid:p", "Calcium")}, 3},
		"two of one place":        {[]viewFile{part("a", ada+`}},{"fullUrl":"urn:uuid:p","resource":{"resourceType":"Patient","id":"r","gender":"female"`, "urn:uuid:r", "Potassium")}, 4},
		"all of it":               {[]viewFile{part("a", ada, "urn:uuid:p", "Potassium"), part("a", "", "urn:uuid:p", "Calcium"), part("b", "", "urn:uuid:p", "Iron"), part("b", ben, "urn:uuid:p", "Zinc")}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			v := viewOf(append(slices.Clone(c.others), sodium)...)
			if len(v.Persons) != c.persons {
				t.Errorf("%d persons, want %d: %s", len(v.Persons), c.persons, viewJSON(t, v))
			}
			again := append([]viewFile{sodium, sodium}, c.others...)
			if a, b := viewJSON(t, v), viewJSON(t, viewOf(again...)); a != b {
				t.Error(firstDifference(a, b))
			}
		})
	}
}
