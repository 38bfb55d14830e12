package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/qr"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

// newShow is the command that hands out one's own.
func (a cards) newShow() *cobra.Command {
	var f cardFlags
	c := &cobra.Command{
		Use:   "card [-o FILE]",
		Short: "Your card: all that others need to grant you something",
		Long: `Print your card, one word that you sign: your name, your address, and the invitation to
the node of your ledger. Who gets it needs nothing else of you: it makes you a contact,
or a new wallet on your ledger. It is not secret. At a terminal that is large enough
there is a QR code of it too; -o writes a file that can be sent or printed, as a picture
of the QR code where the name ends in .png. Of a ledger in a folder a card says nothing.

A card says what its owner says. Whose name it is tells your voice: the eight check words
on stderr are those that the other side sees.

An invitation can have a token, with which the ledger's nodes take entries. It is left
out, since with it a card is secret and the nodes can tell what comes by it: who joins
without one can look and revoke, and asks the operator for a token to give or open
anything. --with-token puts it in.`,
		Example: "  carekey card -o card.png\n\n  what others do with it:\n  " + theirs + "init --ledger @card.png          a new wallet, on your ledger\n  " + theirs + "grant --to @card.png --all --for 30d\n  " + theirs + "contact add @card.png",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withLedgers(cmd, looks, alone, func(ctx context.Context, s *session) error { return a.show(s.all[0], f) })
		},
	}
	c.Flags().StringVarP(&f.file, "output", "o", "", "write it to a new `FILE`: as text for paper, or as a picture if it ends in .png")
	c.Flags().BoolVar(&f.force, "force", false, "replace the file if it is there")
	c.Flags().BoolVar(&f.token, "with-token", false, "put the token of the ledger's node in, which makes it secret")
	return c
}

type cardFlags struct {
	file         string
	force, token bool
}

// cards makes them.
type cards struct{ *app }

func (a cards) show(o *opened, f cardFlags) error {
	place, secret := "", false
	inv := o.l.at.node
	switch {
	case inv == nil && f.token:
		return usage("your ledger is in a folder, and there is no token", "leave out --with-token")
	case inv != nil && f.token && inv.Token == "":
		return usage("the invitation that you joined with has no token", "leave out --with-token")
	case inv != nil && f.token:
		place, secret = inv.Bytes(), true
	case inv != nil:
		place = inv.Place()
	}
	card, err := o.w.Card(place)
	if err != nil {
		return err
	}
	p, err := a.ownPlace()
	if err != nil {
		return err
	}
	ledger := ledgerTitles(p)[o.id()]
	name := cli.Clean(card.Name)
	switch {
	case inv == nil:
		a.say("The ledger of %s is in a folder, and the card says nothing of it: who gets the card must be on that ledger already, or be told of the folder.", name)
	case secret:
		a.say("This card is SECRET: the token of your ledger's node is in it. Who has it can enter things there, and the node can tell what comes by it.")
	case inv.Token != "":
		a.say("The token that you have for your ledger's node is not in the card: who joins with it can look, and needs a token from the operator to give or open anything. To put yours in, which makes the card secret: --with-token")
	}
	if f.file == "-" { // as wherever -o is: stdout
		f.file = ""
	}
	if f.file == "" {
		err = a.print(card, ledger)
	} else {
		err = a.write(card, ledger, f)
	}
	if err != nil {
		return err
	}
	j := cardJSON{Address: card.Address, Card: card, File: f.file, Name: card.Name, Token: secret}
	if inv != nil {
		j.Ledger = o.id()
	}
	return a.result(j)
}

// meant is the contact that a card is about, under that name or the one on the card, and
// whether there is one with its address already.
func (a cards) meant(w *wallet.Wallet, c crypto.Card, name string) (to wallet.Contact, known bool, err error) {
	if c.Address == w.Address() {
		return to, false, usage("this is your own card", "hand it to others; what you need is theirs: "+theirs+"card")
	}
	if name == "" {
		for _, o := range w.Contacts().List() {
			if o.Address == c.Address && (!known || o.Verified && !to.Verified) {
				to, known = o, true
			}
		}
		if known {
			return to, true, nil
		}
		if o, err := w.Contacts().Named(c.Name); err == nil {
			return to, false, errNameOnCard.With("name", o.Name, "other", c.Name+" 2")
		}
		name = c.Name
	}
	return wallet.Contact{Name: name, Address: c.Address}, false, nil
}

