package crypto

import (
	"errors"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// ErrOffsets says that the keys of two people give no one-time keys. With honestly
// made keys that never happens.
var ErrOffsets = errors.New("no one-time keys for this address")

// Identity is the pair of keys behind an [Address]. It is safe for concurrent use.
type Identity struct {
	redacted
	p hidden[identity]
}

type identity struct {
	sign, view *PrivateKey
	address    Address
	signPoint  point // S, affine
}

func newIdentity(s, v *PrivateKey) *Identity {
	p := &identity{sign: s, view: v, address: newAddress(s, v)}
	p.signPoint, _ = decompress(p.address.Sign)
	return &Identity{p: hide(p)}
}

// Wipe overwrites the keys; using them afterwards panics.
func (i *Identity) Wipe() {
	i.p().sign.Wipe()
	i.p().view.Wipe()
}

// Address returns the address.
func (i *Identity) Address() Address { return i.p().address }

// Sign signs with the key S of the address.
func (i *Identity) Sign(digest Hash) Signature { return i.p().sign.Sign(digest) }

// Offsets are the one-time public keys that stand for an address in one thread,
// and the secret behind the locators of the other side. The grantor and the
// address's owner compute the same, nobody else can, and nobody else can tell for
// whom they are.
type Offsets struct {
	Sig  PubKey // P_sig: the counterparty in the entry
	Seal PubKey // P_seal: what is sealed for the counterparty; never on a ledger
	loc  secret32
}

// NewOffsets returns the one-time keys for an address in the thread with key a on
// the ledger l.
func NewOffsets(l LedgerID, a *PrivateKey, to Address) (*Offsets, error) {
	s, err := unpack(to.Sign)
	if err != nil {
		return nil, ErrOffsets
	}
	v, err := unpack(to.View)
	if err != nil {
		return nil, ErrOffsets
	}
	t, err := newStealth(a, &v.q, l, a.Public(), to)
	if err != nil {
		return nil, err
	}
	sig, seal := t.offset(TagStealthSign, &s.q), t.offset(TagStealthSeal, &s.q)
	if isInfinity(&sig.q) || isInfinity(&seal.q) {
		return nil, ErrOffsets
	}
	affine(&sig.q, &seal.q)
	return &Offsets{Sig: compress(&sig.q), Seal: compress(&seal.q), loc: t.locator()}, nil
}

// Locator returns the other side's locator of a payload of the entry id. Both
// sides compute the same.
func (o *Offsets) Locator(id Hash, part byte) Locator {
	return Locator(derive(o.loc.bytes(), TagTheirLocator, id[:], []byte{part}))
}

// Recognize reports whether the counterparty of a thread with author key a is a
// one-time key of this identity, and returns its keys if so. It always computes
// the key anew; about one ECDH for a thread of others. The error is [ErrPubKey]
// when a is not a public key.
func (i *Identity) Recognize(l LedgerID, a, counterparty PubKey) (*OneTimeKeys, bool, error) {
	author, err := decompress(a)
	if err != nil {
		return nil, false, ErrPubKey
	}
	if counterparty.IsZero() {
		return nil, false, nil
	}
	me := i.p()
	t, err := newStealth(me.view, &author, l, a, me.address)
	if err != nil {
		return nil, false, err
	}
	sig := t.offset(TagStealthSign, &me.signPoint)
	if !sig.is(counterparty) {
		return nil, false, nil
	}
	seal := t.offset(TagStealthSeal, &me.signPoint)
	k := &OneTimeKeys{Offsets: Offsets{loc: t.locator()}}
	if k.sign, err = sig.privateKey(me.sign); err != nil {
		return nil, false, err
	}
	if k.seal, err = seal.privateKey(me.sign); err != nil {
		return nil, false, err
	}
	k.Sig, k.Seal = k.sign.Public(), k.seal.Public()
	return k, true, nil
}

// OneTimeKeys are the private keys of the counterparty of one thread. They never
// leave this type: the grantor knows the offsets, so a one-time private key would
// tell her the key of the address.
type OneTimeKeys struct {
	Offsets
	sign, seal *PrivateKey
}

// wipe overwrites the keys and the secret of the locators.
func (k *OneTimeKeys) wipe() {
	k.sign.Wipe()
	k.seal.Wipe()
	k.loc.Wipe()
}

// Sign signs with p_sig.
func (k *OneTimeKeys) Sign(digest Hash) Signature { return k.sign.Sign(digest) }

// Open opens a payload sealed to P_seal; see [OpenPayload].
func (k *OneTimeKeys) Open(ctx SealContext, sealed []byte) ([]byte, error) {
	return OpenPayload(ctx, k.seal, sealed)
}

// stealth is the shared secret of a thread key and a view key, after HKDF-Extract,
// with the context that every derivation from it binds. The x coordinate is the
// same for a and −a, so the whole keys must be in the context.
type stealth struct {
	prk     prk
	context []byte // ledger ‖ A ‖ V ‖ S
}

func newStealth(k *PrivateKey, q *point, l LedgerID, a PubKey, to Address) (*stealth, error) {
	secret := k.secret()
	z, err := ecdh(&secret.d, q, secret.blind)
	if err != nil {
		return nil, ErrOffsets
	}
	defer clear(z[:])
	t := &stealth{prk: extract(z[:]), context: make([]byte, 0, 32+3*33)}
	t.context = append(t.context, l[:]...)
	t.context = append(t.context, a[:]...)
	t.context = append(t.context, to.View[:]...)
	t.context = append(t.context, to.Sign[:]...)
	return t, nil
}

func (t *stealth) locator() secret32 {
	return newSecret32(t.prk.expand(TagStealthLocator, t.context))
}

// oneTime is h and S + h·G.
type oneTime struct {
	h *scalar
	q point
}

func (t *stealth) offset(tag Tag, s *point) *oneTime {
	o := &oneTime{h: t.prk.scalar(tag, t.context)}
	hG := multiplyBase(o.h, false)
	secp256k1.AddNonConst(&hG, s, &o.q)
	return o
}

// is reports whether p is the point, without an inversion when it is not: x is
// compared as X = x·Z².
func (o *oneTime) is(p PubKey) bool {
	var x, zz field
	if (p[0] != 2 && p[0] != 3) || x.SetByteSlice(p[1:]) || isInfinity(&o.q) {
		return false
	}
	zz.SquareVal(&o.q.Z)
	if !x.Mul(&zz).Normalize().Equals(&o.q.X) {
		return false
	}
	return compress(&o.q) == p
}

// privateKey returns s + h, whose public key is the point.
func (o *oneTime) privateKey(s *PrivateKey) (*PrivateKey, error) {
	d := new(scalar).Add2(&s.secret().d, o.h)
	if d.IsZero() || isInfinity(&o.q) {
		return nil, ErrOffsets
	}
	k := newPrivateKey(d, s.secret().blind)
	k.p().setPublic(&o.q)
	return k, nil
}
