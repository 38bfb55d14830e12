package cli

import (
	"fmt"
	"runtime/debug"
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
		RunE:  func(cmd *cobra.Command, _ []string) error { return printVersion(cmd) },
	}
}

func printVersion(cmd *cobra.Command) error {
	if cmd.Flag("json").Value.String() == "true" {
		b, _ := ReadBuild()
		return WriteJSON(cmd.OutOrStdout(), b, true)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), cmd.Root().Name(), Version())
	return err
}

// versionFlag gives a program --version, which goes before all that could be wrong with the
// command line. That of cobra is a template, which is read anew each time.
func versionFlag(root *cobra.Command) {
	wanted := root.Flags().BoolP("version", "v", false, "version for "+root.Name())
	takes, before, run := root.Args, root.PersistentPreRunE, root.RunE
	root.Args = func(cmd *cobra.Command, args []string) error {
		if *wanted {
			return nil
		}
		return takes(cmd, args)
	}
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		if *wanted {
			return nil
		}
		return before(cmd, args)
	}
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if *wanted {
			return printVersion(cmd)
		}
		return run(cmd, args)
	}
}
