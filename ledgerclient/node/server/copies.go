package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"golang.org/x/mod/sumdb/tlog"
)

// A node mends what its store was given and its disk lost or changed from what other nodes have
// (PROTOCOL.md, "Copies"). It looks after it by itself, and not when somebody reads: who does
// verifies it, and reads it at another node. What it is given has to be what its own log says:
// no node is believed.

const (
	// mendEvery is how often a node looks whether everything is there, for the first time when it
	// has heard where all the others are, or not within hearTime.
	mendEvery = time.Hour
	hearTime  = time.Minute
	// passes is in how many hours all that is stored is read once.
	passes = 30 * 24
	// copyWindow is how far the time in a request of another node may be from this one's.
	copyWindow = 10 * time.Minute
	// copyTime is how long another node may take for a copy, beside the time for its bytes at
	// copySpeed, in bytes a second.
	copyTime  = time.Minute
	copySpeed = 1 << 20
	// noneTime is in what time a node says that it has none. What one takes longer may come to
	// lateTime in a pass, each time that is waited for it among them.
	noneTime = time.Second
	lateTime = 10 * time.Minute
)

// mender are the other nodes in one pass.
type mender struct {
	s     *Server
	sites []node.Site // of those that gave nothing wrong in it, and were not late
	peers map[[32]byte]*node.Peer
	time  time.Duration
	none  time.Duration // in what time a node says that it has none
	// waited are those that were waited for once, which is what each gets in a pass, late is how
	// much longer than none each took in it to say that.
	waited map[[32]byte]bool
	late   lates
	most   time.Duration // of late
}

type lates map[[32]byte]time.Duration

// mender is one to whom so much time is given; peers, waited and late are by checkpoint key.
func (s *Server) mender(time, none time.Duration, sites ...node.Site) *mender {
	return &mender{s: s, sites: sites, peers: map[[32]byte]*node.Peer{}, time: time, none: none, waited: map[[32]byte]bool{}, late: lates{}, most: lateTime}
}

// close ends the connections.
func (m *mender) close() {
	for _, p := range m.peers {
		p.Close()
	}
}

// mending is what a node does every now and then: what is read follows from the pass.
func (s *Server) mending(ctx context.Context) func() {
	pass := rand.Uint64N(passes) // who starts again and again does not always read the same
	return func() {
		select {
		case <-s.sites.met:
		case <-time.After(hearTime): // long ago, but for the first time
		case <-ctx.Done():
			return
		}
		pass++
		if err := s.mend(ctx, func(at uint64) bool { return (at+pass)%passes == 0 }); err != nil && ctx.Err() == nil {
			s.log.Warn("copies", "cause", cause(err))
		}
	}
}

// mend gets anew what is gone, and of the entries that are to be read what is damaged.
func (s *Server) mend(ctx context.Context, read func(at uint64) bool) error {
	m := s.mender(copyTime, noneTime)
	defer m.close()
	s.sites.mu.Lock()
	for _, site := range s.sites.all.All() {
		if site.Node != s.folder.Node() {
			m.sites = append(m.sites, site)
		}
	}
	s.sites.mu.Unlock()
	return m.pass(ctx, rand.Uint64(), read)
}

// pass looks at everything once, from some entry on to the last and then from the first: where
// another node gives nothing right of one, that is not always before the same others. What was
// damaged the last time, and no other node gave, is read each time: what is said to be broken is
// that until it is not.
func (m *mender) pass(ctx context.Context, begin uint64, read func(at uint64) bool) error {
	s := m.s
	head, err := s.folder.Head(ctx)
	broken, before := int64(0), s.broken.Load()
	breaks := func(n int) {
		broken += int64(n)
		s.broken.Store(max(before, broken)) // a pass may take hours
	}
	left := map[uint64]bool{}
	again := func(at uint64) bool { return s.left[at] || read(at) }
	begin %= max(head.Size, 1)
	for from, to := begin, uint64(0); err == nil && from < begin+head.Size; from = to {
		end := begin + head.Size
		if from < head.Size {
			end = head.Size
		}
		to = min(from+1024, end)
		var damaged []ledgerclient.PartOf
		var unread []error
		damaged, unread, err = s.folder.Damaged(ctx, from%head.Size, (to-1)%head.Size+1, again)
		if len(unread) > 0 {
			s.log.Warn("copies", "unread", len(unread), "cause", cause(unread[0]))
			breaks(len(unread))
		}
		for _, of := range damaged {
			at, _, err := s.folder.Find(ctx, of.Entry)
			known := err == nil && s.left[at] // and was counted when it was found
			if !known {
				s.metrics.count(1, "carekey_copies_damaged_total")
			}
			if m.obtain(ctx, of) {
				continue
			}
			breaks(1)
			if err == nil { // it is in the log
				left[at] = true
			}
		}
	}
	if err == nil {
		s.broken.Store(broken)
		s.left = left
		s.metrics.count(1, "carekey_copies_passes_total")
	}
	return err
}

