package folder

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// fullFiles are the real file operations on a disk that can be full: nothing is made,
// and no file gets another block.
type fullFiles struct {
	systemFiles
	mu     sync.Mutex
	full   error // what is said then; nil while it is not full
	broken bool  // nor is anything overwritten
}

func (x *fullFiles) is(full error, broken bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.full, x.broken = full, broken
}

func (x *fullFiles) refuses(grows bool) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if grows || x.broken {
		return x.full
	}
	return nil
}

func (x *fullFiles) open(path string, flag int, perm fs.FileMode) (file, error) {
	_, err := os.Lstat(path)
	makes := err != nil && flag&os.O_CREATE != 0
	if err := x.refuses(makes); err != nil && (makes || err == syscall.EROFS && flag&(os.O_WRONLY|os.O_RDWR) != 0) {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f, err := x.systemFiles.open(path, flag, perm)
	return fileOnFull{f, x}, err
}

func (x *fullFiles) mkdir(path string, perm fs.FileMode) error {
	if err := x.refuses(true); err != nil {
		return &fs.PathError{Op: "mkdir", Path: path, Err: err}
	}
	return x.systemFiles.mkdir(path, perm)
}

type fileOnFull struct {
	file
	x *fullFiles
}

func (f fileOnFull) WriteAt(b []byte, off int64) (int, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	blocks := (info.Size() + 4095) / 4096
	if err := f.x.refuses(off+int64(len(b)) > blocks*4096); err != nil {
		return 0, &fs.PathError{Op: "write", Path: info.Name(), Err: err}
	}
	return f.file.WriteAt(b, off)
}

// withoutExchange hides that two files can change places.
type withoutExchange struct{ fileOps }

// Promise 4 on a full disk, however it is full: revocations are taken, acknowledged and
// ordered, the shares are destroyed, and a keeper that is killed and started again
// releases nothing of them. There is room for the next when the disk has some again.
func TestRevocationsOnAFullDisk(t *testing.T) {
	for _, test := range []struct {
		name  string
		full  error
		swaps bool
	}{{"no room", syscall.ENOSPC, true}, {"no quota", syscall.EDQUOT, true}, {"no exchange", syscall.ENOSPC, false}} {
		t.Run(test.name, func(t *testing.T) {
			origin, clock := newLedger(t)
			origin.Close()
			x := &fullFiles{}
			var ops fileOps = x
			if !test.swaps {
				ops = withoutExchange{x}
			}
			open := func() *Folder {
				t.Helper()
				f, err := open(origin.dir, Options{Clock: clock.now}, ops)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { f.Close() })
				return f
			}
			f := open()
			p := newPeople(t, f.id)
			var grants []*given
			var requests []ledgerclient.Request
			for range 5 {
				g := p.grant()
				p.addGrant(f, g)
				access, _ := p.access(g, clock.hour)
				mustAppend(t, f, []contract.Entry{access})
				r, _ := p.request(g, access, f.keeper.Key())
				grants, requests = append(grants, g), append(requests, r)
			}
			released := func(f *Folder, i int, want ledgerclient.Code) {
				t.Helper()
				if a, err := f.keeper.Release(ctx, requests[i]); err != nil || a.Code != want {
					t.Errorf("grant %d: %s, %v; want %s", i, a.Code, err, want)
				}
			}
			released(f, 0, ledgerclient.Released)

			x.is(test.full, false)
			if _, err := f.Append(ctx, []contract.Entry{p.grant().entry}); !errors.Is(err, test.full) {
				t.Fatalf("the disk is full, and a grant is ordered: %v", err)
			}
			var revocations []contract.Entry
			for i, g := range grants[:4] {
				e := p.revocation(g)
				revocations = append(revocations, e)
				acks, err := f.keeper.Revoke(ctx, []contract.Entry{e})
				if err != nil {
					t.Fatal(err)
				}
				p.must(acks[0].Verify(f.id, g.id, f.keeper.Key()))
				released(f, i, ledgerclient.Revoked)
				mustVerify(t, f)
				f = open() // the one before was killed: nothing was closed
				released(f, i, ledgerclient.Revoked)
				if _, err := f.keeper.Deposit(ctx, []ledgerclient.Deposit{p.deposit(g, f.keeper.Key())}); err == nil {
					t.Error("a stopped share is taken again")
				}
				if i == 3 || i > 0 && !test.swaps {
					continue // not ordered: without an exchange there is room once
				}
				if out := mustAppend(t, f, []contract.Entry{e}); out[0].Refusal != nil {
					t.Fatal(out[0].Refusal)
				}
				acks, err = f.keeper.Revoke(ctx, []contract.Entry{e})
				if err != nil || acks[0].End != ledgerclient.DestroyedShare {
					t.Fatalf("%v, %v", acks, err)
				}
				if found := filesWith(t, f.dir, secretOf(g)); len(found) > 0 {
					t.Errorf("the share is in %v", found)
				}
				f = open()
				released(f, i, ledgerclient.Revoked)
			}
			released(f, 4, ledgerclient.Released)
			mustVerify(t, f)

			x.is(nil, false)
			to := t.TempDir()
			if _, err := f.Copy(ctx, to, nil); err != nil {
				t.Fatal(err)
			}
			sweeper := Sweeper{Folder: f}
			p.must(sweeper.Sweep(ctx))
			for _, dir := range []string{f.dir, to} {
				g, err := Open(dir, Options{Clock: clock.now})
				p.must(err)
				defer g.Close()
				_, err = g.keeper.Revoke(ctx, revocations[:1])
				p.must(err)
				if n := len(filedIn(t, g, filedStop)); n != 4 {
					t.Errorf("%d of 4 stops are in %s", n, dir)
				}
				s := g.ground().filings
				if info, err := os.Stat(s.path(s.last)); err != nil || dir == f.dir && info.Size() < s.end+filingsRoom {
					t.Errorf("%d bytes behind %d, %v", info.Size(), s.end, err)
				}
			}
			f = open()
			for i := range 4 {
				released(f, i, ledgerclient.Revoked)
			}
			mustVerify(t, f)
		})
	}
}

