package ledgerclient

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// samples are one real message of each kind, signed by the keys they need.
type samples struct {
	ledger                  crypto.LedgerID
	author, partner, keeper *crypto.PrivateKey
	share                   crypto.Share
	deposit                 Deposit
	receipt                 Receipt
	request                 Request
	release, refusal        Answer
	ack                     Acknowledgement
	inquiry                 Inquiry
	refused                 Refused
	filed                   InquiryAnswer
}

func newSamples(t testing.TB) *samples {
	t.Helper()
	s := &samples{author: crypto.GenerateKey(), partner: crypto.GenerateKey(), keeper: crypto.GenerateKey()}
	rand.Read(s.ledger[:])
	shares, err := crypto.NewEntropy().Root().Seed(s.ledger, crypto.NewNonce()).Shares(2, 3)
	if err != nil {
		t.Fatal(err)
	}
	s.share = shares[1]
	pkg := contract.GrantPackage{K: 2, N: 3}
	for _, sh := range shares {
		pkg.Shares = append(pkg.Shares, sh.Hash(s.ledger, s.author.Public()))
	}
	grant := contract.Entry{
		Version: contract.Version, Kind: contract.KindGrant, Author: s.author.Public(),
		Counterparty: s.partner.Public(), NotAfter: 500_000, Commitment: pkg.Commitment(),
	}
	if err := grant.Sign(s.ledger, s.author); err != nil {
		t.Fatal(err)
	}
	id := grant.ID(s.ledger)
	access := contract.Entry{
		Version: contract.Version, Kind: contract.KindAccess, Author: s.partner.Public(), Subject: id,
		NotBefore: 480_000, NotAfter: 480_048, Commitment: crypto.TaggedHash("carekey/v1/test"),
	}
	if err := access.Sign(s.ledger, s.partner); err != nil {
		t.Fatal(err)
	}
	s.deposit = Deposit{Ledger: s.ledger, Grant: id, Keeper: s.keeper.Public(), Share: s.share, Package: pkg.Marshal()}
	Sign(&s.deposit, s.author)
	s.receipt = Receipt{
		Ledger: s.ledger, Grant: id, Keeper: s.keeper.Public(), Index: s.share.Index,
		Share: s.share.Hash(s.ledger, s.author.Public()), Hour: 480_001,
	}
	Sign(&s.receipt, s.keeper)
	response := crypto.GenerateKey()
	s.request = Request{Ledger: s.ledger, Keeper: s.keeper.Public(), Access: access, Response: response.Public()}
	Sign(&s.request, s.partner)
	s.release = Answer{Request: s.request.Hash(), Grant: id, Code: Released, Hour: 480_002, Size: 17, Root: crypto.Hash{1}}
	sealed, err := crypto.SealShare(crypto.ShareContext{Ledger: s.ledger, Grant: id, Keeper: s.keeper.Public(), Access: access.ID(s.ledger)}, s.share, response.Public())
	if err != nil {
		t.Fatal(err)
	}
	s.release.Sealed = sealed
	Sign(&s.release, s.keeper)
	s.refusal = Answer{Request: s.request.Hash(), Grant: id, Code: Revoked, Hour: 480_002, Size: 17, Root: crypto.Hash{1}}
	Sign(&s.refusal, s.keeper)
	s.ack = Acknowledgement{Ledger: s.ledger, Grant: id, Keeper: s.keeper.Public(), End: DestroyedShare, Hour: 480_003}
	Sign(&s.ack, s.keeper)
	s.inquiry = Inquiry{Ledger: s.ledger, Keeper: s.keeper.Public(), Grant: id, Nonce: [32]byte{1}}
	Sign(&s.inquiry, s.author)
	s.refused = Refused{Request: s.request, Answer: s.refusal}
	s.filed = InquiryAnswer{Inquiry: s.inquiry.Hash(), Size: 17, Root: crypto.Hash{1}, Refused: []Refused{s.refused}, More: 3, Acks: []Acknowledgement{s.ack}}
	Sign(&s.filed, s.keeper)
	return s
}

// sample is one kind of message: its bytes, and a parser that gives the bytes of
// what it parsed and the error of verifying that in the place of the sample.
type sample struct {
	name  string
	bytes []byte
	parse func([]byte) (again []byte, verified error, err error)
}

