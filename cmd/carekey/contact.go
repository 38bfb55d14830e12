package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func newContact(a *app) *cobra.Command {
	c := contacts{app: a, ref: new(string), from: new(string), limit: new(int)}
	add := &cobra.Command{
		Use:   "add ([NAME] (CARD | @FILE) | NAME ADDRESS | NAME --from CONSENT) [--ref REF]",
		Short: "Keep the address of a card, or one that you were told, under a name",
		Long: `Keep the address of a card under the name on it, or another one; @FILE reads the card from
a text or from a PNG of its QR code, @- from standard input. A ledger that it names, and
that your wallet is not on, is shown, and joined if you trust it.

Or keep an address under a name, and with --ref a reference of your own, such as a number
in your files. It is shown wherever the contact is, and told to nobody. The same name and
address again with another --ref changes it; of a contact that is there, its name alone
will do. --ref '' forgets it. With --from it is the address of whoever gave you a consent:
the check words tell whether that is who you think.`,
		Example: `  carekey contact add @card.png
  carekey contact add 'Dr Smith' carekey1...
  carekey contact add Maria --from 55aef0c0
  carekey contact add Maria --ref MRN-123`,
		Args: cli.Takes(1, -1),
		RunE: c.add,
	}
	add.Flags().StringVar(c.ref, "ref", "", "your own reference to the contact, at most 64 bytes: `REF` is never sent")
	add.Flags().StringVar(c.from, "from", "", "who gave you the consent `CONSENT`")
	rename := &cobra.Command{
		Use:   "rename NAME NEW",
		Short: "Give a contact another name",
		Long: `Give a contact another name. Its consents, given and received, are shown under that one
from then on; check words that you compared stay compared. On other machines with your
words it is renamed as soon as they look at the ledger.`,
		Example: `  carekey contact rename 'Dr Smith' 'Dr Smith-Jones'`,
		RunE:    a.onWallet(keeps, c.rename),
	}
	ls := &cobra.Command{
		Use:   "list [--limit N]",
		Short: "List your contacts, by name",
		RunE:  a.onWallet(looks, c.list),
	}
	firstFlag(ls, c.limit)
	verify := &cobra.Command{
		Use:   "verify NAME",
		Short: "Compare a contact's check words by voice",
		Long: `Show the eight check words of a contact's address. Let their owner read them to
you, in person or over the phone: carekey address shows them there. If they are the
same, nobody has put another address in between.`,
		RunE: a.onWallet(keeps, c.verify),
	}
	remove := &cobra.Command{
		Use:   "remove NAME",
		Short: "Forget a name; consents given to it stay as they are",
		RunE:  a.onWallet(keeps, c.remove),
	}
	acceptClock(a, add, rename, verify, remove)
	return group("contact", "People you know by their addresses", add, c.newImport(), ls, c.newShow(), rename, verify, remove)
}

// contacts is what is done with people whose addresses are known.
type contacts struct {
	*app
	ref, from *string // flags of add
	limit     *int    // of list
}

func (a contacts) add(cmd *cobra.Command, args []string) error {
	newRef, from := cmd.Flags().Changed("ref"), *a.from != ""
	if from && len(args) > 1 {
		return usage("name one address, or with --from the consent of its owner", "it goes: "+cmd.UseLine())
	}
	// A card that was pasted in pieces is one.
	if at := slices.IndexFunc(args, crypto.IsCard); at >= 0 && at <= 1 {
		args = append(slices.Clone(args[:at]), strings.Join(args[at:], ""))
	}
	if _, err := wallet.CheckRef(*a.ref); err != nil { // before anything is kept
		return err
	}
	last := args[len(args)-1]
	said, is, err := handing{a.app}.read(last, aCard, anAddress)
	switch file := said != last; {
	case err != nil:
		return err
	case is == aCard && len(args) <= 2 && !from:
		return a.addCard(cmd, args[:len(args)-1], said)
	case is == anAddress && len(args) == 1, file && len(args) != 2:
		return usage("an address has no name", "give it one: carekey contact add NAME ADDRESS")
	case is == anInvitation || is == aFetchCode:
		return usage("this is "+is.String()+", and no card or address", "an invitation is for carekey ledger join, a fetch code for carekey fetch")
	case file:
		args[1] = said
	}
	if len(args) == 1 && !newRef && !from {
		return usage("an address is missing", "it goes: "+cmd.UseLine())
	}
	which := alone
	if from {
		which = everywhere
	}
	return a.withLedgers(cmd, keeps, which, func(ctx context.Context, s *session) (err error) {
		w, address := s.all[0].w, strings.Join(args[1:], "")
		if from {
			r, _, err := find(ctx, s, *a.from, func(o *opened) (wallet.Received, string, error) {
				r, err := o.w.Inbox().Sender(ctx, *a.from)
				return r, r.Consent.String(), err
			})
			if err != nil {
				return err
			}
			address = r.Address.String()
		}
		added := wallet.AddedContact{Contact: wallet.Contact{Name: args[0]}}
		if address != "" {
			if added.Contact, added.Lookalikes, err = w.Contacts().Add(ctx, args[0], address); err != nil {
				return err
			}
		}
		if newRef {
			if added.Contact, err = w.Contacts().SetRef(ctx, added.Name, *a.ref); err != nil {
				return err
			}
		}
		if from {
			a.say("The check words of who gave you that consent: %s", checkWords(added.Address))
		}
		return a.added(w, added)
	})
}

