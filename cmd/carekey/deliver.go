package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/spf13/cobra"
)

// deliveries are what is delivered, on every ledger.
type deliveries struct{ *session }

// delivering are the commands of deliveries; its fields are of the sending of them.
type delivering struct {
	*records
	to, title, corrects, reason string
	attest                      bool
}

func (a *delivering) command() *cobra.Command {
	c := &cobra.Command{
		Use:   "deliver FILE... --to NAME [--attest] | deliver (list | show | withdraw)",
		Short: "Hand files to somebody, whose records they become",
		Long: `Hand files to a contact: each is shown first, and sent after a yes. No record of yours is
made of it. They see what it is called, how large it is and your reason, and open it when
they accept it (carekey inbox accept): that is your receipt, which carekey deliver list
shows. It is a record of theirs then.

Files of one command have at most 48 MiB together. What is larger is added as a record of
yours, and granted: carekey record add, carekey grant. A delivery can be opened for 90
days; with the shares of its key its content is gone then, or once it was withdrawn. On
the ledger it looks like a consent; who sees the store sees about how large it is.

--attest signs each file with your address as one about them: carekey record attest. An
attestation that lies beside a file as FILE.attested goes along.

--corrects says which delivery to them a file is meant in place of. Nothing follows from
that by itself: they see it, and accept it as the next version, or do not.`,
		Example: "  carekey deliver ./report.json --to Maria --attest",
		Args:    cli.Takes(1, -1),
		RunE:    a.deliver,
	}
	f := c.Flags()
	f.StringVar(&a.to, "to", "", "whom: a contact's `NAME`")
	f.BoolVar(&a.attest, "attest", false, "sign each file, as about them")
	f.StringVar(&a.title, "title", "", "what you call it, `TITLE` (default: what FHIR says of itself, else the file's name)")
	f.StringVar(&a.corrects, "corrects", "", "the delivery `ID` that the file is meant in place of")
	f.StringVar(&a.reason, "reason", "", "`WORDS` that they read before they open it")
	acceptClock(a.app, c)
	c.AddCommand(a.newList(), a.newShow(), a.newWithdraw())
	return c
}

func (a *delivering) deliver(cmd *cobra.Command, args []string) error {
	args = withoutAttestations(args)
	switch {
	case a.to == "":
		return usage("it is not said to whom", "name a contact with --to")
	case len(args) > 1 && (a.title != "" || a.corrects != ""):
		return usage("--title and --corrects are for one file, and these are "+thousands(len(args)), "deliver each by itself")
	case len(args) > 1 && slices.Contains(args, "-"):
		return usage("- is what comes on stdin, and is delivered alone", "name the files, or - and nothing else")
	}
	var files []wallet.Source
	room := int64(payload.MaxDelivery)
	for _, path := range args {
		src, err := a.read(cmd.Context(), path, room)
		if err != nil {
			return err
		}
		room -= src.Size
		files = append(files, src)
	}
	return a.withWallet(cmd, writes, func(ctx context.Context, w *wallet.Wallet) error { return a.send(ctx, w, files) })
}

// read reads a file into memory, with the attestation beside it.
func (a *delivering) read(ctx context.Context, path string, most int64) (src wallet.Source, err error) {
	f, err := a.source(ctx, path)
	if err != nil {
		return src, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return src, err
	case int64(len(b)) > most:
		return src, wallet.ErrDeliveryLarge.With("most", payload.MaxDelivery)
	}
	src = wallet.Source{Reader: bytes.NewReader(b), Name: filepath.Base(path), Size: int64(len(b))}
	if path == "-" {
		src.Name = ""
	} else if !a.attest {
		src.Vouched, err = a.vouchedFor(path)
	}
	return src, err
}

