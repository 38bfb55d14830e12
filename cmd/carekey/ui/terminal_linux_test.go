package ui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/sys/unix"
)

// pseudoTerminal opens a terminal of 80 by 24; person is the end of whoever sits
// before it.
func pseudoTerminal(t *testing.T) (person, terminal *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return person, terminal
}

// screen collects what the terminal was sent.
type screen struct {
	t      *testing.T
	person *os.File
	sent   []byte
	seen   int // sent[:seen] has been waited for
}

// until reads until text has been sent after what was waited for before.
func (s *screen) until(text string) {
	s.t.Helper()
	for b := make([]byte, 4096); ; {
		if i := bytes.Index(s.sent[s.seen:], []byte(text)); i >= 0 {
			s.seen += i + len(text)
			return
		}
		n, err := s.person.Read(b)
		if err != nil {
			s.t.Fatalf("waiting for %q: %v", text, err)
		}
		s.sent = append(s.sent, b[:n]...)
	}
}

func (s *screen) press(keys string) {
	s.t.Helper()
	if _, err := s.person.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

func attributes(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	a, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *a
}

func TestWordsOnTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm-256color")
	for _, end := range []string{"escape", "context", "signal"} {
		t.Run(end, func(t *testing.T) {
			person, terminal := pseudoTerminal(t)
			before := attributes(t, terminal)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- Words(ctx, terminal, terminal, numbered) }()

			s := &screen{t: t, person: person}
			s.until("24. " + numbered[23])
			switch end {
			case "escape":
				s.press("\x1b")
			case "context":
				cancel()
			case "signal":
				// This test lives on because the screen waits for the signal.
				if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			}
			s.until(leaveAlternate)
			if err := <-done; !errors.Is(err, ErrCanceled) || errors.Is(err, context.Canceled) != (end != "escape") {
				t.Errorf("ended with %v", err)
			}
			sent := string(s.sent)
			enter := strings.Index(sent, "\x1b[?1049h")
			wiped := strings.LastIndex(sent, wipe(24))
			last := strings.LastIndex(sent, numbered[0])
			leave := strings.Index(sent, leaveAlternate)
			if enter < 0 || strings.Index(sent, "word") < enter || wiped < last || leave < wiped {
				t.Errorf("entered at %d, last word at %d, wiped at %d, left at %d", enter, last, wiped, leave)
			}
			if attributes(t, terminal) != before {
				t.Error("terminal was not restored")
			}
		})
	}
}

// broken is the screen of the words until a key is pressed.
type broken struct{ wordsModel }

func (m broken) key(tea.KeyMsg, window) (broken, bool) { panic("broken with " + m.words[0]) }

// A screen that panics leaves the terminal as it was, with nothing on it, and the
// panic to the program.
func TestPanicOnTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm-256color")
	person, terminal := pseudoTerminal(t)
	before := attributes(t, terminal)
	done := make(chan any, 1)
	go func() {
		defer func() { done <- recover() }()
		_, err := secretScreen(t.Context(), terminal, terminal, broken{wordsModel{words: numbered, style: styled()}})
		t.Error("it went on:", err)
	}()
	s := &screen{t: t, person: person}
	s.until("24. " + numbered[23])
	s.press("x")
	s.until(leaveAlternate)
	if r := <-done; r != "broken with "+numbered[0] {
		t.Errorf("panic: %v", r)
	}
	if after := attributes(t, terminal); after != before {
		t.Errorf("terminal was %+v, is %+v", before, after)
	}
	if at := bytes.LastIndex(s.sent, []byte(leaveAlternate)); bytes.Contains(s.sent[at:], []byte(numbered[0])) || bytes.Contains(s.sent, []byte("panic")) {
		t.Errorf("the terminal shows %q", s.sent[at:])
	}
}

// Whatever ends a screen, it leaves the terminal as it was, with nothing of what was on it.
func TestScreenOnTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm-256color")
	for _, end := range []string{"q", "L", "context", "signal", "crash beside it"} {
		t.Run(end, func(t *testing.T) {
			person, terminal := pseudoTerminal(t)
			before := attributes(t, terminal)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() {
				_, err := newSample(12).Show(ctx, terminal, terminal, 0)
				done <- err
			}()
			s := &screen{t: t, person: person}
			s.until("as of 15:31")
			s.press("2")
			s.until("[2 Consents]")
			s.press("\x1b[B")
			s.until("> ")
			want := ErrCanceled
			switch end {
			case "q", "L":
				s.press(end)
			case "context":
				cancel()
			case "signal":
				if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil { // the screen waits for it
					t.Fatal(err)
				}
			default:
				PutRight()
			}
			s.until(leaveAlternate)
			if end == "crash beside it" {
				if attributes(t, terminal) != before {
					t.Error("terminal was not restored")
				}
				cancel() // else it would not come back
			}
			err := <-done
			switch {
			case end == "q" && err != nil, end == "L" && err != ErrLock, end != "q" && end != "L" && !errors.Is(err, want):
				t.Errorf("ended with %v", err)
			}
			sent := string(s.sent)
			enter, leave := strings.Index(sent, "\x1b[?1049h"), strings.Index(sent, leaveAlternate)
			last, wiped := strings.LastIndex(sent, "Dr Smith"), strings.LastIndex(sent[:leave], wipe(24))
			if enter < 0 || strings.Index(sent, "Dr Smith") < enter || wiped < last || leave < wiped {
				t.Errorf("entered at %d, last name at %d, wiped at %d, left at %d", enter, last, wiped, leave)
			}
			for _, mode := range []string{"1002", "1006", "2004"} { // mouse, and marks around what is pasted
				if on, off := strings.Count(sent, "\x1b[?"+mode+"h"), strings.Count(sent, "\x1b[?"+mode+"l"); on != 1 || off == 0 {
					t.Errorf("mode %s: %d times on, %d times off", mode, on, off)
				}
			}
			if strings.Contains(sent, "\x1b]") {
				t.Error("something was said to the terminal that is no screen")
			}
			if attributes(t, terminal) != before {
				t.Error("terminal was not restored")
			}
		})
	}
}

