package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/spf13/cobra"
)

// consents is what a patient does with those that she gave, on every ledger.
type consents struct{ *session }

func newConsent(a *app) *cobra.Command {
	var f filter
	ls := &cobra.Command{
		Use:     "list [--to NAME] [--active | --ended] [--limit N]",
		Short:   "List every consent that you gave, on every ledger of this wallet",
		Example: "  carekey consent list --to 'Dr Smith' --active",
		RunE:    onEvery(a, looks, func(a consents, ctx context.Context, _ []string) error { return a.list(ctx, f) }),
	}
	f.whoFlag(ls, "to", "only what you gave to the contact `NAME`, or to an address")
	ls.Flags().BoolVar(&f.active, "active", false, "only what can be opened now, or later")
	ls.Flags().BoolVar(&f.ended, "ended", false, "only what has expired or was revoked")
	show := &cobra.Command{
		Use:   "show ID",
		Short: "Show one consent and its fetch code",
		Long: `Show one consent. ID, here and in every command that asks for a consent's, is the
beginning of its id, or the contact whom it was given to, if only one of theirs is in
force.`,
		RunE: onEvery(a, looks, consents.show),
	}
	var to, record string
	why := &cobra.Command{
		Use:   "explain (ID | --to NAME --record ID)",
		Short: "Say why an opening is or is not allowed now",
		Args:  cli.Takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (to != "" || record != "") || (to == "") != (record == "") {
				return usage("name a consent, or a contact and a record", "it goes: "+cmd.UseLine())
			}
			return onEvery(a, looks, func(a consents, ctx context.Context, args []string) error {
				if len(args) == 1 {
					return a.explain(ctx, args[0], "", func(w *wallet.Wallet) (wallet.Explanation, error) { return w.Consents().Explain(ctx, args[0]) })
				}
				return a.explain(ctx, record, to, func(w *wallet.Wallet) (wallet.Explanation, error) { return w.Consents().ExplainAccess(ctx, to, record) })
			})(cmd, args)
		},
	}
	why.Flags().StringVar(&to, "to", "", "the contact's `NAME`")
	why.Flags().StringVar(&record, "record", "", "the record's `ID`")
	return group("consent", "The consents that you gave", ls, show, why, newConsentExport(a))
}

func (a consents) list(ctx context.Context, f filter) error {
	x, err := f.look(ctx, a.session)
	if err != nil {
		return err
	}
	all, n, failed := collect(ctx, a.session, func(w *wallet.Wallet) ([]wallet.Consent, error) { return w.Consents().List(ctx) })
	cs := pick(a.session, all, func(c wallet.Consent) (yes, unknown bool) {
		if !x.status(c.Status) {
			return false, false
		}
		return x.has(c.Address, c.Records)
	})
	if x.limit > 0 {
		byTime(cs, func(c wallet.Consent) wallet.Hour { return c.Granted })
		cs = newest(a.session, &x, cs)
	}
	if err := a.askLinks(ctx, cs); err != nil {
		return err
	}
	switch {
	case n == 0:
	case a.flags.json:
		failed = errors.Join(a.result(list(cs, consentOf)), failed)
	case len(cs) > 0:
		failed = errors.Join(a.table(cs), failed)
	case failed == nil && len(all) > 0:
		a.say("No consent that you gave is like that.")
		a.next("carekey consent list")
	case failed == nil:
		a.say("You gave no consents.")
		a.next("carekey grant --to NAME --record ID --for 30d")
	}
	return failed
}

// askLinks has the nodes of links say what became of them.
func (s *session) askLinks(ctx context.Context, cs []wallet.Consent) error {
	for _, o := range s.all {
		if err := o.w.Links().Ask(ctx, cs); err != nil {
			return err
		}
	}
	return nil
}

// namedConsents finds consents wherever they are, each once; f finds one on a ledger.
func namedConsents(ctx context.Context, s *session, ids []string, f func(w *wallet.Wallet, id string) ([]wallet.Consent, error)) (cs []wallet.Consent, err error) {
	for _, id := range ids {
		c, _, err := find(ctx, s, id, func(o *opened) (c wallet.Consent, found string, err error) {
			some, err := f(o.w, id)
			if err != nil {
				return c, "", err
			}
			return some[0], some[0].ID.String(), nil
		})
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(cs, func(x wallet.Consent) bool { return x.ID == c.ID }) {
			cs = append(cs, c)
		}
	}
	return cs, nil
}

