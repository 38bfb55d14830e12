package node_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/nodetest"
	"golang.org/x/mod/sumdb/tlog"
)

var ctx = context.Background()

// quiet takes what http.Server complains about.
var quiet = log.New(io.Discard, "", 0)

// start runs a node of a new ledger.
func start(t testing.TB) (*nodetest.Node, node.Invitation) {
	t.Helper()
	n, err := nodetest.Start(filepath.Join(t.TempDir(), "node"), "City ledger", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	inv, err := n.Invitation()
	if err != nil {
		t.Fatal(err)
	}
	return n, inv
}

func dial(t testing.TB, inv node.Invitation, opt node.Options) ledgerclient.Services {
	t.Helper()
	n, err := node.Dial(ctx, inv, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n.Services()
}

// records are signed openings of records.
func records(t testing.TB, id crypto.LedgerID, n int) []contract.Entry {
	t.Helper()
	root := crypto.NewEntropy().Root()
	out := make([]contract.Entry, n)
	for i := range out {
		key := root.Seed(id, crypto.NewNonce()).Key()
		out[i] = contract.Entry{Version: contract.Version, Kind: contract.KindRecord, Author: key.Public(), Commitment: crypto.Hash{1, byte(i), byte(i >> 8)}}
		if err := out[i].Sign(id, key); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// The log at a node is the log in its folder: any range of leaves, over bundles
// that are full and not, and any proof of consistency.
func TestLogByTiles(t *testing.T) {
	n, inv := start(t)
	s := dial(t, inv, node.Options{})
	entries := records(t, inv.Ledger, 600)
	for i := range 3 { // in steps, so that partial tiles of other widths are asked for
		if _, err := s.Ledger.Append(ctx, entries[i*200:(i+1)*200]); err != nil {
			t.Fatal(err)
		}
		c, err := ledgerclient.Connect(ctx, s, inv.Ledger)
		if err != nil {
			t.Fatal(err)
		}
		pin, _, err := c.Advance(ctx, ledgerclient.Pin{}, ledgerclient.Pin{}, func(uint64, *contract.Leaf) error { return nil })
		if err != nil || pin.Size != uint64(i+1)*200+1 {
			t.Fatalf("%d entries, %v", pin.Size, err)
		}
	}
	out, err := s.Ledger.Append(ctx, entries[:5])
	if err != nil || !out[4].Duplicate || out[4].Index < 1 || out[4].Index > 200 {
		t.Errorf("again: %+v %v", out, err)
	}
	f, err := folder.Open(n.Dir, folder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		from := rng.Uint64N(601)
		to := from + rng.Uint64N(602-from)
		got, err := s.Ledger.Leaves(ctx, from, to)
		if err != nil {
			t.Fatal(err)
		}
		want, err := f.Leaves(ctx, from, to)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d leaves from %d to %d, want %d, %v", len(got), from, to, len(want), err)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("leaf %d of %d to %d", i, from, to)
			}
		}
	}
	for _, old := range []uint64{1, 2, 200, 255, 256, 257, 400, 512, 600, 601} {
		got, err := s.Ledger.ProveConsistency(ctx, old, 601)
		if err != nil {
			t.Fatal(err)
		}
		want, err := f.ProveConsistency(ctx, old, 601)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d: %d hashes, want %d, %v", old, len(got), len(want), err)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%d: hash %d", old, i)
			}
		}
	}
	// One hash in one tile is wrong, and nothing else.
	if err := n.Lie("wrong-tile", ""); err != nil {
		t.Fatal(err)
	}
	var tampered *ledgerclient.TamperedError
	later := dial(t, inv, node.Options{}) // that keeps no tiles which were verified
	if _, err := later.Ledger.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := later.Ledger.ProveConsistency(ctx, 3, 601); !errors.As(err, &tampered) || tampered.What != "tile of the log" {
		t.Errorf("a wrong tile: %v", err)
	}
}

