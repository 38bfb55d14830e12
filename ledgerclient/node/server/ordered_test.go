package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/order"
)

// elsewhere is an order that can be out of reach.
type elsewhere struct {
	w     *world
	away  atomic.Bool
	spent error // why no more is ordered now; nil: it is
}

var errNoAnswer = errors.New("no answer")

func (e *elsewhere) Append(ctx context.Context, es []contract.Entry) ([]ledgerclient.Outcome, error) {
	if e.away.Load() {
		return nil, &ledgerclient.UnreachableError{Service: "ledger", Err: errNoAnswer}
	}
	if e.spent != nil {
		return nil, e.spent
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
	w.refused("an entry", w.post(node.PathEntries, node.EntriesForm.Marshal(record)), node.KindUndecided)

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

// A quota of who keeps the order is told as one, by which the client knows that nothing was
// ordered, and not where that is not known; and the operator is told that it is his.
func TestOrderQuota(t *testing.T) {
	order := &elsewhere{}
	var said bytes.Buffer
	w := newWorld(t, func(o *Options) {
		o.Ledger, o.Log = order, slog.New(slog.NewTextHandler(&said, nil))
	})
	order.w = w
	quota := ledgerclient.ErrQuota.With("why", "12 grants in this hour")
	for _, c := range []struct {
		undecided bool
		want      node.Kind
	}{{false, node.KindQuota}, {true, node.KindUndecided}} {
		order.spent = &ledgerclient.UnreachableError{Service: "ledger", Err: quota, Undecided: c.undecided}
		w.refused("an entry", w.post(node.PathEntries, node.EntriesForm.Marshal(w.records(1))), c.want)
	}
	if !strings.Contains(said.String(), "kind=quota cause=\"12 grants in this hour\"") {
		t.Errorf("the operator is told %q", said.String())
	}
}

// saying is an order that says in what state it is.
type saying struct {
	elsewhere
	state atomic.Pointer[order.State] // nil: it gives no answer
}

func (s *saying) State(context.Context) (*order.State, error) {
	if state := s.state.Load(); state != nil {
		return state, nil
	}
	return nil, errNoAnswer
}

// An order that halted is seen by the operator while nobody submits anything; one that does not
// say in what state it is counts neither as one that decides nor as one that does not.
func TestOrderState(t *testing.T) {
	said := func(w *world) (health, metrics string) {
		for path, to := range map[string]*string{"/healthz": &health, "/metrics": &metrics} {
			r := httptest.NewRecorder()
			w.server.Operator().ServeHTTP(r, httptest.NewRequest("GET", path, nil))
			*to = r.Body.String()
		}
		return health, metrics
	}
	var log lockedBuffer
	b := &saying{}
	w := newWorld(t, func(o *Options) { o.Ledger, o.Log = &b.elsewhere, slog.New(slog.NewTextHandler(&log, nil)) })
	b.w = w
	if health, metrics := said(w); health != "ok\n" || strings.Contains(metrics, "carekey_order_") {
		t.Errorf("%s%s", health, metrics)
	}
	for _, c := range []struct {
		state          *order.State
		health         string
		decides, waits string
		log            string
	}{
		{&order.State{Decides: true, Words: "4 of 4 decide"}, "ok", "1", "0", ""},
		{&order.State{Words: "2 of 4 decide", Waits: 90 * time.Second}, "order", "0", "90", `msg="order: nothing is ordered" cause="2 of 4 decide"`},
		{nil, "order", "0", "0", ""},
		{&order.State{Decides: true, Words: "3 of 4 decide"}, "ok", "1", "0", `msg="order: it decides again" state="3 of 4 decide"`},
	} {
		b.state.Store(c.state)
		before := log.String()
		w.server.askOrder(t.Context(), b)
		health, metrics := said(w)
		if health != c.health+"\n" || !strings.Contains(metrics, "carekey_order_decides "+c.decides+"\n") || !strings.Contains(metrics, "carekey_order_waits_seconds "+c.waits+"\n") {
			t.Errorf("%+v: %s%s", c.state, health, metrics)
		}
		if news := strings.TrimPrefix(log.String(), before); c.log == "" && news != "" || !strings.Contains(news, c.log) {
			t.Errorf("%+v: %q", c.state, news)
		}
	}
	b = &saying{}
	b.state.Store(&order.State{Words: "2 of 4 decide"})
	b.w = newWorld(t, func(o *Options) { o.Ledger = b })
	for b.w.server.Health() != "order" { // it asks by itself
		time.Sleep(time.Millisecond)
	}
}

// behind is an order in which others have put what the folder has not read yet.
type behind struct {
	elsewhere
	mu    sync.Mutex
	later []contract.Entry
}

func (b *behind) Follow(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.elsewhere.Follow(ctx); err != nil || len(b.later) == 0 {
		return err
	}
	_, err := b.w.folder.Append(ctx, b.later)
	b.later = nil
	return err
}

func (b *behind) order(entries ...contract.Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.later = append(b.later, entries...)
}

// Whoever has seen more of the log than the keeper has, since it was ordered through
// another node, is answered by what stands in the order now. Who names more than there is
// holds nobody up, and an order that cannot be read no revocation.
func TestKeeperFollowsToWhatWasSeen(t *testing.T) {
	order := &behind{}
	w := newWorld(t, func(o *Options) { o.Ledger = order })
	order.w = w
	size := 1
	from := func(ordered ...contract.Entry) string {
		order.order(ordered...)
		size += len(ordered)
		return strconv.Itoa(size)
	}
	g := w.grant()
	d := w.deposit(g)
	if _, codes, err := said(node.ReceiptsForm.Parse(w.ok(w.post(node.PathDeposit, node.DepositsForm.Marshal([]ledgerclient.Deposit{d}), node.HeaderFrom, from(g.entry))))); err != nil || codes[0] != ledgerclient.Released {
		t.Errorf("a deposit: %v, %v", codes, err)
	}
	q := w.inquiry(g)
	state := func(from string) ledgerclient.KeeperState {
		t.Helper()
		s, err := node.KeeperStateForm.Parse(w.ok(w.post(node.PathState, ledgerclient.Marshal(&q), node.HeaderFrom, from)))
		w.must(err)
		return s
	}
	if s := state("1152921504606846976"); !s.Held || s.Ended != 0 {
		t.Errorf("with more than there is: %+v", s)
	}
	ask := ledgerclient.Inquiry{Ledger: w.ledger, Keeper: w.keeper, Grant: g.id}
	ledgerclient.Sign(&ask, g.key)
	if a, err := ledgerclient.Parse[ledgerclient.InquiryAnswer](w.ok(w.post(node.PathInquire, ledgerclient.Marshal(&ask), node.HeaderFrom, from(w.records(1)...)))); err != nil || a.Size != uint64(size) {
		t.Errorf("an inquiry: under %d of %d entries, %v", a.Size, size, err)
	}
	h := w.grant()
	acks := func(g *given, from string) (ledgerclient.Acknowledgement, ledgerclient.Code) {
		t.Helper()
		acks, codes, err := said(node.AcknowledgementsForm.Parse(w.ok(w.post(node.PathRevoke, node.EntriesForm.Marshal([]contract.Entry{w.revocation(g)}), node.HeaderFrom, from))))
		w.must(err)
		return acks[0], codes[0]
	}
	if ack, code := acks(h, from(h.entry)); code != ledgerclient.Released || ack.End != ledgerclient.Stopped {
		t.Errorf("a revocation: %s, %s", code, ack.End)
	}
	bulk, err := node.SaidForm(1).Parse(w.ok(w.post(node.PathBulk, node.BulkForm.Marshal([]node.Question{{Asked: node.AskState, Message: ledgerclient.Marshal(&q)}}), node.HeaderFrom, from(w.revocation(g)))))
	w.must(err)
	if s, err := node.KeeperStateForm.Parse(bulk[0].Answer); err != nil || s.Ended != ledgerclient.Stopped {
		t.Errorf("many questions: %+v, %v", s, err)
	}
	w.refused("no size", w.post(node.PathState, ledgerclient.Marshal(&q), node.HeaderFrom, "many"), node.KindMalformed)

	order.away.Store(true)
	w.refused("a state", w.post(node.PathState, ledgerclient.Marshal(&q), node.HeaderFrom, strconv.Itoa(size+1)), node.KindFailed)
	if _, code := acks(h, strconv.Itoa(size+1)); code != ledgerclient.Released {
		t.Errorf("a revocation without the order: %s", code)
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
