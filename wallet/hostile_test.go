package wallet_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
	"github.com/carekey/carekey/wallet"
)

// strangersGrant enters a grant with terms of the caller's making, as somebody with a
// program of his own can.
func strangersGrant(t *testing.T, tn *town, to crypto.Address, plain []byte) contract.ID {
	t.Helper()
	ctx := context.Background()
	s := tn.services()
	client, err := ledgerclient.Connect(ctx, s, crypto.LedgerID{})
	if err != nil {
		t.Fatal(err)
	}
	ledger := client.ID()
	seed := crypto.NewEntropy().Root().Seed(ledger, crypto.NewNonce())
	key := seed.Key()
	offsets, err := crypto.NewOffsets(ledger, key, to)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := crypto.SealPayload(crypto.SealContext{Ledger: ledger, Part: byte(ledgerclient.PartTerms), Author: key.Public()}, plain, 0, offsets.Seal)
	if err != nil {
		t.Fatal(err)
	}
	terms, envelope := crypto.Blob(crypto.NewSalt(), sealed), crypto.Blob(crypto.NewSalt(), []byte("nothing"))
	pkg := contract.GrantPackage{K: 1, N: 1, Terms: crypto.BlobHash(terms), Envelope: crypto.BlobHash(envelope), Lock: crypto.Hash{1}, Shares: []crypto.Hash{{2}}}
	now := contract.Hour(tn.now.Unix() / 3600)
	e := contract.Entry{Version: contract.Version, Kind: contract.KindGrant, Author: key.Public(), Counterparty: offsets.Sig, NotAfter: now + 100, Commitment: pkg.Commitment()}
	if err := e.Sign(ledger, key); err != nil {
		t.Fatal(err)
	}
	id := e.ID(ledger)
	put := func(part ledgerclient.Part, blob []byte) ledgerclient.Put {
		return ledgerclient.Put{Entry: e, Package: pkg.Marshal(), Part: part, Blob: blob, Locators: []crypto.Locator{offsets.Locator(id, byte(part))}}
	}
	if err := s.Store.PutBlobs(ctx, []ledgerclient.Put{put(ledgerclient.PartTerms, terms), put(ledgerclient.PartEnvelope, envelope)}); err != nil {
		t.Fatal(err)
	}
	if out, err := s.Ledger.Append(ctx, []contract.Entry{e}); err != nil || out[0].Refusal != nil {
		t.Fatal(out, err)
	}
	return id
}

// Threat: a stranger grants nonsense to a clinic, so that its inbox opens no more.
func TestGarbageFromStrangersHidesNothing(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	add(t, patient, "a.txt", "a")
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	bad := map[contract.ID]bool{}
	for _, plain := range [][]byte{
		nil,
		make([]byte, 64),
		append(make([]byte, 64), "{}"...),
		append(make([]byte, 64), `{"v":2,"ledger":"00"}`...),
		append(make([]byte, 64), `{"v":99}`...),
	} {
		bad[strangersGrant(t, tn, clinic.Address(), plain)] = true
	}
	good, code := grant(t, patient, "Dr Smith", tn.now)
	box := must(clinic.Inbox().List(ctx))(t)
	if len(box) != len(bad)+1 {
		t.Fatalf("inbox of %d, want %d", len(box), len(bad)+1)
	}
	for _, r := range box {
		if bad[r.Consent] != (r.Damaged != nil) || r.Missing != bad[r.Consent] {
			t.Errorf("%+v", r)
		}
	}
	var tampered *ledgerclient.TamperedError
	for id := range bad {
		if _, err := clinic.Inbox().OpenByID(ctx, id.String(), ""); !errors.As(err, &tampered) {
			t.Errorf("garbage opens: %v", err)
		}
	}
	if s := must(clinic.Audit().Status(ctx))(t); len(s.Inbox) != len(box) {
		t.Errorf("status shows %d of %d", len(s.Inbox), len(box))
	}
	if o := must(clinic.Inbox().OpenByCode(ctx, code, ""))(t); o.Consent.Consent != good.ID {
		t.Error("another consent was opened")
	}
}

