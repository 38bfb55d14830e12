//go:build linux

package keyring

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/wallet/keyring/keyringtest"
)

// These tests run the real library against a Secret Service that misbehaves, on
// a bus of its own. Each operation runs in a process of its own (this test
// again), since the library keeps one connection for the life of a process.

const childVariable = "CAREKEY_TEST_KEYRING_OPERATION"

func TestMain(m *testing.M) {
	if op := os.Getenv(childVariable); op != "" {
		operate(op)
		return
	}
	os.Exit(m.Run())
}

// operate does one operation and prints the types of its error, outermost first.
func operate(op string) {
	o := &OS{}
	manner, op, _ := strings.Cut(op, " ")
	switch manner {
	case "impatient": // about keyrings that do not answer
		o.Timeout = time.Second / 2
	case "prompted": // about prompts: what comes before them has its time
		o.Timeout, o.PromptTimeout = time.Minute, time.Second/2
	case "quiet":
		o.NoPrompt = true
	case "blind":
		os.Unsetenv("DISPLAY")
		os.Unsetenv("WAYLAND_DISPLAY")
	case "round":
	default:
		op = manner
	}
	ctx := context.Background()
	var err error
	switch op {
	case "set":
		err = set(ctx, o)
	case "get":
		err = get(ctx, o)
	case "delete":
		err = del(ctx, o)
	case "look":
		var seen Sight
		if seen, err = o.Look(ctx, "one"); err == nil {
			fmt.Print(seen)
		}
	case "trip":
		err = cmp.Or(set(ctx, o), get(ctx, o), del(ctx, o))
	}
	if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), secretA) {
		fmt.Print("SECRET IN ERROR ")
	}
	for e := range fault.Tree(err) {
		switch e := e.(type) {
		case *fault.Error:
			fmt.Printf("%s ", e.Shown())
		case fault.Code:
			fmt.Printf("%s ", e)
		default:
			fmt.Printf("%T ", e)
		}
	}
	fmt.Println()
}

// child runs an operation with the environment changed as given.
func child(t *testing.T, op string, environment ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	// Under the race detector a process otherwise ends with a second's pause.
	cmd.Env = append(append(os.Environ(), environment...), childVariable+"="+op, "DISPLAY=:77", "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", op, err, out)
	}
	return strings.TrimSpace(string(out))
}

