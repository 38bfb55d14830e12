package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"os"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/order"
	"github.com/spf13/cobra"
)

// errConform: a backend breaks rules. failed, all
const errConform fault.Code = "does-not-conform"

func newConform(a *app) *cobra.Command {
	entries := 1000
	only := ""
	c := &cobra.Command{
		Use:   "conform (URL | INVITATION) --yes",
		Short: "Check that a backend, or a node, keeps every rule",
		Long: `Run the suite that every backend must pass against the program for a URL: for
foo:anything that is carekey-ledger-foo in PATH. What it must do is written in
ledgerclient/order/PROTOCOL.md. With the invitation to a node the ledger that it
serves is checked: its answers, its log and its proofs, and that its keeper stops.

The suite submits some 3,000 test entries, which stay: take a backend, or a node, that
is there for tests.`,
		Args: cli.Takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !a.flags.yes {
				return usage("the suite submits some 3,000 test entries that stay for ever", "if that is what you want, add --yes")
			}
			if entries < 1 {
				return usage("the seeded run needs at least one entry", "")
			}
			dir, err := os.MkdirTemp("", "carekey-conform-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			var seed [8]byte
			rand.Read(seed[:])
			h := ledgertest.Harness{Dir: dir, Seed: binary.BigEndian.Uint64(seed[:]) >> 24, Entries: entries, Only: only}
			if err := a.reach(cmd.Context(), args[0], &h); err != nil {
				return err // nothing to find fault with
			}
			return a.conform(cmd.Context(), h)
		},
	}
	c.Flags().IntVar(&entries, "entries", entries, "`NUMBER` of entries in the seeded run")
	c.Flags().StringVar(&only, "case", "", "`NAME` of the one case to run")
	return c
}

// reach looks once whether the backend or the node is there, and sets how the suite
// opens it.
func (a *app) reach(ctx context.Context, named string, h *ledgertest.Harness) error {
	if strings.HasPrefix(named, "https:") || strings.HasPrefix(named, "http:") {
		return usage("a node is named by its invitation, which says what ledger it must serve", "carekey-node invite DIR")
	}
	if !node.IsInvitation(named) {
		h.Order = func(ctx context.Context) (order.Backend, error) { return a.openOrder(ctx, named) }
		b, err := h.Order(ctx)
		if err == nil {
			b.Close()
		}
		return err
	}
	i, err := node.ParseInvitation(named)
	if err != nil {
		return err
	}
	h.Ledger = func(ctx context.Context) (ledgerclient.Ledger, error) {
		s, err := a.dial(ctx, i, nil)
		return s.Ledger, err
	}
	h.Keeper = func(ctx context.Context) (ledgerclient.Keeper, error) {
		s, err := a.dial(ctx, i, nil)
		if err != nil {
			return nil, err
		}
		return s.Keepers[0], nil
	}
	_, err = h.Ledger(ctx)
	return err
}

type ruleJSON struct {
	Case    string `json:"case"`
	Rule    string `json:"rule"`
	Result  string `json:"result"` // "holds", "broken", "skipped"
	Because string `json:"because"`
}

func (a *app) conform(ctx context.Context, h ledgertest.Harness) error {
	all := []ruleJSON{}
	failed := 0
	err := ledgertest.Check(ctx, h, func(r ledgertest.Result) {
		out := ruleJSON{r.Name, r.Rule, "holds", r.Detail}
		switch {
		case r.Err != nil:
			failed++
			out.Result, out.Because = "broken", r.Err.Error()
		case r.Skipped != "":
			out.Result, out.Because = "skipped", r.Skipped
		}
		all = append(all, out)
		mark := map[string]string{"holds": "ok   ", "broken": "BAD  ", "skipped": "skip "}[out.Result]
		a.print("%s %-11s %s", mark, out.Case, out.Rule)
		if out.Because != "" {
			a.print("                  %s", out.Because)
		}
	})
	if err := a.result(all); err != nil {
		return err
	}
	if err == nil && len(all) == 0 {
		return usage("there is no case of that name", "leave out --case to see all")
	}
	if err == nil && failed > 0 {
		return errConform.With("failed", failed, "all", len(all))
	}
	return err
}