// countingStore counts how often it is asked for a payload, and does not answer if
// there is an error.
type countingStore struct {
	ledgerclient.Store
	asked *int
	err   error
}

func (s countingStore) Blob(ctx context.Context, loc crypto.Locator) (ledgerclient.Blob, error) {
	*s.asked++
	if s.err != nil {
		return nil, s.err
	}
	return s.Store.Blob(ctx, loc)
}

// Threat: somebody gives a clinic thousands of consents that nobody can read, so that
// every look takes minutes. What is tried in vain is bounded, what can be read is found.
func TestFloodOfGarbage(t *testing.T) {
	ctx := context.Background()
	defer wallet.SetMaxUnread(5)()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	add(t, patient, "a.txt", "a")
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	for range 12 {
		strangersGrant(t, tn, clinic.Address(), nil)
	}
	good, _ := grant(t, patient, "Dr Smith", tn.now)
	asked := 0
	o := tn.options("Dr Smith")
	o.Services.Store = countingStore{Store: o.Services.Store, asked: &asked}
	clinic = must(wallet.Open(ctx, o))(t)
	found := false
	for n := 0; !found; n++ {
		if n == 1000 {
			t.Fatal("never found")
		}
		asked = 0
		box := must(clinic.Inbox().List(ctx))(t)
		if asked > 6 || len(box) != 13 {
			t.Fatalf("%d listed, the store was asked %d times", len(box), asked)
		}
		unread := 0
		for _, r := range box {
			switch {
			case errors.Is(r.Damaged, wallet.ErrUnread):
				unread++
			case r.Consent == good.ID:
				found = !r.Missing && r.Damaged == nil
			}
		}
		if unread < 7 {
			t.Fatalf("%d unread", unread)
		}
	}
	asked = 0
	if s := must(clinic.Audit().Status(ctx))(t); len(s.Inbox) != 13 || asked > 5 {
		t.Errorf("status lists %d, and asked %d times", len(s.Inbox), asked)
	}
	must(clinic.Inbox().OpenByID(ctx, good.ID.String(), ""))(t)
}

// Threat: outsize terms of a stranger, of which a day's worth was read, hide all else.
func TestOutsizeTermsBeyondTheDay(t *testing.T) {
	ctx := context.Background()
	defer wallet.SetDayOutsize(100 << 10)()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	add(t, patient, "a.txt", "a")
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	plan := must(patient.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: contract.Hour(tn.now.Unix()/3600) + 24}))(t)
	large := must(patient.Grants().GiveTwisted(ctx, plan, wallet.Twist{Title: strings.Repeat("<", 300<<10)}))(t)
	good, _ := grant(t, patient, "Dr Smith", tn.now)
	for _, r := range must(clinic.Inbox().List(ctx))(t) {
		if errors.Is(r.Damaged, wallet.ErrUnread) != (r.Consent == large) || r.Consent == good.ID && r.Missing {
			t.Errorf("%+v", r)
		}
	}
	must(clinic.Audit().Status(ctx))(t)
}

// silentKeeper counts how often it is asked in vain.
type silentKeeper struct {
	ledgerclient.Keeper
	asked *int
	err   error
}

func (k silentKeeper) Inquire(context.Context, ledgerclient.Inquiry) (ledgerclient.InquiryAnswer, error) {
	*k.asked++
	return ledgerclient.InquiryAnswer{}, k.err
}

