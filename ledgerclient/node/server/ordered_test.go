package server

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
)

// elsewhere is an order that can be out of reach.
type elsewhere struct {
	w    *world
	away atomic.Bool
}

var errNoAnswer = errors.New("no answer")

func (e *elsewhere) Append(ctx context.Context, es []contract.Entry) ([]ledgerclient.Outcome, error) {
	if e.away.Load() {
		return nil, &ledgerclient.UnreachableError{Service: "ledger", Err: errNoAnswer}
	}
	return e.w.folder.Append(ctx, es)
}

func (e *elsewhere) Follow(context.Context) error {
	if e.away.Load() {
		return errNoAnswer
	}
	return nil
}

// A node that cannot read its order says of no head that it is the newest, and
// releases nothing: a revocation may stand there.
func TestOrderOutOfReach(t *testing.T) {
	order := &elsewhere{}
	w := newWorld(t, func(o *Options) { o.Ledger = order })
	order.w = w
	g := w.grant()
	w.give(g)
	access, put := w.access(g)
	w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal([]ledgerclient.Put{put})))
	w.order(access)
	before := w.ok(w.get(node.PathCheckpoint))

	order.away.Store(true)
	w.clock.pass(3 * time.Minute)
	if now := w.ok(w.get(node.PathCheckpoint)); !bytes.Equal(now, before) {
		t.Errorf("a head of now without a look at the order: %s", now)
	}
	r, _ := w.request(g, access)
	w.refused("a release", w.post(node.PathRelease, ledgerclient.Marshal(&r)), node.KindFailed)
	record := w.records(1)
	w.refused("an entry", w.post(node.PathEntries, node.EntriesForm.Marshal(record)), node.KindFailed)

	// It is asked again in a while. What is ordered meanwhile is shown at once, under the
	// old time: whoever submitted it would have to call the node a liar.
	order.away.Store(false)
	w.order(record...)
	was, then := w.openCheckpoint(before)
	if is, at := w.openCheckpoint(w.ok(w.get(node.PathCheckpoint))); is.N != was.N+1 || at != then {
		t.Errorf("a head of %d entries at %v, behind one of %d at %v", is.N, at, was.N, then)
	}
	w.clock.pass(followTime)
	if _, at := w.openCheckpoint(w.ok(w.get(node.PathCheckpoint))); at == then {
		t.Error("the head still is the old one")
	}
	if a := w.release(&r); a.Code != ledgerclient.Released {
		t.Errorf("released: %s", a.Code)
	}
}

// tight is a ledger on a full disk: there is room for revocations alone.
type tight struct{}

func (tight) Append(_ context.Context, es []contract.Entry) ([]ledgerclient.Outcome, error) {
	for i := range es {
		if es[i].Kind != contract.KindRevoke {
			return nil, syscall.ENOSPC
		}
	}
	return make([]ledgerclient.Outcome, len(es)), nil
}

// On a full disk a revocation is ordered although others submit what there is no room
// for at the same time.
func TestRevocationsDoNotShareARefusal(t *testing.T) {
	o := &orderer[contract.Entry, ledgerclient.Outcome]{do: tight{}.Append}
	grant, revoke := []contract.Entry{{Kind: contract.KindGrant}}, []contract.Entry{{Kind: contract.KindRevoke}}
	var subs []*submission[contract.Entry, ledgerclient.Outcome]
	for _, entries := range [][]contract.Entry{grant, revoke, grant} {
		subs = append(subs, &submission[contract.Entry, ledgerclient.Outcome]{items: entries, done: make(chan struct{}), over: func() {}})
	}
	o.order(subs)
	for i, want := range []error{syscall.ENOSPC, nil, syscall.ENOSPC} {
		<-subs[i].done
		if subs[i].err != want || want == nil && len(subs[i].outcomes) != 1 {
			t.Errorf("submission %d: %v, %d outcomes", i, subs[i].err, len(subs[i].outcomes))
		}
	}
}
