package ledgerclient_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// memory is a ledger in memory, honest until a test makes it lie. It keeps two
// trees as SPEC.md describes them, the slow and obvious way.
type memory struct {
	t      testing.TB
	config contract.Config
	node   ed25519.PrivateKey
	id     crypto.LedgerID
	leaves []contract.Leaf
	slots  [][]byte
	states map[contract.ID]contract.State
	at     map[contract.ID]uint64
	follow map[uint64][]uint64

	// lies
	size    uint64                                  // if not 0: shows only the first size entries
	alter   func(index uint64, leaf *contract.Leaf) // changes leaves as they are read
	signer  ed25519.PrivateKey                      // signs checkpoints instead of the node
	text    func(string) string                     // changes a checkpoint before it is signed
	proof   func(*ledgerclient.ThreadProof)         // changes state proofs
	genesis []byte                                  // another configuration document
	cut     bool                                    // answers one leaf less than asked
	note    []byte                                  // checkpoint

	signed *time.Time    // time of the checkpoint's second signature
	fresh  time.Duration // Properties.Freshness
	remote bool          // Properties.Remote; then Find fails the test

	consistency func([]crypto.Hash) // changes consistency proofs
}

func sha(s string) [32]byte { return sha256.Sum256([]byte(s)) }

func testKey(name string) *crypto.PrivateKey {
	h := sha256.Sum256([]byte("ledgerclient test " + name))
	k, err := crypto.ParsePrivateKey(h[:])
	if err != nil {
		panic(err)
	}
	return k
}

func newMemory(t testing.TB, name string) *memory {
	seed := sha256.Sum256([]byte("node " + name))
	m := &memory{t: t, node: ed25519.NewKeyFromSeed(seed[:]), states: map[contract.ID]contract.State{}, at: map[contract.ID]uint64{}, follow: map[uint64][]uint64{}}
	m.config = contract.Config{Name: name, Contract: 1, Threshold: 1, Release: 1, Keepers: []crypto.PubKey{testKey("keeper").Public()},
		Nodes: []contract.Node{{Checkpoint: [32]byte(m.node.Public().(ed25519.PublicKey)), Key: testKey("node " + name).Public()}}}
	m.id = m.config.LedgerID()
	m.add(contract.Entry{Version: 1, Kind: contract.KindConfig, Commitment: m.config.Commitment()}, testKey("node "+name), 100)
	return m
}

// add signs and appends an entry that the contract accepts.
func (m *memory) add(e contract.Entry, key *crypto.PrivateKey, h contract.Hour) contract.ID {
	m.t.Helper()
	e.Version, e.Author = 1, key.Public()
	if e.Commitment.IsZero() {
		e.Commitment = crypto.Hash{1, byte(len(m.leaves))}
	}
	if err := e.Sign(m.id, key); err != nil {
		m.t.Fatal(err)
	}
	id := e.ID(m.id)
	thread := id
	if !e.Opens() {
		thread = e.Subject
	}
	s, err := contract.Apply(m.config, m.states[thread], &e, id, uint64(len(m.leaves)), h)
	if err != nil {
		m.t.Fatal(err)
	}
	m.force(e, id, thread, s, h)
	return id
}

// force appends an entry whatever the contract says of it.
func (m *memory) force(e contract.Entry, id, thread contract.ID, s contract.State, h contract.Hour) {
	index := uint64(len(m.leaves))
	m.states[thread] = s
	m.at[id] = index
	m.slots = append(m.slots, nil)
	if thread != id {
		m.follow[m.at[thread]] = append(m.follow[m.at[thread]], index)
	}
	m.slots[m.at[thread]] = s.Slot()
	m.leaves = append(m.leaves, contract.Leaf{Hour: h, Entry: e, StateRoot: m.root(m.slotTree())})
}

type tree []tlog.Hash // record hashes

func (m *memory) slotTree() tree {
	var out tree
	for _, s := range m.slots {
		out = append(out, tlog.RecordHash(s))
	}
	return out
}

