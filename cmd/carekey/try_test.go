package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/fault"
)

// The play notices what is not as it should be. (That it runs through, and that its
// lines can be pasted, is for testdata/script/try.txtar.)
func TestTryNoticesSurprises(t *testing.T) {
	program, err := exec.LookPath("carekey") // the one of the scripts
	if err != nil {
		t.Fatal(err)
	}
	p := &play{dir: t.TempDir(), program: program, env: os.Environ(), out: &bytes.Buffer{}}
	for name, content := range map[string]string{"a": "one\n", "b": "one\n", "c": "two\n"} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		step step
		why  string
	}{
		{step{who: "patient", args: []string{"status"}, exit: exitNotFound}, ""},
		{step{who: "patient", args: []string{"status"}}, "exit code 7, not 0"},
		{step{who: "patient", args: []string{"--version"}, exit: exitRefused}, "exit code 0, not 3"},
		{step{args: []string{"a", "b"}}, ""},
		{step{args: []string{"a", "c"}}, "the bytes differ"},
		{step{args: []string{"a", "$(cat nothing)"}}, "no such file"},
	} {
		err := p.run(t.Context(), c.step)
		surprise, _ := fault.As(err, errTry)
		switch {
		case c.why == "" && err != nil:
			t.Errorf("%v: %v", c.step, err)
		case c.why != "" && !strings.Contains(fault.Get[string](surprise, "why"), c.why):
			t.Errorf("%v: %v, want %s", c.step, err, c.why)
		case c.why != "" && explain(err).Exit == 0:
			t.Errorf("%v: exit 0", c.step)
		}
	}
}

// Every promise of the play has its line: two wallets, a fetch whose bytes are
// compared, a refused one, and the check of the ledger.
func TestTrySteps(t *testing.T) {
	var seen []string
	for _, s := range trySteps("f") {
		seen = append(seen, s.who+" "+strings.Join(s.args[:min(2, len(s.args))], " "))
	}
	text := strings.Join(seen, "\n")
	for _, want := range []string{"patient init", "clinic init", "patient contact add", "patient record add", "patient grant", "clinic fetch", " f $(cat fetched.name)",
		"patient audit", "patient revoke", "patient ledger verify"} {
		if !strings.Contains(text, want) {
			t.Errorf("no step %q in:\n%s", want, text)
		}
	}
}
