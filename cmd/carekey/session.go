package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
	"github.com/spf13/cobra"
)

// Errors of a command on one or more ledgers.
const (
	errOtherLedger fault.Code = "another-ledger"      // the ledger named on the command line is not the wallet's. want, got
	errKept        fault.Code = "kept"                // something was signed before: it waits in the journal
	errEntered     fault.Code = "interrupted/entered" // after an interruption the ledger was longer than before
	errScreen      fault.Code = "interrupted/screen"  // a screen was taken away: what was done is said on its pages
	errOnLedger    fault.Code = "on-ledger"           // of one of several ledgers that a command looked at. title, id
)

// access says what a command does with the wallet.
type access int

const (
	looks  access = 0
	writes access = 1 << iota // entries: the ledger's clock matters
	keeps                     // contacts: at the end they are entered on the ledger, if they were changed
	ends                      // consents, which asks nobody about a clock and needs nothing of the wallet's folder but its settings
)

// withWallet unlocks the wallet for f and tells what became of interrupted
// changes.
func (a *app) withWallet(cmd *cobra.Command, want access, f func(ctx context.Context, w *wallet.Wallet) error) error {
	return a.withLedgers(cmd, want, alone, func(ctx context.Context, s *session) error { return f(ctx, s.all[0].w) })
}

// onWallet is withWallet for a command that does nothing before.
func (a *app) onWallet(want access, verb func(ctx context.Context, w *wallet.Wallet, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return a.withWallet(cmd, want, func(ctx context.Context, w *wallet.Wallet) error { return verb(ctx, w, args) })
	}
}

// onEvery is withLedgers for what is done with a noun on every ledger of the wallet.
func onEvery[N ~struct{ *session }](a *app, want access, verb func(n N, ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return a.withLedgers(cmd, want, everywhere, func(ctx context.Context, s *session) error { return verb(N{s}, ctx, args) })
	}
}

// alone is the ledger that is meant.
func alone(p place) []place { return []place{p} }

// everywhere are all ledgers of the wallet, the one that is meant first; that one alone
// if it was named.
func everywhere(p place) []place {
	out := []place{p}
	for _, at := range p.settings.Ledgers {
		if !p.given && at.ID != p.id {
			out = append(out, p.on(at))
		}
	}
	return out
}

// opened is the wallet on one of its ledgers.
type opened struct {
	w    *wallet.Wallet
	l    *ledger
	sent atomic.Bool // something was sent to the ledger
}

func (o *opened) id() crypto.LedgerID {
	id, _ := o.w.Ledger()
	return id
}

// session is what a command does with the wallet on some of its ledgers.
type session struct {
	*app
	all    []*opened                  // those that could be opened, at least one
	closed error                      // why another one could not, or one shows what is old
	titles map[crypto.LedgerID]string // of the ledgers, if there are several
	held   keyring.Store              // that the wallets were opened with
}

// withLedgers unlocks the wallet once, with each of some of its ledgers, for f. One that
// cannot be opened keeps none of the others from it, and is the error at the end.
func (a *app) withLedgers(cmd *cobra.Command, want access, which func(place) []place, f func(ctx context.Context, s *session) error) error {
	return a.within(cmd.Context(), want, which, f)
}

