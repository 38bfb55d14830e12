package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
)

// This file is how one question is asked and its answer taken: with a bound in
// bytes and in time for everything, and belief in nothing.

const (
	// defaultWait is how long a node may take to begin an answer, and to bring a
	// small one.
	defaultWait = 30 * time.Second
	// connectWait is how long finding a node's machine and connecting to it may take,
	// and the TLS handshake once more.
	connectWait = 10 * time.Second
	// slowest is how many bytes a second must come, or go, on average, once the
	// first wait is over.
	slowest = 16 << 10
	// maxHeader bounds the header of an answer, in bytes.
	maxHeader = 16 << 10
)

// wire asks one node at its URLs.
type wire struct {
	urls  []string
	first atomic.Int32 // index of the URL that answered last
	// away is why the node was out of reach when it was last asked for its head: nobody
	// waits for it a second time before it shows one, but to revoke.
	away  atomic.Pointer[ledgerclient.UnreachableError]
	token func() string // as the node is shown it; "" for none
	wait  time.Duration
	http  *http.Client
}

func newWire(inv *Invitation, wait time.Duration) *wire {
	if wait == 0 {
		wait = defaultWait
	}
	t := &http.Transport{
		Proxy:                  nil, // no proxy from the environment: it would see who asks when
		DialContext:            (&net.Dialer{Timeout: connectWait, KeepAlive: 15 * time.Second}).DialContext,
		DialTLSContext:         nil,
		TLSClientConfig:        tlsConfig(inv.Fingerprint),
		TLSHandshakeTimeout:    connectWait,
		DisableCompression:     true, // an answer has the size that came over the wire
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    fetchers,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: maxHeader,
	}
	shown := *inv
	token := sync.OnceValue(func() string { // most commands show none
		if t, ok := ParseToken(shown.Token); ok {
			return t.Shown(shown.Ledger, shown.Node)
		}
		return ""
	})
	return &wire{urls: inv.URLs, token: token, wait: wait, http: &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func tlsConfig(want crypto.Hash) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS13}
	if want.IsZero() {
		return c
	}
	// The fingerprint is of the key alone: names and dates in the certificate, and
	// who signed it, add nothing to it.
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return ErrCertificate.With("want", want)
		}
		if got := Fingerprint(s.PeerCertificates[0]); got != want {
			return ErrCertificate.With("want", want, "got", got)
		}
		return nil
	}
	return c
}

// Fingerprint is what an invitation pins: the SHA-256 of the certificate's
// SubjectPublicKeyInfo.
func Fingerprint(c *x509.Certificate) crypto.Hash {
	return sha256.Sum256(c.RawSubjectPublicKeyInfo)
}

// question is one request.
type question struct {
	service string // "ledger", "store" or "keeper", for errors
	path    string
	header  http.Header   // beside those of every question
	body    []byte        // nil: of GET, otherwise of POST
	token   bool          // the submit token goes with it
	reads   bool          // changes nothing: may be asked again at another URL
	urgent  bool          // is asked of a node that was away, too
	limit   int64         // bytes of the answer; 0: there is none
	turn    time.Duration // how long nothing may come, where others can be asked; 0: as long as the wait allows
}

// ask asks a question and returns the whole answer.
func (w *wire) ask(ctx context.Context, q question) ([]byte, error) {
	var answer []byte
	a, err := w.each(ctx, &q, func(a *answering) error {
		want := http.StatusOK
		if q.limit == 0 {
			want = http.StatusNoContent
		}
		if a.StatusCode != want {
			return a.foreign()
		}
		var err error
		answer, err = a.all(q.limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	a.end()
	return answer, nil
}

// each sends a question to the node's URLs, beginning with the one that answered
// last, until one has an answer that take accepts, which must be ended. After it was
// sent, a question that changes something is not sent again, and after its turn none is.
func (w *wire) each(ctx context.Context, q *question, take func(*answering) error) (*answering, error) {
	first := int(w.first.Load())
	var last error
	for i := range w.urls {
		at := (first + i) % len(w.urls)
		a, sent, err := w.send(ctx, w.urls[at], q)
		if err == nil {
			if err = take(a); err != nil {
				a.end()
				a = nil
			}
		}
		if err == nil || !is[*ledgerclient.UnreachableError](err) {
			w.first.Store(int32(at))
			return a, err
		}
		last = err
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if sent && !q.reads || q.turn > 0 && errors.Is(err, ErrSlow) {
			break
		}
	}
	return nil, last
}

// is reports whether an error of type E is in err's chain.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// inParts sends n things in parts: from each on as many as fit, and half as many from
// then on when the node is busy. It has no room for what is large while others hold
// it, and always some for what is small.
func inParts(n int, fit func(at int) int, send func(at, end int) error) error {
	most := n
	for at := 0; at < n; {
		count := max(1, min(fit(at), most, n-at))
		err := send(at, at+count)
		if isBusy(err) && count > 1 {
			most = count / 2 // nothing was done
			continue
		}
		if err != nil {
			return err
		}
		at += count
	}
	return nil
}

// isBusy reports whether a node did nothing since it had no room.
func isBusy(err error) bool {
	refused, ok := errors.AsType[*RefusedError](err)
	return ok && refused.Kind == KindBusy
}

// answering is an answer that is coming in.
type answering struct {
	*http.Response
	q     *question
	watch *watch
	stop  context.CancelFunc
	err   func(error) error // what an error of the network means
}

// send sends a question to one URL and waits for the header of the answer. sent
// tells that the node may have got it: there was a connection. An error is typed. An answer must be ended.
func (w *wire) send(ctx context.Context, base string, q *question) (a *answering, sent bool, err error) {
	if u := w.away.Load(); u != nil && !q.urgent {
		return nil, false, &ledgerclient.UnreachableError{Service: q.service, Err: u.Err}
	}
	parent := ctx
	ctx, stop := context.WithCancel(ctx)
	watch := newWatch(w.wait, q.turn, stop)
	explain := func(err error) error {
		switch {
		case parent.Err() != nil:
			return parent.Err()
		case watch.late():
			err = ErrSlow
		}
		if e, ok := fault.As(err, ErrCertificate); ok {
			return e
		}
		if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			return ErrAuthority.Of(e.Err)
		}
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // the URL is no news, and is long
		}
		return &ledgerclient.UnreachableError{Service: q.service, Err: err}
	}
	var body io.Reader
	method := http.MethodGet
	if q.body != nil {
		method = http.MethodPost
	}
	if len(q.body) > 0 {
		body = watch.reader(bytes.NewReader(q.body))
	}
	req, err := http.NewRequestWithContext(ctx, method, base+q.path, body)
	if err != nil {
		stop()
		return nil, false, &ledgerclient.UnreachableError{Service: q.service, Err: err}
	}
	// Whether there is anybody at the other end is one question and has its own
	// bound; only from then on the node is slow. Where others can be asked it is not
	// waited for beyond the turn either.
	var connected atomic.Bool
	if q.turn == 0 {
		watch.pause()
	}
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		connected.Store(true)
		watch.resume()
	}}))
	req.ContentLength = int64(len(q.body))
	req.Header.Set(HeaderVersion, strconv.Itoa(Version))
	req.Header.Set("User-Agent", "carekey")
	if q.body != nil {
		req.Header.Set("Content-Type", TypeBinary)
	}
	maps.Copy(req.Header, q.header)
	if q.token {
		if token := w.token(); token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
	}
	resp, err := w.http.Do(req)
	if err != nil {
		watch.end()
		stop()
		return nil, connected.Load(), explain(err)
	}
	a = &answering{Response: resp, q: q, watch: watch, stop: stop, err: explain}
	if err := a.check(); err != nil {
		a.end()
		return nil, true, err
	}
	return a, true, nil
}

