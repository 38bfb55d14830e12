package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
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

// answering answers questions: yes, and the last of what there is to choose from.
type answering struct {
	previews []string
	offered  map[string][]string
}

func (p *answering) Choose(_ context.Context, title string, items []ui.Item, _ bool) ([]int, error) {
	if p.offered == nil {
		p.offered = map[string][]string{}
	}
	for _, i := range items {
		p.offered[title] = append(p.offered[title], i.Label)
	}
	return []int{len(items) - 1}, nil
}

func (p *answering) Confirm(_ context.Context, preview, _, _, _ string) (bool, error) {
	p.previews = append(p.previews, preview)
	return true, nil
}

func (p *answering) Line(context.Context, string) (string, error) { return "", ui.ErrCanceled }

// Who says that her clock is right where a ledger doubts it says so of that ledger, each time it
// is opened, and of none that comes after it.
func TestYesToAClockIsOfOneLedger(t *testing.T) {
	s := newScreens(t)
	s.run("patient", "contact", "add", "Dr Smith", stranger(t, "zoo").Address().String())
	ids := s.records()
	x, who := s.glance("patient"), &answering{}
	x.person, x.page = who, &ui.Page{}
	now := x.now().AddDate(0, 0, 60)
	x.now = func() time.Time { return now }
	for range 2 {
		p, err := x.ownPlace()
		if err != nil {
			t.Fatal(err)
		}
		l, err := x.openPinned(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		l, as, err := x.checkClock(t.Context(), p, l)
		if err != nil || !as.flags.acceptClock || x.flags.acceptClock {
			t.Errorf("%v; believed %v, for others too %v", err, as.flags.acceptClock, x.flags.acceptClock)
		}
		l.close()
	}
	err := x.within(t.Context(), writes, alone, func(ctx context.Context, s *session) error {
		return (&grants{app: s.app, to: "Dr Smith", records: ids[:1], length: "7d"}).grant(ctx, s.all[0].w, nil)
	})
	if err != nil || len(who.previews) != 4 || !strings.Contains(who.previews[2], "Ledger time never goes back") {
		t.Errorf("%v; asked %q", err, who.previews)
	}
}

// How long a consent lasts is offered as far as its role is for.
func TestGrantOffersWhatItsRoleIsFor(t *testing.T) {
	s := newScreens(t)
	s.run("patient", "contact", "add", "Dr Smith", stranger(t, "zoo").Address().String())
	s.records()
	for role, want := range map[string]string{"": "one day, one week, 30 days, 90 days, a year, until another day", "nurse": "one day, one week, 30 days, until another day"} {
		for _, beyond := range []bool{false, true} {
			x, who := s.glance("patient"), &answering{}
			x.person, x.page = who, &ui.Page{}
			g := &grants{app: x.app, to: "Dr Smith", role: role, all: role == "", beyond: beyond && role != ""}
			err := x.within(t.Context(), writes, alone, func(ctx context.Context, s *session) error { return g.grant(ctx, s.all[0].w, nil) })
			offered := strings.Join(who.offered["For how long?"], ", ")
			if all := strings.Contains(offered, "a year"); !errors.Is(err, ui.ErrCanceled) || all != (role == "" || beyond) || !all && offered != want {
				t.Errorf("%s, beyond %v: %v, offered %s", role, beyond, err, offered)
			}
		}
	}
}

// What home shows first is what the wallet's folder tells: no ledger is asked, not even one in a
// folder, and so none that is far away keeps the first frame waiting.
func TestScreenBeginsWithoutTheLedger(t *testing.T) {
	s := newScreens(t)
	s.run("patient", "contact", "add", "Dr Smith", stranger(t, "zoo").Address().String())
	s.run("patient", "grant", "--to", "Dr Smith", "--record", s.records()[0], "--for", "30d", "--yes")
	x := s.glance("patient")
	p, err := x.ownPlace()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(p.at.dir, filepath.Join(s.work, "away")); err != nil {
		t.Fatal(err)
	}
	if _, err := x.unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	home, err := x.home(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	known := home.Known()
	if known == nil || known.AsOf != "as of 21 Nov 2026 12:30" {
		t.Fatalf("%+v", known)
	}
	for _, section := range known.Sections {
		if section.Table != nil && len(section.Table.Rows) == 1 {
			return
		}
	}
	t.Errorf("the consent is not there: %+v", known)
}

// A ledger is verified on the screen in the words of the command.
func TestScreenVerifies(t *testing.T) {
	x := newScreens(t).glance("patient")
	p, err := x.ownPlace()
	if err != nil {
		t.Fatal(err)
	}
	page, err := x.ledgerLeads()[0].View([]string{p.settings.Ledgers[0].ID.String()}).Load(t.Context(), true)
	if err != nil || len(page.Sections) == 0 || !strings.Contains(page.Sections[0].Text, "everything verifies: ") {
		t.Errorf("%+v, %v", page, err)
	}
}
