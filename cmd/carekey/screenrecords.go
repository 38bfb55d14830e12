package main

import (
	"context"

	"github.com/carekey/carekey/cmd/carekey/ui"
)

// recordList is the records on each ledger.
func (x *glance) recordList() *ui.View {
	return x.view("Records", everywhere, func(ctx context.Context, s *session, _ bool) error {
		_, worst := s.each(ctx, func(o *opened) error {
			s.heads(o)
			return (&records{app: s.app}).list(ctx, o.w, nil)
		})
		return worst
	})
}

// record is one of them: what is in it, and what of that goes only by name.
func (x *glance) record(id string) *ui.View {
	v := x.view("Record "+id[:8], everywhere, func(ctx context.Context, s *session, _ bool) error {
		_, on, err := find(ctx, s, id, func(o *opened) (struct{}, string, error) {
			_, _, err := o.w.Records().History(ctx, id)
			return struct{}{}, id, err
		})
		if err != nil {
			return err
		}
		return (&records{app: s.app, all: true}).show(ctx, on.w, []string{id})
	})
	v.Of, v.ID = "record", id
	return v
}

// heads says of which ledger the next list is, if there are several.
func (s *session) heads(o *opened) {
	if title := s.titles[o.id()]; len(s.titles) > 1 {
		s.print("\nOn ledger %s:", title)
	}
}
