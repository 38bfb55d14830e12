package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet/batch"
)

// This file and those named exit_ are the one place where errors become words and
// exit codes.

// The exit codes.
const (
	exitDone        = cli.ExitDone
	exitUnexpected  = cli.ExitUnexpected
	exitUsage       = cli.ExitUsage
	exitRefused     = cli.ExitRefused
	exitLocked      = cli.ExitLocked
	exitUnreachable = cli.ExitUnreachable
	exitTampered    = cli.ExitTampered
	exitNotFound    = cli.ExitNotFound
	exitPartly      = cli.ExitPartly
	exitInterrupted = cli.ExitInterrupted
)

const exitStatus = `EXIT STATUS
  0    done, or nothing to do
  1    unexpected: disk full, read-only, and the like
  2    wrong usage, or an answer is missing
  3    refused: not yet, expired, revoked, not yours, or you said no
  4    the keyring is locked or absent, or the passphrase is wrong
  5    ledger, store or keeper out of reach
  6    verification failed: tampered, truncated, another or an older ledger
  7    not found, or a share code of another ledger
  8    partly done, or not all of it could be had
  130  interrupted`

// failure is an error in words.
type failure cli.Failure

// fileFailure is the failure of a file with all that is wrong with it.
type fileFailure struct {
	failure
	Problems []problemJSON `json:"problems"` // the first hundred
}

type problemJSON struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Field  string `json:"field,omitempty"`
	Value  string `json:"value,omitempty"`
	Why    string `json:"why"`
}

// report prints err and returns the exit code.
func (a *app) report(err error, args []string) int {
	if err == nil {
		return exitDone
	}
	f := explain(err)
	f.Hint = a.ours(f.Hint)
	if a.flags.json || slices.Contains(args, "--json") { // also when the command line itself was wrong
		if e, ok := errors.AsType[*batch.LinesError](err); ok {
			problems := list(e.Problems, func(p batch.Problem) problemJSON {
				return problemJSON{e.File, p.Line, p.Column, p.Field, p.Value, p.Why}
			})
			cli.WriteJSON(a.err, map[string]fileFailure{"error": {f, problems}}, false)
			return f.Exit
		}
		cli.WriteJSON(a.err, map[string]failure{"error": f}, false)
		return f.Exit
	}
	if errors.Is(err, cli.ErrDeclined) || errors.Is(err, errFindings) { // an answer and a report: nothing failed
		fmt.Fprintln(a.err, sentence(f.Message)+".")
		return f.Exit
	}
	cli.Failure(f).Print(a.err)
	return f.Exit
}

func usage(message, hint string) error { return cli.Usage(message, hint) }

// is reports whether an error of type E is in err's chain.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
