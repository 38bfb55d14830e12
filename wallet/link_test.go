package wallet_test

import (
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
	"github.com/carekey/carekey/ledgerclient/keeper"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/shlink"
)

// linkShelf is the keeper's side of a node, without the network before it.
type linkShelf struct {
	links *keeper.Links
	away  error // why it does not take a deposit
	limit int64 // of a file; 0 is 1 MiB
}

func (s *linkShelf) LinkTerms(context.Context) (ledgerclient.LinkTerms, error) {
	return ledgerclient.LinkTerms{URL: "https://ledger.example", Limit: cmp.Or(s.limit, 1<<20), Hours: 24 * 365, Openings: 100}, nil
}

func (s *linkShelf) DepositLink(ctx context.Context, d ledgerclient.LinkDeposit) (ledgerclient.LinkReceipt, error) {
	if s.away != nil {
		return ledgerclient.LinkReceipt{}, s.away
	}
	return s.links.Deposit(ctx, &d)
}

func (s *linkShelf) InquireLink(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.LinkAnswer, error) {
	return s.links.Inquire(ctx, q, uint64(noon.Unix()))
}

// withLinks opens a person's wallet where a node takes links.
func (tn *town) withLinks(t testing.TB, name string) (*wallet.Wallet, *linkShelf) {
	t.Helper()
	opt, shelf := tn.linkOptions(t, name)
	return must(wallet.Open(t.Context(), opt))(t), shelf
}

func (tn *town) linkOptions(t testing.TB, name string) (wallet.Options, *linkShelf) {
	t.Helper()
	f, err := folder.Open(tn.ledgerDir(), folder.Options{Clock: tn.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	shelf := &linkShelf{links: must(f.Links(t.Context()))(t)}
	opt := tn.options(name)
	opt.Services = f.Services()
	opt.Services.Links = shelf
	return opt, shelf
}

// halves are the two secrets of a link's text.
func halves(t testing.TB, text string) (crypto.LinkID, crypto.LinkKey) {
	t.Helper()
	payload := must(base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, "shlink:/")))(t)
	_, rest, ok := bytes.Cut(payload, []byte(`"key":"`))
	if !ok || len(rest) < 43 {
		t.Fatalf("%s", payload)
	}
	at := must(url.Parse(must(shlink.Parse(text))(t).URL()))(t)
	return must(crypto.ParseLinkID(strings.TrimPrefix(at.Path, "/s/")))(t), must(crypto.ParseLinkKey(string(rest[:43])))(t)
}

