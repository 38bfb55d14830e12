package node

import (
	"context"
	"errors"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// upload is one content on its way to the node, part by part. Its pieces are hashed
// here, so that the tree head is not the node's word.
type upload struct {
	ctx  context.Context
	n    *Node
	id   UploadID
	most int64 // bytes that the node takes

	part   []byte // being filled
	hashes []crypto.Hash
	sent   int64 // bytes that the node has
	err    error // nothing can be right after it
	summed bool
	ended  bool
}

var errUploadEnded = errors.New("upload has ended")

// partTries is how often a part is sent before the upload is given up.
const partTries = 3

// Upload begins the upload of a content.
func (s store) Upload(ctx context.Context) (ledgerclient.Upload, error) {
	raw, err := s.n.wire.ask(ctx, question{service: ofStore, path: PathUploads, body: []byte{}, token: true, limit: 40, reads: true})
	if err != nil {
		return nil, err
	}
	begun, err := UploadBegunForm.Parse(raw)
	if err != nil {
		return nil, err
	}
	return &upload{ctx: ctx, n: s.n, id: begun.Upload, most: int64(begun.Most), part: make([]byte, 0, MaxPart)}, nil
}

// sendPart sends one part, again if it is not known what became of it: the node
// takes a part only where it belongs, and the same one twice for one.
func (u *upload) sendPart(offset int64, part []byte) error {
	return inParts(len(part), func(int) int { return len(part) }, func(at, end int) (err error) {
		some := UploadPart{Upload: u.id, Offset: uint64(offset) + uint64(at), Data: part[at:end]}
		for range partTries {
			_, err = u.n.wire.ask(u.ctx, question{service: ofStore, path: PathUploadPart, body: UploadPartForm.Marshal(some), token: true})
			if !is[*ledgerclient.UnreachableError](err) || isBusy(err) {
				break
			}
		}
		return err
	})
}

// Write takes the next bytes of the content.
func (u *upload) Write(p []byte) (n int, err error) {
	if u.summed || u.ended {
		return 0, errUploadEnded
	}
	for len(p) > 0 && u.err == nil {
		if u.sent+int64(len(u.part)) >= u.most {
			u.err = &RefusedError{Kind: KindTooLarge, Limit: u.most}
			break
		}
		k := min(len(p), MaxPart-len(u.part))
		u.part = append(u.part, p[:k]...)
		p, n = p[k:], n+k
		if len(u.part) == MaxPart {
			u.flush()
		}
	}
	return n, u.err
}

// flush sends the part. All but the last have whole pieces.
func (u *upload) flush() {
	if u.err != nil || len(u.part) == 0 {
		return
	}
	for piece := range slices.Chunk(u.part, contract.PieceSize) {
		u.hashes = append(u.hashes, crypto.Hash(tlog.RecordHash(piece)))
	}
	u.err = u.sendPart(u.sent, u.part)
	u.sent += int64(len(u.part))
	u.part = u.part[:0]
}

// Sum returns the size and the tree head of what was written.
func (u *upload) Sum() (int64, crypto.Hash, error) {
	if u.ended {
		return 0, crypto.Hash{}, errUploadEnded
	}
	if !u.summed {
		u.summed = true
		u.flush()
	}
	if u.err != nil {
		return 0, crypto.Hash{}, u.err
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
	put.Blob = nil
	commit := UploadCommitForm.Marshal(UploadCommit{Upload: u.id, Put: put})
	if _, err := u.n.wire.ask(u.ctx, question{service: ofStore, path: PathUploadCommit, body: commit, token: true, reads: true}); err != nil {
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
	u.ended = true
	// Without it the node drops the upload by itself.
	_, err := u.n.wire.ask(context.WithoutCancel(u.ctx), question{service: ofStore, path: PathUploadAbort, body: u.id[:], token: true})
	if is[*ledgerclient.UnreachableError](err) {
		return nil
	}
	return err
}
