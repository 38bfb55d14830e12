package folder

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// faultyFiles are the real file operations with a counter. From the operation
// number at on they go wrong.
type faultyFiles struct {
	mu    sync.Mutex
	count int
	at    int   // 0: never
	once  error // the error of that one operation; nil: the process dies at it
	torn  bool  // what dies, or fails, at a write leaves half of it written

	// What a power failure would leave, see lose.
	names   map[string]*inode // as a process sees them
	durable map[string]*inode // as they were at the last sync of their folder
}

// inode is one file as the disk has it.
type inode struct {
	synced []byte // what is on the disk for certain: the content at the last fsync
	// lost are the sectors that were dirty when an fsync failed. The system takes
	// them for written then: they reach the disk only if they are written again.
	lost   map[int]bool
	gone   []byte // content when the last name went, for files that have none
	unseen bool   // it has no name
}

func newFaults() *faultyFiles {
	return &faultyFiles{names: map[string]*inode{}, durable: map[string]*inode{}}
}

var errKilled = errors.New("the process is dead")

// step counts one operation and returns its error.
func (x *faultyFiles) step() (err error, torn bool) {
	x.count++
	switch {
	case x.at == 0 || x.count < x.at:
		return nil, false
	case x.once != nil && x.count > x.at:
		return nil, false
	case x.once != nil:
		return x.once, x.torn
	}
	return errKilled, x.torn && x.count == x.at
}

