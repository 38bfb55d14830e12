package server

import (
	"context"
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
	"github.com/carekey/carekey/ledgerclient/embedded"
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
	token bool   // needs a submit token, if the node has any
	clock bool   // needs a clock that is right: what it does cannot be taken back
	do    func(*request) error
}

// routes are all routes: by path and method, and those by the beginning of their
// path.
type routes struct {
	exact  map[string]map[string]route
	prefix map[string]map[string]route
}

func (r *routes) find(path string) (methods map[string]route, rest string) {
	if m, ok := r.exact[path]; ok {
		return m, ""
	}
	for p, m := range r.prefix {
		if rest, ok := strings.CutPrefix(path, p); ok {
			return m, rest
		}
	}
	return nil, ""
}

// request is one request under way.
type request struct {
	*http.Request
	w     *recorder
	route route
	rest  string // of the path
	body  []byte
	// address is where it comes from, client whose quotas it uses: the token's, or the
	// address's.
	address, client client
	place           *place
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
	begun  time.Time // when an answer began whose reader must keep up; zero: see answerBy
	timed  int64     // bytes from which on the deadline is to be set again
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if !w.begun.IsZero() && w.bytes >= w.timed {
		w.timed = w.bytes + step
		http.NewResponseController(w.ResponseWriter).SetWriteDeadline(w.begun.Add(timeFor(w.bytes)))
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// refuse is the error of a request that the node does not do.
func refuse(k node.Kind) error { return &node.RefusedError{Kind: k} }

func refuseFor(k node.Kind, wait time.Duration) error {
	return &node.RefusedError{Kind: k, RetryAfter: wait}
}

// errGone: the other side hung up. Nobody is there to be told.
var errGone = errors.New("client is gone")

// ServeHTTP answers a request of the protocol.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := s.clock.uptime()
	rec := &recorder{ResponseWriter: w}
	q := &request{Request: r, w: rec}
	err := s.serve(q)
	var kind node.Kind
	abort := false
	if err != nil {
		kind, abort = s.fail(q, err)
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
	now := time.Now()
	rc.SetReadDeadline(now.Add(baseTime)) // not every http.ResponseWriter can: a real server's can

	q.address = clientOf('a', s.opt.ClientAddress(q.Request))
	q.client = q.address
	if q.place = s.gate.enter(q.address); q.place == nil {
		return refuseFor(node.KindBusy, time.Second)
	}
	defer s.gate.leave(q.place)
	methods, rest := s.routes.find(q.URL.Path)
	q.rest = rest
	if s.closing.Load() {
		return refuseFor(node.KindClosing, 5*time.Second)
	}
	if wait, ok := s.buckets.take(q.address, "rate", s.limits.Rate, 1); !ok {
		return refuseFor(node.KindTooMany, wait)
	}
	if _, ok := node.NegotiateVersion(q.Header.Get(node.HeaderVersion)); !ok {
		return &node.RefusedError{Kind: node.KindNoVersion, Versions: []int{node.Version}}
	}
	if methods == nil {
		return notFound("page")
	}
	method := q.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	route, ok := methods[method]
	if !ok {
		allow := slices.Collect(maps.Keys(methods))
		if _, ok := methods[http.MethodGet]; ok {
			allow = append(allow, http.MethodHead)
		}
		slices.Sort(allow)
		h.Set("Allow", strings.Join(allow, ", "))
		return refuse(node.KindMethod)
	}
	q.route = route
	if route.token && s.tokens.needed() {
		hash, ok := s.tokens.check(q.Request)
		if !ok {
			h.Set("WWW-Authenticate", "Bearer")
			return refuse(node.KindToken)
		}
		q.client = clientOf('t', string(hash[:]))
	}
	if route.clock {
		if err := s.clock.off(); err != nil {
			return refuse(node.KindClock)
		}
	}
	free, err := s.readBody(q, rc)
	if err != nil {
		return err
	}
	defer free()
	return route.do(q)
}

// answerBy gives an answer of n bytes, written at once, the time that it may take:
// whoever reads slower is cut off. What the node itself took does not count.
func (q *request) answerBy(n int64) {
	http.NewResponseController(q.w).SetWriteDeadline(time.Now().Add(timeFor(n)))
}

// keepUp is answerBy for an answer that is written piece by piece, and may be large:
// whoever reads nothing for half a minute is cut off, however much is to come.
func (q *request) keepUp() { q.w.begun = time.Now() }

// readBody reads a request's body into memory that is counted.
func (s *Server) readBody(q *request, rc *http.ResponseController) (free func(), err error) {
	free = func() {}
	n := q.ContentLength
	switch {
	case n < 0:
		return nil, refuse(node.KindNoLength)
	case n > q.route.max:
		return nil, &node.RefusedError{Kind: node.KindTooLarge, Limit: q.route.max}
	case n == 0:
		rc.SetReadDeadline(time.Time{}) // nothing more is read: it must not end a long answer
		return free, nil
	}
	if !s.gate.reserve(q.address, n) {
		return nil, refuseFor(node.KindBusy, time.Second)
	}
	free = func() { s.gate.release(q.address, n) }
	begun := time.Now()
	s.gate.reads(q.place, func(t time.Time) { rc.SetReadDeadline(t) })
	defer s.gate.has(q.place)
	body := make([]byte, n)
	for at := int64(0); at < n; at += step {
		if q.place.wait(begun.Add(timeFor(at))) {
			_, err = io.ReadFull(q.Body, body[at:min(at+step, n)])
		} else {
			err = os.ErrDeadlineExceeded
		}
		if err != nil {
			free()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return nil, refuse(node.KindTooSlow)
			}
			return nil, errGone
		}
		s.gate.goesOn(q.place)
	}
	q.body = body
	rc.SetReadDeadline(time.Time{})
	return free, nil
}

// statusGone is what other servers call it when nobody waits for the answer.
const statusGone = 499

// fail answers with a problem and says which. abort says that there is no way to
// answer: the connection is to be cut off.
func (s *Server) fail(q *request, err error) (kind node.Kind, abort bool) {
	p := problemOf(err)
	switch {
	case errors.Is(err, errGone), q.Context().Err() != nil && p.Kind == node.KindFailed:
		q.w.status = statusGone
		return "", true
	case p.Kind == node.KindFailed, p.Kind == node.KindDamaged, p.Kind == node.KindFull, p.Kind == node.KindReadOnly:
		s.log.Error("request", "route", q.route.name, "kind", string(p.Kind), "cause", cause(err))
	}
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
		h.Set("Retry-After", strconv.FormatInt(int64(p.RetryAfter/time.Second), 10))
	}
	body := p.Marshal()
	q.answerBy(int64(len(body)))
	h.Set("Content-Length", strconv.Itoa(len(body)))
	q.w.WriteHeader(p.Status())
	if q.Method != http.MethodHead {
		q.w.Write(body)
	}
	return p.Kind, false
}

