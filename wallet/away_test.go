package wallet_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// line is a connection that can be cut, for each service on its own.
type line struct {
	ledger, store, keeper bool // cut
	swallow               bool // entries reach the ledger and its answer is lost
	stall                 bool // entries do not reach the ledger, and all else does
	sent                  []contract.ID
	told                  int    // revocations that a keeper took
	leaves                int    // that the ledger was asked for
	sending               func() // entries are on their way; nil: nobody is told
}

var errCut = errors.New("cut")

func cut(service string) error {
	return &ledgerclient.UnreachableError{Service: service, Err: errCut}
}

// over passes services through the line.
func (l *line) over(s ledgerclient.Services) ledgerclient.Services {
	out := ledgerclient.Services{Ledger: lineLedger{s.Ledger, l}, Store: lineStore{s.Store, l}}
	for _, k := range s.Keepers {
		out.Keepers = append(out.Keepers, lineKeeper{k, l})
	}
	return out
}

type lineLedger struct {
	ledgerclient.Ledger
	l *line
}

func (x lineLedger) Genesis(ctx context.Context) ([]byte, error) {
	if x.l.ledger {
		return nil, cut("ledger")
	}
	return x.Ledger.Genesis(ctx)
}
func (x lineLedger) Checkpoint(ctx context.Context) ([]byte, error) {
	if x.l.ledger {
		return nil, cut("ledger")
	}
	return x.Ledger.Checkpoint(ctx)
}
func (x lineLedger) Leaves(ctx context.Context, from, to uint64) ([]contract.Leaf, error) {
	if x.l.ledger {
		return nil, cut("ledger")
	}
	x.l.leaves += int(to - from)
	return x.Ledger.Leaves(ctx, from, to)
}
func (x lineLedger) Find(ctx context.Context, id contract.ID) (uint64, bool, error) {
	return x.Ledger.(ledgerclient.Prover).Find(ctx, id)
}
func (x lineLedger) ProveThread(ctx context.Context, index, size uint64) (ledgerclient.ThreadProof, error) {
	return x.Ledger.(ledgerclient.Prover).ProveThread(ctx, index, size)
}
func (x lineLedger) Append(ctx context.Context, es []contract.Entry) ([]ledgerclient.Outcome, error) {
	if x.l.ledger || x.l.stall {
		return nil, cut("ledger")
	}
	id := contract.ID{}
	if x.l.sending != nil {
		x.l.sending()
	}
	out, err := x.Ledger.Append(ctx, es)
	for _, o := range out {
		id = o.ID
		x.l.sent = append(x.l.sent, id)
	}
	if x.l.swallow {
		x.l.ledger = true // and from now on nothing goes through
		return nil, cut("ledger")
	}
	return out, err
}

type lineStore struct {
	ledgerclient.Store
	l *line
}

func (x lineStore) PutBlobs(ctx context.Context, puts []ledgerclient.Put) error {
	if x.l.store {
		return cut("store")
	}
	return x.Store.PutBlobs(ctx, puts)
}
func (x lineStore) Upload(ctx context.Context) (ledgerclient.Upload, error) {
	if x.l.store {
		return nil, cut("store")
	}
	return x.Store.Upload(ctx)
}
func (x lineStore) Blob(ctx context.Context, loc crypto.Locator) (ledgerclient.Blob, error) {
	if x.l.store {
		return nil, cut("store")
	}
	return x.Store.Blob(ctx, loc)
}

type lineKeeper struct {
	ledgerclient.Keeper
	l *line
}

func (x lineKeeper) Deposit(ctx context.Context, ds []ledgerclient.Deposit) ([]ledgerclient.Receipt, error) {
	if x.l.keeper {
		return nil, cut("keeper")
	}
	return x.Keeper.Deposit(ctx, ds)
}
func (x lineKeeper) Revoke(ctx context.Context, es []contract.Entry) ([]ledgerclient.Acknowledgement, error) {
	if x.l.keeper {
		return nil, cut("keeper")
	}
	x.l.told += len(es)
	return x.Keeper.Revoke(ctx, es)
}
func (x lineKeeper) Inquire(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.InquiryAnswer, error) {
	if x.l.keeper {
		return ledgerclient.InquiryAnswer{}, cut("keeper")
	}
	return x.Keeper.Inquire(ctx, q)
}

