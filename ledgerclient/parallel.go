package ledgerclient

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/carekey/carekey/crypto/crash"
)

// Parallel calls f(0) … f(n-1) on all cores, and lets others have one in between.
// Signatures are what a batch costs.
func Parallel(n int, f func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	if workers <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			defer crash.Report()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
}
