package folder

import (
	"os"

	"golang.org/x/sys/unix"
)

// exchange makes two files change places, if the file system can.
func (systemFiles) exchange(a, b string) error {
	if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
		return &os.LinkError{Op: "renameat2", Old: a, New: b, Err: err}
	}
	return nil
}
