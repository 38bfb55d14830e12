package order

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

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

var (
	_ ledgerclient.Configured = (*Direct)(nil)
	_ ledgerclient.Witnessed  = (*Direct)(nil)
)

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

// Witnessed returns what the signer had witnesses cosign.
func (d *Direct) Witnessed(ctx context.Context) ([]byte, error) {
	if s, ok := d.signer.(ledgerclient.Witnessed); ok {
		return s.Witnessed(ctx)
	}
	return nil, &ledgerclient.NotFoundError{What: "checkpoint"}
}

// Checkpoint reads on in the order and returns the signer's newest checkpoint.
// Errors: those of Follow and of the signer; *ledgerclient.TamperedError if it is not
// a head of the log that follows from the order; [ledgerclient.ErrStale] if it
// lacks what was ordered hours ago.
func (d *Direct) Checkpoint(ctx context.Context) ([]byte, error) {
	head, err := d.checkpoint(ctx)
	return head.Note, err
}

// checkpoint is Checkpoint with what it says.
func (d *Direct) checkpoint(ctx context.Context) (head ledgerclient.Head, err error) {
	if err := d.Follow(ctx); err != nil {
		return head, err
	}
	if d.signer == nil {
		return readHead(ctx, d.Replica)
	}
	if head, err = readHead(ctx, d.signer); err != nil {
		return head, err
	}
	own, err := readHead(ctx, d.Replica)
	if err == nil && own.Size < head.Size { // the signer has read what was ordered since
		if err = d.Follow(ctx); err == nil {
			own, err = readHead(ctx, d.Replica)
		}
	}
	if err != nil {
		return head, err
	}
	if own.Size < head.Size {
		return head, &ledgerclient.TamperedError{What: "checkpoint", Err: fmt.Errorf("it is of %d entries, and only %d follow from the order", head.Size, own.Size)}
	}
	proof, err := d.ProveConsistency(ctx, head.Size, own.Size)
	if err != nil {
		return head, err
	}
	path := make(tlog.TreeProof, len(proof))
	for i, h := range proof {
		path[i] = tlog.Hash(h)
	}
	if tlog.CheckTree(path, int64(own.Size), tlog.Hash(own.Root), int64(head.Size), tlog.Hash(head.Root)) != nil {
		return head, &ledgerclient.TamperedError{What: "checkpoint", Err: fmt.Errorf("it is not of the %d entries that follow from the order", head.Size)}
	}
	return head, d.kept(ctx, head.Size, own.Size)
}

// readHead is the head of the signer, or of the replica.
func readHead(ctx context.Context, l ledgerclient.Ledger) (ledgerclient.Head, error) {
	note, err := l.Checkpoint(ctx)
	if err != nil {
		return ledgerclient.Head{}, err
	}
	return ledgerclient.Unverified(note) // its signature is checked by who gets it
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
	need, err := readHead(ctx, d.Replica)
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
	late, cancel := context.WithTimeout(ctx, cmp.Or(d.Wait, 20*time.Second))
	defer cancel()
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		head, err := d.checkpoint(ctx)
		if err != nil {
			return nil, err
		}
		if head.Size >= need.Size {
			return out, nil
		}
		select {
		case <-time.After(pause):
			continue
		case <-late.Done():
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return nil, &ledgerclient.UnreachableError{Service: "ledger", Err: fmt.Errorf("its head has %d of the %d entries that follow from the order", head.Size, need.Size)}
	}
}

// Begin appends entry 0 of a new ledger, with its configuration document, to an order, and
// returns the item that it became and the position behind it.
func Begin(ctx context.Context, b Backend, first contract.Entry, genesis []byte) (item Item, next uint64, err error) {
	if err := check(b, genesis); err != nil {
		return item, 0, err
	}
	at, err := b.Configure(ctx, first, string(genesis))
	if err != nil {
		return item, 0, unreachable(err)
	}
	items, err := readFrom(ctx, b, at)
	if err != nil {
		return item, 0, err
	}
	if items[0].Entry != first {
		return item, 0, ErrBroken.With("position", at, "what", Moved)
	}
	return items[0], at + 1, nil
}

// Beginning looks in an order for the first item that can be entry 0 of the ledger with
// that configuration document: accept is asked about each that says so, with the
// position behind it, and is to return a *contract.Refusal for what is none. An order
// without one is an *ledgerclient.TamperedError.
func Beginning(ctx context.Context, b Backend, genesis []byte, accept func(item Item, next uint64) error) error {
	if err := check(b, genesis); err != nil {
		return err
	}
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
