package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
)

// Times and sizes of a request.
const (
	headerTime = 10 * time.Second
	baseTime   = 30 * time.Second // for any request, before its bytes are counted
	// lastBodyTime is how long the body of a request may still come that is refused
	// without it.
	lastBodyTime = 2 * time.Second
	minSpeed     = 16 << 10 // bytes per second, over all, of what comes and goes
	maxHeader    = 16 << 10
	// step is after how many bytes that came or went the time for the next ones is set.
	step = 64 << 10
)

// timeFor is how long a request may take until after the first n bytes of its body,
// or of its answer, the next step must be over. Whoever announces much and sends
// nothing gets no time for it.
func timeFor(n int64) time.Duration { return baseTime + time.Duration(n/minSpeed)*time.Second }

// route is what a path and a method lead to.
type route struct {
	name  string // in logs and metrics
	max   int64  // bytes of the body; 0: there is none
	token bool   // needs a submit token, if the node takes nothing without one
	clock bool   // needs a clock that is right: what it does cannot be taken back
	// stops: it takes revocations, and so comes in where nobody else does.
	stops bool
	peers bool // is for other nodes, who come in where nobody else does
	do    func(*request) error
}

// request is one request under way.
type request struct {
	*http.Request
	w     *recorder
	route route
	body  []byte
	// address is where it comes from, client whose quotas it uses: the token's, or the
	// address's.
	address, client client
	giver           client // of the token, if that is another institution; zero: it is not
	place           *place
	s               *Server
	hourly          uint32 // entries in an hour that the token of client is for; 0: it is none's
	stopping        bool   // it holds revocations and nothing else, as far as is known
}

func (q *request) leave() {
	if q.place != nil {
		q.place.leave()
		q.place = nil
	}
}

// recorder remembers what was answered. Whoever reads an answer slower than a body
// may come is cut off; what the node itself took does not count.
type recorder struct {
	http.ResponseWriter
	q      *request
	status int
	bytes  int64
	begun  time.Time // when the answer began
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.begun = status, time.Now()
		w.until(w.begun.Add(timeFor(0)))
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) until(t time.Time) error {
	return http.NewResponseController(w.ResponseWriter).SetWriteDeadline(t)
}

func (w *recorder) Write(b []byte) (n int, err error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	for len(b) > 0 && err == nil {
		var k int
		if k, err = w.write(b[:min(len(b), step)]); err == nil {
			b = b[k:]
		}
		n += k
	}
	return n, err
}

func (w *recorder) write(b []byte) (n int, err error) {
	p := w.q.place
	if !p.wait(w.until, w.begun.Add(timeFor(w.bytes))) {
		return 0, os.ErrDeadlineExceeded
	}
	defer p.is(busy)
	n, err = w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// flush waits on HTTP/2 for the reader of what is buffered, which would otherwise be
// waited for after the place was left.
func (w *recorder) flush() {
	if p := w.q.place; w.q.ProtoMajor > 1 && p.wait(w.until, w.begun.Add(timeFor(w.bytes))) {
		http.NewResponseController(w.ResponseWriter).Flush()
		p.is(busy)
	}
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// refuse is the error of a request that the node does not do.
func refuse(k node.Kind) error { return &node.RefusedError{Kind: k} }

func refuseFor(k node.Kind, wait time.Duration) error {
	return &node.RefusedError{Kind: k, RetryAfter: int(wait / time.Second)}
}

// errGone: the other side hung up. Nobody is there to be told.
var errGone = errors.New("client is gone")

// ServeHTTP answers a request of the protocol.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := s.clock.uptime()
	rec := &recorder{ResponseWriter: w}
	q := &request{Request: r, w: rec, s: s}
	rec.q = q
	defer q.leave()
	err := s.serve(q)
	var kind node.Kind
	abort := false
	if err != nil {
		q.leave()
		q.place = s.gate.refusal(q.address) // it is told also to who has lost its place
		kind, abort = s.fail(q, err)
	}
	if !abort {
		rec.flush()
	}
	took := s.clock.uptime() - start
	s.metrics.served(q.route.name, rec.status, kind, int64(len(q.body)), rec.bytes, took)
	s.log.Debug("request", "route", q.route.name, "status", rec.status, "kind", string(kind), "ms", took.Milliseconds())
	if abort {
		panic(http.ErrAbortHandler)
	}
}

// serve does all that is the same for every request.
func (s *Server) serve(q *request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			// What was panicked with, and the arguments on the stack, may be anything.
			s.log.Error("panic", "what", crash.Value(p), "stack", strings.Join(crash.Stack(), "\n"))
			err = refuse(node.KindFailed)
		}
	}()
	h := q.w.Header()
	h.Set(node.HeaderVersion, strconv.Itoa(node.Version))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	rc := http.NewResponseController(q.w)

	q.address = clientOf('a', s.address(q.Request))
	q.client = q.address
	path := q.URL.Path
	if strings.HasPrefix(path, node.PathTile) {
		path = node.PathTile
	}
	if s.takesLinks() && strings.HasPrefix(path, node.PathLink) {
		path = node.PathLink
		h.Set("Access-Control-Allow-Origin", "*") // also with what is refused
	}
	methods := s.routes[path]
	method := q.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	route, ok := methods[method]
	gate, rate := &s.gate, "rate"
	if q.stopping = route.stops; q.stopping {
		gate, rate = &s.stopGate, route.name
	} else if route.peers {
		gate, rate = &s.peerGate, route.name
	}
	if wait, ok := s.buckets.take(q.address, rate, s.limits.Rate, 1); !ok {
		return refuseFor(node.KindTooMany, wait)
	}
	if q.place = gate.enter(q.address); q.place == nil {
		return refuseFor(node.KindBusy, time.Second)
	}
	if s.closing.Load() {
		return refuseFor(node.KindClosing, 5*time.Second)
	}
	if v := q.Header.Get(node.HeaderVersion); v != "" && v != h.Get(node.HeaderVersion) {
		return &node.RefusedError{Kind: node.KindNoVersion, Versions: []int{node.Version}}
	}
	if methods == nil {
		return notFound("page")
	}
	if !ok {
		h.Set("Allow", allowed(methods))
		return refuse(node.KindMethod)
	}
	q.route = route
	if route.token {
		if err := q.needToken(); err != nil {
			return err
		}
	}
	if route.clock {
		if err := s.clock.off(); err != nil {
			return refuse(node.KindClock)
		}
	}
	if err := s.readBody(q, rc); err != nil {
		return err
	}
	return route.do(q)
}

