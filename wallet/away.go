package wallet

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/view"
)

// connect reads the configuration of one of the wallet's ledgers, from the wallet's
// own folder if the ledger itself cannot be reached. id is the ledger that is meant;
// zero is whichever answers, or the default.
func connect(ctx context.Context, dir string, s Settings, services ledgerclient.Services, id crypto.LedgerID) (*ledgerclient.Client, error) {
	client, err := ledgerclient.Connect(ctx, services, id)
	if ledgerclient.Unreachable(err) != nil {
		if id == (crypto.LedgerID{}) {
			id = s.Default
		}
		docs, derr := view.Documents(dir, id)
		if derr != nil {
			return nil, errors.Join(err, derr)
		}
		services.Ledger = ledgerclient.Remember(services.Ledger, docs)
		client, err = ledgerclient.Connect(ctx, services, id)
	}
	if err != nil {
		return nil, err
	}
	if _, ok := s.Ledger(client.ID()); !ok {
		return nil, ledgerclient.ErrForeign.With("want", s.Default, "got", client.ID())
	}
	return client, nil
}

// OutOfReach returns the services of a ledger that the wallet in dir is on and that
// cannot be reached: see ledgerclient.OutOfReach.
func OutOfReach(dir string, id crypto.LedgerID, p ledgerclient.Properties, why error) (ledgerclient.Services, error) {
	docs, err := view.Documents(dir, id)
	if err != nil {
		return ledgerclient.Services{}, &DamagedError{File: filepath.Join(home.LedgerFolder(id), view.GenesisFile), Err: err}
	}
	return ledgerclient.OutOfReach(docs, p, why)
}

// Log is the open ledger's log, as far as this wallet has followed and verified it.
type Log struct{ w *Wallet }

// Log returns the open ledger's log.
func (w *Wallet) Log() Log { return Log{w} }

// OutOfReach returns why something that was last looked at is not as new, or not as
// complete, as it could be, with an *ledgerclient.UnreachableError in its chain; and
// when the ledger itself was followed last, to ten minutes, zero if never. It
// returns nil if all services answered.
func (lg Log) OutOfReach() (since time.Time, err error) {
	if lg.w.view.Behind() == nil {
		return lg.w.opt.Now(), lg.w.view.Away()
	}
	return lg.w.view.AsOf(), lg.w.view.Behind()
}

// Behind tells whether the ledger itself is out of reach, so that what the wallet shows is
// of when it was followed last; since is that, to ten minutes, and zero if it never was.
func (lg Log) Behind() (since time.Time, behind bool) {
	return lg.w.view.AsOf(), lg.w.view.Behind() != nil
}

// Verify checks all of the open ledger's log, not only what concerns this wallet:
// see [View]. It returns the head, and how many signatures were checked; what was
// checked before is not checked again.
func (lg Log) Verify(ctx context.Context, progress func(done, total uint64)) (size uint64, root crypto.Hash, signatures uint64, err error) {
	err = lg.w.look(ctx, func() (err error) {
		size, root, signatures, err = lg.w.view.VerifyAll(ctx, progress)
		return err
	})
	return size, root, signatures, err
}

// Genesis returns the configuration document of a ledger that the wallet in dir is on:
// see [view.Genesis].
func Genesis(dir string, id crypto.LedgerID) ([]byte, error) { return view.Genesis(dir, id) }
