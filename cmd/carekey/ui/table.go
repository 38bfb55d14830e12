package ui

import (
	"bufio"
	"io"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
)

// Table prints rows in columns. Cells are cleaned, so they may come from
// anybody.
type Table struct {
	Columns []Column
	Rows    [][]string                        // a cell for each column; the last ones may be left out
	Of      string                            // what the rows are, in a word such as "consent", if each leads to one; "" if none does
	ID      func(row int) string              // what that one is called, whatever else is; nil if Of is ""
	Aside   func(row int) (text, keys string) // what a wide screen shows beside a row that leads on, of what is known, and what keys do; nil: nothing
	Below   map[int]string                    // lines that stand below a row, by its index
	Cap     int                               // columns that a Text or Title has at most where there is no terminal; 0: any number
}

// Column is a column of a table: its name, and how its cells give way on a terminal.
type Column struct {
	name string
	kind kind
}

type kind int

const (
	ofKeys   kind = iota // never cut, always there
	ofTitles             // may be long, always there
	ofTexts              // may be long, said once if it is the same in every row
	ofWords              // never cut, said once if it is the same in every row
)

// Key is a column of what a row is called by, such as an id.
func Key(name string) Column { return Column{name, ofKeys} }

// Title is a column of what a person knows a row by. It has what room there is.
func Title(name string) Column { return Column{name, ofTitles} }

// Text is a column of what may be long. It shares the room with Titles.
func Text(name string) Column { return Column{name, ofTexts} }

// Word is a column of what is short: a date, a status, a number.
func Word(name string) Column { return Column{name, ofWords} }

func (c Column) gives() bool { return c.kind == ofTitles || c.kind == ofTexts }

// Add appends a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

const (
	gap      = "  "
	narrow   = 70 // a terminal with fewer columns has no room for a table
	least    = 11 // columns that a Title or a Text needs, if it is that long
	maxLines = 4  // of a cell
)

// cell is a text and how many columns it takes.
type cell struct {
	text  string
	width int
}

// Write prints the table, one line per row, columns two spaces apart. A width of more
// than 0 is a terminal's: what is the same in every row is said once above it then, an
// empty column is left out, and what is long is broken into up to 4 lines. Where that
// leaves a column too little, and in less than 70 columns unless all of it fits, it is a
// block for each row instead, with a line for each cell that is not empty.
func (t *Table) Write(w io.Writer, width int) error {
	out := bufio.NewWriter(w)
	columns, rows, widths := t.cells()
	lines := maxLines
	switch {
	case width > 0:
		keep, says := same(columns, rows, width)
		out.WriteString(says)
		if len(keep) < len(columns) {
			for i, row := range rows {
				rows[i] = pick(row, keep)
			}
			columns, widths = pick(columns, keep), pick(widths, keep)
		}
		if total(widths) > width && (width < narrow || !shrink(columns, widths, width, least)) {
			t.blocks(out, columns, rows, width)
			return out.Flush()
		}
	case t.Cap > 0:
		lines = 1
		for j, c := range columns {
			if c.gives() {
				widths[j] = min(widths[j], t.Cap)
			}
		}
	}
	if slices.ContainsFunc(columns, func(c Column) bool { return c.name != "" }) {
		line(out, names(columns), widths)
		out.WriteByte('\n')
	}
	for i, cells := range rows {
		row(out, cells, widths, lines)
		out.WriteString(t.Below[i])
	}
	return out.Flush()
}

// row writes a row in at most so many lines, as many as its longest cell takes.
func row(out *bufio.Writer, row []cell, widths []int, most int) {
	var broken [][]string // of the cells that take more than one
	for j, c := range row {
		if c.width > widths[j] && most > 1 {
			if broken == nil {
				broken = make([][]string, len(row))
			}
			broken[j] = Wrap(c.text, widths[j])
		}
	}
	if broken == nil {
		line(out, row, widths)
		out.WriteByte('\n')
		return
	}
	for n := range most {
		cells, rest := make([]cell, len(row)), false
		for j, lines := range broken {
			text := ""
			switch {
			case lines == nil && n == 0:
				cells[j] = row[j]
				continue
			case n == most-1 && n+1 < len(lines):
				text = lines[n] + " ..."
			case n < len(lines):
				text = lines[n]
			}
			rest = rest || n+1 < len(lines)
			cells[j] = cell{text, cli.Columns(text)}
		}
		line(out, cells, widths)
		out.WriteByte('\n')
		if !rest {
			return
		}
	}
}

