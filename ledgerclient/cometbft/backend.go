package cometbft

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/cometbft/chain"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/order"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/mempool"
	cmttypes "github.com/cometbft/cometbft/types"
)

// DefaultPatience is how long an append waits to be decided: less than carekey waits for
// the answer of a program.
const DefaultPatience = 10 * time.Second

// maxQueued is how many entries wait at a member to be put into an envelope.
const maxQueued = 16 * chain.MaxEntries

// pool is where envelopes wait at every member: the engine's mempool.
type pool interface {
	CheckTx(tx cmttypes.Tx, answered func(*abci.ResponseCheckTx), from mempool.TxInfo) error
}

// backend is the order as one member serves it. What its callers want ordered at one time
// goes into one envelope, and the next envelope waits until it is known what came of it:
// so the number of an envelope grows by one, and blocks are filled.
type backend struct {
	app      *app
	key      ed25519.PrivateKey
	member   int
	pool     pool
	patience time.Duration
	// status is what the network looks like now.
	status func() Status

	mu     sync.Mutex
	queue  []*call
	queued int           // entries in queue
	more   chan struct{} // something was put into queue
	sent   *envelope     // the one that is on its way; nil: none
	since  time.Time     // when something was on its way first since nothing was, or since the last that was decided
}

// call is one of Append or Configure.
type call struct {
	items []order.Item
	sent  bool       // in an envelope that went out: it may be ordered, now or later
	part  bool       // some of its items are in the order, or go there by another call
	wrong chan error // why it was not sent, and nothing was done
}

// not is that a call is not sent, and why. By it nothing was done; of its items that is not so
// where another brought some of them.
func (w *call) not(err error) {
	if w.part {
		err = order.ErrUnknown.Of(err)
	}
	w.wrong <- err
}

func newBackend(a *app, key ed25519.PrivateKey, p pool, patience time.Duration, status func() Status) *backend {
	own := [32]byte(key.Public().(ed25519.PublicKey))
	return &backend{app: a, key: key, member: slices.Index(a.chain.Nodes(), own), pool: p, patience: patience, status: status, more: make(chan struct{}, 1)}
}

var (
	_ order.Backend   = (*backend)(nil)
	_ order.Dedicated = (*backend)(nil)
	_ order.Stated    = (*backend)(nil)
)

// Keeps is the ledger of the network.
func (b *backend) Keeps() crypto.LedgerID { return b.app.chain.Ledger() }

// Name is that of the software.
func (b *backend) Name() string { return Version }

// Close does nothing: the order is served to others too.
func (b *backend) Close() error { return nil }

// Head returns how many items there are.
func (b *backend) Head(context.Context) (uint64, error) {
	s, _ := b.app.last()
	return s.Size, nil
}

// Read returns items.
func (b *backend) Read(_ context.Context, from uint64) ([]order.Item, error) {
	return b.app.read(from)
}

// State is what the network looks like from here. Where something has waited for longer than
// an append is waited for, it does not decide, whoever seems to be there.
func (b *backend) State(context.Context) (*order.State, error) {
	waits, err := b.waits()
	if err != nil {
		return nil, err
	}
	s := b.status()
	state := &order.State{Decides: s.Halted == "" && !s.Behind && waits < b.patience, Waits: waits, Words: s.Words}
	if waits >= b.patience {
		state.Words += fmt.Sprintf("; what was handed over here has waited for %v to be ordered", waits.Round(time.Second))
	}
	return state, nil
}

// waits is for how long what is on its way has been so.
func (b *backend) waits() (time.Duration, error) {
	b.mu.Lock()
	e, since := b.sent, b.since
	b.mu.Unlock()
	if e == nil {
		return 0, nil
	}
	if at, err := b.places(e.items); err != nil || at != nil {
		return 0, err
	}
	return time.Since(since), nil
}

// Append has entries ordered.
func (b *backend) Append(ctx context.Context, entries []contract.Entry) ([]uint64, error) {
	items := make([]order.Item, len(entries))
	for i := range entries {
		items[i].Entry = entries[i]
	}
	return b.put(ctx, items)
}

// Configure has a configuration entry ordered with its document.
func (b *backend) Configure(ctx context.Context, entry contract.Entry, document string) (uint64, error) {
	if entry.Kind != contract.KindConfig {
		return 0, errNotWhole
	}
	at, err := b.put(ctx, []order.Item{{Entry: entry, Document: document}})
	if err != nil {
		return 0, err
	}
	return at[0], nil
}

var (
	errNotWhole = errors.New("a configuration entry is ordered with its document, and no other entry with one")
	errTooMany  = errors.New("more than can be ordered at once")
	errBusy     = errors.New("too much waits to be ordered here already: try again")
)

// put has items ordered, and returns where they are.
func (b *backend) put(ctx context.Context, items []order.Item) ([]uint64, error) {
	if len(items) > order.MaxAppend {
		return nil, errTooMany
	}
	for i := range items {
		if !items[i].Whole() {
			return nil, errNotWhole
		}
	}
	late := time.NewTimer(b.patience)
	defer late.Stop()
	var own *call
	for {
		_, decided := b.app.last()
		at, err := b.places(items)
		if err != nil || at != nil {
			b.leave(own)
			return at, err
		}
		if own == nil {
			if own, err = b.enter(items); err != nil {
				return nil, err
			}
		}
		select {
		case <-decided:
			continue
		case err := <-own.wrong:
			return nil, err
		case <-late.C:
			err = errors.New(b.status().Words)
		case <-ctx.Done():
			err = ctx.Err()
		}
		if b.leave(own) { // it may be ordered, now or later
			return nil, order.ErrUnknown.Of(err)
		}
		return nil, err
	}
}

