package ledgertest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/order"
)

var allCases = []Case{
	{Name: "positions", order: positions,
		Rule: "Append returns one position for each entry; new ones get the next positions, in their order and without gaps."},
	{Name: "any-bytes", order: anyBytes,
		Rule: "Any 222 bytes can be ordered, and are read back bit by bit."},
	{Name: "same-bytes", order: sameBytes,
		Rule: "The same bytes appended again keep their position and add nothing, in one batch, later, and after the order was closed."},
	{Name: "other-bytes", order: otherBytes,
		Rule: "An entry that differs in its signature alone is another item."},
	{Name: "batch", order: fullBatch,
		Rule: "256 entries can be appended at once, and are all there."},
	{Name: "read", order: readRanges,
		Rule: "Read returns the items from a position on: at least one if there is any, at most 1,024, none at the end or beyond it."},
	{Name: "head", order: headGrows,
		Rule: "Head is the number of items."},
	{Name: "unchanged", order: unchanged,
		Rule: "What was read once is read the same for ever, with its hour."},
	{Name: "durable", order: durable,
		Rule: "Items are there, with their hours, when the order is opened again."},
	{Name: "hours", order: hoursInOrder,
		Rule: "No item has an hour before that of the item before it, and the hour is that of now."},
	{Name: "clock", order: clockMoves,
		Rule: "An item gets the hour of the backend's clock at which it is appended; a clock set back gives the hour of the last item."},
	{Name: "concurrent", order: concurrent,
		Rule: "Appends at the same time get positions of their own; the same bytes at the same time get one."},
	{Name: "derived", order: derived,
		Rule: "From one order with junk in it every replica derives the log of the contract."},
	{Name: "seeded", order: seededOrder, ledger: seededLedger,
		Rule: "The seeded run gets the answers and the root of the contract."},
	{Name: "again", ledger: againLedger,
		Rule: "An entry that stands in the log is answered with its place, and nothing is added."},
	{Name: "proofs", ledger: proofs,
		Rule: "Leaves, positions, and the proofs of consistency and of every thread verify under the signed checkpoint."},
	{Name: "stopped", ledger: stoppedShare,
		Rule: "From a revocation on the keeper gives no share of that grant, and no receipt for one."},
}

// junk makes n entries that no contract accepts and no other case makes.
func (r *run) junk(n int) []contract.Entry {
	rnd := rand.New(rand.NewPCG(r.seed(), uint64(len(r.opened))))
	es := make([]contract.Entry, n)
	for i := range es {
		var b [contract.Size]byte
		for j := range b {
			b[j] = byte(rnd.Uint32())
		}
		es[i], _ = contract.ParseEntry(b[:])
	}
	return es
}

// append appends and checks the number of positions.
func appendTo(ctx context.Context, b order.Backend, es []contract.Entry) ([]uint64, error) {
	p, err := b.Append(ctx, es)
	if err != nil {
		return nil, err
	}
	if len(p) != len(es) {
		return nil, failf("%d positions for %d entries", len(p), len(es))
	}
	return p, nil
}

// readAll reads the items from a position to the end.
func readAll(ctx context.Context, b order.Backend, from uint64) ([]order.Item, error) {
	var all []order.Item
	for {
		items, err := b.Read(ctx, from+uint64(len(all)))
		if err != nil {
			return nil, err
		}
		if len(items) > order.MaxRead {
			return nil, failf("%d items in one answer", len(items))
		}
		if len(items) == 0 {
			return all, nil
		}
		all = append(all, items...)
	}
}

// expect checks that items begin at a position.
func expect(ctx context.Context, b order.Backend, at uint64, es []contract.Entry) error {
	items, err := readAll(ctx, b, at)
	if err != nil {
		return err
	}
	if len(items) < len(es) {
		return failf("%d items from position %d on, not %d", len(items), at, len(es))
	}
	for i := range es {
		if items[i].Entry != es[i] {
			return failf("another entry is read at position %d than was put there", at+uint64(i))
		}
	}
	return nil
}

// begin opens the order and returns its head.
func (r *run) begin(ctx context.Context) (order.Backend, uint64, error) {
	if err := r.start(); err != nil {
		return nil, 0, err
	}
	b, err := r.backend(ctx)
	if err != nil {
		return nil, 0, err
	}
	head, err := b.Head(ctx)
	return b, head, err
}

func positions(ctx context.Context, r *run) error {
	b, head, err := r.begin(ctx)
	if err != nil {
		return err
	}
	es := r.junk(12)
	for len(es) > 0 {
		n := min(len(es), 5)
		p, err := appendTo(ctx, b, es[:n])
		if err != nil {
			return err
		}
		for _, at := range p {
			if at != head {
				return failf("position %d for a new entry, not %d", at, head)
			}
			head++
		}
		es = es[n:]
	}
	return nil
}

