package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// litter is what other programs leave in folders, with names that come near to ours.
func litter(in string) []string {
	names := []string{
		".DS_Store", "desktop.ini", "Thumbs.db", "._genesis", ".fuse_hidden0000012300000001", ".nfs0000000000123", ".new", ".new-1", ".sync.ffs_db", "lost+found/x",
		"@eaDir/x", ".stfolder/x", ".Trash-1000/files/x", "System Volume Information/x", "notes.txt",
		"0", "00", "480720x", strings.Repeat("A", 64), strings.Repeat("a", 63), strings.Repeat("a", 64) + ".new~", strings.Repeat("a", 64) + " (conflicted copy 2026-11-28)",
		strings.Repeat("b", 23), strings.Repeat("B", 24), "0000480720-" + strings.Repeat("C", 24), "0000480720-" + strings.Repeat("c", 24) + ".conflict", "480720-x",
	}
	if in == "keeper/shares" {
		names = slices.DeleteFunc(names, func(n string) bool { return n == "0" })
	}
	return names
}

// foldersOf are all folders of a ledger, with slashes.
func foldersOf(t testing.TB, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			all = append(all, relativeTo(dir, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// livedIn is a ledger in which every kind of file is.
func livedIn(t *testing.T) (f *Folder, clock *testClock, p *people, g *given) {
	t.Helper()
	f, clock = newLedger(t)
	p = newPeople(t, f.id)
	g, stopped := p.grant(), p.grant()
	p.addGrant(f, g)
	p.addGrant(f, stopped)
	_, err := f.keeper.Revoke(ctx, []contract.Entry{p.revocation(stopped)})
	p.must(err)
	p.addRecord(f, p.record(contract.PieceSize+100, nil))
	p.addGrants(f, many)
	access, put := p.access(g, clock.hour)
	r, _ := p.request(g, access, f.keeper.Key())
	_, err = f.keeper.Release(ctx, r)
	p.must(err)
	p.must(f.store.PutBlobs(ctx, []ledgerclient.Put{put}))
	mustAppend(t, f, []contract.Entry{access})
	return f, clock, p, g
}

// A name that carekey never writes is nobody's: in every folder it is passed over by
// all that reads and writes there, told of by Strangers, and never removed.
func TestStrangers(t *testing.T) {
	lane.OneGoroutine(t)
	f, clock, p, g := livedIn(t)
	up, err := f.store.Upload(ctx) // a stage that a killed process leaves
	p.must(err)
	_, err = up.Write([]byte("half"))
	p.must(err)
	if strange, damaged, err := (&log{dir: f.dir}).Strangers(); len(strange) > 0 || len(damaged) > 0 || err != nil {
		t.Fatalf("of carekey's own: %v %v %v", strange, damaged, err)
	}
	p.must(f.Close())
	var left []string // paths of what others have left
	for _, in := range foldersOf(t, f.dir) {
		for _, name := range litter(in) {
			path := filepath.Join(f.dir, in, filepath.FromSlash(name))
			p.must(os.MkdirAll(filepath.Dir(path), 0o700))
			p.must(os.WriteFile(path, []byte("junk"), 0o600))
			left = append(left, path)
		}
	}
	dst := filepath.Join(t.TempDir(), "copy")
	use := func() {
		t.Helper()
		f, err := open(f.dir, Options{Clock: clock.now}, systemFiles{})
		p.must(err)
		defer f.Close()
		more := p.record(300, nil)
		p.addRecord(f, more)
		p.addGrant(f, p.grant())
		packed := p.addGrants(f, many)
		_, err = f.keeper.Revoke(ctx, []contract.Entry{p.revocation(packed[1])})
		p.must(err)
		if _, err := fetched(t, f.store, g.puts[0].Locators[0]); err != nil {
			t.Errorf("a payload: %v", err)
		}
		w := p.withdrawal(more)
		mustAppend(t, f, []contract.Entry{w})
		p.must(f.store.Erase(ctx, w))
		mustVerify(t, f)
		copied(t, f, dst)
	}
	use()
	strange, damaged, err := (&log{dir: f.dir}).Strangers()
	p.must(err)
	if len(damaged) > 0 {
		t.Errorf("damaged: %v", damaged)
	}
	for _, path := range left {
		if !slices.ContainsFunc(strange, func(s string) bool {
			return path == f.path(s) || strings.HasPrefix(path, f.path(s)+string(filepath.Separator))
		}) {
			t.Errorf("not told of: %s", path)
			break
		}
	}
	if strange, _, err := (&log{dir: dst}).Strangers(); len(strange) > 0 || err != nil {
		t.Errorf("copied too: %v %v", strange, err)
	}
	// What came without an entry, and what a killed process was writing, goes after a
	// while; what is not carekey's stays.
	p.must(func() error {
		f, err := open(f.dir, Options{Clock: clock.now}, systemFiles{})
		if err != nil {
			return err
		}
		defer f.Close()
		return f.store.PutBlobs(ctx, p.grant().puts)
	}())
	for _, dir := range foldersOf(t, f.dir) {
		p.must(os.Chtimes(f.path(dir), clock.now(), clock.now()))
	}
	half := up.(*upload).path
	p.must(os.Chtimes(half, clock.now(), clock.now()))
	clock.hour += 3
	use()
	if _, err := os.Stat(half); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a killed process wrote is still in %s: %v", half, err)
	}
	f, err = open(f.dir, Options{Clock: clock.now}, systemFiles{})
	p.must(err)
	p.must((&Sweeper{Folder: f}).Sweep(ctx))
	p.must(f.Close())
	for _, path := range left {
		if b, err := os.ReadFile(path); err != nil || string(b) != "junk" {
			t.Errorf("%s is gone: %v", path, err)
		}
	}
}
