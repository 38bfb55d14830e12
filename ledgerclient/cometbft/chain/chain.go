// Package chain is what all members of a network decide alike: which envelopes are
// valid, which items they become, at which positions and at which hour. It is a pure
// function of the ledger's configuration document and of the blocks, so that the
// engine, which has every member sign what came of it, stops one that computes anything
// else. It verifies no entry: junk costs its readers a signature check, and has the name
// of the institution that sent it.
package chain

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/order"
	"golang.org/x/mod/sumdb/tlog"
)

// What all members together may have ordered in one hour. Each has an equal share, rounded
// up. A foreign grant costs every wallet of the ledger half a millisecond: 20,000 of them
// are ten seconds of each hour.
const (
	HourlyGrants  = 20_000  // entries whose second byte is that of a grant
	HourlyEntries = 200_000 // entries of all kinds
)

// Chain is a network of institutions that keep the order of one ledger.
type Chain struct {
	ledger          crypto.LedgerID
	nodes           [][32]byte // checkpoint keys, in the order of the document
	grants, entries uint32     // what each may have ordered in an hour
}

// New returns the network of a ledger with that configuration document. Errors:
// [contract.ErrConfig], [ledgerclient.ErrThreshold].
func New(genesis []byte) (*Chain, error) {
	config, err := contract.ParseConfig(genesis)
	if err != nil {
		return nil, err
	}
	if err := ledgerclient.CheckNodes(config); err != nil {
		return nil, err
	}
	c := &Chain{ledger: contract.LedgerID(genesis)}
	for _, n := range config.Nodes {
		c.nodes = append(c.nodes, n.Checkpoint)
	}
	n := uint32(len(c.nodes))
	c.grants, c.entries = (HourlyGrants+n-1)/n, (HourlyEntries+n-1)/n
	return c, nil
}

// Ledger is the id of the ledger.
func (c *Chain) Ledger() crypto.LedgerID { return c.ledger }

// Nodes are the checkpoint keys of the members, in the order of the document.
func (c *Chain) Nodes() [][32]byte { return slices.Clone(c.nodes) }

// Needed is how many members must be there for anything to be decided: more than two
// thirds.
func (c *Chain) Needed() int { return 2*len(c.nodes)/3 + 1 }

// Why an envelope is not valid. One that is not costs its sender nothing.
var (
	ErrLedger    = errors.New("an envelope for another ledger")
	ErrMember    = errors.New("an envelope of nobody who keeps this ledger")
	ErrSignature = errors.New("an envelope with a wrong signature")
	ErrNumber    = errors.New("a later envelope of this institution was decided already")
	ErrNothing   = errors.New("all of it is in the order already")
)

// QuotaError is what an institution is told that has used up its share of an hour.
type QuotaError struct {
	Share uint32
	Of    string // "grants", "entries"
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("this institution has had %d %s ordered in this hour, which is its share: the next hour brings another", e.Share, e.Of)
}

// Account is what the network remembers of one member.
type Account struct {
	Number  uint64 // of its last envelope; 0: it had none
	Grants  uint32 // that it had ordered in the hour State.Hour
	Entries uint32
}

// State is what all members have in common after a block. The zero value is no state:
// see Chain.Start.
type State struct {
	Height   uint64        // of the last block
	Hour     contract.Hour // of the last item
	Size     uint64        // how many items there are
	Accounts []Account     // of the members, in the order of the document
	// Edge are the roots of the whole subtrees of a tree of RFC 6962 over the items, from
	// left to right: one for each bit of Size that is set. See LeafHash.
	Edge []tlog.Hash
}

// Start is the state before the first block.
func (c *Chain) Start() State { return State{Accounts: make([]Account, len(c.nodes))} }

func (s *State) fields(c *codec.Codec) {
	version := uint8(1)
	codec.Int(c, &version)
	c.Check(version == 1)
	codec.Int(c, &s.Height)
	s.common(c)
}

// common is what the members agree upon with each block: all but the height, so that a
// block without envelopes changes nothing and no further one follows it.
func (s *State) common(c *codec.Codec) {
	codec.Int(c, &s.Hour)
	codec.Int(c, &s.Size)
	codec.Counted[uint8](c, &s.Accounts, contract.MaxNodes, func(c *codec.Codec, a *Account) {
		codec.Int(c, &a.Number)
		codec.Int(c, &a.Grants)
		codec.Int(c, &a.Entries)
	})
	codec.Counted[uint8](c, &s.Edge, 64, func(c *codec.Codec, h *tlog.Hash) { c.Bytes(h[:]) })
}

