// Package disk opens the files of folders that others can write too: a ledger that
// several people share, a backup that came from elsewhere, a home on a NAS. What
// bears the name of a file there may be a link to somebody's private file, a pipe on
// which a reader waits for ever, or a terabyte of nothing. Nothing here follows a link
// in the last element of a path, waits, or reads more than it was told to.
//
// It also makes names durable, on file systems that can do that and on those that
// cannot.
package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/carekey/carekey/crypto/fault"
)

// KindError says that what bears a file's or a folder's name is something else.
type KindError struct {
	Path string
	Is   string // "a link", "a pipe", "more than 128 bytes long", …
}

func (e *KindError) Error() string { return e.Path + " is " + e.Is }

// Coded is the error as a code.
func (e *KindError) Coded() error { return ErrKind.With("path", e.Path, "is", e.Is) }

// ErrKind is that of a [KindError]. path, is
const ErrKind fault.Code = "not-a-file"

// Open is os.OpenFile for a regular file: the error is a *KindError for anything
// else that has the name.
func Open(path string, flag int, perm fs.FileMode) (*os.File, error) {
	f, err := openFile(path, flag, perm)
	if err != nil {
		if info, serr := os.Lstat(path); serr == nil && !info.Mode().IsRegular() {
			return nil, &KindError{path, kind(info.Mode())}
		}
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &KindError{path, kind(info.Mode())}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ReadFile reads a regular file of at most most bytes. The error is a *KindError if
// it is longer, or no regular file.
func ReadFile(path string, most int64) ([]byte, error) {
	f, err := Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var b []byte
	if info.Size() <= most { // a terabyte of nothing is not read to see that it is one
		b, err = io.ReadAll(io.LimitReader(f, most+1))
	}
	if err == nil && max(info.Size(), int64(len(b))) > most {
		return nil, &KindError{path, fmt.Sprintf("more than %d bytes long", most)}
	}
	return b, err
}

// ReadDir lists a folder, sorted by name. The error is a *KindError if it is a link,
// or no folder. A folder that a person has named may be a link: path + "/." is
// what it leads to.
func ReadDir(path string) ([]fs.DirEntry, error) {
	if err := IsDir(path); err != nil {
		return nil, err
	}
	return os.ReadDir(path)
}

// OpenDir opens a folder, or one that a link leads to, and nothing else.
func OpenDir(path string) (*os.File, error) {
	return os.Open(path + string(filepath.Separator)) // of a pipe: ENOTDIR, at once
}

// Vacant reports whether there is no such folder, or nothing in it that a person would
// see: only what a system, or a process that was killed, leaves in folders.
func Vacant(path string) (bool, error) {
	entries, err := ReadDir(path + string(filepath.Separator))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	for _, e := range entries {
		if !IsLitter(e.Name()) {
			return false, nil
		}
	}
	return err == nil, err
}

// IsLitter reports whether a name is one of those that a NAS, a file manager or a file
// system leaves in a folder that looks empty to a person.
func IsLitter(name string) bool {
	switch strings.ToLower(name) {
	case "desktop.ini", "thumbs.db", "lost+found", "system volume information":
		return true
	}
	return strings.ContainsRune(".@#$", rune(name[0]))
}

// IsDir returns nil for a folder, a *KindError for anything else that has the name,
// also for a link to a folder.
func IsDir(path string) error {
	info, err := os.Lstat(path)
	if err == nil && !info.IsDir() {
		err = &KindError{path, kind(info.Mode())}
	}
	return err
}

// Strangers looks through a folder without opening a file. strange are the paths in
// it, with slashes, that match neither: nobody looks below them. others are those that
// match, but are not what they should be: a link, a pipe, a folder in the place of a
// file.
func Strangers(dir string, files, folders *regexp.Regexp) (strange []string, others []*KindError, err error) {
	var look func(in string) error
	look = func(in string) error {
		entries, err := ReadDir(filepath.Join(dir, filepath.FromSlash(in)) + string(filepath.Separator))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := in + e.Name()
			file, folder := files.MatchString(name), folders.MatchString(name)
			switch {
			case !file && !folder:
				strange = append(strange, name)
			case folder && e.IsDir():
				if err := look(name + "/"); err != nil {
					return err
				}
			case !file || !e.Type().IsRegular():
				others = append(others, &KindError{name, kind(e.Type())})
			}
		}
		return nil
	}
	return strange, others, look("")
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "a file"
	case m.IsDir():
		return "a folder"
	case m&fs.ModeSymlink != 0:
		return "a link"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	}
	return "no file"
}

// SyncDir makes the names in a folder durable. A file system that cannot do that for
// a folder (SMB, exFAT, some FUSE ones) says so with one of several errors: no
// failure of what was done, since the files are written and have their names. One
// that fails to (EIO, ENOSPC) is an error.
func SyncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there; NTFS journals names itself
	}
	d, err := OpenDir(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !cannotSync(err) {
		return err
	}
	return nil
}

func cannotSync(err error) bool {
	return isAny(err, syscall.EINVAL, syscall.ENOTSUP, syscall.ENOSYS, syscall.ENOENT, syscall.EBADF)
}

func isAny(err error, codes ...syscall.Errno) bool {
	return slices.ContainsFunc(codes, func(code syscall.Errno) bool { return errors.Is(err, code) })
}

// Mkdir makes a folder of exactly that mode, whatever the umask, where the file system
// keeps modes (FAT and some network ones do not).
func Mkdir(path string, perm fs.FileMode) error {
	if err := os.Mkdir(path, perm); err != nil {
		return err
	}
	return unlessUnkept(os.Chmod(path, perm))
}

// Chmod gives a file that was just made its mode, whatever the umask, where the file
// system keeps modes.
func Chmod(f *os.File, perm fs.FileMode) error { return unlessUnkept(f.Chmod(perm)) }

// Chtimes gives a file or folder that was just made its times, where the file system
// lets them be set.
func Chtimes(path string, at time.Time) error { return unlessUnkept(os.Chtimes(path, at, at)) }

// unlessUnkept passes over the refusal to set what a file system does not keep. Of
// what the caller has made itself the refusal has no other reason.
func unlessUnkept(err error) error {
	if isAny(err, syscall.EPERM, syscall.EINVAL, syscall.ENOTSUP, syscall.ENOSYS) {
		return nil
	}
	return err
}
