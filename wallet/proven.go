package wallet

import (
	"context"

	"github.com/carekey/carekey/wallet/view"
)

// Proven returns the consents that ids name, in their order, or all, oldest
// first, if there are none; each once, and proven complete as Show does, so
// that their status can be handed on. Those whose terms are missing or damaged say so.
func (cs Consents) Proven(ctx context.Context, ids []string) ([]Consent, error) {
	var out []Consent
	err := cs.w.look(ctx, func() error {
		ts, err := cs.threads(ctx)
		if err != nil {
			return err
		}
		if len(ids) > 0 {
			ts = nil
			named := map[*view.Thread]bool{}
			for _, id := range ids {
				t, err := cs.w.find(view.OwnGrant, id, "consent")
				if err != nil {
					return err
				}
				if !named[t] {
					ts = append(ts, t)
				}
				named[t] = true
			}
		}
		if err := cs.prove(ctx, ts); err != nil {
			return err
		}
		for _, t := range ts {
			out = append(out, cs.of(t))
		}
		return nil
	})
	return out, err
}
