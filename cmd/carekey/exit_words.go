package main

import (
	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/qr"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/keyring"
	"github.com/carekey/carekey/wallet/keyring/agent"
	"github.com/carekey/carekey/wallet/shlink"
)

// What is said more than once.
const (
	inAFile    = "for a new wallet a passphrase file does without it: " + envKeyring + "=file carekey init ...\nfor this one, where the keyring is in reach: carekey keyring move file"
	recordsAre = "what is there: carekey record list"
	doNotRely  = "do not rely on this ledger until you know why; carekey ledger verify looks at all of it"
	untilThen  = ", and do not rely on what it shows until then"
	noKeyring  = "the keyring of the operating system cannot be reached"
	locked     = "the keyring of the operating system is locked"
	wrong      = "{field}[ {value|quote}]: {why}"
	tried      = "{filed|; the patient's audit shows that you tried}"
	unwritten  = "Of {consents|consent|consents} the opening is entered on the ledger, or on its way there, and the files are not all written: {which}. None was left half-written"
	anew       = "[ before {until}, the ledger's time]: in the same hour that enters no opening anew"
)

// explanations has what people are told of every error: a new error is a code in the
// package that returns it, and a row here. The exit codes are those of EXIT STATUS.
var explanations = cli.Table{Show: show, Then: map[fault.Code]func(e *fault.Error, f, cause cli.Failure) cli.Failure{
	batch.ErrLines: lines, batch.ErrContactLines: lines, errOnLedger: onLedger, wallet.ErrPending: pending, ledgerclient.ErrUnreachable: outOfReach,
}, Exits: map[int]cli.Words{
	0: {
		errBatchStopped:             "{err}; {done} of {items|item|items} are done | {hint}\n[only their results could not be written: carekey batch resume --results {results|quote}]{left|go on where it stopped: carekey batch resume}",
		errUnopened:                 "consent {consent}[, from {who}]: {err} | {hint}\n{then}",
		errKept:                     "{err} | {hint}\nA change that was signed waits in your wallet; every carekey command tries again to finish it.",
		errNotHeld:                  "{err}; your key may be unlocked, and that cannot be used: {held} | {hint}\n{then}",
		errInFile:                   "{file}: {err} | {hint}",
		errSyncLater:                "{err} | what waits goes out by itself with any later command that reaches the ledger",
		errDoubtful:                 "this is not all: {err}.\nMissing: {lacks} | {hint}\n--json says it of each consent, in the field missing",
		errWordsFile:                "{err} | look at the file: it holds the 24 words in their order, numbered or not, and no other words",
		errSync + " " + errOnLedger: "[{title}: ]{err} | {hint}",
		wallet.ErrForkProved:        "{err} | {hint}\nProof that others can check is in {file}; they need no wallet for it:\n" + theirs + "ledger evidence FILE",
	},
	cli.ExitInterrupted: {
		cli.ErrInterrupted: "stopped" + cli.NothingChanged,
		errEntered:         "stopped, after something was entered on the ledger; no file was left half-written | see what holds: carekey status, carekey record list, carekey consent list, carekey inbox",
		errUnwritten:       "stopped. " + unwritten + " | fetch again" + anew,
	},
	cli.ExitToDo: {errToDo: "there is something to do, or new: {what} | what comes next: the same command without --check"},
	cli.ExitUsage: {
		errBinary:                              "the record is not text, and a terminal is no place for it | write it to a file with -o FILE, or pipe it to a program",
		ui.ErrPlainTerminal:                    "this terminal cannot show the words and take them back | write them to a file with --words-file FILE",
		ui.ErrPassphrasesDiffer:                "the two passphrases were not the same | begin again, and type the same twice",
		errNeed:                                "an answer is needed, and there is no terminal to ask on: {what} | answer with {flag}",
		agent.ErrSystem:                        "a key is kept unlocked on Linux and macOS only | keep it in the system's keyring, which has its own lock: carekey keyring move os",
		agent.ErrFor:                           "a key is unlocked for a second at least, and for {most} at most | name a time: carekey unlock --for 15m",
		errOtherLedger:                         "this wallet is on ledger {want}, and the one you named is {got} | leave out --ledger and " + envLedger + ", or join that ledger too: carekey ledger join (INVITATION | DIR)",
		errNoLedger:                            "there is no ledger in {dir} | to make a new one there, add --new-ledger",
		wallet.ErrAmbiguous:                    "{query|quote} can mean several | name one by its id, or by more of it: {matches}",
		wallet.ErrInput:                        wrong + " | what it takes: the same command with --help",
		"bad-record bad-consent":               wrong + " | what is there: carekey record list, carekey consent list, carekey inbox",
		"bad-part":                             wrong + " | which parts there are: carekey record show ID",
		"bad-title":                            wrong + " | say it with --title, in 1 to 160 bytes",
		"bad-name":                             wrong + " | a name has 1 to 64 characters that can be seen, and begins with no hyphen",
		"bad-role bad-table":                   "the file cannot be used[, line {line}][, {member}]: {why} | nothing was changed: correct it, and try again",
		"bad-category bad-purpose bad-with":    wrong + " | the list: carekey grant --help",
		"bad-from bad-until bad-for bad-dated": wrong + " | how days and times are written: carekey grant --help, under DATES",
		wallet.ErrPersons:                      "the file is about more than one person[: {known}][ (born {theirs})][ and {person}][ (born {born})] | if they belong into one wallet all the same, add --other-person\na wallet of their own in the same home: carekey profile create NAME",
		wallet.ErrOtherPerson:                  "the file is about another person[, {person}][, born {born}]; what is there is about[ {known}][, born {theirs}] | if it belongs into this wallet all the same, add --other-person\na wallet of their own in the same home: carekey profile create NAME",
		wallet.ErrFileExists:                   "the file exists: {path} | to overwrite it, add --force",
		wallet.ErrSpecialFile:                  "{path} is there, and is no ordinary file | name a new file; a folder's name goes before it, as in DIR/FILE",
		batch.ErrPruneAll:                      "prune: no row is for this wallet: everything that it gave would end | look whether this is the right file and wallet; to end everything: carekey revoke --all",
		batch.ErrPruneChanges:                  "prune: a list of changes names no state that everything else could be measured by | leave out --prune; what a file of changes is: carekey batch --help",
		batch.ErrLines:                         "{problems|problem|problems} in {file}\n{first} | nothing was signed; the fields are in: carekey batch --help",
		batch.ErrContactLines:                  "{problems|problem|problems} in {file}\n{first} | no contact was added; what a file says: carekey contact import --help",
		crypto.ErrAddress:                      "the address {fault} | its owner sees it with: " + theirs + "address\na file that holds it is named with @: @FILE",
		crypto.ErrFetchCode:                    "the fetch code {fault} | copy it alone and whole, or look for the consent yourself: carekey inbox",
		crypto.ErrCard:                         "the card {fault} | ask its owner for it again: there it is made by " + theirs + "card",
		qr.ErrPicture:                          "[{file}: ]{why} | pictures are PNG, with the QR code whole and sharp in it",
		node.ErrInvitation:                     "the invitation {fault} | ask the operator of the node for it again",
		shlink.ErrLink:                         "the link cannot be used: {why} | copy it alone and whole, or ask who gave it to you for it again",
		text.ErrEncoding:                       "[{file}: ]{why} | text files are UTF-8, or UTF-16 with its mark",
		crypto.ErrWordCount + " " + crypto.ErrWord: "[{count|word|words} instead of 24][word {position} is not in the list] | compare them with your paper",
		crypto.ErrChecksum:                         "the words do not belong together: one is wrong, or their order | compare them with your paper[; one slip would explain it at word {suspects}]",
		ledgerclient.ErrVkey:                       "that is no key of a witness: {what} | copy all of it from who runs the witness: name+hash+key, one word",
	},
	cli.ExitRefused: {
		ui.ErrWordsDiffer:        "these are not the words of this wallet | look for the right paper: without its words nobody can bring this wallet back\nwrite them down anew: carekey words show",
		errFindings:              "something needs you: see above",
		wallet.ErrWalletExists:   "there is a wallet here already | see it with: carekey status\nfor another one, choose a name: carekey --profile NAME init ...",
		wallet.ErrNameTaken:      "that name already stands for another contact | choose another name, or remove the old one first: carekey contact remove NAME",
		errDeclinedRest:          "you said no: nothing was given; what you said yes to before stays",
		errNameOnCard:            "the name {name|quote} on the card already stands for another address | if they are two people, keep this one under another name: carekey contact add {other|quote} CARD, or @FILE",
		wallet.ErrBuiltIn:        "{name|quote} is built in | that one stays; choose another name for one of your own",
		wallet.ErrExists:         "there is already a {what} | choose another place, or move what is there out of the way",
		wallet.ErrDefaultLedger:  "ledger {ledger} is the one that is meant when none is named | choose another one first: carekey ledger default LEDGER",
		wallet.ErrChangesWait:    "{changes|change|changes} that you signed for ledger {ledger} still wait | send them first: carekey sync",
		wallet.ErrSomethingWaits: "something that you began on ledger {ledger} waits | see what: carekey sync, carekey batch status",
		wallet.ErrUnconfirmed:    "the nodes of ledger {ledger} were changed while this wallet did not look at it for more than 30 days: nodes that have left could have signed that, too | ask somebody who uses the ledger, or who keeps one of its nodes, for its configuration (carekey ledger info). If it is\n{configuration}, say so: carekey ledger confirm {configuration}",
		wallet.ErrNoWay:          "ledger {ledger} has {keepers} keepers, and this carekey reaches one of its nodes alone, which would then hold every share: nothing is granted there | grant on a ledger with one keeper: carekey ledger list",
		wallet.ErrForeignBackup:  "the backup in {dir} is of another wallet | choose another folder, or the words of that wallet",
		wallet.ErrUnsafe:         "removing this wallet could lose something for good{waiting|; changes that were signed with it wait to be sent}{words|; its words were not checked within a year}{backup|; a ledger of it was not backed up within 30 days} | first: {waiting|carekey sync\n}{words|carekey words check\n}{backup|carekey backup DIR}",
		wallet.ErrBeyondRole:     "the role {role} is for {days|day|days} at most, and for {purposes} | give it for less, or for that; if you mean more, say so with --beyond-role",
		wallet.ErrNotYours:       "consent {consent} is not addressed to you | ask its sender for one; what was granted to you: carekey inbox",
		wallet.ErrNotGiver:       "consent {consent} was given to you, not by you | only who gave it can do this; what was granted to you: carekey inbox",
		wallet.ErrNotRecipient:   "consent {consent} is one that you gave: only who it is for can fetch with it | the records are yours already: carekey record list",
		shlink.ErrLocal:          "the link leads to this computer, or into a network that not everybody reaches ({host}[, which is {address}]): nothing was asked there | if you know who made it, and it should, add --allow-local",
		shlink.ErrOver:           "the link is over, says {host}: it has ended, was revoked, is used up, or never was | ask who gave it to you for a new one",
		shlink.ErrPasscode:       "the passcode is wrong, says {host}[; tries left until the link is over for good: {left}] | ask who gave you the link for its passcode",
		health.ErrNotSplit:       "the file is not split: {why} | add it by itself, and it can be granted as a whole: carekey record add FILE",
		health.ErrUnmappable:     "consent {consent} cannot be written as FHIR: {why} | name the others one by one: carekey consent export --fhir CONSENT ...",
		batch.ErrStalePlan:       "a consent, a contact or a record that this plan was made on has changed since: nothing was signed | make the plan anew: carekey batch plan FILE",
		batch.ErrOtherLedger:     "this plan was made for another ledger, {ledger} | name that ledger with --ledger, or make the plan anew: carekey batch plan FILE",
		batch.ErrUnfinished:      "another batch was begun and has {left|item|items} left | finish it: carekey batch resume\nor forget what is left of it: carekey batch drop",
		contract.ErrRefused:      "the ledger refused it by the rule {rule}[: {sentence}]" + tried,
		ledgerclient.ErrKeeper:   "the keeper did not give its share: {answer}" + tried + " | try again in the next hour",
		"revoked destroyed":      "the consent[ {consent}] was revoked" + tried + " | ask the patient for a new one",
		"expired":                "the consent[ {consent}] has ended[, on {to}]" + tried + " | ask the patient for a new one",
		wallet.ErrGivenLate:      "the window of the consent[ {consent}] was over before it came to the ledger | give it anew, with a later end",
		"not-yet":                "the consent[ {consent}] has not begun[; it begins on {from}]" + tried + " | try again then",
		"withdrawn":              "the record was removed" + tried + " | " + recordsAre,
		"once-per-hour":          "it was opened in this hour already" + tried + " | try again in the next hour",
		"no-share unknown-grant": "the keeper holds no share of the consent[ {consent}] yet" + tried + " | ask its sender to run any carekey command, which finishes what was interrupted",
		crypto.ErrNotForKey:      "this was not sealed for your key | ask its sender whether it was meant for this wallet: carekey address",
		folder.ErrLedgerExists:   "there is a ledger in {dir} already | to use it, leave out --new-ledger",
		folder.ErrOwnOrder:       "the ledger in {dir} keeps its own order, and follows no other | name the folder alone, without an order",
		folder.ErrReplica:        "the folder {dir} is a copy of an order kept elsewhere: nothing can be entered here | name the order too: carekey ledger join ORDER --store DIR; or go to the node that serves it, by its operator's invitation",
		"node-token":             "the ledger's node takes entries only from people it invited | ask its operator for an invitation with a token",
		"node-too-large":         "that is more than the ledger's node takes ({limit} bytes) | ask its operator for a higher limit, or go in smaller parts",
	},
	cli.ExitUnexpected: {
		errBroken:             "the program ended three times while it opened it | fetched by hand it shows why",
		errTry:                "{why}: {line} | run that line by itself to see more",
		shlink.ErrVersion:     "the link is of version {version}, and this carekey reads version 1 | nothing was asked: use a newer carekey",
		wallet.ErrVersion:     "{what} was written by a newer carekey (version {version}) | use that carekey",
		"older-version":       "{what} was written by a carekey from before the first release (version {version}), which this one cannot read | see with that one what is in it, then make a new wallet: carekey --profile NAME init ...",
		ledgerclient.ErrStore: "{part} of {entry} refused by the store: {reason} | nothing was lost: try again later, or ask whoever keeps the ledger",
		"node-version node-malformed node-method node-length": "the ledger's node refused: {title} | use a newer carekey, or ask the operator for a newer node",
	},
	cli.ExitLocked: {
		crypto.ErrKeyLocked:                      "your key cannot be used any more: {err|it was locked while this command ran} | unlock it and do it again: carekey unlock",
		errLockedUnwritten:                       "{err}. " + unwritten + " | unlock it, and fetch again" + anew,
		agent.ErrNotUnlocked:                     "it was locked while this command ran, or its time was over | unlock it: carekey unlock",
		agent.ErrPlace:                           "there is no place for what holds the key unlocked: {why} | [make it yours alone: chmod 700 {open|quote}\n]{runtime|correct " + envXDGRuntime + ", or unset it: without it a folder in the home is used}{home|name a folder of your own on this computer, with a short path: " + envXDGRuntime + "}",
		agent.ErrForeign:                         "another user of this computer listens where what holds your key should | do not trust that place: name another folder of your own in " + envXDGRuntime,
		agent.ErrSilent:                          "what holds the key gives no answer | end it and unlock again: carekey lock, then carekey unlock",
		agent.ErrFull:                            "what holds the key serves as many commands as it can | try again when others have ended",
		agent.ErrVersion:                         "the key was unlocked by another version of carekey | end it and unlock again: carekey lock, then carekey unlock",
		agent.ErrOther:                           "another key is unlocked there, or the key file has changed since | unlock it again: carekey unlock",
		agent.ErrMemory:                          "the system gives no memory that is kept from being swapped: {why} | it needs 4 KiB: ulimit -l shows your limit, which whoever keeps this computer can raise",
		agent.ErrStart:                           "what holds the key could not be started: {why} | try again; without it every command asks for the passphrase",
		agent.ErrElsewhere:                       "nothing holds your key here; what may hold it in another session could not be ended: {why} | lock it in that session: carekey lock",
		agent.ErrLeft:                            "what held your key gave no answer; nobody can ask it any more, and it ends by itself within a second | unless it was stopped: then end the process carekey-agent",
		errPassphraseFile:                        "the passphrase file cannot be read: {why} | check {name}",
		wallet.ErrOtherWallet:                    "the identity is of another wallet than the one in its place | print it again: carekey age identity",
		wallet.ErrLeftBehind:                     "the keyring took the key, did not give it back, and may still hold it: there is no wallet | look for items of carekey in the keyring's own program, and delete what no wallet uses; then try again",
		keyring.ErrFileNotStored:                 "what is in the key file is not what was written to it[: {err}] | its disk may be damaged: see carekey keyring status; if the key is lost, your 24 words bring it back: carekey keyring restore",
		keyring.ErrNotStored:                     "the keyring took the key and did not give it back: nothing was made | was its prompt dismissed? try again",
		keyring.ErrFileLeft:                      "the key file could not be removed: {why} | put that right, and try again",
		keyring.ErrNotDeleted:                    "the keyring did not give the key up: {err|it still has it} | unlock it and try again, or delete the item in the keyring's own program",
		keyring.ErrNoBus:                         noKeyring + ": no session bus, as over SSH, in a container or under sudo | log in at the desktop of this computer, and try again\n" + inAFile,
		keyring.ErrNoProvider:                    noKeyring + ": no keyring service runs in this session | install and start one, such as gnome-keyring, and try again\n" + inAFile,
		keyring.ErrUnsupported:                   noKeyring + ": no keyring on this system | " + inAFile,
		keyring.ErrAbsent:                        noKeyring + " | log out and in, and try again\n" + inAFile,
		keyring.ErrLocked:                        locked + " | log in at the desktop, or unlock it here (it reads your login password): gnome-keyring-daemon --unlock\nthen look: carekey keyring status",
		keyring.ErrNoDesktop:                     locked + ": there is no desktop on which it could ask for its password | log in at the desktop, or unlock it here (it reads your login password): gnome-keyring-daemon --unlock\nthen look: carekey keyring status",
		keyring.ErrDismissed:                     locked + ": its prompt was dismissed | try again, and give it the password of your keyring: mostly that of your login",
		keyring.ErrNotAsked:                      locked + ": it may not ask for its password because of --no-input | unlock it first, or leave out --no-input",
		keyring.ErrPromptTimeout:                 "the keyring of the operating system asked for its password, and nobody answered within {after} | try again, and answer in its window; it may be behind others or on another screen\nmore time: " + envPromptTimeout + "=5m carekey ...",
		keyring.ErrTimeout:                       "the keyring of the operating system did not answer within {after} | look for a window of it that waits for you, and see: carekey keyring status\nmore time: " + envKeyringTimeout + "=30s carekey ...",
		"key-missing/file " + keyring.ErrDamaged: "the key file of this wallet is not there, or is damaged | make it anew from your 24 words: carekey keyring restore\nor put " + keyring.FileName + " back, if you keep a copy of it",
		keyring.ErrItemNotFound:                  "the keyring holds no key for this wallet: another user of this computer made it, or some program removed it | look for it: carekey keyring status\nif it is gone, your 24 words bring it back: carekey keyring restore",
		keyring.ErrItemExists:                    "there is another key in its place already | an earlier init may have been interrupted: move that key away (a key file is " + keyring.FileName + " in the wallet's folder), then try again",
		wallet.ErrWrongKey + " " + keyring.ErrItemChanged: "what the keyring holds is not the key of this wallet, or was changed by another program | your 24 words put it back: carekey keyring restore",
		keyring.ErrWrongPassphrase:                        "the passphrase does not open your key file | try again; check " + envPassphrase + " if you use it",
		keyring.ErrEmptyPassphrase:                        "the passphrase is empty | of a file or a descriptor, the first line is taken",
		keyring.ErrTooLarge:                               "the keyring of the operating system takes no item of this size | " + inAFile,
		keyring.ErrFailed:                                 "the keyring failed[: {op}][: {why}][: malformed {name}] | " + inAFile,
	},
	cli.ExitTampered: {
		shlink.ErrAnswer:                          "what {host} answered cannot be used: {why} | nothing of it was written; it may count as an opening. Tell who gave you the link",
		shlink.ErrAuthority:                       "nobody whom this computer trusts vouches for {host}[: {why}] | somebody may be listening in between: try from another network, and tell who gave you the link",
		crypto.ErrCardForged:                      "this card is not what the owner of its address made: somebody changed it, or put it together | do not use it; ask its owner for it in another way",
		errBadBackup:                              "in the backup, {dir}: {err} | use another backup; or the ledger itself, if it is still there: carekey restore --ledger DIR",
		wallet.ErrDamaged:                         "the wallet's file {file} is not what carekey wrote | put the file back from a copy of the home; or move the wallet's folder away\n(carekey profile list names it) and use your 24 words: carekey restore --ledger LEDGER",
		wallet.ErrJournal:                         "the wallet's file {file} is not what carekey wrote: what was signed in it may never have been sent | see whether what you did last is there: carekey consent list, carekey record list\ndo again what is not, then remove the file",
		wallet.ErrCodeHistory:                     "the fetch code was made on another history of the ledger, or it is forged: {err} | nobody signs a fetch code: ask its sender for it in another way. If it is the same, do not rely on this\nledger until you know why, and compare what `carekey ledger info` shows to both of you",
		batch.ErrForeignPlan:                      "this is no plan that this wallet made, or it was changed since: nothing of it was carried out | make it anew and look at it: carekey batch plan FILE -o plan.json\nrows are applied only from a file whose name ends in .csv or .jsonl",
		ledgerclient.ErrForeign:                   "in the place of your ledger {want} there is another one, {got} | " + doNotRely,
		ledgerclient.ErrRollback:                  "the ledger shows {head} entries, and there were {pinned} already: it was put back to an older state, or the newer ones are kept from you | if the ledger is yours, restore its newest copy; otherwise ask whoever keeps it" + untilThen,
		ledgerclient.ErrStale:                     "the newest head that the ledger shows is {age|old}: newer entries are kept back, or a clock is wrong | check your clock; if it is right, ask whoever keeps the ledger" + untilThen,
		ledgerclient.ErrTooFew:                    "the head that the ledger's node shows is signed by {have} of the {need} nodes that it takes | nothing else is wrong with the ledger: ask whoever keeps the node" + untilThen,
		ledgerclient.ErrEvidence:                  "the file proves nothing: {what}[: {why}] | ask whoever sent it for the whole file",
		ledgerclient.ErrForked:                    "the ledger shows another history than your wallet has seen (up to entry {size}) | " + doNotRely,
		ledgerclient.ErrTampered:                  "{what} does not verify[: {why}] | " + doNotRely,
		folder.ErrDamaged:                         "the ledger was changed: {where}: {what} | " + doNotRely,
		crypto.ErrDamaged:                         "{what} is damaged | " + doNotRely,
		"malformed":                               "malformed[: {message}][: {what}][: {fault}][: {why}] | " + doNotRely,
		node.ErrCertificate:                       "who answers at the address of the ledger's node is not the node of your invitation[: {why}] | somebody may be listening in between, or the node has a new key: ask its operator for a new invitation",
		node.ErrTooLarge + " " + node.ErrRedirect: "the ledger's node does not keep to its protocol: the answer[ is larger than the {limit} bytes that it may have][ points elsewhere, to \"{to}\"] | nothing was lost: ask whoever keeps the node" + untilThen,
		ledgerclient.ErrSpent:                     "the order of the ledger cannot be followed: entry {entry} is in it, and its log has something else there | do not rely on it until you know why; ask whoever keeps the order; what you asked for was not done: do it again",
	},
	cli.ExitPartly: {
		errIncomplete:        "this is not all: {err}.\nMissing: {lacks} | try again later; --json says it of each consent, in the field missing",
		wallet.ErrPartly:     "{done} done, {failed} failed; the first: {err} | {hint}",
		wallet.ErrKeyLeft:    "the key works from its new place; a copy in the old one could not be removed: {err} | to remove it, when that is in reach: carekey keyring move {kind}",
		wallet.ErrKeyMayLeft: "the key is there already; whether the old place still holds a copy cannot be told: {err} | to have a copy removed, when that is in reach: carekey keyring move {kind}",
		wallet.ErrUnread:     "the terms of consent {consent} were not read yet: those of too many others cannot be | look again, or open it if you expect it: carekey fetch {consent}",
	},
	cli.ExitUnreachable: {
		shlink.ErrServer:                     "{host}, which serves the link, gave no answer that can be used[: {why}][ (status {status})] | it may count as an opening all the same: try again later",
		wallet.ErrWatched:                    "another carekey watches with this wallet | end that one first, or leave it to it",
		wallet.ErrPending:                    "signed, but it waits in your wallet: {err} | it goes out by itself, once, with the next command that reaches the ledger; to try now: carekey sync",
		wallet.ErrBusy:                       "another carekey is using this wallet (waited {waited}) | try again when it is done",
		folder.ErrNoLedger:                   "there is no ledger in {dir} | was the folder moved? name its new place with --ledger DIR",
		node.ErrSlow + " " + node.ErrForeign: "the ledger's node gave no answer that can be used, or gives it too slowly[ (status {status})] | nothing was lost: try again later, or ask whoever keeps the node",
		node.ErrRefused:                      "the ledger's node refused: {title} | try again later",
		"node-unsigned":                      "it is in the ledger's order, but not enough of the ledger's nodes have signed that yet | the next command looks for it; if it stays so, ask who keeps the ledger",
	},
	cli.ExitNotFound: {
		wallet.ErrNoWallet:       "there is no wallet yet (looked in {dir}) | make one with: carekey init --name NAME",
		errNotNamed:              "there is no wallet {profile|quote} (looked in {dir}) | which there are: carekey profile list\nto make it: carekey init --name NAME",
		errNoProfile:             "there is no wallet {profile|quote} | which there are: carekey profile list",
		errRestoring:             "there is no wallet yet: a restore into {dir} was interrupted | to go on with it, the same again: carekey restore --ledger ...",
		errRemoving:              "this wallet is being removed: the removal of {dir} was interrupted | to end it, the same again: carekey profile remove PROFILE",
		errUnfinished:            "there is no wallet yet: an init in {dir} was interrupted, and its words are void | to begin anew, the same again: carekey init --name NAME ...",
		errHeadless:              "there is no wallet yet (looked in {dir}) | make one with: carekey init --name NAME\nif there was one: its wallet.json is gone. Put that back from a copy of the home; or move\nthe folder away and use your 24 words: carekey restore --ledger LEDGER",
		wallet.ErrNotFound:       "there is no {noun} {query|quote} | which there are: carekey role list",
		"table-not-found":        "there is no table[ {query|quote}] that you imported | which there are: carekey record tables",
		"record-not-found":       "there is no record {query|quote} | " + recordsAre,
		errOnlySaid:              "there is no contact {name|quote}: the sender of consent {consent} says so, and nobody verified it | keep who that is under a name of your own: carekey contact add NAME --from {consent}",
		"contact-not-found":      "there is no contact {query|quote} | who is there: carekey contact list",
		"consent-not-found":      "there is no consent {query|quote} | what you gave: carekey consent list; what was given to you: carekey inbox",
		"ledger-not-found":       "there is no ledger {query|quote} | which there are: carekey ledger list",
		"batch-not-found":        "no batch was applied with this wallet on this ledger | begin with: carekey batch plan FILE",
		wallet.ErrEmpty:          "what you chose holds no {of} | " + recordsAre,
		"nothing-selected/part":  "nothing of what you chose goes | why each part stays: the same command with --list\nwhat goes only by its name: carekey grant --help",
		wallet.ErrNothing:        "the words are valid, but nothing on ledger {ledger} is theirs: none of its {entries|entry|entries}; no wallet was made | is it the right ledger, and are these the words of the wallet that you used on it?\nfor a new wallet: carekey init --name NAME",
		wallet.ErrForeignCode:    "this fetch code is of ledger {code}, and you named ledger {wallet} | leave out --ledger: a fetch code names its own",
		errNoPlace:               "this fetch code is of ledger {code}, which your wallet is not on; that one is a folder, and a code cannot say where | ask who gave it to you for the folder, and join it: carekey ledger join DIR; then the same again\non the ledgers that you are on, carekey inbox finds consents without a code",
		wallet.ErrMissing:        "the store does not hold the {part} of {id} | it was erased, or the store lost it; ask whoever keeps the ledger",
		wallet.ErrWithdrawn:      "record {record} was removed | " + recordsAre,
		ledgerclient.ErrNotFound: "there is no such {what} | see what there is: carekey status; and whether the ledger is whole: carekey ledger verify",
	},
}}
