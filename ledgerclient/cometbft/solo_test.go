package cometbft

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/cometbft/chain"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/ledgerclient/order"
	dbm "github.com/cometbft/cometbft-db"
	abci "github.com/cometbft/cometbft/abci/types"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/mempool"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	sm "github.com/cometbft/cometbft/state"
	cmttypes "github.com/cometbft/cometbft/types"
)

// solo is one member as its engine sees it, where the test is the engine.
type solo struct {
	*app
	t     *testing.T
	keys  []ed25519.PrivateKey
	clock atomic.Int64 // Unix time in seconds
}

func (s *solo) time() time.Time { return time.Unix(s.clock.Load(), 0) }

// keysOf are those of n members, and the document that names them.
func keysOf(t testing.TB, n int) (document []byte, keys []ed25519.PrivateKey) {
	t.Helper()
	config := contract.Config{Name: "Solo", Contract: contract.ContractVersion, Threshold: uint8(2*n/3 + 1), Release: 1, Random: [16]byte{1}}
	for i := range n {
		sum := sha256.Sum256([]byte{byte(i)})
		keys = append(keys, ed25519.NewKeyFromSeed(sum[:]))
		entry, err := crypto.ParsePrivateKey(sum[:])
		if err != nil {
			t.Fatal(err)
		}
		config.Nodes = append(config.Nodes, contract.Node{Checkpoint: [32]byte(keys[i].Public().(ed25519.PublicKey)), Key: entry.Public()})
		config.Keepers = append(config.Keepers, entry.Public())
	}
	return config.Marshal(), keys
}

func newSolo(t *testing.T, n int) *solo {
	document, keys := keysOf(t, n)
	c, err := chain.New(document)
	if err != nil {
		t.Fatal(err)
	}
	s := &solo{t: t, keys: keys}
	s.clock.Store(490_000*3600 + 1800)
	s.open(c, dbm.NewMemDB())
	return s
}

// open starts the member on what is kept.
func (s *solo) open(c *chain.Chain, db dbm.DB) {
	s.t.Helper()
	a, err := newApp(c, 0, db, s.time, func(err error) { s.t.Error(err) })
	if err != nil {
		s.t.Fatal(err)
	}
	s.app = a
}

// check fails the test where an answer came with an error, which the engine would not survive.
func check[T any](t *testing.T, answer T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// finalize has a block decided, and does not have it kept.
func (s *solo) finalize(at time.Time, txs ...[]byte) *abci.ResponseFinalizeBlock {
	s.t.Helper()
	last, _ := s.last()
	r, err := s.FinalizeBlock(s.t.Context(), &abci.RequestFinalizeBlock{Height: int64(last.Height) + 1, Time: at, Txs: txs})
	return check(s.t, r, err)
}

func (s *solo) block(txs ...[]byte) {
	s.t.Helper()
	s.finalize(s.time(), txs...)
	r, err := s.Commit(s.t.Context(), nil)
	check(s.t, r, err)
}

func (s *solo) checkTx(tx []byte) uint32 {
	s.t.Helper()
	r, err := s.app.CheckTx(s.t.Context(), &abci.RequestCheckTx{Tx: tx})
	return check(s.t, r, err).Code
}

// records are n entries that nobody made yet.
func records(rnd *rand.Rand, n int, kind contract.Kind) []contract.Entry {
	es := make([]contract.Entry, n)
	for i := range es {
		var b [contract.Size]byte
		for j := range b {
			b[j] = byte(rnd.Uint32())
		}
		es[i], _ = contract.ParseEntry(b[:])
		es[i].Kind = kind
	}
	return es
}

func itemsOf(es []contract.Entry) (items []order.Item) {
	for _, e := range es {
		items = append(items, order.Item{Entry: e})
	}
	return items
}

func (s *solo) seal(member int, es ...contract.Entry) []byte {
	last, _ := s.last()
	return s.chain.Seal(s.keys[member], last.Accounts[member].Number+1, itemsOf(es))
}

// atOnce is a pool in which an envelope is decided as soon as it is in it.
type atOnce struct {
	mu sync.Mutex
	s  *solo
}

func (p *atOnce) CheckTx(tx cmttypes.Tx, answered func(*abci.ResponseCheckTx), _ mempool.TxInfo) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	code := p.s.checkTx(tx)
	if code == abci.CodeTypeOK {
		p.s.block(tx)
	}
	answered(&abci.ResponseCheckTx{Code: code, Log: "no"})
	return nil
}

