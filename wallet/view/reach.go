package view

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
)

// reach is which services answered, since the ledger was followed.
type reach struct {
	behind error                   // why the ledger could not be followed; nil if it was
	away   error                   // behind, or why another service could not be asked
	silent map[string]error        // services that did not answer, by name: they are not asked for every consent again
	mute   map[crypto.PubKey]error // the same of keepers, by their keys
	agreed map[crypto.PubKey]bool  // keepers that judged on the log under the head; see sameLog
}

// CatchUp follows the ledger to its newest head, or stays with what was verified last if
// it cannot be reached, or believed where consents are ended all the same: see Behind. A head
// that is too old is followed to, as that of its time: see Stale.
func (v *View) CatchUp(ctx context.Context) error {
	err := v.Follow(ctx, nil)
	stale := !v.Revoking && errors.Is(err, ledgerclient.ErrStale)
	if stale {
		older := v.followOld(ctx)
		if older == nil {
			v.reach = reach{behind: err, away: err, agreed: v.agreed}
			return nil
		}
		if !errors.Is(older, ledgerclient.ErrStale) {
			err, stale = older, false
		}
	}
	switch {
	case err == nil:
		v.caughtUp()
		return nil
	case stale: // of which it is known without its time
	case ledgerclient.Unreachable(err) == nil && (!v.Revoking || ctx.Err() != nil):
		return err
	case ledgerclient.Unreachable(err) == nil && v.state.Rescan:
		v.followAnyway(ctx)
	}
	v.reach = reach{behind: err, away: err}
	v.head = ledgerclient.Head{Size: v.state.Pin.Size, Root: v.state.Pin.Root, Note: v.state.Pin.Note}
	return nil
}

// followOld is Follow to a head of any time.
func (v *View) followOld(ctx context.Context) error {
	v.Client.AnyAge = true
	defer func() { v.Client.AnyAge = false }()
	return v.Follow(ctx, nil)
}

// Behind is why the ledger could not be followed; nil if it was.
func (v *View) Behind() error { return v.behind }

// Stale reports whether the newest head that the ledger shows is of another time than now.
// All up to it is there, as it was then: newer ones may be kept back, or nothing is ordered.
func (v *View) Stale() bool { return !v.Revoking && errors.Is(v.behind, ledgerclient.ErrStale) }

// Dated reports whether it is known of when a head is that is Stale: of an order that somebody
// follows late it is not, and what was verified last is shown.
func (v *View) Dated() bool { return v.Stale() && !v.head.Time.IsZero() }

// Away is Behind, or why another service could not be asked since.
func (v *View) Away() error { return v.away }

// Silent is why a service did not answer since the ledger was followed: "store" or "ledger".
func (v *View) Silent(service string) error { return v.silent[service] }

// seenEvery is how exactly the wallet remembers when it last followed a ledger:
// looking often must not mean writing often.
const seenEvery = 10 * time.Minute

// caughtUp remembers that the wallet has just seen the ledger's newest head.
func (v *View) caughtUp() {
	v.reach = reach{agreed: v.agreed}
	now := v.Now().Unix()
	if d := now - v.state.Seen; d >= int64(seenEvery/time.Second) || d < 0 {
		v.state.Seen = now
	}
}

// Disbelieved reports whether the ledger is there, and that what it shows is not what the
// wallet saw before, or was not signed. Only ending consents goes on then.
func (v *View) Disbelieved() bool {
	return v.behind != nil && ledgerclient.Unreachable(v.behind) == nil && !v.Stale()
}

// DoWithout reports whether an error only says that a service cannot be reached, so
// that something is not known now and all the rest can be shown. Away tells of
// it.
func (v *View) DoWithout(err error) bool {
	u := ledgerclient.Unreachable(err)
	if u == nil {
		return false
	}
	if before := ledgerclient.Unreachable(v.away); before == nil || u.Damaged && !before.Damaged {
		v.away = err
	}
	if u.Damaged {
		return true
	}
	if v.silent == nil {
		v.silent = map[string]error{}
	}
	v.silent[u.Service] = err
	return true
}

// Failed notes why a keeper did not do what it was asked. What is worse than silence counts.
// An interruption is nobody's.
func (v *View) Failed(keeper crypto.PubKey, err error) {
	if ledgerclient.Unreachable(err) == nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return
	}
	if v.faults == nil {
		v.faults = map[crypto.PubKey]error{}
	}
	if before := v.faults[keeper]; before == nil || ledgerclient.Unreachable(before) != nil && ledgerclient.Unreachable(err) == nil {
		v.faults[keeper] = err
	}
}

