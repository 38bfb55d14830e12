package keyring

import "github.com/carekey/carekey/crypto/fault"

// What goes wrong with keyrings. The text of a cause may come from another program (a
// message on the bus), so it is cleaned before a terminal sees it.
const (
	// ErrAbsent: there is no keyring within reach.
	ErrAbsent      fault.Code = "keyring-absent"
	ErrNoBus       fault.Code = "keyring-absent/no-bus"      // no session bus, as over SSH, in a container or under sudo
	ErrNoProvider  fault.Code = "keyring-absent/no-provider" // a bus, but no program on it that provides a keyring
	ErrBrokeOff    fault.Code = "keyring-absent/broke-off"   // the keyring or the bus went away during the call
	ErrUnsupported fault.Code = "keyring-absent/unsupported" // no keyring of this system that we know of

	// ErrLocked: a keyring stayed locked.
	ErrLocked       fault.Code = "keyring-locked"
	ErrStayedLocked fault.Code = "keyring-locked/stayed"     // the system does not say why: nobody could be asked, the person refused, or no default keyring was ever made
	ErrDismissed    fault.Code = "keyring-locked/dismissed"  // the person closed the keyring's prompt
	ErrNoDesktop    fault.Code = "keyring-locked/no-desktop" // the keyring found nowhere to put its prompt up
	ErrNotAsked     fault.Code = "keyring-locked/not-asked"  // OS.NoPrompt

	// A call did not end in time. op ("get", "set", "delete" or "look"), after
	ErrTimeout       fault.Code = "keyring-timeout"
	ErrPromptTimeout fault.Code = "keyring-prompt-unanswered" // the keyring's prompt was up, and nobody answered it

	ErrItemNotFound  fault.Code = "key-missing/{kind}"   // nothing is kept under the id. kind of the store
	ErrItemChanged   fault.Code = "key-changed"          // an item is no secret of ours: another program wrote it
	ErrItemExists    fault.Code = "key-exists"           // something else is kept under the id already, and was not overwritten; an ErrItemChanged is its cause
	ErrNotStored     fault.Code = "key-not-stored"       // the keyring accepted the secret and then did not give it back, as after a prompt that was dismissed
	ErrFileNotStored fault.Code = "key-not-stored/file"  // of a key file
	ErrNotDeleted    fault.Code = "key-not-deleted"      // the keyring agreed to delete the item and still has it (no cause), or could not be asked
	ErrFileLeft      fault.Code = "key-not-deleted/file" // of a key file, which the system did not remove
	ErrTooLarge      fault.Code = "key-too-large"        // the system's keyring takes no item of this size
	ErrFailed        fault.Code = "keyring-failed"       // of no kind above. op

	ErrWrongPassphrase fault.Code = "wrong-passphrase" // does not open the key file; one damaged within its passphrase stanza looks the same
	ErrEmptyPassphrase fault.Code = "empty-passphrase"
	ErrDamaged         fault.Code = "key-file-damaged" // a key file that is none, or no longer

	// ErrArgument: an id or a secret that no Store takes. It is a mistake of the
	// calling program. name ("id", "secret", "work factor" or "passphrase callback")
	ErrArgument fault.Code = "keyring-failed/argument"
)
