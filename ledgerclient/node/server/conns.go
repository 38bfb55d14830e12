package server

import (
	"crypto/tls"
	"net"
	"net/http"
)

// connState bounds the connections of a server, which cost memory also while nothing is
// asked on them. Those of the operator's proxies are not counted: they are many people's.
func (s *Server) connState(c net.Conn, state http.ConnState) {
	if state == http.StateNew {
		address, proxy := s.peer(c.RemoteAddr().String())
		if proxy {
			return
		}
		h := &holder{from: clientOf('a', address), leave: func() { hangUp(c) }}
		if _, ok := s.buckets.take(h.from, "connections", s.limits.Rate, 1); !ok || !s.conns.take(h, 1) {
			hangUp(c)
			return
		}
		s.connected.Store(c, h)
		return
	}
	k, ok := s.connected.Load(c)
	if !ok {
		return
	}
	switch h := k.(*holder); state {
	case http.StateActive:
		s.conns.is(h, firm)
	case http.StateIdle:
		s.conns.is(h, idle)
	default:
		s.conns.give(h)
		s.connected.Delete(c)
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
