package crypto

import (
	"encoding/binary"
	"strings"
)

const shareCodeSize = 1 + 32 + 32 + 8 + 32 + 4

// ShareCode tells a recipient where to look: a consent on a ledger, and a head of
// the ledger's log that contains it. It is not secret and opens nothing.
type ShareCode struct {
	Ledger  LedgerID
	Consent Hash   // id of the grant
	Size    uint64 // of the log
	Root    Hash   // of the log at that size
}

// String returns the text form: 175 characters of upper-case base32 in groups of
// five with a space between them.
func (c ShareCode) String() string {
	b := make([]byte, 1, shareCodeSize)
	b[0] = 1
	b = append(b, c.Ledger[:]...)
	b = append(b, c.Consent[:]...)
	b = binary.BigEndian.AppendUint64(b, c.Size)
	b = append(b, c.Root[:]...)
	text := encodeCode(b, TagShareCodeChecksum)
	var s strings.Builder
	for i := 0; i < len(text); i += 5 {
		if i > 0 {
			s.WriteByte(' ')
		}
		s.WriteString(text[i : i+5])
	}
	return s.String()
}

// MarshalText returns the text form.
func (c ShareCode) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is [ParseShareCode].
func (c *ShareCode) UnmarshalText(text []byte) error {
	d, err := ParseShareCode(string(text))
	if err == nil {
		*c = d
	}
	return err
}

// ParseShareCode reads a share code; case, white space, hyphens and what mail and
// messengers put around it do not matter. Its error is a [ErrShareCode].
func ParseShareCode(text string) (ShareCode, error) {
	b, fault := decodeCode(strings.ReplaceAll(bare(text), "-", ""), TagShareCodeChecksum, shareCodeSize)
	if fault != "" {
		return ShareCode{}, ErrShareCode.With("fault", fault)
	}
	return ShareCode{
		Ledger:  LedgerID(b[1:33]),
		Consent: Hash(b[33:65]),
		Size:    binary.BigEndian.Uint64(b[65:73]),
		Root:    Hash(b[73:105]),
	}, nil
}
