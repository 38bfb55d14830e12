package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
)

// fetchLeads are the keys for what was granted to the wallet's owner.
func (x *glance) fetchLeads() []ui.Lead {
	return []ui.Lead{{Key: "f", Word: "fetch", Does: "open what was granted to you; its owner sees that", Of: "received", View: func(ids []string) *ui.View {
		return x.act("Fetch "+ids[0][:8], writes, everywhere, func(ctx context.Context, s *session) error {
			at, err := os.Getwd()
			if err != nil {
				return err
			}
			if err := (inbox{s}).show(ctx, ids[0]); err != nil {
				return err
			}
			f := fetchFlags{view: true, by: s.env(envBy)}
			if f.reason, err = asks(&s.console).Line(ctx, "Why do you look? Its owner reads it; nothing says nothing:"); err != nil {
				return err
			}
			if f.dir, err = asks(&s.console).Line(ctx, "The folder for the files, which are written for you alone; nothing is this one, "+at+":"); err != nil {
				return err
			}
			if f.dir == "" {
				f.dir = at
			}
			if f.dir, err = filepath.Abs(f.dir); err != nil {
				return err
			}
			if err := s.confirm(ctx, "The files come into "+cli.Clean(f.dir)+".", "Open it? Its owner sees that you did.", ""); err != nil {
				return err
			}
			fetch := &fetching{session: s, flags: f}
			return fetch.interrupted(fetch.fetch(ctx, nil, ids[0]))
		})
	}}}
}