// serve runs a backend on a pool until the test ends.
func (s *solo) serve(p pool) *backend {
	b := newBackend(s.app, s.keys[0], p, time.Hour, func() Status { return Status{Words: "1 of 4 decide"} })
	ctx, stop := context.WithCancel(s.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.run(ctx)
	}()
	s.t.Cleanup(func() { stop(); <-ended })
	return b
}

// The suite that every order must pass, with the clock in the test's hands.
func TestSolo(t *testing.T) {
	s := newSolo(t, 1)
	b := s.serve(&atOnce{s: s})
	all := ledgertest.Run(t, ledgertest.Harness{
		Seed: 13,
		Order: func(context.Context) (order.Backend, error) {
			return b, nil
		},
		SetHour: func(hour contract.Hour) error {
			s.clock.Store(int64(hour)*3600 + 1800)
			return nil
		},
	})
	if len(all) < 10 {
		t.Errorf("%d cases", len(all))
	}
	for _, r := range all {
		if r.Skipped != "" {
			t.Errorf("%s was skipped: %s", r.Name, r.Skipped)
		}
	}
}

// kept is a pool in which envelopes wait for the test.
type kept chan []byte

func (p kept) CheckTx(tx cmttypes.Tx, answered func(*abci.ResponseCheckTx), _ mempool.TxInfo) error {
	p <- tx
	answered(&abci.ResponseCheckTx{})
	return nil
}

// Who asks is told for how long something has waited, and that nothing is decided where that is
// too long, whoever is there; what is decided does not wait.
func TestStateWaits(t *testing.T) {
	s := newSolo(t, 4)
	pool := make(kept, 1)
	b := s.serve(pool)
	state := func() order.State {
		got, err := b.State(t.Context())
		return *check(t, got, err)
	}
	if got := state(); got != (order.State{Decides: true, Words: "1 of 4 decide"}) {
		t.Errorf("idle: %+v", got)
	}
	es := records(rand.New(rand.NewPCG(1, 9)), 3, 2)
	var waits sync.WaitGroup
	waits.Go(func() { b.Append(t.Context(), es) })
	tx := <-pool
	if got := state(); !got.Decides || got.Waits == 0 || got.Words != "1 of 4 decide" {
		t.Errorf("on its way: %+v", got)
	}
	b.mu.Lock()
	b.since = b.since.Add(-2 * b.patience)
	b.mu.Unlock()
	if got := state(); got.Decides || got.Waits < 2*b.patience || got.Words != "1 of 4 decide; what was handed over here has waited for 2h0m0s to be ordered" {
		t.Errorf("too late: %+v", got)
	}
	s.block(tx)
	if got := state(); got != (order.State{Decides: true, Words: "1 of 4 decide"}) {
		t.Errorf("decided: %+v", got)
	}
	waits.Wait()
	for _, bad := range []Status{{Halted: "2026-12-01T00:00:00Z"}, {Behind: true}} {
		b.status = func() Status { return bad }
		if got := state(); got.Decides {
			t.Errorf("%+v: %+v", bad, got)
		}
	}
}

// A process that ends between a decision and what follows from it is given the block again,
// and it is decided once.
func TestKilledBetween(t *testing.T) {
	s := newSolo(t, 4)
	rnd := rand.New(rand.NewPCG(1, 1))
	first, second := records(rnd, 3, 2), records(rnd, 3, 2)
	s.block(s.seal(1, first...))
	tx := s.seal(2, second...)
	was := s.finalize(s.time(), tx)
	s.open(s.chain, s.db) // and nothing was kept of it
	info, err := s.Info(t.Context(), nil)
	if check(t, info, err).LastBlockHeight != 1 {
		t.Fatalf("height %d", info.LastBlockHeight)
	}
	if again := s.finalize(s.time(), tx); !bytes.Equal(again.AppHash, was.AppHash) {
		t.Fatal("the same block came to something else")
	}
	r, err := s.Commit(t.Context(), nil)
	check(t, r, err)
	s.open(s.chain, s.db)
	items, err := s.read(0)
	if len(check(t, items, err)) != 6 {
		t.Fatalf("%d items", len(items))
	}
	for i, e := range slices.Concat(first, second) {
		at, ok, err := s.place(chain.Key(&e))
		if err != nil || !ok || at != uint64(i) || items[i].Entry != e {
			t.Errorf("entry %d is at %d", i, at)
		}
	}
	if info, err = s.Info(t.Context(), nil); err != nil || info.LastBlockHeight != 2 || !bytes.Equal(info.LastBlockAppHash, was.AppHash) {
		t.Errorf("%+v %v", info, err)
	}
}

