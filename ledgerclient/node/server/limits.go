package server

import (
	"crypto/rand"
	"crypto/sha256"
	"math"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/carekey/carekey/ledgerclient/node"
)

// gate bounds what is under way at once. When it is full, who waits longest for a
// body that does not come makes room: a revocation that is there must not wait for
// requests that are not.
type gate struct {
	requests   int           // the limits
	perAddress int           //
	memory     int64         //
	patience   time.Duration // how long a body is waited for although the gate is full

	mu     sync.Mutex
	places map[*place]struct{}
	from   map[client]int
	bodies int64            // of those that are counted
	held   map[client]int64 // by one address
}

// patience is the gate's: a body of a few hundred bytes is there in a round trip.
const patience = 2 * time.Second

// place is that of one request.
type place struct {
	from    client
	reading time.Time // since when no step of its body came; zero: it waits for none. Under gate.mu

	mu    sync.Mutex
	until func(time.Time) // sets the time by which the body must come
	given bool            // to another
}

// wait sets until when the body is waited for, false if the place was given away.
func (p *place) wait(t time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.given {
		return false
	}
	p.until(t)
	return true
}

// give takes the place away from who does not come.
func (p *place) give() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.given = true
	p.until(time.Unix(1, 0))
}

// uncounted is the size of the largest body that is not counted, in bytes: a few
// revocations, a request to the keeper. There is always room for one, however much
// others have announced; that there are not too many of them the number of requests
// sees to.
const uncounted = 64 << 10

// client is an address or a token as the node keeps count of it: a hash with a
// key of this process, so that its memory holds neither.
type client [16]byte

var clientKey = func() (k [32]byte) {
	rand.Read(k[:])
	return k
}()

func clientOf(kind byte, name string) client {
	h := sha256.New()
	h.Write(clientKey[:])
	h.Write([]byte{kind})
	h.Write([]byte(name))
	return client(h.Sum(nil)[:16])
}

// enter lets a request in; nil if there is no place.
func (g *gate) enter(c client) *place {
	p := &place{from: c}
	out, ok := g.admit(p)
	if out != nil {
		out.give()
	}
	if !ok {
		return nil
	}
	return p
}

// admit takes a place for p, and says who has to leave for it.
func (g *gate) admit(p *place) (out *place, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.from == nil {
		g.from, g.places = map[client]int{}, map[*place]struct{}{}
	}
	if own := g.from[p.from] >= g.perAddress; own || len(g.places) >= g.requests {
		now := time.Now()
		for q := range g.places {
			if own && q.from != p.from || q.reading.IsZero() || now.Sub(q.reading) < g.patience {
				continue
			}
			if out == nil || q.reading.Before(out.reading) {
				out = q
			}
		}
		if out == nil {
			return nil, false
		}
		g.remove(out)
	}
	g.places[p] = struct{}{}
	g.from[p.from]++
	return out, true
}

// reads takes note that a request waits for its body from now on.
func (g *gate) reads(p *place, until func(time.Time)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.reading, p.until = time.Now(), until
}

// goesOn takes note that some of the body came.
func (g *gate) goesOn(p *place) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.reading = time.Now()
}

// has takes note that the body is there.
func (g *gate) has(p *place) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.reading = time.Time{}
}

func (g *gate) leave(p *place) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(p)
}

// remove frees a place, unless it was given away before.
func (g *gate) remove(p *place) {
	if _, ok := g.places[p]; !ok {
		return
	}
	delete(g.places, p)
	if g.from[p.from]--; g.from[p.from] == 0 {
		delete(g.from, p.from)
	}
}

// reserve takes memory for a body of n bytes, or not. One address gets at most half
// of it, and what the largest request needs.
func (g *gate) reserve(c client, n int64) bool {
	if n <= uncounted {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.bodies+n > g.memory || g.held[c]+n > max(g.memory/2, node.MaxPutsSize) {
		return false
	}
	if g.held == nil {
		g.held = map[client]int64{}
	}
	g.bodies += n
	g.held[c] += n
	return true
}

func (g *gate) release(c client, n int64) {
	if n <= uncounted {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bodies -= n
	if g.held[c] -= n; g.held[c] == 0 {
		delete(g.held, c)
	}
}

func (g *gate) load() (requests int, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.places), g.bodies
}

// remoteAddress is the other end of the connection, without its port; of an IPv6
// address the first 64 bits, which is what one subscriber has.
func remoteAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if a = a.Unmap(); a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// buckets keep count of what clients use. They are bounded: beyond the bound
// somebody is forgotten, and so gets a full bucket again.
type buckets struct {
	most   int
	uptime func() time.Duration

	mu  sync.Mutex
	all map[bucketKey]*bucket
}

type bucketKey struct {
	client client
	what   string // "rate", "order", "bytes", "checks"
}

type bucket struct {
	rate  Rate
	level float64
	at    time.Duration // uptime when level was right
}

func newBuckets(most int, uptime func() time.Duration) *buckets {
	return &buckets{most: most, uptime: uptime, all: map[bucketKey]*bucket{}}
}

func (b *bucket) fill(now time.Duration) {
	b.level = min(b.rate.Burst, b.level+b.rate.PerSecond*(now-b.at).Seconds())
	b.at = now
}

// take takes n out of a client's bucket. If there is not as much in it, nothing is
// taken and wait is how long until there is; more than the bucket holds is let
// through when it is full.
func (b *buckets) take(c client, what string, rate Rate, n float64) (wait time.Duration, ok bool) {
	if rate.PerSecond < 0 || rate.Burst < 0 {
		return 0, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.uptime()
	key := bucketKey{c, what}
	k := b.all[key]
	if k == nil {
		if len(b.all) >= b.most {
			b.forget(now)
		}
		k = &bucket{rate: rate, level: rate.Burst, at: now}
		b.all[key] = k
	}
	k.fill(now)
	n = min(n, rate.Burst)
	if k.level < n {
		seconds := math.Ceil((n - k.level) / max(rate.PerSecond, 1e-9))
		return time.Duration(min(max(seconds, 1), 86400)) * time.Second, false
	}
	k.level -= n
	return 0, true
}

// forget makes room: of a few clients, in no order, the one with the fullest
// bucket loses least.
func (b *buckets) forget(now time.Duration) {
	var victim bucketKey
	fullest, looked := -1.0, 0
	for key, k := range b.all {
		k.fill(now)
		if full := k.level / max(k.rate.Burst, 1e-9); full > fullest {
			victim, fullest = key, full
		}
		if looked++; looked == 8 {
			break
		}
	}
	delete(b.all, victim)
}

// dropFull forgets clients who have not used anything for so long that it makes no
// difference.
func (b *buckets) dropFull() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.uptime()
	for key, k := range b.all {
		if k.fill(now); k.level >= k.rate.Burst {
			delete(b.all, key)
		}
	}
}
