package wallet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/keeper"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/wallet"
	"golang.org/x/mod/sumdb/tlog"
)

// hall is a ledger of several institutions in memory, whose nodes and keepers may change:
// its log judges by the contract, its store is a map, and its keepers keep the rules, each on
// the log of all. State roots are zero: nobody asks for proofs of threads.
type hall struct {
	*ledgertest.Network
	t     testing.TB
	dir   string
	keys  *memoryKeyring
	clock time.Time

	mu      sync.Mutex
	at      map[contract.ID]uint64
	states  map[uint64]contract.State
	blobs   map[crypto.Locator][]byte
	keepers map[crypto.PubKey]*desk
	shows   int    // how often it has shown its head
	off     error  // why the ledger gives no answer; nil if it does
	before  func() // is called once, before something is ordered; nil: nothing happens
}

// desk is one keeper, with what a test makes of it.
type desk struct {
	ledgerclient.Keeper
	h     *hall
	key   *crypto.PrivateKey
	vault *memoryVault
	asked []string // what it was asked, in order

	silent bool                                 // it gives no answer
	slow   bool                                 // it is slower than all others
	lie    lyingKeeper                          // how it lies, as in lyingKeeper
	evil   bool                                 // it takes revocations and acknowledges them, and goes on giving what it holds
	holds  map[contract.ID]ledgerclient.Deposit // of an evil one
	mute   bool                                 // it tells of its share, and signs no answer
	ended  bool                                 // it says that every share has ended
	over   bool                                 // it says to who brings shares that their consents are
	says   func(*ledgerclient.Answer)           // changes what it signs to a request; nil: nothing is
}

// newHall founds a ledger of n institutions of which t sign a head and k open a grant.
func newHall(t testing.TB, n, threshold, k int) *hall {
	h := &hall{t: t, dir: t.TempDir(), keys: &memoryKeyring{items: map[string]string{}}, clock: noon, at: map[contract.ID]uint64{},
		states: map[uint64]contract.State{}, blobs: map[crypto.Locator][]byte{}, keepers: map[crypto.PubKey]*desk{}}
	h.Network = &ledgertest.Network{Members: ledgertest.Institutions("hall", n), Threshold: threshold, Release: k, Fresh: 10 * time.Minute,
		Now: h.now, Hour: contract.Hour(noon.Unix() / 3600)}
	h.Keepers = h.keepersOf("hall", n)
	h.Found()
	h.take()
	for _, d := range h.keepers {
		d.open()
	}
	return h
}

func (h *hall) now() time.Time { return h.clock }

// keepersOf makes keepers, the first n of that name.
func (h *hall) keepersOf(name string, n int) (keys []crypto.PubKey) {
	for _, i := range ledgertest.Institutions("keeper of "+name, n) {
		d := &desk{h: h, key: i.Key, vault: newMemoryVault(), holds: map[contract.ID]ledgerclient.Deposit{}}
		h.keepers[i.Key.Public()] = d
		keys = append(keys, i.Key.Public())
	}
	return keys
}

// open lets a keeper begin its work, once the ledger is founded.
func (d *desk) open() {
	if d.Keeper == nil {
		d.Keeper = keeper.New(d.h.ID(), d.key, d.h, d.vault, func() contract.Hour { return contract.Hour(d.h.clock.Unix() / 3600) })
	}
	d.lie.Keeper, d.lie.key = d.Keeper, d.key
}

// desk is the keeper of a line of the newest document.
func (h *hall) desk(line int) *desk { return h.keepers[h.Config().Keepers[line]] }

// change makes others the keepers, and how many open a grant.
func (h *hall) change(k int, keepers ...crypto.PubKey) {
	h.t.Helper()
	h.Hour = contract.Hour(h.clock.Unix() / 3600)
	h.Keepers, h.Release = keepers, k
	h.Change(h.Threshold, h.Members...)
	h.take()
	for _, d := range h.keepers {
		d.open()
	}
}

// take notes what was entered past the contract.
func (h *hall) take() {
	for i := len(h.at); i < len(h.Shown); i++ {
		h.at[h.Shown[i].Entry.ID(h.ID())] = uint64(i)
	}
}

