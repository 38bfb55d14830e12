package ledgertest_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/ledgerclient/order"
)

// broken is an order in memory that breaks one rule.
type broken struct {
	ledgertest.Memory
	append func(b *broken, es []contract.Entry, was uint64, p []uint64) []uint64
	before func(b *broken, es []contract.Entry) []contract.Entry // what is really ordered
	read   func(from uint64, items []order.Item) []order.Item
	head   func(uint64) uint64
	opened func(b *broken)
	state  order.State
	each   func(b *broken) order.Backend // what is opened each time, in place of b
}

func (b *broken) Append(ctx context.Context, es []contract.Entry) ([]uint64, error) {
	was, _ := b.Memory.Head(ctx)
	put := es
	if b.before != nil {
		put = b.before(b, slices.Clone(es))
	}
	p, err := b.Memory.Append(ctx, put)
	if b.append != nil {
		p = b.append(b, es, was, p)
	}
	return p, err
}

func (b *broken) Read(ctx context.Context, from uint64) ([]order.Item, error) {
	items, err := b.Memory.Read(ctx, from)
	if b.read != nil {
		items = b.read(from, items)
	}
	return items, err
}

func (b *broken) Head(ctx context.Context) (uint64, error) {
	n, err := b.Memory.Head(ctx)
	if b.head != nil {
		n = b.head(n)
	}
	return n, err
}

func (b *broken) State(context.Context) (*order.State, error) {
	if b.state == (order.State{}) {
		return nil, nil
	}
	return &b.state, nil
}

// stale is a program that reads the order when it is started, and from then on knows only
// what it appends itself. Alone it keeps every rule.
type stale struct {
	ledgertest.Memory // what it knows
	mu                sync.Mutex
	kept              *broken // what lies on the disk
}

// refill puts items into an order as they are.
func refill(m *ledgertest.Memory, items []order.Item) {
	for _, i := range items {
		m.Clock = func() contract.Hour { return i.Hour }
		if i.Document != "" {
			m.Configure(context.Background(), i.Entry, i.Document)
		} else {
			m.Append(context.Background(), []contract.Entry{i.Entry})
		}
	}
}

func startStale(kept *broken) order.Backend {
	s := &stale{kept: kept}
	for at := uint64(0); ; {
		items, _ := kept.Memory.Read(context.Background(), at)
		refill(&s.Memory, items)
		if at += uint64(len(items)); len(items) == 0 {
			break
		}
	}
	s.Clock = kept.Clock
	return s
}

func (s *stale) Configure(ctx context.Context, e contract.Entry, document string) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, err := s.kept.Memory.Configure(ctx, e, document); err != nil {
		return at, err
	}
	return s.Memory.Configure(ctx, e, document)
}

func (s *stale) Append(ctx context.Context, es []contract.Entry) ([]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, err := s.kept.Memory.Append(ctx, es); err != nil {
		return p, err
	}
	return s.Memory.Append(ctx, es)
}

