package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
)

// uploadIdle is after how long an upload that nobody touches is dropped.
const uploadIdle = 10 * time.Minute

// uploads are the contents on their way. They are in memory only: what a node that
// stops had begun is begun again.
type uploads struct {
	places  room
	ctx     context.Context // theirs: they outlive the requests that carry them
	store   ledgerclient.Store
	content int64

	mu  sync.Mutex
	all map[node.UploadID]*upload // nil: closed
}

// upload is one content. Its mutex is held by the request that works on it.
type upload struct {
	place holder
	mu    sync.Mutex
	to    ledgerclient.Upload // nil: it was committed or dropped
	size  uint64
}

// uploadPatience is how long the next part of an upload is waited for while others
// have no room.
const uploadPatience = time.Minute

func newUploads(ctx context.Context, store ledgerclient.Store, l Limits, uptime func() time.Duration) *uploads {
	return &uploads{
		places: newRoom(int64(l.Uploads), max(1, int64(l.Uploads)/4), uploadPatience, uptime),
		ctx:    ctx, store: store, content: l.Content, all: map[node.UploadID]*upload{},
	}
}

// begin makes a new upload. Where there is no room, the owner with most makes some.
func (u *uploads) begin(owner client) (id node.UploadID, err error) {
	rand.Read(id[:])
	up := &upload{}
	up.place = holder{from: owner, leave: func() {
		u.forget(id)
		up.drop()
	}}
	up.mu.Lock()
	defer up.mu.Unlock()
	u.mu.Lock()
	open := u.all != nil
	if open {
		u.all[id] = up
	}
	u.mu.Unlock()
	if !open || !u.places.take(&up.place, 1) {
		u.forget(id)
		return id, refuseFor(node.KindBusy, 30*time.Second)
	}
	if up.to, err = u.store.Upload(u.ctx); err != nil { // the place is taken before the disk is asked
		u.forget(id)
	}
	return id, err
}

// forget frees the place of an upload.
func (u *uploads) forget(id node.UploadID) {
	u.mu.Lock()
	up := u.all[id]
	delete(u.all, id)
	u.mu.Unlock()
	if up != nil {
		u.places.give(&up.place)
	}
}

// find returns an upload, nil if there is none.
func (u *uploads) find(id node.UploadID) *upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	up := u.all[id]
	if up == nil || !u.places.is(&up.place, idle) {
		return nil
	}
	return up
}

// with does something with an upload that is under way.
func (u *uploads) with(id node.UploadID, do func(up *upload) error) error {
	up := u.find(id)
	if up == nil {
		return notFound("upload")
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	if up.to == nil {
		return notFound("upload")
	}
	return do(up)
}

// write takes the next part. One that ends where the upload does is the last again, whose
// answer was lost: a no-op. Were it another, the content would not be that of its entry.
func (u *uploads) write(p *node.UploadPart) error {
	return u.with(p.Upload, func(up *upload) error {
		end := p.Offset + uint64(len(p.Data))
		switch {
		case end == up.size:
			return nil
		case p.Offset != up.size:
			return &ledgerclient.RangeError{From: p.Offset, To: end, Size: up.size}
		case end > uint64(u.content):
			return &node.RefusedError{Kind: node.KindTooLarge, Limit: u.content}
		}
		if _, err := up.to.Write(p.Data); err != nil {
			u.forget(p.Upload)
			up.abort()
			return err
		}
		up.size = end
		return nil
	})
}

// commit ends an upload, by put. After a refusal by the store, and if it has not begun, it
// can be tried again; after any other error the upload is gone. Where its content is stored
// already the answer to the first commit was lost.
func (u *uploads) commit(c *node.UploadCommit, put func(folder.Putting) (begun bool, err error)) error {
	err := u.with(c.Upload, func(up *upload) error {
		if up.size == 0 {
			return refuse(node.KindMalformed)
		}
		begun, err := put(folder.Putting{Puts: []ledgerclient.Put{c.Put}, Content: up.to})
		if _, refused := errors.AsType[*ledgerclient.StoreError](err); refused || !begun {
			return err
		}
		u.forget(c.Upload)
		if err != nil {
			up.abort()
		}
		up.to = nil
		return err
	})
	if _, gone := errors.AsType[*ledgerclient.NotFoundError](err); gone {
		if b, err := u.store.Blob(u.ctx, c.Put.Locators[0]); err == nil {
			return b.Close()
		}
	}
	return err
}

// abort drops an upload that was not committed.
func (u *uploads) abort(id node.UploadID) {
	if up := u.find(id); up != nil {
		up.place.leave()
	}
}

// abort gives up what was written; what is left the store drops after an hour.
func (up *upload) abort() {
	if up.to != nil {
		up.to.Abort()
		up.to = nil
	}
}

func (up *upload) drop() {
	up.mu.Lock()
	defer up.mu.Unlock()
	up.abort()
}

func (u *uploads) close() {
	u.mu.Lock()
	all := u.all
	u.all = nil
	u.mu.Unlock()
	for _, up := range all {
		u.places.give(&up.place)
		up.drop()
	}
}

func (s *Server) beginUpload(q *request) error {
	return s.storing(q, spaceOfFiles(2), func() error {
		id, err := s.uploads.begin(cmp.Or(q.giver, q.client))
		if err != nil {
			return err
		}
		return q.answer(node.TypeBinary, node.UploadBegunForm.Marshal(node.UploadBegun{Upload: id, Most: uint64(s.limits.Content)}))
	})
}

func (s *Server) uploadPart(q *request, p node.UploadPart) error {
	var need space
	need.file(len(p.Data))
	return s.storing(q, need, func() error { return q.done(s.uploads.write(&p)) })
}

func (s *Server) commitUpload(q *request, c node.UploadCommit) error {
	need := spaceOf([]ledgerclient.Put{c.Put})
	need.bytes += folder.SmallContent // it may be there twice for a moment
	return s.storing(q, need, func() error {
		return q.done(s.uploads.commit(&c, func(p folder.Putting) (bool, error) { return s.put(q, p) }))
	})
}

func (s *Server) abortUpload(q *request, id node.UploadID) error {
	s.uploads.abort(id)
	return q.done(nil)
}
