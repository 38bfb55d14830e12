package ledgerclient

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/carekey/carekey/crypto"
)

// A node signs each checkpoint twice with its checkpoint key: once as an ordinary
// note signature, for good, and once with the time, as a C2SP cosignature/v1
// (https://c2sp.org/tlog-cosignature), again and again. The second says that at
// that time the log had no larger head, so that a head that is kept back shows its
// age. Both signatures may be made with one key: what they sign differs in its
// first line.

const (
	plainType       = 1             // C2SP signed-note: Ed25519
	cosignatureType = 4             // the same: Ed25519 cosignature/v1
	cosignatureSize = 4 + 8 + 64    // key id, seconds since 1970, signature
	maxTimestamp    = math.MaxInt64 // C2SP tlog-cosignature
)

// TimeName is the key name of the timestamped signature of a ledger's node.
func TimeName(id crypto.LedgerID) string { return Origin(id) + "/time" }

// TimeVerifier checks timestamped signatures of one key; a note.Verifier.
type TimeVerifier struct {
	name string
	hash uint32
	key  [32]byte
}

// NewTimeVerifier returns the verifier of the key of that name.
func NewTimeVerifier(name string, key [32]byte) TimeVerifier {
	return TimeVerifier{name: name, hash: keyID(name, cosignatureType, key), key: key}
}

// keyID is the 32-bit id of a key that makes signatures of a type (C2SP signed-note).
func keyID(name string, kind byte, key [32]byte) uint32 {
	sum := sha256.Sum256(append(append([]byte(name), '\n', kind), key[:]...))
	return binary.BigEndian.Uint32(sum[:])
}

// Name is the key's name.
func (v TimeVerifier) Name() string { return v.name }

// KeyHash is the key's id.
func (v TimeVerifier) KeyHash() uint32 { return v.hash }

// Verify checks a signature, which is a time and an Ed25519 signature.
func (v TimeVerifier) Verify(text, sig []byte) bool {
	if len(sig) != cosignatureSize-4 {
		return false
	}
	seconds := binary.BigEndian.Uint64(sig)
	return seconds <= maxTimestamp && ed25519.Verify(v.key[:], timedText(seconds, text), sig[8:])
}

// TimeSigner makes timestamped signatures; a note.Signer.
type TimeSigner struct {
	TimeVerifier
	Key  ed25519.PrivateKey
	Time time.Time // not before 1970
}

// Sign signs the text of a note at s.Time.
func (s TimeSigner) Sign(text []byte) ([]byte, error) {
	if s.Time.Unix() < 0 {
		return nil, fmt.Errorf("time before 1970")
	}
	seconds := uint64(s.Time.Unix())
	return append(binary.BigEndian.AppendUint64(nil, seconds), ed25519.Sign(s.Key, timedText(seconds, text))...), nil
}

// timedText is what a timestamped signature signs.
func timedText(seconds uint64, text []byte) []byte {
	return append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", seconds), text...)
}
