package contract

import (
	"math"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
)

// world is a ledger at hour 1000 with one record, by the key "owner", and one
// grant, by "patient" to "clinic", open from hour 990 to 1010.
type world struct {
	*referenceLog
	tb            testing.TB
	record, grant ID
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{referenceLog: newReferenceLog(testConfig(tb, "Test ledger", 2, "node-1", "node-2", "node-3"), true), tb: tb}
	w.must(w.put(w.genesis(), "node-1", w.config.Marshal()))
	w.record = w.open(Entry{Kind: KindRecord}, "owner")
	w.grant = w.open(w.grantEntry(990, 1010), "patient")
	return w
}

func (w *world) must(err error) {
	w.tb.Helper()
	if err != nil {
		w.tb.Fatal(err)
	}
}

func (w *world) open(e Entry, key string) ID {
	w.tb.Helper()
	w.must(w.put(e, key, nil))
	return w.leaves[len(w.leaves)-1].Entry.ID(w.ledger)
}

// put fills what the entry leaves open, signs it and submits it at hour 1000.
func (w *world) put(e Entry, key string, document []byte) error {
	return w.putAt(1000, e, key, document)
}

func (w *world) putAt(h Hour, e Entry, key string, document []byte) error {
	_, err := w.submit(w.signed(e, key), h, document)
	return err
}

func (w *world) signed(e Entry, key string) Entry {
	if e.Version == 0 {
		e.Version = Version
	}
	if e.Commitment == (crypto.Hash{}) {
		e.Commitment = testHash("commitment")
	}
	return sign(w.tb, w.ledger, e, testKey(w.tb, key))
}

func (w *world) genesis() Entry { return Entry{Kind: KindConfig, Commitment: w.config.Commitment()} }

func (w *world) grantEntry(nb, na Hour) Entry {
	return Entry{Kind: KindGrant, Counterparty: testKey(w.tb, "clinic").Public(), NotBefore: nb, NotAfter: na}
}

func (w *world) version() Entry {
	return Entry{Kind: KindRecord, Subject: w.record, NotBefore: 999, NotAfter: 1048}
}

func (w *world) withdrawal() Entry {
	e := w.version()
	e.Flags = FlagWithdrawn
	return e
}

func (w *world) access() Entry {
	return Entry{Kind: KindAccess, Subject: w.grant, NotBefore: 999, NotAfter: 1048}
}

func (w *world) revoke() Entry {
	return Entry{Kind: KindRevoke, Subject: w.grant, NotAfter: Forever}
}

// next returns the entry and the document of a configuration that follows,
// approved by the named nodes.
func (w *world) next(approving ...string) (Entry, Config) {
	c := w.config
	c.Name = "Renamed ledger"
	c.Previous, c.Approvals = w.config.Commitment(), nil
	for _, n := range approving {
		c.Approve(testKey(w.tb, n))
	}
	return w.configEntry(c), c
}

func (w *world) configEntry(c Config) Entry {
	return Entry{
		Kind: KindConfig, Subject: w.leaves[0].Entry.ID(w.ledger), NotBefore: 999, NotAfter: 1048, Commitment: c.Commitment(),
	}
}

// with returns e after the change.
func with(e Entry, change func(*Entry)) Entry {
	change(&e)
	return e
}

// ruleCase breaks one rule and, beside it, keeps it: good must be accepted and
// bad refused by exactly that rule, each in a world of its own.
type ruleCase struct {
	rule      Rule
	why       string
	good, bad func(w *world) error
}

func access(w *world) error { return w.put(w.access(), "clinic", nil) }

