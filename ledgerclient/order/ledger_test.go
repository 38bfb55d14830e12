package order_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/ledgerclient/order"
)

var ctx = context.Background()

const testHour contract.Hour = 490_000

// backend is an order in memory whose answers a test can change.
type backend struct {
	ledgertest.Memory
	append func(es []contract.Entry) ([]uint64, error)
	read   func(from uint64) ([]order.Item, error)
	head   func() (uint64, error)
}

func (b *backend) Append(ctx context.Context, es []contract.Entry) ([]uint64, error) {
	if b.append != nil {
		return b.append(es)
	}
	return b.Memory.Append(ctx, es)
}

func (b *backend) Read(ctx context.Context, from uint64) ([]order.Item, error) {
	if b.read != nil {
		return b.read(from)
	}
	return b.Memory.Read(ctx, from)
}

func (b *backend) Head(ctx context.Context) (uint64, error) {
	if b.head != nil {
		return b.head()
	}
	return b.Memory.Head(ctx)
}

type world struct {
	*order.Ledger
	b    *backend
	hour contract.Hour
	id   crypto.LedgerID
	fd   folder.Founding
	key  *crypto.PrivateKey
	n    int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{hour: testHour, fd: ledgertest.Founding(9), key: crypto.GenerateKey()}
	w.id = contract.LedgerID(w.fd.Genesis)
	w.b = &backend{Memory: ledgertest.Memory{Clock: func() contract.Hour { return w.hour }}}
	if _, err := w.b.Configure(ctx, w.fd.Entry, string(w.fd.Genesis)); err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return time.Unix(int64(w.hour)*3600, 0) }
	f, err := folder.CreateFrom(filepath.Join(t.TempDir(), "l"), w.fd, folder.Ordered{Next: 1, Hour: testHour}, folder.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	w.Ledger = order.NewLedger(w.b, f, clock)
	return w
}

func (w *world) sign(e contract.Entry) contract.Entry {
	w.n++
	e.Version, e.Author, e.Commitment = contract.Version, w.key.Public(), crypto.Hash{byte(w.n), byte(w.n >> 8)}
	if e.Sign(w.id, w.key) != nil {
		panic("the key is the author's")
	}
	return e
}

func (w *world) record() contract.Entry { return w.sign(contract.Entry{Kind: contract.KindRecord}) }

func (w *world) grant() contract.Entry {
	return w.sign(contract.Entry{Kind: contract.KindGrant, Counterparty: w.key.Public(), NotAfter: testHour + 100})
}

func (w *world) access(grant contract.Entry) contract.Entry {
	return w.sign(contract.Entry{Kind: contract.KindAccess, Subject: grant.ID(w.id), NotBefore: testHour - 1, NotAfter: testHour + 48})
}

var errLost = errors.New("connection lost")

// A time-out is an answer: the ledger looks the entries up in the order, and says
// "out of reach" only if they are not there yet. Sent again, they are ordered once.
func TestUnknownIsLookedUp(t *testing.T) {
	for _, ordered := range []bool{true, false} {
		w := newWorld(t)
		e := w.record()
		w.b.append = func(es []contract.Entry) ([]uint64, error) {
			if ordered {
				w.b.Memory.Append(ctx, es)
			}
			return nil, order.ErrUnknown.Of(errLost)
		}
		out, err := w.Append(ctx, []contract.Entry{e})
		var away *ledgerclient.UnreachableError
		if ordered && (err != nil || out[0].Index != 1 || out[0].Refusal != nil) {
			t.Errorf("it was ordered: %+v, %v", out, err)
		}
		if !ordered && !(errors.As(err, &away) && errors.Is(err, errLost)) {
			t.Errorf("it was not ordered: %+v, %v", out, err)
		}
		w.b.append = nil
		out, err = w.Append(ctx, []contract.Entry{e})
		if err != nil || out[0].Index != 1 || out[0].Duplicate != ordered {
			t.Errorf("again: %+v, %v", out, err)
		}
		if n, _ := w.b.Head(ctx); n != 2 {
			t.Errorf("%d items in the order", n)
		}
	}
}

// dedicated keeps one ledger alone.
type dedicated struct {
	*backend
	id crypto.LedgerID
}

