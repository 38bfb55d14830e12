package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/lane"
)

// seat is a person before a terminal, with a program of the scripts' running on
// it. Nothing here sleeps: each answer waits for its question.
type seat struct {
	t      *testing.T
	keys   *os.File // the person's end
	screen []byte   // all that was shown
	seen   int      // screen[:seen] has been waited for
	cmd    *exec.Cmd
	stdout bytes.Buffer
}

// sit starts a command on a terminal of 100 by 40; its stdout is a pipe unless
// toTerminal.
func sit(t *testing.T, env []string, toTerminal bool, args ...string) *seat {
	t.Helper()
	return sitAt(t, 100, 40, env, toTerminal, args...)
}

// sitAt is sit on a terminal of so many columns and lines.
func sitAt(t *testing.T, columns, lines uint16, env []string, toTerminal bool, args ...string) *seat {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(keys.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: lines, Col: columns})
	}
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &seat{t: t, keys: keys, cmd: exec.Command(args[0], args[1:]...)}
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stdin, s.cmd.Stderr, s.cmd.Stdout = tty, tty, &s.stdout
	if toTerminal {
		s.cmd.Stdout = tty
	}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	t.Cleanup(func() { keys.Close() })
	return s
}

// until reads until the pattern was shown after what was waited for before, and
// returns its groups.
func (s *seat) until(pattern string) []string {
	s.t.Helper()
	re := regexp.MustCompile(pattern)
	for b := make([]byte, 4096); ; {
		if m := re.FindSubmatchIndex(s.screen[s.seen:]); m != nil {
			var groups []string
			for i := 0; i < len(m); i += 2 {
				groups = append(groups, string(s.screen[s.seen+m[i]:s.seen+m[i+1]]))
			}
			s.seen += m[1]
			return groups
		}
		n, err := s.keys.Read(b)
		if err != nil {
			s.t.Fatalf("waiting for %q: %v; shown since: %q", pattern, err, s.screen[s.seen:])
		}
		s.screen = append(s.screen, b[:n]...)
	}
}