// Threat: nothing at all can be written when a revocation comes. Nothing is
// acknowledged, of that consent nothing is released, and whoever starts in such a
// folder releases nothing of anybody's. Once it can be written again all is well.
func TestStopThatCannotBeKept(t *testing.T) {
	origin, clock := newLedger(t)
	origin.Close()
	x := &fullFiles{}
	start := func() *Folder {
		t.Helper()
		f, err := open(origin.dir, Options{Clock: clock.now}, x)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	f := start()
	p := newPeople(t, f.id)
	g, other := p.grant(), p.grant()
	ask := map[*given]ledgerclient.Request{}
	for _, g := range []*given{g, other} {
		p.addGrant(f, g)
		access, _ := p.access(g, clock.hour)
		mustAppend(t, f, []contract.Entry{access})
		ask[g], _ = p.request(g, access, f.keeper.Key())
	}
	code := func(f *Folder, g *given) ledgerclient.Code {
		t.Helper()
		a, err := f.keeper.Release(ctx, ask[g])
		if err != nil {
			t.Log(err)
			return 0
		}
		return a.Code
	}
	if c := code(f, g); c != ledgerclient.Released {
		t.Fatal(c)
	}
	e := p.revocation(g)
	filings := f.path("keeper/filings/0000000001")
	before := mustRead(t, filings)
	for _, err := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS} {
		f := start()
		x.is(err, true)
		if acks, got := f.keeper.Revoke(ctx, []contract.Entry{e}); !errors.Is(got, err) || acks != nil {
			t.Errorf("acknowledged: %v, %v", acks, got)
		}
		if c := code(f, g); c != ledgerclient.Revoked && !(c == 0 && !noRoom(err)) { // it could not be filed
			t.Errorf("%v: told, and yet answered %d", err, c)
		}
		if c := code(f, other); c != 0 {
			t.Errorf("%v: a keeper that cannot stop answers %d", err, c)
		}
		for _, g := range []*given{g, other} {
			if c := code(start(), g); c != 0 {
				t.Errorf("%v: a keeper that starts where it cannot write answers %d", err, c)
			}
		}
		x.is(nil, false)
		if c := code(f, other); c != ledgerclient.Released {
			t.Errorf("%v: it can write again, and answers %d", err, c)
		}
		// That release wrote down what had been told.
		if c := code(start(), g); c != ledgerclient.Revoked {
			t.Errorf("%v: after all of it %d", err, c)
		}
		p.must(os.WriteFile(filings, before, 0o600))
	}
	// The room is full, and so is the disk.
	x.is(syscall.ENOSPC, false)
	v := vault{start().ground()}
	stop := v.appendFiling(nil, filedStop, crypto.Hash{1}, marshaled(p.revocation(p.grant())))
	p.must(v.filings.settle())
	p.must(v.filings.add(bytes.Repeat(stop, filingsRoom/2/len(stop)), true))
	for v.filings.add(bytes.Repeat(stop, 10), true) == nil {
	}
	for v.filings.add(stop, true) == nil {
	}
	if c := code(start(), g); c != 0 {
		t.Errorf("a keeper without room answers %d", c)
	}
	if _, err := start().keeper.Revoke(ctx, []contract.Entry{e}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a stop without room: %v", err)
	}
}

