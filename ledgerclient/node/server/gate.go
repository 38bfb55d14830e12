package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/carekey/carekey/ledgerclient/node"
)

// gate bounds what is under way at once: requests, and the memory of their bodies and
// answers.
type gate struct{ requests, memory room }

func newGate(requests, perAddress int, memory int64, patience time.Duration, uptime func() time.Duration) gate {
	return gate{
		newRoom(int64(requests), int64(perAddress), patience, uptime),
		newRoom(memory, max(memory/2, node.MaxPutsSize), patience, uptime), // the largest request must fit
	}
}

// patience is the gate's: a body of a few hundred bytes is there in a round trip.
const patience = 2 * time.Second

const (
	// uncounted is how much memory of one request is not counted, in bytes: the body
	// of a few revocations or of a request to the keeper. There is always room for one,
	// however much others have; that there are not too many of them the number of
	// requests sees to.
	uncounted = 64 << 10
	// perAnswer is what an answer on its way takes beside its bytes: who writes it, and
	// the request with its header.
	perAnswer = 48 << 10
)

// place is that of one request.
type place struct {
	gate            *gate
	request, memory holder

	mu    sync.Mutex
	until func(time.Time) error // sets the time by which the other side must do something
	given bool                  // to another
}

func (g *gate) place(c client) *place {
	p := &place{gate: g}
	p.request = holder{from: c, leave: p.give, doing: busy}
	p.memory = p.request
	return p
}

// enter lets a request in; nil if there is no place.
func (g *gate) enter(c client) *place {
	p := g.place(c)
	if !g.requests.take(&p.request, 1) {
		return nil
	}
	return p
}

// reserve takes memory for n bytes of a body in all, or not. One client gets at most
// half of it, and what the largest request needs.
func (p *place) reserve(n int64) bool {
	return p.is(busy) && p.gate.memory.take(&p.memory, max(0, n-uncounted))
}

// count is reserve for what is in memory at all events: others make room for it, or get
// none.
func (p *place) count(n int64) {
	p.gate.memory.takeWith(&p.memory, max(0, n-uncounted), patience, true)
}

// answers leaves the place among the requests to another: what is left to do is that
// the other side reads n bytes. It is done at all events, since the work is over.
func (p *place) answers(n int64) {
	p.leave()
	p.gate.memory.takeWith(&p.memory, n+perAnswer, 0, true)
}

// refusal is where somebody is told that something is refused: an answer that takes
// no place among the requests.
func (g *gate) refusal(c client) *place {
	p := g.place(c)
	p.answers(0)
	return p
}

// is takes note of what the request does, false if its place was given away.
func (p *place) is(doing doing) bool {
	there := p.gate.requests.is(&p.request, doing)
	return p.gate.memory.is(&p.memory, doing) && there
}

// wait sets until when the other side is waited for, false if the place was given
// away.
func (p *place) wait(until func(time.Time) error, t time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.given {
		return false
	}
	p.until = until
	until(t)
	p.is(idle)
	return true
}

// queue waits with do until something begins. Until then it may be given up for those
// who have asked for less.
func (p *place) queue(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	refused := refuseFor(node.KindBusy, time.Second)
	if !p.wait(func(t time.Time) error {
		if t.Before(time.Now()) {
			cancel(refused)
		}
		return nil
	}, time.Now().Add(appendTime)) {
		return refused
	}
	p.is(firm)
	err := do(ctx)
	if errors.Is(err, context.Canceled) {
		return context.Cause(ctx)
	}
	return err
}

// give takes the place away from who does not come.
func (p *place) give() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.given = true
	p.until(time.Unix(1, 0))
}

func (p *place) leave() {
	p.gate.requests.give(&p.request)
	p.gate.memory.give(&p.memory)
}

func (g *gate) load() (requests, bytes int64) { return g.requests.load(), g.memory.load() }
