package health

import (
	"math/big"

	"github.com/carekey/carekey/crypto"
)

// didKey names a public key as a URI (https://w3c-ccg.github.io/did-key-spec/):
// base58btc of the multicodec secp256k1-pub, 0xe7 as a varint, and the compressed
// point.
func didKey(p crypto.PubKey) string {
	const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	// The first byte is not zero, so that no digit is lost at the front.
	n := new(big.Int).SetBytes(append([]byte{0xe7, 0x01}, p[:]...))
	base, digit := big.NewInt(58), new(big.Int)
	var reversed []byte
	for n.Sign() > 0 {
		n.DivMod(n, base, digit)
		reversed = append(reversed, alphabet[digit.Int64()])
	}
	out := []byte("did:key:z")
	for i := len(reversed) - 1; i >= 0; i-- {
		out = append(out, reversed[i])
	}
	return string(out)
}

// keyIdentifier names a person by the key with which her address signs.
func keyIdentifier(a crypto.Address) Identifier { return Identifier{uriSystem, didKey(a.Sign)} }
