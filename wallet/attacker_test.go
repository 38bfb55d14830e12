package wallet_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
	"github.com/carekey/carekey/wallet"
)

// disguises returns a secret in every form in which a file could hold it.
func disguises(secret []byte) map[string][]byte {
	out := map[string][]byte{
		"plain":     secret,
		"hex":       []byte(hex.EncodeToString(secret)),
		"HEX":       bytes.ToUpper([]byte(hex.EncodeToString(secret))),
		"lowercase": bytes.ToLower(secret),
		"uppercase": bytes.ToUpper(secret),
	}
	var little, big []byte
	for _, u := range utf16.Encode([]rune(string(secret))) {
		little = append(little, byte(u), byte(u>>8))
		big = append(big, byte(u>>8), byte(u))
	}
	out["UTF-16LE"], out["UTF-16BE"] = little, big
	// In base64 and base32 the same bytes look different by where they begin. The
	// characters that also carry bits of neighbours are left off.
	for name, e := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
		for off := range 3 {
			b := e.EncodeToString(append(make([]byte, off), secret...))
			out[name+string(rune('0'+off))] = []byte(b[(off*8+5)/6 : (off+len(secret))*8/6])
		}
	}
	for off := range 5 {
		b := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(append(make([]byte, off), secret...))
		b = b[(off*8+4)/5 : (off+len(secret))*8/5]
		out["BASE32"+string(rune('0'+off))] = []byte(b)
		out["base32"+string(rune('0'+off))] = []byte(strings.ToLower(b))
	}
	return out
}

