package crypto

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"

	"golang.org/x/crypto/chacha20poly1305"
)

// HPKE (RFC 9180), base mode, single shot: KEM 0x0016 = DHKEM(secp256k1,
// HKDF-SHA256) with 65-byte uncompressed points and the x coordinate as the
// Diffie-Hellman output (IANA, draft-wahby-cfrg-hpke-kem-secp256k1-01), KDF 0x0001
// = HKDF-SHA256, AEAD 0x0003 = ChaCha20-Poly1305. The standard library's
// crypto/hpke takes no KEM from outside.

const (
	hpkeEncSize = 65
	hpkeTagSize = chacha20poly1305.Overhead
)

// labeled is LabeledExtract and LabeledExpand for one suite id.
type labeled []byte

var hpkeKEM = labeled("KEM\x00\x16")

func (suite labeled) extract(salt []byte, label string, ikm []byte) []byte {
	b := make([]byte, 0, 256)
	b = append(append(append(append(b, "HPKE-v1"...), suite...), label...), ikm...)
	k, err := hkdf.Extract(sha256.New, b, salt)
	if err != nil {
		panic("crypto: " + err.Error()) // can't happen, see extract
	}
	return k
}

func (suite labeled) expand(prk []byte, label string, info []byte, size int) []byte {
	b := make([]byte, 0, 256)
	b = binary.BigEndian.AppendUint16(b, uint16(size))
	b = append(append(append(append(b, "HPKE-v1"...), suite...), label...), info...)
	out, err := hkdf.Expand(sha256.New, prk, string(b), size)
	if err != nil {
		panic("crypto: " + err.Error()) // can't happen: size is at most 64
	}
	return out
}

// hpkeSharedSecret is ExtractAndExpand of RFC 9180 section 4.1.
func hpkeSharedSecret(dh, enc, pkR []byte) []byte {
	context := append(append(make([]byte, 0, 2*hpkeEncSize), enc...), pkR...)
	return hpkeKEM.expand(hpkeKEM.extract(nil, "eae_prk", dh), "shared_secret", context, 32)
}

// hpkeEncap is Encap with the given ephemeral scalar.
func hpkeEncap(to *knownPoint, ephemeral *scalar) (secret []byte, enc [hpkeEncSize]byte, err error) {
	e := multiplyBase(ephemeral, false)
	var z point
	to.multiply(ephemeral, &z)
	if isInfinity(&e) || isInfinity(&z) {
		return nil, enc, errPoint
	}
	affine(&e, &z)
	enc = raw(&e)
	dh, pk := z.X.Bytes(), raw(&to.q)
	defer clear(dh[:])
	return hpkeSharedSecret(dh[:], enc[:], pk[:]), enc, nil
}

// hpkeDecap is Decap, blinded for every key: the other side chooses the point.
func hpkeDecap(k *PrivateKey, enc []byte) ([]byte, error) {
	e, err := parseRaw(enc)
	if err != nil {
		return nil, err
	}
	dh, err := ecdh(&k.secret().d, &e, true)
	if err != nil {
		return nil, err
	}
	defer clear(dh[:])
	return hpkeSharedSecret(dh[:], enc, k.public().raw[:]), nil
}

// hpkeKeys are the outputs of the key schedule.
type hpkeKeys struct{ key, nonce, exporter []byte }

// hpkeSchedule is KeySchedule of RFC 9180 section 5.1 in base mode for an AEAD and
// the size of its key. Only ChaCha20-Poly1305 is used; published vectors have
// others.
func hpkeSchedule(secret, info []byte, aead uint16, keySize int) hpkeKeys {
	suite := binary.BigEndian.AppendUint16(labeled("HPKE\x00\x16\x00\x01"), aead)
	s := labeled(suite)
	context := make([]byte, 1, 65) // mode 0
	context = append(context, s.extract(nil, "psk_id_hash", nil)...)
	context = append(context, s.extract(nil, "info_hash", info)...)
	prk := s.extract(secret, "secret", nil)
	keys := hpkeKeys{exporter: s.expand(prk, "exp", context, 32)}
	if keySize > 0 {
		keys.key = s.expand(prk, "key", context, keySize)
		keys.nonce = s.expand(prk, "base_nonce", context, 12)
	}
	return keys
}

// hpkeSeal seals one message to a public key, with no associated data. The
// ciphertext is 16 bytes longer.
func hpkeSeal(to PubKey, info, plaintext []byte) (enc [hpkeEncSize]byte, sealed []byte, err error) {
	q, err := unpack(to)
	if err != nil {
		return enc, nil, ErrPubKey
	}
	e := randomScalar()
	defer e.Zero()
	secret, enc, err := hpkeEncap(q, e)
	if err != nil {
		return enc, nil, err
	}
	aead, nonce := hpkeAEAD(secret, info)
	return enc, aead.Seal(nil, nonce, plaintext, nil), nil
}

// hpkeOpen opens one message. The errors do not tell why it could not be opened.
func hpkeOpen(k *PrivateKey, info, enc, sealed []byte) ([]byte, error) {
	secret, err := hpkeDecap(k, enc)
	if err != nil {
		return nil, err
	}
	aead, nonce := hpkeAEAD(secret, info)
	return aead.Open(nil, nonce, sealed, nil)
}

// hpkeAEAD is ChaCha20-Poly1305 under the scheduled key, with the nonce of the one
// message.
func hpkeAEAD(secret, info []byte) (cipher.AEAD, []byte) {
	keys := hpkeSchedule(secret, info, 3, chacha20poly1305.KeySize)
	return newAEAD(keys.key), keys.nonce
}
