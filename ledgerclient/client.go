package ledgerclient

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// Client reads one ledger and checks all it says. It is safe for concurrent use
// if the services are.
type Client struct {
	Services
	// AnyAge takes heads of any time: what is done does not depend on how new they are.
	AnyAge bool

	id     crypto.LedgerID
	mu     sync.Mutex // guards the slice, not what is in it
	terms  []term     // in the order in which they came into force
	passed passed
}

// passed are the last leaves that Advance went through to its head: who has read them asks
// for no proof of a head in between, which others saw and put into terms and accesses.
type passed struct {
	head   crypto.Hash     // the root there
	from   uint64          // position of the first of the leaves
	leaves []crypto.Hash   // their record hashes
	edges  [][]crypto.Hash // of the log before each passedStep of them
}

const (
	maxPassed  = 1 << 16 // leaves in a passed: 2 MiB
	passedStep = 256
)

// take notes the leaf that is added to the log of an edge.
func (p *passed) take(edge []crypto.Hash, leaf crypto.Hash) {
	if len(p.leaves)%passedStep == 0 {
		p.edges = append(p.edges, slices.Clone(edge))
	}
	p.leaves = append(p.leaves, leaf)
}

// root is that of the log at a size; false if the leaves up to there are not known.
func (p *passed) root(size uint64) (crypto.Hash, bool) {
	n := size - p.from
	if size < p.from || n > uint64(len(p.leaves)) || size == 0 || len(p.leaves) == 0 {
		return crypto.Hash{}, false
	}
	step := min(n/passedStep, uint64(len(p.edges)-1))
	edge := slices.Clone(p.edges[step])
	for i := step * passedStep; i < n; i++ {
		edge = add(edge, p.from+i, p.leaves[i])
	}
	return edgeRoot(edge), true
}

// Head is a verified signed head of the log.
type Head struct {
	Size uint64      `json:"size"` // entries
	Root crypto.Hash `json:"root"`
	Note []byte      `json:"-"` // the signed note it was read from, with the nodes' signatures
	// Time is when the nodes last signed that there is no larger head: the newest time that
	// as many of them as make a head have signed. Zero if the note does not tell.
	Time time.Time `json:"time,omitzero"`
}

// Connect reads the ledger's configuration: the first document, and those that
// followed if they are known already. Others are asked for when the log shows that there
// are more. want is the id it must have; the zero id accepts whatever ledger is there, which
// is right only when a wallet meets its ledger for the first time. Another ledger is a
// [ErrForeign].
func Connect(ctx context.Context, s Services, want crypto.LedgerID) (*Client, error) {
	if s.Known == nil {
		doc, err := s.Ledger.Genesis(ctx)
		if err != nil {
			return nil, err
		}
		s.Known = [][]byte{doc}
	}
	terms, err := readTerms(s.Known)
	if err != nil {
		return nil, err
	}
	id := terms[0].LedgerID()
	if want != (crypto.LedgerID{}) && id != want {
		return nil, ErrForeign.With("want", want, "got", id)
	}
	return &Client{Services: s, id: id, terms: terms}, nil
}

// ID is the ledger's id: the hash of its first configuration document.
func (c *Client) ID() crypto.LedgerID { return c.id }

// Genesis is the first configuration document itself; it must not be changed.
func (c *Client) Genesis() []byte { return c.Services.Known[0] }

// Documents are the configurations known now as they are shown: the genesis document, and
// a [Succession] of each later one. They must not be changed.
func (c *Client) Documents() (docs [][]byte) {
	for _, t := range c.known() {
		docs = append(docs, t.shown)
	}
	return docs
}

// Config is the ledger's newest configuration.
func (c *Client) Config() contract.Config {
	terms := c.known()
	return terms[len(terms)-1].Config
}

// Origin is the first line of the ledger's checkpoints and the name of the key
// that signs them.
func Origin(id crypto.LedgerID) string { return originPrefix + hex.EncodeToString(id[:]) }

const originPrefix = "carekey/v1/"

// Head fetches the newest checkpoint and verifies that enough nodes of the newest
// configuration have signed it, and its time where the ledger's heads carry one: a
// [ErrStale] if it is too far from the clock's. An [ErrTooFew] says nothing against the
// ledger, only against who gave this head.
func (c *Client) Head(ctx context.Context) (Head, error) {
	head, _, others, err := c.shown(ctx)
	if err == nil {
		err = c.begin(ctx, others, head)
	}
	if err != nil {
		return Head{}, err
	}
	return head, nil
}

