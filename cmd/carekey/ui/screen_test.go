package ui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/carekey/carekey/cmd/cli"
	tea "github.com/charmbracelet/bubbletea"
)

// sample is a screen of pages that do not change, with a clock that is set by hand.
type sample struct {
	*Screen
	now   time.Time
	loads map[string]int
	asked map[string]bool // whether a person was waited for by the last load
}

func consentRows(n int) *Table {
	t := consents()
	for i := len(t.Rows); i < n; i++ {
		t.Add(fmt.Sprintf("%08x", i), fmt.Sprint("Dr ", i), fmt.Sprint("Laboratory ", i), "treatment", "3 Dec", "active", "no entry")
	}
	t.Rows = t.Rows[:n]
	t.Of, t.ID = "consent", func(i int) string { return t.Rows[i][0] }
	return t
}

func newSample(rows int) *sample {
	s := &sample{now: time.Date(2026, 11, 21, 15, 31, 0, 0, time.UTC), loads: map[string]int{}, asked: map[string]bool{}}
	home := func() *Page {
		p := &Page{Title: "Maria"}
		p.Say("12 records, 3 contacts, 4 consents that ended.\n\nWho can open what:")
		p.Show(consentRows(rows))
		p.Say("gate: enforced, by one operator.\n\nSince you last looked:")
		events := &Table{Columns: []Column{Word("time"), Word("what"), Text("who"), Key("consent")}, Of: "consent", ID: func(int) string { return "01234567" }}
		events.Add("21 Nov 14:00", "opened", "Dr Smith", "01234567")
		p.Show(events)
		return p
	}
	view := func(title string, known bool, page func() *Page) *View {
		v := &View{Title: title, Every: time.Minute, Load: func(_ context.Context, asked bool) (*Page, error) {
			s.loads[title]++
			s.asked[title] = asked
			return page(), nil
		}}
		if known {
			v.Known = func() *Page {
				p := page()
				p.AsOf = "as of 14:02"
				return p
			}
		}
		return v
	}
	text := func() *Page {
		p := &Page{Title: "Consent 01234567"}
		for i := range 40 {
			p.Say(fmt.Sprintf("row %d", i))
		}
		return p
	}
	s.Screen = &Screen{
		Places: []Place{{"Home", view("Maria", true, home)}, {"Consents", view("Consents", false, func() *Page {
			p := &Page{Title: "Consents"}
			p.Show(consentRows(rows))
			return p
		})}, {"Empty", view("Empty", false, func() *Page { return &Page{Title: "Empty"} })}},
		Open: func(of, id string) *View { return view(of+" "+id, false, text) },
		Idle: 5 * time.Minute,
		Now:  func() time.Time { return s.now },
	}
	return s
}

func (s *sample) frame(style style, width, height int) *frame {
	return size(newFrame(context.Background(), s.Screen, 0, style), width, height)
}

// done does what a key has begun.
func done(m *frame, cmd tea.Cmd) *frame {
	if cmd == nil {
		return m
	}
	next, more := m.Update(cmd())
	return done(next.(*frame), more)
}

// pressed presses keys, one after the other, and does what each begins.
func pressed(m *frame, names ...string) *frame {
	for _, name := range names {
		key, ok := keys[name]
		if !ok {
			key = tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)}
		}
		_, cmd := m.Update(key)
		if m.err == nil && !(name == "q" && cmd != nil) {
			m = done(m, cmd)
		}
	}
	return m
}

func loadedHome(m *frame) *frame { return done(m, m.load(m.seen(), true)) }

// What is known stands there before anything was asked, and says of when it is.
func TestScreenBeginsWithWhatIsKnown(t *testing.T) {
	s := newSample(3)
	m := s.frame(false, 80, 24)
	if got := m.View(); !strings.Contains(got, "Dr Smith") || !strings.Contains(got, "as of 14:02") || s.loads["Maria"] != 0 {
		t.Errorf("%d loads:\n%s", s.loads["Maria"], got)
	}
	golden(t, "screen_known", m.View())
	cmd := m.load(m.seen(), true)
	if got := m.View(); !strings.Contains(got, "as of 14:02, asking ...") {
		t.Errorf("while it is asked:\n%s", got)
	}
	if again := m.load(m.seen(), true); again != nil {
		t.Error("it loads twice at once")
	}
	m = done(m, cmd)
	if got := m.View(); !strings.Contains(got, "as of 15:31\n") || s.loads["Maria"] != 1 || !s.asked["Maria"] {
		t.Errorf("%d loads:\n%s", s.loads["Maria"], got)
	}
}

