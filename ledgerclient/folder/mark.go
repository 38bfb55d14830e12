package folder

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient/disk"
)

// Mark is what a Verify found in order, for the next one to go on from. It is believed as
// far as what it speaks of is bound to it:
//
//   - the log by the root of its first entries. All leaves are hashed again each time, and
//     what follows from the same bytes, their signatures and the rules, is not done again;
//   - what the keeper holds by hashes of its records, which are all read each time;
//   - payloads by the stamps of their files, see disk.Stamp, and only for a while: each time
//     a thirtieth of their bytes is read again, those first that were read longest ago.
//
// So whoever can write the ledger's folder must not be able to write the mark: it is kept
// elsewhere, sealed or where nobody else can write. An older mark says less, and nothing
// wrong.
type Mark struct {
	Verified
	ledger crypto.LedgerID
	at     uint64   // Unix time of the check, in seconds
	key    [32]byte // of the digests: nobody can look for two records with one digest
	files  []markedFile
	held   []recordDigest // of the keeper's records, ascending
}

// Report says what Verify found in order, and how much of it was looked at this time: all
// else was taken from a mark.
type Report struct {
	*Mark             // may be given to the next Verify
	From       uint64 // entries before it were taken from the mark; only their hashes were made again
	Signatures uint64 // entries whose signatures were checked this time
	Held       uint64 // records of the keeper's that were checked this time; the others are the same bytes as before
	Read       int64  // bytes of payloads that were read this time
	Bytes      int64  // of payloads, in all
}

// markedFile is a file of payloads, the one first that was read longest ago.
type markedFile struct {
	name     string // path in the folder, with slashes
	stamp    disk.Stamp
	read     uint64 // Unix time when all of it was read last, in seconds
	alone    []half
	contents []string // names of the files that its records speak of
}

// half is an entry of which some payloads are in a file, and others in another.
type half struct {
	at    uint64 // position in the log
	parts uint8  // a bit for each that is here
}

// recordDigest stands for a record of the keeper's that was found in order.
type recordDigest [16]byte

const (
	// markVersion is another one when more is checked than before: what an older program
	// found in order is then looked at again.
	markVersion = 1
	// readAgain is which part of the payloads' bytes is read though nothing seems changed.
	readAgain = 30
	// maxMarked is more than a folder has files of payloads, or a keeper records.
	maxMarked = 1 << 28
)

// errMark is why bytes are no mark.
var errMark = errors.New("not a mark of this version")

// Marshal returns the mark's bytes.
func (m *Mark) Marshal() []byte { return codec.Append(nil, m.fields) }

// ParseMark reads what Marshal wrote.
func ParseMark(b []byte) (*Mark, error) {
	m := &Mark{}
	if err := codec.Parse(b, m.fields); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Mark) fields(c *codec.Codec) {
	version := uint8(markVersion)
	if codec.Int(c, &version); version != markVersion {
		c.Fail(errMark)
	}
	c.Bytes(m.ledger[:], m.Root[:], m.key[:])
	codec.Int(c, &m.Size)
	codec.Int(c, &m.at)
	codec.Counted[uint32](c, &m.files, maxMarked, func(c *codec.Codec, f *markedFile) { f.fields(c) })
	codec.Counted[uint32](c, &m.held, maxMarked, func(c *codec.Codec, d *recordDigest) { c.Bytes(d[:]) })
	c.Check(m.Size > 0 && slices.IsSortedFunc(m.held, recordDigest.compare))
}

func (f *markedFile) fields(c *codec.Codec) {
	codec.Sized[uint8](c, &f.name, 255)
	for _, n := range []*uint64{&f.stamp.Device, &f.stamp.Inode, &f.stamp.Size, &f.stamp.Modified, &f.stamp.Changed, &f.read} {
		codec.Int(c, n)
	}
	codec.Counted[uint32](c, &f.alone, maxMarked, func(c *codec.Codec, h *half) {
		codec.Int(c, &h.at)
		codec.Int(c, &h.parts)
	})
	codec.Counted[uint32](c, &f.contents, maxMarked, func(c *codec.Codec, s *string) { codec.Sized[uint8](c, s, 255) })
	c.Check(f.stamp.Size < 1<<62)
}

func (d recordDigest) compare(e recordDigest) int { return slices.Compare(d[:], e[:]) }

// At is when the check was made, to the second.
func (m *Mark) At() time.Time { return time.Unix(int64(m.at), 0).UTC() }

// Whole is since when all payloads were read once, to the second; zero if the mark speaks of
// none.
func (m *Mark) Whole() time.Time {
	if len(m.files) == 0 {
		return time.Time{}
	}
	return time.Unix(int64(m.files[0].read), 0).UTC()
}

// newMark is a mark of what is about to be checked.
func newMark(ledger crypto.LedgerID, known *Mark, now time.Time) *Mark {
	m := &Mark{ledger: ledger, at: uint64(max(0, now.Unix()))}
	if known != nil {
		m.key = known.key
	} else {
		rand.Read(m.key[:])
	}
	return m
}

// due are the files that are read although they look the same.
func (m *Mark) due() map[string]bool {
	var total, sum uint64
	for i := range m.files {
		total += m.files[i].stamp.Size
	}
	due := map[string]bool{}
	for i := range m.files {
		if sum*readAgain >= total {
			break
		}
		sum += m.files[i].stamp.Size
		due[m.files[i].name] = true
	}
	return due
}

// digest is that of a record of the keeper's: of all that its check depends on, but for the
// log. in is the file of the record, as far as that matters.
func (m *Mark) digest(in string, r *segRecord, body []byte) (d recordDigest) {
	h := sha256.New()
	h.Write(m.key[:])
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(in))))
	h.Write([]byte(in))
	h.Write([]byte{r.kind, byte(len(r.keys))})
	for _, k := range r.keys {
		h.Write(k[:])
	}
	h.Write(body)
	copy(d[:], h.Sum(nil))
	return d
}

// ofFile is the row of a file that was read whole and is in order, as it was before it was
// read; nil while it could be changed once more and look the same.
func (m *Mark) ofFile(name, path string, before fs.FileInfo, now time.Time) *markedFile {
	info, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	was, ok := disk.StampOf(before)
	is, _ := disk.StampOf(info)
	if !ok || was != is || !is.Settled(now.UnixNano()) {
		return nil
	}
	return &markedFile{name: name, stamp: is, read: m.at}
}