// show shows one consent, and its fetch code.
func (a consents) show(ctx context.Context, args []string) error {
	var code crypto.FetchCode
	c, on, err := find(ctx, a.session, args[0], func(o *opened) (c wallet.Consent, id string, err error) {
		c, one, err := o.w.Consents().Show(ctx, args[0])
		if err == nil {
			code = one
		}
		return c, c.ID.String(), err
	})
	if err != nil {
		return err
	}
	one := []wallet.Consent{c}
	if err := a.askLinks(ctx, one); err != nil {
		return err
	}
	c = one[0]
	j := shownJSON{consentJSON: consentOf(c)}
	rows := a.told(c, columnsOf(cli.Width(a.out)))
	if c.Scope != nil && c.Status != wallet.StatusPending {
		parts, err := on.w.Consents().GivenParts(ctx, c.ID)
		if err == nil {
			j.Since = wallet.SensitiveSince(parts)
		}
		if text := sinceText(j.Since, err); text != "" {
			at := 1 + slices.IndexFunc(rows, func(r [2]string) bool { return r[0] == "parts" })
			rows = slices.Insert(rows, at, [2]string{"", text})
		}
	}
	a.rows(rows)
	a.say("%s", groundOf(on.w).gateLine())
	if !c.Link { // what fetches that is the link
		a.say(optional)
		a.data(code)
		j.Code = &code
	}
	if c.Status == wallet.StatusActive || c.Status == wallet.StatusUpcoming {
		a.next("to end it: carekey revoke %s", short(c.ID))
	}
	return a.result([]shownJSON{j})
}

// told is what is known of a consent, for texts of so many columns.
func (a consents) told(c wallet.Consent, columns int) cli.Rows {
	var records []string
	for _, r := range c.Records {
		line := fmt.Sprintf("%s, version %d (%s)  %s", r.Title, r.Version, r.Category, short(r.ID))
		if r.Part {
			line = fmt.Sprintf("PART of %s, version %d  %s", r.Title, r.Version, short(r.ID))
		}
		if r.Newest > 0 {
			line += fmt.Sprintf(" (there is version %d)", r.Newest)
		}
		records = append(records, cli.Clean(line+removedText(r)))
	}
	if c.Missing {
		records = []string{lost(c.Damaged)}
	}
	from := "at once"
	if c.NotBefore != 0 {
		from = both(c.NotBefore)
	}
	status := statusText(c, dates{})
	if c.Revoked != 0 {
		status += ", " + both(c.Revoked)
	}
	until := untilText(c.Until, c.NotAfter, "the recipient's carekey keeps to it", columns)
	if c.Link {
		until = linkUntil(c.Until, c.NotAfter)
	}
	rows := cli.Rows{{"consent", c.ID.String()}}
	if title := a.titles[c.Ledger]; title != "" {
		rows.Add("ledger", title)
	}
	rows.Add("to", cli.Clean(receiver(c.To, c.Address, c.Link)))
	rows.Add("may open", strings.Join(records, "\n"))
	if c.Scope != nil {
		rows.Add("parts", cli.Clean(c.Scope.Words()))
	}
	rows = append(rows, cli.Rows{
		{"for", c.Purpose.Word()},
		{"from", from},
		{"until", until},
		{"status", status},
		{"granted", grantedText(c)},
		{"opened", openingsText(c, both(c.LastOpened))},
	}...)
	if keepers := keepersText(c); keepers != "" {
		rows.Add("keepers", keepers)
	}
	if final := finalText(c, a.now()); final != "" {
		rows.Add("final", final)
	}
	return rows
}

// sinceText says what a consent gives that is sensitive by the labels of today, though it
// does not name it; "" if there is nothing.
func sinceText(since map[string]int, err error) string {
	var all []string
	for _, s := range health.Sensitivities() {
		if n := since[string(s)]; n > 0 {
			all = append(all, thousands(n)+" "+string(s))
		}
	}
	switch {
	case err != nil:
		return "whether it gives what is sensitive since is not known: what it gave cannot be read now"
	case all == nil:
		return ""
	}
	return "given, sensitive since: " + strings.Join(all, ", ")
}

type shownJSON struct {
	consentJSON
	Since map[string]int    `json:"sensitiveSince,omitempty"` // entries that it gives and does not name, by sensitivity
	Code  *crypto.FetchCode `json:"code,omitempty"`           // none of a link
}

type explanationJSON struct {
	consentJSON
	wallet.Explanation
	Ledger  string `json:"ledger"` // both empty where no consent concerns it
	Consent string `json:"consent"`
}

