package ui

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/term"
)

// Words shows the words in the alternate screen, waits until the person goes
// on, and then asks for two of them, chosen at random; after a wrong answer the
// words are shown again. It returns nil once both were right.
//
// The words are never drawn before the terminal's size is known and never
// beyond it, so that no line scrolls away; in a small window they come in pages.
// Before the alternate screen is left, by whatever way, each of its lines is
// overwritten: some terminals keep or ignore the alternate screen.
//
// A terminal without escape sequences cannot take the words back, so there
// nothing is shown: ErrPlainTerminal.
func Words(ctx context.Context, in, out *os.File, words []string) error {
	return showWords(ctx, in, out, newWords(words, styled(), twoOf))
}

// ShowWords shows the words as Words does and asks for none of them.
func ShowWords(ctx context.Context, in, out *os.File, words []string) error {
	return showWords(ctx, in, out, newWords(words, styled(), nil))
}

func showWords(ctx context.Context, in, out *os.File, m wordsModel) error {
	end, err := secretScreen(ctx, in, out, m)
	if err != nil {
		return err
	}
	if end.stage != wordsDone {
		return ErrCanceled
	}
	return nil
}

// secretScreen shows a model in an alternate screen that is wiped before it is
// left.
func secretScreen[M tea.Model](ctx context.Context, in, out *os.File, m M) (M, error) {
	if !Terminal(in, out) {
		return m, ErrNoTerminal
	}
	if plain() {
		return m, ErrPlainTerminal
	}
	return run(ctx, in, &wipingScreen{out}, m, tea.WithAltScreen())
}

// twoOf picks two different positions, in order. Predicting them gains nobody
// anything.
func twoOf(n int) []int {
	p := rand.Perm(n)[:min(2, n)]
	slices.Sort(p)
	return p
}

type wordsStage int

const (
	wordsShow wordsStage = iota
	wordsAsk
	wordsDone
	wordsCanceled
)

// wordsModel is the screen of Words. Width and height are 0 until known.
type wordsModel struct {
	words         []string
	style         style
	pick          func(n int) []int // positions to ask for; nil: none are
	width, height int

	stage  wordsStage
	first  int   // shown from this word on, if not all fit
	asked  []int // positions to ask for
	at     int   // index in asked
	typed  string
	missed int // 1-based number of the word that was answered wrongly
}

func newWords(words []string, s style, pick func(int) []int) wordsModel {
	return wordsModel{words: words, style: s, pick: pick}
}

func (m wordsModel) Init() tea.Cmd { return nil }

func (m wordsModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		if m.width <= 0 || m.height <= 0 { // a line that does not know its size
			m.width, m.height = 80, 24
		}
		m.first = 0
	case tea.KeyMsg:
		if msg.Type == tea.KeyEsc || msg.Type == tea.KeyCtrlC {
			m.stage = wordsCanceled
			return m, tea.Quit
		}
		if m.width == 0 {
			return m, nil // typed ahead of the first screen
		}
		if m.stage == wordsShow {
			m = m.show(msg)
			if m.stage == wordsDone {
				return m, tea.Quit
			}
			return m, nil
		}
		if m.stage == wordsAsk {
			return m.ask(msg)
		}
	}
	return m, nil
}

// show handles a key while words are on the screen.
func (m wordsModel) show(key tea.KeyMsg) wordsModel {
	page := m.page()
	if page == 0 {
		return m // nothing can be seen, so nothing can have been written down
	}
	switch key.String() {
	case "enter", " ", "right", "pgdown":
		if m.first+page < len(m.words) {
			m.first += page
		} else if m.pick == nil && (key.Type == tea.KeyEnter || key.Type == tea.KeySpace) {
			m.stage = wordsDone
		} else if key.Type == tea.KeyEnter || key.Type == tea.KeySpace {
			m.stage, m.asked, m.at, m.typed, m.missed = wordsAsk, m.pick(len(m.words)), 0, "", 0
		}
	case "left", "pgup":
		m.first = max(0, m.first-page)
	}
	return m
}

// ask handles a key while a word is being typed.
func (m wordsModel) ask(key tea.KeyMsg) (tea.Model, tea.Cmd) {
	m.typed = typeWord(m.typed, key)
	if key.Type == tea.KeyEnter {
		position := m.asked[m.at]
		if m.typed != m.words[position] {
			m.stage, m.first, m.typed = wordsShow, 0, ""
			m.missed = position + 1
			return m, nil
		}
		m.typed = ""
		if m.at++; m.at == len(m.asked) {
			m.stage = wordsDone
			return m, tea.Quit
		}
	}
	return m, nil
}

// typeWord is what stands there after a key was pressed while a word is typed.
func typeWord(typed string, key tea.KeyMsg) string {
	switch key.Type {
	case tea.KeyBackspace:
		return typed[:max(0, len(typed)-1)]
	case tea.KeyCtrlU:
		return ""
	case tea.KeyRunes:
		for _, r := range key.Runes {
			if 'A' <= r && r <= 'Z' {
				r += 'a' - 'A'
			}
			if 'a' <= r && r <= 'z' && len(typed) < 16 {
				typed += string(r)
			}
		}
	}
	return typed
}

func (m wordsModel) View() string {
	if m.width == 0 || m.stage >= wordsDone {
		return ""
	}
	if m.stage == wordsAsk {
		return strings.Join(m.askLines(), "\n")
	}
	if lines, ok := m.fullLines(); ok {
		return strings.Join(lines, "\n")
	}
	return strings.Join(m.pageLines(), "\n")
}

