package wallet_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/ledgerclient/order"
	"github.com/carekey/carekey/wallet"
)

// liar is an order that others keep, whose answers a test can change.
type liar struct {
	ledgertest.Memory
	answers map[string]int // so far, by kind
	lie     *lie           // nil: it is honest
	took    bool           // the lie was told
	hold    bool           // it orders nothing, and does not say so
	hangs   chan struct{}  // it says nothing at all before this is closed; nil: it does
	asked   int            // how often it was to order something
}

// lie changes one answer, or every one from that on.
type lie struct {
	about string // "append", "read", "head"
	at    int    // which answer of that kind, from 0
	every bool
	what  func(a *told)
}

// told is what is answered.
type told struct {
	positions []uint64
	items     []order.Item
	head      uint64
	err       error
}

func (l *liar) say(about string, a told) told {
	n := l.answers[about]
	l.answers[about]++
	if l.lie != nil && l.lie.about == about && (n == l.lie.at || l.lie.every && n > l.lie.at) {
		l.lie.what(&a)
		l.took = true
	}
	return a
}

func (l *liar) Append(ctx context.Context, es []contract.Entry) ([]uint64, error) {
	l.asked++
	if l.hangs != nil {
		<-l.hangs
	}
	if l.hold {
		return nil, order.ErrUnknown.Of(errCut)
	}
	positions, err := l.Memory.Append(ctx, es)
	a := l.say("append", told{positions: positions, err: err})
	return a.positions, a.err
}

func (l *liar) Read(ctx context.Context, from uint64) ([]order.Item, error) {
	items, err := l.Memory.Read(ctx, from)
	a := l.say("read", told{items: items, err: err})
	return a.items, a.err
}

func (l *liar) Head(ctx context.Context) (uint64, error) {
	head, err := l.Memory.Head(ctx)
	a := l.say("head", told{head: head, err: err})
	return a.head, a.err
}

// begin counts anew and lies from now on.
func (l *liar) begin(what *lie) {
	l.answers, l.lie, l.took = map[string]int{}, what, false
}

// orderTown is a town whose ledger's order is kept by a liar, beside a folder with
// its store, keeper and key.
type orderTown struct {
	*town
	l *liar
}