// remote makes a town whose Maria reaches it over a line, with one record, a
// contact, and a consent.
func remote(t *testing.T) (tn *town, l *line, patient, clinic *wallet.Wallet, consent wallet.Consent) {
	t.Helper()
	ctx := context.Background()
	tn, l = newTown(t), &line{}
	tn.person("Maria")
	clinic = tn.person("Dr Smith")
	o := tn.options("Maria")
	o.Services = l.over(o.Services)
	patient = must(wallet.Open(ctx, o))(t)
	add(t, patient, "a.txt", "a")
	if _, _, err := patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String()); err != nil {
		t.Fatal(err)
	}
	consent, _ = grant(t, patient, "Dr Smith", tn.now)
	return tn, l, patient, clinic, consent
}

func planOf(t *testing.T, w *wallet.Wallet, hours int) *wallet.GrantPlan {
	t.Helper()
	return must(w.Grants().Plan(context.Background(), wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: contract.Hour(noon.Unix()/3600 + int64(hours))}))(t)
}

func wantPending(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, wallet.ErrPending) || !errors.Is(err, errCut) {
		t.Fatalf("got %v, want ErrPending", err)
	}
}

// Promise 8: what was signed without the ledger goes out in the order in which it was
// signed, each entry once, also from a wallet that was opened without the ledger.
func TestSignedOutOfReach(t *testing.T) {
	ctx := context.Background()
	tn, l, _, clinic, first := remote(t)
	*l = line{ledger: true, store: true, keeper: true}
	tn.now = tn.now.Add(3 * time.Hour)
	o := tn.options("Maria")
	o.Services = l.over(o.Services)
	patient := must(wallet.Open(ctx, o))(t)
	cs := must(patient.Consents().List(ctx))(t)
	since, away := patient.Log().OutOfReach()
	if len(cs) != 1 || cs[0].To != "Dr Smith" || !cs[0].AsOf.Equal(noon) || !since.Equal(noon) || !errors.Is(away, errCut) {
		t.Fatalf("%+v, %v, %v", cs, since, away)
	}
	var signed []contract.ID
	var codes []crypto.FetchCode
	for i := range 3 {
		// The clock is put back: the order stays.
		tn.now = tn.now.Add(-20 * time.Minute)
		c, code, err := patient.Grants().Give(ctx, planOf(t, patient, 100+i))
		wantPending(t, err)
		if c.Status != wallet.StatusPending || c.Pending != wallet.Granting || code.Consent != c.ID || len(c.Records) != 1 || c.To != "Dr Smith" {
			t.Fatalf("%+v", c)
		}
		signed, codes = append(signed, c.ID), append(codes, code)
	}
	for _, id := range []contract.ID{signed[1], first.ID} {
		rs, err := patient.Consents().Revoke(ctx, []contract.ID{id})
		wantPending(t, err)
		if len(rs) != 1 || rs[0].Consent.Pending != wallet.Revoking || rs[0].Already || len(rs[0].Acks) != 0 {
			t.Fatalf("%+v", rs)
		}
	}
	if rs, err := patient.Consents().Revoke(ctx, []contract.ID{first.ID}); err != nil || !rs[0].Already {
		t.Errorf("the second time: %+v, %v", rs, err)
	}
	if s := must(patient.Audit().Status(ctx))(t); len(s.Pending) != 5 || len(s.Consents) != 4 {
		t.Errorf("%d pending, %d consents", len(s.Pending), len(s.Consents))
	}

	*l = line{}
	s := must(patient.Changes().Sync(ctx))(t)
	if len(s.Finished) != 5 || len(s.Pending) != 0 || s.To-s.From != 5 {
		t.Errorf("%+v", s)
	}
	if want := signed; len(l.sent) != 5 || !slices.Equal(l.sent[:3], want) {
		t.Errorf("sent %v, signed %v", l.sent, signed)
	}
	must(patient.Changes().Sync(ctx))(t)
	if len(l.sent) != 5 {
		t.Errorf("%d entries sent, want 5", len(l.sent))
	}
	for i, code := range codes {
		o, err := clinic.Inbox().OpenByCode(ctx, code, "")
		if i == 1 {
			var refused *wallet.RefusedError
			if !errors.As(err, &refused) || refused.Rule != contract.RuleRevoked {
				t.Errorf("the revoked one: %v", err)
			}
			continue
		}
		var got bytes.Buffer
		if err == nil {
			err = o.Read(ctx, 0, &got, nil)
		}
		if err != nil || got.String() != "a" {
			t.Errorf("%q, %v", got.String(), err)
		}
	}
}

