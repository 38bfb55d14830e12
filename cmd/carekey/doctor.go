package main

import (
	"context"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/fault"
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
		RunE: func(cmd *cobra.Command, _ []string) error { return (&exam{app: a}).doctor(cmd.Context()) },
	}
}

// errFindings: something needs a person. exit
const errFindings fault.Code = "findings"

// examinations look at one part each, in the order in which they are shown and in
// which a later one may use what an earlier one opened. Each is in a file of its
// own, doctor_PART.go.
var examinations = []func(*exam, context.Context){
	(*exam).examineHome,
	(*exam).examineKeyring,
	(*exam).examineLedger,
	(*exam).examineWallet,
	(*exam).examineCare,
	(*exam).examineStore,
	(*exam).examineVersion,
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
	for _, examine := range examinations {
		if examine(e, ctx); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	for i := range e.found {
		f := &e.found[i]
		f.Detail, f.Fix = e.ours(f.Detail), e.ours(f.Fix)
	}
	exit := exitOf(e.found)
	e.show()
	if err := e.result(examJSON{e.found, exit == cli.ExitDone}); err != nil {
		return err
	}
	if exit != cli.ExitDone {
		return errFindings.With("exit", exit)
	}
	return nil
}

type examJSON struct {
	Findings []finding `json:"findings"`
	OK       bool      `json:"ok"`
}

func (e *exam) show() {
	margin := "\n" + strings.Repeat(" ", 17)
	for _, f := range e.found {
		mark := map[severity]string{fine: "ok", advice: "FIX", broken: "BAD"}[f.Severity]
		text := strings.TrimSuffix(f.Detail+"\n"+f.Fix, "\n")
		e.print("%-4s %-11s %s", mark, f.Check, strings.ReplaceAll(text, "\n", margin))
	}
}
