package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/hardening"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/order"
)

// app is one run of the program. This file is the only one that opens a ledger or a
// backend; tests make an app of their own with another clock.
type app struct {
	in, out, err *os.File
	now          func() time.Time
	flags        struct{ json, yes, quiet bool }
}

func newApp() *app {
	return &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, now: time.Now}
}

// run carries out one command line and returns the exit code.
func (a *app) run(args []string) (exit int) {
	defer func() {
		if r := recover(); r != nil {
			exit = a.crashed(r)
		}
	}()
	return a.report(cli.Execute(newRoot(a), args, a.in, a.out, a.err), args)
}

// crashed reports a panic and returns the program's exit code.
func (a *app) crashed(value any) int {
	hardening.Broken(a.err, "carekey-node", value)
	return cli.ExitUnexpected
}

// say is for people: on standard error, and not with --quiet or --json.
func (a *app) say(format string, args ...any) {
	if !a.flags.quiet && !a.flags.json {
		fmt.Fprintln(a.err, cli.Wrap(cli.CleanText(fmt.Sprintf(format, args...)), cli.Prose(a.err)))
	}
}

// print is what was asked for, and not with --json: see result.
func (a *app) print(format string, args ...any) {
	if !a.flags.json {
		fmt.Fprintln(a.out, cli.Wrap(cli.CleanText(fmt.Sprintf(format, args...)), cli.Prose(a.out)))
	}
}

// result prints what a command did for a program.
func (a *app) result(v any) error {
	if a.flags.json {
		return cli.WriteJSON(a.out, v, true)
	}
	return nil
}

// openNode reads a node's settings and opens its ledger.
func (a *app) openNode(dir string) (*config, *folder.Folder, error) {
	cfg, err := readConfig(dir)
	if err != nil {
		return nil, nil, err
	}
	f, err := a.openFolder(dir, cfg, false)
	return cfg, f, err
}

// openFolder opens a node's ledger.
func (a *app) openFolder(dir string, c *config, acceptClock bool) (*folder.Folder, error) {
	return folder.Open(dir, folder.Options{Clock: a.now, AcceptClock: acceptClock, EraseAfter: contract.Hour(c.EraseAfterHours)})
}

// createFolder makes a new ledger with one node.
func (a *app) createFolder(ctx context.Context, dir, name, url string) (*folder.Folder, error) {
	fd, err := folder.NewFounding(name)
	if err != nil {
		return nil, err
	}
	return a.createIn(ctx, dir, fd, url)
}

// createIn makes the folder of a ledger that keeps its own order or, if url is not "", one
// whose entries come from the order there.
func (a *app) createIn(ctx context.Context, dir string, fd folder.Founding, url string) (*folder.Folder, error) {
	if url == "" {
		return folder.CreateFrom(dir, fd, folder.Ordered{}, folder.Options{Clock: a.now})
	}
	b, err := a.openOrder(ctx, url)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return folder.CreateIn(ctx, dir, fd, b, a.now)
}

// verify checks every byte of a ledger's folder and returns the root of its log.
func (a *app) verify(ctx context.Context, dir string, c *config) (root string, err error) {
	f, err := a.openFolder(dir, c, true)
	if err != nil {
		return "", err
	}
	defer f.Close()
	r, err := f.Verify(ctx, nil, nil)
	return r.Root.String(), err
}

// openOrder starts the program that keeps an order.
func (a *app) openOrder(ctx context.Context, url string) (order.Backend, error) {
	return order.Start(ctx, url, order.ProgramOptions{Stderr: a.err})
}

// dial reaches the ledger that a node serves. With its genesis document the node is not
// asked yet.
func (a *app) dial(ctx context.Context, i node.Invitation, genesis []byte) (ledgerclient.Services, error) {
	n, err := node.Dial(ctx, i, node.Options{Genesis: genesis})
	if err != nil {
		return ledgerclient.Services{}, err
	}
	return n.Services(), nil
}

// claim makes this process the only one that serves a folder, or changes its settings.
var claim = folder.Claim

// makeKeys and keysIn make and read the keys of an institution that founds a ledger with
// others.
var makeKeys, keysIn = folder.MakeKeys, folder.KeysIn
