package health

import (
	"bufio"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// interactionsTable is our own table of the pairs of classes that a panel of experts found
// should be warned of everywhere (Phansalkar et al., JAMIA 2012;19:735), with the ingredients
// of each class. What its lines are stands at its head.
//
//go:embed tables/interactions.tsv
var interactionsTable string

// InteractionPairs is how many pairs the paper has.
const InteractionPairs = 15

// InteractionTable is the name of that table, and how many lines say something in it. It
// labels nothing: a [View] is compared with it.
func InteractionTable() (name string, lines int) {
	for line := range strings.Lines(interactionsTable) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines++
		}
	}
	return "interactions.tsv", lines
}

// medicineTable is the table that is shipped. Few runs of a program need it.
var medicineTable = sync.OnceValue(func() *interactionTable { return mustInteractions(interactionsTable) })

// interactionTable knows ingredients, and which pairs of them to look for.
type interactionTable struct {
	version, date string
	sources       map[string]string
	pairs         []interactionPair
	class         map[string]map[string]string // class to ingredient to the key of its source
	code          map[string]string            // RxNorm code to ingredient
	word          map[string]string            // one or more words, in lower case, to ingredient
	longest       int                          // words of one name
	penicillin    map[string]bool
}

type interactionPair struct {
	number         int
	a, b           string // classes
	nameA, nameB   string
	source, onDate string
}

func mustInteractions(text string) *interactionTable {
	t, err := parseInteractions(text)
	if err != nil {
		panic(err)
	}
	return t
}

// parseInteractions reads a table. Every ingredient of a class has a line of its own, every
// line a source that stands in the table, and no name or code is of two ingredients.
func parseInteractions(text string) (*interactionTable, error) {
	t := &interactionTable{sources: map[string]string{}, class: map[string]map[string]string{}, code: map[string]string{}, word: map[string]string{}, penicillin: map[string]bool{}}
	known := map[string]bool{}
	var need []string
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		bad := func(why string) error { return fmt.Errorf("line %d: %s", n, why) }
		length := map[string]int{"table": 4, "source": 3, "pair": 8, "class": 5, "ingredient": 5, "penicillin": 4}[f[0]]
		if len(f) != length {
			return nil, bad("not a line of this table")
		}
		if f[0] != "table" && f[0] != "source" && t.sources[f[length-2]] == "" {
			return nil, bad("no source " + f[length-2])
		}
		switch f[0] {
		case "table":
			t.version, t.date = f[2], f[3]
		case "source":
			t.sources[f[1]] = f[2]
		case "pair":
			t.pairs = append(t.pairs, interactionPair{len(t.pairs) + 1, f[2], f[3], f[4], f[5], f[6], f[7]})
			if f[1] != fmt.Sprint(len(t.pairs)) {
				return nil, bad("the pairs are not in order")
			}
		case "class":
			if t.class[f[1]] == nil {
				t.class[f[1]] = map[string]string{}
			}
			t.class[f[1]][f[2]] = f[3]
			need = append(need, f[2])
		case "penicillin":
			t.penicillin[f[1]] = true
			need = append(need, f[1])
		case "ingredient":
			words := strings.Split(f[2], ", ")
			if t.code[f[1]] != "" {
				return nil, bad("a code of two ingredients")
			}
			t.code[f[1]] = words[0]
			known[words[0]] = true
			for _, w := range words {
				if t.word[w] != "" {
					return nil, bad("a word of two ingredients")
				}
				t.word[w] = words[0]
				t.longest = max(t.longest, len(nameWords(w)))
			}
		}
	}
	for _, name := range need {
		if !known[name] {
			return nil, fmt.Errorf("no line for the ingredient %s", name)
		}
	}
	for _, p := range t.pairs {
		if t.class[p.a] == nil || t.class[p.b] == nil {
			return nil, fmt.Errorf("pair %d: no such class", p.number)
		}
	}
	return t, lines.Err()
}

// nameWords are the words of a text in lower case: letters, digits, and an apostrophe within.
func nameWords(s string) []string {
	return strings.FieldsFunc(strings.ToLower(strings.ReplaceAll(s, "’", "'")), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\''
	})
}

