package wallet_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// knowing makes a wallet a contact of another, under its own name.
func knowing(t *testing.T, w *wallet.Wallet, who ...*wallet.Wallet) {
	t.Helper()
	for _, x := range who {
		if _, _, err := w.Contacts().Add(context.Background(), x.Name(), x.Address().String()); err != nil {
			t.Fatal(err)
		}
	}
}

// ask plans to ask a contact for labs.
func ask(t *testing.T, w *wallet.Wallet, to string) *wallet.AskPlan {
	t.Helper()
	return must(w.Requests().Plan(context.Background(), wallet.AskRequest{To: to, Select: health.Selection{Categories: []wallet.Category{"labs"}}, For: "30d", Reason: "why"}))(t)
}

// Threats: a request of somebody who says that he is another, one that was sent to another
// patient or on another ledger, and an answer by who was not asked.
func TestForgedRequests(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	maria, smith, eve, bob := tn.person("Maria"), tn.person("Dr Smith"), tn.person("Eve"), tn.person("Bob")
	knowing(t, maria, smith)
	knowing(t, smith, maria)
	knowing(t, eve, maria, smith)
	add(t, maria, "a.txt", "a")
	add(t, eve, "b.txt", "b")

	to, _ := eve.Contacts().Named("Maria")
	plan := ask(t, eve, "Maria").Letter(to)
	for name, twist := range map[string]wallet.Twist{
		"another sender":     {Change: func(_ *payload.Envelope, tr *payload.Terms) { tr.From = smith.Address() }},
		"not signed":         {Unsigned: true},
		"to another patient": {To: bob.Address()},
		"on another ledger":  {Change: func(_ *payload.Envelope, tr *payload.Terms) { tr.Ledger = crypto.LedgerID{1} }},
		"for longer":         {Longer: true},
	} {
		id := must(eve.Grants().GiveTwisted(ctx, plan, twist))(t)
		if got := must(maria.Requests().List(ctx, false))(t); len(got) != 0 {
			t.Errorf("%s: listed as %+v", name, got[0])
		}
		var tampered *ledgerclient.TamperedError
		if _, err := maria.Requests().Show(ctx, id.String()); !errors.As(err, &tampered) {
			t.Errorf("%s, shown: %v", name, err)
		}
		if _, err := maria.Requests().PlanAnswer(ctx, id.String(), wallet.GrantRequest{}); !errors.As(err, &tampered) {
			t.Errorf("%s, approved: %v", name, err)
		}
	}
	// What nobody can read is said to be that.
	unread := must(eve.Grants().GiveTwisted(ctx, plan, wallet.Twist{Change: func(_ *payload.Envelope, tr *payload.Terms) { tr.Letter.Body = `{"scope":1}` }}))(t)
	if r := must(maria.Requests().Show(ctx, unread.String()))(t); r.Status != wallet.RequestUnread || !r.Stranger {
		t.Errorf("%+v", r)
	}
	if _, err := maria.Requests().Deny(ctx, unread.String(), "", false); !errors.Is(err, wallet.ErrRequestUnread) {
		t.Errorf("denied: %v", err)
	}

	// Eve answers what Maria was asked.
	asked := must(smith.Requests().Send(ctx, ask(t, smith, "Maria")))(t)
	toSmith, _ := eve.Contacts().Named("Dr Smith")
	must(eve.Grants().GiveTwisted(ctx, ask(t, eve, "Dr Smith").Letter(toSmith), wallet.Twist{Change: func(_ *payload.Envelope, tr *payload.Terms) {
		tr.Letter, tr.Request = payload.NewLetter(payload.LetterDeny, payload.Denial{Reason: "no"}), asked.ID
	}}))(t)
	consent := must(eve.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: must(wallet.EndAfter("30d", tn.now))(t)}))(t)
	gave := must(eve.Grants().GiveTwisted(ctx, consent, wallet.Twist{Change: func(_ *payload.Envelope, tr *payload.Terms) { tr.Request = asked.ID }}))(t)
	if mine := must(smith.Requests().List(ctx, true))(t); len(mine) != 1 || mine[0].Status != wallet.RequestOpen {
		t.Errorf("%+v", mine)
	}
	for _, r := range must(smith.Inbox().List(ctx))(t) {
		if r.Consent != gave || r.Request != (contract.ID{}) {
			t.Errorf("an answer of who was not asked: %+v", r)
		}
	}
	// Nor does it stop the answer of who was. Two answers there are not.
	p := must(maria.Requests().PlanAnswer(ctx, asked.ID.String(), wallet.GrantRequest{Select: health.Selection{Categories: []wallet.Category{"other"}}}))(t)
	if len(p.Answers.More) != 1 || p.Answers.More[0] != "other" || len(p.Answers.Less) == 0 {
		t.Errorf("more %q, less %q", p.Answers.More, p.Answers.Less)
	}
	must2 := func(c wallet.Consent, _ crypto.FetchCode, err error) wallet.Consent { return must(c, err)(t) }
	c := must2(maria.Requests().Give(ctx, p))
	if _, _, err := maria.Requests().Give(ctx, p); !errors.Is(err, wallet.ErrAnswered) {
		t.Errorf("answered twice: %v", err)
	}
	if mine := must(smith.Requests().List(ctx, true))(t); mine[0].Status != wallet.RequestApproved || mine[0].Consent != c.ID {
		t.Errorf("%+v", mine)
	}
	// A letter is opened by nothing, and no access says that it was read.
	if _, err := maria.Inbox().OpenByID(ctx, asked.ID.String(), ""); !errors.Is(err, wallet.ErrLetter) {
		t.Errorf("opened: %v", err)
	}
	if opened, errs, err := maria.Inbox().OpenAll(ctx, []contract.ID{asked.ID}, ""); err != nil || opened[0] != nil || !errors.Is(errs[0], wallet.ErrLetter) {
		t.Errorf("opened: %v %v", errs, err)
	}
	if events := must(smith.Audit().Status(ctx))(t); len(events.Accesses) != 0 || len(events.Consents) != 0 {
		t.Errorf("%+v", events)
	}
}

