package health

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/wallet/payload"
)

// ErrTable: a table is none that can be used. line, counted from 1, if it is about one; why
const ErrTable fault.Code = "bad-table"

// The bounds of a table that somebody imports.
const (
	MaxTable     = 4 << 20 // bytes
	MaxTableRows = 50000
	maxWords     = 1000 // rows of words
	maxWord      = 40   // bytes of a word
	maxCell      = 500  // bytes
)

// rulesVersion counts the changes of LABELS.md that are not changes of tables.
const rulesVersion = 3

// tableHeader is the first line of every table of codes.
var tableHeader = []string{"system", "code", "says", "what", "source", "date"}

// What a row may say besides a sensitivity.
const plain Sensitivity = "plain" // it is understood, and not sensitive

// wordSystem is the system of rows whose code is a word.
const wordSystem = "words"

// Row is one line of a table of codes.
type Row struct {
	System string      `json:"system"` // its address, its name in systems.csv, or "words"
	Code   string      `json:"code"`   // a code; with "*" at its end all that begin so; of words also with one in front
	Says   Sensitivity `json:"says"`   // or "plain" or "unclassified"
	What   string      `json:"what"`   // what it is, in words of the table's own
	Source string      `json:"source"` // where that is written
	Date   string      `json:"date"`   // when it was looked up, YYYY-MM-DD
}

// Table is a list of codes and words with what they say.
type Table struct {
	Name string `json:"name"`
	Rows []Row  `json:"rows"`
}

