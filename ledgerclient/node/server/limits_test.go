package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
)

func TestRoutesRefuse(t *testing.T) {
	w := newWorld(t, nil)
	for _, test := range []struct {
		method, path string
		kind         node.Kind
	}{
		{"GET", "/", node.KindNotFound},
		{"GET", node.Prefix, node.KindNotFound},
		{"GET", "/carekey/v2/genesis", node.KindNotFound},
		{"GET", node.PathGenesis + "/", node.KindNotFound},
		{"GET", "/healthz", node.KindNotFound},
		{"GET", "/metrics", node.KindNotFound},
		{"POST", node.PathGenesis, node.KindMethod},
		{"DELETE", node.PathBlobs, node.KindMethod},
		{"PUT", node.PathEntries, node.KindMethod},
		{"GET", node.PathEntries, node.KindMethod},
		{"GET", node.PathRelease, node.KindMethod},
		{"POST", node.PathTile + "0/000.p/1", node.KindMethod},
		{"TRACE", node.PathCheckpoint, node.KindMethod},
		{"OPTIONS", node.PathCheckpoint, node.KindMethod},
	} {
		r := w.ask(test.method, test.path, nil)
		w.refused(test.method+" "+test.path, r, test.kind)
		if test.kind == node.KindMethod && r.header.Get("Allow") == "" {
			t.Errorf("%s %s: what is allowed is not said", test.method, test.path)
		}
	}
	if r := w.ask("DELETE", node.PathBlobs, nil); r.header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("allowed: %s", r.header.Get("Allow"))
	}
	for _, versions := range []string{"1", "3, 2"} {
		p := w.refused("version "+versions, w.get(node.PathCheckpoint, node.HeaderVersion, versions), node.KindNoVersion)
		if len(p.Versions) != 1 || p.Versions[0] != node.Version {
			t.Errorf("versions %v", p.Versions)
		}
	}
	w.ok(w.get(node.PathCheckpoint, node.HeaderVersion, "3"))
	w.refused("a GET with a body", w.ask("GET", node.PathCheckpoint, []byte("x")), node.KindTooLarge)
}

// Every route with a body refuses one that is too large, without reading it, and
// one whose length is not known.
func TestBodyLimits(t *testing.T) {
	w := newWorld(t, nil)
	n := 0
	for path, methods := range w.server.routes {
		route, ok := methods[http.MethodPost]
		if !ok {
			continue
		}
		n++
		for name, test := range map[string]struct {
			header string
			kind   node.Kind
		}{
			"too large": {fmt.Sprintf("Content-Length: %d", route.max+1), node.KindTooLarge},
			"huge":      {"Content-Length: 10000000000000", node.KindTooLarge},
			"chunked":   {"Transfer-Encoding: chunked", node.KindNoLength},
		} {
			conn := w.dial()
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: node\r\n%s\r\n\r\n", path, test.header)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			w.must(err)
			body, _ := io.ReadAll(io.LimitReader(resp.Body, node.MaxProblem)) // cut off where the connection ends
			w.refused(path+" "+name, reply{resp.StatusCode, resp.Header, body}, test.kind)
			conn.Close()
		}
	}
	if n < 12 {
		t.Errorf("only %d routes", n)
	}
	if _, bytes := w.server.gate.load(); bytes != 0 {
		t.Errorf("%d bytes are still counted", bytes)
	}
}

// dial opens a connection to speak by hand.
func (w *world) dial() net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.http.Listener.Addr().String())
	w.must(err)
	w.must(conn.SetDeadline(time.Now().Add(time.Minute)))
	return conn
}

func TestHeaderLimit(t *testing.T) {
	w := newWorld(t, nil)
	if r := w.get(node.PathCheckpoint, "X-Long", strings.Repeat("x", 64<<10)); r.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", r.status)
	}
	h := w.server.HTTPServer()
	if h.ReadHeaderTimeout != headerTime || h.IdleTimeout == 0 || h.MaxHeaderBytes != maxHeader {
		t.Errorf("%+v", h)
	}
}

