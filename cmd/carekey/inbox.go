package main

import (
	"context"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func newInbox(a *app) *cobra.Command {
	var onlyNew bool
	c := &cobra.Command{
		Use:   "inbox [--new]",
		Short: "List what was granted to you",
		Args:  cli.Takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withWallet(cmd, looks, func(ctx context.Context, w *wallet.Wallet) error {
				rs, err := w.Inbox(ctx)
				if err != nil {
					return err
				}
				if onlyNew {
					kept := rs[:0]
					for _, r := range rs {
						if r.Fetched == 0 && r.Status == wallet.StatusActive {
							kept = append(kept, r)
						}
					}
					rs = kept
				}
				return a.inbox(rs)
			})
		},
	}
	c.Flags().BoolVar(&onlyNew, "new", false, "only what can be fetched and never was")
	return c
}

func (a *app) inbox(rs []wallet.Received) error {
	if a.flags.json {
		return a.printJSON(list(rs, receivedOf))
	}
	if len(rs) == 0 {
		a.say("Nothing was granted to you that is shown here.")
		a.next("give your address to who should: carekey address")
		return nil
	}
	if err := a.receivedTable(rs); err != nil {
		return err
	}
	for _, r := range rs {
		if r.Status == wallet.StatusActive && r.Fetched == 0 {
			a.next("carekey fetch %s --reason 'why you look'", short(r.Consent))
			break
		}
	}
	return nil
}

func (a *app) receivedTable(rs []wallet.Received) error {
	t := &ui.Table{Header: []string{"consent", "from", "records", "for", "until", "status", "fetched"}}
	for _, r := range rs {
		fetched := "never"
		if r.Fetched > 0 {
			fetched = day(r.LastFetched)
		}
		records := titles(r.Records)
		if r.Missing {
			records = lost(r.Damaged)
		}
		t.Add(short(r.Consent), person(r.From, r.Address), records, r.Purpose.Word(), day(r.NotAfter), string(r.Status), fetched)
	}
	return a.table(t)
}
