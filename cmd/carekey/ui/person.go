package ui

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	tea "github.com/charmbracelet/bubbletea"
)

// Person is who answers questions, at a terminal as it is or within a screen. What they do
// is that of the functions of the same names.
type Person interface {
	Choose(ctx context.Context, title string, items []Item, multi bool) ([]int, error)
	Confirm(ctx context.Context, preview, rest, question, word string) (bool, error)
	Line(ctx context.Context, question string) (string, error)
}

// Seat is a person at a terminal as it is.
type Seat struct{ In, Out *os.File }

func (s Seat) Choose(ctx context.Context, title string, items []Item, multi bool) ([]int, error) {
	return Choose(ctx, s.In, s.Out, title, items, multi)
}

func (s Seat) Confirm(ctx context.Context, preview, rest, question, word string) (bool, error) {
	return Confirm(ctx, s.In, s.Out, preview, rest, question, word)
}

func (s Seat) Line(ctx context.Context, question string) (string, error) {
	return Line(ctx, s.In, s.Out, question)
}

// question is a prompt of any kind.
type question interface {
	key(key tea.KeyMsg, w window) (question, bool)
	view(w window, end ending) string
}

// put is a prompt as one of any kind.
type put[P asking[P]] struct{ of P }

func (q put[P]) key(key tea.KeyMsg, w window) (question, bool) {
	of, done := q.of.key(key, w)
	return put[P]{of}, done
}

func (q put[P]) view(w window, end ending) string { return q.of.view(w, end) }

// asker puts questions into a frame.
type asker struct {
	of     *level
	serial int
	on     *Page // what was said since the last question stands above the next
	style  style
	asks   chan asked
}

// asked is a question, and what stands above it. Whoever closes answer leaves it without one.
type asked struct {
	of     *level
	serial int
	page   *Page
	what   question
	answer chan question
}

// ask puts a question and waits for its answer.
func ask[P asking[P]](ctx context.Context, a *asker, above string, of P) (P, error) {
	page := &Page{Title: a.on.Title, Sections: a.on.Sections}
	a.on.Sections = nil
	if above = strings.TrimRight(above, "\n"); above != "" {
		page.Say(above)
	}
	page.prepare()
	q := asked{a.of, a.serial, page, put[P]{of}, make(chan question, 1)}
	select {
	case a.asks <- q:
	case <-ctx.Done():
		return of, canceled(ctx)
	}
	select {
	case got, ok := <-q.answer:
		if !ok {
			return of, ErrCanceled
		}
		return got.(put[P]).of, nil
	case <-ctx.Done():
		return of, canceled(ctx)
	}
}

func (a *asker) Choose(ctx context.Context, title string, items []Item, multi bool) ([]int, error) {
	if len(items) == 0 {
		return nil, ErrNoItems
	}
	end, err := ask(ctx, a, "", newChoose(title, items, multi, a.style))
	if err != nil {
		return nil, err
	}
	return end.chosen(), nil
}

func (a *asker) Confirm(ctx context.Context, preview, rest, question, word string) (bool, error) {
	for text := preview; ; text = strings.TrimRight(preview, "\n") + "\n\n" + rest {
		end, err := ask(ctx, a, text, confirmModel{question: cli.Clean(question), word: word, more: rest != "", style: a.style})
		if err != nil || !end.list {
			return end.yes, err
		}
	}
}

func (a *asker) Line(ctx context.Context, question string) (string, error) {
	end, err := ask(ctx, a, "", lineModel{question: cli.CleanText(question), style: a.style})
	return strings.TrimSpace(end.typed), err
}

// lineModel is Line within a frame.
type lineModel struct {
	question, typed string
	style           style
}

func (m lineModel) key(key tea.KeyMsg, _ window) (lineModel, bool) {
	if key.Type == tea.KeyEnter {
		return m, true
	}
	m.typed = edited(m.typed, key, maxLine, visible)
	return m, false
}

func (m lineModel) view(w window, _ ending) string {
	var lines []string
	for _, line := range Wrap(m.question, w.width) {
		lines = append(lines, m.style.bold(line))
	}
	typed := Wrap("> "+m.typed+"_", w.width)
	return joinLines(append(append(lines, typed[max(0, len(typed)-3):]...), "", m.style.keysLine(w.width, "enter: take it    esc: stop", "enter  esc: stop")))
}

// Back is how an act ends that has nothing to show: the page before is seen again, with this
// said.
type Back string

func (b Back) Error() string { return string(b) }

// arming is how long a question stands there before it takes a key: one that was pressed
// before nobody has read.
const arming = 250 * time.Millisecond

type armed struct{ answer chan question }

