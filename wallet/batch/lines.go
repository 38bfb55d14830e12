package batch

import (
	"bufio"
	"bytes"
	"io"
	"unicode/utf8"
)

// MaxLine is the length of the longest line, in bytes without its end.
const MaxLine = 64 << 10

// lines reads lines of bounded length.
type lines struct {
	r   *bufio.Reader
	n   int  // lines read
	cut bool // the last one that was read had no line end
}

func newLines(r io.Reader) *lines {
	return &lines{r: bufio.NewReaderSize(r, MaxLine+2)}
}

// next returns the next line without its end, until it is called again. long
// says that the line was longer than MaxLine: then it holds its beginning.
func (l *lines) next() (line []byte, long bool, err error) {
	line, err = l.r.ReadSlice('\n')
	l.cut = err == io.EOF && len(line) > 0
	if l.cut {
		err = nil
	}
	if err != nil && err != bufio.ErrBufferFull {
		return nil, false, err
	}
	l.n++
	if err == bufio.ErrBufferFull {
		line = bytes.Clone(line[:MaxLine])
		for err == bufio.ErrBufferFull {
			_, err = l.r.ReadSlice('\n')
		}
		if err == io.EOF {
			err = nil
		}
		return line, true, err
	}
	line = bytes.TrimSuffix(line, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) > MaxLine {
		return line[:MaxLine], true, nil
	}
	return line, false, nil
}

// badByte finds the first byte of a line that no line has, and says what it is.
func badByte(line []byte) (at int, why string) {
	for i := 0; i < len(line); {
		r, n := utf8.DecodeRune(line[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			return i, "not UTF-8: save the file as UTF-8"
		case r == 0:
			return i, "a NUL byte"
		case r == '\r':
			return i, "a line end without a line feed"
		case r < ' ' && r != '\t' || r == 0x7f:
			return i, "a control character"
		}
		i += n
	}
	return -1, ""
}

// column is where in a line a byte is, in characters from 1.
func column(line []byte, at int) int {
	return 1 + utf8.RuneCount(line[:min(at, len(line))])
}
