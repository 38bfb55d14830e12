package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/spf13/cobra"
)

func newGrant(a *app) *cobra.Command {
	g := &grants{app: a}
	c := &cobra.Command{
		Use:   "grant --to (NAME | CARD | @FILE) (--role ROLE | --category C... | --record ID... | --all) (--for 30d | --until DATE)",
		Short: "Let somebody open records of yours, or parts of them, until a day that you choose",
		Long: "Show what a consent would mean, ask, and give it. What is printed on stdout is the\nfetch code: it tells the recipient where to look, is not secret, and opens nothing by\n" +
			"itself. It need not be sent, since carekey inbox finds the consent; who is not on the\nledger yet is led there by it. What is given is what there is now.\n\n" +
			"--to takes a contact's name, or a card as somebody handed it to you (@FILE reads it from\na text or a PNG of its QR code): who has no name here yet becomes a contact, and the\nledger of the card is used, where your records are entered if they are not there; both\nis asked before.\n\n" + whatGoes +
			"\nCATEGORIES\n" + categoryHelp() + "\nPURPOSES, and the codes that HL7 gives them, which will do too\n" + purposeHelp() +
			"\nDATES\n  --for takes hours, days and weeks: 12h, 30d, 6w. --until D ends with that day, --from D\n  begins with it, in your own time zone; days and weeks end with a day too. Ends are full\n" +
			"  hours of UTC. The ledger shows everybody the next midnight UTC instead, so that it\n  tells nothing of your time zone and of when you signed: keepers hold to that one, the\n  recipient's carekey to the end that you chose. Hours are the same on both.",
		Example: "  carekey grant --to 'Dr Smith' --category labs --category allergies --for 30d\n  carekey grant --to 'Ward 3' --role nurse --dated 2024.. --for 7d",
		RunE:    g.run,
	}
	s := c.Flags()
	s.StringVar(&g.to, "to", "", "whom: a contact's `NAME`, or a card (CARD or @FILE), which becomes a contact")
	g.chooses(c)
	s.StringVar(&g.length, "for", "", "how long it lasts, `TIME`: 12h, 30d or 6w")
	s.StringVar(&g.from, "from", "", "the first day, `DATE` (default: at once)")
	acceptClock(a, c)
	return c
}

// chooses gives a command the flags for what goes, what it is for, and until when.
func (g *grants) chooses(c *cobra.Command) {
	s := c.Flags()
	s.StringVar(&g.role, "role", "", "what a `ROLE` gets: carekey role list")
	s.StringSliceVar(&g.records, "record", nil, "a record's `ID`, or its first 6 characters or more")
	s.StringSliceVar(&g.categories, "category", nil, "what is of `CATEGORY`")
	s.BoolVar(&g.all, "all", false, "every record")
	s.StringSliceVar(&g.with, "with", nil, "also what goes only by name: `WORD`, one of those above")
	s.StringSliceVar(&g.without, "without", nil, "nothing of the category, or of what goes only by name, `WORD`")
	s.StringVar(&g.dated, "dated", "", "what is of these `DATES`: 2024-03..2025, 2024.., ..2023-06-30 or 2024")
	s.BoolVar(&g.whole, "whole", false, "records as they are, with all that is in them")
	s.BoolVar(&g.beyond, "beyond-role", false, "for longer than the role is for, or for something else")
	s.BoolVar(&g.list, "list", false, "list what would go and what would stay, part by part, and give nothing")
	s.StringVar(&g.until, "until", "", "the last day, `DATE`: 2030-12-31")
	s.StringVar(&g.purpose, "purpose", "", "`PURPOSE`, one of those above (default: the role's, or treatment)")
	c.RegisterFlagCompletionFunc("category", cobra.FixedCompletions(categoryNames(), cobra.ShellCompDirectiveNoFileComp))
	c.RegisterFlagCompletionFunc("purpose", cobra.FixedCompletions(wallet.Purposes(), cobra.ShellCompDirectiveNoFileComp))
	c.RegisterFlagCompletionFunc("role", builtInRoles)
	byName := append(sensitivityNames(), string(health.Documents))
	c.RegisterFlagCompletionFunc("with", cobra.FixedCompletions(byName, cobra.ShellCompDirectiveNoFileComp))
	c.RegisterFlagCompletionFunc("without", cobra.FixedCompletions(append(byName, categoryNames()...), cobra.ShellCompDirectiveNoFileComp))
}

