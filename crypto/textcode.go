package crypto

import (
	"encoding/base32"
	"strings"

	"github.com/carekey/carekey/crypto/text"
)

// Fault says what is wrong with a text that people hand to each other: an address, a
// fetch code, an invitation or a card.
type Fault string

const (
	FaultMalformed Fault = "malformed" // another kind of text, or not one complete
	FaultChecksum  Fault = "checksum"  // a character is wrong, missing or too many
	FaultVersion   Fault = "version"   // of a version that this program does not know
	FaultMixed     Fault = "mixed"     // an address put together from two addresses
)

// codeText is RFC 4648 base32 without padding, in lower case.
var codeText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// MaxCode is the most characters of a code. The longest, a card, has less than 2,900.
const MaxCode = 4096

// EncodeCode returns the text of what people hand to each other: the prefix, and the
// base32 of b and of the first 4 bytes of its tagged hash. b begins with its version, 1.
// It is one word in lower case, of 8 characters for 5 bytes.
func EncodeCode(prefix string, b []byte, checksum Tag) string {
	sum := TaggedHash(checksum, b)
	return prefix + codeText.EncodeToString(append(b[:len(b):len(b)], sum[:4]...))
}

// DecodeCode reads what [EncodeCode] wrote, in any case and with what mail and messengers
// put into and around it, see [text.Code]. It returns the version and what follows it,
// without the checksum. The fault is empty when the bytes may be used; they are of version
// 1, and the caller judges their number.
func DecodeCode(prefix, handed string, checksum Tag) ([]byte, Fault) {
	if len(handed) > 4*MaxCode {
		return nil, FaultMalformed
	}
	code, ok := strings.CutPrefix(lower(text.Code(handed)), prefix)
	if !ok || len(code) > MaxCode {
		return nil, FaultMalformed
	}
	b, err := codeText.DecodeString(code)
	// Decoding drops line ends, and bits after the last byte that are not zero.
	if err != nil || len(b) < 5 || codeText.EncodeToString(b) != code {
		return nil, FaultMalformed
	}
	b, sum := b[:len(b)-4], b[len(b)-4:]
	want := TaggedHash(checksum, b)
	switch {
	case string(want[:4]) != string(sum):
		return nil, FaultChecksum
	case b[0] != 1:
		return nil, FaultVersion
	}
	return b, ""
}

// HasPrefix reports whether a text looks like a code with that prefix, whole or not.
func HasPrefix(handed, prefix string) bool {
	return len(handed) <= 4*MaxCode && strings.HasPrefix(lower(text.Code(handed)), prefix)
}

// lower is s with A-Z in lower case, and no other letter changed.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