// shown fetches the newest checkpoints, and returns the largest head, with all that its
// checkpoint has, and those of other nodes, which are to be its beginning: see begin.
func (c *Client) shown(ctx context.Context) (head Head, msg []byte, others []Head, err error) {
	take := func(note []byte) error {
		h, err := c.judged(ctx, note)
		switch {
		case err != nil:
			return err
		case msg == nil:
			head, msg = h, note
		case h.Size > head.Size || h.Size == head.Size && h.Time.After(head.Time):
			others, head, msg = append(others, head), h, note
		default:
			others = append(others, h)
		}
		return nil
	}
	if several, ok := c.Ledger.(Several); ok {
		want := 2
		if config := c.Config(); c.AnyAge { // no time says of one that others have no more: of so many one does not lie
			want = max(want, Liars(&config)+1)
		}
		err = several.Checkpoints(ctx, want, take)
	} else if note, nerr := c.Ledger.Checkpoint(ctx); nerr != nil {
		err = nerr
	} else {
		err = take(note)
	}
	return head, msg, others, err
}

// begin verifies that the heads that other nodes show are the beginning of the log under head.
func (c *Client) begin(ctx context.Context, others []Head, head Head) error {
	for _, o := range others {
		if err := c.CheckHead(ctx, o, head); err != nil {
			return err
		}
	}
	return nil
}

// judged verifies a checkpoint as the newest one, and its time.
func (c *Client) judged(ctx context.Context, msg []byte) (Head, error) {
	head, err := c.newest(msg)
	if err != nil {
		// The nodes may have changed since the configuration was read.
		more, rerr := c.refresh(ctx)
		if rerr != nil {
			return Head{}, rerr
		}
		if more {
			head, err = c.newest(msg)
		}
	}
	if err == nil {
		err = c.fresh(head, c.Ledger.Properties().Freshness)
	}
	return head, err
}

// ReadHead verifies a checkpoint that came by another way, for example inside
// the terms of a grant, by the configuration that was in force at its last entry. It may
// be of any age.
func (c *Client) ReadHead(msg []byte) (Head, error) {
	terms := c.known()
	s, err := OpenNote(c.id, allNodes(terms), msg)
	if err != nil {
		return Head{}, err
	}
	return s.Under(terms[at(terms, s.Head.Size)].Config)
}

// chunk is how many leaves are asked for at a time: about 1 MiB.
const chunk = 4096

