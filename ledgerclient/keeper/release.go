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
	w := wanted{grant: a.Grant, access: id, asked: func(g grant) (code ledgerclient.Code) {
		code, authentic = k.judgeRequest(&r, g)
		return code
	}}
	head, err := k.shares(ctx, &w)
	if err != nil {
		return ledgerclient.Answer{}, err
	}
	a.Code, a.Hour, a.Size, a.Root = w.code, head.Hour, head.Size, head.Root
	if a.Code == ledgerclient.Released {
		a.Sealed, err = crypto.SealShare(crypto.ShareContext{Ledger: k.ledger, Grant: a.Grant, Keeper: k.public, Access: id}, w.share, r.Response)
		w.share.Wipe()
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

// wanted is a share that somebody with an access asks for.
type wanted struct {
	grant, access contract.ID
	asked         func(g grant) ledgerclient.Code // judges before ledger and vault are
	share         crypto.Share                    // to be wiped
	code          ledgerclient.Code

	g     grant
	leaf  *contract.Leaf // of access; nil: not on the ledger
	index uint64
}

// shares finds out which shares are given, all under one head: those whose code is Released.
func (k *Keeper) shares(ctx context.Context, all ...*wanted) (head Head, err error) {
	err = k.replica.View(ctx, func(v View) error {
		head = v.Head()
		for _, w := range all {
			if err := w.find(v); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return head, err
	}
	var open []*wanted
	var of []Grant
	for _, w := range all {
		if w.code = w.asked(w.g); w.code == ledgerclient.Released {
			open, of = append(open, w), append(of, w.g.Grant)
		}
	}
	if len(open) == 0 {
		return head, nil
	}
	recs, err := k.vault.Read(ctx, of...)
	defer func() {
		for i := range recs {
			if rec := &recs[i]; rec.Share != nil && (err != nil || open[i].code != ledgerclient.Released) {
				rec.Share.Share.Wipe()
			}
		}
	}()
	if err != nil {
		return head, err
	}
	given := false
	for i, w := range open {
		rec := &recs[i]
		if w.code = k.judgeRelease(w.g, w.leaf, w.index, rec, head); w.code != ledgerclient.Released {
			continue
		}
		// What is given is what the grant commits to: whoever signed the deposit was asked when it came.
		if rec.Share.Ledger != k.ledger || rec.Share.Grant != w.g.ID || !shareFits(rec.Share, &w.g.opening) {
			return head, &ledgerclient.TamperedError{What: "share of " + w.g.ID.String()}
		}
		w.share, given = rec.Share.Share, true
	}
	if given {
		err = k.vault.Stop(ctx, nil)
	}
	return head, err
}

// find looks up grant and access.
func (w *wanted) find(v View) (err error) {
	if w.g, err = lookup(v, w.grant); err != nil || !w.g.ok {
		return err
	}
	at, ok, err := v.Find(w.access)
	if err != nil || !ok {
		return err
	}
	l, err := v.Leaf(at)
	w.leaf, w.index = &l, at
	return err
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
