package folder

import (
	"bytes"
	"context"
	"runtime"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// What is in the log under a durable head never changes, so that it is read without
// the folder's lock: at a node hundreds of people read the head and the tiles while
// others wait for the disk with the lock held.

// published is a durable head, and the hashes of the log's tree that are kept: what is
// appended behind them later changes nothing of them.
type published struct {
	head
	hashes hashBytes
}

// publish makes the current head, which is durable, the one that is read without the
// lock. The lock is held.
func (f *Folder) publish() {
	if p := f.published.Load(); p == nil || !bytes.Equal(p.raw, f.head.raw) {
		f.published.Store(&published{f.head, f.tables.log.kept})
	}
}

// durableHead is the newest durable head. It waits for the lock only if another
// process has appended, not for an append of this one: that has not happened yet.
// On Windows a file that is open cannot be replaced, so that all wait there.
func (f *Folder) durableHead(ctx context.Context) (*published, error) {
	if p := f.published.Load(); p != nil && runtime.GOOS != "windows" {
		raw, err := readIn(f.dir, f.path(checkpointFile), maxCheckpoint)
		// In this order: an append that ends meanwhile has published its head.
		under := f.committing.Load()
		newest := f.published.Load()
		if newest != nil && err == nil && (under || bytes.Equal(raw, p.raw) || bytes.Equal(raw, newest.raw)) {
			return newest, ctx.Err()
		}
	}
	var p *published
	err := f.locked(ctx, false, func() error {
		p = f.published.Load()
		return nil
	})
	return p, err
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
	if t.L <= 0 {
		from := uint64(t.N) << t.H
		data, err = f.tables.leaves.read(from, from+uint64(t.W))
		if err != nil || t.L == -1 {
			return data, err
		}
		var hs hashBytes
		for ; len(data) > 0; data = data[contract.LeafSize:] {
			h := tlog.RecordHash(data[:contract.LeafSize])
			hs = append(hs, h[:]...)
		}
		return hs, nil
	}
	return tlog.ReadTileData(t, &tree{level: logLevel, kept: h.hashes})
}