// After an idle time the first block is empty, so that what comes behind it has the hour
// that it is; a block that gives an old hour is not voted for, nor one that is ahead.
func TestIdle(t *testing.T) {
	s := newSolo(t, 4)
	tx := s.seal(0, records(rand.New(rand.NewPCG(1, 2)), 1, 2)...)
	for _, c := range []struct {
		lag        time.Duration
		puts, vote bool
	}{{0, true, true}, {time.Minute, true, true}, {time.Minute + time.Second, false, true}, {2 * time.Minute, false, true}, {2*time.Minute + time.Second, false, false}, {-2 * time.Minute, true, true}, {-2*time.Minute - time.Second, true, false}} {
		at := s.time().Add(-c.lag)
		p, err := s.PrepareProposal(t.Context(), &abci.RequestPrepareProposal{Height: 1, Time: at, Txs: [][]byte{tx}, MaxTxBytes: maxBlock})
		if got := len(check(t, p, err).Txs) == 1; got != c.puts {
			t.Errorf("%v behind: proposed %v", c.lag, got)
		}
		v, err := s.ProcessProposal(t.Context(), &abci.RequestProcessProposal{Height: 1, Time: at, Txs: [][]byte{tx}})
		if got := check(t, v, err).Status == abci.ResponseProcessProposal_ACCEPT; got != c.vote {
			t.Errorf("%v behind: voted for %v", c.lag, got)
		}
		v, err = s.ProcessProposal(t.Context(), &abci.RequestProcessProposal{Height: 1, Time: at})
		if got := check(t, v, err).Status == abci.ResponseProcessProposal_ACCEPT; got != (c.lag >= -2*time.Minute) {
			t.Errorf("%v behind: an empty block is voted for: %v", c.lag, got)
		}
	}
}

// A proposer puts in what is valid, one behind the other, and as much as there is room for;
// nobody votes for anything else.
func TestProposals(t *testing.T) {
	s := newSolo(t, 4)
	rnd := rand.New(rand.NewPCG(1, 3))
	es := records(rnd, 2, 2)
	good, other := s.seal(0, es...), s.seal(1, records(rnd, 1, 2)...)
	config := records(rnd, 1, contract.KindConfig)[0]
	alone := chain.Envelope{Ledger: s.chain.Ledger(), Number: 1, Items: []order.Item{{Entry: config}}}
	bad := [][]byte{good, s.seal(2, es...), []byte("junk"), alone.Marshal()}
	p, err := s.PrepareProposal(t.Context(), &abci.RequestPrepareProposal{Height: 1, Time: s.time(), MaxTxBytes: maxBlock,
		Txs: slices.Concat([][]byte{good}, bad, [][]byte{other})})
	if got := check(t, p, err).Txs; len(got) != 2 || !bytes.Equal(got[0], good) || !bytes.Equal(got[1], other) {
		t.Fatalf("%d envelopes", len(got))
	}
	p, err = s.PrepareProposal(t.Context(), &abci.RequestPrepareProposal{Height: 1, Time: s.time(), MaxTxBytes: int64(len(other)) + 10, Txs: [][]byte{good, other}})
	if got := check(t, p, err).Txs; len(got) != 1 || !bytes.Equal(got[0], other) {
		t.Errorf("%d envelopes in a small block", len(got))
	}
	for i, tx := range bad {
		v, err := s.ProcessProposal(t.Context(), &abci.RequestProcessProposal{Height: 1, Time: s.time(), Txs: [][]byte{good, tx}})
		if check(t, v, err).Status != abci.ResponseProcessProposal_REJECT {
			t.Errorf("a block with bad envelope %d is voted for", i)
		}
	}
	// What is decided all the same, by more who lie than may, does no harm.
	s.block(append([][]byte{good}, bad...)...)
	if last, _ := s.last(); last.Size != 2 {
		t.Errorf("%d items", last.Size)
	}
}

