package ui

import (
	"context"
	"errors"
	"fmt"

	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// acted is a frame whose key x does something with a consent; its messages come from
// goroutines, as they do in a program.
type acted struct {
	*testing.T
	*frame
	s    *sample
	msgs chan tea.Msg
	ends error // how the act ended
}

func newActed(t *testing.T, width, height int, act func(ctx context.Context, on *Page, with Person) error) *acted {
	s := newSample(3)
	a := &acted{T: t, s: s, msgs: make(chan tea.Msg, 100)}
	s.Keys = []Lead{{Key: "x", Word: "revoke", Does: "end it", Of: "consent", Many: true, View: func(ids []string) *View {
		return &View{Title: "Revoke", Act: func(ctx context.Context, on *Page, with Person) error {
			err := act(ctx, on, with)
			a.ends = err
			return err
		}}
	}}}
	a.frame = pressed(loadedHome(s.frame(false, width, height)), "2")
	return a
}

// does runs what a message has begun.
func (a *acted) does(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	go func() {
		msg := cmd()
		if batch, ok := msg.(tea.BatchMsg); ok {
			for _, c := range batch {
				go func() { a.msgs <- c() }()
			}
			return
		}
		a.msgs <- msg
	}()
}

func (a *acted) press(names ...string) {
	for _, name := range names {
		key, ok := keys[name]
		if !ok {
			key = tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)}
		}
		_, cmd := a.Update(key)
		a.does(cmd)
	}
}

// until takes messages until something is so.
func (a *acted) until(so func() bool) {
	a.Helper()
	for !so() {
		select {
		case msg := <-a.msgs:
			_, cmd := a.Update(msg)
			a.does(cmd)
		case <-time.After(time.Minute):
			a.Fatalf("it is not so:\n%s", a.View())
		}
	}
}

func (a *acted) asks(text string) {
	a.Helper()
	a.until(func() bool { sh := a.seen(); return sh.asked != nil && sh.armed && strings.Contains(a.View(), text) })
}

func (a *acted) idle() { a.until(func() bool { return a.seen().stop == nil }) }

// What a key does asks a person within the screen, below what was said, and shows what
// became of it; the page before is looked at again.
func TestActAsks(t *testing.T) {
	a := newActed(t, 80, 24, func(ctx context.Context, on *Page, with Person) error {
		on.Say("Kept back: a letter.")
		at, err := with.Choose(ctx, "For how long?", []Item{{"one day", "until 3 Dec"}, {"a week", ""}}, false)
		if err != nil {
			return err
		}
		why, err := with.Line(ctx, "Why?")
		if err != nil {
			return err
		}
		ok, err := with.Confirm(ctx, strings.Repeat("a line of the preview\n", 30), "the rest", "Give it?", "")
		on.Say(fmt.Sprintf("%v %q %v", at, why, ok))
		return err
	})
	loads := a.s.loads["Consents"]
	a.press("space", "x")
	a.asks("For how long?")
	golden(t, "screen_asked_choose", a.View())
	a.press("down", "enter")
	a.asks("Why?")
	a.press("a", "space", "q", "L", "1", "?", "enter")
	a.asks("Give it?")
	golden(t, "screen_asked_confirm", a.View())
	a.press("pgdown")
	if got := a.View(); !strings.Contains(got, "of 30") || strings.Contains(got, "line 1-") {
		t.Errorf("a page further:\n%s", got)
	}
	a.press("l")
	a.asks("Give it?")
	a.press("end")
	a.asks("y: yes")
	a.press("y")
	a.idle()
	if got := a.View(); !strings.Contains(got, `[1] "a qL1?" true`) || strings.Contains(got, "Kept back") || a.ends != nil {
		t.Errorf("%v:\n%s", a.ends, got)
	}
	if a.press("r"); a.seen().stop != nil {
		t.Error("it is done again")
	}
	a.press("esc")
	a.idle()
	if strings.Contains(a.View(), "marked") {
		t.Errorf("what was marked for it still is:\n%s", a.View())
	}
	if a.seen().page.Title != "Consents" || a.s.loads["Consents"] != loads+1 {
		t.Errorf("at %q after %d loads", a.seen().page.Title, a.s.loads["Consents"]-loads)
	}
}

