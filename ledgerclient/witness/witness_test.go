package witness

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var ctx = context.Background()

// history is a log of records that are only hashes, with a node that signs its heads.
type history struct {
	t      *testing.T
	id     crypto.LedgerID
	node   ed25519.PrivateKey
	stored []tlog.Hash
	size   int64
}

func newHistory(t *testing.T) *history {
	return &history{t: t, id: crypto.LedgerID{7}, node: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))}
}

func (h *history) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, a := range at {
		out[i] = h.stored[a]
	}
	return out, nil
}

// grow makes the log that many records longer, of a kind.
func (h *history) grow(n int, kind string) *history {
	h.t.Helper()
	for range n {
		more, err := tlog.StoredHashes(h.size, fmt.Appendf(nil, "%s %d", kind, h.size), h)
		h.must(err)
		h.stored, h.size = append(h.stored, more...), h.size+1
	}
	return h
}

func (h *history) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// other is the same ledger with another history after the first n records.
func (h *history) other(n int, more int) *history {
	o := newHistory(h.t)
	return o.grow(n, "record").grow(more, "other")
}

// signedBy is the head, signed by a key.
func (h *history) signedBy(key ed25519.PrivateKey) ledgerclient.Head {
	h.t.Helper()
	root, err := tlog.TreeHash(h.size, h)
	h.must(err)
	text := fmt.Sprintf("%s\n%d\n%v\n", ledgerclient.Origin(h.id), h.size, root)
	v, err := ledgerclient.NewVerifier(ledgerclient.Origin(h.id), [32]byte(key.Public().(ed25519.PublicKey)))
	h.must(err)
	msg, err := note.Sign(&note.Note{Text: text}, signer{v, key})
	h.must(err)
	head, err := ledgerclient.Unverified(msg)
	h.must(err)
	return head
}

func (h *history) head() ledgerclient.Head { return h.signedBy(h.node) }

type signer struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

func (h *history) prove(_ context.Context, old uint64) ([]crypto.Hash, error) {
	proof, err := tlog.ProveTree(h.size, int64(old), h)
	return ledgerclient.Hashes[crypto.Hash](proof), err
}

// log is how a Cosigner sees it. kept is what it keeps.
func (h *history) log(kept *[]byte) *Log {
	v, err := ledgerclient.NewVerifier(ledgerclient.Origin(h.id), [32]byte(h.node.Public().(ed25519.PublicKey)))
	h.must(err)
	l := &Log{ID: h.id, Verify: func(_ context.Context, msg []byte) (ledgerclient.Head, error) {
		if _, err := note.Open(msg, note.VerifierList(v)); err != nil {
			return ledgerclient.Head{}, err
		}
		return ledgerclient.Unverified(msg)
	}, Keep: func(msg []byte) error {
		*kept = bytes.Clone(msg)
		return nil
	}}
	if len(*kept) > 0 {
		l.Last, err = ledgerclient.Unverified(*kept)
		h.must(err)
	}
	return l
}

const name = "witness.example/one"

var (
	key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))
	now = time.Unix(1_800_000_000, 0).UTC()
)

// counted counts what a witness is asked.
type counted struct {
	http.Handler
	mu   sync.Mutex
	n    int
	last []byte
}

// asked is how often it was.
func (c *counted) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (c *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	c.n++
	c.last = body
	c.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	c.Handler.ServeHTTP(w, r)
}

// serve serves a witness and returns how it is asked.
func serve(t *testing.T, h http.Handler) (*Witness, *counted) {
	t.Helper()
	c := &counted{Handler: h}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	return &Witness{URL: s.URL + "/of/mine", Key: ledgerclient.NewTimeVerifier(name, [32]byte(key.Public().(ed25519.PublicKey)))}, c
}

func cosigner(logs ...*Log) *Cosigner {
	return NewCosigner(name, key, func() time.Time { return now }, logs...)
}

