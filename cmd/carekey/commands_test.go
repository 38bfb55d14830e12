package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli/clitest"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/spf13/cobra"
)

// What the README and the guides say to type, and what errors say to do next, exists.
func TestWrittenCommandsExist(t *testing.T) {
	lane.OneGoroutine(t)
	root := func() *cobra.Command {
		r := newRoot(newApp())
		r.InitDefaultCompletionCmd()
		return r
	}
	found := 0
	for _, file := range clitest.Documents(t) {
		found += clitest.Document(t, file, root)
	}
	if found < 80 {
		t.Errorf("only %d commands in the README and the guides", found)
	}
	check := func(where, text string) int { return clitest.Text(t, where, text, root) }
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
		for line := range strings.Lines(c.Example) {
			if line = strings.TrimSuffix(line, "\n"); len(line) > 80 {
				t.Errorf("%s: an example of %d columns: %q", c.CommandPath(), len(line), line)
			}
		}
		for _, sub := range c.Commands() {
			examples(sub)
		}
	}
	examples(root())
}

// The lines of a help's paragraphs are filled: a short one in the middle of one stays short
// on a terminal, where the rest is filled anew.
func TestHelpIsFilled(t *testing.T) {
	in := func(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		lines := strings.Split(c.Long, "\n")
		for i, line := range lines {
			if len(line) > 91 {
				t.Errorf("%s: %d columns: %q", c.CommandPath(), len(line), line)
			}
			if i == 0 || i+1 == len(lines) || len(line) >= 60 || strings.HasSuffix(line, ".") || strings.HasSuffix(line, ":") || strings.HasPrefix(line, "  carekey ") {
				continue
			}
			one := true // paragraph
			for _, l := range lines[i-1 : i+2] {
				one = one && in(l) == in(line) && strings.TrimSpace(l) != "" && !strings.Contains(l[in(l):], "  ")
			}
			if one {
				t.Errorf("%s: a short line: %q", c.CommandPath(), line)
			}
		}
		for _, sub := range c.Commands() {
			look(sub)
		}
	}
	look(newRoot(newApp()))
}

// A command is the same where it alone is made, and the names are those of the commands.
func TestOneCommandIsMade(t *testing.T) {
	help := func(name string, args ...string) string {
		c, _, err := newRoot(newApp(), args...).Find([]string{name})
		if err != nil || c.Name() != name {
			t.Fatalf("%s: %v", name, err)
		}
		return c.Long + c.UsageString()
	}
	for _, n := range nouns {
		root := newRoot(newApp(), n.name, "--json")
		if len(root.Commands()) != 2 { // with help
			t.Errorf("%s: %d commands are made", n.name, len(root.Commands()))
		}
		if alone, all := help(n.name, n.name), help(n.name); alone != all {
			t.Errorf("%s alone is\n%s\nand not\n%s", n.name, alone, all)
		}
	}
	for _, args := range [][]string{nil, {"--json", "status"}, {"help"}, {"recrod"}, {"__complete", ""}} {
		if n := len(newRoot(newApp(), args...).Commands()); n != len(nouns)+1 {
			t.Errorf("%v: %d commands are made", args, n)
		}
	}
}
