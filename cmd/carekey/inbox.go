package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func newInbox(a *app) *cobra.Command {
	var onlyNew, watches bool
	var asks check
	var f filter
	list := onEvery(a, looks, func(a inbox, ctx context.Context, _ []string) error { return a.list(ctx, onlyNew, f, asks) })
	c := &cobra.Command{
		Use:   "inbox [--new] [--from NAME] [--limit N] [--check] [--watch]",
		Short: "List what was granted to you, on every ledger of this wallet",
		Long: `List what was granted to you, on every ledger of this wallet; what was delivered to you
and waits, of each sender the three newest; and what you are asked for. Nothing is opened
by it. --json lists what was granted: carekey deliver list --received, carekey request
list have the rest.

With --watch it goes on until it is told to end: it looks about every 5 minutes, and
prints what comes. Each consent is one line then; with --json a value of its own, with
the fields that the list has. It begins with what is there, so that nothing is missed
between two runs: --new leaves out what was fetched.`,
		Args:    cli.NoVerb,
		Example: "  carekey inbox --new --from Maria\n  carekey inbox --new --watch --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !watches {
				return list(cmd, args)
			}
			if bool(asks) || cmd.Flags().Changed("limit") {
				return usage("a watch has no end: --check and --limit are for a list", "leave out --watch, or them")
			}
			return (&inboxWatch{watching: &watching{app: a}, onlyNew: onlyNew, filter: f}).run(cmd)
		},
	}
	x := accepting{&records{app: a}}
	c.AddCommand(x.newAccept(), x.newDecline())
	f.whoFlag(c, "from", "only what the contact `NAME`, or who has an address, gave you, and not who says so")
	c.Flags().BoolVar(&watches, "watch", false, "go on, and print what comes")
	c.Flags().BoolVar(&onlyNew, "new", false, "only what can be fetched and never was")
	asks.flag(c, "something can be fetched and never was")
	return c
}

// inbox is what was granted to the wallet's owner, on every ledger.
type inbox struct{ *session }

// errOnlySaid: nobody of whom the inbox is asked for by a name is a contact; the sender of a
// consent calls himself so. name, consent
const errOnlySaid fault.Code = "contact-not-found/said"

// from looks up what a filter of the inbox names. What a sender calls himself is none of it,
// since anybody can: it is said how to keep who that is under a name of one's own.
func (a inbox) from(ctx context.Context, f filter) (chosen, error) {
	x, err := f.look(ctx, a.session)
	if !errors.Is(err, wallet.ErrNotFound) {
		return x, err
	}
	rs, _, _ := collect(ctx, a.session, func(w *wallet.Wallet) ([]wallet.Received, error) { return w.Inbox().List(ctx) })
	for _, r := range rs {
		if r.From == "" && text.Fold(r.Says) == text.Fold(f.who) {
			return x, errOnlySaid.With("name", f.who, "consent", r.Consent)
		}
	}
	return x, err
}

func (a inbox) list(ctx context.Context, onlyNew bool, f filter, asks check) error {
	x, err := a.from(ctx, f)
	if err != nil {
		return err
	}
	var asked, answers []wallet.Request
	var delivered []wallet.Delivery
	rs, n, failed := collect(ctx, a.session, func(w *wallet.Wallet) (rs []wallet.Received, err error) {
		err = w.Look(ctx, func() error {
			var of, mine []wallet.Request
			var came []wallet.Delivery
			if rs, err = w.Inbox().List(ctx); err == nil && !a.flags.json {
				of, err = w.Requests().List(ctx, false)
			}
			if err == nil && !a.flags.json {
				mine, err = w.Requests().List(ctx, true)
			}
			if err == nil && !a.flags.json {
				came, err = w.Grants().Deliveries().List(ctx, false)
			}
			asked, answers, delivered = append(asked, of...), append(answers, mine...), append(delivered, came...)
			return err
		})
		return rs, err
	})
	if n == 0 {
		return failed
	}
	all := len(rs)
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
	switch {
	case len(rs) > 0:
	case x.who == "" && len(asked)+len(answers)+len(delivered) > 0:
	case all > 0:
		a.say("Nothing that was granted to you is like that.")
		a.next("carekey inbox")
	default:
		a.say("Nothing was granted to you that is shown here.")
		a.next("hand your card to who should: carekey card")
	}
	shown := a.table(rs)
	if x.who == "" {
		shown = errors.Join(shown, deliveries(a).waiting(delivered), a.requests(asked, answers))
	}
	if r := toFetch(rs); r != nil {
		a.next("carekey fetch %s --reason 'why you look'", short(r.Consent))
	}
	return errors.Join(shown, failed)
}

