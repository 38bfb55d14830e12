package wallet_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/wallet"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// curvePoint is a key and a signature to measure with. There are many, as in a
// batch, where hardly a number comes twice: a processor that is given the same one
// again and again foresees what it will do.
type curvePoint struct {
	key    *secp256k1.PrivateKey
	public *secp256k1.PublicKey
	wire   []byte
	point  secp256k1.JacobianPoint
	digest [32]byte
	sig    *ecdsa.Signature
}

var curvePoints = sync.OnceValue(func() (ps [257]curvePoint) {
	for i := range ps {
		p := &ps[i]
		key, err := secp256k1.GeneratePrivateKey()
		if err != nil {
			panic(err)
		}
		p.key, p.public = key, key.PubKey()
		p.wire = p.public.SerializeCompressed()
		p.public.AsJacobian(&p.point)
		p.digest = sha256.Sum256(p.wire)
		p.sig = ecdsa.Sign(key, p.digest[:])
	}
	return ps
})

// curveOfGrant does the operations on the curve that no grant can do without:
//
//	4 + 3	multiples of the base point: an ephemeral key for each of two
//		payloads and two readers; the author's key and two offsets
//	4 + 1	multiples of another point: the same payloads; the shared secret
//	2	signatures: the entry's and the terms'
func curveOfGrant(at func(i int) *curvePoint) {
	var r secp256k1.JacobianPoint
	for i := range 7 {
		secp256k1.ScalarBaseMultNonConst(&at(i).key.Key, &r)
		r.ToAffine()
	}
	for i := range 5 {
		secp256k1.ScalarMultNonConst(&at(i).key.Key, &at(i+1).point, &r)
		r.ToAffine()
	}
	for i := range 2 {
		ecdsa.Sign(at(i).key, at(i).digest[:])
	}
}

// curveOfDelivery does what is needed beside curveOfGrant until a consent is in
// force: the ledger checks the entry; the deposit and its receipt are each signed
// and checked. Ledger and keeper are sent the author's key, and unpack it.
func curveOfDelivery(at func(i int) *curvePoint) {
	for i := range 3 {
		p := at(i)
		public := p.public
		if i < 2 {
			var err error
			if public, err = secp256k1.ParsePubKey(p.wire); err != nil {
				panic(err)
			}
		}
		if !p.sig.Verify(p.digest[:], public) {
			panic("signature")
		}
	}
	for i := range 2 {
		ecdsa.Sign(at(i).key, at(i).digest[:])
	}
}

// curveTimes does each of fs n times on all cores.
func curveTimes(n int, fs ...func(at func(i int) *curvePoint)) time.Duration {
	ps := curvePoints()
	cores := runtime.GOMAXPROCS(0)
	start := time.Now()
	var wg sync.WaitGroup
	for c := range cores {
		wg.Go(func() {
			for i := c; i < n; i += cores {
				for _, f := range fs {
					f(func(j int) *curvePoint { return &ps[(16*i+j)%len(ps)] })
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

func curveOfGrants(n int) time.Duration { return curveTimes(n, curveOfGrant) }

// BenchmarkBudgetSign signs batches of consents and prints how much of the speed
// of the raw curve operations on all cores it reaches in the same run, and the
// least that it may reach. The second figure is of the whole batch: into the
// journal, the store, the ledger and to the keeper, all durable.
func BenchmarkBudgetSign(b *testing.B) {
	const rounds = 7
	ctx := context.Background()
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tn := newTown(b)
			patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
			if _, _, err := patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String()); err != nil {
				b.Fatal(err)
			}
			add(b, patient, "allergies.txt", "Penicillin: anaphylaxis, 2009")
			p, err := patient.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: must(wallet.EndAfter("30d", tn.now))(b)})
			if err != nil {
				b.Fatal(err)
			}
			plans := slices.Repeat([]*wallet.GrantPlan{p}, n)
			var ratios []float64
			var ours time.Duration
			for i := range rounds * b.N {
				var raw time.Duration
				if i%2 == 0 {
					raw = curveOfGrants(n)
				}
				start := time.Now()
				if err := patient.Grants().PrepareAll(ctx, plans); err != nil {
					b.Fatal(err)
				}
				took := time.Since(start)
				if i%2 == 1 {
					raw = curveOfGrants(n)
				}
				ours += took
				ratios = append(ratios, raw.Seconds()/took.Seconds())
			}
			slices.Sort(ratios)
			raw := curveOfGrants(n)
			start := time.Now()
			if err := patient.Grants().GiveAll(ctx, plans); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(raw.Seconds()/time.Since(start).Seconds(), "ratio-durable")
			b.ReportMetric(ratios[len(ratios)/2], "ratio")
			b.ReportMetric(ratios[len(ratios)-1], "ratio-highest")
			b.ReportMetric(float64(n*len(ratios))/ours.Seconds(), "signed/s")
			b.ReportMetric(0.80, "budget-min")
			b.ReportMetric(0, "ns/op")
		})
	}
}
