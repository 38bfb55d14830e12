// Package clitest checks in tests that the commands which documents, errors and help
// texts name exist.
package clitest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
)

// Documents are the README and the guides that carekey carries, for tests of a program
// below cmd.
func Documents(t *testing.T) []string {
	t.Helper()
	guides, err := filepath.Glob(filepath.Join("..", "carekey", "guides", "*.md"))
	if err != nil || len(guides) < 5 {
		t.Fatalf("%d guides, %v", len(guides), err)
	}
	return append(guides, filepath.Join("..", "..", "README.md"))
}

// A Shown piece of a document is a line to be typed, or what stands between backquotes.
type Shown struct {
	Text  string
	Line  int  // where it begins, from 1
	Typed bool // it is a line of its own
	Block bool // it stands between lines of three backquotes
}

// Read finds in a document in Markdown all that is shown: its indented lines, those
// between lines of three backquotes, and what stands between backquotes elsewhere, also
// across the end of a line.
func Read(t *testing.T, file string) (all []Shown) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fenced, prose, from := false, "", 0
	flush := func() {
		for i, code := range strings.Split(prose, "`") {
			if i%2 == 1 {
				all = append(all, Shown{Text: strings.Join(strings.Fields(code), " "), Line: from})
			}
			from += strings.Count(code, "\n")
		}
		prose = ""
	}
	for i, line := range strings.Split(string(text), "\n") {
		fence := strings.HasPrefix(line, "```")
		switch {
		case fence:
			fenced = !fenced
		case fenced, strings.HasPrefix(line, "    "): // to be typed
			all = append(all, Shown{strings.TrimPrefix(line, "    "), i + 1, true, fenced})
		}
		if fence || fenced || line == "" || strings.HasPrefix(line, "    ") {
			flush()
			continue
		}
		if prose == "" {
			from = i + 1
		}
		prose += line + "\n"
	}
	flush()
	return all
}

// Document checks a document in Markdown. root makes the program's command. It returns how
// many command lines it found.
func Document(t *testing.T, file string, root func() *cobra.Command) (found int) {
	t.Helper()
	for _, shown := range Read(t, file) {
		found += Text(t, fmt.Sprintf("%s:%d", filepath.Base(file), shown.Line), shown.Text, root)
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