// cell is one numbered word.
func (m wordsModel) cell(i int) string { return fmt.Sprintf("%2d. %-8s", i+1, m.words[i]) }

const cellWidth = len("24. absolute")

// grid lays the words from first to last out in columns, read downwards.
func (m wordsModel) grid(first, last, across int, between string) []string {
	rows := (last - first + across - 1) / across
	lines := make([]string, rows)
	for i := first; i < last; i++ {
		r := (i - first) % rows
		if i-first >= rows {
			lines[r] += between
		}
		lines[r] += m.cell(i)
	}
	return lines
}

// fullLines is the whole screen; ok is false if it does not fit.
func (m wordsModel) fullLines() (lines []string, ok bool) {
	const indent = "  "
	add := func(paint func(string) string, text ...string) {
		for _, t := range text {
			lines = append(lines, indent+paint(t))
		}
	}
	same := func(t string) string { return t }
	width := m.width - len(indent)
	const across, between = 3, "      "
	if width < across*cellWidth+(across-1)*len(between) {
		return nil, false
	}
	text := min(width, 72)
	add(m.style.bold, fmt.Sprintf("Your %d words", len(m.words)))
	lines = append(lines, "")
	add(same, m.grid(0, len(m.words), across, between)...)
	lines = append(lines, "")
	add(same, wrap("Write them on paper, in this order, and keep the paper where only you "+
		"find it. Whoever has these words has your wallet; without them nobody can bring "+
		"it back. Do not photograph them and do not type them into anything but carekey.", text)...)
	lines = append(lines, "")
	if m.missed > 0 {
		add(m.style.danger, wrap(m.missedText(), text)...)
		lines = append(lines, "")
	}
	if m.pick == nil {
		add(m.style.faint, "enter: done    esc: stop")
	} else {
		add(m.style.faint, "enter: I have written them down    esc: stop")
	}
	return lines, len(lines) <= m.height
}

func (m wordsModel) missedText() string {
	return fmt.Sprintf("Word %d was not what you typed. Compare, then go on.", m.missed)
}

// page returns how many words are on the screen at once: all of them, fewer in
// a small window, 0 in one that shows none.
func (m wordsModel) page() int {
	if _, ok := m.fullLines(); ok {
		return len(m.words)
	}
	across, rows := m.pageSize()
	return min(across*rows, len(m.words))
}

func (m wordsModel) pageSize() (across, rows int) {
	if m.width < cellWidth || m.height < 3 {
		return 0, 0
	}
	across = (m.width + 1) / (cellWidth + 1)
	return min(across, 4), m.height - 2
}

// pageLines is the screen for a window that is too small for all the words:
// one line above, the words that fit, one line below.
func (m wordsModel) pageLines() []string {
	page := m.page()
	if page == 0 {
		lines := wrap("Window too small for the words: please enlarge it.", m.width)
		return lines[:min(len(lines), m.height)]
	}
	across, _ := m.pageSize()
	last := min(m.first+page, len(m.words))
	head := fmt.Sprintf("%d-%d of %d (small window)", m.first+1, last, len(m.words))
	if m.missed > 0 && m.first == 0 {
		head = fmt.Sprintf("word %d was wrong; %s", m.missed, head)
	}
	next := "enter: done"
	if last < len(m.words) {
		next = "enter: more"
	}
	lines := []string{m.style.bold(fit(head, m.width))}
	lines = append(lines, m.grid(m.first, last, across, " ")...)
	return append(lines, m.style.keysLine(m.width, next+"  left: back  esc: stop", next))
}

func (m wordsModel) askLines() []string {
	question := fmt.Sprintf("Word %d: ", m.asked[m.at]+1)
	line := fit(question+m.typed+"_", m.width)
	lines := []string{
		m.style.bold(fit("  Type two of the words from your paper:", m.width)), "",
		"  " + line, "",
		m.style.keysLine(m.width, "  enter: next    enter alone: show the words again    esc: stop", "  enter: next  esc: stop"),
	}
	if m.height < len(lines) || m.width < len(line)+2 {
		return []string{line}
	}
	return lines
}

// wipingScreen is a terminal that overwrites its lines before it leaves the
// alternate screen. It goes line by line because clearing the whole screen makes
// some terminals save it to the scrollback. Being a file, it still is a terminal
// for Bubble Tea.
type wipingScreen struct{ *os.File }

// leaveAlternate is how Bubble Tea leaves the alternate screen: DECRST 1049.
const leaveAlternate = "\x1b[?1049l"

// Write implements io.Writer.
func (w *wipingScreen) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(leaveAlternate)) {
		_, height, err := term.GetSize(int(w.Fd()))
		if err != nil || height <= 0 {
			height = 24
		}
		if _, err := w.File.WriteString(wipe(height)); err != nil {
			return 0, err
		}
	}
	return w.File.Write(b)
}

// WriteString implements io.StringWriter, which otherwise would bypass Write.
func (w *wipingScreen) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// wipe erases the lines of a screen one by one and ends in its corner.
func wipe(height int) string {
	var b strings.Builder
	for row := 1; row <= height; row++ {
		fmt.Fprintf(&b, "\x1b[%d;1H\x1b[2K", row)
	}
	b.WriteString("\x1b[H")
	return b.String()
}
