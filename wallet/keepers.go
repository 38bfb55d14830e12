package wallet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet/view"
)

// first returns the first error that is one.
func first(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// shareAt asks a keeper about its share of a grant, of one's own or received. A grant
// that the keeper does not see on the ledger yet has none.
func (w *Wallet) shareAt(ctx context.Context, k ledgerclient.Keeper, t *view.Thread) (ledgerclient.KeeperState, error) {
	q := ledgerclient.Inquiry{Ledger: w.client.ID(), Keeper: k.Key(), Grant: t.ID}
	rand.Read(q.Nonce[:])
	if t.Role == view.Received {
		keys, err := w.Inbox().oneTimeKeys(t)
		if err != nil {
			return ledgerclient.KeeperState{}, err
		}
		q.SignState(keys)
	} else {
		_, key := w.view.Key(t)
		q.SignState(key)
	}
	s, err := k.State(ctx, q)
	if e, ok := errors.AsType[*ledgerclient.KeeperError](err); ok && e.Code == ledgerclient.UnknownGrant {
		return ledgerclient.KeeperState{Grant: t.ID}, nil
	}
	return s, err
}

// mayOpen asks the keepers whether enough of them hold their shares of a grant that
// was received: *RefusedError if not. An access without a release would tell the
// patient of an opening that never was. ended tells that a keeper has stopped, or
// destroyed its share.
func (in Inbox) mayOpen(ctx context.Context, t *view.Thread, k int) (ended bool, err error) {
	held := 0
	var first error
	for _, keeper := range in.w.client.Keepers {
		s, err := in.w.shareAt(ctx, keeper, t)
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
	return false, in.refusedByKeeper(t, ledgerclient.NoShare)
}

// inquire asks every keeper, in their order, what it filed about a grant of one's
// own. Each answer
// is signed over a fresh question and all that it holds, so that an attempt that
// was filed cannot be left out on the way.
func (cs Consents) inquire(ctx context.Context, t *view.Thread) ([]ledgerclient.InquiryAnswer, error) {
	if err := cs.w.view.Silent("keeper"); err != nil {
		return nil, err
	}
	_, key := cs.w.view.Key(t)
	opening, err := cs.w.view.Opening(t)
	if err != nil {
		return nil, err
	}
	answers := make([]ledgerclient.InquiryAnswer, 0, len(cs.w.client.Keepers))
	for i, k := range cs.w.client.Keepers {
		q := ledgerclient.Inquiry{Ledger: cs.w.client.ID(), Keeper: k.Key(), Grant: t.ID}
		rand.Read(q.Nonce[:])
		q.Sign(key)
		a, err := k.Inquire(ctx, q)
		if err != nil {
			return nil, err
		}
		if err := a.Verify(&q, opening.Counterparty); err != nil {
			return nil, &ledgerclient.TamperedError{What: fmt.Sprintf("refusals filed by keeper %d", i+1), Err: err}
		}
		if err := cs.w.view.SameLog(ctx, k.Key(), a.Size, a.Root); err != nil {
			return nil, err
		}
		answers = append(answers, a)
	}
	return answers, nil
}
