package server

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
	"golang.org/x/mod/sumdb/tlog"
)

func (s *Server) newRoutes() map[string]map[string]route {
	const batch = node.MaxEntries * contract.Size
	get := func(name string, do func(*request) error) map[string]route {
		return map[string]route{http.MethodGet: {name: name, do: do}} // the number of requests sees to it
	}
	post := func(r route) map[string]route { return map[string]route{http.MethodPost: r} }
	routes := map[string]map[string]route{
		node.PathGenesis:    get("genesis", s.genesis),
		node.PathConfig:     get("config", s.config),
		node.PathCheckpoint: get("checkpoint", s.checkpoint),
		node.PathNews:       get("news", s.news),
		node.PathWitnessed:  get("witnessed", s.witnessedHead),
		node.PathTile:       get("tile", s.tile),
		node.PathWithdrawn:  get("withdrawn", s.withdrawn),
		node.PathSites:      get("sites", s.tellSites),
		node.PathEntries:    post(route{name: "entries", max: batch, stops: true, do: s.submit}),

		node.PathBlobs: {
			http.MethodGet:  {name: "blob", do: s.blob},
			http.MethodPost: {name: "blobs", max: node.MaxPutsSize, token: true, do: takes(node.PutsForm.Parse, signed, s.putBlobs)},
		},
		node.PathUploads: post(route{name: "upload", token: true, do: s.beginUpload}),
		node.PathUploadPart: post(route{name: "upload-part", max: node.MaxPart + 40, token: true,
			do: takes(node.UploadPartForm.Parse, always[node.UploadPart](0), s.uploadPart)}),
		node.PathUploadCommit: post(route{name: "upload-commit", max: 64 << 10, token: true,
			do: takes(node.UploadCommitForm.Parse, always[node.UploadCommit](1), s.commitUpload)}),
		node.PathUploadAbort: post(route{name: "upload-abort", max: 32, token: true,
			do: takes(node.UploadIDForm.Parse, always[node.UploadID](0), s.abortUpload)}),
		node.PathErase: post(route{name: "erase", max: contract.Size, clock: true, do: takes(node.EntriesForm.Parse, each, s.erase)}),

		node.PathDeposit: post(route{name: "deposit", max: node.MaxDeposits, do: takes(node.DepositsForm.Parse, each, s.deposit)}),
		node.PathState:   post(route{name: "state", max: 1024, do: s.alone(node.AskState)}),
		node.PathRelease: post(route{name: "release", max: 1024, do: s.alone(node.AskRelease)}),
		node.PathRevoke:  post(route{name: "revoke", max: batch, stops: true, do: takes(node.EntriesForm.Parse, each, s.revoke)}),
		node.PathInquire: post(route{name: "inquire", max: 1024, do: s.alone(node.AskInquiry)}),
		node.PathBulk:    post(route{name: "bulk", max: ledgerclient.MaxBulk * 512, do: s.bulk}),
	}
	if s.cosign != nil {
		routes[node.PathCosign] = map[string]route{
			http.MethodGet:  {name: "cosign", peers: true, do: s.ownHead},
			http.MethodPost: {name: "cosign", peers: true, max: node.MaxNote, do: s.cosigned},
		}
		routes[node.PathCopies] = map[string]route{http.MethodPost: {name: "copies", max: node.MaxCopyRequest, do: s.giveCopy}}
	}
	if s.takesLinks() {
		s.linkRoutes(routes)
	}
	return routes
}

func notFound(what string) error { return &ledgerclient.NotFoundError{What: what} }

// forever is for what never changes under its URL.
const forever = "public, max-age=31536000, immutable"

// answer sends a whole body.
func (q *request) answer(contentType string, body []byte) error {
	h := q.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	q.place.answers(int64(len(body)))
	q.w.WriteHeader(http.StatusOK)
	q.w.Write(body) // whoever hung up has nothing more to be told
	return nil
}

func (s *Server) genesis(q *request) error {
	doc, err := s.folder.Genesis(q.Context())
	if err != nil {
		return err
	}
	q.w.Header().Set("Cache-Control", forever)
	return q.answer(node.TypeBinary, doc)
}

// config answers with no documents: the configuration of a folder is fixed.
func (s *Server) config(q *request) error {
	return q.answer(node.TypeBinary, nil)
}

// followTime bounds how long a head waits for an order that is kept elsewhere.
const followTime = 10 * time.Second

// timedCheckpoint is the checkpoint as it was last given out.
type timedCheckpoint struct {
	mu   sync.Mutex
	raw  []byte
	time time.Time
	// failed is why the order could not be read, which nobody tries again until then.
	failed error
	until  time.Duration // uptime
}

