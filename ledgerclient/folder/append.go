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
// Errors: *ReplicaError, *ClockError, *ReadOnlyError, *BusyError, *DamagedError, ctx's, and
// those of the file system (errors.Is tells syscall.ENOSPC). After an error look
// the entries up before sending them again: nothing or all of the batch is in
// the log.
func (f *Folder) Append(ctx context.Context, entries []contract.Entry) ([]ledgerclient.Outcome, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	if f.readOnly != nil {
		return nil, &ReadOnlyError{Dir: f.dir, Err: f.readOnly}
	}
	out, err := f.precheck(ctx, entries)
	if err != nil {
		return nil, err
	}
	err = f.locked(ctx, true, func() error {
		if replica, err := f.isReplica(); err != nil {
			return err
		} else if replica {
			return &ReplicaError{Dir: f.dir, Replica: true}
		}
		hour, err := f.ledgerHour()
		if _, doubtful := errors.AsType[*ClockError](err); doubtful && onlyRevocations(entries) {
			hour, err = f.last.Hour, nil
		}
		if err == nil {
			err = f.judge(entries, out, func(int) contract.Hour { return hour })
		}
		if err == nil && len(f.tables.pending) > 0 {
			err = f.commit(!slices.ContainsFunc(f.tables.pending, func(l contract.Leaf) bool { return l.Entry.Kind != contract.KindRevoke }))
		}
		if err != nil {
			f.undo()
		}
		return err
	})
	if readOnly(err) {
		err = &ReadOnlyError{Dir: f.dir, Err: err}
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
func (f *Folder) precheck(ctx context.Context, entries []contract.Entry) ([]ledgerclient.Outcome, error) {
	out := make([]ledgerclient.Outcome, len(entries))
	errs := make([]error, len(entries))
	parallel(len(entries), func(i int) bool {
		e := &entries[i]
		out[i].ID = e.ID(f.id)
		err := contract.CheckShape(e)
		if err == nil && !f.ground().checked.take(e) {
			err = contract.CheckSignature(f.id, e)
		}
		if r := (*contract.Refusal)(nil); errors.As(err, &r) {
			out[i].Refusal = &contract.Refusal{Rule: r.Rule, Entry: out[i].ID}
		} else {
			errs[i] = err
		}
		return ctx.Err() == nil
	})
	return out, errors.Join(append(errs, ctx.Err())...)
}

// ledgerHour is the hour at which entries are judged now.
func (f *Folder) ledgerHour() (contract.Hour, error) {
	hour := f.hour()
	if hour > f.last.Hour && hour-f.last.Hour > MaxIdle && !f.accept {
		return 0, &ClockError{Last: f.last.Hour, Now: hour}
	}
	return max(hour, f.last.Hour), nil
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
func (f *Folder) judge(entries []contract.Entry, out []ledgerclient.Outcome, hourOf func(i int) contract.Hour) error {
	t := f.tables
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
func (f *Folder) undo() {
	if f.tables.undo() != nil {
		f.tables.reset(0)
	}
}

// commit writes the pending leaves and then the checkpoint, whose rename is the
// moment from which they count.
//
// What is urgent, revocations alone, may use up the room that is set aside.
func (f *Folder) commit(urgent bool) error {
	t := f.tables
	signer, err := f.checkpointSigner()
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
	if err := f.writeLeaves(urgent); err != nil {
		return err
	}
	f.committing.Store(true)
	defer f.committing.Store(false)
	if err := f.replace(checkpointFile, next.raw, urgent); err != nil {
		return err
	}
	if err := f.ops.syncDir(f.dir); err != nil {
		return err
	}
	f.head, f.last = next, t.pending[len(t.pending)-1]
	t.commit()
	f.publish()
	f.keep()
	return nil
}

// writeLeaves writes the pending leaves behind those that count, durably. There is
// room for more behind them, which only what is urgent may use up. Of an append that
// was killed, or failed, before its checkpoint, leaves may be there.
func (f *Folder) writeLeaves(urgent bool) error {
	t := f.tables
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
