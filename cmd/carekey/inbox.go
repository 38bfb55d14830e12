package main

import (
	"context"
	"errors"
	"slices"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func newInbox(a *app) *cobra.Command {
	var onlyNew bool
	var asks check
	var f filter
	c := &cobra.Command{
		Use:     "inbox [--new] [--from NAME] [--limit N] [--check]",
		Short:   "List what was granted to you, on every ledger of this wallet",
		Example: "  carekey inbox --new --from Maria",
		RunE:    onEvery(a, looks, func(a inbox, ctx context.Context, _ []string) error { return a.list(ctx, onlyNew, f, asks) }),
	}
	f.whoFlag(c, "from", "only what the contact `NAME`, or who has an address, gave you")
	c.Flags().BoolVar(&onlyNew, "new", false, "only what can be fetched and never was")
	asks.flag(c, "something can be fetched and never was")
	return c
}

// inbox is what was granted to the wallet's owner, on every ledger.
type inbox struct{ *session }

func (a inbox) list(ctx context.Context, onlyNew bool, f filter, asks check) error {
	x, err := f.look(ctx, a.session)
	if err != nil {
		return err
	}
	rs, n, failed := collect(ctx, a.session, func(w *wallet.Wallet) ([]wallet.Received, error) { return w.Inbox().List(ctx) })
	if n == 0 {
		return failed
	}
	rs = pick(a.session, rs, func(r wallet.Received) (yes, unknown bool) {
		if onlyNew && !unfetched(r) {
			return false, false
		}
		return x.has(r.Address, r.Records)
	})
	if failed == nil {
		var fresh []string
		if slices.ContainsFunc(rs, unfetched) {
			fresh = []string{toDoTexts["inbox"]}
		}
		failed = asks.answer(list(a.all, walletOf), fresh...)
	}
	if x.limit > 0 {
		byTime(rs, func(r wallet.Received) wallet.Hour { return r.Granted })
		rs = newest(a.session, &x, rs)
	}
	if a.flags.json {
		return errors.Join(a.result(list(rs, receivedOf)), failed)
	}
	if len(rs) == 0 {
		a.say("Nothing was granted to you that is shown here.")
		a.next("hand your card to who should: carekey card")
	}
	shown := a.table(rs)
	if i := slices.IndexFunc(rs, unfetched); i >= 0 {
		a.next("carekey fetch %s --reason 'why you look'", short(rs[i].Consent))
	}
	return errors.Join(shown, failed)
}

// unfetched reports whether a consent can be fetched and never was.
func unfetched(r wallet.Received) bool { return r.Fetched == 0 && r.Status == wallet.StatusActive }

func (a inbox) table(rs []wallet.Received) error {
	t := a.onLedgers(ui.Key("consent"), ui.Text("from"), ui.Text("records"), ui.Word("for"), ui.Word("until"), ui.Word("status"), ui.Word("fetched"))
	when := datesOn(a.out, a.now)
	for _, r := range rs {
		fetched := "never"
		if r.Fetched > 0 {
			fetched = when.hour(r.LastFetched)
		}
		records := titles(r.Records)
		if r.Missing {
			records = lost(r.Damaged)
		}
		from, status := sender(r), string(r.Status)
		cells := []string{short(r.Consent), from, records, r.Purpose.Word(), when.near(r.Until), status, fetched}
		t.Add(a.withTitle(cells, a.titles[r.Ledger])...)
	}
	return a.session.table(t)
}
