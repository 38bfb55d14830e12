package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func newAudit(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "audit",
		Short: "Everything that happened to your consents, verified and complete, newest last",
		Long: `List what happened to your consents, newest last: given, opened, refused, revoked.
Every line was verified, and every consent proven complete: an opening that the ledger
hides is an error here, not a gap. Times are the ledger's, in full hours.`,
		Args: cli.Takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withWallet(cmd, looks, func(ctx context.Context, w *wallet.Wallet) error {
				es, err := w.Audit(ctx)
				if err != nil {
					return err
				}
				var damaged error
				for _, e := range es {
					if e.Damaged {
						damaged = &ledgerclient.TamperedError{What: "reason of an access to consent " + e.Consent.String()}
					}
				}
				if a.flags.json {
					return errors.Join(a.printJSON(list(es, eventOf)), damaged)
				}
				if len(es) == 0 {
					a.say("Nothing has happened: you gave no consents.")
					return nil
				}
				if err := errors.Join(a.eventTable(es), damaged); err != nil {
					return err
				}
				a.say("Verified: %s, and nothing of these consents is hidden.", plural(len(es), "event", "events"))
				return nil
			})
		},
	}
}

func (a *app) eventTable(es []wallet.Event) error {
	t := &ui.Table{Header: []string{"time", "what", "who", "records", "for", "reason", "consent"}}
	for _, e := range es {
		what, reason, name := string(e.What), "", person(e.Who, e.Address)
		switch e.What {
		case wallet.Opened:
			reason = "(none was given)"
			if e.Damaged {
				reason = "(TAMPERED WITH in the store)"
			} else if !e.HasReason {
				reason = "(cannot be read)"
			} else if e.Reason != "" {
				reason = e.Reason
			}
		case wallet.Refused:
			what, reason = "tried, refused", "because: "+e.Code.String()
			if e.More > 0 {
				reason = fmt.Sprintf("%d more times, which the keeper only counted", e.More)
			}
		case wallet.Stopped:
			what, name = "stopped", fmt.Sprintf("keeper %d", e.Keeper)
		case wallet.Destroyed:
			what, name = "share destroyed", fmt.Sprintf("keeper %d", e.Keeper)
		}
		if !e.Verified {
			what += " (NOT VERIFIED)"
		}
		t.Add(day(e.Hour), what, name, titles(e.Records), e.Purpose.Word(), reason, short(e.Consent))
	}
	return a.table(t)
}
