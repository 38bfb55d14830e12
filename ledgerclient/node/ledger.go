package node

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// fetchers is how many tiles are asked for at a time.
const fetchers = 4

// ledger is the node's log. Nothing that it returns is verified but what the
// comments say: that is for ledgerclient.Client.
type ledger struct{ n *Node }

// Properties are those of every node: they are not the node's word.
func (l ledger) Properties() ledgerclient.Properties {
	return properties(l.n.wire.urls[0], ledgerclient.Operators(l.n.config))
}

func (l ledger) Genesis(context.Context) ([]byte, error) { return l.n.genesis, nil }

// Configs returns the configuration documents after the first.
func (l ledger) Configs(ctx context.Context) ([][]byte, error) {
	raw, err := l.read(ctx, PathConfig, MaxDocument)
	if err != nil {
		return nil, err
	}
	return ConfigsForm.Parse(raw)
}

// Witnessed returns the newest checkpoint that witnesses were asked to cosign.
func (l ledger) Witnessed(ctx context.Context) ([]byte, error) {
	return l.read(ctx, PathWitnessed, ledgerclient.MaxNote)
}

func (l ledger) read(ctx context.Context, path string, limit int64) ([]byte, error) {
	return l.n.wire.ask(ctx, question{service: ofLedger, path: path, reads: true, limit: limit})
}

// seen is a head that the node showed.
type seen struct {
	size uint64
	root tlog.Hash
}

// maxSeen is how many heads are remembered to check proofs with.
const maxSeen = 16

// ahead is what the node said before it was asked.
type ahead struct {
	told   bool      // by From
	have   uint64    // the leaves before it are with whoever reads the log
	from   uint64    // position of the first of the leaves
	news   News      // the last that came
	unread time.Time // when they came with an answer to entries; zero: the checkpoint was passed on
}

// aheadFor is how long a checkpoint that came with an answer to entries is the newest.
const aheadFor = time.Minute

// From says that the leaves before a position are known.
func (l ledger) From(position uint64) {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	l.n.ahead.told, l.n.ahead.have = true, position
}

// asks is the position from which news are asked for. Unless the node itself showed the
// head there it is that of a full bundle, so that the node cannot tell by it which
// wallet this is.
func (n *Node) asks() uint64 {
	have := n.ahead.have
	if slices.ContainsFunc(n.heads, func(h seen) bool { return h.size == have }) {
		return have
	}
	return have / BundleWidth * BundleWidth
}

func fromHeader(from uint64) http.Header {
	return http.Header{HeaderFrom: {strconv.FormatUint(from, 10)}}
}

// seen tells the keeper how much of the log is known here, if that is more than the node has
// shown: it was ordered through another one.
func (n *Node) seen() http.Header {
	n.mu.Lock()
	defer n.mu.Unlock()
	have := n.ahead.have
	if !n.ahead.told || slices.ContainsFunc(n.heads, func(h seen) bool { return h.size >= have }) {
		return nil
	}
	return fromHeader(have)
}

// take keeps news.
func (n *Node) take(from uint64, news News, unread time.Time) {
	if len(news.Note) == 0 {
		return
	}
	n.ahead.from, n.ahead.news, n.ahead.unread = from, news, unread
	if head, err := ledgerclient.Unverified(news.Note); err == nil { // otherwise who reads it will say what is wrong with it
		n.heads = append(n.heads[max(0, len(n.heads)-maxSeen+1):], seen{head.Size, tlog.Hash(head.Root)})
	}
}

// Checkpoint returns the newest signed checkpoint. Its size and root are
// remembered: they are what tiles are asked for and checked with.
func (l ledger) Checkpoint(ctx context.Context) ([]byte, error) { return l.checkpoint(ctx, true) }

