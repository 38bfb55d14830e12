package contract

import (
	"encoding/binary"
	"errors"
	"strconv"

	"github.com/carekey/carekey/crypto"
)

// Rules for changing the format of an entry:
//
//   - The first two bytes are for ever version and kind.
//   - No number is ever given a second meaning: kinds, flags and statuses are
//     only added, and a retired one stays reserved.
//   - A new kind or flag needs a new contract version. A configuration entry
//     activates it; until then every entry that uses it is refused.
//   - A change of the layout or of what the signature covers needs a new entry
//     version and new domain tags.
//   - The signature covers everything before it and the ledger's id. Nothing is
//     ever appended after the signature, and nothing is optional.

const (
	// Version is the only entry version there is.
	Version = 1
	// Size of an entry in bytes.
	Size = 222
	// UnsignedSize is the size of what the signature covers: all but itself.
	UnsignedSize = 158
)

// ID names an entry on its ledger. It is the digest that the author signed, and
// it does not cover the signature: see SPEC.md.
type ID = crypto.Hash

// Hour is a point in time, in whole hours since 1970-01-01T00:00Z.
type Hour uint32

const (
	// MaxAcceptance is the longest time, in hours, that a follow-up may be open
	// for acceptance.
	MaxAcceptance = 72
	// Forever is the not-after of a revocation, which never goes stale.
	Forever Hour = 0xffffffff
)

// Acceptance returns the hours between which a wallet lets a follow-up that it
// signs at now be accepted: the hour before, for clocks that differ, to 48
// hours after, for ledgers that are down.
func Acceptance(now Hour) (notBefore, notAfter Hour) {
	notBefore, notAfter = now-1, now+48
	if now < 1 {
		notBefore = 0
	}
	if now > Forever-48 {
		notAfter = Forever
	}
	return notBefore, notAfter
}

// Kind says what an entry states.
type Kind uint8

// Kinds of contract version 1. Zero is never a kind; SPEC.md reserves others.
const (
	KindConfig Kind = 1 // opens, or changes, the ledger's configuration
	KindRecord Kind = 2 // opens a record; a further version of it; its withdrawal
	KindGrant  Kind = 3 // opens a consent
	KindRevoke Kind = 4 // ends a consent, finally
	KindAccess Kind = 5 // the recipient of a consent uses it
)

var kindNames = [...]string{
	KindConfig: "config", KindRecord: "record", KindGrant: "grant", KindRevoke: "revoke", KindAccess: "access",
}

// String returns the kind's name, or kind(N) for a number that has none.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// FlagWithdrawn on a record's follow-up withdraws the record, finally. It is the
// only flag of contract version 1.
const FlagWithdrawn = 1

// Entry is one signed statement. The fields are in the order of the bytes. What
// each must hold depends on the kind: see CheckShape and the table in SPEC.md.
type Entry struct {
	Version      uint8            // 1
	Kind         Kind             //
	Flags        uint8            // FlagWithdrawn or 0
	Hours        uint8            // reserved, 0
	Author       crypto.PubKey    // signs the entry; made for the thread
	Counterparty crypto.PubKey    // grant: who may write accesses. Otherwise zero
	Subject      ID               // follow-up: the entry that opened the thread. Opening: zero
	SelfTag      crypto.SelfTag   // lets the author's wallet find it again; opaque to the contract
	NotBefore    Hour             // first hour of the window
	NotAfter     Hour             // first hour after the window
	Commitment   crypto.Hash      // what the entry commits to; never zero
	Signature    crypto.Signature // by Author, over the id
}

// Opens reports whether the entry opens a thread; all others follow up on the
// thread that Subject opened.
func (e *Entry) Opens() bool {
	switch e.Kind {
	case KindConfig, KindRecord:
		return e.Subject == ID{}
	case KindGrant:
		return true
	}
	return false
}

// Marshal returns the entry's bytes.
func (e *Entry) Marshal() [Size]byte {
	var b [Size]byte
	e.put(&b)
	return b
}

func (e *Entry) put(b *[Size]byte) {
	b[0], b[1], b[2], b[3] = e.Version, byte(e.Kind), e.Flags, e.Hours
	copy(b[4:37], e.Author[:])
	copy(b[37:70], e.Counterparty[:])
	copy(b[70:102], e.Subject[:])
	copy(b[102:118], e.SelfTag[:])
	binary.BigEndian.PutUint32(b[118:122], uint32(e.NotBefore))
	binary.BigEndian.PutUint32(b[122:126], uint32(e.NotAfter))
	copy(b[126:158], e.Commitment[:])
	copy(b[158:222], e.Signature[:])
}

// ParseEntry reads the layout only: any 222 bytes are an entry, which need not
// be a valid one. The error is a [ErrSize].
func ParseEntry(b []byte) (Entry, error) {
	if len(b) != Size {
		return Entry{}, ErrSize.With("what", "entry", "got", len(b))
	}
	return Entry{
		Version:      b[0],
		Kind:         Kind(b[1]),
		Flags:        b[2],
		Hours:        b[3],
		Author:       crypto.PubKey(b[4:37]),
		Counterparty: crypto.PubKey(b[37:70]),
		Subject:      ID(b[70:102]),
		SelfTag:      crypto.SelfTag(b[102:118]),
		NotBefore:    Hour(binary.BigEndian.Uint32(b[118:122])),
		NotAfter:     Hour(binary.BigEndian.Uint32(b[122:126])),
		Commitment:   crypto.Hash(b[126:158]),
		Signature:    crypto.Signature(b[158:222]),
	}, nil
}

// ID returns the entry's id on the ledger l, which is also the digest to sign:
// TaggedHash(TagEntry, l, the 158 bytes before the signature).
func (e *Entry) ID(l crypto.LedgerID) ID {
	b := e.Marshal()
	return crypto.TaggedHash(crypto.TagEntry, l[:], b[:UnsignedSize])
}

// ErrWrongKey is returned when an entry is to be signed with another key than
// its author's.
var ErrWrongKey = errors.New("contract: the key is not the entry's author")

// Sign signs the entry for the ledger l. All other fields must be final, Author
// among them: the signature covers it. The error is ErrWrongKey.
func (e *Entry) Sign(l crypto.LedgerID, key *crypto.PrivateKey) error {
	if key.Public() != e.Author {
		return ErrWrongKey
	}
	e.Signature = key.Sign(e.ID(l))
	return nil
}
