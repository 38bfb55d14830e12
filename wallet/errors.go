package wallet

import (
	"errors"
	"fmt"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/home"
)

// ExistsError says that there is already what should be made.
type ExistsError struct{ What string } // "wallet", "contact", "words file"

func (e *ExistsError) Error() string { return e.What + " exists already" }

// NoWalletError says that a folder holds no wallet.
type NoWalletError struct{ Dir string }

func (e *NoWalletError) Error() string { return "no wallet in " + e.Dir }

// NotFoundError says that nothing has that id or name.
type NotFoundError struct {
	What, Query string // Query is what the user typed
	Like        string // of a contact: one whose name looks like it; may be empty
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("no %s %q", e.What, e.Query) }

// AmbiguousError says that a prefix fits several ids.
type AmbiguousError struct {
	What, Query string
	Matches     []string // full ids, at most ten
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%q fits %d %ss", e.Query, len(e.Matches), e.What)
}

// InputError says what is wrong with a value that the user gave.
type InputError struct {
	Field string // "purpose", "category", "until", "name" …
	Value string
	Why   string
}

func (e *InputError) Error() string { return fmt.Sprintf("%s %q: %s", e.Field, e.Value, e.Why) }

// EmptyError says that a selection holds nothing.
type EmptyError struct{ What string }

func (e *EmptyError) Error() string { return "nothing selected: no " + e.What }

// What can be wrong with the wallet's folder.
type (
	BusyError     = home.BusyError
	VersionError  = home.VersionError
	DamagedError  = home.DamagedError
	WrongKeyError = home.WrongKeyError
)

// EvidenceError is a fork of the ledger of which proof was kept.
type EvidenceError struct {
	File string // path of the proof
	Err  error  // a *ledgerclient.ForkError in its chain
}

func (e *EvidenceError) Error() string { return e.Err.Error() + "; proof in " + e.File }
func (e *EvidenceError) Unwrap() error { return e.Err }

// OtherWalletError says that an identity for age is of another wallet than the one
// in its place.
type OtherWalletError struct{}

func (*OtherWalletError) Error() string { return "the identity is of another wallet" }

// RefusedError says that an entry or an opening was refused, by the contract, by a
// keeper, or by this wallet itself after the exact end, and why.
type RefusedError struct {
	By      string            // "ledger", "keeper" or "wallet"
	Rule    contract.Rule     // of the contract; "" when a keeper refused for a reason of its own
	Code    ledgerclient.Code // of the keeper
	Consent contract.ID       // zero if none is concerned
	Hour    contract.Hour     // ledger hour of the refusal
	Window  [2]contract.Hour  // of the consent: not before, not after
	Filed   bool              // a keeper filed the attempt: the patient's audit shows it
	Giving  bool              // it is a consent of one's own that was not entered
}

func (e *RefusedError) Error() string {
	if e.By == "keeper" {
		return "keeper refused: " + e.Code.String()
	}
	return e.By + " refused: " + string(e.Rule)
}

// NotYoursError says that a consent is not addressed to this wallet, or not
// given by it.
type NotYoursError struct {
	Consent  contract.ID
	Received bool // it was given to this wallet, and only its giver may do this
	Given    bool // it was given by this wallet, and only its recipient may do this
}

func (e *NotYoursError) Error() string { return "consent " + e.Consent.String() + " is not yours" }

// ForeignCodeError says that a share code is of another ledger.
type ForeignCodeError struct{ Code, Wallet crypto.LedgerID }

func (e *ForeignCodeError) Error() string { return "share code of ledger " + e.Code.String() }

// CodeHistoryError says that the head in a share code is none that the ledger shows:
// whoever made the code was shown another history, or newer entries, or the code is
// forged. Nobody signs a share code, so that it accuses nobody; where the terms of
// the consent prove another history, the error is theirs.
type CodeHistoryError struct{ Err error } // a *ledgerclient.ForkError or a *ledgerclient.RollbackError

func (e *CodeHistoryError) Error() string { return "share code: " + e.Err.Error() }

func (e *CodeHistoryError) Unwrap() error { return e.Err }

// UnreadError says that the terms of a consent given to this wallet were not asked
// for, since too many others could not be read before them. Opening it by its id or
// its share code asks for them.
type UnreadError struct{ Consent contract.ID }

func (e *UnreadError) Error() string { return "terms of consent " + e.Consent.String() + " not read" }

// MissingError says that the store no longer, or never, held a payload.
type MissingError struct {
	What string // "terms", "envelope", "content", "metadata"
	ID   contract.ID
}

func (e *MissingError) Error() string {
	return e.What + " of " + e.ID.String() + " is not in the store"
}

// NothingError says that nothing on a ledger is a key's: no record, no consent
// given or received.
type NothingError struct {
	Ledger  crypto.LedgerID
	Entries uint64 // of the ledger, all of which were looked at
}

func (e *NothingError) Error() string {
	return fmt.Sprintf("nothing of this key among %d entries of ledger %s", e.Entries, e.Ledger)
}

// ForeignBackupError says that a folder holds the backup of another wallet.
type ForeignBackupError struct{ Dir string }

func (e *ForeignBackupError) Error() string { return e.Dir + " is a backup of another wallet" }

