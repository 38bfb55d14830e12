package crypto

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/crypto/text"
)

// fixedEntropy is the entropy 00 01 02 … 1f ^ n.
func fixedEntropy(n byte) Entropy {
	var b [32]byte
	for i := range b {
		b[i] = byte(i) ^ n
	}
	return Entropy{newSecret32(b[:])}
}

func addressFault(err error) Fault {
	e, _ := fault.As(err, ErrAddress)
	return fault.Get[Fault](e, "fault")
}

func shareCodeFault(err error) Fault {
	e, _ := fault.As(err, ErrShareCode)
	return fault.Get[Fault](e, "fault")
}

func TestAddressText(t *testing.T) {
	a := fixedEntropy(0).Root().Identity().Address()
	s := a.String()
	if len(s) != 8+216 || s != strings.ToLower(s) || !strings.HasPrefix(s, "carekey1") {
		t.Fatal(s)
	}
	if b := fixedEntropy(0).Root().Identity().Address(); b != a {
		t.Error("the same keys gave another address")
	}
	var wrapped strings.Builder
	for i, r := range s {
		if i%20 == 0 {
			wrapped.WriteString(" \r\n\t\u00a0")
		}
		wrapped.WriteRune(r)
	}
	for name, text := range map[string]string{"as it is": s, "upper case": strings.ToUpper(s), "wrapped": wrapped.String(), "mixed case": strings.ToUpper(s[:50]) + s[50:]} {
		if b, err := ParseAddress(text); err != nil || b != a {
			t.Errorf("%s: %v", name, err)
		}
	}
	var b Address
	if j, err := json.Marshal(a); err != nil || json.Unmarshal(j, &b) != nil || b != a {
		t.Error(err)
	}
	if _, err := json.Marshal(Address{}); err == nil {
		t.Error("the zero address was marshalled")
	}
}

// Every other character in every place of the text is refused: by the checksum,
// or because the text is not one any more.
func TestAddressTypingErrors(t *testing.T) {
	lane.OneGoroutine(t)
	s := fixedEntropy(1).Root().Identity().Address().String()
	for i := range s {
		for _, c := range "abcdefghijklmnopqrstuvwxyz0123456789-=\u212a\u017f" {
			if text.Fold(string(c)) == s[i:i+1] || c == '-' && i == 0 {
				continue
			}
			_, err := ParseAddress(s[:i] + string(c) + s[i+1:])
			if f := addressFault(err); f != FaultMalformed && f != FaultChecksum {
				t.Fatalf("character %d changed to %c: %v", i, c, err)
			}
		}
		if _, err := ParseAddress(s[:i] + s[i+1:]); addressFault(err) == "" {
			t.Errorf("character %d missing: %v", i, err)
		}
		if _, err := ParseAddress(s[:i]); addressFault(err) == "" {
			t.Errorf("cut at %d: %v", i, err)
		}
		if i > 0 && s[i] != s[i-1] {
			if _, err := ParseAddress(s[:i-1] + s[i:i+1] + s[i-1:i] + s[i+1:]); addressFault(err) == "" {
				t.Errorf("swapped at %d", i)
			}
		}
	}
	for _, text := range []string{"", "carekey1", s + "a", s + s, strings.Repeat("a", 5000), "carekey1" + strings.Repeat("a", 5000), s[8:]} {
		if _, err := ParseAddress(text); addressFault(err) == "" {
			t.Errorf("%.20q…: %v", text, err)
		}
	}
}

