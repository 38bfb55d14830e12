package wallet

import (
	"context"
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
		if !profileFolder().MatchString(e.Name()) || !e.IsDir() {
			continue // such as what the desktop writes into every folder
		}
		mark, s := Unfinished(p.Dir)
		if p.Removing = mark == BeingRemoved; p.Removing {
			p.Settings = s
		} else {
			p.Settings, p.Err = ReadSettings(p.Dir)
		}
		if !errors.Is(p.Err, ErrNoWallet) { // a restore that was interrupted, or nothing
			out = append(out, p)
		}
	}
	return out, nil
}

// ReadProfile returns what is in the sealed book of the wallet in opt.Dir: what its
// owner calls the profile, "" if that was never said, and herself. opt.Services may
// be empty: no ledger is asked.
func ReadProfile(ctx context.Context, opt Options) (profile, owner string, err error) {
	keys, err := provenKeys(ctx, opt.Dir, opt.Keyring)
	if err != nil {
		return "", "", err
	}
	defer keys.Wipe()
	w := &Wallet{home: home.Folder{Dir: opt.Dir, Key: keys.LocalKey()}}
	if err := w.Book().read(); err != nil {
		return "", "", err
	}
	return w.book.Profile, w.Name(), nil
}

// Remove removes the wallet in opt.Dir from this machine: its files and its key.
// The ledger keeps what is on it. See MayBeRemoved. From the first step on there is
// no wallet any more; if it is interrupted, FinishRemoval does the rest.
func Remove(ctx context.Context, opt Options) error {
	_, unlock, err := lockSettings(ctx, opt)
	if err != nil {
		return err
	}
	defer unlock()
	if err := become(opt.Dir, settingsFile, string(BeingRemoved)); err != nil {
		return err
	}
	return finishRemoval(context.WithoutCancel(ctx), opt)
}

// FinishRemoval ends a removal that was interrupted, and removes what an interrupted
// making of a wallet left; without one it does nothing.
func FinishRemoval(ctx context.Context, opt Options) error {
	if mark, _ := Unfinished(opt.Dir); mark == "" {
		return nil
	}
	unlock, err := opt.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return finishRemoval(ctx, opt)
}

// finishRemoval removes the key, then the files, and last what tells that there is
// something to be removed.
func finishRemoval(ctx context.Context, opt Options) error {
	mark, s := Unfinished(opt.Dir)
	if mark != BeingRemoved && mark != BeingMade {
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
	err := os.Remove(filepath.Join(opt.Dir, string(mark)))
	if err == nil {
		removeEmpty(opt.Dir)
	}
	return err
}

// removeEmpty removes the folder of a profile with its lock, unless somebody keeps
// something in it.
func removeEmpty(dir string) {
	for _, name := range []string{home.NextFile, home.WatchFile, home.LockFile, "."} {
		os.Remove(filepath.Join(dir, name))
	}
}
