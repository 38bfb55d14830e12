package wallet

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/atomicfile"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/view"
)

// What a backup holds of a wallet: the book, the tables that were imported and, of each ledger that was backed up, the
// last head that was seen and the configuration, sealed as they are in the profile's
// folder. The key is not in it, nor what can be read from the ledger again.

// Backup is what is done against the loss of the wallet.
type Backup struct{ w *Wallet }

// Backup returns what is done against the loss of the wallet.
func (w *Wallet) Backup() Backup { return Backup{w} }

// Save takes the wallet's sealed files as they are now. write puts them into dir, and
// opens the copies: that is for when the copy of the open ledger is there, since a
// ledger that is older than what its wallet had seen is not believed. What an earlier
// Save of this wallet put into dir is replaced; anything else that stands in the way
// is a [ErrForeignBackup] or an [ErrExists] at once.
func (bu Backup) Save(ctx context.Context, dir string) (write func() error, err error) {
	// The first file tells whose they are, for the next time after this one was killed.
	// What was seen of other ledgers is not taken: their copies are of another time.
	names := []string{home.KeyCheckFile, home.BookFile, bu.w.home.In(view.GenesisFile), bu.w.home.In(home.StateFile)}
	files, keep := map[string][]byte{}, false
	err = bu.w.with(ctx, func() error {
		if err := bu.mine(dir); err != nil {
			return err
		}
		if err := bu.w.save(); err != nil {
			return err
		}
		for _, name := range names {
			b, err := bu.w.home.Read(name)
			if err != nil {
				return err
			}
			files[name] = b
		}
		b, err := bu.w.home.Read(home.TablesFile)
		if errors.Is(err, fs.ErrNotExist) {
			keep = bu.w.book.Tables // the file was lost here
			return nil
		}
		files[home.TablesFile] = b
		return err
	})
	if err != nil {
		return nil, err
	}
	return func() error {
		if files[home.TablesFile] != nil {
			names = append(names, home.TablesFile)
		} else if keep { // what an earlier backup has of it may be all there is
		} else if err := os.Remove(filepath.Join(dir, home.TablesFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err // those that she had once
		}
		for _, name := range names {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return err
			}
			if err := atomicfile.Write(path, files[name], 0o600); err != nil {
				return err
			}
		}
		s, err := readSaved(dir, bu.w.home.Key, bu.w.client.ID())
		if err == nil && len(s.damaged) > 0 {
			err = s.damaged[0]
		}
		return err
	}, nil
}

// mine tells whether dir is free, or holds this wallet's files.
func (bu Backup) mine(dir string) error {
	if vacant, err := disk.Vacant(dir); vacant || err != nil {
		return err
	}
	err := home.CheckKey(dir, bu.w.home.Key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrExists.With("what", "folder")
	case errors.Is(err, ErrWrongKey):
		return ErrForeignBackup.With("dir", dir)
	case is[*DamagedError](err):
		return nil // one's own: it is written over
	}
	return err
}

// saved is what a backup holds of a wallet.
type saved struct {
	book    book
	tables  []byte           // the sealed file of those that were imported; nil if there is none
	known   ledgerclient.Pin // the head that was seen of the ledger
	damaged []*DamagedError  // what is missing or is not what was written, and zero here
}

// readSaved opens what Save put into dir; the zero ledger is none.
func readSaved(dir string, key *crypto.LocalKey, ledger crypto.LedgerID) (s saved, err error) {
	f := home.Folder{Dir: dir, Ledger: home.LedgerFolder(ledger), Key: key}
	note := func(name string, err error) error {
		d, ok := errors.AsType[*DamagedError](err)
		if !ok && errors.Is(err, fs.ErrNotExist) {
			d, ok = &DamagedError{File: name, Err: err}, true
		}
		if !ok {
			return err
		}
		s.damaged = append(s.damaged, d)
		return nil
	}
	err = home.CheckKey(dir, key)
	if errors.Is(err, ErrWrongKey) {
		err = ErrForeignBackup.With("dir", dir)
	}
	if err := note(home.KeyCheckFile, err); err != nil {
		return s, err
	}
	if err := note(home.BookFile, f.ReadSealed(home.BookFile, &s.book)); err != nil {
		return s, err
	}
	if s.book.V != bookVersion && s.book.V != 0 {
		return s, WrongVersion(home.BookFile, s.book.V, bookVersion)
	}
	var tables keptTables
	if err := note(home.TablesFile, tables.from(f, s.book.Tables)); err != nil {
		return s, err
	}
	s.tables = tables.read
	if ledger == (crypto.LedgerID{}) {
		return s, nil
	}
	name := f.In(home.StateFile)
	s.known, err = view.ReadPin(f, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil // it was not on this ledger
	}
	if err == nil && s.known.Size > 0 && s.known.Ledger != ledger {
		s.known, err = ledgerclient.Pin{}, &DamagedError{File: name}
	}
	return s, note(name, err)
}

// CheckSaved tells whether what Save put into dir is a key's: a [ErrForeignBackup]
// if it is of another one.
func CheckSaved(dir string, entropy crypto.Entropy) error {
	root := entropy.Root()
	defer root.Wipe()
	local := root.LocalKey()
	defer local.Wipe()
	_, err := readSaved(dir, local, crypto.LedgerID{})
	return err
}

