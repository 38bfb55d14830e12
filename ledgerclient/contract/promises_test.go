package contract

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
)

// Random entries by random authors are thrown at a ledger, and the promises are
// checked on what it accepted. The promises are stated here over the list of
// accepted entries, without states, Apply or CheckShape: the ledger must accept
// exactly what they allow.

// accepted is one leaf as the checker knows it.
type accepted struct {
	index uint64
	hour  Hour
	id    ID
	Entry
}

// attempt is one entry on its way to the ledger, and what its maker knows of it.
type attempt struct {
	Entry
	sound    bool   // signed by the author's key for this ledger and not touched since
	document []byte // config only
	previous ID     // config only: what the document follows
	approved int    // config only: by so many different nodes; -1 when a line is bad
}

// history answers questions by looking through what was accepted.
type history struct {
	ledger   crypto.LedgerID
	opened   map[ID]accepted
	followed map[ID][]accepted // by subject, in order
	seen     map[ID]bool
	document ID // commitment of the configuration in force
	nodes    []crypto.PubKey
	points   map[crypto.PubKey]bool // every public key that the test made
	size     uint64
}

// id is computed here from the specification alone.
func (h *history) id(e *Entry) ID {
	b := e.Marshal()
	text := append([]byte("carekey/v1/entry\x00"), h.ledger[:]...)
	return sha256.Sum256(append(text, b[:158]...))
}

// allows states the promises. It returns why not, "" when they allow the entry.
func (h *history) allows(a *attempt, hour Hour) string {
	e := &a.Entry
	if !a.sound {
		return "signed by nobody who may, for this ledger"
	}
	opening := e.Subject == ID{}
	if e.Version != 1 || e.Hours != 0 || (e.Commitment == crypto.Hash{}) {
		return "malformed"
	}
	if (e.Kind == KindGrant) != h.points[e.Counterparty] || e.Kind != KindGrant && e.Counterparty != (crypto.PubKey{}) {
		return "malformed counterparty"
	}
	if e.Flags != 0 && (e.Flags != 1 || e.Kind != KindRecord || opening) {
		return "malformed flags"
	}
	bounded := e.NotBefore < e.NotAfter && uint64(e.NotAfter) <= uint64(e.NotBefore)+72
	inTime := e.NotBefore <= hour && hour < e.NotAfter
	thread, known := h.opened[e.Subject]
	follow := h.followed[e.Subject]
	ended := slices.ContainsFunc(follow, func(f accepted) bool { return f.Kind == KindRevoke || f.Flags == 1 })
	switch {
	case e.Kind == KindGrant:
		if !opening || e.NotBefore >= e.NotAfter || hour >= e.NotAfter {
			return "a grant that can never be used"
		}
		return ""
	case e.Kind == KindRecord && opening:
		if e.NotBefore != 0 || e.NotAfter != 0 {
			return "malformed hours"
		}
		return ""
	case !known:
		return "about nothing on this ledger"
	case ended:
		return "closed is final"
	}
	switch e.Kind {
	case KindConfig:
		if thread.Kind != KindConfig || !slices.Contains(h.nodes, e.Author) || !bounded || !inTime {
			return "not by a node, or not now"
		}
		if ConfigCommitment(a.document) != e.Commitment || a.previous != h.document || a.approved < 2 {
			return "a configuration that too few approved"
		}
	case KindRecord:
		if thread.Kind != KindRecord || thread.Author != e.Author || !bounded || !inTime {
			return "only the author, and in time"
		}
	case KindRevoke:
		if thread.Kind != KindGrant || thread.Author != e.Author || e.NotBefore != 0 || e.NotAfter != 0xffffffff {
			return "only the author revokes"
		}
	case KindAccess:
		if thread.Kind != KindGrant || thread.Counterparty != e.Author || !bounded || !inTime {
			return "only the recipient, and in time"
		}
		if hour < thread.NotBefore || hour >= thread.NotAfter {
			return "outside the window"
		}
		if slices.ContainsFunc(follow, func(f accepted) bool { return f.Kind == KindAccess && f.hour == hour }) {
			return "at most one in an hour"
		}
	default:
		return "unknown kind"
	}
	return ""
}

