package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"golang.org/x/sys/unix"
)

// pause says on descriptor 3 that everything is done, and waits for descriptor 4.
// Whoever tests may look into the process again.
func pause() {
	if os.Getenv(testPause) == "" {
		return
	}
	letSee()
	os.NewFile(3, "ready").Close()
	os.NewFile(4, "go").Read(make([]byte, 1))
}

// letSee lets whoever tests look into the process.
func letSee() { unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) }

// trace is one form of one secret.
type trace struct {
	name   string
	needle []byte
}

// traces are the forms in which a wallet's secrets can be found.
func traces(t *testing.T, wordsFile string, passphrases ...string) []trace {
	t.Helper()
	b, err := os.ReadFile(wordsFile)
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(b))
	entropy, err := crypto.EntropyFromWords(words)
	if err != nil {
		t.Fatal(err)
	}
	text := entropy.Encode()
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	exposed := entropy.Root().SelfKey().ExposeSecret()
	self := exposed[:]
	limbs := slices.Clone(self) // eight 32-bit words, the lowest first, as decred holds them
	slices.Reverse(limbs)
	out := []trace{
		{"key, 32 bytes", decoded},
		{"key, text", []byte(text)},
		{"key, hex", []byte(hex.EncodeToString(decoded))},
		{"24 words", []byte(strings.Join(words[:4], " "))},
		{"24 words, lines", []byte(strings.Join(words[:4], "\n"))},
		{"self key, 32 bytes", self},
		{"self key, limbs", limbs},
	}
	for _, p := range passphrases {
		out = append(out, trace{"passphrase", []byte(p)})
	}
	return out
}

// found lists the traces in b.
func found(ts []trace, b []byte) []string {
	var out []string
	for _, t := range ts {
		if bytes.Contains(b, t.needle) {
			out = append(out, t.name)
		}
	}
	return out
}

// paused runs a command up to its pause, lets look see the process, and lets it
// end.
func (h *household) paused(look func(pid int), args ...string) (output []byte) {
	h.t.Helper()
	ready, readyEnd, err := os.Pipe()
	if err != nil {
		h.t.Fatal(err)
	}
	goEnd, goOn, err := os.Pipe()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := h.command(args...)
	cmd.Env = append(cmd.Env, testPause+"=1")
	cmd.ExtraFiles = []*os.File{readyEnd, goEnd}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	readyEnd.Close()
	goEnd.Close()
	ready.Read(make([]byte, 1)) // ends when the child closes it, or is gone
	look(cmd.Process.Pid)
	ready.Close()
	goOn.Close()
	if err := cmd.Wait(); err != nil {
		h.t.Fatalf("%v: %v\n%s", args, err, out.Bytes())
	}
	return out.Bytes()
}

// copies counts the traces in the writable memory of a process.
func copies(t *testing.T, ts []trace, pid int) map[string]int {
	t.Helper()
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Skipf("the memory of a child cannot be read here: %v", err)
	}
	defer mem.Close()
	count := map[string]int{}
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to int64
		var mode string
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); n != 3 || !strings.HasPrefix(mode, "rw") {
			continue
		}
		b := make([]byte, to-from)
		n, _ := mem.ReadAt(b, from)
		for _, t := range ts {
			count[t.name] += bytes.Count(b[:n], t.needle)
		}
	}
	return count
}

// lifeOfAWallet is each kind of command once.
var lifeOfAWallet = [][]string{
	{"patient", "status"},
	{"patient", "record", "add", "letter.txt"},
	{"patient", "contact", "add", "Dr Smith", "ADDRESS"},
	{"patient", "grant", "--to", "Dr Smith", "--all", "--for", "30d", "--yes"},
	{"patient", "contact", "verify", "Dr Smith", "--yes"},
	{"patient", "consent", "list"},
	{"patient", "audit"},
	{"patient", "doctor", "--json"},
	{"patient", "keyring", "status"},
	{"patient", "keyring", "passwd", "--new-passphrase-file", "new.passphrase"},
	{"patient", "keyring", "restore", "--words-file", "patient.words"},
	{"patient", "keyring", "move", "os"},
	{"patient", "status"},
	{"patient", "keyring", "move", "file"},
	{"patient", "revoke", "--all", "--yes"},
}

