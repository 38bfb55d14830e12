package outbox

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/wallet/home"
)

// world is all that an outbox works with, in memory: ledger, store and keeper keep what
// they were told, and fail where a test says so.
type world struct {
	t       testing.TB
	root    crypto.Root
	keepers []*crypto.PrivateKey
	config  contract.Config // in force where grants stand
	client  *ledgerclient.Client
	home    home.Folder
	now     time.Time

	log       []ledgerclient.Placed
	states    map[contract.ID]contract.State
	blobs     map[crypto.Locator][]byte
	held      map[contract.ID]uint16                   // who holds a share, by bits
	ended     map[contract.ID]map[int]ledgerclient.End // by keeper
	unheld    map[contract.ID]uint16                   // what the owner was told of
	failed    map[crypto.PubKey]error
	wait      error // why no shares are given
	applied   map[contract.ID]string
	tags      []string
	unwritten []error

	mu      sync.Mutex                          // keepers are asked at the same time
	calls   []string                            // since the test looked last
	fails   func(call string) error             // nil: nothing does
	refuses func(contract.ID) *contract.Refusal // without a reason; nil: nothing
	follows int                                 // entries of the log that were followed
	behind  error
}

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func newWorld(t testing.TB) *world { return newWorldOf(t, 1, 1) }

