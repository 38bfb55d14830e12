package folder

import (
	"os"
	"time"

	"github.com/carekey/carekey/ledgerclient/disk"
)

// Claim takes the lock of a file, which is made if it is not there, for one process
// at a time; the system gives it up when the process ends. The error is
// ErrBusy if another process has it.
func Claim(path string) (release func(), err error) { return claim(path, path) }

// claim is Claim of the file that keeps others out of dir.
func claim(path, dir string) (release func(), err error) {
	f, err := disk.Open(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	ok, err := disk.TryLock(f, true)
	if err == nil && !ok {
		err = ErrBusy.With("dir", dir, "waited", time.Duration(0))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
