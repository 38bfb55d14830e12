package wallet

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/outbox"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

// Records are the wallet's own records.
type Records struct{ w *Wallet }

// Records returns the wallet's own records.
func (w *Wallet) Records() Records { return Records{w} }

// Record is the newest version of one encrypted file.
type Record struct {
	ID       contract.ID      `json:"id"`
	Title    string           `json:"title"`
	Category payload.Category `json:"category"`
	Version  int              `json:"version"`        // from 1
	Date     string           `json:"date,omitempty"` // of what it documents, YYYY-MM-DD
	File     string           `json:"file"`           // base name
	Size     int64            `json:"size"`           // of the file, bytes
	SHA256   crypto.Hash      `json:"sha256"`
	Added    Hour             `json:"added"`
	Missing  bool             `json:"missing,omitempty"` // its description cannot be had; only ID and Version are known
	Pending  Action           `json:"pending,omitempty"` // what was signed and waits; "" if nothing does
	Damaged  error            `json:"-"`                 // Missing because what the store holds is not what was signed, or cannot be reached; nil if it holds nothing
	AsOf     time.Time        `json:"asOf,omitzero"`     // when the ledger was followed last, if it is out of reach; otherwise zero
	Parts    int              `json:"parts,omitempty"`   // how many it was split into; 0: it can only be given whole
	Whole    string           `json:"whole,omitempty"`   // why it was not split: payload.WholeFHIR, payload.WholeFile; "" with Parts 0: nobody looked
	Holds    *Holding         `json:"-"`                 // what is in it: of one that was added or updated just now, what Parts returns, and what Find does if it is kept here; otherwise nil
	Signed   Vouching         `json:"signed,omitzero"`   // who signed it; zero: nobody
	Source   Sender           `json:"source,omitzero"`   // who delivered it; zero: nobody
}

// Describe says what is known of a file beside its bytes. Empty fields of an
// update keep what the version before said.
type Describe struct {
	Title    string           // default: what a FHIR file says of itself, else its name without the extension
	Category payload.Category // default: Other
	Date     string           // YYYY-MM-DD; default: what a FHIR file says of itself

	OtherPerson bool // it may be about another person than the records that are there
}

func (d *Describe) check() error {
	var err error
	if d.Title != "" {
		if d.Title, err = checkTitle(d.Title); err != nil {
			return err
		}
	}
	if d.Category != "" {
		if d.Category, err = ParseCategory(string(d.Category)); err != nil {
			return err
		}
	}
	if d.Date != "" {
		if _, err := time.Parse("2006-01-02", d.Date); err != nil {
			return badInput("date", d.Date, "not a date like 2026-11-21")
		}
	}
	return nil
}

func checkTitle(t string) (string, error) {
	t = strings.TrimSpace(t)
	if !payload.TitleFits(t) {
		return "", badInput("title", t, "must be 1 to 160 bytes of UTF-8, quotes and backslashes counted twice: ASCII takes one for a letter, other scripts two to four")
	}
	return t, nil
}

// Add encrypts a file for its owner and enters it on the ledger. Bytes that
// an existing record has in its newest version yield that record, and true. The
// ledger and the store must be within reach: a content that waited for its entry
// would be dropped by the store.
//
// FHIR that can be cut is kept as parts as well. About another person than the wallet's
// other records it is an [ErrOtherPerson], unless d allows it: then src is where it was,
// if it can seek.
func (rs Records) Add(ctx context.Context, src Source, d Describe, progress func(done int64)) (rec Record, existing bool, err error) {
	if err := d.check(); err != nil {
		return Record{}, false, err
	}
	err = rs.w.with(ctx, func() error {
		if err := rs.describeAll(ctx); err != nil {
			return err
		}
		if rs.w.view.Away() != nil { // what is there already could be doubled
			return rs.w.view.Away()
		}
		sum, err := rs.knownBytes(&src)
		if err != nil {
			return err
		}
		if t := rs.withContent(sum); t != nil {
			rec, existing = rs.newestRecord(t), true
			return nil
		}
		in, err := rs.receive(ctx, src, nil, d, nil)
		if err != nil {
			return err
		}
		m, err := firstOf(src, in, d)
		if err != nil {
			return err
		}
		rec, existing, err = rs.put(ctx, nil, in, m, nil, progress)
		return err
	})
	return rec, existing, err
}

