package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/server"
	"github.com/carekey/carekey/ledgerclient/order"
)

// The exit codes are those of carekey; a node has no keyring.
const (
	exitDone        = cli.ExitDone
	exitUnexpected  = cli.ExitUnexpected
	exitUsage       = cli.ExitUsage
	exitRefused     = cli.ExitRefused
	exitUnreachable = cli.ExitUnreachable
	exitTampered    = cli.ExitTampered
	exitNotFound    = cli.ExitNotFound
	exitInterrupted = cli.ExitInterrupted
)

const exitStatus = `EXIT STATUS
  0    done; a server was told to stop
  1    unexpected: disk full, no permission, address in use, and the like
  2    wrong usage, or an answer is missing
  3    refused: there is a ledger or a server already, the clock is off
  5    the ledger is busy, or the backend of the order is out of reach
  6    verification failed: damaged files, an order that cannot be one,
       a backend that does not conform
  7    not found
  130  interrupted`

// report prints err and returns the exit code.
func (a *app) report(err error, args []string) int {
	if err == nil {
		return exitDone
	}
	f := explanations.Explain(err)
	if a.flags.json || slices.Contains(args, "--json") { // also when the command line itself was wrong
		cli.WriteJSON(a.err, map[string]cli.Failure{"error": f}, false)
		return f.Exit
	}
	f.Print(a.err)
	return f.Exit
}

func usage(message, hint string) error { return cli.Usage(message, hint) }

// Errors of the commands themselves.
const (
	errNoNode      fault.Code = "no-node"          // in dir
	errNodeExists  fault.Code = "node-exists"      // in dir
	errOtherName   fault.Code = "other-name"       // the ledger in dir has another name
	errConfig      fault.Code = "bad-settings"     // what is wrong with node.json. path, what
	errTokenExists fault.Code = "token-exists"     // name
	errNoToken     fault.Code = "no-token"         // name
	errTLS         fault.Code = "bad-certificate"  // the certificate or its key cannot be used
	errServed      fault.Code = "served"           // another server serves dir
	errListen      fault.Code = "cannot-listen"    // address
	errConform     fault.Code = "does-not-conform" // a backend breaks rules. failed, all
	errDamaged     fault.Code = "damaged"          // what, of a *folder.DamagedError
)

const (
	notANode     = "what answers there is no node: "
	lookAt       = "look at the address in the invitation"
	whole        = "copy all of it"
	nameTheOrder = "name it with --order URL, or \"order\" in node.json"
	orderedAway  = "a node whose order is kept elsewhere is made with: carekey-node init DIR --order URL"
	backendIs    = "a backend is a program in PATH; see ledgerclient/order/PROTOCOL.md"
)

