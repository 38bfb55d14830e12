package folder

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// copied copies f and opens and verifies the copy.
func copied(t *testing.T, f *Folder, dst string) Copied {
	t.Helper()
	c, err := f.Copy(ctx, dst, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := Open(dst, Options{Clock: f.clock})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if g.id != f.id || g.head.size != f.head.size || g.head.root != f.head.root {
		t.Errorf("copy of %d entries, ledger of %d", g.head.size, f.head.size)
	}
	mustVerify(t, g)
	return c
}

// A copy holds all payloads and none of the keeper's shares, is brought up to date
// by the next, and goes on as a ledger.
func TestCopy(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	dst := filepath.Join(t.TempDir(), "deep", "copy")
	copied(t, f, dst)
	record, kept, g, ended := p.record(2*contract.PieceSize, nil), p.record(300, nil), p.grant(), p.grant()
	p.addRecord(f, record)
	p.addRecord(f, kept)
	p.addGrant(f, g)
	p.addGrant(f, ended)
	access, put := p.access(g, testHour)
	p.must(f.store.PutBlobs(ctx, []ledgerclient.Put{put}))
	mustAppend(t, f, []contract.Entry{access})
	e := p.revocation(ended)
	_, err := f.keeper.Revoke(ctx, []contract.Entry{e})
	p.must(err)
	mustAppend(t, f, []contract.Entry{e})
	_, err = f.keeper.Revoke(ctx, []contract.Entry{e})
	p.must(err)
	if c := copied(t, f, dst); c.Size != f.head.size || c.Files == 0 || c.Bytes < 2*contract.PieceSize {
		t.Errorf("copied %+v", c)
	}
	if found := filesWith(t, dst, secretOf(g)); len(found) != 0 {
		t.Errorf("a share is in %v", found)
	}
	// Many grants at once are in packs.
	var puts []ledgerclient.Put
	var entries []contract.Entry
	var deposits []ledgerclient.Deposit
	var packed []*given
	for range many {
		g := p.grant()
		packed, puts, entries, deposits = append(packed, g), append(puts, g.puts...), append(entries, g.entry), append(deposits, p.deposit(g, f.keeper.Key()))
	}
	p.must(f.store.PutBlobs(ctx, puts))
	mustAppend(t, f, entries)
	_, err = f.keeper.Deposit(ctx, deposits)
	p.must(err)
	copied(t, f, dst)
	if found := filesWith(t, dst, secretOf(packed[3])); len(found) != 0 {
		t.Errorf("a packed share is in %v", found)
	}
	if found := filesWith(t, f.dir, secretOf(packed[3])); len(found) != 1 {
		t.Errorf("and in the ledger it is in %v", found)
	}
	if back, err := Open(dst, Options{Clock: f.clock}); err != nil {
		t.Fatal(err)
	} else {
		if _, err := fetched(t, back.store, packed[3].puts[1].Locators[1]); err != nil {
			t.Errorf("envelope of a packed grant: %v", err)
		}
		back.Close()
	}
	if c := copied(t, f, dst); c.Files != 0 {
		t.Errorf("nothing is new, and %d files were copied", c.Files)
	}
	info, err := os.Stat(filepath.Join(dst, "keys", "node.ed25519"))
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the node's key: %v %v", info.Mode(), err)
	}
	// What was damaged in the copy is put right.
	blob := foldertest.Content(dst, hexName(kept.id))
	p.must(os.WriteFile(blob, []byte("rotten"), 0o600))
	if c := copied(t, f, dst); c.Files != 1 {
		t.Errorf("%d files were put right", c.Files)
	}
	// What is withdrawn is erased in the copy.
	w := p.withdrawal(record)
	mustAppend(t, f, []contract.Entry{w})
	p.must(f.store.Erase(ctx, w))
	copied(t, f, dst)
	if _, err := os.Stat(foldertest.Content(dst, hexName(record.id))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("withdrawn content is still in the copy: %v", err)
	}

	// The copy is a ledger: it takes shares, and goes on.
	back, err := Open(dst, Options{Clock: f.clock})
	p.must(err)
	defer back.Close()
	if s, err := g.stateAt(back); err != nil || s.Held {
		t.Errorf("state of the grant in the copy: %+v %v", s, err)
	}
	_, err = back.keeper.Deposit(ctx, []ledgerclient.Deposit{p.deposit(g, back.keeper.Key())})
	p.must(err)
	next := p.record(10, nil)
	p.addRecord(back, next)
	mustVerify(t, back)
	// Now it is ahead: the older ledger does not overwrite it.
	_, err = f.Copy(ctx, dst, nil)
	var rollback *ledgerclient.RollbackError
	if !errors.As(err, &rollback) || rollback.Pinned != back.head.size {
		t.Errorf("copy over a newer one: %v", err)
	}
	// Nor one of another history.
	p.addRecord(f, p.record(20, nil))
	p.addRecord(f, p.record(21, nil))
	_, err = f.Copy(ctx, dst, nil)
	var fork *ledgerclient.ForkError
	if !errors.As(err, &fork) {
		t.Errorf("copy over another history: %v", err)
	}
}

