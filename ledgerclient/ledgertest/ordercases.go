package ledgertest

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/order"
)

var allCases = []Case{
	{Name: "positions", order: positions,
		Rule: "Append returns one position for each entry, of up to 256 at once; new ones get the next positions, in their order and without gaps. Head is the number of items."},
	{Name: "read", order: readRanges,
		Rule: "Any 222 bytes can be ordered but those of a configuration entry, whose second byte is 1, and are read back bit by bit. Read returns the items from a position on: at least one if there is any, at most 1,024, none at the end or beyond it."},
	{Name: "same-bytes", order: sameBytes,
		Rule: "The same bytes appended again keep their position and add nothing, in one batch, later, and after the order was closed. An entry that differs in its signature alone is another item."},
	{Name: "documents", order: documents,
		Rule: "A configuration entry is ordered with the document that it commits to, of up to 16 KiB, and both are read back bit by bit. Without it, or with another one, it is refused, takes no position, and can be ordered rightly later; no other entry has a document."},
	{Name: "durable", order: durable,
		Rule: "What was read once is read the same for ever, with its hour, also when the order is opened again."},
	{Name: "hours", order: hoursInOrder,
		Rule: "No item has an hour before that of the item before it, and the hour is that of now."},
	{Name: "clock", order: clockMoves,
		Rule: "An item gets the hour of the backend's clock at which it is appended; a clock set back gives the hour of the last item."},
	{Name: "concurrent", order: concurrent,
		Rule: "Appends at the same time get positions of their own; the same bytes at the same time get one."},
	{Name: "state", order: stateSaid,
		Rule: "An order that says in what state it is has words for it; behind an append that it answered it says that it decides, and that nothing waits."},
	{Name: "derived", order: derived,
		Rule: "From one order with junk in it every replica derives the log of the contract."},
	{Name: "seeded", order: seededOrder, ledger: seededLedger,
		Rule: "The seeded run gets the answers and the root of the contract; an entry that stands in the log is answered with its place, and nothing is added."},
	{Name: "proofs", ledger: proofs,
		Rule: "Leaves, positions, and the proofs of consistency and of every thread verify under the signed checkpoint."},
	{Name: "stopped", ledger: stoppedShare,
		Rule: "From a revocation on the keeper gives no share of that grant, and no receipt for one."},
	{Name: "together", order: together,
		Rule: "Two programs for one URL keep one order: what one has answered is what both answer from then on, appends to both at the same time get positions of their own, and when one ends the other goes on."},
}

// anyEntry is one of any bytes.
func anyEntry(rnd *rand.Rand) contract.Entry {
	var b [contract.Size]byte
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	e, _ := contract.ParseEntry(b[:])
	return e
}

// junk makes n entries that no contract accepts and no other case makes.
func (r *run) junk(n int) []contract.Entry {
	rnd := rand.New(rand.NewPCG(r.seed(), uint64(len(r.opened))))
	es := make([]contract.Entry, n)
	for i := range es {
		if es[i] = anyEntry(rnd); es[i].Kind == contract.KindConfig {
			es[i].Kind = contract.KindRecord
		}
	}
	return es
}

// configuration makes an entry of kind config, any in all else, that commits to a document.
func (r *run) configuration(document string) contract.Entry {
	e := r.junk(1)[0]
	e.Kind, e.Commitment = contract.KindConfig, contract.ConfigCommitment([]byte(document))
	return e
}

// configure orders a configuration entry, which is new, and checks its position.
func (r *run) configure(e contract.Entry, document string) {
	head := r.head()
	at, err := r.b.Configure(r.ctx, e, document)
	r.must(err)
	r.check(at == head && r.head() == head+1, "position %d for a new configuration entry, not %d", at, head)
}

// reopen opens the order, after closing whatever was open.
func (r *run) reopen() {
	r.close()
	b, err := r.Order(r.ctx)
	r.must(err)
	r.b, r.opened = b, append(r.opened, b)
}