// UnsafeError says that removing a profile could lose what is in it.
type UnsafeError struct {
	Words   bool // the words were not checked within a year
	Backup  bool // a ledger of the profile was not backed up within 30 days
	Waiting bool // something that was signed waits, and would never be sent
}

func (e *UnsafeError) Error() string { return "not backed up and checked" }

// FileExistsError says that a file would be overwritten.
type FileExistsError struct {
	Path    string
	Special bool // it is a folder, a device or the like, which is never overwritten
}

func (e *FileExistsError) Error() string { return e.Path + " exists" }

// WithdrawnError says that a record was removed.
type WithdrawnError struct{ Record contract.ID }

func (e *WithdrawnError) Error() string { return "record " + e.Record.String() + " was removed" }

// PartlyError says that some of several things failed; the rest is done.
type PartlyError struct {
	Done, Failed int
	First        error
}

func (e *PartlyError) Error() string {
	return fmt.Sprintf("%d done, %d failed: %v", e.Done, e.Failed, e.First)
}
func (e *PartlyError) Unwrap() error { return e.First }

// What goes wrong, as codes: see package fault.
const (
	ErrWalletExists  fault.Code = "wallet-exists"
	ErrNameTaken     fault.Code = "name-taken"            // it stands for another address
	ErrExists        fault.Code = "exists"                // what should be made: "folder", for instance. what
	ErrNoWallet      fault.Code = "no-wallet"             // in dir
	ErrNotFound      fault.Code = "{noun}-not-found"      // noun; query, what the user typed; like, of a contact: one whose name looks like it
	ErrAmbiguous     fault.Code = "ambiguous-id"          // a prefix fits several ids. query; matches, full ids, at most ten
	ErrInput         fault.Code = "bad-{field}"           // a value that the user gave. field ("purpose", "until", "name" …), value, why
	ErrEmpty         fault.Code = "nothing-selected/{of}" // a selection holds nothing. of: "record"
	ErrOtherWallet   fault.Code = "another-wallet"        // an identity for age is of another wallet than the one in its place
	ErrForeignBackup fault.Code = "foreign-backup"        // dir holds the backup of another wallet
	ErrUnsafe        fault.Code = "not-backed-up"         // removing a profile could lose what is in it. words: not checked within a year; backup: a ledger not backed up within 30 days; waiting: what was signed would never be sent
	ErrFileExists    fault.Code = "file-exists"           // path
	ErrSpecialFile   fault.Code = "file-exists/special"   // path is a folder, a device or the like, which is never overwritten
	ErrWithdrawn     fault.Code = "record-removed"        // record
	ErrMissing       fault.Code = "{part}-missing"        // the store no longer, or never, held a payload. part ("terms", "envelope", "content", "metadata"), id
	ErrPartly        fault.Code = "partly-done"           // done, failed; the first failure is the cause

	ErrNotYours       fault.Code = "not-yours"          // consent is not addressed to this wallet
	ErrNotGiver       fault.Code = "not-yours/received" // only its giver may do this to consent
	ErrNotRecipient   fault.Code = "not-yours/given"    // only its recipient may do this to consent
	ErrUnread         fault.Code = "unread"             // the terms of consent were not asked for, since too many others could not be read before them; opening it by its id or its share code asks for them
	ErrForeignCode    fault.Code = "foreign-code"       // a share code of another ledger. code, wallet
	ErrCodeHistory    fault.Code = "code-history"       // the head in a share code is none that the ledger shows, and nobody signs a share code; the cause is a fork or a rollback
	ErrForkProved     fault.Code = "fork-proved"        // the cause is a fork of the ledger, and file the proof of it
	ErrNothing        fault.Code = "nothing-restored"   // nothing on a ledger is a key's. ledger, entries of it, all of which were looked at
	ErrDefaultLedger  fault.Code = "default-ledger"     // a wallet stays on the ledger that is meant when none is named. ledger
	ErrChangesWait    fault.Code = "changes-wait"       // a wallet stays on a ledger for which something signed waits. ledger, changes
	ErrSomethingWaits fault.Code = "changes-wait/begun" // the same, where they cannot be counted. ledger

	ErrKeyLeft    fault.Code = "key-left"        // the key was moved, and its copy could not be removed. kind of the place where it still is
	ErrKeyMayLeft fault.Code = "key-left/maybe"  // nothing was moved this time: whether a copy is there is not known. kind
	ErrLeftBehind fault.Code = "key-left-behind" // a keyring failed to take a key, and may hold it all the same

	ErrBusy     = home.ErrBusy
	ErrVersion  = home.ErrVersion
	ErrDamaged  = home.ErrDamaged
	ErrWrongKey = home.ErrWrongKey
)

// isTampered returns what of an error says that something does not verify. No
// answer is no verdict.
func isTampered(err error) *ledgerclient.TamperedError {
	if ledgerclient.Unreachable(err) != nil {
		return nil
	}
	var t *ledgerclient.TamperedError
	if errors.As(err, &t) {
		return t
	}
	return nil
}

// is reports whether an error of type E is in err's chain.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func isMissing(err error) bool {
	var m *MissingError
	return errors.As(err, &m)
}
