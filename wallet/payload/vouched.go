package payload

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Vouched is what an issuer signed of a file. A recipient of the whole has Salt and Detail,
// one of parts neither; Salts only the issuer and the owner.
type Vouched struct {
	Statement string      `json:"statement"` // JSON, the bytes that were signed
	Signature Signature   `json:"signature"`
	Salt      crypto.Hash `json:"salt,omitzero"`
	Detail    string      `json:"detail,omitempty"` // JSON
	Salts     *Salts      `json:"salts,omitzero"`
}

// Signature is a signature as text in a payload.
type Signature crypto.Signature

func (s Signature) MarshalText() ([]byte, error)  { return hexText(s[:]), nil }
func (s *Signature) UnmarshalText(b []byte) error { return unhexText(s[:], b) }

// Statement is what is said of a file to everybody who has any of it.
type Statement struct {
	V      int            `json:"v"`
	Issuer crypto.Address `json:"issuer"`
	Root   crypto.Hash    `json:"root,omitzero"`   // over the file's parts; zero if it has none
	Split  int            `json:"split,omitempty"` // version of the cut, with Root
	Hour   contract.Hour  `json:"hour"`            // when it was signed, as the issuer says
	Serial Serial         `json:"serial"`          // random
	Detail crypto.Hash    `json:"detail"`
}

// Detail is what is said only to who has the whole file.
type Detail struct {
	V      int             `json:"v"`
	Size   int64           `json:"size"`
	SHA256 crypto.Hash     `json:"sha256"`
	Title  string          `json:"title"`
	About  *crypto.Address `json:"about,omitempty"` // whom the issuer says that it is about
}

// Serial is a statement's own number, by which its issuer can name it.
type Serial [16]byte

func (s Serial) MarshalText() ([]byte, error)  { return hexText(s[:]), nil }
func (s *Serial) UnmarshalText(b []byte) error { return unhexText(s[:], b) }
func (s Serial) String() string                { return hex.EncodeToString(s[:]) }

// ErrAttestation: what is said to be signed is not what the issuer signed. why
const ErrAttestation fault.Code = "attestation"

func notSigned(why string) error { return ErrAttestation.With("why", why) }

// AttestDigest is what an issuer with the address's key S signs.
func AttestDigest(s crypto.PubKey, statement []byte) crypto.Hash {
	return crypto.TaggedHash(crypto.TagAttest, s[:], statement)
}

// DetailHash is what a statement names its detail by.
func DetailHash(salt crypto.Hash, detail []byte) crypto.Hash {
	return crypto.TaggedHash(crypto.TagAttestDetail, salt[:], detail)
}

// Read checks a statement's signature, and that the detail is its own; nil if there is none.
// That they are of a file is for who has it. An [ErrVersion] is of a newer program.
func (v *Vouched) Read() (*Statement, *Detail, error) {
	st, d, err := v.Kept()
	if err == nil && !st.Issuer.Sign.Verify(AttestDigest(st.Issuer.Sign, []byte(v.Statement)), crypto.Signature(v.Signature)) {
		return nil, nil, notSigned("the signature is not the issuer's")
	}
	return st, d, err
}

// Kept is what Read returns of what it was asked about before it was kept: the signature,
// which takes longer than all else of a list's row, is not checked again.
func (v *Vouched) Kept() (*Statement, *Detail, error) {
	st, err := parseSigned[Statement](v.Statement)
	if err != nil {
		return nil, nil, err
	}
	if st.Root.IsZero() != (st.Split == 0) || st.Split < 0 {
		return nil, nil, notSigned("the statement is not one that an issuer makes")
	}
	if v.Detail == "" && v.Salt.IsZero() {
		return st, nil, nil
	}
	if DetailHash(v.Salt, []byte(v.Detail)) != st.Detail {
		return nil, nil, notSigned("its detail is not the one that was signed")
	}
	d, err := parseSigned[Detail](v.Detail)
	if err == nil && (d.Size < 0 || !TitleFits(d.Title)) {
		err = notSigned("its detail is out of range")
	}
	return st, d, err
}

