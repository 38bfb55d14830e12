package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/order"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// This file and those named exit_ are the one place where errors become words and
// exit codes.

// The exit codes.
const (
	exitDone        = 0   // done, or nothing to do
	exitUnexpected  = 1   // unexpected, disk full, read-only
	exitUsage       = 2   // wrong usage, or an answer is missing
	exitRefused     = 3   // not yet, expired, revoked, not yours, the person said no
	exitLocked      = 4   // keyring locked or absent, wrong passphrase
	exitUnreachable = 5   // ledger, store or keeper out of reach
	exitTampered    = 6   // verification failed
	exitNotFound    = 7   // not found, share code of another ledger
	exitPartly      = 8   // partly done
	exitInterrupted = 130 // interrupted
)

const exitStatus = `EXIT STATUS
  0    done, or nothing to do
  1    unexpected: disk full, read-only, and the like
  2    wrong usage, or an answer is missing
  3    refused: not yet, expired, revoked, not yours, or you said no
  4    the keyring is locked or absent, or the passphrase is wrong
  5    ledger, store or keeper out of reach
  6    verification failed: tampered, truncated, another or an older ledger
  7    not found, or a share code of another ledger
  8    partly done, or not all of it could be had
  130  interrupted`

// failure is an error in words.
type failure cli.Failure

// fileFailure is the failure of a file with all that is wrong with it.
type fileFailure struct {
	failure
	Problems []problemJSON `json:"problems"` // the first hundred
}

type problemJSON struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Field  string `json:"field,omitempty"`
	Value  string `json:"value,omitempty"`
	Why    string `json:"why"`
}

// report prints err and returns the exit code.
func (a *app) report(err error, args []string) int {
	if err == nil {
		return exitDone
	}
	f := explain(err)
	f.Hint = a.ours(f.Hint)
	if a.flags.json || slices.Contains(args, "--json") { // also when the command line itself was wrong
		if e, ok := errors.AsType[*batch.LinesError](err); ok {
			problems := list(e.Problems, func(p batch.Problem) problemJSON {
				return problemJSON{e.File, p.Line, p.Column, p.Field, p.Value, p.Why}
			})
			cli.WriteJSON(a.err, map[string]fileFailure{"error": {f, problems}}, false)
			return f.Exit
		}
		cli.WriteJSON(a.err, map[string]failure{"error": f}, false)
		return f.Exit
	}
	if errors.Is(err, errDeclined) || is[*findingsError](err) { // an answer and a report: nothing failed
		fmt.Fprintln(a.err, sentence(f.Message)+".")
		return f.Exit
	}
	cli.Failure(f).Print(a.err)
	return f.Exit
}

// Errors of the command line itself.

func usage(message, hint string) error { return cli.Usage(message, hint) }

// needError says that a person would have to be asked, and there is none.
type needError struct {
	What     string // "for ..." or a noun
	Question string // that would have been asked, or ""
	Flag     string // that answers
}

func (e *needError) Error() string { return "needs an answer: " + e.What }

// errDeclined: the person said no.
var errDeclined = errors.New("declined")

// errBinary: a terminal is no place for these bytes.
var errBinary = errors.New("binary data to a terminal")

// otherLedgerError says that the ledger named on the command line is not the
// wallet's.
type otherLedgerError struct {
	ledgerclient.ForeignLedgerError
}

// passphraseFileError says that the file or descriptor with the passphrase cannot
// be read; name is what named it.
type passphraseFileError struct {
	name string
	err  error
}

func (e *passphraseFileError) Error() string { return "passphrase file: " + e.err.Error() }
func (e *passphraseFileError) Unwrap() error { return e.err }

// badBackupError says that the log of the ledger in a backup is not what was written.
type badBackupError struct {
	dir string
	err error // a *folder.DamagedError
}

func (e *badBackupError) Error() string { return e.dir + ": " + e.err.Error() }
func (e *badBackupError) Unwrap() error { return e.err }

// keptError is an error after something was signed: it waits in the journal.
type keptError struct{ error }

func (e *keptError) Unwrap() error { return e.error }

// enteredError is an interruption after which the ledger was longer than before.
type enteredError struct{ error }

func (e *enteredError) Unwrap() error { return e.error }

// noLedgerError says that init was not told to make a ledger.
type noLedgerError struct{ dir string }

func (e *noLedgerError) Error() string { return "no ledger in " + e.dir }

// is tells whether an error of type E is in err's chain.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// onLedgerError is an error of one of several ledgers that a command looked at.
type onLedgerError struct {
	error
	title string
	id    crypto.LedgerID
}

func (e *onLedgerError) Unwrap() error { return e.error }