// newWorldOf is a world in which k of n keepers open a grant.
func newWorldOf(t testing.TB, k, n int) *world {
	w := &world{t: t, root: crypto.NewEntropy().Root(), now: start, states: map[contract.ID]contract.State{},
		blobs: map[crypto.Locator][]byte{}, held: map[contract.ID]uint16{}, ended: map[contract.ID]map[int]ledgerclient.End{}, applied: map[contract.ID]string{},
		unheld: map[contract.ID]uint16{}, failed: map[crypto.PubKey]error{}}
	for range n {
		w.keepers = append(w.keepers, crypto.GenerateKey())
	}
	w.config = w.keptBy(k, w.keepers...)
	fd, err := folder.FoundingOf("Outbox", ed25519.NewKeyFromSeed(make([]byte, 32)), crypto.GenerateKey(), w.keepers[0], [16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	w.log = []ledgerclient.Placed{{Hour: w.Hour(), Entry: fd.Entry}}
	services := ledgerclient.Services{Ledger: ledger{world: w, genesis: fd.Genesis}, Store: store{world: w}}
	for i := range w.keepers {
		services.Keepers = append(services.Keepers, keeper{w: w, i: i})
	}
	if w.client, err = ledgerclient.Connect(context.Background(), services, crypto.LedgerID{}); err != nil {
		t.Fatal(err)
	}
	w.home = home.Folder{Dir: t.TempDir(), Ledger: "l", Key: w.root.LocalKey()}
	if err := os.MkdirAll(w.home.Path(w.home.In(home.JournalDir)), 0o700); err != nil {
		t.Fatal(err)
	}
	return w
}

// keptBy is a configuration in which k of some keepers open a grant.
func (w *world) keptBy(k int, keepers ...*crypto.PrivateKey) contract.Config {
	c := contract.Config{Contract: contract.ContractVersion, Release: uint8(k)}
	for _, key := range keepers {
		c.Keepers = append(c.Keepers, key.Public())
	}
	return c
}

// outbox is that of a new process, which has read what waits.
func (w *world) outbox(noLock error) *Outbox {
	o := &Outbox{Client: w.client, Log: w, Owner: w, Home: w.home, Now: func() time.Time { return w.now }}
	o.Finish(context.Background(), noLock, nil)
	return o
}

func (w *world) call(name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, name)
	if w.fails != nil {
		return w.fails(name)
	}
	return nil
}

// files are what is in the outbox's folder.
func (w *world) files() []string {
	entries, err := os.ReadDir(w.home.Path(w.home.In(home.JournalDir)))
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func silent(service string) error {
	return &ledgerclient.UnreachableError{Service: service, Err: errors.New("silent")}
}

type ledger struct {
	ledgerclient.Ledger
	*world
	genesis []byte
}

func (l ledger) Genesis(context.Context) ([]byte, error) { return l.genesis, nil }

func (l ledger) Append(_ context.Context, es []contract.Entry) ([]ledgerclient.Outcome, error) {
	if err := l.call("append"); err != nil {
		return nil, err
	}
	out := make([]ledgerclient.Outcome, len(es))
	for i, e := range es {
		id := e.ID(l.client.ID())
		out[i].ID = id
		if l.refuses != nil {
			if out[i].Refusal = l.refuses(id); out[i].Refusal != nil {
				continue
			}
		}
		if slices.ContainsFunc(l.log, func(p ledgerclient.Placed) bool { return p.Entry == e }) {
			continue
		}
		opening := (&Change{Entry: e, ID: id}).Opening()
		next, err := contract.Apply(l.client.Config(), l.states[opening], &e, id, uint64(len(l.log)), l.Hour())
		if r, ok := errors.AsType[*contract.Refusal](err); ok {
			out[i].Refusal = r
			continue
		}
		if err := errors.Join(err, contract.CheckSignature(l.client.ID(), &e)); err != nil {
			l.t.Fatal(err)
		}
		l.states[opening] = next
		l.log = append(l.log, ledgerclient.Placed{Index: uint64(len(l.log)), Hour: l.Hour(), Entry: e})
	}
	return out, l.lost("append")
}

// lost is why what was done is not answered.
func (w *world) lost(call string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fails != nil {
		return w.fails("after " + call)
	}
	return nil
}

type store struct {
	ledgerclient.Store
	*world
}

func (s store) PutBlobs(_ context.Context, puts []ledgerclient.Put) error {
	if err := s.call("put"); err != nil {
		return err
	}
	for _, p := range puts {
		for _, l := range p.Locators {
			s.blobs[l] = p.Blob
		}
	}
	return s.lost("put")
}

func (s store) Blob(_ context.Context, l crypto.Locator) (ledgerclient.Blob, error) {
	if err := s.call("blob"); err != nil {
		return nil, err
	}
	if s.blobs[l] == nil {
		return nil, &ledgerclient.NotFoundError{What: "payload"}
	}
	return open{bytes.NewReader(s.blobs[l])}, nil
}

type open struct{ *bytes.Reader }

func (open) Close() error { return nil }

func (s store) Erase(_ context.Context, e contract.Entry) error {
	if err := s.call("erase"); err != nil {
		return err
	}
	s.applied[e.Subject] = "erased"
	return s.lost("erase")
}

type keeper struct {
	ledgerclient.Keeper
	w *world
	i int
}

func (k keeper) Key() crypto.PubKey { return k.w.keepers[k.i].Public() }

// name is what a call of the keeper's is called.
func (k keeper) name(call string) string {
	if len(k.w.keepers) > 1 {
		return fmt.Sprint(call, " ", k.i+1)
	}
	return call
}

func (k keeper) Deposit(_ context.Context, ds []ledgerclient.Deposit) ([]ledgerclient.Receipt, error) {
	if err := k.w.call(k.name("deposit")); err != nil {
		return make([]ledgerclient.Receipt, len(ds)), err
	}
	k.w.mu.Lock()
	out := make([]ledgerclient.Receipt, len(ds))
	for i, d := range ds {
		author := k.w.states[d.Grant].Author
		if err := d.Verify(author); err != nil || d.Keeper != k.Key() {
			k.w.t.Errorf("keeper %d: %v", k.i+1, err)
		}
		k.w.held[d.Grant] |= 1 << k.i
		out[i] = ledgerclient.Receipt{Ledger: d.Ledger, Grant: d.Grant, Keeper: d.Keeper, Index: d.Share.Index, Share: d.Share.Hash(d.Ledger, author)}
		ledgerclient.Sign(&out[i], k.w.keepers[k.i])
	}
	k.w.mu.Unlock()
	return out, k.w.lost(k.name("deposit"))
}

func (k keeper) Revoke(_ context.Context, es []contract.Entry) ([]ledgerclient.Acknowledgement, error) {
	if err := k.w.call(k.name("revoke")); err != nil {
		return nil, err
	}
	k.w.mu.Lock()
	out, errs := make([]ledgerclient.Acknowledgement, len(es)), make([]error, len(es))
	for i, e := range es {
		s, known := k.w.states[e.Subject]
		if !known {
			errs[i] = &ledgerclient.KeeperError{Grant: e.Subject, Code: ledgerclient.UnknownGrant}
			continue
		}
		end := ledgerclient.Stopped
		if s.Status == contract.StatusClosed {
			end = ledgerclient.DestroyedShare
			k.w.held[e.Subject] &^= 1 << k.i
		}
		if k.w.ended[e.Subject] == nil {
			k.w.ended[e.Subject] = map[int]ledgerclient.End{}
		}
		k.w.ended[e.Subject][k.i] = end
		out[i] = ledgerclient.Acknowledgement{Ledger: k.w.client.ID(), Grant: e.Subject, Keeper: k.Key(), End: end}
		ledgerclient.Sign(&out[i], k.w.keepers[k.i])
	}
	k.w.mu.Unlock()
	if errors.Join(errs...) != nil {
		return out, &ledgerclient.BatchError{Errs: errs}
	}
	return out, k.w.lost(k.name("revoke"))
}

// Follow is Log's.
func (w *world) Follow(context.Context, map[contract.Entry]bool) error {
	if err := w.call("follow"); err != nil {
		return err
	}
	w.follows = len(w.log)
	return nil
}

func (w *world) Behind() error       { return w.behind }
func (w *world) Hour() contract.Hour { return contract.Hour(w.now.Unix() / 3600) }

func (w *world) Holds(opening, entry contract.ID) bool {
	return slices.ContainsFunc(w.log[:w.follows], func(p ledgerclient.Placed) bool {
		c := Change{Entry: p.Entry, ID: p.Entry.ID(w.client.ID())}
		return c.ID == entry && c.Opening() == opening
	})
}

func (w *world) State(opening contract.ID) (contract.State, error) { return w.states[opening], nil }

// Grant is Log's.
func (w *world) Grant(opening contract.ID) (*contract.Config, bool, error) {
	return &w.config, w.states[opening].Status != contract.StatusClosed, w.wait
}

// End is Owner's.
func (w *world) End(grant *Change) (*Change, error) { return w.revoke(grant.ID), nil }

// Held is Owner's.
func (w *world) Held(grant *Change) { w.unheld[grant.ID] = grant.Unheld }

// Failed is Owner's.
func (w *world) Failed(keeper crypto.PubKey, err error) { w.failed[keeper] = err }

// Seed is Owner's.
func (w *world) Seed(tag crypto.SelfTag) (crypto.Seed, error) {
	nonce, ok := w.root.Tagger(w.client.ID()).Open(tag)
	if !ok {
		return crypto.Seed{}, errors.New("not of this key")
	}
	return w.root.Seed(w.client.ID(), nonce), nil
}

func (w *world) seedOf(opening contract.ID) crypto.Seed {
	for _, p := range w.log {
		if p.Entry.ID(w.client.ID()) == opening {
			seed, _ := w.Seed(p.Entry.SelfTag)
			return seed
		}
	}
	w.t.Fatalf("no thread %s", opening)
	return crypto.Seed{}
}

func (w *world) Resign(e *contract.Entry) error {
	e.SelfTag = w.root.Tagger(w.client.ID()).Tag(crypto.NewNonce())
	return e.Sign(w.client.ID(), w.seedOf(e.Subject).Key())
}

func (w *world) Apply(c *Change) error {
	if err := w.call("apply"); err != nil {
		return err
	}
	w.applied[c.ID] = string(c.Effect)
	return nil
}

func (w *world) Save() error { return w.call("save") }

func (w *world) Ended(b *Batch) error {
	w.tags = append(w.tags, b.Tag)
	return w.call("ended")
}

func (w *world) Unwritten(err error) { w.unwritten = append(w.unwritten, err) }

// grant signs a consent.
func (w *world) grant() *Change {
	ledger, nonce := w.client.ID(), crypto.NewNonce()
	seed := w.root.Seed(ledger, nonce)
	key := seed.Key()
	k, n := int(w.config.Release), len(w.config.Keepers)
	shares, err := seed.Shares(k, n)
	if err != nil {
		w.t.Fatal(err)
	}
	pkg := contract.GrantPackage{K: uint8(k), N: uint8(n)}
	for _, s := range shares {
		pkg.Shares = append(pkg.Shares, s.Hash(ledger, key.Public()))
	}
	e := contract.Entry{Version: contract.Version, Kind: contract.KindGrant, Author: key.Public(), Counterparty: crypto.GenerateKey().Public(),
		SelfTag: w.root.Tagger(ledger).Tag(nonce), NotAfter: w.Hour() + 1000, Commitment: pkg.Commitment()}
	if err := e.Sign(ledger, key); err != nil {
		w.t.Fatal(err)
	}
	c := New(ledger, "grant", e)
	c.Package, c.Effect = pkg.Marshal(), []byte("given")
	c.Puts = []Put{{Part: ledgerclient.PartTerms, Locators: []crypto.Locator{seed.Locator(c.ID, 3), seed.Locator(c.ID, 4)}, Blob: []byte("terms")}}
	return c
}

// record signs a record's first version.
func (w *world) record() *Change {
	ledger, nonce := w.client.ID(), crypto.NewNonce()
	seed := w.root.Seed(ledger, nonce)
	e := contract.Entry{Version: contract.Version, Kind: contract.KindRecord, Author: seed.Key().Public(), SelfTag: w.root.Tagger(ledger).Tag(nonce), Commitment: crypto.Hash{1}}
	if err := e.Sign(ledger, seed.Key()); err != nil {
		w.t.Fatal(err)
	}
	c := New(ledger, "record", e)
	c.Content = seed.ContentLocator()
	w.blobs[c.Content] = []byte("content")
	return c
}

// follow signs a revocation or a withdrawal.
func (w *world) follow(kind contract.Kind, flags uint8, subject contract.ID, seed crypto.Seed) *Change {
	e := contract.Entry{Version: contract.Version, Kind: kind, Flags: flags, Author: seed.Key().Public(), Subject: subject,
		SelfTag: w.root.Tagger(w.client.ID()).Tag(crypto.NewNonce()), NotAfter: contract.Forever, Commitment: crypto.Hash{2}}
	if kind == contract.KindRecord {
		e.NotBefore, e.NotAfter = contract.Acceptance(w.Hour())
	}
	if err := e.Sign(w.client.ID(), seed.Key()); err != nil {
		w.t.Fatal(err)
	}
	return New(w.client.ID(), kind.String(), e)
}

func (w *world) revoke(grant contract.ID) *Change {
	return w.follow(contract.KindRevoke, 0, grant, w.seedOf(grant))
}

func (w *world) withdraw(record contract.ID) *Change {
	return w.follow(contract.KindRecord, contract.FlagWithdrawn, record, w.seedOf(record))
}

// do sends one change.
func (w *world) do(o *Outbox, c *Change) error {
	return o.Do(context.Background(), &Batch{Changes: []*Change{c}})
}

// count is how often an entry is in the log.
func (w *world) count(id contract.ID) (n int) {
	for _, p := range w.log {
		if p.Entry.ID(w.client.ID()) == id {
			n++
		}
	}
	return n
}

// What follows from an entry, and in which order: payloads before the entry, keepers
// before a revocation and after it, shares after a grant, nothing twice.
func TestStepsFollowFromTheEntry(t *testing.T) {
	w := newWorld(t)
	o := w.outbox(nil)
	g, r := w.grant(), w.record()
	for _, step := range []struct {
		change func() *Change
		calls  string
	}{
		{func() *Change { return g }, "put append follow apply deposit save"},
		{func() *Change { return r }, "blob append follow apply save"},
		{func() *Change { return w.revoke(g.ID) }, "revoke append follow apply revoke save"},
		{func() *Change { return w.withdraw(r.ID) }, "append follow apply erase save"},
	} {
		w.calls = nil
		c := step.change()
		if err := w.do(o, c); err != nil || c.Err != nil {
			t.Fatal(err, c.Err)
		}
		if got := strings.Join(w.calls, " "); got != step.calls {
			t.Errorf("%s: %s, want %s", c.Label, got, step.calls)
		}
		if c.revokes() && (len(c.Acks) != 2 || c.Acks[0].End != ledgerclient.Stopped || c.Acks[1].End != ledgerclient.DestroyedShare) {
			t.Errorf("acknowledged: %v", c.Acks)
		}
	}
	if w.held[g.ID] != 0 || w.applied[g.ID] != "given" || w.applied[r.ID] != "erased" || len(w.files()) > 0 || o.Stuck() != nil || len(o.Finished()) > 0 {
		t.Errorf("%v %v %v %v", w.held, w.applied, w.files(), o.Stuck())
	}
}

// Whatever call fails, before it did anything or after, with silence or another error: the
// next process brings the change to its end, once; or it failed without effect, and the
// next process finds nothing.
func TestEveryCallFailsOnce(t *testing.T) {
	for _, kind := range []string{"grant", "revoke", "withdraw", "record", "tagged"} {
		for n, more := 1, true; more; n++ {
			for _, after := range []bool{false, true} {
				for _, err := range []error{silent("x"), errors.New("broken")} {
					w := newWorld(t)
					b := &Batch{}
					switch kind {
					case "grant":
						b.Changes = []*Change{w.grant(), w.grant()}
					case "tagged":
						b = &Batch{Tag: "tag", Changes: []*Change{w.grant()}}
					case "record":
						b.Changes = []*Change{w.record()}
					case "revoke":
						g := w.grant()
						w.do(w.outbox(nil), g)
						b.Changes = []*Change{w.revoke(g.ID)}
					case "withdraw":
						r := w.record()
						w.do(w.outbox(nil), r)
						b.Changes = []*Change{w.withdraw(r.ID)}
					}
					o := w.outbox(nil)
					clear(w.applied)
					at, hit := 0, false
					w.fails = func(call string) error {
						if strings.HasPrefix(call, "after ") != after {
							return nil
						}
						if at++; at == n && !hit {
							hit = true
							return err
						}
						return nil
					}
					got := o.Do(context.Background(), b)
					more = hit
					name := fmt.Sprintf("%s, call %d, after it %t, %v: %v", kind, n, after, err, got)
					waits := o.Batches() > 0
					if pending := errors.Is(got, ErrPending); pending && (!waits || ledgerclient.Unreachable(err) == nil) {
						t.Errorf("%s: pending", name)
					}
					if got == nil && waits || len(w.files()) != o.Batches() || b.revokes() && got != nil && !waits {
						t.Errorf("%s: %d wait, files %v", name, o.Batches(), w.files())
					}
					w.fails = nil
					o = w.outbox(nil)
					done := o.Finished()
					if o.Batches() > 0 || len(w.files()) > 0 {
						t.Errorf("%s: afterwards %v waits", name, o.Stuck())
					}
					if waits != (len(done) > 0) && kind != "tagged" {
						t.Errorf("%s: %d are told to be finished", name, len(done))
					}
					for _, c := range b.Changes {
						want := 1
						if got != nil && !waits {
							want = 0
						}
						if w.count(c.ID) != want || (w.applied[c.ID] == string(c.Effect)) != (want == 1) && len(c.Effect) > 0 {
							t.Errorf("%s: %d times in the log, applied %q", name, w.count(c.ID), w.applied[c.ID])
						}
						if grant := c.Entry.Kind == contract.KindGrant; grant && w.held[c.ID] != uint16(want) {
							t.Errorf("%s: the keeper holds its share: %d", name, w.held[c.ID])
						}
						if c.revokes() && w.ended[c.Entry.Subject][0] != ledgerclient.DestroyedShare {
							t.Errorf("%s: the keeper has it %s", name, w.ended[c.Entry.Subject][0])
						}
						if c.withdraws() && (w.applied[c.Entry.Subject] == "erased") != (want == 1) {
							t.Errorf("%s: not erased", name)
						}
					}
					if kind == "tagged" && (got == nil || waits) != slices.Contains(w.tags, "tag") {
						t.Errorf("%s: told of %v", name, w.tags)
					}
				}
			}
		}
	}
}

// What waits goes out in the order in which it was signed, whatever the clock says, and
// holds back all but revocations of what the ledger shows.
func TestWhatWaitsGoesOutInOrder(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	shown := w.grant()
	w.do(w.outbox(nil), shown)
	w.behind = silent("ledger")
	o := w.outbox(nil)
	var signed []contract.ID
	for range 3 {
		c := w.grant()
		if err := w.do(o, c); !errors.Is(err, ErrPending) {
			t.Fatal(err)
		}
		if o.For(c.ID) != c {
			t.Error("not found by its thread")
		}
		signed = append(signed, c.ID)
		w.now = w.now.Add(-time.Hour)
	}
	if n := len(o.Openings("grant")); n != 3 || o.Openings("record") != nil {
		t.Errorf("%d grants wait", n)
	}
	w.now, w.behind = start, nil
	broken := errors.New("broken")
	w.fails = func(call string) error {
		if call == "deposit" {
			return broken
		}
		return nil
	}
	o = w.outbox(nil)
	if o.Stuck() != broken || o.Batches() != 3 {
		t.Errorf("%d wait for %v", o.Batches(), o.Stuck())
	}
	if err := w.do(o, w.grant()); err != broken || o.Batches() != 3 {
		t.Errorf("a grant behind them: %v", err)
	}
	c := w.revoke(shown.ID)
	if err := w.do(o, c); err != nil || w.count(c.ID) != 1 {
		t.Errorf("a revocation: %v", err)
	}
	w.fails = nil
	o = w.outbox(nil)
	var done []contract.ID
	for _, c := range o.Finished() {
		done = append(done, c.ID)
	}
	if !slices.Equal(done, signed) {
		t.Errorf("finished %v, signed %v", done, signed)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := o.Do(canceled, &Batch{Changes: []*Change{w.grant()}}); !errors.Is(err, context.Canceled) || len(w.files()) > 0 {
		t.Errorf("after an interruption: %v, %v", err, w.files())
	}
}

// The keepers are told at once of a revocation that the ledger cannot be told of, and
// not again before it is ordered, also by the next process. A ledger that answers is told
// although it cannot be believed.
func TestRevocationsWithoutTheLedger(t *testing.T) {
	for _, believed := range []bool{true, false} {
		w := newWorld(t)
		g := w.grant()
		w.do(w.outbox(nil), g)
		w.behind = silent("ledger")
		if !believed {
			w.behind = &ledgerclient.TamperedError{What: "checkpoint"}
		}
		o, c := w.outbox(nil), w.revoke(g.ID)
		w.calls = nil
		err := w.do(o, c)
		want := map[bool]string{true: "revoke", false: "revoke append"}[believed]
		if got := strings.Join(w.calls, " "); errors.Is(err, ErrPending) != believed || got != want || len(c.Acks) != 1 || w.ended[g.ID][0] != ledgerclient.Stopped {
			t.Errorf("%v, %s, acknowledged %v", err, got, c.Acks)
		}
		w.calls = nil
		w.outbox(nil)
		if got := strings.Join(w.calls, " "); got != strings.TrimSpace(strings.TrimPrefix(want, "revoke")) {
			t.Errorf("the next process: %s", got)
		}
		w.behind, w.calls = nil, nil
		w.outbox(nil)
		if got := strings.Join(w.calls, " "); !strings.HasPrefix(got, "append") && !strings.HasPrefix(got, "follow") || w.ended[g.ID][0] != ledgerclient.DestroyedShare {
			t.Errorf("with the ledger: %s", got)
		}
	}
}

// A revocation is sent where nothing can be written down, and says so; nothing else is.
func TestRevocationsThatCannotBeWritten(t *testing.T) {
	w := newWorld(t)
	g := w.grant()
	w.do(w.outbox(nil), g)
	o := w.outbox(nil)
	dir := w.home.Path(w.home.In(home.JournalDir))
	if err := errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	w.calls = nil
	if err := w.do(o, w.grant()); err == nil || len(w.calls) > 0 || len(w.unwritten) > 0 {
		t.Errorf("a grant: %v, %v", err, w.calls)
	}
	if err := w.do(o, w.revoke(g.ID)); err != nil || w.ended[g.ID][0] != ledgerclient.DestroyedShare || len(w.unwritten) != 1 {
		t.Errorf("a revocation: %v, unwritten %v", err, w.unwritten)
	}
	if over := w.outbox(nil).PassedOver(); len(over) != 1 {
		t.Errorf("passed over: %v", over)
	}
}

// A refusal ends a change if the log shows its reason; without one it is found out, and a
// revocation, which nothing can refuse then, is signed anew once.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	o := w.outbox(nil)
	g := w.grant()
	w.do(o, g)
	w.do(o, w.revoke(g.ID))
	c := w.revoke(g.ID)
	if err := w.do(o, c); err != nil || !errors.As(c.Err, new(*contract.Refusal)) || o.Batches() > 0 {
		t.Errorf("revoked twice: %v, %v", err, c.Err)
	}
	refuse := func(rule contract.Rule, times int) {
		w.refuses = func(id contract.ID) *contract.Refusal {
			if times--; times < 0 {
				return nil
			}
			return &contract.Refusal{Rule: rule, Entry: id, Hour: w.Hour()}
		}
	}
	refuse(contract.RuleExpired, 1)
	if err := w.do(o, w.grant()); !errors.As(err, new(*ledgerclient.TamperedError)) || o.Batches() > 0 {
		t.Errorf("a grant without a reason: %v", err)
	}
	g = w.grant()
	w.do(o, g)
	for times, ok := range []bool{true, true, false} {
		refuse(contract.RuleUnknownSubject, times)
		c := w.revoke(g.ID)
		before := c.ID
		if err := w.do(o, c); (err == nil) != ok || ok && (c.ID != before) != (times > 0) {
			t.Errorf("unknown %d times: %v", times, err)
		}
		if ok {
			g = w.grant()
			w.do(o, g)
		}
	}
	if w.refuses = nil; o.Stuck() == nil || w.outbox(nil).Stuck() != nil {
		t.Error("what was refused twice is not finished later")
	}
}

// A revocation of a grant that never came onto the ledger is handed to nobody: whoever has
// it could have it ordered before the grant.
func TestRevocationOfNoGrant(t *testing.T) {
	w := newWorld(t)
	w.behind = silent("ledger")
	o, g := w.outbox(nil), w.grant()
	w.do(o, g)
	seed, err := w.Seed(g.Entry.SelfTag)
	if err != nil {
		t.Fatal(err)
	}
	w.do(o, w.follow(contract.KindRevoke, 0, g.ID, seed))
	w.behind, w.calls, w.now = nil, nil, w.now.Add(2000*time.Hour) // the grant's time is over
	done := w.outbox(nil).Finished()
	for i, rule := range []contract.Rule{contract.RuleExpired, contract.RuleUnknownSubject} {
		refused, _ := errors.AsType[*contract.Refusal](done[i].Err)
		if len(done) != 2 || refused == nil || refused.Rule != rule {
			t.Fatalf("%+v", done)
		}
	}
	appends := slices.DeleteFunc(slices.Clone(w.calls), func(call string) bool { return call != "append" })
	if len(appends) != 1 || slices.Contains(w.calls, "revoke") || w.outbox(nil).Batches() > 0 {
		t.Errorf("%v", w.calls)
	}
}

// Bytes that the order has and the log has not never come into it: a revocation is signed
// anew, a grant is given up.
func TestSpentEntries(t *testing.T) {
	w := newWorld(t)
	o := w.outbox(nil)
	kept, spent := w.grant(), w.grant()
	w.fails = func(call string) error {
		if call == "append" && !slices.Contains(w.calls[:len(w.calls)-1], "append") {
			return ledgerclient.ErrSpent.With("entry", spent.ID)
		}
		return nil
	}
	if err := o.Do(context.Background(), &Batch{Changes: []*Change{spent, kept}}); err != nil || spent.Err == nil || kept.Err != nil || w.count(kept.ID) != 1 {
		t.Errorf("%v: %v, %v", err, spent.Err, kept.Err)
	}
	w.calls = nil
	r := w.revoke(kept.ID)
	spent = &Change{ID: r.ID}
	if err := w.do(o, r); err != nil || r.Err != nil || r.ID == spent.ID || w.count(r.ID) != 1 {
		t.Errorf("%v: %v", err, r.Err)
	}
}

// A withdrawal that waited beyond what any ledger accepts is signed anew. A record whose
// content the store dropped meanwhile is given up.
func TestWhatGoesStale(t *testing.T) {
	w := newWorld(t)
	r := w.record()
	w.do(w.outbox(nil), r)
	w.behind = silent("ledger")
	o, second := w.outbox(nil), w.record()
	w.do(o, w.withdraw(r.ID))
	w.do(o, second)
	delete(w.blobs, second.Content)
	w.now, w.behind = w.now.Add(60*time.Hour), nil
	done := w.outbox(nil).Finished()
	if len(done) != 2 || done[0].Err != nil || w.states[r.ID].Status != contract.StatusClosed || !errors.As(done[1].Err, new(*ledgerclient.NotFoundError)) || w.count(second.ID) != 0 {
		t.Errorf("%+v", done)
	}
}

// A file that cannot be read is named and passed over, and nothing waits for it; one of
// another name is nobody's. Without the lock nothing is sent.
func TestFilesThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	w.behind = silent("ledger")
	w.do(w.outbox(nil), w.grant())
	file := w.home.In(filepath.Join(home.JournalDir, w.files()[0]))
	good, err := os.ReadFile(w.home.Path(file))
	if err != nil {
		t.Fatal(err)
	}
	w.behind, w.calls = nil, nil
	noLock := errors.New("busy")
	if o := w.outbox(noLock); o.Stuck() != noLock || len(w.calls) > 0 {
		t.Errorf("without the lock: %v, %v", o.Stuck(), w.calls)
	}
	plain, err := w.home.Key.Open(filepath.ToSlash(file), good)
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Clone(plain)
	newer[0]++
	for what, b := range map[string][]byte{
		"cut":          good[:len(good)-1],
		"empty":        nil,
		"changed":      append(slices.Clone(good[:len(good)-1]), good[len(good)-1]^1),
		"longer":       w.home.Key.Seal(filepath.ToSlash(file), append(slices.Clone(plain), 0)),
		"shorter":      w.home.Key.Seal(filepath.ToSlash(file), plain[:len(plain)-1]),
		"another name": w.home.Key.Seal("elsewhere", plain),
		"newer":        w.home.Key.Seal(filepath.ToSlash(file), newer),
	} {
		if err := os.WriteFile(w.home.Path(file), b, 0o600); err != nil {
			t.Fatal(err)
		}
		o := w.outbox(nil)
		over := o.PassedOver()
		if len(over) != 1 || o.Stuck() != nil || w.do(o, w.grant()) != nil {
			t.Fatalf("%s: passed over %v, waits for %v", what, over, o.Stuck())
		}
		if version := errors.Is(over[0], home.ErrVersion); version != (what == "newer") || !version && !errors.As(over[0], new(*home.DamagedError)) && !errors.Is(over[0], home.ErrWrongKey) {
			t.Errorf("%s: %v", what, over[0])
		}
	}
	if err := errors.Join(os.WriteFile(w.home.Path(file), good, 0o600), os.WriteFile(w.home.Path(file)+".bak", good, 0o600)); err != nil {
		t.Fatal(err)
	}
	if o := w.outbox(nil); len(o.Finished()) != 1 || o.Batches() > 0 || len(w.files()) != 1 {
		t.Errorf("finished, and left %v", w.files())
	}
}

// What a file says is read back as it was written, and nothing else is read.
func FuzzParse(f *testing.F) {
	w := newWorld(f)
	g, r := w.grant(), w.record()
	marshal := func(b *Batch) []byte { return codec.Append(nil, b.fields(crypto.LedgerID{})) }
	parse := func(data []byte) (*Batch, error) {
		b := new(Batch)
		return b, codec.Parse(data, b.fields(w.client.ID()))
	}
	f.Add(marshal(&Batch{Tag: "t", told: true, Changes: []*Change{g, r}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := parse(data)
		if err != nil {
			return
		}
		c, err := parse(marshal(b))
		if err != nil || c.Tag != b.Tag || c.told != b.told || len(c.Changes) != len(b.Changes) {
			t.Fatalf("%v: %+v, %+v", err, b, c)
		}
		for i, x := range b.Changes {
			y := c.Changes[i]
			if x.ID != y.ID || x.Entry != y.Entry || x.Label != y.Label || x.Content != y.Content || !bytes.Equal(x.Package, y.Package) || !bytes.Equal(x.Effect, y.Effect) ||
				!slices.EqualFunc(x.Puts, y.Puts, func(p, q Put) bool {
					return p.Part == q.Part && slices.Equal(p.Locators, q.Locators) && bytes.Equal(p.Blob, q.Blob)
				}) {
				t.Fatalf("%+v, %+v", x, y)
			}
		}
	})
}