// open opens the order and returns its head.
func (r *run) open() uint64 {
	r.start(*r.hour)
	r.reopen()
	return r.head()
}

func (r *run) head() uint64 {
	head, err := r.b.Head(r.ctx)
	r.must(err)
	return head
}

// append appends and checks the number of positions.
func (r *run) append(es ...contract.Entry) []uint64 {
	p, err := r.b.Append(r.ctx, es)
	r.must(err)
	r.check(len(p) == len(es), "%d positions for %d entries", len(p), len(es))
	return p
}

// read reads items from a position on.
func (r *run) read(from uint64) []order.Item {
	items, err := r.b.Read(r.ctx, from)
	r.must(err)
	r.check(len(items) <= order.MaxRead, "%d items in one answer", len(items))
	return items
}

// readAll reads the items from a position to the end.
func (r *run) readAll(from uint64) []order.Item {
	var all []order.Item
	for {
		items := r.read(from + uint64(len(all)))
		if len(items) == 0 {
			return all
		}
		all = append(all, items...)
	}
}

// expect checks that items begin at a position.
func (r *run) expect(at uint64, es ...contract.Entry) {
	items := r.readAll(at)
	r.check(len(items) >= len(es), "%d items from position %d on, not %d", len(items), at, len(es))
	for i := range es {
		r.check(items[i].Entry == es[i], "another entry is read at position %d than was put there", at+uint64(i))
	}
}

func positions(r *run) {
	head := r.open()
	es := r.junk(order.MaxAppend + 13)
	first := head
	for some := range slices.Chunk(es, order.MaxAppend) {
		for _, at := range r.append(some...) {
			r.check(at == head, "position %d for a new entry, not %d", at, head)
			head++
		}
		r.check(r.head() == head, "head %d, not %d", r.head(), head)
	}
	r.expect(first, es...)
	items := r.readAll(0)
	r.check(uint64(len(items)) == head, "%d items can be read, the head is %d", len(items), head)
}

func readRanges(r *run) {
	head := r.open()
	es := r.junk(order.MaxRead + 100)
	for i, fill := range []byte{0, 0xff, '\n', '"', 0x80} { // but for a few bytes, so that it is new
		raw := es[i].Marshal()
		for j := range raw[:contract.Size-16] {
			raw[j] = fill
		}
		es[i], _ = contract.ParseEntry(raw[:])
	}
	for some := range slices.Chunk(es, order.MaxAppend) {
		r.append(some...)
	}
	end := head + uint64(len(es))
	for _, from := range []uint64{head, head + 1, head + 99, end - 1} {
		items := r.read(from)
		r.check(len(items) > 0, "nothing from position %d of %d", from, end)
		for i := range items {
			r.check(items[i].Entry == es[from-head+uint64(i)], "reading from position %d: another entry at %d", from, from+uint64(i))
		}
	}
	for _, from := range []uint64{end, end + 1, end + 1<<40} {
		items := r.read(from)
		r.check(len(items) == 0, "%d items from position %d of %d on", len(items), from, end)
	}
	r.expect(head, es...)
}

func sameBytes(r *run) {
	head := r.open()
	es := r.junk(3)
	other := es[0]
	other.Signature[63] ^= 1
	p := r.append(es[0], es[1], es[0], es[2], es[2])
	want := []uint64{head, head + 1, head, head + 2, head + 2}
	r.check(slices.Equal(p, want), "within a batch: positions %d, not %d", p, want)
	for range 2 {
		p, want = r.append(es[2], other, es[0]), []uint64{head + 2, head + 3, head}
		r.check(slices.Equal(p, want), "in a later batch: positions %d, not %d", p, want)
		r.check(r.head() == head+4, "%d items, not %d, after appending again", r.head(), head+4)
		r.reopen()
	}
	r.expect(head, append(es, other)...)
}

