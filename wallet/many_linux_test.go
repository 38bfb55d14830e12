package wallet_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/wallet"
)

// bytesRead is how many bytes this process has read.
func bytesRead(t testing.TB) (n int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skip(err)
	}
	if _, err := fmt.Sscanf(string(b), "rchar: %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A consent is given from a wallet that has given many without all of them being read: each
// costs a row of the index.
func TestGrantReadsLittleOfOthers(t *testing.T) {
	lane.OneGoroutine(t)
	const row = 120 // bytes
	n := lane.Pick(6000, 1200, 700)
	tn := crowd(t, n)
	give := func(name string) int64 {
		opt := tn.options(name)
		before := bytesRead(t)
		w, err := wallet.Open(context.Background(), opt)
		if err != nil {
			t.Fatal(err)
		}
		grant(t, w, "Dr 0", noon)
		return bytesRead(t) - before
	}
	give("Maria") // the index is written when the wallet is used next
	give("Otto")
	more := give("Maria") - give("Otto")
	if cache, err := os.Stat(tn.cacheOf("Maria")); err != nil || cache.Size() < int64(n)*5/2*row {
		t.Fatalf("the cache is small: %v, %v", cache, err)
	}
	// With a few frames behind the index, in each of the three times that the wallet is read.
	if most := int64(3 * (n*row + 1<<18)); more > most {
		t.Errorf("%d bytes were read for %d consents, more than %d", more, n, most)
	}
}
