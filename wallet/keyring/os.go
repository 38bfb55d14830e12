package keyring

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	gokeyring "github.com/zalando/go-keyring"
)

// Service is the name under which items are filed in the system's keyring.
const Service = "carekey"

// DefaultTimeout ends a call to the system's keyring that has not answered.
// It is meant for a keyring that is unlocked or has nobody to ask; once a
// prompt is known to be on the screen a caller gives a person more time by
// setting OS.Timeout (60 s is what a person needs).
const DefaultTimeout = 5 * time.Second

// OS is the keyring of the operating system: the Secret Service on Linux and
// the BSDs, the keychain on macOS, the credential manager on Windows. Its zero
// value is ready to use.
//
// The library behind it knows neither a deadline nor a context, and reports
// success after a dismissed prompt. OS therefore runs each call in a goroutine
// of its own under Timeout and reads back what it wrote. A goroutine whose call
// never returns is left behind; it begins no further call.
type OS struct {
	// Timeout ends one Get, Set or Delete, its reading back included.
	// 0 means DefaultTimeout.
	Timeout time.Duration

	lib   library      // nil: the system's
	ready func() error // nil: reachable
}

var _ Store = &OS{}

// library is what OS needs of go-keyring.
type library interface {
	Get(service, user string) (string, error)
	Set(service, user, password string) error
	Delete(service, user string) error
}

// system is go-keyring's provider for this operating system.
type system struct{}

func (system) Get(service, user string) (string, error) { return gokeyring.Get(service, user) }
func (system) Set(service, user, password string) error {
	return gokeyring.Set(service, user, password)
}
func (system) Delete(service, user string) error { return gokeyring.Delete(service, user) }

// Kind implements Store.
func (o *OS) Kind() string { return KindOS }

// Get implements Store.
func (o *OS) Get(ctx context.Context, id string) (string, error) {
	if err := checkID(id); err != nil {
		return "", err
	}
	return o.within(ctx, "get", func(c call) (string, error) { return c.get(id) })
}

// Set implements Store.
func (o *OS) Set(ctx context.Context, id, secret string) error {
	if err := checkID(id); err != nil {
		return err
	}
	if !wellFormed(secret) {
		return &ArgumentError{Name: "secret"}
	}
	_, err := o.within(ctx, "set", func(c call) (string, error) {
		c.secret = secret
		switch held, err := c.get(id); {
		case err == nil && held == secret:
			return "", nil
		case err == nil:
			return "", &ItemExistsError{Kind: KindOS}
		case is[*ItemChangedError](err):
			return "", &ItemExistsError{Kind: KindOS, Err: err}
		case !is[*ItemNotFoundError](err):
			return "", err
		}
		if err := c.set(id, secret); err != nil {
			return "", err
		}
		switch held, err := c.get(id); {
		case err != nil:
			return "", &NotStoredError{Err: err}
		case held != secret:
			return "", &NotStoredError{Err: &ItemChangedError{Kind: KindOS}}
		}
		return "", nil
	})
	return err
}

// Delete implements Store.
func (o *OS) Delete(ctx context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	_, err := o.within(ctx, "delete", func(c call) (string, error) {
		if err := c.delete(id); err != nil {
			return "", err
		}
		switch _, err := c.get(id); {
		case is[*ItemNotFoundError](err):
			return "", nil
		case err == nil, is[*ItemChangedError](err):
			return "", &NotDeletedError{}
		default:
			return "", &NotDeletedError{Err: err}
		}
	})
	return err
}

// within runs f in a goroutine and waits for it no longer than the deadline.
func (o *OS) within(parent context.Context, op string, f func(call) (string, error)) (string, error) {
	if err := parent.Err(); err != nil {
		return "", context.Cause(parent)
	}
	timeout, lib, ready := o.Timeout, o.lib, o.ready
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	if lib == nil {
		lib = system{}
	}
	if ready == nil {
		ready = reachable
	}
	if err := ready(); err != nil {
		return "", err
	}

	ctx, cancel := context.WithTimeout(parent, timeout)
	defer cancel()
	type result struct {
		secret string
		err    error
	}
	done := make(chan result, 1)
	go func() {
		// go-keyring trusts the shape of what arrives on the bus: a connection
		// that closes during a prompt is a nil dereference there.
		defer func() {
			if r := recover(); r != nil {
				done <- result{err: &AbsentError{Reason: BrokeOff, Err: fmt.Errorf("go-keyring panicked: %v", r)}}
			}
		}()
		secret, err := f(call{ctx: ctx, op: op, lib: lib})
		done <- result{secret, err}
	}()

	var r result
	select {
	case r = <-done:
		if ctx.Err() == nil || !errors.Is(r.err, ctx.Err()) {
			return r.secret, r.err
		}
	case <-ctx.Done():
	}
	if parent.Err() != nil {
		return "", context.Cause(parent)
	}
	return "", &TimeoutError{Op: op, After: timeout, Err: ctx.Err()}
}

// call is one use of the library within its deadline.
type call struct {
	ctx    context.Context
	op     string
	lib    library
	secret string // what is being stored, to keep it out of errors
}

func (c call) get(id string) (string, error) {
	if err := c.ctx.Err(); err != nil {
		return "", err
	}
	secret, err := c.lib.Get(Service, id)
	if err != nil {
		return "", c.failure(err)
	}
	if !wellFormed(secret) {
		return "", &ItemChangedError{Kind: KindOS}
	}
	return secret, nil
}

func (c call) set(id, secret string) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	return c.failure(c.lib.Set(Service, id, secret))
}

func (c call) delete(id string) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	return c.failure(c.lib.Delete(Service, id))
}

// failure gives the library's error its type.
func (c call) failure(err error) error {
	if err == nil {
		return nil
	}
	if c.secret != "" && strings.Contains(err.Error(), c.secret) {
		err = errors.New("message withheld: it repeats the secret")
	}
	switch {
	case errors.Is(err, gokeyring.ErrNotFound):
		return &ItemNotFoundError{Kind: KindOS, Err: err}
	case errors.Is(err, gokeyring.ErrSetDataTooBig):
		return &TooLargeError{Err: err}
	case errors.Is(err, gokeyring.ErrUnsupportedPlatform):
		return &AbsentError{Reason: Unsupported, Err: err}
	}
	if typed := classify(err); typed != nil {
		return typed
	}
	return &FailedError{Op: c.op, Err: err}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
