package server

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// fakeConn remembers that it was closed.
type fakeConn struct {
	net.Conn
	address string
	closed  bool
}

func (c *fakeConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(c.address), Port: 1} }
func (c *fakeConn) Close() error         { c.closed = true; return nil }

// Threat: thousands of connections on which nothing is asked use up the node's memory,
// or all that it has. Who comes gets in, for one of those who have most.
func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{opt: Options{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
		s.buckets = newBuckets(100, func() time.Duration { return 0 })
		s.limits.Rate = Rate{1, 30}
		start := time.Now()
		s.conns = newRoom(8, 5, 0, func() time.Duration { return time.Since(start) })
		open := func(address string, state http.ConnState) *fakeConn {
			c := &fakeConn{address: address}
			s.connState(c, http.StateNew)
			if !c.closed {
				s.connState(c, state)
			}
			time.Sleep(time.Second) // on the bubble's clock
			return c
		}
		closed := func(want *fakeConn, all ...*fakeConn) {
			t.Helper()
			for i, c := range all {
				if c.closed != (c == want) {
					t.Errorf("connection %d closed: %v", i, c.closed)
				}
			}
			if want != nil {
				s.connState(want, http.StateClosed) // as net/http tells
			}
		}
		var a []*fakeConn
		for range 4 {
			a = append(a, open("192.0.2.1", http.StateActive))
		}
		idle := open("192.0.2.1", http.StateIdle)
		closed(nil, append(a, idle)...)
		// At its own limit a client loses the one on which nothing is asked, and nobody else.
		b := open("192.0.2.2", http.StateIdle)
		a = append(a, open("192.0.2.1", http.StateActive))
		closed(idle, append(a, idle, b)...)
		if c := open("192.0.2.1", http.StateActive); !c.closed {
			t.Error("one more than an address may have")
		}
		// At the limit of all, the one with most makes room, whatever it asks.
		c := []*fakeConn{open("192.0.2.3", http.StateIdle), open("192.0.2.4", http.StateActive)}
		d := open("192.0.2.5", http.StateActive)
		n := 0
		for _, k := range a {
			if k.closed {
				n++
				s.connState(k, http.StateClosed) // as net/http tells
			}
		}
		if n != 1 || len(s.conns.all) != 8 {
			t.Errorf("%d of the one with most were closed, %d are open", n, len(s.conns.all))
		}
		closed(nil, append(c, b, d)...)
		// The operator's proxies are many people, and are not counted.
		for range 100 {
			if p := open("10.1.2.3", http.StateIdle); p.closed {
				t.Fatal("a proxy's connection was closed")
			}
		}
		// Opening many costs what requests cost.
		refused := false
		for range 40 {
			k := open("192.0.2.6", http.StateIdle)
			s.connState(k, http.StateClosed)
			refused = k.closed
		}
		if !refused {
			t.Error("connections without end")
		}
		if len(s.conns.all) > 8 || len(s.conns.of) > 8 {
			t.Errorf("%d clients are remembered", len(s.conns.of))
		}
	})
}

// Threat: a connection that has to leave is of somebody who reads nothing. Whoever comes
// does not wait for him to read a goodbye.
func TestNobodyWaitsForAGoodbye(t *testing.T) {
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	defer certificate.Close()
	config := &tls.Config{Certificates: certificate.TLS.Certificates, SessionTicketsDisabled: true, InsecureSkipVerify: true}
	synctest.Test(t, func(t *testing.T) {
		s := &Server{limits: Limits{Rate: Rate{PerSecond: -1}}}
		s.conns = newRoom(1, 1, 0, func() time.Duration { return 0 })
		s.buckets = newBuckets(100, func() time.Duration { return 0 })
		here, there := net.Pipe()
		server := tls.Server(from{there, "192.0.2.1"}, config)
		go tls.Client(here, config).Handshake()
		if err := server.Handshake(); err != nil {
			t.Fatal(err)
		}
		s.connState(server, http.StateNew)
		s.connState(server, http.StateIdle)
		start := time.Now()
		s.connState(&fakeConn{address: "192.0.2.1"}, http.StateNew)
		if took := time.Since(start); took != 0 {
			t.Errorf("somebody waited for %s", took)
		}
		if _, err := server.Write([]byte{1}); err == nil {
			t.Error("nobody left")
		}
		here.Close()
	})
}
