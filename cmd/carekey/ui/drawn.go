package ui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/carekey/carekey/cmd/cli"
)

// What a frame draws; what keys do to it is in frame.go.

func (m *frame) View() string {
	w := m.window
	if w.width <= 0 || m.err != nil || m.away { // nothing is drawn before the size is known, and nothing after the end
		return ""
	}
	sh := m.seen()
	m.layOut(sh, sh.body)
	m.follow(sh)
	height, above := m.room()
	var lines []string
	if above == 3 {
		lines = append(lines, m.placeLine())
	}
	if above > 0 {
		lines = append(lines, m.titleLine(sh))
	}
	if above == 3 {
		lines = append(lines, "")
	}
	cursor := sh.cursor
	lines = append(lines, m.joined(sh, sh.body.draw(m.style, sh.top, height, cursor, sh.marked), height)...)
	for len(lines) < above+height {
		lines = append(lines, "")
	}
	if above == 3 {
		lines = append(lines, m.noteLine(sh))
	}
	switch {
	case sh.asked != nil:
		prompt := m.promptLines(sh)
		m.reads(sh)
		m.unseen(sh, prompt)
		lines = append(lines, prompt...)
		lines = lines[max(0, len(lines)-w.height):]
	case above > 0:
		lines = append(lines, m.keyLine(sh))
	}
	return joinLines(lines)
}

func (m *frame) placeLine() string {
	words := m.placeWords()
	words[m.at] = m.style.bold(words[m.at])
	return fit(strings.TrimRight(strings.Join(words, ""), " "), m.window.width)
}

// titleLine is what the page is, and of when.
func (m *frame) titleLine(sh *level) string {
	when := cli.Clean(sh.page.AsOf)
	if when == "" && !sh.came.IsZero() {
		when = "as of " + sh.came.Local().Format("15:04")
	}
	switch {
	case sh.busy():
		when = "working ..."
	case sh.asked != nil:
		when = ""
	case sh.far != "":
		when = sh.far
	case sh.stop != nil:
		when = strings.TrimPrefix(when+", asking ...", ", ")
	}
	title := cli.Clean(sh.page.Title)
	if note := m.noted(sh); note != "" && m.window.height < 10 { // which has no line of its own
		title, when = note, ""
	}
	if room := m.window.width - cli.Columns(when) - len(gap); room > 8 && when != "" {
		title = pad(fit(title, room), room)
		return m.style.bold(title) + gap + m.style.faint(when)
	}
	return m.style.bold(fit(title, m.window.width))
}

// noteLine is what is searched, what there is to say, and how far down the page one is.
func (m *frame) noteLine(sh *level) string {
	left, right := m.noted(sh), ""
	if height, _ := m.room(); sh.body.height > height {
		right = fmt.Sprintf("line %d-%d of %d", sh.top+1, min(sh.top+height, sh.body.height), sh.body.height)
	}
	room := m.window.width - cli.Columns(right)
	if room < 0 {
		room, right = m.window.width, ""
	}
	if right == "" {
		return fit(left, room)
	}
	return pad(fit(left, max(0, room-1)), room) + m.style.faint(right)
}

// noted is what is searched, what there is to say, and how much is marked.
func (m *frame) noted(sh *level) string {
	left, apart := m.note, "    "
	if m.window.width < 40 {
		apart = "  "
	}
	if b := sh.body; b.search != "" || m.typing {
		search := cli.Clean(b.search)
		if m.typing {
			search += "_"
		}
		left = fmt.Sprintf("search: %s%s%d found", search, apart, b.found())
		if m.window.width < 40 {
			left = fmt.Sprintf("%d found: %s", b.found(), search)
		}
	}
	if n := len(sh.marked); n > 0 {
		left = strings.TrimPrefix(left+fmt.Sprintf("%s%d marked", apart, n), apart)
	}
	return left
}

// keyLine is what can be done now, as far as there is room.
func (m *frame) keyLine(sh *level) string {
	if m.typing {
		return m.style.keysLine(m.window.width, "enter: keep    esc: all of them    up, down: move", "enter  esc")
	}
	var keys, spare []string // spare: what goes first where there is no room: ? tells it
	if sh.body.rows > 0 {
		keys = append(keys, "enter: open")
	}
	for i, k := range m.can(sh) {
		keys = append(keys, k.Key+": "+k.Word)
		if i > 0 {
			spare = append([]string{k.Key + ": " + k.Word}, spare...)
		}
	}
	if m.marks(sh) != "" {
		keys = append(keys, "space: mark")
	}
	if sh.body.tables() {
		keys = append(keys, "/: search")
	}
	if sh.view.Load != nil && sh.far == "" {
		keys = append(keys, "r: again")
	}
	switch {
	case len(m.stack) > 1 && sh.far != "":
		keys = append(keys, "esc: stop")
	case len(m.stack) > 1:
		keys = append(keys, "esc: back")
	}
	keys = append(keys, "?: keys", "q: end")
	spare = append(append([]string{"r: again", "space: mark"}, spare...), "/: search")
	long := strings.Join(keys, "    ")
	if cli.Columns(long) > m.window.width {
		long = strings.Join(keys, "  ")
	}
	for len(keys) > 2 && cli.Columns(long) > m.window.width {
		at := len(keys) - 3
		if len(spare) > 0 {
			at, spare = slices.Index(keys, spare[0]), spare[1:]
		}
		if at >= 0 {
			keys = slices.Delete(keys, at, at+1)
			long = strings.Join(keys, "  ")
		}
	}
	return m.style.keysLine(m.window.width, long, "?: keys  q: end")
}

// found is how many rows the search lets through.
func (b *body) found() (n int) {
	for i := range b.pieces {
		n += len(b.pieces[i].shown)
	}
	return n
}

// helpView is all keys.
func (m *frame) helpView() *View {
	rows := cli.Rows{
		{fmt.Sprintf("1 to %d", len(m.Places)), "go to a place of the first line"},
		{"up, down, k, j", "move by a line; page up, page down, home, end: further"},
		{"enter, esc", "open what is under the cursor; go back (also right, left)"},
	}
	if slices.ContainsFunc(m.Keys, func(k Lead) bool { return k.Many }) {
		rows.Add("space", "mark a row, for a key that takes several; or a page down")
	} else {
		rows.Add("space", "a page down")
	}
	for i, k := range m.Keys {
		if i > 0 && m.Keys[i-1].Key == k.Key { // the same for another noun
			rows[len(rows)-1][1] += "; " + k.Does
		} else {
			rows.Add(k.Key, k.Does)
		}
	}
	rows = append(rows, cli.Rows{
		{"/", "search lists: words that are all in a row"},
		{"r", "look again"},
		{"L", fmt.Sprintf("lock: begin anew without the key; after %s by itself", inMinutes(m.Idle))},
		{"q, ctrl-Z", "end; stop with the key in memory: fg locks if it is late"},
		{"mouse", "wheel: move; click: take a row, again: open it"},
	}...)
	p := &Page{Title: "Keys"}
	p.Say(strings.TrimSuffix(rows.Text(""), "\n"))
	if m.Locked != "" {
		p.Say("\n" + m.Locked)
	}
	return &View{Title: p.Title, Known: func() *Page { return p }}
}

func inMinutes(d time.Duration) string {
	if d == time.Minute {
		return "a minute"
	}
	return fmt.Sprintf("%d minutes", int(d/time.Minute))
}