func TestScreenViews(t *testing.T) {
	for _, w := range []window{{80, 24}, {120, 40}, {40, 16}, {20, 5}, {20, 2}} {
		s := newSample(12)
		m := loadedHome(s.frame(false, w.width, w.height))
		name := fmt.Sprintf("screen_%dx%d", w.width, w.height)
		golden(t, name, m.View())
		if w.height < 10 {
			continue
		}
		golden(t, name+"_consent", pressed(m, "down", "enter").View())
		golden(t, name+"_consents", pressed(m, "2", "down", "down").View())
		golden(t, name+"_keys", pressed(m, "?").View())
	}
}

// Colours and attributes say nothing that letters do not.
func TestScreenStyleChangesNoText(t *testing.T) {
	s := newSample(12)
	plain, styled := loadedHome(s.frame(false, 80, 24)), loadedHome(s.frame(true, 80, 24))
	for _, key := range []string{"down", "/", "D", "enter", "2", "end", "enter", "?"} {
		plain, styled = pressed(plain, key), pressed(styled, key)
		if got := styled.View(); withoutStyle(got) != plain.View() || !strings.Contains(got, "\x1b[") {
			t.Errorf("after %s:\n%s\n%s", key, withoutStyle(got), plain.View())
		}
	}
}

func TestScreenKeys(t *testing.T) {
	for _, c := range []struct {
		name   string
		keys   []string
		title  string
		depth  int
		cursor int
		err    error
		ended  bool
	}{
		{"nothing", nil, "Maria", 1, 0, nil, false},
		{"down and up", []string{"down", "down", "up"}, "Maria", 1, 1, nil, false},
		{"letters", []string{"j", "j", "j", "k"}, "Maria", 1, 2, nil, false},
		{"stops at the first", []string{"up"}, "Maria", 1, 0, nil, false},
		{"the end is in the last table", []string{"end"}, "Maria", 1, 12, nil, false},
		{"home again", []string{"end", "home"}, "Maria", 1, 0, nil, false},
		{"open", []string{"enter"}, "Consent 01234567", 2, 0, nil, false},
		{"open and back", []string{"down", "enter", "esc"}, "Maria", 1, 1, nil, false},
		{"back at home", []string{"esc"}, "Maria", 1, 0, nil, false},
		{"a place", []string{"2"}, "Consents", 2, 0, nil, false},
		{"a place from a page", []string{"enter", "2"}, "Consents", 2, 0, nil, false},
		{"home from a place", []string{"2", "enter", "1"}, "Maria", 1, 0, nil, false},
		{"no such place", []string{"4", "9", "0"}, "Maria", 1, 0, nil, false},
		{"help", []string{"?"}, "Keys", 2, 0, nil, false},
		{"quit", []string{"2", "q"}, "Consents", 2, 0, nil, true},
		{"interrupt", []string{"ctrl+c"}, "Maria", 1, 0, ErrCanceled, true},
		{"lock", []string{"L"}, "Maria", 1, 0, ErrLock, true},
		{"a search takes letters", []string{"2", "/", "q", "L", "1"}, "Consents", 2, 0, nil, false},
		{"interrupt while searching", []string{"/", "q", "ctrl+c"}, "Maria", 1, 0, ErrCanceled, true},
		{"nothing to search", []string{"3", "/", "q"}, "Empty", 2, 0, nil, true},
		{"enter on nothing", []string{"3", "enter", "down", "end"}, "Empty", 2, 0, nil, false},
	} {
		m := loadedHome(newSample(12).frame(false, 80, 24))
		var quit bool
		for _, key := range c.keys {
			if quit {
				t.Errorf("%s: it ended before %s", c.name, key)
			}
			if k, ok := keys[key]; ok {
				m, quit = step(m, k)
			} else {
				m, quit = step(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(key)})
			}
		}
		sh := m.seen()
		if quit != c.ended || !errors.Is(m.err, c.err) || sh.page.Title != c.title || len(m.stack) != c.depth || sh.cursor != c.cursor {
			t.Errorf("%s: ended %v, %v; %q, %d pages, cursor %d", c.name, quit, m.err, sh.page.Title, len(m.stack), sh.cursor)
		}
	}
}

