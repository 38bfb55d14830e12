package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
	"github.com/carekey/carekey/ledgerclient/node"
)

// meet has all nodes know where the others are, and waits until each has looked for the first
// time after its copies, which it does then by itself.
func (s *several) meet() {
	for range 2 {
		for _, r := range s.nodes {
			r.server.askSites(ctx)
		}
	}
	for _, r := range s.nodes {
		for limit := time.Now().Add(2 * time.Minute); r.counter("carekey_copies_passes_total") == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(limit) {
				s.t.Fatal("a node does not look after its copies")
			}
		}
	}
}

// counter is a counter of a node.
func (r *running) counter(name string) float64 {
	m := r.server.metrics
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counters[name]
}

// stored is a payload with all that a node gives of it.
type stored struct {
	what string
	ledgerclient.Put
	bytes []byte
	key   *crypto.PrivateKey // of its record
}

// someStored puts records and a grant into some nodes, the first among them.
func (s *several) someStored(numbers ...int) []stored {
	s.t.Helper()
	v, small, g := s.record(2*contract.PieceSize+77), s.record(100), s.grant()
	for _, i := range numbers {
		s.http = s.nodes[i].http
		s.add(v)
		s.add(small)
		s.ok(s.post(node.PathBlobs, node.PutsForm.Marshal(g.puts)))
		s.order(g.entry)
	}
	s.http = s.nodes[0].http
	all := []stored{{what: "content", Put: v.upload, key: v.key}, {what: "metadata", Put: v.put}, {what: "small content", Put: small.upload}, {what: "its metadata", Put: small.put}, {what: "terms", Put: g.puts[0]}, {what: "envelope", Put: g.puts[1]}}
	for i := range all {
		all[i].bytes = s.ok(s.fetch(all[i].Locators[0]))
	}
	for _, r := range s.nodes {
		s.must(r.server.opt.Ledger.Follow(ctx))
	}
	return all
}

// part is what a payload is of.
func (s *several) part(x stored) ledgerclient.PartOf {
	return ledgerclient.PartOf{Entry: x.Entry.ID(s.ledger), Part: x.Part}
}

// damage changes a byte of a payload at the first node.
func (s *several) damage(x stored) {
	s.t.Helper()
	id := x.Entry.ID(s.ledger)
	file, at := foldertest.Content(s.nodes[0].dir, hex.EncodeToString(id[:])), int64(5)
	if x.what != "content" {
		p, err := foldertest.Payload(s.nodes[0].dir, hex.EncodeToString(id[:]), x.Part)
		s.must(err)
		file, at = p.File, p.At+p.Length-1
	}
	raw, err := os.ReadFile(file)
	s.must(err)
	raw[at] ^= 1
	s.must(os.WriteFile(file, raw, 0o600))
}

func everything(uint64) bool { return true }
func nothing(uint64) bool    { return false }

// Threat: what a node has is changed, or goes away, on its disk. It has it from another node again,
// under all its locators; a node that was never given it does not take it.
func TestDamagedCopies(t *testing.T) {
	s := newSeveral(t, 3, 3)
	s.meet()
	all := s.someStored(0, 2)
	first := s.nodes[0]
	mends := func(what string, x stored, read func(uint64) bool, times float64) {
		t.Helper()
		before := first.counter("carekey_copies_taken_total")
		s.must(first.server.mend(ctx, read))
		if n := first.counter("carekey_copies_taken_total") - before; n != times || first.server.broken.Load() != 0 {
			t.Errorf("%s, %s: %v were got, and %d not", x.what, what, n, first.server.broken.Load())
		}
		for _, loc := range x.Locators {
			if got := s.ok(s.fetch(loc)); !bytes.Equal(got, x.bytes) {
				t.Errorf("%s, %s: %d bytes", x.what, what, len(got))
			}
		}
	}
	mends("as it is", all[0], everything, 0)
	for _, x := range all {
		s.damage(x)
		mends("a byte", x, everything, 1)
	}
	id := all[0].Entry.ID(s.ledger)
	file := foldertest.Content(first.dir, hex.EncodeToString(id[:]))
	for what, change := range map[string]func(b []byte) []byte{
		"its last piece":      func(b []byte) []byte { b[2*contract.PieceSize+70] ^= 1; return b },
		"its list of pieces":  func(b []byte) []byte { b[2*contract.PieceSize+78] ^= 1; return b },
		"the end of the file": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"half of the file":    func(b []byte) []byte { return b[:len(b)/2] },
		"all of it":           func(b []byte) []byte { clear(b); return b },
	} {
		good, err := os.ReadFile(file)
		s.must(err)
		s.must(os.WriteFile(file, change(good), 0o600))
		mends(what, all[0], everything, 1)
	}
	s.must(os.Remove(file))
	mends("the file", all[0], nothing, 1)
	if _, err := first.folder.Verify(ctx, nil, nil); err != nil {
		t.Error(err)
	}
	s.must(s.nodes[1].server.mend(ctx, everything))
	if n := s.nodes[1].counter("carekey_copies_taken_total"); n != 0 {
		t.Errorf("a node took %v payloads that nobody gave it", n)
	}
}