func (s *Server) checkpoint(q *request) error {
	raw, err := s.shown(q.Context())
	if err != nil {
		return err
	}
	return q.answer(node.TypeNote, s.witnessed(raw))
}

// ownHead answers with the newest head as this node alone signs it.
func (s *Server) ownHead(q *request) error {
	raw, err := s.head(q.Context())
	if err != nil {
		return err
	}
	return q.answer(node.TypeNote, raw)
}

// cosigned takes in what another node has signed, and answers with this one's signature.
func (s *Server) cosigned(q *request) error {
	if err := q.charge(1 + bytes.Count(q.body, []byte("\n— "))); err != nil {
		return err
	}
	raw, err := s.cosign.take(q.Context(), q.body)
	if err != nil {
		return err
	}
	return q.answer(node.TypeNote, raw)
}

// news answers with the checkpoint and the leaves from a position on.
func (s *Server) news(q *request) error {
	n, err := s.newsFor(q)
	if err != nil {
		return err
	}
	return q.answer(node.TypeBinary, node.NewsForm.Marshal(n))
}

func (s *Server) newsFor(q *request) (n node.News, err error) {
	ctx := q.Context()
	from, err := node.ParseFrom(q.Header.Get(node.HeaderFrom))
	if err != nil {
		return n, err
	}
	if n.Note, err = s.shown(ctx); err != nil {
		return n, err
	}
	n.Note = s.witnessed(n.Note)
	head, err := ledgerclient.Unverified(n.Note)
	size := head.Size
	if err != nil || from > size || size-from > node.MaxNews {
		return n, err
	}
	// Bundles of height 0 begin at every leaf; to read one waits for no append.
	raw, err := s.folder.Tile(ctx, tlog.Tile{L: -1, N: int64(from), W: int(size - from)}, size)
	if err != nil {
		return n, err
	}
	for one := range slices.Chunk(raw, contract.LeafSize) {
		leaf, err := contract.ParseLeaf(one)
		if err != nil {
			return n, err
		}
		n.Leaves = append(n.Leaves, leaf)
	}
	return n, nil
}

// shown is the newest checkpoint that enough nodes have signed. While there is none it is
// what this node alone says, which is too few.
func (s *Server) shown(ctx context.Context) ([]byte, error) {
	raw, err := s.head(ctx)
	if s.cosign != nil {
		if joint := s.cosign.signed(); joint.Size > 0 {
			return joint.Note, nil
		}
	}
	return raw, err
}

// head returns the newest checkpoint as this node signs it, with a time of the last 30
// seconds. With a clock that is off, or an order that cannot be read, it has the last good
// time, and ages.
func (s *Server) head(ctx context.Context) ([]byte, error) {
	c := &s.timed
	c.mu.Lock()
	defer c.mu.Unlock()
	// Before the head is read, and one after the other: a later time never stands on a
	// smaller head.
	now := s.opt.Clock()
	if s.cosign != nil && now.Before(c.time) {
		now = c.time // nor where the clock was put back, also while the node did not run
	}
	plain, err := s.folder.Checkpoint(ctx)
	// The checkpoint is the same text with one signature less.
	if age := now.Sub(c.time); err == nil && c.raw != nil && bytes.HasPrefix(c.raw, plain) && age >= 0 && age < node.CosignEvery {
		return c.raw, nil
	}
	doubt := s.clock.off()
	if doubt == nil && s.opt.Ledger != nil {
		doubt = s.followed(ctx)
	}
	switch {
	case c.raw == nil && doubt != nil, doubt == nil && err != nil:
		return nil, cmp.Or(doubt, err)
	case doubt != nil && (err != nil || bytes.HasPrefix(c.raw, plain)):
		return c.raw, nil
	case doubt != nil:
		now = c.time // what was ordered all the same, a revocation perhaps, is looked for at once
	}
	raw, err := s.folder.CheckpointAt(ctx, now)
	if err == nil && s.cosign != nil {
		err = s.cosign.keep(ctx, raw, now)
	}
	if err != nil {
		return nil, err
	}
	c.raw, c.time = raw, now
	return raw, nil
}

// followed looks at an order that is kept elsewhere: nobody can say of a time that there
// was no more who has not looked.
func (s *Server) followed(ctx context.Context) error {
	c := &s.timed
	if s.clock.uptime() >= c.until {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), followTime) // whoever asks may hang up
		defer cancel()
		if c.failed = s.opt.Ledger.Follow(ctx); c.failed != nil {
			c.until = s.clock.uptime() + followTime
		}
	}
	return c.failed
}

