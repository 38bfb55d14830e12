//go:build unix

package home

import (
	"os"

	"golang.org/x/sys/unix"
)

// TryLock takes an exclusive lock that ends with the file's descriptor, and so
// with the process; false if another one holds it.
func TryLock(f *os.File) (bool, error) {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch err {
		case nil:
			return true, nil
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return false, nil
		default:
			return false, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
	}
}
