package folder

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"github.com/carekey/carekey/ledgerclient/disk"
	"io"
	"io/fs"
	"os"
	"slices"
)

const (
	headerSize = 64
	pageSize   = 4096
)

// derived is one file whose content follows from the leaves: `hashes`, `state`
// or `index`. It is written in place, only after the leaves that it follows from
// were committed, so that it can lag behind the log but never be ahead of it.
//
// The file is a header of 64 bytes and data that is read and written through
// pages in memory. The header holds two marks, in entries: up to applied every
// write has been made, up to synced every write has been made durable. After a
// crash the leaves from synced on are applied again, which changes nothing where
// they were applied before.
//
//	name 16 (ends in the version) ‖ applied 8 ‖ synced 8 ‖ extra 24 ‖ first 8 bytes of SHA-256 of these
//
// What is written at once never crosses a multiple of 64 bytes of the file, and
// so no sector of a disk.
type derived struct {
	name    string // of the file
	kind    string // 16 bytes at its beginning
	header  header
	onDisk  [headerSize]byte // the header as it was last read or written
	f       file             // nil: in memory only
	frozen  bool             // never write: a folder that is read-only
	lasting bool             // the mark synced must not go back, not even in a crash
	suspect bool             // a sync failed: what the file says is not believed
	fresh   bool             // the file's content is to be replaced by the pages as a whole
	limit   int64            // length of the data, in bytes
	pages   map[int64]*page
	changed []int64 // numbers of the pages that differ from the file
}

type header struct {
	applied, synced uint64
	extra           [24]byte
}

type page struct {
	b       [pageSize]byte
	changed bool
}

// maxPages bounds the pages kept from one operation to the next: 1/2 MiB a file.
const maxPages = 128

func newDerived(name, kind string) *derived {
	return &derived{name: name, kind: kind, fresh: true, pages: map[int64]*page{}}
}

func (d *derived) marshalHeader(h header) [headerSize]byte {
	var b [headerSize]byte
	copy(b[:16], d.kind)
	binary.BigEndian.PutUint64(b[16:], h.applied)
	binary.BigEndian.PutUint64(b[24:], h.synced)
	copy(b[32:56], h.extra[:])
	sum := sha256.Sum256(b[:56])
	copy(b[56:], sum[:8])
	return b
}

func parseHeader(b [headerSize]byte) header {
	return header{applied: binary.BigEndian.Uint64(b[16:]), synced: binary.BigEndian.Uint64(b[24:]), extra: [24]byte(b[32:56])}
}

// readHeader reads the header from the file; false if there is none that is
// whole and of this version.
func (d *derived) readHeader() (header, bool, error) {
	var b [headerSize]byte
	if d.f == nil {
		return header{}, false, nil
	}
	if _, err := d.f.ReadAt(b[:], 0); err != nil {
		if errors.Is(err, io.EOF) {
			d.onDisk = [headerSize]byte{}
			return header{}, false, nil
		}
		return header{}, false, err
	}
	d.onDisk = b
	h := parseHeader(b)
	return h, b == d.marshalHeader(h) && h.synced <= h.applied, nil
}