func (m *memory) logTree(n uint64) tree {
	var out tree
	for i := range m.leaves[:n] {
		b := m.leaves[i].Marshal()
		out = append(out, tlog.RecordHash(b[:]))
	}
	return out
}

// reader stores the hashes of a tree in tlog's order.
func (tr tree) reader() tlog.HashReaderFunc {
	var stored []tlog.Hash
	r := tlog.HashReaderFunc(func(ix []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(ix))
		for i, x := range ix {
			out[i] = stored[x]
		}
		return out, nil
	})
	for i, h := range tr {
		hs, err := tlog.StoredHashesForRecordHash(int64(i), h, r)
		if err != nil {
			panic(err)
		}
		stored = append(stored, hs...)
	}
	return r
}

func (m *memory) root(tr tree) crypto.Hash {
	h, err := tlog.TreeHash(int64(len(tr)), tr.reader())
	if err != nil {
		m.t.Fatal(err)
	}
	return crypto.Hash(h)
}

func (m *memory) head() uint64 {
	if m.size > 0 {
		return m.size
	}
	return uint64(len(m.leaves))
}

func (m *memory) Properties() ledgerclient.Properties {
	return ledgerclient.Properties{Gate: ledgerclient.Enforced, Freshness: m.fresh, Remote: m.remote}
}
func (m *memory) Genesis(context.Context) ([]byte, error) {
	if m.genesis != nil {
		return m.genesis, nil
	}
	return m.config.Marshal(), nil
}
func (m *memory) Append(context.Context, []contract.Entry) ([]ledgerclient.Outcome, error) {
	return nil, errors.New("not used")
}
func (m *memory) Checkpoint(context.Context) ([]byte, error) {
	if m.note != nil {
		return m.note, nil
	}
	n := m.head()
	return m.checkpoint(n, m.root(m.logTree(n))), nil
}

func (m *memory) checkpoint(n uint64, root crypto.Hash) []byte {
	text := fmt.Sprintf("%s\n%d\n%s\n", ledgerclient.Origin(m.id), n, tlog.Hash(root))
	if m.text != nil {
		text = m.text(text)
	}
	key := m.node
	if m.signer != nil {
		// Under the name of the node, by another key.
		v := must(note.NewVerifier(must(note.NewEd25519VerifierKey(ledgerclient.Origin(m.id), m.node.Public().(ed25519.PublicKey)))))
		return must(note.Sign(&note.Note{Text: text}, signer{v, m.signer}))
	}
	return m.sign(text, key)
}

type signer struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

func (m *memory) Leaves(_ context.Context, from, to uint64) ([]contract.Leaf, error) {
	out := append([]contract.Leaf(nil), m.leaves[from:to]...)
	for i := range out {
		if m.alter != nil {
			m.alter(from+uint64(i), &out[i])
		}
	}
	if m.cut {
		out = out[:len(out)-1]
	}
	return out, nil
}
func (m *memory) Find(_ context.Context, id contract.ID) (uint64, bool, error) {
	if m.remote {
		m.t.Error("asked for one entry")
	}
	i, ok := m.at[id]
	return i, ok, nil
}
func (m *memory) ProveConsistency(_ context.Context, old, new uint64) ([]crypto.Hash, error) {
	p, err := tlog.ProveTree(int64(new), int64(old), m.logTree(new).reader())
	out := fromTlog(p)
	if m.consistency != nil {
		m.consistency(out)
	}
	return out, err
}
func (m *memory) ProveThread(_ context.Context, index, size uint64) (ledgerclient.ThreadProof, error) {
	log, slots := m.logTree(size), m.slotTree()
	lp, err := tlog.ProveRecord(int64(size), int64(size)-1, log.reader())
	if err != nil {
		return ledgerclient.ThreadProof{}, err
	}
	sp, err := tlog.ProveRecord(int64(size), int64(index), slots.reader())
	if err != nil {
		return ledgerclient.ThreadProof{}, err
	}
	p := ledgerclient.ThreadProof{Size: size, Last: m.leaves[size-1], LastProof: fromTlog(lp), Index: index, Slot: m.slots[index], SlotProof: fromTlog(sp), FollowUps: m.follow[index]}
	if m.proof != nil {
		m.proof(&p)
	}
	return p, nil
}