// A content goes up in parts and comes down in ranges; its tree head is computed
// here.
func TestContent(t *testing.T) {
	_, inv := start(t)
	s := dial(t, inv, node.Options{})
	text := make([]byte, 9<<20+12345)
	for i := range text {
		text[i] = byte(i * i >> 7)
	}
	u, err := s.Store.Upload(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for rest := text; len(rest) > 0; {
		k := min(len(rest), 300_001)
		if _, err := u.Write(rest[:k]); err != nil {
			t.Fatal(err)
		}
		rest = rest[k:]
	}
	size, head, err := u.Sum()
	if err != nil || size != int64(len(text)) {
		t.Fatal(size, err)
	}
	var pieces []crypto.Hash
	for rest := text; len(rest) > 0; rest = rest[min(len(rest), contract.PieceSize):] {
		pieces = append(pieces, crypto.Hash(tlog.RecordHash(rest[:min(len(rest), contract.PieceSize)])))
	}
	if head != ledgerclient.ContentHead(pieces) {
		t.Error("another tree head")
	}
	pkg := contract.RecordPackage{Metadata: crypto.Hash{1}, ContentHead: head, ContentSize: uint64(size)}
	raw := pkg.Marshal()
	key := crypto.GenerateKey()
	e := contract.Entry{Version: contract.Version, Kind: contract.KindRecord, Author: key.Public(), Commitment: pkg.Commitment()}
	if err := e.Sign(inv.Ledger, key); err != nil {
		t.Fatal(err)
	}
	loc := crypto.Locator{5}
	if err := u.Commit(ledgerclient.Put{Entry: e, Package: raw[:], Part: ledgerclient.PartContent, Locators: []crypto.Locator{loc}}); err != nil {
		t.Fatal(err)
	}
	if err := u.Abort(); err != nil {
		t.Error(err)
	}
	b, err := s.Store.Blob(ctx, loc)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Size() != size+int64(len(pieces))*32 {
		t.Fatalf("%d bytes", b.Size())
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 40 {
		off := rng.Int64N(size)
		for range 1 + rng.IntN(3) { // some reads go on where the last one ended
			p := make([]byte, 1+rng.IntN(200_000))
			n, err := b.ReadAt(p, off)
			if want := min(int64(len(p)), b.Size()-off); int64(n) != want || (err != nil && err != io.EOF) {
				t.Fatalf("%d bytes at %d, %v", n, off, err)
			}
			if end := min(off+int64(n), size); off < size && !bytes.Equal(p[:end-off], text[off:end]) {
				t.Fatalf("other bytes at %d", off)
			}
			off += int64(n)
		}
	}
	if n, err := b.ReadAt(make([]byte, 10), b.Size()); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d %v", n, err)
	}
	var none *ledgerclient.NotFoundError
	if _, err := s.Store.Blob(ctx, crypto.Locator{6}); !errors.As(err, &none) {
		t.Errorf("%v", err)
	}
	// What was not finished leaves nothing.
	if u, err = s.Store.Upload(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write(text[:100]); err != nil {
		t.Fatal(err)
	}
	if err := u.Abort(); err != nil {
		t.Error(err)
	}
	if _, err := u.Write(text[:100]); err == nil {
		t.Error("written after the end")
	}
}

// Whoever does not have the key of the invitation is not spoken with.
func TestTLS(t *testing.T) {
	n, inv := start(t)
	serve := func(c *tls.Config) *httptest.Server {
		s := httptest.NewUnstartedServer(n)
		s.TLS = c
		s.Config.ErrorLog = quiet
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	good := serve(nil)
	inv.URLs = []string{good.URL}
	inv.Fingerprint = node.Fingerprint(good.Certificate())
	if _, err := node.Dial(ctx, inv, node.Options{}); err != nil {
		t.Fatal(err)
	}
	other := inv
	other.Fingerprint[3]++
	_, err := node.Dial(ctx, other, node.Options{})
	if cert, _ := fault.As(err, node.ErrCertificate); cert.Value("got") != inv.Fingerprint || cert.Value("want") != other.Fingerprint {
		t.Errorf("another key: %v", err)
	}
	other.Fingerprint = crypto.Hash{}
	if _, err := node.Dial(ctx, other, node.Options{}); !errors.Is(err, node.ErrAuthority) {
		t.Errorf("no authority: %v", err)
	}
	old := serve(&tls.Config{MaxVersion: tls.VersionTLS12})
	inv.URLs = []string{old.URL}
	var away *ledgerclient.UnreachableError
	if _, err := node.Dial(ctx, inv, node.Options{}); !errors.As(err, &away) {
		t.Errorf("TLS 1.2: %v", err)
	}
}

// Reading goes on at the next URL. What changes something is sent to another one
// only if it cannot have arrived.
func TestSeveralURLs(t *testing.T) {
	_, inv := start(t)
	var posts, gets atomic.Int32
	flaky := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			posts.Add(1)
		} else {
			gets.Add(1)
		}
		panic(http.ErrAbortHandler)
	}))
	flaky.Config.ErrorLog = quiet
	defer flaky.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + l.Addr().String()
	l.Close()
	real := inv.URLs[0]
	inv.URLs = []string{nobody, real}
	s := dial(t, inv, node.Options{})
	if _, err := s.Ledger.Append(ctx, records(t, inv.Ledger, 1)); err != nil {
		t.Errorf("nobody at the first URL: %v", err)
	}
	inv.URLs = []string{flaky.URL, real}
	s = dial(t, inv, node.Options{})
	if _, err := s.Ledger.Checkpoint(ctx); err != nil || gets.Load() == 0 {
		t.Errorf("no answer at the first URL: %v", err)
	}
	doc, err := s.Ledger.Genesis(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s = dial(t, inv, node.Options{Genesis: doc}) // begins at the first URL again
	loc := crypto.Locator{1}
	u := &ledgerclient.UnreachableError{}
	if _, err := s.Keepers[0].Release(ctx, ledgerclient.Request{Ledger: inv.Ledger}); !errors.As(err, &u) || posts.Load() != 1 {
		t.Errorf("sent %d times: %v", posts.Load(), err)
	}
	if _, err := s.Store.Blob(ctx, loc); err == nil {
		t.Error("found")
	}
}

