package ui

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
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
	if _, err := io.WriteString(out, cli.Wrap(cli.CleanText(question), cli.Prose(out))+" "); err != nil {
		return "", err
	}
	return readLine(ctx, in)
}

// readLine reads an answer byte by byte, so that nothing of the next answer is
// swallowed, and returns it without its end and surrounding spaces. The end of
// the input before any line is ErrCanceled. The read itself cannot be
// interrupted: when ctx ends, it is left behind.
func readLine(ctx context.Context, in io.Reader) (string, error) {
	line, err := cli.UnlessDone(ctx, func() (string, error) {
		var line []byte
		for b := make([]byte, 1); ; {
			n, err := in.Read(b)
			switch {
			case n == 1 && b[0] == '\n':
				return strings.TrimSpace(string(line)), nil
			case n == 1 && len(line) < maxLine:
				line = append(line, b[0])
			}
			if errors.Is(err, io.EOF) {
				return "", ErrCanceled
			}
			if err != nil {
				return "", err
			}
		}
	})
	if ctx.Err() != nil {
		err = canceled(ctx)
	}
	return line, err
}
