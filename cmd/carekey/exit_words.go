package main

import (
	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/order"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/keyring"
)

// Errors of the commands themselves.
const (
	errBinary fault.Code = "binary-to-terminal" // a terminal is no place for these bytes
	// errNeed: a person would have to be asked, and there is none. what: the question, or a
	// noun; flag, that answers
	errNeed fault.Code = "answer-needed"
	// errOtherLedger: the ledger named on the command line is not the wallet's. want, got
	errOtherLedger fault.Code = "another-ledger"
	errNoLedger    fault.Code = "no-ledger" // init was not told to make a ledger in dir
	// errPassphraseFile: the file or descriptor with the passphrase cannot be read. name, what
	// named it
	errPassphraseFile fault.Code = "passphrase-file"
	errBadBackup      fault.Code = "backup-damaged"      // the log of the ledger in a backup is not what was written. dir
	errFindings       fault.Code = "findings"            // of the doctor. exit
	errWordsFile      fault.Code = "words-file"          // the words that are wrong were read from a file
	errKept           fault.Code = "kept"                // something was signed before: it waits in the journal
	errEntered        fault.Code = "interrupted/entered" // after an interruption the ledger was longer than before
	errOnLedger       fault.Code = "on-ledger"           // of one of several ledgers that a command looked at. title, id
	errSync           fault.Code = "sync"                // not everything could be synced, which was told already
	errBatchStopped   fault.Code = "batch-stopped"       // done, items; results, where they were to be written
	errIncomplete     fault.Code = "incomplete"          // not all of what was asked for could be had. of, an incomplete

	// Of errors that have a type.
	errLines fault.Code = "bad-file" // of, a *batch.LinesError
	// errRefused: of the contract or of a keeper. consent; from and to, of its window; by, who
	// and why; sentence, of the rule; filed
	errRefused   fault.Code = "{rule}"
	errGivenLate fault.Code = "expired/giving" // a consent of one's own did not come to the ledger in time
	errDamaged   fault.Code = "index-damaged"  // of, a *folder.DamagedError
)

// What is said more than once.
const (
	inAFile = "for a new wallet a passphrase file does without it: " + envKeyring + "=file carekey init ...\n" +
		"for this one, where the keyring is in reach: carekey keyring move file"
	unlockIt = "log in at the desktop, or unlock it here (it reads your login password): gnome-keyring-daemon --unlock\n" +
		"then look: carekey keyring status"
	wordsBringBack = "make it anew from your 24 words: carekey keyring restore\n" +
		"or put " + keyring.FileName + " back, if you keep a copy of it"
	recordsAre     = "what is there: carekey record list"
	consentsAre    = "what you gave: carekey consent list; what was given to you: carekey inbox"
	like           = "[one that looks like it is {like|quote}: if that is who you mean, name it so\n]"
	datesAre       = "how days and times are written: carekey grant --help, under DATES"
	doNotRely      = "do not rely on this ledger until you know why; carekey ledger verify looks at all of it"
	doNotRelyOrder = "do not rely on it until you know why; ask whoever keeps the order"
	nothingLost    = "nothing was lost: try again later, or ask whoever keeps the node"
	newerNode      = "use a newer carekey, or ask the operator for a newer node"
	answerNeeded   = "an answer is needed, and there is no terminal to ask on: {what}"
	dishonest      = "nothing was lost: ask whoever keeps the node, and do not rely on it until then"
	noKeyring      = "the keyring of the operating system cannot be reached"
	locked         = "the keyring of the operating system is locked"
	theClock       = "check your clock; if it is right, ask whoever keeps the ledger, and do not rely on what " +
		"it shows until then"
	wrong           = "{field}[ {value|quote}]: {why}"
	noShare         = "the keeper holds no share of {consent} yet"
	finishes        = "ask its sender to run any carekey command, which finishes what was interrupted"
	couldNotBeTaken = "the ledger's node gave no answer that can be used: "
)

func say(exit int, message, hint string) cli.Row { return cli.Say(exit, message, hint) }

// no is what is said of a refusal.
func no(message, hint string) cli.Row { return say(exitRefused, message+"{filed}", hint) }

