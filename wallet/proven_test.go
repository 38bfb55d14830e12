package wallet_test

import (
	"context"
	"testing"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// unproven is a ledger that cannot prove the state of a thread: what it showed of
// the thread is not all there is.
type unproven struct {
	ledgerclient.Ledger
}

func (u unproven) ProveThread(ctx context.Context, index, size uint64) (ledgerclient.ThreadProof, error) {
	p, err := u.Ledger.(ledgerclient.Prover).ProveThread(ctx, index, size)
	if len(p.Slot) > 0 {
		p.Slot[len(p.Slot)-1] ^= 1 // of the chain over the follow-ups
	}
	return p, err
}

// Promise 5: consents that are handed on are proven complete first.
func TestProvenConsents(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	add(t, patient, "a.txt", "a")
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	one, _ := grant(t, patient, "Dr Smith", tn.now)
	two, _ := grant(t, patient, "Dr Smith", tn.now)
	must(patient.Consents().Revoke(ctx, []contract.ID{one.ID}))(t)

	all := must(patient.Consents().Proven(ctx, ""))(t)
	if len(all) != 2 || all[0].ID != one.ID || all[0].Status != wallet.StatusRevoked || all[1].ID != two.ID || all[1].Status != wallet.StatusActive {
		t.Errorf("all: %+v", all)
	}
	some := must(patient.Consents().Proven(ctx, one.ID.String()[:10]))(t)
	if len(some) != 1 || some[0].ID != one.ID {
		t.Errorf("named: %+v", some)
	}
	if _, err := clinic.Consents().Proven(ctx, one.ID.String()); err == nil {
		t.Error("somebody else's consent")
	}
	o := tn.options("Maria")
	o.Services.Ledger = unproven{o.Services.Ledger}
	w, err := wallet.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Consents().Proven(ctx, ""); isTampered(err) == nil {
		t.Errorf("handed on without a proof: %v", err)
	}
}
