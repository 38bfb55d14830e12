package ui

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
	tea "github.com/charmbracelet/bubbletea"
)

// besides is a sample whose consents have something that stands beside them, and how often one
// was made.
func besides(rows int) (*sample, *int) {
	s, made := newSample(rows), new(int)
	load := s.Places[1].View.Load
	s.Places[1].View.Load = func(ctx context.Context, asked bool) (*Page, error) {
		p, err := load(ctx, asked)
		t := p.Sections[0].Table
		t.Aside = func(row int) (text, keys string) {
			*made++
			r := cli.Rows{{"consent", t.Rows[row][0]}, {"to", t.Rows[row][1]}, {"may open", strings.Repeat(t.Rows[row][2]+"\n", 1+40*(row%2))}}
			return r.Text(""), "enter: its fetch code"
		}
		return p, err
	}
	return s, made
}

// Where there is room what is known of a row stands beside it: nothing is opened and nobody is
// asked by it, and it is made once.
func TestScreenShowsRowsBeside(t *testing.T) {
	s, made := besides(12)
	m := pressed(loadedHome(s.frame(false, 120, 40)), "2")
	golden(t, "screen_120x40_beside", m.View())
	m = pressed(m, "down")
	golden(t, "screen_120x40_beside_long", m.View())
	before := fmt.Sprint(s.loads)
	for _, key := range []string{"down", "up", "end", "home", "/", "8", "enter", "esc", "space"} {
		m = pressed(m, key)
		_, id := m.seen().body.called(m.seen().cursor)
		for range 2 {
			if got := m.View(); !strings.Contains(got, "| consent   "+id) {
				t.Errorf("after %s beside %s stands\n%s", key, id, got)
			}
		}
	}
	if after := fmt.Sprint(s.loads); after != before || *made > 12 || len(m.stack) != 2 {
		t.Errorf("loads %s, then %s; made %d times; %d pages", before, after, *made, len(m.stack))
	}
	if m = size(m, 119, 40); strings.Contains(m.View(), " | ") {
		t.Errorf("without room:\n%s", m.View())
	}
	if m = size(m, 120, 9); strings.Contains(m.View(), " | ") {
		t.Errorf("without room:\n%s", m.View())
	}
	m = size(m, 200, 50)
	if m = pressed(m, "enter"); len(m.stack) != 3 || strings.Contains(m.View(), " | ") {
		t.Errorf("what is opened:\n%s", m.View())
	}
}

// What stands beside a row is not clicked at, and says the same with and without attributes.
func TestScreenBesideIsNoRow(t *testing.T) {
	s, _ := besides(12)
	plain, styled := pressed(loadedHome(s.frame(false, 120, 40)), "2"), pressed(loadedHome(s.frame(true, 120, 40)), "2", "down")
	plain, _ = step(plain, click(100, 6))
	if plain.seen().cursor != 0 {
		t.Error("a click beside the list moves in it")
	}
	plain, _ = step(plain, click(10, 6))
	if plain.seen().cursor != 1 || withoutStyle(styled.View()) != plain.View() {
		t.Errorf("cursor %d:\n%s\n%s", plain.seen().cursor, withoutStyle(styled.View()), plain.View())
	}
}

func click(x, y int) tea.MouseMsg {
	return tea.MouseMsg{X: x, Y: y, Action: tea.MouseActionPress, Button: tea.MouseButtonLeft}
}
