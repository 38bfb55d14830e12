package node

import (
	"errors"

	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// The messages of a keeper have their encodings in package ledgerclient; here is
// how several travel together. A batch of revocations is one of EntriesForm.

const maxDeposit = 32 + 32 + 33 + 33 + 64 + 4 + MaxPackage

// DepositsForm is of 1 to MaxEntries deposits, one behind the other. It holds the shares:
// it is as secret as they are.
var DepositsForm = list("batch of deposits", 1, MaxEntries, func(c *codec.Codec, d *ledgerclient.Deposit) { c.Message(d.Fields) })

// Reply is what a keeper says to one item of a batch.
type Reply[T any] struct {
	Code ledgerclient.Code // why it was refused; Released if it was not
	Said T                 // zero if it was
}

// The answers to deposits and to revocations, in their order: per item code 1, and
// behind code 0 the message.
var (
	ReceiptsForm         = replies[ledgerclient.Receipt]("answer to deposits")
	AcknowledgementsForm = replies[ledgerclient.Acknowledgement]("answer to revocations")
)

func replies[T any, P interface {
	*T
	Fields(*codec.Codec)
}](what string) Form[[]Reply[T]] {
	return list(what, 1, MaxEntries, func(c *codec.Codec, r *Reply[T]) {
		codec.Int(c, &r.Code)
		c.Check(r.Code <= ledgerclient.BadRequest)
		if r.Code == ledgerclient.Released {
			c.Message(P(&r.Said).Fields)
		}
	})
}

// Replies joins what a keeper says to a batch with the error that says what it
// refused. Any other error is returned.
func Replies[T any](said []T, err error) ([]Reply[T], error) {
	batch, refused := errors.AsType[*ledgerclient.BatchError](err)
	if err != nil && (!refused || len(batch.Errs) != len(said)) {
		return nil, err
	}
	out := make([]Reply[T], len(said))
	for i := range out {
		out[i].Said = said[i]
		if refused && batch.Errs[i] != nil {
			why, ok := errors.AsType[*ledgerclient.KeeperError](batch.Errs[i])
			if !ok {
				return nil, err
			}
			out[i] = Reply[T]{Code: why.Code}
		}
	}
	return out, nil
}

// take takes replies apart. about are the grants that they are about.
func take[T any](about []contract.ID, replies []Reply[T]) (said []T, err error) {
	errs := make([]error, len(replies))
	for i, r := range replies {
		said = append(said, r.Said)
		if r.Code != ledgerclient.Released {
			errs[i] = &ledgerclient.KeeperError{Grant: about[i], Code: r.Code}
			err = &ledgerclient.BatchError{Errs: errs}
		}
	}
	return said, err
}

// KeeperStateForm is of what a keeper says of a grant: grant 32, held 1 (0 or 1), end 1.
var KeeperStateForm = Form[ledgerclient.KeeperState]{"state of a share", func(c *codec.Codec, s *ledgerclient.KeeperState) {
	c.Bytes(s.Grant[:])
	codec.Bool(c, &s.Held)
	codec.Int(c, &s.Ended)
	c.Check(s.Ended <= ledgerclient.DestroyedShare)
}}
