package wallet

import (
	"runtime/debug"
	"testing"
)

// Large files that are in memory at a time leave the process as they found it, whichever is
// done with first.
func TestSparing(t *testing.T) {
	usual := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(usual)
	first := sparing(8 << 20)
	second := sparing(8 << 20)
	if debug.SetMemoryLimit(-1) == usual {
		t.Fatal("there is no limit while they are in memory")
	}
	first()
	if debug.SetMemoryLimit(-1) == usual {
		t.Error("the end of one is the end of the other")
	}
	if second(); debug.SetMemoryLimit(-1) != usual {
		t.Errorf("%d afterwards, it was %d", debug.SetMemoryLimit(-1), usual)
	}
}
