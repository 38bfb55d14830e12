package node_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/ledgerclient/node"
)

// places are the nodes of a ledger as somebody who asks them sees them: what they say of the
// log is that of all, and each keeps what it is given.
type places struct {
	*ledgertest.Network
	t       *testing.T
	members []node.Member
	servers []*httptest.Server
	keepers []ledgertest.Institution
	sites   []node.Site // as they are told

	mu      sync.Mutex
	asked   [][]string                  // of each node, in order
	blobs   []map[crypto.Locator][]byte // at each node
	shown   []string                    // the tokens
	mute    int                         // this one begins no answer until the test ends; -1: none
	refuses [4]bool                     // who takes no entries
	lags    [4]bool                     // who shows the log's first entry alone
	cut     int                         // after so many bytes of a payload node 2 breaks off, and has none from then on; 0: it does not
	hangs   bool                        // it does not break off, but sends no more
	broke   func()                      // what becomes of node 2 when it does, under mu; nil: it has none from then on
	drops   int                         // so many bulk requests to node 3 are not answered
	breaks  [4]string                   // the question that each does not answer; "": it answers all
	uploads [4][]byte                   // of contents that are not committed, at each
	alters  [4]bool                     // who has another content than it was given
	parts   []string                    // of payloads that were asked for: the node and the range
	ends    chan struct{}
}

func newPlaces(t *testing.T) *places {
	p := &places{t: t, mute: -1, ends: make(chan struct{}), asked: make([][]string, 4), blobs: make([]map[crypto.Locator][]byte, 4), shown: make([]string, 4)}
	p.Network = &ledgertest.Network{Members: ledgertest.Institutions("place", 4), Threshold: 3, Release: 2}
	p.keepers = ledgertest.Institutions("keeper of place", 4)
	for _, k := range p.keepers {
		p.Keepers = append(p.Keepers, k.Key.Public())
	}
	p.Found()
	for i, m := range p.Members {
		p.blobs[i] = map[crypto.Locator][]byte{}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(i, w, r) }))
		t.Cleanup(s.Close)
		p.servers = append(p.servers, s)
		p.members = append(p.members, node.Member{Name: "Place", Node: m.Node(), Keeper: p.Keepers[i], URLs: []string{s.URL}})
		p.sites = append(p.sites, node.NewSite(p.ID(), p.members[i], 7, m.Key.Sign, p.keepers[i].Key.Sign))
	}
	t.Cleanup(func() { close(p.ends) }) // before the servers are closed
	return p
}