// firstOf describes the first version of a record. What comes without a name needs a title.
func firstOf(src Source, in *incoming, d Describe) (payload.Metadata, error) {
	m := payload.Metadata{Version: 1, Title: cmp.Or(d.Title, in.title), Category: cmp.Or(d.Category, payload.Other), Date: cmp.Or(d.Date, in.date), File: baseName(src.Name)}
	switch {
	case src.Name != "":
		m.Title = cmp.Or(m.Title, titleOf(src.Name))
	case m.Title == "":
		return m, badInput("title", "", "what comes without a name needs one; FHIR may bring its own")
	case in.cut != nil && in.cut.Form == health.FormLines:
		m.File += ".ndjson"
	case in.cut != nil:
		m.File += ".json"
	}
	return m, nil
}

// Update makes a file the next version of a record. The bytes of its newest
// version are not an error and change nothing: true is returned.
func (rs Records) Update(ctx context.Context, id string, src Source, d Describe, progress func(done int64)) (rec Record, existing bool, err error) {
	if err := d.check(); err != nil {
		return Record{}, false, err
	}
	err = rs.w.with(ctx, func() error {
		t, err := rs.own(ctx, id)
		if err != nil {
			return err
		}
		if err := rs.w.view.Behind(); err != nil {
			return err
		}
		old, err := rs.newest(t)
		if err != nil {
			return err
		}
		m := nextOf(t, old, src, d)
		sum, err := rs.knownBytes(&src)
		if err != nil {
			return err
		}
		same := sum == old.SHA256 && m.Title == old.Title && m.Category == old.Category && m.Date == old.Date
		same = same && (src.Vouched == nil || old.Vouched != nil && src.Vouched.Statement == old.Vouched.Statement)
		if same && lookedAt(old) {
			rec, existing = rs.newestRecord(t), true
			return nil
		}
		before, err := rs.corrected(ctx, t) // now: there is no room for two large files
		if err != nil {
			return err
		}
		in, err := rs.receive(ctx, src, t, d, nil)
		if err != nil {
			return err
		}
		if same && in.cut == nil { // what was added before files were split gains nothing
			rec, existing = rs.newestRecord(t), true
			return nil
		}
		in.before = before
		if rec, existing, err = rs.put(ctx, t, in, m, nil, progress); err == nil && (rec.Title != m.Title || rec.Category != m.Category || rec.Date != m.Date) {
			// It is called as that version was that she described anew, and she means it.
			rs.describeAs(t, m)
			rec.Title, rec.Category, rec.Date = m.Title, m.Category, m.Date
		}
		return err
	})
	return rec, existing, err
}

// nextOf describes the version that follows old, the newest one of a record.
func nextOf(t *view.Thread, old *payload.Metadata, src Source, d Describe) payload.Metadata {
	m := payload.Metadata{Version: len(t.Versions) + 1, Title: cmp.Or(d.Title, old.Title), Category: cmp.Or(d.Category, old.Category),
		Date: cmp.Or(d.Date, old.Date), File: old.File}
	if src.Name != "" {
		m.File = baseName(src.Name)
	}
	return m
}

// describeAs notes that the owner describes the newest version of a record so.
func (rs Records) describeAs(t *view.Thread, m payload.Metadata) {
	rs.w.book.Facts.setRecord(recordFact{Record: t.ID, Version: len(t.Versions), Title: m.Title, Category: m.Category, Date: m.Date}, rs.w.opt.Now())
	rs.w.book.dirty = true
}

