package folder

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/carekey/carekey/crypto/crash"
)

// parallel calls fn(0) … fn(n-1) on all cores until one returns false.
func parallel(n int, fn func(i int) bool) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		wg.Go(func() {
			defer crash.Report()
			for i := int(next.Add(1)) - 1; i < n && fn(i); {
				runtime.Gosched() // a revocation that waits has less to do
				i = int(next.Add(1)) - 1
			}
		})
	}
	wg.Wait()
}
