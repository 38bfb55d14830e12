package wallet

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/keyring"
)

// A home holds any number of profiles, each a wallet of its own. The folder of a
// profile is named by a hash, and the name itself is in the sealed book, so that
// without the key nobody reads what a profile is called. (Who guesses the name can
// confirm it by the hash.) A list therefore shows the names of those whose keys can
// be had, and folders for the rest.

// Profile is one of a home's.
type Profile struct {
	Dir      string
	Settings Settings
	Removing bool  // a removal was interrupted: FinishRemoval ends it
	Err      error // why its settings cannot be read, such as a *DamagedError; nil if they can
}

// Profiles lists the profiles of a home by folder.
func Profiles(home string) ([]Profile, error) {
	entries, err := disk.ReadDir(filepath.Join(home, walletsDir) + string(filepath.Separator))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Profile
	for _, e := range entries {
		p := Profile{Dir: filepath.Join(home, walletsDir, e.Name())}
		if !profileFolder.MatchString(e.Name()) || !e.IsDir() {
			continue // such as what the desktop writes into every folder
		}
		if p.Settings, p.Removing = readRemoving(p.Dir); p.Removing {
			out = append(out, p)
			continue
		}
		if p.Settings, p.Err = ReadSettings(p.Dir); isNoWallet(p.Err) {
			continue // a restore that was interrupted, or nothing
		}
		out = append(out, p)
	}
	return out, nil
}

// ReadProfile returns what is in the sealed book of the wallet in opt.Dir: what its
// owner calls the profile, "" if that was never said, and herself. opt.Services may
// be empty: no ledger is asked.
func ReadProfile(ctx context.Context, opt Options) (profile, owner string, err error) {
	s, err := ReadSettings(opt.Dir)
	if err != nil {
		return "", "", err
	}
	entropy, err := readKey(ctx, opt, s)
	if err != nil {
		return "", "", err
	}
	w := &Wallet{home: home.Folder{Dir: opt.Dir, Key: entropy.Root().LocalKey()}}
	if err := w.Book().read(); err != nil {
		return "", "", err
	}
	return w.book.Profile, w.book.Name, nil
}

// removingFile are the settings of a wallet that is being removed.
const removingFile = "removing"

func readRemoving(dir string) (Settings, bool) {
	var s Settings
	b, err := home.ReadFile(dir, removingFile)
	if err != nil || json.Unmarshal(b, &s) != nil || s.Item == "" {
		return Settings{}, false
	}
	return s, true
}

// toRemove finds what is to be removed of a folder, and the file that says so.
func toRemove(dir string) (s Settings, mark string, ok bool) {
	if s, ok = readRemoving(dir); ok {
		return s, removingFile, true
	}
	s, ok = readMaking(dir)
	return s, makingFile, ok
}

// Remove removes the wallet in opt.Dir from this machine: its files and its key.
// The ledger keeps what is on it. See MayBeRemoved. From the first step on there is
// no wallet any more; if it is interrupted, FinishRemoval does the rest.
func Remove(ctx context.Context, opt Options) error {
	unlock, err := home.Lock(ctx, opt.Dir, opt.waitOrDefault())
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := ReadSettings(opt.Dir); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(opt.Dir, settingsFile), filepath.Join(opt.Dir, removingFile)); err != nil {
		return err
	}
	if err := disk.SyncDir(opt.Dir); err != nil {
		return err
	}
	return finishRemoval(context.WithoutCancel(ctx), opt)
}

// FinishRemoval ends a removal that was interrupted, and removes what an interrupted
// making of a wallet left; without one it does nothing.
func FinishRemoval(ctx context.Context, opt Options) error {
	if _, _, ok := toRemove(opt.Dir); !ok {
		return nil
	}
	unlock, err := home.Lock(ctx, opt.Dir, opt.waitOrDefault())
	if err != nil {
		return err
	}
	defer unlock()
	return finishRemoval(ctx, opt)
}

// finishRemoval removes the key, then the files, and last what tells that there is
// something to be removed.
func finishRemoval(ctx context.Context, opt Options) error {
	s, mark, ok := toRemove(opt.Dir)
	if !ok {
		return nil
	}
	// A key file may be there also of a wallet whose key is elsewhere: an interrupted
	// move leaves one.
	file := &keyring.File{Path: filepath.Join(opt.Dir, keyring.FileName)}
	for _, store := range []keyring.Store{opt.Keyring, file} {
		if s.Item == "" {
			break // none was kept yet
		}
		if err := store.Delete(ctx, s.Item); err != nil && !isNotFound(err) {
			return err
		}
	}
	if err := clearProfile(opt.Dir); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(opt.Dir, mark)); err != nil {
		return err
	}
	// The folder goes with its lock, unless somebody keeps something in it.
	os.Remove(filepath.Join(opt.Dir, home.NextFile))
	os.Remove(filepath.Join(opt.Dir, home.LockFile))
	os.Remove(opt.Dir)
	return nil
}

// Removing tells whether a removal was interrupted in a profile's folder, and where
// its key is.
func Removing(dir string) (keyringKind string, ok bool) {
	s, ok := readRemoving(dir)
	return s.Keyring, ok
}
