package cli

import (
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/order"
)

// NothingChanged is what holds of an interruption of a command that undoes what it began, if
// nothing else says how far it got.
const NothingChanged = " before anything was changed"

// Common is what both programs say alike. Which ledger they use, only they know: the codes
// of a folder stand here as they are shown.
var Common = map[int]Words{
	ExitUsage: {
		ErrUsage:         "{message} | {hint}",
		"member-{fault}": "[{path}: ][line {line}: ]that is not a whole line of a member: {fault} | ask for it again, and put each on a line of its own",
		"draft":          "the draft, line {line}: want {want} | take the draft as it was made, or make it anew: carekey-node found draft",
		ErrFolder:        "{path} is a folder, and a file is read here | name a file in it",
		order.ErrNoURL:   "that is not the URL of an order | for foo:anything the program " + order.ProgramPrefix + "foo is started",
	},
	ExitTampered: {
		contract.ErrConfig:        "configuration document, line {line}: want {want} | do not rely on this ledger until you know why",
		ledgerclient.ErrThreshold: "in this configuration {threshold} of {nodes} nodes make a head, and two histories could have as many: it takes more than two thirds of them | do not use a ledger with it; who founds one names a higher threshold",
		order.ErrAnother:          "the order that was named is of ledger {got}, and this is ledger {want} | nothing was entered there, and what is in the folder stays as it is: name the order of this ledger; one that follows another draft by mistake is made anew from the draft of this one, in a folder of its own",
		order.ErrBroken:           "the order of the ledger cannot be followed: at position {position} {what} | do not rely on it until you know why; ask whoever keeps the order",
	},
	ExitRefused: {
		"draft-key-twice":     "{first|quote} and {second|quote} have a key in common, and each member makes its own | ask both for the line that their folder prints: carekey-node found line DIR",
		"draft-members-alike": "{first|quote} and {second|quote} have one name, or one URL, and cannot be told apart | let one of them make another line, in a new folder",
		"keys-not-named":      "the configuration does not name the keys of this folder, or each in a line of another | take the draft that your own line is in",
		ErrDeclined:           "you said no: nothing was changed",
		"clock-doubtful":      "the clock says {now}, and the ledger's last entry is of {last} | if it is right, add --accept-clock",
		"folder-not-empty":    "the folder {dir} is not empty, and holds something else | choose a new folder",
		"network-file-system": "{dir} is on a network file system ({fs}), where a ledger is not safe | choose a folder on a disk of this computer",
	},
	ExitUnreachable: {
		ledgerclient.ErrUnreachable: "the {service} cannot be reached: {why} | see whether it runs and the network is there, and try again",
		ledgerclient.ErrUndecided:   "the ledger does not decide at the moment | what it was told of may be ordered yet, once, also when it is sent again; if it stays so, ask whoever keeps the ledger",
		ledgerclient.ErrQuota:       "who keeps the order of this ledger orders no more for now[: {why}] | nothing of it was ordered: try again later",
		order.ErrNoProgram:          "the program that keeps the order of this ledger is not in PATH: {program} | install it from whoever keeps the order",
		order.ErrProgram:            "the program {program}: {fault}[: {text}] | its own log says more; try again: the same entry is never ordered twice",
		"ledger-busy":               "another program is using the ledger (waited {waited}) | try again when it is done",
		order.ErrUnknown:            "it is not known whether the entries were ordered: {why} | try again: the same entry is never ordered twice",
	},
	ExitNotFound: {ErrNoFile: "[{path}: ]there is no such file | look at its name and folder"},
	ExitUnexpected: {
		contract.ErrContractVersion:   "unknown contract version {version} | use a newer program",
		"ledger-successor":            "the nodes have changed the configuration of this ledger, and this program cannot follow it | use a newer program",
		"folder-version":              "the files in {dir} are of version {version}, which this program does not read | use the version that wrote them, or begin a new ledger in another folder",
		"ledger-read-only":            "the ledger cannot be written: {why} | check the permissions of {dir}",
		disk.ErrKind:                  "{path} is {is}, and is in the way | no such thing is opened: move it away, and try again",
		ErrNoLocks:                    "{path}: the file system keeps no locks: {why} | keep it on a disk of this computer",
		ErrDiskFull:                   "the disk is full | make room and try again",
		ErrReadOnly:                   "[{path}: ]the file system is read-only | make it writable, or name another place",
		ErrPermission + " " + ErrFile: "[{path}: ]{why} | look at the file, whose it is, and who you are",
	},
}
