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
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func newAudit(a *app) *cobra.Command {
	var f filter
	var again bool
	c := &cobra.Command{
		Use:   "audit [--all] [--to NAME] [--record ID] [--after DATE] [--limit N]",
		Short: "What happened to your consents, as the ledger and its keepers show it, newest last",
		Long: `List what happened to your consents on every ledger of this wallet, newest last:
given, opened, refused, revoked. Every line was verified, and an entry of these
consents that the ledger's signed head covers and does not show is an error here, not
a gap. What gave no answer is named, and ends with exit 8. Times are the ledger's, in
full hours.

The keepers are asked about open consents each time. Of one that has ended, and whose
share they destroyed, what they filed is kept in your wallet and shown as of the hour in
which they were asked; attempts that they refused since are not in it. With --all they
are asked again, and the store for what was said with each opening.

Of a link the ledger shows the hours with an opening, and what the first who opened it
in each has typed. How often it was opened says its node alone: that stands below, in
its words. It is asked about links that are open, or ended within 30 days; with --all
about all of them.

How far an opening leaves an entry that you see depends on the ledger:
` + openingsInHelp,
		Example: "  carekey audit --to 'Dr Smith' --after 2026-11-01",
		Args:    cli.NoVerb,
		RunE:    onEvery(a, looks, func(a events, ctx context.Context, _ []string) error { return a.audit(ctx, f, again) }),
	}
	f.whoFlag(c, "to", "only what concerns the contact `NAME`, or an address")
	c.Flags().StringVar(&f.record, "record", "", "only consents to the record `ID`, or of that title")
	c.Flags().StringVar(&f.after, "after", "", "only what happened on the day `DATE` or later: 2026-11-21")
	c.Flags().BoolVar(&again, "all", false, "ask again about consents that have ended too")
	c.AddCommand(new(auditExport).command(a))
	return c
}

// events is what happened to consents, on every ledger.
type events struct{ *session }

// happened is all of it, in the order of time, and why it is not: then it is what some of
// the ledgers have, or nothing at all. With again nothing is taken from what was kept.
func (a events) happened(ctx context.Context, again bool) (es []wallet.Event, n int, failed error) {
	es, n, failed = collect(ctx, a.session, func(w *wallet.Wallet) ([]wallet.Event, error) {
		audit := w.Audit()
		if again {
			audit = audit.Again()
		}
		return audit.Events(ctx)
	})
	slices.SortStableFunc(es, func(x, y wallet.Event) int { return cmp.Compare(x.Hour, y.Hour) })
	return es, n, failed
}

// tamperedIn is that a reason is not the one that was given; nil if none is.
func tamperedIn(es []wallet.Event) error {
	for _, e := range es {
		if e.Damaged {
			return &ledgerclient.TamperedError{What: "reason of an access to consent " + e.Consent.String()}
		}
	}
	return nil
}

func (a events) audit(ctx context.Context, f filter, again bool) error {
	x, err := f.look(ctx, a.session)
	if err != nil {
		return err
	}
	all, n, failed := a.happened(ctx, again)
	if n == 0 {
		return failed
	}
	if x.lost != nil && !slices.ContainsFunc(all, func(e wallet.Event) bool { return slices.ContainsFunc(e.Records, x.isRecord) }) {
		return x.lost
	}
	es := pick(a.session, all, func(e wallet.Event) (yes, unknown bool) {
		if e.Hour < x.begin {
			return false, false
		}
		return x.has(e.Address, e.Records)
	})
	failed = worse(worse(failed, tamperedIn(es)), missingIn(a.all, es))
	es = newest(a.session, &x, es)
	operators, unsaid, err := a.operators(ctx, es, again)
	if err != nil {
		return err
	}
	failed = worse(failed, unsaid)
	if a.flags.json {
		first := saidOnce(operators)
		err = a.result(list(es, func(e wallet.Event) eventJSON {
			j := eventOf(e)
			if said, ok := first(e); ok {
				j.Operator = new(linkSaidJSON)
				*j.Operator = linkSaidOf(said)
			}
			return j
		}))
	} else {
		err = a.table(es)
	}
	if err != nil {
		return err
	}
	first := saidOnce(operators)
	for _, e := range es {
		if said, ok := first(e); ok && !a.flags.json {
			alone, _ := matched(es, e.Consent, said)
			a.print("\nLink %s, %s.\n%s", short(e.Consent), titles(e.Records), operatorSays(a.nameOf(e.Ledger), said)+unlisted(alone))
		}
	}
	if kept := keptIn(es); kept != "" {
		a.say("%s", kept)
	}
	if failed != nil {
		return failed
	}
	if len(es) == 0 && len(all) > 0 {
		a.say("Nothing like that has happened.")
		return nil
	}
	if len(es) == 0 {
		a.say("Nothing has happened: you gave no consents.")
		return nil
	}
	events := plural(len(es), "event", "events")
	if len(es) < len(all) {
		events += " of " + thousands(len(all))
	}
	a.say("Verified: %s: %s.\n%s", events, leastOf(a.all).says(allShown), limits(groundsOf(a.all)))
	return nil
}

