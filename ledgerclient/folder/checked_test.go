package folder

import (
	"slices"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/order"
)

// Each signature is verified once at a node: at the one through which an entry comes before it
// is ordered, and not again when it is read in the order; at the others when they read it.
// What only looks like it is verified for itself.
func TestVerifiedOnce(t *testing.T) {
	_, items, dir, opt := newReplica(t)
	f, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := consumeAll(f, items, len(items)); err != nil {
		t.Fatal(err)
	}
	verified := map[contract.Entry]int{}
	turn := make(chan struct{}, 1)
	f.checkSignature = func(id crypto.LedgerID, e *contract.Entry) error {
		turn <- struct{}{}
		verified[*e]++
		<-turn
		return contract.CheckSignature(id, e)
	}
	w := newWriter(t, f, 5)
	here, there := w.batch(50), w.batch(50)
	forged := slices.Clone(here[:3])
	for i := range forged {
		forged[i].Signature[9] ^= 1
	}
	out, err := f.Judge(ctx, here, w.hour)
	if err != nil {
		t.Fatal(err)
	}
	for i := range out {
		if out[i].Refusal != nil {
			t.Fatal(out[i].Refusal)
		}
	}
	if out, err = f.Judge(ctx, forged, w.hour); err != nil || out[0].Refusal == nil {
		t.Fatal(out, err)
	}
	all := slices.Concat(forged, here, there)
	at, hour, err := f.Consumed(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ordered := make([]order.Item, len(all))
	for i := range all {
		ordered[i] = order.Item{Hour: hour, Entry: all[i]}
	}
	if out, err = f.Consume(ctx, at, ordered); err != nil {
		t.Fatal(err)
	}
	for i, e := range all {
		isForged := i < len(forged)
		if r := out[i].Refusal; (r != nil) != isForged || isForged && r.Rule != contract.RuleSignature {
			t.Errorf("entry %d: %v", i, r)
		}
		if !isForged && verified[e] != 1 {
			t.Errorf("entry %d was verified %d times", i, verified[e])
		}
		if isForged && verified[e] != 2 { // what was refused is not remembered
			t.Errorf("a forged entry was looked at %d times", verified[e])
		}
	}
	mustVerify(t, f)
}

// What was checked is forgotten in time, the oldest first, so that it takes a bounded memory.
func TestCheckedIsForgotten(t *testing.T) {
	var c checkedEntries
	e := func(n int) *contract.Entry {
		return &contract.Entry{Commitment: crypto.Hash{byte(n), byte(n >> 8), byte(n >> 16)}}
	}
	for n := range 5 * mostChecked {
		c.add(e(n))
		if !c.has(e(n)) || n >= mostChecked && !c.has(e(n-mostChecked+1)) {
			t.Fatalf("one of the last %d was forgotten at %d", mostChecked, n)
		}
		if len(c.new)+len(c.older) > 2*mostChecked {
			t.Fatalf("%d are remembered", len(c.new)+len(c.older))
		}
	}
	if c.has(e(0)) {
		t.Error("the first is remembered still")
	}
	other := e(5*mostChecked - 1)
	other.Signature[0] = 1
	if c.has(other) {
		t.Error("another signature counts as the one that was checked")
	}
}
