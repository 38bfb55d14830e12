package order

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Replica is a log that is derived from an order, with the position up to which
// the order was consumed. An folder.Folder that was made with a Founding is one.
type Replica interface {
	ledgerclient.Ledger
	ledgerclient.Prover
	// Consumed returns the position of the next item to consume and the hour of the
	// last one that became a leaf.
	Consumed(ctx context.Context) (position uint64, hour contract.Hour, err error)
	// Consume judges the items that begin at that position and keeps what came of
	// them, and the position behind them, durably and at once. It may take fewer than it
	// is given, but one at least.
	Consume(ctx context.Context, position uint64, items []Item) ([]ledgerclient.Outcome, error)
	// Judge says what would come of entries at that hour and changes nothing.
	Judge(ctx context.Context, entries []contract.Entry, hour contract.Hour) ([]ledgerclient.Outcome, error)
}

// Ledger is a ledger whose order a backend keeps. It is safe for concurrent use.
//
// A backend takes as long as it likes to order something. Meanwhile the order is
// followed and the log is read as ever, and what needs no order is answered. And while
// what was ordered is judged, the backend has the next.
type Ledger struct {
	Replica
	backend  Backend
	clock    func() time.Time
	reading  turn // of who takes in what the order has
	ordering turn // of who has the backend order something

	mu    sync.Mutex
	under map[contract.Entry]*came // what is being ordered
}

// came is what came of an entry that was being ordered, whoever took it in.
type came struct {
	by      int      // so many are having it ordered
	at      []uint64 // the positions where it stands
	outcome ledgerclient.Outcome
}

// turn is one goroutine's at a time: full while somebody has it. Who waits gets it in
// order.
type turn chan struct{}

func (t turn) enter(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) leave() { <-t }

var _ ledgerclient.Ledger = (*Ledger)(nil)

// maxAhead is how many hours the order's time may be ahead of the clock here:
// one, for clocks that differ a little at the turn of an hour.
const maxAhead = 1

// NewLedger joins a backend and the replica of what it ordered. clock is this
// machine's: an order whose time is more than an hour ahead of it is not
// followed, since ledger time never goes back.
func NewLedger(b Backend, r Replica, clock func() time.Time) *Ledger {
	return &Ledger{Replica: r, backend: b, clock: clock, reading: make(turn, 1), ordering: make(turn, 1), under: map[contract.Entry]*came{}}
}

func (l *Ledger) hour() contract.Hour { return contract.Hour(max(0, l.clock().Unix()/3600)) }

// State is what the backend says of itself; nil: it says nothing.
func (l *Ledger) State(ctx context.Context) (*State, error) {
	if b, is := l.backend.(Stated); is {
		return b.State(ctx)
	}
	return nil, nil
}

// Follow consumes what the order has and the replica has not. Errors:
// [ErrBroken], [ErrAnother], *ledgerclient.UnreachableError, and those of the replica.
func (l *Ledger) Follow(ctx context.Context) error { return l.follow(ctx, nil) }

// follow consumes to the head. The entries at must be the items at those positions: what
// is not the same is not taken in.
func (l *Ledger) follow(ctx context.Context, at map[uint64]*contract.Entry) error {
	if err := l.reading.enter(ctx); err != nil {
		return err
	}
	defer l.reading.leave()
	genesis, err := l.Genesis(ctx)
	if err == nil {
		err = check(l.backend, genesis)
	}
	if err != nil {
		return err
	}
	least := uint64(0)
	for position := range at {
		least = max(least, position)
	}
	// In this order: another process may consume items that come in between.
	next, last, err := l.Consumed(ctx)
	if err != nil {
		return err
	}
	head, err := l.backend.Head(ctx)
	if err != nil {
		return unreachable(err)
	}
	if head < next || len(at) > 0 && head <= least {
		return ErrBroken.With("position", head, "what", Shorter)
	}
	for next < head {
		items, err := readFrom(ctx, l.backend, next)
		if err != nil {
			return err
		}
		items = items[:min(uint64(len(items)), head-next)] // behind its own head it has said nothing
		for i := range items {
			position := next + uint64(i)
			if e, ok := at[position]; ok && items[i].Entry != *e {
				return ErrBroken.With("position", position, "what", Moved)
			}
			if items[i].Hour < last {
				return ErrBroken.With("position", position, "what", Backwards)
			}
			if last = items[i].Hour; last > l.hour()+maxAhead {
				return ErrBroken.With("position", position, "what", Ahead)
			}
		}
		out, err := l.Consume(ctx, next, items)
		if moved := (*ledgerclient.RangeError)(nil); errors.As(err, &moved) {
			// Another process with the same replica was faster.
			before := next
			if next, last, err = l.Consumed(ctx); err != nil {
				return err
			}
			if next <= before {
				return moved
			}
			continue
		}
		if err != nil {
			return err
		}
		l.note(next, items, out)
		next += uint64(len(out))
	}
	return nil
}