// nameOf is what a ledger is called.
func (a events) nameOf(id crypto.LedgerID) string {
	for _, o := range a.all {
		if o.id() == id {
			return o.w.LedgerName()
		}
	}
	return ""
}

// saidOnce gives what the node of a link says of it with the first of its events alone that it
// may stand beside: which that is depends on which events are shown.
func saidOnce(operators map[contract.ID]ledgerclient.LinkAnswer) func(wallet.Event) (ledgerclient.LinkAnswer, bool) {
	told := map[contract.ID]bool{}
	return func(e wallet.Event) (said ledgerclient.LinkAnswer, ok bool) {
		if e.What != wallet.Granted && e.What != wallet.Opened || told[e.Consent] {
			return said, false
		}
		told[e.Consent] = true
		said, ok = operators[e.Consent]
		return said, ok
	}
}

// operators are what the nodes of links among events say of them; unsaid is why one says
// nothing. all asks about links that ended long ago, too.
func (a events) operators(ctx context.Context, es []wallet.Event, all bool) (said map[contract.ID]ledgerclient.LinkAnswer, unsaid, err error) {
	said = map[contract.ID]ledgerclient.LinkAnswer{}
	for _, o := range a.all {
		over := map[contract.ID]wallet.Hour{}
		var ids []contract.ID
		for _, e := range es {
			if e.Ledger != o.id() || !e.Link {
				continue
			}
			if (e.What == wallet.Granted || e.What == wallet.Opened) && !slices.Contains(ids, e.Consent) {
				ids = append(ids, e.Consent)
			}
			over[e.Consent] = max(over[e.Consent], e.KeepersAsOf)
		}
		now := wallet.Hour(a.now().Unix() / 3600)
		ids = slices.DeleteFunc(ids, func(id contract.ID) bool { return !all && over[id] != 0 && over[id]+30*24 < now })
		if len(ids) == 0 {
			continue
		}
		answers, errs, err := o.w.Links().Said(ctx, ids)
		if err != nil {
			return nil, nil, err
		}
		for i, id := range ids {
			if errs[i] == nil {
				said[id] = answers[i]
			} else if !errors.Is(errs[i], wallet.ErrLinkLost) || over[id] == 0 {
				unsaid = worse(unsaid, a.onLedger(o.id(), errs[i]))
			}
		}
	}
	return said, unsaid, nil
}

// keptIn says of which consents the keepers were not asked now; "" if they were of all.
func keptIn(es []wallet.Event) string {
	of := map[crypto.Hash]bool{}
	var oldest wallet.Hour
	for i := range es {
		if h := es[i].KeepersAsOf; h != 0 {
			of[es[i].Consent] = true
			if oldest == 0 || h < oldest {
				oldest = h
			}
		}
	}
	if len(of) == 0 {
		return ""
	}
	text := "Of %s, refused attempts and the keepers' word are as of %s."
	if len(of) > 1 {
		text = "Of %s, refused attempts and the keepers' word are as of %s or later."
	}
	return fmt.Sprintf(text+"\nTo ask about them again: carekey audit --all", plural(len(of), "consent that has ended", "consents that have ended"), day(oldest))
}

// missingIn is what these events of the ledgers lack; nil if nothing.
func missingIn(all []*opened, es []wallet.Event) error {
	seen, lacking := map[string]bool{}, map[string]int{}
	for _, o := range all { // of a consent that was given elsewhere since, nothing is known here
		if groundOf(o.w).away && !slices.ContainsFunc(es, func(e wallet.Event) bool { return e.Ledger == o.id() }) {
			lacking["ledger"] += 0
		}
	}
	for i := range es {
		for _, m := range es[i].Missing {
			if key := m + es[i].Consent.String(); !seen[key] {
				seen[key] = true
				lacking[m]++
			}
		}
	}
	return notAll(all, lacking)
}

// Not all of what was asked for could be had. lacks
const (
	errIncomplete fault.Code = "incomplete"
	errDoubtful   fault.Code = "incomplete/tampered" // for something does not verify
)

