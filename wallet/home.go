package wallet

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/atomicfile"
)

// Files of a profile's folder. Only settings and the ledgers' configurations can
// be read without the key, and they hold no name, title or address.
const (
	settingsFile = "wallet.json"
	bookFile     = "state" // sealed: what is the same on every ledger: name, contacts
	ledgersDir   = "ledgers"
	lockFile     = "lock"
	nextFile     = "lock.next" // locked by who waits for the lock; made when somebody does
)

// walletsDir holds the profiles' folders in a home.
const walletsDir = "wallets"

// Files of the folder that a wallet keeps of each of its ledgers.
const (
	stateFile   = "state"   // sealed: the pin, what was looked at
	cacheFile   = "cache"   // sealed frames: what the ledger holds of this wallet; can be rebuilt
	journalDir  = "journal" // sealed: changes on their way
	leavesFile  = "leaves"  // all of the ledger, as it was verified: public
	genesisFile = "genesis" // the ledger's configuration document, public: opens the wallet when the ledger is out of reach
)

// configFile is the ledger's n-th configuration document after the genesis.
func configFile(n int) string { return fmt.Sprintf("config-%d", n) }

// ledgerFolder is the folder of a ledger inside a profile's folder, relative to it.
func ledgerFolder(id crypto.LedgerID) string {
	return filepath.Join(ledgersDir, hex.EncodeToString(id[:8]))
}

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
		if p.At == "" || folders[ledgerFolder(p.ID)] {
			return false
		}
		folders[ledgerFolder(p.ID)] = true
	}
	_, ok := s.Ledger(s.Default)
	return ok
}

const settingsVersion = 2

// ReadSettings reads the settings of the wallet in dir: *NoWalletError if there is
// none.
func ReadSettings(dir string) (Settings, error) {
	b, err := readOwn(dir, settingsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return Settings{}, &NoWalletError{Dir: dir}
	}
	if err != nil {
		return Settings{}, err
	}
	var s Settings
	if err := json.Unmarshal(b, &s); err != nil {
		return Settings{}, &DamagedError{File: settingsFile}
	}
	if s.V != settingsVersion {
		return Settings{}, &VersionError{What: settingsFile, Version: s.V, Known: settingsVersion}
	}
	if !s.valid() {
		return Settings{}, &DamagedError{File: settingsFile}
	}
	return s, nil
}

// Headless tells whether dir holds a wallet's sealed files and no settings: they were
// lost, or never written.
func Headless(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, keyCheckFile))
	_, serr := os.Lstat(filepath.Join(dir, settingsFile))
	return err == nil && errors.Is(serr, fs.ErrNotExist)
}

// readOwn reads a file of the wallet's folder. One that is no file, or longer than any
// of them is, is a *DamagedError.
func readOwn(dir, name string) ([]byte, error) {
	const most = 256 << 20 // bytes
	b, err := disk.ReadFile(filepath.Join(dir, name), most)
	return b, damagedKind(name, err)
}

// openOwn opens a file of the wallet's folder. One that is no file is a *DamagedError.
func openOwn(dir, name string, flag int) (*os.File, error) {
	f, err := disk.Open(filepath.Join(dir, name), flag, 0o600)
	return f, damagedKind(name, err)
}

func damagedKind(name string, err error) error {
	if is[*disk.KindError](err) || errors.Is(err, syscall.ENOTDIR) { // the file, or a folder on the way to it
		return &DamagedError{File: name, Err: err}
	}
	return err
}

func writeSettings(dir string, s Settings) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, settingsFile), append(b, '\n'), 0o600)
}

// lockHome takes the wallet's lock, waiting at most wait: one process at a time
// changes a wallet.
func lockHome(ctx context.Context, dir string, wait time.Duration) (unlock func(), err error) {
	f, err := openOwn(dir, lockFile, os.O_CREATE|os.O_RDWR)
	if err != nil {
		var rerr error
		if f, rerr = openOwn(dir, lockFile, os.O_RDONLY); rerr != nil { // where nothing can be written it can be locked
			return nil, err
		}
	}
	var next *os.File
	defer func() {
		if next != nil {
			next.Close()
		}
	}()
	start := time.Now()
	for pause := time.Millisecond; ; pause = min(pause*2, 100*time.Millisecond) {
		ok, err := tryLock(f)
		if err != nil {
			f.Close()
			return nil, err
		}
		if ok {
			return func() { f.Close() }, nil
		}
		if next == nil {
			next = standInLine(dir)
		}
		if time.Since(start) >= wait {
			f.Close()
			return nil, &BusyError{Waited: wait}
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// standInLine shows that this process waits for the lock, until the file that it
// returns is closed. It is nil if another one stands there already, or if it cannot be
// shown.
func standInLine(dir string) *os.File {
	f, err := openOwn(dir, nextFile, os.O_CREATE|os.O_RDWR)
	if err != nil {
		return nil
	}
	if ok, err := tryLock(f); !ok || err != nil {
		f.Close()
		return nil
	}
	return f
}

// letIn waits until who waits for the lock has had it. Who takes the lock again and
// again calls it in between: to be quick enough for the moment at which the lock is
// free would be luck.
func letIn(ctx context.Context, dir string) {
	f, err := openOwn(dir, nextFile, os.O_RDWR)
	if err != nil {
		return // nobody ever waited
	}
	defer f.Close()
	for pause := time.Millisecond; ; pause = min(pause*2, 20*time.Millisecond) {
		if ok, err := tryLock(f); ok || err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}
