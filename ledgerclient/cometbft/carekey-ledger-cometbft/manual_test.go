package main

import (
	"flag"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/man"
)

var manualTo = flag.String("man", "", "write the manual page below this `FOLDER`")

// Who installed a package has a page that says what the help says.
func TestManual(t *testing.T) {
	page := man.Help("carekey-ledger-cometbft", "the order of a ledger that several institutions keep", usage)
	for _, verb := range []string{"init DIR", "serve DIR", "status DIR"} {
		if !strings.Contains(page.Text, verb) {
			t.Errorf("the page lacks %s", verb)
		}
	}
	if *manualTo != "" {
		if err := man.Write(*manualTo, []man.Page{page}); err != nil {
			t.Fatal(err)
		}
	}
}