func (d dedicated) Keeps() crypto.LedgerID { return d.id }

// An order that is another ledger's is not followed, nor is anything entered there.
func TestAnotherOrder(t *testing.T) {
	w := newWorld(t)
	for id, other := range map[crypto.LedgerID]bool{w.id: false, {}: false, {7}: true} {
		l := order.NewLedger(dedicated{w.b, id}, w.Replica, func() time.Time { return time.Unix(int64(w.hour)*3600, 0) })
		before, _ := w.b.Head(ctx)
		_, err := l.Append(ctx, []contract.Entry{w.record()})
		if after, _ := w.b.Head(ctx); errors.Is(err, order.ErrAnother) != other || errors.Is(l.Follow(ctx), order.ErrAnother) != other || (after == before) != other {
			t.Errorf("%v: %v, %d items", id, err, after-before)
		}
	}
}

// Who keeps the order orders no more in this time: it is said that nothing was ordered, but not
// where a part of it was, and not where an answer before it was lost.
func TestQuota(t *testing.T) {
	quota := ledgerclient.ErrQuota.With("why", "no more in this hour")
	for _, c := range []struct {
		what      string
		before    int // entries that are ordered by another call
		parts     int // of MaxAppend that are ordered by this one
		err       error
		undecided bool
		more      int
	}{
		{"all of it", 0, 0, quota, false, 1},
		{"a part was ordered", 0, 1, quota, true, order.MaxAppend + 1},
		{"a part was ordered before", 1, 0, quota, true, 1},
		{"nothing is known", 0, 0, order.ErrUnknown.Of(quota), true, 1},
	} {
		w := newWorld(t)
		var es []contract.Entry
		for range c.before + c.more {
			es = append(es, w.record())
		}
		if c.before > 0 {
			if _, err := w.Append(ctx, es[:c.before]); err != nil {
				t.Fatal(err)
			}
		}
		parts := 0
		w.b.append = func(es []contract.Entry) ([]uint64, error) {
			if parts++; parts <= c.parts {
				return w.b.Memory.Append(ctx, es)
			}
			return nil, c.err
		}
		_, err := w.Append(ctx, es)
		if u := ledgerclient.Unreachable(err); u == nil || !errors.Is(err, ledgerclient.ErrQuota) || u.Undecided != c.undecided {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// Threat: somebody submits as much as fits in one request, to a backend that is slow.
// Whoever revokes meanwhile waits for one step of it, and not for all; and does not wait
// longer than it can.
func TestOneStepIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		grant := w.grant()
		if _, err := w.Append(ctx, []contract.Entry{grant}); err != nil {
			t.Fatal(err)
		}
		var many []contract.Entry
		for range 2*order.MaxAppend + 1 {
			many = append(many, w.record())
		}
		revocation := w.sign(contract.Entry{Kind: contract.KindRevoke, Subject: grant.ID(w.id), NotAfter: contract.Forever})
		var steps []int
		next := make(chan struct{})
		w.b.append = func(es []contract.Entry) ([]uint64, error) {
			<-next
			steps = append(steps, len(es))
			return w.b.Memory.Append(ctx, es)
		}
		var asking sync.WaitGroup
		for _, entries := range [][]contract.Entry{many, {revocation}} {
			asking.Go(func() {
				out, err := w.Append(ctx, entries)
				if err != nil || len(out) != len(entries) || out[0].Refusal != nil || out[len(out)-1].Refusal != nil {
					t.Errorf("%d outcomes, %v", len(out), err)
				}
			})
			synctest.Wait()
		}
		hurry, cancel := context.WithCancel(ctx)
		asking.Go(func() {
			if _, err := w.Append(hurry, []contract.Entry{w.record()}); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(next)
		asking.Wait()
		if want := []int{order.MaxAppend, 1, order.MaxAppend, 1}; !slices.Equal(steps, want) {
			t.Errorf("steps of %v entries, not %v", steps, want)
		}
	})
}

// slowReplica takes in an entry only when it may.
type slowReplica struct {
	order.Replica
	entry contract.Entry
	may   chan struct{}
}

func (r slowReplica) Consume(ctx context.Context, position uint64, items []order.Item) ([]ledgerclient.Outcome, error) {
	if slices.ContainsFunc(items, func(i order.Item) bool { return i.Entry == r.entry }) {
		<-r.may
	}
	return r.Replica.Consume(ctx, position, items)
}

// While what was ordered is judged the backend has the next: otherwise each would wait for
// the other.
func TestTheNextIsOrderedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first, second := w.record(), w.record()
		let, may := make(chan struct{}), make(chan struct{})
		l := order.NewLedger(w.b, slowReplica{w.Replica, first, may}, func() time.Time { return time.Unix(int64(w.hour)*3600, 0) })
		w.b.append = func(es []contract.Entry) ([]uint64, error) {
			<-let
			if es[0] == second {
				close(may)
			}
			return w.b.Memory.Append(ctx, es)
		}
		var asking sync.WaitGroup
		for i, e := range []contract.Entry{first, second} {
			asking.Go(func() {
				out, err := l.Append(ctx, []contract.Entry{e})
				if err != nil || out[0].Refusal != nil || out[0].Duplicate || out[0].Index != uint64(1+i) {
					t.Errorf("entry %d: %+v, %v", i, out, err)
				}
			})
			synctest.Wait()
		}
		close(let)
		asking.Wait()
	})
}

