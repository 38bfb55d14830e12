package node

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Tokens are what a second implementation makes of PROTOCOL.md.
func TestTokenVectors(t *testing.T) {
	b, err := os.ReadFile("../../testdata/vectors/token.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Ledger, Node, Giver, Invitation, Shown, Withdrawn string
		GiverSecret                                       string `json:"giver_secret"`
		TokenSecret                                       string `json:"token_secret"`
		Until                                             contract.Hour
		Hourly                                            uint32
		Keys                                              []string
		KeeperSecret                                      string `json:"keeper_secret"`
		Name, URL, Fingerprint, Site                      string
		Number, Time                                      uint64
		Entry, Request                                    string
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	raw := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key := func(s string) *crypto.PrivateKey {
		k, err := crypto.ParsePrivateKey(raw(s))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	ledger, node, by := crypto.LedgerID(raw(v.Ledger)), [32]byte(raw(v.Node)), key(v.GiverSecret)
	nodes := []contract.Node{{Checkpoint: [32]byte{7}, Key: crypto.GenerateKey().Public()}, {Checkpoint: node, Key: by.Public()}}
	made := GivenToken{secret: key(v.TokenSecret)}
	made.Token = Token{Giver: by.Public(), Until: v.Until, Hourly: v.Hourly, Key: made.secret.Public()}
	made.Signature = by.Sign(made.digest(ledger))
	if hex.EncodeToString(made.Giver[:]) != v.Giver || made.Secret() != v.Invitation || made.Shown(ledger, node) != v.Shown {
		t.Errorf("made %s, shown %s", made.Secret(), made.Shown(ledger, node))
	}
	given, ok := ParseToken(v.Invitation)
	if !ok || given.Token != made.Token || given.Shown(ledger, node) != v.Shown || !ValidToken(v.Invitation) || len(v.Invitation) != MaxToken {
		t.Errorf("read %+v, %v", given.Token, ok)
	}
	if token, ok := ReadShown(v.Shown, ledger, node, nodes); !ok || token != made.Token {
		t.Errorf("shown %+v, %v", token, ok)
	}
	var keys []crypto.PubKey
	for _, k := range v.Keys {
		keys = append(keys, crypto.PubKey(raw(k)))
	}
	slices.Reverse(keys)
	list := Withdraw(ledger, by.Public(), by, 1_795_000_000, append(keys, keys[0]))
	if got := hex.EncodeToString(WithdrawnForm.Marshal([]Withdrawn{list})); got != v.Withdrawn {
		t.Errorf("withdrawn %s", got)
	}
	if lists, err := WithdrawnForm.Parse(raw(v.Withdrawn)); err != nil || len(lists) != 1 || !lists[0].Of(ledger, nodes) {
		t.Errorf("%+v, %v", lists, err)
	}

	keeper := key(v.KeeperSecret)
	m := Member{Name: v.Name, Node: nodes[1], Keeper: keeper.Public(), URLs: []string{v.URL}, Fingerprint: crypto.Hash(raw(v.Fingerprint))}
	site := NewSite(ledger, m, v.Number, by.Sign, keeper.Sign)
	if got := hex.EncodeToString(SitesForm.Marshal([]Site{site})); got != v.Site {
		t.Errorf("site %s", got)
	}
	config := contract.Config{Nodes: nodes, Keepers: []crypto.PubKey{keeper.Public()}}
	if sites, err := SitesForm.Parse(raw(v.Site)); err != nil || len(sites) != 1 || !sites[0].Of(ledger, &config) {
		t.Errorf("%+v, %v", sites, err)
	}

	entry := contract.ID(raw(v.Entry))
	request := CopyRequest{Ledger: ledger, Asked: node, Node: by.Public(), Time: v.Time, Of: ledgerclient.PartOf{Entry: entry, Part: ledgerclient.PartContent}}
	request.Sign(by.Sign)
	if got := hex.EncodeToString(CopyRequestForm.Marshal(request)); got != v.Request {
		t.Errorf("request %s", got)
	}
	if r, err := CopyRequestForm.Parse(raw(v.Request)); err != nil || !r.By(nodes) || r.By(nodes[:1]) {
		t.Errorf("%+v, %v", r, err)
	}
}

// Threat: a node says that the keepers of others are at its own place, or that a place of before
// is the newest. What a keeper has not signed for this very ledger, node and place is none of
// its sites, and an older one changes nothing.
func TestForgedSites(t *testing.T) {
	ledger := crypto.LedgerID{1}
	node, keeper, other, stranger := crypto.GenerateKey(), crypto.GenerateKey(), crypto.GenerateKey(), crypto.GenerateKey()
	config := &contract.Config{Nodes: []contract.Node{{Checkpoint: [32]byte{1}, Key: node.Public()}, {Checkpoint: [32]byte{2}, Key: other.Public()}},
		Keepers: []crypto.PubKey{keeper.Public(), other.Public()}}
	m := Member{Name: "City", Node: config.Nodes[0], Keeper: keeper.Public(), URLs: []string{"https://city.example"}}
	good := NewSite(ledger, m, 7, node.Sign, keeper.Sign)
	sites, n := NoSites(ledger, config).With(good)
	if _, ok := sites.OfKeeper(keeper.Public()); n != 1 || !ok || sites.Whole() {
		t.Fatalf("%d sites, %v", n, ok)
	}
	signed := func(change func(*Member), byNode, byKeeper *crypto.PrivateKey) Site {
		m := m
		change(&m)
		return NewSite(ledger, m, 8, byNode.Sign, byKeeper.Sign)
	}
	moved := good
	moved.URLs = []string{"https://evil.example"}
	newer := good
	newer.Number++
	for what, s := range map[string]Site{
		"of another ledger":               NewSite(crypto.LedgerID{2}, m, 8, node.Sign, keeper.Sign),
		"not signed by the keeper":        signed(func(*Member) {}, node, node),
		"not signed by the node":          signed(func(*Member) {}, keeper, keeper),
		"another's keeper":                signed(func(m *Member) { m.Keeper = other.Public() }, node, node),
		"a keeper that nobody named":      signed(func(m *Member) { m.Keeper = stranger.Public() }, node, stranger),
		"a node that nobody named":        signed(func(m *Member) { m.Node.Key = stranger.Public() }, stranger, keeper),
		"a node with another's signature": signed(func(m *Member) { m.Node.Checkpoint = [32]byte{2} }, node, keeper),
		"a place that cannot be":          signed(func(m *Member) { m.URLs = []string{"http://evil.example"} }, node, keeper),
		"another place":                   moved,
		"another number":                  newer,
		"older":                           NewSite(ledger, m, 6, node.Sign, keeper.Sign),
	} {
		if got, n := sites.With(s); n != 0 || len(got.All()) != 1 || got.All()[0].Number != 7 {
			t.Errorf("%s: it counts", what)
		}
	}
	m.URLs = []string{"https://elsewhere.example"}
	sites, n = sites.With(NewSite(ledger, m, 9, node.Sign, keeper.Sign), good)
	if s, _ := sites.Of(config.Nodes[0]); n != 1 || s.URLs[0] != m.URLs[0] {
		t.Errorf("the newest is %v", s.URLs)
	}
	m = Member{Name: "Lake", Node: config.Nodes[1], Keeper: other.Public(), URLs: []string{"https://lake.example"}}
	if sites, _ = sites.With(NewSite(ledger, m, 1, other.Sign, other.Sign)); !sites.Whole() {
		t.Error("one is missing")
	}
}

// Threat: somebody makes a token, makes more of one, or uses at a node what another node was
// shown. Only what an institution of this very ledger has signed, shown for this very node,
// is one.
func TestForgedTokens(t *testing.T) {
	ledger, node := crypto.LedgerID{1}, [32]byte{2}
	giver, stranger := crypto.GenerateKey(), crypto.GenerateKey()
	nodes := []contract.Node{{Checkpoint: node, Key: giver.Public()}, {Checkpoint: [32]byte{3}, Key: crypto.GenerateKey().Public()}}
	token := GiveToken(ledger, giver.Public(), giver, 500_000, 10)
	if got, ok := ReadShown(token.Shown(ledger, node), ledger, node, nodes); !ok || got != token.Token {
		t.Fatalf("%+v, %v", got, ok)
	}
	longer := token
	longer.Until++
	more := token
	more.Hourly++
	elsewhere := GiveToken(crypto.LedgerID{9}, giver.Public(), giver, 500_000, 10)
	own := GiveToken(ledger, stranger.Public(), stranger, 500_000, 10)
	named := GiveToken(ledger, giver.Public(), stranger, 500_000, 10)
	seen := GivenToken{Token: token.Token, secret: crypto.GenerateKey()} // by who was shown it
	other := token
	other.secret = seen.secret
	other.Key = seen.secret.Public()
	for what, text := range map[string]string{
		"the secret itself":                 token.Secret(),
		"shown to another node":             token.Shown(ledger, [32]byte{3}),
		"shown on another ledger":           token.Shown(crypto.LedgerID{9}, node),
		"given for another ledger":          elsewhere.Shown(ledger, node),
		"given by a stranger":               own.Shown(ledger, node),
		"given by a stranger in one name":   named.Shown(ledger, node),
		"good for longer":                   longer.Shown(ledger, node),
		"for more entries":                  more.Shown(ledger, node),
		"without its key":                   seen.Shown(ledger, node),
		"with another key":                  other.Shown(ledger, node),
		"nothing":                           "",
		"with a character more":             token.Shown(ledger, node) + "A",
		"with padding":                      token.Shown(ledger, node) + "=",
		"with a line end":                   token.Shown(ledger, node) + "\n",
		"in the alphabet of other encoders": strings.NewReplacer("-", "+", "_", "/").Replace(token.Shown(ledger, node)) + "+",
	} {
		if got, ok := ReadShown(text, ledger, node, nodes); ok {
			t.Errorf("%s: %+v", what, got)
		}
	}
	raw, err := tokenText.DecodeString(token.Shown(ledger, node))
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		changed := slices.Clone(raw)
		changed[i] ^= 1
		if got, ok := ReadShown(tokenText.EncodeToString(changed), ledger, node, nodes); ok {
			t.Errorf("byte %d changed: %+v", i, got)
		}
	}
	if _, ok := ParseToken(tokenText.EncodeToString(append([]byte{1}, make([]byte, 137)...))); ok {
		t.Error("a token without a key is read")
	}
}

// A list of withdrawn tokens is its institution's, and has one encoding.
func TestForgedLists(t *testing.T) {
	ledger, giver, stranger := crypto.LedgerID{1}, crypto.GenerateKey(), crypto.GenerateKey()
	nodes := []contract.Node{{Checkpoint: [32]byte{2}, Key: giver.Public()}}
	keys := []crypto.PubKey{crypto.GenerateKey().Public(), crypto.GenerateKey().Public()}
	good := Withdraw(ledger, giver.Public(), giver, 7, keys)
	if !good.Of(ledger, nodes) || good.Of(crypto.LedgerID{2}, nodes) {
		t.Error("a list holds on its ledger alone")
	}
	for what, w := range map[string]Withdrawn{
		"a stranger's":             Withdraw(ledger, stranger.Public(), stranger, 8, keys),
		"a stranger's in one name": Withdraw(ledger, giver.Public(), stranger, 8, keys),
		"newer":                    {Giver: good.Giver, Number: 8, Keys: good.Keys, Signature: good.Signature},
		"shorter":                  {Giver: good.Giver, Number: 7, Keys: good.Keys[:1], Signature: good.Signature},
	} {
		if w.Of(ledger, nodes) {
			t.Errorf("%s holds", what)
		}
	}
	for what, keys := range map[string][]crypto.PubKey{"turned around": {good.Keys[1], good.Keys[0]}, "one twice": {good.Keys[0], good.Keys[0]}} {
		w := good
		w.Keys = keys
		if _, err := WithdrawnForm.Parse(codec.Append(nil, w.fields)); err == nil {
			t.Errorf("%s: it is read", what)
		}
	}
}

func FuzzShownToken(f *testing.F) {
	by := crypto.GenerateKey()
	token := GiveToken(crypto.LedgerID{1}, by.Public(), by, 500_000, 10)
	f.Add(token.Shown(crypto.LedgerID{1}, [32]byte{2}))
	f.Add(token.Secret())
	f.Fuzz(func(t *testing.T, text string) {
		if given, ok := ParseToken(text); ok && given.Secret() != text {
			t.Errorf("%q is read, and written %q", text, given.Secret())
		}
		ReadShown(text, crypto.LedgerID{1}, [32]byte{2}, []contract.Node{{Key: by.Public()}})
	})
}
