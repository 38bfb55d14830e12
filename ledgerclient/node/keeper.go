package node

import (
	"context"
	"net/http"

	"github.com/carekey/carekey/crypto"
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
	return k.n.wire.ask(ctx, question{service: ofKeeper, method: http.MethodPost, path: path, body: body, limit: limit, reads: reads, urgent: path == PathRevoke})
}

// maxAnswer is the most bytes that an answer to a request has.
const maxAnswer = 2048

func (k keeper) Deposit(ctx context.Context, deposits []ledgerclient.Deposit) ([]ledgerclient.Receipt, error) {
	grants := make([]contract.ID, len(deposits))
	for i := range deposits {
		grants[i] = deposits[i].Grant
	}
	var receipts []ledgerclient.Receipt
	var codes []ledgerclient.Code
	fit := func(at int) (count int) {
		for size := 0; at+count < len(deposits) && count < MaxEntries && size+maxDeposit <= MaxDeposits; count++ {
			size += 4 + len(deposits[at+count].Package) + maxDeposit - MaxPackage
		}
		return count
	}
	err := inParts(len(deposits), fit, func(at, end int) error {
		raw, err := k.ask(ctx, PathDeposit, MarshalDeposits(deposits[at:end]), int64((end-at)*(1+ledgerclient.ReceiptSize)), false)
		if err != nil {
			return err
		}
		r, c, err := ParseReceipts(raw, end-at)
		receipts, codes = append(receipts, r...), append(codes, c...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return receipts, RefusedBatch(grants, codes)
}

func (k keeper) State(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.KeeperState, error) {
	raw, err := k.ask(ctx, PathState, q.Marshal(), 64, true)
	if err != nil {
		return ledgerclient.KeeperState{}, err
	}
	s, err := ParseKeeperState(raw)
	if err == nil && s.Grant != q.Grant {
		err = &ledgerclient.TamperedError{What: "answer of a keeper"}
	}
	return s, err
}

func (k keeper) Release(ctx context.Context, r ledgerclient.Request) (ledgerclient.Answer, error) {
	raw, err := k.ask(ctx, PathRelease, r.Marshal(), maxAnswer, false)
	if err != nil {
		return ledgerclient.Answer{}, err
	}
	return ledgerclient.ParseAnswer(raw)
}

func (k keeper) Revoke(ctx context.Context, revocations []contract.Entry) ([]ledgerclient.Acknowledgement, error) {
	grants := make([]contract.ID, len(revocations))
	for i := range revocations {
		grants[i] = revocations[i].Subject
	}
	var acks []ledgerclient.Acknowledgement
	var codes []ledgerclient.Code
	err := inParts(len(revocations), func(int) int { return MaxEntries }, func(at, end int) error {
		raw, err := k.ask(ctx, PathRevoke, MarshalEntries(revocations[at:end]), int64((end-at)*(1+ledgerclient.AcknowledgementSize)), true)
		if err != nil {
			return err
		}
		a, c, err := ParseAcknowledgements(raw, end-at)
		acks, codes = append(acks, a...), append(codes, c...)
		return err
	})
	if err != nil {
		return nil, unanswered(ofKeeper, err)
	}
	return acks, RefusedBatch(grants, codes)
}

func (k keeper) Inquire(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.InquiryAnswer, error) {
	raw, err := k.ask(ctx, PathInquire, q.Marshal(), MaxInquiry, true)
	if err != nil {
		return ledgerclient.InquiryAnswer{}, err
	}
	return ledgerclient.ParseInquiryAnswer(raw)
}
