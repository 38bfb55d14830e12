package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto/lane"
)

var updateShown = flag.Bool("update", false, "write anew what the README shows of real runs")

func readme(t *testing.T) (path, text string) {
	t.Helper()
	path = filepath.Join(top(), "README.md")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(b)
}

// The README can be read in five minutes, and its first screen says what this is, shows it,
// and how to have it.
func TestReadmeIsShort(t *testing.T) {
	_, text := readme(t)
	words, fenced := 0, false
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
		case fenced, strings.HasPrefix(line, "    "), strings.HasPrefix(line, "|"):
		default:
			words += len(strings.Fields(line))
			if n := utf8.RuneCountInString(line); n > 100 {
				t.Errorf("line %d has %d columns", i+1, n)
			}
		}
	}
	if words > 1400 || words < 300 {
		t.Errorf("%d words", words)
	}
	first := strings.Join(strings.Split(text, "\n")[:24], "\n")
	for _, want := range []string{"](.github/carekey.svg)", "\n    go install ./cmd/carekey", "\n    go run ./cmd/carekey try\n    go test ./...\n"} {
		if !strings.Contains(first, want) {
			t.Errorf("the first 24 lines have no %q", want)
		}
	}
}

var anID = regexp.MustCompile(`\b[0-9a-f]{8}\b`)

// settled puts the same ids in the place of those of a run, in the order in which they
// come, and takes out what belongs to the test.
func (s *shown) settled(out string) string {
	ids := map[string]string{}
	out = anID.ReplaceAllStringFunc(out, func(id string) string {
		if ids[id] == "" {
			ids[id] = fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, "id ", len(ids)+1)))[:8]
		}
		return ids[id]
	})
	return strings.ReplaceAll(out, s.url, "127.0.0.1:8443")
}

// The first consent of the README, pasted into a shell, prints what stands below it.
func TestReadmeFirstConsent(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	path, text := readme(t)
	fences := regexp.MustCompile("(?s)\n```(sh|text)\n(.*?)```\n").FindAllStringSubmatchIndex(text, -1)
	if len(fences) < 2 || text[fences[0][2]:fences[0][3]] != "sh" || text[fences[1][2]:fences[1][3]] != "text" {
		t.Fatal("the README does not begin with lines for a shell and what they print")
	}
	s := newShown(t)
	script := strings.ReplaceAll(text[fences[0][4]:fences[0][5]], "127.0.0.1:8443", s.url)
	out := s.paste(script)
	shown := text[fences[1][4]:fences[1][5]]
	if got := s.settled(out); got != shown {
		t.Errorf("it prints\n%s\nand shows\n%s", got, shown)
		if *updateShown {
			s.must(os.WriteFile(path, []byte(text[:fences[1][4]]+got+text[fences[1][5]:]), 0o644))
		}
	}
}
