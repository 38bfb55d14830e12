package main

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"path/filepath"
	"reflect"
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
	{&cli.UsageError{Message: "no such thing"}, "usage", 2},
	{&noNodeError{"d"}, "no-node", 7},
	{&nodeExistsError{"d"}, "node-exists", 3},
	{&otherNameError{"d", "City"}, "ledger-exists", 3},
	{&configError{"node.json", "version"}, "bad-settings", 2},
	{&tokenExistsError{"clinic"}, "token-exists", 3},
	{&noTokenError{"clinic"}, "no-token", 7},
	{&tlsError{io.EOF}, "bad-certificate", 2},
	{&servedError{"d"}, "served", 3},
	{&listenError{":1", syscall.EADDRINUSE}, "cannot-listen", 1},
	{&node.InvitationError{Kind: crypto.FaultChecksum}, "bad-invitation", 2},
	{&node.RefusedError{Kind: node.KindToken}, "node-token", 3},
	{&node.CertificateError{}, "node-certificate", 6},
	{&node.AnswerError{Why: node.AnswerTooLarge}, "node-answer", 6},
	{&ledgerclient.ForeignLedgerError{}, "foreign-ledger", 6},
	{&conformError{1, 2}, "does-not-conform", 6},
	{&orderError{}, "no-order", 2},
	{&orderError{own: true}, "own-order", 3},
	{&server.ClockOffError{Against: "ledger", By: time.Hour}, "clock-off", 3},
	{&order.BrokenError{What: order.Shorter}, "order-broken", 6},
	{&order.UnknownError{Err: io.EOF}, "order-unknown", 5},
	{&order.ProgramError{Program: "carekey-ledger-foo", Fault: order.Missing}, "backend-failed", 5},
	{&order.ProgramError{Program: "carekey-ledger-…", Fault: order.BadURL}, "usage", 2},
	{&order.ProgramError{Program: "carekey-ledger-foo", Fault: order.SaysNo, Text: "full"}, "backend-failed", 5},
	{&ledgerclient.UnreachableError{Service: "ledger", Err: io.EOF}, "ledger-unreachable", 5},
	{&ledgerclient.TamperedError{What: "checkpoint"}, "tampered", 6},
	{&ledgerclient.RollbackError{}, "backup-newer", 6},
	{&ledgerclient.ForkError{}, "backup-forked", 6},
	{&folder.NoLedgerError{}, "ledger-missing", 7},
	{&folder.BusyError{}, "ledger-busy", 5},
	{&folder.ExistsError{Ledger: true}, "ledger-exists", 3},
	{&folder.ExistsError{}, "folder-not-empty", 3},
	{&folder.NetworkFSError{}, "network-file-system", 3},
	{&folder.ReadOnlyError{Err: syscall.EROFS}, "ledger-read-only", 1},
	{&folder.ClockError{Last: 1, Now: 1000}, "clock-doubtful", 3},
	{&folder.ReplicaError{Replica: true}, "no-order", 2},
	{&folder.DamagedError{File: "leaves", Entry: 3}, "damaged", 6},
	{&folder.RangeError{}, "unexpected", 1},
	{&contract.ContractVersionError{}, "newer-contract", 1},
	{&contract.ConfigError{}, "usage", 2},
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
			f := explain(err)
			if f.Code != c.code || f.Exit != c.exit {
				t.Errorf("%T %v: %s, exit %d; want %s, %d", c.err, c.err, f.Code, f.Exit, c.code, c.exit)
			}
			if f.Message == "" || strings.HasSuffix(f.Message, ".") || strings.Contains(f.Message, "%!") {
				t.Errorf("%T: message %q", c.err, f.Message)
			}
		}
	}
}

// Every error type that this program can meet has words.
func TestEveryErrorTypeIsExplained(t *testing.T) {
	known := map[string]bool{}
	for _, c := range explained {
		known[strings.TrimPrefix(reflect.TypeOf(c.err).String(), "*")] = true
	}
	for _, dir := range []string{"cmd/carekey-node", "ledgerclient/order", "ledgerclient/folder", "ledgerclient/node", "ledgerclient/node/server"} {
		files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(dir), "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files, %v", dir, err)
		}
		found := 0
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				m, ok := d.(*ast.FuncDecl)
				if !ok || m.Recv == nil || m.Name.Name != "Error" {
					continue
				}
				r := m.Recv.List[0].Type
				if star, ok := r.(*ast.StarExpr); ok {
					r = star.X
				}
				name := r.(*ast.Ident).Name
				if !ast.IsExported(name) && f.Name.Name != "main" {
					continue
				}
				found++
				if full := f.Name.Name + "." + name; !known[full] {
					t.Errorf("%s has no words: add it to explain and to this table", full)
				}
			}
		}
		if found == 0 {
			t.Errorf("%s: no error types found", dir)
		}
	}
}

// What the README says to type, and what errors say to do next, exists.
func TestWrittenCommandsExist(t *testing.T) {
	root := func() *cobra.Command { return newRoot(newApp()) }
	if found := clitest.Document(t, filepath.Join("..", "..", "README.md"), root); found < 8 {
		t.Errorf("only %d commands in README.md", found)
	}
	for _, c := range explained {
		clitest.Text(t, c.code, explain(c.err).Hint, root)
	}
	_, typed, _ := strings.Cut(about, "\n\n")
	clitest.Text(t, "help", typed, root)
}