// grants is the giving of a consent: its questions and its words.
type grants struct {
	*app
	card                               *crypto.Card               // who is meant, in place of a name
	titles                             map[crypto.LedgerID]string // of the ledgers, if there are several
	agreed                             bool                       // a ledger was joined, or records were entered, after a yes
	to, role                           string
	records, categories, with, without []string
	all, whole, beyond, list           bool
	answers                            bool // a request, which may be of a role
	dated, length, until, from         string
	purpose                            string
}

// whatGoes is what a person must know of what is given where it is not said by name.
const whatGoes = `WHAT GOES
  Records of FHIR go in parts, each with a key of its own: what is not given cannot be
  opened by the recipient, whatever program is used. Chosen are all parts (--record,
  --all), those of some categories (--category), or what a role gets (--role); a record
  and a category together mean that category in that record. Of what is chosen only by
  its name goes what is
    mental-health, substance-use, reproductive, hiv, sexual-health, violence, genetic,
    sickle-cell; documents, which say in words what other parts say in codes; and what
    is unclassified, since carekey does not understand all of it.
  --with gives it, --without leaves out, and leaving out wins. --dated is the date of
  what is given, of a period its beginning; what has a coarser date than the bound, or
  none, stays. The patient's own data (demographics) go along. Any other file goes
  whole, by the category that you gave it. --whole gives records as they are. FHIR that
  could not be split, or was added before carekey looked, goes only by its --record
  alone, or --whole.
`

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

// run finds out who is meant, and on which ledger that is.
func (a *grants) run(cmd *cobra.Command, _ []string) error {
	said, is, err := handing{a.app}.read(a.to, aCard)
	switch {
	case err != nil:
		return err
	case is == aCard:
		return a.toCard(cmd, said)
	case is != "":
		return usage("--to takes a name or a card, and this is "+is.String(), "an address is kept under a name first: carekey contact add NAME ADDRESS")
	}
	return a.withWallet(cmd, a.access(writes), func(ctx context.Context, w *wallet.Wallet) error { return a.grant(ctx, w, nil) })
}

// access is what a grant that wants so much does with the wallet: a list changes nothing.
func (a *grants) access(want access) access {
	if a.list {
		return looks
	}
	return want
}