// asked is a database that counts how often it is asked whether it has something.
type asked struct {
	dbm.DB
	times map[string]int
}

func (d *asked) Has(key []byte) (bool, error) {
	d.times[string(key)]++
	return d.DB.Has(key)
}

// However often the engine asks about an envelope, it is opened once, and each of its entries
// is looked for once before the block in which it is. What is known ends with that block, and
// takes a bounded memory.
func TestLookedForOnce(t *testing.T) {
	s := newSolo(t, 4)
	d := &asked{s.store.db, map[string]int{}}
	s.store.db = d
	rnd := rand.New(rand.NewPCG(7, 7))
	es := records(rnd, 100, contract.KindRecord)
	tx, again := s.seal(1, es...), s.seal(2, es...)
	if c := s.checkTx(tx); c != abci.CodeTypeOK {
		t.Fatalf("code %d", c)
	}
	for range 2 {
		p, err := s.PrepareProposal(t.Context(), &abci.RequestPrepareProposal{Height: 1, Time: s.time(), Txs: [][]byte{tx}, MaxTxBytes: maxBlock})
		if len(check(t, p, err).Txs) != 1 {
			t.Fatal("it is not proposed")
		}
		r, err := s.ProcessProposal(t.Context(), &abci.RequestProcessProposal{Height: 1, Time: s.time(), Txs: [][]byte{tx}})
		if check(t, r, err).Status != abci.ResponseProcessProposal_ACCEPT {
			t.Fatal("it is not voted for")
		}
	}
	s.finalize(s.time(), tx)
	if len(s.opened) != 1 || len(d.times) != len(es) {
		t.Errorf("%d envelopes opened, %d entries looked for", len(s.opened), len(d.times))
	}
	for _, n := range d.times {
		if n != 1 {
			t.Fatalf("an entry was looked for %d times", n)
		}
	}
	r, err := s.Commit(t.Context(), nil)
	check(t, r, err)
	if c := s.checkTx(again); c != codeStale {
		t.Errorf("what was decided by then: code %d", c)
	}
	for _, n := range d.times {
		if n != 1 {
			t.Fatalf("an entry was looked for %d times, though it was in the block", n)
		}
	}
	for range 3 * maxOpened {
		s.checkTx(s.seal(3, records(rnd, 1, contract.KindRecord)...))
	}
	if n := len(s.opened); n > maxOpened {
		t.Errorf("%d envelopes are remembered", n)
	}
	for range maxKnown/chain.MaxEntries + 2 {
		s.checkTx(s.seal(3, records(rnd, chain.MaxEntries, contract.KindRecord)...))
	}
	if n := len(s.known); n > maxKnown {
		t.Errorf("%d entries are remembered", n)
	}
}

// One institution cannot fill the pool of the others.
func TestPoolIsShared(t *testing.T) {
	s := newSolo(t, 4)
	rnd := rand.New(rand.NewPCG(1, 4))
	for n := range uint64(maxWaiting + 3) {
		tx := s.chain.Seal(s.keys[1], n+1, itemsOf(records(rnd, 1, 2)))
		if got, want := s.checkTx(tx), n < maxWaiting; (got == abci.CodeTypeOK) != want {
			t.Errorf("envelope %d: code %d", n, got)
		}
	}
	own := s.seal(0, records(rnd, 1, 2)...)
	if code := s.checkTx(own); code != abci.CodeTypeOK {
		t.Errorf("code %d for another institution", code)
	}
	s.block(own) // and there is room again
	if code := s.checkTx(s.seal(1, records(rnd, 1, 2)...)); code != abci.CodeTypeOK {
		t.Errorf("code %d in the next block", code)
	}
}

