package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
)

// orderer puts what several people submit at the same time into one step, of the
// log or of the keeper: the disk is waited for once, and signatures are checked on
// all cores. Each submission is in one step as a whole.
type orderer[O any] struct {
	// do returns an O for each entry.
	do   func(context.Context, []contract.Entry) ([]O, error)
	most int // with as many entries a step is full

	mu     sync.Mutex
	some   *sync.Cond // there is something in the queue, or it is closed
	queue  []*submission[O]
	closed bool
}

type submission[O any] struct {
	from     client
	begin    func() bool // false if it was given up meanwhile
	entries  []contract.Entry
	outcomes []O
	err      error
	done     chan struct{}
}

// appendTime bounds one step: the folder's lock is waited for, and a disk.
const appendTime = time.Minute

// stopsAtOnce is how many revocations go in one step: who comes meanwhile waits for
// little more.
const stopsAtOnce = 64

func newOrderer[O any](most int, do func(context.Context, []contract.Entry) ([]O, error)) *orderer[O] {
	o := &orderer[O]{do: do, most: most}
	o.some = sync.NewCond(&o.mu)
	return o
}

// queued submits a request's entries.
func queued[O any](q *request, o *orderer[O], entries []contract.Entry) (out []O, err error) {
	err = q.place.queue(q.Context(), func(ctx context.Context) error {
		out, err = o.submit(ctx, q.address, entries, q.place.begin)
		return err
	})
	return out, err
}

// submit waits until the entries are ordered. What is given up before that has begun
// is not ordered, and leaves nothing behind.
func (o *orderer[O]) submit(ctx context.Context, from client, entries []contract.Entry, begin func() bool) ([]O, error) {
	sub := &submission[O]{from: from, begin: begin, entries: entries, done: make(chan struct{})}
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return nil, refuseFor(node.KindClosing, 5*time.Second)
	}
	o.queue = append(o.queue, sub)
	o.some.Signal()
	o.mu.Unlock()
	select {
	case <-sub.done:
	case <-ctx.Done():
		if o.drop(sub) {
			return nil, ctx.Err()
		}
		<-sub.done
	}
	return sub.outcomes, sub.err
}

// drop takes a submission from the queue, false if it has begun.
func (o *orderer[O]) drop(sub *submission[O]) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.queue)
	o.queue = slices.DeleteFunc(o.queue, func(s *submission[O]) bool { return s == sub })
	return len(o.queue) < n
}

// run orders until close.
func (o *orderer[O]) run() {
	for {
		subs := o.next()
		if len(subs) == 0 {
			return
		}
		subs = slices.DeleteFunc(subs, func(sub *submission[O]) bool {
			if sub.begin() {
				return false
			}
			sub.err = refuseFor(node.KindBusy, time.Second)
			close(sub.done)
			return true
		})
		if len(subs) > 0 {
			o.order(subs)
		}
	}
}

// next takes from the queue what goes into one step: first of each client what it
// asked for first, so that whoever has asked for little does not wait for who has
// asked for much; and always who waits longest. Nothing once it is closed and empty.
func (o *orderer[O]) next() (subs []*submission[O]) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) == 0 && !o.closed {
		o.some.Wait()
	}
	if len(o.queue) == 0 {
		return nil
	}
	of := map[client]int{}
	after := map[*submission[O]]int{} // how many entries its client has up to it
	for _, sub := range o.queue {
		of[sub.from] += len(sub.entries)
		after[sub] = of[sub.from]
	}
	fair := slices.SortedStableFunc(slices.Values(o.queue), func(a, b *submission[O]) int { return after[a] - after[b] })
	entries := 0
	for _, sub := range fair {
		if entries < o.most || sub == o.queue[0] {
			subs = append(subs, sub)
			entries += len(sub.entries)
		}
	}
	o.queue = slices.DeleteFunc(o.queue, func(s *submission[O]) bool { return slices.Contains(subs, s) })
	return subs
}

func (o *orderer[O]) order(subs []*submission[O]) {
	entries := subs[0].entries
	if len(subs) > 1 {
		entries = nil
		for _, sub := range subs {
			entries = append(entries, sub.entries...)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), appendTime)
	defer cancel()
	outcomes, err := o.do(ctx, entries)
	if err != nil && len(subs) > 1 && ctx.Err() == nil {
		// What is wrong with one must not keep the others from it. Again is a no-op.
		for _, sub := range subs {
			o.order([]*submission[O]{sub})
		}
		return
	}
	for _, sub := range subs {
		if sub.err = err; err == nil {
			sub.outcomes, outcomes = outcomes[:len(sub.entries)], outcomes[len(sub.entries):]
		}
		close(sub.done)
	}
}

// close lets run end when the queue is empty.
func (o *orderer[O]) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.some.Broadcast()
}
