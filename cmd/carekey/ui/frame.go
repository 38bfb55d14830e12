package ui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/crash"
	tea "github.com/charmbracelet/bubbletea"
)

// frame is the screen as Bubble Tea takes it: a stack of pages, of which the last is seen.
type frame struct {
	*Screen
	style  style
	ctx    context.Context
	window window
	at     int // place, of the first page above home
	stack  []*level
	typing bool // what is searched
	note   string
	keyed  time.Time // when the last key came
	ended  bool
	err    error      // how
	cut    bool       // something was being done then
	serial int        // of loads
	away   bool       // stopped: nothing is drawn before it is known whether it locks
	acting sync.Mutex // is held by what is done

	loading sync.RWMutex // is read-locked by what loads
}

// level is a page on the stack.
type level struct {
	view   *View
	page   *Page
	body   *body
	cursor int // row under it
	top    int // first line that is seen
	came   time.Time
	stop   func() // ends what loads; nil if nothing does
	serial int    // of that
	ended  bool   // it was at its end, if it begins there
	moved  bool   // the cursor was gone to
	marked []named
	asks   chan asked // of its Act
	asked  *asked     // the question that stands below the page; nil if none does
	armed  bool       // that takes keys
	read   bool       // the end of what it is about was seen
	beside beside     // the row under the cursor
	far    string     // how far what loads is; "": it has not said
}

type loaded struct {
	of     *level
	serial int
	page   *Page
	err    error
}

type tick struct{}

func newFrame(ctx context.Context, s *Screen, at int, style style) *frame {
	m := &frame{Screen: s, ctx: ctx, style: style, keyed: s.Now()}
	m.stack = []*level{m.level(s.Places[0].View)}
	if at > 0 {
		m.at = at
		m.stack = append(m.stack, m.level(s.Places[at].View))
	}
	return m
}

// now is the clock on the wall: it goes on while a computer sleeps.
func (s *Screen) now() time.Time { return s.Now().Round(0) }

// idle reports whether nobody has been there since that time of Now. What goes on while a
// computer sleeps is the clock on the wall, and what nobody can set back is the other.
func (s *Screen) idle(since time.Time) bool {
	now := s.Now()
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0))) >= s.Idle
}

// command is what Bubble Tea does in a goroutine of its own.
func command(f func() tea.Msg) tea.Cmd {
	return func() tea.Msg {
		defer crash.Report()
		return f()
	}
}

func (m *frame) Init() tea.Cmd { return tea.Batch(m.load(m.seen(), true), m.beat()) }

func (m *frame) beat() tea.Cmd {
	wait := tea.Tick(beat, func(time.Time) tea.Msg { return tick{} })
	return command(func() tea.Msg { return wait() })
}

// seen is the page that is.
func (m *frame) seen() *level { return m.stack[len(m.stack)-1] }

// level begins with what is known of a page.
func (m *frame) level(v *View) *level {
	sh := &level{view: v, page: &Page{Title: v.Title}}
	if v.Known != nil {
		if p := v.Known(); p != nil {
			sh.page = p
		}
	}
	sh.page.prepare()
	return sh
}

// load loads a page, unless that is being done.
func (m *frame) load(sh *level, asked bool) tea.Cmd {
	if sh.stop != nil || sh.view.Load == nil && sh.view.Act == nil || sh.view.Act != nil && sh.asks != nil {
		return nil
	}
	ctx, stop := context.WithCancel(m.ctx)
	m.serial++
	sh.stop, sh.serial = stop, m.serial
	serial := m.serial
	if sh.view.Act != nil {
		return m.act(sh, ctx, serial)
	}
	return m.steps(ctx, sh, serial, func(ctx context.Context) tea.Msg {
		m.loading.RLock()
		defer m.loading.RUnlock()
		p, err := sh.view.Load(ctx, asked)
		if p != nil {
			p.prepare()
		}
		return loaded{sh, serial, p, err}
	})
}

// leave ends what a page that is no longer seen still loads.
func (sh *level) leave() {
	if sh.stop != nil {
		sh.stop()
		sh.stop, sh.far = nil, ""
	}
}

// end ends the screen.
func (m *frame) end(err error) tea.Cmd {
	for _, sh := range m.stack {
		m.cut = m.cut || sh.busy()
		sh.leave()
	}
	m.ended, m.err = true, err
	return tea.Quit
}

