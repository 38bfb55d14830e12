package server

import (
	"context"
	"fmt"
	"log/slog"
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
)

// A head of a ledger with several nodes is one that enough of them have signed. Each node
// signs what it has derived itself, shows it to the others, and shows wallets what enough
// have signed (PROTOCOL.md, "Among nodes"). For these signatures it holds, also across a
// restart: **of two heads a node never signs the smaller one with a later time.** So
// nothing that was under the signatures of enough nodes is ever missing under newer ones.

const (
	// maxFruitless is how often the order is read in vain for a node that says that there
	// is more, and chaseEvery how often at most for all of them.
	maxFruitless = 50
	chaseEvery   = 100 * time.Millisecond
)

// cosigner signs heads together with the other nodes.
type cosigner struct {
	id     crypto.LedgerID
	config contract.Config
	me     int // of the nodes in config
	// own signs the newest head as of now, follow reads what the order has.
	own    func(context.Context) ([]byte, error)
	follow func(context.Context) error
	log    signedLog
	file   signedFile
	clock  func() time.Time
	say    *slog.Logger
	peers  []*peer
	wake   chan struct{} // full: there is something to sign, or to follow

	// most is the largest head that was ever signed, its time the latest. For keep alone, as
	// lost: what was signed is not known, and others are heard first, see heard.
	most ledgerclient.Head
	lost bool
	// gone is how many of the others are gone for good, see heard.
	gone int
	// told is what was complained of last; "": nothing since all went well. For step alone.
	told string
	// off is whose clock was said to be off. For tellClocks alone.
	off map[int]bool
	// joint is the largest head that enough have signed; of size 0: none yet. It is written
	// under mu and read without: a keeper asks for it under the lock of its folder, for which
	// somebody with mu may be waiting.
	joint atomic.Pointer[ledgerclient.Head]

	mu       sync.Mutex
	patience time.Duration // signPatience, but in tests
	passed   []passedHead  // signed since the start, smallest first
	newest   []byte        // the last of them, as it was signed last
	others   []*other      // by their number in config
	goal     uint64        // the size that signatures are collected for, see aim
	since    time.Time     // it is the goal
	changed  chan struct{} // closed when joint, or whom there is to wait for, changes
}

// signedLog is the log of a folder.
type signedLog interface {
	CheckpointOf(ctx context.Context, size uint64, at time.Time) ([]byte, error)
	RootOf(ctx context.Context, size uint64) (crypto.Hash, error)
}

