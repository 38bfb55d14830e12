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

// keep deposits the link.
func (s *linkScript) keep(l *keeper.Links) {
	s.p.t.Helper()
	_, err := l.Deposit(ctx, &s.deposit)
	s.p.must(err)
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

// flip changes one byte in the head of the first record of links that has a key.
func (s *linkScript) flip(t *testing.T, f *Folder, key crypto.Hash) {
	t.Helper()
	file := f.ground().links.path(1)
	b := mustRead(t, file)
	at := bytes.Index(b, key[:])
	if at < 0 {
		t.Fatal("no record has the key")
	}
	b[at] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Threat: the head of a link's record is damaged, in which its grant is named, so that nobody
// knows that the grant is a link's and its share is given to whoever has that, past passcode
// and count. As long as anything of the link can be read, it is known.
func TestDamagedHeadOfALink(t *testing.T) {
	for what, keys := range map[string]func(g contract.ID) []crypto.Hash{
		"its own":         func(contract.ID) []crypto.Hash { return []crypto.Hash{allLinks} },
		"and its file's":  func(g contract.ID) []crypto.Hash { return []crypto.Hash{allLinks, underLink(keptLinkFile, g)} },
		"and its opening": func(g contract.ID) []crypto.Hash { return []crypto.Hash{allLinks, underLink(keptLinkStep, g)} },
	} {
		f, _ := newLedger(t)
		s, other := newLinkScript(t, f), newLinkScript(t, f)
		l, err := f.Links(ctx)
		if err != nil {
			t.Fatal(err)
		}
		s.keep(l)
		other.keep(l)
		place, err := s.take(l)
		if err != nil {
			t.Fatal(err)
		}
		s.p.must(place.Say(ctx, keeper.LinkGiven))
		plain := s.p.grant()
		s.p.addGrant(f, plain)
		if err := f.CheckLinks(ctx); err != nil {
			t.Fatal(err)
		}
		for _, key := range keys(s.g.id) {
			s.flip(t, f, key)
		}
		f = reopen(t, f)
		if l, err = f.Links(ctx); err == nil || f.CheckLinks(ctx) == nil {
			t.Errorf("%s: nothing is said of it", what)
		}
		if l.Find(s.deposit.Name) != nil || l.Of(s.g.id) != nil {
			t.Errorf("%s: it is found as before", what)
		}
		for id, want := range map[contract.ID]bool{s.g.id: true, other.g.id: true, plain.id: false} {
			if got, err := l.Holds(ctx, id); got != want || err != nil {
				t.Errorf("%s: %v is a link's: %v, %v", what, id, got, err)
			}
		}
		refused := (*ledgerclient.KeeperError)(nil)
		if _, err := l.Deposit(ctx, &s.deposit); !errors.As(err, &refused) || refused.Code != ledgerclient.BadRequest {
			t.Errorf("%s: its count begins anew: %v", what, err)
		}
		// Whose opening cannot be read is not known.
		if _, err := other.take(l); !errors.Is(err, keeper.ErrLink) {
			t.Errorf("%s: the other one opens: %v", what, err)
		}
	}
}

// Threat: a node that is killed between the try of a passcode and its check, over and over.
func TestLinkAttemptsDurable(t *testing.T) {
	f, _ := newLedger(t)
	s := newLinkScript(t, f)
	s.deposit.Passcode.Attempts = 2
	ledgerclient.Sign(&s.deposit, s.g.key)
	s.access = contract.Entry{}
	l, err := f.Links(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s.keep(l)
	for _, left := range []int{1, 0} {
		if _, err := s.take(l); err != nil {
			t.Fatal(err)
		}
		if _, err := s.take(l); !errors.Is(err, keeper.ErrLinkBusy) {
			t.Errorf("a second one at once: %v", err)
		}
		f = reopen(t, f)
		if l, err = f.Links(ctx); err != nil {
			t.Fatal(err)
		}
		if got := l.Of(s.g.id).AttemptsLeft(); got != left {
			t.Errorf("%d tries left, not %d", got, left)
		}
	}
	if _, err := s.take(l); !errors.Is(err, keeper.ErrLink) {
		t.Errorf("a third try: %v", err)
	}
}

// What is behind a link stays where the log does not know its grant: it may be behind, or be
// an older one. When its time is over it goes.
func TestSweepOfAnUnknownGrant(t *testing.T) {
	f, clock := newLedger(t)
	before := filepath.Join(t.TempDir(), "before")
	copyDir(t, f.dir, before)
	s := newLinkScript(t, f)
	l, err := f.Links(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s.keep(l)
	copyDir(t, filepath.Join(f.dir, "keeper", "links"), filepath.Join(before, "keeper", "links"))
	old, err := Open(before, Options{Clock: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if l, err = old.Links(ctx); err != nil {
		t.Fatal(err)
	}
	n := l.Of(s.g.id)
	s.p.must(l.Sweep(ctx))
	if b, err := l.File(ctx, n); err != nil || !bytes.Equal(b, s.deposit.File) {
		t.Errorf("%d bytes are left, %v", len(b), err)
	}
	if _, err := s.take(l); !errors.Is(err, keeper.ErrLink) {
		t.Errorf("it opens: %v", err)
	}
	clock.hour = s.deposit.End
	s.p.must(l.Sweep(ctx))
	if b, err := l.File(ctx, n); !errors.Is(err, keeper.ErrLink) {
		t.Errorf("%d bytes are left when its time is over, %v", len(b), err)
	}
}
