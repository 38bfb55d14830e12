package folder

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

func TestAppendOutcomes(t *testing.T) {
	f, clock := newLedger(t)
	w := newWriter(t, f, 1)
	record, grant := w.record(), w.grant()
	access := w.follow(&w.threads[1])
	revoke := w.sign(contract.Entry{Kind: contract.KindRevoke, Subject: w.threads[1].id, NotAfter: contract.Forever}, w.threads[1].key)
	late := w.sign(contract.Entry{Kind: contract.KindAccess, Subject: w.threads[1].id, NotBefore: w.hour, NotAfter: w.hour + 5}, w.threads[1].partner)
	unknown := w.sign(contract.Entry{Kind: contract.KindAccess, Subject: contract.ID{1}, NotBefore: w.hour, NotAfter: w.hour + 5}, keys[0])
	// The subject of this one is in the log, but opened no thread.
	onAccess := w.sign(contract.Entry{Kind: contract.KindAccess, Subject: access.ID(f.id), NotBefore: w.hour, NotAfter: w.hour + 5}, keys[0])
	shape := w.sign(contract.Entry{Kind: 9}, keys[0])
	forged := w.record()
	forged.Signature[40] ^= 1
	first, _ := f.Leaves(ctx, 0, 1)
	nodeKey, err := f.readCurveKey(entryKeyFile, f.config.Nodes[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	config := w.sign(contract.Entry{Kind: contract.KindConfig, Subject: first[0].Entry.ID(f.id), NotBefore: w.hour, NotAfter: w.hour + 5}, nodeKey)
	genesis := w.sign(contract.Entry{Kind: contract.KindConfig}, nodeKey)
	otherLedger := w.record()
	otherLedger.Sign(crypto.LedgerID{9}, keyOf(otherLedger.Author))

	entries := []contract.Entry{record, shape, grant, access, record, forged, unknown, onAccess, revoke, late, config, genesis, otherLedger}
	want := []struct {
		index uint64
		dup   bool
		rule  contract.Rule
	}{
		{1, false, ""}, {0, false, contract.RuleKind}, {2, false, ""}, {3, false, ""}, {1, true, ""},
		{0, false, contract.RuleSignature}, {0, false, contract.RuleUnknownSubject}, {0, false, contract.RuleUnknownSubject},
		{4, false, ""}, {0, false, contract.RuleRevoked}, {0, false, contract.RuleConfigDocument}, {0, false, contract.RuleConfigDocument},
		{0, false, contract.RuleSignature},
	}
	clock.hour += 3
	out, err := f.Append(ctx, entries)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range out {
		var rule contract.Rule
		if o.Refusal != nil {
			rule = o.Refusal.Rule
			if o.Refusal.Entry != o.ID || o.Refusal.Hour != clock.hour {
				t.Errorf("refusal %d: %+v", i, o.Refusal)
			}
		}
		if o.ID != entries[i].ID(f.id) || o.Index != want[i].index || o.Duplicate != want[i].dup || rule != want[i].rule || o.Hour != clock.hour {
			t.Errorf("outcome %d: %+v %q, want %+v", i, o, rule, want[i])
		}
	}
	// All again, later: what is in the log keeps its place and hour.
	clock.hour += 5
	again, err := f.Append(ctx, entries)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range again {
		if o.Refusal == nil && (!o.Duplicate || o.Index != out[i].Index || o.Hour != out[i].Hour) {
			t.Errorf("again %d: %+v", i, o)
		}
	}
	if f.head.size != 5 {
		t.Errorf("%d leaves", f.head.size)
	}
	modelOf(t, f).check(t, f)
	mustVerify(t, reopen(t, f))
}

func keyOf(p crypto.PubKey) *crypto.PrivateKey {
	for _, k := range keys {
		if k.Public() == p {
			return k
		}
	}
	return nil
}

func TestAppendNothing(t *testing.T) {
	f, _ := newLedger(t)
	before, _ := f.Checkpoint(ctx)
	if out, err := f.Append(ctx, nil); out != nil || err != nil {
		t.Errorf("%v %v", out, err)
	}
	w := newWriter(t, f, 1)
	e := w.record()
	e.Hours = 1
	if _, err := f.Append(ctx, []contract.Entry{e}); err != nil {
		t.Error(err)
	}
	after, _ := f.Checkpoint(ctx)
	if string(before) != string(after) {
		t.Error("a batch without an accepted entry changed the checkpoint")
	}
}

func TestClock(t *testing.T) {
	f, clock := newLedger(t)
	w := newWriter(t, f, 1)
	last := func() contract.Hour { return f.last.Hour }

	clock.hour = testHour - 9000 // back a year: time stands still
	if out := mustAppend(t, f, []contract.Entry{w.record()}); out[0].Hour != testHour {
		t.Errorf("hour %d", out[0].Hour)
	}
	clock.hour = testHour + MaxIdle // exactly 31 days: believed
	mustAppend(t, f, []contract.Entry{w.record()})
	if last() != testHour+MaxIdle {
		t.Errorf("hour %d", last())
	}
	clock.hour = last() + MaxIdle + 1
	leaves, _ := os.ReadFile(f.path(leavesFile))
	e := w.record()
	_, err := f.Append(ctx, []contract.Entry{e})
	if wrong, ok := fault.As(err, ErrClock); !ok || wrong.Value("last") != last() || wrong.Value("now") != clock.hour {
		t.Fatalf("%v", err)
	}
	if now, _ := os.ReadFile(f.path(leavesFile)); len(now) != len(leaves) {
		t.Error("something was written")
	}
	f.Close()
	g, err := Open(f.dir, Options{Clock: clock.now, AcceptClock: true})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if out := mustAppend(t, g, []contract.Entry{e}); out[0].Hour != clock.hour {
		t.Errorf("hour %d", out[0].Hour)
	}
	mustVerify(t, g)
}

// TestAgainstModel appends random entries in random batches, closing and opening
// at random, and compares all roots and proofs with those recomputed from
// nothing but the leaves.
func TestAgainstModel(t *testing.T) {
	lane.OneGoroutine(t)
	f, clock := newLedger(t)
	w := newWriter(t, f, 7)
	total := 1
	for round := range 25 {
		n := 1 + w.r.IntN(40)
		if round%8 == 7 {
			n = 300 // the index grows
		}
		es := w.batch(n)
		out := mustAppend(t, f, es)
		for i := range out {
			if out[i].Index != uint64(total+i) {
				t.Fatalf("index %d, want %d", out[i].Index, total+i)
			}
			if at, ok, err := f.Find(ctx, out[i].ID); err != nil || !ok || at != out[i].Index {
				t.Fatalf("Find: %d %v %v", at, ok, err)
			}
		}
		total += n
		if w.r.IntN(2) == 0 {
			clock.hour++
			w.hour++
		}
		if w.r.IntN(3) == 0 {
			f = reopen(t, f)
		}
		if round%6 == 5 {
			modelOf(t, f).check(t, f)
			mustVerify(t, f)
		}
	}
	if _, ok, err := f.Find(ctx, contract.ID{1, 2, 3}); ok || err != nil {
		t.Errorf("found what is not there: %v", err)
	}
}

func TestConsistency(t *testing.T) {
	f, _ := newLedger(t)
	w := newWriter(t, f, 3)
	roots := map[uint64]crypto.Hash{1: f.head.root}
	for range 12 {
		mustAppend(t, f, w.batch(1+w.r.IntN(5)))
		roots[f.head.size] = f.head.root
	}
	size := f.head.size
	for old, root := range roots {
		p, err := f.ProveConsistency(ctx, old, size)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckTree(tlogHashes(p), int64(size), tlog.Hash(f.head.root), int64(old), tlog.Hash(root)); err != nil {
			t.Errorf("from %d: %v", old, err)
		}
	}
	var r *RangeError
	for _, c := range [][2]uint64{{0, 1}, {2, 1}, {1, size + 1}} {
		if _, err := f.ProveConsistency(ctx, c[0], c[1]); !errors.As(err, &r) {
			t.Errorf("ProveConsistency(%v): %v", c, err)
		}
	}
	for _, c := range [][2]uint64{{2, 1}, {0, size + 1}, {0, 1 << 40}} {
		if _, err := f.Leaves(ctx, c[0], c[1]); !errors.As(err, &r) {
			t.Errorf("Leaves(%v): %v", c, err)
		}
	}
	for _, c := range [][2]uint64{{0, size - 1}, {0, size + 1}, {size, size}} {
		if _, err := f.ProveThread(ctx, c[0], c[1]); !errors.As(err, &r) {
			t.Errorf("ProveThread(%v): %v", c, err)
		}
	}
}

// TestTwoFolders has two open folders of one ledger, as two processes would, and
// each notices what the other appended.
func TestTwoFolders(t *testing.T) {
	lane.OneGoroutine(t)
	a, clock := newLedger(t)
	b, err := Open(a.dir, Options{Clock: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	w := newWriter(t, a, 5)
	both := []*Folder{a, b}
	for i := range 40 {
		es := w.batch(1 + w.r.IntN(30))
		mustAppend(t, both[w.r.IntN(2)], es)
		for _, f := range both {
			for _, e := range es {
				if _, ok, err := f.Find(ctx, e.ID(f.id)); !ok || err != nil {
					t.Fatalf("round %d: %v %v", i, ok, err)
				}
			}
		}
	}
	modelOf(t, a).check(t, a)
	modelOf(t, b).check(t, b)
	mustVerify(t, a)
	mustVerify(t, b)
}

func TestGoroutines(t *testing.T) {
	f, _ := newLedger(t)
	var wg sync.WaitGroup
	shared := newWriter(t, f, 99).record()
	for g := range 6 {
		w := newWriter(t, f, uint64(g))
		wg.Go(func() {
			for range 5 {
				es := append(w.batch(4), shared)
				if _, err := f.Append(ctx, es); err != nil {
					t.Error(err)
				}
				if _, ok, err := f.Find(ctx, es[0].ID(f.id)); !ok || err != nil {
					t.Error(ok, err)
				}
				if _, err := f.Checkpoint(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if want := uint64(1 + 6*5*4 + 1); f.head.size != want {
		t.Errorf("%d leaves, want %d", f.head.size, want)
	}
	mustVerify(t, f)
}

func TestBusy(t *testing.T) {
	f, clock := newLedger(t)
	g, err := Open(f.dir, Options{Clock: clock.now, Wait: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	w := newWriter(t, f, 1)
	err = f.read(ctx, func(snapshot) error {
		// Readers are let in beside a reader, writers are not.
		if err := g.read(ctx, func(snapshot) error { return nil }); err != nil {
			t.Errorf("a reader beside a reader: %v", err)
		}
		_, err := g.Append(ctx, []contract.Entry{w.record()})
		if busy, ok := fault.As(err, ErrBusy); !ok || fault.Get[time.Duration](busy, "waited") < 20*time.Millisecond {
			t.Errorf("a writer beside a reader: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = f.write(ctx, func(snapshot) error {
		read := func(ctx context.Context) error { return g.read(ctx, func(snapshot) error { return nil }) }
		if err := read(ctx); !errors.Is(err, ErrBusy) {
			t.Errorf("a reader beside a writer: %v", err)
		}
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		if err := read(stopped); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		// Who reads the log alone waits for nobody.
		if _, err := g.Leaves(ctx, 0, 1); err != nil && runtime.GOOS != "windows" {
			t.Errorf("a reader of the log beside a writer: %v", err)
		}
		if _, err := g.Leaves(stopped, 0, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Leaves(ctx, 0, 1); err != nil {
		t.Errorf("after all: %v", err)
	}
}

// TestRolledBackWhileOpen: an old copy of the files is put in place of the new
// while a process has the ledger open.
func TestRolledBackWhileOpen(t *testing.T) {
	f, _ := newLedger(t)
	w := newWriter(t, f, 1)
	mustAppend(t, f, w.batch(3))
	old, _ := os.ReadFile(f.path(checkpointFile))
	mustAppend(t, f, w.batch(3))
	if err := os.WriteFile(f.path(checkpointFile), old, 0o600); err != nil {
		t.Fatal(err)
	}
	var damaged *DamagedError
	if _, err := f.Checkpoint(ctx); !errors.As(err, &damaged) || damaged.File != checkpointFile {
		t.Errorf("%v", err)
	}
	if _, err := f.Append(ctx, w.batch(1)); !errors.As(err, &damaged) {
		t.Errorf("%v", err)
	}
}

// TestOldSnapshot: the whole folder is an old copy. By itself it is a whole
// ledger, which the client's pin finds out.
func TestOldSnapshot(t *testing.T) {
	f, clock := newLedger(t)
	w := newWriter(t, f, 1)
	mustAppend(t, f, w.batch(20))
	f.Close()
	old := filepath.Join(t.TempDir(), "old")
	copyDir(t, f.dir, old)

	g, err := Open(f.dir, Options{Clock: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, g, w.batch(20))
	newer := g.head
	g.Close()

	h, err := Open(old, Options{Clock: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	mustVerify(t, h)
	var r *RangeError
	if _, err := h.ProveConsistency(ctx, newer.size, newer.size); !errors.As(err, &r) {
		t.Errorf("%v", err)
	}
}

// TestAppendDuringVerify: Verify checks a head while others append behind it, without
// waiting for them.
func TestAppendDuringVerify(t *testing.T) {
	f, _ := newLedger(t)
	w := newWriter(t, f, 2)
	mustAppend(t, f, w.batch(40))
	before, err := f.Head(ctx)
	check(t, err)
	verified := make(chan error, 1)
	var report Report
	appended := 0
	go func() {
		var err error
		report, err = f.Verify(ctx, nil, nil)
		verified <- err
	}()
	for done := false; !done; {
		select {
		case err = <-verified:
			done = true
		default:
			mustAppend(t, f, w.batch(3))
			appended += 3
		}
	}
	check(t, err)
	now, err := f.Head(ctx)
	check(t, err)
	if report.Size < before.Size || report.Size > now.Size || now.Size != before.Size+uint64(appended) {
		t.Errorf("%d of %d to %d entries were verified, and %d appended", report.Size, before.Size, now.Size, appended)
	}
	check(t, readConsistently(f))
	mustVerify(t, f)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
