// Package server is a carekey node: the ledger, the store and the keeper of one
// folder, served over HTTP as PROTOCOL.md in the folder above says.
//
//	f, err := folder.Open(dir, folder.Options{EraseAfter: server.EraseHours})
//	s, err := server.New(ctx, f, server.Options{})
//	h := s.HTTPServer()
//	h.TLSConfig = ...
//	go h.ServeTLS(listener, "", "")
//	...
//	s.Close()        // from now on everybody is told that the node is closing
//	h.Shutdown(ctx)  // waits for what is under way
//
// A Server checks nothing that the folder checks: signatures, contract, payloads
// and the keeper's rules are judged there. It bounds what anybody can cost the
// node (bytes, requests, time), keeps the clock's rule, and says in logs and
// metrics what happens without saying to whom: no ids, locators, keys, tokens or
// addresses.
package server

import (
	"context"
	"log"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/order"
	"github.com/carekey/carekey/ledgerclient/witness"
)

// EraseHours is how long a node keeps a withdrawn record by default, in hours: 30
// days.
const EraseHours = 30 * 24

// Options of a Server. The zero value is right for a node that takes entries from
// everybody.
type Options struct {
	// Closed: entries, but for revocations, and payloads are taken only with a token that an
	// institution of the ledger gave. See SetClosed.
	Closed bool
	// Lists ask the other nodes of the ledger for the tokens that were withdrawn.
	Lists []func(context.Context) ([]node.Withdrawn, error)
	// Site signs where this institution is reached, with a number; nil: that is not told.
	Site func(number uint64) node.Site
	// Sites ask the other nodes where each is reached.
	Sites []func(context.Context) ([]node.Site, error)
	// Sign signs with the key of the node; nil: no other node is asked for payloads.
	Sign func(crypto.Hash) crypto.Signature
	// Ledger takes the entries if another than the folder keeps the order, of which the
	// folder is then a replica. nil: the folder.
	Ledger Ordered
	// Peers are the other nodes of the ledger, where there are some.
	Peers []Peer
	// Gone is how many of the other nodes are gone for good: a node that does not know what it
	// has signed does not wait for so many, and as many less of those that it hears from may
	// lie. Their number less the threshold at most; otherwise an [ErrGone].
	Gone int
	// Clock is the clock that the folder has too. nil: the system's.
	Clock func() time.Time
	// Reference asks a clock that the operator trusts. nil: there is none.
	Reference func(context.Context) (time.Time, error)
	// Proxies are the addresses of the operator's own proxies: for whom they say that
	// they ask (X-Forwarded-For) is who asks, for limits. Addresses are never logged
	// or kept.
	Proxies []netip.Prefix
	// Witnesses are asked to cosign the ledger's heads.
	Witnesses []*witness.Witness
	// Links are what makes the node take links. nil: it takes none.
	Links *Links
	// Log gets one line for what goes wrong and, at level debug, for every request.
	// nil: nothing is logged.
	Log    *slog.Logger
	Limits Limits
}

// Ordered is a ledger whose order is kept elsewhere: an order.Ledger.
type Ordered interface {
	Append(context.Context, []contract.Entry) ([]ledgerclient.Outcome, error)
	// Follow reads what the order has and the folder has not.
	Follow(context.Context) error
}

// Limits bound what others can cost the node. A zero field stands for its default;
// a negative rate or quota for none. They are in JSON as an operator writes them.
type Limits struct {
	// Requests are under way at once; 256. Of one address; half of them.
	Requests   int `json:"requests,omitempty"`
	PerAddress int `json:"requests_per_address,omitempty"`
	// Memory is that of request bodies and answers, in bytes; 256 MiB, at least 80 MiB.
	Memory int64 `json:"memory,omitempty"`
	// Uploads are of contents, open at once; 16. Each takes 6 MiB of memory.
	Uploads int   `json:"uploads,omitempty"`
	Content int64 `json:"content,omitempty"` // bytes of one content; 16 GiB
	// Connections are how many are open at once, but for those of Proxies; 1,024. From
	// one address; half of them.
	Connections           int `json:"connections,omitempty"`
	ConnectionsPerAddress int `json:"connections_per_address,omitempty"`
	// Reserve is what payloads and shares leave free of the disk for entries, and half of
	// which these leave free for revocations, in bytes; 256 MiB; negative: none. Of its
	// files it is a sixteenth.
	Reserve int64 `json:"reserve,omitempty"`
	Clients int   `json:"clients,omitempty"` // addresses and tokens of which the node keeps count; 65,536

	Rate  Rate `json:"request_rate,omitzero"` // requests of one address, each question of many in one, and connections; 200 a second, 4,000 at once
	Order Rate `json:"entry_rate,omitzero"`   // entries with one token, or all of another institution, or, without tokens, from one address; 100 a second, 20,000 at once
	Bytes Rate `json:"byte_rate,omitzero"`    // stored with one token, or all of another institution, or from one address, and as much given to one other node; 1 MiB a second, 64 GiB at once
	// Checks are signatures that are checked for one token or address; 1,000 a second,
	// 200,000 at once. Revocations have as much for themselves.
	Checks Rate `json:"check_rate,omitzero"`
	// Links are links that are asked for from one address, those too that there are not; 5 a
	// second, 300 at once. Link is one link, whoever asks for it; 1 a second, 30 at once.
	Links Rate `json:"links_rate,omitzero"`
	Link  Rate `json:"link_rate,omitzero"`
}