// checkpoint is Checkpoint; without news nothing else is asked for.
func (l ledger) checkpoint(ctx context.Context, news bool) ([]byte, error) {
	l.n.mu.Lock()
	a := &l.n.ahead
	if news && a.told && !a.unread.IsZero() && a.from <= a.have && time.Since(a.unread) < aheadFor {
		a.unread = time.Time{}
		defer l.n.mu.Unlock()
		return a.news.Note, nil
	}
	told, from := news && a.told, l.n.asks()
	l.n.mu.Unlock()
	q := question{service: ofLedger, path: PathCheckpoint, reads: true, urgent: true, limit: MaxNote}
	if told {
		q.path, q.header, q.limit = PathNews, fromHeader(from), newsSize
	}
	raw, err := l.n.wire.ask(ctx, q)
	away, _ := errors.AsType[*ledgerclient.UnreachableError](err)
	if away != nil && away.Answered {
		away = nil // it is there
	}
	l.n.wire.away.Store(away)
	if err != nil {
		return nil, err
	}
	said := News{Note: raw}
	if told {
		if said, err = NewsForm.Parse(raw); err != nil {
			return nil, err
		}
	}
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	l.n.take(from, said, time.Time{})
	return said.Note, nil
}

// head returns the root of a head that was shown, also by another node, and the size of the
// newest that this one has shown.
func (n *Node) head(size uint64) (root tlog.Hash, known bool, newest uint64) {
	if root, known, newest = n.shown(size); !known && n.others != nil {
		root, known = n.others(size)
	}
	return root, known, newest
}

func (n *Node) shown(size uint64) (root tlog.Hash, known bool, newest uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range n.heads {
		if h.size == size {
			root, known = h.root, true
		}
		newest = h.size
	}
	return root, known, newest
}

