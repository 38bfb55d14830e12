package main

import (
	"bytes"
	"errors"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/qr"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/rogpeppe/go-internal/testscript"
	rsc "rsc.io/qr"
)

// handedThings are one of each kind, and a second card.
func handedThings(t testing.TB) (address, card, other, invitation, code string) {
	t.Helper()
	id := crypto.NewEntropy().Root().Keys(crypto.LedgerID{})
	inv := node.Invitation{Ledger: crypto.LedgerID{1}, Node: [32]byte{2}, Name: "City ledger", URLs: []string{"https://ledger.example.org"}, Token: "abcdefgh-12345678"}
	c, err := crypto.NewCard(id, "Dr Smith", inv.Place())
	if err != nil {
		t.Fatal(err)
	}
	o, err := crypto.NewCard(id, "Smith at home", "")
	if err != nil {
		t.Fatal(err)
	}
	return id.Address().String(), c.String(), o.String(), inv.String(), crypto.FetchCode{Size: 1, Place: inv.Place()}.String()
}

func folded(s string, n int, begin string) string {
	var out []string
	for len(s) > n {
		out, s = append(out, begin+s[:n]), s[n:]
	}
	return strings.Join(append(out, begin+s), "\r\n")
}

// A file may say a lot around the one thing that it hands over, and what mail made of it
// is undone. What is not there, or twice, is said.
func TestHandedInFiles(t *testing.T) {
	address, card, other, invitation, code := handedThings(t)
	wrong := card[:40] + string("ab"[b2i(card[40] == 'a')]) + card[41:]
	forged, err := crypto.ParseCard(card)
	if err != nil {
		t.Fatal(err)
	}
	forged.Name = "Dr Smyth"
	picture := func(texts ...string) string {
		s := image.NewGray(image.Rect(0, 0, 900*len(texts), 900))
		draw.Draw(s, s.Bounds(), image.White, image.Point{}, draw.Src)
		for i, text := range texts {
			b, err := qr.PNG(text)
			if err != nil {
				t.Fatal(err)
			}
			p, err := png.Decode(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			draw.Draw(s, p.Bounds().Add(image.Pt(900*i+10, 10)), p, image.Point{}, draw.Src)
		}
		var b bytes.Buffer
		if err := png.Encode(&b, s); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	link := "shlink:/eyJ1cmwiOiJodHRwczovL2V4YW1wbGUub3JnL3MvQSIsImtleSI6IkFBRUNBd1FGQmdjSUNRb0xEQTBPRHhBUkVoTVVGUllYR0JrYUd4d2RIaDgifQ"
	linkCode, err := rsc.Encode("https://viewer.example/#"+link, rsc.M) // with its capitals and small letters
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, c := range map[string]struct {
		file   string
		wanted []kind
		want   string // what is read, or a part of the error's text
		exit   int
	}{
		"alone":                  {card, []kind{aCard}, card, 0},
		"a line":                 {card + "\n", []kind{aCard}, card, 0},
		"a mail":                 {"Hi,\nhere is my card. carekey-card1 is how it begins:\n\n" + folded(card, 60, "> ") + "\n\nbest\nSmith\n", []kind{aCard}, card, 0},
		"broken in its name":     {"carekey-\r\n" + card[8:], []kind{aCard}, card, 0},
		"quoted":                 {"«" + strings.ToUpper(card) + "»,", []kind{aCard}, card, 0},
		"quoted-printable":       {folded(card, 70, "")[:72] + "=\r\n" + card[70:], []kind{aCard}, card, 0},
		"with other things":      {address + "\n" + card + " " + invitation, []kind{aCard}, card, 0},
		"the same twice":         {card + "\n" + strings.ToUpper(card), []kind{aCard}, card, 0},
		"card or address":        {address, []kind{aCard, anAddress}, address, 0},
		"UTF-16":                 {"\xff\xfe" + string(bytes.Join(bytes.Split([]byte(code), nil), []byte{0})) + "\x00", []kind{aFetchCode}, code, 0},
		"a picture":              {picture(card), []kind{aCard}, card, 0},
		"a picture of two":       {picture(card, invitation), []kind{anInvitation}, invitation, 0},
		"a picture of two cards": {picture(card, other), []kind{aCard}, "holds 2 cards: which is meant?", 2},
		"a link in a mail":       {"Dear doctor, see <https://v.example/x.html#" + link + ">.", []kind{aFetchCode, aLink}, "https://v.example/x.html#" + link, 0},
		"a picture of a link":    {string(linkCode.PNG()), []kind{aFetchCode, aLink}, "https://viewer.example/#" + link, 0},
		"a link for a code":      {link, []kind{aFetchCode}, "holds a link, and no fetch code", 2},
		"two cards":              {card + "\n" + other, []kind{aCard}, "holds 2 cards", 2},
		"card and address":       {card + "\n" + address, []kind{aCard, anAddress}, "holds a card and an address", 2},
		"without a space":        {card + "," + other, []kind{aCard}, "holds 2 cards", 2},
		"another thing":          {invitation, []kind{aCard}, "holds an invitation, and no card", 2},
		"a picture of another":   {picture(address), []kind{aCard, anInvitation}, "holds an address, and no card or invitation", 2},
		"nothing":                {"my card is on the table", []kind{aCard}, "holds no card", 2},
		"empty":                  {"", []kind{aCard}, "holds no card", 2},
		"cut":                    {card[:200], []kind{aCard}, "the card", 2},
		"a typing mistake":       {wrong, []kind{aCard}, "typing mistake", 2},
		"forged":                 {"so: " + folded(forged.String(), 50, "") + " yours", []kind{aCard}, "not what the owner", 6},
		"forged, and a good one": {forged.String() + "\n" + other, []kind{aCard}, "not what the owner", 6},
		"no text":                {"\x01\x02\x00" + card, []kind{aCard}, "NUL byte", 2},
		"too long":               {strings.Repeat("x ", 33<<10) + card, []kind{aCard}, "longer than such a file", 2},
		"no code in it":          {picture(strings.Repeat("a", 10))[:300], []kind{aCard}, "damaged", 2},
		"a picture of words":     {picture("HELLO"), []kind{aCard}, "holds no card", 2},
	} {
		path := filepath.Join(dir, "file")
		if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		got, _, err := handing{newApp()}.read("@"+path, c.wanted...)
		if c.exit == 0 {
			if err != nil || !strings.EqualFold(strings.NewReplacer("\n", "", "\r", "", "> ", "").Replace(got), c.want) {
				t.Errorf("%s: %q, %v", name, got, err)
			}
			continue
		}
		if f := explain(err); err == nil || f.Exit != c.exit || !strings.Contains(f.Message, c.want) || f.Hint == "" {
			t.Errorf("%s: %q, %d: %s", name, got, f.Exit, f.Message)
		}
	}

	// Nothing but @ makes a file of an argument.
	for _, arg := range []string{"file", "./file", filepath.Join(dir, "file"), card} {
		if got, is, err := (handing{newApp()}).read(arg, aCard); got != arg || (is == aCard) != (arg == card) || err != nil {
			t.Errorf("%.20q: %.20q, %s, %v", arg, got, is, err)
		}
	}
	for _, arg := range []string{"@", "@" + dir, "@" + filepath.Join(dir, "none")} {
		if _, _, err := (handing{newApp()}).read(arg, aCard); err == nil {
			t.Errorf("%s is read", arg)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Of a card the ledger is the one of the invitation in it, and of one without there is none.
func TestLedgerOfACard(t *testing.T) {
	address, card, other, invitation, _ := handedThings(t)
	inv, err := node.ParseInvitation(invitation)
	if err != nil {
		t.Fatal(err)
	}
	inv.Token = ""
	for arg, want := range map[string]string{card: inv.String(), invitation: invitation, "/srv/ledger": "/srv/ledger", "": ""} {
		if got, err := (handing{newApp()}).ledger(arg); got != want || err != nil {
			t.Errorf("%.20q: %.40q, %v", arg, got, err)
		}
	}
	if _, err := (handing{newApp()}).ledger(other); explain(err).Exit != cli.ExitUsage || !strings.Contains(explain(err).Message, "Smith at home") {
		t.Error(err)
	}
	// A place that is none makes no ledger, whoever signed it.
	bad, err := crypto.NewCard(crypto.NewEntropy().Root().Keys(crypto.LedgerID{}), "Mallory", "\x01 no place")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (handing{newApp()}).ledger(bad.String()); !errors.Is(err, node.ErrInvitation) {
		t.Error(err)
	}
	if k := kindOf(address); k != anAddress {
		t.Error(k)
	}
}

// Whatever others wrote, what is found in it parses, in the form in which it is found.
func FuzzFindTokens(f *testing.F) {
	address, card, other, invitation, code := handedThings(f)
	f.Add(address + "\n" + card + "," + other + " " + invitation)
	f.Add("> " + folded(code, 60, "> ") + " end")
	f.Add("carekey-\n> card1 carekey1carekey1carekey-node1")
	f.Fuzz(func(t *testing.T, text string) {
		found := findTokens(text)
		if len(found) > maxTokens {
			t.Fatal(len(found))
		}
		for _, x := range found {
			err := x.kind.parse(x.text)
			was, _ := fault.As(x.err, crypto.ErrCardForged)
			if x.kind == "" || x.err == nil && err != nil || was != nil && err == nil {
				t.Fatalf("%s %q: %v, %v", x.kind, x.text, x.err, err)
			}
		}
	})
}

// forgeCard: forgecard FILE OUT name VALUE (or place VALUE) changes a card without its owner;
// forgecard FILE OUT sign URL is one that somebody else signs, for the same ledger at URL.
func forgeCard(ts *testscript.TestScript, neg bool, args []string) {
	said, _, err := handing{newApp()}.read("@"+ts.MkAbs(args[0]), aCard)
	ts.Check(err)
	c, inv, err := parseCard(said)
	ts.Check(err)
	switch args[2] {
	case "name":
		c.Name = args[3]
	case "place":
		c.Place = args[3]
	default:
		inv.URLs = []string{args[3]}
		c, err = crypto.NewCard(crypto.NewEntropy().Root().Keys(crypto.LedgerID{}), "Mallory", inv.Place())
		ts.Check(err)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(c.String()+"\n"), 0o600))
}

// Threat: anybody makes fetch codes. One that names a node of another ledger, or what is no
// node, leads nowhere, and none has a token in it.
func TestPlacesInFetchCodes(t *testing.T) {
	inv := node.Invitation{Ledger: crypto.LedgerID{1}, Node: [32]byte{2}, Name: "City ledger", URLs: []string{"https://ledger.example.org"}, Token: "abcdefgh-12345678"}
	code := crypto.FetchCode{Ledger: inv.Ledger, Place: inv.Place()}
	at, err := placeIn(&code)
	if err != nil || at.node.Token != "" || at.shown() != inv.URLs[0] {
		t.Fatalf("%+v, %v", at.node, err)
	}
	for name, test := range map[string]struct {
		change func(c *crypto.FetchCode)
		code   string
		exit   int
	}{
		"another ledger's node": {func(c *crypto.FetchCode) { c.Ledger[0]++ }, "foreign-ledger", cli.ExitTampered},
		"a folder":              {func(c *crypto.FetchCode) { c.Place = "" }, "foreign-code", cli.ExitNotFound},
		"a token":               {func(c *crypto.FetchCode) { c.Place = inv.Bytes() }, "code-malformed", cli.ExitUsage},
		"no node":               {func(c *crypto.FetchCode) { c.Place = "\x01/etc/passwd" }, "code-malformed", cli.ExitUsage},
		"more than a node":      {func(c *crypto.FetchCode) { c.Place += "x" }, "code-malformed", cli.ExitUsage},
		"a later version":       {func(c *crypto.FetchCode) { c.Place = "\x02" + c.Place[1:] }, "code-version", cli.ExitUsage},
	} {
		c := code
		test.change(&c)
		_, err := placeIn(&c)
		if f := explain(err); err == nil || f.Code != test.code || f.Exit != test.exit {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}
