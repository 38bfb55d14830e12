package main

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

const about = `carekey-node runs a node of a ledger: it keeps the order of the entries, stores
ciphertext and holds a share of the key to each envelope, and serves all three to
wallets. It never sees a private key of theirs, a name or a record.

  carekey-node init /srv/ledger --name 'City ledger' --url https://ledger.example:8443
  carekey-node serve /srv/ledger --listen :8443
  carekey-node invite /srv/ledger`

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "carekey-node",
		Short:         "A node of a ledger for health data",
		Long:          about,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noVerb,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetUsageTemplate(root.UsageTemplate() + "{{if not .HasParent}}\n" + exitStatus + "\n{{end}}")
	root.SetVersionTemplate("carekey-node {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(err.Error(), "see: "+cmd.CommandPath()+" --help")
	})
	g := root.PersistentFlags()
	g.BoolVar(&a.flags.json, "json", false, "print one JSON value on stdout, errors and logs as JSON on stderr")
	g.BoolVarP(&a.flags.yes, "yes", "y", false, "answer every confirmation with yes")
	g.BoolVarP(&a.flags.quiet, "quiet", "q", false, "say nothing on stderr but errors and logs")
	root.AddCommand(newInit(a), newServe(a), newInvite(a), newToken(a), newStatus(a), newBackup(a), newConform(a), newUnit(a))
	plainUsage(root)
	return root
}

// plainUsage leaves "[flags]" out of the lines that name the flags themselves.
func plainUsage(c *cobra.Command) {
	c.DisableFlagsInUseLine = true
	for _, sub := range c.Commands() {
		plainUsage(sub)
	}
}

// version is what the build knows of itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "(development)"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && !strings.Contains(v, s.Value[:min(12, len(s.Value))]) {
			v += " " + s.Value[:min(12, len(s.Value))]
		}
	}
	return v + " " + info.GoVersion
}

// noVerb is for commands that take no arguments but the names of their own.
func noVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage(fmt.Sprintf("%s has no command %q", cmd.CommandPath(), args[0]), "see: "+cmd.CommandPath()+" --help")
}

// takes checks the number of arguments.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage(cmd.CommandPath()+" needs more than that", "it goes: "+cmd.UseLine())
		case len(args) > most:
			return usage(fmt.Sprintf("%s does not know what to do with %q", cmd.CommandPath(), args[most]), "it goes: "+cmd.UseLine())
		}
		return nil
	}
}

// rows lays out pairs of a word and a value.
func rows(indent string, pairs ...[2]string) string {
	widest := 0
	for _, p := range pairs {
		widest = max(widest, len(p[0]))
	}
	var b strings.Builder
	for _, p := range pairs {
		fmt.Fprintf(&b, "%s%-*s  %s\n", indent, widest, p[0], strings.ReplaceAll(p[1], "\n", "\n"+indent+strings.Repeat(" ", widest+2)))
	}
	return strings.TrimSuffix(b.String(), "\n")
}
