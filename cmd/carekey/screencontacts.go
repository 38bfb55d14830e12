package main

import (
	"context"

	"github.com/carekey/carekey/cmd/carekey/ui"
)

// contactList is the people whose addresses are known. They are the same on every ledger.
func (x *glance) contactList() *ui.View {
	return x.view("Contacts", alone, func(ctx context.Context, s *session, _ bool) error {
		return contacts{app: s.app, limit: new(int)}.list(ctx, s.all[0].w, nil)
	})
}

// contact is one of them, and what there is between the two.
func (x *glance) contact(name string) *ui.View {
	v := x.view("Contact "+name, everywhere, func(ctx context.Context, s *session, _ bool) error {
		return acquaintance{s}.show(ctx, []string{name})
	})
	v.Of, v.ID = "contact", name
	return v
}
