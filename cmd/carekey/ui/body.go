package ui

import (
	"slices"
	"strings"
	"sync"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/text"
)

// How a page becomes lines. What takes as long as it has rows is done once, where it is
// loaded, or when its width changes: a frame makes no more rows than it shows.

// prepared is a table whose cells are cleaned and measured, once it is needed: it is that of
// every copy of a page, whichever goroutine shows it.
type prepared struct {
	*Table
	once    sync.Once
	columns []Column
	rows    [][]cell
	widths  []int
	folded  []string // of each row, what is searched
}

// prepare is done before a page is shown, in the goroutine that loads it.
func (p *Page) prepare() {
	for _, s := range p.Sections {
		if s.ready != nil {
			s.ready.once.Do(s.ready.make)
		}
	}
}

func (r *prepared) make() {
	r.columns, r.rows, r.widths = r.cells()
	r.folded = make([]string, len(r.rows))
	var b strings.Builder
	for i, row := range r.rows {
		b.Reset()
		for _, c := range row {
			b.WriteString(c.text)
			b.WriteByte(' ')
		}
		r.folded[i] = text.Fold(b.String())
	}
}

// laid is a table in a width.
type laid struct {
	*prepared
	keep   []int // columns that are shown
	widths []int
	above  []string // what is the same in every row, and the columns' names
}

// mark is how many columns stand before what a row says, where one can be under the cursor.
const mark = 2

// lay finds out how the columns have room, the less important ones none if need be. Of what may
// be long so many columns are left at least.
func (t *prepared) lay(width, least int) *laid {
	if t.Of != "" {
		width = max(1, width-mark)
	}
	keep, says := same(t.columns, t.rows, width)
	l := &laid{prepared: t, keep: keep}
	if says != "" {
		l.above = Wrap(strings.TrimSuffix(says, "\n"), width)
	}
	for {
		columns := pick(t.columns, l.keep)
		l.widths = pick(t.widths, l.keep)
		if total(l.widths) <= width || shrink(columns, l.widths, width, least) {
			break
		}
		if len(columns) == 1 {
			break
		}
		l.keep = slices.Delete(slices.Clone(l.keep), leastOf(columns), leastOf(columns)+1)
	}
	if columns := pick(t.columns, l.keep); slices.ContainsFunc(columns, func(c Column) bool { return c.name != "" }) {
		l.above = append(l.above, l.text(names(columns), width))
	}
	for i, line := range l.above {
		if t.Of != "" {
			l.above[i] = spaces(mark) + line
		}
	}
	return l
}

// leastOf is the column that is missed least: the last word, then the last text but what a
// row is known by, then what it is called by.
func leastOf(columns []Column) int {
	known := slices.IndexFunc(columns, Column.gives)
	for _, k := range []kind{ofWords, ofTexts, ofTitles, ofKeys} {
		for j := len(columns) - 1; j >= 0; j-- {
			if columns[j].kind == k && j != known {
				return j
			}
		}
	}
	return 0
}

func (l *laid) text(cells []cell, width int) string {
	var b strings.Builder
	line(&b, cells, l.widths)
	return fit(b.String(), width)
}

// row is the line of a row, in a width.
func (l *laid) row(i, width int) string { return l.text(pick(l.rows[i], l.keep), width) }

// piece is a section in lines.
type piece struct {
	at    int      // its first line
	lines []string // of a text, or above the rows of a table
	table *laid    // nil: a text
	shown []int    // its rows that the search lets through
	first int      // of them, its place among all of the page that lead on; -1 if they do not
}

func (p *piece) height() int { return len(p.lines) + len(p.shown) }

// body is a page in lines of a width.
type body struct {
	page   *Page
	width  int
	tall   int // lines that are seen at once, for what is laid out
	search string
	pieces []piece
	height int // in lines
	rows   int // that lead on
}

// lay makes lines of a page, which is prepared. Of what may be long in its tables so many
// columns are left at least, rather than all that is short; tall is how many lines are seen at
// once.
func lay(p *Page, width, tall, least int, search string) *body {
	b := &body{page: p, width: width, tall: tall}
	for i := range p.Sections {
		s := &p.Sections[i]
		switch {
		case s.Laid != nil:
			lines := slices.Clone(s.Laid(width, tall))
			for i, line := range lines {
				lines[i] = fit(line, width)
			}
			b.pieces = append(b.pieces, piece{lines: lines, first: -1})
		case s.Table == nil:
			b.pieces = append(b.pieces, piece{lines: Wrap(s.Text, min(width, cli.MaxProse)), first: -1})
		default:
			t := s.ready.lay(width, least)
			b.pieces = append(b.pieces, piece{table: t, lines: t.above})
		}
	}
	return b.find(search)
}