// toFetch is a consent to fetch next; nil if there is none. What was not looked into may be
// a delivery or a request, which cannot be fetched.
func toFetch(rs []wallet.Received) *wallet.Received {
	looked, _ := putOff(rs)
	if i := slices.IndexFunc(looked, unfetched); i >= 0 {
		return &looked[i]
	}
	return nil
}

// unfetched reports whether a consent can be fetched and never was.
func unfetched(r wallet.Received) bool { return r.Fetched == 0 && r.Status == wallet.StatusActive }

// requests shows what the owner is asked, and what became of what she asked.
func (a inbox) requests(asked, mine []wallet.Request) (err error) {
	open, more := folds(slices.DeleteFunc(slices.Clone(asked), func(r wallet.Request) bool { return r.Stranger || r.Status != wallet.RequestOpen }))
	strangers := strangersText(asked)
	if len(open) > 0 || strangers != "" {
		a.print("\nAsked of you:")
	}
	if len(open) > 0 {
		err = requests(a).table(open)
	}
	for _, line := range append(more, strangers) {
		if line != "" {
			a.print("%s", line)
		}
	}
	now := wallet.Hour(a.now().Unix() / 3600)
	said := false
	for i := range mine {
		r := &mine[i]
		if r.Status != wallet.RequestApproved && r.Status != wallet.RequestDenied || r.AnswerBy <= now {
			continue
		}
		if !said {
			a.print("\nAnswers to what you asked for:")
			said = true
		}
		a.print("  %s  %s: %s", short(r.ID), asker(r), becameText(r))
	}
	return err
}

// putOff are those that were looked into, and how many were not since strangers sent too much.
func putOff(rs []wallet.Received) (looked []wallet.Received, off int) {
	looked = slices.DeleteFunc(slices.Clone(rs), func(r wallet.Received) bool { return errors.Is(r.Damaged, wallet.ErrUnread) })
	return looked, len(rs) - len(looked)
}

func (a inbox) table(rs []wallet.Received) error {
	rs, off := putOff(rs)
	if off > 0 {
		defer a.print("%s, which may be requests, not looked into since there are too many: carekey request list --all", thousands(off)+" more")
	}
	t := a.onLedgers(ui.Key("consent"), ui.Text("from"), ui.Text("records"), ui.Word("for"), ui.Word("until"), ui.Word("status"), ui.Word("fetched"))
	t.Of, t.ID = "received", func(i int) string { return rs[i].Consent.String() }
	t.Aside = func(i int) (text, keys string) {
		rows := a.told(rs[i])
		rows[0][1] = short(rs[i].Consent)
		return rows.Text(""), "enter: its terms, as they are now; f: fetch what is in it, which its giver sees"
	}
	when := datesOn(a.out, a.now)
	for _, r := range rs {
		fetched := "never"
		if r.Fetched > 0 {
			fetched = when.hour(r.LastFetched)
		}
		from, status := sender(r), string(r.Status)
		cells := []string{short(r.Consent), from, contents(r), r.Purpose.Word(), when.near(r.Until), status, fetched}
		t.Add(a.withTitle(cells, a.titles[r.Ledger])...)
	}
	return a.session.table(t)
}

// told is what is known of a consent that was granted.
func (a inbox) told(r wallet.Received) cli.Rows {
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
	return rows
}
