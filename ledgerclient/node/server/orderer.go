package server

import (
	"context"
	"sync"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
)

// orderer puts what several people submit at the same time into one append: the
// disk is waited for once, and signatures are checked on all cores. Each
// submission is in the log as a whole or not at all.
type orderer struct {
	ledger interface {
		Append(context.Context, []contract.Entry) ([]ledgerclient.Outcome, error)
	}

	mu     sync.Mutex
	some   *sync.Cond // there is something in the queue, or it is closed
	queue  []*submission
	closed bool
}

type submission struct {
	entries  []contract.Entry
	outcomes []ledgerclient.Outcome
	err      error
	done     chan struct{}
}

// appendTime bounds one append: the folder's lock is waited for, and a disk.
const appendTime = time.Minute

func newOrderer(ledger interface {
	Append(context.Context, []contract.Entry) ([]ledgerclient.Outcome, error)
}) *orderer {
	o := &orderer{ledger: ledger}
	o.some = sync.NewCond(&o.mu)
	return o
}

// submit waits until the entries are ordered. A request that is given up may be
// ordered all the same.
func (o *orderer) submit(ctx context.Context, entries []contract.Entry) ([]ledgerclient.Outcome, error) {
	sub := &submission{entries: entries, done: make(chan struct{})}
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
		return sub.outcomes, sub.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run orders until close.
func (o *orderer) run() {
	for {
		subs := o.next()
		if len(subs) == 0 {
			return
		}
		o.order(subs)
	}
}

// next takes from the queue what fits into one append; nothing once it is closed
// and empty.
func (o *orderer) next() []*submission {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) == 0 && !o.closed {
		o.some.Wait()
	}
	n, entries := 0, 0
	for n < len(o.queue) && (n == 0 || entries+len(o.queue[n].entries) <= node.MaxEntries) {
		entries += len(o.queue[n].entries)
		n++
	}
	subs := append([]*submission(nil), o.queue[:n]...)
	o.queue = append(o.queue[:0], o.queue[n:]...)
	return subs
}

func (o *orderer) order(subs []*submission) {
	entries := subs[0].entries
	if len(subs) > 1 {
		entries = nil
		for _, sub := range subs {
			entries = append(entries, sub.entries...)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), appendTime)
	defer cancel()
	outcomes, err := o.ledger.Append(ctx, entries)
	for _, sub := range subs {
		if sub.err = err; err == nil {
			sub.outcomes, outcomes = outcomes[:len(sub.entries)], outcomes[len(sub.entries):]
		}
		close(sub.done)
	}
}

// close lets run end when the queue is empty.
func (o *orderer) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.some.Broadcast()
}
