package order

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// Direct is a ledger whose order a wallet reads and appends to itself, without
// anybody in between, while somebody beside the order keeps what an order does not:
// the store, the keepers, and the key that signs heads. The leaves are those of the
// wallet's own replica. A head that another node signs is passed on only if it is of
// that very log, so that neither the node nor whoever keeps the order can add, drop
// or change anything alone.
type Direct struct {
	*Ledger
	url    string
	signer ledgerclient.Ledger

	// Wait is how long Append waits for the signer to have read what was ordered. 0:
	// 20 seconds.
	Wait time.Duration
}

var _ ledgerclient.Configured = (*Direct)(nil)

// NewDirect joins the ledger of an order at that URL with who signs its heads. nil:
// the ledger's replica does so itself, it is the folder with the ledger's keys.
func NewDirect(url string, l *Ledger, signer ledgerclient.Ledger) *Direct {
	return &Direct{Ledger: l, url: url, signer: signer}
}

// Beside returns the properties of a ledger whose order is at that URL, where p are
// those of who keeps the rest.
func Beside(url string, p ledgerclient.Properties) ledgerclient.Properties {
	p.Reach, p.Clock = Shown(url)+", beside it "+p.Reach, "order"
	return p
}

// Properties are those of the signer, see Beside.
func (d *Direct) Properties() ledgerclient.Properties {
	if d.signer == nil {
		return Beside(d.url, d.Replica.Properties())
	}
	return Beside(d.url, d.signer.Properties())
}

// Configs returns the signer's later configuration documents.
func (d *Direct) Configs(ctx context.Context) ([][]byte, error) {
	if s, ok := d.signer.(ledgerclient.Configured); ok {
		return s.Configs(ctx)
	}
	return nil, nil
}

// Checkpoint reads on in the order and returns the signer's newest checkpoint.
// Errors: those of Follow and of the signer; *ledgerclient.TamperedError if it is not
// a head of the log that follows from the order; [ledgerclient.ErrStale] if it
// lacks what was ordered hours ago.
func (d *Direct) Checkpoint(ctx context.Context) ([]byte, error) {
	note, _, err := d.checkpoint(ctx)
	return note, err
}

// checkpoint is Checkpoint with the size of the head.
func (d *Direct) checkpoint(ctx context.Context) (note []byte, size uint64, err error) {
	if err := d.Follow(ctx); err != nil {
		return nil, 0, err
	}
	if d.signer == nil {
		note, err = d.Replica.Checkpoint(ctx)
		if err == nil {
			size, _, err = readHead(note)
		}
		return note, size, err
	}
	if note, err = d.signer.Checkpoint(ctx); err != nil {
		return nil, 0, err
	}
	size, root, err := readHead(note)
	if err != nil {
		return nil, 0, err
	}
	own, ownRoot, err := d.own(ctx)
	if err == nil && own < size { // the signer has read what was ordered since
		if err = d.Follow(ctx); err == nil {
			own, ownRoot, err = d.own(ctx)
		}
	}
	if err != nil {
		return nil, 0, err
	}
	if own < size {
		return nil, 0, &ledgerclient.TamperedError{What: "checkpoint", Err: fmt.Errorf("it is of %d entries, and only %d follow from the order", size, own)}
	}
	proof, err := d.ProveConsistency(ctx, size, own)
	if err != nil {
		return nil, 0, err
	}
	path := make(tlog.TreeProof, len(proof))
	for i, h := range proof {
		path[i] = tlog.Hash(h)
	}
	if tlog.CheckTree(path, int64(own), tlog.Hash(ownRoot), int64(size), tlog.Hash(root)) != nil {
		return nil, 0, &ledgerclient.TamperedError{What: "checkpoint", Err: fmt.Errorf("it is not of the %d entries that follow from the order", size)}
	}
	return note, size, d.kept(ctx, size, own)
}

// own is the head of the replica.
func (d *Direct) own(ctx context.Context) (size uint64, root crypto.Hash, err error) {
	note, err := d.Replica.Checkpoint(ctx)
	if err != nil {
		return 0, root, err
	}
	return readHead(note)
}

// kept reports whether a head of that size leaves out what the signer has had time
// enough to read: it would hide a revocation with a time that is fresh.
func (d *Direct) kept(ctx context.Context, size, own uint64) error {
	if size == own {
		return nil
	}
	leaves, err := d.Leaves(ctx, size, size+1)
	if err != nil {
		return err
	}
	if over := leaves[0].Hour + 1; over+maxAhead <= d.hour() {
		return ledgerclient.ErrStale.With("age", d.clock().Sub(time.Unix(int64(over)*3600, 0)))
	}
	return nil
}