// A time-out means that nobody knows: the wallet looks the entry up among the leaves
// and does not send it again.
func TestUnknownIsLookedUp(t *testing.T) {
	ctx := context.Background()
	_, l, patient, clinic, _ := remote(t)
	l.sent, l.swallow = nil, true
	c, code, err := patient.Grants().Give(ctx, planOf(t, patient, 100))
	wantPending(t, err)
	if len(l.sent) != 1 || c.Pending != wallet.Granting {
		t.Fatalf("%v, %+v", l.sent, c)
	}
	*l = line{sent: l.sent}
	s := must(patient.Changes().Sync(ctx))(t)
	if len(s.Finished) != 1 || len(s.Pending) != 0 || len(l.sent) != 1 {
		t.Errorf("%+v, sent %d times", s, len(l.sent))
	}
	must(clinic.Inbox().OpenByCode(ctx, code, ""))(t)
	if cs := must(patient.Consents().List(ctx))(t); len(cs) != 2 || cs[1].Pending != "" || cs[1].Openings != 1 {
		t.Errorf("%+v", cs)
	}
}

// Promise 4: the keepers are told of a revocation also when the ledger is out of
// reach, the ledger also when the keepers are, and neither waits for anything else.
func TestRevokeReachesWhomItCan(t *testing.T) {
	ctx := context.Background()
	t.Run("keepers alone", func(t *testing.T) {
		_, l, patient, clinic, c := remote(t)
		l.ledger = true
		rs, err := patient.Consents().Revoke(ctx, []contract.ID{c.ID})
		wantPending(t, err)
		if len(rs[0].Acks) != 1 || rs[0].Acks[0].End != ledgerclient.Stopped || rs[0].Consent.Revoked != 0 {
			t.Errorf("%+v", rs)
		}
		var refused *wallet.RefusedError
		if _, err := clinic.Inbox().OpenByID(ctx, c.ID.String(), ""); !errors.As(err, &refused) || refused.Code != ledgerclient.Revoked {
			t.Errorf("fetch before the revocation is ordered: %v", err)
		}
		must(patient.Consents().List(ctx))(t)
		if l.told != 1 {
			t.Errorf("told %d times while the ledger is away, want once", l.told)
		}
		l.ledger = false
		if cs := must(patient.Consents().List(ctx))(t); cs[0].Status != wallet.StatusRevoked || cs[0].Pending != "" {
			t.Errorf("%+v", cs)
		}
	})
	t.Run("ledger alone", func(t *testing.T) {
		_, l, patient, _, c := remote(t)
		l.keeper = true
		rs, err := patient.Consents().Revoke(ctx, []contract.ID{c.ID})
		wantPending(t, err)
		if rs[0].Consent.Status != wallet.StatusRevoked || rs[0].Consent.Pending != wallet.Revoking || len(rs[0].Acks) != 0 {
			t.Errorf("%+v", rs)
		}
		// What is ordered holds nothing else back.
		l.sent = nil
		if _, _, err := patient.Grants().Give(ctx, planOf(t, patient, 100)); err == nil || len(l.sent) != 1 {
			t.Errorf("%v, %d sent", err, len(l.sent))
		}
		l.keeper = false
		if s, err := patient.Changes().Sync(ctx); err != nil || len(s.Finished) != 2 || len(l.sent) != 1 {
			t.Errorf("%+v, %v", s, err)
		}
	})
	t.Run("past what the store holds back", func(t *testing.T) {
		_, l, patient, _, c := remote(t)
		l.store, l.sent = true, nil
		_, _, err := patient.Grants().Give(ctx, planOf(t, patient, 100))
		wantPending(t, err)
		rs, err := patient.Consents().Revoke(ctx, []contract.ID{c.ID})
		if err != nil || rs[0].Consent.Status != wallet.StatusRevoked || len(l.sent) != 1 {
			t.Errorf("%+v, %v, %d sent", rs, err, len(l.sent))
		}
		if cs := must(patient.Consents().List(ctx))(t); len(cs) != 2 || cs[1].Status != wallet.StatusPending {
			t.Errorf("%+v", cs)
		}
		l.store = false
		must(patient.Changes().Sync(ctx))(t)
		if cs := must(patient.Consents().List(ctx))(t); cs[1].Status != wallet.StatusActive {
			t.Errorf("%+v", cs)
		}
	})
}

