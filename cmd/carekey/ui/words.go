package ui

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/carekey/carekey/crypto/fault"
	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/term"
)

// ErrWordsDiffer says that what a person typed from paper was not what the wallet
// has, three times over.
const ErrWordsDiffer fault.Code = "words-differ"

// Words shows the words in the alternate screen, waits until the person goes
// on, and then asks for two of them, chosen at random; after a wrong answer the
// words are shown again. It returns nil once both were right.
//
// The words are never drawn before the terminal's size is known and never
// beyond it, so that no line scrolls away: a window that is too small shows none.
// Before the alternate screen is left, by whatever way, each of its lines is
// overwritten: some terminals keep or ignore the alternate screen.
//
// A terminal without escape sequences cannot take the words back, so there
// nothing is shown: ErrPlainTerminal.
func Words(ctx context.Context, in, out *os.File, words []string) error {
	_, err := secretScreen(ctx, in, out, wordsModel{words: words, style: styled(), pick: func(n int) []int { return someOf(n, 2) }})
	return err
}

// ShowWords shows the words as Words does and asks for none of them.
func ShowWords(ctx context.Context, in, out *os.File, words []string) error {
	_, err := secretScreen(ctx, in, out, wordsModel{words: words, style: styled()})
	return err
}

// CheckWords asks for some of the words, at positions chosen at random, and shows
// none. It returns nil once all that were asked for were right: a wrong one may be
// typed again twice.
func CheckWords(ctx context.Context, in, out *os.File, words []string) error {
	end, err := secretScreen(ctx, in, out, wordsModel{words: words, style: styled(), blind: true, asked: someOf(len(words), checkedWords)})
	if err == nil && end.wrong == tries {
		err = ErrWordsDiffer
	}
	return err
}

// checkedWords is how many are asked for: who knows five of 24 has the paper.
const checkedWords = 5

// someOf picks k different positions of n, in order. Predicting them gains nobody
// anything.
func someOf(n, k int) []int {
	p := rand.Perm(n)[:min(k, n)]
	slices.Sort(p)
	return p
}

// secretScreen shows a prompt in an alternate screen that is wiped before it is
// left.
func secretScreen[P asking[P]](ctx context.Context, in, out *os.File, of P) (P, error) {
	if !Terminal(in, out) {
		return of, ErrNoTerminal
	}
	if plain() {
		return of, ErrPlainTerminal
	}
	return run(ctx, in, &wipingScreen{out}, of, tea.WithAltScreen())
}

// wordsModel is the screen of Words, ShowWords and CheckWords.
type wordsModel struct {
	words []string
	style style
	pick  func(n int) []int // positions to ask for; nil: none are
	blind bool              // no word is shown

	asked  []int // positions that are asked for, in order; nil: the words are shown
	at     int   // index in asked
	typed  string
	wrong  int // answers to this question, of those who see no words
	missed int // 1-based number of the word that was answered wrongly
}

func (m wordsModel) key(key tea.KeyMsg, w window) (wordsModel, bool) {
	if m.asked == nil {
		if key.Type != tea.KeyEnter && key.Type != tea.KeySpace || m.lines(w) == nil {
			return m, false // what cannot be seen cannot have been written down
		}
		if m.pick == nil {
			return m, true
		}
		m.asked, m.at = m.pick(len(m.words)), 0
		return m, false
	}
	if key.Type != tea.KeyEnter {
		m.typed = typeWord(m.typed, key)
		return m, false
	}
	position, typed := m.asked[m.at], m.typed
	m.typed = ""
	switch {
	case typed == m.words[position]:
		m.at, m.wrong = m.at+1, 0
		return m, m.at == len(m.asked)
	case !m.blind:
		m.asked, m.missed = nil, position+1
	case typed != "":
		m.wrong++
	}
	return m, m.wrong == tries
}

