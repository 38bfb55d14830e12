package folder

import (
	"context"
	"errors"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// loadTables reads the heads of the derived files after the checkpoint changed.
// It reports whether all of them are those of the checkpoint. What cannot be
// used is cleared, for redo to make anew.
func (f *Folder) loadTables() (bool, error) {
	t, size := f.tables, f.head.size
	current := true
	for _, d := range []struct {
		*derived
		dataLen func(header, uint64) int64
	}{{t.log.derived, t.log.dataLen}, {t.state.derived, t.state.dataLen}, {t.index.derived, t.index.dataLen}} {
		ok, err := d.load(size, d.dataLen)
		if err != nil {
			return false, err
		}
		if !ok {
			d.clear()
		}
		current = current && f.from(d.derived) == size
	}
	if !current {
		return false, nil
	}
	ok, err := f.rootsHold()
	if err != nil || !ok {
		return false, err
	}
	f.loaded, f.opened = true, true
	return true, nil
}

// from is the first leaf that a derived file may lack. Up to applied every write
// was made, and this process sees it; but before it was there the machine may
// have lost power, with all that was not synced.
func (f *Folder) from(d *derived) uint64 {
	switch {
	case d.fresh:
		return 0
	case f.opened && d.header.applied == f.head.size:
		return f.head.size
	default:
		return d.header.synced
	}
}

// rootsHold compares the roots in the derived files with the checkpoint and with
// the state root of its last leaf.
func (f *Folder) rootsHold() (bool, error) {
	logRoot, err := f.tables.log.root(f.head.size)
	if err != nil {
		return false, err
	}
	stateRoot, err := f.tables.state.root(f.head.size)
	return logRoot == f.head.root && stateRoot == f.last.StateRoot, err
}

// redo brings the derived files up to the checkpoint: by applying the leaves
// again from where they may lack some, or if that does not lead to the right
// roots from the beginning. The lock is held exclusively. What cannot be written
// stays in memory.
func (f *Folder) redo() error {
	if f.readOnly == nil {
		// The checkpoint may be one whose writer was killed before its name was
		// durable. The derived files must never be ahead of what is.
		if err := f.ops.syncDir(f.dir); err != nil {
			return err
		}
	}
	var damage *DamagedError
	err := f.redoFrom()
	if err != nil && !errors.As(err, &damage) {
		return err
	}
	ok := false
	if err == nil {
		if ok, err = f.rootsHold(); err != nil {
			return err
		}
	}
	if !ok {
		// Nothing is made anew from leaves that are not those of the checkpoint:
		// the old files may tell which entry was changed.
		if err := f.checkLeaves(); err != nil {
			return err
		}
		for _, d := range f.tables.files() {
			d.clear()
		}
		if err := f.redoFrom(); err != nil {
			return err
		}
		if ok, err = f.rootsHold(); err != nil {
			return err
		} else if !ok {
			return &DamagedError{File: leavesFile, Entry: NoEntry, What: "not what the checkpoint was signed for"}
		}
	}
	f.loaded, f.opened = true, true
	if f.readOnly == nil {
		// A full disk, say, is no reason not to read. The next append tries again.
		f.flush()
		f.sync()
	}
	return nil
}

func (f *Folder) redoFrom() error {
	t, size := f.tables, f.head.size
	log, state, index := f.from(t.log.derived), f.from(t.state.derived), f.from(t.index.derived)
	newState := t.state.fresh
	for _, d := range t.files() {
		if d.fresh && !slices.Contains(f.rebuilt, d.name) {
			f.rebuilt = append(f.rebuilt, d.name)
		}
	}
	if t.index.fresh {
		t.index.reset(bitsFor(size))
	}
	t.size = size
	defer func() { t.size = size }()
	if err := t.growIndex(size); err != nil {
		return err
	}
	for from := min(log, index); from < size; from += chunk {
		to := min(from+chunk, size)
		err := t.eachLeaf(from, to, func(i uint64, leaf *contract.Leaf, raw []byte) error {
			if i >= log {
				if err := t.log.add(i, tlog.RecordHash(raw)); err != nil {
					return err
				}
			}
			if i >= index {
				return t.index.insert(leaf.Entry.ID(f.id), i)
			}
			return nil
		})
		if err != nil {
			return err
		}
		f.relieve(t.log.derived, to)
		f.relieve(t.index.derived, to)
	}
	if newState {
		for from := uint64(0); from < size; from += chunk {
			to := min(from+chunk, size)
			err := t.eachLeaf(from, to, func(i uint64, leaf *contract.Leaf, _ []byte) error {
				return t.replay(i, leaf, leaf.Entry.ID(f.id))
			})
			if err != nil {
				return err
			}
			f.relieve(t.state.derived, to)
		}
	} else if state < size {
		var leaves []contract.Leaf
		err := t.eachLeaf(state, size, func(_ uint64, leaf *contract.Leaf, _ []byte) error {
			leaves = append(leaves, *leaf)
			return nil
		})
		if err != nil {
			return err
		}
		err = t.state.redo(t.params, f.id, state, leaves, t.find)
		if err != nil {
			return err
		}
	}
	for _, d := range t.files() {
		d.header.applied = size
	}
	return nil
}

// relieve writes what a long rebuild has gathered in memory, if it can.
func (f *Folder) relieve(d *derived, to uint64) {
	if f.readOnly == nil && len(d.changed) > maxPages {
		d.flush(to)
	}
}

// flush writes the derived files as far as they can be written.
func (f *Folder) flush() {
	for _, d := range f.tables.files() {
		if !d.flushed() || d.onDisk != d.marshalHeader(d.header) {
			d.flush(f.head.size)
		}
	}
}

// synced tells whether there is nothing to make durable.
func (f *Folder) synced() bool {
	for _, d := range f.tables.files() {
		if !d.flushed() || d.header.synced != f.head.size {
			return false
		}
	}
	return true
}

// sync makes the derived files durable as far as that works. After a failure the
// next operation makes them anew.
func (f *Folder) sync() {
	for _, d := range f.tables.files() {
		if d.sync() != nil {
			f.loaded = false
		}
	}
}

// checkLeaves compares the leaves with the checkpoint. If they are not those
// that it was signed for, the error is a *DamagedError that names the first
// entry that is wrong, if anything tells which.
func (f *Folder) checkLeaves() error {
	var edge edge
	err := f.tables.eachLeaf(0, f.head.size, func(_ uint64, _ *contract.Leaf, raw []byte) error {
		edge.add(tlog.RecordHash(raw))
		return nil
	})
	if err != nil {
		return err
	}
	if edge.root() == f.head.root {
		return nil
	}
	return f.locate(context.Background())
}

// locate names the entry whose leaf is not what it was. The hashes on the disk
// tell if they are whole, otherwise the signatures and the rules may.
func (f *Folder) locate(ctx context.Context) error {
	damaged := func(i int64, what string) error { return &DamagedError{File: leavesFile, Entry: i, What: what} }
	if old := (logHashes{newDerived("hashes", f.tables.log.kind)}); f.tables.log.f != nil {
		old.f, old.fresh = f.tables.log.f, false
		if root, err := old.root(f.head.size); err == nil && root == f.head.root {
			return f.tables.eachLeaf(0, f.head.size, func(i uint64, _ *contract.Leaf, raw []byte) error {
				h, err := old.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(i))})
				if err == nil && h[0] != tlog.RecordHash(raw) {
					err = damaged(int64(i), "not the leaf that was logged")
				}
				if len(old.pages) > maxPages {
					old.drop()
				}
				return err
			})
		}
	}
	mem := newTables(f.id, f.tables.params, f.tables.leaves)
	mem.index.reset(bitsFor(f.head.size))
	var hour contract.Hour
	err := f.tables.eachLeaf(0, f.head.size, func(i uint64, leaf *contract.Leaf, _ []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if contract.CheckShape(&leaf.Entry) != nil || contract.CheckSignature(f.id, &leaf.Entry) != nil {
			return damaged(int64(i), "signature does not verify")
		}
		if leaf.Hour < hour {
			return damaged(int64(i), "ledger hour goes backwards")
		}
		hour = leaf.Hour
		id := leaf.Entry.ID(f.id)
		if err := mem.replay(i, leaf, id); err != nil {
			return err
		}
		return mem.index.insert(id, i)
	})
	if err != nil {
		return err
	}
	return damaged(NoEntry, "not what the checkpoint was signed for")
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