// What needs the ledger or the store is refused before anything is signed.
func TestRefusedOutOfReach(t *testing.T) {
	ctx := context.Background()
	tn, l, patient, clinic, c := remote(t)
	must(clinic.Inbox().List(ctx))(t)
	away := func(w *wallet.Wallet) {
		t.Helper()
		if _, _, err := w.Records().Add(ctx, source("r", 1), wallet.Describe{}, nil); !errors.Is(err, errCut) {
			t.Errorf("add: %v", err)
		}
		recs := must(w.Records().List(ctx))(t)
		if _, _, err := w.Records().Update(ctx, recs[0].ID.String(), source("r", 2), wallet.Describe{}, nil); !errors.Is(err, errCut) {
			t.Errorf("update: %v", err)
		}
		if s := must(w.Audit().Status(ctx))(t); len(s.Pending) != 0 || s.Records != 1 {
			t.Errorf("%+v", s)
		}
	}
	l.ledger = true
	away(patient)
	*l = line{store: true}
	away(patient)
	o := tn.options("Dr Smith")
	o.Services = (&line{ledger: true}).over(o.Services)
	w := must(wallet.Open(ctx, o))(t)
	if _, err := w.Inbox().OpenByID(ctx, c.ID.String(), ""); !errors.Is(err, errCut) {
		t.Errorf("fetch: %v", err)
	}
	if box := must(w.Inbox().List(ctx))(t); len(box) != 1 || box[0].Records[0].Title != "a" || box[0].Fetched != 0 {
		t.Errorf("%+v", box)
	}
	// A wallet that has never seen its ledger signs nothing: terms carry a head.
	empty := tn.person("New")
	if _, _, err := empty.Contacts().Add(ctx, "Dr Smith", clinic.Address().String()); err != nil {
		t.Fatal(err)
	}
}

// A removal that waited longer than an entry may wait is signed anew.
func TestRemovalWaitsLong(t *testing.T) {
	ctx := context.Background()
	tn, l, patient, _, _ := remote(t)
	rec := must(patient.Records().List(ctx))(t)[0]
	l.ledger = true
	r, _, err := patient.Records().Remove(ctx, rec.ID.String())
	wantPending(t, err)
	if r.Pending != wallet.RemovingRecord {
		t.Errorf("%+v", r)
	}
	tn.now = tn.now.Add(5 * 24 * time.Hour)
	l.ledger = false
	if s, err := patient.Changes().Sync(ctx); err != nil || len(s.Finished) != 1 || s.Finished[0].Err != nil {
		t.Errorf("%+v, %v", s, err)
	}
	if rs := must(patient.Records().List(ctx))(t); len(rs) != 0 {
		t.Errorf("%+v", rs)
	}
}