// Append submits the entries; more than the node takes at a time go in several
// requests, each of which is ordered as a whole or not at all.
func (l ledger) Append(ctx context.Context, entries []contract.Entry) ([]ledgerclient.Outcome, error) {
	revoke := func(e contract.Entry) bool { return e.Kind == contract.KindRevoke }
	revokes := slices.ContainsFunc(entries, revoke)
	l.n.mu.Lock()
	from := l.n.asks()
	l.n.mu.Unlock()
	var out []ledgerclient.Outcome
	err := inParts(len(entries), func(int) int { return MaxEntries }, func(at, end int) error {
		raw, err := l.n.wire.ask(ctx, question{service: ofLedger, path: PathEntries, header: fromHeader(from),
			body: EntriesForm.Marshal(entries[at:end]), token: slices.ContainsFunc(entries[at:end], func(e contract.Entry) bool { return !revoke(e) }), urgent: revokes, limit: int64((end-at)*maxOutcome + newsSize)})
		if err != nil {
			return err
		}
		o, err := OrderedForm(end - at).Parse(raw)
		out = append(out, o.Outcomes...)
		l.n.mu.Lock()
		l.n.take(from, o.News, time.Now())
		l.n.mu.Unlock()
		return err
	})
	if u := ledgerclient.Unreachable(err); u != nil && errors.Is(u.Err, ErrSlow) && l.n.wire.away.Load() == nil {
		u.Undecided = true // it has them
	}
	if revokes {
		err = unanswered(ofLedger, err)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// forget drops what came along with a head: it is asked for by itself.
func (n *Node) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ahead.news, n.ahead.unread = News{}, time.Time{}
}

// read notes that leaves are read which follow on those that are known.
func (n *Node) read(from, to uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ahead.have == from {
		n.ahead.have = to
	}
}

// Leaves returns what came along with a checkpoint, or reads entry bundles. A bundle that is not full is asked for at the width
// that the newest checkpoint has of it, so that mirrors have it too.
func (l ledger) Leaves(ctx context.Context, from, to uint64) ([]contract.Leaf, error) {
	if from >= to {
		return nil, nil
	}
	l.n.read(from, to)
	l.n.mu.Lock()
	a := &l.n.ahead
	known := a.news.Leaves
	if a.from <= from && to-a.from <= uint64(len(known)) {
		known = known[from-a.from : to-a.from]
		l.n.mu.Unlock()
		return known, nil
	}
	l.n.mu.Unlock()
	_, _, size := l.n.shown(0)
	size = max(size, to)
	first, last := from/BundleWidth, (to-1)/BundleWidth
	bundles := make([][]contract.Leaf, last-first+1)
	err := l.n.parallel(len(bundles), func(i int) error {
		number := first + uint64(i)
		width := min(BundleWidth, size-number*BundleWidth)
		raw, err := l.tile(ctx, tlog.Tile{H: tileHeight, L: -1, N: int64(number), W: int(width)}, 2+contract.LeafSize)
		if err != nil {
			return err
		}
		bundles[i], err = ParseEntryBundle(raw, int(width))
		return err
	})
	if err != nil {
		return nil, err
	}
	out := make([]contract.Leaf, 0, to-from)
	for i, b := range bundles {
		begin := (first + uint64(i)) * BundleWidth
		out = append(out, b[max(from, begin)-begin:min(to-begin, uint64(len(b)))]...)
	}
	return out, nil
}

// tile reads a tile with elements of that many bytes. Of one that is not full
// there may be only the full one by now (C2SP tlog-tiles), of which the beginning
// is the same.
func (l ledger) tile(ctx context.Context, t tlog.Tile, element int) ([]byte, error) {
	raw, err := l.read(ctx, TilePath(t), int64(t.W*element))
	if is[*ledgerclient.NotFoundError](err) && t.W < BundleWidth {
		full := t
		full.W = BundleWidth
		if raw, err = l.read(ctx, TilePath(full), int64(BundleWidth*element)); err == nil {
			raw = raw[:min(len(raw), t.W*element)]
		}
	}
	if is[*ledgerclient.NotFoundError](err) {
		// The node signed a head that has it.
		return nil, &ledgerclient.UnreachableError{Service: ofLedger, Err: err}
	}
	return raw, err
}

// parallel runs f(0) … f(n-1), a few at a time, and returns the error of the
// lowest that failed.
func (n *Node) parallel(count int, f func(i int) error) error {
	errs := make([]error, count)
	places := make(chan struct{}, fetchers)
	var wg sync.WaitGroup
	for i := range count {
		places <- struct{}{}
		wg.Go(func() {
			defer crash.Report()
			errs[i] = f(i)
			<-places
		})
	}
	wg.Wait()
	return cmp.Or(errs...)
}

// ProveConsistency computes the proof from tiles, which are verified against the
// root of the newer head: one that is wrong is an *ledgerclient.TamperedError. Which
// tiles are asked for tells the node old to the nearest 256.
func (l ledger) ProveConsistency(ctx context.Context, old, new uint64) ([]crypto.Hash, error) {
	root, known, newest := l.n.head(new)
	if !known || old < 1 || old > new {
		return nil, &ledgerclient.RangeError{From: old, To: new, Size: newest}
	}
	l.n.mu.Lock()
	if l.n.tiles.root != root {
		l.n.tiles = kept{root, map[tlog.Tile][]byte{}}
	}
	l.n.mu.Unlock()
	tiles := &tileReader{ctx: ctx, l: l, root: root}
	proof, err := tlog.ProveTree(int64(new), int64(old), tlog.TileHashReader(tlog.Tree{N: int64(new), Hash: root}, tiles))
	if tiles.err != nil {
		return nil, tiles.err
	}
	if err != nil {
		return nil, &ledgerclient.TamperedError{What: "tile of the log", Err: err}
	}
	return ledgerclient.Hashes[crypto.Hash](proof), nil
}

// tileReader reads hash tiles for package tlog, which checks them.
type tileReader struct {
	ctx  context.Context
	l    ledger
	root tlog.Hash
	err  error // of the network
}

func (r *tileReader) Height() int { return tileHeight }

func (r *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(tiles))
	var missing []int
	n := r.l.n
	n.mu.Lock()
	for i, t := range tiles {
		if n.tiles.root == r.root {
			out[i] = n.tiles.data[t]
		}
		if out[i] == nil {
			missing = append(missing, i)
		}
	}
	n.mu.Unlock()
	r.err = n.parallel(len(missing), func(i int) (err error) {
		out[missing[i]], err = r.l.tile(r.ctx, tiles[missing[i]], len(tlog.Hash{}))
		return err
	})
	return out, r.err
}

// kept are tiles that were verified under a root; not to be changed.
type kept struct {
	root tlog.Hash
	data map[tlog.Tile][]byte
}

// maxTiles bounds the tiles that are kept: 2 MiB.
const maxTiles = 256

// SaveTiles keeps tiles that were verified: a hundred heads are proven from the same few.
func (r *tileReader) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	n := r.l.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.tiles.root != r.root {
		return
	}
	if len(n.tiles.data)+len(tiles) > maxTiles {
		clear(n.tiles.data)
	}
	for i, t := range tiles {
		n.tiles.data[t] = data[i]
	}
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
