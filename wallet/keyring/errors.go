package keyring

import (
	"fmt"
	"time"
)

// Each error says in its type what happened, and unwraps to its cause. The text
// of a cause may come from another program (a message on the bus), so it is
// cleaned before a terminal sees it.

// ArgumentError reports an id or a secret that no Store takes. It is a mistake
// of the calling program.
type ArgumentError struct {
	Name string // "id", "secret", "work factor" or "passphrase callback"
}

func (e *ArgumentError) Error() string { return "keyring: malformed " + e.Name }

// Reason says why there is no keyring to talk to.
type Reason string

const (
	// NoBus: no session bus, as over SSH, in a container or under sudo.
	NoBus Reason = "no session bus"
	// NoProvider: a bus, but no program on it that provides a keyring.
	NoProvider Reason = "no keyring service"
	// BrokeOff: the keyring or the bus went away during the call.
	BrokeOff Reason = "the keyring service broke off"
	// Unsupported: this system has no keyring that we know of.
	Unsupported Reason = "no keyring on this system"
)

// AbsentError reports that there is no keyring within reach.
type AbsentError struct {
	Reason Reason
	Err    error // cause, or nil when it was seen without calling anything
}

func (e *AbsentError) Error() string { return "keyring: " + string(e.Reason) + cause(e.Err) }
func (e *AbsentError) Unwrap() error { return e.Err }

// LockReason says why a keyring stayed locked, as far as that can be known.
type LockReason string

const (
	// StayedLocked: the system does not say why. Nobody could be asked, the person
	// refused, or no default keyring was ever made.
	StayedLocked LockReason = "it did not unlock"
	// Dismissed: the person closed the keyring's prompt.
	Dismissed LockReason = "its prompt was dismissed"
	// NoDesktop: the keyring found nowhere to put its prompt up.
	NoDesktop LockReason = "there is no desktop on which it could ask for its password"
	// NotAsked: OS.NoPrompt.
	NotAsked LockReason = "it may not ask for its password"
)

// LockedError reports a keyring that stayed locked.
type LockedError struct {
	Reason LockReason
	Err    error // cause, or nil
}

func (e *LockedError) Error() string {
	if e.Reason == "" {
		return "keyring: locked" + cause(e.Err)
	}
	return "keyring: locked: " + string(e.Reason) + cause(e.Err)
}
func (e *LockedError) Unwrap() error { return e.Err }

// TimeoutError reports a call that did not end in time.
type TimeoutError struct {
	Op     string        // "get", "set", "delete" or "look"
	After  time.Duration // the deadline that passed
	Prompt bool          // the keyring's prompt was up, and nobody answered it
	Err    error         // context.DeadlineExceeded
}

func (e *TimeoutError) Error() string {
	if e.Prompt {
		return fmt.Sprintf("keyring: %s: prompt not answered within %s", e.Op, e.After)
	}
	return fmt.Sprintf("keyring: %s: no answer within %s", e.Op, e.After)
}
func (e *TimeoutError) Unwrap() error { return e.Err }

// ItemNotFoundError reports that nothing is kept under the id.
type ItemNotFoundError struct {
	Kind string // of the store
	Err  error
}

func (e *ItemNotFoundError) Error() string { return "keyring: item not found" }
func (e *ItemNotFoundError) Unwrap() error { return e.Err }

// ItemChangedError reports an item that is no secret of ours: another program
// wrote it.
type ItemChangedError struct {
	Kind string
}

func (e *ItemChangedError) Error() string { return "keyring: item was changed by another program" }

// ItemExistsError reports that something else is kept under the id already.
// Nothing was overwritten.
type ItemExistsError struct {
	Kind string
	Err  error // *ItemChangedError if what is there is no secret of ours, or nil
}

func (e *ItemExistsError) Error() string { return "keyring: another item is there already" }
func (e *ItemExistsError) Unwrap() error { return e.Err }

// NotStoredError reports that the keyring accepted the secret and then did not
// give it back, as after a prompt that was dismissed.
type NotStoredError struct{ Err error }

func (e *NotStoredError) Error() string { return "keyring: not stored" + cause(e.Err) }
func (e *NotStoredError) Unwrap() error { return e.Err }

// NotDeletedError reports that the keyring agreed to delete the item and still
// has it, or could not be asked.
type NotDeletedError struct{ Err error }

func (e *NotDeletedError) Error() string { return "keyring: not deleted" + cause(e.Err) }
func (e *NotDeletedError) Unwrap() error { return e.Err }

// TooLargeError reports that the system's keyring takes no item of this size.
type TooLargeError struct{ Err error }

func (e *TooLargeError) Error() string { return "keyring: item too large for this system" }
func (e *TooLargeError) Unwrap() error { return e.Err }

// FailedError reports a failure of the system's keyring of no kind above.
type FailedError struct {
	Op  string // "get", "set" or "delete"
	Err error
}

func (e *FailedError) Error() string { return "keyring: " + e.Op + " failed" + cause(e.Err) }
func (e *FailedError) Unwrap() error { return e.Err }

// WrongPassphraseError reports that the passphrase does not open the key file.
// A file damaged within its passphrase stanza looks the same.
type WrongPassphraseError struct{ Err error }

func (e *WrongPassphraseError) Error() string { return "keyring: wrong passphrase" }
func (e *WrongPassphraseError) Unwrap() error { return e.Err }

// EmptyPassphraseError reports that the passphrase given was empty.
type EmptyPassphraseError struct{}

func (e *EmptyPassphraseError) Error() string { return "keyring: empty passphrase" }

// DamagedError reports a key file that is not one, or no longer.
type DamagedError struct{ Err error }

func (e *DamagedError) Error() string { return "keyring: key file is damaged" + cause(e.Err) }
func (e *DamagedError) Unwrap() error { return e.Err }

func cause(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}