// Two hand in the same entry at one time: it is accepted once, and both are told where it
// stands.
func TestTheSameAtOneTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		let := make(chan struct{})
		w.b.append = func(es []contract.Entry) ([]uint64, error) {
			<-let
			return w.b.Memory.Append(ctx, es)
		}
		e := w.record()
		var asking sync.WaitGroup
		outs := make([]ledgerclient.Outcome, 2)
		for i := range outs {
			asking.Go(func() {
				out, err := w.Append(ctx, []contract.Entry{e})
				if err != nil {
					t.Error(err)
					return
				}
				outs[i] = out[0]
			})
			synctest.Wait()
		}
		close(let)
		asking.Wait()
		for i, o := range outs {
			if o.Refusal != nil || o.Index != 1 || o.Duplicate != (i == 1) {
				t.Errorf("%d: %+v", i, o)
			}
		}
	})
}

// Threat: a backend hangs, with what it was given in the order already. Whoever reads does
// not notice: the order is followed, the checkpoint and the keeper tell of a revocation
// that another node ordered meanwhile, and what needs no order is answered. Who submitted
// is told in the end what came of it, though others have taken it in.
func TestReadsDoNotWaitForASubmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		open, ended := w.grant(), w.grant()
		if _, err := w.Append(ctx, []contract.Entry{open, ended}); err != nil {
			t.Fatal(err)
		}
		let := make(chan struct{})
		w.b.append = func(es []contract.Entry) ([]uint64, error) {
			w.b.Memory.Append(ctx, []contract.Entry{w.access(open)}) // by another node
			at, err := w.b.Memory.Append(ctx, es)
			<-let
			return at, err
		}
		accepted, second := w.record(), w.access(open)
		var out []ledgerclient.Outcome
		var asking sync.WaitGroup
		asking.Go(func() {
			var err error
			if out, err = w.Append(ctx, []contract.Entry{accepted, second}); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		revocation := w.sign(contract.Entry{Kind: contract.KindRevoke, Subject: ended.ID(w.id), NotAfter: contract.Forever})
		w.b.Memory.Append(ctx, []contract.Entry{revocation})
		if err := w.Follow(ctx); err != nil {
			t.Error(err)
		}
		note, err := w.Checkpoint(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if head, err := ledgerclient.Unverified(note); err != nil || head.Size != 6 {
			t.Errorf("a checkpoint of %d entries, %v", head.Size, err)
		}
		keeper := w.Replica.(*folder.Folder).Services().Keepers[0]
		q := ledgerclient.Inquiry{Ledger: w.id, Keeper: keeper.Key(), Grant: ended.ID(w.id)}
		q.SignState(w.key)
		if s, err := keeper.State(ctx, q); err != nil || s.Ended != ledgerclient.Stopped {
			t.Errorf("the keeper: %+v, %v", s, err)
		}
		again, err := w.Append(ctx, []contract.Entry{open, w.access(ended)})
		if err != nil || !again[0].Duplicate || again[1].Refusal == nil || again[1].Refusal.Rule != contract.RuleRevoked {
			t.Errorf("what needs no order: %+v, %v", again, err)
		}
		close(let)
		asking.Wait()
		if o := out[0]; o.Refusal != nil || o.Duplicate || o.Index != 4 {
			t.Errorf("accepted, and taken in by another: %+v", o)
		}
		if o := out[1]; o.Refusal == nil || o.Refusal.Rule != contract.RuleOncePerHour {
			t.Errorf("refused, and taken in by another: %+v", o)
		}
	})
}

