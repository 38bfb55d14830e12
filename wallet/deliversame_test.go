package wallet_test

import (
	"context"
	"testing"

	"github.com/carekey/carekey/wallet"
)

// Threat: somebody delivers what the laboratory did, and then corrects his own: its record
// loses its source, its signature and its withdrawal, and gets his content.
func TestDeliveriesOfTwoSenders(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	maria, lab, eve := tn.person("Maria"), tn.person("City Lab"), tn.person("Eve")
	knowing(t, maria, lab, eve)
	knowing(t, lab, maria)
	knowing(t, eve, maria)
	first := send(t, lab, deliver(t, lab, "Maria", "l.txt", "one", func(r *wallet.DeliverRequest) { r.Attest = true }))
	rec, _ := must2(accept(maria, first.ID, wallet.Describe{}))(t)
	copied := send(t, eve, deliver(t, eve, "Maria", "e.txt", "one"))
	hers, existing := must2(accept(maria, copied.ID, wallet.Describe{}))(t)
	if existing || hers.ID == rec.ID || hers.Version != 1 || hers.Title != "e" || hers.Source.Delivery != copied.ID || hers.Signed.Is() {
		t.Errorf("%+v", hers)
	}
	if like := must(maria.Grants().Deliveries().Same(ctx, hers))(t); len(like) != 1 || like[0].ID != rec.ID || like[0].Source.Name != "City Lab" {
		t.Errorf("%+v", like)
	}
	fixed := send(t, eve, deliver(t, eve, "Maria", "e.txt", "two", func(r *wallet.DeliverRequest) { r.Corrects = copied.ID.String() }))
	if got, _ := must2(accept(maria, fixed.ID, wallet.Describe{}))(t); got.ID != hers.ID || got.Version != 2 {
		t.Errorf("%+v", got)
	}
	if _, err := lab.Grants().Deliveries().Withdraw(ctx, first.ID.String(), "wrong tube"); err != nil {
		t.Fatal(err)
	}
	now, _ := must2(maria.Records().Parts(ctx, rec.ID.String()))(t)
	if now.Version != 1 || now.SHA256 != rec.SHA256 || !now.Signed.Is() || now.Source.Delivery != first.ID {
		t.Errorf("the laboratory's record: %+v", now)
	}
	if withdrawn, _, err := maria.Grants().Deliveries().SaidSince(ctx, now); err != nil || len(withdrawn) != 1 || withdrawn[0].Why != "wrong tube" {
		t.Errorf("%+v %v", withdrawn, err)
	}
	// A version that she adds herself takes nothing of that back.
	own, _, err := maria.Records().Update(ctx, rec.ID.String(), fileOf("l.txt", []byte("mine")), wallet.Describe{}, nil)
	if err != nil || own.Version != 2 {
		t.Fatal(own, err)
	}
	if withdrawn, _, err := maria.Grants().Deliveries().SaidSince(ctx, own); err != nil || len(withdrawn) != 1 || withdrawn[0].Version != 1 {
		t.Errorf("%+v %v", withdrawn, err)
	}
}

// Threat: an older correction is accepted after a newer one, and stands before it.
func TestCorrectionsKeepTheirOrder(t *testing.T) {
	tn := newTown(t)
	maria, lab := tn.person("Maria"), tn.person("City Lab")
	knowing(t, maria, lab)
	knowing(t, lab, maria)
	first := send(t, lab, deliver(t, lab, "Maria", "l.txt", "one"))
	rec, _ := must2(accept(maria, first.ID, wallet.Describe{}))(t)
	correct := func(r *wallet.DeliverRequest) { r.Corrects = first.ID.String() }
	older := send(t, lab, deliver(t, lab, "Maria", "l.txt", "two", correct))
	newer := send(t, lab, deliver(t, lab, "Maria", "l.txt", "three", correct))
	if got, _ := must2(accept(maria, newer.ID, wallet.Describe{}))(t); got.ID != rec.ID || got.Version != 2 {
		t.Errorf("%+v", got)
	}
	if r := must(maria.Grants().Deliveries().Becomes(context.Background(), delivered(t, maria, older.ID)))(t); r != nil {
		t.Errorf("it is said to become a version of %+v", r)
	}
	if got, _ := must2(accept(maria, older.ID, wallet.Describe{}))(t); got.ID == rec.ID || got.Version != 1 {
		t.Errorf("%+v", got)
	}
}
