package crypto

import (
	"encoding/hex"
	"errors"
	"sync/atomic"
)

// PubKey is a compressed point of secp256k1 (SEC 1 section 2.3.3): 0x02 or 0x03,
// then x. The zero value means that there is no key. Its text is 66 lower-case
// hexadecimal digits.
type PubKey [33]byte

// ErrPubKey says that bytes are not a compressed point of the curve.
var ErrPubKey = errors.New("not a public key")

// ErrPrivateKey says that bytes are not a number in [1, n-1].
var ErrPrivateKey = errors.New("not a private key")

// ParsePubKey reads 33 bytes. It returns [ErrPubKey] unless they are a compressed
// point of the curve.
func ParsePubKey(b []byte) (PubKey, error) {
	if len(b) != len(PubKey{}) {
		return PubKey{}, ErrPubKey
	}
	p := PubKey(b)
	if !isPoint(p) {
		return PubKey{}, ErrPubKey
	}
	return p, nil
}

// IsZero reports whether p is the zero value: no key.
func (p PubKey) IsZero() bool { return p == PubKey{} }

// String returns the text form.
func (p PubKey) String() string { return hex.EncodeToString(p[:]) }

// MarshalText returns the text form, and [ErrPubKey] for the zero value: a field
// that may be absent needs omitzero.
func (p PubKey) MarshalText() ([]byte, error) {
	if p.IsZero() {
		return nil, ErrPubKey
	}
	return hex.AppendEncode(nil, p[:]), nil
}

// UnmarshalText accepts the text form of a point of the curve.
func (p *PubKey) UnmarshalText(text []byte) error {
	var b [33]byte
	if err := parseHex(b[:], text, "public key"); err != nil {
		return err
	}
	q, err := ParsePubKey(b[:])
	if err != nil {
		return err
	}
	*p = q
	return nil
}

// PrivateKey is a secp256k1 scalar in [1, n-1]. It is safe for concurrent use,
// except with Wipe.
//
// Operations with the key are blinded, unless it is the key of one thread
// ([Seed.Key], [LinkID.Identity]), which signs too little for its timing to tell anything.
type PrivateKey struct {
	redacted
	p hidden[privateKey]
}

type privateKey struct {
	d      scalar
	blind  bool
	public atomic.Pointer[public] // made when first needed
}

// public is a public key in both of its forms.
type public struct {
	key PubKey
	raw [65]byte
}

func newPrivateKey(d *scalar, blind bool) *PrivateKey {
	p := &privateKey{blind: blind}
	p.d.Set(d)
	d.Zero()
	return &PrivateKey{p: hide(p)}
}

// GenerateKey returns a new random key.
func GenerateKey() *PrivateKey { return newPrivateKey(randomScalar(), true) }

// ParsePrivateKey reads 32 bytes, big-endian. It returns [ErrPrivateKey] for any
// other length, for 0 and for what is not below the order of the curve.
func ParsePrivateKey(b []byte) (*PrivateKey, error) {
	d, ok := parseScalar(b)
	if !ok {
		return nil, ErrPrivateKey
	}
	return newPrivateKey(d, true), nil
}

// secret panics on a zero or wiped key.
func (k *PrivateKey) secret() *privateKey {
	if k.p == nil || k.p().d.IsZero() {
		panic("crypto: use of a zero or wiped private key")
	}
	return k.p()
}

func (k *PrivateKey) public() *public {
	s := k.secret()
	if p := s.public.Load(); p != nil {
		return p
	}
	q := multiplyBase(&s.d, s.blind)
	return s.setPublic(&q)
}

// setPublic remembers d·G.
func (s *privateKey) setPublic(q *point) *public {
	p := &public{key: compress(q)}
	p.raw = raw(q)
	s.public.Store(p)
	return p
}

// Public returns the public key.
func (k *PrivateKey) Public() PubKey { return k.public().key }

// Wipe overwrites the key; using it afterwards panics. Copies that the arithmetic
// left behind on the stack or the heap remain.
func (k *PrivateKey) Wipe() {
	if k.p != nil {
		k.p().d.Zero()
	}
}

// ExposeSecret returns the scalar, 32 bytes, big-endian. It is for the key files
// of nodes and for tests: no key of a person leaves the process.
func (k *PrivateKey) ExposeSecret() [32]byte { return k.secret().d.Bytes() }
