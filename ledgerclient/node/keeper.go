package node

import (
	"context"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// keeper is the node's keeper. What it signs is for the caller to verify.
type keeper struct {
	n   *Node
	key crypto.PubKey
}

// Key is the keeper's key as the ledger's configuration has it.
func (k keeper) Key() crypto.PubKey { return k.key }

func (k keeper) ask(ctx context.Context, path string, body []byte, limit int64, reads bool) ([]byte, error) {
	return k.n.wire.ask(ctx, question{service: ofKeeper, path: path, header: k.n.seen(), body: body, limit: limit, reads: reads, urgent: path == PathRevoke})
}

// maxAnswer is the most bytes that an answer to a request has.
const maxAnswer = 2048

// batch asks about n items, in parts that fit, and takes what is said to each. grant is
// what an item is about.
func batch[T any](n int, grant func(i int) contract.ID, fit func(at int) int, form Form[[]Reply[T]], ask func(at, end int) ([]byte, error)) ([]T, error) {
	grants := make([]contract.ID, n)
	for i := range grants {
		grants[i] = grant(i)
	}
	var all []Reply[T]
	err := inParts(n, fit, func(at, end int) error {
		raw, err := ask(at, end)
		if err != nil {
			return err
		}
		some, err := form.Parse(raw)
		if err == nil && len(some) != end-at {
			err = malformed(form.what, codec.ErrLength)
		}
		all = append(all, some...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return take(grants, all)
}

func (k keeper) Deposit(ctx context.Context, deposits []ledgerclient.Deposit) ([]ledgerclient.Receipt, error) {
	fit := func(at int) (count int) {
		for size := 0; at+count < len(deposits) && count < MaxEntries && size+maxDeposit <= MaxDeposits; count++ {
			size += len(deposits[at+count].Package) + maxDeposit - MaxPackage
		}
		return count
	}
	return batch(len(deposits), func(i int) contract.ID { return deposits[i].Grant }, fit, ReceiptsForm, func(at, end int) ([]byte, error) {
		return k.ask(ctx, PathDeposit, DepositsForm.Marshal(deposits[at:end]), int64((end-at)*(1+ledgerclient.ReceiptSize)), false)
	})
}

func (k keeper) Revoke(ctx context.Context, revocations []contract.Entry) ([]ledgerclient.Acknowledgement, error) {
	subject := func(i int) contract.ID { return revocations[i].Subject }
	acks, err := batch(len(revocations), subject, func(int) int { return MaxEntries }, AcknowledgementsForm, func(at, end int) ([]byte, error) {
		return k.ask(ctx, PathRevoke, EntriesForm.Marshal(revocations[at:end]), int64((end-at)*(1+ledgerclient.AcknowledgementSize)), true)
	})
	return acks, unanswered(ofKeeper, err)
}

func (k keeper) State(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.KeeperState, error) {
	raw, err := k.ask(ctx, PathState, ledgerclient.Marshal(&q), maxState, true)
	if err != nil {
		return ledgerclient.KeeperState{}, err
	}
	return stateOf(&q, raw)
}

// maxState is the most bytes that the state of a share has.
const maxState = 64

// stateOf is the state of a share that an answer tells, of the grant that was asked about.
func stateOf(q *ledgerclient.Inquiry, raw []byte) (ledgerclient.KeeperState, error) {
	s, err := KeeperStateForm.Parse(raw)
	if err == nil && s.Grant != q.Grant {
		err = &ledgerclient.TamperedError{What: "answer of a keeper"}
	}
	return s, err
}

func (k keeper) Release(ctx context.Context, r ledgerclient.Request) (ledgerclient.Answer, error) {
	raw, err := k.ask(ctx, PathRelease, ledgerclient.Marshal(&r), maxAnswer, false)
	if err != nil {
		return ledgerclient.Answer{}, err
	}
	return ledgerclient.Parse[ledgerclient.Answer](raw)
}

func (k keeper) Inquire(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.InquiryAnswer, error) {
	raw, err := k.ask(ctx, PathInquire, ledgerclient.Marshal(&q), MaxInquiry, true)
	if err != nil {
		return ledgerclient.InquiryAnswer{}, err
	}
	return ledgerclient.Parse[ledgerclient.InquiryAnswer](raw)
}

var _ ledgerclient.BulkKeeper = keeper{}

func (k keeper) States(ctx context.Context, qs []ledgerclient.Inquiry, take func(int, ledgerclient.KeeperState, error) error) error {
	return bulk(ctx, k.n, bulkOf[ledgerclient.KeeperState]{service: ofKeeper, asked: AskState,
		message: func(i int) []byte { return ledgerclient.Marshal(&qs[i]) },
		parse:   func(i int, raw []byte) (ledgerclient.KeeperState, error) { return stateOf(&qs[i], raw) },
		alone:   func(i int) (ledgerclient.KeeperState, error) { return k.State(ctx, qs[i]) },
		take:    take}, len(qs))
}

func (k keeper) Releases(ctx context.Context, rs []ledgerclient.Request, take func(int, ledgerclient.Answer, error) error) error {
	return bulk(ctx, k.n, bulkOf[ledgerclient.Answer]{service: ofKeeper, asked: AskRelease,
		message: func(i int) []byte { return ledgerclient.Marshal(&rs[i]) },
		parse: func(_ int, raw []byte) (ledgerclient.Answer, error) {
			return ledgerclient.Parse[ledgerclient.Answer](raw)
		},
		alone: func(i int) (ledgerclient.Answer, error) { return k.Release(ctx, rs[i]) },
		take:  take}, len(rs))
}

func (k keeper) Inquiries(ctx context.Context, qs []ledgerclient.Inquiry, take func(int, ledgerclient.InquiryAnswer, error) error) error {
	return bulk(ctx, k.n, bulkOf[ledgerclient.InquiryAnswer]{service: ofKeeper, asked: AskInquiry,
		message: func(i int) []byte { return ledgerclient.Marshal(&qs[i]) },
		parse: func(_ int, raw []byte) (ledgerclient.InquiryAnswer, error) {
			return ledgerclient.Parse[ledgerclient.InquiryAnswer](raw)
		},
		alone: func(i int) (ledgerclient.InquiryAnswer, error) { return k.Inquire(ctx, qs[i]) },
		take:  take}, len(qs))
}