// Advance goes from the pin to the ledger's newest head. It reads every leaf in
// between and gives each to visit, and returns the new pin once the leaves are
// shown to be exactly those under the signed head. What visit was given is not
// verified before that: it must change nothing for good until Advance has
// returned without an error. Where one of several nodes gave others it is given all of them
// again, from the first one on.
//
// known, if not zero, is a head that was verified before, at a size not below the
// pin's: the leaves must pass through it. It is for rescans from the beginning.
//
// Errors: *RollbackError if the head is older than the pin, *ForkError if the
// ledger contradicts what was verified before, *TamperedError if the leaves are
// not those of the head, and what visit returns.
func (c *Client) Advance(ctx context.Context, pin, known Pin, visit func(index uint64, leaf *contract.Leaf) error) (Pin, Head, error) {
	if !pin.valid() || (pin.Size > 0 && pin.Ledger != c.id) || (known.Size > 0 && (known.Ledger != c.id || known.Size < pin.Size)) {
		return Pin{}, Head{}, &TamperedError{What: "remembered head"}
	}
	if err := c.continues(ctx, pin); err != nil {
		return Pin{}, Head{}, err
	}
	if f, ok := c.Ledger.(Follower); ok {
		f.From(pin.Size)
	}
	head, msg, others, err := c.shown(ctx)
	if err != nil {
		return Pin{}, Head{}, err
	}
	terms := c.known()
	if pinned := max(pin.Size, known.Size, terms[len(terms)-1].handover.Size); head.Size < pinned {
		return Pin{}, Head{}, &RollbackError{Pinned: pinned, Head: head.Size}
	}
	if head.Size == pin.Size {
		if head.Root != pin.Root {
			return Pin{}, Head{}, c.historyError(ctx, pin.head(), head)
		}
		err := c.came(ctx, terms, pin.Configs, nil, head)
		if err == nil {
			err = c.begin(ctx, others, head)
		}
		if err != nil {
			return Pin{}, Head{}, err
		}
		pin.Note = head.Note
		return pin, head, nil
	}
	var w walk
	var next Pin
	for {
		w = walk{Client: c, head: head, known: known, way: passed{head: head.Root}, next: Pin{
			Ledger: c.id, Size: pin.Size, Hour: pin.Hour, Edge: append([]crypto.Hash(nil), pin.Edge...), Configs: pin.Configs}}
		err := c.eachLeaf(ctx, pin.Size, head.Size, func(index uint64, leaf *contract.Leaf) error { return w.step(ctx, index, leaf, visit) })
		if next = w.next; err == nil {
			if next.Root = edgeRoot(next.Edge); next.Root == head.Root {
				break
			}
			err = c.blame(ctx, pin, head)
			if _, forked := errors.AsType[*ForkError](err); forked { // whoever gives the leaves
				return Pin{}, Head{}, err
			}
		}
		if !c.elsewhere(err) {
			return Pin{}, Head{}, err
		}
	}
	if w.other {
		return Pin{}, Head{}, c.historyError(ctx, known.head(), head)
	}
	if err := c.came(ctx, terms, pin.Configs, w.changes, head); err != nil {
		return Pin{}, Head{}, err
	}
	if now := c.known(); len(now) > len(terms) { // the head was judged by one that is no longer in force
		if head, err = c.ReadHead(msg); err == nil {
			err = c.fresh(head, c.Ledger.Properties().Freshness)
		}
		if err != nil {
			return Pin{}, Head{}, err
		}
	}
	next.Note = head.Note
	if next.Configs > 0 {
		next.Config = c.known()[next.Configs].Commitment()
	}
	c.mu.Lock()
	c.passed = w.way
	c.mu.Unlock()
	if err := c.begin(ctx, others, head); err != nil {
		return Pin{}, Head{}, err
	}
	return next, head, nil
}

// elsewhere reports whether another node gives the leaves with which something does not verify.
func (c *Client) elsewhere(err error) bool {
	_, tampered := errors.AsType[*TamperedError](err)
	_, forked := errors.AsType[*ForkError](err)
	several, ok := c.Ledger.(Several)
	return ok && (tampered || forked) && several.Unlike(err)
}

// continues checks that the configurations which a pin counts are shown still.
func (c *Client) continues(ctx context.Context, pin Pin) error {
	if pin.Configs >= len(c.known()) {
		if _, err := c.refresh(ctx); err != nil {
			return err
		}
	}
	switch terms := c.known(); {
	case pin.Configs >= len(terms):
		return errFewerDocuments
	case pin.Configs > 0 && terms[pin.Configs].Commitment() != pin.Config:
		return c.conflict(ctx, pin.head(), terms[pin.Configs].handover)
	}
	return nil
}

// walk is the way from a pin to a head, leaf by leaf.
type walk struct {
	*Client
	head    Head
	known   Pin    // see Advance
	other   bool   // the leaves have not passed through it
	next    Pin    // what the leaves so far make of the pin; its root is not computed
	changes []Head // of the log behind each configuration entry on the way
	way     passed
}

// step takes the next leaf.
func (w *walk) step(ctx context.Context, index uint64, leaf *contract.Leaf, visit func(index uint64, leaf *contract.Leaf) error) error {
	if leaf.Hour < w.next.Hour {
		return &TamperedError{What: fmt.Sprintf("entry %d", index), Err: fmt.Errorf("ledger time goes backwards")}
	}
	changes := leaf.Entry.Kind == contract.KindConfig && index > 0
	if changes {
		w.next.Configs++
	}
	if changes || index == 0 {
		if err := w.checkConfig(ctx, w.next.Configs, &leaf.Entry); err != nil {
			return err
		}
	}
	raw := leaf.Marshal()
	hash := crypto.Hash(tlog.RecordHash(raw[:]))
	if w.head.Size-index <= maxPassed {
		if len(w.way.leaves) == 0 {
			w.way.from = index
		}
		w.way.take(w.next.Edge, hash)
	}
	w.next.Edge = add(w.next.Edge, index, hash)
	w.next.Hour = leaf.Hour
	if err := visit(index, leaf); err != nil {
		return err
	}
	w.next.Size++
	if changes {
		w.changes = append(w.changes, Head{Size: w.next.Size, Root: edgeRoot(w.next.Edge)})
	}
	if w.next.Size == w.known.Size && edgeRoot(w.next.Edge) != w.known.Root {
		w.other = true
	}
	return nil
}