// Whatever bytes come, on every route: an answer of the protocol, no panic, and
// nothing in the log.
func TestGarbage(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	g := w.grant()
	good := [][]byte{
		node.PutsForm.Marshal(g.puts), node.EntriesForm.Marshal([]contract.Entry{g.entry}), node.DepositsForm.Marshal([]ledgerclient.Deposit{w.deposit(g)}),
		bytes.Repeat([]byte{0xff}, 1000), make([]byte, 1000), {0}, {},
	}
	for path := range w.server.routes {
		if path == node.PathEntries || path == node.PathBlobs || path == node.PathUploads {
			continue // have tests of their own; some of these are good there
		}
		for i, body := range good {
			for _, cut := range []int{len(body), len(body) / 2, max(0, len(body)-1)} {
				if r := w.post(path, body[:cut]); r.status >= 500 {
					t.Errorf("%s, body %d: status %d %s", path, i, r.status, r.body)
				}
			}
		}
	}
	if log.Len() > 0 {
		t.Errorf("logged:\n%s", log.String())
	}
	if tree, _ := w.openCheckpoint(w.ok(w.get(node.PathCheckpoint))); tree.N != 1 {
		t.Errorf("%d entries", tree.N)
	}
}

func TestRates(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		closed(o)
		o.Limits = Limits{Rate: Rate{2, 30}, Order: Rate{1, 5}, Bytes: Rate{100, 20_000}}
	})
	auth, other := w.with(w.token(1000)), w.with(w.token(1000))
	rs := w.records(8)
	w.ok(w.post(node.PathEntries, node.EntriesForm.Marshal(rs[:5]), auth...))
	r := w.post(node.PathEntries, node.EntriesForm.Marshal(rs[5:]), auth...)
	if p := w.refused("more entries", r, node.KindTooMany); p.RetryAfter != 3 || r.header.Get("Retry-After") != "3" {
		t.Errorf("again in %d, %s", p.RetryAfter, r.header.Get("Retry-After"))
	}
	// Somebody else's token has a bucket of its own.
	w.ok(w.post(node.PathEntries, node.EntriesForm.Marshal(rs[:5]), other...))
	w.clock.pass(3 * time.Second)
	w.ok(w.post(node.PathEntries, node.EntriesForm.Marshal(rs[5:]), auth...))

	g := w.grant()
	w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal(g.puts), auth...))
	w.refused("more bytes", w.post(node.PathBlobs, node.PutsForm.Marshal(append(w.grant().puts, w.grant().puts...)), auth...), node.KindQuota)

	kind := node.Kind("")
	for range 31 {
		if r := w.get(node.PathConfig); r.status != 200 {
			kind = w.refused("many requests", r, node.KindTooMany).Kind
			break
		}
	}
	if kind == "" {
		t.Error("never too many")
	}
	// Who has used up everything else can revoke, in the ledger too.
	revocation := node.EntriesForm.Marshal([]contract.Entry{w.revocation(g)})
	w.ok(w.post(node.PathRevoke, revocation))
	w.ok(w.post(node.PathEntries, revocation, auth...))
	w.clock.pass(time.Second)
	w.ok(w.get(node.PathConfig))
}

// Threat: somebody makes the node check signatures by the thousand, so that it has no
// time for a revocation. Whatever checks any is counted, on every route, and nobody
// who uses up what others may have keeps somebody from revoking.
func TestChecksAreBounded(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Checks = Rate{0.001, 100} })
	g := w.grant()
	w.give(g)
	e := w.revocation(g)
	bad := e
	bad.Signature[0] ^= 1
	many := slices.Repeat([]contract.Entry{bad}, 60)
	var puts []ledgerclient.Put
	for range 60 {
		v := w.record(1)
		v.put.Entry.Signature[0] ^= 1
		puts = append(puts, v.put)
	}
	w.refused("payloads", w.post(node.PathBlobs, node.PutsForm.Marshal(puts)), node.KindStore)
	for name, r := range map[string]reply{
		"more payloads": w.post(node.PathBlobs, node.PutsForm.Marshal(puts)),
		"deposits":      w.post(node.PathDeposit, node.DepositsForm.Marshal(slices.Repeat([]ledgerclient.Deposit{w.deposit(g)}, 60))),
		"entries":       w.post(node.PathEntries, node.EntriesForm.Marshal(w.records(60))),
	} {
		if p := w.refused(name, r, node.KindTooMany); p.RetryAfter == 0 {
			t.Errorf("%s: %+v", name, p)
		}
	}
	w.ok(w.post(node.PathRevoke, node.EntriesForm.Marshal(many)))
	w.refused("many more revocations", w.post(node.PathRevoke, node.EntriesForm.Marshal(many)), node.KindTooMany)
	body := w.ok(w.post(node.PathRevoke, node.EntriesForm.Marshal([]contract.Entry{e})))
	if acks, codes, err := said(node.AcknowledgementsForm.Parse(body)); err != nil || codes[0] != ledgerclient.Released || acks[0].End != ledgerclient.Stopped {
		t.Errorf("%v %v", codes, err)
	}
	if o := w.submit(e); o[0].Refusal != nil {
		t.Errorf("%v", o[0].Refusal)
	}
}