// obtain gets a payload from the first node that has it. One that gives something else, or
// takes too long, is not asked again in this pass: the others have their turn. One that takes
// long to say that it has none may be the only one that has the next, so that it is asked after
// the others, until it took lateTime in all. What fails here is no reason.
func (m *mender) obtain(ctx context.Context, of ledgerclient.PartOf) bool {
	for _, site := range slices.Clone(m.sites) {
		begun, key := time.Now(), site.Node.Checkpoint
		err := m.take(ctx, site, of)
		if wait := retryAfter(err); wait > 0 && !m.waited[key] {
			m.waited[key] = true
			select {
			case <-time.After(wait):
				err = m.take(ctx, site, of)
			case <-ctx.Done():
			}
		}
		if err == nil {
			m.s.metrics.count(1, "carekey_copies_taken_total")
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		m.s.log.Debug("copies", "cause", cause(err))
		_, own := errors.AsType[ownError](err)
		_, none := errors.AsType[*ledgerclient.NotFoundError](err)
		late := time.Since(begun) - m.none
		if own || none && late <= 0 {
			continue
		}
		m.late[key] += max(0, late)
		m.sites = slices.DeleteFunc(m.sites, func(s node.Site) bool { return s.Node == site.Node })
		if none && m.late[key] < m.most {
			m.sites = append(m.sites, site)
		}
	}
	return false
}

// retryAfter is how long another node wants not to be asked, up to a minute; 0: it does not say.
func retryAfter(err error) time.Duration {
	refused, ok := errors.AsType[*node.RefusedError](err)
	if !ok {
		return 0
	}
	return min(time.Duration(refused.RetryAfter)*time.Second, time.Minute)
}

// ownError is of this node: the other one gave nothing wrong.
type ownError struct{ error }

func (e ownError) Unwrap() error { return e.error }

var errNoRoom = ownError{errors.New("no room on the disk")}

// blame makes an error of this node's folder its own, unless it says that what was given is not
// what the entry commits to.
func blame(err error) error {
	e, ok := errors.AsType[*ledgerclient.StoreError](err)
	if err == nil || ok && (e.Reason == ledgerclient.BadPackage || e.Reason == ledgerclient.BadBlob) {
		return err
	}
	return ownError{err}
}

// giving is what another node gives, with the error that ended it.
type giving struct {
	io.Reader
	err error
}

func (g *giving) Read(p []byte) (int, error) {
	n, err := g.Reader.Read(p)
	if err != nil && err != io.EOF {
		g.err = err
	}
	return n, err
}

// take stores what another node gives of a payload.
func (m *mender) take(ctx context.Context, site node.Site, of ledgerclient.PartOf) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	late := time.AfterFunc(m.time, cancel)
	defer late.Stop()
	s := m.s
	r := node.CopyRequest{Ledger: s.folder.ID(), Asked: site.Node.Checkpoint, Node: s.folder.Node().Key, Time: uint64(max(0, s.opt.Clock().Unix())), Of: of}
	r.Sign(s.opt.Sign)
	p := m.peers[r.Asked]
	if p == nil {
		p = node.NewPeer(site.URLs, site.Fingerprint)
		m.peers[r.Asked] = p
	}
	c, err := p.Copy(ctx, &r)
	if err != nil {
		return err
	}
	defer c.Close()
	// Nobody makes this node wait, or keep room, for another size than that of what it asks for,
	// or for more than it would have taken from a client.
	if err := s.folder.CheckCopy(ctx, of, c.Package, c.Size); ctx.Err() != nil {
		return ctx.Err()
	} else if err != nil {
		return blame(err)
	}
	if most := s.limits.Content; c.Size > most+(most/contract.PieceSize+1)*tlog.HashSize {
		return ownError{&node.RefusedError{Kind: node.KindTooLarge, Limit: most}} // once it took that
	}
	late.Reset(m.time + time.Duration(c.Size/copySpeed)*time.Second)
	need := spaceOfFiles(6)
	need.file(int(c.Size) + len(c.Package) + block)
	free, ok := s.disk.take(need)
	if !ok {
		return errNoRoom
	}
	defer free()
	from := &giving{Reader: c}
	err = s.folder.TakeCopy(ctx, of, c.Package, c.Size, from, func(put folder.Putting) error {
		late.Stop() // it has given everything
		return s.desk.work(ctx, client{}, func() error { return s.folder.PutAll(ctx, []folder.Putting{put})[0] })
	})
	if from.err != nil || ctx.Err() != nil {
		return err
	}
	return blame(err)
}

// giveCopy gives another node a payload: whoever is no node of this ledger, that asks this one and
// now, gets nothing.
func (s *Server) giveCopy(q *request) error {
	r, err := node.CopyRequestForm.Parse(q.body)
	if err != nil {
		return err
	}
	if err := q.charge(1); err != nil {
		return err
	}
	apart := s.opt.Clock().Sub(time.Unix(int64(min(r.Time, 1<<40)), 0)).Abs()
	if r.Ledger != s.folder.ID() || r.Asked != s.folder.Node().Checkpoint || r.Node == s.folder.Node().Key || apart > copyWindow || !r.By(s.tokens.members) {
		return refuse(node.KindMalformed)
	}
	pkg, b, err := s.folder.CopyOf(q.Context(), r.Of)
	if err != nil {
		return err
	}
	defer b.Close()
	// What one node is given in all is bounded as what one client stores: it needs no locator.
	if wait, ok := s.buckets.take(clientOf('n', string(r.Node[:])), "copies", s.limits.Bytes, float64(b.Size())); !ok {
		return refuseFor(node.KindQuota, wait)
	}
	head := append(binary.BigEndian.AppendUint32(nil, uint32(len(pkg))), pkg...)
	payload := io.Reader(io.NewSectionReader(b, 0, b.Size()))
	if b.Size() <= uncounted {
		// It is read at once: a place and a file are for work, and not for who reads slowly.
		small := make([]byte, b.Size())
		if _, err := io.ReadFull(payload, small); err != nil {
			return err
		}
		b.Close()
		payload = bytes.NewReader(small)
		q.place.answers(b.Size())
	}
	q.w.Header().Set("Content-Type", node.TypeBinary)
	q.w.Header().Set("Content-Length", strconv.FormatInt(int64(len(head))+b.Size(), 10))
	if _, err := q.w.Write(head); err != nil {
		return nil // who asked is gone
	}
	io.Copy(q.w, payload)
	return nil
}
