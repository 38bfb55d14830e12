package folder

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// upload is one content on its way. The bytes go to a file in staging; the hashes
// of its pieces become the file's end. Hashing and writing are each a goroutine
// through which the pieces pass, beside the caller's. Memory is flat: buffers of
// one piece each.
type upload struct {
	ctx    context.Context
	st     *stage
	path   string
	f      file
	piece  []byte       // being filled
	empty  chan []byte  // buffers to fill
	full   chan []byte  // pieces to hash, and then to write
	done   chan written // what came of it
	failed atomic.Bool  // a write failed: done tells why

	sum    written // once summed
	summed bool
	closed bool
	err    error // nothing can be right after it
}

// written is the outcome of an upload's goroutines.
type written struct {
	pieces []crypto.Hash
	size   int64
	err    error
}

// uploadBuffers is how many pieces are in memory at most.
const uploadBuffers = 6

// writebackStep is after how many bytes the system is asked to write to the disk
// what it was given.
const writebackStep = 16 << 20

var (
	errUploadEnded = errors.New("upload has ended")
	errUploadEmpty = errors.New("nothing was uploaded")
)

// Upload begins the upload of a content.
func (s store) Upload(ctx context.Context) (ledgerclient.Upload, error) {
	st, err := s.newStage(1)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(st.dir, ledgerclient.PartContent.String())
	f, err := s.ops.open(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, s.modes.file)
	if err != nil {
		st.discard()
		return nil, err
	}
	u := &upload{
		ctx: ctx, st: st, path: path, f: f,
		empty: make(chan []byte, uploadBuffers),
		full:  make(chan []byte, uploadBuffers),
		done:  make(chan written, 1),
	}
	for range uploadBuffers {
		u.empty <- nil
	}
	hashed, pieces := u.hash()
	go func() {
		defer crash.Report()
		u.write(hashed, pieces)
	}()
	return u, nil
}

// hash starts to hash the pieces that are full and to hand them on.
func (u *upload) hash() (hashed <-chan []byte, pieces <-chan []crypto.Hash) {
	out, all := make(chan []byte, uploadBuffers), make(chan []crypto.Hash, 1)
	go func() {
		defer crash.Report()
		var hashes []crypto.Hash
		for piece := range u.full {
			hashes = append(hashes, crypto.Hash(tlog.RecordHash(piece)))
			out <- piece
		}
		close(out)
		all <- hashes
	}()
	return out, all
}

// write writes the pieces that are hashed. After an error it only takes them.
func (u *upload) write(hashed <-chan []byte, pieces <-chan []crypto.Hash) {
	var r written
	for piece := range hashed {
		if r.err == nil {
			if _, r.err = u.f.WriteAt(piece, r.size); r.err != nil {
				u.failed.Store(true)
			}
		}
		r.size += int64(len(piece))
		if r.size%writebackStep == 0 && r.err == nil {
			startWriteback(u.f, r.size-writebackStep, writebackStep)
		}
		u.empty <- piece[:0]
	}
	r.pieces = <-pieces
	u.done <- r
}

// Write takes the next bytes of the content.
func (u *upload) Write(p []byte) (n int, err error) {
	if u.summed || u.closed {
		return 0, errUploadEnded
	}
	for len(p) > 0 {
		if u.err != nil {
			return n, u.err
		}
		if u.piece == nil {
			if u.err = u.ctx.Err(); u.err != nil {
				return n, u.err
			}
			if u.failed.Load() {
				u.finish()
				return n, u.err
			}
			if u.piece = <-u.empty; u.piece == nil {
				u.piece = make([]byte, 0, contract.PieceSize)
			}
		}
		k := min(len(p), contract.PieceSize-len(u.piece))
		u.piece = append(u.piece, p[:k]...)
		p = p[k:]
		n += k
		if len(u.piece) == contract.PieceSize {
			u.flush()
		}
	}
	return n, u.err
}

// flush hands the piece on.
func (u *upload) flush() {
	u.full <- u.piece
	u.piece = nil
}

// Sum ends the writing.
func (u *upload) Sum() (size int64, head crypto.Hash, err error) {
	switch {
	case u.closed:
		return 0, head, errUploadEnded
	case u.err == nil && !u.summed && len(u.piece) > 0:
		u.flush()
	}
	if u.err == nil {
		u.finish()
	}
	if u.err != nil {
		return 0, head, u.err
	}
	if len(u.sum.pieces) == 0 {
		return 0, head, errUploadEmpty
	}
	return u.sum.size, ledgerclient.ContentHead(u.sum.pieces), nil
}

// finish ends hashing and writing and takes their result.
func (u *upload) finish() {
	if !u.summed {
		u.summed = true
		close(u.full)
		if u.sum = <-u.done; u.err == nil {
			u.err = u.sum.err
		}
	}
}

// Commit checks what was written against the entry and the package and makes it
// durable.
func (u *upload) Commit(put ledgerclient.Put) error {
	size, head, err := u.Sum()
	if err != nil {
		return err
	}
	s := u.st.s
	e := &stagedEntry{entry: &put.Entry, id: put.Entry.ID(s.ledger), pkg: put.Package}
	refuse := func(reason ledgerclient.StoreReason) error {
		return &ledgerclient.StoreError{Entry: e.id, Part: put.Part, Reason: reason}
	}
	if contract.CheckShape(e.entry) != nil || contract.CheckSignature(s.ledger, e.entry) != nil {
		return refuse(ledgerclient.BadEntry)
	}
	if put.Part != ledgerclient.PartContent {
		return refuse(ledgerclient.BadPart)
	}
	if reason := checkPut(&put, head); reason != "" {
		return refuse(reason)
	}
	pkg, err := contract.ParseRecordPackage(put.Package)
	if err != nil || pkg.ContentSize != uint64(size) {
		return refuse(ledgerclient.BadBlob)
	}
	if err := u.close(); err != nil {
		return err
	}
	part := stagedPart{part: put.Part}
	for _, loc := range put.Locators {
		part.names = append(part.names, locatorName(loc))
	}
	if err := u.st.beginEntry(e); err != nil {
		return err
	}
	if err := u.st.batch.rename(u.path, filepath.Join(u.st.entryDir(e), part.part.String())); err != nil {
		return err
	}
	if err := u.st.writeLocators(e, &part); err != nil {
		return err
	}
	e.parts, e.begun = []stagedPart{part}, true
	u.st.entries = []*stagedEntry{e}
	if _, err := u.st.place(u.ctx); err != nil {
		return err
	}
	u.st.discard()
	return nil
}

// close writes the list of piece hashes and makes the file durable.
func (u *upload) close() error {
	u.closed = true
	var list bytes.Buffer
	for _, h := range u.sum.pieces {
		list.Write(h[:])
	}
	if _, err := u.f.WriteAt(list.Bytes(), u.sum.size); err != nil {
		u.f.Close()
		return err
	}
	return u.st.batch.finish(u.path, u.f)
}

// Abort drops what was written, unless it was committed.
func (u *upload) Abort() error {
	if !u.closed {
		u.closed = true
		u.finish() // before the file is closed: it may still be written to
		u.f.Close()
	}
	return u.st.s.removeAll(u.st.dir)
}

var _ io.Writer = (*upload)(nil)