// Rate is how much anybody may use, as a bucket that fills steadily.
type Rate struct {
	PerSecond float64 `json:"per_second"`
	Burst     float64 `json:"burst"` // what a full bucket holds; 0 with PerSecond 0: the default
}

func (l Limits) withDefaults() Limits {
	number := func(n *int, d int) {
		if *n <= 0 {
			*n = d
		}
	}
	number(&l.Requests, 256)
	number(&l.PerAddress, max(1, l.Requests/2))
	number(&l.Uploads, 16)
	number(&l.Clients, 65536)
	number(&l.Connections, 1024)
	number(&l.ConnectionsPerAddress, max(1, l.Connections/2))
	if l.Memory <= 0 {
		l.Memory = 256 << 20
	}
	l.Memory = max(l.Memory, 80<<20) // the largest request must fit
	if l.Content <= 0 || l.Content > node.MaxContent {
		l.Content = 16 << 30
	}
	if l.Reserve == 0 {
		l.Reserve = 256 << 20
	}
	rate := func(r *Rate, d Rate) {
		if *r == (Rate{}) {
			*r = d
		}
	}
	rate(&l.Rate, Rate{200, 4000})
	rate(&l.Order, Rate{100, 20_000})
	rate(&l.Bytes, Rate{1 << 20, 64 << 30})
	rate(&l.Checks, Rate{1000, 200_000})
	rate(&l.Links, Rate{5, 300})
	rate(&l.Link, Rate{1, 30})
	return l
}

// Server is one running node. It is an http.Handler.
type Server struct {
	folder    *folder.Folder
	store     ledgerclient.Store
	keeper    ledgerclient.Keeper
	limits    Limits
	opt       Options
	log       *slog.Logger
	routes    map[string]map[string]route // by path and method; of tiles by the beginning of their path
	questions map[node.Asked]question
	clock     *clockGuard
	tokens    *tokens
	sites     sites
	buckets   *buckets
	gate      gate
	conns     room
	// connected are the holders of conns by their net.Conn.
	connected sync.Map
	keys      []error // why it cannot sign something
	disk      ledgerDisk
	desk      desk // at the folder
	follow    desk // at an order that is kept elsewhere
	orders    *orderer[contract.Entry, ledgerclient.Outcome]
	puts      *orderer[folder.Putting, error]
	// Room for revocations that nothing else can fill: on their way in, to the log and
	// to the keeper.
	stopGate gate
	peerGate gate // for other nodes
	stops    *orderer[contract.Entry, ledgerclient.Outcome]
	stopper  *orderer[contract.Entry, stopped]
	uploads  *uploads
	sweeper  folder.Sweeper
	metrics  *metrics
	timed    timedCheckpoint
	cosign   *cosigner       // nil: there is no other node
	links    *links          // nil: they cannot be read
	broken   atomic.Int64    // payloads that are damaged and that no other node gave, in the last pass
	left     map[uint64]bool // positions of their entries; of who mends alone

	order atomic.Pointer[order.State] // what the order said of itself last; nil: nothing

	witnesses witnesses

	unnamed sync.Once // says that somebody who may be a proxy is none of Proxies
	closing atomic.Bool
	cancel  context.CancelFunc // ends the goroutines
	ended   sync.WaitGroup
	sweep   sync.Mutex // one at a time
}

var _ http.Handler = (*Server)(nil)

// New makes the server of a folder and starts what it does by itself. The folder
// stays the caller's to close, after Close.
//
// With a key that cannot be used the server starts: the log is read, and what needs
// another key is done. Health says so.
//
// An [ErrClockOff] means that the clock is not to be relied upon: the node would
// order entries at a wrong hour, which cannot be taken back.
func New(ctx context.Context, f *folder.Folder, opt Options) (*Server, error) {
	start := time.Now()
	return newServer(ctx, f, opt, func() time.Duration { return time.Since(start) })
}