// One wallet on two ledgers: one key, one address, the same contacts, and nothing
// of one ledger on the other.
func TestTwoLedgers(t *testing.T) {
	ctx := context.Background()
	tn, other := newTown(t), newTown(t)
	patient := tn.person("Maria")
	add(t, patient, "a.txt", "a")
	o := tn.options("Maria")
	o.Services = other.services()
	if _, err := wallet.Open(ctx, o); !errors.Is(err, ledgerclient.ErrForeign) {
		t.Fatalf("a ledger that the wallet is not on: %v", err)
	}
	second, joined, err := wallet.Join(ctx, o, "elsewhere")
	if err != nil || !joined {
		t.Fatal(joined, err)
	}
	if _, joined, err := wallet.Join(ctx, o, other.ledgerDir()); err != nil || joined {
		t.Error(joined, err)
	}
	if second.Address() != patient.Address() || len(must(second.Records().List(ctx))(t)) != 0 {
		t.Error("not the same wallet, or not another ledger")
	}
	add(t, second, "b.txt", "b")
	if _, _, err := second.Contacts().Add(ctx, "Dr Smith", tn.person("Dr Smith").Address().String()); err != nil {
		t.Fatal(err)
	}
	again := must(wallet.Open(ctx, o))(t)
	if rs := must(again.Records().List(ctx))(t); len(rs) != 1 || rs[0].Title != "b" || len(again.Contacts().List()) != 1 {
		t.Errorf("%+v, %d contacts", rs, len(again.Contacts().List()))
	}
	first := tn.again("Maria")
	if rs := must(first.Records().List(ctx))(t); len(rs) != 1 || rs[0].Title != "a" || len(first.Contacts().List()) != 1 {
		t.Errorf("%+v, %d contacts", rs, len(first.Contacts().List()))
	}
	s := must(wallet.ReadSettings(o.Dir))(t)
	id, _ := second.Ledger()
	if p, ok := s.Ledger(id); len(s.Ledgers) != 2 || !ok || p.At != other.ledgerDir() || s.Default == id {
		t.Errorf("%+v", s)
	}
	on := must(first.On(ctx, other.services(), id))(t)
	if rs := must(on.Records().List(ctx))(t); len(rs) != 1 || rs[0].Title != "b" {
		t.Errorf("%+v", rs)
	}

	// Leaving forgets, and takes nothing from the ledger.
	l := &line{}
	o.Services = l.over(o.Services)
	w := must(wallet.Open(ctx, o))(t)
	l.ledger = true
	if _, _, err := w.Records().Remove(ctx, must(w.Records().List(ctx))(t)[0].ID.String()); err == nil {
		t.Fatal("nothing waits")
	}
	if err := w.Leave(ctx); !errors.Is(err, wallet.ErrChangesWait) || !strings.Contains(err.Error(), "changes=1") {
		t.Errorf("something waits: %v", err)
	}
	if n, err := wallet.Waiting(o.Dir, id); n != 1 || err != nil {
		t.Error(n, err)
	}
	l.ledger = false
	must(w.Changes().Sync(ctx))(t)
	add(t, w, "c.txt", "c")
	if err := first.Leave(ctx); !errors.Is(err, wallet.ErrDefaultLedger) {
		t.Errorf("the default: %v", err)
	}
	if err := wallet.SetDefault(ctx, o.Dir, id); err != nil {
		t.Fatal(err)
	}
	if err := w.Leave(ctx); !errors.Is(err, wallet.ErrDefaultLedger) {
		t.Errorf("the new default: %v", err)
	}
	id1, _ := first.Ledger()
	if err := wallet.SetDefault(ctx, o.Dir, id1); err != nil {
		t.Fatal(err)
	}
	l.ledger = true
	if err := w.Leave(ctx); err != nil {
		t.Fatal(err)
	}
	if s := must(wallet.ReadSettings(o.Dir))(t); len(s.Ledgers) != 1 || s.Default != id1 {
		t.Errorf("%+v", s)
	}
	onlyMatch(t, filepath.Join(o.Dir, "ledgers", "*"))
	// A restore does not name it any more.
	saved := filepath.Join(tn.dir, "saved")
	if err := must(tn.again("Maria").Backup().Save(ctx, saved))(t)(); err != nil {
		t.Fatal(err)
	}
	_, got, err := wallet.Restore(ctx, tn.options("new"), wallet.RestoreRequest{Entropy: must(wallet.Entropy(ctx, o))(t), At: tn.ledgerDir(), Saved: saved})
	if err != nil || len(got.Ledgers) != 0 || got.Contacts != 1 {
		t.Errorf("restored %+v %v", got, err)
	}
	l.ledger = false
	again, joined, err = wallet.Join(ctx, o, other.ledgerDir())
	if err != nil || !joined {
		t.Fatal(err)
	}
	if rs := must(again.Records().List(ctx))(t); len(rs) != 1 || rs[0].Title != "c" {
		t.Errorf("%+v", rs)
	}
}

// A wallet checks all of a ledger that is not a folder of its own, and the next time
// only new signatures.
func TestVerifyLedger(t *testing.T) {
	ctx := context.Background()
	_, l, patient, _, _ := remote(t)
	verify := func(want, signatures uint64) {
		t.Helper()
		l.leaves = 0
		known, folder, err := patient.Log().Mark()
		if err != nil || folder != nil {
			t.Error(folder, err)
		}
		c, n, err := patient.Log().Verify(ctx, known, nil)
		if err != nil || c.Size != want || n != signatures || c.Root.IsZero() || !c.Time().Equal(noon) {
			t.Errorf("%+v, %d signatures, %v; want %d and %d", c, n, err, want, signatures)
		}
		if l.leaves != int(want) {
			t.Errorf("%d leaves were read", l.leaves)
		}
		if err := patient.Log().SetMark(ctx, c, nil); err != nil {
			t.Error(err)
		}
		if again, _, err := patient.Log().Mark(); again != c || err != nil {
			t.Error(again, err)
		}
	}
	must(patient.Consents().List(ctx))(t)
	verify(3, 3)
	verify(3, 0)
	add(t, patient, "b.txt", "b")
	verify(4, 1)
	l.ledger = true
	if _, _, err := patient.Log().Verify(ctx, wallet.Checked{}, nil); !errors.Is(err, errCut) {
		t.Error(err)
	}
}