// ingredients are what a medicine contains, as far as the table knows: by an RxNorm code of
// an ingredient, else by words of its name. Never nil.
func (t *interactionTable) ingredients(name string, codes []ViewCode) []string {
	var out []string
	names := []string{name}
	for _, c := range codes {
		if c.System == sysRxNorm && t.code[c.Code] != "" {
			out = append(out, t.code[c.Code])
		}
		names = append(names, c.Display)
	}
	for _, s := range names {
		found, _ := t.words(s)
		out = append(out, found...)
	}
	return append([]string{}, uniq(out)...)
}

// words are the ingredients that a text names, and its other words.
func (t *interactionTable) words(text string) (found, others []string) {
	words := nameWords(text)
	for i := 0; i < len(words); {
		n := min(t.longest, len(words)-i)
		for ; n > 0; n-- {
			if in := t.word[strings.Join(words[i:i+n], " ")]; in != "" {
				found = append(found, in)
				break
			}
		}
		if n == 0 {
			others = append(others, words[i])
		}
		i += max(n, 1)
	}
	return found, others
}

// whole reports whether each ingredient of a medicine is known: each that it is said to
// contain, else all that its name names. A name that is none of an ingredient's, such as a
// brand, is known by the only code, if this is an ingredient's. What is not whole was not
// checked, and is said to be so: a word that is not known may be an ingredient.
func (t *interactionTable) whole(name string, codes []ViewCode, contains []codeable) bool {
	if len(contains) > 0 {
		return !slices.ContainsFunc(contains, func(c codeable) bool { return !t.whole(c.name, c.codes, nil) })
	}
	rxNorm := slices.ContainsFunc(codes, func(c ViewCode) bool { return c.System == sysRxNorm })
	for _, c := range codes { // it may say more than the name
		if found, _ := t.words(c.Display); len(found) > 0 && !t.wholeName(c.Display, rxNorm) {
			return false
		}
	}
	if found, _ := t.words(name); len(found) == 0 {
		return len(codes) == 1 && rxNorm && t.code[codes[0].Code] != ""
	}
	return t.wholeName(name, rxNorm)
}

// wholeName reports whether a name consists of ingredients that are known, and of words that
// can be none. RxNorm puts a brand at the end of the name of what it consists of, in brackets.
func (t *interactionTable) wholeName(name string, rxNorm bool) bool {
	if i := strings.LastIndexByte(name, '['); i > 0 && rxNorm && strings.HasSuffix(name, "]") {
		name = name[:i]
	}
	parts := strings.NewReplacer(" and ", "/", " with ", "/", " plus ", "/").Replace(strings.ToLower(name))
	any := false
	for _, part := range strings.FieldsFunc(parts, func(r rune) bool { return strings.ContainsRune("/+&;,()[]", r) }) {
		found, others := t.words(part)
		for _, w := range others {
			w = strings.TrimFunc(w, unicode.IsDigit) // 24HR
			if w != "" && !noIngredient()[w] && (len(found) == 0 || !salts()[w]) {
				return false
			}
		}
		any = any || len(found) > 0
	}
	return any
}

// noIngredient are words in names of medicines that name none: units, forms, ways and times,
// and what RxNorm and SNOMED CT put around a name.
var noIngredient = sync.OnceValue(func() map[string]bool {
	return setOf(`mg ml mcg ug µg μg g kg l dl h hr hrs hour hours actuat unt iu ui ie unit units meq mmol ppm day days dose doses x per
		tablet tablets tab tabs capsule capsules cap caps caplet pill pills lozenge suppository solution suspension syrup elixir drops drop powder granules granule
		cream ointment gel lotion foam spray patch system ring film implant insert kit pack packet inhaler inhalant inhalation aerosol metered dry nebulizer
		injection injectable injector autoinjector auto syringe prefilled pen vial cartridge infusion concentrate
		oral sublingual buccal topical nasal ophthalmic otic rectal vaginal transdermal intravenous intramuscular subcutaneous iv im sc po
		extended delayed release modified immediate sustained prolonged controlled er xr xl sr dr ir cr la effervescent chewable disintegrating orally coated enteric film
		dispersible soluble liquid hard soft product containing only precisely medicinal clinical drug substance form virtual nda
		tablette tabletten filmtablette filmtabletten kapsel kapseln tropfen salbe tbl ftbl
		comprimé comprimés gélule gélules comprimido comprimidos cápsula cápsulas compressa compresse capsule tabletta filmomhuld`)
})

