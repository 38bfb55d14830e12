package server

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/witness"
)

// testWitness is a witness that a node asks.
type testWitness struct {
	w      *world
	log    *witness.Log
	serves http.Handler
	key    ledgerclient.TimeVerifier
	url    string

	mu    sync.Mutex
	asked int
	last  []byte
}

// witness makes one that cosigns the world's ledger, until a test makes it do something else,
// and has the node ask it.
func (w *world) witness(name string) *testWitness {
	w.t.Helper()
	doc, err := w.folder.Genesis(ctx)
	w.must(err)
	config, err := contract.ParseConfig(doc)
	w.must(err)
	v := &testWitness{w: w, log: &witness.Log{ID: w.ledger, Verify: func(_ context.Context, msg []byte) (ledgerclient.Head, error) {
		s, err := ledgerclient.OpenNote(w.ledger, config.Nodes, msg)
		if err != nil {
			return ledgerclient.Head{}, err
		}
		return s.Under(config)
	}, Keep: func([]byte) error { return nil }}}
	seed := [32]byte{}
	copy(seed[:], name)
	c := witness.NewCosigner(name, ed25519.NewKeyFromSeed(seed[:]), w.clock.now, v.log)
	v.key, v.serves = c.Key(), c
	s := httptest.NewServer(v)
	w.t.Cleanup(s.Close)
	v.url = s.URL
	w.server.opt.Witnesses = append(w.server.opt.Witnesses, &witness.Witness{URL: s.URL, Key: v.key})
	w.server.witnesses.all = append(w.server.witnesses.all, askedWitness{Witness: w.server.opt.Witnesses[len(w.server.opt.Witnesses)-1]})
	return v
}

func (v *testWitness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	v.mu.Lock()
	v.asked++
	v.last = body
	serves := v.serves
	v.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	serves.ServeHTTP(w, r)
}

// requests since it was looked last.
func (v *testWitness) requests() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := v.asked
	v.asked = 0
	return n
}

// does makes it answer otherwise from now on.
func (v *testWitness) does(h http.HandlerFunc) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.serves = h
}

// under checks which of the witnesses stand under a note, and returns its size.
func (w *world) under(what string, msg []byte, want ...*testWitness) uint64 {
	w.t.Helper()
	head, err := ledgerclient.Unverified(msg)
	w.must(err)
	if len(msg) > ledgerclient.MaxNote {
		w.t.Errorf("%s: %d bytes", what, len(msg))
	}
	for i := range w.server.opt.Witnesses {
		key, wanted := w.server.opt.Witnesses[i].Key, false
		for _, v := range want {
			wanted = wanted || v.key == key
		}
		if line, _ := key.Newest(msg); (line != "") != wanted {
			w.t.Errorf("%s: %s is under it: %v, not %v", what, key.Name(), line != "", wanted)
		}
	}
	return head.Size
}

func (w *world) heads() (checkpoint, news, witnessed []byte) {
	w.t.Helper()
	n, err := node.NewsForm.Parse(w.ok(w.get(node.PathNews, node.HeaderFrom, "0")))
	w.must(err)
	return w.ok(w.get(node.PathCheckpoint)), n.Note, w.ok(w.get(node.PathWitnessed))
}

// The newest head is cosigned behind everybody's back, and shown with what witnesses signed;
// a newer one is shown at once, and the cosigned one beside it until that one is.
func TestWitnessed(t *testing.T) {
	w := newWorld(t, nil)
	w.server.askWitnesses(ctx) // of which there are none
	w.refused("no witness", w.get(node.PathWitnessed), node.KindNotFound)
	one, two := w.witness("one.example"), w.witness("two.example/2")
	w.refused("nobody was asked", w.get(node.PathWitnessed), node.KindNotFound)
	w.under("before", w.ok(w.get(node.PathCheckpoint)))

	w.order(w.records(3)...)
	w.server.askWitnesses(ctx)
	checkpoint, news, witnessed := w.heads()
	for what, msg := range map[string][]byte{"checkpoint": checkpoint, "news": news, "witnessed": witnessed} {
		if size := w.under(what, msg, one, two); size != 4 {
			t.Errorf("%s: size %d", what, size)
		}
	}
	if body := string(one.last); strings.Contains(body, "/time ") || len(body) > 10<<10 {
		t.Errorf("the witness is shown %d bytes: %q", len(body), body)
	}

	w.order(w.records(300)...)
	checkpoint, news, witnessed = w.heads()
	if w.under("newer", checkpoint) != 304 || w.under("newer news", news) != 304 || w.under("the last", witnessed, one, two) != 4 {
		t.Error("other sizes")
	}
	w.server.askWitnesses(ctx)
	checkpoint, _, witnessed = w.heads()
	if w.under("then", checkpoint, one, two) != 304 || w.under("then witnessed", witnessed, one, two) != 304 || one.requests() != 2 || two.requests() != 2 {
		t.Error("not cosigned with one request for each head")
	}

	// The same head is cosigned again, now and then.
	w.clock.pass(4 * time.Minute)
	w.server.askWitnesses(ctx)
	if n := one.requests(); n != 0 {
		t.Errorf("asked %d times for what it had signed 4 minutes before", n)
	}
	w.clock.pass(2 * time.Minute)
	w.server.askWitnesses(ctx)
	checkpoint, _, _ = w.heads()
	if _, at := one.key.Newest(checkpoint); one.requests() != 1 || !at.Equal(w.clock.now().UTC().Truncate(time.Second)) {
		t.Errorf("signed at %v", at)
	}
}

