package folder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// Verified is a log that was verified before. The zero value is none.
type Verified struct {
	Size uint64
	Root crypto.Hash
}

// Report says what Verify found in order.
type Report struct {
	Verified          // the log as it was verified; may be given to the next Verify
	Signatures uint64 // how many entries' signatures were checked this time
}

// verify checks what never changes and the log. It goes on behind damage of the keys, and
// returns all of that.
func (l *log) verify(ctx context.Context, known Verified, progress func(done, total uint64)) (Report, []*DamagedError, error) {
	keys, err := l.verifyFixed()
	if err != nil {
		return Report{}, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var report Report
	var sigs *signatureCheck
	err = l.look(ctx, func() error {
		report.Size, report.Root = l.head.size, l.head.root
		from := uint64(0)
		if known.Size <= l.head.size {
			from = known.Size
		}
		sigs = l.startSignatures(ctx, from, l.head.size, progress)
		return l.verifyLog(ctx, known, sigs)
	})
	if sigs != nil {
		if d := (*DamagedError)(nil); errors.As(err, &d) && d.Entry != NoEntry {
			sigs.lower(uint64(d.Entry)) // only an earlier finding counts now
		} else if err != nil {
			cancel()
		}
		serr := sigs.wait()
		report.Signatures = sigs.total.Load()
		if err == nil || earlier(serr, err) {
			err = serr
		}
	}
	return report, keys, err
}

// earlier reports whether a is damage of an entry before that of b.
func earlier(a, b error) bool {
	var x, y *DamagedError
	return errors.As(a, &x) && errors.As(b, &y) && x.Entry != NoEntry && (y.Entry == NoEntry || x.Entry < y.Entry)
}

// verifyFixed checks what never changes: the configuration and the keys.
func (l *log) verifyFixed() (damaged []*DamagedError, err error) {
	doc, err := readIn(l.dir, l.path(genesisFile), maxGenesis)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if !bytes.Equal(doc, l.genesis) {
		return nil, &DamagedError{File: genesisFile, Entry: NoEntry, What: "changed since the ledger was opened"}
	}
	l.turn <- struct{}{}
	l.signing.Lock()
	l.signer = nil
	l.signing.Unlock()
	_, err = l.checkpointSigner()
	<-l.turn
	errs := []error{err}
	if !l.follows {
		_, entry := l.readCurveKey(entryKeyFile, l.config.Nodes[0].Key)
		_, keeper := l.readCurveKey(keeperKeyFile, l.config.Keepers[0])
		errs = append(errs, entry, keeper)
	}
	for _, err := range errs {
		var d *DamagedError
		switch {
		case errors.As(err, &d):
			damaged = append(damaged, d)
		case err != nil && !errors.Is(err, fs.ErrPermission): // who may not read the keys uses none of them
			return nil, err
		}
	}
	return damaged, nil
}

// verifyLog does everything but signatures.
func (l *log) verifyLog(ctx context.Context, known Verified, sigs *signatureCheck) error {
	raw, err := readIn(l.dir, l.path(checkpointFile), maxCheckpoint)
	if err != nil {
		return err
	}
	if h, err := l.key.parse(raw); err != nil || h.size != l.head.size || h.root != l.head.root {
		return &DamagedError{File: checkpointFile, Entry: NoEntry, What: "signature does not verify"}
	}
	if err := l.checkLeaves(ctx, l.tables.state); err != nil {
		return err
	}
	t := l.tables
	t.reset(l.head.size)
	var edge edge
	var hour contract.Hour
	err = t.leaves.each(0, l.head.size, func(i uint64, leaf *contract.Leaf, raw []byte) error {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		fail := func(what string) error { return &DamagedError{File: leavesFile, Entry: int64(i), What: what} }
		h := tlog.RecordHash(raw)
		if i < known.Size {
			if edge.add(h); i+1 == known.Size && edge.root() != known.Root {
				sigs.add(0, known.Size) // another prefix than the known one
			}
		}
		if leaf.Hour < hour {
			return fail("ledger hour goes backwards")
		}
		hour = leaf.Hour
		if err := contract.CheckShape(&leaf.Entry); err != nil {
			return fail(err.Error())
		}
		if i == 0 {
			if _, err := contract.CheckGenesis(l.genesis, &leaf.Entry); err != nil {
				return fail(err.Error())
			}
		}
		id := leaf.Entry.ID(l.id)
		if _, _, there, err := t.find(id); err != nil {
			return err
		} else if there {
			return fail("stands in the log before")
		}
		return t.replay(leaf, id, h)
	})
	if err == nil {
		err = l.rootsHold()
	}
	if err != nil {
		t.reset(0)
		return err
	}
	l.saved = 0
	l.keep()
	return nil
}

// signatureCheck checks the signatures of ranges of leaves on all cores.
type signatureCheck struct {
	l        *log
	ctx      context.Context
	cancel   context.CancelFunc
	blocks   chan [2]uint64
	wg       sync.WaitGroup
	feed     sync.WaitGroup
	total    atomic.Uint64 // signatures to check, then checked
	limit    atomic.Uint64 // entries from here on need not be checked any more
	progress func(done, total uint64)

	mu    sync.Mutex
	done  uint64
	first error // the damage of the lowest entry, or what kept from reading
	at    uint64
}

// block is how many signatures are handed to a core at a time.
const block = 256

func (l *log) startSignatures(ctx context.Context, from, to uint64, progress func(done, total uint64)) *signatureCheck {
	c := &signatureCheck{l: l, blocks: make(chan [2]uint64), progress: progress}
	c.limit.Store(math.MaxUint64)
	c.ctx, c.cancel = context.WithCancel(ctx)
	for range runtime.GOMAXPROCS(0) {
		c.wg.Go(func() {
			defer crash.Report()
			c.work()
		})
	}
	c.add(from, to)
	return c
}

// add hands out a range without waiting. It must not be called after wait.
func (c *signatureCheck) add(from, to uint64) {
	c.total.Add(to - from)
	c.feed.Go(func() {
		defer crash.Report()
		for ; from < to; from += block {
			select {
			case c.blocks <- [2]uint64{from, min(from+block, to)}:
			case <-c.ctx.Done():
				return
			}
		}
	})
}

func (c *signatureCheck) work() {
	for b := range c.blocks {
		if b[0] >= c.limit.Load() {
			continue
		}
		raw, err := c.l.tables.leaves.read(b[0], b[1])
		if err != nil {
			c.fail(0, err)
			continue
		}
		for i := b[0]; i < b[1] && i < c.limit.Load() && c.ctx.Err() == nil; i++ {
			leaf, err := contract.ParseLeaf(raw[(i-b[0])*contract.LeafSize:][:contract.LeafSize])
			if err == nil {
				err = contract.CheckSignature(c.l.id, &leaf.Entry)
			}
			if err != nil {
				c.fail(i, &DamagedError{File: leavesFile, Entry: int64(i), What: fmt.Sprintf("signature: %v", err)})
				break
			}
		}
		c.mu.Lock()
		c.done += b[1] - b[0]
		if c.progress != nil && c.ctx.Err() == nil {
			c.progress(c.done, c.total.Load())
		}
		c.mu.Unlock()
	}
}

func (c *signatureCheck) fail(at uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first == nil || at < c.at {
		c.first, c.at = err, at
		c.limit.Store(min(at, c.limit.Load()))
	}
}

// lower ends the checks at an entry.
func (c *signatureCheck) lower(at uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit.Store(min(at, c.limit.Load()))
}

// wait returns the damage of the lowest entry, or ctx's error.
func (c *signatureCheck) wait() error {
	c.feed.Wait()
	close(c.blocks)
	c.wg.Wait()
	defer c.cancel()
	if c.first != nil {
		return c.first
	}
	return c.ctx.Err()
}
