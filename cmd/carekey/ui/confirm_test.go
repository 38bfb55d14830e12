package ui

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
)

func TestConfirm(t *testing.T) {
	for _, c := range []struct {
		name   string
		danger bool
		keys   []string
		ended  bool
		answer answer
	}{
		{"enter is no", false, []string{"enter"}, true, answeredNo},
		{"y", false, []string{"y"}, true, answeredYes},
		{"n", false, []string{"n"}, true, answeredNo},
		{"down, enter", false, []string{"down", "enter"}, true, answeredYes},
		{"down and up, enter", false, []string{"down", "up", "enter"}, true, answeredNo},
		{"escape", false, []string{"esc"}, true, unanswered},
		{"control-C", false, []string{"down", "ctrl+c"}, true, unanswered},
		{"other keys", false, []string{"q", "space", "x"}, false, unanswered},
		{"danger: enter is no", true, []string{"enter"}, true, answeredNo},
		{"danger: y is not enough", true, []string{"y"}, false, unanswered},
		{"danger: y and enter is no", true, []string{"y", "enter"}, true, answeredNo},
		{"danger: yes", true, []string{"yes", "enter"}, true, answeredYes},
		{"danger: corrected", true, []string{"yet", "backspace", "s", "space", "enter"}, true, answeredYes},
		{"danger: started over", true, []string{"no", "ctrl+u", "YES", "enter"}, true, answeredYes},
		{"danger: escape", true, []string{"yes", "esc"}, true, unanswered},
	} {
		m, quit := press(size(newConfirm("Grant?", wordOf(c.danger), false), 80, 24), c.keys...)
		if m.ended != c.ended || quit != c.ended || m.answer != c.answer {
			t.Errorf("%s: ended %v, quit %v, answer %d", c.name, m.ended, quit, m.answer)
		}
	}
}

func TestConfirmIgnoresPastedText(t *testing.T) {
	for _, danger := range []bool{false, true} {
		m := newConfirm("Grant?", wordOf(danger), false)
		m, quit := send(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("y"), Paste: true})
		if quit || m.ended {
			t.Error("pasted y answered")
		}
		m, _ = send(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("yes"), Paste: true})
		if m, _ = press(m, "enter"); m.answer != answeredNo {
			t.Error("pasted yes counted")
		}
	}
}

func TestConfirmViews(t *testing.T) {
	m := size(newConfirm("Let Dr \x1b[2JRuiz read 2 records until 21 December 2026?", "", false), 80, 24)
	golden(t, "confirm", m.View())
	m, _ = press(m, "down")
	golden(t, "confirm_yes", m.View())
	m, _ = press(m, "enter")
	golden(t, "confirm_end", m.View())
	narrow := size(newConfirm("Let Dr Ruiz read 2 records until 21 December 2026?", "", false), 24, 24)
	golden(t, "confirm_narrow", narrow.View())
	danger, _ := press(size(newConfirm("Erase this record for ever?", "yes", false), 80, 24), "ye")
	golden(t, "confirm_danger", danger.View())
}

func TestConfirmLine(t *testing.T) {
	for _, c := range []struct {
		in     string
		danger bool
		want   bool
		err    error
	}{
		{"y\n", false, true, nil},
		{"YES\r\n", false, true, nil},
		{"\n", false, false, nil},
		{"n\n", false, false, nil},
		{"what\nyes\n", false, true, nil},
		{"", false, false, ErrCanceled},
		{"y", false, false, ErrCanceled}, // no line: the input ended
		{"y\n", true, false, nil},
		{"yes\n", true, true, nil},
	} {
		var out bytes.Buffer
		got, err := confirmLine(context.Background(), strings.NewReader(c.in), &out, "Grant \x1b?", wordOf(c.danger))
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q, danger %v: %v, %v", c.in, c.danger, got, err)
		}
		if strings.Contains(out.String(), "\x1b") {
			t.Errorf("escape sequence in %q", out.String())
		}
	}
}

// wordOf is what Confirm wants typed.
func wordOf(danger bool) string {
	if danger {
		return "yes"
	}
	return ""
}

func TestConfirmName(t *testing.T) {
	for _, c := range []struct {
		keys []string
		want answer
	}{
		{[]string{"Zoë's", "space", "wallet", "enter"}, answeredYes},
		{[]string{"Zoëxx", "backspace", "backspace", "'s wallet", "enter"}, answeredYes},
		{[]string{"zoë's wallet", "enter"}, answeredNo}, // a name is typed as it is
		{[]string{"yes", "enter"}, answeredNo},
		{[]string{"enter"}, answeredNo},
		{[]string{"esc"}, unanswered},
	} {
		m, quit := press(size(newConfirm("Remove?", "Zoë's wallet", false), 80, 24), c.keys...)
		if !quit || m.answer != c.want {
			t.Errorf("%q: answer %d", c.keys, m.answer)
		}
	}
}