// toCard gives a consent to whoever handed over a card, on the ledger that it names, unless
// another was named; a wallet that is not on that one is put there, after asking.
func (a *grants) toCard(cmd *cobra.Command, said string) error {
	card, inv, err := parseCard(said)
	if err != nil {
		return err
	}
	p, err := a.ownPlace()
	if err != nil {
		return err
	}
	which := alone
	if inv != nil && !p.given {
		_, joined := p.settings.Ledger(inv.Ledger)
		switch {
		case joined:
		case a.list:
			a.say("The card names a ledger that your wallet is not on: %s. To give this consent would ask whether to join it. What follows is of your own ledger.", quoted(inv.Name))
		default:
			err := a.withWallet(cmd, looks, func(ctx context.Context, w *wallet.Wallet) (err error) {
				if _, _, err = (cards{a.app}).meant(w, card, ""); err == nil { // before a ledger is joined for nothing
					p, err = cards{a.app}.join(ctx, p, card, inv)
					a.agreed = err == nil
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		if at, ok := p.settings.Ledger(inv.Ledger); ok && at.ID != p.id {
			which = func(p place) []place { return []place{p.on(at), p} }
		}
	}
	a.card, a.to = &card, ""
	err = a.withLedgers(cmd, a.access(writes|keeps), which, func(ctx context.Context, s *session) error {
		w := s.all[0].w
		id, _ := w.Ledger()
		a.titles = s.titles
		switch {
		case s.closed != nil && inv.Ledger != id: // which was meant
			return s.closed
		case len(s.all) == 1:
			return a.grant(ctx, w, nil)
		}
		return a.grant(ctx, w, s.all[1].w)
	})
	if a.agreed && errors.Is(err, cli.ErrDeclined) {
		err = errDeclinedRest
	}
	return err
}

// errDeclinedRest: who gives to a card's owner said no after a yes, to joining a ledger or
// to entering records.
const errDeclinedRest fault.Code = "declined/rest"

// grant gives a consent on the ledger of w. Records that are on that of from alone are
// entered there first, after asking; from may be nil.
func (a *grants) grant(ctx context.Context, w, from *wallet.Wallet) error {
	at := w
	if from != nil {
		at = from
	}
	r, err := a.request(ctx, at)
	if err == nil && from != nil {
		r, w, err = a.enter(ctx, w, from, r)
	}
	if err != nil {
		return err
	}
	plan, err := a.plan(ctx, r, w.Grants().Plan)
	if a.list && plan != nil { // also of one that gives nothing: why each part stays
		return errors.Join(a.showPlan(plan, cli.Clean(plan.To.Name)), err)
	}
	if err != nil {
		return err
	}
	role, err := w.Roles().Named(a.role)
	if err != nil && a.role != "" {
		return err
	}
	preview, all := a.asked(plan, nil, &role.Role, groundOf(w), columnsOf(cli.Width(a.err)))
	if err := a.confirm(ctx, preview, "Give this consent?", "", all); err != nil {
		return err
	}
	if plan.New {
		if _, _, err := w.Contacts().Add(ctx, plan.To.Name, plan.To.Address.String()); err != nil {
			return err
		}
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

// enter enters records that are meant on the ledger of w, where they are on that of from
// and not there, after asking. It returns the request and the wallet to give it with.
func (a *grants) enter(ctx context.Context, w, from *wallet.Wallet, r wallet.GrantRequest) (wallet.GrantRequest, *wallet.Wallet, error) {
	here, elsewhere, err := recordsOn(ctx, w, r.Records)
	if err != nil || len(r.Records) > 0 && len(elsewhere) == 0 {
		return r, w, err
	}
	named := r.Records
	r.Records = elsewhere
	plan, err := from.Grants().Plan(ctx, r)
	switch {
	case errors.Is(err, wallet.ErrNotFound) && len(elsewhere) > 0: // on none of the two
		return r, w, err
	case errors.Is(err, wallet.ErrEmpty) && len(elsewhere) > 0:
		return r, from, nil // the records are there, and nothing of them goes
	case errors.Is(err, wallet.ErrNotFound), errors.Is(err, wallet.ErrEmpty): // nothing that is meant is there
		r.Records = named
		return r, w, nil
	case err != nil:
		return r, w, err
	case a.list && len(here) > 0:
		on := func(w *wallet.Wallet, ids []string) string {
			ledger, _ := w.Ledger()
			return strings.Join(list(ids, func(id string) string { return id[:min(8, len(id))] }), ", ") + " on " + cli.Clean(a.titles[ledger])
		}
		return r, w, usage("the records are on two of your ledgers: "+on(w, here)+"; "+on(from, elsewhere), "a list is of one: name it with --ledger, and its records with --record")
	}
	if a.list { // nothing is given, and nothing is entered
		return r, from, nil
	}
	move, err := from.Moves().Plan(ctx, w)
	if err != nil {
		return r, w, err
	}
	ids := list(plan.Records, func(p wallet.RecordPlan) contract.ID { return p.ID })
	missing := slices.DeleteFunc(move.Records, func(r wallet.Record) bool { return !slices.Contains(ids, r.ID) })
	if len(missing) > 0 {
		source, _ := from.Ledger()
		target, _ := w.Ledger()
		rows := cli.Rows{
			{"from", a.titles[source]},
			{"to", a.titles[target] + ", the ledger of " + cli.Clean(plan.To.Name)},
			{"records", strings.Join(list(missing, func(r wallet.Record) string { return cli.Clean(r.Title) + "  " + short(r.ID) }), "\n")},
		}
		preview := "These records are not on the ledger where " + cli.Clean(plan.To.Name) + " can open them. They would be encrypted anew for you alone and entered there, and stay where they are too.\n\n" + rows.Text("  ")
		if err := a.confirm(ctx, preview, "Enter them there?", ""); err != nil {
			return r, w, err
		}
	}
	there, stays, err := from.Moves().Enter(ctx, w, ids, nil)
	a.agreed = a.agreed || len(missing) > 0
	if err != nil {
		return r, w, err
	}
	moving{a.app}.sayStays(stays)
	if len(r.Records) > 0 {
		r.Records = here
		for _, id := range ids {
			r.Records = append(r.Records, there[id].String())
		}
	}
	return r, w, nil
}

// recordsOn divides records that somebody names into those that are on the ledger of w, by
// their ids there, and the rest.
func recordsOn(ctx context.Context, w *wallet.Wallet, named []string) (here, elsewhere []string, err error) {
	for _, query := range named {
		versions, _, err := w.Records().History(ctx, query)
		switch {
		case err == nil:
			here = append(here, versions[0].ID.String())
		case errors.Is(err, wallet.ErrNotFound), errors.Is(err, wallet.ErrInput): // a title can be too short for an id
			elsewhere = append(elsewhere, query)
		default:
			return nil, nil, err
		}
	}
	return here, elsewhere, nil
}

// plan makes the plan of a request. A person is asked what is to become of what carekey
// does not understand.
func (a *grants) plan(ctx context.Context, r wallet.GrantRequest, ask func(context.Context, wallet.GrantRequest) (*wallet.GrantPlan, error)) (*wallet.GrantPlan, error) {
	plan, err := ask(ctx, r)
	nothing := errors.Is(err, wallet.ErrEmpty) && plan != nil
	if err != nil && !nothing {
		return nil, err
	}
	if a.interactive() && !a.flags.yes && !a.list {
		given, aerr := a.askUnknown(ctx, plan)
		if aerr != nil {
			return nil, aerr
		}
		if r.Kinds = given; len(given) > 0 {
			plan, err = ask(ctx, r)
			nothing = errors.Is(err, wallet.ErrEmpty) && plan != nil
		}
	}
	if nothing && !a.list {
		if stays := keptText(plan); stays != "" {
			a.say("%s", "Kept back: "+stays+".")
		}
	}
	return plan, err
}

// askUnknown asks what is to become of what carekey does not understand, once for each
// reason, and returns the kinds of it that go.
func (a *grants) askUnknown(ctx context.Context, p *wallet.GrantPlan) (kinds []string, err error) {
	for _, d := range doubts(p) {
		title := fmt.Sprintf("%s %s: give them?", plural(d.number, "entry", "entries"), d.text)
		if d.number == 1 {
			title = "1 entry " + d.text + ": give it?"
		}
		for again := true; again; {
			// What is typed filters: whoever types no must not find herself at what gives.
			at, err := a.choose(ctx, title, []ui.Item{
				{Label: "no, keep back"}, {Label: "yes, give", Detail: "carekey cannot tell what is sensitive in it"}, {Label: "list", Detail: "what it is"},
			}, false, "what of the unclassified", "--with unclassified")
			if err != nil {
				return nil, err
			}
			switch again = at[0] == 2; at[0] {
			case 1:
				for j := range p.Entries() {
					for _, k := range j.Unclassified {
						if d.holds(j) && slices.Contains(d.reasons, unknownText(k)) && !slices.Contains(kinds, k) {
							kinds = append(kinds, k)
						}
					}
				}
			case 2:
				a.say("%s", sections(p, d.holds, cli.Prose(a.err)))
			}
		}
	}
	return kinds, nil
}

// request reads the flags, and asks for what is missing.
func (a *grants) request(ctx context.Context, w *wallet.Wallet) (wallet.GrantRequest, error) {
	r, err := a.chosen()
	if err != nil {
		return r, err
	}
	if a.card != nil {
		to, known, err := cards{a.app}.meant(w, *a.card, "")
		if err != nil {
			return r, err
		}
		if known {
			r.To = to.Name
		} else {
			r.New = &to
		}
	} else if r.To == "" {
		if r.To, err = a.chooseContact(ctx, w); err != nil {
			return r, err
		}
	} else if _, err := w.Contacts().Named(r.To); err != nil {
		return r, err
	}
	return a.missing(ctx, w, r)
}

// missing asks for what the flags do not say of what goes, and until when.
func (a *grants) missing(ctx context.Context, w *wallet.Wallet, r wallet.GrantRequest) (_ wallet.GrantRequest, err error) {
	if len(r.Records) == 0 && len(r.Select.Categories) == 0 && a.role == "" && !r.All {
		if r.Records, err = a.chooseRecords(ctx, w); err != nil {
			return r, err
		}
	}
	may, err := a.lasts(w, r)
	if err != nil {
		return r, err
	}
	if r.Until, err = a.chooseEnd(ctx, may); err != nil {
		return r, err
	}
	if wallet.InHours(a.length) { // hours are the same on the ledger
		r.NotAfter = r.Until
	}
	return r, nil
}

// chosen reads the flags.
func (a *grants) chosen() (wallet.GrantRequest, error) {
	r := wallet.GrantRequest{To: a.to, Records: a.records, All: a.all, BeyondRole: a.beyond}
	r.Select = health.Selection{Role: a.role, With: a.with, Without: a.without, Whole: a.whole}
	var err error
	if r.Select.Since, r.Select.Until, err = wallet.ParseDates(a.dated); err != nil {
		return r, err
	}
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
	if a.beyond && a.role == "" && !a.answers {
		return r, usage("--beyond-role is of a role", "name it with --role")
	}
	if a.length != "" && a.until != "" {
		return r, usage("--for and --until both say when it ends", "use one of them")
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
		return "", usage("you have no contacts yet", "add one: carekey contact add @CARD, with the file of a card; or name that file here: --to @CARD")
	}
	at, err := a.choose(ctx, "To whom?", items, false, "to whom", "--to NAME")
	if err != nil {
		return "", err
	}
	return items[at[0]].Label, nil
}

func (a *grants) chooseRecords(ctx context.Context, w *wallet.Wallet) ([]string, error) {
	const flags = "--role ROLE, --record ID, --category C or --all"
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

// namedEnd is what --for or --until says.
func (a *grants) namedEnd() (contract.Hour, error) {
	if a.length != "" {
		return wallet.EndAfter(a.length, a.now())
	}
	return wallet.EndOfDay(a.until, a.now())
}

// chooseEnd asks when a consent ends, if no flag says it.
func (a *grants) chooseEnd(ctx context.Context, may func(contract.Hour) bool) (_ contract.Hour, err error) {
	if a.length == "" && a.until == "" {
		if a.length, a.until, _, err = a.askEnd(ctx, may, nil); err != nil {
			return 0, err
		}
	}
	return a.namedEnd()
}

// askEnd asks what --for or --until would say. Offered is what may be, and other, if it is set,
// which leads to something else.
func (a *grants) askEnd(ctx context.Context, may func(contract.Hour) bool, other *ui.Item) (length, until string, another bool, err error) {
	var items []ui.Item
	var flags []string
	for _, l := range lengths {
		end, err := wallet.EndAfter(l.flag, a.now())
		if err != nil {
			return "", "", false, err
		}
		if may(end) {
			items, flags = append(items, ui.Item{Label: l.words, Detail: "until " + both(end)}), append(flags, l.flag)
		}
	}
	items = append(items, ui.Item{Label: "until another day"})
	if other != nil {
		items = append(items, *other)
	}
	at, err := a.choose(ctx, "For how long?", items, false, "for how long", "--for 30d or --until DATE")
	switch {
	case err != nil:
		return "", "", false, err
	case at[0] < len(flags):
		return flags[at[0]], "", false, nil
	case at[0] > len(flags):
		return "", "", true, nil
	}
	until, err = asks(&a.console).Line(ctx, "The last day, as "+a.now().AddDate(0, 6, 0).Format("2006-01-02")+":")
	if err == nil {
		_, err = wallet.EndOfDay(until, a.now())
	}
	return "", until, false, err
}

func (a *grants) show(plan *wallet.GrantPlan, c wallet.Consent, code crypto.FetchCode) error {
	to := plan.To.Name // as it was called here; the address may have other names
	if c.Pending != "" {
		a.say("Signed: consent %s. It waits in your wallet. Its fetch code is good from when it is on the ledger.", short(c.ID))
	} else {
		a.say("Given: consent %s. %s finds it with "+theirs+"inbox.", short(c.ID), to)
	}
	a.say(optional)
	a.data(code)
	if c.Pending == "" {
		a.next("you see it with carekey audit, and end it with carekey revoke %s", short(c.ID))
	}
	return a.result(grantedJSON{consentOf(c), to, code, plan.Gate, chosenOf(plan)})
}

// optional says what a fetch code is good for.
const optional = "The fetch code leads to it too, is not secret, and need not be sent."

type grantedJSON struct {
	consentJSON
	To   string            `json:"to"`
	Code crypto.FetchCode  `json:"code"`
	Gate ledgerclient.Gate `json:"gate"`
	chosenJSON
}

// showPlan lists what a plan would give to who is called so, and what stays; nothing is signed.
func (a *grants) showPlan(p *wallet.GrantPlan, called string) error {
	a.print("%s", sections(p, nil, cli.Prose(a.out)))
	if kept := keptText(p); kept != "" {
		a.say("%s", "Kept back: "+kept+".")
	}
	for _, w := range cautions(p, called, space{columnsOf(cli.Width(a.err)), everything, everything}) {
		a.say("%s", a.ours(w))
	}
	a.say("Nothing was given: this was a list.")
	return a.result(planOf(p))
}
