package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
)

var updateScreens = flag.Bool("update-screens", false, "write the golden screens anew")

// screens are what a person sees in the widths of terminals that people have. Ids, which
// are by chance, are all the same there; the clock is the test's.
type screens struct {
	*testing.T
	work string
	env  []string
}

// newScreens makes a patient's wallet.
func newScreens(t *testing.T) *screens {
	lane.OneGoroutine(t)
	t.Parallel()
	work := t.TempDir()
	s := &screens{t, work, []string{"WORK=" + work, "TERM=dumb", "LANG=C.UTF-8", testClock + "=2026-11-21T12:30:00Z", "TZ=UTC", "HOME=" + work}}
	for _, who := range []string{"patient", "clinic"} {
		s.file(who+".passphrase", "p\n")
	}
	s.run("patient", "init", "--new-ledger", "--name", "Maria", "--words-file", filepath.Join(work, "w"))
	return s
}

func (s *screens) file(name, text string) string {
	s.Helper()
	path := filepath.Join(s.work, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

func (s *screens) run(args ...string) string {
	s.Helper()
	p := sit(s.T, s.env, false, args...)
	if code := p.end(); code != 0 {
		s.Fatalf("%v: exit %d: %s", args, code, p.screen)
	}
	return strings.TrimSpace(p.stdout.String())
}

// show runs a command of the patient's on a terminal, who answers in turn, each time after
// what is waited for, and returns all that was on it.
func (s *screens) show(width uint16, exit int, args []string, answers ...[2]string) string {
	s.Helper()
	p := sitAt(s.T, width, s.env, true, args...)
	for _, a := range answers {
		p.until(a[0])
		p.press(a[1] + "\r")
	}
	if code := p.end(); code != exit {
		s.Fatalf("%v: exit %d: %s", args, code, p.screen)
	}
	return strings.ReplaceAll(string(p.screen), "\r\n", "\n")
}

var hexes = regexp.MustCompile(`\b[0-9a-f]{8}\b`)

// golden compares a screen with the file of that name.
func (s *screens) golden(name, screen string) {
	s.Helper()
	got := hexes.ReplaceAllString(screen, "01234567")
	path := filepath.Join("testdata", "screens", name+".txt")
	if *updateScreens {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			s.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || string(want) != got {
		s.Errorf("%v; -update-screens writes %s anew; now it is\n%s", err, path, got)
	}
}

// fits reports the lines of a screen that go over its end. A word that is too long for any
// line may, alone on one: codes and addresses are there to be pasted.
func (s *screens) fits(width int, screen string, args []string) {
	s.Helper()
	for line := range strings.Lines(screen) {
		line = strings.TrimRight(line, " \n")
		if word := strings.TrimLeft(line, " "); cli.Columns(line) > width && (strings.Contains(word, " ") || cli.Columns(word) <= width) {
			s.Errorf("%v: %d of %d columns: %q", args, cli.Columns(line), width, line)
		}
	}
}

// stranger is an address that is always the same.
func stranger(t *testing.T, word string) *crypto.Keys {
	t.Helper()
	var words []string
	for range 23 {
		words = append(words, word)
	}
	for _, last := range crypto.WordsWithPrefix("") {
		if e, err := crypto.EntropyFromWords(append(words, last)); err == nil { // the first with a checksum that is right
			return e.Root().Keys(crypto.LedgerID{})
		}
	}
	t.Fatalf("no word goes with %s", word)
	return nil
}

var titled = []struct{ title, category string }{
	{"Laboratory of November", "labs"}, {"X-ray of the left knee, two views, with the report", "images"}, {"血液検査の結果と胸部レントゲンの所見", "labs"}, {"בדיקת דם", "images"},
}

// records adds some that are not split.
func (s *screens) records() (ids []string) {
	s.Helper()
	for i, r := range titled {
		ids = append(ids, s.run("patient", "record", "add", s.file("scan.bin", string([]byte{byte(i), 1, 2, 3})), "--title", r.title, "--category", r.category))
	}
	return ids
}

// Lists fit into a line, in every width.
func TestScreens(t *testing.T) {
	s := newScreens(t)
	address := strings.Fields(s.run("clinic", "init", "--name", "Dr Smith", "--words-file", filepath.Join(s.work, "w2")))[0]
	s.run("patient", "contact", "add", "Dr Smith", address, "--ref", "MRN 123 of the clinic")
	ids := s.records()
	s.run("patient", "grant", "--to", "Dr Smith", "--record", ids[0], "--record", ids[1], "--for", "30d", "--yes")
	s.run("patient", "grant", "--to", "Dr Smith", "--record", ids[2], "--for", "500d", "--purpose", "research", "--yes")
	for _, width := range []uint16{60, 80, 120} {
		for _, args := range [][]string{{"record", "list"}, {"consent", "list"}, {"audit"}, {}} {
			screen := s.show(width, 0, append([]string{"patient"}, args...))
			s.fits(int(width), screen, args)
			s.golden(strings.TrimSuffix(strings.Join(append([]string{fmt.Sprint(width)}, args...), "-"), "-"), screen)
		}
	}
}

// What a person reads before she signs.
func TestPreviewScreens(t *testing.T) {
	s := newScreens(t)
	s.run("patient", "contact", "add", "Dr Smith", stranger(t, "zoo").Address().String())
	ids := s.records()
	s.run("patient", "record", "add", filepath.Join(top(), "testdata", "fhir", "parts.json"))
	no := [2]string{`Give this consent\? \[.*\] `, "n"}
	for _, c := range []struct {
		name string
		args []string
	}{
		{"grant", []string{"--to", "Dr Smith", "--record", ids[0], "--record", ids[1], "--for", "30d"}},
		{"role", []string{"--to", "Dr Smith", "--role", "nurse", "--for", "7d"}},
	} {
		for _, width := range []uint16{60, 80} {
			args := append([]string{"patient", "grant"}, c.args...)
			screen := s.show(width, cli.ExitRefused, args, no)
			s.fits(int(width), screen, args)
			s.golden(fmt.Sprintf("%d-preview-%s", width, c.name), screen)
		}
	}
}
