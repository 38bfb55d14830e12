package folder

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// store is the ciphertext of a ledger:
//
//	payloads/<number>       segments of payloads, see segment.go
//	contents/<id>.<part>    a payload that is a file of its own
//	uploads/<random>        one that is being written
//
// The body of a record in payloads is what the entry commits to (nothing of an access)
// and the payload; its kind is the part. It is found by the entry's id and the names of
// the payload's locators, which are tagged hashes of these: the folder does not hold the
// secrets that payloads are asked for with. A content, and what is longer than maxInline,
// is a file of its own, and the record has only the package.
//
// What is put is made durable and then there, all of one call with one sync. Its record
// may be there before its file. What is damaged can be put again.
type store struct{ *ground }

var _ ledgerclient.Store = store{}

const (
	// maxBlob is the size of the largest small payload in bytes: 64 MiB of
	// plaintext, sealed, locked and salted.
	maxBlob = 65 << 20
	// maxInline is the size of the largest payload in a segment, in bytes.
	maxInline = 256 << 10
	// ofItsOwn marks in a record's kind that the payload is a file.
	ofItsOwn = 0x80
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

func (s store) contentFile(id contract.ID, part ledgerclient.Part) string {
	return s.path("contents", hexName(id)+"."+part.String())
}

// locatorName is what a locator is found by.
func locatorName(loc crypto.Locator) crypto.Hash { return crypto.TaggedHash(crypto.TagLocator, loc[:]) }

func (r *found) id() contract.ID         { return contract.ID(r.keys[0]) }
func (r *found) part() ledgerclient.Part { return ledgerclient.Part(r.kind &^ ofItsOwn) }
func (r *found) isFile() bool            { return r.kind&ofItsOwn != 0 }
func (r *found) names() []crypto.Hash    { return r.keys[1:] }

// Blob opens the payload with that locator. The error is a *ledgerclient.TamperedError
// with a *DamagedError in it if what leads there, or is there, was not written so.
func (s store) Blob(ctx context.Context, loc crypto.Locator) (ledgerclient.Blob, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name := locatorName(loc)
	b, err := s.blob(name)
	if none := (*ledgerclient.NotFoundError)(nil); errors.As(err, &none) {
		b, err = s.blob(name) // it may have been moved
	}
	if errors.As(err, new(*DamagedError)) {
		err = &ledgerclient.TamperedError{What: "payload", Err: err}
	}
	return b, err
}

func (s store) blob(name crypto.Hash) (ledgerclient.Blob, error) {
	if err := s.payloads.look(); err != nil {
		return nil, err
	}
	all, damaged, err := s.payloads.find(name)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if r.mark != markHeld || !slices.Contains(r.names(), name) {
			continue
		}
		if r.isFile() {
			f, err := s.open(s.contentFile(r.id(), r.part()))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			info, err := f.Stat()
			if err != nil {
				f.Close()
				return nil, err
			}
			return blob{io.NewSectionReader(f, 0, info.Size()), f}, nil
		}
		f, err := s.payloads.openOf(&r)
		if err != nil {
			return nil, err
		}
		return blob{io.NewSectionReader(f, r.start()+r.pkg, r.size()-r.pkg), f}, nil
	}
	if damaged != 0 {
		return nil, s.damaged(s.payloads.path(damaged), notWritten)
	}
	return nil, &ledgerclient.NotFoundError{What: "payload"}
}

const notWritten = "not what was written"

// blob is a payload, open for reading.
type blob struct {
	*io.SectionReader
	f io.Closer
}

func (b blob) Close() error { return b.f.Close() }

// PutBlobs stores payloads. It checks all of them before it stores any: shape and
// signature of the entry, the package against the entry's commitment, the
// payload's hash against the package.
func (s store) PutBlobs(ctx context.Context, puts []ledgerclient.Put) error {
	if len(puts) == 0 {
		return nil
	}
	all, err := s.checkPuts(puts)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	for i := range all {
		if p := &all[i]; len(p.Blob) > maxInline {
			if p.file, err = s.uploadPath(); err != nil {
				return err
			}
			defer s.removeOne(p.file)
			if err := writeFile(s.ops, p.file, p.Blob, s.modes.file); err != nil {
				return err
			}
			if err := disk.Chtimes(p.file, s.fullHour()); err != nil {
				return err
			}
		}
	}
	return s.place(ctx, all)
}

// placing is a payload on its way.
type placing struct {
	*ledgerclient.Put
	id    contract.ID
	names []crypto.Hash
	file  string // in uploads, whole and durable; "": the payload goes into a segment
}

