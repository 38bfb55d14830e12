package node

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Two members, their draft and the ledger's id as a program of forty lines of Python
// computes them, by what PROTOCOL.md says.
const (
	goldenCity   = "carekey-member1aegug2lupeqgq33tobuxiylmaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqe6n6mz7ptxf3vrk2ayuvz2dqwbyctp6nwloofdmvt4ublmlpqf4yaldai74uihwx23jqivag5foaptmfy54ojogo6pfhvowatok4ocpokaiznb2hi4dthixs6y3jor4s4zlymfwxa3dfhi4dinbtaeeqscijbeeqscijbeeqscijbeeqscijbeeqscijbeeqscijbeeqte3f656a"
	goldenNorth  = "carekey-member1aege433sorucay3mnfxgsyycaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibpsmekagjfrqyqje2e7bpytvjctnjrzbcyg34zwcdad4itxtqdn6ic4sj5x4obbwapgwa6jecjgcyuatggye4qb3qhlbdu7kkkx2gezujqeflior2ha4z2f4xw433soruc4zlymfwxa3dfcvuhi5dqhixs6mjsg4xdalrqfyytuobqhayaabvphvjq"
	goldenLedger = "607bb30e9590f54c25754e33514b5a520d789bcd10a5db7affaa5ca1af921663"
)

// point is a multiple of the generator.
func point(n byte) crypto.PubKey {
	k, err := crypto.ParsePrivateKey(append(make([]byte, 31), n))
	if err != nil {
		panic(err)
	}
	return k.Public()
}

func members() []Member {
	return []Member{
		{Name: "City hospital", Node: contract.Node{Checkpoint: [32]byte(bytes.Repeat([]byte{1}, 32)), Key: point(1)}, Keeper: point(2),
			URLs: []string{"https://city.example:8443"}, Fingerprint: crypto.Hash(bytes.Repeat([]byte{9}, 32))},
		{Name: "North clinic", Node: contract.Node{Checkpoint: [32]byte(bytes.Repeat([]byte{2}, 32)), Key: point(3)}, Keeper: point(4),
			URLs: []string{"https://north.example", "http://127.0.0.1:8080"}},
	}
}

// many are n members.
func many(n int) (all []Member) {
	for i := range n {
		m := Member{Name: fmt.Sprintf("Clinic %d", i), URLs: []string{fmt.Sprintf("https://clinic-%d.example", i)}, Keeper: point(byte(2*i + 1))}
		m.Node = contract.Node{Checkpoint: [32]byte{byte(i), 7}, Key: point(byte(2*i + 2))}
		all = append(all, m)
	}
	return all
}

func TestGoldenDraft(t *testing.T) {
	d := Draft{Name: "Region ledger", Threshold: 2, Release: 1, Members: members()}
	for i, want := range []string{goldenCity, goldenNorth} {
		if got := d.Members[i].String(); got != want {
			t.Errorf("line %s", got)
		}
		if m, err := ParseMember(" " + strings.ToUpper(want[:40]) + "\n " + want[40:] + "\n"); err != nil || !reflect.DeepEqual(m, d.Members[i]) {
			t.Errorf("%+v, %v", m, err)
		}
	}
	want := "carekey draft 1\nname Region ledger\nthreshold 2\nrelease 1\nmember " + goldenCity + "\nmember " + goldenNorth + "\n"
	if d.String() != want {
		t.Errorf("%s", d)
	}
	for _, as := range []string{want, "\ufeff\r\n" + strings.ReplaceAll(want, "\n", " \r\n\r\n")} { // as mail may bring it
		got, err := ParseDraft(as)
		if err != nil || !reflect.DeepEqual(got, d) {
			t.Fatalf("%+v, %v", got, err)
		}
		doc, err := got.Genesis()
		if err != nil || contract.LedgerID(doc).String() != goldenLedger {
			t.Errorf("ledger %s, %v", contract.LedgerID(doc), err)
		}
	}
}

