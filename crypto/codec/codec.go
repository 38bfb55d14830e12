// Package codec writes and reads messages of a fixed layout. A message lists its fields
// once, and the one list serves both directions, so that what parses re-encodes
// identically and cannot be changed in one direction alone:
//
//	func (m *Message) Fields(c *codec.Codec) {
//		c.Bytes(m.Ledger[:], m.Key[:])
//		codec.Int(c, &m.Hour)
//		c.Check(m.Hour > 0)
//		c.Signature(m.Signature[:])
//		codec.Sized[uint32](c, &m.Package, 8258)
//	}
//
//	b := codec.Append(nil, m.Fields)
//	err := codec.Parse(b, m.Fields)
//
// Integers are big-endian. What varies in length stands behind its length, or its
// number, in an integer of the size that the list names. Writing changes nothing in
// the message; a message that breaks a rule of its own list yields bytes that do not
// parse.
package codec

import (
	"errors"
	"math/bits"
	"slices"
)

// Why bytes are not the message they should be, beside what Fail was given.
var (
	ErrLength = errors.New("length")
	ErrRange  = errors.New("value out of range")
)

// Codec goes over the fields of one message. After the first error it reads zeros.
type Codec struct {
	b        []byte // what was written, or what is left to read
	reading  bool
	unsigned bool
	err      error
}

// Append appends the encoding of a message to b.
func Append(b []byte, fields func(*Codec)) []byte {
	c := Codec{b: b}
	fields(&c)
	return c.b
}

// Unsigned is the encoding of a message without its signature, to be signed. Messages
// within it have theirs.
func Unsigned(fields func(*Codec)) []byte {
	c := Codec{unsigned: true}
	fields(&c)
	return c.b
}

// Read takes a message off the beginning of b and returns what follows it.
func Read(b []byte, fields func(*Codec)) (rest []byte, err error) {
	c := Codec{b: b, reading: true}
	fields(&c)
	return c.b, c.err
}

// Parse reads a message that is all of b. Fields of varying length share memory with b.
func Parse(b []byte, fields func(*Codec)) error {
	rest, err := Read(b, fields)
	if err == nil && len(rest) > 0 {
		err = ErrLength
	}
	return err
}

// Reading reports whether the message is being read.
func (c *Codec) Reading() bool { return c.reading }

// Fail ends the reading with an error, if err is one.
func (c *Codec) Fail(err error) {
	if c.reading && c.err == nil {
		c.err = err
	}
}

// Check ends the reading with ErrRange unless ok.
func (c *Codec) Check(ok bool) {
	if !ok {
		c.Fail(ErrRange)
	}
}

// next takes n bytes off what is left, nil after an error.
func (c *Codec) next(n int) []byte {
	if len(c.b) < n {
		c.Fail(ErrLength)
	}
	if c.err != nil {
		return nil
	}
	field := c.b[:n:n]
	c.b = c.b[n:]
	return field
}

// Bytes are fields of fixed widths.
func (c *Codec) Bytes(fields ...[]byte) {
	for _, f := range fields {
		if c.reading {
			copy(f, c.next(len(f)))
		} else {
			c.b = append(c.b, f...)
		}
	}
}

// Signature is Bytes, and is what Unsigned leaves out.
func (c *Codec) Signature(field []byte) {
	if !c.unsigned {
		c.Bytes(field)
	}
}

// Message is a message within this one.
func (c *Codec) Message(fields func(*Codec)) {
	unsigned := c.unsigned
	c.unsigned = false
	fields(c)
	c.unsigned = unsigned
}

// Rest is a field of all bytes that are left, least to most of them.
func (c *Codec) Rest(field *[]byte, least, most int) {
	if !c.reading {
		c.b = append(c.b, *field...)
		return
	}
	c.Check(least <= len(c.b) && len(c.b) <= most)
	*field = c.next(len(c.b))
}

// Unsigned integers.
type integer interface {
	~uint8 | ~uint16 | ~uint32 | ~uint64
}

// Int is an integer.
func Int[T integer](c *Codec, field *T) {
	size := bits.Len64(uint64(^T(0))) / 8
	if !c.reading {
		for shift := 8 * (size - 1); shift >= 0; shift -= 8 {
			c.b = append(c.b, byte(uint64(*field)>>shift))
		}
		return
	}
	n := uint64(0)
	for _, b := range c.next(size) {
		n = n<<8 | uint64(b)
	}
	*field = T(n)
}

// Bool is one byte, 0 or 1.
func Bool(c *Codec, field *bool) {
	n := uint8(0)
	if *field {
		n = 1
	}
	Int(c, &n)
	c.Check(n <= 1)
	if c.reading {
		*field = n == 1
	}
}

// Sized is a field of at most so many bytes behind their number, an N. An empty field
// of bytes is nil.
func Sized[N integer, B ~[]byte | ~string](c *Codec, field *B, most int) {
	n := N(len(*field))
	Int(c, &n)
	c.Check(uint64(n) <= uint64(most))
	if !c.reading {
		c.b = append(c.b, *field...)
		return
	}
	var none B
	*field = none
	if raw := c.next(int(n)); len(raw) > 0 {
		*field = B(raw)
	}
}

// Counted are at most so many items behind their number, an N.
func Counted[N integer, T any](c *Codec, items *[]T, most int, item func(*Codec, *T)) {
	n := N(len(*items))
	Int(c, &n)
	c.Check(uint64(n) <= uint64(most))
	List(c, items, int(n), item)
}

// maxGuess is for how many bytes room is made before they are there.
const maxGuess = 4 << 20

// List are n items, which are written as if all were about as long as the first: a batch
// of some MB would else be copied each time it grows. Where the first is long, the others
// may be short: the room for them is bounded.
func List[T any](c *Codec, items *[]T, n int, item func(*Codec, *T)) {
	if c.reading {
		*items = nil
	}
	begin := len(c.b)
	for i := range n {
		if i == 1 && !c.reading {
			c.b = slices.Grow(c.b, min(n*(len(c.b)-begin), maxGuess))
		}
		if c.err != nil {
			return
		}
		if c.reading {
			*items = append(*items, *new(T))
		}
		item(c, &(*items)[i])
	}
}

// All are the items that the message ends with, least to most of them. An item has a
// byte at least.
func All[T any](c *Codec, items *[]T, least, most int, item func(*Codec, *T)) {
	if !c.reading {
		List(c, items, len(*items), item)
		return
	}
	*items = nil
	for len(c.b) > 0 && c.err == nil {
		c.Check(len(*items) < most)
		*items = append(*items, *new(T))
		item(c, &(*items)[len(*items)-1])
	}
	c.Check(len(*items) >= least)
}
