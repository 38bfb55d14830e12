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
)

// report prints err and returns the exit code.
func (a *app) report(err error, args []string) int {
	asJSON := a.flags.json || slices.Contains(args, "--json") // also when the command line itself was wrong
	return explanations.Explain(err).Report(a.err, asJSON)
}

var usage = cli.Usage

// explanations has what an operator is told of every error: see carekey's.
var explanations = cli.Table{Show: show, Then: map[fault.Code]func(e *fault.Error, f, cause cli.Failure) cli.Failure{
	ledgerclient.ErrUnreachable: outOfReach, ledgerclient.ErrUndecided: outOfReach,
}, Exits: map[int]cli.Words{
	cli.ExitInterrupted: {cli.ErrInterrupted: "stopped"},
	cli.ExitRefused: {
		errNodeExists:          "there is a node in {dir} already | serve it: carekey-node serve {dir}",
		errOtherName:           "there is a ledger in {dir} already, and its name is \"{name}\" | to make a node for it, say that name or none",
		errTokenExists:         "there is a token named {name} already, and a token is shown once | take another name: also one that was removed keeps its name until it is over",
		errWitnessNamed:        "the witness in that folder is named {name}, and its name stays | leave out --name, or make another witness in another folder",
		errServed:              "a server is running on {dir} already | stop that one first",
		server.ErrClockOff:     "this computer's clock is off by {by}, as measured by the {against} clock | set the clock, and let it be kept by NTP. An entry at a wrong hour cannot be taken back",
		node.ErrRefused:        "the node refuses: {title} | ask the operator of that node",
		folder.ErrOwnOrder:     "this folder keeps its own order | a node whose order is kept elsewhere is made with: carekey-node init DIR --order URL",
		folder.ErrLedgerExists: "there is a ledger in {dir} already | choose another folder, or serve that one: carekey-node serve {dir}",
	},
	cli.ExitUsage: {
		errConfig:          "{path} cannot be used: {what} | put it right in that file, or bring the file back from a backup",
		errTLS:             "the certificate and its key cannot be used: {why} | both are PEM files, the certificate's own first, then those of its issuers",
		node.ErrInvitation: "that is not a whole invitation: {fault} | copy all of it",
		server.ErrGone:     "{gone} nodes are said to be gone for good, and of this ledger's nodes {most} can be missing | say with --gone how many of the others are gone, or leave it out",
		folder.ErrReplica:  "this folder is a copy of an order that is kept elsewhere | name it with --order URL, or \"order\" in node.json",
	},
	cli.ExitNotFound: {
		errNoNode:          "there is no node in {dir} | make one with: carekey-node init {dir} --name 'City ledger'",
		errNoEngine:        "{program} is neither beside this program nor in PATH | build it from the source: cd ledgerclient/cometbft && go install ./{program}",
		errNoWallet:        "{program} is neither beside this program nor in PATH | build it from the source: go install ./cmd/{program}; or leave its part out: --idle",
		errNoToken:         "no token is named {name} | see: carekey-node token list DIR",
		folder.ErrNoLedger: "there is no ledger in {dir} | make one: carekey-node init DIR --name NAME",
	},
	cli.ExitUnexpected: {
		errListen: "cannot listen at {address}: {why} | name a free address with --listen",
		errDevnet: "{what} failed: {why} | see {log}",
	},
	cli.ExitUnreachable: {
		server.ErrUnsure: "this node does not know what it has signed before, and has heard from {heard} of the {need} others that say it | it goes on by itself when they are there and it has read as much",
		errNotBegun:      "this ledger has not begun yet in that order: {by} does it | try again when that node is made",
	},
	cli.ExitTampered: {
		errDraftID:              "this draft is of ledger {got}, and {want} was compared | compare the id with all members again: carekey-node found show DRAFT DIR",
		errOwnLine:              "the draft has another line for the keys in {dir} than this folder prints | do not go on: have the draft made anew from what carekey-node found line {dir} prints",
		errLost:                 "{path} is missing or damaged: this witness does not know any more what it cosigned | it must not go on, since it could vouch for two histories: make a new one, with a key of its own, in another folder",
		errConform:              "{failed} of {all} rules do not hold | the rules that do not hold are above; each names what it wants",
		ledgerclient.ErrForeign: "the node serves ledger {got}, not {want} as the invitation says | ask its operator for a new invitation",
		node.ErrCertificate:     "who answers there is not the node of the invitation[: {why}][: its key is {got}, not {want}] | do not go on until its operator says that the key was changed, and sends a new invitation",
		node.ErrSlow + " " + node.ErrTooLarge + " " + node.ErrRedirect + " " + node.ErrForeign: "what answers there is no node, or too slowly[: more than {limit} bytes][: it points elsewhere, to {to|quote}][: status {status}] | look at the address in the invitation",
		ledgerclient.ErrRollback: "the backup there has {pinned} entries, more than the folder with its {head} | the folder lost entries, or is not the one that was backed up. Keep both",
		ledgerclient.ErrForked:   "the backup there has another history: it differs within the first {size} entries | somebody served two copies of the ledger, or changed one. Keep both",
		"withdrawn-tampered":     "{where} is damaged: {what} | put it back from a backup; without one remove it, and let the node reach another one before it takes back a token",
		folder.ErrDamaged:        "{where} is damaged: {what} | go on from a backup, and keep the damaged folder: it may show what happened",
		ledgerclient.ErrTampered: "{what} does not verify[: {why}] | do not serve it until you know why; a backup may be whole",
	},
}}

// outOfReach is a node that gave no answer; if it is known why, that is said.
func outOfReach(_ *fault.Error, f, cause cli.Failure) cli.Failure {
	if kind, _, _ := strings.Cut(cause.Code, "-"); kind == "node" || kind == "answer" || cause.Code == string(ledgerclient.ErrQuota) {
		return cause
	}
	return f
}

func show(v any, _ string) string {
	if hour, ok := v.(contract.Hour); ok {
		return time.Unix(int64(hour)*3600, 0).UTC().Format("2 Jan 2006 15:04 UTC")
	}
	return fmt.Sprint(v)
}
