package crypto

import (
	"encoding/binary"
	"math/bits"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// A point (x, y) of secp256k1 times λ is (β·x, y), where λ³ = 1 modulo n and β³ = 1 modulo
// p (Gallant, Lambert and Vanstone, CRYPTO 2001). So k is written as a + b·λ, a and b of 128
// bits: its halves, which need half the doublings. The integers (a, b) with a + b·λ = 0
// modulo n are the sums of (a1, b1) and (a2, b2), and what is left of (k, 0) after the
// nearest of them are its halves:
//
//	a1 =  3086d221a7d46bcde86c90e49284eb15    b1 = -e4437ed6010e88286f547fa90abfe4c3
//	a2 = 114ca50f7a8e2f3f657c1108d9d44cfd8    b2 =  3086d221a7d46bcde86c90e49284eb15
var (
	lambda  = scalarOf(limbs{0xdf02967c1b23bd72, 0x122e22ea20816678, 0xa5261c028812645a, 0x5363ad4cc05c30e0})
	beta    = fieldOf(limbs{0xc1396c28719501ee, 0x9cf0497512f58995, 0x6e64479eac3434e9, 0x7ae96a2b657c0710})
	minusB1 = scalarOf(limbs{0x6f547fa90abfe4c3, 0xe4437ed6010e8828})
	b2      = scalarOf(limbs{0xe86c90e49284eb15, 0x3086d221a7d46bcd})

	// b2/n and -b1/n, times 2³⁸⁴ and rounded.
	b2OverN      = limbs{0xe893209a45dbb031, 0x3daa8a1471e8ca7f, 0xe86c90e49284eb15, 0x3086d221a7d46bcd}
	minusB1OverN = limbs{0x1571b4ae8ac47f71, 0x221208ac9df506c6, 0x6f547fa90abfe4c4, 0xe4437ed6010e8828}
)

// limbs are an integer of 256 bits, the lowest 64 first.
type limbs [4]uint64

func (l *limbs) bytes() (b [32]byte) {
	for i, limb := range l {
		binary.BigEndian.PutUint64(b[24-8*i:], limb)
	}
	return b
}

func scalarOf(l limbs) (k scalar) {
	b := l.bytes()
	k.SetBytes(&b)
	return k
}

func fieldOf(l limbs) (x field) {
	b := l.bytes()
	x.SetBytes(&b)
	return x
}

func limbsOf(k *scalar) (l limbs) {
	b := k.Bytes()
	l.set(&b)
	clear(b[:])
	return l
}

func (l *limbs) set(b *[32]byte) {
	for i := range l {
		l[i] = binary.BigEndian.Uint64(b[24-8*i:])
	}
}

// times384 is k·l / 2³⁸⁴, rounded: of 128 bits.
func (k *limbs) times384(l *limbs) scalar {
	var product [8]uint64
	for i := range k {
		var carry uint64
		for j := range l {
			high, low := bits.Mul64(k[i], l[j])
			low, c := bits.Add64(low, product[i+j], 0)
			high += c
			product[i+j], c = bits.Add64(low, carry, 0)
			carry = high + c
		}
		product[i+4] = carry
	}
	low, c := bits.Add64(product[6], product[5]>>63, 0)
	return scalarOf(limbs{low, product[7] + c})
}

// halves returns a and b with a + b·λ = k modulo n. Of each, it or its negative is below
// 2¹²⁸: a is at most (a1+a2)/2 and b at most (b2-b1)/2 in size.
func halves(k *scalar) (a, b scalar) {
	l := limbsOf(k)
	c1, c2 := l.times384(&b2OverN), l.times384(&minusB1OverN)
	// b = -c1·b1 - c2·b2
	b.Mul2(&c1, &minusB1).Add(c2.Mul(&b2).Negate())
	a.Mul2(&b, &lambda).Negate().Add(k)
	l = limbs{}
	c1.Zero()
	c2.Zero()
	return a, b
}

// digits are the width-5 non-adjacent form of a half: odd digits from -15 to 15 at least
// five places apart, and zeros between them.
type digits [129]int8

// set takes a half.
func (d *digits) set(half *scalar) {
	*d = digits{}
	abs, sign := *half, int8(1)
	if abs.IsOverHalfOrder() {
		abs.Negate()
		sign = -1
	}
	l := limbsOf(&abs)
	carry := uint64(0)
	for at := 0; at < len(d); {
		if l[0]&1 == carry { // with what is carried the bit is 0
			l.shift(1)
			at++
			continue
		}
		digit := int8(l[0]&31 + carry)
		if carry = uint64(digit) >> 4; carry != 0 {
			digit -= 32
		}
		d[at] = sign * digit
		l.shift(5)
		at += 5
	}
	abs.Zero()
}

// subtract reports whether other was more, and what is left is 2²⁵⁶ too much.
func (l *limbs) subtract(other *limbs) bool {
	borrow := uint64(0)
	for i := range l {
		l[i], borrow = bits.Sub64(l[i], other[i], borrow)
	}
	return borrow == 1
}

// shift divides by 2ⁿ, n at most 64.
func (l *limbs) shift(n int) {
	for i := range 3 {
		l[i] = l[i]>>n | l[i+1]<<(64-n)
	}
	l[3] >>= n
}

// multiplySum sets product to the sum of k·q for all k: their halves go through one chain of
// doublings, over one table of the odd multiples of q.
//
// Its time and the places of the table that it reads depend on the numbers: they are
// public, used once, or shares of a key. See multiply for what that hides.
func multiplySum(q, product *point, ks ...*scalar) {
	*product = point{}
	if isInfinity(q) {
		return
	}
	plain, z := oddMultiples(q)
	var turned [8]affinePoint // times λ
	for i := range plain {
		turned[i].y = plain[i].y
		turned[i].x.Mul2(&plain[i].x, &beta).Normalize()
	}
	var of [2][2]digits // plain and turned, of as many numbers as there are
	for i, k := range ks {
		a, b := halves(k)
		of[0][i].set(&a)
		of[1][i].set(&b)
		a.Zero()
		b.Zero()
	}
	var next point
	next.Z.SetInt(1)
	for at := len(digits{}) - 1; at >= 0; at-- {
		secp256k1.DoubleNonConst(product, product)
		for half, table := range [2]*[8]affinePoint{&plain, &turned} {
			for i := range ks {
				d := of[half][i][at]
				if d == 0 {
					continue
				}
				if d > 0 {
					next.X, next.Y = table[d/2].x, table[d/2].y
				} else {
					next.X = table[-d/2].x
					next.Y.NegateVal(&table[-d/2].y, 1).Normalize()
				}
				secp256k1.AddNonConst(product, &next, product)
			}
		}
	}
	product.Z.Mul(&z).Normalize()
	of = [2][2]digits{}
}

// oddMultiples returns q, 3q … 15q, of a q that is not infinity, with one Z for all of them.
// They are added as if that Z were 1, since the formulas do not know the constant of the
// curve; the Z of what comes of it is to be multiplied by theirs. So no inversion is needed.
//
// Two points of one Z are added by Meloni's formula, which gives the first of them with the
// Z of the sum too (New Point Addition Formulae for ECC Applications, WAIFI 2007). That Z is
// the old one times the difference of their x, which is never 0: q is of prime order.
func oddMultiples(q *point) (odd [8]affinePoint, z field) {
	var two affinePoint // 2q, always of the Z of the last one of odd
	var xx, yy, m, neg field
	xx.SquareVal(&q.X)
	yy.SquareVal(&q.Y)
	m.Set(&xx).MulInt(3)
	at := &odd[0]
	at.x.Mul2(&q.X, &yy).MulInt(4).Normalize()
	at.y.SquareVal(&yy).MulInt(8).Normalize()
	neg.Set(&at.x).MulInt(2).Negate(2)
	two.x.SquareVal(&m).Add(&neg).Normalize()
	neg.NegateVal(&two.x, 1)
	two.y.Set(&at.x).Add(&neg).Mul(&m)
	neg.NegateVal(&at.y, 1)
	two.y.Add(&neg).Normalize()
	z.Mul2(&q.Y, &q.Z).MulInt(2).Normalize()

	var by [8]field // Z of each by that of the one before
	for i := 1; i < len(odd); i++ {
		last, next := &odd[i-1], &odd[i]
		var square, w, dy, sum field
		by[i].NegateVal(&last.x, 1).Add(&two.x)
		square.SquareVal(&by[i])
		dy.NegateVal(&last.y, 1).Add(&two.y)
		w.Mul2(&last.x, &square)
		two.x.Mul(&square) // two has the Z of the sum from here on, and w is the x of last with it
		sum.Add2(&two.x, &w).Negate(2)
		next.x.SquareVal(&dy).Add(&sum).Normalize()
		two.y.Mul(w.Negate(1).Add(&two.x))
		next.y.NegateVal(&next.x, 1).Add(&two.x).Mul(&dy)
		neg.NegateVal(&two.y, 1)
		next.y.Add(&neg).Normalize()
	}
	var product, square field
	product.SetInt(1)
	for i := len(odd) - 2; i >= 0; i-- {
		product.Mul(&by[i+1])
		square.SquareVal(&product)
		odd[i].x.Mul(&square).Normalize()
		odd[i].y.Mul(square.Mul(&product)).Normalize()
	}
	z.Mul(&product).Normalize()
	return odd, z
}
