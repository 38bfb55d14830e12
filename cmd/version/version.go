// Package version is what a program says of how it was made: version, commit and date, as
// the go command wrote them into it.
package version

import (
	"runtime/debug"
	"strings"
)

// Build is what a program knows of how it was made.
type Build struct {
	Version string `json:"version"` // as the module has it; "(development)" for a build that has none
	Commit  string `json:"commit"`  // of the source; "" if the build did not know it
	Date    string `json:"date"`    // of the commit, RFC 3339; "" as above
}

// Read returns what this program knows, and which Go made it.
func Read() (b Build, goVersion string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Build{Version: "(unknown)"}, ""
	}
	return of(info)
}

func of(info *debug.BuildInfo) (b Build, goVersion string) {
	b.Version = info.Main.Version
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "(development)"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date = s.Value
		}
	}
	return b, info.GoVersion
}

// Line is the build in a line.
func Line() string { return line(Read()) }

func line(b Build, goVersion string) string {
	text := b.Version
	if c := b.Commit[:min(12, len(b.Commit))]; !strings.Contains(text, c) {
		text += " " + c
	}
	if day, _, ok := strings.Cut(b.Date, "T"); ok {
		text += " " + day
	}
	return strings.TrimSuffix(text+" "+goVersion, " ")
}