// note keeps what came of items that were taken in from that position on, for who has
// ordered them.
func (l *Ledger) note(position uint64, items []Item, out []ledgerclient.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range out {
		c := l.under[items[i].Entry]
		if c == nil {
			continue
		}
		// What stands in the log is not called refused, though an order that breaks its
		// rules has it twice.
		if len(c.at) == 0 || c.outcome.Refusal != nil {
			c.outcome = out[i]
		}
		c.at = append(c.at, position+uint64(i))
	}
}

// Append orders what the contract would accept now and answers with what came of
// it where it was ordered. Errors: *ledgerclient.UnreachableError, after which the
// entries may be in the order or come to be there, unless it is around a
// [ledgerclient.ErrQuota] and not Undecided: then none is; [ErrBroken]; and those of the
// replica.
func (l *Ledger) Append(ctx context.Context, entries []contract.Entry) ([]ledgerclient.Outcome, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	if err := l.Follow(ctx); err != nil {
		return nil, err
	}
	out, err := l.Judge(ctx, entries, l.hour())
	if err != nil {
		return nil, err
	}
	var fresh []int // what is to be ordered
	for i := range out {
		if out[i].Refusal == nil && !out[i].Duplicate {
			fresh = append(fresh, i)
		}
	}
	// What Judge calls a duplicate may be one of an entry of this batch, which can
	// still be refused. All of them are looked at again behind the order.
	//
	// Who asks meanwhile, to revoke perhaps, waits for one step of the backend.
	done := slices.ContainsFunc(out, func(o ledgerclient.Outcome) bool { return o.Duplicate })
	for some := range slices.Chunk(fresh, MaxAppend) {
		if err := l.order(ctx, entries, some, out); err != nil {
			if u := ledgerclient.Unreachable(err); u != nil && done && errors.Is(err, ledgerclient.ErrQuota) {
				u.Undecided = true // of those before it that is not so
			}
			return nil, err
		}
		done = true
	}
	settle(out, fresh)
	return out, nil
}