func TestConfirmAndChooseOnTerminal(t *testing.T) {
	for _, term := range []string{"xterm-256color", "dumb"} {
		t.Run(term, func(t *testing.T) {
			t.Setenv("TERM", term)
			person, terminal := pseudoTerminal(t)
			s := &screen{t: t, person: person}

			type result struct {
				value any
				err   error
			}
			done := make(chan result, 1)
			go func() {
				ok, err := Confirm(t.Context(), terminal, terminal, "pre\x1b[2Jview", "all \x1bof it", "Grant?", "")
				done <- result{ok, err}
			}()
			s.until("Grant?")
			if term == "dumb" {
				s.until("list all of it] ")
				s.press("l\r")
			} else {
				s.until("esc: stop")
				s.press("l")
			}
			s.until(`all \x1bof it`)
			s.until("Grant?")
			if term == "dumb" {
				s.until("list all of it] ")
				s.press("yes\r")
			} else {
				s.until("esc: stop")
				s.press("y")
			}
			if r := <-done; r.value != true || r.err != nil {
				t.Errorf("confirm: %v, %v", r.value, r.err)
			}
			if !strings.Contains(string(s.sent), `pre\x1b[2Jview`) {
				t.Error("the preview was not shown, or not cleaned")
			}

			go func() {
				indices, err := Choose(t.Context(), terminal, terminal, "Which?", fruit, false)
				done <- result{fmt.Sprint(indices), err}
			}()
			if term == "dumb" {
				s.until("stop): ")
				s.press("2\r")
			} else {
				s.until("esc: stop")
				s.press("\x1b[B\r")
			}
			if r := <-done; r.value != "[1]" || r.err != nil {
				t.Errorf("choose: %v, %v", r.value, r.err)
			}
			if term == "dumb" && bytes.IndexByte(s.sent, 0x1b) >= 0 {
				t.Errorf("escape sequence on a plain terminal: %q", s.sent)
			}
			if term == "dumb" {
				if err := Words(t.Context(), terminal, terminal, numbered); !errors.Is(err, ErrPlainTerminal) {
					t.Errorf("words: %v", err)
				}
			}
		})
	}
}

// What is asked on a plain terminal is broken between words too, which nothing else
// does there.
func TestPlainTerminalIsWrapped(t *testing.T) {
	t.Setenv("TERM", "dumb")
	person, terminal := pseudoTerminal(t)
	s := &screen{t: t, person: person}
	long := strings.TrimSpace(strings.Repeat("granulocytes ", 9)) // 116 columns
	items := []Item{{"X-ray", long}, {long, "images, 2026-05-04"}, {"short", "labs"}}
	for _, c := range []struct {
		ask           func() error
		until, answer string
	}{
		{func() error { _, err := Choose(t.Context(), terminal, terminal, long, items, false); return err }, "stop): ", "1"},
		{func() error { _, err := Choose(t.Context(), terminal, terminal, long, items, true); return err }, "stop): ", "1"},
		{func() error { _, err := Confirm(t.Context(), terminal, terminal, "", "rest", long, ""); return err }, "of it] ", "n"},
		{func() error { _, err := Line(t.Context(), terminal, terminal, long); return err }, "granulocytes ", "1"},
		{func() error {
			_, err := Passphrase(terminal, terminal, "Passphrase", true, func([]byte) string { return "That is " + long })
			return err
		}, "Passphrase: ", "1"},
	} {
		done := make(chan error, 1)
		go func() { done <- c.ask() }()
		s.until(c.until)
		s.press(c.answer + "\r")
		if c.until == "Passphrase: " {
			s.until("once more: ")
			s.press(c.answer + "\r")
		}
		if err := <-done; err != nil && !errors.Is(err, ErrCanceled) {
			t.Error(err)
		}
	}
	words := 0
	for line := range strings.Lines(string(s.sent)) {
		if n := cli.Columns(strings.TrimRight(line, " \r\n")); n > 80 {
			t.Errorf("%d columns: %q", n, line)
		}
		words += strings.Count(line, "granulocytes")
	}
	if want := 9 * (3 + 3 + 1 + 1 + 1); words != want { // a title, a detail and a label of each list
		t.Errorf("%d of %d words are whole:\n%s", words, want, s.sent)
	}
}

