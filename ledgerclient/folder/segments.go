package folder

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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
// Beside them lies `index`, which says where what is in the older ones lies:
//
//	magic     8   "ckidx/1\n"
//	rows      8   how many
//	segment   8   ┐ up to where what is there is in the index
//	offset    8   ┘
//	check     8   of these
//	zeros    24
//	rows     16   each: the first 8 bytes of a key, number of a segment 4, offset in it 4; sorted
//
// It follows from the segments and is believed in nothing: a record that it leads to says
// itself by which keys it is found. What came after it a process keeps in memory.
type segments struct {
	g    *ground
	elem []string // the folder inside the ledger's
	full int64    // a segment of that size is followed by the next
	room int64    // of the last one, for what is urgent
	// least is how many bytes have ended before a segment is emptied, indexFrom how many
	// rows there are before there is an index.
	least     int64
	indexFrom int

	mu     sync.Mutex
	began  bool
	first  uint64 // lowest number; 0: there is none
	last   uint64 // highest number
	end    int64  // what is before it in the last one is in index or recent
	sure   int64  // and what is before it is on the disk for certain
	recent []row
	index  *placeIndex // nil: there is none
	gaps   []place
	left   uint64 // a segment that may have records to drop; those before it have none
}

// segmentSize is after how many bytes a new segment of payloads is begun.
const segmentSize = 16 << 20

// place is where a record begins: the number of its segment, and its offset.
type place uint64

func placeOf(n uint64, at int64) place { return place(n<<32 | uint64(at)) }
func (p place) segment() uint64        { return uint64(p >> 32) }
func (p place) at() int64              { return int64(p & (1<<32 - 1)) }

// row is a key's first bytes with a place.
type row struct {
	key uint64
	place
}

func prefixOf(k crypto.Hash) uint64 { return binary.BigEndian.Uint64(k[:]) }
func (a row) compare(b row) int {
	return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.place, b.place))
}

func (s *segments) path(n uint64) string {
	return s.g.path(append(s.elem[:len(s.elem):len(s.elem)], fmt.Sprintf("%010d", n))...)
}
func (s *segments) indexPath() string {
	return s.g.path(append(s.elem[:len(s.elem):len(s.elem)], "index")...)
}

// forget drops what was seen before.
func (s *segments) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reset()
}

func (s *segments) reset() {
	if s.index != nil {
		s.index.f.Close()
	}
	s.began, s.first, s.last, s.end, s.sure, s.recent, s.index, s.gaps, s.left = false, 0, 0, 0, 0, nil, nil, nil, 0
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

// begin finds out what there is.
func (s *segments) begin() error {
	all, err := s.list()
	if err != nil || len(all) == 0 {
		return err
	}
	s.first, s.last, s.end = all[0], all[0], segmentHeader
	if s.index = s.openIndex(); s.index != nil && slices.Contains(all, s.index.upTo.segment()) {
		s.last, s.end = s.index.upTo.segment(), s.index.upTo.at()
		if info, err := os.Lstat(s.path(s.last)); err != nil || info.Size() < s.end { // the index is of another
			s.index.f.Close()
			s.index, s.last, s.end = nil, all[0], segmentHeader
		}
	} else {
		s.index = nil
	}
	s.began = true
	return nil
}

// look takes in what was added since the last look.
func (s *segments) look() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.began {
		if err := s.begin(); err != nil || !s.began {
			return err
		}
	}
	info, err := os.Lstat(s.path(s.last))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	} else if err != nil || info.Size() < s.end { // somebody removed it, or cut off what could not be made durable
		s.reset()
		if err := s.begin(); err != nil || !s.began {
			return err
		}
	}
	var rows []row
	for n := s.last; ; {
		path := s.path(n)
		info, err := os.Lstat(path)
		if err == nil && info.Size() != s.end {
			err = s.scan(n, &rows)
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
		s.last, s.end = n, segmentHeader
	}
	if len(rows) > 0 {
		slices.SortFunc(rows, row.compare)
		s.recent = merge(s.recent, rows)
	}
	return nil
}

