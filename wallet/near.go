package wallet

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/view"
)

// A keeper at hand is read, and not asked: open consents each time, which costs no more than
// looking them up. What it filed is verified, once: the same bytes are known by their sum.

// readFiled gives for each grant of one's own what a keeper at hand filed about it, or why
// that is not known. It is the keeper of that number, from 1.
func (cs Consents) readFiled(ctx context.Context, number int, k ledgerclient.NearKeeper, ts []*view.Thread, take func(i int, a ledgerclient.InquiryAnswer, err error)) {
	answers, errs, err := k.FiledAll(ctx, idsOf(ts))
	for i, t := range ts {
		switch {
		case err != nil:
			take(i, ledgerclient.InquiryAnswer{}, err)
		case errs[i] != nil:
			take(i, ledgerclient.InquiryAnswer{}, errs[i])
		default:
			a := answers[i]
			err := cs.verifyFiled(number, k.Key(), t, &a)
			if err == nil {
				err = cs.w.view.SameLog(ctx, k.Key(), a.Size, a.Root)
			}
			take(i, a, err)
		}
	}
}

// verifyFiled verifies what a keeper filed about a grant, unless the same of the same keeper
// was before.
func (cs Consents) verifyFiled(number int, keeper crypto.PubKey, t *view.Thread, a *ledgerclient.InquiryAnswer) error {
	if len(a.Refused)+len(a.Acks) == 0 {
		return nil
	}
	filed := *a
	filed.Size, filed.Root = 0, crypto.Hash{}
	sum := crypto.Hash(sha256.Sum256(append(keeper[:], ledgerclient.Marshal(&filed)...)))
	if t.Filed() == sum {
		return nil
	}
	opening, err := cs.w.view.Opening(t)
	if err != nil {
		return err
	}
	if err := a.VerifyFiled(cs.w.client.ID(), keeper, t.ID, opening.Counterparty); err != nil {
		return &ledgerclient.TamperedError{What: fmt.Sprintf("refusal filed by keeper %d", number), Err: err}
	}
	cs.w.view.NoteFiled(t, sum)
	return nil
}

// verifyAnswer verifies a keeper's answer to a question about a grant of one's own.
func (cs Consents) verifyAnswer(number int, t *view.Thread, q *ledgerclient.Inquiry, a *ledgerclient.InquiryAnswer) error {
	opening, err := cs.w.view.Opening(t)
	if err != nil {
		return err
	}
	if err := a.Verify(q, opening.Counterparty); err != nil {
		return &ledgerclient.TamperedError{What: fmt.Sprintf("refusal filed by keeper %d", number), Err: err}
	}
	return nil
}

// allNear reports whether all keepers are at hand.
func allNear(keepers []ledgerclient.Keeper) bool {
	return !slices.ContainsFunc(keepers, func(k ledgerclient.Keeper) bool {
		_, near := k.(ledgerclient.NearKeeper)
		return !near
	})
}

func idsOf(ts []*view.Thread) []contract.ID {
	ids := make([]contract.ID, len(ts))
	for i, t := range ts {
		ids[i] = t.ID
	}
	return ids
}
