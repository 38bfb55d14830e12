package folder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// examination is one look at all files of the store and the keeper.
type examination struct {
	store
	f     *Folder
	known *Mark // what was found in order before; nil: nothing
	was   map[string]*markedFile
	due   map[string]bool
	held  map[recordDigest]bool
	now   time.Time

	mu       sync.Mutex
	inStore  findings
	inKeeper findings
	seen     map[uint64]*seenParts // entries of which a file holds some parts, by their positions
	kept     map[string]bool       // files that are as they were
	fresh    []markedFile          // files that were read
	next     *Mark
	found    Report
}

// examine looks at the files of the store and the keeper; what a mark says that fits the
// log is not done again. What is damaged is in the examination, and is no error.
func (f *Folder) examine(ctx context.Context, known *Mark) (*examination, error) {
	x := &examination{store: store{f.ground()}, f: f, known: known, now: f.clock(), seen: map[uint64]*seenParts{}, kept: map[string]bool{}}
	x.next = newMark(f.id, known, x.now)
	if known != nil {
		x.was, x.due, x.held = map[string]*markedFile{}, known.due(), make(map[recordDigest]bool, len(known.held))
		for i := range known.files {
			x.was[known.files[i].name] = &known.files[i]
		}
		for _, d := range known.held {
			x.held[d] = true
		}
	}
	if err := x.inStore.addError(x.regainNow(ctx)); err != nil {
		return nil, err
	}
	jobs, err := x.jobs()
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(jobs))
	ledgerclient.Parallel(len(jobs), func(i int) {
		if errs[i] = ctx.Err(); errs[i] == nil {
			errs[i] = jobs[i](ctx)
		}
	})
	if err = cmp.Or(errs...); err == nil {
		err = x.missing(ctx)
	}
	return x, err
}

// jobs are the files, each to be looked at by itself.
func (x *examination) jobs() (jobs []func(context.Context) error, err error) {
	v := vault{x.ground}
	hours, err := v.shares.hours()
	if err = x.inKeeper.addError(err); err != nil {
		return nil, err
	}
	for _, end := range hours {
		jobs = append(jobs, func(ctx context.Context) error { return x.sharesUntil(ctx, v, end) })
	}
	for _, of := range []struct {
		*segments
		damaged *findings
		look    func(ctx context.Context, n uint64) error
	}{{v.filings, &x.inKeeper, x.filingsIn}, {v.links, &x.inKeeper, x.linksIn}, {x.payloads, &x.inStore, x.payloadsIn}} {
		all, err := of.list()
		if err = of.damaged.addError(err); err != nil {
			return nil, err
		}
		for _, n := range all {
			jobs = append(jobs, func(ctx context.Context) error { return of.look(ctx, n) })
		}
	}
	return jobs, nil
}

// same reports whether a file of payloads need not be read.
func (x *examination) same(name string) bool {
	row := x.was[name]
	if row == nil || x.due[name] {
		return false
	}
	info, err := os.Lstat(x.path(filepath.FromSlash(name)))
	if err != nil {
		return false
	}
	is, ok := disk.StampOf(info)
	return ok && is == row.stamp
}

