package folder

import (
	"fmt"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// tables is what follows from the leaves of a ledger, and is needed to judge and to append
// the next. It is in memory only, some 40 bytes an entry. An append, a derivation and a
// verification all go through extend. An append that fails behind it leaves them to be
// derived again.
type tables struct {
	id     crypto.LedgerID
	config contract.Config
	leaves leafFile

	log   tree
	tail  []tlog.Hash // of the leaves behind the last whole block
	state *stateTree
	index index
}

const logLevel = 8 // blocks of 256 leaves, as a tile has

// newTables are those of no entry, with room for n.
func newTables(id crypto.LedgerID, config contract.Config, leaves leafFile, n uint64) *tables {
	t := &tables{id: id, config: config, leaves: leaves, state: newState(n), index: newIndex(n)}
	t.log = tree{level: logLevel, leaves: t.hashes}
	return t
}

// size is how many leaves they are of.
func (t *tables) size() uint64 { return t.log.size }

// find returns the position of an entry and the entry itself.
func (t *tables) find(id contract.ID) (uint64, contract.Entry, bool, error) {
	for at := range t.index.find(id) {
		if leaf, err := t.leaves.at(at); err != nil || leaf.Entry.ID(t.id) == id {
			return at, leaf.Entry, err == nil, err
		}
	}
	return 0, contract.Entry{}, false, nil
}

// extend makes the changes of the next entry. add of its leaf is the end of them.
func (t *tables) extend(a *accepted) {
	if a.entry.Opens() {
		t.state.open(a.state)
	} else {
		t.state.follow(a.opened, a.state)
	}
	t.index.add(a.id, t.size())
}

// leafOf is the leaf of the entry by which they were extended last.
func (t *tables) leafOf(a *accepted) (contract.Leaf, error) {
	root, err := t.state.root(t.state.size)
	return contract.Leaf{Hour: a.hour, StateRoot: root, Entry: *a.entry}, err
}

// add takes the bytes of that leaf in.
func (t *tables) add(leaf []byte) error {
	t.tail = append(t.tail, tlog.RecordHash(leaf))
	if t.log.add(); len(t.tail) < 1<<logLevel {
		return nil
	}
	_, err := t.log.hash(0, t.size()>>logLevel-1)
	t.tail = t.tail[:0]
	return err
}

// hashes are those of the leaves [from, to): of the last ones as they came, since what is
// changed in the file behind an open ledger must not be signed.
func (t *tables) hashes(from, to uint64) ([]tlog.Hash, error) {
	if first := t.size() - uint64(len(t.tail)); from >= first {
		return slices.Clone(t.tail[from-first : to-first]), nil
	}
	return t.leaves.hashes(from, to)
}

// replay judges and extends as was done when the next leaf was new. The leaf's state root is
// not looked at.
func (t *tables) replay(leaf *contract.Leaf) error {
	n, id := t.size(), leaf.Entry.ID(t.id)
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
	t.extend(&a)
	raw := leaf.Marshal()
	return t.add(raw[:])
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
