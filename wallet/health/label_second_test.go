package health

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/wallet/payload"
)

// secondCase is a file and what another program labels its parts with.
type secondCase struct {
	Name, Path, File string
	Table            string // that was imported
	Fixes            map[string]struct {
		Category  payload.Category
		Add, Drop []Sensitivity
	}
	Parts []struct {
		Category                payload.Category
		Sensitive, Unclassified []string
		Date                    string
	}
}

// sameLabels counts the parts that both label the same, and reports the others.
func sameLabels(t *testing.T, list []byte) (files, parts int) {
	t.Helper()
	var all struct{ Cases []secondCase }
	if err := json.Unmarshal(list, &all); err != nil {
		t.Fatal(err)
	}
	for _, c := range all.Cases {
		file := []byte(c.File)
		if c.Path != "" {
			path := c.Path
			if !filepath.IsAbs(path) {
				path = filepath.Join("..", "..", filepath.FromSlash(path))
			}
			var err error
			if file, err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
		cut, err := Split(file)
		if c.Parts == nil {
			if !errors.Is(err, ErrNotSplit) && !errors.Is(err, ErrNotFHIR) {
				t.Errorf("%s: split, %v", c.Name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		used := 0
		tables := BuiltIn()
		if c.Table != "" {
			imported, err := ParseTable("a table", strings.NewReader(c.Table))
			if err != nil {
				t.Errorf("%s: %v in\n%s", c.Name, err, c.Table)
				continue
			}
			tables = tables.With(imported)
		}
		labels := tables.Label(cut, func(sum crypto.Hash) (Correction, bool) {
			f, ok := c.Fixes[sum.String()]
			if ok {
				used++
			}
			return Correction{Category: f.Category, Add: f.Add, Drop: f.Drop}, ok
		})
		if len(labels) != len(c.Parts) || used < len(c.Fixes) {
			t.Errorf("%s: %d parts, not %d, %d of %d corrections", c.Name, len(labels), len(c.Parts), used, len(c.Fixes))
			continue
		}
		files++
		for i, l := range labels {
			want := c.Parts[i]
			got := make([]string, 0, len(l.Sensitive))
			for _, s := range l.Sensitive {
				got = append(got, string(s))
			}
			slices.Sort(got)
			if l.Category != want.Category || l.Date != want.Date || !slices.Equal(got, want.Sensitive) || !slices.Equal(l.Unclassified, want.Unclassified) {
				t.Errorf("%s, part %d (entry %d, narrative %v):\n%s %q %q %q, not\n%s %q %q %q\n%s", c.Name, i, cut.Parts[i].Entry, cut.Parts[i].Text,
					l.Category, got, l.Unclassified, l.Date, want.Category, want.Sensitive, want.Unclassified, want.Date, cut.Parts[i].Append(nil))
			}
			parts++
		}
	}
	return files, parts
}

// second runs the other program, or skips where there is no Python.
func second(t *testing.T, args ...string) []byte {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skip("no python3: label.json alone is compared")
	}
	cmd := exec.Command(python, append([]string{"-B", "../../testdata/vectors/label.py"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("label.py: %v\n%s", err, stderr.Bytes())
	}
	return out
}

// Another program, written from LABELS.md and the tables alone, labels every part of our own
// files and of those written for it as this one does: a rule that only one of them knows is
// one that nobody can check.
func TestLabelIsThatOfAnother(t *testing.T) {
	list, err := os.ReadFile("../../testdata/vectors/label.json")
	if err != nil {
		t.Fatal(err)
	}
	if files, parts := sameLabels(t, list); files < 100 || parts < 500 {
		t.Fatalf("%d files, %d parts", files, parts)
	}
}

// The same of drawn files: references, circles, what is contained, extensions, corrections.
// CAREKEY_DRAWN=FROM-TO draws others than the first.
func TestLabelDrawnIsThatOfAnother(t *testing.T) {
	from, to := 0, lane.Pick(300, 100, 100)
	if s := os.Getenv("CAREKEY_DRAWN"); s != "" {
		if _, err := fmt.Sscanf(s, "%d-%d", &from, &to); err != nil {
			t.Fatal(err)
		}
	}
	files, parts := sameLabels(t, second(t, "--drawn", strconv.Itoa(from), strconv.Itoa(to)))
	t.Logf("%d files, %d parts", files, parts)
	if files < (to-from)*9/10 || parts < files*2 {
		t.Fatalf("%d files, %d parts", files, parts)
	}
}

// And of all that others published.
func TestLabelPublishedIsThatOfAnother(t *testing.T) {
	data := os.Getenv("CAREKEY_TESTDATA")
	if data == "" {
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatal("CAREKEY_TESTDATA is not set")
		}
		t.Skip("CAREKEY_TESTDATA is not set: the folder with data/fhir is not here")
	}
	paths, err := filepath.Glob(filepath.Join(data, "data", "fhir", "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	files, parts := sameLabels(t, second(t, paths...))
	t.Logf("%d files, %d parts", files, parts)
	if files < 70 || parts < 1000 {
		t.Fatalf("%d files of %d, %d parts", files, len(paths), parts)
	}
}
