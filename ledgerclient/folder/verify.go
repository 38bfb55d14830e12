package folder

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
)

// Verified is a log that was verified.
type Verified struct {
	Size uint64
	Root crypto.Hash
}

// verify checks what never changes and the log. It goes on behind damage of the keys, and
// returns all of that. known is a log that was verified before, and from how many entries of
// it were not checked again: 0 if their bytes are not the same.
func (l *log) verify(ctx context.Context, known Verified, progress func(done, total uint64)) (log Verified, from uint64, damaged []*DamagedError, err error) {
	damaged, err = l.verifyFixed()
	if err != nil {
		return log, 0, nil, err
	}
	h, err := l.durableHead(ctx)
	if err != nil {
		return log, 0, damaged, err
	}
	log = Verified{h.size, h.root}
	if known.Size > 0 && known.Size <= h.size {
		root, err := l.hashAgain(known.Size)
		if err != nil {
			return log, 0, damaged, err
		}
		if root == known.Root {
			from = known.Size
		}
	}
	if from > 0 && from == h.size && known.Root == h.root {
		return log, from, damaged, nil
	}
	t, err := l.rederive(ctx, h.head, from, progress)
	if from > 0 && ctx.Err() == nil && (err != nil || !t.has(known)) {
		from = 0
		_, err = l.rederive(ctx, h.head, 0, progress)
	}
	return log, from, damaged, err
}

// hashAgain is the root of the first leaves as they are in the file now.
func (l *log) hashAgain(size uint64) (crypto.Hash, error) {
	t := tree{level: logLevel, leaves: l.leaves.hashes}
	for range size {
		t.add()
	}
	whole := int(size >> logLevel)
	errs := make([]error, whole)
	ledgerclient.Parallel(whole, func(i int) { _, errs[i] = t.hash(0, uint64(i)) })
	if err := cmp.Or(errs...); err != nil {
		return crypto.Hash{}, err
	}
	return t.root(size)
}

// verifyFixed checks what never changes: the configuration and the keys.
func (l *log) verifyFixed() (damaged []*DamagedError, err error) {
	doc, err := readIn(l.dir, l.path(genesisFile), maxGenesis)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if !bytes.Equal(doc, l.genesis) {
		return nil, damagedFile(genesisFile, "changed since the ledger was opened")
	}
	l.signing.Lock()
	l.signer = nil
	l.signing.Unlock()
	errs := l.CheckKeys()
	if !l.follows {
		_, err := l.readCurveKey(entryKeyFile, l.Node().Key)
		errs = append(errs, err)
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
