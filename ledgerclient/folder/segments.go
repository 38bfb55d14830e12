package folder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"sync"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
)

// segments are a folder of segments, named by their numbers with ten digits, of which
// only the last grows. One that is full is followed by the next; one of which most has
// ended is emptied.
//
// Where a record lies follows from them, and is written nowhere: a process reads the heads
// of all records when it first needs one, in some 2 µs each, and keeps 8 bytes for each and
// some 16 for each of its keys. A record says itself by which keys it is found.
type segments struct {
	g    *ground
	elem []string // the folder inside the ledger's
	full int64    // a segment of that size is followed by the next
	room int64    // of the last one, for what is urgent
	// least is how many bytes have ended before a segment is emptied.
	least int64

	mu sync.Mutex
	segmentsSeen
}

// segmentsSeen is what a process has seen of the segments.
type segmentsSeen struct {
	first   uint64 // lowest number; 0: there is none
	last    uint64 // highest number
	end     int64  // what is before it in the last one was seen
	sure    int64  // and what is before it is on the disk for certain; 0: not even its name
	need    int64  // and what is before it must be; behind it are records of files alone
	records []place
	keys    index // of numbers in records
	gaps    []place
	files   map[partName]struct{} // of which there are records, as long as somebody asks
}

// segmentSize is after how many bytes a new segment of payloads is begun.
const segmentSize = 16 << 20

// place is where a record begins: the number of its segment, and its offset.
type place uint64

func placeOf(n uint64, at int64) place { return place(n<<32 | uint64(at)) }
func (p place) segment() uint64        { return uint64(p >> 32) }
func (p place) at() int64              { return int64(p & (1<<32 - 1)) }

func (s *segments) path(n uint64) string {
	return s.g.path(append(s.elem[:len(s.elem):len(s.elem)], fmt.Sprintf("%010d", n))...)
}

// list returns the numbers of all segments.
func (s *segments) list() (all []uint64, err error) {
	files, err := s.g.readDir(s.g.path(s.elem...))
	for _, f := range files {
		if n, err := strconv.ParseUint(f.Name(), 10, 32); err == nil {
			all = append(all, n)
		}
	}
	return all, err
}

// look takes in what was added since the last look.
func (s *segments) look() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.last
	if s.last != 0 {
		info, err := os.Lstat(s.path(s.last))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err != nil || info.Size() < s.end { // somebody removed it, or cut off what could not be made durable
			s.segmentsSeen = segmentsSeen{}
		}
	}
	if s.last == 0 {
		all, err := s.list()
		if err != nil || len(all) == 0 {
			return err
		}
		s.segmentsSeen = segmentsSeen{first: all[0], last: all[0], end: segmentHeader, keys: newIndex(0)}
		known = 0
	}
	for n := s.last; ; {
		path := s.path(n)
		info, err := os.Lstat(path)
		if err == nil && (n != known || info.Size() != s.end) { // what is new to this process may be cut off
			err = s.scan(n, known == 0)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		n++
		if there, err := exists(s.path(n)); err != nil {
			return err
		} else if !there {
			break
		}
		s.last, s.end, s.need = n, segmentHeader, segmentHeader
	}
	return nil
}

// hasFile reports whether there is a record of a file.
func (s *segments) hasFile(of partName) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.files[of]
	return ok
}

// forgetFiles is for when nobody asks any more.
func (s *segments) forgetFiles() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = nil
}

// scan reads what is new in a segment; ahead, if that is much that others wrote.
func (s *segments) scan(n uint64, ahead bool) error {
	return s.on(n, false, func(f *segment) error {
		if s.sure = f.durable; f.checked == 0 {
			s.sure = 0
		}
		gap := func(at int64) {
			if p := placeOf(n, at); !slices.Contains(s.gaps, p) { // one that is damaged is read again
				s.gaps = append(s.gaps, p)
			}
		}
		if f.bad {
			gap(0)
		}
		if ahead {
			f.file = &readAhead{file: f.file}
		}
		for r, err := range f.records(s.end) {
			if err != nil {
				return err
			}
			if r.isGap() {
				gap(r.at)
			} else if r.mark != markGone {
				for _, k := range r.keys {
					s.keys.add(contract.ID(k), uint64(len(s.records)))
				}
				s.records = append(s.records, placeOf(n, r.at))
			}
			if s.end = r.next(); r.kind&ofItsOwn == 0 { // what follows may not be readable
				s.need = s.end
			} else if r.mark != markGone && !s.g.regained.Load() {
				if s.files == nil {
					s.files = map[partName]struct{}{}
				}
				s.files[(&found{segRecord: r}).partName()] = struct{}{}
			}
		}
		s.end = f.scanned
		return nil
	})
}

