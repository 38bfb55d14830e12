package ledgertest

import (
	"context"
	"errors"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// stoppedShare revokes a grant whose share is held, first at the keeper alone and
// then on the ledger. From the first moment on the keeper gives neither the share nor
// a receipt for it.
func stoppedShare(ctx context.Context, r *run) error {
	if r.Keeper == nil {
		return skip("the harness opens no keeper")
	}
	if err := r.start(); err != nil {
		return err
	}
	l, err := r.ledger(ctx)
	if err != nil {
		return err
	}
	k, err := r.Keeper(ctx)
	if err != nil {
		return err
	}
	if c, ok := k.(interface{ Close() error }); ok {
		r.opened = append(r.opened, c)
	}
	doc, err := l.Genesis(ctx)
	if err != nil {
		return err
	}
	config, err := contract.ParseConfig(doc)
	if err != nil {
		return err
	}
	g, err := newDeposited(config.LedgerID(), k.Key(), r.seed(), contract.Hour(r.clock().Unix()/3600))
	if err != nil {
		return err
	}
	for _, e := range []contract.Entry{g.opening, g.access} {
		if err := accepted(ctx, l, e); err != nil {
			return err
		}
	}
	if _, err := k.Deposit(ctx, []ledgerclient.Deposit{g.deposit}); err != nil {
		return err
	}
	if a, err := k.Release(ctx, g.request); err != nil || a.Code != ledgerclient.Released {
		return failf("the share of an open grant: %s (%v)", a.Code, err)
	}
	refused := func(when string, codes ...ledgerclient.Code) error {
		receipts, err := k.Deposit(ctx, []ledgerclient.Deposit{g.deposit})
		var code ledgerclient.Code
		if b, ok := errors.AsType[*ledgerclient.BatchError](err); ok && len(b.Errs) == 1 {
			if e, ok := errors.AsType[*ledgerclient.KeeperError](b.Errs[0]); ok {
				code = e.Code
			}
		}
		switch {
		case err == nil:
			return failf("%s, the share is deposited again with a fresh receipt", when)
		case code != ledgerclient.Revoked && code != ledgerclient.Destroyed:
			return failf("%s, a deposit is answered: %w", when, err)
		case len(receipts) > 0 && receipts[0] != (ledgerclient.Receipt{}):
			return failf("%s, a refused deposit has a receipt", when)
		}
		a, err := k.Release(ctx, g.request)
		if err != nil || a.Code != ledgerclient.Revoked {
			return failf("%s, a release is answered: %s (%v)", when, a.Code, err)
		}
		return nil
	}
	if _, err := k.Revoke(ctx, []contract.Entry{g.revocation}); err != nil {
		return err
	}
	if err := refused("after the keeper took the revocation"); err != nil {
		return err
	}
	if err := accepted(ctx, l, g.revocation); err != nil {
		return err
	}
	if _, err := k.Revoke(ctx, []contract.Entry{g.revocation}); err != nil {
		return err
	}
	return refused("after the revocation was ordered")
}

// accepted orders one entry.
func accepted(ctx context.Context, l ledgerclient.Ledger, e contract.Entry) error {
	out, err := l.Append(ctx, []contract.Entry{e})
	if err == nil && out[0].Refusal != nil {
		err = out[0].Refusal
	}
	return err
}

// deposited is a grant with all that a keeper is told of it.
type deposited struct {
	opening, access, revocation contract.Entry
	deposit                     ledgerclient.Deposit
	request                     ledgerclient.Request
}

func newDeposited(ledger crypto.LedgerID, keeper crypto.PubKey, seed uint64, hour contract.Hour) (g deposited, err error) {
	s := newSubmissions(ledger, seed, hour)
	author, partner := s.key(), s.key()
	lock := crypto.NewEntropy().Root().Seed(ledger, crypto.NewNonce())
	shares, err := lock.Shares(1, 1)
	if err != nil {
		return g, err
	}
	pkg := contract.GrantPackage{K: 1, N: 1, Lock: lock.LockKey().Hash(ledger, author.Public()),
		Shares: []crypto.Hash{shares[0].Hash(ledger, author.Public())}}
	sign := func(e contract.Entry, key *crypto.PrivateKey) contract.Entry {
		e.Version, e.Author = contract.Version, key.Public()
		if err == nil {
			err = e.Sign(ledger, key)
		}
		return e
	}
	g.opening = sign(contract.Entry{Kind: contract.KindGrant, Counterparty: partner.Public(), NotAfter: hour + 1000, Commitment: pkg.Commitment()}, author)
	id := g.opening.ID(ledger)
	any := crypto.Hash{1}
	g.access = sign(contract.Entry{Kind: contract.KindAccess, Subject: id, NotBefore: hour - 1, NotAfter: hour + 48, Commitment: any}, partner)
	g.revocation = sign(contract.Entry{Kind: contract.KindRevoke, Subject: id, NotAfter: contract.Forever, Commitment: any}, author)
	g.deposit = ledgerclient.Deposit{Ledger: ledger, Grant: id, Keeper: keeper, Share: shares[0], Package: pkg.Marshal()}
	g.deposit.Sign(author)
	g.request = ledgerclient.Request{Ledger: ledger, Keeper: keeper, Access: g.access, Response: crypto.GenerateKey().Public()}
	g.request.Sign(partner)
	return g, err
}
