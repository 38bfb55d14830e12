package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func newStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Who can see what until when, and what happened since you last looked",
		Args:  cli.Takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withLedgers(cmd, looks, everywhere, func(ctx context.Context, s *session) error { return overview{s}.status(ctx) })
		},
	}
}

func codeOf(err error) string { return explain(err).Code }

// overview is what there is on each ledger, put together.
type overview struct{ *session }

func (a overview) status(ctx context.Context) error {
	var sum wallet.Summary
	var seen []*opened
	var pending []pendingJSON
	var waits []string
	_, failed := a.each(ctx, func(o *opened) error {
		s, err := o.w.Audit().Status(ctx)
		if err != nil {
			return err
		}
		seen = append(seen, o)
		sum.Consents = append(sum.Consents, s.Consents...)
		sum.Accesses = append(sum.Accesses, s.Accesses...)
		sum.Inbox = append(sum.Inbox, s.Inbox...)
		sum.Ended, sum.Records, sum.Unasked, sum.Contacts = sum.Ended+s.Ended, sum.Records+s.Records, sum.Unasked+s.Unasked, s.Contacts
		sum.ByClock += s.ByClock
		for _, p := range s.Pending {
			j := pendingOf(p)
			j.Ledger = o.id().String()
			pending, waits = append(pending, j), append(waits, pendingText(p))
		}
		for _, m := range s.Missing {
			if !slices.Contains(sum.Missing, m) {
				sum.Missing = append(sum.Missing, m)
			}
		}
		return nil
	})
	if len(seen) == 0 {
		return failed
	}
	slices.SortStableFunc(sum.Accesses, func(x, y wallet.Event) int { return cmp.Compare(x.Hour, y.Hour) })
	part := failed != nil
	for _, o := range seen {
		_, why := o.w.Log().OutOfReach()
		if u, ok := errors.AsType[*ledgerclient.UnreachableError](why); ok && u.Damaged { // the rest is shown all the same
			failed = worse(failed, a.onLedger(o.id(), why))
		}
	}
	return errors.Join(a.show(seen, sum, pending, waits, part), failed)
}

// show tells what is on some ledgers; part says that another one could not be read.
func (a overview) show(all []*opened, s wallet.Summary, pending []pendingJSON, waits []string, part bool) error {
	w := all[0].w
	p, err := a.place()
	if err != nil {
		return err
	}
	places, err := ledgers{a.app}.places(p)
	if err != nil {
		return err
	}
	for i := range places {
		for _, o := range all {
			if places[i].ID == o.id().String() {
				g := groundOf(o.w)
				places[i].Gate, places[i].Operators, places[i].AsOf = string(g.Gate), max(1, g.Operators), instant(g.since)
			}
		}
	}
	if a.flags.json {
		var clock time.Time
		var unwritten, passed []error
		for _, o := range all {
			if c, _ := o.w.Log().Doubt(); clock.IsZero() {
				clock = c
			}
			unwritten, passed = append(unwritten, o.w.Unwritten()...), append(passed, o.w.Changes().PassedOver()...)
		}
		return a.printJSON(struct {
			Consents []consentJSON  `json:"consents"` // active and upcoming
			Accesses []eventJSON    `json:"accesses"` // since the last look
			Pending  []pendingJSON  `json:"pending"`
			Inbox    []receivedJSON `json:"inbox"` // active and never fetched
			Ended    int            `json:"ended"`
			ByClock  int            `json:"endedByClock,omitempty"` // of those: by this computer's clock alone
			Records  int            `json:"records"`
			Contacts int            `json:"contacts"`
			Unasked  int            `json:"unasked"` // consents that no keeper was asked about this time
			Missing  []string       `json:"missing"` // services that gave no answer: ledger, keeper, store
			Due      []string       `json:"due"`     // against a loss: "words", "backup"
			Ledgers  []placeJSON    `json:"ledgers"`
			Clock    string         `json:"clock,omitempty"` // what the clock says, if it disagrees with the ledger's time
			// Codes of what could not be written into the wallet's folder, and of files there
			// that could not be read.
			Unwritten  []string `json:"unwritten,omitempty"`
			PassedOver []string `json:"passedOver,omitempty"`
		}{list(s.Consents, consentOf), list(s.Accesses, eventOf), list(pending, same), list(s.Inbox, receivedOf), s.Ended, s.ByClock, s.Records, s.Contacts, s.Unasked,
			list(s.Missing, same), list(due(w, a.now()), same), list(places, same),
			instant(clock), list(unwritten, codeOf), list(passed, codeOf)})
	}
	ended := ""
	if s.Ended > 0 {
		ended = ", " + plural(s.Ended, "consent", "consents") + " that ended"
	}
	a.print("%s: %s, %s%s.\n", w.Name(), plural(s.Records, "record", "records"), plural(s.Contacts, "contact", "contacts"), ended)
	if len(s.Consents) == 0 {
		for _, o := range all {
			if g := groundOf(o.w); g.away || o == all[len(all)-1] {
				g.part = part
				a.print("%s", g.says(noneOpen))
				break
			}
		}
	} else {
		a.print("Who can open what:")
		if err := (consents{a.session}).table(s.Consents); err != nil {
			return err
		}
		a.say("%s", limits(all))
	}
	if s.ByClock > 0 {
		a.say("%s ended by this computer's clock alone: no entry of the ledger is that late yet.", plural(s.ByClock, "consent", "consents"))
	}
	if slices.Contains(s.Missing, "keeper") {
		a.say("\nA keeper gave no answer: attempts that it refused are not known.")
	}
	if len(s.Accesses) > 0 {
		a.print("\nSince you last looked:")
		if err := (events{a.session}).table(s.Accesses); err != nil {
			return err
		}
	}
	if s.Unasked > 0 {
		a.say("\nRefused attempts were asked for at some of your consents, and at %s not: carekey audit asks for all.", thousands(s.Unasked))
	}
	if len(s.Inbox) > 0 {
		a.print("\nGranted to you and not fetched yet:")
		if err := (inbox{a.session}).table(s.Inbox); err != nil {
			return err
		}
	}
	if len(waits) > 0 {
		a.print("\nSigned, and not sent yet:")
		for _, text := range waits {
			a.print("  %s", text)
		}
	}
	if others := len(places) - len(all); p.given && others > 0 {
		a.say("\nThis is ledger %s alone. You are on %s more: leave out --ledger and %s.", ledgerWords(p.dir, all[0].id()), plural(others, "ledger", "ledgers"), envLedger)
	}
	for _, d := range due(w, a.now()) {
		a.say("\n%s", a.ours(dueText[d]))
	}
	switch {
	case len(s.Accesses) > 0:
		a.next("carekey audit")
	case len(s.Inbox) > 0:
		a.next("carekey fetch %s", short(s.Inbox[0].Consent))
	case s.Records == 0:
		a.next("carekey record add FILE")
	case s.Contacts == 0:
		a.next("carekey contact add NAME ADDRESS")
	case len(s.Consents) == 0:
		a.next("carekey grant --to NAME --record ID --for 30d")
	}
	return nil
}
