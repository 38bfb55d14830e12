package disk

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"time"
)

// Forever is how long who waits for a lock waits at most, if nothing else ends it.
const Forever time.Duration = math.MaxInt64

// WaitLock takes a lock as TryLock does, and waits for it; false if it is not free in time.
// There is no lock call with a time limit that can be taken back, so it asks again and
// again, at uneven intervals lest two processes keep missing the same gaps.
func WaitLock(ctx context.Context, f *os.File, exclusive bool, wait time.Duration) (bool, error) {
	start := time.Now()
	for pause := 200 * time.Microsecond; ; pause = min(pause*2, 10*time.Millisecond) {
		ok, err := TryLock(f, exclusive)
		left := wait - time.Since(start)
		if ok || err != nil || left <= 0 {
			return ok, err
		}
		select {
		case <-time.After(min(pause/2+rand.N(pause), left)):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}
