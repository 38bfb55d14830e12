package cometbft

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient/cometbft/chain"
	"github.com/carekey/carekey/ledgerclient/order"
	dbm "github.com/cometbft/cometbft-db"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/config"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	cmtlog "github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/proxy"
	cmttypes "github.com/cometbft/cometbft/types"
	cmttime "github.com/cometbft/cometbft/types/time"
	"github.com/syndtr/goleveldb/leveldb/filter"
	leveldb "github.com/syndtr/goleveldb/leveldb/opt"
)

// Version is the name of the software.
const Version = "carekey-ledger-cometbft 1 (CometBFT 0.38)"

// maxBlock bounds a block, in bytes.
const maxBlock = 2 << 20

// Member is one institution of a network.
type Member struct {
	Name    string   // for people
	Key     [32]byte // checkpoint key of its node
	Address string   // host:port where its validator is found
}

// Options of a validator.
type Options struct {
	Dir     string             // where it keeps all that it has
	Genesis []byte             // configuration document of the ledger
	Key     ed25519.PrivateKey // checkpoint key of the institution's node
	Members []Member           // in the order of the document
	Listen  string             // host:port for the other validators
	Clock   func() time.Time   // of the blocks too, by this member's votes; nil: time.Now
	// Patience is how long an append waits to be decided. 0: DefaultPatience.
	Patience time.Duration
	Log      *slog.Logger // nil: nothing is logged

	// testOnlyApp and testOnlyVotes make a member that does what it should not of one that
	// does what it should. nil: it stays one.
	testOnlyApp   func(abci.Application) abci.Application
	testOnlyVotes func(*Engine, cmttypes.PrivValidator) cmttypes.PrivValidator
}

// Engine is a validator at work.
type Engine struct {
	backend *backend
	app     *app
	node    *node.Node
	opt     Options
	own     int
	db      dbm.DB
	stop    context.CancelFunc
	ended   sync.WaitGroup
	failed  chan error

	mu     sync.Mutex
	seen   []time.Time     // when each member was connected last
	from   []uint64        // height from which on each is expected to vote
	apart  []bool          // whose validator said last that it is of another network
	off    []time.Duration // how far each one's clock was ahead of the others', see clocks
	looked uint64          // height to which off is known
	halted time.Time       // since when too few decide; zero: enough do
}

// Errors of Start.
var (
	ErrNotMember = errors.New("the key is that of no node in the ledger's configuration")
	ErrRunning   = errors.New("another validator runs on this folder")
)

// ErrTwice: somebody else votes with this member's key.
var ErrTwice = errors.New("there is another vote with the key of this validator: it runs in a second place, or was put back from a copy; let one of them run, and find out since when there are two")

// Start starts a validator. It runs until Stop, or until Failed says why it cannot go on.
func Start(opt Options) (e *Engine, err error) {
	another := opt.Clock != nil
	if !another {
		opt.Clock = time.Now
	}
	if opt.Patience == 0 {
		opt.Patience = DefaultPatience
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	c, err := chain.New(opt.Genesis)
	if err != nil {
		return nil, err
	}
	e = &Engine{opt: opt, failed: make(chan error, 1), own: slices.Index(c.Nodes(), [32]byte(opt.Key.Public().(ed25519.PublicKey)))}
	if e.own < 0 {
		return nil, ErrNotMember
	}
	for i, key := range c.Nodes() {
		if i >= len(opt.Members) || opt.Members[i].Key != key {
			return nil, fmt.Errorf("the members are not those of the configuration, in its order")
		}
	}
	data := filepath.Join(opt.Dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	// It is asked of every entry whether it has it, and hardly ever has: by the filter most of
	// that is known without a look into a file.
	if e.db, err = dbm.NewGoLevelDBWithOpts("order", data, &leveldb.Options{Filter: filter.NewBloomFilter(10)}); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrRunning, err)
	}
	db := e.db // e is gone where this ends with an error
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	if e.app, err = newApp(c, e.own, e.db, opt.Clock, e.fail); err != nil {
		return nil, err
	}
	votes, err := openVotes(opt.Key, filepath.Join(opt.Dir, "votes.json"))
	if err != nil {
		return nil, err
	}
	if c.Needed() == len(c.Nodes()) {
		// Nothing is decided without it, nor by anybody who does not hold to what he voted for.
		votes.fresh = false
	}
	if another {
		votes.clock = e.app.voteTime
	}
	key := &p2p.NodeKey{PrivKey: votes.key()}
	var application abci.Application = e.app
	if opt.testOnlyApp != nil {
		application = opt.testOnlyApp(application)
	}
	var signs cmttypes.PrivValidator = votes
	if opt.testOnlyVotes != nil {
		signs = opt.testOnlyVotes(e, signs)
	}
	genesis := func() (*cmttypes.GenesisDoc, error) { return genesisOf(c), nil }
	settings := e.config()
	e.node, err = node.NewNode(settings, signs, key, proxy.NewLocalClientCreator(application), genesis,
		databases, node.DefaultMetricsProvider(settings.Instrumentation), &engineLog{to: opt.Log, fail: e.fail})
	if err != nil {
		return nil, err
	}
	if err := e.node.Start(); err != nil {
		return nil, err
	}
	e.seen, e.from, e.off = make([]time.Time, len(opt.Members)), make([]uint64, len(opt.Members)), make([]time.Duration, len(opt.Members))
	e.apart = make([]bool, len(opt.Members))
	state, _ := e.app.last()
	e.looked = state.Height
	for i := range e.seen {
		e.seen[i], e.from[i] = opt.Clock(), state.Height
	}
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	e.backend = newBackend(e.app, opt.Key, e.node.Mempool(), opt.Patience, e.Status)
	e.ended.Go(func() {
		defer crash.Report()
		e.backend.run(ctx)
	})
	e.ended.Go(func() {
		defer crash.Report()
		e.connect(ctx)
	})
	return e, nil
}