// within is withLedgers for what is no command.
func (a *app) within(ctx context.Context, want access, which func(place) []place, f func(ctx context.Context, s *session) error) error {
	p, err := a.ownPlace()
	if err != nil {
		return err
	}
	s := &session{app: a}
	places := which(p)
	if len(places) > 1 {
		if a.key == nil {
			if a.key, err = a.keys(p).read(ctx); err != nil { // the keyring is asked once
				return err
			}
			if p.settings.Keyring == keyring.KindFile && !unlocked(a.key) { // nothing else may ask on the terminal meanwhile
				if _, err := a.key.Get(ctx, p.settings.Item); err != nil {
					return err
				}
			}
		}
		s.titles = ledgerTitles(p)
	}
	key, err := a.keys(p).early(ctx)
	if err != nil {
		return err
	}
	s.held = key
	defer func() {
		for _, o := range s.all {
			o.w.Wipe()
			o.l.close()
		}
		closeUnlocked(key) // a watch waits long, and others want to ask too
	}()
	for _, q := range places {
		o, err := a.open(ctx, q, key, want)
		if err == nil {
			s.all = append(s.all, o)
			continue
		}
		if ctx.Err() != nil || explain(err).Exit == cli.ExitLocked {
			return err
		}
		s.closed = worse(s.closed, s.onLedger(q.id, err))
	}
	if len(s.all) == 0 {
		return s.closed
	}
	err = f(ctx, s)
	if err == nil && want&keeps != 0 {
		s.keepBook(ctx, s.all[0].w)
	}
	for _, o := range s.all {
		err = s.end(o, err)
	}
	if err == nil {
		err = s.closed
	}
	return err
}

// each lets f look at each ledger. What one of them fails with keeps f from no other; the
// worst is returned, also of those that could not be opened, with how many did not fail.
func (s *session) each(ctx context.Context, f func(o *opened) error) (done int, worst error) {
	worst = s.closed
	for _, o := range s.all {
		err := f(o)
		if err != nil && ctx.Err() != nil {
			return 0, err
		}
		if err == nil {
			done++
			continue
		}
		worst = worse(worst, s.onLedger(o.id(), err))
	}
	return done, worst
}

// collect puts together what f finds on each ledger, see each.
func collect[T any](ctx context.Context, s *session, f func(w *wallet.Wallet) ([]T, error)) (all []T, done int, worst error) {
	done, worst = s.each(ctx, func(o *opened) error {
		some, err := f(o.w)
		all = append(all, some...)
		return err
	})
	return all, done, worst
}

// onLedger says on which of several ledgers something is wrong.
func (s *session) onLedger(id crypto.LedgerID, err error) error {
	switch explain(err).Exit {
	case cli.ExitTampered, cli.ExitUnreachable, cli.ExitUnexpected:
		if title := s.titles[id]; title != "" {
			return errOnLedger.Of(err, "title", title, "id", id)
		}
	}
	return err
}

