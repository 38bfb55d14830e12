package main

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/wallet/health"
	"github.com/charmbracelet/x/ansi"
)

var updateViews = flag.Bool("update-views", false, "write the golden views anew")

// Each folder of testdata/fhir/view has files with a few traps; beside it is what is shown
// of them.
func TestViewsAreGolden(t *testing.T) {
	base := filepath.Join(top(), "testdata", "fhir", "view")
	folders, err := os.ReadDir(base)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, d := range folders {
		if !d.IsDir() {
			continue
		}
		n++
		seen := health.NewViewing()
		files, err := filepath.Glob(filepath.Join(base, d.Name(), "*"))
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(files) // any order will do
		for _, path := range files {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			seen.Add(health.Source{Name: filepath.Base(path), Part: d.Name() == "states"}, b)
		}
		got := viewText(seen.View(time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)), health.ViewWords{Conflicts: true, Sources: true}, 80)
		for _, line := range strings.Split(got, "\n") {
			if ansi.StringWidth(line) > 80 || strings.ContainsAny(line, "\x1b\x07\r\t") {
				t.Errorf("%s: %q", d.Name(), line)
			}
		}
		golden := filepath.Join(base, d.Name()+".txt")
		if *updateViews {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is seen as\n%s\nnot as\n%s", d.Name(), got, want)
		}
	}
	if n < 8 {
		t.Errorf("only %d folders", n)
	}
}
