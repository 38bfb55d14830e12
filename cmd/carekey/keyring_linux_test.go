package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/wallet/keyring"
	"github.com/carekey/carekey/wallet/keyring/keyringtest"
)

// needs skips the test if a program is not installed or cannot run.
func needs(t *testing.T, program string, args ...string) {
	t.Helper()
	err := exec.Command(program, args...).Run()
	if err == nil {
		return
	}
	if os.Getenv("CAREKEY_NO_SKIP") != "" {
		t.Fatalf("%s: %v", program, err)
	}
	t.Skipf("%s is not installed or may not run: %v", program, err)
}

// household is a patient with a system's keyring of her own.
type household struct {
	t    *testing.T
	dir  string
	bus  *keyringtest.Service
	more []string // environment
}

func newHousehold(t *testing.T) *household {
	t.Helper()
	needs(t, "dbus-daemon", "--version")
	bus, err := keyringtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bus.Stop)
	h := &household{t: t, dir: t.TempDir(), bus: bus}
	h.write("patient.passphrase", "correct horse of patient\n")
	return h
}

func (h *household) path(name string) string { return filepath.Join(h.dir, name) }

func (h *household) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(h.path(name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// command is one of the scripts' programs, or one that runs it.
func (h *household) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(h.t.Context(), args[0], args[1:]...)
	cmd.Dir = h.dir
	cmd.Env = append(os.Environ(), "WORK="+h.dir, "HOME="+h.dir, "TMPDIR="+h.dir, testClock+"=2026-11-21T12:30:00Z", "TZ=UTC",
		envKeyring+"=", "DISPLAY=:77", "DBUS_SESSION_BUS_ADDRESS="+h.bus.Address)
	cmd.Env = append(cmd.Env, h.more...)
	return cmd
}

func (h *household) run(args ...string) string {
	h.t.Helper()
	cmd := h.command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		h.t.Fatalf("%v: %v\n%s%s", args, err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.String()
}

// keyFiles are the key files in the home.
func (h *household) keyFiles() int {
	found, err := filepath.Glob(h.path("patient/wallets/*/" + keyring.FileName))
	if err != nil {
		h.t.Fatal(err)
	}
	return len(found)
}

// Promise 8 for the key itself: a move that is killed at any of its system calls
// that write, sync, rename or remove leaves a wallet that opens, and the same move
// ends with the key in one place.
func TestKeyringMoveKilled(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	needs(t, "strace", "-qq", "-o", os.DevNull, "-e", "trace=none", "true")
	h := newHousehold(t)
	h.more = []string{envKeyring + "=os"}
	h.run("patient", "init", "--name", "Maria", "--new-ledger", "--words-file", "words")
	h.more = nil
	at := map[string]int{keyring.KindOS: 1, keyring.KindFile: 0}
	killed := 0
	for _, call := range []string{"renameat", "unlinkat", "fsync", "write"} {
		step := 1
		if call == "write" { // most of them are calls of the bus
			step = lane.Pick(3, 9, 9)
		}
		for n, over := 1, map[string]bool{}; len(over) < 2; n += step {
			for _, kind := range []string{keyring.KindFile, keyring.KindOS} {
				inject := fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, n)
				err := h.command("strace", "-f", "-qq", "-o", h.path("trace"), "-e", "trace="+call, "-e", inject, "patient", "keyring", "move", kind).Run()
				exit, ok := errors.AsType[*exec.ExitError](err)
				switch {
				case err == nil:
					over[kind] = true
				case ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL, ok && exit.ExitCode() == 128+int(syscall.SIGKILL):
					killed++
				default:
					t.Fatalf("%s to %s: %v", inject, kind, err)
				}
				if out := h.run("patient", "status"); !strings.Contains(out, "Maria") {
					t.Fatalf("%s to %s: %s", inject, kind, out)
				}
				h.run("patient", "keyring", "move", kind)
				if items, files := len(h.bus.Items()), h.keyFiles(); items != at[kind] || files != 1-at[kind] {
					t.Fatalf("%s to %s: %d items and %d files", inject, kind, items, files)
				}
				h.run("patient", "status")
			}
		}
	}
	t.Logf("killed %d times", killed)
	if killed < 10 {
		t.Errorf("killed only %d times", killed)
	}
}

// A change of passphrase that is killed leaves a file that opens with one of the two.
func TestKeyringPasswdKilled(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	needs(t, "strace", "-qq", "-o", os.DevNull, "-e", "trace=none", "true")
	h := newHousehold(t)
	h.more = []string{envKeyring + "=file"}
	h.write("other.passphrase", "another horse\n")
	h.run("patient", "init", "--name", "Maria", "--new-ledger", "--words-file", "words")
	opens := func(file string) bool {
		cmd := h.command("patient", "status")
		cmd.Env = append(cmd.Env, envPassphrase+"="+h.path(file))
		return cmd.Run() == nil
	}
	killed := 0
	for _, call := range []string{"renameat", "fsync", "write"} {
		for n, over := 1, false; !over; n++ {
			inject := fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, n)
			over = h.command("strace", "-f", "-qq", "-o", h.path("trace"), "-e", "trace="+call, "-e", inject,
				"patient", "keyring", "passwd", "--new-passphrase-file", "other.passphrase").Run() == nil
			before, after := opens("patient.passphrase"), opens("other.passphrase")
			if before == after || over && before {
				t.Fatalf("%s: opens with the old passphrase: %t, with the new one: %t", inject, before, after)
			}
			if !over {
				killed++
			}
			h.run("patient", "keyring", "restore", "--words-file", "words")
		}
	}
	if killed < 3 {
		t.Errorf("killed only %d times", killed)
	}
	// strace counts the calls of each thread, so that it is the scheduler's which ones
	// were hit. The sync of the folder, behind the rename, is told by its path.
	folders, err := filepath.Glob(h.path("patient/wallets/*"))
	if err != nil || len(folders) != 1 {
		t.Fatal(folders, err)
	}
	err = h.command("strace", "-f", "-qq", "-o", h.path("trace"), "-P", folders[0], "-e", "trace=fsync", "-e", "inject=fsync:signal=KILL:when=1",
		"patient", "keyring", "passwd", "--new-passphrase-file", "other.passphrase").Run()
	if err == nil {
		t.Error("the folder is not synced")
	}
	if opens("patient.passphrase") || !opens("other.passphrase") {
		t.Error("killed behind the rename: the new passphrase does not hold")
	}
}
