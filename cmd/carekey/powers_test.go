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
	const nothing = "and open, change or stop nothing"
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
		got := j.powers()
		for _, has := range c.has {
			if !strings.Contains(got, has) {
				t.Errorf("%+v: no %q in\n%s", c, has, got)
			}
		}
		if strings.Contains(got, nothing) != c.alone {
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
	for _, row := range []string{"| one operator |", "| *k* keepers, with the recipient: two |", "| *n* − *t* + 1 nodes: two |", "| 2*t* − *n* nodes: two |", "| *t* nodes: three |"} {
		if strings.Count(string(readme), "\n"+row) != 1 {
			t.Errorf("the README has no row %s", row)
		}
	}
}
