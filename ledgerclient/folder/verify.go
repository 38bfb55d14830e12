package folder

import (
	"bytes"
	"context"
	"errors"
	"io/fs"

	"github.com/carekey/carekey/crypto"
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
	h, err := l.durableHead(ctx)
	if err != nil {
		return Report{}, keys, err
	}
	if known.Size > h.size {
		known = Verified{}
	}
	t, err := l.examine(ctx, h.head, known.Size, progress)
	if known.Size > 0 && ctx.Err() == nil && (err != nil || !t.has(known)) {
		known = Verified{}
		_, err = l.examine(ctx, h.head, 0, progress)
	}
	return Report{Verified{h.size, h.root}, h.size - known.Size}, keys, err
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
		return nil, damagedFile(genesisFile, "changed since the ledger was opened")
	}
	l.signing.Lock()
	l.signer = nil
	l.signing.Unlock()
	errs := l.CheckKeys()
	if !l.follows {
		_, err := l.readCurveKey(entryKeyFile, l.config.Nodes[0].Key)
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
