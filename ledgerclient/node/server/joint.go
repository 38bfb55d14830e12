package server

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
)

// What this node has signed and the others have, and the largest head that it makes together.

// maxHeads is how many heads are remembered, those that this node has signed and of
// each other those that it has. Who has moved on signs what it has passed all the same.
const maxHeads = 256

// passedHead is a head that this node signed, and the time that it signed last.
type passedHead struct {
	size uint64
	at   time.Time
}

// shownHead is a head with the signatures of a node.
type shownHead struct {
	ledgerclient.Signatures
	time time.Time // of the node
}

// other is what is known of another node.
type other struct {
	heads     []shownHead // what it has signed, smallest first; of this history, as far as that is known
	lags      lags
	heard     time.Time // when something new came of it; zero: never
	forked    bool      // it has signed another history
	fruitless int       // how often the order did not have what it says
}

// newestSize is that of the largest head that a node has shown.
func (o *other) newestSize() uint64 {
	if n := len(o.heads); n > 0 {
		return o.heads[n-1].Head.Size
	}
	return 0
}

// take takes in a head that the node has signed. added reports whether it is new, or its
// time is; twofold whether there was another one of that size.
func (o *other) take(h shownHead) (added, twofold bool) {
	i, found := slices.BinarySearchFunc(o.heads, h.Head.Size, func(s shownHead, size uint64) int { return cmp.Compare(s.Head.Size, size) })
	switch {
	case found && o.heads[i].Head.Root != h.Head.Root:
		return false, true
	case found:
		if added = h.time.After(o.heads[i].time); added {
			o.heads[i] = h
		}
		return added, false
	case i == 0 && len(o.heads) == maxHeads:
		return false, false // forgotten
	}
	if o.heads = slices.Insert(o.heads, i, h); len(o.heads) > maxHeads {
		o.heads = slices.Delete(o.heads, 0, 1)
	}
	return true, false
}

// mySize is that of the largest head that this node has signed since the start.
func (c *cosigner) mySize() uint64 {
	if n := len(c.passed); n > 0 {
		return c.passed[n-1].size
	}
	return 0
}

