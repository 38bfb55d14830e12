package main

import (
	"context"
	"io"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/spf13/cobra"
)

type exportFlags struct {
	fhir, all, force bool
	output           string
}

func newConsentExport(a *app) *cobra.Command {
	var x exportFlags
	c := &cobra.Command{
		Use:   "export --fhir (ID... | --all) [-o FILE]",
		Short: "Write consents for other programs, as FHIR R4",
		Long: `Write consents as a FHIR R4 bundle of Consent resources, for programs that know
nothing of carekey. It is not encrypted, and it names you, whom you gave consents, and
the titles of your records; who has it can tell which entries of the ledger are these
consents. It is not signed: what holds is on the ledger. How it is to be read:
` + health.PolicyURI + `
and, where a consent gives parts of a record:
` + health.PartsPolicyURI,
		Args: cli.Takes(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case !x.fhir:
				return usage("say as what the consents are to be written", "it goes: "+cmd.UseLine())
			case x.all == (len(args) > 0):
				return usage("name consents, or all of them", "it goes: "+cmd.UseLine())
			}
			return onEvery(a, looks, func(a consents, ctx context.Context, args []string) error { return a.export(ctx, args, x) })(cmd, args)
		},
	}
	c.Flags().BoolVar(&x.fhir, "fhir", false, "as FHIR R4")
	c.Flags().BoolVar(&x.all, "all", false, "every consent that you gave")
	c.Flags().StringVarP(&x.output, "output", "o", "", "write to `FILE`; - is stdout (the default)")
	c.Flags().BoolVar(&x.force, "force", false, "overwrite FILE")
	return c
}

func (a consents) export(ctx context.Context, ids []string, x exportFlags) error {
	proven := func(w *wallet.Wallet, id string) ([]wallet.Consent, error) { return w.Consents().Proven(ctx, id) }
	cs, err := namedConsents(ctx, a.session, ids, proven)
	if err == nil && len(ids) == 0 {
		cs, _, err = collect(ctx, a.session, func(w *wallet.Wallet) ([]wallet.Consent, error) { return proven(w, "") })
	}
	if err != nil { // who reads the file would take it for all
		return err
	}
	behind := map[string]int{}
	for i := range cs {
		if !cs[i].AsOf.IsZero() {
			behind["ledger"]++
		}
	}
	giver := health.Giver{Name: a.all[0].w.Name(), Address: a.all[0].w.Address()}
	var known []health.Given
	var left []string // out
	var first error
	for _, c := range cs {
		g := givenOf(&c)
		_, err := health.NewConsent(giver, &g)
		switch {
		case err == nil:
			known = append(known, g)
			continue
		case c.Damaged != nil:
			err = c.Damaged
		case c.Missing:
			err = wallet.ErrMissing.With("part", "terms", "id", c.ID)
		}
		left = append(left, c.ID.String())
		if first == nil {
			first = err
		}
	}
	if len(known) == 0 && first != nil {
		return first
	}
	b, err := health.NewBundle(giver, known)
	if err != nil {
		return err
	}
	if x.output == "" || x.output == "-" {
		err = cli.WriteJSON(a.out, b, true)
	} else {
		err = a.saveExport(b, known, left, x)
	}
	if err != nil {
		return err
	}
	a.say("%s. Not encrypted, and not signed: keep it as you keep your records. What holds is on the ledger.", plural(len(known), "consent", "consents"))
	if first != nil {
		return wallet.ErrPartly.Of(first, "done", len(known), "failed", len(left))
	}
	return notAll(a.all, behind)
}

func (a consents) saveExport(b *health.Bundle, known []health.Given, left []string, x exportFlags) error {
	err := wallet.SaveFile(x.output, crypto.Hash{}, x.force, func(dst io.Writer) error { return cli.WriteJSON(dst, b, true) })
	if err != nil {
		return err
	}
	return a.result(exportedJSON{x.output, list(known, func(c health.Given) string { return c.ID.String() }), list(left, same)})
}

type exportedJSON struct {
	File     string   `json:"file"`
	Consents []string `json:"consents"`
	Left     []string `json:"left"` // out: what they are is not known
}

// givenOf is a consent in the values that an export takes.
func givenOf(c *wallet.Consent) health.Given {
	g := health.Given{Ledger: c.Ledger, ID: c.ID, To: c.To, Address: c.Address, Purpose: string(c.Purpose), Granted: wallet.HourTime(c.Granted),
		From: hourTime(c.NotBefore), Until: hourTime(c.Until), Status: string(c.Status), Revoked: hourTime(c.Revoked), AsOf: c.AsOf}
	for _, r := range c.Records {
		given := health.GivenRecord{ID: r.ID, Version: r.Version, Title: r.Title}
		if r.Part {
			given.Part = c.Scope.Words()
		}
		g.Records = append(g.Records, given)
	}
	if c.Missing {
		g.Address = crypto.Address{} // whom it is for is not known
	}
	return g
}

// hourTime is the beginning of an hour; the zero time of none.
func hourTime(h wallet.Hour) time.Time {
	if h == 0 {
		return time.Time{}
	}
	return wallet.HourTime(h)
}
