package ledgerclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// twoHistories are ledgers of one id and one key that agree on the first common
// entries only.
func twoHistories(t testing.TB, common, a, b int) (x, y *memory) {
	grow := func(which string, n int) *memory {
		m := newMemory(t, "forked")
		for i := 1; i < common; i++ {
			m.add(contract.Entry{Kind: contract.KindRecord}, testKey(fmt.Sprint("common ", i)), 101)
		}
		for i := common; i < n; i++ {
			m.add(contract.Entry{Kind: contract.KindRecord}, testKey(fmt.Sprint(which, i)), 101)
		}
		return m
	}
	return grow("x", a), grow("y", b)
}

// Whoever saw one history proves the other one to anybody, at all sizes.
func TestForkLeavesEvidence(t *testing.T) {
	ctx := context.Background()
	for _, n := range []struct{ common, a, b int }{{1, 2, 2}, {3, 4, 4}, {3, 4, 5}, {3, 4, 9}, {3, 5, 9}, {7, 8, 16}, {5, 7, 13}, {1, 2, 33}, {16, 17, 40}} {
		x, y := twoHistories(t, n.common, n.a, n.b)
		pin, head, err := x.connect().Advance(ctx, ledgerclient.Pin{}, ledgerclient.Pin{}, ignore)
		if err != nil {
			t.Fatal(err)
		}
		c := y.connect()
		_, _, advance := c.Advance(ctx, pin, ledgerclient.Pin{}, ignore)
		now, err := c.Head(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, _, rescan := c.Advance(ctx, ledgerclient.Pin{}, pin, ignore)
		for how, err := range map[string]error{"advance": advance, "gossip": c.CheckHead(ctx, head, now), "rescan": rescan} {
			var fork *ledgerclient.ForkError
			if !errors.As(err, &fork) || fork.Evidence == nil {
				t.Errorf("%v %s: %v", n, how, err)
				continue
			}
			b := fork.Evidence.Marshal()
			e, err := ledgerclient.ParseEvidence(b)
			if err != nil {
				t.Fatalf("%v: %v\n%s", n, err, b)
			}
			f, err := e.Check()
			if err != nil || f.Ledger != x.id || f.Older.Root != pin.Root || f.Newer.Root != now.Root || f.Root != y.root(y.logTree(uint64(n.a))) || f.Name != "forked" {
				t.Errorf("%v: %v %+v", n, err, f)
			}
		}
		// A code tells of a fork but carries no signature.
		var fork *ledgerclient.ForkError
		if err := c.CheckPrefix(ctx, pin.Size, pin.Root, now); !errors.As(err, &fork) || fork.Evidence != nil {
			t.Errorf("without a note: %v", err)
		}
	}
}

// One history is no evidence against anybody, nor is anything that was changed.
func TestEvidenceProvesOnlyForks(t *testing.T) {
	lane.OneGoroutine(t)
	ctx := context.Background()
	x, y := twoHistories(t, 3, 5, 9)
	pin, _, err := x.connect().Advance(ctx, ledgerclient.Pin{}, ledgerclient.Pin{}, ignore)
	if err != nil {
		t.Fatal(err)
	}
	var fork *ledgerclient.ForkError
	if _, _, err := y.connect().Advance(ctx, pin, ledgerclient.Pin{}, ignore); !errors.As(err, &fork) {
		t.Fatal(err)
	}
	good := fork.Evidence.Marshal()
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		e, err := ledgerclient.ParseEvidence(bad)
		if err != nil {
			continue
		}
		if f, err := e.Check(); err == nil && (f.Ledger != x.id || f.Root == f.Older.Root) {
			t.Fatalf("byte %d changed: %+v", i, f)
		}
	}
	honest := func(change func(e *ledgerclient.Evidence)) {
		t.Helper()
		e := *fork.Evidence
		change(&e)
		if f, err := e.Check(); !errors.Is(err, ledgerclient.ErrEvidence) {
			t.Errorf("%v %+v", err, f)
		}
	}
	y.size = 5
	short, _ := y.Checkpoint(ctx)
	y.size = 0
	honest(func(e *ledgerclient.Evidence) { e.Older = short })                                            // one history
	honest(func(e *ledgerclient.Evidence) { e.Older = e.Newer })                                          // a head against itself
	honest(func(e *ledgerclient.Evidence) { e.Older, e.Newer = e.Newer, e.Older })                        // the wrong way round
	honest(func(e *ledgerclient.Evidence) { e.Root, e.Proof = tlog.Hash{1}, nil })                        // invented
	honest(func(e *ledgerclient.Evidence) { e.Newer = short })                                            // a proof where none is needed
	honest(func(e *ledgerclient.Evidence) { e.Documents = [][]byte{newMemory(t, "b").config.Marshal()} }) // another ledger
	honest(func(e *ledgerclient.Evidence) { e.Documents = nil })
	equal := *fork.Evidence
	equal.Newer, equal.Root, equal.Proof = short, tlog.Hash{}, nil
	if _, err := equal.Check(); err != nil {
		t.Errorf("two heads of one size: %v", err)
	}
}