var ruleCases = []ruleCase{
	{RuleVersion, "another entry version", access,
		func(w *world) error { return w.put(with(w.access(), func(e *Entry) { e.Version = 2 }), "clinic", nil) }},
	{RuleKind, "a reserved kind", access,
		func(w *world) error {
			return w.put(with(w.access(), func(e *Entry) { e.Kind = KindAccess + 1 }), "clinic", nil)
		}},
	{RuleKind, "kind zero", access,
		func(w *world) error { return w.put(with(w.access(), func(e *Entry) { e.Kind = 0 }), "clinic", nil) }},
	{RuleFlags, "withdrawn on an access", access,
		func(w *world) error {
			return w.put(with(w.access(), func(e *Entry) { e.Flags = FlagWithdrawn }), "clinic", nil)
		}},
	{RuleFlags, "a record opened as withdrawn",
		func(w *world) error { return w.put(w.withdrawal(), "owner", nil) },
		func(w *world) error { return w.put(Entry{Kind: KindRecord, Flags: FlagWithdrawn}, "owner", nil) }},
	{RuleFlags, "an unknown flag beside a known one",
		func(w *world) error { return w.put(w.withdrawal(), "owner", nil) },
		func(w *world) error { return w.put(with(w.withdrawal(), func(e *Entry) { e.Flags = 3 }), "owner", nil) }},
	{RuleHours, "the reserved byte", access,
		func(w *world) error { return w.put(with(w.access(), func(e *Entry) { e.Hours = 1 }), "clinic", nil) }},
	{RuleCommitment, "nothing is committed to", access,
		func(w *world) error {
			e := w.signed(w.access(), "clinic")
			e.Commitment = crypto.Hash{}
			_, err := w.submit(e, 1000, nil)
			return err
		}},
	{RuleCounterparty, "a grant to nobody",
		func(w *world) error { return w.put(w.grantEntry(0, 2000), "patient", nil) },
		func(w *world) error {
			return w.put(with(w.grantEntry(0, 2000), func(e *Entry) { e.Counterparty = crypto.PubKey{} }), "patient", nil)
		}},
	{RuleCounterparty, "a grant to a key that is no point",
		func(w *world) error { return w.put(w.grantEntry(0, 2000), "patient", nil) },
		func(w *world) error {
			// x = 5 is on no point of the curve: 5³ + 7 = 132 is no square.
			return w.put(with(w.grantEntry(0, 2000), func(e *Entry) { e.Counterparty = crypto.PubKey{0: 2, 32: 5} }), "patient", nil)
		}},
	{RuleCounterparty, "an access with a counterparty", access,
		func(w *world) error {
			return w.put(with(w.access(), func(e *Entry) { e.Counterparty = testKey(w.tb, "x").Public() }), "clinic", nil)
		}},
	{RuleSubject, "a grant about something",
		func(w *world) error { return w.put(w.grantEntry(0, 2000), "patient", nil) },
		func(w *world) error {
			return w.put(with(w.grantEntry(0, 2000), func(e *Entry) { e.Subject = w.grant }), "patient", nil)
		}},
	{RuleSubject, "an access to nothing", access,
		func(w *world) error {
			return w.put(with(w.access(), func(e *Entry) { e.Subject = ID{} }), "clinic", nil)
		}},
	{RuleSubject, "a revocation of nothing",
		func(w *world) error { return w.put(w.revoke(), "patient", nil) },
		func(w *world) error {
			return w.put(with(w.revoke(), func(e *Entry) { e.Subject = ID{} }), "patient", nil)
		}},
	{RuleWindow, "a grant whose window is empty",
		func(w *world) error { return w.put(w.grantEntry(1999, 2000), "patient", nil) },
		func(w *world) error { return w.put(w.grantEntry(2000, 2000), "patient", nil) }},
	{RuleWindow, "a follow-up that is open for acceptance for 73 hours",
		func(w *world) error {
			return w.put(with(w.access(), func(e *Entry) { e.NotAfter = e.NotBefore + 72 }), "clinic", nil)
		},
		func(w *world) error {
			return w.put(with(w.access(), func(e *Entry) { e.NotAfter = e.NotBefore + 73 }), "clinic", nil)
		}},
	{RuleWindow, "a follow-up that is never open", access,
		func(w *world) error {
			return w.put(with(w.access(), func(e *Entry) { e.NotAfter = e.NotBefore }), "clinic", nil)
		}},
	{RuleWindow, "a follow-up whose window wraps around", access,
		func(w *world) error {
			return w.put(with(w.access(), func(e *Entry) { e.NotBefore, e.NotAfter = Forever, 40 }), "clinic", nil)
		}},
	{RuleWindow, "a revocation that could go stale",
		func(w *world) error { return w.put(w.revoke(), "patient", nil) },
		func(w *world) error {
			return w.put(with(w.revoke(), func(e *Entry) { e.NotAfter = 1048 }), "patient", nil)
		}},
	{RuleWindow, "a record opened with hours",
		func(w *world) error { return w.put(Entry{Kind: KindRecord}, "owner", nil) },
		func(w *world) error { return w.put(Entry{Kind: KindRecord, NotAfter: 1048}, "owner", nil) }},

	{RuleSignature, "one bit of the signature", access,
		func(w *world) error { return w.tampered(func(e *Entry) { e.Signature[40] ^= 1 }) }},
	{RuleSignature, "another author under the same signature", access,
		func(w *world) error { return w.tampered(func(e *Entry) { e.Author = testKey(w.tb, "x").Public() }) }},
	{RuleSignature, "an author that is no point", access,
		func(w *world) error { return w.tampered(func(e *Entry) { e.Author = crypto.PubKey{0: 2, 32: 5} }) }},
	{RuleSignature, "the other signature, with high s", access,
		func(w *world) error { return w.tampered(func(e *Entry) { e.Signature = highS(e.Signature) }) }},
	{RuleSignature, "signed for another ledger", access,
		func(w *world) error {
			e := with(w.access(), func(e *Entry) { e.Version, e.Commitment = Version, testHash("commitment") })
			other := testConfig(w.tb, "Other ledger", 1, "node-1")
			e = sign(w.tb, other.LedgerID(), e, testKey(w.tb, "clinic"))
			_, err := w.submit(e, 1000, nil)
			return err
		}},

	{RuleConfigDocument, "the document is not at hand", approved("node-1", "node-2"),
		func(w *world) error { e, _ := w.next("node-1", "node-2"); return w.put(e, "node-1", nil) }},
	{RuleConfigDocument, "another document than committed to", approved("node-1", "node-2"),
		func(w *world) error {
			e, _ := w.next("node-1", "node-2")
			_, c := w.next("node-1", "node-3")
			return w.put(e, "node-1", c.Marshal())
		}},
	{RuleConfigDocument, "text that is no configuration", approved("node-1", "node-2"),
		func(w *world) error {
			e, c := w.next("node-1", "node-2")
			text := append(c.Marshal(), "more\n"...)
			e.Commitment = ConfigCommitment(text)
			return w.put(e, "node-1", text)
		}},
	{RuleConfigDocument, "no node approves", approved("node-1", "node-2"), approved()},
	{RuleConfigPrevious, "follows another configuration than the one in force", approved("node-1", "node-2"),
		func(w *world) error {
			_, c := w.next()
			c.Previous = testHash("another configuration")
			c.Approve(testKey(w.tb, "node-1"))
			c.Approve(testKey(w.tb, "node-2"))
			return w.put(w.configEntry(c), "node-1", c.Marshal())
		}},
	{RuleConfigPrevious, "a genesis document follows nothing", openWith(func(c *Config) {}),
		openWith(func(c *Config) {
			c.Previous = testHash("before")
			c.Approvals = []Approval{{Node: c.Nodes[0].Key}}
		})},
	{RuleConfigPrevious, "the genesis document again", approved("node-1", "node-2"),
		func(w *world) error { return w.put(w.configEntry(w.config), "node-1", w.config.Marshal()) }},
	{RuleConfigSigner, "approved by one who is no node", approved("node-1", "node-2"), approved("node-1", "node-2", "x")},
	{RuleConfigSigner, "approved twice by one node", approved("node-1", "node-2"), approved("node-1", "node-1")},
	{RuleConfigSigner, "approved by a node for another document", approved("node-1", "node-2", "node-3"),
		func(w *world) error {
			_, c := w.next("node-1", "node-2", "node-3")
			c.Approvals[2].Signature = testKey(w.tb, "node-3").Sign(testHash("another document"))
			return w.put(w.configEntry(c), "node-1", c.Marshal())
		}},
	{RuleConfigThreshold, "fewer nodes approve than must", approved("node-1", "node-2"), approved("node-3")},

	{RuleGenesis, "the configuration opened twice", access,
		func(w *world) error {
			return w.put(with(w.genesis(), func(e *Entry) { e.SelfTag[0] = 1 }), "node-1", w.config.Marshal())
		}},
	{RuleGenesis, "a record as entry 0", first(Entry{Kind: KindConfig}, "node-1"), first(Entry{Kind: KindRecord}, "node-1")},
	{RuleGenesis, "a follow-up as entry 0", first(Entry{Kind: KindConfig}, "node-1"),
		first(Entry{Kind: KindAccess, Subject: testHash("x"), NotBefore: 999, NotAfter: 1048}, "node-1")},
	{RuleUnknownSubject, "an access to a grant that is not here", access,
		func(w *world) error {
			return w.put(with(w.access(), func(e *Entry) { e.Subject = testHash("x") }), "clinic", nil)
		}},
	{RuleUnknownSubject, "a follow-up opens no thread", access,
		func(w *world) error {
			w.must(access(w))
			last := w.leaves[len(w.leaves)-1].Entry.ID(w.ledger)
			return w.putAt(1001, with(w.access(), func(e *Entry) { e.Subject = last }), "clinic", nil)
		}},
	{RuleKindOfSubject, "a revocation of a record",
		func(w *world) error { return w.put(w.revoke(), "patient", nil) },
		func(w *world) error {
			return w.put(with(w.revoke(), func(e *Entry) { e.Subject = w.record }), "owner", nil)
		}},
	{RuleKindOfSubject, "an access to a record", access,
		func(w *world) error {
			return w.put(with(w.access(), func(e *Entry) { e.Subject = w.record }), "owner", nil)
		}},
	{RuleKindOfSubject, "a version of a grant",
		func(w *world) error { return w.put(w.version(), "owner", nil) },
		func(w *world) error {
			return w.put(with(w.version(), func(e *Entry) { e.Subject = w.grant }), "patient", nil)
		}},
	{RuleKindOfSubject, "a withdrawal of the configuration", approved("node-1", "node-2"),
		func(w *world) error {
			return w.put(with(w.withdrawal(), func(e *Entry) { e.Subject = w.leaves[0].Entry.ID(w.ledger) }), "node-1", nil)
		}},
	{RuleKindOfSubject, "a configuration of a record", approved("node-1", "node-2"),
		func(w *world) error {
			e, c := w.next("node-1", "node-2")
			e.Subject = w.record
			return w.put(e, "node-1", c.Marshal())
		}},
	{RuleNotNode, "configured by one who is no node", approved("node-1", "node-2"),
		func(w *world) error { e, c := w.next("node-1", "node-2"); return w.put(e, "x", c.Marshal()) }},
	{RuleNotNode, "opened by another node than the first", first(Entry{Kind: KindConfig}, "node-1"),
		first(Entry{Kind: KindConfig}, "node-2")},
	{RuleNotAuthor, "revoked by the recipient",
		func(w *world) error { return w.put(w.revoke(), "patient", nil) },
		func(w *world) error { return w.put(w.revoke(), "clinic", nil) }},
	{RuleNotAuthor, "revoked by a node",
		func(w *world) error { return w.put(w.revoke(), "patient", nil) },
		func(w *world) error { return w.put(w.revoke(), "node-1", nil) }},
	{RuleNotAuthor, "a version by somebody else",
		func(w *world) error { return w.put(w.version(), "owner", nil) },
		func(w *world) error { return w.put(w.version(), "patient", nil) }},
	{RuleNotAuthor, "withdrawn by somebody else",
		func(w *world) error { return w.put(w.withdrawal(), "owner", nil) },
		func(w *world) error { return w.put(w.withdrawal(), "clinic", nil) }},
	{RuleNotCounterparty, "opened by the one who granted", access,
		func(w *world) error { return w.put(w.access(), "patient", nil) }},
	{RuleRevoked, "an access after the revocation, in the same hour", access,
		func(w *world) error { w.must(w.put(w.revoke(), "patient", nil)); return access(w) }},
	{RuleRevoked, "revoked twice",
		func(w *world) error { return w.put(w.revoke(), "patient", nil) },
		func(w *world) error {
			w.must(w.put(w.revoke(), "patient", nil))
			return w.put(with(w.revoke(), func(e *Entry) { e.Commitment = testHash("again") }), "patient", nil)
		}},
	{RuleWithdrawn, "a version after the withdrawal",
		func(w *world) error { return w.put(w.version(), "owner", nil) },
		func(w *world) error {
			w.must(w.put(w.withdrawal(), "owner", nil))
			return w.put(w.version(), "owner", nil)
		}},
	{RuleEarly, "an access before its own hours",
		func(w *world) error {
			return w.put(with(w.access(), func(e *Entry) { e.NotBefore = 1000 }), "clinic", nil)
		},
		func(w *world) error {
			return w.put(with(w.access(), func(e *Entry) { e.NotBefore = 1001 }), "clinic", nil)
		}},
	{RuleStale, "an access that was withheld",
		func(w *world) error {
			return w.put(with(w.access(), func(e *Entry) { e.NotAfter = 1001 }), "clinic", nil)
		},
		func(w *world) error {
			return w.put(with(w.access(), func(e *Entry) { e.NotAfter = 1000 }), "clinic", nil)
		}},
	{RuleStale, "a withdrawal that was withheld",
		func(w *world) error { return w.putAt(1047, w.withdrawal(), "owner", nil) },
		func(w *world) error { return w.putAt(1048, w.withdrawal(), "owner", nil) }},
	{RuleNotYet, "an access before the window", granted(1000, 1010), granted(1001, 1010)},
	{RuleExpired, "an access after the window",
		func(w *world) error { return w.putAt(1009, w.access(), "clinic", nil) },
		func(w *world) error { return w.putAt(1010, w.access(), "clinic", nil) }},
	{RuleExpired, "a grant whose window is over",
		func(w *world) error { return w.put(w.grantEntry(0, 1001), "patient", nil) },
		func(w *world) error { return w.put(w.grantEntry(0, 1000), "patient", nil) }},
	{RuleOncePerHour, "a second access in one hour",
		func(w *world) error { return w.twice(1000, 1001) },
		func(w *world) error { return w.twice(1000, 1000) }},
	{RuleOncePerHour, "an access after the clock went back",
		func(w *world) error { return w.twice(1003, 1004) },
		func(w *world) error { return w.twice(1003, 1001) }},
	{RuleFull, "the count would overflow", counted(math.MaxUint32 - 1), counted(math.MaxUint32)},
}