// Threat: two nodes have lost the same, and ask each other for it without end. Each asks once in
// a pass, and says how much it is that none has.
func TestWhatNoneHas(t *testing.T) {
	s := newSeveral(t, 3, 3)
	s.meet()
	all := s.someStored(0, 2)
	id := all[0].Entry.ID(s.ledger)
	for _, i := range []int{0, 2} {
		s.must(os.Remove(foldertest.Content(s.nodes[i].dir, hex.EncodeToString(id[:]))))
	}
	for _, i := range []int{0, 2} {
		for pass := range 2 {
			s.must(s.nodes[i].server.mend(ctx, nothing))
			if n := s.nodes[i].counter("carekey_copies_damaged_total"); n != 1 || s.nodes[i].server.broken.Load() != 1 { // found once
				t.Errorf("node %d, pass %d: %v damaged, %d left", i, pass, n, s.nodes[i].server.broken.Load())
			}
		}
	}
}

// Threat: what was found damaged, and nobody gave, is read in the next month again, and until then
// the operator is told that nothing is broken. It counts until it is mended, or there again.
func TestBrokenUntilMended(t *testing.T) {
	s := newSeveral(t, 3, 3)
	s.meet()
	all := s.someStored(0)
	first := s.nodes[0]
	counts := func(what string, read func(uint64) bool, want int64) {
		t.Helper()
		s.must(first.server.mend(ctx, read))
		if n := first.server.broken.Load(); n != want {
			t.Errorf("%s: %d broken, not %d", what, n, want)
		}
	}
	found := func(want float64) {
		t.Helper()
		m := first.server.metrics
		m.mu.Lock()
		defer m.mu.Unlock()
		if n := m.counters["carekey_copies_damaged_total"]; n != want {
			t.Errorf("%v were found damaged, not %v", n, want)
		}
	}
	metadata := all[1]
	s.damage(metadata)
	counts("not read", nothing, 0)
	counts("read", everything, 1)
	counts("the hour after", nothing, 1)
	counts("and after", nothing, 1)
	found(1) // it is the same one
	s.ok(s.post(node.PathBlobs, node.PutsForm.Marshal([]ledgerclient.Put{metadata.Put})))
	counts("put again", nothing, 0)
	s.damage(metadata)
	counts("as all others", nothing, 0)
	counts("read", everything, 1)
	found(2)
}

// A node that has much to mend connects once to each that gives it.
func TestMendingConnectsOnce(t *testing.T) {
	s := newSeveral(t, 3, 3)
	s.meet()
	all := s.someStored(0)
	var mu sync.Mutex
	asked, from := 0, map[string]bool{}
	other := httptest.NewUnstartedServer(s.copies(func(w http.ResponseWriter, r *http.Request, of ledgerclient.PartOf) {
		mu.Lock()
		asked, from[r.RemoteAddr] = asked+1, true
		mu.Unlock()
		x := all[slices.IndexFunc(all, func(x stored) bool { return s.part(x) == of })]
		says(w, x.Package, x.bytes, len(x.bytes))
	}))
	other.EnableHTTP2 = true
	other.StartTLS()
	t.Cleanup(other.Close)
	site := s.nodes[1].site(other.URL, 0)
	site.Fingerprint = node.Fingerprint(other.Certificate())
	for _, x := range all {
		s.damage(x)
	}
	m := s.nodes[0].server.mender(time.Minute, time.Minute, site)
	defer m.close()
	s.must(m.pass(ctx, 0, everything))
	if asked != len(all) || len(from) != 1 || s.nodes[0].server.broken.Load() != 0 {
		t.Errorf("%d of %d were got over %d connections", asked, len(all), len(from))
	}
}

