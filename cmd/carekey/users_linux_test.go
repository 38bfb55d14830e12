package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
)

// Two users of one system, each with a home that the other cannot read, share a
// ledger folder through a group, as the README says.
func TestTwoUsersShareAFolder(t *testing.T) {
	lane.OneGoroutine(t)
	if os.Getuid() != 0 {
		t.Skip("only root can become two other users")
	}
	const patient, clinic, group = 61001, 61002, 61000
	// Below the system's own temporary folder: t.TempDir is for one user only.
	dir, err := os.MkdirTemp("", "carekey-users-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program := filepath.Join(dir, "carekey") // as TestMain makes it: a test's folder is for one user only
	if self, err := os.ReadFile("/proc/self/exe"); err != nil || os.WriteFile(program, self, 0o700) != nil {
		t.Fatal("the program is not copied", err)
	}
	for _, path := range []string{dir, program} { // whatever the umask is
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	folder := func(name string, mode os.FileMode, uid int) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, group); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ledger := folder("ledger", 0o770|os.ModeSetgid, patient)
	home := map[uint32]string{patient: folder("patient", 0o700, patient), clinic: folder("clinic", 0o700, clinic)}
	for uid, h := range home {
		path := filepath.Join(h, "passphrase")
		if err := os.WriteFile(path, []byte("a passphrase of the test"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, int(uid), group); err != nil {
			t.Fatal(err)
		}
	}
	as := func(uid uint32, args ...string) (stdout string, err error) {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Dir = home[uid]
		cmd.Env = []string{"HOME=" + home[uid], "CAREKEY_HOME=" + filepath.Join(home[uid], "carekey"), "CAREKEY_LEDGER=" + ledger, testClock + "=2026-11-21T12:30:00Z",
			"CAREKEY_KEYRING=file", "CAREKEY_PASSPHRASE_FILE=" + filepath.Join(home[uid], "passphrase")}
		// A cautious umask, which must not keep the group out of the ledger.
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: group, Groups: []uint32{group}}}
		var errs strings.Builder
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Logf("%s: %v\n%s", strings.Join(args, " "), err, errs.String())
		}
		return strings.TrimSpace(string(out)), err
	}
	must := func(uid uint32, args ...string) string {
		t.Helper()
		out, err := as(uid, args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	must(patient, "init", "--name", "Maria", "--new-ledger", "--words-file", "words")
	address := must(clinic, "init", "--name", "Dr Smith", "--words-file", "words")
	must(patient, "contact", "add", "Dr Smith", address)
	if err := os.WriteFile(filepath.Join(home[patient], "a.txt"), []byte("penicillin"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(home[patient], "a.txt"), patient, group); err != nil {
		t.Fatal(err)
	}
	must(patient, "record", "add", "a.txt")
	code := must(patient, "grant", "--to", "Dr Smith", "--all", "--for", "30d", "--yes")
	must(clinic, "fetch", code, "--flat", "-o", "out")
	if b, err := os.ReadFile(filepath.Join(home[clinic], "out", "a.txt")); err != nil || string(b) != "penicillin" {
		t.Errorf("%q, %v", b, err)
	}
	must(patient, "revoke", "--all", "--yes")
	if _, err := as(clinic, "fetch", code, "-o", "again"); err == nil || err.(*exec.ExitError).ExitCode() != 3 {
		t.Errorf("fetch after the revocation: %v", err)
	}
	var events []struct{ What string }
	if err := json.Unmarshal([]byte(must(patient, "audit", "--json")), &events); err != nil || len(events) < 4 {
		t.Errorf("audit: %v, %v", events, err)
	}
	must(patient, "ledger", "verify")
	must(clinic, "ledger", "verify")
}
