package folder

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/carekey/carekey/ledgerclient/disk"
)

// fileOps are the file operations that change a ledger. Tests make each of them
// fail, or be the last one of a process.
type fileOps interface {
	open(path string, flag int, perm fs.FileMode) (file, error)
	mkdir(path string, perm fs.FileMode) error
	rename(from, to string) error
	remove(path string) error
	syncDir(path string) error
	// networkFS names the network file system that a folder is on; "" if it is on none, or
	// the system does not tell.
	networkFS(dir string) (string, error)
}

// file is one open file of a ledger.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
	Stat() (fs.FileInfo, error)
}

// systemFiles are the real file operations.
type systemFiles struct{}

func (systemFiles) open(path string, flag int, perm fs.FileMode) (file, error) {
	f, err := disk.Open(path, flag, perm)
	if err != nil {
		return nil, err
	}
	if flag&os.O_EXCL != 0 {
		// The umask must not take away what the folder's mode gives to its group.
		if err := disk.Chmod(f, perm); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

func (systemFiles) mkdir(path string, perm fs.FileMode) error { return disk.Mkdir(path, perm) }
func (systemFiles) rename(from, to string) error              { return os.Rename(from, to) }
func (systemFiles) remove(path string) error                  { return os.Remove(path) }
func (systemFiles) syncDir(path string) error                 { return disk.SyncDir(path) }
func (systemFiles) networkFS(dir string) (string, error)      { return disk.NetworkFS(dir) }

// modes are the permissions of what is made inside a ledger's folder. They
// follow the folder's own, so that the users of one group can share a ledger:
// 0700 gives files of 0600, 2770 gives 0660.
type modes struct{ dir, file, keyDir, key fs.FileMode }

func modesOf(dir fs.FileMode) modes {
	const special = fs.ModeSetgid | fs.ModeSticky
	p := dir.Perm() | 0o700
	return modes{
		dir:    p | dir&special,
		file:   p & 0o666,
		keyDir: p&^0o007 | dir&special, // keys and shares are never for everybody
		key:    p & 0o660,
	}
}

// writeFile makes data the content of a file that does not exist, durably but
// for the name, which the caller syncs.
func writeFile(ops fileOps, path string, data []byte, perm fs.FileMode) (err error) {
	f, err := ops.open(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// finishFile gives a written file its time, and syncs and closes it.
func finishFile(f file, path string, changed time.Time) error {
	err := disk.Chtimes(path, changed)
	if err == nil {
		err = f.Sync()
	}
	return cmp.Or(err, f.Close())
}

// replaceFile makes data the content of the file at path: a reader, and a
// machine that loses power, finds the old content or the new. The caller syncs
// the folder.
func replaceFile(ops fileOps, path string, data []byte, perm fs.FileMode) error {
	tmp := path + ".new"
	// One that a killed process left may belong to another user of the group.
	if err := removeOne(ops, tmp); err != nil {
		return err
	}
	if err := writeFile(ops, tmp, data, perm); err != nil {
		return err
	}
	return ops.rename(tmp, path)
}

// removeOne removes a file, if it is there.
func removeOne(ops fileOps, path string) error {
	if err := ops.remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// exists reports whether something has a name. Nothing is in what is no folder.
func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return false, nil
	}
	return err == nil, err
}

// readOnly reports whether an error means that one may not write here.
func readOnly(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}
