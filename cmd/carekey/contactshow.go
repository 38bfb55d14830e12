package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func (a contacts) newShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show a contact: address, check words, and the consents in force between you",
		Long: `Show a contact: the address and its check words, your own reference, the consents in
force that you gave and that were given to you, on every ledger of this wallet, and when
and where the first one was given.`,
		Example: "  carekey contact show 'Dr Smith'",
		RunE:    onEvery(a.app, looks, acquaintance.show),
	}
}

// acquaintance is what there is between the wallet's owner and a contact, on every ledger.
type acquaintance struct{ *session }

type contactJSON struct {
	wallet.Contact
	Words     [8]string      `json:"words"`    // check words
	Given     []consentJSON  `json:"given"`    // in force
	Received  []receivedJSON `json:"received"` // in force
	FirstSeen *firstSeen     `json:"firstSeen,omitempty"`
}

// firstSeen is the first consent between two people.
type firstSeen struct {
	Ledger  crypto.LedgerID `json:"ledger"`
	Time    wallet.Hour     `json:"time"`
	Consent string          `json:"consent"`
	Given   bool            `json:"given"` // by the wallet's owner
}

// inForce reports whether a consent can be used, or will be.
func inForce(s wallet.Status) bool { return s == wallet.StatusActive || s == wallet.StatusUpcoming }

func (a acquaintance) show(ctx context.Context, args []string) error {
	given, n, failed := collect(ctx, a.session, func(w *wallet.Wallet) ([]wallet.Consent, error) { return w.Consents().List(ctx) })
	received, _, also := collect(ctx, a.session, func(w *wallet.Wallet) ([]wallet.Received, error) { return w.Inbox().List(ctx) })
	if failed = worse(failed, also); n == 0 {
		return failed
	}
	c, err := a.all[0].w.Contacts().Named(args[0]) // as the ledger has it by now
	if err != nil {
		return err
	}
	j := contactJSON{Contact: c, Words: c.Address.Words(), Given: []consentJSON{}, Received: []receivedJSON{}}
	seen := func(s *wallet.Seen, id string, given bool) {
		if s.Granted != 0 && (j.FirstSeen == nil || s.Granted < j.FirstSeen.Time) {
			j.FirstSeen = &firstSeen{s.Ledger, s.Granted, id, given}
		}
	}
	var to, from []string
	for _, x := range given {
		if x.Address != c.Address {
			continue
		}
		seen(&x.Seen, x.ID.String(), true)
		if inForce(x.Status) {
			j.Given = append(j.Given, consentOf(x))
			to = append(to, fmt.Sprintf("%s  %s, until %s", short(x.ID), titles(x.Records), day(x.Until)))
		}
	}
	for _, x := range received {
		if x.Address != c.Address {
			continue
		}
		seen(&x.Seen, x.Consent.String(), false)
		if inForce(x.Status) {
			j.Received = append(j.Received, receivedOf(x))
			from = append(from, fmt.Sprintf("%s  %s, until %s", short(x.Consent), titles(x.Records), day(x.Until)))
		}
	}
	first := "none between you yet"
	if s := j.FirstSeen; s != nil {
		first = both(s.Time) + ", on " + a.ledgerOf(s.Ledger)
	}
	rows := contacts{app: a.app}.told(c)
	rows.Add("may open", lined(to))
	rows.Add("gave you", lined(from))
	rows.Add("first consent", first)
	a.rows(rows)
	a.print("%s", c.Address)
	return errors.Join(a.result([]contactJSON{j}), failed)
}

// lined are texts of others, one a line.
func lined(texts []string) string {
	if len(texts) == 0 {
		return "nothing now"
	}
	return strings.Join(list(texts, cli.Clean), "\n")
}

// ledgerOf names a ledger of the session.
func (s *session) ledgerOf(id crypto.LedgerID) string {
	if title := s.titles[id]; title != "" {
		return "ledger " + cli.Clean(title)
	}
	return "this ledger"
}

// told is what is known of a contact, without the consents between you.
func (a contacts) told(c wallet.Contact) cli.Rows {
	compared := a.ours("no: carekey contact verify ") + cli.Quote(c.Name)
	if c.Verified {
		compared = "yes"
	}
	words := c.Address.Words()
	rows := cli.Rows{{"name", cli.Clean(c.Name)}}
	if c.Ref != "" {
		rows.Add("reference", cli.Clean(c.Ref)+"  (yours, told to nobody)")
	}
	rows.Add("check words", strings.Join(words[:4], " ")+"\n"+strings.Join(words[4:], " "))
	rows.Add("compared", compared)
	return rows
}