// explain says whether an opening is allowed, and why; to is whom it was asked for, if
// not for a consent.
func (a consents) explain(ctx context.Context, query, to string, ask func(*wallet.Wallet) (wallet.Explanation, error)) error {
	x, on, err := find(ctx, a.session, query, func(o *opened) (x wallet.Explanation, id string, err error) {
		if x, err = ask(o.w); x.Consent != nil {
			id = x.Consent.ID.String()
		}
		return x, id, err
	})
	if err != nil {
		return err
	}
	name, j := to, explanationJSON{Explanation: x}
	if x.Consent != nil {
		name = receiver(x.Consent.To, x.Consent.Address, x.Consent.Link)
		j.consentJSON, j.Ledger, j.Consent = consentOf(*x.Consent), x.Consent.Ledger.String(), x.Consent.ID.String()
	} else {
		j.consentJSON.Records, j.To = []wallet.ConsentRecord{}, to
	}
	word := "may not open it now"
	if x.Allowed {
		word = "may open it now"
	}
	removed := x.Consent != nil && len(x.Consent.Records) > 0 && !slices.ContainsFunc(x.Consent.Records, func(r wallet.ConsentRecord) bool { return !r.Removed })
	if removed {
		word += ", but what it gives was removed"
	}
	a.print("%s %s.", name, word)
	for _, c := range x.Checks {
		mark := "yes"
		if !c.OK {
			mark = "NO "
		}
		a.print("  %s  %s", mark, checkText(c, x.Consent))
	}
	if removed && on != nil {
		a.print("%s", groundOf(on.w).says(erased))
	}
	ids := ""
	if x.Allowed {
		ids = short(x.Consent.ID)
	}
	for _, id := range x.Others {
		a.print("Consent %s allows it too.", short(id))
		ids += " " + short(id)
	}
	if x.Allowed {
		a.next("to end it: carekey revoke %s", ids)
	}
	return a.result([]explanationJSON{j})
}

// checkText is a condition in words, as it turned out.
func checkText(c wallet.Check, consent *wallet.Consent) string {
	at, id, keepers, begun := both(c.Hour), "", "", "it has begun"
	if consent != nil {
		id = short(consent.ID)
		if consent.Over && !consent.Link {
			keepers = "; whatever program is used,\n       keepers end it " + both(consent.NotAfter)
		}
	}
	if c.Hour != 0 {
		begun += ", " + at
	}
	texts := map[string]struct{ no, yes string }{
		"given":   {"no consent concerns it", "consent " + id + " was given, " + at},
		"revoked": {"it was revoked, " + at, "it is not revoked"},
		"begun":   {"it begins only on " + at, begun},
		"ended":   {"it has ended, " + at + keepers, "it has not ended; it does on " + at},
		"share":   {"the keeper says that it holds no share of its key any more", "the keeper says that it holds its share of its key"},
		"record":  {"it was given for an earlier version of the record", "it was given for the newest version of the record"},
	}[c.Name]
	if c.Keepers > 1 {
		texts.yes = shareText(c.Held, c.Keepers)
		texts.no = "only " + texts.yes
	}
	if c.OK {
		return cmp.Or(texts.yes, c.Name)
	}
	return cmp.Or(texts.no, c.Name)
}

// grantedText is when a consent came onto the ledger.
func grantedText(c wallet.Consent) string {
	if c.Granted == 0 {
		return "signed, and not on the ledger yet"
	}
	return both(c.Granted)
}

func (a consents) table(cs []wallet.Consent) error {
	t := a.onLedgers(ui.Key("consent"), ui.Text("to"), ui.Text("records"), ui.Word("for"), ui.Word("until"), ui.Word("status"), ui.Word("opened"))
	t.Of, t.ID = "consent", func(i int) string { return cs[i].ID.String() }
	t.Aside = func(i int) (text, keys string) {
		rows := a.told(cs[i], besideColumns)
		rows[0][1] = short(cs[i].ID)
		return rows.Text(""), "enter: its fetch code, and how it is now"
	}
	when := datesOn(a.out, a.now)
	for _, c := range cs {
		records := titles(c.Records)
		if c.Missing {
			records = lost(c.Damaged)
		}
		opened := openedText(c.Openings, when.day(c.LastOpened))
		cells := []string{short(c.ID), receiver(c.To, c.Address, c.Link), records, c.Purpose.Word(), when.near(c.Until), statusText(c, when), opened}
		t.Add(a.withTitle(cells, a.titles[c.Ledger])...)
	}
	return a.session.table(t)
}

// statusText is a consent's status with what waits to happen to it.
func statusText(c wallet.Consent, when dates) string {
	switch {
	case !c.Missing && c.Damaged != nil:
		return string(c.Status) + ", DAMAGED at a keeper"
	case c.Pending == wallet.Revoking && c.Status != wallet.StatusRevoked:
		return string(c.Status) + ", revocation waits"
	case c.Pending == wallet.Revoking:
		return string(c.Status) + ", keepers not told yet"
	case c.Pending == wallet.Granting && c.Status != wallet.StatusPending && (len(c.Unheld) == 0 || len(c.Unheld) == c.Keepers):
		return string(c.Status) + ", not at the keepers yet"
	case c.Status == wallet.StatusPending:
		return "pending: not on the ledger yet"
	case c.Link && c.Over:
		return "over"
	case c.Said != nil || c.Unsaid != nil:
		return linkStatus(c)
	case c.Over:
		return "over; at keepers " + when.near(c.NotAfter)
	case len(c.Unheld) > 0 && !ended(c.Status):
		return string(c.Status) + ", " + holdText(c)
	case c.Waits:
		return string(c.Status) + ", NOT at its node yet"
	}
	return string(c.Status)
}
