package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/carekey/carekey/cmd/cli"
)

// How many can do what follows from the ledger's own numbers, says of one operator no more than
// holds, and is what the README says of four institutions.
func TestPowers(t *testing.T) {
	const nothing = "cannot open, change or stop anything"
	for _, c := range []struct {
		nodes, threshold, release int
		has                       []string
		alone                     bool
	}{
		{4, 3, 2, []string{"2 keepers with", "2 nodes can stop", "2 nodes can show", "3 nodes can choose"}, true},
		{7, 5, 3, []string{"3 keepers with", "3 nodes can stop", "3 nodes can show", "5 nodes can choose"}, true},
		{4, 3, 1, []string{"1 keeper with"}, false},
		{3, 3, 2, []string{"1 node can stop", "3 nodes can show"}, false},
		{4, 2, 2, []string{"3 nodes can stop", "1 node can show", "2 nodes can choose"}, false},
	} {
		j := ledgerJSON{Nodes: make([]nodeJSON, c.nodes), Threshold: c.threshold, Release: c.release}
		got := j.powersText()
		for _, has := range c.has {
			if !strings.Contains(got, has) {
				t.Errorf("%+v: no %q in\n%s", c, has, got)
			}
		}
		if strings.Contains(strings.Join(strings.Fields(got), " "), nothing) != c.alone {
			t.Errorf("%+v: %s", c, got)
		}
		for line := range strings.Lines((cli.Rows{{"configuration", got}}).Text("")) {
			if utf8.RuneCountInString(line) > 81 {
				t.Errorf("it is too wide: %s", line)
			}
		}
	}
	readme, err := os.ReadFile(filepath.Join(top(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	four := ledgerJSON{Nodes: make([]nodeJSON, 4), Threshold: 3, Release: 2}
	for i, who := range []string{"one operator", "*k* keepers with a recipient: two", "*n* − *t* + 1 nodes: two", "2*t* − *n* nodes: two", "*t* nodes: three"} {
		// Where the README says more, it does so behind the words of the screen.
		p, row, found := four.powers()[i], "", 0
		for line := range strings.Lines(string(readme)) {
			if strings.HasPrefix(line, "| "+who+" |") {
				row, found = line, found+1
			}
		}
		cells := strings.Split(row, " | ")
		if found != 1 || len(cells) != 3 || !strings.HasPrefix(cells[1], p.can) || !strings.HasPrefix(cells[2], p.cannot) {
			t.Errorf("the README says of %s not first that they can %q and cannot %q: %s", who, p.can, p.cannot, row)
		}
	}
}
