package wallet

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

// What the owner knows of the parts of a record's version follows from its file and her
// key: nothing of it is stored with the record, since what is stored twice can differ. To
// cut and label a file again takes a second for each 10,000 parts, so that the result is
// kept, sealed, in the wallet's home: under the root of the parts, which no other version
// has. It is derived anew when it is gone, does not open, or when it was made with other
// tables or corrections.

// recordParts are the parts of one version of an own record.
type recordParts struct {
	Metadata *payload.Metadata // with its Parts: root, and where the region is
	Parts    []recordPart      // in the order of the file
	Persons  []health.Person   // whom the file is about

	keys *crypto.Parts
}

// FrameKey returns the key of the frame.
func (p *recordParts) FrameKey() crypto.PartsFrameKey { return p.keys.FrameKey() }

// Key returns the key of a part.
func (p *recordParts) Key(i int) crypto.PartKey { return p.keys.Key(p.Parts[i].Leaf) }

// partsOf returns what is known of the parts of a record's version, counted from 1; nil if
// it was not split. The version's description must be known.
func (rs Records) partsOf(ctx context.Context, t *view.Thread, version int) (*recordParts, error) {
	m := t.Versions[version-1]
	if m == nil || m.Parts == nil {
		return nil, nil
	}
	seed, err := rs.versionSeed(t, version)
	if err != nil {
		return nil, err
	}
	tables, err := rs.w.Tables().All()
	if err != nil {
		return nil, err
	}
	if m.Parts.Split != health.SplitVersion {
		return nil, notRead("parts of record", t.ID, WrongVersion("", m.Parts.Split, health.SplitVersion))
	}
	keys := partsMaker(seed, m, m.Parts.Salts)
	if kept := rs.keptParts(m, tables); kept != nil {
		return &recordParts{Metadata: m, Parts: kept.Parts, Persons: kept.Persons, keys: keys}, nil
	}
	defer sparing(m.Size)()
	file, err := rs.file(ctx, t.ID, m)
	if err != nil {
		return nil, err
	}
	cut, err := health.Split(file)
	if err != nil {
		return nil, tampered("parts of record", t.ID, err) // they were cut from these bytes
	}
	plan := planParts(keys, cut)
	if plan.frame.Root != m.Parts.Root {
		return nil, tampered("parts of record", t.ID, errors.New("not those of its file"))
	}
	labels := tables.Label(cut, rs.w.book.Facts.corrections())
	p := &recordParts{Metadata: m, Parts: plan.parts, Persons: health.About(cut).Persons, keys: keys}
	p.setLabels(labels)
	rs.keepParts(p, tables, &rs.w.book.Facts)
	return p, nil
}

// versionSeed is the seed of a version's own entry.
func (rs Records) versionSeed(t *view.Thread, version int) (crypto.Seed, error) {
	e, err := rs.w.view.Version(t, version-1)
	if err != nil {
		return crypto.Seed{}, err
	}
	seed, err := rs.w.view.Seed(e.SelfTag)
	if errors.Is(err, view.ErrNotOwn) {
		err = tampered("record", t.ID, err)
	}
	return seed, err
}

