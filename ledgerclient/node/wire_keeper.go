package node

import (
	"errors"

	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// The messages of a keeper have their encodings in package ledgerclient; here is
// how several travel together. A batch of revocations is one of MarshalEntries.

const maxDeposit = 32 + 32 + 33 + 33 + 64 + 4 + MaxPackage

// sizedDeposit is a deposit behind its length in 4 bytes.
func sizedDeposit(c *codec.Codec, d *ledgerclient.Deposit) {
	var raw []byte
	if !c.Reading() {
		raw = d.Marshal()
	}
	if codec.Sized[uint32](c, &raw, maxDeposit); c.Reading() {
		var err error
		*d, err = ledgerclient.ParseDeposit(raw)
		c.Fail(err)
	}
}

// MarshalDeposits encodes deposits, each behind its length in 4 bytes. The result
// holds the shares: it is as secret as they are.
func MarshalDeposits(deposits []ledgerclient.Deposit) []byte {
	return marshalAll(nil, deposits, sizedDeposit)
}

// ParseDeposits decodes 1 to MaxEntries deposits.
func ParseDeposits(b []byte) ([]ledgerclient.Deposit, error) {
	return parseAll("batch of deposits", b, 1, MaxEntries, sizedDeposit)
}

// message is what a keeper says.
type message[T any] interface {
	*T
	Fields(*codec.Codec)
}

// replies are the answer to a batch, in its order: per item code 1, and behind code 0
// the message. codes[i] is why item i was refused, Released if it was not.
func replies[T any, P message[T]](values []T, codes []ledgerclient.Code) func(*codec.Codec) {
	return func(c *codec.Codec) {
		for i := range codes {
			codec.Int(c, &codes[i])
			c.Check(codes[i] <= ledgerclient.BadRequest)
			if codes[i] == ledgerclient.Released {
				c.Message(P(&values[i]).Fields)
			}
		}
	}
}

func parseReplies[T any, P message[T]](what string, b []byte, n int) ([]T, []ledgerclient.Code, error) {
	values, codes := make([]T, n), make([]ledgerclient.Code, n)
	if err := parse(what, b, replies[T, P](values, codes)); err != nil {
		return nil, nil, err
	}
	return values, codes, nil
}

// MarshalReceipts encodes the answer to deposits.
func MarshalReceipts(receipts []ledgerclient.Receipt, codes []ledgerclient.Code) []byte {
	return codec.Append(nil, replies(receipts, codes))
}

// ParseReceipts decodes the answer to n deposits. The receipts of refused ones are
// zero.
func ParseReceipts(b []byte, n int) ([]ledgerclient.Receipt, []ledgerclient.Code, error) {
	return parseReplies[ledgerclient.Receipt]("answer to deposits", b, n)
}

// MarshalAcknowledgements encodes the answer to revocations.
func MarshalAcknowledgements(acks []ledgerclient.Acknowledgement, codes []ledgerclient.Code) []byte {
	return codec.Append(nil, replies(acks, codes))
}

// ParseAcknowledgements decodes the answer to n revocations.
func ParseAcknowledgements(b []byte, n int) ([]ledgerclient.Acknowledgement, []ledgerclient.Code, error) {
	return parseReplies[ledgerclient.Acknowledgement]("answer to revocations", b, n)
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

// keeperState is what a keeper says of a grant: grant 32, held 1 (0 or 1), end 1.
func keeperState(c *codec.Codec, s *ledgerclient.KeeperState) {
	c.Bytes(s.Grant[:])
	codec.Bool(c, &s.Held)
	codec.Int(c, &s.Ended)
	c.Check(s.Ended <= ledgerclient.DestroyedShare)
}

// MarshalKeeperState encodes what a keeper says of a grant.
func MarshalKeeperState(s ledgerclient.KeeperState) []byte { return marshal(&s, keeperState) }

// ParseKeeperState decodes what a keeper says of a grant.
func ParseKeeperState(b []byte) (ledgerclient.KeeperState, error) {
	return parseOne("state of a share", b, keeperState)
}