// Append judges entries by the contract.
func (h *hall) Append(_ context.Context, es []contract.Entry) ([]ledgerclient.Outcome, error) {
	if happens := h.before; happens != nil {
		h.before = nil
		happens()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.off != nil {
		return nil, h.off
	}
	hour := contract.Hour(h.clock.Unix() / 3600)
	out := make([]ledgerclient.Outcome, len(es))
	for i := range es {
		e, id := es[i], es[i].ID(h.ID())
		if at, ok := h.at[id]; ok {
			out[i] = ledgerclient.Outcome{ID: id, Index: at, Hour: h.Shown[at].Hour, Duplicate: true}
			continue
		}
		index := uint64(len(h.Shown))
		thread, known := index, true
		if !e.Opens() {
			thread, known = h.at[e.Subject]
		}
		var s contract.State
		if known {
			s = h.states[thread]
		}
		next, err := contract.Apply(h.Config(), s, &e, id, index, hour)
		if err := errors.Join(contract.CheckShape(&e), contract.CheckSignature(h.ID(), &e)); err != nil {
			return nil, err
		}
		out[i] = ledgerclient.Outcome{ID: id, Index: index, Hour: hour}
		if refused, ok := errors.AsType[*contract.Refusal](err); ok {
			out[i].Refusal = refused
			continue
		} else if err != nil {
			return nil, err
		}
		h.states[thread], h.at[id] = next, index
		h.Shown = append(h.Shown, contract.Leaf{Hour: hour, Entry: e})
	}
	return out, nil
}

// Checkpoint is Network's, if the ledger answers.
func (h *hall) Checkpoint(ctx context.Context) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shows++; h.off != nil {
		return nil, h.off
	}
	return h.Network.Checkpoint(ctx)
}

// View is a keeper's replica: the log of all, which is as new as it can be.
func (h *hall) View(_ context.Context, f func(keeper.View) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return f(hallView{h})
}

type hallView struct{ h *hall }

func (v hallView) Head() keeper.Head {
	head, err := ledgerclient.Unverified([]byte(v.h.Text(uint64(len(v.h.Shown)))))
	if err != nil {
		v.h.t.Error(err)
	}
	return keeper.Head{Size: head.Size, Root: head.Root, Hour: v.h.Shown[len(v.h.Shown)-1].Hour, Sure: head.Size}
}

func (v hallView) Find(id contract.ID) (uint64, bool, error) { i, ok := v.h.at[id]; return i, ok, nil }
func (v hallView) Leaf(i uint64) (contract.Leaf, error)      { return v.h.Shown[i], nil }
func (v hallView) State(i uint64) (contract.State, error)    { return v.h.states[i], nil }

// The store.

func (h *hall) PutBlobs(_ context.Context, puts []ledgerclient.Put) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range puts {
		for _, l := range p.Locators {
			h.blobs[l] = p.Blob
		}
	}
	return nil
}

func (h *hall) Blob(_ context.Context, l crypto.Locator) (ledgerclient.Blob, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b, ok := h.blobs[l]; ok {
		return hallBlob{bytes.NewReader(b)}, nil
	}
	return nil, &ledgerclient.NotFoundError{What: "payload"}
}

func (h *hall) Erase(context.Context, contract.Entry) error { return nil }

func (h *hall) Upload(context.Context) (ledgerclient.Upload, error) { return &hallUpload{h: h}, nil }

type hallBlob struct{ *bytes.Reader }

func (hallBlob) Close() error { return nil }

type hallUpload struct {
	bytes.Buffer
	h *hall
}

func (u *hallUpload) hashes() (hashes []crypto.Hash) {
	for piece := range slices.Chunk(u.Bytes(), contract.PieceSize) {
		hashes = append(hashes, crypto.Hash(tlog.RecordHash(piece)))
	}
	return hashes
}

func (u *hallUpload) Sum() (int64, crypto.Hash, error) {
	return int64(u.Len()), ledgerclient.ContentHead(u.hashes()), nil
}

func (u *hallUpload) Commit(p ledgerclient.Put) error {
	b := bytes.Clone(u.Bytes())
	for _, hash := range u.hashes() {
		b = append(b, hash[:]...)
	}
	u.h.mu.Lock()
	defer u.h.mu.Unlock()
	for _, l := range p.Locators {
		u.h.blobs[l] = b
	}
	return nil
}

func (u *hallUpload) Abort() error { return nil }

// services are those of the ledger as a wallet reaches it: its keepers are in no order.
func (h *hall) services() ledgerclient.Services {
	s := ledgerclient.Services{Ledger: h, Store: h}
	for _, d := range h.keepers {
		s.Keepers = append(s.Keepers, d)
	}
	return s
}

