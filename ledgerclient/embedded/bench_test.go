package embedded

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// rawSignatures is the time that verifying the signatures of the entries takes
// on all cores, with nothing else: the limit for what must check them all.
func rawSignatures(es []contract.Entry, l crypto.LedgerID) time.Duration {
	ids := make([]contract.ID, len(es))
	for i := range es {
		ids[i] = es[i].ID(l)
	}
	start := time.Now()
	parallel(len(es), func(i int) bool { return es[i].Author.Verify(ids[i], es[i].Signature) })
	return time.Since(start)
}

// BenchmarkAppend prints as ratio the time of the raw signature checks over that
// of Append, measured in turns. Half of the entries are follow-ups.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			f, clock := newLedger(b)
			w := newWriter(b, f, 1)
			mustAppend(b, f, w.batch(1000))
			batches := make([][]contract.Entry, 0, b.N)
			for i := range b.N {
				if i%2 == 1 { // so that grants can be used again
					w.hour++
				}
				batches = append(batches, w.batch(size))
			}
			var raw, all time.Duration
			b.ResetTimer()
			for i, es := range batches {
				b.StopTimer()
				if i%2 == 1 {
					clock.hour++
				}
				raw += rawSignatures(es, f.id)
				b.StartTimer()
				start := time.Now()
				mustAppend(b, f, es)
				all += time.Since(start)
			}
			b.ReportMetric(float64(raw)/float64(all), "ratio")
			b.ReportMetric(float64(b.N*size)/all.Seconds(), "entries/s")
		})
	}
}

// benchLedger is a ledger of n entries, made once for each n.
func benchLedger(b *testing.B, n int) (dir string, clock *testClock, all []contract.Entry) {
	b.Helper()
	f, clock := newLedger(b)
	w := newWriter(b, f, 1)
	for len(all) < n-1 {
		es := w.batch(min(5000, n-1-len(all)))
		all = append(all, es...)
		mustAppend(b, f, es)
		w.hour++
		clock.hour++
	}
	f.Close()
	return f.dir, clock, all
}

// BenchmarkVerify prints as ratio the time of the raw signature checks over that
// of Verify, and what a second Verify takes that knows the first one's result.
func BenchmarkVerify(b *testing.B) {
	dir, clock, all := benchLedger(b, 10_000)
	var raw, first, second time.Duration
	for b.Loop() {
		b.StopTimer()
		f, err := Open(dir, Options{Clock: clock.now})
		if err != nil {
			b.Fatal(err)
		}
		raw += rawSignatures(all, f.id)
		runtime.GC()
		b.StartTimer()
		start := time.Now()
		report := mustVerify(b, f)
		first += time.Since(start)
		b.StopTimer()
		start = time.Now()
		if _, err := f.Verify(ctx, report.Verified, nil); err != nil {
			b.Fatal(err)
		}
		second += time.Since(start)
		f.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(raw)/float64(first), "ratio")
	b.ReportMetric(float64(first)/float64(second), "first/second")
	b.ReportMetric(float64(first.Microseconds())/float64(b.N*len(all)), "µs/entry")
}

// BenchmarkOpen opens a ledger, asks for its checkpoint and closes it.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir, clock, _ := benchLedger(b, n)
			for b.Loop() {
				f, err := Open(dir, Options{Clock: clock.now})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := f.Checkpoint(ctx); err != nil {
					b.Fatal(err)
				}
				f.Close()
			}
		})
	}
}

// BenchmarkRebuild makes all derived files anew, as after their loss.
func BenchmarkRebuild(b *testing.B) {
	dir, clock, all := benchLedger(b, 10_000)
	for b.Loop() {
		b.StopTimer()
		for _, name := range []string{"hashes", "state", "index"} {
			if err := (systemFiles{}).remove(filepath.Join(dir, name)); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		f, err := Open(dir, Options{Clock: clock.now})
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(all)), "µs/entry")
}
