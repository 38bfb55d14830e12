package main

import "github.com/carekey/carekey/cmd/hardening"

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
	hardening.Broken(a.err, "carekey", value)
	return exitUnexpected
}
