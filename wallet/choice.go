package wallet

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

// What of the records goes into a grant. FHIR that was split is judged part by part; any
// other file goes whole, by the category that its owner gave it. What looks like FHIR and
// was not split may hold anything: it goes only if it is named itself.

// RecordPlan is what of a record a grant gives.
type RecordPlan struct {
	Record
	Whole  bool         // the file as it is
	Given  []int        // else the parts that go: from 0, in the order of the file, ascending
	Judged []JudgedPart // all its parts, where a plan was made; nil if it was not split
	Why    string       // why it stays, of a record that is not split or not known; "" if it goes
}

// JudgedPart is what becomes of one part.
type JudgedPart struct {
	health.Label
	Text  bool   // a narrative
	Stays string // why; "" if it goes
}

// Why something stays, beside what [health.Selection.Judge] says.
const (
	WhyNotSplit = "not-split" // it is FHIR, and could not be split
	WhyEarlier  = "earlier"   // it may be FHIR, and was added before carekey looked
	WhyMissing  = "missing"   // the store has lost its description or its content
	WhyNoFHIR   = "no-fhir"   // a link holds FHIR alone
)

// goes reports whether anything of the record does.
func (r *RecordPlan) goes() bool { return r.Whole || len(r.Given) > 0 }

// other reports whether all of the record is of categories that were not asked for.
func (r *RecordPlan) other() bool {
	for p := range r.resources() {
		if p.Stays != health.WhyCategory && p.Category != health.Demographics {
			return false
		}
	}
	return r.Judged != nil || r.Why == health.WhyCategory
}

// resources are the parts that are no narratives.
func (r *RecordPlan) resources() iter.Seq[*JudgedPart] {
	return func(yield func(*JudgedPart) bool) {
		for i := range r.Judged {
			if !r.Judged[i].Text && !yield(&r.Judged[i]) {
				return
			}
		}
	}
}

// Missed is an allergy, a medicine or a problem that stays back though the recipient gets
// others of its kind: who treats the patient does not see what it is dangerous with.
type Missed struct {
	Category payload.Category
	Says     string // what it is, in the file's words; its type if it has none
	Why      string // as in [JudgedPart].Stays
}

// Naming is how many resources say whose they are: by her name, an identifier, the id of
// her own resource, or the day of her birth.
type Naming struct{ Resources, Of int }

// chooser judges records.
type chooser struct {
	w     *Wallet
	named map[contract.ID]bool // by their ids
	all   bool
	sel   health.Selection // with its role applied
	alone bool             // whom a record is about was asked for by itself
	kinds []string         // see GrantRequest
}

func (gs Grants) chooser(ctx context.Context, r GrantRequest, role *health.Role) (*chooser, error) {
	c := &chooser{w: gs.w, named: map[contract.ID]bool{}, sel: r.Select, kinds: r.Kinds}
	if err := checkSelection(&r.Select); err != nil {
		return nil, err
	}
	c.alone = slices.Contains(c.sel.Categories, health.Demographics)
	if role != nil {
		c.alone = c.alone || len(c.sel.Categories) == 0 && slices.Contains(role.Categories, health.Demographics)
		if c.sel = r.Select.By(*role); len(payload.Marshal(role.Name))-len(`""`) > payload.MaxWord {
			return nil, badInput("role", role.Name, fmt.Sprintf("has a name of more than %d bytes, which a consent has no room for", payload.MaxWord))
		}
	}
	held := func(x payload.Category) bool {
		return slices.Contains(role.Categories, x) || x == health.Documents && slices.Contains(r.Select.With, string(health.Documents))
	}
	if named := r.Select.Categories; role != nil && len(named) > 0 && !c.alone && !slices.ContainsFunc(named, held) {
		return nil, badInput("category", payload.Listed(named), "not in the role "+role.Name)
	}
	for _, q := range r.Records {
		t, err := gs.w.Records().own(ctx, q)
		if err != nil {
			return nil, err
		}
		c.named[t.ID] = true
	}
	c.all = r.All
	return c, nil
}