func (p *places) serve(i int, w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, node.Prefix)
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	p.asked[i] = append(p.asked[i], path)
	if token := r.Header.Get("Authorization"); token != "" {
		p.shown[i] = strings.TrimPrefix(token, "Bearer ")
	}
	mute := p.mute == i
	breaks := p.breaks[i]
	p.mu.Unlock()
	if breaks == path {
		panic(http.ErrAbortHandler)
	}
	if mute {
		select {
		case <-p.ends:
		case <-r.Context().Done():
		}
		return
	}
	switch r.URL.Path {
	case node.PathGenesis:
		doc, _ := p.Genesis(ctx)
		w.Write(doc)
	case node.PathSites:
		w.Write(node.SitesForm.Marshal(p.sites))
	case node.PathCheckpoint:
		note, _ := p.Checkpoint(ctx)
		p.mu.Lock()
		if p.lags[i] {
			note = p.Note(1, p.Network.Members...)
		}
		p.mu.Unlock()
		w.Write(note)
	case node.PathEntries:
		p.mu.Lock()
		refuses := p.refuses[i]
		p.mu.Unlock()
		if refuses {
			w.Header().Set("Content-Type", node.TypeProblem)
			w.WriteHeader(http.StatusUnauthorized)
			raw, _ := json.Marshal(node.ProblemOf(&node.RefusedError{Kind: node.KindToken}))
			w.Write(raw)
			return
		}
		entries, _ := node.EntriesForm.Parse(body)
		out := make([]ledgerclient.Outcome, len(entries))
		for k := range out {
			out[k] = ledgerclient.Outcome{ID: entries[k].ID(p.ID()), Index: 7, Hour: 490_000}
		}
		w.Write(node.OrderedForm(len(out)).Marshal(node.Ordered{Outcomes: out}))
	case node.PathBlobs:
		if r.Method == http.MethodPost {
			puts, err := node.PutsForm.Parse(body)
			if err != nil {
				p.t.Error(err)
			}
			p.mu.Lock()
			for _, x := range puts {
				p.blobs[i][x.Locators[0]] = bytes.Clone(x.Blob)
			}
			p.mu.Unlock()
			w.WriteHeader(http.StatusNoContent)
			return
		}
		loc, _ := hex.DecodeString(r.Header.Get(node.HeaderLocator))
		p.mu.Lock()
		b, ok := p.blobs[i][crypto.Locator(loc)]
		p.mu.Unlock()
		if !ok {
			w.Header().Set("Content-Type", node.TypeProblem)
			w.WriteHeader(http.StatusNotFound)
			w.Write(noPayload())
			return
		}
		p.mu.Lock()
		p.parts = append(p.parts, strconv.Itoa(i)+" "+strings.TrimPrefix(r.Header.Get("Range"), "bytes="))
		if i == 2 && p.cut > 0 {
			w = &cutting{w, p, r, p.cut}
		}
		p.mu.Unlock()
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	case node.PathBulk:
		p.mu.Lock()
		drops := i == 3 && p.drops > 0
		if drops {
			p.drops--
		}
		p.mu.Unlock()
		if drops {
			panic(http.ErrAbortHandler)
		}
		questions, _ := node.BulkForm.Parse(body)
		said := make([]node.Said, len(questions))
		for k, q := range questions {
			p.mu.Lock()
			b, ok := p.blobs[i][crypto.Locator(q.Message)]
			p.mu.Unlock()
			said[k] = node.Said{How: node.SaidProblem, Answer: noPayload()}
			if ok {
				said[k] = node.Said{How: node.SaidAnswer, Answer: node.BeginningForm.Marshal(node.Beginning{Size: uint64(len(b)), Bytes: b})}
			}
		}
		w.Write(node.SaidForm(len(said)).Marshal(said))
	case node.PathUploads:
		w.Write(node.UploadBegunForm.Marshal(node.UploadBegun{Most: 1 << 30}))
	case node.PathUploadPart:
		part, err := node.UploadPartForm.Parse(body)
		if err != nil {
			p.t.Error(err)
		}
		p.mu.Lock()
		p.uploads[i] = append(p.uploads[i], part.Data...)
		p.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case node.PathUploadAbort:
		p.mu.Lock()
		p.uploads[i] = nil
		p.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case node.PathUploadCommit:
		commit, err := node.UploadCommitForm.Parse(body)
		if err != nil {
			p.t.Error(err)
		}
		p.mu.Lock()
		content := p.uploads[i]
		if p.alters[i] {
			content[len(content)/2] ^= 1
		}
		p.blobs[i][commit.Put.Locators[0]], p.uploads[i] = content, nil
		p.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	default:
		p.t.Errorf("node %d is asked %s", i, path)
	}
}

// cutting breaks an answer off.
type cutting struct {
	http.ResponseWriter
	p    *places
	r    *http.Request
	left int
}

func (c *cutting) Write(b []byte) (int, error) {
	n := min(len(b), c.left)
	c.left -= n
	c.ResponseWriter.Write(b[:n])
	if c.left == 0 {
		http.NewResponseController(c.ResponseWriter).Flush()
		c.p.mu.Lock()
		hangs := c.p.hangs
		if c.p.broke != nil {
			c.p.broke()
		} else {
			c.p.blobs[2] = map[crypto.Locator][]byte{}
		}
		c.p.mu.Unlock()
		if hangs {
			select {
			case <-c.p.ends:
			case <-c.r.Context().Done():
			}
		}
		panic(http.ErrAbortHandler)
	}
	return n, nil
}

func noPayload() []byte {
	b, err := json.Marshal(node.ProblemOf(&ledgerclient.NotFoundError{What: "payload"}))
	if err != nil {
		panic(err)
	}
	return b
}

// invitation is to a node.
func (p *places) invitation(i int) node.Invitation {
	return node.Invitation{Ledger: p.ID(), Node: p.members[i].Node.Checkpoint, Name: p.Config().Name, URLs: p.members[i].URLs}
}

func (p *places) reach(i int, opt node.Options) *node.Network {
	p.t.Helper()
	nw, err := node.Reach(ctx, p.invitation(i), opt)
	if err != nil {
		p.t.Fatal(err)
	}
	return nw
}

// were forgets what the nodes were asked, and returns it.
func (p *places) were() (asked [4]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.asked {
		asked[i], p.asked[i] = strings.Join(p.asked[i], " "), nil
	}
	return asked
}

// isMute makes a node give no answer any more.
func (p *places) isMute(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = i
}