// takeFile takes a file from the mark, if it is as it was.
func (x *examination) takeFile(name string) bool {
	if !x.same(name) {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.take(name)
	return true
}

func (x *examination) take(name string) {
	if !x.kept[name] {
		x.kept[name] = true
		x.found.Bytes += int64(x.was[name].stamp.Size)
	}
}

// takeSegment is takeFile of a segment, with the files that its records speak of.
func (x *examination) takeSegment(name string) bool {
	if !x.same(name) {
		return false
	}
	row := x.was[name]
	for _, content := range row.contents {
		if !x.same(content) {
			return false
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, content := range row.contents {
		x.take(content)
	}
	for _, h := range row.alone {
		x.have(h.at, seenParts{parts: h.parts, file: name})
	}
	x.take(name)
	return true
}

// readFile notes a file that was read; row is nil if it is to be read again next time.
func (x *examination) readFile(row *markedFile, size int64) {
	if row != nil {
		x.fresh = append(x.fresh, *row)
	}
	x.found.Bytes += size
	x.found.Read += size
}

// have notes parts of an entry.
func (x *examination) have(at uint64, some seenParts) {
	if x.seen[at] == nil {
		x.seen[at] = &seenParts{file: some.file}
	}
	x.seen[at].parts |= some.parts
	x.seen[at].all |= some.all
}

// damaged is all that was found, that of the lowest entry first.
func (x *examination) damaged() []*DamagedError {
	return slices.Concat(x.inStore.sorted(), x.inKeeper.sorted())
}

// mark is what was found in order, with the log. The files that are as they were come
// before those that were read now, of which nobody knows which are read first next time.
func (x *examination) mark(log Verified) *Mark {
	m := x.next
	m.Verified = log
	if x.known != nil {
		for _, f := range x.known.files {
			if x.kept[f.name] {
				m.files = append(m.files, f)
			}
		}
	}
	rand.Shuffle(len(x.fresh), func(i, j int) { x.fresh[i], x.fresh[j] = x.fresh[j], x.fresh[i] })
	m.files = append(m.files, x.fresh...)
	slices.SortFunc(m.held, recordDigest.compare)
	return m
}

// findings is damage.
type findings struct {
	mu  sync.Mutex
	all []*DamagedError
}

func (d *findings) add(file string, entry int64, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, &DamagedError{File: file, Entry: entry, What: what})
}

// addError adds what is damage, and passes on any other error.
func (d *findings) addError(err error) error {
	if e := (*DamagedError)(nil); errors.As(err, &e) {
		d.add(e.File, e.Entry, e.What)
		return nil
	}
	return err
}

// sorted is all of it, that of the lowest entry first, that of none last.
func (d *findings) sorted() []*DamagedError {
	slices.SortFunc(d.all, func(a, b *DamagedError) int {
		return cmp.Or(cmp.Compare(uint64(a.Entry), uint64(b.Entry)), cmp.Compare(a.File, b.File), cmp.Compare(a.What, b.What))
	})
	return d.all
}

// segment reads a segment whole and calls held on all cores with each record that has not
// ended and of which known does not say that it was found in order, the entry in the log
// that its first key names, and its body: nil for one that is not what was written. What
// held says is wrong, and what is no record, is damage. info is of the file before it was
// read; nil if there is none, or it is damaged as a whole.
func (x *examination) segment(ctx context.Context, path string, known func(r *segRecord, body []byte) bool, held func(r *segRecord, e entryAt, body []byte) (what string, err error)) (info fs.FileInfo, err error) {
	d := &x.inStore
	if known != nil {
		d = &x.inKeeper
	}
	s, err := x.openSegment(path, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, d.addError(err)
	}
	defer s.Close()
	if info, err = s.Stat(); err != nil {
		return nil, err
	}
	bad := func(what string) { d.add(x.relative(path), NoEntry, what) }
	if s.bad {
		bad("header: " + notWritten)
	}
	if s.size > maxSegment {
		bad(fmt.Sprintf("it is %d bytes long", s.size))
	}
	var records []segRecord
	direct := s.file
	s.file = &readAhead{file: direct}
	for r, err := range s.records(0) {
		if err != nil {
			return nil, err
		}
		if r.isGap() {
			bad(fmt.Sprintf("%d bytes from %d on: %s", r.length, r.at, notWritten))
		} else if r.mark == markHeld {
			records = append(records, r)
		}
	}
	s.file = direct
	const most = 128 // so many are looked up in the log at once
	n := max(1, min(most, len(records)/(4*runtime.GOMAXPROCS(0))))
	some := slices.Collect(slices.Chunk(records, n))
	errs := make([]error, len(some))
	ledgerclient.Parallel(len(some), func(i int) {
		if errs[i] = ctx.Err(); errs[i] == nil {
			errs[i] = x.records(ctx, s, some[i], known, bad, held)
		}
	})
	return info, cmp.Or(errs...)
}

func (x *examination) records(ctx context.Context, s *segment, some []segRecord, known func(*segRecord, []byte) bool, bad func(string), held func(*segRecord, entryAt, []byte) (string, error)) error {
	body := func(r *segRecord) ([]byte, error) {
		b, ok, err := r.body(s)
		if !ok {
			clear(b)
			b = nil
		}
		return b, err
	}
	if known != nil && x.known != nil {
		var fresh []segRecord
		for _, r := range some {
			b, err := body(&r)
			if err != nil {
				return err
			}
			if b == nil || !known(&r, b) {
				fresh = append(fresh, r)
			}
			clear(b)
		}
		some = fresh
	}
	ids := make([]contract.ID, len(some))
	for i := range some {
		ids[i] = contract.ID(some[i].keys[0])
	}
	if len(ids) == 0 {
		return nil
	}
	entries, err := x.f.entries(ctx, ids...)
	if err != nil {
		return err
	}
	for i := range some {
		r := &some[i]
		b, err := body(r)
		if err == nil && b == nil {
			// It may have ended since.
			if again, there, err := readHead(s, r.at); err != nil || there && again.mark != markHeld {
				if err != nil {
					return err
				}
				continue
			}
		}
		what := ""
		if err == nil {
			what, err = held(r, entries[i], b)
		}
		clear(b)
		if err != nil {
			return err
		}
		if what != "" {
			bad(what)
		}
	}
	return nil
}

// entryAt is an entry in the log; nil if it is not there.
type entryAt struct {
	at uint64
	*contract.Entry
	gone bool // it belongs to a record that was withdrawn
}

// isGrant reports whether it is a grant.
func (e entryAt) isGrant() bool { return e.Entry != nil && e.Kind == contract.KindGrant }

// entries looks entries up in the log.
func (f *Folder) entries(ctx context.Context, ids ...contract.ID) (all []entryAt, err error) {
	all = make([]entryAt, len(ids))
	err = f.View(ctx, func(view keeper.View) error {
		for i, id := range ids {
			at, ok, err := view.Find(id)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			leaf, err := view.Leaf(at)
			if err != nil {
				return err
			}
			all[i] = entryAt{at: at, Entry: &leaf.Entry}
			if all[i].gone, err = isWithdrawn(view, &leaf.Entry, id); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}
