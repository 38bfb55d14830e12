package ui

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

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

func TestWordsViews(t *testing.T) {
	m := newWords(numbered, false, firstAndLast)
	if view := m.View(); view != "" {
		t.Errorf("drawn before the size is known: %q", view)
	}
	golden(t, "words", size(m, 80, 24).View())
	golden(t, "words_small", size(m, 40, 8).View())
	second, _ := press(size(m, 40, 8), "enter")
	golden(t, "words_small_next", second.View())
	golden(t, "words_tiny", size(m, 11, 24).View())
	asking, _ := press(size(m, 80, 24), "enter", "worda")
	golden(t, "words_ask", asking.View())
	wrong, _ := press(asking, "enter")
	golden(t, "words_wrong", wrong.View())
}

func TestWordsAsksForTwo(t *testing.T) {
	start := size(newWords(numbered, false, firstAndLast), 80, 24)
	for _, c := range []struct {
		name  string
		keys  []string
		stage wordsStage
	}{
		{"both right", []string{"enter", "wordaaaa", "enter", "wordxxxx", "enter"}, wordsDone},
		{"upper case and corrected", []string{"space", "WORDAAAAQ", "backspace", "enter", "junk", "ctrl+u", "wordxxxx", "enter"}, wordsDone},
		{"first wrong", []string{"enter", "wordaaa", "enter"}, wordsShow},
		{"empty", []string{"enter", "enter"}, wordsShow},
		{"second wrong", []string{"enter", "wordaaaa", "enter", "wordaaaa", "enter"}, wordsShow},
		{"wrong, then both right", []string{"enter", "x", "enter", "enter", "wordaaaa", "enter", "wordxxxx", "enter"}, wordsDone},
		{"escape at once", []string{"esc"}, wordsCanceled},
		{"escape while asked", []string{"enter", "wordaaaa", "enter", "esc"}, wordsCanceled},
		{"control-C", []string{"enter", "ctrl+c"}, wordsCanceled},
		{"other keys do not go on", []string{"x", "y", "tab", "right"}, wordsShow},
	} {
		m, quit := press(start, c.keys...)
		if m.stage != c.stage {
			t.Errorf("%s: stage %d, want %d", c.name, m.stage, c.stage)
		}
		if ended := c.stage >= wordsDone; quit != ended {
			t.Errorf("%s: quit is %v", c.name, quit)
		} else if ended && m.View() != "" {
			t.Errorf("%s: the last view is not empty: %q", c.name, m.View())
		}
	}
}

func TestWordsNeverShowsBeforeSize(t *testing.T) {
	m, _ := press(newWords(numbered, false, firstAndLast), "enter", "enter", "wordaaaa", "enter")
	if m.stage != wordsShow || m.View() != "" {
		t.Errorf("keys typed ahead moved to stage %d, view %q", m.stage, m.View())
	}
}

// In every window size the screen stays within the window, and either each word
// is seen before the question comes, or the question never comes.
func TestWordsFitsEveryWindow(t *testing.T) {
	lane.OneGoroutine(t)
	for _, width := range []int{1, 5, 11, 12, 13, 24, 25, 30, 38, 39, 50, 51, 52, 53, 60, 79, 80, 90} {
		for _, height := range []int{1, 2, 3, 4, 5, 9, 10, 11, 18, 19, 20, 22, 24, 30} {
			visible := width >= cellWidth && height >= 3
			m := size(newWords(numbered, false, firstAndLast), width, height)
			m.missed = 24
			var seen []int
			for range 30 {
				lines := strings.Split(m.View(), "\n")
				if len(lines) > height {
					t.Fatalf("%dx%d: %d lines", width, height, len(lines))
				}
				for _, line := range lines {
					if columns(line) > width {
						t.Fatalf("%dx%d: line of %d columns: %q", width, height, columns(line), line)
					}
				}
				if m.stage == wordsAsk {
					break
				}
				seen = append(seen, shown(m.View())...)
				m, _ = press(m, "enter")
			}
			switch {
			case visible && !slices.Equal(seen, shownAll):
				t.Fatalf("%dx%d: saw %v", width, height, seen)
			case visible != (m.stage == wordsAsk):
				t.Fatalf("%dx%d: visible %v, ended in stage %d", width, height, visible, m.stage)
			case !visible && len(seen) > 0:
				t.Fatalf("%dx%d: saw %v", width, height, seen)
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

func TestWordsPagesBackAndResizes(t *testing.T) {
	m := size(newWords(numbered, false, firstAndLast), 40, 6)
	m, _ = press(m, "enter", "left")
	if got := shown(m.View()); got[0] != 0 {
		t.Errorf("after left: %v", got)
	}
	m, _ = press(m, "enter")
	m = size(m, 80, 24)
	if got := shown(m.View()); !slices.Equal(got, shownAll) {
		t.Errorf("after enlarging: %v", got)
	}
}

func TestTwoOf(t *testing.T) {
	seen := map[int]bool{}
	for range 2000 {
		p := twoOf(24)
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
