package ledgerclient

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Bounds of a link.
const (
	MaxLinkFile     = 34 << 20 // bytes of a file: 24 MiB that are encrypted take 32 MiB in base64url
	MaxLinkOpenings = 1000     // in all, or in a day
	MaxLinkAttempts = 10       // wrong passcodes
	MaxLinkBy       = 200      // bytes of what somebody says who it is
	MaxLinkReason   = 1000     // bytes of why
	MaxLinkEvents   = 1024     // in an answer
)

// Links is the place where links are kept: one node. It opens each for anybody who has it,
// as often as its deposit says.
type Links interface {
	// LinkTerms says what links may be like; ErrNoLinks if the place takes none.
	LinkTerms(ctx context.Context) (LinkTerms, error)
	// DepositLink keeps a link durably; the same again yields a receipt again.
	DepositLink(ctx context.Context, d LinkDeposit) (LinkReceipt, error)
	// InquireLink says what became of one. The inquiry is signed with [Inquiry.SignLink].
	InquireLink(ctx context.Context, q Inquiry) (LinkAnswer, error)
}

// LinkPages is a place that shows its page, too: whether that is another one can be seen.
type LinkPages interface {
	// LinkPage returns the SHA-256 of the page that opens links in a browser, as it is served
	// now; ErrNoLinks if the place takes none.
	LinkPage(ctx context.Context) (crypto.Hash, error)
}

// KnownPage is the SHA-256 of that page at nodes of this version, in hexadecimal digits.
const KnownPage = "aae36a7a5c01e340641987dc605c0dc6837ddb8b14f393c796fe5e902f3a1535"

// LinkTerms are what a place says of the links that it takes.
type LinkTerms struct {
	URL      string      `json:"url"`      // what stands before /s/ and /view in them
	Page     crypto.Hash `json:"page"`     // SHA-256 of the page that opens them in a browser
	Limit    int64       `json:"limit"`    // bytes of a file
	Hours    uint32      `json:"hours"`    // until the end, at most
	Openings uint16      `json:"openings"` // in all or in a day, at most
}

// LinkDeposit hands a link to the node that opens it.
type LinkDeposit struct {
	Ledger   crypto.LedgerID
	Grant    contract.ID
	Keeper   crypto.PubKey // of the node
	Name     crypto.Hash   // see [crypto.LinkID.Name]
	End      contract.Hour // from which on it opens nothing
	Openings uint16        // 1 to MaxLinkOpenings
	Daily    bool          // openings are those of a day, from midnight UTC on
	Passcode LinkPasscode
	Package  []byte // of the grant
	File     []byte // what is behind it, see [crypto.LockKey.SealLinkFile]

	Signature crypto.Signature // by the grant's author
}

// LinkPasscode is what a passcode is compared with; zero: there is none.
type LinkPasscode struct {
	Attempts uint8 // 1 to MaxLinkAttempts wrong ones end the link
	Salt     [16]byte
	// Hash is Argon2id, version 19, of the passcode in NFC and UTF-8 with the salt: 2
	// passes, 19,456 KiB, 1 lane.
	Hash [32]byte
}

// linkVersion is the first byte of a link's deposit.
const linkVersion = 1

// Fields are the deposit's: version 1, ledger 32, grant 32, keeper 33, name 32, end 4,
// openings 2, daily 1, passcode 1 (0, 1), with one attempts 1, salt 16 and hash 32,
// package 4 + n, file 4 + n, signature 64.
func (d *LinkDeposit) Fields(c *codec.Codec) {
	version := uint8(linkVersion)
	codec.Int(c, &version)
	c.Check(version == linkVersion)
	c.Bytes(d.Ledger[:], d.Grant[:], d.Keeper[:], d.Name[:])
	codec.Int(c, &d.End)
	codec.Int(c, &d.Openings)
	c.Check(d.Openings >= 1 && d.Openings <= MaxLinkOpenings)
	codec.Bool(c, &d.Daily)
	locked := d.Passcode.Attempts > 0
	if codec.Bool(c, &locked); locked {
		codec.Int(c, &d.Passcode.Attempts)
		c.Check(d.Passcode.Attempts >= 1 && d.Passcode.Attempts <= MaxLinkAttempts)
		c.Bytes(d.Passcode.Salt[:], d.Passcode.Hash[:])
	}
	codec.Sized[uint32](c, &d.Package, maxPackage)
	codec.Sized[uint32](c, &d.File, MaxLinkFile)
	c.Signature(d.Signature[:])
}

