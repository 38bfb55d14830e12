package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/lane"
)

// A person is asked about a file that is about somebody else, and a no keeps nothing.
func TestOtherPersonIsAsked(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	work := t.TempDir()
	if err := os.WriteFile(filepath.Join(work, "patient.passphrase"), []byte("p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fixtures := filepath.Join(top(), "testdata", "fhir")
	env := []string{"WORK=" + work, "TERM=xterm-256color", testClock + "=2026-11-21T12:30:00Z", "TZ=UTC"}
	run := func(args ...string) string {
		t.Helper()
		s := sit(t, env, false, append([]string{"patient"}, args...)...)
		if code := s.end(); code != 0 {
			t.Fatalf("%v: exit %d: %s", args, code, s.screen)
		}
		return strings.TrimSpace(s.stdout.String())
	}
	run("init", "--name", "Maria", "--new-ledger", "--words-file", filepath.Join(work, "w"))
	run("record", "add", filepath.Join(fixtures, "parts.json"))
	for _, answer := range []struct {
		key     string
		exit    int
		records int
	}{{"n", cli.ExitRefused, 1}, {"\x1b", cli.ExitInterrupted, 1}, {"y", cli.ExitDone, 2}} {
		s := sit(t, env, false, "patient", "record", "add", filepath.Join(fixtures, "leo.json"))
		s.until("about another person, Leo Example, born 2014-09-30; what is")
		s.until("Keep it in this wallet")
		s.until("esc: stop")
		s.press(answer.key)
		if code := s.end(); code != answer.exit {
			t.Errorf("answered with %q: exit %d: %s", answer.key, code, s.screen)
		}
		if got := strings.Count(run("record", "list", "--json"), `"id"`); got != answer.records {
			t.Errorf("answered with %q: %d records", answer.key, got)
		}
	}
}
