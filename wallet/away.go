package wallet

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/view"
)

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
// complete, as it could be, with an *ledgerclient.UnreachableError in its chain, or a
// [ledgerclient.ErrStale]; and when the ledger itself was followed last, to ten minutes, zero
// if never, or of when what was looked at is if Stale says that this is known. It returns nil
// if all services answered.
func (lg Log) OutOfReach() (since time.Time, err error) {
	if lg.w.view.Behind() == nil {
		return lg.w.opt.Now(), lg.w.view.Away()
	}
	return lg.w.view.AsOf(), lg.w.view.Behind()
}

// Stale tells whether the newest head that the ledger shows is of another time than now, which
// is no matter for who ends consents; and whether OutOfReach's since is when it was signed.
func (lg Log) Stale() (stale, dated bool) { return lg.w.view.Stale(), lg.w.view.Dated() }

// Behind tells whether the ledger itself is out of reach, or shows what is old, so that what
// the wallet shows is of then; since is OutOfReach's.
func (lg Log) Behind() (since time.Time, behind bool) {
	return lg.w.view.AsOf(), lg.w.view.Behind() != nil
}

// Unconfirmed returns the commitment of the ledger's newest configuration, and whether it
// is to be compared with a second source before anything is granted: see
// [view.View.Unconfirmed], [view.View.Openers].
func (lg Log) Unconfirmed() (config crypto.Hash, unconfirmed bool) {
	c := lg.w.client.Config()
	return c.Commitment(), lg.w.view.Unconfirmed() || lg.w.view.Openers() != nil
}

// Confirm takes the word of whoever compared a configuration with a second source that it
// is the ledger's newest, and that its keepers may open what is granted: [ErrInput] if
// another one is. Once more: a no-op.
func (lg Log) Confirm(ctx context.Context, config crypto.Hash) error {
	return lg.w.with(ctx, func() error {
		if now, _ := lg.Unconfirmed(); now != config {
			return badInput("configuration", config.String(), "is not the newest one that the ledger shows")
		}
		lg.w.view.Confirm()
		return nil
	})
}

// Checked is a head up to which all was found in order.
type Checked = view.Checked

// Mark returns up to which head the open ledger was found in order before, and of one in a
// folder what else was there; zero if nothing was, or nobody can read what it was, which is
// the error.
func (lg Log) Mark() (c Checked, folder []byte, err error) {
	m, err := lg.w.view.Mark()
	return m.Checked, m.Folder, err
}

// SetMark remembers what was found in order; folder is of a ledger in a folder what else
// was found in order there. The head must be of the history that the wallet follows.
func (lg Log) SetMark(ctx context.Context, c Checked, folder []byte) error {
	return lg.w.Look(ctx, func() error { return lg.w.view.SetMark(ctx, c, folder) })
}

// Verify checks all of the open ledger's log, not only what concerns this wallet. It
// returns the head, and how many signatures were checked; of the entries up to known only
// the hashes are made again.
func (lg Log) Verify(ctx context.Context, known Checked, progress func(done, total uint64)) (c Checked, signatures uint64, err error) {
	err = lg.w.Look(ctx, func() (err error) {
		c, signatures, err = lg.w.view.VerifyAll(ctx, known, progress)
		return err
	})
	return c, signatures, err
}

// Genesis returns the configuration document of a ledger that the wallet in dir is on:
// see [view.Genesis].
func Genesis(dir string, id crypto.LedgerID) ([]byte, error) { return view.Genesis(dir, id) }

// Documents returns the configuration documents that were kept of a ledger that the wallet in
// dir is on, the genesis first: see ledgerclient.Client.Documents.
func Documents(dir string, id crypto.LedgerID) ([][]byte, error) { return view.Documents(dir, id) }

// Sites returns where the institutions of a ledger are reached that the wallet in dir is on,
// as KeepSites was told. It is in no way verified.
func Sites(dir string, id crypto.LedgerID) []byte { return view.Sites(dir, id) }

// KeepSites keeps that. The error is one of [Genesis] where the wallet is not on the ledger.
func KeepSites(dir string, id crypto.LedgerID, sites []byte) error {
	return view.KeepSites(dir, id, sites)
}

// Doubt returns what the clock says if it disagrees with the ledger's time, so that
// what is open is judged without it; zero if it does not. It disagrees if it is before
// the last entry (of that ledger hour), or too far from the newest head, or, where heads carry no time, more
// than ledgerclient.MaxIdle past the last entry, unless a person says that it is right.
func (lg Log) Doubt() (clock time.Time, last contract.Hour) {
	return lg.w.view.Doubt(), lg.w.view.Pin().Hour
}

// Uncompared reports whether the head of the ledger that was seen before cannot be read, so
// that the ledger was followed from its beginning, whatever it showed before.
func (lg Log) Uncompared() bool { return lg.w.view.Lost() != nil }

// gossip checks the head that somebody else saw against the one this wallet sees:
// the two must be of one history.
func (lg Log) gossip(ctx context.Context, note string) error {
	head, err := lg.handed(note)
	if err != nil {
		return err
	}
	return lg.w.client.CheckHead(ctx, head, lg.w.view.Head())
}

// handed is the head that somebody else saw and handed on. What is none is a
// *TamperedError, also what fewer nodes have signed than make a head: that is the fault of
// who handed it on, and nothing that the ledger shows.
func (lg Log) handed(note string) (ledgerclient.Head, error) {
	head, err := lg.w.client.ReadHead([]byte(note))
	if errors.Is(err, ledgerclient.ErrTooFew) {
		err = &ledgerclient.TamperedError{What: "checkpoint", Err: errors.New("signed by too few nodes")}
	}
	return head, err
}
