package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/server"
	"github.com/carekey/carekey/ledgerclient/order"
)

// This file is the one place where errors become words and exit codes.

// The exit codes are those of carekey; a node has no keyring.
const (
	exitDone        = 0
	exitUnexpected  = 1
	exitUsage       = 2
	exitRefused     = 3
	exitUnreachable = 5
	exitTampered    = 6
	exitNotFound    = 7
	exitInterrupted = 130
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

// failure is an error in words.
type failure cli.Failure

// report prints err and returns the exit code.
func (a *app) report(err error, args []string) int {
	if err == nil {
		return exitDone
	}
	f := explain(err)
	if a.flags.json || slices.Contains(args, "--json") { // also when the command line itself was wrong
		cli.WriteJSON(a.err, map[string]failure{"error": f}, false)
		return f.Exit
	}
	cli.Failure(f).Print(a.err)
	return f.Exit
}

func usage(message, hint string) error { return cli.Usage(message, hint) }

// explain turns an error into words. The outermost known type decides.
func explain(err error) failure {
	for _, known := range []func(error) (failure, bool){explainCommand, explainOrder, explainLedger, explainSystem} {
		if f, ok := known(err); ok {
			return f
		}
	}
	return failure{"unexpected", err.Error(), "", exitUnexpected}
}

func explainCommand(err error) (failure, bool) {
	if errors.Is(err, context.Canceled) {
		return failure{"interrupted", "stopped", "", exitInterrupted}, true
	}
	if errors.Is(err, errDeclined) {
		return failure{"declined", "you said no: nothing was changed", "", exitRefused}, true
	}
	if e, ok := errors.AsType[*cli.UsageError](err); ok {
		return failure{"usage", e.Message, e.Hint, exitUsage}, true
	}
	if e, ok := errors.AsType[*noNodeError](err); ok {
		return failure{"no-node", "there is no node in " + e.dir, "make one with: carekey-node init " + e.dir + " --name 'City ledger'", exitNotFound}, true
	}
	if e, ok := errors.AsType[*nodeExistsError](err); ok {
		return failure{"node-exists", "there is a node in " + e.dir + " already", "serve it: carekey-node serve " + e.dir, exitRefused}, true
	}
	if e, ok := errors.AsType[*otherNameError](err); ok {
		return failure{"ledger-exists", fmt.Sprintf("there is a ledger in %s already, and its name is %q", e.dir, e.name), "to make a node for it, say that name or none", exitRefused}, true
	}
	if e, ok := errors.AsType[*configError](err); ok {
		return failure{"bad-settings", e.path + " cannot be used: " + e.what, "put it right in that file, or bring the file back from a backup", exitUsage}, true
	}
	if e, ok := errors.AsType[*tokenExistsError](err); ok {
		return failure{"token-exists", "there is a token named " + e.name + " already, and a node cannot show a token again", "take another name, or remove it first", exitRefused}, true
	}
	if e, ok := errors.AsType[*noTokenError](err); ok {
		return failure{"no-token", "no token is named " + e.name, "see: carekey-node token list DIR", exitNotFound}, true
	}
	if e, ok := errors.AsType[*tlsError](err); ok {
		return failure{"bad-certificate", "the certificate and its key cannot be used: " + e.err.Error(), "both are PEM files, the certificate's own first, then those of its issuers", exitUsage}, true
	}
	if e, ok := errors.AsType[*servedError](err); ok {
		return failure{"served", "a server is running on " + e.dir + " already", "stop that one first", exitRefused}, true
	}
	if e, ok := errors.AsType[*listenError](err); ok {
		return failure{"cannot-listen", "cannot listen at " + e.address + ": " + cli.System(e.err), "name a free address with --listen", exitUnexpected}, true
	}
	if e, ok := errors.AsType[*server.ClockOffError](err); ok {
		return failure{"clock-off", fmt.Sprintf("this computer's clock is off by %s against %s", e.By.Round(time.Second), against(e.Against)),
			"set the clock, and let it be kept by NTP. An entry at a wrong hour cannot be taken back", exitRefused}, true
	}
	if e, ok := errors.AsType[*node.InvitationError](err); ok {
		return failure{"bad-invitation", "that is not a whole invitation: " + string(e.Kind), "copy all of it", exitUsage}, true
	}
	if e, ok := errors.AsType[*node.RefusedError](err); ok {
		return failure{"node-" + string(e.Kind), "the node refuses: " + e.Error(), "ask the operator of that node", exitRefused}, true
	}
	if e, ok := errors.AsType[*ledgerclient.ForeignLedgerError](err); ok {
		return failure{"foreign-ledger", fmt.Sprintf("the node serves ledger %s, not %s as the invitation says", e.Got, e.Want), "ask its operator for a new invitation", exitTampered}, true
	}
	if e, ok := errors.AsType[*node.CertificateError](err); ok {
		return failure{"node-certificate", "who answers there is not the node of the invitation: " + e.Error(), "do not go on until its operator says that the key was changed, and sends a new invitation", exitTampered}, true
	}
	if e, ok := errors.AsType[*node.AnswerError](err); ok {
		return failure{"node-answer", "what answers there is no node: " + e.Error(), "look at the address in the invitation", exitTampered}, true
	}
	if e, ok := errors.AsType[*conformError](err); ok {
		return failure{"does-not-conform", fmt.Sprintf("%d of %d rules do not hold", e.failed, e.all), "the rules that do not hold are above; each names what it wants", exitTampered}, true
	}
	return failure{}, false
}

func against(clock string) string {
	switch clock {
	case "ledger":
		return "the last entry of the ledger"
	case "reference":
		return "the reference in node.json"
	}
	return "its own count of seconds"
}

func explainOrder(err error) (failure, bool) {
	if e, ok := errors.AsType[*orderError](err); ok {
		if e.own {
			return failure{"own-order", "this folder keeps its own order", "a node whose order is kept elsewhere is made with: carekey-node init DIR --order URL", exitRefused}, true
		}
		return failure{"no-order", "this folder is a copy of an order that is kept elsewhere", "name it with --order URL, or \"order\" in node.json", exitUsage}, true
	}
	if e, ok := errors.AsType[*order.BrokenError](err); ok {
		return failure{"order-broken", fmt.Sprintf("the backend's order cannot be followed: at position %d %s", e.Position, e.What), "nothing more is taken from it until that is cleared up", exitTampered}, true
	}
	if e, ok := errors.AsType[*order.ProgramError](err); ok {
		hint := ""
		exit := exitUnreachable
		switch e.Fault {
		case order.BadURL:
			return failure{"usage", "that is not the URL of a backend", "for foo:anything the program carekey-ledger-foo is started", exitUsage}, true
		case order.Missing:
			hint = "a backend is a program in PATH; see ledgerclient/order/PROTOCOL.md"
		}
		m := "the backend's program " + e.Program + ": " + string(e.Fault)
		if e.Text != "" {
			m += ": " + e.Text
		}
		return failure{"backend-failed", m, hint, exit}, true
	}
	if e, ok := errors.AsType[*order.UnknownError](err); ok {
		return failure{"order-unknown", e.Error(), "try again: the same entry is never ordered twice", exitUnreachable}, true
	}
	if e, ok := errors.AsType[*ledgerclient.UnreachableError](err); ok {
		return failure{e.Service + "-unreachable", "the " + e.Service + " cannot be reached: " + e.Err.Error(), "see whether it runs and the network is there, and try again", exitUnreachable}, true
	}
	return failure{}, false
}

func explainLedger(err error) (failure, bool) {
	if e, ok := errors.AsType[*folder.NoLedgerError](err); ok {
		return failure{"ledger-missing", "there is no ledger in " + e.Dir, "make one: carekey-node init DIR --name NAME", exitNotFound}, true
	}
	if e, ok := errors.AsType[*folder.BusyError](err); ok {
		return failure{"ledger-busy", fmt.Sprintf("another program is using %s (waited %s)", e.Dir, e.Waited), "try again when it is done", exitUnreachable}, true
	}
	if e, ok := errors.AsType[*folder.ExistsError](err); ok {
		if e.Ledger {
			return failure{"ledger-exists", "there is a ledger in " + e.Dir + " already", "choose another folder, or serve that one: carekey-node serve " + e.Dir, exitRefused}, true
		}
		return failure{"folder-not-empty", e.Dir + " is there already and is not empty", "choose a new folder", exitRefused}, true
	}
	if e, ok := errors.AsType[*folder.NetworkFSError](err); ok {
		return failure{"network-file-system", fmt.Sprintf("%s is on a network file system (%s), where a ledger is not safe", e.Dir, e.FS), "choose a folder on a disk of this computer", exitRefused}, true
	}
	if e, ok := errors.AsType[*folder.ReadOnlyError](err); ok {
		return failure{"ledger-read-only", "the ledger cannot be written: " + cli.System(e.Err), "check the permissions of " + e.Dir, exitUnexpected}, true
	}
	if e, ok := errors.AsType[*folder.ClockError](err); ok {
		return failure{"clock-doubtful", fmt.Sprintf("the clock is %d days past the ledger's last entry", (e.Now-e.Last)/24), "if it is right, add --accept-clock", exitRefused}, true
	}
	if e, ok := errors.AsType[*folder.ReplicaError](err); ok {
		return explainOrder(&orderError{own: !e.Replica})
	}
	if is := (*ledgerclient.RollbackError)(nil); errors.As(err, &is) {
		return failure{"backup-newer", fmt.Sprintf("the backup there has %d entries, more than the folder with its %d", is.Pinned, is.Head), "the folder lost entries, or is not the one that was backed up. Keep both", exitTampered}, true
	}
	if is := (*ledgerclient.ForkError)(nil); errors.As(err, &is) {
		return failure{"backup-forked", fmt.Sprintf("the backup there has another history: it differs within the first %d entries", is.Size), "somebody served two copies of the ledger, or changed one. Keep both", exitTampered}, true
	}
	if e, ok := errors.AsType[*folder.DamagedError](err); ok {
		return failure{"damaged", "the ledger is damaged: " + e.Error(), "go on from a backup, and keep the damaged folder: it may show what happened", exitTampered}, true
	}
	if e, ok := errors.AsType[*ledgerclient.TamperedError](err); ok {
		return failure{"tampered", e.Error(), "do not serve it until you know why; a backup may be whole", exitTampered}, true
	}
	if e, ok := errors.AsType[*contract.ContractVersionError](err); ok {
		return failure{"newer-contract", e.Error(), "use a newer carekey-node", exitUnexpected}, true
	}
	if e, ok := errors.AsType[*contract.ConfigError](err); ok {
		return failure{"usage", "that cannot be the name of a ledger: want " + e.Want, "say another with --name", exitUsage}, true
	}
	return failure{}, false
}

func explainSystem(err error) (failure, bool) {
	if e, ok := errors.AsType[*disk.KindError](err); ok {
		return failure{"not-a-file", e.Error() + ", and is in the way", "a node opens files and folders alone: move it away, and try again", exitUnexpected}, true
	}
	if at, ok := cli.NoLocks(err); ok {
		return failure{"no-locks", at + ": the file system keeps no locks: " + cli.System(err), "keep the node's folder on a disk of this computer", exitUnexpected}, true
	}
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return failure{"disk-full", "the disk is full", "make room and try again", exitUnexpected}, true
	case errors.Is(err, syscall.EROFS):
		return failure{"read-only", "the disk is read-only", "make it writable, or name another place", exitUnexpected}, true
	case errors.Is(err, fs.ErrPermission):
		return failure{"permission-denied", "no permission: " + cli.System(err), "check who owns it, and as whom the node runs", exitUnexpected}, true
	case errors.Is(err, fs.ErrNotExist):
		return failure{"file-not-found", "not found: " + cli.System(err), "look at its name and folder", exitNotFound}, true
	}
	return failure{}, false
}
