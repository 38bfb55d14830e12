package contract

import (
	"math"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
)

// GrantPackage is what a grant commits to. Terms and the locked envelope are
// blobs in a store; the shares are with the keepers.
type GrantPackage struct {
	K, N     uint8         // K of N shares give the lock key back; 1 ≤ K ≤ N = len(Shares)
	Terms    crypto.Hash   // crypto.BlobHash of the terms
	Envelope crypto.Hash   // crypto.BlobHash of the locked envelope
	Lock     crypto.Hash   // crypto.LockKey.Hash of the key that locks it
	Shares   []crypto.Hash // crypto.Share.Hash, in the order of the keepers
}

// Fields are the package's: k 1, n 1, terms 32, envelope 32, lock 32, then n shares of
// 32.
func (p *GrantPackage) Fields(c *codec.Codec) {
	codec.Int(c, &p.K)
	codec.Int(c, &p.N)
	c.Check(1 <= p.K && p.K <= p.N)
	c.Bytes(p.Terms[:], p.Envelope[:], p.Lock[:])
	codec.All(c, &p.Shares, int(p.N), int(p.N), func(c *codec.Codec, s *crypto.Hash) { c.Bytes(s[:]) })
}

// Marshal returns the package's bytes. Those of one whose numbers break the rules above
// are refused by ParseGrantPackage.
func (p *GrantPackage) Marshal() []byte { return codec.Append(nil, p.Fields) }

// Commitment returns what a grant with this package has as its commitment.
func (p *GrantPackage) Commitment() crypto.Hash {
	return crypto.TaggedHash(crypto.TagGrantPackage, p.Marshal())
}

// ParseGrantPackage reads a package. The error is an [ErrPackage].
func ParseGrantPackage(b []byte) (p GrantPackage, err error) {
	if err := codec.Parse(b, p.Fields); err != nil {
		return GrantPackage{}, ErrPackage.Of(err, "what", "grant package")
	}
	return p, nil
}

// RecordPackage is what a record, or a further version of it, commits to.
type RecordPackage struct {
	Metadata    crypto.Hash // crypto.BlobHash of the metadata
	ContentHead crypto.Hash // RFC 6962 tree head over the content's pieces of PieceSize
	ContentSize uint64      // length of the content in bytes, 1 … 2⁶³−1; the last piece may be shorter
}

// PieceSize is the size in bytes of the pieces of a record's content over which
// RecordPackage.ContentHead is computed.
const PieceSize = 1 << 20

// Fields are the package's: metadata 32, content head 32, size 8.
func (p *RecordPackage) Fields(c *codec.Codec) {
	c.Bytes(p.Metadata[:], p.ContentHead[:])
	codec.Int(c, &p.ContentSize)
	c.Check(1 <= p.ContentSize && p.ContentSize <= math.MaxInt64)
}

// Marshal returns the package's bytes.
func (p *RecordPackage) Marshal() []byte { return codec.Append(nil, p.Fields) }

// Commitment returns what a record entry with this package has as its
// commitment.
func (p *RecordPackage) Commitment() crypto.Hash {
	return crypto.TaggedHash(crypto.TagRecordPackage, p.Marshal())
}

// ParseRecordPackage reads a package. The error is an [ErrPackage].
func ParseRecordPackage(b []byte) (p RecordPackage, err error) {
	if err := codec.Parse(b, p.Fields); err != nil {
		return RecordPackage{}, ErrPackage.Of(err, "what", "record package")
	}
	return p, nil
}

// AccessCommitment returns what an access has as its commitment: it covers the
// crypto.BlobHash of its payload.
func AccessCommitment(blob crypto.Hash) crypto.Hash {
	return crypto.TaggedHash(crypto.TagAccessPackage, blob[:])
}