// Every route charges whoever asks: one that forgets it answers nothing.
func TestEveryRouteCharges(t *testing.T) {
	w := newWorld(t, nil)
	g := w.grant()
	w.give(g)
	v := w.record(100)
	access, put := w.access(g)
	w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal([]ledgerclient.Put{put})))
	w.order(access)
	request, _ := w.request(g, access)
	state := w.inquiry(g)
	inquiry := ledgerclient.Inquiry{Ledger: w.ledger, Keeper: w.keeper, Grant: g.id}
	ledgerclient.Sign(&inquiry, g.key)
	withdrawn := w.record(1)
	w.add(withdrawn)
	withdrawal := w.withdrawal(withdrawn)
	w.order(withdrawal)
	erase := withdrawal.Marshal()
	w.witness("w.example")
	w.server.askWitnesses(ctx)
	id := w.send(v.content, 100)
	part := node.UploadPart{Upload: w.send(nil, 1), Data: []byte{1}}
	commit := node.UploadCommit{Upload: id, Put: v.upload}
	bodies := map[string][]byte{
		"entries": node.EntriesForm.Marshal(w.records(2)), "blobs": node.PutsForm.Marshal([]ledgerclient.Put{v.put}), "upload": nil,
		"upload-part": node.UploadPartForm.Marshal(part), "upload-commit": node.UploadCommitForm.Marshal(commit), "upload-abort": make([]byte, 32), "erase": erase[:],
		"deposit": node.DepositsForm.Marshal([]ledgerclient.Deposit{w.deposit(g)}), "state": ledgerclient.Marshal(&state), "release": ledgerclient.Marshal(&request),
		"revoke": node.EntriesForm.Marshal([]contract.Entry{w.revocation(g)}), "inquire": ledgerclient.Marshal(&inquiry),
		"bulk": node.BulkForm.Marshal([]node.Question{{Asked: node.AskState, Message: ledgerclient.Marshal(&state)}, {Asked: node.AskRelease, Message: ledgerclient.Marshal(&request)}}),
	}
	checks := map[string]float64{"entries": 2, "blobs": 1, "upload-commit": 1, "erase": 1, "deposit": 1, "state": 1, "release": 2, "revoke": 1, "inquire": 1, "bulk": 1 + 2}
	rest := map[string]func() string{
		"tile": func() string { return "0/000.p/1" },
	}
	n := 0
	for path, methods := range w.server.routes {
		for method, route := range methods {
			n++
			body, ok := bodies[route.name]
			if (method == http.MethodPost) != ok {
				t.Errorf("nobody asks %s", route.name)
				continue
			}
			what := "checks"
			if route.name == "revoke" {
				what = "stops"
			}
			spent := func() float64 {
				w.server.buckets.mu.Lock()
				defer w.server.buckets.mu.Unlock()
				if b := w.server.buckets.all[bucketKey{clientOf('a', "127.0.0.1"), what}]; b != nil {
					return b.rate.Burst - b.level
				}
				return 0
			}
			before := spent()
			if of := rest[route.name]; of != nil {
				path += of()
			}
			r := w.ask(method, path, body, node.HeaderLocator, hex.EncodeToString(g.puts[0].Locators[0][:]))
			if r.status >= 300 {
				t.Errorf("%s: status %d %s", route.name, r.status, r.body)
			}
			if got := spent() - before; got != checks[route.name] {
				t.Errorf("%s was charged %v", route.name, got)
			}
		}
	}
	if n < 18 {
		t.Errorf("only %d routes", n)
	}
}

// When payloads have filled the disk, entries still find room.
func TestReserve(t *testing.T) {
	w := newWorld(t, nil)
	w.server.disk.free = func(string) (free, all space, ok bool) {
		return space{w.server.limits.Reserve, 1 << 20}, space{1 << 40, 1 << 20}, true
	}
	w.refused("payloads", w.post(node.PathBlobs, node.PutsForm.Marshal(w.grant().puts)), node.KindFull)
	w.refused("a content", w.post(node.PathUploads, nil), node.KindFull)
	w.order(w.records(1)...)
}

