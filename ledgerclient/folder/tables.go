package folder

import (
	"errors"
	"fmt"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// tables is the ledger as it is judged and extended: the leaves, and what follows from
// them. That is in memory, some 50 bytes an entry, see the package comment; private
// keeps a copy. New leaves gather in pending until they are written. An append, a
// derivation and a verification all go through it.
type tables struct {
	id     crypto.LedgerID
	params contract.Params
	leaves leafFile
	size   uint64 // leaves in the file that count

	log   tree
	state *stateTree
	index index

	pending    []contract.Leaf
	pendingIDs []contract.ID
}

const logLevel = 8 // blocks of 256 leaves, as a tile has

// tablesKind names the version of what is kept of them.
const tablesKind = "carekey-log/1"

func newTables(id crypto.LedgerID, params contract.Params, leaves leafFile) *tables {
	t := &tables{id: id, params: params, leaves: leaves}
	t.reset(0)
	return t
}

// reset makes them those of no entry, with room for n.
func (t *tables) reset(n uint64) {
	t.size, t.pending, t.pendingIDs = 0, nil, nil
	t.log = tree{level: logLevel, leaves: t.leafHashes}
	t.state = newState()
	t.state.rows = make([]byte, 0, n*rowSize)
	t.index = newIndex(n)
}

func (t *tables) sections() []*[]byte {
	s := t.state
	return []*[]byte{(*[]byte)(&t.log.kept), (*[]byte)(&t.log.tail), (*[]byte)(&s.tree.kept), (*[]byte)(&s.tree.tail), &s.rows, &s.threads, (*[]byte)(&t.index)}
}

const tableSections = 7

// save keeps them. There is nothing pending.
func (t *tables) save(p private) {
	var sections [][]byte
	for _, s := range t.sections() {
		sections = append(sections, *s)
	}
	p.save(".log", tablesKind, sections...)
}

// load makes them what was kept, if that can be of a log of at most size entries; and
// reports whether they are.
func (t *tables) load(p private, size uint64) bool {
	sections := p.load(".log", tablesKind, tableSections)
	if sections == nil {
		return false
	}
	t.reset(0)
	for i, s := range t.sections() {
		*s = sections[i]
	}
	n := uint64(len(t.state.rows)) / rowSize
	if n == 0 || n > size || !t.log.whole(n) || !t.state.whole(n) || !t.index.whole() || t.index.used() != n {
		t.reset(0)
		return false
	}
	t.size, t.state.read = n, true
	t.state.commit()
	return true
}

// length is the number of leaves with the pending ones.
func (t *tables) length() uint64 { return t.size + uint64(len(t.pending)) }

func (t *tables) leaf(i uint64) (contract.Leaf, error) {
	if i >= t.size {
		return t.pending[i-t.size], nil
	}
	return t.leaves.at(i)
}

// leafHashes are those of the leaves [from, to).
func (t *tables) leafHashes(from, to uint64) ([]tlog.Hash, error) {
	hs := make([]tlog.Hash, 0, to-from)
	if from < t.size {
		b, err := t.leaves.read(from, min(to, t.size))
		if err != nil {
			return nil, err
		}
		for ; len(b) > 0; b = b[contract.LeafSize:] {
			hs = append(hs, tlog.RecordHash(b[:contract.LeafSize]))
		}
	}
	for i := max(from, t.size); i < to; i++ {
		b := t.pending[i-t.size].Marshal()
		hs = append(hs, tlog.RecordHash(b[:]))
	}
	return hs, nil
}

// find returns the position of an entry and the entry itself.
func (t *tables) find(id contract.ID) (uint64, contract.Entry, bool, error) {
	var e contract.Entry
	at, ok, err := t.index.find(id, func(i uint64) (bool, error) {
		if i >= t.size {
			if i >= t.length() {
				return false, nil
			}
			e = t.pending[i-t.size].Entry
			return t.pendingIDs[i-t.size] == id, nil
		}
		leaf, err := t.leaves.at(i)
		e = leaf.Entry
		return err == nil && e.ID(t.id) == id, err
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
	if err := t.state.check(at, t.length()); err != nil {
		return contract.State{}, 0, err
	}
	return t.state.state(at, &opening), at, nil
}

// followUps returns the positions of the follow-ups of the thread opened at i, in the order
// of the log. How many there are is under the state root, and each says itself what it follows.
func (t *tables) followUps(i uint64) ([]uint64, error) {
	if !t.state.read {
		return t.state.followUps(i)
	}
	if err := t.state.check(i, t.length()); err != nil {
		return nil, err
	}
	opening, err := t.leaf(i)
	if err != nil {
		return nil, err
	}
	all, err := t.state.followUps(i)
	for _, n := range all {
		leaf, lerr := t.leaf(n)
		if err = errors.Join(err, lerr); err == nil && leaf.Entry.Subject != opening.Entry.ID(t.id) {
			err = &DamagedError{File: stateFile, Entry: int64(i), What: notLinked}
		}
	}
	return all, err
}

// admit judges the next entry and makes it pending. It returns its leaf. An entry that
// the contract refuses is a *contract.Refusal and changes nothing.
func (t *tables) admit(e *contract.Entry, id contract.ID, h contract.Hour) (contract.Leaf, error) {
	n := t.length()
	leaf := contract.Leaf{Hour: h, Entry: *e}
	if err := t.extendState(n, e, id, h); err != nil {
		return leaf, err
	}
	root, err := t.state.tree.root(n + 1)
	if err != nil {
		return leaf, err
	}
	leaf.StateRoot = root
	b := leaf.Marshal()
	t.pending = append(t.pending, leaf)
	t.pendingIDs = append(t.pendingIDs, id)
	return leaf, t.extendLog(n, id, tlog.RecordHash(b[:]))
}

// extendLog adds leaf n to all but the state.
func (t *tables) extendLog(n uint64, id contract.ID, h tlog.Hash) error {
	t.state.setLeaf(n, h)
	t.index = t.index.add(id, n)
	return t.log.add(n, h)
}

// extendState judges entry n and makes its changes to the state tree.
func (t *tables) extendState(n uint64, e *contract.Entry, id contract.ID, h contract.Hour) error {
	if n >= maxEntries {
		return fmt.Errorf("a ledger in a folder has at most %d entries", maxEntries)
	}
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

// commit makes the pending leaves, which are in the file now, those that count.
func (t *tables) commit() {
	t.size, t.pending, t.pendingIDs = t.length(), nil, nil
	t.state.commit()
}

// undo drops the pending leaves.
func (t *tables) undo() error {
	for k := len(t.pendingIDs) - 1; k >= 0; k-- {
		t.index.remove(t.pendingIDs[k], t.size+uint64(k))
	}
	t.pending, t.pendingIDs = nil, nil
	if err := t.log.cut(t.size); err != nil {
		return err
	}
	return t.state.undo(t.size)
}

// replay does for leaf number size of the file what admit did when it was new, and
// reports whether the result is the same.
func (t *tables) replay(leaf *contract.Leaf, id contract.ID, h tlog.Hash) error {
	n := t.size
	fail := func(what string) error { return &DamagedError{File: leavesFile, Entry: int64(n), What: what} }
	err := t.extendState(n, &leaf.Entry, id, leaf.Hour)
	if r, ok := err.(*contract.Refusal); ok {
		return fail(fmt.Sprintf("accepted against the rule %q", r.Rule))
	}
	if err != nil {
		return err
	}
	root, err := t.state.tree.root(n + 1)
	if err != nil {
		return err
	}
	if root != leaf.StateRoot {
		return fail("state root is not that of the entries")
	}
	t.state.commit()
	t.size++
	return t.extendLog(n, id, h)
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

// chunk is how many leaves are read at a time: about 1 MiB.
const chunk = 4096

// each calls f with the leaves [from, to) of the file.
func (l leafFile) each(from, to uint64, f func(i uint64, leaf *contract.Leaf, raw []byte) error) error {
	for from < to {
		end := min(from+chunk, to)
		b, err := l.read(from, end)
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