// What grows is cosigned, each head with one request; one that is asked for the first time,
// and one that others asked meanwhile, with two.
func TestCosign(t *testing.T) {
	h := newHistory(t)
	var kept []byte
	w, c := serve(t, cosigner(h.log(&kept)))
	for i, step := range []struct{ more, requests int }{{5, 1}, {3, 1}, {0, 1}, {300, 1}, {1, 1}} {
		h.grow(step.more, "record")
		head, before := h.head(), c.asked()
		line, answer := w.Ask(ctx, head, h.prove)
		if answer != Cosigned || c.asked()-before != step.requests {
			t.Fatalf("%d: %s after %d requests", i, answer, c.asked()-before)
		}
		if got, at := w.Key.Newest(append(bytes.Clone(head.Note), line...)); got != line || !at.Equal(now) {
			t.Errorf("%d: %q at %v", i, got, at)
		}
		if !bytes.Equal(kept, head.Note) {
			t.Errorf("%d: it is not kept", i)
		}
		// Package note takes it for what it is.
		n, err := note.Open(append(bytes.Clone(head.Note), line...), note.VerifierList(w.Key))
		if err != nil || len(n.Sigs) != 1 || n.Sigs[0].Name != name {
			t.Errorf("%d: %v", i, err)
		}
	}
	// A node that starts, and a witness that does: neither forgets.
	w2, c2 := serve(t, cosigner(h.log(&kept)))
	h.grow(2, "record")
	if _, answer := w2.Ask(ctx, h.head(), h.prove); answer != Cosigned || c2.asked() != 2 {
		t.Errorf("after a restart: %s after %d requests", answer, c2.asked())
	}
	w2.old = 3 // others have asked
	if _, answer := w2.Ask(ctx, h.head(), h.prove); answer != Cosigned || c2.asked() != 4 {
		t.Errorf("after others: %s after %d requests", answer, c2.asked())
	}
	// A node that lags behind others asks for nothing twice.
	behind := newHistory(t).grow(20, "record")
	w2.old = 0
	if _, answer := w2.Ask(ctx, behind.head(), behind.prove); answer != Ahead || c2.asked() != 5 {
		t.Errorf("behind: %s after %d requests", answer, c2.asked())
	}
	if _, answer := w2.Ask(ctx, behind.head(), behind.prove); answer != Ahead || c2.asked() != 5 {
		t.Errorf("behind: %s after %d requests", answer, c2.asked())
	}
}

// A head that does not begin with what was cosigned before is never cosigned, whatever its
// size, and nothing is kept of it; nor one that the ledger's nodes did not sign.
func TestOtherHistories(t *testing.T) {
	h := newHistory(t).grow(9, "record")
	var kept []byte
	l := h.log(&kept)
	c := cosigner(l)
	w, _ := serve(t, c)
	if _, answer := w.Ask(ctx, h.head(), h.prove); answer != Cosigned {
		t.Fatal(answer)
	}
	before := bytes.Clone(kept)
	for what, o := range map[string]*history{"longer": h.other(8, 5), "of one size": h.other(8, 1), "from the first": h.other(0, 30)} {
		for _, old := range []uint64{0, 9} {
			w.old = old
			if line, answer := w.Ask(ctx, o.head(), o.prove); answer != Forked || line != "" {
				t.Errorf("%s: %s %q", what, answer, line)
			}
		}
	}
	shorter := h.other(4, 2)
	if _, answer := w.Ask(ctx, shorter.head(), shorter.prove); answer != Ahead {
		t.Errorf("shorter: %s", answer)
	}
	h.grow(1, "record")
	if _, answer := w.Ask(ctx, h.signedBy(key), h.prove); answer != Unknown {
		t.Errorf("signed by somebody: %s", answer)
	}
	h.id[0]++
	if _, answer := w.Ask(ctx, h.head(), h.prove); answer != Unknown {
		t.Errorf("another ledger: %s", answer)
	}
	if !bytes.Equal(kept, before) || l.Last.Size != 9 {
		t.Errorf("kept %q, last %d", kept, l.Last.Size)
	}
	// What could not be kept is not signed, and is not the last.
	h.id[0]--
	l.Keep = func([]byte) error { return errors.New("disk full") }
	w.old = 9
	if line, answer := w.Ask(ctx, h.head(), h.prove); answer != Silent || line != "" || l.Last.Size != 9 {
		t.Errorf("not kept: %s %q, last %d", answer, line, l.Last.Size)
	}
}

// Two that come at once are one behind the other: the second hears of the first.
func TestAtOnce(t *testing.T) {
	h := newHistory(t).grow(4, "record")
	var kept []byte
	l := h.log(&kept)
	c := cosigner(l)
	w, _ := serve(t, c)
	if _, answer := w.Ask(ctx, h.head(), h.prove); answer != Cosigned {
		t.Fatal(answer)
	}
	var requests [][]byte
	for range 8 {
		h.grow(1, "record")
		proof, err := h.prove(ctx, 4)
		h.must(err)
		r := Request{Old: 4, Proof: proof, Note: h.head().Note}
		requests = append(requests, r.Marshal())
	}
	var wg sync.WaitGroup
	statuses := make([]int, len(requests))
	for i, body := range requests {
		wg.Go(func() { statuses[i], _, _ = c.add(ctx, body) })
	}
	wg.Wait()
	cosigned := 0
	for _, s := range statuses {
		switch s {
		case http.StatusOK:
			cosigned++
		case http.StatusConflict:
		default:
			t.Errorf("status %d", s)
		}
	}
	if last, err := ledgerclient.Unverified(kept); cosigned != 1 || err != nil || last.Size != l.Last.Size {
		t.Errorf("%d cosigned; kept %d, last %d, %v", cosigned, last.Size, l.Last.Size, err)
	}
}