// newServer takes the monotonic clock from a test.
func newServer(ctx context.Context, f *folder.Folder, opt Options, uptime func() time.Duration) (*Server, error) {
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	services := f.Services()
	s := &Server{
		folder: f, store: services.Store, keeper: services.Keepers[0],
		limits: opt.Limits.withDefaults(), opt: opt, log: opt.Log,
		clock: newClockGuard(opt.Clock, uptime, opt.Reference), sweeper: folder.Sweeper{Folder: f},
	}
	s.disk = ledgerDisk{dir: f.Properties().Reach, reserve: s.limits.Reserve, free: freeSpace}
	f.FileWhile(func() (free func(), ok bool) { return s.disk.take(spaceOfFiles(4)) })
	f.DoubtClock(func() bool { return s.clock.off() != nil })
	s.buckets = newBuckets(s.limits.Clients, s.clock.uptime)
	s.gate = newGate(s.limits.Requests, s.limits.PerAddress, s.limits.Memory, patience, uptime)
	s.stopGate = newGate(s.limits.Requests, s.limits.PerAddress, s.limits.Memory/4, 0, uptime)
	s.peerGate = newGate(4*contract.MaxNodes, 4, 4<<20, patience, uptime)
	s.conns = newRoom(int64(s.limits.Connections), int64(s.limits.ConnectionsPerAddress), 0, uptime)
	s.metrics = newMetrics()
	genesis, err := f.Genesis(ctx)
	if err != nil {
		return nil, err
	}
	config, err := contract.ParseConfig(genesis)
	if err != nil {
		return nil, err
	}
	s.tokens = newTokens(f.ID(), config.Nodes, f.Node())
	s.tokens.file = WithdrawnIn(s.folder.Properties().Reach, f.ID(), config.Nodes)
	if err := s.SetClosed(opt.Closed); err != nil {
		return nil, err
	}
	s.sites.all, s.sites.met = node.NoSites(f.ID(), &config), make(chan struct{})
	s.takeSites()
	if err := s.joinNodes(ctx); err != nil {
		return nil, err
	}
	s.startLinks(ctx)
	s.routes, s.questions = s.newRoutes(), s.newQuestions()
	if err := s.look(ctx); err != nil {
		return nil, err
	}
	for _, err := range s.folder.CheckKeys() {
		s.keys = append(s.keys, err)
		s.log.Error("keys: what needs this one is not served", "cause", err.Error())
	}
	run, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.uploads = newUploads(run, s.store, s.limits, s.clock.uptime)
	s.lineUp()
	s.begin(run)
	return s, nil
}

// lineUp makes the lines in which entries, payloads and revocations wait.
func (s *Server) lineUp() {
	order, at := s.folder.Append, &s.desk
	if s.opt.Ledger != nil { // what is waited for there holds nobody up here
		order, at = s.opt.Ledger.Append, new(desk)
	}
	if s.cosign != nil {
		order = thenSign(s.cosign, order)
	}
	order = mixed(s.folder.ID(), order)
	s.orders = &orderer[contract.Entry, ledgerclient.Outcome]{desk: at, most: node.MaxEntries, do: order}
	s.puts = &orderer[folder.Putting, error]{desk: &s.desk, most: putsAtOnce, size: sizeOf, do: func(ctx context.Context, all []folder.Putting) ([]error, error) {
		return s.folder.PutAll(ctx, all), nil
	}}
	s.stops = revoking(&s.desk, order)
	s.stopper = revoking(&s.desk, mixed(s.folder.ID(), s.stop))
}

// begin begins what the server does by itself, until run ends.
func (s *Server) begin(run context.Context) {
	s.every(run, sweepEvery, func() { s.Sweep(run) })
	s.every(run, lookEvery, func() {
		if err := s.look(run); err != nil && run.Err() == nil {
			s.log.Warn("clock", "cause", cause(err))
		}
		if s.cosign != nil {
			s.cosign.tellClocks()
		}
		s.sweepLinks(run)
		s.uploads.places.dropIdle(uploadIdle)
		s.buckets.dropFull()
	})
	for _, w := range s.opt.Witnesses {
		s.witnesses.all = append(s.witnesses.all, askedWitness{Witness: w})
	}
	if len(s.opt.Witnesses) > 0 {
		s.every(run, witnessEvery, func() { s.askWitnesses(run) })
	}
	if len(s.opt.Lists) > 0 {
		s.every(run, listEvery, func() { s.askWithdrawn(run) })
	}
	if len(s.opt.Sites) > 0 {
		s.every(run, siteEvery, func() { s.askSites(run) })
	}
	if s.opt.Ledger != nil { // what others ordered is served too
		s.every(run, followEvery, func() {
			if err := s.opt.Ledger.Follow(run); err != nil && run.Err() == nil {
				s.log.Error("order", "cause", err.Error())
			}
			if s.cosign != nil {
				awake(s.cosign.wake)
			}
		})
		if of, is := s.opt.Ledger.(stated); is {
			s.every(run, followEvery, func() { s.askOrder(run, of) })
		}
	}
	if s.cosign != nil {
		s.cosign.run(run, &s.ended)
		if s.opt.Sign != nil {
			s.every(run, mendEvery, s.mending(run))
		}
	}
}