func (d *LinkDeposit) signed() (string, crypto.Tag, *crypto.Signature) {
	return "deposit of a link", crypto.TagLinkDeposit, &d.Signature
}

// Verify checks that the deposit is signed by the grant's author.
func (d *LinkDeposit) Verify(author crypto.PubKey) error { return verify(d, author) }

// Hash names the deposit in its receipt: it is what its signature is over.
func (d *LinkDeposit) Hash() crypto.Hash { return digest(d, crypto.TagLinkDeposit) }

// LinkReceipt says that a node keeps a link.
type LinkReceipt struct {
	Ledger    crypto.LedgerID
	Grant     contract.ID
	Keeper    crypto.PubKey
	Deposit   crypto.Hash // its Hash
	Hour      contract.Hour
	Signature crypto.Signature // by the keeper
}

// Fields are the receipt's: ledger 32, grant 32, keeper 33, hash of the deposit 32, hour 4,
// signature 64.
func (r *LinkReceipt) Fields(c *codec.Codec) {
	c.Bytes(r.Ledger[:], r.Grant[:], r.Keeper[:], r.Deposit[:])
	codec.Int(c, &r.Hour)
	c.Signature(r.Signature[:])
}

func (r *LinkReceipt) signed() (string, crypto.Tag, *crypto.Signature) {
	return "receipt for a link", crypto.TagLinkReceipt, &r.Signature
}

// Verify checks that this is the receipt for d, signed by the keeper that d is for.
func (r *LinkReceipt) Verify(d *LinkDeposit) error {
	if r.Ledger != d.Ledger || r.Grant != d.Grant || r.Keeper != d.Keeper || r.Deposit != d.Hash() {
		return other(r)
	}
	return verify(r, r.Keeper)
}

// linkInquiry is an inquiry about a link: a signature for one is none for another.
type linkInquiry struct{ *Inquiry }

func (q linkInquiry) signed() (string, crypto.Tag, *crypto.Signature) {
	return "inquiry", crypto.TagLinkInquiry, &q.Signature
}

// SignLink signs a question for Links.InquireLink, with the grant's thread key.
func (q *Inquiry) SignLink(key signer) { Sign(linkInquiry{q}, key) }

// VerifyLink checks that a question about a link is signed by the grant's author.
func (q *Inquiry) VerifyLink(author crypto.PubKey) error { return verify(linkInquiry{q}, author) }

// LinkState is what a link is now.
type LinkState uint8

const (
	LinkActive    LinkState = iota
	LinkExhausted           // all its openings are used, or all of this day
	LinkEnded               // its time is over, or its grant is revoked
	LinkLocked              // too many wrong passcodes, for good
)

// LinkHappened is what happened to a link.
type LinkHappened uint8

const (
	LinkOpened  LinkHappened = iota
	LinkWrong                // a wrong passcode
	LinkRefused              // somebody wanted to open it when it could not be
)

// LinkEvent is one thing that happened to a link, with what was typed: nobody checked it.
type LinkEvent struct {
	What   LinkHappened
	At     uint64 // seconds since 1970, by the node's clock
	By     string
	Reason string
}

// Time is At.
func (e *LinkEvent) Time() time.Time { return time.Unix(int64(e.At), 0).UTC() }

// Fields are what a node writes down of it: what 1, seconds 8, who 1 + n, why 2 + n.
func (e *LinkEvent) Fields(c *codec.Codec) {
	codec.Int(c, &e.What)
	c.Check(e.What <= LinkRefused)
	codec.Int(c, &e.At)
	codec.Sized[uint8](c, &e.By, MaxLinkBy)
	codec.Sized[uint16](c, &e.Reason, MaxLinkReason)
	c.Check(utf8.ValidString(e.By) && utf8.ValidString(e.Reason))
}

