package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/cli/clitest"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/server"
	"github.com/carekey/carekey/ledgerclient/order"
	"github.com/spf13/cobra"
)

// explained has every error type that a node meets.
var explained = []struct {
	err  error
	code string
	exit int
}{
	{cli.Usage("no such thing", ""), "usage", 2},
	{errNoNode.With("dir", "d"), "no-node", 7},
	{errNodeExists.With("dir", "d"), "node-exists", 3},
	{errOtherName.With("dir", "d", "name", "City"), "other-name", 3},
	{errConfig.With("path", "node.json", "what", "version"), "bad-settings", 2},
	{errTokenExists.With("name", "clinic"), "token-exists", 3},
	{errNoToken.With("name", "clinic"), "no-token", 7},
	{errTLS.Of(io.EOF), "bad-certificate", 2},
	{errServed.With("dir", "d"), "served", 3},
	{errOwnLine.With("dir", "d"), "own-line-changed", 6},
	{errDraftID.With("got", "a", "want", "b"), "draft-changed", 6},
	{errNotBegun.With("by", "City hospital"), "ledger-not-begun", 5},
	{node.ErrMember.With("fault", crypto.FaultChecksum), "member-checksum", 2},
	{node.ErrDraft.With("line", 3, "want", "threshold from 3 to 4"), "draft", 2},
	{node.ErrKeyTwice.With("first", "City", "second", "North"), "draft-key-twice", 3},
	{node.ErrAlike.With("first", "City", "second", "North"), "draft-members-alike", 3},
	{errListen.Of(syscall.EADDRINUSE, "address", ":1"), "cannot-listen", 1},
	{node.ErrInvitation.With("fault", crypto.FaultChecksum), "invitation-checksum", 2},
	{&node.RefusedError{Kind: node.KindToken}, "node-token", 3},
	{node.ErrCertificate, "node-certificate", 6},
	{node.ErrTooLarge, "answer-too-large", 6},
	{ledgerclient.ErrForeign, "foreign-ledger", 6},
	{errConform.With("failed", 1, "all", 2), "does-not-conform", 6},
	{folder.ErrOwnOrder, "ledger-own-order", 3},
	{folder.ErrSuccessor.With("dir", "/node"), "ledger-successor", 1},
	{folder.ErrNotNamed, "keys-not-named", 3},
	{server.ErrClockOff.With("by", time.Hour, "against", "ledger"), "clock-off", 3},
	{server.ErrGone.With("gone", 2, "most", 1), "too-many-gone", 2},
	{server.ErrUnsure.With("heard", 1, "need", 3), "signed-unknown", 5},
	{order.ErrBroken.With("what", order.Shorter), "order-broken", 6},
	{order.ErrUnknown.Of(io.EOF), "order-unknown", 5},
	{&order.ProgramError{Program: "carekey-ledger-foo", Fault: order.Missing}, "order-program-missing", 5},
	{&order.ProgramError{Program: "carekey-ledger-…", Fault: order.BadURL}, "usage", 2},
	{&order.ProgramError{Program: "carekey-ledger-foo", Fault: order.SaysNo, Text: "full"}, "order-program", 5},
	{&ledgerclient.UnreachableError{Service: "ledger", Err: io.EOF}, "ledger-unreachable", 5},
	{&ledgerclient.UnreachableError{Service: "ledger", Err: ledgerclient.ErrQuota.With("why", "12 grants")}, "order-quota", 5},
	{&ledgerclient.TamperedError{What: "checkpoint"}, "checkpoint-tampered", 6},
	{&ledgerclient.RollbackError{}, "ledger-rolled-back", 6},
	{&ledgerclient.ForkError{}, "ledger-forked", 6},
	{folder.ErrNoLedger, "ledger-missing", 7},
	{folder.ErrBusy, "ledger-busy", 5},
	{folder.ErrLedgerExists, "ledger-exists", 3},
	{folder.ErrNotEmpty, "folder-not-empty", 3},
	{folder.ErrFormat.With("dir", "x", "version", uint64(1)), "folder-version", 1},
	{folder.ErrNetworkFS, "network-file-system", 3},
	{folder.ErrReadOnly.Of(syscall.EROFS), "ledger-read-only", 1},
	{folder.ErrClock.With("last", 1, "now", 1000), "clock-doubtful", 3},
	{folder.ErrReplica, "ledger-replica", 2},
	{&folder.DamagedError{File: "leaves", Entry: 3}, "entry-tampered", 6},
	{&folder.DamagedError{File: "withdrawn", Entry: folder.NoEntry, What: "not what was signed"}, "withdrawn-tampered", 6},
	{&folder.RangeError{}, "unexpected", 1},
	{contract.ErrContractVersion, "newer-contract", 1},
	{contract.ErrConfig, "configuration-tampered", 6},
	{&fs.PathError{Op: "open", Path: "f", Err: syscall.ENOSPC}, "disk-full", 1},
	{&fs.PathError{Op: "flock", Path: "f", Err: syscall.ENOLCK}, "no-locks", 1},
	{&disk.KindError{Path: "f", Is: "a pipe"}, "not-a-file", 1},
	{&fs.PathError{Op: "open", Path: "f", Err: syscall.EROFS}, "read-only", 1},
	{&fs.PathError{Op: "open", Path: "f", Err: syscall.EACCES}, "permission-denied", 1},
	{&fs.PathError{Op: "open", Path: "f", Err: syscall.ENOENT}, "file-not-found", 7},
	{context.Canceled, "interrupted", 130},
	{errors.New("what"), "unexpected", 1},
}

func TestExplain(t *testing.T) {
	for _, c := range explained {
		for _, err := range []error{c.err, fmt.Errorf("while at it: %w", c.err)} {
			f := explanations.Explain(err)
			if f.Code != c.code || f.Exit != c.exit {
				t.Errorf("%T %v: %s, exit %d; want %s, %d", c.err, c.err, f.Code, f.Exit, c.code, c.exit)
			}
			if f.Message == "" || strings.HasSuffix(f.Message, ".") || strings.Contains(f.Message, "%!") {
				t.Errorf("%T: message %q", c.err, f.Message)
			}
		}
	}
}

// What the README and the guides say to type, and what errors say to do next, exists.
func TestWrittenCommandsExist(t *testing.T) {
	root := func() *cobra.Command { return newRoot(newApp()) }
	found := 0
	for _, file := range clitest.Documents(t) {
		found += clitest.Document(t, file, root)
	}
	if found < 8 {
		t.Errorf("only %d commands in the README and the guides", found)
	}
	for _, c := range explained {
		clitest.Text(t, c.code, explanations.Explain(c.err).Hint, root)
	}
	_, typed, _ := strings.Cut(about, "\n\n")
	clitest.Text(t, "help", typed, root)
}

// Every code has words, and every row a code.
func TestEveryCodeHasWords(t *testing.T) {
	clitest.Codes(t, filepath.Join("..", ".."), explanations.Texts(), []string{"cmd/carekey-node", "cmd/cli", "ledgerclient/folder", "ledgerclient/node", "ledgerclient/order"}, []string{"withdrawn-tampered"})
}