// Threat: a node gives others what is not what an entry commits to, is longer than anybody may
// store, or never ends. It is asked once in a pass, and the others give what they have.
func TestForgedCopies(t *testing.T) {
	s := newSeveral(t, 3, 3)
	s.meet()
	all := s.someStored(0, 2)
	first := s.nodes[0].server
	var give func(w http.ResponseWriter, of ledgerclient.PartOf)
	asked := 0
	ends := make(chan struct{})
	evil := s.evil(func(w http.ResponseWriter, _ *http.Request, of ledgerclient.PartOf) {
		asked++
		give(w, of)
	})
	t.Cleanup(func() { close(ends) })
	find := func(of ledgerclient.PartOf) stored {
		return all[slices.IndexFunc(all, func(x stored) bool { return s.part(x) == of })]
	}
	for what, lie := range map[string]func(w http.ResponseWriter, of ledgerclient.PartOf){
		"a byte": func(w http.ResponseWriter, of ledgerclient.PartOf) {
			x := find(of)
			forged := bytes.Clone(x.bytes)
			forged[len(forged)/3] ^= 1
			says(w, x.Package, forged, len(forged))
		},
		"another package": func(w http.ResponseWriter, of ledgerclient.PartOf) {
			says(w, []byte("no package"), find(of).bytes, len(find(of).bytes))
		},
		"too long": func(w http.ResponseWriter, of ledgerclient.PartOf) {
			says(w, find(of).Package, find(of).bytes, node.MaxContent)
		},
		"too short": func(w http.ResponseWriter, of ledgerclient.PartOf) {
			says(w, find(of).Package, find(of).bytes[:50], 50)
		},
		"it breaks off": func(w http.ResponseWriter, of ledgerclient.PartOf) {
			says(w, find(of).Package, find(of).bytes[:50], len(find(of).bytes))
		},
		"rubbish": func(w http.ResponseWriter, of ledgerclient.PartOf) { w.Write([]byte("no")) },
	} {
		give, asked = lie, 0
		for _, x := range all {
			s.damage(x)
		}
		before := s.nodes[0].counter("carekey_copies_taken_total")
		s.must(first.mend(ctx, everything))
		if n := s.nodes[0].counter("carekey_copies_taken_total") - before; int(n) != len(all) || asked != 1 {
			t.Errorf("%s: %v of %d were got, and who lies was asked %d times", what, n, len(all), asked)
		}
		for _, x := range all {
			if got := s.ok(s.fetch(x.Locators[0])); !bytes.Equal(got, x.bytes) {
				t.Errorf("%s: %d bytes of %s", what, len(got), x.what)
			}
		}
	}

	// One that sends just so much that it is not silent is given up, before it has sent all.
	all[0].bytes[7] ^= 1
	waited := make(chan bool, 1)
	give = func(w http.ResponseWriter, of ledgerclient.PartOf) {
		x := find(of)
		says(w, x.Package, nil, len(x.bytes))
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for part := range slices.Chunk(x.bytes, 4<<10) {
			if _, err := w.Write(part); err != nil || http.NewResponseController(w).Flush() != nil {
				waited <- false
				return
			}
			select {
			case <-tick.C:
			case <-ends:
			}
		}
		waited <- true
	}
	m := first.mender(50*time.Millisecond, time.Minute, evil)
	if m.obtain(ctx, s.part(all[0])) || len(m.sites) != 0 {
		t.Error("who gives nothing is asked again")
	}
	if <-waited {
		t.Error("it was waited for to the end")
	}
}

