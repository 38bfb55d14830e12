package wallet_test

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// What a wallet knows without asking is what it showed last: the same consents, the same
// inbox, the same numbers, and of when. It moves nothing that is new to what was seen.
func TestKnownIsWhatStatusShowed(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	maria, clinic := tn.person("Maria"), tn.person("Dr Smith")
	must2(maria.Contacts().Add(ctx, "Dr Smith", clinic.Address().String()))(t)
	must2(clinic.Contacts().Add(ctx, "Maria", maria.Address().String()))(t)
	add(t, maria, "allergies.txt", "Penicillin: anaphylaxis, 2009")
	_, read := grant(t, maria, "Dr Smith", noon)
	ended, _ := grant(t, maria, "Dr Smith", noon)
	grant(t, maria, "Dr Smith", noon)
	if _, err := maria.Consents().Revoke(ctx, []contract.ID{ended.ID}); err != nil {
		t.Fatal(err)
	}
	must(clinic.Inbox().OpenByCode(ctx, read, "check-up"))(t)
	for _, who := range []string{"Maria", "Dr Smith"} {
		w := tn.again(who)
		shown := must(w.Audit().Peek(ctx))(t)
		tn.now = tn.now.Add(time.Hour)
		n := must(wallet.ReadNames(ctx, tn.options(who)))(t)
		known := n.Summary()
		if n.Owner != who || !n.AsOf.Equal(noon) {
			t.Errorf("of %s: %q as of %v", who, n.Owner, n.AsOf)
		}
		if known.Records != shown.Records || known.Contacts != shown.Contacts || known.Ended != shown.Ended {
			t.Errorf("of %s: %+v, shown was %+v", who, known, shown)
		}
		if !reflect.DeepEqual(known.Consents, shown.Consents) || !reflect.DeepEqual(known.Inbox, shown.Inbox) {
			t.Errorf("of %s: %+v %+v, shown was %+v %+v", who, known.Consents, known.Inbox, shown.Consents, shown.Inbox)
		}
		if !reflect.DeepEqual(known.Fetched, shown.Fetched) || len(known.Fetched) != map[string]int{"Dr Smith": 1}[who] {
			t.Errorf("of %s, fetched: %+v, shown was %+v", who, known.Fetched, shown.Fetched)
		}
		if who == "Maria" && (len(known.Consents) != 2 || len(shown.Accesses) != 1) || who != "Maria" && len(known.Inbox) != 1 {
			t.Errorf("of %s: %d consents, %d accesses, %d to fetch", who, len(known.Consents), len(shown.Accesses), len(known.Inbox))
		}
		if again := must(tn.again(who).Audit().Peek(ctx))(t); len(again.Accesses) != len(shown.Accesses) {
			t.Errorf("of %s: %d accesses, %d before", who, len(again.Accesses), len(shown.Accesses))
		}
		tn.now = noon
	}
}
