package folder

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
)

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

func damagedFile(file, what string) *DamagedError {
	return &DamagedError{File: file, Entry: NoEntry, What: what}
}

func damagedLeaf(i uint64, what string) *DamagedError {
	return &DamagedError{File: leavesFile, Entry: int64(i), What: what}
}

// Coded is the error as a code: the file says it, and of payloads the part.
func (e *DamagedError) Coded() error {
	where := e.File
	if e.Entry != NoEntry {
		where = fmt.Sprintf("entry %d (%s)", e.Entry, e.File)
	}
	code := "index-damaged"
	switch part, _, _ := strings.Cut(e.What, ":"); {
	case e.What == ForeignCheckpoint:
		code = "foreign-checkpoint"
	case e.InStore() && slices.Contains([]string{"metadata", "content", "terms", "envelope", "access"}, part):
		code = part + "-tampered"
	default:
		for _, of := range damaged {
			if strings.HasPrefix(e.File, of.files) {
				code = of.code
			}
		}
	}
	return ErrDamaged.With("damaged", code, "where", where, "what", e.What)
}

// damaged are the codes of what is no payload: of several the last.
var damaged = []struct{ files, code string }{
	{"checkpoint", "checkpoint-tampered"},
	{"signed", "checkpoint-tampered"},   // of a node: what it signed last
	{"withdrawn", "withdrawn-tampered"}, // of a node: the tokens that were taken back
	{"genesis", "configuration-tampered"},
	{"leaves", "entry-tampered"},
	{"keys/", "ledger-key-damaged"},
	{"keeper/", "keeper-damaged"},
	{"keeper/shares", "share-tampered"},
	{"payloads", "store-damaged"},
	{"contents", "store-damaged"},
}

// InStore reports whether payloads are in the file. What then begins with the name of the
// part, if it is one payload that is damaged.
func (e *DamagedError) InStore() bool {
	return strings.HasPrefix(e.File, "payloads") || strings.HasPrefix(e.File, "contents")
}

// RangeError is the ledger's: see there.
type RangeError = ledgerclient.RangeError

// errClosed is returned by the methods of a closed Folder.
var errClosed = errors.New("ledger folder is closed")

// What goes wrong with a folder, as codes: see package fault.
const (
	ErrFormat       fault.Code = "folder-version"      // the files in dir are of another version of carekey. dir, version
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
	ErrDamaged  fault.Code = "{damaged}"        // of a [DamagedError]. where, what
	ErrReplica  fault.Code = "ledger-replica"   // dir takes entries only from its order
	ErrOwnOrder fault.Code = "ledger-own-order" // dir keeps its own order, and follows no other
	// ErrSuccessor: in the order stands a configuration that enough nodes approved, and this
	// version follows none but the first. Nothing behind it is judged. dir
	ErrSuccessor fault.Code = "ledger-successor"
	// ErrNotNamed: a configuration document has no line with these keys, or has them in
	// different lines
	ErrNotNamed fault.Code = "keys-not-named"
)
