package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
	"github.com/spf13/cobra"
)

func newStatus(a *app) *cobra.Command {
	var asks check
	c := &cobra.Command{
		Use:   "status [--check]",
		Short: "Who can see what until when, and what happened since you last looked",
		Long: `Show who can see what until when, what was opened or refused since you last looked, what
was granted to you and never fetched, and what waits to be sent.

With --check the exit code is 9 if any of these is so; --json names them in the field toDo:

  pending   something that you signed is not on the ledger yet
  inbox     something can be fetched and never was
  requests  somebody whom you know asks you for something
  delivered somebody whom you know delivered something to you, and it waits
  accesses  something was opened, or an attempt was refused, since you last looked
  ending    a consent of yours ends within 7 days
  words     it is time to check your 24 words
  backup    it is time for a backup

With --check nothing counts as looked at: what is new stays new for you. What could not be
looked at goes before it: exit code 5 says that nobody knows.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withLedgers(cmd, looks, everywhere, func(ctx context.Context, s *session) error {
				return (&overview{session: s, asks: asks}).status(ctx)
			})
		},
	}
	asks.flag(c, "there is something to do, or new: see above")
	return c
}

// endsSoon is before its end when a consent is said to end.
const endsSoon = 7 * 24 * time.Hour

// soon reports whether that is so soon.
func soon(until wallet.Hour, now time.Time) bool { return wallet.HourTime(until).Sub(now) <= endsSoon }

// toDoTexts are what can be to do or new, in the order of toDo.
var toDoTexts = map[string]string{
	"pending": "changes to send", "inbox": "consents to fetch", "requests": "requests to answer", "delivered": "deliveries to accept", "accesses": "accesses to look at",
	"ending": "consents that end soon", "words": "your 24 words to check", "backup": "a backup to make",
}

// toDo is what there is to do or new, in words for programs.
func (a *overview) toDo() []string {
	out := []string{}
	if len(a.pending) > 0 || len(a.waiting()) > 0 {
		out = append(out, "pending")
	}
	if len(a.Inbox) > 0 {
		out = append(out, "inbox")
	}
	if a.requests > 0 {
		out = append(out, "requests")
	}
	if a.delivered > 0 {
		out = append(out, "delivered")
	}
	if len(a.Accesses) > 0 {
		out = append(out, "accesses")
	}
	if slices.ContainsFunc(a.Consents, func(c wallet.Consent) bool {
		return c.Status == wallet.StatusActive && !c.Over && soon(c.Until, a.now())
	}) {
		out = append(out, "ending")
	}
	return append(out, due(a.care, a.now())...)
}

// waiting are the links of which their node has not got what is behind them.
func (a *overview) waiting() []wallet.Consent {
	return slices.DeleteFunc(slices.Clone(a.Consents), func(c wallet.Consent) bool { return !c.Waits })
}

// unlockedUntil is when what holds the key unlocked ends; zero if nothing did for this
// command.
func (a *overview) unlockedUntil() time.Time {
	u, _ := a.held.(keyring.Unlocked)
	return u.Until
}

func codeOf(err error) string { return explain(err).Code }

// overview is what there is on each ledger, put together.
type overview struct {
	*session
	wallet.Summary
	asks    check
	peeks   bool           // nothing counts as looked at
	before  []wallet.Event // accesses that were new before, and still are shown
	name    string         // the owner's
	care    wallet.Care
	seen    []*opened // those that it is of
	grounds []ground  // of these
	part    bool      // another one could not be read
	pending []pendingJSON

	requests, strangers  int // that can be answered, of whom the owner knows, and of others
	delivered, uninvited int // deliveries that wait, likewise

	p      place
	places []placeJSON
}

func (a *overview) status(ctx context.Context) (err error) {
	failed := a.look(ctx)
	if len(a.seen) == 0 {
		return failed
	}
	if err := a.askLinks(ctx, a.Consents); err != nil {
		return err
	}
	if a.p, err = a.place(); err != nil {
		return err
	}
	if a.places, err = (ledgers{a.app}).places(a.p); err != nil {
		return err
	}
	for i := range a.places {
		for n, o := range a.seen {
			if l := &a.places[i]; l.ID == o.id() {
				g := a.grounds[n]
				l.Gate, l.Operators, l.AsOf = string(g.Gate), max(1, g.Operators), instant(g.since)
				if l.Witnesses, err = witnessed(ctx, o.w); err != nil {
					return errors.Join(a.onLedger(l.ID, err), failed)
				}
			}
		}
	}
	show := a.text
	if a.flags.json {
		show = a.json
	}
	if err := show(); err != nil || failed != nil {
		return errors.Join(err, failed)
	}
	return a.asks.answer(list(a.seen, walletOf), list(a.toDo(), func(word string) string { return toDoTexts[word] })...)
}

// look puts the ledgers' summaries together. The error is what could not be read.
func (a *overview) look(ctx context.Context) error {
	_, failed := a.each(ctx, func(o *opened) error {
		look := o.w.Audit().Status
		if bool(a.asks) || a.peeks {
			look = o.w.Audit().Peek
		}
		var s wallet.Summary
		var known, strangers, delivered, uninvited int
		err := o.w.Look(ctx, func() (err error) {
			if s, err = look(ctx); err == nil {
				known, strangers, err = o.w.Requests().Count(ctx)
			}
			if err == nil {
				delivered, uninvited, err = o.w.Grants().Deliveries().Count(ctx)
			}
			return err
		})
		if err != nil {
			return err
		}
		a.seen = append(a.seen, o)
		a.Consents = append(a.Consents, s.Consents...)
		a.Accesses = append(a.Accesses, s.Accesses...)
		a.Inbox, a.Fetched = append(a.Inbox, s.Inbox...), append(a.Fetched, s.Fetched...)
		a.Ended += s.Ended
		a.requests, a.strangers = a.requests+known, a.strangers+strangers
		a.delivered, a.uninvited = a.delivered+delivered, a.uninvited+uninvited
		a.ByClock += s.ByClock
		a.Records += s.Records
		a.Unasked += s.Unasked
		a.Contacts = s.Contacts
		for _, p := range s.Pending {
			j, id := pendingOf(p), o.id()
			j.Ledger = &id
			a.pending = append(a.pending, j)
		}
		a.Silent = append(a.Silent, s.Silent...)
		for _, m := range s.Missing {
			if !slices.Contains(a.Missing, m) {
				a.Missing = append(a.Missing, m)
			}
		}
		return nil
	})
	a.Accesses = append(slices.Clone(a.before), a.Accesses...)
	slices.SortStableFunc(a.Accesses, func(x, y wallet.Event) int { return cmp.Compare(x.Hour, y.Hour) })
	if len(a.seen) > 0 {
		a.name, a.care, a.grounds = a.seen[0].w.Name(), a.seen[0].w.Backup().Care(), groundsOf(a.seen)
	}
	a.part = failed != nil
	for _, o := range a.seen {
		_, why := o.w.Log().OutOfReach()
		if u, ok := errors.AsType[*ledgerclient.UnreachableError](why); ok && u.Damaged { // the rest is shown all the same
			failed = worse(failed, a.onLedger(o.id(), why))
		}
	}
	return failed
}

func (a *overview) json() error {
	var clock time.Time
	var unwritten, passed []error
	for _, o := range a.seen {
		if c, _ := o.w.Log().Doubt(); clock.IsZero() {
			clock = c
		}
		unwritten, passed = append(unwritten, o.w.Unwritten()...), append(passed, o.w.Changes().PassedOver()...)
	}
	a.Missing = list(a.Missing, same)
	return a.result(statusJSON{a.Summary, list(a.Consents, consentOf), list(a.Accesses, eventOf), list(a.pending, same), list(a.Inbox, receivedOf), a.requests, a.strangers, a.delivered, a.uninvited,
		list(due(a.care, a.now()), same), list(a.places, same), instant(clock), list(unwritten, codeOf), list(passed, codeOf), a.toDo(), instant(a.unlockedUntil())})
}

type statusJSON struct {
	wallet.Summary
	Consents  []consentJSON  `json:"consents"` // active and upcoming
	Accesses  []eventJSON    `json:"accesses"` // since the last look
	Pending   []pendingJSON  `json:"pending"`
	Inbox     []receivedJSON `json:"inbox"`                          // active and never fetched
	Requests  int            `json:"requests"`                       // that can be answered, of people whom the owner knows
	Strangers int            `json:"strangers,omitempty"`            // the same of others
	Delivered int            `json:"delivered"`                      // deliveries that wait, of people whom the owner knows
	Uninvited int            `json:"deliveredByStrangers,omitempty"` // the same of others
	Due       []string       `json:"due"`                            // against a loss: "words", "backup"
	Ledgers   []placeJSON    `json:"ledgers"`
	Clock     string         `json:"clock,omitempty"` // what the clock says, if it disagrees with the ledger's time
	// Codes of what could not be written into the wallet's folder, and of files there
	// that could not be read.
	Unwritten  []string `json:"unwritten,omitempty"`
	PassedOver []string `json:"passedOver,omitempty"`
	ToDo       []string `json:"toDo"` // what --check asks for

	UnlockedUntil string `json:"unlockedUntil,omitempty"` // of a key file, as carekey unlock says
}

func (a *overview) text() error {
	ended := ""
	if a.Ended > 0 {
		ended = ", " + plural(a.Ended, "consent", "consents") + " that ended"
	}
	a.print("%s: %s, %s%s.\n", a.name, plural(a.Records, "record", "records"), plural(a.Contacts, "contact", "contacts"), ended)
	if len(a.Consents) == 0 {
		for i, g := range a.grounds {
			if g.away || i == len(a.grounds)-1 {
				g.part = a.part
				a.print("%s", g.says(noneOpen))
				break
			}
		}
	} else {
		a.print("Who can open what:")
		if err := (consents{a.session}).table(a.Consents); err != nil {
			return err
		}
		a.say("%s", limits(a.grounds))
	}
	for _, l := range a.places {
		ledgers{a.app}.warnOf(l.Witnesses)
	}
	if a.ByClock > 0 {
		a.say("%s ended by this computer's clock alone: no entry of the ledger is that late yet.", plural(a.ByClock, "consent", "consents"))
	}
	if slices.Contains(a.Missing, "keeper") {
		a.say("\n%s gave no answer that counts: attempts refused there are not known.", silentText(a.Silent))
	}
	if len(a.Accesses) > 0 {
		a.print("\nSince you last looked:")
		if err := (events{a.session}).table(a.Accesses); err != nil {
			return err
		}
	}
	if a.Unasked > 0 {
		a.say("\nRefused attempts were asked for at some of your consents, and at %s not: carekey audit asks for all.", thousands(a.Unasked))
	}
	if len(a.Inbox) > 0 {
		a.print("\nGranted to you and not fetched yet:")
		if err := (inbox{a.session}).table(a.Inbox); err != nil {
			return err
		}
	}
	if err := a.fetched(); err != nil {
		return err
	}
	if a.requests > 0 {
		a.print("\nAsked of you: %s. See carekey request list", plural(a.requests, "request", "requests"))
	}
	if a.strangers > 0 {
		a.print("\n%s of people whom you do not know: carekey request list --strangers", plural(a.strangers, "request", "requests"))
	}
	if a.delivered > 0 {
		a.print("\nDelivered to you: %s. See carekey inbox", plural(a.delivered, "file", "files"))
	}
	if a.uninvited > 0 {
		a.print("\n%s of people whom you do not know: carekey deliver list --received", plural(a.uninvited, "delivery", "deliveries"))
	}
	if links := a.waiting(); len(a.pending) > 0 || len(links) > 0 {
		a.print("\nSigned, and not on the ledger yet:")
		for _, p := range a.pending {
			a.print("  %s", pendingText(p.Pending))
		}
		for _, c := range links {
			a.print("  waiting: link %s: its node has not got what is behind it, and cannot open it: carekey sync", short(c.ID))
		}
	}
	if others := len(a.places) - len(a.seen); a.p.given && len(a.seen) > 0 && others > 0 {
		a.say("\nThis is ledger %s alone. You are on %s more: leave out --ledger and %s.", ledgerWords(a.p.dir, a.seen[0].id()), plural(others, "ledger", "ledgers"), envLedger)
	}
	for _, d := range due(a.care, a.now()) {
		a.say("\n%s", a.ours(dueText[d]))
	}
	if until := a.unlockedUntil(); !until.IsZero() {
		a.say("\nYour key is unlocked until %s for every program that runs as you: carekey lock ends that.", clockTime(until, a.now()))
	}
	switch {
	case a.requests > 0: // somebody waits
		a.next("carekey request list")
	case a.delivered > 0:
		a.next("carekey inbox")
	case len(a.Accesses) > 0:
		a.next("carekey audit")
	case toFetch(a.Inbox) != nil:
		a.next("carekey fetch %s", short(toFetch(a.Inbox).Consent))
	case a.Records == 0:
		a.next("carekey record add FILE")
	case a.Contacts == 0:
		a.next("carekey contact add @CARD, with the file of somebody's card")
	case len(a.Consents) == 0:
		a.next("carekey grant --to NAME --record ID --for 30d")
	}
	return nil
}