func (m *frame) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if m.seen().busy() { // nobody is asked anything meanwhile, and what comes of it is to be seen
		m.keyed = m.Now()
	}
	if m.idle(m.keyed) { // whatever comes: a key may be somebody else's
		return m, m.end(ErrLock)
	}
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		if msg.Width > 0 && msg.Height > 0 {
			m.window = window{msg.Width, msg.Height}
		} else if m.window == (window{}) { // a line that does not know its size
			m.window = window{80, 24}
		}
	case tick:
		sh, again := m.seen(), m.beat()
		if sh.view.Every > 0 && m.now().Sub(sh.came) >= sh.view.Every {
			again = tea.Batch(again, m.load(sh, false))
		}
		return m, again
	case loaded:
		return m, m.loaded(msg)
	case asked:
		return m, m.puts(msg)
	case stepped:
		return m, m.stepped(msg)
	case armed:
		for _, sh := range m.stack {
			sh.armed = sh.armed || sh.asked != nil && sh.asked.answer == msg.answer
		}
	case tea.ResumeMsg:
		m.away = false
	case tea.MouseMsg:
		m.keyed, m.away = m.Now(), false
		return m, m.mouse(msg)
	case tea.KeyMsg:
		m.keyed, m.away = m.Now(), false // where nothing can be stopped nobody resumes
		return m, m.keysOf(msg)
	}
	return m, nil
}

// keysOf are keys that arrived together, which come as one: each is taken as if it had come
// alone. A question takes them as they are, so that none of a text says yes to it, and none
// that stands behind the key that led to a question answers that.
func (m *frame) keysOf(msg tea.KeyMsg) tea.Cmd {
	asks := func() bool { return m.seen().busy() || m.seen().asked != nil }
	if msg.Type != tea.KeyRunes || msg.Paste || msg.Alt || asks() {
		return m.key(msg)
	}
	var cmds []tea.Cmd
	for _, r := range msg.Runes {
		cmds = append(cmds, m.key(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}}))
		if m.ended || asks() {
			break
		}
	}
	return tea.Batch(cmds...)
}

// loaded takes a page that came, if it is still wanted.
func (m *frame) loaded(msg loaded) tea.Cmd {
	sh := msg.of
	if sh.stop == nil || sh.serial != msg.serial {
		return nil
	}
	sh.leave()
	if sh.view.Act != nil {
		sh.asked = nil
		for _, below := range m.stack { // what is there may be another thing now
			below.came = time.Time{}
		}
	}
	if back, ok := errors.AsType[Back](msg.err); ok {
		cmd := m.back(sh)
		m.note = cli.Clean(string(back))
		return cmd
	}
	if sh.view.Act != nil {
		for _, below := range m.stack { // what was marked for it
			below.marked = nil
		}
	}
	if msg.err != nil {
		return m.end(msg.err)
	}
	sh.came = m.now()
	if msg.page == nil { // nothing is new
		return nil
	}
	of, id := "", ""
	if sh.body != nil {
		of, id = sh.body.called(sh.cursor)
	}
	was := sh.body
	sh.page, sh.body = msg.page, nil
	sh.unmark()
	m.layOut(sh, was)
	toEnd := sh.body != nil && sh.view.AtEnd && !sh.ended
	if toEnd {
		sh.cursor, sh.top, sh.ended = sh.body.rows-1, sh.body.height, true
	}
	if sh.body != nil && id != "" && !toEnd {
		if n := sh.body.place(of, id, sh.cursor); n >= 0 {
			sh.cursor = n
		}
	}
	m.follow(sh)
	return nil
}

// around is how many lines of a screen are no page.
const around = 5

// layOut makes lines of a page, in the width that it has; was are those that it had.
func (m *frame) layOut(sh *level, was *body) {
	width, other := m.halves(sh)
	tall := max(0, m.window.height-around)
	if m.window.width <= 0 || sh.body != nil && sh.body.lies(width, tall) {
		return
	}
	search := ""
	if was != nil {
		search = was.search
	}
	room := least
	if other > 0 { // all that is short stands beside it
		room = besideLeast
	}
	sh.body = lay(sh.page, width, tall, room, search)
}

// room is how many lines of the page itself are seen, and how many stand above them.
func (m *frame) room() (height, above int) {
	below := 1 // lines: of keys
	if sh := m.seen(); sh.asked != nil {
		below = len(m.promptLines(sh))
	}
	switch h := m.window.height; {
	case h >= 10:
		return max(0, h-4-below), 3
	case h >= 4:
		return max(0, h-1-below), 1
	case m.seen().asked != nil:
		return max(0, h-below), 0
	default:
		return h, 0
	}
}

