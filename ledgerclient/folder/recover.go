package folder

import (
	"context"
	"errors"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// follow brings the tables up to the head: from what is kept of them, if this process
// has none yet, or as a whole from the leaves if that does not lead to the right roots.
func (l *log) follow(ctx context.Context) error {
	t := l.tables
	if t.size == l.head.size {
		return nil
	}
	if t.size == 0 && t.load(l.private, l.head.size) {
		l.saved = t.size
	}
	known, begun := t.state, t.size // its notes of the leaves may tell which was changed
	err := l.replay(ctx)
	if err != nil && begun > 0 && ctx.Err() == nil {
		t.reset(l.head.size)
		l.saved = 0
		err = l.replay(ctx)
	}
	if err != nil {
		t.reset(0)
		if d := (*DamagedError)(nil); errors.As(err, &d) {
			return l.locate(ctx, known, d)
		}
		return err
	}
	l.keep()
	return nil
}

// keep saves the tables if it would take a while to derive them again.
func (l *log) keep() {
	if t := l.tables; t.size >= l.saved+l.lag+t.size/256 {
		t.save(l.private)
		l.saved = t.size
	}
}

// replay adds the leaves that the tables lack and compares the roots with the checkpoint
// and the last leaf.
func (l *log) replay(ctx context.Context) error {
	t := l.tables
	err := t.leaves.each(t.size, l.head.size, func(i uint64, leaf *contract.Leaf, raw []byte) error {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		return t.replay(leaf, leaf.Entry.ID(l.id), tlog.RecordHash(raw))
	})
	if err != nil {
		return err
	}
	return l.rootsHold()
}

// rootsHold compares the roots of the tables with the checkpoint and with the state root
// of its last leaf.
func (l *log) rootsHold() error {
	logRoot, err := l.tables.log.root(l.head.size)
	if err != nil {
		return err
	}
	stateRoot, err := l.tables.state.tree.root(l.head.size)
	if err == nil && (logRoot != l.head.root || stateRoot != l.last.StateRoot) {
		err = &DamagedError{File: leavesFile, Entry: NoEntry, What: "not what the checkpoint was signed for"}
	}
	return err
}

// checkLeaves compares the leaves with the checkpoint. If they are not those that it was
// signed for, the error is a *DamagedError that names the first entry that is wrong, if
// anything tells which; noted is what was derived before. It returns how many of them are
// those of a known log.
func (l *log) checkLeaves(ctx context.Context, noted *stateTree, known Verified) (same uint64, err error) {
	var edge edge
	err = l.tables.leaves.each(0, l.head.size, func(i uint64, _ *contract.Leaf, raw []byte) error {
		edge.add(tlog.RecordHash(raw))
		if i+1 == known.Size && edge.root() == known.Root {
			same = known.Size
		}
		return nil
	})
	if err == nil && edge.root() != l.head.root {
		err = l.locate(ctx, noted, &DamagedError{File: leavesFile, Entry: NoEntry, What: "not what the checkpoint was signed for"})
	}
	return same, err
}

// locate names the entry whose leaf is not what it was, if found does not. What was noted
// of the leaves tells if there is any, otherwise the signatures and the rules may.
func (l *log) locate(ctx context.Context, known *stateTree, found *DamagedError) error {
	damaged := func(i uint64, what string) error {
		return &DamagedError{File: leavesFile, Entry: int64(i), What: what}
	}
	noted := uint64(len(known.rows)) / rowSize
	mem := newTables(l.id, l.tables.params, l.tables.leaves)
	var hour contract.Hour
	err := l.tables.leaves.each(0, l.head.size, func(i uint64, leaf *contract.Leaf, raw []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		h := tlog.RecordHash(raw)
		if i < noted && !known.isLeaf(i, h) {
			return damaged(i, "not the leaf that was logged")
		}
		if contract.CheckShape(&leaf.Entry) != nil || contract.CheckSignature(l.id, &leaf.Entry) != nil {
			return damaged(i, "signature does not verify")
		}
		if leaf.Hour < hour {
			return damaged(i, "ledger hour goes backwards")
		}
		hour = leaf.Hour
		return mem.replay(leaf, leaf.Entry.ID(l.id), h)
	})
	if err != nil {
		return err
	}
	return found
}

// edge is the right edge of a growing RFC 6962 tree: the roots of its full
// subtrees, largest first.
type edge struct {
	n     uint64
	roots []tlog.Hash
}

func (e *edge) add(h tlog.Hash) {
	for n := e.n; n&1 == 1; n >>= 1 {
		h = tlog.NodeHash(e.roots[len(e.roots)-1], h)
		e.roots = e.roots[:len(e.roots)-1]
	}
	e.roots = append(e.roots, h)
	e.n++
}

func (e *edge) root() crypto.Hash {
	h := e.roots[len(e.roots)-1]
	for i := len(e.roots) - 2; i >= 0; i-- {
		h = tlog.NodeHash(e.roots[i], h)
	}
	return crypto.Hash(h)
}
