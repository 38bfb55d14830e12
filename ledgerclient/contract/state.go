package contract

import (
	"encoding/binary"

	"github.com/carekey/carekey/crypto"
)

// Status of a thread.
type Status uint8

const (
	StatusNone   Status = 0 // no thread was opened here
	StatusOpen   Status = 1
	StatusClosed Status = 2 // a grant is revoked, a record withdrawn; final
)

// SlotSize is the size in bytes of a thread's slot in the state tree.
const SlotSize = 42

// State is all that the contract remembers of a thread. The first block is fixed
// by the opening entry, the second changes with every follow-up. The zero State
// is that of a thread that was never opened.
type State struct {
	Kind         Kind          // of the opening entry
	Author       crypto.PubKey //
	Counterparty crypto.PubKey // of a grant
	NotBefore    Hour          // of a grant
	NotAfter     Hour          // of a grant

	Status     Status
	LastAccess Hour        // ledger hour of the last access; 0: none yet
	Count      uint32      // number of follow-ups
	Chain      crypto.Hash // over all follow-ups; see NextChain
}

// Slot returns the thread's data in the state tree: kind 1, status 1, hour of
// the last access 4, count 4, chain 32. What the opening entry fixes is left
// out: it is in the log, at the slot's own index. The zero State's slot is
// empty, and so is the slot at the index of every follow-up.
func (s State) Slot() []byte {
	if s.Status == StatusNone {
		return nil
	}
	b := make([]byte, SlotSize)
	b[0], b[1] = byte(s.Kind), byte(s.Status)
	binary.BigEndian.PutUint32(b[2:6], uint32(s.LastAccess))
	binary.BigEndian.PutUint32(b[6:10], s.Count)
	copy(b[10:], s.Chain[:])
	return b
}

// NextChain continues a thread's chain with a follow-up: its index in the log,
// the ledger hour at which it was accepted, its id. The chain starts with zeros.
// Whoever holds a proven slot and is given the thread's follow-ups recomputes
// the chain and knows that none was left out, added or moved.
func NextChain(chain crypto.Hash, index uint64, h Hour, id ID) crypto.Hash {
	var at [12]byte
	binary.BigEndian.PutUint64(at[:8], index)
	binary.BigEndian.PutUint32(at[8:], uint32(h))
	return crypto.TaggedHash(crypto.TagChain, chain[:], at[:], id[:])
}
