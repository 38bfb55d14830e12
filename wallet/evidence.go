package wallet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet/atomicfile"
)

// is tells whether an error of type E is in err's chain.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// keepEvidence writes the proof that comes with the error of a forked ledger to a
// file beside the wallet's own, so that its owner can show it to others. It tells
// of nobody: only configurations and signed heads are in it. The same two histories
// yield one file however often they are met.
func (w *Wallet) keepEvidence(err error) error {
	fork, ok := errors.AsType[*ledgerclient.ForkError](err)
	if !ok || fork.Evidence == nil {
		return err
	}
	f, cerr := fork.Evidence.Check()
	if cerr != nil {
		return errors.Join(err, cerr)
	}
	path := filepath.Join(w.home.Dir, fmt.Sprintf("evidence-%x-%x", f.Older.Root[:4], f.Root[:4]))
	if _, serr := os.Stat(path); serr != nil {
		if werr := atomicfile.Write(path, fork.Evidence.Marshal(), 0o600); werr != nil {
			return errors.Join(err, werr)
		}
	}
	return &EvidenceError{File: path, Err: err}
}