// Promise 1: no secret is in an argument, a variable, an output, the report of a
// crash, or any file of the home and of the folder for temporary files, but in
// those that the person named for it. What is left of them in the process's own
// memory at the end of each command is counted and reported, and judged by nobody.
func TestSecretsStayInside(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	h := newHousehold(t)
	h.write("letter.txt", "Penicillin: anaphylaxis, 2009")
	h.write("new.passphrase", "another horse entirely\n")
	h.more = []string{envKeyring + "=file"}
	h.run("patient", "init", "--name", "Maria", "--new-ledger", "--words-file", "patient.words")
	h.write("clinic.passphrase", "correct horse of clinic\n")
	address := strings.TrimSpace(h.run("clinic", "init", "--name", "Dr Smith", "--words-file", "clinic.words"))
	h.more = nil
	ts := traces(t, h.path("patient.words"), "correct horse of patient", "another horse entirely")
	named := []string{"patient.words", "patient.passphrase", "new.passphrase"}

	inFiles := func(after string) {
		t.Helper()
		err := filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			if f := found(ts, append(b, path...)); len(f) > 0 && !slices.Contains(named, filepath.Base(path)) {
				t.Errorf("after %s: %s holds %v", after, path, f)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	inFiles("init")
	table := [][]string{{"command"}}
	for _, x := range ts[:len(ts)-1] {
		table[0] = append(table[0], x.name)
	}
	for _, args := range lifeOfAWallet {
		args = slices.Clone(args)
		for i := range args {
			if args[i] == "ADDRESS" {
				args[i] = address
			}
		}
		name := strings.Join(args[1:min(3, len(args))], " ")
		out := h.paused(func(pid int) {
			for _, file := range []string{"cmdline", "environ"} {
				b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
				if err != nil {
					t.Fatal(err)
				}
				if f := found(ts, b); len(f) > 0 {
					t.Errorf("%s: %s holds %v", name, file, f)
				}
			}
			count := copies(t, ts, pid)
			row := []string{name}
			for _, x := range table[0][1:] {
				row = append(row, fmt.Sprint(count[x]))
			}
			table = append(table, row)
		}, args...)
		if f := found(ts, out); len(f) > 0 {
			t.Errorf("%s prints %v", name, f)
		}
		inFiles(name)
		if name == "keyring passwd" { // the variable names the old file
			if err := os.Rename(h.path("new.passphrase"), h.path("patient.passphrase")); err != nil {
				t.Fatal(err)
			}
		}
	}

	for apart, where := range map[string]string{"": "checkClock", "yes": "testApp.func"} {
		cmd := h.command("patient", "grant", "--to", "Dr Smith", "--all", "--for", "30d", "--yes")
		cmd.Env = append(cmd.Env, testCrash+"="+h.path("patient.words"), testApart+"="+apart, "GOTRACEBACK=all")
		out, err := cmd.CombinedOutput()
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != cli.ExitUnexpected {
			t.Errorf("crash: %v", err)
		}
		if f := found(ts, out); len(f) > 0 || bytes.Contains(out, []byte("0x")) {
			t.Errorf("a crash prints %v\n%s", f, out)
		}
		if !bytes.Contains(out, []byte("error: carekey is broken: string")) || !bytes.Contains(out, []byte(where)) {
			t.Errorf("a crash says\n%s", out)
		}
		inFiles("a crash")
	}

	for _, row := range table {
		line := fmt.Sprintf("memory: %-18s", row[0])
		for _, cell := range row[1:] {
			line += fmt.Sprintf(" %18s", cell)
		}
		t.Log(line)
	}
}

// Promise 1: a screen that is locked has in its memory nothing of the key, of the passphrase
// and of what it showed, and opens again where it was. A wrong passphrase does not end it, and
// what is typed too early is not to be seen.
func TestLockedScreenHoldsNothing(t *testing.T) {
	s := newScreens(t)
	const title, passphrase = "Quetiapine since the winter", "a horse of Maria's own"
	s.file("new.passphrase", passphrase+"\n")
	s.file("p", "p\n")
	s.env = append(s.env, envPassphrase+"="+filepath.Join(s.work, "p"))
	s.run("patient", "keyring", "passwd", "--new-passphrase-file", filepath.Join(s.work, "new.passphrase"))
	s.env = append(s.env, envPassphrase+"="+filepath.Join(s.work, "new.passphrase"))
	s.run("patient", "record", "add", "--title", title, s.file("letter.txt", "Since November, 50 mg"))
	ts := append(traces(t, filepath.Join(s.work, "w"), passphrase), trace{"title", []byte(title)}, trace{"key, most of its text", nil})
	ts[len(ts)-1].needle = ts[1].needle[:40]

	s.env = append(s.env, envPassphrase+"=", "TERM=xterm-256color", testSeen+"=1")
	p := sit(t, s.env, true, "patient")
	p.until("Passphrase of your carekey wallet: ")
	p.press(passphrase + "\r")
	p.until("Home")
	p.press("2")
	p.until(title)
	open := copies(t, ts, p.cmd.Process.Pid)
	if open["title"] == 0 || open["key, most of its text"] == 0 {
		t.Errorf("while it is open: %v", open)
	}
	p.press("L")
	p.until("Enter asks for the passphrase")
	p.until("Enter goes on, q and enter ends: ")
	for name, n := range copies(t, ts, p.cmd.Process.Pid) {
		if n > 0 {
			t.Errorf("locked, the process has %d times: %s", n, name)
		}
	}
	p.press("\r")
	p.until("Passphrase of your carekey wallet: ")
	p.press("marlin\r")
	p.until("error: the passphrase does not open")
	p.until("Enter tries again, q and enter ends: ")
	from := len(p.screen)
	p.press(passphrase + "\r")
	p.until("Passphrase of your carekey wallet: ")
	p.press(passphrase + "\r")
	p.until(`\[2 Records\]`)
	p.until(title)
	if bytes.Contains(p.screen[from:], []byte(passphrase)) {
		t.Error("a passphrase that was typed too early is shown")
	}
	p.press("q")
	if code := p.end(); code != 0 {
		t.Errorf("exit %d: %s", code, p.screen)
	}
}