// forgetful is a pool whose envelopes are decided when the test says so.
type forgetful struct {
	came chan []byte
}

func (p *forgetful) CheckTx(tx cmttypes.Tx, answered func(*abci.ResponseCheckTx), _ mempool.TxInfo) error {
	p.came <- tx
	answered(&abci.ResponseCheckTx{})
	return nil
}

type answered struct {
	at  []uint64
	err error
}

func asks(ctx context.Context, b *backend, es []contract.Entry) chan answered {
	c := make(chan answered, 1)
	go func() {
		at, err := b.Append(ctx, es)
		c <- answered{at, err}
	}()
	return c
}

// Whose entries are on their way is told that nothing is known, and what the network looks
// like; whose wait here, that nothing was done. What was sent is decided once, although it
// is sent again and both ask again.
func TestHalt(t *testing.T) {
	s := newSolo(t, 4)
	p := &forgetful{came: make(chan []byte)}
	b := s.serve(p)
	rnd := rand.New(rand.NewPCG(1, 5))
	sent, waits := records(rnd, 3, 2), records(rnd, 2, 2)
	patience, lose := context.WithCancel(t.Context())
	one := asks(patience, b, sent)
	tx := <-p.came
	two := asks(patience, b, waits)
	for b.waiting() != 5 {
	}
	lose()
	if got := <-one; !errors.Is(got.err, order.ErrUnknown) || got.at != nil {
		t.Errorf("what was sent: %v", got.err)
	}
	if got := <-two; got.err == nil || errors.Is(got.err, order.ErrUnknown) {
		t.Errorf("what was not sent: %v", got.err)
	}
	again, more := asks(t.Context(), b, sent), asks(t.Context(), b, waits)
	for b.waiting() != 5 {
	}
	s.block() // an empty one: nobody knows of the envelope any more
	if repeated := <-p.came; !bytes.Equal(repeated, tx) {
		t.Fatal("another envelope was sent while one could still be decided")
	}
	s.block(tx, tx)
	if got := <-again; got.err != nil || !slices.Equal(got.at, []uint64{0, 1, 2}) {
		t.Errorf("%+v", got)
	}
	s.block(<-p.came)
	if got := <-more; got.err != nil || len(got.at) != 2 {
		t.Errorf("%+v", got)
	}
	if last, _ := s.last(); last.Size != 5 || last.Accounts[0] != (chain.Account{Number: 2, Entries: 5}) {
		t.Errorf("%+v", last)
	}
}

// waiting is how many entries wait.
func (b *backend) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queued
}

// Who waits too long is told what the network looks like.
func TestPatience(t *testing.T) {
	s := newSolo(t, 4)
	b := s.serve(&forgetful{came: make(chan []byte, 1)})
	b.patience = time.Nanosecond
	_, err := b.Append(t.Context(), records(rand.New(rand.NewPCG(1, 6)), 1, 2))
	if err == nil || !strings.Contains(err.Error(), "1 of 4 decide") {
		t.Errorf("%v", err)
	}
}

// Another envelope with the number of ours was decided, of this member before it was
// started anew. Ours is worth nothing then, and what is in it goes into the next.
func TestOvertaken(t *testing.T) {
	s := newSolo(t, 4)
	p := &forgetful{came: make(chan []byte)}
	b := s.serve(p)
	rnd := rand.New(rand.NewPCG(1, 7))
	before, now := s.seal(0, records(rnd, 2, 2)...), records(rnd, 2, 2)
	c := asks(t.Context(), b, now)
	ours := <-p.came
	s.block(before, ours)
	next := <-p.came
	if bytes.Equal(next, ours) {
		t.Fatal("it was sent again")
	}
	s.block(next)
	if got := <-c; got.err != nil || !slices.Equal(got.at, []uint64{2, 3}) && !slices.Equal(got.at, []uint64{3, 2}) {
		t.Errorf("%+v", got)
	}
}

