package wallet

import (
	"context"

	"github.com/carekey/carekey/wallet/view"
)

// ProvenConsents returns the consents that ids name, in their order, or all, oldest
// first, if there are none; each once, and proven complete as ShowConsent does, so
// that their status can be handed on. Those whose terms are missing or damaged say so.
func (w *Wallet) ProvenConsents(ctx context.Context, ids []string) ([]Consent, error) {
	var out []Consent
	err := w.look(ctx, func() error {
		ts, err := w.grants(ctx)
		if err != nil {
			return err
		}
		if len(ids) > 0 {
			ts = nil
			named := map[*view.Thread]bool{}
			for _, id := range ids {
				t, err := w.find(view.OwnGrant, id, "consent")
				if err != nil {
					return err
				}
				if !named[t] {
					ts = append(ts, t)
				}
				named[t] = true
			}
		}
		if err := w.prove(ctx, ts); err != nil {
			return err
		}
		for _, t := range ts {
			out = append(out, w.consent(t))
		}
		return nil
	})
	return out, err
}
