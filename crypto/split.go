package crypto

import "encoding/binary"

// Share is one keeper's share of a [LockKey]: k of them give the key, fewer give
// nothing.
type Share struct {
	redacted
	Index byte // 1 to 255: where the polynomials were evaluated
	data  secret32
}

// ShareFault is a reason in a [ShareError].
type ShareFault string

const (
	ShareMalformed  ShareFault = "malformed"    // not 33 bytes, or index 0
	ShareNumbers    ShareFault = "numbers"      // not 1 ≤ k ≤ n ≤ 255
	ShareTooFew     ShareFault = "too few"      // fewer than k
	ShareTwice      ShareFault = "twice"        // two with one index
	ShareDoesNotFit ShareFault = "does not fit" // with the others
)

// IsZero reports whether this is the zero value, which holds no share.
func (s Share) IsZero() bool { return s.data.IsZero() }

// Wipe overwrites the share in this and every copy of the value.
func (s Share) Wipe() { s.data.Wipe() }

// Equal reports, in constant time, whether both are the same share.
func (s Share) Equal(o Share) bool { return s.Index == o.Index && s.data.equal(o.data) }

// Bytes returns index ‖ data. They are secret.
func (s Share) Bytes() (b [33]byte) {
	b[0] = s.Index
	copy(b[1:], s.data.bytes())
	return b
}

// ParseShare reads 33 bytes. Its error is a [ErrShare].
func ParseShare(b []byte) (Share, error) {
	if len(b) != 33 || b[0] == 0 {
		return Share{}, ErrShare.With("fault", ShareMalformed)
	}
	return Share{Index: b[0], data: newSecret32(b[1:])}, nil
}

// Hash returns the commitment to the share in the grant with author key a.
func (s Share) Hash(l LedgerID, a PubKey) Hash {
	return TaggedHash(TagShare, l[:], a[:], []byte{s.Index}, s.data.bytes())
}

// Shares splits the [Seed.LockKey] into n shares of which k give it back, 1 ≤ k ≤
// n ≤ 255 (Shamir's scheme over GF(256), a polynomial per byte). The same seed and
// numbers give the same shares, so that they can be deposited again. With k = 1
// every share is the key.
func (s Seed) Shares(k, n int) ([]Share, error) {
	if k < 1 || k > n || n > 255 {
		return nil, ErrShare.With("fault", ShareNumbers)
	}
	// coefficients[0] is K, the others are as secret as K. k and n are in the
	// context: two splits of one key must not share a polynomial.
	coefficients := make([]gfBlock, k)
	coefficients[0] = gfLoad(s.LockKey().bytes())
	prk := extract(s.bytes())
	for i := 1; i < k; i++ {
		b := prk.expand(TagSplit, []byte{byte(k), byte(n), byte(i)})
		coefficients[i] = gfLoad(b)
		clear(b)
	}
	defer clear(coefficients)
	shares := make([]Share, n)
	for i := range shares {
		x := byte(i + 1)
		var y gfBlock
		for j := k - 1; j >= 0; j-- { // Horner
			y = y.mul(x).add(coefficients[j])
		}
		shares[i] = Share{Index: x, data: y.secret()}
	}
	return shares, nil
}

// CombineShares gives back the key from k or more shares; more than k must fit
// each other. Shares that are wrong give a wrong key: compare the hash of each
// share and of the key with the grant's. Its error is a [ErrShare].
func CombineShares(shares []Share, k int) (LockKey, error) {
	if k < 1 || k > 255 {
		return LockKey{}, ErrShare.With("fault", ShareNumbers)
	}
	if len(shares) < k {
		return LockKey{}, ErrShare.With("fault", ShareTooFew)
	}
	var seen [256]bool
	for _, s := range shares {
		switch {
		case s.Index == 0 || s.IsZero():
			return LockKey{}, ErrShare.With("fault", ShareMalformed)
		case seen[s.Index]:
			return LockKey{}, ErrShare.With("fault", ShareTwice, "index", s.Index)
		}
		seen[s.Index] = true
	}
	basis := shares[:k]
	for _, s := range shares[k:] {
		if !interpolate(basis, s.Index).secret().equal(s.data) {
			return LockKey{}, ErrShare.With("fault", ShareDoesNotFit, "index", s.Index)
		}
	}
	return LockKey{interpolate(basis, 0).secret()}, nil
}

