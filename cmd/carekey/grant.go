package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func newGrant(a *app) *cobra.Command {
	g := &grants{app: a}
	c := &cobra.Command{
		Use:   "grant --to NAME (--record ID... | --category C... | --all) (--for 30d | --until DATE)",
		Short: "Let somebody open records of yours until a day that you choose",
		Long: "Show what a consent would mean, ask, and give it. What is printed on stdout is the\nshare code: it tells the recipient where to look, is not secret, and opens nothing by\n" +
			"itself. A category stands for the records that are in it now; the preview lists them.\n\n" +
			"CATEGORIES\n" + categoryHelp() + "\nPURPOSES, and the codes that HL7 gives them, which will do too\n" + purposeHelp() +
			"\nDATES\n  --for takes hours, days and weeks: 12h, 30d, 6w. --until D ends with that day, --from D\n  begins with it, in your own time zone; days and weeks end with a day too. Ends are full\n" +
			"  hours of UTC. The ledger shows everybody the next midnight UTC instead, so that it\n  tells nothing of your time zone and of when you signed: keepers hold to that one, the\n  recipient's carekey to the end that you chose. Hours are the same on both.",
		Example: "  carekey grant --to 'Dr Smith' --category labs --category allergies --for 30d",
		RunE:    a.onWallet(writes, g.grant),
	}
	s := c.Flags()
	s.StringVar(&g.to, "to", "", "the contact's `NAME`")
	s.StringSliceVar(&g.records, "record", nil, "a record's `ID`, or its first 6 characters or more")
	s.StringSliceVar(&g.categories, "category", nil, "every record of `CATEGORY`")
	s.BoolVar(&g.all, "all", false, "every record")
	s.StringVar(&g.length, "for", "", "how long it lasts, `TIME`: 12h, 30d or 6w")
	s.StringVar(&g.until, "until", "", "the last day, `DATE`: 2030-12-31")
	s.StringVar(&g.from, "from", "", "the first day, `DATE` (default: at once)")
	s.StringVar(&g.purpose, "purpose", "", "`PURPOSE`, one of those above (default: treatment)")
	c.RegisterFlagCompletionFunc("category", cobra.FixedCompletions(categoryNames(), cobra.ShellCompDirectiveNoFileComp))
	c.RegisterFlagCompletionFunc("purpose", cobra.FixedCompletions(wallet.Purposes(), cobra.ShellCompDirectiveNoFileComp))
	acceptClock(a, c)
	return c
}

// grants is the giving of a consent: its questions and its words.
type grants struct {
	*app
	to                  string
	records, categories []string
	all                 bool
	length, until, from string
	purpose             string
}

func categoryHelp() string {
	var b strings.Builder
	for _, c := range wallet.Categories() {
		fmt.Fprintf(&b, "  %-14s %s\n", c, c.Covers())
	}
	return b.String()
}

func purposeHelp() string {
	var b strings.Builder
	for _, word := range wallet.Purposes() {
		code, _ := wallet.ParsePurpose(word)
		fmt.Fprintf(&b, "  %-18s %s\n", word, code)
	}
	return b.String()
}

func (a *grants) grant(ctx context.Context, w *wallet.Wallet, _ []string) error {
	r, err := a.request(ctx, w)
	if err != nil {
		return err
	}
	plan, err := w.Grants().Plan(ctx, r)
	if err != nil {
		return err
	}
	if err := a.confirm(ctx, previewGrant(plan, groundOf(w)), "Give this consent?", ""); err != nil {
		return err
	}
	c, code, err := w.Grants().Give(ctx, plan)
	if err != nil && !errors.Is(err, wallet.ErrPending) {
		return err
	}
	if perr := a.show(plan, c, code); perr != nil {
		return perr
	}
	return err // the code holds all the same
}