// readHead reads the size and the root of a checkpoint; its signature is checked by
// whoever it is passed on to.
func readHead(note []byte) (size uint64, root crypto.Hash, err error) {
	malformed := &ledgerclient.TamperedError{What: "checkpoint", Err: errors.New("not a checkpoint")}
	lines := bytes.SplitN(note, []byte{'\n'}, 4)
	if len(lines) < 4 {
		return 0, root, malformed
	}
	n, err := strconv.ParseInt(string(lines[1]), 10, 64)
	if err != nil || n < 1 {
		return 0, root, malformed
	}
	h, err := tlog.ParseHash(string(lines[2]))
	if err != nil {
		return 0, root, malformed
	}
	return uint64(n), crypto.Hash(h), nil
}

// Append orders the entries and waits until the signer's head has them: the keepers
// beside it must have read what they are asked about. A signer that does not come to
// it in time is an *ledgerclient.UnreachableError; the entries stay ordered. Other
// errors: those of Ledger.Append and of Checkpoint.
func (d *Direct) Append(ctx context.Context, entries []contract.Entry) ([]ledgerclient.Outcome, error) {
	out, err := d.Ledger.Append(ctx, entries)
	if err != nil || d.signer == nil {
		return out, err
	}
	// Of a refusal the head must show the reason too.
	need, _, err := d.own(ctx)
	if err != nil {
		return nil, err
	}
	var news []contract.Entry
	for i := range out {
		if out[i].Refusal == nil {
			news = append(news, entries[i])
		}
	}
	// Whoever follows the order finds them there already: being told of them only
	// makes it look now. What it answers does not matter, its head does.
	if len(news) > 0 {
		d.signer.Append(ctx, news)
	}
	wait := d.Wait
	if wait == 0 {
		wait = 20 * time.Second
	}
	late := time.NewTimer(wait)
	defer late.Stop()
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		_, size, err := d.checkpoint(ctx)
		if err != nil {
			return nil, err
		}
		if size >= need {
			return out, nil
		}
		again := time.NewTimer(pause)
		select {
		case <-again.C:
		case <-late.C:
			again.Stop()
			return nil, &ledgerclient.UnreachableError{Service: "ledger", Err: fmt.Errorf("its head has %d of the %d entries that follow from the order", size, need)}
		case <-ctx.Done():
			again.Stop()
			return nil, ctx.Err()
		}
	}
}

// Begin appends entry 0 of a new ledger to an order, and returns the item that it
// became and the position behind it.
func Begin(ctx context.Context, b Backend, first contract.Entry) (item Item, next uint64, err error) {
	at, err := b.Append(ctx, []contract.Entry{first})
	if err != nil {
		return item, 0, unreachable(err)
	}
	if len(at) != 1 {
		return item, 0, ErrBroken.With("position", 0, "what", Moved)
	}
	items, err := readFrom(ctx, b, at[0])
	if err != nil {
		return item, 0, err
	}
	if items[0].Entry != first {
		return item, 0, ErrBroken.With("position", at[0], "what", Moved)
	}
	return items[0], at[0] + 1, nil
}

// Beginning looks in an order for the first item that can be entry 0 of the ledger with
// that configuration document: accept is asked about each that says so, with the
// position behind it, and is to return a *contract.Refusal for what is none. An order
// without one is an *ledgerclient.TamperedError.
func Beginning(ctx context.Context, b Backend, genesis []byte, accept func(item Item, next uint64) error) error {
	head, err := b.Head(ctx)
	if err != nil {
		return unreachable(err)
	}
	commitment := contract.ConfigCommitment(genesis)
	for at := uint64(0); at < head; {
		items, err := readFrom(ctx, b, at)
		if err != nil {
			return err
		}
		for _, item := range items {
			at++
			if item.Entry.Kind != contract.KindConfig || item.Entry.Commitment != commitment {
				continue
			}
			err := accept(item, at)
			if refused := (*contract.Refusal)(nil); errors.As(err, &refused) {
				continue
			}
			return err
		}
	}
	return &ledgerclient.TamperedError{What: "order", Err: errors.New("the ledger does not begin in it")}
}