// check looks at the header of an answer. Whatever is not a success of this
// protocol becomes an error.
func (a *answering) check() error {
	switch v := a.Header.Get(HeaderVersion); {
	case a.StatusCode >= 300 && a.StatusCode < 400:
		to := a.Header.Get("Location")
		return a.err(ErrRedirect.With("to", to[:min(len(to), 200)]))
	case a.Header.Get("Content-Encoding") != "" && a.Header.Get("Content-Encoding") != "identity":
		return a.foreign()
	case a.StatusCode < 300 && (v == "" || v == strconv.Itoa(Version)):
		return nil
	}
	if a.Header.Get("Content-Type") != TypeProblem {
		return a.foreign()
	}
	raw, err := a.all(MaxProblem)
	if err != nil {
		return err
	}
	p, err := ParseProblem(raw) // of any version: which a node speaks it says in one of its own
	if err != nil || p.Status != a.StatusCode {
		return a.foreign()
	}
	return p.Err(a.q.service)
}

func (a *answering) foreign() error {
	return a.err(ErrForeign.With("status", a.StatusCode))
}

// all reads the whole body, of at most limit bytes.
func (a *answering) all(limit int64) ([]byte, error) {
	large := ErrTooLarge.With("limit", limit)
	if a.ContentLength > limit {
		return nil, a.err(large)
	}
	body, err := io.ReadAll(io.LimitReader(a.watch.reader(a.Body), limit+1))
	if err != nil {
		return nil, a.err(err)
	}
	if int64(len(body)) > limit {
		return nil, a.err(large)
	}
	return body, nil
}

// end gives the connection back, if nothing of the answer is left, or closes it.
func (a *answering) end() {
	a.watch.end()
	a.Body.Close()
	a.stop()
}

// watch ends an exchange that is too slow: what has come and gone so far allows it
// the wait and the time for so many bytes at the slowest speed. Only time spent on
// the network counts.
type watch struct {
	mu    sync.Mutex
	wait  time.Duration
	turn  time.Duration // how long nothing may come; 0: as long as the wait allows
	spent time.Duration // before since
	since time.Time     // zero while nobody waits for the network
	bytes int64
	timer *time.Timer
	over  bool
}

func newWatch(wait, turn time.Duration, stop func()) *watch {
	w := &watch{wait: wait, turn: turn, since: time.Now()}
	w.timer = time.AfterFunc(wait, func() {
		w.mu.Lock()
		w.over = true
		w.mu.Unlock()
		stop()
	})
	w.add(0)
	return w
}

// add counts bytes and sets the timer anew.
func (w *watch) add(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes += int64(n)
	w.set()
}

func (w *watch) set() {
	if w.over || w.since.IsZero() {
		return
	}
	left := max(0, w.wait+time.Duration(w.bytes)*time.Second/slowest-w.spent-time.Since(w.since))
	if w.turn > 0 { // it is set anew with all that comes
		left = min(left, w.turn)
	}
	w.timer.Reset(left)
}

// pause stops counting time, until resume.
func (w *watch) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.since.IsZero() {
		w.spent += time.Since(w.since)
		w.since = time.Time{}
		w.timer.Stop()
	}
}

func (w *watch) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since.IsZero() {
		w.since = time.Now()
		w.set()
	}
}

func (w *watch) late() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}

func (w *watch) end() { w.timer.Stop() }

func (w *watch) reader(r io.Reader) io.Reader { return &watched{w, r} }

type watched struct {
	w *watch
	r io.Reader
}

func (r *watched) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.w.add(n)
	return n, err
}