// order appends the entries with those numbers and fills in their outcomes. For an
// append without an answer it looks whether all of them are in the order by now.
// Otherwise the caller has to ask again later.
func (l *Ledger) order(ctx context.Context, entries []contract.Entry, which []int, out []ledgerclient.Outcome) error {
	consumed, _, err := l.Consumed(ctx)
	if err != nil {
		return err
	}
	batch := make([]contract.Entry, len(which))
	for i, n := range which {
		batch[i] = entries[n]
	}
	ended := l.expect(batch)
	defer ended()
	positions, err := l.put(ctx, batch)
	unknown, lost := fault.As(err, ErrUnknown)
	if err != nil && !lost {
		return unreachable(err)
	}
	if !lost && len(positions) != len(which) {
		return ErrBroken.With("position", consumed, "what", Moved)
	}
	at := make(map[uint64]*contract.Entry, len(positions))
	for i, position := range positions {
		if at[position] != nil { // no two of them are the same
			return ErrBroken.With("position", position, "what", Moved)
		}
		at[position] = &batch[i]
	}
	err = l.follow(ctx, at)
	taken := ended()
	if lost && (err != nil || slices.ContainsFunc(taken, func(c came) bool { return len(c.at) == 0 })) {
		return &ledgerclient.UnreachableError{Service: "ledger", Err: unknown, Undecided: true}
	}
	if err != nil {
		return err
	}
	for i, n := range which {
		switch c := taken[i]; {
		case lost || slices.Contains(c.at, positions[i]):
			out[n] = c.outcome
		default:
			if out[n], err = l.before(ctx, positions[i], &batch[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// put has the backend order entries, whose turn it is for that.
func (l *Ledger) put(ctx context.Context, batch []contract.Entry) ([]uint64, error) {
	if err := l.ordering.enter(ctx); err != nil {
		return nil, err
	}
	defer l.ordering.leave()
	return l.backend.Append(ctx, batch)
}

// expect makes what is being ordered known to who takes in items, until ended, which returns
// what came of each so far. Who has ordered what somebody else is having ordered already is
// told that it is there.
func (l *Ledger) expect(batch []contract.Entry) (ended func() []came) {
	l.mu.Lock()
	defer l.mu.Unlock()
	second := make([]bool, len(batch))
	for i, e := range batch {
		c := l.under[e]
		if second[i] = c != nil; !second[i] {
			c = &came{}
			l.under[e] = c
		}
		c.by++
	}
	return sync.OnceValue(func() []came {
		l.mu.Lock()
		defer l.mu.Unlock()
		taken := make([]came, len(batch))
		for i, e := range batch {
			c := l.under[e]
			taken[i] = came{at: slices.Clone(c.at), outcome: c.outcome}
			if second[i] && c.outcome.Refusal == nil {
				taken[i].outcome.Duplicate = true
			}
			if c.by--; c.by == 0 {
				delete(l.under, e)
			}
		}
		return taken
	})
}

// before answers for an entry that was ordered and judged some time ago: it
// stands in the log, or it was refused. Of the rules only that of an unknown
// subject can be broken at one time and be kept later at the same hour, and only
// where the subject's opening stands behind the entry. If it stands before, something
// else was taken in at that position: nobody refused the entry.
func (l *Ledger) before(ctx context.Context, position uint64, e *contract.Entry) (ledgerclient.Outcome, error) {
	var o ledgerclient.Outcome
	items, err := readFrom(ctx, l.backend, position)
	if b, ok := fault.As(err, ErrBroken); ok && fault.Get[Broken](b, "what") == Gap || err == nil && items[0].Entry != *e {
		return o, ErrBroken.With("position", position, "what", Moved)
	}
	if err != nil {
		return o, err
	}
	hour := items[0].Hour
	if hour > l.hour()+maxAhead {
		return o, ErrBroken.With("position", position, "what", Ahead)
	}
	out, err := l.Judge(ctx, []contract.Entry{*e}, hour)
	if err != nil {
		return o, err
	}
	if out[0].Refusal != nil || out[0].Duplicate {
		return out[0], nil
	}
	index, ok, err := l.Find(ctx, e.Subject)
	if err != nil {
		return o, err
	}
	if !ok { // it opens a thread
		return o, ledgerclient.ErrSpent.With("entry", out[0].ID)
	}
	leaves, err := l.Leaves(ctx, index, index+1)
	if err != nil {
		return o, err
	}
	end, _, err := l.Consumed(ctx)
	if err != nil {
		return o, err
	}
	for at := position; at < end; at += uint64(len(items)) {
		if items, err = readFrom(ctx, l.backend, at); err != nil {
			return o, err
		}
		for i := range items {
			if items[i].Entry == leaves[0].Entry {
				return ledgerclient.Outcome{ID: out[0].ID, Hour: hour,
					Refusal: &contract.Refusal{Rule: contract.RuleUnknownSubject, Entry: out[0].ID, Hour: hour}}, nil
			}
		}
	}
	return o, ledgerclient.ErrSpent.With("entry", out[0].ID)
}

// settle answers for what was a duplicate of another entry of the same batch,
// now that it is known what came of that: of the one before it that was not a
// duplicate, or was ordered. (An entry may have been refused still earlier in the batch.)
func settle(out []ledgerclient.Outcome, ordered []int) {
	judged := map[contract.ID]int{}
	for i := range out {
		was := len(ordered) > 0 && ordered[0] == i // by this call, and perhaps by another one before
		if was {
			ordered = ordered[1:]
		}
		if was || !out[i].Duplicate {
			judged[out[i].ID] = i
			continue
		}
		n, ok := judged[out[i].ID]
		if !ok {
			continue // it stood in the log before
		}
		if of := out[n]; of.Refusal != nil {
			out[i] = of
		} else {
			out[i].Index, out[i].Hour = of.Index, of.Hour
		}
	}
}

func unreachable(err error) error {
	if u := (*ledgerclient.UnreachableError)(nil); errors.As(err, &u) {
		return err
	}
	if errors.Is(err, ErrBroken) {
		return err
	}
	return &ledgerclient.UnreachableError{Service: "ledger", Err: err}
}

// readFrom reads from a position below the head, where there must be something, and
// no more than a backend may give at once. What is taken in stays for ever, so that it
// is read twice: an answer that is wrong once is none.
func readFrom(ctx context.Context, b Backend, at uint64) ([]Item, error) {
	var first []Item
	for again := false; ; again = true {
		items, err := b.Read(ctx, at)
		switch {
		case err != nil:
			return nil, unreachable(err)
		case len(items) == 0:
			return nil, ErrBroken.With("position", at, "what", Gap)
		case len(items) > MaxRead:
			return nil, ErrBroken.With("position", at, "what", TooMany)
		case !again:
			first = items
			continue
		}
		items = items[:min(len(items), len(first))]
		for i := range items {
			if items[i] != first[i] {
				return nil, ErrBroken.With("position", at+uint64(i), "what", Unlike)
			}
			if !items[i].Whole() {
				return nil, ErrBroken.With("position", at+uint64(i), "what", NotWhole)
			}
		}
		return items, nil
	}
}
