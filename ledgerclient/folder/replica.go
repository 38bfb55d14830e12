package folder

import (
	"context"

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
// Errors: those of Append but ErrClock; ErrOwnOrder; *RangeError if the
// position is not the next to consume.
func (l *log) Consume(ctx context.Context, position uint64, items []order.Item) ([]ledgerclient.Outcome, error) {
	entries := make([]contract.Entry, len(items))
	for i := range items {
		entries[i] = items[i].Entry
	}
	return l.judging(ctx, exclusive, entries, func(out []ledgerclient.Outcome) error {
		at, err := l.consumed()
		if err != nil {
			return err
		}
		next := position + uint64(len(items))
		if at != position {
			return &RangeError{From: position, To: next, Size: at}
		}
		last := l.last.Hour
		accepted, err := l.judge(entries, out, func(i int) contract.Hour {
			last = max(last, items[i].Hour)
			return last
		})
		if err != nil {
			return err
		}
		return l.commitConsumed(accepted, next)
	})
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
// of the last leaf, and changes nothing.
//
// Errors: those of Leaves, and ErrReadOnly.
func (l *log) Judge(ctx context.Context, entries []contract.Entry, hour contract.Hour) ([]ledgerclient.Outcome, error) {
	return l.judging(ctx, free, entries, func(out []ledgerclient.Outcome) error {
		hour := max(hour, l.last.Hour)
		_, err := l.judge(entries, out, func(int) contract.Hour { return hour })
		return err
	})
}
