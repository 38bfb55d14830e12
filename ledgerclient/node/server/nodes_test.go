package server

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/order"
)

// several are the nodes of one ledger as they run, over one order in memory and HTTP. The
// first is a world.
type several struct {
	*world
	config contract.Config
	items  *ledgertest.Memory
	nodes  []*running
}

// running is one of them.
type running struct {
	s      *several
	number int
	dir    string
	server *Server
	folder *folder.Folder
	http   *httptest.Server
	inner  atomic.Pointer[Server] // nil: it answers nothing
	stop   func()
}

func (r *running) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if s := r.inner.Load(); s != nil {
		s.ServeHTTP(w, q)
		return
	}
	panic(http.ErrAbortHandler)
}

func newSeveral(t *testing.T, nodes, threshold int) *several {
	t.Helper()
	s := &several{world: &world{
		t: t, clock: &testClock{wall: time.Unix(int64(testHour)*3600+17, 0), mono: time.Hour},
		root: crypto.NewEntropy().Root(), clinic: crypto.NewEntropy().Root().Identity(),
	}}
	s.items = &ledgertest.Memory{Clock: s.hour}
	s.config = contract.Config{Name: "Test ledger", Contract: contract.ContractVersion, Threshold: uint8(threshold), Release: 1}
	var keys []folder.Keys
	for range nodes {
		k := folder.NewKeys()
		keys = append(keys, k)
		s.config.Nodes, s.config.Keepers = append(s.config.Nodes, k.Node()), append(s.config.Keepers, k.Keeper())
	}
	for i, k := range keys {
		r := &running{s: s, number: i, dir: filepath.Join(t.TempDir(), "node")}
		fd, err := k.Founding(s.config.Marshal())
		s.must(err)
		f, err := folder.CreateIn(ctx, r.dir, fd, s.items, s.clock.now)
		s.must(err)
		s.must(Founded(ctx, f, s.clock.now()))
		s.must(f.Close())
		r.http = httptest.NewServer(r)
		t.Cleanup(r.http.Close)
		s.nodes = append(s.nodes, r)
	}
	for _, r := range s.nodes {
		r.start()
	}
	for _, r := range s.nodes {
		r.reaches(1) // before that a node may not wait for others of whom it knows nothing
	}
	first := s.nodes[0]
	s.folder, s.server, s.http, s.ledger, s.keeper = first.folder, first.server, first.http, first.folder.ID(), keys[0].Keeper()
	return s
}

// start serves the node's folder.
func (r *running) start() {
	w := r.s
	w.t.Helper()
	var err error
	r.folder, err = folder.Open(r.dir, folder.Options{Clock: w.clock.now})
	w.must(err)
	l := order.NewLedger(w.items, r.folder, w.clock.now)
	w.must(l.Follow(ctx))
	opt := Options{Clock: w.clock.now, Ledger: l, Limits: Limits{Rate: Rate{-1, 0}}}
	for _, other := range w.nodes {
		if other != r {
			peer := node.NewPeer([]string{other.http.URL}, crypto.Hash{})
			opt.Peers, opt.Sites = append(opt.Peers, peer), append(opt.Sites, peer.Sites)
		}
	}
	keys, err := folder.KeysIn(r.dir)
	w.must(err)
	opt.Sign = keys.Sign
	opt.Site = func(number uint64) node.Site { return r.site(r.http.URL, number) }
	r.server, err = newServer(ctx, r.folder, opt, w.clock.uptime)
	w.must(err)
	r.patience(2 * time.Minute)
	r.inner.Store(r.server)
	r.stop = func() {
		r.inner.Store(nil)
		r.server.Close()
		r.folder.Close()
	}
	w.t.Cleanup(func() { r.stop() })
}

// site is what the node's institution says of where it is reached.
func (r *running) site(url string, number uint64) node.Site {
	k, err := folder.KeysIn(r.dir)
	r.s.must(err)
	m := node.Member{Name: "Institution", Node: k.Node(), Keeper: k.Keeper(), URLs: []string{url}}
	return node.NewSite(r.s.config.LedgerID(), m, number, k.Sign, k.SignAsKeeper)
}

// patience is how long the node waits for others.
func (r *running) patience(d time.Duration) {
	r.server.cosign.mu.Lock()
	defer r.server.cosign.mu.Unlock()
	r.server.cosign.patience = d
}

// reaches waits until enough nodes have signed a head of that size.
func (r *running) reaches(size uint64) {
	c := r.server.cosign
	for {
		c.mu.Lock()
		there, changed := c.signed().Size >= size, c.changed
		c.mu.Unlock()
		if there {
			return
		}
		select {
		case <-changed:
		case <-time.After(2 * time.Minute):
			r.s.t.Fatalf("node %d has no head of %d entries that enough have signed", r.number, size)
		}
	}
}

