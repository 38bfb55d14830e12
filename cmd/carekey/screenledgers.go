package main

import (
	"context"

	"github.com/carekey/carekey/cmd/carekey/ui"
)

// ledgerList is those of the wallet, of which none is asked anything.
func (x *glance) ledgerList() *ui.View {
	v := &ui.View{Title: "Ledgers"}
	v.Load = func(context.Context, bool) (*ui.Page, error) {
		a := x.paged(v.Title)
		p, err := a.ownPlace()
		if err == nil {
			err = ledgers{a}.list(p, 0)
		}
		if err != nil {
			a.page.Fail(failed(&a.console, err))
		}
		return a.page, nil
	}
	return v
}

// ledger is one of them: how long it is, and what its gate is worth.
func (x *glance) ledger(id string) *ui.View {
	which := thatOne(id)
	return x.view("Ledger "+id[:8], which, func(ctx context.Context, s *session, _ bool) error {
		p, err := s.ownPlace()
		if err != nil {
			return err
		}
		return ledgers{s.app}.lookAt(ctx, s.all[0].l, which(p)[0], s.all[0].w, false, false)
	})
}

// thatOne is a ledger alone, by its id.
func thatOne(id string) func(place) []place {
	return func(p place) (on []place) {
		for _, at := range p.settings.Ledgers {
			if at.ID.String() == id {
				on = append(on, p.on(at))
			}
		}
		return on
	}
}
