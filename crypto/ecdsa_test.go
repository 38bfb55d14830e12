package crypto

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/carekey/carekey/crypto/lane"
)

var order, _ = new(big.Int).SetString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16)

// The widely published RFC 6979 signatures for secp256k1 with SHA-256.
func TestSignKnown(t *testing.T) {
	for _, c := range []struct{ key, message, signature string }{
		{"0000000000000000000000000000000000000000000000000000000000000001", "Satoshi Nakamoto",
			"934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d82442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"},
		{"0000000000000000000000000000000000000000000000000000000000000001", "All those moments will be lost in time, like tears in rain. Time to die...",
			"8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21"},
		{"fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140", "Satoshi Nakamoto",
			"fd567d121db66e382991534ada77a6bd3106f0a1098c231e47993447cd6af2d06b39cd0eb1bc8603e159ef5c20a5c8ad685a45b06ce9bebed3f153d10d93bed5"},
	} {
		for _, blind := range []bool{false, true} {
			d, ok := parseScalar(unhex(t, c.key))
			if !ok {
				t.Fatal("key refused")
			}
			k := newPrivateKey(d, blind)
			digest := Hash(sha256.Sum256([]byte(c.message)))
			sig := k.Sign(digest)
			if sig.String() != c.signature {
				t.Errorf("%q blind=%v: %s", c.message, blind, sig)
			}
			if !k.Public().Verify(digest, sig) {
				t.Error("does not verify")
			}
		}
	}
}

// Blinding must change no byte, and decred's own signer must agree.
func TestSignIsThatOfDecred(t *testing.T) {
	lane.OneGoroutine(t)
	for range 100 {
		var digest Hash
		rand.Read(digest[:])
		d := randomScalar()
		theirs := ecdsa.Sign(secp256k1.NewPrivateKey(d), digest[:])
		r, s := theirs.R(), theirs.S()
		var want Signature
		r.PutBytesUnchecked(want[:32])
		s.PutBytesUnchecked(want[32:])
		b := d.Bytes()
		for _, blind := range []bool{false, true} {
			e, _ := parseScalar(b[:])
			if got := newPrivateKey(e, blind).Sign(digest); got != want {
				t.Fatalf("blind=%v: %s, want %s", blind, got, want)
			}
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	k := GenerateKey()
	digest := TaggedHash(TagEntry, []byte("x"))
	good := k.Sign(digest)
	p := k.Public()
	if !p.Verify(digest, good) {
		t.Fatal("good signature refused")
	}
	with := func(r, s *big.Int) (sig Signature) {
		r.FillBytes(sig[:32])
		s.FillBytes(sig[32:])
		return sig
	}
	r, s := new(big.Int).SetBytes(good[:32]), new(big.Int).SetBytes(good[32:])
	zero := new(big.Int)
	for name, sig := range map[string]Signature{
		"high s":  with(r, new(big.Int).Sub(order, s)),
		"r = 0":   with(zero, s),
		"s = 0":   with(r, zero),
		"r = n":   with(order, s),
		"s = n":   with(r, order),
		"zero":    {},
		"swapped": with(s, r),
		"all one": with(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)), s),
	} {
		if p.Verify(digest, sig) {
			t.Error(name)
		}
	}
	if r.Cmp(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), order)) < 0 {
		if p.Verify(digest, with(new(big.Int).Add(r, order), s)) {
			t.Error("r + n")
		}
	}
	for i := range good {
		bad := good
		bad[i] ^= 1
		if p.Verify(digest, bad) {
			t.Errorf("byte %d of the signature", i)
		}
	}
	for i := range digest {
		bad := digest
		bad[i] ^= 0x80
		if p.Verify(bad, good) {
			t.Errorf("byte %d of the digest", i)
		}
	}
	negated := p
	negated[0] ^= 1
	for name, q := range map[string]PubKey{"other": GenerateKey().Public(), "negated": negated, "zero": {}, "hybrid": {6}} {
		if q.Verify(digest, good) {
			t.Errorf("key %s", name)
		}
	}
}