// Each of these backends breaks one rule. The suite must say so in the case that
// is there for the rule.
func TestBrokenBackendsAreCaught(t *testing.T) {
	lane.OneGoroutine(t)
	hour := contract.Hour(0)
	now := func() contract.Hour { return hour }
	type breaks struct {
		rule string // the case that must say so
		b    *broken
	}
	table := []breaks{
		{"positions", &broken{append: func(_ *broken, _ []contract.Entry, was uint64, p []uint64) []uint64 { return p[:len(p)-1] }}},
		{"read", &broken{read: func(_ uint64, items []order.Item) []order.Item {
			for i := range items {
				if items[i].Entry.Version == '\n' { // a line end in a file of lines
					items[i].Entry.Version = ' '
				}
			}
			return items
		}}},
		{"same-bytes", &broken{before: func(b *broken, es []contract.Entry) []contract.Entry {
			r, _ := b.Memory.Read(context.Background(), 0)
			for i := range es { // every third entry is taken for a new one
				if n := len(r); n > 0 && r[n-1].Entry == es[i] {
					es[i].Hours ^= 0x55
				}
			}
			return es
		}}},
		{"same-bytes", &broken{before: func(b *broken, es []contract.Entry) []contract.Entry {
			r, _ := b.Memory.Read(context.Background(), 0)
			for i := range es { // an entry is known by what is signed
				for _, old := range r {
					same := old.Entry
					same.Signature = es[i].Signature
					if same == es[i] {
						es[i] = old.Entry
					}
				}
			}
			return es
		}}},
		{"positions", &broken{before: func(_ *broken, es []contract.Entry) []contract.Entry {
			if len(es) == order.MaxAppend {
				es[100], es[101] = es[101], es[100]
			}
			return es
		}}},
		{"read", &broken{read: func(from uint64, items []order.Item) []order.Item {
			if len(items) > 1000 {
				items[900] = items[0]
			}
			return items
		}}},
		{"positions", &broken{head: func(n uint64) uint64 { return n / 2 * 2 }}},
		{"documents", &broken{read: func(_ uint64, items []order.Item) []order.Item {
			for i := range items { // an order that keeps 222 bytes of each
				items[i].Document = ""
			}
			return items
		}}},
		{"documents", &broken{before: func(_ *broken, es []contract.Entry) []contract.Entry {
			for i := range es { // whoever orders it first without its document takes its place
				if es[i].Kind == contract.KindConfig {
					es[i].Kind = contract.KindRecord
				}
			}
			return es
		}}},
		{"durable", &broken{read: func(from uint64, items []order.Item) []order.Item {
			for i := range items { // hours are those of the reading
				items[i].Hour = hour
			}
			return items
		}}},
		{"durable", &broken{opened: func(b *broken) {
			clock := b.Clock
			items, _ := b.Memory.Read(context.Background(), 0)
			b.Memory = ledgertest.Memory{Clock: clock} // comes back without the last item
			refill(&b.Memory, items[:max(0, len(items)-1)])
			b.Clock = clock
		}}},
		{"hours", &broken{Memory: ledgertest.Memory{Clock: func() contract.Hour { return hour + 5 }}}},
		{"clock", &broken{read: func(from uint64, items []order.Item) []order.Item {
			for i := range items {
				items[i].Hour -= items[i].Hour % 3
			}
			return items
		}}},
		{"concurrent", &broken{append: func(_ *broken, es []contract.Entry, was uint64, p []uint64) []uint64 {
			if len(es) == 7 { // the positions are those of before the lock was taken
				for i := range p {
					p[i] = was + uint64(i)
				}
			}
			return p
		}}},
		{"derived", &broken{read: func(from uint64, items []order.Item) []order.Item {
			if from > 0 { // two readers see two orders
				r := rand.New(rand.NewPCG(uint64(len(items)), 0))
				r.Shuffle(len(items), func(i, j int) {
					items[i], items[j] = items[j], items[i]
					items[i].Hour, items[j].Hour = items[j].Hour, items[i].Hour
				})
			}
			return items
		}}},
		{"seeded", &broken{before: func(_ *broken, es []contract.Entry) []contract.Entry {
			if len(es) > 30 && es[0].Version == contract.Version && es[1].Version == contract.Version { // sorted, as by a careless chain
				slices.Reverse(es)
			}
			return es
		}}},
		{"state", &broken{state: order.State{Words: "1 of 4 decides"}}},
		{"state", &broken{state: order.State{Decides: true, Waits: time.Second, Words: "decides"}}},
		{"state", &broken{state: order.State{Decides: true}}},
		{"together", &broken{each: startStale}},
	}
	harness := func(b *broken, only string) ledgertest.Harness {
		return ledgertest.Harness{
			Dir:  t.TempDir(),
			Only: only,
			Seed: 1, Entries: 600,
			SetHour: func(h contract.Hour) error { hour = h; return nil },
			Order: func(context.Context) (order.Backend, error) {
				if b.opened != nil {
					b.opened(b)
				}
				if b.each != nil {
					return b.each(b), nil
				}
				return b, nil
			},
		}
	}
	guarded := map[string]bool{}
	for i, x := range table {
		b := x.b
		guarded[x.rule] = true
		if b.Clock == nil {
			b.Clock = now
		}
		caught, only := false, x.rule
		if b.each != nil { // no other case finds it
			only = ""
		}
		err := ledgertest.Check(t.Context(), harness(b, only), func(r ledgertest.Result) {
			if r.Err != nil {
				if r.Name != x.rule {
					t.Errorf("backend %d, which breaks the rule of %s, breaks that of %s: %v", i, x.rule, r.Name, r.Err)
				}
				caught = true
				t.Logf("%s: %v", r.Name, r.Err)
			}
		})
		if err != nil || !caught {
			t.Errorf("%s: backend %d, which breaks the rule, passes (%v)", x.rule, i, err)
		}
	}
	for _, c := range ledgertest.Cases(ledgertest.Harness{Order: harness(nil, "").Order}) {
		if !guarded[c.Name] {
			t.Errorf("no backend breaks the rule of %s: %s", c.Name, c.Rule)
		}
	}
}

