package main

import (
	"testing"

	"github.com/carekey/carekey/cmd/cli"
)

// The exit code is that of the worst finding, and what does not keep carekey from
// working is never worse than what does.
func TestExitOfFindings(t *testing.T) {
	ok := finding{OK: true, Severity: fine}
	minor := finding{Severity: advice, exit: cli.ExitUnexpected}
	with := func(exit int) finding { return finding{Severity: broken, exit: exit} }
	for _, c := range []struct {
		findings []finding
		want     int
	}{
		{nil, 0},
		{[]finding{ok, ok}, 0},
		{[]finding{ok, minor}, 1},
		{[]finding{with(7), minor}, 7},
		{[]finding{minor, with(7)}, 7},
		{[]finding{minor, with(1)}, 1},
		{[]finding{with(2), with(5)}, 5},
		{[]finding{with(5), with(2)}, 5},
		{[]finding{with(4), with(5)}, 4},
		{[]finding{with(5), with(4), with(6), minor, ok}, 6},
	} {
		if got := exitOf(c.findings); got != c.want {
			t.Errorf("%v: %d, want %d", c.findings, got, c.want)
		}
	}
}
