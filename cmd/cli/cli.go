// Package cli is what the command lines of carekey and carekey-node have in common:
// their arguments, errors in words, and text that is safe to show.
//
// Text that came from others (names, titles, reasons, messages of other programs)
// goes to a terminal through [Clean], [CleanText], [CleanWriter] or [WriteJSON].
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sync"

	"github.com/carekey/carekey/cmd/hardening"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// What usage lines are made of: flags with a value, what need not be there or has
// alternatives, words that stand for arguments, and those of them that are files.
var (
	flagWords  = Pattern(`--?[a-z-]+ [A-Z]+`)
	groupWords = Pattern(`\[[^\]]*\]+|\([^)]*\)+`)
	argWords   = Pattern(`\b[A-Z]+\b`)
	fileWords  = Pattern(`\b(FILE|DIR|PLAN|LEDGER|TARGET)\b`)
)

// Pattern is a regular expression that is compiled when it is used first: most runs of a
// program use few of them.
func Pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// Program makes a command the root of a program. about stands at the end of its help;
// schemas say what its commands print.
func Program(root *cobra.Command, about string, schemas func() Schemas) {
	root.Args = NoVerb
	root.SetHelpFunc(wrappedHelp(root.HelpFunc()))
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetUsageTemplate(root.UsageTemplate() + "{{if not .HasParent}}\n" + about + "\n{{end}}")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return Usage(flagFault(err), "see: "+cmd.CommandPath()+" --help")
	})
	plainUsage(root)
	schemaFlagOf(root, schemas)
	versionFlag(root)
}

// flagFault is what is wrong with the flags, without Go's names of types and calls.
func flagFault(err error) string {
	bad, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err.Error()
	}
	f := bad.GetFlag()
	what, known := map[string]string{"duration": "a time, written like 90s, 15m or 8h", "int": "a whole number", "uint8": "a whole number up to 255", "bool": "true or false"}[f.Value.Type()]
	if !known {
		return err.Error()
	}
	return fmt.Sprintf("--%s takes %s, and not %s", f.Name, what, Quote(Clean(bad.GetValue())))
}

// Execute carries out one command line of a program.
func Execute(root *cobra.Command, args []string, in io.Reader, out, err io.Writer) error {
	ctx, stop := hardening.Signals()
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(err)
	return root.ExecuteContext(ctx)
}

// plainUsage leaves "[flags]" out of the usage lines, which name the flags themselves.
// A line says how many arguments there are, unless the command checks them itself, and
// shells offer files only where it says that one of them is a file.
func plainUsage(c *cobra.Command) {
	c.DisableFlagsInUseLine = true
	line := func() string { return flagWords().ReplaceAllString(c.Use, "") } // of the one command that is carried out
	if c.Args == nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			n := len(argWords().FindAllString(groupWords().ReplaceAllString(line(), ""), -1))
			return Takes(n, n)(cmd, args)
		}
	}
	if c.ValidArgs == nil && c.ValidArgsFunction == nil {
		c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if fileWords().MatchString(line()) {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
	for _, sub := range c.Commands() {
		plainUsage(sub)
	}
}

// NoVerb is for commands that take no arguments but the names of their own.
func NoVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "see: " + cmd.CommandPath() + " --help"
	cmd.SuggestionsMinimumDistance = 2
	if s := cmd.SuggestionsFor(args[0]); len(s) > 0 && args[0] != "" {
		like := s[0]
		for _, c := range s { // a mistyped first letter is rare
			if c[0] == args[0][0] {
				like = c
			}
		}
		hint = "did you mean: " + cmd.CommandPath() + " " + like
	}
	return Usage(fmt.Sprintf("%s has no command %s", cmd.CommandPath(), Quote(args[0])), hint)
}

// Takes checks the number of arguments; most < 0 is any number.
func Takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return Usage(cmd.CommandPath()+" needs more than that", "it goes: "+cmd.UseLine())
		case most >= 0 && len(args) > most:
			return Usage(fmt.Sprintf("%s does not know what to do with %s", cmd.CommandPath(), Quote(args[most])), "it goes: "+cmd.UseLine())
		}
		return nil
	}
}

// LimitFlag lets a command list the newest alone, which [Newest] takes.
func LimitFlag(c *cobra.Command, n *int) {
	c.Flags().IntVar(n, "limit", 0, "at most `N`, the newest")
}

// CheckLimit checks a number that such a flag was given; 0 is none.
func CheckLimit(n int) error {
	if n < 0 {
		return Usage("--limit is how many are listed at most", "give it a number from 1 on")
	}
	return nil
}

// Newest are the last n of a list, or all of it if n is 0.
func Newest[A any](all []A, n int) []A {
	if n == 0 || n > len(all) {
		return all
	}
	return all[len(all)-n:]
}
