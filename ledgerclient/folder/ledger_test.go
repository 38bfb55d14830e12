package folder

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

var ctx = context.Background()

// onNFS are file operations of a folder on a network file system.
type onNFS struct{ systemFiles }

func (onNFS) networkFS(string) (string, error) { return "nfs", nil }

// testClock is a clock that stands at an hour.
type testClock struct{ hour contract.Hour }

func (c *testClock) now() time.Time { return time.Unix(int64(c.hour)*3600+17, 0) }

const testHour contract.Hour = 480_000

// usualFiles do not wait for the disk: of what would be lost with it the tests of durability
// have files of their own. What is measured is durable.
func usualFiles(t testing.TB) fileOps {
	if _, ok := t.(*testing.B); ok {
		return systemFiles{}
	}
	return unsyncedFiles{}
}

func newLedger(t testing.TB) (*Folder, *testClock) {
	t.Helper()
	clock := &testClock{testHour}
	f, err := create(filepath.Join(t.TempDir(), "ledger"), "Test ledger", Options{Clock: clock.now}, usualFiles(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, clock
}

func reopen(t testing.TB, f *Folder) *Folder {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	g, err := open(f.dir, Options{Clock: f.clock}, usualFiles(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

// writer makes entries that a ledger accepts, and remembers the threads.
type writer struct {
	t       testing.TB
	ledger  crypto.LedgerID
	hour    contract.Hour
	r       *rand.Rand
	threads []thread
}

type thread struct {
	id           contract.ID
	kind         contract.Kind
	key, partner *crypto.PrivateKey
	closed       bool
	lastAccess   contract.Hour
}

func newWriter(t testing.TB, f *Folder, seed uint64) *writer {
	return &writer{t: t, ledger: f.id, hour: testHour, r: rand.New(rand.NewPCG(seed, 0))}
}

func (w *writer) sign(e contract.Entry, key *crypto.PrivateKey) contract.Entry {
	w.t.Helper()
	e.Version = contract.Version
	e.Author = key.Public()
	binary.BigEndian.PutUint64(e.SelfTag[:], w.r.Uint64())
	binary.BigEndian.PutUint64(e.Commitment[:], w.r.Uint64()|1)
	if err := e.Sign(w.ledger, key); err != nil {
		w.t.Fatal(err)
	}
	return e
}

// keys are made once: a key is as good as another for what is tested here, but
// for threads that must differ by author.
var keys = func() (ks [16]*crypto.PrivateKey) {
	for i := range ks {
		ks[i] = crypto.GenerateKey()
	}
	return ks
}()

func (w *writer) key() *crypto.PrivateKey { return keys[w.r.IntN(len(keys))] }

func (w *writer) record() contract.Entry {
	k := w.key()
	e := w.sign(contract.Entry{Kind: contract.KindRecord}, k)
	w.threads = append(w.threads, thread{id: e.ID(w.ledger), kind: e.Kind, key: k})
	return e
}

func (w *writer) grant() contract.Entry {
	k, p := w.key(), w.key()
	e := w.sign(contract.Entry{Kind: contract.KindGrant, Counterparty: p.Public(), NotAfter: testHour + 100_000}, k)
	w.threads = append(w.threads, thread{id: e.ID(w.ledger), kind: e.Kind, key: k, partner: p})
	return e
}

func (w *writer) follow(th *thread) contract.Entry {
	e := contract.Entry{Subject: th.id, NotBefore: w.hour - 1, NotAfter: w.hour + 48}
	key := th.key
	switch {
	case th.kind == contract.KindRecord:
		e.Kind = contract.KindRecord
		if w.r.IntN(8) == 0 {
			e.Flags, th.closed = contract.FlagWithdrawn, true
		}
	case th.lastAccess >= w.hour || w.r.IntN(8) == 0:
		e.Kind, e.NotBefore, e.NotAfter = contract.KindRevoke, 0, contract.Forever
		th.closed = true
	default:
		e.Kind, key, th.lastAccess = contract.KindAccess, th.partner, w.hour
	}
	return w.sign(e, key)
}

// next makes one entry that is accepted if all before it are.
func (w *writer) next() contract.Entry {
	if len(w.threads) > 0 && w.r.IntN(2) == 0 {
		for range 8 {
			if th := &w.threads[w.r.IntN(len(w.threads))]; !th.closed {
				return w.follow(th)
			}
		}
	}
	if w.r.IntN(2) == 0 {
		return w.record()
	}
	return w.grant()
}

func (w *writer) batch(n int) []contract.Entry {
	es := make([]contract.Entry, n)
	for i := range es {
		es[i] = w.next()
	}
	return es
}

// mustAppend appends entries all of which must be accepted.
func mustAppend(t testing.TB, f *Folder, es []contract.Entry) []ledgerclient.Outcome {
	t.Helper()
	out, err := f.Append(ctx, es)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range out {
		if o.Refusal != nil || o.Duplicate {
			t.Fatalf("entry %d: refused %v, duplicate %v", i, o.Refusal, o.Duplicate)
		}
	}
	return out
}

func mustVerify(t testing.TB, f *Folder) Report {
	t.Helper()
	r, err := f.Verify(ctx, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// model is what the ledger must hold, recomputed with the plainest means: all
// hashes anew, no files.
type model struct {
	id     crypto.LedgerID
	config contract.Config
	leaves []contract.Leaf
	states []contract.State // by position of the opening entry
	follow map[uint64][]uint64
}

func modelOf(t testing.TB, f *Folder) *model {
	t.Helper()
	m := &model{id: f.id, config: f.config, follow: map[uint64][]uint64{}}
	msg, err := f.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	h, err := f.key.parse(msg)
	if err != nil {
		t.Fatal(err)
	}
	for from := uint64(0); from < h.size; from += 1000 {
		ls, err := f.Leaves(ctx, from, min(from+1000, h.size))
		if err != nil {
			t.Fatal(err)
		}
		m.leaves = append(m.leaves, ls...)
	}
	at := map[contract.ID]uint64{}
	for i := range m.leaves {
		l := &m.leaves[i]
		id := l.Entry.ID(m.id)
		var s contract.State
		subject := at[l.Entry.Subject]
		if !l.Entry.Opens() {
			s = m.states[subject]
		}
		next, err := contract.Apply(m.config, s, &l.Entry, id, uint64(i), l.Hour)
		if err != nil {
			t.Fatalf("entry %d in the log: %v", i, err)
		}
		at[id] = uint64(i)
		m.states = append(m.states, contract.State{})
		if l.Entry.Opens() {
			m.states[i] = next
		} else {
			m.states[subject] = next
			m.follow[subject] = append(m.follow[subject], uint64(i))
		}
	}
	return m
}

func treeHash(n int, data func(i int) []byte) crypto.Hash {
	var e edge
	for i := range n {
		e.add(tlog.RecordHash(data(i)))
	}
	return crypto.Hash(e.root())
}

// check compares the model's roots with the ledger's, and the proofs of some
// threads.
func (m *model) check(t testing.TB, f *Folder) {
	t.Helper()
	n := len(m.leaves)
	if got := treeHash(n, func(i int) []byte { b := m.leaves[i].Marshal(); return b[:] }); got != f.head.root {
		t.Fatalf("log root %v, want %v", f.head.root, got)
	}
	if got := treeHash(n, func(i int) []byte { return m.states[i].Slot() }); got != m.leaves[n-1].StateRoot {
		t.Fatalf("state root in leaf %d: %v, want %v", n-1, m.leaves[n-1].StateRoot, got)
	}
	for i := 0; i < n; i += 1 + n/50 {
		p, err := f.ProveThread(ctx, uint64(i), uint64(n))
		if err != nil {
			t.Fatal(err)
		}
		last := p.Last.Marshal()
		if err := tlog.CheckRecord(tlogHashes(p.LastProof), int64(n), tlog.Hash(f.head.root), int64(n-1), tlog.RecordHash(last[:])); err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckRecord(tlogHashes(p.SlotProof), int64(n), tlog.Hash(p.Last.StateRoot), int64(i), tlog.RecordHash(p.Slot)); err != nil {
			t.Fatal(err)
		}
		if string(p.Slot) != string(m.states[i].Slot()) {
			t.Fatalf("slot %d is not the model's", i)
		}
		if len(p.FollowUps) != len(m.follow[uint64(i)]) {
			t.Fatalf("thread %d: follow-ups %v, want %v", i, p.FollowUps, m.follow[uint64(i)])
		}
		for k, at := range m.follow[uint64(i)] {
			if p.FollowUps[k] != at {
				t.Fatalf("thread %d: follow-ups %v, want %v", i, p.FollowUps, m.follow[uint64(i)])
			}
		}
	}
}

func tlogHashes(hs []crypto.Hash) []tlog.Hash {
	out := make([]tlog.Hash, len(hs))
	for i := range hs {
		out[i] = tlog.Hash(hs[i])
	}
	return out
}

func copyDir(t testing.TB, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func TestCreateAndOpen(t *testing.T) {
	f, _ := newLedger(t)
	r := mustVerify(t, f)
	if r.Size != 1 || r.Signatures != 1 {
		t.Fatalf("report %+v", r)
	}
	modelOf(t, f).check(t, f)
	if p := f.Properties(); p.Gate != ledgerclient.Advisory || p.Reach != f.dir {
		t.Errorf("properties %+v", p)
	}
	g := reopen(t, f)
	if g.id != f.id {
		t.Error("another ledger after reopening")
	}
	if _, err := f.Checkpoint(ctx); err == nil {
		t.Error("a closed folder answers")
	}
}

func TestCreateRefuses(t *testing.T) {
	f, _ := newLedger(t)
	if _, err := Create(f.dir, "Other", nil); !errors.Is(err, ErrLedgerExists) {
		t.Errorf("over a ledger: %v", err)
	}
	os.Remove(f.path(checkpointFile))
	if _, err := Create(f.dir, "Other", nil); !errors.Is(err, ErrLedgerExists) {
		t.Errorf("over a damaged ledger: %v", err)
	}
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "mine.txt"), nil, 0o600)
	if _, err := Create(dir, "Other", nil); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("beside a file: %v", err)
	}
	if _, err := Create(t.TempDir(), " bad name", nil); !errors.Is(err, contract.ErrConfig) {
		t.Errorf("bad name: %v", err)
	}
	_, err := create(t.TempDir(), "N", Options{}, onNFS{})
	if network, ok := fault.As(err, ErrNetworkFS); !ok || network.Value("fs") != "nfs" {
		t.Errorf("create on nfs: %v", err)
	}
	if _, err := open(f.dir, Options{}, onNFS{}); !errors.Is(err, ErrNetworkFS) {
		t.Errorf("open on nfs: %v", err)
	}
}

// TestFormat: a folder of another version is not half read.
func TestFormat(t *testing.T) {
	f, clock := newLedger(t)
	mustAppend(t, f, newWriter(t, f, 1).batch(3))
	f.Close()
	for _, c := range []struct {
		version uint64
		change  func()
	}{
		{2, func() { os.WriteFile(f.path(formatFile), []byte("carekey folder 2\n"), 0o600) }},
		{3, func() { os.WriteFile(f.path(formatFile), []byte("carekey folder 3\n"), 0o600) }},
		{4, func() { os.WriteFile(f.path(formatFile), []byte("carekey folder 4\n"), 0o600) }},
		{6, func() { os.WriteFile(f.path(formatFile), []byte("carekey folder 6\n"), 0o600) }},
		{1, func() {
			os.Remove(f.path(formatFile))
			os.WriteFile(f.path("hashes"), nil, 0o600)
		}},
	} {
		c.change()
		_, err := Open(f.dir, Options{Clock: clock.now})
		e, ok := errors.AsType[*fault.Error](err)
		if !ok || e.Code != ErrFormat || e.Value("version") != c.version || e.Value("dir") != f.dir {
			t.Errorf("version %d: %v", c.version, err)
		}
		if _, err := Create(f.dir, "N", nil); err == nil {
			t.Errorf("version %d: a ledger was made over it", c.version)
		}
	}
}

func TestOpenWithoutLedger(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	os.WriteFile(file, []byte("x"), 0o600)
	for _, d := range []string{dir, filepath.Join(dir, "missing"), file} {
		if _, err := Open(d, Options{}); !errors.Is(err, ErrNoLedger) {
			t.Errorf("Open(%s): %v", d, err)
		}
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("Open left %v", names)
	}
}

func TestModes(t *testing.T) {
	for _, c := range []struct{ dir, file, key fs.FileMode }{
		{0o700, 0o600, 0o600},
		{fs.ModeSetgid | 0o770, 0o660, 0o660},
		{0o755, 0o644, 0o640},
	} {
		dir := t.TempDir()
		if err := os.Chmod(dir, c.dir); err != nil {
			t.Fatal(err)
		}
		f, err := Create(dir, "N", nil)
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, f, newWriterNow(t, f).batch(3))
		f.Close()
		filepath.WalkDir(dir, func(p string, d fs.DirEntry, _ error) error {
			info, err := os.Lstat(p)
			if err != nil {
				t.Fatal(err)
			}
			want := c.file
			switch {
			case d.IsDir() && (d.Name() == "keys" || d.Name() == "keeper" || d.Name() == "filings"):
				want = c.dir &^ 0o007
			case d.IsDir():
				want = c.dir
			case strings.Contains(p, "/keys/") || strings.Contains(p, "/filings/"):
				want = c.key
			}
			if got := info.Mode() & (fs.ModePerm | fs.ModeSetgid); got != want {
				t.Errorf("folder %v: %s is %v, want %v", c.dir, d.Name(), got, want)
			}
			return nil
		})
	}
}

func newWriterNow(t testing.TB, f *Folder) *writer {
	w := newWriter(t, f, 1)
	w.hour = contract.Hour(time.Now().Unix() / 3600)
	return w
}

// edge is the right edge of a growing RFC 6962 tree: the roots of its full
// subtrees, largest first.
type edge struct {
	n     uint64
	roots []tlog.Hash
}

func (e *edge) add(h tlog.Hash) {
	for n := e.n; n&1 == 1; n >>= 1 {
		h = tlog.NodeHash(e.roots[len(e.roots)-1], h)
		e.roots = e.roots[:len(e.roots)-1]
	}
	e.roots = append(e.roots, h)
	e.n++
}

func (e *edge) root() crypto.Hash {
	h := e.roots[len(e.roots)-1]
	for i := len(e.roots) - 2; i >= 0; i-- {
		h = tlog.NodeHash(e.roots[i], h)
	}
	return crypto.Hash(h)
}
