package keeper

import (
	"context"
	"crypto/rand"
	"math"
	"reflect"
	"sync"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

var ctx = context.Background()

// log is a ledger in memory that judges by the contract. It is its own replica.
type log struct {
	id     crypto.LedgerID
	hour   contract.Hour
	sure   uint64 // of its leaves, if there are as many
	leaves []contract.Leaf
	at     map[contract.ID]uint64
	states map[uint64]contract.State
}

func newLog() *log {
	l := &log{hour: start, sure: math.MaxUint64, at: map[contract.ID]uint64{}, states: map[uint64]contract.State{}}
	rand.Read(l.id[:])
	l.leaves = append(l.leaves, contract.Leaf{Hour: start}) // stands for the configuration
	return l
}

// append orders an entry or says by which rule it is refused.
func (l *log) append(e contract.Entry) contract.Rule {
	refused := func(err error) contract.Rule {
		if r, ok := err.(*contract.Refusal); ok {
			return r.Rule
		}
		panic(err)
	}
	if err := contract.CheckShape(&e); err != nil {
		return refused(err)
	}
	if err := contract.CheckSignature(l.id, &e); err != nil {
		return refused(err)
	}
	n, id := uint64(len(l.leaves)), e.ID(l.id)
	thread := n
	if !e.Opens() {
		thread = l.at[e.Subject]
	}
	next, err := contract.Apply(contract.Config{Contract: contract.ContractVersion}, l.states[thread], &e, id, n, l.hour)
	if err != nil {
		return refused(err)
	}
	l.states[thread] = next
	l.at[id] = n
	l.leaves = append(l.leaves, contract.Leaf{Hour: l.hour, Entry: e})
	return ""
}

func (l *log) View(_ context.Context, f func(View) error) error { return f(l) }

func (l *log) Head() Head {
	return Head{Size: uint64(len(l.leaves)), Root: crypto.Hash{1, 2}, Hour: l.hour, Sure: min(l.sure, uint64(len(l.leaves)))}
}

func (l *log) Find(id contract.ID) (uint64, bool, error) {
	i, ok := l.at[id]
	return i, ok, nil
}
func (l *log) Leaf(i uint64) (contract.Leaf, error)   { return l.leaves[i], nil }
func (l *log) State(i uint64) (contract.State, error) { return l.states[i], nil }

// memory is a vault in memory.
type memory struct {
	mu     sync.Mutex
	shares map[Grant]ledgerclient.Deposit
	stops  map[contract.ID]contract.Entry
	acked  map[contract.ID][]ledgerclient.Acknowledgement
	filed  map[contract.ID][]ledgerclient.Refused
	more   map[contract.ID]uint32
	fail   error
	trace  []string // what was changed, in order
	given  []crypto.Share
}

func newMemory() *memory {
	return &memory{
		shares: map[Grant]ledgerclient.Deposit{}, stops: map[contract.ID]contract.Entry{},
		acked: map[contract.ID][]ledgerclient.Acknowledgement{}, filed: map[contract.ID][]ledgerclient.Refused{}, more: map[contract.ID]uint32{},
	}
}

func (m *memory) Read(_ context.Context, grants ...Grant) (all []Record, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range grants {
		rec, err := m.read(g)
		if all = append(all, rec); err != nil {
			return all, err
		}
	}
	return all, nil
}

func (m *memory) read(g Grant) (Record, error) {
	rec := Record{Acks: m.acked[g.ID]}
	if d, ok := m.shares[g]; ok {
		s, err := crypto.ParseShare(func() []byte { b := d.Share.Bytes(); return b[:] }())
		if err != nil {
			return rec, err
		}
		d.Share = s // the keeper wipes it
		rec.Share = &d
		m.given = append(m.given, s)
	}
	_, rec.Stopped = m.stops[g.ID]
	return rec, m.fail
}

func (m *memory) Store(_ context.Context, shares []Share) ([]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trace = append(m.trace, "store")
	held := make([]bool, len(shares))
	for i, s := range shares {
		g := Grant{s.Deposit.Grant, s.NotAfter}
		have, ok := m.shares[g]
		_, stopped := m.stops[g.ID]
		rec := Record{Acks: m.acked[g.ID]}
		switch {
		case stopped || rec.ack(ledgerclient.DestroyedShare) != nil:
		case ok:
			held[i] = have.Share.Equal(s.Deposit.Share)
		default:
			m.shares[g] = s.Deposit
			held[i] = true
		}
	}
	return held, m.fail
}

func (m *memory) Stop(_ context.Context, revocations []contract.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trace = append(m.trace, "stop")
	for _, e := range revocations {
		m.stops[e.Subject] = e
	}
	return m.fail
}

func (m *memory) Destroy(_ context.Context, grants []Grant) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trace = append(m.trace, "destroy")
	for _, g := range grants {
		delete(m.shares, g)
	}
	return m.fail
}

func (m *memory) Acknowledge(_ context.Context, acks []ledgerclient.Acknowledgement) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trace = append(m.trace, "acknowledge")
	for _, a := range acks {
		m.acked[a.Grant] = append(m.acked[a.Grant], a)
	}
	return m.fail
}

func (m *memory) File(_ context.Context, r ledgerclient.Refused, limit int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if filed := m.filed[r.Answer.Grant]; len(filed) < limit {
		m.filed[r.Answer.Grant] = append(filed, r)
	} else {
		m.more[r.Answer.Grant]++
	}
	return m.fail
}

