// Package payload has the sealed payloads of a wallet: what of a record, a consent and
// an access is readable only to those it is for. It turns values into bytes and bytes
// into values, does no I/O and holds no key but those that travel inside a payload.
// FORMAT.md of package crypto specifies them.
//
// A payload is JSON in exactly the form that encoding/json gives the structs below,
// without HTML escapes: one value has one encoding, and whatever parses re-encodes
// identically. Fields are never reordered or removed. FORMAT.md lays out more keys than
// the structs have: those get their field with what writes them.
package payload

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Version is the V of every payload. Version 1 was never released.
const Version = 2

// Metadata describes one version of a record. It is sealed to its owner only.
type Metadata struct {
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
	Content     Locator         `json:"content"` // where the content blob is
	ContentSize int64           `json:"contentSize"`
	AgeSize     int64           `json:"ageSize"`           // of the age file inside the content blob
	Head        crypto.Hash     `json:"head"`              // of the tree over the content blob's pieces
	Hidden      string          `json:"hidden,omitempty"`  // Book, or nothing
	Whole       string          `json:"whole,omitempty"`   // why there are no parts: WholeFHIR, WholeFile, or nothing if nobody looked
	Parts       *MetadataParts  `json:"parts,omitempty"`   // also as parts, each with a key of its own
	Vouched     *Vouched        `json:"vouched,omitempty"` // what its issuer signed; its salts are the parts'
	Source      *Source         `json:"source,omitempty"`  // who delivered it
}

// Book in Hidden says that the record is a page of the wallet's book.
const Book = "book"

// What Whole says of a record that is granted whole or not at all.
const (
	WholeFHIR = "fhir" // it is FHIR, and could not be split
	WholeFile = "file" // it is no FHIR
)

// Terms are what a recipient may read at once.
type Terms struct {
	V          int             `json:"v"`
	Ledger     crypto.LedgerID `json:"ledger"`
	Author     crypto.PubKey   `json:"author"`    // the grant's thread key A
	Recipient  crypto.PubKey   `json:"recipient"` // P_sig
	From       crypto.Address  `json:"from"`
	Name       string          `json:"name,omitempty"` // what the sender calls himself: his word, and hostile
	To         crypto.Address  `json:"to"`
	NotBefore  contract.Hour   `json:"notBefore"`
	NotAfter   contract.Hour   `json:"notAfter"`
	Until      contract.Hour   `json:"until,omitempty"` // the exact end, if it is before NotAfter
	Purpose    Purpose         `json:"purpose"`
	Scope      *Scope          `json:"scope,omitempty"`  // if there is a record with a root
	Records    []TermsRecord   `json:"records"`          // may be none beside a letter
	Letter     *Letter         `json:"letter,omitempty"` // readable without an access
	Request    contract.ID     `json:"request,omitzero"` // the grant whose letter this answers
	K          int             `json:"k"`
	N          int             `json:"n"`
	Envelope   crypto.Hash     `json:"envelope"`
	Lock       crypto.Hash     `json:"lock"`
	Shares     []crypto.Hash   `json:"shares"`
	Checkpoint string          `json:"checkpoint"` // the sender's newest signed head
}

// TermsRecord is what terms show of one record version.
type TermsRecord struct {
	Record   contract.ID `json:"record"`
	Version  int         `json:"version"`
	Title    string      `json:"title"`
	Category Category    `json:"category"` // Part of a record with a root
	Date     string      `json:"date"`
	Root     crypto.Hash `json:"root,omitzero"` // head over the record's parts, if only parts are granted
}

// Envelope holds the keys of the granted record versions.
type Envelope struct {
	V       int              `json:"v"`
	Ledger  crypto.LedgerID  `json:"ledger"`
	Author  crypto.PubKey    `json:"author"`
	Records []EnvelopeRecord `json:"records"`         // those without a root, in the order of the terms' records
	Parts   []EnvelopePart   `json:"parts,omitempty"` // those with a root, likewise

	Delivery *Delivery `json:"delivery,omitempty"` // if and only if the terms' letter says so
}

// EnvelopeRecord is what opens one record version.
type EnvelopeRecord struct {
	Record      contract.ID `json:"record"`
	Version     int         `json:"version"`
	FileKey     FileKey     `json:"fileKey"`
	Content     Locator     `json:"content"`
	ContentSize int64       `json:"contentSize"`
	AgeSize     int64       `json:"ageSize"`
	Head        crypto.Hash `json:"head"`
	File        string      `json:"file"`
	Size        int64       `json:"size"`
	SHA256      crypto.Hash `json:"sha256"`
	Vouched     *Vouched    `json:"vouched,omitempty"`
}