// What of the keeper's filings can be read is salvaged, a stop also where its body cannot:
// a salvaged keeper answers for all grants again.
func TestSalvagedFilings(t *testing.T) {
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	grants := p.addGrants(f, 3)
	for _, g := range grants[:2] {
		_, err := f.keeper.Revoke(ctx, []contract.Entry{p.revocation(g)})
		p.must(err)
	}
	stops, acks := filedIn(t, f, filedStop), filedIn(t, f, filedAck)
	const file = "keeper/filings/0000000001"
	good := mustRead(t, f.path(file))
	r := rand.New(rand.NewPCG(5, 2))
	for _, test := range []struct {
		what  string
		at    int64 // of the byte that is changed
		stops int   // that are salvaged
		acks  int
	}{
		{"body of a stop", stops[0].start(), 2, 2},
		{"head of a stop", stops[0].at, 1, 2},
		{"body of an acknowledgement", acks[0].start(), 2, 1},
		{"head of an acknowledgement", acks[1].at + 9, 2, 1},
		{"header", 20, 2, 2},
	} {
		bad := bytes.Clone(good)
		bad[test.at] ^= 1
		p.must(os.WriteFile(f.path(file), bad, 0o600))
		x := newFaults()
		g, err := open(f.dir, Options{Clock: clock.now}, x)
		p.must(err)
		if _, err := grants[2].stateAt(g); (err == nil) != (test.what[:4] == "body") {
			t.Errorf("%s: a grant of which nothing is filed: %v", test.what, err)
		}
		dst := filepath.Join(t.TempDir(), "copy")
		_, damaged, err := g.Salvage(ctx, dst, nil, nil)
		p.must(err)
		if len(damaged) == 0 || damaged[0].File != file {
			t.Errorf("%s: %v", test.what, damaged)
		}
		g.Close()
		after := filepath.Join(t.TempDir(), "power")
		x.lose(t, r, dst, after)
		g, err = Open(after, Options{Clock: clock.now})
		p.must(err)
		if s, a := filedIn(t, g, filedStop), filedIn(t, g, filedAck); len(s) != test.stops || len(a) != test.acks {
			t.Errorf("%s: %d stops and %d acknowledgements are salvaged", test.what, len(s), len(a))
		}
		for i, of := range grants {
			recs, err := vault{g.ground()}.Read(ctx, keeper.Grant{ID: of.id, NotAfter: of.entry.NotAfter})
			p.must(err)
			if want := i < 2 && (i > 0 || test.stops == 2); recs[0].Stopped != want {
				t.Errorf("%s: grant %d: stopped %v", test.what, i, recs[0].Stopped)
			}
		}
		_, err = g.keeper.Revoke(ctx, []contract.Entry{p.revocation(grants[2])})
		p.must(err)
		g.Close()
	}
}

