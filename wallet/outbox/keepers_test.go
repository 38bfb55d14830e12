package outbox

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// fail lets calls of these names fail, until it is called with none.
func (w *world) fail(err error, calls ...string) {
	w.fails = func(call string) error {
		if slices.Contains(calls, call) {
			return err
		}
		return nil
	}
}

// A grant is given once as many keepers hold their shares as open it, and the owner is told
// who does not. With fewer it waits, for the first reason that is more than silence. Only
// those that are left are asked later, and a share that comes then is taken note of.
func TestDepositAtEnough(t *testing.T) {
	lie := &ledgerclient.TamperedError{What: "receipt"}
	for _, c := range []struct {
		k      int
		fails  []string
		err    error
		given  bool
		unheld uint16
	}{
		{k: 2, given: true},
		{k: 2, fails: []string{"deposit 3"}, err: silent("keeper"), given: true, unheld: 0b0100},
		{k: 2, fails: []string{"deposit 1", "deposit 4"}, err: silent("keeper"), given: true, unheld: 0b1001},
		{k: 2, fails: []string{"deposit 1", "deposit 4"}, err: lie, given: true, unheld: 0b1001},
		{k: 2, fails: []string{"deposit 1", "deposit 3", "deposit 4"}, err: silent("keeper")},
		{k: 2, fails: []string{"deposit 1", "deposit 3", "deposit 4"}, err: lie},
		{k: 4, fails: []string{"deposit 2"}, err: silent("keeper")},
		{k: 1, fails: []string{"deposit 1", "deposit 2", "deposit 3"}, err: silent("keeper"), given: true, unheld: 0b0111},
		{k: 1, fails: []string{"after deposit 2"}, err: silent("keeper"), given: true, unheld: 0b0010},
	} {
		w := newWorldOf(t, c.k, 4)
		o, g := w.outbox(nil), w.grant()
		w.fail(c.err, c.fails...)
		err := w.do(o, g)
		waits := o.Batches() > 0
		if c.given != (err == nil) || waits == c.given || !c.given && errors.Is(err, ErrPending) != (ledgerclient.Unreachable(c.err) != nil) {
			t.Errorf("%+v: %v, waits %t", c, err, waits)
		}
		if c.given && (w.unheld[g.ID] != c.unheld || g.Unheld != c.unheld) {
			t.Errorf("%+v: told of %04b, %04b", c, w.unheld[g.ID], g.Unheld)
		}
		for i, key := range w.keepers {
			call := string(rune('1' + i))
			if failed := w.failed[key.Public()] != nil; failed != slices.ContainsFunc(c.fails, func(s string) bool { return strings.HasSuffix(s, call) }) {
				t.Errorf("%+v: keeper %s failed: %v", c, call, w.failed[key.Public()])
			}
		}
		w.fails, w.calls = nil, nil
		if !c.given {
			if o = w.outbox(nil); o.Batches() > 0 || w.held[g.ID] != 0b1111 {
				t.Errorf("%+v: afterwards %04b hold it, %v", c, w.held[g.ID], o.Stuck())
			}
			continue
		}
		if c.unheld == 0 {
			continue
		}
		later := New(w.client.ID(), "grant", g.Entry)
		later.Package, later.Unheld = g.Package, c.unheld
		if err := o.Deposit(context.Background(), []*Change{later}); err != nil || w.held[g.ID] != 0b1111 || later.Unheld != 0 || w.unheld[g.ID] != 0 {
			t.Errorf("%+v: completed: %v, %04b hold it, told of %04b", c, err, w.held[g.ID], w.unheld[g.ID])
		}
		for _, call := range w.calls {
			if n := int(call[len(call)-1] - '1'); c.unheld>>n&1 == 0 {
				t.Errorf("%+v: %s, which holds its share", c, call)
			}
		}
	}
}

