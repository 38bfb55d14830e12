package folder

import (
	"context"
	"errors"
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
	if len(entries) == 0 {
		return nil, nil
	}
	if l.readOnly != nil {
		return nil, ErrReadOnly.Of(l.readOnly, "dir", l.dir)
	}
	out, err := l.precheck(ctx, entries)
	if err != nil {
		return nil, err
	}
	err = l.locked(ctx, exclusive, func() error {
		if replica, err := l.isReplica(); err != nil {
			return err
		} else if replica {
			return ErrReplica.With("dir", l.dir)
		}
		hour, err := l.ledgerHour()
		if err == nil && l.doubt != nil && l.doubt() {
			err = ErrClock.With("last", l.last.Hour, "now", l.hour())
		}
		if errors.Is(err, ErrClock) && onlyRevocations(entries) {
			hour, err = l.last.Hour, nil
		}
		if err == nil {
			err = l.judge(entries, out, func(int) contract.Hour { return hour })
		}
		if err == nil && len(l.tables.pending) > 0 {
			err = l.commit(!slices.ContainsFunc(l.tables.pending, func(leaf contract.Leaf) bool { return leaf.Entry.Kind != contract.KindRevoke }))
		}
		if err != nil {
			l.undo()
		}
		return err
	})
	if readOnly(err) {
		err = ErrReadOnly.Of(err, "dir", l.dir)
	}
	if noRoom(err) && slices.ContainsFunc(entries, func(e contract.Entry) bool { return e.Kind == contract.KindRevoke }) {
		err = &ledgerclient.UnreachableError{Service: "ledger", Err: err} // it waits
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
		err := contract.CheckShape(e)
		if err == nil && !l.checked(e) {
			err = contract.CheckSignature(l.id, e)
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

func onlyRevocations(entries []contract.Entry) bool {
	for i := range entries {
		if entries[i].Kind != contract.KindRevoke {
			return false
		}
	}
	return true
}

// judge fills in the outcomes and makes the accepted entries pending. hourOf
// gives the ledger hour of each.
func (l *log) judge(entries []contract.Entry, out []ledgerclient.Outcome, hourOf func(i int) contract.Hour) error {
	t := l.tables
	for i := range entries {
		o := &out[i]
		hour := hourOf(i)
		o.Hour = hour
		if o.Refusal != nil {
			o.Refusal.Hour = hour
			continue
		}
		at, _, there, err := t.find(o.ID)
		if err != nil {
			return err
		}
		if there {
			leaf, err := t.leaf(at)
			if err != nil {
				return err
			}
			o.Index, o.Hour, o.Duplicate = at, leaf.Hour, true
			continue
		}
		o.Index = t.length()
		_, err = t.admit(&entries[i], o.ID, hour)
		if errors.As(err, &o.Refusal) {
			o.Index = 0
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// undo drops what was judged and not committed. Whether the disk has it all the same the
// next operation will see.
func (l *log) undo() {
	if l.tables.undo() != nil {
		l.tables.reset(0)
	}
}

// commit writes the pending leaves and then the checkpoint, whose rename is the
// moment from which they count.
//
// What is urgent, revocations alone, may use up the room that is set aside.
func (l *log) commit(urgent bool) error {
	t := l.tables
	signer, err := l.checkpointSigner()
	if err != nil {
		return err
	}
	size := t.length()
	root, err := t.log.root(size)
	if err != nil {
		return err
	}
	next, err := signer.checkpoint(size, root)
	if err != nil {
		return err
	}
	if err := l.writeLeaves(urgent); err != nil {
		return err
	}
	l.committing.Store(true)
	defer l.committing.Store(false)
	if err := l.replace(checkpointFile, next.raw, urgent); err != nil {
		return err
	}
	if err := l.ops.syncDir(l.dir); err != nil {
		return err
	}
	l.head, l.last = next, t.pending[len(t.pending)-1]
	t.commit()
	l.publish()
	l.keep()
	return nil
}

// writeLeaves writes the pending leaves behind those that count, durably. There is
// room for more behind them, which only what is urgent may use up. Of an append that
// was killed, or failed, before its checkpoint, leaves may be there.
func (l *log) writeLeaves(urgent bool) error {
	t := l.tables
	b := make([]byte, 0, len(t.pending)*contract.LeafSize)
	for i := range t.pending {
		leaf := t.pending[i].Marshal()
		b = append(b, leaf[:]...)
	}
	info, err := t.leaves.f.Stat()
	if err != nil {
		return err
	}
	at := int64(t.size) * contract.LeafSize
	end := at + int64(len(b))
	if info.Size() < end+leavesRoom {
		err := extend(t.leaves.f, info.Size(), end+leavesRoom+leavesRoom/4) // not at each append
		if err != nil && !(urgent && noRoom(err) && info.Size() >= end) {
			return err
		}
	}
	if _, err := t.leaves.f.WriteAt(b, at); err != nil {
		return err
	}
	return t.leaves.f.Sync()
}