// Whoever stops, says no, locks or leaves has confirmed nothing.
func TestActEnds(t *testing.T) {
	confirm := func(ctx context.Context, on *Page, with Person) error {
		ok, err := with.Confirm(ctx, "the preview", "", "Give it?", "")
		switch {
		case errors.Is(err, ErrCanceled) && ctx.Err() == nil:
			return Back("stopped")
		case err != nil:
			return err
		case !ok:
			return Back("you said no")
		}
		on.Say("Given.")
		return nil
	}
	for _, c := range []struct {
		keys, says string
		err        error
	}{
		{"esc", "stopped", nil}, {"n", "you said no", nil}, {"enter", "you said no", nil}, {"y", "Given.", nil}, {"ctrl+c", "", ErrCanceled}, {"a b 1 q ? / y", "Given.", nil},
	} {
		a := newActed(t, 80, 24, confirm)
		a.press("x")
		a.asks("Give it?")
		a.press(strings.Fields(c.keys)...)
		if c.err == nil {
			a.idle()
		}
		if !errors.Is(a.err, c.err) || !strings.Contains(a.View(), c.says) {
			t.Errorf("%s: %v:\n%s", c.keys, a.err, a.View())
		}
		if c.err != nil {
			a.acting.Lock() // it has ended
			if a.ends == nil {
				t.Errorf("%s: it was done", c.keys)
			}
		}
	}

	a := newActed(t, 80, 24, confirm)
	a.press("x")
	a.asks("Give it?")
	a.s.now = a.s.now.Add(5 * time.Minute)
	if a.press("y"); a.err != ErrLock {
		t.Errorf("a key after so long: %v", a.err)
	}
	a.acting.Lock()
	if a.ends == nil {
		t.Error("it was done when it locked")
	}
}

// A question takes no key before it has stood there for a while, and nothing that is pasted.
func TestActTakesNoKeyThatNobodyMeant(t *testing.T) {
	a := newActed(t, 80, 24, func(ctx context.Context, on *Page, with Person) error {
		ok, err := with.Confirm(ctx, "the preview", "", "Give it?", "")
		on.Say(fmt.Sprint("given: ", ok))
		return err
	})
	a.press("x")
	a.until(func() bool { return a.seen().asked != nil })
	if got := a.View(); strings.Contains(got, "y: yes") {
		t.Errorf("it says already which keys it takes:\n%s", got)
	}
	a.press("y", "enter")
	a.asks("y: yes")
	a.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("y"), Paste: true})
	if a.seen().asked == nil {
		t.Error("pasted text answers")
	}
	a.press("n")
	a.idle()
	if !strings.Contains(a.View(), "given: false") {
		t.Errorf("\n%s", a.View())
	}
}

// While something is done the screen does not lock, and is not left but by control-C.
func TestActIsNotLeft(t *testing.T) {
	begun, end := make(chan bool), make(chan bool)
	a := newActed(t, 80, 24, func(ctx context.Context, on *Page, _ Person) error {
		close(begun)
		<-end
		on.Say("Done.")
		return nil
	})
	a.press("x")
	<-begun
	for _, key := range []string{"esc", "q", "1", "L", "r", "?"} {
		if a.press(key); len(a.stack) != 3 || a.err != nil || !strings.Contains(a.View(), "wait until it is done") {
			t.Errorf("%s: %v:\n%s", key, a.err, a.View())
		}
	}
	a.s.now = a.s.now.Add(time.Hour)
	if a.Update(tick{}); a.err != nil {
		t.Errorf("it ends: %v", a.err)
	}
	close(end)
	a.idle()
	if !strings.Contains(a.View(), "Done.") {
		t.Errorf("\n%s", a.View())
	}
	a.press("q")
	if a.err != nil {
		t.Errorf("%v", a.err)
	}
}