// A ledger whose proof is wrong and whose entries are right has not forked.
func TestWrongProofIsNoFork(t *testing.T) {
	ctx := context.Background()
	m := newMemory(t, "proof")
	m.story(9)
	m.size = 5
	head, err := m.connect().Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m.size = 0
	c := m.connect()
	now, _ := c.Head(ctx)
	m.consistency = func(p []crypto.Hash) { p[0][3]++ }
	var tampered *ledgerclient.TamperedError
	if err := c.CheckHead(ctx, head, now); !errors.As(err, &tampered) || tampered.What != "consistency proof" {
		t.Errorf("%v", err)
	}
}

// Where questions are watched, no question tells which entry is meant.
func TestRemoteAsksForNoEntry(t *testing.T) {
	ctx := context.Background()
	m := newMemory(t, "remote")
	th := m.story(9)
	m.remote = true
	c := m.connect()
	id := th.Opening.Entry.ID(m.id)
	if at, ok, err := c.Find(ctx, id); err != nil || !ok || at != th.Opening.Index {
		t.Errorf("%d %v %v", at, ok, err)
	}
	if _, ok, err := c.Find(ctx, contract.ID{1}); err != nil || ok {
		t.Errorf("%v %v", ok, err)
	}
	m.remote = false
	if at, ok, err := c.Find(ctx, id); err != nil || !ok || at != th.Opening.Index {
		t.Errorf("%d %v %v", at, ok, err)
	}
}

func FuzzParseEvidence(f *testing.F) {
	ctx := context.Background()
	for _, n := range [][3]int{{3, 4, 4}, {3, 5, 9}} {
		x, y := twoHistories(f, n[0], n[1], n[2])
		pin, _, err := x.connect().Advance(ctx, ledgerclient.Pin{}, ledgerclient.Pin{}, ignore)
		if err != nil {
			f.Fatal(err)
		}
		var fork *ledgerclient.ForkError
		if _, _, err := y.connect().Advance(ctx, pin, ledgerclient.Pin{}, ignore); !errors.As(err, &fork) {
			f.Fatal(err)
		}
		f.Add(fork.Evidence.Marshal())
	}
	f.Add([]byte("carekey evidence 1\ndocument 1\n\nolder 1\n\nnewer 1\n\n"))
	f.Add([]byte("carekey evidence 1\ndocument 1\n\nolder 1\n\nnewer 1\n\nroot AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ledgerclient.ParseEvidence(b)
		if err != nil {
			return
		}
		if !bytes.Equal(e.Marshal(), b) {
			t.Fatalf("re-encodes as %q", e.Marshal())
		}
		if f, err := e.Check(); err == nil && f.Root == f.Older.Root {
			t.Fatal("proves nothing and says it does")
		}
	})
}
