package ledgertest

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Institution has the keys of one node.
type Institution struct {
	Checkpoint ed25519.PrivateKey
	Key        *crypto.PrivateKey
}

// NewInstitution makes the keys that belong to a name: the same each time.
func NewInstitution(name string) Institution {
	seed, key := sha256.Sum256([]byte("checkpoint "+name)), sha256.Sum256([]byte("key "+name))
	k, err := crypto.ParsePrivateKey(key[:])
	if err != nil {
		panic(err)
	}
	return Institution{ed25519.NewKeyFromSeed(seed[:]), k}
}

// Institutions are the first n of that name.
func Institutions(name string, n int) (all []Institution) {
	for i := range n {
		all = append(all, NewInstitution(fmt.Sprint(name, " ", i)))
	}
	return all
}

// Node is the institution's line in a configuration document.
func (i Institution) Node() contract.Node {
	return contract.Node{Checkpoint: [32]byte(i.Checkpoint.Public().(ed25519.PublicKey)), Key: i.Key.Public()}
}

// Sign signs the text of a checkpoint: plain, and at a time if that is not zero.
func (i Institution) Sign(text string, at time.Time) []byte {
	origin, _, _ := strings.Cut(text, "\n")
	v, err := ledgerclient.NewVerifier(origin, i.Node().Checkpoint)
	if err != nil {
		panic(err)
	}
	signers := []note.Signer{plainSigner{v, i.Checkpoint}}
	if !at.IsZero() {
		signers = append(signers, ledgerclient.TimeSigner{TimeVerifier: ledgerclient.NewTimeVerifier(origin+"/time", i.Node().Checkpoint), Key: i.Checkpoint, Time: at})
	}
	msg, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		panic(err)
	}
	return msg
}

type plainSigner struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s plainSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// Network is the log of a ledger that several institutions keep, in memory: a
// ledgerclient.Ledger whose nodes may change. It is honest until a test replaces what it
// shows. It judges nothing and its state roots are zero, so that it is for tests of heads
// and configurations alone; the whole of a ledger is the model's matter.
type Network struct {
	Members   []Institution // of the newest configuration
	Threshold int
	Now       func() time.Time // when heads are signed; nil: they carry no time
	Fresh     time.Duration    // Properties.Freshness
	Hour      contract.Hour    // of what is entered; 0: 490,000
	Keepers   []crypto.PubKey  // of the document that is made next; nil: one that nobody asks
	Release   int              // the same; 0: 1

	// What it shows.
	Shown       []contract.Leaf
	Successions [][]byte
	Head        []byte // checkpoint; nil: the newest, signed by all members

	id      crypto.LedgerID
	genesis []byte
	config  contract.Config
}

var (
	_ ledgerclient.Ledger     = (*Network)(nil)
	_ ledgerclient.Configured = (*Network)(nil)
)

// networkKeeper is the keeper of a Network without others, which nobody asks.
var networkKeeper = NewInstitution("keeper").Key.Public()

// NewNetwork founds a ledger.
func NewNetwork(threshold int, members ...Institution) *Network {
	n := &Network{Members: members, Threshold: threshold}
	return n.Found()
}

// Found founds the ledger that the fields of n describe.
func (n *Network) Found() *Network {
	n.config = n.draft()
	n.genesis, n.id = n.config.Marshal(), n.config.LedgerID()
	n.enter(contract.Entry{Kind: contract.KindConfig, Commitment: n.config.Commitment()}, n.Members[0].Key)
	return n
}

// ID is the ledger's id.
func (n *Network) ID() crypto.LedgerID { return n.id }

// Config is the newest configuration that was ordered.
func (n *Network) Config() contract.Config { return n.config }

// draft is the document that makes the members and the threshold those of the ledger.
func (n *Network) draft() contract.Config {
	c := contract.Config{Name: "Network", Contract: contract.ContractVersion, Threshold: uint8(n.Threshold), Release: uint8(max(1, n.Release)), Keepers: n.Keepers}
	if c.Keepers == nil {
		c.Keepers = []crypto.PubKey{networkKeeper}
	}
	for _, m := range n.Members {
		c.Nodes = append(c.Nodes, m.Node())
	}
	return c
}

func (n *Network) enter(e contract.Entry, key *crypto.PrivateKey) {
	e.Version, e.Author = contract.Version, key.Public()
	if err := e.Sign(n.id, key); err != nil {
		panic(err)
	}
	n.Shown = append(n.Shown, contract.Leaf{Hour: cmp.Or(n.Hour, 490_000), Entry: e})
}

// Grow enters records of people whom nobody knows.
func (n *Network) Grow(count int) {
	for range count {
		n.enter(contract.Entry{Kind: contract.KindRecord, Commitment: crypto.Hash{1}}, NewInstitution(fmt.Sprint("somebody ", len(n.Shown))).Key)
	}
}

