package wallet_test

import (
	"context"
	"strings"
	"testing"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// courier carries answers to inquiries and changes them on the way. It has no
// key of the keeper's.
type courier struct {
	ledgerclient.Keeper
	change func(*ledgerclient.InquiryAnswer)
}

func (c courier) Inquire(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.InquiryAnswer, error) {
	a, err := c.Keeper.Inquire(ctx, q)
	if err == nil {
		c.change(&a)
	}
	return a, err
}

// Promise 5: a refused attempt that a keeper filed cannot be kept from the
// patient by whoever carries the answer, neither by leaving it out nor by giving
// an answer of before.
func TestAttemptsCannotBeHidden(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	add(t, patient, "a.txt", "a")
	patient.AddContact(ctx, "Dr Smith", clinic.Address().String())
	c, code := grant(t, patient, "Dr Smith", tn.now)
	audit := func(change func(*ledgerclient.InquiryAnswer)) (refused int, err error) {
		t.Helper()
		o := tn.options("Maria")
		o.Services.Keepers = []ledgerclient.Keeper{courier{o.Services.Keepers[0], change}}
		events, err := must(wallet.Open(ctx, o))(t).Audit(ctx)
		for _, e := range events {
			if e.What == wallet.Refused {
				refused++
			}
		}
		return refused, err
	}
	var before ledgerclient.InquiryAnswer
	if n, err := audit(func(a *ledgerclient.InquiryAnswer) { before = *a }); n != 0 || err != nil {
		t.Fatalf("%d refused, %v", n, err)
	}
	if _, err := patient.Revoke(ctx, []contract.ID{c.ID}); err != nil {
		t.Fatal(err)
	}
	if _, err := clinic.OpenByCode(ctx, code, ""); err == nil {
		t.Fatal("opened after the revocation")
	}
	if n, err := audit(func(*ledgerclient.InquiryAnswer) {}); n != 1 || err != nil {
		t.Fatalf("%d refused, %v", n, err)
	}
	for name, change := range map[string]func(*ledgerclient.InquiryAnswer){
		"left out":            func(a *ledgerclient.InquiryAnswer) { a.Refused = nil },
		"twice":               func(a *ledgerclient.InquiryAnswer) { a.Refused = append(a.Refused, a.Refused...) },
		"an answer of before": func(a *ledgerclient.InquiryAnswer) { *a = before },
		"no acknowledgement":  func(a *ledgerclient.InquiryAnswer) { a.Acks = nil },
	} {
		if _, err := audit(change); isTampered(err) == nil || !strings.HasPrefix(isTampered(err).What, "refusals filed by keeper 1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
