package main

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
	"github.com/carekey/carekey/wallet/health"
	"github.com/spf13/cobra"
)

// requests are what is asked, on every ledger.
type requests struct{ *session }

// requesting are the commands of requests.
type requesting struct{ *app }

func (a requesting) command() *cobra.Command {
	c := group("request", "What you ask others for, and they ask you", a.newSend(), a.newList(), a.newShow(), a.newApprove(), a.newDeny(), a.newWithdraw())
	c.Long = `Ask somebody for parts of their records, and answer who asks you. A request opens
nothing by itself, and ends by time. Who asks does not learn by it whether you looked. On
the ledger it looks like a consent.`
	return c
}

// asking is the sending of requests.
type asking struct {
	*app
	to, role, dated, purpose, length, until, reason string
	categories, with                                []string
	rows                                            string
	results                                         batchFlags
}

func (a requesting) newSend() *cobra.Command {
	x := &asking{app: a.app}
	c := &cobra.Command{
		Use:   "send (--to NAME | --from FILE) (--role ROLE | --category C...) (--for 30d | --until DATE) --reason TEXT",
		Short: "Ask a contact for parts of their records",
		Long: `Ask a contact for parts of their records, shown first and sent after a yes. Nothing is
opened by it: they approve it, all of it or less, or deny it, and carekey inbox shows you
their answer. They read your reason, and who you are by your card.

With --from the same is asked of many: a file, CSV or JSON Lines, with a contact's name in
a column to. Who has an open request for the same from you already is passed over. What
is stopped in the middle goes on with carekey batch resume.

A request can be answered for 30 days, or until the end that it asks for. To take one
back: carekey request withdraw.`,
		Example: "  carekey request send --to Maria --role pharmacist --for 30d --reason Refill",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (x.to == "") == (x.rows == "") {
				return usage("it is asked of one contact, or of those in a file", "name one with --to, or a file with --from")
			}
			if x.rows != "" {
				return x.many(cmd)
			}
			return a.withWallet(cmd, writes, x.one)
		},
	}
	s := c.Flags()
	s.StringVar(&x.to, "to", "", "whom: a contact's `NAME`")
	s.StringVar(&x.rows, "from", "", "ask all contacts that `FILE` names; - is standard input")
	s.StringVar(&x.role, "role", "", "what a `ROLE` gets: carekey role list")
	s.StringSliceVar(&x.categories, "category", nil, "what is of `CATEGORY`: carekey grant --help")
	s.StringSliceVar(&x.with, "with", nil, "also what goes only by name: `WORD`, see carekey grant --help")
	s.StringVar(&x.dated, "dated", "", "what is of these `DATES`: 2024-03..2025, 2024.., ..2023-06-30 or 2024")
	s.StringVar(&x.purpose, "purpose", "", "`PURPOSE`, see carekey grant --help (default: the role's, or treatment)")
	s.StringVar(&x.length, "for", "", "for how long, from their answer on, `TIME`: 12h, 30d or 6w")
	s.StringVar(&x.until, "until", "", "until the end of that day, `DATE`: 2030-12-31")
	s.StringVar(&x.reason, "reason", "", "why you ask, in `WORDS` that they read")
	c.RegisterFlagCompletionFunc("category", cobra.FixedCompletions(categoryNames(), cobra.ShellCompDirectiveNoFileComp))
	c.RegisterFlagCompletionFunc("purpose", cobra.FixedCompletions(wallet.Purposes(), cobra.ShellCompDirectiveNoFileComp))
	c.RegisterFlagCompletionFunc("role", builtInRoles)
	c.RegisterFlagCompletionFunc("with", cobra.FixedCompletions(append(sensitivityNames(), string(health.Documents)), cobra.ShellCompDirectiveNoFileComp))
	resultFlags(c, &x.results)
	acceptClock(a.app, c)
	return c
}

// plan reads the flags.
func (a *asking) plan(ctx context.Context, w *wallet.Wallet) (*wallet.AskPlan, error) {
	r := wallet.AskRequest{To: a.to, For: a.length, Reason: a.reason, Select: health.Selection{Role: a.role, With: a.with}}
	switch {
	case (a.length == "") == (a.until == ""):
		return nil, usage("it is not said for how long, or twice", "use one of --for and --until")
	case strings.TrimSpace(a.reason) == "":
		return nil, usage("it is not said why", "say it with --reason, in words that they read")
	case a.role == "" && len(a.categories) == 0:
		return nil, usage("it is not said what for", "name --role ROLE or --category C")
	}
	var err error
	if r.Select.Since, r.Select.Until, err = wallet.ParseDates(a.dated); err != nil {
		return nil, err
	}
	for _, c := range a.categories {
		category, err := wallet.ParseCategory(c)
		if err != nil {
			return nil, err
		}
		r.Select.Categories = append(r.Select.Categories, category)
	}
	if a.purpose != "" {
		if r.Purpose, err = wallet.ParsePurpose(a.purpose); err != nil {
			return nil, err
		}
	}
	if a.until != "" {
		if r.Until, err = wallet.EndOfDay(a.until, a.now()); err != nil {
			return nil, err
		}
	}
	return w.Requests().Plan(ctx, r)
}