// A signature covers the key only because the digest does: under the key P + d·G the
// same r, s verify another digest. This is why Sign asks for the key in the digest.
func TestRelatedKeysNeedTheKeyInTheDigest(t *testing.T) {
	k := GenerateKey()
	digest := TaggedHash(TagEntry, []byte("x"))
	sig := k.Sign(digest)
	delta := randomScalar()
	d := new(scalar).Add2(&k.secret().d, delta)
	other := newPrivateKey(d, true)
	// e' = e − r·delta
	var e, r scalar
	e.SetByteSlice(digest[:])
	r.SetByteSlice(sig[:32])
	e.Add(new(scalar).Mul2(&r, delta).Negate())
	if !other.Public().Verify(Hash(e.Bytes()), sig) {
		t.Error("the relation does not hold: the comment of Sign is wrong")
	}
	if other.Public().Verify(digest, sig) {
		t.Error("one signature, two keys, one digest")
	}
}

func TestPublicKeyForms(t *testing.T) {
	k := GenerateKey()
	p := k.Public()
	q, err := decompress(p)
	if err != nil {
		t.Fatal(err)
	}
	uncompressed := raw(&q)
	hybrid := uncompressed
	hybrid[0] = 6 + p[0]&1
	offCurve := uncompressed
	offCurve[64] ^= 1
	tooBig := PubKey{2}
	copy(tooBig[1:], unhex(t, "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc30")) // p + 1
	notX := PubKey{2}
	notX[32] = 5 // 5³ + 7 is no square
	for name, b := range map[string][]byte{
		"empty": {}, "short": p[:32], "long": append(p[:], 0), "zero": make([]byte, 33),
		"uncompressed": uncompressed[:], "hybrid": hybrid[:], "04": append([]byte{4}, p[1:]...),
		"00": append([]byte{0}, p[1:]...), "x ≥ p": tooBig[:], "not on the curve": notX[:],
		"infinity": {0},
	} {
		if _, err := ParsePubKey(b); err != ErrPubKey {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string][]byte{"hybrid": hybrid[:], "off the curve": offCurve[:], "compressed": p[:], "short": uncompressed[:64], "infinity": make([]byte, 65)} {
		if _, err := parseRaw(b); err == nil {
			t.Errorf("uncompressed form %s accepted", name)
		}
	}
	if q, err := parseRaw(uncompressed[:]); err != nil || compress(&q) != p {
		t.Error("uncompressed form", err)
	}
}

func TestPrivateKeyRange(t *testing.T) {
	n := order.Bytes()
	below := new(big.Int).Sub(order, big.NewInt(1)).Bytes()
	above := new(big.Int).Add(order, big.NewInt(1)).Bytes()
	for name, b := range map[string][]byte{
		"0": make([]byte, 32), "n": n, "n+1": above, "31 bytes": below[:31], "33 bytes": append([]byte{0}, below...), "empty": {},
	} {
		if _, err := ParsePrivateKey(b); err != ErrPrivateKey {
			t.Errorf("%s: %v", name, err)
		}
	}
	k, err := ParsePrivateKey(below)
	if err != nil {
		t.Fatal(err)
	}
	if got := k.ExposeSecret(); string(got[:]) != string(below) {
		t.Errorf("n-1 came back as %x", got)
	}
	// (n−1)·G = −G
	if got, want := k.Public().String(), "0379be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"; got != want {
		t.Errorf("(n-1)·G = %s", got)
	}
	same, _ := ParsePrivateKey(below)
	if k.Public() != same.Public() || k.Public() == GenerateKey().Public() {
		t.Error("Equal")
	}
}

func TestBlindedMultiplication(t *testing.T) {
	q, _ := decompress(GenerateKey().Public())
	one := new(scalar).SetInt(1)
	minusOne := new(scalar).NegateVal(one)
	for _, k := range []*scalar{one, minusOne, randomScalar(), randomScalar()} {
		a, b := multiply(k, &q, false), multiply(k, &q, true)
		if compress(&a) != compress(&b) {
			t.Error("k·Q")
		}
		a, b = multiplyBase(k, false), multiplyBase(k, true)
		if compress(&a) != compress(&b) {
			t.Error("k·G")
		}
	}
	// What is left in memory is no point, and of scalars the halves, which are zeroed.
	k := randomScalar()
	for blind, most := range map[bool]float64{false: 0, true: 6} {
		if n := testing.AllocsPerRun(10, func() { multiply(k, &q, blind); multiplyBase(k, blind) }); n > most {
			t.Errorf("%v values on the heap, blinded: %v", n, blind)
		}
	}
	zero := new(scalar)
	if z := multiply(zero, &q, true); !isInfinity(&z) {
		t.Error("0·Q")
	}
	if _, err := ecdh(zero, &q, false); err == nil {
		t.Error("ECDH gave infinity")
	}
	p1, p2 := multiplyBase(randomScalar(), true), multiply(randomScalar(), &q, false)
	want1, want2 := p1, p2
	affine(&p1, &p2)
	want1.ToAffine()
	want2.ToAffine()
	if raw(&p1) != raw(&want1) || raw(&p2) != raw(&want2) {
		t.Error("affine")
	}
}

func TestTexts(t *testing.T) {
	k := GenerateKey()
	type all struct {
		H Hash
		L LedgerID
		P PubKey
		S Signature
		T SelfTag
		Z PubKey `json:",omitzero"`
	}
	v := all{H: TaggedHash(TagEntry), L: LedgerID{1, 2}, P: k.Public(), S: k.Sign(Hash{}), T: SelfTag{9}}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var w all
	if err := json.Unmarshal(b, &w); err != nil || w != v {
		t.Fatalf("%v: %s", err, b)
	}
	if !strings.Contains(string(b), hex.EncodeToString(v.P[:])) {
		t.Errorf("%s", b)
	}
	if _, err := (PubKey{}).MarshalText(); err == nil {
		t.Error("the zero key was marshalled")
	}
	for _, bad := range []string{"", "00", strings.Repeat("0", 63), strings.Repeat("0", 65), strings.ToUpper(v.H.String()), strings.Repeat("0", 63) + "g", " " + v.H.String()[1:]} {
		h := Hash{7}
		if err := h.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q accepted", bad)
		}
		if h != (Hash{7}) {
			t.Errorf("%q refused, but changed the value", bad)
		}
	}
	for _, bad := range []string{strings.Repeat("0", 66), "04" + strings.Repeat("1", 64), strings.ToUpper(v.P.String())} {
		p := v.P
		if err := p.UnmarshalText([]byte(bad)); err == nil || p != v.P {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Verify judges as decred's does: of what is right, of what is wrong by a bit, and of numbers that nobody signed.
func TestVerifyIsThatOfDecred(t *testing.T) {
	lane.OneGoroutine(t)
	good := 0
	for i := range 300 {
		var digest Hash
		rand.Read(digest[:])
		k := newPrivateKey(randomScalar(), false)
		sig := k.Sign(digest)
		switch i % 5 {
		case 1:
			sig[i%64] ^= 1 << (i % 8)
		case 2:
			digest[i%32] ^= 1 << (i % 8)
		case 3:
			rand.Read(sig[:])
		case 4: // a key whose multiples meet those of G
			one := new(scalar).SetInt(uint32(1 + i%3))
			k = newPrivateKey(one, false)
			sig = k.Sign(digest)
		}
		p := k.Public()
		q, err := decompress(p)
		if err != nil {
			t.Fatal(err)
		}
		var r, s secp256k1.ModNScalar
		want := !r.SetByteSlice(sig[:32]) && !s.SetByteSlice(sig[32:]) && !s.IsOverHalfOrder() &&
			ecdsa.NewSignature(&r, &s).Verify(digest[:], secp256k1.NewPublicKey(&q.X, &q.Y))
		if got := p.Verify(digest, sig); got != want {
			t.Fatalf("%d: %v, decred says %v: key %s, digest %x, signature %s", i, got, want, p, digest, sig)
		}
		if want {
			good++
		}
	}
	if good < 100 || good > 150 {
		t.Errorf("%d of 300 verify", good)
	}
}
