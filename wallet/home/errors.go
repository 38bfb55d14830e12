package home

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/carekey/carekey/crypto/fault"
)

// BusyError says that another process is using the wallet.
type BusyError struct{ Waited time.Duration }

func (e *BusyError) Error() string { return fmt.Sprintf("wallet busy for %s", e.Waited) }

// VersionError says that something was written by a newer carekey, or by one
// that is too old.
type VersionError struct {
	What    string
	Version int
	Known   int // the version that this carekey reads
}

func (e *VersionError) Error() string { return fmt.Sprintf("%s of version %d", e.What, e.Version) }

// DamagedError says that a file of the wallet cannot be what it was.
type DamagedError struct {
	File string // path inside the wallet's folder
	Err  error
}

func (e *DamagedError) Error() string {
	if e.Err == nil {
		return e.File + " is damaged"
	}
	return e.File + " is damaged: " + e.Err.Error()
}
func (e *DamagedError) Unwrap() error { return e.Err }

// InJournal reports whether the file held changes on their way, and nothing else.
func (e *DamagedError) InJournal() bool { return filepath.Base(filepath.Dir(e.File)) == JournalDir }

// WrongKeyError says that the keyring gave a key that is not this wallet's.
type WrongKeyError struct{}

func (*WrongKeyError) Error() string { return "the key in the keyring is not this wallet's" }

const (
	ErrBusy     fault.Code = "wallet-busy"    // another process has held the wallet's lock all the time. waited
	ErrVersion  fault.Code = "{age}-version"  // something was written by a newer carekey, or by one that is too old. age ("newer", "older"), what, version
	ErrDamaged  fault.Code = "wallet-damaged" // a file of the wallet cannot be what it was. file, its path inside the wallet's folder
	ErrWrongKey fault.Code = "wrong-key"      // the keyring gave a key that is not this wallet's
)
