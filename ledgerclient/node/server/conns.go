package server

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// conns bounds the connections, which cost memory also while nothing is asked on
// them. At the limit the one is closed that asks for nothing longest, of the client
// that has most; a client at its own limit loses one of its own.
type conns struct {
	most, perAddress int

	mu  sync.Mutex
	all map[net.Conn]*conn
	of  map[client]int
}

type conn struct {
	from  client
	quiet time.Time // since when nothing is asked on it; zero: something is
}

// state is for http.Server.ConnState. false: there is no room, and nobody to close.
func (s *conns) state(c net.Conn, from client, state http.ConnState) (closing net.Conn, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch k := s.all[c]; {
	case state == http.StateNew:
		if s.all == nil {
			s.all, s.of = map[net.Conn]*conn{}, map[client]int{}
		}
		if own := s.of[from] >= s.perAddress; own || len(s.all) >= s.most {
			if closing = s.leaves(from, own); closing == nil {
				return nil, false
			}
			s.remove(closing)
		}
		s.all[c] = &conn{from: from, quiet: time.Now()}
		s.of[from]++
	case k == nil:
	case state == http.StateActive:
		k.quiet = time.Time{}
	case state == http.StateIdle:
		k.quiet = time.Now()
	default:
		s.remove(c)
	}
	return closing, true
}

// leaves is the connection that has to leave for a new one; nil if none has to. A
// client with more than the others loses also one on which something is asked.
func (s *conns) leaves(from client, own bool) net.Conn {
	c, _ := mustLeave(func(see func(net.Conn, holder)) {
		for c, k := range s.all {
			h := holder{from: k.from, firm: k.quiet.IsZero()}
			if !h.firm {
				h.waits = time.Since(k.quiet)
			}
			see(c, h)
		}
	}, func(c client) int64 { return int64(s.of[c]) }, from, own, 0)
	return c
}

func (s *conns) remove(c net.Conn) {
	k := s.all[c]
	delete(s.all, c)
	if s.of[k.from]--; s.of[k.from] == 0 {
		delete(s.of, k.from)
	}
}

// connState bounds the connections of a server. Those of the operator's proxies are
// not counted: they are many people's.
func (s *Server) connState(c net.Conn, state http.ConnState) {
	var from client
	if state == http.StateNew {
		address, proxy := s.peer(c.RemoteAddr().String())
		if proxy {
			return
		}
		from = clientOf('a', address)
		if _, ok := s.buckets.take(from, "connections", s.limits.Rate, 1); !ok {
			hangUp(c)
			return
		}
	}
	closing, ok := s.conns.state(c, from, state)
	if closing != nil {
		hangUp(closing)
	}
	if !ok {
		hangUp(c)
	}
}

// hangUp closes a connection without the goodbye of TLS. Whoever does not read keeps
// that waiting, and with it all that come: connState runs where they are accepted.
func hangUp(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	c.Close()
}