// asksText is what is asked for, in one line but for the reason.
func asksText(r *wallet.Request) string {
	if r.Scope == nil {
		return "what this carekey cannot read"
	}
	return cli.Clean(r.Scope.Words()) + "; for " + r.Purpose.Word() + ", " + lengthText(r)
}

func lengthText(r *wallet.Request) string {
	if r.For != "" {
		return "for " + r.For
	}
	return "until " + both(r.Until)
}

// said is what the other side says, in one line of words that are no others'.
func said(reason string) string { return strings.Join(strings.Fields(cli.Clean(reason)), " ") }

// preview is a request before it is sent.
func (a *asking) preview(p *wallet.AskPlan, whom string) string {
	r := wallet.Request{Scope: &p.Ask.Scope, Purpose: p.Purpose, For: p.Ask.For, Until: wallet.Hour(p.Ask.Until)}
	columns := columnsOf(cli.Width(a.err))
	wrap := func(s string) string { return cli.Wrap(s, columns-14) }
	rows := cli.Rows{{"of", wrap(whom)}, {"asks for", wrap(asksText(&r))}, {"reason", wrap(said(p.Ask.Reason))}, {"answer by", both(p.AnswerBy)}}
	return "You are about to send a request.\n\n" + rows.Text("  ") + "\n" + cli.Wrap("It opens nothing. They read your reason and your address, and you do not see whether they did.", columns)
}

func (a *asking) one(ctx context.Context, w *wallet.Wallet) error {
	p, err := a.plan(ctx, w)
	if err != nil {
		return err
	}
	whom := cli.Clean(p.To.Name)
	if !p.To.Verified {
		whom += ", NOT VERIFIED, check words not compared yet"
	}
	if err := a.confirm(ctx, a.preview(p, whom), "Send this request?", ""); err != nil {
		return err
	}
	r, err := w.Requests().Send(ctx, p)
	if err != nil && !errors.Is(err, wallet.ErrPending) {
		return err
	}
	if err == nil {
		a.say("Sent: request %s. %s finds it with "+theirs+"request list.", short(r.ID), cli.Clean(p.To.Name))
		a.next("their answer: carekey inbox")
	} else {
		a.say("Signed: request %s. It waits in your wallet.", short(r.ID))
	}
	return errors.Join(a.result(requestOf(r)), err)
}

// many asks the same of all whom a file names, as a batch.
func (a *asking) many(cmd *cobra.Command) error {
	b := batches{a.app}
	if err := b.checkResults(a.results); err != nil {
		return err
	}
	in, err := b.open(cmd.Context(), a.rows)
	if err != nil {
		return err
	}
	defer in.Close()
	return a.withWallet(cmd, writes, func(ctx context.Context, w *wallet.Wallet) error {
		defer frugal()()
		ask, err := a.plan(ctx, w)
		if err != nil {
			return err
		}
		p, err := batch.MakeAsk(ctx, w, in.r, filepath.Base(in.name), ask)
		if bad, ok := errors.AsType[*batch.LinesError](err); ok {
			for i := range bad.Problems {
				bad.Problems[i].File = in.name
			}
		}
		if err != nil {
			return err
		}
		if p.Already > 0 {
			a.say("%s asked the same already, and can still answer: passed over.", plural(p.Already, "contact was", "contacts were"))
		}
		if len(p.Items) == 0 {
			return b.show(batch.Status{File: p.File, Finished: true}, "")
		}
		whom := plural(len(p.Items), "contact", "contacts")
		if n := len(slices.DeleteFunc(slices.Clone(p.Items), func(x batch.Item) bool { return x.Verified })); n > 0 {
			whom += ", " + thousands(n) + " of them NOT VERIFIED"
		}
		if err := a.confirm(ctx, a.preview(ask, whom), "Send a request to each?", ""); err != nil {
			return err
		}
		s, err := b.carryOn(batch.Status{Items: len(p.Items)}, func(progress func(batch.Status)) (batch.Status, error) { return batch.Apply(ctx, w, p, progress) })
		return b.ended(ctx, w, s, err, a.results)
	})
}

