package main

import (
	"reflect"
	"slices"
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

// A type of a few words has all of them in its schema.
func TestSchemaWords(t *testing.T) {
	found := 0
	for typ, schema := range schemas().Texts {
		declared := clitest.Constants(t, top(), typ)
		if schema.Enum == nil || len(declared) == 0 { // a number's words, or those of a table
			continue
		}
		found++
		for _, word := range declared {
			if !slices.Contains(schema.Enum, word) {
				t.Errorf("%s can be %q, which its schema does not say", typ, word)
			}
		}
	}
	if found < 7 {
		t.Errorf("only %d types of a few words", found)
	}
}

// No result is of a type that says nothing of what is in it.
func TestSchemaTypes(t *testing.T) {
	for path, prints := range schemas().Results {
		for _, p := range prints {
			typ := p.Type
			for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
				typ = typ.Elem()
			}
			if typ.Kind() != reflect.Struct || typ.Name() == "" {
				t.Errorf("carekey %s prints a %s: give it a type", path, typ)
			}
		}
	}
}
