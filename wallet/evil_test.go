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