// fail notes why the validator cannot go on.
func (e *Engine) fail(err error) {
	select {
	case e.failed <- err:
	default:
	}
}

// Failed is given why the validator cannot go on, once. It has to be stopped then.
func (e *Engine) Failed() <-chan error { return e.failed }

// Backend is the order. Closing it is not needed, and does nothing.
func (e *Engine) Backend() order.Backend { return e.backend }

// Stop ends the validator.
func (e *Engine) Stop() error {
	e.stop()
	e.ended.Wait()
	err := e.node.Stop()
	e.node.Wait()
	return errors.Join(err, e.db.Close())
}

// power is what the vote of each member weighs. The engine takes the earliest of three
// votes of weight 1 for the middle one, so that a single clock that is wrong would be the
// time of a block; what is in the middle of weights that are even is. And it takes a member
// whose weight is at least the third, rounded down, of all for one without which nothing is
// decided: one of four members of weight 2 is not, but 2 is the third of 8. Such a member begins
// to vote after a second, whether it has read what the others have decided or not.
const power = 4

// genesisOf is what the chain of a ledger begins with. Its time is behind all that can be,
// so that the first block is empty and the second has the time that it is.
func genesisOf(c *chain.Chain) *cmttypes.GenesisDoc {
	ledger := c.Ledger()
	params := cmttypes.DefaultConsensusParams()
	params.Block.MaxBytes = maxBlock
	params.Evidence.MaxBytes = maxBlock / 8
	start := c.Start()
	hash := start.Hash()
	g := &cmttypes.GenesisDoc{
		GenesisTime:     time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC),
		ChainID:         "carekey-" + hex.EncodeToString(ledger[:20]),
		InitialHeight:   1,
		ConsensusParams: params,
		AppHash:         hash[:],
	}
	for _, key := range c.Nodes() {
		pub := cmted25519.PubKey(key[:])
		g.Validators = append(g.Validators, cmttypes.GenesisValidator{Address: pub.Address(), PubKey: pub, Power: power})
	}
	return g
}

