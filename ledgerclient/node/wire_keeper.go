package node

import (
	"errors"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// The messages of a keeper have their encodings in package ledgerclient; here is
// how several travel together. A batch of revocations is one of MarshalEntries.

const (
	receiptSize = 32 + 32 + 33 + 1 + 32 + 4 + 64
	maxDeposit  = 32 + 32 + 33 + 33 + 64 + 4 + MaxPackage
)

// MarshalDeposits encodes deposits, each behind its length in 4 bytes. The result
// holds the shares: it is as secret as they are.
func MarshalDeposits(deposits []ledgerclient.Deposit) []byte {
	var b []byte
	for i := range deposits {
		b = appendSized(b, deposits[i].Marshal())
	}
	return b
}

// ParseDeposits decodes 1 to MaxEntries deposits.
func ParseDeposits(b []byte) ([]ledgerclient.Deposit, error) {
	r := reader{b: b}
	var deposits []ledgerclient.Deposit
	for r.err == nil && (len(deposits) == 0 || len(r.b) > 0) {
		r.check(len(deposits) < MaxEntries)
		raw := r.sized(maxDeposit)
		if r.err != nil {
			break
		}
		d, err := ledgerclient.ParseDeposit(raw)
		if err != nil {
			return nil, malformed("batch of deposits", err)
		}
		deposits = append(deposits, d)
	}
	if err := r.end("batch of deposits"); err != nil {
		return nil, err
	}
	return deposits, nil
}

// MarshalReceipts encodes the answer to deposits, in their order: code 1, and
// behind code 0 the receipt. codes[i] is why deposit i was refused, Released if
// it was not.
func MarshalReceipts(receipts []ledgerclient.Receipt, codes []ledgerclient.Code) []byte {
	var b []byte
	for i, code := range codes {
		b = append(b, byte(code))
		if code == ledgerclient.Released {
			b = append(b, receipts[i].Marshal()...)
		}
	}
	return b
}

// ParseReceipts decodes the answer to n deposits. The receipts of refused ones are
// zero.
func ParseReceipts(b []byte, n int) ([]ledgerclient.Receipt, []ledgerclient.Code, error) {
	return parseReplies(b, n, receiptSize, "answer to deposits", ledgerclient.ParseReceipt)
}

// MarshalAcknowledgements encodes the answer to revocations as MarshalReceipts
// does that to deposits.
func MarshalAcknowledgements(acks []ledgerclient.Acknowledgement, codes []ledgerclient.Code) []byte {
	var b []byte
	for i, code := range codes {
		b = append(b, byte(code))
		if code == ledgerclient.Released {
			b = append(b, acks[i].Marshal()...)
		}
	}
	return b
}

// ParseAcknowledgements decodes the answer to n revocations.
func ParseAcknowledgements(b []byte, n int) ([]ledgerclient.Acknowledgement, []ledgerclient.Code, error) {
	return parseReplies(b, n, ledgerclient.AcknowledgementSize, "answer to revocations", ledgerclient.ParseAcknowledgement)
}

func parseReplies[T any](b []byte, n, size int, what string, parse func([]byte) (T, error)) ([]T, []ledgerclient.Code, error) {
	r := reader{b: b}
	var replies []T
	var codes []ledgerclient.Code
	for range n {
		var reply T
		code := ledgerclient.Code(r.byte())
		r.check(code <= ledgerclient.BadRequest)
		if code == ledgerclient.Released {
			if raw := r.next(size); r.err == nil {
				reply, r.err = parse(raw)
			}
		}
		if r.err != nil {
			break
		}
		replies, codes = append(replies, reply), append(codes, code)
	}
	if err := r.end(what); err != nil {
		return nil, nil, err
	}
	return replies, codes, nil
}

// Codes takes the error of a keeper's batch of n apart: one code per item,
// Released where it was not refused. false if it is another error.
func Codes(err error, n int) ([]ledgerclient.Code, bool) {
	codes := make([]ledgerclient.Code, n)
	if err == nil {
		return codes, true
	}
	batch, ok := errors.AsType[*ledgerclient.BatchError](err)
	if !ok || len(batch.Errs) != n {
		return nil, false
	}
	for i, e := range batch.Errs {
		if e == nil {
			continue
		}
		refused, ok := errors.AsType[*ledgerclient.KeeperError](e)
		if !ok {
			return nil, false
		}
		codes[i] = refused.Code
	}
	return codes, true
}

// RefusedBatch is the error of a keeper's batch with those codes, nil if nothing was
// refused. grants[i] is what item i is about.
func RefusedBatch(grants []contract.ID, codes []ledgerclient.Code) error {
	errs := make([]error, len(codes))
	refused := false
	for i, code := range codes {
		if code != ledgerclient.Released {
			errs[i] = &ledgerclient.KeeperError{Grant: grants[i], Code: code}
			refused = true
		}
	}
	if !refused {
		return nil
	}
	return &ledgerclient.BatchError{Errs: errs}
}

// MarshalKeeperState encodes what a keeper says of a grant: grant 32, held 1 (0 or
// 1), end 1.
func MarshalKeeperState(s ledgerclient.KeeperState) []byte {
	b := append([]byte(nil), s.Grant[:]...)
	held := byte(0)
	if s.Held {
		held = 1
	}
	return append(b, held, byte(s.Ended))
}

// ParseKeeperState decodes what a keeper says of a grant.
func ParseKeeperState(b []byte) (ledgerclient.KeeperState, error) {
	r := reader{b: b}
	var s ledgerclient.KeeperState
	r.take(s.Grant[:])
	held := r.byte()
	r.check(held <= 1)
	s.Held = held == 1
	s.Ended = ledgerclient.End(r.byte())
	r.check(s.Ended <= ledgerclient.DestroyedShare)
	if err := r.end("state of a share"); err != nil {
		return ledgerclient.KeeperState{}, err
	}
	return s, nil
}
