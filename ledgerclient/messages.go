package ledgerclient

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// The messages between a wallet and a keeper have one encoding each: the fields
// in the order of the struct, fixed widths, integers big-endian; what varies in
// length stands last, behind its length in 4 bytes. What parses re-encodes
// identically. A parser checks the layout and the ranges of codes and lengths;
// whether keys are points and signatures hold is for Verify.
//
// What is signed is the tagged hash of the encoding without its signature, one
// tag per message, so that no signature can be taken for one of another kind.
// To change a message, give it new tags: signed messages are kept and must read
// the same for ever.
//
//	Deposit          ledger 32, grant 32, keeper 33, share index 1, share 32, signature 64, package 4 + n
//	Receipt          ledger 32, grant 32, keeper 33, share index 1, share hash 32, hour 4, signature 64
//	Request          ledger 32, keeper 33, access entry 222, response key 33, signature 64
//	Answer           request hash 32, grant 32, code 1, hour 4, size 8, root 32, signature 64, sealed share 4 + n
//	Acknowledgement  ledger 32, grant 32, keeper 33, end 1, hour 4, signature 64
//	Inquiry          ledger 32, keeper 33, grant 32, nonce 32, signature 64
//	InquiryAnswer    inquiry hash 32, size 8, root 32, number of refused requests 4, of those not in it 4, of acknowledgements 1, signature 64,
//	                 the refused requests (a request and its answer each), the acknowledgements
const (
	depositSize         = 32 + 32 + 33 + 33 + 64
	receiptSize         = 32 + 32 + 33 + 1 + 32 + 4 + 64
	requestSize         = 32 + 33 + contract.Size + 33 + 64
	answerSize          = 32 + 32 + 1 + 4 + 8 + 32 + 64
	AcknowledgementSize = 32 + 32 + 33 + 1 + 4 + 64 // bytes of an encoded Acknowledgement
	inquirySize         = 32 + 33 + 32 + 32 + 64

	maxPackage = 2 + 3*32 + 255*32 // a grant package with 255 share hashes
	maxSealed  = 1024              // an HPKE-sealed share has 114
	maxFiled   = 4096              // refused requests in an answer to an inquiry
)

// MessageError says that bytes are not the message they should be.
type MessageError struct {
	Message string // "deposit", "receipt", "request", "answer", "acknowledgement", "inquiry", "answer to an inquiry"
	Err     error
}

func (e *MessageError) Error() string { return "not a valid " + e.Message + ": " + e.Err.Error() }

func (e *MessageError) Unwrap() error { return e.Err }

var (
	errLength    = errors.New("length")
	errRange     = errors.New("value out of range")
	errSignature = errors.New("signature does not verify")
	errOther     = errors.New("for something else than what was asked")
)

// Marshal encodes d. The result holds the share: it is as secret as d.
func (d *Deposit) Marshal() []byte { return d.encode(true) }

func (d *Deposit) encode(signature bool) []byte {
	b := make([]byte, 0, depositSize+4+len(d.Package))
	b = append(b, d.Ledger[:]...)
	b = append(b, d.Grant[:]...)
	b = append(b, d.Keeper[:]...)
	share := d.Share.Bytes()
	b = append(b, share[:]...)
	if signature {
		b = append(b, d.Signature[:]...)
	}
	return appendSized(b, d.Package)
}

// ParseDeposit decodes one deposit.
func ParseDeposit(b []byte) (Deposit, error) {
	r := reader{b: b}
	var d Deposit
	r.take(d.Ledger[:])
	r.take(d.Grant[:])
	r.take(d.Keeper[:])
	var raw [33]byte
	r.take(raw[:])
	r.take(d.Signature[:])
	d.Package = r.takeSized(maxPackage)
	if r.err == nil {
		d.Share, r.err = crypto.ParseShare(raw[:])
	}
	if err := r.end("deposit"); err != nil {
		return Deposit{}, err
	}
	return d, nil
}

// Digest is what Signature signs.
func (d *Deposit) Digest() crypto.Hash { return crypto.TaggedHash(crypto.TagDeposit, d.encode(false)) }

// Sign signs with the grant's thread key.
func (d *Deposit) Sign(key *crypto.PrivateKey) { d.Signature = key.Sign(d.Digest()) }