func anyBytes(ctx context.Context, r *run) error {
	b, head, err := r.begin(ctx)
	if err != nil {
		return err
	}
	es := r.junk(6)
	for i, fill := range []byte{0, 0xff, '\n', '"', 0x80} { // but for a few bytes, so that it is new
		raw := es[i].Marshal()
		for j := range raw[:contract.Size-16] {
			raw[j] = fill
		}
		es[i], _ = contract.ParseEntry(raw[:])
	}
	if _, err := appendTo(ctx, b, es); err != nil {
		return err
	}
	return expect(ctx, b, head, es)
}

func sameBytes(ctx context.Context, r *run) error {
	b, head, err := r.begin(ctx)
	if err != nil {
		return err
	}
	es := r.junk(3)
	p, err := appendTo(ctx, b, []contract.Entry{es[0], es[1], es[0], es[2], es[2]})
	if err != nil {
		return err
	}
	if want := []uint64{head, head + 1, head, head + 2, head + 2}; !slices.Equal(p, want) {
		return failf("within a batch: positions %d, not %d", p, want)
	}
	for range 2 {
		if p, err = appendTo(ctx, b, []contract.Entry{es[2], es[0]}); err != nil {
			return err
		}
		if want := []uint64{head + 2, head}; !slices.Equal(p, want) {
			return failf("in a later batch: positions %d, not %d", p, want)
		}
		if now, err := b.Head(ctx); err != nil || now != head+3 {
			return failf("%d items, not %d, after appending again (%v)", now, head+3, err)
		}
		if b, err = r.backend(ctx); err != nil {
			return err
		}
	}
	return nil
}

func otherBytes(ctx context.Context, r *run) error {
	b, head, err := r.begin(ctx)
	if err != nil {
		return err
	}
	e := r.junk(1)[0]
	other := e
	other.Signature[63] ^= 1
	for i, e := range []contract.Entry{e, other} {
		p, err := appendTo(ctx, b, []contract.Entry{e})
		if err != nil {
			return err
		}
		if p[0] != head+uint64(i) {
			return failf("position %d, not %d", p[0], head+uint64(i))
		}
	}
	return expect(ctx, b, head, []contract.Entry{e, other})
}

func fullBatch(ctx context.Context, r *run) error {
	b, head, err := r.begin(ctx)
	if err != nil {
		return err
	}
	es := r.junk(order.MaxAppend)
	p, err := appendTo(ctx, b, es)
	if err != nil {
		return err
	}
	if p[0] != head || p[len(p)-1] != head+order.MaxAppend-1 {
		return failf("positions %d … %d, not %d … %d", p[0], p[len(p)-1], head, head+order.MaxAppend-1)
	}
	return expect(ctx, b, head, es)
}

func readRanges(ctx context.Context, r *run) error {
	b, head, err := r.begin(ctx)
	if err != nil {
		return err
	}
	es := r.junk(order.MaxRead + 100)
	for from := 0; from < len(es); from += order.MaxAppend {
		if _, err := appendTo(ctx, b, es[from:min(from+order.MaxAppend, len(es))]); err != nil {
			return err
		}
	}
	end := head + uint64(len(es))
	for _, from := range []uint64{head, head + 1, head + 99, end - 1} {
		items, err := b.Read(ctx, from)
		if err != nil {
			return err
		}
		if len(items) == 0 || len(items) > order.MaxRead {
			return failf("%d items from position %d of %d", len(items), from, end)
		}
		for i := range items {
			if items[i].Entry != es[from-head+uint64(i)] {
				return failf("reading from position %d: another entry at %d", from, from+uint64(i))
			}
		}
	}
	for _, from := range []uint64{end, end + 1, end + 1<<40} {
		items, err := b.Read(ctx, from)
		if err != nil || len(items) != 0 {
			return failf("%d items from position %d of %d on (%v)", len(items), from, end, err)
		}
	}
	return expect(ctx, b, head, es)
}

func headGrows(ctx context.Context, r *run) error {
	b, head, err := r.begin(ctx)
	if err != nil {
		return err
	}
	for _, e := range r.junk(3) {
		if _, err := appendTo(ctx, b, []contract.Entry{e}); err != nil {
			return err
		}
		head++
		if now, err := b.Head(ctx); err != nil || now != head {
			return failf("head %d, not %d (%v)", now, head, err)
		}
	}
	items, err := readAll(ctx, b, 0)
	if err != nil {
		return err
	}
	if uint64(len(items)) != head {
		return failf("%d items can be read, the head is %d", len(items), head)
	}
	return nil
}

