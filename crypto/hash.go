package crypto

import (
	"crypto/sha256"
	"encoding/hex"
)

// Hash is a SHA-256 value, usually of [TaggedHash]. Its text is 64 lower-case
// hexadecimal digits.
type Hash [32]byte

// LedgerID names a ledger: the hash of its genesis configuration document. Its
// text is that of a [Hash].
type LedgerID [32]byte

// TaggedHash returns SHA-256(tag ‖ 0x00 ‖ parts…). The parts are concatenated as
// they are: at most the last may be of variable length, unless the caller writes
// lengths.
func TaggedHash(tag Tag, parts ...[]byte) Hash {
	size := len(tag) + 1
	for _, p := range parts {
		size += len(p)
	}
	var stack [512]byte
	if size <= len(stack) {
		buf := append(append(stack[:0], tag...), 0)
		for _, p := range parts {
			buf = append(buf, p...)
		}
		return sha256.Sum256(buf)
	}
	h := sha256.New()
	h.Write(append([]byte(tag), 0))
	for _, p := range parts {
		h.Write(p)
	}
	var sum Hash
	h.Sum(sum[:0])
	return sum
}

// String returns the text form.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText returns the text form.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText accepts exactly what MarshalText writes.
func (h *Hash) UnmarshalText(text []byte) error { return parseHex(h[:], text, "hash") }

// IsZero reports whether h is 32 zero bytes, which stand for "none".
func (h Hash) IsZero() bool { return h == Hash{} }

// String returns the text form.
func (l LedgerID) String() string { return hex.EncodeToString(l[:]) }

// MarshalText returns the text form.
func (l LedgerID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, l[:]), nil }

// UnmarshalText accepts exactly what MarshalText writes.
func (l *LedgerID) UnmarshalText(text []byte) error { return parseHex(l[:], text, "ledger id") }

// IsZero reports whether l is 32 zero bytes.
func (l LedgerID) IsZero() bool { return l == LedgerID{} }

// parseHex fills dst from its lower-case hexadecimal text and leaves dst as it is
// when the text is refused.
func parseHex(dst, text []byte, what string) error {
	bad := func() error { return ErrHex.With("what", what, "want", 2*len(dst), "got", len(text)) }
	if len(text) != 2*len(dst) {
		return bad()
	}
	for _, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return bad()
		}
	}
	_, err := hex.Decode(dst, text)
	return err
}