// Nobody agrees to what they have not seen: what was typed before the question was
// there does not answer it.
func TestConfirmIgnoresWhatWasTypedAhead(t *testing.T) {
	for _, term := range []string{"xterm-256color", "dumb"} {
		t.Run(term, func(t *testing.T) {
			t.Setenv("TERM", term)
			person, terminal := pseudoTerminal(t)
			s := &screen{t: t, person: person}
			s.press("y\r")
			s.until("y\r\n") // its echo: it waits to be read
			done := make(chan bool, 1)
			go func() {
				ok, err := Confirm(t.Context(), terminal, terminal, "preview", "", "Grant?", "")
				if err != nil {
					t.Error(err)
				}
				done <- ok
				fmt.Fprint(terminal, "[y/N] esc: stop") // where it was answered before it stood there
			}()
			if term == "dumb" {
				s.until("[y/N] ")
				s.press("n\r")
			} else {
				s.until("esc: stop")
				s.press("n")
			}
			if <-done {
				t.Error("what was typed before the question answered it")
			}
		})
	}
}

func TestPassphraseOnTerminal(t *testing.T) {
	person, terminal := pseudoTerminal(t)
	before := attributes(t, terminal)
	s := &screen{t: t, person: person}
	type result struct {
		passphrase []byte
		err        error
	}
	done := make(chan result, 1)
	ask := func(confirm bool) {
		p, err := Passphrase(terminal, terminal, "Pass\x1bphrase", confirm, func([]byte) string { return "weak\nor not" })
		done <- result{p, err}
	}

	go ask(false)
	s.until(": ")
	s.press("hunter2\r")
	if r := <-done; string(r.passphrase) != "hunter2" || r.err != nil {
		t.Errorf("got %q, %v", r.passphrase, r.err)
	}

	go ask(true)
	s.until(": ")
	s.press("\r")
	s.until("empty.\r\nPass\\x1bphrase: ")
	s.press("hunter2\r")
	s.until("once more: ")
	s.press("hunter3\r")
	s.until("same.\r\nPass\\x1bphrase: ")
	s.press("hunter4\r")
	s.until("once more: ")
	s.press("hunter4\r")
	if r := <-done; string(r.passphrase) != "hunter4" || r.err != nil {
		t.Errorf("got %q, %v", r.passphrase, r.err)
	}

	go ask(true)
	for range tries {
		s.until("phrase: ")
		s.press("hunter5\r")
		s.until("once more: ")
		s.press("hunter6\r")
	}
	if r := <-done; r.passphrase != nil || !errors.Is(r.err, ErrPassphrasesDiffer) {
		t.Errorf("got %q, %v", r.passphrase, r.err)
	}

	go ask(true)
	s.until("phrase: ")
	s.press("hunt\x03")
	if r := <-done; r.passphrase != nil || !errors.Is(r.err, ErrCanceled) {
		t.Errorf("got %q, %v", r.passphrase, r.err)
	}

	// The signal reaches this test too, which lives on because Passphrase
	// has asked for it before it prompts.
	go ask(false)
	s.until("phrase: ")
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if r := <-done; r.passphrase != nil || !errors.Is(r.err, ErrCanceled) {
		t.Errorf("got %q, %v", r.passphrase, r.err)
	}
	if attributes(t, terminal) != before {
		t.Error("terminal was not restored")
	}
	if strings.Contains(string(s.sent), "hunt") || strings.Contains(string(s.sent), "\x1b") {
		t.Errorf("the terminal was sent %q", s.sent)
	}
}

// While nothing that is typed shows, no key leaves the shell such a terminal; control-C does not.
func TestHushOnTerminal(t *testing.T) {
	_, terminal := pseudoTerminal(t)
	before := attributes(t, terminal)
	end := Hush(terminal)
	got := attributes(t, terminal)
	if got.Lflag&unix.ECHO != 0 || got.Cc[unix.VSUSP] != 0 || got.Cc[unix.VQUIT] != 0 || got.Lflag&unix.ISIG == 0 || got.Cc[unix.VINTR] != before.Cc[unix.VINTR] {
		t.Errorf("%+v", got)
	}
	if end(); attributes(t, terminal) != before {
		t.Error("terminal was not restored")
	}
}

// Starting the program says nothing to the terminal: no question about its
// colours goes out. The program started is this test.
func TestStartIsSilent(t *testing.T) {
	person, terminal := pseudoTerminal(t)
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "COLORTERM=truecolor")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	var sent []byte
	for b := make([]byte, 4096); ; {
		n, err := person.Read(b)
		sent = append(sent, b[:n]...)
		if err != nil { // EIO: nobody has the terminal open any more
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %q", err, sent)
	}
	if bytes.IndexByte(sent, 0x1b) >= 0 || !bytes.Contains(sent, []byte("PASS")) {
		t.Errorf("the terminal was sent %q", sent)
	}
}