// salts are words beside an ingredient that say in which form it is bound. Alone they may be one.
var salts = sync.OnceValue(func() map[string]bool {
	return setOf(`hydrochloride hcl dihydrochloride hydrobromide bromide chloride sodium potassium calcium magnesium sulfate sulphate phosphate acetate
		citrate maleate tartrate bitartrate succinate fumarate mesylate mesilate besylate besilate tosylate lactate gluconate malate pamoate palmitate propionate
		dipropionate furoate valerate decanoate enanthate cypionate stearate estolate ethylsuccinate axetil medoxomil disoproxil alafenamide proxetil mofetil
		etexilate cilexetil monohydrate dihydrate trihydrate hemihydrate anhydrous acid base`)
})

func setOf(words string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		set[w] = true
	}
	return set
}

// ViewInteractions is what was looked for among a person's medicines, and what was found.
type ViewInteractions struct {
	Pairs      int               `json:"pairs"` // that were looked for
	Of         int               `json:"of"`    // that the paper has
	Table      string            `json:"table"` // version and date
	Classes    []string          `json:"classes"`
	Checked    int               `json:"checked"`    // medicines that hold, of which every ingredient is known
	NotChecked []string          `json:"notChecked"` // medicines that hold, of which one is not known
	Ended      int               `json:"ended"`      // medicines that a source says are over: not looked at
	Found      []ViewInteraction `json:"found"`
	Allergies  []ViewAllergic    `json:"allergies"` // medicines that an allergy names
	Partly     bool              `json:"partly"`    // so many allergies and medicines that not all were compared
}

// ViewInteraction is a pair that was found.
type ViewInteraction struct {
	Pair        int      `json:"pair"`
	Medicines   []string `json:"medicines"` // one of each side, as sources name them
	Ingredients []string `json:"ingredients"`
	Classes     []string `json:"classes"`
	Source      []string `json:"source"` // of the pair, and of each ingredient where it is another
	Sources     []int    `json:"sources"`
}

// ViewAllergic is a medicine that somebody is said to be allergic to.
type ViewAllergic struct {
	Allergy  string `json:"allergy"`
	Medicine string `json:"medicine"`
	Why      string `json:"why"`
	Sources  []int  `json:"sources"`
}

// maxCompared is how many allergies are compared with how many medicines of one person.
const maxCompared = 300

