package crypto

import (
	"errors"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/crypto/fault"
)

// Threat: what is handed from person to person is changed on the way. Whoever changes a
// card, or puts one together, has no card of that address.
func TestCardForged(t *testing.T) {
	id, other := fixedEntropy(1).Root().Identity(), fixedEntropy(2).Root().Identity()
	c, err := NewCard(fixedEntropy(1).Root().Keys(LedgerID{}), "Dr Smith", "\x01 a place")
	if err != nil {
		t.Fatal(err)
	}
	if back, err := ParseCard(c.String()); err != nil || back != c {
		t.Fatalf("%+v, %v", back, err)
	}
	theirs, err := NewCard(fixedEntropy(2).Root().Keys(LedgerID{}), "Dr Smith", "\x01 a place")
	if err != nil {
		t.Fatal(err)
	}
	mixed := theirs.Address
	mixed.View = c.Address.View
	for name, change := range map[string]func(c *Card){
		"another name":                 func(c *Card) { c.Name = "Dr Smyth" },
		"another's invitation":         func(c *Card) { c.Place = "\x01 b place" },
		"the invitation taken out":     func(c *Card) { c.Place = "" },
		"another's address":            func(c *Card) { c.Address = theirs.Address },
		"another's signature":          func(c *Card) { c.Signature = theirs.Signature },
		"no signature":                 func(c *Card) { c.Signature = Signature{} },
		"an address of two":            func(c *Card) { c.Address = mixed },
		"signed by another":            func(c *Card) { c.Name = "Mallory"; c.Signature = other.Sign(c.digest()) },
		"the signature of the address": func(c *Card) { c.Signature = c.Address.Signature },
	} {
		bad := c
		change(&bad)
		if got, err := ParseCard(bad.String()); !errors.Is(err, ErrCardForged) || got != (Card{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	// Anything that is signed for another purpose is worth nothing here.
	bad := c
	bad.Signature = id.Sign(TaggedHash(TagTerms, codec.Unsigned(c.fields)))
	if _, err := ParseCard(bad.String()); !errors.Is(err, ErrCardForged) {
		t.Error(err)
	}
}

// A card has one form: no other name, length or end is one, whoever signed it.
func TestCardHasOneForm(t *testing.T) {
	id := fixedEntropy(1).Root().Identity()
	for name, c := range map[string]Card{
		"no name": {}, "a name with spaces around it": {Name: " x "}, "decomposed": {Name: "Mu\u0308ller"},
		"two lines": {Name: "a\nb"}, "a flag": {Name: "-y"}, "turns round": {Name: "a\u202eb"}, "65 characters": {Name: strings.Repeat("x", 65)},
		"256 bytes": {Name: strings.Repeat("\U0001f600", 64)}, "not UTF-8": {Name: "a\xff"}, "too large a place": {Name: "x", Place: strings.Repeat("p", MaxCardPlace+1)},
	} {
		if _, err := NewCard(fixedEntropy(1).Root().Keys(LedgerID{}), c.Name, c.Place); !errors.Is(err, ErrCard) {
			t.Errorf("%s: %v", name, err)
		}
		c.Address = id.Address()
		c.Signature = id.Sign(c.digest())
		if got, err := ParseCard(c.String()); !errors.Is(err, ErrCard) {
			t.Errorf("%s is read: %+v, %v", name, got, err)
		}
	}
	longest, err := NewCard(fixedEntropy(1).Root().Keys(LedgerID{}), strings.Repeat("é", 64), strings.Repeat("p", MaxCardPlace))
	if err != nil || len(longest.String()) > 2900 {
		t.Errorf("%d characters, %v", len(longest.String()), err)
	}
	text := longest.String()
	for i := len(cardPrefix); i < len(text); i += 7 {
		c := byte('a')
		if text[i] == c {
			c = 'b'
		}
		if _, err := ParseCard(text[:i] + string(c) + text[i+1:]); err == nil || errors.Is(err, ErrCardForged) {
			t.Fatalf("a typing mistake at %d: %v", i, err)
		}
	}
	for bad, want := range map[string]Fault{
		"": FaultMalformed, cardPrefix: FaultMalformed, id.Address().String(): FaultMalformed, text[:len(text)-8]: FaultChecksum,
		EncodeCode(cardPrefix, []byte{2, 3}, TagCardChecksum): FaultVersion,
		// A place that is said to be there, and is not.
		EncodeCode(cardPrefix, append(append([]byte{1, 1, 'x'}, append(id.Address().bytes(), 1, 0, 0)...), make([]byte, 64)...), TagCardChecksum): FaultMalformed,
	} {
		_, err := ParseCard(bad)
		if e, ok := fault.As(err, ErrCard); !ok || fault.Get[Fault](e, "fault") != want {
			t.Errorf("%.30q: %v, want %s", bad, err, want)
		}
	}
}
