package folder

import (
	"bytes"
	"context"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// maxLeaves is the most that Leaves returns at a time.
const maxLeaves = 65536

// Genesis returns the configuration document.
func (l *log) Genesis(context.Context) ([]byte, error) { return bytes.Clone(l.genesis), nil }

// Checkpoint returns the newest signed checkpoint.
func (l *log) Checkpoint(ctx context.Context) (raw []byte, err error) {
	h, err := l.durableHead(ctx)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(h.raw), nil
}

// Leaves returns the leaves [from, to), at most 65,536; *RangeError if the log
// does not have them.
func (l *log) Leaves(ctx context.Context, from, to uint64) ([]contract.Leaf, error) {
	var leaves []contract.Leaf
	err := l.look(ctx, func() (err error) {
		if from > to || to > l.head.size || to-from > maxLeaves {
			return &RangeError{From: from, To: to, Size: l.head.size}
		}
		leaves, err = l.leaves.parsed(from, to)
		return err
	})
	return leaves, err
}

// Find returns the position of an entry, and false if the log has none such.
func (l *log) Find(ctx context.Context, id contract.ID) (at uint64, ok bool, err error) {
	err = l.look(ctx, func() error {
		at, _, ok, err = l.tables.find(id)
		return err
	})
	return at, ok, err
}

// ProveConsistency proves that the log of size old is a prefix of that of size
// new, 1 ≤ old ≤ new; *RangeError if the log is smaller than new.
func (l *log) ProveConsistency(ctx context.Context, old, new uint64) ([]crypto.Hash, error) {
	var proof tlog.TreeProof
	err := l.look(ctx, func() (err error) {
		if old < 1 || old > new || new > l.head.size {
			return &RangeError{From: old, To: new, Size: l.head.size}
		}
		proof, err = tlog.ProveTree(int64(new), int64(old), &l.tables.log)
		return err
	})
	return ledgerclient.Hashes[crypto.Hash](proof), err
}

// ProveThread proves the state of the thread opened at index. size must be that
// of the newest checkpoint: another process may have appended since it was read,
// which is a *RangeError; read the checkpoint again.
func (l *log) ProveThread(ctx context.Context, index, size uint64) (ledgerclient.ThreadProof, error) {
	p := ledgerclient.ThreadProof{Size: size, Index: index}
	err := l.look(ctx, func() error {
		if size != l.head.size || index >= size {
			return &RangeError{From: index, To: size, Size: l.head.size}
		}
		t := l.tables
		last, err := tlog.ProveRecord(int64(size), int64(size-1), &t.log)
		if err != nil {
			return err
		}
		slot, err := tlog.ProveRecord(int64(size), int64(index), t.state)
		if err != nil {
			return err
		}
		p.FollowUps = t.state.followUps(index)
		p.Last, p.LastProof = l.last, ledgerclient.Hashes[crypto.Hash](last)
		p.Slot, p.SlotProof = bytes.Clone(t.state.slot(index)), ledgerclient.Hashes[crypto.Hash](slot)
		return nil
	})
	return p, err
}
