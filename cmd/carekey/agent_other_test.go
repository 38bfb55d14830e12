//go:build !linux

package main

import "github.com/rogpeppe/go-internal/testscript"

func agentScript(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("what holds a key is looked at on Linux only")
}