func (a requesting) newList() *cobra.Command {
	var sent, strangers, all bool
	c := &cobra.Command{
		Use:   "list [--sent | --strangers] [--all]",
		Short: "List what you were asked for, on every ledger of this wallet",
		Long: `List what you were asked for and can answer; of each contact the three newest. Who is no
contact, and whom you never gave or wrote anything, is counted: --strangers shows their 20
newest of the last 30 days. --all shows all, answered and over ones too, and reads what is
put off when strangers send much. With --sent it lists what you asked for.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if sent && strangers {
				return usage("--sent is what you asked, --strangers who asks you", "use one of them")
			}
			return onEvery(a.app, looks, func(a requests, ctx context.Context, _ []string) error { return a.list(ctx, sent, strangers, all) })(cmd, args)
		},
	}
	c.Flags().BoolVar(&sent, "sent", false, "what you asked others for")
	c.Flags().BoolVar(&strangers, "strangers", false, "what is asked by people you do not know")
	c.Flags().BoolVar(&all, "all", false, "all of them")
	return c
}

// What is shown of requests where not all is asked for.
const (
	shownOfOne       = 3
	shownOfStrangers = 20
	strangersFor     = 30 * 24 // hours
)

func (a requests) list(ctx context.Context, sent, strangers, every bool) error {
	all, n, failed := collect(ctx, a.session, func(w *wallet.Wallet) (rs []wallet.Request, err error) {
		err = w.Look(ctx, func() error {
			if every && !sent {
				if _, err := w.Inbox().Every().List(ctx); err != nil {
					return err
				}
			}
			rs, err = w.Requests().List(ctx, sent)
			return err
		})
		return rs, err
	})
	if n == 0 {
		return failed
	}
	rs := slices.DeleteFunc(slices.Clone(all), func(r wallet.Request) bool {
		return !sent && r.Stranger != strangers && !every || !sent && !every && r.Status != wallet.RequestOpen
	})
	if strangers && !every {
		now := wallet.Hour(a.now().Unix() / 3600)
		rs = slices.DeleteFunc(rs, func(r wallet.Request) bool { return r.Sent+strangersFor < now })
		rs = rs[max(0, len(rs)-shownOfStrangers):]
	}
	if a.flags.json {
		return errors.Join(a.result(list(rs, requestOf)), failed)
	}
	folded := rs
	var more []string
	if !sent && !strangers && !every {
		folded, more = folds(rs)
	}
	switch {
	case len(folded) > 0:
		failed = errors.Join(a.table(folded), failed)
	case sent:
		a.say("You asked nobody for anything.")
	default:
		a.say("Nobody asks you for anything that is shown here.")
	}
	for _, line := range more {
		a.print("%s", line)
	}
	if !sent && !strangers && !every {
		if line := strangersText(all); line != "" {
			a.print("%s", line)
		}
	}
	if i := slices.IndexFunc(folded, func(r wallet.Request) bool { return !r.Mine && r.Status == wallet.RequestOpen }); i >= 0 {
		a.next("carekey request show %s", short(folded[i].ID))
	}
	return failed
}

// folds keeps of each sender the newest requests, and counts the others.
func folds(rs []wallet.Request) (kept []wallet.Request, more []string) {
	return foldsOf(rs, func(r wallet.Request) string { return person(r.Name, r.Address) }, "carekey request list --all")
}

// foldsOf is folds of what of says who sent it; all is what shows all of it.
func foldsOf[T any](rs []T, of func(T) string, all string) (kept []T, more []string) {
	left := map[string]int{}
	for i := len(rs) - 1; i >= 0; i-- {
		who := of(rs[i])
		if left[who]++; left[who] <= shownOfOne {
			kept = append(kept, rs[i])
		}
	}
	slices.Reverse(kept)
	var names []string
	for who, n := range left {
		if n > shownOfOne {
			names = append(names, who)
		}
	}
	slices.Sort(names)
	for _, who := range names {
		more = append(more, thousands(left[who]-shownOfOne)+" more of "+who+": "+all)
	}
	return kept, more
}

// strangersText counts what people ask whom the owner does not know; "" if there are none.
func strangersText(all []wallet.Request) string {
	n := 0
	for _, r := range all {
		if r.Stranger && !r.Mine && r.Status == wallet.RequestOpen {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return plural(n, "request", "requests") + " of people whom you do not know: carekey request list --strangers"
}

// asker is who asks, or is asked.
func asker(r *wallet.Request) string {
	if r.Mine {
		return person(r.Name, r.Address)
	}
	var from wallet.Received
	from.From, from.Address, from.Says = r.Name, r.Address, r.Says
	return sender(from)
}

func (a requests) table(rs []wallet.Request) error {
	who := "from"
	if rs[0].Mine {
		who = "of"
	}
	t := a.onLedgers(ui.Key("request"), ui.Text(who), ui.Title("asks for"), ui.Word("for"), ui.Word("length"), ui.Word("answer by"), ui.Word("status"))
	t.Of, t.ID = "requests", func(i int) string { return rs[i].ID.String() }
	when := datesOn(a.out, a.now)
	for i := range rs {
		r := &rs[i]
		words, length := "", r.For
		if r.Scope != nil {
			words = cli.Clean(r.Scope.Words())
		}
		if length == "" && r.Until != 0 {
			length = when.near(r.Until)
		}
		t.Add(a.withTitle([]string{short(r.ID), asker(r), words, r.Purpose.Word(), length, when.near(r.AnswerBy), string(r.Status)}, a.titles[r.Ledger])...)
	}
	return a.session.table(t)
}

// one finds a request, and the ledger that it is on.
func (a requests) one(ctx context.Context, id string) (wallet.Request, *opened, error) {
	return find(ctx, a.session, id, func(o *opened) (wallet.Request, string, error) {
		r, err := o.w.Requests().Show(ctx, id)
		return r, r.ID.String(), err
	})
}

func (a requesting) newShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show one request, and what became of it",
		RunE: onEvery(a.app, looks, func(a requests, ctx context.Context, args []string) error {
			r, _, err := a.one(ctx, args[0])
			if err != nil {
				return err
			}
			return a.show(r)
		}),
	}
}

func (a requests) show(r wallet.Request) error {
	columns := columnsOf(cli.Width(a.out))
	wrap := func(s string) string { return cli.Wrap(s, columns-12) }
	who := "from"
	if r.Mine {
		who = "of"
	}
	name := asker(&r)
	switch {
	case r.Verified:
		name += ", check words compared"
	case r.Name != "":
		name += ", NOT VERIFIED, check words not compared yet"
	}
	rows := cli.Rows{{"request", r.ID.String()}, {who, wrap(name)}, {"", wrap(checkWords(r.Address))}}
	rows = append(rows, cli.Rows{{"asks for", wrap(asksText(&r))}}...)
	if r.Reason != "" {
		rows.Add("reason", wrap(said(r.Reason)+" (their words)"))
	}
	if r.Sent != 0 {
		rows.Add("sent", both(r.Sent))
	}
	rows.Add("answer by", both(r.AnswerBy))
	rows.Add("status", wrap(becameText(&r)))
	a.rows(rows)
	if !r.Mine && r.Status == wallet.RequestOpen {
		if r.Name == "" {
			a.say("Who asks is no contact of yours, and nobody vouches for what they say. Their address: %s", addressText(r.Address))
			a.next("to approve it, keep them under a name first: carekey contact add NAME ADDRESS")
		} else {
			a.next("carekey request approve %s, or carekey request deny %s", short(r.ID), short(r.ID))
		}
	}
	return a.result(requestOf(r))
}

// becameText says what became of a request.
func becameText(r *wallet.Request) string {
	out := string(r.Status)
	if r.Answered != 0 {
		out += " on " + both(r.Answered)
	}
	if r.Status == wallet.RequestApproved {
		out += ": consent " + short(r.Consent) + " says what was given"
	}
	if r.Why != "" {
		out += ": " + said(r.Why)
	}
	return out
}

func (a requesting) newApprove() *cobra.Command {
	g := &grants{app: a.app, answers: true}
	c := &cobra.Command{
		Use:   "approve ID [--category C...] [--without C...] [--for 30d | --until DATE]",
		Short: "Give what was asked for, or less",
		Long: "Show what was asked for, what would be given and what is kept back, ask, and give it. What\nyou do not name is as it was asked for; the flags of carekey grant narrow it. What goes\nbeyond what was asked is said.\n\n" +
			whatGoes,
		Example: "  carekey request approve 1a2b3c4d --without hiv --for 7d",
		RunE: onEvery(a.app, writes, func(a requests, ctx context.Context, args []string) error {
			r, on, err := a.one(ctx, args[0])
			if err != nil {
				return err
			}
			return g.approve(ctx, on.w, r)
		}),
	}
	g.chooses(c)
	s := c.Flags()
	s.StringVar(&g.length, "for", "", "how long it lasts, `TIME`: 12h, 30d or 6w (default: as asked)")
	s.StringVar(&g.from, "from", "", "the first day, `DATE` (default: at once)")
	acceptClock(a.app, c)
	return c
}

func (a *grants) approve(ctx context.Context, w *wallet.Wallet, asked wallet.Request) error {
	r, err := a.chosen()
	if err != nil {
		return err
	}
	if a.length != "" || a.until != "" {
		if r.Until, err = a.namedEnd(); err != nil {
			return err
		}
		if wallet.InHours(a.length) {
			r.NotAfter = r.Until
		}
	}
	plan, err := a.plan(ctx, r, func(ctx context.Context, r wallet.GrantRequest) (*wallet.GrantPlan, error) {
		return w.Requests().PlanAnswer(ctx, asked.ID.String(), r)
	})
	if a.list && plan != nil {
		return errors.Join(a.showPlan(plan, cli.Clean(plan.To.Name)), err)
	}
	if err != nil {
		return err
	}
	role := health.Role{}
	name := a.role
	if plan.Scope != nil { // or that of the request
		name = cmp.Or(name, plan.Scope.Role)
	}
	if name != "" {
		own, err := w.Roles().Named(name)
		if err != nil {
			return err
		}
		role = own.Role
	}
	preview, all := a.asked(plan, nil, &role, groundOf(w), columnsOf(cli.Width(a.err)))
	if err := a.confirm(ctx, preview, "Give this consent?", "", all); err != nil {
		return err
	}
	c, code, err := w.Requests().Give(ctx, plan)
	if err != nil && !errors.Is(err, wallet.ErrPending) {
		return err
	}
	if perr := a.show(plan, c, code); perr != nil {
		return perr
	}
	return err
}

func (a requesting) newDeny() *cobra.Command {
	var reason string
	var silent bool
	c := &cobra.Command{
		Use:   "deny ID [--reason TEXT | --silent]",
		Short: "Decline a request",
		Long: `Decline a request, and tell who asked. With --silent nothing is sent: they see no answer,
and the request ends by its time.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if silent && reason != "" {
				return usage("who declines in silence gives no reason", "use one of --reason and --silent")
			}
			return onEvery(a.app, writes|keeps, func(a requests, ctx context.Context, args []string) error {
				r, on, err := a.one(ctx, args[0])
				if err != nil {
					return err
				}
				told := "They are told, with your address."
				if silent {
					told = "They are not told."
				}
				if err := a.confirm(ctx, asker(&r)+" asks for: "+asksText(&r)+".\n"+told, "Decline it?", ""); err != nil {
					return err
				}
				r, err = on.w.Requests().Deny(ctx, r.ID.String(), reason, silent)
				if err != nil && !errors.Is(err, wallet.ErrPending) {
					return err
				}
				a.say("Declined: request %s.", short(r.ID))
				return errors.Join(a.result(requestOf(r)), err)
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, in `WORDS` that they read")
	c.Flags().BoolVar(&silent, "silent", false, "send nothing")
	acceptClock(a.app, c)
	return c
}

func (a requesting) newWithdraw() *cobra.Command {
	c := &cobra.Command{
		Use:   "withdraw ID",
		Short: "Take back a request that you sent",
		Long:  "Take back a request that you sent: it can be approved no more. What was read stays read.",
		RunE: onEvery(a.app, writes, func(a requests, ctx context.Context, args []string) error {
			r, on, err := a.one(ctx, args[0])
			if err != nil {
				return err
			}
			if err := a.confirm(ctx, "You asked "+asker(&r)+" for: "+asksText(&r)+".", "Take it back?", ""); err != nil {
				return err
			}
			r, err = on.w.Requests().Withdraw(ctx, r.ID.String())
			if err != nil && !errors.Is(err, wallet.ErrPending) {
				return err
			}
			a.say("Taken back: request %s.", short(r.ID))
			return errors.Join(a.result(requestOf(r)), err)
		}),
	}
	acceptClock(a.app, c)
	return c
}

// requestJSON is a request with its names in words.
type requestJSON struct {
	wallet.Request
	Who     string `json:"who"` // contact, else address
	Address string `json:"address"`
	Known   bool   `json:"known"` // the other side is a contact
	Purpose string `json:"purpose"`
}

func requestOf(r wallet.Request) requestJSON {
	return requestJSON{r, who(r.Name, r.Address), addressText(r.Address), r.Name != "", r.Purpose.Word()}
}
