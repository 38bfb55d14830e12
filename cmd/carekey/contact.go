package main

import (
	"context"
	"errors"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func newContact(a *app) *cobra.Command {
	add := &cobra.Command{
		Use:     "add NAME ADDRESS",
		Short:   "Keep an address under a name",
		Example: `  carekey contact add 'Dr Smith' carekey1...`,
		Args:    cli.Takes(2, -1),
		RunE:    a.onWallet(keeps, contacts{a}.add),
	}
	ls := &cobra.Command{
		Use:   "list",
		Short: "List your contacts",
		RunE:  a.onWallet(looks, contacts{a}.list),
	}
	verify := &cobra.Command{
		Use:   "verify NAME",
		Short: "Compare a contact's check words by voice",
		Long: `Show the eight check words of a contact's address. Let their owner read them to
you, in person or over the phone: carekey address shows them there. If they are the
same, nobody has put another address in between.`,
		RunE: a.onWallet(keeps, contacts{a}.verify),
	}
	remove := &cobra.Command{
		Use:   "remove NAME",
		Short: "Forget a name; consents given to it stay as they are",
		RunE:  a.onWallet(keeps, contacts{a}.remove),
	}
	acceptClock(a, add, verify, remove)
	return group("contact", "People you know by their addresses", add, ls, verify, remove)
}

// contacts is what is done with people whose addresses are known.
type contacts struct{ *app }

func (a contacts) add(ctx context.Context, w *wallet.Wallet, args []string) error {
	c, lookalikes, err := w.Contacts().Add(ctx, args[0], strings.Join(args[1:], ""))
	if err != nil {
		return err
	}
	a.say("%s is among your contacts.", c.Name)
	for _, l := range lookalikes {
		same := "looks much like this name"
		if o, err := w.Contacts().Named(l); err == nil && o.Address == c.Address {
			same = "has this address already"
		}
		a.say("warning: your contact %s %s. Are they the same person?", cli.Quote(l), same)
	}
	if !c.Verified {
		a.next("compare the check words by voice: carekey contact verify %s", cli.Quote(c.Name))
	}
	return a.result([]newContactJSON{{c, lookalikes}})
}

type newContactJSON struct {
	wallet.Contact
	Lookalikes []string `json:"lookalikes,omitempty"` // names that could be taken for this one
}

func (a contacts) list(ctx context.Context, w *wallet.Wallet, _ []string) error {
	if _, _, _, err := w.Log().Head(ctx); err != nil { // another machine may have added some
		return err
	}
	cs := w.Contacts().List()
	if len(cs) == 0 {
		a.say("You have no contacts.")
		a.next("carekey contact add NAME ADDRESS")
	}
	t := &ui.Table{Columns: []ui.Column{ui.Title("name"), ui.Word("check words compared"), ui.Key("address")}}
	for _, c := range cs {
		verified := "no"
		if c.Verified {
			verified = "yes"
		}
		t.Add(c.Name, verified, c.Address.String()[:24]+"...")
	}
	return errors.Join(a.table(t), a.result(list(cs, same)))
}

func (a contacts) verify(ctx context.Context, w *wallet.Wallet, args []string) error {
	c, err := w.Contacts().Named(args[0])
	if err != nil {
		return err
	}
	words := c.Address.Words()
	preview := "The check words of " + cli.Clean(c.Name) + ":\n\n  " + strings.Join(words[:4], " ") + "\n  " + strings.Join(words[4:], " ") + "\n\n" +
		"Ask " + cli.Clean(c.Name) + " to read them to you; there they are shown by: " + theirs + "address"
	if err := a.confirm(ctx, preview, "Are they the same, all eight and in this order?", ""); err != nil {
		return err
	}
	if err := w.Contacts().SetVerified(ctx, c.Name); err != nil {
		return err
	}
	c.Verified = true
	a.say("%s is verified.", c.Name)
	return a.result([]wallet.Contact{c})
}

func (a contacts) remove(ctx context.Context, w *wallet.Wallet, args []string) error {
	c, err := w.Contacts().Named(args[0])
	if err != nil {
		return err
	}
	if err := w.Contacts().Remove(ctx, c.Name); err != nil {
		return err
	}
	a.say("%s is no longer among your contacts. Consents given to that address stay as they are.", c.Name)
	a.next("to end them: carekey consent list, then carekey revoke CONSENT")
	return a.result([]wallet.Contact{c})
}
