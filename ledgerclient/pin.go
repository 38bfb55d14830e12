package ledgerclient

import (
	"math/bits"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// Pin is what a wallet remembers of a ledger: the last head it verified. The
// ledger may only ever grow from it.
type Pin struct {
	Ledger crypto.LedgerID `json:"ledger"`
	Size   uint64          `json:"size"` // entries in the log; 0 = nothing seen yet
	Root   crypto.Hash     `json:"root"` // of the log at Size
	Hour   contract.Hour   `json:"hour"` // ledger hour of the last leaf
	// Edge are the roots of the full subtrees that Size leaves make up, largest
	// first: all that is needed to go on from Size without the older leaves.
	Edge []crypto.Hash `json:"edge"`
	// Note is the signed note of the head, to prove with it what the ledger once
	// said. Pins of early versions have none.
	Note []byte `json:"note,omitempty"`
	// Configs is how many follow-up configurations stand among the Size entries.
	Configs int `json:"configs,omitempty"`
	// Config is the commitment of the last of them, so that no other can be shown in its
	// place. Without one it is the ledger's id that says which configuration it is.
	Config crypto.Hash `json:"config,omitzero"`
}

// valid reports whether the parts of the pin fit each other. A pin is read from a
// file; one that contradicts itself must not be built upon.
func (p Pin) valid() bool {
	return len(p.Edge) == bits.OnesCount64(p.Size) && (p.Size == 0 || edgeRoot(p.Edge) == p.Root) && p.Configs >= 0
}

func (p Pin) head() Head { return Head{Size: p.Size, Root: p.Root, Note: p.Note} }

// add appends one leaf to the tree that edge describes; size is the number of
// leaves before it.
func add(edge []crypto.Hash, size uint64, leaf crypto.Hash) []crypto.Hash {
	h := tlog.Hash(leaf)
	for ; size&1 == 1; size >>= 1 {
		h = tlog.NodeHash(tlog.Hash(edge[len(edge)-1]), h)
		edge = edge[:len(edge)-1]
	}
	return append(edge, crypto.Hash(h))
}

// edgeRoot is the root of a non-empty tree (RFC 6962 section 2.1): the full
// subtrees are joined from the smallest up.
func edgeRoot(edge []crypto.Hash) crypto.Hash {
	h := tlog.Hash(edge[len(edge)-1])
	for i := len(edge) - 2; i >= 0; i-- {
		h = tlog.NodeHash(tlog.Hash(edge[i]), h)
	}
	return crypto.Hash(h)
}

// ContentHead is the RFC 6962 tree head over the record hashes of a content's
// pieces of contract.PieceSize (tlog.RecordHash of each). There is at least one.
func ContentHead(pieces []crypto.Hash) crypto.Hash {
	var edge []crypto.Hash
	for i, p := range pieces {
		edge = add(edge, uint64(i), p)
	}
	return edgeRoot(edge)
}
