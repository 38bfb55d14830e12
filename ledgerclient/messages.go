package ledgerclient

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// The messages between a wallet and a keeper have one encoding each: that of their
// Fields. What parses re-encodes identically. A parser checks the layout and the ranges
// of codes and lengths; whether keys are points and signatures hold is for Verify.
//
// What is signed is the tagged hash of the encoding without its signature, one
// tag per message, so that no signature can be taken for one of another kind.
// To change a message, give it new tags: signed messages are kept and must read
// the same for ever.
const (
	ReceiptSize         = 32 + 32 + 33 + 1 + 32 + 4 + 64 // bytes of an encoded Receipt
	AcknowledgementSize = 32 + 32 + 33 + 1 + 4 + 64      // bytes of an encoded Acknowledgement

	maxPackage = 2 + 3*32 + 255*32 // a grant package with 255 share hashes
	maxSealed  = 1024              // an HPKE-sealed share has 114
	maxFiled   = 4096              // refused requests in an answer to an inquiry
)

var (
	errSignature = errors.New("signature does not verify")
	errOther     = errors.New("for something else than what was asked")
)

// message is a signed message. signed says what it is called in an error, what its
// signature is made for, and where that is.
type message interface {
	Fields(*codec.Codec)
	signed() (name string, tag crypto.Tag, by *crypto.Signature)
}

// Marshal encodes a message. That of a deposit holds the share: it is as secret as that.
func Marshal(m message) []byte { return codec.Append(nil, m.Fields) }

// Parse decodes one message; on an error it is zero. Fields of varying length share
// memory with b.
func Parse[M any, P interface {
	*M
	message
}](b []byte) (M, error) {
	var m, none M
	if err := codec.Parse(b, P(&m).Fields); err != nil {
		name, _, _ := P(&m).signed()
		return none, ErrMessage.Of(err, "message", name)
	}
	return m, nil
}

// Sign signs a message: a deposit and an inquiry with the grant's thread key, a request
// with the one-time key that authored its access, all others with the keeper's key.
func Sign(m message, key signer) {
	_, tag, by := m.signed()
	*by = key.Sign(digest(m, tag))
}

// digest is what a signature for tag signs.
func digest(m message, tag crypto.Tag) crypto.Hash {
	return crypto.TaggedHash(tag, codec.Unsigned(m.Fields))
}

// verify checks that a message is signed by key.
func verify(m message, key crypto.PubKey) error {
	name, tag, by := m.signed()
	if !key.Verify(digest(m, tag), *by) {
		return ErrMessage.Of(errSignature, "message", name)
	}
	return nil
}

// other is the error for a message that is not the one that was asked for.
func other(m message) error {
	name, _, _ := m.signed()
	return ErrMessage.Of(errOther, "message", name)
}

// EntryField is an entry in a message.
func EntryField(c *codec.Codec, e *contract.Entry) {
	b := e.Marshal()
	if c.Bytes(b[:]); c.Reading() {
		*e, _ = contract.ParseEntry(b[:]) // of any bytes
	}
}

// signer signs: a key of a thread or of a keeper, or the one-time key of a recipient.
type signer interface {
	Sign(crypto.Hash) crypto.Signature
}

// Fields are the deposit's: ledger 32, grant 32, keeper 33, share index 1, share 32,
// signature 64, package 4 + n.
func (d *Deposit) Fields(c *codec.Codec) {
	c.Bytes(d.Ledger[:], d.Grant[:], d.Keeper[:])
	var share [33]byte
	if !c.Reading() {
		share = d.Share.Bytes()
	}
	if c.Bytes(share[:]); c.Reading() {
		var err error
		d.Share, err = crypto.ParseShare(share[:])
		c.Fail(err)
	}
	c.Signature(d.Signature[:])
	if codec.Sized[uint32](c, &d.Package, maxPackage); c.Reading() {
		d.Package = bytes.Clone(d.Package) // not to keep what holds the share
	}
}

func (d *Deposit) signed() (string, crypto.Tag, *crypto.Signature) {
	return "deposit", crypto.TagDeposit, &d.Signature
}

// Verify checks that the deposit is signed by the grant's author.
func (d *Deposit) Verify(author crypto.PubKey) error {
	return verify(d, author)
}

// Fields are the receipt's: ledger 32, grant 32, keeper 33, share index 1, share hash
// 32, hour 4, signature 64.
func (r *Receipt) Fields(c *codec.Codec) {
	c.Bytes(r.Ledger[:], r.Grant[:], r.Keeper[:])
	codec.Int(c, &r.Index)
	c.Check(r.Index > 0)
	c.Bytes(r.Share[:])
	codec.Int(c, &r.Hour)
	c.Signature(r.Signature[:])
}

func (r *Receipt) signed() (string, crypto.Tag, *crypto.Signature) {
	return "receipt", crypto.TagReceipt, &r.Signature
}

