package ui

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/lane"
)

// numbered are 24 words that can be told apart in any text.
var numbered = func() (words []string) {
	for i := range 24 {
		words = append(words, "word"+strings.Repeat(string(rune('a'+i)), 4))
	}
	return words
}()

func firstAndLast(n int) []int { return []int{0, n - 1} }

func shown(view string) (words []int) {
	for i, word := range numbered {
		if strings.Contains(view, fmt.Sprintf("%2d. %s", i+1, word)) {
			words = append(words, i)
		}
	}
	return words
}

// showing is a prompt with words, of which some are asked for.
func showing(words []string, pick func(int) []int, s style) prompt[wordsModel] {
	return prompt[wordsModel]{of: wordsModel{words: words, style: s, pick: pick}}
}

func TestWordsViews(t *testing.T) {
	m := showing(numbered, firstAndLast, false)
	if view := m.View(); view != "" {
		t.Errorf("drawn before the size is known: %q", view)
	}
	golden(t, "words", size(m, 80, 24).View())
	golden(t, "words_small", size(m, 40, 16).View())
	golden(t, "words_tiny", size(m, 11, 24).View())
	asking, _ := press(size(m, 80, 24), "enter", "worda")
	golden(t, "words_ask", asking.View())
	wrong, _ := press(asking, "enter")
	golden(t, "words_wrong", wrong.View())
}

func TestWordsAsksForTwo(t *testing.T) {
	start := size(showing(numbered, firstAndLast, false), 80, 24)
	for _, c := range []struct {
		name string
		keys []string
		end  ending
		asks bool
	}{
		{"both right", []string{"enter", "wordaaaa", "enter", "wordxxxx", "enter"}, answered, true},
		{"upper case and corrected", []string{"space", "WORDAAAAQ", "backspace", "enter", "junk", "ctrl+u", "wordxxxx", "enter"}, answered, true},
		{"first wrong", []string{"enter", "wordaaa", "enter"}, going, false},
		{"empty", []string{"enter", "enter"}, going, false},
		{"second wrong", []string{"enter", "wordaaaa", "enter", "wordaaaa", "enter"}, going, false},
		{"wrong, then both right", []string{"enter", "x", "enter", "enter", "wordaaaa", "enter", "wordxxxx", "enter"}, answered, true},
		{"escape at once", []string{"esc"}, left, false},
		{"escape while asked", []string{"enter", "wordaaaa", "enter", "esc"}, left, true},
		{"control-C", []string{"enter", "ctrl+c"}, left, true},
		{"other keys do not go on", []string{"x", "y", "tab", "right"}, going, false},
	} {
		m, quit := press(start, c.keys...)
		if m.end != c.end || quit != (c.end != going) || (m.of.asked != nil) != c.asks {
			t.Errorf("%s: ended %d, quit %v, asks for %v", c.name, m.end, quit, m.of.asked)
		}
		if quit && m.View() != "" {
			t.Errorf("%s: the last view is not empty: %q", c.name, m.View())
		}
	}
}

func TestWordsNeverShowsBeforeSize(t *testing.T) {
	m, _ := press(showing(numbered, firstAndLast, false), "enter", "enter", "wordaaaa", "enter")
	if m.of.asked != nil || m.end != going || m.View() != "" {
		t.Errorf("keys typed ahead asked for %v, view %q", m.of.asked, m.View())
	}
}

// In every window size the screen stays within the window, and either all words are
// seen at once before the question comes, or the question never comes.
func TestWordsFitsEveryWindow(t *testing.T) {
	lane.OneGoroutine(t)
	for _, width := range []int{1, 5, 11, 12, 13, 14, 24, 25, 30, 31, 32, 38, 39, 49, 50, 51, 52, 53, 60, 79, 80, 90} {
		for _, height := range []int{1, 2, 3, 4, 5, 9, 10, 11, 13, 14, 15, 16, 18, 19, 20, 22, 24, 30, 40} {
			m := size(showing(numbered, firstAndLast, false), width, height)
			m.of.missed = 24
			seen := shown(m.View())
			for i := range 2 {
				if i > 0 {
					m, _ = press(m, "enter")
				}
				lines := strings.Split(m.View(), "\n")
				if len(lines) > height {
					t.Fatalf("%dx%d: %d lines", width, height, len(lines))
				}
				for _, line := range lines {
					if cli.Columns(line) > width {
						t.Fatalf("%dx%d: line of %d columns: %q", width, height, cli.Columns(line), line)
					}
				}
			}
			visible := slices.Equal(seen, shownAll)
			if !visible && len(seen) > 0 || visible != (m.of.asked != nil) {
				t.Fatalf("%dx%d: saw %v, asks for %v", width, height, seen, m.of.asked)
			}
			if room := width >= 50 && height >= 15 || width >= 32 && height >= 19; room && !visible {
				t.Fatalf("%dx%d: there is room, and no words", width, height)
			}
		}
	}
}

var shownAll = firstInts(24)

func firstInts(n int) (ints []int) {
	for i := range n {
		ints = append(ints, i)
	}
	return ints
}

func TestWordsResize(t *testing.T) {
	m, _ := press(size(showing(numbered, firstAndLast, false), 40, 6), "enter")
	if got := shown(size(m, 80, 24).View()); !slices.Equal(got, shownAll) {
		t.Errorf("after enlarging: %v", got)
	}
}

func TestSomeOf(t *testing.T) {
	seen := map[int]bool{}
	for range 2000 {
		p := someOf(24, 2)
		if len(p) != 2 || p[0] >= p[1] || p[0] < 0 || p[1] > 23 {
			t.Fatalf("picked %v", p)
		}
		seen[p[0]], seen[p[1]] = true, true
	}
	if len(seen) != 24 {
		t.Errorf("only %d of 24 positions were ever picked", len(seen))
	}
}

func TestWipingScreen(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	screen := &wipingScreen{w}
	io.WriteString(screen, "words")
	io.WriteString(screen, "tail"+leaveAlternate)
	w.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if want := "words" + wipe(24) + "tail" + leaveAlternate; string(got) != want {
		t.Errorf("wrote %q", got)
	}
	if strings.Count(wipe(24), "\x1b[2K") != 24 || strings.Contains(wipe(24), "\n") {
		t.Errorf("wipe is %q", wipe(24))
	}
}