// Edit changes how the newest version of a record is described, and nothing else of it:
// what d leaves empty stays, and noDate takes its date away. It stands in the book, as what
// is said of parts does. What is granted from then on shows it; the terms of consents show
// what they did. The next version takes it over. was is how it was described; it is the
// same if nothing changed.
func (rs Records) Edit(ctx context.Context, id string, d Describe, noDate bool) (was, is Record, err error) {
	if err := d.check(); err != nil {
		return was, is, err
	}
	err = rs.w.with(ctx, func() error {
		t, err := rs.own(ctx, id)
		if err != nil {
			return err
		}
		if err := rs.w.view.Behind(); err != nil { // another machine may have made a newer version
			return err
		}
		if err := rs.describe(ctx, t); err != nil {
			return err
		}
		old, err := rs.newest(t)
		if err != nil {
			return err
		}
		if d.Category != "" && old.Parts != nil {
			return badInput("category", string(d.Category), "its parts have categories of their own: carekey record label")
		}
		was = rs.of(t)
		m := payload.Metadata{Title: cmp.Or(d.Title, old.Title), Category: cmp.Or(d.Category, old.Category), Date: cmp.Or(d.Date, old.Date)}
		if noDate {
			m.Date = ""
		}
		if m.Title != old.Title || m.Category != old.Category || m.Date != old.Date {
			rs.describeAs(t, m)
		}
		is = rs.of(t)
		return nil
	})
	return was, is, err
}

// put encrypts, signs and enters one version; t is the record's thread, or
// nil for a new record, from is where it is moved from, if it is.
func (rs Records) put(ctx context.Context, t *view.Thread, in *incoming, m payload.Metadata, from *origin, progress func(int64)) (rec Record, existing bool, err error) {
	defer in.spared()()
	v, err := rs.seal(ctx, t, in, m, from, progress)
	if err != nil {
		return Record{}, false, err
	}
	defer v.upload.Abort()
	if t == nil && m.Source == nil { // what is delivered is its sender's, whoever has the same
		if same := rs.withContent(v.said.SHA256); same != nil {
			return rs.newestRecord(same), true, nil
		}
	}
	// Beside the disk, for which the rest waits: what is kept of a version that does not come
	// onto the ledger is under a root that nobody asks for.
	holds := beside(func() *Holding {
		if in.tables == nil {
			return nil
		}
		return rs.keepNew(in, v.plan, v.said)
	})
	defer func() {
		if holds(); err != nil && !errors.Is(err, ErrPending) {
			rs.dropParts(v.said)
		}
	}()
	if err := v.upload.Commit(v.content); err != nil {
		return Record{}, false, err
	}
	waits := rs.w.Changes().enter(ctx, v.change)
	if waits != nil && !errors.Is(waits, ErrPending) {
		return Record{}, false, waits
	}
	rec = rs.made(t, v.change)
	rec.Holds = holds()
	return rec, false, waits
}

// made is the record that a change made, or made a version of.
func (rs Records) made(t *view.Thread, ch *outbox.Change) Record {
	if t == nil {
		t = rs.w.view.Thread(ch.ID)
	}
	if t == nil {
		return rs.pendingOf(ch)
	}
	return rs.of(t)
}

// sealed is a version that is encrypted and signed: its content is uploaded, and neither
// committed nor on the ledger.
type sealed struct {
	change  *outbox.Change
	upload  ledgerclient.Upload // to be committed as content, or aborted
	content ledgerclient.Put
	said    *payload.Metadata
	plan    *partsPlan // nil if it was not split
}

