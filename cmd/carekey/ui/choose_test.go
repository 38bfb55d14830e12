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

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		name  string
		multi bool
		keys  []string
		want  []int // nil: not ended, or canceled
		stage chooseStage
	}{
		{"first", false, []string{"enter"}, []int{0}, chooseDone},
		{"arrows and j k", false, []string{"down", "j", "down", "up", "k", "enter"}, []int{1}, chooseDone},
		{"stops at the ends", false, []string{"up", "G", "j", "down", "enter"}, []int{3}, chooseDone},
		{"home", false, []string{"end", "home", "enter"}, []int{0}, chooseDone},
		{"filter by label", false, []string{"/", "LETTER", "enter", "enter"}, []int{1}, chooseDone},
		{"filter by detail", false, []string{"/", "labo", "enter", "j", "enter"}, []int{2}, chooseDone},
		{"j and k are text in a filter", false, []string{"/", "jk", "enter", "enter"}, nil, choosePick},
		{"filter corrected", false, []string{"/", "lx", "backspace", "abo", "down", "down", "enter"}, []int{2}, chooseDone},
		{"escape drops the filter first", false, []string{"/", "let", "enter", "esc", "enter"}, []int{0}, chooseDone},
		{"escape while filtering", false, []string{"/", "let", "esc", "enter"}, []int{0}, chooseDone},
		{"escape", false, []string{"esc"}, nil, chooseCanceled},
		{"control-C while filtering", false, []string{"/", "ctrl+c"}, nil, chooseCanceled},
		{"space marks nothing in a single choice", false, []string{"j", "space", "enter"}, []int{1}, chooseDone},
		{"marks", true, []string{"G", "space", "home", "space", "enter"}, []int{0, 3}, chooseDone},
		{"unmarks", true, []string{"space", "j", "space", "k", "space", "enter"}, []int{1}, chooseDone},
		{"enter without a mark", true, []string{"enter"}, nil, choosePick},
		{"marks survive a filter", true, []string{"space", "/", "letter", "enter", "space", "esc", "enter"}, []int{0, 1}, chooseDone},
		{"nothing to mark", true, []string{"/", "zzz", "enter", "space", "enter"}, nil, choosePick},
	} {
		m, quit := press(size(newChoose("Which?", fruit, c.multi, false), 80, 24), c.keys...)
		if m.stage != c.stage || quit != (c.stage >= chooseDone) {
			t.Errorf("%s: stage %d, quit %v", c.name, m.stage, quit)
			continue
		}
		if m.stage == chooseDone && !slices.Equal(m.chosen(), c.want) {
			t.Errorf("%s: chose %v, want %v", c.name, m.chosen(), c.want)
		}
	}
}

func TestChooseViews(t *testing.T) {
	m := size(newChoose("Which records?", fruit, true, false), 80, 24)
	m, _ = press(m, "space", "j")
	golden(t, "choose", m.View())
	none, _ := press(size(newChoose("Which records?", fruit, true, false), 80, 24), "enter")
	golden(t, "choose_none", none.View())
	filter, _ := press(m, "/", "lab")
	golden(t, "choose_filter", filter.View())
	end, _ := press(m, "enter")
	golden(t, "choose_end", end.View())
	golden(t, "choose_narrow", size(m, 30, 8).View())
}

// Walking through a long list, the cursor is always on the screen and the screen
// within the window.
func TestChooseScrolls(t *testing.T) {
	var items []Item
	for i := range 50 {
		items = append(items, Item{fmt.Sprintf("record <%d>", i), "detail"})
	}
	for _, height := range []int{8, 9, 12, 24, 54, 55, 56, 60} {
		m := size(newChoose("Which?", items, true, false), 40, height)
		for _, key := range append(slices.Repeat([]string{"j"}, 60), append(slices.Repeat([]string{"k"}, 60), "pgdown", "pgdown", "pgup", "G", "g")...) {
			m, _ = press(m, key)
			view := m.View()
			if n := strings.Count(view, "\n") + 1; n > height {
				t.Fatalf("height %d: %d lines", height, n)
			}
			if !strings.Contains(view, fmt.Sprintf("> [ ] record <%d>", m.cursor)) {
				t.Fatalf("height %d: cursor %d is not on the screen", height, m.cursor)
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
