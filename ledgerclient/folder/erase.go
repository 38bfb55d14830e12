package folder

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Erase ends all payloads of the record that the withdrawal ends, if its time has come:
// see Options.EraseAfter. The withdrawal must be on the ledger, which keeps them from
// being put again. What is in a segment is overwritten, files are removed.
func (s store) Erase(ctx context.Context, withdrawal contract.Entry) error {
	id := withdrawal.ID(s.ledger)
	return s.lock.write(ctx, func(snap snapshot) error {
		refused := &ledgerclient.StoreError{Entry: id, Reason: ledgerclient.NotWithdrawn}
		if withdrawal.Kind != contract.KindRecord || withdrawal.Flags&contract.FlagWithdrawn == 0 {
			return refused
		}
		own, ok, err := snap.Find(id)
		if err != nil {
			return err
		}
		if !ok {
			return refused
		}
		leaf, err := snap.Leaf(own)
		if err != nil {
			return err
		}
		if !s.eraseDue(leaf.Hour) {
			return nil
		}
		at, ok, err := snap.Find(withdrawal.Subject)
		if err != nil {
			return err
		}
		if !ok {
			return refused
		}
		ids, err := threadOf(snap, at, s.ledger)
		if err != nil {
			return err
		}
		return s.remove(ids)
	})
}

// threadOf returns the ids of an entry and of what follows it.
func threadOf(snap snapshot, at uint64, ledger crypto.LedgerID) (ids []contract.ID, err error) {
	for _, n := range append([]uint64{at}, snap.followUps(at)...) {
		leaf, err := snap.Leaf(n)
		if err != nil {
			return nil, err
		}
		ids = append(ids, leaf.Entry.ID(ledger))
	}
	return ids, nil
}

// isErased reports whether an entry belongs to a record whose payloads were to be erased by
// now.
func (s store) isErased(snap snapshot, id contract.ID) (bool, error) {
	at, ok, err := snap.Find(id)
	if err != nil || !ok {
		return false, err
	}
	leaf, err := snap.Leaf(at)
	if err != nil {
		return false, err
	}
	if gone, err := isWithdrawn(snap, &leaf.Entry, id); err != nil || !gone {
		return false, err
	}
	if !leaf.Entry.Opens() {
		if at, ok, err = snap.Find(leaf.Entry.Subject); err != nil || !ok {
			return false, err
		}
	}
	follows := snap.followUps(at) // nothing follows a withdrawal
	last, err := snap.Leaf(follows[len(follows)-1])
	return err == nil && s.eraseDue(last.Hour), err
}

// remove ends all payloads of entries, durably. It can be repeated after it was
// interrupted anywhere: files go before the records that lead to them.
func (s store) remove(ids []contract.ID) error {
	if err := s.payloads.settle(); err != nil { // files go whether or not records lead to them
		return err
	}
	var ends []found
	removed := false
	for _, id := range ids {
		all, _, err := s.payloads.find(crypto.Hash(id))
		if err != nil {
			return err
		}
		ends = append(ends, all...)
		for part := ledgerclient.PartMetadata; part <= ledgerclient.PartAccess; part++ {
			if there, err := exists(s.contentFile(id, part)); err != nil {
				return err
			} else if there {
				if err := s.ops.remove(s.contentFile(id, part)); err != nil {
					return err
				}
				removed = true
			}
		}
	}
	if removed {
		if err := s.ops.syncDir(s.path("contents")); err != nil {
			return err
		}
	}
	return s.payloads.endAll(ends)
}

// drop ends payloads that came long ago and whose entries never did, after a look at no
// more than that many records: what others piled up must not hold up whoever waits for
// the lock. more says that some are left. The clock is this machine's; one that is ahead
// makes a wallet store again what it was about to order.
func (s store) drop(snap snapshot, most int) (more bool, err error) {
	if err := s.settle(snap); err != nil {
		return false, err
	}
	old := func(h contract.Hour) bool { return uint64(h)+keepHours <= uint64(s.hour()) }
	return s.payloads.unchecked(old, most, func(r *segRecord) (bool, error) {
		p := found{segRecord: *r}
		_, ordered, err := snap.Find(p.id())
		if err != nil || ordered || !p.isFile() {
			return !ordered, err
		}
		all, _, err := s.payloads.find(r.keys[0])
		if err != nil {
			return false, err
		}
		for _, o := range all {
			if o.kind == r.kind && o.hour > r.hour {
				return true, nil // the file was put again since
			}
		}
		if there, err := exists(s.contentFile(p.id(), p.part())); err != nil || !there {
			return err == nil, err
		}
		if err := s.ops.remove(s.contentFile(p.id(), p.part())); err != nil {
			return false, err
		}
		return true, s.ops.syncDir(s.path("contents"))
	})
}

// dropUploads removes what was not written to for an hour. It looks once an hour.
func (s store) dropUploads() error {
	now := s.hour()
	if uint32(now) == s.stages.Swap(uint32(now)) {
		return nil
	}
	since := time.Unix(int64(now)*3600, 0).Add(-time.Hour)
	files, err := s.readDir(s.path("uploads"))
	if err != nil {
		return err
	}
	for _, f := range files {
		path := s.path("uploads", f.Name())
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.ModTime().After(since) {
			continue
		}
		if err != nil {
			return err
		}
		if err := s.removeOne(path); err != nil {
			return err
		}
	}
	return nil
}
