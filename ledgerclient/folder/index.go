package folder

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"github.com/carekey/carekey/ledgerclient/contract"
)

// index is the file `index`: a hash table that finds the position of an entry by
// its id. It has 2^bits cells of 8 bytes, at most half of them in use,
//
//	fingerprint 3 ‖ position+1 5
//
// and zero for an empty one. An entry is in the first cell free when it came,
// from where the hash of its id points on. The hash has a key of the file's own:
// ids are chosen by whoever writes entries, who could otherwise make thousands
// share a cell. The header's extra bytes are bits 1 ‖ zeros 7 ‖ key 16.
//
// A cell only points: whoever follows it compares the id of the leaf.
type index struct{ *derived }

const (
	cellSize  = 8
	firstBits = 4
)

func newIndex() index {
	d := newDerived("index", "carekey-index/1\x00")
	return index{d}
}

func (x index) bits() uint { return uint(x.header.extra[0]) }

func (index) dataLen(h header, _ uint64) int64 {
	if h.extra[0] < firstBits || h.extra[0] > 40 {
		return 1 << 62 // longer than any file: not a table
	}
	return cellSize << h.extra[0]
}

// reset makes an empty table of 2^bits cells with a new key.
func (x index) reset(bits uint) {
	x.clear()
	x.header.extra = [24]byte{0: byte(bits)}
	rand.Read(x.header.extra[8:])
	x.limit = x.dataLen(x.header, 0)
}

// bitsFor returns the size of a table for n entries.
func bitsFor(n uint64) uint {
	bits := uint(firstBits)
	for n > 1<<bits/2 {
		bits++
	}
	return bits
}

// place returns the first cell for an id and its fingerprint.
func (x index) place(id contract.ID) (cell, fingerprint uint64) {
	var b [48]byte
	copy(b[:], x.header.extra[8:])
	copy(b[16:], id[:])
	h := sha256.Sum256(b[:])
	return binary.BigEndian.Uint64(h[:8]) >> (64 - x.bits()), binary.BigEndian.Uint64(h[8:16]) >> 40
}

// probe calls f with the cells in which an entry of that id may be, until f
// returns true or there is none left. The last cell is the empty one.
func (x index) probe(id contract.ID, f func(cell int64, value, fingerprint uint64) (bool, error)) error {
	cell, fingerprint := x.place(id)
	mask := uint64(1)<<x.bits() - 1
	for range mask + 1 {
		b, err := x.read(int64(cell)*cellSize, cellSize)
		if err != nil {
			return err
		}
		v := binary.BigEndian.Uint64(b)
		if done, err := f(int64(cell), v, fingerprint); done || err != nil {
			return err
		}
		if v == 0 {
			return nil
		}
		cell = (cell + 1) & mask
	}
	return &DamagedError{File: x.name, Entry: NoEntry, What: "no empty cell"}
}

// find returns the position of the entry with that id, false if there is none.
// idAt returns the id of the entry at a position, false if there is no such
// position.
func (x index) find(id contract.ID, idAt func(uint64) (contract.ID, bool, error)) (at uint64, ok bool, err error) {
	err = x.probe(id, func(_ int64, v, fingerprint uint64) (bool, error) {
		if v == 0 || v>>40 != fingerprint {
			return false, nil
		}
		at = v&(1<<40-1) - 1
		found, there, err := idAt(at)
		if err != nil {
			return false, err
		}
		ok = there && found == id
		return ok, nil
	})
	return at, ok, err
}

// insert adds an entry. The same again writes the same cell again.
func (x index) insert(id contract.ID, at uint64) error {
	return x.probe(id, func(cell int64, v, fingerprint uint64) (bool, error) {
		want := fingerprint<<40 | (at + 1)
		if v != 0 && v != want {
			return false, nil
		}
		var b [cellSize]byte
		binary.BigEndian.PutUint64(b[:], want)
		return true, x.write(cell*cellSize, b[:])
	})
}
