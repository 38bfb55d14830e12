package folder

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// destroyedAt tells whether a byte of a pack belongs to the noise of a record
// that has ended.
func destroyedAt(f *Folder, name string, at int) bool {
	if strings.HasPrefix(name, "payloads/") {
		s, err := f.ground().openSegment(f.path(name), false)
		if err != nil {
			return false
		}
		defer s.Close()
		gone := false
		s.scan(0, func(r *segRecord) error {
			gone = gone || r.mark == markGone && int64(at) >= r.start() && int64(at) < r.next()
			return nil
		}, func(int64, int64) {})
		return gone
	}
	for range 1 {
		p, err := openPack(f.path(name))
		if err != nil {
			continue
		}
		file, err := os.Open(p.path)
		if err != nil {
			return false
		}
		defer file.Close()
		rows, err := p.all(file)
		if err != nil {
			return false
		}
		for _, s := range spans(rows) {
			if m, err := readMark(file, s); err == nil && m == packGone && int64(at) >= s.offset+markSize && int64(at) < s.offset+int64(s.length) {
				return true
			}
		}
	}
	return false
}

// A batch is one file in the store and one at the keeper. All of it is served as
// if each payload were a file, from a new process too; putting the same again is a
// no-op; and no locator, and no time finer than the hour, is in it.
func TestPacks(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	grants := p.addGrants(f, packFrom)
	shape := func() (blobs, packs, shares, sharePacks int) {
		return 0, len(listed(t, f.dir, "payloads")),
			len(listed(t, f.dir, "keeper", "shares")), len(listed(t, f.dir, "keeper", "packs"))
	}
	if b, k, s, sk := shape(); b != 0 || k != 1 || s != 0 || sk != 1 {
		t.Fatalf("%d folders of payloads, %d packs; %d folders of shares, %d packs", b, k, s, sk)
	}
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
		if b, k, s, sk := shape(); b != 0 || k != 1 || s != 0 || sk != 1 {
			t.Fatalf("again: %d folders of payloads, %d packs; %d folders of shares, %d packs", b, k, s, sk)
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
	// A locator of a packed payload leads nobody elsewhere.
	o := p.grant()
	o.puts[0].Locators[0] = grants[5].puts[0].Locators[0]
	var refused *ledgerclient.StoreError
	if err := f.store.PutBlobs(ctx, o.puts); !errors.As(err, &refused) || refused.Reason != ledgerclient.BadLocators {
		t.Errorf("locator of another: %v", err)
	}
	again := []ledgerclient.Put{grants[5].puts[0]}
	again[0].Locators = []crypto.Locator{{9}}
	if err := f.store.PutBlobs(ctx, again); !errors.As(err, &refused) || refused.Reason != ledgerclient.BadLocators {
		t.Errorf("another locator: %v", err)
	}
}

// The end of one share in a pack overwrites its bytes and no other's; the pack is
// gone with its last share.
func TestSharesInPackAreGone(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	grants := p.addGrants(f, packFrom)
	name := listed(t, f.dir, "keeper", "packs")[0]
	path := f.ground().path("keeper", "packs", name)
	// What a killed deposit left is destroyed with the next end of any share.
	p.must(os.WriteFile(path+newSuffix, mustRead(t, path), 0o600))
	eye, err := os.Open(path + newSuffix)
	p.must(err)
	defer eye.Close()
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
	left := make([]byte, 1<<20)
	n, _ := eye.ReadAt(left, 0)
	if bytes.Contains(left[:n], secretOf(grants[1])) {
		t.Error("a killed deposit's pack was removed, but not overwritten")
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
	if left := listed(t, f.dir, "keeper", "packs"); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	mustVerify(t, f)
}

// Windows that are over are swept from packs too.
func TestSweepPacks(t *testing.T) {
	lane.OneGoroutine(t)
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	grants := p.addGrants(f, packFrom)
	end := grants[0].entry.NotAfter
	clock.hour = end + keeper.GraceHours
	f.accept = true
	later := p.grantUntil(clock.hour + 500)
	p.addGrant(f, later)
	access, _ := p.access(later, clock.hour)
	r, _ := p.request(later, access, f.keeper.Key())
	_, err := f.keeper.Release(ctx, r)
	p.must(err)
	if left := listed(t, f.dir, "keeper", "packs"); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	mustVerify(t, f)
}

// A share or payload that was damaged in its pack can be brought again, whatever
// byte it was.
func TestPackHeals(t *testing.T) {
	lane.OneGoroutine(t)
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	grants := p.addGrants(f, packFrom)
	g := grants[11]
	for _, dir := range []string{"keeper"} {
		path := filepath.Join(f.dir, dir, "packs", listed(t, f.dir, dir, "packs")[0])
		good := mustRead(t, path)
		key := crypto.Hash(g.id)
		pk, err := openPack(path)
		p.must(err)
		at, err := pk.search(key)
		p.must(err)
		flips := map[int64]byte{}
		for _, off := range []int64{0, 9, 20, 30, 40, 47, 60, at[0].offset, at[0].offset + markSize, at[0].offset + markSize + 33, at[0].offset + int64(at[0].length) - 1} {
			flips[off] = 0x41
		}
		for off, flip := range flips {
			dst := filepath.Join(t.TempDir(), "l")
			copyDir(t, f.dir, dst)
			bad := bytes.Clone(good)
			bad[off] ^= flip
			p.must(os.WriteFile(filepath.Join(dst, dir, "packs", filepath.Base(path)), bad, 0o600))
			h, err := open(dst, Options{Clock: clock.now}, unsyncedFiles{}, noNetwork)
			p.must(err)
			var damaged *DamagedError
			if _, err := h.Verify(ctx, Verified{}, nil); !errors.As(err, &damaged) || damaged.File != dir+"/packs/"+filepath.Base(path) {
				t.Errorf("%s, byte %d: %v", dir, off, err)
			}
			p.must(h.store.PutBlobs(ctx, g.puts))
			_, err = h.keeper.Deposit(ctx, []ledgerclient.Deposit{p.deposit(g, h.keeper.Key())})
			p.must(err)
			for _, put := range g.puts {
				p.mustFetch(h, put.Locators[1], put.Blob)
			}
			if st, err := g.stateAt(h); err != nil || !st.Held {
				t.Errorf("%s, byte %d: %+v, %v", dir, off, st, err)
			}
			h.Close()
		}
	}
}

// Payloads whose entries never came are overwritten in their pack, those of the
// others stay.
func TestDropFromPack(t *testing.T) {
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

// FuzzPack: whatever a pack holds, reading it ends, finds nothing that is not
// under its check, and never panics.
func FuzzPack(f *testing.F) {
	w := &packWriter{}
	for i := range 5 {
		w.add([]crypto.Hash{{byte(i * 40)}, {byte(i), 7}}, []byte("record"))
	}
	head, records := w.bytes()
	f.Add(append(bytes.Clone(head), records...))
	f.Add(head)
	f.Add([]byte(packMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "pack")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := openPack(path)
		if err != nil {
			if err != errPack {
				t.Fatal(err)
			}
			return
		}
		if len(p.filter) > len(data) {
			t.Fatalf("filter of %d bytes in %d", len(p.filter), len(data))
		}
		sound := p.check(func(body []byte, keys []crypto.Hash) bool { return true }) == nil
		for i := range 5 {
			found, err := p.search(crypto.Hash{byte(i * 40)})
			if sound && err != nil {
				t.Fatal(err)
			}
			for _, at := range found {
				if at.length < markSize || at.offset+int64(at.length) > int64(len(data)) {
					t.Fatalf("%+v", at)
				}
			}
		}
	})
}
