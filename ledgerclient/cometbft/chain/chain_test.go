package chain

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/order"
	"golang.org/x/mod/sumdb/tlog"
)

// network is a chain of n members with their keys, and what was ordered.
type network struct {
	*Chain
	t     *testing.T
	keys  []ed25519.PrivateKey
	rnd   *rand.Rand
	state State
	items []order.Item
	have  map[[32]byte]bool
	at    time.Time
}

func genesis(t testing.TB, seed string, n int) ([]byte, []ed25519.PrivateKey) {
	config := contract.Config{Name: "Chain", Contract: contract.ContractVersion, Threshold: uint8(2*n/3 + 1), Release: 1, Random: [16]byte{1}}
	var keys []ed25519.PrivateKey
	for i := range n {
		sum := sha256.Sum256([]byte{byte(i), byte(len(seed))})
		keys = append(keys, ed25519.NewKeyFromSeed(sum[:]))
		entry, err := crypto.ParsePrivateKey(sum[:])
		if err != nil {
			t.Fatal(err)
		}
		config.Nodes = append(config.Nodes, contract.Node{Checkpoint: [32]byte(keys[i].Public().(ed25519.PublicKey)), Key: entry.Public()})
		if i == 0 {
			config.Keepers = []crypto.PubKey{entry.Public()}
		}
	}
	return config.Marshal(), keys
}