// A service that does not answer is asked once, not once for each consent with all the
// patience that it gets; the next look asks again.
func TestSilentServicesAreAskedOnce(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	add(t, patient, "a.txt", "a")
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	for range 3 {
		_, code := grant(t, patient, "Dr Smith", tn.now)
		must(clinic.Inbox().OpenByCode(ctx, code, "why"))(t)
		grant(t, patient, "Dr Smith", tn.now)
	}
	asked, inquired := 0, 0
	with := func(name string) *wallet.Wallet {
		o := tn.options(name)
		o.Services.Store = countingStore{o.Services.Store, &asked, &ledgerclient.UnreachableError{Service: "store", Err: errors.New("no answer")}}
		o.Services.Keepers = []ledgerclient.Keeper{silentKeeper{o.Services.Keepers[0], &inquired, &ledgerclient.UnreachableError{Service: "keeper", Err: errors.New("no answer")}}}
		return must(wallet.Open(ctx, o))(t)
	}
	c, p := with("Dr Smith"), with("Maria")
	for range 2 {
		asked, inquired = 0, 0
		if box := must(c.Inbox().List(ctx))(t); len(box) != 6 || asked != 1 {
			t.Errorf("inbox of %d, the store was asked %d times", len(box), asked)
		}
		asked = 0
		if es := must(p.Audit().Events(ctx))(t); len(es) != 9 || asked != 1 || inquired != 1 {
			t.Errorf("audit of %d, the store was asked %d times, the keeper %d", len(es), asked, inquired)
		}
		if _, err := p.Log().OutOfReach(); err == nil {
			t.Error("nothing said of it")
		}
	}
}

// Threat: a stranger's consent has terms so large that they fill the screen and the
// disk, or the cache that they are kept in, which then is read from the ledger anew
// every time; or brings a head that no ledger signed. It is shown as damaged, and
// all others as they are.
func TestOutsizeTermsFromStrangers(t *testing.T) {
	lane.OneGoroutine(t)
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	add(t, patient, "a.txt", "a")
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	plan := func() *wallet.GrantPlan {
		return must(patient.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: contract.Hour(tn.now.Unix()/3600) + 24}))(t)
	}
	head := string(must(tn.services().Ledger.Checkpoint(ctx))(t))
	bad := map[contract.ID]bool{}
	for name, twist := range map[string]wallet.Twist{
		"title":               {Title: strings.Repeat("x", 201)},
		"3 MiB":               {Title: strings.Repeat("<", 3<<20)},
		"no head":             {Head: "nonsense"},
		"a head of no ledger": {Head: strings.Replace(head, "carekey/v1/", "carekey/v2/", 1)},
		"a long head":         {Head: head + strings.Repeat("— x AAAAAAAA\n", 1000)},
	} {
		id, err := patient.Grants().GiveTwisted(ctx, plan(), twist)
		if err != nil {
			t.Fatal(name, err)
		}
		bad[id] = true
	}
	good, _ := grant(t, patient, "Dr Smith", tn.now)
	for range 2 {
		clinic = tn.again("Dr Smith")
		box := must(clinic.Inbox().List(ctx))(t)
		if len(box) != len(bad)+1 {
			t.Fatalf("inbox of %d, want %d", len(box), len(bad)+1)
		}
		for _, r := range box {
			if bad[r.Consent] != (isTampered(r.Damaged) != nil) || r.Missing != bad[r.Consent] || bad[r.Consent] == (r.Consent == good.ID) {
				t.Errorf("%+v", r)
			}
		}
		if info, err := os.Stat(tn.cacheOf("Dr Smith")); err != nil || info.Size() > 1<<20 {
			t.Errorf("the cache has %d bytes, %v", info.Size(), err)
		}
	}
	if cs := must(patient.Consents().List(ctx))(t); len(cs) != len(bad)+1 {
		t.Errorf("%d consents", len(cs))
	}
	for id := range bad {
		if _, err := clinic.Inbox().OpenByID(ctx, id.String(), ""); isTampered(err) == nil {
			t.Errorf("%s opens: %v", id, err)
		}
	}
}

