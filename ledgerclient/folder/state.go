package folder

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// stateTree is the file `state`: a row of 128 bytes for each entry,
//
//	record 64 ‖ hash 2i ‖ hash 2i+1
//
// where the hashes are those of the state tree in the order of package tlog (a
// tree of n slots has less than 2n of them, and never one in a row before that
// of the entry that completes it). The record of an entry that opened a thread
// is its slot and where to find its follow-ups; that of a follow-up only points
// to the follow-up before it.
type stateTree struct{ *derived }

const (
	rowSize    = 128
	recordSize = 64
)

// record is what `state` says of one entry: 64 bytes,
//
//	slot 42 (zeros for a follow-up) ‖ last 8 ‖ base 8 ‖ zeros 6
//
// Positions of follow-ups are never 0, since entry 0 opens the configuration.
type record struct {
	slot [contract.SlotSize]byte
	// last is, for an opening entry, the position of the last follow-up that was
	// applied to slot, and for a follow-up that of the follow-up before it in the
	// same thread. 0: there is none.
	last uint64
	// base is the last follow-up below the mark synced as it was when the slot was
	// first changed after that mark. If a crash leaves a slot that is ahead of the
	// rows of its follow-ups, this is where to go on. Used for nothing else.
	base uint64
}

func newStateTree() stateTree {
	d := newDerived("state", "carekey-state/1\x00")
	d.lasting = true // base is what it is because of where the mark was
	return stateTree{d}
}

func (stateTree) dataLen(_ header, n uint64) int64 { return int64(n) * rowSize }

func (r *record) opens() bool { return r.slot[0] != 0 }

// slotData is the data of the slot in the tree.
func (r *record) slotData() []byte {
	if !r.opens() {
		return nil
	}
	return r.slot[:]
}

func (r *record) marshal() [recordSize]byte {
	var b [recordSize]byte
	copy(b[:], r.slot[:])
	binary.BigEndian.PutUint64(b[42:], r.last)
	binary.BigEndian.PutUint64(b[50:], r.base)
	return b
}

func parseRecord(b []byte) record {
	return record{
		slot: [contract.SlotSize]byte(b[:42]),
		last: binary.BigEndian.Uint64(b[42:50]),
		base: binary.BigEndian.Uint64(b[50:58]),
	}
}

func (s stateTree) record(i uint64) (record, error) {
	b, err := s.read(int64(i)*rowSize, recordSize)
	if err != nil {
		return record{}, err
	}
	return parseRecord(b), nil
}

func (s stateTree) putRecord(i uint64, r record) error {
	b := r.marshal()
	return s.write(int64(i)*rowSize, b[:])
}

// startRow writes the record of a new row; its hashes are not known yet.
func (s stateTree) startRow(i uint64, r record) error {
	var none [2 * tlog.HashSize]byte
	if err := s.write(int64(i)*rowSize+recordSize, none[:]); err != nil {
		return err
	}
	return s.putRecord(i, r)
}

func hashOffset(stored int64) int64 {
	return stored/2*rowSize + recordSize + stored%2*tlog.HashSize
}

func (s stateTree) hash(stored int64) (tlog.Hash, error) {
	b, err := s.read(hashOffset(stored), tlog.HashSize)
	if err != nil {
		return tlog.Hash{}, err
	}
	return tlog.Hash(b), nil
}

// ReadHashes makes it a tlog.HashReader.
func (s stateTree) ReadHashes(indexes []int64) (hs []tlog.Hash, err error) {
	hs = make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if hs[i], err = s.hash(x); err != nil {
			return nil, err
		}
	}
	return hs, nil
}

// root is the root of the first n slots.
func (s stateTree) root(n uint64) (crypto.Hash, error) {
	h, err := tlog.TreeHash(int64(n), s)
	return crypto.Hash(h), err
}

// addHashes appends the hashes that slot i completes, the last one of the tree.
func (s stateTree) addHashes(i uint64, r record) error {
	hs, err := tlog.StoredHashes(int64(i), r.slotData(), s)
	if err != nil {
		return err
	}
	first := tlog.StoredHashIndex(0, int64(i))
	for j := range hs {
		if err := s.write(hashOffset(first+int64(j)), hs[j][:]); err != nil {
			return err
		}
	}
	return nil
}

