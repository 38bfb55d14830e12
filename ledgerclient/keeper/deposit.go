package keeper

import (
	"context"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Deposit stores shares. Each must be for this ledger and this keeper, of a grant
// on the replica that is neither over nor revoked, signed by the grant's author,
// with the package that the grant commits to and the share whose hash stands in
// the package at the share's index. So nobody but the author can put a share
// here, nor the author one that does not fit the others.
//
// Refused deposits make the error a *ledgerclient.BatchError of
// *ledgerclient.KeeperError; their receipts are zero. All others are stored, with
// a receipt. After any other error look again: depositing the same is harmless.
func (k *Keeper) Deposit(ctx context.Context, deposits []ledgerclient.Deposit) ([]ledgerclient.Receipt, error) {
	id := func(i int) contract.ID { return deposits[i].Grant }
	grants, head, err := k.grants(ctx, len(deposits), id)
	if err != nil {
		return nil, err
	}
	codes := judged(len(deposits), func(i int) ledgerclient.Code { return k.judgeDeposit(&deposits[i], &grants[i], head) })
	var good []int
	var shares []Share
	for i, code := range codes {
		if code == ledgerclient.Released {
			good = append(good, i)
			shares = append(shares, Share{Deposit: deposits[i], NotAfter: grants[i].NotAfter})
		}
	}
	if len(shares) > 0 {
		held, err := k.vault.Store(ctx, shares)
		if err != nil {
			return nil, err
		}
		for j, i := range good {
			if held[j] {
				continue
			}
			if codes[i], err = k.whyNotHeld(ctx, grants[i].Grant); err != nil {
				return nil, err
			}
		}
	}
	receipts := make([]ledgerclient.Receipt, len(deposits))
	ledgerclient.Parallel(len(deposits), func(i int) {
		if codes[i] != ledgerclient.Released {
			return
		}
		d := &deposits[i]
		receipts[i] = ledgerclient.Receipt{
			Ledger: k.ledger,
			Grant:  d.Grant,
			Keeper: k.public,
			Index:  d.Share.Index,
			Share:  d.Share.Hash(k.ledger, grants[i].state.Author),
			Hour:   head.Hour,
		}
		ledgerclient.Sign(&receipts[i], k.key)
	})
	return receipts, refused(codes, id)
}

// judgeDeposit returns Released if the deposit may be stored.
func (k *Keeper) judgeDeposit(d *ledgerclient.Deposit, g *grant, head Head) ledgerclient.Code {
	switch {
	case d.Ledger != k.ledger || d.Keeper != k.public || d.Share.IsZero() || d.Share.Index == 0:
		return ledgerclient.BadRequest
	case !g.ok:
		return ledgerclient.UnknownGrant
	case d.Verify(g.state.Author) != nil:
		return ledgerclient.WrongKey
	case g.state.Status == contract.StatusClosed:
		return ledgerclient.Revoked
	case head.Hour >= g.NotAfter:
		return ledgerclient.Expired
	}
	if !shareFits(d, &g.opening) {
		return ledgerclient.BadRequest
	}
	return ledgerclient.Released
}

// shareFits reports whether the deposit's package is what the grant commits to and
// lists the share at its index.
func shareFits(d *ledgerclient.Deposit, grant *contract.Entry) bool {
	p, err := contract.ParseGrantPackage(d.Package)
	if err != nil || p.Commitment() != grant.Commitment {
		return false
	}
	i := int(d.Share.Index)
	return i >= 1 && i <= len(p.Shares) && p.Shares[i-1] == d.Share.Hash(d.Ledger, grant.Author)
}

// CheckShare verifies a stored deposit against its grant, which must be an entry
// of the log: signature, package and share hash.
func CheckShare(d *ledgerclient.Deposit, ledger crypto.LedgerID, grant *contract.Entry) bool {
	return d.Ledger == ledger && d.Grant == grant.ID(ledger) &&
		d.Verify(grant.Author) == nil && shareFits(d, grant)
}

// whyNotHeld tells why a vault did not take a share.
func (k *Keeper) whyNotHeld(ctx context.Context, g Grant) (ledgerclient.Code, error) {
	rec, err := k.look(ctx, g)
	switch {
	case err != nil:
		return 0, err
	case rec.Stopped:
		return ledgerclient.Revoked, nil
	case rec.ack(ledgerclient.DestroyedShare) != nil:
		return ledgerclient.Destroyed, nil
	}
	return ledgerclient.BadRequest, nil // another share of this grant is here
}
