package main

import (
	"context"
	"fmt"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func newLedger(a *app) *cobra.Command {
	l := ledgers{a}
	info := &cobra.Command{
		Use:   "info",
		Short: "Show which ledger this is, how long it is, and what its gate is worth",
		Long: `Show which ledger this is, how long it is, and whether an opening can happen without
leaving an entry (its gate). With --ledger no wallet is needed.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return l.look(cmd, false) },
	}
	verify := &cobra.Command{
		Use:   "verify",
		Short: "Check every byte of the ledger, the store and the keeper that anybody would use",
		Long: `Check all of a ledger: the configuration, the keys, every entry's signature and its
place under the rules, the signed head, the store and the keeper's files. The first
thing that is wrong is named, and the exit code is 6. With a wallet, its own memory
of the ledger is checked too, and signatures that it checked before are not checked
again. Of a ledger at a node it is every entry, the state that follows from them, and
the signed head: what its store and its keeper give is checked whenever it is used.

With --ledger no wallet is needed.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return l.look(cmd, true) },
	}
	return group("ledger", "The ledgers that you use", l.newList(), l.newJoin(), l.newDefault(), newLedgerMove(a), l.newLeave(), info, verify, l.newExport(), newEvidence(a))
}

type ledgerJSON struct {
	ID         crypto.LedgerID   `json:"id"`
	Size       uint64            `json:"size"` // entries
	Root       crypto.Hash       `json:"root"`
	Gate       ledgerclient.Gate `json:"gate"`
	Reach      string            `json:"reach"`
	OK         bool              `json:"ok"`
	Name       string            `json:"name"`
	Updated    wallet.Hour       `json:"updated"`              // of the last entry
	Signatures uint64            `json:"signatures,omitempty"` // checked this time
	AsOf       string            `json:"asOf,omitempty"`       // out of reach: when it was followed last
}

func (a ledgers) look(cmd *cobra.Command, verify bool) error {
	p, err := a.place()
	if err != nil {
		return err
	}
	if p.settings != nil {
		return a.withLedgers(cmd, looks, alone, func(ctx context.Context, s *session) error {
			return a.lookAt(ctx, s.all[0].l, p, s.all[0].w, verify)
		})
	}
	l, err := a.openLedger(cmd.Context(), p)
	if err != nil {
		return err
	}
	defer l.close()
	return a.lookAt(cmd.Context(), l, p, nil, verify)
}

// lookAt shows a ledger; w is nil where there is no wallet.
func (a ledgers) lookAt(ctx context.Context, l *ledger, p place, w *wallet.Wallet, verify bool) error {
	g := ground{Properties: l.Ledger.Properties()}
	j := ledgerJSON{Gate: g.Gate, Reach: g.Reach, OK: true}
	var hour contract.Hour
	var away, err error
	if w != nil { // the ledger goes on from what the wallet saw
		if j.Size, j.Root, hour, err = w.Log().Head(ctx); err != nil {
			return err
		}
		_, away = w.Log().OutOfReach()
	}
	if away != nil && verify {
		return away
	}
	if away != nil {
		g, j.Name = groundOf(w), w.LedgerName()
		j.ID, _ = w.Ledger()
		j.AsOf = instant(g.since)
	} else {
		c, err := ledgerclient.Connect(ctx, l.Services, p.id)
		if err != nil {
			return err
		}
		head, err := c.Head(ctx)
		if err != nil {
			return err
		}
		if hour, err = lastHour(ctx, l.Services); err != nil {
			return err
		}
		j.ID, j.Name, j.Size, j.Root = c.ID(), c.Config().Name, head.Size, head.Root
	}
	j.Updated = wallet.Hour(hour)
	if verify {
		if err := a.verify(ctx, l, w, &j); err != nil {
			return err
		}
	}
	state := "its head is signed by its node"
	switch {
	case away != nil:
		state = "out of reach: this is what was verified last"
	case verify && g.Gate == ledgerclient.Enforced: // its store and keeper are where nobody else can look
		state = "all that a node shows verifies: %s, the rules, the state roots and the signed head\n(%s checked this time)"
	case verify:
		state = "everything verifies: %s, the store and the keeper's files\n(%s checked this time)"
	case w != nil:
		state += ", and continues what this wallet has seen"
	}
	if verify {
		state = fmt.Sprintf(state, plural(int(j.Size), "entry", "entries"), plural(int(j.Signatures), "signature", "signatures"))
	}
	a.rows(cli.Rows{
		{"ledger", j.ID.String()},
		{"name", cli.Clean(j.Name)},
		{"entries", fmt.Sprint(j.Size)},
		{"root", j.Root.String()},
		{"last entry", wallet.HourTime(hour).Format("2006-01-02 15:04 UTC")},
		{"reach", j.Reach},
		{"state", state},
	})
	a.print("%s", g.says(eachOpening))
	if !verify && away == nil {
		a.next("carekey ledger verify checks every byte of it")
	}
	return a.result(j)
}

// verify checks everything up to the head that is then shown. What a wallet has checked
// before is not checked again.
func (a ledgers) verify(ctx context.Context, l *ledger, w *wallet.Wallet, j *ledgerJSON) (err error) {
	step, end := a.steps("verifying")
	defer end()
	if w != nil && l.Ledger.Properties().Remote { // the wallet knows whose signatures it has checked
		j.Size, j.Root, j.Signatures, err = w.Log().Verify(ctx, step)
	} else {
		var size uint64
		var root crypto.Hash
		if w != nil {
			size, root = w.Log().Verified()
		}
		j.Size, j.Root, j.Signatures, err = l.verify(ctx, size, root, step)
	}
	if err == nil && w != nil {
		err = w.Log().SetVerified(ctx, j.Size, j.Root)
	}
	return err
}