// The statuses are those of C2SP tlog-witness.
func TestStatuses(t *testing.T) {
	h := newHistory(t).grow(9, "record")
	var kept []byte
	l := h.log(&kept)
	c := cosigner(l)
	ask := func(method, at string, body []byte) (int, string, string) {
		t.Helper()
		rec := httptest.NewRecorder()
		c.ServeHTTP(rec, httptest.NewRequest(method, at, bytes.NewReader(body)))
		return rec.Code, rec.Header().Get("Content-Type"), rec.Body.String()
	}
	first := h.head()
	begin := Request{Note: first.Note}
	if code, _, body := ask("POST", "/add-checkpoint", begin.Marshal()); code != 200 || !strings.HasPrefix(body, "— "+name+" ") || strings.Count(body, "\n") != 1 {
		t.Fatalf("%d %q", code, body)
	}
	h.grow(4, "record")
	proof, err := h.prove(ctx, 9)
	h.must(err)
	next := h.head()
	q := func(old uint64, proof []crypto.Hash, note []byte) []byte {
		return (&Request{Old: old, Proof: proof, Note: note}).Marshal()
	}
	other := h.other(8, 1).head()
	foreign := newHistory(t).grow(3, "record")
	foreign.id[0]++
	wrong := append([]crypto.Hash{}, proof...)
	wrong[0][0]++
	for _, s := range []struct {
		what string
		code int
		body []byte
		says string
	}{
		{"another origin", 404, q(0, nil, foreign.head().Note), ""},
		{"no signature of a node", 403, q(9, proof, h.signedBy(key).Note), ""},
		{"an old size beyond the new one", 400, q(14, nil, next.Note), ""},
		{"an old size that it is not", 409, q(8, proof, next.Note), "9\n"},
		{"for the first time again", 409, q(0, nil, next.Note), "9\n"},
		{"the same size, another root", 409, q(9, nil, other.Note), "9\n"},
		{"a wrong proof", 422, q(9, wrong, next.Note), ""},
		{"no proof", 422, q(9, nil, next.Note), ""},
		{"a proof where none is needed", 422, q(9, proof, first.Note), ""},
		{"no note", 400, []byte("old 9\n"), ""},
		{"a leading zero", 400, bytes.Replace(q(9, proof, next.Note), []byte("old 9"), []byte("old 09"), 1), ""},
		{"no old size", 400, bytes.Replace(q(9, proof, next.Note), []byte("old 9\n"), nil, 1), ""},
		{"64 hashes", 400, q(9, make([]crypto.Hash, 64), next.Note), ""},
		{"a hash that is none", 400, []byte("old 9\nAAAA\n\n" + string(next.Note)), ""},
		{"too long", 400, q(9, proof, bytes.Repeat([]byte("x"), MaxRequest)), ""},
	} {
		code, contentType, body := ask("POST", "/add-checkpoint", s.body)
		if code != s.code || s.says != "" && (body != s.says || contentType != "text/x.tlog.size") {
			t.Errorf("%s: %d %s %q, not %d", s.what, code, contentType, body, s.code)
		}
	}
	if code, _, _ := ask("GET", "/add-checkpoint", nil); code != 405 {
		t.Errorf("GET: %d", code)
	}
	if code, _, _ := ask("POST", "/", nil); code != 404 {
		t.Errorf("another path: %d", code)
	}
	if l.Last.Size != 9 {
		t.Errorf("last %d", l.Last.Size)
	}
	if code, _, _ := ask("POST", "/add-checkpoint", q(9, proof, next.Note)); code != 200 || l.Last.Size != 13 {
		t.Errorf("after all that: %d, last %d", code, l.Last.Size)
	}
}

