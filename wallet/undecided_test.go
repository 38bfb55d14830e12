package wallet_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// A ledger that decides nothing holds up nobody who only looks: it was told of what waits, and is
// not told again by who looks before it has decided something, or ten minutes later, once: what
// it lost all the same goes out for who only looks, too. Who changes something tells it once, and
// sync whenever it is asked for.
func TestLookingWaitsForNoOrder(t *testing.T) {
	ctx := context.Background()
	tn := newOrderTown(t)
	c := tn.granted()
	told := func(what string, want int) {
		t.Helper()
		if tn.l.asked != want {
			t.Errorf("%s: the order was told %d times, not %d", what, tn.l.asked, want)
		}
		tn.l.asked = 0
	}
	tn.l.asked, tn.l.hold = 0, true
	waits := func(err error) bool {
		u := ledgerclient.Unreachable(err)
		return errors.Is(err, wallet.ErrPending) && u != nil && u.Undecided
	}
	if _, err := tn.open("Maria").Consents().Revoke(ctx, []contract.ID{c.ID}); !waits(err) {
		t.Fatalf("%v", err)
	}
	told("to end it", 1)

	tn.l.hangs = make(chan struct{})
	maria := tn.open("Maria")
	for what, look := range map[string]func() error{
		"record list":  func() error { _, err := maria.Records().List(ctx); return err },
		"consent list": func() error { _, err := maria.Consents().List(ctx); return err },
		"consent show": func() error { _, _, err := maria.Consents().Show(ctx, c.ID.String()); return err },
		"explain":      func() error { _, err := maria.Consents().Explain(ctx, c.ID.String()); return err },
		"audit":        func() error { _, err := maria.Audit().Events(ctx); return err },
		"inbox":        func() error { _, err := maria.Inbox().List(ctx); return err },
		"witnesses":    func() error { _, err := maria.Witnesses().Look(ctx); return err },
		"head":         func() error { _, _, _, err := maria.Log().Head(ctx); return err },
		"status": func() error {
			s, err := maria.Audit().Status(ctx)
			if len(s.Pending) != 1 || s.Pending[0].Action != wallet.Revoking || !ledgerclient.Unreachable(s.Pending[0].Err).Undecided {
				t.Errorf("status: %+v", s.Pending)
			}
			return err
		},
	} {
		for range 2 { // also as a new process
			if err := look(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			told(what, 0)
			maria = tn.open("Maria")
		}
	}
	close(tn.l.hangs)

	// Who changes something tells it, once.
	maria = tn.open("Maria")
	for range 3 {
		if err := maria.Contacts().SetVerified(ctx, "Dr Smith"); err != nil {
			t.Error(err)
		}
	}
	told("a change", 1)
	if _, err := maria.Changes().Sync(ctx); ledgerclient.Unreachable(err) == nil {
		t.Error(err)
	}
	told("sync", 1)
	tn.now = tn.now.Add(11 * time.Minute)
	if err := maria.Contacts().SetVerified(ctx, "Dr Smith"); err != nil {
		t.Error(err)
	}
	told("a change later", 1)
	for i, after := range []time.Duration{9 * time.Minute, 2 * time.Minute, 9 * time.Minute} {
		tn.now = tn.now.Add(after)
		for range 2 {
			if cs := must(tn.open("Maria").Consents().List(ctx))(t); cs[0].Pending != wallet.Revoking {
				t.Errorf("%+v", cs[0])
			}
		}
		told("looks later", i%2)
	}

	// When it has decided something it is told by whoever looks: once, and that is on the ledger.
	tn.l.hold, tn.l.hangs = false, nil
	if cs := must(tn.open("Maria").Consents().List(ctx))(t); cs[0].Pending != wallet.Revoking {
		t.Errorf("%+v", cs[0])
	}
	told("a look", 0)
	must(wallet.Create(ctx, tn.options("Otto"), crypto.NewEntropy(), "Otto", "x"))(t)
	add(t, tn.open("Otto"), "b.txt", "b")
	told("somebody else", 1)
	for range 2 {
		if cs := must(tn.open("Maria").Consents().List(ctx))(t); cs[0].Pending != "" || cs[0].Status != wallet.StatusRevoked {
			t.Errorf("%+v", cs[0])
		}
	}
	told("looks", 1)
}

// What a ledger has ordered is there, whatever it said of it: that it did not decide in time, or that
// it refused it. Nobody is told that it waits, or that it failed.
func TestOrderedAndNotSaid(t *testing.T) {
	ctx := context.Background()
	for what, says := range map[string]func(*ledgerclient.Outcome) error{
		"not decided": func(*ledgerclient.Outcome) error {
			return &ledgerclient.UnreachableError{Service: "ledger", Err: errCut, Answered: true, Undecided: true}
		},
		"refused": func(o *ledgerclient.Outcome) error {
			o.Refusal = &contract.Refusal{Rule: contract.RuleSignature, Entry: o.ID, Hour: o.Hour}
			return nil
		},
	} {
		tn := newOrderTown(t)
		c := tn.granted()
		o := tn.options("Maria")
		o.Services.Ledger = &saysOther{o.Services.Ledger, says}
		rs, err := must(wallet.Open(ctx, o))(t).Consents().Revoke(ctx, []contract.ID{c.ID})
		if err != nil || len(rs) != 1 || rs[0].Consent.Status != wallet.StatusRevoked {
			t.Errorf("%s: %+v, %v", what, rs, err)
		}
	}
}

// saysOther is a ledger that orders, and says something else.
type saysOther struct {
	ledgerclient.Ledger
	says func(*ledgerclient.Outcome) error
}

func (s *saysOther) Append(ctx context.Context, es []contract.Entry) ([]ledgerclient.Outcome, error) {
	out, err := s.Ledger.Append(ctx, es)
	for i := range out {
		if err == nil {
			err = s.says(&out[i])
		}
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}
