package keyring

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto/crash"
	gokeyring "github.com/zalando/go-keyring"
)

// Service is the name under which items are filed in the system's keyring.
const Service = "carekey"

const (
	// DefaultTimeout ends a call to the system's keyring that has not answered.
	DefaultTimeout = 5 * time.Second
	// DefaultPromptTimeout is how long a person has to answer the keyring's own
	// prompt.
	DefaultPromptTimeout = 60 * time.Second
)

// OS is the keyring of the operating system: the Secret Service on Linux and
// the BSDs, the keychain on macOS, the credential manager on Windows. Its zero
// value is ready to use.
//
// The library behind it knows neither a deadline nor a context, and reports
// success after a dismissed prompt. OS therefore runs each call in a goroutine
// of its own under a deadline and reads back what it wrote. A goroutine whose
// call never returns is left behind; it begins no further call.
//
// With the Secret Service OS knows more than the library tells. A keyring that is
// locked is unlocked by OS itself before the library is called, so that a prompt is
// known to be up, has a deadline of its own, and is taken down when that passes.
type OS struct {
	// Timeout ends one Get, Set or Delete, its reading back included, as long as
	// no prompt is known to be up. 0 means DefaultTimeout.
	Timeout time.Duration
	// PromptTimeout is the time from the moment when a prompt goes up.
	// 0 means DefaultPromptTimeout.
	PromptTimeout time.Duration
	// NoPrompt puts no prompt up: a keyring that would have to ask for its
	// password is an [ErrLocked] at once.
	NoPrompt bool
	// Asking, if not nil, says that a person is there. It is called when a prompt
	// goes up, while the call waits. With it set, Set and Delete have PromptTimeout
	// from the beginning, since a keyring may ask about a change in a way that
	// cannot be seen from here.
	Asking func()

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

// service is a library whose keyring can also be asked what go-keyring does not
// tell. Errors are those of the bus; they are classified by the caller.
type service interface {
	library
	// unlock unlocks the item, or where new items go if there is none. It calls
	// asking before it puts a prompt up, which must be allowed by it, and takes
	// the prompt down when ctx ends.
	unlock(ctx context.Context, id string, asking func() error) error
	// read returns the secret of an unlocked item, in whatever collection it lies: the
	// library looks into one. ok is false whenever that is not certain.
	read(ctx context.Context, id string) (secret string, ok bool)
	// look tells about the item without a prompt.
	look(ctx context.Context, id string) (Sight, error)
}

// Sight is what can be seen of an item without asking anybody for a password.
type Sight struct {
	// Locked: reading or writing would need the keyring's password.
	Locked bool
	// Found: something is kept under the id. Some keyrings do not show what they
	// keep while they are locked.
	Found bool
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

// Look tells what can be seen of an item without a prompt. Where the system
// cannot tell, it is read.
func (o *OS) Look(ctx context.Context, id string) (Sight, error) {
	if err := checkID(id); err != nil {
		return Sight{}, err
	}
	var seen Sight
	_, err := o.within(ctx, "look", func(c call) (string, error) {
		if s, ok := c.lib.(service); ok {
			sight, err := s.look(c.ctx, id)
			if err != nil {
				return "", c.failure(err)
			}
			seen = sight
			return "", nil
		}
		switch _, err := c.get(id); {
		case err == nil, errors.Is(err, ErrItemChanged):
			seen.Found = true
		case errors.Is(err, ErrLocked):
			seen.Locked = true
		case !errors.Is(err, ErrItemNotFound):
			return "", err
		}
		return "", nil
	})
	if err != nil {
		return Sight{}, err
	}
	return seen, nil
}

// Set implements Store.
func (o *OS) Set(ctx context.Context, id, secret string) error {
	if err := checkItem(id, secret); err != nil {
		return err
	}
	_, err := o.within(ctx, "set", func(c call) (string, error) {
		c.secret = secret
		switch held, err := c.get(id); {
		case err == nil && held == secret:
			return "", nil
		case err == nil:
			return "", ErrItemExists
		case errors.Is(err, ErrItemChanged):
			return "", ErrItemExists.Of(err)
		case !errors.Is(err, ErrItemNotFound):
			return "", err
		}
		if err := c.unlocked(id, func() error { return c.lib.Set(Service, id, secret) }); err != nil {
			return "", err
		}
		switch held, err := c.get(id); {
		case err != nil:
			return "", ErrNotStored.Of(err)
		case held != secret:
			return "", ErrNotStored.Of(ErrItemChanged)
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
		if err := c.unlocked(id, func() error { return c.lib.Delete(Service, id) }); err != nil {
			return "", err
		}
		switch _, err := c.get(id); {
		case errors.Is(err, ErrItemNotFound):
			return "", nil
		case err == nil, errors.Is(err, ErrItemChanged):
			return "", ErrNotDeleted
		default:
			return "", ErrNotDeleted.Of(err)
		}
	})
	return err
}

// within runs f in a goroutine and waits for it no longer than the deadline.
func (o *OS) within(parent context.Context, op string, f func(call) (string, error)) (string, error) {
	if err := parent.Err(); err != nil {
		return "", context.Cause(parent)
	}
	timeout, promptTimeout := cmp.Or(o.Timeout, DefaultTimeout), cmp.Or(o.PromptTimeout, DefaultPromptTimeout)
	lib, ready := o.lib, o.ready
	if lib == nil {
		lib = system{}
	}
	if ready == nil {
		ready = reachable
	}
	if err := ready(); err != nil {
		return "", err
	}
	if o.Asking != nil && (op == "set" || op == "delete") {
		timeout = max(timeout, promptTimeout)
	}

	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	type result struct {
		secret string
		err    error
	}
	done := make(chan result, 1)
	asking := make(chan struct{}, 1)
	ask := func() error {
		if o.NoPrompt {
			return ErrNotAsked
		}
		select {
		case asking <- struct{}{}:
		default: // a second prompt of the same call has no time of its own
		}
		return ctx.Err()
	}
	go func() {
		defer crash.Report()
		// go-keyring trusts the shape of what arrives on the bus: a connection
		// that closes during a prompt is a nil dereference there.
		defer func() {
			if r := recover(); r != nil {
				done <- result{err: ErrBrokeOff.Of(fmt.Errorf("go-keyring panicked: %v", r))}
			}
		}()
		secret, err := f(call{ctx: ctx, op: op, lib: lib, ask: ask})
		done <- result{secret, err}
	}()

	timer := time.NewTimer(timeout)
	defer timer.Stop()
	prompted := false
	for {
		select {
		case r := <-done:
			return r.secret, r.err
		case <-asking:
			if !prompted {
				prompted, timeout = true, promptTimeout
				timer.Reset(timeout)
				if o.Asking != nil {
					o.Asking()
				}
			}
		case <-timer.C:
			code := ErrTimeout
			if prompted {
				code = ErrPromptTimeout
			}
			return "", code.Of(context.DeadlineExceeded, "op", op, "after", timeout)
		case <-parent.Done():
			return "", context.Cause(parent)
		}
	}
}

// call is one use of the library within its deadline.
type call struct {
	ctx    context.Context
	op     string
	lib    library
	ask    func() error // a prompt is about to go up; an error forbids it
	secret string       // what is being stored, to keep it out of errors
}

func (c call) get(id string) (string, error) {
	var secret string
	err := c.unlocked(id, func() (err error) {
		if s, ok := c.lib.(service); ok {
			if secret, ok = s.read(c.ctx, id); ok {
				return nil
			}
		}
		secret, err = c.lib.Get(Service, id)
		return err
	})
	if err != nil {
		return "", err
	}
	if !wellFormed(secret) {
		return "", ErrItemChanged
	}
	return secret, nil
}

// unlocked unlocks what a call of the library needs, if that can be done without it, and
// makes the call, unless the deadline has passed.
func (c call) unlocked(id string, call func() error) error {
	var err error
	if s, ok := c.lib.(service); ok {
		err = s.unlock(c.ctx, id, c.ask)
	}
	if err == nil {
		err = c.ctx.Err()
	}
	if err == nil {
		err = call()
	}
	return c.failure(err)
}

// failure gives the library's error its type.
func (c call) failure(err error) error {
	if err == nil || errors.Is(err, ErrLocked) || errors.Is(err, ErrAbsent) || errors.Is(err, context.Canceled) {
		return err
	}
	if c.secret != "" && strings.Contains(err.Error(), c.secret) {
		err = errors.New("message withheld: it repeats the secret")
	}
	switch {
	case errors.Is(err, gokeyring.ErrNotFound):
		return ErrItemNotFound.Of(err, "kind", KindOS)
	case errors.Is(err, gokeyring.ErrSetDataTooBig):
		return ErrTooLarge.Of(err)
	case errors.Is(err, gokeyring.ErrUnsupportedPlatform):
		return ErrUnsupported.Of(err)
	}
	if typed := classify(err); typed != nil {
		return typed
	}
	return ErrFailed.Of(err, "op", c.op)
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
