package folder

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// many is how many grants a batch has here.
const many = 32

// destroyedAt reports whether a byte of a segment belongs to the noise of a record that
// has ended.
func destroyedAt(f *Folder, name string, at int) (gone bool) {
	s, err := f.ground().openSegment(f.path(name), false)
	if err != nil {
		return false
	}
	defer s.Close()
	for r, err := range s.records(0) {
		gone = gone || err == nil && r.mark == markGone && int64(at) >= r.start() && int64(at) < r.next()
	}
	return gone
}

// A batch is one write into the store and one at the keeper. All of it is served, from a
// new process too; putting the same again is a no-op; and no locator is in it.
func TestBatch(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	grants := p.addGrants(f, many)
	shape := func() (payloads, shares string) {
		return string(mustRead(t, f.path("payloads/0000000001"))), string(mustRead(t, f.ground().shares.path(grants[0].entry.NotAfter)))
	}
	payloads, shares := shape()
	for range 2 {
		var puts []ledgerclient.Put
		var deposits []ledgerclient.Deposit
		for _, g := range grants {
			puts = append(puts, g.puts...)
			deposits = append(deposits, p.deposit(g, f.keeper.Key()))
			for _, put := range g.puts {
				for _, loc := range put.Locators {
					p.mustFetch(f, loc, put.Blob)
				}
			}
			if st, err := g.stateAt(f); err != nil || !st.Held {
				t.Fatalf("%+v, %v", st, err)
			}
		}
		p.must(f.store.PutBlobs(ctx, puts))
		_, err := f.keeper.Deposit(ctx, deposits)
		p.must(err)
		if a, b := shape(); a != payloads || b != shares {
			t.Fatal("the same again was written again")
		}
		mustVerify(t, f)
		f = reopen(t, f)
	}
	var none *ledgerclient.NotFoundError
	if _, err := f.store.Blob(ctx, crypto.Locator{1}); !errors.As(err, &none) {
		t.Errorf("unknown locator: %v", err)
	}
	for name, data := range snapshotDir(t, f.dir) {
		for _, put := range grants[7].puts {
			for _, loc := range put.Locators {
				if bytes.Contains([]byte(data), loc[:]) {
					t.Errorf("a locator is in %s", name)
				}
			}
		}
	}
	// A locator leads nobody elsewhere.
	o := p.grant()
	o.puts[0].Locators[0] = grants[5].puts[0].Locators[0]
	var refused *ledgerclient.StoreError
	if err := f.store.PutBlobs(ctx, o.puts); !errors.As(err, &refused) || refused.Reason != ledgerclient.BadLocators {
		t.Errorf("locator of another: %v", err)
	}
}

// The end of one share overwrites its bytes and no other's; the file is gone with its
// last share.
func TestSharesAreGone(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	grants := p.addGrants(f, many)
	end := func(g *given) {
		t.Helper()
		e := p.revocation(g)
		mustAppend(t, f, []contract.Entry{e})
		acks, err := f.keeper.Revoke(ctx, []contract.Entry{e})
		p.must(err)
		if acks[0].End != ledgerclient.DestroyedShare {
			t.Fatalf("%s", acks[0].End)
		}
	}
	end(grants[0])
	if found := filesWith(t, f.dir, secretOf(grants[0])); len(found) > 0 {
		t.Errorf("the share is still in %v", found)
	}
	for _, g := range grants[1:] {
		if len(filesWith(t, f.dir, secretOf(g))) != 1 {
			t.Fatal("another grant's share is gone")
		}
	}
	mustVerify(t, f)
	if _, err := f.keeper.Deposit(ctx, []ledgerclient.Deposit{p.deposit(grants[0], f.keeper.Key())}); err == nil {
		t.Error("the share came back")
	}
	f = reopen(t, f)
	for _, g := range grants[1:] {
		end(g)
	}
	if left := listed(t, f.dir, "keeper", "shares"); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	mustVerify(t, f)
}

// What comes behind a record that ended is found, also if the header that told of both
// never reached the disk: its write failed, or the power did.
func TestEndedBeyondTheHeader(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	p.addGrants(f, 1)
	path := f.path("payloads/0000000001")
	header := mustRead(t, path)[:segmentHeader]
	grants := p.addGrants(f, 3)
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	p.must(err)
	_, err = file.WriteAt(header, 0)
	p.must(errors.Join(err, file.Close()))
	p.must(store{f.ground()}.remove([]contract.ID{grants[0].id}))
	f = reopen(t, f)
	for i, g := range grants {
		for _, put := range g.puts {
			for _, loc := range put.Locators {
				if got, err := fetched(t, f.store, loc); i == 0 && err == nil || i > 0 && !bytes.Equal(got, put.Blob) {
					t.Errorf("payload of grant %d: %d bytes, %v", i, len(got), err)
				}
			}
		}
	}
}