// documents orders configuration entries as they must be, and as they must not.
func documents(r *run) {
	r.open()
	rnd := rand.New(rand.NewPCG(r.seed(), 4))
	document := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return string(b)
	}
	doc, long := document(1000), document(order.MaxDocument+1)
	e, record := r.configuration(doc), r.junk(1)[0]
	record.Commitment = e.Commitment
	none := r.configuration("")
	head := r.head()
	for what, put := range map[string]func() error{
		"without its document":  func() error { _, err := r.b.Append(r.ctx, []contract.Entry{e}); return err },
		"among other entries":   func() error { _, err := r.b.Append(r.ctx, append(r.junk(2), e)); return err },
		"with part of it":       func() error { _, err := r.b.Configure(r.ctx, e, doc[:999]); return err },
		"with more than it":     func() error { _, err := r.b.Configure(r.ctx, e, doc+"\n"); return err },
		"with no document":      func() error { _, err := r.b.Configure(r.ctx, e, ""); return err },
		"that commits to none":  func() error { _, err := r.b.Configure(r.ctx, none, ""); return err },
		"of more than 16 KiB":   func() error { _, err := r.b.Configure(r.ctx, r.configuration(long), long); return err },
		"that is another entry": func() error { _, err := r.b.Configure(r.ctx, record, doc); return err },
	} {
		err := put()
		r.check(err != nil && !errors.Is(err, order.ErrUnknown), "a configuration entry %s is not refused (%v)", what, err)
		r.check(r.head() == head, "a configuration entry %s has taken a position", what)
	}
	r.configure(e, doc)
	r.append(record)
	// More of the longest than one line of a program holds.
	put := map[uint64]order.Item{head: {Entry: e, Document: doc}, head + 1: {Entry: record}}
	for range 50 {
		doc := document(order.MaxDocument)
		e := r.configuration(doc)
		put[r.head()] = order.Item{Entry: e, Document: doc}
		r.configure(e, doc)
	}
	for range 2 {
		items := r.readAll(head)
		r.check(len(items) == len(put), "%d items, not %d", len(items), len(put))
		for i, item := range items {
			item.Hour = 0
			r.check(item == put[head+uint64(i)], "another entry or document is read at position %d than was put there", head+uint64(i))
		}
		at, err := r.b.Configure(r.ctx, e, doc)
		r.must(err)
		r.check(at == head && r.head() == head+uint64(len(put)), "position %d for a configuration entry that is at %d", at, head)
		r.reopen()
	}
}

func durable(r *run) {
	r.open()
	es := r.junk(20)
	r.append(es[:10]...)
	before := r.readAll(0)
	for _, change := range []func(){
		func() { r.append(append(es[5:15:15], es[:3]...)...) },
		r.reopen,
	} {
		r.start(*r.hour + 1)
		change()
		after := r.readAll(0)
		r.check(len(after) >= len(before), "%d items, after there were %d", len(after), len(before))
		for i := range before {
			r.check(after[i].Entry == before[i].Entry, "another entry at position %d than before", i)
			r.check(after[i].Hour == before[i].Hour, "hour %d at position %d, and %d before", after[i].Hour, i, before[i].Hour)
		}
		before = after
	}
}

func hoursInOrder(r *run) {
	head := r.open()
	r.append(r.junk(3)...)
	var last contract.Hour
	for i, item := range r.readAll(0) {
		r.check(item.Hour >= last, "hour %d at position %d, after %d", item.Hour, i, last)
		last = item.Hour
		if now := r.now(); uint64(i) >= head {
			r.check(last == now || r.SetHour == nil && last+1 >= now && last <= now+1, "hour %d at position %d, and it is %d", last, i, now)
		}
	}
}

