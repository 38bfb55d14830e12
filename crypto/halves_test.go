package crypto

import (
	"crypto/rand"
	"math/big"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

func bigOf(k *scalar) *big.Int {
	b := k.Bytes()
	return new(big.Int).SetBytes(b[:])
}

// signedOf takes what is above n/2 for a negative number.
func signedOf(k *scalar) *big.Int {
	if k.IsOverHalfOrder() {
		return new(big.Int).Sub(bigOf(k), order)
	}
	return bigOf(k)
}

func scalarOfBig(k *big.Int) *scalar {
	var b [32]byte
	mod(new(big.Int).Set(k), order).FillBytes(b[:])
	s := new(scalar)
	s.SetBytes(&b)
	return s
}

func fromHex(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 16)
	if !ok {
		panic(s)
	}
	return n
}

// edgeScalars are 0, 1, n−1, powers of two and what is next to them, and those of which a
// half is as long, or as short, as one can be.
func edgeScalars() (all []*scalar) {
	add := func(k *big.Int) {
		for d := int64(-1); d <= 1; d++ {
			all = append(all, scalarOfBig(new(big.Int).Add(k, big.NewInt(d))))
		}
	}
	l := bigOf(&lambda)
	add(new(big.Int))
	add(new(big.Int).Rsh(order, 1))
	add(l)
	add(new(big.Int).Neg(l))
	for n := uint(1); n < 256; n += 3 {
		add(new(big.Int).Lsh(big.NewInt(1), n))
	}
	// Near (±(a1, b1) ± (a2, b2))/2 are the halves from which two vectors are about as far.
	a1, b1 := bigOf(&b2), new(big.Int).Neg(bigOf(&minusB1))
	a2, b2 := new(big.Int).Sub(a1, b1), a1
	for _, to := range [][2]int64{{1, 1}, {1, -1}, {-1, 1}, {-1, -1}} {
		half := func(x, y *big.Int) *big.Int {
			sum := new(big.Int).Mul(x, big.NewInt(to[0]))
			return sum.Add(sum, new(big.Int).Mul(y, big.NewInt(to[1]))).Rsh(sum, 1)
		}
		for d := int64(-2); d <= 2; d++ {
			b := new(big.Int).Add(half(b1, b2), big.NewInt(d))
			add(b.Mul(b, l).Add(b, half(a1, a2)))
		}
	}
	return all
}

// A point times λ is (β·x, y), the vectors are those of the comment, and the rounded
// quotients are theirs.
func TestEndomorphism(t *testing.T) {
	a1, b1 := bigOf(&b2), new(big.Int).Neg(bigOf(&minusB1))
	a2 := fromHex("114ca50f7a8e2f3f657c1108d9d44cfd8")
	for _, v := range [][2]*big.Int{{a1, b1}, {a2, a1}} {
		if sum := new(big.Int).Mul(v[1], bigOf(&lambda)); mod(sum.Add(sum, v[0]), order).Sign() != 0 {
			t.Errorf("%x + %x·λ is not 0", v[0], v[1])
		}
	}
	for l, b := range map[limbs]*big.Int{b2OverN: a1, minusB1OverN: new(big.Int).Neg(b1)} {
		want := new(big.Int).Lsh(b, 385)
		want.Add(want, order).Div(want, new(big.Int).Lsh(order, 1))
		if got := l.bytes(); new(big.Int).SetBytes(got[:]).Cmp(want) != 0 {
			t.Errorf("%x·2³⁸⁴/n is %x", b, want)
		}
	}
	for range 10 {
		q, _ := decompress(GenerateKey().Public())
		turned := q
		turned.X.Mul(&beta).Normalize()
		p, _ := bigDecompress(compress(&q))
		if p.times(bigOf(&lambda)).key() != compress(&turned) {
			t.Fatal("λ·q is not (β·x, y)")
		}
	}
}