// A share whose record nobody can read any more, since its head is damaged, is overwritten
// with the next that ends beside it; and so is the copy of a file that took its place.
func TestUnreadableShareIsGone(t *testing.T) {
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	grants := p.addGrants(f, 3)
	path := f.ground().shares.path(grants[0].entry.NotAfter)
	at, err := foldertest.Share(f.dir, hexName(grants[1].id))
	p.must(err)
	bad := mustRead(t, path)
	bad[at.Record+30] ^= 1
	p.must(os.WriteFile(path, bad, 0o600))
	f = reopen(t, f)
	var damaged *DamagedError
	if _, err := f.Verify(ctx, nil, nil); !errors.As(err, &damaged) || damaged.File != f.ground().relative(path) {
		t.Errorf("%v", err)
	}
	e := p.revocation(grants[0])
	mustAppend(t, f, []contract.Entry{e})
	_, err = f.keeper.Revoke(ctx, []contract.Entry{e})
	p.must(err)
	for i, n := range []int{0, 0, 1} {
		if found := filesWith(t, f.dir, secretOf(grants[i])); len(found) != n {
			t.Errorf("share %d is in %v", i, found)
		}
	}
	mustVerify(t, f)
	// It can come again, also for a process that had the file open before.
	other, err := Open(f.dir, Options{Clock: clock.now})
	p.must(err)
	defer other.Close()
	if st, err := grants[2].stateAt(other); err != nil || !st.Held {
		t.Fatalf("%+v, %v", st, err)
	}
	p.must(os.Remove(path))
	_, err = f.keeper.Deposit(ctx, []ledgerclient.Deposit{p.deposit(grants[1], f.keeper.Key()), p.deposit(grants[2], f.keeper.Key())})
	p.must(err)
	for _, g := range grants[1:] {
		if st, err := g.stateAt(other); err != nil || !st.Held {
			t.Errorf("%+v, %v", st, err)
		}
	}
	mustVerify(t, other)
}

// Windows that are over are swept, and their files go.
func TestSweepShares(t *testing.T) {
	lane.OneGoroutine(t)
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	grants := p.addGrants(f, many)
	end := grants[0].entry.NotAfter
	clock.hour = end + keeper.GraceHours
	f.accept = true
	later := p.grantUntil(clock.hour + 500)
	p.addGrant(f, later)
	access, _ := p.access(later, clock.hour)
	r, _ := p.request(later, access, f.keeper.Key())
	_, err := f.keeper.Release(ctx, r)
	p.must(err)
	if left := listed(t, f.dir, "keeper", "shares"); len(left) != 1 || left[0] != strconv.Itoa(int(later.entry.NotAfter)) {
		t.Errorf("%v is left", left)
	}
	mustVerify(t, f)
}

// Payloads whose entries never came are overwritten, those of the others
// in the segment stay.
func TestDropFromSegment(t *testing.T) {
	lane.OneGoroutine(t)
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	var grants []*given
	var puts []ledgerclient.Put
	for range 40 {
		g := p.grant()
		grants = append(grants, g)
		puts = append(puts, g.puts...)
	}
	p.must(f.store.PutBlobs(ctx, puts))
	mustAppend(t, f, []contract.Entry{grants[0].entry, grants[1].entry})
	clock.hour += keepHours
	last := p.grant()
	p.must(f.store.PutBlobs(ctx, last.puts))
	p.must((&Sweeper{Folder: f}).Sweep(ctx)) // a put drops only a few
	for i, g := range grants {
		_, err := fetched(t, f.store, g.puts[1].Locators[0])
		var none *ledgerclient.NotFoundError
		if gone := errors.As(err, &none); gone != (i > 1) {
			t.Errorf("grant %d: %v", i, err)
		}
		if i > 1 && len(filesWith(t, f.dir, g.puts[1].Blob[40:80])) > 0 {
			t.Error("dropped, but still there")
		}
	}
	mustVerify(t, f)
	p.must(f.store.PutBlobs(ctx, puts)) // and can come again
	for _, g := range grants {
		p.mustFetch(f, g.puts[0].Locators[0], g.puts[0].Blob)
	}
	mustVerify(t, f)
}

