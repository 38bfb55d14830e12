package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/carekey/ui"
)

// What stands beside a row is made of what the list was made of: all that answers is away, and
// the wallet's folder too, and it says the same still, with the key that opens what it does not.
func TestBesideAsksNobody(t *testing.T) {
	s := newScreens(t)
	address := strings.Fields(s.run("clinic", "init", "--name", "Dr Smith", "--words-file", filepath.Join(s.work, "w2")))[0]
	s.run("patient", "contact", "add", "Dr Smith", address)
	s.run("patient", "grant", "--to", "Dr Smith", "--record", s.records()[0], "--for", "30d", "--yes")
	lists := map[string]struct {
		who  string
		view func(x *glance) *ui.View
		want []string
	}{
		"records":  {"patient", (*glance).recordList, []string{"scan.bin", "not opened by this", "enter: what is in it"}},
		"consents": {"patient", (*glance).consentList, []string{"Laboratory of November, version 1", "opened    no entry", "enter: its fetch code"}},
		"contacts": {"patient", (*glance).contactList, []string{"check words", "carekey1", "enter: what each"}},
		"audit":    {"patient", (*glance).auditList, []string{"what     granted", "enter: the consent"}},
		"inbox":    {"clinic", (*glance).inboxList, []string{"from         Maria", "fetched      never", "f: fetch what is in it, which its giver sees"}},
	}
	said := map[string]func() string{}
	for name, l := range lists {
		x := s.glance(l.who)
		p, err := l.view(x).Load(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		for _, section := range p.Sections {
			if t := section.Table; t != nil {
				said[name] = func() string {
					text, keys := t.Aside(0)
					return text + "\n" + keys
				}
			}
		}
	}
	before := map[string]string{}
	for name := range lists {
		if said[name] == nil {
			t.Fatalf("%s: no table", name)
		}
		before[name] = said[name]()
	}
	s.gone()
	for name, l := range lists {
		got := said[name]()
		for _, want := range l.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q is not in\n%s", name, want, got)
			}
		}
		if got != before[name] {
			t.Errorf("%s: with all away it says\n%s", name, got)
		}
	}
}

// gone takes all away that the wallets are on.
func (s *screens) gone() {
	s.Helper()
	all, err := filepath.Glob(filepath.Join(s.work, "*"))
	if err != nil || len(all) == 0 {
		s.Fatal(all, err)
	}
	for _, path := range all {
		if err := os.RemoveAll(path); err != nil {
			s.Fatal(err)
		}
	}
}
