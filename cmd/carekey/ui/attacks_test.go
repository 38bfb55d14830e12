package ui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	tea "github.com/charmbracelet/bubbletea"
)

// attacks are what others may write where a name, a title or a reason is shown.
var attacks = map[string]string{
	"clipboard":  "\x1b]52;c;cm0gLXJmIH4=\a\x1b[2J\x9b31m Laboratory",
	"turned":     "a\u202egnp.exe\u2066\u2069 \u200f\u061c b",
	"unseen":     "Dr\u200b\u200d\ufeff\u2060 Smith\U000e0041\u3164\u2800",
	"lines":      "one\r\n\nwarning: two\n\x0b\x0c\u2028\u2029error: three\ty: yes",
	"long":       strings.Repeat("x", 10_000),
	"long words": strings.Repeat("ab ", 3400),
	"wide":       strings.Repeat("血", 10_000),
	"marks":      "a" + strings.Repeat("\u0301", 10_000),
	"broken":     "\xff\xfe\xc0\x80 \xed\xa0\x80",
	"to paste":   "carekey '" + strings.Repeat("revoke --all --yes ", 500) + "'",
}

// attacked is a screen on whose every page somebody says text, wherever that can be.
func attacked(text string) *sample {
	s := newSample(1)
	page := func(of string) func(context.Context, bool) (*Page, error) {
		return func(context.Context, bool) (*Page, error) {
			p := &Page{Title: text, AsOf: text}
			p.Say(text)
			t := &Table{Columns: []Column{Key("id"), Title("title"), Text("text"), Word("word")}, Of: of, ID: func(row int) string { return fmt.Sprint(row, text) }}
			for range 12 {
				t.Add(text, text, text, text)
			}
			t.Add("1", "2", "3", "4")
			t.Aside = func(int) (string, string) {
				r := cli.Rows{{"title", text}, {"may open", strings.Repeat(text+"\n", 10)}}
				return r.Text(""), "enter: " + text
			}
			p.Show(t)
			p.Fail("error: " + text)
			return p, nil
		}
	}
	s.Places[0].View.Known = nil
	s.Places[0].View.Load, s.Places[1].View.Load = page("consent"), page("consent")
	s.Open = func(of, id string) *View { return &View{Title: of + id, Load: page("")} }
	lead := func(key string, act func(ctx context.Context, with Person) error) Lead {
		return Lead{Key: key, Word: "act" + key, Does: "act", Of: "consent", Many: true, View: func([]string) *View {
			return &View{Title: text, Act: func(ctx context.Context, on *Page, with Person) error {
				on.Say(text)
				if err := act(ctx, with); !errors.Is(err, ErrCanceled) {
					return err
				}
				return Back(text)
			}}
		}}
	}
	s.Keys = []Lead{
		lead("c", func(ctx context.Context, with Person) error {
			_, err := with.Confirm(ctx, text, text, text, "")
			return err
		}),
		lead("o", func(ctx context.Context, with Person) error {
			_, err := with.Choose(ctx, text, []Item{{Label: text}, {Label: text, Detail: text}}, true)
			return err
		}),
		lead("l", func(ctx context.Context, with Person) error {
			_, err := with.Line(ctx, text)
			return err
		}),
		lead("b", func(context.Context, Person) error { return Back(text) }),
	}
	return s
}

