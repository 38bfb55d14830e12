package folder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/keeper"
	"golang.org/x/mod/sumdb/tlog"
)

// keptFile is the one file that is kept of a ledger.
func keptFile(t *testing.T, f *Folder) string {
	t.Helper()
	names, err := filepath.Glob(f.dir + ".private/*")
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	return names[0]
}

// openKept opens a ledger with what is kept of it and tells how many entries of that it
// took. All of the ledger must be as the model has it.
func openKept(t *testing.T, f *Folder, dir string) (taken uint64) {
	t.Helper()
	x := &countedLeaves{}
	g, err := open(f.dir, Options{Clock: f.clock, Private: dir}, x)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	taken = g.saved
	modelOf(t, g).check(t, g)
	leaves, err := g.Leaves(ctx, 0, g.head.size)
	if err != nil {
		t.Fatal(err)
	}
	for i := range leaves {
		if at, ok, err := g.Find(ctx, leaves[i].Entry.ID(g.id)); err != nil || !ok || at != uint64(i) {
			t.Fatalf("entry %d is found at %d: %v %v", i, at, ok, err)
		}
	}
	if _, err := g.Verify(ctx, Verified{Size: g.head.size, Root: g.head.root}, nil); err != nil {
		t.Fatal(err)
	}
	return taken
}

type countedLeaves struct{ unsyncedFiles }

// TestKept damages what is kept of a ledger in every way: it is derived anew, and no
// answer differs.
func TestKept(t *testing.T) {
	lane.OneGoroutine(t)
	f, _ := newLedger(t)
	w := newWriter(t, f, 2)
	mustAppend(t, f, w.batch(40))
	f.Close()
	kept(t, f).Close()
	dir := f.dir + ".private"
	path := keptFile(t, f)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := openKept(t, f, dir); got != 41 {
		t.Fatalf("of 41 entries %d were taken from what is kept", got)
	}
	damaged := func(what string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := openKept(t, f, dir); got != 0 {
			t.Fatalf("%s: %d entries were taken from it", what, got)
		}
	}
	for i := 0; i < len(whole); i += lane.Pick(1, 37, 97) {
		b := append([]byte(nil), whole...)
		b[i] ^= 1 << (i % 8)
		damaged(fmt.Sprintf("byte %d", i), b)
	}
	for _, n := range []int{0, 1, kindSize, 100, len(whole) / 2, len(whole) - 1} {
		damaged(fmt.Sprintf("cut at %d", n), whole[:n])
	}
	damaged("a byte more", append(append([]byte(nil), whole...), 0))

	// What was kept of it when it was larger or smaller, of another ledger, and of one
	// with the same keys that went another way.
	os.WriteFile(path, whole, 0o600)
	g, err := Open(f.dir, Options{Clock: f.clock, Private: dir})
	if err != nil {
		t.Fatal(err)
	}
	back := snapshotDir(t, f.dir)
	mustAppend(t, g, w.batch(10))
	g.Close()
	if got := openKept(t, f, dir); got != 41 {
		t.Errorf("of 51 entries %d were taken from what was kept of 41", got)
	}
	kept(t, f).Close()
	for _, name := range []string{leavesFile, checkpointFile} {
		os.WriteFile(f.path(name), []byte(back[name]), 0o600)
	}
	if got := openKept(t, f, dir); got != 0 {
		t.Errorf("of 41 entries %d were taken from what was kept of 51", got)
	}
	fork, err := Open(f.dir, Options{Clock: f.clock})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, fork, newWriter(t, fork, 5).batch(10))
	fork.Close()
	openKept(t, f, dir)

	other, _ := newLedger(t)
	mustAppend(t, other, newWriter(t, other, 2).batch(40))
	other.Close()
	kept(t, other).Close()
	foreign, _ := os.ReadFile(keptFile(t, other))
	damaged("of another ledger", foreign)
}

