package wallet_test

import (
	"testing"
	"time"

	"github.com/carekey/carekey/wallet"
)

// BenchmarkBudgetLink plans and makes links, and, in turns, plans and gives consents for the
// same to somebody, all at a keeper in this process: the processor time of the first over that
// of the second. A passcode is hashed as its node hashes it, slowly on purpose: there is no budget for that.
func BenchmarkBudgetLink(b *testing.B) {
	for _, c := range []struct {
		name, passcode string
		more           int // parts, beside some ten
	}{{"few", "", 0}, {"many", "", 200}, {"thousands", "", 2000}, {"passcode", "1234", 200}} {
		b.Run(c.name, func(b *testing.B) {
			p := newPartTown(b, canaryFile(c.more))
			p.to(b, "Dr Smith")
			w, _ := p.withLinks(b, "Maria")
			ctx := b.Context()
			r := wallet.GrantRequest{All: true, Until: endOf(1)}
			link := func() {
				plan := must(w.Links().Plan(ctx, wallet.LinkRequest{Openings: 3, GrantRequest: r, Passcode: c.passcode}))(b)
				must(w.Links().Give(ctx, plan))(b)
			}
			grant := func() {
				to := r
				to.To = "Dr Smith"
				plan := must(w.Grants().Plan(ctx, to))(b)
				if _, _, err := w.Grants().Give(ctx, plan); err != nil {
					b.Fatal(err)
				}
			}
			link()
			grant()
			var links, grants []time.Duration
			for range 9 * b.N {
				links, grants = append(links, ofCPU(link)), append(grants, ofCPU(grant))
			}
			b.ReportMetric(medianOf(links).Seconds()/medianOf(grants).Seconds(), "ratio")
			b.ReportMetric(medianOf(links).Seconds()*1000, "ms-link")
			b.ReportMetric(medianOf(grants).Seconds()*1000, "ms-grant")
			if c.passcode == "" {
				b.ReportMetric(2, "budget-max")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