// Another process with the same folder takes in what was ordered, behind an entry that
// nobody here knew of: each is told where its entry stands, also who handed it in twice.
func TestTakenInByAnotherProcess(t *testing.T) {
	w := newWorld(t)
	clock := func() time.Time { return time.Unix(int64(w.hour)*3600, 0) }
	f, err := folder.Open(w.Properties().Reach, folder.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	other := order.NewLedger(w.b, f, clock)
	w.b.append = func(es []contract.Entry) ([]uint64, error) {
		w.b.Memory.Append(ctx, []contract.Entry{w.record()})
		at, _ := w.b.Memory.Append(ctx, es)
		return at, other.Follow(ctx)
	}
	e := w.record()
	out, err := w.Append(ctx, []contract.Entry{e, e})
	if err != nil || out[0].Index != 2 || out[1].Index != 2 || out[0].Refusal != nil || !out[1].Duplicate {
		t.Errorf("%+v, %v", out, err)
	}
}

// What the contract refuses is not ordered. What became wrong between judging and
// ordering is ordered, refused, and refused again whenever it is sent again.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	grant := w.grant()
	access := w.access(grant)
	rule := func(es ...contract.Entry) []contract.Rule {
		t.Helper()
		out, err := w.Append(ctx, es)
		if err != nil {
			t.Fatal(err)
		}
		rules := make([]contract.Rule, len(es))
		for i := range out {
			if out[i].Refusal != nil {
				rules[i] = out[i].Refusal.Rule
			}
		}
		return rules
	}
	if r := rule(access); r[0] != contract.RuleUnknownSubject {
		t.Errorf("access without a grant: %v", r)
	}
	if n, _ := w.b.Head(ctx); n != 1 {
		t.Errorf("what is refused was ordered: %d items", n)
	}
	if r := rule(grant); r[0] != "" {
		t.Errorf("grant: %v", r)
	}
	// Somebody else's access of the same hour gets in between.
	other := w.access(grant)
	w.b.append = func(es []contract.Entry) ([]uint64, error) {
		w.b.Memory.Append(ctx, []contract.Entry{other})
		return w.b.Memory.Append(ctx, es)
	}
	if r := rule(access, access); r[0] != contract.RuleOncePerHour || r[1] != contract.RuleOncePerHour {
		t.Errorf("the second access of an hour: %v", r)
	}
	w.b.append = nil
	w.hour++
	if r := rule(access); r[0] != contract.RuleOncePerHour {
		t.Errorf("what was ordered and refused is accepted later: %v", r)
	}
	if r := rule(w.access(grant)); r[0] != "" {
		t.Errorf("signed anew: %v", r)
	}
	// Ordered by somebody before its grant was: refused for ever.
	late := w.grant()
	early := w.access(late)
	w.b.Memory.Append(ctx, []contract.Entry{early})
	if r := rule(late, early, early); r[0] != "" || r[1] != contract.RuleUnknownSubject || r[2] != contract.RuleUnknownSubject {
		t.Errorf("ordered before its grant: %v", r)
	}
}