func unchanged(ctx context.Context, r *run) error {
	b, _, err := r.begin(ctx)
	if err != nil {
		return err
	}
	es := r.junk(20)
	if _, err := appendTo(ctx, b, es[:10]); err != nil {
		return err
	}
	before, err := readAll(ctx, b, 0)
	if err != nil {
		return err
	}
	if r.SetHour != nil {
		if err := r.setHour(*r.hour + 1); err != nil {
			return err
		}
	}
	if _, err := appendTo(ctx, b, append(es[5:15:15], es[:3]...)); err != nil {
		return err
	}
	return sameBeginning(ctx, b, before)
}

// sameBeginning checks that the order begins with what was read before.
func sameBeginning(ctx context.Context, b order.Backend, before []order.Item) error {
	after, err := readAll(ctx, b, 0)
	if err != nil {
		return err
	}
	if len(after) < len(before) {
		return failf("%d items, after there were %d", len(after), len(before))
	}
	for i := range before {
		if after[i].Entry != before[i].Entry {
			return failf("another entry at position %d than before", i)
		}
		if after[i].Hour != before[i].Hour {
			return failf("hour %d at position %d, and %d before", after[i].Hour, i, before[i].Hour)
		}
	}
	return nil
}

func durable(ctx context.Context, r *run) error {
	b, head, err := r.begin(ctx)
	if err != nil {
		return err
	}
	es := r.junk(7)
	if _, err := appendTo(ctx, b, es); err != nil {
		return err
	}
	before, err := readAll(ctx, b, 0)
	if err != nil {
		return err
	}
	if r.SetHour != nil {
		if err := r.setHour(*r.hour + 1); err != nil {
			return err
		}
	}
	if b, err = r.backend(ctx); err != nil {
		return err
	}
	if err := sameBeginning(ctx, b, before); err != nil {
		return err
	}
	return expect(ctx, b, head, es)
}

func hoursInOrder(ctx context.Context, r *run) error {
	b, head, err := r.begin(ctx)
	if err != nil {
		return err
	}
	if _, err := appendTo(ctx, b, r.junk(3)); err != nil {
		return err
	}
	items, err := readAll(ctx, b, 0)
	if err != nil {
		return err
	}
	var last contract.Hour
	for i := range items {
		if items[i].Hour < last {
			return failf("hour %d at position %d, after %d", items[i].Hour, i, last)
		}
		last = items[i].Hour
	}
	now := contract.Hour(time.Now().Unix() / 3600)
	if r.SetHour != nil {
		now = *r.hour
	}
	for i := head; i < uint64(len(items)); i++ {
		if h := items[i].Hour; h != now && !(r.SetHour == nil && h+1 >= now && h <= now+1) {
			return failf("hour %d at position %d, and it is %d", h, i, now)
		}
	}
	return nil
}

func clockMoves(ctx context.Context, r *run) error {
	b, head, err := r.begin(ctx)
	if err != nil {
		return err
	}
	start := *r.hour
	es := r.junk(4)
	want := []contract.Hour{start + 1, start + 1, start + 9, start + 9}
	for i, at := range []contract.Hour{start + 1, start, start + 9, start + 2} {
		if err := r.setHour(at); err != nil {
			return err
		}
		if _, err := appendTo(ctx, b, es[i:i+1]); err != nil {
			return err
		}
		items, err := b.Read(ctx, head+uint64(i))
		if err != nil {
			return err
		}
		if len(items) == 0 || items[0].Hour != want[i] {
			return failf("appended at hour %d: %v, not hour %d", at, hoursOf(items), want[i])
		}
	}
	return r.setHour(start + 10)
}

func hoursOf(items []order.Item) (hs []contract.Hour) {
	for _, i := range items {
		hs = append(hs, i.Hour)
	}
	return hs
}

func concurrent(ctx context.Context, r *run) error {
	b, head, err := r.begin(ctx)
	if err != nil {
		return err
	}
	const workers, each = 8, 6
	es := r.junk(workers*each + 1)
	shared := es[workers*each]
	got := make([][]uint64, workers)
	errs := make([]error, workers)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			own := append([]contract.Entry{shared}, es[w*each:(w+1)*each]...)
			got[w], errs[w] = appendTo(ctx, b, own)
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	items, err := readAll(ctx, b, head)
	if err != nil {
		return err
	}
	if len(items) != len(es) {
		return failf("%d new items, not %d", len(items), len(es))
	}
	for w := range workers {
		for i, p := range got[w] {
			want := shared
			if i > 0 {
				want = es[w*each+i-1]
			}
			if p < head || p-head >= uint64(len(items)) || items[p-head].Entry != want {
				return failf("position %d was answered for an entry that is not there", p)
			}
		}
	}
	return nil
}