func (m *memory) Filed(_ context.Context, id contract.ID) ([]ledgerclient.Refused, uint32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.filed[id], m.more[id], m.fail
}

func (m *memory) Held(context.Context) ([]Grant, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var held []Grant
	for g := range m.shares {
		held = append(held, g)
	}
	return held, m.fail
}

const (
	start    contract.Hour = 480_000
	winStart               = start + 10
	winEnd                 = start + 100
)

// scene is a ledger, its keeper, and the two people of one grant.
type scene struct {
	t               testing.TB
	log             *log
	vault           *memory
	own             contract.Hour // the keeper's clock
	key             *crypto.PrivateKey
	keeper          *Keeper
	author, partner *crypto.PrivateKey
	shares          []crypto.Share
	pkg             contract.GrantPackage
	grant           contract.Entry
	id              contract.ID
}

// newScene makes a grant with a window, on the ledger, in the hour after start.
func newScene(t testing.TB) *scene {
	t.Helper()
	s := &scene{t: t, log: newLog(), vault: newMemory(), own: start, key: crypto.GenerateKey()}
	t.Cleanup(func() {
		for i, share := range s.vault.given {
			if b := share.Bytes(); b != [33]byte{share.Index} {
				t.Errorf("the %d. share of %d that was read was not wiped", i+1, len(s.vault.given))
			}
		}
	})
	s.keeper = New(s.log.id, s.key, s.log, s.vault, func() contract.Hour { return s.own })
	s.author, s.partner = crypto.GenerateKey(), crypto.GenerateKey()
	s.shares, s.pkg, s.grant = s.newGrant(s.author, s.partner)
	s.id = s.grant.ID(s.log.id)
	s.order(s.grant)
	return s
}

func (s *scene) newGrant(author, partner *crypto.PrivateKey) ([]crypto.Share, contract.GrantPackage, contract.Entry) {
	s.t.Helper()
	seed := crypto.NewEntropy().Root().Seed(s.log.id, crypto.NewNonce())
	shares, err := seed.Shares(2, 3)
	if err != nil {
		s.t.Fatal(err)
	}
	pkg := contract.GrantPackage{K: 2, N: 3, Lock: seed.LockKey().Hash(s.log.id, author.Public())}
	for _, sh := range shares {
		pkg.Shares = append(pkg.Shares, sh.Hash(s.log.id, author.Public()))
	}
	return shares, pkg, s.sign(contract.Entry{
		Kind: contract.KindGrant, Counterparty: partner.Public(), NotBefore: winStart, NotAfter: winEnd, Commitment: pkg.Commitment(),
	}, author)
}

func (s *scene) sign(e contract.Entry, key *crypto.PrivateKey) contract.Entry {
	s.t.Helper()
	e.Version, e.Author = contract.Version, key.Public()
	rand.Read(e.SelfTag[:])
	if e.Commitment.IsZero() {
		rand.Read(e.Commitment[:])
	}
	if err := e.Sign(s.log.id, key); err != nil {
		s.t.Fatal(err)
	}
	return e
}

func (s *scene) order(e contract.Entry) {
	s.t.Helper()
	if rule := s.log.append(e); rule != "" {
		s.t.Fatalf("ledger refused: %s", rule)
	}
}

// at sets the ledger's hour and the keeper's clock.
func (s *scene) at(ledger, own contract.Hour) { s.log.hour, s.own = ledger, own }

func (s *scene) deposit(change func(*ledgerclient.Deposit)) ledgerclient.Deposit {
	d := ledgerclient.Deposit{Ledger: s.log.id, Grant: s.id, Keeper: s.keeper.Key(), Share: s.shares[0], Package: s.pkg.Marshal()}
	if change != nil {
		change(&d)
	}
	ledgerclient.Sign(&d, s.author)
	return d
}

// deposited puts the share where it belongs.
func (s *scene) deposited() {
	s.t.Helper()
	if _, err := s.keeper.Deposit(ctx, []ledgerclient.Deposit{s.deposit(nil)}); err != nil {
		s.t.Fatal(err)
	}
}

// access makes an access of this ledger hour, signed by the counterparty.
func (s *scene) access() contract.Entry {
	return s.sign(contract.Entry{Kind: contract.KindAccess, Subject: s.id, NotBefore: s.log.hour - 1, NotAfter: s.log.hour + 48}, s.partner)
}

func (s *scene) request(access contract.Entry) (ledgerclient.Request, *crypto.PrivateKey) {
	response := crypto.GenerateKey()
	r := ledgerclient.Request{Ledger: s.log.id, Keeper: s.keeper.Key(), Access: access, Response: response.Public()}
	ledgerclient.Sign(&r, s.partner)
	return r, response
}

func (s *scene) revocation() contract.Entry {
	return s.sign(contract.Entry{Kind: contract.KindRevoke, Subject: s.id, NotAfter: 1<<32 - 1}, s.author)
}

// ask releases and checks the signature on the answer, whatever it says.
func (s *scene) ask(r ledgerclient.Request) ledgerclient.Answer {
	s.t.Helper()
	a, err := s.keeper.Release(ctx, r)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := a.Verify(&r, s.keeper.Key()); err != nil {
		s.t.Errorf("answer: %v", err)
	}
	if again, err := ledgerclient.Parse[ledgerclient.Answer](ledgerclient.Marshal(&a)); err != nil || !reflect.DeepEqual(again, a) {
		s.t.Errorf("answer does not survive its encoding: %v", err)
	}
	return a
}
