package wallet

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/atomicfile"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/keyring"
)

// makingFile are the settings of a wallet that is being made. It is there before the
// first thing that would outlive a kill, and becomes wallet.json by one rename when all
// is done: so either there is a wallet, or the next run knows what to clear away.
// Before the ledger is made it has no item, and a ledger without an id.
const makingFile = "making"

// Making is a wallet that is being made. It holds the lock of the wallet's folder until
// End.
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
func Begin(ctx context.Context, opt Options, words string, keyrings func(kind string) keyring.Store) (_ *Making, err error) {
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, err
	}
	unlock, err := home.Lock(ctx, opt.Dir, opt.waitOrDefault())
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			unlock()
		}
	}()
	if _, err := ReadSettings(opt.Dir); !isNoWallet(err) {
		if err == nil {
			err = ErrWalletExists
		}
		return nil, err
	}
	m := &Making{opt: opt, words: words, unlock: unlock}
	if m.was, m.Anew = readMaking(opt.Dir); m.Anew {
		m.keep = true // a ledger may be left
		return m, m.undo(ctx, keyrings(m.was.Keyring), m.was.Item)
	}
	return m, nil
}

// Began tells whether the earlier run was to make the ledger there, or was on it.
func (m *Making) Began(at string) bool { return m.Anew && m.was.Ledgers[0].At == at }

// WillMakeLedger keeps in mind that a ledger is made for the wallet.
func (m *Making) WillMakeLedger(at string) error {
	return m.mark(Settings{V: settingsVersion, Keyring: m.opt.Keyring.Kind(), Ledgers: []Place{{At: at}}})
}

func (m *Making) mark(s Settings) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(m.opt.Dir, makingFile), append(b, '\n'), 0o600)
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
	s := Settings{V: settingsVersion, Keyring: m.opt.Keyring.Kind(), Item: newItem(), Default: client.ID(), Ledgers: []Place{{ID: client.ID(), At: at}}}
	if err := m.mark(s); err != nil {
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
	w := assemble(m.opt, s, client, newKeys(entropy))
	w.book.book = book{V: bookVersion, Name: name, Profile: m.opt.Profile}
	if err = w.writeNew(); err == nil {
		err = handOver()
	}
	if err == nil {
		err = os.Rename(filepath.Join(m.opt.Dir, makingFile), filepath.Join(m.opt.Dir, settingsFile))
	}
	if err != nil {
		return nil, errors.Join(err, m.undo(ctx, m.opt.Keyring, s.Item))
	}
	if err := disk.SyncDir(m.opt.Dir); err != nil {
		os.Rename(filepath.Join(m.opt.Dir, settingsFile), filepath.Join(m.opt.Dir, makingFile)) // it is no wallet if that is not durable
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

// writeNew writes the sealed files of a new wallet.
func (w *Wallet) writeNew() error {
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
	for _, name := range []string{makingFile, home.NextFile, home.LockFile, "."} {
		os.Remove(filepath.Join(m.opt.Dir, name))
	}
}

// Create makes a wallet on a ledger that is there, whose words the caller has.
func Create(ctx context.Context, opt Options, entropy crypto.Entropy, name, at string) (*Wallet, error) {
	m, err := Begin(ctx, opt, "", func(string) keyring.Store { return opt.Keyring })
	if err != nil {
		return nil, err
	}
	defer m.End()
	return m.Create(ctx, opt.Services, entropy, name, at, func() error { return nil })
}

// UnfinishedInit tells whether the making of a wallet was interrupted in a profile's
// folder, and where its key was to be kept.
func UnfinishedInit(dir string) (keyringKind string, ok bool) {
	s, ok := readMaking(dir)
	return s.Keyring, ok
}

func readMaking(dir string) (Settings, bool) {
	if _, err := os.Lstat(filepath.Join(dir, settingsFile)); err == nil {
		return Settings{}, false // there is a wallet, whatever lies beside it
	}
	var s Settings
	b, err := home.ReadFile(dir, makingFile)
	if err != nil || json.Unmarshal(b, &s) != nil || s.V != settingsVersion || len(s.Ledgers) != 1 {
		return Settings{}, false
	}
	return s, true
}

// removeWords removes the file if it holds the words of the wallet in dir, and what a
// killed process left of writing it.
func removeWords(dir, file string) {
	files := []string{file}
	entries, _ := disk.ReadDir(filepath.Dir(file))
	for _, e := range entries {
		if atomicfile.IsTemp(e) {
			files = append(files, filepath.Join(filepath.Dir(file), e.Name()))
		}
	}
	for _, f := range files {
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
