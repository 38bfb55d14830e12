package crypto

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"math/big"
	"os"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
)

// A second implementation of the curve that shares nothing with the first: affine
// points of math/big, by the formulas of SEC 1 section 2.2.1, and verification by
// the steps of its section 4.1.4. It is slow, and all of it can be read.

var (
	prime, _ = new(big.Int).SetString("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f", 16)
	bigGx, _ = new(big.Int).SetString("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", 16)
	bigGy, _ = new(big.Int).SetString("483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8", 16)
	bigG     = bigPoint{bigGx, bigGy}
)

type bigPoint struct{ x, y *big.Int } // x is nil at infinity

func (p bigPoint) add(q bigPoint) bigPoint {
	var slope *big.Int
	switch {
	case p.x == nil:
		return q
	case q.x == nil:
		return p
	case p.x.Cmp(q.x) != 0:
		slope = new(big.Int).ModInverse(mod(new(big.Int).Sub(q.x, p.x), prime), prime)
		slope.Mul(slope, new(big.Int).Sub(q.y, p.y))
	case p.y.Cmp(q.y) != 0:
		return bigPoint{}
	default:
		slope = new(big.Int).ModInverse(mod(new(big.Int).Lsh(p.y, 1), prime), prime)
		slope.Mul(slope, big.NewInt(3)).Mul(slope, p.x).Mul(slope, p.x)
	}
	mod(slope, prime)
	x := new(big.Int).Mul(slope, slope)
	mod(x.Sub(x, p.x).Sub(x, q.x), prime)
	y := new(big.Int).Sub(p.x, x)
	return bigPoint{x, mod(y.Mul(y, slope).Sub(y, p.y), prime)}
}

func (p bigPoint) times(k *big.Int) (sum bigPoint) {
	for i := k.BitLen() - 1; i >= 0; i-- {
		sum = sum.add(sum)
		if k.Bit(i) == 1 {
			sum = sum.add(p)
		}
	}
	return sum
}

func (p bigPoint) key() (k PubKey) {
	k[0] = 2 + byte(p.y.Bit(0))
	p.x.FillBytes(k[1:])
	return k
}

func mod(x, m *big.Int) *big.Int { return x.Mod(x, m) }

// bigDecompress returns false for what is not a compressed point.
func bigDecompress(k PubKey) (bigPoint, bool) {
	x := new(big.Int).SetBytes(k[1:])
	if (k[0] != 2 && k[0] != 3) || x.Cmp(prime) >= 0 {
		return bigPoint{}, false
	}
	y := new(big.Int).Exp(x, big.NewInt(3), prime)
	if y.ModSqrt(mod(y.Add(y, big.NewInt(7)), prime), prime) == nil {
		return bigPoint{}, false
	}
	if byte(y.Bit(0)) != k[0]&1 {
		y.Sub(prime, y)
	}
	return bigPoint{x, y}, true
}

func bigVerify(p PubKey, digest Hash, sig Signature) bool {
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	if r.Sign() == 0 || s.Sign() == 0 || r.Cmp(order) >= 0 || s.Cmp(new(big.Int).Rsh(order, 1)) > 0 {
		return false
	}
	q, ok := bigDecompress(p)
	if !ok {
		return false
	}
	w := new(big.Int).ModInverse(s, order)
	u1 := new(big.Int).Mul(new(big.Int).SetBytes(digest[:]), w)
	u2 := new(big.Int).Mul(r, w)
	sum := bigG.times(mod(u1, order)).add(q.times(mod(u2, order)))
	return sum.x != nil && new(big.Int).Mod(sum.x, order).Cmp(r) == 0
}

// A signatureCase is a key, a digest and a signature, and what SEC 1 says of them.
type signatureCase struct {
	Name   string
	Key    PubKey
	Digest Hash
	Sig    Signature
	Good   bool
}