// path calls f with the places of the stored hashes from slot i of a tree of n
// slots up to the root of the full subtree that it is in: each with its sibling
// and their parent. left tells that the sibling is the left one.
func path(i, n uint64, f func(sibling, parent int64, left bool) error) error {
	for level := 0; ; level++ {
		at := i >> level
		if (at>>1+1)<<(level+1) > n {
			return nil // the parent is not complete and not stored
		}
		if err := f(tlog.StoredHashIndex(level, int64(at^1)), tlog.StoredHashIndex(level+1, int64(at>>1)), at&1 == 1); err != nil {
			return err
		}
	}
}

// join returns the hash above h and its sibling; left says that the sibling is the
// left one.
func (s stateTree) join(h tlog.Hash, sibling int64, left bool) (tlog.Hash, error) {
	o, err := s.hash(sibling)
	if err != nil || !left {
		return tlog.NodeHash(h, o), err
	}
	return tlog.NodeHash(o, h), nil
}

// rehash recomputes the stored hashes above slot i in a tree of n slots.
func (s stateTree) rehash(i, n uint64, r record) error {
	h := tlog.RecordHash(r.slotData())
	if err := s.write(hashOffset(tlog.StoredHashIndex(0, int64(i))), h[:]); err != nil {
		return err
	}
	return path(i, n, func(sibling, parent int64, left bool) (err error) {
		if h, err = s.join(h, sibling, left); err != nil {
			return err
		}
		return s.write(hashOffset(parent), h[:])
	})
}

// check verifies the slot i of a tree of n slots against the stored hashes above
// it. The root over the uppermost ones is compared with the log's whenever the
// file is loaded, so that no changed slot leads to a wrong judgement.
func (s stateTree) check(i, n uint64, r record) error {
	h := tlog.RecordHash(r.slotData())
	same := func(stored int64) error {
		o, err := s.hash(stored)
		if err == nil && o != h {
			err = &DamagedError{File: s.name, Entry: int64(i), What: "slot is not under the state root"}
		}
		return err
	}
	if err := same(tlog.StoredHashIndex(0, int64(i))); err != nil {
		return err
	}
	return path(i, n, func(sibling, parent int64, left bool) (err error) {
		if h, err = s.join(h, sibling, left); err != nil {
			return err
		}
		return same(parent)
	})
}

// open appends the slot of a thread that entry n opens.
func (s stateTree) open(n uint64, next contract.State) error {
	r := record{slot: [contract.SlotSize]byte(next.Slot())}
	if err := s.startRow(n, r); err != nil {
		return err
	}
	return s.addHashes(n, r)
}

// follow appends the empty slot of entry n, a follow-up of the thread opened at
// i, and changes that thread's slot.
func (s stateTree) follow(i, n uint64, next contract.State) error {
	opening, err := s.record(i)
	if err != nil {
		return err
	}
	r := record{last: opening.last}
	opening.advance(n, next, s.header.synced)
	if err := s.putRecord(i, opening); err != nil {
		return err
	}
	if err := s.rehash(i, n, opening); err != nil {
		return err
	}
	if err := s.startRow(n, r); err != nil {
		return err
	}
	return s.addHashes(n, r)
}

// advance is what a follow-up at n does to the record of its thread's opening.
func (r *record) advance(n uint64, next contract.State, synced uint64) {
	if r.last < synced {
		r.base = r.last
	}
	r.slot, r.last = [contract.SlotSize]byte(next.Slot()), n
}

// thread returns the state of the thread that opening opened at i, the zero
// State if it opened none.
func (r *record) thread(opening *contract.Entry) contract.State {
	if !r.opens() {
		return contract.State{}
	}
	b := r.slot
	return contract.State{
		Kind:         contract.Kind(b[0]),
		Status:       contract.Status(b[1]),
		LastAccess:   contract.Hour(binary.BigEndian.Uint32(b[2:])),
		Count:        binary.BigEndian.Uint32(b[6:]),
		Chain:        crypto.Hash(b[10:]),
		Author:       opening.Author,
		Counterparty: opening.Counterparty,
		NotBefore:    opening.NotBefore,
		NotAfter:     opening.NotAfter,
	}
}