// lying is a folder ledger that breaks one rule.
type lying struct {
	*folder.Folder
	outcomes func(es []contract.Entry, out []ledgerclient.Outcome)
	find     func(at uint64) uint64
	keeper   func(k ledgerclient.Keeper) ledgerclient.Keeper
}

// forgetful keeps a receipt and gives it again, whatever happened since.
type forgetful struct {
	ledgerclient.Keeper
	given map[contract.ID]ledgerclient.Receipt
}

func (k forgetful) Deposit(ctx context.Context, ds []ledgerclient.Deposit) ([]ledgerclient.Receipt, error) {
	if r, ok := k.given[ds[0].Grant]; ok {
		return []ledgerclient.Receipt{r}, nil
	}
	r, err := k.Keeper.Deposit(ctx, ds)
	if err == nil {
		k.given[ds[0].Grant] = r[0]
	}
	return r, err
}

func (l lying) Append(ctx context.Context, es []contract.Entry) ([]ledgerclient.Outcome, error) {
	out, err := l.Folder.Append(ctx, es)
	if l.outcomes != nil {
		l.outcomes(es, out)
	}
	return out, err
}

func (l lying) Find(ctx context.Context, id contract.ID) (uint64, bool, error) {
	at, ok, err := l.Folder.Find(ctx, id)
	if l.find != nil {
		at = l.find(at)
	}
	return at, ok, err
}

func TestLyingLedgersAreCaught(t *testing.T) {
	lane.OneGoroutine(t)
	type lies struct {
		rule string // the case that must say so
		l    lying
	}
	table := []lies{
		{"seeded", lying{outcomes: func(_ []contract.Entry, out []ledgerclient.Outcome) {
			for i := range out {
				if r := out[i].Refusal; r != nil && r.Rule == contract.RuleOncePerHour {
					r.Rule = contract.RuleExpired
				}
			}
		}}},
		{"seeded", lying{outcomes: func(es []contract.Entry, out []ledgerclient.Outcome) {
			for i := range out {
				out[i].Duplicate = false
			}
		}}},
		{"proofs", lying{find: func(at uint64) uint64 { return at &^ 1 }}},
		{"stopped", lying{keeper: func(k ledgerclient.Keeper) ledgerclient.Keeper {
			return forgetful{k, map[contract.ID]ledgerclient.Receipt{}}
		}}},
	}
	hour := ledgertest.FirstHour
	clock := func() time.Time { return time.Unix(int64(hour)*3600, 0) }
	guarded := map[string]bool{}
	for i, x := range table {
		l := x.l
		guarded[x.rule] = true
		hour = ledgertest.FirstHour
		dir := filepath.Join(t.TempDir(), "ledger")
		f, err := folder.CreateFrom(dir, ledgertest.Founding(1), folder.Ordered{}, folder.Options{Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		caught := false
		err = ledgertest.Check(t.Context(), ledgertest.Harness{
			Seed: 1, Entries: 400,
			SetHour: func(h contract.Hour) error { hour = h; return nil },
			Ledger: func(context.Context) (ledgerclient.Ledger, error) {
				l.Folder, err = folder.Open(dir, folder.Options{Clock: clock})
				return l, err
			},
			Keeper: func(context.Context) (ledgerclient.Keeper, error) {
				k := l.Folder.Services().Keepers[0]
				if l.keeper != nil {
					k = l.keeper(k)
				}
				return k, nil
			},
		}, func(r ledgertest.Result) {
			if r.Name == x.rule && r.Err != nil {
				caught = true
				t.Logf("%s: %v", r.Name, r.Err)
			}
		})
		if err != nil || !caught {
			t.Errorf("%s: ledger %d, which breaks the rule, passes (%v)", x.rule, i, err)
		}
	}
	for _, c := range ledgertest.Cases(ledgertest.Harness{Ledger: func(context.Context) (ledgerclient.Ledger, error) { return nil, nil }}) {
		if !guarded[c.Name] {
			t.Errorf("no ledger breaks the rule of %s: %s", c.Name, c.Rule)
		}
	}
}