// Promise: a request ends by time, and then nothing can be given for it by its id.
func TestRequestsEnd(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	maria, smith := tn.person("Maria"), tn.person("Dr Smith")
	knowing(t, maria, smith)
	knowing(t, smith, maria)
	add(t, maria, "a.txt", "a")
	long := must(smith.Requests().Send(ctx, ask(t, smith, "Maria")))(t)
	until := contract.Hour(tn.now.Unix()/3600) + 48
	short := must(smith.Requests().Send(ctx, must(smith.Requests().Plan(ctx, wallet.AskRequest{To: "Maria", Select: health.Selection{Categories: []wallet.Category{"other"}}, Until: until}))(t)))(t)
	if short.AnswerBy != wallet.Hour(until) || long.AnswerBy <= short.AnswerBy {
		t.Errorf("%d and %d", short.AnswerBy, long.AnswerBy)
	}
	answer := wallet.GrantRequest{All: true}
	p := must(maria.Requests().PlanAnswer(ctx, short.ID.String(), answer))(t)
	for _, r := range []wallet.Request{short, long} {
		tn.now = wallet.HourTime(contract.Hour(r.AnswerBy)).Add(-time.Hour)
		must(maria.Requests().PlanAnswer(ctx, r.ID.String(), answer))(t)
		tn.now = tn.now.Add(time.Hour)
		if _, err := maria.Requests().PlanAnswer(ctx, r.ID.String(), answer); !errors.Is(err, wallet.ErrRequestOver) {
			t.Errorf("approved when it was over: %v", err)
		}
		if _, err := maria.Requests().Deny(ctx, r.ID.String(), "", false); !errors.Is(err, wallet.ErrRequestOver) {
			t.Errorf("denied when it was over: %v", err)
		}
	}
	if _, _, err := maria.Requests().Give(ctx, p); !errors.Is(err, wallet.ErrRequestOver) {
		t.Errorf("given when it was over: %v", err)
	}
	for _, reason := range []string{strings.Repeat("x", payload.MaxReason+1), strings.Repeat(`"`, payload.MaxReason)} {
		_, err := smith.Requests().Plan(ctx, wallet.AskRequest{To: "Maria", Select: health.Selection{Categories: []wallet.Category{"labs"}}, For: "30d", Reason: reason})
		if !errors.Is(err, wallet.ErrInput) && !errors.Is(err, wallet.ErrLetterLong) {
			t.Errorf("a letter over its bound: %v", err)
		}
	}
}

