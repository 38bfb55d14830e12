package wallet

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/view"
)

// held is what the keepers say of their shares of a grant, of one's own or received.
type held struct {
	held, ended int   // how many hold theirs, how many have stopped or destroyed it
	err         error // the first
}

// shares asks all keepers about their shares of grants. A keeper that does not see a grant
// on the ledger yet has none.
func (w *Wallet) shares(ctx context.Context, ts []*view.Thread) ([]held, error) {
	out := make([]held, len(ts))
	sign := make([]func(*ledgerclient.Inquiry) error, len(ts))
	for i, t := range ts {
		if allNear(w.client.Keepers) {
			break // nobody is to sign
		}
		if t.Role != view.Received {
			_, key, err := w.view.Key(t)
			if err != nil {
				return nil, err
			}
			sign[i] = func(q *ledgerclient.Inquiry) error { q.SignState(key); return nil }
			continue
		}
		keys, err := w.Inbox().oneTimeKeys(t)
		if err != nil {
			return nil, err
		}
		sign[i] = func(q *ledgerclient.Inquiry) error {
			by := signer{Counterparty: keys}
			q.SignState(&by)
			return by.err
		}
	}
	for _, k := range w.client.Keepers {
		take := func(i int, s ledgerclient.KeeperState, err error) error {
			e, refused := errors.AsType[*ledgerclient.KeeperError](err)
			switch {
			case refused && e.Code == ledgerclient.UnknownGrant:
			case err != nil:
				out[i].err = cmp.Or(out[i].err, err)
			case s.Ended != 0:
				out[i].ended++
			case s.Held:
				out[i].held++
			}
			return nil
		}
		if near, ok := k.(ledgerclient.NearKeeper); ok {
			states, errs, err := near.StateAll(ctx, idsOf(ts))
			for i := range ts {
				if err == nil {
					take(i, states[i], errs[i])
				} else {
					take(i, ledgerclient.KeeperState{}, err)
				}
			}
			continue
		}
		qs := make([]ledgerclient.Inquiry, len(ts))
		for i, t := range ts {
			qs[i] = w.inquiry(k, t)
			if err := sign[i](&qs[i]); err != nil {
				return nil, err
			}
		}
		ledgerclient.States(ctx, k, qs, take)
	}
	return out, nil
}

// inquiry is a fresh question to a keeper about a grant; it is not signed yet.
func (w *Wallet) inquiry(k ledgerclient.Keeper, t *view.Thread) ledgerclient.Inquiry {
	q := ledgerclient.Inquiry{Ledger: w.client.ID(), Keeper: k.Key(), Grant: t.ID}
	rand.Read(q.Nonce[:])
	return q
}

// mayOpen judges what the keepers say of a grant that was received, of which k shares open
// it: *RefusedError if not enough of them hold theirs. An access without a release would
// tell the patient of an opening that never was. over reports that a keeper has stopped, or
// destroyed its share.
func (in Inbox) mayOpen(t *view.Thread, h held, k int) (over bool, err error) {
	if h.held >= k {
		return false, nil
	}
	if h.ended == 0 {
		return false, cmp.Or(h.err, error(in.refusedByKeeper(t, ledgerclient.NoShare)))
	}
	return true, nil
}

// inquired is what the keepers filed about a grant, in their order; err is why that is not
// known.
type inquired struct {
	answers []ledgerclient.InquiryAnswer
	asOf    contract.Hour // of an answer that was kept: when they were asked; else 0
	err     error
}

// Open consents are asked about each time. What the keepers said of one that has ended, and
// whose shares they destroyed, is kept: they can refuse attempts after that too, and no answer
// says that they will not, so that it is shown with its hour.

// isKept reports whether what the keepers said of a consent is kept.
func (cs Consents) isKept(t *view.Thread) bool {
	return t.Asked() != 0 && cs.isOver(t) && !allNear(cs.w.client.Keepers)
}

func (cs Consents) isOver(t *view.Thread) bool {
	s := cs.statusOf(t)
	return s == StatusRevoked || s == StatusExpired
}

// kept is what is kept of the keepers' answers about a consent; nil if nothing is, it cannot
// be read, or others are the keepers now.
func (cs Consents) kept(t *view.Thread) *inquired {
	if !cs.isKept(t) {
		return nil
	}
	filed, err := cs.w.view.Told(t)
	if err != nil || !slices.EqualFunc(filed, cs.w.client.Keepers, func(f view.Filed, k ledgerclient.Keeper) bool { return f.Keeper == k.Key() }) {
		return nil
	}
	q := &inquired{asOf: t.Asked()}
	for i := range filed {
		q.answers = append(q.answers, ledgerclient.InquiryAnswer{Refused: filed[i].Refused, More: filed[i].More, Acks: filed[i].Acks})
	}
	return q
}

// keep keeps what the keepers said of a consent just now, if it is over for all of them; with
// onlyNew not that they say the same as before.
func (cs Consents) keep(t *view.Thread, q *inquired, onlyNew bool) {
	if !cs.isOver(t) || allNear(cs.w.client.Keepers) {
		return
	}
	filed := make([]view.Filed, len(q.answers))
	for i, a := range q.answers {
		if !slices.ContainsFunc(a.Acks, func(a ledgerclient.Acknowledgement) bool { return a.End == ledgerclient.DestroyedShare }) {
			return
		}
		filed[i] = view.Filed{Keeper: cs.w.client.Keepers[i].Key(), Refused: a.Refused, More: a.More, Acks: a.Acks}
	}
	cs.w.view.NoteTold(t, cs.w.view.OpenHour(), filed, onlyNew)
}

// inquire asks every keeper what it filed about grants of one's own. Each answer is signed
// over a fresh question and all that it holds, so that an attempt that was filed cannot be
// left out on the way.
func (cs Consents) inquire(ctx context.Context, ts ...*view.Thread) []inquired {
	out := make([]inquired, len(ts))
	for i := range ts {
		out[i].err = cs.w.view.Silent("keeper")
	}
	for n, k := range cs.w.client.Keepers {
		take := func(i int, a ledgerclient.InquiryAnswer, err error) {
			if err != nil {
				out[i] = inquired{err: err}
			} else if out[i].err == nil {
				out[i].answers = append(out[i].answers, a)
			}
		}
		if near, ok := k.(ledgerclient.NearKeeper); ok && cs.w.view.Silent("keeper") == nil {
			cs.readFiled(ctx, n+1, near, ts, take)
			continue
		}
		var of []int // by question
		var qs []ledgerclient.Inquiry
		for i, t := range ts {
			if out[i].err != nil {
				continue
			}
			_, key, err := cs.w.view.Key(t)
			if err != nil {
				out[i].err = err
				continue
			}
			q := cs.w.inquiry(k, t)
			ledgerclient.Sign(&q, key)
			of, qs = append(of, i), append(qs, q)
		}
		ledgerclient.Inquiries(ctx, k, qs, func(j int, a ledgerclient.InquiryAnswer, err error) error {
			i := of[j]
			if err == nil {
				err = cs.verifyAnswer(n+1, ts[i], &qs[j], &a)
			}
			if err == nil {
				err = cs.w.view.SameLog(ctx, k.Key(), a.Size, a.Root)
			}
			take(i, a, err)
			return nil
		})
	}
	return out
}
