package main

import (
	"context"
	"fmt"
	"strings"

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
var examinations = []func(*exam, context.Context) []finding{
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
		}{exit == exitDone, list(all, same)}); err != nil {
			return err
		}
	} else {
		e.show(all)
	}
	if exit != exitDone {
		return errFindings.With("exit", exit)
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
