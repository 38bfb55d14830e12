package wallet_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/payload"
)

// deliver plans to deliver a file to a contact.
func deliver(t *testing.T, w *wallet.Wallet, to, name, text string, more ...func(*wallet.DeliverRequest)) *wallet.DeliveryPlan {
	t.Helper()
	r := wallet.DeliverRequest{To: to, File: wallet.Source{Reader: strings.NewReader(text), Name: name, Size: int64(len(text))}}
	for _, m := range more {
		m(&r)
	}
	return must(w.Grants().Deliveries().Plan(context.Background(), r))(t)
}

func send(t *testing.T, w *wallet.Wallet, p *wallet.DeliveryPlan) wallet.Delivery {
	t.Helper()
	return must(w.Grants().Deliveries().Send(context.Background(), p))(t)
}

func accept(w *wallet.Wallet, id contract.ID, d wallet.Describe) (wallet.Record, bool, error) {
	return w.Grants().Deliveries().Accept(context.Background(), id.String(), d, nil)
}

func delivered(t *testing.T, w *wallet.Wallet, id contract.ID) wallet.Delivery {
	t.Helper()
	return must(w.Grants().Deliveries().Show(context.Background(), id.String()))(t)
}

// Threats: a delivery of somebody who says that he is another, one that was sent to another
// patient or on another ledger, and an envelope with something else than was announced.
func TestForgedDeliveries(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	maria, lab, eve, bob := tn.person("Maria"), tn.person("City Lab"), tn.person("Eve"), tn.person("Bob")
	knowing(t, maria, lab, eve)
	knowing(t, eve, maria, lab)
	add(t, eve, "own.txt", "own")
	plan := deliver(t, eve, "Maria", "a.txt", "changed", func(r *wallet.DeliverRequest) { r.Attest = true }).Grant()
	var tampered *ledgerclient.TamperedError
	for name, twist := range map[string]wallet.Twist{
		"another sender":     {Change: func(_ *payload.Envelope, tr *payload.Terms) { tr.From = lab.Address() }},
		"not signed":         {Unsigned: true},
		"to another patient": {To: bob.Address()},
		"on another ledger":  {Change: func(_ *payload.Envelope, tr *payload.Terms) { tr.Ledger = crypto.LedgerID{1} }},
		"for longer":         {Longer: true},
	} {
		id := must(eve.Grants().GiveTwisted(ctx, plan, twist))(t)
		if got := must(maria.Grants().Deliveries().List(ctx, false))(t); len(got) != 0 {
			t.Errorf("%s: listed as %+v", name, got[0])
		}
		if _, _, err := accept(maria, id, wallet.Describe{}); !errors.As(err, &tampered) {
			t.Errorf("%s, accepted: %v", name, err)
		}
	}
	other := "other"
	for name, change := range map[string]func(e *payload.Envelope, tr *payload.Terms){
		"another title": func(e *payload.Envelope, _ *payload.Terms) { e.Delivery.Title = other },
		"another size": func(e *payload.Envelope, _ *payload.Terms) {
			e.Delivery.Body, e.Delivery.Size, e.Delivery.SHA256 = []byte(other), 5, sha256.Sum256([]byte(other))
		},
		"other bytes": func(e *payload.Envelope, _ *payload.Terms) { e.Delivery.Body[0]++ },
		"no file":     func(e *payload.Envelope, _ *payload.Terms) { e.Delivery = nil },
		"a record beside it": func(e *payload.Envelope, _ *payload.Terms) {
			e.Records = append(e.Records, payload.EnvelopeRecord{File: "x"})
		},
		"bytes nobody signed": func(e *payload.Envelope, _ *payload.Terms) {
			e.Delivery.Body[0]++
			e.Delivery.SHA256 = sha256.Sum256(e.Delivery.Body)
		},
	} {
		id := must(eve.Grants().GiveTwisted(ctx, plan, wallet.Twist{Change: change}))(t)
		_, _, err := accept(maria, id, wallet.Describe{})
		if unlike := name == "another title" || name == "another size" || name == "no file"; unlike != errors.Is(err, wallet.ErrDeliveryUnlike) {
			t.Errorf("%s, accepted: %v", name, err)
		}
		if !errors.As(err, &tampered) && !errors.Is(err, payload.ErrAttestation) && !errors.Is(err, wallet.ErrDeliveryUnlike) {
			t.Errorf("%s, accepted: %v", name, err)
		}
		if d := must(maria.Grants().Deliveries().Decline(ctx, id.String(), "", true))(t); d.Waits() {
			t.Errorf("%s, declined: it is %s", name, d.Status)
		}
	}
	// A consent, or a request, that brings a file along is none.
	consent := must(eve.Grants().Plan(ctx, wallet.GrantRequest{To: "Maria", All: true, NotAfter: must(wallet.EndAfter("30d", tn.now))(t)}))(t)
	file := &payload.Delivery{Title: "a", File: "a", Size: 1, Body: []byte("a"), SHA256: sha256.Sum256([]byte("a"))}
	id := must(eve.Grants().GiveTwisted(ctx, consent, wallet.Twist{Change: func(e *payload.Envelope, _ *payload.Terms) { e.Records, e.Delivery = []payload.EnvelopeRecord{}, file }}))(t)
	if _, err := maria.Inbox().OpenByID(ctx, id.String(), ""); !errors.As(err, &tampered) {
		t.Errorf("a consent with a file in place of records: %v", err)
	}
	unread := must(eve.Grants().GiveTwisted(ctx, plan, wallet.Twist{Change: func(_ *payload.Envelope, tr *payload.Terms) { tr.Letter.Body = `{"title":"","size":1,"reason":""}` }}))(t)
	if _, _, err := accept(maria, unread, wallet.Describe{}); !errors.Is(err, wallet.ErrDeliveryUnread) || delivered(t, maria, unread).Status != wallet.DeliveryUnread {
		t.Errorf("what cannot be read: %v", err)
	}
	if rs := must(maria.Records().List(ctx))(t); len(rs) != 0 {
		t.Errorf("%d records were made", len(rs))
	}
}

