package batch

import (
	"bytes"
	"slices"
	"strings"
)

// cell is one cell of a CSV line.
type cell struct {
	text string
	at   int // byte in the line where it begins
}

// splitCSV splits a line into cells; why says what is wrong at byte bad.
func splitCSV(line []byte) (cells []cell, bad int, why string) {
	for at := 0; ; {
		start := at
		if at < len(line) && line[at] == '"' {
			var b strings.Builder
			at++
			for {
				q := bytes.IndexByte(line[at:], '"')
				if q < 0 {
					return nil, start, "a quotation mark without its end on the same line"
				}
				b.Write(line[at : at+q])
				at += q + 1
				if at == len(line) || line[at] != '"' {
					break
				}
				b.WriteByte('"')
				at++
			}
			if at < len(line) && line[at] != ',' {
				return nil, at, "something after the end of a quoted cell"
			}
			cells = append(cells, cell{b.String(), start})
		} else {
			end := bytes.IndexByte(line[at:], ',')
			if end < 0 {
				end = len(line) - at
			}
			text := line[at : at+end]
			if q := bytes.IndexByte(text, '"'); q >= 0 {
				return nil, at + q, "a quotation mark inside a cell that is not quoted"
			}
			cells = append(cells, cell{string(text), start})
			at += end
		}
		if at == len(line) {
			return cells, 0, ""
		}
		at++ // the comma
	}
}

// csvHeading is the columns that the first line names.
type csvHeading []string

// heading reads the first line.
func (p *parser) heading(line []byte) (csvHeading, bool) {
	cells, bad, why := splitCSV(line)
	if why != "" {
		p.problem(line, bad, "", "", why)
		return nil, false
	}
	if len(cells) == 1 {
		for sep, name := range map[string]string{";": "semicolons", "\t": "tabs"} {
			if strings.Contains(cells[0].text, sep) {
				p.problem(line, 0, "", "", "its cells are separated by "+name+": save it as CSV with commas, in UTF-8")
				return nil, false
			}
		}
	}
	var h csvHeading
	good := true
	for _, c := range cells {
		name := strings.TrimSpace(c.text)
		switch {
		case !slices.Contains(fieldNames, name):
			why := "no such column; there are " + strings.Join(fieldNames, ", ")
			if lower := strings.ToLower(name); slices.Contains(fieldNames, lower) {
				why = "no such column; it is written " + lower
			}
			p.problem(line, c.at, "", name, why)
			good = false
		case slices.Contains(h, name):
			p.problem(line, c.at, name, "", "this column is there twice")
			good = false
		}
		h = append(h, name)
	}
	return h, good
}

// csvRow turns a line into fields; ok is false if the line has none.
func (p *parser) csvRow(h csvHeading, line []byte) (f fields, ok bool) {
	cells, bad, why := splitCSV(line)
	if why != "" {
		p.problem(line, bad, "", "", why)
		return nil, false
	}
	if !slices.ContainsFunc(cells, func(c cell) bool { return strings.TrimSpace(c.text) != "" }) {
		return nil, false
	}
	if len(cells) != len(h) {
		at := len(line)
		if len(cells) > len(h) {
			at = cells[len(h)].at
		}
		p.problem(line, at, "", "", plural(len(cells), "cell", "cells")+" under "+plural(len(h), "column", "columns"))
		return nil, false
	}
	f = fields{}
	for i, c := range cells {
		if isFormula(c.text) {
			p.problem(line, c.at, h[i], c.text, formula)
			continue
		}
		text := strings.TrimSpace(c.text)
		if text == "" {
			continue
		}
		v := value{text: text, at: c.at}
		if isList(h[i]) {
			v.list = strings.Fields(text)
		}
		f[h[i]] = v
	}
	return f, true
}

// isFormula tells whether a spreadsheet would calculate a cell instead of showing
// it. A file that was made by a program and is opened by a person must not do
// anything, and no value of a row begins like that.
func isFormula(s string) bool { return s != "" && strings.ContainsRune("=+-@\t", rune(s[0])) }

const formula = "begins like a formula of a spreadsheet"
