package ledgerclient

import (
	"cmp"
	"context"
	"fmt"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// VerifyAll reads the whole ledger and judges it anew: every entry under the
// contract, the state root in every leaf, the log under the signed head. Of the first
// entries neither signatures nor rules are checked again if size and root are a head for
// which that was done before: all leaves are hashed again, and the same root stands for the
// same bytes. It returns the head and how many signatures were checked. Errors are those of Advance; a *TamperedError names the entry.
//
// Memory: 64 bytes for each entry and the state of each thread.
func (c *Client) VerifyAll(ctx context.Context, size uint64, root crypto.Hash, progress func(done, total uint64)) (uint64, crypto.Hash, uint64, error) {
	fail := func(err error) (uint64, crypto.Hash, uint64, error) { return 0, crypto.Hash{}, 0, err }
	head, err := c.Head(ctx)
	if err != nil {
		return fail(err)
	}
	if err := c.CheckPrefix(ctx, size, root, head); err != nil {
		return fail(err)
	}
	anew := func() *verification { return &verification{c: c, from: size, states: map[contract.ID]*judged{}} }
	v := anew()
	pin, newest, err := c.Advance(ctx, Pin{Ledger: c.id}, Pin{}, func(index uint64, leaf *contract.Leaf) error {
		if index == 0 {
			v = anew()
		}
		if err := v.judge(index, leaf); err != nil {
			return err
		}
		if progress != nil && index%1024 == 0 {
			progress(index, max(head.Size, index))
		}
		return nil
	})
	if err == nil {
		err = v.check()
	}
	if err != nil {
		return fail(err)
	}
	return pin.Size, newest.Root, v.signatures, nil
}

// verification is the state of the ledger as far as it was read.
type verification struct {
	c          *Client
	from       uint64 // what is before it was checked
	config     int    // number of the one in force; the first is 0
	states     map[contract.ID]*judged
	tree       stateTree
	waiting    []Placed // signatures to check, together
	signatures uint64
}

type judged struct {
	state contract.State
	index uint64
}

func (v *verification) judge(index uint64, leaf *contract.Leaf) error {
	fail := func(err error) error { return &TamperedError{What: fmt.Sprintf("entry %d", index), Err: err} }
	e := leaf.Entry
	if index >= v.from {
		if err := contract.CheckShape(&e); err != nil {
			return fail(err)
		}
	}
	id := e.ID(v.c.id)
	thread := e.Subject
	if e.Opens() {
		thread = id
		if v.states[id] != nil {
			return fail(fmt.Errorf("it is there twice"))
		}
		v.states[id] = &judged{index: index}
	}
	j := v.states[thread]
	if j == nil {
		return fail(fmt.Errorf("no entry opened its thread"))
	}
	next, err := contract.Apply(v.c.known()[v.config].Config, j.state, &e, id, index, leaf.Hour)
	if err != nil {
		return fail(err)
	}
	j.state = next
	if e.Kind == contract.KindConfig && index > 0 {
		v.config++ // Advance has met its document
	}
	v.tree.set(index, j.index, next.Slot())
	if index+1 >= v.from && v.tree.root() != leaf.StateRoot {
		return fail(fmt.Errorf("its state root is not that of the entries before it"))
	}
	if index >= v.from {
		v.waiting = append(v.waiting, Placed{Index: index, Entry: e})
		if len(v.waiting) == chunk {
			return v.check()
		}
	}
	return nil
}

// check checks the signatures that wait, on all cores.
func (v *verification) check() error {
	errs := make([]error, len(v.waiting))
	Parallel(len(errs), func(i int) {
		if err := contract.CheckSignature(v.c.id, &v.waiting[i].Entry); err != nil {
			errs[i] = &TamperedError{What: fmt.Sprintf("entry %d", v.waiting[i].Index), Err: err}
		}
	})
	v.signatures += uint64(len(v.waiting))
	v.waiting = v.waiting[:0]
	return cmp.Or(errs...)
}

// stateTree is the state tree of SPEC.md with all its full subtrees, of which a
// slot can be changed in a time that grows with the tree's height. levels[h][i] is
// the root over the slots [i·2ʰ, (i+1)·2ʰ).
type stateTree struct {
	size   uint64
	levels [][]tlog.Hash
}

// set appends an empty slot at newest, unless it is there, and sets the one at
// index.
func (t *stateTree) set(newest, index uint64, slot []byte) {
	if newest == t.size {
		t.size++
		t.put(newest, tlog.RecordHash(nil))
	}
	t.put(index, tlog.RecordHash(slot))
}

func (t *stateTree) put(i uint64, h tlog.Hash) {
	for level := 0; ; level++ {
		if level == len(t.levels) {
			t.levels = append(t.levels, nil)
		}
		row := &t.levels[level]
		if i == uint64(len(*row)) {
			*row = append(*row, h)
		} else {
			(*row)[i] = h
		}
		if i|1 >= t.size>>level {
			return // its sibling is not full yet
		}
		h = tlog.NodeHash((*row)[i&^1], (*row)[i|1])
		i >>= 1
	}
}

// root joins the full subtrees, from the smallest up.
func (t *stateTree) root() crypto.Hash {
	var h tlog.Hash
	first := true
	for level := range t.levels {
		if t.size>>level&1 == 0 {
			continue
		}
		sub := t.levels[level][t.size>>level-1]
		if first {
			h, first = sub, false
		} else {
			h = tlog.NodeHash(sub, h)
		}
	}
	return crypto.Hash(h)
}
