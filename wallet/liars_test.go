package wallet_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// Promise 5: a grantor who writes terms or an envelope of his own making, all of
// it hashed and signed into the entry, opens nothing at a recipient's.
func TestTwistedGrants(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	add(t, patient, "a.txt", "a")
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	p := must(patient.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: contract.Hour(tn.now.Unix()/3600) + 24}))(t)
	for name, tt := range map[string]struct {
		twist wallet.Twist
		what  string // of the TamperedError; "": it opens and can be read
	}{
		"none":                         {wallet.Twist{}, ""},
		"signed by another":            {wallet.Twist{Unsigned: true}, "terms"},
		"for another address":          {wallet.Twist{To: patient.Address()}, "terms"},
		"another lock key":             {wallet.Twist{Lock: true}, "lock key"},
		"other versions than in terms": {wallet.Twist{Envelope: true}, "envelope"},
		"a longer window in the terms": {wallet.Twist{Longer: true}, "terms"},
		"another size of the file":     {wallet.Twist{Size: true}, "content"},
		"other bytes of the file":      {wallet.Twist{Sum: true}, "content"},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := patient.Grants().GiveTwisted(ctx, p, tt.twist)
			if err != nil {
				t.Fatal(err)
			}
			o, err := clinic.Inbox().OpenByID(ctx, id.String(), "")
			if err == nil {
				err = o.Read(ctx, 0, io.Discard, nil)
			}
			if tt.what == "" {
				if err != nil {
					t.Errorf("an honest grant does not open: %v", err)
				}
				return
			}
			if x := isTampered(err); x == nil || !strings.HasPrefix(x.What, tt.what) {
				t.Errorf("got %v, want a TamperedError of the %s", err, tt.what)
			}
		})
	}
}

// lyingKeeper has the keeper's key and uses it for lies.
type lyingKeeper struct {
	ledgerclient.Keeper
	key     *crypto.PrivateKey
	share   bool // releases another share than was deposited
	receipt bool // signs receipts for another share
	ack     bool // acknowledges another grant
	over    bool // says that it destroyed the share
}

func (k lyingKeeper) Inquire(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.InquiryAnswer, error) {
	a, err := k.Keeper.Inquire(ctx, q)
	if k.over && err == nil {
		ack := ledgerclient.Acknowledgement{Ledger: q.Ledger, Grant: q.Grant, Keeper: q.Keeper, End: ledgerclient.DestroyedShare}
		ledgerclient.Sign(&ack, k.key)
		a.Acks = append(a.Acks, ack)
		ledgerclient.Sign(&a, k.key)
	}
	return a, err
}

func (k lyingKeeper) Deposit(ctx context.Context, ds []ledgerclient.Deposit) ([]ledgerclient.Receipt, error) {
	rs, err := k.Keeper.Deposit(ctx, ds)
	if k.receipt {
		rs[0].Share[0]++
		ledgerclient.Sign(&rs[0], k.key)
	}
	return rs, err
}

func (k lyingKeeper) Release(ctx context.Context, r ledgerclient.Request) (ledgerclient.Answer, error) {
	a, err := k.Keeper.Release(ctx, r)
	if k.share && err == nil {
		other, serr := crypto.NewEntropy().Root().Seed(r.Ledger, crypto.NewNonce()).Shares(1, 1)
		if serr != nil {
			return a, serr
		}
		sc := crypto.ShareContext{Ledger: r.Ledger, Grant: r.Access.Subject, Keeper: k.Key(), Access: r.Access.ID(r.Ledger)}
		if a.Sealed, err = crypto.SealShare(sc, other[0], r.Response); err == nil {
			ledgerclient.Sign(&a, k.key)
		}
	}
	return a, err
}

func (k lyingKeeper) Revoke(ctx context.Context, es []contract.Entry) ([]ledgerclient.Acknowledgement, error) {
	as, err := k.Keeper.Revoke(ctx, es)
	if k.ack && err == nil {
		as[0].Grant[0]++
		ledgerclient.Sign(&as[0], k.key)
	}
	return as, err
}

// Promise 5: what a keeper says is checked against what was committed to, however
// well it is signed.
func TestKeeperIsNotBelieved(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	add(t, patient, "a.txt", "a")
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	c, code := grant(t, patient, "Dr Smith", tn.now)

	key := keeperKey(t, tn)
	with := func(name string, lie lyingKeeper) *wallet.Wallet {
		t.Helper()
		o := tn.options(name)
		lie.Keeper, lie.key = o.Services.Keepers[0], key
		o.Services.Keepers = []ledgerclient.Keeper{lie}
		return must(wallet.Open(ctx, o))(t)
	}
	if _, err := with("Dr Smith", lyingKeeper{share: true}).Inbox().OpenByCode(ctx, code, ""); isTampered(err) == nil || !strings.HasPrefix(isTampered(err).What, "share") {
		t.Errorf("another share: %v", err)
	}
	w := with("Maria", lyingKeeper{receipt: true})
	p := must(w.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: contract.Hour(tn.now.Unix()/3600) + 24}))(t)
	if _, _, err := w.Grants().Give(ctx, p); isTampered(err) == nil || !strings.HasPrefix(isTampered(err).What, "receipt") {
		t.Errorf("receipt for another share: %v", err)
	}
	// The grant is on the ledger; an honest keeper lets it be finished.
	if cs := must(tn.again("Maria").Consents().List(ctx))(t); len(cs) != 2 {
		t.Errorf("%d consents, want 2", len(cs))
	}
	if _, err := with("Maria", lyingKeeper{ack: true}).Consents().Revoke(ctx, []contract.ID{c.ID}); isTampered(err) == nil || !strings.HasPrefix(isTampered(err).What, "acknowledgement") {
		t.Errorf("acknowledgement of another grant: %v", err)
	}
}

// Threat: somebody copies a self-tag of hers, so that a patient takes his entry
// for her own.
func TestCopiedSelfTag(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient := tn.person("Maria")
	add(t, patient, "a.txt", "a")
	s := tn.services()
	leaves, err := s.Ledger.Leaves(ctx, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := patient.Ledger()
	key := crypto.GenerateKey()
	e := contract.Entry{Version: contract.Version, Kind: contract.KindRecord, Author: key.Public(), SelfTag: leaves[0].Entry.SelfTag, Commitment: crypto.Hash{1}}
	if err := e.Sign(id, key); err != nil {
		t.Fatal(err)
	}
	if out, err := s.Ledger.Append(ctx, []contract.Entry{e}); err != nil || out[0].Refusal != nil {
		t.Fatal(out, err)
	}
	if rs := must(tn.again("Maria").Records().List(ctx))(t); len(rs) != 1 {
		t.Errorf("%d records, want her one", len(rs))
	}
	if _, _, err := tn.again("Maria").Records().History(ctx, e.ID(id).String()); !errors.Is(err, wallet.ErrNotFound) {
		t.Errorf("the stranger's entry is hers: %v", err)
	}
}