func (s *samples) codecs() []sample {
	a := s.author.Public()
	return []sample{
		{"deposit", Marshal(&s.deposit), func(b []byte) ([]byte, error, error) {
			m, err := Parse[Deposit](b)
			if err != nil {
				return nil, nil, err
			}
			return Marshal(&m), m.Verify(a), nil
		}},
		{"receipt", Marshal(&s.receipt), func(b []byte) ([]byte, error, error) {
			m, err := Parse[Receipt](b)
			return Marshal(&m), m.Verify(&s.deposit, a), err
		}},
		{"request", Marshal(&s.request), func(b []byte) ([]byte, error, error) {
			m, err := Parse[Request](b)
			return Marshal(&m), m.Verify(), err
		}},
		{"release", Marshal(&s.release), func(b []byte) ([]byte, error, error) {
			m, err := Parse[Answer](b)
			return Marshal(&m), m.Verify(&s.request, s.keeper.Public()), err
		}},
		{"refusal", Marshal(&s.refusal), func(b []byte) ([]byte, error, error) {
			m, err := Parse[Answer](b)
			return Marshal(&m), m.Verify(&s.request, s.keeper.Public()), err
		}},
		{"acknowledgement", Marshal(&s.ack), func(b []byte) ([]byte, error, error) {
			m, err := Parse[Acknowledgement](b)
			return Marshal(&m), m.Verify(s.ledger, s.deposit.Grant, s.keeper.Public()), err
		}},
		{"inquiry", Marshal(&s.inquiry), func(b []byte) ([]byte, error, error) {
			m, err := Parse[Inquiry](b)
			return Marshal(&m), m.Verify(a), err
		}},
		{"answer to an inquiry", Marshal(&s.filed), func(b []byte) ([]byte, error, error) {
			m, err := Parse[InquiryAnswer](b)
			return Marshal(&m), m.Verify(&s.inquiry, s.partner.Public()), err
		}},
		{"refused request", s.refused.Marshal(), func(b []byte) ([]byte, error, error) {
			m, rest, err := ParseRefused(b)
			if err == nil && len(rest) > 0 {
				err = codec.ErrLength
			}
			return m.Marshal(), m.Verify(s.ledger, s.keeper.Public()), err
		}},
	}
}

func TestMessagesRoundTrip(t *testing.T) {
	for _, c := range newSamples(t).codecs() {
		again, verified, err := c.parse(c.bytes)
		if err != nil || verified != nil {
			t.Errorf("%s: parse %v, verify %v", c.name, err, verified)
		}
		if !bytes.Equal(again, c.bytes) {
			t.Errorf("%s does not re-encode identically", c.name)
		}
	}
}

// Every byte of a message is under its signature or is the signature: a message
// with any bit changed is refused by the parser or does not verify.
func TestMessagesMangled(t *testing.T) {
	lane.OneGoroutine(t)
	for _, c := range newSamples(t).codecs() {
		for i := range c.bytes {
			b := bytes.Clone(c.bytes)
			b[i] ^= 1 << (i % 8)
			if _, verified, err := c.parse(b); err == nil && verified == nil {
				t.Errorf("%s verifies with byte %d of %d changed", c.name, i, len(b))
			}
		}
		for n := range c.bytes {
			if _, _, err := c.parse(c.bytes[:n]); err == nil {
				t.Errorf("%s parses with %d of %d bytes", c.name, n, len(c.bytes))
			}
		}
		if _, _, err := c.parse(append(bytes.Clone(c.bytes), 0)); err == nil {
			t.Errorf("%s parses with a byte behind it", c.name)
		}
	}
}

// A signature made for one kind of message is worthless for another, even where
// the signed bytes could be made to agree.
func TestMessageDigestsAreSeparate(t *testing.T) {
	s := newSamples(t)
	digests := map[crypto.Hash]string{}
	for name, d := range map[string]crypto.Hash{
		"deposit": digestOf(&s.deposit), "receipt": digestOf(&s.receipt), "request": digestOf(&s.request),
		"request hash": s.request.Hash(), "release": digestOf(&s.release), "refusal": digestOf(&s.refusal),
		"acknowledgement": digestOf(&s.ack), "inquiry": digestOf(&s.inquiry),
		"inquiry hash": s.inquiry.Hash(), "answer to an inquiry": digestOf(&s.filed),
	} {
		if other, ok := digests[d]; ok {
			t.Errorf("%s and %s are signed alike", name, other)
		}
		digests[d] = name
	}
	// A keeper's word about a badly signed request must not fit the good one.
	bad := s.request
	bad.Signature[0] ^= 1
	if digestOf(&bad) != digestOf(&s.request) || bad.Hash() == s.request.Hash() {
		t.Error("the hash of a request must cover its signature, its digest must not")
	}
}