// Threat: a node claims room, and time, for what is much longer than what it is asked for. It is
// dropped at what it says, before anything comes.
func TestClaimedSizes(t *testing.T) {
	s := newSeveral(t, 3, 3)
	s.meet()
	all := s.someStored(0, 2)
	first := s.nodes[0].server
	size := 0
	most := atomic.Int64{}
	evil := s.evil(func(w http.ResponseWriter, r *http.Request, of ledgerclient.PartOf) {
		x := all[slices.IndexFunc(all, func(x stored) bool { return s.part(x) == of })]
		says(w, x.Package, nil, size)
		http.NewResponseController(w).Flush()
		for r.Context().Err() == nil {
			first.disk.mu.Lock()
			most.Store(max(most.Load(), first.disk.coming.bytes))
			first.disk.mu.Unlock()
			time.Sleep(10 * time.Millisecond)
		}
	})
	for _, x := range all {
		for what, n := range map[string]int{
			"8 GiB": 8 << 30, "a piece more": len(x.bytes) + contract.PieceSize + 32, "a byte more": len(x.bytes) + 1, "a byte less": len(x.bytes) - 1,
		} {
			if n < 65<<20 && x.Part != ledgerclient.PartContent {
				continue // nobody knows how long it is
			}
			size = n
			m := first.mender(time.Minute, time.Minute, evil)
			soon, cancel := context.WithTimeout(ctx, 30*time.Second)
			if m.obtain(soon, s.part(x)) || len(m.sites) != 0 {
				t.Errorf("%s, %s: it is waited for", x.what, what)
			}
			cancel()
		}
	}
	if n := most.Load(); n > 0 {
		t.Errorf("%d bytes were kept for it", n)
	}
}

// Threat: what goes wrong here is taken for another node's fault, and so nothing else is mended.
func TestOwnFaults(t *testing.T) {
	s := newSeveral(t, 3, 3)
	s.meet()
	all := s.someStored(0, 2)
	first := s.nodes[0]
	id := all[0].Entry.ID(s.ledger)
	mends := func(what string, taken float64, broken int64) {
		t.Helper()
		before := first.counter("carekey_copies_taken_total")
		s.must(first.server.mend(ctx, everything))
		if n := first.counter("carekey_copies_taken_total") - before; n != taken || first.server.broken.Load() != broken {
			t.Errorf("%s: %v were got, %d not", what, n, first.server.broken.Load())
		}
	}
	for _, in := range []string{"uploads", "contents"} {
		dir := filepath.Join(first.dir, in)
		s.must(os.Remove(foldertest.Content(first.dir, hex.EncodeToString(id[:]))))
		s.damage(all[5])
		s.must(os.Rename(dir, dir+".away"))
		s.must(os.WriteFile(dir, nil, 0o600))
		mends(in+" cannot be written", 1, 1)
		s.must(os.Remove(dir))
		s.must(os.Rename(dir+".away", dir))
		mends(in, 1, 0)
	}
	for _, reason := range []ledgerclient.StoreReason{ledgerclient.BadBlob, ledgerclient.BadPackage, ledgerclient.Withdrawn, ledgerclient.BadLocators} {
		_, own := errors.AsType[ownError](blame(&ledgerclient.StoreError{Reason: reason}))
		if theirs := reason == ledgerclient.BadBlob || reason == ledgerclient.BadPackage; own == theirs {
			t.Errorf("%s: %v", reason, own)
		}
	}
	if _, own := errors.AsType[ownError](blame(folder.ErrBusy.With())); !own || blame(nil) != nil {
		t.Error("busy")
	}
}