func fromTlog[H ~[]tlog.Hash](hs H) []crypto.Hash {
	var out []crypto.Hash
	for _, h := range hs {
		out = append(out, crypto.Hash(h))
	}
	return out
}

// keyOnly is a keeper of which only the key matters.
type keyOnly struct {
	ledgerclient.Keeper
	key crypto.PubKey
}

func (k keyOnly) Key() crypto.PubKey { return k.key }

func (m *memory) connect() *ledgerclient.Client {
	m.t.Helper()
	c, err := ledgerclient.Connect(context.Background(), m.services(), m.id)
	if err != nil {
		m.t.Fatal(err)
	}
	return c
}

func (m *memory) services() ledgerclient.Services {
	return ledgerclient.Services{Ledger: m, Keepers: []ledgerclient.Keeper{keyOnly{key: testKey("keeper").Public()}}}
}

// story fills a ledger with n records and grants, and one consent that is opened
// twice; it returns the thread of that consent.
func (m *memory) story(n int) ledgerclient.Thread {
	for i := range n {
		m.add(contract.Entry{Kind: contract.KindRecord}, testKey(fmt.Sprint("record ", i)), 101)
	}
	grant := m.add(contract.Entry{Kind: contract.KindGrant, Counterparty: testKey("clinic").Public(), NotAfter: 200}, testKey("patient"), 101)
	first := m.add(contract.Entry{Kind: contract.KindAccess, Subject: grant, NotBefore: 101, NotAfter: 150}, testKey("clinic"), 102)
	m.add(contract.Entry{Kind: contract.KindRecord}, testKey("another"), 102)
	second := m.add(contract.Entry{Kind: contract.KindAccess, Subject: grant, NotBefore: 101, NotAfter: 150}, testKey("clinic"), 103)
	at := func(id contract.ID) ledgerclient.Placed {
		l := m.leaves[m.at[id]]
		return ledgerclient.Placed{Index: m.at[id], Hour: l.Hour, Entry: l.Entry}
	}
	return ledgerclient.Thread{Opening: at(grant), FollowUps: []ledgerclient.Placed{at(first), at(second)}}
}

func ignore(uint64, *contract.Leaf) error { return nil }

// Advancing in steps of any size ends at the same pin as advancing at once, and
// visits every leaf once.
func TestAdvanceInSteps(t *testing.T) {
	m := newMemory(t, "steps")
	m.story(40)
	c := m.connect()
	whole, _, err := c.Advance(context.Background(), ledgerclient.Pin{}, ledgerclient.Pin{}, ignore)
	if err != nil {
		t.Fatal(err)
	}
	for step := uint64(1); step < 9; step++ {
		var pin ledgerclient.Pin
		var seen uint64
		for m.size = 1; ; m.size = min(m.size+step, uint64(len(m.leaves))) {
			next, head, err := c.Advance(context.Background(), pin, ledgerclient.Pin{}, func(i uint64, l *contract.Leaf) error {
				if i != seen || l.Entry != m.leaves[i].Entry {
					t.Fatalf("visited %d, want %d", i, seen)
				}
				seen++
				return nil
			})
			if err != nil {
				t.Fatalf("step %d at %d: %v", step, m.size, err)
			}
			if next.Size != head.Size || next.Root != head.Root {
				t.Fatal("the pin is not the head")
			}
			pin = next
			if m.size == uint64(len(m.leaves)) {
				break
			}
		}
		if fmt.Sprint(pin) != fmt.Sprint(whole) {
			t.Errorf("step %d: another pin", step)
		}
		m.size = 0
	}
}