// With a checksum that fits, the content is judged.
func TestAddressContent(t *testing.T) {
	lane.OneGoroutine(t)
	smith, mallory := NewEntropy().Root().Identity().Address(), NewEntropy().Root().Identity().Address()
	text := func(b []byte) string { return "carekey1" + encodeCode(b, TagAddressChecksum) }
	body := func(a Address) []byte { return append(a.head(), a.Signature[:]...) }
	good := body(smith)
	if a, err := ParseAddress(text(good)); err != nil || a != smith {
		t.Fatal(err)
	}
	mixedV, mixedS, signature := smith, smith, smith
	mixedV.View = mallory.View
	mixedS.Sign = mallory.Sign
	signature.Signature = mallory.Signature
	for name, a := range map[string]Address{"V of another": mixedV, "S of another": mixedS, "signature of another": signature} {
		if _, err := ParseAddress(text(body(a))); addressFault(err) != FaultMixed {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Any changed byte of keys and signature.
	for i := 1; i < len(good); i++ {
		b := append([]byte(nil), good...)
		b[i] ^= 1
		if _, err := ParseAddress(text(b)); addressFault(err) != FaultMixed && addressFault(err) != FaultMalformed {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	for v := 0; v < 256; v++ {
		b := append([]byte(nil), good...)
		b[0] = byte(v)
		if _, err := ParseAddress(text(b)); v != 1 && addressFault(err) != FaultVersion {
			t.Errorf("version %d: %v", v, err)
		}
	}
	if _, err := ParseAddress(text(append([]byte{2}, make([]byte, 1200/8)...))); addressFault(err) != FaultVersion {
		t.Errorf("longer version 2: %v", err)
	}
	if _, err := ParseAddress(text(good[:len(good)-1])); addressFault(err) != FaultMalformed {
		t.Errorf("short: %v", err)
	}
}

func TestAddressWords(t *testing.T) {
	a := NewEntropy().Root().Identity().Address()
	words := a.Words()
	for _, w := range words {
		if w == "" {
			t.Fatal(words)
		}
	}
	b := NewEntropy().Root().Identity().Address()
	mixed := a
	mixed.View = b.View
	if words == b.Words() || words == mixed.Words() || words != a.Words() {
		t.Error("words do not follow the keys")
	}
}

func TestShareCodeText(t *testing.T) {
	c := ShareCode{Ledger: LedgerID(TaggedHash(TagLedger, []byte("l"))), Consent: TaggedHash(TagEntry, []byte("c")), Size: 1<<40 + 7, Root: TaggedHash(TagChain)}
	s := c.String()
	if groups := strings.Split(s, " "); len(groups) != 35 || len(s) != 175+34 || s != strings.ToUpper(s) {
		t.Fatal(s)
	}
	for name, text := range map[string]string{
		"as it is": s, "lower case": strings.ToLower(s), "hyphens": strings.ReplaceAll(s, " ", "-"),
		"together": strings.ReplaceAll(s, " ", ""), "lines": strings.ReplaceAll(s, " ", "\r\n\t"),
	} {
		if d, err := ParseShareCode(text); err != nil || d != c {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range s {
		for _, r := range "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=_\u212a" {
			if s[i] == ' ' || text.Fold(string(r)) == text.Fold(s[i:i+1]) {
				continue
			}
			_, err := ParseShareCode(s[:i] + string(r) + s[i+1:])
			if f := shareCodeFault(err); f != FaultMalformed && f != FaultChecksum {
				t.Fatalf("character %d changed to %c: %v", i, r, err)
			}
		}
		if _, err := ParseShareCode(s[:i]); shareCodeFault(err) == "" {
			t.Errorf("cut at %d", i)
		}
	}
	// The last character holds 2 bits and 3 that must be 0.
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", s[len(s)-1])
	for slack := 1; slack < 8; slack++ {
		bad := s[:len(s)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[last|slack])
		if _, err := ParseShareCode(bad); shareCodeFault(err) != FaultMalformed {
			t.Errorf("slack bits %d: %v", slack, err)
		}
	}
	if _, err := ParseShareCode(encodeCode(make([]byte, 105), TagShareCodeChecksum)); shareCodeFault(err) != FaultVersion {
		t.Error(err)
	}
	if _, err := ParseShareCode(encodeCode(append([]byte{1}, make([]byte, 99)...), TagShareCodeChecksum)); shareCodeFault(err) != FaultMalformed {
		t.Error(err)
	}
	// An address is no share code and the other way round.
	a := fixedEntropy(1).Root().Identity().Address().String()
	if _, err := ParseShareCode(a); shareCodeFault(err) == "" {
		t.Error("an address was read as a share code")
	}
	if _, err := ParseAddress("carekey1" + strings.ReplaceAll(s, " ", "")); addressFault(err) == "" {
		t.Error("a share code was read as an address")
	}
	var d ShareCode
	if j, err := json.Marshal(c); err != nil || json.Unmarshal(j, &d) != nil || d != c {
		t.Error(err)
	}
}