// A wallet that was invited to one node reaches the keepers of all, and asks no further while
// what it kept of them is right.
func TestReach(t *testing.T) {
	p := newPlaces(t)
	var kept []byte
	opt := node.Options{Keep: func(sites []byte) error { kept = bytes.Clone(sites); return nil }}
	nw := p.reach(1, opt)
	var keys []crypto.PubKey
	for _, k := range nw.Services().Keepers {
		keys = append(keys, k.Key())
	}
	if !slices.Equal(keys, p.Keepers) || nw.Services().Ledger.Properties().Operators != 2 {
		t.Errorf("the keepers %v", keys)
	}
	if asked := p.were(); asked != [4]string{1: "genesis sites"} || kept == nil {
		t.Errorf("asked %q", asked)
	}
	nw.Close()
	opt.Sites = kept
	opt.Genesis, _ = p.Genesis(ctx)
	nw = p.reach(1, opt)
	if _, err := nw.Services().Ledger.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	nw.Close()
	if asked := p.were(); asked != [4]string{1: "checkpoint"} {
		t.Errorf("with all known: asked %q", asked)
	}

	// One that is gone is asked last, and where it is now is asked for in the end.
	p.servers[1].Close()
	nw = p.reach(1, opt)
	for range 2 {
		if _, err := nw.Services().Ledger.Checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
	}
	p.sites[1] = node.NewSite(p.ID(), p.members[1], 8, p.Members[1].Key.Sign, p.keepers[1].Key.Sign)
	nw.Close()
	if asked := p.were(); asked != [4]string{2: "checkpoint checkpoint sites"} || !bytes.Equal(kept, node.SitesForm.Marshal(p.sites)) {
		t.Errorf("with one gone: asked %q", asked)
	}
}

// Institutions that joined since a ledger was founded are reached where they say, by who
// knows the later configuration; the keeper of one that left is, where it was. An invitation of
// that one leads to the others first.
func TestReachAfterAChange(t *testing.T) {
	p := newPlaces(t)
	left, before := p.Members[0], p.Keepers
	joined, keeper := ledgertest.NewInstitution("joined"), ledgertest.NewInstitution("keeper that joined")
	p.Keepers = append(slices.Clone(before[1:]), keeper.Key.Public())
	p.Change(3, append(slices.Clone(p.Members[1:]), joined)...)
	sites := p.sites
	p.sites = append(slices.Clone(sites), node.NewSite(p.ID(), node.Member{Name: "Joined", Node: joined.Node(), Keeper: keeper.Key.Public(), URLs: p.members[0].URLs}, 1, joined.Key.Sign, keeper.Key.Sign))
	genesis, _ := p.Genesis(ctx)
	opt := node.Options{Genesis: genesis, Later: p.Successions}
	for i, first := range []int{1, 2} { // the invitations are of the node that left, and of another
		inv := p.invitation(2 * i)
		if i == 0 && inv.Node != left.Node().Checkpoint {
			t.Fatal("it has not left")
		}
		nw, err := node.Reach(ctx, inv, opt)
		if err != nil {
			t.Fatal(err)
		}
		var keys []crypto.PubKey
		for _, k := range nw.Services().Keepers {
			keys = append(keys, k.Key())
		}
		if !slices.Equal(keys, append(slices.Clone(p.Keepers), before[0])) {
			t.Errorf("the keepers %v", keys)
		}
		p.were()
		if _, err := nw.Services().Ledger.Checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
		want := [4]string{}
		want[first] = "checkpoint"
		if asked := p.were(); asked != want {
			t.Errorf("asked %q", asked)
		}
		nw.Close()
	}
	opt.Later = [][]byte{opt.Later[0][:100]}
	if _, err := node.Reach(ctx, p.invitation(2), opt); !errors.As(err, new(*ledgerclient.TamperedError)) {
		t.Error(err)
	}
}

// Threat: who runs a node stands for keepers that are elsewhere. A wallet hands nothing to a
// keeper that has not said itself where it is.
func TestReachWithoutAKeeper(t *testing.T) {
	p := newPlaces(t)
	evil := p.members[0]
	evil.Keeper = p.Keepers[2]
	p.sites[2] = node.NewSite(p.ID(), evil, 9, p.Members[0].Key.Sign, p.keepers[0].Key.Sign)
	nw := p.reach(0, node.Options{})
	defer nw.Close()
	c, err := ledgerclient.Connect(ctx, nw.Services(), p.ID())
	if err != nil {
		t.Fatal(err)
	}
	if known, all := c.Ways(); known != 3 || all != 4 {
		t.Errorf("%d of %d", known, all)
	}
	if _, err := c.Keeper(p.Keepers[2]).Deposit(ctx, make([]ledgerclient.Deposit, 1)); ledgerclient.Unreachable(err) == nil {
		t.Error(err)
	}
	p.were()
	p.sites = nil
	alone := p.reach(0, node.Options{})
	defer alone.Close()
	if n := len(alone.Services().Keepers); n != 0 {
		t.Errorf("a node that knows of no other has %d keepers", n)
	}
	if _, err := alone.Services().Ledger.Checkpoint(ctx); err != nil {
		t.Error(err)
	}
}

