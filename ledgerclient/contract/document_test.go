package contract

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
)

func followUpConfig(tb testing.TB) Config {
	c := testConfig(tb, "Next ledger", 1, "node-1", "node-2")
	c.Previous = testHash("previous")
	c.Approve(testKey(tb, "node-1"))
	c.Approve(testKey(tb, "node-3"))
	return c
}

func TestParseConfig(t *testing.T) {
	for _, c := range []Config{testConfig(t, "City ledger", 1, "node-1"), testConfig(t, "Πόλη 7", 2, "node-1", "node-2"), followUpConfig(t)} {
		document := c.Marshal()
		got, err := ParseConfig(document)
		if err != nil {
			t.Fatal(err)
		}
		if again := got.Marshal(); !bytes.Equal(again, document) {
			t.Errorf("read as\n%s\nwant\n%s", again, document)
		}
		if got.LedgerID() != LedgerID(document) || got.Commitment() != ConfigCommitment(document) {
			t.Error("hashes of the document and of its content differ")
		}
	}
}

// Each case changes a good document in one place; all must be refused.
func TestParseConfigStrict(t *testing.T) {
	genesis := testConfig(t, "City ledger", 1, "node-1", "node-2")
	text := string(genesis.Marshal())
	follow := followUpConfig(t)
	followText := string(follow.Marshal())
	lineOf := func(text, keyword string) string {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, keyword+" ") {
				return line
			}
		}
		t.Fatalf("no line %q", keyword)
		return ""
	}
	node, keeper, random := lineOf(text, "node"), lineOf(text, "keeper"), lineOf(text, "random")
	previous, signed := lineOf(followText, "previous"), lineOf(followText, "sign")
	key := genesis.Nodes[0].Key.String()
	many := func(keyword string, n int, key func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(keyword + key(i) + "\n")
		}
		return b.String()
	}
	fresh := func(i int) string { return " " + testKey(t, "many "+strconv.Itoa(i)).Public().String() }
	for _, c := range []struct{ why, text, old, new string }{
		{"empty", text, text, ""},
		{"another format", text, "ledger 1\n", "ledger 2\n"},
		{"more in the first line", text, "ledger 1\n", "ledger 1 \n"},
		{"carriage returns", text, "\n", "\r\n"},
		{"no newline at the end", text, random, strings.TrimSuffix(random, "\n")},
		{"an empty line at the end", text, random, random + "\n"},
		{"an unknown line", text, random, random + "more\n"},
		{"no name", text, "name City ledger\n", "name \n"},
		{"a name that ends in a space", text, "City ledger", "City ledger "},
		{"a name that begins with a space", text, "City", " City"},
		{"two spaces in a name", text, "City ledger", "City  ledger"},
		{"a tab in a name", text, "City ledger", "City\tledger"},
		{"an escape in a name", text, "City ledger", "City \x1b[31mledger"},
		{"a C1 control in a name", text, "City ledger", "City\u0085ledger"},
		{"a no-break space in a name", text, "City ledger", "City\u00a0ledger"},
		{"an override of direction in a name", text, "City ledger", "City \u202eledger"},
		{"an isolate in a name", text, "City ledger", "City\u2067ledger"},
		{"a zero-width space in a name", text, "City ledger", "City\u200bledger"},
		{"a tag character in a name", text, "City ledger", "City\U000e0041ledger"},
		{"invalid UTF-8 in a name", text, "City", "C\xffty"},
		{"a name of 65 bytes", text, "City ledger", strings.Repeat("é", 32) + "x"},
		{"contract 0", text, "contract 1", "contract 0"},
		{"no node", text, text[strings.Index(text, "node "):strings.Index(text, "threshold ")], ""},
		{"a node twice", text, node, node + node},
		{"two nodes with one key for checkpoints", text, node, node + strings.Replace(node, key, strings.TrimSpace(fresh(0)), 1)},
		{"two nodes with one key for entries", text, node, node + strings.Replace(node, node[5:9], "abcd", 1)},
		{"17 nodes", text, node, many("node", 17, func(i int) string { return " " + testHash(strconv.Itoa(i)).String() + fresh(i) })},
		{"a node without a key", text, " " + key, ""},
		{"upper-case hexadecimal", text, key, strings.ToUpper(key)},
		{"a short key", text, key, key[2:]},
		{"a key that is no point", text, key, "02" + strings.Repeat("0", 63) + "5"},
		{"two spaces between keys", text, " " + key, "  " + key},
		{"a space at the end of a line", text, key, key + " "},
		{"threshold 0", text, "threshold 1", "threshold 0"},
		{"threshold above the nodes", text, "threshold 1", "threshold 3"},
		{"a leading zero", text, "threshold 1", "threshold 01"},
		{"a sign", text, "threshold 1", "threshold +1"},
		{"a number that overflows", text, "threshold 1", "threshold 257"},
		{"no keeper", text, keeper, ""},
		{"a keeper twice", text, keeper, keeper + keeper},
		{"17 keepers", text, keeper, many("keeper", 17, fresh)},
		{"release above the keepers", text, "release 1", "release 2"},
		{"no random", text, random, ""},
		{"random too long", text, random, strings.Replace(random, "\n", "00\n", 1)},
		{"lines in another order", text, "contract 1\n" + node, node + "contract 1\n"},
		{"an approval without a previous document", text, random, random + signed},
		{"a previous document without an approval", text, random, random + previous},
		{"previous zero", followText, previous, "previous " + strings.Repeat("0", 64) + "\n"},
		{"previous twice", followText, previous, previous + previous},
		{"previous after an approval", followText, previous + signed, signed + previous},
		{"17 approvals", followText, signed, strings.Repeat(signed, 16)},
		{"a name of 16 MiB", text, "City ledger", strings.Repeat("x", 16<<20)},
	} {
		changed := strings.Replace(c.text, c.old, c.new, 1)
		if changed == c.text && c.old != c.new {
			t.Fatalf("%s: nothing to change", c.why)
		}
		got, err := ParseConfig([]byte(changed))
		where, _ := fault.As(err, ErrConfig)
		switch {
		case err == nil:
			t.Errorf("%s: accepted:\n%s", c.why, got.Marshal())
		case fault.Get[int](where, "line") == 0:
			t.Errorf("%s: the line is not found: %v", c.why, err)
		}
	}
}