// Verify checks that this is the receipt for d, signed by the keeper that d is
// for. author is the grant's.
func (r *Receipt) Verify(d *Deposit, author crypto.PubKey) error {
	if r.Ledger != d.Ledger || r.Grant != d.Grant || r.Keeper != d.Keeper ||
		r.Index != d.Share.Index || r.Share != d.Share.Hash(d.Ledger, author) {
		return other(r)
	}
	return verify(r, r.Keeper)
}

// Fields are the request's: ledger 32, keeper 33, access entry 222, response key 33,
// signature 64.
func (r *Request) Fields(c *codec.Codec) {
	c.Bytes(r.Ledger[:], r.Keeper[:])
	EntryField(c, &r.Access)
	c.Bytes(r.Response[:])
	c.Signature(r.Signature[:])
}

func (r *Request) signed() (string, crypto.Tag, *crypto.Signature) {
	return "request", crypto.TagRequest, &r.Signature
}

// Hash is the hash of the whole request, which names it in an Answer. It covers
// the signature: a keeper's word that a request is badly signed must not fit the
// same request with a good signature.
func (r *Request) Hash() crypto.Hash { return crypto.TaggedHash(crypto.TagRequestHash, Marshal(r)) }

// Verify checks that the request is signed by the author of its access.
func (r *Request) Verify() error {
	return verify(r, r.Access.Author)
}

// Fields are the answer's: request hash 32, grant 32, code 1, hour 4, size 8, root 32,
// signature 64, sealed share 4 + n, which is there if and only if the code is Released.
func (a *Answer) Fields(c *codec.Codec) {
	c.Bytes(a.Request[:], a.Grant[:])
	codec.Int(c, &a.Code)
	codec.Int(c, &a.Hour)
	codec.Int(c, &a.Size)
	c.Bytes(a.Root[:])
	c.Signature(a.Signature[:])
	codec.Sized[uint32](c, &a.Sealed, maxSealed)
	c.Check(a.Code <= BadRequest && (a.Code == Released) == (len(a.Sealed) > 0))
}

func (a *Answer) signed() (string, crypto.Tag, *crypto.Signature) {
	return "answer", crypto.TagAnswer, &a.Signature
}

// Verify checks that this is the answer to r, signed by keeper. (The request
// names ledger, keeper, access and response key, so the answer binds them all.)
func (a *Answer) Verify(r *Request, keeper crypto.PubKey) error {
	if a.Request != r.Hash() || a.Grant != r.Access.Subject {
		return other(a)
	}
	return verify(a, keeper)
}

// Fields are the acknowledgement's: ledger 32, grant 32, keeper 33, end 1, hour 4,
// signature 64.
func (a *Acknowledgement) Fields(c *codec.Codec) {
	c.Bytes(a.Ledger[:], a.Grant[:], a.Keeper[:])
	codec.Int(c, &a.End)
	c.Check(a.End == Stopped || a.End == DestroyedShare)
	codec.Int(c, &a.Hour)
	c.Signature(a.Signature[:])
}

func (a *Acknowledgement) signed() (string, crypto.Tag, *crypto.Signature) {
	return "acknowledgement", crypto.TagAcknowledgement, &a.Signature
}

// Verify checks that keeper acknowledged the end of its share of grant on that
// ledger.
func (a *Acknowledgement) Verify(ledger crypto.LedgerID, grant contract.ID, keeper crypto.PubKey) error {
	if a.Ledger != ledger || a.Grant != grant || a.Keeper != keeper {
		return other(a)
	}
	return verify(a, keeper)
}

// Fields are the inquiry's: ledger 32, keeper 33, grant 32, nonce 32, signature 64.
func (q *Inquiry) Fields(c *codec.Codec) {
	c.Bytes(q.Ledger[:], q.Keeper[:], q.Grant[:], q.Nonce[:])
	c.Signature(q.Signature[:])
}

func (q *Inquiry) signed() (string, crypto.Tag, *crypto.Signature) {
	return "inquiry", crypto.TagInquiry, &q.Signature
}

// Hash is the hash of the whole inquiry, which names it in its answer.
func (q *Inquiry) Hash() crypto.Hash { return crypto.TaggedHash(crypto.TagInquiryHash, Marshal(q)) }

// Verify checks that the inquiry is signed by the grant's author.
func (q *Inquiry) Verify(author crypto.PubKey) error {
	return verify(q, author)
}

// stateInquiry is an inquiry for the state of a share only, which the grant's
// counterparty may make too: a signature for one is none for the other.
type stateInquiry struct{ *Inquiry }

func (q stateInquiry) signed() (string, crypto.Tag, *crypto.Signature) {
	return "inquiry", crypto.TagStateInquiry, &q.Signature
}

// SignState signs a question for Keeper.State, with the grant's thread key or the
// one-time key of its counterparty.
func (q *Inquiry) SignState(key signer) { Sign(stateInquiry{q}, key) }

// VerifyState checks that the question is signed by one of the grant's two sides.
func (q *Inquiry) VerifyState(author, counterparty crypto.PubKey) error {
	if verify(stateInquiry{q}, author) == nil {
		return nil
	}
	return verify(stateInquiry{q}, counterparty)
}