func (s *seat) press(keys string) {
	s.t.Helper()
	if _, err := s.keys.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// end waits for the program and returns its exit code.
func (s *seat) end() int {
	s.t.Helper()
	for b := make([]byte, 4096); ; {
		n, err := s.keys.Read(b)
		s.screen = append(s.screen, b[:n]...)
		if err != nil { // the terminal is closed by its last user
			break
		}
	}
	var exit *exec.ExitError
	if err := s.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return s.cmd.ProcessState.ExitCode()
}

// What a person at a terminal is asked: the words and the passphrase at init, the
// recipient, the records, the length and the consent at grant.
func TestPersonAtTerminal(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	work := t.TempDir()
	env := []string{"WORK=" + work, "TERM=xterm-256color", testClock + "=2026-11-21T12:30:00Z", "TZ=UTC", envPassphrase + "="}
	run := func(args ...string) string {
		t.Helper()
		s := sit(t, env, false, args...)
		if args[0] == "patient" {
			s.until("Passphrase of your carekey wallet: ")
			s.press("swordfish\r")
		}
		if code := s.end(); code != 0 {
			t.Fatalf("%v: exit %d: %s", args, code, s.screen)
		}
		return strings.TrimSpace(s.stdout.String())
	}

	// The passphrase is chosen before there are words to write down. Stopped at any
	// question, nothing is there.
	choose := func(s *seat) {
		for range 2 {
			s.until("New passphrase for your carekey wallet.*: ")
			s.press("swordfish\r")
		}
	}
	var s *seat
	for _, at := range []string{"name", "passphrase", "words"} {
		s = sit(t, env, false, "patient", "init", "--new-ledger")
		s.until("Your name, .*: ")
		if at != "name" {
			s.press("Maria\r")
			s.until("New passphrase for your carekey wallet.*: ")
		}
		if at == "words" {
			s.press("swordfish\r")
			s.until("New passphrase for your carekey wallet.*: ")
			s.press("swordfish\r")
			s.until(`24\. [a-z]+`)
			s.press("\x1b")
		} else {
			s.press("\x03")
		}
		if code := s.end(); code != cli.ExitInterrupted || exists(filepath.Join(work, "patient")) || exists(filepath.Join(work, "ledger")) {
			t.Errorf("stopped at the %s: exit %d: %s", at, code, s.screen)
		}
	}

	// What somebody put in the ledger's place meanwhile is not what was made.
	s = sit(t, env, false, "patient", "init", "--new-ledger")
	s.until("Your name, .*: ")
	s.press("Maria\r")
	choose(s)
	s.until(`24\. [a-z]+`)
	place, kept := filepath.Join(work, "ledger"), filepath.Join(work, "ledger", "letter.txt")
	err := errors.Join(os.RemoveAll(place), os.Mkdir(place, 0o700), os.WriteFile(kept, []byte("mine"), 0o600))
	s.press("\x1b")
	if code := s.end(); err != nil || code != cli.ExitInterrupted || !exists(kept) {
		t.Errorf("another folder in the ledger's place: %v, exit %d: %s", err, code, s.screen)
	}
	os.RemoveAll(place)

	s = sit(t, env, false, "patient", "init", "--new-ledger")
	s.until("Your name, .*: ")
	s.press("Mar\u202eia\r")
	s.until("Your name, .*: ")
	s.press("Maria\r")
	choose(s)
	s.until(`24\. [a-z]+`)
	words := map[string]string{}
	for _, m := range regexp.MustCompile(`(\d+)\. ([a-z]+)`).FindAllStringSubmatch(string(s.screen), -1) {
		words[m[1]] = m[2]
	}
	s.press("\r")
	for range 2 {
		s.press(words[s.until(`Word (\d+): _`)[1]] + "\r")
	}
	if code := s.end(); code != 0 {
		t.Fatalf("init: exit %d: %s", code, s.screen)
	}
	if after := string(s.screen[bytes.LastIndex(s.screen, []byte("\x1b[?1049l")):]); strings.Contains(after, "1. "+words["1"]) || !strings.Contains(after, "wallet of Maria is ready") {
		t.Errorf("after the words: %s", after)
	}

	file := filepath.Join(work, "scan.bin")
	if err := os.WriteFile(file, []byte{0, 1, 2, 3}, 0o600); err != nil {
		t.Fatal(err)
	}
	id := run("patient", "record", "add", file)
	if err := os.WriteFile(filepath.Join(work, "clinic.passphrase"), []byte("p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	clinic := exec.Command("clinic", "init", "--name", "Dr Smith", "--words-file", filepath.Join(work, "w"))
	clinic.Env = append(os.Environ(), "WORK="+work, testClock+"=2026-11-21T12:30:00Z")
	address, err := clinic.Output()
	if err != nil {
		t.Fatal(err)
	}
	run("patient", "contact", "add", "Dr Smith", string(address))

	for _, answer := range []struct {
		key  string
		exit int
	}{{"n", cli.ExitRefused}, {"\x1b", cli.ExitInterrupted}, {"y", 0}} {
		s = sit(t, env, false, "patient", "grant")
		s.until("Passphrase of your carekey wallet: ")
		s.press("swordfish\r")
		s.until("To whom")
		s.until("esc: stop")
		s.press("\r")
		s.until("Which records")
		s.until("esc: stop")
		s.press(" \r")
		s.until("For how long")
		s.until("one day +until Mon 23 Nov 2026 00:00 UTC") // as --for 1d
		s.until("esc: stop")
		s.press("\r")
		s.until("You are about to give Dr Smith access to 1 record")
		s.until("NOT VERIFIED")
		s.until("until +Mon 23 Nov 2026 00:00 UTC")
		s.until("Give this consent")
		s.until("esc: stop")
		s.press(answer.key)
		if code := s.end(); code != answer.exit {
			t.Errorf("grant answered with %q: exit %d", answer.key, code)
		}
		if code := strings.TrimSpace(s.stdout.String()); (answer.exit == 0) != (strings.HasPrefix(code, "carekey-fetch1") && len(code) == 14+178) {
			t.Errorf("grant answered with %q: stdout %q", answer.key, code)
		}
	}

	// Of a record in parts she is asked once for each reason why something in it is not
	// understood, and can look at it all before she answers.
	parts := run("patient", "record", "add", filepath.Join(top(), "testdata", "fhir", "parts.json"))
	for _, given := range []bool{false, true} {
		s = sit(t, env, false, "patient", "grant", "--to", "Dr Smith", "--record", parts, "--for", "1d")
		s.until("Passphrase of your carekey wallet: ")
		s.press("swordfish\r")
		s.until("1 entry whose code system we do not know: give it")
		s.until("> .*no, keep back")
		s.until("esc: stop")
		if given {
			s.press("\x1b[B\x1b[B\r")
			s.until("12 +Form 17 +labs +2026-05-04 +no: unclassified")
			s.until("give it")
			s.until("esc: stop")
			s.press("y")
			s.until("> .*yes, give")
			s.press("\r")
			s.until("NOT UNDERSTOOD: 1 whose code system we do not know")
		} else {
			s.press("n")
			s.until("filter: n_")
			s.press("\r")
			s.until("stays +2 sensitive .2 mental-health.; 1 unclassified")
		}
		s.until("Give this consent")
		s.until("l: list all of it")
		s.press("l")
		s.until("12 +Form 17 +labs +2026-05-04 +" + map[bool]string{true: "yes", false: "no: unclassified"}[given])
		s.until("Give this consent")
		s.until("esc: stop")
		s.press("y")
		if code := s.end(); code != 0 {
			t.Errorf("given %v: exit %d: %s", given, code, s.screen)
		}
	}

	// Who names nothing is asked what of the inbox is meant; what strangers call themselves
	// is said to be their word.
	for _, answer := range []struct {
		key  string
		exit int
	}{{"\x1b", cli.ExitInterrupted}, {" \r", 0}} {
		s = sit(t, env, false, "clinic", "fetch", "--flat", "-o", filepath.Join(work, "got"), "--reason", "check-up")
		s.until("Passphrase of your carekey wallet: ")
		s.press("p\r")
		s.until("What do you want to open")
		s.until(`> .*[0-9a-f]{8}  Maria .says so; not verified.: scan`)
		s.until("until 23 Nov( [0-9:]+)?, treatment")
		s.until("esc: stop")
		s.press(answer.key)
		if code := s.end(); code != answer.exit || exists(filepath.Join(work, "got", "scan.bin")) != (answer.exit == 0) {
			t.Errorf("fetch answered with %q: exit %d: %s", answer.key, code, s.screen)
		}
		os.RemoveAll(filepath.Join(work, "got"))
	}

	// Bytes that are no text are not for a terminal.
	s = sit(t, env, true, "patient", "record", "get", id)
	s.until("Passphrase of your carekey wallet: ")
	s.press("swordfish\r")
	s.until("error: the record is not text")
	if code := s.end(); code != cli.ExitUsage {
		t.Errorf("binary to a terminal: exit %d", code)
	}

	// A terminal is there, but must not be used.
	s = sit(t, env, false, "patient", "grant", "--no-input")
	s.until("an answer is needed.*passphrase")
	if code := s.end(); code != cli.ExitUsage {
		t.Errorf("--no-input: exit %d", code)
	}

	// A wrong passphrase.
	s = sit(t, env, false, "patient", "status")
	s.until("Passphrase of your carekey wallet: ")
	s.press("marlin\r")
	s.until("error: the passphrase does not open")
	if code := s.end(); code != cli.ExitLocked {
		t.Errorf("wrong passphrase: exit %d", code)
	}
}

// An interruption while a record is read ends with 130 and leaves nothing behind.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	work := t.TempDir()
	if err := os.WriteFile(filepath.Join(work, "patient.passphrase"), []byte("p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "WORK="+work)
	patient := func(args ...string) *exec.Cmd {
		c := exec.Command("patient", args...)
		c.Env = env
		return c
	}
	if out, err := patient("init", "--name", "Maria", "--new-ledger", "--words-file", filepath.Join(work, "w")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	fifo := filepath.Join(work, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	add := patient("record", "add", fifo)
	var stderr bytes.Buffer
	add.Stderr = &stderr
	if err := add.Start(); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(fifo, os.O_WRONLY, 0) // waits for the program to read
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write(make([]byte, 100_000)); err != nil { // more than the pipe holds: some of it was read
		t.Fatal(err)
	}
	if err := add.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	add.Wait()
	if code := add.ProcessState.ExitCode(); code != cli.ExitInterrupted || !strings.Contains(stderr.String(), "stopped before anything was changed") {
		t.Errorf("exit %d: %s", code, &stderr)
	}
	out, err := patient("status", "--json").Output()
	if err != nil || !strings.Contains(string(out), `"records": 0`) || !strings.Contains(string(out), `"pending": []`) {
		t.Errorf("after the interruption: %v %s", err, out)
	}
}
