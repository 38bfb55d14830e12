package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/lane"
)

// An order and what is beside it are told from folders and invitations, and come back as
// they were written.
func TestLocators(t *testing.T) {
	folder := t.TempDir()
	for _, good := range []string{"foo:x " + folder, "foo-2:// " + folder, "foo: " + folder + " with spaces"} {
		l, err := named(good)
		if err != nil || l.order == "" || stored("/home", good) != l || l.kept("/home") != good {
			t.Errorf("%q: %+v, %v", good, l, err)
		}
	}
	for _, bad := range []string{"", folder, "f:x " + folder, "Foo:x " + folder, "foo:\x00 " + folder,
		"foo:\u00a0x " + folder, "foo:" + strings.Repeat("x", maxOrderURL) + " " + folder, " foo:x " + folder} {
		if l, _ := named(bad); l.order != "" || stored("/home", bad).order != "" {
			t.Errorf("%q is %+v", bad, l)
		}
	}
	for _, wrong := range []string{"foo:x", "foo:x ", "https://node.example", "https://node.example " + folder, "foo:x carekey-node1nonsense", "carekey-node1nonsense"} {
		if l, err := named(wrong); err == nil {
			t.Errorf("%q is %+v", wrong, l)
		}
	}
	if l := stored("/home", "ledger"); l != homeLedger("/home") || l.kept("/home") != "ledger" || l.kept("/other") != filepath.FromSlash("/home/ledger") {
		t.Errorf("in the home: %+v", l)
	}
	if l := stored("/home", "carekey-node1nonsense"); l.bad == nil || l.shown() == "" {
		t.Errorf("an invitation that cannot be read: %+v", l)
	}
}

// TestDirectBesideANode is the main job through an order that each wallet follows and
// appends to itself, with a node beside it for store, keeper and signature: programs
// of their own for the node, the patient and the clinic, on one order. What is lost of
// the order is found by each of them.
func TestDirectBesideANode(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	if _, err := exec.LookPath("python3"); err != nil {
		missing(t, "python3 is not installed", err)
	}
	d := newDistantTown(t, true)
	path := filepath.Join(d.dir, "order")
	url := "example:" + path
	invitation := strings.TrimSpace(string(d.operator("invite", "ledger")))
	if code, _, talk := d.run("patient", "ledger", "join", url, "--store", invitation); code != cli.ExitUsage || !strings.Contains(talk, "Trust this ledger") {
		t.Errorf("unseen: exit %d\n%s", code, talk)
	}
	if left, err := os.ReadDir(filepath.Join(d.dir, "patient", "replicas")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	for _, who := range []string{"patient", "clinic"} {
		if code, _, talk := d.run(who, "ledger", "join", url, "--store", invitation, "--yes"); code != 0 || !strings.Contains(talk, "looked for in "+url) {
			t.Fatalf("join: exit %d\n%s", code, talk)
		}
	}
	var info ledgerJSON
	d.must(json.Unmarshal([]byte(d.mustRun("patient", "ledger", "info", "--json")), &info))
	if info.Gate != "enforced" || info.Reach != url+", beside it "+d.proxy.URL {
		t.Errorf("info: %+v", info)
	}
	share := strings.TrimSpace(d.mustRun("patient", "grant", "--to", "Dr Smith", "--all", "--for", "30d", "--yes"))
	d.mustRun("clinic", "fetch", share, "--flat", "-o", "got", "--reason", "check-up")
	if got, err := os.ReadFile(filepath.Join(d.dir, "got", "allergies.txt")); err != nil || !strings.HasPrefix(string(got), "Penicillin") {
		t.Errorf("fetched %q, %v", got, err)
	}
	d.mustRun("patient", "ledger", "verify")
	d.mustRun("patient", "revoke", "--all", "--yes")
	if code, _, talk := d.run("clinic", "fetch", share, "-o", "again"); code != cli.ExitRefused {
		t.Errorf("revoked: exit %d\n%s", code, talk)
	}

	// Nobody is beside the order: what was verified is shown, and a change waits.
	d.kill()
	d.proxy.aim("http://127.0.0.1:1")
	if code, _, talk := d.run("patient", "record", "list"); code != 0 || !strings.Contains(talk, "showing what was verified") {
		t.Errorf("without the node: exit %d\n%s", code, talk)
	}
	if code, _, talk := d.run("patient", "grant", "--to", "Dr Smith", "--all", "--for", "30d", "--yes"); code != cli.ExitUnreachable {
		t.Errorf("without the node: exit %d\n%s", code, talk)
	}
	d.proxy.aim(d.serve("--no-tls"))
	d.mustRun("patient", "sync")
	if all := d.list("patient", "consent", "list"); len(all) != 2 {
		t.Errorf("%d consents", len(all))
	}

	// An item is lost behind the back of all of them: a replica that has it misses it, a
	// new one comes to another log than the node signs.
	const item = 4 + 222
	whole, err := os.ReadFile(path)
	d.must(err)
	at := len(whole) / item / 2 * item
	tampered := func(what, who string) {
		t.Helper()
		code, out, talk := d.run(who, "record", "list", "--json")
		var said struct{ Error failure }
		if err := json.Unmarshal([]byte(talk), &said); err != nil || code != cli.ExitTampered {
			t.Errorf("%s: exit %d\n%s%s", what, code, out, talk)
		}
		t.Logf("%s: %s: %s", what, said.Error.Code, said.Error.Message)
	}
	d.must(os.WriteFile(path, append(append([]byte(nil), whole[:at]...), whole[at+item:]...), 0o600))
	tampered("an item is gone", "patient")
	d.must(os.RemoveAll(filepath.Join(d.dir, "clinic", "replicas")))
	tampered("an item is gone for a new replica", "clinic")
	d.must(os.WriteFile(path, whole, 0o600))
	d.mustRun("patient", "record", "list")

	// Who leaves keeps nothing of it.
	d.mustRun("clinic", "--ledger", filepath.Join(d.dir, "own"), "--profile", "other", "init", "--name", "Other", "--new-ledger", "--words-file", filepath.Join(d.dir, "o.words"))
	d.mustRun("clinic", "ledger", "join", filepath.Join(d.dir, "own"), "--default", "--yes")
	d.must(os.RemoveAll(filepath.Join(d.dir, "clinic", "replicas")))
	d.mustRun("clinic", "--ledger", url, "record", "list")
	d.mustRun("clinic", "ledger", "leave", url, "--yes")
	if left, err := os.ReadDir(filepath.Join(d.dir, "clinic", "replicas")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
