package ui

import (
	"context"
	"fmt"
	"os"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// EnterWords lets a person type n words from paper, in the alternate screen, which
// is wiped before it is left. complete returns the words of the list that begin
// with what was typed; a word is taken once what was typed is a word or the
// beginning of exactly one. check judges the whole and says what is wrong, and at
// which positions (from 0) a person should look; it goes on until check is
// content.
func EnterWords(ctx context.Context, in, out *os.File, n int, complete func(prefix string) []string, check func(words []string) (wrong string, at []int)) ([]string, error) {
	end, err := secretScreen(ctx, in, out, newEnter(n, styled(), complete, check))
	if err != nil {
		return nil, err
	}
	if !end.done {
		return nil, ErrCanceled
	}
	return end.words, nil
}

// enterModel is the screen of EnterWords. Width and height are 0 until known.
type enterModel struct {
	words         []string // "" = not entered yet
	style         style
	complete      func(string) []string
	check         func([]string) (string, []int)
	width, height int

	at     int // word that is being typed
	typed  string
	wrong  string // what is wrong with the words or the last one typed
	look   []int  // positions to look at
	done   bool
	leaves bool
}

func newEnter(n int, s style, complete func(string) []string, check func([]string) (string, []int)) enterModel {
	return enterModel{words: make([]string, n), style: s, complete: complete, check: check}
}

func (m enterModel) Init() tea.Cmd { return nil }

func (m enterModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		if m.width <= 0 || m.height <= 0 {
			m.width, m.height = 80, 24
		}
	case tea.KeyMsg:
		if msg.Type == tea.KeyEsc || msg.Type == tea.KeyCtrlC {
			m.leaves = true
			return m, tea.Quit
		}
		if m.width == 0 || m.done {
			return m, nil
		}
		m.words = append([]string(nil), m.words...)
		return m.key(msg)
	}
	return m, nil
}

func (m enterModel) key(key tea.KeyMsg) (tea.Model, tea.Cmd) {
	switch key.String() {
	case "up", "shift+tab":
		return m.moveTo(max(0, m.at-1)), nil
	case "down":
		return m.moveTo(min(len(m.words)-1, m.at+1)), nil
	case "backspace":
		if m.typed == "" && m.words[m.at] == "" && m.at > 0 {
			return m.moveTo(m.at - 1), nil
		}
		if m.typed == "" {
			m.typed, m.words[m.at] = m.words[m.at], ""
		}
	case "tab", "enter", " ":
		return m.take()
	}
	if key.Type == tea.KeyRunes && strings.ContainsAny(string(key.Runes), " \n\r\t") {
		return m.paste(string(key.Runes))
	}
	if t := typeWord(m.typed, key); t != m.typed {
		if m.words[m.at] != "" && m.typed == "" {
			m.words[m.at] = "" // typing over a word replaces it
		}
		m.typed, m.wrong = t, ""
	}
	return m, nil
}

// paste takes words separated by spaces or lines.
func (m enterModel) paste(text string) (tea.Model, tea.Cmd) {
	for _, word := range strings.Fields(text) {
		word = strings.Trim(word, "0123456789.:)")
		if word == "" {
			continue // the number before a word
		}
		m.typed = typeWord("", tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(word)})
		next, cmd := m.take()
		m = next.(enterModel)
		if cmd != nil || m.wrong != "" {
			return m, cmd
		}
	}
	return m, nil
}

func (m enterModel) moveTo(at int) enterModel {
	if full := m.match(); full != "" {
		m.words[m.at] = full
	}
	m.at, m.typed, m.wrong = at, "", ""
	return m
}

// match is the one word that was typed or begun; "" if there is none or several.
func (m enterModel) match() string {
	if m.typed == "" {
		return ""
	}
	found := m.complete(m.typed)
	if len(found) == 1 || len(found) > 1 && found[0] == m.typed {
		return found[0]
	}
	return ""
}

// take accepts what was typed and goes on to the next word that is missing.
func (m enterModel) take() (tea.Model, tea.Cmd) {
	if m.typed != "" {
		full := m.match()
		if full == "" {
			m.wrong = fmt.Sprintf("Word %d: more than one word begins like that.", m.at+1)
			if len(m.complete(m.typed)) == 0 {
				m.wrong = fmt.Sprintf("Word %d: no word of the list begins like that.", m.at+1)
			}
			return m, nil
		}
		m.words[m.at], m.typed = full, ""
	}
	if m.words[m.at] == "" {
		return m, nil
	}
	m.wrong, m.look = "", nil
	for i := range m.words {
		if j := (m.at + 1 + i) % len(m.words); m.words[j] == "" {
			m.at = j
			return m, nil
		}
	}
	if m.wrong, m.look = m.check(m.words); m.wrong != "" {
		if len(m.look) > 0 {
			m.at = m.look[0]
		}
		return m, nil
	}
	m.done = true
	return m, tea.Quit
}

func (m enterModel) View() string {
	if m.width == 0 || m.done || m.leaves {
		return ""
	}
	const indent = "  "
	var lines []string
	add := func(paint func(string) string, text string) {
		lines = append(lines, fit(indent, m.width)+paint(fit(text, m.width-len(indent))))
	}
	same := func(t string) string { return t }
	add(m.style.bold, fmt.Sprintf("Type your %d words from your paper", len(m.words)))
	lines = append(lines, "")
	const across, between = 3, "      "
	if grid := m.grid(across, between); m.width >= len(indent)+across*cellWidth+(across-1)*len(between) && m.height >= len(grid)+8 {
		for _, l := range grid {
			add(same, l)
		}
		lines = append(lines, "")
	}
	add(same, fmt.Sprintf("Word %d: %s_", m.at+1, m.typed))
	add(m.style.faint, m.suggestions())
	if m.wrong != "" {
		for _, l := range wrap(m.wrong, max(1, m.width-2*len(indent))) {
			add(m.style.danger, l)
		}
	}
	lines = append(lines, "", m.style.keysLine(m.width, "  enter: next word    up, down: another word    esc: stop", "  enter  up/down  esc"))
	if m.height < len(lines) {
		lines = []string{fit(fmt.Sprintf("Word %d: %s_", m.at+1, m.typed), m.width)}
	}
	return joinLines(lines)
}

// suggestions are the words that what was typed may become.
func (m enterModel) suggestions() string {
	switch {
	case m.typed == "" && m.words[m.at] != "":
		return "now " + m.words[m.at] + "; type to replace it"
	case m.typed == "":
		return "four letters of a word are enough"
	}
	found := m.complete(m.typed)
	switch {
	case len(found) == 0:
		return "no word of the list begins like that"
	case len(found) > 6:
		return strings.Join(found[:6], " ") + " ..."
	}
	return strings.Join(found, " ")
}

// grid are all the words in columns, read downwards; the one being typed is marked
// with >, those to look at with ?.
func (m enterModel) grid(across int, between string) []string {
	rows := (len(m.words) + across - 1) / across
	lines := make([]string, rows)
	for i, word := range m.words {
		mark := "."
		for _, l := range m.look {
			if l == i {
				mark = "?"
			}
		}
		if i == m.at {
			mark = ">"
		}
		if i >= rows {
			lines[i%rows] += between
		}
		lines[i%rows] += fmt.Sprintf("%2d%s %-8s", i+1, mark, word)
	}
	return lines
}

func joinLines(lines []string) string { return strings.Join(lines, "\n") }
