//go:build !linux

package main

import "github.com/rogpeppe/go-internal/testscript"

type serviceOf struct{}

func secretService(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("there is a Secret Service on Linux only")
}

// pause and letSee are for looking into processes, which is done on Linux only.
func pause() {}

func letSee() {}
