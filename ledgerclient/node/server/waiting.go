package server

import (
	"context"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/node"
)

// Who waits for the signatures of the others, and what may be released under them.

// signPatience is how long somebody waits until enough nodes have signed what was
// ordered.
const signPatience = 5 * time.Second

// MissingAfter is how old what a node signed last is when it is missing.
const MissingAfter = 3 * node.CosignEvery

// signed is the largest head that enough nodes have signed; of size 0 if there is none yet.
func (c *cosigner) signed() ledgerclient.Head { return *c.joint.Load() }

// sure is how many leaves are under a head that enough nodes have signed, not long ago.
func (c *cosigner) sure() uint64 {
	head := c.signed()
	if head.Size == 0 || c.clock().Sub(head.Time).Abs() > ledgerclient.KeeperBound {
		return 0
	}
	return head.Size
}

// wait waits until enough nodes have signed a head of at least that size, and reports
// whether they have. It does not wait for those who are not there.
func (c *cosigner) wait(ctx context.Context, size uint64) bool {
	c.mu.Lock()
	over := time.NewTimer(c.patience)
	c.mu.Unlock()
	defer over.Stop()
	for {
		c.mu.Lock()
		there, hope, changed := c.signed().Size >= size, c.hope(), c.changed
		c.mu.Unlock()
		if there || !hope {
			return there
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		case <-over.C:
			return false
		}
	}
}

// hope reports whether there are enough nodes to wait for.
func (c *cosigner) hope() bool {
	up, heard := 1, 1
	for _, p := range c.peers {
		if !p.down {
			up++
		}
	}
	now := c.clock()
	for _, o := range c.others {
		if !o.missing(now) {
			heard++
		}
	}
	return max(up, heard) >= int(c.config.Threshold)
}

func (o *other) missing(now time.Time) bool {
	return o.heard.IsZero() || now.Sub(o.heard) > MissingAfter
}

// tell lets those look again who wait.
func (c *cosigner) tell() {
	close(c.changed)
	c.changed = make(chan struct{})
}
