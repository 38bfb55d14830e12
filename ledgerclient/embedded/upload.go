package embedded

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// upload is one content on its way. The bytes go to a file in staging; the hashes
// of its pieces are computed beside it, on another core, and become the file's
// end. Memory is flat: buffers of one piece each.
type upload struct {
	ctx    context.Context
	st     *stage
	path   string
	f      file
	size   int64
	piece  []byte      // being filled
	empty  chan []byte // buffers to fill
	full   chan []byte // pieces to hash
	hashes chan []crypto.Hash

	pieces []crypto.Hash // once summed
	summed bool
	closed bool
	err    error // of a write: nothing can be right after it
}

// uploadBuffers is how many pieces are in memory at most.
const uploadBuffers = 4

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
		empty:  make(chan []byte, uploadBuffers),
		full:   make(chan []byte, uploadBuffers),
		hashes: make(chan []crypto.Hash, 1),
	}
	for range uploadBuffers {
		u.empty <- nil
	}
	go func() {
		var hashes []crypto.Hash
		for piece := range u.full {
			hashes = append(hashes, crypto.Hash(tlog.RecordHash(piece)))
			u.empty <- piece[:0]
		}
		u.hashes <- hashes
	}()
	return u, nil
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

// flush writes the piece and hands it on.
func (u *upload) flush() {
	if u.err == nil {
		if _, u.err = u.f.WriteAt(u.piece, u.size); u.err != nil {
			return
		}
	}
	u.size += int64(len(u.piece))
	if u.size%writebackStep == 0 {
		startWriteback(u.f, u.size-writebackStep, writebackStep)
	}
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
	if u.err != nil {
		return 0, head, u.err
	}
	u.finish()
	if len(u.pieces) == 0 {
		return 0, head, errUploadEmpty
	}
	return u.size, ledgerclient.ContentHead(u.pieces), nil
}

// finish ends the hashing and takes its result.
func (u *upload) finish() {
	if !u.summed {
		u.summed = true
		close(u.full)
		u.pieces = <-u.hashes
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
	e.parts = []stagedPart{part}
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
	for _, h := range u.pieces {
		list.Write(h[:])
	}
	if _, err := u.f.WriteAt(list.Bytes(), u.size); err != nil {
		u.f.Close()
		return err
	}
	return u.st.batch.finish(u.path, u.f)
}

// Abort drops what was written, unless it was committed.
func (u *upload) Abort() error {
	if !u.closed {
		u.closed = true
		u.f.Close()
		u.finish()
	}
	return u.st.s.removeAll(u.st.dir)
}

var _ io.Writer = (*upload)(nil)
