package crypto

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// knownPoint is a public key that was unpacked. A batch seals every payload to the
// wallet's own key and checks every receipt with the keeper's: unpacking costs a
// square root, and from tableFrom multiplications on a table is worth its price.
// What it knows is public.
type knownPoint struct {
	key        PubKey
	q          point // affine
	multiplied atomic.Uint32
	table      atomic.Pointer[multiples]
}

const (
	tableFrom = 256 // multiplications
	maxTables = 4   // that a process makes, of 650 KiB each
)

var (
	// knownPoints are at places that their keys say; a newer one displaces an older,
	// but none with a table: a batch brings three new keys with each consent, and would
	// soon have displaced those that come with all of them. They take 1 MiB at most.
	knownPoints [4096]atomic.Pointer[knownPoint]
	tablesMade  atomic.Int32
)

// unpack is decompress for keys that are likely to come again.
func unpack(p PubKey) (*knownPoint, error) {
	place := &knownPoints[int(binary.BigEndian.Uint16(p[1:3]))%len(knownPoints)]
	known := place.Load()
	if known != nil && known.key == p {
		return known, nil
	}
	q, err := decompress(p)
	if err != nil {
		return nil, err
	}
	k := &knownPoint{key: p, q: q}
	if known == nil || known.table.Load() == nil {
		place.Store(k)
	}
	return k, nil
}

// multiply sets sum to k·q. Its time and the places of the table that it reads depend
// on k: k is public, or an ephemeral key, which is used once.
func (p *knownPoint) multiply(k *scalar, sum *point) {
	if t := p.table.Load(); t != nil {
		t.multiply(k, sum)
		return
	}
	if p.multiplied.Add(1) == tableFrom && tablesMade.Add(1) <= maxTables {
		p.table.Store(newMultiples(&p.q))
	}
	multiplySum(&p.q, sum, k)
}

// multiples are b·256ⁱ·q for every byte b but 0 and every i, affine: row i is at
// [255i, 255(i+1)).
type multiples [32 * 255]affinePoint

func newMultiples(q *point) *multiples {
	all := make([]point, len(multiples{}))
	row := *q
	for i := 0; i < len(all); i += 255 {
		all[i] = row
		for b := 1; b < 255; b++ {
			secp256k1.AddNonConst(&all[i+b-1], &row, &all[i+b])
		}
		var next point
		secp256k1.AddNonConst(&all[i+254], &row, &next)
		next.ToAffine()
		row = next
	}
	t := new(multiples) // no point is infinity, since q is of prime order and 255·256³¹ is below it
	allAffine(all, t[:])
	return t
}

// multiply is decred's ScalarBaseMultNonConst with another base.
func (t *multiples) multiply(k *scalar, sum *point) {
	*sum = point{}
	var p point
	p.Z.SetInt(1)
	bytes := k.Bytes()
	for i, b := range bytes {
		if b != 0 {
			at := &t[255*(31-i)+int(b)-1]
			p.X, p.Y = at.x, at.y
			secp256k1.AddNonConst(sum, &p, sum)
		}
	}
	clear(bytes[:])
}