// A payload is at two nodes, and is found wherever a wallet looks first.
func TestTwoCopies(t *testing.T) {
	p := newPlaces(t)
	token := node.GiveToken(p.ID(), p.Members[3].Key.Public(), p.Members[3].Key, 500_000, 10)
	inv := p.invitation(2)
	inv.Token = token.Secret()
	nw, err := node.Reach(ctx, inv, node.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer nw.Close()
	locs := []crypto.Locator{{1}, {2}, {3}}
	var puts []ledgerclient.Put
	for i, l := range locs {
		puts = append(puts, ledgerclient.Put{Part: ledgerclient.PartTerms, Locators: []crypto.Locator{l}, Package: []byte("package"), Blob: bytes.Repeat([]byte{byte(i)}, 100)})
	}
	p.were()
	if err := nw.Services().Store.PutBlobs(ctx, puts[:2]); err != nil {
		t.Fatal(err)
	}
	if asked := p.were(); asked != [4]string{2: "blobs", 3: "blobs"} {
		t.Errorf("stored at %q", asked)
	}
	for i, shown := range p.shown {
		var nodes []contract.Node
		for _, m := range p.Members {
			nodes = append(nodes, m.Node())
		}
		if _, ok := node.ReadShown(shown, p.ID(), p.members[i].Node.Checkpoint, nodes); ok != (i >= 2) {
			t.Errorf("node %d is shown %q", i, shown)
		}
	}
	read := func(s ledgerclient.Store, locs ...crypto.Locator) (found int, missing error) {
		err := ledgerclient.Blobs(ctx, s, locs, func(i int, b ledgerclient.Blob, err error) error {
			if err != nil {
				missing = err
				return nil
			}
			got := make([]byte, b.Size())
			if _, err := b.ReadAt(got, 0); err != nil || !bytes.Equal(got, puts[i].Blob) {
				t.Errorf("payload %d: %v", i, err)
			}
			found++
			return b.Close()
		})
		if err != nil {
			t.Fatal(err)
		}
		return found, missing
	}
	other := p.reach(0, node.Options{})
	defer other.Close()
	if found, err := read(other.Services().Store, locs...); found != 2 || !errors.As(err, new(*ledgerclient.NotFoundError)) {
		t.Errorf("found %d, %v", found, err)
	}
	b, err := other.Services().Store.Blob(ctx, locs[0])
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, b.Size())
	if _, err := b.ReadAt(got, 0); err != nil || !bytes.Equal(got, puts[0].Blob) {
		t.Errorf("alone: %v", err)
	}

	// With one gone the other has it; what might be there is not said to be nowhere, and new
	// ones go to two of those that are left.
	p.servers[2].Close()
	if found, err := read(other.Services().Store, locs...); found != 2 || ledgerclient.Unreachable(err) == nil {
		t.Errorf("with one gone: found %d, %v", found, err)
	}
	p.were()
	if err := nw.Services().Store.PutBlobs(ctx, puts[2:]); err != nil {
		t.Fatal(err)
	}
	if asked := p.were(); asked != [4]string{0: "blobs", 3: "blobs"} {
		t.Errorf("with one gone: stored at %q", asked)
	}
	for _, i := range []int{0, 1} {
		p.servers[i].Close()
	}
	if err := nw.Services().Store.PutBlobs(ctx, puts[2:]); ledgerclient.Unreachable(err) == nil {
		t.Errorf("at one node alone: %v", err)
	}
}