// explain turns an error into words. The outermost known type decides.
func explain(err error) failure {
	if s, ok := errors.AsType[*batchStoppedError](err); ok {
		f := explain(s.err)
		if k, kept := errors.AsType[*keptError](err); kept && !errors.Is(s.err, k) {
			f = explain(&keptError{s.err})
		}
		if f.Exit == exitInterrupted {
			f.Message = "stopped"
		}
		f.Message = fmt.Sprintf("%s; %s of %s are done", f.Message, thousands(s.done), many(s.items, "item", "items"))
		if s.results != "" {
			f.Hint = strings.TrimSpace(f.Hint + "\nonly their results could not be written: carekey batch resume --results " + cli.Quote(s.results))
			return f
		}
		f.Hint = strings.TrimSpace(f.Hint + "\ngo on where it stopped: carekey batch resume")
		return f
	}
	if k, ok := errors.AsType[*keptError](err); ok {
		f := explain(k.error)
		if f.Exit == exitInterrupted {
			f.Message = "stopped after something was signed"
		}
		f.Hint = strings.TrimSpace(f.Hint + "\nA change that was signed waits in your wallet; every carekey command tries again to finish it.")
		return f
	}
	if e, ok := errors.AsType[*wallet.EvidenceError](err); ok {
		f := explain(e.Err)
		f.Hint = strings.TrimSpace(f.Hint + "\nProof that others can check is in " + e.File + "; they need no wallet for it:\n" + theirs + "ledger evidence FILE")
		return f
	}
	if e, ok := errors.AsType[*syncError](err); ok {
		f := explain(e.err)
		if f.Exit == exitUnreachable {
			f.Hint = "what waits goes out by itself with any later command that reaches the ledger"
		}
		return f
	}
	if e, ok := fault.As(err, wallet.ErrPending); ok {
		why, hint := explain(e.Err), "it goes out by itself, once, with the next command that reaches the ledger; to try now: carekey sync"
		if strings.HasPrefix(why.Code, "node-") { // the node is there and does not take it
			hint = why.Hint + "\n" + hint
		}
		if u, ok := errors.AsType[*ledgerclient.UnreachableError](err); ok && u.Damaged { // not of a node that may come to itself
			return failure{why.Code, "signed, but not finished: " + why.Message, why.Hint + "\nafter that: carekey sync", exitTampered}
		}
		return failure{"pending", "signed, but it waits in your wallet: " + why.Message, hint, exitUnreachable}
	}
	if e, ok := errors.AsType[*incompleteError](err); ok {
		const each = "--json says it of each consent, in the field missing"
		if why := explain(e.why); why.Exit == exitTampered {
			return failure{why.Code, incompleteText(e), why.Hint + "\n" + each, exitTampered}
		}
		return failure{"incomplete", incompleteText(e), "try again later; " + each, exitPartly}
	}
	if p, ok := errors.AsType[*wallet.PartlyError](err); ok {
		f := explain(p.First)
		return failure{"partly-done", fmt.Sprintf("%d done, %d failed; the first: %s", p.Done, p.Failed, f.Message), f.Hint, exitPartly}
	}
	if e, ok := errors.AsType[*onLedgerError](err); ok {
		f := explain(e.error)
		f.Message = e.title + ": " + f.Message
		f.Hint = strings.ReplaceAll(f.Hint, "carekey ledger verify", "carekey --ledger "+short(e.id)+" ledger verify")
		return f
	}
	for _, known := range []func(error) (failure, bool){explainCommand, explainWallet, explainKeyring, explainVerification, explainOrder, explainLedger, explainText, explainSystem} {
		if f, ok := known(err); ok {
			return f
		}
	}
	return failure{"unexpected", err.Error(), "", exitUnexpected}
}

