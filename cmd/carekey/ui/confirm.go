package ui

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	tea "github.com/charmbracelet/bubbletea"
)

// Confirm prints the preview, in full and as ordinary lines so that a long one
// can be scrolled back to, and asks the question beneath it. The answer that
// takes no thought is no. If a word is given, it has to be typed for a yes, such as
// the name of what must not be mistaken for another; "" takes a key.
//
// Preview and question pass through cli.CleanText. Pasted text never answers, nor does
// what was typed before the question stood there.
func Confirm(ctx context.Context, in, out *os.File, preview, question, word string) (bool, error) {
	if !Terminal(in, out) {
		return false, ErrNoTerminal
	}
	if preview = strings.TrimRight(cli.CleanText(preview), "\n"); preview != "" {
		if _, err := fmt.Fprintf(out, "%s\n\n", preview); err != nil {
			return false, err
		}
	}
	dropTypedAhead(in)
	if plain() {
		return confirmLine(ctx, in, out, question, word)
	}
	end, err := run(ctx, in, out, confirmModel{question: cli.Clean(question), word: word, style: styled()})
	return end.yes, err
}

// confirmModel is the question of Confirm.
type confirmModel struct {
	question string
	word     string
	style    style

	typed string // towards word
	yes   bool
}

func (m confirmModel) key(key tea.KeyMsg, _ window) (_ confirmModel, answered bool) {
	switch {
	case key.Paste:
	case m.word != "" && key.Type == tea.KeyEnter:
		m.yes = isWord(m.typed, m.word)
		return m, true
	case m.word != "":
		m.typed = edited(m.typed, key, len(m.word)+16, visible)
	case strings.EqualFold(key.String(), "y"):
		m.yes = true
		return m, true
	case key.Type == tea.KeyEnter, strings.EqualFold(key.String(), "n"):
		return m, true
	}
	return m, false
}

func (m confirmModel) view(w window, end ending) string {
	paint, question := m.style.bold, m.question
	if m.word != "" {
		paint = m.style.danger
	}
	switch {
	case end == left:
		question += " (no answer)"
	case end == answered && m.yes:
		question += " yes"
	case end == answered:
		question += " no"
	}
	var b strings.Builder
	for _, line := range Wrap(question, w.width) {
		b.WriteString(paint(line) + "\n")
	}
	switch word := cli.Clean(m.word); {
	case end != going:
	case m.word == "":
		b.WriteString("\n" + m.style.keysLine(w.width, "y: yes    n or enter: no    esc: stop", "y/n  esc: stop"))
	default:
		b.WriteString("\n" + fit("Type "+word+" if you are sure: "+m.typed+"_", w.width) + "\n\n")
		b.WriteString(m.style.keysLine(w.width, "enter: anything but "+word+" means no    esc: stop", "enter  esc: stop"))
	}
	return b.String()
}

// isWord compares what was typed; yes may be written in any case, a name may not.
func isWord(typed, word string) bool {
	typed = strings.TrimSpace(typed)
	return typed == word || word == "yes" && strings.EqualFold(typed, word)
}

// confirmLine is Confirm on a plain terminal.
func confirmLine(ctx context.Context, in io.Reader, out io.Writer, question, word string) (bool, error) {
	hint := "[y/N]"
	if word != "" {
		hint = "(type " + cli.Clean(word) + " if you are sure)"
	}
	for {
		if _, err := fmt.Fprintf(out, "%s %s ", cli.Clean(question), hint); err != nil {
			return false, err
		}
		line, err := readLine(ctx, in)
		if err != nil {
			return false, err
		}
		if word != "" {
			return isWord(line, word), nil
		}
		switch strings.ToLower(line) {
		case "y", "yes":
			return true, nil
		case "", "n", "no":
			return false, nil
		}
	}
}
