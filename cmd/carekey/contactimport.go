package main

import (
	"context"
	"errors"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
	"github.com/spf13/cobra"
)

// newImport adds many contacts at a time.
func (a contacts) newImport() *cobra.Command {
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Add many contacts from a file: CSV, JSON Lines or vCards",
		Long: `Add many contacts from a file, all of them or, if anything in it is wrong, none: every
mistake is named with its line and column. FILE is - for standard input.

CSV and JSON Lines have name and address, and, if you like, ref, your own reference:

  name,address,ref
  Maria,carekey1...,MRN-123

An address may be a card, also in a column card; without a name it gives the name in it.
Of vCards (version 3.0 or 4.0) FN is the name; the address stands in X-CAREKEY-ADDRESS,
or between other words in NOTE, URL or IMPP; X-CAREKEY-REF is your reference. vCards
without an address are passed over, and counted.

The same name and address again changes nothing but the reference. Check words are
compared one by one: carekey contact verify NAME.`,
		Example: "  carekey contact import patients.csv",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.importFile(cmd, args[0]) },
	}
	acceptClock(a.app, c)
	return c
}

func (a contacts) importFile(cmd *cobra.Command, path string) error {
	in, err := batches{a.app}.open(cmd.Context(), strings.TrimPrefix(path, "@"))
	if err != nil {
		return err
	}
	defer in.Close()
	named := func(err error) error {
		if bad, ok := errors.AsType[*batch.LinesError](err); ok {
			for i := range bad.Problems {
				bad.Problems[i].File = in.name
			}
		}
		return err
	}
	file, err := batch.ReadContacts(in.r)
	if err != nil {
		return named(err)
	}
	return a.withWallet(cmd, keeps, func(ctx context.Context, w *wallet.Wallet) error {
		added, taken, err := w.Contacts().Import(ctx, list(file.Rows, func(r batch.ContactRow) wallet.Contact { return r.Contact }))
		if err == nil {
			err = named(file.Taken(taken))
		}
		if err != nil {
			return err
		}
		fresh, warned := 0, 0
		const most = 10 // warnings
		for _, c := range added {
			if c.New {
				fresh++
			}
			if len(c.Lookalikes) == 0 {
				continue
			}
			if warned++; warned <= most {
				a.say("warning: %s: look at your %s. Are they the same person?", quoted(c.Name), strings.Join(list(c.Lookalikes, cli.Quote), ", "))
			}
		}
		if warned > most {
			a.say("warning: so it is with %s: --json names all of them.", plural(warned-most, "more contact", "more contacts"))
		}
		a.say("%s, and %d that you had.", sentence(plural(fresh, "new contact", "new contacts")), len(added)-fresh)
		if file.Passed > 0 {
			a.say("%s without an address of carekey: passed over.", plural(file.Passed, "vCard", "vCards"))
		}
		a.next("carekey contact list")
		return a.result(added)
	})
}
