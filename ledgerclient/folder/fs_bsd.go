//go:build darwin || freebsd

package folder

import (
	"os"

	"golang.org/x/sys/unix"
)

// networkFS goes by what the kernel says to be local.
func (systemFiles) networkFS(dir string) (string, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "", &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if uint64(s.Flags)&unix.MNT_LOCAL != 0 {
		return "", nil
	}
	return unix.ByteSliceToString(s.Fstypename[:]), nil
}
