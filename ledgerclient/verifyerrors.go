package ledgerclient

import (
	"fmt"

	"github.com/carekey/carekey/crypto"
)

// RollbackError says that a ledger shows an older head than one seen before.
type RollbackError struct{ Pinned, Head uint64 } // sizes, in entries

func (e *RollbackError) Error() string {
	return fmt.Sprintf("ledger shows %d entries, but had %d before", e.Head, e.Pinned)
}

// ForkError says that a ledger shows another history than the one seen before.
type ForkError struct {
	Size         uint64      // in entries, where the histories are compared
	Pinned, Head crypto.Hash // the root seen before and, if it is of the same size, the one shown now
	// Evidence proves it to others, where both heads are at hand with the ledger's
	// signature and the ledger shows what led to the newer one; otherwise nil.
	Evidence *Evidence
}

func (e *ForkError) Error() string {
	return fmt.Sprintf("ledger shows another history: the log of size %d is not the one seen before", e.Size)
}

// TamperedError says that something does not verify, and what.
type TamperedError struct {
	What string // names no person and no content: "entry 17", "checkpoint", "terms"
	Err  error  // why; may be nil
}

func (e *TamperedError) Error() string {
	if e.Err == nil {
		return e.What + " does not verify"
	}
	return e.What + " does not verify: " + e.Err.Error()
}

func (e *TamperedError) Unwrap() error { return e.Err }
