package ui

import (
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
)

// pasted is text that arrives as one message.
func pasted(text string) tea.KeyMsg {
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(text), Paste: true}
}

// vegetables is a list of words to complete from.
var vegetables = []string{"bean", "beet", "carrot", "leek", "lettuce", "onion", "pea", "pear"}

func vegetable(prefix string) (found []string) {
	for _, v := range vegetables {
		if strings.HasPrefix(v, prefix) {
			found = append(found, v)
		}
	}
	return found
}

// threeOf accepts carrot leek onion only.
func threeOf(words []string) (string, []int) {
	if strings.Join(words, " ") == "carrot leek onion" {
		return "", nil
	}
	return "These words do not belong together: look at word 2.", []int{1}
}

func entering(n int, complete func(string) []string, check func([]string) (string, []int)) prompt[enterModel] {
	return prompt[enterModel]{of: enterModel{words: make([]string, n), complete: complete, check: check}}
}

func TestEnterWords(t *testing.T) {
	start := size(entering(3, vegetable, threeOf), 80, 24)
	for _, c := range []struct {
		name  string
		keys  []string
		words string
		at    int
		done  bool
	}{
		{"beginnings", []string{"ca", "enter", "LEE", "space", "o", "tab"}, "carrot leek onion", 2, true},
		{"a word that begins another", []string{"pea", "enter"}, "pea", 1, false},
		{"beginning of two", []string{"be", "enter"}, "", 0, false},
		{"no such word", []string{"zebra", "enter"}, "", 0, false},
		{"nothing typed", []string{"enter", "enter"}, "", 0, false},
		{"corrected", []string{"cx", "backspace", "ar", "enter"}, "carrot", 1, false},
		{"back to the one before", []string{"ca", "enter", "backspace", "backspace", "backspace", "enter"}, "carrot", 1, false},
		{"wrong, looked at and replaced", []string{"ca", "enter", "le", "t", "enter", "o", "enter", "leek", "enter"}, "carrot leek onion", 1, true},
		{"an arrow keeps what is whole", []string{"ca", "down", "down", "o", "up", "leek", "enter"}, "carrot leek onion", 1, true},
	} {
		m, quit := press(start, c.keys...)
		if got := strings.TrimSpace(strings.Join(m.of.words, " ")); got != c.words || m.of.at != c.at || (m.end == answered) != c.done || quit != c.done {
			t.Errorf("%s: %q at %d, done %v, quit %v", c.name, got, m.of.at, m.end == answered, quit)
		}
		if quit && m.View() != "" {
			t.Errorf("%s: the last view is not empty", c.name)
		}
	}
	if m, quit := send(start, pasted("1. carrot\n2. leek\n3. onion\n")); !quit || m.end != answered {
		t.Errorf("pasted: %q", m.of.words)
	}
	if m, quit := press(start, "ca", "esc"); !quit || m.end != left || m.View() != "" {
		t.Error("escape does not leave")
	}
	wrong, _ := press(start, "ca", "enter", "let", "enter", "o", "enter")
	golden(t, "enter", size(entering(24, vegetable, threeOf), 80, 24).View())
	golden(t, "enter_wrong", wrong.View())
	typing, _ := press(start, "le")
	golden(t, "enter_typing", typing.View())
	golden(t, "enter_narrow", size(typing, 24, 6).View())
	golden(t, "enter_tiny", size(typing, 12, 3).View())
	if m := entering(3, vegetable, threeOf); m.View() != "" {
		t.Error("drawn before the size is known")
	}
}

func TestCheckWords(t *testing.T) {
	start := size(prompt[wordsModel]{of: wordsModel{words: numbered, blind: true, asked: []int{0, 23}}}, 80, 24)
	for _, c := range []struct {
		name  string
		keys  []string
		end   ending
		wrong bool
	}{
		{"right", []string{"wordaaaa", "enter", "WORDXXXX", "enter"}, answered, false},
		{"empty is no answer", []string{"enter", "enter", "enter", "enter"}, going, false},
		{"wrong twice", []string{"x", "enter", "y", "enter", "wordaaaa", "enter", "wordxxxx", "enter"}, answered, false},
		{"wrong three times", []string{"x", "enter", "y", "enter", "z", "enter"}, answered, true},
		{"escape", []string{"x", "esc"}, left, false},
	} {
		m, quit := press(start, c.keys...)
		if m.end != c.end || (m.of.wrong == tries) != c.wrong || quit != (c.end != going) || quit && m.View() != "" {
			t.Errorf("%s: %d, quit %v", c.name, m.end, quit)
		}
	}
	wrong, _ := press(start, "x", "enter", "wo")
	golden(t, "check", start.View())
	golden(t, "check_wrong", wrong.View())
	if strings.Contains(wrong.View(), numbered[0]) {
		t.Error("a word is shown")
	}
	if got := someOf(24, checkedWords); len(got) != checkedWords || got[0] == got[1] {
		t.Errorf("asked for %v", got)
	}
}

func TestShowWordsAsksForNone(t *testing.T) {
	m := size(showing(numbered, nil, false), 80, 24)
	golden(t, "words_show", m.View())
	m, quit := press(m, "enter")
	if !quit || m.end != answered || m.View() != "" {
		t.Errorf("ended %d, quit %v", m.end, quit)
	}
}
