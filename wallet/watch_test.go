package wallet_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// watchTown is a town whose clinic was granted n consents, each by somebody else.
func watchTown(t *testing.T, n int) (tn *town, clinic *wallet.Wallet, given []wallet.Consent) {
	t.Helper()
	ctx := context.Background()
	tn = newTown(t)
	clinic = tn.person("Dr Smith")
	for i := range n {
		patient := tn.person(patientName(i))
		add(t, patient, "a.txt", patientName(i))
		if _, _, err := patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String()); err != nil {
			t.Fatal(err)
		}
		c, _ := grant(t, patient, "Dr Smith", tn.now)
		given = append(given, c)
	}
	return tn, clinic, given
}

func patientName(i int) string { return "patient " + string(rune('A'+i)) }

// openings are how often the owner of each consent sees it opened.
func openings(t *testing.T, tn *town, given []wallet.Consent) (n []int) {
	t.Helper()
	for i, c := range given {
		found, _, err := tn.again(patientName(i)).Consents().Show(context.Background(), c.ID.String())
		if err != nil {
			t.Fatal(err)
		}
		n = append(n, found.Openings)
	}
	return n
}

// next is what a watch has to open next. It is in the spread of the time that it is, and
// later than that: nothing is opened when it is found.
func next(t *testing.T, tn *town, wa wallet.Watch, found int) *wallet.Planned {
	t.Helper()
	r, err := wa.Look(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Found) != found {
		t.Errorf("%d found, want %d", len(r.Found), found)
	}
	for _, p := range r.Found {
		if !p.At.After(tn.now) || p.At.After(tn.now.Add(time.Hour)) {
			t.Errorf("found at %v and to be opened at %v", tn.now, p.At)
		}
	}
	return r.Next
}

func opens(t *testing.T, wa wallet.Watch, p *wallet.Planned) {
	t.Helper()
	o, err := wa.Open(context.Background(), p.Consent, "ward")
	if err != nil || len(o.Records) != 1 {
		t.Fatalf("%+v, %v", o, err)
	}
	if err := wa.Done(context.Background(), p.Consent); err != nil {
		t.Fatal(err)
	}
}

// Promise 2: what was granted is opened at the times that were drawn, each once, and by
// itself.
func TestWatchOpensApart(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	tn, clinic, given := watchTown(t, 8)
	wa := clinic.Inbox().Watch(time.Hour)
	begin := tn.now
	var last time.Time
	for i, found := 0, len(given); i < len(given); i, found = i+1, 0 {
		p := next(t, tn, wa, found)
		if p == nil || p.At.Before(last) {
			t.Fatalf("after %v comes %+v", last, p)
		}
		last, tn.now = p.At, p.At
		opens(t, wa, p)
	}
	if p := next(t, tn, wa, 0); p != nil {
		t.Errorf("opened again: %+v", p)
	}
	for i, n := range openings(t, tn, given) {
		if n != 1 {
			t.Errorf("consent %d was opened %d times", i, n)
		}
	}
	if last.Sub(begin) < 20*time.Minute { // eight of an hour, with this seed
		t.Errorf("all within %v", last.Sub(begin))
	}
}

// The times are as likely all over the spread: each of sixty minutes has its share, within
// five standard deviations.
func TestWatchDraws(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 2)
	const n = 60_000
	var minutes [60]int
	for range n {
		d := wallet.ByChance(time.Hour)
		if d < time.Second || d > time.Hour || d%time.Second != 0 {
			t.Fatal(d)
		}
		minutes[(d-1)/time.Minute]++
	}
	for i, got := range minutes {
		if got < n/60-5*32 || got > n/60+5*32 {
			t.Errorf("minute %d: %d", i, got)
		}
	}
	for _, most := range []time.Duration{-time.Hour, 0, 1, time.Second} {
		if d := wallet.ByChance(most); d != time.Second {
			t.Errorf("%v: %v", most, d)
		}
	}
}

