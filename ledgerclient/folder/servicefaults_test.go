package folder

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
)

// serviceScript is one life of a folder's store and keeper, each step of which
// can be repeated.
type serviceScript struct {
	p       *people
	grants  []*given
	record  *version
	revoke  contract.Entry // of grants[0]
	entries []contract.Entry
	asked   ledgerclient.Request // of grants[1], without an access
	unfiled bool                 // there was no room when it was refused, so that it was only counted
}

func newServiceScript(t *testing.T, f *Folder, grants int) *serviceScript {
	s := &serviceScript{p: newPeople(t, f.id)}
	s.record = s.p.record(contract.PieceSize+50, nil)
	s.entries = []contract.Entry{s.record.entry}
	for range grants {
		g := s.p.grant()
		s.grants = append(s.grants, g)
		s.entries = append(s.entries, g.entry)
	}
	s.revoke = s.p.revocation(s.grants[0])
	access, _ := s.p.access(s.grants[1], testHour)
	s.asked, _ = s.p.request(s.grants[1], access, f.config.Keepers[0])
	return s
}

// steps returns what is done, in order.
func (s *serviceScript) steps() []func(f *Folder) error {
	var puts []ledgerclient.Put
	var deposits []ledgerclient.Deposit
	return []func(f *Folder) error{
		func(f *Folder) error { return uploaded(f.store, s.record) },
		func(f *Folder) error {
			puts = []ledgerclient.Put{s.record.put}
			for _, g := range s.grants {
				puts = append(puts, g.puts...)
			}
			return f.store.PutBlobs(ctx, puts)
		},
		func(f *Folder) error { _, err := f.Append(ctx, s.entries); return err },
		func(f *Folder) error {
			deposits = nil
			for _, g := range s.grants {
				deposits = append(deposits, s.p.deposit(g, f.keeper.Key()))
			}
			_, err := f.keeper.Deposit(ctx, deposits)
			return err
		},
		func(f *Folder) error { _, err := f.keeper.Release(ctx, s.asked); return err },
		func(f *Folder) error { _, err := f.keeper.Revoke(ctx, []contract.Entry{s.revoke}); return err },
		func(f *Folder) error { _, err := f.Append(ctx, []contract.Entry{s.revoke}); return err },
		func(f *Folder) error { _, err := f.keeper.Revoke(ctx, []contract.Entry{s.revoke}); return err },
		func(f *Folder) error {
			w := s.withdrawal()
			if _, err := f.Append(ctx, []contract.Entry{w}); err != nil {
				return err
			}
			return f.store.Erase(ctx, w)
		},
	}
}

func (s *serviceScript) withdrawal() contract.Entry {
	e := contract.Entry{
		Version: contract.Version, Kind: contract.KindRecord, Flags: contract.FlagWithdrawn, Author: s.record.key.Public(),
		Subject: s.record.id, NotBefore: testHour - 1, NotAfter: testHour + 48, Commitment: s.record.entry.Commitment,
	}
	s.p.must(e.Sign(s.p.ledger, s.record.key))
	return e
}

// check requires that what was acknowledged holds, whatever happened since.
func (s *serviceScript) check(t *testing.T, f *Folder, done int, at int) {
	t.Helper()
	fail := func(what string, err error) {
		t.Helper()
		t.Fatalf("operation %d, %d steps done: %s: %v", at, done, what, err)
	}
	if _, err := f.Verify(ctx, nil, nil); err != nil {
		fail("verify", err)
	}
	if done >= 2 {
		for _, g := range s.grants {
			for _, put := range g.puts {
				for _, loc := range put.Locators {
					if got, err := fetched(t, f.store, loc); err != nil || !bytes.Equal(got, put.Blob) {
						fail("payload", err)
					}
				}
			}
		}
	}
	if done >= 1 && done < 8 {
		if got, err := fetched(t, f.store, s.record.upload.Locators[0]); err != nil || !bytes.HasPrefix(got, s.record.content) {
			fail("content", err)
		}
	}
	if done >= 9 {
		var none *ledgerclient.NotFoundError
		if _, err := f.store.Blob(ctx, s.record.upload.Locators[0]); !errors.As(err, &none) {
			fail("erased content", err)
		}
	}
	st, err := s.grants[1].stateAt(f)
	if err != nil || done >= 4 && !st.Held {
		fail("share", err)
	}
	filed, _, err := vault{f.ground()}.Filed(ctx, s.grants[1].id)
	if err != nil || done >= 5 && len(filed) != 1 && !s.unfiled || len(filed) > 1 {
		fail("filed refusal", err)
	}
	st, err = s.grants[0].stateAt(f)
	if err != nil || done >= 6 && st.Ended == 0 || done >= 8 && st != (ledgerclient.KeeperState{Grant: s.grants[0].id, Ended: ledgerclient.DestroyedShare}) {
		fail("stop", err)
	}
	if done >= 8 {
		if found := filesWith(t, f.dir, secretOf(s.grants[0])); len(found) > 0 {
			fail("share is in "+strings.Join(found, ", "), nil)
		}
	}
}

