package keeper

import (
	"context"
	"slices"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Revoke takes revocations signed by the authors of their grants. Before anything
// else they are marked as stopped, durably: nothing is released from then on,
// whether the ledger has ordered the revocation yet or not, so that whoever
// orders cannot delay it. A grant that is revoked on the replica also has its
// share destroyed. (Where no share ever came, none is taken any more, which is
// acknowledged in the same way.) The same again yields the acknowledgement that
// was filed. Where the stop cannot be made durable nothing is acknowledged, and of
// the grant nothing is released all the same.
//
// Refused entries make the error a *ledgerclient.BatchError of
// *ledgerclient.KeeperError, their acknowledgements are zero.
func (k *Keeper) Revoke(ctx context.Context, revocations []contract.Entry) ([]ledgerclient.Acknowledgement, error) {
	id := func(i int) contract.ID { return revocations[i].Subject }
	grants, head, err := k.grants(ctx, len(revocations), id)
	if err != nil {
		return nil, err
	}
	codes := judged(len(revocations), func(i int) ledgerclient.Code { return k.judgeRevocation(&revocations[i], &grants[i]) })
	ends := make([]ledgerclient.End, len(revocations))
	var stops []contract.Entry
	var over []Grant
	for i, code := range codes {
		if code != ledgerclient.Released {
			continue
		}
		stops = append(stops, revocations[i])
		ends[i] = ledgerclient.Stopped
		if grants[i].state.Status == contract.StatusClosed {
			ends[i] = ledgerclient.DestroyedShare
			over = append(over, grants[i].Grant)
		}
	}
	if len(stops) == 0 {
		return make([]ledgerclient.Acknowledgement, len(revocations)), refused(codes, id)
	}
	if err := k.vault.Stop(ctx, stops); err != nil {
		return nil, err
	}
	if len(over) > 0 {
		if err := k.vault.Destroy(ctx, over); err != nil {
			return nil, err
		}
	}
	acks, err := k.acknowledge(ctx, grants, ends, head)
	if err != nil {
		return nil, err
	}
	return acks, refused(codes, id)
}

func (k *Keeper) judgeRevocation(e *contract.Entry, g *grant) ledgerclient.Code {
	switch {
	case e.Kind != contract.KindRevoke || contract.CheckShape(e) != nil:
		return ledgerclient.BadRequest
	case !g.ok:
		return ledgerclient.UnknownGrant
	case e.Author != g.state.Author || contract.CheckSignature(k.ledger, e) != nil:
		return ledgerclient.WrongKey
	}
	return ledgerclient.Released
}

// acknowledge returns one acknowledgement per grant with an end, filed: the one
// that was filed before where there is one. What is held of a grant and cannot be read
// is an error when those of the others are filed.
func (k *Keeper) acknowledge(ctx context.Context, grants []grant, ends []ledgerclient.End, head Head) ([]ledgerclient.Acknowledgement, error) {
	acks := make([]ledgerclient.Acknowledgement, len(grants))
	var fresh []int
	var unread error
	for i, end := range ends {
		if end == 0 {
			continue
		}
		rec, err := k.look(ctx, grants[i].Grant)
		if err != nil {
			unread = err
			continue
		}
		if a := rec.ack(end); a != nil {
			acks[i] = *a
			continue
		}
		fresh = append(fresh, i)
	}
	file := make([]ledgerclient.Acknowledgement, len(fresh))
	ledgerclient.Parallel(len(fresh), func(j int) {
		i := fresh[j]
		file[j] = ledgerclient.Acknowledgement{Ledger: k.ledger, Grant: grants[i].ID, Keeper: k.public, End: ends[i], Hour: head.Hour}
		ledgerclient.Sign(&file[j], k.key)
		acks[i] = file[j]
	})
	if len(file) > 0 {
		if err := k.vault.Acknowledge(ctx, file); err != nil {
			return nil, err
		}
	}
	return acks, unread
}

// Sweep destroys the shares of all grants that are revoked on the replica or
// whose window ended at least GraceHours ago, and says how many. It goes by
// ledger time alone: a keeper whose own clock jumps ahead must not destroy what
// patients still need.
func (k *Keeper) Sweep(ctx context.Context) (int, error) {
	held, unread := k.vault.Held(ctx)
	destroyed := 0
	for chunk := range slices.Chunk(held, sweepChunk) {
		n, err := k.sweep(ctx, chunk)
		destroyed += n
		if err != nil {
			return destroyed, err
		}
	}
	return destroyed, unread
}

// sweepChunk is how many shares are looked at under one view of the replica: others
// wait for it, and there may be a million.
const sweepChunk = 256

func (k *Keeper) sweep(ctx context.Context, held []Grant) (int, error) {
	grants, head, err := k.grants(ctx, len(held), func(i int) contract.ID { return held[i].ID })
	if err != nil {
		return 0, err
	}
	var over []grant
	var shares []Grant
	var ends []ledgerclient.End
	for i, g := range grants {
		// A share of a grant that the replica does not have is left alone: a
		// replica that is behind must not destroy anything. And what counts is the
		// window on the ledger, not the one that the share is filed under.
		if g.ok && (g.state.Status == contract.StatusClosed || uint64(head.Hour) >= uint64(g.NotAfter)+GraceHours) {
			g.Grant = held[i]
			over, shares, ends = append(over, g), append(shares, g.Grant), append(ends, ledgerclient.DestroyedShare)
		}
	}
	if len(over) == 0 {
		return 0, nil
	}
	if err := k.vault.Destroy(ctx, shares); err != nil {
		return 0, err
	}
	if _, err := k.acknowledge(ctx, over, ends, head); err != nil {
		return 0, err
	}
	return len(over), nil
}