func newNetwork(t *testing.T, n int) *network {
	doc, keys := genesis(t, "", n)
	c, err := New(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &network{Chain: c, t: t, keys: keys, rnd: rand.New(rand.NewPCG(13, uint64(n))), state: c.Start(),
		have: map[[32]byte]bool{}, at: time.Unix(490_000*3600, 0)}
}

// entry is any entry of a kind.
func (n *network) entry(kind contract.Kind) order.Item {
	var b [contract.Size]byte
	for i := range b {
		b[i] = byte(n.rnd.Uint32())
	}
	e, _ := contract.ParseEntry(b[:])
	e.Kind = kind
	i := order.Item{Entry: e}
	if kind == contract.KindConfig {
		i.Document = "document " + string(b[:40])
		i.Entry.Commitment = contract.ConfigCommitment([]byte(i.Document))
	}
	return i
}

func (n *network) records(count int) (items []order.Item) {
	for range count {
		items = append(items, n.entry(contract.KindRecord))
	}
	return items
}

func (n *network) ordered(key [32]byte) (bool, error) { return n.have[key], nil }

// number is the next of a member.
func (n *network) number(member int) uint64 { return n.state.Accounts[member].Number + 1 }

func (n *network) seal(member int, items ...order.Item) []byte {
	return n.Seal(n.keys[member], n.number(member), items)
}

// block applies one and returns why envelopes were not taken.
func (n *network) block(envelopes ...[]byte) (errs []error) {
	n.t.Helper()
	b := n.Begin(n.state, n.state.Height+1, n.at, n.ordered)
	for _, e := range envelopes {
		o, err := n.Open(e)
		if err == nil {
			err = b.Take(o)
		}
		errs = append(errs, err)
	}
	after, items := b.End(n.state)
	for i := range items {
		if items[i].Hour < n.state.Hour {
			n.t.Fatal("time goes backwards")
		}
		n.have[Key(&items[i].Entry)] = true
	}
	if after.Size != n.state.Size+uint64(len(items)) || after.Height != n.state.Height+1 {
		n.t.Fatalf("state %+v after %d items", after, len(items))
	}
	n.items = append(n.items, items...)
	back, err := n.ParseState(after.Marshal())
	if err != nil || !bytes.Equal(back.Marshal(), after.Marshal()) {
		n.t.Fatalf("a state is not read back: %v", err)
	}
	n.state = after
	return errs
}

func (n *network) want(got error, want error) {
	n.t.Helper()
	if !errors.Is(got, want) || want == nil && got != nil {
		n.t.Errorf("%v, want %v", got, want)
	}
}

// One envelope keeps its order; what came in several is mixed as a node mixes it.
func TestPositions(t *testing.T) {
	n := newNetwork(t, 4)
	own := n.records(5)
	n.want(n.block(n.seal(0, own...))[0], nil)
	for i := range own {
		if n.items[i].Entry != own[i].Entry || n.items[i].Hour != 490_000 {
			t.Fatalf("item %d is not that of the envelope", i)
		}
	}
	first, second := n.records(20), n.records(20)
	for _, err := range n.block(n.seal(1, first...), n.seal(2, second...)) {
		n.want(err, nil)
	}
	both := append(first, second...)
	entries := make([]contract.Entry, len(both))
	for i := range both {
		entries[i] = both[i].Entry
	}
	for at, i := range ledgerclient.Mixed(n.Ledger(), entries) {
		if n.items[5+at].Entry != entries[i] {
			t.Fatalf("item %d is not in its mixed place", 5+at)
		}
	}
}

// What an evil institution can send again is worth nothing, and costs nobody anything.
func TestReplay(t *testing.T) {
	n := newNetwork(t, 4)
	items := n.records(3)
	sent := n.seal(1, items...)
	n.want(n.block(sent)[0], nil)
	before := n.state.Accounts[1]
	if before != (Account{Number: 1, Entries: 3}) {
		t.Fatalf("%+v", before)
	}
	n.want(n.block(sent)[0], ErrNumber)
	// The same entries from another institution, and half of them with new ones.
	n.want(n.block(n.seal(2, items...))[0], ErrNothing)
	n.want(n.block(n.seal(2, append(items[:2:2], n.records(1)...)...))[0], nil)
	if n.state.Accounts[1] != before || n.state.Accounts[2] != (Account{Number: 1, Entries: 1}) || n.state.Size != 4 {
		t.Fatalf("%+v", n.state)
	}
	// Twice in one block, and the same entry twice in one envelope.
	twice := n.entry(contract.KindRecord)
	errs := n.block(n.seal(0, twice, twice), n.seal(3, twice))
	n.want(errs[0], nil)
	n.want(errs[1], ErrNothing)
	if n.state.Accounts[0].Entries != 1 || n.state.Accounts[3] != (Account{}) || n.state.Size != 5 {
		t.Fatalf("%+v", n.state)
	}
	// A later number puts an end to one that was lost.
	lost := n.Seal(n.keys[0], 7, n.records(1))
	n.want(n.block(n.Seal(n.keys[0], 9, n.records(1)))[0], nil)
	n.want(n.block(lost)[0], ErrNumber)
}

func TestForeign(t *testing.T) {
	n := newNetwork(t, 4)
	doc, keys := genesis(t, "other", 4)
	other, err := New(append([]byte(nil), doc...))
	if err != nil {
		t.Fatal(err)
	}
	n.want(n.block(other.Seal(n.keys[0], 1, n.records(1)))[0], ErrLedger)
	n.want(n.block(n.Seal(keys[0], 1, n.records(1)))[0], ErrMember)
	e, err := ParseEnvelope(n.seal(0, n.records(1)...))
	if err != nil {
		t.Fatal(err)
	}
	e.Number++ // not what was signed
	n.want(n.block(e.Marshal())[0], ErrSignature)
	n.want(n.block([]byte("junk"))[0], ErrEnvelope)
	empty := n.state
	empty.Height = 0
	if start := n.Start(); !bytes.Equal(empty.Marshal(), start.Marshal()) {
		t.Errorf("what is not valid has changed the state: %+v", n.state)
	}
}

// A configuration entry without its document takes nobody's place.
func TestDocuments(t *testing.T) {
	n := newNetwork(t, 4)
	right := n.entry(contract.KindConfig)
	for _, document := range []string{"", right.Document + "\n", "another"} {
		wrong := right
		wrong.Document = document
		n.want(n.block(n.seal(1, n.records(1)[0], wrong))[0], ErrEnvelope)
	}
	stray := n.entry(contract.KindRecord)
	stray.Document = "of no configuration"
	b := n.seal(1, stray) // Marshal leaves it out
	if e, err := ParseEnvelope(b); err == nil && e.Items[0].Document != "" {
		t.Error("another entry has a document")
	}
	n.want(n.block(n.seal(0, right))[0], nil)
	if n.items[0] != (order.Item{Hour: 490_000, Entry: right.Entry, Document: right.Document}) {
		t.Errorf("the document is not whole")
	}
}

func TestQuota(t *testing.T) {
	n := newNetwork(t, 4)
	share := HourlyGrants / 4
	for left := share; left > 0; {
		var grants []order.Item
		for range min(left, MaxEntries) {
			grants = append(grants, n.entry(contract.KindGrant))
		}
		left -= len(grants)
		n.want(n.block(n.seal(1, grants...))[0], nil)
	}
	over := n.entry(contract.KindGrant)
	for range 2 {
		var quota *QuotaError
		if err := n.block(n.seal(1, over))[0]; !errors.As(err, &quota) || quota.Of != "grants" || int(quota.Share) != share {
			t.Fatalf("%v", err)
		}
	}
	n.want(n.block(n.seal(1, n.entry(contract.KindRevoke)))[0], nil) // what ends a consent has room
	n.want(n.block(n.seal(2, over))[0], nil)                         // and others have theirs
	n.at = n.at.Add(time.Hour)
	n.want(n.block(n.seal(1, n.entry(contract.KindGrant)))[0], nil)
	if a := n.state.Accounts[1]; a.Grants != 1 || a.Entries != 1 {
		t.Errorf("%+v", a)
	}
	n.state.Accounts[1].Entries = HourlyEntries / 4
	if quota := (*QuotaError)(nil); !errors.As(n.block(n.seal(1, n.records(1)...))[0], &quota) || quota.Of != "entries" {
		t.Errorf("%+v", quota)
	}
}

// The hour is that of the block, and never goes back; a block without envelopes changes
// nothing that is signed.
func TestHours(t *testing.T) {
	n := newNetwork(t, 1)
	n.block(n.seal(0, n.records(1)...))
	hash := n.state.Hash()
	n.at = n.at.Add(9 * time.Hour)
	n.block()
	n.block([]byte("junk"))
	if n.state.Hash() != hash || n.state.Hour != 490_000 {
		t.Error("a block of nothing has changed the state")
	}
	n.block(n.seal(0, n.records(1)...))
	n.at = n.at.Add(-5 * time.Hour)
	n.block(n.seal(0, n.records(1)...))
	if n.items[1].Hour != 490_009 || n.items[2].Hour != 490_009 {
		t.Errorf("hours %d, %d", n.items[1].Hour, n.items[2].Hour)
	}
	n.at = time.Unix(-1, 0)
	n.block(n.seal(0, n.records(1)...))
}

// The root is that of RFC 6962, as another implementation computes it of the items.
func TestRoot(t *testing.T) {
	n := newNetwork(t, 4)
	var hashes []tlog.Hash
	read := tlog.HashReaderFunc(func(at []int64) (out []tlog.Hash, err error) {
		for _, i := range at {
			out = append(out, hashes[i])
		}
		return out, nil
	})
	for range 70 {
		size := len(n.items)
		n.block(n.seal(0, n.records(1+n.rnd.IntN(9))...))
		for _, i := range n.items[size:] {
			entry := i.Entry.Marshal()
			none := sha256.Sum256([]byte(i.Document))
			leaf := slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(i.Hour)), entry[:], none[:])
			more, err := tlog.StoredHashes(int64(size), leaf, read)
			if err != nil {
				t.Fatal(err)
			}
			hashes = append(hashes, more...)
			size++
		}
		want, err := tlog.TreeHash(int64(size), read)
		if err != nil {
			t.Fatal(err)
		}
		if n.state.Root() != want {
			t.Fatalf("the root of %d items is another", size)
		}
	}
}