// allowed is the header Allow of a path.
func allowed(methods map[string]route) string {
	allow := slices.Collect(maps.Keys(methods))
	if _, ok := methods[http.MethodGet]; ok {
		allow = append(allow, http.MethodHead)
	}
	slices.Sort(allow)
	return strings.Join(allow, ", ")
}

// takes is what a route does whose body is a Q: whoever asks is charged for the
// signatures that are to be checked, before anything is done.
func takes[Q any](parse func([]byte) (Q, error), checks func(Q) int, do func(*request, Q) error) func(*request) error {
	return func(q *request) error {
		asked, err := parse(q.body)
		if err == nil {
			err = q.charge(checks(asked))
		}
		if err != nil {
			return err
		}
		return do(q, asked)
	}
}

// each is a check for each item, always so many whatever is asked.
func each[T any](items []T) int { return len(items) }

func always[Q any](n int) func(Q) int { return func(Q) int { return n } }

// use takes n out of what the client of a request may have and, where it comes by a token of
// another institution, out of what all tokens of that one may together: how many there are
// of them, this node has no say in.
func (q *request) use(what string, rate Rate, n float64) (wait time.Duration, ok bool) {
	if q.giver != (client{}) {
		if wait, ok := q.s.buckets.take(q.giver, what, rate, n); !ok {
			return wait, false
		}
	}
	return q.s.buckets.take(q.client, what, rate, n)
}

// charge counts signatures that are to be checked on whoever asks for it.
func (q *request) charge(checks int) error {
	what := "checks"
	if q.stopping {
		what = "stops" // nobody who uses up the other keeps somebody from revoking
	}
	if wait, ok := q.use(what, q.s.limits.Checks, float64(checks)); !ok {
		return refuseFor(node.KindTooMany, wait)
	}
	return nil
}