// interpolate evaluates at x the polynomials through the shares. The multipliers
// depend on the indices only, which are public.
func interpolate(shares []Share, x byte) (y gfBlock) {
	for i, s := range shares {
		num, den := byte(1), byte(1)
		for j, t := range shares {
			if i != j {
				num = gfMul(num, x^t.Index)
				den = gfMul(den, s.Index^t.Index)
			}
		}
		y = y.add(gfLoad(s.data.bytes()).mul(gfMul(num, gfInverse(den))))
	}
	return y
}

// gfBlock is 32 elements of GF(256) = GF(2)[x]/(x⁸+x⁴+x³+x+1), eight a word.
type gfBlock [4]uint64

func gfLoad(b []byte) (v gfBlock) {
	for i := range v {
		v[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return v
}

func (v gfBlock) secret() secret32 {
	var b [32]byte
	for i := range v {
		binary.LittleEndian.PutUint64(b[8*i:], v[i])
	}
	return secret32{p: hide(&b)}
}

func (v gfBlock) add(w gfBlock) gfBlock {
	for i := range v {
		v[i] ^= w[i]
	}
	return v
}

// mul multiplies every element by the public c. No table, no branch and no address
// depends on v.
func (v gfBlock) mul(c byte) (product gfBlock) {
	for i := range v {
		x, p := v[i], uint64(0)
		for bit := range 8 {
			p ^= x & -uint64(c>>bit&1)
			high := x >> 7 & 0x0101010101010101
			x = x<<1&0xfefefefefefefefe ^ high*0x1b
		}
		product[i] = p
	}
	return product
}

// gfMul multiplies two public elements.
func gfMul(a, b byte) byte {
	return byte(gfBlock{uint64(a)}.mul(b)[0])
}

// gfInverse returns a²⁵⁴, the inverse of a public a ≠ 0.
func gfInverse(a byte) byte {
	r := byte(1)
	for range 7 { // 254 = 2+4+8+…+128
		a = gfMul(a, a)
		r = gfMul(r, a)
	}
	return r
}

// ShareContext is what a share on its way to a recipient is bound to.
type ShareContext struct {
	Ledger LedgerID
	Grant  Hash   // id of the grant
	Keeper PubKey // whose share it is
	Access Hash   // id of the access entry it is released for
}

func (c ShareContext) info() []byte {
	return info(TagSealedShare, c.Ledger[:], c.Grant[:], c.Keeper[:], c.Access[:])
}

// sealedShareSize is enc ‖ the 33 bytes of a share ‖ tag.
const sealedShareSize = hpkeEncSize + 33 + hpkeTagSize

// SealShare seals a share to the response key of a request; 114 bytes. It returns
// [ErrPubKey] if to is not a public key.
func SealShare(ctx ShareContext, share Share, to PubKey) ([]byte, error) {
	b := share.Bytes()
	defer clear(b[:])
	enc, sealed, err := hpkeSeal(to, ctx.info(), b[:])
	if err != nil {
		return nil, err
	}
	return append(enc[:], sealed...), nil
}

// OpenShare opens a share sealed in the same context; else a [ErrDamaged].
func OpenShare(ctx ShareContext, key *PrivateKey, sealed []byte) (Share, error) {
	if len(sealed) != sealedShareSize {
		return Share{}, ErrDamaged.With("what", "sealed share")
	}
	b, err := hpkeOpen(key, ctx.info(), sealed[:hpkeEncSize], sealed[hpkeEncSize:])
	if err != nil {
		return Share{}, ErrDamaged.With("what", "sealed share")
	}
	defer clear(b)
	return ParseShare(b)
}