// checkSelection refuses what no selection is.
func checkSelection(s *health.Selection) error {
	for _, c := range s.Categories {
		if _, err := ParseCategory(string(c)); err != nil {
			return err
		}
	}
	sensitive := append(health.Sensitivities(), health.Unclassified)
	for _, w := range s.With {
		if w != string(health.Documents) && !slices.Contains(sensitive, health.Sensitivity(w)) {
			return badInput("with", w, "not one of "+payload.Listed(append(sensitive, health.Sensitivity(health.Documents))))
		}
	}
	for _, w := range s.Without {
		if !payload.Category(w).Valid() && !slices.Contains(sensitive, health.Sensitivity(w)) {
			return badInput("without", w, "not one of "+payload.Listed(Categories())+", "+payload.Listed(sensitive))
		}
	}
	for _, d := range []string{s.Since, s.Until} {
		layout := map[int]string{len("2006"): "2006", len("2006-01"): "2006-01"}[len(d)]
		if _, err := time.Parse(cmp.Or(layout, time.DateOnly), d); d != "" && err != nil {
			return badInput("dated", d, "not a year, a month or a day, like 2024, 2024-03 or 2024-03-31")
		}
	}
	if s.Since != "" && s.Until != "" && firstDay(s.Since) > lastDay(s.Until) {
		return badInput("dated", s.Since+".."+s.Until, "ends before it begins")
	}
	if s.Whole && (s.Role != "" || len(s.With)+len(s.Without) > 0 || s.Since != "" || s.Until != "") {
		return badInput("whole", "", "gives records as they are, so that nothing of them can be chosen or left out")
	}
	return nil
}

// ParseDates reads of when something must be to be given: 2024-03..2025, with an open end
// 2024.. or ..2025, or 2024 for both. What it returns is for [health.Selection], and none
// for an empty text.
func ParseDates(text string) (since, until string, err error) {
	since, until, isRange := strings.Cut(text, "..")
	if !isRange {
		until = since
	}
	if text != "" && since == "" && until == "" {
		err = badInput("dated", text, "has neither a beginning nor an end")
	}
	return since, until, err
}

// choose fills in what goes and what stays.
func (c *chooser) choose(ctx context.Context, p *GrantPlan) error {
	for t := range c.w.Records().threads() {
		if !c.named[t.ID] && !c.all && (len(c.named) > 0 || len(c.sel.Categories) == 0) {
			continue
		}
		r, err := c.record(ctx, t)
		if err != nil {
			return err
		}
		switch {
		case r.goes():
			p.Records = append(p.Records, r)
		case c.named[t.ID] || !r.other():
			p.Left = append(p.Left, r)
		}
	}
	c.tellUnknown(p)
	c.tellMissed(p)
	if len(p.Records) == 0 {
		of := "record"
		if len(p.Left) > 0 {
			of = "part"
		}
		return ErrEmpty.With("of", of)
	}
	if slices.ContainsFunc(p.Records, func(r RecordPlan) bool { return !r.Whole }) {
		p.Scope = c.scope()
	}
	return c.tellNaming(ctx, p)
}

// Entries are the entries of all records that were meant, without narratives.
func (p *GrantPlan) Entries() iter.Seq[*JudgedPart] {
	return func(yield func(*JudgedPart) bool) {
		for _, rs := range [][]RecordPlan{p.Records, p.Left} {
			for i := range rs {
				for j := range rs[i].resources() {
					if !yield(j) {
						return
					}
				}
			}
		}
	}
}

func (c *chooser) tellUnknown(p *GrantPlan) {
	n := map[string]int{}
	for j := range p.Entries() {
		for _, k := range j.Unclassified {
			if j.Stays == health.WhyUnclassified && !slices.Contains(c.kinds, k) {
				n[k]++
			}
		}
	}
	p.Unknown = Counts(n)
}

// care are the purposes of those who act on what they read.
var care = []Purpose{payload.Treatment, "PATRQT", "FAMRQT", "PWATRNY", "SUPNWK"}

// risky are the categories of what is dangerous with something else, the worst first.
var risky = []payload.Category{"allergies", "medications", "problems"}

