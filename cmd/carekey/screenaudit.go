package main

import (
	"context"

	"github.com/carekey/carekey/cmd/carekey/ui"
)

// auditList is what happened to the consents that were given. What came last is what is
// looked for.
func (x *glance) auditList() *ui.View {
	v := x.view("What happened, newest last", everywhere, func(ctx context.Context, s *session, _ bool) error {
		return events{s}.audit(ctx, filter{}, false)
	})
	v.AtEnd = true
	return v
}
