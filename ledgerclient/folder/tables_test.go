package folder

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// TestIndex compares an index with a map while positions come.
func TestIndex(t *testing.T) {
	x := newIndex(0)
	r := rand.New(rand.NewPCG(4, 4))
	id := func(i uint64) contract.ID { return contract.ID(tlog.RecordHash(fmt.Append(nil, i))) }
	has := map[uint64]bool{}
	for range 2000 {
		if i := r.Uint64N(3000); !has[i] {
			x.add(id(i), i)
			has[i] = true
		}
	}
	for i := range uint64(3000) {
		if at := slices.Collect(x.find(id(i))); slices.Contains(at, i) != has[i] {
			t.Fatalf("%d: %v, want %v", i, at, has[i])
		}
	}
	// Those that share a place are all found, each.
	same := id(1)
	x = newIndex(0)
	for i := range uint64(5) {
		x.add(same, i)
	}
	if at := slices.Collect(x.find(same)); !slices.Equal(at, []uint64{0, 1, 2, 3, 4}) {
		t.Error(at)
	}
	// Indexes of the same ids lie differently: nobody can choose ids that share a place.
	hashes := map[uint32]bool{}
	for range 4 {
		hashes[newIndex(0).hash(same)] = true
	}
	if len(hashes) == 1 {
		t.Error("the hash has no key")
	}
}

// TestMemory: what is derived of a million entries takes at most 64 MiB.
func TestMemory(t *testing.T) {
	const n = 1_000_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	tb := newTables([32]byte{}, contract.Config{}, leafFile{}, n)
	for i := range uint64(n) {
		var id contract.ID
		binary.BigEndian.PutUint64(id[:], i)
		state := contract.State{Kind: contract.KindGrant, Status: contract.StatusOpen}
		if i%2 == 1 { // every second entry is the one follow-up of the one before it: that takes most
			state.Count = 1
			tb.state.follow(i-1, state)
		} else {
			tb.state.open(state)
		}
		tb.log.add()
		tb.index.add(id, i)
	}
	if _, err := tb.state.root(n); err != nil {
		t.Fatal(err)
	}
	total := heap() - before
	runtime.KeepAlive(tb)
	t.Logf("%.1f MiB", float64(total)/(1<<20))
	if total > 64<<20 {
		t.Errorf("%d bytes for a million entries", total)
	}
}