// Threat: a node has the others wait for each payload, and says then that it has none. It is waited
// for once in a pass; and what is broken is told while the pass goes on.
func TestSlowNone(t *testing.T) {
	s := newSeveral(t, 3, 3)
	s.meet()
	all := s.someStored(0, 2)
	first := s.nodes[0].server
	for _, x := range all {
		s.damage(x)
	}
	none := &ledgerclient.NotFoundError{What: "payload"}
	var give func(asked int) error
	asked, broken := 0, len(all)
	evil := s.evil(func(w http.ResponseWriter, _ *http.Request, of ledgerclient.PartOf) {
		asked++
		err := give(asked)
		if err == nil {
			x := all[slices.IndexFunc(all, func(x stored) bool { return s.part(x) == of })]
			says(w, x.Package, x.bytes, len(x.bytes))
			return
		}
		saysNo(w, err)
	})
	for _, x := range []struct {
		what               string
		asked, left, taken int
		give               func(asked int) error
		none               time.Duration // 0: more than it takes
		most               time.Duration // that it is late; 0: more than it is
	}{
		{"none", 6, 1, 0, func(asked int) error {
			if n := first.broken.Load(); n != int64(asked-1) {
				t.Errorf("%d are broken when %d are asked for", n, asked)
			}
			return none
		}, 0, 0},
		{"waits", 2, 0, 0, func(asked int) error {
			if asked%2 == 1 {
				return refuseFor(node.KindBusy, time.Second)
			}
			return none
		}, 1, time.Second},
		{"waits again", 2, 0, 0, func(int) error { return refuseFor(node.KindBusy, time.Second) }, 0, 0},
		{"slow", 6, 1, 0, func(int) error { return none }, 1, 0},
		{"slow for too long", 1, 0, 0, func(int) error { return none }, 1, 1},
		{"waits, and gives", 3, 0, 1, func(asked int) error {
			if asked%2 == 1 {
				return refuseFor(node.KindBusy, time.Second)
			}
			return nil
		}, 0, 0},
		{"slow, and gives", 5, 1, 3, func(asked int) error {
			if asked <= 2 {
				return none
			}
			return nil
		}, 1, 0},
	} {
		asked, give = 0, x.give
		m := first.mender(time.Minute, cmp.Or(x.none, time.Minute), evil)
		first.broken.Store(0)
		m.most = cmp.Or(x.most, m.most)
		s.must(m.pass(ctx, 0, everything))
		if asked != x.asked || len(m.sites) != x.left || first.broken.Load() != int64(broken-x.taken) {
			t.Errorf("%s: asked %d times, %d are left, %d broken", x.what, asked, len(m.sites), first.broken.Load())
		}
		broken -= x.taken
	}
}

// Threat: one payload that a node cannot give whole keeps all that stand behind it from being
// mended, in each pass anew. A pass begins at another entry; and who is slow is asked last.
func TestPassesBeginElsewhere(t *testing.T) {
	s := newSeveral(t, 3, 3)
	s.meet()
	all := s.someStored(0, 2)
	first := s.nodes[0]
	bad, _, err := first.folder.Find(ctx, all[0].Entry.ID(s.ledger))
	s.must(err)
	other := s.evil(func(w http.ResponseWriter, _ *http.Request, of ledgerclient.PartOf) {
		x := all[slices.IndexFunc(all, func(x stored) bool { return s.part(x) == of })]
		if x.Entry == all[0].Entry {
			says(w, x.Package, x.bytes[:1], len(x.bytes))
			return
		}
		says(w, x.Package, x.bytes, len(x.bytes))
	})
	for _, x := range []struct {
		begin uint64
		taken float64
	}{{bad, 0}, {bad + 1, 4}} {
		for _, x := range all {
			s.damage(x)
		}
		before := first.counter("carekey_copies_taken_total")
		m := first.server.mender(time.Minute, time.Minute, other)
		s.must(m.pass(ctx, x.begin, everything))
		if n := first.counter("carekey_copies_taken_total") - before; n != x.taken {
			t.Errorf("from %d on: %v were got, not %v", x.begin, n, x.taken)
		}
		s.must(first.server.mend(ctx, everything)) // the third node has all of it
	}

	slow := s.evil(func(w http.ResponseWriter, _ *http.Request, _ ledgerclient.PartOf) {
		saysNo(w, &ledgerclient.NotFoundError{What: "payload"})
	})
	m := first.server.mender(time.Minute, 0, slow, s.nodes[2].site(s.nodes[2].http.URL, 0))
	s.damage(all[3])
	if !m.obtain(ctx, s.part(all[3])) || len(m.sites) != 2 || m.sites[1].Node != slow.Node {
		t.Errorf("%d are asked for the next", len(m.sites))
	}
}

// evil has the second node be where copies are given so, and says its site.
func (s *several) evil(give func(http.ResponseWriter, *http.Request, ledgerclient.PartOf)) node.Site {
	evil := httptest.NewServer(s.copies(give))
	s.t.Cleanup(evil.Close)
	site := s.nodes[1].site(evil.URL, uint64(s.clock.now().Unix())+100)
	s.nodes[0].server.takeSites(site)
	return site
}

// copies is where copies are given so.
func (s *several) copies(give func(http.ResponseWriter, *http.Request, ledgerclient.PartOf)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		q, err := node.CopyRequestForm.Parse(body)
		if err != nil || r.URL.Path != node.PathCopies {
			http.NotFound(w, r)
			return
		}
		give(w, r, q.Of)
	})
}

