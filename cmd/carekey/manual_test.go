package main

import (
	"flag"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/man"
	"github.com/spf13/cobra"
)

var manualTo = flag.String("man", "", "write the manual pages below this `FOLDER`")

// manual are all pages of the wallet.
func manual(t *testing.T) []man.Page {
	t.Helper()
	var guides []man.Page
	for _, x := range topics {
		text, ok := guide(x.name)
		if !ok {
			t.Fatal("no guide", x.name)
		}
		guides = append(guides, man.Guide("carekey", x.name, x.short, text, plainWords))
	}
	return append(man.Commands(newRoot(newApp()), environment+"\n\n"+exitStatus, guides), guides...)
}

// Who installed a package has a page for each command and each guide; that of what a
// patient does most has an example; and no word of a help is lost on the way.
func TestManual(t *testing.T) {
	pages := map[string]man.Page{}
	for _, p := range manual(t) {
		if _, twice := pages[p.Name]; twice {
			t.Errorf("%s stands there twice", p.Name)
		}
		pages[p.Name] = p
	}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		p, ok := pages[strings.ReplaceAll(c.CommandPath(), " ", "-")]
		if !ok {
			t.Errorf("%s has no page", c.CommandPath())
		}
		text := rendered(p.Text)
		for _, word := range strings.Fields(c.Short + " " + c.Long + " " + c.Example) {
			if !strings.Contains(text, strings.ToUpper(word)) {
				t.Errorf("%s: the page lacks %q", c.CommandPath(), word)
			}
		}
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				walk(sub)
			}
		}
	}
	walk(newRoot(newApp()))
	for _, x := range topics {
		if _, ok := pages["carekey-"+x.name]; !ok {
			t.Errorf("the guide %s has no page", x.name)
		}
	}
	if _, example, _ := strings.Cut(pages["carekey-grant"].Text, `.SH "EXAMPLES"`); !strings.Contains(example, "carekey grant") {
		t.Error("carekey-grant(1) has no example")
	}
	if *manualTo != "" {
		if err := man.Write(*manualTo, slices.SortedFunc(maps.Values(pages), func(a, b man.Page) int { return strings.Compare(a.Name, b.Name) })); err != nil {
			t.Fatal(err)
		}
	}
}

// A reader of manual pages that is not ours shows them without a warning.
func TestManualIsRead(t *testing.T) {
	reader, err := exec.LookPath("groff")
	if err != nil && os.Getenv("CAREKEY_NO_SKIP") != "" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip(err)
	}
	for _, p := range manual(t) {
		c := exec.Command(reader, "-man", "-Tutf8", "-Kutf8", "-ww", "-rLL=80n")
		c.Stdin = strings.NewReader(p.Text)
		c.Stderr = new(strings.Builder)
		out, err := c.Output()
		if err != nil || c.Stderr.(*strings.Builder).Len() > 0 || len(out) < 200 {
			t.Errorf("%s: %v: %s", p.File(), err, c.Stderr)
		}
	}
}

// rendered is a page without its escapes, in capitals, as its headings are.
func rendered(text string) string {
	return strings.ToUpper(strings.NewReplacer(`\-`, "-", `\(ha`, "^", `\(ti`, "~", `\(ga`, "`", `\&`, "", `\fB`, "", `\fR`, "", `\e`, `\`, `\(aq`, "'", `\(dq`, `"`).Replace(text))
}
