package server

import (
	"crypto/rand"
	"crypto/sha256"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

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

// address says who asks, for limits: the other end of the connection or, where that
// is one of the operator's proxies, whom it asks for. That is the last address in
// X-Forwarded-For which is not a proxy's: those before it are what the one who asks
// says.
func (s *Server) address(r *http.Request) string {
	peer, proxy := s.peer(r.RemoteAddr)
	if !proxy {
		if len(r.Header.Values("X-Forwarded-For")) > 0 {
			s.unnamed.Do(func() {
				s.log.Warn("somebody asks for others: if it is a proxy of yours, name its address in node.json, or all behind it share the limits of one")
			})
		}
		return peer
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		address, again := s.peer(strings.TrimSpace(hop))
		if address == "" {
			break // nobody says so who is to be believed
		}
		peer = address
		if !again {
			break
		}
	}
	return peer
}

// peer is an address without its port, of IPv6 the first 64 bits, which is what one
// subscriber has; and whether it is a proxy's.
func (s *Server) peer(address string) (name string, proxy bool) {
	a, err := netip.ParseAddr(strings.Trim(address, "[]"))
	if err != nil {
		with, err := netip.ParseAddrPort(address)
		if err != nil {
			return "", false
		}
		a = with.Addr()
	}
	a = a.Unmap().WithZone("")
	for _, p := range s.opt.Proxies {
		proxy = proxy || p.Contains(a)
	}
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String(), proxy
		}
	}
	return a.String(), proxy
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
	what   string
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
	return b.draw(c, what, rate, min(n, rate.Burst), min(n, rate.Burst))
}

// owe is take for what must hold over time: who takes more than the bucket holds, when it
// is full, has to wait until it has filled by all of that.
func (b *buckets) owe(c client, what string, rate Rate, n float64) (wait time.Duration, ok bool) {
	return b.draw(c, what, rate, min(n, rate.Burst), n)
}

// draw takes n out of a client's bucket if there is as much as it needs.
func (b *buckets) draw(c client, what string, rate Rate, need, n float64) (wait time.Duration, ok bool) {
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
	if k.level < need {
		seconds := math.Ceil((need - k.level) / max(rate.PerSecond, 1e-9))
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
