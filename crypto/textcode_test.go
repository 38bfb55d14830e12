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

func fetchCodeFault(err error) Fault {
	e, _ := fault.As(err, ErrFetchCode)
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
	text := func(b []byte) string { return EncodeCode("carekey1", b, TagAddressChecksum) }
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

func TestFetchCodeText(t *testing.T) {
	lane.OneGoroutine(t)
	c := FetchCode{Ledger: LedgerID(TaggedHash(TagLedger, []byte("l"))), Consent: TaggedHash(TagEntry, []byte("c")), Size: 1<<40 + 7, Root: TaggedHash(TagChain)}
	if s := c.String(); len(s) != 14+178 {
		t.Errorf("%d characters without a place", len(s))
	}
	c.Place = strings.Repeat("p", MaxPlace)
	if s := c.String(); len(s) > MaxCode {
		t.Errorf("%d characters at most", len(s))
	} else if d, err := ParseFetchCode(s); err != nil || d != c {
		t.Error(err)
	}
	c.Place += "p"
	if d, err := ParseFetchCode(c.String()); err != nil || d.Place != "" || d.Consent != c.Consent {
		t.Errorf("a place that is too long: %+v, %v", d, err)
	}
	c.Place = "a place"
	s := c.String()
	if s != strings.ToLower(s) || !strings.HasPrefix(s, "carekey-fetch1") || strings.ContainsAny(s, " \n") {
		t.Fatal(s)
	}
	for i := range s {
		for _, r := range "abcdefghijklmnopqrstuvwxyz0123456789-=_\u212a" {
			if text.Fold(string(r)) == s[i:i+1] {
				continue
			}
			_, err := ParseFetchCode(s[:i] + string(r) + s[i+1:])
			if f := fetchCodeFault(err); f != FaultMalformed && f != FaultChecksum {
				t.Fatalf("character %d changed to %c: %v", i, r, err)
			}
		}
		if _, err := ParseFetchCode(s[:i]); fetchCodeFault(err) == "" {
			t.Errorf("cut at %d", i)
		}
		if got, want := IsFetchCode(s[:i]), i >= len("carekey-fetch1"); got != want {
			t.Errorf("cut at %d it looks like a fetch code: %v", i, got)
		}
	}
	// The last character holds bits that must be 0.
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	c.Place = ""
	s = c.String()
	last := strings.IndexByte(letters, s[len(s)-1])
	for slack := 1; slack < 4; slack++ {
		if _, err := ParseFetchCode(s[:len(s)-1] + letters[last|slack:][:1]); fetchCodeFault(err) != FaultMalformed {
			t.Errorf("slack bits %d: %v", slack, err)
		}
	}
	// With a checksum that fits, the content is judged.
	for name, test := range map[string]struct {
		change func(b []byte) []byte
		fault  Fault
	}{
		"version 0":               {func(b []byte) []byte { b[0] = 0; return b }, FaultVersion},
		"version 2":               {func(b []byte) []byte { b[0] = 2; return append(b, "more"...) }, FaultVersion},
		"no length":               {func(b []byte) []byte { return b[:105] }, FaultMalformed},
		"a byte behind":           {func(b []byte) []byte { return append(b, 0) }, FaultMalformed},
		"a place that is not all": {func(b []byte) []byte { b[106] = 9; return append(b, "8 bytes "...) }, FaultMalformed},
		"a place that is too long": {func(b []byte) []byte {
			b[105], b[106] = (MaxPlace+1)>>8, (MaxPlace+1)&255
			return append(b, make([]byte, MaxPlace+1)...)
		}, FaultMalformed},
	} {
		b := make([]byte, 107)
		b[0] = 1
		if _, err := ParseFetchCode(EncodeCode("carekey-fetch1", test.change(b), TagFetchCodeChecksum)); fetchCodeFault(err) != test.fault {
			t.Errorf("%s: %v", name, err)
		}
	}
	// An address is no fetch code and the other way round.
	a := fixedEntropy(1).Root().Identity().Address().String()
	if _, err := ParseFetchCode(a); fetchCodeFault(err) != FaultMalformed {
		t.Errorf("an address was read as a fetch code: %v", err)
	}
	if _, err := ParseAddress(s); addressFault(err) != FaultMalformed {
		t.Errorf("a fetch code was read as an address: %v", err)
	}
	var d FetchCode
	if j, err := json.Marshal(c); err != nil || json.Unmarshal(j, &d) != nil || d != c {
		t.Error(err)
	}
}

// What mail, messengers and people put into and around a code is passed over.
func TestCodesAsTheyAreHandedOn(t *testing.T) {
	code := FetchCode{Ledger: LedgerID{1}, Consent: Hash{2}, Size: 3, Root: Hash{4}, Place: "somewhere"}
	address := fixedEntropy(1).Root().Identity().Address()
	for what, s := range map[string]string{"fetch code": code.String(), "address": address.String()} {
		var quoted, wrapped strings.Builder
		for i := 0; i < len(s); i += 40 {
			line := s[i:min(i+40, len(s))]
			quoted.WriteString("> " + line + "\n")
			wrapped.WriteString(line + "=20\r\n\t\u00a0")
		}
		half := len(s) / 2
		for name, handed := range map[string]string{
			"upper case": strings.ToUpper(s), "mixed case": strings.ToUpper(s[:half]) + s[half:],
			"quoted": quoted.String(), "wrapped": wrapped.String(), "quotation marks": "\u201c" + s + "\u201d", "angle brackets": "<" + s + ">",
			"a full stop": s + ".", "quotes": `"` + s + `"`, "bold": "*" + s + "*", "another hyphen": strings.ReplaceAll(s, "-", "\u2011"),
			"zero-width space": s[:half] + "\u200b" + s[half:], "soft hyphen": s[:half] + "\u00ad" + s[half:],
			"word joiner": "\u2060" + s, "byte order mark": "\ufeff" + s, "left-to-right marks": "\u200e" + s + "\u200e",
		} {
			var err error
			if what == "address" {
				_, err = ParseAddress(handed)
			} else {
				_, err = ParseFetchCode(handed)
			}
			if err != nil {
				t.Errorf("%s, %s: %v", what, name, err)
			}
		}
	}
}
