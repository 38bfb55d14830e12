package ui

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/carekey/carekey/cmd/cli"
	tea "github.com/charmbracelet/bubbletea"
)

// Confirm prints the preview, in full and as ordinary lines so that a long one
// can be scrolled back to, and asks the question beneath it. The answer that
// takes no thought is no. With danger set, yes has to be typed out.
//
// Preview and question pass through cli.CleanText. Pasted text never answers, nor does
// what was typed before the question stood there.
func Confirm(ctx context.Context, in, out *os.File, preview, question string, danger bool) (bool, error) {
	word := ""
	if danger {
		word = "yes"
	}
	return confirm(ctx, in, out, preview, question, word)
}

// ConfirmName is Confirm for what must not happen to the wrong thing: its name has
// to be typed out.
func ConfirmName(ctx context.Context, in, out *os.File, preview, question, name string) (bool, error) {
	return confirm(ctx, in, out, preview, question, name)
}

// confirm asks; word is what has to be typed for a yes, "" if a key will do.
func confirm(ctx context.Context, in, out *os.File, preview, question, word string) (bool, error) {
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
	end, err := run(ctx, in, out, newConfirm(question, word, styled()))
	if err != nil {
		return false, err
	}
	if end.answer == unanswered {
		return false, ErrCanceled
	}
	return end.answer == answeredYes, nil
}

type answer int

const (
	unanswered answer = iota
	answeredNo
	answeredYes
)

// confirmModel is the question of Confirm.
type confirmModel struct {
	question string
	word     string // has to be typed for a yes; "" if a key will do
	style    style
	width    int // 0 until known

	yes    bool   // the cursor is on yes
	typed  string // towards word
	ended  bool
	answer answer
}

func newConfirm(question, word string, s style) confirmModel {
	return confirmModel{question: cli.Clean(question), word: word, style: s}
}

func (m confirmModel) Init() tea.Cmd { return nil }

func (m confirmModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width = msg.Width
	case tea.KeyMsg:
		switch {
		case m.ended || msg.Paste:
		case msg.Type == tea.KeyEsc, msg.Type == tea.KeyCtrlC:
			return m.end(unanswered)
		case m.word != "":
			return m.typing(msg)
		default:
			return m.choosing(msg)
		}
	}
	return m, nil
}

func (m confirmModel) end(a answer) (tea.Model, tea.Cmd) {
	m.ended, m.answer = true, a
	return m, tea.Quit
}

func (m confirmModel) choosing(key tea.KeyMsg) (tea.Model, tea.Cmd) {
	switch key.String() {
	case "y", "Y":
		return m.end(answeredYes)
	case "n", "N":
		return m.end(answeredNo)
	case "up", "down", "left", "right", "j", "k", "tab":
		m.yes = !m.yes
	case "enter":
		if m.yes {
			return m.end(answeredYes)
		}
		return m.end(answeredNo)
	}
	return m, nil
}

func (m confirmModel) typing(key tea.KeyMsg) (tea.Model, tea.Cmd) {
	switch key.Type {
	case tea.KeyEnter:
		if isWord(m.typed, m.word) {
			return m.end(answeredYes)
		}
		return m.end(answeredNo)
	case tea.KeyBackspace:
		_, n := utf8.DecodeLastRuneInString(m.typed)
		m.typed = m.typed[:len(m.typed)-n]
	case tea.KeyCtrlU:
		m.typed = ""
	case tea.KeyRunes, tea.KeySpace:
		for _, r := range key.Runes {
			if (r == ' ' || cli.Visible(r)) && len(m.typed) < len(m.word)+13 {
				m.typed += string(r)
			}
		}
	}
	return m, nil
}

func (m confirmModel) View() string {
	var b strings.Builder
	paint := m.style.bold
	if m.word != "" {
		paint = m.style.danger
	}
	question := m.question
	if m.ended {
		question += " " + [...]string{"(no answer)", "no", "yes"}[m.answer]
	}
	for _, line := range wrap(question, m.width) {
		b.WriteString(paint(line) + "\n")
	}
	if m.ended {
		return b.String()
	}
	if m.word != "" {
		b.WriteString("\n" + fit("Type "+cli.Clean(m.word)+" if you are sure: "+m.typed+"_", m.width) + "\n\n")
		b.WriteString(m.style.keysLine(m.width, "enter: anything but "+cli.Clean(m.word)+" means no    esc: stop", "enter  esc: stop"))
		return b.String()
	}
	option := func(label string, at bool) string {
		if at {
			return "> " + m.style.current(label)
		}
		return "  " + label
	}
	b.WriteString("\n" + option("no", !m.yes) + "\n" + option("yes", m.yes) + "\n\n")
	b.WriteString(m.style.keysLine(m.width, "y/n, or arrows and enter    esc: stop", "y/n  esc: stop"))
	return b.String()
}

// isWord compares what was typed; yes may be written in any case, a name may not.
func isWord(typed, word string) bool {
	typed = strings.TrimSpace(typed)
	return typed == word || word == "yes" && strings.EqualFold(typed, word)
}

// confirmLine is confirm on a plain terminal.
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
