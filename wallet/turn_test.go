package wallet

import (
	"testing"

	"github.com/carekey/carekey/wallet/view"
)

// Each consent has its turn to be asked about, however many there are.
func TestTurn(t *testing.T) {
	for _, n := range []int{0, 1, askedAtOnce, askedAtOnce + 1, 3*askedAtOnce + 5} {
		var ts []*view.Thread
		for i := range n {
			ts = append(ts, &view.Thread{Index: uint64(10 * i)})
		}
		seen := map[*view.Thread]bool{}
		after := uint64(0)
		for range n/askedAtOnce + 2 {
			some := turn(ts, after)
			if len(some) != min(n, askedAtOnce) {
				t.Fatalf("%d of %d", len(some), n)
			}
			for _, th := range some {
				seen[th] = true
				after = th.Index
			}
		}
		if len(seen) != n {
			t.Errorf("%d of %d were seen", len(seen), n)
		}
	}
}
