package crypto

import (
	"crypto/rand"
	"errors"
	"math/bits"
	"sync/atomic"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// errPoint says that bytes are not a point of the curve in the one form allowed.
var errPoint = errors.New("not a point of secp256k1")

type (
	scalar = secp256k1.ModNScalar
	point  = secp256k1.JacobianPoint
	field  = secp256k1.FieldVal
)

// parseScalar reads 32 bytes, big-endian, in [1, n-1]. Unlike decred's
// PrivKeyFromBytes it never reduces or truncates.
func parseScalar(b []byte) (*scalar, bool) {
	if len(b) != 32 {
		return nil, false
	}
	d := new(scalar)
	if d.SetByteSlice(b) || d.IsZero() {
		d.Zero()
		return nil, false
	}
	return d, true
}

func randomScalar() *scalar {
	var b [32]byte
	for {
		rand.Read(b[:])
		if d, ok := parseScalar(b[:]); ok {
			clear(b[:])
			return d
		}
	}
}

// isPoint reports whether [decompress] reads p: whether x³ + 7 is a square. It needs no
// square root, and takes a tenth of the time.
func isPoint(p PubKey) bool {
	var x, square field
	if (p[0] != 2 && p[0] != 3) || x.SetByteSlice(p[1:]) {
		return false
	}
	square.SquareVal(&x).Mul(&x).AddInt(7).Normalize()
	var l limbs
	l.set(square.Bytes())
	return isSquare(l)
}

// isSquare reports whether a is a square modulo p and not 0: whether its Jacobi symbol is 1
// (Cohen, A Course in Computational Algebraic Number Theory, 1.4.2, in binary). Its time
// depends on a, which is public.
func isSquare(a limbs) bool {
	n := fieldPrime
	square := true
	for a != (limbs{}) {
		zeros := bits.TrailingZeros64(a[0])
		if zeros%2 == 1 && (n[0]%8 == 3 || n[0]%8 == 5) {
			square = !square
		}
		if a.shift(zeros); a[0]&1 == 0 {
			continue // 64 zeros and more
		}
		less := a
		if less.subtract(&n) { // a is less: the other way about
			if a[0]&n[0]&3 == 3 {
				square = !square
			}
			less = n
			less.subtract(&a)
			n = a
		}
		a = less
	}
	return square && n == limbs{1}
}

// fieldPrime is p = 2²⁵⁶ − 2³² − 977.
var fieldPrime = limbs{0xfffffffefffffc2f, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1}

// decompress reads a compressed point; hybrid and uncompressed forms are refused.
func decompress(p PubKey) (point, error) {
	var q point
	if (p[0] != 2 && p[0] != 3) || q.X.SetByteSlice(p[1:]) ||
		!secp256k1.DecompressY(&q.X, p[0] == 3, &q.Y) {
		return point{}, errPoint
	}
	q.Z.SetInt(1)
	return q, nil
}

// parseRaw reads an uncompressed point, 0x04 ‖ x ‖ y.
func parseRaw(b []byte) (point, error) {
	var q point
	if len(b) != 65 || b[0] != 4 || q.X.SetByteSlice(b[1:33]) || q.Y.SetByteSlice(b[33:]) ||
		!secp256k1.NewPublicKey(&q.X, &q.Y).IsOnCurve() {
		return point{}, errPoint
	}
	q.Z.SetInt(1)
	return q, nil
}

// compress returns the point's compressed form. q must not be infinity; it is
// made affine.
func compress(q *point) PubKey {
	q.ToAffine()
	var p PubKey
	p[0] = 2 + byte(q.Y.IsOddBit())
	q.X.PutBytesUnchecked(p[1:])
	return p
}

// raw returns the uncompressed form of an affine point.
func raw(q *point) (b [65]byte) {
	b[0] = 4
	q.X.PutBytesUnchecked(b[1:33])
	q.Y.PutBytesUnchecked(b[33:])
	return b
}

// affine makes two points affine with one inversion.
func affine(p, q *point) {
	var inverse, pInverse, qInverse field
	inverse.Mul2(&p.Z, &q.Z).Inverse()
	pInverse.Mul2(&inverse, &q.Z)
	qInverse.Mul2(&inverse, &p.Z)
	for _, s := range []struct {
		p *point
		i *field
	}{{p, &pInverse}, {q, &qInverse}} {
		var square field
		square.SquareVal(s.i)
		s.p.X.Mul(&square).Normalize()
		s.p.Y.Mul(square.Mul(s.i)).Normalize()
		s.p.Z.SetInt(1)
	}
}

// affinePoint is a point that is not infinity.
type affinePoint struct{ x, y field }

// allAffine makes points affine with one inversion. None is infinity.
func allAffine(all []point, to []affinePoint) {
	// On the way to[i].x is the product of all Z before i.
	var product field
	product.SetInt(1)
	for i := range all {
		to[i].x.Set(&product)
		product.Mul(&all[i].Z)
	}
	product.Inverse()
	for i := len(all) - 1; i >= 0; i-- {
		var inverse, square field
		inverse.Mul2(&product, &to[i].x)
		product.Mul(&all[i].Z)
		square.SquareVal(&inverse)
		to[i].x.Mul2(&all[i].X, &square).Normalize()
		to[i].y.Mul2(&all[i].Y, square.Mul(&inverse)).Normalize()
	}
}

func isInfinity(q *point) bool {
	return (q.X.IsZero() && q.Y.IsZero()) || q.Z.IsZero()
}

// multiply returns k·q. The time it takes and the memory it reads depend on the scalar
// that it is given, so for keys used again and again it is blinded: (k−r)·q + r·q with a
// fresh random r modulo n.
//
// What that claims: each of the two shares alone is uniform whatever k is, so that what
// is learned of one of them, over any number of calls, says nothing of k. What it does not
// claim: constant time. Both shares are multiplied in one call, and a trace that shows
// both of them as a whole, digit by digit, shows k. That both go through one chain of
// doublings changes neither. The halves of which multiplySum makes sums are those of the
// shares, never of k: halves of k, blinded by numbers as short as they are, would show
// their signs and highest bits in the long run.
func multiply(k *scalar, q *point, blind bool) (sum point) {
	if !blind {
		times(k, q, &sum)
		return sum
	}
	k1, k2 := split(k)
	if q != nil {
		multiplySum(q, &sum, k1, k2)
	} else {
		var q1, q2 point
		times(k1, nil, &q1)
		times(k2, nil, &q2)
		secp256k1.AddNonConst(&q1, &q2, &sum)
	}
	k1.Zero()
	k2.Zero()
	return sum
}

// multiplyBase returns k·G, like multiply.
func multiplyBase(k *scalar, blind bool) point { return multiply(k, nil, blind) }

// times sets product to k·q, to k·G if q is nil. It is no function value: what is handed
// to one lies on the heap, where a shared secret stays until the memory is used again.
func times(k *scalar, q, product *point) {
	if q == nil {
		timesBase(k, product)
	} else {
		multiplySum(q, product, k)
	}
}

// timesBase sets product to k·G. Decred's table of G, a megabyte, is unpacked when it is first
// used, for which a process could multiply a hundred times without it: most end before.
func timesBase(k *scalar, product *point) {
	if timesOfBase.Load() >= withoutTable {
		secp256k1.ScalarBaseMultNonConst(k, product)
		return
	}
	timesOfBase.Add(1)
	multiplySum(&base, product, k)
}

// withoutTable is how often G is multiplied before its table is unpacked.
const withoutTable = 64

var timesOfBase atomic.Uint32

// base is G.
var base = func() (g point) {
	of := secp256k1.Params()
	g.X.SetByteSlice(of.Gx.Bytes())
	g.Y.SetByteSlice(of.Gy.Bytes())
	g.Z.SetInt(1)
	return g
}()

// split returns k−r and r for a fresh random r.
func split(k *scalar) (k1, k2 *scalar) {
	k2 = randomScalar()
	k1 = new(scalar).NegateVal(k2)
	k1.Add(k)
	return k1, k2
}

// ecdh returns the x coordinate of k·q, 32 bytes, big-endian.
func ecdh(k *scalar, q *point, blind bool) (x [32]byte, err error) {
	Scrub(func() {
		z := multiply(k, q, blind)
		if isInfinity(&z) {
			err = errPoint
			return
		}
		z.ToAffine()
		x = *z.X.Bytes()
	})
	return x, err
}
