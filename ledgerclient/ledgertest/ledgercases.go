package ledgertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/order"
)

// clock is that of the machine where replicas are.
func (r *run) clock() time.Time {
	if r.SetHour == nil {
		return time.Now()
	}
	return time.Unix(int64(*r.hour)*3600+1800, 0)
}

// found orders the founding entry of a ledger and returns where it stands.
func (r *run) found(ctx context.Context, b order.Backend, fd folder.Founding) (folder.Ordered, error) {
	p, err := appendTo(ctx, b, []contract.Entry{fd.Entry})
	if err != nil {
		return folder.Ordered{}, err
	}
	items, err := b.Read(ctx, p[0])
	if err != nil {
		return folder.Ordered{}, err
	}
	if len(items) == 0 || items[0].Entry != fd.Entry {
		return folder.Ordered{}, failf("the founding entry is not at position %d", p[0])
	}
	return folder.Ordered{Next: p[0] + 1, Hour: items[0].Hour}, nil
}

// replica makes a new replica of an order and the ledger on it.
func (r *run) replica(b order.Backend, fd folder.Founding, at folder.Ordered, name string) (*order.Ledger, error) {
	dir := filepath.Join(r.Dir, strconv.FormatUint(r.Seed, 16)+"-"+strconv.Itoa(r.number)+"-"+name)
	f, err := folder.CreateFrom(dir, fd, at, folder.Options{Clock: r.clock})
	if err != nil {
		return nil, err
	}
	r.opened = append(r.opened, f)
	return order.NewLedger(b, f, r.clock), nil
}

// connect connects to a ledger and builds the model of what is there.
func connect(ctx context.Context, l ledgerclient.Ledger) (*ledgerclient.Client, *model, error) {
	doc, err := l.Genesis(ctx)
	if err != nil {
		return nil, nil, err
	}
	config, err := contract.ParseConfig(doc)
	if err != nil {
		return nil, nil, err
	}
	var keepers []ledgerclient.Keeper
	for _, k := range config.Keepers {
		keepers = append(keepers, keyOnly{key: k})
	}
	c, err := ledgerclient.Connect(ctx, ledgerclient.Services{Ledger: l, Keepers: keepers}, config.LedgerID())
	if err != nil {
		return nil, nil, err
	}
	m := newModel(c.ID(), c.Params())
	if err := follow(ctx, c, m); err != nil {
		return nil, nil, err
	}
	return c, m, nil
}

// keyOnly is a keeper that the suite does not use.
type keyOnly struct {
	ledgerclient.Keeper
	key crypto.PubKey
}

func (k keyOnly) Key() crypto.PubKey { return k.key }

// follow brings a model up to a ledger's head, which must be what the contract
// makes of the leaves.
func follow(ctx context.Context, c *ledgerclient.Client, m *model) error {
	head, err := c.Head(ctx)
	if err != nil {
		return err
	}
	for n := uint64(len(m.leaves)); n < head.Size; {
		to := min(n+4096, head.Size)
		leaves, err := c.Ledger.Leaves(ctx, n, to)
		if err != nil {
			return err
		}
		if uint64(len(leaves)) != to-n {
			return failf("%d leaves from %d to %d", len(leaves), n, to)
		}
		for i := range leaves {
			if o := m.submit(leaves[i].Entry, leaves[i].Hour); o.Refusal != nil || o.Duplicate {
				return failf("leaf %d is not to be accepted: %+v", n, o)
			}
			if m.leaves[n].StateRoot != leaves[i].StateRoot {
				return failf("leaf %d has another state root than the contract gives it", n)
			}
			n++
		}
	}
	return sameRoot(head, m)
}

func sameRoot(head ledgerclient.Head, m *model) error {
	if head.Size != uint64(len(m.leaves)) || head.Root != m.log.root() {
		return failf("the checkpoint has %d leaves and root %s, the contract %d and %s", head.Size, head.Root, len(m.leaves), m.log.root())
	}
	return nil
}