func placingOf(p *ledgerclient.Put, id contract.ID) placing {
	to := placing{Put: p, id: id}
	for _, loc := range p.Locators {
		to.names = append(to.names, locatorName(loc))
	}
	return to
}

// place puts payloads where they belong.
func (s store) place(ctx context.Context, all []placing) error {
	return s.lock.write(ctx, func(snap snapshot) error {
		if err := s.payloads.settle(); err != nil {
			return err
		}
		size := 0
		for i := range all {
			size += maxHead + len(all[i].Package) + len(all[i].Blob) + segmentHeader
		}
		records := make([]byte, 0, size)
		var ends []found
		for i := range all {
			p := &all[i]
			there, old, err := s.compare(snap, p)
			if err != nil {
				return err
			}
			ends = append(ends, old...)
			if there {
				continue
			}
			kind, rest := byte(p.Part), p.Blob
			if p.file != "" {
				kind, rest = kind|ofItsOwn, nil
			}
			records = appendRecord(records, s.hour(), kind, append([]crypto.Hash{crypto.Hash(p.id)}, p.names...), p.pkg(), rest)
		}
		if err := s.payloads.add(records, false); err != nil {
			return err
		}
		named := false
		for i := range all {
			if p := &all[i]; p.file != "" {
				if err := s.mkdirs("contents"); err != nil {
					return err
				}
				if err := s.ops.rename(p.file, s.contentFile(p.id, p.Part)); err != nil {
					return err
				}
				named = true
			}
		}
		if named {
			if err := s.ops.syncDir(s.path("contents")); err != nil {
				return err
			}
		}
		if err := s.payloads.endAll(ends); err != nil {
			return err
		}
		if err := s.dropUploads(); err != nil {
			return err
		}
		_, err := s.drop(snap, 16+2*len(all))
		return err
	})
}

// pkg is the package that is kept with the payload: an access has none.
func (p *placing) pkg() []byte {
	if p.Entry.Kind == contract.KindAccess {
		return nil
	}
	return p.Package
}

// compare looks for a payload in the store. It keeps a locator from leading to two
// payloads, a payload from getting more locators than it was first put with, and those of
// a withdrawn record from coming back. ends are records that the payload replaces unless it
// is there: it is damaged there, or is to be kept for longer.
func (s store) compare(snap snapshot, p *placing) (there bool, ends []found, err error) {
	refuse := func(why ledgerclient.StoreReason) (bool, []found, error) {
		return false, nil, &ledgerclient.StoreError{Entry: p.id, Part: p.Part, Reason: why}
	}
	if gone, err := isWithdrawn(snap, &p.Entry, p.id); err != nil {
		return false, nil, err
	} else if gone {
		return refuse(ledgerclient.Withdrawn)
	}
	for _, name := range p.names {
		all, _, err := s.payloads.find(name)
		if err != nil {
			return false, nil, err
		}
		for _, r := range all {
			if r.mark == markHeld && (r.id() != p.id || r.part() != p.Part) {
				return refuse(ledgerclient.BadLocators)
			}
		}
	}
	all, _, err := s.payloads.find(crypto.Hash(p.id))
	if err != nil {
		return false, nil, err
	}
	for _, r := range all {
		if r.part() != p.Part {
			continue
		}
		if r.mark == markHeld && !slices.Equal(r.names(), p.names) {
			return refuse(ledgerclient.BadLocators)
		}
		same := r.mark == markHeld && r.isFile() == (p.file != "")
		if same {
			body, ok, err := s.payloads.body(&r)
			if err != nil {
				return false, nil, err
			}
			same = ok && bytes.Equal(body[:r.pkg], p.pkg()) && (r.isFile() || bytes.Equal(body[r.pkg:], p.Blob))
		}
		if same && r.hour != s.hour() {
			if _, same, err = snap.Find(p.id); err != nil {
				return false, nil, err
			}
		}
		if same && !there {
			there = true
		} else {
			ends = append(ends, r)
		}
	}
	return there, ends, nil
}

// isWithdrawn reports whether an entry belongs to a record that was withdrawn.
func isWithdrawn(snap keeper.View, e *contract.Entry, id contract.ID) (bool, error) {
	if e.Kind != contract.KindRecord {
		return false, nil
	}
	if !e.Opens() {
		id = e.Subject
	}
	at, ok, err := snap.Find(id)
	if err != nil || !ok {
		return false, err
	}
	state, err := snap.State(at)
	return state.Status == contract.StatusClosed, err
}

