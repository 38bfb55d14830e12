package folder

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// index is a hash table in memory that finds a number below 2^36-1 by a key of 32 bytes:
// the position of an entry by its id. It is the bytes that are kept,
//
//	key of the hash 16 ‖ numbers in it 8 ‖ 2^n cells of 8, at most half of them in use
//
// where a cell is 28 bits of the key's hash ‖ number+1, and zero for an empty one. A
// number is in the first cell that was free from where its hash points on. The hash has
// a key of its own, since keys are chosen by whoever writes entries, who could otherwise
// make thousands share a cell.
//
// A cell only points: whoever follows it compares the key of what is there.
type index []byte

const (
	indexHeader = 24
	firstCells  = 16
	hashBits    = 28
)

// newIndex is an empty one with room for n numbers.
func newIndex(n uint64) index {
	cells := uint64(firstCells)
	for cells < 2*n {
		cells *= 2
	}
	x := make(index, indexHeader+8*cells)
	rand.Read(x[:16])
	return x
}

// whole reports whether the bytes can be an index.
func (x index) whole() bool {
	if len(x) < indexHeader+8*firstCells {
		return false
	}
	n, used := x.cells(), uint64(0)
	for i := range n { // looking for a number ends at one that is empty
		if x.cell(i) != 0 {
			used++
		}
	}
	return (len(x)-indexHeader)%8 == 0 && n&(n-1) == 0 && x.used() == used && used <= n/2
}

func (x index) cells() uint64          { return uint64(len(x)-indexHeader) / 8 }
func (x index) used() uint64           { return binary.BigEndian.Uint64(x[16:]) }
func (x index) setUsed(n uint64)       { binary.BigEndian.PutUint64(x[16:], n) }
func (x index) cell(i uint64) uint64   { return binary.BigEndian.Uint64(x[indexHeader+8*i:]) }
func (x index) setCell(i, v uint64)    { binary.BigEndian.PutUint64(x[indexHeader+8*i:], v) }
func (x index) home(v uint64) uint64   { return (v >> (64 - hashBits)) * x.cells() >> hashBits }
func (x index) next(i uint64) uint64   { return (i + 1) & (x.cells() - 1) }
func (x index) number(v uint64) uint64 { return v&(1<<36-1) - 1 }

// hash is the upper bits of the cell for a key.
func (x index) hash(key [32]byte) uint64 {
	var b [48]byte
	copy(b[:], x[:16])
	copy(b[16:], key[:])
	h := sha256.Sum256(b[:])
	return binary.BigEndian.Uint64(h[:]) &^ (1<<36 - 1)
}

// find returns the number of a key; is reports whether a number is the one.
func (x index) find(key [32]byte, is func(number uint64) (bool, error)) (number uint64, ok bool, err error) {
	h := x.hash(key)
	for i := x.home(h); x.cell(i) != 0; i = x.next(i) {
		if v := x.cell(i); v&^(1<<36-1) == h {
			if ok, err := is(x.number(v)); ok || err != nil {
				return x.number(v), ok, err
			}
		}
	}
	return 0, false, nil
}

// add adds a number, which must not be in it, and returns the index that has it.
func (x index) add(key [32]byte, number uint64) index {
	if 2*(x.used()+1) > x.cells() {
		larger := newIndex(x.cells())
		copy(larger[:indexHeader], x)
		for i := range x.cells() {
			if v := x.cell(i); v != 0 {
				larger.put(v)
			}
		}
		x = larger
	}
	x.put(x.hash(key) | (number + 1))
	x.setUsed(x.used() + 1)
	return x
}

func (x index) put(v uint64) {
	i := x.home(v)
	for x.cell(i) != 0 {
		i = x.next(i)
	}
	x.setCell(i, v)
}
