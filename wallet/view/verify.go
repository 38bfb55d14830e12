package view

import (
	"context"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
)

// VerifyAll checks all of the open ledger's log, not only what concerns this
// wallet: see ledgerclient.Client.VerifyAll. All leaves are read; of those up to the head
// that was verified last the signatures are not checked again. It returns the head, and
// how many signatures were checked.
func (v *View) VerifyAll(ctx context.Context, progress func(done, total uint64)) (size uint64, root crypto.Hash, signatures uint64, err error) {
	if v.behind != nil {
		return 0, crypto.Hash{}, 0, v.behind
	}
	size, root, signatures, err = v.Client.VerifyAll(ctx, v.state.Verified.Size, v.state.Verified.Root, progress)
	if err == nil { // it must be the history that the wallet follows
		err = v.Client.CheckPrefix(ctx, v.state.Pin.Size, v.state.Pin.Root, ledgerclient.Head{Size: size, Root: root})
	}
	if err == nil {
		v.state.Verified = verified{Size: size, Root: root}
	}
	return size, root, signatures, err
}
