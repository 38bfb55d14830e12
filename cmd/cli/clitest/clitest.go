// Package clitest checks in tests that the commands which documents, errors and help
// texts name exist.
package clitest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
)

// Document checks a document in Markdown: its indented lines and what stands between
// backquotes. root makes the program's command. It returns how many command lines it
// found.
func Document(t *testing.T, file string, root func() *cobra.Command) (found int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	where := filepath.Base(file)
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "    ") { // to be typed
			found += Text(t, where, line, root)
			continue
		}
		for i, code := range strings.Split(line, "`") {
			if i%2 == 1 {
				found += Text(t, where, code, root)
			}
		}
	}
	return found
}

// Text checks what follows the program's name in a text, up to the end of the line, a
// comment or punctuation that no command line has. where is for errors.
func Text(t *testing.T, where, text string, root func() *cobra.Command) (found int) {
	t.Helper()
	line := regexp.MustCompile(`(?:^|[\s(` + "`" + `'])` + root().Name() + ` ([^\n,;)` + "`" + `|#>→]+)`)
	for _, m := range line.FindAllStringSubmatch(text, -1) {
		check(t, where, root(), strings.TrimRight(m[1], " .,:"))
		found++
	}
	return found
}

// check is an error if a command or a flag in the line does not exist.
func check(t *testing.T, where string, root *cobra.Command, line string) {
	t.Helper()
	args := strings.Fields(line)
	cmd, rest, err := root.Find(args)
	if err != nil {
		t.Errorf("%s: %s %s: %v", where, root.Name(), line, err)
		return
	}
	if cmd.HasSubCommands() { // its own names, or what stands for them
		for _, a := range rest {
			if unicode.IsLower(rune(a[0])) && !strings.HasPrefix(line, "--") {
				t.Errorf("%s: %s has no command %s", where, cmd.CommandPath(), a)
				return
			}
		}
	}
	for _, a := range args {
		name, ok := strings.CutPrefix(strings.TrimLeft(a, "["), "-")
		if !ok || name == "" {
			continue
		}
		f := cmd.Flags().ShorthandLookup(name[:1])
		if long, ok := strings.CutPrefix(name, "-"); ok {
			long, _, _ = strings.Cut(strings.TrimRight(long, "],."), "=")
			if f = cmd.Flags().Lookup(long); f == nil {
				f = cmd.InheritedFlags().Lookup(long)
			}
		}
		if f == nil && a != "--help" && a != "--version" {
			t.Errorf("%s: %s has no flag %s", where, cmd.CommandPath(), a)
		}
	}
}