func explainCommand(err error) (failure, bool) {
	if is[*enteredError](err) {
		return failure{"interrupted", "stopped, after something was entered on the ledger; no file was left half-written", "see what holds: carekey status, carekey inbox", exitInterrupted}, true
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, ui.ErrCanceled):
		return failure{"interrupted", "stopped before anything was changed", "", exitInterrupted}, true
	case errors.Is(err, errDeclined):
		return failure{"declined", "you said no: nothing was changed", "", exitRefused}, true
	case errors.Is(err, errBinary):
		return failure{"binary-to-terminal", "the record is not text, and a terminal is no place for it", "write it to a file with -o FILE, or pipe it to a program", exitUsage}, true
	case errors.Is(err, ui.ErrPlainTerminal):
		return failure{"plain-terminal", "this terminal cannot show the words and take them back", "write them to a file with --words-file FILE", exitUsage}, true
	case errors.Is(err, ui.ErrWordsDiffer):
		return failure{"words-differ", "these are not the words of this wallet", "look for the right paper: without its words nobody can bring this wallet back\nwrite them down anew: carekey words show", exitRefused}, true
	case errors.Is(err, ui.ErrPassphrasesDiffer):
		return failure{"passphrases-differ", "the two passphrases were not the same", "begin again, and type the same twice", exitUsage}, true
	}
	if e, ok := errors.AsType[*custodyError](err); ok {
		return e.failure, true
	}
	if e, ok := errors.AsType[*findingsError](err); ok {
		return failure{"findings", "something needs you: see above", "", e.exit}, true
	}
	if e, ok := errors.AsType[*cli.UsageError](err); ok {
		return failure{"usage", e.Message, e.Hint, exitUsage}, true
	}
	if e, ok := errors.AsType[*needError](err); ok {
		m := "an answer is needed, and there is no terminal to ask on: " + e.What
		if e.Question != "" {
			m = "an answer is needed, and there is no terminal to ask on: " + e.Question
		}
		return failure{"answer-needed", m, "answer with " + e.Flag, exitUsage}, true
	}
	if e, ok := errors.AsType[*otherLedgerError](err); ok {
		return failure{"another-ledger", fmt.Sprintf("this wallet is on ledger %s, and the one you named is %s", short(e.Want), short(e.Got)),
			"leave out --ledger and " + envLedger + ", or join that ledger too: carekey ledger join (INVITATION | DIR)", exitUsage}, true
	}
	if e, ok := errors.AsType[*noLedgerError](err); ok {
		return failure{"no-ledger", "there is no ledger in " + e.dir, "to make a new one there, add --new-ledger", exitUsage}, true
	}
	if e, ok := errors.AsType[*passphraseFileError](err); ok {
		return failure{"passphrase-file", "the passphrase file cannot be read: " + cli.System(e.err), "check " + e.name, exitLocked}, true
	}
	return failure{}, false
}

