package node_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
)

// gatekeeper stands before a node, takes down what is asked, and can be away.
type gatekeeper struct {
	node http.Handler

	mu    sync.Mutex
	away  bool
	asked []string // path without node.Prefix, and the position from which news are wanted
}

func (g *gatekeeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.asked = append(g.asked, strings.TrimSpace(strings.TrimPrefix(r.URL.Path, node.Prefix)+" "+r.Header.Get(node.HeaderFrom)))
	away := g.away
	g.mu.Unlock()
	if away {
		panic(http.ErrAbortHandler)
	}
	g.node.ServeHTTP(w, r)
}

// since is what was asked since the last time.
func (g *gatekeeper) since() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	asked := g.asked
	g.asked = nil
	return asked
}

func behindGatekeeper(t *testing.T) (*gatekeeper, node.Invitation, []byte) {
	n, inv := start(t)
	doc, err := dial(t, inv, node.Options{}).Ledger.Genesis(ctx)
	if err != nil {
		t.Fatal(err)
	}
	g := &gatekeeper{node: n}
	front := httptest.NewServer(g)
	t.Cleanup(front.Close)
	inv.URLs = []string{front.URL}
	return g, inv, doc
}

// Who follows the log asks once, however much is new of at most MaxNews leaves, and not
// at all after its own entries; and by the position from which it asks the node does not
// learn which wallet comes back.
func TestNewsAreAskedForOnce(t *testing.T) {
	g, inv, doc := behindGatekeeper(t)
	connect := func() (*ledgerclient.Client, ledgerclient.Services) {
		s := dial(t, inv, node.Options{Genesis: doc})
		c, err := ledgerclient.Connect(ctx, s, inv.Ledger)
		if err != nil {
			t.Fatal(err)
		}
		return c, s
	}
	c, _ := connect()
	var pin ledgerclient.Pin
	advance := func(c *ledgerclient.Client, what string, want ...string) {
		t.Helper()
		next, _, err := c.Advance(ctx, pin, ledgerclient.Pin{}, func(uint64, *contract.Leaf) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		pin = next
		asked := g.since()
		slices.Sort(asked) // bundles come a few at a time
		if !slices.Equal(asked, want) {
			t.Errorf("%s: asked %q, not %q", what, asked, want)
		}
	}
	submit := func(c *ledgerclient.Client, n int) {
		t.Helper()
		if _, err := c.Submit(ctx, records(t, inv.Ledger, n)); err != nil {
			t.Fatal(err)
		}
	}
	advance(c, "the first time", "news 0")
	advance(c, "again", "news 1")
	submit(c, 300)
	advance(c, "after its own entries", "entries 1")
	advance(c, "after that", "news 301")
	other, _ := connect()
	submit(other, 3)
	g.since()
	advance(c, "after those of others", "news 301")
	later, _ := connect()
	advance(later, "another process with the same wallet", "news 256")
	advance(later, "a second time", "news 304")
	submit(other, node.MaxNews+1)
	g.since()
	advance(later, "more than come along", "news 304", "tile/entries/001", "tile/entries/002", "tile/entries/003.p/49")
	// What it went through it needs no proof of.
	passed := ledgerclient.Head{Size: pin.Size, Root: pin.Root}
	submit(other, 1)
	next, head, err := later.Advance(ctx, pin, ledgerclient.Pin{}, func(uint64, *contract.Leaf) error { return nil })
	if err != nil || next.Size != pin.Size+1 {
		t.Fatalf("%d, %v", next.Size, err)
	}
	g.since()
	if err := later.CheckHead(ctx, passed, head); err != nil || len(g.since()) != 0 {
		t.Errorf("a proof of what was read is asked for: %v", err)
	}
	wrong := passed
	wrong.Root[0] ^= 1
	if err := later.CheckHead(ctx, wrong, head); err == nil {
		t.Error("another root is taken for one that was passed")
	}
}

// A hundred heads that others saw, in their terms and accesses, are checked without a
// question by who went through them, and with a few by who did before.
func TestHeadsOfOthers(t *testing.T) {
	g, inv, doc := behindGatekeeper(t)
	connect := func() *ledgerclient.Client {
		c, err := ledgerclient.Connect(ctx, dial(t, inv, node.Options{Genesis: doc}), inv.Ledger)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	advance := func(c *ledgerclient.Client, from ledgerclient.Pin) (ledgerclient.Pin, ledgerclient.Head) {
		t.Helper()
		pin, head, err := c.Advance(ctx, from, ledgerclient.Pin{}, func(uint64, *contract.Leaf) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		return pin, head
	}
	others := connect()
	pin, head := advance(others, ledgerclient.Pin{})
	seen := []ledgerclient.Head{head}
	for n := 0; head.Size < 1000; n++ {
		if _, err := others.Submit(ctx, records(t, inv.Ledger, 1+n%37)); err != nil {
			t.Fatal(err)
		}
		pin, head = advance(others, pin)
		seen = append(seen, head)
	}
	early := pin
	through, _ := advance(connect(), ledgerclient.Pin{})
	c := connect()
	if pin, head = advance(c, ledgerclient.Pin{}); pin.Root != through.Root {
		t.Fatal("another root")
	}
	check := func(c *ledgerclient.Client, most int) {
		t.Helper()
		g.since()
		for _, h := range seen {
			if err := c.CheckHead(ctx, h, head); err != nil {
				t.Errorf("size %d: %v", h.Size, err)
			}
		}
		if asked := g.since(); len(asked) > most {
			t.Errorf("asked for %d heads: %q", len(seen), asked)
		}
		for _, h := range seen {
			h.Root[3] ^= 1
			if err := c.CheckHead(ctx, h, head); err == nil {
				t.Errorf("size %d: another root is taken for what was seen", h.Size)
			}
		}
	}
	check(c, 0)
	later := connect()
	if _, again := advance(later, early); again.Root != head.Root {
		t.Fatal("another head")
	}
	check(later, 8)
}

// A node that does not show its head is asked for nothing else before it does: nobody
// waits for it again and again. A revocation is tried all the same.
func TestAwayIsAskedOnce(t *testing.T) {
	g, inv, doc := behindGatekeeper(t)
	s := dial(t, inv, node.Options{Genesis: doc})
	g.away = true
	unreachable := func(what string, err error, want ...string) {
		t.Helper()
		if ledgerclient.Unreachable(err) == nil {
			t.Errorf("%s: %v", what, err)
		}
		if asked := g.since(); !slices.Equal(slices.Compact(asked), want) { // package net/http may ask again on a new connection
			t.Errorf("%s: asked %q", what, asked)
		}
	}
	_, err := s.Ledger.Checkpoint(ctx)
	unreachable("head", err, "checkpoint")
	_, err = s.Store.Blob(ctx, crypto.Locator{})
	unreachable("payload", err)
	_, err = s.Ledger.Append(ctx, records(t, inv.Ledger, 1))
	unreachable("entry", err)
	key := crypto.GenerateKey()
	e := contract.Entry{Version: contract.Version, Kind: contract.KindRevoke, Author: key.Public(), Subject: contract.ID{1}, NotAfter: contract.Forever, Commitment: crypto.Hash{1}}
	if err := e.Sign(inv.Ledger, key); err != nil {
		t.Fatal(err)
	}
	_, err = s.Ledger.Append(ctx, []contract.Entry{e})
	unreachable("revocation", err, "entries 0")
	_, err = s.Keepers[0].Revoke(ctx, []contract.Entry{e})
	unreachable("revocation at the keeper", err, "keeper/revoke")
	_, err = s.Ledger.Checkpoint(ctx)
	unreachable("head again", err, "checkpoint")
	g.mu.Lock()
	g.away = false
	g.mu.Unlock()
	if _, err := s.Ledger.Checkpoint(ctx); err != nil {
		t.Error(err)
	}
	if _, err := s.Ledger.Append(ctx, records(t, inv.Ledger, 1)); err != nil {
		t.Errorf("the node is there again: %v", err)
	}
}

// The keeper is told how much of the log was seen, where another node has shown it: of what
// the node itself has shown, the number would only tell which wallet asks.
func TestKeeperIsToldWhatOthersShowed(t *testing.T) {
	g, inv, doc := behindGatekeeper(t)
	s := dial(t, inv, node.Options{Genesis: doc})
	if _, err := s.Ledger.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	log := s.Ledger.(interface{ From(uint64) })
	for _, c := range []struct {
		seen uint64
		want string
	}{{0, ""}, {1, ""}, {300, " 300"}} {
		log.From(c.seen)
		g.since()
		s.Keepers[0].State(ctx, ledgerclient.Inquiry{})
		s.Keepers[0].Revoke(ctx, records(t, inv.Ledger, 1))
		if got := g.since(); !slices.Equal(got, []string{"keeper/state" + c.want, "keeper/revoke" + c.want}) {
			t.Errorf("%d seen: %q", c.seen, got)
		}
	}
}
