// Package fault is how every package says what went wrong: with a code, the values
// that belong to it, and a cause. It has no sentences for people: these, the next
// step and the exit code stand in one table of the program, found by the code
// (cmd/cli). A new error is a constant in the package that returns it,
//
//	// ErrBusy: another process has held the wallet's lock all the time. waited
//	ErrBusy fault.Code = "wallet-busy"
//
// a place that returns it, with the values named in lower case,
//
//	return ErrBusy.With("dir", dir, "waited", waited)
//	return ErrDamaged.Of(err, "file", name) // err is the cause
//	return ErrWrongKey                      // nothing to add
//
// and a row: "another carekey is using this wallet (waited {waited})". Callers ask
// errors.Is(err, wallet.ErrBusy); who needs a value asks [As].
//
// A code is what a script sees in the field code of --json, so it is stable, and one
// code is of one package. Two things are possible in it:
//   - A name in braces stands for an argument: "{what}-not-found" with "what",
//     "record" is shown as record-not-found.
//   - A slash begins a case of its own sentence: "keyring-locked/dismissed" is
//     keyring-locked to scripts and to errors.Is.
//
// A type of its own is for an error on whose values code branches, not only words. It
// says with a method Coded, which returns an Error of it, what its code is.
package fault

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Code names what went wrong. It is an error itself, for when there is nothing to add.
type Code string

// Error is an error of a code with the values that belong to it.
type Error struct {
	Code Code
	Args []Arg // never secrets, or what may be one: errors are printed
	Err  error // the cause; may be nil
}

// Arg is a value with its name.
type Arg struct {
	Name  string
	Value any
}

// With returns an error of the code; args are names, each followed by its value.
func (c Code) With(args ...any) error { return c.Of(nil, args...) }

// Of is With for an error that has a cause.
func (c Code) Of(cause error, args ...any) error {
	e := &Error{Code: c, Err: cause}
	for pair := range slices.Chunk(args, 2) {
		e.Args = append(e.Args, Arg{pair[0].(string), pair[1]})
	}
	return e
}

// Error returns the code.
func (c Code) Error() string { return string(c) }

// Is reports whether target is this code, or the one that this is a case of.
func (c Code) Is(target error) bool {
	t, ok := target.(Code)
	return ok && (c == t || strings.HasPrefix(string(c), string(t)+"/"))
}

// Error returns the code, the values that are not in it, and the cause: for logs and
// tests.
func (e *Error) Error() string {
	text := e.Shown()
	for _, a := range e.Args {
		if strings.Contains(string(e.Code), "{"+a.Name+"}") {
			continue
		}
		if s, ok := a.Value.(string); ok {
			text += fmt.Sprintf(" %s=%q", a.Name, s)
		} else {
			text += fmt.Sprintf(" %s=%v", a.Name, a.Value)
		}
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Shown returns the code with the values that stand in it.
func (e *Error) Shown() string {
	text := string(e.Code)
	for _, a := range e.Args {
		text = strings.ReplaceAll(text, "{"+a.Name+"}", fmt.Sprint(a.Value))
	}
	return text
}

// Is is that of the code.
func (e *Error) Is(target error) bool { return e.Code.Is(target) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Value returns the value of that name, nil if there is none, also where e is nil.
func (e *Error) Value(name string) any {
	if e == nil {
		return nil
	}
	for _, a := range e.Args {
		if a.Name == name {
			return a.Value
		}
	}
	return nil
}

// Get returns the value of that name, and the zero value if there is none or it is of
// another type.
func Get[T any](e *Error, name string) T {
	v, _ := e.Value(name).(T)
	return v
}

// As returns the first error of the code, or of one of its cases, in err's tree.
func As(err error, c Code) (*Error, bool) {
	for err := range Tree(err) {
		switch e := err.(type) {
		case *Error:
			if e.Is(c) {
				return e, true
			}
		case Code:
			if e.Is(c) {
				return &Error{Code: e}, true
			}
		}
	}
	return nil, false
}

// Tree yields err and all that it wraps, in the order in which errors.Is looks.
func Tree(err error) iter.Seq[error] {
	return func(yield func(error) bool) { walk(err, yield) }
}

func walk(err error, yield func(error) bool) bool {
	if err == nil {
		return true
	}
	if !yield(err) {
		return false
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range several.Unwrap() {
			if !walk(e, yield) {
				return false
			}
		}
		return true
	}
	return walk(errors.Unwrap(err), yield)
}