func explainWallet(err error) (failure, bool) {
	if e, ok := errors.AsType[*wallet.RefusedError](err); ok {
		return explainRefusal(e), true
	}
	if e, ok := errors.AsType[*wallet.ExistsError](err); ok {
		switch e.What {
		case "wallet":
			return failure{"wallet-exists", "there is a wallet here already", "see it with: carekey status\nfor another one, choose a name: carekey --profile NAME init ...", exitRefused}, true
		case "contact":
			return failure{"name-taken", "that name already stands for another address", "choose another name, or remove the old one first: carekey contact remove NAME", exitRefused}, true
		}
		return failure{"exists", "there is already a " + e.What, "choose another place, or move what is there out of the way", exitRefused}, true
	}
	if e, ok := errors.AsType[*wallet.NoWalletError](err); ok {
		if _, begun := wallet.Restoring(e.Dir); begun {
			return failure{"no-wallet", "there is no wallet yet: a restore into " + e.Dir + " was interrupted", "to go on with it, the same again: carekey restore --ledger ...", exitNotFound}, true
		}
		if _, begun := wallet.Removing(e.Dir); begun {
			return failure{"no-wallet", "this wallet is being removed: the removal of " + e.Dir + " was interrupted", "to end it, the same again: carekey profile remove PROFILE", exitNotFound}, true
		}
		if _, begun := wallet.UnfinishedInit(e.Dir); begun {
			return failure{"no-wallet", "there is no wallet yet: an init in " + e.Dir + " was interrupted, and its words are void", "to begin anew, the same again: carekey init --name NAME ...", exitNotFound}, true
		}
		hint := "make one with: carekey init --name NAME"
		if wallet.Headless(e.Dir) {
			hint += "\nif there was one: its wallet.json is gone. Put that back from a copy of the home; or move\nthe folder away and use your 24 words: carekey restore --ledger LEDGER"
		}
		return failure{"no-wallet", "there is no wallet yet (looked in " + e.Dir + ")", hint, exitNotFound}, true
	}
	if e, ok := errors.AsType[*wallet.NotFoundError](err); ok {
		if e.What == "batch" { // there is one at most
			return failure{"batch-not-found", "no batch was applied with this wallet on this ledger", "begin with: carekey batch plan FILE", exitNotFound}, true
		}
		hint := listOf(e.What)
		if e.Like != "" {
			hint = "one that looks like it is " + cli.Quote(cli.Clean(e.Like)) + ": if that is who you mean, name it so\n" + hint
		}
		return failure{e.What + "-not-found", fmt.Sprintf("there is no %s %s", e.What, cli.Quote(e.Query)), hint, exitNotFound}, true
	}
	if e, ok := errors.AsType[*wallet.AmbiguousError](err); ok {
		return failure{"ambiguous-id", fmt.Sprintf("%s is the beginning of several ids", e.Query), "give more of it: " + strings.Join(e.Matches, "\n"), exitUsage}, true
	}
	if e, ok := errors.AsType[*wallet.InputError](err); ok {
		m := fmt.Sprintf("%s %s: %s", e.Field, cli.Quote(cli.Clean(e.Value)), e.Why)
		if e.Value == "" {
			m = e.Field + ": " + e.Why
		}
		return failure{"bad-" + e.Field, m, hintFor(e.Field), exitUsage}, true
	}
	if e, ok := errors.AsType[*batch.LinesError](err); ok {
		return explainLines(e), true
	}
	if errors.Is(err, batch.ErrStalePlan) {
		return failure{"plan-stale", "a consent, a contact or a record that this plan was made on has changed since: nothing was signed", "make the plan anew: carekey batch plan FILE", exitRefused}, true
	}
	if e, ok := fault.As(err, batch.ErrOtherLedger); ok {
		return failure{"plan-foreign", "this plan was made for another ledger, " + short(fault.Get[crypto.LedgerID](e, "ledger")), "name that ledger with --ledger, or make the plan anew: carekey batch plan FILE", exitRefused}, true
	}
	if errors.Is(err, batch.ErrForeignPlan) {
		return failure{"plan-foreign", "this is no plan that this wallet made, or it was changed since: nothing of it was carried out", "make it anew and look at it: carekey batch plan FILE -o plan.json\nrows are applied only from a file whose name ends in .csv or .jsonl", exitTampered}, true
	}
	if errors.Is(err, batch.ErrPruneAll) {
		return failure{"bad-prune", "prune: no row is for this wallet: everything that it gave would end", "", exitUsage}, true
	}
	if errors.Is(err, batch.ErrPruneChanges) {
		return failure{"bad-prune", "prune: a list of changes names no state that everything else could be measured by", "", exitUsage}, true
	}
	if e, ok := fault.As(err, batch.ErrUnfinished); ok {
		return failure{"batch-unfinished", fmt.Sprintf("another batch was begun and has %s left", plural(fault.Get[int](e, "items")-fault.Get[int](e, "done"), "item", "items")), "finish it: carekey batch resume\nor forget what is left of it: carekey batch drop", exitRefused}, true
	}
	if e, ok := errors.AsType[*wallet.EmptyError](err); ok {
		return failure{"nothing-selected", "what you chose holds no " + e.What, listOf(e.What), exitNotFound}, true
	}
	if e, ok := errors.AsType[*wallet.BusyError](err); ok {
		return failure{"wallet-busy", fmt.Sprintf("another carekey is using this wallet (waited %s)", e.Waited), "try again when it is done", exitUnreachable}, true
	}
	if e, ok := errors.AsType[*wallet.VersionError](err); ok {
		if e.Version < e.Known {
			return failure{"older-version", fmt.Sprintf("%s was written by a carekey from before the first release (version %d), which this one cannot read", e.What, e.Version),
				"see with that one what is in it, then make a new wallet: carekey --profile NAME init ...", exitUnexpected}, true
		}
		return failure{"newer-version", fmt.Sprintf("%s was written by a newer carekey (version %d)", e.What, e.Version), "use that carekey", exitUnexpected}, true
	}
	if e, ok := errors.AsType[*payload.VersionError](err); ok && e.Version < payload.Version {
		return explain(&wallet.VersionError{What: "payload", Version: e.Version, Known: payload.Version}), true
	} else if ok {
		return failure{"newer-version", fmt.Sprintf("payload was written by a newer carekey (version %d)", e.Version), "use that carekey", exitUnexpected}, true
	}
	if e, ok := errors.AsType[*badBackupError](err); ok { // before DamagedError, which it wraps
		f := explain(e.err)
		return failure{"backup-damaged", "in the backup, " + e.dir + ": " + f.Message, "use another backup; or the ledger itself, if it is still there: carekey restore --ledger DIR", exitTampered}, true
	}
	if e, ok := errors.AsType[*wallet.DamagedError](err); ok && e.InJournal() {
		return failure{"journal-damaged", "the wallet's file " + e.File + " is not what carekey wrote: what was signed in it may never have been sent",
			"see whether what you did last is there: carekey consent list, carekey record list; do again what is not, then remove the file", exitTampered}, true
	}
	if e, ok := errors.AsType[*wallet.DamagedError](err); ok {
		return failure{"wallet-damaged", "the wallet's file " + e.File + " is not what carekey wrote", "the ledger is not concerned. Put the file back from a copy of the home, if you keep one;\nor move the wallet's folder away (carekey profile list names it) and bring it back with\nyour 24 words: carekey restore --ledger LEDGER", exitTampered}, true
	}
	if is[*wallet.WrongKeyError](err) {
		return failure{"wrong-key", "this is not the key of this wallet", "what the keyring holds was replaced: your 24 words put it back: carekey keyring restore", exitLocked}, true
	}
	if e, ok := errors.AsType[*wallet.KeyLeftError](err); ok {
		if e.Maybe {
			return failure{"key-left", "the key is there already; whether the old place still holds a copy cannot be told: " + explain(e.Err).Message,
				"to have a copy removed, when that is in reach: carekey keyring move " + otherKind(e.Kind), exitPartly}, true
		}
		return failure{"key-left", "the key works from its new place; a copy in the old one could not be removed: " + explain(e.Err).Message,
			"to remove it, when that is in reach: carekey keyring move " + otherKind(e.Kind), exitPartly}, true
	}
	if is[*wallet.OtherWalletError](err) {
		return failure{"another-wallet", "the identity is of another wallet than the one in its place", "print it again: carekey age identity", exitLocked}, true
	}
	if e, ok := errors.AsType[*health.UnmappableError](err); ok {
		return failure{"not-mappable", fmt.Sprintf("consent %s cannot be written as FHIR: %s", short(e.Consent), e.Why), "name the others one by one: carekey consent export --fhir CONSENT ...", exitRefused}, true
	}
	if e, ok := errors.AsType[*wallet.LeaveError](err); ok {
		switch {
		case e.Default:
			return failure{"default-ledger", "ledger " + short(e.Ledger) + " is the one that is meant when none is named", "choose another one first: carekey ledger default LEDGER", exitRefused}, true
		case e.Waiting < 0:
			return failure{"changes-wait", "something that you began on ledger " + short(e.Ledger) + " waits", "see what: carekey sync, carekey batch status", exitRefused}, true
		}
		return failure{"changes-wait", plural(e.Waiting, "change", "changes") + " that you signed for ledger " + short(e.Ledger) + " still wait", "send them first: carekey sync", exitRefused}, true
	}
	if e, ok := errors.AsType[*wallet.NotYoursError](err); ok {
		if e.Received {
			return failure{"not-yours", "consent " + short(e.Consent) + " was given to you, not by you", "only who gave it can do this; what was granted to you: carekey inbox", exitRefused}, true
		}
		if e.Given {
			return failure{"not-yours", "consent " + short(e.Consent) + " is one that you gave: only who it is for can fetch with it", "the records are yours already: carekey record list", exitRefused}, true
		}
		return failure{"not-yours", "consent " + short(e.Consent) + " is not addressed to you", "ask its sender for one; what was granted to you: carekey inbox", exitRefused}, true
	}
	if e, ok := errors.AsType[*wallet.ForeignCodeError](err); ok {
		return failure{"foreign-code", fmt.Sprintf("this share code is of ledger %s, and your wallet is on %s", short(e.Code), short(e.Wallet)),
			"join that ledger first: carekey ledger join (INVITATION | DIR); then the same again", exitNotFound}, true
	}
	if e, ok := errors.AsType[*wallet.UnreadError](err); ok {
		return failure{"unread", "the terms of consent " + short(e.Consent) + " were not read yet: those of too many others cannot be", "look again, or open it if you expect it: carekey fetch " + short(e.Consent), exitPartly}, true
	}
	if e, ok := errors.AsType[*wallet.MissingError](err); ok {
		return failure{e.What + "-missing", fmt.Sprintf("the store does not hold the %s of %s", e.What, short(e.ID)), "it was erased, or the store lost it; ask whoever keeps the ledger", exitNotFound}, true
	}
	if e, ok := errors.AsType[*wallet.FileExistsError](err); ok {
		if e.Special {
			return failure{"file-exists", e.Path + " is there, and is no ordinary file", "name a new file; a folder's name goes before it, as in DIR/FILE", exitUsage}, true
		}
		return failure{"file-exists", "the file exists: " + e.Path, "to overwrite it, add --force", exitUsage}, true
	}
	if e, ok := errors.AsType[*wallet.NothingError](err); ok {
		return failure{"nothing-restored", fmt.Sprintf("the words are valid, but nothing on ledger %s is theirs: none of its %s; no wallet was made", short(e.Ledger), plural(int(e.Entries), "entry", "entries")),
			"is it the right ledger, and are these the words of the wallet that you used on it?\nfor a new wallet: carekey init --name NAME", exitNotFound}, true
	}
	if e, ok := errors.AsType[*wallet.ForeignBackupError](err); ok {
		return failure{"foreign-backup", "the backup in " + e.Dir + " is of another wallet", "choose another folder, or the words of that wallet", exitRefused}, true
	}
	if e, ok := errors.AsType[*wallet.UnsafeError](err); ok {
		return failure{"not-backed-up", unsafeText(e), unsafeHint(e), exitRefused}, true
	}
	if e, ok := errors.AsType[*wallet.WithdrawnError](err); ok {
		return failure{"record-removed", "record " + short(e.Record) + " was removed", "what is there: carekey record list", exitNotFound}, true
	}
	return failure{}, false
}