// notAll is the error of what the ledgers show; lacking says by service of how many
// consents it is not all, 0 if none of them is known.
func notAll(all []*opened, lacking map[string]int) error {
	var why error
	var behind ground // of a ledger that is out of reach
	for _, o := range all {
		if _, away := o.w.Log().OutOfReach(); why == nil {
			why = away
		}
		if g := groundOf(o.w); g.away {
			behind = g
		}
	}
	if len(lacking) == 0 || why == nil {
		return nil
	}
	var lacks []string
	for _, of := range []struct{ service, one, many string }{
		{"ledger", "what came since, of 1 consent", "what came since, of %d consents"},
		{"keeper", "refused attempts and the keeper's word, of 1 consent", "refused attempts and the keepers' word, of %d consents"},
		{"store", "reasons of openings, of 1 consent", "reasons of openings, of %d consents"},
	} {
		switch n, any := lacking[of.service]; {
		case any && n == 0:
			lacks = append(lacks, "what came since")
		case n == 1:
			lacks = append(lacks, of.one)
		case n > 1:
			lacks = append(lacks, fmt.Sprintf(of.many, n))
		}
	}
	text := strings.Join(lacks, ";\n")
	if behind.away {
		text += ".\nShown is " + behind.says(allShown)
	}
	code := errIncomplete
	if explain(why).Exit == cli.ExitTampered {
		code = errDoubtful
	}
	return code.Of(why, "lacks", text)
}

// reasonOf is what the recipient said with an opening, or why that is not there.
func reasonOf(e wallet.Event) (said, quiet string) {
	switch {
	case slices.Contains(e.Missing, "store"):
		return "", "out of reach"
	case e.Damaged:
		return "", "TAMPERED WITH in the store"
	case !e.HasReason:
		return "", "cannot be read"
	case e.Reason == "":
		return "", "none was given"
	}
	return e.Reason, ""
}

// looked is who opened it: whom the consent names, and what is said of who that was.
func looked(e wallet.Event) string {
	name := receiver(e.Who, e.Address, e.Link)
	switch {
	case e.By != "" && e.Link:
		name = "by link (typed: " + e.By + ")"
	case e.By != "":
		name += " (says: " + e.By + ")"
	}
	return name
}

// moreText says how often a keeper refused and only counted it. Of several each counts what it
// was asked itself: another may have filed some of that, or counted others.
func moreText(e wallet.Event) string {
	if e.Keeper.Of > 1 {
		return fmt.Sprintf("%d times more at %s, which only counted them", e.More, keeperName(e.Keeper))
	}
	return fmt.Sprintf("%d more times, which the keeper only counted", e.More)
}

func (a events) table(es []wallet.Event) error {
	t := a.onLedgers(ui.Word("time"), ui.Word("what"), ui.Text("who"), ui.Text("records"), ui.Word("for"), ui.Text("reason"), ui.Key("consent"))
	t.Of, t.ID = "consent", func(i int) string { return es[i].Consent.String() }
	t.Aside = func(i int) (text, keys string) { return a.told(es[i]).Text(""), "enter: the consent" }
	when := datesOn(a.out, a.now)
	for _, e := range es {
		what, name, reason := happening(e)
		cells := []string{when.hour(e.Hour), what, name, titles(e.Records), e.Purpose.Word(), reason, short(e.Consent)}
		t.Add(a.withTitle(cells, a.titles[e.Ledger])...)
	}
	return a.session.table(t)
}

// happening is what an event was, by whom, and what is said to it.
func happening(e wallet.Event) (what, name, reason string) {
	what, name = string(e.What), receiver(e.Who, e.Address, e.Link)
	switch e.What {
	case wallet.Opened:
		name = looked(e)
		said, quiet := reasonOf(e)
		if reason = said; quiet != "" {
			reason = "(" + quiet + ")"
		}
	case wallet.Refused:
		what, reason = "tried, refused", "because: "+e.Code.String()
		if len(e.Keepers) > 0 {
			reason += fmt.Sprintf(" (%d of %d keepers)", len(e.Keepers), e.Keepers[0].Of)
		}
		if e.More > 0 {
			reason = moreText(e)
		}
	case wallet.Stopped:
		what, name = "stopped", keeperName(e.Keeper)
	case wallet.Destroyed:
		what, name = "share destroyed", keeperName(e.Keeper)
	}
	if !e.Verified {
		what += " (NOT VERIFIED)"
	}
	return what, name, reason
}

// told is what is known of an event.
func (a events) told(e wallet.Event) cli.Rows {
	what, name, reason := happening(e)
	rows := cli.Rows{{"time", both(e.Hour)}, {"what", what}, {"who", cli.Clean(name)}}
	if len(e.Records) > 0 {
		rows.Add("records", lined(list(e.Records, titleOf)))
	}
	rows.Add("for", e.Purpose.Word())
	if reason != "" {
		rows.Add("reason", cli.Clean(reason))
	}
	if title := a.titles[e.Ledger]; title != "" {
		rows.Add("ledger", title)
	}
	rows.Add("consent", short(e.Consent))
	return rows
}