// Access is what a recipient tells the patient with each access.
type Access struct {
	V          int             `json:"v"`
	Ledger     crypto.LedgerID `json:"ledger"`
	Grant      contract.ID     `json:"grant"`
	Author     crypto.PubKey   `json:"author"` // P_sig
	From       crypto.Address  `json:"from"`
	By         string          `json:"by,omitempty"`   // who looked, in the recipient's words
	Link       bool            `json:"link,omitempty"` // a node opened it for whoever had the link: nobody checked what they said
	Reason     string          `json:"reason"`
	Checkpoint string          `json:"checkpoint"`
}

// Locator and FileKey are secrets that travel inside sealed payloads only; the
// types of package crypto refuse to be marshalled, on purpose. No verb of fmt prints
// them.
type (
	Locator  [32]byte
	FileKey  [16]byte
	PartKey  [16]byte // of one part of a record
	FrameKey [32]byte // of the frame of a record's parts
	Salts    [32]byte // seed of the salts of a record's parts
)

func (l Locator) MarshalText() ([]byte, error)  { return hexText(l[:]), nil }
func (l *Locator) UnmarshalText(b []byte) error { return unhexText(l[:], b) }
func (l Locator) Format(s fmt.State, _ rune)    { io.WriteString(s, "[locator]") }
func (k FileKey) MarshalText() ([]byte, error)  { return hexText(k[:]), nil }
func (k *FileKey) UnmarshalText(b []byte) error { return unhexText(k[:], b) }
func (k FileKey) Format(s fmt.State, _ rune)    { io.WriteString(s, "[file key]") }

func (k FrameKey) MarshalText() ([]byte, error)  { return hexText(k[:]), nil }
func (k *FrameKey) UnmarshalText(b []byte) error { return unhexText(k[:], b) }
func (k FrameKey) Format(s fmt.State, _ rune)    { io.WriteString(s, "[frame key]") }
func (k Salts) MarshalText() ([]byte, error)     { return hexText(k[:]), nil }
func (k *Salts) UnmarshalText(b []byte) error    { return unhexText(k[:], b) }
func (k Salts) Format(s fmt.State, _ rune)       { io.WriteString(s, "[salts]") }
func (k PartKey) MarshalText() ([]byte, error)   { return nil, crypto.ErrSecret } // it stands in Items only
func (k PartKey) Format(s fmt.State, _ rune)     { io.WriteString(s, "[part key]") }

// Marshal encodes a payload of one's own in its one form.
func Marshal(v any) []byte {
	b, err := encode(v)
	if err != nil {
		panic(err) // only a missing key or address cannot be encoded, and one's own payloads have them
	}
	return b
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// ErrVersion: a payload is not one that this program reads: of another version, or with a
// key that is not in it yet. age ("newer", "older"), what, version
const ErrVersion fault.Code = "{age}-version/payload"

func versionError(age string, version int) error {
	return ErrVersion.With("age", age, "what", "payload", "version", version)
}

// Parse decodes strictly: what does not re-encode to the same bytes is refused, so that
// two readers can never see two meanings in one payload. An [ErrVersion] tells what is
// of a newer program, or of one from before the first release.
func Parse[T any](data []byte) (*T, error) {
	var of struct{ V int }
	if err := json.Unmarshal(data, &of); err != nil || of.V < 1 {
		return nil, fmt.Errorf("payload is not the JSON it should be")
	}
	if of.V != Version {
		if of.V < Version {
			return nil, versionError("older", of.V)
		}
		return nil, versionError("newer", of.V)
	}
	return strict[T](data)
}

// strict is Parse without a version: of what stands inside of a payload.
func strict[T any](data []byte) (*T, error) {
	var v T
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		if strings.HasPrefix(err.Error(), "json: unknown field ") { // encoding/json has no type for it
			return nil, versionError("newer", Version)
		}
		return nil, fmt.Errorf("payload is not the JSON it should be")
	}
	if again, err := encode(&v); err != nil || !bytes.Equal(again, data) {
		return nil, fmt.Errorf("payload is not in its one encoding")
	}
	return &v, nil
}

// ParseMetadata reads the metadata of a record version.
func ParseMetadata(b []byte) (*Metadata, error) {
	m, err := Parse[Metadata](b)
	if err == nil && (m.Hidden != "" && m.Hidden != Book || m.Size < 0 || m.AgeSize < 0 || m.ContentSize < m.AgeSize || m.Version < 1 || !m.Category.Valid() || !m.partsInRange() || !m.Vouched.inRange(true)) {
		return nil, fmt.Errorf("metadata out of range")
	}
	return m, err
}

