package node

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// stores is the store at the nodes of a Network. Each payload is at some of them.
type stores struct{ nw *Network }

var _ ledgerclient.BulkStore = stores{}

// Copies is at how many nodes of a ledger a payload is stored, if it has so many.
const Copies = 2

// everywhere does something at as many nodes as there are to be copies, at the same time: at
// the next one where it fails.
func everywhere[T any](ctx context.Context, nw *Network, do func(context.Context, *Node) (T, error)) ([]T, error) {
	nodes := nw.asked()
	done := make([]T, min(Copies, len(nodes)))
	errs := make([]error, len(done)) // of the last node that one asked; nil: it is done, or there was none left
	var left atomic.Int32            // copies that are wanting
	left.Store(int32(len(done)))
	next := make(chan *Node, len(nodes))
	for _, n := range nodes {
		next <- n
	}
	close(next)
	var wg sync.WaitGroup
	var wanting wanting
	for i := range done {
		wg.Go(func() {
			defer crash.Report()
			for n := range next {
				v, err := do(ctx, n)
				if err == nil {
					done[i], errs[i] = v, nil
					left.Add(-1)
					return
				}
				if ctx.Err() != nil {
					errs[i] = ctx.Err()
					return
				}
				nw.failed(n, err, false)
				wanting.hear(err)
				errs[i] = err
			}
		})
	}
	wg.Wait()
	var worst error
	for _, err := range errs {
		if err != nil {
			worst = worse(worst, err)
		}
	}
	if worst == nil && left.Load() > 0 { // there was none left to ask
		worst = wanting.worst()
	}
	return done, wanting.instead(ledgerclient.Liars(nw.config()), ofStore, worst)
}

// PutBlobs is content with one copy where all the others say that the locators lead to something
// else there: who was asked first knows them, and may have put it there to keep this from being
// stored at all. It could as well keep its copy back when it has taken it.
func (s stores) PutBlobs(ctx context.Context, puts []ledgerclient.Put) error {
	took, err := everywhere(ctx, s.nw, func(ctx context.Context, n *Node) (bool, error) {
		err := store{n}.PutBlobs(ctx, puts)
		return err == nil, err
	})
	if refused, ok := errors.AsType[*ledgerclient.StoreError](err); ok && refused.Reason == ledgerclient.BadLocators && slices.Contains(took, true) {
		return nil
	}
	return err
}

// Erase tells one node: each erases what it has when it orders the withdrawal.
func (s stores) Erase(ctx context.Context, withdrawal contract.Entry) error {
	_, err := some(ctx, s.nw, s.nw.asked(), func(ctx context.Context, n *Node) (struct{}, error) {
		return struct{}{}, store{n}.Erase(ctx, withdrawal)
	})
	return err
}

// Blob opens a payload at the first node that has it. It is read on with the caller's context.
func (s stores) Blob(ctx context.Context, loc crypto.Locator) (ledgerclient.Blob, error) {
	nodes := s.nw.asked()
	return some(ctx, s.nw, nodes, func(_ context.Context, n *Node) (ledgerclient.Blob, error) {
		b, err := store{n}.blob(ctx, loc, 0)
		if err != nil {
			return nil, err
		}
		return s.copied(ctx, n, b, loc, nodes), nil
	})
}