// done says that what has no answer was done, or returns the error.
func (q *request) done(err error) error {
	if err == nil {
		q.w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// at does something at a desk, once it is the request's turn.
func (q *request) at(d *desk, do func() error) error {
	return q.place.queue(q.Context(), func(ctx context.Context) error {
		return d.work(ctx, q.address, func() error {
			if !q.place.is(busy) {
				return refuseFor(node.KindBusy, time.Second)
			}
			return do()
		})
	})
}

// readBody reads a request's body into memory, which is taken as it comes: whoever
// announces much has nothing yet.
func (s *Server) readBody(q *request, rc *http.ResponseController) error {
	n := q.ContentLength
	switch {
	case n < 0:
		return refuse(node.KindNoLength)
	case n > q.route.max:
		return &node.RefusedError{Kind: node.KindTooLarge, Limit: q.route.max}
	case n == 0:
		rc.SetReadDeadline(time.Time{}) // nothing more is read: it must not end a long answer
		return nil
	}
	begun := time.Now()
	defer func() { q.place.is(busy) }()
	body := make([]byte, 0, min(n, step))
	for at := int64(0); at < n; at = int64(len(body)) {
		if at == int64(cap(body)) {
			more := min(n, 2*at)
			if !q.place.reserve(more) {
				return refuseFor(node.KindBusy, time.Second)
			}
			body = append(make([]byte, 0, more), body...)
		}
		next := min(at+step, int64(cap(body)))
		err := error(os.ErrDeadlineExceeded)
		if q.place.wait(rc.SetReadDeadline, begun.Add(timeFor(at))) {
			_, err = io.ReadFull(q.Body, body[at:next])
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return refuse(node.KindTooSlow)
		}
		if err != nil {
			return errGone
		}
		body = body[:next]
	}
	q.body = body
	rc.SetReadDeadline(time.Time{})
	return nil
}

// statusGone is what other servers call it when nobody waits for the answer.
const statusGone = 499

// fail answers with a problem and says which. abort says that there is no way to
// answer: the connection is to be cut off.
func (s *Server) fail(q *request, err error) (kind node.Kind, abort bool) {
	p := problemOf(err)
	if errors.Is(err, errGone) || q.Context().Err() != nil && p.Kind == node.KindFailed {
		q.w.status = statusGone
		return "", true
	}
	s.complain(q, p.Kind, err)
	if q.w.status != 0 {
		return p.Kind, true // the answer has begun
	}
	h := q.w.Header()
	if q.body == nil && q.ContentLength != 0 {
		// Package net/http reads what is left of a body before it answers, so that the
		// connection can be used again. It must not wait for one that does not come.
		if q.ProtoMajor == 1 && (q.ContentLength < 0 || q.ContentLength > q.route.max) {
			h.Set("Connection", "close")
		} else {
			http.NewResponseController(q.w).SetReadDeadline(time.Now().Add(lastBodyTime))
		}
	}
	h.Set("Content-Type", node.TypeProblem)
	h.Set("Cache-Control", "no-store")
	h.Del("Content-Length")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // no field of it can fail
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	q.w.WriteHeader(p.Status)
	q.w.Write(body) // nothing of it goes out to HEAD
	return p.Kind, false
}

// complain tells the operator what is for her to mend.
func (s *Server) complain(q *request, kind node.Kind, err error) {
	switch kind {
	case node.KindFailed, node.KindDamaged, node.KindFull, node.KindReadOnly, node.KindUndecided:
		s.log.Error("request", "route", q.route.name, "kind", string(kind), "cause", cause(err))
	case node.KindQuota:
		if errors.Is(err, ledgerclient.ErrQuota) { // the institution's, and not a client's
			s.log.Error("request", "route", q.route.name, "kind", string(kind), "cause", cause(err))
		}
	}
}

// problemOf is the problem for an error of the server or of the folder.
func problemOf(err error) node.Problem {
	p := node.ProblemOf(err)
	if p.Kind != node.KindFailed {
		return p
	}
	for _, row := range []struct{ of, refused error }{
		{folder.ErrClock, refuse(node.KindClock)},
		{ErrClockOff, refuse(node.KindClock)},
		{folder.ErrBusy, refuseFor(node.KindBusy, time.Second)},
		{ErrUnsure, refuseFor(node.KindBusy, node.CosignEvery)},
		{syscall.ENOSPC, refuse(node.KindFull)},
		{syscall.EDQUOT, refuse(node.KindFull)},
		{folder.ErrReadOnly, refuse(node.KindReadOnly)},
	} {
		if errors.Is(err, row.of) {
			return node.ProblemOf(row.refused)
		}
	}
	if _, ok := errors.AsType[*folder.DamagedError](err); ok {
		return node.ProblemOf(refuse(node.KindDamaged))
	}
	if u := ledgerclient.Unreachable(err); u != nil { // all but the order is here
		if !u.Undecided && errors.Is(err, ledgerclient.ErrQuota) {
			return node.ProblemOf(refuse(node.KindQuota))
		}
		return node.ProblemOf(refuse(node.KindUndecided))
	}
	return p
}

// cause says why something failed in words that name nobody: file names of the
// store and the keeper are ids.
func cause(err error) string {
	if e, ok := errors.AsType[*folder.DamagedError](err); ok {
		file, _, _ := strings.Cut(e.File, "/")
		if file == "checkpoint" {
			return e.Error() // says whether it is older than one that was signed, or of another history
		}
		return file + " is damaged"
	}
	if e, ok := fault.As(err, ledgerclient.ErrQuota); ok {
		return fault.Get[string](e, "why")
	}
	for _, code := range []fault.Code{ErrClockOff, ErrUnsure} {
		if e, ok := fault.As(err, code); ok {
			return e.Error()
		}
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Op + ": " + e.Err.Error()
	}
	for _, plain := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, plain) {
			return plain.Error()
		}
	}
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e.Error()
	}
	return fmt.Sprintf("%T", err)
}