// approved puts the next configuration with the approvals of the named nodes.
func approved(nodes ...string) func(*world) error {
	return func(w *world) error { e, c := w.next(nodes...); return w.put(e, "node-1", c.Marshal()) }
}

// first puts an entry as entry 0 of a new ledger.
func first(e Entry, key string) func(*world) error {
	return func(w *world) error {
		w.referenceLog = newReferenceLog(w.config, true)
		if e.Kind == KindConfig {
			e.Commitment = w.config.Commitment()
		}
		return w.put(e, key, w.config.Marshal())
	}
}

// openWith opens a new ledger with a changed configuration.
func openWith(change func(*Config)) func(*world) error {
	return func(w *world) error {
		c := w.config
		change(&c)
		w.referenceLog = newReferenceLog(c, true)
		return w.put(w.genesis(), "node-1", c.Marshal())
	}
}

// granted puts an access to a fresh grant with the window.
func granted(nb, na Hour) func(*world) error {
	return func(w *world) error {
		w.grant = w.open(w.grantEntry(nb, na), "patient")
		return access(w)
	}
}

// counted puts an access to a grant that has already so many follow-ups.
func counted(n uint32) func(*world) error {
	return func(w *world) error {
		w.states[w.index[w.grant]].Count = n
		return access(w)
	}
}