// A node that has no room for what is large is sent less at a time, whatever it is:
// all of it arrives, each once.
func TestBusyIsSentLess(t *testing.T) {
	n, inv := start(t)
	const room = 2000
	var sizes []int64
	var mu sync.Mutex
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		sizes = append(sizes, r.ContentLength)
		mu.Unlock()
		if r.ContentLength > room {
			sayNo(w, &node.RefusedError{Kind: node.KindBusy, RetryAfter: 1})
			return
		}
		n.ServeHTTP(w, r)
	}))
	defer front.Close()
	inv.URLs = []string{front.URL}
	s := dial(t, inv, node.Options{})
	entries := records(t, inv.Ledger, 50)
	out, err := s.Ledger.Append(ctx, entries)
	if err != nil || len(out) != 50 || out[49].Index < 1 || out[49].Index > 50 || out[49].Duplicate {
		t.Errorf("%d outcomes, %v", len(out), err)
	}
	key := crypto.GenerateKey()
	content := bytes.Repeat([]byte{7}, 10_000)
	u, err := s.Store.Upload(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write(content); err != nil {
		t.Fatal(err)
	}
	size, head, err := u.Sum()
	if err != nil || size != 10_000 {
		t.Fatalf("%d bytes, %v", size, err)
	}
	var puts []ledgerclient.Put
	put := func(size int64, part ledgerclient.Part) ledgerclient.Put {
		blob := crypto.Blob(crypto.NewSalt(), bytes.Repeat([]byte{1}, 500))
		pkg := contract.RecordPackage{Metadata: crypto.BlobHash(blob), ContentHead: head, ContentSize: uint64(size)}
		e := contract.Entry{Version: contract.Version, Kind: contract.KindRecord, Author: key.Public(), Commitment: pkg.Commitment()}
		if err := e.Sign(inv.Ledger, key); err != nil {
			t.Fatal(err)
		}
		return ledgerclient.Put{Entry: e, Package: pkg.Marshal(), Part: part, Blob: blob, Locators: []crypto.Locator{crypto.Locator(crypto.NewSalt())}}
	}
	for range 9 {
		puts = append(puts, put(10_000, ledgerclient.PartMetadata))
	}
	if err := s.Store.PutBlobs(ctx, puts); err != nil {
		t.Error(err)
	}
	whole := put(10_000, ledgerclient.PartContent)
	if err := u.Commit(whole); err != nil {
		t.Error(err)
	}
	for _, p := range append(puts, whole) {
		b, err := s.Store.Blob(ctx, p.Locators[0])
		if err != nil {
			t.Fatal(err)
		}
		b.Close()
	}
	// Codes and acknowledgements are those of all, in their order.
	var revocations []contract.Entry
	for range 40 {
		e := contract.Entry{Version: contract.Version, Kind: contract.KindRevoke, Author: key.Public(), Subject: contract.ID{1}, NotAfter: contract.Forever, Commitment: crypto.Hash{1}}
		if err := e.Sign(inv.Ledger, key); err != nil {
			t.Fatal(err)
		}
		revocations = append(revocations, e)
	}
	_, err = s.Keepers[0].Revoke(ctx, revocations)
	if b, ok := errors.AsType[*ledgerclient.BatchError](err); !ok || len(b.Errs) != 40 {
		t.Errorf("%v", err)
	}
	shares, err := crypto.NewEntropy().Root().Seed(inv.Ledger, crypto.NewNonce()).Shares(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	deposits := make([]ledgerclient.Deposit, 30)
	for i := range deposits {
		deposits[i] = ledgerclient.Deposit{Ledger: inv.Ledger, Keeper: s.Keepers[0].Key(), Share: shares[0], Package: make([]byte, 100)}
		ledgerclient.Sign(&deposits[i], key)
	}
	_, err = s.Keepers[0].Deposit(ctx, deposits)
	if b, ok := errors.AsType[*ledgerclient.BatchError](err); !ok || len(b.Errs) != 30 {
		t.Errorf("%v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	large := 0
	for _, n := range sizes {
		if n > room {
			large++
		}
	}
	if large > 20 {
		t.Errorf("%d of %d requests were too large", large, len(sizes))
	}
	// Who has no room at all is not asked for ever.
	front.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sayNo(w, &node.RefusedError{Kind: node.KindBusy, RetryAfter: 1})
	})
	_, err = s.Ledger.Append(ctx, entries)
	if e, ok := errors.AsType[*node.RefusedError](err); !ok || e.Kind != node.KindBusy {
		t.Errorf("%v", err)
	}
}

// Whatever a node says in place of an answer to a revocation, the ledger and the keeper
// have not refused it: they were not reached. Of anything else it is a refusal.
func TestRevocationIsNotRefusedByANode(t *testing.T) {
	_, inv := start(t)
	genesis, err := dial(t, inv, node.Options{}).Ledger.Genesis(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var said atomic.Pointer[error]
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { sayNo(w, *said.Load()) }))
	defer front.Close()
	inv.URLs = []string{front.URL}
	s := dial(t, inv, node.Options{Genesis: genesis})
	key := crypto.GenerateKey()
	e := contract.Entry{Version: contract.Version, Kind: contract.KindRevoke, Author: key.Public(), Subject: contract.ID{1}, NotAfter: contract.Forever, Commitment: crypto.Hash{1}}
	if err := e.Sign(inv.Ledger, key); err != nil {
		t.Fatal(err)
	}
	mixed := append(records(t, inv.Ledger, 1), e)
	refusals := []error{
		&ledgerclient.NotFoundError{What: "page"}, &ledgerclient.RangeError{}, &ledgerclient.StoreError{Reason: ledgerclient.BadEntry},
		&ledgerclient.KeeperError{Code: ledgerclient.Revoked}, &node.RefusedError{Kind: node.KindNoVersion, Versions: []int{9}},
	}
	for _, k := range []node.Kind{
		node.KindMalformed, node.KindToken, node.KindMethod, node.KindNoLength, node.KindTooLarge, node.KindTooSlow, node.KindTooMany, node.KindQuota,
		node.KindBusy, node.KindClosing, node.KindClock, node.KindReadOnly, node.KindFull, node.KindDamaged, node.KindUnsigned, node.KindUndecided, node.KindFailed,
	} {
		refusals = append(refusals, &node.RefusedError{Kind: k})
	}
	for _, why := range refusals {
		said.Store(&why)
		p := node.ProblemOf(why)
		var away *ledgerclient.UnreachableError
		for name, entries := range map[string][]contract.Entry{"alone": {e}, "among others": mixed} {
			if _, err := s.Ledger.Append(ctx, entries); !errors.As(err, &away) || away.Service != "ledger" {
				t.Errorf("%s, a revocation %s: %v", p.Kind, name, err)
			}
		}
		if _, err := s.Keepers[0].Revoke(ctx, []contract.Entry{e}); !errors.As(err, &away) || away.Service != "keeper" {
			t.Errorf("%s, from the keeper: %v", p.Kind, err)
		}
		if _, err := s.Ledger.Append(ctx, mixed[:1]); err == nil || p.Kind == node.KindToken && errors.As(err, &away) {
			t.Errorf("%s, a record: %v", p.Kind, err)
		}
	}
}

