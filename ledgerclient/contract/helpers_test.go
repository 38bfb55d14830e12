package contract

import (
	"crypto/ed25519"
	"crypto/sha256"
	"testing"

	"github.com/carekey/carekey/crypto"
	"golang.org/x/mod/sumdb/tlog"
)

// testKey returns a fixed key for a name. Test keys are public knowledge.
func testKey(tb testing.TB, name string) *crypto.PrivateKey {
	tb.Helper()
	seed := sha256.Sum256([]byte("carekey test key " + name))
	k, err := crypto.ParsePrivateKey(seed[:])
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func testNodeKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("carekey test node " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func testHash(name string) crypto.Hash { return sha256.Sum256([]byte("carekey test hash " + name)) }

// testConfig returns a genesis configuration with the named nodes.
func testConfig(tb testing.TB, name string, threshold uint8, nodes ...string) Config {
	tb.Helper()
	c := Config{
		Name:      name,
		Contract:  ContractVersion,
		Threshold: threshold,
		Keepers:   []crypto.PubKey{testKey(tb, "keeper").Public()},
		Release:   1,
	}
	random := sha256.Sum256([]byte(name))
	copy(c.Random[:], random[:])
	for _, n := range nodes {
		c.Nodes = append(c.Nodes, Node{
			Checkpoint: [32]byte(testNodeKey(n).Public().(ed25519.PublicKey)),
			Key:        testKey(tb, n).Public(),
		})
	}
	return c
}

// referenceLog is the smallest host of a ledger that keeps every rule of
// SPEC.md. It favours clarity: state roots are computed from scratch.
type referenceLog struct {
	config Config
	ledger crypto.LedgerID
	leaves []Leaf
	states []State // per index; the zero State for follow-ups
	index  map[ID]uint64
	roots  bool // compute state roots
}

func newReferenceLog(genesis Config, roots bool) *referenceLog {
	return &referenceLog{
		config: genesis, ledger: genesis.LedgerID(), index: make(map[ID]uint64), roots: roots,
	}
}

// submit judges an entry at the hour of a clock and appends it when it is
// accepted. The document is for config entries only.
func (l *referenceLog) submit(e Entry, clock Hour, document []byte) (index uint64, err error) {
	if err := CheckShape(&e); err != nil {
		return 0, err
	}
	if err := CheckSignature(l.ledger, &e); err != nil {
		return 0, err
	}
	id := e.ID(l.ledger)
	if i, ok := l.index[id]; ok {
		return i, nil
	}
	next := l.config
	if e.Kind == KindConfig {
		if e.Opens() {
			next, err = CheckGenesis(document, &e)
		} else {
			next, err = CheckConfig(l.config, document, &e)
		}
		if err != nil {
			return 0, err
		}
	}
	h := clock
	if n := len(l.leaves); n > 0 {
		h = max(h, l.leaves[n-1].Hour)
	}
	return l.append(e, id, h, next)
}

// append applies an entry that passed the other steps.
func (l *referenceLog) append(e Entry, id ID, h Hour, next Config) (uint64, error) {
	index := uint64(len(l.leaves))
	thread := index
	var before State
	if !e.Opens() {
		if i, ok := l.index[e.Subject]; ok {
			thread, before = i, l.states[i]
		}
	}
	after, err := Apply(l.config, before, &e, id, index, h)
	if err != nil {
		if after != before {
			panic("a refusal changed the state")
		}
		return 0, err
	}
	l.config = next
	l.index[id] = index
	l.states = append(l.states, State{})
	l.states[thread] = after
	leaf := Leaf{Hour: h, Entry: e}
	if l.roots {
		leaf.StateRoot = l.stateRoot()
	}
	l.leaves = append(l.leaves, leaf)
	return index, nil
}

func (l *referenceLog) stateRoot() crypto.Hash {
	slots := make([][]byte, len(l.states))
	for i, s := range l.states {
		slots[i] = s.Slot()
	}
	return treeHead(slots)
}

func (l *referenceLog) root() crypto.Hash {
	leaves := make([][]byte, len(l.leaves))
	for i := range l.leaves {
		b := l.leaves[i].Marshal()
		leaves[i] = b[:]
	}
	return treeHead(leaves)
}

// treeHead is the Merkle tree head of RFC 6962, by tlog.
func treeHead(data [][]byte) crypto.Hash {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(at))
		for i, n := range at {
			out[i] = stored[n]
		}
		return out, nil
	})
	for i, d := range data {
		hashes, err := tlog.StoredHashes(int64(i), d, reader)
		if err != nil {
			panic(err)
		}
		stored = append(stored, hashes...)
	}
	head, err := tlog.TreeHash(int64(len(data)), reader)
	if err != nil {
		panic(err)
	}
	return crypto.Hash(head)
}

// sign returns e with its author set to the key and signed by it.
func sign(tb testing.TB, l crypto.LedgerID, e Entry, key *crypto.PrivateKey) Entry {
	tb.Helper()
	e.Author = key.Public()
	if err := e.Sign(l, key); err != nil {
		tb.Fatal(err)
	}
	return e
}

// ruleOf returns the rule by which err refuses, "" for nil.
func ruleOf(tb testing.TB, err error) Rule {
	tb.Helper()
	if err == nil {
		return ""
	}
	r, ok := err.(*Refusal)
	if !ok {
		tb.Fatalf("not a refusal: %v", err)
	}
	return r.Rule
}
