package folder

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
)

// A segment is a file of records, one behind the other, each at a multiple of 64 bytes.
// All numbers are big-endian.
//
//	magic     8   "ckseg/1\n"
//	name      8   random: another file of the same path has another
//	durable   8   up to here the file is on the disk for certain
//	checked   8   up to here it was looked for records whose entries never came; 0 as
//	              long as the file's name may not be on the disk
//	gone      8   bytes of records that have ended
//	check     8   of these: the first bytes of their SHA-256, as in all checks here
//	zeros    16
//	records
//
// and a record:
//
//	mark      4   "held", "end." while it is being overwritten, "gone" afterwards
//	length    4   of the record
//	hour      4   in which it came
//	package   4   length of the package, with which the body begins
//	kind      1   what the body is; with bodyChanges it is written over at times, and ends
//	              with a check of its own
//	keys      1   how many: 1 to 3; 0 where there was no record
//	zeros     2
//	sum       8   of the body; zeros for one that changes
//	keys          32 each: what the record is found by
//	check     8   of all above but the mark
//	body
//	zeros         up to the next multiple of 64
//
// A record does not change but when it ends: its mark is set, durably, then its body is
// overwritten with random bytes, durably, then it is marked as gone. Head and keys stay.
//
// New records are written behind the last, all that come in one call at once, and the
// file is synced. Then durable is set, without a sync. So what is no record is damage
// before durable, and behind it what a killed process left, which the next one writes
// over. Records of files may lie behind durable for longer: the next that come are synced
// with them.
const (
	segmentMagic  = "ckseg/1\n"
	segmentHeader = 64   // bytes; as much as a disk writes as a whole, see sector in the tests
	recordFixed   = 28   // bytes before the keys
	bodyChanges   = 0x40 // in a record's kind
	maxKeys       = 3
	maxHead       = recordFixed + 32*maxKeys + 8
	// maxRecord and maxSegment are more bytes than a record that has not ended, and a
	// segment, have: that one is full is seen before a call adds what it brings.
	maxRecord  = 1 << 20
	maxSegment = 1 << 30
)

// recordMark says what became of a record.
type recordMark [4]byte

var (
	markHeld   = recordMark([]byte("held"))
	markEnding = recordMark([]byte("end."))
	markGone   = recordMark([]byte("gone"))
)

// segRecord is a record's head, as it was read at a place.
type segRecord struct {
	mark   recordMark
	at     int64
	length int64
	hour   contract.Hour
	pkg    int64
	kind   byte
	sum    [8]byte
	keys   []crypto.Hash
}

// isGap reports whether it is no record, where one should be.
func (r *segRecord) isGap() bool  { return r.mark == recordMark{} }
func (r *segRecord) start() int64 { return r.at + recordFixed + 32*int64(len(r.keys)) + 8 } // of the body
func (r *segRecord) size() int64  { return r.at + r.length - r.start() }                    // of the body
func (r *segRecord) next() int64  { return r.at + roundUp(r.length) }
func roundUp(n int64) int64       { return (n + segmentHeader - 1) / segmentHeader * segmentHeader }

// sumOf is the first bytes of a SHA-256.
func sumOf(parts ...[]byte) [8]byte {
	h := sha256.New()
	for _, b := range parts {
		h.Write(b)
	}
	return [8]byte(h.Sum(nil))
}