// keep takes down the newest head in the note that this node has signed as of a time, and
// is about to show. An error says that it must not. It is for one at a time.
func (c *cosigner) keep(ctx context.Context, raw []byte, at time.Time) error {
	head, err := ledgerclient.Unverified(raw)
	if err != nil {
		return err
	}
	damaged := &folder.DamagedError{File: "checkpoint", Entry: folder.NoEntry}
	if damaged.What = "older than one that was signed"; head.Size < c.most.Size {
		return damaged
	}
	if c.most.Size > 0 {
		root, err := c.log.RootOf(ctx, c.most.Size)
		if err != nil {
			return err
		}
		if damaged.What = "of another history than one that was signed"; root != c.most.Root {
			return damaged
		}
	}
	if c.lost {
		if err := c.heard(head.Size); err != nil {
			return err
		}
	}
	if head.Size > c.most.Size || at.After(c.most.Time) {
		if err := c.file.write(raw); err != nil {
			return err
		}
		c.most, c.most.Time, c.lost = head, at, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.reached(ctx, head.Size); err != nil {
		return err
	}
	if head.Size == c.mySize() {
		c.passed[len(c.passed)-1].at = at
	} else {
		c.passed = append(c.passed[max(0, len(c.passed)-maxHeads+1):], passedHead{head.Size, at})
	}
	c.newest = raw
	c.join(ctx)
	return nil
}

// reached compares with the log what others have signed of the sizes that this node is about
// to sign up to, and has not signed yet.
func (c *cosigner) reached(ctx context.Context, size uint64) (err error) {
	for i, o := range c.others {
		o.heads = slices.DeleteFunc(o.heads, func(h shownHead) bool {
			if err != nil || h.Head.Size <= c.mySize() || h.Head.Size > size {
				return false
			}
			root, e := c.log.RootOf(ctx, h.Head.Size)
			if err = e; e != nil || root == h.Head.Root {
				return false
			}
			c.accuse(i, h.Head.Size)
			return true
		})
	}
	return err
}

// mine is the note in which this node has signed the head of a size. What it passed
// without stopping it signs as of the time at which it last signed less: that there was no
// more then is true, and no larger head has an earlier time.
func (c *cosigner) mine(ctx context.Context, size uint64) ([]byte, error) {
	i, found := slices.BinarySearchFunc(c.passed, size, func(p passedHead, size uint64) int { return cmp.Compare(p.size, size) })
	if i == len(c.passed) || i == 0 && !found {
		return nil, &ledgerclient.RangeError{From: size, To: size, Size: c.mySize()}
	}
	if found && i == len(c.passed)-1 {
		return c.newest, nil
	}
	at := c.passed[i].at
	if before := c.passed[max(0, i-1)].at; !found && before.Before(at) {
		at = before
	}
	return c.log.CheckpointOf(ctx, size, at)
}

// take takes in a note with signatures of others, and returns this node's of that size. The
// error is a *ledgerclient.RangeError if there is none; the note is taken in all the same.
func (c *cosigner) take(ctx context.Context, raw []byte) (mine []byte, err error) {
	s, err := ledgerclient.OpenNote(c.id, c.config.Nodes, raw)
	if err != nil {
		return nil, refuse(node.KindMalformed)
	}
	var by []int
	for i, signed := range s.By {
		if i != c.me && signed.Plain && !signed.Time.IsZero() {
			by = append(by, i)
		}
	}
	if len(by) == 0 {
		return nil, refuse(node.KindMalformed)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	astray := false // it is not of this history, and under nothing that is shown
	if size := s.Head.Size; size <= c.mySize() {
		root, err := c.log.RootOf(ctx, size)
		if err != nil {
			return nil, err
		}
		astray = root != s.Head.Root
	}
	news := false
	for _, i := range by {
		added, twofold := false, false
		if !astray {
			// Without the lines of the others, which can be many times as much to remember.
			added, twofold = c.others[i].take(shownHead{s.Of(i), s.By[i].Time})
		}
		if added {
			news, c.others[i].heard = true, c.clock()
			c.others[i].lags.take(s.By[i].Time, c.others[i].heard)
		}
		if astray || twofold {
			c.accuse(i, s.Head.Size)
		}
	}
	if news {
		c.join(ctx)
		c.showAll() // who was behind may be no more
	}
	if s.Head.Size > c.mySize() {
		awake(c.wake)
	}
	return c.mine(ctx, s.Head.Size)
}

// accuse says that a node has signed what cannot be of one history. What it signs of this
// one still counts.
func (c *cosigner) accuse(node int, size uint64) {
	if o := c.others[node]; !o.forked {
		o.forked = true
		c.say.Error("a node has signed another history than this one's, or two", "node", node+1, "entries", size)
	}
}

// join finds the largest head that enough nodes have signed, this one among them.
func (c *cosigner) join(ctx context.Context) {
	joint := c.signed()
	of := map[uint64][]shownHead{}
	for _, o := range c.others {
		for _, h := range slices.Backward(o.heads) {
			if h.Head.Size < joint.Size {
				break
			}
			if h.Head.Size <= c.mySize() {
				of[h.Head.Size] = append(of[h.Head.Size], h)
			}
		}
	}
	var sizes []uint64
	for size, heads := range of {
		if len(heads)+1 >= int(c.config.Threshold) {
			sizes = append(sizes, size)
		}
	}
	slices.Sort(sizes)
	for _, size := range slices.Backward(sizes) {
		head, err := c.joined(ctx, size, of[size])
		if err != nil {
			continue
		}
		if !bytes.Equal(head.Note, joint.Note) {
			c.joint.Store(&head)
			c.tell()
		}
		return
	}
}

// joined is the head of a size under the signatures of all who have signed it.
func (c *cosigner) joined(ctx context.Context, size uint64, shown []shownHead) (head ledgerclient.Head, err error) {
	raw, err := c.mine(ctx, size)
	if err != nil {
		return head, err
	}
	mine, err := ledgerclient.OpenNote(c.id, c.config.Nodes, raw)
	if err != nil {
		return head, err
	}
	var theirs []ledgerclient.Signatures
	for _, h := range shown {
		theirs = append(theirs, h.Signatures)
	}
	all, err := mine.With(theirs...)
	if err != nil {
		return head, err
	}
	return all.Under(c.config)
}