func (w *world) tampered(change func(*Entry)) error {
	_, err := w.submit(with(w.signed(w.access(), "clinic"), change), 1000, nil)
	return err
}

// twice puts two accesses, at these hours of the clock.
func (w *world) twice(one, two Hour) error {
	w.must(w.putAt(one, w.access(), "clinic", nil))
	return w.putAt(two, with(w.access(), func(e *Entry) { e.Commitment = testHash("again") }), "clinic", nil)
}

// highS returns r ‖ n−s, which satisfies the equation of ECDSA as well.
func highS(sig crypto.Signature) crypto.Signature {
	order := [32]byte{
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
		0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
	}
	borrow := 0
	for i := 31; i >= 0; i-- {
		d := int(order[i]) - int(sig[32+i]) - borrow
		borrow = 0
		if d < 0 {
			d, borrow = d+256, 1
		}
		sig[32+i] = byte(d)
	}
	return sig
}

func TestEveryRule(t *testing.T) {
	lane.OneGoroutine(t)
	seen := make(map[Rule]bool)
	for _, c := range ruleCases {
		seen[c.rule] = true
		t.Run(string(c.rule)+"/"+c.why, func(t *testing.T) {
			w := newWorld(t)
			if err := c.good(w); err != nil {
				t.Errorf("keeps the rule and is refused: %v", err)
			}
			w = newWorld(t)
			if got := ruleOf(t, c.bad(w)); got != c.rule {
				t.Errorf("refused by %q, want %q", got, c.rule)
			}
		})
	}
	for _, r := range Rules() {
		if !seen[r.Rule] {
			t.Errorf("no case breaks the rule %s", r.Rule)
		}
	}
}

