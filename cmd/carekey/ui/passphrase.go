package ui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/carekey/carekey/cmd/cli"
	"golang.org/x/term"

	"github.com/carekey/carekey/crypto/fault"
)

// ErrPassphrasesDiffer says that a new passphrase was not typed twice the same,
// three times over.
const ErrPassphrasesDiffer fault.Code = "passphrases-differ"

const (
	maxPassphrase = 1024 // bytes
	tries         = 3    // at choosing a passphrase
)

// Passphrase asks for a passphrase without showing it. With confirm set it is
// being chosen: it is asked for twice, and an empty one is asked for again; what
// judge, if not nil, says of it is shown in between. Without confirm the answer may
// be empty. The caller wipes the result.
//
// Control-C, control-D on an empty line, and the signals that end a program
// (interrupt, terminate, hang-up) are ErrCanceled; the terminal is restored
// first, whatever happens.
func Passphrase(in, out *os.File, prompt string, confirm bool, judge func([]byte) string) (passphrase []byte, err error) {
	if !Terminal(in, out) {
		return nil, ErrNoTerminal
	}
	// Caught before the terminal is changed, so that no signal finds it so.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()

	fd := int(in.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, fmt.Errorf("hide input: %w", err)
	}
	defer func() {
		if e := term.Restore(fd, before); e != nil && err == nil {
			clear(passphrase)
			passphrase, err = nil, fmt.Errorf("restore terminal: %w", e)
		}
	}()

	prompt = cli.Clean(prompt)
	if !confirm {
		return hidden(ctx, in, out, prompt+": ")
	}
	for range tries {
		first, err := hidden(ctx, in, out, prompt+": ")
		if err != nil {
			return nil, err
		}
		if len(first) == 0 {
			io.WriteString(out, "It cannot be empty.\r\n")
			continue
		}
		if judge != nil {
			says := cli.Wrap(cli.CleanText(judge(first)), cli.Prose(out))
			io.WriteString(out, strings.ReplaceAll(says, "\n", "\r\n")+"\r\n")
		}
		second, err := hidden(ctx, in, out, prompt+", once more: ")
		if err != nil {
			clear(first)
			return nil, err
		}
		same := bytes.Equal(first, second)
		clear(second)
		if same {
			return first, nil
		}
		clear(first)
		io.WriteString(out, "The two were not the same.\r\n")
	}
	return nil, ErrPassphrasesDiffer
}

// hidden asks for one line on a terminal in raw mode, where control-C is a key
// and a line feed does not return the carriage. A read that a signal ends is
// left behind: the program is about to exit.
func hidden(ctx context.Context, in io.Reader, out io.Writer, prompt string) ([]byte, error) {
	if _, err := io.WriteString(out, prompt); err != nil {
		return nil, err
	}
	defer io.WriteString(out, "\r\n")
	line, err := cli.UnlessDone(ctx, func() ([]byte, error) { return hiddenLine(in) })
	if ctx.Err() != nil {
		err = ErrCanceled
	}
	return line, err
}

// hiddenLine reads keys up to enter, one byte at a time, so that nothing of what
// follows is swallowed. Backspace and control-U correct; escape sequences, as
// the arrow keys send them, and other control characters are dropped.
func hiddenLine(in io.Reader) (_ []byte, err error) {
	line := make([]byte, 0, maxPassphrase) // never grown: one copy to wipe
	defer func() {
		if err != nil {
			clear(line[:cap(line)])
		}
	}()
	var key [1]byte
	defer clear(key[:])
	const (
		text = iota
		escape
		sequence
	)
	state := text
	for {
		if _, err := io.ReadFull(in, key[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil, ErrCanceled
			}
			return nil, err
		}
		c := key[0]
		switch {
		case state == escape && (c == '[' || c == 'O'):
			state = sequence
			continue
		case state == sequence:
			if 0x40 <= c && c <= 0x7e {
				state = text
			}
			continue
		}
		state = text
		switch {
		case c == '\r' || c == '\n':
			return line, nil
		case c == 0x03, c == 0x04 && len(line) == 0:
			return nil, ErrCanceled
		case c == 0x7f || c == 0x08:
			_, n := utf8.DecodeLastRune(line)
			line = line[:len(line)-n]
		case c == 0x15:
			line = line[:0]
		case c == 0x1b:
			state = escape
		case c >= 0x20 && len(line) < maxPassphrase:
			line = append(line, c)
		}
	}
}