// TestServicesKilledAtEveryOperation ends the process at each file operation of
// store and keeper, before it and in the middle of a write; and lets each fail
// once. Afterwards everything that was acknowledged holds, and a new process
// brings the rest to its end.
func TestServicesKilledAtEveryOperation(t *testing.T) {
	lane.OneGoroutine(t)
	for _, test := range []struct {
		name   string
		grants int
		step   int // every how many operations
	}{{"few", 2, lane.Pick(1, 9, 9)}, {"many", 34, lane.Pick(17, 83, 83)}} {
		t.Run(test.name, func(t *testing.T) {
			origin, clock := newLedger(t)
			s := newServiceScript(t, origin, test.grants)
			origin.Close()
			life := func(x *faultyFiles) (dir string, done int) {
				dir = filepath.Join(t.TempDir(), "l")
				copyDir(t, origin.dir, dir)
				f, err := open(dir, Options{Clock: clock.now}, x)
				if err != nil && x.once != nil {
					f, err = open(dir, Options{Clock: clock.now}, x)
				}
				if err != nil {
					return dir, 0
				}
				defer f.closeFiles()
				s.unfiled = false
				for i, step := range s.steps() {
					before := x.count
					err := step(f)
					s.unfiled = s.unfiled || i == 4 && x.once != nil && before < x.at && x.at <= x.count
					if err != nil && x.once != nil {
						err = step(f) // it failed once: now it works
					}
					if err != nil {
						return dir, done
					}
					done++
				}
				return dir, done
			}
			count := newFaults()
			dir, done := life(count)
			if done != len(s.steps()) {
				t.Fatalf("%d steps without faults", done)
			}
			total := count.count
			if total < 80 {
				t.Fatalf("only %d operations", total)
			}
			finish := func(dir string, done, at int) {
				f, err := open(dir, Options{Clock: clock.now}, unsyncedFiles{})
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				s.check(t, f, done, at)
				for i, step := range s.steps() {
					if i < done-1 {
						continue // the last one done is done again, which is harmless
					}
					if err := step(f); err != nil && !(i < 2 && done > 8) {
						t.Fatalf("operation %d: step %d afterwards: %v", at, i, err)
					}
				}
				s.check(t, f, len(s.steps()), at)
			}
			finish(dir, done, 0)
			killed, failed := 0, 0
			for at := 1; at <= total; at += test.step {
				x := newFaults()
				x.at, x.torn = at, at%2 == 0
				dir, done := life(x)
				finish(dir, done, at)
				killed++
				if test.step == 1 && at%2 == 0 {
					continue
				}
				x = newFaults()
				x.at, x.torn, x.once = at, at%4 == 1, syscall.ENOSPC
				dir, done = life(x)
				if done != len(s.steps()) {
					t.Fatalf("operation %d failed once: %d steps at the second try", at, done)
				}
				finish(dir, done, at)
				failed++
			}
			t.Logf("killed at %d, failed at %d of %d operations", killed, failed, total)
		})
	}
}

