package node

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// Options are how a node is spoken to.
type Options struct {
	// Genesis is the ledger's first configuration document, if it is at hand: then
	// Dial asks the node nothing.
	Genesis []byte
	// Later are the configurations that followed it, as far as they are known, see
	// ledgerclient.Client.Documents: the nodes of the last one are those that [Reach] reaches.
	Later [][]byte
	// Sites are those that Keep was given before, for [Reach].
	Sites []byte
	// Keep keeps sites; with an error it is tried again before the connections end. nil:
	// nobody does.
	Keep func(sites []byte) error
	// Wait is how long the node may take to begin an answer; 0 is 30 seconds. Once it
	// has begun, an answer may take that long and a second for every 16 KiB.
	Wait time.Duration
}

// Node is a ledger with its store and its keeper, at a server. Its methods are
// safe for concurrent use.
type Node struct {
	wire    *wire
	id      crypto.LedgerID
	place   string
	genesis []byte
	config  *contract.Config
	self    [32]byte                                       // its key for checkpoints
	others  func(size uint64) (root tlog.Hash, known bool) // heads that other nodes have shown; nil: there are none

	mu    sync.Mutex
	heads []seen // newest last: the heads that the node showed, as many as matter
	ahead ahead
	tiles kept

	alone atomic.Bool // the node knows no bulk requests
}

// Dial prepares to speak with the node of an invitation and checks that what it
// serves is the ledger of the invitation. A node that cannot be reached is an
// *ledgerclient.UnreachableError, another ledger an [ledgerclient.ErrForeign],
// and one whose configuration is not as the invitation says an
// *ledgerclient.TamperedError.
func Dial(ctx context.Context, inv Invitation, opt Options) (*Node, error) {
	if !inv.Valid() {
		return nil, ErrInvitation.With("fault", crypto.FaultMalformed)
	}
	n := &Node{wire: newWire(&inv, opt.Wait), id: inv.Ledger, place: inv.Place(), genesis: opt.Genesis, self: inv.Node}
	if n.genesis == nil {
		var err error
		if n.genesis, err = n.wire.ask(ctx, question{service: ofLedger, path: PathGenesis, reads: true, limit: MaxDocument}); err != nil {
			return nil, err
		}
	}
	config, err := contract.ParseConfig(n.genesis)
	if err != nil {
		return nil, &ledgerclient.TamperedError{What: "configuration document", Err: err}
	}
	if got := contract.LedgerID(n.genesis); got != inv.Ledger {
		return nil, ledgerclient.ErrForeign.With("want", inv.Ledger, "got", got)
	}
	if !slices.ContainsFunc(config.Nodes, func(n contract.Node) bool { return n.Checkpoint == inv.Node }) || config.Name != inv.Name {
		return nil, &ledgerclient.TamperedError{What: "configuration document", Err: fmt.Errorf("its name or its key is not that of the invitation")}
	}
	n.config = &config
	return n, nil
}

// Close ends the connections.
func (n *Node) Close() error {
	n.wire.http.CloseIdleConnections()
	return nil
}

// Away returns the properties of a node that Dial did not reach.
func Away(inv Invitation) ledgerclient.Properties { return properties(inv.URLs[0], 1) }

func properties(url string, operators int) ledgerclient.Properties {
	return ledgerclient.Properties{
		Gate: ledgerclient.Enforced, Reach: url, Clock: "node", Remote: true, Operators: operators, Freshness: HeadAge,
	}
}

// Services are the node's three services, and the links that it keeps. Which of several
// keepers is at this node only that keeper could say: then none is among them, and no links.
// A share that is handed to another's node is known there.
func (n *Node) Services() ledgerclient.Services {
	s := ledgerclient.Services{Ledger: ledger{n}, Store: store{n}, Place: n.place}
	if keys := n.config.Keepers; len(keys) == 1 {
		s.Keepers, s.Links = []ledgerclient.Keeper{keeper{n, keys[0]}}, links{n}
	}
	return s
}

// The names of the services in errors.
const (
	ofLedger = "ledger"
	ofStore  = "store"
	ofKeeper = "keeper"
)
