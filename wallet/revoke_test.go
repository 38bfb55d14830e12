package wallet_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/keyring"
)

// revoking is a town in which Maria gave Dr Smith a consent, and wants to end it.
type revoking struct {
	*town
	consent wallet.Consent
	clinic  string // address
	home    string
	state   string // file of what was seen of the ledger
}

func newRevoking(t *testing.T) *revoking {
	tn := &revoking{town: newTown(t)}
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	tn.clinic, tn.home = clinic.Address().String(), filepath.Join(tn.dir, "home of Maria")
	must2(patient.Contacts().Add(context.Background(), "Dr Smith", tn.clinic))(t)
	add(t, patient, "a.txt", "a")
	tn.consent, _ = grant(t, patient, "Dr Smith", tn.now)
	tn.state = filepath.Join(filepath.Dir(tn.cacheOf("Maria")), "state")
	return tn
}

// open opens Maria's wallet to end consents, with services of the test's.
func (tn *revoking) open(s ledgerclient.Services) *wallet.Wallet {
	tn.t.Helper()
	opt := tn.options("Maria")
	opt.Services, opt.Revoking, opt.Wait = s, true, 10*time.Millisecond
	return must(wallet.Open(context.Background(), opt))(tn.t)
}

// end ends what a request means.
func (tn *revoking) end(w *wallet.Wallet, r wallet.RevokeRequest) ([]wallet.Revocation, error) {
	tn.t.Helper()
	ctx := context.Background()
	var ids []contract.ID
	for _, c := range must(w.Consents().Select(ctx, r))(tn.t) {
		ids = append(ids, c.ID)
	}
	return w.Consents().Revoke(ctx, ids)
}

// ended checks a report, and what another process finds on the ledger.
func (tn *revoking) ended(rs []wallet.Revocation, err error) {
	tn.t.Helper()
	if err != nil || len(rs) == 0 || rs[0].Consent.Status != wallet.StatusRevoked || len(rs[0].Acks) == 0 {
		tn.t.Errorf("%+v, %v", rs, err)
	}
	clinic := tn.again("Dr Smith")
	if box := must(clinic.Inbox().List(context.Background()))(tn.t); box[0].Status != wallet.StatusRevoked {
		tn.t.Errorf("the clinic finds it %s", box[0].Status)
	}
}

// brokenKeeper takes no share, and all else.
type brokenKeeper struct {
	ledgerclient.Keeper
	broken *bool
}

var errBroken = errors.New("broken")

func (k brokenKeeper) Deposit(ctx context.Context, ds []ledgerclient.Deposit) ([]ledgerclient.Receipt, error) {
	if *k.broken {
		return nil, errBroken
	}
	return k.Keeper.Deposit(ctx, ds)
}

// Promise 4: what waits in the journal, for whatever reason, keeps no revocation of
// what is on the ledger back; all else it does.
func TestRevocationPassesWhatWaits(t *testing.T) {
	ctx := context.Background()
	tn := newRevoking(t)
	broken := true
	s := tn.services()
	s.Keepers = []ledgerclient.Keeper{brokenKeeper{s.Keepers[0], &broken}}
	opt := tn.options("Maria")
	opt.Services = s
	patient := must(wallet.Open(ctx, opt))(t)
	plan := must(patient.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: contract.Hour(tn.consent.NotAfter)}))(t)
	if _, _, err := patient.Grants().Give(ctx, plan); !errors.Is(err, errBroken) || patient.Changes().Stuck() == nil {
		t.Fatalf("a grant without its share: %v, waits for %v", err, patient.Changes().Stuck())
	}
	if _, _, err := patient.Grants().Give(ctx, plan); !errors.Is(err, errBroken) {
		t.Errorf("another grant passes it: %v", err)
	}
	tn.ended(tn.end(patient, wallet.RevokeRequest{Consents: []string{tn.consent.ID.String()}}))
	if patient.Changes().Stuck() == nil {
		t.Error("nothing waits any more")
	}
	broken = false
	must(patient.Consents().List(ctx))(t)
	if patient.Changes().Stuck() != nil || len(patient.Changes().PassedOver()) > 0 {
		t.Errorf("what waits: %v, %v", patient.Changes().Stuck(), patient.Changes().PassedOver())
	}
}

