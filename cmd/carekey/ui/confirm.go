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
// A rest is what the preview has no room for: it is printed, in full too, for who asks for
// it, and the question stands there again.
//
// All texts pass through cli.CleanText. Pasted text never answers, nor does what was typed
// before the question stood there.
func Confirm(ctx context.Context, in, out *os.File, preview, rest, question, word string) (bool, error) {
	if !Terminal(in, out) {
		return false, ErrNoTerminal
	}
	for text := preview; ; text = rest {
		if text = strings.TrimRight(cli.CleanText(text), "\n"); text != "" {
			if _, err := fmt.Fprintf(out, "%s\n\n", cli.Wrap(text, cli.Prose(out))); err != nil {
				return false, err
			}
		}
		dropTypedAhead(in)
		ask := func() (confirmModel, error) {
			return run(ctx, in, out, confirmModel{question: cli.Clean(question), word: word, more: rest != "", style: styled()})
		}
		if plain() {
			ask = func() (confirmModel, error) { return confirmLine(ctx, in, out, question, word, rest != "") }
		}
		if end, err := ask(); err != nil || !end.list {
			return end.yes, err
		}
	}
}

// confirmModel is the question of Confirm.
type confirmModel struct {
	question string
	word     string
	more     bool // there is a rest
	style    style

	typed string // towards word
	yes   bool
	list  bool // the rest is asked for
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
	case m.more && strings.EqualFold(key.String(), "l"):
		m.list = true
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
	case end == answered && m.list:
		question += " list"
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
	case m.word == "" && m.more:
		b.WriteString("\n" + m.style.keysLine(w.width, "y: yes    n or enter: no    l: list all of it    esc: stop", "y/n/l  esc: stop"))
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
func confirmLine(ctx context.Context, in io.Reader, out io.Writer, question, word string, more bool) (m confirmModel, err error) {
	hint := "[y/N]"
	if more {
		hint = "[y/N, l: list all of it]"
	}
	if word != "" {
		hint = "(type " + cli.Clean(word) + " if you are sure)"
	}
	for {
		if _, err := io.WriteString(out, cli.Wrap(cli.Clean(question)+" "+hint, cli.Prose(out))+" "); err != nil {
			return m, err
		}
		line, err := readLine(ctx, in)
		if err != nil {
			return m, err
		}
		if word != "" {
			m.yes = isWord(line, word)
			return m, nil
		}
		switch line = strings.ToLower(line); {
		case line == "y" || line == "yes":
			m.yes = true
			return m, nil
		case line == "" || line == "n" || line == "no":
			return m, nil
		case more && (line == "l" || line == "list"):
			m.list = true
			return m, nil
		}
	}
}
