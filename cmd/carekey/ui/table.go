package ui

import (
	"bufio"
	"io"
	"math"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/mattn/go-runewidth"
	"github.com/rivo/uniseg"
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
				c.text = truncate(c.text, widths[j])
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

// measure counts columns as terminals do outside of the old East Asian
// encodings, whatever the locale, so that output is the same everywhere.
var measure = &runewidth.Condition{StrictEmojiNeutral: true}

// cut returns the longest beginning of s that is at most width columns wide, and how
// wide it is. A character takes as many columns as the first of its code points that
// takes any. Looking for the code points that belong together is most of what a list
// costs; between two of ASCII there is nothing to look for.
func cut(s string, width int) (string, int) {
	ascii := func(i int) bool { return i == len(s) || s[i] >= ' ' && s[i] <= '~' }
	used := 0
	for i := 0; i < len(s); {
		n, w := 1, 1
		if !ascii(i) || !ascii(i+1) {
			var character string
			character, _, _, _ = uniseg.FirstGraphemeClusterInString(s[i:], -1)
			n, w = len(character), 0
			for _, r := range character {
				if w = measure.RuneWidth(r); w > 0 {
					break
				}
			}
		}
		if used+w > width {
			return s[:i], used
		}
		i, used = i+n, used+w
	}
	return s, used
}

func columns(s string) int {
	_, n := cut(s, math.MaxInt)
	return n
}

func prefix(s string, width int) string {
	s, _ = cut(s, width)
	return s
}

func truncate(s string, width int) string {
	if columns(s) <= width {
		return s
	}
	if width <= len(ellipsis) {
		return prefix(s, width)
	}
	return prefix(s, width-len(ellipsis)) + ellipsis
}

func pad(s string, width int) string { return s + spaces(width-columns(s)) }

func spaces(n int) string { return strings.Repeat(" ", max(0, n)) }
