package main

import (
	"slices"

	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
)

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
