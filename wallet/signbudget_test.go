package wallet_test

import (
	"context"
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

// curveOfGrant does the operations on the curve that no grant can do without:
//
//	4 + 3	multiples of the base point: an ephemeral key for each of two
//		payloads and two readers; the author's key and two offsets
//	4 + 1	multiples of another point: the same payloads; the shared secret
//	2	signatures: the entry's and the terms'
func curveOfGrant(key *secp256k1.PrivateKey, other *secp256k1.JacobianPoint, digest []byte) {
	var r secp256k1.JacobianPoint
	for range 7 {
		secp256k1.ScalarBaseMultNonConst(&key.Key, &r)
		r.ToAffine()
	}
	for range 5 {
		secp256k1.ScalarMultNonConst(&key.Key, other, &r)
		r.ToAffine()
	}
	for range 2 {
		ecdsa.Sign(key, digest)
	}
}

func curveOfGrants(n int) time.Duration {
	cores := runtime.GOMAXPROCS(0)
	start := time.Now()
	var wg sync.WaitGroup
	for c := range cores {
		wg.Go(func() {
			key, err := secp256k1.GeneratePrivateKey()
			if err != nil {
				panic(err)
			}
			var p secp256k1.JacobianPoint
			key.PubKey().AsJacobian(&p)
			digest := make([]byte, 32)
			for i := c; i < n; i += cores {
				digest[0], digest[1] = byte(i), byte(i>>8)
				curveOfGrant(key, &p, digest)
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

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
			if _, _, err := patient.AddContact(ctx, "Dr Smith", clinic.Address().String()); err != nil {
				b.Fatal(err)
			}
			add(b, patient, "allergies.txt", "Penicillin: anaphylaxis, 2009")
			p, err := patient.PlanGrant(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: must(wallet.EndAfter("30d", tn.now))(b)})
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
				if err := patient.PrepareGrants(ctx, plans); err != nil {
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
			if _, err := patient.GrantAll(ctx, plans); err != nil {
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
