package main

import (
	"context"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/wallet"
)

// inboxList is what was granted to the wallet's owner.
func (x *glance) inboxList() *ui.View {
	return x.view("Granted to you", everywhere, func(ctx context.Context, s *session, _ bool) error {
		return inbox{s}.list(ctx, false, filter{}, false)
	})
}

// received is one of these consents: its terms, which are read without an entry.
func (x *glance) received(id string) *ui.View {
	v := x.view("Granted to you, "+id[:8], everywhere, func(ctx context.Context, s *session, _ bool) error {
		return inbox{s}.show(ctx, id)
	})
	v.Of, v.ID = "received", id
	return v
}

// show shows a consent that was granted, of which nothing is opened.
func (a inbox) show(ctx context.Context, id string) error {
	r, _, err := find(ctx, a.session, id, func(o *opened) (wallet.Received, string, error) {
		r, err := o.w.Inbox().Sender(ctx, id)
		return r, r.Consent.String(), err
	})
	if err != nil {
		return err
	}
	a.rows(a.told(r))
	if r.Status == wallet.StatusActive {
		a.say("To open it, which leaves an entry that its giver sees: carekey fetch %s --reason 'why you look'", short(r.Consent))
	}
	return nil
}
