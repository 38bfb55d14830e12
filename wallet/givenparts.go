package wallet

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/view"
)

// GivenParts are the parts of one record's version that a consent of one's own gives.
type GivenParts struct {
	Record  contract.ID
	Version int
	Given   []int          // from 0, in the order of the file, ascending
	Since   map[string]int // of its entries, how many are sensitive by the labels of today, by what the consent does not name; nil if none are
}

// GivenParts reads which parts a consent gives, by record; none if it gives only whole records.
// Its words say what they were chosen by, and labels may have been corrected since.
func (cs Consents) GivenParts(ctx context.Context, id contract.ID) (out []GivenParts, err error) {
	err = cs.w.Look(ctx, func() error {
		t, err := cs.w.find(ctx, view.OwnGrant, id.String(), "consent")
		if err != nil {
			return err
		}
		if err := cs.ownTerms(ctx, t); err != nil {
			return err
		}
		if t.Terms == nil {
			return cmp.Or(t.Damage(), error(ErrMissing.With("part", "terms", "id", id)))
		}
		given, err := cs.given(ctx, t)
		if err != nil {
			return err
		}
		for v, parts := range given {
			of, err := cs.w.Records().partsOf(ctx, cs.w.view.Thread(v.record), v.version)
			if err != nil {
				return err
			}
			g := GivenParts{Record: v.record, Version: v.version, Given: parts}
			for _, i := range parts {
				if of.Parts[i].Text {
					continue
				}
				for _, s := range of.Parts[i].Label.Sensitive {
					if slices.Contains(t.Terms.Set.Scope.Sensitive, string(s)) {
						continue
					}
					if g.Since == nil {
						g.Since = map[string]int{}
					}
					g.Since[string(s)]++
				}
			}
			out = append(out, g)
		}
		slices.SortFunc(out, func(a, b GivenParts) int { return bytes.Compare(a.Record[:], b.Record[:]) })
		return nil
	})
	return out, err
}

// SensitiveSince are the numbers of [GivenParts.Since] together.
func SensitiveSince(parts []GivenParts) map[string]int {
	out := map[string]int{}
	for _, g := range parts {
		for s, n := range g.Since {
			out[s] += n
		}
	}
	return out
}
