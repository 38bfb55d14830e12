package crypto

import "encoding/binary"

const (
	fetchCodePrefix = "carekey-fetch1"
	fetchCodeSize   = 1 + 32 + 32 + 8 + 32 + 2 // without place and checksum
)

// MaxPlace is the most bytes of a place in a fetch code.
const MaxPlace = 1200

// FetchCode tells a recipient where to look: a consent on a ledger, a head of the
// ledger's log that contains it, and where the ledger is. It is not secret and opens
// nothing.
type FetchCode struct {
	Ledger  LedgerID
	Consent Hash   // id of the grant
	Size    uint64 // of the log
	Root    Hash   // of the log at that size
	Place   string // bytes that whoever opens ledgers understands, MaxPlace at most; "": the ledger is on somebody's computer
}

// String returns the text form: "carekey-fetch1" and lower-case base32 in one word, 192
// characters where there is no place. A place longer than MaxPlace is left out.
func (c FetchCode) String() string {
	if len(c.Place) > MaxPlace {
		c.Place = ""
	}
	b := make([]byte, 1, fetchCodeSize+len(c.Place)+4)
	b[0] = 1
	b = append(b, c.Ledger[:]...)
	b = append(b, c.Consent[:]...)
	b = binary.BigEndian.AppendUint64(b, c.Size)
	b = append(b, c.Root[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.Place)))
	return EncodeCode(fetchCodePrefix, append(b, c.Place...), TagFetchCodeChecksum)
}

// MarshalText returns the text form.
func (c FetchCode) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is [ParseFetchCode].
func (c *FetchCode) UnmarshalText(text []byte) error {
	d, err := ParseFetchCode(string(text))
	if err == nil {
		*c = d
	}
	return err
}

// IsFetchCode reports whether a text looks like a fetch code, whole or not.
func IsFetchCode(text string) bool { return HasPrefix(text, fetchCodePrefix) }

// ParseFetchCode reads a fetch code; case, white space and what mail and messengers put
// around it do not matter. Its error is a [ErrFetchCode].
func ParseFetchCode(text string) (FetchCode, error) {
	b, fault := DecodeCode(fetchCodePrefix, text, TagFetchCodeChecksum)
	if fault == "" && (len(b) < fetchCodeSize || len(b) > fetchCodeSize+MaxPlace || int(binary.BigEndian.Uint16(b[105:])) != len(b)-fetchCodeSize) {
		fault = FaultMalformed
	}
	if fault != "" {
		return FetchCode{}, ErrFetchCode.With("fault", fault)
	}
	return FetchCode{
		Ledger:  LedgerID(b[1:33]),
		Consent: Hash(b[33:65]),
		Size:    binary.BigEndian.Uint64(b[65:73]),
		Root:    Hash(b[73:105]),
		Place:   string(b[107:]),
	}, nil
}