// agreed is the head that a node shows, verified as a wallet does.
func (r *running) agreed() (ledgerclient.Head, error) {
	w := r.s
	w.t.Helper()
	answer, err := r.http.Client().Get(r.http.URL + node.PathCheckpoint)
	w.must(err)
	defer answer.Body.Close()
	var raw bytes.Buffer
	_, err = raw.ReadFrom(answer.Body)
	w.must(err)
	s, err := ledgerclient.OpenNote(w.ledger, w.config.Nodes, raw.Bytes())
	w.must(err)
	return s.Under(w.config)
}

// Each institution says where it is reached, and whoever asks one of the nodes hears of all. A
// node whose clock, or folder, is of before says again where it is now.
func TestSites(t *testing.T) {
	s := newSeveral(t, 3, 3)
	for _, r := range s.nodes {
		r.server.askSites(ctx)
	}
	told := func(r *running) []node.Site {
		sites, err := node.NewPeer([]string{r.http.URL}, crypto.Hash{}).Sites(ctx)
		s.must(err)
		return sites
	}
	for _, r := range s.nodes {
		sites := told(r)
		for i, x := range sites {
			if x.Node != s.config.Nodes[i] || x.Keeper != s.config.Keepers[i] || x.URLs[0] != s.nodes[i].http.URL || x.Number != uint64(s.clock.now().Unix()) || !x.Of(s.ledger, &s.config) {
				t.Errorf("node %d says %+v", r.number, x)
			}
		}
		if len(sites) != 3 {
			t.Errorf("node %d knows %d", r.number, len(sites))
		}
	}
	later := uint64(s.clock.now().Unix()) + 100
	s.nodes[1].server.takeSites(s.nodes[0].site("https://before.example", later))
	stranger := crypto.GenerateKey()
	forged := s.nodes[2].site("https://evil.example", later+100)
	forged.ByKeeper = stranger.Sign(crypto.Hash{})
	s.nodes[1].server.takeSites(forged)
	s.nodes[0].server.takeSites(told(s.nodes[1])...)
	s.nodes[2].server.takeSites(told(s.nodes[0])...)
	for i, x := range told(s.nodes[2]) {
		want := uint64(s.clock.now().Unix())
		if i == 0 {
			want = later + 1
		}
		if x.Number != want || x.URLs[0] != s.nodes[i].http.URL {
			t.Errorf("node %d is number %d at %s", i, x.Number, x.URLs[0])
		}
	}
}

// Two institutions change their keepers: one after the other says so, and in between that of one
// is nowhere. The others, who had heard of all, go on.
func TestSitesMove(t *testing.T) {
	s := newSeveral(t, 3, 3)
	s.meet()
	third, later := s.nodes[2].server, uint64(s.clock.now().Unix())+100
	keys := func(i int) folder.Keys {
		k, err := folder.KeysIn(s.nodes[i].dir)
		s.must(err)
		return k
	}
	for i, whole := range []bool{false, true} {
		own, other := keys(i), keys(1-i)
		m := node.Member{Name: "Institution", Node: own.Node(), Keeper: other.Keeper(), URLs: []string{s.nodes[i].http.URL}}
		third.takeSites(node.NewSite(s.config.LedgerID(), m, later, own.Sign, other.SignAsKeeper))
		third.sites.mu.Lock() // it asks the others meanwhile
		got := third.sites.all.Whole()
		third.sites.mu.Unlock()
		if got != whole {
			t.Errorf("after %d: %v", i+1, !whole)
		}
	}
}

// Several nodes as they run: who submits is answered when enough have signed what was ordered,
// and a share is released by that alone.
func TestSeveralNodes(t *testing.T) {
	s := newSeveral(t, 4, 3)
	g := s.grant()
	s.order(s.records(1)...)
	if h, err := s.nodes[0].agreed(); err != nil || h.Size != 2 {
		t.Fatalf("%d entries, %v", h.Size, err)
	}
	s.order(g.entry)
	access, _ := s.access(g)
	s.order(access)
	h, err := s.nodes[0].agreed()
	if err != nil || h.Size != 4 || !h.Time.Equal(s.clock.now()) {
		t.Fatalf("%d entries as of %v, %v", h.Size, h.Time, err)
	}
	if sure := s.server.cosign.sure(); sure != 4 {
		t.Errorf("%d leaves are sure", sure)
	}

	// One is away: nobody notices. Two are: nothing new holds, and it is said so.
	s.nodes[3].stop()
	s.order(s.records(1)...)
	s.nodes[2].stop()
	waits := s.records(1)
	s.nodes[0].patience(0)
	s.refused("with two of four", s.post(node.PathEntries, node.EntriesForm.Marshal(waits)), node.KindUnsigned)
	if h, err := s.nodes[0].agreed(); err != nil || h.Size != 5 {
		t.Errorf("%d entries, %v", h.Size, err)
	}
	s.clock.pass(ledgerclient.KeeperBound + time.Second)
	if sure := s.server.cosign.sure(); sure != 0 {
		t.Errorf("%d leaves are sure under an old head", sure)
	}
	scrape := httptest.NewRecorder()
	s.server.Operator().ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`carekey_nodes 4`, `carekey_nodes_needed 3`, `carekey_nodes_forked 0`, `carekey_signed_entries 5`, `carekey_log_entries 6`, `carekey_node_entries\{node="4"\} \d+`,
		`carekey_nodes_missing [23]`, // the other that is there signs again when it likes
	} {
		if !regexp.MustCompile("(?m)^" + want + "$").MatchString(scrape.Body.String()) {
			t.Errorf("no %s", want)
		}
	}

	// They come back. What waited is submitted again: it is there before.
	s.nodes[0].patience(2 * time.Minute)
	s.nodes[2].start()
	s.nodes[0].reaches(6)
	if out := s.submit(waits...); !out[0].Duplicate || out[0].Index != 5 {
		t.Errorf("%+v", out)
	}
	if raw, err := os.ReadFile(filepath.Join(s.nodes[2].dir, "signed")); err != nil || !bytes.Contains(raw, []byte("\n6\n")) {
		t.Errorf("%s%v", raw, err)
	}
}