// A node that has no room for anything but revocations gets them: it is not asked
// anything first.
func TestRevocationWithoutQuestions(t *testing.T) {
	n, inv := start(t)
	genesis, err := dial(t, inv, node.Options{}).Ledger.Genesis(ctx)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == node.PathEntries {
			n.ServeHTTP(w, r)
			return
		}
		sayNo(w, &node.RefusedError{Kind: node.KindBusy, RetryAfter: 1})
	}))
	defer front.Close()
	inv.URLs = []string{front.URL}
	l := dial(t, inv, node.Options{Genesis: genesis}).Ledger
	key := crypto.GenerateKey()
	e := contract.Entry{Version: contract.Version, Kind: contract.KindRevoke, Author: key.Public(), Subject: contract.ID{1},
		SelfTag: crypto.SelfTag{1}, NotAfter: contract.Forever, Commitment: crypto.Hash{1}}
	if err := e.Sign(inv.Ledger, key); err != nil {
		t.Fatal(err)
	}
	if out, err := l.Append(ctx, []contract.Entry{e}); err != nil || len(out) != 1 || out[0].Refusal == nil {
		t.Errorf("%+v, %v", out, err)
	}
}

// A node of another version is named as that, with the version that it speaks.
func TestAnotherVersion(t *testing.T) {
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(node.HeaderVersion, "1")
		if slices.Contains(strings.Split(r.Header.Get(node.HeaderVersion), ","), "1") {
			w.Write([]byte("an answer of version 1"))
			return
		}
		sayNo(w, &node.RefusedError{Kind: node.KindNoVersion, Versions: []int{1}})
	}))
	defer front.Close()
	_, inv := start(t)
	inv.URLs = []string{front.URL}
	_, err := node.Dial(ctx, inv, node.Options{})
	var refused *node.RefusedError
	if !errors.As(err, &refused) || refused.Kind != node.KindNoVersion || !slices.Equal(refused.Versions, []int{1}) || !strings.Contains(err.Error(), "version 1") {
		t.Errorf("%v", err)
	}
}

