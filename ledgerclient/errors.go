package ledgerclient

import (
	"errors"
	"fmt"
	"slices"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// NotFoundError says that a service does not hold what was asked for.
type NotFoundError struct {
	What string `json:"what"` // "payload", "entry", "grant", "ledger"
}

func (e *NotFoundError) Error() string { return "no such " + e.What }

// Coded is the error as a code: see package fault.
func (e *NotFoundError) Coded() error { return ErrNotFound.With("what", e.What) }

// UnreachableError says that a service gave no answer, so that nothing is known
// about what it did.
type UnreachableError struct {
	Service  string // "ledger", "store" or "keeper"
	Err      error
	Answered bool // the node is there, and did not do what it was asked for now: other requests it may take
	Damaged  bool // what the answer needs is damaged there: other questions may be answered
	// Undecided: what was submitted may be in the order, or come to be there, and no log shows it
	// yet. To submit it once more hastens nothing.
	Undecided bool
}

// Unreachable returns what of an error says that a service gave no answer; nil if nothing
// does.
func Unreachable(err error) *UnreachableError {
	u, _ := errors.AsType[*UnreachableError](err)
	return u
}

func (e *UnreachableError) Error() string { return e.Service + " out of reach: " + e.Err.Error() }

func (e *UnreachableError) Unwrap() error { return e.Err }

// Coded is the error as a code.
func (e *UnreachableError) Coded() error {
	if e.Undecided {
		return ErrUndecided.Of(e.Err)
	}
	return ErrUnreachable.Of(e.Err, "service", e.Service, "damaged", e.Damaged)
}

// RangeError says that positions were asked for that the log does not have, or
// too many at a time, or a proof at another size than the newest.
type RangeError struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
	Size uint64 `json:"size"` // of the log, in entries
}

func (e *RangeError) Error() string {
	return fmt.Sprintf("no range of the log: from %d to %d of %d entries", e.From, e.To, e.Size)
}

// KeeperError says that a keeper refused a deposit, a revocation or an inquiry.
// (A refused Request is no error: it has a signed Answer.)
type KeeperError struct {
	Grant contract.ID `json:"grant"` // zero when the message names none
	Code  Code        `json:"code"`  // why; never Released
}

func (e *KeeperError) Error() string { return "refused by the keeper: " + e.Code.String() }

// Coded is the error as a code.
func (e *KeeperError) Coded() error { return e.Code.Err("consent", e.Grant) }

// Err is the error of an answer, with further values: an [ErrEnded], or an [ErrKeeper].
func (c Code) Err(args ...any) error {
	code := ErrKeeper
	if c == Revoked || c == Destroyed {
		code = ErrEnded
	}
	return code.With(append(args, "answer", c)...)
}

// StoreError says that a store refused a payload.
type StoreError struct {
	Entry  contract.ID `json:"entry"`
	Part   Part        `json:"part"` // 0: none
	Reason StoreReason `json:"reason"`
}

func (e *StoreError) Error() string {
	return fmt.Sprintf("%s of %s refused by the store: %s", e.Part, e.Entry, e.Reason)
}

// Coded is the error as a code.
func (e *StoreError) Coded() error {
	return ErrStore.With("entry", e.Entry, "part", e.Part, "reason", e.Reason)
}

// StoreReason is why a store refused a payload.
type StoreReason string

// The reasons of a StoreError.
const (
	BadEntry     StoreReason = "entry" // shape or signature does not hold on this ledger
	BadPackage   StoreReason = "package is not what the entry commits to"
	BadBlob      StoreReason = "payload is not what the package lists"
	BadPart      StoreReason = "no such part in an entry of this kind"
	BadLocators  StoreReason = "locators"  // not one or two, equal, or in use for another payload
	Withdrawn    StoreReason = "withdrawn" // the thread was withdrawn on the ledger: its payloads never come back
	NotWithdrawn StoreReason = "not a withdrawal on this ledger"
)

// StoreReasons are all of them.
var StoreReasons = []StoreReason{BadEntry, BadPackage, BadBlob, BadPart, BadLocators, Withdrawn, NotWithdrawn}

// BatchError says that some items of a batch were refused. All others were
// accepted, durably.
type BatchError struct {
	Errs []error // one per item of the batch, nil where it was accepted
}

func (e *BatchError) Error() string {
	errs := e.Unwrap()
	if len(errs) == 0 {
		return "nothing refused"
	}
	return fmt.Sprintf("%d of %d refused, the first: %v", len(errs), len(e.Errs), errs[0])
}

// Unwrap returns the errors of the refused items.
func (e *BatchError) Unwrap() []error {
	return slices.DeleteFunc(slices.Clone(e.Errs), func(err error) bool { return err == nil })
}

const (
	ErrForeign fault.Code = "foreign-ledger" // a ledger is not the one it should be. want, got
	ErrStale   fault.Code = "head-stale"     // the newest head a ledger shows is too old, or of a time that is yet to come: somebody keeps newer ones back, or a clock is wrong. age, by the wallet's clock; negative for a time that is yet to come
	// ErrTooFew: a checkpoint is signed by fewer nodes than make a head. That is the fault
	// of who gave it, and says nothing against the ledger: another may have the rest. have, need
	ErrTooFew fault.Code = "head-undersigned"
	// ErrThreshold: a configuration lets so few nodes sign a head that as many liars as it
	// has nodes to spare could sign two histories. nodes, threshold
	ErrThreshold fault.Code = "threshold-low"
	ErrEvidence  fault.Code = "evidence-invalid"  // bytes are no evidence, or prove nothing. what
	ErrMessage   fault.Code = "malformed/message" // bytes are not the message they should be. message: "deposit", "receipt", "request", "answer", "acknowledgement", "inquiry", "answer to an inquiry", "deposit of a link", "receipt for a link", "answer about a link"
	// ErrSpent: a ledger's order holds an entry and its log does not, and no rule
	// refused it there: something else was taken in at its place. The same bytes never
	// come into the log any more; the same statement, signed anew, does. entry
	ErrSpent fault.Code = "order-spent"
	// ErrQuota: who keeps the order orders nothing more of what is asked for, until the time is
	// over in which as much was ordered as may be: nothing was done. why, in words
	ErrQuota fault.Code = "order-quota"
	// ErrNoLinks: a node takes no links, since browsers do not trust its certificate. reach
	ErrNoLinks fault.Code = "links-untaken"
	// ErrNewerAnswer: what a node says of a link is of a version that is not known yet: nothing of
	// it is read. version
	ErrNewerAnswer fault.Code = "newer-version/link"
)

// The codes of the types.
const (
	ErrUnreachable fault.Code = "{service}-unreachable"  // damaged
	ErrUndecided   fault.Code = "ledger-undecided"       // what was submitted to a ledger may be ordered, and is not shown yet
	ErrNotFound    fault.Code = "{what}-not-found/there" // a service has it not
	ErrKeeper      fault.Code = "{answer}"               // of a keeper, or of a wallet for it. consent
	// ErrEnded is the same where it says that the consent is over: a keeper can be told
	// before the ledger is, so that this is its word, and no log shows it. consent
	ErrEnded    fault.Code = "{answer}/keeper"
	ErrStore    fault.Code = "store-refused"      // entry, part, reason
	ErrRollback fault.Code = "ledger-rolled-back" // pinned, head
	ErrForked   fault.Code = "ledger-forked"      // size
	ErrTampered fault.Code = "{tampered}"         // what; its first word makes the code
)