// A refusal carries what the step knows.
func TestRefusalData(t *testing.T) {
	w := newWorld(t)
	w.must(w.put(w.revoke(), "patient", nil))
	e := w.signed(w.access(), "clinic")
	_, err := w.submit(e, 1002, nil)
	if r, ok := err.(*Refusal); !ok || *r != (Refusal{Rule: RuleRevoked, Entry: e.ID(w.ledger), Hour: 1002}) {
		t.Errorf("got %+v", err)
	}
	e.Signature[0] ^= 1
	err = CheckSignature(w.ledger, &e)
	if r, ok := err.(*Refusal); !ok || *r != (Refusal{Rule: RuleSignature, Entry: e.ID(w.ledger)}) {
		t.Errorf("got %+v", err)
	}
}

// Every rule that is a constant is in Rules, once, and the other way round.
func TestRulesAreComplete(t *testing.T) {
	source, err := os.ReadFile("refusal.go")
	if err != nil {
		t.Fatal(err)
	}
	var constants, listed []string
	for _, m := range regexp.MustCompile(`(?m)^\tRule\w+ +Rule = "([^"]+)"`).FindAllSubmatch(source, -1) {
		constants = append(constants, string(m[1]))
	}
	for _, r := range Rules() {
		listed = append(listed, string(r.Rule))
	}
	if len(constants) < 20 || !slices.Equal(constants, listed) {
		t.Errorf("constants %q\nlisted    %q", constants, listed)
	}
}