// ParseTable reads a table as LABELS.md describes it, CSV in UTF-8, of at most [MaxTable]
// bytes and [MaxTableRows] rows. Rows are facts of their own and name no other row, so
// that there is no order between them and no cycle. The errors are [ErrTable] and that of
// reading.
func ParseTable(name string, r io.Reader) (*Table, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxTable+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > MaxTable:
		return nil, ErrTable.With("why", fmt.Sprintf("it is larger than %d bytes", MaxTable))
	}
	t, words := &Table{Name: name}, 0
	err = readTable(data, tableHeader, func(line int, cells []string) error {
		if len(t.Rows) == MaxTableRows {
			return ErrTable.With("line", line, "why", fmt.Sprintf("it has more than %d rows", MaxTableRows))
		}
		row := Row{cells[0], cells[1], Sensitivity(cells[2]), cells[3], cells[4], cells[5]}
		if why := row.fault(); why != "" {
			return ErrTable.With("line", line, "why", why)
		}
		if row.System == wordSystem {
			if words++; words > maxWords {
				return ErrTable.With("line", line, "why", fmt.Sprintf("it has more than %d words", maxWords))
			}
		}
		t.Rows = append(t.Rows, row)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(t.Rows) == 0 {
		return nil, ErrTable.With("why", "it has no rows")
	}
	return t, nil
}

// fault says why no table can have the row, "" if it can.
func (r *Row) fault() string {
	word := strings.Trim(r.Code, "*")
	switch {
	case r.System == "", r.System != wordSystem && normalSystem(r.System) == "":
		return "it names no system"
	case !r.Says.Valid() && r.Says != plain && r.Says != Unclassified:
		return fmt.Sprintf("%q is no sensitivity, nor %q or %q", r.Says, plain, Unclassified)
	case r.Source == "":
		return "it has no source"
	case !isDate(r.Date) || len(r.Date) != len("2026-01-01"):
		return "its date is not written as 2026-01-31"
	case r.System == wordSystem && r.Says == plain:
		return "a word can make nothing plain"
	case r.System == wordSystem && len(strings.TrimSpace(normalText(word))) < 3:
		return "a word has at least three letters or digits"
	case r.System == wordSystem && len(word) > maxWord:
		return fmt.Sprintf("a word has more than %d bytes", maxWord)
	case r.System != wordSystem && (normalCode(r.Code) == "" || strings.Contains(strings.TrimSuffix(r.Code, "*"), "*")):
		return "its code is empty, or has a star before its end"
	case r.System != wordSystem && word == "" && r.Says != plain:
		return "all codes of a system can only be plain"
	}
	return ""
}

// readTable calls each for every record behind the header, with the line it begins on.
func readTable(data []byte, header []string, each func(line int, cells []string) error) error {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		return ErrTable.With("why", "it is not UTF-8")
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.Comment, r.FieldsPerRecord, r.ReuseRecord = '#', len(header), true
	for first := true; ; first = false {
		cells, err := r.Read()
		if err == io.EOF {
			if first {
				return ErrTable.With("why", "it is empty")
			}
			return nil
		}
		if err != nil {
			if e := (*csv.ParseError)(nil); errors.As(err, &e) {
				line, why := e.StartLine, e.Err.Error()
				switch {
				case first:
					why = wrongHeader(header)
				case e.Err == csv.ErrFieldCount:
					why = fmt.Sprintf("it has %d cells, and its first line has %d", len(cells), len(header))
				}
				return ErrTable.With("line", line, "why", why)
			}
			return ErrTable.With("why", err.Error())
		}
		line, _ := r.FieldPos(0)
		for i, c := range cells {
			switch cells[i] = strings.TrimSpace(c); {
			case len(c) > maxCell:
				return ErrTable.With("line", line, "why", fmt.Sprintf("a cell has more than %d bytes", maxCell))
			case strings.ContainsFunc(c, unicode.IsControl):
				return ErrTable.With("line", line, "why", "a cell has a control character in it")
			}
		}
		if first {
			if !slices.Equal(cells, header) {
				return ErrTable.With("line", line, "why", wrongHeader(header))
			}
			continue
		}
		if err := each(line, cells); err != nil {
			return err
		}
	}
}

func wrongHeader(header []string) string { return "the first line is not " + strings.Join(header, ",") }

//go:embed tables/*.csv
var tableFiles embed.FS

// Tables is all that labels are made from: the program's own tables and those that were
// imported. It does not change, and may be used by several goroutines.
type Tables struct {
	version  string
	imported []*Table

	systems  map[string]*system // by normalised address and by name
	prefixes []*system          // those whose address ends with a star, longest first
	codes    map[string]*codes  // by the system's name
	words    []word
	machine  *machine
	types    map[string]resourceType
	members  map[string]memberKind
	exts     []extension
}

// system is a code system that is understood: a code of it that no row names is not
// sensitive.
type system struct {
	name, address string
	form          *regexp.Regexp // of its codes, normalised; nil for any
	named         bool           // a code that no row names must have a name, which the words can be looked for in
}

// codes are the rows of one system.
type codes struct {
	exact  map[string][]*tableRow
	prefix map[string][]*tableRow
	shade  map[int]bool // the lengths of the prefixes
}

type tableRow struct {
	Row
	file string
}

type word struct {
	text string // normalised, with the blanks that must be around it
	says uint16
	row  *tableRow
}

// resourceType is what types.csv says of a type of resources.
type resourceType struct {
	category payload.Category
	coded    []string // one of these members must be there
	pointed  pointed
	names    bool // a concept without a code in it is a name
}

// pointed is what a resource takes over from one that it points to.
type pointed int

const (
	pointedAll  pointed = iota // all sensitivities
	pointedOwn                 // those that the target has of itself
	pointedNone                // none
)

// memberKind is what the string in a member of a resource is.
type memberKind int

const (
	memberText       memberKind = iota // prose
	memberPlain                        // a code, a date, an address: prose if there is white space in it
	memberName                         // a name, or what goes with a code: only words are looked for
	memberWho                          // points to a person, a place or an organization, whose name may stand beside it
	memberNote                         // an object whose text is prose
	memberAttachment                   // an object that holds a file or names one
	memberCoded                        // an object whose code is a word of FHIR's own
)

// extension is one that is understood.
type extension struct {
	address string // normalised; with a star all that begin so
	names   bool   // the strings in it are names
}

var builtIn = sync.OnceValue(func() *Tables {
	t, err := makeTables(nil)
	if err != nil {
		panic(err) // the files are part of the program, and a test reads them
	}
	return t
})

// BuiltIn returns the program's own tables.
func BuiltIn() *Tables { return builtIn() }

// With returns t and the table: of what two rows say of one code, all holds, and nothing
// that is sensitive by one becomes plain by another.
func (t *Tables) With(table *Table) *Tables {
	all, err := makeTables(append(slices.Clone(t.imported), table))
	if err != nil {
		panic(err) // the rows were looked at when it was parsed
	}
	return all
}

// Stray returns the first system in a table's rows that no code can be of, so that they would do
// nothing and nobody would be told: a word that is no name of a system, such as icd10 or a bare
// OID, and what has a star in it. "" if there is none.
func (t *Tables) Stray(table *Table) string {
	for _, r := range table.Rows {
		isAddress := strings.ContainsAny(r.System, ":/") && !strings.Contains(r.System, "*")
		if r.System != wordSystem && !isAddress && t.systems[normalSystem(r.System)] == nil {
			return r.System
		}
	}
	return ""
}

// Version names the rules and all tables: 12 hexadecimal digits behind the number of the
// rules. Labels by one version are not those by another.
func (t *Tables) Version() string { return t.version }

// ownTable reads one of the program's own files.
func ownTable(sum io.Writer, name string, header []string, each func(cells []string) error) error {
	data, err := tableFiles.ReadFile("tables/" + name)
	if err != nil {
		return err
	}
	fmt.Fprintf(sum, "%s\x00%d\x00", name, len(data))
	sum.Write(data)
	err = readTable(data, header, func(_ int, cells []string) error { return each(cells) })
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// codeTables are the program's own tables of codes and words.
var codeTables = []string{"hl7.csv", "icd.csv", "loinc.csv", "rxnorm.csv", "snomed.csv", "words.csv"}

// Own returns the program's own tables of codes and words.
func Own() []*Table {
	var all []*Table
	for _, name := range codeTables {
		data, err := tableFiles.ReadFile("tables/" + name)
		if err == nil {
			var t *Table
			if t, err = ParseTable(name, bytes.NewReader(data)); err == nil {
				all = append(all, t)
				continue
			}
		}
		panic(err) // part of the program
	}
	return all
}

func makeTables(imported []*Table) (*Tables, error) {
	t := &Tables{imported: imported, systems: map[string]*system{}, codes: map[string]*codes{}, types: map[string]resourceType{}, members: map[string]memberKind{}}
	sum := sha256.New()
	if err := ownTable(sum, "systems.csv", []string{"system", "name", "codes", "named", "what", "source", "date"}, t.addSystem); err != nil {
		return nil, err
	}
	slices.SortFunc(t.prefixes, func(a, b *system) int { return len(b.address) - len(a.address) })
	if err := ownTable(sum, "types.csv", []string{"type", "category", "coded", "pointed", "texts"}, t.addType); err != nil {
		return nil, err
	}
	if err := ownTable(sum, "members.csv", []string{"member", "kind"}, t.addMember); err != nil {
		return nil, err
	}
	if err := ownTable(sum, "extensions.csv", []string{"extension", "strings", "what", "source", "date"}, func(cells []string) error {
		t.exts = append(t.exts, extension{normalSystem(cells[0]), cells[1] == "names"})
		return nil
	}); err != nil {
		return nil, err
	}
	own := Own()
	var line []byte
	for i, table := range append(own, imported...) {
		fmt.Fprintf(sum, "%s\x00%d\x00", table.Name, len(table.Rows))
		for _, row := range table.Rows {
			if i < len(own) && row.System != wordSystem && t.systems[row.System] == nil {
				return nil, fmt.Errorf("%s: no system %q", table.Name, row.System)
			}
			line = append(line[:0], '[')
			for _, cell := range []string{row.System, row.Code, string(row.Says), row.What, row.Source, row.Date} {
				line = append(strconv.AppendQuote(line, cell), ' ')
			}
			line[len(line)-1] = ']'
			sum.Write(append(line, '\n'))
			t.addRow(&tableRow{row, table.Name})
		}
	}
	t.machine = newMachine(t.words)
	t.version = fmt.Sprintf("%d-%s", rulesVersion, hex.EncodeToString(sum.Sum(nil)[:6]))
	return t, nil
}

func (t *Tables) addSystem(cells []string) error {
	s := &system{name: cells[1], address: normalSystem(cells[0]), named: cells[3] == "yes"}
	if cells[2] != "" {
		form, err := regexp.Compile("^(?:" + cells[2] + ")$")
		if err != nil {
			return err
		}
		s.form = form
	}
	if address, ok := strings.CutSuffix(s.address, "*"); ok {
		s.address = address
		t.prefixes = append(t.prefixes, s)
	} else {
		t.systems[s.address] = s
	}
	if s.name != "" && t.systems[s.name] == nil {
		t.systems[s.name] = s
	}
	return nil
}

func (t *Tables) addType(cells []string) error {
	r := resourceType{category: payload.Category(cells[1]), coded: strings.Fields(cells[2]), names: cells[4] == "names"}
	switch cells[3] {
	case "":
	case "own":
		r.pointed = pointedOwn
	case "none":
		r.pointed = pointedNone
	default:
		return fmt.Errorf("type %s: pointed %q", cells[0], cells[3])
	}
	if !r.category.Valid() {
		return fmt.Errorf("type %s: category %q", cells[0], r.category)
	}
	t.types[cells[0]] = r
	return nil
}

func (t *Tables) addMember(cells []string) error {
	kind := map[string]memberKind{"plain": memberPlain, "name": memberName, "who": memberWho, "note": memberNote, "attachment": memberAttachment, "coded": memberCoded}[cells[1]]
	if kind == memberText {
		return fmt.Errorf("member %s: kind %q", cells[0], cells[1])
	}
	t.members[cells[0]] = kind
	return nil
}

func (t *Tables) addRow(row *tableRow) {
	if row.System == wordSystem {
		t.words = append(t.words, word{normalWord(row.Code), bit(row.Says), row})
		return
	}
	name := t.system(row.System).name
	c := t.codes[name]
	if c == nil {
		c = &codes{map[string][]*tableRow{}, map[string][]*tableRow{}, map[int]bool{}}
		t.codes[name] = c
	}
	if begin, ok := strings.CutSuffix(normalCode(row.Code), "*"); ok {
		c.prefix[begin] = append(c.prefix[begin], row)
		c.shade[len(begin)] = true
	} else {
		c.exact[begin] = append(c.exact[begin], row)
	}
}

// unknown is the system of codes that no table knows.
var unknown = &system{}

// system finds a code system by its address or its name. One that is not known has its
// address for a name.
func (t *Tables) system(address string) *system {
	n := normalSystem(address)
	s := t.systems[n]
	for i := 0; s == nil && i < len(t.prefixes); i++ {
		if strings.HasPrefix(n, t.prefixes[i].address) {
			s = t.prefixes[i]
		}
	}
	if s == nil || s.name == "" {
		return &system{name: n, address: n}
	}
	return s
}

// find returns the rows that hold for a normalised code.
func (c *codes) find(code string) []*tableRow {
	if c == nil || code == "" {
		return nil
	}
	rows := c.exact[code]
	for n := range c.shade {
		if n <= len(code) {
			rows = append(slices.Clip(rows), c.prefix[code[:n]]...)
		}
	}
	return rows
}

// normalSystem makes addresses of code systems comparable: without a version, white
// space, scheme and last slash, in lower case.
func normalSystem(s string) string {
	s, _, _ = strings.Cut(s, "|")
	s = lowered(strings.Trim(s, whiteSpace))
	if rest, ok := strings.CutPrefix(s, "https://"); ok {
		s = rest
	} else {
		s = strings.TrimPrefix(s, "http://")
	}
	return strings.TrimRight(s, "/")
}

// normalCode makes codes comparable: A to Z for a to z, without dots and white space.
func normalCode(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.' || isSpace(c):
		case 'a' <= c && c <= 'z':
			out = append(out, c-('a'-'A'))
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// bit is the place of a sensitivity in a set of them; unclassified has the last.
func bit(s Sensitivity) uint16 {
	if s == Unclassified {
		return 1 << len(sensitivities)
	}
	if i := slices.Index(sensitivities, s); i >= 0 {
		return 1 << i
	}
	return 0
}

// bitsOf returns the set of them.
func bitsOf(all []Sensitivity) (set uint16) {
	for _, s := range all {
		set |= bit(s)
	}
	return set
}

// Systems returns the names of the code systems that are understood, sorted.
func (t *Tables) Systems() []string {
	names := map[string]bool{}
	for _, s := range t.systems {
		names[s.name] = true
	}
	return slices.Sorted(maps.Keys(names))
}
