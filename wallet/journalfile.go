package wallet

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/atomicfile"
)

// A file of the journal is a row of blocks, none of which needs the others to be
// written or read:
//
//	length 4 ‖ sealed under the file's name ‖ "/" ‖ the block's number, and "/end" if it is the last one
//
// What is sealed are, one behind the other and each in one block,
//
//	length 4 ‖ the batch as JSON, without its changes
//	length 4 ‖ a change as JSON ‖ its blobs, of which the JSON says the sizes
//
// Numbers are big-endian.

// journalBlock is from what size on a block of the journal is closed, in bytes.
const journalBlock = 256 << 10

// sealedBlocks writes blocks.
type sealedBlocks struct {
	w    *Wallet
	f    *atomicfile.File
	name string
	n    int
	buf  []byte
}

func blockOf(name string, n int, last bool) string {
	name = fmt.Sprintf("%s/%d", filepath.ToSlash(name), n)
	if last {
		name += "/end"
	}
	return name
}

func (s *sealedBlocks) add(text []byte, blobs []journalPut) error {
	s.buf = binary.BigEndian.AppendUint32(s.buf, uint32(len(text)))
	s.buf = append(s.buf, text...)
	for i := range blobs {
		s.buf = append(s.buf, blobs[i].Blob...)
	}
	if len(s.buf) < journalBlock {
		return nil
	}
	return s.close(false)
}

func (s *sealedBlocks) close(last bool) error {
	sealed := s.w.home.Key.Seal(blockOf(s.name, s.n, last), s.buf)
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(len(sealed)))
	if _, err := s.f.Write(size[:]); err != nil {
		return err
	}
	_, err := s.f.Write(sealed)
	s.n, s.buf = s.n+1, s.buf[:0]
	return err
}

// writeBatch writes a batch into the journal. The changes are encoded on all cores,
// a few at a time, so that the file is never in memory as a whole.
func (w *Wallet) writeBatch(b *batch) error {
	name := w.journalFile(b.name)
	f, err := atomicfile.Create(filepath.Join(w.home.Dir, name), 0o600)
	if err != nil {
		return err
	}
	defer f.Abort()
	s := sealedBlocks{w: w, f: f, name: name, buf: make([]byte, 0, journalBlock+(journalBlock>>2))}
	text, err := json.Marshal(b)
	if err == nil {
		err = s.add(text, nil)
	}
	if err != nil {
		return err
	}
	const window = 32
	var texts [window][]byte
	var errs [window]error
	for from := 0; from < len(b.Changes); from += window {
		part := b.Changes[from:min(from+window, len(b.Changes))]
		ledgerclient.Parallel(len(part), func(i int) {
			for j := range part[i].Blobs {
				part[i].Blobs[j].Size = len(part[i].Blobs[j].Blob)
			}
			texts[i], errs[i] = json.Marshal(&part[i])
		})
		for i := range part {
			if errs[i] != nil {
				return errs[i]
			}
			if err := s.add(texts[i], part[i].Blobs); err != nil {
				return err
			}
		}
	}
	if err := s.close(true); err != nil {
		return err
	}
	return f.Commit()
}

var errJournal = errors.New("not what was written")

func (w *Wallet) readBatch(name string) (*batch, error) {
	file := w.journalFile(name)
	damaged := func(err error) (*batch, error) { return nil, &DamagedError{File: file, Err: err} }
	sealed, err := w.home.Read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return damaged(err)
	}
	if err != nil {
		return nil, err
	}
	b := &batch{name: name}
	for n, last := 0, false; !last; n++ {
		if len(sealed) < 4 || uint64(binary.BigEndian.Uint32(sealed)) > uint64(len(sealed)-4) {
			return damaged(errJournal)
		}
		end := 4 + int(binary.BigEndian.Uint32(sealed))
		last = end == len(sealed)
		plain, err := w.home.Key.Open(blockOf(file, n, last), sealed[4:end])
		if err != nil {
			return nil, w.home.Explain(file, err)
		}
		sealed = sealed[end:]
		if err := b.read(plain, n == 0); err != nil {
			return damaged(err)
		}
	}
	if b.V != batchVersion {
		return nil, &VersionError{What: file, Version: b.V, Known: batchVersion}
	}
	for i := range b.Changes {
		c := &b.Changes[i]
		if c.entry, err = contract.ParseEntry(c.Entry); err != nil {
			return damaged(err)
		}
		c.id = c.entry.ID(w.client.ID())
	}
	return b, nil
}

// read takes what is in one block; the first one begins with the batch itself.
func (b *batch) read(plain []byte, first bool) error {
	for len(plain) > 0 {
		if len(plain) < 4 || uint64(binary.BigEndian.Uint32(plain)) > uint64(len(plain)-4) {
			return errJournal
		}
		n := 4 + int(binary.BigEndian.Uint32(plain))
		text := plain[4:n]
		plain = plain[n:]
		if first {
			if err := json.Unmarshal(text, b); err != nil {
				return errJournal
			}
			first = false
			continue
		}
		var c change
		if err := json.Unmarshal(text, &c); err != nil {
			return errJournal
		}
		for i := range c.Blobs {
			p := &c.Blobs[i]
			if p.Size < 0 || p.Size > len(plain) {
				return errJournal
			}
			p.Blob, plain = plain[:p.Size:p.Size], plain[p.Size:]
		}
		b.Changes = append(b.Changes, c)
	}
	return nil
}