func newOrderTown(t testing.TB) *orderTown {
	t.Helper()
	ctx := context.Background()
	tn := &orderTown{town: &town{t: t, dir: t.TempDir(), keys: &memoryKeyring{items: map[string]string{}}, now: noon}}
	tn.l = &liar{Memory: ledgertest.Memory{Clock: func() contract.Hour { return contract.Hour(tn.now.Unix() / 3600) }}}
	tn.l.begin(nil)
	fd := ledgertest.Founding(3)
	first, next, err := order.Begin(ctx, tn.l, fd.Entry, fd.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	f, err := folder.CreateFrom(tn.ledgerDir(), fd, folder.Ordered{Next: next, Hour: first.Hour}, folder.Options{Clock: tn.clock})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return tn
}

// clone is the same town once more.
func (tn *orderTown) clone(t testing.TB) *orderTown {
	t.Helper()
	ctx := context.Background()
	out := &orderTown{town: &town{t: t, dir: t.TempDir(), keys: tn.keys, now: tn.now}}
	out.l = &liar{Memory: ledgertest.Memory{Clock: tn.l.Clock}}
	out.l.begin(nil)
	for _, i := range must(tn.l.Memory.Read(ctx, 0))(t) {
		if i.Document != "" {
			must(out.l.Memory.Configure(ctx, i.Entry, i.Document))(t)
			continue
		}
		must(out.l.Memory.Append(ctx, []contract.Entry{i.Entry}))(t)
	}
	if err := os.CopyFS(out.dir, os.DirFS(tn.dir)); err != nil {
		t.Fatal(err)
	}
	return out
}

func (tn *orderTown) options(name string) wallet.Options {
	tn.t.Helper()
	f, err := folder.Open(tn.ledgerDir(), folder.Options{Clock: tn.clock})
	if err != nil {
		tn.t.Fatal(err)
	}
	tn.t.Cleanup(func() { f.Close() })
	s := f.Services()
	s.Ledger = order.NewDirect("test:x", order.NewLedger(tn.l, f, tn.clock), nil)
	return wallet.Options{Dir: filepath.Join(tn.dir, "home of "+name), Keyring: tn.keys, Services: s, Now: tn.clock}
}

func (tn *orderTown) open(name string) *wallet.Wallet {
	tn.t.Helper()
	return must(wallet.Open(context.Background(), tn.options(name)))(tn.t)
}

// granted makes Maria, who has granted something.
func (tn *orderTown) granted() wallet.Consent {
	tn.t.Helper()
	maria := must(wallet.Create(context.Background(), tn.options("Maria"), crypto.NewEntropy(), "Maria", "x"))(tn.t)
	add(tn.t, maria, "a.txt", "a")
	them := crypto.NewEntropy().Root().Identity().Address()
	if _, _, err := maria.Contacts().Add(context.Background(), "Dr Smith", them.String()); err != nil {
		tn.t.Fatal(err)
	}
	c, _ := grant(tn.t, maria, "Dr Smith", tn.now)
	return c
}

// wantRevoked checks that a revocation that was asked for stands in the log once the
// order is honest again, whatever came of it before.
func (tn *orderTown) wantRevoked(id contract.ID, what string) {
	tn.t.Helper()
	ctx := context.Background()
	tn.l.begin(nil)
	maria := tn.open("Maria")
	s, err := maria.Changes().Sync(ctx)
	if err != nil || len(s.Pending) > 0 {
		tn.t.Errorf("%s: %+v, %v", what, s.Pending, err)
	}
	for _, f := range s.Finished {
		if f.Err != nil {
			tn.t.Errorf("%s: given up: %v", what, f.Err)
		}
	}
	if c, _, err := maria.Consents().Show(ctx, id.String()); err != nil || c.Status != wallet.StatusRevoked {
		tn.t.Errorf("%s: %s, %v", what, c.Status, err)
	}
}

// waiting counts the batches in a person's journal.
func (tn *town) waiting(name string) int {
	tn.t.Helper()
	found, err := filepath.Glob(filepath.Join(tn.dir, "home of "+name, "ledgers", "*", "journal", "*"))
	if err != nil {
		tn.t.Fatal(err)
	}
	return len(found)
}

// flip changes one bit of an entry.
func flip(e *contract.Entry, bit int) {
	raw := e.Marshal()
	raw[bit/8] ^= 1 << (bit % 8)
	changed, err := contract.ParseEntry(raw[:])
	if err != nil {
		panic(err)
	}
	*e = changed
}

// lies are the ways in which an answer of an order can be wrong: each field, and bits
// of each region of it.
func lies() map[string]lie {
	out := map[string]lie{}
	for _, bit := range []int{0, 1, 2, 5, 31, 62, 63} {
		out[fmt.Sprint("head, bit ", bit)] = lie{about: "head", what: func(a *told) { a.head ^= 1 << bit }}
		out[fmt.Sprint("position, bit ", bit)] = lie{about: "append", what: func(a *told) {
			for i := range a.positions {
				a.positions[i] ^= 1 << bit
			}
		}}
	}
	regions := map[string][2]int{"version": {0, 1}, "kind": {1, 2}, "flags": {2, 3}, "hours": {3, 4}, "author": {4, 37}, "counterparty": {37, 70}, "subject": {70, 102},
		"tag": {102, 118}, "not before": {118, 122}, "not after": {122, 126}, "commitment": {126, 158}, "signature": {158, 222}}
	each := func(a *told, f func(i *order.Item)) {
		a.items = append([]order.Item(nil), a.items...)
		for i := range a.items {
			f(&a.items[i])
		}
	}
	for name, r := range regions {
		for _, bit := range []int{r[0] * 8, r[1]*8 - 1} {
			out[fmt.Sprintf("%s, bit %d", name, bit)] = lie{about: "read", what: func(a *told) { each(a, func(i *order.Item) { flip(&i.Entry, bit) }) }}
		}
	}
	for _, bit := range []int{0, 3, 31} {
		out[fmt.Sprint("hour, bit ", bit)] = lie{about: "read", what: func(a *told) { each(a, func(i *order.Item) { i.Hour ^= 1 << bit }) }}
	}
	out["no items"] = lie{about: "read", what: func(a *told) { a.items = nil }}
	out["an item missing"] = lie{about: "read", what: func(a *told) { a.items = a.items[min(1, len(a.items)):] }}
	out["the same item again"] = lie{about: "read", what: func(a *told) {
		a.items = append(append([]order.Item(nil), a.items...), a.items...)
	}}
	out["no position"] = lie{about: "append", what: func(a *told) { a.positions = nil }}
	for _, about := range []string{"append", "read", "head"} {
		out[about+" failed"] = lie{about: about, what: func(a *told) { *a = told{err: errCut} }}
		out[about+" not known"] = lie{about: about, what: func(a *told) { *a = told{err: order.ErrUnknown.Of(errCut)} }}
	}
	return out
}

// Promise 4: a revocation that was signed gets into the log, whatever whoever keeps
// the order answers meanwhile, once or for the whole command: in each field of each
// answer, at each moment.
func TestNoLieOfAnOrderEndsARevocation(t *testing.T) {
	ctx := context.Background()
	told, moments := 0, lane.Pick(12, 1, 1)
	everies := lane.Pick([]bool{false, true}, []bool{false, true}, []bool{false})
	first := newOrderTown(t)
	c := first.granted()
	for name, what := range lies() {
		for _, every := range everies {
			for at := range moments {
				if what.at, what.every = at, every; every && moments == 1 {
					what.at = 1 // behind an honest answer
				}
				tn := first.clone(t)
				maria := tn.open("Maria")
				tn.l.begin(&what)
				rs, err := maria.Consents().Revoke(ctx, []contract.ID{c.ID})
				if !tn.l.took {
					break // there is no such answer any more
				}
				told++
				said := fmt.Sprintf("%s, answer %d, ever after %t (%v)", name, what.at, every, err)
				if err == nil && (len(rs) != 1 || rs[0].Consent.Status != wallet.StatusRevoked) {
					t.Errorf("%s: done, and it is not: %+v", said, rs)
				}
				asked := len(rs) > 0 || err != nil && tn.waiting("Maria") > 0
				if !asked { // nothing was signed: it was refused with a reason, and is asked for again
					if err == nil {
						t.Errorf("%s: nothing was done", said)
					}
					tn.l.begin(nil)
					if _, err := maria.Consents().Revoke(ctx, []contract.ID{c.ID}); err != nil {
						t.Errorf("%s: then: %v", said, err)
					}
				}
				tn.wantRevoked(c.ID, said)
			}
		}
	}
	if told < 30*len(everies) {
		t.Errorf("only %d lies were told", told)
	}
}

// A revocation at whose place something else was taken in, for good, is signed anew:
// its own bytes can never come into the log any more.
func TestLostRevocationIsSignedAnew(t *testing.T) {
	ctx := context.Background()
	tn := newOrderTown(t)
	c := tn.granted()
	maria := tn.open("Maria")
	tn.l.begin(&lie{about: "append", what: func(a *told) {
		// It is ordered, nobody is told where, and whoever looks sees another one.
		*a = told{err: order.ErrUnknown.Of(errCut)}
		tn.l.begin(&lie{about: "read", every: true, what: func(a *told) {
			a.items = append([]order.Item(nil), a.items...)
			for i := range a.items {
				flip(&a.items[i].Entry, 8*200)
			}
		}})
	}})
	if _, err := maria.Consents().Revoke(ctx, []contract.ID{c.ID}); !errors.Is(err, wallet.ErrPending) {
		t.Fatalf("%v", err)
	}
	before := must(tn.l.Memory.Head(ctx))(t)
	tn.wantRevoked(c.ID, "something else was taken in")
	if after := must(tn.l.Memory.Head(ctx))(t); after != before+1 {
		t.Errorf("%d items after %d", after, before)
	}
}

// refusing is a ledger that refuses some bytes for ever.
type refusing struct {
	ledgerclient.Ledger
	rule    contract.Rule
	n       int // how many entries are still to be refused
	refused map[contract.ID]bool
}

func (r *refusing) Append(ctx context.Context, es []contract.Entry) ([]ledgerclient.Outcome, error) {
	doc, err := r.Genesis(ctx)
	if err != nil {
		return nil, err
	}
	id := contract.LedgerID(doc)
	for i := range es {
		e := es[i].ID(id)
		if es[i].Kind == contract.KindRevoke && r.n > 0 && !r.refused[e] {
			r.n--
			r.refused[e] = true
		}
		if r.refused[e] {
			out := make([]ledgerclient.Outcome, len(es))
			for j := range es {
				out[j] = ledgerclient.Outcome{ID: es[j].ID(id), Refusal: &contract.Refusal{Rule: r.rule, Entry: es[j].ID(id), Hour: contract.Hour(noon.Unix() / 3600)}}
			}
			return out, nil
		}
	}
	return r.Ledger.Append(ctx, es)
}

// A refusal is not believed without its reason: what was ordered before its grant is
// signed anew, and nothing ends a revocation whose consent the log shows open.
func TestRefusedRevocations(t *testing.T) {
	ctx := context.Background()
	for _, rule := range []contract.Rule{contract.RuleUnknownSubject, contract.RuleRevoked, contract.RuleNotAuthor, contract.RuleSignature, "nonsense"} {
		for _, n := range []int{1, 2} {
			tn := newTown(t)
			tn.person("Maria")
			o := tn.options("Maria")
			r := &refusing{Ledger: o.Services.Ledger, rule: rule, refused: map[contract.ID]bool{}}
			o.Services.Ledger = r
			maria := must(wallet.Open(ctx, o))(t)
			add(t, maria, "a.txt", "a")
			them := crypto.NewEntropy().Root().Identity().Address()
			if _, _, err := maria.Contacts().Add(ctx, "Dr Smith", them.String()); err != nil {
				t.Fatal(err)
			}
			c, _ := grant(t, maria, "Dr Smith", tn.now)
			r.n = n
			rs, err := maria.Consents().Revoke(ctx, []contract.ID{c.ID})
			if anew := rule == contract.RuleUnknownSubject && n == 1; anew {
				if err != nil || rs[0].Consent.Status != wallet.StatusRevoked || rs[0].Already {
					t.Errorf("%s: %+v, %v", rule, rs, err)
				}
				continue
			}
			if !errors.As(err, new(*ledgerclient.TamperedError)) {
				t.Errorf("%s, %d times: %+v, %v", rule, n, rs, err)
			}
			if left := tn.waiting("Maria"); left != 1 {
				t.Errorf("%s, %d times: %d batches wait", rule, n, left)
			}
			r.n, r.refused = 0, map[contract.ID]bool{}
			if s, err := maria.Changes().Sync(ctx); err != nil || len(s.Finished) != 1 || s.Finished[0].Err != nil {
				t.Errorf("%s, %d times: then %+v, %v", rule, n, s, err)
			}
		}
	}
}

// Threat: the node that takes a wallet's entries keeps them to itself, or refuses them for
// no reason that the log shows. Another node takes them, once, and of the next ones as well. With
// no other they wait: those that were asked before may order them yet, and it is not said that
// they failed.
func TestEntriesGoElsewhere(t *testing.T) {
	ctx := context.Background()
	for _, how := range []string{"kept back", "refused", "of another entry"} {
		for _, lies := range []int{1, 3} {
			tn := newTown(t)
			tn.person("Maria")
			o := tn.options("Maria")
			k := &keptBack{Ledger: o.Services.Ledger, nodes: 2 + lies/3, lies: lies, how: how}
			o.Services.Ledger = k
			maria := must(wallet.Open(ctx, o))(t)
			add := func(text string) error {
				_, _, err := maria.Records().Add(ctx, wallet.Source{Reader: strings.NewReader(text), Name: text + ".txt", Size: 1}, wallet.Describe{}, nil)
				return err
			}
			err := add("a")
			if lies == 1 {
				k.lies = 1
				if next := add("b"); err != nil || next != nil || k.taken != 2 || len(k.why) != 2 {
					t.Errorf("%s: %v, %v, %d batches, doubts %v", how, err, next, k.taken, k.why)
				}
				continue
			}
			u := ledgerclient.Unreachable(err)
			if !errors.As(err, new(*ledgerclient.TamperedError)) || !errors.Is(err, wallet.ErrPending) || u == nil || !u.Undecided || k.taken != 0 || tn.waiting("Maria") != 1 {
				t.Errorf("%s, %d lies: %v, %d batches, %d wait", how, lies, err, k.taken, tn.waiting("Maria"))
			}
			// What is next waits behind it, and both go out.
			k.lies = 0
			if err := add("b"); !errors.Is(err, wallet.ErrPending) || tn.waiting("Maria") != 2 {
				t.Errorf("%s, %d lies: the next: %v, %d wait", how, lies, err, tn.waiting("Maria"))
			}
			if _, err := maria.Changes().Sync(ctx); err != nil || k.taken != 2 || tn.waiting("Maria") != 0 {
				t.Errorf("%s, %d lies: then %v, %d batches, %d wait", how, lies, err, k.taken, tn.waiting("Maria"))
			}
			if rs, err := maria.Records().List(ctx); err != nil || len(rs) != 2 {
				t.Errorf("%s, %d lies: %d records, %v", how, lies, len(rs), err)
			}
		}
	}
}

// keptBack is a ledger at several nodes, of which those that are told next lie about entries.
type keptBack struct {
	ledgerclient.Ledger
	nodes, lies int
	how         string

	taken, doubted int
	why            []error
}

func (k *keptBack) Checkpoints(ctx context.Context, _ int, take func([]byte) error) error {
	note, err := k.Checkpoint(ctx)
	if err == nil {
		err = take(note)
	}
	return err
}

func (k *keptBack) Unlike(error) bool { return false }
func (k *keptBack) Anew()             { k.doubted = 0 }

func (k *keptBack) Doubt(why error) bool {
	k.why = append(k.why, why)
	k.doubted++
	return k.doubted < k.nodes
}

func (k *keptBack) Append(ctx context.Context, es []contract.Entry) ([]ledgerclient.Outcome, error) {
	if k.lies == 0 {
		k.taken++
		return k.Ledger.Append(ctx, es)
	}
	k.lies--
	doc, err := k.Genesis(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]ledgerclient.Outcome, len(es))
	for i := range es {
		out[i] = ledgerclient.Outcome{ID: es[i].ID(contract.LedgerID(doc)), Index: 1, Hour: contract.Hour(noon.Unix() / 3600)}
		switch k.how {
		case "refused":
			out[i].Index, out[i].Refusal = 0, &contract.Refusal{Rule: contract.RuleSignature, Entry: out[i].ID, Hour: out[i].Hour}
		case "of another entry":
			out[i].ID[0] ^= 1
		}
	}
	return out, nil
}

