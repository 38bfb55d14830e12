package server

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/ledgerclient/node"
)

// oneByOne hands a node one entry at a time, which leaves it nothing to mix.
type oneByOne struct{ ledgerclient.Ledger }

func (l oneByOne) Append(ctx context.Context, entries []contract.Entry) (all []ledgerclient.Outcome, err error) {
	for i := range entries {
		out, err := l.Ledger.Append(ctx, entries[i:i+1])
		if err != nil {
			return nil, err
		}
		all = append(all, out...)
	}
	return all, nil
}

func (l oneByOne) Properties() ledgerclient.Properties {
	p := l.Ledger.Properties()
	p.Clock = "local" // as of one where entries are judged as they are handed in
	p.Freshness = 0   // this computer's clock is another one
	return p
}

// The seeded run comes to the same through HTTP as on every other backend.
func TestSeeded(t *testing.T) {
	lane.OneGoroutine(t)
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "node"), clock: &testClock{mono: time.Hour}}
	set := func(hour contract.Hour) error {
		at := time.Unix(int64(hour)*3600+1800, 0)
		w.clock.pass(at.Sub(w.clock.now()))
		return nil
	}
	w.clock.wall = time.Unix(int64(ledgertest.FirstHour)*3600, 0)
	f, err := folder.CreateFrom(w.dir, ledgertest.Founding(1), folder.Ordered{}, folder.Options{Clock: w.clock.now})
	w.must(err)
	w.must(f.Close())
	w.start(func(o *Options) {
		o.Limits.Order, o.Limits.Checks, o.Limits.Bytes = Rate{-1, 0}, Rate{-1, 0}, Rate{-1, 0}
	})
	doc, err := w.folder.Genesis(ctx)
	w.must(err)
	invitation, err := node.InvitationTo(doc, []string{w.http.URL})
	w.must(err)
	invitation.Node = w.folder.Node().Checkpoint
	count := lane.Pick(10_000, 1000, 1000)
	all := ledgertest.Run(t, ledgertest.Harness{
		Seed: 1, Entries: count, Only: "seeded", SetHour: set,
		Ledger: func(ctx context.Context) (ledgerclient.Ledger, error) {
			n, err := node.Dial(ctx, invitation, node.Options{})
			if err != nil {
				return nil, err
			}
			return oneByOne{n.Services().Ledger}, nil
		},
	})
	if len(all) != 1 || all[0].Detail != ledgertest.Roots[count] {
		t.Errorf("%+v", all)
	}
}