func (c *chooser) tellMissed(p *GrantPlan) {
	if !slices.Contains(care, p.Purpose) {
		return
	}
	type what struct {
		category payload.Category
		says     string
	}
	of := func(j *JudgedPart) what { return what{j.Category, cmp.Or(j.Says, j.Type)} }
	given, seen := map[what]bool{}, map[what]bool{}
	for j := range p.Entries() {
		given[of(j)] = given[of(j)] || j.Stays == ""
	}
	for j := range p.Entries() {
		x := of(j)
		if given[x] || seen[x] || !slices.Contains(risky, j.Category) || j.Stays == health.WhyCategory {
			continue // what was not asked for is not missed
		}
		seen[x] = true
		p.Missed = append(p.Missed, Missed{x.category, x.says, j.Stays})
	}
	rank := func(m Missed) int {
		n := slices.Index(risky, m.Category)
		if m.Why == health.WhyDate { // old, most of it
			n += len(risky)
		}
		return n
	}
	slices.SortStableFunc(p.Missed, func(a, b Missed) int { return cmp.Compare(rank(a), rank(b)) })
}

// tellNaming counts what is said of the patient where she may think that nothing is.
func (c *chooser) tellNaming(ctx context.Context, p *GrantPlan) error {
	if !slices.Contains(c.sel.Without, string(health.Demographics)) && p.Purpose != "HRESCH" && p.Purpose != "CLINTRCH" {
		return nil
	}
	var n Naming
	for i := range p.Records {
		r := &p.Records[i]
		if r.Judged == nil {
			continue // what is in the file is not known
		}
		t := c.w.view.Thread(r.ID)
		file, err := c.w.Records().file(ctx, t.ID, t.Versions[r.Version-1])
		if err != nil {
			return err
		}
		cut, err := health.Split(file)
		if err != nil || len(cut.Parts) != len(r.Judged) {
			return tampered("parts of record", t.ID, err)
		}
		var given []int
		for k := range r.Judged {
			if j := &r.Judged[k]; j.Stays == "" && !j.Text && j.Category != health.Demographics {
				given = append(given, k)
			}
		}
		n.Resources += cut.Naming(given)
		n.Of += len(given)
	}
	if n.Of > 0 {
		p.Naming = &n
	}
	return nil
}

// narrow reports whether of the records that are meant only something is.
func (c *chooser) narrow() bool {
	return len(c.sel.Categories)+len(c.sel.Without) > 0 || c.sel.Since != "" || c.sel.Until != ""
}

// record judges one record.
func (c *chooser) record(ctx context.Context, t *view.Thread) (RecordPlan, error) {
	r := RecordPlan{Record: c.w.Records().newestRecord(t)}
	m, err := c.w.Records().newest(t)
	if err != nil {
		if c.named[t.ID] || c.all { // a consent must say what it is for
			return r, err
		}
		r.Why = WhyMissing
		return r, nil
	}
	parts, err := c.w.Records().partsOf(ctx, t, r.Version)
	switch {
	case isMissing(err) && !c.named[t.ID] && !c.all:
		r.Why = WhyMissing // the others are not held up by it
		return r, nil
	case err != nil:
		return r, err
	}
	if parts == nil || c.sel.Whole {
		r.Why = c.file(m, c.named[t.ID])
		r.Whole = r.Why == ""
	}
	if parts != nil && (r.Whole || !c.sel.Whole) { // a record that was to go whole stays as one
		c.parts(&r, parts)
	}
	return r, nil
}

