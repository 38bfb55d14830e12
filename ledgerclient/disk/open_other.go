//go:build !unix

package disk

import (
	"errors"
	"io/fs"
	"os"
)

// openFile looks first: Windows has no pipes in folders, and no flag that makes it
// pass a link by. Who puts a link there between the look and the opening is told by
// the comparison.
func openFile(path string, flag int, perm fs.FileMode) (*os.File, error) {
	before, err := os.Lstat(path)
	there := err == nil
	if there && !before.Mode().IsRegular() {
		return nil, &KindError{path, kind(before.Mode())}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(path, flag, perm)
	if err != nil || !there {
		return f, err
	}
	now, err := f.Stat()
	if err == nil && !os.SameFile(before, now) {
		// A file that was replaced in between is as good as the new one.
		if now, err = os.Lstat(path); err == nil && !now.Mode().IsRegular() {
			err = &KindError{path, kind(now.Mode())}
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
