package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/server"
	"github.com/carekey/carekey/ledgerclient/order"
)

// region is a ledger of several institutions whose nodes run in this process, over one order in
// memory. The wallets are processes.
type region struct {
	*distantTown
	id      crypto.LedgerID
	order   *ledgertest.Memory
	members []*member
	serving chan struct{}
}

// member is one of its institutions.
type member struct {
	r      *region
	name   string
	dir    string
	keys   folder.Keys
	http   *httptest.Server
	server *server.Server

	lying sync.Mutex // one lie at a time
	mu    sync.Mutex
	lie   lie           // nil: it is honest
	told  bool          // a lie, since it began
	after *member       // whose lie is waited for with what opens a consent; nil: nobody's
	tells chan struct{} // closed when a lie was told
}

// lie makes of an answer what is given in its place; nil: none is.
type lie func(r *http.Request, body, answer []byte) []byte

// newRegion founds a ledger of so many as n names, of which threshold sign a head and k open.
func newRegion(t *testing.T, threshold, k int, names ...string) *region {
	t.Helper()
	r := &region{distantTown: newHomes(t), serving: make(chan struct{})}
	r.order = &ledgertest.Memory{Clock: func() contract.Hour { return contract.Hour(r.now().Unix() / 3600) }}
	config := contract.Config{Name: "Region ledger", Contract: contract.ContractVersion, Threshold: uint8(threshold), Release: uint8(k)}
	for _, name := range names {
		m := &member{r: r, name: name, keys: folder.NewKeys()}
		m.http = httptest.NewServer(m)
		t.Cleanup(m.http.Close)
		r.members = append(r.members, m)
		config.Nodes, config.Keepers = append(config.Nodes, m.keys.Node()), append(config.Keepers, m.keys.Keeper())
	}
	r.id = config.LedgerID()
	for _, m := range r.members {
		m.serve(config.Marshal())
	}
	close(r.serving)
	return r
}

func (r *region) now() time.Time { return townClock.Add(time.Since(r.start)) }

// serve makes an institution's folder and opens it to others.
func (m *member) serve(genesis []byte) {
	r, ctx := m.r, context.Background()
	r.t.Helper()
	m.dir = filepath.Join(r.t.TempDir(), "node")
	fd, err := m.keys.Founding(genesis)
	r.must(err)
	f, err := folder.CreateIn(ctx, m.dir, fd, r.order, r.now)
	r.must(err)
	r.must(server.Founded(ctx, f, r.now()))
	r.must(f.Close())
	f, err = folder.Open(m.dir, folder.Options{Clock: r.now})
	r.must(err)
	l := order.NewLedger(r.order, f, r.now)
	r.must(l.Follow(ctx))
	opt := server.Options{Clock: r.now, Ledger: l, Limits: server.Limits{Rate: server.Rate{PerSecond: -1}}}
	for _, other := range r.members {
		if other != m {
			peer := node.NewPeer([]string{other.http.URL}, crypto.Hash{})
			opt.Peers, opt.Sites = append(opt.Peers, peer), append(opt.Sites, peer.Sites)
		}
	}
	opt.Site = func(number uint64) node.Site {
		return node.NewSite(r.id, node.Member{Name: m.name, Node: m.keys.Node(), Keeper: m.keys.Keeper(), URLs: []string{m.http.URL}}, number, m.keys.Sign, m.keys.SignAsKeeper)
	}
	m.server, err = server.New(ctx, f, opt)
	r.must(err)
	r.t.Cleanup(func() {
		m.server.Close()
		f.Close()
	})
}

// begin makes an institution lie from now on; nil: it is honest.
func (m *member) begin(l lie) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lie, m.told, m.tells = l, false, make(chan struct{})
}

func (m *member) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	<-m.r.serving
	m.mu.Lock()
	l, after := m.lie, m.after
	m.mu.Unlock()
	if after != nil && (q.URL.Path == node.PathRelease || q.URL.Path == node.PathBulk) {
		after.mu.Lock()
		told := after.tells
		after.mu.Unlock()
		select {
		case <-told:
		case <-q.Context().Done():
		}
	}
	if l == nil {
		m.server.ServeHTTP(w, q)
		return
	}
	body, err := io.ReadAll(q.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	q.Body = io.NopCloser(bytes.NewReader(body))
	honest := httptest.NewRecorder()
	m.server.ServeHTTP(honest, q)
	answer := append([]byte{}, honest.Body.Bytes()...) // there is one, also if it is empty
	if honest.Code < 300 {
		said := func() []byte {
			m.lying.Lock()
			defer m.lying.Unlock()
			return l(q, body, bytes.Clone(answer))
		}()
		if !bytes.Equal(said, answer) {
			defer m.tell()
		}
		if answer = said; answer == nil {
			panic(http.ErrAbortHandler)
		}
	}
	for name, values := range honest.Header() {
		w.Header()[name] = values
	}
	w.Header().Del("Content-Length")
	w.WriteHeader(honest.Code)
	w.Write(answer)
}

func (m *member) tell() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.told {
		m.told = true
		close(m.tells)
	}
}

// lied reports whether a lie was told since it began.
func (m *member) lied() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.told
}

// invitation is to the node of an institution.
func (m *member) invitation() string {
	return node.Invitation{Ledger: m.r.id, Node: m.keys.Node().Checkpoint, Name: "Region ledger", URLs: []string{m.http.URL}}.String()
}

// get asks a node for something until it is as it is to be.
func (m *member) get(path string, done func(answer []byte) bool) {
	m.r.t.Helper()
	for limit := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		answer, err := m.http.Client().Get(m.http.URL + path)
		m.r.must(err)
		raw, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		m.r.must(err)
		if answer.StatusCode == http.StatusOK && done(raw) {
			return
		}
		if time.Now().After(limit) {
			m.r.t.Fatalf("%s: %s answers %d %.80q", path, m.name, answer.StatusCode, raw)
		}
	}
}

// reached waits until every node knows where all of them are.
func (r *region) reached() {
	r.t.Helper()
	for _, m := range r.members {
		m.get(node.PathSites, func(answer []byte) bool {
			sites, err := node.SitesForm.Parse(answer)
			r.must(err)
			return len(sites) == len(r.members)
		})
	}
}