// problemOf is the problem for an error of the server or of the folder.
func problemOf(err error) node.Problem {
	is := func(target error) bool { return errors.Is(err, target) }
	if p := node.ProblemOf(err); p.Kind != node.KindFailed {
		return p
	}
	if _, ok := errors.AsType[*embedded.ClockError](err); ok {
		return node.Problem{Kind: node.KindClock}
	}
	if _, ok := errors.AsType[*ClockOffError](err); ok {
		return node.Problem{Kind: node.KindClock}
	}
	if _, ok := errors.AsType[*embedded.BusyError](err); ok {
		return node.Problem{Kind: node.KindBusy, RetryAfter: time.Second}
	}
	switch {
	case is(syscall.ENOSPC), is(syscall.EDQUOT):
		return node.Problem{Kind: node.KindFull}
	}
	if _, ok := errors.AsType[*embedded.ReadOnlyError](err); ok {
		return node.Problem{Kind: node.KindReadOnly}
	}
	if _, ok := errors.AsType[*embedded.DamagedError](err); ok {
		return node.Problem{Kind: node.KindDamaged}
	}
	return node.Problem{Kind: node.KindFailed}
}

// cause says why something failed in words that name nobody: file names of the
// store and the keeper are ids.
func cause(err error) string {
	if e, ok := errors.AsType[*embedded.DamagedError](err); ok {
		file, _, _ := strings.Cut(e.File, "/")
		return file + " is damaged"
	}
	if e, ok := errors.AsType[*ClockOffError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Op + ": " + e.Err.Error()
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Op + ": " + e.Err.Error()
	}
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e.Error()
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return fmt.Sprintf("%T", err)
}