// Of a segment most of which has ended only the rest is left, in another one, and is
// found there by whoever had it open, by a new process and in a copy.
func TestEmptiedSegment(t *testing.T) {
	lane.OneGoroutine(t)
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	kept := p.grant()
	var puts []ledgerclient.Put
	for range 10 {
		puts = append(puts, p.grant().puts...)
	}
	p.must(f.store.PutBlobs(ctx, append(kept.puts, puts...)))
	mustAppend(t, f, []contract.Entry{kept.entry})
	other, err := Open(f.dir, Options{Clock: clock.now})
	p.must(err)
	defer other.Close()
	p.mustFetch(other, kept.puts[0].Locators[0], kept.puts[0].Blob)
	f.ground().payloads.least = 1 << 10
	clock.hour += keepHours
	p.must((&Sweeper{Folder: f}).Sweep(ctx))
	info, err := os.Stat(f.path("payloads/0000000001"))
	if err != nil || info.Size() != segmentHeader {
		t.Errorf("%v, %v", info.Size(), err)
	}
	dst := filepath.Join(t.TempDir(), "copy")
	copied(t, f, dst)
	back, err := Open(dst, Options{Clock: clock.now})
	p.must(err)
	defer back.Close()
	again, err := Open(f.dir, Options{Clock: clock.now})
	p.must(err)
	defer again.Close()
	for _, f := range []*Folder{f, other, again, back} {
		for _, put := range kept.puts {
			p.mustFetch(f, put.Locators[1], put.Blob)
		}
		mustVerify(t, f)
	}
}

// TestReadAhead: what is read in long pieces is what the file holds, wherever a piece ends.
func TestReadAhead(t *testing.T) {
	b := make([]byte, 3*readAheadSize+999)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	path := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(path, b, 0o600))
	f, err := os.Open(path)
	check(t, err)
	defer f.Close()
	ahead := &readAhead{file: f}
	for i := range 2000 {
		off, p := r.Uint64()%uint64(len(b)+10), make([]byte, r.Uint64()%300)
		if i%100 == 0 {
			p = make([]byte, 2*readAheadSize)
		}
		want := make([]byte, len(p))
		n, err := ahead.ReadAt(p, int64(off))
		m, other := f.ReadAt(want, int64(off))
		if n != m || !bytes.Equal(p[:n], want[:m]) || n < len(p) && err != other {
			t.Fatalf("%d bytes at %d: %d, %v; want %d, %v", len(p), off, n, err, m, other)
		}
	}
}

// FuzzSegment: whatever a segment holds, reading it ends, finds no record that is not under
// its check, and never panics.
func FuzzSegment(f *testing.F) {
	var b []byte
	for i := range 5 {
		b = appendRecord(b, 7, 1, []crypto.Hash{{byte(i * 40)}, {byte(i), 7}}, []byte("package"), []byte("payload"))
	}
	f.Add(append(segmentHead{durable: segmentHeader + int64(len(b))}.marshal(), b...))
	f.Add(append(segmentHead{durable: segmentHeader}.marshal(), b...))
	f.Add(b)
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		g := newGround(&ground{dir: dir, ops: systemFiles{}, modes: modesOf(0o700)})
		if err := os.WriteFile(filepath.Join(dir, "segment"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := g.openSegment(filepath.Join(dir, "segment"), false)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		last := int64(segmentHeader)
		for r, err := range s.records(0) {
			if err != nil {
				t.Fatal(err)
			}
			if r.at < last || r.length <= 0 {
				t.Fatalf("%+v behind %d", r, last)
			}
			last = r.next()
			if r.isGap() {
				continue
			}
			if r.length < recordFixed+8 || r.pkg > r.size() {
				t.Fatalf("%+v", r)
			}
			if _, _, err := r.body(s); err != nil {
				t.Fatal(err)
			}
		}
		if s.scanned < segmentHeader {
			t.Fatal(s.scanned)
		}
	})
}

// A grant is durable in the store, on the ledger and at the keeper for a few syncs.
func TestSyncsOfAGrant(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	p.addGrant(f, p.grant())
	ops := &countedSyncs{}
	f = reopenWith(t, f, ops)
	p.addGrant(f, p.grantUntil(testHour+77))
	// Payloads; leaves, checkpoint and its name; the file of an hour, its name, the share.
	if n := ops.n.Load(); n > 1+4+3 {
		t.Errorf("%d syncs", n)
	}
}

// countedSyncs are the real file operations, with a count of what is synced.
type countedSyncs struct {
	systemFiles
	n atomic.Int32
}

func (x *countedSyncs) syncDir(path string) error { x.n.Add(1); return x.systemFiles.syncDir(path) }

func (x *countedSyncs) open(path string, flag int, perm fs.FileMode) (file, error) {
	f, err := x.systemFiles.open(path, flag, perm)
	if err != nil {
		return nil, err
	}
	return countedFile{f, x}, nil
}

type countedFile struct {
	file
	x *countedSyncs
}

func (f countedFile) Sync() error { f.x.n.Add(1); return f.file.Sync() }