// Verify finds every byte of store and keeper that a reader would use, changed,
// cut off, added or gone, and names the file.
func TestVerifyServices(t *testing.T) {
	lane.OneGoroutine(t)
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	g, stopped := p.grant(), p.grant()
	p.addGrant(f, g)
	p.addGrant(f, stopped)
	_, err := f.keeper.Revoke(ctx, []contract.Entry{p.revocation(stopped)})
	p.must(err)
	v := p.record(2*contract.PieceSize+100, nil)
	p.addRecord(f, v)
	packed := p.addGrants(f, many)
	mustAppend(t, f, []contract.Entry{p.revocation(packed[3])})
	_, err = f.keeper.Revoke(ctx, []contract.Entry{p.revocation(packed[3])})
	p.must(err)
	access, put := p.access(g, clock.hour)
	r, _ := p.request(g, access, f.keeper.Key())
	_, err = f.keeper.Release(ctx, r)
	p.must(err)
	p.must(f.store.PutBlobs(ctx, []ledgerclient.Put{put}))
	mustAppend(t, f, []contract.Entry{access})
	link := newLinkScript(t, f)
	if had, kept := link.live(f); had != linkPlaces || !kept {
		t.Fatalf("%d had what is behind the link", had)
	}
	mustVerify(t, f)

	kinds := map[string]int{}
	files := snapshotDir(t, f.dir)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		top, _, _ := strings.Cut(name, "/")
		if top != "payloads" && top != "contents" && top != "keeper" {
			continue
		}
		kind := filepath.Base(filepath.Dir(name))
		kinds[kind]++
		good := []byte(files[name])
		path := f.path(name)
		try := func(what string, bad []byte) {
			t.Helper()
			var err error
			if bad == nil {
				err = os.Remove(path)
			} else {
				err = os.WriteFile(path, bad, 0o600)
			}
			p.must(err)
			_, err = f.Verify(ctx, nil, nil)
			var damaged *DamagedError
			if !errors.As(err, &damaged) {
				t.Errorf("%s, %s: %v", name, what, err)
			} else if damaged.File != name && bad != nil {
				t.Errorf("%s, %s: names %s", name, what, damaged.File)
			}
			p.must(os.WriteFile(path, good, 0o600))
		}
		n := lane.Pick(16, 4, 4)
		if kind != "contents" {
			n = lane.Pick(400, 20, 20)
		}
		for k := range n {
			at := k * (len(good) - 1) / (n - 1)
			if destroyedAt(f, name, at) || kind == "filings" && at >= int(f.ground().filings.end) {
				continue // noise, or room: nobody reads it
			}
			bad := bytes.Clone(good)
			bad[at] ^= 1 << (k % 8)
			try("changed", bad)
		}
		end := len(good)
		if kind == "filings" {
			end = int(f.ground().filings.end) // behind it is room
		}
		try("cut off", good[:end-1])
		try("emptied", []byte{})
		if kind != "payloads" && kind != "shares" && kind != "filings" && kind != "links" { // there it is what a killed process was writing
			try("longer", append(bytes.Clone(good), '\n'))
		}
		if top == "contents" { // of a grant a store may have nothing
			try("gone", nil)
		}
	}
	for _, kind := range []string{
		"payloads", "contents", "filings", "shares", "links",
	} {
		if kinds[kind] == 0 {
			t.Errorf("no file of %s was changed", kind)
		}
	}
	// A share under another window, and one in another's place.
	at, err := foldertest.Share(f.dir, hexName(g.id))
	p.must(err)
	to := f.ground().shares.path(g.entry.NotAfter + 1)
	p.must(os.Rename(at.File, to))
	var damaged *DamagedError
	if _, err := f.Verify(ctx, nil, nil); !errors.As(err, &damaged) {
		t.Errorf("share moved to %s: %v", to, err)
	}
	p.must(os.Rename(to, at.File))
	of, err := foldertest.Share(f.dir, hexName(stopped.id))
	p.must(err)
	for range 2 {
		p.must(foldertest.Exchange(at, of))
		if _, err := f.Verify(ctx, nil, nil); (err != nil) != (damaged != nil) {
			t.Errorf("shares exchanged: %v", err)
		}
		damaged = nil
	}
	mustVerify(t, f)
}