// What several callers wait for goes into one envelope, mixed: nobody sees whose is whose.
func TestGathered(t *testing.T) {
	s := newSolo(t, 4)
	p := &forgetful{came: make(chan []byte)}
	b := s.serve(p)
	rnd := rand.New(rand.NewPCG(1, 10))
	asks(t.Context(), b, records(rnd, 1, 2))
	first := <-p.came
	one, two := records(rnd, 5, 2), records(rnd, 5, 2)
	asked := asks(t.Context(), b, one)
	for b.waiting() != 6 {
	}
	more := asks(t.Context(), b, append(two, one[0]))
	for b.waiting() != 12 {
	}
	s.block(first)
	tx := <-p.came
	e, err := chain.ParseEnvelope(tx)
	came := itemsOf(slices.Concat(one, two))
	if mixed := chain.Mixed(s.chain.Ledger(), came); !slices.Equal(check(t, e, err).Items, mixed) || slices.Equal(mixed, came) {
		t.Errorf("%d items, not mixed", len(e.Items))
	}
	s.block(tx)
	for _, c := range []chan answered{asked, more} {
		if got := <-c; got.err != nil {
			t.Error(got.err)
		}
	}
}

// While an envelope is on its way what comes meanwhile gathers: the next is full, and in one
// block, however many brought it.
func TestFilled(t *testing.T) {
	const each = 16
	s := newSolo(t, 4)
	p := &forgetful{came: make(chan []byte)}
	b := s.serve(p)
	rnd := rand.New(rand.NewPCG(1, 11))
	asked := []chan answered{asks(t.Context(), b, records(rnd, 1, 2))}
	first := <-p.came
	for n := each; n <= chain.MaxEntries+each; n += each {
		asked = append(asked, asks(t.Context(), b, records(rnd, each, 2)))
		for b.waiting() != 1+n {
		}
	}
	s.block(first)
	for _, want := range []int{chain.MaxEntries, each} {
		tx := <-p.came
		if e, err := chain.ParseEnvelope(tx); len(check(t, e, err).Items) != want {
			t.Errorf("%d entries in an envelope, not %d", len(e.Items), want)
		}
		s.block(tx)
	}
	for _, c := range asked {
		if got := <-c; got.err != nil {
			t.Error(got.err)
		}
	}
}

// The same entries that came through two institutions are one item each.
func TestThroughTwo(t *testing.T) {
	s := newSolo(t, 4)
	p := &forgetful{came: make(chan []byte)}
	b := s.serve(p)
	es := records(rand.New(rand.NewPCG(1, 8)), 2, 2)
	c := asks(t.Context(), b, es)
	ours := <-p.came
	s.block(s.seal(1, es...))
	if got := <-c; got.err != nil || !slices.Equal(got.at, []uint64{0, 1}) {
		t.Errorf("%+v", got)
	}
	s.block(ours)
	if last, _ := s.last(); last.Size != 2 || last.Accounts[0] != (chain.Account{}) {
		t.Errorf("%+v", last)
	}
}

// Whose share is used up is told so, and others who ask at the same time are not.
func TestShare(t *testing.T) {
	s := newSolo(t, 4)
	b := s.serve(&atOnce{s: s})
	rnd := rand.New(rand.NewPCG(1, 9))
	for left := chain.HourlyGrants / 4; left > 0; left -= order.MaxAppend {
		es := records(rnd, min(left, order.MaxAppend), contract.KindGrant)
		if at, err := b.Append(t.Context(), es); err != nil || len(at) != len(es) {
			t.Fatal(err)
		}
	}
	grant, revoke := asks(t.Context(), b, records(rnd, 1, contract.KindGrant)), asks(t.Context(), b, records(rnd, 1, contract.KindRevoke))
	quota := (*chain.QuotaError)(nil)
	if got := <-grant; !errors.As(got.err, &quota) || !errors.Is(got.err, ledgerclient.ErrQuota) || errors.Is(got.err, order.ErrUnknown) {
		t.Errorf("%v", got.err)
	}
	if got := <-revoke; got.err != nil {
		t.Error(got.err)
	}

	// That nothing was ordered is not said of what another call brings, or brought, in part.
	p := &forgetful{came: make(chan []byte)}
	b = s.serve(p)
	first, beside := records(rnd, 1, contract.KindRevoke), records(rnd, 1, contract.KindRevoke)
	grants := records(rnd, 1, contract.KindGrant)
	asked := []chan answered{asks(t.Context(), b, first)}
	tx := <-p.came
	asked = append(asked, asks(t.Context(), b, beside))
	for b.waiting() != 2 {
	}
	for i, part := range [][]contract.Entry{first, beside} {
		asked = append(asked, asks(t.Context(), b, slices.Concat(part, grants)))
		for b.waiting() != 4+2*i {
		}
	}
	s.block(tx)
	s.block(<-p.came)
	for i, c := range asked {
		got := <-c
		if i < 2 && got.err != nil || i >= 2 && !errors.Is(got.err, order.ErrUnknown) {
			t.Errorf("call %d: %v", i, got.err)
		}
	}
}

