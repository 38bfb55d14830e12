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
	v := x.lookAt("Ledger "+id[:8], id, false)
	v.Of, v.ID = "ledger", id
	return v
}

// lookAt is one of them, after all of it was verified or without that.
func (x *glance) lookAt(title, id string, verify bool) *ui.View {
	which := thatOne(id)
	return x.view(title, which, func(ctx context.Context, s *session, _ bool) error {
		p, err := s.ownPlace()
		if err != nil {
			return err
		}
		return ledgers{s.app}.lookAt(ctx, s.all[0].l, which(p)[0], s.all[0].w, verify, false)
	})
}

// verifying shows how far a verification is, on a terminal or within a screen.
func (a ledgers) verifying(ctx context.Context) (step func(done, total uint64), end func()) {
	if a.page == nil {
		return a.steps("verifying")
	}
	percent := uint64(0)
	return func(done, total uint64) { // each is drawn
		if total >= stepsFrom && done*100/total != percent {
			percent = done * 100 / total
			ui.Step(ctx, done, total, "entries")
		}
	}, func() {}
}

// ledgerLeads are the keys for a ledger.
func (x *glance) ledgerLeads() []ui.Lead {
	return []ui.Lead{{Key: "v", Word: "verify", Does: "verify all of a ledger", Of: "ledger", View: func(ids []string) *ui.View {
		return x.lookAt("Verification of ledger "+ids[0][:8], ids[0], true)
	}}}
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