// find lets through the rows that have all words of a search.
func (b *body) find(search string) *body {
	words := strings.Fields(text.Fold(search))
	narrower := strings.HasPrefix(search, b.search) // what was let through before is looked at only
	b.search = search
	b.height, b.rows = 0, 0
	for i := range b.pieces {
		p := &b.pieces[i]
		p.at, p.first = b.height, -1
		if t := p.table; t != nil {
			if p.shown == nil || !narrower {
				p.shown = make([]int, len(t.rows))
				for j := range p.shown {
					p.shown[j] = j
				}
			}
			if len(words) > 0 {
				p.shown = slices.DeleteFunc(p.shown, func(row int) bool {
					return slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(t.folded[row], w) })
				})
			}
			if t.Of != "" {
				p.first = b.rows
				b.rows += len(p.shown)
			}
		}
		b.height += p.height()
	}
	return b
}

// lies reports whether the lines are those for a size.
func (b *body) lies(width, tall int) bool {
	return b.width == width && (b.tall == tall || !slices.ContainsFunc(b.page.Sections, func(s Section) bool { return s.Laid != nil }))
}

// tables reports whether there is anything to search.
func (b *body) tables() bool {
	return slices.ContainsFunc(b.pieces, func(p piece) bool { return p.table != nil })
}

// row is a row that leads on, by its place among them.
func (b *body) row(n int) (p *piece, row int, ok bool) {
	for i := range b.pieces {
		if p := &b.pieces[i]; p.first >= 0 && n >= p.first && n < p.first+len(p.shown) {
			return p, p.shown[n-p.first], true
		}
	}
	return nil, 0, false
}

// called is what that row is.
func (b *body) called(n int) (of, id string) {
	p, row, ok := b.row(n)
	if !ok {
		return "", ""
	}
	return p.table.Of, p.table.ID(row)
}

// line is where that row stands.
func (b *body) line(n int) int {
	p, _, ok := b.row(n)
	if !ok {
		return 0
	}
	return p.at + len(p.lines) + n - p.first
}

// at is the row that stands on a line, or -1.
func (b *body) at(line int) int {
	for i := range b.pieces {
		if p := &b.pieces[i]; p.first >= 0 && line >= p.at+len(p.lines) && line < p.at+p.height() {
			return p.first + line - p.at - len(p.lines)
		}
	}
	return -1
}

// stands is the place of a row of a piece among all that lead on, or -1 if a search hides it.
func (b *body) stands(p *piece, row int) int {
	if p == nil || p.first < 0 {
		return -1
	}
	if n, ok := slices.BinarySearch(p.shown, row); ok {
		return p.first + n
	}
	return -1
}

// place is the row of that noun and id, or -1; of several, as of accesses to a consent, the
// nearest one.
func (b *body) place(of, id string, near int) int {
	found := -1
	for i := range b.pieces {
		p := &b.pieces[i]
		if p.first < 0 || p.table.Of != of {
			continue
		}
		for n, row := range p.shown {
			if at := p.first + n; p.table.ID(row) == id && (found < 0 || distance(at, near) < distance(found, near)) {
				found = at
			}
		}
	}
	return found
}

func distance(x, y int) int { return max(x-y, y-x) }

// draw is so many lines from top on; cursor is the row under it, and some are marked.
func (b *body) draw(s style, top, height, cursor int, marked []named) (lines []string) {
	for i := range b.pieces {
		p := &b.pieces[i]
		headed := p.table == nil && i+1 < len(b.pieces) && b.pieces[i+1].table != nil
		for n := max(0, top-p.at); n < p.height() && len(lines) < height; n++ {
			switch row := n - len(p.lines); {
			case row >= 0 && p.first < 0:
				lines = append(lines, p.table.row(p.shown[row], b.width))
			case row >= 0:
				lines = append(lines, b.drawRow(s, p, row, cursor, marked))
			case p.table != nil:
				lines = append(lines, s.faint(fit(p.lines[n], b.width)))
			default:
				lines = append(lines, s.prose(p.lines[n], headed && n == len(p.lines)-1))
			}
		}
	}
	return lines
}

// drawRow is a row that leads on.
func (b *body) drawRow(s style, p *piece, row, cursor int, marked []named) string {
	text := p.table.row(p.shown[row], max(1, b.width-mark))
	star := " "
	if slices.Contains(marked, named{p.table.Of, p.table.ID(p.shown[row])}) {
		star = "*"
	}
	if p.first+row != cursor {
		return fit(star+" "+text, b.width)
	}
	return fit(">"+star+s.current(text), b.width)
}

// prose is a line of a text: what heads a table, and what is wrong, stands out.
func (s style) prose(line string, heads bool) string {
	switch {
	case strings.HasPrefix(line, "error:"):
		return s.danger(line)
	case strings.HasPrefix(line, "warning:"), heads && strings.HasSuffix(line, ":"):
		return s.bold(line)
	}
	return line
}
