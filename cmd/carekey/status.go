package main

import (
	"context"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func newStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Who can see what until when, and what happened since you last looked",
		Args:  cli.Takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withWallet(cmd, looks, func(ctx context.Context, w *wallet.Wallet) error {
				s, err := w.Status(ctx)
				if err != nil {
					return err
				}
				return a.status(w, s)
			})
		},
	}
}

func codeOf(err error) string { return explain(err).Code }

type pendingJSON struct {
	Action string `json:"action"`
	ID     string `json:"id"`
	Error  string `json:"error"` // why it could not be finished
}

func pendingOf(p wallet.Pending) pendingJSON {
	j := pendingJSON{Action: string(p.Action), ID: p.ID.String()}
	if p.Err != nil {
		j.Error = explain(p.Err).Code
	}
	return j
}

func (a *app) status(w *wallet.Wallet, s wallet.Summary) error {
	p, err := a.place()
	if err != nil {
		return err
	}
	places, err := a.placesOf(p)
	if err != nil {
		return err
	}
	if a.flags.json {
		clock, _ := w.Doubt()
		return a.printJSON(struct {
			Consents []consentJSON  `json:"consents"` // active and upcoming
			Accesses []eventJSON    `json:"accesses"` // since the last look
			Pending  []pendingJSON  `json:"pending"`
			Inbox    []receivedJSON `json:"inbox"` // active and never fetched
			Ended    int            `json:"ended"`
			Records  int            `json:"records"`
			Contacts int            `json:"contacts"`
			Unasked  int            `json:"unasked"` // consents that no keeper was asked about this time
			Due      []string       `json:"due"`     // against a loss: "words", "backup"
			Ledgers  []placeJSON    `json:"ledgers"`
			Clock    string         `json:"clock,omitempty"` // what the clock says, if it disagrees with the ledger's time
			// Codes of what could not be written into the wallet's folder, and of files there
			// that could not be read.
			Unwritten  []string `json:"unwritten,omitempty"`
			PassedOver []string `json:"passedOver,omitempty"`
		}{list(s.Consents, consentOf), list(s.Accesses, eventOf), list(s.Pending, pendingOf), list(s.Inbox, receivedOf), s.Ended, s.Records, s.Contacts, s.Unasked,
			list(a.due(w), func(d string) string { return d }), list(places, func(j placeJSON) placeJSON { return j }),
			instant(clock), list(w.Unwritten(), codeOf), list(w.PassedOver(), codeOf)})
	}
	ended := ""
	if s.Ended > 0 {
		ended = ", " + plural(s.Ended, "consent", "consents") + " that ended"
	}
	a.print("%s: %s, %s%s.\n", w.Name(), plural(s.Records, "record", "records"), plural(s.Contacts, "contact", "contacts"), ended)
	if len(s.Consents) == 0 {
		a.print("Nobody can open anything of yours.")
	} else {
		a.print("Who can open what:")
		if err := a.consentTable(s.Consents); err != nil {
			return err
		}
	}
	if len(s.Accesses) > 0 {
		a.print("\nSince you last looked:")
		if err := a.eventTable(s.Accesses); err != nil {
			return err
		}
	}
	if s.Unasked > 0 {
		a.say("\nRefused attempts were asked for at some of your consents, and at %s not: carekey audit asks for all.", thousands(s.Unasked))
	}
	if len(s.Inbox) > 0 {
		a.print("\nGranted to you and not fetched yet:")
		if err := a.receivedTable(s.Inbox); err != nil {
			return err
		}
	}
	if len(s.Pending) > 0 {
		a.print("\nSigned, and not sent yet:")
		for _, p := range s.Pending {
			a.print("  %s", pendingText(p))
		}
	}
	if len(places) > 1 {
		id, _ := w.Ledger()
		others := "\nThis is ledger " + ledgerTitle(cli.Clean(w.LedgerName())) + " (" + short(id) + "). You are on others too:"
		for _, j := range places {
			if j.ID == id.String() {
				continue
			}
			others += "\n  " + j.ID[:8] + "  " + ledgerTitle(cli.Clean(j.Name))
			if j.Waiting > 0 {
				others += ": " + waitingText(j) + " waiting, see carekey sync"
			}
		}
		a.print("%s", a.ours(others))
	}
	for _, d := range a.due(w) {
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

func (a *app) consentTable(cs []wallet.Consent) error {
	t := &ui.Table{Header: []string{"consent", "to", "records", "for", "until", "status", "opened"}}
	for _, c := range cs {
		records := titles(c.Records)
		if c.Missing {
			records = lost(c.Damaged)
		}
		t.Add(short(c.ID), person(c.To, c.Address), records, c.Purpose.Word(), day(c.NotAfter), statusText(c), openedText(c.Openings, wallet.HourTime(c.LastOpened).Local().Format("2 Jan 2006")))
	}
	return a.table(t)
}

// statusText is a consent's status with what waits to happen to it.
func statusText(c wallet.Consent) string {
	switch {
	case c.Pending == wallet.Revoking && c.Status != wallet.StatusRevoked:
		return string(c.Status) + ", revocation waits"
	case c.Pending == wallet.Revoking:
		return string(c.Status) + ", keepers not told yet"
	case c.Pending == wallet.Granting && c.Status != wallet.StatusPending:
		return string(c.Status) + ", not at the keepers yet"
	case c.Status == wallet.StatusPending:
		return "pending: not on the ledger yet"
	}
	return string(c.Status)
}
