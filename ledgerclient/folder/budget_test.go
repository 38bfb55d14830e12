package folder

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// The budgets of the ledger. Each benchmark prints how much of the speed of the
// raw signature checks on all cores it reaches in the same run, and the least
// that it may reach. Noise of the machine fails nothing.

// rawSignatures is the time that verifying the signatures of the entries takes
// on all cores, with nothing else: the limit for what must check them all.
func rawSignatures(es []contract.Entry, l crypto.LedgerID) time.Duration {
	ids := make([]contract.ID, len(es))
	for i := range es {
		ids[i] = es[i].ID(l)
	}
	start := time.Now()
	ledgerclient.Parallel(len(es), func(i int) { es[i].Author.Verify(ids[i], es[i].Signature) })
	return time.Since(start)
}

// budget collects pairs of times, measured in turns.
type budget struct{ ratios []float64 }

func (p *budget) add(raw, all time.Duration) {
	p.ratios = append(p.ratios, raw.Seconds()/all.Seconds())
}

// report prints the median of the ratios, the best, and the least there may be.
func (p *budget) report(b *testing.B, least float64) {
	b.Helper()
	slices.Sort(p.ratios)
	b.ReportMetric(p.ratios[len(p.ratios)/2], "ratio")
	b.ReportMetric(p.ratios[len(p.ratios)-1], "ratio-highest")
	b.ReportMetric(least, "budget-min")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkBudgetAppend appends batches, durably; half of the entries are
// follow-ups. The budget is for batches of 1000: one entry pays for the syncs of
// the disk alone.
func BenchmarkBudgetAppend(b *testing.B) {
	for _, c := range []struct {
		size, rounds int
		least        float64
	}{{1, 41, 0}, {100, 21, 0}, {1000, 11, 0.70}} {
		b.Run(fmt.Sprint(c.size), func(b *testing.B) {
			f, clock := newLedger(b)
			w := newWriter(b, f, 1)
			mustAppend(b, f, w.batch(1000))
			var p budget
			var all time.Duration
			for i := range c.rounds * b.N {
				if i%2 == 1 { // so that grants can be used again
					w.hour++
					clock.hour++
				}
				es := w.batch(c.size)
				raw := func() time.Duration { return rawSignatures(es, f.id) }
				var before time.Duration
				if i%2 == 0 {
					before = raw()
				}
				runtime.GC()
				start := time.Now()
				mustAppend(b, f, es)
				took := time.Since(start)
				all += took
				if i%2 == 1 {
					before = raw()
				}
				p.add(before, took)
			}
			p.report(b, c.least)
			b.ReportMetric(float64(len(p.ratios)*c.size)/all.Seconds(), "entries/s")
		})
	}
}

// rawChecks is the time that all checks of grants take on all cores, with nothing else: the
// signatures of their entries and of their shares, and the hashes of their payloads.
func rawChecks(gs []*given, ds []ledgerclient.Deposit, l crypto.LedgerID) time.Duration {
	start := time.Now()
	ledgerclient.Parallel(len(gs), func(i int) {
		g := gs[i]
		g.entry.Author.Verify(g.id, g.entry.Signature)
		ds[i].Verify(g.entry.Author)
		for k := range g.puts {
			crypto.BlobHash(g.puts[k].Blob)
		}
	})
	return time.Since(start)
}

// BenchmarkBudgetVerify verifies a whole ledger with its shares and payloads, and then once
// more with the mark of the first time: that takes time for new entries only, of which there
// are none.
func BenchmarkBudgetVerify(b *testing.B) {
	const batches, rounds = 6, 7
	f, clock := newLedger(b)
	people := newPeople(b, f.id)
	var grants []*given
	var deposits []ledgerclient.Deposit
	for range batches {
		for _, g := range people.addGrants(f, 1000) {
			grants, deposits = append(grants, g), append(deposits, people.deposit(g, f.keeper.Key()))
		}
	}
	f.Close()
	clock.hour = muchLater // nothing was changed a moment ago
	var p budget
	var first, second time.Duration
	for i := range rounds * b.N {
		f, err := Open(f.dir, Options{Clock: clock.now})
		if err != nil {
			b.Fatal(err)
		}
		var raw time.Duration
		if i%2 == 0 {
			raw = rawChecks(grants, deposits, f.id)
		}
		runtime.GC()
		start := time.Now()
		report := mustVerify(b, f)
		took := time.Since(start)
		if i%2 == 1 {
			raw = rawChecks(grants, deposits, f.id)
		}
		p.add(raw, took)
		first += took
		start = time.Now()
		again, err := f.Verify(ctx, report.Mark, nil)
		second += time.Since(start)
		if err != nil || again.Signatures+again.Held != 0 {
			b.Fatalf("%+v, %v", again, err)
		}
		f.Close()
	}
	p.report(b, 0.85)
	n := float64(len(p.ratios) * len(grants))
	b.ReportMetric(first.Seconds()/second.Seconds(), "first/second")
	b.ReportMetric(float64(first.Microseconds())/n, "µs/consent")
	b.ReportMetric(float64(second.Microseconds())/n, "µs/consent-again")
}
