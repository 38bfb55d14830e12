package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/node"
)

// uploadIdle is after how long an upload that nobody touches is dropped.
const uploadIdle = 10 * time.Minute

// uploads are the contents on their way. They are in memory only: what a node that
// stops had begun is begun again.
type uploads struct {
	ctx     context.Context // theirs: they outlive the requests that carry them
	store   ledgerclient.Store
	most    int
	perUser int
	content int64
	uptime  func() time.Duration

	mu     sync.Mutex
	all    map[node.UploadID]*upload
	closed bool
}

// upload is one content. Its mutex is held by the request that works on it.
type upload struct {
	owner client

	mu   sync.Mutex
	to   ledgerclient.Upload // nil: it was committed or dropped
	size uint64
	last [32]byte // hash of the last part, for one that is sent twice
	from uint64   // where the last part began

	// Under uploads.mu.
	committed bool
	used      time.Duration // uptime when it was last touched
}

func newUploads(ctx context.Context, store ledgerclient.Store, l Limits, uptime func() time.Duration) *uploads {
	return &uploads{
		ctx: ctx, store: store, most: l.Uploads, perUser: max(1, l.Uploads/4), content: l.Content,
		uptime: uptime, all: map[node.UploadID]*upload{},
	}
}

// uploadPatience is how long the next part of an upload is waited for while others
// have no room.
const uploadPatience = time.Minute

// begin makes a new upload. Where there is no room, the owner with most makes some.
func (u *uploads) begin(owner client) (id node.UploadID, err error) {
	u.mu.Lock()
	dropped, ok := u.makeRoom(owner)
	if !ok {
		u.mu.Unlock()
		return id, refuseFor(node.KindBusy, 30*time.Second)
	}
	rand.Read(id[:])
	up := &upload{owner: owner, used: u.uptime()}
	up.mu.Lock()
	defer up.mu.Unlock()
	u.all[id] = up // the place is taken before the disk is asked
	u.mu.Unlock()
	for _, old := range dropped {
		old.drop()
	}
	if up.to, err = u.store.Upload(u.ctx); err != nil {
		u.forget(id)
	}
	return id, err
}

// makeRoom takes out what has to leave for a new upload, false if nothing can.
func (u *uploads) makeRoom(owner client) (dropped []*upload, ok bool) {
	if u.closed {
		return nil, false
	}
	for _, committed := range []bool{false, true} {
		of, n := map[client]int{}, 0
		for _, up := range u.all {
			if up.committed == committed {
				of[up.owner]++
				n++
			}
		}
		most, perOwner := u.most, u.perUser
		if committed {
			most, perOwner = 64*u.most, 64*u.most
		}
		own := of[owner] >= perOwner
		if !own && n < most {
			continue
		}
		var victim node.UploadID
		var out *upload
		for id, up := range u.all {
			richer := of[up.owner] > of[owner]+1
			if up.committed != committed || own && up.owner != owner ||
				!committed && !richer && u.uptime()-up.used < uploadPatience {
				continue
			}
			if out == nil || of[up.owner] > of[out.owner] || of[up.owner] == of[out.owner] && up.used < out.used {
				victim, out = id, up
			}
		}
		if out == nil {
			return dropped, false
		}
		delete(u.all, victim)
		dropped = append(dropped, out)
	}
	return dropped, true
}

func (u *uploads) forget(id node.UploadID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.all, id)
}

// find returns an upload, and whether it was committed already.
func (u *uploads) find(id node.UploadID) (up *upload, committed bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	up = u.all[id]
	if up == nil {
		return nil, false, notFound("upload")
	}
	up.used = u.uptime()
	return up, up.committed, nil
}