// step sends a message, does what it begins, and reports whether it ends the program.
func step(m *frame, msg tea.Msg) (*frame, bool) {
	_, cmd := m.Update(msg)
	for cmd != nil {
		msg := cmd()
		if _, quit := msg.(tea.QuitMsg); quit {
			return m, true
		}
		_, cmd = m.Update(msg)
	}
	return m, false
}

// All words of a search are in a row that stays; the lines beside tables stay.
func TestScreenSearch(t *testing.T) {
	m := loadedHome(newSample(200).frame(false, 80, 24))
	m = pressed(m, "2", "/")
	m = pressed(m, strings.Split("dr 17", "")...)
	if n := m.seen().body.rows; n != 13 { // 17, 117, 170 to 179, and 23, whose id has it
		t.Errorf("%d rows", n)
	}
	for _, row := range []string{"Dr 17 ", "Dr 117 ", "Dr 170 "} {
		if !strings.Contains(m.View(), row) {
			t.Errorf("%q is not there:\n%s", row, m.View())
		}
	}
	if strings.Contains(m.View(), "Dr 18 ") {
		t.Errorf("Dr 18 is there:\n%s", m.View())
	}
	golden(t, "screen_search", m.View())
	many := m.seen().body.rows
	if m = pressed(m, "backspace", "backspace"); m.seen().body.rows <= many {
		t.Errorf("%d rows after a shorter search", m.seen().body.rows)
	}
	m = pressed(m, "zz", "enter", "enter")
	if m.seen().body.rows != 0 || len(m.stack) != 2 || !strings.Contains(m.View(), "0 found") {
		t.Errorf("%d rows:\n%s", m.seen().body.rows, m.View())
	}
	if m = pressed(m, "esc"); m.seen().body.rows != 200 || len(m.stack) != 2 {
		t.Errorf("%d rows, %d pages", m.seen().body.rows, len(m.stack))
	}
	m = pressed(pressed(m, "/"), strings.Split("117", "")...)
	if m = pressed(m, "enter", "esc"); m.seen().cursor != 117 || !strings.Contains(m.View(), ">") {
		t.Errorf("without the search the cursor is on row %d", m.seen().cursor)
	}
	if m = pressed(m, "/", "\x1b]52;c;cm0=\a", "\u202e", "x"); m.seen().body.search != "]52;c;cm0=x" {
		t.Errorf("%q is searched", m.seen().body.search)
	}
}

// A page that comes again has the cursor on the row that it was on, wherever that is now.
func TestScreenReloadKeepsTheRow(t *testing.T) {
	rows := []string{"a", "b", "c", "d"}
	s := newSample(3)
	s.Places[1].View.Load = func(context.Context, bool) (*Page, error) {
		p := &Page{Title: "Consents"}
		of := append([]string(nil), rows...)
		table := &Table{Columns: []Column{Key("consent")}, Of: "consent", ID: func(i int) string { return of[i] }}
		for _, r := range of {
			table.Add(r)
		}
		p.Show(table)
		return p, nil
	}
	m := pressed(loadedHome(s.frame(false, 80, 24)), "2", "down", "down")
	for _, c := range []struct {
		rows string
		want string
	}{{"x y a b c d", "c"}, {"c", "c"}, {"c d", "c"}, {"a b", "a"}, {"", ""}, {"z", "z"}} {
		rows = strings.Fields(c.rows)
		m = pressed(m, "r")
		if _, id := m.seen().body.called(m.seen().cursor); id != c.want {
			t.Errorf("of %q the cursor is on %q, not %q", c.rows, id, c.want)
		}
	}
}

// What comes for a page that was left changes nothing, and its loading is told to end.
func TestScreenLeftPagesAreForgotten(t *testing.T) {
	s := newSample(3)
	var got context.Context
	s.Places[1].View.Load = func(ctx context.Context, _ bool) (*Page, error) {
		got = ctx
		return &Page{Title: "late"}, errors.New("late")
	}
	m := loadedHome(s.frame(false, 80, 24))
	_, cmd := m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("2")})
	m = pressed(m, "esc")
	late := cmd()
	if got.Err() == nil {
		t.Error("its loading was not told to end")
	}
	if m, quit := step(m, late); quit || m.seen().page.Title != "Maria" {
		t.Errorf("ended %v, at %q", quit, m.seen().page.Title)
	}
	_, cmd = m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("2")})
	if m, quit := step(m, cmd()); !quit || m.err == nil || m.View() != "" {
		t.Errorf("an error of a load: ended %v, %v", quit, m.err)
	}
}

