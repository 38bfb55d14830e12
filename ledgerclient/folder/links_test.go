package folder

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// linkScript is one life of a link, whose every place is used in one way or another.
type linkScript struct {
	p       *people
	g       *given
	deposit ledgerclient.LinkDeposit
	access  contract.Entry
}

const linkPlaces = 4

func newLinkScript(t *testing.T, f *Folder) *linkScript {
	s := &linkScript{p: newPeople(t, f.id)}
	s.g = s.p.grant()
	s.p.addGrant(f, s.g)
	s.access, _ = s.p.access(s.g, testHour)
	s.deposit = ledgerclient.LinkDeposit{Ledger: f.id, Grant: s.g.id, Keeper: f.keeper.Key(), Name: crypto.Hash(crypto.NewSalt()),
		End: s.g.entry.NotAfter, Openings: linkPlaces, Package: s.g.pkg.Marshal(), File: make([]byte, 3000)}
	ledgerclient.Sign(&s.deposit, s.g.key)
	return s
}

// take takes a place.
func (s *linkScript) take(l *keeper.Links) (*keeper.Place, error) {
	n := l.Find(s.deposit.Name)
	if n == nil {
		return nil, keeper.ErrLink
	}
	g, err := l.Grant(ctx, n)
	if err != nil {
		return nil, err
	}
	return l.Take(ctx, n, &g, uint64(testHour)*3600, "Dr A", "", s.access)
}

// live deposits the link and opens it until there is no place left, or until something goes
// wrong. Of what is behind it so many had something, and a receipt was given or not.
func (s *linkScript) live(f *Folder) (had int, kept bool) {
	l, err := f.Links(ctx)
	if err != nil {
		return 0, false
	}
	if _, err := l.Deposit(ctx, &s.deposit); err != nil {
		return 0, false
	}
	for i := range linkPlaces + 1 {
		p, err := s.take(l)
		if err != nil {
			return had, true
		}
		if i == 1 {
			p.Say(ctx, keeper.LinkGivenBack)
			continue
		}
		had++ // whether that is taken down or not
		p.Say(ctx, keeper.LinkGiven)
	}
	return had, true
}

// TestLinkCountDurable cuts off the power at each file operation of a link's life, and lets
// each fail once: who had what is behind it had a place that is counted for good, and a link
// for which there is a receipt is there, with the places that are left.
func TestLinkCountDurable(t *testing.T) {
	lane.OneGoroutine(t)
	origin, clock := newLedger(t)
	s := newLinkScript(t, origin)
	origin.Close()
	after := func(dir string, had, at int, kept bool) {
		t.Helper()
		f, err := open(dir, Options{Clock: clock.now}, unsyncedFiles{})
		if err != nil {
			t.Fatalf("operation %d: %v", at, err)
		}
		defer f.Close()
		l, err := f.Links(ctx)
		if err != nil {
			t.Fatalf("operation %d: %v", at, err)
		}
		if kept && l.Find(s.deposit.Name) == nil {
			t.Fatalf("operation %d: a link with a receipt is gone", at)
		}
		if _, err := l.Deposit(ctx, &s.deposit); err != nil { // again, or for the first time
			t.Fatalf("operation %d: %v", at, err)
		}
		left := 0
		for ; ; left++ {
			if _, err := s.take(l); errors.Is(err, keeper.ErrLink) {
				break
			} else if err != nil {
				t.Fatalf("operation %d: %v", at, err)
			}
		}
		if had+left > linkPlaces || had == 0 && left < linkPlaces-2 {
			t.Fatalf("operation %d: %d had it and %d places are left", at, had, left)
		}
	}
	life := func(x *faultyFiles) (dir string, had int, kept bool) {
		dir = filepath.Join(t.TempDir(), "l")
		copyDir(t, origin.dir, dir)
		f, err := open(dir, Options{Clock: clock.now}, x)
		if err != nil {
			return dir, 0, false
		}
		defer f.closeFiles()
		had, kept = s.live(f)
		return dir, had, kept
	}
	count := newFaults()
	dir, had, kept := life(count)
	if had != linkPlaces || !kept || count.count < 20 {
		t.Fatalf("%d had it, %v, %d operations", had, kept, count.count)
	}
	after(dir, had, 0, kept)
	for at := 1; at <= count.count; at += lane.Pick(1, 3, 3) {
		for seed := range uint64(lane.Pick(8, 2, 2)) {
			x := newFaults()
			x.at, x.torn = at, seed%2 == 1
			dir, had, kept := life(x)
			lost := filepath.Join(t.TempDir(), "l")
			x.lose(t, rand.New(rand.NewPCG(seed, uint64(at))), dir, lost)
			after(lost, had, at, kept)
		}
		x := newFaults()
		x.at, x.once = at, errors.New("once")
		dir, had, kept := life(x)
		after(dir, had, at, kept)
	}
}

// Threat: a byte of a link's record that flips on the disk, so that the link is no link any
// more and its share is given to whoever has it, past passcode and count.
func TestDamagedLinkIsOne(t *testing.T) {
	f, _ := newLedger(t)
	s := newLinkScript(t, f)
	if _, kept := s.live(f); !kept {
		t.Fatal("it was not kept")
	}
	file := f.ground().links.path(1)
	b := mustRead(t, file)
	at := bytes.LastIndex(b, s.deposit.Name[:]) // the file that is behind it comes first
	if at < 0 {
		t.Fatal("the link is not in", file)
	}
	b[at] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f = reopen(t, f)
	defer f.Close()
	l, err := f.Links(ctx)
	if err == nil {
		t.Error("nothing is said of it")
	}
	if l.Of(s.g.id) == nil {
		t.Error("its share is that of no link")
	}
	if l.Find(s.deposit.Name) != nil {
		t.Error("it is found as before")
	}
}
