package keeper

import (
	"context"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Release answers a request, by the rules in the package comment. Of several
// reasons to refuse it gives the one that tells most: what cannot change any more
// (revoked, expired) before what may (not yet, no access, no share).
//
// The error is not nil only if there is no answer: the replica or the vault
// cannot be read, the share is not what was deposited, or there is no room to take
// down a stop if one came.
func (k *Keeper) Release(ctx context.Context, r ledgerclient.Request) (ledgerclient.Answer, error) {
	a := ledgerclient.Answer{Request: r.Hash(), Grant: r.Access.Subject}
	id, authentic := r.Access.ID(k.ledger), false
	share, code, head, err := k.shareFor(ctx, a.Grant, id, func(g grant) (code ledgerclient.Code) {
		code, authentic = k.judgeRequest(&r, g)
		return code
	})
	if err != nil {
		return ledgerclient.Answer{}, err
	}
	a.Code, a.Hour, a.Size, a.Root = code, head.Hour, head.Size, head.Root
	if code == ledgerclient.Released {
		a.Sealed, err = crypto.SealShare(crypto.ShareContext{Ledger: k.ledger, Grant: a.Grant, Keeper: k.public, Access: id}, share, r.Response)
		share.Wipe()
		if err != nil {
			return ledgerclient.Answer{}, err // judgeRequest has checked the response key
		}
	}
	ledgerclient.Sign(&a, k.key)
	if authentic && a.Code != ledgerclient.Released {
		if err := k.vault.File(ctx, ledgerclient.Refused{Request: r, Answer: a}, MaxRefused); err != nil {
			return ledgerclient.Answer{}, err
		}
	}
	return a, nil
}

// shareFor is the share of a grant, to be wiped, for somebody with an access, whom asked
// judges before ledger and vault are.
func (k *Keeper) shareFor(ctx context.Context, of, access contract.ID, asked func(g grant) ledgerclient.Code) (share crypto.Share, code ledgerclient.Code, head Head, err error) {
	var g grant
	var leaf *contract.Leaf // of access; nil: not on the ledger
	var index uint64
	err = k.replica.View(ctx, func(v View) (err error) {
		head = v.Head()
		if g, err = lookup(v, of); err != nil || !g.ok {
			return err
		}
		at, ok, err := v.Find(access)
		if err != nil || !ok {
			return err
		}
		l, err := v.Leaf(at)
		if err != nil {
			return err
		}
		leaf, index = &l, at
		return nil
	})
	if err != nil {
		return share, code, head, err
	}
	if code = asked(g); code != ledgerclient.Released {
		return share, code, head, nil
	}
	rec, err := k.vault.Read(ctx, g.Grant)
	if err != nil {
		return share, code, head, err
	}
	code = k.judgeRelease(g, leaf, index, &rec, head)
	switch {
	case code != ledgerclient.Released:
	// What is given is what the grant commits to: whoever signed the deposit was asked when it came.
	case rec.Share.Ledger != k.ledger || rec.Share.Grant != g.ID || !shareFits(rec.Share, &g.opening):
		err = &ledgerclient.TamperedError{What: "share of " + g.ID.String()}
	default:
		if err = k.vault.Stop(ctx, nil); err == nil {
			return rec.Share.Share, code, head, nil
		}
	}
	if rec.Share != nil {
		rec.Share.Share.Wipe()
	}
	return share, code, head, err
}

// judgeRequest judges what is in the request itself. authentic says that the
// grant's counterparty signed it, so that a refusal is worth filing.
func (k *Keeper) judgeRequest(r *ledgerclient.Request, g grant) (code ledgerclient.Code, authentic bool) {
	switch {
	case r.Ledger != k.ledger || r.Keeper != k.public:
		return ledgerclient.BadRequest, false
	case r.Access.Kind != contract.KindAccess || contract.CheckShape(&r.Access) != nil:
		return ledgerclient.BadRequest, false
	case !g.ok:
		return ledgerclient.UnknownGrant, false
	case r.Access.Author != g.state.Counterparty || r.Verify() != nil:
		return ledgerclient.WrongKey, false
	case contract.CheckSignature(k.ledger, &r.Access) != nil:
		return ledgerclient.WrongKey, true
	}
	if _, err := crypto.ParsePubKey(r.Response[:]); err != nil {
		return ledgerclient.BadRequest, true
	}
	return ledgerclient.Released, true
}

// judgeRelease judges an authentic request by time, ledger and vault.
func (k *Keeper) judgeRelease(g grant, access *contract.Leaf, index uint64, rec *Record, head Head) ledgerclient.Code {
	own := k.clock()
	early, late := min(head.Hour, own), max(head.Hour, own)
	switch {
	case g.state.Status == contract.StatusClosed || rec.Stopped:
		return ledgerclient.Revoked
	case late >= g.state.NotAfter:
		return ledgerclient.Expired
	case head.Sure == 0 || access != nil && index >= head.Sure:
		return ledgerclient.StaleHead
	case early < g.state.NotBefore:
		return ledgerclient.NotYet
	case access == nil:
		return ledgerclient.NoAccess
	case uint64(late) >= uint64(access.Hour)+AccessHours:
		return ledgerclient.AccessTooOld
	case rec.ack(ledgerclient.DestroyedShare) != nil:
		return ledgerclient.Destroyed
	case rec.Share == nil:
		return ledgerclient.NoShare
	}
	return ledgerclient.Released
}
