package server

import (
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/keeper"
	"github.com/carekey/carekey/ledgerclient/node"
)

// What is looked up for several who open links at once is each one's own: the share of that
// link, or why there is none, whatever became of the others.
func TestLinkSharesAtOnce(t *testing.T) {
	w := newWorld(t, takesLinks(nil))
	one, revoked, unentered, stopped, two := w.link(nil), w.link(nil), w.link(nil), w.link(nil), w.link(nil)
	all := []*linked{one, revoked, unentered, stopped, two}
	asks := make([]keeper.LinkAsk, len(all))
	for i, l := range all {
		w.keep(l)
		if l == unentered {
			clinic := w.clinic
			w.clinic = l.id.Root().Identity()
			asks[i].Access, _ = w.access(l.given)
			w.clinic = clinic
		} else {
			w.opens("before", l, w.visit(l, "Dr A", ""))
			asks[i].Access = w.server.links.Of(l.given.id).LastAccess()
		}
		asks[i].Link = w.server.links.Of(l.given.id)
	}
	w.order(w.revocation(revoked.given))
	w.ok(w.post(node.PathRevoke, node.EntriesForm.Marshal([]contract.Entry{w.revocation(stopped.given)})))
	given, err := w.server.links.Shares(ctx, asks)
	w.must(err)
	for i, want := range []ledgerclient.Code{ledgerclient.Released, ledgerclient.Revoked, ledgerclient.NoAccess, ledgerclient.Revoked, ledgerclient.Released} {
		l := all[i]
		if given[i].Code != want {
			t.Errorf("link %d: %v, want %v", i, given[i].Code, want)
		}
		if given[i].Code != ledgerclient.Released {
			continue
		}
		lock, err := crypto.CombineShares([]crypto.Share{given[i].Share}, 1)
		w.must(err)
		if got, err := lock.OpenLinkFile(w.ledger, crypto.Hash(l.given.id), l.deposit.File); err != nil || string(got) != l.jwe {
			t.Errorf("link %d: another's share: %v", i, err)
		}
	}
	// The access of one opens no other.
	asks[0].Access = asks[4].Access
	if given, err = w.server.links.Shares(ctx, asks[:1]); err != nil || given[0].Code != ledgerclient.BadRequest {
		t.Errorf("%+v, %v", given, err)
	}
}