// Promise: a link holds what a consent for the same would give, and nothing of its grant but
// the text of the link leads to it. Threat: the node, which is told the id, reads the terms,
// or what the link holds.
func TestLink(t *testing.T) {
	p := newPartTown(t, canaryFile(0))
	w, shelf := p.withLinks(t, "Maria")
	ctx := t.Context()
	plan, err := w.Links().Plan(ctx, wallet.LinkRequest{GrantRequest: wallet.GrantRequest{All: true, Until: endOf(1)}, Openings: 2})
	if err != nil {
		t.Fatal(err)
	}
	id, err := w.Links().Give(ctx, plan)
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.Links().Show(ctx, id.String(), "for the ward")
	if err != nil {
		t.Fatal(err)
	}
	l := must(shlink.Parse(s.Text))(t)
	if l.Flags != "U" || l.Host() != "ledger.example" || l.Label != "for the ward" || !l.Until.Equal(wallet.HourTime(contract.Hour(s.Until))) || s.Said.Left != 2 || s.Waits {
		t.Errorf("%q %q %q %v, %d left", l.Flags, l.Host(), l.Label, l.Until, s.Said.Left)
	}

	// As the node: the id is told, and K is had.
	lid, key := halves(t, s.Text)
	ledger, _ := w.Ledger()
	kept := shelf.links.Find(lid.Name(ledger))
	if kept == nil || kept.Deposit.Grant != id || kept.Deposit.Openings != 2 {
		t.Fatalf("%+v", kept)
	}
	f := must(folder.Open(p.ledgerDir(), folder.Options{Clock: p.clock}))(t)
	defer f.Close()
	e := entryOf(t, f, id)
	mine := &clinic{Identity: lid.Root().Identity(), tn: p.town, ledger: ledger}
	keys, ok, err := mine.Recognize(ledger, e.Author, e.Counterparty)
	if err != nil || !ok {
		t.Fatal("the grant is not for the link's wallet:", err)
	}
	d := must(ledgerclient.Parse[ledgerclient.Deposit](must(must(foldertest.Share(p.ledgerDir(), id.String()))(t).Read())(t)))(t)
	lock := must(crypto.CombineShares([]crypto.Share{d.Share}, 1))(t)
	jwe := must(lock.OpenLinkFile(ledger, crypto.Hash(id), must(shelf.links.File(ctx, kept))(t)))(t)
	terms := must(crypto.OpenBlob(mine.blob(t, keys.Locator(id, byte(ledgerclient.PartTerms)))))(t)
	sc := crypto.SealContext{Ledger: ledger, Part: byte(ledgerclient.PartTerms), Author: e.Author}
	if _, err := keys.Open(sc, terms); !errors.Is(err, crypto.ErrNotForKey) {
		t.Errorf("the node opens the terms: %v", err)
	}
	if b, err := crypto.OpenPayload(sc, key.SealKey(), terms); err != nil || !bytes.Contains(b, []byte(w.Address().String())) {
		t.Errorf("who has the link does not: %v", err)
	}
	for i := range 9 {
		if bytes.Contains(jwe, []byte(canary(i))) {
			t.Errorf("the node reads part %d", i)
		}
	}

	// As whoever has the link.
	pieces := strings.Split(string(jwe), ".")
	raw := func(i int) []byte { return must(base64.RawURLEncoding.DecodeString(pieces[i]))(t) }
	deflated, err := key.Cipher().Open(nil, raw(2), append(raw(3), raw(4)...), []byte(pieces[0]))
	if err != nil {
		t.Fatal(err)
	}
	file := must(io.ReadAll(flate.NewReader(bytes.NewReader(deflated))))(t)
	if !bytes.Contains(file, []byte(`"SUBSETTED"`)) || !bytes.Contains(file, []byte(`"timestamp":"`+p.clock().UTC().Format(time.RFC3339)+`"`)) || !bytes.Contains(file, []byte(canary(1))) || bytes.Contains(file, []byte(canary(99))) {
		t.Errorf("%s", file)
	}

	// It is a consent as any: listed, restored, revoked.
	all := must(w.Links().List(ctx))(t)
	if len(all) != 1 || all[0].ID != id || all[0].To != "" {
		t.Errorf("%+v", all)
	}
	again, _ := p.withLinks(t, "Maria")
	if s2, err := again.Links().Show(ctx, id.String(), "for the ward"); err != nil || s2.Text != s.Text {
		t.Errorf("shown again it is another one: %v", err)
	}
	if _, err := w.Consents().Revoke(ctx, []contract.ID{id}); err != nil {
		t.Fatal(err)
	}
	if s, err := w.Links().Show(ctx, id.String(), ""); err != nil || s.Text != "" || s.Said.State != ledgerclient.LinkEnded {
		t.Errorf("after its end: %q, %v, %v", s.Text, s.Said.State, err)
	}
}

// Promise: nothing half-done. A node that is away when a link is given is handed it later.
func TestLinkHandedOverLater(t *testing.T) {
	p := newPartTown(t, canaryFile(0))
	w, shelf := p.withLinks(t, "Maria")
	ctx := t.Context()
	shelf.away = &ledgerclient.UnreachableError{Service: "keeper", Err: io.EOF}
	plan := must(w.Links().Plan(ctx, wallet.LinkRequest{Openings: 3, GrantRequest: wallet.GrantRequest{All: true, Until: endOf(1)}, Passcode: "1234"}))(t)
	id, err := w.Links().Give(ctx, plan)
	if ledgerclient.Unreachable(err) == nil || id == (contract.ID{}) {
		t.Fatal(id, err)
	}
	again, shelf := p.withLinks(t, "Maria")
	if all := must(again.Links().List(ctx))(t); len(all) != 1 || !all[0].Waits {
		t.Fatalf("%+v", all)
	}
	if err := again.Links().HandOver(ctx); err != nil {
		t.Fatal(err)
	}
	s := must(again.Links().Show(ctx, id.String(), ""))(t)
	if l := must(shlink.Parse(s.Text))(t); s.Waits || l.Flags != "P" || s.Said.Left != 3 || s.Said.Attempts != 5 || shelf.links.Of(id) == nil {
		t.Errorf("%+v", s.Said)
	}
	if left, _ := filepath.Glob(filepath.Join(p.dir, "home of Maria", "ledgers", "*", "link-*")); len(left) != 0 {
		t.Errorf("%v are left", left)
	}
}

