package wallet

import (
	"context"
	"crypto/rand"
	"math/big"
	"os"
	"time"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/view"
)

// Watch opens what is granted to this wallet without a person. What is opened in one burst
// is linked by everybody who reads the ledger, so each consent has a time of its own, by
// chance, and one of them at a time is opened. The times stand in the sealed state of the
// ledger. A program that comes back after its time (the machine slept, it was restarted, the
// ledger was out of reach) draws again, and makes no burst of what it missed.
type Watch struct {
	in     Inbox
	spread time.Duration
}

// Watch returns what opens each consent within spread of when it was found.
func (in Inbox) Watch(spread time.Duration) Watch { return Watch{in, spread} }

const (
	maxTries = 3           // openings that left an entry and whose files are not there: the patient sees each
	missedBy = time.Minute // after its time a consent is drawn again
)

// maxPlanned is how many consents have a time before no more of strangers get one: they may
// give any number, and the others come when there is room.
var maxPlanned = 1000

// Round is what a watch saw when it looked.
type Round struct {
	Found   []Planned  // since it looked before, also those whose time was missed
	Over    []Received // had a time, and can be opened no more: revoked, or ended
	GivenUp []Received // were begun three times by programs that did not end it
	Unread  int        // consents whose terms cannot be had now, so that they have no time yet
	Next    *Planned   // the first of all; nil if none has a time
}

// Planned is a consent with the time at which it is to be opened.
type Planned struct {
	Received
	At time.Time
}

// Look follows the ledger and gives a time to each consent that can be fetched and never
// was. An *ledgerclient.UnreachableError says that the ledger cannot be followed: the times
// stay as they are.
func (wa Watch) Look(ctx context.Context) (r Round, err error) {
	w := wa.in.w
	err = w.with(ctx, func() error {
		if err := w.view.Behind(); err != nil {
			return err
		}
		var ts []*view.Thread
		for t := range w.view.Of(view.Received) {
			if _, known := w.notes.Planned[t.ID]; known || w.Consents().statusOf(t) == StatusActive {
				ts = append(ts, t)
			}
		}
		if err := wa.in.readTerms(ctx, ts); err != nil {
			return err
		}
		now := w.opt.Now()
		for _, t := range ofRole(ts, view.Received) {
			wa.plan(wa.in.of(t), now, &r)
		}
		return nil
	})
	return r, err
}

// plan decides about one consent.
func (wa Watch) plan(r Received, now time.Time, round *Round) {
	all := wa.in.w.notes.Planned
	p, known := all[r.Consent]
	at := time.Unix(p.At, 0)
	switch {
	case r.Status != StatusActive:
		if delete(all, r.Consent); p.At != 0 {
			round.Over = append(round.Over, r)
		}
		return
	case known && p.At == 0:
		return
	case r.Fetched > 0 && p.Tries == 0: // by hand, or with another machine of the same owner
		delete(all, r.Consent)
		return
	case r.Missing:
		round.Unread++
		return
	case !known && r.From == "" && len(all) >= maxPlanned:
		return
	case p.Begun && p.Tries >= maxTries: // each time it ends the program
		wa.set(r.Consent, planned{})
		round.GivenUp = append(round.GivenUp, r)
		return
	case p.Begun: // one at most: to end it now is nothing new to who saw it begin
	case !known, at.Before(now.Add(-missedBy)), at.After(now.Add(wa.spread)): // the clock may have been wrong
		at = wa.draw(r, now)
		wa.set(r.Consent, planned{At: at.Unix(), Tries: p.Tries})
		round.Found = append(round.Found, Planned{r, at})
	}
	if round.Next == nil || at.Before(round.Next.At) {
		round.Next = &Planned{r, at}
	}
}

// draw is a time by chance, to the second: within the spread, and within half of what is left
// of the consent.
func (wa Watch) draw(r Received, now time.Time) time.Time {
	return now.Truncate(time.Second).Add(byChance(min(wa.spread, HourTime(r.Until).Sub(now)/2)))
}

// byChance is a whole number of seconds up to most, at least one.
func byChance(most time.Duration) time.Duration {
	n, err := rand.Int(rand.Reader, big.NewInt(max(1, int64(most/time.Second))))
	if err != nil {
		panic(err) // package rand ends the program before
	}
	return time.Duration(1+n.Int64()) * time.Second
}

func (wa Watch) set(id contract.ID, p planned) {
	n := wa.in.w.notes
	if n.Planned == nil {
		n.Planned = map[contract.ID]planned{}
	}
	n.Planned[id] = p
}

// Open opens a consent, as OpenByID does. That it begins is written down before anything is
// entered on the ledger. Until one of the next three methods is called it has not ended, and
// is begun again first of all, by the next program if this one is killed.
func (wa Watch) Open(ctx context.Context, id contract.ID, reason string) (*Opening, error) {
	in := wa.in
	in.begins = func() error {
		p := in.w.notes.Planned[id]
		wa.set(id, planned{At: p.At, Tries: p.Tries + 1, Begun: true})
		return in.w.save()
	}
	return in.OpenByID(ctx, id.String(), reason)
}

// Done says that what a consent opened is where it should be.
func (wa Watch) Done(ctx context.Context, id contract.ID) error {
	return wa.in.w.with(ctx, func() error {
		delete(wa.in.w.notes.Planned, id)
		return nil
	})
}

// Later draws another time for a consent that could not be opened now, or not be saved. After
// the third opening in vain it is given up, and the time is zero.
func (wa Watch) Later(ctx context.Context, r Received) (at time.Time, err error) {
	w := wa.in.w
	err = w.with(ctx, func() error {
		p := planned{Tries: w.notes.Planned[r.Consent].Tries}
		if p.Tries < maxTries {
			at = wa.draw(r, w.opt.Now())
			p.At = at.Unix()
		}
		wa.set(r.Consent, p)
		return nil
	})
	return at, err
}

// GiveUp leaves a consent to a person, and its Tries are no more counted.
func (wa Watch) GiveUp(ctx context.Context, id contract.ID) error {
	return wa.in.w.with(ctx, func() error {
		wa.set(id, planned{})
		return nil
	})
}

// Alone makes this process the one that watches with the wallet in dir, until release is
// called: two would open what they find into two folders. [ErrWatched] if another one does.
func Alone(dir string) (release func(), err error) {
	f, err := home.OpenFile(dir, home.WatchFile, os.O_CREATE|os.O_RDWR)
	if err != nil {
		return nil, err
	}
	ok, err := disk.TryLock(f, true)
	if err == nil && !ok {
		err = ErrWatched
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
