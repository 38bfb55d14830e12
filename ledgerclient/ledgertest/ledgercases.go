package ledgertest

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/order"
	"golang.org/x/mod/sumdb/tlog"
)

// found orders the founding entry of a ledger and returns where it stands.
func (r *run) found(fd folder.Founding) folder.Ordered {
	at, err := r.b.Configure(r.ctx, fd.Entry, string(fd.Genesis))
	r.must(err)
	items := r.read(at)
	r.check(len(items) > 0 && items[0].Entry == fd.Entry && items[0].Document == string(fd.Genesis), "the founding entry is not at position %d", at)
	return folder.Ordered{Next: at + 1, Hour: items[0].Hour}
}

// replica makes a new replica of the order and the ledger on it. That it is made for another
// ledger than the backend's own, if it keeps one alone ([order.Dedicated]), is hidden: what is
// tested here is what it orders.
func (r *run) replica(fd folder.Founding, at folder.Ordered, name string) *order.Ledger {
	dir := filepath.Join(r.Dir, strconv.FormatUint(r.Seed, 16)+"-"+strconv.Itoa(r.number)+"-"+name)
	f, err := folder.CreateFrom(dir, fd, at, folder.Options{Clock: r.clock})
	r.must(err)
	r.opened = append(r.opened, f)
	return order.NewLedger(struct{ order.Backend }{r.b}, f, r.clock)
}

// ledger opens the ledger under test.
func (r *run) ledger() ledgerclient.Ledger {
	l, err := r.Ledger(r.ctx)
	r.must(err)
	r.opened = append(r.opened, l)
	return l
}

// config reads the configuration of a ledger.
func (r *run) config(l ledgerclient.Ledger) contract.Config {
	doc, err := l.Genesis(r.ctx)
	r.must(err)
	config, err := contract.ParseConfig(doc)
	r.must(err)
	return config
}

// connect connects to a ledger.
func (r *run) connect(l ledgerclient.Ledger) *ledgerclient.Client {
	config := r.config(l)
	var keepers []ledgerclient.Keeper
	for _, k := range config.Keepers {
		keepers = append(keepers, keyOnly{key: k})
	}
	c, err := ledgerclient.Connect(r.ctx, ledgerclient.Services{Ledger: l, Keepers: keepers}, config.LedgerID())
	r.must(err)
	return c
}

// keyOnly is a keeper that the suite does not use.
type keyOnly struct {
	ledgerclient.Keeper
	key crypto.PubKey
}

func (k keyOnly) Key() crypto.PubKey { return k.key }

// model connects to a ledger and builds the model of what is there.
func (r *run) model(l ledgerclient.Ledger) (*ledgerclient.Client, *model) {
	c := r.connect(l)
	m := newModel(c.ID(), c.Config())
	_, _, err := c.Advance(r.ctx, ledgerclient.Pin{Ledger: c.ID()}, ledgerclient.Pin{}, func(i uint64, leaf *contract.Leaf) error {
		if o := m.submit(leaf.Entry, leaf.Hour); o.Refusal != nil || o.Duplicate {
			return fmt.Errorf("leaf %d is not to be accepted: %+v", i, o)
		}
		return nil
	})
	r.must(err)
	return c, m
}

// verify checks that a ledger holds under the contract, to the last hash, and has what
// the model has. It returns the head and the hash of each leaf.
func (r *run) verify(c *ledgerclient.Client, m *model) (ledgerclient.Head, []crypto.Hash) {
	_, _, _, err := c.VerifyAll(r.ctx, 0, crypto.Hash{}, nil)
	r.must(err)
	var hashes []crypto.Hash
	_, head, err := c.Advance(r.ctx, ledgerclient.Pin{Ledger: c.ID()}, ledgerclient.Pin{}, func(i uint64, leaf *contract.Leaf) error {
		if i >= uint64(len(m.leaves)) || m.leaves[i] != (ledgerclient.Placed{Index: i, Hour: leaf.Hour, Entry: leaf.Entry}) {
			return fmt.Errorf("leaf %d is not that of the contract", i)
		}
		raw := leaf.Marshal()
		hashes = append(hashes, crypto.Hash(tlog.RecordHash(raw[:])))
		return nil
	})
	r.must(err)
	r.check(len(hashes) == len(m.leaves), "the checkpoint has %d leaves, the contract %d", len(hashes), len(m.leaves))
	return head, hashes
}

