package batch

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/text"
)

type value struct {
	text string   // of a list: its items with spaces between them
	list []string // of a list
	at   int      // byte in the line
}

type fields map[string]value

// sheet reads the rows of a file, CSV or JSON Lines, and hands each on as fields.
type sheet struct {
	columns []string                    // names of the fields that there are
	lists   []string                    // those of several values
	flags   []string                    // those that are yes or no
	object  string                      // what else is said of an object over several lines
	row     func(line []byte, f fields) // takes a row in which nothing is wrong so far

	l    *lines
	bad  LinesError
	rows int // good and bad

	begun     bool       // the heading, or the first row, was read
	head      csvHeading // nil: JSON Lines
	separated bool       // a line sep= was read
}

func (s *sheet) isList(field string) bool { return slices.Contains(s.lists, field) }

func (s *sheet) problem(line []byte, at int, field, value, why string) {
	s.bad.Add(Problem{Line: s.l.n, Column: column(line, at), Field: field, Value: shorten(value), Why: why})
}

// shorten keeps a value readable in a list of errors.
func shorten(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

func (s *sheet) read() error {
	for {
		line, long, err := s.l.next()
		if bad, ok := fault.As(err, text.ErrEncoding); ok {
			s.l.n++
			s.problem(nil, 0, "", "", fault.Get[string](bad, "why"))
			return nil
		}
		if err == io.EOF || err == nil && !s.line(line, long) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// line takes one line, of which long is only the beginning, and reports whether what is
// behind it means anything.
func (s *sheet) line(line []byte, long bool) bool {
	if !s.begun && s.l.n == 1 && (bytes.HasPrefix(line, []byte("PK\x03\x04")) || bytes.HasPrefix(line, []byte("\xd0\xcf\x11\xe0"))) {
		s.problem(line, 0, "", "", "this is no text but a file of a spreadsheet or an archive: save it as CSV, in UTF-8")
		return false
	}
	at, why := len(line), fmt.Sprintf("the line is longer than %d bytes", MaxLine)
	if !long {
		at, why = badByte(line)
	}
	if at >= 0 {
		s.problem(line, at, "", "", why)
		s.rows++
		return s.begun
	}
	if !s.begun {
		more, row := s.begin(line)
		if !row {
			return more
		}
	}
	before := s.bad.Total
	read := s.jsonRow
	if s.head != nil {
		read = s.csvRow
	}
	f, ok := read(line)
	if ok || s.bad.Total > before {
		s.rows++
	}
	if ok && s.rows > MaxRows {
		s.problem(line, 0, "", "", fmt.Sprintf("more than %d rows", MaxRows))
		return false
	}
	if ok && s.bad.Total == before {
		s.row(line, f)
	}
	return true
}

// begin takes a line before the first row. more reports whether what is behind it means
// anything, row that it is the first row itself.
func (s *sheet) begin(line []byte) (more, row bool) {
	trimmed := bytes.TrimSpace(line)
	if len(trimmed) == 0 {
		return true, false
	}
	if other, ok := separatorLine(line); ok && !s.separated {
		if s.separated = true; other != "" {
			name, known := separators[other]
			if !known {
				name = strconv.Quote(other)
			}
			s.problem(line, 0, "", "", separatedBy(name))
		}
		return other == "", false
	}
	switch {
	case trimmed[0] == '[':
		s.problem(line, bytes.IndexByte(line, '['), "", "", "a JSON list; a file is JSON Lines, one object on a line, or CSV")
		return false, false
	case string(trimmed) == "{":
		s.problem(line, bytes.IndexByte(line, '{'), "", "", "an object over several lines; a file is JSON Lines, one object on a line, or CSV"+s.object)
		return false, false
	case trimmed[0] == '{':
		s.begun = true
		return true, true
	}
	s.head, more = s.heading(line)
	s.begun = s.head != nil
	return more, false
}
