package wallet_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
)

// memoryKeyring is a keyring that forgets everything with the test.
type memoryKeyring struct {
	mu    sync.Mutex
	items map[string]string
}

func (k *memoryKeyring) Kind() string { return "os" }
func (k *memoryKeyring) Get(_ context.Context, id string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, ok := k.items[id]
	if !ok {
		return "", keyring.ErrItemNotFound
	}
	return s, nil
}
func (k *memoryKeyring) Set(_ context.Context, id, secret string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.items[id] = secret
	return nil
}
func (k *memoryKeyring) Delete(_ context.Context, id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.items, id)
	return nil
}

// town is a ledger in a folder with people who use it.
type town struct {
	t    testing.TB
	dir  string
	keys *memoryKeyring
	now  time.Time
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func newTown(t testing.TB) *town {
	tn := &town{t: t, dir: t.TempDir(), keys: &memoryKeyring{items: map[string]string{}}, now: noon}
	f, err := folder.Create(tn.ledgerDir(), "Test town", tn.clock)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return tn
}

func (tn *town) clock() time.Time  { return tn.now }
func (tn *town) ledgerDir() string { return filepath.Join(tn.dir, "ledger") }

func (tn *town) services() ledgerclient.Services {
	tn.t.Helper()
	f, err := folder.Open(tn.ledgerDir(), folder.Options{Clock: tn.clock})
	if err != nil {
		tn.t.Fatal(err)
	}
	tn.t.Cleanup(func() { f.Close() })
	return f.Services()
}

func (tn *town) options(name string) wallet.Options {
	return wallet.Options{Dir: filepath.Join(tn.dir, "home of "+name), Keyring: tn.keys, Services: tn.services(), Now: tn.clock}
}

// cacheOf is the cache file of a person's wallet on the town's ledger.
func (tn *town) cacheOf(name string) string {
	tn.t.Helper()
	return filepath.Join(onlyMatch(tn.t, filepath.Join(tn.dir, "home of "+name, "ledgers", "*")), "cache")
}

// onlyMatch is the one path that matches a pattern.
func onlyMatch(t testing.TB, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%d paths match %s (%v)", len(found), pattern, err)
	}
	return found[0]
}

// person makes a wallet.
func (tn *town) person(name string) *wallet.Wallet {
	tn.t.Helper()
	w, err := wallet.Create(context.Background(), tn.options(name), crypto.NewEntropy(), name, tn.ledgerDir())
	if err != nil {
		tn.t.Fatal(err)
	}
	return w
}

