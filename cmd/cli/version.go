package cli

import (
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// Build is what a program knows of how it was made.
type Build struct {
	Version string `json:"version"` // as the module has it; "(development)" for a build that has none
	Commit  string `json:"commit"`  // of the source; "" if the build did not know it
	Date    string `json:"date"`    // of the commit, RFC 3339; "" as above
}

// ReadBuild returns what this program knows, and which Go made it.
func ReadBuild() (b Build, goVersion string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Build{Version: "(unknown)"}, ""
	}
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

// Version is the build in a line.
func Version() string {
	b, by := ReadBuild()
	text := b.Version
	if c := b.Commit[:min(12, len(b.Commit))]; !strings.Contains(text, c) {
		text += " " + c
	}
	return strings.TrimSuffix(text+" "+by, " ")
}

// VersionCommand prints the version of the program, as its flag --version does.
func VersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "The version of this program, its commit and its date",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), versionText(cmd.Root().Name(), cmd.Flag("json").Value.String() == "true"))
			return err
		},
	}
}

func versionText(program string, asJSON bool) string {
	if !asJSON {
		return program + " " + Version() + "\n"
	}
	var out strings.Builder
	b, _ := ReadBuild()
	WriteJSON(&out, b, true) // a builder takes all
	return out.String()
}

// versionTemplate is what --version prints: cobra does before any command runs.
func versionTemplate(program string) string {
	return `{{if eq (.Flag "json").Value.String "true"}}{{` + strconv.Quote(versionText(program, true)) + `}}{{else}}{{` + strconv.Quote(versionText(program, false)) + `}}{{end}}`
}
