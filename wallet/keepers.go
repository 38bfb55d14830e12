package wallet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/home"
)

// deposit hands the keepers the shares of grants that are in the log. The shares
// derive from the grants' seeds, so that repeating it deposits the same.
func (w *Wallet) deposit(ctx context.Context, grants []*change) error {
	if len(grants) == 0 {
		return nil
	}
	perKeeper := make([][]ledgerclient.Deposit, len(w.client.Keepers))
	for i := range perKeeper {
		perKeeper[i] = make([]ledgerclient.Deposit, len(grants))
	}
	errs := make([]error, len(grants))
	ledgerclient.Parallel(len(grants), func(j int) {
		c := grants[j]
		seed, ok := w.view.seed(c.entry.SelfTag)
		if !ok {
			errs[j] = &DamagedError{File: home.JournalDir}
			return
		}
		pkg, err := contract.ParseGrantPackage(c.Package)
		if err != nil {
			errs[j] = &DamagedError{File: home.JournalDir, Err: err}
			return
		}
		shares, err := seed.Shares(int(pkg.K), int(pkg.N))
		if err != nil {
			errs[j] = err
			return
		}
		key := seed.Key()
		for i := range perKeeper {
			d := &perKeeper[i][j]
			*d = ledgerclient.Deposit{Ledger: w.client.ID(), Grant: c.id, Keeper: w.client.Keepers[i].Key(), Share: shares[i], Package: c.Package}
			d.Sign(key)
		}
	})
	if err := first(errs); err != nil {
		return err
	}
	for i, k := range w.client.Keepers {
		receipts, err := k.Deposit(ctx, perKeeper[i])
		refused := make([]error, len(grants))
		var batch *ledgerclient.BatchError
		if errors.As(err, &batch) && len(batch.Errs) == len(grants) {
			copy(refused, batch.Errs)
		} else if err != nil {
			return err
		}
		if len(receipts) != len(grants) {
			return &ledgerclient.TamperedError{What: fmt.Sprintf("receipts of keeper %d", i+1)}
		}
		errs := make([]error, len(grants))
		ledgerclient.Parallel(len(grants), func(j int) {
			switch {
			case ended(refused[j]): // revoked meanwhile, or its window is over: it needs no share any more
			case refused[j] != nil:
				errs[j] = refused[j]
			default:
				if err := receipts[j].Verify(&perKeeper[i][j], grants[j].entry.Author); err != nil {
					errs[j] = &ledgerclient.TamperedError{What: fmt.Sprintf("receipt of keeper %d", i+1), Err: err}
				}
			}
		})
		if err := first(errs); err != nil {
			return err
		}
	}
	return nil
}

// first returns the first error that is one.
func first(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// ended tells whether a keeper refuses a share because the grant is over.
func ended(err error) bool {
	var e *ledgerclient.KeeperError
	return errors.As(err, &e) && (e.Code == ledgerclient.Revoked || e.Code == ledgerclient.Destroyed || e.Code == ledgerclient.Expired)
}

// tellKeepers sends revocations to every keeper and returns the signed answers
// per grant.
func (w *Wallet) tellKeepers(ctx context.Context, revocations []contract.Entry) (map[contract.ID][]ledgerclient.Acknowledgement, error) {
	acks := map[contract.ID][]ledgerclient.Acknowledgement{}
	for i, k := range w.client.Keepers {
		answers, err := k.Revoke(ctx, revocations)
		if err != nil {
			return nil, err
		}
		if len(answers) != len(revocations) {
			return nil, &ledgerclient.TamperedError{What: fmt.Sprintf("acknowledgements of keeper %d", i+1)}
		}
		for j := range answers {
			a := answers[j]
			if err := a.Verify(w.client.ID(), revocations[j].Subject, k.Key()); err != nil {
				return nil, &ledgerclient.TamperedError{What: fmt.Sprintf("acknowledgement of keeper %d", i+1), Err: err}
			}
			acks[a.Grant] = append(acks[a.Grant], a)
		}
	}
	return acks, nil
}

// shareAt asks a keeper about its share of a grant, of one's own or received. A grant
// that the keeper does not see on the ledger yet has none.
func (w *Wallet) shareAt(ctx context.Context, k ledgerclient.Keeper, t *thread) (ledgerclient.KeeperState, error) {
	q := ledgerclient.Inquiry{Ledger: w.client.ID(), Keeper: k.Key(), Grant: t.id}
	rand.Read(q.Nonce[:])
	if t.role == received {
		keys, err := w.oneTimeKeys(t)
		if err != nil {
			return ledgerclient.KeeperState{}, err
		}
		q.SignState(keys)
	} else {
		_, key := w.view.key(t)
		q.SignState(key)
	}
	s, err := k.State(ctx, q)
	if e, ok := errors.AsType[*ledgerclient.KeeperError](err); ok && e.Code == ledgerclient.UnknownGrant {
		return ledgerclient.KeeperState{Grant: t.id}, nil
	}
	return s, err
}

// mayOpen asks the keepers whether enough of them hold their shares of a grant that
// was received: *RefusedError if not. An access without a release would tell the
// patient of an opening that never was. ended tells that a keeper has stopped, or
// destroyed its share.
func (w *Wallet) mayOpen(ctx context.Context, t *thread, k int) (ended bool, err error) {
	held := 0
	var first error
	for _, keeper := range w.client.Keepers {
		s, err := w.shareAt(ctx, keeper, t)
		switch {
		case err != nil && first == nil:
			first = err
		case err == nil && s.Ended != 0:
			ended = true
		case err == nil && s.Held:
			held++
		}
	}
	switch {
	case held >= k:
		return false, nil
	case ended:
		return true, nil
	case first != nil:
		return false, first
	}
	return false, w.refusedByKeeper(t, ledgerclient.NoShare)
}

// inquire asks every keeper, in their order, what it filed about a grant of one's
// own. Each answer
// is signed over a fresh question and all that it holds, so that an attempt that
// was filed cannot be left out on the way.
func (w *Wallet) inquire(ctx context.Context, t *thread) ([]ledgerclient.InquiryAnswer, error) {
	if err := w.view.silent["keeper"]; err != nil {
		return nil, err
	}
	_, key := w.view.key(t)
	opening, err := w.view.opening(t)
	if err != nil {
		return nil, err
	}
	answers := make([]ledgerclient.InquiryAnswer, 0, len(w.client.Keepers))
	for i, k := range w.client.Keepers {
		q := ledgerclient.Inquiry{Ledger: w.client.ID(), Keeper: k.Key(), Grant: t.id}
		rand.Read(q.Nonce[:])
		q.Sign(key)
		a, err := k.Inquire(ctx, q)
		if err != nil {
			return nil, err
		}
		if err := a.Verify(&q, opening.Counterparty); err != nil {
			return nil, &ledgerclient.TamperedError{What: fmt.Sprintf("refusals filed by keeper %d", i+1), Err: err}
		}
		if err := w.view.sameLog(ctx, k.Key(), a.Size, a.Root); err != nil {
			return nil, err
		}
		answers = append(answers, a)
	}
	return answers, nil
}