// Without a key it locks, by the clock on the wall: what comes then is not taken, and no
// page is drawn any more.
func TestScreenLocks(t *testing.T) {
	for name, msg := range map[string]tea.Msg{
		"a beat": tick{}, "a key": tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q")}, "a click": tea.MouseMsg{Action: tea.MouseActionPress, Button: tea.MouseButtonLeft},
		"another size": tea.WindowSizeMsg{Width: 100, Height: 30}, "after a stop": tea.ResumeMsg{},
	} {
		s := newSample(3)
		m := loadedHome(s.frame(false, 80, 24))
		s.now = s.now.Add(4 * time.Minute)
		if name == "a key" || name == "a click" {
			if m, _ = step(m, tea.KeyMsg{Type: tea.KeyDown}); m.err != nil {
				t.Errorf("%s: a key in time: %v", name, m.err)
			}
			s.now = s.now.Add(4 * time.Minute)
			if m, _ = step(m, tea.KeyMsg{Type: tea.KeyDown}); m.err != nil {
				t.Errorf("%s: a key in time: %v", name, m.err)
			}
		}
		s.now = s.now.Add(5 * time.Minute)
		m, quit := step(m, msg)
		if !quit || m.err != ErrLock || strings.Contains(m.View(), "Dr Smith") {
			t.Errorf("%s: ended %v, %v:\n%s", name, quit, m.err, m.View())
		}
	}
}

// A clock on the wall that is set back does not keep it open.
func TestScreenLocksByEitherClock(t *testing.T) {
	s := newSample(3)
	s.now = time.Now()
	m := loadedHome(s.frame(false, 80, 24))
	ran := (*struct {
		wall uint64
		ext  int64 // the clock that nobody sets
		loc  *time.Location
	})(unsafe.Pointer(&s.now))
	ran.ext += int64(5 * time.Minute)
	if !s.now.Round(0).Equal(m.keyed.Round(0)) {
		t.Fatal("both clocks went on")
	}
	if m, quit := step(m, tick{}); !quit || m.err != ErrLock {
		t.Errorf("ended %v, %v", quit, m.err)
	}
}

// Stopped, it has drawn nothing, so that nothing is there before it is known whether it locks.
func TestScreenStopped(t *testing.T) {
	s := newSample(3)
	m := loadedHome(s.frame(false, 80, 24))
	if m.Update(tea.KeyMsg{Type: tea.KeyCtrlZ}); m.View() != "" {
		t.Error(m.View())
	}
	if m.Update(tea.ResumeMsg{}); !strings.Contains(m.View(), "Dr Smith") {
		t.Error(m.View())
	}
}

// A place loads again by itself, and nobody is taken to have waited for it.
func TestScreenLooksAgain(t *testing.T) {
	s := newSample(3)
	m := loadedHome(s.frame(false, 80, 24))
	s.now = s.now.Add(30 * time.Second)
	if m.Update(tick{}); m.seen().stop != nil {
		t.Error("it loads before its time")
	}
	s.now = s.now.Add(30 * time.Second)
	if m.Update(tick{}); m.seen().stop == nil {
		t.Error("it does not load again")
	}
	m.seen().leave()
	done(m, m.load(m.seen(), false))
	if s.loads["Maria"] != 2 || s.asked["Maria"] {
		t.Errorf("%d loads, asked %v", s.loads["Maria"], s.asked["Maria"])
	}
}