func (a *delivering) send(ctx context.Context, w *wallet.Wallet, files []wallet.Source) error {
	var plans []*wallet.DeliveryPlan
	for _, src := range files {
		p, err := w.Grants().Deliveries().Plan(ctx, wallet.DeliverRequest{To: a.to, File: src, Title: a.title, Attest: a.attest, Corrects: a.corrects, Reason: a.reason})
		if err != nil {
			return errInFile.Of(err, "file", src.Name)
		}
		plans = append(plans, p)
	}
	if err := a.confirm(ctx, a.preview(plans), map[bool]string{true: "Deliver it?", false: "Deliver them?"}[len(plans) == 1], ""); err != nil {
		return err
	}
	var sent []wallet.Delivery
	var waits error
	for _, p := range plans {
		d, err := w.Grants().Deliveries().Send(ctx, p)
		if err != nil && !errors.Is(err, wallet.ErrPending) {
			if len(sent) > 0 {
				err = wallet.ErrPartly.Of(err, "done", len(sent), "failed", len(plans)-len(sent))
			}
			return errors.Join(a.result(list(sent, deliveryOf)), err)
		}
		waits = errors.Join(waits, err)
		if sent = append(sent, d); err == nil {
			a.say("Sent: delivery %s, %s. %s finds it with "+theirs+"inbox.", short(d.ID), quoted(d.Title), cli.Clean(p.To.Name))
		} else {
			a.say("Signed: delivery %s, %s. It waits in your wallet.", short(d.ID), quoted(d.Title))
		}
	}
	a.next("whether it was opened: carekey deliver list")
	return errors.Join(a.result(list(sent, deliveryOf)), waits)
}

// preview is what is delivered before it is sent.
func (a *delivering) preview(plans []*wallet.DeliveryPlan) string {
	columns := columnsOf(cli.Width(a.err))
	wrap := func(s string) string { return cli.Wrap(s, columns-14) }
	to := cli.Clean(plans[0].To.Name)
	if !plans[0].To.Verified {
		to += ", NOT VERIFIED, check words not compared yet"
	}
	rows := cli.Rows{{"to", wrap(to)}}
	for _, p := range plans {
		rows.Add("file", wrap(quoted(p.Title)+", "+bytesText(p.Size)+"; "+signedWords(p.Signed)))
		if p.Corrects != nil {
			rows.Add("corrects", wrap(quoted(p.Corrects.Title)+", delivery "+short(p.Corrects.ID)))
		}
	}
	if r := plans[0].Reason; r != "" {
		rows.Add("reason", wrap(said(r)))
	}
	rows.Add("open until", both(plans[0].Until))
	what := "a file"
	if len(plans) > 1 {
		what = plural(len(plans), "file", "files")
	}
	return "You are about to deliver " + what + ".\n\n" + rows.Text("  ") + "\n" +
		cli.Wrap("They can keep what they accept: a withdrawal does not take it from them. No record of yours is made.", columns)
}

func (a *delivering) newList() *cobra.Command {
	var received, all bool
	c := &cobra.Command{
		Use:   "list [--received] [--all]",
		Short: "List what you delivered, and whether it was opened",
		Long: `List what you delivered that can be opened still, or was opened; --all lists all. With
--received it lists what others delivered to you and waits, strangers' too, of these the
20 newest of the last 30 days; with --all all of it, and what is put off when strangers
send much is read. A list opens nothing.`,
		RunE: onEvery(a.app, looks, func(a deliveries, ctx context.Context, _ []string) error { return a.list(ctx, !received, all) }),
	}
	c.Flags().BoolVar(&received, "received", false, "what others delivered to you")
	c.Flags().BoolVar(&all, "all", false, "all of them")
	return c
}

func (a deliveries) list(ctx context.Context, mine, every bool) error {
	ds, n, failed := collect(ctx, a.session, func(w *wallet.Wallet) (ds []wallet.Delivery, err error) {
		err = w.Look(ctx, func() error {
			if every && !mine {
				if _, err := w.Inbox().Every().List(ctx); err != nil {
					return err
				}
			}
			ds, err = w.Grants().Deliveries().List(ctx, mine)
			return err
		})
		return ds, err
	})
	if n == 0 {
		return failed
	}
	if !every {
		ds = a.shown(ds)
	}
	if a.flags.json {
		return errors.Join(a.result(list(ds, deliveryOf)), failed)
	}
	switch {
	case len(ds) > 0:
		failed = errors.Join(a.table(ds), failed)
	case mine:
		a.say("You delivered nothing that is shown here.")
	default:
		a.say("Nothing was delivered to you that is shown here.")
	}
	if i := slices.IndexFunc(ds, func(d wallet.Delivery) bool { return d.Waits() }); i >= 0 {
		a.next("carekey deliver show %s", short(ds[i].ID))
	}
	return failed
}