// config are the engine's settings. They are made anew each time, and in no file.
func (e *Engine) config() *config.Config {
	c := config.DefaultConfig()
	c.SetRoot(e.opt.Dir)
	c.DBBackend = string(dbm.GoLevelDBBackend)
	c.FilterPeers = true // app.Query says who
	c.RPC.ListenAddress = ""
	c.TxIndex.Indexer = "null"
	c.Storage.DiscardABCIResponses = true

	c.P2P.ListenAddress = "tcp://" + listenAddress(e.opt.Listen)
	c.P2P.PexReactor = false
	c.P2P.AddrBook = filepath.Join("data", "addrbook.json")
	c.P2P.AddrBookStrict = false
	c.P2P.AllowDuplicateIP = true
	c.P2P.FlushThrottleTimeout = 2 * time.Millisecond
	// A block full of entries has a megabyte, and goes to each of the others at once. It is for
	// the network to say that this is too much for it: five megabytes a second are the engine's.
	c.P2P.SendRate, c.P2P.RecvRate = 50<<20, 50<<20
	var ids []string
	for i := range e.opt.Members {
		ids = append(ids, string(e.id(i)))
	}
	c.P2P.UnconditionalPeerIDs = strings.Join(ids, ",")

	c.Mempool.MaxTxBytes = chain.MaxEnvelope
	c.Mempool.Size = maxWaiting * len(ids)
	c.Mempool.MaxTxsBytes = int64(c.Mempool.Size * chain.MaxEnvelope)
	c.Mempool.CacheSize = 1000

	// What follows is the engine's own time-out, a second or so in all: longer where the
	// network is slower, by what it adds in each round.
	c.Consensus.TimeoutPropose = 500 * time.Millisecond
	c.Consensus.TimeoutPrevote = 200 * time.Millisecond
	c.Consensus.TimeoutPrecommit = 200 * time.Millisecond
	c.Consensus.TimeoutCommit = 20 * time.Millisecond
	c.Consensus.CreateEmptyBlocks = false
	// app.ProcessProposal judges the time of a block. Where the engine does, a validator whose
	// clock is a minute behind stops at the next block that the others decide.
	c.Consensus.BlockTimeTolerance = 100 * 365 * 24 * time.Hour
	c.Consensus.PeerGossipSleepDuration = 5 * time.Millisecond
	c.Consensus.PeerQueryMaj23SleepDuration = 100 * time.Millisecond
	return c
}

// listenAddress has a host: the engine wants one.
func listenAddress(address string) string {
	if host, port, err := net.SplitHostPort(address); err == nil && host == "" {
		return net.JoinHostPort("0.0.0.0", port)
	}
	return address
}

// databases are those of the engine itself.
func databases(c *config.DBContext) (dbm.DB, error) {
	db, err := config.DefaultDBProvider(c)
	return neverClosed{db}, err
}

// neverClosed is a database that is closed with the process. The engine closes it when it is
// stopped, while some of its goroutines go on for a moment, and panic where it is closed. All
// that was written is in the system's hands before that.
type neverClosed struct{ dbm.DB }

func (neverClosed) Close() error { return nil }

// id is what the engine calls a member.
func (e *Engine) id(member int) p2p.ID {
	return p2p.PubKeyToID(cmted25519.PubKey(e.opt.Members[member].Key[:]))
}

// connected reports whether a member is connected to this one, or is this one.
func (e *Engine) connected(member int) bool {
	return member == e.own || e.node.Switch().Peers().Has(e.id(member))
}

// behind reports whether this validator reads blocks that the others have decided, and does
// not vote yet.
func (e *Engine) behind() bool { return e.node.ConsensusReactor().WaitSync() }

// connect dials who is not connected, until ctx ends: the engine itself gives up some day,
// and looks a name up only once.
func (e *Engine) connect(ctx context.Context) {
	behind := true // when it looked last
	for {
		was := behind
		behind = e.behind()
		state, _ := e.app.last()
		e.clocks(state.Height)
		for i, m := range e.opt.Members {
			connected := e.connected(i)
			e.mu.Lock()
			if connected {
				e.seen[i] = e.opt.Clock()
			}
			if !connected || behind || was {
				e.from[i] = state.Height
			}
			e.mu.Unlock()
			if connected {
				continue
			}
			go func() { // which takes as long as it takes
				defer crash.Report()
				addr, err := p2p.NewNetAddressString(p2p.IDAddressString(e.id(i), m.Address))
				if err == nil {
					err = e.node.Switch().DialPeerWithAddress(addr)
				}
				if rejected, is := errors.AsType[p2p.ErrRejected](err); err == nil || is {
					// The key is that of the member: only then is it asked which network is its.
					e.mu.Lock()
					e.apart[i] = is && rejected.IsIncompatible()
					e.mu.Unlock()
				}
				if err != nil {
					e.opt.Log.Debug("not connected", "member", m.Name, "cause", err.Error())
				}
			}()
		}
		e.Status() // which notes since when too few decide
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second + rand.N(time.Second)): // two that dial each other at one time miss each other
		}
	}
}