// scan reads what is new in a segment.
func (s *segments) scan(n uint64, rows *[]row) error {
	f, err := s.g.openSegment(s.path(n), false)
	if err != nil {
		return err
	}
	defer f.Close()
	if s.sure = f.durable; f.checked == 0 {
		s.sure = 0
	}
	s.end, err = f.scan(s.end, func(r *segRecord) error {
		if r.mark != markGone {
			for _, k := range r.keys {
				*rows = append(*rows, row{prefixOf(k), placeOf(n, r.at)})
			}
		}
		return nil
	}, func(at, _ int64) { s.gaps = append(s.gaps, placeOf(n, at)) })
	return err
}

// merge merges two sorted lists.
func merge(a, b []row) []row {
	out := make([]row, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].compare(b[0]) <= 0 {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// places are where records with a key may be.
func (s *segments) places(key crypto.Hash) (at []place, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := prefixOf(key)
	if s.index != nil {
		if at, err = s.index.find(k); err != nil {
			return nil, err
		}
	}
	i, _ := slices.BinarySearchFunc(s.recent, row{key: k}, row.compare)
	for ; i < len(s.recent) && s.recent[i].key == k; i++ {
		at = append(at, s.recent[i].place)
	}
	return at, nil
}

// found is a record that a key leads to.
type found struct {
	segRecord
	n uint64
}

// find returns the records with a key that have not ended, as of the last look. damaged
// is the segment in which there may be one that cannot be read; 0 if there is none.
func (s *segments) find(key crypto.Hash) (all []found, damaged uint64, err error) {
	at, err := s.places(key)
	if err != nil {
		return nil, 0, err
	}
	s.mu.Lock()
	if len(s.gaps) > 0 {
		damaged = s.gaps[0].segment()
	}
	s.mu.Unlock()
	for _, p := range at {
		f, err := s.g.openSegment(s.path(p.segment()), false)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		r, ok, err := readHead(f, p.at())
		if err == nil && !ok && p.at() < f.durable {
			damaged = p.segment()
		}
		f.Close()
		if err != nil {
			return nil, 0, err
		}
		if ok && r.mark != markGone && slices.Contains(r.keys, key) {
			all = append(all, found{r, p.segment()})
		}
	}
	return all, damaged, nil
}

// openOf opens the segment that a record is in.
func (s *segments) openOf(r *found) (*segment, error) { return s.g.openSegment(s.path(r.n), false) }

// body reads the body of a record; ok is false if it is not what was written, or has
// ended meanwhile.
func (s *segments) body(r *found) (body []byte, ok bool, err error) {
	f, err := s.openOf(r)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	return r.segRecord.body(f)
}

// settle makes sure of what a killed process added: it may not be on the disk. The lock is
// held exclusively.
func (s *segments) settle() error {
	if err := s.look(); err != nil || s.last == 0 || s.sure >= s.end {
		return err
	}
	f, err := s.g.openSegment(s.path(s.last), true)
	if err != nil {
		return err
	}
	defer f.Close()
	if f.checked == 0 {
		if err := s.g.nameSegment(f.path); err != nil {
			return err
		}
		f.checked = segmentHeader
	}
	if err := f.settle(s.g, s.end, s.room); err != nil {
		return err
	}
	s.sure = s.end
	return nil
}

// write writes records into the last segment. One that is damaged stays as it is, for
// verify to tell.
func (s *segments) write(records []byte, urgent bool) error {
	f, err := s.g.openSegment(s.path(s.last), true)
	if err != nil {
		return err
	}
	defer f.Close()
	if f.bad {
		return s.next(records)
	}
	return f.add(s.g, s.end, records, s.room, urgent)
}

// add writes records, durably. The lock is held exclusively and settle was called.
func (s *segments) add(records []byte, urgent bool) error {
	if len(records) == 0 {
		return nil
	}
	if s.last == 0 || s.end >= s.full {
		if err := s.next(records); err != nil {
			return err
		}
	} else if err := s.write(records, urgent); err != nil {
		return err
	}
	if err := s.look(); err != nil {
		return err
	}
	s.sure = s.end
	return s.reindex()
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
	// They may also be in a segment that a killed process was making.
	if tmp := s.path(s.last+1) + ".new"; disk.IsDir(tmp) != nil { // a folder is a stranger's
		if err := s.g.removeOne(tmp); err != nil {
			return err
		}
	}
	by := map[uint64][]segRecord{}
	for i := range ends {
		by[ends[i].n] = append(by[ends[i].n], ends[i].segRecord)
	}
	for n, records := range by {
		f, err := s.g.openSegment(s.path(n), true)
		if err != nil {
			return err
		}
		err = f.end(s.g, records)
		f.Close()
		if err == nil {
			err = s.empty(n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// empty moves what is left in a segment of which most has ended, and cuts it off.
func (s *segments) empty(n uint64) error {
	f, err := s.g.openSegment(s.path(n), true)
	if err != nil {
		return err
	}
	defer f.Close()
	if f.bad || f.gone < s.least || 2*f.gone < f.durable || f.checked < f.durable {
		return nil
	}
	var left []byte
	whole := true
	_, err = f.scan(segmentHeader, func(r *segRecord) error {
		if r.mark == markGone {
			return nil
		}
		b := make([]byte, roundUp(r.length))
		_, err := f.ReadAt(b, r.at)
		left = append(left, b...)
		return err
	}, func(int64, int64) { whole = false })
	if err != nil || !whole { // what is damaged stays for verify to tell
		return err
	}
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
}

// unchecked calls drop with the records that were not looked at yet and came in an hour of
// which old says so, at most that many, and ends those for which it returns true. more
// says that some are left. The lock is held exclusively and settle was called.
func (s *segments) unchecked(old func(contract.Hour) bool, most int, drop func(r *segRecord) (bool, error)) (more bool, err error) {
	for n, err := s.firstUnchecked(); n != 0 && n <= s.last; n++ {
		if err != nil {
			return false, err
		}
		f, err := s.g.openSegment(s.path(n), true)
		if err != nil {
			return false, err
		}
		defer f.Close()
		var ends []segRecord
		upTo, err := f.scan(f.checked, func(r *segRecord) error {
			switch {
			case !old(r.hour):
				return errStop{r.at, false}
			case most == 0:
				return errStop{r.at, true}
			}
			most--
			gone := r.mark == markGone
			if !gone {
				if gone, err = drop(r); gone {
					ends = append(ends, *r)
				}
			}
			return err
		}, func(int64, int64) {})
		stop, stopped := err.(errStop)
		if stopped {
			upTo, err = stop.at, nil
		}
		if err == nil && len(ends) > 0 {
			err = f.end(s.g, ends)
		}
		if err != nil {
			return false, err
		}
		if upTo = min(upTo, f.durable); upTo > f.checked {
			f.mark(s.g, segmentHead{f.name, f.durable, upTo, f.gone})
		}
		if err := s.empty(n); err != nil || stopped {
			return stop.more, err
		}
	}
	return false, nil
}

// errStop ends a scan.
type errStop struct {
	at   int64
	more bool
}

func (errStop) Error() string { return "far enough" }

// firstUnchecked is the first segment with records that were not looked at.
func (s *segments) firstUnchecked() (n uint64, err error) {
	if s.left == 0 {
		s.left = s.last
		for s.left > s.first {
			if done, err := s.isChecked(s.left - 1); err != nil {
				return 0, err
			} else if done {
				break
			}
			s.left--
		}
	}
	for s.left < s.last {
		if done, err := s.isChecked(s.left); err != nil || !done {
			return s.left, err
		}
		s.left++
	}
	return s.left, nil
}

func (s *segments) isChecked(n uint64) (bool, error) {
	f, err := s.g.openSegment(s.path(n), false)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	return f.bad || f.checked >= f.durable, nil
}

// placeIndex is the file `index`, open.
type placeIndex struct {
	f    *os.File
	rows int64
	upTo place
}

const (
	indexMagic = "ckidx/1\n"
	indexHead  = 64
	indexRow   = 16
	indexPage  = 256 // rows that are read at once
)

func (x *placeIndex) marshal() []byte {
	b := append(make([]byte, 0, indexHead), indexMagic...)
	b = binary.BigEndian.AppendUint64(b, uint64(x.rows))
	b = binary.BigEndian.AppendUint64(b, x.upTo.segment())
	b = binary.BigEndian.AppendUint64(b, uint64(x.upTo.at()))
	check := sumOf(b)
	return append(append(b, check[:]...), make([]byte, indexHead-len(b)-len(check))...)
}

// openIndex opens the index; nil if there is none, or it is none.
func (s *segments) openIndex() *placeIndex {
	f, err := s.g.open(s.indexPath())
	if err != nil {
		return nil
	}
	b := make([]byte, indexHead)
	_, err = f.ReadAt(b, 0)
	num := func(i int) uint64 { return binary.BigEndian.Uint64(b[i:]) }
	x := &placeIndex{f, int64(num(8)), placeOf(num(16), int64(num(24)))}
	info, serr := f.Stat()
	if err != nil || serr != nil || !bytes.Equal(b, x.marshal()) || info.Size() != indexHead+indexRow*x.rows {
		f.Close()
		return nil
	}
	return x
}

// read reads rows.
func (x *placeIndex) read(from, to int64) ([]row, error) {
	b := make([]byte, (to-from)*indexRow)
	if _, err := x.f.ReadAt(b, indexHead+from*indexRow); err != nil {
		return nil, err
	}
	rows := make([]row, to-from)
	for i := range rows {
		r := b[i*indexRow:]
		rows[i] = row{binary.BigEndian.Uint64(r), place(binary.BigEndian.Uint64(r[8:]))}
	}
	return rows, nil
}

// find returns the places of a key. Keys are hashes: where one is is nearly known.
func (x *placeIndex) find(key uint64) (at []place, err error) {
	lo, hi := int64(0), x.rows // the first row of the key, or of a greater one, is in [lo, hi]
	guess := int64(float64(key) / (1 << 64) * float64(x.rows))
	for step := int64(indexPage); lo < hi; step *= 2 {
		from := max(lo, min(guess-indexPage/2, hi-indexPage))
		rows, err := x.read(from, min(from+indexPage, hi))
		if err != nil {
			return nil, err
		}
		i, _ := slices.BinarySearchFunc(rows, row{key: key}, row.compare)
		switch {
		case i == 0 && from > lo:
			hi, guess = from, from-step
		case i == len(rows):
			lo, guess = from+int64(i), from+int64(i)+step
		default:
			lo, hi = from+int64(i), from+int64(i)
		}
	}
	for lo < x.rows {
		rows, err := x.read(lo, min(lo+8, x.rows))
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if r.key != key {
				return at, nil
			}
			at = append(at, r.place)
		}
		lo += int64(len(rows))
	}
	return at, nil
}

// reindex writes the index anew if too much has come since. The lock is held exclusively.
func (s *segments) reindex() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	had := int64(0)
	if s.index != nil {
		had = s.index.rows
	}
	if len(s.recent) < s.indexFrom+int(had/64) {
		return nil
	}
	x, err := s.writeIndex(had)
	if noRoom(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if s.index != nil {
		s.index.f.Close()
	}
	s.index, s.recent = x, nil
	return nil
}

func (s *segments) writeIndex(had int64) (x *placeIndex, err error) {
	all, err := s.list()
	if err != nil {
		return nil, err
	}
	tmp := s.indexPath() + ".new"
	if err := s.g.removeOne(tmp); err != nil {
		return nil, err
	}
	out, err := s.g.ops.open(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, s.g.modeOf(tmp))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	defer func() {
		if err != nil {
			s.g.removeOne(tmp) // nobody else may have the room that it takes
		}
	}()
	x = &placeIndex{upTo: placeOf(s.last, s.end)}
	w := bufio.NewWriterSize(io.NewOffsetWriter(out, indexHead), 1<<16)
	put := func(rows []row) {
		for _, r := range rows {
			if _, there := slices.BinarySearch(all, r.segment()); there {
				w.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, r.key), uint64(r.place)))
				x.rows++
			}
		}
	}
	recent := s.recent
	for from := int64(0); from < had; from += 1 << 12 {
		rows, err := s.index.read(from, min(from+1<<12, had))
		if err != nil {
			return nil, err
		}
		i, _ := slices.BinarySearchFunc(recent, rows[len(rows)-1], row.compare)
		put(merge(rows, recent[:i]))
		recent = recent[i:]
	}
	put(recent)
	if err := w.Flush(); err != nil {
		return nil, err
	}
	if _, err := out.WriteAt(x.marshal(), 0); err != nil {
		return nil, err
	}
	disk.Chtimes(tmp, s.g.fullHour())
	if err := out.Sync(); err != nil {
		return nil, err
	}
	if err := out.Close(); err != nil {
		return nil, err
	}
	if err := s.g.ops.rename(tmp, s.indexPath()); err != nil {
		return nil, err
	}
	x.f, err = s.g.open(s.indexPath())
	return x, err
}