// Whatever the size, a question fits, and its keys are seen.
func TestActSizes(t *testing.T) {
	a := newActed(t, 80, 24, func(ctx context.Context, on *Page, with Person) error {
		_, err := with.Confirm(ctx, strings.Repeat("the preview\n", 9), "", "Give this consent to somebody with a long name?", "")
		return err
	})
	a.press("x")
	a.asks("y: yes")
	for _, w := range []window{{20, 5}, {20, 3}, {1, 1}, {200, 4}, {79, 9}, {80, 10}, {120, 40}} {
		size(a.frame, w.width, w.height)
		lines := strings.Split(a.View(), "\n")
		if len(lines) > w.height || w.width >= 20 && !strings.Contains(lines[len(lines)-1], "esc: stop") {
			t.Errorf("%v: %q", w, lines)
		}
	}
	a.press("esc")
	a.until(func() bool { return a.err != nil })
}

// Nobody says yes to what she cannot see: not where a window has no room for a line of it.
func TestActTakesNoYesUnseen(t *testing.T) {
	for word, yes := range map[string][]string{"": {"y"}, "yes": {"y", "e", "s", "enter"}} {
		a := newActed(t, 80, 24, func(ctx context.Context, on *Page, with Person) error {
			ok, err := with.Confirm(ctx, "the preview", "", "Give this consent to somebody with a name that is long?", word)
			on.Say(fmt.Sprint("given: ", ok))
			return err
		})
		a.press("x")
		a.asks("the preview")
		size(a.frame, 20, 5)
		a.asks("too small  esc: stop")
		if a.press(yes...); a.seen().asked == nil {
			t.Errorf("%q: a yes is taken below\n%s", word, a.View())
		}
		size(a.frame, 40, 9)
		a.asks("the preview")
		if word != "" {
			yes = []string{"enter"} // what was typed stays
		}
		a.press(yes...)
		a.idle()
		if !strings.Contains(a.View(), "given: true") {
			t.Errorf("%q:\n%s", word, a.View())
		}
	}
}

// Of a preview that is longer than the screen one has to have come to the end before a yes is
// taken, whatever the size becomes; a no is taken at once, and who has read it need not again.
func TestActIsReadToItsEnd(t *testing.T) {
	for word, yes := range map[string][]string{"": {"y"}, "yes": {"y", "e", "s", "enter"}} {
		a := newActed(t, 80, 24, func(ctx context.Context, on *Page, with Person) error {
			ok, err := with.Confirm(ctx, strings.Repeat("a line of the preview\n", 60)+"and all records", "", "Give it?", word)
			on.Say(fmt.Sprint("given: ", ok))
			return err
		})
		a.press("x")
		a.asks("page down: read to the end, then yes")
		for _, keys := range [][]string{nil, {"pgdown"}, {"up", "pgdown"}} {
			a.press(keys...)
			a.View()
			if a.press(yes...); a.seen().asked == nil {
				t.Fatalf("%q: a yes is taken after %v", word, keys)
			}
			if word != "" {
				a.press("ctrl+u")
			}
		}
		size(a.frame, 40, 9)
		a.View()
		if a.press(yes...); a.seen().asked == nil {
			t.Fatalf("%q: a yes is taken in another size", word)
		}
		a.press("ctrl+u", "pgdown", "pgdown", "end")
		a.asks("and all records")
		a.press("up", "up", "up", "up")
		a.View()
		a.press(yes...)
		a.idle()
		if !strings.Contains(a.View(), "given: true") {
			t.Errorf("%q:\n%s", word, a.View())
		}
		size(a.frame, 80, 24)
		a.press("esc", "x")
		a.asks("page down: read to the end, then yes")
		a.press(map[bool]string{true: "n", false: "enter"}[word == ""])
		a.idle()
		if !strings.Contains(a.View(), "given: false") {
			t.Errorf("%q: a no is not taken\n%s", word, a.View())
		}
	}
}