// says is a copy, as a node says that it is.
func says(w http.ResponseWriter, pkg, payload []byte, size int) {
	head := slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(len(pkg))), pkg)
	w.Header().Set("Content-Length", strconv.Itoa(len(head)+size))
	w.Write(head)
	w.Write(payload)
}

// saysNo is an error, as a node says it.
func saysNo(w http.ResponseWriter, err error) {
	p := node.ProblemOf(err)
	body, _ := json.Marshal(p)
	w.Header().Set("Content-Type", node.TypeProblem)
	w.WriteHeader(p.Status)
	w.Write(body)
}

// Threat: payloads are had without a locator. Only another node of the ledger gets them, that
// asks for itself, here, and now.
func TestCopiesAreForNodes(t *testing.T) {
	s := newSeveral(t, 3, 3)
	x := s.someStored(0)[0]
	of := ledgerclient.PartOf{Entry: x.Entry.ID(s.ledger), Part: x.Part}
	own, other := s.config.Nodes[0], s.nodes[1].server
	stranger := crypto.GenerateKey()
	request := func(change func(r *node.CopyRequest), by func(crypto.Hash) crypto.Signature) node.CopyRequest {
		r := node.CopyRequest{Ledger: s.ledger, Asked: own.Checkpoint, Node: s.config.Nodes[1].Key, Time: uint64(s.clock.now().Unix()), Of: of}
		if change != nil {
			change(&r)
		}
		r.Sign(by)
		return r
	}
	ask := func(r node.CopyRequest) reply { return s.post(node.PathCopies, node.CopyRequestForm.Marshal(r)) }
	want := slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(len(x.Package))), x.Package, x.bytes)
	if got := s.ok(ask(request(nil, other.opt.Sign))); !bytes.Equal(got, want) {
		t.Errorf("%d bytes, not %d", len(got), len(want))
	}
	for what, r := range map[string]node.CopyRequest{
		"of a stranger":          request(func(r *node.CopyRequest) { r.Node = stranger.Public() }, stranger.Sign),
		"in the name of a node":  request(nil, stranger.Sign),
		"for another node":       request(func(r *node.CopyRequest) { r.Asked = s.config.Nodes[2].Checkpoint }, other.opt.Sign),
		"for another ledger":     request(func(r *node.CopyRequest) { r.Ledger = crypto.LedgerID{1} }, other.opt.Sign),
		"of before":              request(func(r *node.CopyRequest) { r.Time -= uint64(copyWindow/time.Second) + 1 }, other.opt.Sign),
		"of a time to come":      request(func(r *node.CopyRequest) { r.Time = 1<<64 - 1 }, other.opt.Sign),
		"of the node itself":     request(func(r *node.CopyRequest) { r.Node = own.Key }, s.server.opt.Sign),
		"with another signature": func() node.CopyRequest { r := request(nil, other.opt.Sign); r.Time++; return r }(),
	} {
		s.refused(what, ask(r), node.KindMalformed)
	}
	s.refused("nothing", s.post(node.PathCopies, nil), node.KindMalformed)

	// One of them gets no more bytes than one client may store, and keeps no other from it.
	s.server.limits.Bytes = Rate{PerSecond: 1, Burst: float64(len(x.bytes)) * 2}
	third := func(r *node.CopyRequest) { r.Node = s.config.Nodes[2].Key }
	for range 2 {
		s.ok(ask(request(third, s.nodes[2].server.opt.Sign)))
	}
	s.refused("more", ask(request(third, s.nodes[2].server.opt.Sign)), node.KindQuota)
	s.server.limits.Bytes = Rate{PerSecond: -1}
	s.ok(ask(request(nil, other.opt.Sign)))

	// Of what was withdrawn, or is no entry, or was given to another node, there is none.
	s.refused("no entry", ask(request(func(r *node.CopyRequest) { r.Of.Entry[3] ^= 1 }, other.opt.Sign)), node.KindNotFound)
	s.order(s.sign(contract.Entry{Kind: contract.KindRecord, Flags: contract.FlagWithdrawn, Subject: of.Entry, NotBefore: s.hour() - 1, NotAfter: s.hour() + 48}, x.key))
	s.refused("withdrawn", ask(request(nil, other.opt.Sign)), node.KindNotFound)

	// A ledger of one node has no others.
	w := newWorld(t, nil)
	w.refused("of one node", w.post(node.PathCopies, nil), node.KindNotFound)
}