// searchTree looks for secrets in every byte and every name below the folders.
func searchTree(t testing.TB, secrets map[string][]byte, dirs ...string) (found []string, files int, size int64) {
	t.Helper()
	forms := map[string][]byte{}
	for name, secret := range secrets {
		if len(secret) < 5 {
			t.Fatalf("%s is too short to look for", name)
		}
		for form, b := range disguises(secret) {
			forms[name+" as "+form] = b
		}
	}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, _ := filepath.Rel(dir, path)
			text := []byte(rel)
			if e.Type().IsRegular() {
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				files++
				size += int64(len(b))
				text = append(append(text, 0), b...)
			}
			for name, b := range forms {
				if bytes.Contains(text, b) {
					found = append(found, name+" in "+rel)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found, files, size
}

// Promise 1: who holds the ledger folder with its store and its keeper's shares,
// both homes and a fetch code, but no key, reads no plaintext, name, title,
// address or file name; nor does a name of a file tell one.
func TestAttackerWithTheDiskReadsNothing(t *testing.T) {
	ctx := context.Background()
	d := newDistrict(t, t.TempDir())
	patient, clinic, f, err := d.open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	secrets := map[string][]byte{
		"content":      []byte("Penicillin: anaphylaxis in 2009, adrenaline given"),
		"update":       []byte("Penicillin tolerated since the test of 2025"),
		"title":        []byte("Quarterly lymphocyte counts"),
		"file name":    []byte("Εξετάσεις αίματος.pdf"),
		"contact":      []byte("Hildegard Oberwasser MD"),
		"reference":    []byte("MRN-0048-CANARY"),
		"category":     []byte("allergies"),
		"date":         []byte("2009-07-14"),
		"purpose":      []byte("PATRQT"),
		"reason":       []byte("second opinion on the lump"),
		"patient name": []byte(patient.Name() + `"`),
		"clinic name":  []byte(`"` + clinic.Name() + `"`),
		"passphrase":   []byte("only for tests"),
	}
	for who, w := range map[string]*wallet.Wallet{"patient": patient, "clinic": clinic} {
		a := w.Address()
		secrets[who+"'s S"], secrets[who+"'s V"] = a.Sign[1:], a.View[1:]
		secrets[who+"'s address"] = []byte(a.String()[20:100])
		words := a.Words() // each alone is a word of the language
		secrets[who+"'s check words"] = []byte(strings.Join(words[:2], " "))
	}
	if _, _, err := patient.Contacts().Add(ctx, string(secrets["contact"]), clinic.Address().String()); err != nil {
		t.Fatal(err)
	}
	if _, err := patient.Contacts().SetRef(ctx, string(secrets["contact"]), string(secrets["reference"])); err != nil {
		t.Fatal(err)
	}
	put := func(text []byte) wallet.Source {
		return wallet.Source{Reader: bytes.NewReader(text), Name: string(secrets["file name"]), Size: int64(len(text))}
	}
	rec, _, err := patient.Records().Add(ctx, put(secrets["content"]), wallet.Describe{Title: string(secrets["title"]), Category: "allergies", Date: string(secrets["date"])}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := patient.Grants().Plan(ctx, wallet.GrantRequest{To: string(secrets["contact"]), All: true, NotAfter: endOf(1), Purpose: "PATRQT"})
	if err != nil {
		t.Fatal(err)
	}
	consent, code, err := patient.Grants().Give(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	must(clinic.Inbox().OpenByCode(ctx, code, string(secrets["reason"])))(t)
	if _, _, err := patient.Records().Update(ctx, rec.ID.String(), put(secrets["update"]), wallet.Describe{}, nil); err != nil {
		t.Fatal(err)
	}
	if events := must(patient.Audit().Events(ctx))(t); events[len(events)-1].Reason != string(secrets["reason"]) {
		t.Fatalf("audit: %+v", events)
	}
	// A change that waits in the journal, too: the ledger is out of reach.
	x := &mishap{err: &ledgerclient.UnreachableError{Service: "ledger", Err: errors.New("down")}}
	stuck, err := wallet.Open(ctx, d.options(patientHome, faultyServices(f.Services(), x)))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := stuck.Grants().Plan(ctx, wallet.GrantRequest{To: string(secrets["contact"]), All: true, NotAfter: endOf(2)})
	if err != nil {
		t.Fatal(err)
	}
	for n := int64(1); len(d.journal(t)) == 0; n++ {
		x.n = x.calls.Load() + n
		if _, _, err := stuck.Grants().Give(ctx, plan); err == nil {
			t.Fatal("no grant got stuck")
		}
	}

	found, files, size := searchTree(t, secrets, d.ledger(), d.home(patientHome), d.home(clinicHome))
	for _, f := range found {
		t.Errorf("found %s", f)
	}
	t.Logf("%d secrets in %d forms each: none in %d files of %d bytes", len(secrets), len(disguises([]byte("12345678"))), files, size)

	// The search can find: each form is planted once.
	plant := t.TempDir()
	for name, b := range disguises(secrets["title"]) {
		if err := os.WriteFile(filepath.Join(plant, "x"), append([]byte("..."), b...), 0o600); err != nil {
			t.Fatal(err)
		}
		if found, _, _ := searchTree(t, map[string][]byte{"title": secrets["title"]}, plant); len(found) == 0 {
			t.Errorf("planted %s was not found", name)
		}
	}

	// With the keeper's share the attacker unlocks the envelope, and holds a sealed
	// letter. With keys of its own it opens no payload.
	id := consent.ID
	grantEntry := entryOf(t, f, id)
	raw := must(must(foldertest.Share(d.ledger(), id.String()))(t).Read())(t)
	deposit, err := ledgerclient.Parse[ledgerclient.Deposit](raw)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := crypto.CombineShares([]crypto.Share{deposit.Share}, 1)
	if err != nil {
		t.Fatal(err)
	}
	locked := must(must(foldertest.Payload(d.ledger(), id.String(), ledgerclient.PartEnvelope))(t).Read())(t)
	body, err := crypto.OpenBlob(locked)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := lock.Unlock(code.Ledger, grantEntry.Author, body)
	if err != nil {
		t.Fatalf("the attacker does not even unlock: %v", err)
	}
	for name, secret := range secrets {
		for form, b := range disguises(secret) {
			if bytes.Contains(sealed, b) {
				t.Errorf("the unlocked envelope shows %s as %s", name, form)
			}
		}
	}
	mine := crypto.GenerateKey()
	for part, sealed := range map[ledgerclient.Part][]byte{ledgerclient.PartEnvelope: sealed, ledgerclient.PartTerms: nil} {
		if sealed == nil {
			b := must(must(foldertest.Payload(d.ledger(), id.String(), part))(t).Read())(t)
			if sealed, err = crypto.OpenBlob(b); err != nil {
				t.Fatal(err)
			}
		}
		sc := crypto.SealContext{Ledger: code.Ledger, Part: byte(part), Author: grantEntry.Author}
		if plain, err := crypto.OpenPayload(sc, mine, sealed); err == nil {
			t.Errorf("a key of the attacker's own opens the %s: %d bytes", part, len(plain))
		}
	}
	// With a wallet of its own and the fetch code it is a stranger.
	s := f.Services()
	eve, err := wallet.Create(ctx, wallet.Options{Dir: t.TempDir(), Keyring: &memoryKeyring{items: map[string]string{}}, Services: s, Now: d.clock}, crypto.NewEntropy(), "Eve", d.ledger())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := eve.Inbox().OpenByCode(ctx, code, ""); !errors.Is(err, wallet.ErrNotYours) {
		t.Errorf("somebody else's fetch code: %v", err)
	}
	if box := must(eve.Inbox().List(ctx))(t); len(box) != 0 {
		t.Errorf("a stranger's inbox: %+v", box)
	}
}

// entryOf reads an entry of the log.
func entryOf(t testing.TB, f *folder.Folder, id contract.ID) contract.Entry {
	t.Helper()
	at, ok, err := f.Find(context.Background(), id)
	if err != nil || !ok {
		t.Fatalf("entry %s: %t %v", id, ok, err)
	}
	leaves, err := f.Leaves(context.Background(), at, at+1)
	if err != nil {
		t.Fatal(err)
	}
	return leaves[0].Entry
}

// rawTown is a town whose clinic's keys the test holds, to write entries without
// a wallet.
type rawTown struct {
	*town
	ctx      context.Context
	ledger   crypto.LedgerID
	services ledgerclient.Services
	patient  *wallet.Wallet
	clinic   *crypto.Identity
	consent  wallet.Consent
	grant    contract.Entry
	keys     *crypto.OneTimeKeys
}

// newRawTown makes a town with a consent for the clinic from hour +from to +to.
func newRawTown(t *testing.T, from, to contract.Hour) *rawTown {
	t.Helper()
	tn := newTown(t)
	r := &rawTown{town: tn, ctx: context.Background()}
	r.services = tn.services()
	r.patient = tn.person("Maria")
	r.ledger, _ = r.patient.Ledger()
	root := crypto.NewEntropy().Root()
	r.clinic = root.Identity()
	add(t, r.patient, "a.txt", "a")
	if _, _, err := r.patient.Contacts().Add(r.ctx, "Dr Smith", r.clinic.Address().String()); err != nil {
		t.Fatal(err)
	}
	now := r.hour()
	p, err := r.patient.Grants().Plan(r.ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotBefore: now + from, NotAfter: now + to})
	if err != nil {
		t.Fatal(err)
	}
	if r.consent, _, err = r.patient.Grants().Give(r.ctx, p); err != nil {
		t.Fatal(err)
	}
	leaves, err := r.services.Ledger.Leaves(r.ctx, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	r.grant = leaves[0].Entry
	keys, ok, err := r.clinic.Recognize(r.ledger, r.grant.Author, r.grant.Counterparty)
	if err != nil || !ok {
		t.Fatalf("%t %v", ok, err)
	}
	r.keys = keys
	return r
}

func (r *rawTown) hour() contract.Hour { return contract.Hour(r.now.Unix() / 3600) }

func (r *rawTown) pass(hours int) { r.now = r.now.Add(time.Duration(hours) * time.Hour) }

// access makes an access entry as the clinic would, changed before it is signed.
func (r *rawTown) access(change func(*contract.Entry)) contract.Entry {
	e := contract.Entry{Version: contract.Version, Kind: contract.KindAccess, Author: r.keys.Sig, Subject: r.consent.ID,
		Commitment: crypto.Hash(crypto.NewSalt())}
	rand.Read(e.SelfTag[:])
	e.NotBefore, e.NotAfter = contract.Acceptance(r.hour())
	if change != nil {
		change(&e)
	}
	e.Signature = r.keys.Sign(e.ID(r.ledger))
	return e
}

// refused submits an entry and asks the keeper with it, and wants both to refuse.
func (r *rawTown) refused(t *testing.T, name string, e contract.Entry, rule contract.Rule, code ledgerclient.Code) {
	t.Helper()
	out, err := r.services.Ledger.Append(r.ctx, []contract.Entry{e})
	switch {
	case err != nil:
		t.Errorf("%s: %v", name, err)
	case rule == "" && out[0].Refusal != nil:
		t.Errorf("%s: the ledger refuses it by rule %s", name, out[0].Refusal.Rule)
	case rule != "" && (out[0].Refusal == nil || out[0].Refusal.Rule != rule):
		t.Errorf("%s: the ledger says %+v, want rule %s", name, out[0].Refusal, rule)
	}
	if a := r.ask(t, e, r.keys, nil); a.Code != code {
		t.Errorf("%s: the keeper says %s, want %s", name, a.Code, code)
	} else if code != ledgerclient.Released && len(a.Sealed) > 0 {
		t.Errorf("%s: the refusal carries a share", name)
	}
}

// ask sends the keeper a request signed by whoever.
func (r *rawTown) ask(t *testing.T, e contract.Entry, by interface {
	Sign(crypto.Hash) crypto.Signature
}, change func(*ledgerclient.Request)) ledgerclient.Answer {
	t.Helper()
	k := r.services.Keepers[0]
	req := ledgerclient.Request{Ledger: r.ledger, Keeper: k.Key(), Access: e, Response: crypto.GenerateKey().Public()}
	if change != nil {
		change(&req)
	}
	ledgerclient.Sign(&req, by)
	a, err := k.Release(r.ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Verify(&req, k.Key()); err != nil {
		t.Errorf("the answer is not the keeper's: %v", err)
	}
	return a
}

// Promises 3, 4, 7: an access made with raw keys that breaks a rule is refused by
// that rule, and by the keeper that is asked all the same.
func TestRawAccessesAreRefused(t *testing.T) {
	const (
		notCounterparty = contract.RuleNotCounterparty
		signature       = contract.RuleSignature
	)
	r, other := newRawTown(t, 5, 60), newRawTown(t, 5, 60)
	eve := crypto.GenerateKey()

	r.refused(t, "before the window", r.access(nil), contract.RuleNotYet, ledgerclient.NotYet)
	r.pass(5)
	other.pass(5)

	byEve := r.access(func(e *contract.Entry) { e.Author = eve.Public() })
	if err := byEve.Sign(r.ledger, eve); err != nil {
		t.Fatal(err)
	}
	r.refused(t, "by another key", byEve, notCounterparty, ledgerclient.WrongKey)
	forged := r.access(nil)
	forged.Signature = eve.Sign(forged.ID(r.ledger))
	r.refused(t, "signed by another key", forged, signature, ledgerclient.WrongKey)
	bad := r.access(nil)
	bad.Signature[63] ^= 1
	r.refused(t, "a bit of the signature", bad, signature, ledgerclient.WrongKey)
	swapped := r.access(nil)
	swapped.Commitment[0] ^= 1
	r.refused(t, "a bit of the commitment", swapped, signature, ledgerclient.WrongKey)

	r.refused(t, "of no grant", r.access(func(e *contract.Entry) { e.Subject = contract.ID{1} }), contract.RuleUnknownSubject, ledgerclient.UnknownGrant)
	record := must(r.patient.Records().List(r.ctx))(t)[0].ID
	r.refused(t, "of a record", r.access(func(e *contract.Entry) { e.Subject = record }), contract.RuleKindOfSubject, ledgerclient.UnknownGrant)

	// From another ledger: the very same person, the very same keys of hers.
	foreign := other.access(nil)
	r.refused(t, "replayed from another ledger", foreign, signature, ledgerclient.UnknownGrant)
	moved := foreign
	moved.Subject = r.consent.ID
	r.refused(t, "replayed from another ledger for a grant of this one", moved, signature, ledgerclient.WrongKey)
	if out, err := r.services.Ledger.Append(r.ctx, []contract.Entry{other.grant}); err != nil || out[0].Refusal == nil || out[0].Refusal.Rule != signature {
		t.Errorf("a grant replayed from another ledger: %+v %v", out, err)
	}
	if a := r.ask(t, foreign, other.keys, nil); a.Code != ledgerclient.UnknownGrant {
		t.Errorf("the keeper on a grant of another ledger: %s", a.Code)
	}
	if a := r.ask(t, r.access(nil), r.keys, func(q *ledgerclient.Request) { q.Ledger = other.ledger }); a.Code != ledgerclient.BadRequest {
		t.Errorf("a request of another ledger: %s", a.Code)
	}
	if a := r.ask(t, r.access(nil), r.keys, func(q *ledgerclient.Request) { q.Keeper = other.services.Keepers[0].Key() }); a.Code != ledgerclient.BadRequest {
		t.Errorf("a request to another keeper: %s", a.Code)
	}
	var refusedDeposit *ledgerclient.KeeperError
	if _, err := r.services.Keepers[0].Deposit(r.ctx, []ledgerclient.Deposit{other.deposited(t)}); !errors.As(err, &refusedDeposit) {
		t.Errorf("a share from another ledger: %v", err)
	}

	first := r.access(nil)
	r.refused(t, "a good one", first, "", ledgerclient.Released)
	r.refused(t, "the same again", first, "", ledgerclient.Released)
	if a := r.ask(t, first, eve, nil); a.Code != ledgerclient.WrongKey {
		t.Errorf("somebody else's request with a good access: %s", a.Code)
	}
	r.refused(t, "stale", r.access(func(e *contract.Entry) { e.NotBefore, e.NotAfter = r.hour()-50, r.hour() }), contract.RuleStale, ledgerclient.NoAccess)
	r.refused(t, "early", r.access(func(e *contract.Entry) { e.NotBefore, e.NotAfter = r.hour()+1, r.hour()+9 }), contract.RuleEarly, ledgerclient.NoAccess)
	r.refused(t, "twice in an hour", r.access(nil), contract.RuleOncePerHour, ledgerclient.NoAccess)
	r.pass(24)
	if a := r.ask(t, first, r.keys, nil); a.Code != ledgerclient.AccessTooOld {
		t.Errorf("an access of yesterday: %s", a.Code)
	}
	if _, err := r.patient.Consents().Revoke(r.ctx, []contract.ID{r.consent.ID}); err != nil {
		t.Fatal(err)
	}
	r.refused(t, "after the revocation", r.access(nil), contract.RuleRevoked, ledgerclient.Revoked)
	other.pass(55)
	other.refused(t, "after the end", other.access(nil), contract.RuleExpired, ledgerclient.Expired)

	for name, x := range map[string]*rawTown{"first": r, "other": other} {
		var refused int
		events, err := x.patient.Audit().Events(x.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.What == wallet.Refused {
				refused++
			}
		}
		if refused == 0 {
			t.Errorf("the audit of the %s ledger shows no attempt", name)
		}
		f, err := folder.Open(x.ledgerDir(), folder.Options{Clock: x.clock})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Verify(x.ctx, nil, nil); err != nil {
			t.Errorf("the %s ledger does not verify: %v", name, err)
		}
	}
}

// deposited reads the consent's share from the keeper's files.
func (r *rawTown) deposited(t *testing.T) ledgerclient.Deposit {
	t.Helper()
	b := must(must(foldertest.Share(r.ledgerDir(), r.consent.ID.String()))(t).Read())(t)
	d, err := ledgerclient.Parse[ledgerclient.Deposit](b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Threat: somebody replaces the view key in an address by his own and reads what
// is granted to its owner.
func TestMixedAddressIsRefused(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient := tn.person("Maria")
	a, b := crypto.NewEntropy().Root().Identity().Address(), crypto.NewEntropy().Root().Identity().Address()
	for name, m := range map[string]crypto.Address{
		"S's signature":   {Sign: a.Sign, View: b.View, Signature: a.Signature},
		"V's signature":   {Sign: a.Sign, View: b.View, Signature: b.Signature},
		"other signature": {Sign: a.Sign, View: a.View, Signature: b.Signature},
	} {
		_, _, err := patient.Contacts().Add(ctx, "Dr Smith", m.String())
		if bad, _ := fault.As(err, crypto.ErrAddress); fault.Get[crypto.Fault](bad, "fault") != crypto.FaultMixed {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(patient.Contacts().List()) != 0 {
		t.Error("a mixed address became a contact")
	}
}

// swapFiles exchanges the contents of two files and returns how to undo it.
func swapFiles(t testing.TB, a, b string) (undo func()) {
	t.Helper()
	x, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	put := func(x, y []byte) {
		if err := errors.Join(os.WriteFile(a, x, 0o600), os.WriteFile(b, y, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	put(y, x)
	return func() { put(x, y) }
}

// Threat: the store answers with genuine payloads of another consent, or record, of
// the same two people; the keeper's files are exchanged.
func TestTransplantedPayloads(t *testing.T) {
	lane.OneGoroutine(t)
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	add(t, patient, "a.txt", "the first")
	if _, _, err := patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String()); err != nil {
		t.Fatal(err)
	}
	now := contract.Hour(tn.now.Unix() / 3600)
	var ids []contract.ID
	var recs []wallet.Record
	for i := range 2 {
		if i == 1 {
			add(t, patient, "b.txt", "the other")
		}
		recs = must(patient.Records().List(ctx))(t)
		p, err := patient.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", Records: []string{recs[i].ID.String()}, NotAfter: now + 100})
		if err != nil {
			t.Fatal(err)
		}
		c, _, err := patient.Grants().Give(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, c.ID)
	}
	// read is what the clinic gets of a consent, as a fresh process without a cache.
	read := func(i int) (string, error) {
		if err := os.Remove(tn.cacheOf("Dr Smith")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		o, err := tn.again("Dr Smith").Inbox().OpenByID(ctx, ids[i].String(), "")
		if err != nil {
			return "", err
		}
		var out strings.Builder
		err = o.Read(ctx, 0, &out, nil)
		return out.String(), err
	}
	exchange := func(find func(dir, id string) (foldertest.Place, error)) func(t *testing.T) (undo func()) {
		return func(t *testing.T) func() {
			swap := func() {
				a, b := must(find(tn.ledgerDir(), ids[0].String()))(t), must(find(tn.ledgerDir(), ids[1].String()))(t)
				if err := foldertest.Exchange(a, b); err != nil {
					t.Fatal(err)
				}
			}
			swap()
			return swap
		}
	}
	payload := func(part ledgerclient.Part) func(dir, id string) (foldertest.Place, error) {
		return func(dir, id string) (foldertest.Place, error) { return foldertest.Payload(dir, id, part) }
	}
	files := func(a, b string) func(t *testing.T) (undo func()) {
		return func(t *testing.T) func() { return swapFiles(t, a, b) }
	}
	for _, tt := range []struct {
		what string
		swap func(t *testing.T) (undo func())
	}{
		{"terms", exchange(payload(ledgerclient.PartTerms))},
		{"envelope", exchange(payload(ledgerclient.PartEnvelope))},
		{"content", files(foldertest.Content(tn.ledgerDir(), recs[0].ID.String()), foldertest.Content(tn.ledgerDir(), recs[1].ID.String()))},
		{"share", exchange(foldertest.Share)},
	} {
		t.Run(tt.what, func(t *testing.T) {
			undo := tt.swap(t)
			for i, id := range ids {
				text, err := read(i)
				var tampered *ledgerclient.TamperedError
				var damaged *folder.DamagedError
				named := ""
				switch {
				case errors.As(err, &damaged):
					named = damaged.Error()
				case errors.As(err, &tampered):
					named = tampered.What
				}
				owner := id
				if tt.what == "content" {
					owner = recs[i].ID
				}
				if text != "" || !strings.Contains(named, tt.what) || !strings.Contains(named, owner.String()) {
					t.Errorf("read %q, %v, want an error that names the %s of %s", text, err, tt.what, owner)
				}
			}
			f, err := folder.Open(tn.ledgerDir(), folder.Options{Clock: tn.clock})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var damaged *folder.DamagedError
			if _, err := f.Verify(ctx, nil, nil); !errors.As(err, &damaged) {
				t.Errorf("verify: %v", err)
			}
			undo()
			if _, err := f.Verify(ctx, nil, nil); err != nil {
				t.Errorf("verify, with everything in its place: %v", err)
			}
			for i, want := range []string{"the first", "the other"} {
				if text, err := read(i); text != want || err != nil {
					t.Errorf("afterwards consent %d reads %q, %v", i, text, err)
				}
			}
		})
	}
	for i, want := range []string{"the first", "the other"} {
		if text, err := read(i); text != want || err != nil {
			t.Errorf("at the end consent %d reads %q, %v", i, text, err)
		}
	}
}
