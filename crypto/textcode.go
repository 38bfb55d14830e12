package crypto

import (
	"encoding/base32"
	"strings"

	"github.com/carekey/carekey/crypto/text"
)

// Fault says what is wrong with a text that people copy: an address or a share
// code.
type Fault string

const (
	FaultMalformed Fault = "malformed" // another kind of text, or not one complete
	FaultChecksum  Fault = "checksum"  // a character is wrong, missing or too many
	FaultVersion   Fault = "version"   // of a version that this program does not know
	FaultMixed     Fault = "mixed"     // an address put together from two addresses
)

// codeText is RFC 4648 base32 without padding, in upper case.
var codeText = base32.StdEncoding.WithPadding(base32.NoPadding)

// bare is a code without what was put into and around it on the way, see [text.Code],
// a-z in upper case.
func bare(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			r -= 'a' - 'A'
		}
		return r
	}, text.Code(s))
}

// decodeCode reads the base32 text of version ‖ … ‖ checksum, where the checksum
// is the first 4 bytes of the tagged hash of what precedes it. size is that of
// version 1. The fault is empty when the bytes may be used.
func decodeCode(text string, checksum Tag, size int) ([]byte, Fault) {
	if len(text) > 1024 {
		return nil, FaultMalformed
	}
	b, err := codeText.DecodeString(text)
	// Decoding drops line ends, and bits after the last byte that are not zero.
	if err != nil || len(b) < 5 || codeText.EncodeToString(b) != text {
		return nil, FaultMalformed
	}
	sum := TaggedHash(checksum, b[:len(b)-4])
	switch {
	case string(sum[:4]) != string(b[len(b)-4:]):
		return nil, FaultChecksum
	case b[0] != 1:
		return nil, FaultVersion
	case len(b) != size:
		return nil, FaultMalformed
	}
	return b, ""
}

// encodeCode appends the checksum and returns the base32 text.
func encodeCode(b []byte, checksum Tag) string {
	sum := TaggedHash(checksum, b)
	return codeText.EncodeToString(append(b, sum[:4]...))
}
