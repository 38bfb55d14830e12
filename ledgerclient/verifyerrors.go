package ledgerclient

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/carekey/carekey/crypto"
)

// RollbackError says that a ledger shows an older head than one seen before.
type RollbackError struct{ Pinned, Head uint64 } // sizes, in entries

func (e *RollbackError) Error() string {
	return fmt.Sprintf("ledger shows %d entries, but had %d before", e.Head, e.Pinned)
}

// Coded is the error as a code.
func (e *RollbackError) Coded() error {
	return ErrRollback.With("pinned", e.Pinned, "head", e.Head)
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

// Coded is the error as a code.
func (e *ForkError) Coded() error { return ErrForked.With("size", e.Size) }

// TamperedError says that something does not verify, and what.
type TamperedError struct {
	What string // begins with what it is, and names no person and no content: "entry 17", "checkpoint", "terms"
	Err  error  // why; may be nil
}

func (e *TamperedError) Error() string {
	if e.Err == nil {
		return e.What + " does not verify"
	}
	return e.What + " does not verify: " + e.Err.Error()
}

func (e *TamperedError) Unwrap() error { return e.Err }

// Coded is the error as a code.
func (e *TamperedError) Coded() error {
	first, _, _ := strings.Cut(e.What, " ")
	code := cmp.Or(tampered[e.What], tampered[first], first+"-tampered")
	return ErrTampered.Of(e.Err, "tampered", code, "what", e.What)
}

// tampered are the codes of what is not called after its first word.
var tampered = map[string]string{
	"checkpoint of another ledger": "foreign-checkpoint",
	"remembered head":              "wallet-damaged/head",
	"order":                        "order-broken/order",
	"follow-ups":                   "entries-hidden",
	"leaves":                       "entry-tampered",
	"author":                       "entry-tampered",
	"lock":                         "share-tampered",
	"consistency":                  "proof-tampered",
	"inclusion":                    "proof-tampered",
	"state":                        "proof-tampered",
}
