package folder

import (
	"bytes"
	"encoding/binary"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// stateTree is the state of every thread, with the hashes over it. It is the bytes that
// are kept: a row of 8 for each entry,
//
//	link 4 ‖ first 4 of the leaf's hash in the log
//
// and 46 for each thread that has follow-ups,
//
//	slot 42 ‖ position of its last follow-up 4
//
// The upper two bits of a link say what the others are: of a follow-up (0) the position
// of the one before it in its thread, 0 if there is none; of an opening entry without
// follow-ups (1) its kind; of one with some (2) the number of its thread. Positions of
// follow-ups are never 0, since entry 0 opens the configuration.
type stateTree struct {
	tree    tree
	rows    []byte
	threads []byte
	read    bool // it was read from a file, and not derived by this process
}

const (
	stateLevel = 3 // blocks of 8 slots
	rowSize    = 8
	threadSize = contract.SlotSize + 4

	linkFollows  = 0
	linkOpens    = 1
	linkFollowed = 2

	// maxEntries is how many entries a folder takes: positions are 30 bits long.
	maxEntries = 1 << 30
)

func newState() *stateTree {
	s := &stateTree{}
	s.tree = newTree(stateLevel, func(from, to uint64) ([]tlog.Hash, error) {
		hs := make([]tlog.Hash, to-from)
		for i := range hs {
			hs[i] = s.slotHash(from + uint64(i))
		}
		return hs, nil
	})
	return s
}

// whole reports whether the bytes can be the state of n entries.
func (s *stateTree) whole(n uint64) bool {
	if uint64(len(s.rows)) != n*rowSize || len(s.threads)%threadSize != 0 {
		return false
	}
	threads := uint32(len(s.threads) / threadSize)
	for i := range n {
		tag, v := s.link(i)
		if tag == linkFollows && uint64(v) >= max(i, 1) || tag == linkOpens && v > 255 || tag == linkFollowed && v >= threads || tag > linkFollowed {
			return false
		}
	}
	return true
}

func (s *stateTree) link(i uint64) (tag, v uint32) {
	l := binary.BigEndian.Uint32(s.rows[i*rowSize:])
	return l >> 30, l & (1<<30 - 1)
}

func (s *stateTree) setLink(i uint64, tag, v uint32) {
	binary.BigEndian.PutUint32(s.rows[i*rowSize:], tag<<30|v)
}

// setLeaf notes the hash of a leaf.
func (s *stateTree) setLeaf(i uint64, h tlog.Hash) { copy(s.rows[i*rowSize+4:(i+1)*rowSize], h[:]) }

// firstOther is the first entry of which the leaf is not as other rows note it.
func (s *stateTree) firstOther(rows []byte) (i uint64, ok bool) {
	for at := 4; at < min(len(rows), len(s.rows)); at += rowSize {
		if !bytes.Equal(rows[at:at+4], s.rows[at:at+4]) {
			return uint64(at / rowSize), true
		}
	}
	return 0, false
}

func (s *stateTree) thread(v uint32) []byte {
	return s.threads[int(v)*threadSize : int(v+1)*threadSize]
}

// slot is the slot of entry i: nil of a follow-up.
func (s *stateTree) slot(i uint64) []byte {
	switch tag, v := s.link(i); tag {
	case linkOpens:
		return contract.State{Kind: contract.Kind(v), Status: contract.StatusOpen}.Slot()
	case linkFollowed:
		return s.thread(v)[:contract.SlotSize]
	}
	return nil
}

// slotHashes are those of threads without follow-ups, by their kind.
var slotHashes = func() (hs [16]tlog.Hash) {
	for k := range hs {
		hs[k] = tlog.RecordHash(contract.State{Kind: contract.Kind(k), Status: contract.StatusOpen}.Slot())
	}
	return hs
}()

var noSlotHash = tlog.RecordHash(nil)

func (s *stateTree) slotHash(i uint64) tlog.Hash {
	switch tag, v := s.link(i); {
	case tag == linkFollows:
		return noSlotHash
	case tag == linkOpens && int(v) < len(slotHashes):
		return slotHashes[v]
	}
	return tlog.RecordHash(s.slot(i))
}

// check compares the slot of entry i, if it was read from a file, with the hashes above it.
// The root over these was compared with the log's then, so that no changed slot leads to a
// wrong judgement.
func (s *stateTree) check(i uint64) error {
	if !s.read {
		return nil
	}
	ok, err := s.tree.holds(i)
	if err == nil && !ok {
		err = &DamagedError{File: stateFile, Entry: int64(i), What: "slot is not under the state root"}
	}
	return err
}

// stateFile names in errors what was derived: it may be in memory only.
const stateFile = "state"

// open appends the slot of a thread that entry n opens.
func (s *stateTree) open(n uint64, next contract.State) {
	s.rows = append(s.rows, make([]byte, rowSize)...)
	s.setLink(n, linkOpens, uint32(next.Kind))
	s.tree.add(s.slotHash(n))
}

// follow appends the empty slot of entry n, a follow-up of the thread opened at i, and
// changes that thread's slot.
func (s *stateTree) follow(i, n uint64, next contract.State) error {
	tag, v := s.link(i)
	if tag != linkFollowed {
		v = uint32(len(s.threads) / threadSize)
		s.threads = append(s.threads, make([]byte, threadSize)...)
		s.setLink(i, linkFollowed, v)
	}
	t := s.thread(v)
	last := t[contract.SlotSize:]
	before := binary.BigEndian.Uint32(last)
	copy(t, next.Slot())
	binary.BigEndian.PutUint32(last, uint32(n))
	if err := s.tree.set(i, s.slotHash(i)); err != nil {
		return err
	}
	s.rows = append(s.rows, make([]byte, rowSize)...)
	s.setLink(n, linkFollows, before)
	s.tree.add(noSlotHash)
	return nil
}

// state returns the state of the thread that opening opened at i, the zero State if it
// opened none.
func (s *stateTree) state(i uint64, opening *contract.Entry) contract.State {
	b := s.slot(i)
	if b == nil {
		return contract.State{}
	}
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

const notLinked = "the follow-ups of the thread are not linked"

// followUps returns the positions of the follow-ups of the thread opened at i, in the
// order of the log; none of an entry that opened none.
func (s *stateTree) followUps(i uint64) ([]uint64, error) {
	tag, v := s.link(i)
	if tag != linkFollowed {
		return nil, nil
	}
	broken := &DamagedError{File: stateFile, Entry: int64(i), What: notLinked}
	t := s.thread(v)
	count := binary.BigEndian.Uint32(t[6:])
	if uint64(count)*rowSize > uint64(len(s.rows)) {
		return nil, broken
	}
	at := make([]uint64, count)
	before := uint64(len(s.rows) / rowSize)
	n := uint64(binary.BigEndian.Uint32(t[contract.SlotSize:]))
	for k := len(at) - 1; k >= 0; k-- {
		if n <= i || n >= before {
			return nil, broken
		}
		tag, v := s.link(n)
		if tag != linkFollows {
			return nil, broken
		}
		at[k], before, n = n, n, uint64(v)
	}
	if n != 0 {
		return nil, broken
	}
	return at, nil
}