// Threat: what others write steers the terminal, hides what is asked, or moves the keys away, on
// whatever page it stands, whatever the size becomes. With a size of nothing nothing is lost.
func TestScreenAttacks(t *testing.T) {
	sizes := []window{{80, 24}, {120, 40}, {20, 5}, {0, 0}, {20, 0}, {200, 9}, {1, 1}, {120, 40}}
	for name, text := range attacks {
		t.Run(name, func(t *testing.T) {
			a := &acted{T: t, s: attacked(text), msgs: make(chan tea.Msg, 100)}
			a.frame = loadedHome(a.s.frame(false, 120, 40))
			looks := func(where string) {
				t.Helper()
				was := a.window
				for _, w := range sizes {
					size(a.frame, w.width, w.height)
					if w.width > 0 && w.height > 0 {
						was = w
					}
					view := a.View()
					lines := strings.Split(view, "\n")
					if view == "" && was.width > 1 || a.err != nil || len(lines) > was.height {
						t.Fatalf("%s in %v: %v, %d lines", where, w, a.err, len(lines))
					}
					for _, line := range lines {
						if n := cli.Columns(line); n > max(2, was.width) || cli.Clean(line) != line {
							t.Fatalf("%s in %v: %d columns: %.300q", where, w, n, line)
						}
					}
					if last := lines[len(lines)-1]; was.height >= 5 && was.width > 1 && !strings.Contains(last, "esc") && !strings.Contains(last, "?: keys") {
						t.Errorf("%s in %v: the keys are not there: %q", where, w, last)
					}
				}
			}
			looks("home")
			for _, key := range []string{"down", "end", "home", "2", "enter", "esc", "/"} {
				a.frame = pressed(a.frame, key)
				looks(key)
			}
			for _, r := range text[:min(len(text), 60)] {
				a.frame = pressed(a.frame, string(r))
			}
			looks("searched")
			a.frame = pressed(a.frame, "esc", "?")
			looks("help")
			a.frame = pressed(a.frame, "esc")
			for _, key := range []string{"c", "o", "l"} {
				size(a.frame, 120, 40)
				a.frame = pressed(a.frame, "end", "up") // to a row that is seen
				a.press(key)
				a.until(func() bool { return a.seen().asked != nil && a.seen().armed })
				looks("asked with " + key)
				a.press("esc")
				a.idle()
			}
			size(a.frame, 120, 40)
			a.frame = pressed(a.frame, "end", "up")
			a.press("b")
			a.until(func() bool { return a.note != "" })
			looks("said")

			said, _, err := spokenTo(t, a.s.Screen, "1\nback\ncon\nactc 1\nn\nacto 1\n1\nactl 1\nx\nactb 1\n/"+strings.ReplaceAll(text, "\n", "")+"\nq\n")
			if err != nil && err != ErrCanceled {
				t.Error(err)
			}
			if cli.CleanText(said) != said {
				t.Errorf("line by line it says %.300q", said)
			}
		})
	}
}

// However much there is to say of a row, what stands beside it takes no longer than a frame may:
// it is made no further than it is seen.
func TestScreenBesideMakesFewLines(t *testing.T) {
	allocs := func(lines int) float64 {
		s, _ := besides(2)
		load := s.Places[1].View.Load
		text := strings.Repeat("血液検査の結果と胸部 Laboratory of November\n", lines)
		s.Places[1].View.Load = func(ctx context.Context, asked bool) (*Page, error) {
			p, err := load(ctx, asked)
			p.Sections[0].Table.Aside = func(int) (string, string) { return text, "enter" }
			return p, err
		}
		m := pressed(loadedHome(s.frame(false, 120, 40)), "2")
		return testing.AllocsPerRun(5, func() {
			m.Update(tea.KeyMsg{Type: tea.KeyDown})
			m.View()
			m.Update(tea.KeyMsg{Type: tea.KeyUp})
			m.View()
		})
	}
	if few, many := allocs(60), allocs(6000); many > few+20 {
		t.Errorf("%.0f allocations for 6000 lines, %.0f for 60", many, few)
	}
}

// BenchmarkBudgetBeside prints how long a key takes that moves to another row beside which as
// much stands as may be, in milliseconds.
func BenchmarkBudgetBeside(b *testing.B) {
	for _, name := range []string{"long", "long words", "wide", "marks", "to paste"} {
		b.Run(name, func(b *testing.B) {
			m := pressed(loadedHome(attacked(attacks[name]).frame(true, 120, 40)), "2")
			best := time.Hour
			m = pressed(m, "end", "up") // the text above the rows is long, too
			for range 5 * b.N {
				for _, key := range []tea.KeyType{tea.KeyDown, tea.KeyUp} {
					start := time.Now()
					m.Update(tea.KeyMsg{Type: key})
					m.View()
					best = min(best, time.Since(start))
				}
			}
			b.ReportMetric(float64(best.Microseconds())/1000, "ms")
			b.ReportMetric(16, "budget-max")
			b.ReportMetric(0, "ns/op")
		})
	}
}
