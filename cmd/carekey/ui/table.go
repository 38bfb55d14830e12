package ui

import (
	"io"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/mattn/go-runewidth"
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
	gap      = "  "
	minimum  = 8 // columns that a cell keeps when the table is cut to a width
	ellipsis = "..."
)

// Write prints the table, one line per row, columns two spaces apart. If width
// is more than 0 the widest columns are cut until the lines fit, but none below
// 8 columns; ids should be short prefixes, or the table be printed without a
// width.
func (t *Table) Write(w io.Writer, width int) error {
	lines := make([][]string, 0, len(t.Rows)+1)
	if t.Header != nil {
		lines = append(lines, t.Header)
	}
	lines = append(lines, t.Rows...)
	var widths []int
	clean := make([][]string, len(lines))
	for i, cells := range lines {
		clean[i] = make([]string, len(cells))
		for j, cell := range cells {
			clean[i][j] = cli.Clean(cell)
			if j == len(widths) {
				widths = append(widths, 0)
			}
			widths[j] = max(widths[j], columns(clean[i][j]))
		}
	}
	if width > 0 {
		shrink(widths, width)
	}

	var b strings.Builder
	for _, cells := range clean {
		line := ""
		for j, cell := range cells {
			if j > 0 {
				line += gap
			}
			line += pad(truncate(cell, widths[j]), widths[j])
		}
		b.WriteString(strings.TrimRight(line, " "))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
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

// measure counts columns as terminals do outside of the old East Asian
// encodings, whatever the locale, so that output is the same everywhere.
var measure = &runewidth.Condition{StrictEmojiNeutral: true}

func columns(s string) int { return measure.StringWidth(s) }

// prefix is the longest beginning of s that is at most width columns wide.
func prefix(s string, width int) string { return measure.Truncate(s, width, "") }

func truncate(s string, width int) string {
	if columns(s) <= width {
		return s
	}
	if width <= len(ellipsis) {
		return prefix(s, width)
	}
	return measure.Truncate(s, width, ellipsis)
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-columns(s)))
}
