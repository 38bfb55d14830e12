package ui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
)

// leading is a sample with keys for its consents, one of them for several; got is what they
// were last pressed for.
func leading(rows int) (s *sample, got *[]string) {
	s, got = newSample(rows), new([]string)
	to := func(title string) func([]string) *View {
		return func(ids []string) *View {
			*got = ids
			return &View{Title: title, Of: "consent", ID: ids[0], Known: func() *Page { return &Page{Title: title} }}
		}
	}
	s.Keys = []Lead{
		{Key: "x", Word: "revoke", Does: "end it", Of: "consent", Many: true, View: to("Revoke")},
		{Key: "w", Word: "why", Does: "why it may be opened", Of: "consent", View: to("Why")},
		{Key: "v", Word: "view", Does: "what it says", Of: "record", View: to("View")},
	}
	return s, got
}

func pageOf(page func() *Page) func(context.Context, bool) (*Page, error) {
	return func(context.Context, bool) (*Page, error) { return page(), nil }
}

// A key acts on what is marked, else on the row under the cursor, else on what the page is
// about, and is shown where it means something alone.
func TestLead(t *testing.T) {
	for _, c := range []struct {
		keys  string // after Consents was gone to
		want  string // what the last key was pressed for; "" if it led nowhere
		title string
	}{
		{"x", "01234567", "Revoke"},
		{"down x", "89abcdef", "Revoke"},
		{"down space space x", "89abcdef 76543210", "Revoke"},
		{"space up space space x", "89abcdef", "Revoke"}, // a mark taken away
		{"down space down w", "00000003", "Why"},         // for one alone
		{"space / 5 enter x", "01234567", "Revoke"},
		{"down space / 5 enter x", "89abcdef", "Revoke"}, // where a search hides it
		{"x w", "01234567", "Why"},                       // what the page is about
		{"v", "", "Consents"},
		{"space r x", "01234567", "Revoke"}, // marks stay
	} {
		s, got := leading(12)
		m := pressed(loadedHome(s.frame(false, 80, 24)), "2")
		*got = nil
		m = pressed(m, strings.Fields(c.keys)...)
		if strings.Join(*got, " ") != c.want || m.seen().page.Title != c.title {
			t.Errorf("%s: %q, at %q\n%s", c.keys, *got, m.seen().page.Title, m.View())
		}
	}

	s, _ := leading(12)
	m := pressed(loadedHome(s.frame(false, 80, 24)), "2", "space", "down", "space")
	golden(t, "screen_marked", m.View())
	golden(t, "screen_leads", pressed(m, "?").View())
	if got := pressed(m, "3").View(); strings.Contains(got, "x: revoke") {
		t.Errorf("where there is nothing to revoke:\n%s", got)
	}
	narrow := s.frame(false, 40, 24)
	if last := strings.Split(pressed(loadedHome(narrow), "2").View(), "\n")[23]; !strings.HasSuffix(last, "?: keys  q: end") || !strings.HasPrefix(last, "enter: open  x: revoke") {
		t.Errorf("%q", last)
	}
}

// What is gone when a page comes again has no mark.
func TestLeadForgetsMarksOfWhatIsGone(t *testing.T) {
	rows := 12
	s, got := leading(rows)
	s.Places[1].View.Load = pageOf(func() *Page {
		p := &Page{Title: "Consents"}
		p.Show(consentRows(rows))
		return p
	})
	m := pressed(loadedHome(s.frame(false, 80, 24)), "2", "space", "end", "space")
	if !strings.Contains(m.View(), "2 marked") {
		t.Errorf("marked are not two:\n%s", m.View())
	}
	rows = 3
	if m = pressed(m, "r"); !strings.Contains(m.View(), "1 marked") {
		t.Errorf("marked is not one:\n%s", m.View())
	}
	if pressed(m, "x"); !slices.Equal(*got, []string{"01234567"}) {
		t.Errorf("%q", *got)
	}
}

// Line by line a key is its word, with the numbers of rows.
func TestLeadPlainly(t *testing.T) {
	for _, c := range []struct{ answers, want, says string }{
		{"con\nrevoke 1 3\n", "01234567 76543210", "Revoke"},
		{"con\nrev 2-3\n", "89abcdef 76543210", "Revoke"},
		{"con\nwhy 2\n", "89abcdef", "Why"},
		{"con\nwhy 2\nrevoke\n", "89abcdef", "Revoke"},
		{"con\nwhy 1 2\n", "", "Say it with the number of a row that it is for, as in why 1."},
		{"con\nrevoke\n", "", "Say it with the numbers of rows that it is for, as in revoke 1 3-5."},
		{"con\nrevoke 99\n", "", "Say it with the numbers"},
		{"con\nview 1\n", "", "Say it with the number"},
		{"con\nquit 1\n", "", "No numbers go with quit."},
	} {
		s, got := leading(12)
		said, _, err := spokenTo(t, s.Screen, c.answers+"q\n")
		if err != nil || strings.Join(*got, " ") != c.want || !strings.Contains(said, c.says) {
			t.Errorf("%q: %q, %v:\n%s", c.answers, *got, err, said)
		}
	}
}

// Lines that are laid out for a width are cut at it, and take part in nothing else.
func TestPageLaidOut(t *testing.T) {
	p := &Page{Title: "View"}
	p.Say("before")
	p.LayOut(func(width, _ int) []string { return []string{strings.Repeat("x", width), strings.Repeat("y", 100)} })
	p.Say("after")
	p.prepare()
	for _, width := range []int{1, 20, 99} {
		b := lay(p, width, 20, least, "")
		if got := b.draw(false, 0, 99, 0, nil); !slices.Contains(got, strings.Repeat("x", width)) || cli.Columns(got[len(got)-2]) > width || b.rows != 0 {
			t.Errorf("%d: %q", width, got)
		}
	}
}

// What is laid out for a size, as a code that has to be seen at once, is laid out again when that
// changes, in height too; other pages are not.
func TestPageIsLaidOutForItsHeight(t *testing.T) {
	s, laid := newSample(3), 0
	s.Places[2].View.Load = pageOf(func() *Page {
		p := &Page{Title: "Card"}
		p.LayOut(func(width, height int) []string {
			laid++
			return []string{fmt.Sprintf("%d by %d", width, height)}
		})
		return p
	})
	m := pressed(loadedHome(s.frame(false, 80, 24)), "3")
	for _, w := range []window{{80, 24}, {80, 40}, {80, 8}, {80, 24}} {
		m = size(m, w.width, w.height)
		m.View() // and it is laid out once
		if want := fmt.Sprintf("80 by %d", w.height-5); !strings.Contains(m.View(), want) {
			t.Errorf("%v:\n%s", w, m.View())
		}
	}
	if laid != 4 {
		t.Errorf("laid out %d times", laid)
	}
	m = pressed(m, "1")
	m.View()
	was := m.seen().body
	if m = size(m, 80, 40); m.View() == "" || m.seen().body != was {
		t.Error("a list is laid out again for another height")
	}
}
