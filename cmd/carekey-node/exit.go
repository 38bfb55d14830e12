package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

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
)

const (
	notANode     = "what answers there is no node: "
	lookAt       = "look at the address in the invitation"
	nameTheOrder = "name it with --order URL, or \"order\" in node.json"
	orderedAway  = "a node whose order is kept elsewhere is made with: carekey-node init DIR --order URL"
	fromBackup   = "go on from a backup, and keep the damaged folder: it may show what happened"
	newKey       = "do not go on until its operator says that the key was changed, and sends a new invitation"
)

// explanations has what an operator is told of every error: see carekey's.
var explanations = cli.Table{Show: show, Then: map[fault.Code]func(e *fault.Error, f, cause cli.Failure) cli.Failure{
	ledgerclient.ErrUnreachable: outOfReach,
}, Exits: map[int]cli.Words{
	exitInterrupted: {cli.ErrInterrupted: {"stopped", ""}},
	exitRefused: {
		errNodeExists:  {"there is a node in {dir} already", "serve it: carekey-node serve {dir}"},
		errOtherName:   {"there is a ledger in {dir} already, and its name is {name|go}", "to make a node for it, say that name or none"},
		errTokenExists: {"there is a token named {name} already, and a node cannot show a token again", "take another name, or remove it first"},
		errServed:      {"a server is running on {dir} already", "stop that one first"},
		server.ErrClockOff: {"this computer's clock is off by {by} against {against|clock}",
			"set the clock, and let it be kept by NTP. An entry at a wrong hour cannot be taken back"},
		node.ErrRefused:        {"the node refuses: {title}", "ask the operator of that node"},
		folder.ErrOwnOrder:     {"this folder keeps its own order", orderedAway},
		folder.ErrLedgerExists: {"there is a ledger in {dir} already", "choose another folder, or serve that one: carekey-node serve {dir}"},
		folder.ErrClock:        {"it is {now}, and the ledger's last entry is of {last}", "if the clock is right, add --accept-clock"},
	},
	exitUsage: {
		errConfig:          {"{path} cannot be used: {what}", "put it right in that file, or bring the file back from a backup"},
		errTLS:             {"the certificate and its key cannot be used: {why}", "both are PEM files, the certificate's own first, then those of its issuers"},
		node.ErrInvitation: {"that is not a whole invitation: {fault}", "copy all of it"},
		folder.ErrReplica:  {"this folder is a copy of an order that is kept elsewhere", nameTheOrder},
		order.ErrNoURL:     {"that is not the URL of a backend", "for foo:anything the program carekey-ledger-foo is started"},
	},
	exitNotFound: {
		errNoNode:          {"there is no node in {dir}", "make one with: carekey-node init {dir} --name 'City ledger'"},
		errNoToken:         {"no token is named {name}", "see: carekey-node token list DIR"},
		folder.ErrNoLedger: {"there is no ledger in {dir}", "make one: carekey-node init DIR --name NAME"},
	},
	exitUnexpected: {
		errListen:                   {"cannot listen at {address}: {why}", "name a free address with --listen"},
		contract.ErrContractVersion: {"unknown contract version {version}", "use a newer carekey-node"},
	},
	exitTampered: {
		errConform:               {"{failed} of {all} rules do not hold", "the rules that do not hold are above; each names what it wants"},
		ledgerclient.ErrForeign:  {"the node serves ledger {got}, not {want} as the invitation says", "ask its operator for a new invitation"},
		node.ErrCertificate:      {"who answers there is not the node of the invitation[: its key is {got}, not {want}]", newKey},
		node.ErrAuthority:        {"who answers there is not the node of the invitation: {why}", newKey},
		node.ErrSlow:             {notANode + "the answer does not come, or too slowly", lookAt},
		node.ErrTooLarge:         {notANode + "the answer is larger than the {limit} bytes that it may have", lookAt},
		node.ErrRedirect:         {notANode + "the answer points elsewhere, to {to|go}", lookAt},
		node.ErrForeign:          {notANode + "the answer is not one of a carekey node (status {status})", lookAt},
		order.ErrBroken:          {"the backend's order cannot be followed: at position {position} {what}", "nothing more is taken from it until that is cleared up"},
		ledgerclient.ErrRollback: {"the backup there has {pinned} entries, more than the folder with its {head}", "the folder lost entries, or is not the one that was backed up. Keep both"},
		ledgerclient.ErrForked:   {"the backup there has another history: it differs within the first {size} entries", "somebody served two copies of the ledger, or changed one. Keep both"},
		contract.ErrConfig:       {"configuration document, line {line}: want {want}", fromBackup},
		folder.ErrDamaged:        {"{where} is damaged: {what}", fromBackup},
		ledgerclient.ErrTampered: {"{what} does not verify[: {why}]", "do not serve it until you know why; a backup may be whole"},
	},
	exitUnreachable: {
		ledgerclient.ErrUnreachable: {"the {service} cannot be reached: {why}", "see whether it runs and the network is there, and try again"},
		order.ErrNoProgram:          {"the backend's program {program}: {fault}[: {text}]", "a backend is a program in PATH; see ledgerclient/order/PROTOCOL.md"},
		order.ErrProgram:            {"the backend's program {program}: {fault}[: {text}]", "its own log says more; try again: the same entry is never ordered twice"},
	},
}}

// outOfReach is a node that gave no answer; if it is known why, that is said.
func outOfReach(_ *fault.Error, f, cause cli.Failure) cli.Failure {
	if kind, _, _ := strings.Cut(cause.Code, "-"); kind == "node" || kind == "answer" {
		return cause
	}
	return f
}

func show(v any, how string) string {
	if hour, ok := v.(contract.Hour); ok {
		return time.Unix(int64(hour)*3600, 0).UTC().Format("2 Jan 2006 15:04 UTC")
	}
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
