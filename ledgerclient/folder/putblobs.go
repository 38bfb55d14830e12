package folder

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// PutBlobs stores payloads. It checks all of them before it stores any: shape and
// signature of the entry, the package against the entry's commitment, the
// payload's hash against the package.
func (s store) PutBlobs(ctx context.Context, puts []ledgerclient.Put) error {
	if len(puts) == 0 {
		return nil
	}
	entries, at, err := s.checkPuts(puts)
	if err != nil {
		return err
	}
	// Once more if another process drops, between a look and the lock, what seemed
	// to need no storing.
	for {
		vanished, err := s.putChecked(ctx, puts, entries, at)
		if err != nil || !vanished {
			return err
		}
	}
}

// putChecked stages what is not in the store and places it. at[i] is the
// position in entries of puts[i]'s.
func (s store) putChecked(ctx context.Context, puts []ledgerclient.Put, entries []*stagedEntry, at []int) (vanished bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if err := s.packs.payloads.look(); err != nil {
		return false, err
	}
	take, err := s.packable(entries, puts, at)
	if err != nil {
		return false, err
	}
	files, room := 1, 0
	for i := range puts {
		if take[at[i]] {
			room += len(puts[i].Blob) + len(puts[i].Package) + 128
		} else {
			files += 5
		}
	}
	st, err := s.newStage(files)
	if err != nil {
		return false, err
	}
	defer st.discard()
	st.entries = entries
	for i, e := range entries {
		e.parts, e.packed, e.begun = e.parts[:0], take[i], false
	}
	if room > 0 {
		st.pack = &packWriter{kind: payloadPack}
		st.pack.data.Grow(room)
	}
	for i := range puts {
		p, e := &puts[i], entries[at[i]]
		part := stagedPart{part: p.Part}
		for _, loc := range p.Locators {
			part.names = append(part.names, locatorName(loc))
		}
		if e.packed {
			st.pack.addPayload(e.id, &part, p.Package, p.Blob)
			e.parts = append(e.parts, part)
			continue
		}
		if part.present, err = s.holds(e.id, &part, p.Blob); err != nil {
			return false, err
		}
		if !part.present {
			if !e.begun {
				e.begun = true
				if err := st.beginEntry(e); err != nil {
					return false, err
				}
			}
			if err := st.batch.write(filepath.Join(st.entryDir(e), part.part.String()), p.Blob); err != nil {
				return false, err
			}
			if err := st.writeLocators(e, &part); err != nil {
				return false, err
			}
		}
		e.parts = append(e.parts, part)
	}
	return st.place(ctx)
}

// holds tells whether the store has a payload, with those locators, already.
func (s store) holds(id contract.ID, p *stagedPart, data []byte) (bool, error) {
	dir := s.blobDir(id)
	info, err := os.Lstat(filepath.Join(dir, p.part.String()))
	if errors.Is(err, fs.ErrNotExist) {
		parts, _, _, err := s.packedParts(id)
		for i := range parts {
			// A damaged filter or row can hide from a locator what the entry leads to.
			if parts[i].part == p.part && slices.Equal(parts[i].names, p.names) && bytes.Equal(parts[i].blob, data) {
				return leadTo(s.packedLocator, p.names, id, p.part), nil
			}
		}
		return false, err
	}
	if err != nil || info.Size() != int64(len(data)) {
		return false, nil // whatever is wrong: storing it again tells
	}
	have, err := s.read(filepath.Join(dir, p.part.String()), maxBlob)
	if err != nil || !bytes.Equal(have, data) {
		return false, nil
	}
	list, err := s.read(filepath.Join(dir, locatorsFile(p.part)), maxLocators)
	return err == nil && bytes.Equal(list, locatorsList(id, p.part, p.names)) && leadTo(s.readLocator, p.names, id, p.part), nil
}