func (x *faultyFiles) open(path string, flag int, perm fs.FileMode) (file, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if flag&os.O_CREATE != 0 {
		if err, _ := x.step(); err != nil {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
	f, err := systemFiles{}.open(path, flag, perm)
	if err != nil {
		return nil, err
	}
	n := x.names[path]
	if n == nil {
		n = &inode{}
		x.names[path] = n
		if flag&os.O_CREATE == 0 {
			n.synced, _ = os.ReadFile(path)
			x.durable[path] = n
		}
	}
	return &faultyFile{file: f, x: x, n: n, path: path}, nil
}

func (x *faultyFiles) mkdir(path string, perm fs.FileMode) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err, _ := x.step(); err != nil {
		return &fs.PathError{Op: "mkdir", Path: path, Err: err}
	}
	return systemFiles{}.mkdir(path, perm)
}

func (x *faultyFiles) networkFS(string) (string, error) { return "", nil }

func (x *faultyFiles) forget(path string) {
	if n := x.names[path]; n != nil {
		n.gone, _ = os.ReadFile(path)
		n.unseen = true
		delete(x.names, path)
	}
}

func (x *faultyFiles) rename(from, to string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err, _ := x.step(); err != nil {
		return &fs.PathError{Op: "rename", Path: to, Err: err}
	}
	if _, err := os.Stat(to); err == nil {
		if x.names[to] == nil { // never opened: as the disk has it
			n := &inode{}
			n.synced, _ = os.ReadFile(to)
			x.names[to], x.durable[to] = n, n
		}
		x.forget(to)
	}
	x.names[to] = x.names[from]
	delete(x.names, from)
	return os.Rename(from, to)
}

func (x *faultyFiles) remove(path string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err, _ := x.step(); err != nil {
		return &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	x.forget(path)
	return os.Remove(path)
}

func (x *faultyFiles) syncDir(path string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err, _ := x.step(); err != nil {
		return &fs.PathError{Op: "fsync", Path: path, Err: err}
	}
	for p := range x.durable {
		if filepath.Dir(p) == path && x.names[p] == nil {
			delete(x.durable, p)
		}
	}
	for p, n := range x.names {
		if filepath.Dir(p) == path {
			x.durable[p] = n
		}
	}
	return nil
}

type faultyFile struct {
	file
	x    *faultyFiles
	n    *inode
	path string
}

func (f *faultyFile) WriteAt(b []byte, off int64) (int, error) {
	f.x.mu.Lock()
	defer f.x.mu.Unlock()
	err, torn := f.x.step()
	if torn {
		f.file.WriteAt(b[:len(b)/2/sector*sector], off)
	}
	if err != nil {
		return 0, &fs.PathError{Op: "write", Path: f.path, Err: err}
	}
	for s := int(off) / sector; s*sector < int(off)+len(b); s++ {
		delete(f.n.lost, s)
	}
	return f.file.WriteAt(b, off)
}

func (f *faultyFile) Truncate(size int64) error {
	f.x.mu.Lock()
	defer f.x.mu.Unlock()
	if err, _ := f.x.step(); err != nil {
		return &fs.PathError{Op: "truncate", Path: f.path, Err: err}
	}
	return f.file.Truncate(size)
}

func (f *faultyFile) Sync() error {
	f.x.mu.Lock()
	defer f.x.mu.Unlock()
	now, err := os.ReadFile(f.path) // no file is renamed while it is open
	if err != nil {
		return err
	}
	if err, _ := f.x.step(); err != nil {
		f.n.lost = map[int]bool{}
		for s := 0; s*sector < len(now); s++ {
			if !bytes.Equal(part(f.n.synced, s), part(now, s)) {
				f.n.lost[s] = true
			}
		}
		return &fs.PathError{Op: "fsync", Path: f.path, Err: err}
	}
	for s := range f.n.lost {
		clear(part(now, s))
		copy(part(now, s), part(f.n.synced, s))
	}
	f.n.synced = now
	return nil
}

// sector is what a disk writes as a whole. Real ones have 512 bytes or more; the
// format asks for no more than this.
const sector = 64

func part(b []byte, s int) []byte { return b[min(s*sector, len(b)):min((s+1)*sector, len(b))] }

// lose makes a copy of dir as a power failure may leave it: of each name that
// was changed since its folder was synced the old or the new meaning, of each
// sector that was written since the file was synced the old or the new content.
func (x *faultyFiles) lose(t testing.TB, r *rand.Rand, dir, to string) {
	t.Helper()
	copyDir(t, dir, to)
	paths := map[string]bool{}
	for p := range x.names {
		paths[p] = true
	}
	for p := range x.durable {
		paths[p] = true
	}
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		if !strings.HasPrefix(p, dir+string(filepath.Separator)) {
			continue
		}
		target := filepath.Join(to, strings.TrimPrefix(p, dir))
		n := x.names[p]
		if r.IntN(2) == 0 {
			n = x.durable[p]
		}
		os.Remove(target)
		if n == nil {
			continue
		}
		now := n.gone
		if !n.unseen {
			for q, m := range x.names {
				if m == n {
					now, _ = os.ReadFile(q)
				}
			}
		}
		if err := os.WriteFile(target, mixSectors(r, n.synced, now), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func mixSectors(r *rand.Rand, synced, now []byte) []byte {
	size := len(synced)
	if r.IntN(2) == 0 {
		size = len(now)
	}
	out := make([]byte, size)
	for s := 0; s*sector < size; s++ {
		from := synced
		if r.IntN(2) == 0 {
			from = now
		}
		copy(part(out, s), part(from, s))
	}
	return out
}

type entry = contract.Entry

// run opens the ledger in dir with x and appends the batches, each up to
// twice. It returns the number of batches that are known to be in.
func (s *faultScript) run(t *testing.T, dir string, x *faultyFiles) (known int, f *Folder) {
	f, err := open(dir, Options{Clock: s.clock.now}, x)
	if err != nil {
		if f, err = open(dir, Options{Clock: s.clock.now}, x); err != nil {
			return 0, nil
		}
	}
	for i, es := range s.batches {
		if i == len(s.batches)/2 {
			f.Close()
			if f, err = open(dir, Options{Clock: s.clock.now}, x); err != nil {
				if f, err = open(dir, Options{Clock: s.clock.now}, x); err != nil {
					return known, nil
				}
			}
		}
		out, err := f.Append(ctx, es)
		if err != nil {
			out, err = f.Append(ctx, es)
		}
		if err != nil {
			return known, f
		}
		for _, o := range out {
			if o.Refusal != nil {
				t.Fatalf("batch %d: %v", i, o.Refusal)
			}
		}
		known++
	}
	return known, f
}

// checkAfter opens the ledger in dir as a new process would and requires that it
// verifies, that each batch is in or not as a whole, in order, at least the
// known ones; and that it goes on from there.
func (s *faultScript) checkAfter(t *testing.T, dir string, known int) {
	t.Helper()
	f, err := open(dir, Options{Clock: s.clock.now}, unsyncedFiles{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	report, err := f.Verify(ctx, s.verified, nil)
	if err != nil {
		t.Fatal(err)
	}
	in := 0
	for i, es := range s.batches {
		there := 0
		for _, e := range es {
			if _, ok, err := f.Find(ctx, e.ID(f.id)); err != nil {
				t.Fatal(err)
			} else if ok {
				there++
			}
		}
		switch {
		case there == len(es) && in == i:
			in++
		case there != 0:
			t.Fatalf("batch %d: %d of %d entries are in after %d whole batches", i, there, len(es), in)
		}
	}
	if in < known {
		t.Fatalf("%d batches are in, %d were acknowledged", in, known)
	}
	for _, es := range s.batches[in:] {
		mustAppend(t, f, es)
	}
	f.Close()
	g, err := open(dir, Options{Clock: s.clock.now}, unsyncedFiles{})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := g.Verify(ctx, report.Mark, nil); err != nil {
		t.Fatal(err)
	}
	modelOf(t, g).check(t, g)
}

// unsyncedFiles are the real file operations without waiting for the disk.
type unsyncedFiles struct{ systemFiles }

func (unsyncedFiles) open(path string, flag int, perm fs.FileMode) (file, error) {
	f, err := systemFiles{}.open(path, flag, perm)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

func (unsyncedFiles) syncDir(string) error { return nil }

type unsyncedFile struct{ file }

func (unsyncedFile) Sync() error { return nil }

// faultScript is a ledger and what is done to it under faults. The signatures of
// what was there before need not be checked again after each of hundreds.
type faultScript struct {
	origin   string
	clock    *testClock
	batches  [][]entry
	verified *Mark
}

func newFaultScript(t *testing.T) *faultScript {
	f, clock := newLedger(t)
	w := newWriter(t, f, 4)
	// More than one page in each file, for most of them.
	mustAppend(t, f, w.batch(150))
	s := &faultScript{origin: f.dir, clock: clock, verified: mustVerify(t, f).Mark}
	f.Close()
	for _, n := range []int{1, 3, 6, 1, 8, 5, 5} {
		s.batches = append(s.batches, w.batch(n))
	}
	return s
}

// TestEveryOperationFails lets each file operation of a run fail once.
func TestEveryOperationFails(t *testing.T) {
	lane.OneGoroutine(t)
	s := newFaultScript(t)
	total := s.countOperations(t)
	errs := []error{syscall.ENOSPC, syscall.EIO}
	r := rand.New(rand.NewPCG(9, 9))
	step := lane.Pick(1, 9, 9) // odd: errs take turns
	for at := 1; at <= total; at += step {
		for _, torn := range []bool{false, true} {
			dir := filepath.Join(t.TempDir(), "l")
			copyDir(t, s.origin, dir)
			x := newFaults()
			x.at, x.once, x.torn = at, errs[at%2], torn
			known, f := s.run(t, dir, x)
			if f == nil || known != len(s.batches) {
				t.Fatalf("operation %d: one failure, and %d of %d batches went in at the second try", at, known, len(s.batches))
			}
			after := filepath.Join(t.TempDir(), "power")
			x.lose(t, r, dir, after)
			s.checkAfter(t, after, known)
			// The process that met the failure goes on with what it has in memory.
			if _, err := f.Verify(ctx, s.verified, nil); err != nil {
				t.Fatal(err)
			}
			modelOf(t, f).check(t, f)
			if at%2 == 0 {
				f.Close()
			} else {
				f.closeFiles()
			}
			s.checkAfter(t, dir, known)
		}
	}
	t.Logf("every %d. of %d operations failed once, plain and torn", step, total)
}

func (s *faultScript) countOperations(t *testing.T) int {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "l")
	copyDir(t, s.origin, dir)
	x := newFaults()
	known, f := s.run(t, dir, x)
	if known != len(s.batches) {
		t.Fatal("the run does not work without faults")
	}
	f.Close()
	if x.count < 50 {
		t.Fatalf("only %d operations", x.count)
	}
	return x.count
}

// TestKilledAtEveryOperation ends the process at each file operation of a run:
// before it, and for writes in the middle of it. Then the same with the power
// failing at that moment.
func TestKilledAtEveryOperation(t *testing.T) {
	lane.OneGoroutine(t)
	s := newFaultScript(t)
	total := s.countOperations(t)
	r := rand.New(rand.NewPCG(8, 8))
	lost, step := 0, lane.Pick(1, 9, 9)
	for at := 1; at <= total; at += step {
		for _, torn := range []bool{false, true} {
			dir := filepath.Join(t.TempDir(), "l")
			copyDir(t, s.origin, dir)
			x := newFaults()
			x.at, x.torn = at, torn
			known, f := s.run(t, dir, x)
			after := filepath.Join(t.TempDir(), "power")
			x.lose(t, r, dir, after)
			if f != nil {
				f.closeFiles()
			}
			s.checkAfter(t, after, known)
			s.checkAfter(t, dir, known)
			lost++
		}
	}
	t.Logf("killed at every %d. of %d operations, plain and torn; %d power failures", step, total, lost)
}

// TestCreateInterrupted ends Create at each of its file operations. What is left
// is no ledger, or a whole one; and Create can be repeated where there is none.
func TestCreateInterrupted(t *testing.T) {
	lane.OneGoroutine(t)
	clock := &testClock{testHour}
	for at := 1; ; at += lane.Pick(1, 3, 3) {
		for _, torn := range []bool{false, true} {
			dir := filepath.Join(t.TempDir(), "l")
			x := newFaults()
			x.at, x.torn = at, torn
			f, err := create(dir, "N", Options{Clock: clock.now}, x)
			if f != nil {
				f.closeFiles()
			}
			if err == nil && x.count < at {
				if at < 20 {
					t.Fatalf("Create took only %d operations", x.count)
				}
				t.Logf("Create was killed at %d operations", at-1)
				return
			}
			g, err := open(dir, Options{Clock: clock.now}, unsyncedFiles{})
			if errors.Is(err, ErrNoLedger) {
				g, err = create(dir, "N", Options{Clock: clock.now}, unsyncedFiles{})
			}
			if err != nil {
				t.Fatalf("operation %d: %v", at, err)
			}
			mustAppend(t, g, newWriter(t, g, 1).batch(3))
			mustVerify(t, reopen(t, g))
		}
	}
}

// TestDiskFull: the disk stays full. What was there can be read, the error tells
// why nothing can be added, and once there is room all goes on.
func TestDiskFull(t *testing.T) {
	lane.OneGoroutine(t)
	s := newFaultScript(t)
	x := newFaults()
	f, err := open(s.origin, Options{Clock: s.clock.now}, x)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	full := fullDisk{x}
	f.leaves.f = &fullFile{f.leaves.f}
	f.ops = full
	for range 3 {
		if _, err := f.Append(ctx, s.batches[0]); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("%v", err)
		}
		mustVerify(t, f)
	}
	f.leaves.f = f.leaves.f.(*fullFile).file
	if _, err := f.Append(ctx, s.batches[0]); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("checkpoint on a full disk: %v", err)
	}
	f.ops = x
	mustAppend(t, f, s.batches[0])
	mustVerify(t, f)
}

type fullDisk struct{ *faultyFiles }

func (fullDisk) open(path string, flag int, perm fs.FileMode) (file, error) {
	return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.ENOSPC}
}

type fullFile struct{ file }

func (f *fullFile) WriteAt(b []byte, off int64) (int, error) {
	n, _ := f.file.WriteAt(b[:len(b)/3], off)
	return n, &fs.PathError{Op: "write", Path: "leaves", Err: syscall.ENOSPC}
}

// TestReadOnly: a folder on a read-only file system, clean or after a crash, is
// read and verified; nothing can be appended.
func TestReadOnly(t *testing.T) {
	s := newFaultScript(t)
	for _, crash := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "l")
		copyDir(t, s.origin, dir)
		if crash {
			f, err := Open(dir, Options{Clock: s.clock.now})
			if err != nil {
				t.Fatal(err)
			}
			mustAppend(t, f, s.batches[0])
			f.closeFiles()
		}
		before := snapshotDir(t, dir)
		f, err := open(dir, Options{Clock: s.clock.now}, readOnlyFiles{})
		if err != nil {
			t.Fatal(err)
		}
		mustVerify(t, f)
		modelOf(t, f).check(t, f)
		if _, err := f.Append(ctx, s.batches[1]); !errors.Is(err, ErrReadOnly) || !errors.Is(err, syscall.EROFS) {
			t.Errorf("%v", err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if !maps.Equal(before, snapshotDir(t, dir)) {
			t.Error("something was written")
		}
	}
}

type readOnlyFiles struct{ systemFiles }

func (readOnlyFiles) open(path string, flag int, perm fs.FileMode) (file, error) {
	if flag&(os.O_RDWR|os.O_WRONLY|os.O_CREATE) != 0 {
		return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.EROFS}
	}
	return systemFiles{}.open(path, flag, perm)
}

func snapshotDir(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			rel, _ := filepath.Rel(dir, p)
			files[filepath.ToSlash(rel)] = string(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
