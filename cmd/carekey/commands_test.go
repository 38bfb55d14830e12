package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
)

// written finds command lines of a program in a text: what follows its name up to
// the end of the line, a comment or punctuation that no command line has.
func written(text, program string) []string {
	var lines []string
	for _, m := range regexp.MustCompile(`(?:^|[\s(`+"`"+`'])`+program+` ([^\n,;)`+"`"+`|#>→]+)`).FindAllStringSubmatch(text, -1) {
		lines = append(lines, strings.TrimRight(m[1], " .,:"))
	}
	return lines
}

// checkWritten is an error if a command or a flag in the line does not exist.
func checkWritten(t *testing.T, where string, root *cobra.Command, line string) {
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

// What the README says to type, and what errors say to do next, exists.
func TestWrittenCommandsExist(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(top(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(where, text string) int {
		lines := written(text, "carekey")
		for _, line := range lines {
			checkWritten(t, where, newRoot(newApp()), line)
		}
		return len(lines)
	}
	found := 0
	for _, line := range strings.Split(string(readme), "\n") {
		if strings.HasPrefix(line, "    ") { // to be typed
			found += check("README.md", line)
			continue
		}
		for i, code := range strings.Split(line, "`") {
			if i%2 == 1 {
				found += check("README.md", code)
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d commands in README.md", found)
	}
	found = 0
	for _, c := range explained {
		found += check(c.code, explain(c.err).Hint)
	}
	if found < 30 {
		t.Errorf("only %d commands in hints", found)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found = 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`a\.next\("([^"]*)"`).FindAllStringSubmatch(string(source), -1) {
			found += check(file, m[1])
		}
	}
	if found < 15 {
		t.Errorf("only %d commands to go on with", found)
	}
	var examples func(c *cobra.Command)
	examples = func(c *cobra.Command) {
		check(c.CommandPath(), c.Example)
		for _, sub := range c.Commands() {
			examples(sub)
		}
	}
	examples(newRoot(newApp()))
}