// checkPuts verifies puts on all cores and gathers them by entry.
func (s store) checkPuts(puts []ledgerclient.Put) (entries []*stagedEntry, at []int, err error) {
	byEntry := map[contract.Entry]int{}
	at = make([]int, len(puts))
	for i := range puts {
		p := &puts[i]
		n, ok := byEntry[p.Entry]
		if !ok {
			n = len(entries)
			byEntry[p.Entry] = n
			entries = append(entries, &stagedEntry{entry: &p.Entry})
		}
		at[i] = n
	}
	signed := make([]bool, len(entries))
	parallel(len(entries), func(n int) bool {
		e := entries[n]
		e.id = e.entry.ID(s.ledger)
		signed[n] = contract.CheckShape(e.entry) == nil && contract.CheckSignature(s.ledger, e.entry) == nil
		return true
	})
	for n, ok := range signed {
		if ok {
			s.checked.add(entries[n].entry)
		}
	}
	reasons := make([]ledgerclient.StoreReason, len(puts))
	parallel(len(puts), func(i int) bool {
		p := &puts[i]
		switch {
		case !signed[at[i]]:
			reasons[i] = ledgerclient.BadEntry
		case p.Part == ledgerclient.PartContent:
			reasons[i] = ledgerclient.BadPart // comes by Upload
		case len(p.Blob) < len(crypto.Salt{}) || len(p.Blob) > maxBlob:
			reasons[i] = ledgerclient.BadBlob
		default:
			reasons[i] = checkPut(p, crypto.BlobHash(p.Blob))
		}
		return true
	})
	for i, reason := range reasons {
		if reason != "" {
			return nil, nil, &ledgerclient.StoreError{Entry: entries[at[i]].id, Part: puts[i].Part, Reason: reason}
		}
	}
	// Two of the same in one call would be staged under one name.
	type key struct {
		entry int
		part  ledgerclient.Part
	}
	seen := map[key]bool{}
	names := map[crypto.Locator]bool{}
	for i := range puts {
		p := &puts[i]
		k := key{at[i], p.Part}
		if seen[k] {
			return nil, nil, &ledgerclient.StoreError{Entry: entries[at[i]].id, Part: p.Part, Reason: ledgerclient.BadPart}
		}
		seen[k] = true
		for _, loc := range p.Locators {
			if names[loc] {
				return nil, nil, &ledgerclient.StoreError{Entry: entries[at[i]].id, Part: p.Part, Reason: ledgerclient.BadLocators}
			}
			names[loc] = true
		}
		if p.Entry.Kind != contract.KindAccess {
			entries[at[i]].pkg = p.Package
		}
	}
	return entries, at, nil
}

// checkPut verifies that the entry commits to the package and the package to a
// payload of that hash. Of a content the hash is the head.
func checkPut(p *ledgerclient.Put, hash crypto.Hash) ledgerclient.StoreReason {
	fits := false
	for _, part := range partsOf(&p.Entry) {
		fits = fits || part == p.Part
	}
	if !fits {
		return ledgerclient.BadPart
	}
	if n := len(p.Locators); n < 1 || n > 2 || n == 2 && p.Locators[0] == p.Locators[1] {
		return ledgerclient.BadLocators
	}
	want, reason := committed(&p.Entry, p.Package, p.Part)
	if p.Part == ledgerclient.PartAccess {
		if contract.AccessCommitment(hash) != p.Entry.Commitment {
			return ledgerclient.BadBlob
		}
		return ""
	}
	if reason == "" && want != hash {
		reason = ledgerclient.BadBlob
	}
	return reason
}

// committed returns the hash that an entry commits to for a part, by way of its
// package.
func committed(e *contract.Entry, pkg []byte, part ledgerclient.Part) (crypto.Hash, ledgerclient.StoreReason) {
	switch e.Kind {
	case contract.KindRecord:
		p, err := contract.ParseRecordPackage(pkg)
		if err != nil || p.Commitment() != e.Commitment {
			return crypto.Hash{}, ledgerclient.BadPackage
		}
		if part == ledgerclient.PartMetadata {
			return p.Metadata, ""
		}
		return p.ContentHead, ""
	case contract.KindGrant:
		p, err := contract.ParseGrantPackage(pkg)
		if err != nil || p.Commitment() != e.Commitment {
			return crypto.Hash{}, ledgerclient.BadPackage
		}
		if part == ledgerclient.PartTerms {
			return p.Terms, ""
		}
		return p.Envelope, ""
	}
	return crypto.Hash{}, ledgerclient.BadPart
}
