package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
)

// What was seen stays below the error of a look that could not begin, and says of when it is;
// so does a page that is gone to again.
func TestScreenKeepsWhatIsKnown(t *testing.T) {
	t.Setenv("CAREKEY_HOME", t.TempDir()) // in which is no wallet
	now := time.Date(2026, 11, 21, 14, 5, 0, 0, time.Local)
	x := &glance{app: &app{lookup: os.LookupEnv, now: func() time.Time { return now }}, last: map[*ui.View]*known{}}
	v := x.view("Consents", everywhere, nil)
	x.keeps(v, &ui.Page{Title: "Consents", Sections: []ui.Section{{Text: "to Dr Smith"}}}, true)
	for range 2 { // nor does the error take the place of what is known
		now = now.Add(time.Minute)
		p, err := v.Load(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(p.Sections); n != 2 || !strings.HasPrefix(p.Sections[0].Text, "error: ") || p.Sections[1].Text != "to Dr Smith" || p.AsOf != "as of 14:05" {
			t.Errorf("%+v", p)
		}
	}
	if p := v.Known(); p == nil || p.AsOf != "as of 14:05" || len(p.Sections) != 1 {
		t.Errorf("%+v", p)
	}
	x.keeps(v, &ui.Page{AsOf: "out of reach, as it was yesterday"}, true)
	if p := v.Known(); p.AsOf != "out of reach, as it was yesterday" {
		t.Errorf("%+v", p)
	}
}

// A page that is silent about the gate would promise too much.
func TestPageIsNotQuiet(t *testing.T) {
	c := console{page: &ui.Page{}}
	c.flags.quiet = true
	if c.say("gate: %s", "by request"); len(c.page.Sections) != 1 {
		t.Error("nothing is said")
	}
}

// A screen that is taken away says nothing of what it did: its pages have.
func TestScreenTakenAway(t *testing.T) {
	f := explain(errScreen.Of(fmt.Errorf("%w: %w", ui.ErrCanceled, context.Canceled)))
	if f.Message != "stopped" || f.Exit != cli.ExitInterrupted || f.Code != "interrupted" {
		t.Errorf("%+v", f)
	}
}

// What an act had done when it was cut short is said where the screen was: no page is left to.
func TestActCutShort(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	written := errUnwritten.Of(context.Canceled)
	locked := errInFile.Of(crypto.ErrKeyLocked, "file", "a.txt")
	for what, c := range map[string]struct {
		ctx       context.Context
		err       error
		end, said error
	}{
		"done":                     {t.Context(), nil, nil, nil},
		"done as it was ended":     {gone, nil, errEntered, errEntered},
		"ended in its middle":      {gone, written, errUnwritten, errUnwritten},
		"ended at a question":      {gone, ui.ErrCanceled, ui.Back(explain(ui.ErrCanceled).Message), nil},
		"locked before":            {t.Context(), crypto.ErrKeyLocked, ui.ErrLock, nil},
		"locked in its middle":     {t.Context(), locked, ui.ErrLock, errInFile},
		"locked at a question":     {t.Context(), ui.ErrLock, ui.ErrLock, nil},
		"that it failed is a page": {t.Context(), errOtherLedger, nil, nil},
	} {
		x := &glance{app: &app{}}
		if end := x.acted(c.ctx, &ui.Page{}, c.err); !errors.Is(end, c.end) {
			t.Errorf("%s: it ends with %v", what, end)
		}
		if !errors.Is(x.cut, c.said) {
			t.Errorf("%s: said is %v", what, x.cut)
		}
	}
}
