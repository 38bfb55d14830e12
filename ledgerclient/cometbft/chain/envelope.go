package chain

import (
	"crypto/ed25519"
	"errors"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/order"
)

// Limits of one envelope.
const (
	MaxEntries  = 1024      // entries
	MaxEnvelope = 512 << 10 // bytes of all of it
)

// Envelope is what one institution hands to the others to be ordered: entries, a
// configuration entry with its document behind it. It is the engine's transaction.
//
// Its bytes, all numbers big-endian:
//
//	version 1 (1), ledger 32
//	checkpoint key of the node 32, number 8
//	number of entries 2 (1 to MaxEntries); of each
//	    entry 222
//	    if its second byte is 1: length 2 (1 to 16384), document to which it commits
//	Ed25519 signature by the checkpoint key 64,
//	    over carekey/v1/order-envelope ‖ 0x00 ‖ all that precedes
//
// Votes, heads and envelopes are signed with one key. A vote begins with its length and
// 0x08, a head with "carekey" or "cosignature", and what is signed to open a connection
// has 32 bytes: none can be taken for another.
type Envelope struct {
	Ledger crypto.LedgerID
	Node   [32]byte
	// Number is larger than that of any envelope of this node that was decided before.
	// So none is decided twice, whoever sends it again, and a later one puts an end to
	// those that were lost.
	Number    uint64
	Items     []order.Item // without their hours
	Signature [ed25519.SignatureSize]byte
}

func (e *Envelope) fields(c *codec.Codec) {
	version := uint8(1)
	codec.Int(c, &version)
	c.Check(version == 1)
	c.Bytes(e.Ledger[:], e.Node[:])
	codec.Int(c, &e.Number)
	codec.Counted[uint16](c, &e.Items, MaxEntries, func(c *codec.Codec, i *order.Item) {
		raw := i.Entry.Marshal()
		c.Bytes(raw[:])
		if c.Reading() {
			i.Entry, _ = contract.ParseEntry(raw[:]) // any bytes are one
		}
		if i.Entry.Kind == contract.KindConfig {
			codec.Sized[uint16](c, &i.Document, order.MaxDocument)
		}
		c.Check(i.Whole())
	})
	c.Check(len(e.Items) > 0)
	c.Signature(e.Signature[:])
}

// Marshal returns the bytes of an envelope.
func (e *Envelope) Marshal() []byte { return codec.Append(nil, e.fields) }

// ErrEnvelope: bytes are no envelope.
var ErrEnvelope = errors.New("not an envelope")

// ParseEnvelope reads an envelope. It accepts exactly what Marshal writes, and judges
// neither ledger nor node nor signature.
func ParseEnvelope(b []byte) (Envelope, error) {
	var e Envelope
	if len(b) > MaxEnvelope || codec.Parse(b, e.fields) != nil {
		return Envelope{}, ErrEnvelope
	}
	return e, nil
}

// signed is what the signature is over.
func (e *Envelope) signed() []byte {
	return append(append([]byte(crypto.TagEnvelope), 0), codec.Unsigned(e.fields)...)
}

// Seal makes the envelope of a node, by its checkpoint key, and returns its bytes.
func (c *Chain) Seal(key ed25519.PrivateKey, number uint64, items []order.Item) []byte {
	e := Envelope{Ledger: c.ledger, Node: [32]byte(key.Public().(ed25519.PublicKey)), Number: number, Items: items}
	copy(e.Signature[:], ed25519.Sign(key, e.signed()))
	return e.Marshal()
}

// size is how many bytes items take in an envelope.
func size(items ...order.Item) int {
	n := 0
	for i := range items {
		n += contract.Size
		if items[i].Document != "" {
			n += 2 + len(items[i].Document)
		}
	}
	return n
}

// envelopeSize is how many bytes an envelope has beside its items.
const envelopeSize = 1 + 32 + 32 + 8 + 2 + ed25519.SignatureSize

// Fits reports whether items can be in one envelope.
func Fits(items []order.Item) bool {
	return len(items) <= MaxEntries && envelopeSize+size(items...) <= MaxEnvelope
}