// Each lie of a ledger is found and named.
func TestAdvanceFindsLies(t *testing.T) {
	lane.OneGoroutine(t)
	kind := func(err error) string {
		var r *ledgerclient.RollbackError
		var f *ledgerclient.ForkError
		var x *ledgerclient.TamperedError
		switch {
		case err == nil:
			return "nothing"
		case errors.As(err, &r):
			return "rollback"
		case errors.As(err, &f):
			return "fork"
		case errors.As(err, &x):
			return "tampered"
		}
		return err.Error()
	}
	evil := ed25519.NewKeyFromSeed(make([]byte, 32))
	for _, tt := range []struct {
		name string
		pin  uint64 // size that the wallet saw before
		lie  func(m *memory)
		want string
	}{
		{"honest", 10, func(m *memory) {}, "nothing"},
		{"honest and unchanged", 14, func(m *memory) { m.size = 14 }, "nothing"},
		{"shows an older head", 14, func(m *memory) { m.size = 12 }, "rollback"},
		{"changed an entry before the pin", 10, func(m *memory) { m.leaves[3].Entry.SelfTag[0]++ }, "fork"},
		{"changed the last entry under the pin, same size", 14, func(m *memory) { m.size = 14; m.leaves[13].Hour++ }, "fork"},
		{"hides an entry", 10, func(m *memory) { m.leaves = append(m.leaves[:12], m.leaves[13:]...) }, "nothing"}, // a history of its own: found by ProveComplete or gossip
		{"hides an entry before the pin", 10, func(m *memory) { m.leaves = append(m.leaves[:5], m.leaves[6:]...) }, "fork"},
		{"serves a changed entry", 10, func(m *memory) { m.alter = func(i uint64, l *contract.Leaf) { l.Entry.Commitment[0] ^= byte(i & 1) } }, "tampered"},
		{"serves a changed hour", 10, func(m *memory) { m.alter = func(i uint64, l *contract.Leaf) { l.Hour++ } }, "tampered"},
		{"serves a changed state root", 10, func(m *memory) { m.alter = func(i uint64, l *contract.Leaf) { l.StateRoot[0]++ } }, "tampered"},
		{"serves fewer entries", 10, func(m *memory) { m.cut = true }, "tampered"},
		{"time goes backwards", 10, func(m *memory) { m.leaves[12].Hour = 1 }, "tampered"},
		{"checkpoint signed by another key", 10, func(m *memory) { m.signer = evil }, "tampered"},
		{"checkpoint of another ledger", 10, func(m *memory) {
			m.text = func(s string) string { return "carekey/v1/other" + s[len(ledgerclient.Origin(m.id)):] }
		}, "tampered"},
		{"checkpoint without a root", 10, func(m *memory) { m.text = func(s string) string { return ledgerclient.Origin(m.id) + "\n15\n" } }, "tampered"},
		{"checkpoint with a negative size", 10, func(m *memory) {
			m.text = func(s string) string { return ledgerclient.Origin(m.id) + "\n-1\n" + s[len(s)-45:] }
		}, "tampered"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory(t, "lies")
			m.story(12)
			c := m.connect()
			m.size = tt.pin
			pin, _, err := c.Advance(context.Background(), ledgerclient.Pin{}, ledgerclient.Pin{}, ignore)
			if err != nil {
				t.Fatal(err)
			}
			m.size = 0
			tt.lie(m)
			next, _, err := c.Advance(context.Background(), pin, ledgerclient.Pin{}, ignore)
			if got := kind(err); got != tt.want {
				t.Errorf("got %s (%v), want %s", got, err, tt.want)
			}
			if err != nil && next.Size != 0 {
				t.Error("a pin came with the error")
			}
		})
	}
}

// A rescan from the beginning must pass through the head that was seen before.
func TestAdvanceThroughKnownHead(t *testing.T) {
	m := newMemory(t, "known")
	m.story(5)
	c := m.connect()
	m.size = 7
	known, _, err := c.Advance(context.Background(), ledgerclient.Pin{}, ledgerclient.Pin{}, ignore)
	if err != nil {
		t.Fatal(err)
	}
	m.size = 0
	if _, _, err := c.Advance(context.Background(), ledgerclient.Pin{}, known, ignore); err != nil {
		t.Errorf("honest ledger: %v", err)
	}
	m.leaves[2].Entry.SelfTag[0]++
	var fork *ledgerclient.ForkError
	if _, _, err := c.Advance(context.Background(), ledgerclient.Pin{}, known, ignore); !errors.As(err, &fork) {
		t.Errorf("another history before the known head: %v", err)
	}
}

