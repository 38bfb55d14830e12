package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
)

// show shows the screen until the person ends it. Each time that it locks she is asked for the
// key anew.
func (x *glance) show(ctx context.Context) error {
	for at := 0; ; {
		until, err := x.unlock(ctx)
		if err != nil {
			return err
		}
		s, err := x.screen(ctx)
		if err == nil {
			at, err = s.Show(ctx, x.in, x.out, at)
		}
		x.forget()
		switch {
		case errors.Is(err, ui.ErrCanceled):
			return errScreen.Of(err)
		case !errors.Is(err, ui.ErrLock):
			return err
		}
		text := "The screen is locked. What was not confirmed was not done."
		if until.After(x.now()) {
			text += " Your key is unlocked until " + clockTime(until, x.now()) + " for every program that runs as you: carekey lock ends that."
		}
		x.say("%s", text)
		line, err := ui.Line(ctx, x.in, x.err, "Enter goes on, q and enter ends:")
		if err != nil || strings.HasPrefix(strings.ToLower(line), "q") {
			return err
		}
	}
}

// screen is what there is to see.
func (x *glance) screen(ctx context.Context) (*ui.Screen, error) {
	x.mu.Lock()
	x.last = map[*ui.View]*ui.Page{}
	x.mu.Unlock()
	home, err := x.home(ctx)
	if err != nil {
		return nil, err
	}
	return &ui.Screen{
		Places: []ui.Place{
			{Word: "Home", View: home},
			{Word: "Records", View: x.recordList()},
			{Word: "Consents", View: live(x.consentList())},
			{Word: "Contacts", View: x.contactList()},
			{Word: "Audit", View: live(x.auditList())},
			{Word: "Inbox", View: live(x.inboxList())},
			{Word: "Ledgers", View: x.ledgerList()},
		},
		Open: func(of, id string) *ui.View {
			if open := opens[of]; open != nil {
				return open(x, id)
			}
			return nil
		},
		Keys:   slices.Concat(x.viewLeads(), x.grantLeads(), x.consentLeads(), x.fetchLeads()),
		Idle:   screenIdle,
		Now:    x.now,
		Forget: x.forget,
	}, nil
}

// opens are what rows lead to, by what they are.
var opens = map[string]func(x *glance, id string) *ui.View{
	"record":   (*glance).record,
	"consent":  (*glance).consent,
	"contact":  (*glance).contact,
	"received": (*glance).received,
	"ledger":   (*glance).ledger,
}
