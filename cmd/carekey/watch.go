package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
	"github.com/spf13/cobra"
)

// How often a watch looks. Each time is up to a fifth more or less, so that no two watches
// keep step, and nobody foretells one.
const (
	lookEvery = 5 * time.Minute
	lookMost  = time.Hour // after ever longer times in which nothing answers
)

// How far apart the openings of a watch may be drawn.
const (
	leastSpread = time.Minute
	mostSpread  = 7 * 24 * time.Hour
)

const (
	// errUnopened: what a watch found could not be opened or saved. consent; who gave it; then,
	// what becomes of it
	errUnopened fault.Code = "unopened"
	// errBroken: a program ended three times while it opened a consent
	errBroken fault.Code = "opening-interrupted"
)

// watching does a round with the wallet again and again, until the program is told to end.
// Each opens the wallet anew, so that a key in a keyring is in memory only while one runs,
// and a keyring that is locked meanwhile ends that. So does carekey lock, unless the
// passphrase is to be had without a question, which is said.
type watching struct {
	*app
	round func(ctx context.Context, s *session) error

	due      time.Time // of the next round, said by the one before; zero: as it comes
	answered bool      // a ledger did, in this round
	opening  bool      // what an interruption would leave undone
	silent   int       // rounds since a ledger answered
	failed   string    // what was wrong in the last round
	held     bool      // its key was held unlocked, in the last round that could be done
}

// run returns nil if the program is told to end while it waits or looks.
func (w *watching) run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	p, err := w.ownPlace()
	if err != nil {
		return err
	}
	keeps := false
	if p.settings.Keyring == keyring.KindFile { // unless it is held unlocked, its passphrase is asked for once
		key, err := w.keys(p).read(ctx)
		if u, held := key.(keyring.Unlocked); held {
			u.Close() // each round looks for itself, and others want to ask meanwhile
		} else if err == nil {
			w.key, keeps = key, true
			_, err = key.Get(ctx, p.settings.Item)
		}
		if err != nil {
			return err
		}
	}
	for want := writes; ; want = looks {
		w.due, w.answered, w.opening = time.Time{}, false, false
		if len(w.heard) > 1000 || w.heard == nil {
			w.heard = map[string]bool{}
		}
		err := w.withLedgers(cmd, want, everywhere, func(ctx context.Context, s *session) error {
			w.tellKey(unlocked(s.held))
			return w.round(ctx, s)
		})
		if !keeps {
			w.key = nil
		}
		switch {
		case ctx.Err() != nil && (w.opening || want == writes):
			return err
		case ctx.Err() != nil:
			return nil
		case err != nil && !passes(err, want == writes):
			return err
		}
		w.answered = w.answered || explain(err).Exit != cli.ExitUnreachable // of a lock nobody else is asked
		w.tell(err)
		if w.wait(ctx, w.pause()) != nil {
			return nil
		}
		w.flags.noInput = true // nobody sits there any more
	}
}

// pause is how long nothing is done now.
func (w *watching) pause() time.Duration {
	if w.silent++; w.answered {
		w.silent = 0
	}
	d := min(lookMost, lookEvery<<min(w.silent, 5))
	d += rand.N(d/5*2) - d/5
	if !w.due.IsZero() {
		d = min(d, w.due.Sub(w.now()))
	}
	return max(d, 0)
}

// passes reports whether a round may go better later: a service or the wallet is out of
// reach, or the key is locked, which at the beginning is for a person to put right.
func passes(err error, first bool) bool {
	f := explain(err)
	return f.Exit == cli.ExitUnreachable || errors.Is(err, ledgerclient.ErrStale) ||
		!first && (f.Exit == cli.ExitLocked || errors.Is(err, errNeed) || f.Code == string(cli.ErrDiskFull))
}

// tell says what is wrong since this round, and when it is not any more.
func (w *watching) tell(err error) {
	f := explain(err)
	switch was := w.failed; {
	case f.Message == was:
		return
	case err == nil:
		w.failed = ""
		w.unheard(func() { w.say("All is in reach again.") })
		return
	}
	w.failed = f.Message
	f.Hint = strings.TrimSpace(w.ours(f.Hint) + "\nit is tried again by itself")
	f.Report(w.err, w.flags.json)
}

// tellKey says that the key is held unlocked no more and opened with a passphrase that is
// at hand: who has locked it would think that the watch had ended.
func (w *watching) tellKey(held bool) {
	if w.held && !held {
		w.unheard(func() {
			w.say("Your key is not unlocked any more, and the watch goes on: with the passphrase of %s, in each round. To end it: Ctrl-C.", w.passphrases.held.name)
		})
	}
	w.held = held
}

// unheard lets f say again what was said before.
func (w *watching) unheard(f func()) {
	heard := w.heard
	w.heard = nil
	f()
	w.heard = heard
}

// inboxWatch prints what is in the inbox, and then what comes.
type inboxWatch struct {
	*watching
	onlyNew bool
	filter  filter
	printed map[contract.ID]bool // false: its terms could not be had, and it is printed again when they can
}

func (x *inboxWatch) run(cmd *cobra.Command) error {
	x.round, x.printed = x.look, map[contract.ID]bool{}
	x.say("What comes is printed here, each on a line of its own, until you end it with Ctrl-C.")
	return x.watching.run(cmd)
}