// craftedSignatures are made to meet every branch of an addition and of a
// comparison: sums at infinity, sums of a point with itself, x from the order on,
// scalars of which all bytes or all but one are 0 or 255, related keys.
func craftedSignatures(t testing.TB) (all []signatureCase) {
	one, half := big.NewInt(1), new(big.Int).Rsh(order, 1)
	random := func() *big.Int {
		k, err := rand.Int(rand.Reader, new(big.Int).Sub(order, one))
		if err != nil {
			t.Fatal(err)
		}
		return k.Add(k, one)
	}
	inverse := func(k *big.Int) *big.Int { return new(big.Int).ModInverse(k, order) }
	times := func(factors ...*big.Int) *big.Int {
		product := big.NewInt(1)
		for _, f := range factors {
			mod(product.Mul(product, f), order)
		}
		return product
	}
	negative := func(k *big.Int) *big.Int { return mod(new(big.Int).Neg(k), order) }
	add := func(name string, good bool, key PubKey, e, r, s *big.Int) {
		c := signatureCase{Name: name, Key: key, Good: good}
		e.FillBytes(c.Digest[:])
		r.FillBytes(c.Sig[:32])
		s.FillBytes(c.Sig[32:])
		all = append(all, c)
	}
	low := func(s *big.Int) *big.Int {
		if s.Cmp(half) > 0 {
			return new(big.Int).Sub(order, s)
		}
		return s
	}
	x := func(k *big.Int) *big.Int { return new(big.Int).Mod(bigG.times(k).x, order) }
	// sign is ECDSA with a chosen nonce.
	sign := func(name string, d, e, k *big.Int) {
		r := x(k)
		s := times(inverse(k), new(big.Int).Add(e, times(r, d)))
		if s.Sign() == 0 {
			return
		}
		add(name, true, bigG.times(d).key(), e, r, low(s))
		add(name+", s high", false, bigG.times(d).key(), e, r, new(big.Int).Sub(order, low(s)))
	}
	// recovered adds a signature (r, s) of e under the key with which the point that
	// is compared with r is the given one.
	recovered := func(name string, good bool, at bigPoint, e, r, s *big.Int) {
		q := at.times(s).add(bigG.times(negative(e))).times(inverse(r))
		if q.x != nil {
			add(name, good, q.key(), e, r, s)
		}
	}

	d, e, k := random(), random(), random()
	sign("any", d, e, k)
	sign("digest 0", d, new(big.Int), k)
	sign("digest n", d, order, k)
	sign("digest n - 1", d, new(big.Int).Sub(order, one), k)
	sign("digest 2²⁵⁶ - 1", d, new(big.Int).Sub(new(big.Int).Lsh(one, 256), one), k)
	// R is a small multiple of G or of its opposite, and the key is one too: the
	// additions meet equal and opposite points.
	lambda, _ := new(big.Int).SetString("5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72", 16)
	related := []*big.Int{one, big.NewInt(2), negative(one), negative(big.NewInt(2)), lambda, times(lambda, lambda)}
	for i, d := range related {
		sign("related key", d, e, related[(i+1)%len(related)])
		sign("related key", d, one, related[(i+2)%len(related)])
		sign("related key", d, random(), random())
	}
	// u1·G = u2·Q: the sum is a doubling.
	r := x(k)
	e = random()
	sign("a doubling", times(e, inverse(r)), e, k)
	// u1·G = −u2·Q: the sum is infinity, and no r fits.
	for _, r := range []*big.Int{one, r, new(big.Int).Sub(prime, order), new(big.Int).Sub(order, one)} {
		d := random()
		add("infinity", false, bigG.times(d).key(), negative(times(r, d)), r, low(random()))
	}
	// x from the order on is r + n; and r + n from p on is not x.
	for _, from := range []struct {
		name string
		good bool
		x, r func(i int64) *big.Int
	}{
		{"x = r + n", true,
			func(i int64) *big.Int { return new(big.Int).Add(order, big.NewInt(i)) },
			func(i int64) *big.Int { return big.NewInt(i) }},
		{"x = r + n, below p", true,
			func(i int64) *big.Int { return new(big.Int).Sub(prime, big.NewInt(i)) },
			func(i int64) *big.Int { return new(big.Int).Sub(new(big.Int).Sub(prime, order), big.NewInt(i)) }},
		{"x = r + n - p", false,
			func(i int64) *big.Int { return big.NewInt(i) },
			func(i int64) *big.Int { return new(big.Int).Add(new(big.Int).Sub(prime, order), big.NewInt(i)) }},
		{"x small", true,
			func(i int64) *big.Int { return big.NewInt(i) },
			func(i int64) *big.Int { return big.NewInt(i) }},
		{"x just below n", true,
			func(i int64) *big.Int { return new(big.Int).Sub(order, big.NewInt(i)) },
			func(i int64) *big.Int { return new(big.Int).Sub(order, big.NewInt(i)) }},
		{"x = p - n and around", true,
			func(i int64) *big.Int { return new(big.Int).Add(new(big.Int).Sub(prime, order), big.NewInt(i-3)) },
			func(i int64) *big.Int { return new(big.Int).Add(new(big.Int).Sub(prime, order), big.NewInt(i-3)) }},
	} {
		found := 0
		for i := int64(1); found < 3; i++ {
			if i == 100 {
				t.Fatalf("%s: no such point", from.name)
			}
			at := PubKey{2 + byte(i)&1}
			from.x(i).FillBytes(at[1:])
			if p, ok := bigDecompress(at); ok {
				recovered(from.name, from.good, p, random(), from.r(i), low(random()))
				recovered(from.name+", s = 1", from.good, p, one, from.r(i), one)
				recovered(from.name+", s at most", from.good, p, random(), from.r(i), half)
				found++
			}
		}
	}
	// Scalars u1 and u2 with long runs of zero and of full bytes.
	for i := range 8 {
		var b [32]byte
		for j := range b {
			if i&1 == 0 || j >= 4*i {
				b[j] = byte(0xff * (i >> 1 & 1))
			}
		}
		b[31-4*i] = 1
		b[0] &= 0x7f
		u2 := new(big.Int).SetBytes(b[:])
		at := bigG.times(random())
		r := new(big.Int).Mod(at.x, order)
		s := times(r, inverse(u2))
		recovered("u2 of few bytes", s.Cmp(half) <= 0, at, random(), r, s)
		s = low(random())
		recovered("u1 of few bytes", true, at, times(u2, s), r, s)
	}
	return all
}

