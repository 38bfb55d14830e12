package wallet

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/outbox"
)

// A wallet is one key and one address on any number of ledgers. What it knows of
// each is in a folder of its own, so that a ledger can be joined, left or be out of
// reach without any effect on the others. Settings list the ledgers: a folder that
// they do not name is garbage of a Join or Leave that was interrupted.

// Join puts the wallet in opt.Dir on the ledger of opt.Services, and returns the
// wallet with that ledger open. at is what the settings say of where it is. Of a
// ledger that the wallet is on already only the place is changed; then joined is
// false.
func Join(ctx context.Context, opt Options, at string) (w *Wallet, joined bool, err error) {
	s, unlock, err := lockSettings(ctx, opt)
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	client, err := ledgerclient.Connect(ctx, opt.Services, opt.Ledger)
	if err != nil {
		return nil, false, err
	}
	keys, err := openKeys(ctx, opt.Keyring, s.Item, client.ID())
	if err != nil {
		return nil, false, err
	}
	old, known := s.Ledger(client.ID())
	if known {
		s.Ledgers[slices.Index(s.Ledgers, old)].At = at
	} else {
		s.Ledgers = append(s.Ledgers, Place{ID: client.ID(), At: at})
	}
	if !s.valid() { // two ids that begin alike: nobody meets that by chance
		return nil, false, &ledgerclient.TamperedError{What: "configuration document"}
	}
	w = assemble(opt, s, client, keys)
	if known {
		if err := w.readState(); err != nil {
			return nil, false, err
		}
		if old.At == at {
			return w, false, nil
		}
		return w, false, s.writeAs(opt.Dir, settingsFile)
	}
	if err := w.Book().read(); err != nil {
		return nil, false, err
	}
	err = w.view.Create(home.JournalDir)
	if err == nil {
		err = s.writeAs(opt.Dir, settingsFile)
	}
	if err != nil {
		return nil, false, errors.Join(err, w.view.Remove())
	}
	return w, true, nil
}

// SetDefault makes a ledger the one that is meant when none is named:
// [ErrNotFound] if the wallet in dir is not on it.
func SetDefault(ctx context.Context, dir string, id crypto.LedgerID) error {
	s, unlock, err := lockSettings(ctx, Options{Dir: dir})
	if err != nil {
		return err
	}
	defer unlock()
	if _, ok := s.Ledger(id); !ok {
		return ErrNotFound.With("noun", "ledger", "query", id.String())
	}
	s.Default = id
	return s.writeAs(dir, settingsFile)
}

// Leave forgets the open ledger and all that was remembered of it. What is on it
// stays there, consents go on, and Join finds it all again. A ledger for which
// something waits is an [ErrChangesWait], the default one an [ErrDefaultLedger].
// Afterwards w must not be used any more.
func (w *Wallet) Leave(ctx context.Context) error {
	return w.with(ctx, func() error {
		id := w.client.ID()
		s, err := ReadSettings(w.home.Dir)
		if err != nil {
			return err
		}
		batches := w.outbox.Batches()
		n := batches - len(w.Changes().PassedOver())
		switch {
		case s.Default == id:
			return ErrDefaultLedger.With("ledger", id)
		case n > 0:
			return ErrChangesWait.With("ledger", id, "changes", n)
		case n < 0 || batches > 0 || w.Job().Exists(): // unreadable, or a job that was begun
			return ErrSomethingWaits.With("ledger", id)
		}
		// Other machines of the same owner are told with the next change of the book.
		left, _ := s.Ledger(id)
		w.book.Facts.setLedger(ledgerFact{ID: id, At: left.At, Removed: true}, w.opt.Now())
		w.book.dirty = true
		s.Ledgers = slices.DeleteFunc(s.Ledgers, func(p Place) bool { return p.ID == id })
		w.settings = s
		if err := w.save(); err != nil {
			return err
		}
		if err := s.writeAs(w.home.Dir, settingsFile); err != nil {
			return err
		}
		return w.view.Remove() // garbage once the settings do not name it
	})
}

// Waiting returns how many batches of changes wait for a ledger that the wallet in
// dir is on. It needs no key.
func Waiting(dir string, id crypto.LedgerID) (int, error) {
	entries, err := disk.ReadDir(filepath.Join(dir, home.LedgerFolder(id), home.JournalDir))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	n := 0
	for _, e := range entries {
		if outbox.IsFile(e.Name()) {
			n++
		}
	}
	return n, err
}

// On returns the same unlocked wallet with another of its ledgers open. The two must
// not be used at the same time, and Wipe of either overwrites the keys of both.
func (w *Wallet) On(ctx context.Context, services ledgerclient.Services, id crypto.LedgerID) (*Wallet, error) {
	s, err := ReadSettings(w.home.Dir)
	if err != nil {
		return nil, err
	}
	client, err := connect(ctx, w.home.Dir, s, services, id)
	if err != nil {
		return nil, err
	}
	keys, err := w.keys.On(client.ID())
	if err != nil {
		return nil, err
	}
	o := assemble(w.opt, s, client, keys)
	return o, o.readState()
}

// LedgerName is the name that the open ledger gives itself.
func (w *Wallet) LedgerName() string { return w.client.Config().Name }
