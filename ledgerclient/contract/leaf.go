package contract

import (
	"encoding/binary"

	"github.com/carekey/carekey/crypto"
)

// LeafSize is the size in bytes of one leaf of the log.
const LeafSize = 4 + Size + 32

// Leaf is one accepted entry in the log: the data of an RFC 6962 leaf. Refused
// entries are no leaves.
type Leaf struct {
	Hour      Hour        // ledger hour at which the entry was judged; never before the previous leaf's
	Entry     Entry       //
	StateRoot crypto.Hash // of the state tree after this entry; as many slots as leaves up to here
}

// Marshal returns the leaf's bytes: hour, entry, state root.
func (l *Leaf) Marshal() [LeafSize]byte {
	var b [LeafSize]byte
	binary.BigEndian.PutUint32(b[:4], uint32(l.Hour))
	l.Entry.put((*[Size]byte)(b[4 : 4+Size]))
	copy(b[4+Size:], l.StateRoot[:])
	return b
}

// ParseLeaf reads the layout only: any 258 bytes are a leaf, which need not be a
// valid one. The error is a [ErrSize].
func ParseLeaf(b []byte) (Leaf, error) {
	if len(b) != LeafSize {
		return Leaf{}, ErrSize.With("what", "leaf", "got", len(b))
	}
	e, err := ParseEntry(b[4 : 4+Size])
	if err != nil {
		return Leaf{}, err
	}
	return Leaf{
		Hour:      Hour(binary.BigEndian.Uint32(b[:4])),
		Entry:     e,
		StateRoot: crypto.Hash(b[4+Size:]),
	}, nil
}
