package folder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"runtime"
	"slices"
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
	Verified            // the log as it was verified; may be given to the next Verify
	Signatures uint64   // how many entries' signatures were checked this time
	Rebuilt    []string // derived files that had to be made anew since the ledger was opened
}

// Verify checks every byte in the folder that any reader uses: the configuration
// and the keys, the checkpoint's signature, each leaf (shape, signature, rules,
// state root, the log's root), and the derived files byte for byte against what
// the leaves say; then the store and the keeper's files. Signatures of the
// prefix that known describes are not checked again if the log still has it;
// all else is.
//
// The first finding is a *DamagedError that names the entry or the file.
// progress, if not nil, is called from one goroutine at a time with how many
// signatures are done.
//
// The lock is held, shared, while files are compared, which takes some
// microseconds an entry, and not for the signatures.
func (f *Folder) Verify(ctx context.Context, known Verified, progress func(done, total uint64)) (Report, error) {
	report, damaged, err := f.verify(ctx, known, false, progress)
	if err == nil && len(damaged) > 0 {
		err = damaged[0]
	}
	if err != nil {
		return Report{}, err
	}
	return report, nil
}

// verify is Verify that goes on behind damage of the keys, the store and the keeper's
// files, and returns all of it. If anew, it goes on behind damage of the derived files
// too: they are made anew.
func (f *Folder) verify(ctx context.Context, known Verified, anew bool, progress func(done, total uint64)) (Report, []*DamagedError, error) {
	keys, err := f.verifyFixed()
	if err != nil {
		return Report{}, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var report Report
	var tables []*DamagedError
	var sigs *signatureCheck
	err = f.locked(ctx, false, func() error {
		report.Size, report.Root = f.head.size, f.head.root
		report.Rebuilt = append([]string(nil), f.rebuilt...)
		from := uint64(0)
		if known.Size <= f.head.size {
			from = known.Size
		}
		sigs = f.startSignatures(ctx, from, f.head.size, progress)
		err := f.verifyLog(ctx, known, sigs)
		if d := (*DamagedError)(nil); anew && errors.As(err, &d) && d.File != leavesFile && d.File != checkpointFile {
			for _, t := range f.tables.files() {
				t.suspect = true
			}
			f.loaded = false
			tables, err = []*DamagedError{d}, nil
		}
		return err
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
	var inStore, inKeeper findings
	if err == nil {
		err = verifyStore(ctx, f, &inStore)
	}
	if err == nil {
		err = verifyKeeper(ctx, f, &inKeeper)
	}
	return report, slices.Concat(tables, keys, inStore.all, inKeeper.all), err
}

// earlier tells whether a is damage of an entry before that of b.
func earlier(a, b error) bool {
	var x, y *DamagedError
	return errors.As(a, &x) && errors.As(b, &y) && x.Entry != NoEntry && (y.Entry == NoEntry || x.Entry < y.Entry)
}

// verifyFixed checks what never changes: the configuration and the keys.
func (f *Folder) verifyFixed() (damaged []*DamagedError, err error) {
	doc, err := readIn(f.dir, f.path(genesisFile), maxGenesis)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if !bytes.Equal(doc, f.genesis) {
		return nil, &DamagedError{File: genesisFile, Entry: NoEntry, What: "changed since the ledger was opened"}
	}
	f.turn <- struct{}{}
	f.signing.Lock()
	f.signer = nil
	f.signing.Unlock()
	_, err = f.checkpointSigner()
	<-f.turn
	errs := []error{err}
	if !f.follows {
		_, entry := f.readCurveKey(entryKeyFile, f.config.Nodes[0].Key)
		_, keeper := f.readCurveKey(keeperKeyFile, f.config.Keepers[0])
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

// verifyLog does everything but signatures: it builds the derived files from the
// leaves in memory and compares.
func (f *Folder) verifyLog(ctx context.Context, known Verified, sigs *signatureCheck) error {
	raw, err := readIn(f.dir, f.path(checkpointFile), maxCheckpoint)
	if err != nil {
		return err
	}
	if h, err := f.key.parse(raw); err != nil || h.size != f.head.size || h.root != f.head.root {
		return &DamagedError{File: checkpointFile, Entry: NoEntry, What: "signature does not verify"}
	}
	var found error // the first leaf that is wrong by itself
	var edge edge
	var hour contract.Hour
	mem := newTables(f.id, f.tables.params, f.tables.leaves)
	mem.index.clear()
	mem.index.header.extra = f.tables.index.header.extra
	mem.index.limit = mem.index.dataLen(mem.index.header, 0)
	err = f.tables.eachLeaf(0, f.head.size, func(i uint64, leaf *contract.Leaf, raw []byte) error {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		h := tlog.RecordHash(raw)
		edge.add(h)
		if i+1 == known.Size && edge.root() != known.Root {
			sigs.add(0, known.Size) // another prefix than the known one
		}
		if found != nil {
			return nil
		}
		fail := func(what string) { found = &DamagedError{File: leavesFile, Entry: int64(i), What: what} }
		if leaf.Hour < hour {
			fail("ledger hour goes backwards")
			return nil
		}
		hour = leaf.Hour
		if err := contract.CheckShape(&leaf.Entry); err != nil {
			fail(err.Error())
			return nil
		}
		if i == 0 {
			if _, err := contract.CheckGenesis(f.genesis, &leaf.Entry); err != nil {
				fail(err.Error())
				return nil
			}
		}
		id := leaf.Entry.ID(f.id)
		mem.size = i
		if _, _, there, err := mem.find(id); err != nil {
			return err
		} else if there {
			fail("stands in the log before")
			return nil
		}
		if found = mem.replay(i, leaf, id); found != nil {
			if !errors.As(found, new(*DamagedError)) {
				return found
			}
			return nil
		}
		if err := mem.log.add(i, h); err != nil {
			return err
		}
		return mem.index.insert(id, i)
	})
	if err != nil {
		return err
	}
	if edge.root() != f.head.root {
		return f.locate(ctx)
	}
	if found != nil {
		return found
	}
	mem.size = f.head.size
	return f.compareTables(mem)
}

// compareTables compares the derived files with those built in memory.
func (f *Folder) compareTables(mem *tables) error {
	t, size := f.tables, f.head.size
	for i, d := range t.files() {
		want := mem.files()[i]
		if d.flushed() {
			d.drop() // what readers will read is on the disk
			_, ok, err := d.readHeader()
			if err != nil {
				return err
			}
			info, err := d.f.Stat()
			if err != nil {
				return err
			}
			if !ok {
				return &DamagedError{File: d.name, Entry: NoEntry, What: "header is not what was written"}
			}
			if info.Size() != headerSize+want.limit && d.name != t.state.name {
				return &DamagedError{File: d.name, Entry: NoEntry, What: "length"}
			}
		}
		if d.name == t.state.name {
			continue
		}
		err := eachPage(d, want.limit, func(off int64, got []byte) error {
			p, err := want.page(off / pageSize)
			if err != nil {
				return err
			}
			if !bytes.Equal(got, p.b[:len(got)]) {
				return &DamagedError{File: d.name, Entry: NoEntry, What: "not what the leaves say"}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for i := range size {
		if err := f.compareRow(mem, i); err != nil {
			return err
		}
		if len(t.state.pages) > maxPages && t.state.flushed() {
			t.state.drop()
		}
	}
	return nil
}

// eachPage calls fn with the data of a derived file.
func eachPage(d *derived, limit int64, fn func(off int64, b []byte) error) error {
	for off := int64(0); off < limit; off += pageSize {
		p, err := d.page(off / pageSize)
		if err != nil {
			return err
		}
		if err := fn(off, p.b[:min(pageSize, limit-off)]); err != nil {
			return err
		}
		if len(d.pages) > maxPages && d.flushed() {
			d.drop()
		}
	}
	return nil
}

// compareRow compares the row of one entry in the state.
func (f *Folder) compareRow(mem *tables, i uint64) error {
	off := int64(i) * rowSize
	for part := int64(0); part < rowSize; part += recordSize {
		got, err := f.tables.state.read(off+part, recordSize)
		if err != nil {
			return err
		}
		want, err := mem.state.read(off+part, recordSize)
		if err != nil {
			return err
		}
		same := bytes.Equal(got, want)
		if part == 0 && !same && samePaddedRecord(got, want) {
			same, err = f.baseHolds(mem, i, parseRecord(got).base)
			if err != nil {
				return err
			}
		}
		if !same {
			return &DamagedError{File: f.tables.state.name, Entry: int64(i), What: "not what the leaves say"}
		}
	}
	return nil
}

// baseHolds tells whether base can be what was written for a thread: the
// position of one of its follow-ups but the last. Which one depends on when the
// file was synced.
func (f *Folder) baseHolds(mem *tables, i, base uint64) (bool, error) {
	r, err := mem.state.record(i)
	if err != nil || !r.opens() {
		return false, err
	}
	at, err := mem.state.followUps(i, r)
	if err != nil {
		return false, err
	}
	for _, n := range at[:max(len(at), 1)-1] {
		if n == base {
			return true, nil
		}
	}
	return false, nil
}

// signatureCheck checks the signatures of ranges of leaves on all cores.
type signatureCheck struct {
	f        *Folder
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

func (f *Folder) startSignatures(ctx context.Context, from, to uint64, progress func(done, total uint64)) *signatureCheck {
	c := &signatureCheck{f: f, blocks: make(chan [2]uint64), progress: progress}
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
		raw, err := c.f.tables.leaves.read(b[0], b[1])
		if err != nil {
			c.fail(0, err)
			continue
		}
		for i := b[0]; i < b[1] && i < c.limit.Load() && c.ctx.Err() == nil; i++ {
			leaf, err := contract.ParseLeaf(raw[(i-b[0])*contract.LeafSize:][:contract.LeafSize])
			if err == nil {
				err = contract.CheckSignature(c.f.id, &leaf.Entry)
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
