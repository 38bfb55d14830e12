package home

import (
	"path/filepath"

	"github.com/carekey/carekey/crypto/fault"
)

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

// Coded is the error as a code: see package fault.
func (e *DamagedError) Coded() error {
	if e.InJournal() {
		return ErrJournal.Of(e.Err, "file", e.File)
	}
	if e.File == TablesFile {
		return ErrTables.Of(e.Err, "file", e.File)
	}
	return ErrDamaged.Of(e.Err, "file", e.File)
}

// InJournal reports whether the file held changes on their way, and nothing else.
func (e *DamagedError) InJournal() bool { return filepath.Base(filepath.Dir(e.File)) == JournalDir }

// WrongVersion is an [ErrVersion] of what this carekey reads in version known.
func WrongVersion(what string, version, known int) error {
	age := "newer"
	if version < known {
		age = "older"
	}
	return ErrVersion.With("age", age, "what", what, "version", version)
}

const (
	ErrBusy     fault.Code = "wallet-busy"           // another process has held the wallet's lock all the time. waited
	ErrVersion  fault.Code = "{age}-version"         // something was written by a newer carekey, or by one that is too old. age ("newer", "older"), what, version
	ErrDamaged  fault.Code = "wallet-damaged"        // a file of the wallet cannot be what it was. file, its path inside the wallet's folder
	ErrTables   fault.Code = "wallet-damaged/tables" // the same, of imported tables, which no ledger has. file
	ErrJournal  fault.Code = "journal-damaged"       // the same, of changes on their way. file
	ErrWrongKey fault.Code = "wrong-key"             // the keyring gave a key that is not this wallet's
)
