package wallet

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// The payloads are JSON in exactly the form that encoding/json gives the structs
// below, without HTML escapes: one value has one encoding, and whatever parses
// re-encodes identically. Fields are never reordered or removed; a new field
// needs a new V. FORMAT.md of package crypto documents them.

// payloadVersion is the V of every payload written by this version.
const payloadVersion = 1

// metadata describes one version of a record. It is sealed to its owner only.
type metadata struct {
	V           int             `json:"v"`
	Ledger      crypto.LedgerID `json:"ledger"`
	Author      crypto.PubKey   `json:"author"` // the record's thread key
	Version     int             `json:"version"`
	Title       string          `json:"title"`
	Category    Category        `json:"category"`
	Date        string          `json:"date"`  // of what it documents, YYYY-MM-DD, or empty
	Added       contract.Hour   `json:"added"` // ledger hour known to the wallet when it was written
	File        string          `json:"file"`  // base name, as the owner's system gave it
	Size        int64           `json:"size"`  // of the file, bytes
	SHA256      crypto.Hash     `json:"sha256"`
	Content     locator         `json:"content"` // where the content blob is
	ContentSize int64           `json:"contentSize"`
	AgeSize     int64           `json:"ageSize"`          // of the age file inside the content blob
	Head        crypto.Hash     `json:"head"`             // of the tree over the content blob's pieces
	Hidden      string          `json:"hidden,omitempty"` // of version 2: "book", see book.go
}

// A record's metadata of version 2 is of a hidden record.
const (
	bookMetadata = 2
	hiddenBook   = "book"
)

// terms are what a recipient may read at once.
type terms struct {
	V          int             `json:"v"`
	Ledger     crypto.LedgerID `json:"ledger"`
	Author     crypto.PubKey   `json:"author"`    // the grant's thread key A
	Recipient  crypto.PubKey   `json:"recipient"` // P_sig
	From       crypto.Address  `json:"from"`
	To         crypto.Address  `json:"to"`
	NotBefore  contract.Hour   `json:"notBefore"`
	NotAfter   contract.Hour   `json:"notAfter"`
	Until      contract.Hour   `json:"until,omitempty"` // the exact end, if it is before NotAfter
	Purpose    Purpose         `json:"purpose"`
	Records    []termsRecord   `json:"records"`
	K          int             `json:"k"`
	N          int             `json:"n"`
	Envelope   crypto.Hash     `json:"envelope"`
	Lock       crypto.Hash     `json:"lock"`
	Shares     []crypto.Hash   `json:"shares"`
	Checkpoint string          `json:"checkpoint"` // the sender's newest signed head
}

// termsRecord is what terms show of one record version.
type termsRecord struct {
	Record   contract.ID `json:"record"`
	Version  int         `json:"version"`
	Title    string      `json:"title"`
	Category Category    `json:"category"`
	Date     string      `json:"date"`
}

// envelope holds the file keys of the granted record versions.
type envelope struct {
	V       int              `json:"v"`
	Ledger  crypto.LedgerID  `json:"ledger"`
	Author  crypto.PubKey    `json:"author"`
	Records []envelopeRecord `json:"records"` // in the order of the terms' records
}

type envelopeRecord struct {
	Record      contract.ID `json:"record"`
	Version     int         `json:"version"`
	FileKey     fileKey     `json:"fileKey"`
	Content     locator     `json:"content"`
	ContentSize int64       `json:"contentSize"`
	AgeSize     int64       `json:"ageSize"`
	Head        crypto.Hash `json:"head"`
	File        string      `json:"file"`
	Size        int64       `json:"size"`
	SHA256      crypto.Hash `json:"sha256"`
}

// accessNote is what a recipient tells the patient with each access.
type accessNote struct {
	V          int             `json:"v"`
	Ledger     crypto.LedgerID `json:"ledger"`
	Grant      contract.ID     `json:"grant"`
	Author     crypto.PubKey   `json:"author"` // P_sig
	From       crypto.Address  `json:"from"`
	Reason     string          `json:"reason"`
	Checkpoint string          `json:"checkpoint"`
}

// locator and fileKey are secrets that travel inside sealed payloads only; the
// types of package crypto refuse to be marshalled, on purpose.
type (
	locator [32]byte
	fileKey [16]byte
)

func (l locator) MarshalText() ([]byte, error)  { return hexText(l[:]), nil }
func (l *locator) UnmarshalText(b []byte) error { return unhexText(l[:], b) }
func (l locator) Format(s fmt.State, _ rune)    { io.WriteString(s, "[locator]") }
func (k fileKey) MarshalText() ([]byte, error)  { return hexText(k[:]), nil }
func (k *fileKey) UnmarshalText(b []byte) error { return unhexText(k[:], b) }
func (k fileKey) Format(s fmt.State, _ rune)    { io.WriteString(s, "[file key]") }

// marshalPayload encodes a payload of one's own in its one form.
func marshalPayload(v any) []byte {
	b, err := encodePayload(v)
	if err != nil {
		panic(err) // only a missing key or address cannot be encoded, and one's own payloads have them
	}
	return b
}

