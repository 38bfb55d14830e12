package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"net/http"
	"sync"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// upload is one content on its way to the node. While one part travels the next
// one is filled; its pieces are hashed here, so that the tree head is not the
// node's word. Memory is flat: three parts.
type upload struct {
	ctx  context.Context
	n    *Node
	id   UploadID
	most int64 // bytes that the node takes

	part   []byte // being filled
	hash   hash.Hash
	piece  int // bytes in hash
	hashes []crypto.Hash
	sent   int64 // bytes handed to the sender
	summed bool
	ended  bool

	parts chan UploadPart
	free  chan []byte
	done  chan struct{}
	mu    sync.Mutex
	err   error // of the sender, or of the writer; nothing can be right after it
}

var errUploadEnded = errors.New("upload has ended")

// partTries is how often a part is sent before the upload is given up.
const partTries = 3

// Upload begins the upload of a content.
func (s store) Upload(ctx context.Context) (ledgerclient.Upload, error) {
	raw, err := s.n.wire.ask(ctx, question{service: ofStore, method: http.MethodPost, path: PathUploads, token: true, status: http.StatusCreated, limit: 40, reads: true})
	if err != nil {
		return nil, err
	}
	begun, err := ParseUploadBegun(raw)
	if err != nil {
		return nil, err
	}
	u := &upload{ctx: ctx, n: s.n, id: begun.Upload, most: int64(begun.Most), hash: sha256.New(), parts: make(chan UploadPart), free: make(chan []byte, 2), done: make(chan struct{})}
	u.part = make([]byte, 0, MaxPart)
	u.free <- nil
	u.free <- nil
	go func() {
		defer crash.Report()
		u.send()
	}()
	return u, nil
}

// send sends parts until there are no more. After an error it only takes them.
func (u *upload) send() {
	defer close(u.done)
	for part := range u.parts {
		if u.failure() == nil {
			u.fail(u.sendPart(&part))
		}
		u.free <- part.Data[:0]
	}
}

// sendPart sends one part, again if it is not known what became of it: the node
// takes a part only where it belongs, and the same one twice for one.
func (u *upload) sendPart(part *UploadPart) error {
	n := len(part.Data)
	return inParts(n, func(int) int { return n }, func(at, end int) (err error) {
		some := UploadPart{Upload: part.Upload, Offset: part.Offset + uint64(at), Data: part.Data[at:end]}
		for range partTries {
			_, err = u.n.wire.ask(u.ctx, question{service: ofStore, method: http.MethodPost, path: PathUploadPart, body: some.Marshal(), token: true, status: http.StatusNoContent})
			if !is[*ledgerclient.UnreachableError](err) || isBusy(err) {
				break
			}
		}
		return err
	})
}

func (u *upload) failure() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

func (u *upload) fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil {
		u.err = err
	}
}

// Write takes the next bytes of the content.
func (u *upload) Write(p []byte) (n int, err error) {
	if u.summed || u.ended {
		return 0, errUploadEnded
	}
	for len(p) > 0 {
		if err := u.failure(); err != nil {
			return n, err
		}
		if u.sent+int64(len(u.part)) >= u.most {
			u.fail(&RefusedError{Kind: KindTooLarge, Limit: u.most})
			continue
		}
		k := min(len(p), cap(u.part)-len(u.part))
		u.part = append(u.part, p[:k]...)
		p, n = p[k:], n+k
		if len(u.part) == cap(u.part) {
			u.flush()
		}
	}
	return n, nil
}

// flush hands the part over and takes an empty one.
func (u *upload) flush() {
	if len(u.part) == 0 {
		return
	}
	for rest := u.part; len(rest) > 0; {
		k := min(len(rest), contract.PieceSize-u.piece)
		if u.piece == 0 {
			u.hash.Reset()
			u.hash.Write([]byte{0}) // RFC 6962: a leaf
		}
		u.hash.Write(rest[:k])
		if u.piece, rest = u.piece+k, rest[k:]; u.piece == contract.PieceSize {
			u.endPiece()
		}
	}
	u.parts <- UploadPart{Upload: u.id, Offset: uint64(u.sent), Data: u.part}
	u.sent += int64(len(u.part))
	if u.part = <-u.free; u.part == nil {
		u.part = make([]byte, 0, MaxPart)
	}
}

func (u *upload) endPiece() {
	u.hashes = append(u.hashes, crypto.Hash(u.hash.Sum(nil)))
	u.piece = 0
}

// Sum returns the size and the tree head of what was written.
func (u *upload) Sum() (int64, crypto.Hash, error) {
	if u.ended {
		return 0, crypto.Hash{}, errUploadEnded
	}
	if !u.summed {
		u.flush()
		if u.piece > 0 {
			u.endPiece()
		}
		close(u.parts)
		<-u.done
		u.summed = true
	}
	if err := u.failure(); err != nil {
		return 0, crypto.Hash{}, err
	}
	if len(u.hashes) == 0 {
		return 0, crypto.Hash{}, errors.New("nothing was uploaded")
	}
	return u.sent, ledgerclient.ContentHead(u.hashes), nil
}

// Commit makes what was written durable as the content of put.Entry.
func (u *upload) Commit(put ledgerclient.Put) error {
	if _, _, err := u.Sum(); err != nil {
		return err
	}
	commit := UploadCommit{Upload: u.id, Put: put}
	if _, err := u.n.wire.ask(u.ctx, question{service: ofStore, method: http.MethodPost, path: PathUploadCommit, body: commit.Marshal(), token: true, status: http.StatusNoContent, reads: true}); err != nil {
		return err
	}
	u.ended = true
	return nil
}

// Abort drops what was written; after Commit it does nothing.
func (u *upload) Abort() error {
	if u.ended {
		return nil
	}
	if !u.summed {
		u.fail(errUploadEnded)
		close(u.parts)
		<-u.done
	}
	u.ended = true
	// Without it the node drops the upload by itself.
	_, err := u.n.wire.ask(context.WithoutCancel(u.ctx), question{service: ofStore, method: http.MethodPost, path: PathUploadAbort, body: u.id[:], token: true, status: http.StatusNoContent})
	if is[*ledgerclient.UnreachableError](err) {
		return nil
	}
	return err
}