func TestScreenMouse(t *testing.T) {
	m := loadedHome(newSample(12).frame(false, 80, 24))
	click := func(x, y int) {
		m, _ = step(m, tea.MouseMsg{X: x, Y: y, Action: tea.MouseActionPress, Button: tea.MouseButtonLeft})
	}
	at := 3 + m.seen().body.line(2)
	if click(10, at); m.seen().cursor != 2 || len(m.stack) != 1 {
		t.Errorf("cursor %d, %d pages", m.seen().cursor, len(m.stack))
	}
	if click(10, at); len(m.stack) != 2 {
		t.Error("a second click does not open")
	}
	if click(15, 0); m.seen().page.Title != "Consents" || m.at != 1 {
		t.Errorf("at %q", m.seen().page.Title)
	}
	for _, y := range []int{1, 2, 22, 23, 400} {
		click(3, y)
	}
	if click(79, 0); len(m.stack) != 2 || m.at != 1 {
		t.Errorf("%d pages, at %d", len(m.stack), m.at)
	}
	m, _ = step(m, tea.MouseMsg{Action: tea.MouseActionPress, Button: tea.MouseButtonWheelDown})
	if m.seen().cursor != 3 {
		t.Errorf("cursor %d", m.seen().cursor)
	}
}

// A size of nothing changes nothing; whatever the size, the screen fits into it, and the
// cursor is seen.
func TestScreenSizes(t *testing.T) {
	m := loadedHome(newSample(30).frame(false, 0, 0))
	if !strings.Contains(m.View(), "Dr Smith") {
		t.Errorf("of no known size:\n%s", m.View())
	}
	m = pressed(m, "down", "down")
	for _, w := range []window{{80, 24}, {0, 0}, {1, 1}, {20, 5}, {2, 60}, {200, 3}, {79, 9}, {80, 10}, {120, 40}} {
		m = size(m, w.width, w.height)
		if w.width == 0 {
			w = window{80, 24}
		}
		lines := strings.Split(m.View(), "\n")
		if len(lines) > w.height {
			t.Errorf("%v: %d lines", w, len(lines))
		}
		cursors := 0
		for _, line := range lines {
			if n := cli.Columns(line); n > w.width {
				t.Errorf("%v: %d columns: %q", w, n, line)
			}
			if strings.HasPrefix(line, ">") {
				cursors++
			}
		}
		if cursors != 1 && w.width > 2 {
			t.Errorf("%v: %d cursors:\n%s", w, cursors, m.View())
		}
	}
}

// A page that is read from its end begins there each time, and a row that has been reached is
// kept when it is loaded anew, though others are of the same consent.
func TestScreenReadFromItsEnd(t *testing.T) {
	s := newSample(3)
	rows := 30
	audit := s.Places[1].View
	audit.AtEnd = true
	audit.Load = func(context.Context, bool) (*Page, error) {
		events := &Table{Columns: []Column{Text("what"), Key("consent")}, Of: "consent", ID: func(int) string { return "01234567" }}
		for i := range rows {
			events.Add(fmt.Sprintf("event %d", i), "01234567")
		}
		p := &Page{Title: "Audit"}
		p.Show(events)
		return p, nil
	}
	audit.Known = func() *Page { p, _ := audit.Load(t.Context(), false); return p }
	m := loadedHome(s.frame(false, 80, 24))
	at := func(what string, n int) {
		t.Helper()
		if m.seen().cursor != n {
			t.Errorf("%s: the cursor is at %d, not %d", what, m.seen().cursor, n)
		}
	}
	for range 2 {
		m = pressed(m, "2")
		at("shown", 29)
		m = pressed(m, "1")
	}
	m = pressed(m, "2", "up", "up")
	rows++
	m = done(m, m.load(m.seen(), true))
	at("loaded anew", 27)
	m = pressed(m, "/", "9", "enter", "up", "esc") // of 9, 19 and 29
	at("after a search", 19)
}

// A copy of a page, which another goroutine may show meanwhile, is made ready with it, once.
func TestPageIsMadeReadyOnce(t *testing.T) {
	p := &Page{}
	p.Show(consentRows(3))
	kept := *p
	p.prepare()
	rows := p.Sections[0].ready.rows
	kept.prepare()
	kept.Fail("error: late")
	kept.prepare()
	if got := kept.Sections[1].ready.rows; len(rows) != 3 || &got[0] != &rows[0] {
		t.Errorf("%d rows", len(rows))
	}
}