// lyingLedger shows a checkpoint that nobody signed.
type lyingLedger struct {
	ledgerclient.Ledger
	lies *bool
}

func (l lyingLedger) Checkpoint(ctx context.Context) ([]byte, error) {
	if *l.lies {
		return []byte("nothing that was signed\n"), nil
	}
	return l.Ledger.Checkpoint(ctx)
}

// Promise 4: where the ledger cannot be believed the keepers are told all the same, and
// the revocation is sent and waits until the log shows it.
func TestRevocationWithALedgerThatLies(t *testing.T) {
	ctx := context.Background()
	tn := newRevoking(t)
	var l line
	lies := true
	s := l.over(tn.services())
	s.Ledger = lyingLedger{s.Ledger, &lies}
	w := tn.open(s)
	rs, err := tn.end(w, wallet.RevokeRequest{All: true})
	if _, ok := errors.AsType[*ledgerclient.TamperedError](err); !ok || len(rs) != 1 || len(rs[0].Acks) == 0 || rs[0].Consent.Pending != wallet.Revoking {
		t.Errorf("%+v, %v", rs, err)
	}
	if l.told == 0 || len(l.sent) != 1 || w.Changes().Stuck() == nil {
		t.Errorf("%d keepers told, %d entries sent, waits for %v", l.told, len(l.sent), w.Changes().Stuck())
	}
	lies = false
	patient := tn.again("Maria")
	if cs := must(patient.Consents().List(ctx))(t); cs[0].Status != wallet.StatusRevoked || patient.Changes().Stuck() != nil {
		t.Errorf("afterwards it is %s, and waits for %v", cs[0].Status, patient.Changes().Stuck())
	}
	if len(must(patient.Audit().Events(ctx))(t)) == 0 {
		t.Error("no audit")
	}
}

// busyLedger shows no checkpoint now; what else it is asked for it takes.
type busyLedger struct {
	ledgerclient.Ledger
	why *error
}

func (l busyLedger) Checkpoint(ctx context.Context) ([]byte, error) {
	if *l.why != nil {
		return nil, *l.why
	}
	return l.Ledger.Checkpoint(ctx)
}

// Promise 4: where a ledger is busy with questions it is sent the revocation all the same,
// for which it may have room. Where nobody is there it is not tried in vain.
func TestRevocationWithABusyLedger(t *testing.T) {
	for _, kind := range []node.Kind{node.KindBusy, node.KindTooMany, ""} {
		tn := newRevoking(t)
		var l line
		var why error = cut("ledger")
		sent := 0
		if kind != "" {
			p := node.ProblemOf(&node.RefusedError{Kind: kind, RetryAfter: 1})
			why, sent = p.Err("ledger"), 1
		}
		s := l.over(tn.services())
		s.Ledger = busyLedger{s.Ledger, &why}
		rs, err := tn.end(tn.open(s), wallet.RevokeRequest{All: true})
		if !errors.Is(err, wallet.ErrPending) || len(rs) != 1 || len(rs[0].Acks) == 0 || l.told == 0 || len(l.sent) != sent {
			t.Errorf("%q: %d keepers told, %d entries sent: %+v, %v", kind, l.told, len(l.sent), rs, err)
		}
		why = nil
		patient := tn.again("Maria")
		if cs := must(patient.Consents().List(context.Background()))(t); cs[0].Status != wallet.StatusRevoked || patient.Changes().Stuck() != nil {
			t.Errorf("%q: afterwards it is %s, and waits for %v", kind, cs[0].Status, patient.Changes().Stuck())
		}
	}
}