// What the node remembers of its clients is bounded, whoever comes.
func TestBucketsAreBounded(t *testing.T) {
	clock := &testClock{}
	b := newBuckets(100, clock.uptime)
	busy := clientOf('a', "busy")
	rate := Rate{1, 10}
	b.take(busy, "rate", rate, 10)
	for i := range 10_000 {
		b.take(clientOf('a', fmt.Sprint(i)), "rate", rate, 1)
	}
	if len(b.all) > 100 {
		t.Errorf("%d clients", len(b.all))
	}
	clock.pass(10 * time.Second)
	b.dropFull()
	if len(b.all) != 0 {
		t.Errorf("%d clients after a pause", len(b.all))
	}
	if _, ok := b.take(busy, "rate", rate, 1000); !ok {
		t.Error("more than a bucket holds never passes")
	}
	if wait, ok := b.take(busy, "rate", rate, 1); ok || wait != time.Second {
		t.Errorf("%s, %v", wait, ok)
	}
	if _, ok := b.take(busy, "bytes", Rate{-1, 0}, 1e18); !ok {
		t.Error("no limit is a limit")
	}
}

// Who asks is the other end of the connection; behind one of the operator's proxies
// it is whom that proxy names, and nobody else is believed.
func TestAddress(t *testing.T) {
	var log bytes.Buffer
	s := &Server{log: slog.New(slog.NewTextHandler(&log, nil)),
		opt: Options{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:ffff::/48")}}}
	for _, test := range []struct {
		remote, forwarded, want string
	}{
		{"192.0.2.7:1234", "", "192.0.2.7"},
		{"[2001:db8:1:2:3:4:5:6]:80", "", "2001:db8:1:2::/64"},
		{"[2001:db8:1:2::9]:1", "", "2001:db8:1:2::/64"},
		{"[::ffff:192.0.2.7]:80", "", "192.0.2.7"},
		{"[fe80::1%eth0]:1", "", "fe80::/64"},
		{"@", "", ""},
		{"pipe:1", "", ""},
		{"192.0.2.7:1", "198.51.100.1", "192.0.2.7"},            // no proxy: anybody can say so
		{"10.0.0.1:1", "", "10.0.0.1"},                          // says nothing
		{"10.0.0.1:1", "198.51.100.1", "198.51.100.1"},          //
		{"10.0.0.1:1", "6.6.6.6, 198.51.100.1", "198.51.100.1"}, // the first is what the client sent
		{"10.0.0.1:1", "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1"},
		{"10.0.0.1:1", "6.6.6.6, 198.51.100.1, 2001:db8:ffff::1", "198.51.100.1"},
		{"[2001:db8:ffff::1]:1", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"},
		{"10.0.0.1:1", "[2001:db8:1:2:3::4]:9, 10.0.0.2:55", "2001:db8:1:2::/64"},
		{"10.0.0.1:1", "198.51.100.1:4711", "198.51.100.1"},
		{"10.0.0.1:1", "6.6.6.6, unknown", "10.0.0.1"},
		{"10.0.0.1:1", "10.0.0.2", "10.0.0.2"},
	} {
		r := &http.Request{RemoteAddr: test.remote, Header: http.Header{}}
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-For", test.forwarded)
		}
		if got := s.address(r); got != test.want {
			t.Errorf("%s for %q: %s", test.remote, test.forwarded, got)
		}
	}
	if n := strings.Count(log.String(), "name its address"); n != 1 || strings.Contains(log.String(), "192.0.2.7") {
		t.Errorf("logged:\n%s", log.String())
	}
}

// Threat: behind a proxy one client uses up what the node allows, and so stops all
// others there.
func TestBehindAProxy(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		o.Limits = Limits{Rate: Rate{0.001, 5}, Requests: 4, PerAddress: 2}
	})
	flood, other := *w, *w
	flood.asks, other.asks = "6.6.6.6, 198.51.100.1", "6.6.6.6, 198.51.100.2"
	for i := range 6 {
		if r := flood.get(node.PathConfig); (r.status == http.StatusTooManyRequests) != (i == 5) {
			t.Errorf("request %d: status %d", i, r.status)
		}
	}
	other.ok(other.get(node.PathConfig))
	flood.asks = "192.0.2.9, 198.51.100.1" // what it says itself gives it nothing
	flood.refused("under another name", flood.get(node.PathConfig), node.KindTooMany)
}

