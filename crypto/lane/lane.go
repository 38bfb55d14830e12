// Package lane tells a test how far to go. There are three lanes, and which one a test
// is in is said in the test itself:
//
//	go test ./...                   each promise is guarded, in minutes
//	CAREKEY_LONG=1 go test ./...    sweeps are whole: each byte, each call, hundreds of kills
//	go test -race -short ./...      under the race detector, where all takes ten times as long
//
// .ci/run is the first and the third, .ci/long the second, and the third without -short.
package lane

import (
	"os"
	"runtime/debug"
	"slices"
	"testing"
)

// Long reports whether sweeps are whole.
func Long() bool { return os.Getenv("CAREKEY_LONG") != "" }

// Pick returns what a sweep takes in this lane: its step, its number of kills, its
// table. Each of them must still guard what the test is for.
func Pick[T any](long, usual, short T) T {
	switch {
	case Long():
		return long
	case testing.Short():
		return short
	}
	return usual
}

// Race reports whether the race detector is there, whose own memory is many times more than
// a program's.
func Race() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// OneGoroutine leaves a slow test out of the short lane: what it sweeps is the work of
// one goroutine, or of processes that share no memory.
func OneGoroutine(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("short: one goroutine has no races")
	}
}
