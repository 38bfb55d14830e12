package server

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// What is ordered in one step stands in the log by its ids, whoever sent it; of one thread
// in the order in which it came.
func TestStepIsMixed(t *testing.T) {
	w := newWorld(t, nil)
	g := w.grant()
	access, _ := w.access(g)
	revocation := w.revocation(g)
	entries := w.records(40)
	slices.Reverse(entries)
	entries = slices.Insert(entries, 3, g.entry)
	entries = slices.Insert(entries, 17, access)
	entries = append(entries, revocation)
	outcomes := w.submit(entries...)
	at := make([]uint64, len(entries))
	for i, o := range outcomes {
		if o.Refusal != nil || o.ID != entries[i].ID(w.ledger) {
			t.Fatalf("entry %d: %+v", i, o)
		}
		at[i] = o.Index
	}
	if at[3] > at[17] || at[17] > at[len(at)-1] {
		t.Errorf("a thread stands as %d, %d, %d", at[3], at[17], at[len(at)-1])
	}
	if slices.IsSorted(at) {
		t.Error("the log shows the order in which they came")
	}
	leaves, err := w.folder.Leaves(ctx, 1, uint64(len(entries))+1)
	w.must(err)
	least := contract.ID{}
	for _, l := range leaves {
		if l.Entry.Kind != contract.KindRecord {
			continue
		}
		id := l.Entry.ID(w.ledger)
		if bytes.Compare(id[:], least[:]) < 0 {
			t.Error("not by their ids")
		}
		least = id
	}
}

// Mixed leaves nothing out, whatever it is given.
func TestMixed(t *testing.T) {
	w := newWorld(t, nil)
	g := w.grant()
	entries := append(w.records(3), w.revocation(g), w.revocation(g), g.entry, g.entry)
	order := ledgerclient.Mixed(w.ledger, entries)
	sorted := slices.Sorted(slices.Values(order))
	for i := range sorted {
		if sorted[i] != i {
			t.Fatalf("%v", order)
		}
	}
	last := math.MinInt
	for _, i := range order {
		if i >= 3 {
			if i < last {
				t.Errorf("a thread stands in another order: %v", order)
			}
			last = i
		}
	}
	if len(ledgerclient.Mixed(w.ledger, nil)) != 0 {
		t.Error("something of nothing")
	}
}
