package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/lane"
)

// An invitation of a node that the others have left behind makes no wallet, whether it answers or
// not, and the next step is said: an invitation of any other.
func TestInvitationOfANodeLeftBehind(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	d := newInstitutions(t, 4)
	behind, other := strings.TrimSpace(string(d.operator("invite", d.folder(0)))), strings.TrimSpace(string(d.operator("invite", d.folder(1))))
	d.must(os.WriteFile(filepath.Join(d.dir, "visitor.passphrase"), []byte("horse of visitor\n"), 0o600))
	for i := range d.nodes {
		d.kill(i)
	}
	for _, c := range []struct {
		serves bool
		exit   int
		why    string
	}{{false, cli.ExitUnreachable, "connection refused"}, {true, cli.ExitTampered, "signed by 1 of the 3 nodes that it takes"}} {
		if c.serves {
			d.serve(0)
		}
		code, out, talk := d.run("visitor", "init", "--name", "Visitor", "--ledger", behind, "--words-file", "visitor.words")
		if code != c.exit || out != "" || !strings.Contains(talk, c.why) || !strings.Contains(talk, "an invitation of any other of them will do") {
			t.Errorf("exit %d: %s%s", code, out, talk)
		}
		if left, err := filepath.Glob(filepath.Join(d.dir, "visitor*", "*")); err != nil || len(left) > 0 {
			t.Errorf("left: %q, %v", left, err)
		}
	}
	for i := 1; i < len(d.nodes); i++ {
		d.serve(i)
	}
	d.agree(1)
	d.mustRun("visitor", "init", "--name", "Visitor", "--ledger", other, "--words-file", "visitor.words")
}
