package folder

import (
	"errors"
	"os"
	"reflect"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// What is read of a keeper at hand is what it says when it is asked, of each grant.
func TestNearKeeper(t *testing.T) {
	lane.OneGoroutine(t)
	f, clock, p, g := livedIn(t)
	stopped, fresh := p.grant(), p.grant()
	p.addGrant(f, stopped)
	_, err := f.keeper.Revoke(ctx, []contract.Entry{p.revocation(stopped)})
	p.must(err)
	access, _ := p.access(stopped, clock.hour)
	for range 2 {
		r, _ := p.request(stopped, access, f.keeper.Key())
		_, err = f.keeper.Release(ctx, r)
		p.must(err)
	}
	all := []*given{g, stopped, fresh}
	ids := make([]contract.ID, len(all))
	for i, g := range all {
		ids[i] = g.id
	}
	answers, errs, err := f.keeper.FiledAll(ctx, ids)
	p.must(err)
	states, serrs, err := f.keeper.StateAll(ctx, ids)
	p.must(err)
	for i, g := range all {
		q := ledgerclient.Inquiry{Ledger: f.id, Keeper: f.keeper.Key(), Grant: g.id}
		ledgerclient.Sign(&q, g.key)
		want, werr := f.keeper.Inquire(ctx, q)
		got := answers[i]
		want.Inquiry, want.Signature = got.Inquiry, got.Signature
		if !reflect.DeepEqual(errs[i], werr) || !reflect.DeepEqual(got, want) {
			t.Errorf("%d: %+v %v, asked %+v %v", i, got, errs[i], want, werr)
		}
		if err := got.VerifyFiled(f.id, f.keeper.Key(), g.id, g.entry.Counterparty); err != nil {
			t.Error(i, err)
		}
		if len(got.Refused)+len(got.Acks) > 0 && got.VerifyFiled(f.id, f.keeper.Key(), fresh.id, g.entry.Counterparty) == nil {
			t.Errorf("%d: what was filed of it is taken for another's", i)
		}
		if g == fresh { // stateAt makes a state of that error
			if !errors.As(serrs[i], new(*ledgerclient.KeeperError)) {
				t.Error(serrs[i])
			}
			continue
		}
		if s, err := g.stateAt(f); s != states[i] || err != nil || serrs[i] != nil {
			t.Errorf("%d: %+v %v, asked %+v %v", i, states[i], serrs[i], s, err)
		}
	}
	if len(answers[1].Refused) != 2 || len(answers[1].Acks) == 0 || !states[0].Held || states[1].Ended == 0 {
		t.Errorf("%+v %+v", answers, states)
	}
	// A folder whose keeper has no key has no keeper at work.
	p.must(f.Close())
	p.must(os.Remove(f.path(keeperKeyFile)))
	h, err := Open(f.dir, Options{Clock: clock.now})
	p.must(err)
	defer h.Close()
	if _, _, err := h.keeper.FiledAll(ctx, ids); ledgerclient.Unreachable(err) == nil {
		t.Error(err)
	}
}