// checkPuts verifies puts on all cores, the signature of each entry once.
func (s store) checkPuts(puts []ledgerclient.Put) ([]placing, error) {
	entries := map[contract.Entry]int{}
	for i := range puts {
		if _, ok := entries[puts[i].Entry]; !ok {
			entries[puts[i].Entry] = len(entries)
		}
	}
	order := make([]contract.Entry, len(entries))
	for e, i := range entries {
		order[i] = e
	}
	ids, signed := make([]contract.ID, len(order)), make([]bool, len(order))
	ledgerclient.Parallel(len(order), func(i int) {
		ids[i], signed[i] = order[i].ID(s.ledger), s.isSigned(&order[i])
	})
	all := make([]placing, len(puts))
	reasons := make([]ledgerclient.StoreReason, len(puts))
	ledgerclient.Parallel(len(puts), func(i int) {
		p, e := &puts[i], entries[puts[i].Entry]
		all[i] = placingOf(p, ids[e])
		reasons[i] = refusal(p, signed[e], crypto.BlobHash(p.Blob))
		switch {
		case reasons[i] == ledgerclient.BadEntry:
		case p.Part == ledgerclient.PartContent:
			reasons[i] = ledgerclient.BadPart // comes by Upload
		case len(p.Blob) < len(crypto.Salt{}) || len(p.Blob) > maxBlob:
			reasons[i] = ledgerclient.BadBlob
		}
	})
	type key struct {
		id   contract.ID
		part ledgerclient.Part
	}
	seen, names := map[key]bool{}, map[crypto.Hash]bool{}
	for i := range all {
		p := &all[i]
		if reasons[i] == "" && seen[key{p.id, p.Part}] {
			reasons[i] = ledgerclient.BadPart
		}
		seen[key{p.id, p.Part}] = true
		for _, name := range p.names {
			if reasons[i] == "" && names[name] {
				reasons[i] = ledgerclient.BadLocators
			}
			names[name] = true
		}
		if reasons[i] != "" {
			return nil, &ledgerclient.StoreError{Entry: p.id, Part: p.Part, Reason: reasons[i]}
		}
	}
	for i := range order {
		s.checked.add(&order[i])
	}
	return all, nil
}

// isSigned reports whether an entry has the shape and the signature of one.
func (s store) isSigned(e *contract.Entry) bool {
	return contract.CheckShape(e) == nil && contract.CheckSignature(s.ledger, e) == nil
}

// refusal says why a put is refused, which is "" if its entry, signed or not, commits to
// the package and that to a payload of that hash. Of a content the hash is the head.
func refusal(p *ledgerclient.Put, signed bool, hash crypto.Hash) ledgerclient.StoreReason {
	n := len(p.Locators)
	switch {
	case !signed:
		return ledgerclient.BadEntry
	case !slices.Contains(partsOf(&p.Entry), p.Part):
		return ledgerclient.BadPart
	case n < 1 || n > 2 || n == 2 && p.Locators[0] == p.Locators[1]:
		return ledgerclient.BadLocators
	}
	return committed(&p.Entry, p.Package, p.Part, hash)
}

// committed checks that an entry commits to a package, and it to a payload of that hash.
func committed(e *contract.Entry, pkg []byte, part ledgerclient.Part, hash crypto.Hash) ledgerclient.StoreReason {
	var want crypto.Hash
	switch e.Kind {
	case contract.KindAccess:
		if contract.AccessCommitment(hash) != e.Commitment {
			return ledgerclient.BadBlob
		}
		return ""
	case contract.KindRecord:
		p, err := contract.ParseRecordPackage(pkg)
		if err != nil || p.Commitment() != e.Commitment {
			return ledgerclient.BadPackage
		}
		if want = p.ContentHead; part == ledgerclient.PartMetadata {
			want = p.Metadata
		}
	case contract.KindGrant:
		p, err := contract.ParseGrantPackage(pkg)
		if err != nil || p.Commitment() != e.Commitment {
			return ledgerclient.BadPackage
		}
		if want = p.Envelope; part == ledgerclient.PartTerms {
			want = p.Terms
		}
	default:
		return ledgerclient.BadPart
	}
	if want != hash {
		return ledgerclient.BadBlob
	}
	return ""
}

// uploadPath is the path of a new file in uploads.
func (s store) uploadPath() (string, error) {
	return s.path("uploads", hex.EncodeToString(noise(12))), s.mkdirs("uploads")
}