// What is taken first is decided; the rest of a block is judged behind it.
func TestWhole(t *testing.T) {
	n := newNetwork(t, 4)
	n.want(n.block(n.seal(0, n.records(MaxEntries)...))[0], nil)
	n.want(n.block(n.seal(0, n.records(MaxEntries+1)...))[0], ErrEnvelope)
	var long []order.Item
	for Fits(append(long, n.long())) {
		long = append(long, n.long())
	}
	n.want(n.block(n.seal(0, long...))[0], nil)
	n.want(n.block(n.seal(0, append(long, n.long())...))[0], ErrEnvelope)
}

// long is a configuration entry with the longest document.
func (n *network) long() order.Item {
	i := n.entry(contract.KindConfig)
	i.Document = string(bytes.Repeat([]byte{byte(n.rnd.Uint32())}, order.MaxDocument-40)) + i.Document[9:49]
	i.Entry.Commitment = contract.ConfigCommitment([]byte(i.Document))
	return i
}

func TestNeeded(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 2, 3: 3, 4: 3, 6: 5, 7: 5, 16: 11} {
		if got := newNetwork(t, n).Needed(); got != want {
			t.Errorf("%d of %d, want %d", got, n, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New([]byte("no document\n")); !errors.Is(err, contract.ErrConfig) {
		t.Error(err)
	}
	doc, _ := genesis(t, "", 4)
	if _, err := New(bytes.Replace(doc, []byte("threshold 3"), []byte("threshold 2"), 1)); !errors.Is(err, ledgerclient.ErrThreshold) {
		t.Error(err)
	}
}

// Two members that take the same blocks have the same state, whatever they refused before.
func TestAlike(t *testing.T) {
	one, other := newNetwork(t, 4), newNetwork(t, 4)
	for range 30 {
		var block [][]byte
		for member := range 4 {
			items := one.records(1 + one.rnd.IntN(3))
			if one.rnd.IntN(4) == 0 && len(one.items) > 0 {
				items = append(items, one.items[one.rnd.IntN(len(one.items))])
			}
			block = append(block, one.seal(member, items...))
		}
		block = append(block, block[0], []byte("junk"))
		one.block(block...)
		other.block(block...)
		if one.state.Hash() != other.state.Hash() || !slices.Equal(one.items, other.items) {
			t.Fatal("they differ")
		}
	}
}

// What parses is written again as it was.
func FuzzEnvelope(f *testing.F) {
	doc, keys := genesis(f, "", 4)
	c, err := New(doc)
	if err != nil {
		f.Fatal(err)
	}
	document := "any"
	f.Add(c.Seal(keys[0], 1, []order.Item{{Entry: contract.Entry{Kind: contract.KindRecord}},
		{Entry: contract.Entry{Kind: contract.KindConfig, Commitment: contract.ConfigCommitment([]byte(document))}, Document: document}}))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEnvelope(b)
		if err != nil {
			return
		}
		if !bytes.Equal(e.Marshal(), b) {
			t.Errorf("%x is written as %x", b, e.Marshal())
		}
		if len(e.Items) < 1 || !Fits(e.Items) {
			t.Errorf("%d items", len(e.Items))
		}
		for i := range e.Items {
			if !e.Items[i].Whole() {
				t.Errorf("item %d is not whole", i)
			}
		}
	})
}

func FuzzState(f *testing.F) {
	doc, _ := genesis(f, "", 4)
	c, err := New(doc)
	if err != nil {
		f.Fatal(err)
	}
	s := c.Start()
	f.Add(s.Marshal())
	s.add(&order.Item{})
	f.Add(s.Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := c.ParseState(b)
		if err == nil && !bytes.Equal(s.Marshal(), b) {
			t.Errorf("%x is written as %x", b, s.Marshal())
		}
	})
}
