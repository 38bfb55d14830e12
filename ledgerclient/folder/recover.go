package folder

import (
	"context"
	"errors"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
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
	noted, begun := t.state.rows, t.size // the notes of the leaves may tell which was changed
	err := l.replay(ctx)
	if err != nil && begun > 0 && ctx.Err() == nil {
		t.reset(l.head.size)
		l.saved = 0
		err = l.replay(ctx)
	}
	if err != nil {
		t.reset(0)
		if errors.As(err, new(*DamagedError)) {
			if _, worse := l.examine(ctx, l.head, 0, noted, nil); worse != nil {
				return worse
			}
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
	for t.size < l.head.size {
		if err := ctx.Err(); err != nil {
			return err
		}
		leaves, err := t.leaves.parsed(t.size, min(t.size+chunk, l.head.size))
		if err != nil {
			return err
		}
		for i := range leaves {
			if err := t.replay(&leaves[i]); err != nil {
				return err
			}
		}
	}
	logRoot, err := t.log.root(l.head.size)
	if err != nil {
		return err
	}
	stateRoot, err := t.state.tree.root(l.head.size)
	if err == nil && (logRoot != l.head.root || stateRoot != l.last.StateRoot) {
		err = damagedFile(leavesFile, notSigned)
	}
	return err
}

// chunk is how many leaves are read at a time: about 1 MiB.
const chunk = 4096

const notSigned = "not what the checkpoint was signed for"

// examine derives all tables of a head anew from the leaves, and checks these one by one;
// of the first known ones not the signatures. The first finding is a *DamagedError. If more
// than a rule tells that something is damaged, noted, rows from before, may tell what was
// changed.
//
// It needs no lock: what counts in the log never changes.
func (l *log) examine(ctx context.Context, h head, known uint64, noted []byte, progress func(done, total uint64)) (*tables, error) {
	t := newTables(l.id, l.config, l.leaves)
	t.reset(h.size)
	err := l.examineLeaves(ctx, t, h.size, known, progress)
	if err == nil {
		root, rerr := t.log.root(h.size)
		if err = rerr; err == nil && root != h.root {
			err = damagedFile(leavesFile, notSigned)
		}
	}
	if damaged := (*DamagedError)(nil); errors.As(err, &damaged) {
		if i, ok := t.state.firstOther(noted); ok && (damaged.Entry == NoEntry || int64(i) <= damaged.Entry) {
			return nil, damagedLeaf(i, "not the leaf that was logged")
		}
	}
	return t, err
}

func (l *log) examineLeaves(ctx context.Context, t *tables, size, known uint64, progress func(done, total uint64)) error {
	const block = 512
	var hour contract.Hour
	for t.size < size {
		from := t.size
		leaves, err := l.leaves.parsed(from, min(from+block, size))
		if err != nil {
			return err
		}
		wrong := make([]error, len(leaves))
		var replayed error
		// One core replays them while the others check them by themselves.
		ledgerclient.Parallel(1+len(leaves), func(i int) {
			if i > 0 {
				n := from + uint64(i-1)
				wrong[i-1] = l.examineLeaf(n, &leaves[i-1], n < known)
				return
			}
			for k := range leaves {
				if leaves[k].Hour < hour {
					replayed = damagedLeaf(t.size, "ledger hour goes backwards")
				} else {
					replayed = t.replay(&leaves[k])
				}
				if replayed != nil {
					return
				}
				hour = leaves[k].Hour
			}
		})
		if err := ctx.Err(); err != nil {
			return err
		}
		for i, err := range wrong {
			if err != nil && (replayed == nil || from+uint64(i) <= t.size) {
				return err
			}
		}
		if replayed != nil {
			return replayed
		}
		if progress != nil && t.size > known {
			progress(t.size-known, size-known)
		}
	}
	return nil
}

// examineLeaf checks what a leaf says by itself.
func (l *log) examineLeaf(n uint64, leaf *contract.Leaf, known bool) error {
	err := contract.CheckShape(&leaf.Entry)
	if err == nil && n == 0 {
		_, err = contract.CheckGenesis(l.genesis, &leaf.Entry)
	}
	if err != nil {
		return damagedLeaf(n, err.Error())
	}
	if !known && contract.CheckSignature(l.id, &leaf.Entry) != nil {
		return damagedLeaf(n, "signature does not verify")
	}
	return nil
}