// follow keeps the cursor within the page, and the page around it.
func (m *frame) follow(sh *level) {
	b := sh.body
	if b == nil {
		return
	}
	height, _ := m.room()
	sh.cursor = max(0, min(sh.cursor, b.rows-1))
	if b.rows > 0 && !m.heads(sh) {
		switch line := b.line(sh.cursor); {
		case line < sh.top:
			sh.top = line
		case line >= sh.top+height:
			sh.top = line - height + 1
		}
		if sh.cursor == 0 && b.line(0) < height { // what stands above the first row
			sh.top = 0
		}
	}
	sh.top = max(0, min(sh.top, b.height-height))
}

// heads reports whether a page is seen from its first line on and nobody has gone to its rows
// yet, of which the first has no room below what stands above it.
func (m *frame) heads(sh *level) bool {
	height, _ := m.room()
	return !sh.moved && sh.cursor == 0 && sh.body != nil && sh.body.rows > 0 && sh.body.line(0) >= height
}

// move moves the cursor by so many rows, or a page without rows by lines.
func (m *frame) move(sh *level, by int) {
	if sh.body == nil {
		return
	}
	height, _ := m.room()
	last := sh.body.height - height
	if sh.body.rows == 0 {
		sh.top = max(0, min(sh.top+by, last))
		return
	}
	was := sh.cursor
	sh.moved = true
	sh.cursor = max(0, min(sh.cursor+by, sh.body.rows-1))
	if sh.cursor == was { // beyond the first and the last row there may be text
		sh.top = max(0, min(sh.top+by, last))
		if line := sh.body.line(sh.cursor); line >= sh.top && line < sh.top+height {
			return
		}
		sh.cursor = m.near(sh)
		return
	}
	m.follow(sh)
}

// near is the row that is seen and nearest to where the cursor was.
func (m *frame) near(sh *level) int {
	height, _ := m.room()
	for line := range height {
		if n := sh.body.at(sh.top + line); n >= 0 {
			return n
		}
	}
	return sh.cursor
}

// key does what a key says.
func (m *frame) key(key tea.KeyMsg) tea.Cmd {
	m.note = ""
	sh := m.seen()
	m.layOut(sh, sh.body)
	if m.typing {
		return m.search(sh, key)
	}
	height, _ := m.room()
	switch name := key.String(); {
	case name == "ctrl+c":
		return m.end(ErrCanceled)
	case name == "ctrl+z" && !sh.busy(): // nor does it lock meanwhile
		m.away = true
		return tea.Suspend
	case sh.busy():
		m.note = "wait until it is done; ctrl-C ends it where it is"
		return nil
	case sh.asked != nil:
		return m.answer(sh, key)
	}
	if m.heads(sh) && m.moves(sh, key.String()) {
		return nil
	}
	switch key.String() {
	case "q":
		return m.end(nil)
	case "L":
		return m.end(ErrLock)
	case "up", "k":
		m.move(sh, -1)
	case "down", "j":
		m.move(sh, 1)
	case "pgup":
		m.move(sh, 1-height)
	case "pgdown":
		m.move(sh, height-1)
	case " ":
		if key.Paste || !m.mark(sh) {
			m.move(sh, height-1)
		}
	case "home":
		m.move(sh, -1<<30)
		sh.top, sh.moved = 0, false
	case "end":
		m.move(sh, 1<<30)
		m.move(sh, 1<<30)
	case "enter", "right":
		return m.open(sh)
	case "esc", "left", "backspace":
		return m.back(sh)
	case "r":
		return m.load(sh, true)
	case "/":
		if m.typing = sh.body != nil && sh.body.tables(); !m.typing {
			m.note = "there is no list here to search"
		}
	case "?":
		return m.push(m.helpView())
	default:
		s := key.String()
		switch {
		case key.Paste:
		case len(s) == 1 && s[0] >= '1' && int(s[0]-'1') < len(m.Places):
			return m.goTo(int(s[0] - '1'))
		default:
			return m.lead(sh, s)
		}
	}
	return nil
}

// moves takes a key where the row under the cursor is further down than what is seen: it goes
// there, and no key does anything with a row that nobody sees.
func (m *frame) moves(sh *level, key string) bool {
	height, _ := m.room()
	switch key {
	case "down", "j":
		sh.top++
	case "pgdown", " ":
		sh.top += max(1, height-1)
	case "up", "k", "pgup", "home":
		sh.top = 0
	case "enter", "right":
		sh.top = sh.body.line(0)
	default:
		of, _ := sh.body.called(0)
		if !slices.ContainsFunc(m.can(sh), func(k *Lead) bool { return k.Key == key && k.Of == of }) {
			return false
		}
		sh.top = sh.body.line(0)
	}
	sh.top = max(0, min(sh.top, sh.body.height-height))
	sh.moved = sh.body.line(0) < sh.top+height
	return true
}

