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
	"github.com/carekey/carekey/wallet/batch"
)

// This file and exit_words.go are the one place where errors become words and exit codes.

// failure is an error in words.
type failure = cli.Failure

func explain(err error) failure { return explanations.Explain(err) }

// report prints err and returns the exit code.
func (a *app) report(err error, args []string) int {
	f := explain(err)
	f.Hint = a.ours(f.Hint)
	// Also when the command line itself was wrong.
	asJSON := a.flags.json || slices.Contains(args, "--json")
	// An answer and a report: nothing failed.
	if !asJSON && (errors.Is(err, cli.ErrDeclined) || errors.Is(err, errFindings) || errors.Is(err, errToDo)) {
		fmt.Fprintln(a.err, sentence(f.Message)+".")
		return f.Exit
	}
	return f.Report(a.err, asJSON)
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
	}
	return fmt.Sprint(v)
}

// lines adds all that is wrong with a file.
func lines(e *fault.Error, f, _ failure) failure {
	f.Problems = e.Value("first")
	return f
}

// onLedger makes what is to be done next act on the ledger that it is said of.
func onLedger(e *fault.Error, f, _ failure) failure {
	f.Hint = strings.ReplaceAll(f.Hint, "carekey ledger verify", "carekey --ledger "+short(fault.Get[crypto.LedgerID](e, "id"))+" ledger verify")
	return f
}

func pending(e *fault.Error, f, cause failure) failure {
	if u := ledgerclient.Unreachable(e.Err); u != nil && u.Damaged { // not of a node that may come to itself
		cause.Message, cause.Exit = "signed, but not finished: "+cause.Message, cli.ExitTampered
		cause.Hint += "\nafter that: carekey sync"
		return cause
	}
	if cause.Code == string(ledgerclient.ErrUndecided) {
		f.Message, f.Hint = "signed, and it waits: "+cause.Message, cause.Hint+"\nto send it again now: carekey sync"
		return f
	}
	if strings.HasPrefix(cause.Code, "node-") { // the node is there and does not take it
		f.Hint = cause.Hint + "\n" + f.Hint
	}
	return f
}

// undecided is a ledger that did not decide in time; if it is known why, that is said.
func undecided(_ *fault.Error, f, cause failure) failure {
	if kind, _, _ := strings.Cut(cause.Code, "-"); kind == "node" || kind == "answer" {
		f.Message, f.Hint = cause.Message, cause.Hint
	}
	return f
}

// outOfReach is a service that gave no answer, which is no verdict, or a node that does
// not do what it is asked for: if it is known why, that is said.
func outOfReach(e *fault.Error, f, cause failure) failure {
	switch kind, _, _ := strings.Cut(cause.Code, "-"); {
	case kind == "answer", cause.Code == "node-certificate", cause.Code == "node-quota", cause.Code == string(ledgerclient.ErrQuota), isNoLedger(e.Err), fault.Get[bool](e, "damaged") && cause.Exit == cli.ExitTampered:
		return cause
	case kind == "node" && cause.Exit != cli.ExitUnreachable:
		cause.Exit = cli.ExitUnreachable
		return cause
	}
	return f
}
