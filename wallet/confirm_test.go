package wallet_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/wallet"
)

// Threat: all who kept a ledger's nodes have left, and sold their disks with the keys. Who
// has these hands the ledger over to himself, for a wallet that was away. Whether that is
// what it sees, or an honest change, it cannot tell: nothing is granted before somebody
// compared the configuration with what others see.
func TestNodesThatChangedWhileAwayAreConfirmed(t *testing.T) {
	ctx := context.Background()
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		away   time.Duration
		change bool
		want   bool
	}{
		"a change after a long time":  {31 * day, true, true},
		"a change after a short time": {29 * day, true, false},
		"no change after a long time": {400 * day, false, false},
	} {
		tn := newTown(t)
		maria, clinic := tn.person("Maria"), tn.person("Dr Smith")
		if _, _, err := maria.Contacts().Add(ctx, "Dr Smith", clinic.Address().String()); err != nil {
			t.Fatal(err)
		}
		n := ledgertest.NewNetwork(3, ledgertest.Institutions("confirm", 4)...)
		n.Now, n.Fresh = tn.clock, 10*time.Minute
		o := tn.options("Maria")
		o.Services = n.Services()
		if _, _, err := wallet.Join(ctx, o, "there"); err != nil {
			t.Fatal(err)
		}
		// open opens the wallet as a new process would, and plan is what becomes of a grant.
		open := func() *wallet.Wallet {
			t.Helper()
			w, err := tn.again("Maria").On(ctx, n.Services(), n.ID())
			if err != nil {
				t.Fatal(err)
			}
			if _, _, _, err := w.Log().Head(ctx); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return w
		}
		plan := func(w *wallet.Wallet) error {
			_, err := w.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: contract.Hour(tn.now.Unix()/3600) + 48, Purpose: "TREAT"})
			return err
		}
		if err := plan(open()); !errors.Is(err, wallet.ErrEmpty) {
			t.Fatalf("%s: before: %v", name, err)
		}
		tn.now = tn.now.Add(tt.away)
		if tt.change {
			n.Change(3, ledgertest.Institutions("confirmed", 4)...)
		}
		n.Grow(1)
		for range 2 { // it is not forgotten when the wallet has looked again
			if err := plan(open()); errors.Is(err, wallet.ErrUnconfirmed) != tt.want || !tt.want && !errors.Is(err, wallet.ErrEmpty) {
				t.Errorf("%s: %v", name, err)
			}
			tn.now = tn.now.Add(time.Hour)
		}
		if !tt.want {
			continue
		}
		w := open()
		if err := w.Log().Confirm(ctx, crypto.Hash{1}); !errors.Is(err, wallet.ErrInput) {
			t.Errorf("%s: another configuration is confirmed: %v", name, err)
		}
		if err := plan(w); !errors.Is(err, wallet.ErrUnconfirmed) {
			t.Errorf("%s: %v", name, err)
		}
		config := n.Config()
		if shown, no := w.Log().Unconfirmed(); !no || shown != config.Commitment() {
			t.Errorf("%s: %v is shown", name, shown)
		}
		if err := w.Log().Confirm(ctx, config.Commitment()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := plan(open()); !errors.Is(err, wallet.ErrEmpty) {
			t.Errorf("%s: confirmed: %v", name, err)
		}
	}
}

// Threat: a stranger's consent, or what was said with an opening, comes with a head that one
// of several nodes has signed, as each shows it: to end that the inbox and the audit open at
// all. It is the stranger's fault, as of any note that is no head.
func TestHeadOfTooFewIsTheStrangers(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	tn.person("Maria")
	members := ledgertest.Institutions("handed on", 4)
	n := ledgertest.NewNetwork(3, members...)
	n.Now, n.Fresh = tn.clock, 10*time.Minute
	o := tn.options("Maria")
	o.Services = n.Services()
	if _, _, err := wallet.Join(ctx, o, "there"); err != nil {
		t.Fatal(err)
	}
	n.Grow(5)
	w := must(tn.again("Maria").On(ctx, n.Services(), n.ID()))(t)
	if _, _, _, err := w.Log().Head(ctx); err != nil {
		t.Fatal(err)
	}
	for have := 1; have <= len(members); have++ {
		err := w.Log().Handed(ctx, string(n.Note(4, members[:have]...)))
		if have >= 3 && err != nil || have < 3 && isTampered(err) == nil {
			t.Errorf("signed by %d: %v", have, err)
		}
	}
}

// Threat: one node stands for all keepers of a ledger, and who runs it has every share of
// what is granted. Nothing is, where a wallet reaches one node alone.
func TestNothingIsGrantedToSeveralKeepersAtOneNode(t *testing.T) {
	ctx := context.Background()
	for keepers := 1; keepers <= 2; keepers++ {
		tn := newTown(t)
		maria, clinic := tn.person("Maria"), tn.person("Dr Smith")
		if _, _, err := maria.Contacts().Add(ctx, "Dr Smith", clinic.Address().String()); err != nil {
			t.Fatal(err)
		}
		n := &ledgertest.Network{Members: ledgertest.Institutions("kept", 4), Threshold: 3, Now: tn.clock, Fresh: 10 * time.Minute}
		for _, k := range ledgertest.Institutions("keeps", keepers) {
			n.Keepers = append(n.Keepers, k.Key.Public())
		}
		n.Found()
		o := tn.options("Maria")
		o.Services = n.Services()
		w, _, err := wallet.Join(ctx, o, "there")
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: contract.Hour(tn.now.Unix()/3600) + 48, Purpose: "TREAT"})
		if want := map[int]error{1: wallet.ErrEmpty, 2: wallet.ErrNoWay}[keepers]; !errors.Is(err, want) {
			t.Errorf("%d keepers: %v", keepers, err)
		}
	}
}
