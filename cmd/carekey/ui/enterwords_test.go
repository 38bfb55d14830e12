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

func TestEnterWords(t *testing.T) {
	start := size(newEnter(3, false, vegetable, threeOf), 80, 24)
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
		if got := strings.TrimSpace(strings.Join(m.words, " ")); got != c.words || m.at != c.at || m.done != c.done || quit != c.done {
			t.Errorf("%s: %q at %d, done %v, quit %v", c.name, got, m.at, m.done, quit)
		}
		if m.done && m.View() != "" {
			t.Errorf("%s: the last view is not empty", c.name)
		}
	}
	if m, quit := send(start, pasted("1. carrot\n2. leek\n3. onion\n")); !quit || !m.done {
		t.Errorf("pasted: %q", m.words)
	}
	if m, quit := press(start, "ca", "esc"); !quit || m.done || m.View() != "" {
		t.Error("escape does not leave")
	}
	wrong, _ := press(start, "ca", "enter", "let", "enter", "o", "enter")
	golden(t, "enter", size(newEnter(24, false, vegetable, threeOf), 80, 24).View())
	golden(t, "enter_wrong", wrong.View())
	typing, _ := press(start, "le")
	golden(t, "enter_typing", typing.View())
	golden(t, "enter_narrow", size(typing, 24, 6).View())
	golden(t, "enter_tiny", size(typing, 12, 3).View())
	if m := newEnter(3, false, vegetable, threeOf); m.View() != "" {
		t.Error("drawn before the size is known")
	}
}

func TestCheckWords(t *testing.T) {
	start := size(checkModel{words: numbered, asked: []int{0, 23}}, 80, 24)
	for _, c := range []struct {
		name string
		keys []string
		end  checkEnd
	}{
		{"right", []string{"wordaaaa", "enter", "WORDXXXX", "enter"}, checkRight},
		{"empty is no answer", []string{"enter", "enter", "enter", "enter"}, checkGoing},
		{"wrong twice", []string{"x", "enter", "y", "enter", "wordaaaa", "enter", "wordxxxx", "enter"}, checkRight},
		{"wrong three times", []string{"x", "enter", "y", "enter", "z", "enter"}, checkWrong},
		{"escape", []string{"x", "esc"}, checkCanceled},
	} {
		m, quit := press(start, c.keys...)
		if m.ended != c.end || quit != (c.end != checkGoing) || quit && m.View() != "" {
			t.Errorf("%s: %d, quit %v", c.name, m.ended, quit)
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
	m := size(newWords(numbered, false, nil), 80, 24)
	golden(t, "words_show", m.View())
	m, quit := press(m, "enter")
	if !quit || m.stage != wordsDone || m.View() != "" {
		t.Errorf("stage %d, quit %v", m.stage, quit)
	}
}