// places are where records with a key may be.
func (s *segments) places(key crypto.Hash) (at []place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != 0 {
		for i := range s.keys.find(contract.ID(key)) {
			at = append(at, s.records[i])
		}
	}
	return at
}

// found is a record that a key leads to.
type found struct {
	segRecord
	n uint64
}

// find returns the records with a key that have not ended, as of the last look. damaged
// is the segment in which there may be one that cannot be read; 0 if there is none.
func (s *segments) find(key crypto.Hash) (all []found, damaged uint64, err error) {
	return s.findAt(key, s.places(key))
}

// findAt is find among some places.
func (s *segments) findAt(key crypto.Hash, at []place) (all []found, damaged uint64, err error) {
	s.mu.Lock()
	if len(s.gaps) > 0 {
		damaged = s.gaps[0].segment()
	}
	s.mu.Unlock()
	for _, p := range at {
		err := s.on(p.segment(), false, func(f *segment) error {
			r, ok, err := readHead(f, p.at())
			if err == nil && !ok && p.at() < f.durable {
				damaged = p.segment()
			}
			if ok && r.mark != markGone && slices.Contains(r.keys, key) {
				all = append(all, found{r, p.segment()})
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, 0, err
		}
	}
	return all, damaged, nil
}

// read calls fn with the records that find returns and their bodies, in the order in which
// they came; without a body if that is not what was written, or has ended meanwhile. fn
// returns false for what is damage.
func (s *segments) read(key crypto.Hash, fn func(r *found, body []byte) bool) (damaged uint64, err error) {
	s.mu.Lock()
	if len(s.gaps) > 0 {
		damaged = s.gaps[0].segment()
	}
	s.mu.Unlock()
	for at := s.places(key); len(at) > 0; { // a segment is opened once for what lies together in it
		n := at[0].segment()
		together := slices.IndexFunc(at, func(p place) bool { return p.segment() != n })
		if together < 0 {
			together = len(at)
		}
		err := s.on(n, false, func(f *segment) error {
			for _, p := range at[:together] {
				r, ok, err := readHead(f, p.at())
				if err != nil {
					return err
				}
				if !ok && p.at() < f.durable {
					damaged = n
				}
				if !ok || r.mark == markGone || !slices.Contains(r.keys, key) {
					continue
				}
				body, ok, err := r.body(f)
				if err != nil {
					return err
				}
				if !ok {
					body = nil
				}
				if !fn(&found{r, n}, body) {
					damaged = n
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		at = at[together:]
	}
	return damaged, nil
}

// missing is an error if a record with a key was, at the last look, in a segment that is no
// more: carekey removes none. Of one that was removed before the first look nothing is known.
func (s *segments) missing(key crypto.Hash) error {
	for _, p := range s.places(key) {
		if there, err := exists(s.path(p.segment())); err != nil {
			return err
		} else if !there {
			return s.g.damaged(s.path(p.segment()), "gone")
		}
	}
	return nil
}

// on calls fn with a segment, open to be read, or to be written too.
func (s *segments) on(n uint64, write bool, fn func(f *segment) error) error {
	return s.g.onSegment(s.path(n), write, fn)
}

// openOf opens the segment that a record is in.
func (s *segments) openOf(r *found) (*segment, error) { return s.g.openSegment(s.path(r.n), false) }

// body reads the body of a record; ok is false if it is not what was written, or has
// ended meanwhile.
func (s *segments) body(r *found) (body []byte, ok bool, err error) {
	err = s.on(r.n, false, func(f *segment) error {
		body, ok, err = r.segRecord.body(f)
		return err
	})
	return body, ok, err
}

// settle makes sure of what a killed process added: it may not be on the disk. Records of
// files can wait, see addSoon. The lock is held exclusively.
func (s *segments) settle() error {
	if err := s.look(); err != nil || s.last == 0 || s.sure >= s.need {
		return err
	}
	return s.settleAll()
}

// settleOld makes sure of records of files too, if the first of them came in an hour of which
// old says so.
func (s *segments) settleOld(old func(contract.Hour) bool) error {
	if s.last == 0 || s.sure >= s.end {
		return nil
	}
	behind := false
	err := s.on(s.last, false, func(f *segment) error {
		r, ok, err := readHead(f, max(s.sure, segmentHeader))
		behind = ok && old(r.hour)
		return err
	})
	if err != nil || !behind {
		return err
	}
	return s.settleAll()
}

func (s *segments) settleAll() error {
	return s.on(s.last, true, func(f *segment) error {
		if f.checked == 0 {
			if err := s.g.nameSegment(f.path); err != nil {
				return err
			}
			f.checked = segmentHeader
		}
		err := f.settle(s.g, s.end, s.room)
		if err == nil {
			s.sure = s.end
		}
		return err
	})
}

// onLast calls fn with the last segment, or begins one with records if there is none. One
// that is damaged stays as it is, for verify to tell.
func (s *segments) onLast(records []byte, fn func(f *segment) error) error {
	if s.last == 0 {
		return s.next(records)
	}
	return s.on(s.last, true, func(f *segment) error {
		if f.bad {
			return s.next(records)
		}
		return fn(f)
	})
}

// add writes records, durably; what is urgent may use the room that is set aside. The
// lock is held exclusively and settle was called.
func (s *segments) add(records []byte, urgent bool) (err error) {
	if len(records) == 0 {
		return nil
	}
	full := s.end >= s.full
	if s.last != 0 && (s.sure == 0 || full && s.sure < s.end) { // later nobody looks at this one
		if err := s.settleAll(); err != nil {
			return err
		}
	}
	if full {
		err = s.next(records)
	}
	if !full || urgent && noRoom(err) {
		err = s.onLast(records, func(f *segment) error { return f.add(s.g, s.end, records, s.room, urgent) })
	}
	if err != nil {
		return err
	}
	if err := s.look(); err != nil {
		return err
	}
	s.sure = s.end
	return nil
}

// addSoon is add of records of files, which end with them: they are there at once, and on
// the disk with what is added next.
func (s *segments) addSoon(records []byte) error {
	if s.last == 0 || s.end >= s.full || len(records) == 0 {
		return s.add(records, false)
	}
	err := s.onLast(records, func(f *segment) error { return f.write(s.g, s.end, records) })
	if err != nil {
		return err
	}
	return s.look()
}

// ready makes sure that so many bytes that are urgent could be added now. The lock is held
// exclusively and settle was called.
func (s *segments) ready(most int64) error {
	return s.onLast(nil, func(f *segment) error {
		if err := f.setAside(s.end, s.end+most, s.room, true); err != nil {
			return err
		}
		if _, err := f.WriteAt(make([]byte, most), s.end); err != nil {
			return err
		}
		return f.Sync()
	})
}

// change writes over the body of a record that changes, durably. It is short enough that a
// disk writes it as a whole.
func (s *segments) change(r *found, body []byte) error {
	return s.on(r.n, true, func(f *segment) error {
		check := sumOf(body)
		if _, err := f.WriteAt(slices.Concat(body, check[:]), r.start()); err != nil {
			return err
		}
		return f.Sync()
	})
}

// next begins a new segment.
func (s *segments) next(records []byte) error {
	if err := s.g.mkdirs(s.elem...); err != nil {
		return err
	}
	return s.g.makeSegment(s.path(s.last+1), records, s.room)
}

// end overwrites records, segment by segment.
func (s *segments) endAll(ends []found) error {
	if len(ends) == 0 {
		return nil
	}
	by := map[uint64][]segRecord{s.last + 1: nil}
	for i := range ends {
		by[ends[i].n] = append(by[ends[i].n], ends[i].segRecord)
	}
	for n := range by { // they may also be in a segment that a killed process was making, or copying
		if tmp := s.path(n) + ".new"; disk.IsDir(tmp) != nil { // a folder is a stranger's
			if err := s.g.removeOne(tmp); err != nil {
				return err
			}
		}
	}
	delete(by, s.last+1)
	for n, records := range by {
		err := s.on(n, true, func(f *segment) error { return f.end(s.g, records) })
		if err == nil {
			err = s.empty(n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mend makes what is no record, or not the one that was written, one that has ended, but
// for those of which keep says so. No other process has the segments.
func (s *segments) mend(keep func(r *segRecord) bool) error {
	all, err := s.list()
	for _, n := range all {
		if err == nil {
			err = s.on(n, true, func(f *segment) error { return f.mend(s.g, keep) })
		}
	}
	return err
}

func (s *segment) mend(g *ground, keep func(r *segRecord) bool) error {
	var ends, gaps []segRecord
	for r, err := range s.records(0) {
		if err != nil {
			return err
		}
		if r.isGap() {
			gaps = append(gaps, r)
		} else if _, ok, err := r.body(s); err != nil {
			return err
		} else if !ok && r.mark != markGone && !keep(&r) {
			ends = append(ends, r)
		}
	}
	if err := s.bury(gaps); err != nil {
		return err
	}
	if s.bad {
		s.name = int64(binary.BigEndian.Uint64(noise(8)))
	}
	if err := s.end(g, ends); err != nil {
		return err
	}
	return s.Sync() // also the header: that on the disk can be the damaged one
}

// empty moves what is left in a segment of which most has ended, and cuts it off.
func (s *segments) empty(n uint64) error {
	return s.on(n, true, func(f *segment) error {
		if f.bad || f.gone < s.least || 2*f.gone < f.durable || f.checked < f.durable {
			return nil
		}
		var left []byte
		for r, err := range f.records(0) {
			if err != nil || r.isGap() { // what is damaged stays for verify to tell
				return err
			}
			if r.mark == markGone {
				continue
			}
			b := make([]byte, roundUp(r.length))
			if _, err := f.ReadAt(b, r.at); err != nil {
				return err
			}
			left = append(left, b...)
		}
		var err error
		if n == s.last {
			err = s.next(left)
		} else {
			err = s.add(left, false)
		}
		if err != nil {
			return err
		}
		f.mark(s.g, segmentHead{name: f.name, durable: segmentHeader, checked: segmentHeader})
		if err := f.Sync(); err != nil {
			return err
		}
		if err := f.Truncate(segmentHeader); err != nil {
			return err
		}
		disk.Chtimes(f.path, s.g.fullHour())
		return s.look()
	})
}

// unchecked calls drop with the records that were not looked at yet and came in an hour of
// which old says so, at most that many, and ends those for which it returns true. more
// says that some are left. The lock is held exclusively and settle was called.
func (s *segments) unchecked(old func(contract.Hour) bool, most int, drop func(r *segRecord) (bool, error)) (more bool, err error) {
	// Only what is on the disk for certain is looked at for good.
	if err := s.settleOld(old); err != nil {
		return false, err
	}
	n, err := s.firstUnchecked()
	for stopped := false; err == nil && n != 0 && n <= s.last && !stopped; n++ {
		err = s.on(n, true, func(f *segment) error {
			var ends []segRecord
			for r, err := range f.records(f.checked) {
				if err != nil {
					return err
				}
				if r.isGap() {
					continue
				}
				if !old(r.hour) || most == 0 {
					stopped, more = true, old(r.hour)
					break
				}
				most--
				if r.mark == markGone {
					continue
				}
				if gone, err := drop(&r); err != nil {
					return err
				} else if gone {
					ends = append(ends, r)
				}
			}
			if len(ends) > 0 {
				if err := f.end(s.g, ends); err != nil {
					return err
				}
			}
			if upTo := min(f.scanned, f.durable); upTo > f.checked {
				f.mark(s.g, segmentHead{f.name, f.durable, upTo, f.gone})
			}
			return nil
		})
		if err == nil {
			err = s.empty(n)
		}
	}
	return more, err
}

// firstUnchecked is the first segment with records that were not looked at, or the last
// one: they are looked at in the order of their numbers.
func (s *segments) firstUnchecked() (n uint64, err error) {
	for n = s.last; n > s.first; n-- {
		done := false
		err := s.on(n-1, false, func(f *segment) error {
			done = f.bad || f.checked >= f.durable
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		if done {
			break
		}
	}
	return n, nil
}