// seal encrypts and signs one version; t and from are as for put. Versions of several
// new records can be sealed at the same time.
func (rs Records) seal(ctx context.Context, t *view.Thread, in *incoming, m payload.Metadata, from *origin, progress func(int64)) (v *sealed, err error) {
	ledger := rs.w.client.ID()
	seed, tag, err := rs.w.view.NewSeed()
	if err != nil {
		return nil, err
	}
	e := contract.Entry{Version: contract.Version, Kind: contract.KindRecord, SelfTag: tag}
	key, action := seed.Key(), AddingRecord
	if m.Hidden != "" {
		action = KeepingBook
	}
	if t != nil {
		if _, key, err = rs.w.view.Key(t); err != nil {
			return nil, err
		}
		if m.Hidden == "" {
			action = UpdatingRecord
		}
		e.Subject = t.ID
		e.NotBefore, e.NotAfter = contract.Acceptance(rs.w.view.Hour())
	}
	e.Author = key.Public()
	m.Ledger, m.Author = ledger, e.Author

	upload, err := rs.w.client.Store.Upload(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			upload.Abort()
		}
	}()
	var kept payload.FileKey
	var plan *partsPlan
	var region func(io.Writer) error
	if in.cut != nil {
		keys := partsMaker(seed, &m, in.salts)
		region = func(w io.Writer) error {
			plan = planParts(keys, in.cut)
			m.Parts = &payload.MetadataParts{Split: health.SplitVersion, Count: len(plan.parts), Slots: len(plan.frame.Leaves), Root: plan.frame.Root, Salts: in.salts}
			return plan.writeTo(w)
		}
	}
	if err := encryptContent(ctx, upload, in, region, keepKey{crypto.RecordRecipient(rs.w.keys.Self()), &kept}, &m, progress); err != nil {
		return nil, err
	}
	in.end()
	m.Whole = in.whole
	if err := in.checkVouched(&m); err != nil {
		return nil, err
	}
	m.V, m.Added = payload.Version, rs.w.view.Hour()
	m.Content = payload.Locator(seed.ContentLocator())

	metadata, err := crypto.SealPayload(rs.w.sealContext(ledgerclient.PartMetadata, e.Author), payload.Marshal(&m), 0, rs.w.keys.Self())
	if err != nil {
		return nil, err
	}
	blob := crypto.Blob(crypto.NewSalt(), metadata)
	pkg := contract.RecordPackage{Metadata: crypto.BlobHash(blob), ContentHead: m.Head, ContentSize: uint64(m.ContentSize)}
	e.Commitment = pkg.Commitment()
	if err := e.Sign(ledger, key); err != nil {
		return nil, err
	}
	ch, err := rs.w.Changes().prepare(action, e, pkg.Marshal(), &recordEffect{Metadata: &m, FileKey: kept, Origin: from}, outbox.Put{
		Part: ledgerclient.PartMetadata, Locators: []crypto.Locator{seed.Locator(e.ID(ledger), byte(ledgerclient.PartMetadata))}, Blob: blob})
	if err != nil {
		return nil, err
	}
	ch.Content = seed.ContentLocator()
	content := ledgerclient.Put{Entry: e, Package: pkg.Marshal(), Part: ledgerclient.PartContent, Locators: []crypto.Locator{ch.Content}}
	return &sealed{ch, upload, content, &m, plan}, nil
}

// recordEffect is what adding a version of a record means.
type recordEffect struct {
	Metadata *payload.Metadata `json:"metadata"`
	FileKey  payload.FileKey   `json:"fileKey"`
	Origin   *origin           `json:"origin,omitempty"` // where it was moved from
}

// entered takes up what is known of a version that came onto the ledger.
func (rs Records) entered(c *outbox.Change) error {
	e, err := effectOf[recordEffect](c)
	if err != nil {
		return err
	}
	t := rs.w.view.Thread(c.Opening())
	n := t.VersionOf(c.ID)
	if n == 0 {
		return nil
	}
	if t.Versions[n-1] == nil {
		said := *e.Metadata
		said.Version = n // another machine's version may have come between
		if err := rs.w.view.NoteDescription(t, n, &said); err != nil {
			return err
		}
	}
	if e.Origin != nil {
		rs.w.notes.arrived(e.Origin, movedTo{t.ID, n})
	}
	if t.Keys[n-1] == nil {
		rs.w.view.NoteKey(t, n, e.FileKey)
	}
	return nil
}

// pendingOf is what a record on its way will be.
func (rs Records) pendingOf(c *outbox.Change) Record {
	r := Record{ID: c.ID, Version: 1, Category: payload.Other, Missing: true}
	if e, err := effectOf[recordEffect](c); err == nil {
		r = recordOf(e.Metadata, c.ID)
	}
	r.Pending, r.AsOf = AddingRecord, rs.w.view.AsOf()
	return r
}

