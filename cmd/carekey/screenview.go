package main

import (
	"context"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/wallet/health"
)

// clinical is what records say, side by side: some of them, or all if none is named.
func (x *glance) clinical(ids []string, words health.ViewWords) *ui.View {
	title := "What your records say"
	switch {
	case len(ids) == 1:
		title = "What record " + ids[0][:8] + " says"
	case len(ids) > 1:
		title = "What " + plural(len(ids), "record", "records") + " say"
	}
	if words.Conflicts {
		title += ": where sources differ"
	}
	v := x.view(title, everywhere, func(ctx context.Context, s *session, _ bool) error {
		return (&viewing{app: s.app, words: words, ids: ids}).show(ctx, s)
	})
	v.Of, v.ID = "view", strings.Join(ids, " ")
	if len(ids) == 0 {
		v.ID = allRecords
	}
	return v
}

// allRecords stands for them in place of ids.
const allRecords = "all"

// viewed are the records of a view.
func viewed(id string) []string {
	if id == allRecords {
		return nil
	}
	return strings.Fields(id)
}

// viewLeads are the keys that show what records say.
func (x *glance) viewLeads() []ui.Lead {
	return []ui.Lead{
		{Key: "v", Word: "view", Does: "what records say, side by side", Of: "record", Many: true, View: func(ids []string) *ui.View {
			return x.clinical(ids, health.ViewWords{})
		}},
		{Key: "V", Word: "all", Does: "what all records say, side by side", Of: "record", View: func([]string) *ui.View {
			return x.clinical(nil, health.ViewWords{})
		}},
		{Key: "d", Word: "differences", Does: "where the sources of a view differ", Of: "view", View: func(ids []string) *ui.View {
			return x.clinical(viewed(ids[0]), health.ViewWords{Conflicts: true})
		}},
		{Key: "s", Word: "sources", Does: "where each line of a view comes from", Of: "view", View: func(ids []string) *ui.View {
			return x.clinical(viewed(ids[0]), health.ViewWords{Sources: true})
		}},
	}
}
