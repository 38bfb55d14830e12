package folder

import (
	"context"
	"errors"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/order"
)

// A replica is a folder whose entries come from an order elsewhere, by Consume. Before the
// signed checkpoint its file `checkpoint` has a line
//
//	order position sum\n
//
// of the next item to consume, so that the rename of that file changes the position and
// the log at once: an item must not be judged a second time behind entries that came after
// it. The sum is the SHA-256 of the file without it and the space before it, so that a damaged
// position is not believed.

// Ordered is where entry 0 of a replica stands in its order. The zero value is
// for a folder that keeps an order of its own.
type Ordered struct {
	Next uint64        // position behind entry 0
	Hour contract.Hour // of entry 0
}

// consumed is the position; the lock is held.
func (l *log) consumed() (uint64, error) {
	if l.head.next == 0 {
		return 0, ErrOwnOrder.With("dir", l.dir)
	}
	return l.head.next, nil
}

// Consumed returns the position of the next item to consume, and the hour of the
// last leaf. The error is ErrOwnOrder in a folder that is none.
func (l *log) Consumed(ctx context.Context) (position uint64, hour contract.Hour, err error) {
	err = l.locked(ctx, shared, func() error {
		position, err = l.consumed()
		hour = l.last.Hour
		return err
	})
	return position, hour, err
}

// Consume judges the items that stand in the order from that position on, each at
// its hour, but never before that of the leaf before it. The leaves and the
// position behind the items become durable and visible together.
//
// Behind an entry that brings another configuration into force nothing is consumed: this
// version cannot follow it.
//
// Errors: those of Append but ErrClock; ErrOwnOrder; *RangeError if the
// position is not the next to consume; ErrSuccessor.
func (l *log) Consume(ctx context.Context, position uint64, items []order.Item) ([]ledgerclient.Outcome, error) {
	entries := make([]contract.Entry, len(items))
	for i := range items {
		entries[i] = items[i].Entry
	}
	n := len(items)
	out, err := l.judging(ctx, exclusive, entries, func(out []ledgerclient.Outcome) error {
		at, err := l.consumed()
		if err != nil {
			return err
		}
		if at != position {
			return &RangeError{From: position, To: position + uint64(n), Size: at}
		}
		if n, err = l.successor(items); err != nil {
			return err
		}
		last := l.last.Hour
		accepted, err := l.judge(entries[:n], out, func(i int) contract.Hour {
			last = max(last, items[i].Hour)
			return last
		})
		if err != nil {
			return err
		}
		return l.commitConsumed(accepted, position+uint64(n))
	})
	if err != nil {
		return nil, err
	}
	return out[:n], nil
}

// successor returns the number of the first item that brings another configuration into
// force, or how many items there are. With one at their head it is an ErrSuccessor: a folder
// that refused what the contract accepts would have another log than newer software has, of
// the same order. What stands before it counts as ever.
func (l *log) successor(items []order.Item) (n int, err error) {
	hour := l.last.Hour
	for i := range items {
		hour = max(hour, items[i].Hour)
		if items[i].Document == "" {
			continue
		}
		is, err := l.succeeds(&items[i], hour)
		if err == nil && is && i == 0 {
			err = ErrSuccessor.With("dir", l.dir)
		}
		if err != nil || is {
			return i, err
		}
	}
	return len(items), nil
}

// succeeds reports whether the contract accepts a configuration entry with its document, at
// that hour, and of a later contract what all have in common of it.
func (l *log) succeeds(item *order.Item, hour contract.Hour) (bool, error) {
	e, document, c := &item.Entry, []byte(item.Document), l.tables.config
	id := e.ID(l.id)
	j := &judgement{t: l.tables}
	if _, before, err := j.find(id); err != nil || before {
		return false, err // entry 0
	}
	thread, _, err := j.find(e.Subject)
	if err != nil {
		return false, err
	}
	for _, check := range []func() error{
		func() error { return contract.CheckShape(e) },
		func() error { return contract.CheckSignature(l.id, e) },
		func() error {
			_, err := contract.CheckConfig(c, document, e)
			if errors.Is(err, contract.ErrContractVersion) && c.Approved(document) {
				return nil
			}
			return err
		},
		func() error {
			_, err := contract.Apply(c, thread.state, e, id, l.tables.size(), hour)
			return err
		},
	} {
		if check() != nil {
			return false, nil
		}
	}
	return true, nil
}

// commitConsumed is commit with the position. If nothing was accepted, losing the
// new position does no harm: the items are refused again. All of it is urgent: a
// revocation may stand behind whatever else the order has.
func (l *log) commitConsumed(accepted []accepted, next uint64) error {
	if len(accepted) > 0 {
		return l.commit(accepted, next, true)
	}
	h := l.head
	h.next = next
	err := l.replaceCheckpoint(h, true)
	if err == nil {
		l.head = h
	}
	return err
}

// Judge says what would come of the entries at that hour, but never before that
// of the last leaf, and changes nothing. What it checked of those that the contract would
// accept is not checked again when they come back in the order.
//
// Errors: those of Leaves, and ErrReadOnly.
func (l *log) Judge(ctx context.Context, entries []contract.Entry, hour contract.Hour) ([]ledgerclient.Outcome, error) {
	return l.judging(ctx, free, entries, func(out []ledgerclient.Outcome) error {
		hour := max(hour, l.last.Hour)
		accepted, err := l.judge(entries, out, func(int) contract.Hour { return hour })
		for _, a := range accepted {
			l.checked.add(a.entry)
		}
		return err
	})
}