// TestKeeperPowerFailure cuts the power at each file operation of the keeper.
// What it gave its word for holds on every disk that may be left: a receipt means
// that the share is there, an acknowledgement that nothing is released, and the
// last one that the share's bytes are gone. No share comes back.
func TestKeeperPowerFailure(t *testing.T) {
	lane.OneGoroutine(t)
	t.Run("few", func(t *testing.T) { testKeeperPowerFailure(t, 2, lane.Pick(1, 3, 3)) })
	t.Run("many", func(t *testing.T) { testKeeperPowerFailure(t, 34, lane.Pick(4, 9, 9)) })
}

func testKeeperPowerFailure(t *testing.T, grants, every int) {
	origin, clock := newLedger(t)
	s := newServiceScript(t, origin, grants)
	mustAppend(t, origin, s.entries)
	origin.Close()
	script := s.steps()
	steps := []func(*Folder) error{script[3], script[4], script[5], script[6], script[7]}
	cuts := powerFailures(t, origin, clock, every, max(1, 5-every), steps, func(g *Folder, done, at int) {
		s.checkKeeper(t, g, done, at)
		for i, step := range steps {
			if i >= done-1 {
				if err := step(g); err != nil {
					t.Fatalf("operation %d: step %d afterwards: %v", at, i, err)
				}
			}
		}
		s.checkKeeper(t, g, len(steps), at)
	})
	if every == 1 && cuts < 100 || cuts < 5 {
		t.Fatalf("only %d power failures", cuts)
	}
}

// checkKeeper is check for the steps from the deposit to the end of the share.
func (s *serviceScript) checkKeeper(t *testing.T, f *Folder, done, at int) {
	t.Helper()
	fail := func(what string, err error) {
		t.Helper()
		t.Fatalf("operation %d, %d steps done: %s: %v", at, done, what, err)
	}
	mustVerify(t, f)
	if st, err := s.grants[1].stateAt(f); err != nil || done >= 1 && !st.Held {
		fail("share", err)
	}
	if filed, _, err := (vault{f.ground()}).Filed(ctx, s.grants[1].id); err != nil || done >= 2 && len(filed) != 1 {
		fail("filed refusal", err)
	}
	st, err := s.grants[0].stateAt(f)
	if err != nil || done >= 3 && st.Ended == 0 {
		fail("stop", err)
	}
	if done >= 5 {
		if found := filesWith(t, f.dir, secretOf(s.grants[0])); st.Ended != ledgerclient.DestroyedShare || len(found) > 0 {
			fail("share is in "+strings.Join(found, ", "), nil)
		}
	}
}

// Threat: a node is killed while it orders an access, starts again, releases the
// share, and loses power: the access must be there, or nobody was told of the opening.
func TestReleasedAccessSurvivesPowerFailure(t *testing.T) {
	origin, clock := newLedger(t)
	p := newPeople(t, origin.id)
	g := p.grant()
	p.addGrant(origin, g)
	access, _ := p.access(g, clock.hour)
	r, _ := p.request(g, access, origin.keeper.Key())
	origin.Close()
	released, killed := 0, 0
	for at := 1; ; at++ {
		dir := filepath.Join(t.TempDir(), "l")
		copyDir(t, origin.dir, dir)
		x := newFaults()
		f, err := open(dir, Options{Clock: clock.now}, x)
		p.must(err)
		x.at = x.count + at
		_, err = f.Append(ctx, []contract.Entry{access})
		f.closeFiles()
		if x.at = 0; err != nil {
			killed++
		}
		again, rerr := open(dir, Options{Clock: clock.now}, x)
		p.must(rerr)
		a, rerr := again.keeper.Release(ctx, r)
		p.must(rerr)
		again.closeFiles()
		if a.Code == ledgerclient.Released {
			released++
			for seed := range uint64(8) {
				lost := filepath.Join(t.TempDir(), "lost")
				x.lose(t, rand.New(rand.NewPCG(seed, uint64(at))), dir, lost)
				f, err := open(lost, Options{Clock: clock.now}, unsyncedFiles{})
				p.must(err)
				if _, ok, err := f.Find(ctx, access.ID(f.id)); err != nil || !ok {
					t.Fatalf("killed at operation %d: released, and the access is gone (%v)", at, err)
				}
				f.closeFiles()
			}
		}
		if err == nil {
			break
		}
	}
	if killed < 5 || released < 2 {
		t.Errorf("killed %d times, released %d times", killed, released)
	}
}
