package server

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/node"
)

// How nodes show each other what they have signed.

const (
	// retryEvery is how soon a peer that gave no answer is shown the same again.
	retryEvery = time.Second
	// goalTime is how long a node that is not missing may take to follow the order, and more.
	goalTime = 10 * time.Second
)

// Peer is another node of the ledger.
type Peer interface {
	// Cosign shows it a signed head, and returns the note in which it has signed the head
	// of that size; *ledgerclient.RangeError if it has not, or does not remember.
	Cosign(ctx context.Context, note []byte) ([]byte, error)
	// Signed returns the note in which it has signed its newest head.
	Signed(ctx context.Context) ([]byte, error)
}

var _ Peer = (*node.Peer)(nil)

// peer is another node as this one reaches it.
type peer struct {
	Peer
	number int // in the settings, from 1
	wake   chan struct{}
	shown  [2][]byte // what it has signed too: what was aimed at, the newest; for show
	asked  bool      // it has said what it signed, to a node that has signed nothing; for show
	down   bool      // it gave no answer, or a wrong one; under cosigner.mu
}

func (c *cosigner) add(peers []Peer) {
	for _, p := range peers {
		c.peers = append(c.peers, &peer{Peer: p, number: len(c.peers) + 1, wake: make(chan struct{}, 1)})
	}
}

// awake says that there is something to do. It never waits.
func awake(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

func (c *cosigner) showAll() {
	for _, p := range c.peers {
		awake(p.wake)
	}
}

// aim is the note of the head that this node collects signatures for. That stays the same
// until enough have signed it, or cannot any more since they began anew: others are behind,
// and who moved on with every entry would find no two of them at one place.
func (c *cosigner) aim(ctx context.Context) ([]byte, error) {
	if now := c.clock(); c.goal <= c.signed().Size || now.Sub(c.since).Abs() > goalTime {
		c.goal, c.since = c.mySize(), now
	}
	return c.mine(ctx, c.goal)
}

// showing shows a peer what there is whenever something is new, and again after a pause
// where it gave no answer.
func (c *cosigner) showing(ctx context.Context, p *peer) {
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-again:
		}
		again = nil
		if !c.show(ctx, p) {
			again = time.After(retryEvery)
		}
	}
}

// show shows a peer the head that signatures are collected for, and the newest, unless the
// peer has signed them too, and takes in what it says. It reports whether the peer gave
// answers that are some, and is for one at a time. A node that has nothing to show, since it
// must hear first what it signed before, asks.
func (c *cosigner) show(ctx context.Context, p *peer) bool {
	c.mu.Lock()
	aim, err := c.aim(ctx)
	newest := c.newest
	c.mu.Unlock()
	if newest == nil && !p.asked {
		raw, err := p.Signed(ctx)
		if err == nil {
			_, err = c.take(ctx, raw)
		}
		p.asked = c.answered(ctx, p, err)
		return p.asked
	}
	there := err != nil || c.showOne(ctx, p, &p.shown[0], aim)
	if newest != nil && !bytes.Equal(newest, aim) {
		there = c.showOne(ctx, p, &p.shown[1], newest) && there
	}
	return there
}

func (c *cosigner) showOne(ctx context.Context, p *peer, shown *[]byte, raw []byte) bool {
	if bytes.Equal(raw, *shown) {
		return true
	}
	answer, err := p.Cosign(ctx, raw)
	if err == nil {
		if _, err = c.take(ctx, answer); err == nil {
			*shown = raw
		}
	}
	return c.answered(ctx, p, err)
}

// answered notes whether a peer gave an answer that is one.
func (c *cosigner) answered(ctx context.Context, p *peer, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if _, behind := errors.AsType[*ledgerclient.RangeError](err); behind {
		err = nil // it shows what it has signed when it has
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if down := err != nil; down != p.down {
		p.down = down
		c.tell()
		if down {
			c.say.Warn("a peer gives no answer that is one", "peer", p.number, "cause", cause(err))
		} else {
			c.say.Info("a peer answers again", "peer", p.number)
		}
	}
	return err == nil
}