func (h *history) add(a *attempt, hour Hour) {
	x := accepted{index: h.size, hour: hour, id: h.id(&a.Entry), Entry: a.Entry}
	if a.Subject == (ID{}) {
		h.opened[x.id] = x
	} else {
		h.followed[a.Subject] = append(h.followed[a.Subject], x)
	}
	if a.Kind == KindConfig {
		h.document = a.Commitment
	}
	h.seen[x.id] = true
	h.size++
}

// slot is the thread's slot by recomputation from all its entries.
func (h *history) slot(opening accepted) []byte {
	status, last, chain := byte(1), Hour(0), [32]byte{}
	follow := h.followed[opening.id]
	for _, f := range follow {
		if f.Kind == KindRevoke || f.Flags == 1 {
			status = 2
		}
		if f.Kind == KindAccess {
			last = f.hour
		}
		text := append([]byte("carekey/v1/chain\x00"), chain[:]...)
		text = binary.BigEndian.AppendUint64(text, f.index)
		text = binary.BigEndian.AppendUint32(text, uint32(f.hour))
		chain = sha256.Sum256(append(text, f.id[:]...))
	}
	b := binary.BigEndian.AppendUint32([]byte{byte(opening.Kind), status}, uint32(last))
	b = binary.BigEndian.AppendUint32(b, uint32(len(follow)))
	return append(b, chain[:]...)
}

// crowd makes attempts.
type crowd struct {
	*rand.Rand
	t             *testing.T
	ledger, other crypto.LedgerID
	keys          []*crypto.PrivateKey
	byPublic      map[crypto.PubKey]*crypto.PrivateKey
	nodes         []*crypto.PrivateKey // the first three of keys
	config        Config               // in force
	genesis       ID
	first         []byte // genesis document
	threads       []accepted
	sent          []attempt
	withheld      []attempt
	serial        uint64
}

func (c *crowd) chance(percent int) bool { return c.IntN(100) < percent }

func (c *crowd) key() *crypto.PrivateKey { return c.keys[c.IntN(len(c.keys))] }

// thread returns a thread that was opened, mostly a recent one.
func (c *crowd) thread(kind Kind) accepted {
	for range 20 {
		n := min(60, len(c.threads))
		if c.chance(5) {
			n = len(c.threads)
		}
		if t := c.threads[len(c.threads)-1-c.IntN(n)]; t.Kind == kind || c.chance(2) {
			return t
		}
	}
	return c.threads[len(c.threads)-1]
}

// acceptance returns the hours of a follow-up, mostly those of a wallet.
func (c *crowd) acceptance(now Hour) (Hour, Hour) {
	if c.chance(80) {
		return now - 1, now + 48
	}
	nb := now - 60 + Hour(c.IntN(70))
	return nb, nb + Hour(c.IntN(76))
}

// next makes an attempt at the hour now.
func (c *crowd) next(now Hour) attempt {
	switch p := c.IntN(100); {
	case p < 6 && len(c.sent) > 0: // the same bytes again
		return c.sent[c.IntN(len(c.sent))]
	case p < 12 && len(c.sent) > 0: // somebody else's bytes, changed on the way
		return c.tamper(c.sent[c.IntN(len(c.sent))])
	case p < 16 && len(c.withheld) > 0: // bytes that somebody kept back
		i := c.IntN(len(c.withheld))
		a := c.withheld[i]
		c.withheld = slices.Delete(c.withheld, i, i+1)
		return a
	}
	a := c.fresh(now)
	if c.chance(4) {
		c.withheld = append(c.withheld, a)
	}
	return a
}

func (c *crowd) tamper(a attempt) attempt {
	b := a.Marshal()
	before := b
	switch c.IntN(3) {
	case 0:
		b[c.IntN(len(b))] ^= 1 << c.IntN(8)
	case 1: // another author takes the signature over
		key := c.key().Public()
		copy(b[4:37], key[:])
	case 2: // the signature of another entry
		other := c.sent[c.IntN(len(c.sent))].Marshal()
		copy(b[158:], other[158:])
	}
	a.Entry, _ = ParseEntry(b[:])
	if b != before {
		a.sound = false
	}
	return a
}

