package crypto

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// ErrSecret is returned by every attempt to marshal a secret.
var ErrSecret = errors.New("a secret can't be marshalled")

// redacted makes the type that embeds it a secret: it prints nothing of itself,
// can't be marshalled and can't be compared with ==. Package fmt can't call
// methods of values in unexported fields, so the embedding type must also keep its
// bytes hidden.
type redacted struct{ _ [0]func() }

// Format writes "(secret)" for every verb.
func (redacted) Format(f fmt.State, _ rune) { io.WriteString(f, "(secret)") }

// MarshalText returns [ErrSecret].
func (redacted) MarshalText() ([]byte, error) { return nil, ErrSecret }

// MarshalJSON returns [ErrSecret].
func (redacted) MarshalJSON() ([]byte, error) { return nil, ErrSecret }

// MarshalBinary returns [ErrSecret].
func (redacted) MarshalBinary() ([]byte, error) { return nil, ErrSecret }

// GobEncode returns [ErrSecret].
func (redacted) GobEncode() ([]byte, error) { return nil, ErrSecret }

// hidden is a pointer that nothing can follow by reflection. Behind a plain pointer
// bytes are not safe: for a verb that does not fit, %s say, fmt prints what the
// pointer in an unexported field points to. Of a function it prints the address.
type hidden[T any] func() *T

func hide[T any](v *T) hidden[T] { return func() *T { return v } }

// overwrite zeroes what a cipher made of its key, for which the interfaces of ciphers have
// no method, and takes it away: a use that follows panics, since nothing must ever be
// sealed with zeros.
func overwrite[T any](cipher *T) {
	if v := reflect.ValueOf(*cipher); v.IsValid() {
		v.Elem().SetZero() // they are pointers to all that they hold; a test looks
	}
	*cipher = *new(T)
}

// secret32 is 32 secret bytes.
type secret32 struct {
	redacted
	p hidden[[32]byte]
}

func newSecret32(b []byte) secret32 {
	v := [32]byte(b)
	return secret32{p: hide(&v)}
}

// bytes panics on the zero value: a zero secret must never be used as a key.
func (s secret32) bytes() []byte {
	if s.p == nil {
		panic("crypto: use of a zero secret")
	}
	return s.p()[:]
}

// IsZero reports whether this is the zero value, which holds no secret.
func (s secret32) IsZero() bool { return s.p == nil }

// Wipe overwrites the secret in this and every copy of the value. It is not to
// be used afterwards.
func (s secret32) Wipe() {
	if s.p != nil {
		clear(s.p()[:])
	}
}

func (s secret32) equal(o secret32) bool {
	if s.p == nil || o.p == nil {
		return (s.p == nil) == (o.p == nil)
	}
	return subtle.ConstantTimeCompare(s.p()[:], o.p()[:]) == 1
}
