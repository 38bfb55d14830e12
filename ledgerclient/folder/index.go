package folder

import (
	"hash/maphash"
	"iter"

	"github.com/carekey/carekey/ledgerclient/contract"
)

// index leads from the id of an entry to its position, and from a key of records in segments
// to their numbers. It knows 32 bits of a hash of the
// id: whoever follows it compares the id of the entry that is there, and goes on. The hash
// has a key of its own, since ids are chosen by whoever writes entries, who could otherwise
// make thousands share a place.
type index struct {
	seed      maphash.Seed
	positions map[uint32]uint32
}

func newIndex(n uint64) index {
	return index{maphash.MakeSeed(), make(map[uint32]uint32, n)}
}

// find yields where the entry of that id can be.
func (x index) find(id contract.ID) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for h := x.hash(id); ; h++ {
			if at, ok := x.positions[h]; !ok || !yield(uint64(at)) {
				return
			}
		}
	}
}

// add adds an entry, which must not be in it.
func (x index) add(id contract.ID, at uint64) {
	h := x.hash(id)
	for _, taken := x.positions[h]; taken; _, taken = x.positions[h] {
		h++
	}
	x.positions[h] = uint32(at)
}

func (x index) hash(id contract.ID) uint32 { return uint32(maphash.Bytes(x.seed, id[:])) }
