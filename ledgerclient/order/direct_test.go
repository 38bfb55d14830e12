package order_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/nodetest"
	"github.com/carekey/carekey/ledgerclient/order"
)

// beside is an order in memory, a node that follows it and can lie, and a reader with
// a replica of its own who uses the order directly.
type beside struct {
	*order.Direct
	world
	t      *testing.T
	mu     sync.Mutex
	now    time.Time
	node   *nodetest.Node
	dialed ledgerclient.Services
	dir    string
	doc    []byte
}

func (b *beside) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *beside) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func newBeside(t *testing.T) *beside {
	t.Helper()
	b := &beside{t: t, now: time.Unix(int64(testHour)*3600+600, 0)}
	b.key = crypto.GenerateKey()
	b.b = &backend{Memory: ledgertest.Memory{Clock: func() contract.Hour { return contract.Hour(b.clock().Unix() / 3600) }}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := b.b.Append(ctx, []contract.Entry{{Commitment: crypto.Hash{1}}}) // of somebody else
	must(err)
	b.node, err = nodetest.StartOrdered(filepath.Join(t.TempDir(), "node"), "City ledger", b.clock, b.b)
	must(err)
	t.Cleanup(b.node.Close)
	inv, err := b.node.Invitation()
	must(err)
	n, err := node.Dial(ctx, inv, node.Options{})
	must(err)
	t.Cleanup(func() { n.Close() })
	b.dialed, b.id, b.dir = n.Services(), inv.Ledger, filepath.Join(t.TempDir(), "replica")
	b.doc, err = b.dialed.Ledger.Genesis(ctx)
	must(err)
	must(b.open(b.dir))
	return b
}

// open makes a replica in dir and the ledger on it.
func (b *beside) open(dir string) error {
	var f *folder.Folder
	err := order.Beginning(ctx, b.b, b.doc, func(item order.Item, next uint64) (err error) {
		f, err = folder.CreateReplica(dir, b.doc, item.Entry, folder.Ordered{Next: next, Hour: item.Hour}, folder.Options{Clock: b.clock})
		return err
	})
	if err == nil {
		b.t.Cleanup(func() { f.Close() })
		b.Direct = order.NewDirect("test:order", order.NewLedger(b.b, f, b.clock), b.dialed.Ledger)
		b.Wait = time.Nanosecond
	}
	return err
}

// client verifies all that the ledger says.
func (b *beside) client() *ledgerclient.Client {
	b.t.Helper()
	s := b.dialed
	s.Ledger, s.Now = b.Direct, b.clock
	c, err := ledgerclient.Connect(ctx, s, b.id)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *beside) advance(pin ledgerclient.Pin) (ledgerclient.Pin, error) {
	next, _, err := b.client().Advance(ctx, pin, ledgerclient.Pin{}, func(uint64, *contract.Leaf) error { return nil })
	return next, err
}

func (b *beside) put(es ...contract.Entry) []ledgerclient.Outcome {
	b.t.Helper()
	out, err := b.Append(ctx, es)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// What is appended to the order directly is under the node's head when Append
// returns, and what somebody appended by the node is in the own replica.
func TestDirect(t *testing.T) {
	b := newBeside(t)
	out := b.put(b.record(), b.grant())
	if out[0].Index != 1 || out[1].Index != 2 || out[1].Refusal != nil {
		t.Errorf("outcomes: %+v", out)
	}
	pin, err := b.advance(ledgerclient.Pin{})
	if err != nil || pin.Size != 3 {
		t.Fatalf("%d entries, %v", pin.Size, err)
	}
	if _, err := b.dialed.Ledger.Append(ctx, []contract.Entry{b.record()}); err != nil {
		t.Fatal(err)
	}
	if pin, err = b.advance(pin); err != nil || pin.Size != 4 {
		t.Errorf("by the node: %d entries, %v", pin.Size, err)
	}
	if out := b.put(b.access(b.record())); out[0].Refusal == nil {
		t.Errorf("an access without a grant: %+v", out)
	}
	// The note is the node's own, which is what terms and fetch codes carry.
	theirs, err := b.dialed.Ledger.Checkpoint(ctx)
	if ours, err2 := b.Checkpoint(ctx); err != nil || err2 != nil || !bytes.Equal(ours, theirs) {
		t.Errorf("another checkpoint: %v %v\n%s%s", err, err2, ours, theirs)
	}
	if p := b.Properties(); p.Gate != ledgerclient.Enforced || p.Reach != "test:order, beside it "+b.node.URL || p.Freshness == 0 || p.Clock == "local" {
		t.Errorf("properties: %+v", p)
	}
	// The replica needs none of the node's keys, verifies, and is not the ledger itself.
	f, err := folder.Open(b.dir, folder.Options{Clock: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Verify(ctx, nil, nil); err != nil {
		t.Errorf("replica: %v", err)
	}
	c, err := ledgerclient.Connect(ctx, f.Services(), b.id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Head(ctx); !errors.As(err, new(*ledgerclient.TamperedError)) {
		t.Errorf("a replica's head is taken for the ledger's: %v", err)
	}
}

// Neither the node nor who keeps the order is believed alone.
func TestDirectLies(t *testing.T) {
	tampered := func(err error) bool { return errors.As(err, new(*ledgerclient.TamperedError)) }
	stale := func(err error) bool { return errors.Is(err, ledgerclient.ErrStale) }
	broken := func(err error) bool { return errors.Is(err, order.ErrBroken) }
	rolledBack := func(err error) bool { return errors.As(err, new(*ledgerclient.RollbackError)) }
	away := func(err error) bool { return errors.As(err, new(*ledgerclient.UnreachableError)) }
	for name, c := range map[string]struct {
		lie    func(b *beside)
		caught func(error) bool
	}{
		"the node shows another history":                 {func(b *beside) { b.lie("two-histories", "skip") }, tampered},
		"the node's head is of somebody else":            {func(b *beside) { b.lie("forged-head", "") }, tampered},
		"the node goes back":                             {func(b *beside) { b.lie("rollback", "") }, rolledBack},
		"the node leaves out what was ordered hours ago": {func(b *beside) { b.lie("rollback", ""); b.pass(3 * time.Hour) }, stale},
		"the order drops what the replica has":           {func(b *beside) { b.drop(3) }, broken},
		"the order drops an item before a new replica":   {func(b *beside) { b.drop(3, order.Item{Hour: testHour, Entry: b.record()}); b.anew() }, tampered},
		"the order drops the end before a new replica":   {func(b *beside) { b.drop(4); b.anew() }, tampered},
		"the order is another ledger's":                  {func(b *beside) { b.drop(1) }, broken},
		"nobody keeps the order":                         {func(b *beside) { b.b.head = func() (uint64, error) { return 0, errLost } }, away},
		"nobody is beside it":                            {func(b *beside) { b.node.Stop() }, away},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBeside(t)
			b.put(b.record())
			if err := b.node.Remember(); err != nil {
				t.Fatal(err)
			}
			b.put(b.record(), b.record())
			pin, err := b.advance(ledgerclient.Pin{})
			if err != nil || pin.Size != 4 {
				t.Fatalf("%d entries, %v", pin.Size, err)
			}
			client := b.client()
			c.lie(b)
			client.Ledger = b.Direct
			_, _, err = client.Advance(ctx, pin, ledgerclient.Pin{}, func(uint64, *contract.Leaf) error { return nil })
			if !c.caught(err) {
				t.Errorf("%T %v", err, err)
			}
		})
	}
}

func (b *beside) lie(name, about string) {
	b.t.Helper()
	if err := b.node.Lie(name, about); err != nil {
		b.t.Fatal(err)
	}
}

// drop leaves an item out of the order, and ends it with others.
func (b *beside) drop(which int, more ...order.Item) {
	b.t.Helper()
	all, err := b.b.Memory.Read(ctx, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	kept := append(append(append([]order.Item(nil), all[:which]...), all[which+1:]...), more...)
	b.b.head = func() (uint64, error) { return uint64(len(kept)), nil }
	b.b.read = func(from uint64) ([]order.Item, error) { return kept[min(from, uint64(len(kept))):], nil }
}

// anew begins with a new replica.
func (b *beside) anew() {
	b.t.Helper()
	if err := b.open(filepath.Join(b.t.TempDir(), "new")); err != nil {
		b.t.Fatal(err)
	}
}

// A ledger that does not begin in an order is not looked for in it, whoever says so:
// the first entry is signed.
func TestBeginning(t *testing.T) {
	b := newBeside(t)
	all, err := b.b.Memory.Read(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	forged := all[1]
	forged.Entry.Signature[9] ^= 1
	b.drop(1, forged)
	if err := b.open(filepath.Join(t.TempDir(), "none")); !errors.As(err, new(*ledgerclient.TamperedError)) {
		t.Errorf("a forged beginning: %v", err)
	}
	b.drop(1, forged, all[1])
	if err := b.open(filepath.Join(t.TempDir(), "behind")); err != nil {
		t.Errorf("behind a forged one: %v", err)
	}
}

// A change is done only when the node has read it. Until then it is out of reach, and
// the same again is ordered once.
func TestDirectWaits(t *testing.T) {
	b := newBeside(t)
	b.put(b.record())
	b.lie("withheld-entries", "")
	e := b.record()
	if _, err := b.Append(ctx, []contract.Entry{e}); !errors.As(err, new(*ledgerclient.UnreachableError)) {
		t.Errorf("the node has not read it: %v", err)
	}
	b.pass(2 * time.Minute) // a node looks again before it signs a new time
	if out := b.put(e); !out[0].Duplicate || out[0].Index != 2 {
		t.Errorf("again: %+v", out)
	}
	if n, _ := b.b.Head(ctx); n != 4 {
		t.Errorf("%d items in the order", n)
	}
}

// Several processes use one replica at the same time: what one has consumed, the
// others do not consume again.
func TestDirectTogether(t *testing.T) {
	b := newBeside(t)
	f, err := folder.Open(b.dir, folder.Options{Clock: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ledgers := []*order.Ledger{b.Direct.Ledger, order.NewLedger(b.b, f, b.clock)}
	var all []contract.Entry
	for range 24 {
		all = append(all, b.record())
	}
	var wg sync.WaitGroup
	seen := make([]map[uint64]bool, 2)
	for i, l := range ledgers {
		seen[i] = map[uint64]bool{}
		wg.Go(func() {
			for n := i; n < len(all); n += 2 {
				out, err := l.Append(ctx, all[n:n+1])
				if err != nil || out[0].Refusal != nil || seen[i][out[0].Index] {
					t.Errorf("entry %d: %+v %v", n, out, err)
					return
				}
				seen[i][out[0].Index] = true
			}
		})
	}
	wg.Wait()
	for at := range seen[0] {
		if seen[1][at] {
			t.Errorf("two entries at %d", at)
		}
	}
	if pin, err := b.advance(ledgerclient.Pin{}); err != nil || pin.Size != 25 {
		t.Errorf("%d entries, %v", pin.Size, err)
	}
}