// worse is which of two errors matters more: what does not verify or was refused, then
// what was done in part, what is out of reach, and what is not there; of two alike the
// first.
func worse(a, b error) error {
	rank := func(err error) int {
		if err == nil {
			return 0
		}
		switch explain(err).Exit {
		case cli.ExitNotFound:
			return 1
		case cli.ExitUnreachable:
			return 2
		case cli.ExitPartly:
			return 3
		}
		return 4
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// find looks for what is on one of the ledgers: what f finds on none is an error of that
// kind, what it finds on several is ambiguous, but for consents that are over beside one
// that is not. An id that is found is on no other ledger. What was found by a name may be
// on one that failed as well: that is the error at the end.
func find[T any](ctx context.Context, s *session, query string, f func(o *opened) (T, string, error)) (found T, on *opened, err error) {
	type match struct {
		id string
		x  T
		on *opened // nil: the id is all that is known
	}
	var matches, over []match
	missed := notThere{}
	_, worst := s.each(ctx, func(o *opened) error {
		x, id, err := f(o)
		missed.note(err)
		into := &matches
		many, several := fault.As(err, wallet.ErrAmbiguous)
		if several && fault.Get[bool](many, "over") || err == nil && isOver(x) {
			into = &over
		}
		switch {
		case several:
			for _, id := range fault.Get[[]string](many, "matches") {
				*into = append(*into, match{id: id})
			}
			return nil // another one may be meant
		case err == nil:
			*into = append(*into, match{id, x, o})
		}
		return err
	})
	if len(matches) == 0 {
		matches = over
	}
	switch {
	case len(matches) > 1:
		return found, nil, wallet.ErrAmbiguous.With("query", query, "matches", list(matches, func(m match) string { return m.id }))
	case len(matches) == 1 && strings.HasPrefix(matches[0].id, strings.ToLower(text.Code(query))):
		s.closed = nil
		return matches[0].x, matches[0].on, nil
	case len(matches) == 1:
		if worst != nil && explain(worst).Exit != cli.ExitNotFound {
			s.closed = worst
		}
		return matches[0].x, matches[0].on, nil
	}
	return found, nil, missed.nearest(query, worst)
}

// notThere is that something is not there, by what may be meant instead.
type notThere map[string]error

func (m notThere) note(err error) error {
	if none, ok := fault.As(err, wallet.ErrNotFound); ok {
		m[fault.Get[string](none, "like")] = err
	}
	return err
}

// nearest is the worst error of all ledgers: where nothing worse than that it is not there,
// the one that suggests what is nearest to the query on any of them.
func (m notThere) nearest(query string, worst error) error {
	if like := wallet.Like(query, slices.Sorted(maps.Keys(m))); like != "" && explain(worst).Exit == cli.ExitNotFound {
		return m[like]
	}
	return worst
}

// isOver reports whether something is a consent that has ended, or is about one.
func isOver(x any) bool {
	switch x := x.(type) {
	case wallet.Consent:
		return ended(x.Status)
	case wallet.Received:
		return ended(x.Status)
	case wallet.Explanation:
		return x.Consent == nil || ended(x.Consent.Status) // nothing concerns it here
	}
	return false
}

// ended reports whether a consent of that status gives nothing any more.
func ended(s wallet.Status) bool { return s == wallet.StatusExpired || s == wallet.StatusRevoked }

// closeUnlocked leaves what holds a key to others, if that is what a store is.
func closeUnlocked(key keyring.Store) {
	if u, ok := key.(keyring.Unlocked); ok {
		u.Close()
	}
}

// open opens the wallet with one of its ledgers.
func (a *app) open(ctx context.Context, p place, key keyring.Store, want access) (*opened, error) {
	l, err := a.openPinned(ctx, p)
	if err != nil {
		return nil, err
	}
	o := &opened{l: l}
	defer func() {
		if o.w == nil {
			o.l.close()
		}
	}()
	if want&writes != 0 && l.away == nil {
		if l, a, err = a.checkClock(ctx, p, l); err != nil {
			return nil, err
		}
		o.l = l
	}
	l.Services.Sent = &o.sent
	w, err := wallet.Open(ctx, wallet.Options{
		Dir:         p.dir,
		Keyring:     key,
		Services:    l.Services,
		Ledger:      p.id,
		Now:         a.now,
		Profile:     a.profile(),
		AcceptClock: a.flags.acceptClock,
		Revoking:    want&ends != 0,
	})
	o.w = w
	if err != nil {
		return nil, err
	}
	return o, nil
}

// end says what became of the wallet on a ledger while a command worked with it, which
// ended with err.
func (s *session) end(o *opened, err error) error {
	w := o.w
	s.tellFinished(w)
	s.tellUnwritten(w, err)
	s.tellFaults(o)
	since, away := w.Log().OutOfReach()
	s.tellPassed(o.l, away)
	shown := err == nil || s.closed != nil && errors.Is(err, s.closed) // what is on this ledger
	if clock, last := w.Log().Doubt(); !clock.IsZero() && shown {
		s.say("Your clock says %s, and the ledger's last entry is of %s: what is open is judged by the ledger's time.", clock.Local().Format(dayLayout), day(last))
	}
	if away != nil && shown {
		stale, dated := w.Log().Stale()
		s.tellAway(s.titles[o.id()], since, away, dated)
		if stale {
			s.closed = worse(s.closed, s.onLedger(o.id(), away))
		}
	}
	if o.sent.Load() && errors.Is(err, context.Canceled) && !errors.Is(err, errUnwritten) {
		err = errEntered.Of(err)
	}
	if stuck := w.Changes().Stuck(); stuck != nil && !errors.Is(err, errSync) {
		u := ledgerclient.Unreachable(stuck)
		if err == nil && u != nil && u.Undecided {
			s.say("%s: %s. To send it again now: carekey sync", waitText(w.Changes().Pending()), explain(stuck).Message)
		} else if err == nil && u != nil {
			s.say("What you signed before still waits, and goes out by itself: carekey sync tells.")
		} else if err == nil {
			s.say("A change that was signed still waits: %s.\nEvery carekey command tries again to finish it.", explain(stuck).Message)
		} else if errors.Is(err, stuck) && !errors.Is(err, wallet.ErrPending) && len(w.Unwritten()) == 0 {
			err = errKept.Of(err)
		}
	}
	return err
}

// tellUnwritten says what of the wallet's folder could not be read or written. failed is
// why the command did not do what it was to do; nil if it did.
func (s *session) tellUnwritten(w *wallet.Wallet, failed error) {
	said := map[string]bool{}
	over := w.Changes().PassedOver()
	for i, err := range slices.Concat(over, w.Unwritten()) {
		f := explain(err)
		if said[f.Message] {
			continue
		}
		said[f.Message] = true
		switch {
		case i < len(over) || is[*wallet.DamagedError](err) || errors.Is(err, wallet.ErrVersion):
			s.tell("Passed over", f)
		case failed == nil:
			s.say("Not written down on this computer: %s. It holds all the same.", f.Message)
		case errors.Is(failed, wallet.ErrPending):
			s.say("Not written down on this computer: %s.", f.Message)
		default:
			s.say("Not written down on this computer: %s. What did not go out does not wait: do it again.", f.Message)
		}
	}
	if w.Log().Uncompared() {
		s.say("What this wallet saw of the ledger before cannot be read: whether the ledger was put back to an older state was not compared.")
	}
}

// tellAway says that what is shown may not be the newest. dated says that all is shown that the
// ledger had, up to a head that was signed then.
func (s *session) tellAway(title string, since time.Time, away error, dated bool) {
	said := sentence(explain(away).Message)
	if title != "" {
		said = title + ": " + explain(away).Message
	}
	if stale, ok := fault.As(away, ledgerclient.ErrStale); ok && dated { // why is told at the end
		if age, _ := stale.Value("age").(time.Duration); age < 0 {
			return // signed at a time that is yet to come: all that there is is shown
		}
		said = strings.TrimPrefix(title+": showing", ": ")
		s.say("%s what the ledger had at %s; it has shown nothing newer since.", sentence(said), since.Local().Format(dayLayout))
		return
	}
	if since.IsZero() {
		s.say("%s, and this wallet has never followed it.", said)
		return
	}
	s.say("%s: showing what was verified at %s.", said, since.Local().Format(dayLayout))
}

// sentence begins with a capital letter.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// keepBook enters contacts that were changed on the ledger, so that words and ledger
// bring them back. Where that cannot be done now it is no failure of the command:
// they go with the next change.
func (s *session) keepBook(ctx context.Context, w *wallet.Wallet) {
	if _, err := w.Book().Keep(ctx); err != nil && w.Changes().Stuck() == nil {
		s.tell("Your contacts are on this computer only, until the next change", explain(err))
	}
}

// tell says what could not be done, which is no failure of the command.
func (s *session) tell(what string, f failure) {
	s.say("%s: %s.", what, f.Message)
	if f.Hint != "" {
		s.say("hint:  %s", s.ours(f.Hint))
	}
}

// openPinned opens the ledger that is meant, which must be one of the wallet's.
// One that is out of reach is opened as what the wallet verified of it last.
// Another one is a mistake of who named it, or, in the place where the wallet's own
// should be, an attack.
func (a *app) openPinned(ctx context.Context, p place) (*ledger, error) {
	l, err := a.openLedger(ctx, p)
	opened := err == nil // a node that is not that of its invitation is not
	if err != nil {
		l = &ledger{at: p.at}
	} else if c, failed := ledgerclient.Connect(ctx, l.Services, p.id); failed != nil {
		err = failed
	} else if _, ok := p.settings.Ledger(c.ID()); !ok {
		err = ledgerclient.ErrForeign.With("want", p.settings.Default, "got", c.ID())
	}
	if isAway(err) && p.id != (crypto.LedgerID{}) {
		err = l.outOfReach(p.dir, p.id, err)
	}
	if foreign, ok := fault.As(err, ledgerclient.ErrForeign); ok && p.given && opened {
		err = errOtherLedger.With("want", foreign.Value("want"), "got", foreign.Value("got"))
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// tellFinished says what became of changes that an earlier run had begun.
func (s *session) tellFinished(w *wallet.Wallet) {
	for _, f := range w.Changes().Finished() {
		if f.Err != nil {
			s.say("%s that was interrupted could not be finished and was given up: %s.", sentence(article(f.Action)), explain(f.Err).Message)
			continue
		}
		s.say("Finished %s that was interrupted (%s).", article(f.Action), short(f.ID))
	}
}

// waitText says how much waits.
func waitText(all []wallet.Pending) string {
	var parts []string
	for _, of := range []struct {
		action    wallet.Action
		one, many string
	}{
		{wallet.Granting, "consent", "consents"}, {wallet.Revoking, "revocation", "revocations"}, {wallet.AddingRecord, "record", "records"},
		{wallet.UpdatingRecord, "change of a record", "changes of records"}, {wallet.RemovingRecord, "removal of a record", "removals of records"},
		{wallet.Accessing, "fetch", "fetches"}, {wallet.KeepingBook, "change of your contacts", "changes of your contacts"}, {wallet.Writing, "request, delivery or answer", "requests, deliveries or answers"},
	} {
		n := 0
		for _, p := range all {
			if p.Action == of.action {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, plural(n, of.one, of.many))
		}
	}
	verb := " wait"
	if len(all) == 1 {
		verb = " waits"
	}
	return strings.Join(parts, ", ") + verb
}

func article(x wallet.Action) string {
	return cmp.Or(map[wallet.Action]string{
		wallet.AddingRecord:   "a record",
		wallet.UpdatingRecord: "a new version of a record",
		wallet.RemovingRecord: "a removal of a record",
		wallet.Granting:       "a grant",
		wallet.Revoking:       "a revocation",
		wallet.KeepingBook:    "a change of your contacts",
		wallet.Accessing:      "a fetch",
		wallet.Writing:        "a request, a delivery or an answer",
	}[x], "a change")
}

// whose names the profile, where there is more than one to mistake it for.
func (a *app) whose() string {
	if a.profile() == defaultProfile {
		home, err := a.home()
		if err != nil {
			return ""
		}
		if all, err := wallet.Profiles(home); err != nil || len(all) < 2 {
			return ""
		}
	}
	return "Profile: " + a.profile()
}

// asProfile puts the profile above a preview.
func (a *app) asProfile(preview string) string {
	return strings.TrimSuffix(strings.TrimPrefix(a.whose()+"\n\n"+a.ours(preview), "\n\n"), "\n\n")
}

// confirm shows a preview and asks; word has to be typed for a yes, "" takes a key. --yes
// answers; without a terminal it is needed. A rest is shown to a person who asks for it.
func (a *app) confirm(ctx context.Context, preview, question, word string, rest ...string) error {
	preview = a.asProfile(preview)
	if a.flags.yes {
		if preview != "" {
			a.say("%s\n", preview)
		}
		return nil
	}
	if !a.interactive() {
		return errNeed.With("what", question, "flag", "--yes")
	}
	ok, err := asks(&a.console).Confirm(ctx, preview, strings.Join(rest, "\n"), question, word)
	if err == nil && !ok {
		err = cli.ErrDeclined
	}
	return err
}

// readSmall reads a text file of at most 4 KiB, such as one with words.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := text.Read(f, 4096)
	if bad, ok := fault.As(err, text.ErrEncoding); ok {
		err = text.ErrEncoding.With("why", path+": "+fault.Get[string](bad, "why"))
	}
	return b, err
}
