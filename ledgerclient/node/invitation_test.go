package node

import (
	"reflect"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/text"
)

func invitation() Invitation {
	return Invitation{Ledger: crypto.LedgerID{1, 2}, Node: [32]byte{3}, Name: "City ledger", Fingerprint: crypto.Hash{9},
		URLs: []string{"https://ledger.example.org:8443", "http://127.0.0.1:8080/under/here"}, Token: "abcdefgh-12345678"}
}

func TestInvitation(t *testing.T) {
	want := invitation()
	text := want.String()
	if !strings.HasPrefix(text, "carekey-node1") || text != strings.ToLower(text) {
		t.Errorf("%s", text)
	}
	for _, as := range []string{text, strings.ToUpper(text), " " + text[:30] + "\n  " + text[30:] + "\n"} {
		got, err := ParseInvitation(as)
		if err != nil || !reflect.DeepEqual(got, want) || got.String() != text {
			t.Errorf("%q: %v %+v", as, err, got)
		}
		if !IsInvitation(strings.TrimSpace(as)) {
			t.Errorf("%q is not known as an invitation", as)
		}
	}
	// Every typing mistake is found.
	for i := len(invitationPrefix); i < len(text); i++ {
		for _, c := range "abc234567z" {
			if bad := text[:i] + string(c) + text[i+1:]; bad != text {
				if _, err := ParseInvitation(bad); err == nil {
					t.Fatalf("a wrong character %d passes", i)
				}
			}
		}
	}
	for bad, kind := range map[string]crypto.Fault{
		"": crypto.FaultMalformed, "carekey-node1": crypto.FaultMalformed, text[1:]: crypto.FaultMalformed,
		text[:len(text)-1]: crypto.FaultMalformed, text + "aaaaaaaa": crypto.FaultChecksum, strings.Repeat(text, 50): crypto.FaultMalformed,
	} {
		_, err := ParseInvitation(bad)
		if e, _ := fault.As(err, ErrInvitation); e.Value("fault") != kind && e.Value("fault") != crypto.FaultMalformed {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

// A place is what others may know of a node: the invitation without its token, and never
// too large for a fetch code.
func TestPlace(t *testing.T) {
	i := invitation()
	got, err := ParsePlace(i.Place())
	if i.Token = ""; err != nil || !reflect.DeepEqual(got, i) {
		t.Errorf("%+v, %v", got, err)
	}
	i.Name, i.URLs = strings.Repeat("n", 64), nil
	for n := range MaxURLs {
		i.URLs = append(i.URLs, "https://ledger.example.org/"+strings.Repeat(string(rune('a'+n)), MaxURL-len("https://ledger.example.org/")))
	}
	if got, err := ParsePlace(i.Place()); err != nil || !reflect.DeepEqual(got, i) || len(i.Place()) > crypto.MaxPlace {
		t.Errorf("the largest: %d bytes, %v", len(i.Place()), err)
	}
	i.Token = strings.Repeat("t", MaxToken)
	for name, place := range map[string]string{"nothing": "", "a token": i.Bytes(), "cut": i.Place()[:40], "a byte behind": i.Place() + "\x00", "version 2": "\x02" + i.Place()[1:]} {
		if got, err := ParsePlace(place); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestInvitationHasOneForm(t *testing.T) {
	for name, change := range map[string]func(*Invitation){
		"no name":           func(i *Invitation) { i.Name = "" },
		"a name that turns": func(i *Invitation) { i.Name = "a\u202eb" },
		"no URL":            func(i *Invitation) { i.URLs = nil },
		"five URLs": func(i *Invitation) {
			i.URLs = []string{"https://a", "https://b", "https://c", "https://d", "https://e"}
		},
		"one URL twice":         func(i *Invitation) { i.URLs = []string{"https://a", "https://a"} },
		"a short token":         func(i *Invitation) { i.Token = "abc" },
		"a token with a line":   func(i *Invitation) { i.Token = "abcdefgh\n12345678" },
		"a pin without TLS":     func(i *Invitation) { i.URLs = []string{"http://127.0.0.1:1"} },
		"http far away":         func(i *Invitation) { i.URLs[0] = "http://ledger.example.org" },
		"http almost loopback":  func(i *Invitation) { i.URLs[0] = "http://127.0.0.1.example.org" },
		"http by a name":        func(i *Invitation) { i.URLs[0] = "http://localhost:8080" },
		"http everywhere":       func(i *Invitation) { i.URLs[0] = "http://0.0.0.0:8080" },
		"http localhost.evil":   func(i *Invitation) { i.URLs[0] = "http://localhost.example.org" },
		"http with a user":      func(i *Invitation) { i.URLs[0] = "http://127.0.0.1@example.org" },
		"https with a password": func(i *Invitation) { i.URLs[0] = "https://a:b@example.org" },
		"a query":               func(i *Invitation) { i.URLs[0] = "https://example.org?x" },
		"an empty query":        func(i *Invitation) { i.URLs[0] = "https://example.org?" },
		"a fragment":            func(i *Invitation) { i.URLs[0] = "https://example.org#x" },
		"an empty fragment":     func(i *Invitation) { i.URLs[0] = "https://example.org#" },
		"a slash at the end":    func(i *Invitation) { i.URLs[0] = "https://example.org/" },
		"upper case":            func(i *Invitation) { i.URLs[0] = "https://Example.org" },
		"an upper scheme":       func(i *Invitation) { i.URLs[0] = "HTTPS://example.org" },
		"no host":               func(i *Invitation) { i.URLs[0] = "https:///x" },
		"no port after a colon": func(i *Invitation) { i.URLs[0] = "https://example.org:" },
		"another scheme":        func(i *Invitation) { i.URLs[0] = "file:///etc/passwd" },
		"a control character":   func(i *Invitation) { i.URLs[0] = "https://example.org/\x7f" },
		"a long URL":            func(i *Invitation) { i.URLs[0] = "https://example.org/" + strings.Repeat("x", 200) },
	} {
		i := invitation()
		change(&i)
		if got, err := ParseInvitation(i.String()); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, u := range []string{"https://example.org", "https://[2001:db8::1]:8443", "http://[::1]:80", "http://[::ffff:127.0.0.1]:80", "http://127.1.2.3", "https://example.org/a/b"} {
		if !ValidURL(u) {
			t.Errorf("%s refused", u)
		}
	}
}

func FuzzParseInvitation(f *testing.F) {
	i := invitation()
	f.Add(i.String())
	i.Token, i.Fingerprint = "", crypto.Hash{}
	f.Add(i.String())
	f.Add(strings.ToUpper(i.String()))
	f.Add(i.String()[:20] + "\xec" + i.String()[20:]) // no letter, as what mail puts in between
	f.Add("carekey-node1")
	f.Fuzz(func(t *testing.T, handed string) {
		got, err := ParseInvitation(handed)
		if err != nil {
			return
		}
		again, err := ParseInvitation(got.String())
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%v: %+v is not %+v", err, again, got)
		}
		plain := strings.ToLower(text.Code(handed))
		if plain != got.String() {
			t.Fatalf("%q and %q are one invitation", plain, got.String())
		}
	})
}
