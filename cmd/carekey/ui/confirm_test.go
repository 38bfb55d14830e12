package ui

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
	tea "github.com/charmbracelet/bubbletea"
)

func confirming(question, word string, s style) prompt[confirmModel] {
	return prompt[confirmModel]{of: confirmModel{question: cli.Clean(question), word: word, style: s}}
}

func TestConfirm(t *testing.T) {
	for _, c := range []struct {
		name   string
		danger bool
		keys   []string
		end    ending
		yes    bool
	}{
		{"enter is no", false, []string{"enter"}, answered, false},
		{"y", false, []string{"y"}, answered, true},
		{"n", false, []string{"n"}, answered, false},
		{"Y", false, []string{"Y"}, answered, true},
		{"down, enter", false, []string{"down", "enter"}, answered, false},
		{"escape", false, []string{"esc"}, left, false},
		{"control-C", false, []string{"down", "ctrl+c"}, left, false},
		{"other keys", false, []string{"q", "space", "x"}, going, false},
		{"danger: enter is no", true, []string{"enter"}, answered, false},
		{"danger: y is not enough", true, []string{"y"}, going, false},
		{"danger: y and enter is no", true, []string{"y", "enter"}, answered, false},
		{"danger: yes", true, []string{"yes", "enter"}, answered, true},
		{"danger: corrected", true, []string{"yet", "backspace", "s", "space", "enter"}, answered, true},
		{"danger: started over", true, []string{"no", "ctrl+u", "YES", "enter"}, answered, true},
		{"danger: escape", true, []string{"yes", "esc"}, left, false},
	} {
		m, quit := press(size(confirming("Grant?", wordOf(c.danger), false), 80, 24), c.keys...)
		if m.end != c.end || quit != (c.end != going) || m.of.yes != c.yes {
			t.Errorf("%s: ended %d, quit %v, yes %v", c.name, m.end, quit, m.of.yes)
		}
	}
}

func TestConfirmIgnoresPastedText(t *testing.T) {
	for _, danger := range []bool{false, true} {
		m := size(confirming("Grant?", wordOf(danger), false), 80, 24)
		m, quit := send(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("y"), Paste: true})
		if quit || m.end != going {
			t.Error("pasted y answered")
		}
		m, _ = send(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("yes"), Paste: true})
		if m, _ = press(m, "enter"); m.end != answered || m.of.yes {
			t.Error("pasted yes counted")
		}
	}
}

// What a preview has no room for is there for a key, where there is something, and is no
// answer.
func TestConfirmMore(t *testing.T) {
	for key, list := range map[string]bool{"l": true, "L": true, "y": false} {
		m := size(confirming("Grant?", "", false), 80, 24)
		m.of.more = true
		if m, _ := press(m, key); m.end != answered || m.of.list != list || m.of.yes == list {
			t.Errorf("%s: ended %d, %+v", key, m.end, m.of)
		}
	}
	for _, word := range []string{"", "l"} {
		if m, _ := press(size(confirming("Grant?", word, false), 80, 24), "l"); m.end != going || m.of.list {
			t.Errorf("with the word %q there is nothing to list: ended %d", word, m.end)
		}
	}
	var out bytes.Buffer
	if m, err := confirmLine(context.Background(), strings.NewReader("x\nLIST\n"), &out, "Grant?", "", true); err != nil || !m.list || m.yes {
		t.Errorf("%+v, %v", m, err)
	}
	m := size(confirming("Give this consent?", "", false), 80, 24)
	m.of.more = true
	golden(t, "confirm_more", m.View())
}

func TestConfirmViews(t *testing.T) {
	m := size(confirming("Let Dr \x1b[2JRuiz read 2 records until 21 December 2026?", "", false), 80, 24)
	golden(t, "confirm", m.View())
	m, _ = press(m, "y")
	golden(t, "confirm_end", m.View())
	narrow := size(confirming("Let Dr Ruiz read 2 records until 21 December 2026?", "", false), 24, 24)
	golden(t, "confirm_narrow", narrow.View())
	danger, _ := press(size(confirming("Erase this record for ever?", "yes", false), 80, 24), "ye")
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
		got, err := confirmLine(context.Background(), strings.NewReader(c.in), &out, "Grant \x1b?", wordOf(c.danger), false)
		if got.list || got.yes != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q, danger %v: %v, %v", c.in, c.danger, got.yes, err)
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
		want bool
		end  ending
	}{
		{[]string{"Zoë's", "space", "wallet", "enter"}, true, answered},
		{[]string{"Zoëxx", "backspace", "backspace", "'s wallet", "enter"}, true, answered},
		{[]string{"zoë's wallet", "enter"}, false, answered}, // a name is typed as it is
		{[]string{"yes", "enter"}, false, answered},
		{[]string{"enter"}, false, answered},
		{[]string{"esc"}, false, left},
	} {
		m, quit := press(size(confirming("Remove?", "Zoë's wallet", false), 80, 24), c.keys...)
		if !quit || m.of.yes != c.want || m.end != c.end {
			t.Errorf("%q: ended %d, yes %v", c.keys, m.end, m.of.yes)
		}
	}
}
