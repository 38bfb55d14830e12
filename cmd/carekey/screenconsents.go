package main

import (
	"context"

	"github.com/carekey/carekey/cmd/carekey/ui"
)

// consentList is every consent that was given.
func (x *glance) consentList() *ui.View {
	return x.view("Consents that you gave", everywhere, func(ctx context.Context, s *session, _ bool) error {
		return consents{s}.list(ctx, filter{})
	})
}

// consent is one of them.
func (x *glance) consent(id string) *ui.View {
	return live(x.view("Consent "+id[:8], everywhere, func(ctx context.Context, s *session, _ bool) error {
		return consents{s}.show(ctx, []string{id})
	}))
}
