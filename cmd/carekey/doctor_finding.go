package main

import (
	"slices"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
)

// exam is what was opened and found so far.
type exam struct {
	*app
	place  place
	key    keyring.Store  // has read the wallet's key, once; nil if it cannot be had
	ledger *ledger        // nil if it cannot be opened
	wallet *wallet.Wallet // nil if it cannot be opened
	found  []finding
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

// good adds a finding that asks nothing of anybody.
func (e *exam) good(check, detail string) {
	e.found = append(e.found, finding{Check: check, OK: true, Severity: fine, Detail: detail})
}

// advise adds a finding that does not keep carekey from working.
func (e *exam) advise(check, code, detail, fix string) {
	e.found = append(e.found, finding{check, false, advice, code, detail, fix, cli.ExitUnexpected})
}

// failed adds a finding made of the error with which other commands fail.
func (e *exam) failed(check string, err error) *finding {
	f := explain(err)
	e.found = append(e.found, finding{check, false, broken, f.Code, f.Message, f.Hint, f.Exit})
	return &e.found[len(e.found)-1]
}

// minor makes advice of an error that is none of other commands.
func (f *finding) minor(before string) {
	f.Severity, f.Detail, f.exit = advice, before+f.Detail, cli.ExitUnexpected
}

// worst lists exit codes of what is broken, the worst last; those not in it come before.
var worst = []int{cli.ExitNotFound, cli.ExitUnreachable, cli.ExitLocked, cli.ExitTampered}

// exitOf is the program's exit code after these findings.
func exitOf(found []finding) int {
	exit, most := cli.ExitDone, 0
	for _, f := range found {
		rank := 0
		switch f.Severity {
		case advice:
			rank = 1
		case broken:
			rank = 3 + slices.Index(worst, f.exit)
		}
		if rank > most {
			exit, most = f.exit, rank
		}
	}
	return exit
}
