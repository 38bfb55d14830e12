package main

import (
	"os"
	"path/filepath"
	"regexp"
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
		for _, sub := range c.Commands() {
			examples(sub)
		}
	}
	examples(root())
}