// appendRecord appends a record to what is to be written.
func appendRecord(b []byte, hour contract.Hour, kind byte, keys []crypto.Hash, pkg, rest []byte) []byte {
	sum := sumOf(pkg, rest)
	if kind&bodyChanges != 0 {
		rest, sum = append(rest[:len(rest):len(rest)], sum[:]...), [8]byte{}
	}
	at := len(b)
	b = append(b, markHeld[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(recordFixed+32*len(keys)+8+len(pkg)+len(rest)))
	b = binary.BigEndian.AppendUint32(b, uint32(hour))
	b = binary.BigEndian.AppendUint32(b, uint32(len(pkg)))
	b = append(b, kind, byte(len(keys)), 0, 0)
	b = append(b, sum[:]...)
	for _, k := range keys {
		b = append(b, k[:]...)
	}
	check := sumOf(b[at+4:])
	b = append(append(append(b, check[:]...), pkg...), rest...)
	return append(b, make([]byte, roundUp(int64(len(b)-at))-int64(len(b)-at))...)
}

// readHead reads the head of a record; ok is false if there is none.
func readHead(f io.ReaderAt, at int64) (r segRecord, ok bool, err error) {
	var b [maxHead]byte
	n, err := f.ReadAt(b[:], at)
	if err != nil && err != io.EOF {
		return r, false, err
	}
	r = segRecord{
		mark: recordMark(b[:4]), at: at, length: int64(binary.BigEndian.Uint32(b[4:])), hour: contract.Hour(binary.BigEndian.Uint32(b[8:])),
		pkg: int64(binary.BigEndian.Uint32(b[12:])), kind: b[16], sum: [8]byte(b[20:28]),
	}
	head := recordFixed + 32*int(b[17])
	if b[17] < 1 && r.mark != markGone || b[17] > maxKeys || n < head+8 || r.mark != markHeld && r.mark != markEnding && r.mark != markGone {
		return r, false, nil
	}
	if check := sumOf(b[4:head]); !bytes.Equal(check[:], b[head:head+8]) {
		return r, false, nil
	}
	for i := range int(b[17]) {
		r.keys = append(r.keys, crypto.Hash(b[recordFixed+32*i:]))
	}
	return r, r.pkg <= r.size() && (r.mark == markGone || r.length <= maxRecord), nil
}

// body reads the body of a record and whether it is the one that was written.
func (r *segRecord) body(f io.ReaderAt) (b []byte, ok bool, err error) {
	b = make([]byte, r.next()-r.start())
	if _, err := f.ReadAt(b, r.start()); err == io.EOF {
		return nil, false, nil
	} else if err != nil {
		return nil, false, err
	}
	if len(bytes.TrimLeft(b[r.size():], "\x00")) > 0 {
		clear(b) // whoever gets a body clears it if it is secret
		return nil, false, nil
	}
	b, sum := b[:r.size()], r.sum
	if n := len(b) - len(sum); r.kind&bodyChanges != 0 && n >= 0 {
		b, sum = b[:n], [8]byte(b[n:])
	}
	return b, sumOf(b) == sum, nil
}

// segmentHead is the header of a segment.
type segmentHead struct{ name, durable, checked, gone int64 }

func (h segmentHead) marshal() []byte {
	b := append(make([]byte, 0, segmentHeader), segmentMagic...)
	for _, n := range []int64{h.name, h.durable, h.checked, h.gone} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	check := sumOf(b)
	return append(append(b, check[:]...), make([]byte, segmentHeader-len(b)-len(check))...)
}

// segment is an open segment.
type segment struct {
	file
	segmentHead
	path    string
	size    int64
	scanned int64 // how far records came
	bad     bool  // the header is not what was written: all that is in the file is taken for durable
}

// readAhead reads a file in long pieces: a disk gives them many times faster than the heads
// that lie in them, each waited for.
type readAhead struct {
	file
	at    int64
	piece []byte
}

const readAheadSize = 512 << 10

func (r *readAhead) ReadAt(p []byte, off int64) (int, error) {
	if off < r.at || off+int64(len(p)) > r.at+int64(len(r.piece)) {
		most := max(readAheadSize, len(p))
		piece := slices.Grow(r.piece[:0], most)[:most]
		n, err := r.file.ReadAt(piece, off)
		r.at, r.piece = off, piece[:n]
		if n < len(p) {
			return copy(p, r.piece), err
		}
	}
	return copy(p, r.piece[off-r.at:]), nil
}

// openSegment opens a segment to read it, or to write it too.
func (g *ground) openSegment(path string, write bool) (s *segment, err error) {
	s = &segment{path: path}
	if write {
		if s.file, err = g.ops.open(path, os.O_RDWR, 0); err != nil {
			return nil, damagedKind(g.dir, err)
		}
	} else if s.file, err = g.open(path); err != nil {
		return nil, err
	}
	b := make([]byte, segmentHeader)
	_, err = s.ReadAt(b, 0)
	info, serr := s.Stat()
	if err = errors.Join(serr, err); err != nil && !errors.Is(err, io.EOF) {
		s.Close()
		return nil, err
	}
	s.size = info.Size()
	num := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[i:])) }
	s.segmentHead = segmentHead{num(8), num(16), num(24), num(32)}
	if !bytes.Equal(b, s.marshal()) || s.durable < segmentHeader || s.durable > maxSegment || s.durable%segmentHeader != 0 {
		s.bad, s.segmentHead = true, segmentHead{durable: roundUp(min(s.size, maxSegment)), checked: segmentHeader}
	}
	return s, nil
}

