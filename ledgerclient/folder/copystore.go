package folder

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// payloads copies the payloads that the ledger still holds: those of the entries up to
// the head are all there. No lock is held. What was withdrawn is ended in the copy.
func (c *copier) payloads(ctx context.Context, progress func(done, total uint64)) error {
	if err := c.to.mkdirs("contents"); err != nil {
		return err
	}
	if err := c.segments(ctx, c.from.payloads, c.to.payloads); err != nil {
		return err
	}
	if err := c.from.payloads.look(); err != nil && c.leave(err) != nil {
		return err
	}
	var withdrawn []contract.ID // records
	const step = 4096
	for from := uint64(0); from < c.head.size; from += step {
		leaves, err := c.f.Leaves(ctx, from, min(from+step, c.head.size))
		if err != nil {
			return err
		}
		for i := range leaves {
			if err := ctx.Err(); err != nil {
				return err
			}
			e := &leaves[i].Entry
			if e.Kind == contract.KindRecord && e.Flags&contract.FlagWithdrawn != 0 {
				withdrawn = append(withdrawn, e.Subject)
			} else if err := c.contents(e); err != nil {
				return err
			}
			if progress != nil {
				progress(from+uint64(i)+1, c.head.size)
			}
		}
	}
	if err := c.to.ops.syncDir(c.to.path("contents")); err != nil {
		return err
	}
	return c.end(ctx, withdrawn)
}

// segments copies the segments, until there are no new ones: what is moved out of one is
// in a later one.
func (c *copier) segments(ctx context.Context, from, to *segments) error {
	if err := c.to.mkdirs(to.elem...); err != nil {
		return err
	}
	var done []uint64
	for {
		all, err := from.list()
		if err = c.leave(err); err != nil {
			return err
		}
		more := false
		for _, n := range all {
			if slices.Contains(done, n) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			done, more = append(done, n), true
			if err := c.file(from.path(n), to.path(n), maxSegment); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if !more {
			return c.to.ops.syncDir(c.to.path(to.elem...))
		}
	}
}

// contents copies the payloads of an entry that are files.
func (c *copier) contents(e *contract.Entry) error {
	id := e.ID(c.f.id)
	for _, part := range partsOf(e) {
		from := c.from.contentFile(id, part)
		most := int64(maxBlob + maxTail)
		if part == ledgerclient.PartContent {
			var err error
			if most, err = c.contentSize(e, id); err != nil {
				return err
			}
		}
		if err := c.file(from, c.to.path("contents", filepath.Base(from)), most); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// maxUnsaid bounds a content of which nothing says how long it is.
const maxUnsaid = 1 << 30

// contentSize is the size of a content's file, as its entry commits to it.
func (c *copier) contentSize(e *contract.Entry, id contract.ID) (int64, error) {
	all, _, err := c.from.payloads.find(crypto.Hash(id))
	if err != nil {
		return maxUnsaid, c.leave(err)
	}
	for _, r := range all {
		body, ok, err := c.from.payloads.body(&r)
		if err != nil || !ok {
			continue
		}
		if p, err := contract.ParseRecordPackage(body[:r.pkg]); err == nil && p.Commitment() == e.Commitment && p.ContentSize <= 1<<60 {
			return int64(p.ContentSize) + (int64(p.ContentSize)/contract.PieceSize+1)*tlog.HashSize + maxTail, nil
		}
	}
	return maxUnsaid, nil
}

// end ends what is withdrawn in the copy: the records and all that follows them.
func (c *copier) end(ctx context.Context, withdrawn []contract.ID) error {
	for _, record := range withdrawn {
		var ids []contract.ID
		err := c.f.read(ctx, func(snap snapshot) error {
			at, ok, err := snap.Find(record)
			if err != nil || !ok {
				return err
			}
			ids, err = threadOf(snap, at, c.f.id)
			return err
		})
		if err == nil {
			err = c.to.remove(ids)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
