package folder

import (
	"bytes"
	"errors"
	"io"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

func secretOf(g *given) []byte {
	b := g.shares[0].Bytes()
	return b[1:]
}

// Once a revocation is on the ledger the share's bytes are nowhere in the folder:
// overwritten where they lay, and no copy stayed elsewhere.
func TestShareIsGone(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	g, other := p.grant(), p.grant()
	p.addGrant(f, g)
	p.addGrant(f, other)
	file := f.ground().shares.path(g.entry.NotAfter)
	if found := filesWith(t, f.dir, secretOf(g)); len(found) != 1 || f.path(found[0]) != file {
		t.Fatalf("the share is in %v", found)
	}
	// Whoever has the file open sees what becomes of its bytes.
	eye, err := os.Open(file)
	p.must(err)
	defer eye.Close()

	e := p.revocation(g)
	acks, err := f.keeper.Revoke(ctx, []contract.Entry{e})
	p.must(err)
	if acks[0].End != ledgerclient.Stopped || len(filesWith(t, f.dir, secretOf(g))) == 0 {
		t.Fatalf("destroyed before the ledger ordered it: %s", acks[0].End)
	}
	if access, _ := p.access(g, testHour); true {
		mustAppend(t, f, []contract.Entry{access})
		r, _ := p.request(g, access, f.keeper.Key())
		if a, err := f.keeper.Release(ctx, r); err != nil || a.Code != ledgerclient.Revoked {
			t.Errorf("stopped, and yet %s, %v", a.Code, err)
		}
	}
	mustAppend(t, f, []contract.Entry{e})
	acks, err = f.keeper.Revoke(ctx, []contract.Entry{e})
	p.must(err)
	p.must(acks[0].Verify(f.id, g.id, f.keeper.Key()))
	if acks[0].End != ledgerclient.DestroyedShare {
		t.Fatalf("%s", acks[0].End)
	}
	if found := filesWith(t, f.dir, secretOf(g)); len(found) > 0 {
		t.Errorf("the share is still in %v", found)
	}
	left, err := io.ReadAll(eye)
	p.must(err)
	if len(left) == 0 || bytes.Contains(left, secretOf(g)[:8]) || bytes.Contains(left, g.pkg.Marshal()[:16]) {
		t.Error("removed, but not overwritten")
	}
	if len(filesWith(t, f.dir, secretOf(other))) != 1 {
		t.Error("another grant's share is gone")
	}
	if _, err := f.keeper.Deposit(ctx, []ledgerclient.Deposit{p.deposit(g, f.keeper.Key())}); err == nil {
		t.Error("the share came back")
	}
	mustVerify(t, f)
}

// Threat: a recipient asks again and again while the patient revokes. Once she has the
// keeper's acknowledgement no request that comes then is answered with a share, whoever
// of several processes it comes to.
func TestNothingIsReleasedAfterTheAcknowledgement(t *testing.T) {
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	g := p.grant()
	p.addGrant(f, g)
	access, _ := p.access(g, clock.hour)
	mustAppend(t, f, []contract.Entry{access})
	r, _ := p.request(g, access, f.keeper.Key())
	other, err := Open(f.dir, Options{Clock: clock.now})
	p.must(err)
	defer other.Close()
	var acknowledged atomic.Bool
	var begun, askers sync.WaitGroup
	for _, k := range []ledgerclient.Keeper{f.keeper, other.keeper, other.keeper} {
		begun.Add(1)
		askers.Go(func() {
			for n := 0; ; n++ {
				late := acknowledged.Load()
				a, err := k.Release(ctx, r)
				if n == 0 {
					begun.Done()
				}
				if err != nil || late && a.Code != ledgerclient.Revoked {
					t.Errorf("%s after the acknowledgement: %v, %v", a.Code, late, err)
				}
				if late || err != nil {
					return
				}
			}
		})
	}
	begun.Wait()
	acks, err := f.keeper.Revoke(ctx, []contract.Entry{p.revocation(g)})
	acknowledged.Store(true)
	p.must(err)
	p.must(acks[0].Verify(f.id, g.id, f.keeper.Key()))
	askers.Wait()
}

// Whatever folder a ledger was made in, and whatever the umask, keys and shares are
// not for every user of the machine.
func TestSharesAreNotForEverybody(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // has no such modes
	}
	for _, mode := range []os.FileMode{0o755, 0o777} {
		dir := t.TempDir()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		clock := &testClock{hour: testHour}
		f, err := Create(dir, "Test ledger", clock.now)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		p := newPeople(t, f.id)
		g := p.grant()
		p.addGrant(f, g)
		if n := len(filesWith(t, dir, secretOf(g))); n != 1 {
			t.Fatalf("the share is in %d files", n)
		}
		for _, name := range []string{"keeper", "keys"} {
			info, err := os.Stat(f.path(name))
			if err != nil || info.Mode().Perm()&0o007 != 0 || info.Mode().Perm()&0o700 != 0o700 {
				t.Errorf("%s in a folder of %s: %v, %v", name, mode, info.Mode(), err)
			}
		}
	}
}

