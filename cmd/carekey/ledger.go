package main

import (
	"context"
	"fmt"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
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
	return group("ledger", "The ledgers that you use", l.newList(), l.newJoin(), l.newDefault(), newLedgerMove(a), l.newLeave(), info, verify, newEvidence(a))
}

type ledgerJSON struct {
	ID         string      `json:"id"`
	Size       uint64      `json:"size"` // entries
	Root       string      `json:"root"`
	Gate       string      `json:"gate"`
	Reach      string      `json:"reach"`
	OK         bool        `json:"ok"`
	Name       string      `json:"name"`
	Updated    wallet.Hour `json:"updated"`              // hour of the last entry
	Signatures uint64      `json:"signatures,omitempty"` // checked this time
	AsOf       string      `json:"asOf,omitempty"`       // out of reach: when it was followed last
	ground     ground
}

func (a ledgers) look(cmd *cobra.Command, verify bool) error {
	p, err := a.place()
	if err != nil {
		return err
	}
	if p.settings == nil {
		return a.lookAlone(cmd.Context(), p, verify)
	}
	return a.withLedger(cmd, looks, func(ctx context.Context, w *wallet.Wallet, l *ledger) error {
		size, root, hour, err := w.Log().Head(ctx) // the ledger goes on from what the wallet saw
		if err != nil {
			return err
		}
		since, away := w.Log().OutOfReach()
		if away != nil && verify {
			return away
		}
		if away != nil {
			id, props := w.Ledger()
			return a.show(ledgerJSON{
				ID:      id.String(),
				Name:    w.LedgerName(),
				Size:    size,
				Root:    root.String(),
				Gate:    string(props.Gate),
				Reach:   props.Reach,
				OK:      true,
				Updated: wallet.Hour(hour),
				AsOf:    instant(since),
				ground:  groundOf(w),
			}, false, true)
		}
		j, err := a.describe(ctx, l, p)
		if err != nil {
			return err
		}
		if verify {
			err := a.verifyAll(&j, func(progress func(done, total uint64)) (uint64, crypto.Hash, uint64, error) {
				if l.Ledger.Properties().Remote { // the wallet keeps what it has downloaded
					return w.Log().Verify(ctx, progress)
				}
				size, root := w.Log().Verified()
				return l.verify(ctx, size, root, progress)
			})
			if err != nil {
				return err
			}
			root, err := hash(j.Root)
			if err != nil {
				return err
			}
			if err := w.Log().SetVerified(ctx, j.Size, root); err != nil {
				return err
			}
		}
		return a.show(j, verify, true)
	})
}

// ledgerAlone looks at a ledger without a wallet.
func (a ledgers) lookAlone(ctx context.Context, p place, verify bool) error {
	l, err := a.openLedger(ctx, p)
	if err != nil {
		return err
	}
	defer l.close()
	j, err := a.describe(ctx, l, p)
	if err != nil {
		return err
	}
	if verify {
		err := a.verifyAll(&j, func(progress func(done, total uint64)) (uint64, crypto.Hash, uint64, error) {
			return l.verify(ctx, 0, crypto.Hash{}, progress)
		})
		if err != nil {
			return err
		}
	}
	return a.show(j, verify, false)
}

func (a ledgers) describe(ctx context.Context, l *ledger, p place) (ledgerJSON, error) {
	c, err := connect(ctx, l, p)
	if err != nil {
		return ledgerJSON{}, err
	}
	head, err := c.Head(ctx)
	if err != nil {
		return ledgerJSON{}, err
	}
	hour, err := lastHour(ctx, l.Services)
	if err != nil {
		return ledgerJSON{}, err
	}
	props := l.Ledger.Properties()
	return ledgerJSON{
		ID:      c.ID().String(),
		Size:    head.Size,
		Root:    head.Root.String(),
		Gate:    string(props.Gate),
		Reach:   props.Reach,
		OK:      true,
		Name:    c.Config().Name,
		Updated: wallet.Hour(hour),
		ground:  ground{Properties: props},
	}, nil
}

// verifyAll checks everything and updates what is shown to the head it checked.
func (a ledgers) verifyAll(j *ledgerJSON, verify func(progress func(done, total uint64)) (uint64, crypto.Hash, uint64, error)) error {
	step, end := a.steps("verifying")
	size, root, signatures, err := verify(step)
	end()
	if err != nil {
		return err
	}
	j.Size, j.Root, j.Signatures = size, root.String(), signatures
	return nil
}

func hash(text string) (h crypto.Hash, err error) {
	err = h.UnmarshalText([]byte(text))
	return h, err
}

func (a ledgers) show(j ledgerJSON, verified, withWallet bool) error {
	if a.flags.json {
		return a.printJSON(j)
	}
	state := "its head is signed by its node"
	if j.AsOf != "" {
		state = "out of reach: this is what was verified last"
	} else if withWallet {
		state += ", and continues what this wallet has seen"
	}
	if verified {
		what := "everything verifies: %s, the store and the keeper's files\n(%s checked this time)"
		if ledgerclient.Gate(j.Gate) == ledgerclient.Enforced { // its store and keeper are where nobody else can look
			what = "all that a node shows verifies: %s, the rules, the state roots and the signed head\n(%s checked this time)"
		}
		state = fmt.Sprintf(what, plural(int(j.Size), "entry", "entries"), plural(int(j.Signatures), "signature", "signatures"))
	}
	a.rows(cli.Rows{
		{"ledger", j.ID},
		{"name", cli.Clean(j.Name)},
		{"entries", fmt.Sprint(j.Size)},
		{"root", j.Root},
		{"last entry", wallet.HourTime(j.Updated).Format("2006-01-02 15:04 UTC")},
		{"reach", j.Reach},
		{"state", state},
	})
	a.print("%s", j.ground.says(eachOpening))
	if !verified && j.AsOf == "" {
		a.next("carekey ledger verify checks every byte of it")
	}
	return nil
}