// errNameOnCard: the name on a card is that of a contact with another address. name, other:
// one that may be free
const errNameOnCard fault.Code = "name-taken/card"

// join puts the wallet in a place on the ledger of a card, if it is on it not yet, after
// asking, and returns the place with it. Where a ledger that it is on is looked for, no card
// changes.
func (a cards) join(ctx context.Context, p place, c crypto.Card, inv *node.Invitation) (place, error) {
	if inv == nil {
		return p, nil
	}
	if _, ok := p.settings.Ledger(inv.Ledger); ok {
		return p, nil
	}
	a.say("Check words of the card: %s", checkWords(c.Address))
	leads := "This is the card of " + cli.Clean(c.Name) + ", who uses a ledger that your wallet is not on."
	if err := ledgers(a).stranger(ctx, p, locator{node: inv}, leads, "a card says what its owner says"); err != nil {
		return p, err
	}
	return a.ownPlace()
}

type cardJSON struct {
	Address crypto.Address  `json:"address"`
	Card    crypto.Card     `json:"card"`
	File    string          `json:"file,omitempty"`  // in which it was written
	Ledger  crypto.LedgerID `json:"ledger,omitzero"` // of the invitation in it; none if the ledger is in a folder
	Name    string          `json:"name"`
	Token   bool            `json:"token"` // there is one in it: it is secret
}

// print prints a card, with its QR code if it is all to be seen.
func (a cards) print(c crypto.Card, ledger string) error {
	text := c.String()
	a.say("%s\ncheck words: %s", cli.Clean(c.Name), checkWords(c.Address))
	if c.Place != "" {
		a.say("ledger: %s", ledger)
	}
	if a.page != nil {
		if err := a.draw(c); err != nil {
			return err
		}
	} else if width, height := cli.Size(a.err); width > 0 && cli.Width(a.out) > 0 && a.talks() {
		code, w, h, err := qr.Text(text)
		if err != nil {
			return err
		}
		if rest := (len(text)+width-1)/width + 7; w <= width && h+rest <= height {
			a.err.WriteString(code)
		} else {
			a.say("Its QR code takes %d columns and %d lines, and this terminal has %d and %d.\nAs a picture: carekey card -o card.png", w, h+rest, width, height)
		}
	}
	a.data(c)
	return nil
}

// write writes a card to a file, which the owner of it alone can read: who else may is
// for her to say.
func (a cards) write(c crypto.Card, ledger string, f cardFlags) error {
	b := []byte(cardText(c, ledger))
	if strings.EqualFold(filepath.Ext(f.file), ".png") {
		var err error
		if b, err = qr.PNG(c.String()); err != nil {
			return err
		}
	}
	err := wallet.SaveFile(f.file, crypto.Hash{}, f.force, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
	if err != nil {
		return err
	}
	a.printPath(f.file)
	a.say("Send it or print it. Check words, for when you are asked: %s", checkWords(c.Address))
	return nil
}

// cardText is a card on paper. There is one word in it that is a code, and it is not broken.
func cardText(c crypto.Card, ledger string) string {
	words := c.Address.Words()
	rows := cli.Rows{{"name", cli.Clean(c.Name)}, {"check words", strings.Join(words[:4], " ") + "\n" + strings.Join(words[4:], " ")}}
	first := ""
	if c.Place != "" {
		rows.Add("ledger", ledger)
		first = "  make a wallet on the ledger of its owner   carekey init --ledger @FILE\n"
	}
	return fmt.Sprintf(`CAREKEY CARD

%s
%s

With this file you can
%s  let its owner open records of yours        carekey grant --to @FILE
  keep its owner as a contact                carekey contact add @FILE
Let its owner read the check words to you: if they are those that carekey shows
you, the card is from nobody else.
`, rows.Text("  "), c, first)
}
