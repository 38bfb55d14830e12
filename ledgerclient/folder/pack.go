package folder

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math/bits"
	"os"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/disk"
)

// A pack is one file with the shares of many grants that came
// in one call: a batch of a thousand is one file to sync instead of ten thousand.
// All numbers are big-endian.
//
//	magic     8   "ckpack1s"
//	rows      4   number of rows
//	filter    4   size of the filter in bytes, a power of two
//	size      8   of the whole file in bytes
//	check    32   tagged hash of the four fields above, the filter and the rows
//	filter        a Bloom filter over the keys of the rows
//	rows     44   each: key 32, offset of a record 8, its length 4; sorted
//	records       each: mark 8, body
//
// A key is the name of a locator or the id of a grant; several rows may lead to
// one record. The filter has four bits for each key: bits 0–31, 32–63, 64–95 and
// 96–127 of the key, modulo its size, counted from the highest bit of the first
// byte.
//
// A pack never changes but for the end of a record: its mark is set to "ending",
// its body is overwritten with random bytes, its mark is set to "gone", each made
// durable before the next. A pack all of whose records are gone is removed.
type pack struct {
	path   string
	rows   int
	size   int64
	start  int64 // of the rows
	filter []byte
}

const (
	packMagic  = "ckpack1s"
	packHeader = 56 // bytes
	packRow    = 44 // bytes
	markSize   = 8  // bytes

	// packFrom is from how many payloads or shares on a call makes a pack. Fewer are
	// files of their own, which are gone without a trace when they end.
	packFrom = 32
	// maxPackRows and maxRecord (a payload with its package, in bytes) bound what a
	// damaged header, or a row, can make a reader do.
	maxPackRows = 1 << 22
	maxRecord   = 2*maxBlob + 1<<10
)

// packMark says what became of a record.
type packMark [markSize]byte

var (
	packHeld   = packMark{'h', 'e', 'l', 'd'}
	packEnding = packMark{'e', 'n', 'd', 'i', 'n', 'g'}
	packGone   = packMark{'g', 'o', 'n', 'e'}
)

// span is where a record is in its pack; length counts the mark.
type span struct {
	offset int64
	length int
}

// packWriter gathers the records of a pack.
type packWriter struct {
	rows []packedRow
	data bytes.Buffer
}

type packedRow struct {
	key crypto.Hash
	at  span // offset from the first record on
}

// add appends a record that all keys lead to.
func (w *packWriter) add(keys []crypto.Hash, body ...[]byte) {
	at := span{offset: int64(w.data.Len()), length: markSize}
	w.data.Write(packHeld[:])
	for _, b := range body {
		w.data.Write(b)
		at.length += len(b)
	}
	for _, k := range keys {
		w.rows = append(w.rows, packedRow{k, at})
	}
}

// bytes returns the file in two parts, head and records, so that nothing large is
// copied.
func (w *packWriter) bytes() (head, records []byte) {
	slices.SortFunc(w.rows, func(a, b packedRow) int {
		if c := bytes.Compare(a.key[:], b.key[:]); c != 0 {
			return c
		}
		return int(a.at.offset - b.at.offset)
	})
	filter := make([]byte, filterSize(len(w.rows)))
	start := packHeader + len(filter) + packRow*len(w.rows)
	head = make([]byte, packHeader, start)
	copy(head, packMagic)
	binary.BigEndian.PutUint32(head[8:], uint32(len(w.rows)))
	binary.BigEndian.PutUint32(head[12:], uint32(len(filter)))
	binary.BigEndian.PutUint64(head[16:], uint64(start+w.data.Len()))
	for i := range w.rows {
		for _, bit := range filterBits(w.rows[i].key, len(filter)) {
			filter[bit/8] |= 0x80 >> (bit % 8)
		}
	}
	head = append(head, filter...)
	for i := range w.rows {
		r := &w.rows[i]
		head = append(head, r.key[:]...)
		head = binary.BigEndian.AppendUint64(head, uint64(start)+uint64(r.at.offset))
		head = binary.BigEndian.AppendUint32(head, uint32(r.at.length))
	}
	check := packCheck(head)
	copy(head[24:], check[:])
	return head, w.data.Bytes()
}

// filterSize is how many bytes the filter of a pack of so many rows has: about 16 bits
// for each key, so that one in 500 that are not there seems to be.
func filterSize(rows int) int { return max(8, 1<<bits.Len(uint(2*rows-1))) }

// packCheck is the check of a pack from its head: header, filter and rows.
func packCheck(head []byte) crypto.Hash {
	return crypto.TaggedHash(crypto.TagPackCheck, head[:24], head[packHeader:])
}

func filterBits(key crypto.Hash, size int) (at [4]int) {
	for i := range at {
		at[i] = int(binary.BigEndian.Uint32(key[4*i:]) & uint32(8*size-1))
	}
	return at
}

// write makes the pack a new file of the batch.
func (w *packWriter) write(b *batch, path string) error {
	head, records := w.bytes()
	return b.write(path, head, records)
}

var errPack = errors.New("not the pack that was written")

