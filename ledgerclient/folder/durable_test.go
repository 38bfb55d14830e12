package folder

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// readWithoutLock reads a head and tiles of both kinds as a node gives them out.
// If it waits for the lock, which the caller holds, it is an error.
func readWithoutLock(t *testing.T, f *Folder, size uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	raw, err := f.Checkpoint(ctx)
	if err != nil {
		t.Error(err)
		return
	}
	h, err := f.key.parse(raw)
	if err != nil || h.size != size {
		t.Errorf("head of %d entries, not %d: %v", h.size, size, err)
		return
	}
	if timed, err := f.CheckpointAt(ctx, time.Unix(1_700_000_000, 0)); err != nil || !bytes.HasPrefix(timed, raw) {
		t.Error(err)
	}
	for _, level := range []int{-1, 0} {
		data, err := f.Tile(ctx, tlog.Tile{H: 8, L: level, N: 0, W: int(size)}, size)
		if err != nil {
			t.Error(err)
			continue
		}
		var edge edge
		for i := range int(size) {
			if level == 0 {
				edge.add(tlog.Hash(data[i*tlog.HashSize:]))
			} else {
				n := len(data) / int(size)
				edge.add(tlog.RecordHash(data[i*n : (i+1)*n]))
			}
		}
		if edge.root() != h.root {
			t.Errorf("tile of level %d is not that of the head", level)
		}
	}
}

// Whoever reads the head and the tiles does not wait for those who write: neither
// for a payload on its way to the disk nor for an append, which has not happened
// before it is durable.
func TestReadWithoutLock(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a file that is open cannot be replaced on Windows: all wait for the lock")
	}
	f, _ := newLedger(t)
	w := newWriter(t, f, 1)
	mustAppend(t, f, w.batch(20))
	err := f.write(ctx, func(snapshot) error {
		readWithoutLock(t, f, 21)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	ops := &watchedFiles{}
	f = reopenWith(t, f, ops)
	renamed := 0
	ops.synced = func() {
		raw, err := os.ReadFile(f.path(checkpointFile))
		h, perr := f.key.parse(raw)
		if err != nil || perr != nil {
			t.Error(err, perr)
		}
		if h.size == 26 {
			renamed++
		}
		readWithoutLock(t, f, 21)
	}
	mustAppend(t, f, w.batch(5))
	ops.synced = nil
	if renamed != 1 {
		t.Errorf("looked %d times while the new head was there and not durable", renamed)
	}
	readWithoutLock(t, f, 26)
	f.Close()
	if _, err := f.Checkpoint(ctx); err == nil {
		t.Error("a closed folder shows its head")
	}
}

// What another process appended is seen at once.
func TestReadAfterOthers(t *testing.T) {
	f, clock := newLedger(t)
	g, err := Open(f.dir, Options{Clock: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	w := newWriter(t, f, 1)
	for n := uint64(1); n < 40; n += 3 {
		mustAppend(t, f, w.batch(3))
		readWithoutLock(t, g, n+3)
		f, g = g, f
	}
}

// watchedFiles are the real file operations, with a look before each sync of a
// folder.
type watchedFiles struct {
	systemFiles
	synced func()
}

func (w *watchedFiles) syncDir(path string) error {
	if w.synced != nil {
		w.synced()
	}
	return w.systemFiles.syncDir(path)
}

func reopenWith(t *testing.T, f *Folder, ops fileOps) *Folder {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	g, err := open(f.dir, Options{Clock: f.clock}, ops)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}
