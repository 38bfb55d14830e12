package wallet

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/wallet/atomicfile"
	"github.com/carekey/carekey/wallet/home"
)

// Files of a profile's folder. Only settings and the ledgers' configurations can
// be read without the key, and they hold no name, title or address.
const (
	settingsFile = "wallet.json"
)

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

// valid tells whether the settings can be what this package wrote.
func (s *Settings) valid() bool {
	if (s.Keyring != "os" && s.Keyring != "file") || s.Item == "" || strings.ContainsAny(s.Item, "/\\") {
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
	if !s.valid() {
		return Settings{}, &DamagedError{File: settingsFile}
	}
	return s, nil
}

// Headless tells whether dir holds a wallet's sealed files and no settings: they were
// lost, or never written.
func Headless(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, home.KeyCheckFile))
	_, serr := os.Lstat(filepath.Join(dir, settingsFile))
	return err == nil && errors.Is(serr, fs.ErrNotExist)
}

func writeSettings(dir string, s Settings) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, settingsFile), append(b, '\n'), 0o600)
}
