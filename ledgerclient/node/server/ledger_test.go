package server

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func TestDocuments(t *testing.T) {
	w := newWorld(t, nil)
	r := w.get(node.PathGenesis)
	doc := w.ok(r)
	if contract.LedgerID(doc) != w.ledger || !strings.Contains(r.header.Get("Cache-Control"), "immutable") || r.header.Get(node.HeaderVersion) != "3" {
		t.Errorf("genesis: %v", r.header)
	}
	if configs, err := node.ConfigsForm.Parse(w.ok(w.get(node.PathConfig))); err != nil || len(configs) != 0 {
		t.Errorf("%d configurations, %v", len(configs), err)
	}
	if r := w.ask(http.MethodHead, node.PathGenesis, nil); r.status != 200 || len(r.body) != 0 || r.header.Get("Content-Length") != fmt.Sprint(len(doc)) {
		t.Errorf("HEAD: %d %v", r.status, r.header)
	}
}

// What is new comes in one answer: to who asks, and to who submits; not to who revokes.
func TestNews(t *testing.T) {
	w := newWorld(t, nil)
	g := w.grant()
	w.give(g)
	size := w.size()
	check := func(what string, n node.News, from uint64) {
		t.Helper()
		tree, _ := w.openCheckpoint(n.Note)
		want, err := w.folder.Leaves(ctx, from, uint64(tree.N))
		if err != nil || tree.N != int64(w.size()) || !slices.Equal(n.Leaves, want) {
			t.Errorf("%s: %d leaves of %d, %v", what, len(n.Leaves), tree.N, err)
		}
	}
	ask := func(from string) node.News {
		t.Helper()
		n, err := node.NewsForm.Parse(w.ok(w.get(node.PathNews, node.HeaderFrom, from)))
		w.must(err)
		return n
	}
	check("all", ask("0"), 0)
	check("the last", ask(fmt.Sprint(size-1)), size-1)
	check("nothing new", ask(fmt.Sprint(size)), size)
	for from, why := range map[string]string{"": "nobody asks for them", fmt.Sprint(size + 1): "they are not there"} {
		if n := ask(from); len(n.Leaves) != 0 || len(n.Note) == 0 {
			t.Errorf("%d leaves, though %s", len(n.Leaves), why)
		}
	}
	for _, bad := range []string{"-1", "01", "x", "9223372036854775808"} {
		w.refused(bad, w.get(node.PathNews, node.HeaderFrom, bad), node.KindMalformed)
	}
	submit := func(from uint64, entries ...contract.Entry) node.News {
		t.Helper()
		o, err := node.OrderedForm(len(entries)).Parse(w.ok(w.post(node.PathEntries, node.EntriesForm.Marshal(entries), node.HeaderFrom, fmt.Sprint(from))))
		w.must(err)
		return o.News
	}
	check("with an answer", submit(size, w.records(3)...), size)
	if n := submit(size, w.revocation(g)); len(n.Note) != 0 || len(n.Leaves) != 0 {
		t.Error("a revocation is held up by news")
	}
	if n := submit(0, w.records(node.MaxNews)...); len(n.Leaves) != 0 || len(n.Note) == 0 {
		t.Errorf("%d leaves, though there are more than fit", len(n.Leaves))
	}
	check("more than a bundle", ask(fmt.Sprint(size+100)), size+100)
}

// openCheckpoint verifies both signatures and returns tree and time.
func (w *world) openCheckpoint(msg []byte) (tlog.Tree, time.Time) {
	w.t.Helper()
	config, err := contract.ParseConfig(w.ok(w.get(node.PathGenesis)))
	w.must(err)
	key := config.Nodes[0].Checkpoint
	vkey, err := note.NewEd25519VerifierKey(ledgerclient.Origin(w.ledger), ed25519.PublicKey(key[:]))
	w.must(err)
	plain, err := note.NewVerifier(vkey)
	w.must(err)
	timed := ledgerclient.NewTimeVerifier(ledgerclient.TimeName(w.ledger), key)
	n, err := note.Open(msg, note.VerifierList(plain, timed))
	w.must(err)
	if len(n.Sigs) != 2 || len(n.UnverifiedSigs) != 0 {
		w.t.Fatalf("%d good signatures, %d others", len(n.Sigs), len(n.UnverifiedSigs))
	}
	origin, rest, _ := strings.Cut(n.Text, "\n")
	if origin != ledgerclient.Origin(w.ledger) {
		w.t.Fatal("origin")
	}
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + rest))
	w.must(err)
	var raw []byte
	for line := range strings.Lines(string(msg)) {
		if rest, ok := strings.CutPrefix(line, "— "+ledgerclient.TimeName(w.ledger)+" "); ok {
			raw = base64Decode(w.t, strings.TrimSpace(rest))
		}
	}
	return tree, time.Unix(int64(binary.BigEndian.Uint64(raw[4:12])), 0)
}

