package folder

import (
	"bytes"
	"context"
	"runtime"

	"github.com/carekey/carekey/ledgerclient"
	"golang.org/x/mod/sumdb/tlog"
)

// What is in the log under a durable head never changes, so that it is read without
// the folder's lock: at a node hundreds of people read the head and the tiles while
// others wait for the disk with the lock held.

// publish makes the current head the one that is read without the lock. The lock is
// held and the head is durable: either this process has just made it so, or the
// derived files are those of the head, which are written only after that.
func (f *Folder) publish() {
	if p := f.published.Load(); p == nil || !bytes.Equal(p.raw, f.head.raw) {
		h := f.head
		f.published.Store(&h)
	}
}

// durableHead is the newest durable head. It waits for the lock only if another
// process has appended, not for an append of this one: that has not happened yet.
// On Windows a file that is open cannot be replaced, so that all wait there.
func (f *Folder) durableHead(ctx context.Context) (*head, error) {
	if p := f.published.Load(); p != nil && runtime.GOOS != "windows" {
		raw, err := readIn(f.dir, f.path(checkpointFile), maxCheckpoint)
		// In this order: an append that ends meanwhile has published its head.
		under := f.committing.Load()
		newest := f.published.Load()
		if newest != nil && err == nil && (under || bytes.Equal(raw, p.raw) || bytes.Equal(raw, newest.raw)) {
			return newest, ctx.Err()
		}
	}
	var h head
	err := f.locked(ctx, false, func() error {
		h = f.head
		return nil
	})
	return &h, err
}

// Tile returns the hashes of a tile of height 8 of the log's tree, as C2SP
// tlog-tiles has them; of a tile of level -1 the leaves one behind the other. need
// is how many leaves the log must have for it: *ledgerclient.NotFoundError if it
// has fewer.
func (f *Folder) Tile(ctx context.Context, t tlog.Tile, need uint64) (data []byte, err error) {
	h, err := f.durableHead(ctx)
	if err != nil {
		return nil, err
	}
	if need > h.size {
		return nil, &ledgerclient.NotFoundError{What: "tile"}
	}
	if t.L == -1 {
		from := uint64(t.N) << t.H
		return f.tables.leaves.read(from, from+uint64(t.W))
	}
	if data, ok := f.tables.log.tileOnDisk(t, need); ok {
		return data, nil
	}
	err = f.locked(ctx, false, func() (err error) {
		data, err = tlog.ReadTileData(t, f.tables.log)
		return err
	})
	return data, err
}

// tileOnDisk reads a tile from the file as it is, if the file holds the hashes of
// that many leaves. While it is made anew its header says that it does not.
func (l logHashes) tileOnDisk(t tlog.Tile, need uint64) ([]byte, bool) {
	if !l.holds(need) {
		return nil, false
	}
	data, err := tlog.ReadTileData(t, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hs := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			if _, err := l.f.ReadAt(hs[i][:], headerSize+x*tlog.HashSize); err != nil {
				return nil, err
			}
		}
		return hs, nil
	}))
	return data, err == nil && l.holds(need)
}

// holds tells whether the file says that what follows from so many leaves was
// written to it. It needs no lock.
func (d *derived) holds(leaves uint64) bool {
	if d.f == nil {
		return false
	}
	var b [headerSize]byte
	if _, err := d.f.ReadAt(b[:], 0); err != nil {
		return false
	}
	h := parseHeader(b)
	return b == d.marshalHeader(h) && h.applied >= leaves
}
