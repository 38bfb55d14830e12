package crypto

import (
	"encoding/hex"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// Signature is an ECDSA signature: r ‖ s, 32 bytes each, big-endian, with s at
// most half the order. Its text is 128 lower-case hexadecimal digits.
type Signature [64]byte

// String returns the text form.
func (s Signature) String() string { return hex.EncodeToString(s[:]) }

// IsZero reports whether s is 64 zero bytes, which no key ever verifies.
func (s Signature) IsZero() bool { return s == Signature{} }

// Sign signs a digest with the nonce of RFC 6979, so that signing again gives the
// same bytes. The digest must be a [TaggedHash] over bytes that contain the public
// key: keys here are related to each other by known sums, and without the key
// inside, a signature under one could be turned into a signature under another.
func (k *PrivateKey) Sign(digest Hash) (sig Signature) {
	Scrub(func() { sig = k.sign(digest) })
	return sig
}

func (k *PrivateKey) sign(digest Hash) Signature {
	secret := k.secret()
	key := secret.d.Bytes()
	defer clear(key[:])
	var e scalar
	e.SetByteSlice(digest[:]) // reduced, as ECDSA wants it
	for iteration := uint32(0); ; iteration++ {
		nonce := secp256k1.NonceRFC6979(key[:], digest[:], nil, nil, iteration)
		sig, ok := signWith(&secret.d, nonce, &e, secret.blind)
		nonce.Zero()
		if ok {
			return sig
		}
	}
}

// signWith computes r = (k·G).x and s = k⁻¹·(e + r·d), and false if one of them is
// zero. decred's own Sign gives the same bytes; here the two operations whose time
// depends on the nonce can be blinded.
func signWith(d, k, e *scalar, blind bool) (sig Signature, ok bool) {
	kG := multiplyBase(k, blind)
	kG.ToAffine()
	var r, s, kinv scalar
	r.SetBytes(kG.X.Bytes()) // x is below p, so reduced at most once
	if r.IsZero() {
		return sig, false
	}
	if blind {
		b := randomScalar()
		kinv.Mul2(k, b)
		kinv.InverseNonConst().Mul(b) // (k·b)⁻¹·b
		b.Zero()
	} else {
		kinv.InverseValNonConst(k)
	}
	s.Mul2(d, &r).Add(e).Mul(&kinv)
	kinv.Zero()
	if s.IsZero() {
		return sig, false
	}
	if s.IsOverHalfOrder() {
		s.Negate()
	}
	r.PutBytesUnchecked(sig[:32])
	s.PutBytesUnchecked(sig[32:])
	return sig, true
}

// Verify reports whether sig is the signature of digest by p. It refuses r or s
// of 0 or not below the order, s above half the order, and a p that is no point.
func (p PubKey) Verify(digest Hash, sig Signature) bool {
	r, ok := parseScalar(sig[:32])
	if !ok {
		return false
	}
	s, ok := parseScalar(sig[32:])
	if !ok || s.IsOverHalfOrder() {
		return false
	}
	q, err := unpack(p)
	if err != nil {
		return false
	}
	return verifyWith(q, digest, r, s)
}

// verifyWith reports whether (u1·G + u2·q).x = r mod n, with u1 = e/s and u2 = r/s
// (SEC 1 section 4.1.4). It is decred's Verify, but for how it multiplies q.
func verifyWith(q *knownPoint, digest Hash, r, s *scalar) bool {
	var e, w, u1, u2 scalar
	e.SetByteSlice(digest[:]) // reduced, as ECDSA wants it
	w.InverseValNonConst(s)
	u1.Mul2(&e, &w)
	u2.Mul2(r, &w)
	var u1G, u2Q, sum point
	timesBase(&u1, &u1G)
	q.multiply(&u2, &u2Q)
	secp256k1.AddNonConst(&u1G, &u2Q, &sum)
	if isInfinity(&sum) {
		return false
	}
	// x is X/Z², so r·Z² = X saves the inversion. An x from n on is r + n.
	var z, rx, product field
	rBytes := r.Bytes()
	rx.SetBytes(&rBytes)
	z.SquareVal(&sum.Z)
	if product.Mul2(&rx, &z).Normalize().Equals(&sum.X) {
		return true
	}
	if rx.IsGtOrEqPrimeMinusOrder() {
		return false
	}
	rx.Add(&orderField)
	return product.Mul2(&rx, &z).Normalize().Equals(&sum.X)
}

// orderField is n as a field value.
var orderField = func() (n field) {
	n.SetByteSlice(secp256k1.Params().N.Bytes())
	return n
}()