// Fields are the answer's: inquiry hash 32, size 8, root 32, number of refused requests
// 4, of those not in it 4, of acknowledgements 1, signature 64, the refused requests
// (a request and its answer each), the acknowledgements.
func (a *InquiryAnswer) Fields(c *codec.Codec) {
	refused, acks := uint32(len(a.Refused)), uint8(len(a.Acks))
	c.Bytes(a.Inquiry[:])
	codec.Int(c, &a.Size)
	c.Bytes(a.Root[:])
	codec.Int(c, &refused)
	c.Check(refused <= maxFiled)
	codec.Int(c, &a.More)
	codec.Int(c, &acks)
	c.Signature(a.Signature[:])
	codec.List(c, &a.Refused, int(refused), func(c *codec.Codec, r *Refused) { c.Message(r.Fields) })
	codec.List(c, &a.Acks, int(acks), func(c *codec.Codec, k *Acknowledgement) { c.Message(k.Fields) })
}

func (a *InquiryAnswer) signed() (string, crypto.Tag, *crypto.Signature) {
	return "answer to an inquiry", crypto.TagInquiryAnswer, &a.Signature
}

// Verify checks that this is the answer to q, signed by the keeper that q is for,
// and that each refused request and each acknowledgement in it is of that grant
// and verifies. counterparty is the grant's: who alone can have asked.
func (a *InquiryAnswer) Verify(q *Inquiry, counterparty crypto.PubKey) error {
	if a.Inquiry != q.Hash() {
		return other(a)
	}
	if err := verify(a, q.Keeper); err != nil {
		return err
	}
	return a.VerifyFiled(q.Ledger, q.Keeper, q.Grant, counterparty)
}

// VerifyFiled checks that each refused request and each acknowledgement in an answer is of
// that grant and verifies. Whether others were filed too only a signature under all says.
func (a *InquiryAnswer) VerifyFiled(ledger crypto.LedgerID, keeper crypto.PubKey, grant contract.ID, counterparty crypto.PubKey) error {
	for i := range a.Refused {
		// The recipient signed the request and the keeper the answer: neither can
		// invent an attempt.
		r := &a.Refused[i]
		if r.Request.Access.Subject != grant || r.Request.Access.Author != counterparty {
			return ErrMessage.Of(errOther, "message", "refused request")
		}
		if err := r.Verify(ledger, keeper); err != nil {
			return err
		}
	}
	for i := range a.Acks {
		if err := a.Acks[i].Verify(ledger, grant, keeper); err != nil {
			return err
		}
	}
	return nil
}

// Fields are the request's, then the answer's.
func (r *Refused) Fields(c *codec.Codec) {
	c.Message(r.Request.Fields)
	c.Message(r.Answer.Fields)
	c.Check(r.Answer.Code != Released)
}

// Marshal encodes r.
func (r *Refused) Marshal() []byte { return codec.Append(nil, r.Fields) }

// ParseRefused decodes the first refused request in b and returns what follows
// it, since a keeper files them one behind the other.
func ParseRefused(b []byte) (r Refused, rest []byte, err error) {
	if rest, err = codec.Read(b, r.Fields); err != nil {
		return Refused{}, nil, ErrMessage.Of(err, "message", "refused request")
	}
	return r, rest, nil
}

// Verify checks that r was asked by the author of its access, on that ledger, of
// that keeper, and refused by it.
func (r *Refused) Verify(ledger crypto.LedgerID, keeper crypto.PubKey) error {
	if r.Request.Ledger != ledger || r.Request.Keeper != keeper || r.Answer.Code == Released {
		return ErrMessage.Of(errOther, "message", "refused request")
	}
	if err := r.Request.Verify(); err != nil {
		return err
	}
	return r.Answer.Verify(&r.Request, keeper)
}

var codeNames = [...]string{
	Released:     "released",
	UnknownGrant: "unknown-grant",
	NoShare:      "no-share",
	NotYet:       "not-yet",
	Expired:      "expired",
	Revoked:      "revoked",
	NoAccess:     "no-access",
	AccessTooOld: "access-too-old",
	WrongKey:     "wrong-key",
	Destroyed:    "destroyed",
	StaleHead:    "stale-head",
	BadRequest:   "bad-request",
}

// String returns the code's fixed name, for example "not-yet".
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("code-%d", byte(c))
}

// String returns the fixed name, "stopped" or "destroyed".
func (e End) String() string {
	switch e {
	case Stopped:
		return "stopped"
	case DestroyedShare:
		return "destroyed"
	}
	return fmt.Sprintf("end-%d", byte(e))
}

// MarshalText returns the fixed name.
func (e End) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// String returns the part's fixed name, which is also its file's in a folder.
func (p Part) String() string {
	switch p {
	case PartMetadata:
		return "metadata"
	case PartContent:
		return "content"
	case PartTerms:
		return "terms"
	case PartEnvelope:
		return "envelope"
	case PartAccess:
		return "access"
	}
	return fmt.Sprintf("part-%d", byte(p))
}