// Promise: what is accepted is a record once, says where it came from, and is opened for its
// sender to see; what he says of it later changes nothing.
func TestDelivered(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	maria, lab, eve := tn.person("Maria"), tn.person("City Lab"), tn.person("Eve")
	knowing(t, maria, lab)
	knowing(t, lab, maria)
	knowing(t, eve, maria)
	d := send(t, lab, deliver(t, lab, "Maria", "a\x1b[2J.txt", "one", func(r *wallet.DeliverRequest) { r.Attest, r.Title = true, "Hb \x1b[31m" }))
	status := func(w *wallet.Wallet, id contract.ID, want wallet.DeliveryStatus) wallet.Delivery {
		t.Helper()
		got := delivered(t, w, id)
		if got.Status != want {
			t.Errorf("%s, want %s: %+v", got.Status, want, got)
		}
		return got
	}
	// Lists open nothing, and a fetch does not either.
	if known, strangers, err := maria.Grants().Deliveries().Count(ctx); known != 1 || strangers != 0 || err != nil {
		t.Errorf("%d of contacts, %d of strangers, %v", known, strangers, err)
	}
	if got := must(maria.Inbox().List(ctx))(t); len(got) != 0 {
		t.Errorf("a delivery is listed as a consent: %+v", got)
	}
	if got := must(maria.Requests().List(ctx, false))(t); len(got) != 0 {
		t.Errorf("a delivery is listed as a request: %+v", got)
	}
	if _, err := maria.Inbox().OpenByID(ctx, d.ID.String(), ""); !errors.Is(err, wallet.ErrIsDelivery) {
		t.Errorf("fetched: %v", err)
	}
	if opened, errs, err := maria.Inbox().OpenAll(ctx, []contract.ID{d.ID}, ""); err != nil || opened[0] != nil || !errors.Is(errs[0], wallet.ErrIsDelivery) {
		t.Errorf("fetched: %v %v", errs, err)
	}
	status(lab, d.ID, wallet.DeliverySent)
	rec, existing := must2(accept(maria, d.ID, wallet.Describe{}))(t)
	if existing || rec.Source.Delivery != d.ID || rec.Source.Name != "City Lab" || rec.Source.Sent != d.Sent || !rec.Signed.Is() || rec.Signed.About != wallet.AboutYou || rec.Title != "Hb \x1b[31m" {
		t.Errorf("%+v", rec)
	}
	if got := status(lab, d.ID, wallet.DeliveryOpened); got.Opened == 0 {
		t.Errorf("no receipt: %+v", got)
	}
	status(maria, d.ID, wallet.DeliveryAccepted)
	again, existing := must2(accept(maria, d.ID, wallet.Describe{}))(t)
	if !existing || again.ID != rec.ID || again.Version != 1 {
		t.Errorf("accepted twice: %+v", again)
	}
	if _, err := maria.Grants().Deliveries().Decline(ctx, d.ID.String(), "", false); !errors.Is(err, wallet.ErrDeliveryAccepted) {
		t.Errorf("declined: %v", err)
	}
	for _, verb := range []error{
		failed2(accept(lab, d.ID, wallet.Describe{})),
		failed1(lab.Grants().Deliveries().Decline(ctx, d.ID.String(), "", false)),
	} {
		if !errors.Is(verb, wallet.ErrOwnDelivery) {
			t.Errorf("by its sender: %v", verb)
		}
	}
	if _, err := maria.Grants().Deliveries().Withdraw(ctx, d.ID.String(), ""); !errors.Is(err, wallet.ErrNotGiver) {
		t.Errorf("withdrawn by its recipient: %v", err)
	}

	// A correction is the next version where she accepts it, and nobody else's is one.
	fixed := send(t, lab, deliver(t, lab, "Maria", "b.txt", "two", func(r *wallet.DeliverRequest) { r.Corrects = d.ID.String() }))
	forged := must(eve.Grants().GiveTwisted(ctx, deliver(t, eve, "Maria", "c.txt", "three").Grant(), wallet.Twist{Change: func(_ *payload.Envelope, tr *payload.Terms) {
		tr.Letter = payload.NewLetter(payload.LetterDeliver, payload.Notice{Title: "c", Size: 5, Corrects: d.ID})
	}}))(t)
	must(eve.Grants().GiveTwisted(ctx, deliver(t, eve, "Maria", "c.txt", "three").Grant(), wallet.Twist{Change: func(e *payload.Envelope, tr *payload.Terms) {
		e.Delivery, tr.Letter, tr.Request = nil, payload.NewLetter(payload.LetterWithdraw, payload.Denial{Reason: "x"}), d.ID
	}}))(t)
	withdrawn, corrections, err := maria.Grants().Deliveries().SaidSince(ctx, rec)
	if err != nil || withdrawn != nil || len(corrections) != 1 || corrections[0].ID != fixed.ID {
		t.Errorf("%+v %+v %v", withdrawn, corrections, err)
	}
	if r := must(maria.Grants().Deliveries().Becomes(ctx, delivered(t, maria, forged)))(t); r != nil {
		t.Errorf("a stranger corrects %+v", r)
	}
	if _, _, err := accept(maria, forged, wallet.Describe{}); !errors.Is(err, wallet.ErrDeliveryStranger) {
		t.Errorf("of a stranger: %v", err)
	}
	if opened := delivered(t, eve, forged).Opened; opened != 0 {
		t.Error("what a stranger delivers was opened")
	}
	if _, err := lab.Grants().Deliveries().Withdraw(ctx, d.ID.String(), "wrong tube"); err != nil {
		t.Fatal(err)
	}
	if withdrawn, _, err = maria.Grants().Deliveries().SaidSince(ctx, rec); err != nil || len(withdrawn) != 1 || withdrawn[0].Why != "wrong tube" {
		t.Errorf("%+v %v", withdrawn, err)
	}
	status(maria, d.ID, wallet.DeliveryAccepted)
	status(lab, d.ID, wallet.DeliveryWithdrawn)
	if rs := must(maria.Records().List(ctx))(t); len(rs) != 1 || rs[0].Version != 1 {
		t.Errorf("a correction or a withdrawal changed something: %+v", rs)
	}
	rec, _ = must2(accept(maria, fixed.ID, wallet.Describe{}))(t)
	if rec.Version != 2 || rec.Source.Delivery != fixed.ID {
		t.Errorf("%+v", rec)
	}
	status(maria, d.ID, wallet.DeliveryAccepted)

	// Bytes that she has already are a record of who sent them, beside hers.
	own := add(t, maria, "own.txt", "mine")
	same := send(t, lab, deliver(t, lab, "Maria", "x.txt", "mine"))
	rec, _ = must2(accept(maria, same.ID, wallet.Describe{}))(t)
	if rec.ID == own.ID || rec.Version != 1 || rec.Title != "x" || rec.Source.Delivery != same.ID {
		t.Errorf("%+v", rec)
	}
	if like := must(maria.Grants().Deliveries().Same(ctx, rec))(t); len(like) != 1 || like[0].ID != own.ID || like[0].Source != (wallet.Sender{}) {
		t.Errorf("%+v", like)
	}
	// Her own next version was not delivered, and can be corrected all the same.
	rec, _ = must2(maria.Records().Update(ctx, rec.ID.String(), wallet.Source{Reader: strings.NewReader("more"), Name: "own.txt", Size: 4}, wallet.Describe{}, nil))(t)
	if rec.Version != 2 || rec.Source != (wallet.Sender{}) {
		t.Errorf("%+v", rec.Source)
	}
	right := send(t, lab, deliver(t, lab, "Maria", "x.txt", "right", func(r *wallet.DeliverRequest) { r.Corrects = same.ID.String() }))
	if got, _ := must2(accept(maria, right.ID, wallet.Describe{}))(t); got.ID != rec.ID || got.Version != 3 || got.Source.Delivery != right.ID {
		t.Errorf("%+v", got)
	}

	// What is withdrawn before it was opened cannot be had, what is over neither.
	back := send(t, lab, deliver(t, lab, "Maria", "y.txt", "four"))
	old := send(t, lab, deliver(t, lab, "Maria", "z.txt", "five"))
	if _, err := lab.Grants().Deliveries().Withdraw(ctx, back.ID.String(), ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := accept(maria, back.ID, wallet.Describe{}); !errors.Is(err, wallet.ErrDeliveryWithdrawn) {
		t.Errorf("withdrawn: %v", err)
	}
	for end := wallet.HourTime(contract.Hour(old.Until)); tn.now.Before(end); {
		if tn.now = tn.now.Add(20 * 24 * time.Hour); tn.now.After(end) {
			tn.now = end
		}
		add(t, lab, "day.txt", tn.now.String()) // else the clock could be wrong
	}
	for _, w := range []*wallet.Wallet{lab, maria} {
		status(w, old.ID, wallet.DeliveryOver)
		status(w, back.ID, wallet.DeliveryWithdrawn)
	}
	if _, _, err := accept(maria, old.ID, wallet.Describe{}); !errors.Is(err, wallet.ErrDeliveryOver) {
		t.Errorf("over: %v", err)
	}
	if _, err := maria.Grants().Deliveries().Decline(ctx, old.ID.String(), "", true); !errors.Is(err, wallet.ErrDeliveryOver) {
		t.Errorf("over: %v", err)
	}
}

func failed1[T any](_ T, err error) error         { return err }
func failed2[A, B any](_ A, _ B, err error) error { return err }

// A file that its sender calls FHIR, and that is about somebody else, is asked about; one
// that cannot be cut is whole; more than goes is not sent.
func TestDeliveredFiles(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	maria, lab := tn.person("Maria"), tn.person("City Lab")
	knowing(t, maria, lab)
	knowing(t, lab, maria)
	patient := func(name, more string) string {
		return `{"resourceType":"Patient","name":[{"family":"` + name + `","given":["A"]}],"birthDate":"1980-01-0` + more + `"}`
	}
	add(t, maria, "me.json", patient("Example", "1"))
	other := send(t, lab, deliver(t, lab, "Maria", "o.json", patient("Else", "2")))
	if _, _, err := accept(maria, other.ID, wallet.Describe{}); !errors.Is(err, wallet.ErrOtherPerson) {
		t.Errorf("about another person: %v", err)
	}
	if d := delivered(t, maria, other.ID); d.Status != wallet.DeliveryOpened || !d.Waits() {
		t.Errorf("%+v", d)
	}
	if d := must(maria.Grants().Deliveries().Decline(ctx, other.ID.String(), "not me", false))(t); d.Status != wallet.DeliveryDeclined {
		t.Errorf("%+v", d)
	}
	must2(accept(maria, other.ID, wallet.Describe{OtherPerson: true}))(t) // all the same

	// What is no FHIR is about whom its issuer says that it is.
	eve := tn.person("Eve")
	knowing(t, lab, eve)
	whom := eve.Address()
	a := must(lab.Records().Attest(ctx, wallet.Source{Reader: strings.NewReader("hers"), Name: "e.pdf", Size: 4}, &whom, "e"))(t)
	about := send(t, lab, deliver(t, lab, "Maria", "e.pdf", "hers", func(r *wallet.DeliverRequest) { r.File.Vouched = &a.Vouched }))
	if _, _, err := accept(maria, about.ID, wallet.Describe{}); !errors.Is(err, wallet.ErrOtherPerson) {
		t.Errorf("signed as about another person: %v", err)
	}
	if rec, _ := must2(accept(maria, about.ID, wallet.Describe{OtherPerson: true}))(t); rec.Signed.About != wallet.AboutOther {
		t.Errorf("%+v", rec)
	}

	// One key twice: no part of it can be granted by a category that its sender chose.
	hostile := send(t, lab, deliver(t, lab, "Maria", "h.json", `{"resourceType":"Observation","code":{"text":"a"},"code":{"text":"b"}}`))
	if rec, _ := must2(accept(maria, hostile.ID, wallet.Describe{}))(t); rec.Parts != 0 || rec.Whole != payload.WholeFHIR || rec.Category != payload.Other {
		t.Errorf("%+v", rec)
	}
	large := wallet.DeliverRequest{To: "Maria", File: wallet.Source{Reader: &outsize{payload.MaxDelivery + 1}, Name: "big", Size: -1}}
	if _, err := lab.Grants().Deliveries().Plan(ctx, large); !errors.Is(err, wallet.ErrDeliveryLarge) {
		t.Errorf("too large: %v", err)
	}
	for _, reason := range []string{strings.Repeat("x", payload.MaxReason+1), strings.Repeat(`"`, payload.MaxReason)} {
		r := wallet.DeliverRequest{To: "Maria", File: wallet.Source{Reader: strings.NewReader("x"), Name: "x"}, Title: strings.Repeat("t", 160), Reason: reason}
		if _, err := lab.Grants().Deliveries().Plan(ctx, r); !errors.Is(err, wallet.ErrInput) && !errors.Is(err, wallet.ErrLetterLong) {
			t.Errorf("a letter over its bound: %v", err)
		}
	}
	// In silence nobody is told, and her other machine knows.
	quiet := send(t, lab, deliver(t, lab, "Maria", "q.txt", "q"))
	if d := must(maria.Grants().Deliveries().Decline(ctx, quiet.ID.String(), "", true))(t); d.Status != wallet.DeliveryDeclined || delivered(t, lab, quiet.ID).Status != wallet.DeliverySent {
		t.Errorf("%+v", d)
	}
}

type outsize struct{ left int }

func (e *outsize) Read(p []byte) (int, error) {
	n := min(len(p), e.left)
	if e.left -= n; n == 0 {
		return 0, errors.New("read beyond what a delivery takes")
	}
	return n, nil
}

// noRoom is a store that takes no content.
type noRoom struct{ ledgerclient.Store }

func (noRoom) Upload(context.Context) (ledgerclient.Upload, error) {
	return nil, errors.New("the disk is full")
}

// Threat: who is interrupted between opening what was delivered and making it a record has
// it twice, or never.
func TestAcceptingIsInterrupted(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	maria, lab := tn.person("Maria"), tn.person("City Lab")
	knowing(t, maria, lab)
	knowing(t, lab, maria)
	d := send(t, lab, deliver(t, lab, "Maria", "a.txt", "one"))
	o := tn.options("Maria")
	o.Services.Store = noRoom{o.Services.Store}
	if _, _, err := accept(must(wallet.Open(ctx, o))(t), d.ID, wallet.Describe{}); err == nil {
		t.Fatal("it was kept on a full disk")
	}
	maria = tn.again("Maria")
	if got := delivered(t, maria, d.ID); got.Status != wallet.DeliveryOpened || got.Record != (contract.ID{}) {
		t.Errorf("%+v", got)
	}
	// The record is signed, and waits for a ledger that is gone. The access of the hour stands.
	gone := &ledgerclient.UnreachableError{Service: "ledger", Err: errors.New("gone")}
	o = tn.options("Maria")
	o.Services.Ledger = failing{o.Services.Ledger, o.Services.Ledger.(ledgerclient.Prover), gone}
	rec, _, err := accept(must(wallet.Open(ctx, o))(t), d.ID, wallet.Describe{})
	if !errors.Is(err, wallet.ErrPending) {
		t.Fatalf("%+v %v", rec, err)
	}
	waits := must(wallet.Open(ctx, o))(t)
	if got := delivered(t, waits, d.ID); got.Status != wallet.DeliveryAccepted || got.Record != rec.ID {
		t.Errorf("it waits, and is not known as accepted: %+v", got)
	}
	if same, existing := must2(accept(waits, d.ID, wallet.Describe{}))(t); !existing || same.ID != rec.ID {
		t.Errorf("accepted again while it waits: %+v", same)
	}
	maria = tn.again("Maria")
	same, existing := must2(accept(maria, d.ID, wallet.Describe{}))(t)
	if rs := must(maria.Records().List(ctx))(t); !existing || same.ID != rec.ID || len(rs) != 1 || rs[0].Version != 1 {
		t.Errorf("%+v", rs)
	}
	if got := delivered(t, lab, d.ID); got.Status != wallet.DeliveryOpened {
		t.Errorf("%+v", got)
	}
}

// What was delivered comes back with the 24 words: what was sent and opened, what was
// accepted and from whom, what was declined in silence.
func TestDeliveriesAreRestored(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	ms, ls := crypto.NewEntropy(), crypto.NewEntropy()
	maria := must(wallet.Create(ctx, tn.options("Maria"), ms, "Maria", tn.ledgerDir()))(t)
	lab := must(wallet.Create(ctx, tn.options("City Lab"), ls, "City Lab", tn.ledgerDir()))(t)
	knowing(t, maria, lab)
	knowing(t, lab, maria)
	a, b := send(t, lab, deliver(t, lab, "Maria", "a.txt", "one")), send(t, lab, deliver(t, lab, "Maria", "b.txt", "two"))
	rec, _ := must2(accept(maria, a.ID, wallet.Describe{Category: "labs"}))(t)
	must(maria.Grants().Deliveries().Decline(ctx, b.ID.String(), "", true))(t)
	must(maria.Book().Keep(ctx))(t)
	must(lab.Book().Keep(ctx))(t)
	for name, x := range map[string]struct {
		seed crypto.Entropy
		a, b wallet.DeliveryStatus
	}{"Maria": {ms, wallet.DeliveryAccepted, wallet.DeliveryDeclined}, "City Lab": {ls, wallet.DeliveryOpened, wallet.DeliverySent}} {
		w, _ := must2(tn.restore(name+"'s laptop", x.seed))(t)
		if got := delivered(t, w, a.ID); got.Status != x.a || name == "Maria" && got.Record != rec.ID {
			t.Errorf("%s: %+v", name, got)
		}
		if got := delivered(t, w, b.ID); got.Status != x.b {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