// grantRequest reads the flags, and asks for what is missing.
func (a *grants) request(ctx context.Context, w *wallet.Wallet) (wallet.GrantRequest, error) {
	r := wallet.GrantRequest{To: a.to, Records: a.records, All: a.all}
	var err error
	if a.purpose != "" {
		if r.Purpose, err = wallet.ParsePurpose(a.purpose); err != nil {
			return r, err
		}
	}
	if a.from != "" {
		if r.NotBefore, err = wallet.BeginningOfDay(a.from, a.now()); err != nil {
			return r, err
		}
	}
	for _, c := range a.categories {
		category, err := wallet.ParseCategory(c)
		if err != nil {
			return r, err
		}
		r.Select.Categories = append(r.Select.Categories, category)
	}
	if a.all && len(a.records)+len(a.categories) > 0 {
		return r, usage("--all is every record; --record and --category name some of them", "use one or the other")
	}
	if a.length != "" && a.until != "" {
		return r, usage("--for and --until both say when it ends", "use one of them")
	}
	if r.To == "" {
		if r.To, err = a.chooseContact(ctx, w); err != nil {
			return r, err
		}
	} else if _, err := w.Contacts().Named(r.To); err != nil {
		return r, err
	}
	if len(r.Records) == 0 && len(r.Select.Categories) == 0 && !r.All {
		if r.Records, err = a.chooseRecords(ctx, w); err != nil {
			return r, err
		}
	}
	if r.Until, err = a.chooseEnd(ctx); err != nil {
		return r, err
	}
	if wallet.InHours(a.length) { // hours are the same on the ledger
		r.NotAfter = r.Until
	}
	return r, nil
}

func (a *grants) chooseContact(ctx context.Context, w *wallet.Wallet) (string, error) {
	var items []ui.Item
	for _, c := range w.Contacts().List() {
		detail := ""
		if !c.Verified {
			detail = "not verified"
		}
		items = append(items, ui.Item{Label: c.Name, Detail: detail})
	}
	if len(items) == 0 {
		return "", usage("you have no contacts yet", "add one: carekey contact add NAME ADDRESS")
	}
	at, err := a.choose(ctx, "To whom?", items, false, "to whom", "--to NAME")
	if err != nil {
		return "", err
	}
	return items[at[0]].Label, nil
}

func (a *grants) chooseRecords(ctx context.Context, w *wallet.Wallet) ([]string, error) {
	const flags = "--record ID, --category C or --all"
	if !a.interactive() {
		return nil, errNeed.With("what", "which records", "flag", flags)
	}
	rs, err := w.Records().List(ctx)
	if err != nil {
		return nil, err
	}
	if len(rs) == 0 {
		return nil, wallet.ErrEmpty.With("of", "record")
	}
	var items []ui.Item
	for _, r := range rs {
		items = append(items, ui.Item{Label: r.Title, Detail: strings.Trim(string(r.Category)+", "+r.Date, ", ")})
	}
	at, err := a.choose(ctx, "Which records?", items, true, "which records", flags)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, i := range at {
		ids = append(ids, rs[i].ID.String())
	}
	return ids, nil
}

// lengths are offered to a person who named none.
var lengths = []struct{ flag, words string }{
	{"1d", "one day"}, {"7d", "one week"}, {"30d", "30 days"}, {"90d", "90 days"}, {"365d", "a year"},
}

func (a *grants) chooseEnd(ctx context.Context) (contract.Hour, error) {
	switch {
	case a.length != "":
		return wallet.EndAfter(a.length, a.now())
	case a.until != "":
		return wallet.EndOfDay(a.until, a.now())
	}
	var items []ui.Item
	for _, l := range lengths {
		end, err := wallet.EndAfter(l.flag, a.now())
		if err != nil {
			return 0, err
		}
		items = append(items, ui.Item{Label: l.words, Detail: "until " + both(end)})
	}
	at, err := a.choose(ctx, "For how long?", items, false, "for how long", "--for 30d or --until DATE")
	if err != nil {
		return 0, err
	}
	return wallet.EndAfter(lengths[at[0]].flag, a.now())
}

func (a *grants) show(plan *wallet.GrantPlan, c wallet.Consent, code crypto.ShareCode) error {
	to := plan.To.Name // as it was called here; the address may have other names
	if c.Pending != "" {
		a.say("Signed: consent %s. It waits in your wallet. Its share code is good from when it is on the ledger;\nsend it to %s, it is not secret.", short(c.ID), to)
	} else {
		a.say("Given: consent %s. Send the share code to %s; it is not secret.", short(c.ID), to)
	}
	a.data(a.codeText(code))
	if c.Pending == "" {
		a.next("%s runs "+theirs+"fetch CODE.\nYou see it with carekey audit, and end it with carekey revoke %s", to, short(c.ID))
	}
	var warnings []string
	for _, w := range plan.Warnings {
		warnings = append(warnings, w.Kind)
	}
	return a.result(struct {
		consentJSON
		To       string            `json:"to"`
		Code     crypto.ShareCode  `json:"code"`
		Gate     ledgerclient.Gate `json:"gate"`
		Warnings []string          `json:"warnings,omitempty"`
	}{consentOf(c), to, code, plan.Gate, warnings})
}
