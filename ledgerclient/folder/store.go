package folder

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
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
// secrets that payloads are asked for with. What is longer than maxInline is a file of its
// own, and the record has only the package. So is a content, but for a small one that comes
// to a node, see PutAll: its record has it with the hashes of its pieces, as the file would.
//
// Such a file ends with its record too, as of hour 0, and the length of that in 4 bytes. So
// the record in the segment need not be on the disk when the file is: after a power failure
// it is made anew from the file, see regain.
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
func (r *found) partName() partName      { return partName{r.keys[0], r.part()} }

// Blob opens the payload with that locator. The error is a *ledgerclient.TamperedError
// with a *DamagedError in it if what leads there, or is there, was not written so.
func (s store) Blob(ctx context.Context, loc crypto.Locator) (ledgerclient.Blob, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name := locatorName(loc)
	b, err := s.blob(name)
	if none := (*ledgerclient.NotFoundError)(nil); errors.As(err, &none) {
		if err := s.regainNow(ctx); err != nil {
			return nil, err
		}
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
			size, tail, err := readTail(f)
			if err == nil && !tail.isOf(&r) { // nobody else would see a change there
				err = s.damaged(f.Name(), notWritten)
			}
			if err != nil {
				f.Close()
				return nil, err
			}
			return blob{io.NewSectionReader(f, 0, size), f}, nil
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
	return s.putAll(ctx, []Putting{{Puts: puts}})[0]
}

// putAll is PutBlobs, and Commit of uploads, for several.
func (s store) putAll(ctx context.Context, all []Putting) (errs []error) {
	groups, errs := make([]*group, len(all)), make([]error, len(all))
	ledgerclient.Parallel(len(all), func(i int) { groups[i] = s.group(&all[i]) })
	s.place(ctx, groups)
	for i, g := range groups {
		errs[i] = g.err
		for _, path := range g.made { // it is gone if it was placed
			s.removeOne(path)
		}
	}
	return errs
}

// group checks what is to be put, and makes durable what does not go into a segment.
func (s store) group(p *Putting) *group {
	g := &group{}
	if p.Content != nil {
		if u, ok := p.Content.(*upload); !ok || u.s.ground != s.ground || len(p.Puts) != 1 {
			g.err = errNotJoined
		} else if g.err = u.join(p.Puts[0], p.names, SmallContent); g.err == nil {
			g.all, g.made = []placing{u.joined}, []string{u.path}
		}
		return g
	}
	if g.all, g.err = s.checkPuts(p.Puts, p.names); g.err != nil {
		return g
	}
	for i := range g.all {
		if p := &g.all[i]; len(p.Blob) > maxInline {
			if p.file, g.err = s.uploadPath(); g.err != nil {
				return g
			}
			g.made = append(g.made, p.file)
			if g.err = s.writeOwn(p); g.err != nil {
				return g
			}
		}
	}
	return g
}

// placing is a payload on its way.
type placing struct {
	*ledgerclient.Put
	id    contract.ID
	names []crypto.Hash
	file  string // in uploads, whole and durable; "": the payload goes into a segment
	moved bool   // from there to its place
}

// appendTo appends the record of a payload.
func (p *placing) appendTo(b []byte, hour contract.Hour) []byte {
	kind, rest := byte(p.Part), p.Blob
	if p.file != "" {
		kind, rest = kind|ofItsOwn, nil
	}
	return appendRecord(b, hour, kind, append([]crypto.Hash{crypto.Hash(p.id)}, p.names...), p.pkg(), rest)
}

// tail is what the file of a payload ends with.
func (p *placing) tail() []byte {
	record := p.appendTo(nil, 0)
	return binary.BigEndian.AppendUint32(record, uint32(len(record)))
}

// writeOwn makes a payload a file in uploads, durably but for its name.
func (s store) writeOwn(p *placing) error {
	f, err := s.ops.open(p.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, s.modes.file)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(p.Blob, 0)
	if err == nil {
		_, err = f.WriteAt(p.tail(), int64(len(p.Blob)))
	}
	if err != nil {
		f.Close()
		return err
	}
	return finishFile(f, p.file, s.fullHour())
}

// group are payloads that are put as a whole or not at all.
type group struct {
	all  []placing
	made []string // files in uploads
	err  error
}

// names are what the group's payloads are compared with others by.
func (g *group) names() (all []partName) {
	for i := range g.all {
		p := &g.all[i]
		all = append(all, partName{crypto.Hash(p.id), p.Part})
		for _, name := range p.names {
			all = append(all, partName{name, 0})
		}
	}
	return all
}

// partName is a part of an entry, or a locator's name.
type partName struct {
	crypto.Hash
	ledgerclient.Part // 0: a locator's
}

// placingOf is a payload on its way; names are those of its locators where these are not
// known, otherwise nil.
func placingOf(p *ledgerclient.Put, id contract.ID, names []crypto.Hash) placing {
	to := placing{Put: p, id: id, names: names}
	if names == nil {
		for _, loc := range p.Locators {
			to.names = append(to.names, locatorName(loc))
		}
	}
	return to
}

// placeOne puts payloads where they belong.
func (s store) placeOne(ctx context.Context, all []placing) error {
	g := &group{all: all}
	s.place(ctx, []*group{g})
	return g.err
}

// place puts groups of payloads where they belong, and waits for the disk once for all of
// them: what is wrong with one, which its err says, keeps no other from it.
//
// In this order, so that what is found is whole: the records, synced if not all are of files;
// then files get their names, and their folder is synced; then what they replace is ended.
// When place returns a group without an error, all of this has happened.
func (s store) place(ctx context.Context, groups []*group) {
	groups = slices.DeleteFunc(slices.Clone(groups), func(g *group) bool { return g.err != nil || len(g.all) == 0 })
	if len(groups) == 0 {
		return
	}
	err := s.lock.write(ctx, func(snap snapshot) error {
		for left := groups; len(left) > 0; {
			var now, later []*group
			taken := map[partName]bool{}
			for _, g := range left { // each is compared with what is there, and so not with its like
				names := g.names()
				if slices.ContainsFunc(names, func(n partName) bool { return taken[n] }) {
					later = append(later, g)
				} else {
					now = append(now, g)
				}
				for _, n := range names {
					taken[n] = true
				}
			}
			s.placeApart(snap, now)
			left = later
		}
		if err := s.dropUploads(); err != nil {
			return err
		}
		count := 0
		for _, g := range groups {
			count += len(g.all)
		}
		_, err := s.drop(snap, 16+2*count)
		return err
	})
	for _, g := range groups {
		g.err = cmp.Or(g.err, err)
	}
}

// placeApart places groups that have nothing in common.
func (s store) placeApart(snap snapshot, groups []*group) {
	var records []byte
	var ends []found
	var in []*group
	err := s.settle(snap)
	for _, g := range groups {
		var more []byte
		var old []found
		if g.err = err; err == nil {
			more, old, g.err = s.recordsOf(snap, g)
		}
		if g.err != nil {
			continue
		}
		if in, ends = append(in, g), append(ends, old...); records == nil {
			records = more // they may be 64 MiB
		} else {
			records = append(records, more...)
		}
	}
	if err == nil && slices.ContainsFunc(in, (*group).hasRecords) {
		err = s.payloads.add(records, false)
	} else if err == nil {
		err = s.payloads.addSoon(records)
	}
	if err == nil {
		err = s.moveFiles(in)
	}
	if err == nil {
		err = s.payloads.endAll(ends)
	}
	for _, g := range in {
		if err != nil && len(in) > 1 { // there may be room for one, and not for all
			s.placeApart(snap, []*group{g})
		} else {
			g.err = err
		}
	}
}

// recordsOf are the records of a group's payloads that are not there, and those that they
// replace.
func (s store) recordsOf(snap snapshot, g *group) (records []byte, ends []found, err error) {
	size := 0
	for i := range g.all {
		size += maxHead + len(g.all[i].Package) + len(g.all[i].Blob) + segmentHeader
	}
	records = make([]byte, 0, size)
	for i := range g.all {
		p := &g.all[i]
		there, old, err := s.compare(snap, p)
		if err != nil {
			return nil, nil, err
		}
		if ends = append(ends, old...); there {
			continue
		}
		records = p.appendTo(records, s.hour())
	}
	return records, ends, nil
}

// hasRecords reports whether some of a group are in a segment as a whole.
func (g *group) hasRecords() bool {
	return slices.ContainsFunc(g.all, func(p placing) bool { return p.file == "" })
}

// moveFiles gives payloads that are files their names.
func (s store) moveFiles(groups []*group) error {
	named := false
	for _, g := range groups {
		for i := range g.all {
			p := &g.all[i]
			if p.file == "" {
				continue
			}
			if named = true; p.moved {
				continue
			}
			if err := s.mkdirs("contents"); err != nil {
				return err
			}
			if err := s.ops.rename(p.file, s.contentFile(p.id, p.Part)); err != nil {
				return err
			}
			p.moved = true
		}
	}
	if !named {
		return nil
	}
	return s.ops.syncDir(s.path("contents"))
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

// checkPuts verifies puts on all cores, the signature of each entry once. names are those of
// one put, see Putting.
func (s store) checkPuts(puts []ledgerclient.Put, names []crypto.Hash) ([]placing, error) {
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
		all[i] = placingOf(p, ids[e], names)
		reasons[i] = all[i].refusal(signed[e], crypto.BlobHash(p.Blob))
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
	seen, taken := map[key]bool{}, map[crypto.Hash]bool{}
	for i := range all {
		p := &all[i]
		if reasons[i] == "" && seen[key{p.id, p.Part}] {
			reasons[i] = ledgerclient.BadPart
		}
		seen[key{p.id, p.Part}] = true
		for _, name := range p.names {
			if reasons[i] == "" && taken[name] {
				reasons[i] = ledgerclient.BadLocators
			}
			taken[name] = true
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
func (p *placing) refusal(signed bool, hash crypto.Hash) ledgerclient.StoreReason {
	n := len(p.names)
	switch {
	case !signed:
		return ledgerclient.BadEntry
	case !slices.Contains(partsOf(&p.Entry), p.Part):
		return ledgerclient.BadPart
	case n < 1 || n > 2 || n == 2 && p.names[0] == p.names[1]:
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
