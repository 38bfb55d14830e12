package version

import (
	"runtime/debug"
	"testing"
)

// Who reports a fault can say what was run: a release by its version, commit and day, what
// was built of a checkout by its commit, and the rest that it is of none.
func TestLine(t *testing.T) {
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "63265f9db7b4fdd14f252024ea5a481839d84782"}
	date := debug.BuildSetting{Key: "vcs.time", Value: "2026-12-01T03:48:56Z"}
	for want, info := range map[string]debug.BuildInfo{
		"v1.2.3 63265f9db7b4 2026-12-01 go1.26.8":                      {GoVersion: "go1.26.8", Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{commit, date}},
		"v0.0.0-20261201034856-63265f9db7b4+dirty 2026-12-01 go1.26.8": {GoVersion: "go1.26.8", Main: debug.Module{Version: "v0.0.0-20261201034856-63265f9db7b4+dirty"}, Settings: []debug.BuildSetting{commit, date}},
		"(development) go1.26.8":                                       {GoVersion: "go1.26.8", Main: debug.Module{Version: "(devel)"}},
	} {
		if got := line(of(&info)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