func parseSigned[T any](text string) (*T, error) {
	if len(text) > maxVouched {
		return nil, notSigned("it is too large")
	}
	v, err := Parse[T]([]byte(text))
	if err != nil && !errors.Is(err, ErrVersion) {
		err = notSigned(err.Error())
	}
	return v, err
}

// ForParts is what goes with parts that have a root; nil if the statement is not of them.
func (v *Vouched) ForParts(root crypto.Hash) *Vouched {
	if v == nil {
		return nil
	}
	if st, err := parseSigned[Statement](v.Statement); err != nil || st.Root != root {
		return nil
	}
	return &Vouched{Statement: v.Statement, Signature: v.Signature}
}

// ForWhole is what goes with the whole file.
func (v *Vouched) ForWhole() *Vouched {
	if v == nil {
		return nil
	}
	whole := *v
	whole.Salts = nil
	return &whole
}

const maxVouched = 4 << 10 // bytes of a statement, or of a detail

// inRange reports whether it has what it has to: the detail, or not; never salts.
func (v *Vouched) inRange(whole bool) bool {
	return v == nil || v.Salts == nil && len(v.Statement) <= maxVouched && len(v.Detail) <= maxVouched && (v.Detail != "") == whole && (v.Salt != crypto.Hash{}) == whole
}

// Attestation is the file that goes beside one that an issuer signed.
type Attestation struct {
	V       int     `json:"v"`
	Vouched Vouched `json:"vouched"`
	Proof   *Proof  `json:"proof,omitempty"` // of a Bundle of parts that were granted
}

// Proof shows that a Bundle is of parts that a statement's root is over.
type Proof struct {
	Leaves Leaves      `json:"leaves"`
	Parts  []ProofPart `json:"parts"` // by the Bundle's entries
}

// ProofPart is what a Bundle's entry does not show of the parts that it is made of.
type ProofPart struct {
	Salt   crypto.Hash `json:"salt,omitzero"` // of the resource's part; zero for a narrative alone
	Before *string     `json:"before,omitempty"`
	After  *string     `json:"after,omitempty"`
	Text   crypto.Hash `json:"text,omitzero"` // of the narrative's part
	Of     crypto.Hash `json:"of,omitzero"`   // what that begins with, of a narrative alone
}

// Leaves are those of a frame, in base64.
type Leaves []crypto.Hash

// MarshalText returns the text form.
func (l Leaves) MarshalText() ([]byte, error) {
	b := make([]byte, 0, len(l)*len(crypto.Hash{}))
	for i := range l {
		b = append(b, l[i][:]...)
	}
	return base64.RawStdEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText accepts exactly what MarshalText writes.
func (l *Leaves) UnmarshalText(text []byte) error {
	b, err := base64.RawStdEncoding.Strict().AppendDecode(nil, text)
	if err != nil || len(b)%len(crypto.Hash{}) != 0 || base64.RawStdEncoding.EncodedLen(len(b)) != len(text) {
		return fmt.Errorf("not hashes in base64")
	}
	*l = make(Leaves, len(b)/len(crypto.Hash{}))
	for i := range *l {
		(*l)[i] = crypto.Hash(b[i*len(crypto.Hash{}):])
	}
	return nil
}

// MaxVouched is the most bytes of an attestation file without a proof, as an issuer makes it.
const MaxVouched = 32 << 10

// MaxAttestation is the most bytes of an attestation file: what stands before and behind the
// resources of a file that is split, and [crypto.MaxParts] salts and leaves.
const MaxAttestation = 64 << 20

// ParseAttestation reads an attestation file, with the LF at its end.
func ParseAttestation(b []byte) (*Attestation, error) {
	if len(b) > MaxAttestation {
		return nil, notSigned("it is too large")
	}
	b, whole := bytes.CutSuffix(b, []byte("\n"))
	if !whole {
		return nil, notSigned("it is cut short")
	}
	a, err := Parse[Attestation](b)
	if err != nil {
		if !errors.Is(err, ErrVersion) {
			err = notSigned("it is no attestation")
		}
		return nil, err
	}
	if a.Proof != nil && (crypto.Slots(len(a.Proof.Leaves)) != len(a.Proof.Leaves) || len(a.Proof.Parts) == 0) {
		return nil, notSigned("its proof is not one that carekey makes")
	}
	return a, nil
}
