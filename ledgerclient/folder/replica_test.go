package folder

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/order"
)

// orderScript is an order with everything in it that a replica must get over:
// junk, follow-ups before what they follow, the same again, false signatures.
func orderScript(t testing.TB, fd Founding) []order.Item {
	r := rand.New(rand.NewPCG(3, 3))
	w := &writer{t: t, ledger: contract.LedgerID(fd.Genesis), hour: testHour, r: r}
	var items []order.Item
	add := func(hour contract.Hour, es ...contract.Entry) {
		for _, e := range es {
			items = append(items, order.Item{Hour: hour, Entry: e})
		}
	}
	var junk contract.Entry
	junk.Commitment = crypto.Hash{1}
	add(testHour, junk, fd.Entry)
	for n := range 6 {
		w.hour = testHour + contract.Hour(n)
		grant := w.grant()
		access := w.follow(&w.threads[len(w.threads)-1])
		forged := w.record()
		forged.Signature[7] ^= 1
		more := w.batch(2)
		add(w.hour, access, grant, access, forged, junk)
		add(w.hour, more...)
		add(w.hour, more[0])
	}
	return items
}

// consumeAll consumes what is left of an order, a few items at a time.
func consumeAll(f *Folder, items []order.Item, step int) error {
	for {
		at, _, err := f.Consumed(ctx)
		if err != nil || at == uint64(len(items)) {
			return err
		}
		end := min(at+uint64(step), uint64(len(items)))
		if _, err := f.Consume(ctx, at, items[at:end]); err != nil {
			return err
		}
	}
}

