package batch

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/wallet"
)

// MaxRows is how many rows a file may have.
const MaxRows = 1_000_000

// Options say how a file is to be read, and a plan to be made of it.
type Options struct {
	Now     time.Time              // days are those of its location
	Profile string                 // name of the wallet that is used
	Known   func(name string) bool // whether there is a wallet of another name; nil: there is none
	File    string                 // its name, for people
	Prune   bool                   // of a plan: end what the file does not name
}

// Report tells of a file that was read.
type Report struct {
	SHA256    crypto.Hash    `json:"sha256"`
	Rows      int            `json:"rows"`                // for this wallet
	Changes   bool           `json:"changes"`             // it is a list of changes, not a state
	Elsewhere map[string]int `json:"elsewhere,omitempty"` // rows for other wallets, by profile
}

// Read reads a file and hands its rows on: take gets each that could be read, bad ones
// marked so, and returns what is wrong with what it names. All that is wrong with the file
// is a *LinesError; any other error is of r.
func Read(r io.Reader, opt Options, take func(Row) []Problem) (Report, error) {
	h := sha256.New()
	p := newParser(io.TeeReader(r, h), opt, take)
	if err := p.read(); err != nil {
		return Report{}, err
	}
	if p.report.Rows == 0 && len(p.report.Elsewhere) == 0 && p.bad.Total == 0 {
		p.bad.Add(Problem{Line: max(1, p.l.n), Column: 1, Why: "there is no row in it"})
	}
	if err := p.bad.inOrder(); err != nil {
		return Report{}, err
	}
	p.report.SHA256 = crypto.Hash(h.Sum(nil))
	return p.report, nil
}

var fieldNames = []string{"action", "to", "records", "categories", "role", "with", "without", "dated", "whole", "purpose", "from", "until", "consent", "profile"}

// lists are the fields of several values; choosing are those that say what is given.
var (
	lists    = []string{"records", "categories", "with", "without"}
	choosing = []string{"records", "categories", "role", "with", "without", "dated", "whole"}
)

type parser struct {
	*sheet
	opt    Options
	take   func(Row) []Problem
	report Report
	first  bool // no row was checked yet

	seen map[[16]byte]int32 // line of each row, by hash
}

func newParser(r io.Reader, opt Options, take func(Row) []Problem) *parser {
	p := &parser{opt: opt, take: take, first: true, seen: map[[16]byte]int32{}}
	p.sheet = &sheet{columns: fieldNames, lists: lists, flags: []string{"whole"}, l: newLines(text.NewReader(r)), row: p.row,
		object: ". Of a plan carekey batch apply shows what it would do, and asks"}
	return p
}

// row checks one row and hands it on.
func (p *parser) row(line []byte, f fields) {
	before := p.bad.Total
	bad := func(field, why string) {
		v, ok := f[field]
		at := v.at
		if !ok {
			at = 0
		}
		p.problem(line, at, field, v.text, why)
	}
	_, hasAction := f["action"]
	if p.head != nil {
		hasAction = slices.Contains(p.head, "action")
	}
	if p.first {
		p.first, p.report.Changes = false, hasAction
	} else if hasAction != p.report.Changes {
		bad("action", "either every row has an action or none has")
		return
	}
	at := func(field string) int { return column(line, f[field].at) }
	w := Row{Line: p.l.n, Do: State, Place: Place{To: at("to"), Records: at("records"), Categories: at("categories"), Role: at("role"),
		With: at("with"), Without: at("without"), Dated: at("dated"), Whole: at("whole"), Consent: at("consent")}}
	if hasAction {
		switch f["action"].text {
		case "grant":
			w.Do = Grant
		case "revoke":
			w.Do = Revoke
		case "":
			bad("action", "empty: grant or revoke")
		default:
			bad("action", "neither grant nor revoke")
		}
	}
	if w.Do == Revoke {
		p.revocation(&w, f, bad)
	} else {
		p.grant(&w, f, bad)
	}
	if v, ok := f["profile"]; ok && text.Name(v.text) != text.Name(p.opt.Profile) {
		if p.opt.Known == nil || !p.opt.Known(v.text) {
			bad("profile", "no wallet of that name is here, and a wallet signs only for its own profiles")
			return
		}
		if p.report.Elsewhere == nil {
			p.report.Elsewhere = map[string]int{}
		}
		p.report.Elsewhere[v.text]++
		return
	}
	if w.Bad = p.bad.Total > before; !w.Bad {
		key := keyOf(&w)
		if first, twice := p.seen[key]; twice {
			p.problem(line, 0, "", "", fmt.Sprintf("says the same as line %d", first))
			return
		}
		p.seen[key] = int32(w.Line)
		p.report.Rows++
	}
	for _, x := range p.take(w) {
		p.bad.Add(x)
	}
}