// followUps returns the positions of the follow-ups of the thread opened at i,
// in the order of the log.
func (s stateTree) followUps(i uint64, r record) ([]uint64, error) {
	count := binary.BigEndian.Uint32(r.slot[6:])
	var at []uint64
	for n := r.last; n != 0; {
		if n <= i || uint32(len(at)) == count || len(at) > 0 && n >= at[len(at)-1] {
			return nil, s.brokenLinks(i)
		}
		at = append(at, n)
		f, err := s.record(n)
		if err != nil {
			return nil, err
		}
		n = f.last
	}
	if uint32(len(at)) != count {
		return nil, s.brokenLinks(i)
	}
	for a, b := 0, len(at)-1; a < b; a, b = a+1, b-1 {
		at[a], at[b] = at[b], at[a]
	}
	return at, nil
}

func (s stateTree) brokenLinks(i uint64) error {
	return &DamagedError{File: s.name, Entry: int64(i), What: "the follow-ups of the thread are not linked"}
}

// redo applies the leaves [from, size) again to a tree in which any of their
// writes may have been made or not. subject finds the opening of a follow-up.
func (s stateTree) redo(p contract.Params, id crypto.LedgerID, from uint64, leaves []contract.Leaf, subject func(contract.ID) (uint64, contract.Entry, bool, error)) error {
	size := from + uint64(len(leaves))
	type tail struct {
		last  uint64 // the thread's last follow-up so far
		ahead uint64 // the slot has the follow-ups up to here already
	}
	touched := map[uint64]*tail{}
	for k := range leaves {
		n, e := from+uint64(k), &leaves[k].Entry
		refused := func(err error) error {
			return &DamagedError{File: "leaves", Entry: int64(n), What: fmt.Sprintf("accepted against the contract: %v", err)}
		}
		if e.Opens() {
			next, err := contract.Apply(p, contract.State{}, e, e.ID(id), n, leaves[k].Hour)
			if err != nil {
				return refused(err)
			}
			if err := s.startRow(n, record{slot: [contract.SlotSize]byte(next.Slot())}); err != nil {
				return err
			}
			touched[n] = &tail{}
			continue
		}
		i, opening, ok, err := subject(e.Subject)
		if err != nil {
			return err
		}
		if !ok || i >= n {
			return &DamagedError{File: "leaves", Entry: int64(n), What: "its subject is not in the log before it"}
		}
		r, err := s.record(i)
		if err != nil {
			return err
		}
		t := touched[i]
		if t == nil {
			t = &tail{last: r.last}
			if r.last >= from {
				t.last, t.ahead = r.base, r.last
			}
			touched[i] = t
		}
		if err := s.startRow(n, record{last: t.last}); err != nil {
			return err
		}
		t.last = n
		if n > t.ahead {
			next, err := contract.Apply(p, r.thread(&opening), e, e.ID(id), n, leaves[k].Hour)
			if err != nil {
				return refused(err)
			}
			r.advance(n, next, from)
		}
		// Written also when nothing changes: a write that was lost on its way to
		// the disk has left no trace but in memory.
		if err := s.putRecord(i, r); err != nil {
			return err
		}
	}
	for n := from; n < size; n++ {
		r, err := s.record(n)
		if err != nil {
			return err
		}
		if err := s.addHashes(n, r); err != nil {
			return err
		}
	}
	for i, t := range touched {
		if t.ahead >= size {
			return &DamagedError{File: s.name, Entry: int64(i), What: "slot is ahead of the log"}
		}
		if i >= from {
			continue
		}
		r, err := s.record(i)
		if err != nil {
			return err
		}
		if err := s.rehash(i, size, r); err != nil {
			return err
		}
	}
	return nil
}

// samePaddedRecord tells whether the record's bytes are b's, apart from base,
// whose value depends on when the file was synced.
func samePaddedRecord(a, b []byte) bool {
	return bytes.Equal(a[:50], b[:50]) && bytes.Equal(a[58:], b[58:])
}