func (x *inboxWatch) look(ctx context.Context, s *session) error {
	chosen, err := inbox{s}.from(ctx, x.filter)
	if err != nil {
		return err
	}
	rs, _, failed := collect(ctx, s, func(w *wallet.Wallet) ([]wallet.Received, error) { return w.Inbox().List(ctx) })
	for _, o := range s.all {
		_, behind := o.w.Log().Behind()
		x.answered = x.answered || !behind
	}
	rs = pick(s, rs, func(r wallet.Received) (yes, unknown bool) {
		if whole, known := x.printed[r.Consent]; known && (whole || r.Missing) || x.onlyNew && !unfetched(r) {
			return false, false
		}
		return chosen.has(r.Address, r.Records)
	})
	for _, r := range rs {
		x.printed[r.Consent] = !r.Missing
		if x.flags.json {
			err = cli.WriteJSON(x.out, receivedOf(r), false)
		} else {
			_, err = fmt.Fprintln(x.out, cli.Clean(s.received(r)))
		}
		if err != nil {
			return err
		}
	}
	return failed
}

// received is a consent of the inbox in one line.
func (s *session) received(r wallet.Received) string {
	parts := []string{short(r.Consent), sender(r) + ": " + contents(r), r.Purpose.Word(), "until " + day(r.Until), string(r.Status)}
	if title := s.titles[r.Ledger]; title != "" {
		parts = append(parts, title)
	}
	return strings.Join(parts, ", ")
}

// fetchWatch opens what is granted, each at a time of its own.
type fetchWatch struct {
	*watching
	flags fetchFlags
}

func (x *fetchWatch) run(cmd *cobra.Command) error {
	if x.flags.unit {
		return x.unit()
	}
	p, err := x.ownPlace()
	if err != nil {
		return err
	}
	release, err := wallet.Alone(p.dir)
	if err != nil {
		return err
	}
	defer release()
	// A folder that cannot be written is found out now and not in the night.
	to, err := wallet.PrepareFetch(x.flags.dir, wallet.Received{}, true)
	if err != nil {
		return err
	}
	to.Discard()
	x.say("What is granted to you is opened into %s, each consent at a time by chance within %s of when it is found.", cli.Clean(x.flags.dir), roughly(x.flags.spread))
	x.round = x.look
	return x.watching.run(cmd)
}

// look gives times to what is new, and opens what is due: one consent.
func (x *fetchWatch) look(ctx context.Context, s *session) error {
	var next *wallet.Planned
	var on *opened
	done, worst := s.each(ctx, func(o *opened) error {
		r, err := o.w.Inbox().Watch(x.flags.spread).Look(ctx)
		if err == nil {
			x.tellRound(&r)
		}
		if r.Next != nil && (next == nil || r.Next.At.Before(next.At)) {
			next, on = r.Next, o
		}
		return err
	})
	x.answered = done > 0
	if next == nil {
		return worst
	}
	if x.due = next.At; next.At.After(x.now()) {
		return worst
	}
	x.opening, x.due = true, x.now() // which is the next one's time, nobody knows before it is opened
	var err error
	x.unheard(func() { err = x.open(ctx, s, on, next.Received) })
	return worse(worst, err)
}

func (x *fetchWatch) tellRound(r *wallet.Round) {
	x.unheard(func() {
		const most = 20
		for i, p := range r.Found {
			if i == most {
				x.say("And %s.", plural(len(r.Found)-most, "more", "more"))
				break
			}
			x.say("%s", cli.Clean("Found "+sender(p.Received)+": "+contents(p.Received)+". It is opened at "+p.At.Local().Format(dayLayout)+"."))
		}
		for _, r := range r.Over {
			x.say("%s", cli.Clean("Not opened: "+sender(r)+": "+contents(r)+" ("+string(r.Status)+" before its time came)."))
		}
	})
	for _, r := range r.GivenUp {
		x.report(r, errBroken, time.Time{})
	}
	if r.Unread > 0 {
		x.say("Not opened: %s whose terms cannot be had now; see carekey inbox.", plural(r.Unread, "consent", "consents"))
	}
}

// open opens a consent and saves what is in it. Only what a person has to put right before
// anything goes on is returned, and an interruption.
func (x *fetchWatch) open(ctx context.Context, s *session, o *opened, r wallet.Received) error {
	w := o.w.Inbox().By(x.flags.by).Watch(x.flags.spread)
	f := &fetching{session: s, flags: x.flags}
	err := f.open(ctx, o.w, single(func() (*wallet.Opening, error) { return w.Open(ctx, r.Consent, x.flags.reason) }))
	if err != nil {
		return err
	}
	for _, file := range f.files {
		if x.app.flags.json {
			if err := cli.WriteJSON(x.out, file, false); err != nil {
				return err
			}
		}
	}
	if f.first == nil {
		return w.Done(ctx, r.Consent)
	}
	switch explain(f.first).Exit {
	case cli.ExitUnreachable, cli.ExitUnexpected: // such as a full disk
		at, err := w.Later(ctx, r)
		x.report(r, f.first, at)
		return err
	}
	err = w.GiveUp(ctx, r.Consent)
	x.report(r, f.first, time.Time{})
	return err
}

// report says why a consent was not opened, or not saved, and what becomes of it; the zero
// time is that it is left to a person.
func (x *fetchWatch) report(r wallet.Received, why error, at time.Time) {
	then := "fetch it yourself when that is put right: carekey fetch " + short(r.Consent)
	if !at.IsZero() {
		then = "it is tried again at " + at.Local().Format(dayLayout)
	}
	f := explain(errUnopened.Of(why, "consent", r.Consent, "who", sender(r), "then", then))
	f.Hint = x.ours(f.Hint)
	f.Report(x.err, x.app.flags.json)
}