// explanations has what an operator is told of every error: see carekey's.
var explanations = cli.Table{Code: coded, Show: show, Rows: map[fault.Code]cli.Row{
	cli.ErrInterrupted: say(exitInterrupted, "stopped", ""),
	cli.ErrDeclined:    say(exitRefused, "you said no: nothing was changed", ""),
	cli.ErrUsage:       say(exitUsage, "{message}", "{hint}"),
	errNoNode: say(exitNotFound, "there is no node in {dir}",
		"make one with: carekey-node init {dir} --name 'City ledger'"),
	errNodeExists: say(exitRefused, "there is a node in {dir} already", "serve it: carekey-node serve {dir}"),
	errOtherName: say(exitRefused, "there is a ledger in {dir} already, and its name is {name|go}",
		"to make a node for it, say that name or none").As("ledger-exists"),
	errConfig: say(exitUsage, "{path} cannot be used: {what}",
		"put it right in that file, or bring the file back from a backup"),
	errTokenExists: say(exitRefused, "there is a token named {name} already, and a node cannot show a token again",
		"take another name, or remove it first"),
	errNoToken: say(exitNotFound, "no token is named {name}", "see: carekey-node token list DIR"),
	errTLS: say(exitUsage, "the certificate and its key cannot be used: {why}",
		"both are PEM files, the certificate's own first, then those of its issuers"),
	errServed: say(exitRefused, "a server is running on {dir} already", "stop that one first"),
	errListen: say(exitUnexpected, "cannot listen at {address}: {why}", "name a free address with --listen"),
	server.ErrClockOff: say(exitRefused, "this computer's clock is off by {by} against {against|clock}",
		"set the clock, and let it be kept by NTP. An entry at a wrong hour cannot be taken back"),
	errConform: say(exitTampered, "{failed} of {all} rules do not hold",
		"the rules that do not hold are above; each names what it wants"),

	node.ErrInvitation: say(exitUsage, "that is not a whole invitation: {fault}", whole).As("bad-invitation"),
	cli.ErrNode:        say(exitRefused, "the node refuses: {title}", "ask the operator of that node"),
	ledgerclient.ErrForeign: say(exitTampered, "the node serves ledger {got}, not {want} as the invitation says",
		"ask its operator for a new invitation"),
	node.ErrCertificate: say(exitTampered,
		"who answers there is not the node of the invitation[: its key is {got}, not {want}]",
		newKey),
	node.ErrAuthority: say(exitTampered, "who answers there is not the node of the invitation: {why}", newKey),
	node.ErrSlow:      say(exitTampered, notANode+"the answer does not come, or too slowly", lookAt).As("node-answer"),
	node.ErrTooLarge: say(exitTampered, notANode+"the answer is larger than the {limit} bytes that it may have",
		lookAt).As("node-answer"),
	node.ErrRedirect: say(exitTampered, notANode+"the answer points elsewhere, to {to|go}", lookAt).As("node-answer"),
	node.ErrForeign: say(exitTampered, notANode+"the answer is not one of a carekey node (status {status})",
		lookAt).As("node-answer"),
	cli.ErrUnreachable: say(exitUnreachable, "the {service} cannot be reached: {why}",
		"see whether it runs and the network is there, and try again").Around(outOfReach),

	folder.ErrOwnOrder: say(exitRefused, "this folder keeps its own order", orderedAway).As("own-order"),
	folder.ErrReplica: say(exitUsage, "this folder is a copy of an order that is kept elsewhere",
		nameTheOrder).As("no-order"),
	order.ErrBroken: say(exitTampered, "the backend's order cannot be followed: at position {position} {what}",
		"nothing more is taken from it until that is cleared up"),
	order.ErrUnknown: say(exitUnreachable, "it is not known whether the entries were ordered: {why}",
		"try again: the same entry is never ordered twice"),
	cli.ErrNoURL: say(exitUsage, "that is not the URL of a backend",
		"for foo:anything the program carekey-ledger-foo is started"),
	cli.ErrNoProgram: say(exitUnreachable, "the backend's program {program}: {fault}[: {text}]",
		backendIs).As("backend-failed"),
	cli.ErrProgram: say(exitUnreachable, "the backend's program {program}: {fault}[: {text}]",
		"its own log says more; try again: the same entry is never ordered twice").As("backend-failed"),

	folder.ErrNoLedger: say(exitNotFound, "there is no ledger in {dir}", "make one: carekey-node init DIR --name NAME"),
	folder.ErrFormat: say(exitUnexpected,
		"the files in {dir} are of version {version}, which this carekey-node does not read",
		"use the program of that version, or make a new ledger in another folder"),
	folder.ErrBusy: say(exitUnreachable, "another program is using {dir} (waited {waited})", "try again when it is done"),
	folder.ErrLedgerExists: say(exitRefused, "there is a ledger in {dir} already",
		"choose another folder, or serve that one: carekey-node serve {dir}"),
	folder.ErrNotEmpty: say(exitRefused, "{dir} is there already and is not empty", "choose a new folder"),
	folder.ErrNetworkFS: say(exitRefused, "{dir} is on a network file system ({fs}), where a ledger is not safe",
		"choose a folder on a disk of this computer"),
	folder.ErrReadOnly: say(exitUnexpected, "the ledger cannot be written: {why}", "check the permissions of {dir}"),
	folder.ErrClock:    say(exitRefused, "the clock is ", "if it is right, add --accept-clock").Then(pastTheLast),
	cli.ErrRollback: say(exitTampered, "the backup there has {pinned} entries, more than the folder with its {head}",
		"the folder lost entries, or is not the one that was backed up. Keep both").As("backup-newer"),
	cli.ErrForked: say(exitTampered, "the backup there has another history: it differs within the first {size} entries",
		"somebody served two copies of the ledger, or changed one. Keep both").As("backup-forked"),
	errDamaged: say(exitTampered, "the ledger is damaged: {what}",
		"go on from a backup, and keep the damaged folder: it may show what happened"),
	cli.ErrTampered: say(exitTampered, "{what} does not verify[: {why}]",
		"do not serve it until you know why; a backup may be whole"),
	contract.ErrContractVersion: say(exitUnexpected, "unknown contract version {version}", "use a newer carekey-node"),
	contract.ErrConfig: say(exitUsage, "that cannot be the name of a ledger: want {want}",
		"say another with --name").As("usage"),

	cli.ErrNotAFile: say(exitUnexpected, "{path} is {is}, and is in the way",
		"a node opens files and folders alone: move it away, and try again"),
	cli.ErrNoLocks: say(exitUnexpected, "{path}: the file system keeps no locks: {why}",
		"keep the node's folder on a disk of this computer"),
	cli.ErrDiskFull: say(exitUnexpected, "the disk is full", "make room and try again"),
	cli.ErrReadOnly: say(exitUnexpected, "the disk is read-only", "make it writable, or name another place"),
	cli.ErrPermission: say(exitUnexpected, "no permission: [{path}: ]{why}",
		"check who owns it, and as whom the node runs"),
	cli.ErrNoFile: say(exitNotFound, "not found: [{path}: ]{why}", "look at its name and folder"),
}}

const newKey = "do not go on until its operator says that the key was changed, and sends a new invitation"

func say(exit int, message, hint string) cli.Row { return cli.Say(exit, message, hint) }

func coded(err error) error {
	switch e := err.(type) {
	case *folder.DamagedError:
		return errDamaged.With("what", e.Error())
	}
	return nil
}

func outOfReach(e *fault.Error, f, why cli.Failure) cli.Failure {
	if _, refused := errors.AsType[*node.RefusedError](e.Err); refused || cli.Answered(e.Err) {
		return why
	}
	return f
}

// pastTheLast says how far the clock is past the last entry.
func pastTheLast(e *fault.Error, f cli.Failure) cli.Failure {
	hours := fault.Get[contract.Hour](e, "now") - fault.Get[contract.Hour](e, "last")
	f.Message += fmt.Sprintf("%d days past the ledger's last entry", hours/24)
	return f
}

func show(v any, how string) string {
	switch how {
	case "go":
		return fmt.Sprintf("%q", v)
	case "clock":
		switch v {
		case "ledger":
			return "the last entry of the ledger"
		case "reference":
			return "the reference in node.json"
		}
		return "its own count of seconds"
	}
	return fmt.Sprint(v)
}
