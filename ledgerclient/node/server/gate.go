package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/carekey/carekey/ledgerclient/node"
)

// gate bounds what is under way at once: requests, and the memory of their bodies
// and answers. Where there is no more room, who waits for the other side makes some:
// a body that does not come and an answer that is not read must not keep out who is
// there. Of the client that has most the one goes that waits longest.
type gate struct {
	requests   int           // the limits
	perAddress int           //
	memory     int64         //
	patience   time.Duration // how long who has no more than others is waited for

	mu     sync.Mutex
	places map[*place]struct{}
	all    usage
	of     map[client]usage
}

// usage is what somebody has of a gate.
type usage struct {
	requests int
	memory   int64
}

func (u usage) plus(v usage) usage  { return usage{u.requests + v.requests, u.memory + v.memory} }
func (u usage) minus(v usage) usage { return usage{u.requests - v.requests, u.memory - v.memory} }

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
	gate *gate
	from client

	has     usage     // under gate.mu
	waiting time.Time // since when the other side has done nothing; zero: the node is at work. Under gate.mu
	queued  bool      // waits for the node. Under gate.mu

	mu    sync.Mutex
	until func(time.Time) error // sets the time by which the other side must do something
	given bool                  // to another
}

// enter lets a request in; nil if there is no place.
func (g *gate) enter(c client) *place {
	p := &place{gate: g, from: c}
	if !g.claim(p, usage{requests: 1}) {
		return nil
	}
	return p
}

// claim takes more for a place, and puts out who has to leave for it.
func (g *gate) claim(p *place, more usage) bool {
	g.mu.Lock()
	_, there := g.places[p]
	var out []*place
	ok := there || more.requests > 0 // otherwise it was given away
	if ok {
		out, ok = g.makeRoom(p, more, g.patience)
	}
	if ok {
		g.add(p, more)
	}
	g.mu.Unlock()
	for _, q := range out {
		q.give()
	}
	return ok
}

// makeRoom removes who has to leave so that there is room for more, false if that is
// not enough.
func (g *gate) makeRoom(p *place, more usage, patience time.Duration) (out []*place, ok bool) {
	requests, memory := func(u usage) int64 { return int64(u.requests) }, func(u usage) int64 { return u.memory }
	for {
		own, all := g.of[p.from].plus(more), g.all.plus(more)
		var q *place
		switch {
		case own.requests > g.perAddress && more.requests > 0:
			q = g.slowest(p, true, requests, patience)
		case all.requests > g.requests && more.requests > 0:
			q = g.slowest(p, false, requests, patience)
		case own.memory > max(g.memory/2, node.MaxPutsSize) && more.memory > 0:
			q = g.slowest(p, true, memory, patience)
		case all.memory > g.memory && more.memory > 0:
			q = g.slowest(p, false, memory, patience)
		default:
			return out, true
		}
		if q == nil {
			return out, false
		}
		g.remove(q)
		out = append(out, q)
	}
}

// slowest is who has to make room for p, of those who have some of what is short.
func (g *gate) slowest(p *place, own bool, of func(usage) int64, patience time.Duration) *place {
	now := time.Now()
	q, _ := mustLeave(func(see func(*place, holder)) {
		for q := range g.places {
			if q != p && !q.waiting.IsZero() && of(q.has) > 0 {
				see(q, holder{q.from, now.Sub(q.waiting), q.queued})
			}
		}
	}, func(c client) int64 { return of(g.of[c]) }, p.from, own, patience)
	return q
}

func (g *gate) add(p *place, more usage) {
	if g.of == nil {
		g.of, g.places = map[client]usage{}, map[*place]struct{}{}
	}
	g.places[p] = struct{}{}
	p.has = p.has.plus(more)
	g.all = g.all.plus(more)
	g.of[p.from] = g.of[p.from].plus(more)
}

// remove frees a place, unless it was given away before.
func (g *gate) remove(p *place) {
	if _, ok := g.places[p]; !ok {
		return
	}
	delete(g.places, p)
	g.all = g.all.minus(p.has)
	if g.of[p.from] = g.of[p.from].minus(p.has); g.of[p.from] == (usage{}) {
		delete(g.of, p.from)
	}
	p.has = usage{}
}

// reserve takes memory for n bytes of a body in all, or not. One client gets at most
// half of it, and what the largest request needs.
func (p *place) reserve(n int64) bool {
	p.gate.mu.Lock()
	more := max(0, n-uncounted) - p.has.memory
	p.gate.mu.Unlock()
	return more <= 0 || p.gate.claim(p, usage{memory: more})
}

// answers leaves the place among the requests to another: what is left to do is that
// the other side reads n bytes. It is done at all events, since the work is over.
func (p *place) answers(n int64) {
	g := p.gate
	g.mu.Lock()
	if _, ok := g.places[p]; !ok {
		g.mu.Unlock()
		return
	}
	g.remove(p)
	more := usage{memory: n + perAnswer}
	out, _ := g.makeRoom(p, more, 0)
	g.add(p, more)
	g.mu.Unlock()
	for _, q := range out {
		q.give()
	}
}

// refusal is where somebody is told that something is refused: an answer that takes
// no place among the requests.
func (g *gate) refusal(c client) *place {
	p := &place{gate: g, from: c}
	g.mu.Lock()
	g.add(p, usage{})
	g.mu.Unlock()
	p.answers(0)
	return p
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
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	p.waiting = time.Now()
	return true
}

// queue waits with do until something begins. Until then it may be given up for those
// who have asked for less.
func (p *place) queue(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	busy := refuseFor(node.KindBusy, time.Second)
	if !p.wait(func(t time.Time) error {
		if t.Before(time.Now()) {
			cancel(busy)
		}
		return nil
	}, time.Now().Add(appendTime)) {
		return busy
	}
	p.gate.mu.Lock()
	p.queued = true
	p.gate.mu.Unlock()
	err := do(ctx)
	if errors.Is(err, context.Canceled) {
		return context.Cause(ctx)
	}
	return err
}

// begin takes note that what was queued begins, false if the place was given away.
func (p *place) begin() bool {
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	_, there := p.gate.places[p]
	p.waiting, p.queued = time.Time{}, false
	return there
}

// goOn takes note that the other side did what it was waited for.
func (p *place) goOn() {
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	p.waiting = time.Time{}
}

// give takes the place away from who does not come.
func (p *place) give() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.given = true
	p.until(time.Unix(1, 0))
}

func (p *place) leave() {
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	p.gate.remove(p)
}

func (g *gate) load() (requests int, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all.requests, g.all.memory
}
