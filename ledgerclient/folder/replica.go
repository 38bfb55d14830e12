package folder

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strconv"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/order"
)

// A folder with the file `order` in it is a replica: its entries come from an
// order elsewhere, by Consume. The file has a line for each of at most two marks,
//
//	size position\n
//
// the position of the next item to consume when the log has that size. Before a
// commit it is replaced by one with the mark of before and that of after, so that
// the checkpoint's rename changes the position and the log at once: an item must
// not be judged a second time behind entries that came after it.
//
// A file of that name that says nothing about this log makes no replica of a folder that
// keeps an order of its own: there it is passed over. In a replica, which has a key of
// its own for that or the room for the file, it is damaged.
const orderFile = "order"

// maxOrderFile is more than the file has bytes.
const maxOrderFile = 128

// Ordered is where entry 0 of a replica stands in its order. The zero value is
// for a folder that keeps an order of its own.
type Ordered struct {
	Next uint64        // position behind entry 0
	Hour contract.Hour // of entry 0
}

type mark struct{ size, position uint64 }

func marshalMarks(marks []mark) []byte {
	var b []byte
	for _, m := range marks {
		b = strconv.AppendUint(b, m.size, 10)
		b = append(b, ' ')
		b = strconv.AppendUint(b, m.position, 10)
		b = append(b, '\n')
	}
	return b
}

func parseMarks(b []byte) (marks []mark, ok bool) {
	for line := range bytes.Lines(b) {
		size, position, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		s, err1 := strconv.ParseUint(string(size), 10, 63)
		p, err2 := strconv.ParseUint(string(position), 10, 63)
		if err1 != nil || err2 != nil {
			return nil, false
		}
		marks = append(marks, mark{s, p})
	}
	ok = len(marks) == 1 || len(marks) == 2 && marks[0].size < marks[1].size && marks[0].position < marks[1].position
	return marks, ok && bytes.Equal(marshalMarks(marks), b)
}

// consumed reads the position; the lock is held.
func (l *log) consumed() (uint64, error) {
	position, err := l.position()
	if errors.As(err, new(*DamagedError)) && !l.follows {
		if room, e := exists(l.path(orderFile + roomSuffix)); e != nil {
			return 0, e
		} else if !room {
			return 0, ErrOwnOrder.With("dir", l.dir)
		}
	}
	return position, err
}

func (l *log) position() (uint64, error) {
	b, err := readIn(l.dir, l.path(orderFile), maxOrderFile)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, ErrOwnOrder.With("dir", l.dir)
	}
	if err != nil {
		return 0, err
	}
	marks, ok := parseMarks(b)
	if !ok {
		return 0, damagedFile(orderFile, "not encoded as it was written")
	}
	for _, m := range marks {
		if m.size == l.head.size {
			return m.position, nil
		}
	}
	return 0, damagedFile(orderFile, "of another log")
}

// isReplica reports whether the entries come from an order, also if how far is damaged;
// the lock is held.
func (l *log) isReplica() (bool, error) {
	_, err := l.consumed()
	if errors.As(err, new(*DamagedError)) {
		return true, nil
	}
	if errors.Is(err, ErrOwnOrder) {
		return false, nil
	}
	return err == nil, err
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
		return l.commitConsumed(accepted, position, next)
	})
}

// commitConsumed is commit with the position. If nothing was accepted, losing the
// new position does no harm: the items are refused again. All of it is urgent: a
// revocation may stand behind whatever else the order has.
func (l *log) commitConsumed(accepted []accepted, position, next uint64) error {
	size := l.head.size
	if len(accepted) == 0 {
		return l.replace(orderFile, marshalMarks([]mark{{size, next}}), true)
	}
	marks := []mark{{size, position}, {size + uint64(len(accepted)), next}}
	if err := l.replace(orderFile, marshalMarks(marks), true); err != nil {
		return err
	}
	if err := l.ops.syncDir(l.dir); err != nil {
		return err
	}
	return l.commit(accepted, true)
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
