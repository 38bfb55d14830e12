package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/carekey/ui"
)

// scripted answers each question with what it begins with, and notes what was offered.
type scripted struct {
	answers []string
	offered []string
	preview string
}

func (p *scripted) next() string {
	if len(p.answers) == 0 {
		return ""
	}
	next := p.answers[0]
	p.answers = p.answers[1:]
	return next
}

func (p *scripted) Choose(_ context.Context, title string, items []ui.Item, _ bool) ([]int, error) {
	next := p.next()
	var all []string
	for i, item := range items {
		if all = append(all, item.Label); next != "" && strings.HasPrefix(item.Label, next) {
			p.offered = append(p.offered, title+" "+next+" "+item.Detail)
			return []int{i}, nil
		}
	}
	p.offered = append(p.offered, title+" "+strings.Join(all, ", "))
	return nil, ui.ErrCanceled
}

func (p *scripted) Confirm(_ context.Context, preview, _, _, _ string) (bool, error) {
	p.preview = preview
	return false, nil
}

func (p *scripted) Line(context.Context, string) (string, error) { return p.next(), nil }

// A guided grant says all that flags say, each where it applies, and ends in the same preview.
func TestGuidedGrantSaysMore(t *testing.T) {
	s := newScreens(t)
	s.run("patient", "contact", "add", "Dr Smith", stranger(t, "zoo").Address().String())
	plain := s.records()[0]
	parts := s.run("patient", "record", "add", filepath.Join(top(), "testdata", "fhir", "parts.json"))
	for _, c := range []struct {
		name            string
		record, role    string
		answers         []string
		preview, absent string // in the preview, or where that is "" among what was offered
	}{
		{"named", parts, "", []string{"treatment", "more", "also", "mental-health", "one week", "no"}, "mental-health", "stays     2 sensitive"},
		{"left out", parts, "", []string{"treatment", "more", "not all", "allergies", "one week", "no"}, "left out", ""},
		{"dated", parts, "", []string{"treatment", "more", "only what", "2020-13..", "2020..", "one week", "no"}, "outside the dates", ""},
		{"whole", parts, "", []string{"treatment", "more", "the records as", "one week", "no"}, "whole", ""},
		{"later", parts, "", []string{"treatment", "more", "from a", "2026-11-25", "one week", "no"}, "25 Nov 2026", ""},
		{"beyond", "", "", []string{"what a role", "nurse", "more", "for longer", "research", "a year", "no"}, "research", ""},
		{"no role", parts, "", []string{"treatment", "more", "?"}, "", "longer than the role"},
		{"no parts", plain, "", []string{"treatment", "more", "?"}, "", "as they are"},
		{"taken back", parts, "", []string{"treatment", "more", "the records as", "more", "not the whole", "more", "from a", "", "one week", "no"}, "stays     2 sensitive", "whole records"},
	} {
		x, who := s.glance("patient"), &scripted{answers: c.answers}
		x.person, x.page = who, &ui.Page{}
		g := &grants{app: x.app, to: "Dr Smith", role: c.role}
		if c.record != "" {
			g.records = []string{c.record}
		}
		err := x.within(t.Context(), writes, alone, func(ctx context.Context, s *session) error {
			if err := g.guide(ctx, s.all[0].w); err != nil {
				return err
			}
			return g.grant(ctx, s.all[0].w, nil)
		})
		offered := who.offered[len(who.offered)-1]
		if c.preview == "" {
			if !errors.Is(err, ui.ErrCanceled) || !strings.HasPrefix(offered, "What else?") || strings.Contains(offered, c.absent) {
				t.Errorf("%s: %v; offered %q", c.name, err, who.offered)
			}
			continue
		}
		if !strings.Contains(strings.ToLower(who.preview), strings.ToLower(c.preview)) || c.absent != "" && slices.ContainsFunc(append(who.offered[len(who.offered)-2:], who.preview), func(o string) bool { return strings.Contains(o, c.absent) }) {
			t.Errorf("%s: %v; offered %q:\n%s", c.name, err, who.offered, who.preview)
		}
	}
}
