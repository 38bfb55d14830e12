package wallet_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
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
func rowsPlan(tb testing.TB, w *wallet.Wallet, n int, people []string, record wallet.Record, end func(i int) time.Time) *batch.Plan {
	tb.Helper()
	var rows strings.Builder
	rows.WriteString("to,records,until\n")
	for i := range n {
		fmt.Fprintf(&rows, "%s,%s,%s\n", people[i%len(people)], record.ID, end(i).Format("2006-01-02"))
	}
	p, err := planFrom(w, rows.String(), false, noon)
	if err != nil {
		tb.Fatal(err)
	}
	if len(p.Items) != n {
		tb.Fatalf("%d items of %d rows", len(p.Items), n)
	}
	return p
}

// stopwatch adds up time and processor time.
type stopwatch struct {
	took, cpu           time.Duration
	started, startedCPU time.Duration
}

var epoch = time.Now()

func (s *stopwatch) start() { s.started, s.startedCPU = time.Since(epoch), lane.Spent() }
func (s *stopwatch) stop() {
	s.took += time.Since(epoch) - s.started
	s.cpu += lane.Spent() - s.startedCPU
}

// BenchmarkBudgetBatch carries out a batch end to end on a ledger in a folder:
// journal, store, ledger, keeper, all durable; the plan is made before. It prints how
// much of the speed of the raw curve operations on all cores it reaches: those of
// signing (ratio), and all that delivery needs (ratio-all), and the same in processor
// time, which others on the machine change less (ratio-all-cpu, without waits); and
// the heap that it took beyond what the wallet held before and holds afterwards. The
// raw operations are done in pauses of the batch, since others may use the machine for
// a while; the clock of the batch runs until a pause has nothing left to overlap with.
// CAREKEY_BATCH sets another size.
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
		if _, _, err := patient.Contacts().Add(ctx, name, address.String()); err != nil {
			b.Fatal(err)
		}
		people = append(people, name)
	}
	add(b, patient, "allergies.txt", "Penicillin: anaphylaxis, 2009")
	recs, err := patient.Records().List(ctx)
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		p := rowsPlan(b, patient, n, people, recs[0], func(i int) time.Time { return noon.AddDate(0, 0, 30+i/len(people)) })
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var grants, all, whole stopwatch
		done, measured := 0, 0
		every := max(256, n/40)
		stop := watchMemory()
		whole.start()
		s, err := batch.Apply(ctx, patient, p, func(s batch.Status) {
			if s.Done-done < every && !s.Finished {
				return
			}
			patient.WaitSigned()
			whole.stop()
			m := min(s.Done-done, 512)
			done, measured = s.Done, measured+m
			grants.start()
			curveTimes(m, curveOfGrant)
			grants.stop()
			all.start()
			curveTimes(m, curveOfGrant, curveOfDelivery)
			all.stop()
			whole.start()
		})
		whole.stop()
		peak := stop()
		if err != nil || s.Granted != n {
			b.Fatalf("%+v, %v", s, err)
		}
		scale := float64(n) / float64(measured)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(grants.took.Seconds()*scale/whole.took.Seconds(), "ratio")
		b.ReportMetric(all.took.Seconds()*scale/whole.took.Seconds(), "ratio-all")
		b.ReportMetric(all.cpu.Seconds()*scale/whole.cpu.Seconds(), "ratio-all-cpu")
		b.ReportMetric(0.80, "budget-min")
		b.ReportMetric(float64(n)/whole.took.Seconds(), "consents/s")
		b.ReportMetric(float64(peak)/(1<<20), "MiB-peak")
		b.ReportMetric(float64(after.HeapInuse)/(1<<20), "MiB-after")
		b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/float64(n), "bytes/consent")
		b.ReportMetric(0, "ns/op")
	}
}
