package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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
		Short: "End consents: the keepers are told to give nothing any more",
		Long: `End consents, on every ledger of this wallet. The keepers are told at once and asked
to destroy their shares, and the revocation goes onto the ledger; the report shows what
they signed. What was opened before stays known: the report names it. Consents named
one by one are revoked without a question, so that nothing is in the way; with --to and
--all a person at a terminal is shown the list first. What one ledger fails with keeps
no other from being told. CONSENT is the beginning of an id, or a contact of whose
consents only one is in force.

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
			return onEvery(a, ends, func(a revoking, ctx context.Context, _ []string) error { return a.revoke(ctx, r) })(cmd, args)
		},
	}
	c.Flags().StringVar(&r.To, "to", "", "all that you gave to the contact `NAME`, or to an address")
	c.Flags().BoolVar(&r.All, "all", false, "all that you gave")
	acceptClock(a, c)
	return c
}

// revoking ends consents, on every ledger.
type revoking struct{ *session }

func (a revoking) revoke(ctx context.Context, r wallet.RevokeRequest) error {
	choose := func(w *wallet.Wallet, r wallet.RevokeRequest) ([]wallet.Consent, error) {
		return w.Consents().Select(ctx, r)
	}
	var cs []wallet.Consent
	var failed error
	if len(a.all) == 1 || len(r.Consents) == 0 {
		cs, _, failed = collect(ctx, a.session, func(w *wallet.Wallet) ([]wallet.Consent, error) { return choose(w, r) })
	} else {
		var err error // one that is nowhere ends it before anything is signed
		if cs, err = namedConsents(ctx, a.session, r.Consents, func(w *wallet.Wallet, id string) ([]wallet.Consent, error) {
			return choose(w, wallet.RevokeRequest{Consents: []string{id}})
		}); err != nil {
			return err
		}
	}
	if len(cs) == 0 {
		if failed != nil {
			return failed
		}
		a.say("There is no consent to revoke.")
		return a.result([]revocationJSON{})
	}
	// Who names them is in a hurry; who points at a row may have taken the one beside it.
	if (len(r.Consents) == 0 || a.person != nil) && !a.flags.yes && a.interactive() {
		if err := a.confirm(ctx, previewRevoke(cs), "Revoke "+plural(len(cs), "consent", "consents")+"?", ""); err != nil {
			return err
		}
	}
	var done []wallet.Revocation
	var on []*opened
	for _, o := range a.all {
		var ids []contract.ID
		for _, c := range cs {
			if c.Ledger == o.id() {
				ids = append(ids, c.ID)
			}
		}
		if len(ids) == 0 {
			continue
		}
		some, err := o.w.Consents().Revoke(ctx, ids)
		if len(some) > 0 {
			done, on = append(done, some...), append(on, o)
		}
		if ctx.Err() != nil {
			failed = err
			break
		}
		failed = worse(failed, err)
	}
	if len(done) == 0 {
		return failed
	}
	return errors.Join(a.revoked(on, done, failed), failed)
}

func previewRevoke(cs []wallet.Consent) string {
	var b strings.Builder
	for _, c := range cs {
		fmt.Fprintf(&b, "  %s  %s: %s, until %s\n", short(c.ID), cli.Clean(receiver(c.To, c.Address, c.Link)), cli.Clean(titles(c.Records)), day(c.Until))
	}
	return b.String()
}

type revocationJSON struct {
	consentJSON
	wallet.Revocation
	Revoked  wallet.Hour            `json:"revoked"`  // also if it is not on the ledger yet
	Opened   []wallet.ConsentRecord `json:"opened"`   // what the recipient holds the keys of
	Unopened []wallet.ConsentRecord `json:"unopened"` // what was never opened
	// Unwritten are the codes of what could not be written into the wallet's folder, or
	// read in it. The revocation holds all the same.
	Unwritten []string `json:"unwritten,omitempty"`
	Missing   []string `json:"missing,omitempty"` // "keeper": it gave no answer, and may have acknowledged what acks lack
}

func revocationOf(r wallet.Revocation) revocationJSON {
	c := r.Consent
	r.Acks = list(r.Acks, same)
	j := revocationJSON{consentJSON: consentOf(c), Revocation: r, Revoked: c.Revoked, Opened: list(c.Known(), same), Unopened: []wallet.ConsentRecord{}}
	if c.Openings == 0 {
		j.Unopened = list(c.Records, same)
	}
	if r.Unasked {
		j.Missing = []string{"keeper"}
	}
	return j
}

// revoked tells what was done; failed is why not all of it was.
func (a revoking) revoked(on []*opened, rs []wallet.Revocation, failed error) error {
	for i, r := range rs {
		if i > 0 {
			a.print("")
		}
		a.print("%s", strings.TrimSuffix(revocationText(r, a.now()), "\n"))
	}
	a.say("\n%s", limits(groundsOf(on)))
	if failed == nil { // else the error says what comes next
		a.next("carekey audit")
	}
	return a.result(list(rs, func(r wallet.Revocation) revocationJSON {
		j := revocationOf(r)
		for _, o := range on {
			if o.id() == r.Consent.Ledger {
				j.Unwritten = list(slices.Concat(o.w.Changes().PassedOver(), o.w.Unwritten()), codeOf)
			}
		}
		return j
	}))
}

func revocationText(r wallet.Revocation, now time.Time) string {
	c := r.Consent
	name := cli.Clean(receiver(c.To, c.Address, c.Link))
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
		acks = append(acks, fmt.Sprintf("%s %s (signed, %s)", keeperName(k.Keeper), what, day(k.Hour)))
	}
	switch {
	case r.Unasked:
		acks = append(acks, "not known of all: a keeper gave no answer")
	case len(acks) == 0:
		acks = []string{"no keeper has acknowledged it yet"}
	}
	told := cli.Rows{{"acknowledged", strings.Join(acks, "\n")}}
	if c.Keepers > 1 {
		told = stoppedRows(r, now)
	}
	var names []string
	for _, v := range c.Records {
		version := v.Version
		v.Version, v.Newest = 1, 0 // of which a title does not say it
		names = append(names, cli.Clean(fmt.Sprintf("%s, version %d", titleOf(v), version)))
	}
	knows := name
	if c.Link {
		knows = "who opened it"
	}
	exposure := [2]string{"opened", openingsText(c, "") + ": " + strings.Join(names, "\n")}
	if c.Openings > 0 {
		exposure = [2]string{"known to " + knows, strings.Join(names, "\n") + "\n(opened " + openingsText(c, day(c.LastOpened)) + "; this stays known)"}
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
	return head + ": " + where + "\n" + append(told, exposure).Text("  ")
}
