package batch

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// Choice is what is given of records that are given in parts: items that give the same
// share one.
type Choice struct {
	Chosen
	Scope *payload.Scope `json:"scope"`
	Parts []Parts        `json:"parts"` // by record
}

// Parts are those of one record that are given.
type Parts struct {
	Record  contract.ID `json:"record"`
	Version int         `json:"version"`
	Given   []int       `json:"given"` // from 0, in the order of the file
}

// of returns the parts of a record, nil if there are none.
func (c *Choice) of(record contract.ID, version int) *Parts {
	for i := range c.Parts {
		if p := &c.Parts[i]; p.Record == record && p.Version == version {
			return p
		}
	}
	return nil
}

// changed reports whether a choice that was made earlier is another one now: labels or
// roles may have changed since, or a record has a new version.
func (c *Choice) changed(ctx context.Context, w *wallet.Wallet) (bool, error) {
	r, err := c.request()
	if err != nil {
		return false, err
	}
	g, err := w.Grants().Choose(ctx, r)
	if _, gone := fault.As(err, wallet.ErrNotFound); gone || errors.Is(err, wallet.ErrEmpty) || errors.Is(err, wallet.ErrWithdrawn) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	for _, p := range c.Parts {
		if !slices.ContainsFunc(g.Records, func(r wallet.RecordPlan) bool {
			return r.ID == p.Record && r.Version == p.Version && !r.Whole && slices.Equal(r.Given, p.Given)
		}) {
			return true, nil
		}
	}
	return scopeText(g.Scope) != scopeText(c.Scope), nil
}

// scopeText is the same for scopes that say the same, and "" where nothing is said.
func scopeText(s *payload.Scope) string {
	if s == nil {
		return ""
	}
	return string(payload.Marshal(s))
}

// selection is what a row gives, in the newest version of the records.
type selection struct {
	records []wallet.ConsentRecord // by id
	has     map[contract.ID]wallet.ConsentRecord
	scope   string       // of those of which parts are given; "" if there are none
	parts   []Parts      // of them
	choice  int          // the number of its Choice in the plan, from 1; 0 if there is none
	role    *health.Role // nil if there is none
	says    []Warning    // of what stays back
	bad     *Problem     // why there is none; its line is another row's
}

// covers reports whether the selection gives all that a consent gives of a record by that
// scope; whether the parts that were chosen by it are still the same, other says.
func (s *selection) covers(have *wallet.ConsentRecord, scope string) bool {
	r, ok := s.has[have.ID]
	return ok && (!r.Part || have.Part && scope == s.scope)
}

// choose finds what a row gives; what is wrong with that is one problem.
func (p *planner) choose(x *Row) (*selection, *Problem) {
	key := fmt.Sprintf("%q %#v", x.Purpose, x.Chosen)
	s := p.selections[key]
	if s == nil {
		s = &selection{has: map[contract.ID]wallet.ConsentRecord{}}
		p.selections[key] = s
		s.bad = p.selectFor(s, x)
	}
	if s.bad == nil {
		return s, nil
	}
	bad := *s.bad
	bad.Line = x.Line
	bad.Column, bad.Field = x.Place.of(bad.Field)
	return nil, &bad
}