func TestHalves(t *testing.T) {
	mostA, mostB := fromHex("a2a8918ca85bafe22016d0b917e4dd77"), fromHex("8a65287bd47179fb2be08846cea267ec")
	longA, longB := new(big.Int), new(big.Int)
	all := edgeScalars()
	for range lane.Pick(200_000, 5_000, 1_000) {
		all = append(all, randomScalar())
	}
	for _, k := range all {
		a, b := halves(k)
		sum := new(big.Int).Mul(signedOf(&b), bigOf(&lambda))
		if mod(sum.Add(sum, signedOf(&a)), order).Cmp(bigOf(k)) != 0 {
			t.Fatalf("%v: %v and %v", k, a, b)
		}
		for _, half := range []struct {
			of         *scalar
			most, long *big.Int
		}{{&a, mostA, longA}, {&b, mostB, longB}} {
			abs := new(big.Int).Abs(signedOf(half.of))
			if abs.Cmp(half.most) > 0 {
				t.Fatalf("%v has a half of %x", k, abs)
			}
			if abs.Cmp(half.long) > 0 {
				half.long.Set(abs)
			}
			checkDigits(t, half.of)
		}
	}
	for _, half := range []struct{ most, long *big.Int }{{mostA, longA}, {mostB, longB}} {
		if short := new(big.Int).Sub(half.most, half.long); short.BitLen() > 4 {
			t.Errorf("the longest half is %x, and could be %x", half.long, half.most)
		}
	}
	// What no half is, but has as many bits.
	top := new(big.Int).Lsh(big.NewInt(1), 128)
	for d := int64(1); d <= 64; d++ {
		k := new(big.Int).Sub(top, big.NewInt(d))
		checkDigits(t, scalarOfBig(k))
		checkDigits(t, scalarOfBig(k.Neg(k)))
	}
}

func checkDigits(t *testing.T, half *scalar) {
	t.Helper()
	var of digits
	of.set(half)
	sum, last := new(big.Int), len(of)+4
	for at := len(of) - 1; at >= 0; at-- {
		sum.Lsh(sum, 1).Add(sum, big.NewInt(int64(of[at])))
		if d := of[at]; d != 0 {
			if d%2 == 0 || d < -15 || d > 15 || last-at < 5 {
				t.Fatalf("%v: digit %d at %d, %d behind the one above", half, d, at, last-at)
			}
			last = at
		}
	}
	if sum.Cmp(signedOf(half)) != 0 {
		t.Fatalf("%x became %x", signedOf(half), sum)
	}
}

// isPoint says what decompress does, of every kind of number.
func TestIsPoint(t *testing.T) {
	p := new(big.Int).Set(prime)
	var all []*big.Int
	for d := int64(-70); d <= 70; d++ {
		all = append(all, big.NewInt(d+70), new(big.Int).Add(p, big.NewInt(d)), new(big.Int).Add(order, big.NewInt(d)))
	}
	for n := uint(1); n <= 256; n++ {
		power := new(big.Int).Lsh(big.NewInt(1), n)
		all = append(all, new(big.Int).Sub(power, big.NewInt(1)), power, new(big.Int).Add(power, big.NewInt(1)))
	}
	for range lane.Pick(200_000, 2_000, 500) {
		x, err := rand.Int(rand.Reader, p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, x)
	}
	points := 0
	for _, x := range all {
		if x.BitLen() > 256 {
			continue
		}
		for _, kind := range []byte{2, 3, 0, 4} {
			key := PubKey{kind}
			x.FillBytes(key[1:])
			_, err := decompress(key)
			if isPoint(key) != (err == nil) {
				t.Fatalf("%s: %v", key, err)
			}
			if err == nil {
				points++
			}
		}
		// Of any number, not only of those that a point has: big.Jacobi is another implementation.
		a := new(big.Int).Mod(x, p)
		var b [32]byte
		var l limbs
		l.set((*[32]byte)(a.FillBytes(b[:])))
		if isSquare(l) != (big.Jacobi(a, p) == 1) {
			t.Fatalf("%x", a)
		}
	}
	if points < len(all)/2 {
		t.Errorf("%d points of %d numbers", points, len(all))
	}
}

// What has one Z in common are the odd multiples.
func TestOddMultiples(t *testing.T) {
	g := multiplyBase(new(scalar).SetInt(1), false)
	projective := multiplyBase(randomScalar(), false) // Z is not 1
	random, _ := decompress(GenerateKey().Public())
	for _, q := range []*point{&g, &projective, &random} {
		odd, z := oddMultiples(q)
		for i, at := range odd {
			got := point{X: at.x, Y: at.y, Z: z}
			var want point
			secp256k1.ScalarMultNonConst(new(scalar).SetInt(uint32(2*i+1)), q, &want)
			if compress(&got) != compress(&want) {
				t.Errorf("%d·q", 2*i+1)
			}
		}
	}
}