// Verify checks that the deposit is signed by the grant's author.
func (d *Deposit) Verify(author crypto.PubKey) error {
	return verify("deposit", author, d.Digest(), d.Signature)
}

// Marshal encodes r.
func (r *Receipt) Marshal() []byte { return r.encode(true) }

func (r *Receipt) encode(signature bool) []byte {
	b := make([]byte, 0, receiptSize)
	b = append(b, r.Ledger[:]...)
	b = append(b, r.Grant[:]...)
	b = append(b, r.Keeper[:]...)
	b = append(b, r.Index)
	b = append(b, r.Share[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(r.Hour))
	if signature {
		b = append(b, r.Signature[:]...)
	}
	return b
}

// ParseReceipt decodes one receipt.
func ParseReceipt(b []byte) (Receipt, error) {
	rd := reader{b: b}
	var r Receipt
	rd.take(r.Ledger[:])
	rd.take(r.Grant[:])
	rd.take(r.Keeper[:])
	r.Index = rd.byte()
	rd.take(r.Share[:])
	r.Hour = contract.Hour(rd.uint32())
	rd.take(r.Signature[:])
	if rd.err == nil && r.Index == 0 {
		rd.err = errRange
	}
	if err := rd.end("receipt"); err != nil {
		return Receipt{}, err
	}
	return r, nil
}

// Digest is what Signature signs.
func (r *Receipt) Digest() crypto.Hash { return crypto.TaggedHash(crypto.TagReceipt, r.encode(false)) }

// Sign signs with the keeper's key.
func (r *Receipt) Sign(key *crypto.PrivateKey) { r.Signature = key.Sign(r.Digest()) }

// Verify checks that this is the receipt for d, signed by the keeper that d is
// for. author is the grant's.
func (r *Receipt) Verify(d *Deposit, author crypto.PubKey) error {
	if r.Ledger != d.Ledger || r.Grant != d.Grant || r.Keeper != d.Keeper ||
		r.Index != d.Share.Index || r.Share != d.Share.Hash(d.Ledger, author) {
		return &MessageError{Message: "receipt", Err: errOther}
	}
	return verify("receipt", r.Keeper, r.Digest(), r.Signature)
}

// Marshal encodes r.
func (r *Request) Marshal() []byte { return r.encode(true) }

func (r *Request) encode(signature bool) []byte {
	b := make([]byte, 0, requestSize)
	b = append(b, r.Ledger[:]...)
	b = append(b, r.Keeper[:]...)
	access := r.Access.Marshal()
	b = append(b, access[:]...)
	b = append(b, r.Response[:]...)
	if signature {
		b = append(b, r.Signature[:]...)
	}
	return b
}

// ParseRequest decodes one request.
func ParseRequest(b []byte) (Request, error) {
	rd := reader{b: b}
	var r Request
	var access [contract.Size]byte
	rd.take(r.Ledger[:])
	rd.take(r.Keeper[:])
	rd.take(access[:])
	rd.take(r.Response[:])
	rd.take(r.Signature[:])
	if rd.err == nil {
		r.Access, rd.err = contract.ParseEntry(access[:])
	}
	if err := rd.end("request"); err != nil {
		return Request{}, err
	}
	return r, nil
}

// Digest is what Signature signs.
func (r *Request) Digest() crypto.Hash { return crypto.TaggedHash(crypto.TagRequest, r.encode(false)) }

// Hash is the hash of the whole request, which names it in an Answer. It covers
// the signature: a keeper's word that a request is badly signed must not fit the
// same request with a good signature.
func (r *Request) Hash() crypto.Hash { return crypto.TaggedHash(crypto.TagRequestHash, r.encode(true)) }

// Sign signs with the one-time key that authored the access.
func (r *Request) Sign(signer interface {
	Sign(crypto.Hash) crypto.Signature
}) {
	r.Signature = signer.Sign(r.Digest())
}

// Verify checks that the request is signed by the author of its access.
func (r *Request) Verify() error {
	return verify("request", r.Access.Author, r.Digest(), r.Signature)
}

// Marshal encodes a.
func (a *Answer) Marshal() []byte { return a.encode(true) }

func (a *Answer) encode(signature bool) []byte {
	b := make([]byte, 0, answerSize+4+len(a.Sealed))
	b = append(b, a.Request[:]...)
	b = append(b, a.Grant[:]...)
	b = append(b, byte(a.Code))
	b = binary.BigEndian.AppendUint32(b, uint32(a.Hour))
	b = binary.BigEndian.AppendUint64(b, a.Size)
	b = append(b, a.Root[:]...)
	if signature {
		b = append(b, a.Signature[:]...)
	}
	return appendSized(b, a.Sealed)
}

// ParseAnswer decodes one answer. A sealed share is there if and only if the
// code is Released.
func ParseAnswer(b []byte) (Answer, error) {
	rd := reader{b: b}
	a := rd.answer()
	if err := rd.end("answer"); err != nil {
		return Answer{}, err
	}
	return a, nil
}

func (r *reader) answer() Answer {
	var a Answer
	r.take(a.Request[:])
	r.take(a.Grant[:])
	a.Code = Code(r.byte())
	a.Hour = contract.Hour(r.uint32())
	a.Size = r.uint64()
	r.take(a.Root[:])
	r.take(a.Signature[:])
	a.Sealed = r.takeSized(maxSealed)
	if r.err == nil && (a.Code > BadRequest || (a.Code == Released) != (len(a.Sealed) > 0)) {
		r.err = errRange
	}
	return a
}

// Digest is what Signature signs.
func (a *Answer) Digest() crypto.Hash { return crypto.TaggedHash(crypto.TagAnswer, a.encode(false)) }

// Sign signs with the keeper's key.
func (a *Answer) Sign(key *crypto.PrivateKey) { a.Signature = key.Sign(a.Digest()) }

// Verify checks that this is the answer to r, signed by keeper. (The request
// names ledger, keeper, access and response key, so the answer binds them all.)
func (a *Answer) Verify(r *Request, keeper crypto.PubKey) error {
	if a.Request != r.Hash() || a.Grant != r.Access.Subject {
		return &MessageError{Message: "answer", Err: errOther}
	}
	return verify("answer", keeper, a.Digest(), a.Signature)
}

// Marshal encodes a.
func (a *Acknowledgement) Marshal() []byte { return a.encode(true) }

func (a *Acknowledgement) encode(signature bool) []byte {
	b := make([]byte, 0, AcknowledgementSize)
	b = append(b, a.Ledger[:]...)
	b = append(b, a.Grant[:]...)
	b = append(b, a.Keeper[:]...)
	b = append(b, byte(a.End))
	b = binary.BigEndian.AppendUint32(b, uint32(a.Hour))
	if signature {
		b = append(b, a.Signature[:]...)
	}
	return b
}

// ParseAcknowledgement decodes one acknowledgement.
func ParseAcknowledgement(b []byte) (Acknowledgement, error) {
	rd := reader{b: b}
	var a Acknowledgement
	rd.take(a.Ledger[:])
	rd.take(a.Grant[:])
	rd.take(a.Keeper[:])
	a.End = End(rd.byte())
	a.Hour = contract.Hour(rd.uint32())
	rd.take(a.Signature[:])
	if rd.err == nil && a.End != Stopped && a.End != DestroyedShare {
		rd.err = errRange
	}
	if err := rd.end("acknowledgement"); err != nil {
		return Acknowledgement{}, err
	}
	return a, nil
}

// Digest is what Signature signs.
func (a *Acknowledgement) Digest() crypto.Hash {
	return crypto.TaggedHash(crypto.TagAcknowledgement, a.encode(false))
}

// Sign signs with the keeper's key.
func (a *Acknowledgement) Sign(key *crypto.PrivateKey) { a.Signature = key.Sign(a.Digest()) }

// Verify checks that keeper acknowledged the end of its share of grant on that
// ledger.
func (a *Acknowledgement) Verify(ledger crypto.LedgerID, grant contract.ID, keeper crypto.PubKey) error {
	if a.Ledger != ledger || a.Grant != grant || a.Keeper != keeper {
		return &MessageError{Message: "acknowledgement", Err: errOther}
	}
	return verify("acknowledgement", keeper, a.Digest(), a.Signature)
}

// Marshal encodes q.
func (q *Inquiry) Marshal() []byte { return q.encode(true) }

func (q *Inquiry) encode(signature bool) []byte {
	b := make([]byte, 0, inquirySize)
	b = append(b, q.Ledger[:]...)
	b = append(b, q.Keeper[:]...)
	b = append(b, q.Grant[:]...)
	b = append(b, q.Nonce[:]...)
	if signature {
		b = append(b, q.Signature[:]...)
	}
	return b
}

// ParseInquiry decodes one inquiry.
func ParseInquiry(b []byte) (Inquiry, error) {
	rd := reader{b: b}
	var q Inquiry
	rd.take(q.Ledger[:])
	rd.take(q.Keeper[:])
	rd.take(q.Grant[:])
	rd.take(q.Nonce[:])
	rd.take(q.Signature[:])
	if err := rd.end("inquiry"); err != nil {
		return Inquiry{}, err
	}
	return q, nil
}

// Digest is what Signature signs.
func (q *Inquiry) Digest() crypto.Hash { return crypto.TaggedHash(crypto.TagInquiry, q.encode(false)) }

// Hash is the hash of the whole inquiry, which names it in its answer.
func (q *Inquiry) Hash() crypto.Hash { return crypto.TaggedHash(crypto.TagInquiryHash, q.encode(true)) }

// Sign signs with the grant's thread key.
func (q *Inquiry) Sign(key *crypto.PrivateKey) { q.Signature = key.Sign(q.Digest()) }

// Verify checks that the inquiry is signed by the grant's author.
func (q *Inquiry) Verify(author crypto.PubKey) error {
	return verify("inquiry", author, q.Digest(), q.Signature)
}

// stateDigest is what is signed when only the state of a share is asked for, which
// the grant's counterparty may do too: a signature for one is none for the other.
func (q *Inquiry) stateDigest() crypto.Hash {
	return crypto.TaggedHash(crypto.TagStateInquiry, q.encode(false))
}

// SignState signs a question for Keeper.State, with the grant's thread key or the
// one-time key of its counterparty.
func (q *Inquiry) SignState(signer interface {
	Sign(crypto.Hash) crypto.Signature
}) {
	q.Signature = signer.Sign(q.stateDigest())
}

// VerifyState checks that the question is signed by one of the grant's two sides.
func (q *Inquiry) VerifyState(author, counterparty crypto.PubKey) error {
	d := q.stateDigest()
	if err := verify("inquiry", author, d, q.Signature); err == nil {
		return nil
	}
	return verify("inquiry", counterparty, d, q.Signature)
}

// Marshal encodes a.
func (a *InquiryAnswer) Marshal() []byte { return a.encode(true) }

func (a *InquiryAnswer) encode(signature bool) []byte {
	var b []byte
	b = append(b, a.Inquiry[:]...)
	b = binary.BigEndian.AppendUint64(b, a.Size)
	b = append(b, a.Root[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(a.Refused)))
	b = binary.BigEndian.AppendUint32(b, a.More)
	b = append(b, byte(len(a.Acks)))
	if signature {
		b = append(b, a.Signature[:]...)
	}
	for i := range a.Refused {
		b = append(b, a.Refused[i].Marshal()...)
	}
	for i := range a.Acks {
		b = append(b, a.Acks[i].Marshal()...)
	}
	return b
}

// ParseInquiryAnswer decodes one answer to an inquiry.
func ParseInquiryAnswer(b []byte) (InquiryAnswer, error) {
	const name = "answer to an inquiry"
	rd := reader{b: b}
	var a InquiryAnswer
	rd.take(a.Inquiry[:])
	a.Size = rd.uint64()
	rd.take(a.Root[:])
	refused := rd.uint32()
	a.More = rd.uint32()
	acks := rd.byte()
	rd.take(a.Signature[:])
	if rd.err == nil && refused > maxFiled {
		rd.err = errRange
	}
	for range refused {
		if rd.err != nil {
			break
		}
		var r Refused
		if r, rd.b, rd.err = ParseRefused(rd.b); rd.err == nil {
			a.Refused = append(a.Refused, r)
		}
	}
	for range acks {
		raw := rd.next(AcknowledgementSize)
		if rd.err != nil {
			break
		}
		var ack Acknowledgement
		if ack, rd.err = ParseAcknowledgement(raw); rd.err == nil {
			a.Acks = append(a.Acks, ack)
		}
	}
	if err := rd.end(name); err != nil {
		return InquiryAnswer{}, err
	}
	return a, nil
}

// Digest is what Signature signs: everything that is answered.
func (a *InquiryAnswer) Digest() crypto.Hash {
	return crypto.TaggedHash(crypto.TagInquiryAnswer, a.encode(false))
}

// Sign signs with the keeper's key.
func (a *InquiryAnswer) Sign(key *crypto.PrivateKey) { a.Signature = key.Sign(a.Digest()) }

// Verify checks that this is the answer to q, signed by the keeper that q is for,
// and that each refused request and each acknowledgement in it is of that grant
// and verifies. counterparty is the grant's: who alone can have asked.
func (a *InquiryAnswer) Verify(q *Inquiry, counterparty crypto.PubKey) error {
	const name = "answer to an inquiry"
	if a.Inquiry != q.Hash() {
		return &MessageError{Message: name, Err: errOther}
	}
	if err := verify(name, q.Keeper, a.Digest(), a.Signature); err != nil {
		return err
	}
	for i := range a.Refused {
		// The recipient signed the request and the keeper the answer: neither can
		// invent an attempt.
		r := &a.Refused[i]
		if r.Request.Access.Subject != q.Grant || r.Request.Access.Author != counterparty {
			return &MessageError{Message: "refused request", Err: errOther}
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

// Marshal encodes r: the request, then the answer.
func (r *Refused) Marshal() []byte { return append(r.Request.encode(true), r.Answer.encode(true)...) }

// ParseRefused decodes the first refused request in b and returns what follows
// it, since a keeper files them one behind the other.
func ParseRefused(b []byte) (r Refused, rest []byte, err error) {
	if len(b) < requestSize {
		return Refused{}, nil, &MessageError{Message: "refused request", Err: errLength}
	}
	if r.Request, err = ParseRequest(b[:requestSize]); err != nil {
		return Refused{}, nil, err
	}
	rd := reader{b: b[requestSize:]}
	r.Answer = rd.answer()
	if rd.err == nil && r.Answer.Code == Released {
		rd.err = errRange
	}
	if rd.err != nil {
		return Refused{}, nil, &MessageError{Message: "refused request", Err: rd.err}
	}
	return r, rd.b, nil
}

// Verify checks that r was asked by the author of its access, on that ledger, of
// that keeper, and refused by it.
func (r *Refused) Verify(ledger crypto.LedgerID, keeper crypto.PubKey) error {
	if r.Request.Ledger != ledger || r.Request.Keeper != keeper || r.Answer.Code == Released {
		return &MessageError{Message: "refused request", Err: errOther}
	}
	if err := r.Request.Verify(); err != nil {
		return err
	}
	return r.Answer.Verify(&r.Request, keeper)
}

func verify(message string, key crypto.PubKey, digest crypto.Hash, sig crypto.Signature) error {
	if !key.Verify(digest, sig) {
		return &MessageError{Message: message, Err: errSignature}
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

func appendSized(b, field []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(field)))
	return append(b, field...)
}

// reader takes fields off b. After the first error it yields zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) next(n int) []byte {
	if r.err == nil && len(r.b) < n {
		r.err = errLength
	}
	if r.err != nil {
		return nil
	}
	field := r.b[:n]
	r.b = r.b[n:]
	return field
}

func (r *reader) take(dst []byte) { copy(dst, r.next(len(dst))) }

func (r *reader) byte() byte {
	if b := r.next(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.next(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.next(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// takeSized takes a field behind its length, copied. An empty field is nil.
func (r *reader) takeSized(most int) []byte {
	n := r.uint32()
	if r.err == nil && n > uint32(most) {
		r.err = errRange
	}
	if r.err != nil || n == 0 {
		return nil
	}
	return append([]byte(nil), r.next(int(n))...)
}

func (r *reader) end(message string) error {
	if r.err == nil && len(r.b) > 0 {
		r.err = errLength
	}
	if r.err != nil {
		return &MessageError{Message: message, Err: r.err}
	}
	return nil
}