// LinkAnswer is what a node says of a link. Its keeper signed it: it can be held to it, and
// nobody else can know.
type LinkAnswer struct {
	Inquiry  crypto.Hash
	State    LinkState
	Openings uint16 // in all, or in a day; 0: the node is an older one, and says neither this nor the next two
	Daily    bool   // openings are those of a day, from midnight UTC on
	Passcode bool   // it has one
	Left     uint16 // openings: in all, or of this day
	Attempts uint8  // that are left; 0 also without a passcode
	More     uint32 // events before those in Events
	Events   []LinkEvent

	Signature crypto.Signature // by the keeper
}

// Versions of an answer about a link.
const (
	oldLinkAnswer = 1 // says neither openings, nor daily, nor passcode
	linkAnswer    = 2
)

// Fields are the answer's: version 1, inquiry hash 32, state 1, openings 2, daily 1, passcode 1,
// openings left 2, attempts left 1, events that are not in it 4, number of events 2, signature
// 64, the events, oldest first.
func (a *LinkAnswer) Fields(c *codec.Codec) {
	n := uint16(len(a.Events))
	version := uint8(linkAnswer)
	if a.Openings == 0 {
		version = oldLinkAnswer
	}
	codec.Int(c, &version)
	c.Check(version == oldLinkAnswer || version == linkAnswer)
	c.Bytes(a.Inquiry[:])
	codec.Int(c, &a.State)
	c.Check(a.State <= LinkLocked)
	if version == linkAnswer {
		codec.Int(c, &a.Openings)
		c.Check(a.Openings >= 1 && a.Openings <= MaxLinkOpenings)
		codec.Bool(c, &a.Daily)
		codec.Bool(c, &a.Passcode)
	}
	codec.Int(c, &a.Left)
	codec.Int(c, &a.Attempts)
	codec.Int(c, &a.More)
	codec.Int(c, &n)
	c.Check(n <= MaxLinkEvents)
	c.Signature(a.Signature[:])
	codec.List(c, &a.Events, int(n), func(c *codec.Codec, e *LinkEvent) { e.Fields(c) })
}

func (a *LinkAnswer) signed() (string, crypto.Tag, *crypto.Signature) {
	return "answer about a link", crypto.TagLinkAnswer, &a.Signature
}

// ParseLinkAnswer reads an answer about a link. Of a version that is not known yet it is an
// [ErrNewerAnswer]: whoever cannot read it does not say that it was forged.
func ParseLinkAnswer(b []byte) (LinkAnswer, error) {
	if len(b) > 0 && b[0] > linkAnswer {
		return LinkAnswer{}, ErrNewerAnswer.With("version", int(b[0]))
	}
	return Parse[LinkAnswer](b)
}

// Verify checks that this is the answer to q, signed by the keeper that q is for.
func (a *LinkAnswer) Verify(q *Inquiry) error {
	if a.Inquiry != q.Hash() {
		return other(a)
	}
	return verify(a, q.Keeper)
}

// CutText cuts a text to at most so many bytes, between characters, and makes it UTF-8. What was
// cut ends with …, so that nobody takes it for all that was said.
func CutText(s string, most int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= most {
		return s
	}
	mark := "…"
	if most < len(mark) {
		mark = ""
	}
	s = strings.TrimSuffix(s, mark) // of what was cut before
	for len(s)+len(mark) > most {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s + mark
}

// String returns the fixed name.
func (s LinkState) String() string { return nameOf(s, "active", "exhausted", "ended", "locked") }

// MarshalText returns the fixed name.
func (s LinkState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String returns the fixed name.
func (h LinkHappened) String() string { return nameOf(h, "opened", "wrong-passcode", "refused") }

// MarshalText returns the fixed name.
func (h LinkHappened) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

func nameOf[N ~uint8](n N, names ...string) string {
	if int(n) < len(names) {
		return names[n]
	}
	return fmt.Sprintf("%d", uint8(n))
}