// What others may make a wallet read and keep is bounded.
const (
	// MaxTerms is the most bytes of terms, as they stand in the cache with all its
	// escapes: some 60,000 records.
	MaxTerms = 12 << 20
	// MaxTermsBlob and MaxAccessBlob are the most bytes of what they are sealed in.
	MaxTermsBlob  = 17 << 20
	MaxAccessBlob = 80 << 10
	MaxTitle      = 160  // bytes as it stands in JSON, without the quotes
	MaxName       = 256  // bytes of a name as it stands in JSON, without the quotes
	MaxWord       = 64   // characters of a category, a purpose or a date
	MaxFile       = 255  // bytes of a file's name
	MaxReason     = 1000 // bytes of UTF-8
	MaxBy         = 200  // the same of who looked
)

// TermsRoom is how many bytes are reserved for terms, signature included, so that all
// of up to 20 records are of one size on a ledger with so many nodes and keepers; and
// AccessRoom for what comes with an access. What takes them is in FORMAT.md.
func TermsRoom(nodes, keepers int) int { return 14592 + 365*nodes + 67*keepers }

// AccessRoom is like TermsRoom.
func AccessRoom(nodes int) int { return 5440 + 365*nodes }

// TitleFits reports whether a title can be one of a wallet's own records.
func TitleFits(t string) bool {
	return t != "" && utf8.ValidString(t) && len(Marshal(t))-len(`""`) <= MaxTitle
}

// ReasonFits reports whether a reason has its room in an access: a control character
// takes six bytes in JSON.
func ReasonFits(r string) bool { return fits(r, MaxReason) }

// ByFits is ReasonFits of who looked.
func ByFits(by string) bool { return fits(by, MaxBy) }

func fits(s string, most int) bool {
	return utf8.ValidString(s) && len(s) <= most && len(Marshal(s)) <= 2*most+len(`""`)
}

// isWord reports whether a text can be a category, a purpose or a date, also one of a
// later version: letters of ASCII, digits and hyphens. What is shown beside a title
// must not look like anything else.
func isWord(s string) bool {
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return len(s) <= MaxWord
}

// EscapedSize is how many bytes a payload has where HTML is escaped, as encoding/json
// does by itself.
func EscapedSize(b []byte) int {
	n := len(b)
	for _, c := range b {
		if c == '<' || c == '>' || c == '&' {
			n += len(`\u003c`) - 1
		}
	}
	return n
}

// ParseTerms reads the terms of a consent.
func ParseTerms(b []byte) (*Terms, error) {
	if EscapedSize(b) > MaxTerms {
		return nil, fmt.Errorf("terms too large")
	}
	t, err := Parse[Terms](b)
	if err != nil {
		return nil, err
	}
	if t.K < 1 || t.N < t.K || t.N > 255 || len(t.Shares) != t.N || t.NotBefore >= t.End() || t.End() > t.NotAfter || t.Until == t.NotAfter || len(t.Records) == 0 && t.Letter == nil || t.Letter != nil && !t.Letter.fits(len(t.Records)) || !isWord(string(t.Purpose)) || len(Marshal(t.Name))-len(`""`) > MaxName {
		return nil, fmt.Errorf("terms out of range")
	}
	for i := range t.Records {
		r := &t.Records[i]
		if len(Marshal(r.Title))-len(`""`) > MaxTitle || !isWord(string(r.Category)) || !isWord(r.Date) {
			return nil, fmt.Errorf("terms out of range")
		}
	}
	if !t.scopeInRange() {
		return nil, fmt.Errorf("terms out of range")
	}
	return t, nil
}

// ParseEnvelope reads the envelope of a consent.
func ParseEnvelope(b []byte) (*Envelope, error) {
	e, err := Parse[Envelope](b)
	if err != nil {
		return nil, err
	}
	for _, r := range e.Records {
		if r.Size < 0 || r.AgeSize < 0 || r.ContentSize < r.AgeSize || len(r.File) > MaxFile || !r.Vouched.inRange(true) {
			return nil, fmt.Errorf("envelope out of range")
		}
	}
	for i := range e.Parts {
		if !e.Parts[i].inRange() {
			return nil, fmt.Errorf("envelope out of range")
		}
	}
	if !e.Delivery.inRange(len(e.Records) + len(e.Parts)) {
		return nil, fmt.Errorf("envelope out of range")
	}
	return e, nil
}

// ParseAccess reads what came with an access.
func ParseAccess(b []byte) (*Access, error) {
	n, err := Parse[Access](b)
	if err == nil && (len(n.Reason) > MaxReason || len(n.By) > MaxBy) {
		return nil, fmt.Errorf("access note out of range")
	}
	return n, err
}

// End is the exact end.
func (t *Terms) End() contract.Hour { return cmp.Or(t.Until, t.NotAfter) }

// TermsDigest is what the grantor signs with the address's key S, since sealing
// names no sender.
func TermsDigest(ledger crypto.LedgerID, body []byte) crypto.Hash {
	return crypto.TaggedHash(crypto.TagTerms, ledger[:], body)
}

// Pack returns the package that the grant's entry commits to.
func (t *Terms) Pack(termsBlob crypto.Hash) contract.GrantPackage {
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
