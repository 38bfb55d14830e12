package main

import (
	"testing"

	"github.com/carekey/carekey/cmd/cli/clitest"
	"github.com/spf13/cobra"
)

// Each command has a row that says what it prints; that it prints it, each story shows.
func TestSchemaRows(t *testing.T) {
	rows := map[string]bool{}
	for path, prints := range schemas().Results {
		rows[path] = len(prints) > 0
	}
	clitest.Rows(t, newRoot(newApp()), rows, func(c *cobra.Command) (any, bool) { return schemas().Of(c) })
}