// Promise 4: a ledger that was put back has lost the revocations that came after, and its
// keepers too. Who ends such a consent again is not told that it was ended before, also
// where nothing is left of what the wallet kept of the ledger but the head.
func TestRevocationOfWhatALedgerLost(t *testing.T) {
	ctx := context.Background()
	for i, lost := range []bool{false, true, false, false, true} {
		tn := newRevoking(t)
		size := must(must(ledgerclient.Connect(ctx, tn.services(), crypto.LedgerID{}))(t).Head(ctx))(t).Size
		before := filepath.Join(tn.dir, "before")
		if err := os.CopyFS(before, os.DirFS(tn.ledgerDir())); err != nil {
			t.Fatal(err)
		}
		one := wallet.RevokeRequest{Consents: []string{tn.consent.ID.String()}}
		tn.ended(tn.end(tn.open(tn.services()), one))
		grant(t, tn.again("Maria"), "Dr Smith", tn.now) // makes it longer than what it will be put back to
		if err := errors.Join(os.RemoveAll(tn.ledgerDir()), os.Rename(before, tn.ledgerDir())); err != nil {
			t.Fatal(err)
		}
		if lost {
			if err := os.Remove(tn.cacheOf("Maria")); err != nil {
				t.Fatal(err)
			}
		}
		seen := must(os.ReadFile(tn.state))(t)
		r := []wallet.RevokeRequest{one, one, {All: true}, {To: "Dr Smith"}, {All: true}}[i]
		w := tn.open(tn.services())
		rs, err := tn.end(w, r)
		rs = slices.DeleteFunc(rs, func(r wallet.Revocation) bool { return r.Consent.ID != tn.consent.ID }) // the one that it lost
		if !errors.As(err, new(*ledgerclient.RollbackError)) || len(rs) != 1 || rs[0].Already || rs[0].Consent.To != "Dr Smith" || len(rs[0].Acks) == 0 || w.Changes().Stuck() == nil || len(w.Unwritten()) > 0 {
			t.Errorf("%+v, cache lost %t: %+v, %v, unwritten %v", r, lost, rs, err, w.Unwritten())
		}
		c := must(ledgerclient.Connect(ctx, tn.services(), crypto.LedgerID{}))(t)
		if head := must(c.Head(ctx))(t); head.Size != size+1 {
			t.Errorf("%+v, cache lost %t: the ledger has %d entries, and had %d", r, lost, head.Size, size)
		}
		if !bytes.Equal(seen, must(os.ReadFile(tn.state))(t)) {
			t.Errorf("%+v, cache lost %t: what was seen before was written over", r, lost)
		}
		if _, err := tn.again("Maria").Consents().List(ctx); !errors.As(err, new(*ledgerclient.RollbackError)) {
			t.Errorf("%+v, cache lost %t: afterwards %v", r, lost, err)
		}
	}
}