// Marshal returns the bytes of a state: version 1 (1), height 8, hour 4, size 8, number of
// members 1, of each its number 8, grants 4 and entries 4, number of hashes 1, and the
// hashes.
func (s *State) Marshal() []byte { return codec.Append(nil, s.fields) }

// ErrState: bytes are no state of this network.
var ErrState = errors.New("not a state of this network")

// ParseState reads the state that Marshal wrote.
func (c *Chain) ParseState(b []byte) (State, error) {
	var s State
	if codec.Parse(b, s.fields) != nil || len(s.Accounts) != len(c.nodes) || len(s.Edge) != bits.OnesCount64(s.Size) {
		return State{}, ErrState
	}
	return s, nil
}

// Hash is what the members sign with each block: the hash of carekey/v1/order-state, a
// byte 0, the root of RFC 6962 over the items, and of the bytes of the state what comes
// behind the height. The hashes at their end say no more than the root; it is there so that
// it can be computed by who has the items alone.
func (s *State) Hash() [32]byte {
	root := s.Root()
	return crypto.TaggedHash(crypto.TagOrderState, root[:], codec.Append(nil, s.common))
}

// LeafHash is that of an item in the tree: hour 4 ‖ entry 222 ‖ SHA-256 of the document, of
// no bytes where there is none.
func LeafHash(i *order.Item) tlog.Hash {
	h := uint32(i.Hour)
	b := []byte{byte(h >> 24), byte(h >> 16), byte(h >> 8), byte(h)}
	entry := i.Entry.Marshal()
	document := sha256.Sum256([]byte(i.Document))
	return tlog.RecordHash(slices.Concat(b, entry[:], document[:]))
}

// add puts an item at the end.
func (s *State) add(i *order.Item) {
	h := LeafHash(i)
	for bit := s.Size; bit&1 == 1; bit >>= 1 {
		last := len(s.Edge) - 1
		h = tlog.NodeHash(s.Edge[last], h)
		s.Edge = s.Edge[:last]
	}
	s.Edge = append(s.Edge, h)
	s.Size++
}

// Root is the root of the tree over all items.
func (s *State) Root() tlog.Hash {
	if len(s.Edge) == 0 {
		return sha256.Sum256(nil)
	}
	root := s.Edge[len(s.Edge)-1]
	for _, left := range slices.Backward(s.Edge[:len(s.Edge)-1]) {
		root = tlog.NodeHash(left, root)
	}
	return root
}

// Key is what an item is known by: SHA-256 of its entry, which commits to its document.
func Key(e *contract.Entry) [32]byte {
	b := e.Marshal()
	return sha256.Sum256(b[:])
}

// Ordered reports whether an entry with that Key is in the order.
type Ordered func(key [32]byte) (bool, error)

// Block is one that is being put together, or judged, on the state before it.
type Block struct {
	chain     *Chain
	state     State // with the accounts as of the envelopes so far
	ordered   Ordered
	height    uint64
	came      []order.Item
	keys      map[[32]byte]bool // of came
	envelopes int
}

// Begin begins the block of that height and time on a state.
func (c *Chain) Begin(s State, height uint64, at time.Time, ordered Ordered) *Block {
	s.Accounts = slices.Clone(s.Accounts)
	s.Edge = slices.Clone(s.Edge)
	if hour := hourOf(at); hour > s.Hour {
		s.Hour = hour
		for i := range s.Accounts {
			s.Accounts[i].Grants, s.Accounts[i].Entries = 0, 0
		}
	}
	return &Block{chain: c, state: s, ordered: ordered, height: height, keys: map[[32]byte]bool{}}
}

// hourOf is the hour of a block's time, which is the weighted median of its voters' clocks.
func hourOf(at time.Time) contract.Hour {
	return contract.Hour(min(max(0, at.Unix()/3600), math.MaxUint32))
}

// Opened is an envelope of a member, and what follows from its bytes alone: whatever it is
// taken into, that stays the same.
type Opened struct {
	Envelope
	member int
	signed bool    // by that member
	own    []keyed // its items, each once
}