// shown are those that a list shows where not all are asked for.
func (a deliveries) shown(all []wallet.Delivery) (out []wallet.Delivery) {
	since, strangers := wallet.Hour(a.now().Unix()/3600)-strangersFor, 0
	for i := len(all) - 1; i >= 0; i-- {
		d := &all[i]
		switch {
		case d.Mine && (d.Status == wallet.DeliveryOver || d.Status == wallet.DeliveryWithdrawn) && d.Opened == 0, !d.Mine && !d.Waits():
			continue
		case !d.Mine && d.Stranger:
			if strangers++; d.Sent < since || strangers > shownOfStrangers {
				continue
			}
		}
		out = append(out, *d)
	}
	slices.Reverse(out)
	return out
}

// deliverer is who delivers something, or is given it.
func deliverer(d *wallet.Delivery) string {
	r := wallet.Request{Mine: d.Mine, Name: d.Name, Address: d.Address, Says: d.Says}
	return asker(&r)
}

func (a deliveries) table(ds []wallet.Delivery) error {
	who := "from"
	if ds[0].Mine {
		who = "to"
	}
	t := a.onLedgers(ui.Key("delivery"), ui.Text(who), ui.Title("file"), ui.Word("size"), ui.Word("sent"), ui.Word("until"), ui.Word("status"), ui.Word("opened"))
	t.Of, t.ID = "deliveries", func(i int) string { return ds[i].ID.String() }
	when := datesOn(a.out, a.now)
	for i := range ds {
		d := &ds[i]
		sent, opened := "", "no"
		if d.Sent != 0 {
			sent = when.near(d.Sent)
		}
		if d.Opened != 0 {
			opened = when.near(d.Opened)
		}
		t.Add(a.withTitle([]string{short(d.ID), deliverer(d), cli.Clean(d.Title), bytesText(d.Size), sent, when.near(d.Until), string(d.Status), opened}, a.titles[d.Ledger])...)
	}
	return a.session.table(t)
}

// one finds a delivery, and the ledger that it is on.
func (a deliveries) one(ctx context.Context, id string) (wallet.Delivery, *opened, error) {
	return find(ctx, a.session, id, func(o *opened) (wallet.Delivery, string, error) {
		d, err := o.w.Grants().Deliveries().Show(ctx, id)
		return d, d.ID.String(), err
	})
}

func (a *delivering) newShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show one delivery, sent or received, and what became of it",
		RunE: onEvery(a.app, looks, func(a deliveries, ctx context.Context, args []string) error {
			d, on, err := a.one(ctx, args[0])
			if err != nil {
				return err
			}
			return a.show(ctx, on.w, d)
		}),
	}
}

func (a deliveries) show(ctx context.Context, w *wallet.Wallet, d wallet.Delivery) error {
	columns := columnsOf(cli.Width(a.out))
	wrap := func(s string) string { return cli.Wrap(s, columns-13) }
	rows := cli.Rows{{"delivery", d.ID.String()}}
	rows = append(rows, a.rowsOf(&d, wrap)...)
	becomes, err := w.Grants().Deliveries().Becomes(ctx, d)
	if err != nil {
		return err
	}
	if becomes != nil && d.Waits() {
		rows.Add("corrects", wrap(quoted(becomes.Title)+", record "+short(becomes.ID)+", which you accepted from them: it becomes version "+thousands(becomes.Version+1)))
	} else if !d.Corrects.IsZero() && d.Waits() {
		rows.Add("corrects", wrap(correctsNothing(&d)))
	} else if !d.Corrects.IsZero() {
		rows.Add("corrects", "delivery "+short(d.Corrects))
	}
	if d.Sent != 0 {
		rows.Add("sent", both(d.Sent))
	}
	rows.Add("open until", both(d.Until))
	if d.Opened != 0 {
		rows.Add("opened", both(d.Opened)+map[bool]string{true: " (the receipt: an entry signed by them)"}[d.Mine])
	}
	rows.Add("status", wrap(wentText(&d)))
	a.rows(rows)
	switch {
	case !d.Waits():
	case d.Name == "":
		a.say("Who sends it is no contact of yours, and nobody vouches for what they say. Their address: %s", addressText(d.Address))
		a.next("to accept it, keep them under a name first: carekey contact add NAME ADDRESS")
	default:
		a.next("carekey inbox accept %s, or carekey inbox decline %s", short(d.ID), short(d.ID))
	}
	return a.result(deliveryOf(d))
}

