package crypto

import (
	"errors"
	"math"

	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/crypto/text"
)

const cardPrefix = "carekey-card1"

// MaxCardPlace is the most bytes of a place in a card: one of a fetch code, and a token.
const MaxCardPlace = MaxPlace + 184

// Card is what people hand to each other so that one can grant something to the other:
// who that is, and where. Its owner has signed all of it, so that nobody's ledger is put
// beside another's name; whose name it is, only comparing check words tells.
type Card struct {
	Name      string // what its owner wants to be called, see [text.CheckName]; 255 bytes at most
	Address   Address
	Place     string // of the ledger, as in a [FetchCode], but that it may have a token; MaxCardPlace at most; "": none
	Signature Signature
}

// NewCard makes the card of whose keys these are: [ErrCard] if the name or the place is
// none.
func NewCard(k *Keys, name, place string) (c Card, err error) {
	c = Card{Name: name, Address: k.Address(), Place: place}
	if !c.valid() {
		return Card{}, ErrCard.With("fault", FaultMalformed)
	}
	c.Signature, err = k.Sign(c.digest())
	return c, err
}

// valid reports whether a card can be written and read again.
func (c *Card) valid() bool {
	kept, why := text.CheckName(c.Name)
	return why == "" && kept == c.Name && len(c.Name) <= math.MaxUint8 && len(c.Place) <= MaxCardPlace
}

// errMixed: the address in a card was put together from two.
var errMixed = errors.New("mixed address")

func (c *Card) fields(k *codec.Codec) {
	version := uint8(1)
	codec.Int(k, &version)
	codec.Sized[uint8](k, &c.Name, math.MaxUint8)
	address := make([]byte, addressSize+4)
	if !k.Reading() {
		copy(address, c.Address.bytes())
	}
	if k.Bytes(address); k.Reading() {
		var fault Fault
		c.Address, fault = addressOf(address)
		if fault == FaultMixed {
			k.Fail(errMixed)
		}
		k.Check(fault == "")
	}
	placed := c.Place != ""
	if codec.Bool(k, &placed); placed {
		codec.Sized[uint16](k, &c.Place, MaxCardPlace)
		k.Check(c.Place != "")
	}
	k.Signature(c.Signature[:])
}

// digest is what the owner signs.
func (c *Card) digest() Hash { return TaggedHash(TagCard, codec.Unsigned(c.fields)) }

// String returns the text form: "carekey-card1" and lower-case base32 in one word, 390
// to 2,900 characters.
func (c Card) String() string {
	return EncodeCode(cardPrefix, codec.Append(nil, c.fields), TagCardChecksum)
}

// MarshalText returns the text form.
func (c Card) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is [ParseCard].
func (c *Card) UnmarshalText(text []byte) error {
	d, err := ParseCard(string(text))
	if err == nil {
		*c = d
	}
	return err
}

// IsCard reports whether a text looks like a card, whole or not.
func IsCard(text string) bool { return HasPrefix(text, cardPrefix) }

// ParseCard reads a card; case, white space and what mail and messengers put around it do
// not matter. Its error is an [ErrCard], or an [ErrCardForged] for what is whole and not
// what its owner signed.
func ParseCard(text string) (Card, error) {
	b, fault := DecodeCode(cardPrefix, text, TagCardChecksum)
	if fault != "" {
		return Card{}, ErrCard.With("fault", fault)
	}
	var c Card
	switch err := codec.Parse(b, c.fields); {
	case errors.Is(err, errMixed):
		return Card{}, ErrCardForged
	case err != nil || !c.valid():
		return Card{}, ErrCard.With("fault", FaultMalformed)
	case !c.Address.Sign.Verify(c.digest(), c.Signature):
		return Card{}, ErrCardForged
	}
	return c, nil
}
