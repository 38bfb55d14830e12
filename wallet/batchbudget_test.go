package wallet_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet"
)

// watchMemory returns the largest heap that it sees until it is stopped.
func watchMemory() (stop func() uint64) {
	var most atomic.Uint64
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.HeapInuse))
			select {
			case <-end:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() uint64 { close(end); <-ended; return most.Load() }
}

// rowsPlan is a plan of n grants to as many as a thousand people.
func rowsPlan(tb testing.TB, w *wallet.Wallet, n int, people []string, record wallet.Record, end func(i int) time.Time) *wallet.BatchPlan {
	tb.Helper()
	p, err := w.PlanBatch(context.Background(), wallet.BatchOptions{File: "rows"}, func(add func(wallet.Wish) error) (wallet.BatchFile, error) {
		for i := range n {
			x := wallet.Wish{Line: i + 1, Do: wallet.WishState, To: people[i%len(people)], Records: []string{record.ID.String()}, Purpose: wallet.Treatment}
			var err error
			if x.NotAfter, err = wallet.EndOfDay(end(i).Format("2006-01-02"), noon); err != nil {
				return wallet.BatchFile{}, err
			}
			if err := add(x); err != nil {
				return wallet.BatchFile{}, err
			}
		}
		return wallet.BatchFile{Rows: n}, nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	if len(p.Items) != n {
		tb.Fatalf("%d items of %d rows", len(p.Items), n)
	}
	return p
}

// BenchmarkBudgetBatch carries out a batch end to end on a ledger in a folder:
// journal, store, ledger, keeper, all durable. It prints how much of the speed of
// the raw curve operations on all cores it reaches: those of signing (ratio), and
// all that delivery needs (ratio-all), and the same in processor time, which others
// on the machine do not change (ratio-all-cpu, without waits); and the heap that it took beyond what the
// wallet held before and holds afterwards. CAREKEY_BATCH sets another size.
func BenchmarkBudgetBatch(b *testing.B) {
	n := 2000
	if s := os.Getenv("CAREKEY_BATCH"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	ctx := context.Background()
	tn := newTown(b)
	patient := tn.person("Maria")
	var people []string
	for i := range min(n, 200) {
		name := fmt.Sprint("Dr ", i)
		address := crypto.NewEntropy().Root().Identity().Address()
		if _, _, err := patient.AddContact(ctx, name, address.String()); err != nil {
			b.Fatal(err)
		}
		people = append(people, name)
	}
	add(b, patient, "allergies.txt", "Penicillin: anaphylaxis, 2009")
	recs, err := patient.Records(ctx)
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		p := rowsPlan(b, patient, n, people, recs[0], func(i int) time.Time { return noon.AddDate(0, 0, 30+i/len(people)) })
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		// Half of the raw operations go before and half after, since others may
		// use the machine.
		m := min(n, 4000)
		scale := float64(n) / float64(2*m)
		cpu := cpuTime()
		raw, all := curveTimes(m, curveOfGrant), curveTimes(m, curveOfGrant, curveOfDelivery)
		rawCPU := cpuTime() - cpu
		stop := watchMemory()
		cpu = cpuTime()
		start := time.Now()
		s, err := patient.BatchApply(ctx, p, nil)
		took := time.Since(start)
		tookCPU := cpuTime() - cpu
		peak := stop()
		if err != nil || s.Granted != n {
			b.Fatalf("%+v, %v", s, err)
		}
		cpu = cpuTime()
		raw2, all2 := curveTimes(m, curveOfGrant), curveTimes(m, curveOfGrant, curveOfDelivery)
		rawCPU += cpuTime() - cpu
		raw, all = raw+raw2, all+all2
		allCPU := rawCPU.Seconds() * all.Seconds() / (raw + all).Seconds()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(raw.Seconds()*scale/took.Seconds(), "ratio")
		b.ReportMetric(all.Seconds()*scale/took.Seconds(), "ratio-all")
		b.ReportMetric(allCPU*scale/tookCPU.Seconds(), "ratio-all-cpu")
		b.ReportMetric(0.80, "budget-min")
		b.ReportMetric(float64(n)/took.Seconds(), "consents/s")
		b.ReportMetric(float64(peak)/(1<<20), "MiB-peak")
		b.ReportMetric(float64(after.HeapInuse)/(1<<20), "MiB-after")
		b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/float64(n), "bytes/consent")
		b.ReportMetric(0, "ns/op")
	}
}
