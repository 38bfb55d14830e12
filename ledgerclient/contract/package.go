package contract

import (
	"encoding/binary"
	"math"

	"github.com/carekey/carekey/crypto"
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

const grantHead = 2 + 3*32

// Marshal returns the package's bytes: k 1, n 1, terms 32, envelope 32, lock 32,
// then n shares of 32. A package whose numbers break the rules above yields
// bytes that ParseGrantPackage refuses.
func (p *GrantPackage) Marshal() []byte {
	b := make([]byte, 0, grantHead+32*len(p.Shares))
	b = append(b, p.K, p.N)
	b = append(b, p.Terms[:]...)
	b = append(b, p.Envelope[:]...)
	b = append(b, p.Lock[:]...)
	for i := range p.Shares {
		b = append(b, p.Shares[i][:]...)
	}
	return b
}

// Commitment returns what a grant with this package has as its commitment.
func (p *GrantPackage) Commitment() crypto.Hash {
	return crypto.TaggedHash(crypto.TagGrantPackage, p.Marshal())
}

// ParseGrantPackage reads a package. The errors are [ErrSize] and
// [ErrPackage].
func ParseGrantPackage(b []byte) (GrantPackage, error) {
	if len(b) < grantHead || len(b) != grantHead+32*int(b[1]) {
		return GrantPackage{}, ErrSize.With("what", "grant package", "got", len(b))
	}
	p := GrantPackage{
		K: b[0], N: b[1],
		Terms:    crypto.Hash(b[2:34]),
		Envelope: crypto.Hash(b[34:66]),
		Lock:     crypto.Hash(b[66:98]),
		Shares:   make([]crypto.Hash, b[1]),
	}
	if p.K < 1 || p.K > p.N {
		return GrantPackage{}, ErrPackage.With("what", "threshold")
	}
	for i := range p.Shares {
		p.Shares[i] = crypto.Hash(b[grantHead+32*i:])
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

const recordPackageSize = 32 + 32 + 8

// Marshal returns the package's bytes: metadata 32, content head 32, size 8.
func (p *RecordPackage) Marshal() []byte {
	b := make([]byte, 0, recordPackageSize)
	b = append(b, p.Metadata[:]...)
	b = append(b, p.ContentHead[:]...)
	return binary.BigEndian.AppendUint64(b, p.ContentSize)
}

// Commitment returns what a record entry with this package has as its
// commitment.
func (p *RecordPackage) Commitment() crypto.Hash {
	return crypto.TaggedHash(crypto.TagRecordPackage, p.Marshal())
}

// ParseRecordPackage reads a package. The errors are [ErrSize] and
// [ErrPackage].
func ParseRecordPackage(b []byte) (RecordPackage, error) {
	if len(b) != recordPackageSize {
		return RecordPackage{}, ErrSize.With("what", "record package", "got", len(b))
	}
	p := RecordPackage{
		Metadata:    crypto.Hash(b[:32]),
		ContentHead: crypto.Hash(b[32:64]),
		ContentSize: binary.BigEndian.Uint64(b[64:]),
	}
	if p.ContentSize < 1 || p.ContentSize > math.MaxInt64 {
		return RecordPackage{}, ErrPackage.With("what", "content size")
	}
	return p, nil
}

// AccessCommitment returns what an access has as its commitment: it covers the
// crypto.BlobHash of its payload.
func AccessCommitment(blob crypto.Hash) crypto.Hash {
	return crypto.TaggedHash(crypto.TagAccessPackage, blob[:])
}
