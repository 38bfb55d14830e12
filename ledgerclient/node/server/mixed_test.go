package server

import (
	"bytes"
	"context"
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

// handed is an order elsewhere that keeps what it was given.
type handed struct {
	elsewhere
	got []contract.Entry
}

func (h *handed) Append(ctx context.Context, es []contract.Entry) ([]ledgerclient.Outcome, error) {
	h.got = append(h.got, es...)
	return h.elsewhere.Append(ctx, es)
}

// What a node hands to an order that is kept elsewhere is mixed in the same way, and who
// submitted it is told of each where it stands.
func TestHandedOverMixed(t *testing.T) {
	order := &handed{}
	w := newWorld(t, func(o *Options) { o.Ledger = order })
	order.w = w
	g := w.grant()
	access, _ := w.access(g)
	entries := w.records(40)
	slices.SortFunc(entries, func(a, b contract.Entry) int { // as no chance would have them
		x, y := a.ID(w.ledger), b.ID(w.ledger)
		return bytes.Compare(y[:], x[:])
	})
	entries = append(slices.Insert(entries, 3, g.entry), access)
	outcomes := w.submit(entries...)
	if len(order.got) != len(entries) {
		t.Fatalf("%d entries of %d were handed over", len(order.got), len(entries))
	}
	for at, i := range ledgerclient.Mixed(w.ledger, entries) {
		if order.got[at] != entries[i] {
			t.Errorf("entry %d was handed over in another order", at)
		}
		if outcomes[i].Refusal != nil || outcomes[i].Index != uint64(at)+1 {
			t.Errorf("of entry %d, which stands at %d, is said: %+v", i, at+1, outcomes[i])
		}
	}
	// Mixed once more nothing moves, so that a backend may do it too.
	for at, i := range ledgerclient.Mixed(w.ledger, order.got) {
		if at != i {
			t.Errorf("mixed again, entry %d stands at %d", i, at)
		}
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
