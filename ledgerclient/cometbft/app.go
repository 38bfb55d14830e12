package cometbft

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carekey/carekey/ledgerclient/cometbft/chain"
	"github.com/carekey/carekey/ledgerclient/order"
	dbm "github.com/cometbft/cometbft-db"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/crypto/ed25519"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmttypes "github.com/cometbft/cometbft/types"
)

// maxWaiting is how many envelopes of one member wait in the memory of each: an honest one
// sends the next when it knows what came of the last.
const maxWaiting = 4

// app is what the engine asks about the order: package chain on a store.
type app struct {
	abci.BaseApplication
	store
	own int // the member that this is
	now func() time.Time
	// fail is called with what keeps a block from being kept: there is no going on.
	fail func(error)

	mu      sync.Mutex
	state   chain.State   // behind the last block that was kept
	decided chan struct{} // closed when another is, and made anew
	waiting [][32]byte    // node of each envelope that the pool was told is good since then
	next    chain.State   // behind the block that was decided and is not kept yet
	items   []order.Item  // of that block
	// voted is, for each member, the height of the newest block under which its vote was
	// seen.
	voted []uint64
	// opened are envelopes that were opened a moment ago, by their hashes: the engine asks
	// about each some four times, here and there. known is whether entries are in the order
	// behind the last block that was kept, as far as that was asked or follows from a block.
	opened map[[32]byte]*chain.Opened
	known  map[[32]byte]bool
	// twice is, for each member, a height at which it has voted for two blocks; 0: none.
	twice   []uint64
	accused bool // this member, by the block that was decided and is not kept yet
	// wrong is, for each member, the height at which it last proposed what no member may;
	// 0: it did not.
	wrong  []uint64
	judged time.Time // of the block that was judged last
}

func newApp(c *chain.Chain, own int, db dbm.DB, now func() time.Time, fail func(error)) (*app, error) {
	a := &app{store: store{db, c}, opened: map[[32]byte]*chain.Opened{}, known: map[[32]byte]bool{}, own: own, now: now, fail: fail, decided: make(chan struct{}), voted: make([]uint64, len(c.Nodes())), wrong: make([]uint64, len(c.Nodes()))}
	var err error
	a.state, err = a.store.state()
	if err == nil {
		a.twice, err = a.store.twice()
	}
	return a, err
}

// Info says how far this member is, so that the engine gives it what it lacks: after a
// crash the block that was decided and not kept.
func (a *app) Info(context.Context, *abci.RequestInfo) (*abci.ResponseInfo, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := &abci.ResponseInfo{LastBlockHeight: int64(a.state.Height)}
	if a.state.Height > 0 {
		hash := a.state.Hash()
		r.LastBlockAppHash = hash[:]
	}
	return r, nil
}

// InitChain begins the order: with nothing.
func (a *app) InitChain(context.Context, *abci.RequestInitChain) (*abci.ResponseInitChain, error) {
	start := a.chain.Start()
	hash := start.Hash()
	return &abci.ResponseInitChain{AppHash: hash[:]}, nil
}

// Codes of answers to the engine.
const (
	codeRefused = 1
	codeQuota   = 2
	codeStale   = 3
	codeWaits   = 4
	codeStore   = 5
)

func code(err error) uint32 {
	quota := (*chain.QuotaError)(nil)
	switch {
	case err == nil:
		return abci.CodeTypeOK
	case errors.As(err, &quota):
		return codeQuota
	case errors.Is(err, chain.ErrNumber), errors.Is(err, chain.ErrNothing):
		return codeStale
	case errors.Is(err, errWaits):
		return codeWaits
	case errors.Is(err, chain.ErrEnvelope), errors.Is(err, chain.ErrLedger), errors.Is(err, chain.ErrMember), errors.Is(err, chain.ErrSignature):
		return codeRefused
	}
	return codeStore
}

var errWaits = errors.New("enough of this institution's envelopes wait already")

// What is remembered of envelopes and entries, at most: some megabytes.
const (
	maxOpened = 16
	maxKnown  = 32 * chain.MaxEntries
)

// take takes an envelope into a block on the state behind the last one that was kept.
func (a *app) take(b *chain.Block, tx []byte) (*chain.Opened, error) {
	key := sha256.Sum256(tx)
	e := a.opened[key]
	if e == nil {
		var err error
		if e, err = a.chain.Open(tx); err != nil {
			return nil, err
		}
		if len(a.opened) >= maxOpened {
			clear(a.opened)
		}
		a.opened[key] = e
	}
	return e, b.Take(e)
}

// begin begins a block on that state.
func (a *app) begin(height uint64, at time.Time) *chain.Block {
	return a.chain.Begin(a.state, height, at, func(key [32]byte) (bool, error) {
		is, asked := a.known[key]
		if asked {
			return is, nil
		}
		is, err := a.ordered(key)
		if err != nil {
			return false, err
		}
		if len(a.known) >= maxKnown {
			clear(a.known)
		}
		a.known[key] = is
		return is, nil
	})
}

