package server

import (
	"sync"
	"time"
)

// room is something of which there is only so much: requests under way, memory,
// connections, uploads. Where there is no more, who waits for the other side makes some:
// a body that does not come and an answer that is not read must not keep out who is
// there. Of the client that has most, or of the one who comes where it has all that one
// may have, the holder goes that waits longest.
type room struct {
	most, perClient int64
	patience        time.Duration // how long who has no more than who comes is waited for
	uptime          func() time.Duration

	mu   sync.Mutex
	used int64
	of   map[client]int64
	all  map[*holder]struct{}
}

// doing is what a holder does.
type doing uint8

const (
	idle doing = iota // waits for the other side
	firm              // makes room only where its client has more than who comes
	busy              // makes no room
)

// holder is who has something of a room.
type holder struct {
	from  client
	leave func() // ends it, once it has lost what it has

	// Under room.mu.
	has   int64
	doing doing
	since time.Duration // uptime
	gone  bool          // it had to make room
}

func newRoom(most, perClient int64, patience time.Duration, uptime func() time.Duration) room {
	return room{most: most, perClient: perClient, patience: patience, uptime: uptime, of: map[client]int64{}, all: map[*holder]struct{}{}}
}

// take sees to it that a holder has n, from those who have to make room for it. false:
// there is not as much, or it had to make room itself.
func (r *room) take(h *holder, n int64) bool { return r.takeWith(h, n, r.patience, false) }

// takeWith is take with another patience. anyway: also if there is not as much.
func (r *room) takeWith(h *holder, n int64, patience time.Duration, anyway bool) bool {
	r.mu.Lock()
	var out []*holder
	more, ok := n-h.has, !h.gone
	for ok && more > 0 {
		own := r.of[h.from]+more > r.perClient
		if !own && r.used+more <= r.most {
			break
		}
		q := r.leaves(h, own, patience)
		if q == nil {
			ok = anyway
			break
		}
		r.remove(q)
		q.gone = true
		out = append(out, q)
	}
	if ok && more > 0 {
		r.all[h] = struct{}{}
		h.has += more
		r.used += more
		r.of[h.from] += more
		h.since = r.uptime()
	}
	r.mu.Unlock()
	for _, q := range out {
		q.leave()
	}
	return ok
}

// leaves is who has to make room for who comes, nil if nobody has.
func (r *room) leaves(comes *holder, own bool, patience time.Duration) (out *holder) {
	var most int64
	var longest time.Duration
	for h := range r.all {
		if h == comes || h.doing == busy || own && h.from != comes.from {
			continue
		}
		has, waits := r.of[h.from], time.Duration(0)
		if h.doing == idle {
			waits = r.uptime() - h.since
		}
		if has <= r.of[comes.from]+1 {
			if h.doing == firm || waits < patience {
				continue
			}
			has = 0 // all such are alike
		}
		if out == nil || has > most || has == most && waits > longest {
			out, most, longest = h, has, waits
		}
	}
	return out
}

// remove frees what a holder has.
func (r *room) remove(h *holder) {
	if _, ok := r.all[h]; !ok {
		return
	}
	delete(r.all, h)
	r.used -= h.has
	if r.of[h.from] -= h.has; r.of[h.from] == 0 {
		delete(r.of, h.from)
	}
	h.has = 0
}

// give gives back what a holder has.
func (r *room) give(h *holder) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(h)
}

// is takes note of what a holder does from now on, false if it had to make room.
func (r *room) is(h *holder, doing doing) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	h.doing, h.since = doing, r.uptime()
	return !h.gone
}

// dropIdle puts out who has done nothing for so long.
func (r *room) dropIdle(long time.Duration) {
	r.mu.Lock()
	var out []*holder
	for h := range r.all {
		if r.uptime()-h.since > long {
			r.remove(h)
			h.gone = true
			out = append(out, h)
		}
	}
	r.mu.Unlock()
	for _, h := range out {
		h.leave()
	}
}

func (r *room) load() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.used
}
