package wallet_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
)

// many is how many consents the wallet of these benchmarks has given: CAREKEY_MANY, or 4,000.
func many(b *testing.B) int {
	n, err := strconv.Atoi(os.Getenv("CAREKEY_MANY"))
	if err != nil {
		return 4000
	}
	return n
}

// crowd is a town of two wallets on one ledger: Maria, who has given n consents to as many as
// 200 people, and Otto, who has given none. Both have a record.
func crowd(b testing.TB, n int) *town {
	b.Helper()
	ctx := context.Background()
	tn := newTown(b)
	maria, otto := tn.person("Maria"), tn.person("Otto")
	var people []string
	for i := range min(n, 200) {
		name := fmt.Sprint("Dr ", i)
		address := crypto.NewEntropy().Root().Identity().Address().String()
		must2(maria.Contacts().Add(ctx, name, address))(b)
		if i == 0 {
			must2(otto.Contacts().Add(ctx, name, address))(b)
		}
		people = append(people, name)
	}
	r := add(b, maria, "allergies.txt", "Penicillin: anaphylaxis, 2009")
	add(b, otto, "allergies.txt", "none")
	p := rowsPlan(b, maria, n, people, r, func(i int) time.Time { return noon.AddDate(0, 0, 40+i/len(people)) })
	if s, err := batch.Apply(ctx, maria, p, nil); err != nil || s.Granted != n {
		b.Fatalf("%+v, %v", s, err)
	}
	return tn
}

// BenchmarkBudgetGrantAmongMany gives a consent from a wallet that has given thousands, as a
// new process does, against one from a wallet that has given none, on the same ledger.
func BenchmarkBudgetGrantAmongMany(b *testing.B) {
	n := many(b)
	tn := crowd(b, n)
	give := func(name string) func() time.Duration {
		return func() time.Duration {
			opt := tn.options(name)
			settle(b, tn.dir)
			start := time.Now()
			w, err := wallet.Open(context.Background(), opt)
			if err != nil {
				b.Fatal(err)
			}
			grant(b, w, "Dr 0", noon)
			return time.Since(start)
		}
	}
	give("Maria")() // the index is written when the wallet is used next
	pairs(b, 11, 3, give("Maria"), give("Otto"))
	b.ReportMetric(float64(n), "consents")
}

// BenchmarkBudgetAuditAgain shows what happened to thousands of consents when nothing has
// since it was shown last, as a new process does.
func BenchmarkBudgetAuditAgain(b *testing.B) {
	n := many(b)
	tn := crowd(b, n)
	look := func() time.Duration {
		opt := tn.options("Maria")
		settle(b, tn.dir)
		start := time.Now()
		w, err := wallet.Open(context.Background(), opt)
		if err != nil {
			b.Fatal(err)
		}
		if es, err := w.Audit().Events(context.Background()); err != nil || len(es) != n {
			b.Fatalf("%d events, %v", len(es), err)
		}
		return time.Since(start)
	}
	first := look()
	var again time.Duration
	const rounds = 7
	for range rounds * b.N {
		again += look()
	}
	b.ReportMetric(float64(first.Microseconds())/float64(n), "µs/consent")
	b.ReportMetric(float64(again.Microseconds())/float64(n*rounds*b.N), "µs/consent-again")
	b.ReportMetric(25, "budget-max")
	b.ReportMetric(0, "ns/op")
}
