package folder

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
)

// store is the folder `store`:
//
//	blobs/<entry id>/package          what the entry commits to; not of an access
//	blobs/<entry id>/<part>           one payload
//	blobs/<entry id>/<part>.locators  names of its locators, one a line, and <check>
//	locators/<name>                   "<entry id> <part> <check>\n"
//	packs/<hour>-<random>             all of these of many grants that came together, see pack
//	pending/<hour>-<random>           entry ids, one a line, whose payloads came in that hour
//	staging/<random>/                 what is being written
//
// A locator's name is the tagged hash of the locator: the folder does not hold
// the secrets that payloads are asked for with. check is 16 digits that find
// damage before a reader is led to another payload by it.
//
// All is written and made durable in staging, without a lock, and then renamed
// under it. A payload is there before a locator leads to it. What is in blobs
// goes before what is in packs, so that a damaged payload can be put again.
type store struct{ *ground }

var _ ledgerclient.Store = store{}

const (
	// maxBlob is the size of the largest small payload in bytes: 64 MiB of
	// plaintext, sealed, locked and salted.
	maxBlob = 65 << 20
	// maxLocators is more bytes than the files with a locator, or with a payload's
	// locators, have.
	maxLocators = 1 << 10
	// keepHours is how many full hours after it came a payload without an entry is
	// dropped at the earliest.
	keepHours = 2
)

// partsOf says which payloads an entry has.
func partsOf(e *contract.Entry) []ledgerclient.Part {
	switch {
	case e.Kind == contract.KindRecord && e.Flags&contract.FlagWithdrawn == 0:
		return []ledgerclient.Part{ledgerclient.PartMetadata, ledgerclient.PartContent}
	case e.Kind == contract.KindGrant:
		return []ledgerclient.Part{ledgerclient.PartTerms, ledgerclient.PartEnvelope}
	case e.Kind == contract.KindAccess:
		return []ledgerclient.Part{ledgerclient.PartAccess}
	}
	return nil
}

const packageFile = "package"

func (s store) blobDir(id contract.ID) string    { return s.path("store", "blobs", hexName(id)) }
func (s store) locatorFile(name string) string   { return s.path("store", "locators", name) }
func locatorsFile(part ledgerclient.Part) string { return part.String() + ".locators" }

// locatorName is the file name of a locator.
func locatorName(loc crypto.Locator) string {
	return hexName(crypto.TaggedHash(crypto.TagLocator, loc[:]))
}

// locatorLine is the content of a locator's file.
func locatorLine(name string, id contract.ID, part ledgerclient.Part) []byte {
	check := crypto.TaggedHash(crypto.TagLocatorCheck, []byte(name), id[:], []byte{byte(part)})
	return fmt.Appendf(nil, "%x %s %x\n", id[:], part, check[:8])
}

// readLocator reads a locator's file: *ledgerclient.NotFoundError if there is
// none, *DamagedError if it is not what was written.
func (s store) readLocator(name string) (id contract.ID, part ledgerclient.Part, err error) {
	path := s.locatorFile(name)
	line, err := s.read(path, maxLocators)
	if errors.Is(err, fs.ErrNotExist) {
		return id, 0, &ledgerclient.NotFoundError{What: "payload"}
	}
	if err != nil {
		return id, 0, err
	}
	hexID, rest, _ := strings.Cut(string(line), " ")
	partName, _, _ := strings.Cut(rest, " ")
	id, ok := unhex(hexID)
	part = partNamed(partName)
	if !ok || part == 0 || !bytes.Equal(line, locatorLine(name, id, part)) {
		return id, 0, s.damaged(path, "not what was written")
	}
	return id, part, nil
}

// partNamed is the part of that name, 0 if there is none.
func partNamed(name string) ledgerclient.Part {
	for p := ledgerclient.PartMetadata; p <= ledgerclient.PartAccess; p++ {
		if p.String() == name {
			return p
		}
	}
	return 0
}

// Blob opens the payload with that locator. The error is a *ledgerclient.TamperedError
// with a *DamagedError in it if what leads there, or is there, was not written so.
func (s store) Blob(ctx context.Context, loc crypto.Locator) (ledgerclient.Blob, error) {
	b, err := s.blobAt(ctx, loc)
	if errors.As(err, new(*DamagedError)) {
		err = &ledgerclient.TamperedError{What: "payload", Err: err}
	}
	return b, err
}

