package folder

import (
	"fmt"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// tables is the ledger as it is judged and extended: the leaves and the three
// files that are derived from them. New leaves gather in pending until they are
// written. An append, a rebuild and a verification all go through it.
type tables struct {
	id     crypto.LedgerID
	params contract.Params
	leaves leafFile
	size   uint64 // leaves in the file that count

	log   logHashes
	state stateTree
	index index

	pending    []contract.Leaf
	pendingIDs []contract.ID
}

func newTables(id crypto.LedgerID, params contract.Params, leaves leafFile) *tables {
	return &tables{id: id, params: params, leaves: leaves, log: newLogHashes(), state: newStateTree(), index: newIndex()}
}

func (t *tables) files() [3]*derived {
	return [3]*derived{t.log.derived, t.state.derived, t.index.derived}
}

// length is the number of leaves with the pending ones.
func (t *tables) length() uint64 { return t.size + uint64(len(t.pending)) }

func (t *tables) leaf(i uint64) (contract.Leaf, error) {
	if i >= t.size {
		return t.pending[i-t.size], nil
	}
	return t.leaves.at(i)
}

// find returns the position of an entry and the entry itself.
func (t *tables) find(id contract.ID) (uint64, contract.Entry, bool, error) {
	var e contract.Entry
	at, ok, err := t.index.find(id, func(i uint64) (contract.ID, bool, error) {
		switch {
		case i >= t.length():
			return contract.ID{}, false, nil
		case i >= t.size:
			e = t.pending[i-t.size].Entry
			return t.pendingIDs[i-t.size], true, nil
		}
		leaf, err := t.leaves.at(i)
		if err != nil {
			return contract.ID{}, false, err
		}
		e = leaf.Entry
		return e.ID(t.id), true, nil
	})
	return at, e, ok, err
}

// thread returns the state of the thread that the entry with that id opened, at
// its position; the zero State if there is none such. The slot is checked
// against the state tree.
func (t *tables) thread(id contract.ID) (contract.State, uint64, error) {
	at, opening, ok, err := t.find(id)
	if err != nil || !ok {
		return contract.State{}, 0, err
	}
	r, err := t.state.record(at)
	if err != nil {
		return contract.State{}, 0, err
	}
	if err := t.state.check(at, t.length(), r); err != nil {
		return contract.State{}, 0, err
	}
	return r.thread(&opening), at, nil
}

// admit judges the next entry and writes what follows from it to all tables but
// the leaves. It returns the leaf that is now pending. An entry that the
// contract refuses is a *contract.Refusal and changes nothing.
func (t *tables) admit(e *contract.Entry, id contract.ID, h contract.Hour) (contract.Leaf, error) {
	n := t.length()
	leaf := contract.Leaf{Hour: h, Entry: *e}
	if err := t.extendState(n, e, id, h); err != nil {
		return leaf, err
	}
	root, err := t.state.root(n + 1)
	if err != nil {
		return leaf, err
	}
	leaf.StateRoot = root
	b := leaf.Marshal()
	if err := t.log.add(n, tlog.RecordHash(b[:])); err != nil {
		return leaf, err
	}
	if err := t.index.insert(id, n); err != nil {
		return leaf, err
	}
	t.pending = append(t.pending, leaf)
	t.pendingIDs = append(t.pendingIDs, id)
	return leaf, nil
}

// extendState judges entry n and makes its changes to the state tree.
func (t *tables) extendState(n uint64, e *contract.Entry, id contract.ID, h contract.Hour) error {
	if e.Kind == contract.KindConfig && n > 0 {
		// A folder's configuration is fixed: no document of a next one is at hand.
		return &contract.Refusal{Rule: contract.RuleConfigDocument, Entry: id, Hour: h}
	}
	var s contract.State
	var at uint64
	if !e.Opens() {
		var err error
		if s, at, err = t.thread(e.Subject); err != nil {
			return err
		}
	}
	next, err := contract.Apply(t.params, s, e, id, n, h)
	if err != nil {
		return err
	}
	if e.Opens() {
		return t.state.open(n, next)
	}
	return t.state.follow(at, n, next)
}

// replay does for a leaf of the log what admit did when it was new, and tells
// whether the result is the same. index must have all entries before it.
func (t *tables) replay(n uint64, leaf *contract.Leaf, id contract.ID) error {
	fail := func(what string) error { return &DamagedError{File: "leaves", Entry: int64(n), What: what} }
	t.size = n // what is looked up is before it
	err := t.extendState(n, &leaf.Entry, id, leaf.Hour)
	if r, ok := err.(*contract.Refusal); ok {
		return fail(fmt.Sprintf("accepted against the rule %q", r.Rule))
	}
	if err != nil {
		return err
	}
	root, err := t.state.root(n + 1)
	if err != nil {
		return err
	}
	if root != leaf.StateRoot {
		return fail("state root is not that of the entries")
	}
	return nil
}

// growIndex makes the index large enough for n entries.
func (t *tables) growIndex(n uint64) error {
	bits := bitsFor(n)
	if bits <= t.index.bits() {
		return nil
	}
	t.index.reset(bits)
	return t.eachLeaf(0, t.size, func(i uint64, leaf *contract.Leaf, _ []byte) error {
		return t.index.insert(leaf.Entry.ID(t.id), i)
	})
}

// chunk is how many leaves are read at a time: about 1 MiB.
const chunk = 4096

// eachLeaf calls f with the leaves [from, to) of the file.
func (t *tables) eachLeaf(from, to uint64, f func(i uint64, leaf *contract.Leaf, raw []byte) error) error {
	for from < to {
		end := min(from+chunk, to)
		b, err := t.leaves.read(from, end)
		if err != nil {
			return err
		}
		for ; from < end; from, b = from+1, b[contract.LeafSize:] {
			leaf, err := contract.ParseLeaf(b[:contract.LeafSize])
			if err != nil {
				return err
			}
			if err := f(from, &leaf, b[:contract.LeafSize]); err != nil {
				return err
			}
		}
	}
	return nil
}