// The checkpoint says as of when it is the newest, anew when it is older than 30 seconds.
func TestCheckpoint(t *testing.T) {
	w := newWorld(t, nil)
	r := w.get(node.PathCheckpoint)
	first := w.ok(r)
	if r.header.Get("Content-Type") != node.TypeNote || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", r.header)
	}
	start := w.clock.now()
	if tree, at := w.openCheckpoint(first); tree.N != 1 || !at.Equal(start) {
		t.Errorf("size %d at %s", tree.N, at)
	}
	w.clock.pass(29 * time.Second)
	if again := w.ok(w.get(node.PathCheckpoint)); !bytes.Equal(again, first) {
		t.Error("made anew within 30 seconds")
	}
	w.order(w.records(1)...)
	if tree, at := w.openCheckpoint(w.ok(w.get(node.PathCheckpoint))); tree.N != 2 || !at.Equal(start.Add(29*time.Second)) {
		t.Errorf("size %d at %s", tree.N, at)
	}
	w.clock.pass(31 * time.Second)
	if tree, at := w.openCheckpoint(w.ok(w.get(node.PathCheckpoint))); tree.N != 2 || !at.Equal(start.Add(time.Minute)) {
		t.Errorf("size %d at %s", tree.N, at)
	}
}

// tiles reads tiles over HTTP for tlog.TileHashReader.
type tiles struct{ w *world }

func (tiles) Height() int { return 8 }

