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
	var next *os.File
	defer func() {
		next.Close() // also of nil
		if err != nil {
			f.Close()
		}
	}()
	start := time.Now()
	for pause := time.Millisecond; ; pause = min(pause*2, 100*time.Millisecond) {
		ok, err := disk.TryLock(f, true)
		if err != nil {
			return nil, err
		}
		if ok {
			return func() { f.Close() }, nil
		}
		if next == nil {
			next = standInLine(dir)
		}
		if time.Since(start) >= wait {
			return nil, ErrBusy.With("waited", wait)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
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
	WaitLock(ctx, f)
}

// WaitLock locks f as disk.TryLock does as soon as nobody else holds it.
func WaitLock(ctx context.Context, f *os.File) error {
	for pause := time.Millisecond; ; pause = min(pause*2, 20*time.Millisecond) {
		if ok, err := disk.TryLock(f, true); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
