package wallet

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet/view"
)

// shares asks all keepers about their shares of a grant, of one's own or received: how
// many hold theirs, how many have stopped or destroyed it, and the first error. A keeper
// that does not see the grant on the ledger yet has none.
func (w *Wallet) shares(ctx context.Context, t *view.Thread) (held, ended int, err error) {
	var sign func(*ledgerclient.Inquiry) error
	if t.Role == view.Received {
		keys, err := w.Inbox().oneTimeKeys(t)
		if err != nil {
			return 0, 0, err
		}
		sign = func(q *ledgerclient.Inquiry) error {
			by := signer{Counterparty: keys}
			q.SignState(&by)
			return by.err
		}
	} else {
		_, key, err := w.view.Key(t)
		if err != nil {
			return 0, 0, err
		}
		sign = func(q *ledgerclient.Inquiry) error { q.SignState(key); return nil }
	}
	for _, k := range w.client.Keepers {
		q := ledgerclient.Inquiry{Ledger: w.client.ID(), Keeper: k.Key(), Grant: t.ID}
		rand.Read(q.Nonce[:])
		if err := sign(&q); err != nil {
			return 0, 0, err
		}
		s, serr := k.State(ctx, q)
		e, refused := errors.AsType[*ledgerclient.KeeperError](serr)
		switch {
		case refused && e.Code == ledgerclient.UnknownGrant:
		case serr != nil:
			err = cmp.Or(err, serr)
		case s.Ended != 0:
			ended++
		case s.Held:
			held++
		}
	}
	return held, ended, err
}

// mayOpen asks the keepers whether enough of them hold their shares of a grant that
// was received: *RefusedError if not. An access without a release would tell the
// patient of an opening that never was. over reports that a keeper has stopped, or
// destroyed its share.
func (in Inbox) mayOpen(ctx context.Context, t *view.Thread, k int) (over bool, err error) {
	held, ended, err := in.w.shares(ctx, t)
	if held >= k {
		return false, nil
	}
	if ended == 0 {
		err = cmp.Or(err, error(in.refusedByKeeper(t, ledgerclient.NoShare)))
		return false, err
	}
	return true, nil
}

// inquire asks every keeper, in their order, what it filed about a grant of one's
// own. Each answer
// is signed over a fresh question and all that it holds, so that an attempt that
// was filed cannot be left out on the way.
func (cs Consents) inquire(ctx context.Context, t *view.Thread) ([]ledgerclient.InquiryAnswer, error) {
	if err := cs.w.view.Silent("keeper"); err != nil {
		return nil, err
	}
	_, key, err := cs.w.view.Key(t)
	if err != nil {
		return nil, err
	}
	opening, err := cs.w.view.Opening(t)
	if err != nil {
		return nil, err
	}
	answers := make([]ledgerclient.InquiryAnswer, 0, len(cs.w.client.Keepers))
	for i, k := range cs.w.client.Keepers {
		q := ledgerclient.Inquiry{Ledger: cs.w.client.ID(), Keeper: k.Key(), Grant: t.ID}
		rand.Read(q.Nonce[:])
		ledgerclient.Sign(&q, key)
		a, err := k.Inquire(ctx, q)
		if err != nil {
			return nil, err
		}
		if err := a.Verify(&q, opening.Counterparty); err != nil {
			return nil, &ledgerclient.TamperedError{What: fmt.Sprintf("refusal filed by keeper %d", i+1), Err: err}
		}
		if err := cs.w.view.SameLog(ctx, k.Key(), a.Size, a.Root); err != nil {
			return nil, err
		}
		answers = append(answers, a)
	}
	return answers, nil
}