// TestForgedIsNotJudgedBy: who can write where it is kept makes a revoked consent open
// again, with all sums right. No entry is judged by it.
func TestForgedIsNotJudgedBy(t *testing.T) {
	for _, behind := range []int{0, 40} {
		f, clock := newLedger(t)
		w := newWriter(t, f, 2)
		mustAppend(t, f, append(w.batch(40), w.grant()))
		grant := w.threads[len(w.threads)-1]
		mustAppend(t, f, []contract.Entry{w.sign(contract.Entry{Kind: contract.KindRevoke, Subject: grant.id, NotAfter: contract.Forever}, grant.key)})
		at, _, _ := f.Find(ctx, grant.id)
		grant.closed = true
		w.threads[len(w.threads)-1].closed = true
		for range behind { // the slot lies in a whole block, or in the last one
			mustAppend(t, f, []contract.Entry{w.record()})
		}
		f.Close()

		g := kept(t, f)
		_, thread := g.tables.state.link(at)
		g.tables.state.thread(thread)[1] = byte(contract.StatusOpen)
		g.tables.save(g.private)
		g.Close()
		g, err := Open(f.dir, Options{Clock: clock.now, Private: f.dir + ".private"})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		// What is in the last block is under the root that is compared with the checkpoint.
		if want := behind > 0; (g.saved == g.head.size) != want {
			t.Fatalf("%d entries were taken, with %d behind", g.saved, behind)
		}
		access := w.sign(contract.Entry{Kind: contract.KindAccess, Subject: grant.id, NotBefore: w.hour, NotAfter: w.hour + 9}, grant.partner)
		if behind > 0 {
			var damaged *DamagedError
			if out, err := g.Append(ctx, []contract.Entry{access}); !errors.As(err, &damaged) || damaged.File != stateFile || damaged.Entry != int64(at) {
				t.Errorf("%+v %v", out, err)
			}
		}
		out, err := g.Append(ctx, []contract.Entry{access})
		if err != nil || out[0].Refusal == nil || out[0].Refusal.Rule != contract.RuleRevoked {
			t.Errorf("%+v %v", out, err)
		}
		err = g.View(ctx, func(v keeper.View) error {
			s, err := v.State(at)
			if s.Status != contract.StatusClosed {
				t.Errorf("the consent is %v", s.Status)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		openKept(t, f, f.dir+".private")
	}
}

// Threat: in what is kept of the log no cell of the index is empty, or a thread is linked to
// the follow-ups of another, with all sums right. Nothing hangs, and nobody else's payloads
// are erased.
func TestForgedLinks(t *testing.T) {
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	mine, others := p.record(70, nil), p.record(70, nil)
	mine2, others2 := p.record(70, mine), p.record(70, others)
	withdrawal := p.withdrawal(mine)
	p.must(f.store.PutBlobs(ctx, []ledgerclient.Put{mine.put, others.put, mine2.put, others2.put}))
	mustAppend(t, f, []contract.Entry{mine.entry, others.entry, mine2.entry, others2.entry, withdrawal})
	f.Close()
	forge := func(change func(tb *tables)) *Folder {
		g := kept(t, f)
		change(g.tables)
		g.tables.save(g.private)
		g.Close()
		g, err := Open(f.dir, Options{Clock: clock.now, Private: f.dir + ".private"})
		p.must(err)
		t.Cleanup(func() { g.Close() })
		return g
	}
	g := forge(func(tb *tables) {
		at, _, _, _ := tb.find(withdrawal.ID(f.id))
		of, _, _, _ := tb.find(others2.id)
		tb.state.setLink(at, linkFollows, uint32(of))
	})
	if g.saved != g.head.size {
		t.Fatalf("%d entries were taken", g.saved)
	}
	var damaged *DamagedError
	if err := g.store.Erase(ctx, withdrawal); !errors.As(err, &damaged) || damaged.File != stateFile {
		t.Errorf("%v", err)
	}
	p.must(g.store.Erase(ctx, withdrawal))
	for _, v := range []*version{others, others2} {
		p.mustFetch(g, v.put.Locators[0], v.put.Blob)
	}
	for _, v := range []*version{mine, mine2} {
		if found := filesWith(t, f.dir, v.put.Blob[:32]); len(found) > 0 {
			t.Errorf("the payload is still in %v", found)
		}
	}
	g = forge(func(tb *tables) {
		for i := range tb.index.cells() {
			if tb.index.cell(i) == 0 {
				tb.index.setCell(i, 1<<36-1)
			}
		}
	})
	if _, ok, err := g.Find(ctx, contract.ID{1}); ok || err != nil || g.saved == g.head.size {
		t.Errorf("%v %v", ok, err)
	}
}

// TestKeptNowhere: where others can write, or nobody, nothing is kept and nothing read.
func TestKeptNowhere(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permissions say nothing on Windows")
	}
	f, _ := newLedger(t)
	mustAppend(t, f, newWriter(t, f, 2).batch(20))
	f.Close()
	for _, mode := range []fs.FileMode{0o770, 0o702, 0o777} {
		dir := f.dir + ".private"
		os.RemoveAll(dir)
		kept(t, f).Close()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if got := openKept(t, f, dir); got != 0 {
			t.Errorf("%v: %d entries were taken", mode, got)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	for _, dir := range []string{"", file, filepath.Join(file, "in"), "/proc/nowhere"} {
		if got := openKept(t, f, dir); got != 0 {
			t.Errorf("%q: %d entries were taken", dir, got)
		}
	}
}

// TestIndex compares an index with a map while numbers come.
func TestIndex(t *testing.T) {
	x := newIndex(0)
	r := rand.New(rand.NewPCG(4, 4))
	key := func(i uint64) (k [32]byte) { return tlog.RecordHash(fmt.Append(nil, i)) }
	has := map[uint64]bool{}
	for range 2000 {
		if i := r.Uint64N(3000); !has[i] {
			x = x.add(key(i), i)
			has[i] = true
		}
	}
	if x.used() != uint64(len(has)) || !x.whole() {
		t.Fatalf("%d numbers, want %d", x.used(), len(has))
	}
	for i := range uint64(3000) {
		at, ok, err := x.find(key(i), func(n uint64) (bool, error) { return n == i, nil })
		if err != nil || ok != has[i] || ok && at != i {
			t.Fatalf("%d: %d %v %v, want %v", i, at, ok, err, has[i])
		}
	}
	broken := errors.New("broken")
	x = newIndex(0).add(key(1), 1)
	if _, _, err := x.find(key(1), func(uint64) (bool, error) { return false, broken }); err != broken {
		t.Error(err)
	}
	// Two indexes of the same keys lie differently: nobody can choose keys that share a cell.
	y := newIndex(0)
	same := 0
	for i := range uint64(500) {
		y = y.add(key(i), i)
	}
	z := newIndex(0)
	for i := range uint64(500) {
		z = z.add(key(i), i)
	}
	for c := range y.cells() {
		if v := y.cell(c); v != 0 && y.number(v) == z.number(z.cell(c)) {
			same++
		}
	}
	if same > 20 {
		t.Errorf("%d of 500 are at the same place in two indexes", same)
	}
}

// TestMemory: what is derived of a million entries takes at most 64 MiB.
func TestMemory(t *testing.T) {
	const n = 1_000_000
	tb := newTables([32]byte{}, contract.Config{}, leafFile{})
	tb.reset(n)
	for i := range uint64(n) {
		var id contract.ID
		binary.BigEndian.PutUint64(id[:], i)
		// Every second entry is the one follow-up of the one before it: that takes most.
		if i%2 == 1 {
			check(t, tb.state.follow(i-1, i, contract.State{Kind: contract.KindGrant, Status: contract.StatusOpen, Count: 1}))
		} else {
			tb.state.open(i, contract.State{Kind: contract.KindGrant, Status: contract.StatusOpen})
		}
		tb.log.add(noSlotHash)
		tb.index = tb.index.add(id, i)
	}
	total := cap(tb.state.rows) + cap(tb.state.threads) + cap(tb.index)
	for _, hs := range slices.Concat(tb.log.kept, tb.state.tree.kept) {
		total += cap(hs)
	}
	t.Logf("%.1f MiB", float64(total)/(1<<20))
	if total > 64<<20 {
		t.Errorf("%d bytes for a million entries", total)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
