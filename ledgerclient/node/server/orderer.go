package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
)

// orderer puts what several people submit at the same time into one step, of the
// log, the keeper or the store: the disk is waited for once, and signatures are checked on
// all cores. Each submission is in one step as a whole. Whose turn it is at the desk
// takes along those who wait for theirs.
type orderer[I, O any] struct {
	desk *desk
	most int         // a step of that weight is full
	size func(I) int // its weight; nil: 1
	// do returns an O for each item.
	do func(context.Context, []I) ([]O, error)

	mu     sync.Mutex
	queue  []*submission[I, O]
	closed bool
	under  sync.WaitGroup // submissions that came before it was closed
}

type submission[I, O any] struct {
	from     client
	begin    func() bool // false if it was given up meanwhile
	items    []I
	size     int
	outcomes []O
	err      error
	done     chan struct{}
	over     context.CancelFunc // ends the waiting for a turn
}

func (sub *submission[I, O]) end(outcomes []O, err error) {
	sub.outcomes, sub.err = outcomes, err
	close(sub.done)
	sub.over()
}

// appendTime bounds one step: the folder's lock is waited for, and a disk.
const appendTime = time.Minute

// stopsAtOnce is how many revocations go in one step: who comes meanwhile waits for
// little more.
const stopsAtOnce = 64

// revoking is the orderer of revocations, for which a desk leaves room.
func revoking[O any](d *desk, do func(context.Context, []contract.Entry) ([]O, error)) *orderer[contract.Entry, O] {
	return &orderer[contract.Entry, O]{desk: &desk{most: 1}, most: stopsAtOnce, do: func(ctx context.Context, revocations []contract.Entry) (out []O, err error) {
		err = d.revoke(func() error {
			out, err = do(ctx, revocations)
			return err
		})
		return out, err
	}}
}

// queued submits what a request brings. An error is that of one that has not begun, or of
// its whole step.
func queued[I, O any](q *request, o *orderer[I, O], items []I) (out []O, err error) {
	err = q.place.queue(q.Context(), func(ctx context.Context) error {
		out, err = o.submit(ctx, q.address, items, func() bool { return q.place.is(busy) })
		return err
	})
	return out, err
}

// submit waits until the items are ordered. What is given up before that has begun
// is not ordered, and leaves nothing behind.
func (o *orderer[I, O]) submit(ctx context.Context, from client, items []I, begin func() bool) ([]O, error) {
	turn, over := context.WithCancel(ctx)
	defer over()
	sub := &submission[I, O]{from: from, begin: begin, items: items, size: len(items), done: make(chan struct{}), over: over}
	if o.size != nil {
		sub.size = 0
		for _, item := range items {
			sub.size += o.size(item)
		}
	}
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return nil, refuseFor(node.KindClosing, 5*time.Second)
	}
	o.queue = append(o.queue, sub)
	o.under.Add(1)
	o.mu.Unlock()
	defer o.under.Done()
	o.desk.work(turn, from, func() error {
		o.step(sub)
		return nil
	})
	if o.drop(sub) {
		return nil, ctx.Err()
	}
	<-sub.done
	return sub.outcomes, sub.err
}

// drop takes a submission from the queue, false if it has begun.
func (o *orderer[I, O]) drop(sub *submission[I, O]) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.queue)
	o.queue = slices.DeleteFunc(o.queue, func(s *submission[I, O]) bool { return s == sub })
	return len(o.queue) < n
}

// step orders a submission and what else goes into one step: first of each client what
// it asked for first, so that whoever has asked for little does not wait for who has
// asked for much.
func (o *orderer[I, O]) step(turn *submission[I, O]) {
	o.mu.Lock()
	if !slices.Contains(o.queue, turn) { // it was taken along
		o.mu.Unlock()
		return
	}
	of := map[client]int{}
	after := map[*submission[I, O]]int{} // what its client has up to it
	for _, sub := range o.queue {
		of[sub.from] += sub.size
		after[sub] = of[sub.from]
	}
	fair := slices.SortedStableFunc(slices.Values(o.queue), func(a, b *submission[I, O]) int { return after[a] - after[b] })
	var subs []*submission[I, O]
	size := 0
	for _, sub := range fair {
		if size < o.most || sub == turn {
			subs = append(subs, sub)
			size += sub.size
		}
	}
	o.queue = slices.DeleteFunc(o.queue, func(s *submission[I, O]) bool { return slices.Contains(subs, s) })
	o.mu.Unlock()
	subs = slices.DeleteFunc(subs, func(sub *submission[I, O]) bool {
		if sub.begin() {
			return false
		}
		sub.end(nil, refuseFor(node.KindBusy, time.Second))
		return true
	})
	if len(subs) > 0 {
		o.order(subs)
	}
}

func (o *orderer[I, O]) order(subs []*submission[I, O]) {
	items := subs[0].items
	if len(subs) > 1 {
		items = nil
		for _, sub := range subs {
			items = append(items, sub.items...)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), appendTime)
	defer cancel()
	outcomes, err := o.do(ctx, items)
	if err != nil && len(subs) > 1 && ctx.Err() == nil {
		// What is wrong with one must not keep the others from it. Again is a no-op.
		for _, sub := range subs {
			o.order([]*submission[I, O]{sub})
		}
		return
	}
	for _, sub := range subs {
		if err != nil {
			sub.end(nil, err)
			continue
		}
		sub.end(outcomes[:len(sub.items)], nil)
		outcomes = outcomes[len(sub.items):]
	}
}

// mixed does what do does in an order in which neighbours are not one person's: whoever
// reads the log learns from it no more than that they came together.
func mixed[O any](l crypto.LedgerID, do func(context.Context, []contract.Entry) ([]O, error)) func(context.Context, []contract.Entry) ([]O, error) {
	return func(ctx context.Context, entries []contract.Entry) ([]O, error) {
		order := ledgerclient.Mixed(l, entries)
		all := make([]contract.Entry, len(order))
		for at, i := range order {
			all[at] = entries[i]
		}
		said, err := do(ctx, all)
		if err != nil {
			return nil, err
		}
		out := make([]O, len(entries))
		for at, i := range order {
			out[i] = said[at]
		}
		return out, nil
	}
}

// close takes nothing any more, and waits until what came before is ordered.
func (o *orderer[I, O]) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.under.Wait()
}
