package folder

import (
	"fmt"
	"strconv"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

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

// NoLedgerError says that a folder holds no ledger, or does not exist.
type NoLedgerError struct{ Dir string }

func (e *NoLedgerError) Error() string { return "no ledger in " + e.Dir }

// NetworkFSError says that a folder lies on a network file system, where locks
// and fsync cannot be relied upon.
type NetworkFSError struct {
	Dir string
	FS  string // kind of file system: "nfs", "cifs", …
}

func (e *NetworkFSError) Error() string { return e.Dir + " is on a network file system: " + e.FS }

// ReadOnlyError says that a folder can be read but not written. Err tells a
// read-only file system (EROFS) from missing permission (EACCES, EPERM).
type ReadOnlyError struct {
	Dir string
	Err error
}

func (e *ReadOnlyError) Error() string { return "ledger is read-only: " + e.Err.Error() }

func (e *ReadOnlyError) Unwrap() error { return e.Err }

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

// BusyError says that other processes held the folder's lock all the time.
type BusyError struct {
	Dir    string
	Waited time.Duration
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("ledger in %s is in use by another process (waited %s)", e.Dir, e.Waited)
}

// ClockError says that the clock is so far past the last entry that it is not
// believed without a word from a person: ledger time never goes back, so that
// one entry at a wrong hour ends every consent whose window that hour is past.
type ClockError struct{ Last, Now contract.Hour }

func (e *ClockError) Error() string {
	return fmt.Sprintf("clock is %d hours past the last entry", e.Now-e.Last)
}

// RangeError is the ledger's: see there.
type RangeError = ledgerclient.RangeError

// errClosed is returned by the methods of a closed Folder.
type errClosed struct{}

func (errClosed) Error() string { return "ledger folder is closed" }