// Who takes the screen away while something is done is told why it does not end at once; who
// takes a question away is told nothing.
func TestActIsEndedWithWords(t *testing.T) {
	for asks, want := range map[bool]string{false: "What was begun is being ended ...\n", true: ""} {
		begun, end := make(chan bool, 1), make(chan bool)
		a := newActed(t, 80, 24, func(ctx context.Context, on *Page, with Person) error {
			begun <- true
			if asks {
				with.Confirm(ctx, "the preview", "", "Give it?", "")
			}
			<-end
			return nil
		})
		a.press("x")
		<-begun
		if asks {
			a.asks("Give it?")
		}
		a.press("ctrl+c")
		said := &endedBy{end: end}
		if asks {
			close(end)
		}
		a.finish(said)
		if said.text != want {
			t.Errorf("asked %v: %q", asks, said.text)
		}
	}
}

// endedBy lets go on what waits for its first word.
type endedBy struct {
	text string
	end  chan bool
}

func (e *endedBy) Write(b []byte) (int, error) {
	e.text += string(b)
	e.end <- true
	return len(b), nil
}

// Line by line a question is asked as any command asks it.
func TestActPlainly(t *testing.T) {
	for _, c := range []struct {
		answers string
		says    []string
	}{
		{"con\nrevoke 2\n2\nbecause\ny\n", []string{"Said before.\n", "For how long?", "Why? ", "a preview\n", "Give it? [y/N, l: list all of it] ", "[1] \"because\" true\n"}},
		{"con\nrevoke 2\n1\n\nl\nn\nback\n", []string{"all of it\n", "you said no", "Maria"}},
		{"con\nrevoke 2\n\n", []string{"stopped"}},
	} {
		s := newSample(3)
		s.Keys = []Lead{{Key: "x", Word: "revoke", Of: "consent", Many: true, View: func(ids []string) *View {
			return &View{Title: "Revoke " + ids[0], Act: func(ctx context.Context, on *Page, with Person) error {
				on.Say("Said before.")
				at, err := with.Choose(ctx, "For how long?", []Item{{"one day", ""}, {"a week", ""}}, false)
				if err != nil {
					return Back("stopped")
				}
				why, err := with.Line(ctx, "Why?")
				if err != nil {
					return err
				}
				ok, err := with.Confirm(ctx, "a preview", "all of it", "Give it?", "")
				if err == nil && !ok {
					return Back("you said no")
				}
				on.Say(fmt.Sprintf("%v %q %v", at, why, ok))
				return err
			}}
		}}}
		said, _, err := spokenTo(t, s.Screen, c.answers+"q\n")
		if err != nil {
			t.Error(err)
		}
		rest := said
		for _, want := range c.says {
			at := strings.Index(rest, want)
			if at < 0 {
				t.Fatalf("%q: %q is not said in its turn:\n%s", c.answers, want, said)
			}
			rest = rest[at+len(want):]
		}
	}
}

// Threat: what is typed ahead behind the key that leads to a question says yes to it.
func TestActIsNotAnsweredByWhatCameWithItsKey(t *testing.T) {
	a := newActed(t, 80, 24, func(ctx context.Context, on *Page, with Person) error {
		_, err := with.Confirm(ctx, "End it.", "", "Revoke it?", "")
		return err
	})
	a.press("xy")
	a.asks("Revoke it?")
	for _, together := range []string{"yy", "jy", "yn"} {
		if a.press(together); a.seen().asked == nil {
			t.Fatalf("%q answered", together)
		}
	}
	a.press("n")
	a.idle()
}
