package folder

import (
	"context"
	"io/fs"
	"os"
	"time"

	"github.com/carekey/carekey/ledgerclient/disk"
)

// Claim takes the lock of a file, which is made if it is not there, for one process
// at a time; the system gives it up when the process ends. The error is
// ErrBusy if another process has it.
func Claim(path string) (*os.File, error) { return claim(path, path, 0o600, 0) }

// claim is Claim of the file that keeps others out of dir, which waits for it.
func claim(path, dir string, mode fs.FileMode, wait time.Duration) (*os.File, error) {
	f, err := disk.Open(path, os.O_RDONLY|os.O_CREATE, mode)
	if err != nil {
		return nil, err
	}
	if err := waitForLock(context.Background(), f, true, dir, wait); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// waitForLock takes the lock of dir as soon as it is free.
func waitForLock(ctx context.Context, f *os.File, exclusive bool, dir string, wait time.Duration) error {
	ok, err := disk.WaitLock(ctx, f, exclusive, wait)
	if err == nil && !ok {
		err = ErrBusy.With("dir", dir, "waited", wait)
	}
	return err
}