// again opens a person's wallet as a new process would.
func (tn *town) again(name string) *wallet.Wallet {
	tn.t.Helper()
	w, err := wallet.Open(context.Background(), tn.options(name))
	if err != nil {
		tn.t.Fatal(err)
	}
	return w
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func add(t testing.TB, w *wallet.Wallet, name, text string) wallet.Record {
	t.Helper()
	r, _, err := w.Records().Add(context.Background(), wallet.Source{Reader: strings.NewReader(text), Name: name, Size: int64(len(text))}, wallet.Describe{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// grant gives all of w's records to a contact for 30 days.
func grant(t testing.TB, w *wallet.Wallet, to string, now time.Time) (wallet.Consent, crypto.FetchCode) {
	t.Helper()
	ctx := context.Background()
	p, err := w.Grants().Plan(ctx, wallet.GrantRequest{To: to, All: true, NotAfter: must(wallet.EndAfter("30d", now))(t)})
	if err != nil {
		t.Fatal(err)
	}
	c, code, err := w.Grants().Give(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	return c, code
}

// Promises 1, 3, 4, 5: the whole path from a record to a refused fetch.
func TestMainJob(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	const text = "Penicillin: anaphylaxis, 2009"
	rec := add(t, patient, "allergies.txt", text)
	if rec.Version != 1 || rec.Title != "allergies" || rec.SHA256 != sha256.Sum256([]byte(text)) {
		t.Errorf("record: %+v", rec)
	}
	if same, existing, err := patient.Records().Add(ctx, wallet.Source{Reader: strings.NewReader(text), Name: "x", Size: int64(len(text))}, wallet.Describe{}, nil); err != nil || !existing || same.ID != rec.ID {
		t.Errorf("the same bytes again: %v %v %v", same.ID, existing, err)
	}
	if _, _, err := patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := clinic.Contacts().Add(ctx, "Maria", patient.Address().String()); err != nil {
		t.Fatal(err)
	}
	consent, code := grant(t, patient, "Dr Smith", tn.now)
	if consent.Status != wallet.StatusActive || consent.To != "Dr Smith" || len(consent.Records) != 1 {
		t.Errorf("consent: %+v", consent)
	}
	box := must(clinic.Inbox().List(ctx))(t)
	if len(box) != 1 || box[0].From != "Maria" || box[0].Records[0].Title != "allergies" || box[0].Fetched != 0 {
		t.Fatalf("inbox: %+v", box)
	}
	o := must(clinic.Inbox().OpenByCode(ctx, code, "check-up"))(t)
	var got bytes.Buffer
	if err := o.Read(ctx, 0, &got, nil); err != nil || got.String() != text {
		t.Fatalf("read %q, %v", got.String(), err)
	}
	// The second opening of the hour uses the same access.
	must(clinic.Inbox().OpenByID(ctx, consent.ID.String()[:8], "again"))(t)

	events := must(patient.Audit().Events(ctx))(t)
	if len(events) != 2 || events[1].What != wallet.Opened || events[1].Reason != "check-up" || !events[1].Verified || events[1].Who != "Dr Smith" {
		t.Fatalf("audit: %+v", events)
	}
	revoked := must(patient.Consents().Revoke(ctx, []contract.ID{consent.ID}))(t)
	if len(revoked) != 1 || revoked[0].Already || len(revoked[0].Acks) == 0 || len(revoked[0].Consent.Known()) != 1 {
		t.Fatalf("revoked: %+v", revoked)
	}
	if again := must(patient.Consents().Revoke(ctx, []contract.ID{consent.ID}))(t); !again[0].Already {
		t.Error("the second revocation is not known as such")
	}
	_, err := clinic.Inbox().OpenByCode(ctx, code, "once more")
	var refused *wallet.RefusedError
	if !errors.As(err, &refused) || refused.Rule != contract.RuleRevoked || !refused.Filed {
		t.Fatalf("fetch after the revocation: %v", err)
	}
	var saw bool
	for _, e := range must(patient.Audit().Events(ctx))(t) {
		saw = saw || e.What == wallet.Refused && e.Code == ledgerclient.Revoked && e.Verified
	}
	if !saw {
		t.Error("the audit does not show the refused attempt")
	}
	// Other processes find the same.
	if cs := must(tn.again("Maria").Consents().List(ctx))(t); len(cs) != 1 || cs[0].Status != wallet.StatusRevoked || cs[0].Openings != 1 {
		t.Errorf("as another process: %+v", cs)
	}
}

// Promise 6, the part that holds already: without its cache a wallet finds
// everything again on the ledger and in the store.
func TestCacheIsOnlyACache(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	rec := add(t, patient, "a.txt", "one")
	if _, _, err := patient.Records().Update(ctx, rec.ID.String(), wallet.Source{Reader: strings.NewReader("two"), Name: "b.txt", Size: 3}, wallet.Describe{Title: "second"}, nil); err != nil {
		t.Fatal(err)
	}
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	consent, code := grant(t, patient, "Dr Smith", tn.now)
	must(clinic.Inbox().OpenByCode(ctx, code, "why"))(t)
	before := must(patient.Audit().Events(ctx))(t)
	for name, damage := range map[string]func(path string) error{
		"removed":   os.Remove,
		"truncated": func(p string) error { return os.Truncate(p, 100) },
		"changed": func(p string) error {
			b, err := os.ReadFile(p)
			if err == nil {
				b[len(b)/2] ^= 1
				err = os.WriteFile(p, b, 0o600)
			}
			return err
		},
	} {
		if err := damage(tn.cacheOf("Maria")); err != nil {
			t.Fatal(err)
		}
		w := tn.again("Maria")
		recs := must(w.Records().List(ctx))(t)
		if len(recs) != 1 || recs[0].Title != "second" || recs[0].Version != 2 {
			t.Errorf("cache %s: records %+v", name, recs)
		}
		cs := must(w.Consents().List(ctx))(t)
		if len(cs) != 1 || cs[0].ID != consent.ID || cs[0].To != "Dr Smith" || cs[0].Openings != 1 {
			t.Errorf("cache %s: consents %+v", name, cs)
		}
		after := must(w.Audit().Events(ctx))(t)
		if len(after) != len(before) || after[1].Reason != "why" {
			t.Errorf("cache %s: audit %+v", name, after)
		}
	}
}

// A batch of grants is entered as one, each with a code that opens it.
func TestGrantAll(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	add(t, patient, "a.txt", "a")
	add(t, patient, "b.txt", "b")
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	p := must(patient.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: contract.Hour(tn.now.Unix()/3600) + 24}))(t)
	plans := make([]*wallet.GrantPlan, 40)
	for i := range plans {
		plans[i] = p
	}
	if err := patient.Grants().GiveAll(ctx, plans); err != nil {
		t.Fatal(err)
	}
	seen := map[contract.ID]bool{}
	for _, g := range must(patient.Consents().List(ctx))(t) {
		if seen[g.ID] {
			t.Fatalf("%+v", g)
		}
		seen[g.ID] = true
		_, code, err := patient.Consents().Show(ctx, g.ID.String())
		if err != nil {
			t.Fatal(err)
		}
		o := must(clinic.Inbox().OpenByCode(ctx, code, ""))(t)
		var got bytes.Buffer
		if err := o.Read(ctx, 1, &got, nil); err != nil || got.String() != "b" {
			t.Fatalf("%q %v", got.String(), err)
		}
	}
	if len(seen) != len(plans) {
		t.Errorf("%d consents, want %d", len(seen), len(plans))
	}
	unknown := &wallet.GrantPlan{To: p.To, Purpose: p.Purpose, NotAfter: p.NotAfter, Records: wallet.Wholes(wallet.Record{ID: contract.ID{1}, Version: 1})}
	if _, _, err := patient.Grants().Give(ctx, unknown); err == nil {
		t.Error("a plan with an unknown record was granted")
	}
	if n := len(must(patient.Consents().List(ctx))(t)); n != len(plans) {
		t.Errorf("%d consents after a failed one, want %d", n, len(plans))
	}
}