func (h *hall) options(name string) wallet.Options {
	return wallet.Options{Dir: filepath.Join(h.dir, "home of "+name), Keyring: h.keys, Services: h.services(), Now: h.now}
}

// person makes a wallet, and again opens it as a new process would.
func (h *hall) person(name string) *wallet.Wallet {
	h.t.Helper()
	return must(wallet.Create(context.Background(), h.options(name), crypto.NewEntropy(), name, "hall"))(h.t)
}

func (h *hall) again(name string) *wallet.Wallet {
	h.t.Helper()
	return must(wallet.Open(context.Background(), h.options(name)))(h.t)
}

// people are Maria, who has a record, and Dr Smith, whom she knows.
func (h *hall) people() (patient, clinic *wallet.Wallet) {
	h.t.Helper()
	patient, clinic = h.person("Maria"), h.person("Dr Smith")
	add(h.t, patient, "a.txt", "Penicillin: anaphylaxis")
	must2(patient.Contacts().Add(context.Background(), "Dr Smith", clinic.Address().String()))(h.t)
	return patient, clinic
}

// is notes what a keeper is asked, and reports whether it is silent; a slow one answers when
// nobody waits for it any more.
func (d *desk) is(ctx context.Context, asked string) error {
	if d.slow {
		<-ctx.Done()
		return ctx.Err()
	}
	d.h.mu.Lock()
	defer d.h.mu.Unlock()
	d.asked = append(d.asked, asked)
	if d.silent {
		return &ledgerclient.UnreachableError{Service: "keeper", Err: errCut}
	}
	return nil
}

// times is how often it was asked something, and forgets it.
func (d *desk) times(asked string) (n int) {
	d.h.mu.Lock()
	defer d.h.mu.Unlock()
	for _, a := range d.asked {
		if a == asked {
			n++
		}
	}
	d.asked = nil
	return n
}

func (d *desk) Key() crypto.PubKey { return d.key.Public() }

func (d *desk) Deposit(ctx context.Context, ds []ledgerclient.Deposit) ([]ledgerclient.Receipt, error) {
	if err := d.is(ctx, "deposit"); err != nil {
		return nil, err
	}
	if d.over {
		b := &ledgerclient.BatchError{Errs: make([]error, len(ds))}
		for i, x := range ds {
			b.Errs[i] = &ledgerclient.KeeperError{Grant: x.Grant, Code: ledgerclient.Revoked}
		}
		return make([]ledgerclient.Receipt, len(ds)), b
	}
	if d.evil {
		d.h.mu.Lock()
		for _, x := range ds {
			b := x.Share.Bytes()
			x.Share = must(crypto.ParseShare(b[:]))(d.h.t)
			d.holds[x.Grant] = x
		}
		d.h.mu.Unlock()
	}
	return d.lie.Deposit(ctx, ds)
}

func (d *desk) State(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.KeeperState, error) {
	if err := d.is(ctx, "state"); err != nil {
		return ledgerclient.KeeperState{}, err
	}
	if d.evil {
		return ledgerclient.KeeperState{Grant: q.Grant, Held: true}, nil
	}
	if d.ended {
		return ledgerclient.KeeperState{Grant: q.Grant, Ended: ledgerclient.Stopped}, nil
	}
	return d.Keeper.State(ctx, q)
}

func (d *desk) Release(ctx context.Context, r ledgerclient.Request) (ledgerclient.Answer, error) {
	if err := d.is(ctx, "release"); err != nil {
		return ledgerclient.Answer{}, err
	}
	if d.mute {
		return ledgerclient.Answer{}, &ledgerclient.UnreachableError{Service: "keeper", Err: errCut}
	}
	a, err := d.lie.Release(ctx, r)
	if d.says != nil && err == nil {
		d.says(&a)
		ledgerclient.Sign(&a, d.key)
	}
	if x, ok := d.holds[r.Access.Subject]; d.evil && ok && err == nil && a.Code != ledgerclient.Released {
		sc := crypto.ShareContext{Ledger: r.Ledger, Grant: r.Access.Subject, Keeper: d.Key(), Access: r.Access.ID(r.Ledger)}
		a.Code, a.Sealed = ledgerclient.Released, must(crypto.SealShare(sc, x.Share, r.Response))(d.h.t)
		ledgerclient.Sign(&a, d.key)
	}
	return a, err
}