// file reads a version's file into memory: it was small enough to be split.
func (rs Records) file(ctx context.Context, id contract.ID, m *payload.Metadata) ([]byte, error) {
	c, err := stored(rs).content(ctx, m, id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if m.Size > health.MaxSplit {
		return nil, c.tampered("too long for a file that was split")
	}
	out := bytes.NewBuffer(make([]byte, 0, m.Size))
	if err := c.decrypt(ctx, out, rs.w.keys.RecordIdentity(), crypto.Hash{}, nil); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// keepNew keeps what is known of a version that was just made, and says what is in it.
func (rs Records) keepNew(in *incoming, plan *partsPlan, m *payload.Metadata) *Holding {
	if in.cut == nil {
		return wholeFor(in.why)
	}
	labels := in.labels()
	h := holding(func(i int) (*health.Label, bool) { return &labels[i], in.cut.Parts[i].Text }, len(labels))
	h.Form, h.Lapsed = in.cut.Form, lapsed(in.before, plan.parts)
	p := &recordParts{Metadata: m, Parts: plan.parts, Persons: in.persons}
	p.setLabels(labels)
	in.Reader, in.cut, plan.cut = nil, nil, nil // the file: it is not needed any more
	rs.keepParts(p, in.tables, in.said)
	return h
}

// corrected returns the parts of a record's newest version of which the owner said
// something; none if nobody can say which these are.
func (rs Records) corrected(ctx context.Context, t *view.Thread) ([]recordPart, error) {
	if len(rs.w.book.Facts.Labels) == 0 {
		return nil, nil
	}
	p, err := rs.partsOf(ctx, t, len(t.Versions))
	if p == nil || isMissing(err) || isTampered(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return slices.Clone(slices.DeleteFunc(p.Parts, func(x recordPart) bool { _, said := rs.w.book.Facts.correction(x.Sum); return !said })), nil
}

// lapsed names the parts whose bytes are not among those that follow.
func lapsed(before, now []recordPart) (names []string) {
	for i := range before {
		x := &before[i]
		if !slices.ContainsFunc(now, func(y recordPart) bool { return y.Sum == x.Sum }) {
			names = append(names, cmp.Or(x.Label.Says, x.Label.Type))
		}
	}
	return names
}

func (p *recordParts) setLabels(labels []health.Label) {
	for i := range p.Parts {
		p.Parts[i].Label = labels[i]
	}
}

// corrections is correction; nil if there are none.
func (f *bookFacts) corrections() func(crypto.Hash) (health.Correction, bool) {
	if len(f.Labels) == 0 {
		return nil
	}
	return f.correction
}

// correction is what the owner says of the part with that sum.
func (f *bookFacts) correction(sum crypto.Hash) (health.Correction, bool) {
	i, ok := slices.BinarySearchFunc(f.Labels, labelFact{Part: sum}, compareLabels)
	if !ok || f.Labels[i].empty() {
		return health.Correction{}, false
	}
	l := &f.Labels[i]
	return health.Correction{Category: l.Category, Add: l.Add, Drop: l.Drop}, true
}

// empty reports whether the owner takes back what she said.
func (l *labelFact) empty() bool { return l.Category == "" && len(l.Add) == 0 && len(l.Drop) == 0 }

// keptParts is the file of what is known of one version.
type keptParts struct {
	V       int             `json:"v"`
	Tables  string          `json:"tables"` // their version
	Fixes   crypto.Hash     `json:"fixes"`  // of the corrections that the labels heed
	Persons []health.Person `json:"persons"`
	Parts   []recordPart    `json:"parts"`
}

const keptPartsVersion = 1

// partsFile is the name of that file in the profile's folder.
func (rs Records) partsFile(root crypto.Hash) string {
	return rs.w.home.In(filepath.Join(home.PartsDir, root.String()))
}

// fixes identifies the corrections of some parts.
func (f *bookFacts) fixes(parts []recordPart) crypto.Hash {
	var all []labelFact
	for i := range parts {
		if at, ok := slices.BinarySearchFunc(f.Labels, labelFact{Part: parts[i].Sum}, compareLabels); ok {
			all = append(all, f.Labels[at])
		}
	}
	return crypto.TaggedHash(crypto.TagBook, payload.Marshal(all))
}

// keptParts reads what is kept of a version's parts; nil if it cannot be used.
func (rs Records) keptParts(m *payload.Metadata, tables *health.Tables) *keptParts {
	var k keptParts
	err := rs.w.home.ReadSealed(rs.partsFile(m.Parts.Root), &k)
	if err != nil || k.V != keptPartsVersion || k.Tables != tables.Version() || len(k.Parts) != m.Parts.Count || k.Fixes != rs.w.book.Facts.fixes(k.Parts) {
		return nil
	}
	return &k
}

// personsFile is the name of the file of whom a version is about, which is small and
// depends on nothing but its bytes.
func (rs Records) personsFile(root crypto.Hash) string { return rs.partsFile(root) + personsEnd }

const personsEnd = "-persons"

// personsOf returns whom the newest version of a record is about, so far as it was split.
func (rs Records) personsOf(ctx context.Context, t *view.Thread) (persons []health.Person, err error) {
	m := t.Versions[len(t.Versions)-1]
	if m == nil || m.Parts == nil {
		return nil, nil
	}
	if rs.w.home.ReadSealed(rs.personsFile(m.Parts.Root), &persons) == nil {
		return persons, nil
	}
	p, err := rs.partsOf(ctx, t, len(t.Versions))
	if err != nil {
		return nil, err
	}
	rs.w.home.WriteDerived(rs.personsFile(m.Parts.Root), p.Persons)
	return p.Persons, nil
}

// keepParts keeps what is known of a version's parts. It is not synced, since a file that
// was written in part does not open; and where it cannot be written it is derived again. The
// labels are by these tables and by what said says.
func (rs Records) keepParts(p *recordParts, tables *health.Tables, said *bookFacts) {
	k := keptParts{V: keptPartsVersion, Tables: tables.Version(), Fixes: said.fixes(p.Parts), Persons: p.Persons, Parts: p.Parts}
	rs.w.home.WriteDerived(rs.partsFile(p.Metadata.Parts.Root), &k)
	rs.w.home.WriteDerived(rs.personsFile(p.Metadata.Parts.Root), p.Persons)
}

// dropParts removes what is kept of the parts of a version that does not come onto the ledger.
func (rs Records) dropParts(m *payload.Metadata) {
	if m.Parts != nil {
		os.Remove(rs.w.home.Path(rs.partsFile(m.Parts.Root)))
		os.Remove(rs.w.home.Path(rs.personsFile(m.Parts.Root)))
	}
}

// forgetParts removes what is kept of the parts of versions that are no record's of now.
func (rs Records) forgetParts() {
	known := map[string]bool{}
	for t := range rs.threads() {
		for _, m := range t.Versions {
			if m != nil && m.Parts != nil {
				known[m.Parts.Root.String()] = true
			}
		}
	}
	dir := rs.w.home.In(home.PartsDir)
	entries, _ := disk.ReadDir(rs.w.home.Path(dir))
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if layoutFiles().MatchString(filepath.ToSlash(name)) && !known[strings.TrimSuffix(e.Name(), personsEnd)] { // no stranger's
			os.Remove(rs.w.home.Path(name))
		}
	}
}

// receive looks at a file that the owner adds, as the next version of t or, if that is nil,
// as a new record: what is in it, and whether it is about whom the others are, those that
// are added with it among them; nil if there are none.
func (rs Records) receive(ctx context.Context, src Source, t *view.Thread, d Describe, with *adding) (*incoming, error) {
	tables, err := rs.w.Tables().All()
	if err != nil {
		return nil, err
	}
	if src.Vouched != nil {
		if err := rs.vouchedFor(src.Vouched); err != nil {
			return nil, err
		}
	}
	at := int64(-1)
	s, ok := src.Reader.(io.Seeker)
	if ok {
		if at, err = s.Seek(0, io.SeekCurrent); err != nil {
			at = -1 // a pipe
		}
	}
	in, err := receive(src)
	if err != nil {
		return nil, err
	}
	in.tables = tables
	in.vouchFor(src.Vouched)
	if in.cut == nil {
		return in, nil
	}
	about := health.About(in.cut)
	in.persons, in.date = about.Persons, about.Date
	if title, err := checkTitle(about.Title); err == nil {
		in.title = title
	}
	if !d.OtherPerson {
		if err := rs.samePerson(ctx, in.persons, t, with); err != nil {
			if at >= 0 {
				_, serr := s.Seek(at, io.SeekStart)
				err = errors.Join(err, serr)
			}
			return nil, err
		}
	}
	// What they are is said when the version is on the ledger. Of a large file that takes
	// longer than all that is done until then, so it is begun at once; of another one while
	// the disk is waited for, when what is sealed is out of the way.
	cut, end := in.cut, sparing(in.size)
	in.said = &bookFacts{Labels: slices.Clone(rs.w.book.Facts.Labels)}
	in.labels = func() []health.Label {
		defer end()
		return tables.Label(cut, in.said.corrections())
	}
	if in.large() {
		in.labels = beside(in.labels)
	}
	return in, nil
}

// samePerson is an [ErrOtherPerson] if a file about some persons is about another one than
// the record that it is to update, t, or else than the wallet's records. It looks at the
// newest ones first, until one is known to be about the same: of a Patient without a name
// nobody knows whose she is.
func (rs Records) samePerson(ctx context.Context, persons []health.Person, t *view.Thread, with *adding) error {
	if len(persons) == 0 {
		return nil
	}
	for i := range persons {
		if others(persons[:1], persons[i:i+1]) {
			return otherPerson(ErrPersons, persons[i], persons[0])
		}
	}
	var known []health.Person
	if with != nil {
		for _, of := range slices.Backward(with.persons) {
			if knows(of, persons) {
				return nil
			}
			if others(of, persons) {
				known = of
			}
		}
	}
	own := slices.Collect(rs.threads())
	if t != nil {
		own = append(own, t)
	}
	for _, other := range slices.Backward(own) {
		of, err := with.personsOf(rs, ctx, other)
		if isMissing(err) || isTampered(err) {
			continue // nobody can say whom it is about
		}
		if err != nil {
			return err
		}
		if len(of) == 0 {
			continue
		}
		switch {
		case others(of, persons):
			if known == nil {
				known = of
			}
			if other == t {
				return otherPerson(ErrOtherPerson, persons[0], known[0])
			}
		case knows(of, persons):
			return nil
		}
	}
	if known == nil {
		return nil
	}
	return otherPerson(ErrOtherPerson, persons[0], known[0])
}

func otherPerson(code fault.Code, p, known health.Person) error {
	return code.With("person", p.Name, "born", p.Born, "known", known.Name, "theirs", known.Born)
}

// others reports whether it is known of one of b that it is none of a.
func others(a, b []health.Person) bool {
	return slices.ContainsFunc(b, func(x health.Person) bool {
		return !slices.ContainsFunc(a, func(y health.Person) bool { same, known := x.Is(&y); return same || !known })
	})
}

// knows reports whether it is known of one of b that it is one of a.
func knows(a, b []health.Person) bool {
	return slices.ContainsFunc(b, func(x health.Person) bool {
		return slices.ContainsFunc(a, func(y health.Person) bool { same, _ := x.Is(&y); return same })
	})
}

// PartInfo is a part of a record's newest version.
type PartInfo struct {
	Number int `json:"part"`         // from 1; of this version only
	Entry  int `json:"entry"`        // of the file, from 1
	Of     int `json:"of,omitempty"` // of a narrative: the number of its resource's part
	Size   int `json:"size"`         // bytes
	health.Label
	Corrected bool `json:"corrected"` // the owner said something of it
}

// Parts lists the parts of a record's newest version, in the order of its file; none if it
// was not split.
func (rs Records) Parts(ctx context.Context, id string) (rec Record, parts []PartInfo, err error) {
	err = rs.w.Look(ctx, func() error {
		t, p, err := rs.ownParts(ctx, id)
		if err != nil {
			return err
		}
		rec, parts = rs.of(t), rs.infos(p)
		rec.Holds, err = rs.holds(ctx, t, parts)
		return err
	})
	return rec, parts, err
}

// holds says what is in the newest version of a record that has these parts.
func (rs Records) holds(ctx context.Context, t *view.Thread, parts []PartInfo) (*Holding, error) {
	m, err := rs.newest(t)
	switch {
	case err != nil:
		return nil, err
	case m.Whole != payload.WholeFHIR:
		return holding(func(i int) (*health.Label, bool) { return &parts[i].Label, parts[i].Of != 0 }, len(parts)), nil
	case m.Size > health.MaxSplit:
		return wholeFor(tooLarge), nil
	}
	file, err := rs.file(ctx, t.ID, m)
	if err != nil {
		return nil, err
	}
	var in incoming
	in.split(file)
	return wholeFor(in.why), nil
}

// ownParts returns a record that was not removed with its parts.
func (rs Records) ownParts(ctx context.Context, id string) (*view.Thread, *recordParts, error) {
	t, err := rs.own(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if err := rs.describe(ctx, t); err != nil {
		return nil, nil, err
	}
	if _, err := rs.newest(t); err != nil {
		return nil, nil, err
	}
	p, err := rs.partsOf(ctx, t, len(t.Versions))
	return t, p, err
}

func (rs Records) infos(p *recordParts) []PartInfo {
	if p == nil {
		return nil
	}
	out := make([]PartInfo, len(p.Parts))
	for i := range p.Parts {
		x := &p.Parts[i]
		out[i] = PartInfo{Number: i + 1, Entry: x.Entry + 1, Size: x.Size, Label: x.Label}
		if x.Text {
			out[i].Of = i // of the part before it, counted from 1
		}
		_, out[i].Corrected = rs.w.book.Facts.correction(x.Sum)
	}
	return out
}

// Correct says of parts of a record's newest version, by their numbers, what the tables do
// not know or have wrong, and returns them. A category stands instead of an earlier one; a
// word that is added is not dropped any more, and the other way round. What is said holds
// for the same bytes in every version, is in the book, and survives a restore.
func (rs Records) Correct(ctx context.Context, id string, numbers []int, c health.Correction) (corrected []PartInfo, err error) {
	if c.Category != "" {
		if c.Category, err = ParseCategory(string(c.Category)); err != nil {
			return nil, err
		}
	}
	for _, s := range slices.Concat(c.Add, c.Drop) {
		if !s.Valid() && s != health.Unclassified {
			return nil, badInput("sensitivity", string(s), fmt.Sprintf("not one of %s, %s", payload.Listed(health.Sensitivities()), health.Unclassified))
		}
	}
	err = rs.w.with(ctx, func() error {
		_, p, err := rs.ownParts(ctx, id)
		if err != nil {
			return err
		}
		if p == nil {
			return badInput("record", id, "it has no parts, and is given as it is: its category changes with carekey record edit")
		}
		for _, n := range numbers {
			if n < 1 || n > len(p.Parts) {
				return badInput("part", strconv.Itoa(n), fmt.Sprintf("the parts are 1 to %d", len(p.Parts)))
			}
		}
		for _, n := range numbers {
			rs.w.book.Facts.correct(p.Parts[n-1].Sum, c, rs.w.opt.Now())
		}
		rs.w.book.dirty = true
		if _, p, err = rs.ownParts(ctx, id); err != nil {
			return err
		}
		all := rs.infos(p)
		for _, n := range numbers {
			corrected = append(corrected, all[n-1])
		}
		return nil
	})
	return corrected, err
}

// correct adds to what the owner says of a part.
func (f *bookFacts) correct(part crypto.Hash, c health.Correction, now time.Time) {
	l := labelFact{Part: part, Add: []health.Sensitivity{}, Drop: []health.Sensitivity{}}
	if c.Category == "" && len(c.Add) == 0 && len(c.Drop) == 0 {
		f.setLabel(l, now)
		return
	}
	if i, ok := slices.BinarySearchFunc(f.Labels, l, compareLabels); ok {
		l = f.Labels[i]
	}
	l.Category = cmp.Or(c.Category, l.Category)
	l.Add, l.Drop = union(l.Add, c.Add, c.Drop), union(l.Drop, c.Drop, c.Add)
	f.setLabel(l, now)
}

// union is sorted, and of both but without some.
func union[T cmp.Ordered](a, b, without []T) []T {
	out := []T{}
	for _, x := range slices.Concat(a, b) {
		if !slices.Contains(without, x) {
			out = append(out, x)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// vouchedFor checks an attestation before the file that it came with becomes a version: what
// is left is that its bytes and parts are those that were signed.
func (rs Records) vouchedFor(v *payload.Vouched) error {
	st, d, err := v.Read()
	if err != nil {
		return err
	}
	if d == nil || (v.Salts == nil) != st.Root.IsZero() {
		return otherFile("it is not the one that its issuer made for the owner")
	}
	if err := splitsAlike(st); err != nil {
		return err
	}
	if v.Salts == nil {
		return nil
	}
	for t := range rs.threads() {
		for _, m := range t.Versions {
			if m != nil && m.Parts != nil && m.Parts.Salts != nil && *m.Parts.Salts == *v.Salts && m.Parts.Root != st.Root {
				return ErrSaltsUsed.With("record", t.ID)
			}
		}
	}
	return nil
}
