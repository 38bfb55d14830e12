package wallet_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// Threat: one of four keepers says that a consent is over, which the ledger does not show: when
// it is to take its share, when it is asked whether it holds it, and when it is to give it. The
// others go on, and who said it is named.
func TestAKeeperThatSaysItIsOver(t *testing.T) {
	ctx := context.Background()
	h := newHall(t, 4, 3, 3)
	h.people()
	liar := h.desk(1)
	liar.over = true
	w := h.again("Maria")
	c, _ := grant(t, w, "Dr Smith", h.clock)
	if told := faults(w); !slices.Equal(told, []string{"2 refuses"}) || !slices.Equal(names(c.Unheld), []int{2}) {
		t.Errorf("given: %v, %+v", told, c.Unheld)
	}
	liar.over = false
	must(h.again("Maria").Changes().Sync(ctx))(t)
	if c := h.shown(c.ID); c.Unheld != nil {
		t.Errorf("%+v", c.Unheld)
	}

	// Who is slower than enough others is not heard: it need not be named then.
	named := func(told []string) bool { return told == nil || slices.Equal(told, []string{"2 refuses"}) }
	liar.ended = true
	if text, told, err := h.opens(c.ID); err != nil || text == "" || !named(told) {
		t.Errorf("before it opens: %q, %v, %v", text, told, err)
	}
	w = h.again("Maria")
	x := must(w.Consents().Explain(ctx, c.ID.String()))(t)
	if last := x.Checks[len(x.Checks)-1]; !x.Allowed || last.Held != 3 || !slices.Equal(faults(w), []string{"2 refuses"}) {
		t.Errorf("%+v", x.Checks)
	}
	liar.ended = false
	liar.says = func(a *ledgerclient.Answer) { a.Code, a.Sealed = ledgerclient.Revoked, nil }
	if text, told, err := h.opens(c.ID); err != nil || text == "" || !named(told) {
		t.Errorf("when it opens: %q, %v, %v", text, told, err)
	}
}

// Threat: a keeper signs that it has seen a log that nobody will ever have, so that it can never
// be compared with that of the wallet, and later one of another history.
func TestAKeeperFarAhead(t *testing.T) {
	ctx := context.Background()
	h := newHall(t, 4, 3, 2)
	h.people()
	h.given()
	d := h.desk(2)
	audit := func() (silent bool, told []string) {
		t.Helper()
		w := h.again("Maria")
		es, err := w.Audit().Events(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return es[0].Silent != nil, faults(w)
	}
	says := func(by uint64) {
		d.lie.Keeper = courier{d.Keeper, func(a *ledgerclient.InquiryAnswer) {
			a.Size, a.Root = a.Size+by, crypto.Hash{1}
			ledgerclient.Sign(a, d.key)
		}}
	}
	says(1 << 60)
	if silent, told := audit(); silent || told != nil {
		t.Errorf("far ahead: %t, %v", silent, told)
	}
	says(2)
	if silent, told := audit(); silent || told != nil {
		t.Errorf("ahead: %t, %v", silent, told)
	}
	h.Grow(2)
	h.take()
	if silent, told := audit(); !silent || !slices.Equal(told, []string{"3 lies"}) {
		t.Errorf("as long: %t, %v", silent, told)
	}

	// What no head ever has is a lie, or kept back, once heads are newer than what was said. It
	// is looked for once, however many consents the keeper is asked about.
	h = newHall(t, 4, 3, 2)
	h.people()
	h.given()
	h.given()
	h.given()
	d = h.desk(2)
	says(1 << 60)
	before := h.shows
	if silent, told := audit(); silent || told != nil || h.shows > before+3 {
		t.Errorf("%t, %v, the head was asked for %d times", silent, told, h.shows-before)
	}
	h.clock = h.clock.Add(9 * time.Minute)
	if silent, told := audit(); silent || told != nil {
		t.Errorf("9 minutes later: %t, %v", silent, told)
	}
	h.clock = h.clock.Add(2 * time.Minute)
	if silent, told := audit(); !silent || !slices.Equal(told, []string{"3 lies"}) {
		t.Errorf("11 minutes later: %t, %v", silent, told)
	}
}

// Threat: a keeper acknowledges a share that it does not keep. The screen says who has none as
// soon as it is asked.
func TestAShareThatWasNotKept(t *testing.T) {
	h := newHall(t, 4, 3, 2)
	h.people()
	c := h.given()
	clear(h.desk(1).vault.shares)
	w := h.again("Maria")
	x := must(w.Consents().Explain(context.Background(), c.ID.String()))(t)
	if last := x.Checks[len(x.Checks)-1]; !x.Allowed || last.Held != 3 || last.Keepers != 4 || !slices.Equal(faults(w), []string{"2 refuses"}) {
		t.Errorf("%+v", x.Checks)
	}
}

// hourly is a ledger that refuses what it is sent, as of an hour of its own.
type hourly struct {
	*hall
	hour contract.Hour
	rule contract.Rule
}

func (l hourly) Append(_ context.Context, es []contract.Entry) (out []ledgerclient.Outcome, err error) {
	for i := range es {
		id := es[i].ID(l.ID())
		out = append(out, ledgerclient.Outcome{ID: id, Hour: l.hour, Refusal: &contract.Refusal{Rule: l.rule, Entry: id, Hour: l.hour}})
	}
	return out, nil
}

// Threat: a node refuses entries as of an hour in which the rules would refuse them, and which it
// is not.
func TestRefusedAtAnotherHour(t *testing.T) {
	ctx := context.Background()
	h := newHall(t, 4, 3, 2)
	h.people()
	c := h.given()
	hour := contract.Hour(h.clock.Unix() / 3600)
	for _, at := range []contract.Hour{hour + 1000, hour - 1000} {
		o := h.options("Dr Smith")
		o.Services.Ledger = hourly{h, at, contract.RuleExpired}
		w := must(wallet.Open(ctx, o))(t)
		_, err := w.Inbox().OpenByID(ctx, c.ID.String(), "check-up")
		if refused := (*wallet.RefusedError)(nil); errors.As(err, &refused) || isTampered(err) == nil {
			t.Errorf("at hour %d: %v", at, err)
		}
		must(h.again("Dr Smith").Changes().Sync(ctx))(t)
	}
	if text, _, err := h.opens(c.ID); err != nil || text == "" {
		t.Error(err)
	}
}