// checkSum compares k1·q + k2·q with what decred makes of it, in both ways.
func checkSum(t *testing.T, k1, k2 *scalar, q *point) {
	t.Helper()
	var got, once, q1, q2, twice point
	multiplySum(q, &got, k1, k2)
	secp256k1.ScalarMultNonConst(new(scalar).Add2(k1, k2), q, &once)
	secp256k1.ScalarMultNonConst(k1, q, &q1)
	secp256k1.ScalarMultNonConst(k2, q, &q2)
	secp256k1.AddNonConst(&q1, &q2, &twice)
	if isInfinity(&once) {
		if !isInfinity(&got) || !isInfinity(&twice) {
			t.Fatalf("%v·q + %v·q is not infinity", k1, k2)
		}
		return
	}
	if want := compress(&once); isInfinity(&got) || compress(&got) != want || compress(&twice) != want {
		t.Fatalf("%v·q + %v·q", k1, k2)
	}
}

func TestMultiplySum(t *testing.T) {
	g := multiplyBase(new(scalar).SetInt(1), false)
	minusG := g
	minusG.Y.Negate(1).Normalize()
	random, _ := decompress(GenerateKey().Public())
	projective := multiply(randomScalar(), &random, false) // Z is not 1
	points := []*point{&g, &minusG, &random, &projective}
	edges := edgeScalars()
	for i, k := range edges {
		q := points[i%len(points)]
		for _, other := range []*scalar{new(scalar), new(scalar).SetInt(1), k, new(scalar).NegateVal(k), new(scalar).Set(k).Mul(&lambda), randomScalar()} {
			checkSum(t, k, other, q)
		}
	}
	for _, q := range points {
		for _, k1 := range edges[:12] {
			for _, k2 := range edges[:12] {
				checkSum(t, k1, k2, q)
			}
		}
	}
	for range lane.Pick(20_000, 300, 50) {
		q := multiplyBase(randomScalar(), false)
		checkSum(t, randomScalar(), randomScalar(), &q)
	}
	// The group has a prime order: n·q is infinity for each point, and there is none of
	// another order. Infinity itself stays what it is.
	minusOne := new(scalar).NegateVal(new(scalar).SetInt(1))
	var none, sum point
	for _, q := range points {
		multiplySum(q, &sum, minusOne, new(scalar).SetInt(1))
		if !isInfinity(&sum) {
			t.Error("n·q")
		}
	}
	multiplySum(&none, &sum, randomScalar(), randomScalar())
	if !isInfinity(&sum) {
		t.Error("a multiple of infinity")
	}
}

// The second implementation, which shares nothing with decred.
func TestBlindedIsReference(t *testing.T) {
	for range lane.Pick(300, 20, 5) {
		k, _ := rand.Int(rand.Reader, order)
		p := GenerateKey().Public()
		q, _ := decompress(p)
		theirs, _ := bigDecompress(p)
		z := multiply(scalarOfBig(k), &q, true)
		if theirs = theirs.times(k); isInfinity(&z) || theirs.key() != compress(&z) {
			t.Fatalf("%x·%s", k, p)
		}
	}
}

func FuzzMultiplySum(f *testing.F) {
	for _, k := range edgeScalars() {
		b := k.Bytes()
		f.Add(b[:], b[:], b[:])
		minus := new(scalar).NegateVal(k).Bytes()
		f.Add(b[:], minus[:], b[:])
	}
	f.Fuzz(func(t *testing.T, first, second, of []byte) {
		var k1, k2, d scalar
		k1.SetByteSlice(first)
		k2.SetByteSlice(second)
		if d.SetByteSlice(of); d.IsZero() {
			d.SetInt(1)
		}
		q := multiplyBase(&d, false)
		checkSum(t, &k1, &k2, &q)
		a, b := halves(&k1)
		checkDigits(t, &a)
		checkDigits(t, &b)
	})
}

// What G comes to before its table is unpacked is what it comes to with it.
func TestBaseWithoutTable(t *testing.T) {
	check := func(k *scalar) {
		t.Helper()
		var got, want point
		timesOfBase.Store(0)
		timesBase(k, &got)
		if timesOfBase.Load() != 1 {
			t.Fatal("the table was used")
		}
		timesOfBase.Store(withoutTable)
		timesBase(k, &want)
		if !got.EquivalentNonConst(&want) {
			t.Errorf("%x: another point", k.Bytes())
		}
	}
	for _, k := range append(edgeScalars(), new(scalar), new(scalar).SetInt(1), randomScalar()) {
		check(k)
		check(new(scalar).NegateVal(k))
	}
}
