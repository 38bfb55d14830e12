package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/cmd/carekey/ui"
)

// glance is a screen's program of one of them, in this process.
func (s *screens) glance(who string) *glance {
	a := testApp(nil)
	vars := actorEnv(s.work, who)
	a.lookup = func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
	a.now = func() time.Time { return time.Date(2026, 11, 21, 12, 30, 0, 0, time.UTC) }
	return &glance{app: a, last: map[*ui.View]*known{}}
}

// A look that began and failed does not take away what was seen; what it said stands above that.
// Where nothing better was seen, what it said is what is known.
func TestScreenKeepsWhatWasWhole(t *testing.T) {
	s := newScreens(t)
	x := s.glance("patient")
	says, fails := "to Dr Smith", error(nil)
	v := x.view("Consents", everywhere, func(_ context.Context, s *session, _ bool) error {
		if says != "" {
			s.say("%s", says)
		}
		return fails
	})
	for i, c := range []struct {
		says  string
		fails error
		want  []string
		known string
	}{
		{"the first ledger", errOtherLedger, []string{"error: ", "the first ledger"}, "error: "},
		{"", errOtherLedger, []string{"error: "}, "error: "},
		{"to Dr Smith", nil, []string{"to Dr Smith"}, "to Dr Smith"},
		{"", errOtherLedger, []string{"error: ", "to Dr Smith"}, "to Dr Smith"},
		{"the first ledger", errOtherLedger, []string{"error: ", "the first ledger\n\nAs it was seen before, as of 12:30:", "to Dr Smith"}, "to Dr Smith"},
		{"to nobody", nil, []string{"to nobody"}, "to nobody"},
	} {
		says, fails = c.says, c.fails
		p, err := v.Load(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range p.Sections {
			got = append(got, s.Text)
		}
		ok := len(got) == len(c.want)
		for j := 0; ok && j < len(got); j++ {
			ok = strings.HasPrefix(got[j], c.want[j])
		}
		if known := v.Known(); !ok || known == nil || !strings.HasPrefix(known.Sections[0].Text, c.known) {
			t.Errorf("%d: %q; known is %+v", i, got, known)
		}
	}
}