// started gives the service if it started; without dbus-daemon the test skips.
func started(t *testing.T, s *keyringtest.Service, err error) *keyringtest.Service {
	t.Helper()
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("CAREKEY_NO_SKIP") == "" && os.Getenv("CAREKEY_REAL_KEYRING") == "" {
		t.Skip("dbus-daemon is not installed")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

type manners = keyringtest.Manners

func TestSecretServiceMisbehaves(t *testing.T) {
	for _, c := range []struct {
		name, op string
		item     string // kept under the id before, if not ""
		manners  manners
		want     string // the beginning of the error's types; "a|b" where either is right
	}{
		{"behaves", "round trip", "", manners{}, ""},
		{"behaves, and is old", "round trip", "", manners{Old: true}, ""},
		{"never answers", "impatient set", "", manners{Mute: true}, "keyring-timeout"},
		{"never answers a look", "impatient look", "", manners{Mute: true}, "keyring-timeout"},
		{"prompt to unlock that nobody answers", "prompted get", secretA, manners{Locked: true, Prompt: keyringtest.Ignored}, "keyring-prompt-unanswered"},
		{"prompt to unlock that nobody answers, at set", "prompted set", "", manners{Locked: true, Prompt: keyringtest.Ignored}, "keyring-prompt-unanswered"},
		{"prompt to unlock is answered", "get", secretA, manners{Locked: true, Prompt: keyringtest.Answered}, ""},
		{"prompt to unlock is answered, old", "get", secretA, manners{Locked: true, Prompt: keyringtest.Answered, Old: true}, ""},
		{"prompt to unlock is answered at set", "round trip", "", manners{Locked: true, Prompt: keyringtest.Answered}, ""},
		{"prompt to unlock is dismissed", "get", secretA, manners{Locked: true, Prompt: keyringtest.Dismissed}, "keyring-locked/dismissed"},
		{"prompt to unlock is dismissed at set", "set", "", manners{Locked: true, Prompt: keyringtest.Dismissed}, "keyring-locked/dismissed"},
		{"prompt to unlock is dismissed, with no desktop", "blind get", secretA, manners{Locked: true, Prompt: keyringtest.Dismissed}, "keyring-locked/no-desktop"},
		{"may not put a prompt up", "quiet get", secretA, manners{Locked: true, Prompt: keyringtest.Answered}, "keyring-locked/not-asked"},
		{"prompt at set that nobody answers", "impatient set", "", manners{Asks: true, Prompt: keyringtest.Ignored}, "keyring-timeout"},
		{"prompt at delete that nobody answers", "impatient delete", secretA, manners{Asks: true, Prompt: keyringtest.Ignored}, "keyring-timeout"},
		{"service ends while its prompt to unlock is up", "get", secretA, manners{Locked: true, Prompt: keyringtest.Leaves}, "keyring-absent/broke-off"},
		// The service may be gone before it has answered that the prompt is up.
		{"service ends while its prompt at set is up", "impatient set", "", manners{Asks: true, Prompt: keyringtest.Leaves}, "keyring-timeout|keyring-absent/broke-off"},
		{"prompt dismissed at set", "set", "", manners{Asks: true, Prompt: keyringtest.Dismissed}, "key-not-stored key-missing/os"},
		{"says that it stored", "set", "", manners{Forgets: true}, "key-not-stored key-missing/os"},
		{"prompt dismissed at delete", "delete", secretA, manners{Asks: true, Prompt: keyringtest.Dismissed}, "key-not-deleted"},
		{"bus ends while a prompt is put up", "set", "", manners{Asks: true, Prompt: keyringtest.BreaksOff}, "keyring-absent/broke-off"},
		{"bus ends while a prompt is up", "set", "", manners{Asks: true, Prompt: keyringtest.Breaks}, "keyring-absent/broke-off"},
		{"bus ends while a prompt to unlock is up", "get", secretA, manners{Locked: true, Prompt: keyringtest.Breaks}, "keyring-absent/broke-off"},
		{"wrong type on the bus", "get", "", manners{Rude: true}, "keyring-absent/broke-off"},
		{"wrong type on the bus at a look", "look", "", manners{Rude: true}, "keyring-absent/broke-off"},
		{"locked at set", "set", "", manners{Locked: true}, "keyring-locked/stayed"},
		{"locked at get", "get", secretA, manners{Locked: true}, "keyring-locked/stayed"},
		{"locked item", "get", secretA, manners{Refuses: true}, "keyring-locked/stayed dbus.Error"},
		{"nothing there", "get", "", manners{}, "key-missing/os"},
		{"vanishes", "get", secretA, manners{Vanishes: true}, "key-missing/os dbus.Error"},
		{"value changed", "get", "hello", manners{}, "key-changed"},
		{"value changed at set", "set", "hello", manners{}, "key-exists key-changed"},
		{"another secret is there", "set", secretB, manners{}, "key-exists"},
		{"another value is read back", "set", "", manners{Value: secretB}, "key-not-stored key-changed"},
		{"repeats the secret in its error", "set", "", manners{Talkative: true}, "keyring-failed *errors.errorString"},
		{"look at nothing", "look", "", manners{}, "{false false}"},
		{"look at an item", "look", secretA, manners{}, "{false true}"},
		{"look at a locked item", "look", secretA, manners{Locked: true, Prompt: keyringtest.Ignored}, "{true true}"},
		{"look into a locked keyring", "look", "", manners{Locked: true, Prompt: keyringtest.Ignored}, "{true false}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := keyringtest.Start()
			started(t, s, err).Behave(c.manners)
			if c.item != "" {
				s.Put("one", c.item)
			}
			got := child(t, c.op, busAddress+"="+s.Address)
			right := func(want string) bool { return got == want || want != "" && strings.HasPrefix(got, want) }
			if !slices.ContainsFunc(strings.Split(c.want, "|"), right) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if strings.HasPrefix(c.op, "quiet ") && s.Counts().Prompts != 0 {
				t.Error("a prompt was put up")
			}
		})
	}
}

// Reading what an unlocked keyring holds puts no prompt up, and unlocking a locked one
// asks once, whatever the library does after it. What is asked in vain is taken down
// again.
func TestSecretServiceIsAskedOnce(t *testing.T) {
	s, err := keyringtest.Start()
	started(t, s, err).Put("one", secretA)
	s.Behave(manners{})
	if got := child(t, "get", busAddress+"="+s.Address); got != "" {
		t.Fatal(got)
	}
	if c := s.Counts(); c.Prompts != 0 || c.Secrets != 1 {
		t.Errorf("unlocked: %+v", c)
	}
	s.Behave(manners{Locked: true, Prompt: keyringtest.Answered})
	if got := child(t, "get", busAddress+"="+s.Address); got != "" {
		t.Fatal(got)
	}
	if c := s.Counts(); c.Prompts != 1 || c.Secrets != 1 {
		t.Errorf("locked: %+v", c)
	}
	s.Behave(manners{Locked: true, Prompt: keyringtest.Ignored})
	if got := child(t, "prompted get", busAddress+"="+s.Address); !strings.HasPrefix(got, "keyring-prompt-unanswered") {
		t.Fatal(got)
	}
	if c := s.Counts(); c.Prompts != 1 || c.Secrets != 0 {
		t.Errorf("not answered: %+v", c)
	}
}

func TestNoSecretService(t *testing.T) {
	s, err := keyringtest.Bus()
	address := started(t, s, err).Address
	if got := child(t, "get", busAddress+"="+address); !strings.HasPrefix(got, "keyring-absent/no-provider dbus.Error") {
		t.Errorf("a bus without a provider: %q", got)
	}

	// Without an address the bus is found in the runtime folder, by its socket.
	if err := s.Serve(); err != nil {
		t.Fatal(err)
	}
	if got := child(t, "round trip", busAddress+"=", "XDG_RUNTIME_DIR="+filepath.Dir(s.Socket())); got != "" {
		t.Errorf("a bus in the runtime folder: %q", got)
	}
}

// Without a bus none is started: the program that would start one is not run.
func TestNoBus(t *testing.T) {
	if _, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Getuid())); err == nil {
		t.Skip("there is a session bus at its usual place")
	}
	programs, mark := t.TempDir(), filepath.Join(t.TempDir(), "launched")
	script := "#!/bin/sh\n: > " + mark + "\n"
	if err := os.WriteFile(filepath.Join(programs, "dbus-launch"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	const noBus = "keyring-absent/no-bus"
	path := "PATH=" + programs
	for _, address := range []string{"", "autolaunch:"} {
		for _, folder := range []string{"", "relative", t.TempDir()} {
			if got := child(t, "get", path, busAddress+"="+address, "XDG_RUNTIME_DIR="+folder); got != noBus {
				t.Errorf("address %q, folder %q: %q", address, folder, got)
			}
		}
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("dbus-launch was run")
	}
	gone := busAddress + "=unix:path=" + filepath.Join(programs, "gone")
	if got := child(t, "set", path, gone); !strings.HasPrefix(got, noBus+" *net.OpError") {
		t.Errorf("a socket that is gone: %q", got)
	}
}