// Threat: who can write the store changes a consent's terms and the wallet's cache
// is lost: the consent must still be seen, and end.
func TestConsentWithDamagedTermsCanBeRevoked(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	add(t, patient, "a.txt", "a")
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	c, _ := grant(t, patient, "Dr Smith", tn.now)
	for _, part := range []ledgerclient.Part{ledgerclient.PartTerms, ledgerclient.PartMetadata} {
		all := foldertest.Payloads(tn.ledgerDir(), part)
		if len(all) != 1 {
			t.Fatal(all)
		}
		if err := all[0].Write([]byte("other bytes, more than a salt has")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(tn.cacheOf("Maria")); err != nil {
		t.Fatal(err)
	}
	w := tn.again("Maria")
	if rs := must(w.Records().List(ctx))(t); len(rs) != 1 || rs[0].Damaged == nil || !rs[0].Missing {
		t.Errorf("records: %+v", rs)
	}
	if cs := must(w.Consents().List(ctx))(t); len(cs) != 1 || cs[0].ID != c.ID || cs[0].Damaged == nil || cs[0].Status != wallet.StatusActive {
		t.Fatalf("consents: %+v", cs)
	}
	if _, _, err := w.Consents().Show(ctx, c.ID.String()); isTampered(err) == nil {
		t.Errorf("shown without its terms: %v", err)
	}
	chosen := must(w.Consents().Select(ctx, wallet.RevokeRequest{All: true}))(t)
	if len(chosen) != 1 {
		t.Fatalf("chosen: %+v", chosen)
	}
	if rs := must(w.Consents().Revoke(ctx, []contract.ID{c.ID}))(t); rs[0].Consent.Status != wallet.StatusRevoked || len(rs[0].Acks) == 0 {
		t.Errorf("revoked: %+v", rs)
	}
}

func isTampered(err error) *ledgerclient.TamperedError {
	var t *ledgerclient.TamperedError
	errors.As(err, &t)
	return t
}

// failing is a ledger that takes nothing.
type failing struct {
	ledgerclient.Ledger
	ledgerclient.Prover
	err error
}

func (f failing) Append(context.Context, []contract.Entry) ([]ledgerclient.Outcome, error) {
	return nil, f.err
}

// Promise 8: a change whose failure was told does not happen later; a revocation
// does, and so does what an unreachable ledger may have ordered.
func TestFailedChangesAreForgotten(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	add(t, patient, "a.txt", "a")
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	c, _ := grant(t, patient, "Dr Smith", tn.now)

	broken := func(err error) *wallet.Wallet {
		o := tn.options("Maria")
		o.Services.Ledger = failing{o.Services.Ledger, o.Services.Ledger.(ledgerclient.Prover), err}
		w, oerr := wallet.Open(ctx, o)
		if oerr != nil {
			t.Fatal(oerr)
		}
		return w
	}
	full := errors.New("disk full")
	w := broken(full)
	p, err := w.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: contract.Hour(tn.now.Unix()/3600) + 24})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Grants().Give(ctx, p); !errors.Is(err, full) {
		t.Fatalf("got %v", err)
	}
	if cs := must(tn.again("Maria").Consents().List(ctx))(t); len(cs) != 1 {
		t.Errorf("a grant that had failed happened later: %+v", cs)
	}
	if _, err := broken(full).Consents().Revoke(ctx, []contract.ID{c.ID}); !errors.Is(err, full) {
		t.Fatalf("got %v", err)
	}
	// The keeper was told before the ledger failed.
	if _, err := clinic.Inbox().OpenByID(ctx, c.ID.String(), ""); err == nil {
		t.Error("opened although the keeper was told of the revocation")
	}
	w = tn.again("Maria")
	if cs := must(w.Consents().List(ctx))(t); cs[0].Status != wallet.StatusRevoked {
		t.Errorf("the revocation was forgotten: %+v", cs)
	}
	if fin := w.Changes().Finished(); len(fin) != 1 || fin[0].Action != wallet.Revoking || fin[0].Err != nil {
		t.Errorf("finished: %+v", fin)
	}
	gone := &ledgerclient.UnreachableError{Service: "ledger", Err: errors.New("no answer")}
	w = broken(gone)
	if p, err = w.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: contract.Hour(tn.now.Unix()/3600) + 24}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Grants().Give(ctx, p); !errors.Is(err, gone) {
		t.Fatalf("got %v", err)
	}
	if s := must(broken(gone).Audit().Status(ctx))(t); len(s.Pending) != 1 || s.Pending[0].Action != wallet.Granting {
		t.Errorf("pending: %+v", s.Pending)
	}
	if cs := must(tn.again("Maria").Consents().List(ctx))(t); len(cs) != 2 {
		t.Errorf("what the ledger may have ordered was not finished: %+v", cs)
	}
}