// SetDone remembers that the open ledger was copied up to that size, and the
// copy checked.
func (bu Backup) SetDone(ctx context.Context, size uint64) error {
	return bu.w.with(ctx, func() error {
		bu.w.notes.BackedUp = backedUp{At: bu.w.opt.Now().Unix(), Size: size}
		return nil
	})
}

// SetWordsChecked remembers that the owner showed to have her words.
func (bu Backup) SetWordsChecked(ctx context.Context) error {
	return bu.w.with(ctx, func() error {
		bu.w.book.Facts.Checked, bu.w.book.dirty = max(bu.w.book.Facts.Checked, bu.w.opt.Now().Unix()), true
		return nil
	})
}

// Care tells what was done lately against the loss of the wallet.
type Care struct {
	WordsChecked time.Time     // zero: never
	BackedUp     time.Time     // of the open ledger; zero: never
	Since        int           // changes of one's own that came after the backup
	First        contract.Hour // of the first change of one's own on the open ledger; 0 if there is none
	Made         time.Time     // since when the wallet has its name; zero if not known
}

// The times after which a person is reminded.
const (
	WordsCheckDue = 365 * 24 * time.Hour
	BackupDue     = 30 * 24 * time.Hour
	graceOfNew    = 7 * 24 * time.Hour // a new wallet asks for nothing
)

// Care returns what was done lately against the loss of the wallet.
func (bu Backup) Care() Care {
	f := &bu.w.book.Facts
	c := Care{BackedUp: timeOf(bu.w.notes.BackedUp.At), WordsChecked: timeOf(f.Checked), Made: timeOf(f.Name.At / 1000)}
	for _, t := range bu.w.view.Threads() {
		if t.Role != view.OwnRecord && !t.Given() {
			continue
		}
		if c.First == 0 {
			c.First = t.Hour
		}
		if t.Index >= bu.w.notes.BackedUp.Size {
			c.Since++
		}
		for _, f := range t.FollowUps() {
			if f.Index >= bu.w.notes.BackedUp.Size && f.Kind != contract.KindAccess {
				c.Since++
			}
		}
	}
	return c
}

// WordsDue tells whether it is time to check the words.
func (c *Care) WordsDue(now time.Time) bool {
	if c.WordsChecked.IsZero() {
		return !c.Made.IsZero() && now.Sub(c.Made) > graceOfNew
	}
	return now.Sub(c.WordsChecked) > WordsCheckDue
}

// BackupIsDue tells whether it is time for a backup of the open ledger: something
// changed since the last one, and that is long ago.
func (c *Care) BackupIsDue(now time.Time) bool {
	if c.BackedUp.IsZero() {
		return c.First != 0 && now.Sub(HourTime(c.First)) > graceOfNew
	}
	return c.Since > 0 && now.Sub(c.BackedUp) > BackupDue
}

func timeOf(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// MayBeRemoved returns an [ErrUnsafe] unless the words were checked within a year
// and every ledger on which something is the wallet's own was backed up within 30
// days, and if something that was signed waits to be sent.
func (bu Backup) MayBeRemoved(ctx context.Context) error {
	return bu.w.with(ctx, func() error {
		now := bu.w.opt.Now() // which is long after the zero time
		words, backup := now.Sub(bu.Care().WordsChecked) > WordsCheckDue, false
		waiting := bu.w.Job().Exists()
		for _, p := range bu.w.settings.Ledgers {
			n, err := Waiting(bu.w.home.Dir, p.ID)
			waiting = waiting || n > 0 || err != nil
			var of notes
			if _, err := view.ReadPin(home.Folder{Dir: bu.w.home.Dir, Ledger: home.LedgerFolder(p.ID), Key: bu.w.home.Key}, &of); err != nil {
				return err
			}
			backup = backup || now.Sub(timeOf(of.BackedUp.At)) > BackupDue
		}
		if !waiting && len(bu.w.view.Threads()) == 0 && len(bu.w.book.contacts) == 0 && len(bu.w.settings.Ledgers) == 1 {
			return nil // nothing is lost
		}
		if words || backup || waiting {
			return ErrUnsafe.With("words", words, "backup", backup, "waiting", waiting)
		}
		return nil
	})
}

// Entropy returns the key of the wallet in opt.Dir; opt.Services may be empty. It
// is for showing the words: nothing else needs it outside of this package.
func Entropy(ctx context.Context, opt Options) (crypto.Entropy, error) {
	s, err := ReadSettings(opt.Dir)
	if err != nil {
		return crypto.Entropy{}, err
	}
	return readKey(ctx, opt.Keyring, s.Item)
}

// Root returns the root of the wallet in opt.Dir, for who holds it unlocked. It opens the
// wallet's files.
func Root(ctx context.Context, opt Options) (crypto.Root, error) {
	entropy, err := Entropy(ctx, opt)
	if err != nil {
		return crypto.Root{}, err
	}
	defer entropy.Wipe()
	root := entropy.Root()
	local := root.LocalKey()
	defer local.Wipe()
	if err := home.CheckKey(opt.Dir, local); err != nil {
		root.Wipe()
		return crypto.Root{}, err
	}
	return root, nil
}