// clocks looks at the clocks of the members up to a block. What a member says of when it voted
// is the time of its clock, or, where that is not later, the first after the time of the block:
// then the clock may be behind by any time, which only shows where nothing was decided for a
// while. What is known of it stays until a vote shows another time.
func (e *Engine) clocks(height uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	const most = 100 // blocks looked at, at one time
	for h := int64(max(e.looked+1, height-min(height, most), 2)); h <= int64(height); h++ {
		before, block, commit := e.node.BlockStore().LoadBlockMeta(h-1), e.node.BlockStore().LoadBlockMeta(h), e.node.BlockStore().LoadBlockCommit(h-1)
		if before == nil || block == nil || commit == nil {
			continue
		}
		for _, s := range commit.Signatures {
			i := e.app.member(s.ValidatorAddress)
			if i < 0 {
				continue // it did not vote
			}
			ahead := s.Timestamp.Sub(block.Header.Time)
			switch {
			case ahead.Abs() > chain.LateProposal:
				e.off[i] = ahead
			case s.Timestamp.Sub(before.Header.Time) > voteStep:
				e.off[i] = 0
			}
		}
	}
	e.looked = height
}

// voteStep is how much later than its block a vote is at least, as the engine has it.
const voteStep = time.Millisecond

// votes signs what this member votes for, as the engine's FilePV does, with two differences:
// the key is in no file of its own; and a member that does not know what it has voted for
// does not vote at the first height that it is asked about, at which it may have.
type votes struct {
	*privval.FilePV
	mu    sync.Mutex
	fresh bool  // nothing is known
	skip  int64 // the height that is left out; 0: none yet
	// clock is when a vote is cast; nil: what the engine says, which knows no clock but that
	// of the computer.
	clock func() time.Time
}

func openVotes(key ed25519.PrivateKey, path string) (*votes, error) {
	v := &votes{FilePV: privval.NewFilePV(cmted25519.PrivKey(key), "", path)}
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.fresh = true
		return v, nil
	case err != nil:
		return nil, err
	}
	if err := cmtjson.Unmarshal(b, &v.LastSignState); err != nil {
		return nil, fmt.Errorf("%s is not what was written: %w", path, err)
	}
	return v, nil
}

func (v *votes) key() cmted25519.PrivKey { return v.Key.PrivKey.(cmted25519.PrivKey) }

var errForgotten = errors.New("what was voted for at this height is not known any more: it is left out")

func (v *votes) may(height int64) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if height == 1 { // there was nothing before
		v.fresh = false
	}
	if !v.fresh {
		return nil
	}
	if v.skip == 0 {
		v.skip = height
	}
	v.fresh = height == v.skip
	if v.fresh {
		return errForgotten
	}
	return nil
}

func (v *votes) SignVote(chainID string, vote *cmtproto.Vote) error {
	if err := v.may(vote.Height); err != nil {
		return err
	}
	if v.clock != nil {
		vote.Timestamp = cmttime.Canonical(v.clock())
	}
	return v.FilePV.SignVote(chainID, vote)
}

func (v *votes) SignProposal(chainID string, proposal *cmtproto.Proposal) error {
	if err := v.may(proposal.Height); err != nil {
		return err
	}
	return v.FilePV.SignProposal(chainID, proposal)
}

// engineLog hands what the engine says to a log, where it is of interest to who looks for a
// fault: a peer that is not there is told by Status.
type engineLog struct {
	to   *slog.Logger
	fail func(error)
	with []any // keys and values, of a log that is made for every message of a peer
}

func (l *engineLog) Debug(string, ...any) {}
func (l *engineLog) Info(string, ...any)  {}

func (l *engineLog) Error(msg string, keyvals ...any) {
	switch {
	case strings.HasPrefix(msg, "CONSENSUS FAILURE"): // the engine stops then, and stays there
		l.fail(fmt.Errorf("the engine has stopped: %v", keyvals[:min(len(keyvals), 2)]))
	case strings.HasPrefix(msg, "found conflicting vote from ourselves"):
		l.fail(ErrTwice)
	}
	l.to.Debug(msg, slices.Concat(l.with, keyvals)...)
}

func (l *engineLog) With(keyvals ...any) cmtlog.Logger {
	return &engineLog{to: l.to, fail: l.fail, with: slices.Concat(l.with, keyvals)}
}