// A node whose clock was put back while it was not running goes on from the time that it
// signed last.
func TestSignedTimeIsKept(t *testing.T) {
	s := newSeveral(t, 3, 3)
	s.clock.pass(time.Minute)
	_, before := s.openCheckpoint(s.ok(s.get(node.PathCosign)))
	s.nodes[0].stop()
	s.clock.jump(-2 * time.Minute)
	s.nodes[0].start()
	s.nodes[0].reaches(1)
	s.order(s.records(1)...)
	if tree, at := s.openCheckpoint(s.ok(s.get(node.PathCosign))); tree.N != 2 || at.Before(before) {
		t.Errorf("%d entries as of %v, after %v", tree.N, at, before)
	}
}

// Threat: who has many requests wait for signatures that do not come leaves no room for
// others. He makes room, and what is no release is not waited for at all.
func TestWaitingMakesRoom(t *testing.T) {
	s := newSeveral(t, 3, 3)
	s.nodes[1].stop()
	s.nodes[2].stop()
	_, err := s.items.Append(ctx, s.records(1))
	s.must(err)
	s.must(s.server.opt.Ledger.Follow(ctx))
	gate := newGate(2, 2, 1<<20, 0, s.clock.uptime)
	many, end := context.WithCancel(ctx)
	defer end()
	waits := make(chan error)
	for range 2 {
		q := &request{Request: httptest.NewRequest("POST", "/", nil).WithContext(many), place: gate.enter(clientOf('a', "many")), s: s.server}
		go func() {
			_, err := q.enoughSigned()
			waits <- err
		}()
	}
	var came *place
	for limit := time.Now().Add(2 * time.Minute); came == nil && time.Now().Before(limit); runtime.Gosched() {
		came = gate.enter(clientOf('a', "one"))
	}
	if came == nil {
		t.Fatal("there is no room for another")
	}
	if refused, ok := errors.AsType[*node.RefusedError](<-waits); !ok || refused.Kind != node.KindBusy {
		t.Errorf("who made room is told %v", refused)
	}
	end()
	<-waits
	s.nodes[0].patience(time.Hour)
	s.refused("no release", s.post(node.PathRelease, []byte("no release")), node.KindMalformed)
}

// What is shown by whoever likes is taken only with a node's signature, and costs little.
func TestCosignRefusals(t *testing.T) {
	s := newSeveral(t, 3, 3)
	s.order(s.records(1)...)
	own := s.ok(s.get(node.PathCosign))
	joint := s.ok(s.get(node.PathCheckpoint))
	s.refused("nothing", s.post(node.PathCosign, []byte{}), node.KindMalformed)
	s.refused("rubbish", s.post(node.PathCosign, make([]byte, node.MaxNote)), node.KindMalformed)
	s.refused("too much", s.post(node.PathCosign, make([]byte, node.MaxNote+1)), node.KindTooLarge)
	s.refused("its own", s.post(node.PathCosign, own), node.KindMalformed)
	spoilt := bytes.Clone(joint)
	spoilt[len(spoilt)-10] ^= 1
	s.refused("a signature that is none", s.post(node.PathCosign, spoilt), node.KindMalformed)
	answer := s.ok(s.post(node.PathCosign, joint))
	if head, err := ledgerclient.Unverified(answer); err != nil || head.Size != 2 || bytes.Count(answer, []byte("\n— ")) != 2 {
		t.Errorf("%s%v", answer, err)
	}

	// One node has no others to ask.
	w := newWorld(t, nil)
	w.refused("of one node", w.post(node.PathCosign, joint), node.KindNotFound)
	w.refused("of one node", w.get(node.PathCosign), node.KindNotFound)
	if _, err := os.Stat(filepath.Join(w.dir, "signed")); err == nil {
		t.Error("one node writes down what it signs")
	}
}
