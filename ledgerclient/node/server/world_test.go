package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"golang.org/x/mod/sumdb/tlog"
)

var ctx = context.Background()

const testHour contract.Hour = 480_000

// testClock is a clock that stands still until it is set, and the monotonic clock
// beside it.
type testClock struct {
	mu   sync.Mutex
	wall time.Time
	mono time.Duration
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall
}

func (c *testClock) uptime() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mono
}

// pass lets time pass on both clocks.
func (c *testClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.mono = c.wall.Add(d), c.mono+d
}

// jump sets the wall clock only.
func (c *testClock) jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
}

// world is a node, a patient and a clinic who speak the protocol byte by byte.
type world struct {
	t      testing.TB
	clock  *testClock
	dir    string
	folder *folder.Folder
	server *Server
	http   *httptest.Server
	ledger crypto.LedgerID
	root   crypto.Root
	clinic *crypto.Identity
	keeper crypto.PubKey
	asks   string // the address for which a proxy asks; "": it does not say
}

func newWorld(t testing.TB, change func(*Options)) *world {
	t.Helper()
	w := &world{
		t: t, dir: filepath.Join(t.TempDir(), "node"),
		clock: &testClock{wall: time.Unix(int64(testHour)*3600+17, 0), mono: time.Hour},
		root:  crypto.NewEntropy().Root(), clinic: crypto.NewEntropy().Root().Identity(),
	}
	f, err := folder.Create(w.dir, "Test ledger", w.clock.now)
	w.must(err)
	w.must(f.Close())
	w.start(change)
	return w
}