func (w *Wallet) sealContext(part ledgerclient.Part, author crypto.PubKey) crypto.SealContext {
	return crypto.SealContext{Ledger: w.client.ID(), Part: byte(part), Author: author}
}

// List lists the records that were not removed, oldest first; at the end those
// that wait to get on the ledger.
func (rs Records) List(ctx context.Context) (out []Record, err error) {
	err = rs.w.Look(ctx, func() error {
		if err := rs.w.view.NeedThreads(); err != nil {
			return err
		}
		if err := rs.describeAll(ctx); err != nil {
			return err
		}
		for t := range rs.threads() {
			out = append(out, rs.of(t))
		}
		for _, c := range rs.w.outbox.Openings(string(AddingRecord)) {
			out = append(out, rs.pendingOf(c))
		}
		return nil
	})
	return out, err
}

// threads are those of the records that were not removed.
func (rs Records) threads() iter.Seq[*view.Thread] {
	return func(yield func(*view.Thread) bool) {
		for t := range rs.w.view.Of(view.OwnRecord) {
			if t.Status == contract.StatusOpen && !yield(t) {
				return
			}
		}
	}
}

// describeAll describes every record that was not removed, the book among them.
func (rs Records) describeAll(ctx context.Context) error {
	for _, t := range rs.w.view.Threads() {
		if (t.Role == view.OwnRecord || t.Role == view.OwnBook) && t.Status == contract.StatusOpen {
			if err := rs.describe(ctx, t); err != nil {
				return err
			}
		}
	}
	return nil
}

// History returns every version of a record, oldest first, also of a removed one.
func (rs Records) History(ctx context.Context, id string) (versions []Record, removed bool, err error) {
	err = rs.w.Look(ctx, func() error {
		t, err := rs.w.find(ctx, view.OwnRecord, id, "record")
		if err != nil {
			return err
		}
		if err := rs.describe(ctx, t); err != nil {
			return err
		}
		for i := range t.Versions {
			versions = append(versions, rs.versionRecord(t, i))
		}
		removed = t.Status == contract.StatusClosed
		return nil
	})
	return versions, removed, err
}

// Called returns the records that a query names: that of an id, or all of a title. Errors
// are as for the verbs that want one of them, but that several of one title are not one.
func (rs Records) Called(ctx context.Context, query string) (ids []contract.ID, err error) {
	err = rs.w.Look(ctx, func() error {
		t, err := rs.w.find(ctx, view.OwnRecord, query, "record")
		if errors.Is(err, ErrAmbiguous) {
			var failed error
			if ids, _, failed = (named{rs.w, view.OwnRecord, "record"}).records(ctx, query); len(ids) > 0 {
				err = failed
			}
		} else if err == nil {
			ids = []contract.ID{t.ID}
		}
		return err
	})
	return ids, err
}

// Open decrypts the newest version of a record of one's own to dst. Every
// piece is checked before a byte of it is written, and what was written is the
// whole file only if no error is returned. asAge writes the age file instead,
// which an age program opens with the owner's key.
func (rs Records) Open(ctx context.Context, id string, dst io.Writer, asAge bool, progress func(int64)) (rec Record, err error) {
	var m *payload.Metadata
	err = rs.w.Look(ctx, func() error {
		t, err := rs.own(ctx, id)
		if err != nil {
			return err
		}
		if err := rs.describe(ctx, t); err != nil {
			return err
		}
		rec = rs.newestRecord(t)
		m, err = rs.newest(t)
		return err
	})
	if err != nil {
		return rec, err
	}
	c, err := stored(rs).content(ctx, m, rec.ID)
	if err != nil {
		return rec, err
	}
	defer c.Close()
	if asAge {
		return rec, c.copyAge(ctx, dst, progress)
	}
	// The hash of the file is not computed again: description and content are both
	// under one commitment of the owner's own.
	return rec, c.decrypt(ctx, dst, rs.w.keys.RecordIdentity(), crypto.Hash{}, progress)
}