func (t tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range want {
		r := t.w.get(node.TilePath(tile))
		if r.status != http.StatusOK {
			return nil, fmt.Errorf("%s: status %d", node.TilePath(tile), r.status)
		}
		if r.header.Get("Cache-Control") != forever || r.header.Get("Content-Type") != node.TypeBinary {
			return nil, fmt.Errorf("headers %v", r.header)
		}
		all = append(all, r.body)
	}
	return all, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// The tiles are those of the tree under the checkpoint, by the reader of package
// tlog, which checks every hash; the entry bundles hold the leaves.
func TestTiles(t *testing.T) {
	w := newWorld(t, nil)
	all := w.records(700)
	w.order(all[:300]...)
	early, _ := w.openCheckpoint(w.ok(w.get(node.PathCheckpoint)))
	w.order(all[300:]...)
	tree, _ := w.openCheckpoint(w.ok(w.get(node.PathCheckpoint)))
	if tree.N != 701 || early.N != 301 {
		t.Fatalf("sizes %d and %d", early.N, tree.N)
	}
	reader := tlog.TileHashReader(tree, tiles{w})
	proof, err := tlog.ProveTree(tree.N, early.N, reader)
	w.must(err)
	w.must(tlog.CheckTree(proof, tree.N, tree.Hash, early.N, early.Hash))
	for _, at := range []int64{0, 1, 255, 256, 299, 511, 512, 700} {
		width := min(256, int(tree.N-at/256*256))
		leaves, err := node.ParseEntryBundle(w.ok(w.get(node.TilePath(tlog.Tile{H: 8, L: -1, N: at / 256, W: width}))), width)
		w.must(err)
		raw := leaves[at%256].Marshal()
		p, err := tlog.ProveRecord(tree.N, at, reader)
		w.must(err)
		if err := tlog.CheckRecord(p, tree.N, tree.Hash, at, tlog.RecordHash(raw[:])); err != nil {
			t.Errorf("leaf %d: %v", at, err)
		}
		if at > 0 && leaves[at%256].Entry != all[at-1] {
			t.Errorf("leaf %d is another entry", at)
		}
	}
	// The tile of an older size is still there, the ones that are not there yet are
	// not, and nobody caches that.
	w.ok(w.get(node.PathTile + "0/001.p/45"))
	w.ok(w.get(node.PathTile + "1/000.p/1"))
	w.ok(w.get(node.PathTile + "1/000.p/2"))
	for _, path := range []string{
		"0/002.p/190", "0/002", "1/000.p/3", "1/000", "2/000.p/1", "entries/002", "entries/002.p/190", "entries/003.p/1",
		"0/000.p/0", "8/0/000", "data/000", "entries/", "", "63/000", "0/x999/x999/x999/x999/x999/999", "0/../0/000",
	} {
		p := w.refused(path, w.get(node.PathTile+path), node.KindNotFound)
		if p.NotFound.What != "tile" && p.NotFound.What != "page" {
			t.Errorf("%s: no such %s", path, p.NotFound.What)
		}
	}
}

func TestSubmit(t *testing.T) {
	w := newWorld(t, nil)
	rs := w.records(3)
	bad := rs[2]
	bad.Signature[3] ^= 1
	mixed := []contract.Entry{rs[0], bad, rs[1], rs[0]}
	want := []ledgerclient.Outcome{
		{ID: rs[0].ID(w.ledger), Index: 1, Hour: testHour},
		{ID: bad.ID(w.ledger), Hour: testHour, Refusal: &contract.Refusal{Rule: contract.RuleSignature, Entry: bad.ID(w.ledger), Hour: testHour}},
		{ID: rs[1].ID(w.ledger), Index: 2, Hour: testHour},
		{ID: rs[0].ID(w.ledger), Index: 1, Hour: testHour, Duplicate: true},
	}
	if got := w.submit(mixed...); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	// Sent again, for example since the answer was lost: nothing is added.
	for i, o := range w.submit(rs[:2]...) {
		if !o.Duplicate || o.Index != uint64(i+1) {
			t.Errorf("again: %+v", o)
		}
	}
	for name, body := range map[string][]byte{"nothing": {}, "a byte": {1}, "half": make([]byte, 111), "one and a half": make([]byte, 333)} {
		w.refused(name, w.post(node.PathEntries, body), node.KindMalformed)
	}
	p := w.refused("too many", w.post(node.PathEntries, make([]byte, 4097*contract.Size)), node.KindTooLarge)
	if p.Limit != 4096*contract.Size {
		t.Errorf("limit %d", p.Limit)
	}
}

// Many submit at the same time: everything is in the log once, and answered to whoever sent
// it. What comes in one step stands there by its ids, as all of these batches are sent.
func TestSubmitters(t *testing.T) {
	w := newWorld(t, nil)
	const people, rounds, each = 8, 4, 5
	var wg sync.WaitGroup
	batches := make([][][]contract.Entry, people)
	for i := range people {
		for range rounds {
			batches[i] = append(batches[i], w.records(each))
		}
		wg.Go(func() {
			for _, b := range batches[i] {
				answer, err := node.OrderedForm(each).Parse(w.post(node.PathEntries, node.EntriesForm.Marshal(b)).body)
				if err != nil {
					t.Error(err)
					return
				}
				out := answer.Outcomes
				for j, o := range out {
					if o.Refusal != nil || o.Duplicate || o.ID != b[j].ID(w.ledger) || j > 0 && o.Index <= out[j-1].Index {
						t.Errorf("%+v", o)
					}
				}
			}
		})
	}
	wg.Wait()
	tree, _ := w.openCheckpoint(w.ok(w.get(node.PathCheckpoint)))
	if tree.N != 1+people*rounds*each {
		t.Fatalf("%d entries", tree.N)
	}
	at := map[contract.ID]int{}
	for i, leaf := range w.leaves(tree.N) {
		at[leaf.Entry.ID(w.ledger)] = i
	}
	if len(at) != int(tree.N) {
		t.Errorf("%d different entries of %d", len(at), tree.N)
	}
}

// leaves reads the log by entry bundles.
func (w *world) leaves(size int64) (all []contract.Leaf) {
	w.t.Helper()
	for n := int64(0); n*256 < size; n++ {
		width := int(min(256, size-n*256))
		leaves, err := node.ParseEntryBundle(w.ok(w.get(node.TilePath(tlog.Tile{H: 8, L: -1, N: n, W: width}))), width)
		w.must(err)
		all = append(all, leaves...)
	}
	return all
}

// Two processes of the same entry, at the same time: it is in the log once.
func TestTwoSubmittersOfOne(t *testing.T) {
	w := newWorld(t, nil)
	rs := w.records(20)
	var wg sync.WaitGroup
	var mu sync.Mutex
	fresh := 0
	for range 4 {
		wg.Go(func() {
			for _, o := range w.submit(rs...) {
				mu.Lock()
				if !o.Duplicate {
					fresh++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if tree, _ := w.openCheckpoint(w.ok(w.get(node.PathCheckpoint))); tree.N != 21 || fresh != 20 {
		t.Errorf("%d entries, %d fresh", tree.N, fresh)
	}
}
