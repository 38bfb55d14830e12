package crypto

import (
	"bytes"
	"errors"
	"fmt"

	"filippo.io/age"
)

// MaxPayload is the size of the largest payload that can be sealed, in bytes:
// 64 MiB less the 4 bytes of its length.
const MaxPayload = 64<<20 - 4

// maxSealed is the size of the largest sealed payload: header, nonce, 1024 chunks
// with their tags.
const maxSealed = 22 + maxStanzas*148 + 48 + 16 + 64<<20 + 1024*16

// SealContext is what a sealed payload is bound to, beside its recipients. Opened
// in another context it is not for the key.
type SealContext struct {
	Ledger LedgerID
	Part   byte   // which payload of which kind of entry it is; see ledgerclient.Part
	Author PubKey // of that entry. Its id can't be bound: it depends on the payload's hash
}

// info is the HPKE info for one recipient: tag ‖ 0 ‖ ledger ‖ part ‖ A ‖ P.
func (c SealContext) info(p PubKey) []byte {
	return info(TagPayload, c.Ledger[:], []byte{c.Part}, c.Author[:], p[:])
}

// ErrTooLarge says that a payload is larger than [MaxPayload].
var ErrTooLarge = errors.New("payload too large")

// SealPayload seals a payload to 1 to 16 public keys as one age file with one
// anonymous stanza each, in that order; opening costs an ECDH for each stanza up to
// one's own. Before it is sealed it is padded, to the least 4 KiB·4ⁱ that holds its
// length, 4 bytes, and the larger of plaintext and room bytes, 0 … MaxPayload: so that
// what varies within room does not show. It names and proves no sender.
func SealPayload(ctx SealContext, plaintext []byte, room int, to ...PubKey) ([]byte, error) {
	if max(len(plaintext), room) > MaxPayload {
		return nil, ErrTooLarge
	}
	if len(to) < 1 || len(to) > maxStanzas {
		return nil, fmt.Errorf("%d recipients instead of 1 to %d", len(to), maxStanzas)
	}
	recipients := make([]age.Recipient, len(to))
	for i, p := range to {
		recipients[i] = &stanzaRecipient{p, ctx.info(p)}
	}
	padded := pad(plaintext, room)
	defer clear(padded)
	var sealed bytes.Buffer
	sealed.Grow(512 + len(padded) + 16*(len(padded)>>16+1))
	w, err := age.Encrypt(&sealed, recipients...)
	if err != nil {
		return nil, err
	}
	// In two pieces: what age collects a chunk in then grows once, with room for its tag.
	for _, piece := range [][]byte{padded[:len(padded)/2+1], padded[len(padded)/2+1:]} {
		if _, err := w.Write(piece); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return sealed.Bytes(), nil
}

// OpenPayload opens what [SealPayload] sealed in the same context. Its errors are
// [ErrNotForKey], also when the context is another, and [ErrDamaged].
func OpenPayload(ctx SealContext, key *PrivateKey, sealed []byte) ([]byte, error) {
	return openPayload(sealed, opensWith(key, ctx.info(key.Public())))
}

// openPayload opens a payload with what unwraps its file key.
func openPayload(sealed []byte, open func(enc, body []byte) ([]byte, error)) ([]byte, error) {
	const what = "sealed payload"
	if len(sealed) > maxSealed {
		return nil, ErrDamaged.With("what", what)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed),
		&stanzaIdentity{open: open, only: true})
	if err != nil {
		return nil, openError(err, what)
	}
	var padded bytes.Buffer
	padded.Grow(len(sealed))
	if _, err := padded.ReadFrom(r); err != nil {
		return nil, ErrDamaged.With("what", what)
	}
	plaintext, ok := unpad(padded.Bytes())
	if !ok {
		return nil, ErrDamaged.With("what", what)
	}
	return plaintext, nil
}
