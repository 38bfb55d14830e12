package server

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
)

// smallDisk mounts a disk in memory of so many bytes and files. It takes root.
func smallDisk(t *testing.T, options string) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "carekey-disk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skipf("a disk of its own: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// tiny makes payloads of a few bytes, each for an entry that is never ordered.
func (w *world) tiny(n int) (puts []ledgerclient.Put) {
	for range n {
		blob := crypto.Blob(crypto.NewSalt(), []byte("x"))
		e := w.sign(contract.Entry{
			Kind: contract.KindAccess, Subject: crypto.Hash{1}, NotBefore: w.hour() - 1, NotAfter: w.hour() + 48,
			Commitment: contract.AccessCommitment(crypto.BlobHash(blob)),
		}, crypto.GenerateKey())
		loc := crypto.Locator(e.ID(w.ledger))
		puts = append(puts, ledgerclient.Put{Entry: e, Part: ledgerclient.PartAccess, Blob: blob, Locators: []crypto.Locator{loc}})
	}
	return puts
}

// taken is what the files below a folder take.
func taken(t *testing.T, dir string) (s space) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		s.bytes += info.Sys().(*syscall.Stat_t).Blocks * 512
		s.files++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

// What is counted for payloads is at least what they take, of every kind.
func TestSpaceIsWhatPayloadsTake(t *testing.T) {
	w := newWorld(t, nil)
	var few, many []ledgerclient.Put
	for i := range 40 {
		if g := w.grant(); i < 4 {
			few = append(few, g.puts...)
		} else {
			many = append(many, g.puts...)
		}
	}
	for name, puts := range map[string][]ledgerclient.Put{
		"tiny": w.tiny(50), "metadata": {w.record(10).put}, "few grants": few, "many grants": many,
	} {
		before := taken(t, w.dir)
		w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal(puts)))
		now, need := taken(t, w.dir), spaceOf(puts)
		if bytes, files := now.bytes-before.bytes, now.files-before.files; bytes > need.bytes || files > need.files {
			t.Errorf("%s: %d bytes in %d files, counted were %+v", name, bytes, files, need)
		}
	}
}

// The same of deposits, which hold the package of their grant.
func TestSpaceIsWhatDepositsTake(t *testing.T) {
	w := newWorld(t, nil)
	var deposits []ledgerclient.Deposit
	for i := range 8 {
		g := w.grant()
		for i > 3 && g.pkg.N < 255 { // a grant with many keepers
			g.pkg.N++
			g.pkg.Shares = append(g.pkg.Shares, crypto.Hash{byte(g.pkg.N)})
		}
		g.entry.NotAfter += contract.Hour(i) // a file of its own
		g.entry.Commitment = g.pkg.Commitment()
		w.must(g.entry.Sign(w.ledger, g.key))
		g.id = g.entry.ID(w.ledger)
		w.order(g.entry)
		deposits = append(deposits, w.deposit(g))
	}
	before := taken(t, w.dir)
	_, codes, err := said(node.ReceiptsForm.Parse(w.ok(w.post(node.PathDeposit, node.DepositsForm.Marshal(deposits)))))
	w.must(err)
	now, need := taken(t, w.dir), spaceOfDeposits(deposits)
	if bytes, files := now.bytes-before.bytes, now.files-before.files; bytes > need.bytes || files > need.files {
		t.Errorf("%d bytes in %d files for %v, counted were %+v", bytes, files, codes, need)
	}
}