// compare compares an answer with the model's, which judges at the same hour.
func compare(m *model, e contract.Entry, got ledgerclient.Outcome) error {
	hour := got.Hour
	if n := len(m.leaves); hour < m.leaves[n-1].Hour && !got.Duplicate {
		return failf("judged at hour %d, before that of the last leaf, %d", hour, m.leaves[n-1].Hour)
	}
	want := m.submit(e, hour)
	word := func(o ledgerclient.Outcome) string {
		switch {
		case o.Refusal != nil:
			return "refused by rule " + string(o.Refusal.Rule)
		case o.Duplicate:
			return fmt.Sprintf("a duplicate of entry %d of hour %d", o.Index, o.Hour)
		}
		return fmt.Sprintf("entry %d", o.Index)
	}
	if got.ID != want.ID || word(got) != word(want) {
		return failf("answer: %s; the contract: %s", word(got), word(want))
	}
	return nil
}

// seeded hands in the seeded entries and compares the answers and the root.
func (r *run) seeded(ctx context.Context, l ledgerclient.Ledger) error {
	c, m, err := connect(ctx, l)
	if err != nil {
		return err
	}
	hour := contract.Hour(r.clock().Unix() / 3600)
	s := newSubmissions(c.ID(), r.Seed, hour)
	kinds := map[string]int{}
	for n := 0; n < r.Entries; {
		es := s.batch(min(1+s.r.IntN(64), r.Entries-n))
		out, err := l.Append(ctx, es)
		if err != nil {
			return err
		}
		if len(out) != len(es) {
			return failf("%d answers to %d entries", len(out), len(es))
		}
		for i := range es {
			if err := compare(m, es[i], out[i]); err != nil {
				return failf("entry %d of the run: %w", n+i, err)
			}
			if r.SetHour != nil && !out[i].Duplicate && out[i].Hour != s.hour {
				return failf("entry %d of the run: judged at hour %d, and it is %d", n+i, out[i].Hour, s.hour)
			}
			switch {
			case out[i].Refusal != nil:
				kinds["refused"]++
			case out[i].Duplicate:
				kinds["again"]++
			default:
				kinds["accepted"]++
			}
		}
		n += len(es)
		if r.SetHour != nil && s.r.IntN(3) == 0 {
			s.hour += contract.Hour(1 + s.r.IntN(2))
			if err := r.setHour(s.hour); err != nil {
				return err
			}
		}
	}
	head, err := c.Head(ctx)
	if err != nil {
		return err
	}
	if err := sameRoot(head, m); err != nil {
		return err
	}
	r.detail = fmt.Sprintf("%d accepted, %d refused, %d again: %d leaves, root %s", kinds["accepted"], kinds["refused"], kinds["again"], head.Size, head.Root)
	return nil
}

func seededOrder(ctx context.Context, r *run) error {
	b, err := r.backend(ctx)
	if err != nil {
		return err
	}
	if r.SetHour != nil {
		if err := r.setHour(FirstHour); err != nil {
			return err
		}
	}
	fd := Founding(r.Seed)
	at, err := r.found(ctx, b, fd)
	if err != nil {
		return err
	}
	l, err := r.replica(b, fd, at, "seeded")
	if err != nil {
		return err
	}
	return r.seeded(ctx, l)
}

func seededLedger(ctx context.Context, r *run) error {
	if r.SetHour != nil {
		if err := r.setHour(FirstHour); err != nil {
			return err
		}
	}
	l, err := r.ledger(ctx)
	if err != nil {
		return err
	}
	return r.seeded(ctx, l)
}

// ledger opens the ledger under test.
func (r *run) ledger(ctx context.Context) (ledgerclient.Ledger, error) {
	l, err := r.Ledger(ctx)
	if c, ok := l.(interface{ Close() error }); ok && err == nil {
		r.opened = append(r.opened, c)
	}
	return l, err
}