// Blobs asks the next node for what one has not. Those of which no answer came are asked once
// more for what no other has.
func (s stores) Blobs(ctx context.Context, locs []crypto.Locator, take func(int, ledgerclient.Blob, error) error) error {
	left := make([]int, len(locs))
	for i := range left {
		left[i] = i
	}
	why := make([]error, len(locs))
	nodes := s.nw.asked()
	ask := func(n *Node, turn time.Duration) (again bool, err error) {
		some := make([]crypto.Locator, len(left))
		for k, i := range left {
			some[k] = locs[i]
		}
		var rest []int
		err = store{n}.blobs(ctx, some, turn, func(k int, b *blob, err error) error {
			if err == nil {
				return take(left[k], s.copied(ctx, n, b, some[k], nodes), nil)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			again = again || turn > 0 && isAway(err)
			s.nw.failed(n, err, false)
			why[left[k]] = worse(why[left[k]], err)
			rest = append(rest, left[k])
			return nil
		})
		left = rest
		return again, err
	}
	turn := s.nw.turn
	if len(nodes) == 1 {
		turn = 0
	}
	var away []*Node
	for ; len(nodes) > 0; nodes, away, turn = away, nil, 0 {
		for _, n := range nodes {
			if len(left) == 0 {
				return nil
			}
			again, err := ask(n, turn)
			if err != nil {
				return err
			}
			if again {
				away = append(away, n)
			}
		}
	}
	for _, i := range left {
		if err := take(i, nil, why[i]); err != nil {
			return err
		}
	}
	return nil
}

// copied is a payload that is read on at the next node where one fails. What is read at once
// is of one of them.
type copied struct {
	nw  *Network
	ctx context.Context
	loc crypto.Locator

	mu    sync.Mutex
	now   *blob
	at    *Node     // of it
	size  int64     // that the reader knows
	left  []*Node   // that may have it too
	again []*Node   // of which no answer came, or that broke off: asked once more, when there is no other
	last  bool      // at is one of those, and has given nothing since
	wrong []doubted // what is not what it should be, if what comes after it is
}

// doubted is a node with what is wrong in what it gave.
type doubted struct {
	n   *Node
	why error
}

var _ ledgerclient.Copied = (*copied)(nil)

// copied is a payload that one of some nodes has.
func (s stores) copied(ctx context.Context, at *Node, b *blob, loc crypto.Locator, nodes []*Node) *copied {
	c := &copied{nw: s.nw, ctx: ctx, loc: loc, now: b, at: at, size: b.size}
	c.left = slices.DeleteFunc(slices.Clone(nodes), func(n *Node) bool { return n == at })
	if len(c.left) > 0 {
		b.turn, b.others = s.nw.turn, true
	}
	return c
}

// Size is what the node says that was asked when it was said.
func (c *copied) Size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}

func (c *copied) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now.Close()
}

// ReadAt reads from where it was read before, or all of it at the next node that has it. Is it
// of another size there, one of the two lies, and nobody knows which: then it is a
// *ledgerclient.TamperedError, and Next goes on with the size of that one.
func (c *copied) ReadAt(p []byte, off int64) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var worst error
	for {
		if c.now.size != c.size {
			return 0, &ledgerclient.TamperedError{What: "payload", Err: errors.New("two nodes have it of different sizes")}
		}
		n, err := c.now.ReadAt(p, off)
		if err == nil || err == io.EOF {
			c.last = false // a long download is not over where every node broke off twice
			return n, err
		}
		if why := c.ctx.Err(); why != nil {
			return 0, why
		}
		worst = worse(worst, err)
		if c.failed(c.at, err, c.last); !c.goOn() {
			return 0, worst
		}
	}
}

// failed takes note of a node that did not give it. last: it is not asked again.
func (c *copied) failed(n *Node, why error, last bool) {
	c.nw.failed(n, why, false)
	if !last && isAway(why) {
		c.again = append(c.again, n)
	}
}

// goOn takes the next node that has it; false: there is none.
func (c *copied) goOn() bool {
	for len(c.left)+len(c.again) > 0 && c.ctx.Err() == nil {
		from, turn, last := &c.left, c.nw.turn, false
		if len(c.left) == 0 {
			from, turn, last = &c.again, 0, true
		}
		n := (*from)[0]
		*from = (*from)[1:]
		b, err := store{n}.blob(c.ctx, c.loc, turn)
		if err != nil {
			c.failed(n, err, last)
			continue
		}
		b.others = true
		c.now.Close()
		c.now, c.at, c.last = b, n, last
		return true
	}
	return false
}

// Next goes on with another copy, of whatever size.
func (c *copied) Next(why error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now.size == c.size { // otherwise none was read of this size
		was := doubted{c.at, why}
		if !c.goOn() {
			return false
		}
		c.wrong = append(c.wrong, was)
	}
	c.size = c.now.size
	return true
}

// Right names who gave what was not.
func (c *copied) Right() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.wrong {
		c.nw.failed(d.n, d.why, true)
	}
	c.wrong = nil
}

// Upload begins the upload of a content to each of the nodes that will have it.
func (s stores) Upload(ctx context.Context) (ledgerclient.Upload, error) {
	all, err := everywhere(ctx, s.nw, func(ctx context.Context, n *Node) (*uploadAt, error) {
		u, err := store{n}.Upload(ctx)
		if err != nil {
			return nil, err
		}
		return &uploadAt{u, n}, nil
	})
	u := &uploads{ctx: ctx, nw: s.nw, want: len(all), all: slices.DeleteFunc(all, func(u *uploadAt) bool { return u == nil })}
	if err != nil {
		u.Abort()
		return nil, err
	}
	return u, nil
}

