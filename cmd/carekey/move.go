package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func newLedgerMove(a *app) *cobra.Command {
	var to string
	c := &cobra.Command{
		Use:   "move --to LEDGER",
		Short: "Take your records and open consents from this ledger to another of yours",
		Long: `Enter your records on another ledger that this wallet is on, encrypted anew, give
your open consents there again, and revoke the old ones, each once the new one holds.
Recipients must be on the other ledger too and need the new fetch codes, which are
printed. What cannot be moved is said: consents that others gave you, links, consents that
are over, and the history of openings, which stays where it is. The old records stay
as well; carekey --ledger LEDGER record remove ends them.

A move that was interrupted goes on when it is run again.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return errNeed.With("what", "where to", "flag", "--to LEDGER")
			}
			p, at, err := ledgers{a}.find(to)
			if err != nil {
				return err
			}
			return a.withWallet(cmd, writes, func(ctx context.Context, w *wallet.Wallet) error { return moving{a}.move(ctx, w, p.on(at)) })
		},
	}
	c.Flags().StringVar(&to, "to", "", "the other `LEDGER`: its name, place or id")
	acceptClock(a, c)
	return c
}

// moving takes records and consents from one ledger to another.
type moving struct{ *app }

func (a moving) move(ctx context.Context, w *wallet.Wallet, p place) error {
	l, err := a.openPinned(ctx, p)
	if err != nil {
		return err
	}
	defer func() { l.close() }()
	if l.away == nil {
		if l, _, err = a.checkClock(ctx, p, l); err != nil {
			return err
		}
	}
	dst, err := w.On(ctx, l.Services, p.id)
	if err != nil {
		return err
	}
	plan, err := w.Moves().Plan(ctx, dst)
	if err != nil {
		return err
	}
	if len(plan.Records)+len(plan.Consents)+len(plan.Revoke) == 0 {
		return a.show(wallet.Moved{Stays: plan.Stays})
	}
	id, _ := w.Ledger()
	preview := previewMove(plan, ledgerWords(p.dir, id), ledgerWords(p.dir, p.id), groundOf(dst).says(eachOpening))
	if err := a.confirm(ctx, preview, "Move them?", ""); err != nil {
		return err
	}
	step, end := a.progress("moving", plan.Bytes)
	m, err := w.Moves().Run(ctx, dst, func(done, _ int64) {
		if step != nil {
			step(done)
		}
	})
	end()
	if len(m.Consents) == 0 && err != nil {
		return err
	}
	if perr := a.show(m); perr != nil || err != nil {
		return errors.Join(perr, err)
	}
	if s := w.Settings(); s.Default != p.id {
		a.next("carekey ledger default %s, so that new records and consents go there", short(p.id))
	}
	return nil
}

func previewMove(p wallet.MovePlan, from, to, gate string) string {
	var lines []string
	for _, r := range p.Records {
		lines = append(lines, cli.Clean(fmt.Sprintf("%s, %s  %s", r.Title, plural(r.Version, "version", "versions"), short(r.ID))))
	}
	var consents []string
	for _, c := range append(p.Consents, p.Revoke...) {
		to, what := cli.Clean(receiver(c.To, c.Address, c.Link)), cli.Clean(titles(c.Records))
		consents = append(consents, fmt.Sprintf("%s: %s, until %s  %s", to, what, day(c.Until), short(c.ID)))
	}
	rows := cli.Rows{{"from", from}, {"to", to}}
	if len(lines) > 0 {
		rows.Add("records", strings.Join(lines, "\n")+"\n"+bytesText(p.Bytes)+" to be encrypted anew")
	}
	if len(consents) > 0 {
		rows.Add("consents", strings.Join(consents, "\n"))
	}
	var stays []string
	for _, s := range p.Stays {
		stays = append(stays, stayText(s))
	}
	stays = append(stays, "the history of openings, and the records themselves")
	rows.Add("stays", strings.Join(stays, "\n"))
	return rows.Text("  ") + "\nThe consents are given anew on the other ledger, and then revoked on this one. Their recipients must be on the other ledger too: the new fetch codes lead there.\n" + gate
}

// stayText says what cannot be moved, and why.
func stayText(s wallet.Staying) string {
	switch s.What {
	case wallet.StayReceived:
		return plural(s.Number, "consent that was given to you: only its sender can give it there", "consents that were given to you: only their senders can give them there")
	case wallet.StayLink:
		return plural(s.Number, "link, which leads to this ledger's node: make another one there", "links, which lead to this ledger's node: make others there")
	case wallet.StayEnded:
		return plural(s.Number, "consent that is over", "consents that are over")
	}
	if s.Title != "" {
		return quoted(s.Title) + " (" + short(s.ID) + "): a version of it cannot be read"
	}
	return short(s.ID) + ": cannot be read, or not given there"
}

func (a moving) sayStays(stays []wallet.Staying) {
	for _, s := range stays {
		a.say("Stays: %s.", stayText(s))
	}
}

type moveJSON struct {
	wallet.Moved
	Consents []movedJSON      `json:"consents"`
	Revoked  []revocationJSON `json:"revoked"`
}

type movedJSON struct {
	consentJSON
	wallet.MovedConsent
}

func (a moving) show(m wallet.Moved) error {
	if m.Records+len(m.Consents)+len(m.Revoked) == 0 {
		a.say("There is nothing to move.")
	} else {
		a.say("Moved: %s (%s), %s; %s revoked where they were.", plural(m.Records, "record", "records"), plural(m.Versions, "version", "versions"),
			plural(len(m.Consents), "consent", "consents"), plural(len(m.Revoked), "consent", "consents"))
	}
	for _, c := range m.Consents {
		a.say("\nThe fetch code for %s (%s), instead of that of %s:", person(c.Consent.To, c.Consent.Address), titles(c.Consent.Records), short(c.Old))
		a.data(c.Code)
	}
	a.sayStays(m.Stays)
	m.Stays = list(m.Stays, same)
	moved := func(c wallet.MovedConsent) movedJSON { return movedJSON{consentOf(c.Consent), c} }
	return a.result(moveJSON{m, list(m.Consents, moved), list(m.Revoked, revocationOf)})
}
