package view

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// VerifyAll checks all of the open ledger's log, not only what concerns this
// wallet: see ledgerclient.Client.VerifyAll. The leaves are kept in the ledger's
// folder, 258 bytes each, so that the next time only new ones are downloaded and
// have their signatures checked. They are public, and all of them are there: the
// file tells nothing of its owner. It returns the head, and how many signatures were
// checked.
func (v *View) VerifyAll(ctx context.Context, progress func(done, total uint64)) (size uint64, root crypto.Hash, signatures uint64, err error) {
	check := func() error {
		if err := v.behind; err != nil {
			return err
		}
		kept := &keptLeaves{Ledger: v.Client.Ledger}
		f, err := v.Home.Open(v.Home.In(leavesFile), os.O_CREATE|os.O_RDWR)
		if err == nil {
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				return err
			}
			kept.f, kept.have = f, min(uint64(info.Size())/contract.LeafSize, v.state.Verified.Size)
		} else {
			v.unwritten = append(v.unwritten, err)
		}
		verify := func(from verified) error {
			s := v.Client.Services
			s.Ledger = kept
			c, err := ledgerclient.Connect(ctx, s, v.Client.ID())
			if err != nil {
				return err
			}
			c.Now = v.Now
			size, root, signatures, err = c.VerifyAll(ctx, from.Size, from.Root, progress)
			return err
		}
		err = verify(v.state.Verified)
		if ledgerclient.Unreachable(err) == nil && errors.As(err, new(*ledgerclient.TamperedError)) && kept.have > 0 {
			// Is it the ledger, or the file?
			kept.have = 0
			err = verify(verified{})
		}
		if err != nil {
			return err
		}
		// It must be the history that the wallet follows.
		if err := v.Client.CheckPrefix(ctx, v.state.Pin.Size, v.state.Pin.Root, ledgerclient.Head{Size: size, Root: root}); err != nil {
			return err
		}
		if kept.f != nil {
			if err := kept.f.Sync(); err != nil {
				kept.failed = err
			}
		}
		if kept.failed != nil {
			v.unwritten = append(v.unwritten, kept.failed)
		}
		v.state.Verified = verified{Size: size, Root: root}
		return nil
	}
	err = check()
	return size, root, signatures, err
}

// keptLeaves is a ledger of which the first leaves are in a file, in order and with
// nothing between them. Nothing of it is believed: whoever reads compares the whole
// with the ledger's signed head.
type keptLeaves struct {
	ledgerclient.Ledger
	f      *os.File // nil: it cannot be written, and nothing is kept
	have   uint64   // leaves in the file
	failed error    // why no more of them could be written
}

// Configs are those of the ledger, if it has any beside the first.
func (k *keptLeaves) Configs(ctx context.Context) ([][]byte, error) {
	if source, ok := k.Ledger.(ledgerclient.Configured); ok {
		return source.Configs(ctx)
	}
	return nil, nil
}

// Leaves reads from the file what is there, and all else from the ledger into it.
func (k *keptLeaves) Leaves(ctx context.Context, from, to uint64) ([]contract.Leaf, error) {
	var out []contract.Leaf
	if from < k.have {
		b := make([]byte, (min(to, k.have)-from)*contract.LeafSize)
		if _, err := k.f.ReadAt(b, int64(from)*contract.LeafSize); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		for ; len(b) > 0; b = b[contract.LeafSize:] {
			leaf, err := contract.ParseLeaf(b[:contract.LeafSize])
			if err != nil {
				k.have = from + uint64(len(out)) // the rest is downloaded again
				break
			}
			out = append(out, leaf)
		}
	}
	if from += uint64(len(out)); from == to {
		return out, nil
	}
	more, err := k.Ledger.Leaves(ctx, from, to)
	if err != nil || from > k.have || k.f == nil || k.failed != nil {
		return append(out, more...), err
	}
	b := make([]byte, 0, len(more)*contract.LeafSize)
	for i := range more {
		raw := more[i].Marshal()
		b = append(b, raw[:]...)
	}
	if _, err := k.f.WriteAt(b, int64(from)*contract.LeafSize); err != nil {
		k.failed = err
	} else {
		k.have = from + uint64(len(more))
	}
	return append(out, more...), nil
}
