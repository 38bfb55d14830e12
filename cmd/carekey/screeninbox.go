package main

import (
	"context"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
)

// inboxList is what was granted to the wallet's owner.
func (x *glance) inboxList() *ui.View {
	return x.view("Granted to you", everywhere, func(ctx context.Context, s *session, _ bool) error {
		return inbox{s}.list(ctx, false, filter{}, false)
	})
}

// received is one of these consents: its terms, which are read without an entry.
func (x *glance) received(id string) *ui.View {
	v := x.view("Granted to you, "+id[:8], everywhere, func(ctx context.Context, s *session, _ bool) error {
		return inbox{s}.show(ctx, id)
	})
	v.Of, v.ID = "received", id
	return v
}

// show shows a consent that was granted, of which nothing is opened.
func (a inbox) show(ctx context.Context, id string) error {
	r, _, err := find(ctx, a.session, id, func(o *opened) (wallet.Received, string, error) {
		r, err := o.w.Inbox().Sender(ctx, id)
		return r, r.Consent.String(), err
	})
	if err != nil {
		return err
	}
	rows := cli.Rows{{"consent", r.Consent.String()}}
	if title := a.titles[r.Ledger]; title != "" {
		rows.Add("ledger", title)
	}
	compared := a.ours("no: carekey contact verify ") + cli.Quote(r.From)
	switch {
	case r.Verified:
		compared = "yes"
	case r.From == "":
		compared = a.ours("no, and who that is has no name here: carekey contact add NAME --from ") + short(r.Consent)
	}
	from, fetched := "at once", "never"
	if r.NotBefore != 0 {
		from = both(r.NotBefore)
	}
	if r.Fetched > 0 {
		fetched = openedText(r.Fetched, both(r.LastFetched))
	}
	rows = append(rows, cli.Rows{
		{"from", cli.Clean(sender(r))},
		{"check words", checkWords(r.Address)},
		{"compared", compared},
		{"may open", strings.Join(list(r.Records, func(c wallet.ConsentRecord) string { return cli.Clean(titleOf(c)) + "  " + short(c.ID) }), "\n")},
	}...)
	if r.Scope != nil {
		rows.Add("parts", cli.Clean(r.Scope.Words()))
	}
	rows = append(rows, cli.Rows{
		{"for", r.Purpose.Word()},
		{"begins", from},
		{"until", both(r.Until)},
		{"status", string(r.Status)},
		{"fetched", fetched},
	}...)
	a.rows(rows)
	if r.Status == wallet.StatusActive {
		a.say("To open it, which leaves an entry that its giver sees: carekey fetch %s --reason 'why you look'", short(r.Consent))
	}
	return nil
}
