package wallet_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
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
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	c, code := grant(t, patient, "Dr Smith", tn.now)
	audit := func(change func(*ledgerclient.InquiryAnswer)) (refused int, err error) {
		t.Helper()
		o := tn.options("Maria")
		o.Services.Keepers = []ledgerclient.Keeper{courier{o.Services.Keepers[0], change}}
		events, err := must(wallet.Open(ctx, o))(t).Audit().Again().Events(ctx)
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
	if _, err := patient.Consents().Revoke(ctx, []contract.ID{c.ID}); err != nil {
		t.Fatal(err)
	}
	if _, err := clinic.Inbox().OpenByCode(ctx, code, ""); err == nil {
		t.Fatal("opened after the revocation")
	}
	if n, err := audit(func(*ledgerclient.InquiryAnswer) {}); n != 1 || err != nil {
		t.Fatalf("%d refused, %v", n, err)
	}
	// Behind a thousand tries the keeper counts: who tries on does not do so unseen.
	countAtKeeper(t, tn.ledgerDir(), c.ID, 7)
	tries := func(es []wallet.Event) (n int) {
		for _, e := range es {
			if e.What == wallet.Refused {
				n += max(1, e.More)
			}
		}
		return n
	}
	w := tn.again("Maria")
	if n := tries(must(w.Audit().Events(ctx))(t)); n != 8 {
		t.Errorf("%d attempts in the audit, not 8", n)
	}
	if n := tries(must(w.Audit().Status(ctx))(t).Accesses); n != 8 {
		t.Errorf("%d attempts are news, not 8", n)
	}
	if n := tries(must(w.Audit().Status(ctx))(t).Accesses); n != 0 {
		t.Errorf("%d attempts are news again", n)
	}
	for name, change := range map[string]func(*ledgerclient.InquiryAnswer){
		"left out":            func(a *ledgerclient.InquiryAnswer) { a.Refused = nil },
		"not counted":         func(a *ledgerclient.InquiryAnswer) { a.More = 0 },
		"twice":               func(a *ledgerclient.InquiryAnswer) { a.Refused = append(a.Refused, a.Refused...) },
		"an answer of before": func(a *ledgerclient.InquiryAnswer) { *a = before },
		"no acknowledgement":  func(a *ledgerclient.InquiryAnswer) { a.Acks = nil },
	} {
		if _, err := audit(change); isTampered(err) == nil || !strings.HasPrefix(isTampered(err).What, "refusal filed by keeper 1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// successor is a keeper at hand in the place of another one, with all that this filed.
type successor struct {
	ledgerclient.NearKeeper
	key crypto.PubKey
}

func (s successor) Key() crypto.PubKey { return s.key }

// What a keeper at hand filed is verified once, with its key: the same from a keeper that has
// not signed it is none of what was found in order.
func TestFiledIsOfItsKeeper(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	add(t, patient, "a.txt", "a")
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	c, _ := grant(t, patient, "Dr Smith", tn.now)
	if _, err := patient.Consents().Revoke(ctx, []contract.ID{c.ID}); err != nil {
		t.Fatal(err)
	}
	near := tn.options("Maria").Services.Keepers[0].(ledgerclient.NearKeeper)
	for range 2 {
		if err := patient.Consents().ReadFiled(ctx, near, c.ID); err != nil {
			t.Fatal(err)
		}
		err := patient.Consents().ReadFiled(ctx, successor{near, crypto.GenerateKey().Public()}, c.ID)
		if isTampered(err) == nil || isTampered(err).What != "refusal filed by keeper 1" {
			t.Errorf("filed by another keeper: %v", err)
		}
	}
}

// absent is a keeper that no share comes to.
type absent struct{ ledgerclient.Keeper }

func (absent) Deposit(context.Context, []ledgerclient.Deposit) ([]ledgerclient.Receipt, error) {
	return nil, cut("keeper")
}

// Promise 3: the audit shows no opening that never was. A recipient asks first whether
// the keepers hold the shares, and writes no access if they do not.
func TestNoAccessWithoutShare(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	add(t, patient, "a.txt", "a")
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	o := tn.options("Maria")
	o.Services.Keepers = []ledgerclient.Keeper{absent{o.Services.Keepers[0]}}
	w := must(wallet.Open(ctx, o))(t)
	p := must(w.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: contract.Hour(tn.now.Unix()/3600) + 24}))(t)
	if _, _, err := w.Grants().Give(ctx, p); err == nil {
		t.Fatal("granted without its share at the keeper")
	}
	id := must(clinic.Inbox().List(ctx))(t)[0].Consent
	size := must(tn.services().Ledger.Checkpoint(ctx))(t)
	for range 2 {
		var refused *wallet.RefusedError
		if _, err := clinic.Inbox().OpenByID(ctx, id.String(), ""); !errors.As(err, &refused) || refused.Code != ledgerclient.NoShare || refused.Filed {
			t.Errorf("opened without a share: %v", err)
		}
	}
	if again := must(tn.services().Ledger.Checkpoint(ctx))(t); string(again) != string(size) {
		t.Error("an access was written that nobody could be given anything for")
	}
	patient = tn.again("Maria") // finishes what was interrupted
	must(patient.Consents().List(ctx))(t)
	must(clinic.Inbox().OpenByID(ctx, id.String(), ""))(t)
	var opened int
	for _, e := range must(patient.Audit().Events(ctx))(t) {
		if e.What == wallet.Opened {
			opened++
		}
	}
	if opened != 1 {
		t.Errorf("%d openings in the audit", opened)
	}
}

// judging is a keeper with its key, which says of another log that it judged on it, or
// before whose answers something happens.
type judging struct {
	ledgerclient.Keeper
	key    *crypto.PrivateKey
	before func()
	size   uint64 // is added
	root   byte
}

func (k judging) Inquire(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.InquiryAnswer, error) {
	k.before()
	a, err := k.Keeper.Inquire(ctx, q)
	a.Size, a.Root[0] = a.Size+k.size, a.Root[0]^k.root
	ledgerclient.Sign(&a, k.key)
	return a, err
}

func (k judging) Release(ctx context.Context, r ledgerclient.Request) (ledgerclient.Answer, error) {
	k.before()
	a, err := k.Keeper.Release(ctx, r)
	a.Size, a.Root[0] = a.Size+k.size, a.Root[0]^k.root
	ledgerclient.Sign(&a, k.key)
	return a, err
}

// Promise 5: a keeper says under its signature which log it judged on. If that has more
// than is shown here, or is another one, something is withheld; if others appended
// meanwhile, nothing is.
func TestKeeperJudgedOnTheSameLog(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic, other := tn.person("Maria"), tn.person("Dr Smith"), tn.person("Other")
	add(t, patient, "a.txt", "a")
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	_, code := grant(t, patient, "Dr Smith", tn.now)
	key := keeperKey(t, tn)
	n := 0
	for name, test := range map[string]struct {
		keeper judging
		is     func(error) bool
	}{
		"others append":   {judging{before: func() { n++; add(t, other, "b.txt", strings.Repeat("b", n)) }}, func(err error) bool { return err == nil }},
		"it has more":     {judging{size: 3}, isA[*ledgerclient.RollbackError]},
		"it is another":   {judging{root: 1}, isA[*ledgerclient.ForkError]},
		"more of another": {judging{size: 3, root: 1}, isA[*ledgerclient.RollbackError]},
	} {
		k := test.keeper
		if k.key = key; k.before == nil {
			k.before = func() {}
		}
		open := func(who string) *wallet.Wallet {
			o := tn.options(who)
			k.Keeper = o.Services.Keepers[0]
			o.Services.Keepers = []ledgerclient.Keeper{k}
			return must(wallet.Open(ctx, o))(t)
		}
		_, audit := open("Maria").Audit().Events(ctx)
		_, fetch := open("Dr Smith").Inbox().OpenByCode(ctx, code, "")
		for what, err := range map[string]error{"audit": audit, "fetch": fetch} {
			if !test.is(err) {
				t.Errorf("%s, %s: %T %v", name, what, err, err)
			}
		}
	}
}

// isA tells whether an error of that type is in err's chain.
func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// keeperKey reads the key of the town's keeper.
func keeperKey(t *testing.T, tn *town) *crypto.PrivateKey {
	t.Helper()
	text := must(os.ReadFile(filepath.Join(tn.ledgerDir(), "keys", "keeper.k256")))(t)
	raw := must(hex.DecodeString(strings.TrimSpace(string(text))))(t)
	return must(crypto.ParsePrivateKey(raw))(t)
}

// countAtKeeper adds a record of how many more requests of a grant were refused behind what
// the keeper filed, see segment.go and vault.go of package folder.
func countAtKeeper(t *testing.T, ledger string, grant contract.ID, n uint32) {
	t.Helper()
	const kind = 3 | 0x40
	path := filepath.Join(ledger, "keeper", "filings", "0000000001")
	b := must(os.ReadFile(path))(t)
	sum := func(b []byte) []byte { s := sha256.Sum256(b); return s[:8] }
	end := binary.BigEndian.Uint64(b[16:])
	count := binary.BigEndian.AppendUint32(nil, n)
	key := sha256.Sum256(append([]byte{kind}, grant[:]...))
	r := slices.Concat([]byte{0, 0, 0, 28 + 32 + 8 + 4 + 8, 0, 0, 0, 0, 0, 0, 0, 0, kind, 1, 0, 0}, make([]byte, 8), key[:])
	copy(b[end:], slices.Concat([]byte("held"), r, sum(r), count, sum(count)))
	binary.BigEndian.PutUint64(b[16:], end+128)
	copy(b[40:48], sum(b[:40]))
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
