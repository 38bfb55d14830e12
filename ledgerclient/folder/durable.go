package folder

import (
	"bytes"
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/keeper"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// What is in the log under a durable head never changes, so that it is read without
// the folder's lock: at a node hundreds of people read the head and the tiles while
// others wait for the disk with the lock held.

// published is a durable head, and the hashes of the log's tree that are kept: what is
// appended behind them later changes nothing of them.
type published struct {
	head
	hashes [][]tlog.Hash
}

// publish makes the current head, which is durable, the one that is read without the
// lock. The lock is held.
func (l *log) publish() {
	if p := l.published.Load(); p == nil || !bytes.Equal(p.file(), l.head.file()) {
		l.published.Store(&published{l.head, slices.Clone(l.tables.log.kept)})
	}
}

// durableHead is the newest durable head. It waits for the lock only if another
// process has appended, not for an append of this one: that has not happened yet.
// On Windows a file that is open cannot be replaced, so that all wait there.
func (l *log) durableHead(ctx context.Context) (*published, error) {
	if p := l.published.Load(); p != nil && runtime.GOOS != "windows" {
		raw, err := readIn(l.dir, l.path(checkpointFile), maxCheckpoint)
		// In this order: an append that ends meanwhile has published its head.
		under := l.committing.Load()
		newest := l.published.Load()
		if newest != nil && err == nil && (under || bytes.Equal(raw, p.file()) || bytes.Equal(raw, newest.file())) {
			return newest, ctx.Err()
		}
	}
	var p *published
	err := l.look(ctx, func() error {
		p = l.published.Load()
		return nil
	})
	return p, err
}

// Tile returns the hashes of a tile of height 8 of the log's tree, as C2SP
// tlog-tiles has them; of a tile of level -1 the leaves one behind the other. need
// is how many leaves the log must have for it: *ledgerclient.NotFoundError if it
// has fewer.
func (l *log) Tile(ctx context.Context, t tlog.Tile, need uint64) (data []byte, err error) {
	h, err := l.durableHead(ctx)
	if err != nil {
		return nil, err
	}
	if need > h.size {
		return nil, &ledgerclient.NotFoundError{What: "tile"}
	}
	if t.L <= 0 {
		from := uint64(t.N) << t.H
		to := from + uint64(t.W)
		if t.L == -1 {
			return l.leaves.read(from, to)
		}
		hs, err := l.leaves.hashes(from, to)
		for _, h := range hs {
			data = append(data, h[:]...)
		}
		return data, err
	}
	return tlog.ReadTileData(t, &tree{level: logLevel, kept: h.hashes})
}

// CheckpointAt returns the newest checkpoint with a second signature of the
// node's key, which says that at that time the log had no larger head (C2SP
// cosignature/v1, see ledgerclient.TimeSigner). It is not kept.
func (l *log) CheckpointAt(ctx context.Context, at time.Time) (raw []byte, err error) {
	h, err := l.durableHead(ctx)
	if err != nil {
		return nil, err
	}
	signer, err := l.checkpointSigner()
	if err != nil {
		return nil, err
	}
	n, err := note.Open(h.raw, note.VerifierList(l.key))
	if err != nil {
		return nil, err // it was verified when it was read
	}
	return note.Sign(n, l.timeSigner(signer, at))
}

func (l *log) timeSigner(s *checkpointSigner, at time.Time) ledgerclient.TimeSigner {
	return ledgerclient.TimeSigner{
		TimeVerifier: ledgerclient.NewTimeVerifier(ledgerclient.TimeName(l.id), [32]byte(l.key.public)),
		Key:          s.private, Time: at,
	}
}

// CheckpointOf is CheckpointAt of the first size leaves, 1 to those of the newest
// checkpoint: *RangeError if the log has fewer. That it had no more at that time is the
// caller's to know.
func (l *log) CheckpointOf(ctx context.Context, size uint64, at time.Time) ([]byte, error) {
	root, err := l.RootOf(ctx, size)
	if err != nil {
		return nil, err
	}
	signer, err := l.checkpointSigner()
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: l.key.text(size, root)}, signer, l.timeSigner(signer, at))
}

// RootOf is the root of the first size leaves, as CheckpointOf has it.
func (l *log) RootOf(ctx context.Context, size uint64) (root crypto.Hash, err error) {
	h, err := l.durableHead(ctx)
	if err != nil {
		return root, err
	}
	if size < 1 || size > h.size {
		return root, &RangeError{From: size, To: size, Size: h.size}
	}
	return (&tree{level: logLevel, kept: h.hashes, leaves: l.leaves.hashes}).root(size)
}

// Head is the newest head of the log.
func (l *log) Head(ctx context.Context) (head keeper.Head, err error) {
	err = l.View(ctx, func(v keeper.View) error {
		head = v.Head()
		return nil
	})
	return head, err
}

// CheckClock is the ErrClock that Append would return now, nil if none. last is
// the hour of the last entry. A replica has no such error: its order has a clock.
func (l *log) CheckClock(ctx context.Context) (last contract.Hour, err error) {
	err = l.locked(ctx, shared, func() error {
		last = l.last.Hour
		if l.head.next > 0 {
			return nil
		}
		_, err := l.ledgerHour()
		return err
	})
	return last, err
}
