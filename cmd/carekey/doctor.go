package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
	"github.com/spf13/cobra"
)

func newDoctor(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Find out what is wrong, and how to put it right",
		Long: `Look at the home, the keyring, the ledger, the clock and what waits. Each finding comes
with what to do about it. Nothing is changed.

The exit code says how bad it is: 0 if nothing needs you; 1 if carekey works and
something should be put right; otherwise the one with which other commands would
end: 6 if something does not verify, 4 if the key is out of reach, 5 if the ledger
is, 7 if there is no wallet.`,
		Args: cli.Takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return (&exam{app: a}).doctor(cmd.Context()) },
	}
}

// examinations look at one part each, in the order in which they are shown and in
// which a later one may use what an earlier one opened. Each is in a file of its
// own, doctor_PART.go.
var examinations = []func(*exam, context.Context) []finding{
	(*exam).examineHome,
	(*exam).examineKeyring,
	(*exam).examineLedger,
	(*exam).examineWallet,
	(*exam).examineCare,
	(*exam).examineStore,
	(*exam).examineVersion,
}

// exam is what was opened so far.
type exam struct {
	*app
	place  place
	key    keyring.Store  // has read the wallet's key, once; nil if there is no wallet
	keyOK  bool           // and got it
	ledger *ledger        // nil if it cannot be opened
	wallet *wallet.Wallet // nil if it cannot be opened
}

// finding is one thing that was looked at.
type finding struct {
	Check    string   `json:"check"`
	OK       bool     `json:"ok"` // nothing to do
	Severity severity `json:"severity"`
	Code     string   `json:"code"`   // stable; "" if OK
	Detail   string   `json:"detail"` // what was found
	Fix      string   `json:"fix"`    // what to do; "" if OK
	exit     int      // of the program, if nothing is worse
}

// severity is how bad a finding is.
type severity string

const (
	fine   severity = "ok"
	advice severity = "advice" // carekey works; this should be put right
	broken severity = "broken" // other commands fail for it
)

// good is a finding that asks nothing of anybody.
func good(check, detail string) finding {
	return finding{Check: check, OK: true, Severity: fine, Detail: detail}
}

// advise is a finding that does not keep carekey from working.
func advise(check, code, detail, fix string) finding {
	return finding{check, false, advice, code, detail, fix, exitUnexpected}
}

// failed is a finding made of the error with which other commands fail.
func failed(check string, err error) finding {
	f := explain(err)
	return finding{check, false, broken, f.Code, f.Message, f.Hint, f.Exit}
}

// findingsError: the doctor found something, and has said so.
type findingsError struct{ exit int }

func (e *findingsError) Error() string { return "something needs you" }

// worst lists exit codes of findings, the worst first; those not in it are next.
var worst = []int{exitTampered, exitLocked, exitUnreachable, exitNotFound}

// exitOf is the program's exit code after these findings.
func exitOf(fs []finding) int {
	rank := func(exit int) int {
		if i := slices.Index(worst, exit); i >= 0 {
			return i
		}
		return len(worst)
	}
	exit, worse := exitDone, false
	for _, f := range fs {
		switch {
		case f.OK:
		case exit == exitDone,
			f.Severity == broken && !worse,
			f.Severity == broken && rank(f.exit) < rank(exit):
			exit, worse = f.exit, f.Severity == broken
		}
	}
	return exit
}

func (e *exam) doctor(ctx context.Context) error {
	defer func() {
		if e.wallet != nil {
			e.wallet.Wipe()
		}
		if e.ledger != nil {
			e.ledger.close()
		}
	}()
	var all []finding
	for _, examine := range examinations {
		for _, f := range examine(e, ctx) {
			f.Detail, f.Fix = e.ours(f.Detail), e.ours(f.Fix)
			all = append(all, f)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	exit := exitOf(all)
	if e.flags.json {
		if err := e.printJSON(struct {
			OK       bool      `json:"ok"`
			Findings []finding `json:"findings"`
		}{exit == exitDone, list(all, func(f finding) finding { return f })}); err != nil {
			return err
		}
	} else {
		e.show(all)
	}
	if exit != exitDone {
		return &findingsError{exit}
	}
	return nil
}

func (e *exam) show(all []finding) {
	for _, f := range all {
		mark := map[severity]string{fine: "ok  ", advice: "FIX ", broken: "BAD "}[f.Severity]
		margin := fmt.Sprintf("     %-11s ", "")
		e.print("%s %-11s %s", mark, f.Check, strings.ReplaceAll(f.Detail, "\n", "\n"+margin))
		if f.Fix != "" {
			e.print("%s", margin+strings.ReplaceAll(f.Fix, "\n", "\n"+margin))
		}
	}
}