// Remove withdraws a record for good and has the store erase its content.
// Removing it again is not an error: false is returned.
func (rs Records) Remove(ctx context.Context, id string) (rec Record, removed bool, err error) {
	err = rs.w.with(ctx, func() error {
		t, err := rs.w.find(ctx, view.OwnRecord, id, "record")
		if err != nil {
			return err
		}
		if err := rs.describe(ctx, t); err != nil {
			return err
		}
		rec = rs.of(t)
		if t.Status == contract.StatusClosed {
			return nil
		}
		defer func() { rs.forgetParts() }()
		if rec.Pending == RemovingRecord {
			return ErrPending.Of(rs.w.Changes().Stuck())
		}
		e := contract.Entry{Kind: contract.KindRecord, Flags: contract.FlagWithdrawn, Subject: t.ID}
		e.NotBefore, e.NotAfter = contract.Acceptance(rs.w.view.Hour())
		c, err := rs.w.Changes().prepareEnd(RemovingRecord, e, t.Tag)
		if err != nil {
			return err
		}
		err = rs.w.Changes().enter(ctx, c)
		rec = rs.of(t)
		removed = c.Err == nil && (err == nil || errors.Is(err, ErrPending))
		if removed && rs.w.book.Facts.forgetRecord(t.ID, rs.w.opt.Now()) {
			rs.w.book.dirty = true
		}
		return err
	})
	return rec, removed, err
}

// own finds a record that was not removed.
func (rs Records) own(ctx context.Context, query string) (*view.Thread, error) {
	t, err := rs.w.find(ctx, view.OwnRecord, query, "record")
	if err != nil {
		return nil, err
	}
	if t.Status == contract.StatusClosed {
		return nil, ErrWithdrawn.With("record", t.ID)
	}
	return t, nil
}

// withContent finds the record whose newest version has these bytes.
func (rs Records) withContent(sum crypto.Hash) *view.Thread {
	return rs.like(func(m *payload.Metadata) bool { return m.SHA256 == sum && !sum.IsZero() })
}

// like finds a record that was not removed by its newest version.
func (rs Records) like(is func(*payload.Metadata) bool) *view.Thread {
	for t := range rs.threads() {
		if m := t.Versions[len(t.Versions)-1]; m != nil && is(m) {
			return t
		}
	}
	return nil
}

func titleOf(name string) string {
	b := baseName(name)
	stem, _ := splitExt(b)
	t := cmp.Or(stem, b)
	for t = strings.ToValidUTF8(t, "\uFFFD"); t != "" && !payload.TitleFits(t); {
		t = shorten(t)
	}
	if title, err := checkTitle(t); err == nil {
		return title
	}
	return "untitled"
}

// baseName is the last element of a path of any system, as valid UTF-8.
func baseName(name string) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.ToValidUTF8(name, "\uFFFD")
	if name == "" {
		return "record"
	}
	for len(name) > 255 {
		name = shorten(name)
	}
	return name
}

// shorten takes the last character off.
func shorten(s string) string {
	_, n := utf8.DecodeLastRuneInString(s)
	return s[:len(s)-n]
}

// knownBytes returns the hash of a file that can be read twice, when a record of its
// size is known; otherwise the zero hash.
func (rs Records) knownBytes(src *Source) (crypto.Hash, error) {
	s, ok := src.Reader.(io.Seeker)
	if !ok || rs.like(func(m *payload.Metadata) bool { return m.Size == src.Size }) == nil {
		return crypto.Hash{}, nil
	}
	at, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return crypto.Hash{}, nil // a pipe: Seek exists and does not work
	}
	h := sha256.New()
	if _, err := io.Copy(h, src.Reader); err != nil {
		return crypto.Hash{}, err
	}
	if _, err := s.Seek(at, io.SeekStart); err != nil {
		return crypto.Hash{}, err
	}
	return crypto.Hash(h.Sum(nil)), nil
}
