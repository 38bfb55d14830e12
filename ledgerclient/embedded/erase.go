package embedded

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
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

// drop removes payloads that came long ago and whose entries never did, and what
// killed processes left in staging. The clock is this machine's; one that is
// ahead makes a wallet store again what it was about to order.
func (s store) drop(snap snapshot) error {
	lists, err := s.readDir(s.path("store", "pending"))
	if err != nil {
		return err
	}
	now := s.hour()
	isOld := func(name string) bool {
		hour, _ := pendingHour(name)
		return uint64(hour)+keepHours <= uint64(now)
	}
	if !slices.ContainsFunc(lists, func(f fs.DirEntry) bool { return isOld(f.Name()) }) {
		return s.dropStaging(now)
	}
	young := map[contract.ID]bool{}
	var old []string
	var ids []contract.ID
	for _, f := range lists {
		path := s.path("store", "pending", f.Name())
		data, err := s.read(path, maxPending)
		if errors.As(err, new(*DamagedError)) {
			continue // verify tells
		}
		if err != nil {
			return err
		}
		late := isOld(f.Name())
		if late {
			old = append(old, path)
		}
		for line := range strings.Lines(string(data)) {
			id, ok := unhex(strings.TrimSuffix(line, "\n"))
			switch {
			case !ok:
			case late:
				ids = append(ids, id)
			default:
				young[id] = true
			}
		}
	}
	var gone []contract.ID
	for _, id := range ids {
		if young[id] {
			continue // was put again since
		}
		_, ordered, err := snap.Find(id)
		if err != nil {
			return err
		}
		if !ordered {
			gone = append(gone, id)
		}
	}
	if err := s.removeEntries(gone); err != nil {
		return err
	}
	for _, path := range old {
		if err := s.ops.remove(path); err != nil {
			return err
		}
	}
	return s.dropStaging(now)
}

// pendingHour reads the hour in the name of a pending list.
func pendingHour(name string) (contract.Hour, bool) {
	digits, _, _ := strings.Cut(name, "-")
	n, err := strconv.ParseUint(digits, 10, 32)
	return contract.Hour(n), err == nil
}

// dropStaging removes stages in which nothing was written for an hour.
func (s store) dropStaging(now contract.Hour) error {
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