// start opens the folder and serves it.
func (w *world) start(change func(*Options)) {
	w.t.Helper()
	var err error
	w.folder, err = folder.Open(w.dir, folder.Options{Clock: w.clock.now, EraseAfter: EraseHours})
	w.must(err)
	w.t.Cleanup(func() { w.folder.Close() })
	w.ledger = w.folder.ID()
	w.keeper = w.folder.Services().Keepers[0].Key()
	opt := Options{Clock: w.clock.now, Limits: Limits{Rate: Rate{-1, 0}}}
	if change != nil {
		change(&opt)
	}
	w.server, err = newServer(ctx, w.folder, opt, w.clock.uptime)
	w.must(err)
	w.t.Cleanup(w.server.Close)
	w.http = httptest.NewUnstartedServer(nil)
	w.http.Config = w.server.HTTPServer()
	w.http.Start()
	w.t.Cleanup(w.http.Close)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// reply is what the node answered.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request with headers in pairs.
func (w *world) ask(method, path string, body []byte, headers ...string) reply {
	w.t.Helper()
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	r, err := http.NewRequest(method, w.http.URL+path, reader)
	w.must(err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	if w.asks != "" {
		r.Header.Set("X-Forwarded-For", w.asks)
	}
	resp, err := w.http.Client().Do(r)
	w.must(err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	w.must(err)
	return reply{resp.StatusCode, resp.Header, got}
}

func (w *world) get(path string, headers ...string) reply {
	return w.ask(http.MethodGet, path, nil, headers...)
}

func (w *world) post(path string, body []byte, headers ...string) reply {
	return w.ask(http.MethodPost, path, body, headers...)
}

// ok returns the body of an answer that must be a success.
func (w *world) ok(r reply) []byte {
	w.t.Helper()
	if r.status/100 != 2 {
		w.t.Fatalf("status %d: %s", r.status, r.body)
	}
	return r.body
}

// refused checks that an answer is a problem of that kind, and returns it.
func (w *world) refused(what string, r reply, kind node.Kind) node.Problem {
	w.t.Helper()
	p, err := node.ParseProblem(r.body)
	if err != nil || p.Kind != kind || r.status != p.Status || r.header.Get("Content-Type") != node.TypeProblem || r.header.Get("Cache-Control") != "no-store" {
		w.t.Errorf("%s: status %d, %s, %v; want %s", what, r.status, r.body, err, kind)
	}
	return p
}

func (w *world) submit(entries ...contract.Entry) []ledgerclient.Outcome {
	w.t.Helper()
	answer, err := node.OrderedForm(len(entries)).Parse(w.ok(w.post(node.PathEntries, node.EntriesForm.Marshal(entries))))
	out := answer.Outcomes
	w.must(err)
	return out
}

// order submits entries that must be accepted.
func (w *world) order(entries ...contract.Entry) {
	w.t.Helper()
	for i, o := range w.submit(entries...) {
		if o.Refusal != nil {
			w.t.Fatalf("entry %d: %v", i, o.Refusal)
		}
	}
}

func (w *world) hour() contract.Hour { return contract.Hour(w.clock.now().Unix() / 3600) }

func (w *world) sign(e contract.Entry, key *crypto.PrivateKey) contract.Entry {
	w.t.Helper()
	e.Version, e.Author = contract.Version, key.Public()
	rand.Read(e.SelfTag[:])
	if e.Commitment.IsZero() {
		rand.Read(e.Commitment[:])
	}
	w.must(e.Sign(w.ledger, key))
	return e
}

// records makes n records that say nothing, for the log's sake, in the order in which a node
// puts them there.
func (w *world) records(n int) []contract.Entry {
	key := crypto.GenerateKey()
	entries := make([]contract.Entry, n)
	for i := range entries {
		entries[i] = w.sign(contract.Entry{Kind: contract.KindRecord}, key)
	}
	slices.SortFunc(entries, func(a, b contract.Entry) int {
		x, y := a.ID(w.ledger), b.ID(w.ledger)
		return bytes.Compare(x[:], y[:])
	})
	return entries
}

// given is one grant with all that was made for it.
type given struct {
	entry   contract.Entry
	id      contract.ID
	key     *crypto.PrivateKey
	offsets *crypto.Offsets
	oneTime *crypto.OneTimeKeys // the clinic's
	pkg     contract.GrantPackage
	shares  []crypto.Share
	lock    crypto.LockKey
	secret  []byte // what the envelope says
	puts    []ledgerclient.Put
}

func (w *world) grant() *given {
	w.t.Helper()
	seed := w.root.Seed(w.ledger, crypto.NewNonce())
	g := &given{key: seed.Key(), lock: seed.LockKey(), secret: []byte("file keys")}
	a := g.key.Public()
	var err error
	g.offsets, err = crypto.NewOffsets(w.ledger, g.key, w.clinic.Address())
	w.must(err)
	seal := func(part ledgerclient.Part, plain []byte) []byte {
		b, err := crypto.SealPayload(crypto.SealContext{Ledger: w.ledger, Part: byte(part), Author: a}, plain, 0, g.offsets.Seal, w.root.SelfKey().Public())
		w.must(err)
		return b
	}
	terms := crypto.Blob(crypto.NewSalt(), seal(ledgerclient.PartTerms, []byte("terms")))
	envelope := crypto.Blob(crypto.NewSalt(), g.lock.Lock(w.ledger, a, seal(ledgerclient.PartEnvelope, g.secret)))
	g.shares, err = seed.Shares(1, 1)
	w.must(err)
	g.pkg = contract.GrantPackage{
		K: 1, N: 1, Terms: crypto.BlobHash(terms), Envelope: crypto.BlobHash(envelope),
		Lock: g.lock.Hash(w.ledger, a), Shares: []crypto.Hash{g.shares[0].Hash(w.ledger, a)},
	}
	g.entry = w.sign(contract.Entry{Kind: contract.KindGrant, Counterparty: g.offsets.Sig, NotAfter: w.hour() + 24*90, Commitment: g.pkg.Commitment()}, g.key)
	g.id = g.entry.ID(w.ledger)
	put := func(part ledgerclient.Part, blob []byte) ledgerclient.Put {
		return ledgerclient.Put{Entry: g.entry, Package: g.pkg.Marshal(), Part: part, Blob: blob, Locators: []crypto.Locator{
			seed.Locator(g.id, byte(part)), g.offsets.Locator(g.id, byte(part)),
		}}
	}
	g.puts = []ledgerclient.Put{put(ledgerclient.PartTerms, terms), put(ledgerclient.PartEnvelope, envelope)}
	var ok bool
	g.oneTime, ok, err = w.clinic.Recognize(w.ledger, a, g.entry.Counterparty)
	w.must(err)
	if !ok {
		w.t.Fatal("the clinic does not recognize its grant")
	}
	return g
}

func (w *world) deposit(g *given) ledgerclient.Deposit {
	d := ledgerclient.Deposit{Ledger: w.ledger, Grant: g.id, Keeper: w.keeper, Share: g.shares[0], Package: g.pkg.Marshal()}
	ledgerclient.Sign(&d, g.key)
	return d
}

// give stores, orders and deposits a grant.
func (w *world) give(g *given) {
	w.t.Helper()
	w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal(g.puts)))
	w.order(g.entry)
	d := w.deposit(g)
	receipts, codes, err := said(node.ReceiptsForm.Parse(w.ok(w.post(node.PathDeposit, node.DepositsForm.Marshal([]ledgerclient.Deposit{d})))))
	w.must(err)
	if codes[0] != ledgerclient.Released {
		w.t.Fatalf("deposit: %s", codes[0])
	}
	w.must(receipts[0].Verify(&d, g.key.Public()))
}

// access makes an access of the clinic with its payload.
func (w *world) access(g *given) (contract.Entry, ledgerclient.Put) {
	w.t.Helper()
	sealed, err := crypto.SealPayload(crypto.SealContext{Ledger: w.ledger, Part: byte(ledgerclient.PartAccess), Author: g.oneTime.Sig}, []byte("reason"), 0, g.entry.Author)
	w.must(err)
	blob := crypto.Blob(crypto.NewSalt(), sealed)
	e := contract.Entry{
		Version: contract.Version, Kind: contract.KindAccess, Author: g.oneTime.Sig, Subject: g.id,
		NotBefore: w.hour() - 1, NotAfter: w.hour() + 48, Commitment: contract.AccessCommitment(crypto.BlobHash(blob)),
	}
	rand.Read(e.SelfTag[:])
	e.Signature = g.oneTime.Sign(e.ID(w.ledger))
	return e, ledgerclient.Put{Entry: e, Part: ledgerclient.PartAccess, Blob: blob, Locators: []crypto.Locator{
		g.offsets.Locator(e.ID(w.ledger), byte(ledgerclient.PartAccess)),
	}}
}

func (w *world) request(g *given, access contract.Entry) (ledgerclient.Request, *crypto.PrivateKey) {
	response := crypto.GenerateKey()
	r := ledgerclient.Request{Ledger: w.ledger, Keeper: w.keeper, Access: access, Response: response.Public()}
	ledgerclient.Sign(&r, g.oneTime)
	return r, response
}

// inquiry is the clinic's question whether the share of a grant is held.
func (w *world) inquiry(g *given) ledgerclient.Inquiry {
	q := ledgerclient.Inquiry{Ledger: w.ledger, Keeper: w.keeper, Grant: g.id}
	q.SignState(g.oneTime)
	return q
}

// release asks for a share and checks the signature on whatever is answered.
func (w *world) release(r *ledgerclient.Request) ledgerclient.Answer {
	w.t.Helper()
	a, err := ledgerclient.Parse[ledgerclient.Answer](w.ok(w.post(node.PathRelease, ledgerclient.Marshal(r))))
	w.must(err)
	w.must(a.Verify(r, w.keeper))
	return a
}

func (w *world) revocation(g *given) contract.Entry {
	return w.sign(contract.Entry{Kind: contract.KindRevoke, Subject: g.id, NotAfter: contract.Forever}, g.key)
}

// version is one record with its payloads.
type version struct {
	entry   contract.Entry
	id      contract.ID
	key     *crypto.PrivateKey
	content []byte
	upload  ledgerclient.Put // of the content
	put     ledgerclient.Put // of the metadata
}

func (w *world) record(size int) *version {
	w.t.Helper()
	seed := w.root.Seed(w.ledger, crypto.NewNonce())
	v := &version{content: make([]byte, size), key: seed.Key()}
	rand.Read(v.content)
	var pieces []crypto.Hash
	for b := v.content; len(b) > 0; {
		n := min(len(b), contract.PieceSize)
		pieces = append(pieces, crypto.Hash(tlog.RecordHash(b[:n])))
		b = b[n:]
	}
	metadata := crypto.Blob(crypto.NewSalt(), []byte("sealed metadata"))
	pkg := contract.RecordPackage{Metadata: crypto.BlobHash(metadata), ContentHead: ledgerclient.ContentHead(pieces), ContentSize: uint64(size)}
	v.entry = w.sign(contract.Entry{Kind: contract.KindRecord, Commitment: pkg.Commitment()}, v.key)
	v.id = v.entry.ID(w.ledger)
	v.upload = ledgerclient.Put{Entry: v.entry, Package: pkg.Marshal(), Part: ledgerclient.PartContent, Locators: []crypto.Locator{seed.ContentLocator()}}
	v.put = ledgerclient.Put{Entry: v.entry, Package: pkg.Marshal(), Part: ledgerclient.PartMetadata, Blob: metadata, Locators: []crypto.Locator{
		seed.Locator(v.id, byte(ledgerclient.PartMetadata)),
	}}
	return v
}

func (w *world) withdrawal(v *version) contract.Entry {
	return w.sign(contract.Entry{Kind: contract.KindRecord, Flags: contract.FlagWithdrawn, Subject: v.id, NotBefore: w.hour() - 1, NotAfter: w.hour() + 48}, v.key)
}

// send uploads a content in parts of that size and does not commit it.
func (w *world) send(content []byte, size int) node.UploadID {
	w.t.Helper()
	begun, err := node.UploadBegunForm.Parse(w.ok(w.post(node.PathUploads, nil)))
	id := begun.Upload
	w.must(err)
	for off := 0; off < len(content); off += size {
		p := node.UploadPart{Upload: id, Offset: uint64(off), Data: content[off:min(off+size, len(content))]}
		w.ok(w.post(node.PathUploadPart, node.UploadPartForm.Marshal(p)))
	}
	return id
}

// add stores and orders a record.
func (w *world) add(v *version) {
	w.t.Helper()
	c := node.UploadCommit{Upload: w.send(v.content, 700_000), Put: v.upload}
	w.ok(w.post(node.PathUploadCommit, node.UploadCommitForm.Marshal(c)))
	w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal([]ledgerclient.Put{v.put})))
	w.order(v.entry)
}

// fetch asks for a payload.
func (w *world) fetch(loc crypto.Locator, headers ...string) reply {
	w.t.Helper()
	return w.get(node.PathBlobs, append(headers, node.HeaderLocator, hex.EncodeToString(loc[:]))...)
}

func base64Decode(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// said takes the answer to a keeper's batch apart.
func said[T any](replies []node.Reply[T], err error) (out []T, codes []ledgerclient.Code, _ error) {
	for _, r := range replies {
		out, codes = append(out, r.Said), append(codes, r.Code)
	}
	return out, codes, err
}
