// Command carekey is a wallet for health data in a terminal: it keeps a patient's
// keys, encrypts her records for one named recipient at a time, and signs consents
// and their revocations. A clinician fetches with the same program. As
// age-plugin-carekey it opens own records for the age program.
package main

import (
	"os"
	"path/filepath"
	"strings"
	_ "time/tzdata" // days are the person's own: without time zones they would silently be UTC's

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/hardening"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/wallet/keyring/agent"
	"github.com/spf13/cobra"
)

func main() {
	a := newApp()
	crash.Handle(func(value any) { os.Exit(a.crashed(value)) })
	os.Exit(a.main(os.Args))
}

// main carries out what the program was started as and returns the exit code.
func (a *app) main(args []string) (exit int) {
	defer a.recoverCrash(&exit)
	// A system that does not allow it does not keep anybody from her records.
	_ = hardening.Process()
	if len(args) == 0 {
		return a.run(nil)
	}
	switch strings.TrimSuffix(strings.ToLower(filepath.Base(args[0])), ".exe") {
	case pluginName:
		return agePlugin{a}.run(args[1:])
	case agent.Name:
		return keyrings{a}.hold()
	}
	return a.run(args[1:])
}

// run carries out one command line and returns the exit code.
func (a *app) run(args []string) int {
	defer a.passphrases.wipe()
	root := newRoot(a, args...)
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		offers{a}.install(root)
	}
	return a.report(cli.Execute(root, args, a.in, a.out, a.err), args)
}

// recoverCrash reports a panic of the goroutine that defers it; that of any other one
// is handed to crashed.
func (a *app) recoverCrash(exit *int) {
	if r := recover(); r != nil {
		*exit = a.crashed(r)
	}
}

// crashed reports a panic and returns the program's exit code. Go's own report shows
// the arguments of every function on the stack, up to ten bytes of a key among them,
// and the value of the panic.
func (a *app) crashed(value any) int {
	ui.PutRight() // who reads this is back on the terminal as it was
	hardening.Broken(a.err, "carekey", value)
	return cli.ExitUnexpected
}