// A stop that could not be taken down since others had the lock is, before anything is released.
func TestStopThatWaited(t *testing.T) {
	origin, clock := newLedger(t)
	defer origin.Close()
	start := func() *Folder {
		t.Helper()
		f, err := Open(origin.dir, Options{Clock: clock.now, Wait: time.Millisecond})
		check(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	f := start()
	p := newPeople(t, f.id)
	g, other := p.grant(), p.grant()
	ask := map[*given]ledgerclient.Request{}
	for _, g := range []*given{g, other} {
		p.addGrant(f, g)
		access, _ := p.access(g, clock.hour)
		mustAppend(t, f, []contract.Entry{access})
		ask[g], _ = p.request(g, access, f.keeper.Key())
	}
	is := func(f *Folder, g *given, want ledgerclient.Code) {
		t.Helper()
		if a, err := f.keeper.Release(ctx, ask[g]); err != nil || a.Code != want {
			t.Errorf("%v, %v", a.Code, err)
		}
	}
	is(f, other, ledgerclient.Released)
	check(t, origin.write(ctx, func(snapshot) error {
		if _, err := f.keeper.Revoke(ctx, []contract.Entry{p.revocation(g)}); !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
		return nil
	}))
	is(f, other, ledgerclient.Released)
	is(start(), g, ledgerclient.Revoked)
}

// The guides promise room for some hundreds of revocations, ordered and acknowledged.
func TestRoomForHundredsOfRevocations(t *testing.T) {
	lane.OneGoroutine(t)
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	var revocations []contract.Entry
	for _, g := range p.addGrants(f, 340) {
		revocations = append(revocations, p.revocation(g))
	}
	f.Close()
	x := &fullFiles{}
	f, err := open(f.dir, Options{Clock: clock.now}, x)
	p.must(err)
	defer f.Close()
	x.is(syscall.ENOSPC, false)
	for _, want := range []ledgerclient.End{ledgerclient.Stopped, ledgerclient.DestroyedShare} {
		acks, err := f.keeper.Revoke(ctx, revocations)
		p.must(err)
		for i := range acks {
			if acks[i].End != want {
				t.Fatalf("revocation %d: %v", i, acks[i].End)
			}
		}
		if want == ledgerclient.Stopped {
			mustAppend(t, f, revocations)
		}
	}
	for kind, want := range map[byte]int{filedStop: 340, filedAck: 680} {
		if n := len(filedIn(t, f, kind)); n != want {
			t.Errorf("%d of %d filings of kind %d", n, want, kind)
		}
	}
	mustVerify(t, f)
}

// filedIn are the filings of a kind.
func filedIn(t *testing.T, f *Folder, kind byte) (all []segRecord) {
	t.Helper()
	s := f.ground().filings
	numbers, err := s.list()
	for _, n := range numbers {
		g, oerr := s.g.openSegment(s.path(n), false)
		if err = errors.Join(err, oerr); err == nil {
			for r, rerr := range g.records(0) {
				if err = errors.Join(err, rerr); r.kind == kind && r.mark == markHeld {
					all = append(all, r)
				}
			}
			g.Close()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func marshaled(e contract.Entry) []byte { b := e.Marshal(); return b[:] }

// dyingFiles are those of a full disk, of a process that dies at one of its operations,
// a write half done.
type dyingFiles struct {
	*fullFiles
	count, at int // 0: never
}

func (x *dyingFiles) step() error {
	if x.count++; x.at > 0 && x.count >= x.at {
		return errKilled
	}
	return nil
}

func (x *dyingFiles) open(path string, flag int, perm fs.FileMode) (file, error) {
	f, err := x.fullFiles.open(path, flag, perm)
	return dyingFile{f, x}, err
}

func (x *dyingFiles) rename(from, to string) error {
	if err := x.step(); err != nil {
		return err
	}
	return x.fullFiles.rename(from, to)
}

func (x *dyingFiles) exchange(a, b string) error {
	if err := x.step(); err != nil {
		return err
	}
	if e, ok := any(x.systemFiles).(exchanger); ok {
		return e.exchange(a, b)
	}
	return errors.ErrUnsupported
}

type dyingFile struct {
	file
	x *dyingFiles
}

func (f dyingFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.x.step(); err != nil {
		if f.x.count == f.x.at {
			f.file.WriteAt(b[:len(b)/2/sector*sector], off)
		}
		return 0, err
	}
	return f.file.WriteAt(b, off)
}

func (f dyingFile) Truncate(size int64) error {
	if err := f.x.step(); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

func (f dyingFile) Sync() error {
	if err := f.x.step(); err != nil {
		return err
	}
	return f.file.Sync()
}

// A process is killed anywhere while it stops and orders a revocation on a full disk.
// What it acknowledged holds for the next, on the same disk; the rest can be done again.
func TestKilledOnAFullDisk(t *testing.T) {
	origin, clock := newLedger(t)
	p := newPeople(t, origin.id)
	g := p.grant()
	p.addGrant(origin, g)
	access, _ := p.access(g, clock.hour)
	mustAppend(t, origin, []contract.Entry{access})
	r, _ := p.request(g, access, origin.keeper.Key())
	e := p.revocation(g)
	p.must(origin.Close())
	steps := []func(f *Folder) error{
		func(f *Folder) error { _, err := f.keeper.Revoke(ctx, []contract.Entry{e}); return err },
		func(f *Folder) error { _, err := f.Append(ctx, []contract.Entry{e}); return err },
		func(f *Folder) error { _, err := f.keeper.Revoke(ctx, []contract.Entry{e}); return err },
		func(f *Folder) error { return (&Sweeper{Folder: f}).Sweep(ctx) },
	}
	killed := 0
	for at := 1; ; at++ {
		dir := filepath.Join(t.TempDir(), "l")
		copyDir(t, origin.dir, dir)
		full := &fullFiles{}
		x := &dyingFiles{fullFiles: full}
		f, err := open(dir, Options{Clock: clock.now}, x)
		p.must(err)
		full.is(syscall.ENOSPC, false)
		x.at = x.count + at
		done := 0
		for i, step := range steps {
			full.is(map[bool]error{true: syscall.ENOSPC}[i < 3], false) // the last finds room
			if step(f) != nil {
				break
			}
			done++
		}
		f.closeFiles()
		full.is(syscall.ENOSPC, false)
		f, err = open(dir, Options{Clock: clock.now}, full)
		p.must(err)
		if a, err := f.keeper.Release(ctx, r); err != nil || done > 0 && a.Code != ledgerclient.Revoked {
			t.Fatalf("killed at operation %d, %d steps done: %s, %v", at, done, a.Code, err)
		}
		mustVerify(t, f)
		for i, step := range steps {
			full.is(map[bool]error{true: syscall.ENOSPC}[i < 3], false)
			if err := step(f); err != nil {
				t.Fatalf("killed at operation %d: step %d afterwards: %v", at, i, err)
			}
		}
		if n := len(filedIn(t, f, filedStop)); n != 1 {
			t.Errorf("killed at operation %d: %d stops", at, n)
		}
		mustVerify(t, f)
		f.Close()
		if done == len(steps) {
			break
		}
		killed++
	}
	if killed < 20 {
		t.Errorf("killed at %d operations", killed)
	}
}