// The submit token goes with what it is for, and the locator into no URL.
func TestSecretsOnTheWire(t *testing.T) {
	n, inv := start(t)
	by := crypto.GenerateKey()
	token := node.GiveToken(inv.Ledger, by.Public(), by, 1<<20, 10)
	inv.Token = token.Secret()
	var mu sync.Mutex
	with := map[string]bool{}
	watch := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if shown := r.Header.Get("Authorization"); shown != "" {
			if shown != "Bearer "+token.Shown(inv.Ledger, inv.Node) {
				t.Errorf("%s", shown)
			}
			with[r.Method+" "+strings.TrimPrefix(r.URL.Path, node.Prefix)] = true
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if r.URL.Path == node.PathEntries && body[1] == byte(contract.KindRevoke) && r.Header.Get("Authorization") != "" {
			t.Error("the token went with a revocation")
		}
		if strings.Contains(r.URL.String(), "05050505") || r.URL.RawQuery != "" || r.Header.Get("Cookie") != "" || r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		mu.Unlock()
		n.ServeHTTP(w, r)
	}))
	defer watch.Close()
	inv.URLs = []string{watch.URL}
	s := dial(t, inv, node.Options{})
	loc := crypto.Locator(bytes.Repeat([]byte{5}, 32))
	s.Ledger.Append(ctx, records(t, inv.Ledger, 1))
	s.Ledger.Append(ctx, []contract.Entry{{Version: contract.Version, Kind: contract.KindRevoke}})
	s.Store.Blob(ctx, loc)
	s.Store.PutBlobs(ctx, []ledgerclient.Put{{Part: ledgerclient.PartTerms, Locators: []crypto.Locator{loc}}})
	if u, err := s.Store.Upload(ctx); err == nil {
		u.Write([]byte("x"))
		u.Sum()
		u.Abort()
	}
	c, err := ledgerclient.Connect(ctx, s, inv.Ledger)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Advance(ctx, ledgerclient.Pin{}, ledgerclient.Pin{}, func(uint64, *contract.Leaf) error { return nil }); err != nil {
		t.Fatal(err)
	}
	s.Keepers[0].State(ctx, ledgerclient.Inquiry{})
	s.Keepers[0].Revoke(ctx, records(t, inv.Ledger, 1))
	s.Keepers[0].Inquire(ctx, ledgerclient.Inquiry{})
	want := map[string]bool{"POST entries": true, "POST blobs": true, "POST uploads": true, "POST uploads/part": true, "POST uploads/abort": true}
	mu.Lock()
	defer mu.Unlock()
	for path := range with {
		if !want[path] {
			t.Errorf("the token went to %s", path)
		}
	}
	for path := range want {
		if !with[path] {
			t.Errorf("no token at %s", path)
		}
	}
}