// unsafeText says why a profile is not removed.
func unsafeText(e *wallet.UnsafeError) string {
	var why []string
	if e.Words {
		why = append(why, "its words were not checked within a year")
	}
	if e.Backup {
		why = append(why, "a ledger of it was not backed up within 30 days")
	}
	if e.Waiting {
		why = append(why, "changes that were signed with it wait to be sent")
	}
	return "removing this wallet could lose something for good: " + strings.Join(why, ", and ")
}

func unsafeHint(e *wallet.UnsafeError) string {
	var do []string
	if e.Waiting {
		do = append(do, "carekey sync")
	}
	if e.Words {
		do = append(do, "carekey words check")
	}
	if e.Backup {
		do = append(do, "carekey backup DIR")
	}
	return "first: " + strings.Join(do, ", then: ")
}

// explainVerification is about everything that does not verify.
func explainVerification(err error) (failure, bool) {
	const do = "do not rely on this ledger until you know why; carekey ledger verify looks at all of it"
	// No answer is no verdict, whatever kept the answer away.
	if e, ok := errors.AsType[*node.CertificateError](err); ok {
		if e.Err != nil {
			return failure{"node-certificate", "no authority that this computer trusts vouches for the ledger's node: " + e.Err.Error(), "ask its operator for a new invitation", exitTampered}, true
		}
		return failure{"node-certificate", "who answers at the address of the ledger's node is not the node of your invitation", "somebody may be listening in between, or the node has a new key: ask its operator for a new invitation", exitTampered}, true
	}
	if e, ok := errors.AsType[*node.AnswerError](err); ok && (e.Why == node.AnswerTooLarge || e.Why == node.AnswerRedirects) {
		// Slowness and a proxy's error page happen; this no honest node does.
		return failure{"answer-" + string(e.Why), "the ledger's node does not keep to its protocol: " + e.Error(), "nothing was lost: ask whoever keeps the node, and do not rely on it until then", exitTampered}, true
	} else if ok {
		return failure{"answer-" + string(e.Why), "the ledger's node gave no answer that can be used: " + e.Error(), "nothing was lost: try again later, or ask whoever keeps the node", exitUnreachable}, true
	}
	if e, ok := errors.AsType[*ledgerclient.UnreachableError](err); ok {
		if e.Damaged && is[*folder.DamagedError](e.Err) {
			return explainVerification(e.Err)
		}
		if isNoLedger(e) { // a folder that is not there: say how to name its new place
			return explainLedger(e)
		}
		if r, ok := errors.AsType[*node.RefusedError](e.Err); ok && explainNode(r).Exit != exitUnreachable {
			f := explainNode(r)
			f.Exit = exitUnreachable
			return f, true
		}
		return failure{e.Service + "-unreachable", "the " + e.Service + " cannot be reached: " + cli.System(e.Err), "try again later", exitUnreachable}, true
	}
	if e, ok := errors.AsType[*ledgerclient.ForeignLedgerError](err); ok {
		return failure{"foreign-ledger", fmt.Sprintf("in the place of your ledger %s there is another one, %s", short(e.Want), short(e.Got)), do, exitTampered}, true
	}
	if e, ok := errors.AsType[*wallet.CodeHistoryError](err); ok {
		m := "the share code was made on another history of the ledger than the one that your wallet is shown, or it is forged"
		if r, ok := errors.AsType[*ledgerclient.RollbackError](e); ok {
			m = fmt.Sprintf("the share code was made when the ledger had %d entries, and your wallet is shown %d: newer ones are kept from it, or the code is forged", r.Pinned, r.Head)
		}
		return failure{"code-history", m, "nobody signs a share code: ask its sender for it in another way. If it is the same, do not rely on this\nledger until you know why, and compare what `carekey ledger info` shows to both of you", exitTampered}, true
	}
	if e, ok := errors.AsType[*ledgerclient.RollbackError](err); ok {
		return failure{"ledger-rolled-back", fmt.Sprintf("the ledger shows %d entries, and there were %d already: it was put back to an older state, or the newer ones are kept from you", e.Head, e.Pinned),
			"if the ledger is yours, restore its newest copy; otherwise ask whoever keeps it, and do not rely on what it shows until then", exitTampered}, true
	}
	if e, ok := errors.AsType[*ledgerclient.StaleHeadError](err); ok {
		m, hint := fmt.Sprintf("the newest head that the ledger shows is %s old: newer entries are kept back, or a clock is wrong", roughly(e.Age)), "check your clock; if it is right, ask whoever keeps the ledger, and do not rely on what it shows until then"
		if e.Age < 0 {
			m = fmt.Sprintf("the newest head of the ledger is signed for %s from now: its clock or yours is wrong", roughly(-e.Age))
		}
		return failure{"head-stale", m, hint, exitTampered}, true
	}
	if e, ok := errors.AsType[*ledgerclient.EvidenceError](err); ok {
		return failure{"evidence-invalid", "the file proves nothing: " + strings.TrimPrefix(e.Error(), "evidence: "), "ask whoever sent it for the whole file", exitTampered}, true
	}
	if e, ok := errors.AsType[*ledgerclient.ForkError](err); ok {
		return failure{"ledger-forked", fmt.Sprintf("the ledger shows another history than your wallet has seen (up to entry %d)", e.Size), do, exitTampered}, true
	}
	if e, ok := errors.AsType[*ledgerclient.TamperedError](err); ok {
		code, said := tamperedCode(e.What), e.Error()
		if code == "foreign-checkpoint" {
			said = "the ledger shows the checkpoint of another ledger"
		}
		return failure{code, said, do, exitTampered}, true
	}
	if e, ok := errors.AsType[*folder.DamagedError](err); ok {
		where := e.File
		if e.Entry != folder.NoEntry {
			where = fmt.Sprintf("entry %d (%s)", e.Entry, e.File)
		}
		return failure{damagedCode(e), fmt.Sprintf("the ledger was changed: %s: %s", where, e.What), do, exitTampered}, true
	}
	if e, ok := errors.AsType[*contract.ConfigError](err); ok {
		return failure{"configuration-tampered", e.Error(), do, exitTampered}, true
	}
	if is[*ledgerclient.MessageError](err) || is[*contract.PackageError](err) || is[*contract.SizeError](err) || is[*crypto.ShareError](err) || is[*crypto.HexError](err) {
		return failure{"malformed", err.Error(), do, exitTampered}, true
	}
	if e, ok := errors.AsType[*crypto.DamagedError](err); ok {
		return failure{"damaged", e.Error(), do, exitTampered}, true
	}
	if is[*crypto.NotForKeyError](err) {
		return failure{"not-for-you", "this was not sealed for your key", "ask its sender whether it was meant for this wallet: carekey address", exitRefused}, true
	}
	return failure{}, false
}

