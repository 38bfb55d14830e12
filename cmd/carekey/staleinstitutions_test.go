package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/node"
)

// Threat: two of four institutions are gone, and the two that are left show a head that enough had
// signed once: as it is still, and later without a revocation. A wallet shows what it verified
// itself, as of when, and never an old head as the newest; nothing opens; what is revoked stops at
// the keepers that are there; and when all are back what waited is done.
func TestTwoDeadAndTwoStale(t *testing.T) {
	lane.OneGoroutine(t)
	r := newRegion(t, 3, 2, "City hospital", "Region clinic", "University", "Patients")
	r.reached()
	p := r.meet(r.members[0].invitation(), r.members[1].invitation())
	first := p.give("first")
	second := p.give("second")
	p.fetch(first)
	r.must(os.WriteFile(filepath.Join(r.dir, "visitor.passphrase"), []byte("horse of visitor\n"), 0o600))
	entries := p.entries()
	for _, m := range r.members[:2] {
		m.get(node.PathCheckpoint, func(note []byte) bool {
			head, err := ledgerclient.Unverified(note)
			return err == nil && head.Size == entries
		})
	}

	var old []byte // a note
	stale := aboutLog(func(t *told) {
		if t.note == nil {
			return
		}
		if old == nil {
			old = r.signed(t.note, r.now().Add(-15*time.Minute))
		}
		t.note, t.leaves = old, nil
	})
	begin := func(left, gone lie) {
		for i, m := range r.members {
			m.begin([]lie{left, left, gone, gone}[i])
		}
		r.said = ""
	}
	verified := regexp.MustCompile(`showing what was verified at 21 Nov 2026 12:\d\d`)
	shows := func(entries uint64, status string) {
		t.Helper()
		begin(stale, func(*http.Request, []byte, []byte) []byte { return nil })
		for _, c := range []struct{ args, out string }{
			{"status", "second "},
			{"consent list", " Dr Smith  first    treatment  22 Dec 2026 00:00  " + status + " "},
			{"consent show " + first.consent, "status    " + status},
			{"ledger info", "entries     " + strconv.FormatUint(entries, 10) + "\n"},
		} {
			if code, out, talk := r.run("patient", strings.Fields(c.args)...); code != 0 || !strings.Contains(out, c.out) || !verified.MatchString(talk) {
				t.Errorf("%s: exit %d: %s%s", c.args, code, out, talk)
			}
		}
		if code, out, talk := r.run("patient", "audit"); code != cli.ExitPartly || !strings.Contains(talk, "this is not all") {
			t.Errorf("audit: exit %d: %s%s", code, out, talk)
		}
		for _, g := range []granted{first, second} { // the one was opened before
			if code, out, talk := r.run("clinic", "fetch", g.code, "-o", "shut"); code != cli.ExitUnreachable {
				t.Errorf("fetch: exit %d: %s%s", code, out, talk)
			}
		}
		if code, out, talk := r.run("visitor", "ledger", "info", "--ledger", r.members[0].invitation()); code == 0 || strings.Contains(out, "entries ") {
			t.Errorf("who saw nothing before: exit %d: %s%s", code, out, talk)
		}
		if !strings.Contains(r.said, "gave nothing that can be used: the newest head that the ledger shows is 15 minutes old") {
			t.Errorf("it is not said what is shown:\n%s", r.said)
		}
	}
	shows(entries, "active")
	begin(nil, nil)
	p.does("patient", "revoke", first.consent, "--yes")
	shows(entries+1, "revoked")
	if code, out, talk := r.run("patient", "revoke", second.consent, "--yes"); code == 0 || !strings.Contains(out, "NOT on the ledger yet") || !strings.Contains(out, "at 2 of 4 keepers") {
		t.Errorf("revoke: exit %d: %s%s", code, out, talk)
	}
	if _, err := os.Lstat(filepath.Join(r.dir, "shut")); err == nil {
		t.Error("something was opened")
	}

	begin(nil, nil)
	if got := p.entries(); got != entries+2 {
		t.Errorf("%d entries, not %d", got, entries+2)
	}
	p.refused(first)
	p.refused(second)
	r.mustRun("patient", "ledger", "verify")
}