// The next node is asked when one takes its turn and says nothing, and is asked first from then
// on: one that hangs is waited for once.
func TestANodeThatHangs(t *testing.T) {
	p := newPlaces(t)
	nw := p.reach(3, node.Options{})
	defer nw.Close()
	p.were()
	p.isMute(3)
	for range 3 {
		if _, err := nw.Services().Ledger.Checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if asked := p.were(); asked != [4]string{0: "checkpoint checkpoint checkpoint", 3: "checkpoint"} {
		t.Errorf("asked %q", asked)
	}
}

// Threat: the node that takes the entries lies about them. Each is told them once, and whose
// fault it was is known. One that refuses is not the last that is asked.
func TestDoubt(t *testing.T) {
	p := newPlaces(t)
	nw := p.reach(2, node.Options{})
	defer nw.Close()
	l := nw.Services().Ledger.(ledgerclient.Several)
	if l.Doubt(errors.New("nobody was asked")) {
		t.Error("who was not asked is doubted")
	}
	p.were()
	entry, lied := p.Shown[0].Entry, &ledgerclient.TamperedError{What: "answer to a submission"}
	for i := range 4 {
		if _, err := nw.Services().Ledger.Append(ctx, []contract.Entry{entry}); err != nil {
			t.Fatal(err)
		}
		want := [4]string{}
		want[(2+i)%4] = "entries"
		if asked := p.were(); asked != want {
			t.Errorf("asked %q", asked)
		}
		if err := l.Checkpoints(ctx, 2, func([]byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if asked := p.were(); asked[(2+i)%4] != "checkpoint" {
			t.Errorf("asked %q: not who took the entries", asked)
		}
		if more := l.Doubt(lied); more != (i < 3) {
			t.Errorf("after %d there is another: %v", i+1, more)
		}
	}
	for i, f := range nw.Passed() {
		if f.Line != (2+i)%4 || f.Name != "Place" || !errors.As(f.Err, new(*ledgerclient.TamperedError)) {
			t.Errorf("%+v", f)
		}
	}

	// Who shows no head after it may have ordered them rightly.
	quick := p.reach(2, node.Options{})
	defer quick.Close()
	l = quick.Services().Ledger.(ledgerclient.Several)
	if _, err := quick.Services().Ledger.Append(ctx, []contract.Entry{entry}); err != nil {
		t.Fatal(err)
	}
	p.were()
	if !l.Doubt(lied) || len(quick.Passed()) > 0 {
		t.Errorf("%+v", quick.Passed())
	}
	if _, err := quick.Services().Ledger.Append(ctx, []contract.Entry{entry}); err != nil {
		t.Fatal(err)
	}
	if asked := p.were(); asked != [4]string{3: "entries"} {
		t.Errorf("asked %q", asked)
	}

	p.mu.Lock()
	p.refuses[1] = true
	p.mu.Unlock()
	other := p.reach(1, node.Options{})
	defer other.Close()
	p.were()
	for range 2 {
		if _, err := other.Services().Ledger.Append(ctx, []contract.Entry{entry}); err != nil {
			t.Fatal(err)
		}
		if asked := p.were(); asked != [4]string{1: "entries", 2: "entries"} { // reading it still does
			t.Errorf("asked %q", asked)
		}
	}
	if passed := other.Passed(); len(passed) != 1 || passed[0].Line != 1 || !errors.As(passed[0].Err, new(*node.RefusedError)) {
		t.Errorf("%+v", passed)
	}

	// Who shows a smaller head than another one may not have seen yet what it was told.
	p.Grow(1)
	p.mu.Lock()
	p.lags[2] = true
	p.mu.Unlock()
	late := p.reach(2, node.Options{})
	defer late.Close()
	l = late.Services().Ledger.(ledgerclient.Several)
	for i := range 2 {
		if _, err := late.Services().Ledger.Append(ctx, []contract.Entry{entry}); err != nil {
			t.Fatal(err)
		}
		if err := l.Checkpoints(ctx, 2, func([]byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if !l.Doubt(lied) || len(names(late)) != i {
			t.Errorf("after %d: %+v", i+1, late.Passed())
		}
	}
	// Nor does a head count that it showed before it was told.
	if _, err := late.Services().Ledger.Append(ctx, []contract.Entry{entry}); err != nil {
		t.Fatal(err)
	}
	if err := l.Checkpoints(ctx, 2, func([]byte) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := late.Services().Ledger.Append(ctx, []contract.Entry{entry}); err != nil {
		t.Fatal(err)
	}
	if !l.Doubt(lied) || len(names(late)) != 1 {
		t.Errorf("%+v", late.Passed())
	}

	// The one that took them is asked for its head, whoever is asked first. Doubted it is told
	// nothing more while there are others, whatever they say; of something else it is.
	p.mu.Lock()
	p.refuses = [4]bool{0: true, 1: true, 2: true}
	p.mu.Unlock()
	only := p.reach(0, node.Options{})
	defer only.Close()
	l = only.Services().Ledger.(ledgerclient.Several)
	for range 2 {
		p.were()
		if _, err := only.Services().Ledger.Append(ctx, []contract.Entry{entry}); err != nil {
			t.Fatal(err)
		}
		p.were()
		if err := l.Checkpoints(ctx, 2, func([]byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if asked := p.were(); asked != [4]string{0: "checkpoint", 3: "checkpoint"} {
			t.Errorf("asked %q", asked)
		}
		if !l.Doubt(lied) {
			t.Error("there is no other")
		}
		p.were()
		if _, err := only.Services().Ledger.Append(ctx, []contract.Entry{entry}); !errors.As(err, new(*node.RefusedError)) || l.Doubt(lied) {
			t.Errorf("without who is doubted: %v", err)
		}
		if asked := p.were(); asked != [4]string{0: "entries", 1: "entries", 2: "entries"} {
			t.Errorf("without who is doubted: asked %q", asked)
		}
		l.Anew()
	}
}

// names are the nodes that were passed over, in order.
func names(nw *node.Network) (lines []int) {
	for _, p := range nw.Passed() {
		lines = append(lines, p.Line)
	}
	slices.Sort(lines)
	return lines
}

// A node that ends, or sends no more, in the middle of a payload: it is read on at the next one,
// and what is read at once is of one of them. Threat: what the first one gave was changed, and
// the other one is taken for who did it.
func TestReadOn(t *testing.T) {
	const piece = contract.PieceSize
	p := newPlaces(t)
	right := make([]byte, 3*piece)
	rand.Read(right)
	changed := bytes.Clone(right)
	changed[piece+5] ^= 1
	last := len(right) - 1
	first, then, rest := fmt.Sprintf("2 %d-%d", ledgerclient.FirstBytes, last), fmt.Sprintf("3 0-%d", ledgerclient.FirstBytes-1), fmt.Sprintf("3 %d-%d", piece, last)
	for i, hangs := range []bool{false, true} {
		loc := crypto.Locator{byte(i)}
		p.blobs[2][loc], p.blobs[3][loc] = changed, right
		nw := p.reach(2, node.Options{})
		b, err := nw.Services().Store.Blob(ctx, loc)
		if err != nil {
			t.Fatal(err)
		}
		p.mu.Lock()
		p.cut, p.hangs, p.parts = piece+77, hangs, nil
		p.mu.Unlock()
		got := make([]byte, piece)
		for at := range int64(3) {
			n, err := b.ReadAt(got, at*piece)
			if want := right[at*piece:][:piece]; err != nil || !bytes.Equal(got, want) {
				t.Errorf("piece %d: %d bytes, %v, as they were: %v", at, n, err, bytes.Equal(got, want))
			}
		}
		b.(ledgerclient.Copied).Right()
		b.Close()
		p.mu.Lock()
		if !slices.Equal(p.parts, []string{first, then, rest}) {
			t.Errorf("asked for %q, not %q", p.parts, []string{first, then, rest})
		}
		p.mu.Unlock()
		if at := names(nw); slices.Contains(at, 3) {
			t.Errorf("passed over: %v", at)
		}
		nw.Close()
	}
}

// Threat: a node gives a little of a payload at a time, whenever it is asked. Where another one has
// it, it is asked for it once, and named; and once more where that one gives no answer.
func TestReadOnByteByByte(t *testing.T) {
	p := newPlaces(t)
	right := make([]byte, 2*contract.PieceSize)
	rand.Read(right)
	changed := bytes.Clone(right)
	changed[contract.PieceSize/2] ^= 1
	first, then, rest := fmt.Sprintf("2 %d-%d", ledgerclient.FirstBytes, len(right)-1), fmt.Sprintf("3 0-%d", ledgerclient.FirstBytes-1), fmt.Sprintf("3 %d-%d", ledgerclient.FirstBytes, len(right)-1)
	begin := fmt.Sprintf("2 0-%d", ledgerclient.FirstBytes-1)
	for i, c := range []struct {
		away string // what node 3 does not answer, until node 2 broke off for the second time
		want []string
	}{{"", []string{first, then, rest}}, {"blobs", []string{first, begin, first, then, rest}}} {
		loc := crypto.Locator{byte(i)}
		p.blobs[2][loc], p.blobs[3][loc] = changed, right
		nw := p.reach(2, node.Options{})
		nw.SetTurn(time.Hour)
		b, err := nw.Services().Store.Blob(ctx, loc)
		if err != nil {
			t.Fatal(err)
		}
		breaks := 0
		p.mu.Lock()
		p.cut, p.breaks[3], p.parts = ledgerclient.FirstBytes+1, c.away, nil // it begins well each time
		p.broke = func() {
			if breaks++; breaks == 2 {
				p.breaks[3] = ""
			}
		}
		p.mu.Unlock()
		got := make([]byte, len(right))
		if _, err := b.ReadAt(got, 0); err != nil || !bytes.Equal(got, right) {
			t.Errorf("%v, as they were: %v", err, bytes.Equal(got, right))
		}
		b.Close()
		p.mu.Lock()
		if !slices.Equal(p.parts, c.want) {
			t.Errorf("asked for %q, not %q", p.parts, c.want)
		}
		p.cut = 0
		p.mu.Unlock()
		if at := names(nw); !slices.Contains(at, 2) {
			t.Errorf("passed over: %v", at)
		}
		nw.Close()
	}
}

// Threat: what a node gives is not the payload, and the other one that has it broke off once: it
// is asked once more. One that broke off is, too, as long as it gives something.
func TestReadOnAtTheSame(t *testing.T) {
	const piece = contract.PieceSize
	p := newPlaces(t)
	loc := crypto.Locator{1}
	right := make([]byte, 4*piece)
	rand.Read(right)
	p.blobs[2][loc], p.blobs[3][loc] = right, make([]byte, len(right))
	nw := p.reach(2, node.Options{})
	nw.SetTurn(time.Hour)
	defer nw.Close()
	b, err := nw.Services().Store.Blob(ctx, loc)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	p.mu.Lock()
	p.cut, p.broke = piece+piece/2, func() {}
	p.mu.Unlock()
	got := make([]byte, piece)
	for at := range int64(4) {
		for {
			if _, err := b.ReadAt(got, at*piece); err != nil {
				t.Fatalf("piece %d: %v", at, err)
			}
			if bytes.Equal(got, right[at*piece:][:piece]) {
				break
			}
			if wrong := (&ledgerclient.TamperedError{What: "payload"}); !b.(ledgerclient.Copied).Next(wrong) {
				t.Fatalf("piece %d: there is no other", at)
			}
		}
	}
	b.(ledgerclient.Copied).Right()
	if at := names(nw); !slices.Equal(at, []int{2, 3}) {
		t.Errorf("passed over: %v", at)
	}
}

// Threat: the node that is asked first breaks off each upload. It is passed over: the other one
// takes the content, and the next one has it from there. Where nobody else takes it there is one
// copy; where none of the two does, nothing was stored. What is not what was sent is not handed on.
func TestUploadThatOneBreaksOff(t *testing.T) {
	loc := crypto.Locator{1}
	content := make([]byte, node.MaxPart+contract.PieceSize)
	for i := range content {
		content[i] = byte(i * i >> 9)
	}
	for what, c := range map[string]struct {
		breaks [4]string
		alters bool // node 3
		at     []int
		named  []int
	}{
		"a part":             {[4]string{2: "uploads/part"}, false, []int{0, 3}, []int{2}},
		"the end":            {[4]string{2: "uploads/commit"}, false, []int{0, 3}, []int{2}},
		"the next one, too":  {[4]string{0: "uploads/part", 2: "uploads/part"}, false, []int{1, 3}, []int{0, 2}},
		"all but one":        {[4]string{0: "uploads/part", 1: "uploads/commit", 2: "uploads/part"}, false, []int{3}, []int{0, 1, 2}},
		"both":               {[4]string{2: "uploads/part", 3: "uploads/commit"}, false, nil, nil},
		"who has it changed": {[4]string{2: "uploads/part"}, true, nil, []int{2, 3}},
	} {
		p := newPlaces(t)
		p.breaks, p.alters[3] = c.breaks, c.alters
		nw := p.reach(2, node.Options{})
		nw.SetTurn(time.Hour)
		err := func() error {
			u, err := nw.Services().Store.Upload(ctx)
			if err != nil {
				return err
			}
			if _, err := u.Write(content); err != nil {
				return err
			}
			if size, _, err := u.Sum(); err != nil || size != int64(len(content)) {
				return fmt.Errorf("%d bytes: %w", size, err)
			}
			return u.Commit(ledgerclient.Put{Part: ledgerclient.PartContent, Package: []byte("package"), Locators: []crypto.Locator{loc}})
		}()
		var at []int
		for i := range p.blobs {
			if bytes.Equal(p.blobs[i][loc], content) {
				at = append(at, i)
			}
		}
		switch named := names(nw); {
		case what == "both":
			if ledgerclient.Unreachable(err) == nil || at != nil {
				t.Errorf("%s: at %v, %v", what, at, err)
			}
		case err != nil || !slices.Equal(at, c.at) || !slices.Equal(named, c.named):
			t.Errorf("%s: at %v, passed over %v, %v", what, at, named, err)
		}
		nw.Close()
	}
}

// What no node has, but one that broke off when it was asked for it, is asked for there once more.
func TestPayloadsOfANodeThatBreaksOff(t *testing.T) {
	p := newPlaces(t)
	locs := []crypto.Locator{{1}, {2}}
	p.blobs[3][locs[0]], p.blobs[3][locs[1]] = []byte("one"), []byte("another")
	p.drops = 1
	nw := p.reach(3, node.Options{})
	defer nw.Close()
	found := 0
	if err := ledgerclient.Blobs(ctx, nw.Services().Store, locs, func(_ int, _ ledgerclient.Blob, err error) error {
		found++
		return err
	}); err != nil || found != 2 {
		t.Errorf("found %d, %v", found, err)
	}
}

// Threat: a node says of a payload that it is longer than it is, and breaks off. The next
// one is not taken for who lies.
func TestReadOnOfAnotherSize(t *testing.T) {
	p := newPlaces(t)
	loc := crypto.Locator{1}
	right := make([]byte, 2*contract.PieceSize)
	rand.Read(right)
	p.blobs[2][loc], p.blobs[3][loc] = append(bytes.Clone(right), 1, 2, 3), right
	p.cut = contract.PieceSize
	nw := p.reach(2, node.Options{})
	defer nw.Close()
	b, err := nw.Services().Store.Blob(ctx, loc)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c := b.(ledgerclient.Copied)
	tries := 0
	for ; ; tries++ {
		got := make([]byte, b.Size())
		_, err := b.ReadAt(got, 0)
		if err == nil && bytes.Equal(got, right) {
			c.Right()
			break
		}
		if err == nil || !errors.As(err, new(*ledgerclient.TamperedError)) || !c.Next(err) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	if at := names(nw); tries != 1 || slices.Contains(at, 3) {
		t.Errorf("after %d tries passed over: %v", tries, at)
	}
}

// A node that takes all requests and answers none is waited for once, whatever is asked for
// together; what no other has is asked of it once more, without haste.
func TestPayloadsOfANodeThatHangs(t *testing.T) {
	p := newPlaces(t)
	locs := []crypto.Locator{{1}, {2}}
	p.blobs[0][locs[0]], p.blobs[0][locs[1]] = []byte("one"), []byte("another")
	nw := p.reach(3, node.Options{})
	defer nw.Close()
	p.were()
	p.isMute(3)
	for range 2 {
		found := 0
		if err := ledgerclient.Blobs(ctx, nw.Services().Store, locs, func(_ int, _ ledgerclient.Blob, err error) error {
			found++
			return err
		}); err != nil || found != 2 {
			t.Fatalf("found %d, %v", found, err)
		}
	}
	if asked := p.were(); asked != [4]string{0: "bulk bulk", 3: "bulk"} {
		t.Errorf("asked %q", asked)
	}
	if at := names(nw); !slices.Equal(at, []int{3}) {
		t.Errorf("passed over: %v", at)
	}
}

// What the nodes were asked while it was looked for where they are leaves no connection.
func TestReachLeavesNothingOpen(t *testing.T) {
	p := newPlaces(t)
	var open sync.WaitGroup
	for i, m := range p.Members {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(i, w, r) }))
		s.Config.ConnState = func(_ net.Conn, now http.ConnState) {
			switch now {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed:
				open.Done()
			}
		}
		s.Start()
		t.Cleanup(s.Close)
		p.members[i].URLs = []string{s.URL}
		p.sites[i] = node.NewSite(p.ID(), p.members[i], 8, m.Key.Sign, p.keepers[i].Key.Sign)
	}
	p.sites = p.sites[:3] // so that a second one is asked, and the nodes are laid once more
	nw := p.reach(0, node.Options{})
	if asked := p.were(); asked != [4]string{0: "genesis sites", 1: "sites"} {
		t.Errorf("asked %q", asked)
	}
	nw.Close()
	open.Wait()
}

// Threat: a node gives what is not the payload. Who finds that goes on with another copy, and
// with none that is of another length.
func TestAnotherCopy(t *testing.T) {
	p := newPlaces(t)
	right, short := []byte("what was stored"), []byte("what was")
	locs := []crypto.Locator{{1}, {2}}
	p.blobs[0][locs[0]], p.blobs[1][locs[0]], p.blobs[3][locs[0]] = []byte("what was forged"), short, right
	p.blobs[0][locs[1]], p.blobs[2][locs[1]] = short, right
	nw := p.reach(0, node.Options{})
	defer nw.Close()
	open := func(b ledgerclient.Blob, tries int) {
		t.Helper()
		defer b.Close()
		for {
			got := make([]byte, b.Size())
			if _, err := b.ReadAt(got, 0); err != nil && err != io.EOF {
				t.Fatal(err)
			}
			if bytes.Equal(got, right) {
				break
			}
			if len(nw.Passed()) > 0 {
				t.Error("who is wrong is named before another one is right")
			}
			if tries--; !b.(ledgerclient.Copied).Next(&ledgerclient.TamperedError{What: "payload"}) {
				t.Fatalf("there is no other than %q", got)
			}
		}
		if tries != 0 {
			t.Errorf("%d tries were not needed", tries)
		}
		for b.(ledgerclient.Copied).Next(&ledgerclient.TamperedError{What: "payload"}) {
			t.Error("there is one more")
		}
	}
	b, err := nw.Services().Store.Blob(ctx, locs[0])
	if err != nil {
		t.Fatal(err)
	}
	open(b, 2)
	b.(ledgerclient.Copied).Right()
	if at := names(nw); !slices.Equal(at, []int{0, 1}) {
		t.Errorf("passed over: %v", at)
	}
	again := p.reach(0, node.Options{})
	defer again.Close()
	nw = again
	if err := ledgerclient.Blobs(ctx, again.Services().Store, locs, func(i int, b ledgerclient.Blob, err error) error {
		if err != nil {
			return err
		}
		open(b, 2-i)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