// Threat: who restores a wallet hands the keeper the share of a link that its node has never
// got, or has lost: without the count it would open the link to whoever has it.
func TestRestoreLeavesALinksShare(t *testing.T) {
	ctx := t.Context()
	tn := newTown(t)
	seed := crypto.NewEntropy()
	w := tn.device("old", seed)
	keep(t, w)
	add(t, w, "a.json", `{"resourceType":"Patient","name":[{"text":"Maria Example"}]}`)
	tn.person("Dr Smith")
	opt, _ := tn.linkOptions(t, "old")
	off := true
	opt.Services.Keepers = []ledgerclient.Keeper{refusingKeeper{opt.Services.Keepers[0], &off}}
	w = must(wallet.Open(ctx, opt))(t)
	r := wallet.GrantRequest{All: true, Until: must(wallet.EndAfter("30d", tn.now))(t), Select: health.Selection{Whole: true}}
	plan := must(w.Links().Plan(ctx, wallet.LinkRequest{Openings: 3, GrantRequest: r}))(t)
	if _, err := w.Links().Give(ctx, plan); err == nil {
		t.Fatal("not killed")
	}
	id := must(tn.newest())(t)
	back, got, err := tn.restore("new", seed)
	if err != nil {
		t.Fatal(err)
	}
	again, err := back.Recovery().FinishGrants(ctx)
	if len(got.Finished) != 0 || len(got.Revoked) != 0 || len(again) != 0 || err != nil {
		t.Errorf("restored %+v, finished %v, %v", got, again, err)
	}
	if _, err := foldertest.Share(tn.ledgerDir(), id.String()); err == nil {
		t.Error("the keeper has its share")
	}
	if all := must(back.Links().List(ctx))(t); len(all) != 1 || all[0].ID != id || all[0].Waits {
		t.Errorf("%+v", all)
	}
}

// A link is over at its exact end, which its node keeps to and the ledger does not show: it is
// not shown, and what waits for the node is dropped.
func TestLinkIsOverAtItsExactEnd(t *testing.T) {
	p := newPartTown(t, canaryFile(0))
	w, shelf := p.withLinks(t, "Maria")
	ctx := t.Context()
	// What is said of the end on the ledger does not count.
	r := wallet.LinkRequest{Openings: 3, GrantRequest: wallet.GrantRequest{All: true, Until: endOf(1), NotAfter: endOf(1)}}
	give := func() (contract.ID, error) { return w.Links().Give(ctx, must(w.Links().Plan(ctx, r))(t)) }
	id := must(give())(t)
	shelf.away = &ledgerclient.UnreachableError{Service: "keeper", Err: io.EOF}
	late, err := give()
	if ledgerclient.Unreachable(err) == nil {
		t.Fatal(err)
	}
	shelf.away = nil
	p.now = wallet.HourTime(r.Until).Add(-time.Second)
	w, _ = p.withLinks(t, "Maria")
	if s := must(w.Links().Show(ctx, id.String(), ""))(t); s.Text == "" || s.Over || s.Until != wallet.Hour(r.Until) || s.Said.State != ledgerclient.LinkActive {
		t.Errorf("before its end: %+v", s)
	}
	p.now = p.now.Add(time.Second)
	w, shelf = p.withLinks(t, "Maria")
	if s := must(w.Links().Show(ctx, id.String(), ""))(t); s.Text != "" || !s.Over || s.Status != wallet.StatusActive || s.Said.State != ledgerclient.LinkEnded {
		t.Errorf("at its end: %q, %+v", s.Text, s.Consent)
	}
	if err := w.Links().HandOver(ctx); err != nil || shelf.links.Of(late) != nil {
		t.Error("what waited:", err)
	}
	if left, _ := filepath.Glob(filepath.Join(p.dir, "home of Maria", "ledgers", "*", "link-*")); len(left) != 0 {
		t.Errorf("%v are left", left)
	}
}

// noise is FHIR of about so many bytes, of which half of them are no less when they are
// deflated.
func noise(size int) []byte {
	raw := make([]byte, size/4*3)
	rand.NewChaCha8([32]byte{1}).Read(raw)
	return []byte(`{"resourceType":"Binary","contentType":"application/octet-stream","data":"` + base64.StdEncoding.EncodeToString(raw) + `"}`)
}