// Of several requests at the same time each sees what the others will need.
func TestSpaceIsTakenAtOnce(t *testing.T) {
	for name, left := range map[string]space{"bytes": {10<<20 + 4<<20*4, 1 << 30}, "files": {1 << 40, 1000/16 + 4*10}} {
		d := &ledgerDisk{reserve: 10 << 20, free: func(string) (free, all space, ok bool) { return left, space{1 << 50, 1000}, true }}
		var in atomic.Int32
		var wg sync.WaitGroup
		var frees []func()
		var mu sync.Mutex
		for range 32 {
			wg.Go(func() {
				if free, ok := d.take(space{4 << 20, 10}); ok {
					in.Add(1)
					mu.Lock()
					frees = append(frees, free)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if in.Load() != 4 {
			t.Errorf("%s: %d requests are let in where there is room for 4", name, in.Load())
		}
		for _, free := range frees {
			free()
		}
		if d.coming != (space{}) {
			t.Errorf("%s: %+v stays taken", name, d.coming)
		}
	}
}

// Promise 4 at a node whose disk one address fills with tiny payloads, many requests at
// a time: it keeps its reserve of bytes and of files. And when something else fills
// that too, the consent is stopped, acknowledged and ended all the same, also for the
// node that is started anew.
func TestStrangersFillTheDisk(t *testing.T) {
	t.Setenv("TMPDIR", smallDisk(t, "size=48m,nr_inodes=6000"))
	// Payloads that came together lie behind one another: it takes many to fill a disk.
	limits := Limits{Reserve: 47 << 20, Rate: Rate{-1, 0}, Bytes: Rate{-1, 0}, Checks: Rate{-1, 0}}
	options := func(o *Options) { o.Limits = limits }
	w := newWorld(t, options)
	var victims []*given
	var requests []ledgerclient.Request
	for range 4 {
		g := w.grant()
		w.give(g)
		access, put := w.access(g)
		w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal([]ledgerclient.Put{put})))
		w.order(access)
		r, _ := w.request(g, access)
		if a := w.release(&r); a.Code != ledgerclient.Released {
			t.Fatal(a.Code)
		}
		victims, requests = append(victims, g), append(requests, r)
	}
	bodies := make([][]byte, 40)
	for i := range bodies {
		bodies[i] = node.PutsForm.Marshal(w.tiny(100))
	}
	var full atomic.Int32
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for i := n; i < len(bodies); i += 4 {
				r := w.post(node.PathBlobs, bodies[i])
				if p, err := node.ParseProblem(r.body); err == nil && p.Kind == node.KindFull {
					full.Add(1)
				}
			}
		})
	}
	wg.Wait()
	left, all, _ := freeSpace(w.dir)
	if full.Load() == 0 || left.bytes < limits.Reserve || left.files < reserveFiles(all.files) {
		t.Errorf("%d requests were told that the disk is full; left are %+v of %+v", full.Load(), left, all)
	}
	// Something else fills what is left.
	for i := 0; ; i++ {
		if err := os.WriteFile(filepath.Join(os.TempDir(), "junk"+string(rune('a'+i%26))+filepath.Base(os.TempDir())+string(rune(0x4e00+i))), nil, 0o600); err != nil {
			break
		}
	}
	for i, g := range victims[:3] {
		e := w.revocation(g)
		acks, codes, err := said(node.AcknowledgementsForm.Parse(w.ok(w.post(node.PathRevoke, node.EntriesForm.Marshal([]contract.Entry{e})))))
		w.must(err)
		if codes[0] != ledgerclient.Released {
			t.Fatal(codes[0])
		}
		w.must(acks[0].Verify(w.ledger, g.id, w.keeper))
		if a := w.release(&requests[i]); a.Code != ledgerclient.Revoked {
			t.Errorf("stopped, and answered %s", a.Code)
		}
		w.refused("a grant", w.post(node.PathEntries, node.EntriesForm.Marshal([]contract.Entry{w.grant().entry})), node.KindFull)
		if i < 2 {
			w.order(e)
		}
	}
	w.http.Close() // the folder is not closed: the process was killed
	w.start(options)
	for i := range victims {
		want := ledgerclient.Revoked
		if i == 3 {
			want = ledgerclient.Released
		}
		if a := w.release(&requests[i]); a.Code != want {
			t.Errorf("after all of it grant %d is answered %s", i, a.Code)
		}
	}
}