// A witness that is down, or of no help, is left alone for a minute and told of; it keeps
// nothing from the others, and nobody waits for one that is slow.
func TestWitnessesThatFail(t *testing.T) {
	w := newWorld(t, nil)
	var log lockedBuffer
	w.server.log = slog.New(slog.NewTextHandler(&log, nil))
	good, down, forked, slow := w.witness("good.example"), w.witness("down.example"), w.witness("forked.example"), w.witness("slow.example")
	down.does(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	forked.log.Last = ledgerclient.Head{Size: 1, Root: [32]byte{9}} // by a node that was evil
	begun, release := make(chan bool), make(chan bool)
	honest := slow.serves
	slow.does(func(rw http.ResponseWriter, r *http.Request) {
		begun <- true
		<-release
		honest.ServeHTTP(rw, r)
	})
	w.order(w.records(2)...)
	done := make(chan bool)
	go func() {
		w.server.askWitnesses(ctx)
		close(done)
	}()
	<-begun
	if size := w.under("while one is asked", w.ok(w.get(node.PathCheckpoint))); size != 3 {
		t.Errorf("size %d", size)
	}
	w.order(w.records(2)...)
	if size := w.under("what was ordered meanwhile", w.ok(w.get(node.PathCheckpoint))); size != 5 {
		t.Errorf("size %d", size)
	}
	release <- true
	<-done
	slow.does(honest.ServeHTTP)
	_, _, witnessed := w.heads()
	if size := w.under("the round", witnessed, good, slow); size != 3 {
		t.Errorf("size %d", size)
	}
	for _, v := range []*testWitness{good, down, forked, slow} {
		v.requests()
	}
	w.server.askWitnesses(ctx)
	checkpoint, _, _ := w.heads()
	w.under("the next", checkpoint, good, slow)
	if g, d, f, s := good.requests(), down.requests(), forked.requests(), slow.requests(); g != 1 || d != 0 || f != 0 || s != 1 {
		t.Errorf("asked %d, %d, %d, %d times", g, d, f, s)
	}
	w.clock.pass(witnessRest)
	w.server.askWitnesses(ctx)
	if d, f := down.requests(), forked.requests(); d != 1 || f == 0 {
		t.Errorf("after a minute asked %d, %d times", d, f)
	}
	text := log.String()
	for _, want := range []string{"level=INFO msg=witness name=good.example answer=cosigned", "level=WARN msg=witness name=down.example answer=silent", "level=WARN msg=witness name=forked.example answer=another-history"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("not said once: %s\n%s", want, text)
		}
	}
	scrape := httptest.NewRecorder()
	w.server.Operator().ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{"carekey_witnesses 4\n", "carekey_witnesses_cosigned 2\n", `carekey_witness_answers_total{answer="silent"} 2` + "\n", `carekey_witness_answers_total{answer="another-history"} 2` + "\n"} {
		if !strings.Contains(scrape.Body.String(), want) {
			t.Errorf("no %s", want)
		}
	}
	// All of them are: what was cosigned last is still shown.
	good.does(down.serves.ServeHTTP)
	slow.does(down.serves.ServeHTTP)
	w.order(w.records(1)...)
	w.server.askWitnesses(ctx)
	checkpoint, _, witnessed = w.heads()
	if w.under("all down", checkpoint) != 6 || w.under("all down, witnessed", witnessed, good, slow) != 5 {
		t.Error("other sizes")
	}
}

// The server asks by itself.
func TestWitnessesAreAsked(t *testing.T) {
	w := newWorld(t, nil)
	asked := make(chan bool, 1)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		select {
		case asked <- true:
		default:
		}
	}))
	defer s.Close()
	w.server.Close()
	w.http.Close()
	w.must(w.folder.Close())
	w.start(func(o *Options) {
		o.Witnesses = []*witness.Witness{{URL: s.URL, Key: ledgerclient.NewTimeVerifier("w.example", [32]byte{1})}}
	})
	<-asked
}

// A note has as many lines as fit, and all of them whole.
func TestLinesThatFit(t *testing.T) {
	raw := []byte("text\n\n— a b\n")
	long := ""
	for i := range 200 {
		long += fmt.Sprintf("— witness-%03d.example %s\n", i, strings.Repeat("A", 100))
	}
	out := fitted(raw, long)
	if !bytes.HasPrefix(out, raw) || len(out) > ledgerclient.MaxNote || len(out) < ledgerclient.MaxNote-200 || out[len(out)-1] != '\n' || !strings.HasPrefix(long, string(out[len(raw):])) {
		t.Errorf("%d bytes", len(out))
	}
	if out := fitted(raw, "— a b\n"); string(out) != string(raw)+"— a b\n" {
		t.Errorf("%q", out)
	}
}
