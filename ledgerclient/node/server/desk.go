package server

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// desk bounds who works at the folder at once, whose lock one holds at a time and
// others get in the order in which they asked: two, so that one checks signatures
// while the other waits for the disk, and only one while somebody revokes. So a
// revocation waits for one other at a time, however many are in the queue.
type desk struct {
	most int // who work at once; 0: atDesk

	mu       sync.Mutex
	working  int
	revoking int
	queue    []*turn
	now      int            // number of the last who began
	last     map[client]int // the last number given to a client
}

// turn is that of one who waits. The numbers of a client's turns follow on each
// other, and begin with those who are served now: whoever has asked for little comes
// before who has asked for much.
type turn struct {
	from   client
	number int
	begun  bool
	ready  chan struct{}
}

// atDesk is how many work at once. With more the disk is used better, and a revocation
// waits longer for it.
const atDesk = 2

// work does something for a client when its turn has come.
func (d *desk) work(ctx context.Context, c client, do func() error) error {
	t := &turn{from: c, ready: make(chan struct{})}
	d.mu.Lock()
	if d.last == nil {
		d.last = map[client]int{}
	}
	t.number = max(d.now, d.last[c]) + 1
	d.last[c] = t.number
	d.queue = append(d.queue, t)
	d.next()
	d.mu.Unlock()
	select {
	case <-t.ready:
	case <-ctx.Done():
	}
	defer d.end(t)
	if err := ctx.Err(); err != nil {
		return err
	}
	return do()
}

// end takes who is done, or was given up before its turn, from the desk.
func (d *desk) end(t *turn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.begun {
		d.working--
	} else {
		d.queue = slices.DeleteFunc(d.queue, func(q *turn) bool { return q == t })
	}
	d.next()
	if len(d.queue) == 0 {
		clear(d.last)
	}
}

// next lets begin whose turn it is.
func (d *desk) next() {
	most := cmp.Or(d.most, atDesk)
	if d.revoking > 0 {
		most = 1
	}
	for d.working < most && len(d.queue) > 0 {
		t := slices.MinFunc(d.queue, func(a, b *turn) int { return a.number - b.number })
		d.queue = slices.DeleteFunc(d.queue, func(q *turn) bool { return q == t })
		d.working++
		d.now, t.begun = t.number, true
		close(t.ready)
	}
}

// revoke does something at once, and leaves room for it.
func (d *desk) revoke(do func() error) error {
	d.count(1)
	defer d.count(-1)
	return do()
}

func (d *desk) count(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.revoking += n
	d.next()
}
