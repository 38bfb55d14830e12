package home

import (
	"context"
	"os"
	"time"

	"github.com/carekey/carekey/ledgerclient/disk"
)

// Lock takes the wallet's lock, waiting at most wait: one process at a time
// changes a wallet.
func Lock(ctx context.Context, dir string, wait time.Duration) (unlock func(), err error) {
	f, err := OpenFile(dir, LockFile, os.O_CREATE|os.O_RDWR)
	if err != nil {
		var rerr error
		if f, rerr = OpenFile(dir, LockFile, os.O_RDONLY); rerr != nil { // where nothing can be written it can be locked
			return nil, err
		}
	}
	ok, err := disk.TryLock(f, true)
	if err == nil && !ok {
		next := standInLine(dir)
		defer next.Close() // also of nil
		if ok, err = disk.WaitLock(ctx, f, true, wait); err == nil && !ok {
			err = ErrBusy.With("waited", wait)
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// standInLine shows that this process waits for the lock, until the file that it
// returns is closed. It is nil if another one stands there already, or if it cannot be
// shown.
func standInLine(dir string) *os.File {
	f, err := OpenFile(dir, NextFile, os.O_CREATE|os.O_RDWR)
	if err != nil {
		return nil
	}
	if ok, err := disk.TryLock(f, true); !ok || err != nil {
		f.Close()
		return nil
	}
	return f
}

// LetIn waits until who waits for the lock has had it. Who takes the lock again and
// again calls it in between: to be quick enough for the moment at which the lock is
// free would be luck.
func LetIn(ctx context.Context, dir string) {
	f, err := OpenFile(dir, NextFile, os.O_RDWR)
	if err != nil {
		return // nobody ever waited
	}
	defer f.Close()
	disk.WaitLock(ctx, f, true, disk.Forever)
}