// Whatever of a draft is changed on its way, the id is another one, or it is no draft.
func TestDraftID(t *testing.T) {
	d := Draft{Name: "L", Threshold: 3, Release: 2, Members: many(4)}
	seen := map[string]string{}
	for what, change := range map[string]func(d *Draft){
		"nothing":     func(*Draft) {},
		"name":        func(d *Draft) { d.Name = "M" },
		"threshold":   func(d *Draft) { d.Threshold = 4 },
		"release":     func(d *Draft) { d.Release = 1 },
		"order":       func(d *Draft) { d.Members[0], d.Members[1] = d.Members[1], d.Members[0] },
		"one less":    func(d *Draft) { d.Members = d.Members[:3] },
		"a name":      func(d *Draft) { d.Members[3].Name = "Clinic" },
		"a URL":       func(d *Draft) { d.Members[3].URLs = []string{"https://evil.example"} },
		"fingerprint": func(d *Draft) { d.Members[3].Fingerprint = crypto.Hash{1} },
		"checkpoint":  func(d *Draft) { d.Members[3].Node.Checkpoint[9]++ },
		"node":        func(d *Draft) { d.Members[3].Node.Key = point(99) },
		"keeper":      func(d *Draft) { d.Members[3].Keeper = point(99) },
	} {
		c := d
		c.Members = slices.Clone(d.Members)
		change(&c)
		doc, err := c.Genesis()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		id := contract.LedgerID(doc).String()
		if other := seen[id]; other != "" {
			t.Errorf("%s and %s: one id", what, other)
		}
		seen[id] = what
	}
}

func TestBadDrafts(t *testing.T) {
	good := func() Draft { return Draft{Name: "L", Threshold: 3, Release: 2, Members: many(4)} }
	for what, c := range map[string]struct {
		change func(d *Draft)
		code   fault.Code
		line   int // 0: none is named
	}{
		"nobody":                 {func(d *Draft) { d.Members = nil }, ErrDraft, 5},
		"seventeen":              {func(d *Draft) { d.Members, d.Threshold = many(17), 12 }, ErrDraft, 5},
		"name":                   {func(d *Draft) { d.Name = "a  b" }, ErrDraft, 2},
		"t > n":                  {func(d *Draft) { d.Threshold = 5 }, ErrDraft, 3},
		"3t ≤ 2n":                {func(d *Draft) { d.Threshold = 2 }, ErrDraft, 3},
		"k > n":                  {func(d *Draft) { d.Release = 5 }, ErrDraft, 4},
		"k = 0":                  {func(d *Draft) { d.Release = 0 }, ErrDraft, 4},
		"no member":              {func(d *Draft) { d.Members[2].URLs = nil }, ErrDraft, 7},
		"a line twice":           {func(d *Draft) { d.Members[3] = d.Members[1] }, ErrKeyTwice, 0},
		"one checkpoint key":     {func(d *Draft) { d.Members[3].Node.Checkpoint = d.Members[0].Node.Checkpoint }, ErrKeyTwice, 0},
		"one node's key":         {func(d *Draft) { d.Members[3].Node.Key = d.Members[0].Node.Key }, ErrKeyTwice, 0},
		"node and keeper":        {func(d *Draft) { d.Members[3].Keeper = d.Members[0].Node.Key }, ErrKeyTwice, 0},
		"node and keeper of one": {func(d *Draft) { d.Members[3].Keeper = d.Members[3].Node.Key }, ErrKeyTwice, 0},
		"one name":               {func(d *Draft) { d.Members[3].Name = d.Members[0].Name }, ErrAlike, 0},
		"one URL":                {func(d *Draft) { d.Members[3].URLs = append(d.Members[3].URLs, d.Members[0].URLs[0]) }, ErrAlike, 0},
	} {
		d := good()
		c.change(&d)
		_, perr := ParseDraft(d.String())
		_, gerr := d.Genesis()
		for how, err := range map[string]error{"read": perr, "made": gerr} {
			if how == "read" && (what == "no member" || what == "nobody" || what == "seventeen") {
				if err == nil { // what cannot be written is no line
					t.Errorf("%s, read: no error", what)
				}
				continue
			}
			e, ok := fault.As(err, c.code)
			if !ok || c.line > 0 && e.Value("line") != c.line {
				t.Errorf("%s, %s: %v", what, how, err)
			}
		}
	}
	text := good().String()
	for what, bad := range map[string]string{
		"empty": "", "another version": strings.Replace(text, "draft 1", "draft 2", 1), "no name": strings.Replace(text, "name L\n", "", 1),
		"two names": strings.Replace(text, "name L\n", "name L\nname M\n", 1), "not a number": strings.Replace(text, "release 2", "release two", 1),
		"a large number": strings.Replace(text, "release 2", "release 258", 1), "cut": text[:strings.LastIndex(text, "\nmember")],
		"another word": strings.Replace(text, "member ", "node ", 1), "a wrong character": text[:len(text)-9] + "q" + text[len(text)-8:],
	} {
		if d, err := ParseDraft(bad); err == nil && (what != "cut" || len(d.Members) != 3) {
			t.Errorf("%s: %+v", what, d)
		}
	}
	if _, err := ParseMember(goldenCity[:len(goldenCity)-1]); !errors.Is(err, ErrMember) {
		t.Errorf("a cut line: %v", err)
	}
}