// Whatever comes in the place of an answer, to whatever question: it is no answer,
// and no memory or time is spent on it.
func TestNoAnswer(t *testing.T) {
	n, inv := start(t)
	doc, err := dial(t, inv, node.Options{}).Ledger.Genesis(ctx)
	if err != nil {
		t.Fatal(err)
	}
	share, err := crypto.ParseShare(bytes.Repeat([]byte{1}, 33))
	if err != nil {
		t.Fatal(err)
	}
	questions := map[string]func(s ledgerclient.Services) error{
		"checkpoint": func(s ledgerclient.Services) error { _, err := s.Ledger.Checkpoint(ctx); return err },
		"config": func(s ledgerclient.Services) error {
			_, err := s.Ledger.(ledgerclient.Configured).Configs(ctx)
			return err
		},
		"leaves": func(s ledgerclient.Services) error { _, err := s.Ledger.Leaves(ctx, 0, 1); return err },
		"append": func(s ledgerclient.Services) error {
			_, err := s.Ledger.Append(ctx, records(t, inv.Ledger, 1))
			return err
		},
		"blob": func(s ledgerclient.Services) error { _, err := s.Store.Blob(ctx, crypto.Locator{}); return err },
		"put": func(s ledgerclient.Services) error {
			return s.Store.PutBlobs(ctx, []ledgerclient.Put{{Part: ledgerclient.PartTerms, Locators: []crypto.Locator{{}}}})
		},
		"upload": func(s ledgerclient.Services) error { _, err := s.Store.Upload(ctx); return err },
		"erase":  func(s ledgerclient.Services) error { return s.Store.Erase(ctx, contract.Entry{}) },
		"state": func(s ledgerclient.Services) error {
			_, err := s.Keepers[0].State(ctx, ledgerclient.Inquiry{})
			return err
		},
		"release": func(s ledgerclient.Services) error {
			_, err := s.Keepers[0].Release(ctx, ledgerclient.Request{})
			return err
		},
		"revoke": func(s ledgerclient.Services) error {
			_, err := s.Keepers[0].Revoke(ctx, records(t, inv.Ledger, 1))
			return err
		},
		"inquire": func(s ledgerclient.Services) error {
			_, err := s.Keepers[0].Inquire(ctx, ledgerclient.Inquiry{})
			return err
		},
		"deposit": func(s ledgerclient.Services) error {
			_, err := s.Keepers[0].Deposit(ctx, []ledgerclient.Deposit{{Share: share}})
			return err
		},
		"news": func(s ledgerclient.Services) error {
			s.Ledger.(ledgerclient.Follower).From(0)
			_, err := s.Ledger.Checkpoint(ctx)
			return err
		},
	}
	for lie, why := range map[string]fault.Code{"giant-answer": node.ErrTooLarge, "endless-answer": node.ErrTooLarge, "redirect": node.ErrRedirect, "proxy-error": node.ErrForeign, "another-page": node.ErrForeign, "slow-drip": node.ErrSlow} {
		if err := n.Lie(lie, ""); err != nil {
			t.Fatal(err)
		}
		opt := node.Options{Genesis: doc}
		if lie == "slow-drip" {
			opt.Wait = 100 * time.Millisecond
		}
		s := dial(t, inv, opt)
		for name, ask := range questions {
			err := ask(s)
			if lie == "giant-answer" && name == "blob" && err == nil {
				continue // a content may have that size; its reader knows better, and reads no more than it needs
			}
			away, ok := errors.AsType[*ledgerclient.UnreachableError](err)
			if !ok {
				t.Errorf("%s, %s: %v", lie, name, err)
				continue
			}
			if !errors.Is(away.Err, why) && !errors.Is(away.Err, node.ErrForeign) {
				t.Errorf("%s, %s: %v", lie, name, err)
			}
		}
	}
}

// The end of a caller's patience is not the node's.
func TestCanceled(t *testing.T) {
	n, inv := start(t)
	s := dial(t, inv, node.Options{})
	if err := n.Lie("slow-drip", ""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Ledger.Checkpoint(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// sayNo answers with the problem for an error.
func sayNo(w http.ResponseWriter, why error) {
	p := node.ProblemOf(why)
	w.Header().Set("Content-Type", node.TypeProblem)
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
}
