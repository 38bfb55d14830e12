package crypto

import (
	"slices"
	"testing"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// Each benchmark of an operation stands beside one of the curve operations that
// it can't do without.

func BenchmarkSign(b *testing.B) {
	digest := Hash{1}
	thread := NewEntropy().Root().Seed(LedgerID{}, Nonce{}).Key()
	long := GenerateKey()
	secret := thread.ExposeSecret()
	raw := secp256k1.PrivKeyFromBytes(secret[:])
	b.Run("thread", func(b *testing.B) {
		for b.Loop() {
			thread.Sign(digest)
		}
	})
	b.Run("long-lived", func(b *testing.B) {
		for b.Loop() {
			long.Sign(digest)
		}
	})
	b.Run("raw", func(b *testing.B) {
		for b.Loop() {
			ecdsa.Sign(raw, digest[:])
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	k := GenerateKey()
	digest := Hash{1}
	sig := k.Sign(digest)
	p := k.Public()
	// Of many keys hardly one comes often enough for a table of its multiples.
	var others [500]PubKey
	var theirs [500]Signature
	for i := range others {
		k := GenerateKey()
		others[i], theirs[i] = k.Public(), k.Sign(digest)
	}
	b.Run("ours", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if n := i % len(others); !others[n].Verify(digest, theirs[n]) {
				b.Fatal("refused")
			}
		}
	})
	b.Run("ours/known", func(b *testing.B) {
		for b.Loop() {
			if !p.Verify(digest, sig) {
				b.Fatal("refused")
			}
		}
	})
	q, err := secp256k1.ParsePubKey(p[:])
	if err != nil {
		b.Fatal(err)
	}
	var r, s secp256k1.ModNScalar
	r.SetByteSlice(sig[:32])
	s.SetByteSlice(sig[32:])
	raw := ecdsa.NewSignature(&r, &s)
	b.Run("raw", func(b *testing.B) {
		for b.Loop() {
			if !raw.Verify(digest[:], q) {
				b.Fatal("refused")
			}
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	own, other := GenerateKey(), GenerateKey()
	own.Public()
	other.Public()
	ctx := SealContext{Ledger: LedgerID{1}, Part: 3, Author: own.Public()}
	body := make([]byte, 3000)
	sealed, err := SealPayload(ctx, body, 0, other.Public(), own.Public())
	if err != nil {
		b.Fatal(err)
	}
	b.Run("SealPayload/2", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			SealPayload(ctx, body, 0, other.Public(), own.Public())
		}
	})
	b.Run("SealPayload/2/60KiB", func(b *testing.B) {
		big := make([]byte, 60<<10)
		for b.Loop() {
			SealPayload(ctx, big, 0, other.Public(), own.Public())
		}
	})
	b.Run("OpenPayload/first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := OpenPayload(ctx, other, sealed); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("OpenPayload/second", func(b *testing.B) {
		for b.Loop() {
			if _, err := OpenPayload(ctx, own, sealed); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("raw-encap", func(b *testing.B) { // e·G and e·P
		q, _ := decompress(other.Public())
		e := randomScalar()
		var r point
		for b.Loop() {
			secp256k1.ScalarBaseMultNonConst(e, &r)
			secp256k1.ScalarMultNonConst(e, &q, &r)
		}
	})
}

func BenchmarkStealth(b *testing.B) {
	to := NewEntropy().Root().Identity()
	a := NewEntropy().Root().Seed(LedgerID{}, Nonce{}).Key()
	o, err := NewOffsets(LedgerID{}, a, to.Address())
	if err != nil {
		b.Fatal(err)
	}
	stranger := GenerateKey().Public()
	b.Run("NewOffsets", func(b *testing.B) {
		for b.Loop() {
			NewOffsets(LedgerID{}, a, to.Address())
		}
	})
	b.Run("Recognize/stranger", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok, _ := to.Recognize(LedgerID{}, a.Public(), stranger); ok {
				b.Fatal("recognised")
			}
		}
	})
	b.Run("Recognize/own", func(b *testing.B) {
		for b.Loop() {
			if _, ok, _ := to.Recognize(LedgerID{}, a.Public(), o.Sig); !ok {
				b.Fatal("not recognised")
			}
		}
	})
	q, _ := decompress(a.Public())
	k := randomScalar()
	b.Run("raw-ecdh", func(b *testing.B) {
		var r point
		for b.Loop() {
			secp256k1.ScalarMultNonConst(k, &q, &r)
			r.ToAffine()
		}
	})
	b.Run("raw-ecdh-blinded", func(b *testing.B) {
		for b.Loop() {
			ecdh(k, &q, true)
		}
	})
	b.Run("raw-base", func(b *testing.B) {
		var r point
		for b.Loop() {
			secp256k1.ScalarBaseMultNonConst(k, &r)
		}
	})
	b.Run("raw-decompress", func(b *testing.B) {
		p := a.Public()
		for b.Loop() {
			decompress(p)
		}
	})
}

// BenchmarkBudgetRecognize is what a consent of others costs every wallet that follows a
// ledger. Beside it stands the blinded multiplication, most of that cost, against two of
// decred's, in turns: medians, of which the ratio is about 0.6.
func BenchmarkBudgetRecognize(b *testing.B) {
	to := NewEntropy().Root().Identity()
	a := GenerateKey().Public()
	stranger := GenerateKey().Public()
	q, _ := decompress(a)
	k := randomScalar()
	does := []func(){
		func() { multiply(k, &q, true) },
		func() {
			var q1, q2, sum point
			k1, k2 := split(k)
			secp256k1.ScalarMultNonConst(k1, &q, &q1)
			secp256k1.ScalarMultNonConst(k2, &q, &q2)
			secp256k1.AddNonConst(&q1, &q2, &sum)
		},
		func() {
			if _, ok, _ := to.Recognize(LedgerID{}, a, stranger); ok {
				b.Fatal("recognised")
			}
		},
	}
	took := make([][]time.Duration, len(does))
	for b.Loop() {
		for range 200 {
			for i, do := range does {
				start := time.Now()
				do()
				took[i] = append(took[i], time.Since(start))
			}
		}
	}
	median := func(i int) float64 {
		slices.Sort(took[i])
		return took[i][len(took[i])/2].Seconds() * 1e6
	}
	b.ReportMetric(median(0)/median(1), "ratio")
	b.ReportMetric(median(0), "µs/blinded")
	b.ReportMetric(median(1), "µs/decred")
	b.ReportMetric(median(2), "µs/recognition")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkSelfTag(b *testing.B) {
	t := NewEntropy().Root().Tagger(LedgerID{1})
	own, other := t.Tag(NewNonce()), SelfTag{1, 2, 3}
	b.Run("Open/other", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t.Open(other)
		}
	})
	b.Run("Open/own", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t.Open(own)
		}
	})
}

func BenchmarkDerive(b *testing.B) {
	root := NewEntropy().Root()
	b.Run("Seed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			root.Seed(LedgerID{}, Nonce{})
		}
	})
	seed := root.Seed(LedgerID{}, Nonce{})
	b.Run("Key", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			seed.Key()
		}
	})
	b.Run("Key.Public", func(b *testing.B) {
		for b.Loop() {
			seed.Key().Public()
		}
	})
	b.Run("Shares/2-of-3", func(b *testing.B) {
		for b.Loop() {
			seed.Shares(2, 3)
		}
	})
	b.Run("TaggedHash/entry", func(b *testing.B) {
		b.ReportAllocs()
		var l LedgerID
		e := make([]byte, 158)
		for b.Loop() {
			TaggedHash(TagEntry, l[:], e)
		}
	})
}