// rowsOf say who delivers what.
func (a deliveries) rowsOf(d *wallet.Delivery, wrap func(string) string) cli.Rows {
	who, name := "from", deliverer(d)
	if d.Mine {
		who = "to"
	}
	switch {
	case d.Verified:
		name += ", check words compared"
	case d.Name != "":
		name += ", NOT VERIFIED, check words not compared yet"
	}
	rows := cli.Rows{{who, wrap(name)}, {"", wrap(checkWords(d.Address))}}
	if d.Status == wallet.DeliveryUnread {
		rows.Add("file", "what this carekey cannot read")
		return rows
	}
	rows.Add("file", wrap(quoted(d.Title)+", "+bytesText(d.Size)))
	if d.Reason != "" {
		rows.Add("reason", wrap(said(d.Reason)+" (their words)"))
	}
	return rows
}

// wentText says what became of a delivery.
func wentText(d *wallet.Delivery) string {
	out := string(d.Status)
	if d.Status == wallet.DeliveryAccepted {
		out += ": record " + short(d.Record)
	}
	if d.Status == wallet.DeliveryOpened && !d.Mine {
		out += ", and not kept as a record"
	}
	if d.Withdrawn != 0 {
		if d.Status != wallet.DeliveryWithdrawn {
			out += "; its sender withdrew it"
		}
		out += " on " + both(d.Withdrawn)
	}
	if d.Why != "" {
		out += ": " + said(d.Why)
	}
	return out
}

func (a *delivering) newWithdraw() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "withdraw ID [--reason TEXT]",
		Short: "Take back a file that you delivered",
		Long: `Take back a file that you delivered. If no entry says that it was opened, its consent is
revoked. Of one that was opened its recipient is told, with your reason, and keeps what
she has: nothing is removed at her side.`,
		RunE: onEvery(a.app, writes, func(a deliveries, ctx context.Context, args []string) error {
			d, on, err := a.one(ctx, args[0])
			switch {
			case err != nil:
				return err
			case !d.Mine: // before anything is asked
				return wallet.ErrNotGiver.With("consent", d.ID)
			}
			what := "No entry says that it was opened: from now on its key is given to nobody."
			if d.Opened != 0 {
				what = "It was opened on " + both(d.Opened) + ": they are told, and keep what they have."
			}
			if err := a.confirm(ctx, "You delivered "+quoted(d.Title)+" to "+deliverer(&d)+".\n"+what, "Take it back?", ""); err != nil {
				return err
			}
			d, err = on.w.Grants().Deliveries().Withdraw(ctx, d.ID.String(), reason)
			if err != nil && !errors.Is(err, wallet.ErrPending) {
				return err
			}
			a.say("Taken back: delivery %s.", short(d.ID))
			return errors.Join(a.result(deliveryOf(d)), err)
		}),
	}
	c.Flags().StringVar(&reason, "reason", "", "why, in `WORDS` that they read if it was opened")
	acceptClock(a.app, c)
	return c
}

// deliveryJSON is a delivery with its names in words.
type deliveryJSON struct {
	wallet.Delivery
	Who     string `json:"who"` // contact, else address
	Address string `json:"address"`
	Known   bool   `json:"known"` // the other side is a contact
}

func deliveryOf(d wallet.Delivery) deliveryJSON {
	return deliveryJSON{d, who(d.Name, d.Address), addressText(d.Address), d.Name != ""}
}

// deliveredText counts what strangers deliver; "" if they deliver nothing.
func deliveredText(all []wallet.Delivery) string {
	n := 0
	for i := range all {
		if all[i].Stranger && all[i].Waits() {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return plural(n, "delivery", "deliveries") + " of people whom you do not know: carekey deliver list --received"
}

// waiting shows what was delivered to the owner and waits: of each sender the newest.
func (a deliveries) waiting(all []wallet.Delivery) (err error) {
	open, more := foldsOf(slices.DeleteFunc(slices.Clone(all), func(d wallet.Delivery) bool { return d.Stranger || !d.Waits() }),
		func(d wallet.Delivery) string { return person(d.Name, d.Address) }, "carekey deliver list --received")
	lines := slices.DeleteFunc(append(more, deliveredText(all)), func(s string) bool { return s == "" })
	if len(open) == 0 && len(lines) == 0 {
		return nil
	}
	a.print("\nDelivered to you:")
	if len(open) > 0 {
		err = a.table(open)
	}
	a.print("%s", strings.Join(lines, "\n"))
	return err
}
