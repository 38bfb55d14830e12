package ui

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// EnterWords lets a person type n words from paper, in the alternate screen, which
// is wiped before it is left. complete returns the words of the list that begin
// with what was typed; a word is taken once what was typed is a word or the
// beginning of exactly one. check judges the whole and says what is wrong, and at
// which positions (from 0) a person should look; it goes on until check is
// content.
func EnterWords(ctx context.Context, in, out *os.File, n int, complete func(prefix string) []string, check func(words []string) (wrong string, at []int)) error {
	_, err := secretScreen(ctx, in, out, enterModel{words: make([]string, n), style: styled(), complete: complete, check: check})
	return err
}

// enterModel is the screen of EnterWords.
type enterModel struct {
	words    []string // "" = not entered yet
	style    style
	complete func(string) []string
	check    func([]string) (string, []int)

	at    int // word that is being typed
	typed string
	wrong string // what is wrong with the words or the last one typed
	look  []int  // positions to look at
}

func (m enterModel) key(key tea.KeyMsg, _ window) (enterModel, bool) {
	m.words = slices.Clone(m.words)
	switch key.String() {
	case "up", "shift+tab":
		return m.moveTo(max(0, m.at-1)), false
	case "down":
		return m.moveTo(min(len(m.words)-1, m.at+1)), false
	case "backspace":
		if m.typed == "" && m.words[m.at] == "" && m.at > 0 {
			return m.moveTo(m.at - 1), false
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
	return m, false
}

// paste takes words separated by spaces or lines.
func (m enterModel) paste(text string) (_ enterModel, done bool) {
	for _, word := range strings.Fields(text) {
		m.typed = typeWord("", tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(word)})
		if m.typed == "" {
			continue // the number before a word
		}
		if m, done = m.take(); done || m.wrong != "" {
			break
		}
	}
	return m, done
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
func (m enterModel) take() (enterModel, bool) {
	if m.typed != "" {
		full := m.match()
		if full == "" {
			m.wrong = fmt.Sprintf("Word %d: more than one word begins like that.", m.at+1)
			if len(m.complete(m.typed)) == 0 {
				m.wrong = fmt.Sprintf("Word %d: no word of the list begins like that.", m.at+1)
			}
			return m, false
		}
		m.words[m.at], m.typed = full, ""
	}
	if m.words[m.at] == "" {
		return m, false
	}
	m.wrong, m.look = "", nil
	for i := range m.words {
		if j := (m.at + 1 + i) % len(m.words); m.words[j] == "" {
			m.at = j
			return m, false
		}
	}
	if m.wrong, m.look = m.check(m.words); len(m.look) > 0 {
		m.at = m.look[0]
	}
	return m, m.wrong == ""
}

func (m enterModel) view(w window, end ending) string {
	if end != going {
		return ""
	}
	line := func(paint func(string) string, text string) string { return paint(fit(indent+text, w.width)) }
	word := fmt.Sprintf("Word %d: %s_", m.at+1, m.typed)
	lines := []string{line(m.style.bold, fmt.Sprintf("Type your %d words from your paper", len(m.words))), ""}
	if words := grid(m.words, w.width, m.mark); words != nil && w.height >= len(words)+8 {
		lines = append(append(lines, words...), "")
	}
	lines = append(lines, line(style(false).bold, word), line(m.style.faint, m.suggestions()))
	if m.wrong != "" {
		for _, l := range Wrap(m.wrong, max(1, w.width-2*len(indent))) {
			lines = append(lines, line(m.style.danger, l))
		}
	}
	lines = append(lines, "", m.style.keysLine(w.width, "  enter: next word    up, down: another word    esc: stop", "  enter  up/down  esc"))
	if w.height < len(lines) {
		return fit(word, w.width)
	}
	return joinLines(lines)
}

// mark is > for the word that is being typed, and ? for those to look at.
func (m enterModel) mark(i int) string {
	switch {
	case i == m.at:
		return ">"
	case slices.Contains(m.look, i):
		return "?"
	}
	return "."
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
