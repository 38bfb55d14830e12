package folder

import (
	"math/bits"

	"github.com/carekey/carekey/crypto"
)

// sieve is the filters of at most 64 packs, all of one size, turned by a quarter: for
// each bit of a filter there is a word with a bit for each pack. A key is looked for in
// all of them with four reads, instead of some in each: a ledger to which a hundred
// thousand consents came has hundreds of packs.
type sieve struct {
	words []uint64
	packs [64]*pack
	free  uint64 // places without a pack
}

// maxSieved is the size of the largest filter that is put into a sieve, which has 64
// times its size: those of batches.
const maxSieved = 8 << 10 // bytes

// sieves are the sieves of many packs, by the size of their filters.
type sieves map[int][]*sieve

// add takes the filter of a pack, which is not kept in the pack any more.
func (s sieves) add(p *pack) {
	size := len(p.filter)
	of := s[size]
	if len(of) == 0 || of[len(of)-1].free == 0 {
		of = append(of, &sieve{words: make([]uint64, 8*size), free: ^uint64(0)})
		s[size] = of
	}
	v := of[len(of)-1]
	at := bits.TrailingZeros64(v.free)
	v.free &^= 1 << at
	v.packs[at] = p
	for i, b := range p.filter {
		for ; b != 0; b &= b - 1 {
			v.words[8*i+7-bits.TrailingZeros8(b)] |= 1 << at
		}
	}
	p.filter = nil
}

// remove forgets packs that are not in keep.
func (s sieves) remove(keep map[*pack]bool) {
	for _, of := range s {
		for _, v := range of {
			var gone uint64
			for i, p := range v.packs {
				if p != nil && !keep[p] {
					gone |= 1 << i
					v.packs[i] = nil
				}
			}
			if gone == 0 {
				continue
			}
			v.free |= gone
			for i := range v.words {
				v.words[i] &^= gone
			}
		}
	}
}

// may returns the packs that a key can be in.
func (s sieves) may(key crypto.Hash) (packs []*pack) {
	for size, of := range s {
		at := filterBits(key, size)
		for _, v := range of {
			for m := v.words[at[0]] & v.words[at[1]] & v.words[at[2]] & v.words[at[3]]; m != 0; m &= m - 1 {
				packs = append(packs, v.packs[bits.TrailingZeros64(m)])
			}
		}
	}
	return packs
}