// cells are the table's, cleaned, and how wide the columns would be.
func (t *Table) cells() (columns []Column, rows [][]cell, widths []int) {
	columns, widths = t.Columns, make([]int, len(t.Columns))
	for j, c := range columns {
		widths[j] = cli.Columns(c.name)
	}
	all := make([]cell, len(columns)*len(t.Rows))
	for i, row := range t.Rows {
		cells := all[i*len(columns) : (i+1)*len(columns)]
		for j, s := range row {
			s = cli.Clean(s)
			cells[j] = cell{s, cli.Columns(s)}
			widths[j] = max(widths[j], cells[j].width)
		}
		rows = append(rows, cells)
	}
	return columns, rows, widths
}

// names are those of columns.
func names(columns []Column) []cell {
	head := make([]cell, len(columns))
	for j, c := range columns {
		head[j] = cell{c.name, cli.Columns(c.name)}
	}
	return head
}

// same tells which columns are shown: those are not that say nothing, and not those of which
// it is said at once, in lines of a width, what is the same in every row.
func same(columns []Column, rows [][]cell, width int) (keep []int, says string) {
	var once []string
	var texts cli.Rows // what others wrote has a line of its own, in which it can imitate nothing
	for j, c := range columns {
		first, differs := "", false
		for i, row := range rows {
			if i == 0 {
				first = row[j].text
			} else if row[j].text != first {
				differs = true
				break
			}
		}
		switch {
		case len(rows) > 0 && !differs && first == "":
		case len(rows) > 1 && !differs && c.kind == ofTexts:
			texts.Add(c.name, strings.TrimSpace(first))
		case len(rows) > 1 && !differs && c.kind == ofWords:
			once = append(once, strings.TrimSpace(c.name+" "+first))
		default:
			keep = append(keep, j)
		}
	}
	if len(once)+len(texts) > 0 {
		says = strings.TrimSuffix("All alike: "+strings.Join(once, "; "), " ") + "\n" + texts.Text("  ")
	}
	return keep, cli.Wrap(says, min(width, cli.MaxProse))
}

// pick are the elements at some places.
func pick[T any](of []T, at []int) []T {
	out := make([]T, 0, len(at))
	for _, j := range at {
		out = append(out, of[j])
	}
	return out
}

// line writes one line, without its end. What is wider than its column is cut.
func line(out io.StringWriter, cells []cell, widths []int) {
	blank := 0 // columns to leave before what follows, if anything does
	for j, c := range cells {
		if c.width > widths[j] {
			c.text = fit(c.text, widths[j])
			c.width = cli.Columns(c.text)
		}
		text := strings.TrimRight(c.text, " ")
		if text != "" {
			out.WriteString(spaces(blank))
			out.WriteString(text)
			blank = 0
		}
		blank += len(c.text) - len(text) + widths[j] - c.width + len(gap)
	}
}

// blocks writes a block for each row.
func (t *Table) blocks(out *bufio.Writer, columns []Column, rows [][]cell, width int) {
	for i, row := range rows {
		if i > 0 || out.Buffered() > 0 { // what is alike stands above
			out.WriteByte('\n')
		}
		var r cli.Rows
		for j, c := range row {
			if s := strings.Trim(c.text, " "); s != "" {
				r.Add(columns[j].name, s)
			}
		}
		out.WriteString(cli.Wrap(r.Text(""), width))
		out.WriteString(t.Below[i])
	}
}

// shrink takes columns from the widest of those that give way, as long as they have more than
// least, until the lines fit, and reports whether they do.
func shrink(columns []Column, widths []int, width, least int) bool {
	for over := total(widths) - width; over > 0; over-- {
		widest := -1
		for j, c := range columns {
			if c.gives() && widths[j] > least && (widest < 0 || widths[j] > widths[widest]) {
				widest = j
			}
		}
		if widest < 0 {
			return false
		}
		widths[widest]--
	}
	return true
}

// total is how wide lines are.
func total(widths []int) int {
	n := len(gap) * (len(widths) - 1)
	for _, w := range widths {
		n += w
	}
	return n
}

func pad(s string, width int) string { return s + spaces(width-cli.Columns(s)) }

func spaces(n int) string { return strings.Repeat(" ", max(0, n)) }
