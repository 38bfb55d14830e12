package crypto

import (
	"sync"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"github.com/carekey/carekey/crypto/lane"
)

// What the table of a known point gives is what multiplication gives.
func TestMultiples(t *testing.T) {
	lane.OneGoroutine(t)
	for range 3 {
		q, err := decompress(NewEntropy().Root().SelfKey().Public())
		if err != nil {
			t.Fatal(err)
		}
		table := newMultiples(&q)
		check := func(k *scalar) {
			t.Helper()
			var have, want point
			table.multiply(k, &have)
			secp256k1.ScalarMultNonConst(k, &q, &want)
			have.ToAffine()
			want.ToAffine()
			if !have.X.Equals(&want.X) || !have.Y.Equals(&want.Y) || isInfinity(&have) != isInfinity(&want) {
				t.Fatalf("%v·q is another point", k)
			}
		}
		check(new(scalar))
		last := new(scalar).SetInt(1)
		check(new(scalar).NegateVal(last)) // the order less 1
		for i := range 32 {
			for _, b := range []byte{1, 2, 127, 128, 255} {
				var raw [32]byte
				raw[i] = b
				k := new(scalar)
				if k.SetBytes(&raw) == 0 {
					check(k)
				}
			}
		}
		for range 200 {
			check(randomScalar())
		}
	}
}

// Keys that share a place displace each other, if they have no table, and nothing else; many goroutines may
// ask, before and after there is a table.
func TestKnownPoints(t *testing.T) {
	lane.OneGoroutine(t)
	k := NewEntropy().Root().SelfKey()
	digest := TaggedHash(TagTerms, []byte("known"))
	sig := k.Sign(digest)
	p := k.Public()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range tableFrom {
				if !p.Verify(digest, sig) || p.Verify(Hash{1}, sig) {
					t.Error("signature")
				}
			}
		})
	}
	wg.Wait()
	known, err := unpack(p)
	if err != nil || known.table.Load() == nil && tablesMade.Load() < maxTables {
		t.Fatalf("no table after many multiplications, %v", err)
	}
	// The other point of the same x is at the same place.
	other := p
	other[0] ^= 1
	if other.Verify(digest, sig) {
		t.Fatal("the negative of a key verifies")
	}
	q, err := unpack(other)
	want, _ := decompress(other)
	if err != nil || q.key != other || !q.q.X.Equals(&want.X) || !q.q.Y.Equals(&want.Y) {
		t.Fatalf("another point, %v", err)
	}
	// It does not displace one that has a table.
	if again, err := unpack(p); err != nil || known.table.Load() != nil && again != known {
		t.Fatalf("the table is lost, %v", err)
	}
	if !p.Verify(digest, sig) {
		t.Fatal("signature")
	}
	wrong := p
	wrong[0] = 4
	if _, err := unpack(wrong); err == nil {
		t.Fatal("hybrid form")
	}
}