// openPack reads the header and the filter of a pack.
func openPack(path string) (*pack, error) {
	f, err := disk.Open(path, os.O_RDONLY, 0)
	if errors.As(err, new(*disk.KindError)) {
		return nil, errPack
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var h [packHeader]byte
	if _, err := f.ReadAt(h[:], 0); err != nil {
		return nil, shortPack(err)
	}
	p := &pack{path: path, rows: int(binary.BigEndian.Uint32(h[8:])), size: info.Size()}
	filter := int64(binary.BigEndian.Uint32(h[12:]))
	if string(h[:8]) != packMagic || p.rows > maxPackRows || filter != int64(filterSize(p.rows)) ||
		binary.BigEndian.Uint64(h[16:]) != uint64(p.size) || packHeader+filter+packRow*int64(p.rows) > p.size {
		return nil, errPack
	}
	p.filter, p.start = make([]byte, filter), packHeader+filter
	if _, err := f.ReadAt(p.filter, packHeader); err != nil {
		return nil, shortPack(err)
	}
	return p, nil
}

// shortPack names what a file that ends too early is.
func shortPack(err error) error {
	if err == io.EOF {
		return errPack
	}
	return err
}

// may tells whether a key can be in the pack.
func (p *pack) may(key crypto.Hash) bool {
	for _, bit := range filterBits(key, len(p.filter)) {
		if p.filter[bit/8]&(0x80>>(bit%8)) == 0 {
			return false
		}
	}
	return true
}

// first is where the rows begin.
func (p *pack) first() int64 { return p.start }

// row reads row i.
func (p *pack) row(f io.ReaderAt, i int) (r packedRow, err error) {
	var b [packRow]byte
	if _, err := f.ReadAt(b[:], p.first()+int64(i)*packRow); err != nil {
		return r, shortPack(err)
	}
	return p.parseRow(b[:])
}

func (p *pack) parseRow(b []byte) (r packedRow, err error) {
	r.key = crypto.Hash(b)
	offset, length := binary.BigEndian.Uint64(b[32:]), binary.BigEndian.Uint32(b[40:])
	if length < markSize || length > maxRecord || offset < uint64(p.first())+uint64(p.rows)*packRow || offset > uint64(p.size) || uint64(length) > uint64(p.size)-offset {
		return r, errPack
	}
	r.at = span{int64(offset), int(length)}
	return r, nil
}

// find returns the records that a key leads to.
func (p *pack) find(f io.ReaderAt, key crypto.Hash) (found []span, err error) {
	lo, hi := 0, p.rows
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		r, err := p.row(f, mid)
		if err != nil {
			return nil, err
		}
		if bytes.Compare(r.key[:], key[:]) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	for ; lo < p.rows; lo++ {
		r, err := p.row(f, lo)
		if err != nil {
			return nil, err
		}
		if r.key != key {
			break
		}
		found = append(found, r.at)
	}
	return found, nil
}

// all reads and checks header, filter and rows.
func (p *pack) all(f io.ReaderAt) ([]packedRow, error) {
	head := make([]byte, p.first()+int64(p.rows)*packRow)
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, shortPack(err)
	}
	if check := packCheck(head); !bytes.Equal(check[:], head[24:packHeader]) {
		return nil, errPack
	}
	rows := make([]packedRow, p.rows)
	for i := range rows {
		at := p.first() + int64(i)*packRow
		r, err := p.parseRow(head[at : at+packRow])
		if err != nil {
			return nil, err
		}
		rows[i] = r
	}
	return rows, nil
}

// spans returns every record of the rows once, in the order of the file.
func spans(rows []packedRow) []span {
	out := make([]span, 0, len(rows))
	for i := range rows {
		out = append(out, rows[i].at)
	}
	slices.SortFunc(out, func(a, b span) int { return int(a.offset - b.offset) })
	return slices.Compact(out)
}

// readMark reads the mark of a record; any other than the three is errPack.
func readMark(f io.ReaderAt, at span) (m packMark, err error) {
	if _, err := f.ReadAt(m[:], at.offset); err != nil {
		return m, shortPack(err)
	}
	if m != packHeld && m != packEnding && m != packGone {
		return m, errPack
	}
	return m, nil
}

// readBody reads a record that is held; ok is false for one that is not.
func readBody(f io.ReaderAt, at span) (body []byte, ok bool, err error) {
	m, err := readMark(f, at)
	if err != nil || m != packHeld {
		return nil, false, err
	}
	body = make([]byte, at.length-markSize)
	if _, err := f.ReadAt(body, at.offset+markSize); err != nil {
		return nil, false, shortPack(err)
	}
	return body, true, nil
}

// endRecords ends records of the pack at path: it overwrites them, durably, and
// removes a pack of which nothing is left. It can be repeated after it was
// interrupted anywhere. It needs no more than that the rows can be read, so that
// what is damaged can be ended too.
func (g *ground) endRecords(p *pack, ends []span) (removed bool, err error) {
	f, err := g.ops.open(p.path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	set := func(m packMark) error {
		for _, at := range ends {
			if _, err := f.WriteAt(m[:], at.offset); err != nil {
				return err
			}
		}
		return f.Sync()
	}
	if err := set(packEnding); err != nil {
		return false, err
	}
	for _, at := range ends {
		if _, err := f.WriteAt(noise(at.length-markSize), at.offset+markSize); err != nil {
			return false, err
		}
	}
	if err := f.Sync(); err != nil {
		return false, err
	}
	if err := set(packGone); err != nil {
		return false, err
	}
	// The pack is no younger for it, see placed.
	if err := disk.Chtimes(p.path, info.ModTime()); err != nil {
		return false, err
	}
	left, err := p.left(f)
	if err != nil || left {
		return false, err
	}
	if err := f.Close(); err != nil {
		return false, err
	}
	return true, g.ops.remove(p.path)
}

// left tells whether any record of the pack is not gone.
func (p *pack) left(f io.ReaderAt) (bool, error) {
	for i := range p.rows {
		r, err := p.row(f, i)
		if err != nil {
			return true, nil // damaged: it stays for verify to tell
		}
		if m, err := readMark(f, r.at); err != nil || m != packGone {
			return true, nil
		}
	}
	return false, nil
}