// Threat: one institution orders a configuration entry without its document, or with
// another one, before the others do with the right one. No place is taken by that, and an
// order that shows such an item is followed no further.
func TestDocumentsTravelWithTheOrder(t *testing.T) {
	w := newWorld(t)
	first, err := contract.ParseConfig(w.fd.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	first.Previous, first.Random[0] = first.Commitment(), 9
	first.Approve(w.key) // who is no node: what is ordered is refused by all
	doc := string(first.Marshal())
	e := w.sign(contract.Entry{Kind: contract.KindConfig, Subject: w.fd.Entry.ID(w.id), NotBefore: testHour, NotAfter: testHour + 48})
	e.Commitment = contract.ConfigCommitment([]byte(doc))
	if err := e.Sign(w.id, w.key); err != nil {
		t.Fatal(err)
	}
	out, err := w.Append(ctx, []contract.Entry{e, w.record()})
	if n, _ := w.b.Head(ctx); err != nil || out[0].Refusal == nil || out[0].Refusal.Rule != contract.RuleConfigDocument || out[1].Refusal != nil || n != 2 {
		t.Errorf("handed in without its document: %+v, %v, %d items", out, err, n)
	}
	for _, put := range []func() error{
		func() error { _, err := w.b.Memory.Append(ctx, []contract.Entry{e}); return err },
		func() error { _, err := w.b.Configure(ctx, e, doc[1:]); return err },
	} {
		if n, _ := w.b.Head(ctx); put() == nil || n != 2 {
			t.Errorf("it was ordered without its document: %d items", n)
		}
	}
	if at, err := w.b.Configure(ctx, e, doc); err != nil || at != 2 {
		t.Errorf("with its document: at %d, %v", at, err)
	}
	if out, err := w.Append(ctx, []contract.Entry{w.record()}); err != nil || out[0].Index != 2 {
		t.Errorf("behind it: %+v, %v", out, err)
	}
	for what, change := range map[string]func(i *order.Item){
		"none":                func(i *order.Item) { i.Document = "" },
		"another one":         func(i *order.Item) { i.Document += "\n" },
		"one of a record":     func(i *order.Item) { i.Entry.Kind = contract.KindRecord },
		"for another's entry": func(i *order.Item) { i.Entry.Commitment[0] ^= 1 },
	} {
		n, _ := w.b.Head(ctx)
		item := order.Item{Hour: testHour, Entry: e, Document: doc}
		change(&item)
		w.b.head = func() (uint64, error) { return n + 1, nil }
		w.b.read = func(uint64) ([]order.Item, error) { return []order.Item{item}, nil }
		broken, _ := fault.As(w.Follow(ctx), order.ErrBroken)
		if at, _, _ := w.Consumed(ctx); broken.Value("what") != order.NotWhole || at != n {
			t.Errorf("an order shows %s: %v, taken in up to %d of %d", what, broken, at, n)
		}
		w.b.head, w.b.read = nil, nil
	}
}

// The longest document that contract 1 allows goes with an entry.
func TestLongestDocument(t *testing.T) {
	c := contract.Config{Name: strings.Repeat("n", contract.MaxName), Contract: contract.ContractVersion, Threshold: contract.MaxNodes, Release: contract.MaxKeepers, Previous: crypto.Hash{1}}
	for range contract.MaxNodes {
		n, k := ledgertest.NewInstitution(fmt.Sprint("node ", len(c.Nodes))), ledgertest.NewInstitution(fmt.Sprint("keeper ", len(c.Nodes)))
		c.Nodes, c.Keepers = append(c.Nodes, n.Node()), append(c.Keepers, k.Node().Key)
	}
	for i := range c.Nodes {
		c.Approve(ledgertest.NewInstitution(fmt.Sprint("node ", i)).Key)
	}
	doc := c.Marshal()
	if _, err := contract.ParseConfig(doc); err != nil || len(doc) > order.MaxDocument/2 {
		t.Errorf("%d bytes, %v", len(doc), err)
	}
}

// Handed in three times in one batch: refused ahead of its grant, accepted behind it,
// and then a duplicate of what was accepted, not refused like the first.
func TestRefusedThenAcceptedThenAgain(t *testing.T) {
	w := newWorld(t)
	grant := w.grant()
	access := w.access(grant)
	out, err := w.Append(ctx, []contract.Entry{access, grant, access, access, grant})
	if err != nil {
		t.Fatal(err)
	}
	if out[0].Refusal == nil || out[0].Refusal.Rule != contract.RuleUnknownSubject {
		t.Errorf("ahead of its grant: %+v", out[0])
	}
	for i, want := range map[int]ledgerclient.Outcome{1: {Index: 1}, 2: {Index: 2}, 3: {Index: 2, Duplicate: true}, 4: {Index: 1, Duplicate: true}} {
		if o := out[i]; o.Refusal != nil || o.Index != want.Index || o.Duplicate != want.Duplicate || o.Hour != testHour {
			t.Errorf("%d: %+v", i, o)
		}
	}
}

// An order that cannot be one is not followed, and the log stays as it was.
func TestBrokenOrders(t *testing.T) {
	for what, breakIt := range map[order.Broken]func(w *world){
		order.Shorter: func(w *world) { w.b.head = func() (uint64, error) { return 0, nil } },
		order.Gap:     func(w *world) { w.b.head = func() (uint64, error) { return 9, nil } },
		order.TooMany: func(w *world) {
			w.b.read = func(uint64) ([]order.Item, error) { return make([]order.Item, order.MaxRead+1), nil }
			w.b.head = func() (uint64, error) { return 2, nil }
		},
		order.Backwards: func(w *world) {
			w.b.head = func() (uint64, error) { return 2, nil }
			w.b.read = func(uint64) ([]order.Item, error) { return []order.Item{{Hour: testHour - 1}}, nil }
		},
		order.Ahead: func(w *world) {
			w.b.head = func() (uint64, error) { return 2, nil }
			w.b.read = func(uint64) ([]order.Item, error) { return []order.Item{{Hour: testHour + 2}}, nil }
		},
		order.Moved: func(w *world) {
			other := w.record()
			w.b.append = func(es []contract.Entry) ([]uint64, error) {
				w.b.Memory.Append(ctx, []contract.Entry{other})
				return []uint64{1}, nil
			}
		},
	} {
		w := newWorld(t)
		e := w.record()
		breakIt(w)
		_, err := w.Append(ctx, []contract.Entry{e})
		if broken, _ := fault.As(err, order.ErrBroken); broken.Value("what") != what {
			t.Errorf("%s: %v", what, err)
		}
		if at, _, err := w.Consumed(ctx); err != nil || at > 2 {
			t.Errorf("%s: consumed up to %d (%v)", what, at, err)
		}
		w.b.append, w.b.read, w.b.head = nil, nil, nil
		if out, err := w.Append(ctx, []contract.Entry{e}); err != nil || out[0].Refusal != nil {
			t.Errorf("%s: once it is whole again: %+v, %v", what, out, err)
		}
	}
	w := newWorld(t)
	w.b.head = func() (uint64, error) { return 0, errLost }
	var away *ledgerclient.UnreachableError
	if err := w.Follow(ctx); !errors.As(err, &away) || away.Service != "ledger" {
		t.Errorf("no answer: %v", err)
	}
}

// What an order answers is compared before it is taken in: with what it answers when it
// is asked again, and with the entries that were appended. An answer that is false
// changes nothing for good, and a false one of the past is no refusal.
func TestNothingFalseIsTakenIn(t *testing.T) {
	falsely := map[string]func(i *order.Item){
		"signature": func(i *order.Item) { i.Entry.Signature[9] ^= 1 },
		"kind":      func(i *order.Item) { i.Entry.Kind ^= 1 },
		"subject":   func(i *order.Item) { i.Entry.Subject[0] ^= 0x80 },
		"tag":       func(i *order.Item) { i.Entry.SelfTag[15] ^= 1 },
		"hour":      func(i *order.Item) { i.Hour++ },
	}
	for name, change := range falsely {
		for lies := 1; lies <= 3; lies++ { // two answers that agree are believed, but not about what was appended
			w := newWorld(t)
			e, left := w.record(), 0
			w.b.append = func(es []contract.Entry) ([]uint64, error) {
				left = lies
				return w.b.Memory.Append(ctx, es)
			}
			w.b.read = func(from uint64) ([]order.Item, error) {
				items, err := w.b.Memory.Read(ctx, from)
				if left > 0 && len(items) > 0 {
					left--
					change(&items[0])
				}
				return items, err
			}
			out, err := w.Append(ctx, []contract.Entry{e})
			if name == "hour" && lies > 1 { // whoever keeps an order chooses the hours
				if err != nil || out[0].Refusal != nil {
					t.Errorf("%s, %d times: %+v, %v", name, lies, out, err)
				}
				continue
			}
			if broken, _ := fault.As(err, order.ErrBroken); broken.Value("what") != order.Unlike && broken.Value("what") != order.Moved {
				t.Errorf("%s, %d times: %+v, %v", name, lies, out, err)
			}
			if at, hour, err := w.Consumed(ctx); err != nil || at != 1 || hour != testHour {
				t.Errorf("%s, %d times: taken in up to %d at %d, %v", name, lies, at, hour, err)
			}
			w.b.append, w.b.read = nil, nil
			if out, err := w.Append(ctx, []contract.Entry{e}); err != nil || out[0].Refusal != nil || out[0].Index != 1 || out[0].Hour != testHour {
				t.Errorf("%s, %d times: then %+v, %v", name, lies, out, err)
			}
		}
	}
}

// What was lost to a lie that agreed with itself is said to be lost, and not refused:
// no rule was broken. Items behind the head that was named are left for later.
func TestLostIsNotRefused(t *testing.T) {
	w := newWorld(t)
	grant := w.grant()
	if _, err := w.Append(ctx, []contract.Entry{grant}); err != nil {
		t.Fatal(err)
	}
	for _, e := range []contract.Entry{w.access(grant), w.record()} {
		w.b.append = func(es []contract.Entry) ([]uint64, error) {
			w.b.Memory.Append(ctx, es)
			return nil, order.ErrUnknown.Of(errLost)
		}
		w.b.read = func(from uint64) ([]order.Item, error) {
			items, err := w.b.Memory.Read(ctx, from)
			for i := range items {
				items[i].Entry.Signature[9] ^= 1
			}
			return append(items, order.Item{Hour: testHour}, order.Item{Hour: testHour}), err
		}
		var away *ledgerclient.UnreachableError
		if _, err := w.Append(ctx, []contract.Entry{e}); !errors.As(err, &away) {
			t.Errorf("%v", err)
		}
		w.b.append, w.b.read = nil, nil
		head, _ := w.b.Head(ctx)
		if at, _, err := w.Consumed(ctx); err != nil || at != head {
			t.Fatalf("taken in up to %d of %d, %v", at, head, err)
		}
		out, err := w.Append(ctx, []contract.Entry{e})
		if spent, _ := fault.As(err, ledgerclient.ErrSpent); spent.Value("entry") != e.ID(w.id) {
			t.Errorf("%+v, %v", out, err)
		}
	}
	if out, err := w.Append(ctx, []contract.Entry{w.access(grant)}); err != nil || out[0].Refusal != nil {
		t.Errorf("signed anew: %+v, %v", out, err)
	}
}

// An order that holds the same bytes twice breaks a rule of it. What was refused at the
// one place and stands in the log since the other is not called refused.
func TestTheSameBytesTwice(t *testing.T) {
	for _, lost := range []bool{false, true} {
		w := newWorld(t)
		g := w.grant()
		if _, err := w.Append(ctx, []contract.Entry{g}); err != nil {
			t.Fatal(err)
		}
		items, err := w.b.Read(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		w.b.head = func() (uint64, error) { return uint64(len(items)), nil }
		w.b.read = func(from uint64) ([]order.Item, error) { return items[from:], nil }
		w.b.append = func(es []contract.Entry) ([]uint64, error) {
			items = append(items, order.Item{Hour: testHour, Entry: es[0]}, order.Item{Hour: testHour + 1, Entry: es[0]})
			if lost {
				return nil, order.ErrUnknown.Of(errLost)
			}
			return []uint64{uint64(len(items)) - 1}, nil
		}
		w.hour++
		e := w.sign(contract.Entry{Kind: contract.KindAccess, Subject: g.ID(w.id), NotBefore: testHour + 1, NotAfter: testHour + 48})
		out, err := w.Append(ctx, []contract.Entry{e})
		if err != nil || out[0].Refusal != nil || out[0].Index != 2 {
			t.Errorf("it stands in the log (lost %v): %+v, %v", lost, out, err)
		}
	}
}