// keyed is an item with its Key.
type keyed struct {
	key  [32]byte
	item *order.Item
}

// Open reads an envelope. Errors: ErrEnvelope, ErrLedger, ErrMember.
func (c *Chain) Open(envelope []byte) (*Opened, error) {
	e, err := ParseEnvelope(envelope)
	if err != nil {
		return nil, err
	}
	if e.Ledger != c.ledger {
		return nil, ErrLedger
	}
	o := &Opened{Envelope: e, member: slices.Index(c.nodes, e.Node), own: make([]keyed, 0, len(e.Items))}
	if o.member < 0 {
		return nil, ErrMember
	}
	o.signed = ed25519.Verify(e.Node[:], e.signed(), e.Signature[:])
	keys := make(map[[32]byte]bool, len(e.Items))
	for i := range e.Items {
		key := Key(&e.Items[i].Entry)
		if !keys[key] {
			keys[key], o.own = true, append(o.own, keyed{key, &e.Items[i]})
		}
	}
	return o, nil
}

// Take takes an envelope into the block, or returns why it is not valid there: ErrNumber,
// ErrSignature, ErrNothing, a *QuotaError, or the error of Ordered. What was not taken has
// changed nothing.
func (b *Block) Take(e *Opened) error {
	if e.Number <= b.state.Accounts[e.member].Number {
		return ErrNumber
	}
	if !e.signed {
		return ErrSignature
	}
	fresh, keys := make([]order.Item, 0, len(e.own)), make([][32]byte, 0, len(e.own))
	for _, i := range e.own {
		if b.keys[i.key] {
			continue
		}
		if is, err := b.ordered(i.key); err != nil {
			return err
		} else if is {
			continue
		}
		fresh, keys = append(fresh, *i.item), append(keys, i.key)
	}
	if len(fresh) == 0 {
		return ErrNothing
	}
	if err := b.Charge(e.member, fresh); err != nil {
		return err
	}
	b.state.Accounts[e.member].Number = e.Number
	b.came = append(b.came, fresh...)
	for _, key := range keys {
		b.keys[key] = true
	}
	b.envelopes++
	return nil
}

// Charge has a member pay for items that are new. The error is a *QuotaError, and it has
// not paid then.
func (b *Block) Charge(member int, fresh []order.Item) error {
	a := b.state.Accounts[member]
	for i := range fresh {
		a.Entries++
		if fresh[i].Entry.Kind == contract.KindGrant {
			a.Grants++
		}
	}
	switch {
	case a.Grants > b.chain.grants:
		return &QuotaError{b.chain.grants, "grants"}
	case a.Entries > b.chain.entries:
		return &QuotaError{b.chain.entries, "entries"}
	}
	b.state.Accounts[member] = a
	return nil
}

// End ends the block: the state behind it, and its items, whose positions begin at the size
// of the state before. What came in several envelopes is mixed, as [ledgerclient.Mixed]
// says, so that nobody sees what came through one institution; the entries of one
// envelope keep their order, in which it is for its sender to have mixed them. A block
// without an envelope changes the height alone.
func (b *Block) End(before State) (State, []order.Item) {
	if b.envelopes == 0 {
		before.Height = b.height
		return before, nil
	}
	items := b.came
	if b.envelopes > 1 {
		items = Mixed(b.chain.ledger, items)
	}
	for i := range items {
		items[i].Hour = b.state.Hour
		b.state.add(&items[i])
	}
	b.state.Height = b.height
	return b.state, items
}

// Mixed is [ledgerclient.Mixed] of items.
func Mixed(ledger crypto.LedgerID, items []order.Item) []order.Item {
	entries := make([]contract.Entry, len(items))
	for i := range items {
		entries[i] = items[i].Entry
	}
	mixed := make([]order.Item, len(items))
	for at, i := range ledgerclient.Mixed(ledger, entries) {
		mixed[at] = items[i]
	}
	return mixed
}

// The idle rule: a block that nobody needed for some time has the time of the votes before
// that, and what is in it would get an hour that is over. So a member that finds the time
// of a block that it is to propose behind its clock by more than LateProposal leaves it
// empty, and the next one is right; one that is behind by more than LateBlock and not empty
// is not voted for, nor is any that is ahead by more.
const (
	LateProposal = time.Minute
	LateBlock    = 2 * time.Minute
)
