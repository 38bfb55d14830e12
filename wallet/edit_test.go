package wallet_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet"
)

// A record is described anew without a new version; what was granted shows what it did; the
// next version takes it over; and it is there on another machine and after a restore.
func TestEdit(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	words := crypto.NewEntropy()
	w, clinic := tn.device("Maria's laptop", words), tn.person("Dr Smith")
	must(w.Book().Keep(ctx))(t)
	phone := tn.device("Maria's phone", words)
	w.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	id := add(t, w, "scan0017.txt", "haemoglobin 13.2").ID
	grant(t, w, "Dr Smith", tn.now)
	was, is, err := w.Records().Edit(ctx, id.String(), wallet.Describe{Title: " Blood test ", Category: "labs", Date: "2026-05-04"}, false)
	if err != nil || was.Title != "scan0017" || is.Title != "Blood test" || is.Category != "labs" || is.Date != "2026-05-04" || is.Version != 1 || is.SHA256 != was.SHA256 {
		t.Fatalf("%+v, %+v, %v", was, is, err)
	}
	if c := must(w.Consents().List(ctx))(t)[0]; c.Records[0].Title != "scan0017" {
		t.Errorf("the consent shows %q", c.Records[0].Title)
	}
	tn.now = tn.now.AddDate(0, 0, 1)
	grant(t, w, "Dr Smith", tn.now)
	if in := must(clinic.Inbox().List(ctx))(t); len(in) != 2 || in[0].Records[0].Title != "scan0017" || in[1].Records[0].Title != "Blood test" || in[1].Records[0].Category != "labs" {
		t.Errorf("%+v", in)
	}
	if !must(w.Book().Keep(ctx))(t) {
		t.Error("it was not entered on the ledger")
	}

	// The other machine, one that is restored, and the same again.
	restored, _, err := tn.restore("Maria's new laptop", words)
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]*wallet.Wallet{"phone": phone, "restored": restored} {
		must(w.Changes().Sync(ctx))(t)
		if r := must(w.Records().List(ctx))(t)[0]; r.Title != "Blood test" || r.Date != "2026-05-04" || r.Category != "labs" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if was, is, err := phone.Records().Edit(ctx, id.String(), wallet.Describe{Title: "Blood test"}, false); err != nil || was != is {
		t.Error(is, err)
	}
	if _, is, err := phone.Records().Edit(ctx, id.String(), wallet.Describe{}, true); err != nil || is.Date != "" || is.Title != "Blood test" {
		t.Error(is, err)
	}
	must(phone.Book().Keep(ctx))(t)
	must(w.Changes().Sync(ctx))(t)
	if r := must(w.Records().List(ctx))(t)[0]; r.Date != "" {
		t.Errorf("%+v", r)
	}

	// The next version takes it over, and can be another thing; the one before stays.
	r, _, err := w.Records().Update(ctx, id.String(), source("next", 1), wallet.Describe{Date: "2026-06-01"}, nil)
	if err != nil || r.Title != "Blood test" || r.Date != "2026-06-01" || r.Version != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	w.Records().Edit(ctx, id.String(), wallet.Describe{Title: "Two"}, false)
	all, _, err := w.Records().History(ctx, id.String())
	if err != nil || all[0].Title != "Blood test" || all[1].Title != "Two" {
		t.Errorf("%+v, %v", all, err)
	}

	for _, d := range []wallet.Describe{{Title: strings.Repeat("t", 161)}, {Date: "2026-02-30"}, {Category: "none"}} {
		if _, _, err := w.Records().Edit(ctx, id.String(), d, false); !errors.Is(err, wallet.ErrInput) {
			t.Errorf("%+v: %v", d, err)
		}
	}
	// Of a removed record nothing stays in the book.
	if _, _, err := w.Records().Remove(ctx, id.String()); err != nil {
		t.Fatal(err)
	}
	if all, _, err = w.Records().History(ctx, id.String()); err != nil || all[0].Title != "scan0017" || all[1].Title != "Blood test" {
		t.Errorf("%+v, %v", all, err)
	}
	if _, _, err := w.Records().Edit(ctx, id.String(), wallet.Describe{Title: "x"}, false); !errors.Is(err, wallet.ErrWithdrawn) {
		t.Error(err)
	}
}

// Threat: what was said of a record is lost to a machine that had not heard of it and made
// the next version, which takes over what was said before. What that one says of its own
// accord stands, and so does what is said later.
func TestEditBesideANewVersion(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	words := crypto.NewEntropy()
	laptop := tn.device("Maria's laptop", words)
	id := add(t, laptop, "scan0017.txt", "haemoglobin 13.2").ID.String()
	must(laptop.Book().Keep(ctx))(t)
	phone := tn.device("Maria's phone", words)
	must(phone.Changes().Sync(ctx))(t)
	said := func(w *wallet.Wallet) string {
		t.Helper()
		must(w.Changes().Sync(ctx))(t)
		r := must(w.Records().List(ctx))(t)[0]
		return fmt.Sprint(r.Version, " ", r.Title, " ", r.Category, " ", r.Date)
	}
	update := func(w *wallet.Wallet, text string, d wallet.Describe) {
		t.Helper()
		if _, _, err := w.Records().Update(ctx, id, wallet.Source{Reader: strings.NewReader(text), Name: "next.txt", Size: int64(len(text))}, d, nil); err != nil {
			t.Fatal(err)
		}
	}
	edit := func(w *wallet.Wallet, d wallet.Describe) {
		t.Helper()
		if _, _, err := w.Records().Edit(ctx, id, d, false); err != nil {
			t.Fatal(err)
		}
	}
	edit(laptop, wallet.Describe{Title: "Blood test", Date: "2026-05-04"})
	update(phone, "two", wallet.Describe{Date: "2026-06-01"})
	if got := said(laptop); got != "2 Blood test other 2026-06-01" {
		t.Error(got)
	}
	must(laptop.Book().Keep(ctx))(t)
	if got := said(phone); got != "2 Blood test other 2026-06-01" {
		t.Error(got)
	}
	// It goes on with the next version, also where its maker calls it as it was called first.
	update(phone, "three", wallet.Describe{})
	if got := said(phone); got != "3 Blood test other 2026-06-01" {
		t.Error(got)
	}
	update(phone, "four", wallet.Describe{Title: "scan0017"})
	if got := said(phone); got != "4 scan0017 other 2026-06-01" {
		t.Error(got)
	}
	must(phone.Book().Keep(ctx))(t)
	if got := said(laptop); got != "4 scan0017 other 2026-06-01" {
		t.Error(got)
	}
	edit(laptop, wallet.Describe{Title: "Five"})
	if got := said(laptop); got != "4 Five other 2026-06-01" {
		t.Error(got)
	}
}
