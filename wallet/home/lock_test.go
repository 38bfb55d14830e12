package home

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient/disk"
)

// inLine reports whether somebody is seen to wait for the lock.
func inLine(dir string) bool {
	f, err := os.Open(filepath.Join(dir, NextFile))
	if err != nil {
		return false
	}
	defer f.Close()
	ok, err := disk.TryLock(f, true)
	return !ok && err == nil
}

// Who takes the wallet's lock again and again, as a long batch does, lets in who waits
// for it: a revocation must not wait for the end of the batch.
func TestLetIn(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	take := func() (unlock func()) {
		unlock, err := Lock(ctx, dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		return unlock
	}
	LetIn(ctx, dir) // nobody ever waited
	unlock := take()
	got, release := make(chan error), make(chan bool)
	go func() {
		unlock, err := Lock(ctx, dir, time.Hour)
		got <- err
		<-release
		if err == nil {
			unlock()
		}
		got <- nil
	}()
	for end := time.Now().Add(time.Minute); !inLine(dir); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in line")
		}
	}
	unlock()
	LetIn(ctx, dir)
	if unlock, err := Lock(ctx, dir, 0); !errors.Is(err, ErrBusy) {
		if err == nil {
			unlock()
		}
		t.Errorf("who waited was not let in: %v", err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	close(release)
	<-got
	if inLine(dir) {
		t.Error("still in line")
	}
	take()()
}