func (d *desk) Revoke(ctx context.Context, es []contract.Entry) ([]ledgerclient.Acknowledgement, error) {
	if err := d.is(ctx, "revoke"); err != nil {
		return nil, err
	}
	if d.evil {
		out := make([]ledgerclient.Acknowledgement, len(es))
		for i, e := range es {
			out[i] = ledgerclient.Acknowledgement{Ledger: d.h.ID(), Grant: e.Subject, Keeper: d.Key(), End: ledgerclient.DestroyedShare, Hour: d.h.Shown[0].Hour}
			ledgerclient.Sign(&out[i], d.key)
		}
		return out, nil
	}
	return d.lie.Revoke(ctx, es)
}

func (d *desk) Inquire(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.InquiryAnswer, error) {
	if err := d.is(ctx, "inquire"); err != nil {
		return ledgerclient.InquiryAnswer{}, err
	}
	return d.lie.Inquire(ctx, q)
}

// memoryVault is a keeper's vault in memory.
type memoryVault struct {
	mu     sync.Mutex
	shares map[contract.ID]keeper.Share
	stops  map[contract.ID]bool
	acks   map[contract.ID][]ledgerclient.Acknowledgement
	filed  map[contract.ID][]ledgerclient.Refused
}

func newMemoryVault() *memoryVault {
	return &memoryVault{shares: map[contract.ID]keeper.Share{}, stops: map[contract.ID]bool{}, acks: map[contract.ID][]ledgerclient.Acknowledgement{}, filed: map[contract.ID][]ledgerclient.Refused{}}
}

// copied is a deposit whose share is the caller's own.
func copied(d ledgerclient.Deposit) ledgerclient.Deposit {
	b := d.Share.Bytes()
	s, err := crypto.ParseShare(b[:])
	if err != nil {
		panic(err)
	}
	d.Share = s
	return d
}

func (m *memoryVault) Read(_ context.Context, grants ...keeper.Grant) (all []keeper.Record, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range grants {
		rec := keeper.Record{Stopped: m.stops[g.ID], Acks: m.acks[g.ID]}
		if s, ok := m.shares[g.ID]; ok {
			d := copied(s.Deposit)
			rec.Share = &d
		}
		all = append(all, rec)
	}
	return all, nil
}

func (m *memoryVault) Store(_ context.Context, shares []keeper.Share) ([]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	held := make([]bool, len(shares))
	for i, s := range shares {
		id := s.Deposit.Grant
		have, ok := m.shares[id]
		switch destroyed := slices.ContainsFunc(m.acks[id], func(a ledgerclient.Acknowledgement) bool { return a.End == ledgerclient.DestroyedShare }); {
		case m.stops[id] || destroyed:
		case ok:
			held[i] = have.Deposit.Share.Equal(s.Deposit.Share)
		default:
			s.Deposit = copied(s.Deposit)
			m.shares[id], held[i] = s, true
		}
	}
	return held, nil
}

func (m *memoryVault) Stop(_ context.Context, revocations []contract.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range revocations {
		m.stops[e.Subject] = true
	}
	return nil
}

func (m *memoryVault) Destroy(_ context.Context, grants []keeper.Grant) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range grants {
		delete(m.shares, g.ID)
	}
	return nil
}

func (m *memoryVault) Acknowledge(_ context.Context, acks []ledgerclient.Acknowledgement) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range acks {
		m.acks[a.Grant] = append(m.acks[a.Grant], a)
	}
	return nil
}

func (m *memoryVault) File(_ context.Context, r ledgerclient.Refused, _ int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.filed[r.Answer.Grant] = append(m.filed[r.Answer.Grant], r)
	return nil
}

func (m *memoryVault) Filed(_ context.Context, id contract.ID) ([]ledgerclient.Refused, uint32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.filed[id], 0, nil
}

func (m *memoryVault) Held(context.Context) (held []keeper.Grant, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, s := range m.shares {
		held = append(held, keeper.Grant{ID: id, NotAfter: s.NotAfter})
	}
	return held, nil
}

// names are keepers by their numbers.
func names(ks []wallet.Keeper) (out []int) {
	for _, k := range ks {
		out = append(out, k.Number)
	}
	return out
}

// faults are what a wallet says of keepers, by number.
func faults(w *wallet.Wallet) (out []string) {
	for _, f := range w.Log().Faults() {
		what := "lies"
		if _, refused := errors.AsType[*ledgerclient.KeeperError](f.Err); refused {
			what = "refuses"
		} else if ledgerclient.Unreachable(f.Err) != nil {
			what = "silent"
		}
		out = append(out, fmt.Sprint(f.Number, " ", what))
	}
	return out
}
