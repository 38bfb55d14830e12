package main

import (
	"context"
	"errors"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

// accepting is what a patient does with what was delivered to her.
type accepting struct{ *records }

func (a accepting) newAccept() *cobra.Command {
	c := &cobra.Command{
		Use:   "accept ID",
		Short: "Make what was delivered to you a record of yours",
		Long: `Open what was delivered to you, which its sender sees as a receipt, and make it a record
of yours that says who sent it, and who signed it if somebody did. A correction of what you
accepted from the same sender becomes the next version of that record, unless a newer one
is there. All else is a record of its own, with bytes that you have already, too. The
category is yours to say: what is no FHIR is granted by it.

A file about another person than your other records is taken only when you say so, which
is known once it was opened: without a terminal with --other-person, and not with --yes.

Interrupted, the same command again goes on: it is a record once.`,
		Example: "  carekey inbox accept 1a2b3c4d --category labs",
		RunE: onEvery(a.app, writes|keeps, func(s deliveries, ctx context.Context, args []string) error {
			if a.category != "" {
				var err error
				if a.describe.Category, err = wallet.ParseCategory(a.category); err != nil {
					return err
				}
			}
			d, on, err := s.one(ctx, args[0])
			if err != nil {
				return err
			}
			return a.accept(ctx, s, on.w, d)
		}),
	}
	a.describeFlags(c, "as delivered", "other", "none")
	acceptClock(a.app, c)
	c.Flags().BoolVar(&a.describe.OtherPerson, "other-person", false, "take it although it is about another person than your other records")
	return c
}

func (a accepting) accept(ctx context.Context, s deliveries, w *wallet.Wallet, d wallet.Delivery) error {
	ds := w.Grants().Deliveries()
	if d.Waits() && d.Name != "" {
		preview, err := a.preview(ctx, s, ds, d)
		if err != nil {
			return err
		}
		if err := a.confirm(ctx, preview, "Accept it?", ""); err != nil {
			return err
		}
	}
	step, end := a.progress("encrypting", d.Size)
	r, existing, err := ds.Accept(ctx, d.ID.String(), a.describe, step)
	end()
	if errors.Is(err, wallet.ErrOtherPerson) && !a.describe.OtherPerson && a.interactive() {
		if err := a.confirm(ctx, sentence(explain(err).Message)+".", "Keep it in this wallet?", ""); err != nil {
			return err
		}
		about := a.describe
		about.OtherPerson = true
		r, existing, err = ds.Accept(ctx, d.ID.String(), about, nil)
	}
	if err != nil && !errors.Is(err, wallet.ErrPending) {
		return err
	}
	if existing {
		a.say("You accepted it before, as %s.", quoted(r.Title))
	} else {
		a.sayKept(r, false, r.Version > 1)
		if serr := a.saySame(ctx, ds, r); serr != nil {
			return errors.Join(serr, err)
		}
	}
	a.print("%s", r.ID)
	a.nextOf(r, existing, r.Version > 1)
	return errors.Join(a.result(addedOf(r, existing)), err)
}

// preview is what is accepted before it is opened.
func (a accepting) preview(ctx context.Context, s deliveries, ds wallet.Deliveries, d wallet.Delivery) (string, error) {
	columns := columnsOf(cli.Width(a.err))
	rows := s.rowsOf(&d, func(s string) string { return cli.Wrap(s, columns-12) })
	becomes, err := ds.Becomes(ctx, d)
	if err != nil {
		return "", err
	}
	if becomes != nil {
		rows.Add("corrects", cli.Wrap(quoted(becomes.Title)+", record "+short(becomes.ID)+": it becomes version "+thousands(becomes.Version+1)+", and what is there stays", columns-12))
	} else if !d.Corrects.IsZero() {
		rows.Add("corrects", cli.Wrap(correctsNothing(&d), columns-12))
	}
	return "You are about to accept a file.\n\n" + rows.Text("  ") + "\n" + cli.Wrap("They see that you opened it, and when.", columns), nil
}

// correctsNothing says what is meant in place of what is no record's newest delivery.
func correctsNothing(d *wallet.Delivery) string {
	return "delivery " + short(d.Corrects) + ", which is not the newest that you accepted from them for a record: it becomes a record of its own"
}

// saySame says which records have the bytes of one that was delivered.
func (a accepting) saySame(ctx context.Context, ds wallet.Deliveries, r wallet.Record) error {
	same, err := ds.Same(ctx, r)
	for i := range same {
		from := ", which was not delivered"
		if s := same[i].Source; s.Delivery != (contract.ID{}) {
			from = ", " + sourceText(s)
		}
		a.say("It has the same bytes as record %s, %s%s.", short(same[i].ID), quoted(same[i].Title), from)
	}
	return err
}

func (a accepting) newDecline() *cobra.Command {
	var reason string
	var silent bool
	c := &cobra.Command{
		Use:   "decline ID [--reason TEXT | --silent]",
		Short: "Say that you do not take what was delivered to you",
		Long: `Say that you do not take what was delivered to you, and tell who sent it. It is not opened.
With --silent nothing is sent: they see no entry of an opening, and it ends by its time.
Until then carekey inbox accept takes it all the same.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if silent && reason != "" {
				return usage("who declines in silence gives no reason", "use one of --reason and --silent")
			}
			return onEvery(a.app, writes|keeps, func(s deliveries, ctx context.Context, args []string) error {
				d, on, err := s.one(ctx, args[0])
				switch {
				case err != nil:
					return err
				case d.Mine: // before anything is asked
					return wallet.ErrOwnDelivery.With("delivery", d.ID)
				case d.Status == wallet.DeliveryAccepted:
					return wallet.ErrDeliveryAccepted.With("delivery", d.ID, "record", d.Record)
				}
				told := "They are told, with your address."
				if silent {
					told = "They are not told."
				}
				if err := s.confirm(ctx, strings.Join([]string{deliverer(&d) + " delivers " + quoted(d.Title) + ".", told}, "\n"), "Decline it?", ""); err != nil {
					return err
				}
				d, err = on.w.Grants().Deliveries().Decline(ctx, d.ID.String(), reason, silent)
				if err != nil && !errors.Is(err, wallet.ErrPending) {
					return err
				}
				s.say("Declined: delivery %s.", short(d.ID))
				return errors.Join(s.result(deliveryOf(d)), err)
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, in `WORDS` that they read")
	c.Flags().BoolVar(&silent, "silent", false, "send nothing")
	acceptClock(a.app, c)
	return c
}
