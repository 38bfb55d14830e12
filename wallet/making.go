package wallet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/keyring"
)

// Making is a wallet that is being made. It holds the lock of the wallet's folder until
// End.
//
// Its mark is there before the first thing that would outlive a kill, and becomes
// wallet.json by one rename when all is done: so either there is a wallet, or the next run
// knows what to clear away. Before the ledger is made the mark has no item, and a ledger
// without an id.
type Making struct {
	// Anew: an earlier run was interrupted. What it left is cleared away, and its
	// words are void.
	Anew bool

	opt    Options
	words  string
	was    Settings // of the earlier run
	keep   bool     // the folder: it is a wallet, or something is left that the mark tells of
	unlock func()
}

// Begin begins to make a wallet in an empty or missing folder, or begins anew where that
// was interrupted: it removes the key of the earlier run, from the store of the kind that
// keyrings returns, its files, and the file words if its words are in it. That of anybody
// else stays. words is "" if there is to be none.
//
// Errors: [ErrExists] if there is a wallet, [ErrBusy], and those of the store.
func Begin(ctx context.Context, opt Options, words string, keyrings func(kind string) keyring.Store) (*Making, error) {
	unlock, err := lockVacant(ctx, opt)
	if err != nil {
		return nil, err
	}
	m := &Making{opt: opt, words: words, unlock: unlock}
	mark, was := Unfinished(opt.Dir)
	if m.was, m.Anew = was, mark == BeingMade; m.Anew {
		m.keep = true // a ledger may be left
		if err := m.undo(ctx, keyrings(m.was.Keyring), m.was.Item); err != nil {
			unlock()
			return nil, err
		}
	}
	return m, nil
}

// Began tells whether the earlier run was to make the ledger there, or was on it.
func (m *Making) Began(at string) bool { return m.Anew && m.was.Ledgers[0].At == at }

// WillMakeLedger keeps in mind that a ledger is made for the wallet.
func (m *Making) WillMakeLedger(at string) error {
	s := Settings{V: settingsVersion, Keyring: m.opt.Keyring.Kind(), Ledgers: []Place{{At: at}}}
	return s.writeAs(m.opt.Dir, string(BeingMade))
}

// Create makes the wallet. The ledger of services becomes its first one, and its
// default; at is what the settings say of where that is. name is what the wallet's owner
// calls herself; it is sealed with the book. When all is written but what makes it a
// wallet, handOver gives the words to the owner: with its error nothing is made.
func (m *Making) Create(ctx context.Context, services ledgerclient.Services, entropy crypto.Entropy, name, at string, handOver func() error) (*Wallet, error) {
	name, err := CheckName("name", name)
	if err != nil {
		return nil, err
	}
	client, err := ledgerclient.Connect(ctx, services, crypto.LedgerID{})
	if err != nil {
		return nil, err
	}
	s := newSettings(m.opt.Keyring, client.ID(), at)
	if err := s.writeAs(m.opt.Dir, string(BeingMade)); err != nil {
		return nil, err
	}
	if err := m.opt.Keyring.Set(ctx, s.Item, entropy.Encode()); err != nil {
		if mayHold(err) {
			left := m.undo(ctx, m.opt.Keyring, s.Item)
			unknown := errors.Is(err, keyring.ErrNotStored) && errors.Is(left, keyring.ErrNotDeleted)
			if err = errors.Join(err, left); unknown {
				err = ErrLeftBehind.Of(err)
			}
		}
		return nil, err
	}
	w := assemble(m.opt, s, client, entropy.Root().Keys(client.ID()))
	if err = w.writeNew(name); err == nil {
		err = handOver()
	}
	if err == nil {
		if err = become(m.opt.Dir, string(BeingMade), settingsFile); err != nil {
			os.Rename(filepath.Join(m.opt.Dir, settingsFile), filepath.Join(m.opt.Dir, string(BeingMade))) // it is no wallet if that is not durable
		}
	}
	if err != nil {
		return nil, errors.Join(err, m.undo(ctx, m.opt.Keyring, s.Item))
	}
	m.keep = true
	return w, nil
}

// mayHold tells whether a keyring that failed to take a key may hold it all the same. One
// whose prompt nobody answered was not given it.
func mayHold(err error) bool {
	return errors.Is(err, keyring.ErrNotStored) || errors.Is(err, keyring.ErrTimeout) || errors.Is(err, keyring.ErrBrokeOff)
}

// newSettings are those of a wallet on one ledger.
func newSettings(k keyring.Store, id crypto.LedgerID, at string) Settings {
	return Settings{V: settingsVersion, Keyring: k.Kind(), Item: newItem(), Default: id, Ledgers: []Place{{ID: id, At: at}}}
}

// writeNew writes the sealed files of a new wallet.
func (w *Wallet) writeNew(name string) error {
	w.book.book = newBook()
	w.book.Profile = w.opt.Profile
	w.Book().setName(name)
	if err := w.home.Write(home.KeyCheckFile, w.home.Key.Seal(home.KeyCheckFile, []byte("carekey"))); err != nil {
		return err
	}
	if err := w.home.WriteSealed(home.BookFile, w.book.book); err != nil {
		return err
	}
	return w.view.Create(home.JournalDir)
}

// undo removes all that was made but the mark: the words first, which only the key check
// proves to be the wallet's own.
func (m *Making) undo(ctx context.Context, store keyring.Store, item string) error {
	if m.words != "" {
		removeWords(m.opt.Dir, m.words)
	}
	if item != "" {
		if err := store.Delete(context.WithoutCancel(ctx), item); err != nil && !isNotFound(err) {
			m.keep = true
			return err
		}
	}
	return clearProfile(m.opt.Dir)
}

// End gives up the lock. If no wallet was made it also removes the mark, and the folder if
// nothing else is in it: unless something is left that the next run is to clear away, or
// to use.
func (m *Making) End() {
	defer m.unlock()
	if m.keep {
		return
	}
	os.Remove(filepath.Join(m.opt.Dir, string(BeingMade)))
	removeEmpty(m.opt.Dir)
}

// removeWords removes the file if it holds the words of the wallet in dir, and what a
// killed process left of writing it.
func removeWords(dir, file string) {
	for _, f := range append(home.HalfWritten(filepath.Dir(file)), file) {
		const most = 1 << 12 // bytes; 24 words are 216 at most
		b, err := disk.ReadFile(f, most)
		if err != nil {
			continue
		}
		if entropy, err := crypto.EntropyFromWords(strings.Fields(string(b))); err == nil && keyOpens(dir, entropy.Encode()) == nil {
			os.Remove(f)
		}
		clear(b)
	}
}
