package main

import (
	"strings"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

// errToDo is the answer of a command with --check, and no error: there is something to do,
// or something new. what, in words
const errToDo fault.Code = "to-do"

// check is the flag of commands that a program asks whether there is anything to do.
type check bool

// flag gives a command the flag; what says what counts.
func (c *check) flag(cmd *cobra.Command, what string) {
	cmd.Flags().BoolVar((*bool)(c), "check", false, "end with exit code 9 if "+what)
}

// answer is errToDo if the flag was given and there is something. If a ledger, or a service
// of one, gave no answer to these wallets, nobody knows: that goes before it.
func (c check) answer(on []*wallet.Wallet, what ...string) error {
	if !c {
		return nil
	}
	for _, w := range on {
		if _, away := w.Log().OutOfReach(); away != nil {
			return away
		}
	}
	if len(what) == 0 {
		return nil
	}
	return errToDo.With("what", strings.Join(what, ", "))
}

func walletOf(o *opened) *wallet.Wallet { return o.w }
