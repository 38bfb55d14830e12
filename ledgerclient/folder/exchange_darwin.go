package folder

import (
	"os"

	"golang.org/x/sys/unix"
)

// exchange makes two files change places, if the file system can.
func (systemFiles) exchange(a, b string) error {
	if err := unix.RenamexNp(a, b, unix.RENAME_SWAP); err != nil {
		return &os.LinkError{Op: "renamex_np", Old: a, New: b, Err: err}
	}
	return nil
}