// Requests under way and the memory of their bodies are bounded; who is too much
// is told so, and when to come again.
func TestBusy(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Requests, o.Limits.PerAddress = 2, 2 })
	w.server.gate.requests.patience = time.Hour
	// Two requests whose bodies do not come hold both places.
	conns := []net.Conn{w.dial(), w.dial()}
	for _, c := range conns {
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: node\r\nContent-Length: 222\r\n\r\n", node.PathErase)
	}
	w.await(func() bool { n, _ := w.server.gate.load(); return n == 2 })
	r := w.get(node.PathCheckpoint)
	if p := w.refused("a third", r, node.KindBusy); p.RetryAfter != 1 || r.header.Get("Retry-After") != "1" {
		t.Errorf("%+v", p)
	}
	for _, c := range conns {
		c.Close()
	}
	w.await(func() bool { n, bytes := w.server.gate.load(); return n == 0 && bytes == 0 })
	w.ok(w.get(node.PathCheckpoint))

	const big = 60 << 20
	one, two, three := clientOf('a', "1"), clientOf('a', "2"), clientOf('a', "3")
	made := newGate(10, 10, 2*big, 0, w.clock.uptime)
	g := &made
	enter := func(c client) *place {
		p := g.enter(c)
		if p == nil {
			t.Fatal("no place")
		}
		return p
	}
	first, second, third := enter(one), enter(two), enter(three)
	if !first.reserve(big) || enter(one).reserve(big) || !second.reserve(big) || third.reserve(big) {
		t.Error("memory")
	}
	if !third.reserve(uncounted) || !enter(one).reserve(uncounted) {
		t.Error("no room for a few bytes")
	}
	first.leave()
	if !third.reserve(big) {
		t.Error("memory is not given back")
	}
	made = newGate(10, 2, 0, time.Hour, w.clock.uptime)
	first = enter(one)
	if enter(one); g.enter(one) != nil || g.enter(two) == nil {
		t.Error("one address takes everybody's place")
	}
	first.leave()
	enter(one)
}

// The same over the network: who was put out is told that it was too slow.
func TestPutOut(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Requests, o.Limits.PerAddress = 1, 1 })
	w.server.gate.requests.patience = 0
	conn := w.dial()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: node\r\nContent-Length: 222\r\n\r\n", node.PathErase)
	w.await(func() bool { return w.server.gate.waits() == 1 })
	w.ok(w.get(node.PathCheckpoint))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	w.must(err)
	body, err := io.ReadAll(resp.Body)
	w.must(err)
	w.refused("who was put out", reply{resp.StatusCode, resp.Header, body}, node.KindTooSlow)
}