// hasty is a keeper who orders every revocation at once that it is told of.
type hasty struct {
	ledgerclient.Keeper
	l *liar
}

func (k hasty) Revoke(ctx context.Context, es []contract.Entry) ([]ledgerclient.Acknowledgement, error) {
	if _, err := k.l.Memory.Append(ctx, es); err != nil {
		return nil, err
	}
	return k.Keeper.Revoke(ctx, es)
}

// A consent that is revoked before the log shows its grant: an order that puts what
// comes later first, with the help of a keeper, gets nothing to put there, since nobody
// is told of the revocation before the grant is seen.
func TestRevokedBeforeItsGrantIsSeen(t *testing.T) {
	ctx := context.Background()
	tn := newOrderTown(t)
	tn.granted()
	o := tn.options("Maria")
	for i, k := range o.Services.Keepers {
		o.Services.Keepers[i] = hasty{k, tn.l}
	}
	maria := must(wallet.Open(ctx, o))(t)
	tn.l.begin(nil)
	tn.l.hold = true
	plan := must(maria.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: must(wallet.EndAfter("30d", tn.now))(t)}))(t)
	c, _, err := maria.Grants().Give(ctx, plan)
	if !errors.Is(err, wallet.ErrPending) {
		t.Fatalf("%+v, %v", c, err)
	}
	rs, err := maria.Consents().Revoke(ctx, []contract.ID{c.ID})
	if !errors.Is(err, wallet.ErrPending) || len(rs) != 1 {
		t.Fatalf("%+v, %v", rs, err)
	}
	for _, i := range must(tn.l.Memory.Read(ctx, 0))(t) {
		if i.Entry.Kind == contract.KindRevoke {
			t.Errorf("the revocation is in the order before its grant")
		}
	}
	tn.l.hold = false
	tn.wantRevoked(c.ID, "after its grant")
}
