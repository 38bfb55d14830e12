package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func newRevoke(a *app) *cobra.Command {
	var r wallet.RevokeRequest
	c := &cobra.Command{
		Use:   "revoke (CONSENT... | --to NAME | --all)",
		Short: "End consents: nothing that is asked for from now on opens",
		Long: `End consents. The keepers are told at once and destroy their shares, and the
revocation goes onto the ledger. What was opened before stays known: the report
names it. Consents named one by one are revoked without a question, so that nothing
is in the way; with --to and --all a person at a terminal is shown the list first.

Nothing is needed but the key and the ledger: a full disk, a damaged file of this
wallet and a wrong clock are no reason to wait, and are told.`,
		Example: "  carekey revoke 55aef0c0\n  carekey revoke --to 'Dr Smith'",
		Args:    cli.Takes(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Consents = args
			ways := 0
			for _, way := range []bool{len(args) > 0, r.To != "", r.All} {
				if way {
					ways++
				}
			}
			if ways != 1 {
				return usage("name consents, or a contact with --to, or all of them with --all", "what there is: carekey consent list")
			}
			return a.withWallet(cmd, ends, func(ctx context.Context, w *wallet.Wallet) error { return a.revoke(ctx, w, r) })
		},
	}
	c.Flags().StringVar(&r.To, "to", "", "all that you gave to the contact `NAME`, or to an address")
	c.Flags().BoolVar(&r.All, "all", false, "all that you gave")
	acceptClock(a, c)
	return c
}

func (a *app) revoke(ctx context.Context, w *wallet.Wallet, r wallet.RevokeRequest) error {
	cs, err := w.SelectRevocations(ctx, r)
	if err != nil {
		return err
	}
	if len(cs) == 0 {
		if a.flags.json {
			return a.printJSON([]revocationJSON{})
		}
		a.say("There is no consent to revoke.")
		return nil
	}
	if len(r.Consents) == 0 && !a.flags.yes && a.interactive() {
		if err := a.confirm(ctx, previewRevoke(cs), "Revoke "+plural(len(cs), "consent", "consents")+"?", false); err != nil {
			return err
		}
	}
	var ids []contract.ID
	for _, c := range cs {
		ids = append(ids, c.ID)
	}
	done, err := w.Revoke(ctx, ids)
	if err != nil && len(done) == 0 {
		return err
	}
	if perr := a.revoked(w, done, err); perr != nil {
		return perr
	}
	return err
}

func previewRevoke(cs []wallet.Consent) string {
	var b strings.Builder
	for _, c := range cs {
		fmt.Fprintf(&b, "  %s  %s: %s, until %s\n", short(c.ID), cli.Clean(person(c.To, c.Address)), cli.Clean(titles(c.Records)), day(c.NotAfter))
	}
	return b.String()
}

type revocationJSON struct {
	Consent    string        `json:"consent"`
	Status     string        `json:"status"`
	Acks       []ackJSON     `json:"acks"`
	Opened     []versionJSON `json:"opened"`   // what the recipient holds the keys of
	Unopened   []versionJSON `json:"unopened"` // what was never opened
	Openings   int           `json:"openings"`
	LastOpened string        `json:"lastOpened,omitempty"`
	To         string        `json:"to"`
	Revoked    string        `json:"revoked"`
	Already    bool          `json:"already"`           // it was revoked before
	Pending    string        `json:"pending,omitempty"` // signed, and waits
	Clock      string        `json:"clock,omitempty"`   // what the clock says, if it disagrees with the ledger's time
	// Unwritten are the codes of what could not be written into the wallet's folder, or
	// read in it. The revocation holds all the same.
	Unwritten []string `json:"unwritten,omitempty"`
}

type ackJSON struct {
	Keeper int    `json:"keeper"`
	End    string `json:"end"` // "stopped" or "destroyed"
	Time   string `json:"time"`
}

func revocationOf(r wallet.Revocation) revocationJSON {
	c := r.Consent
	j := revocationJSON{Consent: c.ID.String(), Status: string(c.Status), Openings: c.Openings, LastOpened: stamp(c.LastOpened),
		To: who(c.To, c.Address), Revoked: stamp(c.Revoked), Already: r.Already, Pending: string(c.Pending), Clock: instant(c.Clock),
		Acks:   list(r.Acks, func(k wallet.Acknowledged) ackJSON { return ackJSON{k.Keeper, k.End.String(), stamp(k.Hour)} }),
		Opened: list(c.Known(), versionOf), Unopened: list([]wallet.ConsentRecord(nil), versionOf)}
	if c.Openings == 0 {
		j.Unopened = list(c.Records, versionOf)
	}
	return j
}

// revoked tells what was done; failed is why not all of it was.
func (a *app) revoked(w *wallet.Wallet, rs []wallet.Revocation, failed error) error {
	if a.flags.json {
		unwritten := list(w.Unwritten(), codeOf)
		return a.printJSON(list(rs, func(r wallet.Revocation) revocationJSON {
			j := revocationOf(r)
			j.Unwritten = unwritten
			return j
		}))
	}
	for i, r := range rs {
		if i > 0 {
			a.print("")
		}
		a.print("%s", strings.TrimSuffix(revocationText(r), "\n"))
	}
	if _, p := w.Ledger(); p.Gate == ledgerclient.Advisory {
		a.say("\ngate: advisory. A recipient who can read the ledger's folder may have opened more than this.")
	}
	if failed == nil { // else the error says what comes next
		a.next("carekey audit")
	}
	return nil
}

func revocationText(r wallet.Revocation) string {
	c := r.Consent
	name := cli.Clean(person(c.To, c.Address))
	head := "Revoked"
	if r.Already {
		head = "Was revoked before"
	}
	var acks []string
	for _, k := range r.Acks {
		what := "gives nothing any more"
		if k.End == ledgerclient.DestroyedShare {
			what = "has destroyed its share"
		}
		acks = append(acks, fmt.Sprintf("keeper %d %s (signed, %s)", k.Keeper, what, day(k.Hour)))
	}
	if len(acks) == 0 {
		acks = []string{"no keeper has acknowledged it yet"}
	}
	var names []string
	for _, v := range c.Records {
		names = append(names, cli.Clean(fmt.Sprintf("%s, version %d", v.Title, v.Version)))
	}
	exposure := [2]string{"never opened", strings.Join(names, "\n")}
	if c.Openings > 0 {
		exposure = [2]string{"known to " + name, strings.Join(names, "\n") + "\n(opened " + openedText(c.Openings, day(c.LastOpened)) + "; this stays known)"}
	}
	if c.Missing {
		exposure = [2]string{"concerns", lost(c.Damaged)}
	}
	where := "consent " + short(c.ID) + " to " + name + ", on the ledger since " + day(c.Revoked)
	if c.Revoked == 0 {
		head, where = "Signed", "the revocation of consent "+short(c.ID)+" to "+name+", NOT on the ledger yet"
		if r.Already {
			head = "Signed before"
		}
	}
	return head + ": " + where + "\n" +
		cli.Rows("  ", [2]string{"acknowledged", strings.Join(acks, "\n")}, exposure)
}