func (m wordsModel) view(w window, end ending) string {
	if end != going {
		return ""
	}
	if m.asked != nil {
		return joinLines(m.questionLines(w))
	}
	lines := m.lines(w)
	if lines == nil {
		lines = Wrap("Window too small for the words: please enlarge it.", w.width)
		lines = lines[:min(len(lines), w.height)]
	}
	return joinLines(lines)
}

// How the words are laid out: a number and a word, in columns.
const (
	indent    = "  "
	between   = "      "
	cellWidth = len("24. absolute")
)

// grid lays words out in at most three columns, read downwards; mark is what stands
// after a word's number. It is nil if the window is too narrow.
func grid(words []string, width int, mark func(i int) string) []string {
	across := min(3, (width-len(indent)+len(between))/(cellWidth+len(between)))
	if across < 1 {
		return nil
	}
	rows := (len(words) + across - 1) / across
	lines := make([]string, rows)
	for i, word := range words {
		lead := between
		if i < rows {
			lead = indent
		}
		lines[i%rows] += lead + fmt.Sprintf("%2d%s %-8s", i+1, mark(i), word)
	}
	return lines
}

// lines are the whole screen, without the advice where it has no room; nil if even the
// words have none.
func (m wordsModel) lines(w window) []string {
	const advice = "Write them on paper, in this order, and keep the paper where only you " +
		"find it. Whoever has these words has your wallet; without them nobody can bring " +
		"it back. Do not photograph them and do not type them into anything but carekey."
	words := grid(m.words, w.width, func(int) string { return "." })
	if words == nil {
		return nil
	}
	head := append([]string{m.style.bold(fit(indent+fmt.Sprintf("Your %d words", len(m.words)), w.width)), ""}, append(words, "")...)
	var foot []string
	if m.missed > 0 {
		foot = append(m.paragraph(m.style.danger, fmt.Sprintf("Word %d was not what you typed. Compare, then go on.", m.missed), w), "")
	}
	if m.pick == nil {
		foot = append(foot, m.style.keysLine(w.width, indent+"enter: done    esc: stop", "enter  esc"))
	} else {
		foot = append(foot, m.style.keysLine(w.width, indent+"enter: I have written them down    esc: stop", "enter  esc"))
	}
	for _, text := range [][]string{append(m.paragraph(style(false).bold, advice, w), ""), nil} {
		if lines := slices.Concat(head, text, foot); len(lines) <= w.height {
			return lines
		}
	}
	return nil
}

// paragraph is a text below the words.
func (m wordsModel) paragraph(paint func(string) string, text string, w window) (lines []string) {
	for _, line := range Wrap(text, min(w.width-len(indent), 72)) {
		lines = append(lines, indent+paint(line))
	}
	return lines
}

// questionLines ask for one word; a small window has the word alone.
func (m wordsModel) questionLines(w window) []string {
	line := fit(fmt.Sprintf("Word %d: %s_", m.asked[m.at]+1, m.typed), w.width)
	lines := []string{m.style.bold(fit(fmt.Sprintf("  Type from your paper (%d of %d):", m.at+1, len(m.asked)), w.width)), "", indent + line, ""}
	if m.wrong > 0 {
		lines = append(lines, m.style.danger(fit("  That is not this wallet's word. Compare with your paper and type it again.", w.width)), "")
	}
	keys := "  enter: next    enter alone: show the words again    esc: stop"
	if m.blind {
		keys = "  enter: next    esc: stop"
	}
	lines = append(lines, m.style.keysLine(w.width, keys, "  enter  esc"))
	if w.height < len(lines) || w.width < len(indent)+len(line) {
		return []string{line}
	}
	return lines
}

// typeWord is what stands there after a key was pressed while a word is typed.
func typeWord(typed string, key tea.KeyMsg) string {
	return edited(typed, key, 16, func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z':
			return r
		}
		return -1
	})
}

func joinLines(lines []string) string { return strings.Join(lines, "\n") }

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