// Promise 2: what was missed is not opened in a burst, whatever it was that slept.
func TestWatchMakesNoBurst(t *testing.T) {
	ctx := context.Background()
	tn, clinic, given := watchTown(t, 5)
	first := next(t, tn, clinic.Inbox().Watch(time.Hour), len(given))

	// Another process goes on with the same times.
	clinic = tn.again("Dr Smith")
	wa := clinic.Inbox().Watch(time.Hour)
	if p := next(t, tn, wa, 0); p.Consent != first.Consent || !p.At.Equal(first.At) {
		t.Errorf("%+v, and before %+v", p, first)
	}
	tn.now = first.At.Add(time.Minute)
	if p := next(t, tn, wa, 0); p.Consent != first.Consent {
		t.Errorf("a minute late: %+v", p)
	}
	// It comes back after hours.
	tn.now = tn.now.Add(3 * time.Hour)
	wa = tn.again("Dr Smith").Inbox().Watch(time.Hour)
	next(t, tn, wa, len(given))
	// A clock that was wrong: no time lies beyond the spread.
	tn.now = tn.now.Add(-2 * time.Hour)
	next(t, tn, wa, len(given))

	// What was begun when the program was killed is gone on with at once, and once.
	tn.now = noon.Add(4 * time.Hour)
	p := next(t, tn, wa, len(given))
	tn.now = p.At
	if _, err := wa.Open(ctx, p.Consent, ""); err != nil {
		t.Fatal(err)
	}
	wa = tn.again("Dr Smith").Inbox().Watch(time.Hour)
	if again := next(t, tn, wa, 0); again.Consent != p.Consent || again.At.After(tn.now) {
		t.Errorf("%+v was begun, and then comes %+v", p, again)
	}
	opens(t, wa, p)
	sum := 0
	for _, n := range openings(t, tn, given) {
		sum += n
	}
	if sum != 1 {
		t.Errorf("%d openings in the hour of a killed one", sum)
	}
	if again := next(t, tn, wa, 0); again.Consent == p.Consent {
		t.Error("what ended is not over")
	}
}