// submit hands entries in and compares each answer with the model's, which judges at
// the same hour and in the same order: at a node by the entries' ids.
func (r *run) submit(l ledgerclient.Ledger, m *model, es ...contract.Entry) []ledgerclient.Outcome {
	out, err := l.Append(r.ctx, es)
	r.must(err)
	r.check(len(out) == len(es), "%d answers to %d entries", len(out), len(es))
	word := func(o ledgerclient.Outcome) string {
		switch {
		case o.Refusal != nil:
			return "refused by rule " + string(o.Refusal.Rule)
		case o.Duplicate:
			return fmt.Sprintf("a duplicate of entry %d of hour %d", o.Index, o.Hour)
		}
		return fmt.Sprintf("entry %d", o.Index)
	}
	judged := ledgerclient.Mixed(m.ledger, es)
	if l.Properties().Clock != "node" {
		slices.Sort(judged) // as they are handed in
	}
	for _, i := range judged {
		got := out[i]
		last := m.leaves[len(m.leaves)-1].Hour
		r.check(got.Hour >= last || got.Duplicate, "judged at hour %d, before that of the last leaf, %d", got.Hour, last)
		want := m.submit(es[i], got.Hour)
		r.check(got.ID == want.ID && word(got) == word(want), "answer %d: %s; the contract: %s", i, word(got), word(want))
	}
	return out
}

// seeded hands in the seeded entries and compares the answers and the root.
func (r *run) seeded(l ledgerclient.Ledger) {
	c, m := r.model(l)
	s := newSubmissions(c.ID(), r.Seed, r.now())
	accepted, refused, again := 0, 0, 0
	for n := 0; n < r.Entries; {
		es := s.batch(min(1+s.r.IntN(64), r.Entries-n))
		for _, o := range r.submit(l, m, es...) {
			r.check(r.SetHour == nil || o.Duplicate || o.Hour == s.hour, "judged at hour %d, and it is %d", o.Hour, s.hour)
			switch {
			case o.Refusal != nil:
				refused++
			case o.Duplicate:
				again++
			default:
				accepted++
			}
		}
		n += len(es)
		if r.SetHour != nil && s.r.IntN(3) == 0 {
			s.hour += contract.Hour(1 + s.r.IntN(2))
			r.setHour(s.hour)
		}
	}
	head, _ := r.verify(c, m)
	r.detail = fmt.Sprintf("%d accepted, %d refused, %d again: %d leaves, root %s", accepted, refused, again, head.Size, head.Root)
}

func seededOrder(r *run) {
	r.reopen()
	r.start(FirstHour)
	fd := Founding(r.Seed)
	r.seeded(r.replica(fd, r.found(fd), "seeded"))
}

func seededLedger(r *run) {
	r.start(FirstHour)
	r.seeded(r.ledger())
}

// derived orders everything of a seeded run directly, junk with it, and derives
// the log twice: a few items at a time, and all at the end.
func derived(r *run) {
	r.open()
	fd := Founding(r.seed())
	at := r.found(fd)
	first := r.replica(fd, at, "first")
	config := r.config(first)
	s := newSubmissions(config.LedgerID(), r.seed(), r.now())
	rnd := rand.New(rand.NewPCG(r.seed(), 2))
	for range 8 {
		some := slices.DeleteFunc(s.batch(1+rnd.IntN(20)), func(e contract.Entry) bool { return e.Kind == contract.KindConfig })
		r.append(some...)
		doc := fmt.Sprint("no document ", rnd.Uint64()) // of no configuration, which every reader knows to be none
		r.configure(r.configuration(doc), doc)
		if rnd.IntN(2) == 0 {
			r.must(first.Follow(r.ctx))
		}
	}
	second := r.replica(fd, at, "second")
	items := r.readAll(0)
	m := newModel(config.LedgerID(), config)
	for _, i := range items {
		m.submit(i.Entry, i.Hour)
	}
	r.check(1 < len(m.leaves) && len(m.leaves) < len(items), "%d leaves of %d items: the run checks nothing", len(m.leaves), len(items))
	for _, l := range []*order.Ledger{first, second} {
		r.must(l.Follow(r.ctx))
		r.verify(r.connect(l), m)
	}
}

func proofs(r *run) {
	l := r.ledger()
	c, m := r.model(l)
	head, hashes := r.verify(c, m)
	c = r.connect(l) // one that has read no leaves, and must ask for proofs
	rnd := rand.New(rand.NewPCG(r.seed(), 3))
	for range 20 {
		old := 1 + rnd.Uint64N(head.Size)
		err := c.CheckPrefix(r.ctx, old, ledgerclient.ContentHead(hashes[:old]), head)
		r.check(err == nil, "from %d to %d leaves: %w", old, head.Size, err)
	}
	one, ok := l.(ledgerclient.Prover)
	if !ok {
		return // a node is asked about no single entry
	}
	for i, leaf := range m.leaves {
		id := leaf.Entry.ID(m.ledger)
		if i%7 == 0 {
			at, ok, err := one.Find(r.ctx, id)
			r.check(err == nil && ok && at == leaf.Index, "entry %d is found at %d, %v (%v)", i, at, ok, err)
		}
		if th, opens := m.threads[id]; opens && (i%5 == 0 || len(th.FollowUps) > 0) {
			err := c.ProveComplete(r.ctx, head, th.Thread, th.state)
			r.check(err == nil, "the thread opened at entry %d: %w", i, err)
		}
	}
	at, ok, err := one.Find(r.ctx, crypto.Hash{1})
	r.check(err == nil && !ok, "an entry that is nowhere is found at %d (%v)", at, err)
}