func newCosigner(id crypto.LedgerID, config contract.Config, me int, log signedLog, dir string) (*cosigner, error) {
	c := &cosigner{
		id: id, config: config, me: me, log: log, file: newSignedFile(dir), clock: time.Now, say: slog.New(slog.DiscardHandler),
		patience: signPatience, wake: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	c.joint.Store(&ledgerclient.Head{})
	for range config.Nodes {
		c.others = append(c.others, &other{})
	}
	var err error
	c.most, err = c.file.read(c)
	c.lost = c.most.Size == 0
	return c, err
}

// ErrUnsure: the node does not know what it has signed before, since its folder came from a backup,
// and has not heard yet from enough of the others, or they are ahead. heard, need
const ErrUnsure fault.Code = "signed-unknown"

// ErrGone: more nodes are said to be gone than can be missing. gone, most
const ErrGone fault.Code = "too-many-gone"

// heard reports, as an error, that a node that does not know what it has signed must not sign
// a head of that size yet. Of a head under its signature and those of enough others each of
// these has signed one that is as large, and does not forget it: it hears from so many that,
// also if those lie that may, one of them is among these, and signs nothing smaller than
// what they show. With each that is gone for good one less may lie.
func (c *cosigner) heard(size uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	mayLie := len(c.others) - int(c.config.Threshold)
	need := min(2*mayLie+1, len(c.others)-1) - c.gone
	heard, most := 0, uint64(0)
	for i, o := range c.others {
		if n := o.newestSize(); i != c.me && n > 0 {
			heard, most = heard+1, max(most, n)
		}
	}
	if heard < need || size < most {
		return ErrUnsure.With("heard", heard, "need", need)
	}
	return nil
}

// Founded signs the first head of a ledger for a node of it that was just made: it has signed
// nothing before. It is for a ledger of several nodes.
func Founded(ctx context.Context, f *folder.Folder, at time.Time) error {
	raw, err := f.CheckpointAt(ctx, at)
	if err != nil {
		return err
	}
	return newSignedFile(f.Properties().Reach).write(raw)
}

// run signs and shows, until ctx ends. It returns at once; ended is told when it is over.
func (c *cosigner) run(ctx context.Context, ended *sync.WaitGroup) {
	for _, p := range c.peers {
		ended.Go(func() {
			defer crash.Report()
			c.showing(ctx, p)
		})
	}
	ended.Go(func() {
		defer crash.Report()
		tick := time.NewTicker(node.CosignEvery)
		defer tick.Stop()
		var chase <-chan time.Time // nil: the order may be read for others
		for ctx.Err() == nil {
			if pause := c.step(ctx, chase == nil); pause > 0 && chase == nil {
				chase = time.After(pause)
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			case <-chase:
				chase = nil
			case <-c.wake:
			}
		}
	})
}

// step follows the order if others are ahead, and it may, signs the newest head, and has it
// shown. If others are ahead still, it returns how long the order is to be left alone.
func (c *cosigner) step(ctx context.Context, chase bool) (pause time.Duration) {
	before, behind := c.behind()
	follow := behind && chase
	what, wrong := "order", error(nil)
	if follow {
		if wrong = c.follow(ctx); wrong != nil {
			follow, pause = false, followTime
		}
	}
	if _, err := c.own(ctx); err != nil {
		what, wrong = "signing", err
	} else if follow {
		c.credit(before)
	}
	c.complain(ctx, what, wrong)
	if _, behind = c.behind(); behind {
		pause = max(pause, chaseEvery)
	}
	c.showAll()
	return pause
}

// complain says what went wrong, once: others may have this node try many times a second.
func (c *cosigner) complain(ctx context.Context, what string, err error) {
	text := ""
	if err != nil {
		text = what + ": " + cause(err)
	}
	if text != "" && text != c.told && ctx.Err() == nil {
		c.say.Error(what, "cause", cause(err))
	}
	c.told = text
}

// behind reports whether others, who may be believed in this, have signed more than this
// node, which has signed that many.
func (c *cosigner) behind() (size uint64, behind bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mySize(), slices.ContainsFunc(c.others, func(o *other) bool { return o.newestSize() > c.mySize() && o.fruitless < maxFruitless })
}

// credit notes whether the order had more than before. Who says so and is wrong has it
// followed no more, until it has.
func (c *cosigner) credit(before uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.others {
		if c.mySize() > before || o.newestSize() <= c.mySize() {
			o.fruitless = 0
		} else {
			o.fruitless++
		}
	}
}

// gauges are what is so now. Nodes are named by their number in the configuration, from 1.
func (c *cosigner) gauges(now map[string]float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.clock()
	missing, forked := 0, 0
	for i, o := range c.others {
		if i == c.me {
			continue
		}
		if o.missing(at) {
			missing++
		}
		if o.forked {
			forked++
		}
		now[fmt.Sprintf(`carekey_node_entries{node="%d"}`, i+1)] = float64(o.newestSize())
	}
	now["carekey_nodes"], now["carekey_nodes_needed"] = float64(len(c.others)), float64(c.config.Threshold)
	now["carekey_nodes_missing"], now["carekey_nodes_forked"] = float64(missing), float64(forked)
	joint := c.signed()
	now["carekey_signed_entries"] = float64(joint.Size)
	if !joint.Time.IsZero() {
		now["carekey_signed_age_seconds"] = at.Sub(joint.Time).Seconds()
	}
}
