package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
)

// While there is a page, all that a command says and prints is on it in its order, fit to be
// shown, and nothing goes past it to the terminal.
func TestPageTakesWhatIsSaid(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c := console{out: out, err: out, page: &ui.Page{}, heard: map[string]bool{}}
	c.flags.ledger = "there"
	table := &ui.Table{Columns: []ui.Column{ui.Title("name")}}
	c.print("%s", "Dr\x1b[2J Smith:")
	for range 2 {
		c.say("to %s\u202e it: carekey revoke", "end")
	}
	c.rows(cli.Rows{{"one", "1"}, {"three", "3"}})
	if err := c.table(table); err != nil {
		t.Fatal(err)
	}
	table.Add("Otto")
	if err := c.table(table); err != nil {
		t.Fatal(err)
	}
	c.data("code1")
	c.next("carekey audit")
	c.printPath("a\tb")
	got := c.page.Sections
	want := []string{"Dr\\x1b[2J Smith:\nto end\\u202e it: carekey --ledger there revoke\none    1\nthree  3", "", "code1\na\\tb"}
	if len(got) != len(want) || got[1].Table != table {
		t.Fatalf("%+v", got)
	}
	for i, text := range want {
		if got[i].Text != text {
			t.Errorf("%q, not %q", got[i].Text, text)
		}
	}
	if info, err := out.Stat(); err != nil || info.Size() != 0 {
		t.Error("something went past it:", info.Size(), err)
	}
}