// Whatever a witness answers, it is one word, and no cosignature that is none.
func TestAnswers(t *testing.T) {
	h := newHistory(t).grow(9, "record")
	head := h.head()
	text := head.Note[:bytes.LastIndex(head.Note, []byte("\n\n"))+1]
	line := func(name string, key ed25519.PrivateKey, text []byte) string {
		s := ledgerclient.TimeSigner{TimeVerifier: ledgerclient.NewTimeVerifier(name, [32]byte(key.Public().(ed25519.PublicKey))), Key: key, Time: now}
		l, err := s.Line(text)
		h.must(err)
		return l
	}
	says := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			io.WriteString(w, body)
		}
	}
	good := line(name, key, text)
	stranger := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))
	for _, c := range []struct {
		what  string
		does  http.HandlerFunc
		is    Answer
		asked int
	}{
		{"its own", says(200, good), Cosigned, 1},
		{"among others", says(200, line("other.example", stranger, text)+good), Cosigned, 1},
		{"of another key", says(200, line(name, stranger, text)), BadCosigner, 1},
		{"of another name", says(200, line("other.example", key, text)), BadCosigner, 1},
		{"of another head", says(200, line(name, key, h.other(0, 9).head().Note)), BadCosigner, 1},
		{"nothing", says(200, ""), BadCosigner, 1},
		{"a page", says(200, "<html>"), BadCosigner, 1},
		{"too much", says(200, good+strings.Repeat("x", maxAnswer)), Silent, 1},
		{"unknown", says(404, ""), Unknown, 1},
		{"forbidden", says(403, ""), Unknown, 1},
		{"no proof that it takes", says(422, ""), Forked, 1},
		{"broken", says(500, ""), Silent, 1},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/there", http.StatusFound) }, Silent, 1},
		{"nothing at all", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Silent, 1},
		{"the size that was named", says(409, "0\n"), Silent, 1},
		{"no size", says(409, "many\n"), Silent, 1},
		{"a size below zero", says(409, "-1\n"), Silent, 1},
		{"a larger size", says(409, "10\n"), Ahead, 1},
		{"this size, and then again", says(409, "9\n"), Forked, 2},
		{"a size, for ever another one", func() http.HandlerFunc {
			n := 0
			return func(w http.ResponseWriter, _ *http.Request) {
				n++
				says(409, fmt.Sprintf("%d\n", 1+n%8))(w, nil)
			}
		}(), Ahead, tries},
	} {
		w, asked := serve(t, c.does)
		if line, answer := w.Ask(ctx, head, h.prove); answer != c.is || asked.asked() != c.asked || (line != "") != (answer == Cosigned) {
			t.Errorf("%s: %s %q after %d requests, not %s", c.what, answer, line, asked.asked(), c.is)
		}
	}
	// Nobody is there, or whoever asks has no more time.
	w, _ := serve(t, says(200, good))
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, answer := w.Ask(over, head, h.prove); answer != Silent {
		t.Errorf("no more time: %s", answer)
	}
	if _, answer := (&Witness{URL: "http://127.0.0.1:1", Key: w.Key}).Ask(ctx, head, h.prove); answer != Silent {
		t.Errorf("nobody: %s", answer)
	}
}

// The bytes of a request are those of the specification's example, but for its hashes.
func TestRequestIsC2SP(t *testing.T) {
	one, two := crypto.Hash{1}, crypto.Hash{2}
	r := Request{Old: 20852014, Proof: []crypto.Hash{one, two}, Note: []byte("example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— example.com/behind-the-sofa Az3g\n")}
	want := "old 20852014\n" + base64.StdEncoding.EncodeToString(one[:]) + "\n" + base64.StdEncoding.EncodeToString(two[:]) + "\n\n" + string(r.Note)
	if got := r.Marshal(); string(got) != want {
		t.Errorf("%q", got)
	}
	got, ok := ParseRequest([]byte(want))
	if !ok || got.Old != r.Old || len(got.Proof) != 2 || got.Proof[1] != two || !bytes.Equal(got.Note, r.Note) {
		t.Errorf("%v %+v", ok, got)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte("old 0\n\nx\n1\ny\n\n"))
	f.Add([]byte("old 12\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\nx\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, ok := ParseRequest(b); ok && !bytes.Equal(r.Marshal(), b) {
			t.Errorf("%q is written as %q", b, r.Marshal())
		}
	})
}

// A URL is where a witness is asked, and nothing else.
func TestValidURL(t *testing.T) {
	for _, good := range []string{"https://witness.example", "http://127.0.0.1:7380", "https://witness.example/a/b"} {
		if !ValidURL(good) {
			t.Errorf("%s is none", good)
		}
	}
	for _, bad := range []string{"", "witness.example", "ftp://x", "https://", "https://x/", "https://u:p@x", "https://x?q", "https://x#f", "https:x", "file:///x"} {
		if ValidURL(bad) {
			t.Errorf("%s is one", bad)
		}
	}
}
