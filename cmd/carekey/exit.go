package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/wallet/batch"
)

// This file and exit_words.go are the one place where errors become words and exit codes.

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
type failure = cli.Failure

func explain(err error) failure { return explanations.Explain(err) }

// report prints err and returns the exit code.
func (a *app) report(err error, args []string) int {
	if err == nil {
		return exitDone
	}
	f := explain(err)
	f.Hint = a.ours(f.Hint)
	switch e, ok := errors.AsType[*batch.LinesError](err); {
	case a.flags.json || slices.Contains(args, "--json"): // also when the command line itself was wrong
		j := struct {
			failure
			Problems []batch.Problem `json:"problems,omitempty"` // the first hundred of a file
		}{failure: f}
		if ok {
			j.Problems = e.Problems
		}
		cli.WriteJSON(a.err, map[string]any{"error": j}, false)
	case errors.Is(err, cli.ErrDeclined), errors.Is(err, errFindings): // an answer and a report: nothing failed
		fmt.Fprintln(a.err, sentence(f.Message)+".")
	default:
		f.Print(a.err)
	}
	return f.Exit
}

func usage(message, hint string) error { return cli.Usage(message, hint) }

// is reports whether an error of type E is in err's chain.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// show is a value as people read it.
func show(v any, how string) string {
	switch v := v.(type) {
	case crypto.LedgerID:
		return short(v)
	case contract.ID:
		if v == (contract.ID{}) {
			return ""
		}
		return short(v)
	case contract.Hour:
		if v == 0 {
			return ""
		}
		return day(v)
	case crypto.Fault:
		return map[crypto.Fault]string{
			crypto.FaultMalformed: "is not complete, or is something else",
			crypto.FaultChecksum:  "has a typing mistake in it",
			crypto.FaultVersion:   "is of a newer carekey",
			crypto.FaultMixed:     "was put together from two addresses: do not use it",
		}[v]
	case []string:
		return strings.Join(v, "\n")
	case []batch.Problem:
		return strings.Join(list(v, problem), "\n")
	case []int: // positions, from 0
		at := make([]string, len(v))
		for i, n := range v {
			at[i] = strconv.Itoa(n + 1)
		}
		return strings.Join(at, ", or ")
	case int:
		return thousands(v)
	case uint64:
		return thousands(int(v))
	case time.Duration:
		switch {
		case how == "old" && v < 0: // it is yet to come
			return "signed for " + roughly(-v) + " from now"
		case how == "old":
			return roughly(v) + " old"
		}
	case string:
		switch how {
		case "other":
			return otherKind(v)
		case "go":
			return strconv.Quote(v)
		}
	}
	return fmt.Sprint(v)
}

// roughly is a duration as people say it.
func roughly(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return plural(int(d/time.Second), "second", "seconds")
	case d < 2*time.Hour:
		return plural(int(d/time.Minute), "minute", "minutes")
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour", "hours")
	}
	return plural(int(d/(24*time.Hour)), "day", "days")
}

// problem is a line about what is wrong with a file.
func problem(p batch.Problem) string {
	named := p.Field
	if p.Value != "" {
		named = strings.TrimSpace(named + " " + cli.Quote(cli.Clean(p.Value)))
	}
	if named != "" {
		named += ": "
	}
	return fmt.Sprintf("%s:%d:%d: %s%s", p.File, p.Line, p.Column, named, p.Why)
}

// onLedger makes what is to be done next act on the ledger that it is said of.
func onLedger(e *fault.Error, f, _ failure) failure {
	f.Hint = strings.ReplaceAll(f.Hint, "carekey ledger verify", "carekey --ledger "+short(fault.Get[crypto.LedgerID](e, "id"))+" ledger verify")
	return f
}

func pending(e *fault.Error, f, cause failure) failure {
	if u := ledgerclient.Unreachable(e.Err); u != nil && u.Damaged { // not of a node that may come to itself
		cause.Message, cause.Exit = "signed, but not finished: "+cause.Message, exitTampered
		cause.Hint += "\nafter that: carekey sync"
		return cause
	}
	if strings.HasPrefix(cause.Code, "node-") { // the node is there and does not take it
		f.Hint = cause.Hint + "\n" + f.Hint
	}
	return f
}

// outOfReach is a service that gave no answer, which is no verdict, or a node that does
// not do what it is asked for: if it is known why, that is said.
func outOfReach(e *fault.Error, f, cause failure) failure {
	switch kind, _, _ := strings.Cut(cause.Code, "-"); {
	case kind == "answer", cause.Code == "node-certificate", isNoLedger(e.Err), fault.Get[bool](e, "damaged") && is[*folder.DamagedError](e.Err):
		return cause
	case kind == "node" && cause.Exit != exitUnreachable:
		cause.Exit = exitUnreachable
		return cause
	}
	return f
}
