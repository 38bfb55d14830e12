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

// parse reads a message; on an error it is zero.
func parse[M any, P interface {
	*M
	Fields(*codec.Codec)
}](name string, b []byte) (M, error) {
	var m, none M
	if err := codec.Parse(b, P(&m).Fields); err != nil {
		return none, ErrMessage.Of(err, "message", name)
	}
	return m, nil
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
	codec.Sized[uint32](c, &d.Package, maxPackage)
}

// Marshal encodes d. The result holds the share: it is as secret as d.
func (d *Deposit) Marshal() []byte { return codec.Append(nil, d.Fields) }

// ParseDeposit decodes one deposit, which shares no memory with b.
func ParseDeposit(b []byte) (Deposit, error) {
	d, err := parse[Deposit]("deposit", b)
	d.Package = bytes.Clone(d.Package)
	return d, err
}

// Digest is what Signature signs.
func (d *Deposit) Digest() crypto.Hash {
	return crypto.TaggedHash(crypto.TagDeposit, codec.Unsigned(d.Fields))
}

// Sign signs with the grant's thread key.
func (d *Deposit) Sign(key *crypto.PrivateKey) { d.Signature = key.Sign(d.Digest()) }

// Verify checks that the deposit is signed by the grant's author.
func (d *Deposit) Verify(author crypto.PubKey) error {
	return verify("deposit", author, d.Digest(), d.Signature)
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

// Marshal encodes r.
func (r *Receipt) Marshal() []byte { return codec.Append(nil, r.Fields) }

// ParseReceipt decodes one receipt.
func ParseReceipt(b []byte) (Receipt, error) { return parse[Receipt]("receipt", b) }

// Digest is what Signature signs.
func (r *Receipt) Digest() crypto.Hash {
	return crypto.TaggedHash(crypto.TagReceipt, codec.Unsigned(r.Fields))
}

// Sign signs with the keeper's key.
func (r *Receipt) Sign(key *crypto.PrivateKey) { r.Signature = key.Sign(r.Digest()) }

// Verify checks that this is the receipt for d, signed by the keeper that d is
// for. author is the grant's.
func (r *Receipt) Verify(d *Deposit, author crypto.PubKey) error {
	if r.Ledger != d.Ledger || r.Grant != d.Grant || r.Keeper != d.Keeper ||
		r.Index != d.Share.Index || r.Share != d.Share.Hash(d.Ledger, author) {
		return ErrMessage.Of(errOther, "message", "receipt")
	}
	return verify("receipt", r.Keeper, r.Digest(), r.Signature)
}

// Fields are the request's: ledger 32, keeper 33, access entry 222, response key 33,
// signature 64.
func (r *Request) Fields(c *codec.Codec) {
	c.Bytes(r.Ledger[:], r.Keeper[:])
	EntryField(c, &r.Access)
	c.Bytes(r.Response[:])
	c.Signature(r.Signature[:])
}

// Marshal encodes r.
func (r *Request) Marshal() []byte { return codec.Append(nil, r.Fields) }

// ParseRequest decodes one request.
func ParseRequest(b []byte) (Request, error) { return parse[Request]("request", b) }

// Digest is what Signature signs.
func (r *Request) Digest() crypto.Hash {
	return crypto.TaggedHash(crypto.TagRequest, codec.Unsigned(r.Fields))
}

// Hash is the hash of the whole request, which names it in an Answer. It covers
// the signature: a keeper's word that a request is badly signed must not fit the
// same request with a good signature.
func (r *Request) Hash() crypto.Hash { return crypto.TaggedHash(crypto.TagRequestHash, r.Marshal()) }

// Sign signs with the one-time key that authored the access.
func (r *Request) Sign(key signer) { r.Signature = key.Sign(r.Digest()) }

// Verify checks that the request is signed by the author of its access.
func (r *Request) Verify() error {
	return verify("request", r.Access.Author, r.Digest(), r.Signature)
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

// Marshal encodes a.
func (a *Answer) Marshal() []byte { return codec.Append(nil, a.Fields) }

// ParseAnswer decodes one answer.
func ParseAnswer(b []byte) (Answer, error) { return parse[Answer]("answer", b) }

// Digest is what Signature signs.
func (a *Answer) Digest() crypto.Hash {
	return crypto.TaggedHash(crypto.TagAnswer, codec.Unsigned(a.Fields))
}

// Sign signs with the keeper's key.
func (a *Answer) Sign(key *crypto.PrivateKey) { a.Signature = key.Sign(a.Digest()) }

// Verify checks that this is the answer to r, signed by keeper. (The request
// names ledger, keeper, access and response key, so the answer binds them all.)
func (a *Answer) Verify(r *Request, keeper crypto.PubKey) error {
	if a.Request != r.Hash() || a.Grant != r.Access.Subject {
		return ErrMessage.Of(errOther, "message", "answer")
	}
	return verify("answer", keeper, a.Digest(), a.Signature)
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

// Marshal encodes a.
func (a *Acknowledgement) Marshal() []byte { return codec.Append(nil, a.Fields) }

// ParseAcknowledgement decodes one acknowledgement.
func ParseAcknowledgement(b []byte) (Acknowledgement, error) {
	return parse[Acknowledgement]("acknowledgement", b)
}

// Digest is what Signature signs.
func (a *Acknowledgement) Digest() crypto.Hash {
	return crypto.TaggedHash(crypto.TagAcknowledgement, codec.Unsigned(a.Fields))
}

// Sign signs with the keeper's key.
func (a *Acknowledgement) Sign(key *crypto.PrivateKey) { a.Signature = key.Sign(a.Digest()) }

// Verify checks that keeper acknowledged the end of its share of grant on that
// ledger.
func (a *Acknowledgement) Verify(ledger crypto.LedgerID, grant contract.ID, keeper crypto.PubKey) error {
	if a.Ledger != ledger || a.Grant != grant || a.Keeper != keeper {
		return ErrMessage.Of(errOther, "message", "acknowledgement")
	}
	return verify("acknowledgement", keeper, a.Digest(), a.Signature)
}

// Fields are the inquiry's: ledger 32, keeper 33, grant 32, nonce 32, signature 64.
func (q *Inquiry) Fields(c *codec.Codec) {
	c.Bytes(q.Ledger[:], q.Keeper[:], q.Grant[:], q.Nonce[:])
	c.Signature(q.Signature[:])
}

// Marshal encodes q.
func (q *Inquiry) Marshal() []byte { return codec.Append(nil, q.Fields) }

// ParseInquiry decodes one inquiry.
func ParseInquiry(b []byte) (Inquiry, error) { return parse[Inquiry]("inquiry", b) }

// Digest is what Signature signs.
func (q *Inquiry) Digest() crypto.Hash {
	return crypto.TaggedHash(crypto.TagInquiry, codec.Unsigned(q.Fields))
}

// Hash is the hash of the whole inquiry, which names it in its answer.
func (q *Inquiry) Hash() crypto.Hash { return crypto.TaggedHash(crypto.TagInquiryHash, q.Marshal()) }

// Sign signs with the grant's thread key.
func (q *Inquiry) Sign(key *crypto.PrivateKey) { q.Signature = key.Sign(q.Digest()) }

// Verify checks that the inquiry is signed by the grant's author.
func (q *Inquiry) Verify(author crypto.PubKey) error {
	return verify("inquiry", author, q.Digest(), q.Signature)
}

// stateDigest is what is signed when only the state of a share is asked for, which
// the grant's counterparty may do too: a signature for one is none for the other.
func (q *Inquiry) stateDigest() crypto.Hash {
	return crypto.TaggedHash(crypto.TagStateInquiry, codec.Unsigned(q.Fields))
}

// SignState signs a question for Keeper.State, with the grant's thread key or the
// one-time key of its counterparty.
func (q *Inquiry) SignState(key signer) { q.Signature = key.Sign(q.stateDigest()) }

// VerifyState checks that the question is signed by one of the grant's two sides.
func (q *Inquiry) VerifyState(author, counterparty crypto.PubKey) error {
	d := q.stateDigest()
	if err := verify("inquiry", author, d, q.Signature); err == nil {
		return nil
	}
	return verify("inquiry", counterparty, d, q.Signature)
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

// Marshal encodes a.
func (a *InquiryAnswer) Marshal() []byte { return codec.Append(nil, a.Fields) }

// ParseInquiryAnswer decodes one answer to an inquiry.
func ParseInquiryAnswer(b []byte) (InquiryAnswer, error) {
	return parse[InquiryAnswer]("answer to an inquiry", b)
}

// Digest is what Signature signs: everything that is answered.
func (a *InquiryAnswer) Digest() crypto.Hash {
	return crypto.TaggedHash(crypto.TagInquiryAnswer, codec.Unsigned(a.Fields))
}

// Sign signs with the keeper's key.
func (a *InquiryAnswer) Sign(key *crypto.PrivateKey) { a.Signature = key.Sign(a.Digest()) }

// Verify checks that this is the answer to q, signed by the keeper that q is for,
// and that each refused request and each acknowledgement in it is of that grant
// and verifies. counterparty is the grant's: who alone can have asked.
func (a *InquiryAnswer) Verify(q *Inquiry, counterparty crypto.PubKey) error {
	const name = "answer to an inquiry"
	if a.Inquiry != q.Hash() {
		return ErrMessage.Of(errOther, "message", name)
	}
	if err := verify(name, q.Keeper, a.Digest(), a.Signature); err != nil {
		return err
	}
	for i := range a.Refused {
		// The recipient signed the request and the keeper the answer: neither can
		// invent an attempt.
		r := &a.Refused[i]
		if r.Request.Access.Subject != q.Grant || r.Request.Access.Author != counterparty {
			return ErrMessage.Of(errOther, "message", "refused request")
		}
		if err := r.Verify(q.Ledger, q.Keeper); err != nil {
			return err
		}
	}
	for i := range a.Acks {
		if err := a.Acks[i].Verify(q.Ledger, q.Grant, q.Keeper); err != nil {
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

func verify(message string, key crypto.PubKey, digest crypto.Hash, sig crypto.Signature) error {
	if !key.Verify(digest, sig) {
		return ErrMessage.Of(errSignature, "message", message)
	}
	return nil
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