// explanations has what people are told of every error: a new error is a code in the package
// that returns it, and a row here. The constants of exit codes are those of EXIT STATUS.
var explanations = cli.Table{Code: coded, Show: show, Rows: map[fault.Code]cli.Row{
	cli.ErrInterrupted: say(exitInterrupted, "stopped before anything was changed", ""),
	errEntered: say(exitInterrupted, "stopped, after something was entered on the ledger; no file was left half-written",
		"see what holds: carekey status, carekey inbox"),
	cli.ErrUsage:    say(exitUsage, "{message}", "{hint}"),
	cli.ErrDeclined: say(exitRefused, "you said no: nothing was changed", ""),
	errBinary: say(exitUsage, "the record is not text, and a terminal is no place for it",
		"write it to a file with -o FILE, or pipe it to a program"),
	ui.ErrPlainTerminal: say(exitUsage, "this terminal cannot show the words and take them back",
		"write them to a file with --words-file FILE"),
	ui.ErrWordsDiffer: say(exitRefused, "these are not the words of this wallet",
		"look for the right paper: without its words nobody can bring this wallet back\n"+
			"write them down anew: carekey words show"),
	ui.ErrPassphrasesDiffer: say(exitUsage, "the two passphrases were not the same",
		"begin again, and type the same twice"),
	errFindings: say(exitRefused, "something needs you: see above", "").Then(findings),
	errNeed:     say(exitUsage, answerNeeded, "answer with {flag}"),
	errOtherLedger: say(exitUsage, "this wallet is on ledger {want}, and the one you named is {got}",
		"leave out --ledger and "+envLedger+", or join that ledger too: carekey ledger join (INVITATION | DIR)"),
	errTry:            say(exitUnexpected, "{why}: {line}", "run that line by itself to see more"),
	errNoLedger:       say(exitUsage, "there is no ledger in {dir}", "to make a new one there, add --new-ledger"),
	errPassphraseFile: say(exitLocked, "the passphrase file cannot be read: {why}", "check {name}"),
	errBadBackup: say(exitTampered, "in the backup, {dir}: {err}",
		"use another backup; or the ledger itself, if it is still there: carekey restore --ledger DIR"),

	errBatchStopped: cli.Row{}.Around(batchStopped),
	errKept:         cli.Row{}.Around(kept),
	errSync:         cli.Row{}.Around(synced),
	errWordsFile:    cli.Row{}.Around(inWordsFile),
	errOnLedger:     cli.Row{}.Around(onLedger),
	errIncomplete: say(exitPartly, "this is not all: {err}.\nMissing: {lacks}",
		"try again later; --json says it of each consent, in the field missing").Around(incompletely),
	wallet.ErrForkProved: cli.Row{}.Around(proved),
	wallet.ErrPending: say(exitUnreachable, "signed, but it waits in your wallet: {err}",
		"it goes out by itself, once, with the next command that reaches the ledger; "+
			"to try now: carekey sync").Around(pending),
	wallet.ErrPartly: say(exitPartly, "{done} done, {failed} failed; the first: {err}", "{hint}").Around(own),
	cli.ErrUnreachable: say(exitUnreachable, "the {service} cannot be reached: {why}",
		"try again later").Around(outOfReach),

	// The wallet.
	wallet.ErrWalletExists: say(exitRefused, "there is a wallet here already",
		"see it with: carekey status\nfor another one, choose a name: carekey --profile NAME init ..."),
	wallet.ErrNameTaken: say(exitRefused, "that name already stands for another address",
		"choose another name, or remove the old one first: carekey contact remove NAME"),
	wallet.ErrExists: say(exitRefused, "there is already a {what}",
		"choose another place, or move what is there out of the way"),
	wallet.ErrNoWallet: say(exitNotFound, "there is no wallet yet (looked in {dir})",
		"make one with: carekey init --name NAME").Then(noWallet),
	wallet.ErrNotFound:  say(exitNotFound, "there is no {noun} {query|quote}", ""),
	"record-not-found":  say(exitNotFound, "there is no record {query|quote}", recordsAre),
	"contact-not-found": say(exitNotFound, "there is no contact {query|quote}", like+"who is there: carekey contact list"),
	"consent-not-found": say(exitNotFound, "there is no consent {query|quote}", consentsAre),
	"ledger-not-found":  say(exitNotFound, "there is no ledger {query|quote}", "which there are: carekey ledger list"),
	"batch-not-found": say(exitNotFound, "no batch was applied with this wallet on this ledger",
		"begin with: carekey batch plan FILE"),
	wallet.ErrAmbiguous: say(exitUsage, "{query} is the beginning of several ids", "give more of it: {matches}"),
	wallet.ErrInput:     say(exitUsage, wrong, ""),
	"bad-record":        say(exitUsage, wrong, recordsAre),
	"bad-consent":       say(exitUsage, wrong, consentsAre),
	"bad-name": say(exitUsage, wrong,
		"a name has 1 to 64 characters that can be seen, and begins with no hyphen"),
	"bad-category":  say(exitUsage, wrong, "the list: carekey grant --help"),
	"bad-purpose":   say(exitUsage, wrong, "the list: carekey grant --help"),
	"bad-from":      say(exitUsage, wrong, datesAre),
	"bad-until":     say(exitUsage, wrong, datesAre),
	"bad-for":       say(exitUsage, wrong, datesAre),
	wallet.ErrEmpty: say(exitNotFound, "what you chose holds no {of}", recordsAre),
	wallet.ErrBusy: say(exitUnreachable, "another carekey is using this wallet (waited {waited})",
		"try again when it is done"),
	wallet.ErrVersion: say(exitUnexpected, "{what} was written by a newer carekey (version {version})",
		"use that carekey"),
	"older-version": say(exitUnexpected,
		"{what} was written by a carekey from before the first release (version {version}), which this one cannot read",
		"see with that one what is in it, then make a new wallet: carekey --profile NAME init ..."),
	wallet.ErrDamaged: say(exitTampered, "the wallet's file {file} is not what carekey wrote",
		"the ledger is not concerned. Put the file back from a copy of the home, if you keep one;\n"+
			"or move the wallet's folder away (carekey profile list names it) and bring it back with\n"+
			"your 24 words: carekey restore --ledger LEDGER").Then(inJournal),
	wallet.ErrWrongKey: say(exitLocked, "this is not the key of this wallet",
		"what the keyring holds was replaced: your 24 words put it back: carekey keyring restore"),
	wallet.ErrOtherWallet: say(exitLocked, "the identity is of another wallet than the one in its place",
		"print it again: carekey age identity"),
	wallet.ErrKeyLeft: say(exitPartly,
		"the key works from its new place; a copy in the old one could not be removed: {err}",
		"to remove it, when that is in reach: carekey keyring move {kind|other}"),
	wallet.ErrKeyMayLeft: say(exitPartly,
		"the key is there already; whether the old place still holds a copy cannot be told: {err}",
		"to have a copy removed, when that is in reach: carekey keyring move {kind|other}"),
	wallet.ErrDefaultLedger: say(exitRefused, "ledger {ledger} is the one that is meant when none is named",
		"choose another one first: carekey ledger default LEDGER"),
	wallet.ErrChangesWait: say(exitRefused, "{changes|change|changes} that you signed for ledger {ledger} still wait",
		"send them first: carekey sync"),
	wallet.ErrSomethingWaits: say(exitRefused, "something that you began on ledger {ledger} waits",
		"see what: carekey sync, carekey batch status"),
	wallet.ErrFileExists: say(exitUsage, "the file exists: {path}", "to overwrite it, add --force"),
	wallet.ErrSpecialFile: say(exitUsage, "{path} is there, and is no ordinary file",
		"name a new file; a folder's name goes before it, as in DIR/FILE"),
	wallet.ErrForeignBackup: say(exitRefused, "the backup in {dir} is of another wallet",
		"choose another folder, or the words of that wallet"),
	wallet.ErrUnsafe: say(exitRefused, "removing this wallet could lose something for good: ", "first: ").Then(unsafe),
	wallet.ErrNothing: say(exitNotFound,
		"the words are valid, but nothing on ledger {ledger} is theirs: none of its {entries|entry|entries}; "+
			"no wallet was made",
		"is it the right ledger, and are these the words of the wallet that you used on it?\n"+
			"for a new wallet: carekey init --name NAME"),

	// Consents, records and batches.
	wallet.ErrNotYours: say(exitRefused, "consent {consent} is not addressed to you",
		"ask its sender for one; what was granted to you: carekey inbox"),
	wallet.ErrNotGiver: say(exitRefused, "consent {consent} was given to you, not by you",
		"only who gave it can do this; what was granted to you: carekey inbox"),
	wallet.ErrNotRecipient: say(exitRefused,
		"consent {consent} is one that you gave: only who it is for can fetch with it",
		"the records are yours already: carekey record list"),
	wallet.ErrForeignCode: say(exitNotFound, "this share code is of ledger {code}, and your wallet is on {wallet}",
		"join that ledger first: carekey ledger join (INVITATION | DIR); then the same again"),
	wallet.ErrCodeHistory: say(exitTampered,
		"the share code was made on another history of the ledger than the one that your wallet is shown, or it is forged",
		"nobody signs a share code: ask its sender for it in another way. If it is the same, do not rely on this\n"+
			"ledger until you know why, and compare what `carekey ledger info` shows to both of you").Then(codeHistory),
	wallet.ErrUnread: say(exitPartly,
		"the terms of consent {consent} were not read yet: those of too many others cannot be",
		"look again, or open it if you expect it: carekey fetch {consent}"),
	wallet.ErrMissing: say(exitNotFound, "the store does not hold the {part} of {id}",
		"it was erased, or the store lost it; ask whoever keeps the ledger"),
	wallet.ErrWithdrawn: say(exitNotFound, "record {record} was removed", recordsAre),
	health.ErrUnmappable: say(exitRefused, "consent {consent} cannot be written as FHIR: {why}",
		"name the others one by one: carekey consent export --fhir CONSENT ..."),
	batch.ErrStalePlan: say(exitRefused,
		"a consent, a contact or a record that this plan was made on has changed since: nothing was signed",
		"make the plan anew: carekey batch plan FILE"),
	batch.ErrOtherLedger: say(exitRefused, "this plan was made for another ledger, {ledger}",
		"name that ledger with --ledger, or make the plan anew: carekey batch plan FILE"),
	batch.ErrForeignPlan: say(exitTampered,
		"this is no plan that this wallet made, or it was changed since: nothing of it was carried out",
		"make it anew and look at it: carekey batch plan FILE -o plan.json\n"+
			"rows are applied only from a file whose name ends in .csv or .jsonl"),
	batch.ErrUnfinished: say(exitRefused, "another batch was begun and has {left|item|items} left",
		"finish it: carekey batch resume\nor forget what is left of it: carekey batch drop"),
	batch.ErrPruneAll: say(exitUsage, "prune: no row is for this wallet: everything that it gave would end",
		"look whether this is the right file and wallet; to end everything: carekey revoke --all"),
	batch.ErrPruneChanges: say(exitUsage,
		"prune: a list of changes names no state that everything else could be measured by",
		"leave out --prune; what a file of changes is: carekey batch --help"),
	errLines:    say(exitUsage, "", "nothing was signed; the fields are in: carekey batch --help").Then(lines),
	errRefused:  no("{by}[: {sentence}]", ""),
	"revoked":   no("{consent} was revoked", "ask the patient for a new one"),
	"destroyed": no("{consent} was revoked", "ask the patient for a new one"),
	"expired":   no("{consent} has ended[, on {to}]", "ask the patient for a new one"),
	errGivenLate: no("the window of {consent} was over before it came to the ledger",
		"give it anew, with a later end"),
	"not-yet":        no("{consent} has not begun[; it begins on {from}]", "try again then"),
	"withdrawn":      no("the record was removed", recordsAre),
	"once-per-hour":  no("it was opened in this hour already", "try again in the next hour"),
	"no-share":       no(noShare, finishes),
	"unknown-grant":  no(noShare, finishes),
	"access-too-old": no("the keeper did not give its share: {rule}", "try again in the next hour"),
	"no-access":      no("the keeper did not give its share: {rule}", "try again in the next hour"),
	"stale-head":     no("the keeper did not give its share: {rule}", "try again in the next hour"),

	// The keyring.
	wallet.ErrLeftBehind: say(exitLocked,
		"the keyring took the key, did not give it back, and may still hold it: there is no wallet",
		"look for items of carekey in the keyring's own program, and delete what no wallet uses; then try again"),
	keyring.ErrNotStored: say(exitLocked, "the keyring took the key and did not give it back: nothing was made",
		"was its prompt dismissed? try again"),
	keyring.ErrNotDeleted: say(exitLocked, "the keyring did not give the key up: {err|it still has it}",
		"unlock it and try again, or delete the item in the keyring's own program"),
	keyring.ErrNoBus: say(exitLocked, noKeyring+": no session bus, as over SSH, in a container or under sudo",
		"log in at the desktop of this computer, and try again\n"+inAFile),
	keyring.ErrNoProvider: say(exitLocked, noKeyring+": no keyring service runs in this session",
		"install and start one, such as gnome-keyring, and try again\n"+inAFile),
	keyring.ErrBrokeOff: say(exitLocked, noKeyring+": the keyring service broke off",
		"try again; if it happens again, log out and in"),
	keyring.ErrUnsupported:  say(exitLocked, noKeyring+": no keyring on this system", inAFile),
	keyring.ErrAbsent:       say(exitLocked, noKeyring, inAFile),
	keyring.ErrLocked:       say(exitLocked, locked, unlockIt),
	keyring.ErrStayedLocked: say(exitLocked, locked+": it did not unlock", unlockIt),
	keyring.ErrDismissed: say(exitLocked, locked+": its prompt was dismissed",
		"try again, and give it the password of your keyring: mostly that of your login"),
	keyring.ErrNoDesktop: say(exitLocked, locked+": there is no desktop on which it could ask for its password", unlockIt),
	keyring.ErrNotAsked: say(exitLocked, locked+": it may not ask for its password because of --no-input",
		"unlock it first, or leave out --no-input"),
	keyring.ErrPromptTimeout: say(exitLocked,
		"the keyring of the operating system asked for its password, and nobody answered within {after}",
		"try again, and answer in its window; it may be behind others or on another screen\n"+
			"more time: "+envPromptTimeout+"=5m carekey ..."),
	keyring.ErrTimeout: say(exitLocked, "the keyring of the operating system did not answer within {after}",
		"look for a window of it that waits for you, and see: carekey keyring status\n"+
			"more time: "+envKeyringTimeout+"=30s carekey ..."),
	"key-missing/file": say(exitLocked, "the key file of this wallet is not there", wordsBringBack),
	keyring.ErrItemNotFound: say(exitLocked,
		"the keyring holds no key for this wallet: another user of this computer made it, or some program removed it",
		"look for it: carekey keyring status\nif it is gone, your 24 words bring it back: carekey keyring restore"),
	keyring.ErrItemExists: say(exitLocked, "there is a key here already, and no wallet that it belongs to",
		"an earlier init may have been interrupted: move the key away, then try again"),
	keyring.ErrItemChanged: say(exitLocked, "what the keyring holds for this wallet was changed by another program",
		"your 24 words put it back: carekey keyring restore"),
	keyring.ErrWrongPassphrase: say(exitLocked, "the passphrase does not open your key file",
		"try again; check "+envPassphrase+" if you use it"),
	keyring.ErrEmptyPassphrase: say(exitLocked, "the passphrase is empty",
		"of a file or a descriptor, the first line is taken"),
	keyring.ErrDamaged:  say(exitLocked, "the key file is damaged", wordsBringBack),
	keyring.ErrTooLarge: say(exitLocked, "the keyring of the operating system takes no item of this size", inAFile),
	keyring.ErrFailed:   say(exitLocked, "keyring: {op} failed: {why}", inAFile),
	keyring.ErrArgument: say(exitLocked, "keyring: malformed {name}", inAFile),

	// What does not verify.
	ledgerclient.ErrForeign: say(exitTampered, "in the place of your ledger {want} there is another one, {got}",
		doNotRely),
	cli.ErrRollback: say(exitTampered,
		"the ledger shows {head} entries, and there were {pinned} already: it was put back to an older state, or "+
			"the newer ones are kept from you",
		"if the ledger is yours, restore its newest copy; otherwise ask whoever keeps it, and do not rely on what "+
			"it shows until then"),
	ledgerclient.ErrStale: say(exitTampered,
		"the newest head that the ledger shows is {age|roughly} old: newer entries are kept back, or a clock is wrong",
		theClock).Then(ahead),
	ledgerclient.ErrEvidence: say(exitTampered, "the file proves nothing: {what}[: {why}]",
		"ask whoever sent it for the whole file"),
	cli.ErrForked: say(exitTampered, "the ledger shows another history than your wallet has seen (up to entry {size})",
		doNotRely),
	cli.ErrTampered:         say(exitTampered, "{what} does not verify[: {why}]", doNotRely).Then(tampered),
	errDamaged:              say(exitTampered, "the ledger was changed: ", doNotRely).Then(damaged),
	contract.ErrConfig:      say(exitTampered, "configuration document, line {line}: want {want}", doNotRely),
	ledgerclient.ErrMessage: say(exitTampered, "not a valid {message}[: {why}]", doNotRely),
	contract.ErrPackage:     say(exitTampered, "that is no {what}", doNotRely),
	contract.ErrSize:        say(exitTampered, "{got} bytes are no {what}", doNotRely),
	crypto.ErrShare:         say(exitTampered, "shares: {fault}", doNotRely),
	crypto.ErrHex:           say(exitTampered, "{what}: not {want} digits of lower-case hexadecimal", doNotRely),
	crypto.ErrDamaged:       say(exitTampered, "{what} is damaged", doNotRely),
	crypto.ErrNotForKey: say(exitRefused, "this was not sealed for your key",
		"ask its sender whether it was meant for this wallet: carekey address"),

	// Ledgers, nodes and orders.
	cli.ErrNotThere: say(exitNotFound, "there is no such {what}",
		"see what there is: carekey status; and whether the ledger is whole: carekey ledger verify"),
	cli.ErrStore: say(exitUnexpected, "{part} of {entry} refused by the store: {reason}",
		"nothing was lost: try again later, or ask whoever keeps the ledger"),
	folder.ErrNoLedger: say(exitUnreachable, "there is no ledger in {dir}",
		"was the folder moved? name its new place with --ledger DIR"),
	folder.ErrFormat: say(exitUnexpected, "the files in {dir} are of version {version}, which this carekey does not read",
		"use the version that wrote it, or begin a new ledger in another folder"),
	folder.ErrBusy: say(exitUnreachable, "another program is using the ledger (waited {waited})",
		"try again when it is done"),
	folder.ErrLedgerExists: say(exitRefused, "there is a ledger in {dir} already", "to use it, leave out --new-ledger"),
	folder.ErrNotEmpty: say(exitRefused, "the folder {dir} is not empty, and holds something else",
		"choose a new folder"),
	folder.ErrNetworkFS: say(exitRefused, "{dir} is on a network file system ({fs}), where a ledger is not safe",
		"choose a folder on a disk of this computer"),
	folder.ErrReadOnly: say(exitUnexpected, "the ledger cannot be written: {why}", "check the permissions of {dir}"),
	folder.ErrClock: say(exitRefused, "your clock says {now}, and the ledger's last entry is of {last}",
		"if your clock is right, add --accept-clock"),
	folder.ErrOwnOrder: say(exitRefused, "the ledger in {dir} keeps its own order, and follows no other",
		"name the folder alone, without an order"),
	folder.ErrReplica: say(exitRefused,
		"the folder {dir} is a copy of an order kept elsewhere: nothing can be entered here",
		"name the order too: carekey ledger join ORDER --store DIR; or go to the node that serves it, by its "+
			"operator's invitation"),
	contract.ErrContractVersion: say(exitUnexpected, "unknown contract version {version}", "use a newer carekey"),
	node.ErrCertificate: say(exitTampered,
		"who answers at the address of the ledger's node is not the node of your invitation",
		"somebody may be listening in between, or the node has a new key: ask its operator for a new invitation"),
	node.ErrAuthority: say(exitTampered, "no authority that this computer trusts vouches for the ledger's node: {why}",
		"ask its operator for a new invitation"),
	node.ErrSlow: say(exitUnreachable, couldNotBeTaken+"the answer does not come, or too slowly", nothingLost),
	node.ErrForeign: say(exitUnreachable, couldNotBeTaken+"the answer is not one of a carekey node (status {status})",
		nothingLost),
	node.ErrTooLarge: say(exitTampered,
		"the ledger's node does not keep to its protocol: the answer is larger than the {limit} bytes that it may have",
		dishonest),
	node.ErrRedirect: say(exitTampered,
		"the ledger's node does not keep to its protocol: the answer points elsewhere, to {to|go}", dishonest),
	cli.ErrNode: say(exitUnreachable, "the ledger's node refused: {title}", "try again later"),
	"node-token": say(exitRefused, "the ledger's node takes entries only from people it invited",
		"ask its operator for an invitation with a token"),
	"node-too-large": say(exitRefused, "that is more than the ledger's node takes ({limit} bytes)",
		"ask its operator for a higher limit, or go in smaller parts"),
	"node-version":   say(exitUnexpected, "the ledger's node speaks another version of the protocol: {title}", newerNode),
	"node-malformed": say(exitUnexpected, "the ledger's node refused: {title}", newerNode),
	"node-method":    say(exitUnexpected, "the ledger's node refused: {title}", newerNode),
	"node-length":    say(exitUnexpected, "the ledger's node refused: {title}", newerNode),
	order.ErrBroken: say(exitTampered, "the order of the ledger cannot be followed: at position {position} {what}",
		doNotRelyOrder),
	ledgerclient.ErrSpent: say(exitTampered,
		"the order of the ledger cannot be followed: entry {entry} is in the order, and its log has something else there",
		doNotRelyOrder+"; what you asked for was not done: do it again").As("order-broken"),
	order.ErrUnknown: say(exitUnreachable, "it is not known whether the entries were ordered: {why}",
		"try again: the same entry is never ordered twice"),
	cli.ErrProgram: say(exitUnreachable, "{program}: {fault}[: {text}]",
		"nothing was lost: try again later, or ask whoever keeps the order"),
	cli.ErrNoProgram: say(exitUnreachable, "the program that keeps the order of this ledger is not in PATH: {program}",
		"install it from whoever keeps the order, or go to the node: carekey ledger join INVITATION"),
	cli.ErrNoURL: say(exitUsage, "that is not the URL of an order",
		"for foo:anything the program "+order.ProgramPrefix+"foo is started"),

	// Texts and files.
	crypto.ErrAddress: say(exitUsage, "the address {fault}", "its owner sees it with: "+theirs+"address"),
	crypto.ErrShareCode: say(exitUsage, "the share code {fault}",
		"copy it alone and whole, or look for the consent yourself: carekey inbox"),
	node.ErrInvitation:  say(exitUsage, "the invitation {fault}", "ask the operator of the node for it again"),
	text.ErrEncoding:    say(exitUsage, "{why}", "text files are UTF-8, or UTF-16 with its mark"),
	crypto.ErrWordCount: say(exitUsage, "{count|word|words} instead of 24", "compare them with your paper"),
	crypto.ErrWord:      say(exitUsage, "word {position} is not in the list", "compare them with your paper"),
	crypto.ErrChecksum: say(exitUsage, "the words do not belong together: one is wrong, or their order",
		"compare them with your paper").Then(suspect),
	cli.ErrNotAFile: say(exitUnexpected, "{path} is {is}, and is in the way",
		"no such thing is opened: move it away, and try again"),
	cli.ErrNoLocks: say(exitUnexpected, "{path}: the file system keeps no locks: {why}",
		"keep carekey's home and its ledger on a disk of this computer"),
	cli.ErrDiskFull: say(exitUnexpected, "the disk is full", "make room and try again"),
	cli.ErrReadOnly: say(exitUnexpected, "[{path}: ]the file system is read-only",
		"make it writable, or name another place"),
	cli.ErrPermission: say(exitUnexpected, "[{path}: ]permission denied", "check who owns it"),
	cli.ErrNoFile:     say(exitNotFound, "[{path}: ]there is no such file", "look at its name and folder"),
	cli.ErrFile:       say(exitUnexpected, "{path}: {why}", "look at the file, and try again"),
}}