func TestKeeperRestart(t *testing.T) {
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	held, stopped, gone := p.grant(), p.grant(), p.grant()
	for _, g := range []*given{held, stopped, gone} {
		p.addGrant(f, g)
	}
	e, d := p.revocation(stopped), p.revocation(gone)
	mustAppend(t, f, []contract.Entry{d})
	first, err := f.keeper.Revoke(ctx, []contract.Entry{e, d})
	p.must(err)
	access, put := p.access(held, clock.hour)
	r, response := p.request(held, access, f.keeper.Key())
	refusal, err := f.keeper.Release(ctx, r)
	p.must(err)

	f = reopen(t, f)
	for g, want := range map[*given]ledgerclient.KeeperState{
		held:    {Grant: held.id, Held: true},
		stopped: {Grant: stopped.id, Held: true, Ended: ledgerclient.Stopped},
		gone:    {Grant: gone.id, Ended: ledgerclient.DestroyedShare},
	} {
		if got, err := g.stateAt(f); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	again, err := f.keeper.Revoke(ctx, []contract.Entry{e, d})
	p.must(err)
	if again[0] != first[0] || again[1] != first[1] {
		t.Error("another acknowledgement than before")
	}
	q := ledgerclient.Inquiry{Ledger: f.id, Keeper: f.keeper.Key(), Grant: held.id}
	ledgerclient.Sign(&q, held.key)
	filed, err := f.keeper.Inquire(ctx, q)
	p.must(err)
	refused := filed.Refused
	if len(refused) != 1 || !reflect.DeepEqual(refused[0].Answer, refusal) || refused[0].Verify(f.id, f.keeper.Key()) != nil {
		t.Errorf("%d refusals", len(refused))
	}
	p.must(f.store.PutBlobs(ctx, []ledgerclient.Put{put}))
	mustAppend(t, f, []contract.Entry{access})
	a, err := f.keeper.Release(ctx, r)
	p.must(err)
	share, err := crypto.OpenShare(crypto.ShareContext{Ledger: f.id, Grant: held.id, Keeper: f.keeper.Key(), Access: access.ID(f.id)}, response, a.Sealed)
	p.must(err)
	if !share.Equal(held.shares[0]) {
		t.Error("another share")
	}
	mustVerify(t, f)
}

// The same request is filed once, however often it is repeated, and no more than
// the limit.
func TestRefusalsFiled(t *testing.T) {
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	g := p.grant()
	p.addGrant(f, g)
	access, _ := p.access(g, clock.hour)
	v := vault{f.ground()}
	key, err := f.readCurveKey(keeperKeyFile, f.keeper.Key())
	p.must(err)
	for i := range 5 {
		r, _ := p.request(g, access, f.keeper.Key())
		for range 3 {
			a := ledgerclient.Answer{Request: r.Hash(), Grant: g.id, Code: ledgerclient.NoAccess}
			ledgerclient.Sign(&a, key)
			p.must(v.File(ctx, ledgerclient.Refused{Request: r, Answer: a}, 4))
		}
		filed, more, err := v.Filed(ctx, g.id)
		if err != nil || len(filed) != min(i+1, 4) || more != uint32(max(0, i-3)*3) {
			t.Errorf("%d filed, %d counted, %v", len(filed), more, err)
		}
	}
	mustVerify(t, f)
	grant := g.id
	path := v.filings.path(1)
	good := mustRead(t, path)
	for _, r := range append(filedIn(t, f, filedRefused), filedIn(t, f, filedCount)...) {
		for at := r.at; at < r.start()+r.size(); at += 7 {
			bad := bytes.Clone(good)
			bad[at] ^= 4
			p.must(os.WriteFile(path, bad, 0o600))
			g, err := Open(f.dir, Options{Clock: clock.now})
			p.must(err)
			var damaged *DamagedError
			if _, _, err := (vault{g.ground()}).Filed(ctx, grant); !errors.As(err, &damaged) || damaged.File != v.relative(path) {
				t.Errorf("byte %d changed: %v", at, err)
			}
			g.Close()
		}
	}
}

// Shares are swept by ledger time when the folder is used, never by the clock.
func TestSweepInFolder(t *testing.T) {
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	g, later := p.grantUntil(testHour+10), p.grantUntil(testHour+500)
	p.addGrant(f, g)
	p.addGrant(f, later)
	poke := func() {
		t.Helper()
		access, _ := p.access(later, clock.hour)
		r, _ := p.request(later, access, f.keeper.Key())
		_, err := f.keeper.Release(ctx, r)
		p.must(err)
	}
	clock.hour = testHour + 10 + keeper.GraceHours
	poke() // the clock is there, the ledger is not
	if len(filesWith(t, f.dir, secretOf(g))) != 1 {
		t.Fatal("destroyed by the clock")
	}
	clock.hour--
	mustAppend(t, f, []contract.Entry{p.grant().entry})
	poke()
	if len(filesWith(t, f.dir, secretOf(g))) != 1 {
		t.Fatal("destroyed an hour too early")
	}
	clock.hour++
	mustAppend(t, f, []contract.Entry{p.grant().entry})
	poke()
	if found := filesWith(t, f.dir, secretOf(g)); len(found) > 0 {
		t.Errorf("not destroyed: %v", found)
	}
	if len(filesWith(t, f.dir, secretOf(later))) != 1 {
		t.Error("destroyed what is not over")
	}
	st, err := g.stateAt(f)
	if err != nil || st.Held || st.Ended != ledgerclient.DestroyedShare {
		t.Errorf("%+v, %v", st, err)
	}
	if hours := listed(t, f.dir, "keeper", "shares"); len(hours) != 1 || hours[0] != strconv.Itoa(int(later.entry.NotAfter)) {
		t.Errorf("shares of %v are left", hours)
	}
	mustVerify(t, f)
}

// A share that is no longer what was deposited is not released, and the author
// can deposit it again.
func TestDamagedShare(t *testing.T) {
	lane.OneGoroutine(t)
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	g := p.grant()
	p.addGrant(f, g)
	access, _ := p.access(g, clock.hour)
	mustAppend(t, f, []contract.Entry{access})
	r, _ := p.request(g, access, f.keeper.Key())
	at, err := foldertest.Share(f.dir, hexName(g.id))
	p.must(err)
	good := mustRead(t, at.File)
	for i := at.Record; i < at.At+at.Length; i++ {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		p.must(os.WriteFile(at.File, bad, 0o600))
		if a, err := f.keeper.Release(ctx, r); err == nil && a.Code == ledgerclient.Released {
			t.Fatalf("byte %d changed: %s", i, a.Code)
		}
	}
	_, err = f.keeper.Deposit(ctx, []ledgerclient.Deposit{p.deposit(g, f.keeper.Key())})
	p.must(err)
	if a, err := f.keeper.Release(ctx, r); err != nil || a.Code != ledgerclient.Released {
		t.Errorf("deposited again: %s, %v", a.Code, err)
	}
}

// Without its key file the keeper answers nothing; the ledger can be read.
func TestKeeperWithoutKey(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	g := p.grant()
	p.addGrant(f, g)
	p.must(os.Remove(f.path(keeperKeyFile)))
	f = reopen(t, f)
	if f.keeper.Key() != f.config.Keepers[0] {
		t.Error("another key")
	}
	var away *ledgerclient.UnreachableError
	if _, err := g.stateAt(f); !errors.As(err, &away) {
		t.Errorf("%v", err)
	}
	if _, err := f.keeper.Release(ctx, ledgerclient.Request{}); !errors.As(err, &away) {
		t.Errorf("%v", err)
	}
	p.mustFetch(f, g.puts[0].Locators[0], g.puts[0].Blob)
}

// Two processes deposit, revoke and ask about the same grants at once: no share
// survives a revocation that was acknowledged.
func TestTwoKeepersInOneFolder(t *testing.T) {
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	g2, err := Open(f.dir, Options{Clock: clock.now})
	p.must(err)
	defer g2.Close()
	const n = 12
	var grants []*given
	var entries []contract.Entry
	for range n {
		g := p.grant()
		grants = append(grants, g)
		entries = append(entries, g.entry)
	}
	mustAppend(t, f, entries)
	var wg sync.WaitGroup
	for i, g := range grants {
		d, e := p.deposit(g, f.keeper.Key()), p.revocation(g)
		wg.Go(func() {
			_, err := f.keeper.Deposit(ctx, []ledgerclient.Deposit{d})
			var refused *ledgerclient.KeeperError
			if err != nil && !errors.As(err, &refused) {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if i%2 == 0 {
				return
			}
			if _, err := g2.Append(ctx, []contract.Entry{e}); err != nil {
				t.Error(err)
			}
			acks, err := g2.keeper.Revoke(ctx, []contract.Entry{e})
			if err != nil || acks[0].End != ledgerclient.DestroyedShare {
				t.Errorf("%v, %v", acks, err)
			}
		})
	}
	wg.Wait()
	for i, g := range grants {
		found := filesWith(t, f.dir, secretOf(g))
		if i%2 == 0 && len(found) != 1 {
			t.Errorf("grant %d: share in %v", i, found)
		}
		if i%2 == 1 && len(found) > 0 {
			t.Errorf("grant %d was revoked: share in %v", i, found)
		}
	}
	mustVerify(t, f)
	mustVerify(t, g2)
}

// Threat: what was filed is cut off. No stop is forgotten: the keeper says that the share's
// end was told, or nothing.
func TestNoStopIsForgotten(t *testing.T) {
	lane.OneGoroutine(t)
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	grants := p.addGrants(f, 8)
	for _, g := range grants {
		_, err := f.keeper.Revoke(ctx, []contract.Entry{p.revocation(g)})
		p.must(err)
	}
	forgotten := func(at int) {
		t.Helper()
		g, err := open(f.dir, Options{Clock: clock.now}, unsyncedFiles{})
		p.must(err)
		defer g.Close()
		for _, of := range grants {
			if st, err := of.stateAt(g); err == nil && st.Ended != ledgerclient.Stopped {
				t.Fatalf("cut at %d: %+v", at, st)
			}
		}
	}
	filings := f.path("keeper/filings/0000000001")
	good := mustRead(t, filings)
	for at := 0; at < int(f.ground().filings.end); at += segmentHeader {
		p.must(os.WriteFile(filings, good[:at], 0o600))
		forgotten(at)
	}
}

// rememberedReads remembers the bytes into which a file was read.
type rememberedReads struct {
	file
	into *[][]byte
}

func (f rememberedReads) ReadAt(b []byte, off int64) (int, error) {
	*f.into = append(*f.into, b)
	return f.file.ReadAt(b, off)
}

// Of a share nothing is left in what its file was read into, also if it is damaged there: what
// the keeper wipes is all that was in memory.
func TestReadSharesAreWiped(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	g := p.grant()
	p.addGrant(f, g)
	v, of := vault{f.ground()}, keeper.Grant{ID: g.id, NotAfter: g.entry.NotAfter}
	path, share := v.shares.path(of.NotAfter), secretOf(g)
	good := mustRead(t, path)
	at := bytes.Index(good, share)
	for what, change := range map[string]int{"the share": -1, "damaged before it": at - 1, "damaged in it": at + 20, "damaged behind it": len(good) - 1} {
		now := bytes.Clone(good)
		if change >= 0 {
			now[change] ^= 4
		}
		p.must(os.WriteFile(path, now, 0o600))
		file, seen, err := v.shares.open(of.NotAfter, false)
		p.must(err)
		var into [][]byte
		file.file = rememberedReads{file.file, &into}
		d, err := v.shareIn(file, seen, of)
		file.Close()
		var damaged *DamagedError
		if (d != nil) != (change < 0) || (change >= 0) != errors.As(err, &damaged) {
			t.Errorf("%s: %v, %v", what, d, err)
		}
		if d != nil {
			d.Share.Wipe()
		}
		if len(into) < 2 {
			t.Errorf("%s: nothing was read", what)
		}
		for _, b := range into {
			if bytes.Contains(b, share[:16]) || bytes.Contains(b, share[24:]) {
				t.Errorf("%s: it is left in what was read", what)
			}
		}
	}
}
