package wallet_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// weighingStore notes how large what is put is, by its part.
type weighingStore struct {
	ledgerclient.Store
	sizes map[ledgerclient.Part]map[int]bool
}

func (s weighingStore) PutBlobs(ctx context.Context, puts []ledgerclient.Put) error {
	for _, p := range puts {
		if s.sizes[p.Part] == nil {
			s.sizes[p.Part] = map[int]bool{}
		}
		s.sizes[p.Part][len(p.Blob)] = true
	}
	return s.Store.PutBlobs(ctx, puts)
}

// Promise 2: a store sees the size of what it keeps. The terms of one record with a
// short title and of twenty with the longest are of one size, whatever their sender is
// called, and so are accesses with any reason: all that a wallet puts of a kind is as
// large.
func TestSizesTellNothing(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	store := weighingStore{sizes: map[ledgerclient.Part]map[int]bool{}}
	person := func(name string) *wallet.Wallet {
		opt := tn.options(fmt.Sprint(len(name), " bytes"))
		store.Store = opt.Services.Store
		opt.Services.Store = store
		w, err := wallet.Create(ctx, opt, crypto.NewEntropy(), name, tn.ledgerDir())
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	smith := person("Dr Smith")
	knows := func(w *wallet.Wallet) *wallet.Wallet {
		t.Helper()
		if _, _, err := w.Contacts().Add(ctx, "Dr Smith", smith.Address().String()); err != nil {
			t.Fatal(err)
		}
		return w
	}
	maria := knows(person("Maria"))
	var all []string
	for i := range 20 {
		d := wallet.Describe{Title: "t"}
		if i > 0 {
			d = wallet.Describe{Title: fmt.Sprint(i) + strings.Repeat("x", payload.MaxTitle-2), Category: "immunizations", Date: "2026-11-21"}
		}
		src := wallet.Source{Reader: strings.NewReader(strings.Repeat("b", 50*i) + fmt.Sprint(i)), Name: strings.Repeat("f", 1+10*i), Size: -1}
		r, _, err := maria.Records().Add(ctx, src, d, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r.ID.String())
	}
	for _, records := range [][]string{all[:1], all} {
		plan, err := maria.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", Records: records, NotAfter: must(wallet.EndAfter("30d", tn.now))(t)})
		if err != nil {
			t.Fatal(err)
		}
		_, code, err := maria.Grants().Give(ctx, plan)
		if err != nil {
			t.Fatal(err)
		}
		reason, by := "", ""
		if len(records) > 1 {
			reason, by = strings.Repeat(`"`, payload.MaxReason), strings.Repeat(`"`, payload.MaxBy)
		}
		if _, err := smith.Inbox().By(by).OpenByCode(ctx, code, reason); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"M", strings.Repeat("\U0001f9ea", 64)} {
		w := knows(person(name))
		r, _, err := w.Records().Add(ctx, wallet.Source{Reader: strings.NewReader("b"), Name: "f", Size: -1}, wallet.Describe{Title: "t"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := w.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", Records: []string{r.ID.String()}, NotAfter: must(wallet.EndAfter("30d", tn.now))(t)})
		if err != nil {
			t.Fatal(err)
		}
		c, _, err := w.Grants().Give(ctx, plan)
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range must(smith.Inbox().List(ctx))(t) {
			if got.Consent == c.ID && (got.Says != name || got.From != "") {
				t.Errorf("%q says %q, and is known as %q", name, got.Says, got.From)
			}
		}
	}
	// A request and an answer are put as a consent of few records is.
	if _, _, err := smith.Contacts().Add(ctx, "Maria", maria.Address().String()); err != nil {
		t.Fatal(err)
	}
	envelopes := len(store.sizes[ledgerclient.PartEnvelope])
	for _, reason := range []string{"", strings.Repeat(`"`, 800)} {
		plan, err := smith.Requests().Plan(ctx, wallet.AskRequest{To: "Maria", Select: health.Selection{Categories: []wallet.Category{"labs"}}, For: "30d", Reason: reason})
		if err != nil {
			t.Fatal(err)
		}
		asked := must(smith.Requests().Send(ctx, plan))(t)
		if _, err := maria.Requests().Deny(ctx, asked.ID.String(), reason, false); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(store.sizes[ledgerclient.PartEnvelope]); n != envelopes {
		t.Errorf("envelopes of letters are of %d sizes that no consent has: %v", n-envelopes, store.sizes[ledgerclient.PartEnvelope])
	}
	for _, x := range []struct {
		part ledgerclient.Part
		room int // with the ledger's one node and one keeper
	}{{ledgerclient.PartMetadata, 0}, {ledgerclient.PartTerms, payload.TermsRoom(1, 1)}, {ledgerclient.PartAccess, payload.AccessRoom(1)}} {
		if len(store.sizes[x.part]) != 1 {
			t.Errorf("%s of %d sizes: %v", x.part, len(store.sizes[x.part]), store.sizes[x.part])
		}
		for size := range store.sizes[x.part] {
			if size < x.room { // what is to come would show
				t.Errorf("%s of %d bytes, and %d are reserved", x.part, size, x.room)
			}
		}
	}
}