// What a node is handed is no more than it said it takes, padding and all: what is too large
// is refused before anything is signed.
func TestLinkBound(t *testing.T) {
	lane.OneGoroutine(t)
	ctx := t.Context()
	tn := newTown(t)
	tn.person("Maria")
	w, shelf := tn.withLinks(t, "Maria")
	file := noise(60_000)
	add(t, w, "a.json", string(file))
	r := wallet.LinkRequest{Openings: 3, GrantRequest: wallet.GrantRequest{All: true, Until: endOf(1), Select: health.Selection{Whole: true}}}
	p := must(w.Links().Plan(ctx, r))(t)
	if p.Size != 48<<10 {
		t.Fatalf("%d bytes, padded", p.Size)
	}
	shelf.limit = int64(p.Size/3*4 + 1024)
	id := must(w.Links().Give(ctx, must(w.Links().Plan(ctx, r))(t)))(t)
	if kept := must(shelf.links.File(ctx, shelf.links.Of(id)))(t); int64(len(kept)) > shelf.limit || int64(len(kept)) < shelf.limit-1024 {
		t.Errorf("%d bytes, and %d are taken", len(kept), shelf.limit)
	}
	n := len(must(w.Consents().List(ctx))(t))
	shelf.limit--
	if _, err := w.Links().Plan(ctx, r); !errors.Is(err, wallet.ErrInput) {
		t.Errorf("one byte too many: %v", err)
	}
	if all := must(w.Consents().List(ctx))(t); len(all) != n {
		t.Errorf("%d consents", len(all))
	}

	// The largest class that goes into a deposit, whatever a node says that it takes.
	const most = 24 << 20
	deflated := must(shlink.Deflate(noise(most/3*4 - most/50)))(t)
	if len(deflated) != most {
		t.Fatalf("%d bytes, padded", len(deflated))
	}
	seed := crypto.NewEntropy().Root().Seed(crypto.LedgerID{}, crypto.NewNonce())
	jwe := must(shlink.Seal(seed.LinkKey().Cipher(), [12]byte{}, deflated))(t)
	d := ledgerclient.LinkDeposit{Openings: 1, File: seed.LockKey().SealLinkFile(crypto.LedgerID{}, crypto.Hash{}, jwe)}
	if _, err := ledgerclient.Parse[ledgerclient.LinkDeposit](ledgerclient.Marshal(&d)); err != nil || len(d.File) > ledgerclient.MaxLinkFile || len(d.File) > most/3*4+1024 {
		t.Errorf("%d bytes of a file: %v", len(d.File), err)
	}
}

