// Package atomicfile replaces files so that a reader, and a machine that loses
// power, finds either the old content or the new, never a part.
package atomicfile

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"github.com/carekey/carekey/ledgerclient/disk"
)

// Write makes data the content of the file at path, durably: a temporary file
// beside it is written and synced, renamed over it, and the folder is synced.
// The file's mode is perm.
func Write(path string, data []byte, perm fs.FileMode) error {
	f, err := Create(path, perm)
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Commit()
}

// TempPrefix is how the names of files begin that are not committed yet. A process
// that is killed leaves them.
const TempPrefix = ".new-"

var tempName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^` + regexp.QuoteMeta(TempPrefix) + `[0-9a-f]{12}$`) })

// IsTemp reports whether a file was left by a process that was killed before it
// committed it. A name that only begins like one is somebody else's.
func IsTemp(e fs.DirEntry) bool { return tempName().MatchString(e.Name()) && e.Type().IsRegular() }

// File is a file that appears under its name only when it is committed.
type File struct {
	*os.File
	path string
	done bool
}

// Create opens a temporary file that will become path. An error names the folder,
// which somebody has chosen, and not the temporary file.
func Create(path string, perm fs.FileMode) (*File, error) {
	var r [6]byte
	rand.Read(r[:])
	tmp := filepath.Join(filepath.Dir(path), TempPrefix+hex.EncodeToString(r[:]))
	f, err := disk.Open(tmp, os.O_CREATE|os.O_EXCL|os.O_RDWR, perm)
	if err != nil {
		var at *fs.PathError
		if errors.As(err, &at) {
			at.Path = filepath.Dir(path)
		}
		return nil, err
	}
	return &File{File: f, path: path}, nil
}

// Commit syncs the file and gives it its name, replacing what was there.
func (f *File) Commit() error { return f.commit(os.Rename) }

// CommitNew is Commit, but fails with an error wrapping fs.ErrExist if the name
// is taken. Whenever it fails no new file is there.
func (f *File) CommitNew() error {
	err := f.commit(nameNew)
	if err != nil && f.done {
		os.Remove(f.path) // it has its name, which is not durable
	}
	return err
}

func nameNew(tmp, path string) error {
	if err := os.Link(tmp, path); err == nil {
		return os.Remove(tmp)
	} else if errors.Is(err, fs.ErrExist) {
		return err
	}
	// A file system without hard links (FAT, some network ones): look, then
	// rename. Two programs that create the same name in the same instant are
	// the one case this does not settle.
	if _, err := os.Lstat(path); err == nil {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	return os.Rename(tmp, path)
}

func (f *File) commit(name func(tmp, path string) error) error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := name(f.Name(), f.path); err != nil {
		return err
	}
	f.done = true
	return disk.SyncDir(filepath.Dir(f.path))
}

// Abort removes the temporary file; after a commit it does nothing.
func (f *File) Abort() {
	if !f.done {
		f.done = true
		f.Close()
		os.Remove(f.Name())
	}
}
