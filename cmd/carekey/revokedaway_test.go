package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/lane"
)

// Promise 4 where four institutions keep the ledger and two of them are away: a revocation stops
// at the two that are there, and that is all that is said of it. When the others are back they
// refuse at once, whom nobody had told: the order had it. At each moment the screen says as much
// as is so.
func TestRevokedWhileTwoAreAway(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	d := newInstitutions(t, 4)
	d.reached()
	addresses := map[string]string{}
	for i, who := range []string{"patient", "clinic"} {
		invitation := strings.TrimSpace(string(d.operator("invite", d.folder(i))))
		addresses[who] = strings.TrimSpace(d.mustRun(who, "init", "--name", who, "--ledger", invitation, "--words-file", filepath.Join(d.dir, who+".words")))
	}
	d.does("patient", "contact", "add", "Dr Smith", addresses["clinic"])
	d.must(os.WriteFile(filepath.Join(d.dir, "file"), []byte("file\n"), 0o600))
	d.does("patient", "record", "add", "file")
	var given struct{ Consent, Code string }
	d.must(json.Unmarshal([]byte(d.does("patient", "grant", "--to", "Dr Smith", "--record", d.list("patient", "record", "list")[0]["id"].(string), "--for", "30d", "--yes", "--json")), &given))
	people{d.distantTown}.fetch(granted{"file", given.Consent, given.Code})
	entries := d.agree(1)

	d.kill(2)
	d.kill(3)
	code, out, talk := d.until([]string{"at 2 of 4 keepers"}, "patient", "revoke", given.Consent)
	if code != cli.ExitUnreachable || !strings.Contains(out, "NOT on the ledger yet") || !strings.Contains(out, "not yet: enough keepers may be left") || strings.Contains(out, "too few keepers") {
		t.Errorf("two are away: exit %d: %s%s", code, out, talk)
	}
	if code, out, talk := d.run("clinic", "fetch", given.Code, "-o", "away"); code == 0 {
		t.Errorf("two are away: it opens: %s%s", out, talk)
	}
	if code, out, talk := d.run("patient", "audit"); code == 0 || strings.Contains(out+talk, "Verified") || !strings.Contains(talk, "Keeper 3 ") || !strings.Contains(talk, "eeper 4 ") {
		t.Errorf("two are away: audit: exit %d: %s%s", code, out, talk)
	}

	d.serve(2)
	d.serve(3)
	d.agree(entries + 1)
	code, out, talk = d.run("clinic", "fetch", given.Code, "-o", "back")
	for limit := time.Now().Add(2 * time.Minute); code == cli.ExitUnreachable && time.Now().Before(limit); { // a node is slow
		code, out, talk = d.run("clinic", "fetch", given.Code, "-o", "back")
	}
	if code != cli.ExitRefused {
		t.Errorf("they are back: exit %d: %s%s", code, out, talk)
	}
	d.does("patient", "sync")
	if code, out, talk := d.until([]string{"at 4 of 4 keepers"}, "patient", "revoke", given.Consent); code != 0 || !strings.Contains(out, "Was revoked before") || !strings.Contains(out, "too few keepers are left") || strings.Contains(out, "no word of") {
		t.Errorf("exit %d: %s%s", code, out, talk)
	}
}
