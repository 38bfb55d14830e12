package wallet

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/atomicfile"
	"github.com/carekey/carekey/wallet/home"
)

// settingsFile can be read without the key, as can the ledgers' configurations, and holds
// no name, title or address.
const settingsFile = "wallet.json"

// walletsDir holds the profiles' folders in a home.
const walletsDir = "wallets"

// ProfileDir is the folder of a profile inside the home: the name is hashed, so
// that no file name tells whose wallet it is. However a name is written, it is one
// (see [text.Name]).
func ProfileDir(home, profile string) string {
	h := crypto.TaggedHash(crypto.TagProfile, []byte(text.Name(profile)))
	return filepath.Join(home, walletsDir, hex.EncodeToString(h[:8]))
}

// Settings is what must be known of a wallet before its key is.
type Settings struct {
	V       int             `json:"v"`
	Keyring string          `json:"keyring"` // "os" or "file"
	Item    string          `json:"item"`    // of the keyring: random
	Default crypto.LedgerID `json:"ledger"`  // the ledger that is meant when none is named
	Ledgers []Place         `json:"ledgers"` // all that the wallet is on, in the order in which it joined them; at least one
}

// Place says where a ledger is.
type Place struct {
	ID crypto.LedgerID `json:"id"`
	At string          `json:"at"` // a folder's path, or what the program knows to open: a node's invitation
}

// Ledger returns the place of a ledger; false if the wallet is not on it.
func (s *Settings) Ledger(id crypto.LedgerID) (Place, bool) {
	for _, p := range s.Ledgers {
		if p.ID == id {
			return p, true
		}
	}
	return Place{}, false
}

// valid reports whether the settings can be what this package wrote.
func (s *Settings) valid() bool {
	if s.V != settingsVersion || s.Keyring != "os" && s.Keyring != "file" || strings.ContainsAny(s.Item, "/\\") {
		return false
	}
	folders := map[string]bool{}
	for _, p := range s.Ledgers {
		if p.At == "" || folders[home.LedgerFolder(p.ID)] {
			return false
		}
		folders[home.LedgerFolder(p.ID)] = true
	}
	_, ok := s.Ledger(s.Default)
	return ok
}

const settingsVersion = 2

// ReadSettings reads the settings of the wallet in dir: [ErrNoWallet] if there is
// none.
func ReadSettings(dir string) (Settings, error) {
	b, err := home.ReadFile(dir, settingsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return Settings{}, ErrNoWallet.With("dir", dir)
	}
	if err != nil {
		return Settings{}, err
	}
	var s Settings
	if err := json.Unmarshal(b, &s); err != nil {
		return Settings{}, &DamagedError{File: settingsFile}
	}
	if s.V != settingsVersion {
		return Settings{}, WrongVersion(settingsFile, s.V, settingsVersion)
	}
	if !s.valid() || s.Item == "" {
		return Settings{}, &DamagedError{File: settingsFile}
	}
	return s, nil
}

// Mark is the name of the settings of what is no wallet yet, or no more. It tells the next
// run what to go on with, or to clear away.
type Mark string

const (
	BeingMade     Mark = "making" // without an item before the ledger is made
	BeingRestored Mark = "restoring"
	BeingRemoved  Mark = "removing"

	// Headless is no file's name: there are a wallet's sealed files and no settings, which
	// were lost, or never written.
	Headless Mark = "headless"
)

// Unfinished returns what was interrupted in a profile's folder, and the settings there;
// "" if nothing was. Where there is a wallet, nothing is, whatever lies beside it.
func Unfinished(dir string) (Mark, Settings) {
	if _, err := os.Lstat(filepath.Join(dir, settingsFile)); err == nil {
		return "", Settings{}
	}
	for _, m := range []Mark{BeingRemoved, BeingMade, BeingRestored} {
		var s Settings
		b, err := home.ReadFile(dir, string(m))
		if err == nil && json.Unmarshal(b, &s) == nil && s.valid() && (m != BeingMade || len(s.Ledgers) == 1) {
			return m, s
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, home.KeyCheckFile)); err == nil {
		return Headless, Settings{}
	}
	return "", Settings{}
}

// become makes the settings of one name those of another, durably: it begins or ends what
// a mark stands for.
func become(dir, from, to string) error {
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		return err
	}
	return disk.SyncDir(dir)
}

// writeAs writes the settings under a name.
func (s Settings) writeAs(dir, name string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, name), append(b, '\n'), 0o600)
}

// lockSettings takes the lock of the wallet in opt.Dir and reads its settings.
func lockSettings(ctx context.Context, opt Options) (s Settings, unlock func(), err error) {
	if unlock, err = opt.lock(ctx); err != nil {
		return s, nil, err
	}
	if s, err = ReadSettings(opt.Dir); err != nil {
		unlock()
	}
	return s, unlock, err
}

// lockVacant takes the lock of a folder in which a wallet is to be, and makes the folder:
// [ErrWalletExists] if there is one.
func lockVacant(ctx context.Context, opt Options) (unlock func(), err error) {
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, err
	}
	if unlock, err = opt.lock(ctx); err != nil {
		return nil, err
	}
	if _, err = ReadSettings(opt.Dir); errors.Is(err, ErrNoWallet) {
		return unlock, nil
	}
	unlock()
	return nil, cmp.Or(err, error(ErrWalletExists))
}