// Threat: somebody begins requests and does not send their bodies, or does not read
// the answers, from as many addresses as it takes, so that nobody can revoke. Who is
// there gets the place of who waited longest, of the client with most at once, and
// nobody who has sent all is put out.
func TestWhoDoesNotComeMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		uptime := func() time.Duration { return time.Since(start) }
		made := newGate(3, 2, 1<<30, patience, uptime)
		g := &made
		a, b, c, d := clientOf('a', "a"), clientOf('a', "b"), clientOf('a', "c"), clientOf('a', "d")
		ended := map[*place]bool{}
		until := func(p *place) func(time.Time) error {
			return func(at time.Time) error { ended[p] = at.Before(time.Now()); return nil }
		}
		begin := func(from client) *place {
			p := g.enter(from)
			if p == nil {
				t.Fatal("no place")
			}
			if !p.wait(until(p), time.Now().Add(time.Minute)) {
				t.Fatal("no time")
			}
			time.Sleep(time.Second) // on the bubble's clock
			return p
		}
		// Of the client with most the one goes at once that waits longest.
		slow, slower := begin(a), begin(a)
		done := begin(b)
		done.is(busy)
		slower.wait(until(slower), time.Now().Add(time.Minute)) // a step came just now
		p := g.enter(c)
		if p == nil || !ended[slow] || slow.wait(until(slow), time.Now().Add(time.Hour)) {
			t.Fatal("the one that waited longest stays")
		}
		if ended[slower] || ended[done] {
			t.Error("another one was put out")
		}
		if n, _ := g.load(); n != 3 {
			t.Errorf("%d places", n)
		}
		slow.leave() // its own end comes later, and frees nothing more
		if slow.reserve(1 << 20) {
			t.Error("who was put out gets memory")
		}
		if n, _ := g.load(); n != 3 || g.requests.of[a] != 1 {
			t.Errorf("%d places, %d of the first address", n, g.requests.of[a])
		}
		// Who has no more than others is waited for.
		if g.enter(d) != nil {
			t.Error("put out although it goes on")
		}
		time.Sleep(patience)
		if g.enter(d) == nil || !ended[slower] {
			t.Error("the other one stays")
		}
		if g.enter(b) != nil || ended[done] {
			t.Error("somebody was put out who had sent all")
		}
		// At the limit of an address only its own make room.
		made = newGate(10, 1, 1<<30, patience, uptime)
		other, own := begin(b), begin(a)
		time.Sleep(patience)
		if g.enter(a) == nil || !ended[own] || ended[other] {
			t.Error("the wrong one made room")
		}
		if g.enter(a) != nil {
			t.Error("two of an address that may have one")
		}
		// Who waits for the node makes room for who has asked for less, and nobody else.
		made = newGate(3, 3, 1<<30, patience, uptime)
		gone := make(chan error)
		for range 3 {
			p := g.enter(a)
			go func() {
				gone <- p.queue(t.Context(), func(ctx context.Context) error {
					<-ctx.Done()
					return ctx.Err()
				})
			}()
		}
		synctest.Wait()
		time.Sleep(time.Hour)
		if g.enter(b) == nil {
			t.Fatal("no place beside a queue")
		}
		if e, ok := errors.AsType[*node.RefusedError](<-gone); !ok || e.Kind != node.KindBusy {
			t.Errorf("%v", e)
		}
		if g.enter(b) != nil {
			t.Error("somebody is put out for one who has as much")
		}
		for q := range g.requests.all {
			if q.doing == firm {
				q.leave()
				if err := <-gone; err == nil {
					t.Error("ended without an error")
				}
			}
		}
	})
}

// Memory is taken as bytes come. Where it is short, of the client that holds most the
// one that brings nothing longest goes; and answers on their way count too.
func TestMemoryGoesToWhoSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 200 << 20
		start := time.Now()
		made := newGate(100, 100, most, patience, func() time.Duration { return time.Since(start) })
		g := &made
		ended := map[*place]bool{}
		hold := func(from string, n int64) (*place, bool) {
			p := g.enter(clientOf('a', from))
			ok := p.reserve(n)
			p.wait(func(at time.Time) error { ended[p] = at.Before(time.Now()); return nil }, time.Now().Add(time.Minute))
			time.Sleep(time.Millisecond)
			return p, ok
		}
		a1, _ := hold("a", 60<<20)
		a2, _ := hold("a", 30<<20)
		b1, _ := hold("b", 60<<20)
		b2, _ := hold("b", 30<<20)
		honest, ok := hold("honest", 40<<20)
		if !ok || !ended[a1] || ended[a2] || ended[b1] || ended[b2] {
			t.Fatal("the memory of those who bring nothing is not to be had")
		}
		// An answer is written at all events, and what it takes is taken from them too.
		honest.answers(90 << 20)
		if !ended[b1] || ended[honest] {
			t.Error("an answer found no room")
		}
		// One client's answers that nobody reads do not grow without bound.
		for range 100 {
			p := g.enter(clientOf('a', "reader"))
			p.wait(func(time.Time) error { return nil }, time.Now().Add(time.Minute))
			p.answers(5 << 20)
		}
		if n, bytes := g.load(); bytes > most || n > 4 {
			t.Errorf("%d requests, %d bytes", n, bytes)
		}
	})
}

// waits is how many are waited for.
func (g *gate) waits() (n int) {
	g.requests.mu.Lock()
	defer g.requests.mu.Unlock()
	for p := range g.requests.all {
		if p.doing != busy {
			n++
		}
	}
	return n
}

// await polls until something is so.
func (w *world) await(so func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatal("waited for a minute")
		}
	}
}

