package folder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
)

// Erase removes all payloads of the record that the withdrawal ends, if its time
// has come: see Options.EraseAfter. The withdrawal must be on the ledger, which
// keeps them from being put again.
// They are ciphertext and are removed, not overwritten.
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
		thread, err := snap.followUps(at)
		if err != nil {
			return err
		}
		ids := []contract.ID{withdrawal.Subject}
		for _, n := range thread {
			leaf, err := snap.Leaf(n)
			if err != nil {
				return err
			}
			ids = append(ids, leaf.Entry.ID(s.ledger))
		}
		return s.removeEntries(ids)
	})
}

// removeEntries removes the payloads of entries with their locators, durably.
// It can be repeated after it was interrupted anywhere. Payloads in packs are
// overwritten.
func (s store) removeEntries(ids []contract.ID) error {
	var ends []packed
	for _, id := range ids {
		found, _, err := s.packs.payloads.find("", crypto.Hash(id))
		if err != nil {
			return err
		}
		ends = append(ends, found...)
	}
	if err := s.packs.payloads.endAll(ends); err != nil {
		return err
	}
	b := s.newBatch(len(ids))
	for _, id := range ids {
		dir := s.blobDir(id)
		if there, err := exists(dir); err != nil {
			return err
		} else if !there {
			continue
		}
		files, err := s.readDir(dir)
		if err != nil {
			return err
		}
		// First the locators, which are found only by the lists, then the lists.
		for _, f := range files {
			if !strings.HasSuffix(f.Name(), ".locators") {
				continue
			}
			list, err := s.read(filepath.Join(dir, f.Name()), maxLocators)
			if errors.As(err, new(*DamagedError)) {
				continue
			}
			if err != nil {
				return err
			}
			part := partNamed(strings.TrimSuffix(f.Name(), ".locators"))
			names, ok := parseLocators(list, id, part)
			if !ok {
				continue // damaged: a locator stays that leads nowhere
			}
			for _, name := range names {
				if at, _, err := s.readLocator(name); err != nil || at != id {
					continue
				}
				if err := s.ops.remove(s.locatorFile(name)); err != nil {
					return err
				}
			}
		}
		for _, f := range files {
			if err := s.ops.remove(filepath.Join(dir, f.Name())); err != nil {
				return err
			}
		}
		if err := s.removeFolder(dir); err != nil {
			return err
		}
		b.dirs[s.path("store", "blobs")] = true
		b.dirs[s.path("store", "locators")] = true
	}
	return b.syncNames()
}

// pendingLine is the length of a line in a list of pending entries.
const pendingLine = 2*32 + 1

func (s store) pendingFile(h contract.Hour) string {
	return s.path("store", "pending", fmt.Sprintf("%010d", h))
}