// Verifying is what SEC 1 says: with the table of G, and with a table of the key. CAREKEY_SIGNATURES_OUT names a file for the cases, so that other
// programs can judge them.
func TestVerifyIsThatOfTheStandard(t *testing.T) {
	lane.OneGoroutine(t)
	crafted := craftedSignatures(t)
	cases := crafted
	for i := 0; i < len(crafted); i += 8 {
		c := crafted[i]
		c.Name, c.Good = c.Name+", other digest", false
		c.Digest[7] ^= 4
		cases = append(cases, c)
	}
	for i, c := range cases {
		if want := bigVerify(c.Key, c.Digest, c.Sig); want != c.Good {
			t.Errorf("%s: the reference says %v", c.Name, want)
		}
		if got := c.Key.Verify(c.Digest, c.Sig); got != c.Good {
			t.Errorf("%s: %v: key %s, digest %s, signature %s", c.Name, got, c.Key, c.Digest, c.Sig)
		}
		r, okR := parseScalar(c.Sig[:32])
		s, okS := parseScalar(c.Sig[32:])
		q, err := decompress(c.Key)
		if err != nil || !okR || !okS {
			t.Fatalf("%s: %v", c.Name, err)
		}
		known := &knownPoint{key: c.Key, q: q}
		if i < len(crafted) {
			known.table.Store(newMultiples(&q))
		}
		if got := !s.IsOverHalfOrder() && verifyWith(known, c.Digest, r, s); got != c.Good {
			t.Errorf("%s: %v with a table: key %s, digest %s, signature %s", c.Name, got, c.Key, c.Digest, c.Sig)
		}
	}
	if out := os.Getenv("CAREKEY_SIGNATURES_OUT"); out != "" {
		b, err := json.Marshal(cases)
		if err == nil {
			err = os.WriteFile(out, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Multiplying a known point is multiplication: rows of the table, carries between
// them, and the places where the sum passes through equal or opposite points.
func TestMultiplesAreThoseOfTheReference(t *testing.T) {
	lane.OneGoroutine(t)
	d := big.NewInt(1)
	for _, q := range []bigPoint{bigG, bigG.times(d.SetBytes([]byte("any other point of this curve")))} {
		p, err := decompress(q.key())
		if err != nil {
			t.Fatal(err)
		}
		table := newMultiples(&p)
		var scalars [][32]byte
		for i := range 32 {
			var one, full, below [32]byte
			one[i] = 0xff
			for j := i; j < 32; j++ {
				full[j] = 0xff
			}
			order.FillBytes(below[:])
			for j := i + 1; j < 32; j++ {
				below[j] = 0
			}
			if i > 0 {
				scalars = append(scalars, full)
			}
			scalars = append(scalars, one, below)
		}
		for i := range uint64(3) { // the order less 1, 2, 3
			var b [32]byte
			order.FillBytes(b[:])
			binary.BigEndian.PutUint64(b[24:], binary.BigEndian.Uint64(b[24:])-1-i)
			scalars = append(scalars, b)
		}
		for _, b := range scalars {
			k, ok := parseScalar(b[:])
			if !ok {
				continue
			}
			var sum point
			table.multiply(k, &sum)
			if got, want := compress(&sum), q.times(new(big.Int).SetBytes(b[:])).key(); got != want {
				t.Fatalf("%x: %s, want %s", b, got, want)
			}
		}
	}
}
