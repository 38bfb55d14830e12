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

// gate bounds what is under way at once.
type gate struct {
	requests   int   // the limits
	perAddress int   //
	memory     int64 //

	mu     sync.Mutex
	open   int
	from   map[client]int
	bodies int64            // of those that are counted
	held   map[client]int64 // by one address
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

// enter lets a request in, or not.
func (g *gate) enter(c client) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.from == nil {
		g.from = map[client]int{}
	}
	if g.open >= g.requests || g.from[c] >= g.perAddress {
		return false
	}
	g.open++
	g.from[c]++
	return true
}

func (g *gate) leave(c client) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if g.from[c]--; g.from[c] == 0 {
		delete(g.from, c)
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
	return g.open, g.bodies
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
	what   string // "rate", "order", "bytes"
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