func newReplica(t testing.TB) (Founding, []order.Item, string, Options) {
	t.Helper()
	fd, err := NewFounding("N")
	if err != nil {
		t.Fatal(err)
	}
	items := orderScript(t, fd)
	opt := Options{Clock: (&testClock{testHour + 1000}).now}
	dir := filepath.Join(t.TempDir(), "replica")
	f, err := CreateFrom(dir, fd, Ordered{Next: 2, Hour: items[1].Hour}, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return fd, items, dir, opt
}

// However an order is cut into pieces, the log is the same.
func TestReplicaRoot(t *testing.T) {
	fd, items, dir, opt := newReplica(t)
	var want head
	for _, step := range []int{1, 3, 7, len(items)} {
		to := filepath.Join(t.TempDir(), "r")
		copyDir(t, dir, to)
		f, err := Open(to, opt)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := consumeAll(f, items, step); err != nil {
			t.Fatal(err)
		}
		if want.size == 0 {
			want = f.head
		}
		if f.head.root != want.root || f.head.size < 1+6*2 {
			t.Errorf("%d at a time: %d leaves, another root", step, f.head.size)
		}
		mustVerify(t, f)
	}
	if string(fd.Genesis) == "" || bytes.Contains(fmt.Appendf(nil, "%v %+v %#v", fd, fd, &fd), []byte("PrivateKey")) {
		t.Error("a founding shows its keys")
	}
}

// TestReplicaKilledAtEveryOperation ends the process at each file operation of
// consuming, and fails the power there. Each time consuming goes on and leads to
// the root that it had led to: no item is lost, none is judged twice.
func TestReplicaKilledAtEveryOperation(t *testing.T) {
	lane.OneGoroutine(t)
	_, items, origin, opt := newReplica(t)
	run := func(dir string, x *faultyFiles) (*Folder, error) {
		f, err := open(dir, opt, x)
		if err != nil {
			return nil, err
		}
		return f, consumeAll(f, items, 16)
	}
	whole := filepath.Join(t.TempDir(), "whole")
	copyDir(t, origin, whole)
	x := newFaults()
	f, err := run(whole, x)
	if err != nil {
		t.Fatal(err)
	}
	want, total := f.head, x.count
	f.closeFiles()
	r := rand.New(rand.NewPCG(9, 9))
	for at := 1; at <= total; at += lane.Pick(1, 3, 3) {
		dir := filepath.Join(t.TempDir(), "l")
		copyDir(t, origin, dir)
		x := newFaults()
		x.at, x.torn = at, at%2 == 0
		f, _ := run(dir, x)
		after := filepath.Join(t.TempDir(), "power")
		x.lose(t, r, dir, after)
		if f != nil {
			f.closeFiles()
		}
		for _, dir := range []string{dir, after} {
			f, err := open(dir, opt, unsyncedFiles{})
			if err == nil {
				err = consumeAll(f, items, 5)
			}
			if err != nil {
				t.Fatalf("operation %d: %v", at, err)
			}
			if f.head.size != want.size || f.head.root != want.root {
				t.Fatalf("operation %d: another log", at)
			}
			f.Close()
		}
	}
	t.Logf("killed at %d operations, with and without a power failure", total)
}

// A configuration that enough nodes approved, of this contract or a later one, stops a
// replica where it stands: what came before it counts, nothing behind it does, and nothing
// that looks like one stops anybody.
func TestSuccessor(t *testing.T) {
	fd, items, dir, opt := newReplica(t)
	first, err := contract.ParseConfig(fd.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	id, node, stranger := first.LedgerID(), fd.keys.entry, crypto.GenerateKey()
	draft := func(by ...*crypto.PrivateKey) string {
		c := first
		c.Random[0]++
		c.Previous = first.Commitment()
		for _, k := range by {
			c.Approve(k)
		}
		return string(c.Marshal())
	}
	// later is a document of contract 2, of which only the last lines can be read.
	later := func(by ...*crypto.PrivateKey) string {
		doc := strings.Replace(draft(), "contract 1\n", "contract 2\nstars 3\n", 1)
		digest := crypto.TaggedHash(crypto.TagConfigApprove, []byte(doc))
		for _, k := range by {
			doc += "sign " + k.Public().String() + " " + k.Sign(digest).String() + "\n"
		}
		return doc
	}
	entry := func(doc string, by *crypto.PrivateKey, change func(e *contract.Entry)) order.Item {
		e := contract.Entry{Version: contract.Version, Kind: contract.KindConfig, Author: by.Public(), Subject: fd.Entry.ID(id),
			NotBefore: testHour, NotAfter: testHour + 48, Commitment: contract.ConfigCommitment([]byte(doc))}
		if change != nil {
			change(&e)
		}
		if err := e.Sign(id, by); err != nil {
			t.Fatal(err)
		}
		return order.Item{Hour: testHour + 5, Entry: e, Document: doc}
	}
	no := func(*contract.Entry) {}
	for what, x := range map[string]struct {
		item  order.Item
		stops bool
	}{
		"approved":                       {entry(draft(node), node, no), true},
		"of a later contract":            {entry(later(node), node, no), true},
		"not approved":                   {entry(draft(), node, no), false},
		"approved by a stranger":         {entry(draft(stranger), node, no), false},
		"approved twice":                 {entry(draft(node, node), node, no), false},
		"by a stranger":                  {entry(draft(node), stranger, no), false},
		"later, not approved":            {entry(later(), node, no), false},
		"later, approved by a stranger":  {entry(later(stranger), node, no), false},
		"later, approved twice":          {entry(later(node, node), node, no), false},
		"later, with a line behind":      {entry(later(node)+"stars 4\n", node, no), false},
		"of another thread":              {entry(draft(node), node, func(e *contract.Entry) { e.Subject[0] ^= 1 }), false},
		"stale":                          {entry(draft(node), node, func(e *contract.Entry) { e.NotAfter = testHour + 5 }), false},
		"of a shape that is none":        {entry(draft(node), node, func(e *contract.Entry) { e.Flags = 1 }), false},
		"the first document again":       {order.Item{Hour: testHour + 5, Entry: fd.Entry, Document: string(fd.Genesis)}, false},
		"of nothing that can be read":    {entry("carekey ledger 1\n", node, no), false},
		"not signed for this ledger":     {func() order.Item { i := entry(draft(node), node, no); i.Entry.Signature[9] ^= 1; return i }(), false},
		"without the document, as it is": {func() order.Item { i := entry(draft(node), node, no); i.Document = ""; return i }(), false},
	} {
		to := filepath.Join(t.TempDir(), "r")
		copyDir(t, dir, to)
		f, err := Open(to, opt)
		if err != nil {
			t.Fatal(err)
		}
		half := len(items) / 2
		err = consumeAll(f, slices.Concat(items[:half], []order.Item{x.item}, items[half:]), len(items))
		at, _, _ := f.Consumed(ctx)
		if x.stops && !(errors.Is(err, ErrSuccessor) && at == uint64(half)) || !x.stops && (err != nil || at != uint64(len(items)+1)) {
			t.Errorf("%s: consumed up to %d of %d, %v", what, at, len(items)+1, err)
		}
		mustVerify(t, f)
		f.Close()
	}
}

func TestReplicaRefuses(t *testing.T) {
	_, items, dir, opt := newReplica(t)
	f, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Append(ctx, []contract.Entry{items[3].Entry}); !errors.Is(err, ErrReplica) {
		t.Errorf("Append to a replica: %v", err)
	}
	var wrong *RangeError
	if _, err := f.Consume(ctx, 3, items[3:4]); !errors.As(err, &wrong) {
		t.Errorf("an item was left out: %v", err)
	}
	own, _ := newLedger(t)
	if _, err := own.Consume(ctx, 1, items[3:4]); !errors.Is(err, ErrOwnOrder) {
		t.Errorf("Consume without an order: %v", err)
	}
	before := f.head
	out, err := f.Judge(ctx, []contract.Entry{items[3].Entry, items[2].Entry, items[2].Entry}, testHour)
	if err != nil || out[0].Refusal != nil || out[1].Refusal != nil || !out[2].Duplicate {
		t.Errorf("Judge: %+v, %v", out, err)
	}
	if _, err := f.Checkpoint(ctx); err != nil || f.head.root != before.root {
		t.Errorf("Judge changed the log: %v", err)
	}
	if err := consumeAll(f, items, 4); err != nil {
		t.Fatal(err)
	}
	mustVerify(t, f)
}

// A replica whose position is damaged is none that goes on elsewhere, and takes no entries of
// its own.
func TestDamagedPosition(t *testing.T) {
	lane.OneGoroutine(t)
	_, _, dir, opt := newReplica(t)
	f, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	head := f.head
	f.Close()
	file := head.file()
	var bad [][]byte
	for _, line := range []string{"order 0 ", "order 02 ", "order +2 ", "order -2 ", "order x ", "order 2 2 ", "order  2 ", "order 2", "order 99999999999999999999 ", "\norder 2 "} {
		bad = append(bad, bytes.Replace(file, []byte("order 2 "), []byte(line), 1))
	}
	line, _, _ := bytes.Cut(file, []byte("\n"))
	bad = append(bad, slices.Concat([]byte("order 2\n"), head.raw), slices.Concat(line, []byte("\n"), file))
	for i := range file {
		bad = append(bad, file[:i]) // cut off
		for bit := lane.Pick(0, i%3, i%3); bit < 8; bit += lane.Pick(1, 3, 3) {
			changed := bytes.Clone(file)
			changed[i] ^= 1 << bit
			bad = append(bad, changed)
		}
	}
	for _, b := range bad {
		if err := os.WriteFile(filepath.Join(dir, checkpointFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		var damaged *DamagedError
		f, err := Open(dir, opt)
		if !errors.As(err, &damaged) || damaged.File != checkpointFile {
			t.Errorf("%q: %v", b, err)
		}
		if err == nil {
			f.Close()
		}
	}
	// It is gone while the folder is open.
	if err := os.WriteFile(filepath.Join(dir, checkpointFile), head.file(), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err = Open(dir, opt); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.WriteFile(filepath.Join(dir, checkpointFile), head.raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Append(ctx, []contract.Entry{newWriter(t, f, 1).record()}); !errors.As(err, new(*DamagedError)) {
		t.Errorf("a replica that lost its position takes entries: %v", err)
	}
}

// A copy of a replica goes on in the order where it stands, also when it was
// brought up to date.
func TestReplicaCopy(t *testing.T) {
	_, items, dir, opt := newReplica(t)
	f, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	to := filepath.Join(t.TempDir(), "copy")
	for at := uint64(2); ; {
		if _, err := f.Copy(ctx, to, nil); err != nil {
			t.Fatal(err)
		}
		c, err := Open(to, opt)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := c.Consumed(ctx); err != nil || got != at {
			t.Errorf("the copy goes on at %d, not %d (%v)", got, at, err)
		}
		if c.head.root != f.head.root {
			t.Error("another log")
		}
		c.Close()
		if at == uint64(len(items)) {
			return
		}
		next := min(at+13, uint64(len(items)))
		if _, err := f.Consume(ctx, at, items[at:next]); err != nil {
			t.Fatal(err)
		}
		at = next
	}
}