// selectFor fills in a selection. What is wrong and no row's fault ends the plan.
func (p *planner) selectFor(s *selection, x *Row) *Problem {
	chosen := x.Chosen
	chosen.Records = nil
	for _, q := range x.Records {
		r, why := p.findRecord(q)
		if why != "" {
			return &Problem{Field: "records", Value: q, Why: why}
		}
		chosen.Records = append(chosen.Records, r.ID.String())
	}
	r, err := chosen.request()
	if err == nil {
		if x.Role != "" {
			role, rerr := p.w.Roles().Named(x.Role)
			s.role, err = &role.Role, rerr
		}
		r.Purpose = x.Purpose
	}
	var g *wallet.GrantPlan
	if err == nil {
		g, err = p.w.Grants().Choose(p.ctx, r)
	}
	input, wrong := fault.As(err, wallet.ErrInput)
	missing, lost := fault.As(err, wallet.ErrMissing)
	_, none := fault.As(err, wallet.ErrNotFound)
	switch {
	case err == nil:
	case errors.Is(err, wallet.ErrEmpty):
		if g == nil {
			g = &wallet.GrantPlan{}
		}
	case wrong:
		return &Problem{Field: fault.Get[string](input, "field"), Value: fault.Get[string](input, "value"), Why: fault.Get[string](input, "why")}
	case none:
		return &Problem{Field: "role", Value: x.Role, Why: "no role of that name"}
	case lost:
		return &Problem{Field: "records", Value: fault.Get[contract.ID](missing, "id").String()[:12], Why: "the store has lost the description or the content of this record"}
	default:
		p.failed = cmp.Or(p.failed, err)
		return nil
	}
	c := Choice{Chosen: chosen, Scope: g.Scope}
	for i := range g.Records {
		r := &g.Records[i]
		one := wallet.ConsentRecord{ID: r.ID, Version: r.Version, Title: r.Title, Category: r.Category, Date: r.Date}
		if !r.Whole {
			one.Category, one.Date, one.Part = payload.Part, "", true
			c.Parts = append(c.Parts, Parts{r.ID, r.Version, r.Given})
		}
		s.records, s.has[r.ID] = append(s.records, one), one
	}
	slices.SortFunc(s.records, func(a, b wallet.ConsentRecord) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	if s.scope = scopeText(g.Scope); len(c.Parts) > 0 {
		p.Choices = append(p.Choices, c)
		s.parts, s.choice = c.Parts, len(p.Choices)
	}
	s.say(x, g)
	return nil
}

// say notes what a person should know of a selection.
func (s *selection) say(x *Row, g *wallet.GrantPlan) {
	warn := func(kind, other string) { s.says = append(s.says, Warning{Kind: kind, Other: other}) }
	for i, c := range x.Categories {
		if !g.Has(c) && !slices.Contains(x.Categories[:i], c) {
			warn("empty", string(c))
		}
	}
	if len(s.records) == 0 && len(x.Categories) == 0 {
		warn("empty", cmp.Or(x.Role, "all"))
	}
	sensitive, unclassified, whole := map[string]int{}, 0, map[string]int{}
	for _, rs := range [][]wallet.RecordPlan{g.Records, g.Left} {
		for i := range rs {
			r := &rs[i]
			for k := range r.Judged {
				switch j := &r.Judged[k]; {
				case j.Text:
				case j.Stays == health.WhyUnclassified, j.Stays == health.WhyRules:
					unclassified++
				case j.Stays == health.WhySensitive:
					for _, one := range j.Sensitive {
						if g.Scope == nil || !slices.Contains(g.Scope.Sensitive, string(one)) { // that was not named
							sensitive[string(one)]++
						}
					}
				case r.Whole:
					for _, one := range j.Sensitive {
						whole[string(one)]++
					}
				}
			}
			switch {
			case r.Why == wallet.WhyNotSplit || r.Why == wallet.WhyEarlier || r.Why == wallet.WhyMissing:
				warn(r.Why, r.ID.String()[:8])
			case r.Whole && r.MayBeFHIR():
				warn("anything", r.ID.String()[:8])
			}
		}
	}
	if len(sensitive) > 0 {
		warn("sensitive", numbers(sensitive))
	}
	if unclassified > 0 {
		warn("unclassified", strconv.Itoa(unclassified))
	}
	if len(whole) > 0 {
		warn("whole", numbers(whole))
	}
	if len(g.Missed) > 0 {
		var names []string
		for _, m := range g.Missed[:min(len(g.Missed), 3)] {
			names = append(names, shorten(m.Says))
		}
		if more := len(g.Missed) - len(names); more > 0 {
			names = append(names, strconv.Itoa(more)+" more")
		}
		warn("missed", strings.Join(names, ", "))
	}
	if n := g.Naming; n != nil {
		warn("naming", fmt.Sprintf("%d of %d", n.Resources, n.Of))
	}
}

// numbers are counts of words in the order of the words.
func numbers(of map[string]int) string {
	var out []string
	for _, s := range health.Sensitivities() {
		if n := of[string(s)]; n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, s))
		}
	}
	return strings.Join(out, ", ")
}

// bound is why a row is none for its role; "" if it is one, or has none.
func (s *selection) bound(purpose wallet.Purpose, hours int) string {
	if s.role == nil || s.role.Allows(purpose, hours) {
		return ""
	}
	return fmt.Sprintf("the role is for %s at most, and for %s: give it for less, or for that", payload.Counted(s.role.MaxDays, "day", "days"), s.role.For())
}