// Threat (F3): a keeper that could not be told of a revocation is given the share of it by
// what waits. Once a revocation is signed nobody is given shares, in this process and in the
// next, which reads what waits of the grant before it reads the revocation.
func TestNoShareAfterARevocation(t *testing.T) {
	for _, shown := range []bool{true, false} { // whether the ledger takes the revocation now
		w := newWorldOf(t, 3, 4)
		o, g := w.outbox(nil), w.grant()
		w.fail(silent("keeper"), "deposit 3", "deposit 4", "revoke 3", "revoke 4")
		if err := w.do(o, g); !errors.Is(err, ErrPending) {
			t.Fatal(err)
		}
		if !shown {
			w.fail(silent("ledger"), "append")
		}
		r := w.revoke(g.ID)
		if err := w.do(o, r); shown && err != nil || !shown && !errors.Is(err, ErrPending) {
			t.Fatalf("shown %t: %v", shown, err)
		}
		if w.fails = nil; !shown {
			w.fail(silent("ledger"), "append")
		}
		w.calls = nil
		o = w.outbox(nil)
		if slices.ContainsFunc(w.calls, func(c string) bool { return strings.HasPrefix(c, "deposit") }) {
			t.Errorf("shown %t: %v", shown, w.calls)
		}
		later := New(w.client.ID(), "grant", g.Entry)
		later.Package, later.Unheld = g.Package, 0b1100
		if err := o.Deposit(context.Background(), []*Change{later}); err != nil || w.held[g.ID]&0b1100 != 0 || w.unheld[g.ID] != 0 {
			t.Errorf("shown %t: %v, %04b hold it", shown, err, w.held[g.ID])
		}
	}
}

// A revocation is done once so many keepers have acknowledged it that fewer are left than
// open; what they said is kept, and who was silent, refused or lied is named. It does not
// wait for keepers to get onto the ledger.
func TestRevokedAtEnough(t *testing.T) {
	for _, c := range []struct {
		k, fail int
		err     error
		done    bool
	}{
		{2, 0, nil, true}, {2, 1, silent("keeper"), true}, {2, 2, silent("keeper"), false}, {3, 2, silent("keeper"), true}, {4, 3, silent("keeper"), true},
		{1, 1, silent("keeper"), false}, {2, 4, silent("keeper"), false}, {2, 1, &ledgerclient.TamperedError{What: "acknowledgement"}, true}, {2, 2, &ledgerclient.TamperedError{What: "acknowledgement"}, false},
	} {
		w := newWorldOf(t, c.k, 4)
		o, g := w.outbox(nil), w.grant()
		if err := w.do(o, g); err != nil {
			t.Fatal(err)
		}
		w.fail(c.err, []string{"revoke 1", "revoke 2", "revoke 3", "revoke 4"}[:c.fail]...)
		r := w.revoke(g.ID)
		err := w.do(o, r)
		if (err == nil) != c.done || w.count(r.ID) != 1 || len(w.failed) != c.fail {
			t.Errorf("%+v: %v, %d times on the ledger, %d failed", c, err, w.count(r.ID), len(w.failed))
		}
		stopped := map[crypto.PubKey]int{}
		for _, a := range r.Acks {
			stopped[a.Keeper]++
		}
		if len(stopped) != 4-c.fail {
			t.Errorf("%+v: %d acknowledged", c, len(stopped))
		}
		w.fails = nil
		if o = w.outbox(nil); o.Batches() > 0 || !c.done && len(w.ended[g.ID]) != 4 {
			t.Errorf("%+v: afterwards %v, %d told", c, o.Stuck(), len(w.ended[g.ID]))
		}
	}
}