func encodePayload(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// parsePayload decodes strictly: what does not re-encode to the same bytes is
// refused, so that two readers can never see two meanings in one payload.
func parsePayload[T any](data []byte, version func(*T) int) (*T, error) {
	var v T
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("payload is not the JSON it should be")
	}
	if n := version(&v); n != payloadVersion {
		return nil, &VersionError{What: "payload", Version: n}
	}
	if again, err := encodePayload(&v); err != nil || !bytes.Equal(again, data) {
		return nil, fmt.Errorf("payload is not in its one encoding")
	}
	return &v, nil
}

func parseMetadata(b []byte) (*metadata, error) {
	m, err := parsePayload(b, func(m *metadata) int {
		if m.V == bookMetadata && m.Hidden == hiddenBook {
			return payloadVersion
		}
		return m.V
	})
	if err == nil && (m.V == payloadVersion && m.Hidden != "" || m.Size < 0 || m.AgeSize < 0 || m.ContentSize < m.AgeSize || m.Version < 1 || !m.Category.Valid()) {
		return nil, fmt.Errorf("metadata out of range")
	}
	return m, err
}

// What others may make a wallet read and keep is bounded.
const (
	// maxTerms is the most bytes of terms, as they stand in the cache with all its
	// escapes: some 60,000 records.
	maxTerms = 12 << 20
	// maxTermsBlob and maxNoteBlob are the most bytes of what they are sealed in.
	maxTermsBlob = 17 << 20
	maxNoteBlob  = 80 << 10
	maxTitle     = 200 // characters
	maxWord      = 64  // characters of a category, a purpose or a date
	maxFile      = 255 // bytes of a file's name
)

// isWord tells whether a text can be a category, a purpose or a date, also one of a
// later version: letters of ASCII, digits and hyphens. What is shown beside a title
// must not look like anything else.
func isWord(s string) bool {
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return len(s) <= maxWord
}

// keptSize is how many bytes a payload has in a frame of the cache, which escapes
// what means something in HTML.
func keptSize(b []byte) int {
	n := len(b)
	for _, c := range b {
		if c == '<' || c == '>' || c == '&' {
			n += len(`\u003c`) - 1
		}
	}
	return n
}

func parseTerms(b []byte) (*terms, error) {
	if keptSize(b) > maxTerms {
		return nil, fmt.Errorf("terms too large")
	}
	t, err := parsePayload(b, func(t *terms) int { return t.V })
	if err != nil {
		return nil, err
	}
	if t.K < 1 || t.N < t.K || t.N > 255 || len(t.Shares) != t.N || t.NotBefore >= t.end() || t.end() > t.NotAfter || t.Until == t.NotAfter || len(t.Records) == 0 || !isWord(string(t.Purpose)) {
		return nil, fmt.Errorf("terms out of range")
	}
	for i := range t.Records {
		r := &t.Records[i]
		if utf8.RuneCountInString(r.Title) > maxTitle || !isWord(string(r.Category)) || !isWord(r.Date) {
			return nil, fmt.Errorf("terms out of range")
		}
	}
	return t, nil
}

func parseEnvelope(b []byte) (*envelope, error) {
	e, err := parsePayload(b, func(e *envelope) int { return e.V })
	if err != nil {
		return nil, err
	}
	for _, r := range e.Records {
		if r.Size < 0 || r.AgeSize < 0 || r.ContentSize < r.AgeSize || len(r.File) > maxFile {
			return nil, fmt.Errorf("envelope out of range")
		}
	}
	return e, nil
}

func parseAccessNote(b []byte) (*accessNote, error) {
	n, err := parsePayload(b, func(n *accessNote) int { return n.V })
	if err == nil && utf8.RuneCountInString(n.Reason) > maxReason {
		return nil, fmt.Errorf("access note out of range")
	}
	return n, err
}

// end is the exact end.
func (t *terms) end() contract.Hour { return cmp.Or(t.Until, t.NotAfter) }

// termsDigest is what the grantor signs with the address's key S, since sealing
// names no sender.
func termsDigest(ledger crypto.LedgerID, body []byte) crypto.Hash {
	return crypto.TaggedHash(crypto.TagTerms, ledger[:], body)
}

// pack returns the package that the grant's entry commits to.
func (t *terms) pack(termsBlob crypto.Hash) contract.GrantPackage {
	return contract.GrantPackage{K: uint8(t.K), N: uint8(t.N), Terms: termsBlob, Envelope: t.Envelope, Lock: t.Lock, Shares: t.Shares}
}

func hexText(b []byte) []byte { return hex.AppendEncode(nil, b) }

// unhexText reads exactly len(dst) bytes of lower-case hex.
func unhexText(dst, text []byte) error {
	if len(text) != hex.EncodedLen(len(dst)) || bytes.ContainsAny(text, "ABCDEF") {
		return fmt.Errorf("not %d bytes of hex", len(dst))
	}
	_, err := hex.Decode(dst, text)
	return err
}