// Threat: a title that acts on the terminal, turns the line round, hides itself, or is so
// long that it pushes everything else away.
func FuzzScreen(f *testing.F) {
	f.Add("\x1b]52;c;cm0=\a\x1b[2J", "a\u202eb\u200bc\r\n\td", uint8(80), uint8(24))
	f.Add(strings.Repeat("ab ", 3400), strings.Repeat("血", 5000), uint8(20), uint8(5))
	f.Add("error: all is well", "נועה\u0301 כהן\xff", uint8(120), uint8(40))
	f.Add(strings.Repeat("\u0301", 300), "\n\n:\n", uint8(3), uint8(12))
	f.Fuzz(func(t *testing.T, a, b string, width, height uint8) {
		w := window{max(1, int(width)), max(1, int(height))}
		s := newSample(1)
		s.Places[0].View.Known = nil
		s.Places[0].View.Load = func(context.Context, bool) (*Page, error) {
			p := &Page{Title: a, AsOf: b}
			p.Say(a)
			p.Say(b)
			for _, of := range []string{"", "consent"} {
				t := &Table{Columns: []Column{Key("id"), Title("title"), Text("text"), Word("word")}, Of: of, ID: func(int) string { return a }}
				t.Add(a, b, a, b)
				t.Add(b, b, b, b)
				t.Add("1", "2", "3", "4")
				p.Show(t)
			}
			return p, nil
		}
		m := loadedHome(s.frame(false, w.width, w.height))
		for _, key := range []string{"down", "end", "/", b, "enter", "?"} {
			lines := strings.Split(m.View(), "\n")
			if len(lines) > w.height {
				t.Fatalf("%d lines in %v", len(lines), w)
			}
			for _, line := range lines {
				if n := cli.Columns(line); n > w.width || cli.Clean(line) != line {
					t.Fatalf("%d columns in %v: %q", n, w, line)
				}
			}
			m = pressed(m, key)
		}
	})
}

// However long a list is, a frame makes the rows that it shows, and no others.
func TestScreenMakesFewRows(t *testing.T) {
	m := pressed(loadedHome(newSample(3000).frame(false, 80, 24)), "2")
	key := func(msg tea.Msg) float64 {
		return testing.AllocsPerRun(20, func() {
			m.Update(msg)
			m.View()
		})
	}
	short := pressed(loadedHome(newSample(40).frame(false, 80, 24)), "2")
	few := testing.AllocsPerRun(20, func() {
		short.Update(tea.KeyMsg{Type: tea.KeyDown})
		short.View()
	})
	for name, msg := range map[string]tea.Msg{"down": tea.KeyMsg{Type: tea.KeyDown}, "a page": tea.KeyMsg{Type: tea.KeyPgDown}, "the end": tea.KeyMsg{Type: tea.KeyEnd}} {
		if a := key(msg); a > 2*few+50 {
			t.Errorf("%s: %.0f allocations, %.0f in a list of 40 rows", name, a, few)
		}
	}
}

// BenchmarkBudgetScreen prints how long a key and what it draws take in a list of 100,000
// rows: to move, to search and to change the size, in milliseconds.
func BenchmarkBudgetScreen(b *testing.B) {
	m := pressed(loadedHome(newSample(100_000).frame(true, 120, 40)), "2")
	wide := false
	for _, c := range []struct {
		name   string
		before func()
		msg    func() tea.Msg
	}{
		{"move", func() {}, func() tea.Msg { return tea.KeyMsg{Type: tea.KeyPgDown} }},
		{"search", func() { m = pressed(m, "esc", "/") }, func() tea.Msg { return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("9")} }},
		{"search, none", func() { m = pressed(m, "esc", "/") }, func() tea.Msg { return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("#")} }},
		{"size", func() { m = pressed(m, "esc") }, func() tea.Msg {
			wide = !wide
			return tea.WindowSizeMsg{Width: map[bool]int{true: 100, false: 120}[wide], Height: 40}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			best := time.Hour // whatever else runs only slows
			for range 15 * b.N {
				c.before()
				msg := c.msg()
				start := time.Now()
				m.Update(msg)
				m.View()
				best = min(best, time.Since(start))
			}
			b.ReportMetric(float64(best.Microseconds())/1000, "ms")
			b.ReportMetric(16, "budget-max")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// Keys that arrive together are keys one by one, and what stands behind one that asks a
// question answers nothing.
func TestScreenKeysTogether(t *testing.T) {
	m := loadedHome(newSample(12).frame(false, 80, 24))
	if m = pressed(m, "jjk"); m.seen().cursor != 1 {
		t.Errorf("cursor %d", m.seen().cursor)
	}
	if m = pressed(m, "/smith", "enter"); m.seen().body.search != "smith" || len(m.stack) != 1 {
		t.Errorf("%q is searched, %d pages", m.seen().body.search, len(m.stack))
	}
	m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("jj"), Paste: true})
	if m.seen().cursor != 0 {
		t.Error("a paste moves")
	}
	if _, quit := step(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("Lq2")}); !quit && m.err != ErrLock || len(m.stack) != 1 {
		t.Errorf("behind the lock: %v, %d pages", m.err, len(m.stack))
	}
}