func (p *parser) grant(w *Row, f fields, bad func(field, why string)) {
	reason := func(field string, err error) {
		if in, ok := fault.As(err, wallet.ErrInput); ok {
			why := fault.Get[string](in, "why")
			if strings.HasPrefix(why, "not a date like") && strings.ContainsAny(fault.Get[string](in, "value"), "0123456789") {
				why += "; a day of a spreadsheet: format the column as YYYY-MM-DD"
			}
			bad(field, why)
		} else if err != nil {
			bad(field, err.Error())
		}
	}
	if _, ok := f["consent"]; ok {
		bad("consent", "only a row that revokes names one")
	}
	p.name(w, f, bad)
	for _, id := range f["records"].list {
		if !isID(id) {
			bad("records", "not an id: 6 to 64 characters of 0-9 and a-f")
			break
		}
		w.Records = append(w.Records, id)
	}
	for _, c := range f["categories"].list {
		if c == "all" {
			w.All = true
			continue
		}
		category, err := wallet.ParseCategory(c)
		if err != nil {
			if strings.ContainsAny(c, "/|+&") {
				err = errors.New("not a category; between several there are spaces, commas or semicolons")
			}
			reason("categories", err)
			break
		}
		w.Categories = append(w.Categories, category)
	}
	if len(f["records"].list) == 0 && len(f["categories"].list) == 0 && f["role"].text == "" {
		bad("records", "neither records nor categories nor a role")
	}
	if w.All && (len(w.Records) > 0 || len(w.Categories) > 0) {
		bad("categories", "all is every record: no records and no other category beside it")
	}
	w.Role, w.With, w.Without, w.Dated = f["role"].text, f["with"].list, f["without"].list, f["dated"].text
	switch f["whole"].text {
	case "yes":
		w.Whole = true
	case "", "no":
	default:
		bad("whole", "neither yes nor no")
	}
	if w.Role == "" {
		w.Purpose = wallet.Treatment
	}
	var err error
	if v, ok := f["purpose"]; ok {
		w.Purpose, err = wallet.ParsePurpose(v.text)
		reason("purpose", err)
	}
	from := err
	if v, ok := f["from"]; ok {
		w.NotBefore, from = wallet.BeginningOfDay(v.text, p.opt.Now)
		reason("from", from)
	}
	v, ok := f["until"]
	if !ok {
		bad("until", "empty: every consent ends on a day, like 2026-12-31")
		return
	}
	w.Until, err = wallet.EndOfDay(v.text, p.opt.Now)
	reason("until", err)
	if err == nil && from == nil && w.NotBefore >= w.Until {
		bad("from", "is not before the end")
	}
}

func (p *parser) revocation(w *Row, f fields, bad func(field, why string)) {
	for _, field := range append([]string{"purpose", "from", "until"}, choosing...) {
		if _, ok := f[field]; ok {
			bad(field, "a row that revokes names only a consent, or a contact")
		}
	}
	v, named := f["consent"]
	_, to := f["to"]
	switch {
	case named == to:
		bad("consent", "either a consent or a contact, whose consents are all revoked")
	case to:
		p.name(w, f, bad)
	case !isID(v.text):
		bad("consent", "not an id: 6 to 64 characters of 0-9 and a-f")
	default:
		w.Consent = v.text
	}
}

func (p *parser) name(w *Row, f fields, bad func(field, why string)) {
	var err error
	w.To, err = wallet.CheckName("to", f["to"].text)
	if in, ok := fault.As(err, wallet.ErrInput); ok {
		bad("to", fault.Get[string](in, "why"))
	}
}

func isID(s string) bool {
	return len(s) >= 6 && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// keyOf is the same for two rows that say the same.
func keyOf(w *Row) [16]byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %d %d %q %t %q %q %q %q %q %t", w.Do, w.To, w.Consent, w.Purpose, w.NotBefore, w.Until,
		set(w.Records), w.All, set(w.Categories), w.Role, set(w.With), set(w.Without), w.Dated, w.Whole))
	return [16]byte(sum[:])
}

// set is a list sorted, and without what is there twice.
func set[T cmp.Ordered](list []T) []T { return slices.Compact(slices.Sorted(slices.Values(list))) }