// The power goes at each operation of the store. What it said it holds it holds on every
// disk that may be left, what it said is erased does not come back, all verifies, and a
// new process goes on.
func TestStorePowerFailure(t *testing.T) {
	lane.OneGoroutine(t)
	origin, clock := newLedger(t)
	p := newPeople(t, origin.id)
	first, second, orphan := p.grant(), p.grant(), p.grant()
	record, large := p.record(contract.PieceSize+50, nil), p.record(70, nil)
	withdrawal := p.withdrawal(record)
	mustAppend(t, origin, []contract.Entry{first.entry, second.entry, record.entry, withdrawal})
	origin.Close()
	holds := func(f *Folder, puts ...ledgerclient.Put) bool {
		for _, put := range puts {
			for _, loc := range put.Locators {
				if got, err := fetched(t, f.store, loc); err != nil || put.Blob != nil && !bytes.Equal(got, put.Blob) {
					return false
				}
			}
		}
		return true
	}
	steps := []struct {
		do   func(f *Folder) error
		hold func(f *Folder) bool
	}{
		{func(f *Folder) error { return f.store.PutBlobs(ctx, first.puts) }, func(f *Folder) bool { return holds(f, first.puts...) }},
		{func(f *Folder) error { return f.store.PutBlobs(ctx, append(second.puts, orphan.puts...)) }, func(f *Folder) bool { return holds(f, second.puts...) }},
		{func(f *Folder) error { return uploaded(f.store, large) }, func(f *Folder) bool { return holds(f, large.upload) }},
		{func(f *Folder) error { return f.store.PutBlobs(ctx, first.puts) }, func(f *Folder) bool { return holds(f, first.puts...) }},
		{func(f *Folder) error { return f.store.Erase(ctx, withdrawal) }, func(f *Folder) bool { return true }},
	}
	var do []func(*Folder) error
	for _, step := range steps {
		do = append(do, step.do)
	}
	cuts := powerFailures(t, origin, clock, lane.Pick(1, 3, 3), 3, do, func(g *Folder, done, at int) {
		check := func(done int) {
			t.Helper()
			mustVerify(t, g)
			for i, step := range steps[:done] {
				if !step.hold(g) {
					t.Fatalf("operation %d, %d steps done: step %d does not hold", at, done, i)
				}
			}
		}
		check(done)
		for _, step := range steps {
			p.must(step.do(g))
		}
		check(len(steps))
	})
	if cuts < 20 {
		t.Fatalf("only %d power failures", cuts)
	}
}

// powerFailures ends the power at one file operation after the other, some apart, while steps
// are done on a copy of a folder, until none fails. Of what the disk may hold then it gives
// some states to check, with how many steps were done, and counts them.
func powerFailures(t *testing.T, origin *Folder, clock *testClock, apart, states int, steps []func(*Folder) error, check func(g *Folder, done, at int)) (cuts int) {
	t.Helper()
	r := rand.New(rand.NewPCG(4, 7))
	for at := 1; ; at += apart {
		dir := filepath.Join(t.TempDir(), "l")
		copyDir(t, origin.dir, dir)
		x := newFaults()
		x.at, x.torn = at, at%2 == 0
		f, err := open(dir, Options{Clock: clock.now}, x)
		done := 0
		if err == nil {
			for done < len(steps) && steps[done](f) == nil {
				done++
			}
			f.closeFiles()
		}
		if done == len(steps) {
			t.Logf("%d power failures", cuts)
			return cuts
		}
		for range states {
			after := filepath.Join(t.TempDir(), "power")
			x.lose(t, r, dir, after)
			cuts++
			g, err := open(after, Options{Clock: clock.now}, unsyncedFiles{})
			if err != nil {
				t.Fatalf("operation %d: %v", at, err)
			}
			check(g, done, at)
			g.Close()
		}
	}
}

// Threat: who can write the folder makes a segment of a hundred gigabytes of nothing, with
// a header that says that all of it counts. Nobody reads for hours, or takes memory for it.
func TestHugeSegment(t *testing.T) {
	lane.OneGoroutine(t)
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	g := p.grant()
	p.addGrant(f, g)
	path := f.path("payloads/0000000001")
	b := mustRead(t, path)
	copy(b, segmentHead{durable: 90 << 30, checked: segmentHeader}.marshal())
	p.must(os.WriteFile(path, b, 0o600))
	if err := os.Truncate(path, 100<<30); err != nil {
		t.Skip(err)
	}
	f = reopen(t, f)
	var damaged *DamagedError
	if _, err := f.Verify(ctx, nil, nil); !errors.As(err, &damaged) || damaged.File != "payloads/0000000001" {
		t.Errorf("%v", err)
	}
	p.mustFetch(f, g.puts[0].Locators[0], g.puts[0].Blob)
	more := p.grant()
	p.must(f.store.PutBlobs(ctx, more.puts))
	g2, err := Open(f.dir, Options{Clock: clock.now})
	p.must(err)
	defer g2.Close()
	p.mustFetch(g2, more.puts[0].Locators[0], more.puts[0].Blob)
}