// Threats: who was denied something counts as known from then on; what is sensitive goes with
// a category that was not asked with it; an answered request is said to be taken back.
func TestNarrowedAndDenied(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	maria, smith, eve := tn.person("Maria"), tn.person("Dr Smith"), tn.person("Eve")
	knowing(t, maria, smith)
	knowing(t, smith, maria)
	knowing(t, eve, maria)
	add(t, maria, "a.txt", "a")
	add(t, maria, "b.json", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Condition","code":{"coding":[{"system":"http://snomed.info/sct","code":"38341003","display":"Hypertension"}]},"subject":{"reference":"Patient/1"}}}]}`)
	if _, err := maria.Requests().Deny(ctx, must(eve.Requests().Send(ctx, ask(t, eve, "Maria")))(t).ID.String(), "", false); err != nil {
		t.Fatal(err)
	}
	if again := must(eve.Requests().Send(ctx, ask(t, eve, "Maria")))(t); !must(maria.Requests().Show(ctx, again.ID.String()))(t).Stranger {
		t.Error("a denial makes somebody known")
	}
	asked := must(smith.Requests().Send(ctx, must(smith.Requests().Plan(ctx, wallet.AskRequest{To: "Maria",
		Select: health.Selection{Categories: []wallet.Category{"labs", "documents"}, With: []string{"hiv"}}, For: "30d"}))(t)))(t)
	answer := func(s health.Selection) *payload.Scope {
		return must(maria.Requests().PlanAnswer(ctx, asked.ID.String(), wallet.GrantRequest{Select: s}))(t).Scope
	}
	if s := answer(health.Selection{Categories: []wallet.Category{"problems"}}); s == nil || len(s.Sensitive) != 0 || slices.Contains(s.Categories, "documents") {
		t.Errorf("another category goes with what was asked for labs: %+v", s)
	}
	p := must(maria.Requests().PlanAnswer(ctx, asked.ID.String(), wallet.GrantRequest{All: true}))(t)
	if _, _, err := maria.Requests().Give(ctx, p); err != nil {
		t.Fatal(err)
	}
	if _, err := smith.Requests().Withdraw(ctx, asked.ID.String()); !errors.Is(err, wallet.ErrAnswered) {
		t.Errorf("an answered request is taken back: %v", err)
	}
}

// weightedStore counts how often it is asked for a payload, and how many bytes those have.
type weightedStore struct {
	ledgerclient.Store
	asked *int
	bytes *int64
}

func (s weightedStore) Blob(ctx context.Context, loc crypto.Locator) (ledgerclient.Blob, error) {
	*s.asked++
	b, err := s.Store.Blob(ctx, loc)
	if err == nil {
		*s.bytes += b.Size()
	}
	return b, err
}

// Threat: a stranger sends letters by the thousand, so that every look costs as much. A look
// costs at most twice what it costs with ten, a day is bounded, and who is known is found.
func TestFloodOfLetters(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	maria, bob, smith, eve := tn.person("Maria"), tn.person("Bob"), tn.person("Dr Smith"), tn.person("Eve")
	knowing(t, maria, smith)
	knowing(t, smith, maria)
	send := func(to *wallet.Wallet, n int) {
		for n > 0 {
			var plans []*wallet.GrantPlan
			for range min(n, 100) {
				p := &wallet.AskPlan{Ask: payload.Ask{Scope: payload.Scope{Categories: []payload.Category{"labs"}}, For: "30d", Reason: fmt.Sprint(n)}, Purpose: payload.Treatment,
					AnswerBy: contract.Hour(tn.now.Unix()/3600) + 30*24}
				plans = append(plans, p.Letter(wallet.Contact{Address: to.Address()}))
			}
			s := must(eve.Grants().Sign(ctx, plans))(t)
			if err := s.Send(ctx, ""); err != nil {
				t.Fatal(err)
			}
			n -= len(plans)
		}
	}
	many := lane.Pick(10_000, 1000, 300)
	send(bob, 10)
	send(maria, many)
	asked, bytes := 0, int64(0)
	look := func(name string) (known, strangers int, rs []wallet.Request, n int, size int64) {
		t.Helper()
		o := tn.options(name)
		o.Services.Store = weightedStore{o.Services.Store, &asked, &bytes}
		w := must(wallet.Open(ctx, o))(t)
		asked, bytes = 0, 0
		err := w.Look(ctx, func() (err error) { // as a command does
			must(w.Inbox().List(ctx))(t)
			must(w.Audit().Peek(ctx))(t)
			rs = must(w.Requests().List(ctx, false))(t)
			known, strangers, err = w.Requests().Count(ctx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return known, strangers, rs, asked, bytes
	}
	_, _, few, n10, bytes10 := look("Bob")
	if len(few) != 10 || n10 == 0 || bytes10 == 0 {
		t.Fatalf("%d listed, asked %d times for %d bytes", len(few), n10, bytes10)
	}
	_, _, _, n, size := look("Maria")
	t.Logf("10 letters: %d payloads, %d bytes; %d letters: %d and %d", n10, bytes10, many, n, size)
	if n > 2*n10 || size > 2*bytes10 {
		t.Errorf("%d letters cost %d payloads and %d bytes, 10 cost %d and %d", many, n, size, n10, bytes10)
	}
	// In a day 200 are read, and 5 in each look after that.
	var all []wallet.Request
	for range 12 {
		var friends, others int
		if friends, others, all, n, _ = look("Maria"); n > 20 || friends != 0 || others != len(all) {
			t.Fatalf("asked %d times; %d requests, %d of strangers of %d", n, friends, others, len(all))
		}
	}
	if len(all) != 200+3*5 {
		t.Errorf("%d letters of a stranger were read in a day", len(all))
	}
	// What somebody who is known sends now is found all the same, what he gives too; the next
	// day goes on.
	known := must(smith.Requests().Send(ctx, ask(t, smith, "Maria")))(t)
	add(t, smith, "s.txt", "s")
	given, _ := grant(t, smith, "Maria", tn.now)
	if friends, _, _, _, _ := look("Maria"); friends != 1 {
		t.Errorf("%d requests of who is known are found beyond the day's", friends)
	}
	found := false
	for _, r := range must(tn.again("Maria").Inbox().List(ctx))(t) {
		found = found || r.Consent == given.ID && r.Damaged == nil
	}
	if !found {
		t.Error("what somebody who is known gives is hidden by letters")
	}
	maria = tn.again("Maria")
	if r := must(maria.Requests().Show(ctx, known.ID.String()))(t); r.Stranger || r.Status != wallet.RequestOpen {
		t.Errorf("%+v", r)
	}
	tn.now = tn.now.Add(24 * time.Hour)
	if _, _, all, n, _ := look("Maria"); n == 0 || n > 20 || len(all) <= 201 {
		t.Errorf("the next day %d were read, %d are known", n, len(all))
	}
	must(maria.Inbox().Every().List(ctx))(t)
	if all := must(maria.Requests().List(ctx, false))(t); len(all) != many+1 {
		t.Errorf("%d of %d", len(all), many+1)
	}
}