func (s *Server) tile(q *request) error {
	t, err := node.ParseTilePath(strings.TrimPrefix(q.URL.Path, node.PathTile))
	if err != nil {
		return notFound("tile")
	}
	need, ok := node.TileLeaves(t)
	if !ok {
		return notFound("tile")
	}
	data, err := s.folder.Tile(q.Context(), t, need)
	if err != nil {
		return err
	}
	if t.L == -1 {
		data = node.EntryBundle(data)
	}
	q.w.Header().Set("Cache-Control", forever)
	return q.answer(node.TypeBinary, data)
}

func (s *Server) submit(q *request) error {
	entries, err := node.EntriesForm.Parse(q.body)
	if err != nil {
		return err
	}
	orders, what := s.stops, "revocations"
	if slices.ContainsFunc(entries, func(e contract.Entry) bool { return e.Kind != contract.KindRevoke }) {
		// Revocations alone are judged at the hour of the last entry, whatever the clock says.
		if s.clock.off() != nil {
			return refuse(node.KindClock)
		}
		if err := s.amongAll(q); err != nil {
			return err
		}
		// Revocations need none: a token that has ended must not keep a consent open.
		if err := q.needToken(); err != nil {
			return err
		}
		orders, what = s.orders, "order"
	}
	if err := q.charge(len(entries)); err != nil {
		return err
	}
	if what == "order" {
		free, ok := s.disk.takeTo(2, spaceOfEntries(len(entries)))
		if !ok {
			return refuse(node.KindFull)
		}
		defer free()
	}
	if err := q.spend(len(entries)); err != nil {
		return err
	}
	if wait, ok := q.use(what, s.limits.Order, float64(len(entries))); !ok {
		return refuseFor(node.KindTooMany, wait)
	}
	outcomes, err := queued(q, orders, entries)
	if err != nil {
		return err
	}
	s.metrics.ordered(outcomes)
	if s.cosign != nil {
		enough, err := q.outcomesSigned(outcomes)
		if err != nil && node.ProblemOf(err).Kind != node.KindBusy {
			return err
		}
		if err != nil || !enough { // nobody can be shown that it was ordered
			return refuseFor(node.KindUnsigned, time.Second)
		}
	}
	answer := node.Ordered{Outcomes: outcomes}
	// Not for revocations, which nothing holds up; nor where the order would have to be
	// read once more for it, which with other nodes was done.
	if !q.stopping && (s.opt.Ledger == nil || s.cosign != nil) {
		if answer.News, err = s.newsFor(q); err != nil {
			answer.News = node.News{} // what was ordered is ordered
		}
	}
	return q.answer(node.TypeBinary, node.OrderedForm(len(outcomes)).Marshal(answer))
}

// outcomesSigned waits until what came of entries is under a head that enough nodes have
// signed, and reports whether it is: where they stand in the log, or, where one was refused,
// all that the log has now, in which the reason is.
func (q *request) outcomesSigned(outcomes []ledgerclient.Outcome) (enough bool, err error) {
	size := uint64(0)
	for _, o := range outcomes {
		if o.Refusal != nil {
			return q.enoughSigned()
		}
		size = max(size, o.Index+1)
	}
	return q.signedUpTo(size)
}

// enoughSigned waits until what is in the log now is under a head that enough nodes have
// signed, and reports whether it is.
func (q *request) enoughSigned() (enough bool, err error) {
	raw, err := q.s.folder.Checkpoint(q.Context())
	if err != nil {
		return false, err
	}
	head, err := ledgerclient.Unverified(raw)
	if err != nil {
		return false, err
	}
	return q.signedUpTo(head.Size)
}

// signedUpTo waits until enough nodes have signed a head of that size. Meanwhile the request
// makes room for who has asked for less: then it is busy.
func (q *request) signedUpTo(size uint64) (enough bool, err error) {
	err = q.place.queue(q.Context(), func(ctx context.Context) error {
		enough = q.s.cosign.wait(ctx, size)
		if !q.place.is(busy) {
			return refuseFor(node.KindBusy, time.Second)
		}
		return ctx.Err()
	})
	return enough, err
}

// amongAll moves a request from where only revocations are to where all others are.
func (s *Server) amongAll(q *request) error {
	q.stopping = false
	place := s.gate.enter(q.address)
	if place == nil {
		return refuseFor(node.KindBusy, time.Second)
	}
	q.place.leave()
	if q.place = place; !place.reserve(int64(len(q.body))) {
		return refuseFor(node.KindBusy, time.Second)
	}
	return nil
}
