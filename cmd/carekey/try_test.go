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
	for _, c := range []struct{ line, why string }{
		{"patient status # exit 7", ""},
		{"patient status", "exit code 7, not 0"},
		{"patient --version # exit 3", "exit code 0, not 3"},
		{"patient --version # exit 0 or 8", ""},
		{"patient status # exit 0 or 8", "exit code 7, not 0 or 8"},
		{"cmp a b", ""},
		{"cmp a c", "the bytes differ"},
		{`cmp a "$(cat nothing)"`, "no such file"},
		{"nobody sees 'one word # exit 2", ""},
	} {
		err := p.run(t.Context(), c.line)
		surprise, _ := fault.As(err, errTry)
		switch {
		case c.why == "" && err != nil:
			t.Errorf("%v: %v", c.line, err)
		case c.why != "" && !strings.Contains(fault.Get[string](surprise, "why"), c.why):
			t.Errorf("%v: %v, want %s", c.line, err, c.why)
		case c.why != "" && explain(err).Exit == 0:
			t.Errorf("%v: exit 0", c.line)
		}
	}
}

// Every promise of the play has its line: two wallets, a fetch whose bytes are
// compared, a refused one, and the check of the ledger.
func TestTrySteps(t *testing.T) {
	for _, want := range []string{"patient init", "clinic init", "patient contact add", "patient record add", "patient grant", "clinic fetch", `cmp FILE "$(cat fetched.name)"`,
		"patient audit", "patient revoke", "patient ledger verify"} {
		if !strings.Contains(tryLines, "\n"+want) {
			t.Errorf("no step %q", want)
		}
	}
}