// Mute is why a keeper did not answer since the ledger was followed: it is not asked about
// every consent again.
func (v *View) Mute(keeper crypto.PubKey) error { return v.mute[keeper] }

// SetMute notes what Mute is, if a keeper gave no answer.
func (v *View) SetMute(keeper crypto.PubKey, err error) {
	if u := ledgerclient.Unreachable(err); u == nil || u.Damaged {
		return
	}
	if v.mute == nil {
		v.mute = map[crypto.PubKey]error{}
	}
	v.mute[keeper] = err
}

// Faults returns, once, what Failed was told.
func (v *View) Faults() map[crypto.PubKey]error {
	faults := v.faults
	v.faults = nil
	return faults
}

// AsOf is when the ledger was followed last, if it is out of reach; of when the newest head
// is, if that is Dated, now at the latest; otherwise zero.
func (v *View) AsOf() time.Time {
	if v.Dated() {
		if now := v.Now(); v.head.Time.After(now) { // nothing is known of a time that is yet to come
			return now.UTC()
		}
		return v.head.Time.UTC()
	}
	if v.behind == nil {
		return time.Time{}
	}
	return v.Seen()
}

// Seen is when the ledger was followed last, to ten minutes; zero if it never was.
func (v *View) Seen() time.Time {
	if v.state.Seen == 0 {
		return time.Time{}
	}
	return time.Unix(v.state.Seen, 0).UTC()
}

// NeedThreads is the error of what cannot be done without all that was verified of the
// ledger: it is out of reach, and what was kept of it is lost. That there is nothing in
// it would be wrong then.
func (v *View) NeedThreads() error {
	if v.state.Rescan {
		return v.behind
	}
	return nil
}

// aheadFor is for how long a keeper may have read more of the order than enough nodes have
// signed: as old as a head may be.
const aheadFor = 10 * time.Minute

// SameLog checks that the log which a keeper says under its signature that it judged
// on is the one that is shown to this wallet. A node can sign an old head with a time
// of now, so that an opening or a revocation after it is never seen here; but it
// judges requests on the whole of its log. *ledgerclient.RollbackError if something
// that the keeper has seen is withheld. Where several nodes sign heads a keeper may have read
// on before enough have: what it says then is compared later, and a *ledgerclient.ForkError
// from then on if it was of another log. It is a *ledgerclient.RollbackError once enough have
// signed, [aheadFor] later, that there is less. One answer of each keeper tells after the
// ledger was followed: what comes while a command runs is for the next one.
func (v *View) SameLog(ctx context.Context, keeper crypto.PubKey, size uint64, root crypto.Hash) error {
	if v.behind != nil {
		return nil
	}
	head := v.head
	said := slices.IndexFunc(v.state.Ahead, func(a ahead) bool { return a.Keeper == keeper })
	if said >= 0 && v.state.Ahead[said].Size <= head.Size {
		a := v.state.Ahead[said]
		if err := v.Client.CheckPrefix(ctx, a.Size, a.Root, head); err != nil {
			return err
		}
		v.state.Ahead, said = slices.Delete(v.state.Ahead, said, said+1), -1
	}
	if said >= 0 {
		a := v.state.Ahead[said]
		if signed := cmp.Or(head.Time, v.Now()); a.At > 0 && signed.Sub(time.Unix(a.At, 0)) > aheadFor {
			return &ledgerclient.RollbackError{Pinned: a.Size, Head: head.Size}
		}
	}
	if v.agreed[keeper] {
		return nil
	}
	if size > head.Size { // others may have appended since it was read
		newer, err := v.Client.Head(ctx)
		if err == nil {
			err = v.Client.CheckHead(ctx, head, newer)
		}
		if err != nil {
			return err
		}
		head = newer
	}
	if size > head.Size && len(v.Client.Config().Nodes) > 1 {
		a := ahead{keeper, size, root, v.Now().Unix()}
		switch {
		case said < 0:
			v.state.Ahead = append(v.state.Ahead, a)
		case size < v.state.Ahead[said].Size: // it is compared sooner; what was said of more counts from when it was
			a.At = v.state.Ahead[said].At
			v.state.Ahead[said] = a
		}
	} else if err := v.Client.CheckPrefix(ctx, size, root, head); err != nil {
		return err
	}
	if v.agreed == nil {
		v.agreed = map[crypto.PubKey]bool{}
	}
	v.agreed[keeper] = true
	return nil
}