// roughly is a duration as people say it.
func roughly(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return plural(int(d/time.Second), "second", "seconds")
	case d < 2*time.Hour:
		return plural(int(d/time.Minute), "minute", "minutes")
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour", "hours")
	}
	return plural(int(d/(24*time.Hour)), "day", "days")
}

// explainOrder is about an order that the wallet uses itself.
func explainOrder(err error) (failure, bool) {
	if e, ok := errors.AsType[*order.BrokenError](err); ok {
		return failure{"order-broken", fmt.Sprintf("the order of the ledger cannot be followed: at position %d %s", e.Position, e.What),
			"do not rely on it until you know why; ask whoever keeps the order", exitTampered}, true
	}
	if e, ok := errors.AsType[*ledgerclient.SpentError](err); ok {
		return failure{"order-broken", "the order of the ledger cannot be followed: " + e.Error(),
			"do not rely on it until you know why; ask whoever keeps the order; what you asked for was not done: do it again", exitTampered}, true
	}
	if e, ok := errors.AsType[*order.UnknownError](err); ok {
		return failure{"order-unknown", e.Error(), "try again: the same entry is never ordered twice", exitUnreachable}, true
	}
	if e, ok := errors.AsType[*order.ProgramError](err); ok {
		switch e.Fault {
		case order.BadURL:
			return failure{"usage", "that is not the URL of an order", "for foo:anything the program " + order.ProgramPrefix + "foo is started", exitUsage}, true
		case order.Missing:
			return failure{"order-program-missing", "the program that keeps the order of this ledger is not in PATH: " + e.Program,
				"install it from whoever keeps the order, or go to the node: carekey ledger join INVITATION", exitUnreachable}, true
		}
		return failure{"order-program", e.Error(), "nothing was lost: try again later, or ask whoever keeps the order", exitUnreachable}, true
	}
	return failure{}, false
}

