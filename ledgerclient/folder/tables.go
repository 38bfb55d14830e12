package folder

import (
	"errors"
	"fmt"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// tables is what follows from the leaves of a ledger, and is needed to judge and to append
// the next. It is in memory, some 50 bytes an entry, see the package comment; private keeps
// a copy. An append, a derivation and a verification all go through extend. An append that
// fails behind it leaves them to be derived again.
type tables struct {
	id     crypto.LedgerID
	config contract.Config
	leaves leafFile
	size   uint64 // leaves that they are of

	log   tree
	state *stateTree
	index index
}

const logLevel = 8 // blocks of 256 leaves, as a tile has

// tablesKind names the version of what is kept of them.
const tablesKind = "carekey-log/2"

func newTables(id crypto.LedgerID, config contract.Config, leaves leafFile) *tables {
	t := &tables{id: id, config: config, leaves: leaves}
	t.reset(0)
	return t
}

// reset makes them those of no entry, with room for n.
func (t *tables) reset(n uint64) {
	t.size = 0
	t.log = newTree(logLevel, t.leaves.hashes)
	t.state = newState()
	t.state.rows = make([]byte, 0, n*rowSize)
	t.index = newIndex(n)
}

// save keeps them.
func (t *tables) save(p private) {
	s := t.state
	p.save(".log", tablesKind, t.log.kept[0], s.tree.kept[0], s.rows, s.threads, t.index)
}

// load makes them what was kept, if that can be of a log of at most size entries; and
// reports whether they are.
func (t *tables) load(p private, size uint64) bool {
	sections := p.load(".log", tablesKind, 5)
	if sections == nil {
		return false
	}
	t.reset(0)
	s := t.state
	s.rows, s.threads, t.index = sections[2], sections[3], sections[4]
	n := uint64(len(s.rows)) / rowSize
	if n == 0 || n > size || !s.whole(n) || !t.index.whole() || t.index.used() != n ||
		!t.log.restore(sections[0], n) || !s.tree.restore(sections[1], n) {
		t.reset(0)
		return false
	}
	t.size, s.read = n, true
	return true
}

// find returns the position of an entry and the entry itself.
func (t *tables) find(id contract.ID) (uint64, contract.Entry, bool, error) {
	var e contract.Entry
	at, ok, err := t.index.find(id, func(i uint64) (bool, error) {
		if i >= t.size {
			return false, nil
		}
		leaf, err := t.leaves.at(i)
		e = leaf.Entry
		return err == nil && e.ID(t.id) == id, err
	})
	return at, e, ok, err
}

// stateOf returns the state of the thread that entry i opened, the zero State if it opened
// none. The slot is checked against the state tree.
func (t *tables) stateOf(i uint64, opening *contract.Entry) (contract.State, error) {
	if err := t.state.check(i); err != nil {
		return contract.State{}, err
	}
	return t.state.state(i, opening), nil
}

// followUps returns the positions of the follow-ups of the thread opened at i, in the order
// of the log. How many there are is under the state root, and each says itself what it follows.
func (t *tables) followUps(i uint64) ([]uint64, error) {
	if !t.state.read {
		return t.state.followUps(i)
	}
	if err := t.state.check(i); err != nil {
		return nil, err
	}
	opening, err := t.leaves.at(i)
	if err != nil {
		return nil, err
	}
	all, err := t.state.followUps(i)
	for _, n := range all {
		leaf, lerr := t.leaves.at(n)
		if err = errors.Join(err, lerr); err == nil && leaf.Entry.Subject != opening.Entry.ID(t.id) {
			err = &DamagedError{File: stateFile, Entry: int64(i), What: notLinked}
		}
	}
	return all, err
}

// extend makes the changes of the next entry and returns its leaf.
func (t *tables) extend(a *accepted) (contract.Leaf, error) {
	n := t.size
	if a.entry.Opens() {
		t.state.open(n, a.state)
	} else if err := t.state.follow(a.opened, n, a.state); err != nil {
		return contract.Leaf{}, err
	}
	root, err := t.state.tree.root(n + 1)
	leaf := contract.Leaf{Hour: a.hour, StateRoot: root, Entry: *a.entry}
	raw := leaf.Marshal()
	h := tlog.RecordHash(raw[:])
	t.state.setLeaf(n, h)
	t.log.add(h)
	t.index = t.index.add(a.id, n)
	t.size++
	return leaf, err
}

// replay judges and extends as was done when the next leaf was new, and reports whether the
// result is the same.
func (t *tables) replay(leaf *contract.Leaf) error {
	n, id := t.size, leaf.Entry.ID(t.id)
	if _, _, there, err := t.find(id); err != nil {
		return err
	} else if there {
		return damagedLeaf(n, "stands in the log before")
	}
	a, err := (&judgement{t: t}).next(&leaf.Entry, id, leaf.Hour)
	if r, ok := err.(*contract.Refusal); ok {
		return damagedLeaf(n, fmt.Sprintf("accepted against the rule %q", r.Rule))
	}
	if err != nil {
		return err
	}
	if again, err := t.extend(&a); err != nil {
		return err
	} else if again != *leaf {
		return damagedLeaf(n, "state root is not that of the entries")
	}
	return nil
}

// has reports whether a log that was verified is a beginning of this one.
func (t *tables) has(v Verified) bool {
	root, err := t.log.root(v.Size)
	return err == nil && root == v.Root
}

// leafFile is the file `leaves`: 258 bytes for each leaf and nothing else. Bytes
// beyond the size of the checkpoint are of an append that was never committed.
type leafFile struct{ f file }

// read returns the bytes of the leaves [from, to).
func (l leafFile) read(from, to uint64) ([]byte, error) {
	b := make([]byte, (to-from)*contract.LeafSize)
	if _, err := l.f.ReadAt(b, int64(from)*contract.LeafSize); err != nil {
		return nil, err
	}
	return b, nil
}

func (l leafFile) at(i uint64) (contract.Leaf, error) {
	b, err := l.read(i, i+1)
	if err != nil {
		return contract.Leaf{}, err
	}
	return contract.ParseLeaf(b)
}

// hashes are those of the leaves [from, to).
func (l leafFile) hashes(from, to uint64) ([]tlog.Hash, error) {
	b, err := l.read(from, to)
	if err != nil {
		return nil, err
	}
	hs := make([]tlog.Hash, 0, to-from)
	for raw := range slices.Chunk(b, contract.LeafSize) {
		hs = append(hs, tlog.RecordHash(raw))
	}
	return hs, nil
}

// parsed are the leaves [from, to).
func (l leafFile) parsed(from, to uint64) ([]contract.Leaf, error) {
	b, err := l.read(from, to)
	if err != nil {
		return nil, err
	}
	leaves := make([]contract.Leaf, 0, to-from)
	for raw := range slices.Chunk(b, contract.LeafSize) {
		leaf, err := contract.ParseLeaf(raw)
		if err != nil {
			return nil, err
		}
		leaves = append(leaves, leaf)
	}
	return leaves, nil
}