// addPending appends ids to the list of this hour, durably.
func (s store) addPending(ids []contract.ID) error {
	path := s.pendingFile(s.hour())
	f, err := s.ops.open(path, os.O_RDWR, 0)
	made := errors.Is(err, fs.ErrNotExist)
	if made {
		f, err = s.ops.open(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, s.modes.file)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var lines []byte
	for _, id := range ids {
		lines = fmt.Appendf(lines, "%s\n", id)
	}
	// A killed process may have left part of a line.
	if _, err := f.WriteAt(lines, info.Size()/pendingLine*pendingLine); err != nil {
		return err
	}
	if err := s.newBatch(1).finish(path, f); err != nil || !made {
		return err
	}
	return s.ops.syncDir(filepath.Dir(path))
}

// drop removes payloads that came long ago and whose entries never did, of at most
// that many entries: what others piled up must not hold up whoever waits for the lock.
// more says that some are left. The clock is this machine's; one that is ahead makes a
// wallet store again what it was about to order.
func (s store) drop(snap snapshot, most int) (more bool, err error) {
	lists, err := s.readDir(s.path("store", "pending"))
	if err != nil {
		return false, err
	}
	for _, f := range lists {
		hour, ok := pendingHour(f.Name())
		if !ok || s.young(hour) {
			continue
		}
		n, more, err := s.dropLast(snap, s.pendingFile(hour), most)
		if other := (*disk.KindError)(nil); errors.As(err, &other) {
			continue // no file: verify tells
		}
		if more || err != nil {
			return more, err
		}
		most -= n
	}
	return false, nil
}

// dropLast drops what the last lines of a list name, which go with it. Without any
// left the list is removed.
func (s store) dropLast(snap snapshot, path string, most int) (n int, more bool, err error) {
	f, err := s.ops.open(path, os.O_RDWR, 0)
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, false, err
	}
	size := info.Size() / pendingLine * pendingLine
	lines := make([]byte, min(size, int64(most)*pendingLine))
	if _, err := f.ReadAt(lines, size-int64(len(lines))); err != nil {
		return 0, false, err
	}
	var gone, again []contract.ID
	for line := range bytes.Lines(lines) {
		n++
		id, ok := unhex(string(bytes.TrimSuffix(line, []byte("\n"))))
		if !ok {
			continue
		}
		placed, there, err := s.placed(id)
		if err != nil {
			return 0, false, err
		}
		_, ordered, err := snap.Find(id)
		switch {
		case err != nil:
			return 0, false, err
		case ordered || !there:
		case s.young(placed):
			again = append(again, id) // was put again since
		default:
			gone = append(gone, id)
		}
	}
	if err := s.removeEntries(gone); err != nil {
		return 0, false, err
	}
	if len(again) > 0 {
		if err := s.addPending(again); err != nil {
			return 0, false, err
		}
	}
	if size -= int64(len(lines)); size > 0 {
		if err := f.Truncate(size); err != nil {
			return n, true, err
		}
		return n, true, s.newBatch(1).finish(path, f)
	}
	f.Close() // on Windows one that is open cannot be removed
	return n, false, s.ops.remove(path)
}

// young tells whether what came in an hour is not to be dropped yet.
func (s store) young(h contract.Hour) bool { return uint64(h)+keepHours > uint64(s.hour()) }

// placed is the hour in which payloads of an entry were last put.
func (s store) placed(id contract.ID) (hour contract.Hour, there bool, err error) {
	paths := []string{s.blobDir(id)}
	found, _, err := s.packs.payloads.find("", crypto.Hash(id))
	if err != nil {
		return 0, false, err
	}
	for _, r := range found {
		paths = append(paths, r.pack.path)
	}
	for _, path := range paths {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, false, err
		}
		there = true
		hour = max(hour, contract.Hour(max(0, info.ModTime().Unix()/3600)))
	}
	return hour, there, nil
}

// touch makes payloads that were there as young as if they had come now.
func (s store) touch(b *batch, id contract.ID) error {
	if err := disk.Chtimes(s.blobDir(id), b.time); err == nil {
		b.dirs[s.blobDir(id)] = true
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	found, _, err := s.packs.payloads.find("", crypto.Hash(id))
	for _, r := range found {
		if err := disk.Chtimes(r.pack.path, b.time); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

// pendingHour reads the hour that a list of pending entries is named after.
func pendingHour(name string) (contract.Hour, bool) {
	n, err := strconv.ParseUint(name, 10, 32)
	return contract.Hour(n), err == nil && len(name) == 10
}

// dropStaging removes stages in which nothing was written for an hour. It looks once
// an hour.
func (s store) dropStaging() error {
	now := s.hour()
	if uint32(now) == s.stages.Swap(uint32(now)) {
		return nil
	}
	since := time.Unix(int64(now)*3600, 0).Add(-time.Hour)
	stages, err := s.readDir(s.path("store", "staging"))
	if err != nil {
		return err
	}
	for _, f := range stages {
		dir := s.path("store", "staging", f.Name())
		if !f.IsDir() {
			continue
		}
		// A stage's own time is that of its last new file; its content's that of the
		// last write. Other files in it already show the full hour.
		if changedSince(dir, since) || changedSince(filepath.Join(dir, ledgerclient.PartContent.String()), since) {
			continue
		}
		if err := s.removeAll(dir); err != nil {
			return err
		}
	}
	return nil
}

func changedSince(path string, since time.Time) bool {
	info, err := os.Lstat(path)
	return err == nil && info.ModTime().After(since)
}
