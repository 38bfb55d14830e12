package ui

import (
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/charmbracelet/x/ansi"
)

// A wide terminal shows beside a list what is known of the row under the cursor. It is made of
// what the list was made of: to move the cursor asks nobody and opens nothing.

const (
	wide        = 120   // columns from which on there is room for both
	apart       = " | " // what stands between the two
	besideLeast = 18    // columns that a Title or a Text of the list needs, if it is that long
)

// beside is what stands beside a row, in lines.
type beside struct {
	of         *piece
	row        int
	height     int // of the window in which it was made: it goes on at most so far
	text, keys []string
}

// halves are the columns that a page has, and those beside it, 0 if nothing is there.
func (m *frame) halves(sh *level) (page, aside int) {
	if m.window.width < wide || m.window.height < 10 || sh.asked != nil || !sh.page.asides() {
		return m.window.width, 0
	}
	aside = m.window.width * 2 / 5
	return m.window.width - aside - len(apart), aside
}

// asides reports whether there is anything to stand beside rows.
func (p *Page) asides() bool {
	for _, s := range p.Sections {
		if s.Table != nil && s.Table.Of != "" && s.Table.Aside != nil {
			return true
		}
	}
	return false
}

// aside is what stands beside the row under the cursor, at most so many lines; nil where that
// row is not seen. What has no room is said to be missing, and the keys stay.
func (m *frame) aside(sh *level, width, height int) []string {
	p, row, ok := sh.body.row(sh.cursor)
	if !ok || p.table.Aside == nil || m.heads(sh) {
		return nil
	}
	b := &sh.beside
	if b.of != p || b.row != row || b.height < m.window.height {
		text, keys := p.table.Aside(row)
		*b = beside{of: p, row: row, height: m.window.height}
		most := width * (m.window.height + 1)
		for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
			for _, line := range Wrap(fit(cli.Clean(line), most), width) {
				b.text = append(b.text, m.style.prose(line, false))
			}
			if len(b.text) > m.window.height { // the rest has no room
				break
			}
		}
		for _, line := range Wrap(fit(cli.Clean(keys), most), width) {
			b.keys = append(b.keys, m.style.faint(line))
		}
	}
	text := b.text
	keys := b.keys[:min(len(b.keys), height/2)]
	if room := max(1, height-1-len(keys)); len(text) > room {
		text = append(text[:room-1:room-1], m.style.faint("... (more than has room here)"))
	}
	return append(append(text[:len(text):len(text)], ""), keys...)
}

// joined puts what stands beside a page there.
func (m *frame) joined(sh *level, lines []string, height int) []string {
	width, other := m.halves(sh)
	if other == 0 {
		return lines
	}
	aside := m.aside(sh, other, height)
	for n := range height {
		if n == len(lines) {
			lines = append(lines, "")
		}
		right := ""
		if n < len(aside) {
			right = aside[n]
		}
		left := lines[n] + spaces(width-cli.Columns(ansi.Strip(lines[n])))
		lines[n] = strings.TrimRight(left+apart+right, " ")
	}
	return lines
}
