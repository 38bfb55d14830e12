package wallet_test

import (
	"context"
	"errors"
	"testing"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

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