// A grant that was ordered behind a document with other numbers of keepers is given to
// nobody and revoked, whenever the process ends; with the same numbers it is given to the
// keepers of the document where it stands, once somebody says that they are those who may
// open.
func TestGrantsUnderAnotherDocument(t *testing.T) {
	others := []*crypto.PrivateKey{crypto.GenerateKey()}
	for name, c := range map[string]struct {
		config func(w *world) contract.Config
		same   bool
	}{
		"one more":    {func(w *world) contract.Config { return w.keptBy(2, append(w.keepers, others...)...) }, false},
		"one less":    {func(w *world) contract.Config { return w.keptBy(2, w.keepers[:2]...) }, false},
		"others open": {func(w *world) contract.Config { return w.keptBy(1, w.keepers...) }, false},
		"others keep": {func(w *world) contract.Config { return w.keptBy(2, w.keepers[2], w.keepers[1], w.keepers[0]) }, true},
	} {
		for n, more := 0, true; more; n++ { // after how many calls the process ends
			w := newWorldOf(t, 2, 3)
			o, g := w.outbox(nil), w.grant()
			w.config = c.config(w)
			at, killed := 0, errors.New("killed")
			more = false
			w.fails = func(string) error {
				if at++; n > 0 && at >= n {
					more = true
					return killed
				}
				return nil
			}
			err := w.do(o, g)
			if n == 0 {
				more = true
				if errors.Is(g.Err, ErrOtherKeepers) == c.same || err != nil {
					t.Errorf("%s: %v, %v", name, err, g.Err)
				}
			} else if w.fails = nil; more && w.count(g.ID) > 0 {
				o = w.outbox(nil)
			}
			if w.count(g.ID) == 0 {
				continue // it failed without effect
			}
			revoked, held := w.states[g.ID].Status == contract.StatusClosed, w.held[g.ID]
			if revoked == c.same || c.same != (held == 0b111) || !c.same && held != 0 || o.Batches() > 0 {
				t.Errorf("%s, ended after %d calls: revoked %t, %03b hold it, %v", name, n, revoked, held, o.Stuck())
			}
		}
	}

	w := newWorldOf(t, 2, 3)
	o, g := w.outbox(nil), w.grant()
	w.wait = errors.New("who can open has changed")
	if err := w.do(o, g); err != w.wait || w.held[g.ID] != 0 || o.Stuck() != w.wait {
		t.Errorf("not confirmed: %v, %03b hold it", err, w.held[g.ID])
	}
	if w.wait = nil; w.outbox(nil).Stuck() != nil || w.held[g.ID] != 0b111 {
		t.Errorf("confirmed: %03b hold it", w.held[g.ID])
	}
}

// A grant is over when so many keepers say so that fewer are left than open it. What one of
// several says is no reason to count it among those that hold a share, nor to wait.
func TestKeepersThatSayItIsOver(t *testing.T) {
	over := &ledgerclient.BatchError{Errs: []error{&ledgerclient.KeeperError{Code: ledgerclient.Expired}}}
	for _, c := range []struct {
		k, n         int
		over, silent []string
		done         bool
		unheld       uint16
	}{
		{1, 1, []string{"deposit"}, nil, true, 0},
		{2, 4, []string{"deposit 1"}, nil, true, 0b0001},
		{2, 4, []string{"deposit 1"}, []string{"deposit 2"}, true, 0b0011},
		{2, 4, []string{"deposit 1"}, []string{"deposit 2", "deposit 3"}, false, 0},
		{2, 4, []string{"deposit 1", "deposit 2"}, []string{"deposit 3"}, false, 0},
		{2, 4, []string{"deposit 1", "deposit 2", "deposit 3"}, nil, true, 0},
		{3, 4, []string{"deposit 1", "deposit 2"}, nil, true, 0},
	} {
		w := newWorldOf(t, c.k, c.n)
		w.fails = func(call string) error {
			switch {
			case slices.Contains(c.over, call):
				return over
			case slices.Contains(c.silent, call):
				return silent("keeper")
			}
			return nil
		}
		o, g := w.outbox(nil), w.grant()
		if err := w.do(o, g); (err == nil) != c.done || c.done && (g.Unheld != c.unheld || w.unheld[g.ID] != c.unheld) || !c.done && o.Batches() != 1 {
			t.Errorf("%+v: %v, %04b without a share, told of %04b", c, err, g.Unheld, w.unheld[g.ID])
		}
	}
}