// search takes a key while what is searched is typed.
func (m *frame) search(sh *level, key tea.KeyMsg) tea.Cmd {
	if sh.body == nil {
		m.typing = false
		return nil
	}
	search := sh.body.search
	switch key.Type {
	case tea.KeyCtrlC:
		return m.end(ErrCanceled)
	case tea.KeyCtrlZ:
		m.away = true
		return tea.Suspend
	case tea.KeyEsc:
		m.typing, search = false, ""
	case tea.KeyEnter:
		m.typing = false
	case tea.KeyUp:
		m.move(sh, -1)
	case tea.KeyDown:
		m.move(sh, 1)
	default:
		search = edited(search, key, 64, visible)
	}
	if search != sh.body.search {
		m.find(sh, search)
	}
	return nil
}

// find searches a page. The cursor stays on its row, if that is still there.
func (m *frame) find(sh *level, search string) {
	p, row, _ := sh.body.row(sh.cursor)
	of, id := sh.body.called(sh.cursor)
	sh.body.find(search)
	at := sh.body.stands(p, row)
	if at < 0 { // another one that is called so may be there
		at = sh.body.place(of, id, sh.cursor)
	}
	sh.cursor, sh.top = max(0, at), 0
	m.follow(sh)
}

// push shows a page above the one that is seen.
func (m *frame) push(v *View) tea.Cmd {
	if v == nil {
		return nil
	}
	sh := m.level(v)
	m.stack = append(m.stack, sh)
	return m.load(sh, true)
}

// open goes where the row under the cursor leads.
func (m *frame) open(sh *level) tea.Cmd {
	if sh.body == nil {
		return nil
	}
	of, id := sh.body.called(sh.cursor)
	if id == "" {
		return nil
	}
	return m.push(m.Open(of, id))
}

// back goes to the page below.
func (m *frame) back(sh *level) tea.Cmd {
	switch {
	case sh.body != nil && sh.body.search != "":
		m.find(sh, "")
		return nil
	case len(m.stack) == 1:
		m.note = "q ends"
		return nil
	}
	if sh.far != "" {
		m.note = "stopped"
	}
	sh.leave()
	m.stack = m.stack[:len(m.stack)-1]
	if len(m.stack) == 1 {
		m.at = 0
	}
	below := m.seen()
	m.layOut(below, below.body)
	m.follow(below)
	if below.came.IsZero() {
		return m.load(below, true)
	}
	return nil
}

// goTo goes to a place.
func (m *frame) goTo(at int) tea.Cmd {
	for _, sh := range m.stack[1:] {
		sh.leave()
	}
	m.stack, m.at = m.stack[:1], at
	if at == 0 {
		home := m.seen()
		m.layOut(home, home.body)
		return m.load(home, true)
	}
	return m.push(m.Places[at].View)
}

// mouse scrolls, and takes and opens what is clicked at.
func (m *frame) mouse(msg tea.MouseMsg) tea.Cmd {
	sh := m.seen()
	m.layOut(sh, sh.body)
	switch {
	case sh.body == nil || m.typing || sh.busy() || msg.Action != tea.MouseActionPress:
	case msg.Button == tea.MouseButtonWheelUp:
		m.move(sh, -3)
	case msg.Button == tea.MouseButtonWheelDown:
		m.move(sh, 3)
	case msg.Button == tea.MouseButtonLeft && sh.asked == nil:
		height, above := m.room()
		if above == 3 && msg.Y == 0 {
			if at := m.placeAt(msg.X); at >= 0 {
				return m.goTo(at)
			}
			return nil
		}
		if msg.Y < above || msg.Y >= above+height || msg.X >= sh.body.width {
			return nil
		}
		n := sh.body.at(sh.top + msg.Y - above)
		if n < 0 {
			return nil
		}
		if n == sh.cursor {
			return m.open(sh)
		}
		sh.cursor = n
	}
	return nil
}

// placeWords are the places as the first line shows them.
func (m *frame) placeWords() (out []string) {
	for i, p := range m.Places {
		word := fmt.Sprintf("%d %s", i+1, p.Word)
		if i == m.at {
			word = "[" + word + "]"
		} else {
			word = " " + word + " "
		}
		out = append(out, word)
	}
	return out
}

// placeAt is the place whose word stands in that column of the first line, or -1.
func (m *frame) placeAt(x int) int {
	for i, word := range m.placeWords() {
		if x -= cli.Columns(word); x < 0 {
			return i
		}
	}
	return -1
}