// openFile opens the file, making it if there is none.
func (d *derived) openFile(ops fileOps, path string, perm fs.FileMode, writable bool) error {
	flag := os.O_RDONLY
	if writable {
		flag = os.O_RDWR
	}
	f, err := ops.open(path, flag, 0)
	if errors.Is(err, fs.ErrNotExist) && writable {
		f, err = ops.open(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.As(err, new(*disk.KindError)):
		d.frozen = true // it is kept in memory
		return nil
	case writable && readOnly(err):
		return d.openFile(ops, path, perm, false)
	case err != nil:
		return err
	}
	d.f, d.frozen = f, !writable
	return nil
}

// load forgets the pages and reads the header again. It reports false if the
// file does not hold what it should for a log of that size, as far as its header
// and length tell; dataLen gives the length of the data for a header.
func (d *derived) load(size uint64, dataLen func(h header, n uint64) int64) (bool, error) {
	d.drop()
	h, ok, err := d.readHeader()
	if err != nil || !ok || h.applied > size || d.suspect {
		return false, err
	}
	info, err := d.f.Stat()
	if err != nil {
		return false, err
	}
	if info.Size() < headerSize+dataLen(h, h.synced) {
		return false, nil
	}
	d.header, d.fresh = h, false
	d.limit = dataLen(h, h.applied)
	return true, nil
}

// drop forgets what is in memory, also what was not written.
func (d *derived) drop() {
	clear(d.pages)
	d.changed = d.changed[:0]
}

// clear makes the data empty; the file follows at the next flush.
func (d *derived) clear() {
	d.drop()
	d.fresh = true
	d.header = header{}
	d.limit = 0
}

// page returns a page, reading it from the file if need be. Beyond the end of
// the file there are zeros.
func (d *derived) page(n int64) (*page, error) {
	if p := d.pages[n]; p != nil {
		return p, nil
	}
	p := new(page)
	if !d.fresh && d.f != nil {
		k, err := d.f.ReadAt(p.b[:], headerSize+n*pageSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		clear(p.b[k:])
	}
	d.pages[n] = p
	return p, nil
}

// read returns n bytes at an offset of the data, which do not cross a multiple
// of 64. They are valid until the pages are dropped.
func (d *derived) read(off int64, n int) ([]byte, error) {
	p, err := d.page(off / pageSize)
	if err != nil {
		return nil, err
	}
	i := off % pageSize
	return p.b[i : i+int64(n)], nil
}

// write changes bytes at an offset of the data; they do not cross a multiple of
// 64. They reach the file at the next flush.
func (d *derived) write(off int64, b []byte) error {
	n := off / pageSize
	p, err := d.page(n)
	if err != nil {
		return err
	}
	if !p.changed {
		p.changed = true
		d.changed = append(d.changed, n)
	}
	copy(p.b[off%pageSize:], b)
	d.limit = max(d.limit, off+int64(len(b)))
	return nil
}

// flush writes the changed pages and then the mark applied. If it fails all
// stays in memory, and the mark in the file is not past what was written before.
func (d *derived) flush(applied uint64) error {
	d.header.applied = applied
	if d.f == nil || d.frozen {
		return nil
	}
	if d.fresh {
		// From here on the file is void, and known to be, until all is written.
		d.header.synced = 0
		if err := d.f.Truncate(0); err != nil {
			return err
		}
		if err := d.writeHeader(header{extra: d.header.extra}); err != nil {
			return err
		}
		if err := d.f.Sync(); err != nil {
			return err
		}
	}
	slices.Sort(d.changed)
	buf := make([]byte, 0, min(len(d.changed), 256)*pageSize)
	for i := 0; i < len(d.changed); {
		first := d.changed[i]
		buf = buf[:0]
		for n := first; i < len(d.changed) && d.changed[i] == n && len(buf) < 256*pageSize; i, n = i+1, n+1 {
			buf = append(buf, d.pages[n].b[:]...)
		}
		if over := first*pageSize + int64(len(buf)) - d.limit; over > 0 {
			buf = buf[:int64(len(buf))-over]
		}
		if _, err := d.f.WriteAt(buf, headerSize+first*pageSize); err != nil {
			return err
		}
	}
	if d.fresh {
		if err := d.f.Truncate(headerSize + d.limit); err != nil {
			return err
		}
	}
	if err := d.writeHeader(d.header); err != nil {
		return err
	}
	d.fresh, d.suspect = false, false
	for _, n := range d.changed {
		d.pages[n].changed = false
	}
	d.changed = d.changed[:0]
	if len(d.pages) > maxPages {
		clear(d.pages)
	}
	return nil
}

// flushed tells whether the file holds all that is in memory.
func (d *derived) flushed() bool { return d.f != nil && !d.frozen && !d.fresh && len(d.changed) == 0 }

// sync makes the file durable and then moves the mark synced to applied. After
// a failure nobody knows what the disk holds (a second fsync may well succeed
// without the lost pages), so that the file is declared void and will be made
// anew.
func (d *derived) sync() error {
	if !d.flushed() || d.header.synced == d.header.applied {
		return nil
	}
	err := d.f.Sync()
	if err == nil {
		d.header.synced = d.header.applied
		err = d.writeHeader(d.header)
	}
	if err == nil && d.lasting {
		err = d.f.Sync()
	}
	if err != nil {
		d.suspect = true
		d.writeHeader(header{extra: d.header.extra})
	}
	return err
}

func (d *derived) writeHeader(h header) error {
	b := d.marshalHeader(h)
	if _, err := d.f.WriteAt(b[:], 0); err != nil {
		return err
	}
	d.onDisk = b
	return nil
}

// foreign tells whether another process has written the header since this one
// read or wrote it.
func (d *derived) foreign() (bool, error) {
	if d.f == nil {
		return false, nil
	}
	before := d.onDisk
	_, _, err := d.readHeader()
	return d.onDisk != before, err
}

func (d *derived) close() error {
	if d.f == nil {
		return nil
	}
	return d.f.Close()
}