// A body that does not come in time is given up, and the node says so.
func TestSlowBody(t *testing.T) {
	w := newWorld(t, nil)
	q := &request{Request: &http.Request{ContentLength: 222, Body: io.NopCloser(late{})}, route: route{max: 1000}, w: &recorder{ResponseWriter: discard{}}, place: w.server.gate.enter(client{})}
	err := w.server.readBody(q, http.NewResponseController(q.w))
	if e, ok := errors.AsType[*node.RefusedError](err); !ok || e.Kind != node.KindTooSlow {
		t.Errorf("%v", err)
	}
	q.Body = io.NopCloser(strings.NewReader("cut off"))
	if err := w.server.readBody(q, http.NewResponseController(q.w)); err != errGone {
		t.Errorf("%v", err)
	}
	if _, bytes := w.server.gate.load(); bytes != 0 {
		t.Errorf("%d bytes are still counted", bytes)
	}
}

// late is a connection whose deadline has passed.
type late struct{}

func (late) Read([]byte) (int, error) {
	return 0, &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// While it closes, a node answers what it has begun and tells all others to come
// again.
func TestClose(t *testing.T) {
	w := newWorld(t, nil)
	w.send(make([]byte, 100), 100)
	conn := w.dial()
	body := node.EntriesForm.Marshal(w.records(1))
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: node\r\nContent-Length: %d\r\n\r\n", node.PathEntries, len(body))
	w.await(func() bool { return w.server.stopGate.waits() == 1 })
	w.server.Close()
	conn.Write(body)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	w.must(err)
	got, err := io.ReadAll(resp.Body)
	w.must(err)
	if p := w.refused("what came too late", reply{resp.StatusCode, resp.Header, got}, node.KindClosing); p.RetryAfter == 0 {
		t.Errorf("%+v", p)
	}
	w.refused("afterwards", w.get(node.PathCheckpoint), node.KindClosing)
	if w.server.uploads.places.load() != 0 || len(w.server.uploads.all) != 0 {
		t.Error("uploads are left")
	}
	if s := w.server.Health(); s != "closing" {
		t.Errorf("health %q", s)
	}
	w.server.Close() // again: a no-op
}

// What was submitted before the node closes is ordered and answered.
func TestCloseOrdersWhatCame(t *testing.T) {
	w := newWorld(t, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	accepted := 0
	for range 10 {
		body := node.EntriesForm.Marshal(w.records(2))
		wg.Go(func() {
			r := w.post(node.PathEntries, body)
			if r.status == http.StatusOK {
				mu.Lock()
				accepted += 2
				mu.Unlock()
			} else if p, err := node.ParseProblem(r.body); err != nil || p.Kind != node.KindClosing {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
	w.server.Close()
	wg.Wait()
	head, err := w.folder.Head(ctx)
	w.must(err)
	if int(head.Size) != 1+accepted {
		t.Errorf("%d entries, %d accepted", head.Size, accepted)
	}
}

func TestProblems(t *testing.T) {
	for _, test := range []struct {
		err   error
		kind  node.Kind
		cause string
	}{
		{folder.ErrBusy.With("dir", "/srv/secret"), node.KindBusy, "*fmt.wrapError"},
		{folder.ErrClock, node.KindClock, "*fmt.wrapError"},
		{clockOff("ledger", -time.Hour), node.KindClock, `clock-off by=-1h0m0s against="ledger"`},
		{folder.ErrReadOnly.Of(fs.ErrPermission, "dir", "/srv/secret"), node.KindReadOnly, "*fmt.wrapError"},
		{&folder.DamagedError{File: "store/blobs/secret/terms"}, node.KindDamaged, "store is damaged"},
		{&fs.PathError{Op: "write", Path: "store/blobs/secret", Err: syscall.ENOSPC}, node.KindFull, "write: " + syscall.ENOSPC.Error()},
		{errors.New("secret"), node.KindFailed, "*errors.errorString"},
	} {
		err := fmt.Errorf("secret: %w", test.err)
		if k := problemOf(err).Kind; k != test.kind {
			t.Errorf("%v: %s", test.err, k)
		}
		if test.kind == node.KindFailed {
			err = test.err
		}
		c := cause(err)
		if strings.Contains(c, "secret") {
			t.Errorf("%q names what it must not", c)
		}
		if c != test.cause {
			t.Errorf("%q, not %q", c, test.cause)
		}
	}
}

func (w *world) size() uint64 {
	head, err := w.folder.Head(ctx)
	w.must(err)
	return head.Size
}
