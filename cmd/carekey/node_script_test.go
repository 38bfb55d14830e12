package main

import (
	"encoding/pem"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/carekey/carekey/ledgerclient/node/nodetest"
	"github.com/carekey/carekey/ledgerclient/node/server"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/rogpeppe/go-internal/testscript"
)

// scriptNodeKey is where a script keeps it.
type scriptNodeKey struct{}

// scriptNode is the node of a script.
type scriptNode struct {
	n   *nodetest.Node
	mu  sync.Mutex
	now time.Time

	asked map[string]int // what the node's metrics said the last time, by route
}

// requests is what came since the last time, by route, out of the node's metrics.
func (s *scriptNode) requests() (all int, routes string) {
	now := map[string]int{}
	for line := range strings.Lines(s.n.Metrics()) {
		rest, ok := strings.CutPrefix(line, `carekey_requests_total{route="`)
		route, _, _ := strings.Cut(rest, `"`)
		if !ok {
			continue
		}
		n, _ := strconv.Atoi(strings.TrimSpace(rest[strings.LastIndex(rest, " ")+1:]))
		now[route] += n
	}
	for _, route := range slices.Sorted(maps.Keys(now)) {
		if n := now[route] - s.asked[route]; n > 0 {
			all += n
			routes += fmt.Sprintf(" %s %d", route, n)
		}
	}
	s.asked = now
	return all, routes
}

func (s *scriptNode) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// ledgerNode: a node that can lie.
//
//	ledgernode start           a new ledger, served on loopback; it is the one that all actors use
//	ledgernode start beside    the same, but only $INVITATION is set; with a DIR behind it, in another folder
//	ledgernode restart         the same ledger, at the same address, with the clock of the script
//	ledgernode token TOKEN     takes entries only with it from now on; $INVITATION has it
//	ledgernode requests MOST   since the last time it was asked no more than so many came; without MOST it is only asked
//	ledgernode links           takes links from now on, at https://127.0.0.1:PORT ($LINKS), whose
//	                           certificate is in a file that $SSL_CERT_FILE names
//	ledgernode stop
//	ledgernode remember        keep what the lies about the past show
//	ledgernode lie NAME [PATH] see package nodetest
//	ledgernode honest
func ledgerNode(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(scriptNodeKey{}).(*scriptNode)
	tell := func() {
		now, err := time.Parse(time.RFC3339, ts.Getenv(testClock))
		ts.Check(err)
		s.mu.Lock()
		s.now = now
		s.mu.Unlock()
	}
	if s.n == nil && args[0] != "start" {
		ts.Fatalf("no node was started")
	}
	switch args[0] {
	case "start":
		tell()
		dir := "node"
		if len(args) > 2 {
			dir = args[2]
		}
		n, err := nodetest.Start(ts.MkAbs(dir), "City ledger", s.clock)
		ts.Check(err)
		ts.Defer(func() { n.Close() })
		s.n = n
		inv, err := s.n.Invitation()
		ts.Check(err)
		if len(args) == 1 {
			ts.Setenv(envLedger, inv.String())
		}
		ts.Setenv("INVITATION", inv.String())
		ts.Setenv("LEDGER", inv.Ledger.String())
	case "restart":
		tell()
		ts.Check(s.n.Restart())
	case "token":
		secret, err := s.n.Token()
		ts.Check(err)
		inv, err := s.n.Invitation()
		ts.Check(err)
		inv.Token = secret
		ts.Setenv("INVITATION", inv.String())
	case "requests":
		all, routes := s.requests()
		ts.Logf("%d requests:%s", all, routes)
		if len(args) > 1 {
			if most, err := strconv.Atoi(args[1]); err != nil || all > most {
				ts.Fatalf("more than %s requests", args[1])
			}
		}
	case "links":
		front := httptest.NewTLSServer(s.n)
		ts.Defer(front.Close)
		cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
		ts.Check(os.WriteFile(ts.MkAbs("authority.pem"), cert, 0o600))
		ts.Setenv("SSL_CERT_FILE", ts.MkAbs("authority.pem"))
		ts.Setenv("LINKS", front.URL)
		tell()
		ts.Check(s.n.TakeLinks(server.Links{URL: front.URL, Note: func(n server.LinkNote) ([]byte, int) {
			note := payload.Access{V: payload.Version, Ledger: n.Ledger, Grant: n.Grant, Author: n.Author, From: n.From, By: n.By, Link: true, Reason: n.Reason, Checkpoint: n.Checkpoint}
			return payload.Marshal(&note), payload.AccessRoom(1)
		}}))
	case "stop":
		s.n.Stop()
	case "remember":
		ts.Check(s.n.Remember())
	case "lie":
		ts.Check(s.n.Lie(args[1], strings.Join(args[2:], "")))
	case "honest":
		ts.Check(s.n.Lie("", ""))
	default:
		ts.Fatalf("ledgernode %s: no such command", args[0])
	}
}
