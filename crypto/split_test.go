package crypto

import (
	"errors"
	"math/bits"
	"testing"

	"github.com/carekey/carekey/crypto/fault"
)

// slowMul multiplies in GF(256) by the book.
func slowMul(a, b byte) byte {
	product := 0
	for i := range 8 {
		if b>>i&1 == 1 {
			product ^= int(a) << i
		}
	}
	for i := 14; i >= 8; i-- {
		if product>>i&1 == 1 {
			product ^= 0x11b << (i - 8)
		}
	}
	return byte(product)
}

func TestGF256(t *testing.T) {
	if gfMul(0x57, 0x83) != 0xc1 || gfInverse(0x53) != 0xca { // FIPS 197 section 4.2
		t.Error("not the field of AES")
	}
	for a := range 256 {
		for b := range 256 {
			want := slowMul(byte(a), byte(b))
			// All eight lanes of all four words.
			for lane := range 8 {
				var v gfBlock
				for w := range v {
					v[w] = uint64(a) << (8 * lane)
				}
				v = v.mul(byte(b))
				for w := range v {
					if v[w] != uint64(want)<<(8*lane) {
						t.Fatalf("%02x · %02x in lane %d of %d: %x", a, b, lane, w, v[w])
					}
				}
			}
		}
		if a > 0 && gfMul(byte(a), gfInverse(byte(a))) != 1 {
			t.Errorf("inverse of %02x", a)
		}
	}
}

func TestSharesAnyKOfN(t *testing.T) {
	seed := NewEntropy().Root().Seed(LedgerID{1}, NewNonce())
	key := seed.LockKey()
	for n := 1; n <= 6; n++ {
		for k := 1; k <= n; k++ {
			shares, err := seed.Shares(k, n)
			if err != nil || len(shares) != n {
				t.Fatal(err)
			}
			again, _ := seed.Shares(k, n)
			for i := range shares {
				if !shares[i].Equal(again[i]) || int(shares[i].Index) != i+1 {
					t.Fatal("not deterministic")
				}
			}
			for set := range 1 << n {
				var some []Share
				for i := n - 1; i >= 0; i-- { // any order
					if set>>i&1 == 1 {
						some = append(some, shares[i])
					}
				}
				got, err := CombineShares(some, k)
				if have := bits.OnesCount(uint(set)); have < k {
					if e, _ := fault.As(err, ErrShare); fault.Get[ShareFault](e, "fault") != ShareTooFew {
						t.Errorf("%d of %d: %v", have, k, err)
					}
					// Taken for a smaller threshold they give another key.
					if have > 0 {
						wrong, err := CombineShares(some, have)
						if err != nil || wrong.equal(key.secret32) {
							t.Errorf("%d of %d shares gave the key", have, k)
						}
					}
				} else if err != nil || !got.equal(key.secret32) {
					t.Errorf("%d-of-%d from set %b: %v", k, n, set, err)
				}
			}
		}
	}
}

// k−1 shares fit every key: for any other key there is a k-th share that gives it.
func TestSharesFewerTellNothing(t *testing.T) {
	seed := NewEntropy().Root().Seed(LedgerID{1}, NewNonce())
	shares, err := seed.Shares(3, 5)
	if err != nil {
		t.Fatal(err)
	}
	known := shares[:2]
	for range 20 {
		wanted := NewEntropy().secret32
		// The polynomial through the wanted key at 0 and the known shares.
		points := append([]Share{{data: wanted}}, known...)
		forged := Share{Index: 3, data: interpolate(points, 3).secret()}
		got, err := CombineShares(append(known[:2:2], forged), 3)
		if err != nil || !got.equal(wanted) {
			t.Fatal("a key is ruled out by two of three shares")
		}
	}
}

func TestSharesBounds(t *testing.T) {
	seed := NewEntropy().Root().Seed(LedgerID{1}, NewNonce())
	for _, c := range [][2]int{{0, 0}, {0, 1}, {2, 1}, {1, 256}, {256, 256}, {-1, 3}} {
		if _, err := seed.Shares(c[0], c[1]); err == nil {
			t.Error(c)
		}
	}
	shares, err := seed.Shares(255, 255)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := CombineShares(shares, 255); err != nil || !k.equal(seed.LockKey().secret32) {
		t.Error("255 of 255", err)
	}
	if k, err := CombineShares(shares[:254], 254); err != nil || k.equal(seed.LockKey().secret32) {
		t.Error("254 of 255 gave the key", err)
	}
	// Splits with other numbers share no polynomial: their shares do not mix.
	a, _ := seed.Shares(2, 3)
	b, _ := seed.Shares(2, 4)
	c, _ := seed.Shares(3, 3)
	for i := range a {
		if a[i].Equal(b[i]) || a[i].Equal(c[i]) || b[i].Equal(c[i]) {
			t.Error("two splits share a share")
		}
	}
	one, _ := seed.Shares(1, 2)
	if one[1].data.equal(seed.LockKey().secret32) == false {
		t.Error("1-of-n")
	}
}