func explainLedger(err error) (failure, bool) {
	if e, ok := errors.AsType[*folder.NoLedgerError](err); ok {
		return failure{"ledger-missing", "there is no ledger in " + e.Dir, "was the folder moved? name its new place with --ledger DIR", exitUnreachable}, true
	}
	if e, ok := errors.AsType[*folder.BusyError](err); ok {
		return failure{"ledger-busy", fmt.Sprintf("another program is using the ledger (waited %s)", e.Waited), "try again when it is done", exitUnreachable}, true
	}
	if e, ok := errors.AsType[*folder.ExistsError](err); ok {
		if e.Ledger {
			return failure{"ledger-exists", "there is a ledger in " + e.Dir + " already", "to use it, leave out --new-ledger", exitRefused}, true
		}
		return failure{"folder-not-empty", "the folder " + e.Dir + " is not empty, and holds something else", "choose a new folder", exitRefused}, true
	}
	if e, ok := errors.AsType[*folder.NetworkFSError](err); ok {
		return failure{"network-file-system", fmt.Sprintf("%s is on a network file system (%s), where a ledger is not safe", e.Dir, e.FS), "choose a folder on a disk of this computer", exitRefused}, true
	}
	if e, ok := errors.AsType[*folder.ReadOnlyError](err); ok {
		return failure{"ledger-read-only", "the ledger cannot be written: " + cli.System(e.Err), "check the permissions of " + e.Dir, exitUnexpected}, true
	}
	if e, ok := errors.AsType[*folder.ClockError](err); ok {
		return failure{"clock-doubtful", fmt.Sprintf("your clock says %s, and the ledger's last entry is of %s", day(e.Now), day(e.Last)),
			"if your clock is right, add --accept-clock", exitRefused}, true
	}
	if e, ok := errors.AsType[*folder.ReplicaError](err); ok {
		if !e.Replica {
			return failure{"ledger-own-order", "the ledger in " + e.Dir + " keeps its own order, and follows no other", "name the folder alone, without an order", exitRefused}, true
		}
		return failure{"ledger-replica", "the folder " + e.Dir + " is a copy of an order kept elsewhere: nothing can be entered here", "name the order too: carekey ledger join ORDER --store DIR; or go to the node that serves it, by its operator's invitation", exitRefused}, true
	}
	if e, ok := errors.AsType[*contract.ContractVersionError](err); ok {
		return failure{"newer-contract", e.Error(), "use a newer carekey", exitUnexpected}, true
	}
	if e, ok := errors.AsType[*contract.Refusal](err); ok {
		return explainRefusal(&wallet.RefusedError{By: "ledger", Rule: e.Rule, Hour: e.Hour}), true
	}
	if e, ok := errors.AsType[*ledgerclient.KeeperError](err); ok {
		return explainRefusal(&wallet.RefusedError{By: "keeper", Code: e.Code, Consent: e.Grant}), true
	}
	if e, ok := errors.AsType[*ledgerclient.StoreError](err); ok {
		return failure{"store-refused", e.Error(), "nothing was lost: try again later, or ask whoever keeps the ledger", exitUnexpected}, true
	}
	if e, ok := errors.AsType[*node.RefusedError](err); ok {
		return explainNode(e), true
	}
	if e, ok := errors.AsType[*ledgerclient.NotFoundError](err); ok {
		return failure{e.What + "-not-found", "there is no such " + e.What, "see what there is: carekey status; and whether the ledger is whole: carekey ledger verify", exitNotFound}, true
	}
	return failure{}, false
}

