package main

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Every guide is a topic and has something to say, and no topic is a command's name: what
// is meant by carekey help NAME is never in doubt.
func TestTopics(t *testing.T) {
	var names []string
	for _, topic := range topics {
		names = append(names, topic.name)
		if text, ok := guide(topic.name); !ok || !strings.HasPrefix(text, "# ") || len(text) < 300 {
			t.Errorf("%s: %q", topic.name, text)
		}
	}
	files, err := fs.Glob(guides, "guides/*")
	if err != nil || len(files)+2 != len(topics) { // two are of the program's own help
		t.Errorf("%d files, %d topics, %v", len(files), len(topics), err)
	}
	root := newRoot(newApp())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if slices.Contains(names, c.Name()) || slices.ContainsFunc(c.Aliases, func(s string) bool { return slices.Contains(names, s) }) {
			t.Errorf("%s is a command and a guide", c.Name())
		}
	}
	for _, name := range []string{"", "guides/patient", "../patient", "patient.md"} {
		if _, ok := guide(name); ok {
			t.Errorf("%q is a guide", name)
		}
	}
}

// What the program says in its help and in a guide is one text.
func TestTopicsOfTheHelp(t *testing.T) {
	for name, section := range map[string]string{"environment": environment, "exit-codes": exitStatus} {
		text, _ := guide(name)
		title, rest, _ := strings.Cut(section, "\n")
		if want := title + "\n\n" + rest + "\n"; plainGuide(text, 80) != want {
			t.Errorf("%s: %s", name, plainGuide(text, 80))
		}
	}
}

// A person learns twelve words at most.
func TestGlossaryIsShort(t *testing.T) {
	text, _ := guide("glossary")
	if n := strings.Count(text, "\n|") - 2; n < 8 || n > 12 {
		t.Errorf("%d words", n)
	}
}

// On a terminal no line is wider than it, but for those to be typed or pasted, which are fit for 80
// columns, and nothing is left of what is for a page.
func TestGuidesArePlain(t *testing.T) {
	for _, topic := range topics {
		text, _ := guide(topic.name)
		for _, columns := range []int{80, 60, 40} {
			for _, line := range strings.Split(plainGuide(text, columns), "\n") {
				n := utf8.RuneCountInString(line)
				typed := strings.HasPrefix(line, "  ") && !strings.Contains(text, "|---|")
				typed = typed || !strings.Contains(line, " ") // a path or a code, which nothing breaks
				if n > 80 || n > columns && !typed || strings.ContainsAny(line, "`|") || strings.Contains(line, "**") || strings.Contains(line, "](") {
					t.Errorf("%s, %d columns: %q", topic.name, columns, line)
				}
			}
		}
	}
}

func TestPlainGuide(t *testing.T) {
	const text = "# For *one*\n\nA **word**, `code`\nand a [file](x.md), [a page](http://x.y).\n\n- one two\n  three\n- four\n\n1. first\n2. second\n\n    $ typed  as it is\n\n| a | b |\n|---|---|\n| `k` | v w |\n| key | x |\n"
	const want = "FOR *ONE*\n\nA word, code and\na file, a page\n(http://x.y).\n\n- one two three\n- four\n\n1. first\n2. second\n\n  $ typed  as it is\n\n  k    v w\n  key  x\n"
	if got := plainGuide(text, 16); got != want {
		t.Errorf("%q\nnot\n%q", got, want)
	}
}