// check looks for the pairs among the medicines that hold.
func (t *interactionTable) check(p *ViewPerson) ViewInteractions {
	out := ViewInteractions{Pairs: len(t.pairs), Of: InteractionPairs, Table: "version " + t.version + " of " + t.date,
		Classes: []string{}, NotChecked: []string{}, Found: []ViewInteraction{}, Allergies: []ViewAllergic{}}
	for _, pair := range t.pairs {
		out.Classes = append(out.Classes, pair.nameA+" with "+pair.nameB)
	}
	with := map[string][]ViewItem{} // ingredient to medicines
	var unknown []string
	compared := 0
	checked := map[string]bool{}
	for _, it := range p.Medicines.Items {
		if !it.Current {
			out.Ended++
			continue
		}
		for _, in := range it.Ingredients {
			with[in] = append(with[in], it)
		}
		if it.whole {
			checked[it.Group+"\x00"+it.Name] = true
		} else {
			unknown = append(unknown, medicineName(it))
		}
		if compared++; compared > maxCompared || len(p.Allergies.Items) > maxCompared {
			out.Partly = true
		}
		if compared > maxCompared {
			continue
		}
		for _, a := range p.Allergies.Items[:min(len(p.Allergies.Items), maxCompared)] {
			if why := t.allergic(a, it); why != "" {
				out.Allergies = append(out.Allergies, ViewAllergic{a.Name, medicineName(it), why, sourcesOf(a, it)})
			}
		}
	}
	out.Checked, out.NotChecked = len(checked), append(out.NotChecked, uniq(unknown)...)
	for _, pair := range t.pairs {
		for a, as := range with {
			for b, bs := range with {
				fromA, fromB := t.class[pair.a][a], t.class[pair.b][b]
				if a == b || fromA == "" || fromB == "" || pair.a == pair.b && a > b {
					continue
				}
				found := ViewInteraction{Pair: pair.number, Ingredients: []string{a, b}, Classes: []string{pair.nameA, pair.nameB},
					Medicines: []string{medicineName(as[0]), medicineName(bs[0])}, Source: []string{t.sources[pair.source]}, Sources: sourcesOf(append(slices.Clone(as), bs...)...)}
				for _, from := range []string{fromA, fromB} {
					if s := t.sources[from]; !slices.Contains(found.Source, s) {
						found.Source = append(found.Source, s)
					}
				}
				out.Found = append(out.Found, found)
			}
		}
	}
	slices.SortFunc(out.Found, func(a, b ViewInteraction) int {
		if a.Pair != b.Pair {
			return a.Pair - b.Pair
		}
		return slices.Compare(a.Ingredients, b.Ingredients)
	})
	slices.SortFunc(out.Allergies, func(a, b ViewAllergic) int {
		return slices.Compare([]string{a.Allergy, a.Medicine, a.Why}, []string{b.Allergy, b.Medicine, b.Why})
	})
	out.Allergies = slices.CompactFunc(out.Allergies, func(a, b ViewAllergic) bool {
		return a.Allergy == b.Allergy && a.Medicine == b.Medicine && a.Why == b.Why
	})
	return out
}

func medicineName(it ViewItem) string {
	if it.Name == "" {
		return "a medicine without a name"
	}
	return it.Name
}

func sourcesOf(items ...ViewItem) (out []int) {
	for _, it := range items {
		for _, c := range it.Copies {
			out = append(out, c.Source)
		}
	}
	return uniq(out)
}

// penicillins are codes for the class as such: SNOMED CT (single codes, our own words:
// penicillin; what has the structure of a penicillin; allergy to penicillin) and RxNorm.
var penicillins = []string{
	sysSNOMED + "|764146007", sysSNOMED + "|6369005", sysSNOMED + "|373270004", sysSNOMED + "|91936005", sysRxNorm + "|70618",
}

// allergic is why an allergy names a medicine; "" if it does not: the same code, the same
// ingredient, or both are penicillins. No other kinship is known here.
func (t *interactionTable) allergic(a, medicine ViewItem) string {
	for _, to := range a.to { // what a reaction was to, is one as well
		a.Codes = slices.Concat(a.Codes, to.codes)
		a.Also = append(slices.Clone(a.Also), to.name)
	}
	for _, c := range a.Codes {
		for _, d := range medicine.Codes {
			if c.System == d.System && c.Code == d.Code {
				return "the same code"
			}
		}
	}
	of := t.ingredients(strings.Join(append([]string{a.Name}, a.Also...), "; "), a.Codes)
	penicillin := slices.ContainsFunc(of, func(s string) bool { return t.penicillin[s] })
	for _, in := range of {
		if slices.Contains(medicine.Ingredients, in) {
			return "the same ingredient, " + in
		}
	}
	for _, c := range a.Codes {
		penicillin = penicillin || slices.Contains(penicillins, c.System+"|"+c.Code)
	}
	names := append([]string{a.Name}, a.Also...)
	for _, c := range a.Codes {
		names = append(names, c.Display)
	}
	for _, w := range nameWords(strings.Join(names, " ")) {
		penicillin = penicillin || slices.Contains([]string{"penicillin", "penicillins", "penicilline", "pénicilline", "pénicillines", "penicilina", "penicilinas", "penicillina"}, w)
	}
	for _, in := range medicine.Ingredients {
		if penicillin && t.penicillin[in] {
			return in + " is a penicillin too"
		}
	}
	return ""
}
