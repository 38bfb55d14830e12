package folder

import (
	"fmt"
	"testing"

	"github.com/carekey/carekey/ledgerclient/contract"
)

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

// BenchmarkOpen opens a ledger, which derives what follows from its log, asks for its
// checkpoint and closes it.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir, clock, all := benchLedger(b, n)
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
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(all)), "µs/entry")
		})
	}
}