// places are where items are; nil if one of them is not in the order.
func (b *backend) places(items []order.Item) ([]uint64, error) {
	at := make([]uint64, len(items))
	for i := range items {
		position, ok, err := b.app.place(chain.Key(&items[i].Entry))
		if err != nil || !ok {
			return nil, err
		}
		at[i] = position
	}
	return at, nil
}

// enter puts a call into the queue.
func (b *backend) enter(items []order.Item) (*call, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queued+len(items) > maxQueued {
		return nil, errBusy
	}
	w := &call{items: items, wrong: make(chan error, 1)}
	b.queue = append(b.queue, w)
	b.queued += len(items)
	select {
	case b.more <- struct{}{}:
	default:
	}
	return w, nil
}

// leave takes a call out of the queue and reports whether it was sent.
func (b *backend) leave(w *call) bool {
	if w == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(w)
	return w.sent
}

func (b *backend) drop(w *call) {
	if i := slices.Index(b.queue, w); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
		b.queued -= len(w.items)
	}
}

// run sends envelopes, one behind the other, until ctx ends.
func (b *backend) run(ctx context.Context) {
	defer crash.Report()
	for ctx.Err() == nil {
		state, decided := b.app.last()
		e, err := b.fill(state)
		if err != nil {
			b.app.fail(err)
			return
		}
		b.under(e)
		if e == nil {
			select {
			case <-b.more:
			case <-ctx.Done():
			}
			continue
		}
		switch answer, err := b.send(e); answer {
		case codeStale: // something was decided since
		case codeLater: // nobody has it
			b.unsent(e)
			select {
			case <-decided:
			case <-time.After(resend):
			case <-ctx.Done():
			}
		case abci.CodeTypeOK:
			b.await(ctx, e, decided)
			b.under(nil)
		default:
			b.refuse(e, err)
			b.under(nil)
		}
	}
}

// under notes what is on its way; nil: nothing is any more.
func (b *backend) under(e *envelope) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sent == nil {
		b.since = time.Now()
	}
	b.sent = e
}

// envelope is one that is on its way.
type envelope struct {
	bytes  []byte
	number uint64
	items  []order.Item
	calls  []*call // whose items are in it
}

// resend is how soon an envelope is tried again for which there was no room.
const resend = 500 * time.Millisecond

// codeLater: there is no room for an envelope now.
const codeLater = 100

// send hands an envelope to the pool, from which the other members have it.
func (b *backend) send(e *envelope) (answer uint32, err error) {
	answer = codeLater
	err = b.pool.CheckTx(e.bytes, func(r *abci.ResponseCheckTx) {
		if answer = r.Code; answer == codeWaits {
			answer = codeLater
		}
		if answer != abci.CodeTypeOK {
			err = errors.New(r.Log)
		}
		if answer == codeQuota {
			err = spent(err)
		}
	}, mempool.TxInfo{})
	if errors.Is(err, mempool.ErrTxInCache) {
		return abci.CodeTypeOK, nil // it is there, or was decided already
	}
	return answer, err
}

// await returns when an envelope that was sent cannot be decided any more: it was, or
// another with its number, or all of it came into the order otherwise.
func (b *backend) await(ctx context.Context, e *envelope, decided <-chan struct{}) {
	for {
		select {
		case <-decided:
		case <-ctx.Done():
			return
		}
		var state chain.State
		state, decided = b.app.last()
		if state.Accounts[b.member].Number >= e.number {
			return
		}
		if at, err := b.places(e.items); err != nil || at != nil {
			return
		}
		b.send(e) // it is in the pool as long as nothing forgot it
	}
}

// fill makes an envelope of what waits; nil if nothing does.
func (b *backend) fill(state chain.State) (*envelope, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := &envelope{number: state.Accounts[b.member].Number + 1}
	keys := map[[32]byte]bool{}
	share := b.app.chain.Begin(state, state.Height+1, b.app.now(), b.app.ordered)
	for _, w := range slices.Clone(b.queue) {
		var fresh []order.Item
		own := map[[32]byte]bool{}
		for i := range w.items {
			key := chain.Key(&w.items[i].Entry)
			is, err := b.app.ordered(key)
			if err != nil {
				return nil, err
			}
			if is || keys[key] {
				w.part = true
			} else if !own[key] {
				fresh, own[key] = append(fresh, w.items[i]), true
			}
		}
		items := append(e.items, fresh...)
		if !chain.Fits(items) {
			break // it is the first in the next
		}
		if err := share.Charge(b.member, fresh); err != nil {
			b.drop(w)
			w.not(spent(err))
			continue
		}
		maps.Copy(keys, own)
		w.sent = true
		e.items, e.calls = items, append(e.calls, w)
	}
	if len(e.items) == 0 {
		return nil, nil
	}
	if len(e.calls) > 1 {
		e.items = chain.Mixed(b.app.chain.Ledger(), e.items)
	}
	e.bytes = b.app.chain.Seal(b.key, e.number, e.items)
	return e, nil
}

// spent says what the share of an hour lets nobody have ordered.
func spent(err error) error { return ledgerclient.ErrQuota.Of(err, "why", err.Error()) }

// unsent notes that nobody has an envelope.
func (b *backend) unsent(e *envelope) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range e.calls {
		w.sent = false
	}
}

// refuse tells those whose items are in an envelope why nobody has it.
func (b *backend) refuse(e *envelope, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range e.calls {
		b.drop(w)
		w.not(err)
	}
}
