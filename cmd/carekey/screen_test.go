package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
)

// What was seen stays below the error of a look that could not begin, and says of when it is;
// so does a page that is gone to again.
func TestScreenKeepsWhatIsKnown(t *testing.T) {
	t.Setenv("CAREKEY_HOME", t.TempDir()) // in which is no wallet
	now := time.Date(2026, 11, 21, 14, 5, 0, 0, time.Local)
	x := &glance{app: &app{lookup: os.LookupEnv, now: func() time.Time { return now }}, last: map[*ui.View]*ui.Page{}}
	v := x.view("Consents", everywhere, nil)
	x.keeps(v, &ui.Page{Title: "Consents", Sections: []ui.Section{{Text: "to Dr Smith"}}})
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
	x.keeps(v, &ui.Page{AsOf: "out of reach, as it was yesterday"})
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
