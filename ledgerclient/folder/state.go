package folder

import (
	"encoding/binary"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// stateTree is the state of every thread, with the hashes over it: 4 bytes for each entry,
// and 48 for each thread that has follow-ups.
type stateTree struct {
	tree
	links   []link // of each entry
	threads []followed
}

// link is what an entry is to its thread. The upper two bits say what the others are: of a
// follow-up the position of the one before it in its thread, 0 if there is none; of an
// opening entry without follow-ups its kind; of one with some the number of its thread.
// Positions of follow-ups are never 0, since entry 0 opens the configuration.
type link uint32

const (
	linkFollows  = 0
	linkOpens    = 1
	linkFollowed = 2

	// maxEntries is how many entries a folder takes: positions are 30 bits long.
	maxEntries = 1 << 30

	stateLevel = 3 // blocks of 8 slots
)

func linkOf(tag, v uint32) link { return link(tag<<30 | v) }

func (l link) parts() (tag, v uint32) { return uint32(l >> 30), uint32(l & (1<<30 - 1)) }

// followed is a thread that has follow-ups.
type followed struct {
	slot [contract.SlotSize]byte
	last uint32 // position of the last of them
}

func newState(n uint64) *stateTree {
	s := &stateTree{links: make([]link, 0, n)}
	s.tree = tree{level: stateLevel, leaves: func(from, to uint64) ([]tlog.Hash, error) {
		hs := make([]tlog.Hash, 0, to-from)
		for i := from; i < to; i++ {
			hs = append(hs, s.slotHash(i))
		}
		return hs, nil
	}}
	return s
}

// slot is the slot of entry i: nil of a follow-up.
func (s *stateTree) slot(i uint64) []byte {
	switch tag, v := s.links[i].parts(); tag {
	case linkOpens:
		return contract.State{Kind: contract.Kind(v), Status: contract.StatusOpen}.Slot()
	case linkFollowed:
		return s.threads[v].slot[:]
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
	switch tag, v := s.links[i].parts(); {
	case tag == linkFollows:
		return noSlotHash
	case tag == linkOpens && int(v) < len(slotHashes):
		return slotHashes[v]
	}
	return tlog.RecordHash(s.slot(i))
}

// open appends the slot of a thread that the next entry opens.
func (s *stateTree) open(next contract.State) {
	s.links = append(s.links, linkOf(linkOpens, uint32(next.Kind)))
	s.add()
}

// follow appends the empty slot of the next entry, a follow-up of the thread opened at i,
// and changes that thread's slot.
func (s *stateTree) follow(i uint64, next contract.State) {
	tag, v := s.links[i].parts()
	if tag != linkFollowed {
		v = uint32(len(s.threads))
		s.threads = append(s.threads, followed{})
		s.links[i] = linkOf(linkFollowed, v)
	}
	t := &s.threads[v]
	s.links = append(s.links, linkOf(linkFollows, t.last))
	t.last = uint32(s.size)
	copy(t.slot[:], next.Slot())
	s.changed(i)
	s.add()
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

// followUps returns the positions of the follow-ups of the thread opened at i, in the
// order of the log; none of an entry that opened none.
func (s *stateTree) followUps(i uint64) (at []uint64) {
	if tag, v := s.links[i].parts(); tag == linkFollowed {
		for n := s.threads[v].last; n != 0; _, n = s.links[n].parts() {
			at = append(at, uint64(n))
		}
	}
	slices.Reverse(at)
	return at
}