// parts judges what is in a record that was split.
func (c *chooser) parts(r *RecordPlan, of *recordParts) {
	stays := map[int]string{} // of resources, by slot
	r.Judged = make([]JudgedPart, len(of.Parts))
	for i := range of.Parts {
		p := &of.Parts[i]
		j := &r.Judged[i]
		j.Label, j.Text = p.Label, p.Text
		if c.sel.Whole {
			j.Stays = r.Why
			continue
		}
		l := p.Label
		l.Unclassified = slices.DeleteFunc(slices.Clone(l.Unclassified), func(k string) bool { return slices.Contains(c.kinds, k) })
		if goes, why := c.sel.Judge(&l); !goes {
			j.Stays = why
		}
		// A narrative says what its resource says. A resource comes before its narrative.
		if p.Text {
			if j.Stays == health.WhyCategory && j.Category == health.Documents {
				j.Stays = health.WhyDocuments // its resource was asked for, if that goes
			}
			j.Stays = cmp.Or(stays[p.Of], j.Stays)
		} else {
			stays[p.Slot] = j.Stays
		}
		if j.Stays == "" {
			r.Given = append(r.Given, i)
		}
	}
	// Whom it is about goes along with something, and not alone.
	if c.narrow() && !c.alone &&
		!slices.ContainsFunc(r.Judged, func(j JudgedPart) bool { return j.Stays == "" && !j.Text && j.Category != health.Demographics }) {
		for _, i := range r.Given {
			r.Judged[i].Stays = health.WhyCategory
		}
		r.Given = nil
	}
}

// file judges a file that goes whole or not at all.
func (c *chooser) file(m *payload.Metadata, named bool) (why string) {
	s := &c.sel
	if m.Parts == nil && !s.Whole && (!named || c.narrow()) {
		switch {
		case m.Whole == payload.WholeFHIR:
			return WhyNotSplit
		case mayBeFHIR(m.Whole, m.File):
			return WhyEarlier
		}
	}
	switch {
	case slices.Contains(s.Without, string(m.Category)):
		return health.WhyWithout
	case len(s.Categories) > 0 && !slices.Contains(s.Categories, m.Category) &&
		!(m.Category == health.Documents && slices.Contains(s.With, string(health.Documents))):
		return health.WhyCategory
	}
	dated := health.Selection{Since: s.Since, Until: s.Until}
	_, why = dated.Judge(&health.Label{Category: payload.Other, Date: m.Date})
	return why
}

// mayBeFHIR reports whether a file that was not split may hold FHIR, by what was found out
// when it was added and, if nobody looked, by its name.
func mayBeFHIR(whole, name string) bool {
	ext := filepath.Ext(strings.TrimSuffix(strings.ToLower(name), ".gz"))
	return whole == payload.WholeFHIR || whole == "" && (ext == ".json" || ext == ".ndjson")
}

// MayBeFHIR reports whether the record is FHIR that was not split, or may be: then it is
// given only if it is named.
func (r *Record) MayBeFHIR() bool { return r.Parts == 0 && mayBeFHIR(r.Whole, r.File) }

// scope is what the selection takes, in words that both sides see. It does not tell what
// is there: a category of which nothing is has its word as well.
func (c *chooser) scope() *payload.Scope {
	s := &c.sel
	out := &payload.Scope{Role: s.Role, Categories: slices.Clone(s.Categories), Since: firstDay(s.Since), Until: lastDay(s.Until)}
	if len(s.Categories) == 0 {
		out.Categories = slices.DeleteFunc(Categories(), func(c Category) bool { return c == health.Documents })
	}
	out.Categories = append(out.Categories, health.Demographics)
	for _, w := range s.With {
		if w == string(health.Documents) {
			out.Categories = append(out.Categories, health.Documents)
		} else {
			out.Sensitive = append(out.Sensitive, w)
		}
	}
	if len(c.kinds) > 0 {
		out.Sensitive = append(out.Sensitive, string(health.Unclassified))
	}
	left := func(w string) bool { return slices.Contains(s.Without, w) }
	slices.Sort(out.Categories)
	slices.Sort(out.Sensitive)
	out.Categories = slices.DeleteFunc(slices.Compact(out.Categories), func(c Category) bool { return left(string(c)) })
	out.Sensitive = slices.DeleteFunc(slices.Compact(out.Sensitive), left)
	return out
}

// firstDay is the first day of a year, a month or a day.
func firstDay(s string) string {
	if s == "" {
		return ""
	}
	return s + "-01-01"[len(s)-len("2006"):]
}

// lastDay is the last day of a year, a month or a day.
func lastDay(s string) string {
	switch len(s) {
	case len("2006"):
		return s + "-12-31"
	case len("2006-01"):
		if t, err := time.Parse("2006-01", s); err == nil {
			return t.AddDate(0, 1, -1).Format(time.DateOnly)
		}
	}
	return s
}
