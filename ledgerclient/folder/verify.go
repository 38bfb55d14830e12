package folder

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"sync/atomic"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient"
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
	var report Report
	var limit atomic.Uint64 // signatures from there on say nothing new
	limit.Store(math.MaxUint64)
	signatures := make(chan error, 1)
	err = l.look(ctx, func() error {
		report.Size, report.Root = l.head.size, l.head.root
		from, err := l.checkLeaves(ctx, l.tables.state, known)
		if err != nil {
			signatures <- nil
			return err
		}
		report.Signatures = l.head.size - from
		go func() {
			defer crash.Report()
			signatures <- l.checkSignatures(ctx, from, report.Size, &limit, progress)
		}()
		err = l.verifyLog(ctx)
		if d := (*DamagedError)(nil); errors.As(err, &d) && d.Entry != NoEntry {
			limit.Store(uint64(d.Entry)) // only an earlier finding counts now
		} else if err != nil {
			limit.Store(0)
		}
		return err
	})
	if report.Size == 0 {
		return report, keys, err // there was nothing to look at
	}
	if serr := <-signatures; err == nil || earlier(serr, err) {
		err = serr
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
func (l *log) verifyLog(ctx context.Context) error {
	raw, err := readIn(l.dir, l.path(checkpointFile), maxCheckpoint)
	if err != nil {
		return err
	}
	if h, err := l.key.parse(raw); err != nil || h.size < l.head.size || h.size == l.head.size && h.root != l.head.root {
		return &DamagedError{File: checkpointFile, Entry: NoEntry, What: "signature does not verify"}
	}
	t := l.tables
	t.reset(l.head.size)
	var hour contract.Hour
	err = t.leaves.each(0, l.head.size, func(i uint64, leaf *contract.Leaf, raw []byte) error {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		fail := func(what string) error { return &DamagedError{File: leavesFile, Entry: int64(i), What: what} }
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
		return t.replay(leaf, id, tlog.RecordHash(raw))
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

// checkSignatures checks those of the leaves [from, to), on all cores, as far as limit. The
// error is the damage of the first, or ctx's.
func (l *log) checkSignatures(ctx context.Context, from, to uint64, limit *atomic.Uint64, progress func(done, total uint64)) error {
	const block = 512
	for at := from; at < to && at < limit.Load(); {
		end := min(at+block, to)
		raw, err := l.tables.leaves.read(at, end)
		if err != nil {
			return err
		}
		var first atomic.Uint64
		first.Store(end)
		ledgerclient.Parallel(int(end-at), func(i int) {
			if ctx.Err() != nil || at+uint64(i) >= min(first.Load(), limit.Load()) {
				return
			}
			leaf, err := contract.ParseLeaf(raw[i*contract.LeafSize:][:contract.LeafSize])
			if err == nil {
				err = contract.CheckSignature(l.id, &leaf.Entry)
			}
			for n := first.Load(); err != nil && at+uint64(i) < n && !first.CompareAndSwap(n, at+uint64(i)); n = first.Load() {
			}
		})
		if err := ctx.Err(); err != nil {
			return err
		}
		if n := first.Load(); n < end {
			return &DamagedError{File: leavesFile, Entry: int64(n), What: "signature does not verify"}
		}
		if at = end; progress != nil {
			progress(at-from, to-from)
		}
	}
	return nil
}