func TestRevokeNeverGoesStale(t *testing.T) {
	for _, h := range []Hour{1000, 1009, 1010, 1 << 20, Forever - 1, Forever} {
		w := newWorld(t)
		if err := w.putAt(h, w.revoke(), "patient", nil); err != nil {
			t.Errorf("at hour %d: %v", h, err)
		}
	}
}

// A batch is applied in order.
func TestOrderDecides(t *testing.T) {
	w := newWorld(t)
	grant := w.signed(w.grantEntry(0, 2000), "patient-2")
	revoke := w.signed(with(w.revoke(), func(e *Entry) { e.Subject = grant.ID(w.ledger) }), "patient-2")
	rules := func(batch ...Entry) (got []Rule) {
		for _, e := range batch {
			_, err := w.submit(e, 1000, nil)
			got = append(got, ruleOf(t, err))
		}
		return got
	}
	if got := rules(revoke, grant); !slices.Equal(got, []Rule{RuleUnknownSubject, ""}) {
		t.Errorf("revoke first: %q", got)
	}
	if got := rules(revoke, grant); !slices.Equal(got, []Rule{"", ""}) {
		t.Errorf("the same again: %q", got)
	}
	if n := len(w.leaves); n != 5 {
		t.Errorf("%d leaves, want 5: an entry that stands in the log is no second leaf", n)
	}
}

// Two good signatures of one entry are one entry.
func TestIDIsNotOverTheSignature(t *testing.T) {
	w := newWorld(t)
	e := w.signed(w.access(), "clinic")
	f := with(e, func(e *Entry) { e.Signature = highS(e.Signature) })
	if e.ID(w.ledger) != f.ID(w.ledger) {
		t.Error("the id depends on the signature")
	}
}

func TestUnknownContractVersion(t *testing.T) {
	w := newWorld(t)
	c := w.config
	c.Contract = 2
	e := w.signed(w.access(), "clinic")
	before := w.states[2]
	after, err := Apply(c, before, &e, e.ID(w.ledger), 3, 1000)
	if v, _ := fault.As(err, ErrContractVersion); v.Value("version") != uint8(2) || after != before {
		t.Errorf("got %v", err)
	}
}

func TestSign(t *testing.T) {
	w := newWorld(t)
	e := w.signed(w.access(), "clinic")
	if err := e.Sign(w.ledger, testKey(t, "patient")); err != ErrWrongKey {
		t.Errorf("signed with another key: %v", err)
	}
}

func TestAcceptance(t *testing.T) {
	for _, h := range []Hour{0, 1, 1000, Forever - 48, Forever - 1} {
		nb, na := Acceptance(h)
		if nb > h || na <= h || na-nb > MaxAcceptance {
			t.Errorf("Acceptance(%d) = %d, %d", h, nb, na)
		}
	}
	if nb, na := Acceptance(1000); nb != 999 || na != 1048 {
		t.Errorf("Acceptance(1000) = %d, %d", nb, na)
	}
}
