package ui

import (
	"context"
	"strings"
	"testing"
)

// How far a page is that takes long is seen while it loads, and esc stops it.
func TestScreenSteps(t *testing.T) {
	a, stopped := newActed(t, 80, 24, nil), make(chan bool)
	a.s.Places[2].View.Load = func(ctx context.Context, _ bool) (*Page, error) {
		Step(ctx, 1200, 3400, "entries")
		<-ctx.Done()
		close(stopped)
		return nil, nil
	}
	a.press("3")
	a.until(func() bool { return strings.Contains(a.View(), "1200 of 3400 entries ...") })
	if !strings.Contains(a.View(), "esc: stop") {
		t.Errorf("\n%s", a.View())
	}
	a.press("esc")
	<-stopped
	if got := a.View(); len(a.stack) == 3 || !strings.Contains(got, "stopped") || strings.Contains(got, "1200") {
		t.Errorf("\n%s", got)
	}
	Step(context.Background(), 1, 2, "entries") // nobody waits
}

// Line by line each tenth is said once, and nothing is drawn anew.
func TestPlainlySteps(t *testing.T) {
	s := newSample(3)
	s.Places[2].View.Load = func(ctx context.Context, _ bool) (*Page, error) {
		for done := range uint64(3401) {
			Step(ctx, done, 3400, "entries")
		}
		return &Page{Title: "Verified"}, nil
	}
	said, _, err := spokenTo(t, s.Screen, "empty\n")
	if err != nil || strings.Count(said, " of 3400 entries ...\n") != 9 || !strings.Contains(said, "\n1700 of 3400 entries ...\n") || strings.ContainsAny(said, "\r\x1b") {
		t.Errorf("%v\n%s", err, said)
	}
}