// Promise 4: another process that holds the wallet, and may never give it up, does not
// keep a revocation back.
func TestRevocationWithoutTheLock(t *testing.T) {
	ctx := context.Background()
	tn := newRevoking(t)
	unlock := must(home.Lock(ctx, tn.home, time.Second))(t)
	defer unlock()
	before := must(os.ReadFile(tn.state))(t)
	theirs := filepath.Join(tn.home, ".new-0123456789ab") // what the other process is writing
	if err := os.WriteFile(theirs, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := tn.open(tn.services())
	tn.ended(tn.end(w, wallet.RevokeRequest{All: true}))
	if !errors.Is(errors.Join(w.Unwritten()...), wallet.ErrBusy) {
		t.Errorf("not said: %v", w.Unwritten())
	}
	if w.Waits() >= 10*time.Millisecond {
		t.Error("each step waits as long for the lock")
	}
	if !bytes.Equal(before, must(os.ReadFile(tn.state))(t)) {
		t.Error("it wrote what another process holds")
	}
	if _, err := os.Stat(theirs); err != nil {
		t.Error(err)
	}
	opt := tn.options("Maria")
	opt.Wait = 10 * time.Millisecond
	if _, err := must(wallet.Open(ctx, opt))(t).Consents().List(ctx); !isBusy(err) {
		t.Errorf("looking without the lock: %v", err)
	}
}

func isBusy(err error) bool {
	_, ok := fault.As(err, wallet.ErrBusy)
	return ok
}

// Promise 4: files of a newer carekey keep no revocation back, and are not written over.
// Contacts that cannot be read are found on the ledger, or by their address.
func TestRevocationBesideNewerFiles(t *testing.T) {
	ctx := context.Background()
	for _, kept := range []bool{false, true} {
		tn := newRevoking(t)
		patient := tn.again("Maria")
		if kept {
			must(patient.Book().Keep(ctx))(t)
		}
		book := filepath.Join(tn.home, "state")
		for _, file := range []string{book, tn.state} {
			name := must(filepath.Rel(tn.home, file))(t)
			if err := patient.WriteNewer(name); err != nil {
				t.Fatal(err)
			}
		}
		written := must(os.ReadFile(book))(t)
		seen := must(os.ReadFile(tn.state))(t)
		if _, err := wallet.Open(ctx, tn.options("Maria")); err == nil {
			t.Error("other commands work on what they cannot read")
		}
		w := tn.open(tn.services())
		_, err := w.Consents().Select(ctx, wallet.RevokeRequest{To: "Dr Smith"})
		if kept != (err == nil) || err != nil && !errors.Is(err, wallet.ErrVersion) {
			t.Errorf("kept %t: by the contact's name: %v", kept, err)
		}
		to := tn.clinic
		if kept {
			to = "Dr Smith"
		}
		tn.ended(tn.end(w, wallet.RevokeRequest{To: to}))
		if !w.Log().Uncompared() || len(w.Unwritten()) < 2 {
			t.Errorf("not said: %v", w.Unwritten())
		}
		if !bytes.Equal(written, must(os.ReadFile(book))(t)) || !bytes.Equal(seen, must(os.ReadFile(tn.state))(t)) {
			t.Error("what could not be read was written over")
		}
	}
}

// Promise 4: all that was given to a contact ends, also what the store has lost the terms
// of: whom a consent is for follows from its entry and the address.
func TestRevocationOfWhatTheStoreLost(t *testing.T) {
	ctx := context.Background()
	tn := newRevoking(t)
	other := tn.person("Dr Jones")
	patient := tn.again("Maria")
	must2(patient.Contacts().Add(ctx, "Dr Jones", other.Address().String()))(t)
	grant(t, patient, "Dr Jones", tn.now)
	if err := os.Remove(tn.cacheOf("Maria")); err != nil {
		t.Fatal(err)
	}
	l := line{store: true}
	w := tn.open(l.over(tn.services()))
	cs := must(w.Consents().Select(ctx, wallet.RevokeRequest{To: "Dr Smith"}))(t)
	if len(cs) != 1 || cs[0].ID != tn.consent.ID || !cs[0].Missing {
		t.Fatalf("Dr Smith's: %+v", cs)
	}
	// A name alone means it too.
	if cs = must(w.Consents().Select(ctx, wallet.RevokeRequest{Consents: []string{"Dr Smith"}}))(t); len(cs) != 1 || cs[0].ID != tn.consent.ID {
		t.Fatalf("what Dr Smith means: %+v", cs)
	}
	tn.ended(w.Consents().Revoke(ctx, []contract.ID{cs[0].ID}))
	left := must(w.Consents().Select(ctx, wallet.RevokeRequest{All: true}))(t)
	if len(left) != 1 || slices.ContainsFunc(left, func(c wallet.Consent) bool { return c.ID == tn.consent.ID }) {
		t.Errorf("left: %+v", left)
	}
}

// Threat: a stranger makes consents until the id of one begins like the name of a contact:
// that one is opened, and leaves an access to it.
func TestNamedLikeAnID(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	stranger, smith := tn.person("Mallory"), tn.person("Dr Smith")
	must2(stranger.Contacts().Add(ctx, "Dr Smith", smith.Address().String()))(t)
	add(t, stranger, "a", "a")
	bad, _ := grant(t, stranger, "Dr Smith", tn.now)
	name := bad.ID.String()[:8]
	patient := tn.person("Maria")
	must2(patient.Contacts().Add(ctx, "Dr Smith", smith.Address().String()))(t)
	must2(smith.Contacts().Add(ctx, name, patient.Address().String()))(t)
	if r, err := smith.Inbox().Find(ctx, name); err != nil || r.Consent != bad.ID {
		t.Fatalf("before anything is of that contact: %v, %v", r.Consent, err)
	}
	add(t, patient, "b", "b")
	good, _ := grant(t, patient, "Dr Smith", tn.now)
	_, err := smith.Inbox().Find(ctx, name)
	both, ok := fault.As(err, wallet.ErrAmbiguous)
	if ids := fault.Get[[]string](both, "matches"); !ok || len(ids) != 2 || !slices.Contains(ids, bad.ID.String()) || !slices.Contains(ids, good.ID.String()) {
		t.Errorf("%v, %v", err, ids)
	}
	if r, err := smith.Inbox().Find(ctx, bad.ID.String()); err != nil || r.Consent != bad.ID {
		t.Errorf("the whole id: %v, %v", r.Consent, err)
	}
}

// Promise 4: with all of the home lost but settings and key, the ledger shows whose the key
// is: the consent ends. Another wallet's key ends nothing, and is not told that there is
// nothing to end.
func TestRevocationWithNothingButTheKey(t *testing.T) {
	ctx := context.Background()
	tn := newRevoking(t)
	must(tn.again("Maria").Book().Keep(ctx))(t)
	for _, file := range []string{filepath.Join(tn.home, "state"), filepath.Join(tn.home, "key-check"), tn.state, tn.cacheOf("Maria"), filepath.Join(filepath.Dir(tn.state), "genesis")} {
		if err := os.WriteFile(file, make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	other := tn.options("Dr Smith") // whose wallet knows the consent as received
	opt := tn.options("Maria")
	opt.Revoking = true
	settings := must(wallet.ReadSettings(other.Dir))(t)
	opt.Keyring = renamed{tn.keys, settings.Item}
	w := must(wallet.Open(ctx, opt))(t)
	if cs, err := w.Consents().Select(ctx, wallet.RevokeRequest{All: true}); !errors.Is(err, wallet.ErrWrongKey) {
		t.Errorf("another wallet's key: %v, %v", cs, err)
	}
	for _, r := range []wallet.RevokeRequest{{To: "Dr Smith"}, {All: true}, {Consents: []string{tn.consent.ID.String()}}} {
		if cs, err := tn.open(tn.services()).Consents().Select(ctx, r); err != nil || len(cs) != 1 {
			t.Errorf("%+v: %v, %v", r, cs, err)
		}
	}
	tn.ended(tn.end(tn.open(tn.services()), wallet.RevokeRequest{All: true}))
}

// renamed is a keyring that has another item in every place.
type renamed struct {
	keyring.Store
	item string
}

func (r renamed) Get(ctx context.Context, _ string) (string, error) {
	return r.Store.Get(ctx, r.item)
}

// Promise 8: that nothing was given, granted or recorded is not said while the ledger is
// out of reach and what was kept of it is lost.
func TestNothingIsShownOfALostCacheOutOfReach(t *testing.T) {
	ctx := context.Background()
	tn, l, patient, _, consent := remote(t)
	if err := os.Remove(tn.cacheOf("Maria")); err != nil {
		t.Fatal(err)
	}
	l.ledger = true
	opt := tn.options("Maria")
	opt.Services, opt.Revoking = l.over(opt.Services), true
	for _, revoking := range []bool{false, true} {
		opt.Revoking = revoking
		w := must(wallet.Open(ctx, opt))(t)
		for what, look := range map[string]func() error{
			"status":   func() error { return second(w.Audit().Status(ctx)) },
			"consents": func() error { return second(w.Consents().List(ctx)) },
			"proven":   func() error { return second(w.Consents().Proven(ctx, "")) },
			"audit":    func() error { return second(w.Audit().Events(ctx)) },
			"inbox":    func() error { return second(w.Inbox().List(ctx)) },
			"records":  func() error { return second(w.Records().List(ctx)) },
			"all":      func() error { return second(w.Consents().Select(ctx, wallet.RevokeRequest{All: true})) },
			"contact":  func() error { return second(w.Consents().Select(ctx, wallet.RevokeRequest{To: "Dr Smith"})) },
			"one": func() error {
				return second(w.Consents().Select(ctx, wallet.RevokeRequest{Consents: []string{consent.ID.String()}}))
			},
		} {
			if err := look(); !errors.Is(err, errCut) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	l.ledger = false
	if cs := must(patient.Consents().List(ctx))(t); len(cs) != 1 || cs[0].Status != wallet.StatusActive {
		t.Errorf("after it: %+v", cs)
	}
}

func second[T any](_ T, err error) error { return err }
