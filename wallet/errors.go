package wallet

import (
	"errors"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/outbox"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

var errCommitment = errors.New("not what the entry commits to")

// DamagedError is home's: a file of the wallet's folder cannot be what it was.
type DamagedError = home.DamagedError

// WrongVersion is home's.
func WrongVersion(what string, version, known int) error {
	return home.WrongVersion(what, version, known)
}

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

// Coded is the refusal as a code: that of the contract, or that of the keeper.
func (e *RefusedError) Coded() error {
	args := []any{"consent", e.Consent, "from", e.Window[0], "to", e.Window[1], "filed", e.Filed}
	switch {
	case e.Rule == "":
		return e.Code.Err(args...)
	case e.Giving && e.Rule == contract.RuleExpired:
		return ErrGivenLate.With(args...)
	}
	return contract.ErrRefused.With(append(args, "rule", e.Rule, "sentence", e.Rule.Sentence())...)
}

// What goes wrong, as codes: see package fault.
const (
	ErrWalletExists  fault.Code = "wallet-exists"
	ErrNameTaken     fault.Code = "name-taken"            // it stands for another contact
	ErrBuiltIn       fault.Code = "built-in"              // the name is that of something of the program's own, which stays. name
	ErrExists        fault.Code = "exists"                // what should be made: "folder", for instance. what
	ErrNoWallet      fault.Code = "no-wallet"             // in dir
	ErrNotFound      fault.Code = "{noun}-not-found"      // noun; query, what the user typed; like, what may have been meant, see Like
	ErrAmbiguous     fault.Code = "ambiguous-id"          // the beginning of an id, or a name, fits several. query; matches, full ids, at most ten; over, bool: all are consents that have ended
	ErrInput         fault.Code = "bad-{field}"           // a value that the user gave. field ("purpose", "until", "name" …), value, why
	ErrEmpty         fault.Code = "nothing-selected/{of}" // a selection holds nothing. of: "record", or "part" if nothing of those that are meant may go
	ErrBeyondRole    fault.Code = "beyond-role"           // a consent is for longer, or for something else, than its role. role; days, its longest; purposes, their words
	ErrOtherWallet   fault.Code = "another-wallet"        // an identity for age is of another wallet than the one in its place
	ErrForeignBackup fault.Code = "foreign-backup"        // dir holds the backup of another wallet
	ErrUnsafe        fault.Code = "not-backed-up"         // removing a profile could lose what is in it. words: not checked within a year; backup: a ledger not backed up within 30 days; waiting: what was signed would never be sent
	ErrFileExists    fault.Code = "file-exists"           // path
	ErrSpecialFile   fault.Code = "file-exists/special"   // path is a folder, a device or the like, which is never overwritten
	ErrWithdrawn     fault.Code = "record-removed"        // record
	ErrMissing       fault.Code = "{part}-missing"        // the store no longer, or never, held a payload. part ("terms", "envelope", "content", "metadata"), id
	ErrOtherPerson   fault.Code = "other-person"          // a file is about another person than the owner's records, so far as can be told. person, born: of the file; known, theirs (born): of what it was compared with
	ErrPersons       fault.Code = "other-person/several"  // a file is about more than one; the same, of two of them
	ErrPartly        fault.Code = "partly-done"           // done, failed; the first failure is the cause

	ErrGivenLate      fault.Code = "expired/giving"     // a consent of one's own did not come to the ledger in time
	ErrNotYours       fault.Code = "not-yours"          // consent is not addressed to this wallet
	ErrNotGiver       fault.Code = "not-yours/received" // only its giver may do this to consent
	ErrNotRecipient   fault.Code = "not-yours/given"    // only its recipient may do this to consent
	ErrIsDelivery     fault.Code = "is-delivery"        // what is named is a delivery, and no consent. delivery
	ErrLetter         fault.Code = "is-request"         // what is named asks for something, or answers that, and is no consent. request
	ErrUnread         fault.Code = "unread"             // the terms of consent were not asked for, since too many others could not be read before them; opening it by its id or its fetch code asks for them
	ErrForeignCode    fault.Code = "foreign-code"       // a fetch code of another ledger. code, wallet
	ErrCodeHistory    fault.Code = "code-history"       // the head in a fetch code is none that the ledger shows, and nobody signs a fetch code; the cause is a fork or a rollback
	ErrUnconfirmed    fault.Code = "ledger-unconfirmed" // the ledger's nodes changed while the wallet was away for more than 30 days, and nobody else has said that it is so. ledger, configuration
	ErrNoWay          fault.Code = "keepers-unknown"    // the ledger has several keepers, and the wallet knows no way to each: whoever has the others' shares, too, opens alone. ledger, known, keepers
	ErrOpeners                   = view.ErrOpeners      // the same: who can open what is granted has changed. ledger, configuration, release, keepers
	ErrForkProved     fault.Code = "fork-proved"        // the cause is a fork of the ledger, and file the proof of it
	ErrNothing        fault.Code = "nothing-restored"   // nothing on a ledger is a key's. ledger, entries of it, all of which were looked at
	ErrDefaultLedger  fault.Code = "default-ledger"     // a wallet stays on the ledger that is meant when none is named. ledger
	ErrChangesWait    fault.Code = "changes-wait"       // a wallet stays on a ledger for which something signed waits. ledger, changes
	ErrSomethingWaits fault.Code = "changes-wait/begun" // the same, where they cannot be counted. ledger

	ErrKeyLeft    fault.Code = "key-left"        // the key was moved, and its copy could not be removed. kind of the place where the key is
	ErrKeyMayLeft fault.Code = "key-left/maybe"  // nothing was moved this time: whether a copy is there is not known. kind
	ErrLeftBehind fault.Code = "key-left-behind" // a keyring failed to take a key, and may hold it all the same

	ErrWatched fault.Code = "wallet-busy/watch" // another process fetches by itself with this wallet

	ErrOtherKeepers = outbox.ErrOtherKeepers

	ErrBusy     = home.ErrBusy
	ErrVersion  = home.ErrVersion
	ErrDamaged  = home.ErrDamaged
	ErrTables   = home.ErrTables
	ErrJournal  = home.ErrJournal
	ErrWrongKey = home.ErrWrongKey
)

// badInput says of a value that the user gave why it is none.
func badInput(field, value, why string) error {
	return ErrInput.With("field", field, "value", value, "why", why)
}

// tampered says why something of a record or a consent does not verify.
func tampered(what string, id contract.ID, why error) error {
	if errors.Is(why, crypto.ErrKeyLocked) {
		return why // nothing was looked at
	}
	return &ledgerclient.TamperedError{What: what + " " + id.String(), Err: why}
}

// notRead is tampered of what somebody asked for by name: that it is of another carekey is
// said, since nobody need have changed it.
func notRead(what string, id contract.ID, why error) error {
	if e, ok := fault.As(why, ErrVersion); ok {
		return payload.ErrVersion.With("age", e.Value("age"), "what", what+" "+id.String(), "version", e.Value("version"))
	}
	return tampered(what, id, why)
}

// isTampered reports whether an error says that something does not verify. No answer is
// no verdict.
func isTampered(err error) bool {
	return is[*ledgerclient.TamperedError](err) && ledgerclient.Unreachable(err) == nil
}

// is reports whether an error of type E is in err's chain.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func isMissing(err error) bool {
	return errors.Is(err, ErrMissing)
}

// notConsent is why a letter is not opened or ended as a consent is.
func notConsent(v *view.View, t *view.Thread) error {
	l, err := v.Letter(t)
	switch {
	case err != nil:
		return err
	case l != nil && l.Kind == payload.LetterDeliver:
		return ErrIsDelivery.With("delivery", t.ID)
	}
	return ErrLetter.With("request", t.ID)
}
