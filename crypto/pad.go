package crypto

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
)

// padClass returns the smallest 4 KiB·4ⁱ that holds size bytes and their length.
func padClass(size int) int {
	class := 4 << 10
	for class < size+4 {
		class *= 4
	}
	return class
}

// pad returns length4 ‖ body ‖ zeros, as long as for a body of room bytes if that is
// longer.
func pad(body []byte, room int) []byte {
	b := make([]byte, padClass(max(len(body), room)))
	binary.BigEndian.PutUint32(b, uint32(len(body)))
	copy(b[4:], body)
	return b
}

// unpad returns the body, and false for anything that pad does not make.
func unpad(b []byte) ([]byte, bool) {
	if len(b) < 4 {
		return nil, false
	}
	size := binary.BigEndian.Uint32(b)
	if size > MaxPayload || int(size) > len(b)-4 || padClass(len(b)-4) != len(b) {
		return nil, false
	}
	rest := byte(0)
	for _, c := range b[4+size:] {
		rest |= c
	}
	return b[4 : 4+size : 4+size], rest == 0
}

// PadLength returns the padded length of a record's ciphertext of n bytes, 0 ≤ n ≤
// 2⁶²: Padmé (Nikitin et al., PETS 2019, section 4), but at least 4096. It adds at
// most 12 % and, above 4 KiB, leaves O(log log n) bits of the length visible.
func PadLength(n int64) int64 {
	if n < 0 || n > 1<<62 {
		panic("crypto: length out of range")
	}
	if n <= 4096 {
		return 4096
	}
	e := bits.Len64(uint64(n)) - 1 // ⌊log₂ n⌋
	s := bits.Len(uint(e))         // bits that number e needs
	mask := int64(1)<<(e-s) - 1
	return (n + mask) &^ mask
}

// Salt makes the hash of a blob tell nothing about its content. It is the first
// part of the blob.
type Salt [32]byte

// NewSalt returns a random salt.
func NewSalt() (s Salt) {
	rand.Read(s[:])
	return s
}

// Blob returns salt ‖ body: what a store holds.
func Blob(salt Salt, body []byte) []byte {
	return append(append(make([]byte, 0, len(salt)+len(body)), salt[:]...), body...)
}

// OpenBlob returns the body of a blob, which shares its memory. It returns a
// [ErrDamaged] when the blob is shorter than its salt.
func OpenBlob(blob []byte) ([]byte, error) {
	if len(blob) < len(Salt{}) {
		return nil, ErrDamaged.With("what", "blob")
	}
	return blob[len(Salt{}):], nil
}

// BlobHash returns the tagged hash of a whole blob, salt included.
func BlobHash(blob []byte) Hash { return TaggedHash(TagBlob, blob) }
