package crypto

import (
	"bytes"
	"sync"
)

const (
	addressPrefix = "carekey1"
	addressSize   = 1 + 33 + 33 + 64 // without its checksum
)

// Address names a person to others: the public keys S, which signs, and V, which
// lets its owner recognise what is meant for her. S signs both, so that an address
// with another's V is refused and not a leak. Addresses are public and can be
// compared with ==; whose they are, they do not say.
type Address struct {
	Sign, View PubKey
	Signature  Signature // by Sign, over both keys
}

// head is what the signature and the checksum cover: version ‖ S ‖ V.
func (a Address) head() []byte {
	b := make([]byte, 1, addressSize)
	b[0] = 1
	return append(append(b, a.Sign[:]...), a.View[:]...)
}

func newAddress(s, v *PrivateKey) Address {
	a := Address{Sign: s.Public(), View: v.Public()}
	a.Signature = s.Sign(TaggedHash(TagAddress, a.head()))
	return a
}

// signed is an address without its checksum.
func (a Address) signed() []byte { return append(a.head(), a.Signature[:]...) }

// bytes is what the text form encodes.
func (a Address) bytes() []byte {
	b := a.signed()
	sum := TaggedHash(TagAddressChecksum, b)
	return append(b, sum[:4]...)
}

// String returns the text form: "carekey1" and 216 characters of lower-case
// base32.
func (a Address) String() string { return EncodeCode(addressPrefix, a.signed(), TagAddressChecksum) }

// MarshalText returns the text form. The zero value is refused.
func (a Address) MarshalText() ([]byte, error) {
	if a.IsZero() {
		return nil, ErrAddress.With("fault", FaultMalformed)
	}
	return []byte(a.String()), nil
}

// UnmarshalText is [ParseAddress].
func (a *Address) UnmarshalText(text []byte) error {
	b, err := ParseAddress(string(text))
	if err == nil {
		*a = b
	}
	return err
}

// IsZero reports whether a is the zero value: no address.
func (a Address) IsZero() bool { return a == Address{} }

// IsAddress reports whether a text looks like an address, whole or not.
func IsAddress(text string) bool { return HasPrefix(text, addressPrefix) }

// ParseAddress reads an address; case, white space and what mail and messengers put
// around it do not matter. Its error is an [ErrAddress].
func ParseAddress(text string) (Address, error) {
	var a Address
	b, fault := DecodeCode(addressPrefix, text, TagAddressChecksum)
	if fault == "" {
		a, fault = parseAddress(b)
	}
	if fault != "" {
		return Address{}, ErrAddress.With("fault", fault)
	}
	return a, nil
}

// ReadAddress is [ParseAddress] without the check that both keys are points and S signed
// them. It is for what a wallet itself has parsed, written and sealed since: of ten
// thousand contacts that check takes two seconds.
func ReadAddress(text string) (Address, error) {
	b, fault := DecodeCode(addressPrefix, text, TagAddressChecksum)
	if fault == "" && len(b) != addressSize {
		fault = FaultMalformed
	}
	if fault != "" {
		return Address{}, ErrAddress.With("fault", fault)
	}
	return addressIn(b), nil
}

// addressIn are the keys and the signature of an address of the right size.
func addressIn(b []byte) Address {
	return Address{PubKey(b[1:34]), PubKey(b[34:67]), Signature(b[67:131])}
}

// addressOf reads what the text form encodes, with its checksum.
func addressOf(b []byte) (Address, Fault) {
	a, fault := parseAddress(b[:len(b)-4])
	if fault == "" && !bytes.Equal(a.bytes(), b) {
		fault = FaultChecksum
	}
	return a, fault
}

// parseAddress reads an address without its checksum.
func parseAddress(b []byte) (Address, Fault) {
	if len(b) != addressSize || b[0] != 1 {
		return Address{}, FaultMalformed
	}
	a := addressIn(b)
	if checked.has(a) {
		return a, ""
	}
	if !isPoint(a.View) || !isPoint(a.Sign) {
		return Address{}, FaultMalformed
	}
	if !a.Sign.Verify(TaggedHash(TagAddress, a.head()), a.Signature) {
		return Address{}, FaultMixed
	}
	checked.add(a)
	return a, ""
}

// checked are addresses, to the last byte, whose check succeeded: a wallet reads the
// same few in everything it keeps, and a check costs two square roots and a
// signature.
var checked addresses

type addresses struct {
	mu sync.RWMutex
	m  map[Address]struct{}
}

// maxChecked bounds the memory, to 1 MiB or so: a script may know a thousand people.
const maxChecked = 4096

func (c *addresses) has(a Address) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, ok := c.m[a]
	return ok
}

func (c *addresses) add(a Address) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= maxChecked {
		c.m = map[Address]struct{}{}
	}
	c.m[a] = struct{}{}
}

// Words returns eight words of the BIP-39 list, 88 bits, for two people to compare
// by voice. They depend on both keys.
func (a Address) Words() [8]string {
	sum := TaggedHash(TagAddressWords, a.head())
	return [8]string(elevenBits(sum[:], 8))
}
