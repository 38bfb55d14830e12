package wallet_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/wallet"
)

// A head of a time that is yet to come is shown as of now, and to revoke what is revoked it is
// no matter how old the head is.
func TestHeadsOfOtherTimes(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	signed := tn.now
	open := func(revoking bool) *wallet.Wallet {
		o := tn.options("Maria")
		f := must(folder.Open(tn.ledgerDir(), folder.Options{Clock: tn.clock}))(t)
		t.Cleanup(func() { f.Close() })
		o.Services.Ledger, o.Revoking = halted{f, &signed, nil}, revoking
		return must(wallet.Open(ctx, o))(t)
	}
	tn.person("Maria")
	clinic := tn.person("Dr Smith")
	w := open(false)
	add(t, w, "a.txt", "a")
	must2(w.Contacts().Add(ctx, "Dr Smith", clinic.Address().String()))(t)
	c, _ := grant(t, w, "Dr Smith", tn.now)

	signed = tn.now.Add(24 * time.Hour)
	w = open(false)
	if cs, err := w.Consents().List(ctx); err != nil || len(cs) != 1 || !cs[0].AsOf.Equal(tn.now) {
		t.Errorf("of tomorrow: %+v, %v", cs, err)
	}
	if stale, dated := w.Log().Stale(); !stale || !dated {
		t.Errorf("of tomorrow: stale %v, dated %v", stale, dated)
	}

	signed = tn.now
	tn.now = tn.now.Add(5 * time.Hour)
	for range 2 {
		w = open(true)
		if _, err := w.Consents().Revoke(ctx, []contract.ID{c.ID}); err != nil {
			t.Error(err)
		}
		if stale, dated := w.Log().Stale(); stale || dated {
			t.Errorf("to revoke: stale %v, dated %v", stale, dated)
		}
	}
	w = open(false)
	if _, err := w.Consents().List(ctx); err != nil {
		t.Error(err)
	}
	if _, why := w.Log().OutOfReach(); !errors.Is(why, ledgerclient.ErrStale) {
		t.Error(why)
	}
}