// A consent that ends the program each time is not opened for ever.
func TestWatchGivesUpWhatKills(t *testing.T) {
	ctx := context.Background()
	tn, clinic, given := watchTown(t, 1)
	p := next(t, tn, clinic.Inbox().Watch(time.Hour), 1)
	for range 3 {
		tn.now = tn.now.Add(time.Hour)
		if _, err := tn.again("Dr Smith").Inbox().Watch(time.Hour).Open(ctx, p.Consent, ""); err != nil {
			t.Fatal(err)
		}
	}
	wa := tn.again("Dr Smith").Inbox().Watch(time.Hour)
	r, err := wa.Look(ctx)
	if err != nil || r.Next != nil || len(r.GivenUp) != 1 || r.GivenUp[0].Consent != given[0].ID {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = wa.Look(ctx); err != nil || r.Next != nil || len(r.GivenUp)+len(r.Found) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// Nothing is entered before the program wrote down that it begins, and nothing if the caller
// has no place for the files.
func TestWatchBegins(t *testing.T) {
	ctx := context.Background()
	tn, clinic, given := watchTown(t, 1)
	wa := clinic.Inbox().Watch(time.Hour)
	p := next(t, tn, wa, 1)
	tn.now = p.At
	full := errors.New("full")
	clinic.BeforeOpening = func(wallet.Received) error { return full }
	if _, err := wa.Open(ctx, p.Consent, ""); !errors.Is(err, full) {
		t.Fatal(err)
	}
	for range 9 { // such a failure counts for nothing
		at, err := wa.Later(ctx, p.Received)
		if err != nil || !at.After(tn.now) {
			t.Fatalf("%v, %v", at, err)
		}
	}
	if n := openings(t, tn, given)[0]; n != 0 {
		t.Errorf("%d openings", n)
	}
	clinic.BeforeOpening = nil
	next(t, tn, wa, 0)
	opens(t, wa, p)
}

// askedKeeper says that it would give its share, and when it is asked for it, after the
// access was entered, something happens first.
type askedKeeper struct {
	ledgerclient.Keeper
	first func() error
}

func (k askedKeeper) Release(ctx context.Context, r ledgerclient.Request) (ledgerclient.Answer, error) {
	if err := k.first(); err != nil {
		return ledgerclient.Answer{}, err
	}
	return k.Keeper.Release(ctx, r)
}

func asked(s ledgerclient.Services, first func() error) ledgerclient.Services {
	s.Keepers = slices.Clone(s.Keepers)
	for i, k := range s.Keepers {
		s.Keepers[i] = askedKeeper{k, first}
	}
	return s
}

// Promise 8: killed while the access is entered, the consent is what the next program begins
// with.
func TestWatchKilledWhileItOpens(t *testing.T) {
	ctx := context.Background()
	tn, _, given := watchTown(t, 3)
	o := tn.options("Dr Smith")
	left := o
	left.Dir = filepath.Join(tn.dir, "left")
	o.Services = (&line{sending: func() {
		if err := os.CopyFS(left.Dir, os.DirFS(o.Dir)); err != nil {
			t.Error(err)
		}
	}}).over(o.Services)
	wa := must(wallet.Open(ctx, o))(t).Inbox().Watch(time.Hour)
	p := next(t, tn, wa, len(given))
	tn.now = p.At.Add(time.Second)
	if _, err := wa.Open(ctx, p.Consent, ""); err != nil {
		t.Fatal(err)
	}
	wa = must(wallet.Open(ctx, left))(t).Inbox().Watch(time.Hour)
	if again := next(t, tn, wa, 0); again == nil || again.Consent != p.Consent || again.At.After(tn.now) {
		t.Fatalf("%+v was begun, and then comes %+v", p, again)
	}
	opens(t, wa, p)
	sum := 0
	for _, n := range openings(t, tn, given) {
		sum += n
	}
	if sum != 1 {
		t.Errorf("%d openings", sum)
	}
}

// Openings that left an entry and no files end after the third, and stay ended.
func TestWatchTriesThrice(t *testing.T) {
	ctx := context.Background()
	tn, l, _, _, consent := remote(t)
	o := tn.options("Dr Smith")
	o.Services = l.over(o.Services)
	shut := false
	o.Services = asked(o.Services, func() error {
		if shut {
			return cut("keeper")
		}
		return nil
	})
	clinic := must(wallet.Open(ctx, o))(t)
	wa := clinic.Inbox().Watch(time.Hour)
	p := next(t, tn, wa, 1)

	// The ledger cannot be followed: the times stay.
	l.ledger = true
	tn.now = p.At
	if _, err := wa.Look(ctx); !errors.Is(err, errCut) {
		t.Errorf("looked at a ledger that is away: %v", err)
	}
	l.ledger = false
	if again := next(t, tn, wa, 0); again.Consent != p.Consent || !again.At.Equal(p.At) {
		t.Errorf("%+v, and then %+v", p, again)
	}

	for i := range 3 {
		tn.now = tn.now.Add(time.Hour)
		shut = true
		_, err := wa.Open(ctx, consent.ID, "")
		if shut = false; !errors.Is(err, errCut) {
			t.Fatalf("%d: %v", i, err)
		}
		at, err := wa.Later(ctx, p.Received)
		if err != nil || at.IsZero() != (i == 2) {
			t.Fatalf("%d: tried again at %v, %v", i, at, err)
		}
	}
	if p := next(t, tn, wa, 0); p != nil {
		t.Errorf("given up, and then %+v", p)
	}
	if n := must(tn.again("Maria").Consents().List(ctx))(t)[0].Openings; n != 3 {
		t.Errorf("%d openings", n)
	}
}

// What is revoked, opened by hand or left to a person meanwhile is not opened; a person can.
func TestWatchLeavesAlone(t *testing.T) {
	ctx := context.Background()
	tn, clinic, given := watchTown(t, 4)
	wa := clinic.Inbox().Watch(time.Hour)
	next(t, tn, wa, 4)
	must(tn.again(patientName(0)).Consents().Revoke(ctx, []contract.ID{given[0].ID}))(t)
	must(tn.again("Dr Smith").Inbox().OpenByID(ctx, given[1].ID.String(), ""))(t)
	if err := wa.GiveUp(ctx, given[2].ID); err != nil {
		t.Fatal(err)
	}
	r, err := wa.Look(ctx)
	if err != nil || len(r.Over) != 1 || r.Over[0].Consent != given[0].ID || r.Next.Consent != given[3].ID {
		t.Fatalf("%+v, %v", r, err)
	}
	tn.now = r.Next.At
	opens(t, wa, r.Next)
	for range 2 {
		if r, err := wa.Look(ctx); err != nil || r.Next != nil || len(r.Over)+len(r.Found) != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	}
	must(clinic.Inbox().OpenByID(ctx, given[2].ID.String(), ""))(t)
	if got := openings(t, tn, given); got[0] != 0 || got[1] != 1 || got[2] != 1 || got[3] != 1 {
		t.Errorf("openings: %v", got)
	}
}

// What is given for a short while is opened in the first half of it, and nothing is before
// it begins.
func TestWatchWindows(t *testing.T) {
	ctx := context.Background()
	tn, clinic, given := watchTown(t, 1)
	wa := clinic.Inbox().Watch(7 * 24 * time.Hour)
	hour := contract.Hour(tn.now.Unix() / 3600)
	patient := tn.again(patientName(0))
	give := func(from, until contract.Hour) wallet.Consent {
		p := must(patient.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotBefore: from, NotAfter: until}))(t)
		c, _, err := patient.Grants().Give(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	short, later := give(0, hour+2), give(hour+5, hour+100)
	r, err := wa.Look(ctx)
	if err != nil || len(r.Found) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, p := range r.Found {
		if p.Consent == later.ID || p.Consent == short.ID && p.At.After(tn.now.Add(time.Hour)) {
			t.Errorf("%+v", p)
		}
	}
	tn.now = tn.now.Add(5 * time.Hour)
	r, err = wa.Look(ctx)
	found := slices.DeleteFunc(r.Found, func(p wallet.Planned) bool { return p.Consent == given[0].ID }) // its time can have passed: then it has another
	if err != nil || len(found) != 1 || found[0].Consent != later.ID || len(r.Over) != 1 || r.Over[0].Consent != short.ID {
		t.Errorf("%+v, %v", r, err)
	}
}

// Strangers can give any number of consents, and are in nobody's way but their own.
func TestWatchBound(t *testing.T) {
	tn, clinic, given := watchTown(t, 5)
	defer wallet.SetMaxPlanned(2)()
	known := tn.again(patientName(4)).Address().String()
	if _, _, err := clinic.Contacts().Add(context.Background(), "Maria", known); err != nil {
		t.Fatal(err)
	}
	wa := clinic.Inbox().Watch(time.Hour)
	opens(t, wa, next(t, tn, wa, 3))
	opens(t, wa, next(t, tn, wa, 0))
	for left := len(given) - 2; left > 0; left-- {
		opens(t, wa, next(t, tn, wa, min(1, left-1)))
	}
}

// Two watches with one wallet would share what comes between two folders.
func TestWatchAlone(t *testing.T) {
	tn, _, _ := watchTown(t, 0)
	dir := tn.options("Dr Smith").Dir
	release, err := wallet.Alone(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wallet.Alone(dir); !errors.Is(err, wallet.ErrWatched) {
		t.Errorf("the second: %v", err)
	}
	release()
	if release, err = wallet.Alone(dir); err != nil {
		t.Fatal(err)
	}
	release()
}
