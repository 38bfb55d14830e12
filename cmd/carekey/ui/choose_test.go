package ui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var fruit = []Item{
	{"Blood count", "laboratory, 2026-03"},
	{"Discharge letter", "document, 2026-05"},
	{"血液検査", "laboratory, 2025-11"},
	{"Ultra\x1b[31msound\u202e", ""},
}

func choosing(title string, items []Item, multi bool, s style) prompt[chooseModel] {
	return prompt[chooseModel]{of: newChoose(title, items, multi, s)}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		name  string
		multi bool
		keys  []string
		want  []int // nil: not ended, or canceled
		end   ending
	}{
		{"first", false, []string{"enter"}, []int{0}, answered},
		{"arrows", false, []string{"down", "down", "down", "up", "up", "enter"}, []int{1}, answered},
		{"stops at the ends", false, []string{"up", "end", "down", "enter"}, []int{3}, answered},
		{"home", false, []string{"end", "home", "enter"}, []int{0}, answered},
		{"filter by label", false, []string{"LETTER", "enter"}, []int{1}, answered},
		{"filter by detail", false, []string{"labo", "down", "enter"}, []int{2}, answered},
		{"a filter may have spaces", false, []string{"blood", "space", "c", "enter"}, []int{0}, answered},
		{"nothing matches", false, []string{"jk", "enter"}, nil, going},
		{"filter corrected", false, []string{"lx", "backspace", "abo", "down", "down", "enter"}, []int{2}, answered},
		{"filter dropped", false, []string{"let", "ctrl+u", "enter"}, []int{0}, answered},
		{"escape", false, []string{"esc"}, nil, left},
		{"escape while filtering", false, []string{"let", "esc"}, nil, left},
		{"control-C while filtering", false, []string{"x", "ctrl+c"}, nil, left},
		{"marks", true, []string{"end", "space", "home", "space", "enter"}, []int{0, 3}, answered},
		{"unmarks", true, []string{"space", "down", "space", "up", "space", "enter"}, []int{1}, answered},
		{"enter without a mark", true, []string{"enter"}, nil, going},
		{"marks survive a filter", true, []string{"space", "letter", "space", "ctrl+u", "enter"}, []int{0, 1}, answered},
		{"nothing to mark", true, []string{"zzz", "space", "enter"}, nil, going},
	} {
		m, quit := press(size(choosing("Which?", fruit, c.multi, false), 80, 24), c.keys...)
		if m.end != c.end || quit != (c.end != going) {
			t.Errorf("%s: ended %d, quit %v", c.name, m.end, quit)
			continue
		}
		if m.end == answered && !slices.Equal(m.of.chosen(), c.want) {
			t.Errorf("%s: chose %v, want %v", c.name, m.of.chosen(), c.want)
		}
	}
	m, quit := send(size(choosing("Which?", fruit, true, false), 80, 24), pasted("letter\n"))
	if quit || m.of.filter != "letter" || len(m.of.marked) > 0 {
		t.Errorf("pasted text: filter %q, marked %v, quit %v", m.of.filter, m.of.marked, quit)
	}
}

func TestChooseViews(t *testing.T) {
	m := size(choosing("Which records?", fruit, true, false), 80, 24)
	m, _ = press(m, "space", "down")
	golden(t, "choose", m.View())
	none, _ := press(size(choosing("Which records?", fruit, true, false), 80, 24), "enter")
	golden(t, "choose_none", none.View())
	filter, _ := press(m, "lab")
	golden(t, "choose_filter", filter.View())
	end, _ := press(m, "enter")
	golden(t, "choose_end", end.View())
	golden(t, "choose_narrow", size(m, 30, 8).View())
}

// What details leave is the labels', and on a narrow terminal both have half of the line.
func TestChooseWidths(t *testing.T) {
	label := "01234567  " + strings.Repeat("long ", 20)
	items := []Item{{label + "a", "until 30 Nov 15:00, treatment"}, {"short", "until 8 Dec"}}
	for width, want := range map[int]string{
		120: "> [ ] " + label[:83-3] + "...  until 30 Nov 15:00, treatment\n",
		80:  "> [ ] " + label[:43-3] + "...  until 30 Nov 15:00, treatment\n",
		60:  "> [ ] " + label[:30-3] + "...  until 30 Nov 15:00,...\n",
	} {
		if got := size(choosing("Which?", items, true, false), width, 24).View(); !strings.Contains(got, want) {
			t.Errorf("%d columns:\n%s\nwant\n%s", width, got, want)
		}
	}
}

// Walking through a long list, the cursor is always on the screen and the screen
// within the window.
func TestChooseScrolls(t *testing.T) {
	var items []Item
	for i := range 50 {
		items = append(items, Item{fmt.Sprintf("record <%d>", i), "detail"})
	}
	for _, height := range []int{8, 9, 12, 24, 54, 55, 56, 60} {
		m := size(choosing("Which?", items, true, false), 40, height)
		for _, key := range append(slices.Repeat([]string{"down"}, 60), append(slices.Repeat([]string{"up"}, 60), "pgdown", "pgdown", "pgup", "end", "home")...) {
			m, _ = press(m, key)
			view := m.View()
			if n := strings.Count(view, "\n") + 1; n > height {
				t.Fatalf("height %d: %d lines", height, n)
			}
			if !strings.Contains(view, fmt.Sprintf("> [ ] record <%d>", m.of.cursor)) {
				t.Fatalf("height %d: cursor %d is not on the screen", height, m.of.cursor)
			}
		}
	}
}

func TestChooseLine(t *testing.T) {
	for _, c := range []struct {
		in    string
		multi bool
		want  []int
		err   error
	}{
		{"2\n", false, []int{1}, nil},
		{"0\n5\n1 2\nx\n3\n", false, []int{2}, nil},
		{"1 3-4\n", true, []int{0, 2, 3}, nil},
		{"4,1,1\n", true, []int{0, 3}, nil},
		{"3-1\n1-99\n-1\n1-\n2\n", true, []int{1}, nil},
		{"\n", true, nil, ErrCanceled},
		{"", true, nil, ErrCanceled},
	} {
		var out bytes.Buffer
		got, err := chooseLine(context.Background(), strings.NewReader(c.in), &out, "Which?", fruit, c.multi)
		if !slices.Equal(got, c.want) || !errors.Is(err, c.err) {
			t.Errorf("%q: %v, %v", c.in, got, err)
		}
		if strings.Contains(out.String(), "\x1b") {
			t.Errorf("escape sequence in %q", out.String())
		}
	}
}

func TestReadLineEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("power went")
	cancel(why)
	block := make(chan struct{})
	defer close(block)
	_, err := readLine(ctx, blocked(block))
	if !errors.Is(err, ErrCanceled) || !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}

type blocked chan struct{}

func (b blocked) Read([]byte) (int, error) { <-b; return 0, errors.New("over") }
