package batch

import (
	"bytes"
	"encoding/csv"
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/carekey/carekey/wallet/payload"
)

// cell is one cell of a CSV line.
type cell struct {
	text string
	at   int // byte in the line where it begins
}

// splitCSV splits a line into cells; why says what is wrong at byte bad.
func splitCSV(line []byte) (cells []cell, bad int, why string) {
	r := csv.NewReader(bytes.NewReader(line))
	texts, err := r.Read()
	if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
		at := wrong.Column - 1
		switch {
		case wrong.Err == csv.ErrBareQuote:
			return nil, at, "a quotation mark inside a cell that is not quoted"
		case at < len(line):
			return nil, at + 1, "something after the end of a quoted cell"
		}
		return nil, bytes.LastIndexByte(line, '"'), "a quotation mark without its end on the same line"
	}
	for i, text := range texts { // none of an empty line
		_, column := r.FieldPos(i)
		cells = append(cells, cell{text, column - 1})
	}
	return cells, 0, ""
}

// csvHeading is the columns that the first line names.
type csvHeading []string

// separators that are none here, and what they are called.
var separators = map[string]string{";": "semicolons", "\t": "tabs", "|": "bars"}

func separatedBy(name string) string {
	return "its cells are separated by " + name + ": save it as CSV with commas, in UTF-8"
}

// separatorLine reports whether a line is Excel's own "sep=,", which is no heading but
// names what is between cells; other is that, if it is no comma.
func separatorLine(line []byte) (other string, ok bool) {
	rest := strings.Trim(strings.Trim(string(line), " "), `"`)
	if len(rest) < 5 || !strings.EqualFold(rest[:4], "sep=") {
		return "", false
	}
	if rest = rest[4:]; strings.Trim(rest, ",") == "" {
		return "", true
	}
	return rest[:1], true
}

// heading reads the first line with a cell that is not empty; h is nil if this is none.
// A column whose heading is empty is one that no row may use.
func (s *sheet) heading(line []byte) (h csvHeading, good bool) {
	cells, bad, why := splitCSV(line)
	if why != "" {
		s.problem(line, bad, "", "", why)
		return nil, false
	}
	if blank(cells) {
		return nil, true
	}
	if len(cells) == 1 {
		for sep, name := range separators {
			if strings.Contains(cells[0].text, sep) {
				s.problem(line, 0, "", "", separatedBy(name))
				return nil, false
			}
		}
	}
	good = true
	for _, c := range cells {
		name := strings.TrimSpace(c.text)
		switch {
		case name == "":
		case !slices.Contains(s.columns, name):
			why := "no such column; there are " + strings.Join(s.columns, ", ")
			if lower := strings.ToLower(name); slices.Contains(s.columns, lower) {
				why = "no such column; it is written " + lower
			}
			s.problem(line, c.at, "", name, why)
			good = false
		case slices.Contains(h, name):
			s.problem(line, c.at, name, "", "this column is there twice")
			good = false
		}
		h = append(h, name)
	}
	return h, good
}

// blank reports whether all cells are empty.
func blank(cells []cell) bool {
	return !slices.ContainsFunc(cells, func(c cell) bool { return strings.TrimSpace(c.text) != "" })
}

// csvRow turns a line into fields; ok is false if the line has none. Spreadsheets leave
// out empty cells at the end of a row, or write some more: both are read.
func (s *sheet) csvRow(line []byte) (f fields, ok bool) {
	h := s.head
	cells, bad, why := splitCSV(line)
	if why != "" {
		s.problem(line, bad, "", "", why)
		return nil, false
	}
	if blank(cells) {
		return nil, false
	}
	count := payload.Counted(len(cells), "cell", "cells") + " under " + payload.Counted(len(h), "column", "columns")
	switch {
	case len(cells) > len(h) && !blank(cells[len(h):]):
		s.problem(line, cells[len(h)].at, "", "", count+": a cell with a comma in it is put into quotation marks")
		return nil, false
	case len(cells) < len(h) && s.l.cut:
		s.problem(line, len(line), "", "", count+" in the last line, which has no end: the file may have been cut off")
		return nil, false
	}
	f = fields{}
	for i, c := range cells[:min(len(cells), len(h))] {
		if h[i] == "" {
			if strings.TrimSpace(c.text) != "" {
				s.problem(line, c.at, "", c.text, "stands in a column without a heading")
			}
			continue
		}
		if isFormula(c.text) {
			s.problem(line, c.at, h[i], c.text, formula)
			continue
		}
		text := strings.TrimSpace(c.text)
		if text == "" {
			continue
		}
		v := value{text: text, at: c.at}
		if s.isList(h[i]) {
			v.list = strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == ',' || r == ';' })
		}
		f[h[i]] = v
	}
	return f, true
}

// isFormula reports whether a spreadsheet would calculate a cell instead of showing
// it. A file that was made by a program and is opened by a person must not do
// anything, and no value of a row begins like that.
func isFormula(s string) bool { return s != "" && strings.ContainsRune("=+-@\t", rune(s[0])) }

const formula = "begins like a formula of a spreadsheet"