func TestParseConfigAtTheLimits(t *testing.T) {
	c := testConfig(t, strings.Repeat("é", 32), 16)
	c.Keepers, c.Release = nil, 16
	for i := range 16 {
		key := testKey(t, "many "+strconv.Itoa(i)).Public()
		c.Nodes = append(c.Nodes, Node{Checkpoint: testHash(strconv.Itoa(i)), Key: key})
		c.Keepers = append(c.Keepers, key)
	}
	c.Previous = testHash("previous")
	for i := range 16 {
		c.Approvals = append(c.Approvals, Approval{Node: c.Keepers[i]})
	}
	if _, err := ParseConfig(c.Marshal()); err != nil {
		t.Error(err)
	}
}

func TestConfigErrors(t *testing.T) {
	c := testConfig(t, "City ledger", 1, "node-1")
	text := c.Marshal()
	_, err := ParseConfig(bytes.Replace(text, []byte("threshold 1"), []byte("threshold 2"), 1))
	if e, _ := fault.As(err, ErrConfig); e.Value("line") != 5 {
		t.Errorf("got %v", err)
	}
	// A later contract may have changed everything below that line.
	later := bytes.Replace(text, []byte("contract 1\n"), []byte("contract 2\nsomething new\n"), 1)
	_, err = ParseConfig(later)
	if e, _ := fault.As(err, ErrContractVersion); e.Value("version") != uint8(2) {
		t.Errorf("got %v", err)
	}
	_, err = CheckGenesis(later, &Entry{Commitment: ConfigCommitment(later)})
	if e, _ := fault.As(err, ErrContractVersion); e.Value("version") != uint8(2) {
		t.Errorf("got %v", err)
	}
}

// Whether enough nodes have approved a document is known of every contract version.
func TestApproved(t *testing.T) {
	c := testConfig(t, "City ledger", 2, "node-1", "node-2", "node-3")
	next := c
	next.Previous = c.Commitment()
	for version, doc := range map[string][]byte{"this": next.Marshal(), "later": bytes.Replace(next.Marshal(), []byte("contract 1\n"), []byte("contract 9\nsomething new\n"), 1)} {
		digest := crypto.TaggedHash(crypto.TagConfigApprove, doc)
		by := func(names ...string) []byte {
			out := bytes.Clone(doc)
			for _, n := range names {
				k := testKey(t, n)
				out = append(out, "sign "+k.Public().String()+" "+k.Sign(digest).String()+"\n"...)
			}
			return out
		}
		two := by("node-3", "node-1")
		for what, x := range map[string]struct {
			document []byte
			want     bool
		}{
			"two of three":    {two, true},
			"all":             {by("node-1", "node-2", "node-3"), true},
			"one":             {by("node-2"), false},
			"none":            {doc, false},
			"nothing":         {nil, false},
			"one twice":       {by("node-2", "node-2"), false},
			"and a stranger":  {by("node-1", "node-2", "somebody"), false},
			"changed":         {bytes.Replace(two, []byte("City"), []byte("Town"), 1), false},
			"a line behind":   {append(bytes.Clone(two), "name x\n"...), false},
			"words behind":    {append(bytes.Clone(two), "x\n"...), false},
			"cut":             {two[:len(two)-1], false},
			"a line in front": {append([]byte("carekey ledger 2\n"), two...), false},
		} {
			if got := c.Approved(x.document); got != x.want {
				t.Errorf("%s version, %s: %v", version, what, got)
			}
		}
	}
}