// derived orders everything of a seeded run directly, junk with it, and derives
// the log twice: a few items at a time, and all at the end.
func derived(ctx context.Context, r *run) error {
	b, _, err := r.begin(ctx)
	if err != nil {
		return err
	}
	fd := Founding(r.seed())
	at, err := r.found(ctx, b, fd)
	if err != nil {
		return err
	}
	first, err := r.replica(b, fd, at, "first")
	if err != nil {
		return err
	}
	s := newSubmissions(idOf(fd), r.seed(), contract.Hour(r.clock().Unix()/3600))
	rnd := rand.New(rand.NewPCG(r.seed(), 2))
	for range 8 {
		if _, err := appendTo(ctx, b, s.batch(1+rnd.IntN(20))); err != nil {
			return err
		}
		if rnd.IntN(2) == 0 {
			if err := first.Follow(ctx); err != nil {
				return err
			}
		}
	}
	second, err := r.replica(b, fd, at, "second")
	if err != nil {
		return err
	}
	items, err := readAll(ctx, b, 0)
	if err != nil {
		return err
	}
	config, err := contract.ParseConfig(fd.Genesis)
	if err != nil {
		return err
	}
	m := newModel(idOf(fd), config.Params())
	for i := range items {
		m.submit(items[i].Entry, items[i].Hour)
	}
	if len(m.leaves) < 2 || len(m.leaves) >= len(items) {
		return failf("%d leaves of %d items: the run checks nothing", len(m.leaves), len(items))
	}
	for _, l := range []*order.Ledger{first, second} {
		if err := l.Follow(ctx); err != nil {
			return err
		}
		c, _, err := connect(ctx, l)
		if err != nil {
			return err
		}
		head, err := c.Head(ctx)
		if err != nil {
			return err
		}
		if err := sameRoot(head, m); err != nil {
			return err
		}
	}
	return nil
}

func againLedger(ctx context.Context, r *run) error {
	l, err := r.ledger(ctx)
	if err != nil {
		return err
	}
	c, m, err := connect(ctx, l)
	if err != nil {
		return err
	}
	s := newSubmissions(c.ID(), r.seed(), contract.Hour(r.clock().Unix()/3600))
	e := s.open(contract.KindRecord)
	for i := range 3 {
		out, err := l.Append(ctx, []contract.Entry{e, e})
		if err != nil {
			return err
		}
		if len(out) != 2 {
			return failf("%d answers to 2 entries", len(out))
		}
		for j := range out {
			if out[j].Duplicate != (i+j > 0) {
				return failf("duplicate: %v", out[j].Duplicate)
			}
			if err := compare(m, e, out[j]); err != nil {
				return err
			}
		}
	}
	head, err := c.Head(ctx)
	if err != nil {
		return err
	}
	return sameRoot(head, m)
}

func proofs(ctx context.Context, r *run) error {
	l, err := r.ledger(ctx)
	if err != nil {
		return err
	}
	c, m, err := connect(ctx, l)
	if err != nil {
		return err
	}
	head, err := c.Head(ctx)
	if err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(r.seed(), 3))
	for range 20 {
		old := 1 + rnd.Uint64N(head.Size)
		part := newModel(m.ledger, m.params)
		for i := range old {
			part.submit(m.leaves[i].Entry, m.leaves[i].Hour)
		}
		if err := c.CheckPrefix(ctx, old, part.log.root(), head); err != nil {
			return failf("from %d to %d leaves: %w", old, head.Size, err)
		}
		if old > 200 {
			break // the model takes a while
		}
	}
	at, ok := l.(ledgerclient.Prover)
	if !ok {
		return nil // a node is asked about no single entry
	}
	placed := func(i uint64) ledgerclient.Placed {
		return ledgerclient.Placed{Index: i, Hour: m.leaves[i].Hour, Entry: m.leaves[i].Entry}
	}
	for i := range m.leaves {
		id := m.leaves[i].Entry.ID(m.ledger)
		if i%7 == 0 {
			found, ok, err := at.Find(ctx, id)
			if err != nil || !ok || found != uint64(i) {
				return failf("entry %d is found at %d, %v (%v)", i, found, ok, err)
			}
		}
		if m.states[i].Status == contract.StatusNone || i%5 != 0 && len(m.follows[uint64(i)]) == 0 {
			continue
		}
		th := ledgerclient.Thread{Opening: placed(uint64(i))}
		for _, f := range m.follows[uint64(i)] {
			th.FollowUps = append(th.FollowUps, placed(f))
		}
		if err := c.ProveComplete(ctx, head, th, m.states[i]); err != nil {
			return failf("the thread opened at entry %d: %w", i, err)
		}
	}
	id := crypto.Hash{1}
	if found, ok, err := at.Find(ctx, id); err != nil || ok {
		return failf("an entry that is nowhere is found at %d (%v)", found, err)
	}
	return nil
}
