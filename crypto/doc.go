// Package crypto is the bytes and keys of carekey: everything that is hashed,
// signed, derived, sealed, locked, split or written down as words.
//
// The byte-level specification is FORMAT.md beside this file. In short:
//
//   - All curve operations are on secp256k1. Keys are 32-byte scalars and
//     33-byte compressed points; signatures are 64 bytes, r‖s, low-S, RFC 6979.
//   - Every hash, signature and derivation has its own tag; see [Tag].
//   - Everything of one person comes from 32 bytes of [Entropy], 24 words.
//     [Root] gives the keys of the person, [Root.Seed] the keys of one thread.
//   - An [Address] is what others need to name a person: two public keys. The
//     grantor makes one-time keys from it ([NewOffsets]) that only its owner
//     recognises ([Identity.Recognize]).
//   - Sealed payloads ([SealPayload]) and records ([RecordRecipient]) are age
//     files (c2sp.org/age) whose stanza is HPKE (RFC 9180) base mode with
//     DHKEM(secp256k1, HKDF-SHA256), KEM id 0x0016, and ChaCha20-Poly1305.
//   - A record can be sealed in parts as well, with a key each ([Seed.Parts]): who has
//     some of the keys opens these parts and learns of the others hardly more than
//     that there may be some.
//
// Types that hold a secret keep it where reflection can't follow. They print as
// "(secret)" with every verb of package fmt, refuse to be marshalled and can't be
// compared with ==. Using the zero value of such a type panics.
//
// Nothing here is post-quantum. The arithmetic of the curve is that of
// github.com/decred/dcrd/dcrec/secp256k1/v4, whose point multiplication is not
// constant-time; operations with keys that live longer than one thread are
// blinded with a fresh random scalar each time.
package crypto