// joinNodes makes the node one of several, if the ledger has several.
func (s *Server) joinNodes(ctx context.Context) error {
	doc, err := s.folder.Genesis(ctx)
	if err != nil {
		return err
	}
	config, err := contract.ParseConfig(doc)
	if err != nil {
		return err
	}
	if most := len(config.Nodes) - int(config.Threshold); s.opt.Gone < 0 || s.opt.Gone > most {
		return ErrGone.With("gone", s.opt.Gone, "most", most)
	}
	if len(config.Nodes) == 1 {
		return nil
	}
	me := slices.Index(config.Nodes, s.folder.Node())
	if me < 0 {
		return folder.ErrNotNamed
	}
	c, err := newCosigner(s.folder.ID(), config, me, s.folder, s.folder.Properties().Reach)
	if err != nil {
		return err
	}
	c.own, c.clock, c.say, c.gone = s.head, s.opt.Clock, s.log, s.opt.Gone
	c.follow = func(ctx context.Context) error {
		if s.opt.Ledger == nil {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, followTime)
		defer cancel()
		return s.opt.Ledger.Follow(ctx)
	}
	c.add(s.opt.Peers)
	s.cosign, s.timed.time = c, c.most.Time // no earlier time follows it
	s.folder.SureOf(c.sure)
	return nil
}

// thenSign has signed what was ordered.
func thenSign(c *cosigner, order func(context.Context, []contract.Entry) ([]ledgerclient.Outcome, error)) func(context.Context, []contract.Entry) ([]ledgerclient.Outcome, error) {
	return func(ctx context.Context, entries []contract.Entry) ([]ledgerclient.Outcome, error) {
		defer awake(c.wake)
		return order(ctx, entries)
	}
}

// look judges the clock anew.
func (s *Server) look(ctx context.Context) error {
	last, err := s.folder.CheckClock(ctx)
	var idle contract.Hour
	if e, ok := fault.As(err, folder.ErrClock); ok {
		idle = fault.Get[contract.Hour](e, "now") - last
	} else if err != nil {
		return err
	}
	return s.clock.look(ctx, last, idle)
}

// How often the node looks after itself.
const (
	lookEvery   = 30 * time.Second
	sweepEvery  = 10 * time.Minute
	followEvery = 5 * time.Second // the order, where it is kept elsewhere
)

// every does something now, and again and again until ctx ends.
func (s *Server) every(ctx context.Context, pause time.Duration, do func()) {
	s.ended.Go(func() {
		defer crash.Report()
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for ctx.Err() == nil {
			do()
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
}

// Sweep drops and erases what is due, destroys shares whose time is over. The
// server does it by itself; while the clock is off nothing is swept.
func (s *Server) Sweep(ctx context.Context) error {
	s.sweep.Lock()
	defer s.sweep.Unlock()
	if s.clock.off() != nil {
		return nil
	}
	err := s.sweeper.Sweep(ctx)
	if err != nil && ctx.Err() == nil {
		s.log.Error("sweep", "cause", cause(err))
		s.metrics.count(1, `carekey_failures_total{what="sweep"}`)
	}
	return err
}

// Close ends what the server does by itself: uploads that are open are dropped,
// requests that come now are told that the node is closing, those under way go on
// to their end, which http.Server.Shutdown waits for.
func (s *Server) Close() {
	if s.closing.Swap(true) {
		return
	}
	s.uploads.close()
	s.puts.close()
	s.orders.close() // what was submitted before is ordered and answered
	s.stops.close()
	s.stopper.close()
	s.cancel()
	s.ended.Wait()
}

// HTTPServer returns the server to listen with, its time-outs and limits set. The
// caller sets TLSConfig and serves.
func (s *Server) HTTPServer() *http.Server {
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		ConnState:         s.connState,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 32, SendPingTimeout: 30 * time.Second},
		ErrorLog:          log.New(complaints{s.metrics}, "", 0),
	}
}

// complaints counts what http.Server complains about: its lines name addresses.
type complaints struct{ m *metrics }

func (c complaints) Write(line []byte) (int, error) {
	c.m.count(1, `carekey_failures_total{what="connection"}`)
	return len(line), nil
}
