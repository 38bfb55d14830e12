package crypto

import (
	"crypto/hkdf"
	"crypto/sha256"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// prk is an HKDF pseudo-random key: a secret after HKDF-Extract.
type prk []byte

// extract is HKDF-SHA256-Extract with no salt (RFC 5869 section 2.2).
func extract(secret []byte) (k prk) {
	var err error
	Scrub(func() { k, err = hkdf.Extract(sha256.New, secret, nil) })
	if err != nil {
		panic("crypto: " + err.Error()) // can't happen: only FIPS 140 mode refuses, short keys
	}
	return k
}

// expand is HKDF-SHA256-Expand to 32 bytes with info = tag ‖ 0x00 ‖ context….
func (k prk) expand(tag Tag, context ...[]byte) (out []byte) {
	var err error
	Scrub(func() { out, err = hkdf.Expand(sha256.New, k, string(info(tag, context...)), 32) })
	if err != nil {
		panic("crypto: " + err.Error()) // can't happen: it is no more than 255·32 bytes
	}
	return out
}

// scalar is expandScalar.
func (k prk) scalar(tag Tag, context ...[]byte) *secp256k1.ModNScalar {
	return expandScalar(k, tag, context...)
}

// expander is a pseudo-random key, wherever it is.
type expander interface {
	expand(tag Tag, context ...[]byte) []byte
}

// expandScalar is expand with a counter byte 0, 1, … at the end of the
// context, until the value is in [1, n-1]. Nothing is reduced.
func expandScalar(k expander, tag Tag, context ...[]byte) *secp256k1.ModNScalar {
	context = append(context[:len(context):len(context)], nil)
	for counter := byte(0); ; counter++ {
		context[len(context)-1] = []byte{counter}
		b := k.expand(tag, context...)
		d, ok := parseScalar(b)
		clear(b)
		if ok {
			return d
		}
	}
}

func derive(secret []byte, tag Tag, context ...[]byte) []byte {
	k := extract(secret)
	defer clear(k)
	return k.expand(tag, context...)
}

func deriveScalar(secret []byte, tag Tag, context ...[]byte) *secp256k1.ModNScalar {
	k := extract(secret)
	defer clear(k)
	return k.scalar(tag, context...)
}

// info is the info of HKDF and of HPKE: tag ‖ 0x00 ‖ context….
func info(tag Tag, context ...[]byte) []byte {
	b := make([]byte, 0, 256)
	b = append(append(b, tag...), 0)
	for _, c := range context {
		b = append(b, c...)
	}
	return b
}
