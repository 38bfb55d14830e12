package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/wallet/keyring"
)

// Promise 8 for a wallet that is being made: an init that is killed at any of its system
// calls that write, sync, name or remove is made again with the same command. Then there
// is one wallet, with one key, and the words in the file are its words.
func TestInitKilled(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	needs(t, "strace", "-qq", "-o", os.DevNull, "-e", "trace=none", "true")
	needs(t, "dbus-daemon", "--version")
	var killed, anew atomic.Int64
	t.Run("init", func(t *testing.T) {
		for i, c := range []initCase{
			{keyring.KindOS, []string{"--new-ledger", "--ledger", "new"}},
			{keyring.KindFile, []string{"--new-ledger"}}, // in the home
			{keyring.KindOS, []string{"--ledger", "there"}},
			{keyring.KindFile, nil},
		} {
			t.Run(fmt.Sprint(c.kind, c.args), func(t *testing.T) {
				t.Parallel()
				k, a := c.kill(t, i)
				killed.Add(int64(k))
				anew.Add(int64(a))
			})
		}
	})
	t.Logf("killed %d times, %d begun anew", killed.Load(), anew.Load())
	if killed.Load() < 10 || anew.Load() < 5 {
		t.Errorf("killed only %d times, %d begun anew", killed.Load(), anew.Load())
	}
}

// initCase is an init with its own kind of keyring, and arguments.
type initCase struct {
	kind string
	args []string
}

// kill kills the init number i at each of its calls, or at some, and makes it again.
func (c initCase) kill(t *testing.T, i int) (killed, anew int) {
	h := newHousehold(t)
	root := h.dir
	there := filepath.Join(root, "there") // a ledger of somebody else
	if c.args != nil && c.args[0] == "--ledger" {
		h.write("clinic.passphrase", "correct horse of clinic\n")
		h.run("clinic", "init", "--name", "Dr Smith", "--ledger", there, "--new-ledger", "--words-file", "clinic.words")
	}
	init := append([]string{"carekey", "init", "--name", "Maria", "--words-file", "words"}, c.args...)
	for j, call := range []string{"renameat", "fsync", "linkat", "unlinkat", "mkdirat", "write"} {
		step := lane.Pick(1, 19, 19)
		if call == "write" { // many of them are calls of the bus
			step = lane.Pick(3, 53, 53)
		}
		for n := 1 + (2*i+j)%step; ; n += step {
			inject := fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, n)
			what := fmt.Sprintf("%s %v %s", c.kind, c.args, inject)
			h.dir = filepath.Join(root, fmt.Sprintf("%d-%s-%d", i, call, n))
			if err := os.Mkdir(h.dir, 0o700); err != nil {
				t.Fatal(err)
			}
			h.write("patient.passphrase", "correct horse of patient\n")
			if exists(there) {
				if out, err := exec.Command("cp", "-a", there, h.path("there")).CombinedOutput(); err != nil {
					t.Fatalf("%v %s", err, out)
				}
			}
			h.more = []string{envHome + "=patient", envPassphrase + "=patient.passphrase", envKeyring + "=" + c.kind}
			h.bus.Forget()

			first, err := h.command(append([]string{"strace", "-f", "-qq", "-o", h.path("trace"), "-e", "trace=" + call, "-e", inject}, init...)...).CombinedOutput()
			exit, failed := errors.AsType[*exec.ExitError](err)
			if failed && exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL && exit.ExitCode() != 128+int(syscall.SIGKILL) {
				t.Fatalf("%s: %v\n%s", what, err, first)
			}
			whole, _ := filepath.Glob(h.path("patient/wallets/*/wallet.json"))
			begun, _ := filepath.Glob(h.path("patient/wallets/*/making"))
			if len(whole) == 0 {
				out, err := h.command(init...).CombinedOutput()
				if err != nil || strings.Contains(string(out), "are void") != (len(begun) > 0) {
					t.Errorf("%s: again, %v begun: %v\n%s", what, begun, err, out)
					continue
				}
				anew += len(begun)
			}
			h.run("carekey", "words", "check", "--words-file", "words")
			h.run("carekey", "status")
			items, files := 1, 0
			if c.kind == keyring.KindFile {
				items, files = 0, 1
			}
			if len(h.bus.Items()) != items || h.keyFiles() != files {
				t.Errorf("%s: %d items and %d key files", what, len(h.bus.Items()), h.keyFiles())
			}
			left, _ := filepath.Glob(h.path("patient/wallets/*/making"))
			temps, _ := filepath.Glob(h.path("patient/wallets/*/.new-*"))
			for _, path := range append(left, temps...) {
				t.Errorf("%s: %s is left", what, path)
			}
			papers, _ := filepath.Glob(h.path(".new-*"))
			for _, path := range papers {
				if b, err := os.ReadFile(path); err != nil || len(b) > 0 {
					t.Errorf("%s: words are left in %s", what, path)
				}
			}
			if !failed {
				break
			}
			killed++
		}
	}
	return killed, anew
}