// Members may connect, and nobody else.
func TestPeers(t *testing.T) {
	s := newSolo(t, 4)
	stranger := cmted25519.GenPrivKey().PubKey().Address()
	for path, want := range map[string]bool{
		"/p2p/filter/addr/192.0.2.1:26656": true,
		"/p2p/filter/id/" + hex.EncodeToString(cmted25519.PubKey(s.keys[3].Public().(ed25519.PublicKey)).Address()): true,
		"/p2p/filter/id/" + hex.EncodeToString(stranger):                                                            false,
		"/p2p/filter/id/": false,
		"/store":          false,
	} {
		r, err := s.Query(t.Context(), &abci.RequestQuery{Path: path})
		if got := check(t, r, err).Code == abci.CodeTypeOK; got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// A member that has lost what it voted for leaves out the first height at which it may have
// voted before, and knows again what it voted for after a restart.
func TestForgottenVotes(t *testing.T) {
	_, keys := keysOf(t, 1)
	path := filepath.Join(t.TempDir(), "votes.json")
	vote := func(v *votes, height int64) error {
		return v.SignVote("chain", &cmtproto.Vote{Type: cmtproto.PrevoteType, Height: height, Timestamp: time.Unix(1, 0)})
	}
	v, err := openVotes(keys[0], path)
	if err := vote(check(t, v, err), 1); err != nil {
		t.Fatal(err)
	}
	if err := vote(v, 2); err != nil { // by then it knows
		t.Fatal(err)
	}
	if v, err = openVotes(keys[0], path); check(t, v, err).LastSignState.Height != 2 || v.fresh {
		t.Errorf("%+v", v.LastSignState)
	}
	if vote(v, 1) == nil || vote(v, 3) != nil {
		t.Error("what was voted for is not known")
	}
	v, err = openVotes(keys[0], filepath.Join(t.TempDir(), "votes.json"))
	check(t, v, err)
	if !errors.Is(vote(v, 9), errForgotten) || !errors.Is(v.SignProposal("chain", &cmtproto.Proposal{Height: 9}), errForgotten) {
		t.Error("height 9 is not left out")
	}
	if err := vote(v, 10); err != nil {
		t.Error(err)
	}
}

// An engine that stops by itself, and stays there, or that meets a vote of its own which it did
// not cast, ends the process.
func TestEngineStops(t *testing.T) {
	e := &Engine{failed: make(chan error, 1)}
	l := (&engineLog{to: slog.New(slog.DiscardHandler), fail: e.fail}).With("module", "consensus")
	l.Error("Error dialing peer", "err", "refused")
	select {
	case err := <-e.Failed():
		t.Fatal(err)
	default:
	}
	l.Error("CONSENSUS FAILURE!!!", "err", "another hash", "stack", "…")
	l.Error("CONSENSUS FAILURE!!!", "err", "again")
	if err := <-e.Failed(); !strings.Contains(err.Error(), "another hash") || strings.Contains(err.Error(), "…") {
		t.Error(err)
	}
	l.Error("found conflicting vote from ourselves; did you unsafe_reset a validator?", "height", 7)
	if err := <-e.Failed(); !errors.Is(err, ErrTwice) {
		t.Error(err)
	}
}

// Who has voted for two blocks of one height is named, and after a restart still.
func TestVotedTwice(t *testing.T) {
	s := newSolo(t, 4)
	address := cmted25519.PubKey(s.keys[2].Public().(ed25519.PublicKey)).Address()
	r, err := s.FinalizeBlock(t.Context(), &abci.RequestFinalizeBlock{Height: 1, Time: s.time(),
		Misbehavior: []abci.Misbehavior{{Type: abci.MisbehaviorType_DUPLICATE_VOTE, Validator: abci.Validator{Address: address}, Height: 7}}})
	check(t, r, err)
	c, err := s.Commit(t.Context(), nil)
	check(t, c, err)
	s.open(s.chain, s.db)
	if !slices.Equal(s.app.twice, []uint64{0, 0, 7, 0}) {
		t.Errorf("%v", s.app.twice)
	}
	want := "1 of 1 decide; University HAS VOTED TWICE at block 7: its key is in two places, or it lies"
	if got := words(Status{Needed: 1, Members: []MemberStatus{{Name: "University", State: stateDecides, Twice: 7}}}); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// The time of a block lies between the clocks of those who are right, whatever as many as
// may be wrong say, whichever votes are under the block before.
func TestTimeIsOfThoseWhoAreRight(t *testing.T) {
	right := time.Unix(490_000*3600, 0)
	for n := 1; n <= 16; n++ {
		document, _ := keysOf(t, n)
		c, err := chain.New(document)
		state, err := sm.MakeGenesisState(genesisOf(check(t, c, err)))
		check(t, state, err)
		for votes := c.Needed(); votes <= n; votes++ {
			for _, off := range []time.Duration{-time.Hour, time.Hour} {
				commit := &cmttypes.Commit{}
				for i, v := range state.Validators.Validators[:votes] {
					at := right.Add(time.Duration(i) * time.Millisecond)
					if i < n-c.Needed() {
						at = at.Add(off)
					}
					commit.Signatures = append(commit.Signatures, cmttypes.CommitSig{BlockIDFlag: cmttypes.BlockIDFlagCommit, ValidatorAddress: v.Address, Timestamp: at})
				}
				got, err := sm.MedianTime(commit, state.Validators)
				if check(t, got, err).Sub(right).Abs() > time.Second {
					t.Errorf("%d votes of %d, %d of them off by %v: block time is off by %v", votes, n, n-c.Needed(), off, got.Sub(right))
				}
			}
		}
	}
}

// One that was away reads what the others have decided before it votes, unless nothing can be
// decided without it: the engine goes by the weights, of which it rounds the third down.
func TestWeights(t *testing.T) {
	for n := 1; n <= contract.MaxNodes; n++ {
		document, _ := keysOf(t, n)
		c, err := chain.New(document)
		if err != nil {
			t.Fatal(err)
		}
		total := int64(0)
		for _, v := range genesisOf(c).Validators {
			total += v.Power
		}
		if alone := power >= total/3; alone != (c.Needed() == n) {
			t.Errorf("of %d, %d are needed, and the engine takes each for needed: %v", n, c.Needed(), alone)
		}
	}
}

// What a chain begins with follows from the document alone.
func TestGenesis(t *testing.T) {
	document, keys := keysOf(t, 4)
	c, err := chain.New(document)
	g := genesisOf(check(t, c, err))
	if err := g.ValidateAndComplete(); err != nil {
		t.Fatal(err)
	}
	want := "carekey-" + contract.LedgerID(document).String()[:40]
	if g.ChainID != want || len(g.Validators) != 4 || !bytes.Equal(g.Validators[2].PubKey.Bytes(), keys[2].Public().(ed25519.PublicKey)) {
		t.Errorf("%+v", g)
	}
}

func TestWords(t *testing.T) {
	s := Status{Needed: 3, Members: []MemberStatus{{Name: "City hospital", State: stateMissing, Since: "2026-11-30T04:05:06Z"}, {Name: "B", State: stateDecides}, {Name: "C", State: stateDecides}, {Name: "D", State: stateDecides}}}
	if got, want := words(s), "3 of 4 decide; City hospital is missing since 2026-11-30 04:05:06 UTC"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	s.Members[3].State, s.Behind = stateSilent, true
	if got, want := words(s), "2 of 4 decide, and 3 are needed: nothing is ordered; this validator still reads what was decided without it; City hospital is missing since 2026-11-30 04:05:06 UTC; D is there and votes for nothing"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