func TestMessagesForSomethingElse(t *testing.T) {
	s := newSamples(t)
	a, k := s.author.Public(), s.keeper.Public()
	stranger := crypto.GenerateKey().Public()
	other := newSamples(t)
	for name, err := range map[string]error{
		"deposit of another author":             s.deposit.Verify(stranger),
		"receipt for another deposit":           s.receipt.Verify(&other.deposit, a),
		"receipt for another author's share":    s.receipt.Verify(&s.deposit, stranger),
		"answer to another request":             s.refusal.Verify(&other.request, k),
		"answer of another keeper":              s.refusal.Verify(&s.request, stranger),
		"acknowledgement of another ledger":     s.ack.Verify(other.ledger, s.deposit.Grant, k),
		"acknowledgement of another grant":      s.ack.Verify(s.ledger, other.deposit.Grant, k),
		"acknowledgement of another keeper":     s.ack.Verify(s.ledger, s.deposit.Grant, stranger),
		"inquiry of another author":             s.inquiry.Verify(stranger),
		"answer to another inquiry":             s.filed.Verify(&other.inquiry, s.partner.Public()),
		"refused request of another recipient":  s.filed.Verify(&s.inquiry, stranger),
		"refused request of another ledger":     s.refused.Verify(other.ledger, k),
		"refused request of another keeper":     s.refused.Verify(s.ledger, stranger),
		"release filed as a refusal":            (&Refused{s.request, s.release}).Verify(s.ledger, k),
		"refusal filed under another's request": (&Refused{other.request, s.refusal}).Verify(other.ledger, other.keeper.Public()),
	} {
		if !errors.Is(err, ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnswersOutOfRange(t *testing.T) {
	s := newSamples(t)
	a := s.refusal
	a.Sealed = s.release.Sealed
	if _, err := Parse[Answer](Marshal(&a)); err == nil {
		t.Error("a refusal with a share parses")
	}
	a = s.release
	a.Sealed = nil
	if _, err := Parse[Answer](Marshal(&a)); err == nil {
		t.Error("a release without a share parses")
	}
	a = s.refusal
	a.Code = BadRequest + 1
	if _, err := Parse[Answer](Marshal(&a)); err == nil {
		t.Error("an unknown code parses")
	}
	if _, _, err := ParseRefused((&Refused{s.request, s.release}).Marshal()); err == nil {
		t.Error("a release parses as a refused request")
	}
	k := s.ack
	for _, end := range []End{0, 3} {
		k.End = end
		if _, err := Parse[Acknowledgement](Marshal(&k)); err == nil {
			t.Errorf("end %d parses", end)
		}
	}
	r := s.receipt
	r.Index = 0
	if _, err := Parse[Receipt](Marshal(&r)); err == nil {
		t.Error("a receipt for share 0 parses")
	}
	d := s.deposit
	d.Package = make([]byte, maxPackage+1)
	if _, err := Parse[Deposit](Marshal(&d)); err == nil {
		t.Error("a deposit with an endless package parses")
	}
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for c := Released; c <= BadRequest; c++ {
		if s := c.String(); s == "" || seen[s] {
			t.Errorf("code %d is called %q", c, s)
		} else {
			seen[s] = true
		}
	}
	if s := Code(200).String(); s != "code-200" {
		t.Errorf("unknown code is called %q", s)
	}
	if Stopped.String() != "stopped" || DestroyedShare.String() != "destroyed" || End(9).String() != "end-9" {
		t.Error("names of ends")
	}
	for p := PartMetadata; p <= PartAccess; p++ {
		if s := p.String(); seen[s] {
			t.Errorf("part %d is called %q", p, s)
		} else {
			seen[s] = true
		}
	}
	if s := Part(0).String(); s != "part-0" {
		t.Errorf("unknown part is called %q", s)
	}
}

func TestBatchError(t *testing.T) {
	refused := &KeeperError{Code: Revoked}
	err := error(&BatchError{Errs: []error{nil, refused, nil}})
	var k *KeeperError
	if !errors.As(err, &k) || k.Code != Revoked {
		t.Errorf("%v does not unwrap to the refusal", err)
	}
	if got := err.Error(); got != "1 of 3 refused, the first: refused by the keeper: revoked" {
		t.Errorf("message %q", got)
	}
}

// fuzz checks the malleability property of a parser: what parses re-encodes
// identically.
func fuzz(f *testing.F, names ...string) {
	var parsers []sample
	for _, c := range newSamples(f).codecs() {
		for _, name := range names {
			if c.name == name {
				f.Add(c.bytes)
				f.Add(c.bytes[:len(c.bytes)-1])
				parsers = append(parsers, c)
			}
		}
	}
	if len(parsers) != len(names) {
		f.Fatalf("%d of %d seeds", len(parsers), len(names))
	}
	parse := parsers[0].parse
	f.Fuzz(func(t *testing.T, b []byte) {
		again, _, err := parse(b)
		if err == nil && !bytes.Equal(again, b) {
			t.Errorf("%x parses and re-encodes as %x", b, again)
		}
	})
}

func FuzzDeposit(f *testing.F)         { fuzz(f, "deposit") }
func FuzzReceipt(f *testing.F)         { fuzz(f, "receipt") }
func FuzzRequest(f *testing.F)         { fuzz(f, "request") }
func FuzzAnswer(f *testing.F)          { fuzz(f, "release", "refusal") }
func FuzzAcknowledgement(f *testing.F) { fuzz(f, "acknowledgement") }
func FuzzInquiry(f *testing.F)         { fuzz(f, "inquiry") }
func FuzzInquiryAnswer(f *testing.F)   { fuzz(f, "answer to an inquiry") }
func FuzzRefused(f *testing.F)         { fuzz(f, "refused request") }