// write takes the next part. The same part again is a no-op, since its answer may
// have been lost.
func (u *uploads) write(p *node.UploadPart) error {
	up, _, err := u.find(p.Upload)
	if err != nil {
		return err
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	if up.to == nil {
		return notFound("upload")
	}
	hash := sha256.Sum256(p.Data)
	end := p.Offset + uint64(len(p.Data))
	switch {
	case end == up.size && p.Offset == up.from && hash == up.last && up.size > 0:
		return nil
	case p.Offset != up.size:
		return &ledgerclient.RangeError{From: p.Offset, To: end, Size: up.size}
	case end > uint64(u.content):
		return &node.RefusedError{Kind: node.KindTooLarge, Limit: u.content}
	}
	if _, err := up.to.Write(p.Data); err != nil {
		up.to.Abort()
		up.to = nil
		u.forget(p.Upload)
		return err
	}
	up.from, up.size, up.last = p.Offset, end, hash
	return nil
}

// commit ends an upload. After a refusal by the store it can be tried again; after
// any other error the upload is gone.
func (u *uploads) commit(c *node.UploadCommit) error {
	up, committed, err := u.find(c.Upload)
	if err != nil || committed {
		return err
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	if up.to == nil {
		if _, committed, _ := u.find(c.Upload); committed {
			return nil // by another request that was faster
		}
		return notFound("upload")
	}
	if up.size == 0 {
		return refuse(node.KindMalformed)
	}
	err = up.to.Commit(c.Put)
	if _, refused := errors.AsType[*ledgerclient.StoreError](err); refused {
		return err
	}
	if err != nil {
		up.to.Abort()
		up.to = nil
		u.forget(c.Upload)
		return err
	}
	up.to = nil
	u.mu.Lock()
	up.committed = true
	u.mu.Unlock()
	return nil
}

// abort drops an upload that was not committed.
func (u *uploads) abort(id node.UploadID) {
	u.mu.Lock()
	up := u.all[id]
	if up == nil || up.committed {
		u.mu.Unlock()
		return
	}
	delete(u.all, id)
	u.mu.Unlock()
	up.drop()
}

func (up *upload) drop() {
	up.mu.Lock()
	defer up.mu.Unlock()
	if up.to != nil {
		up.to.Abort() // what is left the store drops after an hour
		up.to = nil
	}
}

// dropIdle drops what nobody touched for a while, and forgets what was committed.
func (u *uploads) dropIdle() {
	u.mu.Lock()
	now := u.uptime()
	var idle []*upload
	for id, up := range u.all {
		if now-up.used > uploadIdle {
			idle = append(idle, up)
			delete(u.all, id)
		}
	}
	u.mu.Unlock()
	for _, up := range idle {
		up.drop()
	}
}

func (u *uploads) close() {
	u.mu.Lock()
	u.closed = true
	all := u.all
	u.all = map[node.UploadID]*upload{}
	u.mu.Unlock()
	for _, up := range all {
		up.drop()
	}
}

func (u *uploads) open() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for _, up := range u.all {
		if !up.committed {
			n++
		}
	}
	return n
}

func (s *Server) beginUpload(q *request) error {
	if err := q.charge(0); err != nil {
		return err
	}
	free, err := s.quota(q, spaceOfFiles(2))
	if err != nil {
		return err
	}
	defer free()
	id, err := s.uploads.begin(q.client)
	if err != nil {
		return err
	}
	q.w.Header().Set("Content-Type", node.TypeBinary)
	q.w.WriteHeader(http.StatusCreated)
	q.w.Write(node.UploadBegunForm.Marshal(node.UploadBegun{Upload: id, Most: uint64(s.limits.Content)}))
	return nil
}

func (s *Server) uploadPart(q *request) error {
	p, err := node.UploadPartForm.Parse(q.body)
	if err != nil {
		return err
	}
	if err := q.charge(0); err != nil {
		return err
	}
	var need space
	need.file(len(p.Data))
	free, err := s.quota(q, need)
	if err != nil {
		return err
	}
	defer free()
	if err := s.uploads.write(&p); err != nil {
		return err
	}
	return q.done()
}

func (s *Server) commitUpload(q *request) error {
	c, err := node.UploadCommitForm.Parse(q.body)
	if err != nil {
		return err
	}
	if err := q.charge(1); err != nil {
		return err
	}
	free, err := s.quota(q, spaceOf([]ledgerclient.Put{c.Put}))
	if err != nil {
		return err
	}
	defer free()
	if err := q.at(&s.desk, func() error { return s.uploads.commit(&c) }); err != nil {
		return err
	}
	return q.done()
}

func (s *Server) abortUpload(q *request) error {
	id, err := node.UploadIDForm.Parse(q.body)
	if err != nil {
		return err
	}
	if err := q.charge(0); err != nil {
		return err
	}
	s.uploads.abort(id)
	return q.done()
}
