package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/crash"
)

// maxLine bounds what is read as an answer.
const maxLine = 4096

// Line asks for a line of text and returns it without surrounding spaces. The question
// passes through cli.CleanText.
func Line(ctx context.Context, in, out *os.File, question string) (string, error) {
	if !Terminal(in, out) {
		return "", ErrNoTerminal
	}
	dropTypedAhead(in)
	if _, err := fmt.Fprintf(out, "%s ", cli.CleanText(question)); err != nil {
		return "", err
	}
	return readLine(ctx, in)
}

// readLine reads an answer byte by byte, so that nothing of the next answer is
// swallowed, and returns it without its end and surrounding spaces. The end of
// the input before any line is ErrCanceled. The read itself cannot be
// interrupted: when ctx ends, it is left behind.
func readLine(ctx context.Context, in io.Reader) (string, error) {
	type result struct {
		line string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		defer crash.Report()
		var line []byte
		for b := make([]byte, 1); ; {
			n, err := in.Read(b)
			if n == 1 && b[0] != '\n' && len(line) < maxLine {
				line = append(line, b[0])
			}
			switch {
			case n == 1 && b[0] == '\n':
				done <- result{line: strings.TrimSpace(string(line))}
				return
			case errors.Is(err, io.EOF):
				done <- result{err: ErrCanceled}
				return
			case err != nil:
				done <- result{err: err}
				return
			}
		}
	}()
	select {
	case r := <-done:
		return r.line, r.err
	case <-ctx.Done():
		return "", canceled(ctx)
	}
}
