package batch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
)

// What a consent says of its parts is what they were chosen by, and labels may have been
// corrected since: which parts it gives only its envelope tells.

// partsOf reads which parts a consent gives. What the store has lost nobody can open: a
// consent of which that cannot be read covers nothing.
func (p *planner) partsOf(h *consent) error {
	parts, err := p.w.Consents().GivenParts(p.ctx, h.ID)
	if err != nil && (p.ctx.Err() != nil || ledgerclient.Unreachable(err) != nil) {
		return err
	}
	if err == nil {
		h.parts = parts
	}
	return nil
}

// givenText is the same for the same parts.
func givenText(parts []wallet.GivenParts) string {
	var b strings.Builder
	for _, g := range parts {
		fmt.Fprintf(&b, "\n%s.%d %v", g.Record, g.Version, g.Given)
	}
	return b.String()
}

// other reports whether a group gives other parts of a version than the selection, which
// chooses by the same words.
func (s *selection) other(g *group) bool {
	return slices.ContainsFunc(g.records, func(have wallet.ConsentRecord) bool {
		want := s.has[have.ID]
		if !have.Part || !want.Part || have.Version != want.Version {
			return false
		}
		is := func(x wallet.GivenParts) bool { return x.Record == have.ID && x.Version == have.Version }
		i := slices.IndexFunc(g.parts, is)
		return i < 0 || !slices.ContainsFunc(s.parts, func(p Parts) bool {
			return p.Record == have.ID && slices.Equal(p.Given, g.parts[i].Given)
		})
	})
}