// Nothing else is overwritten.
func TestCopyRefuses(t *testing.T) {
	f, _ := newLedger(t)
	other, _ := newLedger(t)
	if _, err := f.Copy(ctx, other.dir, nil); !errors.Is(err, ErrLedgerExists) {
		t.Errorf("into another ledger: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "letter"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Copy(ctx, dir, nil); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("into a folder with something in it: %v", err)
	}
	mustVerify(t, other)
}

// A copy that stops anywhere is no ledger yet, or the older copy, and the next one
// goes on with it.
func TestCopyInterrupted(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	for range 4 {
		p.addRecord(f, p.record(50, nil))
	}
	for stop := uint64(1); stop <= f.head.size; stop++ {
		dst := filepath.Join(t.TempDir(), "copy")
		stopping, cancel := context.WithCancel(ctx)
		_, err := f.Copy(stopping, dst, func(done, _ uint64) {
			if done == stop {
				cancel()
			}
		})
		cancel()
		if stop < f.head.size && !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped at %d: %v", stop, err)
		} else if _, oerr := Open(dst, Options{}); err != nil && !errors.Is(oerr, ErrNoLedger) {
			t.Errorf("stopped at %d: half a copy opens: %v", stop, oerr)
		}
		copied(t, f, dst)
	}
}

// Threat: a copy dies while it is brought up to date, and then the ledger. What the copy had
// is in it, also what the keeper filed.
func TestOlderCopyIsKept(t *testing.T) {
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	grants := p.addGrants(f, 2)
	revoke := func(g *given) {
		_, err := f.keeper.Revoke(ctx, []contract.Entry{p.revocation(g)})
		p.must(err)
	}
	revoke(grants[0])
	older := filepath.Join(t.TempDir(), "older")
	copied(t, f, older)
	revoke(grants[1])
	p.addGrants(f, 1)
	ops := f.ops
	defer func() { f.ops = ops }()
	for n := 1; ; n++ {
		dst := filepath.Join(t.TempDir(), "copy")
		copyDir(t, older, dst)
		bad := newFaults()
		bad.at, bad.torn = n, true
		f.ops = bad
		_, err := f.Copy(ctx, dst, nil)
		g, oerr := Open(dst, Options{Clock: clock.now})
		p.must(oerr)
		if _, err := g.Verify(ctx, nil, nil); err != nil {
			t.Errorf("operation %d: %v", n, err)
		}
		if recs, err := (vault{g.ground()}).Read(ctx, keeper.Grant{ID: grants[0].id, NotAfter: grants[0].entry.NotAfter}); err != nil || !recs[0].Stopped || len(recs[0].Acks) != 1 {
			t.Errorf("operation %d: %+v, %v", n, recs, err)
		}
		g.Close()
		if err == nil {
			return
		}
		f.ops = ops
		copied(t, f, dst)
	}
}

// A process that dies at any file operation leaves what the next one goes on with.
func TestCopyFails(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	p.addRecord(f, p.record(50, nil))
	p.addGrant(f, p.grant())
	if f.ID() != f.config.LedgerID() || f.ID() == (crypto.LedgerID{}) {
		t.Error("id")
	}
	ops := f.ops
	step := lane.Pick(1, 5, 5)
	for n := 1; ; n += step {
		dst := filepath.Join(t.TempDir(), "copy")
		bad := newFaults()
		bad.at, bad.torn = n, true
		f.ops = bad
		_, err := f.Copy(ctx, dst, nil)
		f.ops = ops
		if err == nil {
			if n < 20 {
				t.Fatalf("only %d operations", n)
			}
			return
		}
		if !errors.Is(err, errKilled) {
			t.Fatalf("operation %d: %v", n, err)
		}
		copied(t, f, dst)
	}
}