// onSegment calls fn with a segment, open to be read, or to be written too.
func (g *ground) onSegment(path string, write bool, fn func(f *segment) error) error {
	f, err := g.openSegment(path, write)
	if err != nil {
		return err
	}
	defer f.Close()
	return fn(f)
}

// records are the records from a place on, and gaps: what should be records and is none.
// Where the next one goes is in scanned.
func (s *segment) records(from int64) iter.Seq2[segRecord, error] {
	return func(yield func(segRecord, error) bool) {
		s.scanned = max(from, segmentHeader)
		last := s.scanned // behind the last record
		for {
			r, ok, err := readHead(s, s.scanned)
			switch {
			case !ok:
			case r.mark != markHeld: // what has ended was durable, also where the header does not say so yet
				ok = r.next() <= max(s.durable, s.size)
			case s.scanned >= s.durable:
				_, ok, err = r.body(s)
			}
			if err == nil && !ok {
				if s.scanned >= s.durable {
					if s.bad {
						s.scanned = last
					}
					return
				}
				var to int64
				to, err = s.nextHead(s.scanned + segmentHeader)
				r = segRecord{at: s.scanned, length: to - s.scanned}
			}
			if !yield(r, err) || err != nil {
				return
			}
			if s.scanned = r.next(); ok {
				last = s.scanned
			}
		}
	}
}

// nextHead finds the first record from a place on; where the durable part ends if there
// is none.
func (s *segment) nextHead(at int64) (int64, error) {
	b := make([]byte, 1<<16)
	for ; at < s.durable; at += int64(len(b)) {
		n, err := s.ReadAt(b, at)
		if err != nil && err != io.EOF {
			return 0, err
		}
		for i := 0; i+4 <= n && at+int64(i) < s.durable; i += segmentHeader {
			if m := recordMark(b[i:]); m != markHeld && m != markEnding && m != markGone {
				continue
			}
			if _, ok, err := readHead(s, at+int64(i)); ok || err != nil {
				return at + int64(i), err
			}
		}
		if n < len(b) {
			break
		}
	}
	return s.durable, nil
}

// mark says what is known of the segment now. It need not be on the disk: what is there
// holds too.
func (s *segment) mark(g *ground, h segmentHead) {
	if _, err := s.WriteAt(h.marshal(), 0); err == nil {
		s.segmentHead = h
	}
	disk.Chtimes(s.path, g.fullHour())
}

// add writes records at end, which is where the last scan ended, and makes them durable, with
// what is before them. What cannot be written as a whole is not there. Behind them is room,
// in bytes, which an urgent one can use if there is none on the disk.
func (s *segment) add(g *ground, end int64, records []byte, room int64, urgent bool) error {
	upTo := end + int64(len(records))
	if err := s.setAside(end, upTo, room, urgent); err != nil {
		return err
	}
	from := end
	if s.durable < end && !s.bad { // a sync that failed may have taken it for written
		from = s.durable
		before := make([]byte, end-from, upTo-from)
		if _, err := s.ReadAt(before, from); err != nil {
			return err
		}
		records = append(before, records...)
	}
	if room > 0 { // what a killed process left behind them is not to be read as more of them
		records = append(records[:len(records):len(records)], make([]byte, min(segmentHeader, s.size-upTo))...)
	}
	_, err := s.WriteAt(records, from)
	if err == nil {
		disk.Chtimes(s.path, g.fullHour())
		err = s.Sync()
	}
	if err != nil {
		if room == 0 {
			s.Truncate(end)
		}
		return err
	}
	h := s.segmentHead
	h.durable, s.size = upTo, max(s.size, upTo)
	s.mark(g, h)
	return nil
}

