package server

import (
	"bytes"
	"cmp"
	"context"
	"errors"
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

// Peer is another node of the ledger.
type Peer interface {
	// Cosign shows it a signed head, and returns the note in which it has signed the head
	// of that size; *ledgerclient.RangeError if it has not, or does not remember.
	Cosign(ctx context.Context, note []byte) ([]byte, error)
	// Signed returns the note in which it has signed its newest head.
	Signed(ctx context.Context) ([]byte, error)
}

var _ Peer = (*node.Peer)(nil)

const (
	// maxHeads is how many heads are remembered, those that this node has signed and of
	// each other those that it has. Who has moved on signs what it has passed all the same.
	maxHeads = 256
	// maxFruitless is how often the order is read in vain for a node that says that there
	// is more, and chaseEvery how often at most for all of them.
	maxFruitless = 50
	chaseEvery   = 100 * time.Millisecond
	// retryEvery is how soon a peer that gave no answer is shown the same again.
	retryEvery = time.Second
	// signPatience is how long somebody waits until enough nodes have signed what was
	// ordered.
	signPatience = 5 * time.Second
	// goalTime is how long a node that is not missing may take to follow the order, and more.
	goalTime = 10 * time.Second
)

// MissingAfter is how old what a node signed last is when it is missing.
const MissingAfter = 3 * node.CosignEvery

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
	// told is what was complained of last; "": nothing since all went well. For step alone.
	told string
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

// passedHead is a head that this node signed, and the time that it signed last.
type passedHead struct {
	size uint64
	at   time.Time
}

// other is what is known of another node.
type other struct {
	heads     []shownHead // what it has signed, smallest first; of this history, as far as that is known
	heard     time.Time   // when something new came of it; zero: never
	forked    bool        // it has signed another history
	fruitless int         // how often the order did not have what it says
}

// shownHead is a head with the signatures of a node.
type shownHead struct {
	ledgerclient.Signatures
	time time.Time // of the node
}

// peer is another node as this one reaches it.
type peer struct {
	Peer
	number int // in the settings, from 1
	wake   chan struct{}
	shown  [2][]byte // what it has signed too: what was aimed at, the newest; for show
	asked  bool      // it has said what it signed, to a node that has signed nothing; for show
	down   bool      // it gave no answer, or a wrong one; under cosigner.mu
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

// heard reports, as an error, that a node that does not know what it has signed must not sign
// a head of that size yet. Of a head under its signature and those of enough others each of
// these has signed one that is as large, and does not forget it: it hears from so many that,
// also if those lie that may, one of them is among these, and signs nothing smaller than
// what they show.
func (c *cosigner) heard(size uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	mayLie := len(c.others) - int(c.config.Threshold)
	need := min(2*mayLie+1, len(c.others)-1)
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

func (c *cosigner) add(peers []Peer) {
	for _, p := range peers {
		c.peers = append(c.peers, &peer{Peer: p, number: len(c.peers) + 1, wake: make(chan struct{}, 1)})
	}
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

// awake says that there is something to do. It never waits.
func awake(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
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

func (c *cosigner) showAll() {
	for _, p := range c.peers {
		awake(p.wake)
	}
}

// mySize is that of the largest head that this node has signed since the start.
func (c *cosigner) mySize() uint64 {
	if n := len(c.passed); n > 0 {
		return c.passed[n-1].size
	}
	return 0
}

// newestSize is that of the largest head that a node has shown.
func (o *other) newestSize() uint64 {
	if n := len(o.heads); n > 0 {
		return o.heads[n-1].Head.Size
	}
	return 0
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

// tell lets those look again who wait.
func (c *cosigner) tell() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// signed is the largest head that enough nodes have signed; of size 0 if there is none yet.
func (c *cosigner) signed() ledgerclient.Head { return *c.joint.Load() }

// sureFor is how old the time of a head may be by which a share is released.
const sureFor = 3 * time.Minute

// sure is how many leaves are under a head that enough nodes have signed, not long ago.
func (c *cosigner) sure() uint64 {
	head := c.signed()
	if head.Size == 0 || c.clock().Sub(head.Time).Abs() > sureFor {
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