// A ledger changes its nodes one after the other; the old ones lose their say.
func TestRotation(t *testing.T) {
	w := newWorld(t)
	change := func(approve []string, by string, edit func(*Config)) error {
		c := w.config
		c.Previous, c.Approvals = w.config.Commitment(), nil
		c.Nodes = append([]Node(nil), c.Nodes...)
		edit(&c)
		for _, n := range approve {
			c.Approve(testKey(t, n))
		}
		return w.put(w.configEntry(c), by, c.Marshal())
	}
	replace := func(i int, name string) func(*Config) {
		return func(c *Config) { c.Nodes[i] = testConfig(t, "", 1, name).Nodes[0] }
	}
	w.must(change([]string{"node-1", "node-3"}, "node-1", replace(0, "node-4")))
	if got := ruleOf(t, change([]string{"node-1", "node-2"}, "node-2", replace(1, "node-5"))); got != RuleConfigSigner {
		t.Errorf("a node that left approves: %q", got)
	}
	if got := ruleOf(t, change([]string{"node-2", "node-3"}, "node-1", replace(1, "node-5"))); got != RuleNotNode {
		t.Errorf("a node that left configures: %q", got)
	}
	if got := ruleOf(t, change([]string{"node-4", "node-5"}, "node-4", replace(1, "node-5"))); got != RuleConfigSigner {
		t.Errorf("a node that is to come approves itself: %q", got)
	}
	w.must(change([]string{"node-4", "node-2"}, "node-4", replace(1, "node-5")))
	w.must(change([]string{"node-5", "node-3"}, "node-3", func(c *Config) { c.Threshold = 3 }))
	if got := ruleOf(t, change([]string{"node-5", "node-3"}, "node-3", func(c *Config) { c.Threshold = 1 })); got != RuleConfigThreshold {
		t.Errorf("the threshold that is to come counts: %q", got)
	}
	w.must(change([]string{"node-5", "node-3", "node-4"}, "node-3", func(c *Config) { c.Threshold = 1 }))
	w.must(change([]string{"node-3"}, "node-3", func(c *Config) { c.Threshold, c.Nodes = 1, c.Nodes[2:] }))
	if s := w.states[0]; s.Count != 5 || s.Kind != KindConfig || s.Status != StatusOpen {
		t.Errorf("thread of the configuration: %+v", s)
	}
	// An old, well approved document is worthless once another one is in force.
	old := w.leaves[3].Entry
	if _, err := CheckConfig(w.config, nil, &old); ruleOf(t, err) != RuleConfigDocument {
		t.Error(err)
	}
}

func TestPackages(t *testing.T) {
	g := GrantPackage{K: 2, N: 3, Terms: testHash("t"), Envelope: testHash("e"), Lock: testHash("l"),
		Shares: []crypto.Hash{testHash("1"), testHash("2"), testHash("3")}}
	b := g.Marshal()
	if got, err := ParseGrantPackage(b); err != nil || !bytes.Equal(got.Marshal(), b) || len(b) != 98+3*32 {
		t.Errorf("%d bytes: %v", len(b), err)
	}
	for why, change := range map[string]func([]byte) []byte{
		"empty":          func(b []byte) []byte { return nil },
		"k of 0":         func(b []byte) []byte { b[0] = 0; return b },
		"k above n":      func(b []byte) []byte { b[0] = 4; return b },
		"fewer shares":   func(b []byte) []byte { return b[:len(b)-32] },
		"one byte more":  func(b []byte) []byte { return append(b, 0) },
		"n of 0":         func(b []byte) []byte { b[0], b[1] = 0, 0; return b[:98] },
		"n of 0, k of 1": func(b []byte) []byte { b[0], b[1] = 1, 0; return b[:98] },
	} {
		if _, err := ParseGrantPackage(change(bytes.Clone(b))); err == nil {
			t.Errorf("grant package: %s: accepted", why)
		}
	}
	r := RecordPackage{Metadata: testHash("m"), ContentHead: testHash("h"), ContentSize: 1<<63 - 1}
	b = r.Marshal()
	if got, err := ParseRecordPackage(b); err != nil || got != r || len(b) != 72 {
		t.Errorf("%+v: %v", got, err)
	}
	for why, change := range map[string]func([]byte) []byte{
		"short":     func(b []byte) []byte { return b[:71] },
		"long":      func(b []byte) []byte { return append(b, 0) },
		"size 0":    func(b []byte) []byte { return append(b[:64], make([]byte, 8)...) },
		"size 2^63": func(b []byte) []byte { b[64] = 0x80; return b },
	} {
		if _, err := ParseRecordPackage(change(bytes.Clone(b))); err == nil {
			t.Errorf("record package: %s: accepted", why)
		}
	}
	if g.Commitment() == r.Commitment() || AccessCommitment(g.Terms) == g.Terms {
		t.Error("commitments are not apart")
	}
}