// write writes records at end, and waits for no disk.
func (s *segment) write(g *ground, end int64, records []byte) error {
	if err := s.setAside(end, end, 0, false); err != nil {
		return err
	}
	if _, err := s.WriteAt(records, end); err != nil {
		s.Truncate(end)
		return err
	}
	disk.Chtimes(s.path, g.fullHour())
	return nil
}

// setAside makes room behind what is to be used, so that there is some for long if there
// was too little, and cuts off all behind end of a segment without room.
func (s *segment) setAside(end, upTo, room int64, urgent bool) (err error) {
	switch {
	case room > 0:
		s.size, err = extend(s, s.size, upTo, room, urgent)
	case s.size > end:
		err = s.Truncate(end)
	}
	return err
}

// settle makes sure of what a killed process added before end: it may not be on the disk.
func (s *segment) settle(g *ground, end, room int64) error {
	if s.bad || end <= s.durable {
		return nil
	}
	return s.add(g, end, nil, room, true)
}

// end overwrites records. It can be repeated after it was interrupted anywhere.
func (s *segment) end(g *ground, records []segRecord) error {
	set := func(m recordMark) error {
		for i := range records {
			if _, err := s.WriteAt(m[:], records[i].at); err != nil {
				return err
			}
		}
		return nil
	}
	if err := set(markEnding); err != nil {
		return err
	}
	if err := s.Sync(); err != nil {
		return err
	}
	h := s.segmentHead
	for i := range records {
		if _, err := s.WriteAt(noise(int(records[i].size())), records[i].start()); err != nil {
			return err
		}
		h.gone += roundUp(records[i].length)
	}
	if err := s.Sync(); err != nil {
		return err
	}
	if err := set(markGone); err != nil {
		return err
	}
	s.mark(g, h)
	return nil
}

// bury makes what is no record some that have ended, up to where the file ends: the header
// can say more.
func (s *segment) bury(gaps []segRecord) error {
	there := roundUp(s.size)
	for _, gap := range gaps {
		for at, end := gap.at, min(gap.next(), there); at < end; {
			n := min(end-at, maxRecord)
			b := appendRecord(nil, 0, 0, nil, nil, noise(int(n-recordFixed-8)))
			copy(b, markGone[:])
			if _, err := s.WriteAt(b, at); err != nil {
				return err
			}
			at += n
		}
	}
	s.size, s.durable = max(s.size, there), min(s.durable, there)
	return s.Sync()
}

// newSegment is the content of a segment of records, with room behind them. checked is 0 if
// its name may not be on the disk.
func newSegment(records []byte, room int, checked int64) []byte {
	h := segmentHead{name: int64(binary.BigEndian.Uint64(noise(8))), durable: segmentHeader + int64(len(records)), checked: checked}
	return slices.Concat(h.marshal(), records, make([]byte, room))
}

// makeSegment makes a segment of records, with room behind them, under a name that is
// not there.
func (g *ground) makeSegment(path string, records []byte, room int64) error {
	if err := replaceFile(g.ops, path, newSegment(records, int(room), 0), g.modeOf(path)); err != nil {
		g.removeOne(path + ".new") // nobody else may have the room that it takes
		return err
	}
	return g.nameSegment(path)
}

// nameSegment makes sure that the name of a segment is on the disk.
func (g *ground) nameSegment(path string) error {
	if err := g.ops.syncDir(filepath.Dir(path)); err != nil {
		return err
	}
	return g.onSegment(path, true, func(f *segment) error {
		f.mark(g, segmentHead{f.name, f.durable, segmentHeader, f.gone})
		return nil
	})
}
