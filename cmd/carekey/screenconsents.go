package main

import (
	"context"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/wallet"
)

// consentList is every consent that was given.
func (x *glance) consentList() *ui.View {
	return x.view("Consents that you gave", everywhere, func(ctx context.Context, s *session, _ bool) error {
		return consents{s}.list(ctx, filter{})
	})
}

// consent is one of them.
func (x *glance) consent(id string) *ui.View {
	v := live(x.view("Consent "+id[:8], everywhere, func(ctx context.Context, s *session, _ bool) error {
		return consents{s}.show(ctx, []string{id})
	}))
	v.Of, v.ID = "consent", id
	return v
}

// consentLeads are the keys for consents that were given.
func (x *glance) consentLeads() []ui.Lead {
	return []ui.Lead{
		{Key: "x", Word: "revoke", Does: "end consents", Of: "consent", Many: true, View: func(ids []string) *ui.View {
			return x.act("Revoke "+plural(len(ids), "consent", "consents"), ends, everywhere, func(ctx context.Context, s *session) error {
				return revoking{s}.revoke(ctx, wallet.RevokeRequest{Consents: ids})
			})
		}},
		{Key: "w", Word: "why", Does: "why a consent may or may not be opened now", Of: "consent", View: func(ids []string) *ui.View {
			return x.view("Why consent "+ids[0][:8]+" may be opened, or not", everywhere, func(ctx context.Context, s *session, _ bool) error {
				return consents{s}.explain(ctx, ids[0], "", func(w *wallet.Wallet) (wallet.Explanation, error) { return w.Consents().Explain(ctx, ids[0]) })
			})
		}},
	}
}