// addCard keeps the address of a card, under a name if one is given.
func (a contacts) addCard(cmd *cobra.Command, name []string, said string) error {
	card, inv, err := parseCard(said)
	if err != nil {
		return err
	}
	return a.withWallet(cmd, keeps, func(ctx context.Context, w *wallet.Wallet) error {
		to, _, err := cards{a.app}.meant(w, card, strings.Join(name, ""))
		if err != nil {
			return err
		}
		p, err := a.ownPlace()
		if err != nil {
			return err
		}
		if _, err := (cards{a.app}).join(ctx, p, card, inv); err != nil {
			return err
		}
		var c wallet.AddedContact
		if c.Contact, c.Lookalikes, err = w.Contacts().Add(ctx, to.Name, card.Address.String()); err != nil {
			return err
		}
		if cmd.Flags().Changed("ref") {
			if c.Contact, err = w.Contacts().SetRef(ctx, c.Name, *a.ref); err != nil {
				return err
			}
		}
		a.say("The check words of the card: %s", checkWords(card.Address))
		return a.added(w, c)
	})
}

// added tells of a contact that was added, renamed or given a reference.
func (a contacts) added(w *wallet.Wallet, c wallet.AddedContact) error {
	a.say("%s is among your contacts.", referred(c.Contact))
	a.alike(w, c)
	if !c.Verified {
		a.next("compare the check words by voice: carekey contact verify %s", cli.Quote(c.Name))
	}
	return a.result([]wallet.AddedContact{c})
}

// alike warns of contacts that could be taken for one.
func (a contacts) alike(w *wallet.Wallet, c wallet.AddedContact) {
	for _, l := range c.Lookalikes {
		same := "looks much like this name"
		if o, err := w.Contacts().Named(l); err == nil && o.Address == c.Address {
			same = "has this address already"
		}
		a.say("warning: your contact %s %s. Are they the same person?", cli.Quote(l), same)
	}
}

// referred is a contact's name with one's own reference to it.
func referred(c wallet.Contact) string {
	if c.Ref == "" {
		return c.Name
	}
	return c.Name + " (" + c.Ref + ")"
}

func (a contacts) rename(ctx context.Context, w *wallet.Wallet, args []string) error {
	c, err := w.Contacts().Rename(ctx, args[0], args[1])
	if err != nil {
		return err
	}
	return a.added(w, c)
}

func (a contacts) list(ctx context.Context, w *wallet.Wallet, _ []string) error {
	if _, _, _, err := w.Log().Head(ctx); err != nil { // another machine may have added some
		return err
	}
	cs, err := firstOf(&a.console, w.Contacts().List(), *a.limit)
	if err != nil {
		return err
	}
	if len(cs) == 0 {
		a.say("You have no contacts.")
		a.next("carekey contact add @CARD, with the file of somebody's card")
	}
	return errors.Join(a.table(cs), a.result(list(cs, same)))
}

func (a contacts) table(cs []wallet.Contact) error {
	t := &ui.Table{Columns: []ui.Column{ui.Title("name"), ui.Word("check words compared"), ui.Text("ref"), ui.Key("address")}}
	t.Of, t.ID = "contact", func(i int) string { return cs[i].Name }
	t.Aside = func(i int) (text, keys string) {
		return a.told(cs[i]).Text("") + cs[i].Address.String(), "enter: what each of you may open; g: give a consent"
	}
	for _, c := range cs {
		verified := "no"
		if c.Verified {
			verified = "yes"
		}
		t.Add(c.Name, verified, c.Ref, c.Address.String()[:24]+"...")
	}
	return a.app.table(t)
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