// A pin that contradicts itself is not built upon.
func TestAdvanceRefusesBrokenPin(t *testing.T) {
	m := newMemory(t, "pin")
	m.story(5)
	c := m.connect()
	m.size = 6
	good, _, err := c.Advance(context.Background(), ledgerclient.Pin{}, ledgerclient.Pin{}, ignore)
	if err != nil {
		t.Fatal(err)
	}
	m.size = 0
	for name, change := range map[string]func(*ledgerclient.Pin){
		"root":   func(p *ledgerclient.Pin) { p.Root[0]++ },
		"edge":   func(p *ledgerclient.Pin) { p.Edge = p.Edge[:1] },
		"size":   func(p *ledgerclient.Pin) { p.Size++ },
		"ledger": func(p *ledgerclient.Pin) { p.Ledger[0]++ },
	} {
		bad := good
		bad.Edge = append([]crypto.Hash(nil), good.Edge...)
		change(&bad)
		if _, _, err := c.Advance(context.Background(), bad, ledgerclient.Pin{}, ignore); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// No access and no revocation of a consent can be hidden, invented or moved
// without ProveComplete or Judge finding it.
func TestThreadIsProvenComplete(t *testing.T) {
	ctx := context.Background()
	m := newMemory(t, "thread")
	thread := m.story(6)
	c := m.connect()
	head, err := c.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	check := func(th ledgerclient.Thread) error {
		s, err := c.Judge(th, contract.State{}, -1, nil)
		if err != nil {
			return err
		}
		return c.ProveComplete(ctx, head, th, s)
	}
	if err := check(thread); err != nil {
		t.Fatalf("honest thread: %v", err)
	}
	again := func(change func(*ledgerclient.Thread)) ledgerclient.Thread {
		th := ledgerclient.Thread{Opening: thread.Opening, FollowUps: append([]ledgerclient.Placed(nil), thread.FollowUps...)}
		change(&th)
		return th
	}
	for name, th := range map[string]ledgerclient.Thread{
		"last access hidden":      again(func(th *ledgerclient.Thread) { th.FollowUps = th.FollowUps[:1] }),
		"first access hidden":     again(func(th *ledgerclient.Thread) { th.FollowUps = th.FollowUps[1:] }),
		"all accesses hidden":     again(func(th *ledgerclient.Thread) { th.FollowUps = nil }),
		"accesses exchanged":      again(func(th *ledgerclient.Thread) { th.FollowUps[0], th.FollowUps[1] = th.FollowUps[1], th.FollowUps[0] }),
		"access moved in time":    again(func(th *ledgerclient.Thread) { th.FollowUps[1].Hour++ }),
		"access moved in place":   again(func(th *ledgerclient.Thread) { th.FollowUps[1].Index++ }),
		"access doubled":          again(func(th *ledgerclient.Thread) { th.FollowUps = append(th.FollowUps, th.FollowUps[1]) }),
		"access changed":          again(func(th *ledgerclient.Thread) { th.FollowUps[1].Entry.Commitment[0]++ }),
		"signed by somebody":      again(func(th *ledgerclient.Thread) { th.FollowUps[1].Entry.Author = testKey("another").Public() }),
		"thread of another place": again(func(th *ledgerclient.Thread) { th.Opening.Index-- }),
	} {
		var tampered *ledgerclient.TamperedError
		if err := check(th); !errors.As(err, &tampered) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, lie := range map[string]func(*ledgerclient.ThreadProof){
		"slot changed":          func(p *ledgerclient.ThreadProof) { p.Slot = append([]byte(nil), p.Slot...); p.Slot[7]-- },
		"slot empty":            func(p *ledgerclient.ThreadProof) { p.Slot = nil },
		"slot proof changed":    func(p *ledgerclient.ThreadProof) { p.SlotProof[0][0]++ },
		"slot proof cut":        func(p *ledgerclient.ThreadProof) { p.SlotProof = p.SlotProof[1:] },
		"another thread's slot": func(p *ledgerclient.ThreadProof) { p.Index-- },
		"an older state root":   func(p *ledgerclient.ThreadProof) { p.Last = m.leaves[len(m.leaves)-2] },
		"log proof changed":     func(p *ledgerclient.ThreadProof) { p.LastProof[0][0]++ },
		"smaller tree":          func(p *ledgerclient.ThreadProof) { p.Size-- },
	} {
		m.proof = lie
		var tampered *ledgerclient.TamperedError
		if err := check(thread); !errors.As(err, &tampered) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m.proof = nil
	// A ledger that lets in what the contract refuses is found by Judge.
	late := contract.Entry{Version: 1, Kind: contract.KindAccess, Author: testKey("clinic").Public(), Subject: thread.Opening.Entry.ID(m.id), NotBefore: 200, NotAfter: 250, Commitment: crypto.Hash{1}}
	if err := late.Sign(m.id, testKey("clinic")); err != nil {
		t.Fatal(err)
	}
	var refusal *contract.Refusal
	err = check(again(func(th *ledgerclient.Thread) {
		th.FollowUps = append(th.FollowUps, ledgerclient.Placed{Index: uint64(len(m.leaves)), Hour: 210, Entry: late})
	}))
	if !errors.As(err, &refusal) || refusal.Rule != contract.RuleExpired {
		t.Errorf("access after the window: %v", err)
	}
}

func TestConnect(t *testing.T) {
	ctx := context.Background()
	m := newMemory(t, "connect")
	other := newMemory(t, "another")
	_, err := ledgerclient.Connect(ctx, m.services(), other.id)
	if foreign, _ := fault.As(err, ledgerclient.ErrForeign); foreign.Value("got") != m.id || foreign.Value("want") != other.id {
		t.Errorf("another ledger: %v", err)
	}
	var tampered *ledgerclient.TamperedError
	m.genesis = []byte("carekey ledger 1\n")
	if _, err := ledgerclient.Connect(ctx, m.services(), crypto.LedgerID{}); !errors.As(err, &tampered) {
		t.Errorf("half a document: %v", err)
	}
	m.genesis = nil
	// Of keepers that are not the ledger's none is asked, and of its own none is made up.
	s := m.services()
	for what, keepers := range map[string][]ledgerclient.Keeper{"another keeper": {keyOnly{key: testKey("stranger").Public()}}, "no keeper": nil} {
		s.Keepers = keepers
		c, err := ledgerclient.Connect(ctx, s, m.id)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		k := c.Keeper(testKey("keeper").Public())
		if _, err := k.Deposit(ctx, nil); ledgerclient.Unreachable(err) == nil || k.Key() != testKey("keeper").Public() {
			t.Errorf("%s: %v", what, err)
		}
	}
	c, err := ledgerclient.Connect(ctx, m.services(), m.id)
	if err != nil {
		t.Fatal(err)
	}
	if k, ok := c.Keeper(testKey("keeper").Public()).(keyOnly); !ok || k.key != testKey("keeper").Public() {
		t.Error("the keeper is not found by its key")
	}
}

// The head that somebody else saw must be of the same history.
func TestCheckPrefix(t *testing.T) {
	ctx := context.Background()
	m := newMemory(t, "prefix")
	m.story(9)
	c := m.connect()
	head, err := c.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= head.Size; n++ {
		root := m.root(m.logTree(n))
		if err := c.CheckPrefix(ctx, n, root, head); err != nil {
			t.Errorf("size %d: %v", n, err)
		}
		root[5]++
		var fork *ledgerclient.ForkError
		if err := c.CheckPrefix(ctx, n, root, head); !errors.As(err, &fork) {
			t.Errorf("size %d, another root: %v", n, err)
		}
	}
	var rollback *ledgerclient.RollbackError
	if err := c.CheckPrefix(ctx, head.Size+1, crypto.Hash{}, head); !errors.As(err, &rollback) {
		t.Errorf("a newer head: %v", err)
	}
}