func clockMoves(r *run) {
	head := r.open()
	start := *r.hour
	es := r.junk(4)
	for i, step := range []struct{ at, want contract.Hour }{{1, 1}, {0, 1}, {9, 9}, {2, 9}} {
		r.setHour(start + step.at)
		r.append(es[i])
		items := r.read(head + uint64(i))
		r.check(len(items) > 0 && items[0].Hour == start+step.want, "appended %d hours later: %+v", step.at, items)
	}
	r.setHour(start + 10)
}

func concurrent(r *run) {
	head := r.open()
	r.atOnce(head, r.junk(workers*each+1), r.b)
}

// stateSaid asks an order in what state it is, where it says that.
func stateSaid(r *run) {
	r.open()
	for range 2 {
		r.append(r.junk(3)...)
		var s *order.State
		if b, is := r.b.(order.Stated); is {
			var err error
			s, err = b.State(r.ctx)
			r.must(err)
		}
		if s == nil {
			r.detail = "it does not say in what state it is"
			return
		}
		r.detail = s.Words
		r.check(s.Decides && s.Waits == 0 && s.Words != "", "behind an append that was answered it says: decides %v, waits %v, %q", s.Decides, s.Waits, s.Words)
		r.reopen()
	}
}

// Who appends at the same time, and how many entries of his own each has.
const workers, each = 8, 6

// atOnce appends workers*each+1 new entries at the same time, through each of the backends
// in turn, and reads what came of it through each of them.
func (r *run) atOnce(head uint64, es []contract.Entry, through ...order.Backend) {
	shared := es[workers*each]
	own := make([][]contract.Entry, workers)
	got := make([][]uint64, workers)
	errs := make([]error, workers)
	var group sync.WaitGroup
	for w := range workers {
		b := through[w%len(through)]
		own[w] = append([]contract.Entry{shared}, es[w*each:(w+1)*each]...)
		group.Go(func() { got[w], errs[w] = b.Append(r.ctx, own[w]) })
	}
	group.Wait()
	r.must(errors.Join(errs...))
	for _, r.b = range through {
		items := r.readAll(head)
		r.check(len(items) == len(es), "%d new items, not %d", len(items), len(es))
		for w := range workers {
			r.check(len(got[w]) == len(own[w]), "%d positions for %d entries", len(got[w]), len(own[w]))
			for i, p := range got[w] {
				r.check(p >= head && p-head < uint64(len(items)) && items[p-head].Entry == own[w][i],
					"position %d was answered for an entry that is not there", p)
			}
		}
	}
}

// together opens the order twice, as a node and a wallet do that use it at one time.
func together(r *run) {
	head := r.open()
	first := r.b
	other, err := r.Order(r.ctx)
	r.must(err)
	r.opened = append(r.opened, other)
	es := r.junk(7 + workers*each + 1)
	turns := []order.Backend{first, other, other, first, first, other}
	for i := range turns { // by the one that is up, and then as the other one sees it
		r.b = turns[i]
		at := r.append(es[i])[0]
		r.check(at == head+uint64(i), "position %d for a new entry, not %d, beside a second program", at, head+uint64(i))
		for _, r.b = range []order.Backend{first, other} {
			r.check(r.head() == at+1, "head %d, not %d, beside a second program", r.head(), at+1)
			r.expect(head, es[:i+1]...)
		}
	}
	want := []uint64{head, head + 1}
	for _, r.b = range []order.Backend{first, other} {
		p := r.append(es[:2]...)
		r.check(slices.Equal(p, want), "positions %d, not %d, for what two programs have appended", p, want)
	}
	r.b = first
	items := r.readAll(0)
	r.b = other
	r.check(slices.Equal(r.readAll(0), items), "two programs show two orders")
	r.atOnce(head+uint64(len(turns)), es[7:], first, other)
	r.opened, r.b = r.opened[:1], first
	r.must(other.Close())
	end := r.head()
	at := r.append(es[6])[0]
	r.check(at == end, "position %d for a new entry, not %d, after a second program ended", at, end)
}
