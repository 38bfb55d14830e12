package cli

import (
	"fmt"

	"github.com/carekey/carekey/cmd/version"
	"github.com/spf13/cobra"
)

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
		b, _ := version.Read()
		return WriteJSON(cmd.OutOrStdout(), b, true)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), cmd.Root().Name(), version.Line())
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
