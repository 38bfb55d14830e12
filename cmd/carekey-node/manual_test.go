package main

import (
	"flag"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/man"
)

var manualTo = flag.String("man", "", "write the manual pages below this `FOLDER`")

// Who installed a package has a page for each command of the node.
func TestManual(t *testing.T) {
	root := newRoot(newApp())
	pages := man.Commands(root, exitStatus, nil)
	for _, c := range root.Commands() {
		found := false
		for _, p := range pages {
			found = found || p.Name == "carekey-node-"+c.Name() && strings.Contains(p.Text, c.Short)
		}
		if !found && c.IsAvailableCommand() {
			t.Errorf("%s has no page", c.CommandPath())
		}
	}
	if *manualTo != "" {
		if err := man.Write(*manualTo, pages); err != nil {
			t.Fatal(err)
		}
	}
}
