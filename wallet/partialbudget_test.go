package wallet_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// The budgets of grants of parts: what they take beside grants of whole records, in
// processor time, which others on the machine change least.

// ofCPU is the processor time that f takes.
func ofCPU(f func()) time.Duration {
	start := lane.Spent()
	f()
	return lane.Spent() - start
}

func medianOf(ds []time.Duration) time.Duration {
	slices.Sort(ds)
	return ds[len(ds)/2]
}

// BenchmarkBudgetPartial plans and gives a consent of parts of a record, and opens it, in
// turns with one of the whole record; by how many parts are given.
func BenchmarkBudgetPartial(b *testing.B) {
	for _, n := range []int{33, 2000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ctx := context.Background()
			p := newPartTown(b, canaryFile(n-2)) // one result is among the first ones, and the Patient goes along
			smith := p.withWallet(b, "Dr Smith")
			take := func(sel health.Selection) (give, open time.Duration) {
				var c wallet.Consent
				give = ofCPU(func() { c = p.give(b, "Dr Smith", sel, p.record.ID.String()) })
				// What both sides read of the ledger is no matter of parts.
				if _, err := smith.Inbox().List(ctx); err != nil {
					b.Fatal(err)
				}
				open = ofCPU(func() {
					o, err := smith.Inbox().OpenByID(ctx, c.ID.String(), "")
					if err == nil {
						err = o.Read(ctx, 0, io.Discard, nil)
					}
					if err != nil {
						b.Fatal(err)
					}
				})
				return give, open
			}
			labs := health.Selection{Categories: []payload.Category{"labs"}}
			if g := must(p.plan("Dr Smith", labs, p.record.ID.String()))(b); len(g.Records[0].Given) != n {
				b.Fatalf("%d parts", len(g.Records[0].Given))
			}
			var gives, opens, wholeGives, wholeOpens []time.Duration
			for range lane.Pick(9, 9, 3) * b.N {
				g, o := take(labs)
				gives, opens = append(gives, g), append(opens, o)
				g, o = take(health.Selection{Whole: true})
				wholeGives, wholeOpens = append(wholeGives, g), append(wholeOpens, o)
			}
			give, open, wholeGive, wholeOpen := medianOf(gives), medianOf(opens), medianOf(wholeGives), medianOf(wholeOpens)
			if n == 33 {
				b.ReportMetric((give+open).Seconds()/(wholeGive+wholeOpen).Seconds(), "ratio")
				b.ReportMetric(1.5, "budget-max")
			} else {
				b.ReportMetric(100, "budget-max-ms-give")
				b.ReportMetric(150, "budget-max-ms-open")
			}
			b.ReportMetric(give.Seconds()*1000, "ms-give")
			b.ReportMetric(open.Seconds()*1000, "ms-open")
			b.ReportMetric(wholeGive.Seconds()*1000, "ms-give-whole")
			b.ReportMetric(wholeOpen.Seconds()*1000, "ms-open-whole")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkBudgetPartialBatch gives n consents of 33 parts of a record in chunks, as a batch
// does, in turns with consents of a plain file, and prints the ratio of their speeds in
// processor time. CAREKEY_LONG makes it 100,000 of each, CAREKEY_BATCH another number.
func BenchmarkBudgetPartialBatch(b *testing.B) {
	n := lane.Pick(100_000, 2000, 500)
	if s := os.Getenv("CAREKEY_BATCH"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	const chunk = 250
	ctx := context.Background()
	p := newPartTown(b, canaryFile(31))
	plain := add(b, p.patient, "allergies.txt", "Penicillin: anaphylaxis, 2009")
	p.to(b, "Dr Smith")
	labs := must(p.plan("Dr Smith", health.Selection{Categories: []payload.Category{"labs"}}, p.record.ID.String()))(b)
	whole := must(p.plan("Dr Smith", health.Selection{}, plain.ID.String()))(b)
	if len(labs.Records[0].Given) != 33 {
		b.Fatalf("%d parts", len(labs.Records[0].Given))
	}
	var parts, files time.Duration
	for range b.N {
		for done := 0; done < n; done += chunk {
			for _, x := range []struct {
				plan *wallet.GrantPlan
				took *time.Duration
			}{{labs, &parts}, {whole, &files}} {
				var plans []*wallet.GrantPlan
				for range min(chunk, n-done) {
					plans = append(plans, x.plan)
				}
				*x.took += ofCPU(func() {
					if err := p.patient.Grants().GiveAll(ctx, plans); err != nil {
						b.Fatal(err)
					}
				})
			}
		}
	}
	b.ReportMetric(files.Seconds()/parts.Seconds(), "ratio")
	b.ReportMetric(0.7, "budget-min")
	b.ReportMetric(float64(n*b.N)/parts.Seconds(), "consents/s-cpu")
	b.ReportMetric(0, "ns/op")
}
