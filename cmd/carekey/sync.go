package main

import (
	"context"
	"fmt"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func newSync(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "sync",
		Short: "Send what waits, and catch up with every ledger of this wallet",
		Long: `Follow each of this wallet's ledgers to its newest entry, and send what was signed
while it was out of reach, in order and once. Every other command does the same for
the ledger that it works on; but what a ledger did not decide is not sent again by
commands that only look, before it has decided something or ten minutes are over. A
keeper that lost its share of a consent is given it again. With --ledger only that one
is synced. Exit 5 if something still waits or a ledger is out of reach.`,
		RunE: onEvery(a, writes|keeps, syncing.sync),
	}
	acceptClock(a, c)
	return c
}

type syncJSON struct {
	Ledger   crypto.LedgerID `json:"ledger"`
	Name     string          `json:"name"`
	Entries  uint64          `json:"entries"`  // of the ledger, as far as it is known now
	New      uint64          `json:"new"`      // entries since the last time
	Finished []pendingJSON   `json:"finished"` // or given up, with why
	Shares   []contract.ID   `json:"shares"`   // consents whose shares the keepers had lost, and have again
	Pending  []pendingJSON   `json:"pending"`
	AsOf     string          `json:"asOf,omitempty"`  // not followed to now: of when what is known is
	Error    *failure        `json:"error,omitempty"` // why it could not be followed, or why something waits
}

// syncing sends what waits, on every ledger.
type syncing struct{ *session }

func (a syncing) sync(ctx context.Context, _ []string) error {
	var worst error
	var js []syncJSON
	for _, o := range a.all { // one that is out of reach keeps no other from being synced
		var again []contract.ID
		s, err := o.w.Changes().Sync(ctx)
		if err == nil {
			again, err = o.w.Recovery().FinishGrants(ctx)
			err = worse(err, o.w.Links().HandOver(ctx))
		} else if ctx.Err() != nil {
			return ctx.Err()
		}
		worst = worse(worst, err)
		js = append(js, a.synced(o.w, s, again, err))
	}
	if err := a.result(js); err != nil {
		return err
	}
	switch {
	case worst == nil:
		return nil
	case explain(worst).Exit == cli.ExitUnreachable:
		return errSyncLater.Of(worst)
	}
	return errSync.Of(worst)
}

// Not everything could be synced, which was told already.
const (
	errSync      fault.Code = "sync"
	errSyncLater fault.Code = "sync/later" // what is missing is out of reach
)

// synced tells what one ledger's sync did.
func (a syncing) synced(w *wallet.Wallet, s wallet.Synced, again []contract.ID, err error) syncJSON {
	id, _ := w.Ledger()
	j := syncJSON{
		Ledger:   id,
		Name:     w.LedgerName(),
		Entries:  s.To,
		New:      s.To - min(s.From, s.To),
		Pending:  list(s.Pending, pendingOf),
		Shares:   list(again, same),
		Finished: list(s.Finished, pendingOf),
	}
	if err != nil {
		f := explain(err)
		j.Error = &f
	}
	since, away := w.Log().OutOfReach()
	if away != nil {
		j.AsOf = instant(since)
	}
	state := plural(int(s.To), "entry", "entries")
	switch {
	case away != nil && !since.IsZero():
		state = explain(away).Message + ", " + state + " at " + since.Local().Format(dayLayout)
	case err != nil && len(s.Pending) == 0:
		state = explain(err).Message
	case j.New > 0:
		state += fmt.Sprintf(", %d new", j.New)
	default:
		state += ", nothing new"
	}
	a.print("%s (%s): %s.", ledgerTitle(j.Name), short(id), state)
	for _, f := range s.Finished {
		if f.Err != nil {
			a.print("  given up: %s %s: %s", f.Action, short(f.ID), explain(f.Err).Message)
			continue
		}
		a.print("  sent: %s %s", f.Action, short(f.ID))
	}
	for _, id := range again {
		a.print("  the keepers hold the share of consent %s again", short(id))
	}
	for _, p := range s.Pending {
		a.print("  %s", pendingText(p))
	}
	return j
}

// pendingText is a line about a change that waits.
func pendingText(p wallet.Pending) string {
	why := "on its way"
	if p.Err != nil {
		why = explain(p.Err).Message
	}
	return fmt.Sprintf("waiting: %s %s: %s", p.Action, short(p.ID), why)
}

type pendingJSON struct {
	wallet.Pending
	Error  string           `json:"error"` // why it could not be finished
	Ledger *crypto.LedgerID `json:"ledger,omitempty"`
}

func pendingOf(p wallet.Pending) pendingJSON { return pendingJSON{Pending: p, Error: codeOf(p.Err)} }