// Draft is the document by which others take over, approved by some of those before them.
func (n *Network) Draft(threshold int, members []Institution, approve ...Institution) contract.Config {
	next := (&Network{Members: members, Threshold: threshold, Keepers: n.Keepers, Release: n.Release}).draft()
	next.Previous = n.config.Commitment()
	for _, a := range approve {
		next.Approve(a.Key)
	}
	return next
}

// Order enters a configuration document, signed by an institution, whatever a contract
// would say of it.
func (n *Network) Order(document contract.Config, by Institution) {
	n.enter(contract.Entry{Kind: contract.KindConfig, Subject: n.Shown[0].Entry.ID(n.id), NotBefore: 489_999, NotAfter: 490_048, Commitment: document.Commitment()}, by.Key)
}

// Succession shows that a document came into force with the last entry, by a handover
// checkpoint that some signed.
func (n *Network) Succession(document contract.Config, signed ...Institution) ledgerclient.Succession {
	size := int64(len(n.Shown))
	proof, err := tlog.ProveRecord(size, size-1, n.hashes(uint64(size)))
	if err != nil {
		panic(err)
	}
	return ledgerclient.Succession{Document: document.Marshal(), Entry: n.Shown[size-1], Proof: proof, Note: n.Note(uint64(size), signed...)}
}

// Change makes others the members: approved, ordered and handed over by all.
func (n *Network) Change(threshold int, members ...Institution) {
	before := n.Members
	next := n.Draft(threshold, members, before...)
	n.Order(next, before[0])
	s := n.Succession(next, append(before[:len(before):len(before)], members...)...)
	n.Successions = append(n.Successions, s.Marshal())
	n.config, n.Members, n.Threshold = next, members, threshold
}

// Text is what is signed of the log of a size.
func (n *Network) Text(size uint64) string {
	root, err := tlog.TreeHash(int64(size), n.hashes(size))
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("%s\n%d\n%s\n", ledgerclient.Origin(n.id), size, root)
}

// Note is the checkpoint of the log of a size, signed by some.
func (n *Network) Note(size uint64, by ...Institution) []byte {
	var at time.Time
	if n.Now != nil {
		at = n.Now()
	}
	text := n.Text(size)
	var notes [][]byte
	var nodes []contract.Node
	for _, m := range by {
		notes, nodes = append(notes, m.Sign(text, at)), append(nodes, m.Node())
	}
	msg, err := ledgerclient.JoinNotes(n.id, nodes, notes[0], notes[1:]...)
	if err != nil {
		panic(err)
	}
	return msg
}

// hashes reads the tree over the first leaves.
func (n *Network) hashes(size uint64) tlog.HashReaderFunc {
	var stored []tlog.Hash
	r := tlog.HashReaderFunc(func(at []int64) (out []tlog.Hash, err error) {
		for _, i := range at {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for i := range n.Shown[:size] {
		leaf := n.Shown[i].Marshal()
		more, err := tlog.StoredHashes(int64(i), leaf[:], r)
		if err != nil {
			panic(err)
		}
		stored = append(stored, more...)
	}
	return r
}

// Properties are those of a node.
func (n *Network) Properties() ledgerclient.Properties {
	return ledgerclient.Properties{Gate: ledgerclient.Enforced, Reach: "memory", Clock: "node", Remote: true, Operators: len(n.Members), Freshness: n.Fresh}
}

// Genesis returns the first document.
func (n *Network) Genesis(context.Context) ([]byte, error) { return n.genesis, nil }

// Configs returns the successions that are shown.
func (n *Network) Configs(context.Context) ([][]byte, error) { return n.Successions, nil }

// Append takes nothing.
func (n *Network) Append(context.Context, []contract.Entry) ([]ledgerclient.Outcome, error) {
	return nil, errors.New("a ledger to be read")
}

// Checkpoint returns the head that is shown.
func (n *Network) Checkpoint(context.Context) ([]byte, error) {
	if n.Head != nil {
		return n.Head, nil
	}
	return n.Note(uint64(len(n.Shown)), n.Members...), nil
}

// Leaves returns leaves.
func (n *Network) Leaves(_ context.Context, from, to uint64) ([]contract.Leaf, error) {
	return n.Shown[from:to], nil
}

// ProveConsistency proves that one size is the beginning of another.
func (n *Network) ProveConsistency(_ context.Context, old, new uint64) ([]crypto.Hash, error) {
	proof, err := tlog.ProveTree(int64(new), int64(old), n.hashes(new))
	return ledgerclient.Hashes[crypto.Hash](proof), err
}

// Services are those of a ledger that can be read, and nothing more.
func (n *Network) Services() ledgerclient.Services {
	away, err := ledgerclient.OutOfReach([][]byte{n.genesis}, n.Properties(), errors.New("a ledger to be read"))
	if err != nil {
		panic(err)
	}
	away.Ledger, away.Known, away.Now = n, nil, n.Now
	return away
}
