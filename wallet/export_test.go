package wallet

import (
	"context"
	"errors"
)

// PrepareGrants builds and signs grants as GrantAll does and drops them.
func (w *Wallet) PrepareGrants(ctx context.Context, plans []*GrantPlan) error {
	return w.with(ctx, func() error {
		keys, err := w.fileKeys(ctx, plans)
		if err != nil {
			return err
		}
		errs := make([]error, len(plans))
		parallel(len(plans), func(i int) { _, errs[i] = w.prepareGrant(plans[i], keys) })
		return errors.Join(errs...)
	})
}
