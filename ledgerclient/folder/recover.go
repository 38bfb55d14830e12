package folder

import (
	"context"
	"errors"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// follow brings the tables up to the head.
func (l *log) follow(ctx context.Context) error {
	if l.tables.size() == l.head.size {
		return nil
	}
	err := l.replay(ctx)
	if err != nil {
		l.forget()
		if errors.As(err, new(*DamagedError)) {
			if _, worse := l.rederive(ctx, l.head, 0, nil); worse != nil {
				return worse
			}
		}
	}
	return err
}

// forget makes the tables those of no entry: the next operation derives them again.
func (l *log) forget() { l.tables = newTables(l.id, l.config, l.leaves, l.head.size) }

// replay adds the leaves that the tables lack and compares the roots with the checkpoint
// and the last leaf: the roots between were compared by who signed.
func (l *log) replay(ctx context.Context) error {
	t := l.tables
	for t.size() < l.head.size {
		if err := ctx.Err(); err != nil {
			return err
		}
		leaves, err := t.leaves.parsed(t.size(), min(t.size()+chunk, l.head.size))
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
	stateRoot, err := t.state.root(l.head.size)
	if err == nil && (logRoot != l.head.root || stateRoot != l.last.StateRoot) {
		err = damagedFile(leavesFile, notSigned)
	}
	return err
}

// chunk is how many leaves are read at a time: about 1 MiB.
const chunk = 4096

const notSigned = "not what the checkpoint was signed for"

// rederive derives all tables of a head anew from the leaves, and checks these one by one,
// but for the first known ones, whose bytes were checked before. The first finding is a
// *DamagedError.
//
// It needs no lock: what counts in the log never changes.
func (l *log) rederive(ctx context.Context, h head, known uint64, progress func(done, total uint64)) (*tables, error) {
	t := newTables(l.id, l.config, l.leaves, h.size)
	if err := l.examineLeaves(ctx, t, h.size, known, progress); err != nil {
		return nil, err
	}
	root, err := t.log.root(h.size)
	if err == nil && root != h.root {
		err = damagedFile(leavesFile, notSigned)
	}
	return t, err
}

func (l *log) examineLeaves(ctx context.Context, t *tables, size, known uint64, progress func(done, total uint64)) error {
	const block = 512
	var hour contract.Hour
	for t.size() < size {
		from := t.size()
		leaves, err := l.leaves.parsed(from, min(from+block, size))
		if err != nil {
			return err
		}
		if from+uint64(len(leaves)) <= known {
			for i := range leaves {
				if err := t.replay(&leaves[i]); err != nil {
					return err
				}
			}
			hour = leaves[len(leaves)-1].Hour
			if err := ctx.Err(); err != nil {
				return err
			}
			continue
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
				if replayed = replayAfter(t, hour, &leaves[k]); replayed != nil {
					return
				}
				hour = leaves[k].Hour
			}
		})
		if err := ctx.Err(); err != nil {
			return err
		}
		for i, err := range wrong {
			if err != nil && (replayed == nil || from+uint64(i) <= t.size()) {
				return err
			}
		}
		if replayed != nil {
			return replayed
		}
		if progress != nil && t.size() > known {
			progress(t.size()-known, size-known)
		}
	}
	return nil
}

// replayAfter replays the leaf behind one of that hour, and compares its state root.
func replayAfter(t *tables, hour contract.Hour, leaf *contract.Leaf) error {
	n := t.size()
	if leaf.Hour < hour {
		return damagedLeaf(n, "ledger hour goes backwards")
	}
	if err := t.replay(leaf); err != nil {
		return err
	}
	root, err := t.state.root(n + 1)
	if err == nil && root != leaf.StateRoot {
		err = damagedLeaf(n, "state root is not that of the entries")
	}
	return err
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
