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

// widths are those that terminals have, in columns.
var widths = []uint16{60, 70, 80, 120}

// show runs a command of the patient's on a terminal, who answers in turn, each time after
// what is waited for, and returns all that was on it.
func (s *screens) show(width uint16, exit int, args []string, answers ...[2]string) string {
	s.Helper()
	p := sitAt(s.T, width, 40, s.env, true, args...)
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
// line may, alone on one, and so may a command: they are there to be pasted.
func (s *screens) fits(width int, screen string, args []string) {
	s.Helper()
	for line := range strings.Lines(screen) {
		line = strings.TrimRight(line, " \n")
		word := strings.TrimLeft(line, " ")
		pasted := !strings.Contains(word, " ") || strings.HasPrefix(word, "carekey ")
		if cli.Columns(line) > width && (!pasted || cli.Columns(word) <= width) {
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

// Lists, shows and the like fit into a line, in every width, and a few are looked at.
func TestScreens(t *testing.T) {
	s := newScreens(t)
	address := strings.Fields(s.run("clinic", "init", "--name", "Dr Smith", "--words-file", filepath.Join(s.work, "w2")))[0]
	s.run("patient", "contact", "add", "Dr Smith", address, "--ref", "MRN 123 of the clinic")
	ids := s.records()
	consent := s.run("patient", "grant", "--to", "Dr Smith", "--record", ids[0], "--record", ids[1], "--for", "30d", "--yes", "--json")
	consent = regexp.MustCompile(`"consent": "([0-9a-f]{64})"`).FindStringSubmatch(consent)[1]
	s.run("patient", "grant", "--to", "Dr Smith", "--record", ids[2], "--for", "500d", "--purpose", "research", "--yes")
	for _, width := range []uint16{60, 80, 120} {
		for _, args := range [][]string{{"record", "list"}, {"consent", "list"}, {"audit"}, {}} {
			var answers [][2]string
			if len(args) == 0 { // a screen, line by line
				answers = [][2]string{{`What next .*: `, "quit"}}
			}
			screen := s.show(width, 0, append([]string{"patient"}, args...), answers...)
			s.fits(int(width), screen, args)
			s.golden(strings.TrimSuffix(strings.Join(append([]string{fmt.Sprint(width)}, args...), "-"), "-"), screen)
		}
	}

	parts := s.run("patient", "record", "add", filepath.Join(top(), "testdata", "fhir", "parts.json"))
	s.run("patient", "grant", "--to", "Dr Smith", "--role", "nurse", "--for", "7d", "--yes")
	s.run("clinic", "fetch", consent, "-o", filepath.Join(s.work, "got"), "--reason", "a check-up before the operation of the knee in December")
	s.run("patient", "batch", "apply", "testdata/screens/plan.csv", "--yes", "--results", filepath.Join(s.work, "results.jsonl"))
	id := parts[:8]
	for _, width := range lane.Pick(widths, widths, widths[1:2]) {
		for _, args := range [][]string{
			{"patient", "record", "show", id}, {"patient", "record", "show", id, "--all"}, {"patient", "record", "show", ids[1]}, {"patient", "record", "history", id}, {"patient", "record", "tables"},
			{"patient", "consent", "list"}, {"patient", "consent", "show", consent}, {"patient", "consent", "explain", consent}, {"patient", "contact", "list"}, {"patient", "contact", "show", "Dr Smith"}, {"patient", "role", "list"}, {"patient", "role", "show", "nurse"},
			{"patient", "audit"}, {"patient", "audit", "export", "--accounting", "2026"}, {"patient", "batch", "status"}, {"patient", "profile", "list"}, {"patient", "ledger", "list"}, {"patient", "ledger", "info"}, {"patient", "ledger", "verify"},
			{"patient", "status"}, {"patient", "keyring", "status"}, {"patient", "doctor"}, {"patient", "address"}, {"patient", "view", id},
			{"patient", "grant", "--to", "Dr Smith", "--role", "nurse", "--for", "7d", "--list"}, {"patient", "grant", "--to", "Dr Smith", "--all", "--for", "7d", "--list"},
			{"clinic", "inbox"}, {"clinic", "status"}, {"patient", "help", "security"}, {"patient", "grant", "--help"}, {"patient", "--help"},
		} {
			exit := 0
			if args[1] == "doctor" { // a contact is not verified
				exit = cli.ExitUnexpected
			}
			s.fits(int(width), s.show(width, exit, args), args)
		}
	}
}

// What a person reads before she signs.
func TestPreviewScreens(t *testing.T) {
	s := newScreens(t)
	doctor, ana := stranger(t, "zoo"), stranger(t, "able")
	s.run("patient", "contact", "add", "Dr Smith", doctor.Address().String())
	card, err := crypto.NewCard(ana, "Ana of the ward", "")
	if err != nil {
		t.Fatal(err)
	}
	ids := s.records()
	parts := s.run("patient", "record", "add", filepath.Join(top(), "testdata", "fhir", "parts.json"))
	no := [2]string{`Give this consent\? \[.*\] `, "n"}
	for _, c := range []struct {
		name    string
		args    []string
		answers [][2]string
	}{
		{"grant", []string{"--to", "Dr Smith", "--record", ids[0], "--record", ids[1], "--for", "30d"}, [][2]string{no}},
		{"role", []string{"--to", "Dr Smith", "--role", "nurse", "--for", "7d"}, [][2]string{no}},
		{"sensitive", []string{"--to", "Dr Smith", "--record", parts, "--with", "mental-health", "--for", "12h"}, [][2]string{{`give it\?(?s:.*)stop\): `, "2"}, no}},
		{"card", []string{"--to", card.String(), "--category", "labs", "--for", "500d", "--purpose", "research"}, [][2]string{{`give it\?(?s:.*)stop\): `, "1"}, no}},
	} {
		for _, width := range widths {
			args := append([]string{"patient", "grant"}, c.args...)
			screen := s.show(width, cli.ExitRefused, args, c.answers...)
			s.fits(int(width), screen, args)
			s.golden(fmt.Sprintf("%d-preview-%s", width, c.name), screen)
		}
	}
	letter := s.run("patient", "record", "add", s.file("letter.txt", "Rest."), "--title", "Letter of the clinic at the lake, with a plan of exercises", "--category", "documents")
	s.run("patient", "grant", "--to", "Dr Smith", "--record", letter, "--for", "30d", "--yes")
	for _, args := range [][]string{{"testdata/screens/plan.csv"}, {"testdata/screens/plan.csv", "--prune"}} {
		for _, width := range widths {
			screen := s.show(width, 0, append([]string{"patient", "batch", "plan"}, args...))
			s.fits(int(width), screen, args)
			s.golden(fmt.Sprintf("%d-plan%s", width, strings.Join(args[1:], "")), screen)
		}
	}
}
