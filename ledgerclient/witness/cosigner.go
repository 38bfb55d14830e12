package witness

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"golang.org/x/mod/sumdb/tlog"
)

// Log is a log whose heads are cosigned.
type Log struct {
	ID crypto.LedgerID
	// Verify reads a checkpoint, which enough of the ledger's nodes must have signed.
	Verify func(ctx context.Context, msg []byte) (ledgerclient.Head, error)
	// Keep makes a checkpoint the last that was cosigned, durably: what is cosigned and
	// forgotten would let a witness vouch for two histories.
	Keep func(msg []byte) error
	// Last is the head that was cosigned last; zero: none was.
	Last ledgerclient.Head

	mu sync.Mutex
}

// Cosigner is a witness: an http.Handler that cosigns the heads of some logs. Of each it
// cosigns only what enough nodes signed and what begins with all that it cosigned before.
type Cosigner struct {
	name string
	key  ed25519.PrivateKey
	now  func() time.Time
	logs map[string]*Log
}

// NewCosigner makes a witness of that name, which must be one that ParseWitness takes.
func NewCosigner(name string, key ed25519.PrivateKey, now func() time.Time, logs ...*Log) *Cosigner {
	c := &Cosigner{name: name, key: key, now: now, logs: map[string]*Log{}}
	for _, l := range logs {
		c.logs[ledgerclient.Origin(l.ID)] = l
	}
	return c
}

// Key is its public key, with its name.
func (c *Cosigner) Key() ledgerclient.TimeVerifier {
	return ledgerclient.NewTimeVerifier(c.name, [32]byte(c.key.Public().(ed25519.PublicKey)))
}

// ServeHTTP answers add-checkpoint, whatever stands before it in the path.
func (c *Cosigner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !strings.HasSuffix(r.URL.Path, path):
		http.Error(w, "not found", http.StatusNotFound)
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxRequest))
	if err != nil {
		http.Error(w, "too large, or not whole", http.StatusBadRequest)
		return
	}
	status, contentType, answer := c.add(r.Context(), body)
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	io.WriteString(w, answer)
}

// add is the answer to a request.
func (c *Cosigner) add(ctx context.Context, body []byte) (status int, contentType, answer string) {
	const text = "text/plain; charset=utf-8"
	q, ok := ParseRequest(body)
	if !ok {
		return http.StatusBadRequest, text, "not a request\n"
	}
	origin, _, _ := bytes.Cut(q.Note, []byte{'\n'})
	l := c.logs[string(origin)]
	if l == nil {
		return http.StatusNotFound, text, "no such log\n"
	}
	head, err := l.Verify(ctx, q.Note)
	if err != nil {
		return http.StatusForbidden, text, "not signed by enough nodes\n"
	}
	if q.Old > head.Size {
		return http.StatusBadRequest, text, "the old size is the larger one\n"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Last.Size != q.Old || q.Old == head.Size && l.Last.Root != head.Root {
		return http.StatusConflict, typeSize, fmt.Sprintf("%d\n", l.Last.Size)
	}
	switch {
	case q.Old == 0:
		ok = len(q.Proof) == 0
	default:
		ok = tlog.CheckTree(ledgerclient.Hashes[tlog.Hash](q.Proof), int64(head.Size), tlog.Hash(head.Root), int64(q.Old), tlog.Hash(l.Last.Root)) == nil
	}
	if !ok {
		return http.StatusUnprocessableEntity, text, "the proof does not hold\n"
	}
	if err := l.Keep(q.Note); err != nil {
		return http.StatusInternalServerError, text, "could not be kept\n"
	}
	l.Last = head
	end := bytes.LastIndex(q.Note, []byte("\n\n"))
	signer := ledgerclient.TimeSigner{TimeVerifier: c.Key(), Key: c.key, Time: c.now()}
	line, err := signer.Line(q.Note[:end+1])
	if err != nil {
		return http.StatusInternalServerError, text, "the clock is wrong\n"
	}
	return http.StatusOK, text, line
}
