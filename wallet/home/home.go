// Package home reads and writes the files of a wallet's folder. Most are sealed under a
// key from the wallet's root, and none is believed to be what its name says: what is a
// link, a pipe or a folder in a file's place, or does not open, is damaged.
//
// The folder of a profile holds what is the same on every ledger and, for each ledger, a
// folder ledgers/ID with the first 16 digits of its id. One process at a time changes
// it: see Lock.
package home

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/atomicfile"
)

// Names in a profile's folder.
const (
	BookFile     = "state"     // sealed: what is the same on every ledger: name, contacts
	TablesFile   = "tables"    // sealed: tables for labels that the owner imported; made when she does
	KeyCheckFile = "key-check" // holds a sealed constant, to tell a wrong key from a damaged state
	LedgersDir   = "ledgers"
	LockFile     = "lock"
	NextFile     = "lock.next" // locked by who waits for the lock; made when somebody does
	WatchFile    = "watch"     // locked by who fetches by itself; made when somebody does
)

// Names in the folder of a ledger.
const (
	StateFile  = "state"   // sealed: what is remembered of the ledger
	JournalDir = "journal" // sealed: changes on their way
	MarkFile   = "mark"    // sealed: what of the ledger was found in order; can be found out again
	PartsDir   = "parts"   // sealed: what is known of the parts of records; can be derived again
)

// LedgerFolder is the folder of a ledger inside a profile's folder, relative to it.
func LedgerFolder(id crypto.LedgerID) string {
	return filepath.Join(LedgersDir, hex.EncodeToString(id[:8]))
}

// Folder is a profile's folder with the key that its files are sealed under.
type Folder struct {
	Dir    string
	Ledger string // the open ledger's folder, inside Dir: see LedgerFolder
	Key    *crypto.LocalKey
}

// In is the name of one of the open ledger's files in the profile's folder.
func (f Folder) In(name string) string { return filepath.Join(f.Ledger, name) }

// Path is where a file of the profile's folder is.
func (f Folder) Path(name string) string { return filepath.Join(f.Dir, name) }

// Read reads a file: see ReadFile.
func (f Folder) Read(name string) ([]byte, error) { return ReadFile(f.Dir, name) }

// Open opens a file: see OpenFile.
func (f Folder) Open(name string, flag int) (*os.File, error) { return OpenFile(f.Dir, name, flag) }

// Write replaces a file.
func (f Folder) Write(name string, data []byte) error {
	return atomicfile.Write(f.Path(name), data, 0o600)
}

// Unseal reads a sealed file. The file's name is bound to what is in it, so that no file
// can stand in another's place. Errors: *DamagedError, also for a file that is not there,
// and [ErrWrongKey].
func (f Folder) Unseal(name string) ([]byte, error) {
	sealed, err := f.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &DamagedError{File: name, Err: err}
	}
	if err != nil {
		return nil, err
	}
	plain, err := f.Key.Open(filepath.ToSlash(name), sealed)
	if err != nil {
		return nil, f.Explain(name, err)
	}
	return plain, nil
}

// ReadSealed reads a sealed file into v: see Unseal.
func (f Folder) ReadSealed(name string, v any) error {
	plain, err := f.Unseal(name)
	if err == nil && json.Unmarshal(plain, v) != nil {
		err = &DamagedError{File: name}
	}
	return err
}

// WriteSealed seals v and makes it the content of a file.
func (f Folder) WriteSealed(name string, v any) error {
	plain, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return f.Write(name, f.Key.Seal(filepath.ToSlash(name), plain))
}

// WriteDerived seals v and makes it the content of a file that can be made again from
// other things. It is not durable at once: what was written in part does not open.
func (f Folder) WriteDerived(name string, v any) error {
	plain, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return f.WriteDerivedBytes(name, plain)
}

// WriteDerivedBytes is WriteDerived of bytes as they are.
func (f Folder) WriteDerivedBytes(name string, plain []byte) error {
	if err := os.MkdirAll(filepath.Dir(f.Path(name)), 0o700); err != nil {
		return err
	}
	out, err := f.Open(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY)
	if err != nil {
		return err
	}
	_, err = out.Write(f.Key.Seal(filepath.ToSlash(name), plain))
	return errors.Join(err, out.Close())
}

// Explain tells a wrong key from a damaged file, of one that does not open: both fail
// authentication. The item in the keyring is the wallet's own by a random name, so that
// a changed file is the likelier cause; but a key that opens no other sealed file
// either is the wrong one.
func (f Folder) Explain(name string, err error) error {
	if wrong := CheckKey(f.Dir, f.Key); errors.Is(wrong, ErrWrongKey) {
		return wrong
	}
	return &DamagedError{File: name, Err: err}
}

// CheckKey checks that a key is that of the wallet whose files are in dir: a
// [ErrWrongKey] if it opens none of them. If it opens another one than the key check,
// that is damaged.
func CheckKey(dir string, local *crypto.LocalKey) error {
	b, err := ReadFile(dir, KeyCheckFile)
	if err != nil {
		return err
	}
	_, err = local.Open(KeyCheckFile, b)
	if err == nil {
		return nil
	}
	others, _ := filepath.Glob(filepath.Join(dir, LedgersDir, "*", StateFile))
	for _, path := range append(others, filepath.Join(dir, BookFile)) {
		name, rerr := filepath.Rel(dir, path)
		if rerr != nil {
			continue
		}
		if sealed, rerr := ReadFile(dir, name); rerr == nil {
			if _, rerr := local.Open(filepath.ToSlash(name), sealed); rerr == nil {
				return &DamagedError{File: KeyCheckFile, Err: err}
			}
		}
	}
	return ErrWrongKey
}

// ReadFile reads a file of the wallet's folder. One that is no file, or longer than any
// of them is, is a *DamagedError.
func ReadFile(dir, name string) ([]byte, error) {
	const most = 256 << 20 // bytes
	b, err := disk.ReadFile(filepath.Join(dir, name), most)
	return b, damagedKind(name, err)
}

// OpenFile opens a file of the wallet's folder. One that is no file is a *DamagedError.
func OpenFile(dir, name string, flag int) (*os.File, error) {
	f, err := disk.Open(filepath.Join(dir, name), flag, 0o600)
	return f, damagedKind(name, err)
}

func damagedKind(name string, err error) error {
	if errors.As(err, new(*disk.KindError)) || errors.Is(err, syscall.ENOTDIR) { // the file, or a folder on the way to it
		return &DamagedError{File: name, Err: err}
	}
	return err
}

// Tidy removes half-written files: under the lock nobody is writing them. What cannot be
// removed is garbage, and the next run tries again.
func (f Folder) Tidy() {
	for _, dir := range []string{f.Dir, f.Path(f.Ledger), f.Path(f.In(JournalDir))} {
		for _, path := range HalfWritten(dir) {
			os.Remove(path)
		}
	}
}

// HalfWritten are the files in dir that a killed process left.
func HalfWritten(dir string) (paths []string) {
	entries, _ := disk.ReadDir(dir)
	for _, e := range entries {
		if atomicfile.IsTemp(e) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths
}
