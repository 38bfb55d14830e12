package folder

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// ErrFormat: the files in dir are of another version of carekey. dir, version
const ErrFormat fault.Code = "folder-version"

// ExistsError says that a ledger cannot be created in a folder because the
// folder is not empty.
type ExistsError struct {
	Dir    string
	Ledger bool // what is in it is a ledger
}

func (e *ExistsError) Error() string {
	if e.Ledger {
		return "there is a ledger in " + e.Dir
	}
	return "not empty: " + e.Dir
}

// Unwrap returns the code that is to take the place of the type.
func (e *ExistsError) Unwrap() error {
	if e.Ledger {
		return ErrLedgerExists.With("dir", e.Dir)
	}
	return ErrNotEmpty.With("dir", e.Dir)
}

// NoLedgerError says that a folder holds no ledger, or does not exist.
type NoLedgerError struct{ Dir string }

func (e *NoLedgerError) Error() string { return "no ledger in " + e.Dir }

// Unwrap returns the code that is to take the place of the type.
func (e *NoLedgerError) Unwrap() error {
	return ErrNoLedger.With("dir", e.Dir)
}

// NetworkFSError says that a folder lies on a network file system, where locks
// and fsync cannot be relied upon.
type NetworkFSError struct {
	Dir string
	FS  string // kind of file system: "nfs", "cifs", …
}

func (e *NetworkFSError) Error() string { return e.Dir + " is on a network file system: " + e.FS }

// Unwrap returns the code that is to take the place of the type.
func (e *NetworkFSError) Unwrap() error {
	return ErrNetworkFS.With("dir", e.Dir, "fs", e.FS)
}

// ReadOnlyError says that a folder can be read but not written. Err tells a
// read-only file system (EROFS) from missing permission (EACCES, EPERM).
type ReadOnlyError struct {
	Dir string
	Err error
}

func (e *ReadOnlyError) Error() string { return "ledger is read-only: " + e.Err.Error() }

func (e *ReadOnlyError) Unwrap() error { return ErrReadOnly.Of(e.Err, "dir", e.Dir) }

// NoEntry stands in DamagedError.Entry when damage is not that of one entry.
const NoEntry = -1

// DamagedError says that the bytes in the folder are not what this ledger's
// software wrote, or that somebody changed them.
type DamagedError struct {
	File  string // path inside the folder, with slashes
	Entry int64  // position of the damaged entry, or NoEntry
	What  string // what is wrong with it
}

func (e *DamagedError) Error() string {
	s := e.File + " is damaged"
	if e.Entry != NoEntry {
		s += " at entry " + strconv.FormatInt(e.Entry, 10)
	}
	return s + ": " + e.What
}

// InStore reports whether payloads are in the file. What then begins with the name of the
// part, if it is one payload that is damaged.
func (e *DamagedError) InStore() bool {
	return strings.HasPrefix(e.File, "payloads") || strings.HasPrefix(e.File, "contents")
}

// BusyError says that other processes held the folder's lock all the time.
type BusyError struct {
	Dir    string
	Waited time.Duration
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("ledger in %s is in use by another process (waited %s)", e.Dir, e.Waited)
}

// Unwrap returns the code that is to take the place of the type.
func (e *BusyError) Unwrap() error {
	return ErrBusy.With("dir", e.Dir, "waited", e.Waited)
}

// ClockError says that the clock is so far past the last entry that it is not
// believed without a word from a person: ledger time never goes back, so that
// one entry at a wrong hour ends every consent whose window that hour is past.
type ClockError struct{ Last, Now contract.Hour }

func (e *ClockError) Error() string {
	return fmt.Sprintf("clock is %d hours past the last entry", e.Now-e.Last)
}

// Unwrap returns the code that is to take the place of the type.
func (e *ClockError) Unwrap() error {
	return ErrClock.With("last", e.Last, "now", e.Now)
}

// RangeError is the ledger's: see there.
type RangeError = ledgerclient.RangeError

// errClosed is returned by the methods of a closed Folder.
type errClosed struct{}

func (errClosed) Error() string { return "ledger folder is closed" }

// What goes wrong with a folder, as codes: see package fault. The program's tables have a
// row for each; the types that say the same today become them.
const (
	ErrNotEmpty     fault.Code = "folder-not-empty"    // a ledger cannot be created in dir
	ErrLedgerExists fault.Code = "ledger-exists"       // the same, and what is in dir is a ledger
	ErrNoLedger     fault.Code = "ledger-missing"      // dir holds no ledger, or does not exist
	ErrNetworkFS    fault.Code = "network-file-system" // dir lies on one, where locks and fsync cannot be relied upon. dir, fs: "nfs", "cifs", …
	ErrReadOnly     fault.Code = "ledger-read-only"    // dir can be read but not written; the cause tells a read-only file system (EROFS) from missing permission (EACCES, EPERM)
	ErrBusy         fault.Code = "ledger-busy"         // other processes held the folder's lock all the time. dir, waited
	// ErrClock: the clock is so far past the last entry that it is not believed without a
	// word from a person: ledger time never goes back, so that one entry at a wrong hour
	// ends every consent whose window that hour is past. last, now
	ErrClock    fault.Code = "clock-doubtful"
	ErrReplica  fault.Code = "ledger-replica"   // dir takes entries only from its order
	ErrOwnOrder fault.Code = "ledger-own-order" // dir keeps its own order, and follows no other
)
