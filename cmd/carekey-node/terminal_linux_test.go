package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
	"golang.org/x/sys/unix"
)

// onTerminal runs the program on a terminal of that size, types answer once asked
// was shown ("": nothing is), and returns what it printed, all that the terminal
// showed, and the exit code.
func onTerminal(t *testing.T, rows, columns uint16, asked, answer string, args ...string) (out, shown string, exit int) {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	fd := int(keys.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	}
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("carekey-node", args...)
	var stdout bytes.Buffer
	cmd.Env = append(os.Environ(), "TERM=xterm-256color")
	cmd.Stdin, cmd.Stderr, cmd.Stdout = tty, tty, &stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	var screen []byte
	for b := make([]byte, 4096); ; {
		n, err := keys.Read(b)
		screen = append(screen, b[:n]...)
		if asked != "" && bytes.Contains(screen, []byte(asked)) {
			asked = ""
			if _, err := keys.WriteString(answer); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil { // closed by its last user
			break
		}
	}
	cmd.Wait()
	return stdout.String(), string(screen), cmd.ProcessState.ExitCode()
}

// The first token asks and says who is shut out, and prints what a wallet takes; a code
// that does not fit the terminal is not shown in part.
func TestOperatorAtATerminal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	if out, err := exec.Command("carekey-node", "init", dir, "--name", "City ledger", "--url", "https://ledger.example:8443").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, shown, exit := onTerminal(t, 24, 80, "", "", "invite", dir)
	if exit != 0 || !strings.HasPrefix(out, "carekey-node1") || strings.ContainsAny(shown, "▀▄█") || !strings.Contains(shown, "-o FILE.png") {
		t.Errorf("exit %d, %q\n%s", exit, out, shown)
	}
	for line := range strings.Lines(shown) {
		if len(strings.TrimRight(line, "\r\n")) > 80 {
			t.Errorf("a line of %d columns: %s", len(line), line)
		}
	}
	if _, shown, exit = onTerminal(t, 60, 120, "", "", "invite", dir); exit != 0 || !strings.Contains(shown, "▀") {
		t.Errorf("exit %d, and no code on a large terminal:\n%s", exit, shown)
	}
	for _, no := range []string{"no\r", "\x03"} {
		out, shown, exit = onTerminal(t, 24, 80, "Close it?", no, "invite", dir, "--token", "clinic")
		if exit != cli.ExitRefused && exit != cli.ExitInterrupted || out != "" || !strings.Contains(shown, "All wallets that joined so far") {
			t.Errorf("%q: exit %d, %q\n%s", no, exit, out, shown)
		}
		if c, err := readConfig(dir); err != nil || len(c.Tokens) != 0 || c.Closed {
			t.Errorf("%q: %d tokens, %v", no, len(c.Tokens), err)
		}
	}
	out, shown, exit = onTerminal(t, 24, 80, "Close it?", "yes\r", "invite", dir, "--token", "clinic")
	if exit != 0 || !strings.HasPrefix(out, "carekey-node1") {
		t.Errorf("exit %d, %q\n%s", exit, out, shown)
	}
	for line := range strings.Lines(shown) {
		if !strings.Contains(line, "\x1b") && len(strings.TrimRight(line, "\r\n")) > 80 {
			t.Errorf("a line of %d columns: %s", len(line), line)
		}
	}
	if out, _, exit = onTerminal(t, 24, 80, "", "", "invite", dir, "--token", "surgery"); exit != 0 || out == "" {
		t.Errorf("the second: exit %d", exit)
	}
}
