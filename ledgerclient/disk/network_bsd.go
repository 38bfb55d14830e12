//go:build darwin || freebsd

package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// NetworkFS names the network file system that a folder is on; "" if it is on none. It
// goes by what the kernel says to be local.
func NetworkFS(dir string) (string, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "", &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if uint64(s.Flags)&unix.MNT_LOCAL != 0 {
		return "", nil
	}
	return unix.ByteSliceToString(s.Fstypename[:]), nil
}
