package folder

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// MaxIdle is how far the clock may be past the last entry, in hours.
const MaxIdle = ledgerclient.MaxIdle

// Append judges the entries in order and makes the accepted ones durable and
// visible together. Each is judged in the order shape, signature, duplicate,
// contract. The ledger hour is the clock's, but never before that of the last
// entry. Revocations alone need no clock: with one that is not believed they are of the
// hour of the last entry.
//
// Errors: ErrReplica, ErrClock, ErrReadOnly, ErrBusy, *DamagedError, ctx's, and
// those of the file system (errors.Is tells syscall.ENOSPC). After an error look
// the entries up before sending them again: nothing or all of the batch is in
// the log.
func (l *log) Append(ctx context.Context, entries []contract.Entry) ([]ledgerclient.Outcome, error) {
	revokes := func(e contract.Entry) bool { return e.Kind == contract.KindRevoke }
	out, err := l.judging(ctx, exclusive, entries, func(out []ledgerclient.Outcome) error {
		if l.head.next > 0 {
			return ErrReplica.With("dir", l.dir)
		}
		hour, err := l.ledgerHour()
		if err == nil && l.doubt != nil && l.doubt() {
			err = ErrClock.With("last", l.last.Hour, "now", l.hour())
		}
		if errors.Is(err, ErrClock) && all(entries, revokes) {
			hour, err = l.last.Hour, nil
		}
		if err != nil {
			return err
		}
		next, err := l.judge(entries, out, func(int) contract.Hour { return hour })
		if err != nil || len(next) == 0 {
			return err
		}
		return l.commit(next, 0, all(next, func(a accepted) bool { return revokes(*a.entry) }))
	})
	if noRoom(err) && slices.ContainsFunc(entries, revokes) {
		err = &ledgerclient.UnreachableError{Service: "ledger", Err: err} // it waits
	}
	return out, err
}

func all[T any](of []T, is func(T) bool) bool {
	return !slices.ContainsFunc(of, func(e T) bool { return !is(e) })
}

