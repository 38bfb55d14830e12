package ui

import (
	"bufio"
	"io"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/charmbracelet/x/ansi"
)

// Table prints rows in columns. Cells are cleaned, so they may come from
// anybody.
type Table struct {
	Header []string // may be nil
	Rows   [][]string
}

// Add appends a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

const (
	gap     = "  "
	minimum = 8 // columns that a cell keeps when the table is cut to a width
)

// cell is a text and how many columns it takes.
type cell struct {
	text  string
	width int
}

// Write prints the table, one line per row, columns two spaces apart. If width
// is more than 0 the widest columns are cut until the lines fit, but none below
// 8 columns; ids should be short prefixes, or the table be printed without a
// width.
func (t *Table) Write(w io.Writer, width int) error {
	lines := make([][]cell, 0, len(t.Rows)+1)
	var widths []int
	add := func(texts []string) {
		cells := make([]cell, len(texts))
		for j, text := range texts {
			text = cli.Clean(text)
			cells[j] = cell{text, columns(text)}
			if j == len(widths) {
				widths = append(widths, 0)
			}
			widths[j] = max(widths[j], cells[j].width)
		}
		lines = append(lines, cells)
	}
	if t.Header != nil {
		add(t.Header)
	}
	for _, row := range t.Rows {
		add(row)
	}
	if width > 0 {
		shrink(widths, width)
	}

	out := bufio.NewWriter(w)
	for _, cells := range lines {
		blank := 0 // columns to leave before what follows, if anything does
		for j, c := range cells {
			if c.width > widths[j] {
				c.text = fit(c.text, widths[j])
				c.width = columns(c.text)
			}
			text := strings.TrimRight(c.text, " ")
			if text != "" {
				out.WriteString(spaces(blank))
				out.WriteString(text)
				blank = 0
			}
			blank += len(c.text) - len(text) + widths[j] - c.width + len(gap)
		}
		out.WriteByte('\n')
	}
	return out.Flush()
}

// shrink takes columns from the widest until the sum fits.
func shrink(widths []int, width int) {
	total := len(gap) * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for ; total > width; total-- {
		widest := 0
		for j, w := range widths {
			if w > widths[widest] {
				widest = j
			}
		}
		if len(widths) == 0 || widths[widest] <= minimum {
			return
		}
		widths[widest]--
	}
}

// columns is how wide a text is. It counts as terminals do outside of the old East Asian
// encodings, whatever the locale, so that output is the same everywhere.
func columns(s string) int { return ansi.StringWidth(s) }

func pad(s string, width int) string { return s + spaces(width-columns(s)) }

func spaces(n int) string { return strings.Repeat(" ", max(0, n)) }