// uploadAt is an upload to a node.
type uploadAt struct {
	ledgerclient.Upload
	n *Node
}

// uploads are one content on its way to several nodes. One that fails is passed over as long as
// another does what it should: it could keep a copy back, too, when it has taken it. In its place
// the next one is given what that other one has.
type uploads struct {
	ctx    context.Context
	nw     *Network
	want   int         // how many are to have it
	all    []*uploadAt // that have not failed
	failed []*Node
}

// together does something with all of them at the same time.
func (us *uploads) together(do func(u ledgerclient.Upload) error) []error {
	errs := make([]error, len(us.all))
	var wg sync.WaitGroup
	for i, u := range us.all {
		wg.Go(func() {
			defer crash.Report()
			errs[i] = do(u)
		})
	}
	wg.Wait()
	return errs
}

// each does something with all of them, and goes on with those that did it.
func (us *uploads) each(do func(u ledgerclient.Upload) error) error {
	errs := us.together(do)
	if us.ctx.Err() != nil || !slices.Contains(errs, nil) {
		return cmp.Or(errs...)
	}
	var left []*uploadAt
	for i, u := range us.all {
		if errs[i] == nil {
			left = append(left, u)
		} else {
			us.nw.failed(u.n, errs[i], false) // it drops by itself what it has
			us.failed = append(us.failed, u.n)
		}
	}
	us.all = left
	return nil
}

func (us *uploads) Write(p []byte) (int, error) {
	if err := us.each(func(u ledgerclient.Upload) error { _, err := u.Write(p); return err }); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Sum is that of any of them: each hashes what it was given here, and not at the node.
func (us *uploads) Sum() (size int64, head crypto.Hash, err error) {
	if err = us.each(func(u ledgerclient.Upload) error { _, _, err := u.Sum(); return err }); err != nil {
		return 0, head, err
	}
	return us.all[0].Sum()
}

// Commit ends it. That there are fewer copies than there should be is no error: what is there
// is durable.
func (us *uploads) Commit(put ledgerclient.Put) error {
	size, head, err := us.Sum()
	if err == nil {
		err = us.each(func(u ledgerclient.Upload) error { return u.Commit(put) })
	}
	if err != nil {
		return err
	}
	has := us.all[0].n
	for _, n := range us.nw.asked() {
		if len(us.all) == us.want || us.ctx.Err() != nil {
			break
		}
		if slices.Contains(us.failed, n) || slices.ContainsFunc(us.all, func(u *uploadAt) bool { return u.n == n }) {
			continue
		}
		u, by, err := us.hand(has, n, put, size, head)
		if err == nil {
			us.all = append(us.all, &uploadAt{u, n})
		} else if us.ctx.Err() == nil {
			if us.nw.failed(by, err, by == has); by == has {
				break
			}
		}
	}
	return nil
}

// hand gives a node the content that another one has taken, if that is what was sent. by is who
// has failed.
func (us *uploads) hand(has, to *Node, put ledgerclient.Put, size int64, head crypto.Hash) (_ ledgerclient.Upload, by *Node, err error) {
	b, err := store{has}.blob(us.ctx, put.Locators[0], 0)
	if err == nil && b.Size() != size {
		err = &ledgerclient.TamperedError{What: "content"}
	}
	if err != nil {
		return nil, has, err
	}
	defer b.Close()
	u, err := store{to}.Upload(us.ctx)
	if err != nil {
		return nil, to, err
	}
	defer u.Abort()
	var reads error
	_, err = io.Copy(u, io.NewSectionReader(readerAt(func(p []byte, off int64) (n int, err error) {
		if n, err = b.ReadAt(p, off); err != io.EOF {
			reads = err
		}
		return n, err
	}), 0, size))
	if reads != nil {
		return nil, has, reads
	}
	if err != nil {
		return nil, to, err
	}
	if _, of, err := u.Sum(); err != nil {
		return nil, to, err
	} else if of != head {
		return nil, has, &ledgerclient.TamperedError{What: "content"}
	}
	return u, to, u.Commit(put)
}

// readerAt is an io.ReaderAt.
type readerAt func(p []byte, off int64) (int, error)

func (f readerAt) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }

func (us *uploads) Abort() error { return cmp.Or(us.together(ledgerclient.Upload.Abort)...) }