// act begins what a view does, and puts its questions.
func (m *frame) act(sh *level, ctx context.Context, serial int) tea.Cmd {
	on := &Page{Title: sh.view.Title}
	a := &asker{of: sh, serial: serial, on: on, style: m.style, asks: make(chan asked)}
	sh.asks = a.asks
	do := command(func() tea.Msg {
		m.acting.Lock()
		defer m.acting.Unlock()
		err := sh.view.Act(ctx, on, a)
		on.prepare()
		close(a.asks)
		return loaded{sh, serial, on, err}
	})
	return tea.Batch(do, m.listen(sh))
}

// listen waits for the next question.
func (m *frame) listen(sh *level) tea.Cmd {
	asks := sh.asks
	return command(func() tea.Msg {
		if q, ok := <-asks; ok {
			return q
		}
		return nil
	})
}

// busy reports whether something is being done that nobody is asked about.
func (sh *level) busy() bool { return sh.view.Act != nil && sh.stop != nil && sh.asked == nil }

// puts shows a question, if it is still wanted.
func (m *frame) puts(q asked) tea.Cmd {
	sh := q.of
	if sh.stop == nil || sh.serial != q.serial {
		close(q.answer)
		return nil
	}
	sh.asked, sh.armed, sh.read = &q, false, false
	sh.page, sh.body, sh.cursor, sh.top = q.page, nil, 0, 0
	wait := tea.Tick(arming, func(time.Time) tea.Msg { return armed{q.answer} })
	return command(func() tea.Msg { return wait() })
}

// answer takes a key for a question.
func (m *frame) answer(sh *level, key tea.KeyMsg) tea.Cmd {
	q := sh.asked
	_, list := q.what.(put[chooseModel])
	height, _ := m.room()
	switch {
	case key.Type == tea.KeyEsc:
		close(q.answer)
		sh.asked = nil
		return m.listen(sh)
	case list && sh.armed:
	case key.Type == tea.KeyUp:
		sh.top--
		return nil
	case key.Type == tea.KeyDown:
		sh.top++
		return nil
	case key.Type == tea.KeyPgUp:
		sh.top -= max(1, height-1)
		return nil
	case key.Type == tea.KeyPgDown:
		sh.top += max(1, height-1)
		return nil
	case key.Type == tea.KeyEnd:
		sh.top = 1 << 30
		return nil
	}
	if !sh.armed {
		return nil
	}
	of, done := q.what.key(key, m.forPrompt(sh))
	if c, ok := of.(put[confirmModel]); ok && done && c.of.yes && (m.hides(sh) || !sh.read) { // nobody says yes to what she has not seen
		return nil
	}
	q.what = of
	if !done {
		return nil
	}
	q.answer <- of
	sh.asked = nil
	return m.listen(sh)
}

// reads notes that the end of what a question is about is seen. It is done where that is drawn.
func (m *frame) reads(sh *level) {
	height, _ := m.room()
	sh.read = sh.read || !m.hides(sh) && sh.top+height >= sh.body.height
}

// hides reports whether a window has no room for any line of what a question is about.
func (m *frame) hides(sh *level) bool {
	height, _ := m.room()
	return height == 0 && sh.body != nil && sh.body.height > 0
}

// forPrompt is how much of the window a prompt can have: some of what stands above it is
// always seen.
func (m *frame) forPrompt(sh *level) window {
	w := m.window
	w.height -= 5
	if sh.body != nil {
		w.height -= min(sh.body.height, w.height/3)
	}
	w.height = max(1, w.height)
	return w
}

// promptLines are those of a question; they say nothing of its keys before it takes any. What
// it is about has the room of its empty lines where there is little.
func (m *frame) promptLines(sh *level) []string {
	lines := strings.Split(strings.TrimRight(sh.asked.what.view(m.forPrompt(sh), going), "\n"), "\n")
	if m.window.height < 10 {
		lines = slices.DeleteFunc(lines, func(line string) bool { return line == "" })
	}
	if !sh.armed {
		lines[len(lines)-1] = ""
	}
	return lines[max(0, len(lines)-m.window.height):]
}

// unseen says why a question takes no yes yet, in place of its keys.
func (m *frame) unseen(sh *level, lines []string) {
	c, ok := sh.asked.what.(put[confirmModel])
	if !ok || !sh.armed || sh.read && !m.hides(sh) {
		return
	}
	long, short := "page down: read to the end, then yes    n: no", "down: more  esc: stop"
	switch {
	case m.hides(sh):
		long, short = "no yes: what this is about has no room here", "too small  esc: stop"
	case c.of.word != "":
		long = "page down: read to the end, then " + cli.Clean(c.of.word)
	case c.of.more:
		long += "    l: list it"
	}
	lines[len(lines)-1] = m.style.keysLine(m.window.width, long+"    esc: stop", short)
}