// With several keepers there are no links: each of them would give its share to whoever has
// one, and count nothing. The wallet says so before anything is asked or written.
func TestNoLinksWithSeveralKeepers(t *testing.T) {
	h := newHall(t, 3, 3, 2)
	h.people()
	w, size := h.again("Maria"), len(h.Shown)
	_, err := w.Links().Takes(t.Context())
	if e, ok := fault.As(err, wallet.ErrKeepers); !ok || e.Value("keepers") != 3 {
		t.Error(err)
	}
	if _, err := w.Links().Plan(t.Context(), wallet.LinkRequest{Openings: 3, GrantRequest: wallet.GrantRequest{All: true, Until: endOf(1)}}); !errors.Is(err, wallet.ErrKeepers) || len(h.Shown) != size {
		t.Error(err)
	}
	if all := must(w.Links().List(t.Context()))(t); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

// A plan that ends everything that its file does not name says of a link that it is one.
func TestBatchEndsLinks(t *testing.T) {
	p := newPartTown(t, canaryFile(0))
	p.to(t, "Dr Smith")
	w, _ := p.withLinks(t, "Maria")
	ctx := t.Context()
	id := must(w.Links().Give(ctx, must(w.Links().Plan(ctx, wallet.LinkRequest{Openings: 3, GrantRequest: wallet.GrantRequest{All: true, Until: endOf(1)}}))(t)))(t)
	plan := must(planFrom(w, "to,role,until\nDr Smith,nurse,"+p.now.AddDate(0, 0, 20).Format("2006-01-02")+"\n", true, p.now))(t)
	found := false
	for _, x := range plan.Items {
		if x.Do == batch.Revoke {
			found = x.Link && x.Consent == id
		} else if x.Link {
			t.Errorf("%+v", x)
		}
	}
	for _, q := range plan.People {
		if q.Link != (q.End == 1) {
			t.Errorf("%+v", q)
		}
	}
	if !found || len(plan.People) != 2 {
		t.Errorf("%+v\n%+v", plan.Items, plan.People)
	}
}

// On a ledger without a node there are no links, and the wallet says why.
func TestNoLinksInAFolder(t *testing.T) {
	p := newPartTown(t, canaryFile(0))
	if _, err := p.patient.Links().Plan(t.Context(), wallet.LinkRequest{Openings: 3, GrantRequest: wallet.GrantRequest{All: true, Until: endOf(1)}}); !errors.Is(err, wallet.ErrNoNode) {
		t.Error(err)
	}
	w, _ := p.withLinks(t, "Maria")
	for _, r := range []wallet.LinkRequest{{Openings: 0}, {Openings: 101}, {Openings: 3, Passcode: "123"}, {Openings: 3, Passcode: strings.Repeat("x", 65)}} {
		r.All, r.Until = true, endOf(1)
		if _, err := w.Links().Plan(t.Context(), r); !errors.Is(err, wallet.ErrInput) {
			t.Errorf("%d openings, passcode of %d: %v", r.Openings, len(r.Passcode), err)
		}
	}
}

// Promise 2. Threat: who reads the ledger and the sizes in its store tells a link from a
// consent for somebody's address, or links two links of one patient.
func TestLinkLooksLikeAnyConsent(t *testing.T) {
	p := newPartTown(t, canaryFile(0))
	p.to(t, "Dr Smith")
	ctx := t.Context()
	opt, _ := p.linkOptions(t, "Maria")
	store := weighingStore{opt.Services.Store, map[ledgerclient.Part]map[int]bool{}}
	opt.Services.Store = store
	w := must(wallet.Open(ctx, opt))(t)
	r := wallet.GrantRequest{All: true, Until: endOf(1)}
	var ids []contract.ID
	for range 2 {
		ids = append(ids, must(w.Links().Give(ctx, must(w.Links().Plan(ctx, wallet.LinkRequest{Openings: 3, GrantRequest: r, Passcode: "1234"}))(t)))(t))
	}
	r.To = "Dr Smith"
	c, _, err := w.Grants().Give(ctx, must(w.Grants().Plan(ctx, r))(t))
	if err != nil {
		t.Fatal(err)
	}
	ids = append(ids, c.ID)
	for _, part := range []ledgerclient.Part{ledgerclient.PartTerms, ledgerclient.PartEnvelope} {
		if len(store.sizes[part]) != 1 {
			t.Errorf("part %d is of the sizes %v", part, store.sizes[part])
		}
	}
	f := must(folder.Open(p.ledgerDir(), folder.Options{Clock: p.clock}))(t)
	defer f.Close()
	seen := map[string]bool{}
	first := entryOf(t, f, ids[0])
	if first.NotAfter != wallet.LedgerEnd(r.Until) || first.NotAfter == r.Until {
		t.Errorf("on the ledger the first ends %d, and exactly at %d", first.NotAfter, r.Until)
	}
	for _, id := range ids {
		e := entryOf(t, f, id)
		if e.Kind != first.Kind || e.Flags != first.Flags || e.NotBefore != first.NotBefore || e.NotAfter != first.NotAfter || e.Subject != first.Subject {
			t.Errorf("%+v is not like %+v", e, first)
		}
		for _, field := range []string{string(e.Author[:]), string(e.Counterparty[:]), string(e.SelfTag[:]), string(e.Commitment[:])} {
			if seen[field] {
				t.Errorf("%x is in two of them", field)
			}
			seen[field] = true
		}
	}
}

// A move leaves links where they are, and open: they lead to the node of their ledger.
func TestMoveLeavesLinks(t *testing.T) {
	p := newPartTown(t, canaryFile(0))
	w, shelf := p.withLinks(t, "Maria")
	ctx := t.Context()
	id := must(w.Links().Give(ctx, must(w.Links().Plan(ctx, wallet.LinkRequest{Openings: 3, GrantRequest: wallet.GrantRequest{All: true, Until: endOf(1)}}))(t)))(t)
	other := newTown(t)
	opt := p.options("Maria")
	opt.Services = other.services()
	if _, _, err := wallet.Join(ctx, opt, "there"); err != nil {
		t.Fatal(err)
	}
	far := must(w.On(ctx, other.services(), must(wallet.ReadSettings(opt.Dir))(t).Ledgers[1].ID))(t)
	m := must(w.Moves().Run(ctx, far, nil))(t)
	if len(m.Consents) != 0 || len(m.Revoked) != 0 || len(m.Stays) != 1 || m.Stays[0].What != wallet.StayLink {
		t.Errorf("%+v", m)
	}
	if s := must(w.Links().Show(ctx, id.String(), ""))(t); s.Text == "" || shelf.links.Of(id) == nil {
		t.Error("the link is over")
	}
}