func TestSharesRefused(t *testing.T) {
	l, a := LedgerID{1}, GenerateKey().Public()
	seed := NewEntropy().Root().Seed(l, NewNonce())
	shares, _ := seed.Shares(2, 4)
	fault := func(s []Share, k int) ShareFault {
		_, err := CombineShares(s, k)
		e, _ := fault.As(err, ErrShare)
		return fault.Get[ShareFault](e, "fault")
	}
	if f := fault([]Share{shares[0], shares[0]}, 2); f != ShareTwice {
		t.Error(f)
	}
	if f := fault([]Share{shares[0], {}}, 2); f != ShareMalformed {
		t.Error(f)
	}
	if f := fault(shares, 0); f != ShareNumbers {
		t.Error(f)
	}
	// A wrong share changes the key, its hash tells, and so does a third share.
	b := shares[1].Bytes()
	for i := 1; i < len(b); i++ {
		bad := b
		bad[i] ^= 1
		wrong, err := ParseShare(bad[:])
		if err != nil {
			t.Fatal(err)
		}
		k, err := CombineShares([]Share{shares[0], wrong}, 2)
		if err != nil || k.equal(seed.LockKey().secret32) || k.Hash(l, a) == seed.LockKey().Hash(l, a) {
			t.Errorf("byte %d: the wrong share gave the key", i)
		}
		if wrong.Hash(l, a) == shares[1].Hash(l, a) {
			t.Errorf("byte %d: the hash is the same", i)
		}
		if f := fault([]Share{shares[0], wrong, shares[2]}, 2); f != ShareDoesNotFit {
			t.Errorf("byte %d: %q", i, f)
		}
	}
	s := shares[0]
	if s.Hash(l, a) == s.Hash(LedgerID{2}, a) || s.Hash(l, a) == s.Hash(l, GenerateKey().Public()) {
		t.Error("a share's hash is not bound")
	}
	for _, bad := range [][]byte{nil, b[:32], append(b[:], 0), make([]byte, 33)} {
		if _, err := ParseShare(bad); err == nil {
			t.Errorf("%x parsed", bad)
		}
	}
}

func TestSealedShare(t *testing.T) {
	seed := NewEntropy().Root().Seed(LedgerID{1}, NewNonce())
	shares, _ := seed.Shares(1, 2)
	k := GenerateKey()
	ctx := ShareContext{LedgerID{1}, Hash{2}, GenerateKey().Public(), Hash{3}}
	sealed, err := SealShare(ctx, shares[1], k.Public())
	if err != nil || len(sealed) != 114 {
		t.Fatal(len(sealed), err)
	}
	if s, err := OpenShare(ctx, k, sealed); err != nil || !s.Equal(shares[1]) {
		t.Fatal(err)
	}
	other := []ShareContext{ctx, ctx, ctx, ctx}
	other[0].Ledger[0]++
	other[1].Grant[0]++
	other[2].Keeper = GenerateKey().Public()
	other[3].Access[31]++
	for i, c := range other {
		if _, err := OpenShare(c, k, sealed); err == nil {
			t.Errorf("opened in context %d", i)
		}
	}
	if _, err := OpenShare(ctx, GenerateKey(), sealed); err == nil {
		t.Error("opened by another key")
	}
	for i := range sealed {
		b := append([]byte(nil), sealed...)
		b[i] ^= 2
		if _, err := OpenShare(ctx, k, b); err == nil {
			t.Errorf("byte %d", i)
		}
	}
	for _, b := range [][]byte{nil, sealed[:113], append(sealed, 0)} {
		if _, err := OpenShare(ctx, k, b); !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
	}
	if _, err := SealShare(ctx, shares[0], PubKey{}); err != ErrPubKey {
		t.Error(err)
	}
}

func TestLock(t *testing.T) {
	l, a := LedgerID{1}, GenerateKey().Public()
	k := NewEntropy().Root().Seed(l, NewNonce()).LockKey()
	sealed := k.Lock(l, a, []byte("envelope"))
	if b, err := k.Unlock(l, a, sealed); err != nil || string(b) != "envelope" {
		t.Fatal(err)
	}
	if string(sealed) != string(k.Lock(l, a, []byte("envelope"))) {
		t.Error("locking again gives other bytes")
	}
	other := NewEntropy().Root().Seed(l, NewNonce()).LockKey()
	for name, open := range map[string]func() ([]byte, error){
		"key":    func() ([]byte, error) { return other.Unlock(l, a, sealed) },
		"ledger": func() ([]byte, error) { return k.Unlock(LedgerID{2}, a, sealed) },
		"author": func() ([]byte, error) { return k.Unlock(l, GenerateKey().Public(), sealed) },
		"cut":    func() ([]byte, error) { return k.Unlock(l, a, sealed[:15]) },
		"empty":  func() ([]byte, error) { return k.Unlock(l, a, nil) },
		"longer": func() ([]byte, error) { return k.Unlock(l, a, append(sealed, 0)) },
	} {
		if _, err := open(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h := k.Hash(l, a)
	if h == other.Hash(l, a) || h == k.Hash(LedgerID{2}, a) || h == k.Hash(l, GenerateKey().Public()) {
		t.Error("the commitment is not bound")
	}
}