// judging calls fn under the lock, with what is to be said of the entries one by one; fn
// says the rest.
func (l *log) judging(ctx context.Context, how sharing, entries []contract.Entry, fn func([]ledgerclient.Outcome) error) ([]ledgerclient.Outcome, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	if how == exclusive && l.readOnly != nil {
		return nil, ErrReadOnly.Of(l.readOnly, "dir", l.dir)
	}
	out, err := l.precheck(ctx, entries)
	if err == nil {
		err = l.locked(ctx, how, func() error { return fn(out) })
	}
	if readOnly(err) {
		err = ErrReadOnly.Of(err, "dir", l.dir)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// precheck checks the entries one by one, on all cores: shape and signature.
func (l *log) precheck(ctx context.Context, entries []contract.Entry) ([]ledgerclient.Outcome, error) {
	out := make([]ledgerclient.Outcome, len(entries))
	errs := make([]error, len(entries))
	ledgerclient.Parallel(len(entries), func(i int) {
		if ctx.Err() != nil {
			return
		}
		e := &entries[i]
		out[i].ID = e.ID(l.id)
		var err error
		if !l.checked.has(e) {
			if err = contract.CheckShape(e); err == nil {
				err = l.checkSignature(l.id, e)
			}
		}
		if r := (*contract.Refusal)(nil); errors.As(err, &r) {
			out[i].Refusal = &contract.Refusal{Rule: r.Rule, Entry: out[i].ID}
		} else {
			errs[i] = err
		}
	})
	return out, errors.Join(append(errs, ctx.Err())...)
}

// ledgerHour is the hour at which entries are judged now.
func (l *log) ledgerHour() (contract.Hour, error) {
	hour := l.hour()
	if hour > l.last.Hour && hour-l.last.Hour > MaxIdle && !l.accept {
		return 0, ErrClock.With("last", l.last.Hour, "now", hour)
	}
	return max(hour, l.last.Hour), nil
}

// judgement is what would come of entries behind those of the tables, which it does not
// change.
type judgement struct {
	t        *tables
	accepted []accepted
	changed  map[contract.ID]threadAt // what the accepted entries make of their threads
}

// accepted is an entry that the contract accepts.
type accepted struct {
	entry  *contract.Entry
	id     contract.ID
	hour   contract.Hour
	opened uint64         // position of the entry that opened its thread
	state  contract.State // of the thread, with it
}

// threadAt is the position of an entry, with the state of the thread that it opened.
type threadAt struct {
	at    uint64
	state contract.State // the zero State: it opened none
}

// judge fills in the outcomes and returns the accepted entries. hourOf gives the ledger
// hour of each.
func (l *log) judge(entries []contract.Entry, out []ledgerclient.Outcome, hourOf func(i int) contract.Hour) ([]accepted, error) {
	j := &judgement{t: l.tables, changed: map[contract.ID]threadAt{}}
	for i := range entries {
		o := &out[i]
		o.Hour = hourOf(i)
		if o.Refusal != nil {
			o.Refusal.Hour = o.Hour
			continue
		}
		if err := j.add(&entries[i], o); err != nil {
			return nil, err
		}
	}
	return j.accepted, nil
}

func (j *judgement) size() uint64 { return j.t.size() + uint64(len(j.accepted)) }

// add judges the next entry at the hour of its outcome.
func (j *judgement) add(e *contract.Entry, o *ledgerclient.Outcome) error {
	before, there, err := j.find(o.ID)
	if err != nil {
		return err
	}
	if there {
		o.Index, o.Duplicate = before.at, true
		o.Hour, err = j.hourAt(before.at)
		return err
	}
	a, err := j.next(e, o.ID, o.Hour)
	if errors.As(err, &o.Refusal) {
		return nil
	}
	if err != nil {
		return err
	}
	o.Index = j.size()
	if e.Opens() {
		j.changed[o.ID] = threadAt{o.Index, a.state}
	} else {
		j.changed[o.ID] = threadAt{at: o.Index}
		j.changed[e.Subject] = threadAt{a.opened, a.state}
	}
	j.accepted = append(j.accepted, a)
	return nil
}

// find returns where an entry stands; false if there is none such.
func (j *judgement) find(id contract.ID) (threadAt, bool, error) {
	if s, ok := j.changed[id]; ok {
		return s, true, nil
	}
	at, e, ok, err := j.t.find(id)
	if err != nil || !ok {
		return threadAt{}, false, err
	}
	return threadAt{at, j.t.state.state(at, &e)}, true, nil
}

func (j *judgement) hourAt(i uint64) (contract.Hour, error) {
	if i >= j.t.size() {
		return j.accepted[i-j.t.size()].hour, nil
	}
	leaf, err := j.t.leaves.at(i)
	return leaf.Hour, err
}

// next judges the next entry. One that the contract refuses is a *contract.Refusal.
func (j *judgement) next(e *contract.Entry, id contract.ID, h contract.Hour) (accepted, error) {
	n := j.size()
	if n >= maxEntries {
		return accepted{}, fmt.Errorf("a ledger in a folder has at most %d entries", maxEntries)
	}
	if e.Kind == contract.KindConfig && n > 0 {
		// A folder's configuration is fixed: no document of a next one is at hand, or that of
		// an order is none, see successor.
		return accepted{}, &contract.Refusal{Rule: contract.RuleConfigDocument, Entry: id, Hour: h}
	}
	var thread threadAt
	if !e.Opens() {
		var err error
		if thread, _, err = j.find(e.Subject); err != nil {
			return accepted{}, err
		}
	}
	state, err := contract.Apply(j.t.config, thread.state, e, id, n, h)
	return accepted{e, id, h, thread.at, state}, err
}

// commit writes the leaves of accepted entries and then the checkpoint, whose rename is the
// moment from which they count. Whether the disk has it when this fails the next operation
// will see.
//
// consumed is the position behind them in the order of a replica, otherwise 0. What is
// urgent, revocations alone, may use up the room that is set aside.
func (l *log) commit(next []accepted, consumed uint64, urgent bool) (err error) {
	t := l.tables
	signer, err := l.checkpointSigner()
	if err != nil {
		return err
	}
	at := t.size()
	if err := l.makeRoom(at+uint64(len(next)), urgent); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			l.forget()
		}
	}()
	var leaf contract.Leaf
	b := make([]byte, 0, len(next)*contract.LeafSize)
	for i := range next {
		t.extend(&next[i])
		if leaf, err = t.leafOf(&next[i]); err != nil {
			return err
		}
		raw := leaf.Marshal()
		if err := t.add(raw[:]); err != nil {
			return err
		}
		b = append(b, raw[:]...)
	}
	if _, err := l.leaves.f.WriteAt(b, int64(at)*contract.LeafSize); err != nil {
		return err
	}
	root, err := t.log.root(t.size())
	if err != nil {
		return err
	}
	head, err := signer.checkpoint(t.size(), root)
	if err != nil {
		return err
	}
	if err := l.leaves.f.Sync(); err != nil {
		return err
	}
	head.next = consumed
	l.committing.Store(true)
	defer l.committing.Store(false)
	if err := l.replaceCheckpoint(head, urgent); err != nil {
		return err
	}
	if err := l.ops.syncDir(l.dir); err != nil {
		return err
	}
	l.head, l.last = head, leaf
	l.publish()
	return nil
}

// makeRoom makes `leaves` as long as so many leaves need, see extend. Of an append that was killed, or failed, before its
// checkpoint, leaves may be there.
func (l *log) makeRoom(leaves uint64, urgent bool) error {
	f := l.leaves.f
	info, err := f.Stat()
	if err != nil {
		return err
	}
	_, err = extend(f, info.Size(), int64(leaves)*contract.LeafSize, leavesRoom, urgent)
	return err
}
