package ledgertest

import (
	"errors"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// stoppedShare revokes a grant whose share is held, first at the keeper alone and
// then on the ledger. From the first moment on the keeper gives neither the share nor
// a receipt for it.
func stoppedShare(r *run) {
	if r.Keeper == nil {
		panic(skip("the harness opens no keeper"))
	}
	r.start(*r.hour)
	l := r.ledger()
	k, err := r.Keeper(r.ctx)
	r.must(err)
	r.opened = append(r.opened, k)
	config := r.config(l)
	g := newDeposited(config.LedgerID(), k.Key(), r.seed(), r.now())
	order := func(e contract.Entry) {
		out, err := l.Append(r.ctx, []contract.Entry{e})
		r.must(err)
		r.check(out[0].Refusal == nil, "%w", out[0].Refusal)
	}
	revoke := func(when string) {
		_, err := k.Revoke(r.ctx, []contract.Entry{g.revocation})
		r.must(err)
		receipts, err := k.Deposit(r.ctx, []ledgerclient.Deposit{g.deposit})
		var refused *ledgerclient.KeeperError
		r.check(err != nil, "%s, the share is deposited again with a fresh receipt", when)
		r.check(errors.As(err, &refused) && (refused.Code == ledgerclient.Revoked || refused.Code == ledgerclient.Destroyed), "%s, a deposit is answered: %w", when, err)
		r.check(len(receipts) == 0 || receipts[0] == ledgerclient.Receipt{}, "%s, a refused deposit has a receipt", when)
		a, err := k.Release(r.ctx, g.request)
		r.check(err == nil && a.Code == ledgerclient.Revoked, "%s, a release is answered: %s (%v)", when, a.Code, err)
	}
	order(g.opening)
	order(g.access)
	_, err = k.Deposit(r.ctx, []ledgerclient.Deposit{g.deposit})
	r.must(err)
	a, err := k.Release(r.ctx, g.request)
	r.check(err == nil && a.Code == ledgerclient.Released, "the share of an open grant: %s (%v)", a.Code, err)
	revoke("after the keeper took the revocation")
	order(g.revocation)
	revoke("after the revocation was ordered")
}

// deposited is a grant with all that a keeper is told of it.
type deposited struct {
	opening, access, revocation contract.Entry
	deposit                     ledgerclient.Deposit
	request                     ledgerclient.Request
}

func newDeposited(ledger crypto.LedgerID, keeper crypto.PubKey, seed uint64, hour contract.Hour) (g deposited) {
	s := newSubmissions(ledger, seed, hour)
	author, partner := s.key(), s.key()
	lock := crypto.NewEntropy().Root().Seed(ledger, crypto.NewNonce())
	shares, err := lock.Shares(1, 1)
	if err != nil {
		panic(err) // 1 of 1 are numbers
	}
	pkg := contract.GrantPackage{K: 1, N: 1, Lock: lock.LockKey().Hash(ledger, author.Public()),
		Shares: []crypto.Hash{shares[0].Hash(ledger, author.Public())}}
	g.opening = s.sign(contract.Entry{Kind: contract.KindGrant, Counterparty: partner.Public(), NotAfter: hour + 1000, Commitment: pkg.Commitment()}, author)
	id := g.opening.ID(ledger)
	g.access = s.sign(contract.Entry{Kind: contract.KindAccess, Subject: id, NotBefore: hour - 1, NotAfter: hour + 48}, partner)
	g.revocation = s.sign(contract.Entry{Kind: contract.KindRevoke, Subject: id, NotAfter: contract.Forever}, author)
	g.deposit = ledgerclient.Deposit{Ledger: ledger, Grant: id, Keeper: keeper, Share: shares[0], Package: pkg.Marshal()}
	ledgerclient.Sign(&g.deposit, author)
	g.request = ledgerclient.Request{Ledger: ledger, Keeper: keeper, Access: g.access, Response: crypto.GenerateKey().Public()}
	ledgerclient.Sign(&g.request, partner)
	return g
}