// came compares the configurations that are shown with those that came into force under a
// head since a pin: changes are the heads of its log behind the entries of those. A
// handover is a head that enough nodes have signed, so that one of another history makes a
// *ForkError. terms are the configurations that were known when the head was asked for;
// what followed since may lie behind it.
func (c *Client) came(ctx context.Context, terms []term, pinned int, changes []Head, head Head) error {
	for i, t := range c.known()[1+pinned:] {
		switch shown := t.handover; {
		case i < len(changes) && shown.Size == changes[i].Size && shown.Root == changes[i].Root:
		case shown.Size <= head.Size:
			return c.historyError(ctx, shown, head)
		case 1+pinned+i < len(terms):
			return &RollbackError{Pinned: shown.Size, Head: head.Size}
		}
	}
	return nil
}

// eachLeaf reads the leaves [from, to) in order.
func (c *Client) eachLeaf(ctx context.Context, from, to uint64, visit func(index uint64, leaf *contract.Leaf) error) error {
	for at := from; at < to; {
		n := min(chunk, to-at)
		leaves, err := c.Ledger.Leaves(ctx, at, at+n)
		if err != nil {
			return err
		}
		if uint64(len(leaves)) != n {
			return &TamperedError{What: "leaves", Err: fmt.Errorf("%d of %d answered", len(leaves), n)}
		}
		for i := range leaves {
			if err := visit(at+uint64(i), &leaves[i]); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		at += n
	}
	return nil
}

// blame finds out why the leaves after the pin do not lead to the head: either
// the head is of another history, or the leaves are not the head's.
func (c *Client) blame(ctx context.Context, pin Pin, head Head) error {
	if pin.Size > 0 {
		if err := c.CheckHead(ctx, pin.head(), head); err != nil {
			return err
		}
	}
	return &TamperedError{What: fmt.Sprintf("entry from %d to %d", pin.Size, head.Size-1), Err: fmt.Errorf("not what the checkpoint was signed for")}
}

// CheckPrefix verifies that the log of that size and root is the beginning of the
// log under head: *RollbackError if head is older, *ForkError if it is another
// history, *TamperedError if the ledger's proof is wrong and its entries are not.
func (c *Client) CheckPrefix(ctx context.Context, size uint64, root crypto.Hash, head Head) error {
	return c.CheckHead(ctx, Head{Size: size, Root: root}, head)
}

// CheckHead is CheckPrefix for a head whose signed note is at hand, so that a
// *ForkError comes with its evidence.
func (c *Client) CheckHead(ctx context.Context, older, head Head) error {
	switch {
	case older.Size > head.Size:
		return &RollbackError{Pinned: older.Size, Head: head.Size}
	case older.Size == 0:
		return nil
	case older.Size == head.Size:
		if older.Root != head.Root {
			return c.historyError(ctx, older, head)
		}
		return nil
	}
	c.mu.Lock()
	root, known := c.passed.root(older.Size)
	known = known && c.passed.head == head.Root && root == older.Root
	c.mu.Unlock()
	if known {
		return nil
	}
	proof, err := c.Ledger.ProveConsistency(ctx, older.Size, head.Size)
	if err != nil {
		return err
	}
	if tlog.CheckTree(Hashes[tlog.Hash](proof), int64(head.Size), tlog.Hash(head.Root), int64(older.Size), tlog.Hash(older.Root)) != nil {
		return c.historyError(ctx, older, head)
	}
	return nil
}

// Hashes are the hashes of a proof as package tlog has them, or as all others do.
func Hashes[To, From ~[32]byte](hs []From) []To {
	out := make([]To, len(hs))
	for i, h := range hs {
		out[i] = To(h)
	}
	return out
}