// CheckTx says whether an envelope may wait to be ordered here.
func (a *app) CheckTx(_ context.Context, r *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	// At the hour that is: if it has passed since the last block, there is a new share.
	e, err := a.take(a.begin(a.state.Height+1, a.now()), r.Tx)
	if err == nil {
		n := 0
		for _, node := range a.waiting {
			if node == e.Node {
				n++
			}
		}
		if n >= maxWaiting {
			err = errWaits
		} else {
			a.waiting = append(a.waiting, e.Node)
		}
	}
	if err != nil {
		return &abci.ResponseCheckTx{Code: code(err), Log: err.Error()}, nil
	}
	return &abci.ResponseCheckTx{}, nil
}

// PrepareProposal puts a block together of what is valid, one envelope behind the other.
// By the idle rule it is left empty where its time lags.
func (a *app) PrepareProposal(_ context.Context, r *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := &abci.ResponsePrepareProposal{}
	if a.now().Sub(r.Time) > chain.LateProposal {
		return out, nil
	}
	b := a.begin(uint64(r.Height), r.Time)
	room := r.MaxTxBytes
	for _, tx := range r.Txs {
		cost := cmttypes.ComputeProtoSizeForTxs([]cmttypes.Tx{tx})
		if cost > room {
			continue
		}
		if _, err := a.take(b, tx); err == nil {
			out.Txs = append(out.Txs, tx)
			room -= cost
		}
	}
	return out, nil
}

// ProcessProposal votes for a block if all of it is valid, its time is not ahead, and not old
// where it is to give an hour to anything.
func (a *app) ProcessProposal(_ context.Context, r *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.judged = r.Time
	reject := &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_REJECT}
	if late := a.now().Sub(r.Time); -late > chain.LateBlock || len(r.Txs) > 0 && late > chain.LateBlock {
		return reject, nil
	}
	b := a.begin(uint64(r.Height), r.Time)
	for _, tx := range r.Txs {
		if _, err := a.take(b, tx); err != nil {
			// Who proposed it has judged it as all do.
			if i := a.member(r.ProposerAddress); i >= 0 && code(err) != codeStore {
				a.wrong[i] = uint64(r.Height)
			}
			return reject, nil
		}
	}
	return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_ACCEPT}, nil
}

// FinalizeBlock works out what follows from a block that was decided. Nothing is kept yet:
// if this process ends now, the engine gives it the block again.
func (a *app) FinalizeBlock(_ context.Context, r *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := &abci.ResponseFinalizeBlock{}
	b := a.begin(uint64(r.Height), r.Time)
	for _, tx := range r.Txs {
		_, err := a.take(b, tx)
		if code(err) == codeStore { // not the same at the others
			a.fail(err)
			return nil, err
		}
		out.TxResults = append(out.TxResults, &abci.ExecTxResult{Code: code(err)})
	}
	a.next, a.items = b.End(a.state)
	hash := a.next.Hash()
	out.AppHash = hash[:]
	for _, v := range r.DecidedLastCommit.Votes {
		if i := a.member(v.Validator.Address); i >= 0 && v.BlockIdFlag != cmtproto.BlockIDFlagAbsent {
			a.voted[i] = max(a.voted[i], uint64(r.Height)-1)
		}
	}
	a.accused = false
	for _, m := range r.Misbehavior {
		if i := a.member(m.Validator.Address); i >= 0 {
			a.twice[i] = uint64(m.Height)
			a.accused = a.accused || i == a.own
		}
	}
	return out, nil
}

// voteTime is when a vote is cast by the clock of this app, for the block that was judged
// last: later than that, as the engine has it.
func (a *app) voteTime() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if least := a.judged.Add(voteStep); now.Before(least) {
		return least
	}
	return now
}

// member is the one with that address, or -1.
func (a *app) member(address []byte) int {
	return slices.IndexFunc(a.chain.Nodes(), func(node [32]byte) bool { return bytes.Equal(ed25519.PubKey(node[:]).Address(), address) })
}

// Commit keeps it.
func (a *app) Commit(context.Context, *abci.RequestCommit) (*abci.ResponseCommit, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.write(a.state.Size, a.items, a.next, a.twice); err != nil {
		a.fail(err)
		return nil, err
	}
	for i := range a.items { // nothing else has changed
		a.known[chain.Key(&a.items[i].Entry)] = true
	}
	a.state, a.items, a.waiting = a.next, nil, nil
	close(a.decided)
	a.decided = make(chan struct{})
	if a.accused { // once: who starts it again has looked
		a.fail(ErrTwice)
	}
	return &abci.ResponseCommit{}, nil
}

// Query is asked by the engine whether a peer may connect: only members may.
func (a *app) Query(_ context.Context, r *abci.RequestQuery) (*abci.ResponseQuery, error) {
	id, is := strings.CutPrefix(r.Path, "/p2p/filter/id/")
	if !is {
		if strings.HasPrefix(r.Path, "/p2p/filter/addr/") {
			return &abci.ResponseQuery{}, nil
		}
		return &abci.ResponseQuery{Code: codeRefused}, nil
	}
	if address, err := hex.DecodeString(id); err == nil && a.member(address) >= 0 {
		return &abci.ResponseQuery{}, nil
	}
	return &abci.ResponseQuery{Code: codeRefused, Log: "no member of this network"}, nil
}

// last is the state behind the last block, and a channel that is closed with the next.
func (a *app) last() (chain.State, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state, a.decided
}