func (c *crowd) fresh(now Hour) attempt {
	c.serial++
	a := attempt{Entry: Entry{Version: 1}, sound: true}
	binary.BigEndian.PutUint64(a.Commitment[:], c.serial)
	author := c.key()
	// right chooses the key that may do it, mostly.
	right := func(p crypto.PubKey) {
		if key := c.byPublic[p]; key != nil && !c.chance(12) {
			author = key
		}
	}
	switch p := c.IntN(100); {
	case p < 12:
		a.Kind = KindRecord
	case p < 28:
		a.Kind, a.Counterparty = KindGrant, c.key().Public()
		a.NotAfter = now + Hour(c.IntN(40))
		if c.chance(50) {
			a.NotBefore = now - 5 + Hour(c.IntN(25))
		}
	case p < 72:
		t := c.thread(KindGrant)
		a.Kind, a.Subject = KindAccess, t.id
		a.NotBefore, a.NotAfter = c.acceptance(now)
		right(t.Counterparty)
	case p < 79:
		t := c.thread(KindGrant)
		a.Kind, a.Subject, a.NotAfter = KindRevoke, t.id, Forever
		right(t.Author)
	case p < 96:
		t := c.thread(KindRecord)
		a.Kind, a.Subject = KindRecord, t.id
		a.NotBefore, a.NotAfter = c.acceptance(now)
		if c.chance(20) {
			a.Flags = 1
		}
		right(t.Author)
	default:
		a.Kind, a.Subject = KindConfig, c.genesis
		a.NotBefore, a.NotAfter = c.acceptance(now)
		c.configure(&a)
		if c.chance(10) { // a second opening of the configuration
			a.Subject, a.NotBefore, a.NotAfter = ID{}, 0, 0
			a.document, a.Commitment = c.first, ConfigCommitment(c.first)
			a.SelfTag = crypto.SelfTag(a.Commitment[:]) // or it would be entry 0 again
		}
		right(c.nodes[c.IntN(len(c.nodes))].Public())
	}
	if c.chance(4) {
		c.misshape(&a.Entry)
	}
	if a.Subject != (ID{}) && c.chance(2) {
		binary.BigEndian.PutUint64(a.Subject[8:], c.serial)
	}
	ledger := c.ledger
	if c.chance(5) {
		ledger, a.sound = c.other, false
	}
	a.Entry = sign(c.t, ledger, a.Entry, author)
	return a
}

// configure gives the attempt a document that some nodes approve.
func (c *crowd) configure(a *attempt) {
	next := c.config
	next.Name = fmt.Sprint("Ledger ", c.serial)
	next.Previous, next.Approvals = c.config.Commitment(), nil
	if c.chance(10) {
		next.Previous = testHash("another")
	}
	for _, n := range c.nodes {
		if c.chance(70) {
			next.Approve(n)
			a.approved++
		}
	}
	if c.chance(10) {
		next.Approve(c.keys[len(c.keys)-1])
		a.approved = -1
	}
	if a.approved > 0 && c.chance(10) {
		next.Approvals = append(next.Approvals, next.Approvals[0])
		a.approved = -1
	}
	if len(next.Approvals) == 0 {
		a.approved = -1
	}
	a.document, a.previous, a.Commitment = next.Marshal(), next.Previous, next.Commitment()
}

// misshape changes a field before the entry is signed.
func (c *crowd) misshape(e *Entry) {
	switch c.IntN(8) {
	case 0:
		e.Version = uint8(c.IntN(256))
	case 1:
		e.Kind = Kind(c.IntN(14))
	case 2:
		e.Flags = uint8(c.IntN(256))
	case 3:
		e.Hours = uint8(c.IntN(3))
	case 4:
		e.Commitment = crypto.Hash{}
	case 5:
		e.Counterparty = [...]crypto.PubKey{{}, {0: 2, 32: 5}, {1}, c.key().Public()}[c.IntN(4)]
	case 6:
		e.NotBefore, e.NotAfter = Hour(c.Uint32()), Hour(c.Uint32())
	case 7:
		e.Subject = [...]ID{{}, c.threads[c.IntN(len(c.threads))].id}[c.IntN(2)]
	}
}

func TestPromises(t *testing.T) {
	lane.OneGoroutine(t)
	attempts := lane.Pick(26_000, 8_000, 8_000)
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			throwAtLedger(t, seed, attempts)
		})
	}
}