// explainNode is about what a node does not do for reasons of its own.
func explainNode(e *node.RefusedError) failure {
	code, m := "node-"+string(e.Kind), "the ledger's node refused: "+e.Error()
	switch e.Kind {
	case node.KindToken:
		return failure{code, "the ledger's node takes entries only from people it invited", "ask its operator for an invitation with a token", exitRefused}
	case node.KindTooLarge:
		return failure{code, fmt.Sprintf("that is more than the ledger's node takes (%d bytes)", e.Limit), "ask its operator for a higher limit, or go in smaller parts", exitRefused}
	case node.KindNoVersion:
		return failure{code, "the ledger's node speaks another version of the protocol: " + e.Error(), "use a newer carekey, or ask the operator for a newer node", exitUnexpected}
	case node.KindMalformed, node.KindMethod, node.KindNoLength:
		return failure{code, m, "use a newer carekey, or ask the operator for a newer node", exitUnexpected}
	}
	return failure{code, m, "try again later", exitUnreachable}
}

// listOf names the command that lists what was looked for.
func listOf(what string) string {
	switch what {
	case "record":
		return "what is there: carekey record list"
	case "contact":
		return "who is there: carekey contact list"
	case "consent":
		return "what you gave: carekey consent list; what was given to you: carekey inbox"
	case "ledger":
		return "which there are: carekey ledger list"
	}
	return ""
}

func hintFor(field string) string {
	switch field {
	case "record":
		return listOf("record")
	case "consent":
		return listOf("consent")
	case "name":
		return "a name has 1 to 64 characters that can be seen, and begins with no hyphen"
	case "category", "purpose":
		return "the list: carekey grant --help"
	case "from", "until", "for":
		return "how days and times are written: carekey grant --help, under DATES"
	}
	return ""
}

// explainLines lists what is wrong with a file, a line for each.
func explainLines(e *batch.LinesError) failure {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s", many(e.Total, "problem", "problems"), e.File)
	f := failure{Code: "bad-file", Exit: exitUsage, Hint: "nothing was signed; the fields are in: carekey batch --help"}
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "\n%s:%d:%d: ", e.File, p.Line, p.Column)
		named := p.Field
		if p.Value != "" {
			named = strings.TrimSpace(named + " " + cli.Quote(cli.Clean(p.Value)))
		}
		if named != "" {
			b.WriteString(named + ": ")
		}
		b.WriteString(p.Why)
	}
	if n := e.Total - len(e.Problems); n > 0 {
		fmt.Fprintf(&b, "\nand %s more", thousands(n))
	}
	f.Message = b.String()
	return f
}