func TestScreenStopsWhileSearching(t *testing.T) {
	m := pressed(loadedHome(newSample(3).frame(false, 80, 24)), "/", "a")
	_, cmd := m.Update(tea.KeyMsg{Type: tea.KeyCtrlZ})
	if cmd == nil {
		t.Fatal("ctrl-Z does nothing")
	}
	if _, ok := cmd().(tea.SuspendMsg); !ok || m.seen().body.search != "a" {
		t.Errorf("%q is searched", m.seen().body.search)
	}
}

// Where the keys have no room, the way back stays.
func TestScreenKeyLineKeepsTheWayBack(t *testing.T) {
	s, _ := leading(12)
	m := pressed(loadedHome(s.frame(false, 80, 24)), "2")
	for _, width := range []int{80, 70, 60, 54} {
		last := strings.Split(size(m, width, 24).View(), "\n")[23]
		if !strings.Contains(last, "esc: back") || !strings.HasPrefix(last, "enter: open  x: revoke") || strings.Contains(last, "again") {
			t.Errorf("%d: %q", width, last)
		}
	}
}

// Without a line of its own, what is searched and what there is to say stands in the title's.
func TestScreenOfFiveLinesSaysWhatIsSearched(t *testing.T) {
	s, _ := leading(12)
	m := pressed(loadedHome(s.frame(false, 20, 5)), "2")
	for _, c := range []struct{ keys, want string }{
		{"down down space space", "2 marked"}, {"/ s m", "1 found: sm_  2 m..."}, {"esc / z", "0 found: z_  2 ma..."},
	} {
		m = pressed(m, strings.Fields(c.keys)...)
		if got := strings.Split(m.View(), "\n")[0]; got != c.want {
			t.Errorf("%s: %q", c.keys, got)
		}
	}
	m = pressed(loadedHome(newSample(3).frame(false, 20, 5)), "esc")
	if got := strings.Split(m.View(), "\n")[0]; got != "q ends" {
		t.Errorf("%q", got)
	}
}

// A page begins with its first line, and no key does anything with a row that is not seen.
func TestScreenBeginsWithItsFirstLine(t *testing.T) {
	for _, key := range []string{"enter", "x", "down", "pgdown"} {
		s, got := leading(12)
		m := loadedHome(s.frame(false, 20, 5))
		if !strings.Contains(m.View(), "12 records") || strings.Contains(m.View(), ">") {
			t.Fatal(m.View())
		}
		for range 20 {
			if m = pressed(m, key); strings.Contains(m.View(), "> Dr") {
				break
			}
		}
		if len(m.stack) != 1 || *got != nil || m.seen().cursor != 0 || !strings.Contains(m.View(), "> Dr Smith") {
			t.Errorf("%s: %d pages, for %q:\n%s", key, len(m.stack), *got, m.View())
		}
		if m = pressed(m, "home"); !strings.Contains(m.View(), "12 records") {
			t.Errorf("home:\n%s", m.View())
		}
		if m = pressed(m, "end", "home", "enter", "enter"); len(m.stack) != 2 {
			t.Errorf("%d pages", len(m.stack))
		}
	}
}

// All keys are seen at once.
func TestScreenHelpFits(t *testing.T) {
	s, _ := leading(12)
	for _, key := range "abcdefg" { // as many as there are elsewhere
		s.Keys = append(s.Keys, Lead{Key: string(key), Word: "do", Does: strings.Repeat("does ", 12), Of: "consent"})
	}
	m := pressed(loadedHome(s.frame(false, 80, 24)), "?")
	if got := m.View(); strings.Contains(got, "line 1-") || strings.Count(got, "\nspace") != 1 || !strings.Contains(got, "5 minutes") {
		t.Errorf("it does not fit:\n%s", got)
	}
}