func throwAtLedger(t *testing.T, seed uint64, attempts int) {
	c := &crowd{Rand: rand.New(rand.NewPCG(seed, 0x636172656b6579)), t: t, byPublic: make(map[crypto.PubKey]*crypto.PrivateKey)}
	h := &history{opened: make(map[ID]accepted), followed: make(map[ID][]accepted), seen: make(map[ID]bool), points: make(map[crypto.PubKey]bool)}
	for i := range 40 {
		k := testKey(t, fmt.Sprint("crowd ", i))
		if i < 3 {
			k = testKey(t, fmt.Sprint("node-", i+1))
			c.nodes = append(c.nodes, k)
			h.nodes = append(h.nodes, k.Public())
		}
		c.keys = append(c.keys, k)
		c.byPublic[k.Public()] = k
		h.points[k.Public()] = true
	}
	c.config = testConfig(t, fmt.Sprint("Ledger of seed ", seed), 2, "node-1", "node-2", "node-3")
	log := newReferenceLog(c.config, false)
	c.ledger, h.ledger = log.ledger, log.ledger
	other := testConfig(t, "Another ledger", 2, "node-1", "node-2", "node-3")
	c.other = other.LedgerID()

	hour := Hour(5000)
	genesis := attempt{Entry: sign(t, c.ledger, Entry{Version: 1, Kind: KindConfig, Commitment: c.config.Commitment()}, c.nodes[0]), sound: true}
	if _, err := log.submit(genesis.Entry, hour, c.config.Marshal()); err != nil {
		t.Fatal(err)
	}
	h.add(&genesis, hour)
	c.genesis, c.first = h.id(&genesis.Entry), c.config.Marshal()
	c.threads = append(c.threads, h.opened[c.genesis])

	byRule := make(map[Rule]int)
	byKind := make(map[Kind]int)
	repeated := 0
	for n := range attempts {
		clock := hour
		switch {
		case c.chance(2):
			clock += Hour(1 + c.IntN(4))
		case c.chance(1):
			clock -= Hour(c.IntN(30)) // a clock that goes back
		}
		a := c.next(max(hour, clock))
		if len(c.sent) < 4000 {
			c.sent = append(c.sent, a)
		} else {
			c.sent[c.IntN(len(c.sent))] = a
		}
		id := h.id(&a.Entry)
		size := uint64(len(log.leaves))
		threadBefore := threadState(log, a.Subject)
		_, err := log.submit(a.Entry, clock, a.document)
		if h.seen[id] {
			// With a signature that somebody damaged it is refused, and no harm is done.
			repeated++
			if (err == nil) != a.sound || uint64(len(log.leaves)) != size {
				t.Fatalf("attempt %d: the same entry again: %v", n, err)
			}
			continue
		}
		judged := max(hour, clock)
		why := h.allows(&a, judged)
		if (err == nil) != (why == "") {
			t.Fatalf("attempt %d: the ledger says %v, the promises %q: %+v at hour %d", n, err, why, a.Entry, judged)
		}
		if err != nil {
			byRule[ruleOf(t, err)]++
			if uint64(len(log.leaves)) != size || threadState(log, a.Subject) != threadBefore {
				t.Fatalf("attempt %d: a refusal changed the ledger", n)
			}
			continue
		}
		byKind[a.Kind]++
		hour = judged
		if got := log.leaves[size]; got.Hour != judged || got.Entry != a.Entry {
			t.Fatalf("attempt %d: leaf %+v", n, got)
		}
		h.add(&a, judged)
		if x, ok := h.opened[id]; ok {
			c.threads = append(c.threads, x)
		}
		if a.Kind == KindConfig {
			c.config = log.config
		}
	}

	for id, opening := range h.opened {
		state := log.states[log.index[id]]
		if got, want := state.Slot(), h.slot(opening); !slices.Equal(got, want) {
			t.Errorf("slot %d is %x, recomputed %x", opening.index, got, want)
		}
	}
	for _, follow := range h.followed {
		for _, f := range follow {
			if log.states[f.index].Slot() != nil {
				t.Errorf("follow-up %d has a slot", f.index)
			}
		}
	}
	// The test tests nothing unless every kind got in and every rule was met.
	for k := KindConfig; k <= KindAccess; k++ {
		if byKind[k] < attempts/1000 {
			t.Errorf("only %d entries of kind %v were accepted", byKind[k], k)
		}
	}
	for _, r := range Rules() {
		if byRule[r.Rule] == 0 && r.Rule != RuleFull {
			t.Errorf("nothing was refused by the rule %s", r.Rule)
		}
	}
	t.Logf("%d attempts, %d accepted %v, %d repeated, refused %v", attempts, h.size, byKind, repeated, byRule)
}

func threadState(l *referenceLog, subject ID) State {
	if i, ok := l.index[subject]; ok {
		return l.states[i]
	}
	return State{}
}