func (s store) blobAt(ctx context.Context, loc crypto.Locator) (ledgerclient.Blob, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name := locatorName(loc)
	id, part, err := s.readLocator(name)
	var none *ledgerclient.NotFoundError
	if errors.As(err, &none) {
		return s.packedBlobAt(name)
	}
	if err != nil {
		return nil, err
	}
	f, err := s.open(filepath.Join(s.blobDir(id), part.String()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &ledgerclient.NotFoundError{What: "payload"}
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &blob{f, info.Size()}, nil
}

type blob struct {
	*os.File
	size int64
}

func (b *blob) Size() int64 { return b.size }

// stage is payloads in a folder of their own below staging, on their way.
type stage struct {
	s       store
	dir     string
	batch   *batch
	entries []*stagedEntry
	pack    *packWriter // nil: no payload goes into a pack
}

type stagedEntry struct {
	id    contract.ID
	entry *contract.Entry
	parts []stagedPart
	pkg   []byte // nil: an access has none

	packed bool // all of it goes into a pack
	begun  bool // a folder of it is in the stage
}

type stagedPart struct {
	part    ledgerclient.Part
	names   []string // of its locators
	present bool     // is in the store already: nothing was staged
}

// newStage makes an empty stage for about n files.
func (s store) newStage(n int) (*stage, error) {
	if err := s.makeFolders(); err != nil {
		return nil, err
	}
	st := &stage{s: s, dir: s.path("store", "staging", randomName()), batch: s.newBatch(n)}
	return st, st.batch.mkdir(st.dir)
}

func (s store) makeFolders() error {
	for _, dir := range []string{"blobs", "locators", "packs", "pending", "staging"} {
		if err := s.mkdirs("store", dir); err != nil {
			return err
		}
	}
	return nil
}

func randomName() string {
	var r [12]byte
	rand.Read(r[:])
	return hex.EncodeToString(r[:])
}

func (st *stage) entryDir(e *stagedEntry) string { return filepath.Join(st.dir, hexName(e.id)) }

// beginEntry writes what an entry's folder holds beside the payloads.
func (st *stage) beginEntry(e *stagedEntry) error {
	if err := st.batch.mkdir(st.entryDir(e)); err != nil {
		return err
	}
	if e.pkg == nil {
		return nil
	}
	return st.batch.write(filepath.Join(st.entryDir(e), packageFile), e.pkg)
}

// writeLocators writes the locators of a part, both ways.
func (st *stage) writeLocators(e *stagedEntry, p *stagedPart) error {
	for _, name := range p.names {
		if err := st.batch.write(filepath.Join(st.dir, name), locatorLine(name, e.id, p.part)); err != nil {
			return err
		}
	}
	return st.batch.write(filepath.Join(st.entryDir(e), locatorsFile(p.part)), locatorsList(e.id, p.part, p.names))
}

// locatorsList is the content of the file with a payload's locators.
func locatorsList(id contract.ID, part ledgerclient.Part, names []string) []byte {
	list := []byte(strings.Join(names, "\n") + "\n")
	check := crypto.TaggedHash(crypto.TagLocatorCheck, list, id[:], []byte{byte(part)})
	return fmt.Appendf(list, "%x\n", check[:8])
}

// place makes what is staged durable and puts it where it belongs. vanished says
// that a payload that was present when the stage was made is no longer there.
func (st *stage) place(ctx context.Context) (vanished bool, err error) {
	s, b := st.s, st.batch
	var ids []contract.ID
	for _, e := range st.entries {
		ids = append(ids, e.id)
	}
	staged := filepath.Join(st.dir, "pack")
	if st.pack != nil {
		if err := st.pack.write(b, staged); err != nil {
			return false, err
		}
	}
	if err := b.flush(); err != nil {
		return false, err
	}
	err = s.lock.write(ctx, func(snap snapshot) error {
		if err := s.packs.payloads.look(); err != nil {
			return err
		}
		var alone map[string]bool
		if len(st.entries) >= packFrom {
			alone = s.lonely(4 * len(st.entries))
		}
		merge := make([]bool, len(st.entries))
		for i, e := range st.entries {
			if err := s.refuseWithdrawn(snap, e); err != nil {
				return err
			}
			there, err := exists(s.blobDir(e.id))
			if err != nil {
				return err
			}
			merge[i] = there
			gone, err := st.refuseOtherLocators(e, there, alone)
			if err != nil || gone {
				vanished = gone
				return err
			}
		}
		if err := s.addPending(ids); err != nil {
			return err
		}
		if st.pack != nil {
			if err := b.rename(staged, s.path("store", "packs", packPrefix(s.hour())+randomName())); err != nil {
				return err
			}
		}
		for i, e := range st.entries {
			if e.packed {
				continue
			}
			if !e.begun {
				if err := s.touch(b, e.id); err != nil {
					return err
				}
				continue
			}
			if err := st.placeEntry(e, merge[i]); err != nil {
				return err
			}
		}
		if err := b.syncNames(); err != nil {
			return err
		}
		if err := st.endBroken(); err != nil {
			return err
		}
		if err := s.dropStaging(); err != nil {
			return err
		}
		_, err := s.drop(snap, 16+2*len(ids))
		return err
	})
	return vanished, err
}

// placeEntry renames an entry's payloads and then their locators.
func (st *stage) placeEntry(e *stagedEntry, merge bool) error {
	s, b, dir, to := st.s, st.batch, st.entryDir(e), st.s.blobDir(e.id)
	if !merge {
		if err := disk.Chtimes(dir, b.time); err != nil {
			return err
		}
		if err := b.rename(dir, to); err != nil {
			return err
		}
	} else {
		// What was verified just now replaces what is there: the same bytes, or
		// damaged ones.
		files := []string{packageFile}
		for _, p := range e.parts {
			files = append(files, locatorsFile(p.part), p.part.String())
		}
		moved := false
		for _, name := range files {
			err := b.rename(filepath.Join(dir, name), filepath.Join(to, name))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			moved = moved || err == nil
		}
		if moved {
			if err := disk.Chtimes(to, b.time); err != nil {
				return err
			}
		}
	}
	for _, p := range e.parts {
		for _, name := range p.names {
			if p.present {
				continue
			}
			if err := b.rename(filepath.Join(st.dir, name), s.locatorFile(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// endBroken ends what in packs was damaged and is now in files.
func (st *stage) endBroken() error {
	var ends []packed
	for _, e := range st.entries {
		if e.packed || e.entry.Kind != contract.KindGrant {
			continue
		}
		_, _, broken, err := st.s.packedParts(e.id)
		if err != nil {
			return err
		}
		ends = append(ends, broken...)
	}
	return st.s.packs.payloads.endAll(ends)
}

// refuseWithdrawn keeps the payloads of a withdrawn record from coming back.
func (s store) refuseWithdrawn(snap snapshot, e *stagedEntry) error {
	if e.entry.Kind != contract.KindRecord {
		return nil
	}
	opening := e.id
	if !e.entry.Opens() {
		opening = e.entry.Subject
	}
	at, ok, err := snap.Find(opening)
	if err != nil || !ok {
		return err
	}
	state, err := snap.State(at)
	if err != nil {
		return err
	}
	if state.Status == contract.StatusClosed {
		return &ledgerclient.StoreError{Entry: e.id, Part: e.parts[0].part, Reason: ledgerclient.Withdrawn}
	}
	return nil
}

// refuseOtherLocators keeps a locator from leading to two payloads, and a payload
// from getting more locators than it was first put with. gone says that a
// payload that needed no staging does so now.
//
// there says that the entry has a folder; alone, if not nil, are all locators that are
// files of their own: a batch brings thousands, and to open each in vain takes longer.
func (st *stage) refuseOtherLocators(e *stagedEntry, there bool, alone map[string]bool) (gone bool, err error) {
	s := st.s
	for _, p := range e.parts {
		refused := &ledgerclient.StoreError{Entry: e.id, Part: p.part, Reason: ledgerclient.BadLocators}
		for _, name := range p.names {
			var id contract.ID
			var part ledgerclient.Part
			var err error = &ledgerclient.NotFoundError{What: "payload"}
			if alone == nil || alone[name] {
				id, part, err = s.readLocator(name)
			}
			var none *ledgerclient.NotFoundError
			var damaged *DamagedError
			if errors.As(err, &none) {
				id, part, err = s.packedLocator(name)
			}
			switch {
			case errors.As(err, &none):
				if p.present {
					return true, nil
				}
			case errors.As(err, &damaged): // is replaced
			case err != nil:
				return false, err
			case id != e.id || part != p.part:
				return false, refused
			}
		}
		var list []byte
		var err error = fs.ErrNotExist
		if there {
			list, err = s.read(filepath.Join(s.blobDir(e.id), locatorsFile(p.part)), maxLocators)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			there, others, err := s.packedNames(e.id, &p)
			if err != nil {
				return false, err
			}
			if others {
				return false, refused
			}
			if p.present && !there {
				return true, nil
			}
		case err != nil:
			return false, err
		case !bytes.Equal(list, locatorsList(e.id, p.part, p.names)):
			if names, ok := parseLocators(list, e.id, p.part); ok && leadTo(s.readLocator, names, e.id, p.part) {
				return false, refused
			}
		}
	}
	return false, nil
}

// lonely lists the locators that are files of their own; nil if there are more than
// most, or they cannot be listed. The lock must be held for as long as it counts.
func (s store) lonely(most int) map[string]bool {
	names, err := disk.Names(s.path("store", "locators"), most+1)
	if err != nil || len(names) > most {
		return nil
	}
	alone := make(map[string]bool, len(names))
	for _, name := range names {
		alone[name] = true
	}
	return alone
}

// parseLocators reads the file with a payload's locators.
func parseLocators(list []byte, id contract.ID, part ledgerclient.Part) (names []string, ok bool) {
	lines := strings.Split(string(list), "\n")
	if len(lines) < 3 || len(lines) > 4 {
		return nil, false
	}
	names = lines[:len(lines)-2]
	for _, name := range names {
		if _, ok := unhex(name); !ok {
			return nil, false
		}
	}
	return names, bytes.Equal(list, locatorsList(id, part, names))
}

// leadTo tells whether all locators of those names, looked up with find, lead to the
// payload.
func leadTo(find func(name string) (contract.ID, ledgerclient.Part, error), names []string, id contract.ID, part ledgerclient.Part) bool {
	for _, name := range names {
		if i, p, err := find(name); err != nil || i != id || p != part {
			return false
		}
	}
	return true
}

// discard removes what is left of a stage.
func (st *stage) discard() { st.s.removeAll(st.dir) }
